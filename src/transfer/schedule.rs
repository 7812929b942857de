//! Which connection fetches what.
//!
//! Files are taken in order and cut into pieces of whole segments. Pieces get smaller towards the end of all work
//! (guided self-scheduling, Polychronopoulos and Kuck, 1987), so that the connections end together without fetching
//! anything twice; and they are fetched front first, so that hashing can follow closely.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The largest and the smallest piece, in segments, where there is a choice.
const LARGEST: u64 = 32;
const SMALLEST: u64 = 4;

/// Consecutive segments of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) job: usize,
    pub(super) segments: Range<u64>,
}

pub(super) struct Schedule(Mutex<VecDeque<Piece>>);

impl Schedule {
    /// `missing` holds, for each job, the ranges of segments it misses.
    pub(super) fn new(missing: Vec<Vec<Range<u64>>>) -> Self {
        let pieces = missing.into_iter().enumerate();
        Self(Mutex::new(pieces.flat_map(|(job, ranges)| ranges.into_iter().map(move |segments| Piece { job, segments })).collect()))
    }

    /// The next piece for one of `connections`.
    pub(super) fn take(&self, connections: usize) -> Option<Piece> {
        let mut pieces = self.pieces();
        let left: u64 = pieces.iter().map(|piece| piece.segments.end - piece.segments.start).sum();
        let front = pieces.front_mut()?;
        let share = (left / (2 * connections.max(1) as u64)).clamp(SMALLEST, LARGEST);
        let len = front.segments.end - front.segments.start;
        if len <= share {
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
        let segments: u64 = self.pieces().iter().map(|piece| (piece.segments.end - piece.segments.start).div_ceil(SMALLEST)).sum();
        usize::try_from(segments).unwrap_or(usize::MAX)
    }

    fn pieces(&self) -> MutexGuard<'_, VecDeque<Piece>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
