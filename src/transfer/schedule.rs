//! Which connection fetches what.
//!
//! Files are taken in order and cut into pieces of whole segments. Pieces get smaller towards the end of all work
//! (guided self-scheduling, Polychronopoulos and Kuck, 1987), so that the connections end together; and they are fetched
//! first segment first, so that hashing can follow closely.
//!
//! No piece is larger than it must be to make up for its request: a connection is idle for a round trip then, which large
//! pieces hide. Small ones keep the connections close together, so that the hash cursor finds its segments in memory.
//!
//! Where a single segment takes long, pieces are single segments, so that no connection ends long after the others. One may
//! still become slow with a large piece before it. When no unassigned work is left, an idle connection steals half of the
//! slowest connection's remaining segments. That closes a connection, and what is on its way in it travels twice.

use crate::digest::SEGMENT_LEN;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The largest and the smallest piece, in segments, where there is a choice.
const LARGEST: u64 = 32;
const SMALLEST: u64 = 2;
/// The largest piece before anything is known of the server.
const FIRST: u64 = 8;
/// Where a segment takes this long, a piece is one.
const SLOW: Duration = Duration::from_millis(500);
/// A file that is no longer than this is not cut: small files are asked for once.
const UNCUT: u64 = 4;
/// How many times longer than its request a piece should take.
const WORTH: f64 = 16.0;
/// A connection whose body began to come less than this ago may only be starting.
const STARTING: Duration = Duration::from_secs(1);
/// One that will be done sooner than this is not helped.
const SOON: Duration = Duration::from_secs(5);

/// Consecutive segments of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) job: usize,
    pub(super) segments: Range<u64>,
}

/// A piece that a connection has, and the number under which it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) number: u64,
    pub(super) piece: Piece,
}

pub(super) struct Schedule {
    work: Mutex<Work>,
    /// The largest piece now, in segments.
    largest: AtomicU64,
    /// Nanoseconds that a request takes where nothing else delays it.
    round_trip: AtomicU64,
    /// Whether connections that are done help others.
    helps: bool,
}

struct Work {
    /// What no connection fetches yet.
    pieces: VecDeque<Piece>,
    /// What the connections are at.
    assignments: Vec<InFlight>,
    next_number: u64,
    /// Of each job, whether it may be all of a small file.
    may_be_whole: Vec<bool>,
    /// Of each job, whether one connection fetches all of it.
    single: Vec<bool>,
}

/// An assignment under way.
struct InFlight {
    number: u64,
    job: usize,
    /// The segment that is coming now; it is never taken over.
    next: u64,
    end: u64,
    /// When the body began to come, and with which segment. A request that is not answered yet says nothing of how fast its
    /// body will be; its own time limit ends it.
    begun: Option<(Instant, u64)>,
    /// It may be all of a small file, which is asked for once: that may be all that a server without ranges can do.
    may_be_whole: bool,
}

impl InFlight {
    /// Segments that have not begun to come.
    fn before_it(&self) -> u64 {
        self.end.saturating_sub(self.next + 1)
    }

    /// How long they will take if they come as those before; nothing where that cannot be told yet. While the first is coming
    /// it is not known to be faster than it has been so far.
    fn time_left(&self, now: Instant) -> Duration {
        let Some((begun, first)) = self.begun.filter(|_| !self.may_be_whole) else { return Duration::ZERO };
        let took = now.saturating_duration_since(begun);
        if took < STARTING {
            return Duration::ZERO;
        }
        took.mul_f64(self.before_it() as f64 / (self.next - first).max(1) as f64)
    }
}

impl Work {
    /// The slowest connection, if it needs help.
    fn slowest(&mut self, now: Instant) -> Option<&mut InFlight> {
        let slowest = self.assignments.iter_mut().max_by_key(|assignment| assignment.time_left(now))?;
        (slowest.before_it() > 0 && slowest.time_left(now) >= SOON).then_some(slowest)
    }

    fn assign(&mut self, piece: Piece) -> Assignment {
        let number = self.next_number;
        self.next_number += 1;
        self.begin(number, &piece);
        Assignment { number, piece }
    }

    fn begin(&mut self, number: u64, piece: &Piece) {
        let (job, Range { start, end }) = (piece.job, piece.segments.clone());
        self.assignments.push(InFlight { number, job, next: start, end, begun: None, may_be_whole: self.may_be_whole[job] });
    }

    fn at(&mut self, number: u64) -> Option<&mut InFlight> {
        self.assignments.iter_mut().find(|assignment| assignment.number == number)
    }
}

impl Schedule {
    /// `missing` holds, for each job, the ranges of segments it misses. With `helps`, a connection that is done takes over a
    /// part of what a slow one has before it.
    pub(super) fn new(missing: Vec<Vec<Range<u64>>>, helps: bool) -> Self {
        let single = vec![false; missing.len()];
        let may_be_whole = missing.iter().map(|ranges| matches!(ranges[..], [Range { start: 0, end }] if end <= UNCUT)).collect();
        let pieces = missing.into_iter().enumerate();
        let pieces = pieces.flat_map(|(job, ranges)| ranges.into_iter().map(move |segments| Piece { job, segments })).collect();
        Self {
            work: Mutex::new(Work { pieces, assignments: Vec::new(), next_number: 0, may_be_whole, single }),
            largest: AtomicU64::new(FIRST),
            round_trip: AtomicU64::new(u64::MAX),
            helps,
        }
    }

