//! An entry of the registry, taken out. What is here of it stays.

use super::{ModelManager, Selector, add::label, name::Subject};
use crate::{
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint, Invocation, Verb, view_name},
    names::{Format, ModelId, Quant},
    registry::{self, EntryName},
    text,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An entry that was taken out of the registry, or would be.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UnregisterReport {
    /// The model's id.
    pub model: ModelId,
    /// The format, where not the whole model was named.
    pub format: Option<Format>,
    /// The quantization, where one was named.
    pub quant: Option<Quant>,
    /// The registry file.
    pub registry: PathBuf,
    /// The line in which the entry began.
    pub line: usize,
    /// The entry as it stood in the file.
    pub entry: String,
    /// The change as a unified diff.
    pub diff: String,
    /// How commands name what is here of it; `null` where nothing is.
    pub here: Option<String>,
    /// Whether nothing was written.
    pub dry_run: bool,
}

impl ModelManager {
    /// Removes an entry from the project's registry; comments and everything else stay. This call keeps
    /// the registry that it has read before. `new_registry` is where the project's file would be.
    pub fn unregister(&self, what: &Selector, new_registry: &Path, dry_run: bool) -> Result<UnregisterReport> {
        let command = Invocation::new(Verb::Unregister);
        let named = self.named(what, command)?;
        let Subject::Entry(id) = &named.subject else {
            let text = format!("`{}` is no entry of the registry", named.folder);
            let remove = Action::new(Verb::Remove).name(what.model.to_string());
            return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::RemovesFromProject(remove)));
        };
        if self.settings.config.is_none() {
            let text = format!("`{id}` is an entry of the built-in registry, which stays as it is");
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::MakeRegistry));
        }
        let format = named.format.clone().or_else(|| named.quant.as_ref().map(|_| Format::gguf()));
        let name = EntryName { id: id.to_string(), format: format.clone(), quant: named.quant.clone() };
        let origin = self.settings.config.as_deref().unwrap_or(new_registry).display().to_string();
        let edit = |text: &str| Ok(registry::remove(text, &origin, &name)?);
        let change = match dry_run {
            true => self.preview_edit(new_registry, edit)?,
            false => self.edit_registry(new_registry, edit)?,
        };
        let here = self.list_here()?;
        let here: Vec<_> = here.iter().filter(|listed| named.fits_listed(listed)).collect();
        let here = match here.as_slice() {
            [] => None,
            [only] => Some(view_name(&only.model, &only.format, only.quant.as_deref())),
            _ => Some(id.to_string()),
        };
        Ok(UnregisterReport {
            model: id.clone(),
            format,
            quant: named.quant,
            line: change.edited.line,
            diff: registry::unified_diff(change.old.as_deref(), &change.edited.text, &label(&change.path, new_registry)),
            entry: text::redacted(&change.edited.entry).into_owned(),
            registry: change.path,
            here,
            dry_run,
        })
    }
}
