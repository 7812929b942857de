//! Files that are put together from ranges of other blobs: what is copied is verified, known as copied, and given back where
//! the whole is wrong.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    store::{Advance, BlobWriter, BorrowReader, Lender, StoreError},
};
use std::{fs, os::unix::fs::FileExt, sync::Arc};

const MIB: usize = SEGMENT_LEN as usize;

fn reopen(home: &TestStore, data: &[u8]) -> BlobWriter {
    open(home.store.begin_ingest(request(data), &lease(&home.store), &quick()).unwrap())
}

fn sources(home: &TestStore, contents: &[&[u8]]) -> Vec<Option<Lender>> {
    let digests: Vec<_> = contents.iter().map(|data| sha256_of(data)).collect();
    home.store.open_for_borrowing(&digests, &lease(&home.store)).unwrap()
}

fn reader(home: &TestStore, contents: &[&[u8]]) -> BorrowReader {
    let sources: Vec<Lender> = sources(home, contents).into_iter().map(Option::unwrap).collect();
    BorrowReader::new(sources.into())
}

fn damage(home: &TestStore, data: &[u8], at: usize) {
    let path = home.store.layout().blob(&sha256_of(data));
    let mut mode = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o644);
    fs::set_permissions(&path, mode).unwrap();
    fs::File::options().write(true).open(&path).unwrap().write_all_at(b"damage", at as u64).unwrap();
}

/// Writes these segments of `data` as borrowed, and the others as fetched.
fn write_all(writer: &BlobWriter, data: &[u8], borrowed: &[u64]) {
    for index in writer.missing().into_iter().flatten() {
        let segment = piece(writer, data, index);
        let is_taken = if borrowed.contains(&index) { writer.write_borrowed(index, segment) } else { writer.write(index, segment) };
        assert!(is_taken.unwrap());
    }
    assert_eq!(writer.advance_from_disk().unwrap(), Advance::Complete);
}

fn listed(ranges: Vec<std::ops::Range<u64>>) -> Vec<u64> {
    ranges.into_iter().flatten().collect()
}

#[test]
fn ranges_are_read_across_segments_and_blobs() {
    let home = home();
    let (one, other) = (content(1, 3 * SEGMENT_LEN + 7), content(2, 99));
    put(&home.store, &one).unwrap();
    put(&home.store, &other).unwrap();
    let mut reader = reader(&home, &[&one, &other]);
    let mut into = b"before".to_vec();
    for (source, data, range) in [(0, &one, MIB - 3..2 * MIB + 5), (1, &other, 0..99), (0, &one, 3 * MIB..3 * MIB + 7)] {
        let before = into.len();
        assert!(reader.append(source, range.start as u64..range.end as u64, &mut into));
        assert!(into[before..] == data[range]);
    }
    let before = into.len();
    assert!(!reader.append(1, 0..100, &mut into), "behind its end");
    assert!(!reader.append(2, 0..1, &mut into), "no such source");
    assert_eq!(into.len(), before);
}

#[test]
fn damage_of_a_source_is_found_noted_and_not_copied() {
    let home = home();
    let data = content(3, 3 * SEGMENT_LEN);
    put(&home.store, &data).unwrap();
    let mut reader = reader(&home, &[&data]);
    damage(&home, &data, MIB + 100);
    let mut into = Vec::new();
    assert!(!reader.append(0, 5..SEGMENT_LEN + 1, &mut into));
    assert!(into.is_empty());
    assert!(reader.append(0, 5..SEGMENT_LEN, &mut into) && reader.append(0, 2 * SEGMENT_LEN..3 * SEGMENT_LEN, &mut into));
    assert_eq!(home.store.damage(&sha256_of(&data)).unwrap().unwrap().segments, [1]);
    assert!(sources(&home, &[&data])[0].is_none(), "what is known to be damaged lends nothing");
}

#[test]
fn what_is_gone_or_has_no_records_lends_nothing() {
    let home = home();
    let (one, other) = (content(4, SEGMENT_LEN + 1), content(5, SEGMENT_LEN + 1));
    put(&home.store, &other).unwrap();
    fs::remove_file(home.store.layout().segments(&sha256_of(&other))).unwrap();
    assert!(sources(&home, &[&one, &other]).iter().all(Option::is_none));
}

