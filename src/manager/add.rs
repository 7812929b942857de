//! A repository's files as an entry of the registry, with all that the Hub publishes about them.

use super::{
    ModelManager, ModelName, ModelOrigin, RepoFile, Selector,
    name::Subject,
    plan::choose::Companions,
    plan::target::{Target, Wanted, web_id},
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::{Argument, Hint, Invocation, Parameter, Verb},
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, Role, companions},
    notice::Notice,
    registry::{self, BUILT_IN_ORIGIN, Edited, NewEntry},
    text,
    weights::is_weights,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is to be added, or pinned anew.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AddRequest {
    /// A repository such as `owner/repo:Q4_K_M`, or an address; for an update also an id of the registry.
    pub reference: ModelName,
    /// The id; without one it is made of the repository's name.
    pub id: Option<ModelId>,
    /// The format.
    pub format: Option<Format>,
    /// The quantization.
    pub quant: Option<Quant>,
    /// The revision whose commit is pinned; without one the main branch.
    pub revision: Option<Revision>,
    /// What the model is, in a line.
    pub description: Option<String>,
    /// The SHA-256 of a file that is named by its address, as its publisher gives it.
    pub sha256: Option<Sha256Digest>,
    /// What a GGUF model gets beside it. An update keeps to what the entry has.
    pub companions: Companions,
    /// Pin an entry that is there anew.
    pub update: bool,
    /// Only show what would be written.
    pub dry_run: bool,
    /// The registry file that is made where the built-in registry is in use.
    pub new_registry: PathBuf,
}

/// An entry that was added, or would be.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AddReport {
    /// The model's id.
    pub model: ModelId,
    /// The format.
    pub format: Format,
    /// The quantization.
    pub quant: Option<Quant>,
    /// The repository and its commit, or the folder of a web server.
    pub origin: ModelOrigin,
    /// The licence, as the repository names it.
    pub license: Option<String>,
    /// Whether the repository asks for accepted terms.
    pub gated: bool,
    /// Projectors that the entry names beside the model.
    pub projectors: Vec<RepoFile>,
    /// Drafts and the like that it names beside the model.
    pub companions: Vec<RepoFile>,
    /// Bytes of all files that the entry names.
    pub total_bytes: u64,
    /// The registry file.
    pub registry: PathBuf,
    /// The line in which the entry begins.
    pub line: usize,
    /// Whether the registry file was made, from the built-in registry.
    pub created: bool,
    /// Whether the text changed: an entry that is pinned anew may be as it should be.
    pub changed: bool,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The entry as it stands in the file.
    pub entry: String,
    /// The change as a unified diff.
    pub diff: String,
    /// What was chosen and why.
    pub notices: Vec<Notice>,
}

impl AddRequest {
    /// Adds this model as its repository has it now, and no companion. `new_registry` is the registry file that is made where
    /// the built-in registry is in use.
    pub fn new(reference: ModelName, new_registry: impl Into<PathBuf>) -> Self {
        Self {
            reference,
            id: None,
            format: None,
            quant: None,
            revision: None,
            description: None,
            sha256: None,
            companions: Companions::default(),
            update: false,
            dry_run: false,
            new_registry: new_registry.into(),
        }
    }
}

impl AddReport {
    /// What pins its files: the commit, or their hashes.
    pub fn pin(&self) -> String {
        self.origin.commit.as_ref().map_or_else(|| "its hashes".to_owned(), ToString::to_string)
    }
}

