//! Names that come from people, registries and servers. Hostile input ends here: a value of one of these types is safe
//! to join to a path on every system this program runs on.

mod app;
mod gguf;
mod source_id;

pub use app::{App, UnknownApp};
pub use gguf::{Role, companions, gguf_roles, is_apple_double, quant_in_stem, split_part_suffix, words};

pub use source_id::{SourceId, WebFolder};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, path::PathBuf, str::FromStr};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: {why}")]
#[non_exhaustive]
pub struct NameError {
    /// What the text should have been, for people.
    pub kind: &'static str,
    /// The text, made printable and cut to 120 characters.
    pub text: String,
    /// The rule it breaks.
    pub why: String,
}

fn refuse(kind: &'static str, text: &str, why: impl Into<String>) -> NameError {
    let text = text.chars().take(120).flat_map(char::escape_default).collect();
    NameError { kind, text, why: why.into() }
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// Names Windows keeps for devices, with or without an extension. Superscript digits count as digits there.
const RESERVED: [&str; 30] = [
    "con", "prn", "aux", "nul", "conin$", "conout$", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
    "com¹", "com²", "com³", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "lpt¹", "lpt²", "lpt³",
];

/// `<model>~<format>~<quant>.json`, and its name while it is written, must fit the 255 bytes that file systems allow. A Hub
/// name has 42 + 96 characters at most.
const MODEL_ID_MAX: usize = 144;
const WORD_MAX: usize = 48;

/// The rules one path component keeps on every supported file system; `Err` says which is broken.
fn check_component(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("a part of it is empty".into());
    }
    if part == "." || part == ".." {
        return Err("`.` and `..` may not stand in it".into());
    }
    if part.len() > 255 {
        return Err("a part of it is longer than 255 bytes".into());
    }
    if let Some(bad) = part.chars().find(|c| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
        return Err(format!("the character `{}` may not stand in a file name", bad.escape_default()));
    }
    if part.ends_with(['.', ' ']) {
        return Err("a part of it ends with a dot or a space, which Windows drops".into());
    }
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_lowercase();
    if RESERVED.contains(&stem.as_str()) {
        return Err(format!("`{stem}` is a device name on Windows"));
    }
    Ok(())
}

text_type! {
    /// A model's name in the registry and in `models/`: one path component, not hidden.
    ModelId
}

impl ModelId {
    /// That of a model whose name cannot be an id.
    pub fn unnamed() -> Self {
        Self("unnamed".into())
    }
}

impl FromStr for ModelId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "model id";
        check_component(text).map_err(|why| refuse(kind, text, why))?;
        if text.len() > MODEL_ID_MAX {
            return Err(refuse(kind, text, format!("it is longer than {MODEL_ID_MAX} bytes")));
        }
        if text.starts_with('.') || text.starts_with('-') {
            return Err(refuse(kind, text, "it may not begin with a dot or a dash"));
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@'))) {
            return Err(refuse(kind, text, format!("the character `{}` may not stand in it", bad.escape_default())));
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// A file format, the second level of `models/`: `gguf`, `safetensors`, `pytorch`, `files` for a repository's files as they are,
    /// or another a registry uses.
    Format
}

impl Format {
    /// llama.cpp's single-file format: the default.
    pub fn gguf() -> Self {
        Self("gguf".into())
    }
    /// The format of vLLM and transformers.
    pub fn safetensors() -> Self {
        Self("safetensors".into())
    }
    /// The older pickled format.
    pub fn pytorch() -> Self {
        Self("pytorch".into())
    }
    /// Files of a repository as they stand in it, of whatever kind: all, some, or one that was named.
    pub fn files() -> Self {
        Self("files".into())
    }
    /// Whether it stands for files of any kind, which make no set of weights.
    pub fn is_files(&self) -> bool {
        self.0 == "files"
    }
    /// Whether one model in this format is one file (or one split file) and its path is that of the file.
    pub fn is_single_file(&self) -> bool {
        self.0 == "gguf"
    }
}

impl FromStr for Format {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        lower_word("format", text).map(Self)
    }
}

