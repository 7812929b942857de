//! Decides what of the files that are fetched is copied from blobs of the store: reads their headers, compares some bytes
//! of each tensor that a blob may have with those of the server, and leaves the rest to the transfer.
//!
//! Nothing is borrowed before the server answered this user's request for a range of the file: that is the proof that this
//! user may have it. Nothing is borrowed for a file without a published SHA-256: only that decides whether all came out
//! right. What fails here costs the gain and nothing else; the transfer meets the same failure and reports it.

use super::{
    ModelManager,
    borrow::WantedFile,
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::SEGMENT_LEN,
    disk::limits::OpenFiles,
    error::Result,
    event::Event,
    http::{Http, Location},
    store::{BlobWriter, Lease, Lender, Store},
    transfer::{Borrow, Job, LocalRange},
    weights::{self, Probe, Probes, TableReader, TensorTable},
};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

/// The first request for a header, and the largest one.
const FIRST_READ: u64 = 256 << 10;
const LARGEST_READ: u64 = 2 << 20;
/// Headers that are read at once.
const HEADERS: usize = 4;
/// Requests for probes at once, all over one signed address of each file.
const PROBES: usize = 8;
/// After so many probes that got no answer, no more are asked for.
const FAILURES: usize = 8;

/// Bytes behind headers, which are no whole segments, that are kept in memory for all files of a run.
const MOST_PREFIXES: usize = 8 << 20;

/// A file of a plan whose header is read.
struct Target<'a> {
    /// Its number in the plan.
    index: usize,
    name: String,
    size: u64,
    writer: &'a BlobWriter,
    locations: &'a [Location],
}

/// What reading a header brought, whether or not it is one.
#[derive(Default)]
struct ReadHeader {
    table: Option<TensorTable>,
    /// Bytes that travelled, and those of them that are no whole segment.
    fetched: u64,
    prefix: (u64, Vec<u8>),
}

impl ModelManager {
    /// Says for each job what of it may be borrowed. `job_of` names files by their numbers in the plan, and
    /// the job of each.
    pub(super) fn plan_borrowing(
        &self,
        plan: &Plan,
        (jobs, job_of): (&mut [Job], &[(usize, usize)]),
        store: &Store,
        lease: &Arc<Lease>,
        http: &Http,
    ) -> Result<()> {
        if !self.settings.borrow {
            return Ok(());
        }
        let mut first_names: HashMap<usize, usize> = HashMap::new();
        for (index, job) in job_of {
            first_names.entry(*job).or_insert(*index);
        }
        let mut chosen: Vec<(usize, usize)> = first_names.into_iter().map(|(job, index)| (index, job)).collect();
        chosen.sort_unstable();
        chosen.retain(|(index, job)| is_candidate(&plan.files[*index], &jobs[*job]));
        let size: u64 = chosen.iter().filter_map(|(index, _)| plan.files[*index].size).sum();
        if chosen.is_empty() || size < weights::SMALLEST_SET || !self.has_headers(store) {
            return Ok(());
        }
        let targets: Vec<Target<'_>> = chosen.iter().map(|(index, job)| Target::of(plan, *index, &jobs[*job])).collect();
        let reads: Vec<BoxFuture<'_, ReadHeader>> = targets.iter().map(|target| target.read_header(http).boxed()).collect();
        let headers: Vec<ReadHeader> = self.ask(async { Ok(stream::iter(reads).buffered(HEADERS).collect().await) })?;
        let mut borrows = self.compare(plan, &targets, &headers, (store, lease), http)?;
        let mut kept = 0;
        for (number, mut header) in headers.into_iter().enumerate() {
            kept += header.prefix.1.len();
            if kept > MOST_PREFIXES {
                // It is fetched again.
                header.prefix = (0, Vec::new());
            }
            let (found, probed) = borrows.remove(&number).unwrap_or_default();
            let (ranges, sources) = found;
            let fetched = header.fetched + probed;
            if fetched > 0 || !ranges.is_empty() {
                jobs[chosen[number].1].borrow = Some(Borrow { ranges, sources, prefix: header.prefix, fetched });
            }
        }
        Ok(())
    }

