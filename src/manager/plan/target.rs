//! From what a person wrote to what is wanted: a view and the files it needs.

use crate::manager::{
    ModelManager, Selector,
    lock::entry::view_of,
    name::{Named, Subject},
    plan::asked::files_label,
};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::{Hint, Invocation},
    names::{
        Format, ModelId, NameError, Quant, RelPath, RepoId, Revision, SourceId, WebFolder, companions, quant_in_stem,
        split_part_suffix,
    },
    notice::Notice,
    registry::{Artifact, LockSource, LockedView},
    store::{Project, RootRecord, Store, UpstreamFile, ViewFile, ViewKey},
    weights::{FileKind, format_of},
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What is wanted, before the Hub was asked anything.
#[derive(Debug, Clone)]
pub(in crate::manager) struct Target {
    /// The view; its quantization may still be open for a direct reference.
    pub(in crate::manager) view: ViewKey,
    /// Where the files come from.
    pub(in crate::manager) source: SourceId,
    /// At which revision; `None` is the branch that the repository starts with.
    pub(in crate::manager) revision: Option<Revision>,
    /// Whether the revision is a branch or tag that was asked for by name: what it stands for now is then asked of the Hub.
    pub(in crate::manager) moving: bool,
    pub(in crate::manager) wanted: Wanted,
    /// Whether a single file was named, which is added to the set that the view shows.
    pub(in crate::manager) adds: bool,
    /// Companions that the view has already, by their paths in the repository: they stay as long as it has them.
    pub(in crate::manager) beside: Vec<RelPath>,
    pub(in crate::manager) license: Option<String>,
    /// The memory that the registry says it needs, for people.
    pub(in crate::manager) ram: Option<String>,
    pub(in crate::manager) gated: bool,
    /// Whether the view's label was derived from a file name alone; the repository's listing decides.
    pub(in crate::manager) open_label: bool,
    /// Whether no format, label or file was named: then a repository without GGUF means its safetensors.
    pub(in crate::manager) open_format: bool,
    /// The names of the files that are shown or locked under this label: whichever unit of the repository they are keeps it.
    pub(in crate::manager) kept: Vec<String>,
    /// What of the repository is left out and why, once that was asked.
    pub(in crate::manager) left_out: Vec<(FileFacts, &'static str)>,
    /// What the registry says of what was selected.
    pub(in crate::manager) notices: Vec<Notice>,
}

/// Which files of the repository.
#[derive(Debug, Clone)]
pub(in crate::manager) enum Wanted {
    /// Exactly these.
    Files(Vec<FileFacts>),
    /// The complete set of the view's format, or what the patterns select; `expect` must be among it.
    Set { include: Vec<String>, exclude: Vec<String>, expect: Vec<FileFacts> },
    /// The GGUF model of this quantization, or the best choice, in one folder or all.
    Gguf { quant: Option<Quant>, folder: Option<RelPath> },
}

impl Target {
    /// These files of a source in the state that is usual, without licence, gate or companions.
    pub(in crate::manager) fn new(view: ViewKey, source: SourceId, wanted: Wanted) -> Self {
        Self {
            view,
            source,
            revision: None,
            moving: false,
            wanted,
            adds: false,
            beside: Vec::new(),
            license: None,
            ram: None,
            gated: false,
            open_label: false,
            open_format: false,
            kept: Vec::new(),
            left_out: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The address of its first file on a web server, as it may be shown.
    pub(in crate::manager) fn first_address(&self) -> String {
        let first = self.wanted.named().into_iter().next();
        first.zip(self.source.web()).map_or_else(|| self.source.to_string(), |(path, folder)| folder.shown(&path))
    }

    /// Takes the safetensors, where no format was named and these views show that they are meant.
    pub(in crate::manager) fn prefer_format_of<'v>(&mut self, views: impl IntoIterator<Item = &'v ViewKey>) {
        let formats: BTreeSet<&Format> =
            views.into_iter().filter(|view| view.model == self.view.model).map(|view| &view.format).collect();
        if self.open_format && !formats.contains(&self.view.format) && formats.contains(&Format::safetensors()) {
            self.take_safetensors();
        }
    }

    /// Asks for the complete set of safetensors files.
    pub(in crate::manager) fn take_safetensors(&mut self) {
        self.open_format = false;
        self.view = ViewKey { format: Format::safetensors(), quant: None, model: self.view.model.clone() };
        self.wanted = Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() };
    }
}

impl Wanted {
    /// The files that are named one by one.
    pub(in crate::manager) fn named(&self) -> Vec<RelPath> {
        match self {
            Self::Files(files) => files.iter().map(|file| file.path.clone()).collect(),
            Self::Set { .. } | Self::Gguf { .. } => Vec::new(),
        }
    }

