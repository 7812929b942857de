//! A lease protects what a running process relies on, so that no lock is held during a download: a file that lists
//! digests, and beside it `<name>.lock`, which is locked for as long as the process lives. The collector takes a lease
//! whose lock is free for dead. (Two files, because a locked file cannot be read by others on Windows.)

use super::{
    FileLock, Result, Store, StoreError, format,
    layout::{Dir, Layout},
};
use crate::{
    digest::Sha256Digest,
    disk::{self, DiskFile, Kind, LockKind, Open},
};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// So many digests are looked for in the trash one by one.
const FEW: usize = 8;
/// So many bytes of a lease are read: a million digests.
const LONGEST: u64 = 64 << 20;

/// Protects blobs from collection while it lives.
#[must_use = "the blobs are protected only while this value lives"]
#[derive(Debug)]
pub struct Lease {
    store: Store,
    // `None` where the store cannot be written or locks do nothing: then no process collects through this mount either.
    file: Option<LeaseFile>,
    end: Mutex<u64>,
}

#[derive(Debug)]
struct LeaseFile {
    list: Box<dyn DiskFile>,
    path: PathBuf,
    lock: FileLock,
}

impl Store {
    /// Begins a lease that protects nothing yet.
    pub fn lease(&self) -> Result<Lease> {
        if !self.locks_work() {
            return Ok(Lease { store: self.clone(), file: None, end: Mutex::new(0) });
        }
        // Created and locked in one section: the collector, which is alone in its own, never sees it unlocked.
        let _shared = self.shared()?;
        let dir = self.layout().dir(Dir::Leases);
        let (path, list) = self.disk().create_temp(&dir, Layout::lease_prefix(), self.marker().lock_mode())?;
        let lock = self.acquire(&Layout::lease_lock(&path), LockKind::Exclusive, "a new lease", self.wait())?;
        Ok(Lease { store: self.clone(), file: Some(LeaseFile { list, path, lock }), end: Mutex::new(0) })
    }

    /// The digests under the leases of living processes; leases of dead ones are removed. The caller holds the store
    /// exclusively.
    pub(crate) fn live_leases(&self) -> Result<Vec<Sha256Digest>> {
        let dir = self.layout().dir(Dir::Leases);
        let mut digests = Vec::new();
        for entry in self.disk().list_sorted(&dir)? {
            // A folder, a pipe or a link of that name is not a lease.
            if !Layout::is_lease(&entry.name) || entry.kind != Kind::File {
                continue;
            }
            let Some(name) = Layout::lease_of_lock(&entry.name) else {
                // A list whose lock file is missing belongs to no process: both are made in one critical section.
                let list = dir.join(&entry.name);
                if self.disk().find(&Layout::lease_lock(&list))?.is_none() {
                    self.disk().remove_if_there(&list)?;
                }
                continue;
            };
            let (list, lock) = (dir.join(name), dir.join(&entry.name));
            let found = match self.try_acquire(&lock, LockKind::Shared) {
                Err(StoreError::Disk(error)) if error.is_wrong_kind() => continue,
                found => found?,
            };
            match found {
                Some(_dead) => {
                    match self.disk().remove_if_there(&list) {
                        Err(error) if error.is_wrong_kind() => {}
                        other => drop(other?),
                    }
                    self.disk().remove_if_there(&lock)?;
                }
                None => digests.extend(self.read_lease(&list)?),
            }
        }
        Ok(digests)
    }

    /// How many processes have a lease. The caller holds the store exclusively, so that none begins.
    pub(super) fn living_leases(&self) -> Result<usize> {
        let dir = self.layout().dir(Dir::Leases);
        let mut living = 0;
        for entry in self.disk().list_sorted(&dir)?.into_iter().filter(|entry| entry.kind == Kind::File) {
            let is_lock = Layout::lease_of_lock(&entry.name).is_some();
            living += usize::from(is_lock && self.try_acquire(&dir.join(&entry.name), LockKind::Shared)?.is_none());
        }
        Ok(living)
    }

