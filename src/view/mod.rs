//! The visible tree: `models/<id>/<format>/<quant>/<file>`, made of links to blobs.
//!
//! A view is derived from the store and can be built again at any time. What carries no mark of ours is foreign: it is
//! listed, but never overwritten and never removed. Marks are a link target of the form `…/sha256/ab/<64 hex>`, the
//! inode of a blob, or for copies a stamp in `.view.json` that still matches.
//!
//! The caller roots the blobs before it builds a view, and removes a view before it unroots them.

mod build;
mod error;
mod inspect;
mod link;
mod manifest;
mod preflight;
mod remove;
mod scan;
mod state;
#[cfg(test)]
mod tests;

pub use build::{Built, VerifiedExisting};
pub use error::{Result, ViewError};
pub use inspect::ReplaceRequest;
pub use manifest::{MANIFEST_FILE, ManifestFile, ViewManifest};
pub use preflight::ExpectedFile;
pub use remove::{Removal, RemovedView};
pub use scan::{Found, Health, Recorded};
pub use state::{FileState, States};

use crate::{
    disk::Disk,
    store::{Store, ViewKey},
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The views of one models directory. Clones share what was found out about the place.
#[derive(Debug, Clone)]
pub struct Views {
    disk: Arc<dyn Disk>,
    models_dir: PathBuf,
    store: Option<Store>,
    /// Devices on which a file of the store was read through a symbolic link.
    follows: Arc<Mutex<HashSet<u64>>>,
}

impl Views {
    /// The views in `models_dir`. Without a store they can be listed and removed, but not built.
    ///
    /// The models directory and the store are entered by handle: see [`Disk::confined`]. A view's links are read, and are
    /// not followed to anything that is changed.
    pub fn new(disk: Arc<dyn Disk>, models_dir: PathBuf, store: Option<Store>) -> Self {
        let disk = disk.confined(&models_dir);
        let disk = match &store {
            Some(store) => disk.confined(store.layout().root()),
            None => disk,
        };
        Self { disk, models_dir, store, follows: Arc::default() }
    }

    /// The models directory.
    #[cfg(feature = "unstable")]
    pub fn models_dir(&self) -> &Path {
        &self.models_dir
    }

    /// The folder of a view.
    pub fn dir(&self, key: &ViewKey) -> PathBuf {
        self.models_dir.join(key.dir())
    }

    fn store(&self) -> Result<&Store> {
        self.store.as_ref().ok_or_else(|| ViewError::NoStore { path: self.models_dir.clone() })
    }

    fn symlinks_work_on(&self, device: u64) -> bool {
        self.follows.lock().unwrap_or_else(PoisonError::into_inner).contains(&device)
    }

    fn note_symlinks_work_on(&self, device: u64) {
        self.follows.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
    }
}
