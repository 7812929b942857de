//! The content-addressed store: blobs named by SHA-256, the records beside them, and the locks, leases and roots that
//! make sharing it safe. The format on disk is specified in `store-layout.md`.

mod check;
mod damage;
mod error;
mod examine;
pub mod format;
mod front;
mod gc;
mod intake;
mod journal;
mod layout;
mod lease;
pub mod lock;
mod ownership;
mod partial;
mod place;
mod publish;
mod relocation;
mod repair;
mod roots;
mod snapshot;
mod take_in;

pub use check::{BlobState, CheckMode, Progress};
pub use damage::Damage;
pub use error::{Result, StoreError};
pub use examine::{Examined, Finding, Severity};
pub use format::{BlobMeta, RootRecord, Source, Stamp, Trust, ViewFile, ViewKey};
pub use front::{Front, Reached, Standing};
pub use gc::{Collector, GcOptions, GcPlan, GcReport, Unreferenced};
pub use intake::{Admission, Intake, Want};
pub use layout::{IntakeKey, Layout, STORE_DIR, leads_to_marker};
pub use lease::{Lease, Leased};
pub use lock::{FileLock, Wait};
pub use ownership::ShutOut;
pub use publish::{Complete, commit_all};
pub use relocation::Location;
pub use roots::{PROJECT_FILE, Project};
pub use take_in::{TakeIn, hash_file};

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    pub use super::{journal::fuzzed as journal, roots::fuzzed as identity};
}

use crate::{
    digest::{SEGMENT_LEN, SegmentValue, Sha256Digest, merge_segments},
    disk::{Disk, DiskError, Kind, LockKind, Open, Stat},
};
use format::{DirMode, Marker};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The default timeout of a short critical section. One lasts milliseconds; this allows for a suspended holder.
const SECTION_TIMEOUT: Duration = Duration::from_secs(120);

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
    /// How sections are waited for.
    wait: Wait,
    /// Blobs whose names this process made durable.
    named: Arc<Mutex<HashSet<Sha256Digest>>>,
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
pub enum WhyReadOnly {
    /// Its volume is mounted read-only.
    Volume,
    /// This user lacks the permission.
    Permission,
    /// Only a newer program may write it.
    NewerLayout,
    /// Something that is no folder stands where its locks belong.
    NoLocks,
}

/// A short critical section: while it lasts, no blob is condemned.
#[must_use = "the section ends when this value is dropped"]
#[derive(Debug)]
pub struct Shared {
    _lock: Option<FileLock>,
}