    /// Finds blobs that may have tensors of these files, and compares some bytes of each. For each target by its number: the
    /// ranges that agreed with their sources, and the bytes that travelled for that.
    fn compare(
        &self,
        plan: &Plan,
        targets: &[Target<'_>],
        headers: &[ReadHeader],
        (store, lease): (&Store, &Arc<Lease>),
        http: &Http,
    ) -> Result<HashMap<usize, (Lent, u64)>> {
        let known: Vec<(usize, &TensorTable)> =
            headers.iter().enumerate().filter_map(|(number, header)| Some((number, header.table.as_ref()?))).collect();
        let wanted: Vec<WantedFile<'_>> = known
            .iter()
            .filter_map(|(number, table)| {
                let file = &plan.files[targets[*number].index];
                Some(WantedFile { path: &file.repo_path, sha256: file.sha256?, table })
            })
            .collect();
        let Some(mut found) = self.borrowable(store, &plan.target.source, &wanted)? else { return Ok(HashMap::new()) };
        // What an earlier run left is not compared again.
        found.plan.matches.retain(|tensor| {
            let writer = targets[known[tensor.file].0].writer;
            (tensor.at / SEGMENT_LEN..(tensor.at + tensor.len).div_ceil(SEGMENT_LEN)).any(|segment| !writer.has(segment))
        });
        let used: BTreeSet<usize> = found.plan.matches.iter().flat_map(|tensor| &tensor.places).map(|place| place.source).collect();
        // As many as may be open: the first are the best.
        let most = OpenFiles::now().lenders;
        let most = self.batch.as_ref().map_or(most, |batch| batch.part_of(most));
        let used: Vec<usize> = used.into_iter().take(most).collect();
        let digests: Vec<_> = used.iter().map(|source| found.sources[*source].digest).collect();
        // The numbers that the open ones have among themselves.
        let mut place = vec![None; found.sources.len()];
        let mut sources = Vec::new();
        for (source, opened) in used.into_iter().zip(store.open_for_borrowing(&digests, lease)?) {
            place[source] = opened.as_ref().map(|_| sources.len());
            sources.extend(opened);
        }
        let sources: Arc<[Lender]> = sources.into();
        let of = |number: usize| Some(&sources[*place.get(number)?.as_ref()?]);
        let files: Vec<&Target<'_>> = known.iter().map(|(number, _)| &targets[*number]).collect();
        let (copies, probed) = self.ask(async { Ok(probe_all(Probes::new(found.plan), &files, of, http).await) })?;
        let mut borrows = HashMap::new();
        for (((number, _), copies), probed) in known.iter().zip(copies).zip(probed) {
            let ranges: Vec<LocalRange> = copies
                .into_iter()
                .filter_map(|copy| {
                    let source = (*place.get(copy.source)?)?;
                    Some(LocalRange { at: copy.at, len: copy.len, source, source_at: copy.source_at })
                })
                .collect();
            let (bytes, target) = (ranges.iter().map(|range| range.len).sum::<u64>(), &targets[*number]);
            let text = format!("{bytes} of {} bytes of {} are in other files of the store, as it seems", target.size, target.name);
            self.report(&Event::Detail(text));
            borrows.insert(*number, ((ranges, sources.clone()), probed));
        }
        Ok(borrows)
    }
}

/// Ranges, and where they are.
type Lent = (Vec<LocalRange>, Arc<[Lender]>);

/// Whether a file may be put together from others: its SHA-256 was published, it was not asked to travel again, and it comes
/// in ranges.
fn is_candidate(file: &PlannedFile, job: &Job) -> bool {
    file.published
        && !file.again
        && !job.as_whole
        && job.writer.size() > SEGMENT_LEN
        && !job.writer.missing().is_empty()
        && !job.locations.is_empty()
        && TableReader::new(file.repo_path.file_name(), job.writer.size()).is_some()
}

impl<'a> Target<'a> {
    fn of(plan: &Plan, index: usize, job: &'a Job) -> Self {
        Self {
            index,
            name: plan.files[index].repo_path.file_name().to_owned(),
            size: job.writer.size(),
            writer: &job.writer,
            locations: &job.locations,
        }
    }

