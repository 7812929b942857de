//! What of a blob in the making came from other blobs: known until the hash of the whole is right, and given back where it
//! is wrong.

use crate::digest::SegmentValue;
use crate::store::{
    error::StoreError,
    ingest::{journal::Origin, writer::BlobWriter},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError, atomic::Ordering},
};

/// The segments that have bytes of other blobs.
#[derive(Debug, Default)]
pub(in crate::store) struct Borrowed {
    segments: BTreeSet<u64>,
    /// Those that were given back, with the values that they had, until they come again.
    given_back: BTreeMap<u64, SegmentValue>,
    /// Bytes of those that came again and were different.
    differed: u64,
}

impl Borrowed {
    /// With the segments that an earlier run borrowed.
    pub(in crate::store) fn new(segments: BTreeSet<u64>) -> Self {
        Self { segments, ..Self::default() }
    }

    /// A segment of `len` bytes was recorded.
    pub(in crate::store) fn note(&mut self, index: u64, value: &SegmentValue, origin: Origin, len: u64) {
        match origin {
            Origin::Blob => self.segments.insert(index),
            Origin::Source => self.segments.remove(&index),
        };
        if self.given_back.remove(&index).is_some_and(|before| before != *value) {
            self.differed += len;
        }
    }

    /// A segment is missing.
    pub(in crate::store) fn forget(&mut self, index: u64) {
        self.segments.remove(&index);
    }
}

impl BlobWriter {
    /// The segments that have bytes of other blobs, as ranges of segment numbers.
    #[cfg(feature = "unstable")]
    pub fn borrowed_segments(&self) -> Vec<std::ops::Range<u64>> {
        crate::digest::ranges(self.borrowed().segments.iter().copied())
    }

    /// Bytes of segments that were given back because the hash of the whole was wrong, and that turned out to be different.
    pub fn differed(&self) -> u64 {
        self.borrowed().differed
    }

    /// Makes the borrowed segments missing again, after all was hashed and the hash is wrong. `None` where there are none.
    pub(in crate::store) fn give_back_borrowed(&self) -> Option<StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let segments = std::mem::take(&mut self.borrowed().segments);
        let first = *segments.first()?;
        let mut bytes = 0;
        for index in segments {
            let range = self.range(index);
            bytes += range.end - range.start;
            if let Some(value) = self.records()[index as usize].take() {
                self.borrowed().given_back.insert(index, value);
            }
        }
        self.hash_again_from(first);
        self.closed.store(false, Ordering::Relaxed);
        Some(StoreError::BorrowedMismatch { what: self.request().what.clone(), bytes })
    }

    pub(in crate::store) fn borrowed(&self) -> MutexGuard<'_, Borrowed> {
        self.borrowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
