//! Shows models of the store to applications, under their own conventions, and undoes it exactly.
//!
//! The record of an exposure is a root and a journal: it is written before anything is made. What was cut off is undone by the
//! next of these commands before it does anything else.

use super::super::{AppProblem, ExposeReport, ExposedModel, ModelManager, Selector, UnexposeReport};
use crate::{
    digest::sha256_of,
    disk::{Disk, Kind, LockKind, Stat, absent_is_none},
    error::{Error, ErrorKind, Result},
    foreign::{self, FileToPlace, ModelToPlace, Placed, Placement, placements, placements_in_folder},
    hint::{Hint, Invocation, Verb},
    names::{App, RelPath, RepoId, Revision},
    settings::AppPlace,
    store::{
        Exposure, ExposureState, MadeItems, Making, PlacedItem, Project, Provenance, RootRecord, Store, StoreError, UpstreamFile,
        ViewKey,
    },
};
use std::{
    collections::{HashMap, HashSet},
    path::{Component, Path, PathBuf},
};
use uuid::Uuid;

/// Where models are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExposeTarget {
    /// An application, in the first of its folders that is there.
    App(App),
    /// Any folder.
    Folder(PathBuf),
}

/// What an exposure to a folder has in the place of an application.
const FOLDER: &str = "folder";

impl ExposeTarget {
    fn app(&self) -> &'static str {
        match self {
            Self::App(app) => app.as_str(),
            Self::Folder(_) => FOLDER,
        }
    }
}

impl ModelManager {
    /// Shows models of this project to an application. One that it cannot take is refused before anything is made.
    ///
    /// # Errors
    /// Where a model is not here, the application has no folder here or cannot take the model, or something is in the way.
    pub fn expose(&self, what: &[Selector], to: &ExposeTarget) -> Result<ExposeReport> {
        let (store, project) = self.store_and_project()?;
        let dir = self.place_of(to)?;
        let lease = store.lease()?;
        let _views_lock = store.lock_views(project.uuid(), LockKind::Exclusive, store.wait())?;
        let mut report = ExposeReport { recovered: self.recover(&project, &store, &dir)?, ..ExposeReport::default() };
        let roots = store.roots_of(project.uuid())?;
        let mut planned = Vec::new();
        for selector in what {
            let root = self.root_meant(selector, &roots)?;
            let model = self.model_to_place(root, &store)?;
            let placed = match to {
                ExposeTarget::App(app) => placements(*app, &dir, &model).map_err(|why| {
                    Error::new(ErrorKind::Usage, format!("{} cannot be shown there: {why}", root.view)).hint(Hint::NothingChanged)
                })?,
                ExposeTarget::Folder(_) => placements_in_folder(&dir, &model),
            };
            planned.push((root, placed));
        }
        lease.protect(&planned.iter().flat_map(|(root, _)| &root.files).map(|file| file.sha256).collect::<Vec<_>>())?;
        let known = Project::exposures(&store, project.uuid())?;
        let mut made_items = MadeItems::of(&known);
        let is_there = known.into_iter().filter(|other| other.app == to.app() && other.dir == dir);
        let mut befores: HashMap<ViewKey, Exposure> = is_there.map(|other| (other.view.clone(), other)).collect();
        // Before anything is made: what is in the way of one keeps all from it.
        let disk = self.disk.clone().confined(&dir);
        let (mut to_make, mut to_undo) = (Vec::new(), Vec::new());
        for (root, placed) in planned {
            let items = items(&*disk, &dir, &placed, &store, &made_items)?;
            match befores.remove(&root.view) {
                Some(before) if before.files == root.files && items.iter().all(|(_, _, is_there)| *is_there) => {
                    report.models.push(exposed(&before, false));
                }
                before => {
                    to_make.push((root, placed));
                    to_undo.extend(before);
                }
            }
        }
        to_undo.iter().for_each(|before| made_items.remove(before));
        for (_, left) in self.undo(&project, to_undo, &made_items) {
            left?;
        }
        for (root, placed) in to_make {
            // What another exposure made stays, and is recorded for this one too.
            let items = items(&*disk, &dir, &placed, &store, &made_items)?;
            let making: Vec<(PlacedItem, Making)> = items.into_iter().map(|(item, making, _)| (item, making)).collect();
            let exposure = Exposure {
                id: Uuid::new_v4(),
                app: to.app().to_owned(),
                dir: dir.clone(),
                view: root.view.clone(),
                name: placed.name,
                state: ExposureState::Making,
                items: Vec::new(),
                files: root.files.clone(),
            };
            match project.expose(&self.disk, exposure, &making, &made_items) {
                Ok(made) => {
                    made_items.add(&made);
                    report.models.push(exposed(&made, true));
                }
                Err(error) => {
                    // What was made is undone; where that fails too, the next command does it.
                    let _first_error_counts = self.recover(&project, &store, &dir);
                    return Err(error.into());
                }
            }
        }
        Ok(report)
    }

