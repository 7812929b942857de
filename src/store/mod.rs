//! The content-addressed store: blobs named by SHA-256, the records beside them, and the locks, leases and roots that
//! make sharing it safe. The format on disk is specified in `store-layout.md`.

mod check;
mod copy;
mod damage;
mod error;
mod examine;
mod exposures;
pub mod format;
mod gc;
mod headers;
mod ingest;
mod known;
mod layout;
mod lease;
mod lock;
mod moved;
mod open;
mod ownership;
mod project;
mod records;
mod relocation;
mod repair;
mod replacements;
mod roots;
mod snapshot;
mod used;

pub use crate::disk::lock::{FileLock, Wait};
pub use check::{BlobState, CheckMode, Progress};
pub use copy::{CopyPlan, RootsOf, is_nested};
pub use damage::Damage;
pub use error::{Result, StoreError};
pub use examine::{Examined, Severity, StoreFinding};
pub use exposures::{MadeItems, Making};
pub use format::{
    BlobMeta, Exposure, ExposureState, OpaqueJson, PlacedItem, Provenance, Replacement, Root, RootOwner, RootRecord, Stamp, Trust,
    TrustWord, UpstreamFile, ViewFile, ViewKey,
};
pub use gc::{Collector, GcOptions, GcPlan, GcReport, Unreferenced};
pub use headers::{HeaderEntry, HeaderPlace};
pub use ingest::borrow::{BorrowReader, Lender};
pub use ingest::cursor::{Advance, ResumeState};
pub use ingest::import::{FileToImport, ImportMode, hash_file};
pub use ingest::other_store::{BlobToImport, Imported, Sharing};
pub use ingest::publish::{Complete, commit_all};
pub use ingest::writer::{Acquired, BlobRequest, BlobWriter};
pub use known::{FoundBlob, KnownStore, KnownStores, Unusable};
pub use layout::{Dir, IngestKey, Layout, PartialPaths, STORE_DIR, VersionKey, leads_to_marker};
pub use lease::{Lease, Leased};
pub use moved::{Closing, Freed};
pub use open::require_folder_or_nothing;
pub use ownership::ShutOut;
pub use project::{PROJECT_FILE, Project};
pub use relocation::ProjectLocation;
pub use replacements::FileToReplace;
pub use roots::ViewName;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    pub use super::{ingest::journal::fuzzed as journal, project::fuzzed as identity};
}

use crate::{
    digest::{SEGMENT_LEN, Sha256Digest},
    disk::{self, Disk, Kind, LockKind, Stat},
};
use format::Marker;
use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Room that is left on the volume: the smaller of 256 MiB and a hundredth of it.
fn reserve(total: u64) -> u64 {
    (total / 100).min(256 << 20)
}

/// A blob in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its address.
    pub digest: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An open store. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Arc<dyn Disk>,
    layout: Layout,
    marker: Marker,
    access: Access,
    /// How critical sections are waited for.
    wait: Wait,
    /// Blobs whose names this process made durable.
    named: Arc<Mutex<HashSet<Sha256Digest>>>,
    /// What the marker's file looked like when it was read; `None` where the store was known to be moved.
    marked: Option<Stamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Writable, and locks shut others out.
    Trusted,
    /// Writable, but locks do nothing here.
    Untrusted,
    /// It can only be read.
    ReadOnly(WhyReadOnly),
}

/// Why a store can only be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyReadOnly {
    /// Its volume is mounted read-only.
    Volume,
    /// This user lacks the permission.
    Permission,
    /// Only a newer program may write it.
    NewerLayout,
    /// Something that is no folder stands where its locks belong.
    NoLocks,
    /// It was opened for nothing else.
    ForReading,
}

/// A critical section: while it lasts, no blob is moved to the trash.
#[must_use = "the section ends when this value is dropped"]
#[derive(Debug)]
pub struct StoreGuard {
    _lock: Option<FileLock>,
}

impl Store {
    /// The same store with another lock timeout: waits are reported and can be cancelled.
    #[must_use]
    pub fn waiting(&self, wait: Wait) -> Self {
        let Inner { disk, layout, marker, access, named, marked, .. } = &*self.0;
        let (disk, layout, marker, named) = (disk.clone(), layout.clone(), marker.clone(), named.clone());
        Self(Arc::new(Inner { disk, layout, marker, access: *access, wait, named, marked: *marked }))
    }

    /// The same store, whose disk also enters another folder by handle only.
    fn beside(&self, root: &Path) -> Self {
        let Inner { disk, layout, marker, access, wait, named, marked } = &*self.0;
        let (disk, layout, marker, wait) = (disk.clone().confined(root), layout.clone(), marker.clone(), wait.clone());
        Self(Arc::new(Inner { disk, layout, marker, access: *access, wait, named: named.clone(), marked: *marked }))
    }

    /// Whether nobody but this user (and root) can write it.
    fn is_of_this_user_alone(&self) -> Result<bool> {
        let root = self.disk().stat_follow(self.layout().root())?;
        Ok(disk::user_id() == Some(root.uid) && root.mode & 0o022 == 0 && !self.marker().is_shared())
    }

    /// How to wait for its locks. The waits of one command count together.
    pub fn wait(&self) -> &Wait {
        &self.0.wait
    }

