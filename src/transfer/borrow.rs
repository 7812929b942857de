//! What of a file is copied from blobs of the store while the rest of it is fetched.
//!
//! Nothing here proves anything: the hash of the whole file decides, and where it is wrong the borrowed segments are
//! fetched. A range that cannot be read as it was recorded is fetched too.

use super::{Run, job::FileTransfer};
use crate::{
    digest::{SEGMENT_LEN, Sha256Digest},
    event::{Event, Reporter, Warning},
    hint::Hint,
    store::{BorrowReader, Lender},
};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

/// Fewer borrowed bytes than this between two fetched ranges are fetched with them: a request costs a connection a round trip,
/// in which about as much would come.
const JOINED: u64 = 128 << 10;
/// How fast the store is read is judged after so many bytes.
const JUDGED_AFTER: u64 = 64 << 20;

/// Bytes of a file that a blob of the store is believed to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalRange {
    /// Where in the file they begin.
    pub at: u64,
    /// How many they are.
    pub len: u64,
    /// Which of the sources has them.
    pub source: usize,
    /// Where in it they begin.
    pub source_at: u64,
}

/// What may be borrowed for a file.
#[derive(Debug, Default)]
pub struct Borrow {
    /// In the order of the file, without overlaps.
    pub ranges: Vec<LocalRange>,
    /// Where they are.
    pub sources: Arc<[Lender]>,
    /// Bytes of the file that travelled already and are no whole segment: where they begin, and the bytes.
    pub prefix: (u64, Vec<u8>),
    /// All bytes that travelled for it already.
    pub fetched: u64,
}

/// Where bytes of a file are copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Source { number: usize, at: u64 },
    Prefix,
}

/// Bytes of a file that are not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    at: u64,
    end: u64,
    from: From,
}

/// The borrowing of one file.
pub(super) struct Borrowing {
    parts: Vec<Part>,
    sources: Arc<[Lender]>,
    prefix: Vec<u8>,
    /// Segments that are fetched as a whole after all.
    refused: Mutex<BTreeSet<u64>>,
    is_over: AtomicBool,
    /// Bytes of missing segments that are to be copied from sources, and those that were.
    planned: AtomicU64,
    bytes: AtomicU64,
    /// Bytes that were read from sources, and the nanoseconds that this took.
    read: AtomicU64,
    took: AtomicU64,
    warned: AtomicBool,
}

