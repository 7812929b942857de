//! Keys of a map as typed values, each complaint with its place.

use super::{
    error::{Position, Problem, cut},
    model::UnknownKey,
    tree::{MapEntry, Node, Value},
};
use crate::{digest::LONGEST_FILE, names::nearest};
use std::{fmt::Display, str::FromStr};

/// The longest text a field may have; a description is a line or two.
const MAX_TEXT: usize = 4096;

/// What is found beside the models, all of it, so that it can be reported at once.
#[derive(Default)]
pub(super) struct Diagnostics {
    pub unknown: Vec<UnknownKey>,
    pub problems: Vec<Problem>,
}

impl Diagnostics {
    /// What was read, or `None` where that is a problem, which is noted.
    pub fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The same of a field that may be missing.
    pub fn field<T>(&mut self, read: Result<Option<T>, Problem>) -> Option<T> {
        self.keep(read).flatten()
    }
}

/// The map a node is; nothing there counts as an empty one.
pub(super) fn map<'n>(node: &'n Node, what: &str) -> Result<&'n [MapEntry], Problem> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(&[]),
        other => Err(Problem::new(node.place, format!("expected {what}, found {}", other.kind()))),
    }
}

/// The entry of a key whose value is not null.
pub(super) fn get<'n>(entries: &'n [MapEntry], key: &str) -> Option<&'n MapEntry> {
    entries.iter().find(|entry| entry.key == key && !matches!(entry.node.value, Value::Null))
}

/// A field that is text. Numbers are taken as they are spelled, because `1.1`, `7` and a revision like `1234567` mean text.
pub(super) fn text(entries: &[MapEntry], key: &str) -> Result<Option<String>, Problem> {
    get(entries, key).map(|entry| Ok(text_of(&entry.node, key)?.trim().to_owned())).transpose()
}

pub(super) fn text_of(node: &Node, key: &str) -> Result<String, Problem> {
    let text = match &node.value {
        Value::Text(text) | Value::Bare(text) => text,
        other => return Err(Problem::new(node.place, format!("`{key}`: expected text, found {}", other.kind()))),
    };
    if text.len() > MAX_TEXT {
        return Err(Problem::new(node.place, format!("`{key}`: expected {MAX_TEXT} bytes of text at most, found {}", text.len())));
    }
    // Such text reaches terminals, where an escape sequence would be obeyed.
    if let Some(bad) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Problem::new(node.place, format!("`{key}`: the character `{}` may not stand in it", bad.escape_default())));
    }
    Ok(text.clone())
}

/// A field that is a name or a digest.
pub(super) fn parsed<T: FromStr<Err: Display>>(entries: &[MapEntry], key: &str) -> Result<Option<T>, Problem> {
    get(entries, key).map(|entry| parsed_of(&entry.node, key)).transpose()
}

pub(super) fn parsed_of<T: FromStr<Err: Display>>(node: &Node, key: &str) -> Result<T, Problem> {
    text_of(node, key)?.parse().map_err(|error: T::Err| Problem::new(node.place, format!("`{key}`: {error}")))
}

/// A field that is a boolean.
pub(super) fn flag(entries: &[MapEntry], key: &str) -> Result<Option<bool>, Problem> {
    let Some(entry) = get(entries, key) else { return Ok(None) };
    match &entry.node.value {
        Value::Bare(word) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::Bare(word) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        other => Err(Problem::new(entry.node.place, format!("`{key}`: expected `true` or `false`, found {}", other.kind()))),
    }
}

/// A field that is a size in bytes.
pub(super) fn size(entries: &[MapEntry], key: &str) -> Result<Option<u64>, Problem> {
    let Some(entry) = get(entries, key) else { return Ok(None) };
    let found = match &entry.node.value {
        Value::Text(text) | Value::Bare(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    let wrong = || {
        let found = entry.node.value.kind();
        Problem::new(entry.node.place, format!("`{key}`: expected a number of bytes, digits only, found {found}"))
    };
    match found.ok_or_else(wrong)? {
        size if size > LONGEST_FILE => {
            Err(Problem::new(entry.node.place, format!("`{key}`: no file has more than {LONGEST_FILE} bytes")))
        }
        size => Ok(Some(size)),
    }
}

/// A field that is a list; a single value counts as a list of one.
pub(super) fn list<'n>(entries: &'n [MapEntry], key: &str) -> Option<&'n [Node]> {
    get(entries, key).map(|entry| match &entry.node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&entry.node),
    })
}

/// Diagnostics the keys that nothing reads.
pub(super) fn note_unknown(unknown: &mut Vec<UnknownKey>, entries: &[MapEntry], known: &[&str], within: &str) {
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        unknown.push(UnknownKey {
            key: cut(&entry.key),
            within: within.to_owned(),
            line: entry.place.line,
            column: entry.place.column,
            suggestion: nearest(&entry.key, known.iter().copied()).map(str::to_owned),
        });
    }
}

/// That a map lacks one of the `wanted` keys: at the key that looks like a slip of one, else at `place`.
pub(super) fn missing(entries: &[MapEntry], known: &[&str], wanted: &[&str], place: Position, message: &str) -> Problem {
    let strange = entries.iter().filter(|entry| !known.contains(&entry.key.as_str()));
    let slip = strange.into_iter().find_map(|entry| nearest(&entry.key, wanted.iter().copied()).map(|key| (entry, key)));
    match slip {
        Some((entry, key)) => Problem::new(entry.place, format!("{message}; found `{}`", cut(&entry.key))).suggest(Some(key)),
        None => Problem::new(place, message),
    }
}
