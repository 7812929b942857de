//! Finds the path of a model that is here, without a lock and without the network.

use super::{
    ListedModel, ListedState, ModelManager, Selector,
    target::{format_of, quant_of_path, view_id},
};
use crate::{
    disk::Kind,
    error::{Error, ErrorKind, Result},
    hub::Reference,
    names::{Format, Quant, RelPath},
    registry::RegistryError,
    store::ViewKey,
};
use std::path::PathBuf;

impl ModelManager {
    /// The path to give to a backend: of a model that is whole, as far as that can be told without reading it.
    pub fn path(&self, what: &Selector) -> Result<PathBuf> {
        let (model, quant) = self.folder_of(what)?;
        let here = self.list_model(&model, what.format.as_ref())?;
        let wanted = |listed: &&ListedModel| quant.as_ref().is_none_or(|quant| listed.quant.as_deref() == Some(quant.as_str()));
        let mut found: Vec<&ListedModel> = here.iter().filter(wanted).collect();
        if found.len() > 1 && what.format.is_none() && found.iter().any(|listed| listed.format == Format::gguf().as_str()) {
            found.retain(|listed| listed.format == Format::gguf().as_str());
        }
        if found.len() > 1
            && let Some(best) = found.iter().find(|listed| listed.quant.as_deref() == Some("q4_k_m"))
        {
            found = vec![best];
        }
        match found.as_slice() {
            [listed] => {
                self.require_whole(listed)?;
                // Which of several plain files is the model, the registry may know.
                let registered = if listed.state == ListedState::Foreign { self.registered_path(what, listed)? } else { None };
                Ok(registered.unwrap_or_else(|| listed.path.clone()))
            }
            [] => Err(self.not_present(&Selector { quant, ..what.clone() }, &model, &here)),
            several => Err(Error::new(ErrorKind::Usage, format!("`{model}` is here in several forms: {}", forms(several)))
                .hint("Choose one with `--format` and `--quant`.")),
        }
    }

