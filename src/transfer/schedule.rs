//! Which connection fetches what.
//!
//! Files are taken in order and cut into pieces of whole segments. Pieces get smaller towards the end of all work
//! (guided self-scheduling, Polychronopoulos and Kuck, 1987), so that the connections end together without fetching
//! anything twice; and they are fetched front first, so that hashing can follow closely.
//!
//! No piece is larger than it must be to make up for its request: a connection is idle for a round trip then, which large
//! pieces hide. Small ones keep the connections close together, so that the front finds its segments in memory.

use crate::digest::SEGMENT_LEN;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The largest and the smallest piece, in segments, where there is a choice.
const LARGEST: u64 = 32;
const SMALLEST: u64 = 2;
/// The largest piece before anything is known of the server.
const FIRST: u64 = 8;
/// What is no longer than this is not cut: small files are asked for once.
const UNCUT: u64 = 4;
/// How many times longer than its request a piece should take.
const WORTH: f64 = 16.0;

/// Consecutive segments of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) job: usize,
    pub(super) segments: Range<u64>,
}

pub(super) struct Schedule {
    pieces: Mutex<VecDeque<Piece>>,
    /// The largest piece now, in segments.
    largest: AtomicU64,
    /// Nanoseconds that a request takes where nothing else delays it.
    round_trip: AtomicU64,
}

impl Schedule {
    /// `missing` holds, for each job, the ranges of segments it misses.
    pub(super) fn new(missing: Vec<Vec<Range<u64>>>) -> Self {
        let pieces = missing.into_iter().enumerate();
        let pieces = pieces.flat_map(|(job, ranges)| ranges.into_iter().map(move |segments| Piece { job, segments })).collect();
        Self { pieces: Mutex::new(pieces), largest: AtomicU64::new(FIRST), round_trip: AtomicU64::new(u64::MAX) }
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
        self.largest.store((before + wanted.clamp(SMALLEST, LARGEST)) / 2, Ordering::Relaxed);
    }

    /// The next piece for one of `connections`.
    pub(super) fn take(&self, connections: usize) -> Option<Piece> {
        let mut pieces = self.pieces();
        let left: u64 = pieces.iter().map(|piece| piece.segments.end - piece.segments.start).sum();
        let front = pieces.front_mut()?;
        let share = (left / (2 * connections.max(1) as u64)).clamp(SMALLEST, self.largest.load(Ordering::Relaxed));
        let len = front.segments.end - front.segments.start;
        if len <= share.max(UNCUT) {
            return pieces.pop_front();
        }
        let cut = front.segments.start + share;
        let piece = Piece { job: front.job, segments: front.segments.start..cut };
        front.segments.start = cut;
        Some(piece)
    }

    /// Gives back what a connection did not finish, or what turned out to be damaged.
    pub(super) fn give_back(&self, piece: Piece) {
        if !piece.segments.is_empty() {
            self.pieces().push_front(piece);
        }
    }

    /// Takes every piece of one job, for a server that knows no ranges.
    pub(super) fn take_all_of(&self, job: usize) {
        self.pieces().retain(|piece| piece.job != job);
    }

    /// How many connections could find something to do.
    pub(super) fn pieces_left(&self) -> usize {
        let segments: u64 = self.pieces().iter().map(|piece| (piece.segments.end - piece.segments.start).div_ceil(UNCUT)).sum();
        usize::try_from(segments).unwrap_or(usize::MAX)
    }

    fn pieces(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_files_are_one_piece_each_and_go_side_by_side() {
        let schedule = Schedule::new(vec![vec![0..1], vec![], vec![0..3]]);
        assert_eq!(schedule.take(8), Some(Piece { job: 0, segments: 0..1 }));
        assert_eq!(schedule.take(8), Some(Piece { job: 2, segments: 0..3 }));
        assert_eq!(schedule.take(8), None);
    }

    #[test]
    fn pieces_are_as_large_as_their_requests_are_slow() {
        let largest = |waited: u64, took: u64| {
            let schedule = Schedule::new(vec![vec![0..1000]]);
            for _ in 0..20 {
                schedule.learn(Duration::from_millis(waited), Duration::from_millis(took), 4 * SEGMENT_LEN);
            }
            let piece = schedule.take(4).unwrap();
            piece.segments.end - piece.segments.start
        };
        assert_eq!(largest(0, 10), SMALLEST);
        assert!((7..=8).contains(&largest(50, 400)));
        assert!(largest(1000, 400) >= LARGEST - 1);
    }

    #[test]
    fn what_is_given_back_comes_next() {
        let schedule = Schedule::new(vec![vec![0..100]]);
        let piece = schedule.take(2).unwrap();
        schedule.give_back(Piece { job: 0, segments: piece.segments.start + 1..piece.segments.end });
        assert_eq!(schedule.take(2).unwrap().segments.start, 1);
    }

    proptest! {
        #[test]
        fn the_pieces_are_exactly_what_is_missing_in_order(ends in proptest::collection::vec(1u64..500, 1..6), connections in 1usize..16) {
            let schedule = Schedule::new(ends.iter().map(|end| std::iter::once(0..*end).collect()).collect());
            let mut next = vec![0; ends.len()];
            while let Some(piece) = schedule.take(connections) {
                prop_assert_eq!(piece.segments.start, next[piece.job]);
                prop_assert!(piece.segments.end - piece.segments.start <= LARGEST);
                next[piece.job] = piece.segments.end;
            }
            prop_assert_eq!(next, ends);
        }
    }
}
