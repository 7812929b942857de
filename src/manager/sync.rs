//! Makes the views exactly what is locked: from the store, or from any endpoint that has the bytes.
//!
//! Everything that can fail without the network or the disk being changed is looked at first: the registry, what is in the
//! way, what is missing, what is damaged. Then each view is made as a download makes it.

use super::{
    FileSupply, KeptFile, LockEntryReport, LockOptions, ModelManager, RepairedFile, SyncOptions, SyncReport, SyncTotals,
    batch::{Again, Step},
    lock::entry::view_of,
    lock::{Change, Locking, Outcome, shows},
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, LockKind, Stat},
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{self, Hint},
    names::Quant,
    registry::{LockFile, LockedView},
    store::{BlobState, CheckMode, Progress, Project, Store, ViewFile, ViewKey},
    view::FileState,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

impl ModelManager {
    /// Makes every locked view. Nothing outside of them is touched, unless views that are not locked are to be pruned.
    pub fn sync(&self, options: SyncOptions) -> Result<SyncReport> {
        let lock = self.require_lock()?;
        let store = self.existing_store()?;
        let (lock, relocked) = match options.locked {
            true => {
                // Of a lock that contradicts what is here, it says nothing that the registry says otherwise too.
                self.require_no_contradiction(&lock, store.as_ref())?;
                (self.agreed(lock)?, Vec::new())
            }
            false => {
                let (lock, relocked) = self.relock_changed(lock, options.dry_run)?;
                self.require_no_contradiction(&lock, store.as_ref())?;
                (lock, relocked)
            }
        };
        let mut report = SyncReport {
            lock_file: self.settings.lock_file.clone(),
            relocked,
            models: Vec::new(),
            plans: Vec::new(),
            repairs: Vec::new(),
            removed: Vec::new(),
            kept: Vec::new(),
            pruned: None,
            totals: SyncTotals::default(),
            dry_run: options.dry_run,
        };
        let mut plans = lock.views().iter().map(|locked| self.plan_locked(locked, store.as_ref())).collect::<Result<Vec<_>>>()?;
        let as_planned = options.dry_run.then(|| plans.clone());
        // What is known to be damaged is repaired with what else is found so, before anything is fetched.
        plans.iter_mut().flat_map(|plan| &mut plan.files).for_each(as_present);
        self.require_places(&plans, store.as_ref())?;
        if let Some(plans) = as_planned {
            report.plans = plans.iter().map(|plan| plan.report(self, store.as_ref())).collect();
            report.totals.download_bytes = report.plans.iter().map(|plan| plan.download_bytes).sum();
            for locked in lock.views() {
                self.trim(locked, store.as_ref(), &mut report)?;
            }
            return self.prune(&lock, options, report);
        }
        self.require_reachable(&plans)?;
        self.require_known_sources(&plans)?;
        let mut again = BTreeSet::new();
        if let Some(store) = &store {
            let mode = if options.quick { CheckMode::Quick } else { CheckMode::Full };
            again = self.repair_all(&mut plans, store, mode, &mut report)?;
            store.require_space(required_space(&plans, store))?;
        }
        let again = &again;
        let steps = lock.views().iter().zip(plans).map(|(locked, plan)| {
            let anew: Again<'_> = Box::new(move |manager, store| {
                let mut plan = manager.plan_locked(locked, Some(store))?;
                fetch_again(&mut plan, again);
                Ok(plan)
            });
            Step { plan, existing: store.clone(), again: anew }
        });
        let ends = self.execute_all(steps.collect());
        let store = self.existing_store()?;
        let mut failed = None;
        for (locked, (made, _)) in lock.views().iter().zip(ends) {
            match made {
                Ok(made) => {
                    report.totals.download_bytes += made.download_bytes;
                    report.models.push(made);
                    self.trim(locked, store.as_ref(), &mut report)?;
                }
                // The others are made all the same.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.prune(&lock, options, report)
    }

    /// The lock file, unless the registry says otherwise.
    fn agreed(&self, lock: LockFile) -> Result<LockFile> {
        let mut differ = Vec::new();
        for locked in lock.views() {
            differ.extend(self.disagreement(locked)?.map(|why| format!("{}: {why}", view_of(locked))));
        }
        match differ.is_empty() {
            true => Ok(lock),
            false => Err(Error::new(
                ErrorKind::Failed,
                format!("{} does not agree with the registry: {}", self.settings.lock_file.display(), differ.join("; ")),
            )
            .hint(Hint::NothingChanged)
            .hint(Hint::LockAgain)),
        }
    }

    /// Locks anew what the registry changed since.
    fn relock_changed(&self, mut lock: LockFile, dry_run: bool) -> Result<(LockFile, Vec<LockEntryReport>)> {
        let mut changed = Vec::new();
        for locked in lock.views() {
            if self.disagreement(locked)?.is_some() {
                changed.push(locked.clone());
            }
        }
        if changed.is_empty() {
            return Ok((lock, Vec::new()));
        }
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let run = Locking { roots: &roots, store: store.as_ref(), options: LockOptions { update: false, dry_run } };
        let outcomes: Vec<Outcome> = changed.iter().map(|locked| self.relock(locked, run)).collect::<Result<_>>()?;
        if !dry_run && outcomes.iter().any(|outcome| !matches!(outcome.change, Change::Stay)) {
            lock = self.change_lock(|lock| outcomes.iter().for_each(|outcome| outcome.apply(lock)))?.0;
        }
        Ok((lock, outcomes.into_iter().map(|outcome| outcome.line).collect()))
    }

    /// Refuses where something foreign stands where a file belongs.
    fn require_places(&self, plans: &[Plan], store: Option<&Store>) -> Result<()> {
        let views = self.views(store.cloned());
        for plan in plans {
            Self::require_places_of(plan, &views)?;
        }
        Ok(())
    }

    /// Offline, refuses where anything is missing, and names all of it.
    fn require_reachable(&self, plans: &[Plan]) -> Result<()> {
        let is_missing = |file: &&PlannedFile| matches!(file.supply, FileSupply::Fetch | FileSupply::Partial);
        let missing: Vec<String> = plans
            .iter()
            .flat_map(|plan| plan.files.iter().filter(is_missing).map(|file| format!("{}/{}", plan.target.view, file.path)))
            .collect();
        if !self.settings.network.offline || missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Network, format!("offline, and not all that is locked is here: {}", crate::text::list(&missing)))
            .hint(Hint::NothingChanged)
            .hint(Hint::AllowNetwork))
    }

    /// Refuses what must be fetched from sources that nobody here knows, and names all of it.
    fn require_known_sources(&self, plans: &[Plan]) -> Result<()> {
        let is_missing = |plan: &&Plan| plan.files.iter().any(PlannedFile::is_missing);
        let is_unknown = |plan: &&Plan| !self.session.network.knows(&plan.target.source);
        let unknown = plans.iter().filter(is_unknown).filter(is_missing);
        let names: Vec<String> = unknown.map(|plan| format!("{} from {}", plan.target.view, plan.target.source)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let text = format!("this version cannot fetch all that is locked: {}", crate::text::list(&names));
        Err(Error::new(ErrorKind::Failed, text).hint(Hint::NothingChanged).hint(Hint::NewerVersionKnows))
    }

    /// Checks every blob that is to be used, and makes the damaged ones whole. Gives those that must be fetched as a whole,
    /// because no endpoint had the right bytes for the damage alone.
    fn repair_all(
        &self,
        plans: &mut [Plan],
        store: &Store,
        mode: CheckMode,
        report: &mut SyncReport,
    ) -> Result<BTreeSet<Sha256Digest>> {
        let mut damaged = Vec::new();
        let mut sound: HashMap<Sha256Digest, bool> = HashMap::new();
        for plan in &*plans {
            for file in plan.files.iter().filter(|file| file.supply == FileSupply::Present) {
                let Some(digest) = file.sha256.filter(|digest| !sound.contains_key(digest)) else { continue };
                let is_sound = !matches!(self.look(store, plan, file, None, &digest, mode)?, BlobState::Modified { .. });
                sound.insert(digest, is_sound);
                if !is_sound {
                    damaged.push((self.shown_at(plan, file), plan.target.view.clone(), file.clone(), plan.clone()));
                }
            }
        }
        if !damaged.is_empty() && self.settings.network.offline {
            let names: Vec<String> = damaged.iter().map(|(_, view, file, _)| format!("{view}/{}", file.path)).collect();
            let view = &damaged[0].1;
            let repair = hint::repair(view.model.as_str(), view.format.as_str(), view.quant.as_ref().map(Quant::as_str));
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("the content in the store is damaged: {}", crate::text::list(&names)),
            )
            .hint(Hint::NothingChanged)
            .hint(Hint::RepairWithNetwork(repair)));
        }
        let mut again = BTreeSet::new();
        for (path, _, file, plan) in &damaged {
            let (Some(digest), Some(size)) = (file.sha256, file.size) else { continue };
            let names = self.names_of(plans, store, &digest)?;
            let known = ViewFile { path: file.path.clone(), sha256: digest, size };
            let place = (plan.target.source.clone(), plan.revision.clone(), file.repo_path.clone());
            let source = self.source(&plan.target.source, plan, file);
            let fetched = match self.repair_blob(store, &known, &|| Ok(vec![(place.clone(), source.clone())])) {
                Ok(fetched) => {
                    store.add_source(&digest, source.clone(), file.trust())?;
                    fetched
                }
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    self.report(&Event::Warning(format!("{error}; the whole file is downloaded").into()));
                    again.insert(digest);
                    0
                }
                Err(error) => return Err(error),
            };
            let views = self.views(Some(store.clone()));
            names.iter().try_for_each(|(path, seen)| views.remove_if_same(path, seen).map(drop))?;
            report.totals.download_bytes += fetched;
            report.repairs.push(repaired(path.clone(), digest, fetched));
        }
        for plan in plans.iter_mut() {
            fetch_again(plan, &again);
            self.drop_damaged_copies(plan, store, mode, report)?;
        }
        Ok(again)
    }

    /// Checks a blob, or a copy of it in a view.
    fn look(
        &self,
        store: &Store,
        plan: &Plan,
        file: &PlannedFile,
        copy: Option<&PathBuf>,
        digest: &Sha256Digest,
        mode: CheckMode,
    ) -> Result<BlobState> {
        let name = format!("{}/{}", plan.target.view, file.path);
        let hashing = |done| self.report(&Event::Hashing { file: name.clone(), done, size: file.size.unwrap_or(0) });
        let progress = Progress { bytes: &hashing, cancel: &self.cancel };
        Ok(match copy {
            None => store.check(digest, mode, progress)?,
            Some(path) => store.check_at(path, digest, mode, progress)?,
        })
    }

    /// Files of locked views that are further names of a blob: they keep its old bytes when it is replaced.
    fn names_of(&self, plans: &[Plan], store: &Store, digest: &Sha256Digest) -> Result<Vec<(PathBuf, Stat)>> {
        let Some(blob) = store.stat(digest)?.filter(|blob| blob.ino != 0) else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for plan in plans {
            for file in plan.files.iter().filter(|file| file.sha256 == Some(*digest)) {
                let path = self.shown_at(plan, file);
                let stat = self.disk.find(&path)?;
                names.extend(stat.filter(|stat| (stat.dev, stat.ino) == (blob.dev, blob.ino)).map(|stat| (path, stat)));
            }
        }
        Ok(names)
    }

    /// Takes copies of ours out of a view whose bytes are wrong; making the view puts right ones there.
    fn drop_damaged_copies(&self, plan: &Plan, store: &Store, mode: CheckMode, report: &mut SyncReport) -> Result<()> {
        if mode == CheckMode::Quick {
            return Ok(());
        }
        let views = self.views(Some(store.clone()));
        let mut states = views.states();
        for file in plan.files.iter().filter(|file| file.supply == FileSupply::Present) {
            let Some(digest) = file.sha256 else { continue };
            let path = self.shown_at(plan, file);
            let Some(stat) = self.disk.find(&path)?.filter(|stat| stat.kind == Kind::File) else { continue };
            let is_copy = matches!(states.at(&path)?, Some(FileState::Copy { digest: copied }) if copied == digest);
            if is_copy && matches!(self.look(store, plan, file, Some(&path), &digest, mode)?, BlobState::Modified { .. }) {
                views.remove_if_same(&path, &stat)?;
                report.repairs.push(repaired(path, digest, 0));
            }
        }
        Ok(())
    }

    fn shown_at(&self, plan: &Plan, file: &PlannedFile) -> PathBuf {
        self.settings.models_dir.join(plan.target.view.dir()).join(file.path.to_path())
    }

    /// Takes what is ours and not locked out of a locked view, and notes what is not ours.
    fn trim(&self, locked: &LockedView, store: Option<&Store>, report: &mut SyncReport) -> Result<()> {
        let view = view_of(locked);
        let views = self.views(store.cloned());
        let plan = || views.plan_trim(&view, locked.files.iter().map(|file| &file.path));
        let mut extra = plan()?;
        let project = Project::identify(&*self.models_disk(), &self.settings.models_dir)?;
        if let (Some(store), Some(project), false, false) = (store, project, extra.is_empty(), report.dry_run) {
            let _views_lock = store.lock_views(&project, LockKind::Exclusive, store.wait())?;
            extra = plan()?;
            // A download that came in between shows something else on purpose.
            if store.root_of(&project, &view)?.is_some_and(|root| shows(&root, locked)) {
                let done = views.execute(extra)?;
                report.removed.extend(done.removed);
                report.kept.extend(done.kept.into_iter().map(KeptFile::from));
                return Ok(());
            }
        }
        if report.dry_run {
            report.removed.extend(extra.files);
        }
        report.kept.extend(extra.kept.into_iter().map(KeptFile::from));
        Ok(())
    }

    /// Removes the views of this project that are not locked, where that is asked for.
    fn prune(&self, lock: &LockFile, options: SyncOptions, mut report: SyncReport) -> Result<SyncReport> {
        if options.prune {
            let store = self.existing_store()?;
            let locked: BTreeSet<ViewKey> = lock.views().iter().map(view_of).collect();
            let mut others: BTreeSet<ViewKey> = self.own_roots(store.as_ref())?.into_keys().collect();
            others.extend(self.views(store).keys()?);
            others.retain(|view| !locked.contains(view));
            report.pruned = Some(self.remove_views(&others, options.dry_run)?);
        }
        Ok(report)
    }
}

fn repaired(path: PathBuf, sha256: Sha256Digest, download_bytes: u64) -> RepairedFile {
    RepairedFile { path, sha256: Some(sha256), repaired: true, download_bytes, note: None }
}

/// Counts a damaged file as present.
fn as_present(file: &mut PlannedFile) {
    if file.supply == FileSupply::Damaged {
        (file.supply, file.held) = (FileSupply::Present, 0);
    }
}

/// Says of these blobs that they must travel, although they are there.
fn fetch_again(plan: &mut Plan, again: &BTreeSet<Sha256Digest>) {
    for file in plan.files.iter_mut().filter(|file| file.sha256.is_some_and(|digest| again.contains(&digest))) {
        (file.supply, file.held, file.again) = (FileSupply::Fetch, 0, true);
    }
}

/// Bytes that all that is missing will take, each content once.
fn required_space(plans: &[Plan], store: &Store) -> u64 {
    let missing: HashMap<_, _> = plans.iter().flat_map(Plan::missing).collect();
    missing.iter().map(|(key, file)| store.required_space(key, file.size.unwrap_or(0))).sum()
}
