//! Ranges of blobs that are here, for files in the making.
//!
//! A source is read under the lease of the run that borrows. Each of its segments is read whole and compared with its
//! recorded value before a byte of it is used, so that damage is found and not copied.

use crate::store::{Lease, Result, Store, format::Stamp};
use crate::{
    digest::{SEGMENT_LEN, SegmentValue, Sha256Digest, segment_count, segment_range, segment_value},
    disk::{DiskFile, Kind, Open},
};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An open blob from which ranges are borrowed.
#[derive(Debug)]
pub struct Lender {
    store: Store,
    // It holds the lease for as long as the blob is read.
    _lease: Arc<Lease>,
    digest: Sha256Digest,
    file: Box<dyn DiskFile>,
    size: u64,
    values: Vec<SegmentValue>,
    damaged: Mutex<BTreeSet<u64>>,
}

impl Store {
    /// Puts blobs under a lease and opens them for borrowing, in the order of `digests`. `None` for one that is gone, cannot
    /// be read, is known to be damaged, or has no values of segments to compare it with.
    pub fn open_for_borrowing(&self, digests: &[Sha256Digest], lease: &Arc<Lease>) -> Result<Vec<Option<Lender>>> {
        lease.protect(digests)?;
        digests.iter().map(|digest| self.open_source(digest, lease)).collect()
    }

    fn open_source(&self, digest: &Sha256Digest, lease: &Arc<Lease>) -> Result<Option<Lender>> {
        let Ok(file) = self.disk().open(&self.layout().blob(digest), Open::Read) else { return Ok(None) };
        let stat = file.stat()?;
        let Some(meta) = self.meta(digest)?.filter(|meta| meta.size == stat.len && stat.kind == Kind::File) else {
            return Ok(None);
        };
        if self.damage(digest)?.is_some() {
            return Ok(None);
        }
        let Some(values) = self.segment_values(digest, &meta)? else { return Ok(None) };
        // A blob that lends bytes is not used as a model.
        file.keep_access_time();
        Ok(Some(Lender {
            store: self.clone(),
            _lease: lease.clone(),
            digest: *digest,
            file,
            size: meta.size,
            values,
            damaged: Mutex::default(),
        }))
    }
}

impl Lender {
    /// The blob.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads a few bytes to compare them with others, unverified. `false` where they cannot be read.
    pub fn peek(&self, at: u64, bytes: &mut [u8]) -> bool {
        self.file.read_at(bytes, at).is_ok_and(|got| got == bytes.len())
    }

    /// Reads a segment; `false` where it is not what is recorded. That is remembered, and marked in the store.
    fn read_segment(&self, index: u64, segment: &mut Vec<u8>) -> bool {
        let Range { start, end } = segment_range(index, self.size);
        segment.resize(usize::try_from(end.saturating_sub(start)).unwrap_or(0), 0);
        let is_whole = index < segment_count(self.size)
            && self.peek(start, segment)
            && self.values.get(index as usize) == Some(&segment_value(index, self.size, segment));
        if !is_whole {
            self.note_damage(index);
        }
        is_whole
    }

    fn note_damage(&self, index: u64) {
        let mut damaged = self.damaged();
        if damaged.insert(index) {
            let segments: Vec<u64> = damaged.iter().copied().collect();
            // A mark that cannot be written is found again by a check.
            let _ = self.file.stat().map(|stat| self.store.mark_damaged(&self.digest, Stamp::from(&stat), &segments));
        }
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads verified ranges of sources. The segment that was read last stays in memory, so that ranges which follow each other
/// read and hash each segment once.
#[derive(Debug)]
pub struct BorrowReader {
    sources: Arc<[Lender]>,
    last: Option<(usize, u64)>,
    segment: Vec<u8>,
}

impl BorrowReader {
    /// A reader of these sources.
    pub fn new(sources: Arc<[Lender]>) -> Self {
        Self { sources, last: None, segment: Vec::new() }
    }

    /// Appends the bytes `range` of a source to `into`. `false` where the source is damaged there or has no such bytes; `into`
    /// is then as before.
    pub fn append(&mut self, source: usize, range: Range<u64>, into: &mut Vec<u8>) -> bool {
        let before = into.len();
        let is_read = self.append_parts(source, range, into);
        if !is_read {
            into.truncate(before);
        }
        is_read
    }

    fn append_parts(&mut self, number: usize, Range { start: mut at, end }: Range<u64>, into: &mut Vec<u8>) -> bool {
        let Some(source) = self.sources.get(number).filter(|source| end <= source.size) else { return false };
        while at < end {
            let index = at / SEGMENT_LEN;
            if self.last != Some((number, index)) {
                self.last = None;
                if !source.read_segment(index, &mut self.segment) {
                    return false;
                }
                self.last = Some((number, index));
            }
            let begins = segment_range(index, source.size);
            let upto = end.min(begins.end);
            let part = (at - begins.start) as usize..(upto - begins.start) as usize;
            let Some(part) = self.segment.get(part) else { return false };
            into.extend_from_slice(part);
            at = upto;
        }
        true
    }
}
