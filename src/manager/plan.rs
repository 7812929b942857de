//! What a download will do, as a value: acting on it is another file's business.
//!
//! Nothing is asked of the network that is known already. A registry entry with revision, sizes and hashes needs no
//! request; neither does a view that is complete.

use super::{
    DownloadOptions, FileReport, FileSupply, LeftOut, MemoryReport, ModelManager, PlanReport,
    choose::{Companions, choose, is_below},
    index::is_weights,
    target::{Target, Wanted, format_of, view_of_file},
};
use crate::{
    digest::{GitSha1, Sha256Digest},
    disk::{Kind, Stat, total_memory},
    error::Result,
    event::Event,
    hub::{Companion, Hub, HubFile, Pinned, Tree, check_collisions},
    names::{Format, RelPath, RepoId, Revision, Role, companions, split_part_suffix},
    registry::ArtifactFile,
    settings::LinkMode,
    store::{IntakeKey, Progress, Project, Store, Trust, ViewFile, ViewKey, hash_file},
    view::{Awaited, FileState},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry},
    path::{Path, PathBuf},
};

/// Files that are left out and reported one by one.
const MOST_LEFT_OUT: usize = 1000;

/// A download, decided.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) target: Target,
    /// The repository by the name that was asked for; the Hub may call it otherwise now.
    pub(super) asked: RepoId,
    /// The revision whose files are fetched: a commit wherever the Hub was asked.
    pub(super) revision: Revision,
    pub(super) files: Vec<PlannedFile>,
    pub(super) api_requests: u32,
}

/// One file of a plan.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    /// Below the view's folder.
    pub(super) path: RelPath,
    /// In the repository.
    pub(super) repo_path: RelPath,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<Sha256Digest>,
    pub(super) git_sha1: Option<GitSha1>,
    /// Whether its SHA-256 was published: by the Hub, the registry or a lock file. A hash from our own records, or
    /// computed here, is not.
    pub(super) published: bool,
    pub(super) supply: FileSupply,
    /// Whether it must travel although its blob may be here.
    pub(super) again: bool,
    /// Bytes of an interrupted download.
    pub(super) held: u64,
    /// Whether it is of the view already and only stays: nobody was asked about it.
    pub(super) stays: bool,
    /// Whether a regular file with other content is in its place. It is replaced after its content was imported.
    pub(super) displaces: bool,
}

impl PlannedFile {
    pub(super) fn new(path: RelPath, repo_path: RelPath, size: Option<u64>, sha256: Option<Sha256Digest>) -> Self {
        Self {
            path,
            repo_path,
            size,
            sha256,
            git_sha1: None,
            published: false,
            supply: FileSupply::Fetch,
            again: false,
            held: 0,
            stays: false,
            displaces: false,
        }
    }

    /// The same, where its SHA-256, if there is one, is what was published.
    pub(super) fn published(self) -> Self {
        Self { published: self.sha256.is_some(), ..self }
    }

    /// What content that fits its key is vouched for by.
    pub(super) fn trust(&self) -> Trust {
        match self.git_sha1 {
            _ if self.published => Trust::Sha256Upstream,
            Some(_) => Trust::GitSha1Upstream,
            None => Trust::Tofu,
        }
    }

    /// Whether bytes of it must travel.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.supply, FileSupply::Partial | FileSupply::Fetch | FileSupply::Damaged)
    }

    /// Bytes that must travel.
    pub(super) fn to_fetch(&self) -> u64 {
        if self.is_missing() { self.size.unwrap_or(0).saturating_sub(self.held) } else { 0 }
    }

    /// What is known of the content.
    pub(super) fn key(&self) -> IntakeKey {
        match (self.sha256, self.git_sha1) {
            (Some(digest), _) => IntakeKey::Sha256(digest),
            (None, Some(sha1)) => IntakeKey::Git(sha1),
            (None, None) => IntakeKey::private(),
        }
    }
}

impl Plan {
    /// The path that is printed: the file of a GGUF, part 1 of a split one, the folder of a set.
    pub(super) fn shown_path(&self, manager: &ModelManager) -> PathBuf {
        let files: Vec<&RelPath> = self.files.iter().map(|file| &file.path).collect();
        manager.shown_path(&self.target.view, &files)
    }

    /// Whether it has a file of this path in the view.
    pub(super) fn has(&self, path: &RelPath) -> bool {
        self.files.iter().any(|file| file.path == *path)
    }

    /// What must travel: one content under several names is fetched and kept once.
    pub(super) fn missing(&self) -> BTreeMap<IntakeKey, &PlannedFile> {
        self.files.iter().filter(|file| file.is_missing()).map(|file| (file.key(), file)).collect()
    }

