//! Decides what a download does.
//!
//! Nothing is asked of the network that is known already. A registry entry with revision, sizes and hashes needs no
//! request; neither does a view that is complete.

use super::{Plan, PlannedFile, view_path};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, Stat},
    error::Result,
    event::Event,
    facts::FileFacts,
    manager::{
        DownloadOptions, FileSupply, ModelManager,
        plan::choose::{Companions, choose, is_below},
        plan::target::{Target, Wanted, view_of_file},
    },
    names::{Format, RelPath, Revision, Role, companions},
    notice::Notice,
    source::{
        FileList, Gate, Pinned, Source, SourceError,
        hub::{Companion, check_collisions, is_selected, missing_shards},
    },
    store::{IngestKey, Progress, Project, Provenance, Store, ViewFile, ViewKey, hash_file},
    view::FileState,
    weights::{format_of, is_weights},
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::{Path, PathBuf},
};
impl ModelManager {
    /// Decides what a download does. Reads disk and network, changes nothing.
    pub(in crate::manager) async fn plan(&self, target: Target, options: &DownloadOptions, store: Option<&Store>) -> Result<Plan> {
        // A branch that was named may have moved on; offline it stands for what is here.
        let may_be_old = target.moving && !self.settings.network.offline;
        Companions::require_gguf(&options.with, &target.view)?;
        if !options.force
            && !may_be_old
            && let Some(plan) = self.plan_of_view(&target, options, store)?
        {
            return Ok(plan);
        }
        let has_companions = |files: &[PlannedFile]| has_all(&options.with, || files.iter().map(|file| &file.repo_path));
        if let Some(mut files) = listed_files(&target).filter(|files| has_companions(files)) {
            self.supply(&target.view, &mut files, options.force, store)?;
            let settled = |file: &PlannedFile| match file.supply {
                FileSupply::Present | FileSupply::Adopt | FileSupply::Damaged | FileSupply::Local => true,
                FileSupply::Partial | FileSupply::Fetch => file.size.is_some() && file.sha256.is_some(),
            };
            let has_revisions = target.source.repo().is_some();
            let is_known = !has_revisions || target.revision.is_some();
            if (is_known || files.iter().all(|file| file.supply != FileSupply::Fetch)) && files.iter().all(settled) {
                let revision = usual_revision(&target);
                let mut plan =
                    Plan { requested: target.source.clone(), target, revision, files, api_requests: 0, notices: Vec::new() };
                self.mind_the_view(&mut plan, store)?;
                return Ok(plan);
            }
        }
        let is_open = target.open_label || matches!(target.wanted, Wanted::Gguf { quant: None, .. });
        let mut plan = self.plan_from_source(target, &options.with).await?;
        self.follow_indexes(&mut plan).await?;
        if !options.force {
            self.recognise_shown(&mut plan, store)?;
        }
        if is_open && plan.target.view.format.is_single_file() {
            self.keep_place(&mut plan, store)?;
        }
        let view = plan.target.view.clone();
        self.supply(&view, &mut plan.files, options.force, store)?;
        self.mind_the_view(&mut plan, store)?;
        Ok(plan)
    }

    /// A view that an older version made under another name keeps it, unless the user names the new label.
    pub(in crate::manager) fn keep_place(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
        let (Some(store), Some(project)) = (store, Project::identify(&*self.disk, &self.settings.models_dir)?) else {
            return Ok(());
        };
        if let Some(first) = plan.files.first()
            && store.root_of(&project, &plan.target.view)?.is_none()
            && let Some(view) = view_of_file(store, &project, &plan.target, &first.repo_path)
        {
            plan.target.view = view;
        }
        Ok(())
    }

