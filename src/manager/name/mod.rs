//! What a name means: one reading for every command.
//!
//! In this order: an address of the Hub, a digest with its scheme, a path that begins as one, an id of the registry, a folder
//! of the models directory, digits of a digest, a path of something that is here, and a repository of the Hub.

mod model_name;
mod path;
mod unknown;

pub use model_name::ModelName;
pub(super) use unknown::forms;

use super::{
    ListedModel, ModelManager, Selector,
    plan::target::{one_of, quant_of_path, view_id, web_id},
};
use crate::{
    digest::{DigestPrefix, Sha256Digest},
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint, Invocation, Parameter, Verb, view_name},
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, WebFolder},
    registry::{Registry, RegistryError},
    source::hub::{Reference, WrittenReference},
    store::{RootRecord, StoreError, UpstreamFile, ViewKey},
    text,
    weights::format_of,
};
use model_name::{IdForm, NameForm};
use std::collections::BTreeSet;

/// A model, or some of its formats and quantizations, as the user named it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) subject: Subject,
    /// Its folder in the models directory.
    pub(super) folder: String,
    pub(super) format: Option<Format>,
    pub(super) quant: Option<Quant>,
    /// Whether format and quantization are those of one view, which was named by its path or by what is in it.
    pub(super) is_view: bool,
    /// The file that was named, by its path below the view.
    pub(super) file: Option<String>,
}

/// Who knows a model.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    /// The registry, by this id.
    Entry(ModelId),
    /// The Hub.
    Repository { repo: RepoId, revision: Option<Revision>, path: Option<RelPath> },
    /// A web server, which has this file in a folder.
    Web { folder: WebFolder, path: RelPath },
    /// Nobody but this project, which shows or locks it.
    Folder,
}

/// What a text means.
pub(super) enum NameMeaning {
    Model(Named),
    Blob(Sha256Digest),
}

impl Named {
    /// Whether a view is meant.
    pub(super) fn fits(&self, model: &str, format: &str, quant: Option<&str>) -> bool {
        let same_quant = match &self.quant {
            Some(wanted) => quant == Some(wanted.as_str()),
            None => !self.is_view || quant.is_none(),
        };
        model == self.folder && self.format.as_ref().is_none_or(|wanted| wanted.as_str() == format) && same_quant
    }

    /// The same of its key.
    pub(super) fn fits_view(&self, view: &ViewKey) -> bool {
        self.fits(view.model.as_str(), view.format.as_str(), view.quant.as_ref().map(Quant::as_str))
    }

    /// The same of a listed model.
    pub(super) fn fits_listed(&self, listed: &ListedModel) -> bool {
        self.fits(&listed.model, &listed.format, listed.quant.as_deref())
    }

    /// How a command names it.
    pub(super) fn name(&self) -> String {
        let name = match &self.subject {
            Subject::Repository { repo, revision: Some(revision), .. } => format!("{repo}@{revision}"),
            Subject::Repository { repo, .. } => repo.to_string(),
            _ => self.folder.clone(),
        };
        match &self.quant {
            Some(quant) => format!("{name}:{quant}"),
            None => name,
        }
    }

    /// What downloads it.
    pub(super) fn download_action(&self) -> Action {
        let download = Action::new(Verb::Download);
        if let Subject::Web { folder, path } = &self.subject {
            return download.name(folder.shown(path));
        }
        if let Subject::Repository { repo, revision, path: Some(path) } = &self.subject {
            let revision = revision.as_ref().map_or_else(String::new, |revision| format!("@{revision}"));
            return download.name(format!("hf://{repo}{revision}/{path}"));
        }
        let download = download.name(self.name());
        match self.format.as_ref().filter(|format| !format.is_single_file()) {
            Some(format) => download.value(Parameter::Format, format.to_string()),
            None => download,
        }
    }
}

impl ModelManager {
    /// The model that a selector means. A digest means the view that has this content.
    pub(super) fn named(&self, what: &Selector, command: Invocation<'_>) -> Result<Named> {
        match self.meaning(what, command)? {
            NameMeaning::Model(named) => Ok(named),
            NameMeaning::Blob(digest) => self.view_with(&digest, what, command),
        }
    }

    /// What a selector means.
    pub(super) fn meaning(&self, what: &Selector, command: Invocation<'_>) -> Result<NameMeaning> {
        let readings = match what.model.form() {
            NameForm::Address(address) => return self.reference(address, what).map(NameMeaning::Model),
            NameForm::Digest(digits) => return self.blob(digits, command).map(NameMeaning::Blob),
            NameForm::Path(path) => return self.at_path(path, what),
            NameForm::Open(readings) => readings,
        };
        let registry = self.registry();
        if let Some(id) = &readings.id
            && let Some(named) = self.known_name(id, registry.as_ref().ok().copied(), what)?
        {
            // The registry is needed to tell whose name this is.
            registry?;
            return Ok(NameMeaning::Model(named));
        }
        if let Some(digits) = &readings.digest {
            return self.blob(digits, command).map(NameMeaning::Blob);
        }
        if self.is_here(&readings.path) {
            return self.at_path(&readings.path, what);
        }
        match self.reference(readings.reference.as_ref().map_err(Clone::clone)?, what) {
            Ok(Named { subject: Subject::Entry(id), quant, .. }) => Err(self.nobody_knows(registry?, &id, quant.as_ref(), command)),
            other => other.map(NameMeaning::Model),
        }
    }

