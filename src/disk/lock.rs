//! File locks as guards. The kernel releases them when a process dies, so none is ever stale.
//!
//! After locking a file, a process compares the open file with the path: a lock on an unlinked file guards nothing.
//!
//! A user who can open a file can lock it, even for reading only. So lock files have modes of their own, and a wider mode
//! is narrowed when the lock is used. Folders, which all users can open, are never locked.

use super::{Disk, DiskError, DiskFile, Kind, LockKind, Open, Result, TEMP_PREFIX};
use crate::event::{Event, Reporter};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The most bytes that are read of a lock file.
const LONGEST_HOLDER: u64 = 64 << 10;

/// Why a lock was not taken.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The lock file could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process held it for too long.
    #[error(transparent)]
    Timeout(LockHeld),
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

/// A lock that another process still held when the wait for it ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} {what}, held by {holder}", how_long(*waited, *in_all))]
pub struct LockHeld {
    /// What the lock guards.
    pub what: String,
    /// Who holds it, as far as its file tells.
    pub holder: String,
    /// For how long this lock was waited for.
    pub waited: Duration,
    /// For how long the command waited for locks in all.
    pub in_all: Duration,
}

/// How long a lock was waited for, in words: what was asked is in all, and may be no time at all.
fn how_long(waited: Duration, in_all: Duration) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    match in_all.saturating_sub(waited) {
        _ if in_all < Duration::from_millis(50) => "did not wait for".to_owned(),
        before if before < Duration::from_millis(100) => format!("waited {} for", seconds(waited)),
        _ => format!("waited {} for locks, at last for", seconds(in_all)),
    }
}

/// How to wait for locks: how long, what is notified, and what cancels it. A command uses one value and its clones for
/// all its locks, so that the timeout is for all of them together.
#[derive(Clone)]
pub struct Wait {
    /// Give up when it was waited this long in all; `None` waits for ever, and no time at all tries each lock once.
    pub timeout: Option<Duration>,
    /// Receives an event every ten seconds that names the holder of the lock.
    pub reporter: Arc<dyn Reporter>,
    /// Ends the wait at once.
    pub cancel: CancellationToken,
    /// How long it was waited so far.
    pub spent: Spent,
}

impl Wait {
    /// A new wait with nothing spent yet.
    pub fn new(timeout: Option<Duration>, reporter: Arc<dyn Reporter>, cancel: CancellationToken) -> Self {
        Self { timeout, reporter, cancel, spent: Spent::default() }
    }

    /// Waits `timeout` at most, in silence.
    pub fn silent(timeout: Option<Duration>) -> Self {
        Self::new(timeout, Arc::new(crate::event::Silent), CancellationToken::new())
    }
}

/// Waits that end sooner do not count: sections last milliseconds, and a long command enters thousands of them.
const BRIEF: Duration = Duration::from_millis(250);

/// Between two looks at what the holder of a lock does.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The time that was spent waiting. Clones count together; of threads that wait at once the time counts once.
#[derive(Debug, Clone, Default)]
pub struct Spent(Arc<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    ended: Duration,
    waiting: usize,
    since: Option<Instant>,
}

