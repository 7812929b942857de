//! One file of a run: its writer, what of it is kept in memory for the hash cursor, and how far it is.

use super::{
    Run, Signal, TransferError,
    borrow::{Borrow, Borrowing},
    buffer::{Buffer, Kept},
    schedule::Piece,
};
use crate::{
    digest::{Sha256Digest, ranges},
    event::{Event, Reporter},
    http::{Body, Location},
    store::{Advance, Blob, BlobWriter, Complete, Progress, Provenance, ResumeState, StoreError, commit_all},
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Segments this far ahead of the hash cursor are kept in memory for it; others it reads back from the page cache.
const READ_AHEAD: u64 = 16;
/// What arrived is made to survive a power loss after this many bytes or this long, whichever is first.
const CHECKPOINT_BYTES: u64 = 256 << 20;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Looks at the first segment of a file of so many bytes; an error says what is wrong, as a phrase after the file's name.
pub type HeadCheck = fn(&[u8], u64) -> Result<(), String>;

/// A file to be fetched.
#[derive(Debug)]
pub struct Job {
    /// Its path in the view, for people.
    pub file: String,
    /// Where its bytes go.
    pub writer: Box<BlobWriter>,
    /// Where they come from, in order of preference; all must serve the same bytes.
    pub locations: Vec<Location>,
    /// Its SHA-256, where that is known and is not the key.
    pub expected: Option<Sha256Digest>,
    /// Where it comes from, to be recorded; `None` where that is not known, or recorded before.
    pub source: Option<Provenance>,
    /// Asked as soon as the first segment is there; on a refusal the run fails and what arrived is dropped.
    pub check_head: Option<HeadCheck>,
    /// Asked for as a whole and not in ranges, because the ranges of its server were wrong.
    pub as_whole: bool,
    /// What of it may be copied from blobs of the store; not for one that is asked for as a whole.
    pub borrow: Option<Borrow>,
}

pub(super) struct FileTransfer {
    pub(super) file: String,
    pub(super) locations: Vec<Location>,
    size: u64,
    segments: u64,
    expected: Option<Sha256Digest>,
    source: Option<Provenance>,
    pub(super) writer: Box<BlobWriter>,
    /// Whether an earlier run had hashed some of it, and that is not verified yet.
    is_unverified: bool,
    /// Whether any of it was there when the run began.
    was_begun: bool,
    /// The first segment that was not there when the run began.
    first_missing: u64,
    pub(super) borrowing: Option<Borrowing>,
    ready: Mutex<BTreeMap<u64, Kept>>,
    check_head: Option<HeadCheck>,
    /// Whether there are bytes that came as ranges, now or in an earlier run, and would travel again with the whole file.
    has_ranges: AtomicBool,
    /// Whether it is asked for as a whole from now on.
    as_whole: AtomicBool,
    complete: AtomicBool,
    pub(super) held: AtomicU64,
    fetched: AtomicU64,
    unsynced: AtomicU64,
    checkpoint: Mutex<Instant>,
    begun: Instant,
}

impl FileTransfer {
    pub(super) fn new(job: Job) -> Self {
        let Job { file, writer, locations, expected, source, check_head, as_whole, borrow } = job;
        let was_begun = writer.held() > 0;
        let fetched = borrow.as_ref().map_or(0, |borrow| borrow.fetched);
        Self {
            file,
            locations,
            size: writer.size(),
            segments: writer.segments(),
            expected,
            source,
            is_unverified: writer.resume_state() == ResumeState::Unverified,
            first_missing: writer.missing().first().map_or(0, |range| range.start),
            was_begun,
            borrowing: borrow.map(|borrow| Borrowing::new(borrow, writer.size(), &writer.missing())),
            has_ranges: AtomicBool::new(was_begun),
            held: AtomicU64::new(writer.held()),
            writer,
            ready: Mutex::default(),
            check_head,
            as_whole: AtomicBool::new(as_whole),
            complete: AtomicBool::new(false),
            fetched: AtomicU64::new(fetched),
            unsynced: AtomicU64::new(0),
            checkpoint: Mutex::new(Instant::now()),
            begun: Instant::now(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
    /// The segments that are not there.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        self.writer.missing()
    }
    /// Those of them that need bytes from the network.
    pub(super) fn to_fetch(&self) -> Vec<Range<u64>> {
        match &self.borrowing {
            Some(borrowing) => {
                ranges(self.missing().into_iter().flatten().filter(|index| !borrowing.has_all_of(self.range(*index))))
            }
            None => self.missing(),
        }
    }
    /// Those that are copied from the store as a whole.
    pub(super) fn to_assemble(&self) -> Vec<Range<u64>> {
        let Some(borrowing) = &self.borrowing else { return Vec::new() };
        ranges(self.missing().into_iter().flatten().filter(|index| borrowing.has_all_of(self.range(*index))))
    }
    pub(super) fn range(&self, segment: u64) -> Range<u64> {
        self.writer.range(segment)
    }
    pub(super) fn segments(&self) -> u64 {
        self.segments
    }
    pub(super) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed).min(self.size)
    }
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
    pub(super) fn count(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }
    /// Takes back bytes that arrived and will be asked for again.
    pub(super) fn uncount(&self, bytes: u64) {
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
    }

    /// Whether bytes would travel again if a mirror sent the whole file.
    pub(super) fn has_ranges(&self) -> bool {
        self.has_ranges.load(Ordering::Relaxed)
    }
    pub(super) fn note_ranges(&self, body: &Body) {
        if !body.whole() {
            self.has_ranges.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is asked for as a whole.
    pub(super) fn is_asked_for_all(&self) -> bool {
        self.as_whole.load(Ordering::Relaxed)
    }
    /// Requests the whole file from now on; false if that is so already.
    pub(super) fn ask_for_all(&self) -> bool {
        !self.as_whole.swap(true, Ordering::Relaxed)
    }

    /// Counts from nothing, for a server that sends all of it again.
    pub(super) fn start_over(&self) {
        self.held.store(0, Ordering::Relaxed);
    }

    pub(super) fn announce(&self, reporter: &dyn Reporter) {
        reporter.event(&Event::FileStarted { file: self.file.clone(), size: self.size, resumed: self.writer.resumed() });
    }
    pub(super) fn finish(&self, reporter: &dyn Reporter) {
        let (file, size, fetched, took) = (self.file.clone(), self.size, self.fetched(), self.begun.elapsed());
        let published = self.writer.trust(self.expected).is_published();
        let borrowed = self.report_borrowed(reporter);
        reporter.event(&Event::FileFinished { file, size, fetched, borrowed, took, published });
    }
    pub(super) fn fail(&self, reporter: &dyn Reporter) {
        reporter.event(&Event::FileFailed { file: self.file.clone() });
    }

    /// Writes a whole segment, of which so many bytes were copied from blobs of the store, and advances the hash cursor. Runs
    /// on a blocking thread.
    pub(super) fn take_segment(&self, number: usize, index: u64, (buffer, borrowed): (Buffer, u64), run: &Run) {
        let len = buffer.len() as u64;
        let write = || match borrowed {
            0 => self.writer.write(index, &buffer),
            _ => self.writer.write_borrowed(index, &buffer),
        };
        let is_taken = match self.look(index, &buffer).and_then(|()| Ok(write()?)) {
            Ok(is_taken) => is_taken,
            Err(error) => return run.tell(Signal::Failed(number, error)),
        };
        if borrowed > 0 {
            self.count_borrowed(borrowed);
        }
        let next = self.writer.hashed();
        let near = is_taken && (next..next + READ_AHEAD).contains(&index);
        if let Some(kept) = near.then(|| run.share.pool().keep(buffer, run.share.target())).flatten() {
            lock(&self.ready).insert(index, kept);
        }
        self.drive(number, run);
        if self.is_complete() {
            // The cursor may have read this segment back while it was put aside, and no task will ask for it.
            lock(&self.ready).clear();
            // Publishing syncs what there is.
            return;
        }
        self.checkpoint_if_due(number, len, run);
    }

    /// Whether the hash cursor has enough to do, so that fetching this segment now would only make it fall behind: it would
    /// have to read back, and hash twice, what can be had from memory later; and what it reads back it does more slowly, so
    /// that it would fall behind further and further. A cursor that follows what an earlier run left is not waited for.
    pub(super) fn exceeds_read_ahead(&self, index: u64) -> bool {
        // What comes over the network is a part of the file only, and the rest is copied meanwhile: that is what waits.
        self.left_to_borrow() == 0 && self.is_far_ahead(index)
    }

    /// The same for a segment that is copied from the store.
    pub(super) fn is_far_ahead(&self, index: u64) -> bool {
        let next = self.writer.hashed();
        index >= next + READ_AHEAD && next >= self.first_missing && self.writer.has(next)
    }

    /// Compares the first segment with what the file should be.
    fn look(&self, index: u64, segment: &[u8]) -> Result<(), TransferError> {
        let Some(check) = self.check_head.filter(|_| index == 0) else { return Ok(()) };
        check(segment, self.size).map_err(|why| {
            self.writer.refuse();
            TransferError::Refused { file: self.file.clone(), why }
        })
    }

    /// Hashes what an earlier run left. Runs on a blocking thread.
    pub(super) fn resume(&self, number: usize, run: &Run) {
        // Whether the file may be published is decided in `drive`; a refusal here comes before the rest is fetched.
        // What was hashed before is compared by `verify_resumed`.
        let looked = if self.is_unverified { Ok(()) } else { self.look_at_head() };
        match looked {
            Ok(()) => self.drive(number, run),
            Err(error) => run.tell(Signal::Failed(number, error)),
        }
    }

    /// Hashes as far as the segments are there, and says so when all of them are.
    pub(super) fn drive(&self, number: usize, run: &Run) {
        loop {
            match self.writer.advance(|next| self.recent(next), &run.stop) {
                Ok(Advance::Busy | Advance::Pending) => return,
                Ok(Advance::Corrupt(index)) => self.fetch_again(number, index..index + 1, run),
                Ok(Advance::Complete) => {
                    // The thread that hashed the last segment can be here before `resume` compared the first one.
                    if self.was_begun
                        && let Err(error) = self.look_at_head()
                    {
                        return run.tell(Signal::Failed(number, error));
                    }
                    if !self.complete.swap(true, Ordering::AcqRel) {
                        lock(&self.ready).clear();
                        run.tell(Signal::Complete(number));
                    }
                    return;
                }
                Err(error) => return run.tell(Signal::Failed(number, error.into())),
            }
        }
    }

    /// The segment that is hashed next, if it is still in memory. Those before it are no longer needed.
    fn recent(&self, next: u64) -> Option<Kept> {
        let mut ready = lock(&self.ready);
        *ready = ready.split_off(&next);
        ready.remove(&next)
    }

    pub(super) fn fetch_again(&self, number: usize, segments: Range<u64>, run: &Run) {
        self.uncount(self.range(segments.end - 1).end - self.range(segments.start).start);
        run.schedule.requeue(Piece { job: number, segments });
        run.tell(Signal::More);
    }

    /// Whether what an earlier run had hashed is still to be verified.
    pub(super) fn is_unverified(&self) -> bool {
        self.is_unverified
    }

    /// Compares with its values what the hash cursor did not read because an earlier run had hashed it. Runs on a blocking
    /// thread, beside everything else.
    pub(super) fn verify_resumed(&self, number: usize, run: &Run) {
        let progress = Progress { bytes: &|_| {}, cancel: &run.stop };
        let checked = self.look_at_head().and_then(|()| Ok(self.writer.verify_resumed(progress)?));
        match checked {
            // What is given back last is fetched first.
            Ok(damaged) => damaged.into_iter().rev().for_each(|segments| self.fetch_again(number, segments, run)),
            Err(TransferError::Store(StoreError::Cancelled)) => return,
            Err(error) => return run.tell(Signal::Failed(number, error)),
        }
        self.drive(number, run);
    }

    /// Compares the first segment that an earlier run left.
    fn look_at_head(&self) -> Result<(), TransferError> {
        match self.check_head.and(self.writer.head()?) {
            Some(segment) => self.look(0, &segment),
            None => Ok(()),
        }
    }

    fn checkpoint_if_due(&self, number: usize, len: u64, run: &Run) {
        let unsynced = self.unsynced.fetch_add(len, Ordering::Relaxed) + len;
        let Ok(mut last) = self.checkpoint.try_lock() else { return };
        if unsynced < CHECKPOINT_BYTES && last.elapsed() < CHECKPOINT_EVERY {
            return;
        }
        self.unsynced.store(0, Ordering::Relaxed);
        if let Err(error) = self.writer.checkpoint() {
            run.tell(Signal::Failed(number, error.into()));
        }
        *last = Instant::now();
    }

    /// The segments that were borrowed are missing again, because the hash of the whole is wrong: they are fetched, and all
    /// of it is hashed again. Runs on a blocking thread.
    pub(super) fn replace_borrowed(&self, number: usize, run: &Run) {
        self.stop_borrowing();
        self.forget_borrowed();
        self.held.store(self.writer.held(), Ordering::Relaxed);
        self.complete.store(false, Ordering::Release);
        self.missing().into_iter().rev().for_each(|segments| run.schedule.requeue(Piece { job: number, segments }));
        run.tell(Signal::More);
        self.drive(number, run);
    }

    fn complete(&self) -> Complete<'_> {
        Complete { writer: &self.writer, expected: self.expected, source: self.source.clone() }
    }

    /// Publishes complete files together, with a result for each. Runs on a blocking thread, once for each file.
    pub(super) fn commit(jobs: &[Arc<Self>]) -> Vec<Result<Blob, TransferError>> {
        let results = commit_all(jobs.iter().map(|job| job.complete()).collect());
        results.into_iter().map(|result| result.map_err(TransferError::from)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
