//! Copies a store to another place, and moves it there.

use super::{
    BlobReport, FailedBlob, ModelManager, MovedProject, ProjectReport, ProjectState, StoreCopyReport, StoreCopyTotals,
    StoreMoveReport,
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Disk},
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{Action, Hint, Verb},
    settings::LinkMode,
    store::{
        Blob, BlobState, CheckMode, Closing, CopyPlan, Lease, Progress, Project, RootOwner, RootsOf, Sharing, Store, StoreError,
        Trust, is_nested,
    },
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Instant,
};

/// How often blobs that came meanwhile are copied before the store counts as never at rest.
const ROUNDS: usize = 20;

/// What settings have to say once a store is in another place.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreSwitch<'a> {
    /// Where it was.
    pub from: &'a Path,
    /// Where it is.
    pub to: &'a Path,
    /// The models directories of the projects that use it.
    pub projects: &'a [PathBuf],
}

/// What the content of a store is copied for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copying {
    /// A second store.
    ToCopy,
    /// The same store in another place.
    ToMove {
        /// Whether what is there already is to be read.
        is_first: bool,
    },
}

impl ModelManager {
    /// Copies the store into the one at `dir`, which is made if nothing is there: blobs, what is recorded about them,
    /// unfinished downloads, and roots, so that a collection keeps in the copy what it keeps here. Every byte is hashed. Done
    /// again, it copies what is new. What is damaged is left out and reported.
    ///
    /// # Errors
    /// Where `dir` holds something else, does not have the room, or cannot be written.
    pub fn copy_store(&self, dir: &Path, dry_run: bool) -> Result<StoreCopyReport> {
        let from = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let to = self.other_place(&from, dir, dry_run)?;
        let needed: HashSet<Sha256Digest> = from.users()?.into_keys().collect();
        let (mut report, _lease) = self.copy_content(&from, to.as_ref(), dir, dry_run, &needed, Copying::ToCopy)?;
        if let Some(to) = to.filter(|_| !dry_run) {
            report.totals.roots = to.copy_roots_of(&from, RootsOf::TheCopy)?;
        }
        Ok(report)
    }