impl Borrowing {
    /// For a file of `size` bytes that misses these segments.
    pub(super) fn new(borrow: Borrow, size: u64, missing: &[Range<u64>]) -> Self {
        let Borrow { ranges, sources, prefix: (prefix_at, prefix), .. } = borrow;
        let own = Part { at: prefix_at, end: prefix_at.saturating_add(prefix.len() as u64), from: From::Prefix };
        let parts = parts(&ranges, |source| sources.get(source).map(Lender::size), own, size);
        Self {
            planned: AtomicU64::new(missing.iter().map(|segments| bytes_of_sources(&parts, segments.clone())).sum()),
            parts,
            sources,
            prefix,
            refused: Mutex::default(),
            is_over: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            read: AtomicU64::new(0),
            took: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether all of this range of the file is copied.
    pub(super) fn has_all_of(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for part in self.parts_from(at) {
            if part.at > at || at >= range.end {
                break;
            }
            at = part.end;
        }
        at >= range.end
    }

    /// The parts that end behind this byte.
    fn parts_from(&self, at: u64) -> &[Part] {
        &self.parts[self.parts.partition_point(|part| part.end <= at)..]
    }

    /// The part that has this byte of the file, unless its segment is fetched after all.
    fn part_at(&self, at: u64) -> Option<Part> {
        let part = self.parts_from(at).first().filter(|part| part.at <= at)?;
        self.borrows(at / SEGMENT_LEN).then_some(*part)
    }

    /// Whether anything of this segment may still be copied.
    fn borrows(&self, segment: u64) -> bool {
        !self.is_over.load(Ordering::Relaxed) && !lock(&self.refused).contains(&segment)
    }

    /// From now on the whole segment is fetched.
    fn refuse(&self, segment: u64) {
        if lock(&self.refused).insert(segment) {
            let bytes = bytes_of_sources(&self.parts, segment..segment + 1);
            let less = |planned: u64| Some(planned.saturating_sub(bytes));
            let _ = self.planned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Where a range that is fetched from `at` on ends: at the next byte that is copied, or at `end`.
    fn fetch_end(&self, at: u64, end: u64) -> u64 {
        for part in self.parts_from(at).iter().take_while(|part| part.at < end) {
            let mut first = part.at.max(at);
            while first < part.end.min(end) {
                let segment = first / SEGMENT_LEN;
                if self.borrows(segment) {
                    return first;
                }
                first = (segment + 1) * SEGMENT_LEN;
            }
        }
        end
    }

    /// Whether reading is slower than a line that brings so many bytes in a second, with so many readers at once.
    fn is_slower_than(&self, line: u64, readers: usize) -> bool {
        let (read, took) = (self.read.load(Ordering::Relaxed), self.took.load(Ordering::Relaxed));
        let seconds = took as f64 / 1e9 / readers.max(1) as f64;
        read >= JUDGED_AFTER && (read as f64) < line as f64 * seconds
    }
}

impl FileTransfer {
    /// Where a request for the bytes from `at` on ends.
    pub(super) fn fetch_end(&self, at: u64, end: u64) -> u64 {
        self.borrowing.as_ref().map_or(end, |borrowing| borrowing.fetch_end(at, end))
    }

    /// Whether this byte is copied from the store.
    pub(super) fn is_borrowed(&self, at: u64) -> bool {
        self.borrowing.as_ref().is_some_and(|borrowing| borrowing.part_at(at).is_some())
    }

    /// A reader of the sources for one thread.
    pub(super) fn reader(&self) -> Option<BorrowReader> {
        self.borrowing.as_ref().map(|borrowing| BorrowReader::new(borrowing.sources.clone()))
    }

    /// Appends to the first bytes of a segment those that follow and are copied; how many of them came from the store. Reads
    /// the disk.
    pub(super) fn fill(&self, segment: u64, bytes: &mut Vec<u8>, reader: &mut BorrowReader, run: &Run) -> u64 {
        let Some(borrowing) = &self.borrowing else { return 0 };
        let range = self.range(segment);
        let mut borrowed = 0;
        loop {
            let at = range.start + bytes.len() as u64;
            let Some(part) = borrowing.part_at(at).filter(|_| at < range.end) else { return borrowed };
            let (skipped, len) = (at - part.at, part.end.min(range.end) - at);
            match part.from {
                From::Prefix => match borrowing.prefix.get(skipped as usize..(skipped + len) as usize) {
                    Some(prefix) => bytes.extend_from_slice(prefix),
                    None => return borrowed,
                },
                From::Source { number, at: source_at } => {
                    let from = source_at + skipped;
                    let begun = Instant::now();
                    if !reader.append(number, from..from + len, bytes) {
                        borrowing.refuse(segment);
                        self.warn_of_damage(borrowing, number, run);
                        return borrowed;
                    }
                    borrowed += len;
                    borrowing.read.fetch_add(len, Ordering::Relaxed);
                    let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    borrowing.took.fetch_add(took, Ordering::Relaxed);
                }
            }
        }
    }

    fn warn_of_damage(&self, borrowing: &Borrowing, number: usize, run: &Run) {
        if borrowing.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(digest) = borrowing.sources.get(number).map(Lender::digest) {
            let message = format!("the blob {digest} is damaged; what {} has in common with it is downloaded", self.file);
            run.reporter.event(&Event::Warning(Warning::with_hint(message, Hint::FindAndRepair { digest: digest.to_string() })));
        }
    }

    /// Fetches the rest where the store is read more slowly than the line was seen to be.
    pub(super) fn leave_slow_disk(&self, readers: usize, run: &Run) {
        let Some(borrowing) = &self.borrowing else { return };
        if borrowing.is_slower_than(run.share.line_rate(), readers) && !borrowing.is_over.swap(true, Ordering::Relaxed) {
            let text = format!("the disk is slower than the network, so the rest of {} is downloaded", self.file);
            run.reporter.event(&Event::Detail(text));
        }
    }

    /// Whether all that is missing is fetched.
    pub(super) fn is_fetched_all(&self) -> bool {
        self.borrowing.as_ref().is_none_or(|borrowing| borrowing.is_over.load(Ordering::Relaxed))
    }

    /// From now on all that is missing is fetched.
    pub(super) fn stop_borrowing(&self) {
        if let Some(borrowing) = &self.borrowing {
            borrowing.is_over.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn count_borrowed(&self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        if let Some(borrowing) = &self.borrowing {
            borrowing.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// What was borrowed turned out to be of no use.
    pub(super) fn forget_borrowed(&self) {
        if let Some(borrowing) = &self.borrowing {
            borrowing.bytes.store(0, Ordering::Relaxed);
        }
    }

    /// Bytes that were copied from the store.
    pub(super) fn borrowed(&self) -> u64 {
        self.borrowing.as_ref().map_or(0, |borrowing| borrowing.bytes.load(Ordering::Relaxed))
    }

    /// Bytes that are still to be copied from the store.
    pub(super) fn left_to_borrow(&self) -> u64 {
        let going_on = self.borrowing.as_ref().filter(|borrowing| !borrowing.is_over.load(Ordering::Relaxed));
        going_on.map_or(0, |borrowing| {
            borrowing.planned.load(Ordering::Relaxed).saturating_sub(borrowing.bytes.load(Ordering::Relaxed))
        })
    }

    /// The blobs that bytes are copied from.
    fn lenders(&self) -> Vec<Sha256Digest> {
        let Some(borrowing) = &self.borrowing else { return Vec::new() };
        let numbers: BTreeSet<usize> = borrowing
            .parts
            .iter()
            .filter_map(|part| match part.from {
                From::Source { number, .. } => Some(number),
                From::Prefix => None,
            })
            .collect();
        numbers.into_iter().filter_map(|number| borrowing.sources.get(number)).map(Lender::digest).collect()
    }

    /// Reports what was borrowed of a file that is finished; how many bytes.
    pub(super) fn report_borrowed(&self, reporter: &dyn Reporter) -> u64 {
        let bytes = self.borrowed();
        if bytes > 0 {
            reporter.event(&Event::Borrowed { file: self.file.clone(), bytes, from: self.lenders() });
        }
        let differed = self.writer.differed();
        if differed > 0 {
            let text = format!("{differed} bytes of {} differed from what the store has", self.file);
            reporter.event(&Event::Detail(text));
        }
        bytes
    }
}

/// The parts of a file of `size` bytes, sorted, of which none overlaps another and each is inside its source. Runs of them
/// that are shorter than a request is worth are left out, but for the prefix.
fn parts(ranges: &[LocalRange], source_size: impl Fn(usize) -> Option<u64>, prefix: Part, size: u64) -> Vec<Part> {
    let mut sorted: Vec<&LocalRange> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.at);
    let mut parts: Vec<Part> = Vec::new();
    let is_prefix = |part: &Part| part.from == From::Prefix;
    if prefix.at < prefix.end && prefix.end <= size {
        parts.push(prefix);
    }
    let mut run: Vec<Part> = Vec::new();
    let mut keep = |run: &mut Vec<Part>| {
        let len = run.last().map_or(0, |last| last.end) - run.first().map_or(0, |first| first.at);
        if len >= JOINED {
            parts.append(run);
        }
        run.clear();
    };
    let mut free_from = if prefix.end <= size { prefix.end.max(prefix.at) } else { 0 };
    for range in sorted {
        let (Some(end), Some(source_end)) = (range.at.checked_add(range.len), range.source_at.checked_add(range.len)) else {
            continue;
        };
        let cut = free_from.saturating_sub(range.at);
        let is_inside = end <= size && source_size(range.source).is_some_and(|size| source_end <= size);
        if !is_inside || cut >= range.len {
            continue;
        }
        let part = Part { at: range.at + cut, end, from: From::Source { number: range.source, at: range.source_at + cut } };
        if run.last().is_some_and(|last| last.end != part.at) {
            keep(&mut run);
        }
        free_from = end;
        run.push(part);
    }
    keep(&mut run);
    debug_assert!(parts.iter().skip(1).all(|part| !is_prefix(part)));
    parts
}

/// Bytes of these segments that are copied from sources.
fn bytes_of_sources(parts: &[Part], segments: Range<u64>) -> u64 {
    let (start, end) = (segments.start * SEGMENT_LEN, segments.end.saturating_mul(SEGMENT_LEN));
    let of_sources = parts.iter().filter(|part| part.from != From::Prefix);
    of_sources.map(|part| part.end.min(end).saturating_sub(part.at.max(start))).sum()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
