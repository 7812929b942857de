//! Closes a store whose content was copied into another one, and then removes what that has.
//!
//! Closing is one step: in a critical section that nobody shares, with the views of all projects locked and no lease alive, the
//! marker is replaced by one that says where the store went (flag `moved`). Who opens it, or waits for one of its locks, gets
//! [`StoreError::Moved`]. So no process writes what would be removed.

use super::{
    Collector, Dir, FileLock, Layout, Result, Store, StoreError,
    copy::RootsOf,
    format::{self, Marker},
    ingest::partial,
    layout::IngestKey,
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Disk, DiskError, Kind, LockKind},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use uuid::Uuid;

/// How often it is looked whether other processes are done.
const POLL: Duration = Duration::from_millis(100);

/// Whether a store could be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// It is closed.
    Closed,
    /// It has blobs that the other store lacks: they came since it was copied.
    NotCopied,
    /// Processes are at work in it.
    InUse,
}

/// What was removed of a closed store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes that its volume got back.
    pub bytes: u64,
    /// What stays: what the other store does not have, and what is not the store's. A person decides about it.
    pub left: Vec<PathBuf>,
}

impl Store {
    /// Opens a store that was moved away from `root`, to remove what is left of it; `None` where none was.
    ///
    /// # Errors
    /// Where the marker cannot be read.
    pub fn open_moved(disk: Arc<dyn Disk>, root: &Path) -> Result<Option<(Self, PathBuf)>> {
        let confined = disk.clone().confined(root);
        let text = confined.read_record_of(&Layout::new(root).marker(), format::SHORT_RECORD).map_err(StoreError::of_record)?;
        let Some(text) = text else { return Ok(None) };
        let marker: Marker = format::from_json(&Layout::new(root).marker(), &text)?;
        let Some(to) = marker.moved_to.clone().filter(|_| marker.is_moved() && marker.reader_lacks().is_none()) else {
            return Ok(None);
        };
        Ok(Some((Self::of_marker(confined, root, marker), to)))
    }

    /// Makes room at `root`, where a closed store is of which nothing is left: its marker goes, so that a store can be made there.
    ///
    /// # Errors
    /// Where the marker cannot be removed.
    pub fn clear_moved(disk: Arc<dyn Disk>, root: &Path) -> Result<()> {
        if let Some((store, _)) = Self::open_moved(disk, root)?
            && store.rest()?.is_empty()
        {
            store.disk().remove_if_there(&store.layout().marker())?;
            store.disk().sync_dir(root)?;
        }
        Ok(())
    }

    /// Refuses where the store was moved since it was opened.
    pub(super) fn require_unmoved(&self) -> Result<()> {
        if self.is_marker_as_opened()? {
            return Ok(());
        }
        let text = self.disk().read_record_of(&self.layout().marker(), format::SHORT_RECORD).ok().flatten();
        match text.and_then(|text| serde_json::from_slice::<Marker>(&text).ok()).filter(Marker::is_moved) {
            Some(marker) => Err(marker.moved(self.layout().root())),
            // It may have been shared with a group meanwhile.
            None => Ok(()),
        }
    }

    /// The projects of a closed store, of which some may have been removed.
    ///
    /// # Errors
    /// As [`Store::projects`], but for a folder that is gone.
    pub fn projects_left(&self) -> Result<Vec<Uuid>> {
        match self.projects() {
            Err(StoreError::Disk(error)) if error.is_not_found() => Ok(Vec::new()),
            projects => projects,
        }
    }

    /// Removes what `to` has of this closed store, and the store's own records. Its marker stays and says where it went.
    ///
    /// # Errors
    /// Where a folder cannot be read, or a file not be removed that no program has open.
    pub fn free_moved(&self, to: &Store) -> Result<Freed> {
        let disk = self.disk();
        let mut freed = Freed::default();
        for digest in self.blobs()? {
            let path = self.layout().blob(&digest);
            let Some(stat) = disk.find(&path)? else { continue };
            let is_there = to.find_whole(&digest, Some(stat.len))?.is_some();
            if is_there && self.remove_unless_open(&path)? {
                freed.bytes += if stat.nlink > 1 { 0 } else { stat.allocated };
                self.drop_mark(&digest)?;
            }
        }
        for (dir, first) in Dir::SHARDED.into_iter().skip(1).flat_map(|dir| (0..=255).map(move |first| (dir, first))) {
            let folder = self.layout().shard(dir, first);
            for entry in disk.list_sorted(&folder)?.into_iter().filter(|entry| entry.kind == Kind::File) {
                if let Some(digest) = Layout::digest_in(dir, first, &entry.name)
                    && self.find(&digest)?.is_none()
                {
                    disk.remove_if_there(&folder.join(entry.name))?;
                }
            }
        }
        for partial in self.partials()? {
            let key = &partial.key;
            let is_blob = matches!(key, IngestKey::Sha256(digest) if to.find(digest)?.is_some());
            let is_private = matches!(key, IngestKey::Private(_));
            if is_private || is_blob || disk::absent_is_none(to.disk().stat(&to.layout().partial(key).journal))?.is_some() {
                freed.bytes += partial.allocated;
                partial::remove_partial(self, &partial.paths)?;
            }
        }
        for project in self.projects_left()? {
            let dir = self.layout().project(&project);
            for entry in disk.list_sorted(&dir)?.into_iter().filter(|entry| entry.kind == Kind::File) {
                let path = dir.join(&entry.name);
                if Layout::is_root(&entry.name) || path == self.layout().project_record(&project) {
                    disk.remove_if_there(&path)?;
                }
            }
            self.remove_empty(&dir)?;
        }
        self.remove_small_files()?;
        self.drop_headers()?;
        // Those inside of others first.
        for dir in Dir::SHARDED {
            (0..=255).try_for_each(|first| self.remove_empty(&self.layout().shard(dir, first)))?;
        }
        for dir in Dir::ALL.into_iter().rev() {
            self.remove_empty(&self.layout().dir(dir))?;
        }
        freed.left = self.rest()?;
        Ok(freed)
    }

