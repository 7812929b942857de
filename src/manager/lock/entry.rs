//! From a view to its entry in the lock file: what the registry, the store or the Hub know of it, in this order.

use crate::manager::{
    FileSupply, ModelManager,
    plan::choose::is_below,
    plan::target::{Target, Wanted, quant_of_path},
    plan::{Plan, PlannedFile, view_path},
};
use crate::{
    digest::{GitSha1, SequentialHasher, Sha256Digest},
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::{Action, Hint, Parameter, Verb},
    names::{Quant, RelPath, Revision, SourceId, companions},
    registry::{LockSource, LockedFile, LockedView, UNPUBLISHED},
    store::{RootRecord, Store, Trust, UpstreamFile, ViewFile, ViewKey},
};
use std::sync::Arc;

/// The name of a locked view.
pub(in crate::manager) fn view_of(locked: &LockedView) -> ViewKey {
    ViewKey { model: locked.model.clone(), format: locked.format.clone(), quant: locked.quant.clone() }
}

/// The branch or tag that a target follows; `None` where it is pinned to a commit, or its source has no revisions.
pub(in crate::manager) fn followed(target: &Target) -> Option<Revision> {
    target.source.repo()?;
    let revision = target.revision.clone().unwrap_or_else(Revision::main);
    (!revision.is_commit()).then_some(revision)
}

impl ModelManager {
    /// The registry's entry for exactly this view; `None` if it has none. An unreadable registry or a bad entry is an
    /// error, not a missing entry.
    pub(in crate::manager) fn registered(&self, view: &ViewKey) -> Result<Option<Target>> {
        self.registry()?;
        match self.registry_target(view.model.as_str(), Some(&view.format), view.quant.as_ref(), None) {
            Err(error) if error.kind() == ErrorKind::Usage => Err(error),
            target => Ok(target.ok().filter(|target| target.view == *view)),
        }
    }

    /// What a locked view that is not the registry's was asked for as.
    pub(in crate::manager) fn locked_target(&self, locked: &LockedView) -> Target {
        // A companion alone was named itself; one beside a model is what the view has besides.
        let beside = companions(locked.files.iter().map(|file| &file.repo_path));
        let is_model = |file: &LockedFile| !beside.contains(&file.repo_path);
        let has_model = locked.files.iter().any(is_model);
        let named = locked.files.iter().filter(|file| !has_model || is_model(file));
        let named = || named.map(|file| FileFacts::named(file.repo_path.clone()));
        let wanted = match locked.source {
            LockSource::File => Wanted::Files(named().collect()),
            // Only a repository can be listed.
            _ if locked.origin.repo().is_none() => Wanted::Files(named().collect()),
            _ if locked.format.is_single_file() => {
                let models = locked.files.iter().map(|file| &file.repo_path);
                Wanted::Gguf { quant: locked.quant.clone(), folder: folder_of(models, locked.quant.as_ref()) }
            }
            _ => Wanted::Set { include: locked.include.clone(), exclude: locked.exclude.clone(), expect: Vec::new() },
        };
        Target {
            revision: locked.revision.as_ref().or(locked.commit.as_ref()).cloned(),
            kept: locked.files.iter().map(|file| file.path.to_string()).collect(),
            ..Target::new(view_of(locked), self.origin_with_query(locked), wanted)
        }
    }

    /// The origin of a locked view, as it is asked.
    fn origin_with_query(&self, locked: &LockedView) -> SourceId {
        match locked.source {
            LockSource::Registry => self.with_registered_query(&view_of(locked), locked.origin.clone()),
            _ => locked.origin.clone(),
        }
    }

    /// A folder of a web server with the query that the registry's entry for this view has for it: lock files and records of
    /// the store hold none.
    pub(in crate::manager) fn with_registered_query(&self, view: &ViewKey, source: SourceId) -> SourceId {
        if source.web().is_none() {
            return source;
        }
        let registered = self.registered(view).ok().flatten().map(|target| target.source);
        registered.filter(|registered| *registered == source).unwrap_or(source)
    }

    /// What making a locked view takes: everything is known, so nothing is asked.
    pub(in crate::manager) fn plan_locked(&self, locked: &LockedView, store: Option<&Store>) -> Result<Plan> {
        let target = Target { license: locked.license.clone(), gated: locked.gated, ..self.locked_target(locked) };
        let planned = |file: &LockedFile| PlannedFile {
            git_sha1: file.git_sha1.filter(|_| file.trust.is_none()),
            published: file.trust.is_none() && file.git_sha1.is_none(),
            ..PlannedFile::new(file.path.clone(), file.repo_path.clone(), Some(file.size), Some(file.sha256))
        };
        let mut files: Vec<PlannedFile> = locked.files.iter().map(planned).collect();
        self.supply(&target.view, &mut files, false, store)?;
        Ok(Plan {
            requested: target.source.clone(),
            target,
            revision: locked.commit.clone(),
            files,
            api_requests: 0,
            notices: Vec::new(),
        })
    }