    /// What the registry says a file's content is.
    pub(in crate::manager) fn sha256_of(&self, path: &RelPath) -> Option<Sha256Digest> {
        let known = match self {
            Self::Files(files) | Self::Set { expect: files, .. } => files,
            Self::Gguf { .. } => return None,
        };
        known.iter().find(|file| file.path == *path)?.sha256
    }
}

impl ModelManager {
    /// What a selector asks a command for, at this revision.
    pub(in crate::manager) fn target(
        &self,
        what: &Selector,
        revision: Option<&Revision>,
        command: Invocation<'_>,
    ) -> Result<Target> {
        let named = self.named(what, command)?;
        Ok(self.target_of(&named, revision, command)?.0)
    }

    /// What a name asks for, and as what it is locked.
    pub(in crate::manager) fn target_of(
        &self,
        named: &Named,
        revision: Option<&Revision>,
        command: Invocation<'_>,
    ) -> Result<(Target, LockSource)> {
        match &named.subject {
            Subject::Entry(id) => {
                let selected = self.registry_target(id.as_str(), named.format.as_ref(), named.quant.as_ref(), revision);
                match selected {
                    // The registry has that form no longer, and this project has it still.
                    Err(error) if error.kind() == ErrorKind::NotFound && revision.is_none() => {
                        self.target_here(named, command)?.ok_or(error)
                    }
                    selected => Ok((selected?, LockSource::Registry)),
                }
            }
            Subject::Repository { repo, revision: at, path } => {
                // A view whose label no reference can give.
                if named.is_view
                    && named.quant.is_none()
                    && revision.is_none()
                    && let Some(found) = self.target_here(named, command)?
                {
                    return Ok(found);
                }
                let revision = revision.or(at.as_ref()).cloned();
                let (format, quant) = (named.format.clone(), named.quant.clone());
                let model = named.folder.parse()?;
                let target = self.with_views_here(hub_target(repo.clone(), model, revision, format, quant, path.clone())?);
                let source = match &target.wanted {
                    // Any files of the repository: what is there says which.
                    _ if target.view.format.is_files() => LockSource::File,
                    // A folder may hold one of several models of a quantization: what is found in it is locked by name.
                    Wanted::Files(_) | Wanted::Gguf { folder: Some(_), .. } => LockSource::File,
                    _ => LockSource::Repository,
                };
                Ok((target, source))
            }
            Subject::Web { folder, path } => {
                let mut target = web_target(folder.clone(), named.folder.parse()?, named.quant.clone(), path.clone())?;
                self.require_own_name(&target)?;
                if folder.has_query() {
                    target.notices.push(Notice::QueryNotKept { url: folder.shown(path) });
                }
                Ok((target, LockSource::File))
            }
            Subject::Folder => self.registry().and_then(|_| self.target_here(named, command))?.ok_or_else(|| {
                let (id, text) = (&named.folder, "and neither the registry nor the store knows where it came from");
                Error::new(ErrorKind::NotFound, format!("`{id}` is here, {text}")).hint(Hint::WithoutEntry(id.clone()))
            }),
        }
    }

