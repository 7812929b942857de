//! A download that goes on hashes what is new. What was hashed before is looked at, and nothing is published unseen.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::{GitSha1, SEGMENT_LEN, sha256_of},
    store::{Advance, BlobRequest, BlobWriter, IngestKey, Progress, ResumeState, StoreError, Trust},
};
use std::{fs, os::unix::fs::FileExt, path::PathBuf, sync::Barrier, thread};
use tokio_util::sync::CancellationToken;

/// Long enough for two notes, behind the 16th and the 32nd segment.
const LEN: u64 = 35 * SEGMENT_LEN + 77;
const RECORD: usize = 64;

fn reopen(home: &TestStore, data: &[u8]) -> BlobWriter {
    open(home.store.begin_ingest(request(data), &lease(&home.store), &quick()).unwrap())
}

/// A run that ends after it wrote and hashed so many segments of `data`, on the way to `aim`.
fn interrupted(home: &TestStore, aim: &[u8], data: &[u8], segments: u64) -> PathBuf {
    let writer = reopen(home, aim);
    for index in 0..segments {
        assert!(writer.write_and_hash(index, piece(&writer, data, index)).unwrap().is_some());
    }
    // What was not synced is looked at when it is opened.
    writer.checkpoint().unwrap();
    home.store.layout().partial(&writer.request().key).dir
}

fn damage(partial: &std::path::Path, segment: u64) {
    let file = fs::File::options().write(true).open(partial.join("data")).unwrap();
    file.write_all_at(b"damage", segment * SEGMENT_LEN + 4711).unwrap();
}

/// Writes what is missing and hashes from the disk; whether all of it is hashed.
fn fill(writer: &BlobWriter, data: &[u8]) -> bool {
    for index in writer.missing().into_iter().flatten() {
        assert!(writer.write(index, piece(writer, data, index)).unwrap());
    }
    assert!(!matches!(writer.advance_from_disk().unwrap(), Advance::Busy | Advance::Corrupt(_)));
    writer.hashed() == writer.segments()
}

/// Writes what is missing, and publishes.
fn publish(home: &TestStore, writer: BlobWriter, data: &[u8]) {
    assert!(fill(&writer, data));
    writer.commit(None, source()).unwrap();
    drop(writer);
    assert_eq!(fs::read(home.store.layout().blob(&sha256_of(data))).unwrap(), data);
    home.sound(Expect::Tidy);
}

/// Positions of the notes in a journal.
fn notes(journal: &[u8]) -> Vec<usize> {
    (RECORD..journal.len()).step_by(RECORD).filter(|at| journal[*at] == 3).collect()
}

#[test]
fn the_hash_goes_on_from_the_last_checkpoint() {
    let data = content(13, LEN);
    for (segments, noted) in [(15, 0), (16, 16), (31, 16), (35, 32)] {
        let home = home();
        interrupted(&home, &data, &data, segments);
        let writer = reopen(&home, &data);
        assert_eq!(writer.hashed(), noted);
        assert_eq!(verify_resumed(&writer).unwrap(), [0_u64; 0]);
        assert_eq!(writer.hashed(), noted);
        assert_eq!(finish(writer, &data).unwrap().digest, sha256_of(&data));
        home.sound(Expect::Tidy);
    }
}

#[test]
fn nothing_is_published_before_somebody_looked_at_what_was_hashed() {
    let home = home();
    let data = content(1, LEN);
    interrupted(&home, &data, &data, 20);
    let writer = reopen(&home, &data);
    assert!(fill(&writer, &data));
    assert_eq!(writer.resume_state(), ResumeState::Unverified);
    let error = writer.commit(None, source()).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { missing: 16, .. }), "{error}");
    assert_eq!(home.store.blobs().unwrap(), []);

    assert_eq!(verify_resumed(&writer).unwrap(), [0_u64; 0]);
    assert_eq!(writer.resume_state(), ResumeState::Verified);
    assert_eq!(writer.advance_from_disk().unwrap(), Advance::Complete);
    writer.commit(None, source()).unwrap();
    drop(writer);
    home.sound(Expect::Tidy);
}

