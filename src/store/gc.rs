//! Collects what nothing needs.
//!
//! Whoever needs a blob publishes a root or a lease first and looks for the blob afterwards, both in a shared section.
//! The collector reads all roots and leases and condemns in an exclusive one, by renaming into `trash/`. So either it
//! sees the root, or the consumer finds the blob gone and takes it back from the trash or fetches it again. Bytes are
//! unlinked when no lock is held. A root that cannot be read ends the collection: what it protects is not known.

use super::{
    FileLock, Result, Store, StoreError, Wait,
    ingest::partial,
    layout::{IntakeKey, Layout},
    snapshot::RootSnapshot,
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Entry, Kind, LockKind, Stat, parallel},
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// An exclusive section ends after this long and another is begun, so that nobody waits noticeably.
const SECTION_BUDGET: Duration = Duration::from_millis(20);
/// Between two sections others get a turn for about as long as the section took, and at least this long: longer than they
/// sleep between two tries (see `lock::acquire`).
const MIN_PAUSE: Duration = Duration::from_millis(12);
/// So many blobs are worth a thread that looks at them.
const CENSUS_LEAST: usize = 1024;
/// Names in the trash that begin like this cannot be had back; their bytes are being removed.
const DEAD: &str = "dead-";
/// Temporary files of processes that died are swept after this long.
pub(super) const STRAY_AGE: Duration = Duration::from_secs(24 * 3600);

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcOptions {
    /// Unreferenced blobs younger than this stay.
    pub grace: Duration,
    /// Partial downloads that nobody touched for this long go.
    pub partial_age: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(3600), partial_age: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// A blob that nothing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreferenced {
    /// Its address.
    pub digest: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes that its removal gives back: 0 where the file has further names.
    pub frees: u64,
}

/// What a collection would do. Acting on it checks everything again.
#[derive(Debug, Clone, Default)]
pub struct GcPlan {
    /// Blobs that go.
    pub blobs: Vec<Unreferenced>,
    /// Unreferenced blobs that are too young to go, and their bytes.
    pub young: (usize, u64),
    /// Blobs that stay because something needs them.
    pub kept: usize,
    /// Abandoned partial downloads that go, with the bytes they take.
    pub partials: Vec<(IntakeKey, String, u64)>,
    /// Records of blobs that are not there.
    pub orphans: Vec<PathBuf>,
    /// Temporary files of processes that died.
    pub strays: Vec<PathBuf>,
    /// Blobs that an earlier collection condemned and did not get to remove.
    pub trash: Vec<Unreferenced>,
    /// Leases that this user may not look at: what they list counts as not needed here.
    pub hidden_leases: usize,
}

impl GcPlan {
    /// Bytes that carrying it out gives back.
    pub fn frees(&self) -> u64 {
        let blobs = self.blobs.iter().chain(&self.trash).map(|blob| blob.frees);
        blobs.chain(self.partials.iter().map(|(_, _, bytes)| *bytes)).sum()
    }
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
            && self.partials.is_empty()
            && self.orphans.is_empty()
            && self.strays.is_empty()
            && self.trash.is_empty()
    }
}

/// What a collection did.
#[derive(Debug, Clone, Default)]
pub struct GcReport {
    /// Blobs that are gone.
    pub removed: Vec<Unreferenced>,
    /// Partial downloads that are gone, with the bytes they took.
    pub partials: Vec<(IntakeKey, String, u64)>,
    /// Records without a blob and temporary files that are gone.
    pub leftovers: Vec<PathBuf>,
    /// Blobs that stay because a program has them open; they go with a later collection.
    pub open: Vec<Unreferenced>,
    /// Bytes given back.
    pub freed: u64,
    /// The longest exclusive section.
    pub longest_section: Duration,
}

impl GcReport {
    /// Notes how long a section was, and tells how long to stay out of the next one: others poll for their turn, and
    /// would hardly ever find the lock free between two sections that follow each other at once.
    fn end_of_section(&mut self, begun: Instant) -> Duration {
        let took = begun.elapsed();
        self.longest_section = self.longest_section.max(took);
        took.clamp(MIN_PAUSE, SECTION_BUDGET)
    }
}

/// The right to collect: one process has it.
#[must_use = "the right ends when this value is dropped"]
#[derive(Debug)]
pub struct Collector {
    store: Store,
    _lock: FileLock,
    roots: RootSnapshot,
}

