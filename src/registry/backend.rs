//! `configs/backend/*.yaml`: the path of the model in a backend's settings, changed without touching anything else.
//!
//! Text in, text out, by the means of `yaml/edit`: what comes out was read again and differs from what went in by this one
//! value; where that cannot be had, the answer is what to write by hand.

use super::{
    error::{Position, cut},
    tree::{self, MapEntry, Node, Value},
};
use crate::{
    names::Format,
    yaml::edit::{Edit, Quote, SourceText, double_quoted, entry_at, first_proven, scalar, sets_only, split_mark},
};
use std::cell::Cell;

/// A program that runs models, and whose settings name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// llama.cpp: one GGUF file.
    LlamaCpp,
    /// vLLM: a folder with a set of files.
    Vllm,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LlamaCpp, Self::Vllm];

    /// Its name in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llama_cpp",
            Self::Vllm => "vllm",
        }
    }

    /// What it loads by default.
    pub fn format(self) -> Format {
        match self {
            Self::LlamaCpp => Format::gguf(),
            Self::Vllm => Format::safetensors(),
        }
    }

    /// Whether it can load models of a format: a single file, or a folder.
    pub fn takes(self, format: &Format) -> bool {
        format.is_single_file() == (self == Self::LlamaCpp)
    }

    /// The settings that are shipped, for projects without them.
    pub const fn shipped(self) -> &'static str {
        match self {
            Self::LlamaCpp => include_str!("../../configs/backend/llama_cpp.yaml"),
            Self::Vllm => include_str!("../../configs/backend/vllm.yaml"),
        }
    }
}

impl std::str::FromStr for Backend {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let all = Self::ALL;
        all.into_iter().find(|known| known.as_str() == word).ok_or_else(|| format!("`{word:.40}` is no backend"))
    }
}

/// The map and the key that name the model.
const MAP: &str = "backend";
const KEY: &str = "model_path";

/// Where the model's path stands, with dots.
pub const MODEL_PATH_KEY: &str = "backend.model_path";

/// A backend's settings with another model in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedSettings {
    /// The whole text.
    pub text: String,
    /// The line with the path, from one.
    pub line: usize,
    /// That line.
    pub line_text: String,
    /// The path that stood there.
    pub before: Option<String>,
    /// What the settings say they are for.
    pub declared: Option<String>,
}

/// Why a text is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct CannotEdit {
    /// The line it is about, from one.
    pub line: Option<usize>,
    /// What is wrong.
    pub why: String,
}

impl CannotEdit {
    fn new(place: Option<Position>, why: impl Into<String>) -> Self {
        Self { line: place.map(|place| place.line), why: why.into() }
    }
}

/// What to write by hand for this path.
pub fn model_path_line(path: &str) -> String {
    format!("{KEY}: {}", double_quoted(path))
}

/// Makes `path` the model of a backend's settings. A text that has it already comes back as it is.
///
/// # Errors
/// Text that is no YAML, has no `backend:`, or says the path in a way that cannot be replaced by itself.
pub fn set_model_path(text: &str, path: &str) -> Result<EditedSettings, CannotEdit> {
    let (mark, body) = split_mark(text);
    let old = tree::read(body).map_err(|problem| {
        let problem = tree::conflict(&tree::lines(body), "take either").unwrap_or(problem);
        CannotEdit::new(Some(problem.place), problem.message)
    })?;
    let settings = settings_of(old.as_ref())?;
    let entry = get(settings, KEY);
    let before = entry.and_then(|entry| scalar_text(&entry.node.value));
    let declared = get(settings, "type").and_then(|entry| scalar_text(&entry.node.value)).map(str::to_owned);
    let edited = |new: String, line: usize| EditedSettings {
        line,
        line_text: tree::lines(&new).get(line - 1).copied().unwrap_or_default().to_owned(),
        text: format!("{mark}{new}"),
        before: before.map(str::to_owned),
        declared: declared.clone(),
    };
    let value = Value::Text(path.to_owned());
    if let Some(entry) = entry.filter(|entry| entry.node.value == value) {
        return Ok(edited(body.to_owned(), entry.place.line));
    }
    let source = SourceText::new(body);
    let candidates = match entry {
        Some(entry) => replaced(&source, entry, path),
        None => inserted(&source, settings, path),
    };
    let at = [MAP, KEY];
    let line = Cell::new(0);
    let proven = first_proven(candidates, |_, new| {
        line.set(entry_at(new, &at).map_or(0, |entry| entry.place.line));
        sets_only(old.as_ref(), new, &at, &value)
    });
    if let Some(new) = proven {
        return Ok(edited(new, line.get()));
    }
    let place = entry.map_or(settings.first().map(|first| first.place), |entry| Some(entry.place));
    Err(CannotEdit::new(place, format!("`{MODEL_PATH_KEY}` is written in a way that cannot be changed without touching more")))
}

