//! Listing: everything under the models directory that looks like a model file, ours or not.
//!
//! It costs one reading of each folder and one or two looks at each file. `.view.json` is read only where a plain file
//! stands, for a link tells its blob itself.

use super::{FileState, Result, ViewManifest, Views, manifest::MANIFEST_FILE, state::Judge};
use crate::{
    disk::{DiskError, Entry, Kind, parallel},
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
        let judge = Judge::new(&*self.disk, self.store.as_ref());
        let mut models = self.folders(&self.models_dir)?;
        models.sort_unstable();
        let workers = parallel::processors(models.len(), LEAST_MODELS);
        let scanned = parallel::map(models.chunks(MODELS_AT_ONCE), workers, |models| -> Result<Vec<Found>> {
            let mut walk = Walk { views: self, judge: &judge, found: Vec::with_capacity(models.len()) };
            models.iter().try_for_each(|(model, linked)| walk.model(model, *linked, filter))?;
            Ok(walk.found)
        })?;
        let mut found: Vec<Found> = Vec::with_capacity(scanned.iter().map(Vec::len).sum());
        found.extend(scanned.into_iter().flatten());
        found.sort_by(|a, b| (&a.model, &a.format, &a.quant, &a.file).cmp(&(&b.model, &b.format, &b.quant, &b.file)));
        Ok(found)
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
        for (model, _) in self.folders(&self.models_dir)?.into_iter().filter(|(_, linked)| !linked) {
            let model_dir = self.models_dir.join(&model);
            for (format, _) in self.folders(&model_dir)?.into_iter().filter(|(_, linked)| !linked) {
                let format_dir = model_dir.join(&format);
                let entries = self.entries(&format_dir)?;
                if has_manifest(&entries) {
                    note(&model, &format, None);
                }
                for quant in entries.iter().filter(|entry| entry.kind == Kind::Dir && !entry.name.starts_with('.')) {
                    if has_manifest(&self.entries(&format_dir.join(&quant.name))?) {
                        note(&model, &format, Some(&quant.name));
                    }
                }
            }
        }
        keys.sort();
        Ok(keys)
    }

    /// The names in a folder; none where it is gone or closed to this user (`lost+found` on a volume of its own).
    fn entries(&self, dir: &Path) -> Result<Vec<Entry>, DiskError> {
        match self.disk.list(dir) {
            Err(error) if error.is_not_found() || error.is_read_only() => Ok(Vec::new()),
            other => other,
        }
    }

    /// The folders in a folder that are not hidden, and whether each is a link to one.
    fn folders(&self, dir: &Path) -> Result<Vec<(String, bool)>> {
        let mut folders = Vec::new();
        for entry in self.entries(dir)?.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            match entry.kind {
                Kind::Dir => folders.push((entry.name, false)),
                Kind::Symlink if self.leads_to_folder(&dir.join(&entry.name)) => folders.push((entry.name, true)),
                _ => {}
            }
        }
        Ok(folders)
    }

    fn leads_to_folder(&self, path: &Path) -> bool {
        self.disk.stat_follow(path).is_ok_and(|stat| stat.kind == Kind::Dir)
    }
}

fn has_manifest(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.name == MANIFEST_FILE)
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
    fn model(&mut self, model: &str, linked: bool, filter: Option<&Format>) -> Result<()> {
        let dir = self.views.models_dir.join(model);
        for (format, format_linked) in self.views.folders(&dir)? {
            if filter.is_none_or(|filter| filter.as_str().eq_ignore_ascii_case(&format)) {
                self.format(model, &format, &dir.join(&format), linked || format_linked)?;
            }
        }
        Ok(())
    }

    /// A format's folder holds folders of quantizations, or a view of its own, or both.
    fn format(&mut self, model: &str, format: &str, dir: &Path, linked: bool) -> Result<()> {
        let entries = self.views.entries(dir)?;
        let place = Place { model, format, quant: None, dir, has_manifest: has_manifest(&entries), manifest: OnceCell::new() };
        let single_file = format.parse::<Format>().is_ok_and(|format| format.is_single_file());
        for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            let path = dir.join(&entry.name);
            let Some(linked) = self.file_or_folder(&place, &entry.name, entry.kind, &path, linked)? else { continue };
            let inner = self.views.entries(&path)?;
            let own = has_manifest(&inner);
            if own || (single_file && !place.manifest(self.views)?.is_some_and(|view| view.has_folder(&entry.name))) {
                let quant = Some(entry.name.as_str());
                let quant = Place { model, format, quant, dir: &path, has_manifest: own, manifest: OnceCell::new() };
                self.folder(&quant, inner, &path, "", linked)?;
            } else {
                self.folder(&place, inner, &path, &entry.name, linked)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, place: &Place<'_>, entries: Vec<Entry>, dir: &Path, below: &str, linked: bool) -> Result<()> {
        for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            let path = dir.join(&entry.name);
            let name = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
            if let Some(linked) = self.file_or_folder(place, &name, entry.kind, &path, linked)?
                && name.matches('/').count() < MAX_DEPTH
            {
                let inner = self.views.entries(&path)?;
                self.folder(place, inner, &path, &name, linked)?;
            }
        }
        Ok(())
    }

    /// Notes a file. For a folder, or a link to one, it gives whether the way there leads through a link.
    fn file_or_folder(&mut self, place: &Place<'_>, file: &str, kind: Kind, path: &Path, linked: bool) -> Result<Option<bool>> {
        match kind {
            Kind::Dir => return Ok(Some(linked)),
            Kind::Other => return Ok(None),
            Kind::File | Kind::Symlink => {}
        }
        let recorded = || Ok(place.manifest(self.views)?.and_then(|manifest| manifest.file(file)));
        let Some((state, size)) = self.judge.look(path, kind, recorded)? else { return Ok(None) };
        // A link to a blob is known by its target; only others are looked at again.
        if kind == Kind::Symlink && state == FileState::Foreign && self.views.leads_to_folder(path) {
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
