//! What a view has, and in what state each of its files is. Every command asks here.
//!
//! A view has what its record says: its root in the store, or where that is missing its manifest. A recorded file that is
//! not in the folder is absent, and what else lies in the folder is a neighbour and never the model. Without a record, as
//! for models that were put there by hand or by the old tool, the folder itself is all there is to go by.
//!
//! It costs one reading of each folder, of each record, and one or two looks at each file.

use super::{
    FileState, Result, States, ViewManifest, Views,
    manifest::MANIFEST_FILE,
    state::{Classifier, Shown},
};
use crate::{
    digest::Sha256Digest,
    disk::{DiskError, Entry, Folder, Kind, parallel},
    names::Format,
    store::{Project, RootRecord, Store, ViewFile, ViewKey},
    weights::format_of,
};
use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// Folders deeper than this below a view are not looked into.
const MAX_DEPTH: usize = 16;
/// So many models are worth a thread.
const LEAST_MODELS: usize = 64;
/// So many are taken at once: few enough that no worker is left behind with many.
const MODELS_AT_ONCE: usize = 16;

/// One file of a view or beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Name of the folder below the models directory: the model's id, if it was made by us.
    pub model: String,
    /// Name of the folder below that.
    pub format: String,
    /// Name of the folder below that, where it is one of a quantization.
    pub quant: Option<String>,
    /// Path below the last of these folders, with `/` between its parts.
    pub file: String,
    /// Where it stands.
    pub path: PathBuf,
    /// Length in bytes of what it shows; 0 where that cannot be read.
    pub size: u64,
    /// When that was last written, in nanoseconds since 1970; 0 where that is not known.
    pub modified_ns: i64,
    /// When that was last read, as far as the volume keeps it.
    pub accessed_ns: i64,
    /// What it is.
    pub state: FileState,
    /// What the record of its view says of it.
    pub recorded: Option<Recorded>,
    /// Whether it is a file of the model, and not just another file of the folder.
    pub belongs: bool,
    /// Whether the way to it leads through a link to a folder: then it is not ours, whatever it is.
    pub is_behind_link: bool,
    /// Whether the blob that it shows is known to be damaged.
    pub is_damaged: bool,
    /// Whether it is a plain file that was read and found to be another than the record has.
    pub is_mismatch: bool,
}

/// What a record says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The state of a file, as far as it is known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It shows what it should.
    Whole,
    /// Nothing says what it should be.
    Foreign,
    /// A regular file of the right length in place of one of ours; only reading it shows whether it is the same.
    Replaced,
    /// It is not there, or its link leads nowhere.
    Missing,
    /// It is not what it should be.
    Damaged,
}

impl Found {
    /// How it is.
    pub fn health(&self) -> Health {
        match (&self.state, self.recorded) {
            (FileState::Absent | FileState::Dangling { .. }, _) => Health::Missing,
            (FileState::LinkText { .. }, _) => Health::Damaged,
            (FileState::Foreign, None) => Health::Foreign,
            (FileState::Foreign, Some(recorded)) if self.is_mismatch || recorded.size != self.size => Health::Damaged,
            (FileState::Copy { .. }, Some(_)) if self.is_mismatch => Health::Damaged,
            (FileState::Foreign, Some(_)) => Health::Replaced,
            (FileState::Blob { .. } | FileState::Copy { .. }, _) if self.is_damaged || self.shows_another() => Health::Damaged,
            (FileState::Blob { .. } | FileState::Copy { .. }, Some(recorded)) if recorded.size != self.size => Health::Damaged,
            (FileState::Blob { .. } | FileState::Copy { .. }, _) => Health::Whole,
        }
    }

    /// Whether it is ours, and of another blob than the record has.
    pub fn shows_another(&self) -> bool {
        self.recorded.is_some_and(|recorded| self.state.digest().is_some_and(|digest| digest != recorded.sha256))
    }

