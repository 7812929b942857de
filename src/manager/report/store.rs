//! What the store has, who needs it, and what a collection did.

use crate::{
    digest::Sha256Digest,
    store::{Finding, IntakeKey, Provenance, Trust, Unreferenced},
};
use serde::Serialize;
use std::path::PathBuf;

/// A blob in a report.
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct BlobLine {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl From<&Unreferenced> for BlobLine {
    fn from(blob: &Unreferenced) -> Self {
        Self { sha256: blob.digest, size: blob.size }
    }
}

/// A partial download in a report.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PartialLine {
    /// Its name in the store.
    pub key: String,
    /// The file it will become.
    pub what: String,
    /// Bytes it takes on the volume.
    pub bytes: u64,
}

impl From<&(IntakeKey, String, u64)> for PartialLine {
    fn from((key, what, bytes): &(IntakeKey, String, u64)) -> Self {
        Self { key: key.to_string(), what: what.clone(), bytes: *bytes }
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GcSummary {
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Blobs that are gone.
    pub blobs: Vec<BlobLine>,
    /// Abandoned partial downloads that are gone.
    pub partials: Vec<PartialLine>,
    /// Records without a blob and temporary files of dead processes that are gone.
    pub leftovers: Vec<PathBuf>,
    /// Blobs that stay because something needs them.
    pub kept: usize,
    /// Unreferenced blobs that stay because they are younger than the grace period.
    pub young: usize,
    /// Bytes of those.
    pub young_bytes: u64,
    /// Bytes given back.
    pub freed: u64,
    /// Blobs among them that free nothing, because the file has further names (hard links).
    pub frees_nothing: Vec<BlobLine>,
    /// Blobs that stay because a program has them open; Windows removes no such file.
    pub open: Vec<BlobLine>,
    /// The longest time others were shut out, in milliseconds.
    pub longest_section_ms: Option<f64>,
}

/// Who keeps a blob.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WhyReport {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes, where it is there.
    pub size: Option<u64>,
    /// Whether it is in the store.
    pub present: bool,
    /// Whether it is known to be damaged.
    pub damaged: bool,
    /// Who uses it: `<project path>: <view>`.
    pub users: Vec<String>,
    /// Whether a running process relies on it.
    pub leased: bool,
    /// How far its content is vouched for: `tofu` where nobody published a hash; `null` where nothing is recorded.
    pub trust: Option<Trust>,
    /// Where it came from.
    pub sources: Vec<Provenance>,
}

/// Where the store's bytes are.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DfReport {
    /// The store.
    pub store: PathBuf,
    /// Number of blobs.
    pub blobs: usize,
    /// Number of blobs that are known to be damaged.
    pub damaged: usize,
    /// Number of projects.
    pub projects: usize,
    /// Bytes that all views together show.
    pub logical: u64,
    /// Bytes that all blobs take on the volume.
    pub physical: u64,
    /// Bytes that sharing saves.
    pub shared: u64,
    /// Bytes of blobs that nothing needs.
    pub reclaimable: u64,
    /// Bytes of interrupted downloads.
    pub partial: u64,
    /// Bytes free on the volume.
    pub free: u64,
    /// Size of the volume.
    pub total: u64,
}

/// What a doctor's visit found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// The store.
    pub store: PathBuf,
    /// Number of blobs.
    pub blobs: usize,
    /// Whether every byte was read.
    pub read_bytes: bool,
    /// What is not as it should be, the worst first.
    pub findings: Vec<Finding>,
}
