//! What takes the room of a store.

use super::store::BlobUser;
use serde::Serialize;
use std::path::PathBuf;

/// What takes the room of a store, each blob said once.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct UsageReport {
    /// The store.
    pub store: PathBuf,
    /// Its blobs, those with the same users together; the largest first.
    pub groups: Vec<UsageGroup>,
    /// What it comes to.
    pub totals: UsageTotals,
}

/// Blobs that have the same users.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UsageGroup {
    /// Who needs them; nobody where nothing does.
    pub users: Vec<BlobUser>,
    /// How many there are.
    pub blobs: usize,
    /// Bytes that they take on the volume.
    pub disk_bytes: u64,
}

/// What a store comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageTotals {
    /// Bytes of all blobs.
    pub stored_bytes: u64,
    /// Bytes of interrupted downloads.
    pub partial_bytes: u64,
    /// Bytes that a collection would give back now.
    pub collectable_bytes: u64,
    /// Bytes free on the volume.
    pub free_bytes: u64,
    /// Bytes of the whole volume.
    pub volume_bytes: u64,
}
