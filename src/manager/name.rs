//! What a name means: one reading for every command.
//!
//! In this order: an address of the Hub, a digest with its scheme, a path that begins as one, an id of the registry, a folder
//! of the models directory, digits of a digest, a path of something that is here, and a repository of the Hub.

use super::{ListedModel, ModelManager, Selector, target::format_of, target::one_of, target::quant_of_path, target::view_id};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    hub::Reference,
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, sort_by_nearness},
    registry::{Registry, RegistryError},
    store::{RootRecord, Source, StoreError, ViewKey},
    text,
};
use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

/// Near names that a hint lists.
const NEAR: usize = 3;
/// The least number of hex digits that can name a digest.
const LEAST_DIGITS: usize = 8;
const DIGITS: usize = 64;
/// Says that digits are those of a digest.
const SCHEME: &str = "sha256:";

/// The command that a name was given to, so that a hint can name it with another name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invocation<'a> {
    verb: &'a str,
    options: &'a str,
}

impl<'a> Invocation<'a> {
    pub(super) fn new(verb: &'a str) -> Self {
        Self { verb, options: "" }
    }

    /// The same with options that it cannot do without.
    pub(super) fn with(self, options: &'a str) -> Self {
        Self { options, ..self }
    }

    /// The whole command for a name.
    pub(super) fn of(&self, name: &str) -> String {
        let space = if self.options.is_empty() { "" } else { " " };
        format!("`model-manager {} {}{space}{}`", self.verb, text::shell_word(name), self.options)
    }
}

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
    /// Nobody but this project, which shows or locks it.
    Folder,
}

/// What a text means.
pub(super) enum Meaning {
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
    fn name(&self) -> String {
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

    /// The command that fetches it.
    pub(super) fn download_command(&self) -> String {
        if let Subject::Repository { repo, revision, path: Some(path) } = &self.subject {
            let revision = revision.as_ref().map_or_else(String::new, |revision| format!("@{revision}"));
            return format!("`model-manager download {}`", text::shell_word(&format!("hf://{repo}{revision}/{path}")));
        }
        let format = self.format.as_ref().filter(|format| !format.is_single_file());
        let option = format.map_or_else(String::new, |format| format!("--format {format}"));
        Invocation::new("download").with(&option).of(&self.name())
    }
}

/// The name of a view that every command takes.
pub(super) fn view_name(model: &str, format: &str, quant: Option<&str>) -> String {
    match quant {
        Some(quant) if format == Format::gguf().as_str() => format!("{model}:{quant}"),
        Some(quant) => format!("{model}/{format}/{quant}"),
        None => format!("{model}/{format}"),
    }
}

/// The command that makes a view whole again.
pub(super) fn repair_command(model: &str, format: &str, quant: Option<&str>) -> String {
    Invocation::new("verify").with("--repair").of(&view_name(model, format, quant))
}

impl ModelManager {
    /// The model that a selector means. A digest means the view that has this content.
    pub(super) fn named(&self, what: &Selector, command: Invocation<'_>) -> Result<Named> {
        match self.meaning(what, command)? {
            Meaning::Model(named) => Ok(named),
            Meaning::Blob(digest) => self.view_with(&digest, what, command),
        }
    }

    /// What a selector means.
    pub(super) fn meaning(&self, what: &Selector, command: Invocation<'_>) -> Result<Meaning> {
        let text = what.model.trim();
        if text.contains("://") {
            return self.reference(text, what).map(Meaning::Model);
        }
        if let Some(digits) = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            let digits = &text[digits.len()..];
            return match digits_of(digits) {
                Some(digits) => self.blob(&digits, command).map(Meaning::Blob),
                None => Err(Error::new(ErrorKind::Usage, format!("`{}` is no digest", text::short(text, 120)))
                    .hint(format!("Write `{SCHEME}` and {LEAST_DIGITS} to {DIGITS} hexadecimal digits."))),
            };
        }
        if begins_as_path(text) {
            return self.at_path(Path::new(text), what);
        }
        let registry = self.registry();
        if let Some(named) = self.known_name(text, registry.as_ref().ok().copied(), what)? {
            // Without it nobody knows whose name this is.
            registry?;
            return Ok(Meaning::Model(named));
        }
        if let Some(digits) = digits_of(text) {
            return self.blob(&digits, command).map(Meaning::Blob);
        }
        if self.is_here(Path::new(text)) {
            return self.at_path(Path::new(text), what);
        }
        match self.reference(text, what) {
            Ok(Named { subject: Subject::Entry(id), quant, .. }) => Err(self.nobody_knows(registry?, &id, quant.as_ref(), command)),
            other => other.map(Meaning::Model),
        }
    }

