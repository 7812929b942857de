//! What a removal did, or would do.

use super::store::BlobLine;
use crate::{digest::Sha256Digest, store::ViewKey};
use serde::Serialize;
use std::path::PathBuf;

/// What a removal did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RemoveReport {
    /// Views that are gone.
    pub views: Vec<ViewKey>,
    /// Files and links that are gone.
    pub removed: Vec<PathBuf>,
    /// Files that stay because they are not ours, and why.
    pub kept: Vec<(PathBuf, String)>,
    /// Blobs that are gone.
    pub blobs: Vec<BlobLine>,
    /// Bytes given back.
    pub freed: u64,
    /// Blobs that stay because somebody uses them, and who.
    pub shared: Vec<SharedBlob>,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

/// A blob that somebody else uses.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SharedBlob {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Who uses it: `<project path>: <view>`.
    pub users: Vec<String>,
}