impl Store {
    /// Becomes the one collector. `alone` promises, for a store on a network file system, that no other host uses it.
    pub fn collector(&self, alone: bool, wait: &Wait) -> Result<Collector> {
        self.require_writable()?;
        let root = self.layout().root();
        if !self.locks_work() || (!alone && disk::is_network_file_system(root)) {
            return Err(StoreError::NoSafeCollection { path: root.to_owned() });
        }
        let lock = self.acquire(&self.layout().gc_lock(), LockKind::Exclusive, "the garbage collector", wait)?;
        Ok(Collector { store: self.clone(), _lock: lock, roots: RootSnapshot::default() })
    }

    /// What a collection would remove now. It takes no lock and changes nothing.
    pub fn plan_collection(&self, options: GcOptions, now: SystemTime) -> Result<GcPlan> {
        let mut roots = RootSnapshot::default();
        roots.refresh(self)?;
        let leased = self.leased()?;
        let plan = self.plan(options, now, |digest| roots.needs(digest) || leased.contains(digest))?;
        Ok(GcPlan { hidden_leases: leased.hidden, ..plan })
    }

    /// Those of `candidates` that exist and that no lease protects, with what their removal would give back.
    pub fn plan_drop(&self, candidates: &[Sha256Digest]) -> Result<Vec<Unreferenced>> {
        let leased = self.leased()?;
        let mut plan = Vec::new();
        for digest in candidates.iter().filter(|digest| !leased.contains(digest)) {
            plan.extend(self.stat(digest)?.map(|stat| unreferenced(*digest, &stat)));
        }
        Ok(plan)
    }

    fn plan(&self, options: GcOptions, now: SystemTime, needed: impl Fn(&Sha256Digest) -> bool + Sync) -> Result<GcPlan> {
        let folder = self.layout().dir("sha256");
        if self.disk().find(&folder)?.is_none_or(|stat| stat.kind != Kind::Dir) {
            // As while its volume is not mounted: nothing is known of any blob then.
            return Err(StoreError::BadRecord { path: folder, why: "no folder is there".into() });
        }
        let blobs = self.blobs()?;
        let present: HashSet<&Sha256Digest> = blobs.iter().collect();
        let mut recorded = HashSet::new();
        let mut orphans = Vec::new();
        for (dir, extension) in [("meta", ".json"), ("segments", "")] {
            for shard in 0..=255 {
                let folder = self.layout().dir(dir).join(format!("{shard:02x}"));
                // Anything but a regular file is no record, here and below: it is left alone, and `doctor` names it.
                for entry in disk::absent_is_none(self.disk().list(&folder))?.unwrap_or_default() {
                    let digest = entry.name.strip_suffix(extension).and_then(Layout::digest_of);
                    let Some(digest) = digest.filter(|digest| entry.kind == Kind::File && digest.as_bytes()[0] == shard) else {
                        continue;
                    };
                    if present.contains(&digest) {
                        if dir == "meta" {
                            recorded.insert(digest);
                        }
                    } else if !needed(&digest) {
                        // What is known of a blob that something needs stays, wherever the blob is.
                        orphans.push(folder.join(entry.name));
                    }
                }
            }
        }
        let mut plan = self.census(&blobs, options, now, &recorded, &needed)?;
        plan.orphans = orphans;
        let marks = self.marks()?.into_iter().filter(|digest| !present.contains(digest) && !needed(digest));
        plan.orphans.extend(marks.map(|digest| self.layout().damage(&digest)));
        for partial in self.partials()? {
            if self.is_abandoned(&partial.key, options, now)? {
                let what = partial.claim.map_or_else(|| partial.key.to_string(), |claim| claim.what);
                plan.partials.push((partial.key, what, partial.allocated));
            }
        }
        for dir in ["tmp", "lock", "leases"] {
            let dir = self.layout().dir(dir);
            let strays = |entry: &&Entry| entry.name.starts_with(".tmp-") && matches!(entry.kind, Kind::File | Kind::Symlink);
            for entry in self.disk().list_sorted(&dir)?.iter().filter(strays) {
                let path = dir.join(&entry.name);
                if self.disk().find(&path)?.is_some_and(|stat| age(now, stat.mtime_ns) >= STRAY_AGE) {
                    plan.strays.push(path);
                }
            }
        }
        for entry in self.disk().list_sorted(&self.layout().dir("trash"))?.into_iter().filter(|entry| entry.kind == Kind::File) {
            let path = self.layout().dir("trash").join(&entry.name);
            let Some((digest, stat)) = trashed_digest(&entry.name).zip(self.disk().find(&path)?) else { continue };
            let is_dead = entry.name.starts_with(DEAD);
            // One that something needs is brought back.
            if is_dead || present.contains(&digest) || !needed(&digest) {
                plan.trash.push(unreferenced(digest, &stat));
            }
        }
        Ok(plan)
    }

