//! What the store has, who needs it, and what a collection did.

use super::evict::EvictedModel;
use crate::{
    digest::{GitSha1, Sha256Digest},
    store::{IngestKey, Provenance, RootOwner, StoreFinding, Trust, Unreferenced},
};
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// A blob in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BlobReport {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl From<&Unreferenced> for BlobReport {
    fn from(blob: &Unreferenced) -> Self {
        Self { sha256: blob.digest, size: blob.size }
    }
}

/// A view, or something else of a project, that uses a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlobUser {
    /// The models directory of its project when that was last seen, or the project's identity where that is not known.
    pub project: String,
    /// What uses it there.
    #[serde(flatten, serialize_with = "super::owner")]
    pub owner: RootOwner,
}

impl std::fmt::Display for BlobUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.project, self.owner)
    }
}

/// A partial download in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartialReport {
    /// Its name in the store.
    pub key: String,
    /// The file it will become.
    pub file: String,
    /// Bytes it takes on the volume.
    pub disk_bytes: u64,
}

impl From<&(IngestKey, String, u64)> for PartialReport {
    fn from((key, file, bytes): &(IngestKey, String, u64)) -> Self {
        Self { key: key.to_string(), file: file.clone(), disk_bytes: *bytes }
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GcSummary {
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Models that were not used for long and are gone.
    pub models: Vec<EvictedModel>,
    /// Blobs that are gone.
    pub blobs: Vec<BlobReport>,
    /// Abandoned partial downloads that are gone.
    pub partials: Vec<PartialReport>,
    /// Records without a blob and temporary files of dead processes that are gone.
    #[serde(serialize_with = "super::paths")]
    pub leftovers: Vec<PathBuf>,
    /// Blobs among those that free nothing, because the file has further names (hard links).
    pub frees_nothing: Vec<BlobReport>,
    /// Blobs that stay because a program has them open; Windows removes no such file.
    pub open: Vec<BlobReport>,
    /// What it comes to.
    pub totals: GcTotals,
    /// The longest time others were shut out, in milliseconds; `null` in a plan.
    pub longest_section_ms: Option<f64>,
}

#[cfg(test)]
impl GcSummary {
    /// A plan in which only models go.
    pub(crate) fn example(models: Vec<EvictedModel>) -> Self {
        Self {
            dry_run: true,
            models,
            blobs: Vec::new(),
            partials: Vec::new(),
            leftovers: Vec::new(),
            frees_nothing: Vec::new(),
            open: Vec::new(),
            totals: GcTotals { kept_blobs: 0, young_blobs: 0, young_bytes: 0, freed_bytes: 0 },
            longest_section_ms: None,
        }
    }
}

/// What a collection comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GcTotals {
    /// Blobs that stay because something needs them.
    pub kept_blobs: usize,
    /// Blobs that nothing needs and that stay because they are younger than the grace period.
    pub young_blobs: usize,
    /// Bytes of those.
    pub young_bytes: u64,
    /// Bytes given back.
    pub freed_bytes: u64,
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
    /// Who uses it.
    pub users: Vec<BlobUser>,
    /// Whether a running process relies on it.
    pub leased: bool,
    /// How far its content is trusted: `tofu` where nobody published a hash; `null` where nothing is recorded.
    pub trust: Option<Trust>,
    /// Where it came from.
    #[serde(serialize_with = "sources")]
    pub sources: Vec<Provenance>,
}

/// Each source with the same keys, whatever kind it is.
fn sources<S: Serializer>(sources: &[Provenance], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(sources.iter().map(BlobSource::of))
}

/// Where a blob came from, in JSON.
#[derive(Default, Serialize)]
struct BlobSource<'a> {
    /// `source`, `local`, `app`, `remote` or `unknown`.
    kind: &'static str,
    /// Base address of the Hub, mirror or server.
    endpoint: Option<&'a str>,
    repo: Option<&'a str>,
    commit: Option<&'a str>,
    /// The file's path in the repository.
    repo_path: Option<&'a str>,
    /// Git's blob id, for files outside LFS.
    git_sha1: Option<GitSha1>,
    /// Where a local file was.
    path: Option<&'a str>,
    /// The application, or the remote.
    name: Option<&'a str>,
    /// An entry of a later version as it stands in the record.
    entry: Option<&'a str>,
}

impl<'a> BlobSource<'a> {
    fn of(source: &'a Provenance) -> Self {
        match source {
            Provenance::Source(file) => Self {
                kind: "source",
                endpoint: Some(&file.endpoint),
                repo: file.repo.as_deref(),
                commit: file.commit.as_deref(),
                repo_path: file.path.as_deref(),
                git_sha1: file.git_sha1,
                ..Self::default()
            },
            Provenance::Local { path } => Self { kind: "local", path: path.as_deref(), ..Self::default() },
            Provenance::App { app, path } => Self { kind: "app", name: Some(app), path: path.as_deref(), ..Self::default() },
            Provenance::Remote { name } => Self { kind: "remote", name: Some(name), ..Self::default() },
            Provenance::Unknown(entry) => Self { kind: "unknown", entry: Some(entry.as_str()), ..Self::default() },
        }
    }
}

/// Where the store's bytes are.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DfReport {
    /// The store.
    pub store: PathBuf,
    /// What it holds.
    pub totals: DfTotals,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DfTotals {
    /// Number of blobs.
    pub blobs: usize,
    /// Number of blobs that are known to be damaged.
    pub damaged_blobs: usize,
    /// Number of projects.
    pub projects: usize,
    /// Bytes that all views together show.
    pub shown_bytes: u64,
    /// Bytes that all blobs take on the volume.
    pub stored_bytes: u64,
    /// Bytes that sharing saves.
    pub shared_bytes: u64,
    /// Bytes of blobs that nothing needs.
    pub reclaimable_bytes: u64,
    /// Bytes of interrupted downloads.
    pub partial_bytes: u64,
    /// Bytes free on the volume.
    pub free_bytes: u64,
    /// Bytes of the whole volume.
    pub volume_bytes: u64,
}

/// What `doctor` found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// The store.
    pub store: PathBuf,
    /// Whether every byte was read.
    pub full: bool,
    /// What is not as it should be, the worst first.
    pub findings: Vec<StoreFinding>,
    /// What was looked at.
    pub totals: DoctorTotals,
}

/// What `doctor` looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DoctorTotals {
    /// Number of blobs.
    pub blobs: usize,
}
