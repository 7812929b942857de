//! Acting on a plan: each part of it is checked again under the locks that protect it.

use super::{Collector, GcOptions, GcPlan, GcReport, unreferenced};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, LockKind},
    store::{
        FileLock, Result, Store, StoreError,
        ingest::partial,
        layout::{Dir, IngestKey, Layout},
    },
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// An exclusive critical section ends after this long and another is begun, so that no process waits noticeably.
const SECTION_BUDGET: Duration = Duration::from_millis(20);
/// Between two critical sections others get a turn for about as long as the section took, and at least this long: longer
/// than they sleep between two tries (see `lock::acquire`).
const MIN_PAUSE: Duration = Duration::from_millis(12);

impl GcReport {
    /// Notes how long a section was, and tells how long to stay out of the next one: others poll for their turn, and
    /// would hardly ever find the lock free between two sections that follow each other at once.
    fn end_of_section(&mut self, begun: Instant) -> Duration {
        let took = begun.elapsed();
        self.longest_section = self.longest_section.max(took);
        took.clamp(MIN_PAUSE, SECTION_BUDGET)
    }
}

impl Collector {
    /// Plans and carries out a collection.
    #[cfg(feature = "unstable")]
    pub fn collect(&mut self, options: GcOptions, now: SystemTime) -> Result<GcReport> {
        let plan = self.store.plan_collection(options, now)?;
        self.execute(&plan, options, now)
    }

    /// Carries out a plan. Each part of it is looked at again and stays where something needs it by now; the report is of
    /// what went.
    pub fn execute(&mut self, plan: &GcPlan, options: GcOptions, now: SystemTime) -> Result<GcReport> {
        self.roots.refresh(&self.store)?;
        let mut report = GcReport::default();
        {
            // Leases of dead processes go even where there is nothing else to do.
            let _alone = self.store.exclusive()?;
            self.store.live_leases()?;
        }
        let candidates: Vec<Sha256Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
        self.trash_unneeded(&candidates, Some((options.grace, now)), &mut report)?;
        self.purge(&mut report)?;
        self.drop_orphans(&plan.orphans, &mut report)?;
        for (key, what, bytes) in &plan.partials {
            let lock_path = self.store.layout().blob_lock(key);
            // Held, or touched meanwhile: a process is downloading it after all.
            if let Some(_lock) = self.store.try_acquire_file(&lock_path)?
                && self.store.is_abandoned(key, options, now)?
            {
                partial::remove_partial(&self.store, &self.store.layout().partial(key))?;
                report.partials.push((*key, what.clone(), *bytes));
                report.freed += bytes;
            }
        }
        for orphan_temp in &plan.orphan_temps {
            if self.store.disk().remove_if_there(orphan_temp)? {
                report.leftovers.push(orphan_temp.clone());
            }
        }
        self.sweep_blob_locks(&mut report)?;
        Ok(report)
    }

    /// Removes those of `candidates` that nothing needs, whatever their age.
    pub fn drop_unreferenced(&mut self, candidates: &[Sha256Digest]) -> Result<GcReport> {
        let mut report = GcReport::default();
        self.roots.refresh(&self.store)?;
        self.trash_unneeded(candidates, None, &mut report)?;
        self.purge(&mut report)?;
        Ok(report)
    }

    fn trash_unneeded(
        &mut self,
        candidates: &[Sha256Digest],
        grace: Option<(Duration, SystemTime)>,
        report: &mut GcReport,
    ) -> Result<()> {
        let mut left = candidates.iter().peekable();
        let mut pause = Duration::ZERO;
        while left.peek().is_some() {
            std::thread::sleep(pause);
            let store = self.store.clone();
            // Read before, so that little is left to read while all other processes wait.
            self.roots.refresh(&store)?;
            let _alone = store.exclusive()?;
            let begun = Instant::now();
            self.roots.refresh(&store)?;
            let leased: HashSet<Sha256Digest> = store.live_leases()?.into_iter().collect();
            for digest in left.by_ref() {
                if !self.roots.needs(digest) && !leased.contains(digest) {
                    self.move_to_trash(digest, grace, report)?;
                }
                if begun.elapsed() > SECTION_BUDGET {
                    break;
                }
            }
            pause = report.end_of_section(begun);
        }
        Ok(())
    }

    fn move_to_trash(&self, digest: &Sha256Digest, grace: Option<(Duration, SystemTime)>, report: &mut GcReport) -> Result<()> {
        let store = &self.store;
        let Some(stat) = store.stat(digest)? else { return Ok(()) };
        if let Some((grace, now)) = grace
            && store.age_of_blob(digest, &stat, now)? < grace
        {
            return Ok(());
        }
        let trash = store.layout().trash(digest);
        // An older copy of the same bytes may be there; the newer takes its place.
        let blob = store.layout().blob(digest);
        match store.disk().rename(&blob, &trash) {
            Err(error) if error.is_in_use() => {
                report.open.push(unreferenced(*digest, &stat));
                return Ok(());
            }
            other => other?,
        }
        // A crash may have left both as names of one file; renaming one to the other does nothing then.
        store.disk().remove_if_there(&blob)?;
        Ok(())
    }

