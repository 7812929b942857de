//! Locks what a project uses, and shows what moved upstream.

pub(super) mod check;
pub(super) mod companions;
pub(super) mod entry;
pub(super) mod file;

use super::{
    ChangeKind, FileChange, LockEntryReport, LockOptions, LockReport, LockState, ModelManager, ModelOrigin, Selector,
    lock::companions::companions_beside,
    lock::entry::{can_be, entry, folder_of, followed, is_same_commit, view_of},
    plan::target::{Target, Wanted, view_id},
    plan::{Plan, view_path},
};
use crate::{
    disk::parallel,
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::{self, Hint, Invocation, Verb},
    names::{Quant, RelPath, Revision, SourceId, companions},
    registry::{BUILT_IN_ORIGIN, LockFile, LockSource, LockedFile, LockedView},
    source::Pinned,
    store::{Project, RootRecord, Store, ViewKey},
};
use std::collections::{BTreeMap, BTreeSet};

/// Said of a view that is here with other content.
const NOT_SHOWN: &str = "what is here is not what is locked";

/// What this project shows, by its roots in the store.
pub(super) type Roots = BTreeMap<ViewKey, RootRecord>;

/// Views of which the Hub is asked at once: as many as connections are usual.
const VIEWS_AT_ONCE: usize = 8;

/// One run of locking: what is here of every view, and how to go about it.
#[derive(Clone, Copy)]
pub(super) struct Locking<'a> {
    pub(super) roots: &'a Roots,
    pub(super) store: Option<&'a Store>,
    pub(super) options: LockOptions,
}

impl<'a> Locking<'a> {
    /// A view as it is here, and the store it is in.
    pub(super) fn here(&self, view: &ViewKey) -> Option<(&'a RootRecord, &'a Store)> {
        self.roots.get(view).zip(self.store)
    }
}

/// A view that is to be locked, and as what.
pub(super) struct Wish {
    pub(super) target: Target,
    pub(super) source: LockSource,
}

/// What became of a view: the line that tells it, and how the lock file changes.
pub(super) struct Outcome {
    pub(super) line: LockEntryReport,
    pub(super) change: Change,
}

/// How an entry of the lock file changes.
pub(super) enum Change {
    Stay,
    Put(Box<LockedView>),
    Drop,
}

impl Outcome {
    /// Carries the change over to a lock file.
    pub(super) fn apply(&self, lock: &mut LockFile) {
        let ViewKey { model, format, quant } = &self.line.view;
        match &self.change {
            Change::Stay => {}
            Change::Put(view) => lock.put((**view).clone()),
            Change::Drop => lock.remove(model, format, quant.as_ref()),
        }
    }
}

impl ModelManager {
    /// Locks these models; without any, all views of this project and what is locked already.
    ///
    /// What is locked stays at its commit, unless the registry says otherwise by now, or `update` asks the Hub what the
    /// branch stands for. All is locked or, on an error, nothing.
    pub fn lock(&self, what: &[Selector], options: LockOptions) -> Result<LockReport> {
        let old = self.read_lock()?.unwrap_or_default();
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let run = Locking { roots: &roots, store: store.as_ref(), options };
        let mut outcomes: Vec<Outcome> = Vec::new();
        if what.is_empty() {
            // What the Hub is asked, it is asked side by side.
            let workers = if options.update { old.views().len().clamp(1, VIEWS_AT_ONCE) } else { 1 };
            outcomes = parallel::map(old.views().iter(), workers, |view| self.relock(view, run))?;
            for (view, root) in &roots {
                if find(&old, view).is_none() {
                    outcomes.push(self.lock_root(view, root, run)?);
                }
            }
        }
        for selector in what {
            let wish = self.wish(selector, &old, &roots)?;
            self.report_notices(&wish.target.notices);
            outcomes.push(self.lock_wish(wish, &old, run)?);
        }
        for outcome in &mut outcomes {
            outcome.line.note_damage(&run)?;
        }
        let changes = outcomes.iter().any(|outcome| !matches!(outcome.change, Change::Stay));
        let written = match changes && !options.dry_run {
            true => self.change_lock(|lock| outcomes.iter().for_each(|outcome| outcome.apply(lock)))?.1,
            false => false,
        };
        let mut entries: Vec<LockEntryReport> = outcomes.into_iter().map(|outcome| outcome.line).collect();
        entries.sort_by(|a, b| a.view.cmp(&b.view));
        Ok(LockReport { lock_file: self.settings.lock_file.clone(), entries, written, dry_run: options.dry_run })
    }