    /// Reads the header from what an earlier run left, and then from the server. Whole segments are written; what cannot be
    /// read ends it without a table.
    async fn read_header(&self, http: &Http) -> ReadHeader {
        let mut read = ReadHeader::default();
        let Some(mut reader) = TableReader::new(&self.name, self.size) else { return read };
        let mut segment = Vec::new();
        while let index = reader.position() / SEGMENT_LEN
            && self.writer.read_segment(index, &mut segment).unwrap_or(false)
        {
            match reader.push(&segment) {
                Ok(Some(table)) => {
                    read.table = Some(table);
                    return read;
                }
                Ok(None) if reader.position() < self.size => {}
                Ok(None) | Err(_) => return read,
            }
        }
        let mut pending = (reader.position(), Vec::new());
        let mut most = FIRST_READ;
        let mut is_over = false;
        while !is_over && !reader.needed(most).is_empty() {
            let range = reader.needed(most);
            most = (2 * most).min(LARGEST_READ);
            let pushed = self.fetch(http, range, |chunk| {
                read.fetched += chunk.len() as u64;
                pending.1.extend_from_slice(chunk);
                if !self.keep_whole_segments(&mut pending) {
                    return false;
                }
                // What comes behind the header is kept like the rest.
                if read.table.is_none() && !is_over {
                    match reader.push(chunk) {
                        Ok(Some(table)) => (read.table, is_over) = (Some(table), true),
                        Ok(None) => {}
                        Err(_) => is_over = true,
                    }
                }
                true
            });
            if !pushed.await {
                break;
            }
        }
        read.prefix = pending;
        read
    }

    /// Writes the whole segments at the beginning of `pending`, which begins with a segment. False where that fails.
    fn keep_whole_segments(&self, (at, bytes): &mut (u64, Vec<u8>)) -> bool {
        loop {
            let index = *at / SEGMENT_LEN;
            let Range { start, end } = self.writer.range(index);
            let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            if bytes.len() < len || len == 0 {
                return true;
            }
            if !self.writer.write(index, &bytes[..len]).unwrap_or(false) {
                return false;
            }
            bytes.drain(..len);
            *at = end;
        }
    }

    /// Fetches a range from the first location that serves it, as a range. False where none did, or where `take` refuses.
    async fn fetch(&self, http: &Http, range: Range<u64>, mut take: impl FnMut(&[u8]) -> bool) -> bool {
        for location in self.locations {
            let Ok(mut body) = http.open(location, range.clone(), self.size).await else { continue };
            // A server that sends the whole file says nothing of who may have a part of it.
            if body.whole() || (body.start(), body.end()) != (range.start, range.end) {
                return false;
            }
            let mut got = 0;
            while let Ok(Some(chunk)) = body.chunk().await {
                got += chunk.len() as u64;
                if !take(&chunk) {
                    return false;
                }
            }
            return got == range.end - range.start;
        }
        false
    }

    /// Whether the server has the same bytes as each of the places; `None` where it did not answer.
    async fn ask(&self, http: &Http, probe: &Probe, of: impl Fn(usize) -> Option<&'a Lender>) -> Option<Vec<bool>> {
        let len = usize::try_from(probe.len).ok()?;
        let mut theirs = Vec::with_capacity(len);
        let whole = self.fetch(http, probe.at..probe.at.checked_add(probe.len)?, |chunk| {
            theirs.extend_from_slice(chunk);
            theirs.len() <= len
        });
        if !whole.await {
            return None;
        }
        let mut ours = vec![0; len];
        Some(
            probe
                .places
                .iter()
                .map(|(source, at)| of(*source).is_some_and(|held| held.peek(*at, &mut ours) && ours == theirs))
                .collect(),
        )
    }
}

/// Asks for probes side by side until they are decided. The copies of each file, and the bytes that travelled for it.
async fn probe_all<'a>(
    mut probes: Probes,
    files: &[&Target<'a>],
    of: impl Fn(usize) -> Option<&'a Lender> + Copy,
    http: &Http,
) -> (Vec<Vec<weights::Copy>>, Vec<u64>) {
    let mut probed = vec![0; files.len()];
    let mut waiting: VecDeque<Probe> = VecDeque::new();
    let mut asked = FuturesUnordered::new();
    let mut failures = 0;
    // Whether there is anything to gain is known after the first few, before more are asked for.
    let mut are_first = true;
    waiting.extend(probes.next_batch());
    loop {
        are_first &= !(asked.is_empty() && waiting.is_empty());
        if !are_first {
            waiting.extend(probes.next_batch());
        }
        while asked.len() < PROBES
            && let Some(probe) = waiting.pop_front()
        {
            let Some(file) = files.get(probe.file) else { continue };
            asked.push(async move {
                let equal = file.ask(http, &probe, of).await;
                (probe, equal)
            });
        }
        match asked.next().await {
            Some((probe, Some(equal))) => {
                probed[probe.file] += probe.len;
                probes.answered(&probe, &equal);
            }
            Some((_, None)) => failures += 1,
            None => break,
        }
        if failures > FAILURES {
            break;
        }
    }
    drop(asked);
    (probes.finish(), probed)
}
