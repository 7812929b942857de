//! Damage is found, and where.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::SEGMENT_LEN,
    store::{Blob, BlobState, CheckMode, Progress, Store, StoreError, Trust},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::SystemTime};
use tokio_util::sync::CancellationToken;

const OK: BlobState = BlobState::Ok { trust: Trust::Sha256Upstream };

fn check(store: &Store, blob: &Blob, mode: CheckMode) -> BlobState {
    let token = CancellationToken::new();
    store.check(&blob.digest, mode, Progress { bytes: &|_| {}, cancel: &token }).unwrap()
}

/// Changes a file behind everybody's back.
fn tamper(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mode = fs::metadata(path).unwrap().permissions();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn modified(segments: &[u64]) -> BlobState {
    BlobState::Modified { segments: segments.to_vec() }
}

#[test]
fn a_good_blob_passes_every_check() {
    let home = home();
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let blob = put(&home.store, &content(seed as u64, len)).unwrap();
        for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
            assert_eq!(check(&home.store, &blob, mode), OK, "{len} bytes, {mode:?}");
        }
    }
    home.sound(Expect::Tidy);
}

#[test]
fn a_flipped_bit_is_found_in_its_segment() {
    let home = home();
    let data = content(1, 20 * SEGMENT_LEN + 9);
    let blob = put(&home.store, &data).unwrap();
    let path = home.store.layout().blob(&blob.digest);
    tamper(&path, |bytes| bytes[20 * SEGMENT_LEN as usize + 8] ^= 0x80);
    assert_eq!(check(&home.store, &blob, CheckMode::Full), modified(&[20]));
    tamper(&path, |bytes| bytes[0] ^= 1);
    tamper(&path, |bytes| bytes[9 * SEGMENT_LEN as usize] ^= 1);
    for mode in [CheckMode::Quick, CheckMode::Full] {
        assert_eq!(check(&home.store, &blob, mode), modified(&[0, 9, 20]), "{mode:?}");
    }
    assert!(matches!(check(&home.store, &blob, CheckMode::Rehash), BlobState::Modified { .. }));
}

#[test]
fn a_cut_or_grown_blob_is_found_by_every_check() {
    let home = home();
    let blob = put(&home.store, &content(1, 2 * SEGMENT_LEN)).unwrap();
    let path = home.store.layout().blob(&blob.digest);
    tamper(&path, |bytes| bytes.truncate(5));
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        assert_eq!(check(&home.store, &blob, mode), modified(&[]));
    }
    tamper(&path, |bytes| bytes.resize(3 * SEGMENT_LEN as usize, 0));
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        assert_eq!(check(&home.store, &blob, mode), modified(&[]));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&home.store, &blob, CheckMode::Full), BlobState::Missing);
}