    /// Keeps the companions of the view, and all files of a set to which a single file is added. Adds a notice for
    /// every other file of the view that will be removed.
    fn mind_the_view(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
        let (Some(store), Some(project)) = (store, Project::identify(&*self.models_disk(), &self.settings.models_dir)?) else {
            return Ok(());
        };
        let Some(root) = store.root_of(&project, &plan.target.view)? else { return Ok(()) };
        let leaving: Vec<&ViewFile> = root.files.iter().filter(|file| !plan.has(&file.path)).collect();
        if plan.target.adds {
            let mut staying: Vec<PlannedFile> = leaving.into_iter().map(present).collect();
            self.supply(&plan.target.view, &mut staying, false, Some(store))?;
            plan.files.extend(staying.into_iter().map(|file| PlannedFile { stays: true, ..file }));
            return Ok(());
        }
        let beside = companions(root.files.iter().map(|file| &file.path));
        let (kept, models): (Vec<&ViewFile>, Vec<&ViewFile>) = leaving.into_iter().partition(|file| beside.contains(&file.path));
        if let (Some(old), Some(new)) = (models.first(), plan.files.first().filter(|_| plan.target.view.format.is_single_file())) {
            let (old, new) = (old.path.clone(), new.path.clone());
            plan.notices.push(Notice::ModelReplaced { view: plan.target.view.to_string(), old, new });
        } else if !models.is_empty() {
            let paths = models.iter().map(|file| file.path.clone()).collect();
            plan.notices.push(Notice::NoLongerPart { view: plan.target.view.to_string(), paths });
        }
        for file in kept {
            match store.find_whole(&file.sha256, Some(file.size))? {
                Some(_) => plan.files.push(PlannedFile { stays: true, ..present(file) }),
                None => {
                    let role = Role::of_gguf_name(file.path.file_name());
                    // Only a draft can have a name that shows its role just beside the model's.
                    let role = if role == Role::Model { Role::Draft } else { role };
                    plan.notices.push(Notice::CompanionGone { role, path: file.path.clone() });
                }
            }
        }
        Ok(())
    }

