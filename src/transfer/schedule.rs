//! Which connection fetches what.
//!
//! Files are taken in order and cut into pieces of whole segments. Pieces get smaller towards the end of all work
//! (guided self-scheduling, Polychronopoulos and Kuck, 1987), so that the connections end together; and they are fetched
//! front first, so that hashing can follow closely.
//!
//! No piece is larger than it must be to make up for its request: a connection is idle for a round trip then, which large
//! pieces hide. Small ones keep the connections close together, so that the front finds its segments in memory.
//!
//! Where a single segment takes long, pieces are single segments, so that no connection ends long after the others. One may
//! still become slow with a large piece before it. When nothing is left that nobody fetches, one that is done then takes over
//! half of what the slowest has before it. That closes a connection, and what is on its way in it travels twice.

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
pub(super) struct Order {
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
    /// What nobody fetches yet.
    pieces: VecDeque<Piece>,
    /// What the connections are at.
    orders: Vec<Underway>,
    next_number: u64,
    /// Of each job, whether it may be all of a small file.
    may_be_whole: Vec<bool>,
    /// Of each job, whether one connection fetches all of it.
    single: Vec<bool>,
}

/// An order under way.
struct Underway {
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

impl Underway {
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
    fn slowest(&mut self, now: Instant) -> Option<&mut Underway> {
        let slowest = self.orders.iter_mut().max_by_key(|order| order.time_left(now))?;
        (slowest.before_it() > 0 && slowest.time_left(now) >= SOON).then_some(slowest)
    }

    fn order(&mut self, piece: Piece) -> Order {
        let number = self.next_number;
        self.next_number += 1;
        self.begin(number, &piece);
        Order { number, piece }
    }

    fn begin(&mut self, number: u64, piece: &Piece) {
        let (job, Range { start, end }) = (piece.job, piece.segments.clone());
        self.orders.push(Underway { number, job, next: start, end, begun: None, may_be_whole: self.may_be_whole[job] });
    }

