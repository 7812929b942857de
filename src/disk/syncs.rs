//! What the syncs of an open file are worth.

use super::{DiskError, Result};
use std::sync::{Mutex, PoisonError};

/// The syncs of one open file, none of which succeeds after one has failed.
///
/// Linux reports a failed writeback once per open file and marks the pages clean. The next sync has nothing to do and
/// succeeds, although the data never reached the medium.
#[derive(Debug, Default)]
pub struct Syncs(Mutex<Option<DiskError>>);

impl Syncs {
    /// Syncs unless a sync failed before. One at a time: the system may report a failure to only one of two concurrent
    /// syncs.
    pub fn sync(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &*failed {
            return Err(error.clone());
        }
        let synced = sync();
        *failed = synced.clone().err();
        synced
    }

    /// Lets all later syncs fail, because writing out was begun and has failed already.
    pub fn fail(&self, error: DiskError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io, path::PathBuf};

    fn error() -> DiskError {
        DiskError { action: "sync", path: PathBuf::from("data"), source: io::Error::from_raw_os_error(5) }
    }

    #[test]
    fn after_a_sync_that_failed_none_succeeds() {
        let syncs = Syncs::default();
        syncs.sync(|| Ok(())).unwrap();
        assert_eq!(syncs.sync(|| Err(error())).unwrap_err().to_string(), error().to_string());
        let mut was_asked = false;
        let again = syncs.sync(|| {
            was_asked = true;
            Ok(())
        });
        assert_eq!(again.unwrap_err().to_string(), error().to_string());
        assert!(!was_asked);
    }

    #[test]
    fn after_writing_out_failed_no_sync_succeeds() {
        let syncs = Syncs::default();
        syncs.fail(error());
        syncs.sync(|| Ok(())).unwrap_err();
    }
}
