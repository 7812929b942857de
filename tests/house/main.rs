//! Holds the arrows between the rooms against the table in ARCHITECTURE.md.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod documents;
mod surface;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const WORDS: [&str; 10] = ["digest", "names", "event", "notice", "error", "facts", "hint", "settings", "text", "json"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The room of a file: the first part of its path below `src`, without `.rs`.
fn room_of(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).unwrap();
    below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names behind `crate::`, in paths and in `use crate::{…}` lists.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        rooms.insert(word(item.trim()));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            rooms.insert(word(item.trim()));
        } else {
            rooms.insert(word(rest));
        }
    }
    rooms.remove("");
    rooms
}

/// The product's part of a file: everything but items for tests and comments.
fn product_text(text: &str) -> String {
    let mut lines = text.lines();
    let mut product = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = format!("{indent}}}");
            let item = lines.by_ref().find(|line| !line.trim_start().starts_with("#["));
            if item.is_some_and(|item| item.trim_end().ends_with('{')) {
                lines.by_ref().find(|line| line.trim_end_matches(';') == end);
            }
        } else if !line.trim_start().starts_with("//") {
            product.push(line);
        }
    }
    product.join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") || path.ends_with("testing.rs")
}

fn drawn_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("## Arrows").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| room"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let used = cells[1].split(',').map(str::trim).filter(|room| !room.is_empty()).map(str::to_owned).collect();
        (cells[0].to_owned(), used)
    })
    .collect()
}

#[test]
fn the_reader_of_imports_reads_a_file_to_its_end() {
    let text = "use crate::a::x;\n#[cfg(test)]\nmod tests;\nuse crate::b;\n#[cfg(test)]\nuse crate::{\n    t,\n};\nuse crate::c;\n\
                mod inner {\n    #[cfg(test)]\n    #[expect(dead_code)]\n    fn f() {\n        crate::u::g();\n    }\n    use crate::d;\n}\n\
                #[cfg(test)]\nmod more {\n    use crate::v;\n}\nfn last() {\n    crate::e::f();\n}\n";
    assert_eq!(named_rooms(&product_text(text)), ["a", "b", "c", "d", "e"].map(str::to_owned).into());
}

#[test]
fn every_import_is_an_arrow_that_architecture_md_draws() {
    let arrows = drawn_arrows();
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files.iter().filter(|path| !is_test_file(path)) {
        let room = room_of(path);
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        for used in named_rooms(&product_text(&fs::read_to_string(path).unwrap())) {
            seen += 1;
            let to_word = WORDS.contains(&used.as_str());
            let allowed = match WORDS.contains(&room.as_str()) {
                true => to_word,
                false => to_word || used == room || arrows.get(&room).is_some_and(|drawn| drawn.contains(&used)),
            };
            if !allowed {
                wrong.push(format!("{}: {room} -> {used}", path.display()));
            }
        }
    }
    assert!(seen > 100, "the reader of imports found only {seen}: it is broken");
    assert!(wrong.is_empty(), "arrows that ARCHITECTURE.md does not draw:\n{}", wrong.join("\n"));
}

#[test]
fn the_http_client_knows_no_server_by_name() {
    let mut files = Vec::new();
    rust_files(&root().join("src/http"), &mut files);
    let names = ["hub", "huggingface", "hf.co", "x-error", "x-repo", "x-linked", "x-hf", "resolve-cache"];
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !is_test_file(path)) {
        let text = product_text(&fs::read_to_string(path).unwrap()).to_lowercase();
        wrong.extend(names.iter().filter(|name| text.contains(*name)).map(|name| format!("{}: {name}", path.display())));
    }
    assert!(files.len() > 15 && wrong.is_empty(), "what only a source knows:\n{}", wrong.join("\n"));
}

#[test]
fn every_path_of_a_store_is_made_by_its_layout() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    let folders =
        ["sha256", "meta", "segments", "ingest", "leases", "roots", "lock", "trash", "bad", "tmp", "data", "journal", "claim"];
    let joins = folders.iter().map(|name| format!(".join(\"{name}\")"));
    let literals: Vec<String> = joins.chain([".tmp-", "lease-", "dead-"].map(|prefix| format!("\"{prefix}"))).collect();
    let is_maker = |path: &&PathBuf| path.ends_with("store/layout.rs") || path.ends_with("disk/temp.rs");
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !is_test_file(path) && !is_maker(path)) {
        let text = product_text(&fs::read_to_string(path).unwrap());
        wrong.extend(literals.iter().filter(|literal| text.contains(*literal)).map(|name| format!("{}: {name}", path.display())));
    }
    // In the store itself no name of a place stands anywhere else, in whatever way it is used.
    let places = ["lock", "tmp", "leases", "roots", "ingest", "trash", "STORE.json", "CACHEDIR.TAG", "r-", "g-", "v-"];
    let places: Vec<String> = places.iter().map(|name| format!("\"{name}\"")).chain([".record_name()".to_owned()]).collect();
    let store = root().join("src/store");
    for path in files.iter().filter(|path| path.starts_with(&store) && !is_test_file(path) && !is_maker(path)) {
        let text = product_text(&fs::read_to_string(path).unwrap());
        wrong.extend(places.iter().filter(|place| text.contains(*place)).map(|name| format!("{}: {name}", path.display())));
    }
    assert!(wrong.is_empty(), "paths that `store/layout.rs` or `disk/temp.rs` makes:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_tables() {
    let arrows = drawn_arrows();
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        let known = matches!(name.as_str(), "lib" | "main") || WORDS.contains(&name.as_str()) || arrows.contains_key(&name);
        assert!(known, "{name} is in no table");
        assert!(name == "lib" || text.contains(&name), "{name} is not described");
    }
}

#[test]
fn the_reader_of_imports_sees_lists_and_paths() {
    let text = "use crate::{\n    digest::{self, X},\n    disk,\n};\nlet x = crate::store::lock::y();";
    assert_eq!(named_rooms(text), ["digest", "disk", "store"].map(str::to_owned).into());
}

#[test]
fn unsafe_code_stands_in_the_disk_room_only() {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    for path in files.iter().filter(|path| room_of(path) != "disk") {
        assert!(!product_text(&fs::read_to_string(path).unwrap()).contains("unsafe "), "{} has unsafe code", path.display());
    }
}

/// The command line's own words: its options, and its commands behind the program's name.
fn words_of_the_command_line(text: &str) -> Vec<&str> {
    // The text of the lock file names the commands that write and apply it.
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with("# Made by"));
    let is_option = |line: &&str| {
        let begins = ["`--", "\"--", " --"].into_iter().flat_map(|begin| line.split(begin).skip(1));
        begins.into_iter().any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    lines.filter(|line| line.contains("`model-manager ") || is_option(line)).collect()
}

#[test]
fn no_room_but_the_command_line_names_its_commands_and_options() {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| room_of(path) != "cli") {
        let file = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let is_test = path.iter().any(|part| part == "tests") || file.ends_with("tests.rs");
        if is_test {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        wrong.extend(words_of_the_command_line(product).into_iter().map(|line| format!("{file}: {line}")));
    }
    assert!(wrong.is_empty(), "a hint is a value (`src/hint`), worded by `src/cli/hints.rs`:\n{}", wrong.join("\n"));
}

#[test]
fn the_words_of_the_command_line_are_found() {
    let text = "a(\"run `model-manager gc`\");\nb(\"drop `--offline`\");\n// `--no`\nc(\"x - y\");\nd(\"--all\");";
    assert_eq!(words_of_the_command_line(text).len(), 3);
}