    /// Moves the store into the one at `dir`, which is made if nothing is there: copies it, closes it, makes the links of its
    /// projects again, lets `switch` change the settings, and only then removes what is in the new place from the old one.
    /// `switch` returns the files that it changed. Cut off anywhere, it resumes when it is done again. `alone` promises, for a
    /// store on a network file system, that no other host uses it.
    ///
    /// # Errors
    /// As [`Self::copy_store`]; where a needed blob is damaged; where a project that uses it cannot be reached; where other
    /// commands do not end in time.
    pub fn move_store(
        &self,
        dir: &Path,
        dry_run: bool,
        alone: bool,
        switch: &dyn Fn(&StoreSwitch<'_>) -> Result<Vec<PathBuf>>,
    ) -> Result<StoreMoveReport> {
        let from = match self.existing_store() {
            Ok(store) => store.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?,
            Err(error) => return self.finish_move(dir, dry_run, switch, error),
        };
        if self.is_same_place(from.layout().root(), dir) {
            return self.finish_earlier_move(from, dir, dry_run, switch);
        }
        let projects = self.projects()?;
        require_reachable(&projects)?;
        require_own(&projects, &*self.disk)?;
        let to = self.other_place(&from, dir, dry_run)?;
        if dry_run {
            let needed = from.users()?.into_keys().collect();
            let (copy, _lease) = self.copy_content(&from, to.as_ref(), dir, true, &needed, Copying::ToMove { is_first: false })?;
            let moved = |project: &ProjectReport| MovedProject {
                path: project.path.clone().into(),
                views: project.views.len(),
                problem: None,
            };
            let projects = projects.iter().filter(|project| project.state == ProjectState::Live).map(moved).collect();
            return Ok(StoreMoveReport { copy, projects, ..StoreMoveReport::default() });
        }
        let to = to.ok_or_else(|| StoreError::Absent { path: dir.to_owned() })?;
        let collector = from.collector(alone, from.wait())?;
        // What a collection that was cut off condemned, and is needed after all, comes back.
        from.lease()?.protect(&from.users()?.into_keys().collect::<Vec<_>>())?;
        let begun = Instant::now();
        let mut sum = StoreCopyReport::default();
        for round in 1.. {
            let needed: HashSet<Sha256Digest> = from.users()?.into_keys().collect();
            let (report, _lease) =
                self.copy_content(&from, Some(&to), dir, false, &needed, Copying::ToMove { is_first: round == 1 })?;
            require_needed(&report)?;
            let failed: HashSet<Sha256Digest> = report.failed.iter().map(|blob| blob.sha256).collect();
            add(&mut sum, report, round == 1);
            match collector.close(&to, &|digest| failed.contains(digest))? {
                Closing::Closed => break,
                Closing::NotCopied if round < ROUNDS => {}
                Closing::InUse if self.settings.lock_timeout.is_none_or(|most| begun.elapsed() < most) => {
                    self.stop_if_cancelled()?;
                    collector.let_others_work();
                }
                Closing::NotCopied | Closing::InUse => {
                    let text = format!("other commands are using the store {}", from.layout().root().display());
                    return Err(Error::new(ErrorKind::Locked, text).hint(Hint::NothingChanged).hint(Hint::EndCommandsFirst));
                }
            }
        }
        self.switch_and_free(from.layout().root(), &to, sum, switch)
    }

    /// Resumes a move that was cut off after the store was closed; `error` is what opening it said.
    fn finish_move(
        &self,
        dir: &Path,
        dry_run: bool,
        switch: &dyn Fn(&StoreSwitch<'_>) -> Result<Vec<PathBuf>>,
        error: Error,
    ) -> Result<StoreMoveReport> {
        let old = self.store_dir();
        let moved = Store::open_moved(self.models_disk(), &old)?.filter(|(_, to)| self.is_same_place(to, dir));
        if moved.is_none() {
            return Err(error);
        }
        if dry_run {
            return Ok(StoreMoveReport { copy: empty_report(&old, dir, true), ..StoreMoveReport::default() });
        }
        let to = Store::open(self.models_disk(), dir)?.waiting(self.wait());
        self.switch_and_free(&old, &to, empty_report(&old, dir, false), switch)
    }

    /// The store is at `dir` already: frees the places that known stores moved there from.
    fn finish_earlier_move(
        &self,
        to: Store,
        dir: &Path,
        dry_run: bool,
        switch: &dyn Fn(&StoreSwitch<'_>) -> Result<Vec<PathBuf>>,
    ) -> Result<StoreMoveReport> {
        let known = self.session.known_stores().map(|known| known.all()).transpose()?.unwrap_or_default();
        let places = known.into_iter().map(|known| known.path).chain([self.settings.models_dir.join(super::STORE_DIR)]);
        for old in places.filter(|old| !self.is_same_place(old, dir)) {
            let moved = Store::open_moved(self.disk.clone(), &old).ok().flatten();
            let is_here = moved.as_ref().is_some_and(|(_, to)| self.is_same_place(to, dir));
            if is_here && !moved.is_some_and(|(old, _)| old.blobs().is_ok_and(|blobs| blobs.is_empty())) {
                return match dry_run {
                    true => Ok(StoreMoveReport { copy: empty_report(&old, dir, true), ..StoreMoveReport::default() }),
                    false => self.switch_and_free(&old, &to, empty_report(&old, dir, false), switch),
                };
            }
        }
        Err(Error::new(ErrorKind::Usage, format!("the store is at {} already", dir.display())).hint(Hint::NothingChanged))
    }

    /// The second half of a move: links, settings, room.
    fn switch_and_free(
        &self,
        old: &Path,
        to: &Store,
        copy: StoreCopyReport,
        switch: &dyn Fn(&StoreSwitch<'_>) -> Result<Vec<PathBuf>>,
    ) -> Result<StoreMoveReport> {
        let mut report = StoreMoveReport { copy, ..StoreMoveReport::default() };
        let Some((old_store, _)) = Store::open_moved(self.disk.clone(), old)? else { return Ok(report) };
        let mut places = Vec::new();
        // Of the old store: the new one may have had projects of its own.
        for uuid in old_store.projects_left()? {
            let Some(record) = to.known_project(&uuid) else { continue };
            let path = PathBuf::from(&record.location.path);
            if record.location.host != disk::host_name()
                || Project::identify(&*self.disk.clone().confined(&path), &path).ok().flatten() != Some(uuid)
            {
                continue;
            }
            let mut moved = MovedProject { path: path.clone(), views: 0, problem: None };
            if let Err(error) = self.link_again(to, &mut moved) {
                moved.problem = Some(error.to_string());
            }
            report.projects.push(moved);
            places.push(path);
        }
        report.settings_files = switch(&StoreSwitch { from: old, to: to.layout().root(), projects: &places })?;
        self.remember(to);
        if report.projects.iter().any(|project| project.problem.is_some()) {
            return Ok(report);
        }
        let freed = old_store.free_moved(to)?;
        (report.freed_bytes, report.left, report.freed) = (freed.bytes, freed.left, true);
        if let Some(known) = self.session.known_stores().filter(|_| report.left.is_empty()) {
            known.forget(&old_store.marker().uuid)?;
        }
        Ok(report)
    }

    /// Makes the links of a project again, so that they lead into its store in the new place.
    fn link_again(&self, to: &Store, moved: &mut MovedProject) -> Result<()> {
        let disk = self.disk.clone().confined(&moved.path);
        let store = Store::open(disk, to.layout().root())?.waiting(self.wait());
        let project = Project::register(&store, &moved.path)?;
        let _views_lock = project.lock_views(store.wait())?;
        let views = super::Views::new(self.disk.clone(), moved.path.clone(), Some(store.clone()));
        for root in store.roots_of(project.uuid())? {
            // A root whose links were removed keeps its blobs until the next removal.
            if self.disk.find(&views.dir(&root.view))?.is_some() {
                let mode = if moved.path == self.own_models_dir() { self.settings.link } else { LinkMode::Auto };
                views.build(&root.view, &root.files, mode, project.uuid())?;
                moved.views += 1;
            }
        }
        Ok(())
    }

    fn own_models_dir(&self) -> PathBuf {
        self.disk.real_place(&self.settings.models_dir).unwrap_or_else(|_| self.settings.models_dir.clone())
    }

    /// The store to copy into; `None` where it is yet to be made and nothing is to be done.
    fn other_place(&self, from: &Store, dir: &Path, dry_run: bool) -> Result<Option<Store>> {
        if is_nested(&*self.disk, from.layout().root(), dir)? {
            let text = format!("{} and the store {} are in each other", dir.display(), from.layout().root().display());
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameFolderElsewhere));
        }
        if dry_run {
            return match Store::open_for_reading(self.disk.clone(), dir) {
                Err(StoreError::Absent { .. }) => Ok(None),
                other => Ok(Some(other?)),
            };
        }
        Store::clear_moved(self.disk.clone(), dir)?;
        let is_shared = from.marker().is_shared();
        Ok(Some(Store::open_or_init(self.disk.clone(), dir, is_shared)?.waiting(self.wait())))
    }

    /// Copies blobs and unfinished downloads. What was copied is under the lease.
    fn copy_content(
        &self,
        from: &Store,
        to: Option<&Store>,
        dir: &Path,
        dry_run: bool,
        needed: &HashSet<Sha256Digest>,
        copying: Copying,
    ) -> Result<(StoreCopyReport, Option<Lease>)> {
        let mut report = empty_report(from.layout().root(), dir, dry_run);
        let lease = to.filter(|_| !dry_run).map(Store::lease).transpose()?;
        if let Some(lease) = &lease {
            // Before it is looked what is there, so that nothing of it is collected.
            lease.protect(&from.blobs()?)?;
        }
        let mut plan = from.plan_copy(to)?;
        if let Some(to) = to.filter(|_| copying == Copying::ToMove { is_first: true }) {
            // What is there already stands for what will go, so it is read as well. Damage that is found is known then.
            let mut is_whole = true;
            for blob in &plan.present {
                let hashing = |done| self.report(&Event::Hashing { file: blob.digest.to_string(), done, size: blob.size });
                let state = to.check(&blob.digest, CheckMode::Full, Progress { bytes: &hashing, cancel: &self.cancel })?;
                is_whole &= matches!(state, BlobState::Ok { .. });
            }
            if !is_whole {
                plan = from.plan_copy(Some(to))?;
            }
        }
        report.totals.present_blobs = plan.present.len();
        report.totals.present_bytes = plan.present.iter().map(|blob| blob.size).sum();
        let problem = "the store knows that it is damaged".to_owned();
        let damaged = plan.damaged.iter().map(|digest| (*digest, problem.clone()));
        report.failed = damaged.map(|(sha256, problem)| failed(sha256, problem, needed)).collect();
        self.require_room_there(from, to, dir, &plan)?;
        let (Some(to), Some(lease)) = (to, lease) else {
            report.copied = plan.missing.iter().map(of_blob).collect();
            report.totals.copied_bytes = plan.missing.iter().map(|blob| blob.size).sum();
            report.totals.partials = plan.partials.len();
            return Ok((report, None));
        };
        let size = plan.missing.iter().map(|blob| blob.size).sum();
        let name = to.layout().root().display().to_string();
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        let known = self.session.known_stores();
        let blake3_of = |blob: &Blob| known.and_then(|known| known.hash_of(&blob.digest, blob.size));
        // A store that is moved stays the same store.
        let most_trust = if copying == Copying::ToCopy { from.trust_of_copy()? } else { Trust::Sha256Upstream };
        let results = to.copy_blobs((from, most_trust), &plan.missing, &lease, &blake3_of, &progress, &self.cancel)?;
        for (blob, result) in plan.missing.iter().zip(results) {
            match result {
                Ok(imported) => {
                    report.copied.push(of_blob(blob));
                    report.totals.copied_bytes += blob.size;
                    report.totals.shared_bytes += if imported.sharing == Sharing::Copy { 0 } else { blob.size };
                }
                Err(StoreError::Cancelled) => return Err(StoreError::Cancelled.into()),
                // Removed since it was listed.
                Err(StoreError::Disk(error)) if error.is_not_found() && error.path.starts_with(from.layout().root()) => {}
                Err(error @ StoreError::NoSpace { .. }) => return Err(error.into()),
                Err(error) => report.failed.push(failed(blob.digest, error.to_string(), needed)),
            }
        }
        for partial in &plan.partials {
            match to.copy_partial(from, &partial.key, &self.cancel) {
                Ok(copied) => report.totals.partials += usize::from(copied),
                Err(StoreError::Cancelled) => return Err(StoreError::Cancelled.into()),
                Err(error) => self.report(&Event::Warning(format!("an unfinished download was not copied: {error}").into())),
            }
        }
        self.remember(to);
        self.remember_hashes(to, report.copied.iter().map(|blob| &blob.sha256));
        Ok((report, Some(lease)))
    }

    /// Refuses where the other volume does not have the room. On one volume nothing is copied but what cannot be shared, and
    /// that is refused file by file.
    fn require_room_there(&self, from: &Store, to: Option<&Store>, dir: &Path, plan: &CopyPlan) -> Result<()> {
        let there = dir.ancestors().find_map(|dir| self.disk.stat_follow(dir).ok());
        let here = self.disk.stat_follow(from.layout().root())?;
        if there.is_some_and(|there| there.dev == here.dev && there.dev != 0) {
            return Ok(());
        }
        match to {
            Some(to) => Ok(to.require_space(plan.bytes())?),
            None => match dir.ancestors().find_map(|dir| self.disk.space(dir).ok()) {
                Some(space) if space.available < plan.bytes() => {
                    Err(StoreError::NoSpace { path: dir.to_owned(), need: plan.bytes(), free: space.available }.into())
                }
                _ => Ok(()),
            },
        }
    }

    fn is_same_place(&self, one: &Path, other: &Path) -> bool {
        let real = |path: &Path| self.disk.real_place(path).unwrap_or_else(|_| path.to_owned());
        real(one) == real(other)
    }

    pub(super) fn stop_if_cancelled(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(StoreError::Cancelled.into()) } else { Ok(()) }
    }
}

fn empty_report(from: &Path, to: &Path, dry_run: bool) -> StoreCopyReport {
    StoreCopyReport { from: from.to_owned(), to: to.to_owned(), dry_run, ..StoreCopyReport::default() }
}

fn of_blob(blob: &Blob) -> BlobReport {
    BlobReport { sha256: blob.digest, size: blob.size }
}

fn failed(sha256: Sha256Digest, problem: String, needed: &HashSet<Sha256Digest>) -> FailedBlob {
    FailedBlob { sha256, problem, needed: needed.contains(&sha256) }
}

/// Adds what a further round of a move copied.
fn add(sum: &mut StoreCopyReport, round: StoreCopyReport, is_first: bool) {
    if is_first {
        *sum = round;
        return;
    }
    let StoreCopyTotals { copied_bytes, shared_bytes, partials, .. } = round.totals;
    sum.copied.extend(round.copied);
    sum.failed = round.failed;
    sum.totals.copied_bytes += copied_bytes;
    sum.totals.shared_bytes += shared_bytes;
    sum.totals.partials += partials;
}

/// Refuses where something needed could not be copied: the old place would have to go with it.
fn require_needed(report: &StoreCopyReport) -> Result<()> {
    let needed: Vec<String> =
        report.failed.iter().filter(|blob| blob.needed).map(|blob| format!("{}: {}", blob.sha256, blob.problem)).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let text = format!("not all that projects need can be copied, so the store stays where it is: {}", crate::text::list(&needed));
    Err(Error::new(ErrorKind::Damaged, text).hint(Hint::RepairFirst))
}

/// Refuses where something of a project could not be changed: its folder belongs to another user, or what it shows to
/// applications leads into the store.
fn require_own(projects: &[ProjectReport], disk: &dyn Disk) -> Result<()> {
    for project in projects {
        let is_shown = |owner: &RootOwner| matches!(owner, RootOwner::Exposure { .. });
        if project.other_owners.iter().any(is_shown) {
            let text = format!("models of {} are shown to other applications, from the store where it is", project.path);
            return Err(Error::new(ErrorKind::Failed, text)
                .hint(Hint::NothingChanged)
                .hint(Hint::Run(Action::new(Verb::Unexpose))));
        }
        let user = disk::user_id().filter(|user| *user != 0);
        let is_foreign = |path: &str| disk.stat_follow(Path::new(path)).is_ok_and(|stat| user.is_some_and(|user| stat.uid != user));
        if project.state == ProjectState::Live && !project.views.is_empty() && is_foreign(&project.path) {
            let text = format!("{} uses the store and belongs to another user", project.path);
            return Err(Error::new(ErrorKind::Failed, text).hint(Hint::NothingChanged).hint(Hint::AskOwnerToMove));
        }
    }
    Ok(())
}

/// Refuses where a project that uses the store may be there and cannot be seen: its links would lead to nothing.
fn require_reachable(projects: &[ProjectReport]) -> Result<()> {
    let hidden = |project: &&ProjectReport| project.state == ProjectState::Unreachable && !project.views.is_empty();
    let hidden: Vec<&ProjectReport> = projects.iter().filter(hidden).collect();
    let Some(first) = hidden.first() else { return Ok(()) };
    let names: Vec<String> = hidden.iter().map(|project| format!("{} on {}", project.path, project.host)).collect();
    let text = format!("projects that use the store cannot be reached from here: {}", crate::text::list(&names));
    Err(Error::new(ErrorKind::Failed, text)
        .hint(Hint::NothingChanged)
        .hint(Hint::ReachProjectsFirst)
        .hint(Hint::ForgetProject { project: first.uuid.to_string() }))
}