#[test]
fn damage_before_the_checkpoint_is_found_and_only_that_is_wanted_again() {
    let data = content(2, LEN);
    for (damaged, begin) in [(vec![0], 0), (vec![5, 6, 20], 0), (vec![16], 16), (vec![20, 31], 16)] {
        let home = home();
        let partial = interrupted(&home, &data, &data, 35);
        damaged.iter().for_each(|segment| damage(&partial, *segment));
        let writer = reopen(&home, &data);
        assert_eq!(writer.hashed(), 32);
        assert!(fill(&writer, &data), "hashing does not wait for the verification");
        assert_eq!(verify_resumed(&writer).unwrap(), damaged);
        assert_eq!(writer.missing().into_iter().flatten().collect::<Vec<_>>(), damaged);
        assert_eq!((writer.hashed(), writer.resume_state()), (begin, ResumeState::Verified));
        assert!(writer.commit(None, source()).is_err());
        publish(&home, writer, &data);
    }
}

#[test]
fn looking_can_be_stopped_and_proves_nothing_then() {
    let home = home();
    let data = content(3, LEN);
    let partial = interrupted(&home, &data, &data, 20);
    damage(&partial, 3);
    let writer = reopen(&home, &data);
    let token = CancellationToken::new();
    token.cancel();
    let error = writer.verify_resumed(Progress { bytes: &|_| {}, cancel: &token }).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled), "{error}");
    assert_eq!(writer.resume_state(), ResumeState::Unverified);
    assert_eq!(verify_resumed(&writer).unwrap(), [3]);
}

