//! Holds what the library gives to others against `public-api.txt`, so that a change of it is seen in review.
//!
//! It is read from the sources as `rustfmt` leaves them: the names that `lib.rs` lists, and of each its public fields, its
//! variants with their fields, its public functions, what it derives, and whether more may be added to it. After a change that is meant:
//!
//!     MODEL_MANAGER_WRITE_SURFACE=1 cargo test --workspace --test house surface

use crate::{root, rust_files};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A name that `lib.rs` lists: under which path, and what it is in which room.
struct Listed {
    path: String,
    room: String,
    name: String,
}

/// The items of a list of imports, with the paths before them: `a::{b, c::{d, e as f}}`.
fn leaves(prefix: &str, list: &str, found: &mut Vec<(String, String)>) {
    let (mut depth, mut item) = (0, String::new());
    for c in list.chars().chain([',']) {
        match c {
            ',' if depth == 0 => {
                let text = item.trim();
                if let Some((before, inner)) = text.split_once('{') {
                    leaves(&format!("{prefix}{before}"), inner.trim_end().trim_end_matches('}'), found);
                } else if !text.is_empty() {
                    let (from, shown) = text.split_once(" as ").unwrap_or((text, text.rsplit("::").next().unwrap_or(text)));
                    found.push((format!("{prefix}{from}"), shown.to_owned()));
                }
                item.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        item.push(c);
    }
}

fn listed(lib: &str) -> Vec<Listed> {
    let (mut all, mut module, mut hidden) = (Vec::new(), String::new(), false);
    let mut lines = lib.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        if let Some(name) = text.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(" {")) {
            module = format!("{name}::");
        } else if line == "}" {
            module.clear();
        } else if let Some(rest) = text.strip_prefix("pub use ") {
            let mut whole = rest.to_owned();
            while !whole.ends_with(';') {
                whole.push_str(lines.next().expect("a list that ends").trim_start());
            }
            let mut found = Vec::new();
            leaves("", whole.trim_end_matches(';'), &mut found);
            for (from, shown) in found.into_iter().filter(|_| !hidden) {
                let from = from.trim_start_matches("crate::");
                let (room, name) = (from.split("::").next().unwrap_or(from), from.rsplit("::").next().unwrap_or(from));
                all.push(Listed { path: format!("{module}{shown}"), room: room.to_owned(), name: name.to_owned() });
            }
        }
        hidden = text == "#[doc(hidden)]" || (hidden && text.starts_with("#["));
    }
    all
}

/// What attributes before a type say that others rely on: each derived trait, and `#[non_exhaustive]`.
fn promises(attributes: &str) -> BTreeSet<String> {
    let derived = attributes.split("#[derive(").skip(1).filter_map(|rest| rest.split_once(")]"));
    let derived = derived.flat_map(|(all, _)| all.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let mut promises: BTreeSet<String> = derived.map(|name| format!(" derives {name}")).collect();
    promises.extend(attributes.contains("#[non_exhaustive]").then(|| " is #[non_exhaustive]".to_owned()));
    promises
}

/// The rest of an item that `first` begins, up to the line that closes it, in one line and without comments and attributes.
fn in_one_line<'t>(first: &str, lines: &mut impl Iterator<Item = &'t str>) -> String {
    let mut whole = first.to_owned();
    if whole.ends_with(['{', '(']) {
        for more in lines.map(str::trim).filter(|more| !more.starts_with(['/', '#'])) {
            let joint = if whole.ends_with('(') || more.starts_with(')') { "" } else { " " };
            whole = format!("{whole}{joint}{more}");
            if matches!(more, "}," | "}" | ")," | ")") {
                break;
            }
        }
    }
    whole.trim_end_matches(',').replace(", }", " }").replace(",)", ")")
}