#[test]
fn a_source_is_not_collected_while_it_is_open() {
    let home = home();
    let data = content(6, SEGMENT_LEN + 1);
    put(&home.store, &data).unwrap();
    let source = sources(&home, &[&data]);
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed.len(), 0);
    drop(source);
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed.len(), 1);
}

#[test]
fn a_wrong_hash_costs_only_what_was_borrowed() {
    let data = content(7, 20 * SEGMENT_LEN + 5);
    let mut wrong = data.clone();
    wrong[17 * MIB + 3] ^= 1;
    let home = home();
    let writer = reopen(&home, &data);
    write_all(&writer, &wrong, &[3, 16, 17, 20]);
    let error = writer.commit(None, source()).unwrap_err();
    assert!(matches!(error, StoreError::BorrowedMismatch { bytes, .. } if bytes == 3 * SEGMENT_LEN + 5), "{error}");
    assert_eq!(listed(writer.missing()), [3, 16, 17, 20]);
    assert!(writer.borrowed_segments().is_empty());
    write_all(&writer, &data, &[]);
    assert_eq!(writer.differed(), SEGMENT_LEN);
    writer.commit(None, source()).unwrap();
    drop(writer);
    home.sound(Expect::Tidy);
}

#[test]
fn what_is_wrong_without_anything_borrowed_is_dropped() {
    let home = home();
    let data = content(8, 3 * SEGMENT_LEN);
    let mut wrong = data.clone();
    wrong[0] ^= 1;
    let writer = reopen(&home, &data);
    write_all(&writer, &wrong, &[2]);
    assert!(matches!(writer.commit(None, source()).unwrap_err(), StoreError::BorrowedMismatch { .. }));
    write_all(&writer, &wrong, &[]);
    assert_eq!(writer.differed(), 0);
    assert!(matches!(writer.commit(None, source()).unwrap_err(), StoreError::Mismatch { .. }));
    drop(writer);
    assert_eq!(reopen(&home, &data).held(), 0);
}

#[test]
fn what_a_run_borrowed_is_known_as_borrowed_by_the_next() {
    let data = content(9, 20 * SEGMENT_LEN + 5);
    let mut wrong = data.clone();
    wrong[2 * MIB] ^= 1;
    for checkpoint in [false, true] {
        let home = home();
        let writer = reopen(&home, &data);
        for index in 0..18 {
            let segment = piece(&writer, &wrong, index);
            assert!(if index % 2 == 0 { writer.write_borrowed(index, segment) } else { writer.write(index, segment) }.unwrap());
        }
        writer.advance_from_disk().unwrap();
        if checkpoint {
            writer.checkpoint().unwrap();
        }
        drop(writer);
        // A killed run leaves the lock to the next; what was not synced is written again, and keeps its kind.
        let writer = reopen(&home, &data);
        assert_eq!((writer.held(), writer.hashed()), (18 * SEGMENT_LEN, 16));
        assert_eq!(listed(writer.borrowed_segments()), (0..18).step_by(2).collect::<Vec<_>>());
        assert_eq!(verify_resumed(&writer).unwrap(), [0_u64; 0]);
        write_all(&writer, &data, &[]);
        assert!(matches!(writer.commit(None, source()).unwrap_err(), StoreError::BorrowedMismatch { .. }));
        assert_eq!(writer.hashed(), 0, "hashing resumes behind no segment that was wrong");
        write_all(&writer, &data, &[]);
        writer.commit(None, source()).unwrap();
        drop(writer);
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_borrowed_segment_that_is_fetched_after_all_is_no_longer_borrowed() {
    let home = home();
    let data = content(10, 2 * SEGMENT_LEN);
    let writer = reopen(&home, &data);
    assert!(writer.write_borrowed(0, piece(&writer, &data, 0)).unwrap());
    assert!(writer.write(0, piece(&writer, &data, 0)).unwrap());
    assert!(writer.borrowed_segments().is_empty());
    let sources: Arc<[Lender]> = Arc::new([]);
    assert!(!BorrowReader::new(sources).append(0, 0..0, &mut Vec::new()));
}