impl Store {
    /// Opens the store at `root`; it must be one. What an interrupted initialisation left counts as nothing.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        let layout = Layout::new(root);
        // From here on everything below the root is reached by handle, so that no link can redirect it.
        let disk = disk.confined(root);
        let looked = disk.read_record_of(&layout.marker(), format::SHORT_RECORD);
        if !matches!(looked, Ok(Some(_))) {
            require_folder_or_nothing(&*disk, root)?;
        }
        let text = match looked.map_err(StoreError::of_record)? {
            Some(text) => text,
            None if holds_only_ours(&*disk, root)? => return Err(StoreError::Absent { path: root.to_owned() }),
            // Looked for once more: another process may have finished making it between the two looks.
            None => disk
                .read_record_of(&layout.marker(), format::SHORT_RECORD)?
                .ok_or_else(|| StoreError::NotAStore { path: root.to_owned() })?,
        };
        let marker: Marker = format::from_json(&layout.marker(), &text)?;
        if let Some(needs) = marker.reader_lacks() {
            return Err(StoreError::TooNew { path: root.to_owned(), needs });
        }
        let access = if marker.min_writer > format::LAYOUT_VERSION {
            Access::ReadOnly(WhyReadOnly::NewerLayout)
        } else {
            match test_locks(&*disk, &layout, marker.folder_mode()) {
                Ok(true) => Access::Trusted,
                Ok(false) => Access::Untrusted,
                Err(StoreError::Disk(error)) if error.is_read_only() => {
                    let is_volume = error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
                    Access::ReadOnly(if is_volume { WhyReadOnly::Volume } else { WhyReadOnly::Permission })
                }
                // A full disk must not keep anybody from reading or cleaning.
                Err(StoreError::Disk(error)) if error.is_no_space() => Access::Trusted,
                // What is here can still be read.
                Err(_) if is_in_the_way(&*disk, &layout.dir("lock")) => Access::ReadOnly(WhyReadOnly::NoLocks),
                Err(error) => return Err(error),
            }
        };
        Ok(Self(Arc::new(Inner { disk, layout, marker, access, wait: Wait::silent(Some(SECTION_TIMEOUT)), named: Arc::default() })))
    }

    /// The same store with another lock timeout: waits are reported and can be cancelled.
    #[must_use]
    pub fn waiting(&self, wait: Wait) -> Self {
        let Inner { disk, layout, marker, access, named, .. } = &*self.0;
        let (disk, layout, marker, named) = (disk.clone(), layout.clone(), marker.clone(), named.clone());
        Self(Arc::new(Inner { disk, layout, marker, access: *access, wait, named }))
    }

    /// How to wait for its locks. The waits of one command count together.
    pub fn wait(&self) -> &Wait {
        &self.0.wait
    }

    /// Opens the store at `root`, or makes one where nothing or an empty folder stands. `shared` makes it writable by
    /// the folder's group.
    pub fn open_or_init(disk: Arc<dyn Disk>, root: &Path, shared: bool) -> Result<Self> {
        let made = match Self::open(disk.clone(), root) {
            Err(StoreError::Absent { .. }) => None,
            // What is there besides may be the marker and the first blobs of a process that was faster.
            Err(StoreError::NotAStore { .. }) => Some(Self::open(disk.clone(), root)?),
            other => Some(other?),
        };
        if let Some(store) = made {
            if store.is_writable() {
                store.create_locks()?;
            }
            return Ok(store);
        }
        let marker = Marker::new(shared);
        let layout = Layout::new(root);
        let disk = disk.confined(root);
        let above: Vec<&Path> = root.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty()).collect();
        let missing = above.iter().take_while(|dir| matches!(disk.find(dir), Ok(None))).count();
        create_folders(&*disk, &layout, marker.folder_mode())?;
        for dir in above.iter().take(missing + 1) {
            disk.sync_dir(dir)?;
        }
        disk.sync_dir(&layout.dir("lock"))?;
        let tmp = layout.dir("tmp");
        // This syncs the root folder too, so that the marker is never there without the folders.
        disk.replace_small(&layout.cachedir_tag(), format::CACHEDIR_TAG.as_bytes(), marker.file_mode(), &tmp)?;
        // The marker comes last and never replaces another: of two processes that make the store at once, one wins.
        match disk.write_unnamed(&format::to_json(&marker), marker.file_mode(), &tmp)?.name_new(&layout.marker()) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        disk.sync_dir(root)?;
        let store = Self::open(disk, root)?;
        store.create_locks()?;
        Ok(store)
    }

    /// Creates missing lock files of the whole store, so that a collection needs no inode. If the volume is full, the
    /// error is left to the operation that needs the lock.
    fn create_locks(&self) -> Result<()> {
        let layout = self.layout();
        for path in [layout.store_lock(), layout.gc_lock(), layout.records_lock(), layout.projects_lock()] {
            if self.disk().find(&path)?.is_none() {
                match self.disk().open(&path, Open::CreateIfMissing(self.marker().lock_mode())) {
                    Err(error) if error.is_no_space() || error.is_read_only() => {}
                    other => drop(other?),
                }
            }
        }
        Ok(())
    }

    /// Whether `root` is a store whose initialisation is running or was interrupted: [`Store::open_or_init`] completes
    /// it.
    pub fn is_unfinished(disk: &dyn Disk, root: &Path) -> Result<bool> {
        holds_only_ours(disk, root)
    }

    /// Creates missing folders, narrows the modes of locks and leases, and removes mode bits from the marker that are
    /// never used.
    pub fn complete(&self) -> Result<()> {
        self.require_writable()?;
        create_folders(self.disk(), self.layout(), self.marker().folder_mode())?;
        self.create_locks()?;
        if cfg!(unix) {
            self.close_locks()?;
        }
        if self.marker().dir_mode.refused().is_some() {
            self.replace_record(&self.layout().marker(), &format::to_json(&self.marker().without_refused()))?;
        }
        Ok(())
    }

    fn close_locks(&self) -> Result<()> {
        let mode = self.marker().lock_mode();
        for dir in ["lock", "lock/b", "leases"].map(|dir| self.layout().dir(dir)) {
            for entry in self.disk().list_sorted(&dir)?.into_iter().filter(|entry| entry.kind == Kind::File) {
                let path = dir.join(entry.name);
                let is_open = |stat: Stat| stat.mode & 0o777 & !mode != 0;
                if self.layout().is_lock(&path) && self.disk().find(&path)?.is_some_and(is_open) {
                    // Only its owner can. Files of other users, or removed meanwhile, are skipped.
                    let close = |file: Box<dyn crate::disk::DiskFile>| match file.stat()?.nlink {
                        0 | 1 => file.set_mode(mode),
                        // Another name may be outside of the store.
                        _ => Err(DiskError::wrong_kind("close", &path)),
                    };
                    let _ = self.disk().open(&path, Open::Write).and_then(close);
                }
            }
        }
        Ok(())
    }

    /// Lets the group of the store's folder write it from now on: its folders and records go to that group and get the
    /// modes of a shared store. Only its owner can change a file, so files of other members are skipped if they are
    /// right; the first wrong one is returned as the error after the rest is done.
    pub fn share(&self) -> Result<Self> {
        self.complete()?;
        let marker = Marker { dir_mode: DirMode::SHARED, ..self.marker().clone() };
        let root = self.layout().root();
        let mut first_failure = Ok(());
        let mut folders = vec![root.to_owned()];
        let group = self.disk().stat_follow(root)?.gid;
        while let Some(folder) = folders.pop() {
            let mut tell = |result: Result<()>| {
                if first_failure.is_ok() {
                    first_failure = result;
                }
            };
            tell(self.share_one(&folder, group, marker.folder_mode()));
            for entry in self.disk().list_sorted(&folder)? {
                let path = folder.join(&entry.name);
                match entry.kind {
                    Kind::Dir if folder != root || Layout::is_fixed_dir(&entry.name) => folders.push(path),
                    Kind::File if self.layout().is_record(&path) => {
                        let mode = if self.layout().is_lock(&path) { marker.lock_mode() } else { marker.file_mode() };
                        tell(self.share_one(&path, group, mode));
                    }
                    _ => {}
                }
            }
        }
        let tmp = self.layout().dir("tmp");
        self.disk().replace_small(&self.layout().marker(), &format::to_json(&marker), marker.file_mode(), &tmp)?;
        first_failure?;
        Self::open(self.0.disk.clone(), root)
    }

    /// Group and mode of one folder or record. It is opened once: a look by its path could be at another file.
    fn share_one(&self, path: &Path, group: u32, mode: u32) -> Result<()> {
        // Another process may have removed it since it was listed.
        let Some(file) = crate::disk::absent_is_none(self.disk().open(path, Open::Read))? else { return Ok(()) };
        let stat = file.stat()?;
        // Another name may be outside of the store.
        if !matches!(stat.kind, Kind::Dir | Kind::File) || (stat.kind == Kind::File && stat.nlink > 1) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no file of the store's own");
            return Err(DiskError { action: "share", path: path.to_owned(), source }.into());
        }
        if stat.gid != group {
            file.set_group(group)?;
        }
        if stat.mode != mode {
            file.set_mode(mode)?;
        }
        Ok(())
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

    /// What is recorded about a blob; `None` where nothing is, the record is unreadable (it can be rebuilt), or a newer
    /// program wrote it (see [`Self::has_newer_meta`]).
    pub fn meta(&self, digest: &Sha256Digest) -> Result<Option<BlobMeta>> {
        let text = self.read_record(&self.layout().meta(digest), format::LONGEST_META)?;
        let meta = text.and_then(|text| serde_json::from_slice::<BlobMeta>(&text).ok());
        Ok(meta.filter(|meta| meta.format == format::RECORD_VERSION))
    }

    /// Whether a newer program wrote the record of a blob. Such a record is neither read nor replaced.
    pub fn has_newer_meta(&self, digest: &Sha256Digest) -> Result<bool> {
        let text = self.read_record(&self.layout().meta(digest), format::LONGEST_META)?;
        Ok(text.is_some_and(|text| format::version_of(&text) > format::RECORD_VERSION))
    }

    /// The values of a blob's segments as they are recorded, if they fit the rest of its record: otherwise they prove nothing.
    pub fn segment_values(&self, digest: &Sha256Digest, meta: &BlobMeta) -> Result<Option<Vec<SegmentValue>>> {
        if !has_segments_record(meta.size) {
            let only = SegmentValue::from_bytes(*meta.blake3.as_bytes());
            let values = if meta.size == 0 { Vec::new() } else { vec![only] };
            return Ok(Some(values).filter(|values| merge_segments(values, meta.size) == Some(meta.blake3)));
        }
        let Some(text) = self.read_record(&self.layout().segments(digest), format::LONG_RECORD)? else { return Ok(None) };
        if text.len() % 32 != 0 {
            return Ok(None);
        }
        let values = text.chunks_exact(32).map(|chunk| {
            let mut value = [0; 32];
            value.copy_from_slice(chunk);
            SegmentValue::from_bytes(value)
        });
        Ok(Some(values.collect()).filter(|values: &Vec<_>| merge_segments(values, meta.size) == Some(meta.blake3)))
    }

    pub(crate) fn write_meta(&self, digest: &Sha256Digest, meta: &BlobMeta) -> Result<()> {
        if self.has_newer_meta(digest)? {
            return Ok(());
        }
        self.replace_record(&self.layout().meta(digest), &format::to_json(meta))
    }

    pub(crate) fn write_segments(&self, digest: &Sha256Digest, values: &[SegmentValue], size: u64) -> Result<()> {
        if !has_segments_record(size) {
            return Ok(());
        }
        self.replace_record(&self.layout().segments(digest), &segments_text(values))
    }

    /// Records a further source of this blob, and the trust from the hash that it published and that was compared.
    pub fn add_source(&self, digest: &Sha256Digest, source: Source, trust: Trust) -> Result<()> {
        let source = [source];
        // Usually nothing is new; then no lock is needed.
        if !self.meta(digest)?.is_some_and(|mut known| known.learn(&source, trust)) {
            return Ok(());
        }
        self.change_meta(digest, |meta| meta.learn(&source, trust))
    }

    /// Changes the current record of a blob under the records lock; `change` returns whether it did. A blob without a
    /// record gets none.
    pub(crate) fn change_meta(&self, digest: &Sha256Digest, change: impl FnOnce(&mut BlobMeta) -> bool) -> Result<()> {
        let _lock = self.lock_records()?;
        let Some(mut meta) = self.meta(digest)? else { return Ok(()) };
        if change(&mut meta) { self.write_meta(digest, &meta) } else { Ok(()) }
    }

    /// Locks the records of blobs. Held only while records are read and replaced.
    pub(crate) fn lock_records(&self) -> Result<Option<FileLock>> {
        if self.0.access != Access::Trusted {
            return Ok(None);
        }
        self.acquire(&self.layout().records_lock(), LockKind::Exclusive, "the records of blobs", &self.0.wait).map(Some)
    }

    /// Reads a record that can be rebuilt. One of a wrong length or kind, or without permission, counts as missing.
    fn read_record(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        match self.disk().read_at_most(path, most) {
            Err(error) if error.is_wrong_kind() || error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
            other => Ok(other?),
        }
    }

    fn replace_record(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.disk().replace_small(path, content, self.marker().file_mode(), &self.layout().dir("tmp"))?)
    }

    /// Blobs whose names this process made durable.
    fn named(&self) -> MutexGuard<'_, HashSet<Sha256Digest>> {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a short critical section. No network, no hashing and no waiting may happen in it.
    pub fn shared(&self) -> Result<Shared> {
        if self.0.access != Access::Trusted {
            return Ok(Shared { _lock: None });
        }
        let lock = self.acquire(&self.layout().store_lock(), LockKind::Shared, "the store", &self.0.wait)?;
        Ok(Shared { _lock: Some(lock) })
    }

    pub(crate) fn lock_blob(&self, key: &IntakeKey, what: &str, wait: &Wait) -> Result<FileLock> {
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
        for shard in 0..=255 {
            let dir = self.layout().dir("sha256").join(format!("{shard:02x}"));
            let names = crate::disk::absent_is_none(self.disk().list(&dir))?.unwrap_or_default();
            let files = names.iter().filter(|entry| entry.kind == Kind::File);
            let digests = files.filter_map(|entry| Layout::digest_of(&entry.name));
            blobs.extend(digests.filter(|digest| digest.as_bytes()[0] == shard));
        }
        blobs.sort();
        Ok(blobs)
    }

    /// Every partial download with its claim and the bytes it takes on the volume.
    pub fn partials(&self) -> Result<Vec<Partial>> {
        let dir = self.layout().dir("ingest");
        let mut partials = Vec::new();
        for entry in self.disk().list_sorted(&dir)?.into_iter().filter(|entry| entry.kind == Kind::Dir) {
            let Ok(key) = entry.name.parse::<IntakeKey>() else { continue };
            if key.to_string() != entry.name {
                continue;
            }
            let path = dir.join(&entry.name);
            let claim =
                self.read_record(&path.join("claim"), format::SHORT_RECORD)?.and_then(|text| serde_json::from_slice(&text).ok());
            let data = self.disk().find(&path.join("data"))?;
            // A file that is being taken in has another name and takes nothing here.
            let allocated = data.filter(|stat| stat.nlink <= 1).map_or(0, |stat| stat.allocated);
            partials.push(Partial { key, claim, allocated, path });
        }
        Ok(partials)
    }
}