    /// Looks at each blob that nothing needs, and at its record where there is one. Each look is a round trip to the disk or
    /// the server; a few at once hide that.
    fn census(
        &self,
        blobs: &[Sha256Digest],
        options: GcOptions,
        now: SystemTime,
        recorded: &HashSet<Sha256Digest>,
        needed: &(impl Fn(&Sha256Digest) -> bool + Sync),
    ) -> Result<GcPlan> {
        let count = |blobs: &[Sha256Digest]| -> Result<GcPlan> {
            let mut plan = GcPlan::default();
            for digest in blobs {
                if needed(digest) {
                    plan.kept += 1;
                    continue;
                }
                let Some(stat) = self.stat(digest)? else { continue };
                let age = match recorded.contains(digest) {
                    true => self.age_of_blob(digest, &stat, now)?,
                    false => age(now, stat.mtime_ns),
                };
                if age < options.grace {
                    plan.young.0 += 1;
                    plan.young.1 += stat.len;
                } else {
                    plan.blobs.push(unreferenced(*digest, &stat));
                }
            }
            Ok(plan)
        };
        let workers = parallel::processors(blobs.len(), CENSUS_LEAST);
        let parts = parallel::map(blobs.chunks(CENSUS_LEAST), workers, count)?;
        Ok(parts.into_iter().fold(GcPlan::default(), |mut plan, part| {
            plan.kept += part.kept;
            plan.young = (plan.young.0 + part.young.0, plan.young.1 + part.young.1);
            plan.blobs.extend(part.blobs);
            plan
        }))
    }

    /// How long ago a blob was published or last verified. The bytes may be older: those of a download that was
    /// finished long before it was verified, or of a file that was taken in.
    fn age_of_blob(&self, digest: &Sha256Digest, stat: &Stat, now: SystemTime) -> Result<Duration> {
        let noted = self.disk().find(&self.layout().meta(digest))?.map_or(0, |meta| meta.mtime_ns);
        Ok(age(now, stat.mtime_ns.max(noted)))
    }

    /// Whether a partial download is there that nobody touched for long, or whose blob is there already.
    fn is_abandoned(&self, key: &IntakeKey, options: GcOptions, now: SystemTime) -> Result<bool> {
        let dir = self.layout().ingest(key);
        let Some(own) = self.disk().find(&dir)? else { return Ok(false) };
        if let IntakeKey::Sha256(digest) = key
            && self.find(digest)?.is_some()
        {
            return Ok(true);
        }
        let files = ["journal", "data", "claim"].iter().map(|name| self.disk().find(&dir.join(name)));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let newest = files.into_iter().flatten().fold(own.mtime_ns, |newest, stat| newest.max(stat.mtime_ns));
        Ok(age(now, newest) >= options.partial_age)
    }
}

impl Collector {
    /// Plans and carries out a collection.
    pub fn collect(&mut self, options: GcOptions, now: SystemTime) -> Result<GcReport> {
        let plan = self.store.plan_collection(options, now)?;
        self.carry_out(&plan, options, now)
    }

    /// Carries out a plan. Each part of it is looked at again and stays where something needs it by now; the report is of
    /// what went.
    pub fn carry_out(&mut self, plan: &GcPlan, options: GcOptions, now: SystemTime) -> Result<GcReport> {
        self.roots.refresh(&self.store)?;
        let mut report = GcReport::default();
        {
            // Leases of dead processes go even where there is nothing else to do.
            let _alone = self.store.exclusive()?;
            self.store.live_leases()?;
        }
        let candidates: Vec<Sha256Digest> = plan.blobs.iter().map(|blob| blob.digest).collect();
        self.condemn(&candidates, Some((options.grace, now)), &mut report)?;
        self.purge(&mut report)?;
        self.drop_orphans(&plan.orphans, &mut report)?;
        for (key, what, bytes) in &plan.partials {
            let lock_path = self.store.layout().blob_lock(key);
            // Held, or touched meanwhile: somebody is downloading it after all.
            if let Some(_lock) = self.store.try_acquire_file(&lock_path)?
                && self.store.is_abandoned(key, options, now)?
            {
                partial::remove_ingest_dir(&self.store, &self.store.layout().ingest(key))?;
                report.partials.push((*key, what.clone(), *bytes));
                report.freed += bytes;
            }
        }
        for stray in &plan.strays {
            if self.store.disk().remove_if_there(stray)? {
                report.leftovers.push(stray.clone());
            }
        }
        self.sweep_blob_locks(&mut report)?;
        Ok(report)
    }

