//! Opening, creating and sharing a store, and what a process may do in it.

use super::format::{DirMode, Marker, Stamp};
use super::{Access, Dir, Inner, Layout, Result, Store, StoreError, Wait, WhyReadOnly, format};
use crate::disk::{Disk, DiskError, Kind, LockKind, Open, Stat, lock};
use std::{path::Path, sync::Arc, time::Duration};

/// The default timeout of a short critical section. One lasts milliseconds; this allows for a suspended holder.
const SECTION_TIMEOUT: Duration = Duration::from_secs(120);

impl Store {
    /// Whether a store is at `root` that is in use: it is not absent, and its content was not moved away. One that cannot be read
    /// is there all the same.
    pub fn is_at(disk: &dyn Disk, root: &Path) -> bool {
        !matches!(read_marker(disk, &Layout::new(root)), Err(StoreError::Absent { .. } | StoreError::Moved { .. }))
    }

    /// Opens the store at `root`; it must be one. What an interrupted initialisation left counts as nothing.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        let layout = Layout::new(root);
        // From here on everything below the root is reached by handle, so that no link can redirect it.
        let disk = disk.confined(root);
        let (marked, marker) = (stamp_of_marker(&*disk, &layout), read_marker(&*disk, &layout)?);
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
                Err(_) if is_in_the_way(&*disk, &layout.dir(Dir::Lock)) => Access::ReadOnly(WhyReadOnly::NoLocks),
                Err(error) => return Err(error),
            }
        };
        let wait = Wait::silent(Some(SECTION_TIMEOUT));
        Ok(Self(Arc::new(Inner { disk, layout, marker, access, wait, named: Arc::default(), marked })))
    }

    /// Opens the store at `root` to read from it and nothing else: nothing in it is locked, tried out or changed.
    pub fn open_for_reading(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        let layout = Layout::new(root);
        let disk = disk.confined(root);
        let (marked, marker) = (stamp_of_marker(&*disk, &layout), read_marker(&*disk, &layout)?);
        let (access, wait) = (Access::ReadOnly(WhyReadOnly::ForReading), Wait::silent(Some(Duration::ZERO)));
        Ok(Self(Arc::new(Inner { disk, layout, marker, access, wait, named: Arc::default(), marked })))
    }

    /// The store of a marker that says that it was moved away.
    pub(super) fn of_marker(disk: Arc<dyn Disk>, root: &Path, marker: Marker) -> Self {
        let (layout, wait) = (Layout::new(root), Wait::silent(Some(SECTION_TIMEOUT)));
        Self(Arc::new(Inner { disk, layout, marker, access: Access::Trusted, wait, named: Arc::default(), marked: None }))
    }

    /// Whether the marker's file is the one that was read when the store was opened.
    pub(super) fn is_marker_as_opened(&self) -> Result<bool> {
        let Some(marked) = self.0.marked else { return Ok(true) };
        Ok(stamp_of_marker(self.disk(), self.layout()) == Some(marked))
    }

    /// Opens the store at `root`, or creates one if there is nothing or an empty folder. `shared` makes it writable by
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
        disk.sync_dir(&layout.dir(Dir::Lock))?;
        let tmp = layout.dir(Dir::Temp);
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
        for dir in Dir::WRITTEN_IN_PLACE.map(|dir| self.layout().dir(dir)) {
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
        // The lock that a move holds when it closes the store: a closed one must not be opened again by this. Before any mode is
        // changed, for taking it gives its file the mode of now.
        let _projects = self.acquire(&self.layout().projects_lock(), LockKind::Exclusive, "the projects", self.wait())?;
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
        let tmp = self.layout().dir(Dir::Temp);
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
            return Err(DiskError::wrong_kind("share", path).into());
        }
        if stat.gid != group {
            file.set_group(group)?;
        }
        if stat.mode != mode {
            file.set_mode(mode)?;
        }
        Ok(())
    }
}

/// What the file of the marker looks like. Looked at before it is read, so that one which replaces it meanwhile is noticed.
fn stamp_of_marker(disk: &dyn Disk, layout: &Layout) -> Option<Stamp> {
    disk.find(&layout.marker()).ok().flatten().map(|stat| Stamp::from(&stat))
}

/// The marker of a store that this program can read.
fn read_marker(disk: &dyn Disk, layout: &Layout) -> Result<Marker> {
    let root = layout.root();
    let looked = disk.read_record_of(&layout.marker(), format::SHORT_RECORD);
    if !matches!(looked, Ok(Some(_))) {
        require_folder_or_nothing(disk, root)?;
    }
    let text = match looked.map_err(StoreError::of_record)? {
        Some(text) => text,
        None if holds_only_ours(disk, root)? => return Err(StoreError::Absent { path: root.to_owned() }),
        // Looked for once more: another process may have finished making it between the two looks.
        None => disk
            .read_record_of(&layout.marker(), format::SHORT_RECORD)?
            .ok_or_else(|| StoreError::NotAStore { path: root.to_owned() })?,
    };
    let marker: Marker = format::from_json(&layout.marker(), &text)?;
    if let Some(needs) = marker.reader_lacks() {
        return Err(StoreError::TooNew { path: root.to_owned(), needs });
    }
    if marker.is_moved() {
        return Err(marker.moved(root));
    }
    Ok(marker)
}

/// Whether locks work in a store. Without the folder of its locks it could not even be examined, so that is made again.
fn test_locks(disk: &dyn Disk, layout: &Layout, dir_mode: u32) -> Result<bool> {
    match lock::self_test(disk, &layout.dir(Dir::Lock)) {
        Err(error) if error.is_not_found() => {
            disk.create_dirs(&layout.dir(Dir::BlobLocks), dir_mode)?;
            Ok(lock::self_test(disk, &layout.dir(Dir::Lock))?)
        }
        other => Ok(other?),
    }
}

/// Whether something other than a folder is at `path`.
fn is_in_the_way(disk: &dyn Disk, path: &Path) -> bool {
    matches!(disk.find(path), Ok(Some(stat)) if stat.kind != Kind::Dir)
}

/// Refuses something other than a folder at `path`: a file, or a dangling link, as while the volume of its target is
/// not mounted.
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
    for dir in Dir::ALL {
        disk.create_dirs(&layout.dir(dir), mode)?;
    }
    for dir in Dir::SHARDED {
        for first in 0..=255 {
            disk.create_dirs(&layout.shard(dir, first), mode)?;
        }
        disk.sync_dir(&layout.dir(dir))?;
    }
    Ok(())
}

/// Whether a folder without a marker holds nothing but what an unfinished initialisation leaves.
fn holds_only_ours(disk: &dyn Disk, root: &Path) -> Result<bool> {
    let layout = Layout::new(root);
    let ours = |name: &str| Layout::is_fixed_dir(name) || layout.cachedir_tag().ends_with(name);
    let entries = disk.list_sorted(root)?;
    if !entries.iter().all(|entry| ours(&entry.name)) {
        return Ok(false);
    }
    if !entries.iter().any(|entry| entry.name == Dir::Blobs.as_str()) {
        return Ok(true);
    }
    for first in 0..=255 {
        if !disk.list_sorted(&layout.shard(Dir::Blobs, first))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
