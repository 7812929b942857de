//! The hash cursor of a [`BlobWriter`]: SHA-256 in order, from the first segment to the last.
//!
//! SHA-256 can be computed in order only, on one core. So that a download which is resumed at nine tenths does not pay
//! for them again, the cursor writes checkpoints into the journal: the state of SHA-256 after so many segments. A later
//! run resumes at the last one. Until [`BlobWriter::verify_resumed`] has compared the segments before it with their
//! values, on all cores and beside everything else, nothing is published. If it finds one corrupt, the cursor goes back to
//! a checkpoint before that segment.

use crate::digest::{Midstate, SegmentValue, SequentialHasher, ranges};
use crate::store::{
    check::{self, Progress},
    error::Result,
    ingest::writer::BlobWriter,
    layout::IngestKey,
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// Segments between two checkpoints: few enough that hashing them again takes no time, and one more record beside so many
/// costs none.
const CHECKPOINT_EVERY: u64 = 16;

/// How far [`BlobWriter::advance`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// Another thread is hashing; it looks again for new segments before it stops.
    Busy,
    /// The next segment is not there yet, the call was cancelled, or everything is hashed and what an earlier run had
    /// hashed is still to be verified.
    Pending,
    /// Everything is hashed and verified: it can be published.
    Complete,
    /// This segment is not what its record says. It is missing again.
    Corrupt(u64),
}

/// Whether the segments that an earlier run had hashed are known to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeState {
    /// They are, or there are none.
    Verified,
    /// They were not read yet.
    Unverified,
}

/// What one step of the cursor did.
enum ReadStep {
    Pending,
    Hashed,
    Corrupt,
}

/// The hash cursor of a writer, and where it may resume.
#[derive(Debug)]
pub(in crate::store) struct HashCursor {
    /// Taken out when the blob is published.
    state: Mutex<Option<CursorState>>,
    /// The segment that is hashed next, for those who must not wait for the lock.
    next: AtomicU64,
    checkpoints: Mutex<Checkpoints>,
}

/// SHA-256 after the first `next` segments.
struct CursorState {
    hasher: SequentialHasher,
    /// Segments that an earlier run had hashed.
    resumed_from: u64,
    next: u64,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for CursorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = (self.resumed_from, self.next);
        f.debug_struct("CursorState").field("resumed_from", &fields.0).field("next", &fields.1).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Checkpoints {
    midstates: BTreeMap<u64, Midstate>,
    /// How many segments from the first on are what their records say, once they were read.
    verified: Option<u64>,
}

impl HashCursor {
    /// The cursor of a file of `size` bytes: at its first byte, or at the last checkpoint of an earlier run.
    pub(in crate::store) fn new(size: u64, key: &IngestKey, midstates: BTreeMap<u64, Midstate>) -> Self {
        let cursor = Self {
            state: Mutex::default(),
            next: AtomicU64::new(0),
            checkpoints: Mutex::new(Checkpoints { midstates, verified: None }),
        };
        cursor.reset(&mut lock(&cursor.state), size, key);
        cursor
    }

    fn reset(&self, state: &mut Option<CursorState>, size: u64, key: &IngestKey) {
        let git = matches!(key, IngestKey::Git(_));
        // There is no checkpoint of git's SHA-1: what it names is small.
        let resumed = self.last_checkpoint().filter(|_| !git);
        let resumed = resumed.and_then(|midstate| Some((midstate.segments, SequentialHasher::resume(&midstate)?)));
        let (next, hasher) = resumed.unwrap_or_else(|| (0, SequentialHasher::new(size, git)));
        *state = Some(CursorState { hasher, resumed_from: next, next, buffer: Vec::new() });
        self.next.store(next, Ordering::Relaxed);
    }

    fn last_checkpoint(&self) -> Option<Midstate> {
        lock(&self.checkpoints).midstates.last_key_value().map(|(_, midstate)| *midstate)
    }

    /// How many of the segments that an earlier run had hashed are verified; `None` before they were read.
    fn verified(&self) -> Option<u64> {
        lock(&self.checkpoints).verified
    }
}

impl CursorState {
    fn resume_state(&self, verified: Option<u64>) -> ResumeState {
        match verified {
            _ if self.resumed_from == 0 => ResumeState::Verified,
            Some(verified) if self.resumed_from <= verified => ResumeState::Verified,
            _ => ResumeState::Unverified,
        }
    }

    /// Whether a segment that it counts as hashed is known to be corrupt.
    fn is_invalid(&self, verified: Option<u64>) -> bool {
        verified.is_some_and(|verified| self.resumed_from > verified)
    }

    /// Hashes the next segment, which has this content.
    fn hash(&mut self, writer: &BlobWriter, segment: &[u8]) -> Result<()> {
        self.hasher.update(segment);
        self.next += 1;
        writer.cursor.next.store(self.next, Ordering::Relaxed);
        if !self.next.is_multiple_of(CHECKPOINT_EVERY) {
            return Ok(());
        }
        // What no other process can resume needs no checkpoint.
        match (&writer.request().key, self.hasher.midstate()) {
            (IngestKey::Sha256(_), Some(midstate)) => writer.staging.hashed(&midstate),
            _ => Ok(()),
        }
    }

