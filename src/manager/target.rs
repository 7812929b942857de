//! From what a person wrote to what is wanted: a view and the files it needs.

use super::{ModelManager, Selector};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    hub::{HubFile, Reference},
    names::{Format, ModelId, NameError, Quant, RelPath, RepoId, Revision, companions, split_part_suffix},
    registry::{Artifact, ArtifactFile},
    store::{Project, RootRecord, Source, Store, ViewFile, ViewKey},
};
use uuid::Uuid;

/// What is wanted, before the Hub was asked anything.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The view; its quantization may still be open for a direct reference.
    pub(super) view: ViewKey,
    /// Where the files come from.
    pub(super) repo: RepoId,
    /// At which revision; `None` is the branch that the repository starts with.
    pub(super) revision: Option<Revision>,
    /// Whether the revision is a branch or tag that was asked for by name: what it stands for now is then asked of the Hub.
    pub(super) moving: bool,
    pub(super) wanted: Wanted,
    /// Whether a single file was named, which is added to the set that the view shows.
    pub(super) adds: bool,
    /// Companions that the view has already, by their paths in the repository: they stay as long as it has them.
    pub(super) beside: Vec<RelPath>,
    pub(super) license: Option<String>,
    /// The memory that the registry says it needs, for people.
    pub(super) ram: Option<String>,
    pub(super) gated: bool,
    /// Whether the view's label is only what the name of a file says: the repository's list of files tells it.
    pub(super) open_label: bool,
    /// The names of the files that are shown or locked under this label: whichever unit of the repository they are keeps it.
    pub(super) kept: Vec<String>,
    /// What of the repository is left out and why, once that was asked.
    pub(super) left_out: Vec<(HubFile, &'static str)>,
    /// What was chosen and why.
    pub(super) notices: Vec<String>,
}

/// Which files of the repository.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// Exactly these.
    Files(Vec<ArtifactFile>),
    /// The complete set of the view's format, or what the patterns select; `expect` must be among it.
    Set { include: Vec<String>, exclude: Vec<String>, expect: Vec<ArtifactFile> },
    /// The GGUF model of this quantization, or the best choice, in one folder or all.
    Gguf { quant: Option<Quant>, folder: Option<RelPath> },
}

impl Wanted {
    /// What the registry says a file's content is.
    pub(super) fn sha256_of(&self, path: &RelPath) -> Option<Sha256Digest> {
        let known = match self {
            Self::Files(files) | Self::Set { expect: files, .. } => files,
            Self::Gguf { .. } => return None,
        };
        known.iter().find(|file| file.path == *path)?.sha256
    }
}

impl ModelManager {
    /// Reads a selector. An id that the registry has wins over a legacy repository of that name.
    pub(super) fn target(&self, what: &Selector, revision: Option<&Revision>) -> Result<Target> {
        match self.reference(&what.model)? {
            Reference::Registry { id, quant } => {
                let quant = one_of(what.quant.clone(), quant)?;
                self.registry_target(id.as_str(), what.format.as_ref(), quant.as_ref(), revision)
            }
            Reference::Hub { repo, revision: named, quant, path } => {
                let quant = one_of(what.quant.clone(), quant)?;
                let target = hub_target(repo, revision.cloned().or(named), what.format.clone(), quant, path)?;
                Ok(self.with_views_here(target))
            }
        }
    }

    /// A reference to the Hub by what this project shows already: a file that it shows is called as its view is.
    fn with_views_here(&self, mut target: Target) -> Target {
        // What cannot be read is told by whoever needs it.
        let here = || {
            let project = Project::identify(&*self.disk, &self.settings.models_dir).ok()??;
            Some((self.existing_store().ok()??, project))
        };
        if !target.view.format.is_single_file() {
            return target;
        }
        let Some((store, project)) = here() else { return target };
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

    pub(super) fn reference(&self, text: &str) -> Result<Reference> {
        let endpoints: Vec<url::Url> = self.settings.network.endpoints.iter().filter_map(|text| text.parse().ok()).collect();
        Ok(Reference::parse(text, &endpoints)?)
    }

    pub(super) fn registry_target(
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
            view,
            repo: artifact.repo.clone(),
            revision: revision.or(artifact.revision.as_ref()).cloned(),
            moving: revision.is_some_and(|revision| !revision.is_commit()),
            wanted: wanted(artifact, revision.is_some()),
            adds: false,
            beside: Vec::new(),
            license: artifact.license.clone(),
            ram: selection.model.ram.clone(),
            gated: artifact.gated,
            open_label: false,
            kept: Vec::new(),
            left_out: Vec::new(),
            notices: selection.notices,
        })
    }
}

