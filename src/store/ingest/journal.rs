//! The journal of a partial download: which segments are in its data file, their values, and how far SHA-256 came.
//!
//! A header and then records, 64 bytes each, every one with its own check, appended by position. A record whose check
//! fails counts for nothing; of two records of one segment the later wins. After a power loss only segment records hold
//! that a *synced* record covers: those between the record at which the process that wrote it began and what it had
//! synced. Others hold after the process dies, for the page cache survives it; but the medium may have refused them, and
//! the next process has to write them again. No record is trusted: a segment is compared with its value whenever it is
//! read back.
//!
//! A *borrowed* record is a segment record like a *written* one; bytes of its segment were copied from another blob. Where
//! the hash of the whole is wrong, these segments are fetched. An older program passes over it, and fetches the segment.
//!
//! A *hashed* record is a checkpoint: SHA-256 after the first segments. It covers the segment records before it; one that
//! any of these segments got later, perhaps with another value, is of bytes that were not hashed.

use crate::{
    digest::{Midstate, SEGMENT_LEN, SegmentValue, segment_count, segment_range},
    disk::{DiskFile, Result},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes in the header and in each record.
pub const RECORD_LEN: usize = 64;
const MAGIC: &[u8; 8] = b"MMJRNL01";
const WRITTEN: u8 = 1;
const SYNCED: u8 = 2;
const HASHED: u8 = 3;
const BORROWED: u8 = 4;

/// An open journal.
#[derive(Debug)]
pub(in crate::store) struct Journal {
    file: Box<dyn DiskFile>,
    /// Where the records of this process begin: its syncs prove these only.
    from: u64,
    end: AtomicU64,
    boot: [u8; 8],
}

/// For each segment its recorded value, or nothing.
pub(in crate::store) type SegmentRecords = Vec<Option<SegmentValue>>;

/// Where the bytes of a segment came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Origin {
    /// All of them from where the file was asked for.
    Source,
    /// Some of them from another blob.
    Blob,
}

/// What holds in a journal.
#[derive(Debug)]
pub(in crate::store) struct JournalState {
    pub(in crate::store) records: SegmentRecords,
    /// The recorded segments of which bytes were copied from another blob.
    pub(in crate::store) borrowed: BTreeSet<u64>,
    /// The recorded segments that no *synced* record covers, in order.
    pub(in crate::store) unsynced: Vec<u64>,
    /// Checkpoints by the number of their segments, all of which are recorded.
    pub(in crate::store) midstates: BTreeMap<u64, Midstate>,
}

impl JournalState {
    /// Of a file of `size` bytes that no process began.
    pub(in crate::store) fn empty(size: u64) -> Self {
        let records = vec![None; segment_count(size) as usize];
        Self { records, borrowed: BTreeSet::new(), unsynced: Vec::new(), midstates: BTreeMap::new() }
    }

    /// Where the bytes of a recorded segment came from.
    pub(in crate::store) fn origin(&self, index: u64) -> Origin {
        if self.borrowed.contains(&index) { Origin::Blob } else { Origin::Source }
    }
}

/// How long the journal of a file of `size` bytes may be: each segment written and hashed a few times over, and 1 MiB.
pub(in crate::store) fn longest(size: u64) -> u64 {
    RECORD_LEN as u64 * (2 + 8 * segment_count(size)) + (1 << 20)
}

impl Journal {
    /// Reads the records of a file of `size` bytes; a journal of another file, or none, is begun anew.
    pub(in crate::store) fn open(file: Box<dyn DiskFile>, size: u64, boot_id: &str) -> Result<(Self, JournalState)> {
        let boot = boot_hash(boot_id);
        let len = file.stat()?.len;
        let mut text = vec![0; len.min(longest(size)) as usize];
        let got = file.read_at(&mut text, 0)?;
        text.truncate(got);
        let found = read(&text, size, boot);
        let end = match &found {
            Some(_) => (text.len() / RECORD_LEN * RECORD_LEN) as u64,
            None => {
                file.set_len(0)?;
                file.write_at(&header(size), 0)?;
                RECORD_LEN as u64
            }
        };
        let found = found.unwrap_or_else(|| JournalState::empty(size));
        Ok((Self { file, from: end, end: AtomicU64::new(end), boot }, found))
    }

    /// Records that a segment was written in full.
    pub(in crate::store) fn written(&self, index: u64, value: &SegmentValue, origin: Origin) -> Result<()> {
        let kind = match origin {
            Origin::Source => WRITTEN,
            Origin::Blob => BORROWED,
        };
        self.append(kind, index, value.as_bytes())
    }

    /// Writes a checkpoint: SHA-256 over the first segments, all of which are recorded.
    pub(in crate::store) fn hashed(&self, midstate: &Midstate) -> Result<()> {
        self.append(HASHED, midstate.segments, &midstate.words)
    }

    /// How long the journal is; everything before that was written before this call.
    pub(in crate::store) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Records that the data of all records of this process before `upto` was synced, and makes that durable.
    pub(in crate::store) fn synced(&self, upto: u64) -> Result<()> {
        let mut value = [0; 32];
        value[..8].copy_from_slice(&self.from.to_le_bytes());
        self.append(SYNCED, upto, &value)?;
        self.file.sync_data()
    }

    fn append(&self, kind: u8, number: u64, value: &[u8; 32]) -> Result<()> {
        let at = self.end.fetch_add(RECORD_LEN as u64, Ordering::AcqRel);
        self.file.write_at(&record(kind, number, value, &self.boot), at)
    }
}

