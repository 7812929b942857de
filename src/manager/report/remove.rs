//! What a removal did, or would do.

use super::store::{BlobReport, BlobUser};
use crate::{digest::Sha256Digest, store::ViewKey};
use serde::Serialize;
use std::path::PathBuf;

/// What a removal did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RemoveReport {
    /// Views that are gone.
    #[serde(rename = "models", serialize_with = "super::views")]
    pub views: Vec<ViewKey>,
    /// Files and links that are gone.
    #[serde(serialize_with = "super::paths")]
    pub removed: Vec<PathBuf>,
    /// Files that stay because they are not ours.
    pub kept: Vec<KeptFile>,
    /// Blobs that are gone.
    pub blobs: Vec<BlobReport>,
    /// Blobs that stay because somebody uses them.
    pub shared: Vec<SharedBlob>,
    /// What it comes to.
    pub totals: RemoveTotals,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

impl RemoveReport {
    /// Takes in what another removal did, after this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.views.extend(other.views);
        self.removed.extend(other.removed);
        self.kept.extend(other.kept);
        self.blobs.extend(other.blobs);
        // What a later removal took stays no more.
        self.shared.extend(other.shared);
        let Self { shared, blobs, .. } = self;
        shared.retain(|stays| !blobs.iter().any(|gone| gone.sha256 == stays.sha256));
        shared.reverse();
        let mut seen = std::collections::BTreeSet::new();
        shared.retain(|stays| seen.insert(stays.sha256));
        shared.sort_by_key(|stays| stays.sha256);
        self.totals.freed_bytes += other.totals.freed_bytes;
    }
}

/// What a removal comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RemoveTotals {
    /// Bytes given back.
    pub freed_bytes: u64,
}

/// A file that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptFile {
    /// The file.
    pub path: PathBuf,
    /// Why it stays.
    pub reason: String,
}

impl From<(PathBuf, String)> for KeptFile {
    fn from((path, reason): (PathBuf, String)) -> Self {
        Self { path, reason }
    }
}

/// A blob that somebody else uses.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SharedBlob {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Who uses it.
    pub users: Vec<BlobUser>,
}