    /// Every path in it.
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }
    /// The file system it is on.
    pub fn disk(&self) -> &dyn Disk {
        &*self.0.disk
    }
    /// What it says about itself.
    pub fn marker(&self) -> &Marker {
        &self.0.marker
    }
    /// Whether this user can write it.
    pub fn is_writable(&self) -> bool {
        self.read_only().is_none()
    }
    /// Why it can only be read; `None` where it can be written.
    pub fn read_only(&self) -> Option<WhyReadOnly> {
        match self.0.access {
            Access::ReadOnly(why) => Some(why),
            Access::Trusted | Access::Untrusted => None,
        }
    }
    /// Whether locks shut others out here. Where they do not, nothing is resumed, collected or repaired.
    pub fn locks_work(&self) -> bool {
        self.0.access == Access::Trusted
    }

    /// Refuses where this user cannot write.
    pub fn require_writable(&self) -> Result<()> {
        match self.read_only() {
            None => Ok(()),
            Some(why) => Err(StoreError::ReadOnly { path: self.layout().root().to_owned(), why }),
        }
    }

    /// The blob of this address, by one look at the disk.
    pub fn find(&self, digest: &Sha256Digest) -> Result<Option<Blob>> {
        Ok(self.stat(digest)?.map(|stat| Blob { digest: *digest, size: stat.len }))
    }

    /// The same for a blob that should have `size` bytes: one with a wrong length, as after a crash of the file system,
    /// or with known damage, counts as missing. If its record confirms the length, the requested size is wrong.
    pub fn find_whole(&self, digest: &Sha256Digest, size: Option<u64>) -> Result<Option<Blob>> {
        let Some(blob) = self.find(digest)? else { return Ok(None) };
        let is_whole = match size {
            Some(size) if size == blob.size => true,
            Some(_) => self.meta(digest)?.is_some_and(|meta| meta.size == blob.size),
            None => self.meta(digest)?.is_none_or(|meta| meta.size == blob.size),
        };
        Ok((is_whole && self.damage(digest)?.is_none()).then_some(blob))
    }

    /// Facts about a blob's file.
    pub fn stat(&self, digest: &Sha256Digest) -> Result<Option<Stat>> {
        Ok(self.disk().find(&self.layout().blob(digest))?.filter(|stat| stat.kind == Kind::File))
    }

    /// Blobs whose names this process made durable.
    fn named(&self) -> MutexGuard<'_, HashSet<Sha256Digest>> {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a short critical section. No network, no hashing and no waiting may happen in it.
    pub fn shared(&self) -> Result<StoreGuard> {
        if self.0.access != Access::Trusted {
            return Ok(StoreGuard { _lock: None });
        }
        let lock = self.acquire(&self.layout().store_lock(), LockKind::Shared, "the store", &self.0.wait)?;
        Ok(StoreGuard { _lock: Some(lock) })
    }

    pub(crate) fn lock_blob(&self, key: &IngestKey, what: &str, wait: &Wait) -> Result<FileLock> {
        self.acquire(&self.layout().blob_lock(key), LockKind::Exclusive, what, wait)
    }

    /// Refuses when `need` more bytes would not fit beside the reserve.
    pub fn require_space(&self, need: u64) -> Result<()> {
        if need == 0 {
            return Ok(());
        }
        let space = self.disk().space(self.layout().root())?;
        match space.available.saturating_sub(reserve(space.total)) >= need {
            true => Ok(()),
            false => Err(self.no_space(need)),
        }
    }

    pub(crate) fn no_space(&self, need: u64) -> StoreError {
        let free = self.disk().space(self.layout().root()).map_or(0, |space| space.available);
        StoreError::NoSpace { path: self.layout().root().to_owned(), need, free }
    }

    /// Every blob, by a walk over the 256 folders.
    pub fn blobs(&self) -> Result<Vec<Sha256Digest>> {
        let mut blobs = Vec::new();
        for first in 0..=255 {
            let names = crate::disk::absent_is_none(self.disk().list(&self.layout().shard(Dir::Blobs, first)))?.unwrap_or_default();
            let files = names.iter().filter(|entry| entry.kind == Kind::File);
            blobs.extend(files.filter_map(|entry| Layout::digest_in(Dir::Blobs, first, &entry.name)));
        }
        blobs.sort();
        Ok(blobs)
    }

    /// Whether an earlier version of a file was left unfinished.
    pub fn has_other_version(&self, key: &VersionKey) -> Result<bool> {
        let is_other = |partial: &Partial| match partial.key {
            IngestKey::Version(other) => other != *key && other.is_of_same_file(key),
            _ => false,
        };
        Ok(self.partials()?.iter().any(is_other))
    }

    /// Every partial download with its record and the bytes it takes on the volume.
    pub fn partials(&self) -> Result<Vec<Partial>> {
        let dir = self.layout().dir(Dir::Ingest);
        let mut partials = Vec::new();
        for entry in self.disk().list_sorted(&dir)?.into_iter().filter(|entry| entry.kind == Kind::Dir) {
            let Ok(key) = entry.name.parse::<IngestKey>() else { continue };
            if key.to_string() != entry.name {
                continue;
            }
            let paths = self.layout().partial(&key);
            let record = self.read_record(&paths.record, format::SHORT_RECORD)?.and_then(|text| serde_json::from_slice(&text).ok());
            let data = self.disk().find(&paths.data)?;
            // A file that is being imported has another name and takes nothing here.
            let allocated = data.filter(|stat| stat.nlink <= 1).map_or(0, |stat| stat.allocated);
            partials.push(Partial { key, record, allocated, paths });
        }
        Ok(partials)
    }
}

/// A partial download that no process need be filling now.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Its name.
    pub key: IngestKey,
    /// What it will become; `None` where its record is unreadable.
    pub record: Option<format::PartialRecord>,
    /// Bytes it takes on the volume.
    pub allocated: u64,
    /// Where it is.
    pub paths: PartialPaths,
}

const _: () = assert!(SEGMENT_LEN.is_power_of_two());
