//! What a sync did, or would do.

use super::{
    download::{DownloadReport, PlanReport},
    lock::LockLine,
    remove::RemoveReport,
};
use crate::digest::Sha256Digest;
use serde::Serialize;
use std::path::PathBuf;

/// What a sync did, or would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// The lock file.
    pub lock_file: PathBuf,
    /// Entries that were locked anew first, because the registry changed.
    pub relocked: Vec<LockLine>,
    /// Every locked view, made.
    pub views: Vec<DownloadReport>,
    /// Every locked view, planned; of a dry run.
    pub plans: Vec<PlanReport>,
    /// Damaged content that is whole again.
    pub mended: Vec<MendedBlob>,
    /// Links and files of ours in locked views that do not belong there, which are gone.
    pub removed: Vec<PathBuf>,
    /// Files in locked views that are not ours, which stay.
    pub kept: Vec<KeptFile>,
    /// Views that are not locked, which are gone; `null` where that was not asked for.
    pub pruned: Option<RemoveReport>,
    /// Bytes that travelled.
    pub fetched: u64,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

/// Damaged content that is whole again.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MendedBlob {
    /// The file that shows it.
    pub path: PathBuf,
    /// Its address.
    pub sha256: Sha256Digest,
    /// Bytes that travelled for it; 0 for a copy that was made anew, or where the whole is fetched with its view.
    pub fetched: u64,
}

/// A file that stays where it is.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KeptFile {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}