    /// The content it should have, or shows.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.recorded.map(|recorded| recorded.sha256).or(self.state.digest())
    }

    /// The view that it is in; `None` where a folder's name can be none of ours.
    pub fn view(&self) -> Option<ViewKey> {
        let quant = self.quant.as_deref().map(str::parse).transpose().ok()?;
        Some(ViewKey { model: self.model.parse().ok()?, format: self.format.parse().ok()?, quant })
    }
}

impl Views {
    /// All files of all views, in order, and what lies beside them; with `filter` only what is in this format. Names that
    /// begin with a dot are skipped, but for those that a record has, and so are folders this user may not read.
    pub fn scan(&self, filter: Option<&Format>) -> Result<Vec<Found>> {
        self.scan_models(None, filter, |found| found)
    }

    /// The same, with what `each` makes of the files of one model, for all models or this one. It is called from several
    /// threads.
    pub fn scan_models<T: Send>(
        &self,
        only: Option<&str>,
        filter: Option<&Format>,
        each: impl Fn(Vec<Found>) -> Vec<T> + Sync,
    ) -> Result<Vec<T>> {
        let classifier = Classifier::new(&*self.disk, self.store.as_ref());
        let Some(top) = open(self.disk.folder(&self.models_dir))? else { return Ok(Vec::new()) };
        let roots = self.roots(only)?;
        let damaged = self.store.as_ref().map(Store::damaged).transpose()?.unwrap_or_default();
        let mut models: BTreeMap<&str, bool> = folders(&*top).into_iter().collect();
        for model in roots.keys() {
            models.entry(model).or_default();
        }
        let models: Vec<(&str, bool)> = models.into_iter().filter(|(model, _)| only.is_none_or(|only| only == *model)).collect();
        // More than there are processors: the system spreads four threads sooner than two, and a folder may have to come from
        // the volume.
        let workers = parallel::workers(models.len(), LEAST_MODELS);
        let scanned = parallel::map(models.chunks(MODELS_AT_ONCE), workers, |models| -> Result<Vec<T>> {
            let mut made = Vec::with_capacity(models.len());
            for (model, linked) in models {
                let roots = roots.get(*model).map_or(&[][..], Vec::as_slice);
                let mut walk = TreeWalk { views: self, classifier: &classifier, roots, damaged: &damaged, found: Vec::new() };
                walk.model(&*top, model, *linked, filter)?;
                walk.absent_views(filter)?;
                walk.found.sort_by(|a, b| (&a.format, &a.quant, &a.file).cmp(&(&b.format, &b.quant, &b.file)));
                made.extend(each(walk.found));
            }
            Ok(made)
        })?;
        Ok(scanned.into_iter().flatten().collect())
    }

    /// The root records of this project by model. Unreadable ones are skipped; operations that rely on them report the
    /// error.
    fn roots(&self, only: Option<&str>) -> Result<HashMap<String, Vec<RootRecord>>> {
        let mut roots: HashMap<String, Vec<RootRecord>> = HashMap::new();
        if let Some(store) = &self.store
            && let Ok(Some(project)) = Project::identify(&*self.disk, &self.models_dir)
        {
            for root in store.readable_roots(&project, only)? {
                roots.entry(root.view.model.to_string()).or_default().push(root);
            }
        }
        Ok(roots)
    }

    /// Every view that has a manifest, in order. One that lost it is known to its root and to [`Views::scan`].
    pub fn keys(&self) -> Result<Vec<ViewKey>> {
        let mut keys = Vec::new();
        let mut note = |model: &str, format: &str, quant: Option<&str>| {
            let (Ok(model), Ok(format), Ok(quant)) = (model.parse(), format.parse(), quant.map(str::parse).transpose()) else {
                return;
            };
            keys.push(ViewKey { model, format, quant });
        };
        let Some(top) = open(self.disk.folder(&self.models_dir))? else { return Ok(Vec::new()) };
        for model in own_folders(&*top) {
            let Some(model_dir) = open(top.folder(model))? else { continue };
            for format in own_folders(&*model_dir) {
                let Some(format_dir) = open(model_dir.folder(format))? else { continue };
                if has_manifest(&*format_dir) {
                    note(model, format, None);
                }
                for quant in own_folders(&*format_dir) {
                    if open(format_dir.folder(quant))?.is_some_and(|dir| has_manifest(&*dir)) {
                        note(model, format, Some(quant));
                    }
                }
            }
        }
        keys.sort();
        Ok(keys)
    }
}