/// What a text says of one type: fields, variants and functions that others may use, and what its attributes promise.
fn parts(text: &str, name: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    let opens = |line: &str, keyword: &str| {
        line.strip_prefix(keyword)
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') && rest.ends_with('{'))
    };
    let mut lines = text.lines();
    let mut attributes = String::new();
    while let Some(line) = lines.next() {
        let before = std::mem::take(&mut attributes);
        if line.starts_with("#[") || (!before.is_empty() && !before.ends_with(']') && !line.starts_with("pub ")) {
            attributes = before + line;
            continue;
        }
        let declares = ["pub struct ", "pub enum "].iter().any(|keyword| {
            let rest = line.strip_prefix(keyword).and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        });
        if declares {
            parts.extend(promises(&before));
        }
        let head = line.strip_prefix("impl<'_> ").map_or(line.to_owned(), |rest| format!("impl {rest}"));
        let (is_struct, is_enum) = (opens(line, "pub struct "), opens(line, "pub enum "));
        let is_trait = opens(line, "pub trait ");
        if !is_struct && !is_enum && !is_trait && !opens(&head, "impl ") {
            continue;
        }
        let mut left_out = false;
        while let Some(line) = lines.next().filter(|line| *line != "}") {
            let Some(item) = line.strip_prefix("    ").filter(|item| !item.starts_with([' ', '}', '/', ')'])) else { continue };
            if item.starts_with("#[") {
                left_out |= item.starts_with("#[cfg(");
                continue;
            }
            let hidden = std::mem::take(&mut left_out);
            let item = if is_trait { item.to_owned() } else { item.strip_prefix("pub ").unwrap_or_default().to_owned() };
            let is_fn = ["fn ", "const fn ", "async fn "].iter().any(|keyword| item.starts_with(keyword));
            if is_fn {
                let mut whole = item;
                while !whole.ends_with(['{', ';', '}']) {
                    let more = lines.next().expect("a function that has a body").trim();
                    let joint = if whole.ends_with('(') || more.starts_with(')') { "" } else { " " };
                    whole = format!("{whole}{joint}{more}");
                }
                let whole = whole.split(" {").next().unwrap_or(&whole).trim_end_matches(';').replace(",)", ")");
                if !hidden {
                    parts.insert(format!("::{whole}"));
                }
            } else if is_enum && !hidden {
                parts.insert(format!("::{}", in_one_line(line.trim(), &mut lines)));
            } else if is_struct && !item.is_empty() && !hidden {
                parts.insert(format!(".{}", item.trim_end_matches(',')));
            }
        }
    }
    parts.remove("::");
    parts
}

fn files_of(room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let folder = root().join("src").join(room);
    if folder.is_dir() {
        rust_files(&folder, &mut files);
    }
    files.extend(Some(root().join(format!("src/{room}.rs"))).filter(|path| path.is_file()));
    files.retain(|path| !crate::is_test_file(path));
    files
}

fn surface() -> String {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut lines = BTreeSet::new();
    for Listed { path, room, name } in listed(&lib) {
        for file in files_of(&room) {
            let text = crate::product_text(&fs::read_to_string(&file).unwrap());
            lines.extend(parts(&text, &name).into_iter().map(|part| format!("{path}{part}")));
        }
        lines.insert(path);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[test]
fn the_surface_of_the_library_is_the_one_that_is_written_down() {
    let path: &Path = &root().join("public-api.txt");
    let now = surface();
    if std::env::var_os("MODEL_MANAGER_WRITE_SURFACE").is_some() {
        fs::write(path, &now).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    let (now, written): (BTreeSet<&str>, BTreeSet<&str>) = (now.lines().collect(), written.lines().collect());
    let more: Vec<_> = now.difference(&written).map(|line| format!("+ {line}")).collect();
    let less: Vec<_> = written.difference(&now).map(|line| format!("- {line}")).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "public-api.txt says otherwise; if that is meant, say it in CHANGELOG.md and run\n    \
         MODEL_MANAGER_WRITE_SURFACE=1 cargo test --workspace --test house surface\n{}\n{}",
        less.join("\n"),
        more.join("\n")
    );
}

#[test]
fn the_reader_of_the_surface_sees_lists_fields_variants_and_functions() {
    let lib = "#[doc(hidden)]\npub use cli::main;\npub use a::{B, c::D as E};\n/// x\npub mod f {\n    pub use crate::{\n        g::H,\n    };\n}\n";
    let names: Vec<_> = listed(lib).into_iter().map(|one| (one.path, one.room, one.name)).collect();
    let name = |path: &str, room: &str, name: &str| (path.to_owned(), room.to_owned(), name.to_owned());
    assert_eq!(names, [name("B", "a", "B"), name("E", "a", "D"), name("f::H", "g", "H")]);
    let text = "pub struct B {\n    pub x: u8,\n    y: u8,\n}\nimpl B {\n    pub fn new(\n        a: u8,\n    ) -> Self {\n        Self\n    }\n    \
                fn own() {}\n    #[cfg(feature = \"unstable\")]\n    pub fn inner() {}\n}\nimpl Bx {\n    pub fn other() {}\n}\n";
    assert_eq!(parts(text, "B"), [".x: u8", "::fn new(a: u8) -> Self"].map(str::to_owned).into());
    let text = "#[derive(Clone, Copy)]\n#[non_exhaustive]\npub enum B {\n    One,\n    Two { x: u8 },\n    Three {\n        /// y\n        \
                y: u8,\n        z: u8,\n    },\n    Four(u8),\n}\n#[derive(Debug)]\npub enum C {\n    One,\n}\n";
    let all = [" derives Clone", " derives Copy", " is #[non_exhaustive]", "::Four(u8)", "::One", "::Three { y: u8, z: u8 }"];
    let all = all.into_iter().chain(["::Two { x: u8 }"]);
    assert_eq!(parts(text, "B"), all.map(str::to_owned).collect());
    assert_eq!(
        parts("#[derive(\n    Debug,\n    Eq,\n)]\npub struct B(u8);\n", "B"),
        [" derives Debug", " derives Eq"].map(str::to_owned).into()
    );
}