impl ModelManager {
    /// Asks the Hub for a repository's commit and files and writes them into the registry's file, or pins an entry anew.
    /// This call keeps the registry that it has read before. The next call of the session sees the entry, also where the
    /// registry's file was made from the built-in one; only a registry that was given to the session stays as it is.
    pub fn add(&self, request: &AddRequest) -> Result<AddReport> {
        let longest = 4096;
        if request.description.as_ref().is_some_and(|text| text.len() > longest || text.contains(char::is_control)) {
            return Err(Error::new(ErrorKind::Usage, format!("the description is not one line of {longest} bytes at most"))
                .hint(Hint::Describe));
        }
        if request.update && (!request.companions.wanted.is_empty() || !request.companions.projector_if_any) {
            let text = "an update pins the files that the entry names, and adds and removes none";
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::WriteFileOrOtherId));
        }
        let (plan, id, mut notices) = self.plan_entry(request)?;
        notices.extend(plan.notices());
        let entry = new_entry(&plan, id, request);
        let unknown = entry.files.iter().chain(&entry.expect).filter(|file| file.sha256.is_none()).count();
        if unknown > 0 {
            notices.push(Notice::NoSha256 { files: unknown });
        }
        let origin = match &self.settings.config {
            Some(path) => path.display().to_string(),
            // A file that is not there is not named: its text is that of the built-in registry.
            None if self.disk.find(&request.new_registry)?.is_none() => BUILT_IN_ORIGIN.to_owned(),
            None => request.new_registry.display().to_string(),
        };
        let edit = |text: &str| -> Result<Edited> {
            Ok(if request.update { registry::repin(text, &origin, &entry) } else { registry::add(text, &origin, &entry) }?)
        };
        let change = match request.dry_run {
            true => self.preview_edit(&request.new_registry, edit)?,
            false => self.edit_registry(&request.new_registry, edit)?,
        };
        let created = change.old.is_none();
        if created {
            notices.push(Notice::RegistryMade { path: change.path.clone(), dry_run: request.dry_run });
        }
        let beside = companions(entry.files.iter().map(|file| &file.path));
        // One alone is what was asked for.
        let has_model = entry.files.len() > beside.len();
        let beside = entry.files.iter().filter(|file| has_model && beside.contains(&file.path)).map(RepoFile::from);
        let is_projector = |file: &RepoFile| Role::of_gguf_name(file.repo_path.file_name()) == Role::Projector;
        let (projectors, companions) = beside.partition(is_projector);
        Ok(AddReport {
            projectors,
            companions,
            total_bytes: entry.files.iter().chain(&entry.expect).filter_map(|file| file.size).sum(),
            model: entry.id,
            format: entry.format,
            quant: entry.quant,
            origin: ModelOrigin { repo: entry.source, revision: None, commit: entry.commit },
            license: entry.license,
            gated: entry.gated,
            line: change.edited.line,
            created,
            changed: change.old.as_ref() != Some(&change.edited.text),
            dry_run: request.dry_run,
            diff: registry::unified_diff(change.old.as_deref(), &change.edited.text, &label(&change.path, &request.new_registry)),
            entry: text::redacted(&change.edited.entry).into_owned(),
            registry: change.path,
            notices,
        })
    }

    /// Which files of which commit, under which id, and what has to be said about that.
    fn plan_entry(&self, request: &AddRequest) -> Result<(Plan, ModelId, Vec<Notice>)> {
        let selector = Selector { model: request.reference.clone(), format: request.format.clone(), quant: request.quant.clone() };
        let mut notices = Vec::new();
        // Of an id no more can be asked.
        let arguments = [Argument::of(Parameter::Update)];
        let command = Invocation::new(Verb::Add).with(&arguments);
        let no_repository = |name: &str| Error::new(ErrorKind::Usage, format!("`{name}` names no repository on the Hub"));
        let is_one_part = request.reference.is_one_part();
        let mut named = match self.named(&selector, command) {
            Err(error) if error.kind() == ErrorKind::NotFound && is_one_part && !request.update => {
                return Err(no_repository(&text::short(&request.reference.to_string(), 200))
                    .hint(Hint::WriteRepository)
                    .with_hints(error.hints().iter().cloned()));
            }
            named => named?,
        };
        let id = match (&named.subject, &request.id) {
            (Subject::Repository { repo, .. }, id) => self.id_for(derived_id(repo), repo.as_str(), id.as_ref(), &mut notices)?,
            (Subject::Web { path, .. }, id) => self.id_for(web_id(path).ok(), path.file_name(), id.as_ref(), &mut notices)?,
            (Subject::Entry(id), None) if request.update => id.clone(),
            _ => {
                let again = match &named.subject {
                    Subject::Entry(id) => Some(Hint::PinAgain(id.to_string())),
                    _ => None,
                };
                return Err(no_repository(&named.folder).hint(Hint::WriteRepository).with_hints(again));
            }
        };
        if let Subject::Web { .. } = &named.subject {
            named.folder = id.to_string();
        }
        // For an entry of the registry another revision than its own is asked for, whose sizes and hashes are not known yet.
        let main = Revision::main();
        let by_id = matches!(named.subject, Subject::Entry(_));
        let target = self.target_of(&named, request.revision.as_ref().or(by_id.then_some(&main)), command)?.0;
        let target = target.with_digest(request.sha256)?;
        Companions::require_gguf(&request.companions.wanted, &target.view)?;
        let companions = if request.update { &Companions::default() } else { &request.companions };
        let plan = self.ask(self.plan_pinned(target.clone(), companions))?;
        let plan = if request.update { self.with_companions_of_entry(plan, target, &id)? } else { plan };
        Ok((plan, id, notices))
    }

    /// Repinning an entry by its repository names no companion, but the entry may have one.
    fn with_companions_of_entry(&self, plan: Plan, target: Target, id: &ModelId) -> Result<Plan> {
        let view = &plan.target.view;
        let Ok(selection) = self.registry()?.select(id.as_str(), Some(&view.format), view.quant.as_ref()) else { return Ok(plan) };
        let is_new = |path: &RelPath| !plan.files.iter().any(|file| file.repo_path == *path);
        let listed = companions(selection.artifact.files.iter().map(|file| &file.path));
        let beside: Vec<RelPath> = listed.into_iter().filter(|path| is_new(path)).cloned().collect();
        match beside.is_empty() {
            true => Ok(plan),
            false => self.ask(self.plan_pinned(Target { beside, ..target }, &Companions::default())),
        }
    }

    /// The id that was named, else the derived one; as the registry spells it, if it has it.
    fn id_for(&self, derived: Option<ModelId>, name: &str, named: Option<&ModelId>, notices: &mut Vec<Notice>) -> Result<ModelId> {
        let id = match named {
            Some(id) => id.clone(),
            None => {
                let id = derived.ok_or_else(|| {
                    Error::new(ErrorKind::Usage, format!("no id can be made of the name `{name}`")).hint(Hint::GiveId)
                })?;
                notices.push(Notice::IdDerived { id: id.clone() });
                id
            }
        };
        Ok(self.registry()?.model(id.as_str()).map_or(id, |model| model.id.clone()))
    }

    /// What is to be had, from the commit that a branch, a tag or a commit stands for. Unlike a download it also asks about
    /// a commit that is known, for the licence and the gate.
    async fn plan_pinned(&self, target: Target, companions: &Companions) -> Result<Plan> {
        let source = self.source_of(&target.source)?;
        let usual = Revision::main();
        let revision = target.revision.as_ref().or(target.source.repo().map(|_| &usual));
        let pinned = source.pin(&target.source, revision).await?;
        let calls = u32::from(revision.is_some());
        let mut plan = self.plan_of_state(&**source, target, pinned, calls, companions).await?;
        self.follow_indexes(&mut plan).await?;
        Ok(plan)
    }
}

