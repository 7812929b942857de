//! What is known to be damaged: from the check that found it until the content is whole again.

use crate::{fsck::Expect, kit::*, sim_disk::SimDisk};
use model_manager::{
    digest::SEGMENT_LEN,
    disk::{Disk, Open},
    store::{Blob, BlobState, CheckMode, Progress, Store},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

fn check(store: &Store, blob: &Blob, mode: CheckMode) -> BlobState {
    let token = CancellationToken::new();
    store.check(&blob.digest, mode, Progress { bytes: &|_| {}, cancel: &token }).unwrap()
}

/// Flips a bit and leaves length and time as they were.
fn flip(store: &Store, blob: &Blob, at: u64) {
    let path = store.layout().blob(&blob.digest);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[at as usize] ^= 1;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    fs::File::open(&path).unwrap().set_modified(time).unwrap();
}

fn modified(segments: &[u64]) -> BlobState {
    BlobState::Modified { segments: segments.to_vec() }
}

#[test]
fn damage_that_a_check_found_is_known_until_a_check_that_reads_finds_it_whole() {
    for len in [10, 3 * SEGMENT_LEN + 7] {
        let home = home();
        let blob = put(&home.store, &content(1, len)).unwrap();
        flip(&home.store, &blob, len - 1);
        assert!(matches!(check(&home.store, &blob, CheckMode::Quick), BlobState::Ok { .. }), "nobody has looked yet");
        assert!(home.store.find_whole(&blob.digest, Some(len)).unwrap().is_some());
        let segments: &[u64] = if len > 10 { &[3] } else { &[] };
        assert_eq!(check(&home.store, &blob, CheckMode::Full), modified(segments));
        let other = Store::open(Arc::new(model_manager::disk::RealDisk), &home.root()).unwrap();
        for store in [&home.store, &other] {
            assert_eq!(check(store, &blob, CheckMode::Quick), modified(segments));
            assert_eq!(store.damage(&blob.digest).unwrap().unwrap().segments, segments);
            assert_eq!(store.damaged().unwrap().into_iter().collect::<Vec<_>>(), [blob.digest]);
            assert!(store.find_whole(&blob.digest, Some(len)).unwrap().is_none());
        }
        flip(&home.store, &blob, len - 1);
        assert_eq!(check(&home.store, &blob, CheckMode::Quick), modified(segments), "a quick check reads nothing");
        assert!(matches!(check(&home.store, &blob, CheckMode::Full), BlobState::Ok { .. }));
        assert!(home.store.damage(&blob.digest).unwrap().is_none());
        home.sound(Expect::Tidy);
    }
}

#[test]
fn what_is_known_to_be_damaged_gives_way_to_right_content_whatever_brings_it() {
    for again in [true, false] {
        let home = home();
        let data = content(1, 2 * SEGMENT_LEN);
        let blob = put(&home.store, &data).unwrap();
        flip(&home.store, &blob, 5);
        check(&home.store, &blob, CheckMode::Full);
        match again {
            true => drop(put(&home.store, &data).unwrap()),
            false => {
                // A file of this machine, taken in.
                let own = home.path("own.gguf");
                fs::create_dir_all(own.parent().unwrap()).unwrap();
                fs::write(&own, &data).unwrap();
                let (lease, token) = (lease(&home.store), CancellationToken::new());
                let how = model_manager::store::ImportMode::Copy;
                home.store.import(&own, how, None, &lease, &|_| {}, &token).unwrap();
            }
        }
        assert!(home.store.damage(&blob.digest).unwrap().is_none());
        assert!(matches!(check(&home.store, &blob, CheckMode::Rehash), BlobState::Ok { .. }));
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_mark_that_says_nothing_is_damage_all_the_same_and_what_is_no_file_is_none() {
    let home = home();
    let blob = put(&home.store, &content(1, 2 * SEGMENT_LEN)).unwrap();
    let mark = home.store.layout().damage(&blob.digest);
    for text in [&b""[..], b"{", b"{\"format\": 9, \"segments\": [\"x\"]}", &vec![b'['; 1 << 20]] {
        fs::write(&mark, text).unwrap();
        assert_eq!(home.store.damage(&blob.digest).unwrap().unwrap().segments, Vec::<u64>::new());
        assert_eq!(check(&home.store, &blob, CheckMode::Quick), modified(&[]));
        assert!(home.store.find_whole(&blob.digest, None).unwrap().is_none());
    }
    assert!(matches!(check(&home.store, &blob, CheckMode::Full), BlobState::Ok { .. }));
    assert!(!mark.exists());
    fs::create_dir(&mark).unwrap();
    assert!(home.store.damaged().unwrap().is_empty());
    assert!(home.store.find_whole(&blob.digest, None).unwrap().is_some());
    assert!(matches!(check(&home.store, &blob, CheckMode::Full), BlobState::Ok { .. }));
    fs::remove_dir(&mark).unwrap();
    fs::write(home.root().join("bad/notes.json"), "mine").unwrap();
    assert!(home.store.damaged().unwrap().is_empty());
}

#[test]
fn a_mark_goes_with_its_blob() {
    let home = home();
    let first = put(&home.store, &content(1, 100)).unwrap();
    let second = put(&home.store, &content(2, 100)).unwrap();
    for blob in [&first, &second] {
        flip(&home.store, blob, 7);
        check(&home.store, blob, CheckMode::Full);
    }
    home.store.quarantine(&first.digest, &quick()).unwrap().unwrap();
    assert_eq!(home.store.damaged().unwrap().into_iter().collect::<Vec<_>>(), [second.digest]);
    assert!(!home.store.layout().damage(&first.digest).exists());
    collect_in(&home.store, days(30)).unwrap();
    assert!(home.store.find(&second.digest).unwrap().is_none());
    assert!(!home.store.layout().damage(&second.digest).exists());
    // One whose blob went some other way.
    fs::write(home.store.layout().damage(&first.digest), "{}").unwrap();
    collect_in(&home.store, days(30)).unwrap();
    assert!(!home.store.layout().damage(&first.digest).exists());
}

#[test]
fn damage_that_was_reported_survives_power_loss() {
    let disk = SimDisk::new();
    let store = Store::open_or_init(Arc::new(disk.clone()), Path::new("/models/.blobs"), false).unwrap();
    let blob = put(&store, &content(1, 1000)).unwrap();
    let path = store.layout().blob(&blob.digest);
    disk.open(&path, Open::Read).unwrap().set_mode(0o644).unwrap();
    let file = disk.open(&path, Open::Write).unwrap();
    file.write_at(b"other", 0).unwrap();
    disk.sync_everything();
    assert_eq!(check(&store, &blob, CheckMode::Rehash), modified(&[]));
    let after = disk.now().crash(|_| false);
    let store = Store::open(Arc::new(after), Path::new("/models/.blobs")).unwrap();
    assert!(store.damage(&blob.digest).unwrap().is_some());
}