    /// Refuses a model that an address names, where another origin has its name already: files of both would be one model.
    fn require_own_name(&self, target: &Target) -> Result<()> {
        let id = &target.view.model;
        let mut other = None;
        if let Ok(registry) = self.registry()
            && let Ok(model) = registry.model(id.as_str())
        {
            let mut artifacts = model.formats.iter().flat_map(|f| f.quants.iter().map(|quant| &quant.artifact).chain(&f.whole));
            other = artifacts.find(|artifact| artifact.source != target.source).map(|artifact| artifact.source.to_string());
        }
        let store = self.existing_store()?;
        for (view, root) in self.own_roots(store.as_ref())?.iter().filter(|(view, _)| view.model == *id) {
            let origin = self.origin_of(root, store.as_ref())?.map(|(origin, _)| origin);
            if other.is_none() && origin.as_ref() != Some(&target.source) {
                other = Some(origin.map_or_else(|| format!("{view}, of which no source is known"), |origin| origin.to_string()));
            }
        }
        let lock = self.read_lock()?.unwrap_or_default();
        let locked = lock.views().iter().find(|locked| locked.model == *id && locked.origin != target.source);
        match other.or_else(|| locked.map(|locked| locked.origin.to_string())) {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorKind::Usage,
                format!("the name `{id}` is that of a model from {other}, and not of one from {}", target.source),
            )
            .hint(Hint::OtherName { address: target.first_address() })),
        }
    }

    /// What a view of this project is, or is locked as, where no more than one is meant.
    fn target_here(&self, named: &Named, command: Invocation<'_>) -> Result<Option<(Target, LockSource)>> {
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let lock = self.read_lock()?.unwrap_or_default();
        let locked: Vec<&LockedView> = lock.views().iter().filter(|locked| named.fits_view(&view_of(locked))).collect();
        let mut views: BTreeSet<ViewKey> = roots.keys().filter(|view| named.fits_view(view)).cloned().collect();
        views.extend(locked.iter().map(|locked| view_of(locked)));
        if views.len() > 1 {
            let names: Vec<String> = views.iter().map(ToString::to_string).collect();
            let all = views.iter().map(|view| command.of(&view.name())).collect();
            let text = format!("`{}` is here or locked in several forms: {}", named.folder, crate::text::list(&names));
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameOne(all)));
        }
        let Some(view) = views.first() else { return Ok(None) };
        if let Some(locked) = locked.first() {
            return self.target_locked(locked, roots.get(view), store.as_ref()).map(Some);
        }
        match roots.get(view) {
            Some(root) => self.target_of_root(view, root, store.as_ref()),
            None => Ok(None),
        }
    }

    /// A reference to the Hub by what this project shows already: a file that it shows is called as its view is.
    fn with_views_here(&self, mut target: Target) -> Target {
        // Read errors are reported by the commands that need the file.
        let here = || {
            let project = Project::identify(&*self.disk, &self.settings.models_dir).ok()??;
            Some((self.existing_store().ok()??, project))
        };
        if !target.view.format.is_single_file() {
            return target;
        }
        let Some((store, project)) = here() else { return target };
        if target.open_format {
            let roots = store.roots_of(&project).unwrap_or_default();
            target.prefer_format_of(roots.iter().map(|root| &root.view));
        }
        if !target.view.format.is_single_file() {
            return target;
        }
        if target.open_label
            && let Wanted::Files(files) = &target.wanted
            && let Some(first) = files.first()
            && let Some(view) = view_of_file(&store, &project, &target, &first.path)
        {
            target.view = view;
            target.open_label = false;
        }
        let root = target.view.quant.as_ref().and_then(|_| store.root_of(&project, &target.view).ok().flatten());
        target.kept = root.into_iter().flat_map(|root| root.files).map(|file| file.path.to_string()).collect();
        target
    }

    pub(in crate::manager) fn registry_target(
        &self,
        id: &str,
        format: Option<&Format>,
        quant: Option<&Quant>,
        revision: Option<&Revision>,
    ) -> Result<Target> {
        let selection = self.registry()?.select(id, format, quant)?;
        let artifact = selection.artifact;
        let view =
            ViewKey { model: selection.model.id.clone(), format: selection.format.format.clone(), quant: selection.quant.cloned() };
        Ok(Target {
            // A web server has no revisions.
            revision: revision.or(artifact.revision.as_ref()).filter(|_| artifact.source.repo().is_some()).cloned(),
            moving: revision.is_some_and(|revision| artifact.source.repo().is_some() && !revision.is_commit()),
            license: artifact.license.clone(),
            ram: selection.model.ram.clone(),
            gated: artifact.gated,
            notices: selection.notices,
            ..Target::new(view, artifact.source.clone(), wanted(artifact, revision.is_some()))
        })
    }
}

/// What an artifact asks for. At another revision than the registry's its sizes and hashes do not hold.
fn wanted(artifact: &Artifact, other_revision: bool) -> Wanted {
    let unpin = |files: &[FileFacts]| -> Vec<FileFacts> { files.iter().map(|file| FileFacts::named(file.path.clone())).collect() };
    match (artifact.files.is_empty(), other_revision) {
        (false, false) => Wanted::Files(artifact.files.clone()),
        (false, true) => Wanted::Files(unpin(&artifact.files)),
        (true, _) => Wanted::Set {
            include: artifact.include.clone(),
            exclude: artifact.exclude.clone(),
            expect: if other_revision { Vec::new() } else { artifact.expect.clone() },
        },
    }
}