/// The repository's name in lower case, without what says that it holds GGUF files.
fn derived_id(repo: &RepoId) -> Option<ModelId> {
    let name = repo.as_str().rsplit('/').next()?.to_ascii_lowercase();
    let name = ["-gguf", "_gguf", ".gguf"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    name.trim_matches(['.', '-', '_']).parse().ok()
}

fn new_entry(plan: &Plan, id: ModelId, request: &AddRequest) -> NewEntry {
    let target = &plan.target;
    let known = |file: &PlannedFile| FileFacts { size: file.size, sha256: file.sha256, ..FileFacts::named(file.repo_path.clone()) };
    let all = plan.files.iter().map(known);
    let (files, expect) = match target.wanted {
        Wanted::Set { .. } => (Vec::new(), all.filter(|file| file.sha256.is_some() || is_weights(&file.path)).collect()),
        Wanted::Files(_) | Wanted::Gguf { .. } => (all.collect(), Vec::new()),
    };
    NewEntry {
        id,
        format: target.view.format.clone(),
        quant: target.view.quant.clone(),
        // An entry that is there keeps the name that it has for its repository.
        source: if request.update { plan.requested.clone() } else { target.source.clone() },
        commit: plan.revision.clone(),
        files,
        expect,
        license: target.license.clone(),
        gated: target.gated,
        description: request.description.clone(),
    }
}

/// How a diff names a file: below the project's folder, where it is there.
pub(super) fn label(path: &Path, new_registry: &Path) -> String {
    let root = new_registry.parent().and_then(Path::parent);
    let below = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/").replace("//", "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_repositorys_name_in_lower_case_without_its_format() {
        for (repo, id) in [
            ("bartowski/Qwen2.5-7B-Instruct-GGUF", Some("qwen2.5-7b-instruct")),
            ("TheBloke/phi-2_gguf", Some("phi-2")),
            ("o/_x-", Some("x")),
            ("gpt2", Some("gpt2")),
            ("o/_gguf", None),
        ] {
            assert_eq!(derived_id(&repo.parse().unwrap()).as_ref().map(ModelId::as_str), id, "{repo}");
        }
    }
}
