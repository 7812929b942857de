//! What other applications have, and what was taken over from them.

use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind},
    store::{Sharing, ViewKey},
};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// A place of an application.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AppReport {
    /// The application's id.
    pub app: String,
    /// Its folder.
    pub path: PathBuf,
    /// What names the folder, where it is not the default: a variable, or `settings`.
    pub named_by: Option<String>,
    /// The version of its layout, where it writes one.
    pub layout: Option<String>,
    /// Its models.
    pub models: Vec<AppModelReport>,
    /// What was not understood.
    pub problems: Vec<AppProblem>,
    /// Downloads that it has not finished.
    pub unfinished: usize,
    /// Bytes of its models; a file with several names counts once.
    pub total_bytes: u64,
    /// Of these, bytes that the store has too, by the same file or by the hash that the application claims.
    pub stored_bytes: u64,
    /// Of these, bytes that an application of this list has a second time, by the hash that is claimed.
    pub double_bytes: u64,
}

/// A model as an application has it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AppModelReport {
    /// What the application calls it.
    pub name: String,
    /// Its files.
    pub files: usize,
    /// Their bytes.
    pub total_bytes: u64,
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppProblem {
    /// Where.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
}

/// What was taken over from applications, or would be.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct AdoptReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Each model.
    pub models: Vec<AdoptedModel>,
    /// What was left out.
    pub problems: Vec<AppProblem>,
    /// Sums.
    pub totals: AdoptTotals,
    /// Of what kind the first failure was, where something that was asked for could not be taken.
    #[serde(skip)]
    pub failure: Option<ErrorKind>,
}

impl AdoptReport {
    /// Adds something that was asked for and could not be taken.
    pub(in crate::manager) fn fail(&mut self, path: PathBuf, error: &Error) {
        self.failure.get_or_insert(error.kind());
        self.problems.push(AppProblem { path, problem: error.to_string() });
    }
}

/// A model that was taken over.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AdoptedModel {
    /// The application it is from; `null` for a path that was named.
    pub app: Option<String>,
    /// What it is called there.
    pub name: String,
    /// The view that shows it.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// The path of the model: its file, or the folder of a set.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<AdoptedFile>,
}

/// A file of a model that was taken over.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AdoptedFile {
    /// Its path below the view's folder.
    pub file: String,
    /// Where the application has it.
    pub source_path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256; `null` where it was not read.
    pub sha256: Option<Sha256Digest>,
    /// How it shares its bytes with the application's file; `null` where nothing was done.
    #[serde(serialize_with = "sharing")]
    pub sharing: Option<Sharing>,
}

/// Sums of what was taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AdoptTotals {
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Of these, bytes that take no further room.
    pub shared_bytes: u64,
    /// Of these, bytes that were copied.
    pub copied_bytes: u64,
}

/// Files of applications that share their bytes with an equal file, or would.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DedupeReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Each file that was replaced.
    pub files: Vec<ReplacedFile>,
    /// What stays as it is.
    pub problems: Vec<AppProblem>,
    /// Sums.
    pub totals: DedupeTotals,
    /// Of what kind the first failure was, where a file could not be replaced.
    #[serde(skip)]
    pub failure: Option<ErrorKind>,
}

/// A file of an application that was replaced by one which shares its bytes with an equal file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReplacedFile {
    /// The application.
    pub app: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The equal file.
    pub same_as: PathBuf,
    /// How it shares its bytes with that; `None` where nothing was done.
    #[serde(serialize_with = "sharing")]
    pub sharing: Option<Sharing>,
    /// Bytes that this frees on the volume, where the two did not share their blocks before.
    pub freed_bytes: u64,
}

/// Sums of what was replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DedupeTotals {
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes that were freed.
    pub freed_bytes: u64,
}

/// A file of an application that has a copy of its own again.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RestoredFile {
    /// The application.
    pub app: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// Files of applications that have a copy of their own again.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DedupeUndoReport {
    /// Each file.
    pub files: Vec<RestoredFile>,
    /// What stays as it is.
    pub left: Vec<AppProblem>,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Of what kind the first failure was, where a file could not be copied.
    #[serde(skip)]
    pub failure: Option<ErrorKind>,
}

impl DedupeReport {
    pub(in crate::manager) fn add(&mut self, file: ReplacedFile) {
        self.totals.total_bytes += file.size;
        self.totals.freed_bytes += file.freed_bytes;
        self.files.push(file);
    }

    /// Adds a file that could not be replaced.
    pub(in crate::manager) fn fail(&mut self, path: PathBuf, error: &Error) {
        self.failure.get_or_insert(error.kind());
        self.problems.push(AppProblem { path, problem: error.to_string() });
    }
}

impl DedupeUndoReport {
    pub(in crate::manager) fn add(&mut self, file: RestoredFile) {
        self.copied_bytes += file.size;
        self.files.push(file);
    }

    /// Adds a file that could not be copied.
    pub(in crate::manager) fn fail(&mut self, path: PathBuf, error: &Error) {
        self.failure.get_or_insert(error.kind());
        self.left.push(AppProblem { path, problem: error.to_string() });
    }
}

fn sharing<S: Serializer>(sharing: &Option<Sharing>, serializer: S) -> Result<S::Ok, S::Error> {
    match sharing {
        None => serializer.serialize_none(),
        Some(sharing) => serializer.serialize_str(sharing.as_str()),
    }
}

/// A model that is shown to an application.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ExposedModel {
    /// The view.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// The application's id, or `folder`.
    pub app: String,
    /// The folder.
    pub path: PathBuf,
    /// What the application calls it.
    pub name: String,
    /// Files, links and folders that were made for it.
    pub items: usize,
    /// Whether this command made it, or took it back.
    pub changed: bool,
}

/// What was shown to an application.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct ExposeReport {
    /// Each model.
    pub models: Vec<ExposedModel>,
    /// Exposures that an earlier command had not ended, and that were undone first.
    pub recovered: usize,
}

/// What was taken back from applications.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct UnexposeReport {
    /// Each model.
    pub models: Vec<ExposedModel>,
    /// What stays.
    pub left: Vec<AppProblem>,
    /// Of what kind the first failure was, where something could not be taken back.
    #[serde(skip)]
    pub failure: Option<ErrorKind>,
}