/// Whether the values of the segments have a file of their own. That of an only one is the BLAKE3 hash in the other record.
fn has_segments_record(size: u64) -> bool {
    size > SEGMENT_LEN
}

fn segments_text(values: &[SegmentValue]) -> Vec<u8> {
    values.iter().flat_map(|value| *value.as_bytes()).collect()
}

/// A partial download that no process need be filling now.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Its name.
    pub key: IntakeKey,
    /// What it will become; `None` where its record is unreadable.
    pub claim: Option<format::Claim>,
    /// Bytes it takes on the volume.
    pub allocated: u64,
    /// Its folder.
    pub path: PathBuf,
}

/// Whether locks work in a store. Without the folder of its locks it could not even be examined, so that is made again.
fn test_locks(disk: &dyn Disk, layout: &Layout, dir_mode: u32) -> Result<bool> {
    match lock::self_test(disk, &layout.dir("lock")) {
        Err(StoreError::Disk(error)) if error.is_not_found() => {
            disk.create_dirs(&layout.dir("lock/b"), dir_mode)?;
            lock::self_test(disk, &layout.dir("lock"))
        }
        other => other,
    }
}

/// Whether something other than a folder is at `path`.
fn is_in_the_way(disk: &dyn Disk, path: &Path) -> bool {
    matches!(disk.find(path), Ok(Some(stat)) if stat.kind != Kind::Dir)
}