    /// Every root of this project.
    pub(super) fn own_roots(&self, store: Option<&Store>) -> Result<Roots> {
        let Some(store) = store else { return Ok(Roots::new()) };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(Roots::new()) };
        Ok(store.roots_of(&project)?.into_iter().map(|root| (root.view.clone(), root)).collect())
    }

    /// A view that is locked already.
    pub(super) fn relock(&self, locked: &LockedView, run: Locking<'_>) -> Result<Outcome> {
        let view = view_of(locked);
        if let SourceId::Unknown(origin) = &locked.origin {
            let is_own = self.session.network.knows(&locked.origin);
            let note = (!is_own).then(|| format!("a newer version of this program knows {origin}; it is kept as it is"));
            let line = LockEntryReport { note, ..LockEntryReport::of(locked, LockState::Kept, Some(locked)) };
            return Ok(Outcome { line, change: Change::Stay });
        }
        let target = match locked.source {
            LockSource::Registry => self.registered(&view)?,
            _ => Some(self.target_locked(locked, run.roots.get(&view), run.store)?.0),
        };
        let Some(target) = target else {
            if self.registry()?.origin() == BUILT_IN_ORIGIN {
                // The project's own registry is missing, as where it was not cloned: that it has no entry is not known.
                let text = format!("{view} is locked as an entry of a registry, and there is none here but the built-in one");
                return Err(Error::new(ErrorKind::NotFound, text)
                    .hint(Hint::RestoreRegistry { lock_file: self.settings.lock_file.clone() }));
            }
            let kept = match run.roots.get(&view) {
                Some(root) => self.lock_root(&view, root, run)?,
                None => Outcome { line: LockEntryReport::new(&view, LockState::Removed), change: Change::Drop },
            };
            let (state, change) = match kept.line.state {
                LockState::Unknown | LockState::Removed => (LockState::Removed, Change::Drop),
                _ => (LockState::Changed, kept.change),
            };
            let note = Some("the registry has no such entry any more".to_owned());
            let old_origin = Some(origin_of(locked));
            return Ok(Outcome { line: LockEntryReport { state, note, old_origin, ..kept.line }, change });
        };
        self.settle(Wish { target, source: locked.source }, Some(locked), run)
    }

    /// A view of this project that is not locked yet: as the registry has it, else as its blobs say where they are from.
    fn lock_root(&self, view: &ViewKey, root: &RootRecord, run: Locking<'_>) -> Result<Outcome> {
        if let Some(target) = self.registered(view)? {
            return self.settle(Wish { target, source: LockSource::Registry }, None, run);
        }
        let Some((target, source)) = self.target_of_root(view, root, run.store)? else {
            let note = "the registry has no such entry, and nobody knows where its files came from".to_owned();
            let line = LockEntryReport { note: Some(note), ..LockEntryReport::new(view, LockState::Unknown) };
            return Ok(Outcome { line, change: Change::Stay });
        };
        self.settle(Wish { target, source }, None, run)
    }

    /// What a view is that the registry does not have, as its blobs say where they are from.
    pub(super) fn target_of_root(
        &self,
        view: &ViewKey,
        root: &RootRecord,
        store: Option<&Store>,
    ) -> Result<Option<(Target, LockSource)>> {
        let Some((repo, paths)) = self.origin_of(root, store)? else { return Ok(None) };
        let (source, wanted) = match (view.format.is_single_file(), &view.quant) {
            // Only a repository can be listed.
            _ if repo.repo().is_none() || view.format.is_files() => (LockSource::File, Wanted::Files(paths)),
            (true, Some(quant)) => {
                let folder = folder_of(paths.iter().map(|file| &file.path), Some(quant));
                (LockSource::Repository, Wanted::Gguf { quant: Some(quant.clone()), folder })
            }
            // A file whose name says no quantization can only have been named itself.
            (true, None) => (LockSource::File, Wanted::Files(paths)),
            (false, _) => (LockSource::Repository, Wanted::Set { include: Vec::new(), exclude: Vec::new(), expect: Vec::new() }),
        };
        let kept = root.files.iter().map(|file| file.path.to_string()).collect();
        Ok(Some((Target { kept, ..Target::new(view.clone(), repo, wanted) }, source)))
    }

    /// What a locked view is; where the lock cannot be right, what the view is here.
    pub(super) fn target_locked(
        &self,
        locked: &LockedView,
        root: Option<&RootRecord>,
        store: Option<&Store>,
    ) -> Result<(Target, LockSource)> {
        if let Some(root) = root
            && self.contradiction(locked, Some(root), store)?.is_some()
            && let Some((target, source)) = self.target_of_root(&view_of(locked), root, store)?
        {
            return Ok((Target { revision: locked.revision.clone(), ..target }, source));
        }
        Ok((self.locked_target(locked), locked.source))
    }

    /// The source that a view came from, and its files there.
    pub(super) fn origin_of(&self, root: &RootRecord, store: Option<&Store>) -> Result<Option<(SourceId, Vec<FileFacts>)>> {
        let (Some(store), Some(first)) = (store, root.files.first()) else { return Ok(None) };
        let sources = store.upstream_files(&first.sha256)?;
        let repos: Vec<SourceId> = sources.iter().rev().filter_map(|source| source.repo.as_deref()?.parse().ok()).collect();
        // One content may be in many repositories; a folder's name says which of them was meant.
        let named = repos.iter().find(|repo| repo.repo().is_some_and(|repo| view_id(repo).is_ok_and(|id| id == root.view.model)));
        let Some(repo) = named.or(repos.first()).cloned() else { return Ok(None) };
        let mut files = Vec::new();
        for file in &root.files {
            let sources = store.upstream_files(&file.sha256)?;
            let here = sources.iter().rev().filter(|source| source.repo.as_deref() == Some(repo.as_str()));
            let mut paths = here.filter_map(|source| source.path.as_deref()?.parse::<RelPath>().ok());
            let Some(path) = paths.find(|path| view_path(&root.view, path).is_ok_and(|path| path == file.path)) else {
                return Ok(None);
            };
            files.push(FileFacts::named(path));
        }
        Ok(Some((repo, files)))
    }

    /// What a selector asks to be locked.
    fn wish(&self, what: &Selector, old: &LockFile, roots: &Roots) -> Result<Wish> {
        let command = Invocation::new(Verb::Lock);
        let named = self.named(what, command)?;
        let (mut target, source) = self.target_of(&named, None, command)?;
        if target.open_label
            && let Wanted::Files(files) = &target.wanted
        {
            let holds = |locked: &&LockedView| {
                let has = |path: &RelPath| locked.files.iter().any(|file| file.repo_path == *path);
                locked.origin == target.source && locked.model == target.view.model && files.iter().all(|file| has(&file.path))
            };
            if let Some(locked) = old.views().iter().find(holds) {
                target.view = view_of(locked);
                target.open_label = false;
            }
        }
        let locked: Vec<ViewKey> = old.views().iter().map(view_of).collect();
        target.prefer_format_of(locked.iter().chain(roots.keys()));
        if let (Wanted::Gguf { quant: quant @ None, folder: None }, None) = (&mut target.wanted, &target.view.quant) {
            // The one that is locked or here is meant, where there is one.
            let of_model = |view: &&ViewKey| view.model == target.view.model && view.format == target.view.format;
            let views: BTreeSet<&ViewKey> = locked.iter().chain(roots.keys()).filter(of_model).collect();
            if views.len() > 1 {
                // Asking the Hub to choose could move one of them.
                let names: Vec<String> = views.iter().map(ToString::to_string).collect();
                let text = format!("`{}` is locked or here in several quantizations: {}", what.model, crate::text::list(&names));
                let all = views.iter().map(|view| command.of(&view.name())).collect();
                return Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameOne(all)));
            }
            if let Some(only) = views.first() {
                quant.clone_from(&only.quant);
                target.view.quant.clone_from(&only.quant);
            }
        }
        Ok(Wish { target, source })
    }

    fn lock_wish(&self, wish: Wish, old: &LockFile, run: Locking<'_>) -> Result<Outcome> {
        let locked = find(old, &wish.target.view);
        match locked {
            Some(other) if !wish.is_still(other) => self.pin_anew(wish, locked, run),
            _ => self.settle(wish, locked, run),
        }
    }

    /// Keeps a view at its commit, shows where its branch stands now, or locks it anew.
    fn settle(&self, wish: Wish, old: Option<&LockedView>, run: Locking<'_>) -> Result<Outcome> {
        let Some(locked) = old else { return self.pin_anew(wish, None, run) };
        let contradiction = self.contradiction(locked, run.roots.get(&view_of(locked)), run.store)?;
        let why = match contradiction {
            Some(why) => Some(why),
            None => self.disagreement(locked)?,
        };
        if why.is_some() {
            let mut outcome = self.pin_anew(wish, old, run)?;
            outcome.line.note = why;
            return Ok(outcome);
        }
        let stay = |state, note: Option<String>| {
            let line = LockEntryReport { note, ..LockEntryReport::of(locked, state, Some(locked)) };
            Outcome { line, change: Change::Stay }
        };
        let branch = followed(&wish.target);
        if let (Some(branch), true) = (&branch, run.options.update) {
            let source = self.source_of(&wish.target.source)?;
            let pinned = self.ask(async { Ok(source.pin(&wish.target.source, Some(branch)).await?) })?;
            if !is_same_commit(pinned.commit.as_ref(), locked.commit.as_ref()) {
                let beside = companions_beside(&wish.target, old, run)?;
                let plan = self.plan_at(Target { beside, ..wish.target }, pinned)?;
                return self.finish(plan, wish.source, Some(branch.clone()), old, run);
            }
        }
        if let Some(outcome) = self.lock_more_companions(&wish, locked, run)? {
            return Ok(outcome);
        }
        match branch {
            _ if !run.options.update => {
                let differs = run.roots.get(&wish.target.view).is_some_and(|root| !shows(root, locked));
                let mut outcome = stay(LockState::Kept, None);
                if differs {
                    outcome.line.note_not_shown();
                }
                Ok(outcome)
            }
            Some(branch) => Ok(stay(LockState::Kept, Some(format!("{branch} still stands for it")))),
            None if locked.commit.is_none() => {
                Ok(stay(LockState::Pinned, Some("the hashes of its files pin it; its source has no revisions".into())))
            }
            None => {
                let by = if locked.source == LockSource::Registry { "the registry" } else { "its reference" };
                Ok(stay(LockState::Pinned, Some(format!("{by} pins the commit, which does not move"))))
            }
        }
    }

    /// Pins a view without regard to what was locked: by the registry, by what is here, or by the Hub.
    fn pin_anew(&self, wish: Wish, old: Option<&LockedView>, run: Locking<'_>) -> Result<Outcome> {
        let Wish { mut target, source } = wish;
        let branch = followed(&target);
        let (root, here) = (run.roots.get(&target.view), run.here(&target.view));
        target.beside = companions_beside(&target, old, run)?;
        // What is here is of no branch that was named just now, or that is asked about.
        let may_be_here = !target.moving && (branch.is_none() || !run.options.update);
        let mut known = self.pin_by_registry(&target)?;
        if let (None, Some((root, store)), true) = (&known, here, may_be_here) {
            known = self.pin_by_store(&target, root, store)?;
        }
        let plan = match known {
            Some(plan) => plan,
            None => self.ask(self.plan_from_source(target, &[]))?,
        };
        let mut outcome = self.finish(plan, source, branch, old, run)?;
        if let (Change::Put(view), Some(root)) = (&outcome.change, root)
            && !shows(root, view)
        {
            outcome.line.note_not_shown();
        }
        Ok(outcome)
    }

    /// The plan of a target at a commit that the Hub has just named.
    fn plan_at(&self, mut target: Target, pinned: Pinned) -> Result<Plan> {
        target.license = target.license.or(pinned.license);
        target.gated |= pinned.gated != crate::source::Gate::Open;
        target.revision = pinned.commit;
        self.ask(self.plan_from_source(target, &[]))
    }

    /// The outcome of a plan. In a dry run, what is not known without fetching stays unknown.
    pub(super) fn finish(
        &self,
        mut plan: Plan,
        source: LockSource,
        branch: Option<Revision>,
        old: Option<&LockedView>,
        run: Locking<'_>,
    ) -> Result<Outcome> {
        if let Some(old) = old.filter(|old| view_of(old) != plan.target.view) {
            let text = format!("{} is now {} in {}", view_of(old), plan.target.view, plan.target.source);
            return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NameQuantization));
        }
        if !run.options.dry_run {
            self.learn_hashes(&mut plan, run.store)?;
            if let Some(store) = self.existing_store()? {
                self.follow_indexes_here(&mut plan, &store)?;
            }
        }
        let state = match old {
            None => LockState::Added,
            Some(old) if old.commit == plan.revision => LockState::Changed,
            Some(_) => LockState::Moved,
        };
        let gone = old.filter(|old| old.origin == plan.requested).and_then(|old| {
            let beside = companions(old.files.iter().map(|file| &file.repo_path));
            old.files.iter().find(|file| beside.contains(&file.repo_path) && !plan.has(&file.path))
        });
        let (download_bytes, borrow_bytes) = match run.options.update {
            true => self.cost_of(&plan, run.store)?,
            false => (None, None),
        };
        let line = LockEntryReport {
            download_bytes,
            borrow_bytes,
            note: gone.map(|file| format!("{} has no {} any more", plan.state(), file.repo_path)),
            origin: Some(ModelOrigin { repo: plan.requested.clone(), revision: branch.clone(), commit: plan.revision.clone() }),
            old_origin: old.map(origin_of),
            total_bytes: plan.files.iter().filter_map(|file| file.size).sum(),
            unpublished: plan.files.iter().filter(|file| !file.trust().is_published()).count(),
            files: changes(&plan, old),
            ..LockEntryReport::new(&plan.target.view, state)
        };
        if run.options.dry_run {
            // What would be written is reported, and nothing is applied.
            return Ok(Outcome { line, change: Change::Stay });
        }
        let Some(view) = entry(&plan, source, branch) else {
            return Err(Error::new(ErrorKind::Failed, format!("{} is not complete", plan.target.view)).hint(Hint::RunAgain));
        };
        Ok(Outcome { line, change: Change::Put(Box::new(view)) })
    }
}