    /// Removes what is in the trash. In a critical section each blob loses the name by which it could be restored, and its
    /// records; its bytes go after the section. One that something needs is brought back: its consumer may have died
    /// after publishing the root and before doing so itself.
    fn purge(&mut self, report: &mut GcReport) -> Result<()> {
        let store = &self.store.clone();
        let trash = store.layout().dir(Dir::Trash);
        let condemned = store.disk().list_sorted(&trash)?.into_iter().filter(|entry| entry.kind == Kind::File);
        let mut names = condemned.map(|entry| entry.name).peekable();
        let mut pause = Duration::ZERO;
        while names.peek().is_some() {
            std::thread::sleep(pause);
            let mut doomed = Vec::new();
            self.roots.refresh(store)?;
            {
                let _alone = store.exclusive()?;
                let begun = Instant::now();
                self.roots.refresh(store)?;
                let leased: HashSet<Sha256Digest> = store.live_leases()?.into_iter().collect();
                for name in names.by_ref() {
                    let Some((digest, is_restorable)) = Layout::trashed(&name) else { continue };
                    let path = trash.join(&name);
                    let Some(stat) = store.disk().find(&path)? else { continue };
                    if is_restorable {
                        if (self.roots.needs(&digest) || leased.contains(&digest)) && store.find(&digest)?.is_none() {
                            store.restore(&digest)?;
                            continue;
                        }
                        let purged = store.layout().purged(&digest);
                        store.disk().rename(&path, &purged)?;
                        store.disk().remove_if_there(&path)?;
                        if store.find(&digest)?.is_none() {
                            store.disk().remove_if_there(&store.layout().meta(&digest))?;
                            store.disk().remove_if_there(&store.layout().segments(&digest))?;
                            store.drop_mark(&digest)?;
                        }
                        doomed.push((purged, unreferenced(digest, &stat)));
                    } else {
                        doomed.push((path, unreferenced(digest, &stat)));
                    }
                    if begun.elapsed() > SECTION_BUDGET {
                        break;
                    }
                }
                pause = report.end_of_section(begun);
            }
            for (path, blob) in doomed {
                match store.disk().remove_if_there(&path) {
                    Ok(true) => {
                        report.freed += blob.frees;
                        report.removed.push(blob);
                    }
                    Ok(false) => {}
                    Err(error) if error.is_in_use() => report.open.push(blob),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Removes records whose blob is not there. Those of a leased digest stay: its blob may be about to get its name.
    fn drop_orphans(&self, orphans: &[PathBuf], report: &mut GcReport) -> Result<()> {
        let mut pause = Duration::ZERO;
        for batch in orphans.chunks(100) {
            std::thread::sleep(pause);
            let _alone = self.store.exclusive()?;
            let begun = Instant::now();
            let leased: HashSet<Sha256Digest> = self.store.live_leases()?.into_iter().collect();
            for path in batch {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let digest = name.trim_end_matches(".json").parse::<Sha256Digest>();
                if let Ok(digest) = digest
                    && !leased.contains(&digest)
                    && !self.roots.needs(&digest)
                    && self.store.find(&digest)?.is_none()
                    && self.store.disk().find(&self.store.layout().trash(&digest))?.is_none()
                    && self.store.disk().remove_if_there(path)?
                {
                    report.leftovers.push(path.clone());
                }
            }
            pause = report.end_of_section(begun);
        }
        Ok(())
    }

    /// Unlinks lock files of downloads that ended. The only place that unlinks a lock file, under both locks.
    fn sweep_blob_locks(&self, report: &mut GcReport) -> Result<()> {
        let dir = self.store.layout().dir(Dir::BlobLocks);
        let mut names = self.store.disk().list_sorted(&dir)?.into_iter().map(|entry| entry.name).peekable();
        let mut pause = Duration::ZERO;
        while names.peek().is_some() {
            std::thread::sleep(pause);
            let _alone = self.store.exclusive()?;
            let begun = Instant::now();
            for name in names.by_ref() {
                let path = dir.join(&name);
                if name.parse::<IngestKey>().is_ok()
                    && let Some(_free) = self.store.try_acquire_file(&path)?
                {
                    self.store.disk().remove_if_there(&path)?;
                }
                if begun.elapsed() > SECTION_BUDGET {
                    break;
                }
            }
            pause = report.end_of_section(begun);
        }
        Ok(())
    }
}

impl Store {
    /// Locks the lock file of a download if that is free. Something else in its place counts as locked.
    fn try_acquire_file(&self, path: &Path) -> Result<Option<FileLock>> {
        match self.try_acquire(path, LockKind::Exclusive) {
            Err(StoreError::Disk(error)) if error.is_wrong_kind() => Ok(None),
            other => other,
        }
    }

    /// Begins a section while no other process is in one.
    pub(in crate::store) fn exclusive(&self) -> Result<FileLock> {
        self.acquire(&self.layout().store_lock(), LockKind::Exclusive, "the store", &self.0.wait)
    }
}
