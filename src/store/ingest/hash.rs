//! The hash that follows an intake from its first byte to its last.
//!
//! SHA-256 can be computed in order only, on one core. So that a download which is resumed at nine tenths does not pay
//! for them again, the front notes in the journal how far it came, and the front of the next run begins there. It does so
//! on trust: what is on disk up to there is compared with its segment values by [`Intake::recheck`], on all cores and
//! while the rest is fetched, and nothing is published before. Where that finds damage, the front has to begin at a note
//! before it.

use crate::digest::{Midstate, SegmentValue, SequentialHasher};
use crate::store::{
    check::{self, Progress},
    error::Result,
    ingest::writer::Intake,
    layout::IntakeKey,
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A note is written after this many segments: few enough that hashing them again takes no time, and one more record
/// beside so many claims costs none.
const NOTE_EVERY: u64 = 16;

/// Follows an intake from its first byte to its last.
pub struct Front {
    hasher: SequentialHasher,
    /// Segments that were taken for hashed because a note said so.
    on_trust: u64,
    next: u64,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("on_trust", &self.on_trust).field("next", &self.next).finish_non_exhaustive()
    }
}

/// How far a front came by reading back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The next segment is not there yet, or the end is reached.
    Edge,
    /// One segment was hashed; there may be more.
    One,
    /// This segment was claimed but is damaged; it is missing again.
    Damaged(u64),
}

/// Whether the segments that a front took for hashed are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They are, or there are none.
    Sound,
    /// Nobody has looked yet.
    Unproven,
    /// One of them is damaged: the front is of no use, and another has to begin before the damage.
    Stale,
}

/// Where fronts of an intake may begin.
#[derive(Debug)]
pub(in crate::store) struct Notes(Mutex<State>);

#[derive(Debug)]
struct State {
    midstates: BTreeMap<u64, Midstate>,
    /// How many segments from the first on are what they were claimed to be, once somebody has looked.
    proven: Option<u64>,
}

impl Notes {
    pub(in crate::store) fn new(midstates: BTreeMap<u64, Midstate>) -> Self {
        Self(Mutex::new(State { midstates, proven: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> Option<Midstate> {
        self.state().midstates.last_key_value().map(|(_, midstate)| *midstate)
    }

    /// Forgets the notes of more than the first `proven` segments.
    fn prove(&self, proven: u64) {
        let mut state = self.state();
        state.midstates.retain(|segments, _| *segments <= proven);
        state.proven = Some(proven);
    }
}

impl Intake {
    /// A hasher that follows this intake: from its first byte, or from the last note of an earlier run.
    pub fn front(&self) -> Front {
        let (size, git) = (self.want().size, matches!(self.want().key, IntakeKey::Git(_)));
        // Git's SHA-1 is not noted: what it names is small.
        let noted = self.notes.latest().filter(|_| !git).and_then(|note| Some((note.segments, SequentialHasher::resume(&note)?)));
        let (on_trust, hasher) = noted.unwrap_or_else(|| (0, SequentialHasher::new(size, git)));
        Front { hasher, on_trust, next: on_trust, buffer: Vec::new() }
    }

    /// Compares the segments before the last note of an earlier run with their values. Those that are damaged are
    /// missing again, and returned as ranges of segment numbers.
    pub fn recheck(&self, progress: Progress<'_>) -> Result<Vec<Range<u64>>> {
        let noted = self.notes.latest().map_or(0, |note| note.segments);
        let values: Vec<SegmentValue> = self.claims().iter().take(noted as usize).map_while(|claim| *claim).collect();
        let damaged = match self.place.data() {
            Some(data) => check::damaged_segments(data, self.size(), &values, progress)?,
            None => Vec::new(),
        };
        let damaged: Vec<u64> = damaged.into_iter().filter(|index| self.disclaim(*index)).collect();
        self.notes.prove(damaged.first().copied().unwrap_or(values.len() as u64));
        Ok(ranges(damaged))
    }
}

/// Consecutive numbers as ranges.
pub(in crate::store) fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

impl Front {
    /// The next segment it needs.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The segment that was read back last; empty where none was.
    pub fn just_read(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether what it took for hashed is known to be there.
    pub fn standing(&self, intake: &Intake) -> Standing {
        match intake.notes.state().proven {
            _ if self.on_trust == 0 => Standing::Sound,
            None => Standing::Unproven,
            Some(proven) if self.on_trust <= proven => Standing::Sound,
            Some(_) => Standing::Stale,
        }
    }

    /// Segments that have to be looked at before what it hashed can be published.
    pub(in crate::store) fn unproven(&self, intake: &Intake) -> u64 {
        if self.standing(intake) == Standing::Sound { 0 } else { self.on_trust }
    }

    /// Takes a segment that is claimed and has this content, if it is the next one.
    pub fn push(&mut self, intake: &Intake, index: u64, data: &[u8]) -> Result<bool> {
        let is_next = index == self.next;
        if is_next {
            self.hasher.update(data);
            self.next += 1;
            if self.next.is_multiple_of(NOTE_EVERY) {
                self.note(intake)?;
            }
        }
        Ok(is_next)
    }

    /// Notes for the next run how far this one came. What nobody else can resume needs no note.
    fn note(&self, intake: &Intake) -> Result<()> {
        match (&intake.want().key, self.hasher.midstate()) {
            (IntakeKey::Sha256(_), Some(midstate)) => intake.place.hashed(&midstate),
            _ => Ok(()),
        }
    }

    /// Takes the next segment from the disk if it is claimed.
    pub fn read_back(&mut self, intake: &Intake) -> Result<Reached> {
        if self.next >= intake.segments() || !intake.has(self.next) {
            return Ok(Reached::Edge);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let good = intake.read_back(self.next, &mut buffer)?;
        if good {
            self.push(intake, self.next, &buffer)?;
        }
        self.buffer = buffer;
        Ok(if good { Reached::One } else { Reached::Damaged(self.next) })
    }

    pub(in crate::store) fn into_hasher(self) -> SequentialHasher {
        self.hasher
    }
}