    /// `id`, `id:quant`, `id/format` or `id/format/quant` of a model that the registry has or that this project shows or locks.
    fn known_name(&self, text: &str, registry: Option<&Registry>, what: &Selector) -> Result<Option<Named>> {
        let (first, rest) = match text.find([':', '/']) {
            Some(at) => (&text[..at], Some((&text[at..=at], &text[at + 1..]))),
            None => (text, None),
        };
        let form = match rest {
            None => (None, None),
            Some((":", quant)) => (None, Some(quant)),
            Some((_, form)) => match form.trim_end_matches('/').split_once('/') {
                Some((format, quant)) => (Some(format), Some(quant)),
                None => (Some(form.trim_end_matches('/')), None),
            },
        };
        let Ok(id) = first.parse::<ModelId>() else { return Ok(None) };
        let Some((subject, folder)) = self.subject(&id, registry)? else { return Ok(None) };
        let format = form.0.map(str::parse::<Format>).transpose();
        let quant = form.1.map(str::parse::<Quant>).transpose();
        let (format, quant) = match (format, quant) {
            (Ok(format), Ok(quant)) => (format, quant),
            // Of an id that is known this is a slip, and of an owner a repository.
            (Ok(None), Err(error)) => {
                let hint = format!("Write `{folder}:LABEL`; `model-manager info {folder}` lists the labels.");
                return Err(Error::from(error).hint(hint));
            }
            _ => return Ok(None),
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
        roots.into_keys().chain(lock.views().iter().map(super::lock_entry::view_of)).collect()
    }

    /// The views of a model that this project shows, roots or locks.
    fn views_here(&self, folder: &str) -> Result<BTreeSet<ViewKey>> {
        let mut views: BTreeSet<ViewKey> =
            self.rooted_and_locked().into_iter().filter(|view| view.model.as_str() == folder).collect();
        let listed = self.list(None)?;
        views.extend(listed.iter().filter(|listed| listed.model == folder).filter_map(key_of));
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
    fn reference(&self, text: &str, what: &Selector) -> Result<Named> {
        let endpoints: Vec<url::Url> = self.settings.network.endpoints.iter().filter_map(|text| text.parse().ok()).collect();
        let named = match Reference::parse(text, &endpoints)? {
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
        };
        with_options(named, what)
    }

    /// Whether something of this project is at a path that was written as a name can be.
    fn is_here(&self, path: &Path) -> bool {
        let at = absolute(path);
        let in_reach = self.below_models(&at).is_some() || self.blob_at(&at).is_some();
        in_reach
            && (matches!(self.disk.find(&at), Ok(Some(_)))
                || self.view_at(&at).is_ok_and(|view| view.is_some_and(|named| named.is_view)))
    }

    /// The digest that a path in the store names, or that it leads to.
    fn blob_at(&self, path: &Path) -> Option<Sha256Digest> {
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
    fn below_models(&self, path: &Path) -> Option<Vec<String>> {
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
    fn view_at(&self, path: &Path) -> Result<Option<Named>> {
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
    fn at_path(&self, path: &Path, what: &Selector) -> Result<Meaning> {
        let at = absolute(path);
        let there = self.disk.find(&at)?.is_some();
        if self.below_models(&at).is_some_and(|parts| parts.first().is_some_and(|first| !first.starts_with('.')))
            && let Some(named) = self.view_at(&at)?
            && (there || named.is_view)
        {
            return with_options(named, what).map(Meaning::Model);
        }
        if let Some(digest) = self.blob_at(&at) {
            return Ok(Meaning::Blob(digest));
        }
        let hint = "`model-manager list` shows the models that are here, with their paths.";
        let text = match there {
            true if self.below_models(&at).is_some_and(|parts| parts.is_empty()) => {
                format!("{} is the models directory, and no model", path.display())
            }
            true => format!("{} is no model of this project, and not ours: no blob belongs to it", path.display()),
            false => format!("there is nothing at {}", path.display()),
        };
        Err(Error::new(ErrorKind::NotFound, text).hint(hint))
    }

    /// The one blob whose digest begins with these digits, whether it is in the store or only needed.
    fn blob(&self, digits: &str, command: Invocation<'_>) -> Result<Sha256Digest> {
        if let Ok(whole) = digits.parse() {
            return Ok(whole);
        }
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let mut found: BTreeSet<Sha256Digest> = store.blobs()?.into_iter().collect();
        found.extend(store.users()?.into_keys());
        found.retain(|digest| digest.to_string().starts_with(digits));
        let mut found = found.into_iter();
        match (found.next(), found.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(self.no_blob(digits)),
            (Some(first), more) => {
                let all: Vec<String> = std::iter::once(first).chain(found).map(|digest| command.of(&digest.to_string())).collect();
                let text = format!("{} blobs have a digest that begins with `{digits}`", more + 1);
                Err(Error::new(ErrorKind::Usage, text).hint(format!("Give more digits: {}.", text::list_whole(&all))))
            }
        }
    }

    /// Said of a digest that is not in the store, and that nothing there needs.
    pub(super) fn no_blob(&self, digits: &str) -> Error {
        let which = if digits.len() < DIGITS { "begins with" } else { "is" };
        let text = format!("no blob in the store at {} has a digest that {which} `{digits}`", self.store_dir().display());
        let registry = self.registry().ok();
        let entry = registry.and_then(|registry| {
            registry.entries().find(|entry| {
                let files = entry.artifact.files.iter().chain(&entry.artifact.expect);
                files.filter_map(|file| file.sha256).any(|sha256| sha256.to_string().starts_with(digits))
            })
        });
        Error::new(ErrorKind::NotFound, text).hint(match entry {
            Some(entry) => {
                let (id, format) = (entry.model.id.as_str(), entry.format.as_str());
                let command = Invocation::new("download").of(&view_name(id, format, entry.quant.map(Quant::as_str)));
                format!("The registry has it: {command}.")
            }
            None => "`model-manager list` shows the models that are here.".to_owned(),
        })
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
                let Some(store) = store else { return Err(self.no_blob(&digest.to_string())) };
                if store.find(digest)?.is_none() && !store.users()?.contains_key(digest) {
                    return Err(self.no_blob(&digest.to_string()));
                }
                let sources = store.meta(digest)?.map(|meta| meta.sources).unwrap_or_default();
                let again = sources
                    .iter()
                    .rev()
                    .find_map(fetch_again)
                    .map_or_else(String::new, |again| format!(" It came from the Hub: {again}."));
                let text = format!("{digest} is the content of no model of this project");
                let why = Invocation::new("why").of(&digest.to_string());
                Err(Error::new(ErrorKind::NotFound, text).hint(format!("{why} says who needs it.{again}")))
            }
            several => {
                let names: Vec<String> = several.iter().map(|(view, _)| view.to_string()).collect();
                let text = format!("{digest} is the content of several models: {}", text::list(&names));
                let all: Vec<String> = several.iter().map(|(view, _)| command.of(&view.name())).collect();
                Err(Error::new(ErrorKind::Usage, text).hint(format!("Name one: {}.", text::list_whole(&all))))
            }
        }
    }

    /// Said of an id that neither the registry has nor this project: the nearest of both first.
    fn nobody_knows(&self, registry: &Registry, id: &ModelId, quant: Option<&Quant>, command: Invocation<'_>) -> Error {
        let Err(error) = registry.model(id.as_str()) else {
            return Error::new(ErrorKind::NotFound, format!("`{id}` is not here"));
        };
        let here = self.list(None).unwrap_or_default();
        let mut names: Vec<&str> = registry.models().map(|model| model.id.as_str()).collect();
        names.extend(here.iter().map(|listed| listed.model.as_str()));
        names.sort_unstable();
        names.dedup();
        let near = near(id.as_str(), &mut names);
        let text = error.to_string();
        let error = Error::new(ErrorKind::NotFound, text);
        let lists = "Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.";
        if near.is_empty() {
            return error.hint(lists);
        }
        let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        let with_quant = |name: &str| quant.map_or_else(|| name.to_owned(), |quant| format!("{name}:{quant}"));
        let commands: Vec<String> = near.iter().map(|name| command.of(&with_quant(name))).collect();
        error.hint(format!("Did you mean {}? Run {}. {lists}", quoted.join(" or "), commands.join(" or ")))
    }

    /// Why a model cannot be found here: it is not, or not in this form. `here` are its forms that are.
    pub(super) fn not_present(&self, named: &Named, here: &[ListedModel], command: Invocation<'_>) -> Error {
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
            let commands: Vec<String> = here.iter().map(|listed| command.of(&listed_name(listed))).collect();
            let mut hint = format!("Here is {}: {}.", forms(&here), text::list_whole(&commands));
            match &named.subject {
                Subject::Entry(_) if can_be_had.is_ok() => {
                    hint = format!("{hint} For the other, run {}.", named.download_command());
                }
                Subject::Repository { repo, .. } => hint = format!("{hint} `model-manager info {repo}` lists what the Hub has."),
                _ => {}
            }
            return Error::new(ErrorKind::NotFound, format!("`{}` is here, but not as {}", named.folder, form())).hint(hint);
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
            return error.hint("`model-manager list` shows what is here.");
        }
        let fetch = format!("Run {}.", named.download_command());
        let listed = self.list(None).unwrap_or_default();
        let mut names: Vec<&str> = listed.iter().map(|listed| listed.model.as_str()).collect();
        names.dedup();
        // Probably a misspelt local name rather than a repository that differs in one letter.
        match near(&named.folder, &mut names).first() {
            Some(near) if matches!(named.subject, Subject::Repository { .. }) => {
                error.hint(format!("Did you mean `{near}`? Run {}. Else: {fetch}", command.of(near)))
            }
            _ => error.hint(fetch),
        }
    }
}

/// The name of a listed model that every command takes.
pub(super) fn listed_name(listed: &ListedModel) -> String {
    view_name(&listed.model, &listed.format, listed.quant.as_deref())
}

/// The forms in which a model is here, for people.
pub(super) fn forms(models: &[&ListedModel]) -> String {
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

/// The command that fetches a blob as a source has it.
fn fetch_again(source: &Source) -> Option<String> {
    let (repo, commit, path) = (source.repo.as_ref()?, source.commit.as_ref()?, source.path.as_ref()?);
    Some(Invocation::new("download").of(&format!("hf://{repo}@{commit}/{path}")))
}

/// The view of a listed model; none where a folder has a name that none of ours has.
pub(super) fn key_of(listed: &ListedModel) -> Option<ViewKey> {
    let quant = listed.quant.as_deref().map(str::parse).transpose().ok()?;
    Some(ViewKey { model: listed.model.parse().ok()?, format: listed.format.parse().ok()?, quant })
}

fn is_form(view: &ViewKey, named: &Named) -> bool {
    named.format.as_ref() == Some(&view.format) && named.quant == view.quant
}

/// What options say besides; they may say the same.
fn with_options(mut named: Named, what: &Selector) -> Result<Named> {
    if let (Some(format), Some(wanted)) = (&named.format, &what.format)
        && format != wanted
    {
        let text = format!("two formats are asked for: `{format}` in the name and `{wanted}` by option");
        return Err(Error::new(ErrorKind::Usage, text).hint("Give only one of them."));
    }
    named.format = named.format.or_else(|| what.format.clone());
    named.quant = one_of(what.quant.clone(), named.quant)?;
    if let Subject::Repository { path: Some(path), .. } = &named.subject
        && named.quant.is_none()
        && format_of(path).is_none()
    {
        named.quant = quant_of_path(path);
    }
    Ok(named)
}

/// Digits of a SHA-256, in lower case.
fn digits_of(text: &str) -> Option<String> {
    let fits = (LEAST_DIGITS..=DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// Whether a text can only be a path.
fn begins_as_path(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    let first = parts.next();
    let is_dotted = matches!(first, Some(Component::CurDir | Component::ParentDir));
    matches!(first, Some(Component::RootDir | Component::Prefix(_))) || is_dotted || (cfg!(windows) && text.contains('\\'))
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
