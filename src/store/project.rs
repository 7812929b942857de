//! A models directory that is registered in a store: who it is, where it is, and whether it was moved or copied.

use super::{
    FileLock, Result, Store, StoreError, Wait,
    format::{self, ProjectRecord, Root, RootOwner, RootRecord, ViewFile, ViewKey},
    gc,
    layout::{STORE_DIR, leads_to_marker},
    relocation::{self, ProjectLocation},
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Disk, Kind, LockKind},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};
use uuid::Uuid;

/// The file in a models directory that says whose it is.
pub const PROJECT_FILE: &str = ".model-manager.json";

/// Content of [`PROJECT_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ProjectIdentity {
    format: u32,
    project: Uuid,
    store: Uuid,
}

/// A models directory that is registered in the store.
#[derive(Debug, Clone)]
pub struct Project {
    store: Store,
    uuid: Uuid,
}

impl Project {
    /// The project of a models directory, as its file says; `None` where it has none.
    pub fn identify(disk: &dyn Disk, models_dir: &Path) -> Result<Option<Uuid>> {
        Ok(read_identity(disk, models_dir)?.map(|identity| identity.project))
    }

    /// The same, and one without a file gets one. The store is not told: it may be one that cannot be written.
    pub fn identify_or_name(store: &Store, models_dir: &Path) -> Result<Uuid> {
        match Self::identify(store.disk(), models_dir)? {
            Some(project) => Ok(project),
            None => Ok(create_identity(store.disk(), models_dir, store.marker().uuid)?.project),
        }
    }

    /// The records of one kind in the folder of a project: those with a name that `is_name` admits, which `read` reads.
    pub(super) fn records<T>(
        store: &Store,
        project: &Uuid,
        is_name: impl Fn(&str) -> bool,
        read: impl Fn(&Path, &[u8]) -> Result<Option<T>>,
        path_of: impl Fn(&T) -> PathBuf,
    ) -> Result<Vec<T>> {
        let dir = store.layout().project(project);
        let mut records = Vec::new();
        for entry in store.disk().list_sorted(&dir)?.into_iter().filter(|entry| is_name(&entry.name)) {
            let path = dir.join(&entry.name);
            if let Some(text) = store.disk().read_record(&path).map_err(StoreError::of_record)? {
                // A record under another name would never be removed.
                records.extend(read(&path, &text)?.filter(|record| path == path_of(record)));
            }
        }
        Ok(records)
    }

    /// Whether the folder of a project, where the store saw it, says that it uses this store.
    pub(super) fn uses(store: &Store, project: &Uuid) -> Result<bool> {
        let Some(record) = store.known_project(project) else { return Ok(false) };
        let path = PathBuf::from(record.location.path);
        let disk = store.0.disk.clone().confined(&path);
        let identity = read_identity(&*disk, &path).ok().flatten();
        Ok(identity.is_some_and(|identity| identity.project == *project && identity.store == store.marker().uuid))
    }

    /// Whether a models directory is registered in this store as what and where it is now. It is not where it is new, was
    /// moved or copied since it was last seen, or was forgotten.
    pub fn is_at_home(store: &Store, models_dir: &Path) -> Result<bool> {
        let Some((identity, record)) = Self::seen(store, models_dir)? else { return Ok(false) };
        let here = ProjectLocation::of(store.disk(), &store.disk().canonical(models_dir)?, store.layout().root())?;
        Ok(record.location == here && identity.store == store.marker().uuid)
    }

    /// Registers a models directory anew if it is one of this store's and was moved or copied since it was last seen. A copy
    /// has no roots until then, and the original could take its blobs from under it.
    pub fn settle(store: &Store, models_dir: &Path) -> Result<()> {
        let is_of_store = Self::seen(store, models_dir)?.is_some_and(|(identity, _)| identity.store == store.marker().uuid);
        match is_of_store && store.is_writable() && !Self::is_at_home(store, models_dir)? {
            true => Self::register(store, models_dir).map(drop),
            false => Ok(()),
        }
    }

    /// What a models directory and the store say of each other.
    fn seen(store: &Store, models_dir: &Path) -> Result<Option<(ProjectIdentity, ProjectRecord)>> {
        let Some(identity) = read_identity(store.disk(), models_dir)? else { return Ok(None) };
        Ok(store.project_record(&identity.project)?.map(|record| (identity, record)))
    }