    /// The digests under the leases of living processes, for a plan; needs no lock and changes nothing. Users who may
    /// not write the store cannot open its leases, and learn only that there are some.
    pub fn leased(&self) -> Result<Leased> {
        let dir = self.layout().dir(Dir::Leases);
        let mut leased = Leased::default();
        for entry in self.disk().list_sorted(&dir)? {
            let Some(name) = Layout::lease_of_lock(&entry.name) else { continue };
            if entry.kind != Kind::File {
                continue;
            }
            let lock = match disk::absent_is_none(self.disk().open(&dir.join(&entry.name), Open::Read)) {
                Ok(Some(lock)) => lock,
                Ok(None) => continue,
                Err(error) if error.is_wrong_kind() => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    leased.hidden += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // Where this cannot be told, the lease counts.
            if !lock.try_lock(LockKind::Shared).unwrap_or(false) {
                leased.digests.extend(self.read_lease(&dir.join(name))?);
            }
        }
        Ok(leased)
    }

    /// The digests that a living process listed. What is no file lists none: the process has another one open, and who
    /// put something in its place could have removed it as well.
    fn read_lease(&self, list: &Path) -> Result<Vec<Sha256Digest>> {
        let read = || -> disk::Result<Vec<u8>> {
            let file = self.disk().open(list, Open::Read)?;
            let stat = file.stat()?;
            let mut text = vec![0; if stat.kind == Kind::File { stat.len.min(LONGEST) as usize } else { 0 }];
            let got = file.read_at(&mut text, 0)?;
            text.truncate(got);
            Ok(text)
        };
        match disk::absent_is_none(read()) {
            Err(error) if error.is_wrong_kind() => Ok(Vec::new()),
            text => Ok(format::lease_from_text(&text?.unwrap_or_default())),
        }
    }
}

/// What the leases of living processes list.
#[derive(Debug, Default)]
pub struct Leased {
    digests: HashSet<Sha256Digest>,
    /// Leases that this user may not look at, of processes that live or died.
    pub hidden: usize,
}

impl Leased {
    /// Whether one that can be read lists it.
    pub fn contains(&self, digest: &Sha256Digest) -> bool {
        self.digests.contains(digest)
    }
}

impl Lease {
    /// Protects `digests` from now on, whether the blobs are there yet or not. Look for a blob after this, not before.
    pub fn protect(&self, digests: &[Sha256Digest]) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _shared = self.store.shared()?;
        let lines: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        file.list.write_at(lines.as_bytes(), *end)?;
        *end += lines.len() as u64;
        drop(end);
        // The collector may have moved a blob to the trash just before, from which it is restored. Many are looked for
        // there at once: nothing is put there while this section lasts.
        if digests.len() <= FEW {
            return digests.iter().try_for_each(|digest| self.store.restore(digest).map(drop));
        }
        let trash = disk::absent_is_none(self.store.disk().list(&self.store.layout().dir(Dir::Trash)))?.unwrap_or_default();
        let condemned: HashSet<Sha256Digest> = trash.iter().filter_map(|entry| Layout::digest_of(&entry.name)).collect();
        let wanted: HashSet<&Sha256Digest> = digests.iter().collect();
        wanted.into_iter().filter(|digest| condemned.contains(digest)).try_for_each(|digest| self.store.restore(digest).map(drop))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What was published under it may be collected from now on, and made anew by another process.
            self.store.named().clear();
            // Unlinked while still locked. A failure leaves files that the next collection takes for dead.
            let _ = self.store.disk().remove_if_there(&file.path);
            let _ = self.store.disk().remove_if_there(file.lock.path());
        }
    }
}

impl Store {
    /// Restores a blob from the trash, if it is there and its address is free. Returns whether the blob is present
    /// afterwards, whichever process brought it back. The caller is in a section.
    pub(crate) fn restore(&self, digest: &Sha256Digest) -> Result<bool> {
        let blob = self.layout().blob(digest);
        match self.disk().rename_new(&self.layout().trash(digest), &blob) {
            Ok(()) => {
                self.disk().sync_dir(blob.parent().unwrap_or(self.layout().root()))?;
                Ok(true)
            }
            Err(error) if error.is_not_found() || error.kind() == std::io::ErrorKind::AlreadyExists => {
                Ok(self.find(digest)?.is_some())
            }
            Err(error) if error.is_read_only() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