impl Wish {
    /// Whether a locked view was asked for as this.
    fn is_still(&self, locked: &LockedView) -> bool {
        // The registry is held against its entries by `disagreement`.
        self.source == locked.source
            && (self.source == LockSource::Registry
                || (self.target.source == locked.origin
                    && followed(&self.target) == locked.revision
                    && can_be(&self.target, locked.files.iter().map(|file| &file.repo_path))))
    }
}

impl LockEntryReport {
    fn new(view: &ViewKey, state: LockState) -> Self {
        Self {
            view: view.clone(),
            state,
            origin: None,
            old_origin: None,
            total_bytes: 0,
            download_bytes: None,
            borrow_bytes: None,
            unpublished: 0,
            files: Vec::new(),
            note: None,
            hints: Vec::new(),
        }
    }

    /// Says that what is here is other content, in the place of what the note said before.
    fn note_not_shown(&mut self) {
        (self.note, self.hints) = (Some(NOT_SHOWN.to_owned()), vec![Hint::ShowLocked]);
    }

    /// Says that content of the view is damaged here: what is locked is what it should be.
    fn note_damage(&mut self, run: &Locking<'_>) -> Result<()> {
        let Some((root, store)) = run.here(&self.view) else { return Ok(()) };
        for file in &root.files {
            if store.damage(&file.sha256)?.is_some() {
                let ViewKey { model, format, quant } = &self.view;
                let repair = Hint::Run(hint::repair(model.as_str(), format.as_str(), quant.as_ref().map(Quant::as_str)));
                if !self.hints.contains(&repair) {
                    self.hints.push(repair);
                }
                let text = format!("{} is damaged here", file.path);
                self.note = Some(self.note.take().map_or_else(|| text.clone(), |note| format!("{note}; {text}")));
            }
        }
        Ok(())
    }

