//! Listing: everything under the models directory that looks like a model file, ours or not.
//!
//! It costs one reading of each folder and one or two looks at each file. `.view.json` is read only where a plain file
//! stands, for a link tells its blob itself.

use super::{FileState, Result, ViewManifest, Views, manifest::MANIFEST_FILE, state::Judge};
use crate::{
    disk::{DiskError, Entry, Folder, Kind, parallel},
    names::Format,
    store::ViewKey,
};
use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

/// Folders deeper than this below a view are not looked into.
const MAX_DEPTH: usize = 16;
/// So many models are worth a thread.
const LEAST_MODELS: usize = 64;
/// So many are taken at once: few enough that no worker is left behind with many.
const MODELS_AT_ONCE: usize = 16;

/// One file under the models directory.
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
    /// What it is.
    pub state: FileState,
}

impl Views {
    /// Everything to list, in order; with `filter` only what is in this format. Names that begin with a dot are skipped,
    /// and so are folders this user may not read.
    pub fn scan(&self, filter: Option<&Format>) -> Result<Vec<Found>> {
        self.scan_models(filter, |found| found)
    }

    /// The same, with what `each` makes of the files of one model. It is called from several threads.
    pub fn scan_models<T: Send>(&self, filter: Option<&Format>, each: impl Fn(Vec<Found>) -> Vec<T> + Sync) -> Result<Vec<T>> {
        let judge = Judge::new(&*self.disk, self.store.as_ref());
        let Some(top) = open(self.disk.folder(&self.models_dir))? else { return Ok(Vec::new()) };
        let mut models = folders(&*top);
        models.sort_unstable();
        // More than there are processors: the system spreads four threads sooner than two, and a folder may have to come from
        // the volume.
        let workers = parallel::workers(models.len(), LEAST_MODELS);
        let scanned = parallel::map(models.chunks(MODELS_AT_ONCE), workers, |models| -> Result<Vec<T>> {
            let mut made = Vec::with_capacity(models.len());
            for (model, linked) in models {
                let mut walk = Walk { views: self, judge: &judge, found: Vec::new() };
                walk.model(&*top, model, *linked, filter)?;
                walk.found.sort_by(|a, b| (&a.format, &a.quant, &a.file).cmp(&(&b.format, &b.quant, &b.file)));
                made.extend(each(walk.found));
            }
            Ok(made)
        })?;
        Ok(scanned.into_iter().flatten().collect())
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

struct Walk<'a> {
    views: &'a Views,
    judge: &'a Judge<'a>,
    found: Vec<Found>,
}

/// The view that a folder is, or is in.
struct Place<'a> {
    model: &'a str,
    format: &'a str,
    quant: Option<&'a str>,
    dir: &'a Path,
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

impl Walk<'_> {
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
        let place = Place { model, format, quant: None, dir, has_manifest: has_manifest(folder), manifest: OnceCell::new() };
        let single_file = format.parse::<Format>().is_ok_and(|format| format.is_single_file());
        for entry in seen(folder) {
            let path = dir.join(&entry.name);
            let Some(linked) = self.file_or_folder(&place, folder, entry, &entry.name, &path, linked)? else { continue };
            let Some(inner) = open(folder.folder(&entry.name))? else { continue };
            let own = has_manifest(&*inner);
            if own || (single_file && !place.manifest(self.views)?.is_some_and(|view| view.has_folder(&entry.name))) {
                let quant = Some(entry.name.as_str());
                let quant = Place { model, format, quant, dir: &path, has_manifest: own, manifest: OnceCell::new() };
                self.folder(&quant, &*inner, &path, "", linked)?;
            } else {
                self.folder(&place, &*inner, &path, &entry.name, linked)?;
            }
        }
        Ok(())
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
        let Some((state, size)) = self.judge.look_in(folder, &entry.name, entry.kind, recorded)? else { return Ok(None) };
        // A link to a blob is known by its target; only others are looked at again.
        if entry.kind == Kind::Symlink && state == FileState::Foreign && leads_to_folder(folder, &entry.name) {
            // One such link on the way is enough; more could go in circles.
            return Ok((!linked).then_some(true));
        }
        self.found.push(Found {
            model: place.model.to_owned(),
            format: place.format.to_owned(),
            quant: place.quant.map(str::to_owned),
            file: file.to_owned(),
            path: path.to_owned(),
            size,
            // What stands behind a link to a folder is not ours.
            state: if linked { FileState::Foreign } else { state },
        });
        Ok(None)
    }
}
