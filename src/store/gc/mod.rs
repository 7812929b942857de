//! Collects what nothing needs.
//!
//! A process that needs a blob publishes a root or a lease first and looks for the blob afterwards, both in a shared critical
//! section. The collector reads all roots and leases in an exclusive one, and there renames what is not needed into `trash/`.
//! So either it sees the root, or the consumer finds the blob gone and takes it back from the trash or fetches it again. Bytes are
//! unlinked when no lock is held. A root that cannot be read ends the collection: what it protects is not known.

mod execute;
mod plan;

use super::{FileLock, Result, Store, StoreError, Wait, layout::IngestKey, snapshot::RootSnapshot};
use crate::{
    digest::Sha256Digest,
    disk::{self, Kind, LockKind, Stat},
};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Temporary files of processes that died are swept after this long.
pub(in crate::store) const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// Unreferenced blobs younger than this stay.
    pub grace: Duration,
    /// Partial downloads that no process touched for this long go.
    pub partial_age: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(3600), partial_age: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// A blob that nothing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreferenced {
    /// Its address.
    pub digest: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes that its removal gives back: 0 where the file has further names.
    pub frees: u64,
}

/// What a collection would do. Acting on it checks everything again.
#[derive(Debug, Clone, Default)]
pub struct GcPlan {
    /// Blobs that go.
    pub blobs: Vec<Unreferenced>,
    /// Unreferenced blobs that are too young to go, and their bytes.
    pub young: (usize, u64),
    /// Blobs that stay because something needs them.
    pub kept: usize,
    /// Abandoned partial downloads that go, with the bytes they take.
    pub partials: Vec<(IngestKey, String, u64)>,
    /// Records of blobs that are not there.
    pub orphans: Vec<PathBuf>,
    /// Temporary files of processes that died.
    pub orphan_temps: Vec<PathBuf>,
    /// Blobs that an earlier collection moved to the trash and did not remove.
    pub trash: Vec<Unreferenced>,
    /// Leases that this user may not look at: what they list counts as not needed here.
    pub hidden_leases: usize,
}

impl GcPlan {
    /// Bytes that carrying it out gives back.
    pub fn frees(&self) -> u64 {
        let blobs = self.blobs.iter().chain(&self.trash).map(|blob| blob.frees);
        blobs.chain(self.partials.iter().map(|(_, _, bytes)| *bytes)).sum()
    }
    /// Whether there is nothing to do.
    #[cfg(feature = "unstable")]
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
            && self.partials.is_empty()
            && self.orphans.is_empty()
            && self.orphan_temps.is_empty()
            && self.trash.is_empty()
    }
}

/// What a collection did.
#[derive(Debug, Clone, Default)]
pub struct GcReport {
    /// Blobs that are gone.
    pub removed: Vec<Unreferenced>,
    /// Partial downloads that are gone, with the bytes they took.
    pub partials: Vec<(IngestKey, String, u64)>,
    /// Records without a blob and temporary files that are gone.
    pub leftovers: Vec<PathBuf>,
    /// Blobs that stay because a program has them open; they go with a later collection.
    pub open: Vec<Unreferenced>,
    /// Bytes given back.
    pub freed: u64,
    /// The longest exclusive section.
    pub longest_section: Duration,
}

/// The right to collect: one process has it.
#[must_use = "the right ends when this value is dropped"]
#[derive(Debug)]
pub struct Collector {
    store: Store,
    _lock: FileLock,
    roots: RootSnapshot,
}

impl Store {
    /// Becomes the one collector. `alone` promises, for a store on a network file system, that no other host uses it.
    pub fn collector(&self, alone: bool, wait: &Wait) -> Result<Collector> {
        self.require_writable()?;
        let root = self.layout().root();
        if !self.locks_work() || (!alone && disk::is_network_file_system(root)) {
            return Err(StoreError::NoSafeCollection { path: root.to_owned() });
        }
        let lock = self.acquire(&self.layout().gc_lock(), LockKind::Exclusive, "the garbage collector", wait)?;
        Ok(Collector { store: self.clone(), _lock: lock, roots: RootSnapshot::default() })
    }
}

impl Collector {
    /// The store that it may collect from.
    pub(in crate::store) fn store(&self) -> &Store {
        &self.store
    }
}

fn unreferenced(digest: Sha256Digest, stat: &Stat) -> Unreferenced {
    Unreferenced { digest, size: stat.len, frees: if stat.nlink > 1 || stat.kind != Kind::File { 0 } else { stat.allocated } }
}

pub(in crate::store) fn age(now: SystemTime, mtime_ns: i64) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(mtime_ns.max(0) as u64))
}
