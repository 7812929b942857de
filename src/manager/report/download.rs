//! What a download did, or would do.

use super::ModelOrigin;
use crate::{
    digest::{GitSha1, Sha256Digest},
    facts::FileFacts,
    manager::MemoryReport,
    names::RelPath,
    notice::Notice,
    settings::LinkMode,
    store::{Trust, ViewKey},
};
use serde::Serialize;
use std::path::PathBuf;

/// One file of a planned or finished download.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// Its path below the view's folder.
    pub file: RelPath,
    /// Where it stands, or will.
    pub path: PathBuf,
    /// Its length in bytes; `null` while nobody knows it.
    pub size: Option<u64>,
    /// Its SHA-256; `null` while nobody knows it.
    pub sha256: Option<Sha256Digest>,
    /// The git hash by which the Hub knows a small file, where it was asked.
    pub git_sha1: Option<GitSha1>,
    /// How far what is here is trusted: `sha256-upstream`, `git-sha1-upstream`, or `tofu` where nobody published a hash;
    /// `null` while it is not here.
    pub trust: Option<Trust>,
    /// Where its bytes are or come from.
    pub state: FileSupply,
    /// Bytes that were downloaded for it, or, in a plan, that would be.
    pub download_bytes: u64,
    /// Bytes that were copied from other files of the store in place of a download.
    pub borrowed_bytes: u64,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileSupply {
    /// They are in the store.
    Present,
    /// They are in the store and damaged; what is wrong of them comes over the network.
    Damaged,
    /// A plain file at the view's path is taken into the store.
    Adopt,
    /// They are in another store of this user, and are taken from there.
    Local,
    /// Some are in the store from an interrupted download.
    Partial,
    /// They come over the network.
    Fetch,
}

impl FileSupply {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Damaged => "damaged",
            Self::Adopt => "adopt",
            Self::Local => "local",
            Self::Partial => "partial",
            Self::Fetch => "fetch",
        }
    }
}

/// What a download would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// The view it would make.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// The path it would print.
    pub path: PathBuf,
    /// Where it comes from.
    pub origin: ModelOrigin,
    /// The licence, where known.
    pub license: Option<String>,
    /// Whether the repository asks for access.
    pub gated: bool,
    /// Every file.
    pub files: Vec<FileReport>,
    /// Bytes of all files whose size is known.
    pub total_bytes: u64,
    /// Bytes that would be downloaded.
    pub download_bytes: u64,
    /// Of these, bytes that may be taken from similar files in the store instead; how much that is shows when the server is
    /// asked.
    pub borrow_bytes: u64,
    /// The files that they may be taken from.
    pub borrow_from: Vec<BorrowSource>,
    /// Bytes that would be taken on the store's volume.
    pub disk_bytes: u64,
    /// The store: its volume is the one that is filled.
    pub store: PathBuf,
    /// Bytes free on that volume now, where that can be told.
    pub free_bytes: Option<u64>,
    /// Bytes free after it; `null` where they do not suffice.
    pub free_bytes_after: Option<u64>,
    /// Whether it fits the memory of this machine.
    pub memory: MemoryReport,
    /// API requests that planning took.
    pub api_requests: u32,
    /// Requests that the download would make at least: to plan again, and one for each content that it fetches.
    pub requests: u32,
    /// Files of the repository that a set leaves out, the first thousand of them; none where the repository was not
    /// asked.
    pub left_out: Vec<LeftOut>,
    /// What was chosen and why.
    pub notices: Vec<Notice>,
}

/// What a download may take from similar files in the store.
#[derive(Debug, Clone, Default)]
pub(in crate::manager) struct BorrowReport {
    pub(in crate::manager) bytes: u64,
    pub(in crate::manager) from: Vec<BorrowSource>,
}

/// A file in the store that may have tensors which another one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BorrowSource {
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// The repository that it came from, where that is known.
    pub repo: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// Its path there.
    pub repo_path: Option<String>,
    /// Bytes that may be taken from it.
    pub borrow_bytes: u64,
}

/// A file of the repository that a set leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its path in the repository.
    pub repo_path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// Why.
    pub reason: &'static str,
}

impl LeftOut {
    pub(in crate::manager) fn new(file: &FileFacts, reason: &'static str) -> Self {
        Self { repo_path: file.path.clone(), size: file.size.unwrap_or_default(), reason }
    }
}

/// What a download did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DownloadReport {
    /// The view.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// The path to give to a backend: the file of a GGUF (part 1 of a split one), the folder of a set.
    pub path: PathBuf,
    /// Every file.
    pub files: Vec<FileReport>,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes that were downloaded.
    pub download_bytes: u64,
    /// Bytes that were copied from other files of the store in place of a download.
    pub borrowed_bytes: u64,
    /// How the view shows its blobs.
    #[serde(serialize_with = "link")]
    pub link: LinkMode,
    /// What was chosen and why.
    pub notices: Vec<Notice>,
}

fn link<S: serde::Serializer>(mode: &LinkMode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mode)
}
