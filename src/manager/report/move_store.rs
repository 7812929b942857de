//! What copying or moving a store did.

use super::BlobReport;
use crate::digest::Sha256Digest;
use serde::Serialize;
use std::path::PathBuf;

/// What a copy of a store took, or would take.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct StoreCopyReport {
    /// The store that was read.
    pub from: PathBuf,
    /// The store that has its content now.
    pub to: PathBuf,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Blobs that were copied, or would be.
    pub copied: Vec<BlobReport>,
    /// Blobs that could not be copied.
    pub failed: Vec<FailedBlob>,
    /// Sums.
    pub totals: StoreCopyTotals,
}

/// A blob that could not be copied.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FailedBlob {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Why not.
    pub problem: String,
    /// Whether a root keeps it.
    pub needed: bool,
}

/// Sums of a copy, in bytes and numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreCopyTotals {
    /// Bytes of the blobs that were copied.
    pub copied_bytes: u64,
    /// Of these, bytes that take no further room, for they are shared with the first store.
    pub shared_bytes: u64,
    /// Blobs that were there before.
    pub present_blobs: usize,
    /// Their bytes.
    pub present_bytes: u64,
    /// Unfinished downloads that were copied.
    pub partials: usize,
    /// Roots that keep blobs in the other store.
    pub roots: usize,
}

/// What moving a store did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct StoreMoveReport {
    /// What was copied.
    #[serde(flatten)]
    pub copy: StoreCopyReport,
    /// The projects that use it, and whether their links lead to the new place.
    pub projects: Vec<MovedProject>,
    /// The settings files that name the new place.
    #[serde(serialize_with = "super::paths")]
    pub settings_files: Vec<PathBuf>,
    /// Bytes that the old place gave back.
    pub freed_bytes: u64,
    /// Files that stay in the old place.
    #[serde(serialize_with = "super::paths")]
    pub left: Vec<PathBuf>,
    /// Whether the old place was freed.
    pub freed: bool,
}

/// A project whose store moved.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MovedProject {
    /// Its models directory.
    pub path: PathBuf,
    /// Views that were made again, or would be.
    pub views: usize,
    /// Why not all of them were.
    pub problem: Option<String>,
}