    /// Registers a models directory, or finds it registered. One that was moved keeps its identity; one that was copied
    /// gets its own, with copies of the roots.
    pub fn register(store: &Store, models_dir: &Path) -> Result<Self> {
        store.require_writable()?;
        let disk = store.disk();
        let path = disk.canonical(models_dir)?;
        let here = ProjectLocation::of(disk, &path, store.layout().root())?;
        let store_uuid = store.marker().uuid;
        let mut identity = match read_identity(disk, models_dir)? {
            Some(identity) => identity,
            None => create_identity(disk, models_dir, store_uuid)?,
        };
        if is_copy(store, &here, &identity)? {
            identity = part_from_original(store, models_dir, &here, identity)?;
        }
        if identity.store != store_uuid {
            identity.store = store_uuid;
            write_identity(disk, models_dir, &identity)?;
        }
        let project = Self { store: store.clone(), uuid: identity.project };
        if project.note_visit(here, store.project_record(&identity.project)?)? {
            sweep_orphans(disk, models_dir)?;
        }
        Ok(project)
    }

    /// Records its current place, at most once a day if nothing changed. Returns whether it did.
    fn note_visit(&self, here: ProjectLocation, record: Option<ProjectRecord>) -> Result<bool> {
        let now = disk::timestamp();
        let path = PathBuf::from(&here.path);
        let stat = self.store.disk().stat_follow(&path)?;
        let record_now = ProjectRecord {
            format: 1,
            uuid: self.uuid,
            location: here,
            uid: stat.uid,
            created: record.as_ref().map_or_else(|| now.clone(), |record| record.created.clone()),
            last_seen: now,
        };
        let same = |old: &ProjectRecord| {
            let today = old.last_seen.get(..10) == record_now.last_seen.get(..10);
            today && *old == ProjectRecord { last_seen: old.last_seen.clone(), ..record_now.clone() }
        };
        if record.as_ref().is_some_and(same) {
            return Ok(false);
        }
        self.store.create_project_dir(&self.uuid)?;
        self.store.replace_record(&self.store.layout().project_record(&self.uuid), &format::to_json(&record_now))?;
        Ok(true)
    }

    /// The store that it is registered in.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Its identity.
    pub fn uuid(&self) -> &Uuid {
        &self.uuid
    }

    /// Keeps removals of this project's views away while a root is written and its links are made; see [`Store::lock_views`].
    pub fn lock_views(&self, wait: &Wait) -> Result<Option<FileLock>> {
        self.store.lock_views(&self.uuid, LockKind::Shared, wait)
    }

    /// Roots the blobs of a view and then makes sure that each is there. In this order the collector, which reads roots
    /// while it is alone, either sees the root or has moved the blob to the trash before, and then it is restored.
    pub fn put_root(&self, view: &ViewKey, files: &[ViewFile]) -> Result<()> {
        let path = self.record_path(view);
        let record = Root { owner: RootOwner::View(view.clone()), files: files.to_vec() };
        let shared = self.store.shared()?;
        match self.store.require_own(&path)? {
            // The process that wrote it may have died, or failed, before its name or that of a blob was durable.
            Some(old) if old == record => self.store.disk().sync_dir(&self.store.layout().project(&self.uuid))?,
            _ => self.store.replace_record(&path, &record.to_json())?,
        }
        let digests: BTreeSet<Sha256Digest> = files.iter().map(|file| file.sha256).collect();
        for digest in &digests {
            if self.store.find(digest)?.is_none() && !self.store.restore(digest)? {
                return Err(StoreError::Vanished(*digest));
            }
        }
        drop(shared);
        self.store.sync_names(digests)
    }

    /// The root of a view.
    #[cfg(feature = "unstable")]
    pub fn root(&self, view: &ViewKey) -> Result<Option<RootRecord>> {
        self.store.root_of(&self.uuid, view)
    }

    /// Unroots a view. Its blobs stay until they are collected.
    pub fn remove_root(&self, view: &ViewKey) -> Result<bool> {
        let path = self.record_path(view);
        let _shared = self.store.shared()?;
        self.store.require_own(&path)?;
        let removed = self.store.disk().remove_if_there(&path)?;
        if removed {
            self.store.disk().sync_dir(&self.store.layout().project(&self.uuid))?;
        }
        Ok(removed)
    }

    /// Every view's root of this project.
    #[cfg(feature = "unstable")]
    pub fn roots(&self) -> Result<Vec<RootRecord>> {
        self.store.roots_of(&self.uuid)
    }

    fn record_path(&self, view: &ViewKey) -> PathBuf {
        self.store.layout().root_record(&self.uuid, view)
    }
}