    /// In what the registry says otherwise than the lock file; `None` where they agree, as all do that the registry has
    /// no say in.
    pub(in crate::manager) fn disagreement(&self, locked: &LockedView) -> Result<Option<String>> {
        if locked.source != LockSource::Registry || matches!(locked.origin, SourceId::Unknown(_)) {
            return Ok(None);
        }
        Ok(match self.registered(&view_of(locked))? {
            Some(target) => difference(&target, locked),
            None => Some("the registry has no such entry any more".into()),
        })
    }

    /// An entry of the registry that leaves nothing open.
    pub(in crate::manager) fn pin_by_registry(&self, target: &Target) -> Result<Option<Plan>> {
        let Wanted::Files(files) = &target.wanted else { return Ok(None) };
        let commit = target.revision.as_ref().filter(|known| known.is_commit());
        if commit.is_none() && target.source.repo().is_some() {
            return Ok(None);
        }
        if !target.beside.is_empty() || files.iter().any(|file| file.size.is_none() || file.sha256.is_none()) {
            return Ok(None);
        }
        let planned = |file: &FileFacts| {
            Ok(PlannedFile::new(view_path(&target.view, &file.path)?, file.path.clone(), file.size, file.sha256).published())
        };
        let files = files.iter().map(planned).collect::<Result<_>>()?;
        let revision = commit.cloned();
        Ok(Some(Plan {
            requested: target.source.clone(),
            target: target.clone(),
            revision,
            files,
            api_requests: 0,
            notices: Vec::new(),
        }))
    }

    /// What is here, where its records say of which one commit of the wanted repository all of it is.
    pub(in crate::manager) fn pin_by_store(&self, target: &Target, root: &RootRecord, store: &Store) -> Result<Option<Plan>> {
        let mut sources = Vec::new();
        for file in &root.files {
            let trust = store.meta(&file.sha256)?.map_or(Trust::Tofu, |meta| meta.trust);
            let noted = store.upstream_files(&file.sha256)?.into_iter().filter(|source| is_of(source, target)).collect::<Vec<_>>();
            sources.push((noted, trust));
        }
        // What was noted last was said last.
        for commit in sources.first().into_iter().flat_map(|(first, _)| first).rev().map(|source| source.commit.as_deref()) {
            let files: Option<Vec<PlannedFile>> = root
                .files
                .iter()
                .zip(&sources)
                .map(|(file, (sources, trust))| noted_file(target, commit, file, sources, *trust))
                .collect();
            let Some(files) = files.filter(|files| is_wanted(target, files)) else { continue };
            let revision = commit.map(str::parse).transpose()?;
            return Ok(Some(Plan {
                requested: target.source.clone(),
                target: target.clone(),
                revision,
                files,
                api_requests: 0,
                notices: Vec::new(),
            }));
        }
        Ok(None)
    }

    /// What to do about a view without published hashes: they come from a download. The local files are not from the
    /// repository.
    fn download_to_lock(&self, plan: &Plan, store: Option<&Store>) -> Hint {
        let is_here = self.own_roots(store).is_ok_and(|roots| roots.contains_key(&plan.target.view));
        let download = Action::new(Verb::Download).name(plan.target.view.name());
        Hint::DownloadToLock(if is_here { download.with(Parameter::Force) } else { download })
    }

    /// Finds the SHA-256 of every file whose git blob id alone is known: from a blob in the store that has this id, or by
    /// fetching it there. Big files are never among them, for git does not hold those.
    pub(in crate::manager) fn learn_hashes(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
        if let Some(store) = store.filter(|_| plan.files.iter().any(|file| file.sha256.is_none())) {
            let ids = plan.files.iter().filter(|file| file.sha256.is_none()).filter_map(|file| file.git_sha1).collect();
            let noted = store.blobs_by_git_id(&ids, &|| true)?;
            for file in plan.files.iter_mut().filter(|file| file.sha256.is_none()) {
                let Some(git_sha1) = file.git_sha1 else { continue };
                for digest in noted.get(&git_sha1).into_iter().flatten() {
                    if file.sha256.is_none() && has_ids(store, digest, &git_sha1, file.size)? {
                        file.sha256 = Some(*digest);
                    }
                }
            }
        }
        let mut rest = Plan { files: plan.files.iter().filter(|file| file.sha256.is_none()).cloned().collect(), ..plan.clone() };
        if let Some(unknown) = rest.files.iter().find(|file| file.git_sha1.is_none()) {
            return Err(Error::new(
                ErrorKind::Failed,
                format!("{} cannot be locked: no hash is published for {}", plan.target.view, unknown.repo_path),
            )
            .hint(self.download_to_lock(plan, store)));
        }
        if rest.files.is_empty() {
            return Ok(());
        }
        rest.files.iter_mut().for_each(|file| file.supply = FileSupply::Fetch);
        self.look_in_known_stores(&mut rest.files, store)?;
        self.network_for(&rest)?;
        let store = self.store()?;
        let lease = Arc::new(store.lease()?);
        self.import_found(&mut rest, &store, &lease)?;
        let sources = self.network_for(&rest)?;
        self.fetch_all(&mut rest, &store, &lease, sources)?;
        for file in plan.files.iter_mut().filter(|file| file.sha256.is_none()) {
            file.sha256 = rest.files.iter().find(|found| found.repo_path == file.repo_path).and_then(|found| found.sha256);
        }
        Ok(())
    }
}

