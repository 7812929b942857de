//! What is listed.

use crate::store::ViewKey;
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
    /// Its view; none where a folder has a name that none of ours has.
    #[serde(skip)]
    pub view: Option<ViewKey>,
    /// What a backend is given: the file of a GGUF, the folder of a set.
    pub path: PathBuf,
    /// How its files are.
    pub state: ListedState,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Its files: what its record says it has. What else lies in its folder is not among them.
    pub files: Vec<ListedFile>,
}

impl ListedModel {
    /// Its files in this state, by their paths below the view's folder.
    pub(in crate::manager) fn files_that_are(&self, state: ListedFileState) -> Vec<&str> {
        self.files.iter().filter(|file| file.state == state).map(|file| file.file.as_str()).collect()
    }
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

impl ListedState {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Foreign => "foreign",
            Self::Broken => "broken",
            Self::Damaged => "damaged",
        }
    }
}

/// A file of a listed model.
#[derive(Debug, Clone, Serialize)]
pub struct ListedFile {
    /// Its path below the view's folder.
    pub file: String,
    /// Where it stands, or should.
    pub path: PathBuf,
    /// Length in bytes of what it shows; 0 where that cannot be read.
    pub size: u64,
    /// How it is.
    pub state: ListedFileState,
}

/// How a listed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedFileState {
    /// It leads into the store.
    Stored,
    /// A plain file.
    Foreign,
    /// It is not there, or its link leads nowhere.
    Missing,
    /// It is known not to be what it should be.
    Damaged,
}
