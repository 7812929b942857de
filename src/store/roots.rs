//! Roots: which project needs which blobs. They live in the store, so that collecting never has to reach a project.

use super::{
    FileLock, Result, Store, StoreError, Wait,
    format::{self, ProjectRecord, Root, RootOwner, RootRecord, ViewFile, ViewKey},
    gc,
    layout::{STORE_DIR, leads_to_marker},
    relocation::{self, ProjectLocation},
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Disk, Kind, LockKind, parallel},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};
use uuid::Uuid;

/// So many records are worth a thread.
const LEAST_ROOTS: usize = 64;

/// The file in a models directory that says whose it is.
pub const PROJECT_FILE: &str = ".model-manager.json";

/// Content of [`PROJECT_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
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
    fn seen(store: &Store, models_dir: &Path) -> Result<Option<(Identity, ProjectRecord)>> {
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
            sweep_strays(disk, models_dir)?;
        }
        Ok(project)
    }

    /// Records its current place, at most once a day if nothing changed. Returns whether it did.
    fn note_visit(&self, here: ProjectLocation, record: Option<ProjectRecord>) -> Result<bool> {
        let now = format::now();
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

    /// Its identity.
    pub fn uuid(&self) -> &Uuid {
        &self.uuid
    }

    /// Keeps removals of this project's views away while a root is written and its links are made; see [`Store::lock_views`].
    pub fn lock_views(&self, wait: &Wait) -> Result<Option<FileLock>> {
        self.store.lock_views(&self.uuid, LockKind::Shared, wait)
    }

    /// Roots the blobs of a view and then makes sure that each is there. In this order the collector, which reads roots
    /// while it is alone, either sees the root or has condemned the blob before, and then it is taken out of the trash.
    pub fn put_root(&self, view: &ViewKey, files: &[ViewFile]) -> Result<()> {
        let path = self.record_path(view);
        let record = Root { owner: RootOwner::View(view.clone()), files: files.to_vec() };
        let shared = self.store.shared()?;
        match self.store.read_root(&path) {
            // Whoever wrote it may have died, or failed, before its name or that of a blob was durable.
            Ok(Some(old)) if old == record => self.store.disk().sync_dir(&self.store.layout().project(&self.uuid))?,
            Ok(Some(old)) if old.owner.view().is_none() => return Err(of_another_owner(&path, &old.owner)),
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
    pub fn root(&self, view: &ViewKey) -> Result<Option<RootRecord>> {
        self.store.root_of(&self.uuid, view)
    }

    /// Unroots a view. Its blobs stay until they are collected.
    pub fn remove_root(&self, view: &ViewKey) -> Result<bool> {
        let path = self.record_path(view);
        let _shared = self.store.shared()?;
        if let Ok(Some(root)) = self.store.read_root(&path)
            && root.owner.view().is_none()
        {
            return Err(of_another_owner(&path, &root.owner));
        }
        let removed = self.store.disk().remove_if_there(&path)?;
        if removed {
            self.store.disk().sync_dir(&self.store.layout().project(&self.uuid))?;
        }
        Ok(removed)
    }

    /// Every view's root of this project.
    pub fn roots(&self) -> Result<Vec<RootRecord>> {
        self.store.roots_of(&self.uuid)
    }

    fn record_path(&self, view: &ViewKey) -> PathBuf {
        self.store.layout().project(&self.uuid).join(view.record_name())
    }
}

impl Store {
    /// What is known about a project.
    pub fn project_record(&self, project: &Uuid) -> Result<Option<ProjectRecord>> {
        let path = self.layout().project_record(project);
        let text = self.disk().read_record_of(&path, format::SHORT_RECORD).map_err(StoreError::of_record)?;
        text.map(|text| format::from_json(&path, &text)).transpose()
    }

    /// The same for people, for whom a record that cannot be read is as good as none: it protects nothing.
    pub fn known_project(&self, project: &Uuid) -> Option<ProjectRecord> {
        self.project_record(project).ok().flatten()
    }

    /// Every registered project. Whatever else stands among them is an error that names it: it may protect something.
    pub fn projects(&self) -> Result<Vec<Uuid>> {
        let (projects, foreign) = self.names_in_roots()?;
        match foreign.into_iter().next() {
            None => Ok(projects),
            Some(path) => Err(StoreError::BadRecord { path, why: "it is not the folder of a project".to_owned() }),
        }
    }

    /// The projects, and what stands among them and may protect something that nobody knows.
    pub(super) fn names_in_roots(&self) -> Result<(Vec<Uuid>, Vec<PathBuf>)> {
        let dir = self.layout().dir("roots");
        let (mut projects, mut foreign) = (Vec::new(), Vec::new());
        for entry in self.disk().list(&dir)?.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            match entry.name.parse::<Uuid>() {
                Ok(uuid) if entry.kind == Kind::Dir && uuid.to_string() == entry.name => projects.push(uuid),
                _ => foreign.push(dir.join(entry.name)),
            }
        }
        projects.sort();
        foreign.sort();
        Ok((projects, foreign))
    }

    fn create_project_dir(&self, project: &Uuid) -> Result<()> {
        self.disk().create_dirs(&self.layout().project(project), self.marker().folder_mode())?;
        self.disk().sync_dir(&self.layout().dir("roots"))?;
        // The process that made the store may have failed to sync its marker.
        Ok(self.disk().sync_dir(self.layout().root())?)
    }

    /// Makes durable what is there of a root and of the names of these blobs: the process that put the root may have failed,
    /// or died, before it was.
    pub fn settle_root(&self, project: &Uuid, blobs: impl IntoIterator<Item = Sha256Digest>) -> Result<()> {
        if !self.is_writable() {
            return Ok(());
        }
        disk::absent_is_none(self.disk().sync_dir(&self.layout().project(project)))?;
        self.sync_names(blobs)
    }

    /// Makes the names of blobs durable. Another process may have published one this very moment and not synced its name yet.
    fn sync_names(&self, digests: impl IntoIterator<Item = Sha256Digest>) -> Result<()> {
        let shards: BTreeSet<PathBuf> = {
            let named = self.named();
            let others = digests.into_iter().filter(|digest| !named.contains(digest));
            others.filter_map(|digest| self.layout().blob(&digest).parent().map(Path::to_owned)).collect()
        };
        Ok(self.disk().sync_dirs(&shards)?)
    }

    /// The root of one view of a project.
    pub fn root_of(&self, project: &Uuid, view: &ViewKey) -> Result<Option<RootRecord>> {
        let path = self.layout().project(project).join(view.record_name());
        let Some(root) = self.read_root(&path)? else { return Ok(None) };
        let owner = root.owner.clone();
        root.into_view().map(Some).ok_or_else(|| of_another_owner(&path, &owner))
    }

    /// The roots of a project's views. A record that cannot be read is an error that names it: what it protects is not known.
    pub fn roots_of(&self, project: &Uuid) -> Result<Vec<RootRecord>> {
        Ok(self.all_roots_of(project)?.into_iter().filter_map(Root::into_view).collect())
    }

    /// Every root of a project, whoever its owner is, in the order of their names. One that cannot be read is an error
    /// that names it.
    pub fn all_roots_of(&self, project: &Uuid) -> Result<Vec<Root>> {
        let dir = self.layout().project(project);
        self.read_roots(&dir, &self.root_names(project)?, |root| root)
    }

    fn root_names(&self, project: &Uuid) -> Result<Vec<String>> {
        let names = self.disk().list_sorted(&self.layout().project(project))?.into_iter().map(|entry| entry.name);
        Ok(names.filter(|name| is_root_name(name)).collect())
    }

    /// Reads records side by side, in their order. `keep` says what becomes of one that cannot be read.
    fn read_roots(
        &self,
        dir: &Path,
        names: &[String],
        keep: impl Fn(Result<Option<Root>>) -> Result<Option<Root>> + Sync,
    ) -> Result<Vec<Root>> {
        let read = |names: &[String]| -> Result<Vec<Option<Root>>> {
            names.iter().map(|name| keep(self.read_root(&dir.join(name)))).collect()
        };
        let workers = parallel::processors(names.len(), LEAST_ROOTS);
        let parts = parallel::map(names.chunks(LEAST_ROOTS), workers, read)?;
        Ok(parts.into_iter().flatten().flatten().collect())
    }

    /// The roots of a project's views that can be read, or only those of one model. For who shows what there is: what it protects
    /// is not known, and who relies on that asks for all of them.
    pub fn readable_roots(&self, project: &Uuid, model: Option<&str>) -> Result<Vec<RootRecord>> {
        let dir = self.layout().project(project);
        let of_model = |name: &str| model.is_none_or(|model| name.split_once('~').is_some_and(|(id, _)| id == model));
        let names = match self.disk().list(&dir) {
            Err(error) if error.is_not_found() || error.is_read_only() || error.is_wrong_kind() => return Ok(Vec::new()),
            entries => entries?.into_iter().map(|entry| entry.name),
        };
        let names: Vec<String> = names.filter(|name| is_root_name(name) && of_model(name)).collect();
        let roots = self.read_roots(&dir, &names, |root| Ok(root.ok().flatten()))?;
        Ok(roots.into_iter().filter_map(Root::into_view).collect())
    }

    /// For every rooted blob, the projects and owners that need it.
    pub fn users(&self) -> Result<HashMap<Sha256Digest, Vec<(Uuid, RootOwner)>>> {
        let mut users: HashMap<_, Vec<_>> = HashMap::new();
        for project in self.projects()? {
            for root in self.all_roots_of(&project)? {
                for file in &root.files {
                    users.entry(file.sha256).or_default().push((project, root.owner.clone()));
                }
            }
        }
        Ok(users)
    }

    /// Locks a project's views: shared while they are rooted and shown, exclusive from the first link to the last root of
    /// a removal, which could otherwise take a root away under links that a download has just made. Nothing is locked
    /// where locks do nothing or nothing can be changed.
    pub fn lock_views(&self, project: &Uuid, kind: LockKind, wait: &Wait) -> Result<Option<FileLock>> {
        if !self.locks_work() {
            return Ok(None);
        }
        self.acquire(&self.layout().views_lock(project), kind, "the views of this project", wait).map(Some)
    }

    /// Drops the roots of a project's views and what is known about it. Refuses, and changes nothing, where the project has
    /// a root of another owner.
    pub fn forget(&self, project: &Uuid) -> Result<()> {
        self.require_writable()?;
        let dir = self.layout().project(project);
        let _shared = self.shared()?;
        let names = self.root_names(project)?;
        for path in names.iter().map(|name| dir.join(name)) {
            if let Ok(Some(root)) = self.read_root(&path)
                && root.owner.view().is_none()
            {
                return Err(of_another_owner(&path, &root.owner));
            }
        }
        for name in names {
            self.disk().remove_if_there(&dir.join(name))?;
        }
        self.disk().remove_if_there(&self.layout().project_record(project))?;
        disk::absent_is_none(self.disk().remove_dir(&dir))?;
        self.disk().sync_dir(&self.layout().dir("roots"))?;
        Ok(())
    }

    pub(super) fn read_root(&self, path: &Path) -> Result<Option<Root>> {
        let text = self.disk().read_record(path).map_err(StoreError::of_record)?;
        text.map(|text| format::root_from_json(path, &text)).transpose()
    }

    fn copy_roots(&self, from: &Uuid, to: &Uuid) -> Result<()> {
        let (from_dir, to_dir) = (self.layout().project(from), self.layout().project(to));
        let _shared = self.shared()?;
        self.create_project_dir(to)?;
        for name in self.root_names(from)? {
            let path = from_dir.join(&name);
            let Some(text) = self.disk().read_record(&path).map_err(StoreError::of_record)? else { continue };
            let root = format::root_from_json(&path, &text)?;
            match root.owner.view() {
                Some(view) => self.replace_record(&to_dir.join(view.record_name()), &root.to_json())?,
                // As it stands: a later version may have written more into it than this one reads.
                None => self.replace_record(&to_dir.join(name), &text)?,
            }
        }
        Ok(())
    }
}

/// Whether a name in a project's folder is that of a root. Names that begin with a dot are unfinished files.
pub(super) fn is_root_name(name: &str) -> bool {
    name.ends_with(".json") && name != "project.json" && !name.starts_with('.')
}

fn of_another_owner(path: &Path, owner: &RootOwner) -> StoreError {
    StoreError::OtherOwner { path: path.to_owned(), owner: owner.to_string() }
}

fn read_identity(disk: &dyn Disk, models_dir: &Path) -> Result<Option<Identity>> {
    let path = models_dir.join(PROJECT_FILE);
    let text = disk.read_record_of(&path, format::SHORT_RECORD).map_err(StoreError::of_record)?;
    text.map(|text| format::from_json(&path, &text)).transpose()
}

/// For `fuzz/`: the project and the store that the text of a [`PROJECT_FILE`] names.
#[cfg(feature = "fuzzing")]
pub fn fuzzed(text: &[u8]) -> Option<(Uuid, Uuid)> {
    format::from_json::<Identity>(Path::new(PROJECT_FILE), text).ok().map(|identity| (identity.project, identity.store))
}

fn create_identity(disk: &dyn Disk, models_dir: &Path, store: Uuid) -> Result<Identity> {
    let identity = Identity { format: 1, project: Uuid::new_v4(), store };
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
fn sweep_strays(disk: &dyn Disk, models_dir: &Path) -> Result<()> {
    let is_ours = |name: &str| {
        let random = name.strip_prefix(".tmp-").unwrap_or_default();
        random.len() == 12 && random.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    for entry in disk.list(models_dir)?.into_iter().filter(|entry| is_ours(&entry.name)) {
        let path = models_dir.join(entry.name);
        let is_stray = match entry.kind {
            Kind::File => true,
            Kind::Symlink => disk::absent_is_none(disk.read_link(&path))?.is_some_and(|target| leads_to_marker(&target)),
            Kind::Dir | Kind::Other => false,
        };
        if is_stray && disk.find(&path)?.is_some_and(|stat| gc::age(SystemTime::now(), stat.mtime_ns) >= gc::STRAY_AGE) {
            disk.remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn write_identity(disk: &dyn Disk, models_dir: &Path, identity: &Identity) -> Result<()> {
    Ok(disk.replace_small(&models_dir.join(PROJECT_FILE), &format::to_json(identity), 0o644, models_dir)?)
}

/// Gives a copied directory an identity of its own, with copies of the roots. One process does it at a time; the next one
/// finds it done. A directory that several hosts use in turn has one identity for each of them, and gets that again.
fn part_from_original(store: &Store, models_dir: &Path, here: &ProjectLocation, seen: Identity) -> Result<Identity> {
    let lock = || store.acquire(&store.layout().projects_lock(), LockKind::Exclusive, "the projects", store.wait());
    let _lock = store.locks_work().then(lock).transpose()?;
    let identity = read_identity(store.disk(), models_dir)?.unwrap_or(seen);
    if !is_copy(store, here, &identity)? {
        return Ok(identity);
    }
    let project = former(store, here)?.unwrap_or_else(Uuid::new_v4);
    let own = Identity { project, ..identity };
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
fn is_copy(store: &Store, here: &ProjectLocation, identity: &Identity) -> Result<bool> {
    let (disk, root) = (store.disk(), store.layout().root());
    // Copied together with the store inside: the original has its own store and does not need this one. A mounted store
    // was not copied.
    if disk.canonical(root)? == Path::new(&here.path).join(STORE_DIR) && !disk::is_mount_point(root) {
        return Ok(false);
    }
    let was = store.project_record(&identity.project)?.map(|record| record.location);
    Ok(was.is_some_and(|was| relocation::is_copy(&was, here, was.look(disk, here))))
}