/// The entry that a plan comes to; `None` while a size or a hash is not known.
pub(in crate::manager) fn entry(plan: &Plan, source: LockSource, revision: Option<Revision>) -> Option<LockedView> {
    let file = |file: &PlannedFile| {
        Some(LockedFile {
            path: file.path.clone(),
            repo_path: file.repo_path.clone(),
            size: file.size?,
            sha256: file.sha256?,
            git_sha1: file.git_sha1,
            trust: (!file.trust().is_published()).then(|| UNPUBLISHED.to_owned()),
            more: Vec::new(),
        })
    };
    let (include, exclude) = match &plan.target.wanted {
        Wanted::Set { include, exclude, .. } => (include.clone(), exclude.clone()),
        _ => Default::default(),
    };
    let ViewKey { model, format, quant } = plan.target.view.clone();
    Some(LockedView {
        model,
        format,
        quant,
        source,
        origin: plan.requested.clone(),
        revision,
        commit: plan.revision.as_ref().map(|commit| commit.as_str().to_ascii_lowercase().parse()).transpose().ok()?,
        license: plan.target.license.clone(),
        gated: plan.target.gated,
        include,
        exclude,
        files: plan.files.iter().map(file).collect::<Option<_>>()?,
        more: Vec::new(),
    })
}

/// Whether a blob came from the wanted source, where that has commits by one that is known and can be the wanted one.
fn is_of(source: &UpstreamFile, target: &Target) -> bool {
    let repo = source.repo.as_deref().is_some_and(|repo| target.source.is_named(repo));
    if target.source.repo().is_none() {
        return repo;
    }
    let commit = source.commit.as_deref().and_then(|commit| commit.parse::<Revision>().ok()).filter(Revision::is_commit);
    let pinned = target.revision.as_ref().filter(|revision| revision.is_commit());
    repo && commit.is_some_and(|commit| pinned.is_none_or(|pinned| pinned.as_str().eq_ignore_ascii_case(commit.as_str())))
}

/// A file that is here, as one of its sources has it in this commit.
fn noted_file(
    target: &Target,
    commit: Option<&str>,
    file: &ViewFile,
    sources: &[UpstreamFile],
    trust: Trust,
) -> Option<PlannedFile> {
    sources.iter().filter(|source| source.commit.as_deref() == commit).find_map(|source| {
        let repo_path = source.path.as_deref()?.parse().ok()?;
        let is_here = view_path(&target.view, &repo_path).is_ok_and(|path| path == file.path);
        is_here.then(|| PlannedFile {
            // If the trust of the record is not a published hash, its content was never compared with the git id of the
            // source.
            git_sha1: source.git_sha1.filter(|_| trust.is_published()),
            published: trust == Trust::Sha256Upstream,
            ..PlannedFile::new(file.path.clone(), repo_path, Some(file.size), Some(file.sha256))
        })
    })
}

/// Whether these files are what is wanted, as far as that can be told without the Hub's list.
fn is_wanted(target: &Target, files: &[PlannedFile]) -> bool {
    let is_there = |wanted: &FileFacts| {
        files.iter().any(|file| {
            file.repo_path == wanted.path
                && wanted.sha256.is_none_or(|sha256| file.sha256 == Some(sha256))
                && wanted.size.is_none_or(|size| file.size == Some(size))
        })
    };
    let has = |path: &RelPath| files.iter().any(|file| file.repo_path == *path);
    let as_known = match &target.wanted {
        Wanted::Files(known) | Wanted::Set { expect: known, .. } => known.iter().all(is_there),
        Wanted::Gguf { .. } => true,
    };
    as_known && target.beside.iter().all(has) && can_be(target, files.iter().map(|file| &file.repo_path))
}

