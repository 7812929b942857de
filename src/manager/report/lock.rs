//! What became of views in the lock file.

use super::ModelOrigin;
use crate::{hint::Hint, names::RelPath, store::ViewKey};
use serde::Serialize;
use std::path::PathBuf;

/// What was locked, or would be.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockReport {
    /// The lock file.
    pub lock_file: PathBuf,
    /// Every view that was looked at, in order.
    #[serde(rename = "models")]
    pub entries: Vec<LockEntryReport>,
    /// Whether the lock file was written.
    pub written: bool,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

/// What became of one view in the lock file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockEntryReport {
    /// The view.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// What became of it.
    pub state: LockState,
    /// Where it comes from, as it is locked now; `null` where it is not.
    pub origin: Option<ModelOrigin>,
    /// Where it came from, as it was locked before; `null` where it was not.
    pub old_origin: Option<ModelOrigin>,
    /// Bytes of all its files.
    pub total_bytes: u64,
    /// Bytes that an update would download; `null` where nothing was updated.
    pub download_bytes: Option<u64>,
    /// Of these, bytes that may be taken from similar files in the store instead.
    pub borrow_bytes: Option<u64>,
    /// Number of files whose sources published no hash: what is locked of them is what came first.
    pub unpublished: usize,
    /// The files that are others than before.
    pub files: Vec<FileChange>,
    /// One line of explanation, where the state needs one.
    pub note: Option<String>,
    /// What to do about what the note says.
    #[serde(skip)]
    pub hints: Vec<Hint>,
}

/// What became of a view in the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LockState {
    /// It is new there.
    Added,
    /// It stays at its commit.
    Kept,
    /// It was to be updated and cannot move: it is pinned to a commit.
    Pinned,
    /// It is at another commit now.
    Moved,
    /// It is at the same commit, and something else about it is new.
    Changed,
    /// It is not there any more.
    Removed,
    /// It is used here and cannot be locked: nobody knows where it came from.
    Unknown,
}

impl LockState {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Kept => "kept",
            Self::Pinned => "pinned",
            Self::Moved => "moved",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Unknown => "unknown",
        }
    }
}

/// A file that is another than before.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FileChange {
    /// Its path below the view's folder.
    pub file: RelPath,
    /// How it is another.
    pub change: ChangeKind,
    /// Its length in bytes now.
    pub size: Option<u64>,
    /// Its length in bytes before.
    pub old_size: Option<u64>,
}

/// How a file is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// Its content is another.
    Changed,
    /// It is not there any more.
    Removed,
}

/// Whether a lock file holds what it should.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockCheck {
    /// The lock file.
    pub lock_file: PathBuf,
    /// What is not as it should be; nothing where all is well.
    pub problems: Vec<LockProblem>,
    /// What was checked.
    pub totals: LockCheckTotals,
}

/// What a check of a lock file looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LockCheckTotals {
    /// Number of locked views.
    pub models: usize,
}

/// A view that is not locked as it is used or as the registry has it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LockProblem {
    /// The view.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// How it is wrong.
    pub kind: LockProblemKind,
    /// What is wrong.
    pub message: String,
}

/// How a locked view is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LockProblemKind {
    /// It cannot be right, by what is here.
    Contradicts,
    /// The registry says otherwise.
    Disagrees,
    /// It is used here and not locked.
    NotLocked,
    /// What is here is not what is locked.
    NotShown,
}