    /// Takes back what was shown: of these models, or of all where none is named, in this application, or in all. Only what still
    /// is what was made goes; the rest stays and is reported.
    ///
    /// # Errors
    /// Where nothing of it is shown, or something cannot be removed.
    pub fn unexpose(&self, what: &[Selector], from: Option<&ExposeTarget>) -> Result<UnexposeReport> {
        let (store, project) = self.store_and_project()?;
        let mut report = UnexposeReport::default();
        let dir = from.map(|from| self.place_of(from)).transpose()?;
        let mut views = Vec::new();
        for selector in what {
            let named = self.named(selector, Invocation::new(Verb::Remove))?;
            views.push(named);
        }
        let _views_lock = store.lock_views(project.uuid(), LockKind::Exclusive, store.wait())?;
        let places = self.real_places();
        let (mut to_undo, mut others) = (Vec::new(), Vec::new());
        for exposure in Project::exposures(&store, project.uuid())? {
            let is_app = from.is_none_or(|from| from.app() == exposure.app) && dir.as_ref().is_none_or(|dir| *dir == exposure.dir);
            let is_model = views.is_empty() || views.iter().any(|named| named.fits_view(&exposure.view));
            // A record says where to remove something, and may have come with a project: its folder must be one that this user
            // named, now or in the settings.
            if is_app && is_model && dir.as_ref() != Some(&exposure.dir) && !places.contains(&exposure.dir) {
                let problem = "what is shown there stays: its folder is to be named".to_owned();
                report.left.push(AppProblem { path: exposure.dir.clone(), problem });
                others.push(exposure);
            } else if is_app && is_model {
                to_undo.push(exposure);
            } else {
                others.push(exposure);
            }
        }
        let mut first_error = None;
        for (exposure, left) in self.undo(&project, to_undo, &MadeItems::of(&others)) {
            match left {
                Ok(left) => {
                    report.models.push(exposed(&exposure, true));
                    let left = left.into_iter().map(|path| AppProblem { path, problem: "it is not what was made there".into() });
                    report.left.extend(left);
                }
                Err(error) => {
                    report.failure.get_or_insert(error.kind());
                    report.left.push(AppProblem { path: exposure.dir, problem: error.to_string() });
                    first_error.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first_error.filter(|_| report.models.is_empty()) {
            return Err(error.into());
        }
        if report.models.is_empty() && report.left.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "no model is shown to an application so").hint(Hint::ListApps));
        }
        Ok(report)
    }

