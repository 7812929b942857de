//! Lists the models that are here.

use super::{ListedFile, ListedFileState, ListedModel, ListedState, ModelManager, StoreList, Timestamp, UnshownBlob};
use crate::{
    digest::Sha256Digest,
    disk::Stat,
    error::Result,
    names::{Format, RelPath, companions},
    store::{Project, Provenance, RootRecord, Store, ViewKey},
    view::{Found, Health},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// What the records of the store say of a model, besides what its folder tells.
#[derive(Clone, Copy)]
struct Details<'a> {
    store: &'a Store,
    project: Option<Uuid>,
}

impl ModelManager {
    /// Every model in the models directory, one entry for each view.
    pub fn list(&self, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        let store = self.existing_store()?;
        self.list_with(store.as_ref(), self.details(store.as_ref())?, None, format)
    }

    /// The same of all projects that the store has, and the blobs that none of them shows. Other projects are not looked at,
    /// only what the store keeps for them.
    pub fn list_store(&self) -> Result<StoreList> {
        let Some(store) = self.existing_store()? else { return Ok(StoreList::default()) };
        let details = self.details(Some(&store))?;
        let mut list = StoreList { models: self.list_with(Some(&store), details, None, None)?, ..StoreList::default() };
        let damaged = store.damaged()?;
        let own = details.and_then(|details| details.project);
        let mut names: HashMap<Uuid, String> = HashMap::new();
        for project in store.projects()?.into_iter().filter(|project| Some(*project) != own) {
            let name = self.project_name(&store, &project, &mut names);
            let listed = |root, used_ns| Ok(Some(listed_root(&store, &name, &root, used_ns, &damaged)?));
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
                    list.unshown.push(unshown(&store, digest, &stat)?);
                }
            }
        }
        Ok(list)
    }

    /// The models of the models directory without what only the records of the store tell: times of checks, and sources.
    pub(super) fn list_here(&self) -> Result<Vec<ListedModel>> {
        self.list_with(self.existing_store()?.as_ref(), None, None, None)
    }

    /// The views of one model, likewise.
    pub(super) fn list_model(&self, store: Option<&Store>, model: &str, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        self.list_with(store, None, Some(model), format)
    }

    /// Notes that a listed model is used now.
    pub(super) fn note_use(&self, store: Option<&Store>, listed: &ListedModel) {
        if let (Some(store), Some(view)) = (store, &listed.view)
            && let Ok(Some(project)) = Project::identify(&*self.models_disk(), &self.settings.models_dir)
        {
            store.note_use(&project, view);
        }
    }

    /// The models of the models directory with what this store records of them.
    pub(super) fn list_in(&self, store: &Store) -> Result<Vec<ListedModel>> {
        self.list_with(Some(store), self.details(Some(store))?, None, None)
    }

    fn details<'s>(&self, store: Option<&'s Store>) -> Result<Option<Details<'s>>> {
        let Some(store) = store else { return Ok(None) };
        // A project file that cannot be read is reported where it matters.
        let project = Project::identify(&*self.models_disk(), &self.settings.models_dir).ok().flatten();
        Ok(Some(Details { store, project }))
    }

    fn list_with(
        &self,
        store: Option<&Store>,
        details: Option<Details<'_>>,
        model: Option<&str>,
        format: Option<&Format>,
    ) -> Result<Vec<ListedModel>> {
        Ok(self.views(store.cloned()).scan_models(model, format, |found| self.listed_of(found, details))?)
    }

    fn listed_of(&self, mut found: Vec<Found>, details: Option<Details<'_>>) -> Vec<ListedModel> {
        found.retain(|file| file.belongs);
        // They come in order, so that the files of a view follow each other.
        found.chunk_by(is_beside).map(|files| self.listed(files, details)).collect()
    }

    /// The list entry for the files of one view.
    fn listed(&self, files: &[Found], details: Option<Details<'_>>) -> ListedModel {
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
        let records = Records::of(details, view.as_ref(), files);
        let newest = |time: fn(&Found) -> i64| files.iter().map(time).max().unwrap_or(0);
        let used_ns = newest(|file| file.accessed_ns).max(records.used_ns);
        ListedModel {
            view,
            path,
            project: self.settings.models_dir.to_string_lossy().into_owned(),
            total_bytes: files.iter().map(|file| file.size).sum(),
            added_at: Timestamp::from_nanoseconds(newest(|file| file.modified_ns)),
            used_at: Timestamp::from_nanoseconds(used_ns),
            verified_at: Timestamp::from_nanoseconds(records.verified_ns),
            source: records.source,
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

/// What records say of a view; times are 0 where they say nothing.
#[derive(Default)]
struct Records {
    used_ns: i64,
    /// The earliest of its files.
    verified_ns: i64,
    source: Option<String>,
}

impl Records {
    /// What cannot be read is as good as not recorded: this is for showing.
    fn of(details: Option<Details<'_>>, view: Option<&ViewKey>, files: &[Found]) -> Self {
        let Some(Details { store, project }) = details else { return Self::default() };
        let used = project.zip(view).and_then(|(project, view)| store.noted_use(&project, view).ok().flatten());
        let digests = files.iter().filter_map(|file| Some((file.digest()?, file.size)));
        Self { used_ns: used.unwrap_or(0), ..Self::of_blobs(store, digests, files.len()) }
    }

    /// `files` is how many files there are, also those that show no blob.
    fn of_blobs(store: &Store, digests: impl Iterator<Item = (Sha256Digest, u64)>, files: usize) -> Self {
        let digests: Vec<(Sha256Digest, u64)> = digests.collect();
        let largest = digests.iter().max_by_key(|(_, size)| *size).map(|(digest, _)| *digest);
        let (time, source) = largest.map(|digest| store.history(&digest)).unwrap_or_default();
        let others = digests.iter().filter(|(digest, _)| Some(*digest) != largest);
        let mut times: Vec<i64> = others.filter_map(|(digest, _)| store.verified_ns(digest).ok().flatten()).collect();
        // The largest may stand there under several names.
        let largest_files = digests.iter().filter(|(digest, _)| Some(*digest) == largest).count();
        times.extend(time.into_iter().flat_map(|time| std::iter::repeat_n(time, largest_files)));
        let verified_ns = if times.len() == files { times.into_iter().min().unwrap_or(0) } else { 0 };
        Self { used_ns: 0, verified_ns, source: source.as_ref().and_then(source_of) }
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
    let records = Records::of_blobs(store, root.files.iter().map(|file| (file.sha256, file.size)), root.files.len());
    Ok(ListedModel {
        model: view.model.to_string(),
        format: view.format.to_string(),
        quant: view.quant.as_ref().map(ToString::to_string),
        project: project.to_owned(),
        path: if view.format.is_single_file() { dir.join(model_of(root)) } else { dir },
        added_at: Timestamp::from_nanoseconds(added_ns),
        used_at: Timestamp::from_nanoseconds(used_ns),
        verified_at: Timestamp::from_nanoseconds(records.verified_ns),
        source: records.source,
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

fn unshown(store: &Store, sha256: Sha256Digest, stat: &Stat) -> Result<UnshownBlob> {
    let meta = store.meta(&sha256)?;
    let upstream = meta.as_ref().and_then(|meta| meta.sources.iter().find_map(Provenance::upstream));
    Ok(UnshownBlob {
        sha256,
        size: stat.len,
        added_at: Timestamp::from_nanoseconds(stat.mtime_ns),
        used_at: Timestamp::from_nanoseconds(stat.atime_ns),
        verified_at: Timestamp::from_nanoseconds(store.verified_ns(&sha256)?.unwrap_or(0)),
        source: meta.as_ref().and_then(|meta| meta.sources.first()).and_then(source_of),
        repo_path: upstream.and_then(|file| file.path.clone()),
    })
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
