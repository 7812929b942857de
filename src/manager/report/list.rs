//! What is listed.

use serde::Serialize;
use std::path::PathBuf;

/// One line of `list`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ListedModel {
    /// The model's folder name.
    pub model: String,
    /// The format's folder name.
    pub format: String,
    /// The quantization's folder name, where there is one.
    pub quant: Option<String>,
    /// What a backend is given: the file of a GGUF, the folder of a set.
    pub path: PathBuf,
    /// Its files, below the view's folder: what its record says it has. What else lies there is not among them.
    pub files: Vec<String>,
    /// Bytes of all files.
    pub size: u64,
    /// How they are.
    pub state: ListedState,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Those that are known not to be what they should be.
    pub damaged: Vec<String>,
}

/// How the files of a listed model are, as far as it can be told without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedState {
    /// All lead into the store.
    Stored,
    /// Plain files, dropped by hand or by the old tool.
    Foreign,
    /// A file is missing, or its link leads nowhere.
    Broken,
    /// None is missing, and one is known not to be what it should be.
    Damaged,
}
