//! Lists the models that are here.

use super::{
    ListDetails, ListOrder, ListQuery, ListedFile, ListedFileState, ListedModel, ListedState, ModelManager, StoreList, Timestamp,
    UnshownBlob,
};
use crate::{
    digest::Sha256Digest,
    disk::{Stat, parallel},
    error::Result,
    names::{Format, RelPath, companions},
    store::{Project, Provenance, RootRecord, Store},
    view::{Found, Health},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    convert::Infallible,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// So many models are worth a thread.
const LEAST_MODELS: usize = 64;
/// So many are taken at once: few enough that no worker is left behind with many.
const MODELS_AT_ONCE: usize = 16;

impl ModelManager {
    /// Every model in the models directory, one entry for each view.
    pub fn list(&self, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        let query = ListQuery { format: format.cloned(), ..ListQuery::default() };
        Ok(self.list_of(&query, |_| ListDetails::ALL)?.models)
    }

    /// The same of all projects that the store has, and the blobs that none of them shows. Other projects are not looked at,
    /// only what the store keeps for them.
    pub fn list_store(&self) -> Result<StoreList> {
        self.list_of(&ListQuery { all: true, ..ListQuery::default() }, |_| ListDetails::ALL)
    }

    /// The models that a query asks for, in its order. `wanted` is given those that fit and says what more is wanted of them:
    /// each detail costs a look at the records of every model, and what is not wanted is left out.
    ///
    /// # Errors
    /// Where the models directory or the store cannot be read.
    pub fn list_of(&self, query: &ListQuery, wanted: impl FnOnce(&StoreList) -> ListDetails) -> Result<StoreList> {
        let store = self.existing_store()?;
        let mut list = match (query.all, &store) {
            (false, _) => StoreList::of(self.list_with(store.as_ref(), None, query.format.as_ref())?),
            (true, Some(store)) => self.whole_store(store)?,
            (true, None) => StoreList::default(),
        };
        list.select(query.format.as_ref(), &query.filter);
        let mut wanted = wanted(&list);
        wanted.used |= query.order == ListOrder::Used;
        if let Some(store) = &store {
            self.add_details(store, wanted, &mut list.models);
        }
        list.sort(query.order);
        Ok(list)
    }

    /// The models of all projects of a store, without their details, and its blobs that none of them shows.
    fn whole_store(&self, store: &Store) -> Result<StoreList> {
        let mut list = StoreList::of(self.list_with(Some(store), None, None)?);
        let damaged = store.damaged()?;
        let own = self.own_project();
        let mut names: HashMap<Uuid, String> = HashMap::new();
        for project in store.projects()?.into_iter().filter(|project| Some(*project) != own) {
            let name = self.project_name(store, &project, &mut names);
            let listed = |root, used_ns| Ok(Some(listed_root(store, &name, &root, used_ns, &damaged)?));
            list.models.extend(store.map_roots(&project, listed)?);
        }
        let mut shown: HashMap<Sha256Digest, u64> = HashMap::new();
        for file in list.models.iter().flat_map(|model| &model.files) {
            shown.extend(file.sha256.map(|digest| (digest, file.size)));
        }
        let mut needed = HashSet::new();
        for project in store.projects()? {
            needed.extend(store.blobs_of_other_owners(&project)?);
        }
        for digest in store.blobs()? {
            if let Some(size) = shown.get(&digest) {
                list.stored_bytes += size;
            } else if let Some(stat) = store.stat(&digest)? {
                list.stored_bytes += stat.len;
                if !needed.contains(&digest) {
                    list.unshown.push(unshown(store, digest, &stat));
                }
            }
        }
        Ok(list)
    }

    /// The models of the models directory without what only the records of the store tell: times of checks, and sources.
    pub(super) fn list_here(&self) -> Result<Vec<ListedModel>> {
        self.list_with(self.existing_store()?.as_ref(), None, None)
    }

    /// The views of one model, likewise.
    pub(super) fn list_model(&self, store: Option<&Store>, model: &str, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        self.list_with(store, Some(model), format)
    }

    /// Notes that a listed model is used now.
    pub(super) fn note_use(&self, store: Option<&Store>, listed: &ListedModel) {
        if let (Some(store), Some(view)) = (store, &listed.view)
            && let Some(project) = self.own_project()
        {
            store.note_use(&project, view);
        }
    }

    /// The models of the models directory, with when each was used.
    pub(super) fn list_with_use(&self, store: &Store) -> Result<Vec<ListedModel>> {
        let mut models = self.list_with(Some(store), None, None)?;
        self.add_details(store, ListDetails { used: true, ..ListDetails::NONE }, &mut models);
        Ok(models)
    }

    /// This project. A file of it that cannot be read is reported where it matters.
    fn own_project(&self) -> Option<Uuid> {
        Project::identify(&*self.models_disk(), &self.settings.models_dir).ok().flatten()
    }

    fn list_with(&self, store: Option<&Store>, model: Option<&str>, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        Ok(self.views(store.cloned()).scan_models(model, format, |found| self.listed_of(found))?)
    }

    fn listed_of(&self, mut found: Vec<Found>) -> Vec<ListedModel> {
        found.retain(|file| file.belongs);
        // They come in order, so that the files of a view follow each other.
        found.chunk_by(is_beside).map(|files| self.listed(files)).collect()
    }

    /// Adds what only records tell. What cannot be read is as good as not recorded: this is for showing.
    fn add_details(&self, store: &Store, wanted: ListDetails, models: &mut [ListedModel]) {
        if wanted == ListDetails::NONE || models.is_empty() {
            return;
        }
        let project = if wanted.used { self.own_project() } else { None };
        let uses = project.and_then(|project| Some((project, store.names_of_root_records(&project).ok()?)));
        let own = self.settings.models_dir.to_string_lossy();
        let add = |models: &mut [ListedModel]| {
            for model in models {
                if let (Some((project, names)), Some(view)) = (&uses, &model.view)
                    && model.project == own
                    && names.contains(&view.record_name())
                {
                    let noted = store.noted_use(project, view).ok().flatten().and_then(Timestamp::from_nanoseconds);
                    model.used_at = model.used_at.max(noted);
                }
                add_history(store, wanted, model);
            }
            Ok::<(), Infallible>(())
        };
        let workers = parallel::workers(models.len(), LEAST_MODELS);
        let Ok(_) = parallel::map(models.chunks_mut(MODELS_AT_ONCE), workers, add);
    }

    /// The list entry for the files of one view.
    fn listed(&self, files: &[Found]) -> ListedModel {
        let Found { model, format, quant, .. } = files[0].clone();
        let view = files[0].view();
        let mut path = self.settings.models_dir.join(&model).join(&format);
        path.extend(&quant);
        if format.parse::<Format>().is_ok_and(|format| format.is_single_file()) {
            let paths: Vec<RelPath> = files.iter().filter_map(|file| file.file.parse().ok()).collect();
            let model = self.model_among(&path, &paths);
            let is_model = |file: &&Found| model.is_some_and(|model| file.file == model.as_str());
            path = files.iter().find(is_model).unwrap_or(&files[0]).path.clone();
        }
        let newest = |time: fn(&Found) -> i64| files.iter().map(time).max().unwrap_or(0);
        ListedModel {
            view,
            path,
            project: self.settings.models_dir.to_string_lossy().into_owned(),
            total_bytes: files.iter().map(|file| file.size).sum(),
            added_at: Timestamp::from_nanoseconds(newest(|file| file.modified_ns)),
            used_at: Timestamp::from_nanoseconds(newest(|file| file.accessed_ns)),
            model,
            format,
            quant,
            ..of_files(files.iter().map(listed_file).collect())
        }
    }
}

/// An entry for these files, of which nothing else is said yet.
fn of_files(files: Vec<ListedFile>) -> ListedModel {
    ListedModel {
        model: String::new(),
        format: String::new(),
        quant: None,
        view: None,
        project: String::new(),
        path: PathBuf::new(),
        state: ListedState::of(&files),
        total_bytes: files.iter().map(|file| file.size).sum(),
        added_at: None,
        used_at: None,
        verified_at: None,
        source: None,
        files,
    }
}

/// Adds when the files of a model were verified, and where the largest of them came from.
fn add_history(store: &Store, wanted: ListDetails, model: &mut ListedModel) {
    let blobs = model.files.iter().filter_map(|file| Some((file.sha256?, file.size)));
    let largest = blobs.max_by_key(|(_, size)| *size).map(|(digest, _)| digest).filter(|_| wanted.source);
    let (time, sources) = largest.map(|digest| store.history(&digest)).unwrap_or_default();
    model.source = sources.first().and_then(source_of);
    if wanted.verified {
        let verified_ns = |file: &ListedFile| match file.sha256? {
            digest if Some(digest) == largest => time,
            digest => store.verified_ns(&digest).ok().flatten(),
        };
        let times: Option<Vec<i64>> = model.files.iter().map(verified_ns).collect();
        model.verified_at = times.and_then(|times| times.into_iter().min()).and_then(Timestamp::from_nanoseconds);
    }
}

/// Where a blob came from first, in words.
fn source_of(source: &Provenance) -> Option<String> {
    Some(match source {
        Provenance::Source(file) => file.repo.clone().unwrap_or_else(|| file.endpoint.clone()),
        Provenance::Local { path } => path.clone().unwrap_or_else(|| "local".to_owned()),
        Provenance::App { app, .. } => app.clone(),
        Provenance::Remote { name } => name.clone(),
        Provenance::Unknown(_) => return None,
    })
}

/// The list entry for a root of another project.
fn listed_root(
    store: &Store,
    project: &str,
    root: &RootRecord,
    used_ns: i64,
    damaged: &BTreeSet<Sha256Digest>,
) -> crate::store::Result<ListedModel> {
    let view = &root.view;
    let dir = Path::new(project).join(view.dir());
    let (mut added_ns, mut used_ns) = (0, used_ns);
    let mut files = Vec::with_capacity(root.files.len());
    for file in &root.files {
        let stat = store.stat(&file.sha256)?;
        let state = match &stat {
            None => ListedFileState::Missing,
            Some(stat) if stat.len != file.size || damaged.contains(&file.sha256) => ListedFileState::Damaged,
            Some(_) => ListedFileState::Stored,
        };
        added_ns = added_ns.max(stat.map_or(0, |stat| stat.mtime_ns));
        used_ns = used_ns.max(stat.map_or(0, |stat| stat.atime_ns));
        let path = dir.join(file.path.to_path());
        files.push(ListedFile {
            file: file.path.to_string(),
            path,
            size: stat.map_or(0, |stat| stat.len),
            state,
            sha256: Some(file.sha256),
        });
    }
    Ok(ListedModel {
        model: view.model.to_string(),
        format: view.format.to_string(),
        quant: view.quant.as_ref().map(ToString::to_string),
        project: project.to_owned(),
        path: if view.format.is_single_file() { dir.join(model_of(root)) } else { dir },
        added_at: Timestamp::from_nanoseconds(added_ns),
        used_at: Timestamp::from_nanoseconds(used_ns),
        view: Some(view.clone()),
        ..of_files(files)
    })
}

/// The file of a view that is the model, by the names alone.
fn model_of(root: &RootRecord) -> PathBuf {
    let paths: Vec<&RelPath> = root.files.iter().map(|file| &file.path).collect();
    let beside = companions(paths.iter().copied());
    let model = paths.iter().filter(|path| !beside.contains(*path)).min().or(paths.first());
    model.map(|path| path.to_path()).unwrap_or_default()
}

fn unshown(store: &Store, sha256: Sha256Digest, stat: &Stat) -> UnshownBlob {
    let (verified_ns, sources) = store.history(&sha256);
    let upstream = sources.iter().find_map(Provenance::upstream);
    UnshownBlob {
        sha256,
        size: stat.len,
        added_at: Timestamp::from_nanoseconds(stat.mtime_ns),
        used_at: Timestamp::from_nanoseconds(stat.atime_ns),
        verified_at: verified_ns.and_then(Timestamp::from_nanoseconds),
        source: sources.first().and_then(source_of),
        repo_path: upstream.and_then(|file| file.path.clone()),
    }
}

fn listed_file(found: &Found) -> ListedFile {
    let state = match found.health() {
        Health::Whole => ListedFileState::Stored,
        Health::Foreign | Health::Replaced => ListedFileState::Foreign,
        Health::Missing => ListedFileState::Missing,
        Health::Damaged => ListedFileState::Damaged,
    };
    ListedFile { file: found.file.clone(), path: found.path.clone(), size: found.size, state, sha256: found.digest() }
}

fn is_beside(a: &Found, b: &Found) -> bool {
    (&a.model, &a.format, &a.quant) == (&b.model, &b.format, &b.quant)
}