fn boot_hash(boot_id: &str) -> [u8; 8] {
    // Systems that do not tell boots apart get a value that equals no stored one.
    let hash = if boot_id.is_empty() { blake3::hash(uuid::Uuid::new_v4().as_bytes()) } else { blake3::hash(boot_id.as_bytes()) };
    first_eight(&hash)
}

fn first_eight(hash: &blake3::Hash) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&hash.as_bytes()[..8]);
    out
}

fn seal(mut record: [u8; RECORD_LEN]) -> [u8; RECORD_LEN] {
    let check = first_eight(&blake3::hash(&record[..56]));
    record[56..].copy_from_slice(&check);
    record
}

fn header(size: u64) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[..8].copy_from_slice(MAGIC);
    record[8..16].copy_from_slice(&size.to_le_bytes());
    record[16..24].copy_from_slice(&SEGMENT_LEN.to_le_bytes());
    seal(record)
}

fn record(kind: u8, number: u64, value: &[u8; 32], boot: &[u8; 8]) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    record[0] = kind;
    record[8..16].copy_from_slice(&number.to_le_bytes());
    record[16..48].copy_from_slice(value);
    record[48..56].copy_from_slice(boot);
    seal(record)
}

/// Bytes that the text of a journal records of a file of `size` bytes.
pub(in crate::store) fn held(text: &[u8], size: u64, boot_id: &str) -> u64 {
    let records = read(text, size, boot_hash(boot_id)).map(|found| found.records).unwrap_or_default();
    let held = records.iter().enumerate().filter(|(_, record)| record.is_some());
    held.map(|(index, _)| segment_range(index as u64, size)).map(|range| range.end - range.start).sum()
}

/// For `fuzz/`: the values that the text of a journal records, and the midstates at which a hash may go on.
#[cfg(feature = "fuzzing")]
pub fn fuzzed(text: &[u8], size: u64, boot_id: &str) -> Option<(Vec<Option<SegmentValue>>, Vec<Midstate>)> {
    read(text, size, boot_hash(boot_id)).map(|found| (found.records, found.midstates.into_values().collect()))
}

/// What holds in the text of a journal, or `None` when it is not the journal of a file of `size` bytes.
fn read(text: &[u8], size: u64, boot: [u8; 8]) -> Option<JournalState> {
    let mut records = text.chunks_exact(RECORD_LEN);
    if records.next()? != header(size) {
        return None;
    }
    let valid = |record: &&[u8]| first_eight(&blake3::hash(&record[..56])) == record[56..];
    let number_at = |record: &[u8], at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap_or([0xff; 8]));
    let number = |record: &[u8]| number_at(record, 8);
    // A mark covers only records of its own boot, also if it does not say where its process began: records of an
    // earlier boot without a mark are lost.
    let mut marks: HashMap<&[u8], BTreeMap<u64, u64>> = HashMap::new();
    for mark in records.clone().filter(valid).filter(|record| record[0] == SYNCED) {
        let upto = marks.entry(&mark[48..56]).or_default().entry(number_at(mark, 16)).or_default();
        *upto = number(mark).max(*upto);
    }
    // Of each beginning, how far the marks of it and of those before it come.
    for marks in marks.values_mut() {
        marks.values_mut().fold(0, |farthest, upto| {
            *upto = farthest.max(*upto);
            *upto
        });
    }
    let mut written: Vec<Option<Recorded>> = vec![None; segment_count(size) as usize];
    let mut midstates = Vec::new();
    for (at, record) in records.enumerate().filter(|(_, record)| valid(record)) {
        let position = ((at + 1) * RECORD_LEN) as u64;
        let covered = marks.get(&record[48..56]).and_then(|marks| marks.range(..=position).next_back());
        let is_synced = covered.is_some_and(|(_, upto)| position < *upto);
        if !is_synced && record[48..56] != boot {
            continue;
        }
        let mut value = [0; 32];
        value.copy_from_slice(&record[16..48]);
        match (record[0], number(record)) {
            (kind @ (WRITTEN | BORROWED), index) => {
                if let Some(segment) = usize::try_from(index).ok().and_then(|index| written.get_mut(index)) {
                    let (value, is_borrowed) = (SegmentValue::from_bytes(value), kind == BORROWED);
                    *segment = Some(Recorded { position, value, is_synced, is_borrowed });
                }
            }
            (HASHED, segments) => midstates.push((position, Midstate { segments, words: value })),
            _ => {}
        }
    }
    // Of each number of first segments, where the last of their records stands.
    let last_record: Vec<u64> = written
        .iter()
        .map_while(Option::as_ref)
        .scan(0, |last, record| {
            *last = record.position.max(*last);
            Some(*last)
        })
        .collect();
    let covers_its_segments = |(position, midstate): &(u64, Midstate)| {
        let last = midstate.segments.checked_sub(1).and_then(|last| last_record.get(usize::try_from(last).ok()?));
        midstate.segments <= size / SEGMENT_LEN && last.is_some_and(|last| last < position)
    };
    Some(JournalState {
        midstates: midstates.into_iter().filter(covers_its_segments).map(|(_, midstate)| (midstate.segments, midstate)).collect(),
        borrowed: those(&written, |record| record.is_borrowed).collect(),
        unsynced: those(&written, |record| !record.is_synced).collect(),
        records: written.into_iter().map(|record| record.map(|record| record.value)).collect(),
    })
}

/// The record of a segment that holds.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    position: u64,
    value: SegmentValue,
    is_synced: bool,
    is_borrowed: bool,
}

/// The numbers of the segments whose record is so, in order.
fn those(written: &[Option<Recorded>], are: impl Fn(&Recorded) -> bool) -> impl Iterator<Item = u64> {
    (0..).zip(written).filter(move |(_, record)| record.as_ref().is_some_and(&are)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
