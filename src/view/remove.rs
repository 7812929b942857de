//! Taking a view away: only what is ours, and then the folders that are left empty.

use super::{FileState, Result, ViewManifest, Views, inspect::is_same, manifest::MANIFEST_FILE, state::Classifier};
use crate::{
    disk::{Kind, Stat, is_temp_name},
    names::RelPath,
    store::ViewKey,
};
use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
};

/// What removing a view would take away. Acting on it looks at each file once more.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// The view's folder.
    pub dir: PathBuf,
    /// Files of ours, which go.
    pub files: Vec<PathBuf>,
    /// Everything else in the view's folder, which stays, and why.
    pub kept: Vec<(PathBuf, String)>,
    seen: Vec<Stat>,
    /// The manifest and what died builds left: they go without being mentioned.
    own: Vec<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

/// What removing a view took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedView {
    /// Files of ours, which are gone.
    pub removed: Vec<PathBuf>,
    /// What was left where it is, and why.
    pub kept: Vec<(PathBuf, String)>,
}

impl Removal {
    /// Whether there is nothing to take away.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.own.is_empty()
    }
}

impl Views {
    /// Removes what is ours of a view and the folders that are empty then. Remove it before its root.
    #[cfg(feature = "unstable")]
    pub fn remove(&self, key: &ViewKey) -> Result<RemovedView> {
        self.execute(self.plan_remove(key)?)
    }

    /// What is ours of a view and the folders that would be empty without it. Nothing is removed yet.
    pub fn plan_remove(&self, key: &ViewKey) -> Result<Removal> {
        self.require_own_folders(&key.dir())?;
        let dir = self.dir(key);
        let manifest = self.manifest(key)?;
        let mut plan = Removal { dir: dir.clone(), ..Removal::default() };
        let scope = Scope { key, manifest: manifest.as_ref(), classifier: Classifier::new(&*self.disk, self.store.as_ref()) };
        self.plan_folder(&scope, &dir, "", &mut plan)?;
        Ok(plan)
    }

    /// What stands in a view's folder beside these files: what is ours of it would go, and the rest is named. The view
    /// itself stays.
    pub fn plan_trim<'a>(&self, key: &ViewKey, files: impl IntoIterator<Item = &'a RelPath>) -> Result<Removal> {
        let mut plan = self.plan_remove(key)?;
        let kept: HashSet<PathBuf> = files.into_iter().map(|file| plan.dir.join(file.to_path())).collect();
        let manifest = plan.dir.join(MANIFEST_FILE);
        let files = std::mem::take(&mut plan.files).into_iter().zip(std::mem::take(&mut plan.seen));
        (plan.files, plan.seen) = files.filter(|(path, _)| !kept.contains(path)).unzip();
        plan.own.retain(|path| *path != manifest);
        plan.kept.retain(|(path, _)| !kept.contains(path));
        Ok(plan)
    }

    fn plan_folder(&self, scope: &Scope<'_>, dir: &Path, below: &str, plan: &mut Removal) -> Result<()> {
        let entries = self.disk.list_sorted(dir)?;
        // A view inside the folder of another, as a quantization is inside its format.
        if !below.is_empty() && entries.iter().any(|entry| entry.name == MANIFEST_FILE) {
            return Ok(());
        }
        plan.folders.insert(dir.to_owned());
        let strays = self.strays(dir)?;
        for entry in entries {
            let path = dir.join(&entry.name);
            let name = if below.is_empty() { entry.name.clone() } else { format!("{below}/{}", entry.name) };
            if below.is_empty() && entry.name == MANIFEST_FILE && entry.kind == Kind::File {
                plan.own.push(path);
                continue;
            }
            if is_temp_name(&entry.name) {
                match strays.contains(&path) {
                    true => plan.own.push(path),
                    false => plan.kept.push((path, "another process may be at work on it".into())),
                }
                continue;
            }
            if entry.kind == Kind::Dir {
                if scope.covers_folder(&name) {
                    self.plan_folder(scope, &path, &name, plan)?;
                }
                continue;
            }
            let recorded = scope.manifest.and_then(|manifest| manifest.file(&name));
            let Some((state, _)) = scope.classifier.look(&path, entry.kind, || Ok(recorded))? else { continue };
            let Some(stat) = self.disk.find(&path)? else { continue };
            match (state.is_ours(), recorded.is_some()) {
                (true, known) if known || scope.covers_unknown(below) => {
                    plan.files.push(path);
                    plan.seen.push(stat);
                }
                (true, _) => plan.kept.push((path, "it belongs to no file of this view".into())),
                (false, known) => plan.kept.push((path, self.why_foreign(&state, entry.kind, known))),
            }
        }
        Ok(())
    }

    fn why_foreign(&self, state: &FileState, kind: Kind, recorded: bool) -> String {
        match (state, kind) {
            (FileState::Dangling { target, .. }, _) => format!("a link to {}, which model-manager did not make", target.display()),
            (_, Kind::Symlink) => "a link that model-manager did not make".into(),
            (_, Kind::File) if recorded => "it was changed since it was made".into(),
            (_, Kind::File) => "model-manager did not make it".into(),
            _ => "it is no regular file".into(),
        }
    }

    /// Removes a file if it is still the one with this stat.
    pub fn remove_if_same(&self, path: &Path, seen: &Stat) -> Result<bool> {
        let is_same = self.disk.find(path)?.is_some_and(|stat| is_same(&stat, seen));
        Ok(is_same && self.disk.remove_if_there(path)?)
    }

    /// Removes a file that the user named, also one that is not ours, and then the empty folders above it.
    pub fn remove_plain(&self, path: &Path) -> Result<()> {
        self.disk.remove_file(path)?;
        Ok(self.disk.prune_empty(path.parent().unwrap_or(path), &self.models_dir)?)
    }

    /// Does what was planned. A file that changed since stays.
    pub fn execute(&self, plan: Removal) -> Result<RemovedView> {
        let disk = &*self.disk;
        let mut done = RemovedView { removed: Vec::new(), kept: plan.kept };
        for (path, seen) in plan.files.into_iter().zip(&plan.seen) {
            if self.remove_if_same(&path, seen)? {
                done.removed.push(path);
            } else if disk.find(&path)?.is_some() {
                done.kept.push((path, "it was changed just now".into()));
            }
        }
        // The manifest goes last: until then it tells which copies are ours.
        for path in plan.own.iter().rev() {
            disk.remove_if_there(path)?;
        }
        // The process that drops the root next relies on the links being gone for good.
        for dir in &plan.folders {
            crate::disk::absent_is_none(disk.sync_dir(dir))?;
        }
        for dir in plan.folders.iter().rev() {
            disk.prune_empty(dir, &self.models_dir)?;
        }
        Ok(done)
    }
}

/// Which part of a folder tree is one view.
struct Scope<'a> {
    key: &'a ViewKey,
    manifest: Option<&'a ViewManifest>,
    classifier: Classifier<'a>,
}

impl Scope<'_> {
    /// Whether a folder in the view's folder can hold files of the view. In a format without quantization it may as
    /// well be the folder of one that was dropped there by hand.
    fn covers_folder(&self, name: &str) -> bool {
        let top = name.split('/').next().unwrap_or(name);
        match self.manifest {
            _ if self.key.quant.is_some() => true,
            Some(manifest) => manifest.has_folder(top),
            None => !self.key.format.is_single_file(),
        }
    }

    /// Whether a file of ours that the manifest does not list is of this view: a build died before it wrote the
    /// manifest.
    fn covers_unknown(&self, below: &str) -> bool {
        self.key.quant.is_some() || below.is_empty() || self.manifest.is_none()
    }
}