#[test]
fn a_note_that_is_damaged_or_torn_is_passed_over() {
    type Change = fn(&mut Vec<u8>, usize);
    let changes: [(&str, Change); 4] = [
        ("a flipped bit of the state", |journal, at| journal[at + 20] ^= 4),
        ("another number of segments", |journal, at| journal[at + 8] = 35),
        ("a torn end", |journal, at| journal.truncate(at + 40)),
        ("zeros", |journal, at| journal[at..at + RECORD].fill(0)),
    ];
    let data = content(4, LEN);
    for (name, change) in changes {
        let home = home();
        let path = interrupted(&home, &data, &data, 32).join("journal");
        let mut journal = fs::read(&path).unwrap();
        let last = notes(&journal)[1];
        change(&mut journal, last);
        fs::write(&path, journal).unwrap();
        let writer = reopen(&home, &data);
        assert_eq!(writer.hashed(), 16, "{name}");
        finish(writer, &data).unwrap();
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_note_of_a_segment_whose_claim_is_lost_is_passed_over() {
    let home = home();
    let data = content(5, LEN);
    let path = interrupted(&home, &data, &data, 32).join("journal");
    let mut journal = fs::read(&path).unwrap();
    // The records are the header, 16 claims, a note, 16 claims, a note.
    assert_eq!(notes(&journal), [17 * RECORD, 34 * RECORD]);
    journal[20 * RECORD + 17] ^= 1;
    fs::write(&path, journal).unwrap();
    let writer = reopen(&home, &data);
    assert_eq!(writer.missing()[0], 18..19);
    assert_eq!(writer.hashed(), 16);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_checkpoint_that_lies_publishes_nothing() {
    let home = home();
    let data = content(6, LEN);
    let path = interrupted(&home, &data, &data, 32).join("journal");
    let mut journal = fs::read(&path).unwrap();
    let last = notes(&journal)[1];
    journal[last + 20] ^= 4;
    let check = blake3::hash(&journal[last..last + 56]);
    journal[last + 56..last + RECORD].copy_from_slice(&check.as_bytes()[..8]);
    fs::write(&path, journal).unwrap();
    let writer = reopen(&home, &data);
    assert_eq!(writer.hashed(), 32);
    let error = finish(writer, &data).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    assert_eq!(home.store.blobs().unwrap(), []);
    put(&home.store, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_note_is_of_no_use_once_one_of_its_segments_was_fetched_again() {
    let home = home();
    let data = content(7, LEN);
    let mut wrong = data.clone();
    wrong[3 * SEGMENT_LEN as usize + 9] ^= 1;
    let partial = interrupted(&home, &data, &wrong, 20);
    damage(&partial, 3);
    let writer = reopen(&home, &data);
    assert_eq!(verify_resumed(&writer).unwrap(), [3]);
    assert!(writer.write(3, piece(&writer, &data, 3)).unwrap());
    drop(writer);
    // What was noted is the hash of other bytes than are there now.
    let writer = reopen(&home, &data);
    assert_eq!(writer.hashed(), 0);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_partial_of_another_length_has_no_checkpoints() {
    let home = home();
    let data = content(8, LEN);
    interrupted(&home, &data, &data, 20);
    let other = BlobRequest { size: LEN + 1, ..request(&data) };
    let writer = open(home.store.begin_ingest(other, &lease(&home.store), &quick()).unwrap());
    assert_eq!((writer.held(), writer.hashed()), (0, 0));
}

#[test]
fn a_file_named_by_its_git_blob_id_is_hashed_from_its_first_byte() {
    let home = home();
    let data = content(9, 17 * SEGMENT_LEN);
    let key: GitSha1 = "ce013625030ba8dba906f756967f9e9ca394464a".parse().unwrap();
    let request = || BlobRequest {
        key: IngestKey::Git(key),
        size: data.len() as u64,
        what: "tokenizer.json".into(),
        trust: Trust::Sha256Upstream,
    };
    let admit = || open(home.store.begin_ingest(request(), &lease(&home.store), &quick()).unwrap());
    let writer = admit();
    for index in 0..17 {
        assert!(writer.write_and_hash(index, piece(&writer, &data, index)).unwrap().is_some());
    }
    drop(writer);
    let writer = admit();
    assert_eq!((writer.missing(), writer.hashed()), (vec![], 0));
}

#[test]
fn other_content_for_a_recorded_segment_is_not_written() {
    let home = home();
    let (data, other) = (content(10, 3 * SEGMENT_LEN), content(11, 3 * SEGMENT_LEN));
    let writer = reopen(&home, &data);
    assert!(writer.write_and_hash(0, piece(&writer, &data, 0)).unwrap().is_some());
    assert!(!writer.write(0, piece(&writer, &other, 0)).unwrap());
    publish(&home, writer, &data);
}

#[test]
fn the_same_content_for_a_recorded_segment_repairs_it() {
    let home = home();
    let data = content(12, 3 * SEGMENT_LEN);
    let partial = interrupted(&home, &data, &data, 2);
    damage(&partial, 1);
    let writer = reopen(&home, &data);
    assert!(writer.write(1, piece(&writer, &data, 1)).unwrap());
    assert!(fill(&writer, &data));
    writer.commit(None, source()).unwrap();
}

#[test]
fn a_file_that_one_thread_verifies_while_another_hashes_it_is_complete_for_the_last_of_them() {
    let data = content(14, 18 * SEGMENT_LEN + 77);
    for round in 0..50 {
        let home = home();
        let partial = interrupted(&home, &data, &data, 17);
        if round % 2 == 1 {
            damage(&partial, round % 16);
        }
        let writer = reopen(&home, &data);
        assert_eq!(writer.resume_state(), ResumeState::Unverified);
        let start = Barrier::new(2);
        let fetch = |segments: Vec<u64>| -> Vec<Advance> {
            let write = |index| assert!(writer.write(index, piece(&writer, &data, index)).unwrap());
            let fetched = segments.into_iter().map(|index| {
                write(index);
                writer.advance_from_disk().unwrap()
            });
            fetched.collect()
        };
        let ends: Vec<Advance> = thread::scope(|scope| {
            let hashing = scope.spawn(|| {
                start.wait();
                fetch(writer.missing().into_iter().flatten().collect())
            });
            let verifying = scope.spawn(|| {
                start.wait();
                let mut ends = fetch(verify_resumed(&writer).unwrap());
                ends.push(writer.advance_from_disk().unwrap());
                ends
            });
            [hashing.join().unwrap(), verifying.join().unwrap()].concat()
        });
        assert!(ends.contains(&Advance::Complete), "round {round}: {ends:?}");
        assert_eq!(writer.commit(None, source()).unwrap().digest, sha256_of(&data));
    }
}

#[test]
fn a_segment_that_is_corrupt_behind_the_one_that_is_written_is_returned() {
    let home = home();
    let data = content(15, 3 * SEGMENT_LEN);
    let writer = reopen(&home, &data);
    assert!(writer.write(1, piece(&writer, &data, 1)).unwrap());
    damage(&home.store.layout().partial(&writer.request().key).dir, 1);
    assert_eq!(writer.write_and_hash(0, piece(&writer, &data, 0)).unwrap(), Some(Advance::Corrupt(1)));
    assert_eq!(writer.missing().into_iter().flatten().collect::<Vec<_>>(), [1, 2]);
    let other = content(16, SEGMENT_LEN);
    assert_eq!(writer.write_and_hash(0, &other).unwrap(), None, "it is not taken");
    publish(&home, writer, &data);
}