    /// What is shown to applications.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn exposures(&self) -> Result<Vec<ExposedModel>> {
        let Some(store) = self.existing_store()? else { return Ok(Vec::new()) };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(Vec::new()) };
        Ok(Project::exposures(&store, &project)?.iter().map(|exposure| exposed(exposure, false)).collect())
    }

    fn store_and_project(&self) -> Result<(Store, Project)> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let project = Project::register(&store, &self.settings.models_dir)?;
        Ok((store, project))
    }

    /// Undoes what was cut off in this folder, which the user named. Returns how many there were.
    fn recover(&self, project: &Project, store: &Store, dir: &Path) -> Result<usize> {
        let is_cut = |exposure: &Exposure| exposure.state != ExposureState::Made && exposure.dir == dir;
        let (cut, others): (Vec<Exposure>, Vec<Exposure>) =
            Project::exposures(store, project.uuid())?.into_iter().partition(is_cut);
        let undone = self.undo(project, cut, &MadeItems::of(&others));
        let count = undone.len();
        for (_, left) in undone {
            left?;
        }
        Ok(count)
    }

    /// Undoes exposures, but for files that their application has by itself by now.
    fn undo(
        &self,
        project: &Project,
        exposures: Vec<Exposure>,
        others: &MadeItems,
    ) -> Vec<(Exposure, Result<Vec<PathBuf>, StoreError>)> {
        // For each application and folder: the files that its records need; `None` where a record cannot be read, which may
        // need any.
        let mut needed: HashMap<(App, PathBuf), Option<HashSet<PathBuf>>> = HashMap::new();
        let mut still_used = |exposure: &Exposure, path: &Path| {
            let Ok(app) = exposure.app.parse() else { return false };
            let files =
                needed.entry((app, exposure.dir.clone())).or_insert_with(|| foreign::needed(&*self.disk, app, &exposure.dir));
            files.as_ref().is_none_or(|files| files.contains(path))
        };
        let undone = project.unexpose(&self.disk, exposures.clone(), others, &mut still_used);
        exposures.into_iter().zip(undone).collect()
    }

    /// The folder of a target.
    fn place_of(&self, to: &ExposeTarget) -> Result<PathBuf> {
        match to {
            ExposeTarget::Folder(dir) => match self.disk.stat_follow(dir) {
                Ok(stat) if stat.kind == Kind::Dir => Ok(self.disk.canonical(dir)?),
                _ => Err(Error::new(
                    ErrorKind::NotFound,
                    format!("{} is no application that is known, and no folder", dir.display()),
                )
                .hint(Hint::ListApps)),
            },
            ExposeTarget::App(app) => {
                let is_there = |place: &&AppPlace| self.disk.stat_follow(&place.dir).is_ok();
                let named = |app: App| self.settings.apps.iter().filter(move |place| place.app == app);
                // llama.cpp reads the cache of huggingface_hub, unless a variable or the user names another folder for it.
                let (app, own) = match app {
                    App::LlamaCpp => (App::Hf, named(App::LlamaCpp).filter(|place| place.named_by.is_some()).find(is_there)),
                    app => (*app, None),
                };
                let there = own.or_else(|| named(app).find(is_there));
                let error =
                    || Error::new(ErrorKind::NotFound, format!("{} has no folder here", app.title())).hint(Hint::AddApp { app });
                let place = there.ok_or_else(error)?;
                Ok(self.disk.canonical(&place.dir)?)
            }
        }
    }

    /// The root of the one view that a name means.
    fn root_meant<'r>(&self, what: &Selector, roots: &'r [RootRecord]) -> Result<&'r RootRecord> {
        let named = self.named(what, Invocation::new(Verb::Path))?;
        let roots: Vec<&RootRecord> = roots.iter().filter(|root| named.fits_view(&root.view)).collect();
        match roots.as_slice() {
            [only] => Ok(*only),
            [] => {
                Err(Error::new(ErrorKind::NotFound, format!("{} is not here", named.name()))
                    .hint(Hint::Run(named.download_action())))
            }
            _ => {
                let names: Vec<String> = roots.iter().map(|root| root.view.name()).collect();
                Err(Error::new(ErrorKind::Usage, format!("{} is here in several forms", named.name()))
                    .hint(Hint::DidYouMean { names, actions: Vec::new() }))
            }
        }
    }

    /// What applications need to know of a model.
    fn model_to_place(&self, root: &RootRecord, store: &Store) -> Result<ModelToPlace> {
        let mut model = ModelToPlace {
            model: root.view.model.clone(),
            format: root.view.format.clone(),
            quant: root.view.quant.clone(),
            repo: None,
            commit: None,
            files: Vec::new(),
            view: std::path::absolute(self.settings.models_dir.join(root.view.dir()))
                .unwrap_or_else(|_| self.settings.models_dir.join(root.view.dir())),
            architecture: None,
            file_type: None,
        };
        let mut origins: Vec<Option<(RepoId, Option<String>)>> = Vec::new();
        for file in &root.files {
            let sources = store.meta(&file.sha256)?.map(|meta| meta.sources).unwrap_or_default();
            let upstream: Option<&UpstreamFile> = sources.iter().find_map(|source| match source {
                Provenance::Source(upstream) if upstream.repo.as_ref().is_some_and(|repo| !repo.contains("://")) => Some(upstream),
                _ => None,
            });
            let repo_path = upstream.and_then(|upstream| upstream.path.as_ref()?.parse::<RelPath>().ok());
            let is_commit = |commit: &String| commit.parse::<Revision>().is_ok_and(|revision| revision.is_commit());
            let origin = |upstream: &UpstreamFile| {
                let repo = upstream.repo.as_ref()?.parse::<RepoId>().ok()?;
                Some((repo, upstream.commit.clone().filter(is_commit)))
            };
            origins.push(upstream.and_then(origin));
            model.files.push(FileToPlace {
                path: file.path.clone(),
                repo_path: repo_path.unwrap_or_else(|| file.path.clone()),
                sha256: file.sha256,
                git_sha1: upstream.and_then(|upstream| upstream.git_sha1),
                size: file.size,
            });
            if model.architecture.is_none()
                && let Some((architecture, quant)) = self.kind_by_header(&store.layout().blob(&file.sha256))
            {
                (model.architecture, model.file_type) = (architecture, quant);
            }
        }
        // Of one repository and commit are they only if all are: a file that several have is recorded under the first.
        if let Some(Some((repo, commit))) = origins.first()
            && origins.iter().all(|origin| origin.as_ref() == Some(&(repo.clone(), commit.clone())))
        {
            (model.repo, model.commit) = (Some(repo.clone()), commit.clone());
        }
        Ok(model)
    }
}