    /// Learns from a piece of `bytes` bytes that was `waited` for and then `took` so long to come.
    pub(super) fn learn(&self, waited: Duration, took: Duration, bytes: u64) {
        let segments = bytes as f64 / SEGMENT_LEN as f64;
        if segments < 1.0 || took.is_zero() {
            return;
        }
        // The shortest of late, for a busy machine delays some requests for reasons of its own.
        let round_trip = self.round_trip.load(Ordering::Relaxed);
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX).min(round_trip.saturating_add(round_trip / 16));
        self.round_trip.store(waited, Ordering::Relaxed);
        let wanted = (WORTH * waited as f64 * segments / took.as_nanos() as f64).ceil() as u64;
        let before = self.largest.load(Ordering::Relaxed);
        let smallest = if took.div_f64(segments) >= SLOW { 1 } else { SMALLEST };
        self.largest.store((before + wanted.clamp(smallest, LARGEST)) / 2, Ordering::Relaxed);
    }

    /// The next piece for one of `connections`. The connection that takes it calls [`Schedule::end`] when it is done with it,
    /// however that went.
    pub(super) fn take(&self, connections: usize, now: Instant) -> Option<Assignment> {
        let mut work = self.work();
        let left: u64 = work.pieces.iter().map(|piece| piece.segments.end - piece.segments.start).sum();
        let Some(first) = work.pieces.front_mut() else {
            let slowest = work.slowest(now).filter(|_| self.helps)?;
            let from = slowest.end - slowest.before_it().div_ceil(2);
            let piece = Piece { job: slowest.job, segments: from..slowest.end };
            slowest.end = from;
            return Some(work.assign(piece));
        };
        let largest = self.largest.load(Ordering::Relaxed);
        let share = (left / (2 * connections.max(1) as u64)).clamp(SMALLEST.min(largest), largest);
        let (job, len) = (first.job, first.segments.end - first.segments.start);
        if len <= share || work.may_be_whole[job] {
            let piece = work.pieces.pop_front()?;
            return Some(work.assign(piece));
        }
        let first = work.pieces.front_mut()?;
        let cut = first.segments.start + share;
        let piece = Piece { job, segments: first.segments.start..cut };
        first.segments.start = cut;
        Some(work.assign(piece))
    }

    /// Notes that the body of an assignment begins to come now; `None`, that it is asked for and nothing comes yet.
    pub(super) fn comes(&self, number: u64, since: Option<Instant>) {
        if let Some(assignment) = self.work().at(number) {
            assignment.begun = since.map(|since| (since, assignment.next));
        }
    }

    /// Notes that `next` is the segment that comes now, and tells where the assignment ends: sooner than before, if another
    /// connection took a part of it over. `None` where no connection helps with it any more.
    pub(super) fn advance(&self, number: u64, next: u64) -> Option<u64> {
        let mut work = self.work();
        let assignment = work.at(number)?;
        assignment.next = next;
        Some(assignment.end)
    }

    /// Ends an assignment.
    pub(super) fn end(&self, number: u64) {
        self.work().assignments.retain(|assignment| assignment.number != number);
    }

    /// Queues again what turned out to be damaged, or what no connection fetched. Where one connection fetches all of the job it
    /// is left out: most of it is still to come there, and what is missing when that is done is queued then.
    pub(super) fn requeue(&self, piece: Piece) {
        let mut work = self.work();
        if !piece.segments.is_empty() && !work.single[piece.job] {
            work.pieces.push_front(piece);
        }
    }

    /// Makes an assignment one for all of its job, for a server that knows no ranges; `false` where another one is.
    pub(super) fn claim_whole_file(&self, number: u64, all: &Piece) -> bool {
        let mut work = self.work();
        if std::mem::replace(&mut work.single[all.job], true) {
            return false;
        }
        work.pieces.retain(|piece| piece.job != all.job);
        work.assignments.retain(|assignment| assignment.job != all.job);
        work.begin(number, all);
        true
    }

    /// Ends what [`Schedule::claim_whole_file`] began.
    pub(super) fn release_whole_file(&self, job: usize) {
        self.work().single[job] = false;
    }

    /// Whether one connection fetches all of a job.
    pub(super) fn is_single(&self, job: usize) -> bool {
        self.work().single[job]
    }

    /// Whether a connection fetches all that is missing.
    pub(super) fn is_empty(&self) -> bool {
        self.work().pieces.is_empty()
    }

    /// How many connections could be at work now.
    pub(super) fn slots(&self, now: Instant) -> usize {
        let mut work = self.work();
        let smallest = UNCUT.min(self.largest.load(Ordering::Relaxed)).max(1);
        let pieces_of = |piece: &Piece| match work.may_be_whole[piece.job] {
            true => 1,
            false => (piece.segments.end - piece.segments.start).div_ceil(smallest),
        };
        let waiting: u64 = work.pieces.iter().map(pieces_of).sum();
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let help = usize::from(self.helps && work.slowest(now).is_some());
        waiting.max(help).saturating_add(work.assignments.len())
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