    /// Refuses a view of which a file is missing, or known not to be what it should be.
    fn require_whole(&self, listed: &ListedModel) -> Result<()> {
        let ListedModel { model, format, quant, path, missing, damaged, .. } = listed;
        let name = forms(&[listed]);
        let repair = repair_command(model, format, quant.as_deref());
        if missing.is_empty() {
            let text = format!("`{model}` ({name}) is damaged: {}", crate::text::list(damaged));
            let error = Error::new(ErrorKind::Damaged, text).hint(format!("Run `{repair}`."));
            return if damaged.is_empty() { Ok(()) } else { Err(error) };
        }
        let text = match self.disk.find(path)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            true if missing.len() == 1 && path.ends_with(&missing[0]) => {
                format!("{} leads nowhere: its content is not where the link leads", path.display())
            }
            _ => format!("`{model}` ({name}) is not complete: {} is missing", crate::text::list(missing)),
        };
        let (format, quant) = (format.parse().ok(), quant.as_deref().and_then(|quant| quant.parse().ok()));
        let is_registered = self.registry().is_ok_and(|registry| registry.select(model, format.as_ref(), quant.as_ref()).is_ok());
        let command = if is_registered { download_command(model, format.as_ref(), quant.as_ref()) } else { repair };
        Err(Error::new(ErrorKind::NotFound, text).hint(format!("Run `{command}`.")))
    }

    /// The registry's own path among the files of a view.
    fn registered_path(&self, what: &Selector, listed: &ListedModel) -> Result<Option<PathBuf>> {
        let Reference::Registry { id, quant } = self.reference(&what.model)? else { return Ok(None) };
        let quant = what.quant.clone().or(quant);
        let Ok(selection) = self.registry()?.select(id.as_str(), what.format.as_ref(), quant.as_ref()) else { return Ok(None) };
        let view =
            ViewKey { model: selection.model.id.clone(), format: selection.format.format.clone(), quant: selection.quant.cloned() };
        let names: Option<Vec<RelPath>> = selection.artifact.files.iter().map(|file| file.path.file_name().parse().ok()).collect();
        let is_here = |names: &Vec<RelPath>| {
            let is_shown =
                (listed.format.as_str(), listed.quant.as_deref()) == (view.format.as_str(), view.quant.as_ref().map(Quant::as_str));
            let all = names.iter().all(|name| listed.files.iter().any(|file| file == name.as_str()));
            view.format.is_single_file() && is_shown && all && !names.is_empty()
        };
        Ok(names.filter(is_here).map(|names| self.shown_path(&view, &names.iter().collect::<Vec<_>>())))
    }

    /// The folder below the models directory that a selector means, and its quantization.
    pub(super) fn folder_of(&self, what: &Selector) -> Result<(String, Option<Quant>)> {
        Ok(match self.reference(&what.model)? {
            Reference::Registry { id, quant } => {
                // The registry's spelling, where it knows the id in another one.
                let id = self.registry()?.model(id.as_str()).map_or(id.to_string(), |model| model.id.to_string());
                (id, what.quant.clone().or(quant))
            }
            Reference::Hub { repo, quant, path, .. } => {
                let model = view_id(&repo)?.to_string();
                let named = what.quant.clone().or(quant);
                match (path, named) {
                    (Some(path), None) if format_of(&path).is_some() => {
                        let view = self.target(what, None)?.view;
                        (model, view.quant)
                    }
                    (path, named) => (model, named.or(path.as_ref().and_then(quant_of_path))),
                }
            }
        })
    }

    /// Why a model cannot be found: it is not here, or nobody knows it.
    pub(super) fn not_present(&self, what: &Selector, model: &str, here: &[ListedModel]) -> Error {
        let registry = match self.registry() {
            Ok(registry) => registry,
            Err(error) => return error,
        };
        let known = matches!(self.reference(&what.model), Ok(Reference::Hub { .. })) || registry.model(model).is_ok();
        if !here.is_empty() {
            let asked: Vec<&str> = what.format.iter().map(Format::as_str).chain(what.quant.iter().map(Quant::as_str)).collect();
            let hint = format!("Here are {}.", forms(&here.iter().collect::<Vec<_>>()));
            // What the registry does not have cannot be downloaded either.
            let can_be_had = registry.select(model, what.format.as_ref(), what.quant.as_ref()).is_ok();
            let hint = match can_be_had {
                true => {
                    format!("{hint} For the other, run `{}`.", download_command(model, what.format.as_ref(), what.quant.as_ref()))
                }
                false => hint,
            };
            return Error::new(ErrorKind::NotFound, format!("`{model}` is here, but not as {}", asked.join(" "))).hint(hint);
        }
        if !known && let Err(error) = registry.model(model) {
            return error.into();
        }
        // A form that the registry does not have, or not so that it can be used, cannot be downloaded either.
        if registry.model(model).is_ok()
            && let Err(error) = registry.select(model, what.format.as_ref(), what.quant.as_ref())
            && !matches!(error, RegistryError::FormatNeeded { .. })
        {
            return error.into();
        }
        let names_quant = matches!(
            self.reference(&what.model),
            Ok(Reference::Registry { quant: Some(_), .. }
                | Reference::Hub { quant: Some(_), .. }
                | Reference::Hub { path: Some(_), .. })
        );
        let quant = what.quant.as_ref().filter(|_| !names_quant);
        let command = download_command(&what.model, what.format.as_ref(), quant);
        Error::new(ErrorKind::NotFound, format!("`{model}` is not downloaded to {}", self.settings.models_dir.display()))
            .hint(format!("Run `{command}`."))
    }
}

/// The command that makes a view whole again.
pub(super) fn repair_command(model: &str, format: &str, quant: Option<&str>) -> String {
    let quant = quant.map_or_else(String::new, |quant| format!(" --quant {}", crate::text::shell_word(quant)));
    format!("model-manager verify {} --format {}{quant} --repair", crate::text::shell_word(model), crate::text::shell_word(format))
}

/// The command that fetches a form of a model.
fn download_command(model: &str, format: Option<&Format>, quant: Option<&Quant>) -> String {
    let format =
        format.filter(|format| **format != Format::gguf()).map_or_else(String::new, |format| format!(" --format {format}"));
    let quant = quant.map_or_else(String::new, |quant| format!(" --quant {quant}"));
    format!("model-manager download {model}{format}{quant}")
}

fn forms(models: &[&ListedModel]) -> String {
    let form = |listed: &&ListedModel| match &listed.quant {
        Some(quant) => format!("{}/{quant}", listed.format),
        None => listed.format.clone(),
    };
    crate::text::list(&models.iter().map(form).collect::<Vec<_>>())
}