    /// Removes leases, locks, temporary files, and what a collection has condemned.
    fn remove_small_files(&self) -> Result<()> {
        let disk = self.disk();
        for dir in [Dir::Leases, Dir::Temp, Dir::Trash, Dir::BlobLocks, Dir::Lock] {
            let folder = self.layout().dir(dir);
            for entry in disk.list_sorted(&folder)?.into_iter().filter(|entry| entry.kind == Kind::File) {
                let path = folder.join(&entry.name);
                let is_ours = match dir {
                    Dir::Temp => disk::is_temp_name(&entry.name),
                    // What is there is no longer needed, or the other store has it.
                    Dir::Trash => Layout::trashed(&entry.name).is_some(),
                    _ => self.layout().is_lock(&path) || disk::is_temp_name(&entry.name),
                };
                if is_ours {
                    self.remove_unless_open(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Removes a file; `false` where a program has it open on a system that keeps it then.
    fn remove_unless_open(&self, path: &Path) -> Result<bool> {
        match self.disk().remove_if_there(path) {
            Err(error) if error.is_in_use() => Ok(false),
            other => Ok(other?),
        }
    }

    fn remove_empty(&self, dir: &Path) -> Result<()> {
        let stays =
            |error: &DiskError| error.is_not_found() || error.is_in_use() || error.kind() == std::io::ErrorKind::DirectoryNotEmpty;
        match self.disk().remove_dir(dir) {
            Err(error) if !stays(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Files below the store's folder, but for those that say what it was.
    fn rest(&self) -> Result<Vec<PathBuf>> {
        /// So many are named.
        const MOST: usize = 1000;
        let (mut rest, mut folders) = (Vec::new(), vec![self.layout().root().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in self.disk().list_sorted(&folder)? {
                let path = folder.join(&entry.name);
                let is_own = folder == self.layout().root() && Layout::is_top_file(&entry.name);
                match entry.kind {
                    Kind::Dir => folders.push(path),
                    _ if is_own || self.layout().is_lock(&path) || rest.len() >= MOST => {}
                    _ => rest.push(path),
                }
            }
        }
        rest.sort();
        Ok(rest)
    }
}

impl Collector {
    /// Closes the store, whose content is in `to`, where no process is at work in it; waits for them as the store's locks are
    /// waited for. `may_lack` says which blobs need not be in `to`.
    ///
    /// # Errors
    /// Where a lock is not to be had in time, a root cannot be read, or the marker not be replaced.
    pub fn close(&self, to: &Store, may_lack: &dyn Fn(&Sha256Digest) -> bool) -> Result<Closing> {
        let store = self.store();
        let views: Vec<FileLock> = store
            .projects()?
            .iter()
            .filter_map(|project| store.lock_views(project, LockKind::Exclusive, store.wait()).transpose())
            .collect::<Result<_>>()?;
        let _projects = store.acquire(&store.layout().projects_lock(), LockKind::Exclusive, "the projects", store.wait())?;
        let _alone = store.exclusive()?;
        // A project may have come between the two looks.
        if store.projects()?.len() != views.len() || store.living_leases()? > 0 {
            return Ok(Closing::InUse);
        }
        let users = store.users()?;
        for digest in store.blobs()? {
            let Some(blob) = store.find(&digest)? else { continue };
            let is_lacking_allowed = may_lack(&digest) && !users.contains_key(&digest);
            if !is_lacking_allowed && to.find_whole(&digest, Some(blob.size))?.is_none() {
                return Ok(Closing::NotCopied);
            }
        }
        to.copy_roots_of(store, RootsOf::TheProjects)?;
        let marker = store.marker().moved_away(to.layout().root());
        let (path, tmp) = (store.layout().marker(), store.layout().dir(Dir::Temp));
        store.disk().replace_small(&path, &format::to_json(&marker), marker.file_mode(), &tmp)?;
        Ok(Closing::Closed)
    }

    /// Waits a moment for processes that are at work in the store.
    pub fn let_others_work(&self) {
        thread::sleep(POLL);
    }
}