fn read_identity(disk: &dyn Disk, models_dir: &Path) -> Result<Option<ProjectIdentity>> {
    let path = models_dir.join(PROJECT_FILE);
    let text = disk.read_record_of(&path, format::SHORT_RECORD).map_err(StoreError::of_record)?;
    text.map(|text| format::from_json(&path, &text)).transpose()
}

/// For `fuzz/`: the project and the store that the text of a [`PROJECT_FILE`] names.
#[cfg(feature = "fuzzing")]
pub fn fuzzed(text: &[u8]) -> Option<(Uuid, Uuid)> {
    format::from_json::<ProjectIdentity>(Path::new(PROJECT_FILE), text).ok().map(|identity| (identity.project, identity.store))
}

fn create_identity(disk: &dyn Disk, models_dir: &Path, store: Uuid) -> Result<ProjectIdentity> {
    let identity = ProjectIdentity { format: 1, project: Uuid::new_v4(), store };
    let file = disk.write_unnamed(&format::to_json(&identity), 0o644, models_dir)?;
    match file.name_new(&models_dir.join(PROJECT_FILE)) {
        Ok(()) => {
            disk.sync_dir(models_dir)?;
            Ok(identity)
        }
        Err(error) => {
            // Another process registered this directory in the same moment; its identity counts.
            match (error.kind(), read_identity(disk, models_dir)?) {
                (io::ErrorKind::AlreadyExists, Some(theirs)) => Ok(theirs),
                _ => Err(error.into()),
            }
        }
    }
}

/// Removes project files of processes that died while they wrote them, and links of those that died while they tried out
/// whether any can be made. The collector never comes to a models directory.
fn sweep_orphans(disk: &dyn Disk, models_dir: &Path) -> Result<()> {
    for entry in disk.list(models_dir)?.into_iter().filter(|entry| disk::is_temp_name(&entry.name)) {
        let path = models_dir.join(entry.name);
        let is_orphan = match entry.kind {
            Kind::File => true,
            Kind::Symlink => disk::absent_is_none(disk.read_link(&path))?.is_some_and(|target| leads_to_marker(&target)),
            Kind::Dir | Kind::Other => false,
        };
        if is_orphan && disk.find(&path)?.is_some_and(|stat| gc::age(SystemTime::now(), stat.mtime_ns) >= gc::ORPHAN_AGE) {
            disk.remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn write_identity(disk: &dyn Disk, models_dir: &Path, identity: &ProjectIdentity) -> Result<()> {
    Ok(disk.replace_small(&models_dir.join(PROJECT_FILE), &format::to_json(identity), 0o644, models_dir)?)
}

/// Gives a copied directory an identity of its own, with copies of the roots. One process does it at a time; the next one
/// finds it done. A directory that several hosts use in turn has one identity for each of them, and gets that again.
fn part_from_original(store: &Store, models_dir: &Path, here: &ProjectLocation, seen: ProjectIdentity) -> Result<ProjectIdentity> {
    let lock = || store.acquire(&store.layout().projects_lock(), LockKind::Exclusive, "the projects", store.wait());
    let _lock = store.locks_work().then(lock).transpose()?;
    let identity = read_identity(store.disk(), models_dir)?.unwrap_or(seen);
    if !is_copy(store, here, &identity)? {
        return Ok(identity);
    }
    let project = former(store, here)?.unwrap_or_else(Uuid::new_v4);
    let own = ProjectIdentity { project, ..identity };
    store.copy_roots(&identity.project, &own.project)?;
    write_identity(store.disk(), models_dir, &own)?;
    Ok(own)
}

/// The identity that the directory at hand had when this host saw it before.
fn former(store: &Store, here: &ProjectLocation) -> Result<Option<Uuid>> {
    let is_here = |was: &ProjectLocation| was.ino != 0 && was.ino == here.ino && was.is_at(here);
    for project in store.projects()? {
        // An unreadable record has no place.
        if store.project_record(&project).ok().flatten().is_some_and(|record| is_here(&record.location)) {
            return Ok(Some(project));
        }
    }
    Ok(None)
}

/// Whether the directory at hand carries the identity of another one.
fn is_copy(store: &Store, here: &ProjectLocation, identity: &ProjectIdentity) -> Result<bool> {
    let (disk, root) = (store.disk(), store.layout().root());
    // Copied together with the store inside: the original has its own store and does not need this one. A mounted store
    // was not copied.
    if disk.canonical(root)? == Path::new(&here.path).join(STORE_DIR) && !disk::is_mount_point(root) {
        return Ok(false);
    }
    let was = store.project_record(&identity.project)?.map(|record| record.location);
    Ok(was.is_some_and(|was| relocation::is_copy(&was, here, was.look(disk, here))))
}
