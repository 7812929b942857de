//! What the system allows this process at once, and how the work is sized by it.

use std::{
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// As many open files as are counted on where the system names no limit.
const MANY: u64 = 1 << 20;

/// How many files this process may have open at once: files, folders and connections.
pub fn open_files() -> u64 {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit.current.unwrap_or(MANY).min(MANY)
    }
    #[cfg(not(unix))]
    MANY
}

/// Raises the soft limit of open files to the hard one, as far as the system lets it. The soft limit is low on many systems
/// for programs that use `select(2)`, which this one does not. It holds for the whole process and those that it starts, so
/// a program decides that, and no library.
pub fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // macOS refuses more than OPEN_MAX, whatever the hard limit says.
        let most = if cfg!(target_vendor = "apple") { Some(10_240) } else { limit.maximum };
        let raised = match (most, limit.maximum) {
            (Some(most), Some(hard)) => Some(most.min(hard)),
            (most, hard) => most.or(hard),
        };
        if raised.is_some_and(|raised| limit.current.is_some_and(|current| current < raised)) {
            // What cannot be raised is worked within.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: raised, maximum: limit.maximum });
        }
    }
}

/// The size that no file of this process may exceed; `None` where there is no such limit.
#[cfg(feature = "unstable")]
pub fn file_size() -> Option<u64> {
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Fsize).current
    }
    #[cfg(not(unix))]
    None
}

/// Lets a write beyond the limit of file sizes fail with an error, where it would end the process. It holds for the whole
/// process, so a program decides that, and no library.
#[cfg_attr(unix, expect(unsafe_code, reason = "no safe wrapper of signal exists"))]
pub fn refuse_too_large_files() {
    #[cfg(unix)]
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Whether the volume of `path` has no inode left for another file or folder.
pub fn lacks_inodes(path: &Path) -> bool {
    #[cfg(unix)]
    {
        let volume = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
        // A file system that makes them as needed counts none.
        volume.is_some_and(|volume| volume.f_files > 0 && volume.f_favail == 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// How many threads beside this one can be started now, at most so many: each is started, and ends.
pub(crate) fn spare_threads(most: usize) -> usize {
    // The system counts a thread for a moment after its end, so a low number may be caused by the previous try. The
    // threads of the last try are waited for too, so that the caller can start its own.
    const TRIES: usize = 3;
    const SETTLE: Duration = Duration::from_millis(20);
    let mut started = 0;
    for _ in 0..TRIES {
        started = started.max(start_threads(most));
        if started == most {
            break;
        }
        thread::sleep(SETTLE);
    }
    started
}

/// Starts threads until the system has no more, all of them at once, and ends them.
fn start_threads(most: usize) -> usize {
    let (over, wake) = (Mutex::new(false), Condvar::new());
    let wait = || {
        let mut over = over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            over = wake.wait(over).unwrap_or_else(PoisonError::into_inner);
        }
    };
    thread::scope(|scope| {
        let started = (0..most).take_while(|_| thread::Builder::new().spawn_scoped(scope, wait).is_ok()).count();
        *over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        wake.notify_all();
        started
    })
}

/// What of a number of open files is for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Connections in use; as many more may be idle.
    pub connections: usize,
    /// Downloads that are open side by side, of up to three files each.
    pub downloads: usize,
    /// Files that are published together, of up to two records each.
    pub group: usize,
    /// Blobs that are open to copy from.
    pub lenders: usize,
    /// Handles of folders that are kept open for each root, the models directory and the store. A store has 256 folders of
    /// blobs.
    pub(super) folders: usize,
}

impl OpenFiles {
    /// The shares of what this process may have open now.
    pub fn now() -> Self {
        Self::of(open_files())
    }

    fn of(limit: u64) -> Self {
        // The program's own, locks, folders that are synced, and what looking up a name takes.
        const OTHERS: usize = 32;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let share = |part: usize, most: usize| (limit.saturating_sub(OTHERS) / part).clamp(1, most);
        Self {
            connections: share(16, 1024),
            downloads: share(8, 250),
            group: share(16, 256),
            lenders: share(4, 512),
            folders: share(32, 320),
        }
    }

    #[cfg(test)]
    fn open(self) -> usize {
        2 * self.connections + 3 * self.downloads + 2 * self.group + self.lenders + 2 * self.folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_at_once_fits_the_limit_with_room_to_spare() {
        for limit in [64, 128, 256, 512, 1024, 4096, 1 << 20] {
            let open = OpenFiles::of(limit).open() + 32;
            assert!(open as u64 <= limit, "{open} of {limit}");
        }
        let OpenFiles { connections, downloads, group, lenders, folders } = OpenFiles::of(1 << 20);
        assert_eq!((connections >= 16, downloads, group, lenders, folders), (true, 250, 256, 512, 320));
        assert_eq!(OpenFiles::of(0), OpenFiles { connections: 1, downloads: 1, group: 1, lenders: 1, folders: 1 });
    }

    #[test]
    fn threads_that_can_be_started_are_counted() {
        assert_eq!([0, 1, 5].map(spare_threads), [0, 1, 5]);
    }
}
