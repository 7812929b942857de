//! A lease protects what a running process relies on, so that no lock is held during a download: a file that lists
//! digests, and beside it `<name>.lock`, which is locked for as long as the process lives. The collector takes a lease
//! whose lock is free for dead. (Two files, because a locked file cannot be read by others on Windows.)

use super::{FileLock, Result, Store, Wait, format, layout::Layout};
use crate::{
    digest::Sha256Digest,
    disk::{self, DiskFile, LockKind, Open},
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// So many digests are looked for in the trash one by one.
const FEW: usize = 8;

/// Protects blobs from collection while it lives.
#[must_use = "the blobs are protected only while this value lives"]
#[derive(Debug)]
pub struct Lease {
    store: Store,
    // `None` where the store cannot be written or locks do nothing: then nobody collects through this mount either.
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
        let dir = self.layout().dir("leases");
        let mode = self.marker().file_mode();
        let (path, list) = self.disk().create_temp(&dir, "lease-", mode)?;
        let wait = Wait::silent(Some(Duration::from_secs(10)));
        let lock = self.acquire(&lock_of(&path), LockKind::Exclusive, "a new lease", &wait)?;
        Ok(Lease { store: self.clone(), file: Some(LeaseFile { list, path, lock }), end: Mutex::new(0) })
    }

    /// The digests under the leases of living processes; leases of dead ones are removed. The caller holds the store
    /// exclusively.
    pub(crate) fn live_leases(&self) -> Result<Vec<Sha256Digest>> {
        let dir = self.layout().dir("leases");
        let mut digests = Vec::new();
        for entry in self.disk().list_sorted(&dir)? {
            if !entry.name.starts_with("lease-") {
                continue;
            }
            let Some(name) = entry.name.strip_suffix(".lock") else {
                // A list whose lock file is missing belongs to nobody: both are made in one section.
                if self.disk().find(&dir.join(format!("{}.lock", entry.name)))?.is_none() {
                    self.disk().remove_if_there(&dir.join(&entry.name))?;
                }
                continue;
            };
            let (list, lock) = (dir.join(name), dir.join(&entry.name));
            match self.try_acquire(&lock, LockKind::Shared)? {
                Some(_dead) => {
                    self.disk().remove_if_there(&list)?;
                    self.disk().remove_if_there(&lock)?;
                }
                None => digests.extend(format::lease_from_text(&self.disk().read_small(&list)?.unwrap_or_default())),
            }
        }
        Ok(digests)
    }

    /// The digests under the leases of living processes, for a plan: it changes nothing and needs no section.
    pub fn leased(&self) -> Result<HashSet<Sha256Digest>> {
        let dir = self.layout().dir("leases");
        let mut digests = HashSet::new();
        for entry in self.disk().list_sorted(&dir)? {
            let Some(name) = entry.name.strip_suffix(".lock").filter(|name| name.starts_with("lease-")) else { continue };
            let lock = disk::absent_is_none(self.disk().open(&dir.join(&entry.name), Open::Read))?;
            let Some(lock) = lock else { continue };
            // Where this cannot be told, the lease counts.
            if !lock.try_lock(LockKind::Shared).unwrap_or(false) {
                digests.extend(format::lease_from_text(&self.disk().read_small(&dir.join(name))?.unwrap_or_default()));
            }
        }
        Ok(digests)
    }
}

fn lock_of(list: &Path) -> PathBuf {
    let mut name = list.as_os_str().to_owned();
    name.push(".lock");
    name.into()
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
        // The collector may have condemned a blob just before; what is in the trash can be had back. Many are looked for
        // there at once: nothing is put there while this section lasts.
        if digests.len() <= FEW {
            return digests.iter().try_for_each(|digest| self.store.restore(digest).map(drop));
        }
        let trash = disk::absent_is_none(self.store.disk().list(&self.store.layout().dir("trash")))?.unwrap_or_default();
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
    /// Brings a condemned blob back, if it is in the trash and its address is free. Tells whether the blob is there
    /// afterwards, whoever brought it back. The caller is in a section.
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
