//! What a registry says, read and checked: models, their formats and quantizations, and the files behind each.

use super::error::BadFile;
use crate::{
    facts::FileFacts,
    names::{Format, ModelId, Quant, RepoId, Revision, SourceId},
};
use serde::Serialize;

/// One model of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// Its id: the first level of `models/`.
    pub id: ModelId,
    /// The repository of formats that name none of their own.
    pub huggingface_id: Option<RepoId>,
    /// The revision of that repository; `None` is its main branch.
    pub revision: Option<Revision>,
    /// What it is, in a line.
    pub description: Option<String>,
    /// `tiny`, `small`, `medium`, `large`, `xlarge`, or a word of the file's own.
    pub size_class: Option<String>,
    /// Number of parameters, for people: `7B`.
    pub params: Option<String>,
    /// Memory it wants, for people: `8-16 GB`.
    pub ram: Option<String>,
    /// What it is good for.
    pub use_case: Option<String>,
    /// The licence's SPDX or upstream name.
    pub license: Option<String>,
    /// Whether the model's repository asks for accepted terms and a token.
    pub gated: bool,
    /// Its formats in file order; at least one.
    pub formats: Vec<FormatEntry>,
}

impl Model {
    /// The entry of a format.
    pub fn format(&self, format: &Format) -> Option<&FormatEntry> {
        self.formats.iter().find(|entry| entry.format == *format)
    }
}

/// One format of a model: either quantizations, or one whole set of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FormatEntry {
    /// The format: the second level of `models/`.
    pub format: Format,
    /// The repository of quantizations that name none of their own: the format's, else the model's.
    pub huggingface_id: Option<RepoId>,
    /// The revision of that repository; `None` is its main branch.
    pub revision: Option<Revision>,
    /// Its quantizations in file order; none when `whole` is there.
    pub quants: Vec<QuantEntry>,
    /// What a format without quantizations consists of.
    pub whole: Option<Artifact>,
}

impl FormatEntry {
    /// The files of a quantization.
    pub fn quant(&self, quant: &Quant) -> Option<&Artifact> {
        self.quants.iter().find(|entry| entry.quant == *quant).map(|entry| &entry.artifact)
    }
}

/// One quantization of a format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuantEntry {
    /// The quantization: the third level of `models/`.
    pub quant: Quant,
    /// What it consists of.
    pub artifact: Artifact,
}

/// Files that are fetched, shown and removed as one unit.
///
/// Non-empty `files` are exactly the files. Otherwise the repository's file list at the revision decides: the files that
/// match `include` (empty: the format's complete set) and no pattern of `exclude`; each file of `expect` must be among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Artifact {
    /// The repository, or the folder of a web server.
    #[serde(rename = "repo")]
    pub source: SourceId,
    /// The revision of a repository; `None` is its main branch.
    pub revision: Option<Revision>,
    /// The files, where the registry names them.
    pub files: Vec<FileFacts>,
    /// Patterns of files to take.
    pub include: Vec<String>,
    /// Patterns of files to leave.
    pub exclude: Vec<String>,
    /// What is known of files that the file list will name: they must be there, with this size and hash.
    pub expect: Vec<FileFacts>,
    /// Whether it is still recommended.
    pub status: Status,
    /// What to take instead: a quantization of the same format, a model id, `id:quant`, or a repository.
    pub superseded_by: Option<String>,
    /// A remark for the user who selects it.
    pub note: Option<String>,
    /// Whether the repository asks for accepted terms and a token.
    pub gated: bool,
    /// The licence's SPDX or upstream name.
    pub license: Option<String>,
}

impl Artifact {
    /// Whether everything is known: a commit, where the source has any, and the size and SHA-256 of every file. A download
    /// then asks no API.
    pub fn is_pinned(&self) -> bool {
        (self.source.repo().is_none() || self.revision.as_ref().is_some_and(Revision::is_commit))
            && !self.files.is_empty()
            && self.files.iter().all(|file| file.size.is_some() && file.sha256.is_some())
    }

    /// The size in bytes, where every file is named with its size.
    pub fn total_size(&self) -> Option<u64> {
        if self.files.is_empty() {
            return None;
        }
        self.files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size?))
    }
}

/// Whether an entry is still recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Recommended.
    #[default]
    Active,
    /// Something better stands in its place.
    Superseded,
    /// Not recommended any more.
    Deprecated,
}

impl Status {
    pub(super) const WORDS: [&'static str; 3] = ["active", "superseded", "deprecated"];

    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Deprecated => "deprecated",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Active, Self::Superseded, Self::Deprecated];
        all.into_iter().find(|known| known.as_str() == word).ok_or_else(|| format!("`{word:.40}` is no status"))
    }
}

/// A key of the file that nothing reads: a newer version's, another tool's, or a slip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// The keys above it, with dots: `models.phi-2.formats.gguf`; empty for the top of the file.
    pub within: String,
    /// Its line, from one.
    pub line: usize,
    /// Its column in characters, from one.
    pub column: usize,
    /// The valid key that looks like it.
    pub suggestion: Option<String>,
}

/// An entry that cannot be used: a model, one of its formats, or one of its quantizations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadEntry {
    /// The model, as it is written.
    pub model: String,
    /// The format; `None` where the whole model cannot be used.
    pub format: Option<String>,
    /// The quantization; `None` where the whole format cannot be used.
    pub quant: Option<String>,
    /// What is wrong; of an entry with several faults there are several of these.
    pub error: BadFile,
}

impl BadEntry {
    /// Whether it is of this model, and of this format and quantization where they are given and it names one.
    pub(super) fn is_of(&self, model: &str, format: Option<&str>, quant: Option<&str>) -> bool {
        let same = |own: &Option<String>, wanted: Option<&str>| match (own, wanted) {
            (Some(own), Some(wanted)) => own.trim().eq_ignore_ascii_case(wanted.trim()),
            _ => true,
        };
        self.model.trim().to_lowercase() == model.trim().to_lowercase() && same(&self.format, format) && same(&self.quant, quant)
    }
}
