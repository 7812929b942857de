//! Lock files of a store. Only the collector unlinks any, under the exclusive store lock. Their mode:
//! [`super::format::Marker::lock_mode`].

use super::{Result, Store};
use crate::disk::{
    LockKind,
    lock::{self, FileLock, Wait},
};
use std::path::Path;

impl Store {
    /// [`lock::acquire`] of a lock file of this store.
    pub(super) fn acquire(&self, path: &Path, kind: LockKind, what: &str, wait: &Wait) -> Result<FileLock> {
        let lock = lock::acquire(self.disk(), path, kind, self.marker().lock_mode(), what, wait);
        // Looked for under the lock: it is closed while nobody has one. Without its folder no lock can be had either.
        self.require_unmoved()?;
        Ok(lock?)
    }

    /// The same, with a look about once a second at what its holder does.
    pub(super) fn acquire_watching(
        &self,
        path: &Path,
        kind: LockKind,
        what: &str,
        wait: &Wait,
        watch: &dyn Fn(),
    ) -> Result<FileLock> {
        Ok(lock::acquire_watching(self.disk(), path, kind, self.marker().lock_mode(), what, wait, watch)?)
    }

    /// [`lock::try_acquire`] of a lock file of this store.
    pub(super) fn try_acquire(&self, path: &Path, kind: LockKind) -> Result<Option<FileLock>> {
        Ok(lock::try_acquire(self.disk(), path, kind, self.marker().lock_mode())?)
    }
}
