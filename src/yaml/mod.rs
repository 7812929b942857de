//! YAML text -> a tree whose every key and value knows its line and column: the one reader for all YAML that this program
//! reads, which bounds what a text may cost.
//!
//! A place costs an error of the YAML crate (see `visit.rs`), which costs more than the value it stands for, and most files
//! give no cause to name one: [`read_to`] reads without places what needs none.

mod bounds;
pub(crate) mod edit;
mod problem;
mod visit;

pub(crate) use bounds::MOST_BYTES;
pub use problem::BadFile;
pub(crate) use problem::{Position, Problem, conflict, cut};

use std::ops::Range;
use visit::DocumentReader;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The value's first character; of a map or list, that of its first entry.
    pub place: Position,
    pub value: Value,
}

/// What stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    /// A scalar that is text in YAML.
    Text(String),
    /// A number or a boolean, as it is spelled in the file.
    Bare(String),
    List(Vec<Node>),
    Map(Vec<MapEntry>),
}

/// One key of a map.
#[derive(Debug, Clone)]
pub(crate) struct MapEntry {
    pub key: String,
    pub place: Position,
    pub node: Node,
}

/// Nodes and entries that say the same are equal, wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Node {}

impl PartialEq for MapEntry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Eq for MapEntry {}

impl Value {
    /// What it is, for "expected ..., found ...".
    pub fn kind(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Text(text) => format!("the text `{}`", cut(text)),
            Self::Bare(text) => format!("`{}`", cut(text)),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a mapping".into(),
        }
    }
}

/// The characters that end a line for the YAML crate.
const LINE_BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// The lines of a text as the YAML crate counts them.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    line_ranges(text).into_iter().map(|range| &text[range]).collect()
}

/// Where these lines are, without what ends them.
fn line_ranges(text: &str) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(at) = text[start..].find(LINE_BREAKS) {
        let end = start + at;
        lines.push(start..end);
        let width = if text[end..].starts_with("\r\n") { 2 } else { text[end..].chars().next().map_or(1, char::len_utf8) };
        start = end + width;
    }
    lines.push(start..text.len());
    lines
}

/// Reads the one document of a text; `None` when there is none.
pub(crate) fn read(text: &str) -> Result<Option<Node>, Problem> {
    read_with(text, Positions::Known)
}

/// What `make` makes of the document of a text. It may be called twice: for a tree whose places mean nothing, and, if
/// that came to a problem or to something that `names_places`, for one whose places are right.
pub(crate) fn read_to<T>(
    text: &str,
    make: impl Fn(Option<&Node>) -> Result<T, Problem>,
    names_places: impl Fn(&T) -> bool,
) -> Result<T, Problem> {
    let quick = read_with(text, Positions::Unknown).and_then(|root| make(root.as_ref()));
    match quick.ok().filter(|made| !names_places(made)) {
        Some(made) => Ok(made),
        None => make(read(text)?.as_ref()),
    }
}

/// The same, but a duplicate key or one that is not text is not fatal: `make` gets the errors of such keys, and their
/// entries are in the tree.
pub(crate) fn read_on_to<T>(
    text: &str,
    make: impl Fn(Option<&Node>, Vec<Problem>) -> Result<T, Problem>,
    names_places: impl Fn(&T) -> bool,
) -> Result<T, Problem> {
    let quick = read_with(text, Positions::Unknown).and_then(|root| make(root.as_ref(), Vec::new()));
    match quick.ok().filter(|made| !names_places(made)) {
        Some(made) => Ok(made),
        None => {
            let source = DocumentReader::new(text, Positions::Known).forgiving();
            let root = read_from(&source, text)?;
            make(root.as_ref(), source.into_key_problems())
        }
    }
}

/// Whether the nodes of a tree say where they stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Positions {
    Known,
    Unknown,
}

fn read_with(text: &str, places: Positions) -> Result<Option<Node>, Problem> {
    read_from(&DocumentReader::new(text, places), text)
}

fn read_from(source: &DocumentReader<'_>, text: &str) -> Result<Option<Node>, Problem> {
    bounds::check(text)?;
    let mut root = None;
    for document in serde_yaml::Deserializer::from_str(text) {
        let node = source.document(document)?;
        if root.is_some() {
            let message = "a second YAML document begins; expected one document".to_owned();
            return Err(Problem::new(node.place, message));
        }
        root = Some(node);
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_places_has_the_same_values() {
        let odd =
            "a: {1e7: 0x10, 007: true, ~: null, 'quoted': \"1\"}\nb: [x, 1_000, -0.0, &n {k: v}, *n, !!str 5, |\n  text\n  ]\n";
        let merged = "base: &b {size: 010, sha256: ~}\nmore:\n  <<: *b\n  size: +5 # why\n  list:\n  - 12:30\n  - 2026-11-25\n";
        for text in [crate::registry::BUILT_IN, odd, merged, "7.50", "text", "~", "", "a: 1\na: 2\n", "a: [", "? {a: b}\n: c\n"] {
            let [known, unknown] = [Positions::Known, Positions::Unknown]
                .map(|places| read_with(text, places).map_err(|problem| problem.message.contains("YAML")));
            assert_eq!(known, unknown, "{text}");
        }
    }

    #[test]
    fn places_are_right_wherever_they_are_named() {
        let text = "a: 1\nb:\n  c: x\n";
        let line_of_b = |root: Option<&Node>| match root.map(|root| &root.value) {
            Some(Value::Map(entries)) => Ok(entries[1].place.line),
            other => Err(Problem::new(Position::START, format!("{other:?}"))),
        };
        assert_eq!(read_to(text, line_of_b, |_| true).ok(), Some(2));
        let complain = |root: Option<&Node>| {
            let line = line_of_b(root)?;
            Err::<(), _>(Problem::new(Position { line, column: 1 }, "no"))
        };
        assert_eq!(read_to(text, complain, |()| false).err().map(|problem| problem.place.line), Some(2));
    }

    #[test]
    fn what_the_crate_repeats_of_a_text_hides_nothing() {
        for text in ["a\tb\u{202e}: !x y\n", "k: !x y\n", "a\u{85}b: !x [1]\n"] {
            let problem = read(text).expect_err(text);
            assert!(!problem.message.chars().any(crate::text::is_hidden), "{:?}", problem.message);
        }
        let long = format!("{}: !x y\n", "k".repeat(5000));
        assert!(read(&long).expect_err("a tag").message.len() < 1000);
    }
}