    /// A complete view of this name needs nothing, as long as it is what is wanted: the registry's hashes where it has
    /// them, else files of the wanted commit, else whatever was there first.
    fn plan_of_view(&self, target: &Target, options: &DownloadOptions, store: Option<&Store>) -> Result<Option<Plan>> {
        let Some(store) = store else { return Ok(None) };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(None) };
        let Some(root) = store.root_of(&project, &target.view)? else { return Ok(None) };
        for file in &root.files {
            // Offline, damage is reported as such.
            let found = match self.settings.network.offline {
                true => store.find(&file.sha256)?,
                false => store.find_whole(&file.sha256, Some(file.size))?,
            };
            if found.is_none_or(|blob| blob.size != file.size) {
                return Ok(None);
            }
        }
        let by_name: BTreeMap<&str, &ViewFile> = root.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let rooted = |name: &str| by_name.get(name).copied();
        let as_wanted = match &target.wanted {
            Wanted::Files(files) => {
                let mut same = true;
                let mut others: BTreeSet<&RelPath> = root.files.iter().map(|file| &file.path).collect();
                for file in files {
                    let Some(found) = rooted(view_path(&target.view, &file.path)?.as_str()) else { return Ok(None) };
                    others.remove(&found.path);
                    same &= match file.sha256 {
                        Some(sha256) => sha256 == found.sha256,
                        None => self.is_of_commit(store, &found.sha256, target, |path| path == file.path.as_str())?,
                    };
                }
                let beside = companions(root.files.iter().map(|file| &file.path));
                same && (target.adds || others.iter().all(|path| beside.contains(path)))
            }
            // Only the repository's list tells whether it is all that is wanted.
            Wanted::Set { .. } if target.is_open_set() && !self.settings.network.offline => false,
            Wanted::Set { include, exclude, .. } if target.is_open_set() => {
                let fits = |file: &&ViewFile| is_selected(&file.path, include, exclude);
                let mut same = root.files.iter().any(|file| fits(&file));
                for file in root.files.iter().filter(fits) {
                    same = same && self.is_of_commit(store, &file.sha256, target, |_| true)?;
                }
                same
            }
            Wanted::Set { include, exclude, expect } => {
                let is_chosen = !include.is_empty() || !exclude.is_empty();
                let mut same = is_chosen || may_be_set(&target.view, &root.files, self.settings.network.offline);
                same &= expect.iter().all(|file| {
                    rooted(file.path.as_str()).is_some_and(|found| file.sha256.is_none_or(|sha256| sha256 == found.sha256))
                });
                for file in &root.files {
                    same = same && self.is_of_commit(store, &file.sha256, target, |_| true)?;
                }
                same
            }
            Wanted::Gguf { folder, .. } => {
                let is_inside = |path: &str| {
                    folder.as_ref().is_none_or(|folder| path.parse().is_ok_and(|path: RelPath| is_below(&path, folder)))
                };
                let beside = companions(root.files.iter().map(|file| &file.path));
                let model = root.files.iter().find(|file| !beside.contains(&file.path)).or(root.files.first());
                match model {
                    Some(model) => target.view.quant.is_some() && self.is_of_commit(store, &model.sha256, target, is_inside)?,
                    None => false,
                }
            }
        };
        if !as_wanted || !has_all(&options.with, || root.files.iter().map(|file| &file.path)) {
            return Ok(None);
        }
        let revision = usual_revision(target);
        let mut files: Vec<PlannedFile> = root.files.iter().map(present).collect();
        self.supply(&target.view, &mut files, false, Some(store))?;
        Ok(Some(Plan {
            requested: target.source.clone(),
            target: target.clone(),
            revision,
            files,
            api_requests: 0,
            notices: Vec::new(),
        }))
    }

    /// Whether a blob came from the wanted repository at the wanted commit. A branch or tag asks for nothing more than
    /// that it came from the repository, from a path there that is wanted; what was there before this program is taken as it
    /// is.
    fn is_of_commit(&self, store: &Store, digest: &Sha256Digest, target: &Target, is_path: impl Fn(&str) -> bool) -> Result<bool> {
        let Some(meta) = store.meta(digest)? else { return Ok(false) };
        let commit = target.revision.as_ref().filter(|revision| revision.is_commit());
        Ok(meta.sources.iter().any(|source| {
            let Some(file) = source.upstream() else { return matches!(source, Provenance::Local { .. }) };
            let is_of_source = file.repo.as_deref().is_some_and(|repo| target.source.is_named(repo));
            let same_commit = commit.is_none_or(|commit| file.commit.as_deref() == Some(commit.as_str()));
            is_of_source && same_commit && file.path.as_deref().is_none_or(&is_path)
        }))
    }

    /// Asks the source for the state of its files and what they are, and selects the wanted ones.
    pub(in crate::manager) async fn plan_from_source(&self, target: Target, with: &[Companion]) -> Result<Plan> {
        let source = self.source_of(&target.source)?.clone();
        let (pinned, calls) = self.pin(&*source, &target).await?;
        self.plan_of_state(&*source, target, pinned, calls, &Companions::only(with)).await
    }

    /// The state that a target means, and how many requests that took: a full commit needs none.
    pub(in crate::manager) async fn pin(&self, source: &dyn Source, target: &Target) -> Result<(Pinned, u32)> {
        let revision = usual_revision(target);
        let known = target.source.repo().zip(revision.as_ref()).and_then(|(repo, revision)| Pinned::assumed(repo, revision));
        match known {
            Some(pinned) => Ok((pinned, 0)),
            None => Ok((source.pin(&target.source, revision.as_ref()).await?, u32::from(revision.is_some()))),
        }
    }

    /// Asks a source for the files of a state, and selects the wanted ones.
    pub(in crate::manager) async fn plan_of_state(
        &self,
        source: &dyn Source,
        target: Target,
        pinned: Pinned,
        calls: u32,
        companions: &Companions,
    ) -> Result<Plan> {
        let list = source.list(&pinned, &target.wanted.named()).await?;
        self.plan_of_list(target, &list, pinned, calls, companions)
    }

    /// Selects the wanted files of a state.
    pub(in crate::manager) fn plan_of_list(
        &self,
        mut target: Target,
        tree: &FileList,
        pinned: Pinned,
        calls: u32,
        companions: &Companions,
    ) -> Result<Plan> {
        target.license = target.license.take().or(pinned.license.clone());
        target.gated |= pinned.gated != Gate::Open;
        let mut notices = Vec::new();
        if target.open_format && companions.wanted.is_empty() && has_only_safetensors(tree) {
            target.take_safetensors();
            notices.push(Notice::SafetensorsChosen);
        }
        let chosen = choose(&mut target, tree, &pinned, companions, &mut notices)?;
        require_facts(&pinned, &chosen)?;
        check_collisions(&chosen)?;
        // The address that was asked for keeps its query.
        let present = if target.source == pinned.id { target.source.clone() } else { pinned.id.clone() };
        let requested = std::mem::replace(&mut target.source, present);
        let api_requests = calls + tree.requests;
        let mut plan = Plan { target, requested, revision: pinned.commit, files: Vec::new(), api_requests, notices };
        plan.files = chosen.into_iter().map(|file| plan.planned(file)).collect::<Result<_>>()?;
        Ok(plan)
    }

    /// Finds out for each file where its bytes are.
    pub(in crate::manager) fn supply(
        &self,
        view: &ViewKey,
        files: &mut [PlannedFile],
        force: bool,
        store: Option<&Store>,
    ) -> Result<()> {
        let views = self.views(store.cloned());
        let mut states = views.states();
        let dir = self.settings.models_dir.join(view.dir());
        let has_view = self.disk.find(&dir)?.is_some();
        let mut found = BTreeMap::new();
        for file in &mut *files {
            (file.supply, file.again, file.displaces, file.found) = (FileSupply::Fetch, force, false, None);
            // A plain file of the old tool gives way to a link, even where its content is in the store already.
            let shown = dir.join(file.path.to_path());
            if has_view
                && let Some(stat) = self.disk.find(&shown)?
                && stat.kind == Kind::File
                && (force || file.size.is_none_or(|size| size == stat.len))
                && matches!(states.at(&shown)?, Some(FileState::Foreign))
            {
                if !force || self.is_same(&shown, &stat, file)? {
                    file.size = Some(stat.len);
                    (file.supply, file.again) = (FileSupply::Adopt, false);
                    continue;
                }
                file.displaces = true;
            }
            if let (Some(store), Some(digest)) = (store, file.sha256)
                && !force
            {
                // A set may hold one content under many names.
                let known = match found.entry((digest, file.size)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(open) => *open.insert(store.find_whole(&digest, file.size)?.map(|blob| blob.size)),
                };
                if known.is_some() {
                    file.size = known;
                    file.supply = FileSupply::Present;
                    continue;
                }
            }
            if let (Some(store), Some(digest), Some(size)) = (store, file.sha256, file.size)
                && let Some(damage) = store.damage(&digest)?
                && !force
                && store.find(&digest)?.is_some_and(|blob| blob.size == size)
            {
                (file.supply, file.held) = (FileSupply::Damaged, damage.whole_bytes(size));
                continue;
            }
            if let (Some(store), Some(size)) = (store, file.size)
                && !matches!(file.key(), IngestKey::Private(_))
            {
                file.held = store.held(&file.key(), size)?;
                if file.held > 0 {
                    file.supply = FileSupply::Partial;
                } else if let IngestKey::Version(key) = file.key()
                    && store.has_other_version(&key)?
                {
                    self.report(&Event::Notice(Notice::BeginsAnew { path: file.path.clone() }));
                }
            }
        }
        self.look_in_known_stores(files, store)?;
        self.look_in_apps(files);
        Ok(())
    }

    /// Whether a plain file has the content that is wanted in its place, where that is known.
    fn is_same(&self, path: &Path, stat: &Stat, wanted: &PlannedFile) -> Result<bool> {
        let Some(digest) = wanted.sha256.filter(|_| wanted.size.is_none_or(|size| size == stat.len)) else { return Ok(false) };
        Ok(self.hash_plain(path, wanted)? == digest)
    }

    /// The SHA-256 of a plain file in the place of a planned one.
    pub(in crate::manager) fn hash_plain(&self, path: &Path, file: &PlannedFile) -> Result<Sha256Digest> {
        let (name, size) = (file.path.to_string(), file.size.unwrap_or(0));
        let hashing = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        Ok(hash_file(&*self.models_disk(), path, Progress { bytes: &hashing, cancel: &self.cancel })?)
    }

    /// What is printed for a view with these files.
    pub(in crate::manager) fn shown_path(&self, view: &ViewKey, files: &[&RelPath]) -> PathBuf {
        let dir = self.settings.models_dir.join(view.dir());
        match self.model_among(&dir, files.iter().copied()) {
            Some(path) if view.format.is_single_file() => dir.join(path.to_path()),
            _ => dir,
        }
    }
}