/// Refuses what stands at `path` and is no folder: a file, or a link that leads nowhere, as it does while the volume of
/// its target is not mounted.
pub fn require_folder_or_nothing(disk: &dyn Disk, path: &Path) -> Result<()> {
    let there = disk.stat_follow(path);
    match (there, disk.find(path)?.map(|stat| stat.kind)) {
        (Ok(stat), _) if stat.kind != Kind::Dir => Err(StoreError::NotAFolder { path: path.to_owned() }),
        (Err(_), Some(Kind::Symlink)) => Err(StoreError::LinkToNothing { path: path.to_owned(), target: disk.read_link(path)? }),
        _ => Ok(()),
    }
}

fn create_folders(disk: &dyn Disk, layout: &Layout, mode: u32) -> Result<()> {
    disk.create_dirs(layout.root(), mode)?;
    for dir in layout::FIXED_DIRS.iter().chain(&layout::MORE_FIXED_DIRS) {
        disk.create_dirs(&layout.dir(dir), mode)?;
    }
    for dir in layout::SHARDED_DIRS {
        for shard in 0..=255 {
            disk.create_dirs(&layout.dir(dir).join(format!("{shard:02x}")), mode)?;
        }
        disk.sync_dir(&layout.dir(dir))?;
    }
    Ok(())
}

/// Whether a folder without a marker holds nothing but what an unfinished initialisation leaves.
fn holds_only_ours(disk: &dyn Disk, root: &Path) -> Result<bool> {
    let ours = |name: &str| layout::FIXED_DIRS.contains(&name) || name == "tmp" || name == "CACHEDIR.TAG";
    let entries = disk.list_sorted(root)?;
    if !entries.iter().all(|entry| ours(&entry.name)) {
        return Ok(false);
    }
    if !entries.iter().any(|entry| entry.name == "sha256") {
        return Ok(true);
    }
    for shard in 0..=255 {
        if !disk.list_sorted(&root.join("sha256").join(format!("{shard:02x}")))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

const _: () = assert!(SEGMENT_LEN.is_power_of_two());