/// What an artifact asks for. At another revision than the registry's its sizes and hashes do not hold.
fn wanted(artifact: &Artifact, other_revision: bool) -> Wanted {
    let unpin = |files: &[ArtifactFile]| -> Vec<ArtifactFile> {
        files.iter().map(|file| ArtifactFile { path: file.path.clone(), size: None, sha256: None }).collect()
    };
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

fn hub_target(
    repo: RepoId,
    revision: Option<Revision>,
    format: Option<Format>,
    quant: Option<Quant>,
    path: Option<RelPath>,
) -> Result<Target> {
    let format = format.or_else(|| path.as_ref().and_then(format_of)).unwrap_or_else(Format::gguf);
    let of_path = path.as_ref().and_then(quant_of_path);
    let is_file = path.as_ref().is_some_and(|path| format_of(path).is_some());
    let open_label = is_file && quant.is_none() && format.is_single_file();
    let (quant, wanted) = match path {
        Some(path) if format.is_single_file() && format_of(&path).is_none() => {
            (quant.clone().or(of_path), Wanted::Gguf { quant, folder: Some(path) })
        }
        Some(path) => {
            let files = all_parts(path).into_iter().map(|path| ArtifactFile { path, size: None, sha256: None }).collect();
            (quant.or(of_path), Wanted::Files(files))
        }
        None if format.is_single_file() => (quant.clone(), Wanted::Gguf { quant, folder: None }),
        None => (quant, Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() }),
    };
    let adds = matches!(wanted, Wanted::Files(_)) && !format.is_single_file();
    let view = ViewKey { model: view_id(&repo)?, format, quant };
    let moving = revision.as_ref().is_some_and(|revision| !revision.is_commit());
    Ok(Target {
        view,
        repo,
        revision,
        moving,
        wanted,
        adds,
        beside: Vec::new(),
        license: None,
        ram: None,
        gated: false,
        open_label,
        kept: Vec::new(),
        left_out: Vec::new(),
        notices: Vec::new(),
    })
}

/// The view of a project that shows this file of the target's repository.
pub(super) fn view_of_file(store: &Store, project: &Uuid, target: &Target, path: &RelPath) -> Option<ViewKey> {
    let is_it = |file: &ViewFile| {
        let sources = store.meta(&file.sha256).ok().flatten().map(|meta| meta.sources).unwrap_or_default();
        let is_source = |source: &Source| {
            let repo = source.repo.as_deref().is_some_and(|repo| repo.eq_ignore_ascii_case(target.repo.as_str()));
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
pub(super) fn view_id(repo: &RepoId) -> Result<ModelId, NameError> {
    repo.as_str().replace('/', "--").parse()
}

/// The quantization that a path names: its file's, or that of a folder for one.
pub(super) fn quant_of_path(path: &RelPath) -> Option<Quant> {
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
        let (_, count) = part.filter(|_| end.eq_ignore_ascii_case("gguf"))?;
        (1..=count).map(|number| format!("{stem}-{number:05}-of-{count:05}.{end}").parse().ok()).collect::<Option<Vec<_>>>()
    };
    parts().unwrap_or_else(|| vec![path])
}

pub(super) fn format_of(path: &RelPath) -> Option<Format> {
    match path.file_name().rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "gguf" => Some(Format::gguf()),
        "safetensors" => Some(Format::safetensors()),
        "bin" | "pt" | "pth" => Some(Format::pytorch()),
        _ => None,
    }
}

/// `--quant` and `id:quant` may both be given if they agree.
fn one_of(option: Option<Quant>, named: Option<Quant>) -> Result<Option<Quant>> {
    match (&option, &named) {
        (Some(a), Some(b)) if a != b => {
            Err(Error::new(ErrorKind::Usage, format!("two quantizations are asked for: `{b}` in the name and `{a}` by option"))
                .hint("Give only one of them."))
        }
        _ => Ok(option.or(named)),
    }
}
