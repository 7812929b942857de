//! What is said of a name that nothing here has: the nearest first, with a command for each.

use super::{Named, Subject};
use crate::{
    digest::DigestPrefix,
    error::{Error, ErrorKind},
    hint::{Action, Hint, Invocation, Verb, view_name},
    manager::{ListedModel, ModelManager, name::listed_name},
    names::{Format, ModelId, Quant, sort_by_nearness},
    registry::{Registry, RegistryError},
    text,
};

/// Near names that a hint lists.
const NEAR: usize = 3;
impl ModelManager {
    /// Said of a digest that is not in the store, and that nothing there needs.
    pub(in crate::manager) fn no_blob(&self, digits: &DigestPrefix) -> Error {
        let which = if digits.whole().is_none() { "begins with" } else { "is" };
        let text = format!("no blob in the store at {} has a digest that {which} `{digits}`", self.store_dir().display());
        let registry = self.registry().ok();
        let entry = registry.and_then(|registry| {
            registry.entries().find(|entry| {
                let files = entry.artifact.files.iter().chain(&entry.artifact.expect);
                files.filter_map(|file| file.sha256).any(|sha256| digits.fits(&sha256))
            })
        });
        Error::new(ErrorKind::NotFound, text).hint(match entry {
            Some(entry) => {
                let (id, format) = (entry.model.id.as_str(), entry.format.as_str());
                let name = view_name(id, format, entry.quant.map(Quant::as_str));
                Hint::RegistryHas(Action::new(Verb::Download).name(name))
            }
            None => Hint::ListModels,
        })
    }

    /// Said of an id that neither the registry has nor this project: the nearest of both first.
    pub(super) fn nobody_knows(&self, registry: &Registry, id: &ModelId, quant: Option<&Quant>, command: Invocation<'_>) -> Error {
        let Err(error) = registry.model(id.as_str()) else {
            return Error::new(ErrorKind::NotFound, format!("`{id}` is not here"));
        };
        let here = self.list_here().unwrap_or_default();
        let mut names: Vec<&str> = registry.models().map(|model| model.id.as_str()).collect();
        names.extend(here.iter().map(|listed| listed.model.as_str()));
        names.sort_unstable();
        names.dedup();
        let near = near(id.as_str(), &mut names);
        let text = error.to_string();
        let error = Error::new(ErrorKind::NotFound, text);
        if near.is_empty() {
            return error.hint(Hint::ListModelsAndRegistry);
        }
        let with_quant = |name: &str| quant.map_or_else(|| name.to_owned(), |quant| format!("{name}:{quant}"));
        let actions = near.iter().map(|name| command.of(&with_quant(name))).collect();
        let names = near.iter().map(|name| (*name).to_owned()).collect();
        error.hint(Hint::DidYouMean { names, actions }).hint(Hint::ListModelsAndRegistry)
    }

    /// Why a model cannot be found here: it is not, or not in this form. `here` are its forms that are.
    pub(in crate::manager) fn not_present(&self, named: &Named, here: &[ListedModel], command: Invocation<'_>) -> Error {
        let registry = match self.registry() {
            Ok(registry) => registry,
            Err(error) => return error,
        };
        let form =
            || named.format.iter().map(Format::as_str).chain(named.quant.iter().map(Quant::as_str)).collect::<Vec<_>>().join(" ");
        let can_be_had = match &named.subject {
            Subject::Entry(id) => registry.select(id.as_str(), named.format.as_ref(), named.quant.as_ref()).map(drop),
            _ => Ok(()),
        };
        let is_folder = matches!(named.subject, Subject::Folder);
        if !here.is_empty() {
            let mut here: Vec<&ListedModel> = here.iter().collect();
            let wanted =
                view_name("", named.format.as_ref().map_or("gguf", Format::as_str), named.quant.as_ref().map(Quant::as_str));
            sort_by_nearness(&wanted, &mut here, |listed| listed.quant.as_deref().unwrap_or(&listed.format));
            let actions = here.iter().map(|listed| command.of(&listed_name(listed))).collect();
            let other = match &named.subject {
                Subject::Entry(_) if can_be_had.is_ok() => Some(Hint::DownloadOther(named.download_action())),
                Subject::Repository { repo, .. } => Some(Hint::ShowRepository(repo.to_string())),
                _ => None,
            };
            return Error::new(ErrorKind::NotFound, format!("`{}` is here, but not as {}", named.folder, form()))
                .hint(Hint::FormsHere { forms: forms(&here), actions })
                .with_hints(other);
        }
        // A form that the registry does not have, or not so that it can be used, cannot be downloaded either.
        if let Err(error) = can_be_had
            && !matches!(error, RegistryError::FormatNeeded { .. })
        {
            return error.into();
        }
        let text = format!("`{}` is not downloaded to {}", named.folder, self.settings.models_dir.display());
        let error = Error::new(ErrorKind::NotFound, text);
        if is_folder {
            return error.hint(Hint::ListModels);
        }
        let listed = self.list_here().unwrap_or_default();
        let mut names: Vec<&str> = listed.iter().map(|listed| listed.model.as_str()).collect();
        names.dedup();
        // Probably a misspelt local name rather than a repository that differs in one letter.
        match near(&named.folder, &mut names).first() {
            Some(near) if matches!(named.subject, Subject::Repository { .. }) => {
                let meant = Hint::DidYouMean { names: vec![(*near).to_owned()], actions: vec![command.of(near)] };
                error.hint(meant).hint(Hint::Otherwise(named.download_action()))
            }
            _ => error.hint(Hint::Run(named.download_action())),
        }
    }
}

/// The forms in which a model is here, for people.
pub(in crate::manager) fn forms(models: &[&ListedModel]) -> String {
    let form = |listed: &&ListedModel| match &listed.quant {
        Some(quant) => format!("{}/{quant}", listed.format),
        None => listed.format.clone(),
    };
    text::list(&models.iter().map(form).collect::<Vec<_>>())
}

/// The nearest of these names, the nearest first.
fn near<'n>(wanted: &str, names: &mut Vec<&'n str>) -> Vec<&'n str> {
    let mut found = Vec::new();
    while found.len() < NEAR
        && let Some(name) = crate::names::nearest(wanted, names.iter().copied())
    {
        names.retain(|other| *other != name);
        found.push(name);
    }
    found
}