    /// Removes those of `candidates` that nothing needs, whatever their age.
    pub fn drop_unreferenced(&mut self, candidates: &[Sha256Digest]) -> Result<GcReport> {
        let mut report = GcReport::default();
        self.roots.refresh(&self.store)?;
        self.condemn(candidates, None, &mut report)?;
        self.purge(&mut report)?;
        Ok(report)
    }

    fn condemn(&mut self, candidates: &[Sha256Digest], grace: Option<(Duration, SystemTime)>, report: &mut GcReport) -> Result<()> {
        let mut left = candidates.iter().peekable();
        let mut pause = Duration::ZERO;
        while left.peek().is_some() {
            std::thread::sleep(pause);
            let store = self.store.clone();
            // Read before, so that little is left to read while nobody else can do anything.
            self.roots.refresh(&store)?;
            let _alone = store.exclusive()?;
            let begun = Instant::now();
            self.roots.refresh(&store)?;
            let leased: HashSet<Sha256Digest> = store.live_leases()?.into_iter().collect();
            for digest in left.by_ref() {
                if !self.roots.needs(digest) && !leased.contains(digest) {
                    self.condemn_one(digest, grace, report)?;
                }
                if begun.elapsed() > SECTION_BUDGET {
                    break;
                }
            }
            pause = report.end_of_section(begun);
        }
        Ok(())
    }

    fn condemn_one(&self, digest: &Sha256Digest, grace: Option<(Duration, SystemTime)>, report: &mut GcReport) -> Result<()> {
        let store = &self.store;
        let Some(stat) = store.stat(digest)? else { return Ok(()) };
        if let Some((grace, now)) = grace
            && store.age_of_blob(digest, &stat, now)? < grace
        {
            return Ok(());
        }
        let trash = store.layout().trash(digest);
        // An older condemned copy of the same bytes may be there; the newer takes its place.
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

    /// Removes what is in the trash. In a section each blob loses the name by which it could be had back, and its
    /// records; its bytes go after the section. One that something needs is brought back: its consumer may have died
    /// after publishing the root and before doing so itself.
    fn purge(&mut self, report: &mut GcReport) -> Result<()> {
        let store = &self.store.clone();
        let trash = store.layout().dir("trash");
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
                    let path = trash.join(&name);
                    if let Some(digest) = Layout::digest_of(&name) {
                        let Some(stat) = store.disk().find(&path)? else { continue };
                        if (self.roots.needs(&digest) || leased.contains(&digest)) && store.find(&digest)?.is_none() {
                            store.restore(&digest)?;
                            continue;
                        }
                        let dead = trash.join(format!("{DEAD}{digest}"));
                        store.disk().rename(&path, &dead)?;
                        store.disk().remove_if_there(&path)?;
                        if store.find(&digest)?.is_none() {
                            store.disk().remove_if_there(&store.layout().meta(&digest))?;
                            store.disk().remove_if_there(&store.layout().segments(&digest))?;
                            store.drop_mark(&digest)?;
                        }
                        doomed.push((dead, unreferenced(digest, &stat)));
                    } else if let Some(digest) = trashed_digest(&name) {
                        let Some(stat) = store.disk().find(&path)? else { continue };
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
        let dir = self.store.layout().dir("lock").join("b");
        let mut names = self.store.disk().list_sorted(&dir)?.into_iter().map(|entry| entry.name).peekable();
        let mut pause = Duration::ZERO;
        while names.peek().is_some() {
            std::thread::sleep(pause);
            let _alone = self.store.exclusive()?;
            let begun = Instant::now();
            for name in names.by_ref() {
                let path = dir.join(&name);
                if name.parse::<IntakeKey>().is_ok()
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

    /// Begins a section in which nobody else is in one.
    fn exclusive(&self) -> Result<FileLock> {
        self.acquire(&self.layout().store_lock(), LockKind::Exclusive, "the store", &self.0.wait)
    }
}

fn unreferenced(digest: Sha256Digest, stat: &Stat) -> Unreferenced {
    Unreferenced { digest, size: stat.len, frees: if stat.nlink > 1 || stat.kind != Kind::File { 0 } else { stat.allocated } }
}

fn trashed_digest(name: &str) -> Option<Sha256Digest> {
    Layout::digest_of(name.strip_prefix(DEAD).unwrap_or(name))
}

pub(super) fn age(now: SystemTime, mtime_ns: i64) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(mtime_ns.max(0) as u64))
}