/// Whether all that is wanted beside a model is among its files.
fn has_all<'p, I: Iterator<Item = &'p RelPath>>(wanted: &[Companion], files: impl Fn() -> I) -> bool {
    wanted.iter().all(|wanted| wanted.is_among(files()))
}

/// Whether a view can be the complete set of its format, and not just files that were named one by one: it has weights,
/// all shards of them, and their configuration. Offline, weights are enough.
fn may_be_set(view: &ViewKey, files: &[ViewFile], offline: bool) -> bool {
    const SETTINGS: [&str; 4] = ["config.json", "model_index.json", "params.json", "adapter_config.json"];
    if ![Format::safetensors(), Format::pytorch()].contains(&view.format) {
        return true;
    }
    let weights: Vec<&str> = files.iter().map(|file| &file.path).filter(|path| is_weights(path)).map(RelPath::as_str).collect();
    let has_settings = || files.iter().any(|file| SETTINGS.contains(&file.path.as_str()));
    let is_complete = || has_settings() && missing_shards(weights.iter().copied()).is_empty();
    !weights.is_empty() && (offline || is_complete())
}

/// The revision that a target means: of a repository without one its main branch; of what has none, none.
fn usual_revision(target: &Target) -> Option<Revision> {
    target.revision.clone().or_else(|| target.source.repo().map(|_| Revision::main()))
}