/// What belongs to an exposure of what is to be placed, how it is made, and whether it is there already because of another
/// exposure. What the application has by itself does not belong to it.
fn items(
    disk: &dyn Disk,
    dir: &Path,
    placed: &Placed,
    store: &Store,
    known: &MadeItems,
) -> Result<Vec<(PlacedItem, Making, bool)>> {
    let mut items: Vec<(PlacedItem, Making, bool)> = Vec::new();
    let volume = disk.stat_follow(store.layout().root())?.dev;
    let in_the_way = |path: &Path| {
        let text = format!("{} is there already, and is another file", path.display());
        Error::new(ErrorKind::Failed, text).hint(Hint::NothingChanged)
    };
    for place in &placed.places {
        let path = place.path();
        let is_plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
        if !path.starts_with(dir) || !is_plain {
            return Err(Error::new(ErrorKind::Failed, format!("{} is not in {}", path.display(), dir.display())));
        }
        let there = absent_is_none(disk.stat(path))?;
        let (item, making, is_theirs) = match place {
            Placement::File { sha256, or_link, .. } => {
                let blob = store.layout().blob(sha256);
                let ours = store.stat(sha256)?.ok_or(StoreError::Vanished(*sha256))?;
                if store.find_whole(sha256, None)?.is_none() {
                    let text = format!("the content of {sha256} in the store is damaged");
                    return Err(Error::new(ErrorKind::Damaged, text).hint(Hint::RepairFirst));
                }
                let is_on_volume = near(disk, path) == Some(volume) && volume != 0;
                let (item, making) = match (is_on_volume, or_link) {
                    (true, _) => (PlacedItem::File { path: path.to_owned(), sha256: *sha256 }, Making::Blob),
                    (false, true) if cfg!(unix) => {
                        (PlacedItem::Link { path: path.to_owned(), target: disk.canonical(&blob)? }, Making::Link)
                    }
                    (false, _) => {
                        let text =
                            format!("{} is on another volume than the store, and this application takes no link", path.display());
                        return Err(Error::new(ErrorKind::Failed, text).hint(Hint::MoveStoreThere));
                    }
                };
                // A name that is a hash, with that length, is the content as far as the application is concerned.
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let is_hash =
                    name.trim_start_matches("sha256-").len() >= 40 && name.chars().rev().take(40).all(|c| c.is_ascii_hexdigit());
                let is_same = |stat: &Stat| stat.ino != 0 && (stat.dev, stat.ino) == (ours.dev, ours.ino);
                // It may be a link, to a file that the application shares.
                let has_length = || disk.stat_follow(path).is_ok_and(|stat| stat.kind == Kind::File && stat.len == ours.len);
                (item, making, there.is_some_and(|stat| is_same(&stat) || (is_hash && has_length())))
            }
            Placement::Link { target, .. } => {
                let item = PlacedItem::Link { path: path.to_owned(), target: target.clone() };
                (item, Making::Link, there.is_some() && disk.read_link(path).is_ok_and(|held| held == *target))
            }
            Placement::Text { text, optional, .. } => {
                let item = PlacedItem::Text { path: path.to_owned(), sha256: sha256_of(text.as_bytes()) };
                let is_same = || disk.read_small(path).ok().flatten().as_deref() == Some(text.as_bytes());
                (item, Making::Text(text.clone().into_bytes()), there.is_some() && (*optional || is_same()))
            }
        };
        match there {
            None => items.push((item, making, false)),
            Some(_) if known.has(&item) && is_theirs => items.push((item, Making::There, true)),
            Some(_) if is_theirs => {}
            Some(_) => return Err(in_the_way(path)),
        }
    }
    let mut seen = HashSet::new();
    items.retain(|(item, ..)| seen.insert(item.path().to_owned()));
    Ok(items)
}

/// The volume of the nearest folder above a place that is there.
fn near(disk: &dyn Disk, path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|dir| disk.stat_follow(dir).ok()).map(|stat| stat.dev)
}

fn exposed(exposure: &Exposure, changed: bool) -> ExposedModel {
    ExposedModel {
        view: exposure.view.clone(),
        app: exposure.app.clone(),
        path: exposure.dir.clone(),
        name: exposure.name.clone(),
        items: exposure.items.len(),
        changed,
    }
}