/// The settings below `backend:`.
fn settings_of(root: Option<&Node>) -> Result<&[MapEntry], CannotEdit> {
    let Some(Node { value: Value::Map(top), .. }) = root else {
        return Err(CannotEdit::new(None, format!("it has no `{MAP}:`")));
    };
    let Some(entry) = get(top, MAP) else {
        return Err(CannotEdit::new(None, format!("it has no `{MAP}:`")));
    };
    match &entry.node.value {
        Value::Map(settings) => Ok(settings),
        other => {
            Err(CannotEdit::new(Some(entry.place), format!("`{MAP}` is {}, where settings were expected", cut(&other.kind()))))
        }
    }
}

fn get<'n>(entries: &'n [MapEntry], key: &str) -> Option<&'n MapEntry> {
    entries.iter().find(|entry| entry.key == key)
}

fn scalar_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Bare(text) => Some(text),
        _ => None,
    }
}

/// The text with the value of `entry` replaced, quoted as it was and, where it cannot be, in double quotes.
fn replaced(source: &SourceText<'_>, entry: &MapEntry, path: &str) -> Vec<String> {
    let as_before = match source.scalar(&entry.node) {
        Some((_, Quote::Single)) => Some(scalar(path, Quote::Single)),
        Some((_, Quote::Plain)) => Some(path.to_owned()),
        Some((_, Quote::Double)) | None => None,
    };
    let spellings = as_before.into_iter().chain([double_quoted(path)]);
    let set = |spelled: String| {
        let mut edit = Edit::new(source);
        edit.set(entry, &spelled).ok().map(|()| edit.done())
    };
    spellings.filter_map(set).collect()
}

