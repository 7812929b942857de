//! What a collection would remove: a value, for people and for the collector. Nothing is changed here.

use super::{GcOptions, GcPlan, ORPHAN_AGE, Unreferenced, age, unreferenced};
use crate::{
    digest::Sha256Digest,
    disk::{self, Entry, Kind, Stat, TEMP_PREFIX, parallel},
    store::{
        Result, Store, StoreError,
        layout::{Dir, IngestKey, Layout},
        snapshot::RootSnapshot,
    },
};
use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

/// So many blobs are worth a thread that looks at them.
const LEAST_MARKED: usize = 1024;

impl Store {
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
        let folder = self.layout().dir(Dir::Blobs);
        if self.disk().find(&folder)?.is_none_or(|stat| stat.kind != Kind::Dir) {
            // As while its volume is not mounted: nothing is known of any blob then.
            return Err(StoreError::BadRecord { path: folder, why: "no folder is there".into() });
        }
        let blobs = self.blobs()?;
        let present: HashSet<&Sha256Digest> = blobs.iter().collect();
        let mut recorded = HashSet::new();
        let mut orphans = Vec::new();
        for dir in [Dir::Meta, Dir::Segments] {
            for first in 0..=255 {
                let folder = self.layout().shard(dir, first);
                // Anything but a regular file is no record, here and below: it is left alone, and `doctor` names it.
                for entry in disk::absent_is_none(self.disk().list(&folder))?.unwrap_or_default() {
                    let Some(digest) = Layout::digest_in(dir, first, &entry.name).filter(|_| entry.kind == Kind::File) else {
                        continue;
                    };
                    if present.contains(&digest) {
                        if dir == Dir::Meta {
                            recorded.insert(digest);
                        }
                    } else if !needed(&digest) {
                        // What is known of a blob that something needs stays, wherever the blob is.
                        orphans.push(folder.join(entry.name));
                    }
                }
            }
        }
        let mut plan = self.mark(&blobs, options, now, &recorded, &needed)?;
        plan.orphans = orphans;
        let marks = self.marks()?.into_iter().filter(|digest| !present.contains(digest) && !needed(digest));
        plan.orphans.extend(marks.map(|digest| self.layout().damage(&digest)));
        for partial in self.partials()? {
            if self.is_abandoned(&partial.key, options, now)? {
                let what = partial.record.map_or_else(|| partial.key.to_string(), |record| record.what);
                plan.partials.push((partial.key, what, partial.allocated));
            }
        }
        for dir in [Dir::Temp, Dir::Lock, Dir::Leases] {
            let dir = self.layout().dir(dir);
            let orphan_temps =
                |entry: &&Entry| entry.name.starts_with(TEMP_PREFIX) && matches!(entry.kind, Kind::File | Kind::Symlink);
            for entry in self.disk().list_sorted(&dir)?.iter().filter(orphan_temps) {
                let path = dir.join(&entry.name);
                if self.disk().find(&path)?.is_some_and(|stat| age(now, stat.mtime_ns) >= ORPHAN_AGE) {
                    plan.orphan_temps.push(path);
                }
            }
        }
        for entry in self.disk().list_sorted(&self.layout().dir(Dir::Trash))?.into_iter().filter(|entry| entry.kind == Kind::File) {
            let path = self.layout().dir(Dir::Trash).join(&entry.name);
            let Some(((digest, is_restorable), stat)) = Layout::trashed(&entry.name).zip(self.disk().find(&path)?) else {
                continue;
            };
            // One that something needs is brought back.
            if !is_restorable || present.contains(&digest) || !needed(&digest) {
                plan.trash.push(unreferenced(digest, &stat));
            }
        }
        Ok(plan)
    }

    /// Looks at each blob that nothing needs, and at its record where there is one. Each look is a round trip to the disk or
    /// the server; a few at once hide that.
    fn mark(
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
        let workers = parallel::processors(blobs.len(), LEAST_MARKED);
        let parts = parallel::map(blobs.chunks(LEAST_MARKED), workers, count)?;
        Ok(parts.into_iter().fold(GcPlan::default(), |mut plan, part| {
            plan.kept += part.kept;
            plan.young = (plan.young.0 + part.young.0, plan.young.1 + part.young.1);
            plan.blobs.extend(part.blobs);
            plan
        }))
    }

    /// How long ago a blob was published or last verified. The bytes may be older: those of a download that was
    /// finished long before it was verified, or of a file that was imported.
    pub(super) fn age_of_blob(&self, digest: &Sha256Digest, stat: &Stat, now: SystemTime) -> Result<Duration> {
        let noted = self.disk().find(&self.layout().meta(digest))?.map_or(0, |meta| meta.mtime_ns);
        Ok(age(now, stat.mtime_ns.max(noted)))
    }

    /// Whether a partial download is there that no process touched for long, or whose blob is there already.
    pub(super) fn is_abandoned(&self, key: &IngestKey, options: GcOptions, now: SystemTime) -> Result<bool> {
        let paths = self.layout().partial(key);
        let Some(own) = self.disk().find(&paths.dir)? else { return Ok(false) };
        if let IngestKey::Sha256(digest) = key
            && self.find(digest)?.is_some()
        {
            return Ok(true);
        }
        let files = paths.files().into_iter().map(|path| self.disk().find(path));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let newest = files.into_iter().flatten().fold(own.mtime_ns, |newest, stat| newest.max(stat.mtime_ns));
        Ok(age(now, newest) >= options.partial_age)
    }
}