impl Spent {
    /// How long it was waited so far.
    pub fn total(&self) -> Duration {
        let account = self.account();
        account.ended + account.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn begin(&self) -> Waiting<'_> {
        let mut account = self.account();
        account.waiting += 1;
        account.since.get_or_insert_with(Instant::now);
        Waiting(self)
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread that waits.
struct Waiting<'a>(&'a Spent);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut account = self.0.account();
        account.waiting -= 1;
        if account.waiting == 0 {
            let lasted = account.since.take().map_or(Duration::ZERO, |since| since.elapsed());
            account.ended += if lasted < BRIEF { Duration::ZERO } else { lasted };
        }
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

/// A held lock; dropping it releases the lock.
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

/// Permission bits of a lock beside a file of a project: only its owner can hold it, and in a setgid folder that is
/// writable by its group, that group.
pub fn mode_in(disk: &dyn Disk, folder: &Path) -> Result<u32> {
    Ok(if disk.stat_follow(folder)?.mode & 0o2020 == 0o2020 { 0o660 } else { 0o600 })
}

/// Tries once; `None` if it is held. Anything but a regular file with one name is refused and never written to: a hard
/// link could be another file.
pub fn try_acquire(disk: &dyn Disk, path: &Path, kind: LockKind, mode: u32) -> Result<Option<FileLock>> {
    loop {
        let file = disk.open(path, Open::CreateIfMissing(mode))?;
        let found = file.stat()?;
        if found.kind != Kind::File || found.nlink > 1 {
            return Err(DiskError::wrong_kind("lock", path));
        }
        // Only its owner can; `doctor` reports files of other users.
        if cfg!(unix) && found.mode & 0o777 & !mode != 0 {
            let _ = file.set_mode(mode);
        }
        if !file.try_lock(kind)? {
            return Ok(None);
        }
        let held = file.stat()?;
        match disk.find(path)? {
            Some(named) if (named.dev, named.ino) == (held.dev, held.ino) && held.nlink <= 1 => {}
            // The collector unlinked it between our open and our lock.
            _ => continue,
        }
        if kind == LockKind::Exclusive {
            let holder = Holder { host: super::host_name(), pid: std::process::id(), since: super::timestamp() };
            // For people only: a lock without a name on it is as good.
            let _ = file.set_len(0).and_then(|()| file.write_at(&serde_json::to_vec(&holder).unwrap_or_default(), 0));
        }
        return Ok(Some(FileLock { _file: file, path: path.to_owned() }));
    }
}

/// Locks `path`, polling with jitter so that a timeout, a stop and a message every ten seconds are possible.
pub fn acquire(disk: &dyn Disk, path: &Path, kind: LockKind, mode: u32, what: &str, wait: &Wait) -> Result<FileLock, LockError> {
    acquire_watching(disk, path, kind, mode, what, wait, &|| ())
}

/// The same, with a look about once a second at what the holder of the lock does.
pub fn acquire_watching(
    disk: &dyn Disk,
    path: &Path,
    kind: LockKind,
    mode: u32,
    what: &str,
    wait: &Wait,
    watch: &dyn Fn(),
) -> Result<FileLock, LockError> {
    if let Some(lock) = try_acquire(disk, path, kind, mode)? {
        return Ok(lock);
    }
    let start = Instant::now();
    let _waiting = wait.spent.begin();
    let mut reported = Duration::ZERO;
    let mut watched = Duration::ZERO;
    loop {
        if wait.cancel.is_cancelled() {
            return Err(LockError::Cancelled);
        }
        let (waited, in_all) = (start.elapsed(), wait.spent.total());
        if wait.timeout.is_some_and(|timeout| in_all >= timeout) {
            return Err(LockError::Timeout(LockHeld { what: what.to_owned(), holder: holder(disk, path), waited, in_all }));
        }
        if waited >= reported + Duration::from_secs(10) || (reported.is_zero() && waited >= Duration::from_millis(500)) {
            reported = waited.max(Duration::from_millis(1));
            wait.reporter.event(&Event::Waiting { what: what.to_owned(), holder: holder(disk, path), since: waited });
        }
        if waited >= watched + WATCH_EVERY {
            watched = waited;
            watch();
        }
        let pause = Duration::from_millis(fastrand::u64(if waited < Duration::from_millis(200) { 2..10 } else { 20..120 }));
        // Not beyond the end of the wait, at which it is tried once more.
        std::thread::sleep(wait.timeout.map_or(pause, |timeout| pause.min(timeout.saturating_sub(in_all))));
        if let Some(lock) = try_acquire(disk, path, kind, mode)? {
            return Ok(lock);
        }
    }
}

/// Who holds the lock at `path`, for people.
pub fn holder(disk: &dyn Disk, path: &Path) -> String {
    let read = || serde_json::from_slice::<Holder>(&disk.read_at_most(path, LONGEST_HOLDER).ok()??).ok();
    match read() {
        Some(holder) => format!("process {} on {} since {}", holder.pid, holder.host, holder.since),
        None => "a process that left no name".to_owned(),
    }
}

/// Whether locks work in a folder: two open files of one process must shut each other out.
pub fn self_test(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let (path, first) = disk.create_temp(dir, TEMP_PREFIX, 0o600)?;
    let result = (|| {
        let second = disk.open(&path, Open::Write)?;
        Ok::<bool, DiskError>(
            first.try_lock(LockKind::Exclusive).unwrap_or(false)
                && !second.try_lock(LockKind::Exclusive).unwrap_or(true)
                && !second.try_lock(LockKind::Shared).unwrap_or(true),
        )
    })();
    drop(first);
    disk.remove_file(&path)?;
    result
}
