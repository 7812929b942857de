//! What a sync did, or would do.

use super::{DownloadReport, KeptFile, LockEntryReport, PlanReport, RemoveReport, RepairedFile};
use serde::Serialize;
use std::path::PathBuf;

/// What a sync did, or would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// The lock file.
    pub lock_file: PathBuf,
    /// Entries that were locked again first, because the registry changed.
    pub relocked: Vec<LockEntryReport>,
    /// Every locked view; none in a plan.
    pub models: Vec<DownloadReport>,
    /// Every locked view, planned; of a dry run.
    pub plans: Vec<PlanReport>,
    /// Damaged content that is whole again.
    pub repairs: Vec<RepairedFile>,
    /// Links and files of ours in locked views that do not belong there, which are gone.
    #[serde(serialize_with = "super::paths")]
    pub removed: Vec<PathBuf>,
    /// Files in locked views that are not ours, which stay.
    pub kept: Vec<KeptFile>,
    /// Views that are not locked, which are gone; `null` where that was not asked for.
    pub pruned: Option<RemoveReport>,
    /// What it comes to.
    pub totals: SyncTotals,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

/// What a sync comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncTotals {
    /// Bytes that were downloaded, or, in a plan, that would be.
    pub download_bytes: u64,
}