    /// A model that the registry has or that this project shows or locks, or a form of it.
    fn known_name(&self, name: &IdForm, registry: Option<&Registry>, what: &Selector) -> Result<Option<Named>> {
        let Some((subject, folder)) = self.subject(&name.id, registry)? else { return Ok(None) };
        let (format, quant) = match &name.form {
            Ok(form) => form.clone(),
            Err(error) => return Err(Error::from(error.clone()).hint(Hint::WriteLabel(folder))),
        };
        if let (Some(format), None) = (&format, &quant)
            && !self.has_format(&subject, &folder, format)
        {
            // `owner/repo`, where an id is called like the owner.
            return Ok(None);
        }
        let has_form = format.is_some();
        let named = Named { subject, folder, format, quant, is_view: false, file: None };
        let mut named = with_options(named, what)?;
        named.is_view = has_form && self.views_here(&named.folder)?.iter().any(|view| is_form(view, &named));
        Ok(Some(named))
    }

    /// Who knows a model by this id, and its folder.
    fn subject(&self, id: &ModelId, registry: Option<&Registry>) -> Result<Option<(Subject, String)>> {
        match registry.map(|registry| registry.model(id.as_str())) {
            Some(Ok(model)) => return Ok(Some((Subject::Entry(model.id.clone()), model.id.to_string()))),
            // Its error is reported by commands that need the entry; local files of it can be used.
            Some(Err(RegistryError::BadFile(_))) => {
                let folder = self.folder_here(id.as_str())?.unwrap_or_else(|| id.to_string());
                return Ok(Some((Subject::Entry(id.clone()), folder)));
            }
            _ => {}
        }
        let here = self.folder_here(id.as_str())?;
        // No owner and no repository has `--` in its name.
        let repo = here.as_deref().unwrap_or(id.as_str()).replacen("--", "/", 1);
        if repo.contains('/')
            && let Ok(repo) = repo.parse::<RepoId>()
        {
            let folder = here.unwrap_or_else(|| id.to_string());
            return Ok(Some((Subject::Repository { repo, revision: None, path: None }, folder)));
        }
        Ok(here.map(|folder| (Subject::Folder, folder)))
    }

