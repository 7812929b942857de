//! Roots: which project needs which blobs. They live in the store, so that collecting never has to reach a project.

use super::{
    FileLock, Result, Store, StoreError, Wait,
    format::{self, ProjectRecord, Root, RootOwner, RootRecord, ViewKey},
    layout::{Dir, Layout},
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Kind, LockKind, parallel},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// So many records are worth a thread.
const LEAST_ROOTS: usize = 64;

/// What the name of a root's record says of its view. Nothing confirms it: it is for showing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewName {
    /// The model.
    pub model: String,
    /// Its format.
    pub format: String,
    /// Its quantization, where it has one.
    pub quant: Option<String>,
}

impl Store {
    /// The views of a project by the names of their roots, none of which is read.
    pub fn names_of_roots(&self, project: &Uuid) -> Result<Vec<ViewName>> {
        let view = |name: String| {
            let mut parts = name.strip_suffix(".json")?.split('~').map(str::to_owned);
            let (model, format) = (parts.next().filter(|model| !model.is_empty())?, parts.next()?);
            Some(ViewName { model, format, quant: parts.next() })
        };
        Ok(self.root_names(project)?.into_iter().filter_map(view).collect())
    }

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

    /// The projects, and what stands among them and may protect blobs that no record names.
    pub(super) fn names_in_roots(&self) -> Result<(Vec<Uuid>, Vec<PathBuf>)> {
        let dir = self.layout().dir(Dir::Roots);
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

    pub(super) fn create_project_dir(&self, project: &Uuid) -> Result<()> {
        self.disk().create_dirs(&self.layout().project(project), self.marker().folder_mode())?;
        self.disk().sync_dir(&self.layout().dir(Dir::Roots))?;
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
    pub(super) fn sync_names(&self, digests: impl IntoIterator<Item = Sha256Digest>) -> Result<()> {
        let shards: BTreeSet<PathBuf> = {
            let named = self.named();
            let others = digests.into_iter().filter(|digest| !named.contains(digest));
            others.filter_map(|digest| self.layout().blob(&digest).parent().map(Path::to_owned)).collect()
        };
        Ok(self.disk().sync_dirs(&shards)?)
    }

    /// The root of one view of a project.
    pub fn root_of(&self, project: &Uuid, view: &ViewKey) -> Result<Option<RootRecord>> {
        let path = self.layout().root_record(project, view);
        let Some(root) = self.read_root(&path)? else { return Ok(None) };
        let owner = root.owner.clone();
        root.into_view().map(Some).ok_or_else(|| of_another_owner(&path, &owner))
    }

    /// The roots of a project's views. A record that cannot be read is an error that names it: what it protects is not known.
    pub fn roots_of(&self, project: &Uuid) -> Result<Vec<RootRecord>> {
        Ok(self.all_roots_of(project)?.into_iter().filter_map(Root::into_view).collect())
    }

    /// Every root of a project, of any owner, in the order of their names. One that cannot be read is an error
    /// that names it.
    pub fn all_roots_of(&self, project: &Uuid) -> Result<Vec<Root>> {
        let dir = self.layout().project(project);
        self.read_roots(&dir, &self.root_names(project)?, |root| root)
    }

    /// The names of the records of a project's roots, none of which is read.
    ///
    /// # Errors
    /// Where their folder cannot be read.
    pub fn names_of_root_records(&self, project: &Uuid) -> Result<HashSet<String>> {
        Ok(self.root_names(project)?.into_iter().collect())
    }

    fn root_names(&self, project: &Uuid) -> Result<Vec<String>> {
        let names = self.disk().list_sorted(&self.layout().project(project))?.into_iter().map(|entry| entry.name);
        Ok(names.filter(|name| Layout::is_root(name)).collect())
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

    /// The roots of a project's views that can be read, or only those of one model. For showing what there is: what it protects
    /// is not known, and who relies on that asks for all of them.
    pub fn readable_roots(&self, project: &Uuid, model: Option<&str>) -> Result<Vec<RootRecord>> {
        let dir = self.layout().project(project);
        let of_model = |name: &str| model.is_none_or(|model| name.split_once('~').is_some_and(|(id, _)| id == model));
        let names = match self.disk().list(&dir) {
            Err(error) if error.is_not_found() || error.is_read_only() || error.is_wrong_kind() => return Ok(Vec::new()),
            entries => entries?.into_iter().map(|entry| entry.name),
        };
        let names: Vec<String> = names.filter(|name| Layout::is_root(name) && of_model(name)).collect();
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
    /// a removal, which could otherwise take a root away under links that a download has just made, and while files are added to
    /// a view, for which its root is read and written again. Nothing is locked where locks do nothing or nothing can be changed.
    pub fn lock_views(&self, project: &Uuid, kind: LockKind, wait: &Wait) -> Result<Option<FileLock>> {
        if !self.locks_work() {
            return Ok(None);
        }
        self.acquire(&self.layout().views_lock(project), kind, "the views of this project", wait).map(Some)
    }

    /// Drops the roots of a project's views and what is known about it. Refuses, and changes nothing, where the project has
    /// a root of another owner or of a later version.
    pub fn forget(&self, project: &Uuid) -> Result<()> {
        self.require_writable()?;
        let dir = self.layout().project(project);
        let _shared = self.shared()?;
        let names = self.root_names(project)?;
        for path in names.iter().map(|name| dir.join(name)) {
            self.require_own(&path)?;
        }
        for name in names {
            self.disk().remove_if_there(&dir.join(name))?;
        }
        self.disk().remove_if_there(&self.layout().project_record(project))?;
        disk::absent_is_none(self.disk().remove_dir(&dir))?;
        self.disk().sync_dir(&self.layout().dir(Dir::Roots))?;
        Ok(())
    }

    pub(super) fn read_root(&self, path: &Path) -> Result<Option<Root>> {
        let text = self.disk().read_record(path).map_err(StoreError::of_record)?;
        text.map(|text| format::root_from_json(path, &text)).transpose()
    }

    /// The root at `path`, where this program may replace or remove its record; refuses one of another owner or of a later
    /// version. Of a record that is merely corrupt it is not known what it protects: it counts as none.
    pub(super) fn require_own(&self, path: &Path) -> Result<Option<Root>> {
        let Ok(Some(text)) = self.disk().read_record(path) else { return Ok(None) };
        let version = format::version_of(&text);
        if version > format::RECORD_VERSION {
            let needs = format!("the root {} has the format {version}", path.display());
            return Err(StoreError::TooNew { path: self.layout().root().to_owned(), needs });
        }
        match format::root_from_json(path, &text) {
            Ok(root) if root.owner.view().is_none() => Err(of_another_owner(path, &root.owner)),
            root => Ok(root.ok()),
        }
    }

    /// Copies the roots of a project to a copy of it: those of views, and those of owners that this version does not know.
    /// An exposure, a replacement or a remote belongs to the original alone: nobody would ever remove a second root of it.
    pub(super) fn copy_roots(&self, from: &Uuid, to: &Uuid) -> Result<()> {
        let (from_dir, to_dir) = (self.layout().project(from), self.layout().project(to));
        let _shared = self.shared()?;
        self.create_project_dir(to)?;
        for name in self.root_names(from)? {
            let path = from_dir.join(&name);
            let Some(text) = self.disk().read_record(&path).map_err(StoreError::of_record)? else { continue };
            let root = format::root_from_json(&path, &text)?;
            match &root.owner {
                RootOwner::View(view) => {
                    let copy = self.layout().root_record(to, view);
                    self.require_own(&copy)?;
                    self.replace_record(&copy, &root.to_json())?;
                }
                // As it stands: a later version may have written more into it than this one reads.
                RootOwner::Unknown(_) => self.replace_record(&to_dir.join(name), &text)?,
                RootOwner::Exposure { .. } | RootOwner::Replacement { .. } | RootOwner::Remote { .. } => {}
            }
        }
        Ok(())
    }
}

fn of_another_owner(path: &Path, owner: &RootOwner) -> StoreError {
    StoreError::OtherOwner { path: path.to_owned(), owner: owner.to_string() }
}
