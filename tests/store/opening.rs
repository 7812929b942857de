//! Opening and making stores.

use crate::{
    child,
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::{Expect, assert_sound},
    kit::*,
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    disk::RealDisk,
    store::{Acquired, CheckMode, Progress, Project, Store, StoreError},
};
use std::{fs, io, path::Path, sync::Arc};

fn open_real(root: &Path) -> Result<Store, StoreError> {
    Store::open(Arc::new(RealDisk), root)
}

fn init(root: &Path) -> Result<Store, StoreError> {
    Store::open_or_init(Arc::new(RealDisk), root, false)
}

#[test]
fn a_new_store_is_sound_and_is_found_again() {
    let home = home();
    home.sound(Expect::Tidy);
    assert!(home.store.is_writable() && home.store.locks_work());
    assert_eq!(open_real(&home.root()).unwrap().marker(), home.store.marker());
    assert_eq!(init(&home.root()).unwrap().marker(), home.store.marker());
    home.sound(Expect::Tidy);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let dir = scratch();
    assert!(matches!(open_real(&dir.path().join("none")), Err(StoreError::Absent { .. })));
    assert!(!dir.path().join("none").exists());
    fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    assert!(matches!(open_real(dir.path()), Err(StoreError::NotAStore { .. })));
    assert!(matches!(init(dir.path()), Err(StoreError::NotAStore { .. })));
    fs::remove_file(dir.path().join("thesis.txt")).unwrap();
    fs::create_dir_all(dir.path().join("sha256/ab")).unwrap();
    fs::write(dir.path().join("sha256/ab/precious"), "x").unwrap();
    assert!(matches!(init(dir.path()), Err(StoreError::NotAStore { .. })), "a store that lost its marker holds blobs");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_making_is_completed() {
    let disk = FaultyDisk::new();
    disk.set(Rule::Never);
    let dir = scratch();
    Store::open_or_init(Arc::new(disk.clone()), &dir.path().join("count"), false).unwrap();
    let steps = disk.count();
    let few = (1..40).chain((40..steps - 30).step_by(97)).chain(steps - 30..=steps);
    for (number, step) in few.enumerate() {
        let root = dir.path().join(format!("s{number}/.blobs"));
        disk.set(Rule::Dead(step));
        let died = Store::open_or_init(Arc::new(disk.clone()), &root, false).is_err();
        disk.set(Rule::Never);
        let store = init(&root).unwrap_or_else(|error| panic!("after step {step}: {error}"));
        put(&store, b"x").unwrap();
        collect_in(&store, days(3)).unwrap();
        assert_sound(&RealDisk, &root, Expect::Tidy);
        assert!(died, "step {step}");
        fs::remove_dir_all(dir.path().join(format!("s{number}"))).unwrap();
    }
}

#[test]
fn processes_that_make_a_store_at_once_make_one() {
    let dir = scratch();
    let root = dir.path().join("models/.blobs");
    let mut others: Vec<_> = (0..4).map(|_| child::spawn("init", &root, 0, 0)).collect();
    let said: Vec<String> = others.iter_mut().map(child::StoreProcess::says).collect();
    assert!(said.iter().all(|uuid| *uuid == said[0]), "{said:?}");
    collect_in(&open_real(&root).unwrap(), days(3)).unwrap();
    assert_sound(&RealDisk, &root, Expect::Tidy);
}

#[test]
fn threads_that_make_a_store_at_once_and_use_it_at_once_agree() {
    for _ in 0..8 {
        let dir = scratch();
        let root = dir.path().join("models/.blobs");
        let uuids: Vec<_> = std::thread::scope(|scope| {
            let run = |seed: u64| {
                let store = init(&root).unwrap();
                put(&store, &content(seed, 10)).unwrap();
                store.marker().uuid
            };
            let threads: Vec<_> = (0..3).map(|seed| scope.spawn(move || run(seed))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(uuids.iter().all(|uuid| *uuid == uuids[0]));
    }
}

#[test]
fn an_error_about_a_record_does_not_repeat_a_long_text_of_it() {
    let home = home();
    fs::write(home.store.layout().marker(), format!("\"{}\"", "a".repeat(5000))).unwrap();
    let error = open_real(&home.root()).unwrap_err();
    let StoreError::BadRecord { why, .. } = &error else { panic!("{error}") };
    assert!(why.starts_with("invalid type") && why.len() <= 200, "{why}");
}

#[test]
fn a_newer_layout_is_refused_or_only_read() {
    let home = home();
    let blob = put(&home.store, b"x").unwrap();
    let path = home.store.layout().marker();
    let text = fs::read_to_string(&path).unwrap();
    let edit = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        open_real(&home.root())
    };
    for (from, to) in [
        ("\"min_reader\": 1", "\"min_reader\": 2"),
        ("\"hash\": \"sha256\"", "\"hash\": \"blake3\""),
        ("\"segment_len\": 1048576", "\"segment_len\": 4096"),
        ("\"flags\": []", "\"flags\": [\"compressed\"]"),
    ] {
        assert!(matches!(edit(from, to), Err(StoreError::TooNew { .. })), "{to}");
    }
    assert!(matches!(edit("\"uuid\"", "\"oops\""), Err(StoreError::BadRecord { .. })));
    let old = edit("\"min_writer\": 1", "\"min_writer\": 2").unwrap();
    assert!(!old.is_writable());
    assert_eq!(old.find(&blob.digest).unwrap(), Some(blob));
    assert!(matches!(old.begin_ingest(request(b"new"), &lease(&old), &quick()), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn a_store_that_cannot_be_written_can_be_read_and_checked_without_a_write() {
    let home = home();
    let data = content(1, 3_000_000);
    let blob = put(&home.store, &data).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    let disk = FaultyDisk::new();
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        disk.set(Rule::Pick(Box::new(move |_, _| Some(kind))));
        let store = Store::open(Arc::new(disk.clone()), &home.root()).unwrap();
        assert!(!store.is_writable());
        let opened = disk.count();
        let store2 = Store::open_or_init(Arc::new(disk.clone()), &home.root(), false).unwrap();
        assert!(!store2.is_writable());
        let before = disk.count();
        assert_eq!(before, 2 * opened);
        assert!(
            matches!(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap(), Acquired::Present(found) if found == blob)
        );
        let token = tokio_util::sync::CancellationToken::new();
        let progress = Progress { bytes: &|_| {}, cancel: &token };
        for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
            assert!(matches!(store.check(&blob.digest, mode, progress).unwrap(), model_manager::store::BlobState::Ok { .. }));
        }
        let lease = store.lease().unwrap();
        lease.protect(&[blob.digest]).unwrap();
        drop(lease);
        assert_eq!(store.plan_collection(NO_GRACE, std::time::SystemTime::now()).unwrap().kept, 1);
        assert_eq!(store.users().unwrap().len(), 1);
        let _section = store.shared().unwrap();
        assert_eq!(disk.count(), before, "something was written");
        assert!(matches!(
            store.begin_ingest(request(b"new"), &crate::kit::lease(&store), &quick()),
            Err(StoreError::ReadOnly { .. })
        ));
        assert!(matches!(store.collector(false, &quick()), Err(StoreError::ReadOnly { .. })));
        assert!(matches!(Project::register(&store, &home.models()), Err(StoreError::ReadOnly { .. })));
    }
    home.sound(Expect::Tidy);
}

#[test]
fn where_locks_do_nothing_partials_are_private_and_nothing_is_collected() {
    // A disk whose locks all succeed is what a broken network file system looks like; the self-test of the store sees it.
    let home = home_on(Arc::new(crate::faults::LaxLocks(FaultyDisk::new())));
    assert!(home.store.is_writable() && !home.store.locks_work());
    let data = content(1, SEGMENT_LEN + 100);
    let first = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    let second = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    assert_eq!(home.store.partials().unwrap().len(), 2);
    // The digest is still what decides.
    assert!(
        matches!(finish(first, &content(2, SEGMENT_LEN + 100)), Err(StoreError::Mismatch { .. })),
        "wrong content was published"
    );
    finish(second, &data).unwrap();
    assert!(matches!(home.store.collector(false, &quick()), Err(StoreError::NoSafeCollection { .. })));
    home.sound(Expect::Tidy);
}

#[test]
fn where_locks_do_nothing_two_may_take_in_one_small_file_at_once() {
    let home = home_on(Arc::new(crate::faults::LaxLocks(FaultyDisk::new())));
    assert!(!home.store.locks_work());
    let temporary = || fs::read_dir(home.root().join("tmp")).unwrap().count();
    for (seed, size) in [(1, 100), (3, SEGMENT_LEN)] {
        let (data, other) = (content(seed, size), content(seed + 1, size));
        let [wrong, right] =
            [(); 2].map(|()| open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap()));
        assert!(wrong.write(0, &other).unwrap() && right.write(0, &data).unwrap());
        assert_eq!((temporary(), home.store.partials().unwrap().len()), (2, 0));
        assert!(matches!(finish(wrong, &other), Err(StoreError::Mismatch { .. })), "wrong content was published");
        assert_eq!(temporary(), 1);
        assert_eq!(finish(right, &data).unwrap().size, size);
        assert_eq!(temporary(), 0);
        assert_eq!(fs::read(home.store.layout().blob(&sha256_of(&data))).unwrap(), data);
    }
    home.sound(Expect::Tidy);
}

#[test]
fn a_full_disk_keeps_nobody_from_opening_and_cleaning() {
    let home = home();
    let disk = FaultyDisk::new();
    let blob = put(&home.store, b"x").unwrap();
    disk.set(Rule::Pick(Box::new(|op, _| {
        let needs_room = matches!(op, Op::Write | Op::Allocate | Op::CreateDir);
        needs_room.then_some(io::ErrorKind::StorageFull)
    })));
    let store = Store::open(Arc::new(disk), &home.root()).unwrap();
    let report = store.collector(false, &quick()).unwrap().collect(NO_GRACE, std::time::SystemTime::now() + days(1)).unwrap();
    assert_eq!(report.removed[0].digest, blob.digest);
    home.sound(Expect::Tidy);
}

#[test]
fn a_store_whose_making_was_interrupted_counts_as_none_and_is_made_by_the_next_who_wants_one() {
    let dir = scratch();
    let root = dir.path().join("store");
    Store::open_or_init(Arc::new(RealDisk), &root, false).unwrap();
    fs::remove_file(root.join("STORE.json")).unwrap();
    assert!(matches!(Store::open(Arc::new(RealDisk), &root), Err(StoreError::Absent { .. })));
    Store::open_or_init(Arc::new(RealDisk), &root, false).unwrap();
    Store::open(Arc::new(RealDisk), &root).unwrap();
}

#[test]
fn folders_are_made_although_somebody_removes_them_while_they_are_empty() {
    let dir = scratch();
    let deep = dir.path().join("a/b/c");
    let disk: &dyn model_manager::disk::Disk = &RealDisk;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                disk.prune_empty(&deep, dir.path()).unwrap();
            }
        });
        let made: Vec<_> = (0..5000).map(|_| disk.create_dirs(&deep, 0o755)).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        made.into_iter().for_each(|made| made.unwrap());
    });
}