#[test]
fn a_damaged_record_is_not_mistaken_for_a_damaged_blob_and_is_rebuilt() {
    let home = home();
    let blob = put(&home.store, &content(1, 5 * SEGMENT_LEN + 1)).unwrap();
    let (meta, segments) = (home.store.layout().meta(&blob.digest), home.store.layout().segments(&blob.digest));
    let size = blob.size.to_string();
    let damages: [&dyn Fn(); 8] = [
        &|| tamper(&segments, |bytes| bytes[40] ^= 1),
        &|| tamper(&segments, |bytes| bytes.truncate(64)),
        &|| tamper(&segments, |bytes| bytes.truncate(63)),
        &|| fs::remove_file(&segments).unwrap(),
        &|| tamper(&meta, |bytes| bytes.truncate(10)),
        &|| fs::remove_file(&meta).unwrap(),
        &|| {
            let text = fs::read_to_string(&meta).unwrap();
            fs::write(&meta, text.replacen(&size, "17", 1)).unwrap();
        },
        &|| {
            fs::remove_file(&meta).unwrap();
            fs::remove_file(&segments).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage();
        let state = check(&home.store, &blob, CheckMode::Full);
        assert!(matches!(state, BlobState::Ok { .. }), "damage {number}: {state:?}");
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_damaged_record_of_a_short_blob_is_rebuilt_and_damage_to_the_blob_itself_is_found() {
    for len in [0, 10, SEGMENT_LEN] {
        let home = home();
        let blob = put(&home.store, &content(1, len)).unwrap();
        let meta = home.store.layout().meta(&blob.digest);
        let text = fs::read_to_string(&meta).unwrap();
        let value = home.store.meta(&blob.digest).unwrap().unwrap().blake3.to_string();
        let damages = [
            text.replace(&format!("\"size\": {len}"), "\"size\": 77").replace(&format!("\"size\":{len}"), "\"size\":77"),
            text.replace(&value, &"5".repeat(64)),
            text[..10].to_owned(),
        ];
        for damaged in damages {
            assert_ne!(damaged, text);
            fs::write(&meta, damaged).unwrap();
            assert!(matches!(check(&home.store, &blob, CheckMode::Full), BlobState::Ok { .. }), "{len} bytes");
            home.sound(Expect::Tidy);
        }
        tamper(&home.store.layout().blob(&blob.digest), |bytes| bytes.push(1));
        for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
            assert!(matches!(check(&home.store, &blob, mode), BlobState::Modified { .. }), "{len} bytes, {mode:?}");
        }
    }
}

#[test]
fn a_damaged_record_does_not_hide_a_damaged_blob() {
    let home = home();
    let blob = put(&home.store, &content(1, 3 * SEGMENT_LEN)).unwrap();
    tamper(&home.store.layout().blob(&blob.digest), |bytes| bytes[7] ^= 1);
    tamper(&home.store.layout().segments(&blob.digest), |bytes| bytes[7] ^= 1);
    assert_eq!(check(&home.store, &blob, CheckMode::Full), modified(&[]));
    fs::remove_file(home.store.layout().meta(&blob.digest)).unwrap();
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        assert_eq!(check(&home.store, &blob, mode), modified(&[]));
    }
}

#[test]
fn a_quick_check_that_had_to_read_everything_need_not_do_so_again() {
    let home = home();
    let data = content(1, 3 * SEGMENT_LEN);
    let blob = put(&home.store, &data).unwrap();
    let path = home.store.layout().blob(&blob.digest);
    // A store that was copied to another disk: every inode and many times are new.
    fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let read = std::sync::atomic::AtomicU64::new(0);
    let quick = || {
        read.store(0, std::sync::atomic::Ordering::SeqCst);
        let count = |bytes: u64| read.store(bytes, std::sync::atomic::Ordering::SeqCst);
        let token = CancellationToken::new();
        let state = home.store.check(&blob.digest, CheckMode::Quick, Progress { bytes: &count, cancel: &token }).unwrap();
        (state, read.load(std::sync::atomic::Ordering::SeqCst))
    };
    assert_eq!(quick(), (OK, data.len() as u64));
    assert_eq!(quick(), (OK, 0));
    home.sound(Expect::Tidy);
}

#[test]
fn a_check_of_a_copy_never_rewrites_the_records_of_the_blob() {
    let home = home();
    let data = content(1, SEGMENT_LEN + 1);
    let blob = put(&home.store, &data).unwrap();
    let copy = home.path("copy.gguf");
    fs::write(&copy, &data).unwrap();
    let before = home.store.meta(&blob.digest).unwrap();
    let token = CancellationToken::new();
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        let progress = Progress { bytes: &|_| {}, cancel: &token };
        assert_eq!(home.store.check_at(&copy, &blob.digest, mode, progress).unwrap(), OK);
    }
    assert_eq!(home.store.meta(&blob.digest).unwrap(), before);
    tamper(&copy, |bytes| bytes[SEGMENT_LEN as usize] ^= 1);
    let progress = Progress { bytes: &|_| {}, cancel: &token };
    assert_eq!(home.store.check_at(&copy, &blob.digest, CheckMode::Full, progress).unwrap(), modified(&[1]));
    let progress = Progress { bytes: &|_| {}, cancel: &token };
    assert_eq!(home.store.check_at(home.dir.path(), &blob.digest, CheckMode::Full, progress).unwrap(), modified(&[]));
}