/// Refuses what lacks a fact that every record of it needs, as a source of the program's own may leave it out.
fn require_facts(pinned: &Pinned, chosen: &[&FileFacts]) -> Result<(), SourceError> {
    let refuse = |why: String| Err(SourceError::Own { id: pinned.id.clone(), why });
    if pinned.id.repo().is_some() && !pinned.commit.as_ref().is_some_and(Revision::is_commit) {
        return refuse("its source pins it to no commit".into());
    }
    match chosen.iter().find(|file| file.size.is_none()) {
        Some(file) => refuse(format!("its source gives no size of {}", file.path)),
        None => Ok(()),
    }
}

/// Whether a repository is one of safetensors alone.
fn has_only_safetensors(tree: &FileList) -> bool {
    let has = |format: &Format| tree.files.iter().any(|file| format_of(&file.path).as_ref() == Some(format));
    !has(&Format::gguf()) && has(&Format::safetensors())
}

/// A file of a view whose blob is there.
fn present(file: &ViewFile) -> PlannedFile {
    PlannedFile {
        supply: FileSupply::Present,
        ..PlannedFile::new(file.path.clone(), file.path.clone(), Some(file.size), Some(file.sha256))
    }
}

/// The files of a registry entry that names them.
fn listed_files(target: &Target) -> Option<Vec<PlannedFile>> {
    let Wanted::Files(files) = &target.wanted else { return None };
    let planned = |file: &FileFacts| {
        let path = view_path(&target.view, &file.path).ok()?;
        Some(PlannedFile::new(path, file.path.clone(), file.size, file.sha256).published())
    };
    files.iter().map(planned).collect()
}
