use super::*;
use proptest::prelude::*;

const SIZE: u64 = 5 * SEGMENT_LEN + 17;

fn value(seed: u8) -> SegmentValue {
    SegmentValue::from_bytes([seed; 32])
}

fn read_records(text: &[u8], size: u64, boot: [u8; 8]) -> Option<SegmentRecords> {
    read(text, size, boot).map(|found| found.records)
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
fn a_synced_mark_does_not_confirm_what_an_earlier_boot_lost() {
    let text = journal(&[(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "b"), (SYNCED, 3 * 64, 0, "b")]);
    for boot in ["b", "c"] {
        let records = read_records(&text, SIZE, boot_hash(boot)).unwrap();
        assert_eq!(records.iter().flatten().collect::<Vec<_>>(), [&value(2)]);
    }
}

#[test]
fn after_kill_9_every_segment_record_holds_and_the_later_wins() {
    let text = journal(&[(WRITTEN, 2, 1, "a"), (WRITTEN, 0, 2, "a"), (WRITTEN, 2, 3, "a")]);
    let records = read_records(&text, SIZE, boot_hash("a")).unwrap();
    assert_eq!(records[2], Some(value(3)));
    assert_eq!(records.iter().flatten().count(), 2);
}

#[test]
fn after_power_loss_only_records_before_the_synced_mark_hold() {
    let text = journal(&[(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (SYNCED, 2 * 64, 0, "a"), (WRITTEN, 3, 4, "a")]);
    let records = read_records(&text, SIZE, boot_hash("b")).unwrap();
    assert_eq!(records.iter().flatten().collect::<Vec<_>>(), [&value(1)]);
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
    assert_eq!(read_records(&text, SIZE, boot_hash("b")).unwrap().iter().flatten().collect::<Vec<_>>(), [&value(3)]);
}

#[test]
fn marks_of_several_processes_cover_what_each_wrote() {
    let first = [(WRITTEN, 0, 1, "a"), (SYNCED, 2 * 64, 0, "a"), (WRITTEN, 1, 2, "a"), (WRITTEN, 2, 3, "a")];
    assert_eq!(unsynced(&of_two(&first, 4, 5), "a"), [1]);
    assert_eq!(unsynced(&of_two(&first, 3, 5), "a"), [0_u64; 0]);
    assert_eq!(unsynced(&of_two(&first, 4, 4), "a"), [1, 2]);
}

#[test]
fn a_segment_that_is_recorded_again_behind_the_mark_is_unsynced() {
    let records = [(WRITTEN, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (SYNCED, 3 * 64, 0, "a"), (WRITTEN, 0, 1, "a")];
    assert_eq!(unsynced(&journal(&records), "a"), [0]);
}

#[test]
fn a_system_that_cannot_tell_boots_apart_trusts_synced_records_only() {
    let text = journal(&[(WRITTEN, 0, 1, ""), (SYNCED, 2 * 64, 0, ""), (WRITTEN, 1, 2, "")]);
    assert_eq!(read_records(&text, SIZE, boot_hash("")).unwrap().iter().flatten().count(), 1);
}

#[test]
fn a_hash_goes_on_where_the_latest_checkpoint_of_recorded_segments_stands() {
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
    assert_eq!(found.records.iter().flatten().count(), 3);
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
    assert_eq!(read_records(&text, SIZE, boot_hash("b")).unwrap().iter().flatten().collect::<Vec<_>>(), [&value(1)]);
    assert_eq!(read_records(&text, SIZE, boot_hash("a")).unwrap().iter().flatten().count(), 2);
}

#[test]
fn a_borrowed_segment_is_recorded_like_a_written_one_and_known_as_borrowed_until_it_is_written() {
    let records =
        [(BORROWED, 0, 1, "a"), (WRITTEN, 1, 2, "a"), (BORROWED, 2, 3, "a"), (HASHED, 3, 8, "a"), (SYNCED, 3 * 64, 0, "a")];
    let found = read(&journal(&records), SIZE, boot_hash("a")).unwrap();
    assert_eq!(found.records.iter().flatten().collect::<Vec<_>>(), [&value(1), &value(2), &value(3)]);
    assert_eq!((found.borrowed.into_iter().collect::<Vec<_>>(), found.unsynced), (vec![0, 2], vec![2]));
    assert_eq!(found.midstates.into_keys().collect::<Vec<_>>(), [3]);
    let again = read(&journal(&[&records[..], &[(WRITTEN, 0, 9, "a")]].concat()), SIZE, boot_hash("a")).unwrap();
    assert_eq!((again.records[0], again.borrowed.into_iter().collect::<Vec<_>>()), (Some(value(9)), vec![2]));
    let after_power_loss = read(&journal(&records), SIZE, boot_hash("b")).unwrap();
    assert_eq!(after_power_loss.borrowed.into_iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn the_journal_of_another_size_is_begun_anew() {
    assert!(read_records(&journal(&[]), SIZE + 1, boot_hash("a")).is_none());
    assert!(read_records(b"", SIZE, boot_hash("a")).is_none());
}

proptest! {
    #[test]
    fn a_torn_or_damaged_record_claims_nothing_and_costs_only_itself(at in 64usize..64 * 6, flip in 1u8..=255) {
        let records: Vec<_> = (0..5).map(|i| (WRITTEN, i, i as u8 + 1, "a")).collect();
        let mut text = journal(&records);
        text[at] ^= flip;
        let records = read_records(&text, SIZE, boot_hash("a")).unwrap();
        let damaged = at / 64 - 1;
        for (i, claim) in records.iter().take(5).enumerate() {
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

    /// Whatever stands in a journal whose records are sound, a hash resumes only over segments that are recorded before it.
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
                    let of_it = |record: &&(u8, u64, u8, &str)| matches!(record.0, WRITTEN | BORROWED) && record.1 == index;
                    records[..*at].iter().any(|record| of_it(&record))
                        && !records[*at..].iter().filter(of_it).any(|record| record.3 == "a")
                })
            });
            prop_assert!(sound, "{segments} in {records:?}");
        }
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in proptest::collection::vec(any::<u8>(), 0..400), tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_records(&text, SIZE, boot_hash("a"));
        let mut with_header = header(SIZE).to_vec();
        with_header.extend(tail);
        prop_assert!(read_records(&with_header, SIZE, boot_hash("a")).is_some());
    }
}
