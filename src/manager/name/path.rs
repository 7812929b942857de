//! What is at a path that was given as a name.

use super::{NameMeaning, Named, with_options};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::{ModelManager, Selector},
    names::{Format, ModelId, Quant},
};
use std::path::{Component, Path, PathBuf};
impl ModelManager {
    /// Whether something of this project is at a path that was written as a name can be.
    pub(super) fn is_here(&self, path: &Path) -> bool {
        let at = absolute(path);
        let in_reach = self.below_models(&at).is_some() || self.blob_at(&at).is_some();
        in_reach
            && (matches!(self.disk.find(&at), Ok(Some(_)))
                || self.view_at(&at).is_ok_and(|view| view.is_some_and(|named| named.is_view)))
    }

    /// The digest that a path in the store names, or that it leads to.
    pub(super) fn blob_at(&self, path: &Path) -> Option<Sha256Digest> {
        let store = self.store_dir();
        let is_below =
            |path: &Path| path.starts_with(&store) || self.disk.canonical(&store).is_ok_and(|store| path.starts_with(store));
        let digest = |path: &Path| path.file_name()?.to_str()?.parse().ok();
        if is_below(path) {
            return digest(path);
        }
        let real = self.disk.canonical(path).ok()?;
        if is_below(&real) { digest(&real) } else { None }
    }

    /// A path as its parts below the models directory.
    pub(super) fn below_models(&self, path: &Path) -> Option<Vec<String>> {
        let models = absolute(&self.settings.models_dir);
        let parts = |below: &Path| -> Option<Vec<String>> {
            below.components().map(|part| part.as_os_str().to_str().map(str::to_owned)).collect()
        };
        if let Ok(below) = path.strip_prefix(&models) {
            return parts(below);
        }
        // A folder on the way, or the directory itself, may be a link.
        let models = self.disk.canonical(&models).ok()?;
        let (above, name) = (path.parent()?, path.file_name()?);
        let real = self.disk.canonical(path).ok();
        if real.as_ref() == Some(&models) {
            return Some(Vec::new());
        }
        if let Ok(below) = self.disk.canonical(above).ok()?.join(name).strip_prefix(&models) {
            return parts(below);
        }
        // Somebody's link to a folder of a model. A link to a file ends in the store, and is read as a blob.
        parts(real?.strip_prefix(&models).ok()?).filter(|parts| parts.first().is_some_and(|first| !first.starts_with('.')))
    }

    /// The view that a path is, is in, or holds, as far as the path says it, and the file in it.
    pub(super) fn view_at(&self, path: &Path) -> Result<Option<Named>> {
        let Some(parts) = self.below_models(path).filter(|parts| !parts.is_empty()) else { return Ok(None) };
        let registry = self.registry().ok();
        let Ok(id) = parts[0].parse::<ModelId>() else { return Ok(None) };
        let Some((subject, folder)) = self.subject(&id, registry)? else { return Ok(None) };
        let of_model = Named { subject, folder, format: None, quant: None, is_view: false, file: None };
        let Some(format) = parts.get(1) else { return Ok(Some(of_model)) };
        let Ok(format) = format.parse::<Format>() else { return Ok(None) };
        let views = self.views_here(&of_model.folder)?;
        let has =
            |quant: Option<&str>| views.iter().any(|view| view.format == format && view.quant.as_ref().map(Quant::as_str) == quant);
        let quant = parts.get(2).filter(|quant| has(Some(quant.as_str())));
        let file = &parts[if quant.is_some() { 3 } else { parts.len().min(2) }..];
        let quant = quant.map(|quant| quant.parse()).transpose()?;
        let is_view = has(quant.as_ref().map(Quant::as_str))
            && (quant.is_some() || !file.is_empty() || !views.iter().any(|view| view.format == format && view.quant.is_some()));
        let file = Some(file.join("/")).filter(|file| !file.is_empty());
        if file.is_some() && !is_view {
            return Ok(None);
        }
        Ok(Some(Named { format: Some(format), quant, is_view, file, ..of_model }))
    }

    /// What is at a path.
    pub(super) fn at_path(&self, path: &Path, what: &Selector) -> Result<NameMeaning> {
        let at = absolute(path);
        let there = self.disk.find(&at)?.is_some();
        if self.below_models(&at).is_some_and(|parts| parts.first().is_some_and(|first| !first.starts_with('.')))
            && let Some(named) = self.view_at(&at)?
            && (there || named.is_view)
        {
            return with_options(named, what).map(NameMeaning::Model);
        }
        if let Some(digest) = self.blob_at(&at) {
            return Ok(NameMeaning::Blob(digest));
        }
        let text = match there {
            true if self.below_models(&at).is_some_and(|parts| parts.is_empty()) => {
                format!("{} is the models directory, and no model", path.display())
            }
            true => format!("{} is no model of this project, and not ours: no blob belongs to it", path.display()),
            false => format!("there is nothing at {}", path.display()),
        };
        Err(Error::new(ErrorKind::NotFound, text).hint(Hint::ListPaths))
    }
}

/// A path from the current directory, without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