text_type! {
    /// A quantization, the third level of `models/`; compared and written in lower case (`q4_k_m`).
    Quant
}

impl Quant {
    /// That of a file of which nothing tells it.
    pub fn unknown() -> Self {
        Self("unknown".into())
    }
}

impl FromStr for Quant {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        lower_word("quantization", text).map(Self)
    }
}

fn lower_word(kind: &'static str, text: &str) -> Result<String, NameError> {
    let lower = text.trim().to_ascii_lowercase();
    check_component(&lower).map_err(|why| refuse(kind, text, why))?;
    if let Some(bad) = lower.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))) {
        return Err(refuse(kind, text, format!("the character `{}` may not stand in it", bad.escape_default())));
    }
    if lower.len() > WORD_MAX {
        return Err(refuse(kind, text, format!("it is longer than {WORD_MAX} bytes")));
    }
    if lower.starts_with(['.', '-']) {
        return Err(refuse(kind, text, "it may not begin with a dot or a dash"));
    }
    Ok(lower)
}

text_type! {
    /// A repository on the Hub: `owner/name`, or a bare legacy `name`.
    RepoId
}

impl FromStr for RepoId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "repository";
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 2 {
            return Err(refuse(kind, text, "expected `owner/name`"));
        }
        for part in parts {
            check_component(part).map_err(|why| refuse(kind, text, why))?;
            if part.len() > 96 || !part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
                return Err(refuse(kind, text, "its parts are letters, digits, `.`, `_` and `-`, 96 at most"));
            }
            // As on the Hub. It also keeps `owner--name`, the folder of a repository, from standing for two of them.
            if part.contains("--") || part.contains("..") {
                return Err(refuse(kind, text, "its parts have no `--` and no `..`"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// A branch, a tag, `refs/pr/N` or a commit.
    Revision
}

impl Revision {
    /// The branch a repository starts with.
    pub fn main() -> Self {
        Self("main".into())
    }
    /// Whether this is a full commit, the only kind that never changes.
    pub fn is_commit(&self) -> bool {
        self.0.len() == 40 && self.0.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

impl FromStr for Revision {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "revision";
        if text.is_empty() || text.len() > 256 {
            return Err(refuse(kind, text, "expected 1 to 256 characters"));
        }
        if text.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(refuse(kind, text, "a part of it is empty, `.` or `..`"));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '?' | '#' | ':' | '~' | '^' | '*' | '['))
        {
            return Err(refuse(kind, text, format!("the character `{}` may not stand in it", bad.escape_default())));
        }
        Ok(Self(text.to_owned()))
    }
}

text_type! {
    /// A file inside a repository or a view, `/` between its parts, every part safe on every system.
    RelPath
}

impl RelPath {
    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
    /// What stands before the last `/`; empty where there is none.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
    /// Whether another file is in the folder of this one, or somewhere below that.
    pub fn folder_holds(&self, other: &Self) -> bool {
        let rest = other.0.strip_prefix(self.folder());
        self.folder().is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
    }
    /// The path in this system's form.
    pub fn to_path(&self) -> PathBuf {
        self.0.split('/').collect()
    }
    /// How many folders stand above the file.
    pub fn depth(&self) -> usize {
        self.0.matches('/').count()
    }
    /// The form in which two paths that a case-insensitive, normalising file system would merge are equal.
    pub fn case_key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for RelPath {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "file path";
        if text.len() > 1024 {
            return Err(refuse(kind, text, "it is longer than 1024 bytes"));
        }
        for part in text.split('/') {
            check_component(part).map_err(|why| refuse(kind, text, why))?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// Finds the candidate nearest to `wanted`, for "did you mean": at most a third of its letters may differ.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let inside = wanted.len() >= 3 && lower.contains(&wanted);
            (if inside { 1 } else { edit_distance(&wanted, &lower) }, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Sorts by how near each is to what was wanted, those that hold it first.
pub fn sort_by_nearness<T>(wanted: &str, all: &mut [T], name: impl Fn(&T) -> &str) {
    let wanted = wanted.to_lowercase();
    all.sort_by_cached_key(|one| {
        let lower = name(one).to_lowercase();
        let holds = lower.contains(&wanted) || wanted.contains(&lower);
        (!holds, edit_distance(&wanted, &lower), lower)
    });
}

/// Levenshtein distance by one row (Wagner and Fischer, 1974).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn device_names_of_windows_are_refused_in_every_spelling() {
        for device in ["CON", "nul", "COM1", "lpt9", "Com¹", "COM²", "lpt³", "CONIN$", "conout$"] {
            for path in
                [device.to_owned(), format!("a/{device}"), format!("{device}.gguf"), format!("{device} .x"), format!("{device}/x")]
            {
                assert!(path.parse::<RelPath>().is_err(), "{path:?} was taken");
            }
            assert!(device.parse::<ModelId>().is_err(), "{device:?} was taken");
        }
        for good in ["com", "com10", "com¹0", "lpt", "console.txt", "conin", "x.con"] {
            good.parse::<RelPath>().unwrap();
        }
    }

    #[test]
    fn hostile_file_paths_are_refused() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "C:/x",
            "c:x",
            "a\\b",
            "\\\\host\\share",
            "a\0b",
            "nul",
            "NUL.gguf",
            "com1/x",
            "x.",
            "x ",
            "a/con.txt",
            "a\nb",
            "a*b",
            "file:stream",
        ] {
            assert!(bad.parse::<RelPath>().is_err(), "{bad:?} was taken");
        }
        for good in
            ["a", "a/b.gguf", "UD-Q4_K_XL/x-00001-of-00002.gguf", ".gitattributes", "x[1]^2 (3).bin", "конфиг.json", "console.log"]
        {
            assert!(good.parse::<RelPath>().is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn model_ids_cannot_leave_the_models_directory_or_hide_in_it() {
        for bad in ["", ".", "..", ".blobs", "a/b", "a\\b", "-rf", "nul", "a b", "a:b", "x."] {
            assert!(bad.parse::<ModelId>().is_err(), "{bad:?} was taken");
        }
        assert!("mistral-7b-instruct-v0.2".parse::<ModelId>().is_ok());
    }

    #[test]
    fn the_longest_names_of_a_view_make_a_file_name_that_fits() {
        let text = |len: usize| "x".repeat(len);
        let (model, word) = (text(MODEL_ID_MAX), text(WORD_MAX));
        let view = crate::store::ViewKey {
            model: model.parse().expect("as long as allowed"),
            format: word.parse().expect("as long as allowed"),
            quant: Some(word.parse().expect("as long as allowed")),
        };
        assert!(view.record_name().len() <= 255);
        assert!(text(MODEL_ID_MAX + 1).parse::<ModelId>().is_err());
        assert!(text(WORD_MAX + 1).parse::<Format>().is_err());
        assert!(text(WORD_MAX + 1).parse::<Quant>().is_err());
    }

    #[test]
    fn a_repository_has_no_name_that_the_hub_refuses() {
        for bad in ["a--b/c", "a/b--c", "a/b..c", "a/b/c", "", "a/", "a b/c"] {
            assert!(bad.parse::<RepoId>().is_err(), "{bad:?} was taken");
        }
        assert!("gpt2".parse::<RepoId>().is_ok() && "a-b/c_d.e-F".parse::<RepoId>().is_ok());
    }

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let ids = ["tinyllama-1.1b-chat", "phi-2", "llama-2-7b-chat"];
        assert_eq!(nearest("tinylama-1.1b-chat", ids), Some("tinyllama-1.1b-chat"));
        assert_eq!(nearest("tinyllama", ids), Some("tinyllama-1.1b-chat"));
        assert_eq!(nearest("phi2", ids), Some("phi-2"));
        assert_eq!(nearest("gemma", ids), None);
    }

    proptest! {
        #[test]
        fn a_path_that_is_accepted_stays_below_its_folder(text in "\\PC{0,60}") {
            if let Ok(path) = text.parse::<RelPath>() {
                let path = path.to_path();
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }
}
