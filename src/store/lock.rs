//! File locks as guards. The kernel releases them when a process dies, so none is ever stale.
//!
//! Lock files are unlinked only by the collector under the exclusive store lock. Whoever locks one compares the open
//! file with the path afterwards: a lock on a file that lost its name guards nothing.

use super::{
    Store,
    error::{Result, StoreError},
};
use crate::{
    disk::{self, Disk, DiskFile, LockKind, Open},
    event::{Event, Reporter},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How to wait for a lock: for how long, who is told, and what ends it.
#[derive(Clone)]
pub struct Wait {
    /// Give up after this long; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// Told every ten seconds who holds the lock.
    pub reporter: Arc<dyn Reporter>,
    /// Ends the wait at once.
    pub cancel: CancellationToken,
}

impl Wait {
    /// Waits `timeout` at most, in silence.
    pub fn silent(timeout: Option<Duration>) -> Self {
        Self { timeout, reporter: Arc::new(crate::event::Silent), cancel: CancellationToken::new() }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Who holds an exclusive lock: the content of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    host: String,
    pid: u32,
    since: String,
}

/// A held lock; dropping it lets go.
#[must_use = "the lock is released when this value is dropped"]
#[derive(Debug)]
pub struct FileLock {
    // Closing the file releases the lock.
    _file: Box<dyn DiskFile>,
    path: PathBuf,
}

impl FileLock {
    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Tries once; `None` when somebody else holds it.
pub fn try_acquire(disk: &dyn Disk, path: &Path, kind: LockKind, mode: u32) -> Result<Option<FileLock>> {
    loop {
        let file = disk.open(path, Open::CreateIfMissing(mode))?;
        if !file.try_lock(kind)? {
            return Ok(None);
        }
        let held = file.stat()?;
        match disk.find(path)? {
            Some(named) if (named.dev, named.ino) == (held.dev, held.ino) => {}
            // The collector unlinked it between our open and our lock.
            _ => continue,
        }
        if kind == LockKind::Exclusive {
            let holder = Holder { host: disk::host_name(), pid: std::process::id(), since: super::format::now() };
            // For people only: a lock without a name on it is as good.
            let _ = file.set_len(0).and_then(|()| file.write_at(&super::format::to_json(&holder), 0));
        }
        return Ok(Some(FileLock { _file: file, path: path.to_owned() }));
    }
}

/// Locks `path`, polling with jitter so that a timeout, a stop and a message every ten seconds are possible.
pub fn acquire(disk: &dyn Disk, path: &Path, kind: LockKind, mode: u32, what: &str, wait: &Wait) -> Result<FileLock> {
    let start = Instant::now();
    let mut told = Duration::ZERO;
    loop {
        if let Some(lock) = try_acquire(disk, path, kind, mode)? {
            return Ok(lock);
        }
        if wait.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let waited = start.elapsed();
        if wait.timeout.is_some_and(|timeout| waited >= timeout) {
            return Err(StoreError::LockTimeout { what: what.to_owned(), holder: holder(disk, path), waited });
        }
        if waited >= told + Duration::from_secs(10) || (told.is_zero() && waited >= Duration::from_millis(500)) {
            told = waited.max(Duration::from_millis(1));
            wait.reporter.event(&Event::Waiting { what: what.to_owned(), holder: holder(disk, path), since: waited });
        }
        let pause = if waited < Duration::from_millis(200) { 2..10 } else { 20..120 };
        std::thread::sleep(Duration::from_millis(fastrand::u64(pause)));
    }
}

impl Store {
    /// [`acquire`] of a lock file of this store.
    pub(super) fn acquire(&self, path: &Path, kind: LockKind, what: &str, wait: &Wait) -> Result<FileLock> {
        acquire(self.disk(), path, kind, self.marker().file_mode(), what, wait)
    }

    /// [`try_acquire`] of a lock file of this store.
    pub(super) fn try_acquire(&self, path: &Path, kind: LockKind) -> Result<Option<FileLock>> {
        try_acquire(self.disk(), path, kind, self.marker().file_mode())
    }
}

/// Who holds the lock at `path`, for people.
pub fn holder(disk: &dyn Disk, path: &Path) -> String {
    let read = || serde_json::from_slice::<Holder>(&disk.read_small(path).ok()??).ok();
    match read() {
        Some(holder) => format!("process {} on {} since {}", holder.pid, holder.host, holder.since),
        None => "a process that left no name".to_owned(),
    }
}

/// Whether locks work where the store is: two open files of one process must shut each other out.
pub fn self_test(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let (path, first) = disk.create_temp(dir, ".tmp-selftest-", 0o600)?;
    let result = (|| {
        let second = disk.open(&path, Open::Write)?;
        Ok::<bool, crate::disk::DiskError>(
            first.try_lock(LockKind::Exclusive).unwrap_or(false)
                && !second.try_lock(LockKind::Exclusive).unwrap_or(true)
                && !second.try_lock(LockKind::Shared).unwrap_or(true),
        )
    })();
    drop(first);
    disk.remove_file(&path)?;
    Ok(result?)
}