/// A folder that was opened; `None` where it is gone or closed to this user (`lost+found` on a volume of its own).
fn open<'f>(opened: Result<Box<dyn Folder + 'f>, DiskError>) -> Result<Option<Box<dyn Folder + 'f>>> {
    match opened {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.is_not_found() || error.is_read_only() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What is not hidden.
fn seen(folder: &dyn Folder) -> impl Iterator<Item = &Entry> {
    folder.entries().iter().filter(|entry| !entry.name.starts_with('.'))
}

/// The folders in a folder, without links to such.
fn own_folders(folder: &dyn Folder) -> impl Iterator<Item = &str> {
    seen(folder).filter(|entry| entry.kind == Kind::Dir).map(|entry| entry.name.as_str())
}

/// The folders in a folder, and whether each is a link to one.
fn folders(folder: &dyn Folder) -> Vec<(&str, bool)> {
    let is_folder = |entry: &&Entry| match entry.kind {
        Kind::Dir => true,
        Kind::Symlink => leads_to_folder(folder, &entry.name),
        Kind::File | Kind::Other => false,
    };
    seen(folder).filter(is_folder).map(|entry| (entry.name.as_str(), entry.kind == Kind::Symlink)).collect()
}

fn leads_to_folder(folder: &dyn Folder, name: &str) -> bool {
    folder.stat_follow(name).is_ok_and(|stat| stat.kind == Kind::Dir)
}

fn has_manifest(folder: &dyn Folder) -> bool {
    folder.entries().iter().any(|entry| entry.name == MANIFEST_FILE)
}

struct TreeWalk<'a> {
    views: &'a Views,
    classifier: &'a Classifier<'a>,
    /// The records of this model.
    roots: &'a [RootRecord],
    /// Blobs that are known to be damaged.
    damaged: &'a BTreeSet<Sha256Digest>,
    found: Vec<Found>,
}

/// The view that a folder is, or is in.
struct Place<'a> {
    model: &'a str,
    format: &'a str,
    quant: Option<&'a str>,
    dir: &'a Path,
    linked: bool,
    has_manifest: bool,
    manifest: OnceCell<Option<ViewManifest>>,
}

impl Place<'_> {
    /// The manifest, read when it is first asked for.
    fn manifest(&self, views: &Views) -> Result<Option<&ViewManifest>> {
        if self.manifest.get().is_none() {
            let manifest = if self.has_manifest { views.manifest_in(self.dir)? } else { None };
            let _ = self.manifest.set(manifest);
        }
        Ok(self.manifest.get().and_then(Option::as_ref))
    }
}