    /// Hashes the next segment from the disk, if it is there.
    fn read_step(&mut self, writer: &BlobWriter) -> Result<ReadStep> {
        if self.next >= writer.segments() || !writer.has(self.next) {
            return Ok(ReadStep::Pending);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let is_whole = writer.read_back(self.next, &mut buffer)?;
        if is_whole {
            self.hash(writer, &buffer)?;
        }
        self.buffer = buffer;
        Ok(if is_whole { ReadStep::Hashed } else { ReadStep::Corrupt })
    }
}

impl BlobWriter {
    /// Number of segments that are hashed. It does not wait for a thread that is hashing.
    pub fn hashed(&self) -> u64 {
        self.cursor.next.load(Ordering::Relaxed)
    }

    /// Whether what an earlier run had hashed is known to be there.
    pub fn resume_state(&self) -> ResumeState {
        let verified = self.cursor.verified();
        lock(&self.cursor.state).as_ref().map_or(ResumeState::Verified, |state| state.resume_state(verified))
    }

    /// Hashes in order as far as the segments are there. Any number of threads may call it: one works, and looks again
    /// after it released the cursor, so that a segment that came meanwhile is not forgotten.
    ///
    /// `recent` gives the content of a segment that is still in memory, and that [`BlobWriter::write`] took; all others are
    /// read back and compared with their values.
    pub fn advance<B: AsRef<[u8]>>(&self, recent: impl Fn(u64) -> Option<B>, cancel: &CancellationToken) -> Result<Advance> {
        loop {
            let mut guard = match self.cursor.state.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Ok(Advance::Busy),
            };
            let Some(state) = guard.as_mut() else { return Ok(Advance::Pending) };
            while !cancel.is_cancelled() && !state.is_invalid(self.cursor.verified()) {
                if let Some(segment) = recent(state.next) {
                    state.hash(self, segment.as_ref())?;
                    continue;
                }
                match state.read_step(self)? {
                    ReadStep::Hashed => {}
                    ReadStep::Pending => break,
                    ReadStep::Corrupt => return Ok(Advance::Corrupt(state.next)),
                }
            }
            let verified = self.cursor.verified();
            let (next, resumed, is_invalid) = (state.next, state.resume_state(verified), state.is_invalid(verified));
            drop(guard);
            if next == self.segments() && resumed == ResumeState::Verified {
                return Ok(Advance::Complete);
            }
            // The thread that verifies its beginning advances it once more.
            if next == self.segments() || is_invalid || cancel.is_cancelled() || !self.has(next) {
                return Ok(Advance::Pending);
            }
        }
    }

    /// Like [`BlobWriter::advance`], with no segment in memory.
    #[cfg(feature = "unstable")]
    pub fn advance_from_disk(&self) -> Result<Advance> {
        self.advance(|_| None::<Vec<u8>>, &CancellationToken::new())
    }

    /// Writes a segment and hashes as far as the segments are there: for one thread that fills a file in order.
    /// How far it came; `None` where [`BlobWriter::write`] did not take the segment.
    #[cfg(feature = "unstable")]
    pub fn write_and_hash(&self, index: u64, segment: &[u8]) -> Result<Option<Advance>> {
        if !self.write(index, segment)? {
            return Ok(None);
        }
        self.advance(|next| (next == index).then_some(segment), &CancellationToken::new()).map(Some)
    }

    /// Compares the segments that an earlier run had hashed with their values. Those that are corrupt are missing again,
    /// and returned as ranges of segment numbers; the cursor then resumes from a checkpoint before them.
    pub fn verify_resumed(&self, progress: Progress<'_>) -> Result<Vec<Range<u64>>> {
        let hashed = self.cursor.last_checkpoint().map_or(0, |midstate| midstate.segments);
        let values: Vec<SegmentValue> = self.records().iter().take(hashed as usize).map_while(|value| *value).collect();
        let corrupt = match self.staging.data() {
            Some(data) => check::damaged_segments(data, self.size(), &values, progress)?,
            None => Vec::new(),
        };
        let corrupt: Vec<u64> = corrupt.into_iter().filter(|index| self.drop_record(*index)).collect();
        let verified = corrupt.first().copied().unwrap_or(values.len() as u64);
        {
            let mut checkpoints = lock(&self.cursor.checkpoints);
            checkpoints.midstates.retain(|segments, _| *segments <= verified);
            checkpoints.verified = Some(verified);
        }
        // A thread that is hashing stops where the cursor is invalid, and may have seen it unverified: after this wait it is
        // for the caller to advance.
        let mut state = lock(&self.cursor.state);
        if state.as_ref().is_some_and(|state| state.is_invalid(Some(verified))) {
            self.cursor.reset(&mut state, self.size(), &self.request().key);
        }
        Ok(ranges(corrupt))
    }

    /// Begins again before this segment, which is missing again: at a checkpoint of an earlier run, or at the first byte.
    pub(in crate::store) fn hash_again_from(&self, segment: u64) {
        lock(&self.cursor.checkpoints).midstates.retain(|segments, _| *segments <= segment);
        self.cursor.reset(&mut lock(&self.cursor.state), self.size(), &self.request().key);
    }

    /// Takes the hasher out, where everything is hashed and verified; else the number of segments that are not.
    pub(in crate::store) fn take_hasher(&self) -> std::result::Result<SequentialHasher, u64> {
        let mut state = lock(&self.cursor.state);
        let missing = state.as_ref().map_or(self.segments(), |state| {
            let unverified = match state.resume_state(self.cursor.verified()) {
                ResumeState::Verified => 0,
                ResumeState::Unverified => state.resumed_from,
            };
            self.segments() - state.next + unverified
        });
        match state.take_if(|_| missing == 0) {
            Some(state) => Ok(state.hasher),
            None => Err(missing),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