/// A file of a web server, with all parts of a split one.
fn web_target(folder: WebFolder, model: ModelId, quant: Option<Quant>, path: RelPath) -> Result<Target> {
    let Some(format) = format_of(&path).filter(|format| [Format::gguf(), Format::safetensors()].contains(format)) else {
        return Err(Error::new(ErrorKind::Usage, format!("{path} is neither a GGUF nor a safetensors file by its name"))
            .hint(Hint::WeightsAddress));
    };
    let quant = quant.or_else(|| Quant::in_gguf_path(path.as_str())).filter(|_| format.is_single_file());
    let wanted = Wanted::Files(all_parts(path).into_iter().map(FileFacts::named).collect());
    let adds = !format.is_single_file();
    Ok(Target { adds, ..Target::new(ViewKey { model, format, quant }, folder.into(), wanted) })
}

/// The id of a model that only an address names: the name of its file in lower case, without its quantization.
pub(in crate::manager) fn web_id(path: &RelPath) -> Result<ModelId> {
    let name = path.file_name();
    let stem = split_part_suffix(name.rsplit_once('.').map_or(name, |(stem, _)| stem)).0;
    let plain = match quant_in_stem(stem) {
        Some((span, _)) => format!("{}{}", &stem[..span.start], &stem[span.end..]),
        None => stem.to_owned(),
    };
    let lower = plain.to_ascii_lowercase();
    let lower = ["-gguf", "_gguf", ".gguf"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower);
    // `--` stands between owner and name of a repository.
    let mut id = lower.to_owned();
    for mark in ["-", "."] {
        while id.contains(&mark.repeat(2)) {
            id = id.replace(&mark.repeat(2), mark);
        }
    }
    id.trim_matches(['-', '.', '_', ' '])
        .parse()
        .map_err(|_| Error::new(ErrorKind::Usage, format!("no id can be made of the name `{name}`")).hint(Hint::GiveId))
}

fn hub_target(
    repo: RepoId,
    model: ModelId,
    revision: Option<Revision>,
    format: Option<Format>,
    quant: Option<Quant>,
    path: Option<RelPath>,
) -> Result<Target> {
    if let Some(format) = format.clone().filter(Format::is_files) {
        let quant = Some(quant.map_or_else(|| files_label(revision.as_ref()), Ok)?);
        let wanted = match path {
            Some(path) => Wanted::Files(vec![FileFacts::named(path)]),
            None => Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() },
        };
        let adds = matches!(wanted, Wanted::Files(_));
        let moving = revision.as_ref().is_some_and(|revision| !revision.is_commit());
        return Ok(Target { revision, moving, adds, ..Target::new(ViewKey { model, format, quant }, repo.into(), wanted) });
    }
    let open_format = format.is_none() && quant.is_none() && path.is_none();
    let format = format.or_else(|| path.as_ref().and_then(format_of)).unwrap_or_else(Format::gguf);
    let of_path = path.as_ref().and_then(quant_of_path);
    let is_file = path.as_ref().is_some_and(|path| format_of(path).is_some());
    let open_label = is_file && quant.is_none() && format.is_single_file();
    let (quant, wanted) = match path {
        Some(path) if format.is_single_file() && format_of(&path).is_none() => {
            (quant.clone().or(of_path), Wanted::Gguf { quant, folder: Some(path) })
        }
        Some(path) => {
            let files = all_parts(path).into_iter().map(FileFacts::named).collect();
            (quant.or(of_path), Wanted::Files(files))
        }
        None if format.is_single_file() => (quant.clone(), Wanted::Gguf { quant, folder: None }),
        None => (quant, Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() }),
    };
    let adds = matches!(wanted, Wanted::Files(_)) && !format.is_single_file();
    let view = ViewKey { model, format, quant };
    let moving = revision.as_ref().is_some_and(|revision| !revision.is_commit());
    Ok(Target { revision, moving, adds, open_label, open_format, ..Target::new(view, repo.into(), wanted) })
}