impl TreeWalk<'_> {
    fn model(&mut self, top: &dyn Folder, model: &str, linked: bool, filter: Option<&Format>) -> Result<()> {
        let Some(folder) = open(top.folder(model))? else { return Ok(()) };
        let dir = self.views.models_dir.join(model);
        for (format, format_linked) in folders(&*folder) {
            if filter.is_none_or(|filter| filter.as_str().eq_ignore_ascii_case(format))
                && let Some(folder) = open(folder.folder(format))?
            {
                self.format(model, format, &*folder, &dir.join(format), linked || format_linked)?;
            }
        }
        Ok(())
    }

    /// A format's folder holds folders of quantizations, or a view of its own, or both.
    fn format(&mut self, model: &str, format: &str, folder: &dyn Folder, dir: &Path, linked: bool) -> Result<()> {
        let (quant, has_own) = (None, has_manifest(folder));
        let place = Place { model, format, quant, dir, linked, has_manifest: has_own, manifest: OnceCell::new() };
        let single_file = format.parse::<Format>().is_ok_and(|format| format.is_single_file());
        for entry in seen(folder) {
            let path = dir.join(&entry.name);
            let Some(linked) = self.file_or_folder(&place, folder, entry, &entry.name, &path, linked)? else { continue };
            let Some(inner) = open(folder.folder(&entry.name))? else { continue };
            let own = has_manifest(&*inner);
            let is_view = own || self.root(format, Some(&entry.name)).is_some();
            if is_view || (single_file && !place.manifest(self.views)?.is_some_and(|view| view.has_folder(&entry.name))) {
                let quant = Some(entry.name.as_str());
                let quant = Place { model, format, quant, dir: &path, linked, has_manifest: own, manifest: OnceCell::new() };
                self.folder(&quant, &*inner, &path, "", linked)?;
                self.compare(&quant)?;
            } else {
                self.folder(&place, &*inner, &path, &entry.name, linked)?;
            }
        }
        self.compare(&place)
    }

    /// The root of a view of this model.
    fn root(&self, format: &str, quant: Option<&str>) -> Option<&'_ RootRecord> {
        let is_it = |root: &&RootRecord| {
            root.view.format.as_str() == format && root.view.quant.as_ref().map(|quant| quant.as_str()) == quant
        };
        self.roots.iter().find(is_it)
    }

    /// Views of which the store has a record and the models directory nothing.
    fn absent_views(&mut self, filter: Option<&Format>) -> Result<()> {
        for root in self.roots.iter().filter(|root| filter.is_none_or(|filter| *filter == root.view.format)) {
            let (format, quant) = (root.view.format.as_str(), root.view.quant.as_ref().map(|quant| quant.as_str()));
            if self.found.iter().any(|found| found.format == format && found.quant.as_deref() == quant) {
                continue;
            }
            let dir = self.views.dir(&root.view);
            let (model, manifest) = (root.view.model.as_str(), OnceCell::new());
            self.compare(&Place { model, format, quant, dir: &dir, linked: false, has_manifest: false, manifest })?;
        }
        Ok(())
    }

    /// Holds what was found of a view against its record, and adds what that has besides.
    fn compare(&mut self, place: &Place<'_>) -> Result<()> {
        let is_here = |found: &Found| found.format == place.format && found.quant.as_deref() == place.quant;
        let recorded: Option<Vec<ViewFile>> = match self.root(place.format, place.quant) {
            Some(root) => Some(root.files.clone()),
            None => place.manifest(self.views)?.map(ViewManifest::view_files),
        };
        let Some(recorded) = recorded.filter(|files| !files.is_empty()) else {
            let is_weights = |found: &Found| format_of(&found.file).is_some_and(|format| format.as_str() == place.format);
            // One model of such a format is one file; what lies beside it is not the model.
            if place.format.parse::<Format>().is_ok_and(|format| format.is_single_file()) {
                self.found.iter_mut().filter(|found| is_here(found)).for_each(|found| found.belongs = is_weights(found));
            }
            return Ok(());
        };
        let mut of_record: HashMap<&str, Recorded> =
            recorded.iter().map(|file| (file.path.as_str(), Recorded { sha256: file.sha256, size: file.size })).collect();
        for found in self.found.iter_mut().filter(|found| is_here(found)) {
            found.recorded = of_record.remove(found.file.as_str());
            found.belongs = found.recorded.is_some();
            if found.belongs
                && matches!(found.state, FileState::Copy { .. } | FileState::Foreign)
                && let Some(noted) = place.manifest(self.views)?.and_then(|manifest| manifest.file(&found.file))
                && noted.mismatch.is_some()
            {
                found.is_mismatch = self.views.disk.find(&found.path)?.is_some_and(|stat| noted.is_mismatch(&stat));
            }
        }
        let rest: HashSet<&str> = of_record.into_keys().collect();
        let mut states = self.views.states();
        for file in recorded.iter().filter(|file| rest.contains(file.path.as_str())) {
            self.found.push(self.look_for(place, file, &mut states)?);
        }
        Ok(())
    }

    /// A recorded file that no reading of the folders gave: its name begins with a dot, it is no file, or not there.
    fn look_for(&self, place: &Place<'_>, file: &ViewFile, states: &mut States<'_>) -> Result<Found> {
        let path = place.dir.join(file.path.to_path());
        let state = states.at(&path)?;
        let shown = if state.is_some() { self.views.disk.stat_follow(&path).ok() } else { None };
        let shown = shown.filter(|stat| stat.kind == Kind::File).map_or_else(Shown::default, |stat| Shown::of(&stat));
        let state = state.unwrap_or(FileState::Absent);
        Ok(Found {
            recorded: Some(Recorded { sha256: file.sha256, size: file.size }),
            belongs: true,
            ..self.found_at(place, file.path.as_str(), &path, (state, shown), place.linked)
        })
    }

    fn found_at(&self, place: &Place<'_>, file: &str, path: &Path, (state, shown): (FileState, Shown), linked: bool) -> Found {
        // A copy has bytes of its own.
        let is_damaged = matches!(&state, FileState::Blob { digest, .. } if self.damaged.contains(digest));
        Found {
            model: place.model.to_owned(),
            format: place.format.to_owned(),
            quant: place.quant.map(str::to_owned),
            file: file.to_owned(),
            path: path.to_owned(),
            size: shown.size,
            modified_ns: shown.modified_ns,
            accessed_ns: shown.accessed_ns,
            // Files behind a link to a folder are not ours.
            state: if linked { FileState::Foreign } else { state },
            recorded: None,
            belongs: true,
            is_behind_link: linked,
            is_damaged,
            is_mismatch: false,
        }
    }

    fn folder(&mut self, place: &Place<'_>, folder: &dyn Folder, dir: &Path, below: &str, linked: bool) -> Result<()> {
        for entry in seen(folder) {
            let path = dir.join(&entry.name);
            let name = if below.is_empty() { entry.name.clone() } else { format!("{below}/{}", entry.name) };
            if let Some(linked) = self.file_or_folder(place, folder, entry, &name, &path, linked)?
                && name.matches('/').count() < MAX_DEPTH
                && let Some(inner) = open(folder.folder(&entry.name))?
            {
                self.folder(place, &*inner, &path, &name, linked)?;
            }
        }
        Ok(())
    }

    /// Notes a file, `file` below its view. For a folder, or a link to one, it gives whether the way there leads through a
    /// link.
    fn file_or_folder(
        &mut self,
        place: &Place<'_>,
        folder: &dyn Folder,
        entry: &Entry,
        file: &str,
        path: &Path,
        linked: bool,
    ) -> Result<Option<bool>> {
        match entry.kind {
            Kind::Dir => return Ok(Some(linked)),
            Kind::Other => return Ok(None),
            Kind::File | Kind::Symlink => {}
        }
        let recorded = || Ok(place.manifest(self.views)?.and_then(|manifest| manifest.file(file)));
        let looked = self.classifier.look_in((folder, &entry.name), path, entry.kind, recorded)?;
        let Some((state, shown)) = looked else { return Ok(None) };
        // A link to a blob is known by its target; only others are looked at again.
        if entry.kind == Kind::Symlink && state == FileState::Foreign && leads_to_folder(folder, &entry.name) {
            // One such link on the way is enough; more could go in circles.
            return Ok((!linked).then_some(true));
        }
        self.found.push(self.found_at(place, file, path, (state, shown), linked));
        Ok(None)
    }
}