    /// Bytes that what must travel still takes in the store.
    pub(super) fn room(&self, store: &Store) -> u64 {
        self.missing().iter().map(|(key, file)| store.room_for(key, file.size.unwrap_or(0))).sum()
    }

    /// Whether nothing has to travel or be taken in.
    pub(super) fn is_present(&self) -> bool {
        self.files.iter().all(|file| file.supply == FileSupply::Present)
    }

    /// Whether what it found in the store is still there.
    pub(super) fn has_all_present(&self, store: &Store) -> Result<bool> {
        let mut looked_for = BTreeSet::new();
        for file in self.files.iter().filter(|file| file.supply == FileSupply::Present) {
            if let Some(digest) = &file.sha256
                && looked_for.insert((digest, file.size))
                && store.find_whole(digest, file.size)?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A file of the repository, as it is planned before it is looked for.
    pub(super) fn planned(&self, file: &HubFile) -> Result<PlannedFile> {
        let path = view_path(&self.target.view, &file.path)?;
        // The Hub names no SHA-256 of a plain file; the registry may.
        let sha256 = file.sha256.or_else(|| self.target.wanted.sha256_of(&file.path));
        let planned = PlannedFile::new(path, file.path.clone(), Some(file.size), sha256).published();
        Ok(PlannedFile { git_sha1: file.git_sha1, ..planned })
    }

    /// The files of the view, once every digest is known.
    pub(super) fn view_files(&self) -> Option<Vec<ViewFile>> {
        let file = |file: &PlannedFile| Some(ViewFile { path: file.path.clone(), sha256: file.sha256?, size: file.size? });
        self.files.iter().map(file).collect()
    }

    /// How far what is here is vouched for. Each record is read once, however many files have its content.
    pub(super) fn trusts(&self, store: Option<&Store>) -> HashMap<Sha256Digest, Trust> {
        let Some(store) = store else { return HashMap::new() };
        let digests: HashSet<Sha256Digest> = self.files.iter().filter_map(|file| file.sha256).collect();
        let recorded = |digest| Some((digest, store.meta(&digest).ok()??.trust));
        digests.into_iter().filter_map(recorded).collect()
    }

    /// The plan for people and programs.
    pub(super) fn report(&self, manager: &ModelManager, store: Option<&Store>) -> PlanReport {
        let space = store.and_then(|store| store.disk().space(store.layout().root()).ok());
        let free = space.or_else(|| manager.space_for_new_store()).map(|space| space.available);
        let size = self.files.iter().filter_map(|file| file.size).sum();
        let missing = self.missing();
        let fetch = missing.values().map(|file| file.to_fetch()).sum();
        let room = |key: &IntakeKey, size: u64| store.map_or(size, |store| store.room_for(key, size));
        let take = missing.iter().map(|(key, file)| room(key, file.size.unwrap_or(0))).sum();
        let weights =
            self.files.iter().filter(|file| is_weights(&file.path)).try_fold(0u64, |sum, file| sum.checked_add(file.size?));
        let mut notices = self.target.notices.clone();
        if let Some(free) = free.filter(|free| *free < take) {
            notices.push(format!("it does not fit: {take} bytes are needed, {free} are free"));
        }
        if manager.settings.link == LinkMode::Copy {
            notices.push("the view is a copy: it takes as much again in the models folder".to_owned());
        }
        let trusts = self.trusts(store);
        PlanReport {
            view: self.target.view.clone(),
            path: self.shown_path(manager),
            repo: self.target.repo.to_string(),
            revision: self.revision.to_string(),
            license: self.target.license.clone(),
            gated: self.target.gated,
            files: self.files.iter().map(|file| file.report(file.to_fetch(), &trusts)).collect(),
            size,
            fetch,
            take,
            store: manager.store_dir(),
            free,
            free_after: free.and_then(|free| free.checked_sub(take)),
            memory: MemoryReport::of(weights, self.target.ram.clone(), total_memory()),
            api_requests: self.api_requests,
            requests: self.api_requests + missing.len() as u32,
            left_out: self.target.left_out.iter().take(MOST_LEFT_OUT).map(|(file, why)| LeftOut::new(file, why)).collect(),
            notices,
        }
    }
}

impl PlannedFile {
    /// What the view is told of it before it is here.
    pub(super) fn awaited(&self) -> Awaited<'_> {
        Awaited { path: &self.path, sha256: self.sha256, size: self.size.unwrap_or(0) }
    }

    /// How far what is here is vouched for; `None` while it is not here, or where nothing is recorded.
    pub(super) fn trust_here(&self, store: Option<&Store>) -> Option<Trust> {
        store?.meta(&self.sha256?).ok().flatten().map(|meta| meta.trust)
    }

    pub(super) fn report(&self, fetched: u64, trusts: &HashMap<Sha256Digest, Trust>) -> FileReport {
        FileReport {
            trust: self.sha256.and_then(|digest| trusts.get(&digest).copied()),
            file: self.path.to_string(),
            size: self.size,
            sha256: self.sha256,
            git_sha1: self.git_sha1,
            state: self.supply,
            fetched,
        }
    }
}

impl ModelManager {
    /// Decides what a download does. Reads disk and network, changes nothing.
    pub(super) async fn plan(&self, target: Target, options: &DownloadOptions, store: Option<&Store>) -> Result<Plan> {
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
                FileSupply::Present | FileSupply::Adopt | FileSupply::Damaged => true,
                FileSupply::Partial | FileSupply::Fetch => file.size.is_some() && file.sha256.is_some(),
            };
            let revision = target.revision.clone();
            let revision_known = revision.is_some() || files.iter().all(|file| file.supply != FileSupply::Fetch);
            if revision_known && files.iter().all(settled) {
                let revision = revision.unwrap_or_else(Revision::main);
                let mut plan = Plan { asked: target.repo.clone(), target, revision, files, api_requests: 0 };
                self.mind_the_view(&mut plan, store)?;
                return Ok(plan);
            }
        }
        let is_open = target.open_label || matches!(target.wanted, Wanted::Gguf { quant: None, .. });
        let mut plan = self.plan_from_hub(target, &options.with).await?;
        self.follow_indexes(&mut plan).await?;
        if is_open && plan.target.view.format.is_single_file() {
            self.keep_place(&mut plan, store)?;
        }
        let view = plan.target.view.clone();
        self.supply(&view, &mut plan.files, options.force, store)?;
        self.mind_the_view(&mut plan, store)?;
        Ok(plan)
    }

    /// A view that an older version made under another name keeps it, unless the user names the new label.
    pub(super) fn keep_place(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
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
            plan.target.notices.push(format!("{} of {} gives way to {}", old.path, plan.target.view, new.path));
        } else if !models.is_empty() {
            let names: Vec<&str> = models.iter().map(|file| file.path.as_str()).collect();
            plan.target.notices.push(format!("no longer a part of {}: {}", plan.target.view, crate::text::list(&names)));
        }
        for file in kept {
            match store.find_whole(&file.sha256, Some(file.size))? {
                Some(_) => plan.files.push(PlannedFile { stays: true, ..present(file) }),
                None => {
                    let role = Role::of_gguf_name(file.path.file_name());
                    // Only a draft can have a name that shows its role just beside the model's.
                    let role = if role == Role::Model { Role::Draft } else { role };
                    let option = Companion { role, name: None }.option(file.path.as_str());
                    plan.target.notices.push(format!("{} is gone from the store; `{option}` fetches it again", file.path));
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
        let revision = target.revision.clone().unwrap_or_else(Revision::main);
        let mut files: Vec<PlannedFile> = root.files.iter().map(present).collect();
        self.supply(&target.view, &mut files, false, Some(store))?;
        Ok(Some(Plan { asked: target.repo.clone(), target: target.clone(), revision, files, api_requests: 0 }))
    }

    /// Whether a blob came from the wanted repository at the wanted commit. A branch or tag asks for nothing more than
    /// that it came from the repository, from a path there that is wanted; what was there before this program is taken as it
    /// is.
    fn is_of_commit(&self, store: &Store, digest: &Sha256Digest, target: &Target, is_path: impl Fn(&str) -> bool) -> Result<bool> {
        let Some(meta) = store.meta(digest)? else { return Ok(false) };
        let commit = target.revision.as_ref().filter(|revision| revision.is_commit());
        Ok(meta.sources.iter().any(|source| {
            let local = source.endpoint == "local";
            let repo = source.repo.as_deref().is_some_and(|repo| repo.eq_ignore_ascii_case(target.repo.as_str()));
            let same_commit = commit.is_none_or(|commit| source.commit.as_deref() == Some(commit.as_str()));
            local || (repo && same_commit && source.path.as_deref().is_none_or(&is_path))
        }))
    }

    /// Asks the Hub for the commit and its files, and selects the wanted ones.
    pub(super) async fn plan_from_hub(&self, target: Target, with: &[Companion]) -> Result<Plan> {
        let hub = self.hub()?;
        let asked = target.revision.clone().unwrap_or_else(Revision::main);
        let pinned = match Pinned::assumed(&target.repo, &asked) {
            Some(pinned) => pinned,
            None => hub.pin(&target.repo, &asked).await?,
        };
        let calls = if asked.is_commit() { 1 } else { 2 };
        self.plan_of_commit(&hub, target, pinned, calls, &Companions::only(with)).await
    }

    /// Asks the Hub for the files of a commit, and selects the wanted ones.
    pub(super) async fn plan_of_commit(
        &self,
        hub: &Hub,
        target: Target,
        pinned: Pinned,
        calls: u32,
        companions: &Companions,
    ) -> Result<Plan> {
        let tree = hub.tree(&pinned).await?;
        self.plan_of_tree(target, &tree, pinned, calls, companions)
    }

    /// Selects the wanted files of a commit.
    pub(super) fn plan_of_tree(
        &self,
        mut target: Target,
        tree: &Tree,
        pinned: Pinned,
        calls: u32,
        companions: &Companions,
    ) -> Result<Plan> {
        target.license = target.license.take().or(pinned.license.clone());
        target.gated |= pinned.gated != crate::hub::Gate::Open;
        if target.open_format && companions.wanted.is_empty() && has_only_safetensors(tree) {
            target.take_safetensors();
            target.notices.push("the repository has no GGUF file: its safetensors files are meant".into());
        }
        let chosen = choose(&mut target, tree, &pinned, companions)?;
        check_collisions(&chosen)?;
        let asked_repo = std::mem::replace(&mut target.repo, pinned.repo.clone());
        let api_requests = calls + (tree.files.len() as u32).saturating_sub(1) / 1000;
        let mut plan = Plan { target, asked: asked_repo, revision: pinned.commit, files: Vec::new(), api_requests };
        plan.files = chosen.into_iter().map(|file| plan.planned(file)).collect::<Result<_>>()?;
        Ok(plan)
    }

    /// Finds out for each file where its bytes are.
    pub(super) fn supply(&self, view: &ViewKey, files: &mut [PlannedFile], force: bool, store: Option<&Store>) -> Result<()> {
        let views = self.views(store.cloned());
        let mut states = views.states();
        let dir = self.settings.models_dir.join(view.dir());
        let has_view = self.disk.find(&dir)?.is_some();
        let mut found = BTreeMap::new();
        for file in files {
            (file.supply, file.again, file.displaces) = (FileSupply::Fetch, force, false);
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
                && !matches!(file.key(), IntakeKey::Private(_))
            {
                file.held = store.held(&file.key(), size)?;
                if file.held > 0 {
                    file.supply = FileSupply::Partial;
                }
            }
        }
        Ok(())
    }

    /// Whether a plain file has the content that is wanted in its place, where that is known.
    fn is_same(&self, path: &Path, stat: &Stat, wanted: &PlannedFile) -> Result<bool> {
        let Some(digest) = wanted.sha256.filter(|_| wanted.size.is_none_or(|size| size == stat.len)) else { return Ok(false) };
        Ok(self.hash_plain(path, wanted)? == digest)
    }

    /// The SHA-256 of a plain file in the place of a planned one.
    pub(super) fn hash_plain(&self, path: &Path, file: &PlannedFile) -> Result<Sha256Digest> {
        let (name, size) = (file.path.to_string(), file.size.unwrap_or(0));
        let hashing = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        Ok(hash_file(&*self.models_disk(), path, Progress { bytes: &hashing, cancel: &self.cancel })?)
    }

    /// What is printed for a view with these files.
    pub(super) fn shown_path(&self, view: &ViewKey, files: &[&RelPath]) -> PathBuf {
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
    if ![Format::safetensors(), Format::pytorch()].contains(&view.format) {
        return true;
    }
    let names: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let parts_are_here = |path: &RelPath| {
        let (stem, end) = path.as_str().rsplit_once('.').unwrap_or((path.as_str(), ""));
        let (rest, part) = split_part_suffix(stem);
        part.is_none_or(|(_, count)| {
            let is_part = |name: &&&str| name.starts_with(rest) && name.ends_with(&format!("-of-{count:05}.{end}"));
            names.iter().filter(is_part).count() >= count as usize
        })
    };
    let weights: Vec<&RelPath> = files.iter().map(|file| &file.path).filter(|path| is_weights(path)).collect();
    let settings = ["config.json", "model_index.json", "params.json", "adapter_config.json"];
    let is_complete = || settings.iter().any(|name| names.contains(name)) && weights.iter().all(|path| parts_are_here(path));
    !weights.is_empty() && (offline || is_complete())
}

/// Whether a repository is one of safetensors alone.
fn has_only_safetensors(tree: &Tree) -> bool {
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
    let planned = |file: &ArtifactFile| {
        let path = view_path(&target.view, &file.path).ok()?;
        Some(PlannedFile::new(path, file.path.clone(), file.size, file.sha256).published())
    };
    files.iter().map(planned).collect()
}

/// Where a file of the repository stands in the view: a GGUF by its name alone, for `<quant>` is its folder; a set as in
/// the repository, for its files name each other.
pub(super) fn view_path(view: &ViewKey, path: &RelPath) -> Result<RelPath> {
    Ok(match view.format.is_single_file() {
        true => path.file_name().parse()?,
        false => path.clone(),
    })
}