/// The text with a line for the path: behind `type`, else before the first setting.
fn inserted(source: &SourceText<'_>, settings: &[MapEntry], path: &str) -> Vec<String> {
    let Some((first, indent)) = settings.first().and_then(|first| Some((first, source.indent_of(first)?))) else {
        return Vec::new();
    };
    let line = format!("{}{}", " ".repeat(indent), model_path_line(path));
    let behind_type = get(settings, "type").map(|entry| {
        let mut edit = Edit::new(source);
        edit.insert_behind(entry.node.place.line - 1, &[&line]);
        edit.done()
    });
    let mut before_first = Edit::new(source);
    before_first.insert_before(first.place.line - 1, &line);
    behind_type.into_iter().chain([before_first.done()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEW: &str = "models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf";

    fn set(text: &str) -> Result<String, CannotEdit> {
        set_model_path(text, NEW).map(|edited| edited.text)
    }

    #[test]
    fn a_path_with_characters_that_yaml_does_not_take_is_written_so_that_it_is_read_back() {
        let odd = "models/a\u{1b}b\u{7f}c\u{9b}d\u{2028}e\u{fffe}f\"g\\h.gguf";
        let line: serde_yaml::Value = serde_yaml::from_str(&model_path_line(odd)).unwrap();
        assert_eq!(line["model_path"], odd);
        let edited = set_model_path("backend:\n  model_path: old\n", odd).unwrap().text;
        let read: serde_yaml::Value = serde_yaml::from_str(&edited).unwrap();
        assert_eq!(read["backend"]["model_path"], odd);
    }

    #[test]
    fn what_a_merge_left_is_called_that() {
        let text = "backend:\n<<<<<<< HEAD\n  model_path: a\n=======\n  model_path: b\n>>>>>>> theirs\n";
        let refused = set(text).unwrap_err();
        assert_eq!(refused.line, Some(2));
        assert!(refused.why.contains("a merge left a conflict here"), "{refused}");
    }

    #[test]
    fn only_the_value_changes_and_it_stays_quoted_as_it_was() {
        for (before, after) in [
            ("# c\nbackend:\n  type: llama_cpp\n  model_path: \"old\" # why\n  n_ctx: 4096\n", "\"NEW\""),
            ("backend:\r\n  model_path: 'it''s old'  # why\r\n  x: 'old'\r\n", "'NEW'"),
            ("backend:\n  model_path: old/path with spaces # why\n", "NEW"),
            ("backend: {type: llama_cpp, model_path: old, n_ctx: 1}\n", "NEW"),
            ("backend: {\"model_path\": \"a\\\"b\"}", "\"NEW\""),
            ("\u{feff}other: old\nbackend:\n    model_path:   old", "NEW"),
            ("a: old\nbackend:\n  model_path: ~\n", "NEW"),
            ("a: 1\nbackend:\n  model_path: 12\n", "NEW"),
            ("é: ü\nbackend:\n  # ü\n  'model_path': \"ö\"\n", "\"NEW\""),
        ] {
            let old = ["\"a\\\"b\"", "'it''s old'", "\"old\"", "old/path with spaces", "\"ö\"", "~", "12"];
            let old = old.into_iter().find(|old| before.contains(&format!(": {old}"))).unwrap_or("old");
            let (head, tail) = before.rsplit_once("model_path").unwrap();
            let expected = format!("{head}model_path{}", tail.replacen(old, &after.replace("NEW", NEW), 1));
            assert_eq!(set(before).unwrap(), expected, "{before}");
            assert_eq!(set(&expected).unwrap(), expected, "a second time");
        }
    }

    #[test]
    fn a_key_without_a_value_gets_one_and_a_missing_key_a_line() {
        for (before, after) in [
            ("backend:\n  model_path:\n  n_ctx: 1\n", format!("backend:\n  model_path: \"{NEW}\"\n  n_ctx: 1\n")),
            ("backend:\n  model_path: # none yet\n", format!("backend:\n  model_path: \"{NEW}\" # none yet\n")),
            ("backend:\n  type: x # t\n  n_ctx: 1\n", format!("backend:\n  type: x # t\n  model_path: \"{NEW}\"\n  n_ctx: 1\n")),
            ("backend:\r\n    n_ctx: 1\r\n", format!("backend:\r\n    model_path: \"{NEW}\"\r\n    n_ctx: 1\r\n")),
            ("backend:\n  type: x", format!("backend:\n  type: x\n  model_path: \"{NEW}\"")),
        ] {
            assert_eq!(set(before).unwrap(), after, "{before}");
        }
    }

    #[test]
    fn what_cannot_be_changed_alone_is_refused_with_its_line() {
        for (text, line) in [
            ("base: &b\n  model_path: x\nbackend:\n  <<: *b\n  n_ctx: 1\n", Some(2)),
            ("p: &p old\nbackend:\n  model_path: *p\n", Some(3)),
            ("backend:\n  model_path: &p old\n  other: *p\n", Some(2)),
            ("backend:\n  model_path: |\n    old\n", Some(2)),
            ("backend:\n  model_path: \"old\\\n    er\"\n", Some(2)),
            ("backend:\n  model_path: old\n    er\n", Some(2)),
            ("backend:\n  model_path: [a]\n", Some(2)),
            ("backend: {n_ctx: 1}\n", Some(1)),
            ("backend: x\n", Some(1)),
            ("backend:\n  a: 1\n  a: 2\n", Some(3)),
            ("backend: [\n", Some(2)),
            ("other: 1\n", None),
            ("# nothing\n", None),
            ("backend:\n  model_path: a\n---\nbackend:\n  model_path: b\n", Some(4)),
        ] {
            let error = set(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(!error.why.is_empty());
        }
    }

    #[test]
    fn a_plain_value_that_needs_quotes_gets_them() {
        let edited = set_model_path("backend:\n  model_path: old\n", "models/a: b #c").unwrap();
        assert_eq!(edited.text, "backend:\n  model_path: \"models/a: b #c\"\n");
        assert_eq!((edited.line, edited.before.as_deref()), (2, Some("old")));
        assert_eq!(edited.line_text, "  model_path: \"models/a: b #c\"");
        let flow = set_model_path("backend: {model_path: old, n: 1}\n", "a, b").unwrap();
        assert_eq!(flow.text, "backend: {model_path: \"a, b\", n: 1}\n");
    }

    #[test]
    fn the_shipped_settings_can_be_changed() {
        for backend in Backend::ALL {
            let edited = set_model_path(backend.shipped(), NEW).unwrap();
            assert_eq!(edited.declared.as_deref(), Some(backend.as_str()));
            let differing = backend.shipped().lines().zip(edited.text.lines()).filter(|(old, new)| old != new).count();
            assert_eq!(differing, 1, "{}", edited.text);
        }
    }

    proptest! {
        #[test]
        fn no_text_and_no_path_break_it(text in "[ab:'\"#&*|>{}\\[\\], \n\ré~-]{0,40}", path in "\\PC{1,20}") {
            for text in [text.clone(), format!("backend:\n  model_path: {text}\n  n_ctx: 1\n"), format!("backend:\n  {text}\n  a: 1\n")] {
                if let Ok(edited) = set_model_path(&text, &path) {
                    let root: serde_yaml::Value = serde_yaml::from_str(&edited.text).unwrap();
                    prop_assert_eq!(root["backend"]["model_path"].as_str(), Some(path.as_str()));
                    prop_assert_eq!(set_model_path(&edited.text, &path).unwrap().text, edited.text);
                }
            }
        }
    }
}