    fn of(locked: &LockedView, state: LockState, old: Option<&LockedView>) -> Self {
        Self {
            origin: Some(origin_of(locked)),
            old_origin: old.map(origin_of),
            total_bytes: locked.size(),
            unpublished: locked.files.iter().filter(|file| file.trust.is_some()).count(),
            ..Self::new(&view_of(locked), state)
        }
    }
}

pub(super) fn find<'l>(lock: &'l LockFile, view: &ViewKey) -> Option<&'l LockedView> {
    lock.get(&view.model, &view.format, view.quant.as_ref())
}

fn origin_of(locked: &LockedView) -> ModelOrigin {
    ModelOrigin { repo: locked.origin.clone(), revision: locked.revision.clone(), commit: locked.commit.clone() }
}

/// Whether a root holds exactly what is locked.
pub(super) fn shows(root: &RootRecord, locked: &LockedView) -> bool {
    let here: BTreeSet<_> = root.files.iter().map(|file| (&file.path, file.size, file.sha256)).collect();
    here == locked.files.iter().map(|file| (&file.path, file.size, file.sha256)).collect()
}

/// The files that are others than before.
fn changes(plan: &Plan, old: Option<&LockedView>) -> Vec<FileChange> {
    let before = |path: &RelPath| old.and_then(|old| old.files.iter().find(|file| file.path == *path));
    let mut changes = Vec::new();
    for file in &plan.files {
        let same = |old: &LockedFile| match (file.sha256, file.git_sha1) {
            (Some(sha256), _) => old.sha256 == sha256,
            (None, git_sha1) => git_sha1.is_some() && old.git_sha1 == git_sha1,
        };
        let change = match before(&file.path) {
            None => ChangeKind::Added,
            Some(old) if same(old) => continue,
            Some(_) => ChangeKind::Changed,
        };
        let old_size = before(&file.path).map(|old| old.size);
        changes.push(FileChange { file: file.path.clone(), change, size: file.size, old_size });
    }
    for gone in old.iter().flat_map(|old| &old.files).filter(|gone| !plan.files.iter().any(|file| file.path == gone.path)) {
        let (file, old_size) = (gone.path.clone(), Some(gone.size));
        changes.push(FileChange { file, change: ChangeKind::Removed, size: None, old_size });
    }
    changes.sort_by(|a, b| a.file.cmp(&b.file));
    changes
}