    /// The folder of the models directory, or the model of a view that is rooted or locked, with this name: exactly, else
    /// the only one that differs in case alone.
    fn folder_here(&self, name: &str) -> Result<Option<String>> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        match self.disk.list(&self.settings.models_dir) {
            Ok(entries) => names.extend(entries.into_iter().map(|entry| entry.name)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        if !names.contains(name) {
            names.extend(self.rooted_and_locked().into_iter().map(|view| view.model.to_string()));
        }
        if names.contains(name) {
            return Ok(Some(name.to_owned()));
        }
        let like: Vec<String> = names.into_iter().filter(|other| other.eq_ignore_ascii_case(name)).collect();
        Ok(match <[String; 1]>::try_from(like) {
            Ok([only]) => Some(only),
            Err(_) => None,
        })
    }

    /// The views of this project's roots and of its lock file. Unreadable ones are skipped; the commands that need them
    /// report the error.
    fn rooted_and_locked(&self) -> Vec<ViewKey> {
        let store = self.existing_store().ok().flatten();
        let roots = self.own_roots(store.as_ref()).unwrap_or_default();
        let lock = self.read_lock().ok().flatten().unwrap_or_default();
        roots.into_keys().chain(lock.views().iter().map(super::lock::entry::view_of)).collect()
    }

    /// The views of a model that this project shows, roots or locks.
    fn views_here(&self, folder: &str) -> Result<BTreeSet<ViewKey>> {
        let mut views: BTreeSet<ViewKey> =
            self.rooted_and_locked().into_iter().filter(|view| view.model.as_str() == folder).collect();
        let listed = self.list_here()?;
        views.extend(listed.into_iter().filter(|listed| listed.model == folder).filter_map(|listed| listed.view));
        Ok(views)
    }

    fn has_format(&self, subject: &Subject, folder: &str, format: &Format) -> bool {
        match subject {
            Subject::Repository { .. } => true,
            Subject::Entry(id)
                if self
                    .registry()
                    .is_ok_and(|registry| registry.model(id.as_str()).is_ok_and(|model| model.format(format).is_some())) =>
            {
                true
            }
            _ => self.views_here(folder).is_ok_and(|views| views.iter().any(|view| view.format == *format)),
        }
    }

    /// A reference to the Hub; an entry of the registry where it is none.
    fn reference(&self, written: &WrittenReference, what: &Selector) -> Result<Named> {
        let endpoints: Vec<url::Url> = self.settings.network.endpoints.iter().filter_map(|text| text.parse().ok()).collect();
        let named = match written.with_endpoints(&endpoints)? {
            Reference::Registry { id, quant } => {
                let folder = id.to_string();
                Named { subject: Subject::Entry(id), folder, format: None, quant, is_view: false, file: None }
            }
            Reference::Hub { repo, revision, quant, path } => {
                let folder = view_id(&repo)?.to_string();
                let folder = self.folder_here(&folder)?.unwrap_or(folder);
                let subject = Subject::Repository { repo, revision, path };
                Named { subject, folder, format: None, quant, is_view: false, file: None }
            }
            Reference::Web { folder, path } => {
                let id = web_id(&path)?;
                let (format, quant) = (format_of(&path), Quant::in_gguf_path(path.as_str()));
                let subject = Subject::Web { folder, path };
                Named { subject, folder: id.to_string(), format, quant, is_view: false, file: None }
            }
        };
        with_options(named, what)
    }

    /// The one blob whose digest begins with these digits, whether it is in the store or only needed.
    fn blob(&self, digits: &DigestPrefix, command: Invocation<'_>) -> Result<Sha256Digest> {
        if let Some(whole) = digits.whole() {
            return Ok(whole);
        }
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let mut found: BTreeSet<Sha256Digest> = store.blobs()?.into_iter().collect();
        found.extend(store.users()?.into_keys());
        found.retain(|digest| digits.fits(digest));
        let mut found = found.into_iter();
        match (found.next(), found.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(self.no_blob(digits)),
            (Some(first), more) => {
                let all = std::iter::once(first).chain(found).map(|digest| command.of(&digest.to_string())).collect();
                let text = format!("{} blobs have a digest that begins with `{digits}`", more + 1);
                Err(Error::new(ErrorKind::Usage, text).hint(Hint::MoreDigits(all)))
            }
        }
    }

    /// The view of this project that has this content.
    fn view_with(&self, digest: &Sha256Digest, what: &Selector, command: Invocation<'_>) -> Result<Named> {
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let with = |root: &RootRecord| root.files.iter().find(|file| file.sha256 == *digest).map(|file| file.path.to_string());
        let views: Vec<(&ViewKey, String)> = roots.iter().filter_map(|(view, root)| Some((view, with(root)?))).collect();
        let registry = self.registry().ok();
        match views.as_slice() {
            [(view, file)] => {
                let ViewKey { model, format, quant } = (*view).clone();
                let (subject, folder) = self.subject(&model, registry)?.unwrap_or((Subject::Folder, model.to_string()));
                let (format, file) = (Some(format), Some(file.clone()));
                with_options(Named { subject, folder, format, quant, is_view: true, file }, what)
            }
            [] => {
                let Some(store) = store else { return Err(self.no_blob(&(*digest).into())) };
                if store.find(digest)?.is_none() && !store.users()?.contains_key(digest) {
                    return Err(self.no_blob(&(*digest).into()));
                }
                let sources = store.upstream_files(digest)?;
                let again = sources.iter().rev().find_map(download_again).map(Hint::CameFromHub);
                let text = format!("{digest} is the content of no model of this project");
                Err(Error::new(ErrorKind::NotFound, text).hint(Hint::ShowUsers(digest.to_string())).with_hints(again))
            }
            several => {
                let names: Vec<String> = several.iter().map(|(view, _)| view.to_string()).collect();
                let text = format!("{digest} is the content of several models: {}", text::list(&names));
                let all = several.iter().map(|(view, _)| command.of(&view.name())).collect();
                Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameOne(all)))
            }
        }
    }
}

/// The name of a listed model that every action takes.
pub(super) fn listed_name(listed: &ListedModel) -> String {
    view_name(&listed.model, &listed.format, listed.quant.as_deref())
}

/// What downloads a blob as a source has it.
fn download_again(source: &UpstreamFile) -> Option<Action> {
    let (repo, path) = (source.repo.as_ref()?, source.path.as_ref()?);
    let download = Action::new(Verb::Download);
    if let Ok(folder) = repo.parse::<WebFolder>() {
        return Some(download.name(folder.shown(&path.parse().ok()?)));
    }
    let commit = source.commit.as_ref()?;
    Some(download.name(format!("hf://{repo}@{commit}/{path}")))
}

fn is_form(view: &ViewKey, named: &Named) -> bool {
    named.format.as_ref() == Some(&view.format) && named.quant == view.quant
}

/// What options say besides; they may say the same.
fn with_options(mut named: Named, what: &Selector) -> Result<Named> {
    if let (Some(format), Some(wanted)) = (&named.format, &what.format)
        && format != wanted
    {
        let text = format!("two formats are given: `{format}` in the name and `{wanted}` beside it");
        return Err(Error::new(ErrorKind::Usage, text).hint(Hint::GiveOnlyOne));
    }
    named.format = named.format.or_else(|| what.format.clone());
    named.quant = one_of(what.quant.clone(), named.quant)?;
    if let Subject::Repository { path: Some(path), .. } = &named.subject
        && named.quant.is_none()
        && format_of(path).is_none()
        && !named.format.as_ref().is_some_and(Format::is_files)
    {
        named.quant = quant_of_path(path);
    }
    Ok(named)
}
