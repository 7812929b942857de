//! Fetches what a plan misses: takes the locks of the files, and moves their bytes into the store.

use super::{FileSupply, ModelManager, plan::Plan};
use crate::{
    disk::limits::OpenFiles,
    error::Result,
    event::Event,
    http::Location,
    source::ConnectedSources,
    store::{Acquired, BlobRequest, IngestKey, Lease, Progress, Store},
    transfer::{self, Budget, Job, TransferError, Transferred},
    weights::head_check,
};
use std::{collections::BTreeMap, sync::Arc};

impl ModelManager {
    /// Fetches every file that is not in the store; returns how the bytes of each came.
    pub(super) fn fetch_all(
        &self,
        plan: &mut Plan,
        store: &Store,
        lease: &Arc<Lease>,
        sources: Option<&ConnectedSources>,
    ) -> Result<Vec<Moved>> {
        let mut fetched = vec![Moved::default(); plan.files.len()];
        let order: Vec<usize> = (0..plan.files.len()).filter(|index| plan.files[*index].is_missing()).collect();
        let Some(sources) = sources.filter(|_| !order.is_empty()) else {
            self.check_indexes(plan, store)?;
            return Ok(fetched);
        };
        let (files, bytes) = match &self.batch {
            None => (order.len(), plan.missing().values().map(|file| file.to_fetch()).sum()),
            // Only what is not in the total of all plans already.
            Some(batch) => {
                let new = batch.unannounced(plan);
                (new.len(), new.iter().map(|file| file.to_fetch()).sum())
            }
        };
        if files > 0 {
            self.report(&Event::Planned { files, bytes });
        }
        store.require_space(plan.room(store))?;
        let (first, rest): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|index| plan.comes_first(&plan.files[*index]));
        let from = Supplier { store, lease, sources };
        self.fetch_some(plan, first, &mut fetched, &from)?;
        self.check_indexes(plan, store)?;
        self.fetch_some(plan, rest, &mut fetched, &from)?;
        Ok(fetched)
    }

    /// Fetches these files, as many side by side as may be open.
    fn fetch_some(&self, plan: &mut Plan, order: Vec<usize>, fetched: &mut [Moved], from: &Supplier<'_>) -> Result<()> {
        // Every process takes the locks of a set in one order, so that two of them cannot wait for each other.
        let mut order: Vec<(IngestKey, usize)> = order.into_iter().map(|index| (plan.files[index].key(), index)).collect();
        order.sort();
        let side_by_side = OpenFiles::now().downloads;
        let side_by_side = self.batch.as_ref().map_or(side_by_side, |batch| batch.part_of(side_by_side));
        order.chunks(side_by_side).try_for_each(|part| self.fetch_part(plan, part, fetched, from))
    }

    /// Fetches these files side by side. All their locks are released at the end.
    ///
    /// Where the endpoints sent something else than a file's hash, that file begins anew at the next of them: its hash
    /// decides, not who serves it.
    fn fetch_part(&self, plan: &mut Plan, order: &[(IngestKey, usize)], fetched: &mut [Moved], from: &Supplier<'_>) -> Result<()> {
        let http = from.sources.http();
        let sizes = || order.iter().map(|(_, index)| plan.files[*index].size.unwrap_or(0));
        let budget = match &self.batch {
            Some(batch) => batch.budget(http, self).clone(),
            None => Budget::new(http, self.connections(), sizes()),
        };
        let mut begin: BTreeMap<usize, Begin> = BTreeMap::new();
        let mut wrong = None;
        loop {
            let Admitted { mut jobs, job_of } = self.admit_all(plan, order, &begin, from)?;
            // After something wrong came, no more than the file itself is asked for.
            if begin.is_empty() {
                self.plan_borrowing(plan, (&mut jobs, &job_of), from.store, from.lease, http)?;
            }
            let (tries, reporter) = (self.settings.network.tries, self.reporter.clone());
            let run = transfer::run_within(&budget, http, jobs, tries, reporter, &self.cancel);
            let error = match self.block_on(async { Ok(run.await) })? {
                Ok(arrived) => {
                    self.remember_hashes(from.store, arrived.iter().map(|done| &done.blob.digest));
                    let mut told = None;
                    for (index, job) in job_of {
                        plan.files[index].sha256 = Some(arrived[job].blob.digest);
                        // What was transferred once is reported once, with the first of its names.
                        let Transferred { fetched: came, borrowed, .. } = arrived[job];
                        fetched[index] = if told == Some(job) { Moved::default() } else { Moved { fetched: came, borrowed } };
                        told = Some(job);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let Some(file) = error.wrong_content() else {
                // That no other endpoint could be asked is not what went wrong.
                let could_not_ask = matches!(error, TransferError::Http { .. });
                return Err(wrong.filter(|_| could_not_ask).unwrap_or(error).into());
            };
            let index = job_of.iter().map(|(index, _)| *index).find(|index| plan.files[*index].path.as_str() == file);
            let Some(index) = index else { return Err(error.into()) };
            let places = plan.places(from.sources, &plan.files[index])?;
            let Some(next) = begin.get(&index).copied().unwrap_or(Begin::AT_FIRST).next(places.len()) else {
                return Err(error.into());
            };
            let place = places.get(next.first).or(places.first()).and_then(Location::origin);
            let at = place.map_or_else(String::new, |origin| origin.to_string());
            let how = if next.as_whole { " and as a whole" } else { "" };
            self.report(&Event::Warning(format!("{error}; it is downloaded again from {at}{how}").into()));
            begin.insert(index, next);
            wrong = Some(error);
        }
    }

    /// Takes the locks of these files and opens what is to be filled.
    fn admit_all(
        &self,
        plan: &mut Plan,
        order: &[(IngestKey, usize)],
        begin: &BTreeMap<usize, Begin>,
        from: &Supplier<'_>,
    ) -> Result<Admitted> {
        let Supplier { store, lease, sources } = *from;
        let mut admitted = Admitted { jobs: Vec::new(), job_of: Vec::new() };
        let mut last = None;
        for &(key, index) in order {
            // A set may hold one content under several names: it is fetched once, and its lock is ours already.
            if last == Some(key) {
                admitted.job_of.push((index, admitted.jobs.len() - 1));
                continue;
            }
            let file = &mut plan.files[index];
            let want = BlobRequest { key, size: file.size.unwrap_or(0), what: file.path.to_string(), trust: file.trust() };
            let acquired = match (file.again, file.supply, file.sha256) {
                (true, ..) => store.begin_replace(want, lease, store.wait())?,
                // What is whole of it need not travel again.
                (false, FileSupply::Damaged, Some(digest)) if store.locks_work() && store.damage(&digest)?.is_some() => {
                    let blob = store.layout().blob(&digest);
                    let progress = Progress { bytes: &|_| (), cancel: &self.cancel };
                    Acquired::Writer(store.begin_repair(&digest, want.size, &blob, lease, store.wait(), progress)?)
                }
                _ => store.begin_ingest(want, lease, store.wait())?,
            };
            match acquired {
                Acquired::Present(blob) => file.sha256 = Some(blob.digest),
                Acquired::Writer(writer) => {
                    let source = self.source(&plan.target.source, plan, &plan.files[index]);
                    let file = &plan.files[index];
                    let mut locations = plan.places(sources, file)?;
                    let begin = begin.get(&index).copied().unwrap_or(Begin::AT_FIRST);
                    match begin.first < locations.len() {
                        true => drop(locations.drain(..begin.first)),
                        false => locations.truncate(1),
                    }
                    last = Some(key);
                    admitted.job_of.push((index, admitted.jobs.len()));
                    admitted.jobs.push(Job {
                        file: file.path.to_string(),
                        writer,
                        locations,
                        expected: file.sha256,
                        source: Some(source.into()),
                        check_head: head_check(file.path.file_name()),
                        // Nothing would tell that two ranges are of two versions.
                        as_whole: begin.as_whole || file.cannot_tell_versions(),
                        borrow: None,
                    });
                }
            }
        }
        Ok(admitted)
    }
}

/// How the bytes of a file came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// Bytes that travelled.
    pub(super) fetched: u64,
    /// Bytes that were copied from other blobs of the store.
    pub(super) borrowed: u64,
}

/// With which endpoint a file begins.
#[derive(Clone, Copy)]
struct Begin {
    /// Its number; behind the last one, the first alone.
    first: usize,
    /// In one answer and without ranges.
    as_whole: bool,
}

impl Begin {
    const AT_FIRST: Self = Self { first: 0, as_whole: false };

    /// After something wrong came, the next endpoint; after the last, the first once more and alone, for it may have sent only
    /// a part of what was wrong; and in the end the whole file in one answer, for ranges may be what is wrong.
    fn next(self, endpoints: usize) -> Option<Self> {
        match self {
            Self { as_whole: true, .. } => None,
            Self { first, .. } if endpoints > 1 && first < endpoints => Some(Self { first: first + 1, as_whole: false }),
            _ => Some(Self { first: 0, as_whole: true }),
        }
    }
}

/// Files whose locks are held, and for each index of a plan the job that fills it.
struct Admitted {
    jobs: Vec<Job>,
    job_of: Vec<(usize, usize)>,
}

/// What fetching needs beside the files themselves.
struct Supplier<'a> {
    store: &'a Store,
    lease: &'a Arc<Lease>,
    sources: &'a ConnectedSources,
}
