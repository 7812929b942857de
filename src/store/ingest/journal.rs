//! The journal of a partial download: which segments are in its data file, their values, and how far SHA-256 came.
//!
//! A header and then records, 64 bytes each, every one with its own check, appended by position. A record whose check
//! fails claims nothing; of two claims for one segment the later wins. After a power loss only claims that a *synced*
//! mark covers hold: those between the record at which the process that wrote the mark began and what it had synced.
//! Others hold after the process dies, for the page cache survives it; but the medium may have refused them, and the
//! next process has to write them again. No claim is trusted: a claimed segment is compared with its value whenever it
//! is read back.
//!
//! A *hashed* record is the SHA-256 of the first segments so far, and speaks of the claims before it: one that any of
//! these segments got later, perhaps with another value, is of bytes that it has not seen.

use crate::{
    digest::{Midstate, SEGMENT_LEN, SegmentValue, segment_count, segment_range},
    disk::{DiskFile, Result},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes in the header and in each record.
pub const RECORD_LEN: usize = 64;
const MAGIC: &[u8; 8] = b"MMJRNL01";
const WRITTEN: u8 = 1;
const SYNCED: u8 = 2;
const HASHED: u8 = 3;

/// An open journal.
#[derive(Debug)]
pub(in crate::store) struct Journal {
    file: Box<dyn DiskFile>,
    /// Where the records of this process begin: its syncs prove these only.
    from: u64,
    end: AtomicU64,
    boot: [u8; 8],
}

/// What a journal claims: for each segment its value, or nothing.
pub(in crate::store) type Claims = Vec<Option<SegmentValue>>;

/// What is to be read in a journal.
#[derive(Debug)]
pub(in crate::store) struct Found {
    pub(in crate::store) claims: Claims,
    /// The claimed segments that no mark covers, in order.
    pub(in crate::store) unsynced: Vec<u64>,
    /// By the number of their segments, all of which are claimed.
    pub(in crate::store) midstates: BTreeMap<u64, Midstate>,
}

impl Found {
    /// What is claimed of a file of `size` bytes that nobody began.
    pub(in crate::store) fn nothing(size: u64) -> Self {
        Self { claims: vec![None; segment_count(size) as usize], unsynced: Vec::new(), midstates: BTreeMap::new() }
    }
}

/// How long the journal of a file of `size` bytes may be: each segment written and hashed a few times over, and 1 MiB.
pub(in crate::store) fn longest(size: u64) -> u64 {
    RECORD_LEN as u64 * (2 + 8 * segment_count(size)) + (1 << 20)
}

impl Journal {
    /// Reads the claims for a file of `size` bytes; a journal of another file, or none, is begun anew.
    pub(in crate::store) fn open(file: Box<dyn DiskFile>, size: u64, boot_id: &str) -> Result<(Self, Found)> {
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
        let found = found.unwrap_or_else(|| Found::nothing(size));
        Ok((Self { file, from: end, end: AtomicU64::new(end), boot }, found))
    }

    /// Claims that a segment has been written in full.
    pub(in crate::store) fn written(&self, index: u64, value: &SegmentValue) -> Result<()> {
        self.append(WRITTEN, index, value.as_bytes())
    }

    /// Notes how far SHA-256 came over what is claimed so far.
    pub(in crate::store) fn hashed(&self, midstate: &Midstate) -> Result<()> {
        self.append(HASHED, midstate.segments, &midstate.words)
    }

    /// How long the journal is; everything before that was written before this call.
    pub(in crate::store) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Claims that the data of all records of this process before `upto` has been synced, and makes that claim durable.
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

/// Bytes that the text of a journal claims of a file of `size` bytes.
pub(in crate::store) fn held(text: &[u8], size: u64, boot_id: &str) -> u64 {
    let claims = read(text, size, boot_hash(boot_id)).map(|found| found.claims).unwrap_or_default();
    let held = claims.iter().enumerate().filter(|(_, claim)| claim.is_some());
    held.map(|(index, _)| segment_range(index as u64, size)).map(|range| range.end - range.start).sum()
}

/// For `fuzz/`: the values that the text of a journal claims, and the midstates at which a hash may go on.
#[cfg(feature = "fuzzing")]
pub fn fuzzed(text: &[u8], size: u64, boot_id: &str) -> Option<(Vec<Option<SegmentValue>>, Vec<Midstate>)> {
    read(text, size, boot_hash(boot_id)).map(|found| (found.claims, found.midstates.into_values().collect()))
}

/// What holds in the text of a journal, or `None` when it is not the journal of a file of `size` bytes.
fn read(text: &[u8], size: u64, boot: [u8; 8]) -> Option<Found> {
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
    let mut claims: Vec<Option<(u64, SegmentValue, bool)>> = vec![None; segment_count(size) as usize];
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
            (WRITTEN, index) => {
                if let Some(claim) = usize::try_from(index).ok().and_then(|index| claims.get_mut(index)) {
                    *claim = Some((position, SegmentValue::from_bytes(value), is_synced));
                }
            }
            (HASHED, segments) => midstates.push((position, Midstate { segments, words: value })),
            _ => {}
        }
    }
    // Of each number of first segments, where the last of their claims stands.
    let last_claim: Vec<u64> = claims
        .iter()
        .map_while(Option::as_ref)
        .scan(0, |last, (position, ..)| {
            *last = (*position).max(*last);
            Some(*last)
        })
        .collect();
    let sees_its_claims = |(position, midstate): &(u64, Midstate)| {
        let last = midstate.segments.checked_sub(1).and_then(|last| last_claim.get(usize::try_from(last).ok()?));
        midstate.segments <= size / SEGMENT_LEN && last.is_some_and(|last| last < position)
    };
    Some(Found {
        midstates: midstates.into_iter().filter(sees_its_claims).map(|(_, midstate)| (midstate.segments, midstate)).collect(),
        unsynced: (0..).zip(&claims).filter(|(_, claim)| claim.is_some_and(|claim| !claim.2)).map(|(index, _)| index).collect(),
        claims: claims.into_iter().map(|claim| claim.map(|(_, value, _)| value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 5 * SEGMENT_LEN + 17;

    fn value(seed: u8) -> SegmentValue {
        SegmentValue::from_bytes([seed; 32])
    }

    fn read_claims(text: &[u8], size: u64, boot: [u8; 8]) -> Option<Claims> {
        read(text, size, boot).map(|found| found.claims)
    }

    /// The numbers of segments at which a hash may go on.
    fn hashed(text: &[u8], boot: &str) -> Vec<u64> {
        read(text, SIZE, boot_hash(boot)).unwrap().midstates.into_keys().collect()
    }

    fn journal(records: &[(u8, u64, u8, &str)]) -> Vec<u8> {
        let mut text = header(SIZE).to_vec();
        let unknown = boot_hash("");
        for (kind, number, seed, boot) in records {
            let boot = if boot.is_empty() { unknown } else { boot_hash(boot) };
            text.extend(record(*kind, *number, &[*seed; 32], &boot));
        }
        text
    }

    #[test]
    fn a_synced_mark_does_not_vouch_for_what_an_earlier_boot_lost() {
        let text = journal(&[(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "b"), (SYNCED, 3 * 64, 0, "b")]);
        for boot in ["b", "c"] {
            let claims = read_claims(&text, SIZE, boot_hash(boot)).unwrap();
            assert_eq!(claims.iter().flatten().collect::<Vec<_>>(), [&value(2)]);
        }
    }

    #[test]
    fn after_kill_9_every_written_claim_holds_and_the_later_wins() {
        let text = journal(&[(WRITTEN, 2, 1, "a"), (WRITTEN, 0, 2, "a"), (WRITTEN, 2, 3, "a")]);
        let claims = read_claims(&text, SIZE, boot_hash("a")).unwrap();
        assert_eq!(claims[2], Some(value(3)));
        assert_eq!(claims.iter().flatten().count(), 2);
    }

    #[test]
    fn after_power_loss_only_claims_before_the_synced_mark_hold() {
        let text = journal(&[(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (SYNCED, 2 * 64, 0, "a"), (WRITTEN, 3, 4, "a")]);
        let claims = read_claims(&text, SIZE, boot_hash("b")).unwrap();
        assert_eq!(claims.iter().flatten().collect::<Vec<_>>(), [&value(1)]);
    }

    fn unsynced(text: &[u8], boot: &str) -> Vec<u64> {
        read(text, SIZE, boot_hash(boot)).unwrap().unsynced
    }

    /// A journal of two processes, of which the second began behind the record with this number.
    fn of_two(records: &[(u8, u64, u8, &str)], second: u64, upto: u64) -> Vec<u8> {
        let mut from = [0; 32];
        from[..8].copy_from_slice(&(64 * second).to_le_bytes());
        let mut text = journal(records);
        text.extend(record(SYNCED, 64 * upto, &from, &boot_hash("a")));
        text
    }

    #[test]
    fn a_mark_covers_only_what_its_own_process_wrote() {
        let records = [(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (WRITTEN, 2, 3, "a"), (WRITTEN, 3, 4, "a")];
        let text = of_two(&records, 3, 4);
        assert_eq!(unsynced(&text, "a"), [0, 1, 3]);
        assert_eq!(read_claims(&text, SIZE, boot_hash("b")).unwrap().iter().flatten().collect::<Vec<_>>(), [&value(3)]);
    }

    #[test]
    fn marks_of_several_processes_cover_what_each_wrote() {
        let first = [(WRITTEN, 0, 1, "a"), (SYNCED, 2 * 64, 0, "a"), (WRITTEN, 1, 2, "a"), (WRITTEN, 2, 3, "a")];
        assert_eq!(unsynced(&of_two(&first, 4, 5), "a"), [1]);
        assert_eq!(unsynced(&of_two(&first, 3, 5), "a"), [0_u64; 0]);
        assert_eq!(unsynced(&of_two(&first, 4, 4), "a"), [1, 2]);
    }

    #[test]
    fn a_claim_that_is_made_again_behind_the_mark_is_unsynced() {
        let records = [(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (SYNCED, 3 * 64, 0, "a"), (WRITTEN, 0, 1, "a")];
        assert_eq!(unsynced(&journal(&records), "a"), [0]);
    }

    #[test]
    fn a_system_that_cannot_tell_boots_apart_trusts_synced_claims_only() {
        let text = journal(&[(WRITTEN, 0, 1, ""), (SYNCED, 2 * 64, 0, ""), (WRITTEN, 1, 2, "")]);
        assert_eq!(read_claims(&text, SIZE, boot_hash("")).unwrap().iter().flatten().count(), 1);
    }

    #[test]
    fn a_hash_goes_on_where_the_latest_note_of_claimed_segments_stands() {
        let text = journal(&[
            (WRITTEN, 1, 1, "a"),
            (WRITTEN, 0, 2, "a"),
            (HASHED, 1, 8, "a"),
            (HASHED, 2, 9, "a"),
            (WRITTEN, 3, 3, "a"),
            (HASHED, 2, 10, "a"),
        ]);
        assert_eq!(hashed(&text, "a"), [1, 2]);
        let found = read(&text, SIZE, boot_hash("a")).unwrap();
        assert_eq!(found.midstates[&2], Midstate { segments: 2, words: [10; 32] });
        assert_eq!(found.claims.iter().flatten().count(), 3);
    }

    #[test]
    fn a_note_of_more_than_is_claimed_or_than_the_file_has_is_none() {
        let written: Vec<_> = (0..6).map(|index| (WRITTEN, index, 1, "a")).collect();
        // The last segment is a part of one, where no note can stand.
        for segments in [0, 6, 7, 1 << 44, u64::MAX] {
            assert_eq!(hashed(&journal(&[&written[..], &[(HASHED, segments, 1, "a")]].concat()), "a"), [0_u64; 0], "{segments}");
        }
        assert_eq!(hashed(&journal(&[&written[..], &[(HASHED, 5, 1, "a")]].concat()), "a"), [5]);
        let hole = [&written[..2], &written[3..], &[(HASHED, 5, 1, "a"), (HASHED, 2, 1, "a")]].concat();
        assert_eq!(hashed(&journal(&hole), "a"), [2]);
    }

    #[test]
    fn a_note_does_not_speak_of_a_segment_that_was_written_anew_behind_it() {
        let mut records = vec![(WRITTEN, 0, 1, "a"), (HASHED, 1, 8, "a"), (WRITTEN, 1, 2, "a"), (HASHED, 2, 9, "a")];
        assert_eq!(hashed(&journal(&records), "a"), [1, 2]);
        records.push((WRITTEN, 1, 3, "a"));
        assert_eq!(hashed(&journal(&records), "a"), [1]);
        records.push((WRITTEN, 0, 1, "a"));
        assert_eq!(hashed(&journal(&records), "a"), [0_u64; 0]);
        records.push((HASHED, 2, 9, "a"));
        assert_eq!(hashed(&journal(&records), "a"), [2]);
    }

    #[test]
    fn after_power_loss_a_note_holds_only_before_the_synced_mark_of_its_boot() {
        let records = [
            (WRITTEN, 0, 1, "a"),
            (HASHED, 1, 8, "a"),
            (SYNCED, 3 * 64, 0, "a"),
            (WRITTEN, 1, 2, "a"),
            (HASHED, 2, 9, "a"),
            (HASHED, 1, 7, "b"),
        ];
        assert_eq!(hashed(&journal(&records), "a"), [1, 2]);
        assert_eq!(hashed(&journal(&records), "c"), [1]);
        assert_eq!(read(&journal(&records), SIZE, boot_hash("c")).unwrap().midstates[&1].words, [8; 32]);
        assert_eq!(hashed(&journal(&records[..2]), "c"), [0_u64; 0]);
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_passed_over() {
        let text = journal(&[(WRITTEN, 0, 1, "a"), (77, 0, 9, "a"), (SYNCED, 3 * 64, 0, "a"), (WRITTEN, 1, 2, "a")]);
        assert_eq!(read_claims(&text, SIZE, boot_hash("b")).unwrap().iter().flatten().collect::<Vec<_>>(), [&value(1)]);
        assert_eq!(read_claims(&text, SIZE, boot_hash("a")).unwrap().iter().flatten().count(), 2);
    }

    #[test]
    fn the_journal_of_another_size_is_begun_anew() {
        assert!(read_claims(&journal(&[]), SIZE + 1, boot_hash("a")).is_none());
        assert!(read_claims(b"", SIZE, boot_hash("a")).is_none());
    }

    proptest! {
        #[test]
        fn a_torn_or_damaged_record_claims_nothing_and_costs_only_itself(at in 64usize..64 * 6, flip in 1u8..=255) {
            let records: Vec<_> = (0..5).map(|i| (WRITTEN, i, i as u8 + 1, "a")).collect();
            let mut text = journal(&records);
            text[at] ^= flip;
            let claims = read_claims(&text, SIZE, boot_hash("a")).unwrap();
            let damaged = at / 64 - 1;
            for (i, claim) in claims.iter().take(5).enumerate() {
                prop_assert_eq!(claim.is_some(), i != damaged);
            }
        }

        #[test]
        fn a_torn_or_damaged_note_is_none(at in 64usize..64 * 3, flip in 1u8..=255) {
            let mut text = journal(&[(WRITTEN, 0, 1, "a"), (HASHED, 1, 8, "a")]);
            text[at] ^= flip;
            prop_assert_eq!(hashed(&text, "a"), [0_u64; 0]);
            prop_assert_eq!(hashed(&text[..at.max(128)], "a"), [0_u64; 0]);
        }

        /// Whatever stands in a journal whose records are sound, a hash goes on only over claims that stand before it.
        #[test]
        fn no_order_of_records_lets_a_hash_skip_what_it_has_not_seen(
            records in proptest::collection::vec((1u8..5, 0u64..8, any::<u8>(), prop_oneof!["a", "b"]), 0..40)
        ) {
            let records: Vec<_> = records.iter().map(|(kind, number, seed, boot)| (*kind, *number, *seed, boot.as_str())).collect();
            for (segments, midstate) in read(&journal(&records), SIZE, boot_hash("a")).unwrap().midstates {
                let noted = |record: &(u8, u64, u8, &str)| record.0 == HASHED && record.1 == segments && midstate.words == [record.2; 32];
                let own: Vec<usize> = (0..records.len()).filter(|at| noted(&records[*at])).collect();
                let sound = own.iter().any(|at| {
                    (0..segments).all(|index| {
                        let of_it = |record: &&(u8, u64, u8, &str)| record.0 == WRITTEN && record.1 == index;
                        records[..*at].iter().any(|record| of_it(&record))
                            && !records[*at..].iter().filter(of_it).any(|record| record.3 == "a")
                    })
                });
                prop_assert!(sound, "{segments} in {records:?}");
            }
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in proptest::collection::vec(any::<u8>(), 0..400), tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_claims(&text, SIZE, boot_hash("a"));
            let mut with_header = header(SIZE).to_vec();
            with_header.extend(tail);
            prop_assert!(read_claims(&with_header, SIZE, boot_hash("a")).is_some());
        }
    }
}