    fn at(&mut self, number: u64) -> Option<&mut Underway> {
        self.orders.iter_mut().find(|order| order.number == number)
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
            work: Mutex::new(Work { pieces, orders: Vec::new(), next_number: 0, may_be_whole, single }),
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

    /// The next piece for one of `connections`. Whoever takes it says [`Schedule::end`] when it is done with it, however
    /// that went.
    pub(super) fn take(&self, connections: usize, now: Instant) -> Option<Order> {
        let mut work = self.work();
        let left: u64 = work.pieces.iter().map(|piece| piece.segments.end - piece.segments.start).sum();
        let Some(front) = work.pieces.front_mut() else {
            let slowest = work.slowest(now).filter(|_| self.helps)?;
            let from = slowest.end - slowest.before_it().div_ceil(2);
            let piece = Piece { job: slowest.job, segments: from..slowest.end };
            slowest.end = from;
            return Some(work.order(piece));
        };
        let largest = self.largest.load(Ordering::Relaxed);
        let share = (left / (2 * connections.max(1) as u64)).clamp(SMALLEST.min(largest), largest);
        let (job, len) = (front.job, front.segments.end - front.segments.start);
        if len <= share || work.may_be_whole[job] {
            let piece = work.pieces.pop_front()?;
            return Some(work.order(piece));
        }
        let front = work.pieces.front_mut()?;
        let cut = front.segments.start + share;
        let piece = Piece { job, segments: front.segments.start..cut };
        front.segments.start = cut;
        Some(work.order(piece))
    }

    /// Notes that the body of an order begins to come now; `None`, that it is asked for and nothing comes yet.
    pub(super) fn comes(&self, number: u64, since: Option<Instant>) {
        if let Some(order) = self.work().at(number) {
            order.begun = since.map(|since| (since, order.next));
        }
    }

    /// Notes that `next` is the segment that comes now, and tells where the order ends: sooner than before, if another
    /// connection took a part of it over. `None` where nobody helps with it any more.
    pub(super) fn advance(&self, number: u64, next: u64) -> Option<u64> {
        let mut work = self.work();
        let order = work.at(number)?;
        order.next = next;
        Some(order.end)
    }

    /// Ends an order.
    pub(super) fn end(&self, number: u64) {
        self.work().orders.retain(|order| order.number != number);
    }

    /// Gives back what turned out to be damaged, or what nobody fetched. Where one connection fetches all of the job it is
    /// left out: most of it is still to come there, and what is missing when that is done is given back then.
    pub(super) fn give_back(&self, piece: Piece) {
        let mut work = self.work();
        if !piece.segments.is_empty() && !work.single[piece.job] {
            work.pieces.push_front(piece);
        }
    }

    /// Makes an order one for all of its job, for a server that knows no ranges; `false` where another one is.
    pub(super) fn take_all_of(&self, number: u64, all: &Piece) -> bool {
        let mut work = self.work();
        if std::mem::replace(&mut work.single[all.job], true) {
            return false;
        }
        work.pieces.retain(|piece| piece.job != all.job);
        work.orders.retain(|order| order.job != all.job);
        work.begin(number, all);
        true
    }

    /// Ends what [`Schedule::take_all_of`] began.
    pub(super) fn end_all_of(&self, job: usize) {
        self.work().single[job] = false;
    }

    /// Whether one connection fetches all of a job.
    pub(super) fn is_single(&self, job: usize) -> bool {
        self.work().single[job]
    }

    /// Whether there is nothing that nobody fetches.
    pub(super) fn is_empty(&self) -> bool {
        self.work().pieces.is_empty()
    }

    /// How many connections could be at work now.
    pub(super) fn room(&self, now: Instant) -> usize {
        let mut work = self.work();
        let smallest = UNCUT.min(self.largest.load(Ordering::Relaxed)).max(1);
        let pieces_of = |piece: &Piece| match work.may_be_whole[piece.job] {
            true => 1,
            false => (piece.segments.end - piece.segments.start).div_ceil(smallest),
        };
        let waiting: u64 = work.pieces.iter().map(pieces_of).sum();
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let help = usize::from(self.helps && work.slowest(now).is_some());
        waiting.max(help).saturating_add(work.orders.len())
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(segments: u64) -> (Schedule, Instant) {
        (Schedule::new(vec![vec![0..segments]], true), Instant::now())
    }

    #[test]
    fn small_files_are_one_piece_each_and_go_side_by_side() {
        let schedule = Schedule::new(vec![vec![0..1], vec![], vec![0..3]], true);
        let take = || schedule.take(8, Instant::now()).map(|order| order.piece);
        assert_eq!(take(), Some(Piece { job: 0, segments: 0..1 }));
        assert_eq!(take(), Some(Piece { job: 2, segments: 0..3 }));
        assert_eq!(take(), None);
    }

    #[test]
    fn pieces_are_as_large_as_their_requests_are_slow() {
        let largest = |waited: u64, took: u64| {
            let (schedule, now) = schedule(1000);
            for _ in 0..20 {
                schedule.learn(Duration::from_millis(waited), Duration::from_millis(took), 4 * SEGMENT_LEN);
            }
            let piece = schedule.take(4, now).unwrap().piece;
            piece.segments.end - piece.segments.start
        };
        assert_eq!(largest(0, 10), SMALLEST);
        assert_eq!(largest(50, 12_000), 1, "each segment takes seconds");
        assert!((7..=8).contains(&largest(50, 400)));
        assert!(largest(1000, 400) >= LARGEST - 1);
    }

    #[test]
    fn there_is_room_for_as_many_connections_as_there_are_slow_segments() {
        let now = Instant::now();
        let schedule = Schedule::new(vec![vec![0..4], vec![0..16]], true);
        assert_eq!(schedule.room(now), 1 + 16 / UNCUT as usize);
        for _ in 0..20 {
            schedule.learn(Duration::from_millis(50), Duration::from_secs(12), 4 * SEGMENT_LEN);
        }
        assert_eq!(schedule.room(now), 1 + 16, "the small file is one piece");
        let orders: Vec<Order> = std::iter::from_fn(|| schedule.take(17, now)).collect();
        assert_eq!(orders.len(), 17);
    }

    #[test]
    fn what_is_given_back_comes_next() {
        let (schedule, now) = schedule(100);
        let piece = schedule.take(2, now).unwrap().piece;
        assert_eq!(piece.segments, 0..FIRST);
        schedule.give_back(Piece { job: 0, segments: piece.segments.start + 1..piece.segments.end });
        assert_eq!(schedule.take(2, now).unwrap().piece.segments.start, 1);
    }

    /// Takes the first range as one piece.
    fn take_all(schedule: &Schedule) -> Order {
        let mut work = schedule.work();
        let piece = work.pieces.pop_front().unwrap();
        work.order(piece)
    }

    #[test]
    fn who_is_done_takes_over_half_of_what_the_slowest_has_before_it() {
        let schedule = Schedule::new(vec![vec![8..12], vec![20..24]], true);
        let begun = Instant::now();
        let [slow, fast] = [(); 2].map(|()| take_all(&schedule));
        [&slow, &fast].into_iter().for_each(|order| schedule.comes(order.number, Some(begun)));
        let later = begun + Duration::from_secs(8);
        assert_eq!(schedule.advance(fast.number, 23), Some(24));
        assert_eq!(schedule.advance(slow.number, 9), Some(12));
        assert_eq!(schedule.room(later), 3);
        // Of the first file, segment 9 is coming and 10 and 11 are before it.
        let help = schedule.take(1, later).unwrap();
        assert_eq!(help.piece, Piece { job: 0, segments: 11..12 });
        assert_eq!(schedule.advance(slow.number, 9), Some(11));
        assert_eq!(schedule.advance(fast.number, 23), Some(24));
        // What nobody took is as slow as before, and helped once more.
        assert_eq!(schedule.take(1, later).unwrap().piece, Piece { job: 0, segments: 10..11 });
        assert_eq!(schedule.take(1, later), None);
        assert_eq!(schedule.advance(slow.number, 10), Some(10));
        schedule.end(slow.number);
        assert_eq!(schedule.advance(slow.number, 10), None);
    }

    #[test]
    fn nobody_is_helped_who_need_not_or_must_not_be() {
        let begun = Instant::now();
        let helped = |segments: Range<u64>, helps: bool, prepare: &dyn Fn(&Schedule, u64), after: u64| {
            let schedule = Schedule::new(vec![vec![segments]], helps);
            let order = take_all(&schedule);
            schedule.comes(order.number, Some(begun));
            prepare(&schedule, order.number);
            let later = begun + Duration::from_millis(after);
            let room = schedule.room(later);
            let is_helped = schedule.take(1, later).is_some();
            assert_eq!(
                is_helped,
                room > schedule.work().orders.len() - usize::from(is_helped),
                "who asks finds what he was promised"
            );
            is_helped
        };
        let nothing: &dyn Fn(&Schedule, u64) = &|_, _| {};
        assert!(helped(4..8, true, nothing, 2000));
        assert!(!helped(4..8, true, nothing, 1500), "done in less than five seconds");
        assert!(!helped(4..8, false, nothing, 2000), "under a limit of the rate");
        assert!(!helped(4..8, true, nothing, 900), "it only just began");
        assert!(!helped(0..4, true, nothing, 60_000), "all of a small file");
        assert!(
            !helped(4..8, true, &|schedule, number| assert_eq!(schedule.advance(number, 7), Some(8)), 60_000),
            "the last is coming"
        );
        assert!(
            !helped(4..8, true, &|schedule, number| assert_eq!(schedule.advance(number, 6), Some(8)), 1500),
            "soon done, at the pace it has"
        );
        assert!(!helped(4..8, true, &|schedule, number| schedule.comes(number, None), 60_000), "nothing of it comes yet");
        let all = Piece { job: 0, segments: 0..8 };
        assert!(
            !helped(4..8, true, &|schedule, number| assert!(schedule.take_all_of(number, &all)), 60_000),
            "one connection fetches the whole file"
        );
    }

    #[test]
    fn the_one_connection_that_fetches_a_whole_file_takes_nobodys_place_with_another() {
        let (schedule, now) = (Schedule::new(vec![vec![4..8], vec![0..2]], true), Instant::now());
        let single = take_all(&schedule);
        assert!(schedule.take_all_of(single.number, &Piece { job: 0, segments: 0..8 }));
        assert_eq!((schedule.room(now), schedule.advance(single.number, 1)), (2, Some(8)));
        schedule.end(single.number);
        assert_eq!(schedule.room(now), 1);
    }

    proptest! {
        #[test]
        fn the_pieces_are_exactly_what_is_missing_in_order(ends in proptest::collection::vec(1u64..500, 1..6), connections in 1usize..16) {
            let schedule = Schedule::new(ends.iter().map(|end| std::iter::once(0..*end).collect()).collect(), true);
            let mut next = vec![0; ends.len()];
            let now = Instant::now();
            while let Some(Order { piece, .. }) = schedule.take(connections, now) {
                prop_assert_eq!(piece.segments.start, next[piece.job]);
                prop_assert!(piece.segments.end - piece.segments.start <= LARGEST);
                next[piece.job] = piece.segments.end;
            }
            prop_assert_eq!(next, ends);
        }

        /// Connections that come forward in any order, at any pace, fetch each segment once.
        #[test]
        fn whoever_helps_whom_each_segment_is_fetched_once(len in 1u64..60, steps in proptest::collection::vec((0usize..6, 0u64..3000), 0..400)) {
            let (schedule, begun) = schedule(len);
            let mut now = begun;
            let mut fetched = vec![0; len as usize];
            let mut at: Vec<Option<(u64, u64, u64)>> = vec![None; 6];
            let finish = (0..6).cycle().map(|who| (who, 1500)).take(600);
            for (who, pause) in steps.into_iter().chain(finish) {
                now += Duration::from_millis(pause);
                at[who] = match at[who] {
                    None => schedule.take(6, now).map(|order| {
                        schedule.comes(order.number, Some(now));
                        (order.number, order.piece.segments.start, order.piece.segments.end)
                    }),
                    Some((number, next, _)) => {
                        fetched[next as usize] += 1;
                        let end = schedule.advance(number, next + 1).unwrap();
                        if next + 1 < end {
                            Some((number, next + 1, end))
                        } else {
                            schedule.end(number);
                            None
                        }
                    }
                };
            }
            prop_assert_eq!(fetched, vec![1; len as usize]);
        }
    }
}