#[test]
fn a_check_can_be_stopped() {
    let home = home();
    let blob = put(&home.store, &content(1, 9 * SEGMENT_LEN)).unwrap();
    let token = CancellationToken::new();
    token.cancel();
    for mode in [CheckMode::Full, CheckMode::Rehash] {
        let result = home.store.check(&blob.digest, mode, Progress { bytes: &|_| {}, cancel: &token });
        assert!(matches!(result, Err(StoreError::Cancelled)));
    }
}

#[test]
fn the_record_of_a_newer_program_is_neither_read_nor_replaced() {
    let home = home();
    let data = content(1, 5000);
    let blob = put(&home.store, &data).unwrap();
    let path = home.store.layout().meta(&blob.digest);
    let newer = fs::read_to_string(&path).unwrap().replace(r#""format": 1"#, r#""format": 2, "mood": "good""#);
    fs::write(&path, &newer).unwrap();
    assert_eq!(home.store.meta(&blob.digest).unwrap(), None);
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        assert_eq!(check(&home.store, &blob, mode), BlobState::Ok { trust: Trust::Tofu }, "only the hash vouches for it");
    }
    home.store.add_source(&blob.digest, source(), Trust::Sha256Upstream).unwrap();
    // Published again, as after a download with --force.
    let writer = open(home.store.begin_replace(request(&data), &lease(&home.store), &quick()).unwrap());
    finish(writer, &data).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    let token = CancellationToken::new();
    let findings = home.store.examine(true, Progress { bytes: &|_| {}, cancel: &token }).unwrap().list;
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_pipe_where_a_file_should_be_does_not_make_anybody_wait() {
    let home = home();
    let blob = put(&home.store, &content(1, 5000)).unwrap();
    let pipe = |path: &Path| {
        fs::remove_file(path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    pipe(&home.store.layout().meta(&blob.digest));
    pipe(&home.store.layout().blob(&blob.digest));
    let (done, finished) = std::sync::mpsc::channel();
    let (store, path) = (home.store.clone(), home.store.layout().blob(&blob.digest));
    std::thread::spawn(move || {
        let token = CancellationToken::new();
        let progress = Progress { bytes: &|_| {}, cancel: &token };
        let at = store.check_at(&path, &blob.digest, CheckMode::Full, progress);
        let hashed = model_manager::store::hash_file(store.disk(), &path, progress);
        done.send((at.unwrap(), hashed.is_err(), store.meta(&blob.digest).unwrap().is_none())).unwrap();
    });
    let found = finished.recv_timeout(std::time::Duration::from_secs(20)).expect("it waits for the pipe's other end");
    assert_eq!(found, (modified(&[]), true, true));
}

#[test]
fn a_journal_is_too_long_where_no_reader_takes_it() {
    let home = home();
    let data = content(1, 300 * SEGMENT_LEN + 1);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    assert!(writer.write(0, piece(&writer, &data, 0)).unwrap());
    let journal = home.store.layout().partial(&writer.request().key).journal;
    drop(writer);
    let token = CancellationToken::new();
    let is_named = |len: u64| {
        fs::File::options().write(true).open(&journal).unwrap().set_len(len).unwrap();
        let findings = home.store.examine(false, Progress { bytes: &|_| {}, cancel: &token }).unwrap().list;
        findings.iter().any(|finding| finding.message.contains("its journal is longer"))
    };
    let longest = 64 * (2 + 8 * 301) + SEGMENT_LEN;
    assert!(!is_named(longest));
    assert!(is_named(longest + 1));
}