/// Whether a view with these files, by their paths in the repository, can be what is wanted. Companions are no model,
/// and stay once they were fetched.
pub(in crate::manager) fn can_be<'p>(target: &Target, paths: impl IntoIterator<Item = &'p RelPath>) -> bool {
    let paths: Vec<&RelPath> = paths.into_iter().collect();
    let (wanted, folder) = match &target.wanted {
        Wanted::Files(wanted) => (wanted.as_slice(), None),
        Wanted::Gguf { folder, .. } => (&[][..], folder.as_ref()),
        Wanted::Set { .. } => return true,
    };
    let is_exact = matches!(target.wanted, Wanted::Files(_));
    let is_named = |path: &RelPath| !is_exact || wanted.iter().any(|file| file.path == *path);
    let is_inside = |path: &RelPath| folder.is_none_or(|folder| is_below(path, folder));
    let beside = companions(paths.iter().copied());
    wanted.iter().all(|file| paths.contains(&&file.path))
        && paths.iter().filter(|path| !beside.contains(*path)).all(|path| is_named(path) && is_inside(path))
}

/// The folder of a GGUF in its repository, where it says more than the quantization does.
pub(in crate::manager) fn folder_of<'p>(paths: impl IntoIterator<Item = &'p RelPath>, quant: Option<&Quant>) -> Option<RelPath> {
    let paths: Vec<&RelPath> = paths.into_iter().collect();
    let beside = companions(paths.iter().copied());
    let model = paths.into_iter().find(|path| !beside.contains(path))?;
    let above = |path: &RelPath| path.as_str().rsplit_once('/').and_then(|(folder, _)| folder.parse::<RelPath>().ok());
    let mut folder = above(model);
    while let Some(named) = folder.as_ref().filter(|folder| quant.is_some() && quant_of_path(folder).as_ref() == quant) {
        folder = above(named);
    }
    folder
}

/// Whether the blob of this digest is here, and its content has both ids: what records say is a claim.
pub(in crate::manager) fn has_ids(store: &Store, digest: &Sha256Digest, git_sha1: &GitSha1, size: Option<u64>) -> Result<bool> {
    if store.find(digest)?.is_none_or(|blob| Some(blob.size) != size) {
        return Ok(false);
    }
    let Some(content) = store.disk().read_small(&store.layout().blob(digest))? else { return Ok(false) };
    let mut hasher = SequentialHasher::new(content.len() as u64, true);
    hasher.update(&content);
    Ok(hasher.finish() == (*digest, Some(*git_sha1)))
}

pub(in crate::manager) fn is_same_commit(one: Option<&Revision>, other: Option<&Revision>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.as_str().eq_ignore_ascii_case(other.as_str()))
}

/// In what an entry of the registry says otherwise than the lock file.
fn difference(target: &Target, locked: &LockedView) -> Option<String> {
    if target.source != locked.origin {
        let what = if target.source.repo().is_some() { "the repository " } else { "" };
        return Some(format!("the registry names {what}{}, locked is {}", target.source, locked.origin));
    }
    match followed(target) {
        _ if target.source.repo().is_none() => {}
        Some(branch) if locked.revision.as_ref() != Some(&branch) => {
            let locked = locked.revision.as_ref().or(locked.commit.as_ref()).map_or_else(String::new, Revision::to_string);
            return Some(format!("the registry follows {branch}, locked is {locked}"));
        }
        None if !is_same_commit(target.revision.as_ref(), locked.commit.as_ref()) => {
            let text = |commit: &Option<Revision>| commit.as_ref().map_or_else(String::new, Revision::to_string);
            return Some(format!("the registry pins the commit {}, locked is {}", text(&target.revision), text(&locked.commit)));
        }
        _ => {}
    }
    let (known, exact) = match &target.wanted {
        Wanted::Files(files) => (files, true),
        Wanted::Set { include, exclude, expect } => {
            if (include, exclude) != (&locked.include, &locked.exclude) {
                return Some("the registry selects files by other patterns".into());
            }
            (expect, false)
        }
        Wanted::Gguf { .. } => return None,
    };
    for file in known {
        let Some(found) = locked.files.iter().find(|found| found.repo_path == file.path) else {
            return Some(format!("the registry names {}, which is not locked", file.path));
        };
        if file.sha256.is_some_and(|sha256| sha256 != found.sha256) || file.size.is_some_and(|size| size != found.size) {
            return Some(format!("the registry gives another sha256 or size for {}", file.path));
        }
    }
    // A companion that was fetched stays, although the registry does not name it.
    let beside = companions(locked.files.iter().map(|file| &file.repo_path));
    let is_named = |found: &LockedFile| known.iter().any(|file| file.path == found.repo_path);
    let is_more = |found: &LockedFile| !beside.contains(&found.repo_path) && !is_named(found);
    let more = locked.files.iter().find(|found| exact && is_more(found));
    more.map(|more| format!("the registry does not name {}, which is locked", more.repo_path))
}