/// The view of a project that shows this file of the target's repository.
pub(in crate::manager) fn view_of_file(store: &Store, project: &Uuid, target: &Target, path: &RelPath) -> Option<ViewKey> {
    let is_it = |file: &ViewFile| {
        let sources = store.upstream_files(&file.sha256).unwrap_or_default();
        let is_source = |source: &UpstreamFile| {
            let repo = source.repo.as_deref().is_some_and(|repo| target.source.is_named(repo));
            repo && source.path.as_deref() == Some(path.as_str())
        };
        file.path.file_name() == path.file_name() && sources.iter().any(is_source)
    };
    let of_model = |view: &ViewKey| view.model == target.view.model && view.format == target.view.format;
    // A companion that stands with its model is not what that view is called after.
    let is_called_after = |root: &RootRecord, file: &ViewFile| {
        let beside = companions(root.files.iter().map(|file| &file.path));
        beside.len() == root.files.len() || !beside.contains(&file.path)
    };
    let fits = |root: &RootRecord| of_model(&root.view) && root.files.iter().any(|file| is_it(file) && is_called_after(root, file));
    store.roots_of(project).ok()?.into_iter().find(fits).map(|root| root.view)
}

/// The folder of a model that is in no registry: `owner--name`, as the Hub's own cache writes it.
pub(in crate::manager) fn view_id(repo: &RepoId) -> Result<ModelId, NameError> {
    repo.as_str().replace('/', "--").parse()
}

/// The quantization that a path names: its file's, or that of a folder for one.
pub(in crate::manager) fn quant_of_path(path: &RelPath) -> Option<Quant> {
    match format_of(path) {
        Some(_) => Quant::of_gguf_path(path.as_str()),
        None => Quant::of_gguf_name(&format!("{path}.gguf")),
    }
}

/// A part of a split GGUF stands for all of them; any other file for itself.
fn all_parts(path: RelPath) -> Vec<RelPath> {
    let parts = || {
        let (stem, end) = path.as_str().rsplit_once('.')?;
        let (stem, part) = split_part_suffix(stem);
        let (_, count) = part.filter(|_| FileKind::of(&path) == Some(FileKind::Gguf))?;
        (1..=count).map(|number| format!("{stem}-{number:05}-of-{count:05}.{end}").parse().ok()).collect::<Option<Vec<_>>>()
    };
    parts().unwrap_or_else(|| vec![path])
}

/// `--quant` and `id:quant` may both be given if they agree.
pub(in crate::manager) fn one_of(option: Option<Quant>, named: Option<Quant>) -> Result<Option<Quant>> {
    match (&option, &named) {
        (Some(a), Some(b)) if a != b => {
            Err(Error::new(ErrorKind::Usage, format!("two quantizations are given: `{b}` in the name and `{a}` beside it"))
                .hint(Hint::GiveOnlyOne))
        }
        _ => Ok(option.or(named)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_file_with_an_address_is_its_name_without_its_quantization() {
        for (name, id) in [
            ("tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", Some("tinyllama-1.1b-chat-v1.0")),
            ("Meta-Llama-3-8B-Instruct-Q5_K_M.gguf", Some("meta-llama-3-8b-instruct")),
            ("Big-Q8_0-00001-of-00003.gguf", Some("big")),
            ("a-Q4_K_M-b.gguf", Some("a-b")),
            ("owl--7b.gguf", Some("owl-7b")),
            ("x.gguf", Some("x")),
            ("model-00001-of-00002.safetensors", Some("model")),
            ("Q8_0.gguf", None),
        ] {
            let found = web_id(&name.parse().unwrap());
            assert_eq!(found.as_ref().ok().map(ModelId::as_str), id, "{name}");
        }
    }

    #[test]
    fn a_digest_is_taken_for_one_file_with_an_address_only() {
        let digest = || Some(Sha256Digest::from_bytes([7; 32]));
        let target = |path: &str| web_target("https://h/a".parse().unwrap(), "x".parse().unwrap(), None, path.parse().unwrap());
        let one = target("x.Q8_0.gguf").unwrap();
        assert_eq!((one.view.to_string().as_str(), one.adds), ("x/gguf/q8_0", false));
        assert_eq!(one.with_digest(digest()).unwrap().wanted.sha256_of(&"x.Q8_0.gguf".parse().unwrap()), digest());
        assert!(target("x-00001-of-00002.gguf").unwrap().with_digest(digest()).is_err());
        let hub = Target::new(target("x.gguf").unwrap().view, "o/r".parse().unwrap(), Wanted::Files(Vec::new()));
        assert!(hub.with_digest(digest()).is_err());
        assert!(target("x.zip").is_err());
    }
}
