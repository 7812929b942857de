//! Files that are already on this machine.

use crate::{
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::Expect,
    kit::*,
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    store::{Blob, ImportMode, Store, StoreError, Trust},
};
use std::{fs, io, os::unix::fs::MetadataExt, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

fn take(store: &Store, path: &Path, how: ImportMode, expected: &[u8]) -> Result<Blob, StoreError> {
    store.import(path, how, Some((sha256_of(expected), Trust::Sha256Upstream)), &store.lease()?, &|_| {}, &CancellationToken::new())
}

#[test]
fn a_file_becomes_the_blob_itself() {
    let home = home();
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let (path, data) = (home.path("model.gguf"), content(seed as u64, len));
        fs::write(&path, &data).unwrap();
        let ino = fs::metadata(&path).unwrap().ino();
        let blob = take(&home.store, &path, ImportMode::Move, &data).unwrap();
        let stat = fs::metadata(home.store.layout().blob(&blob.digest)).unwrap();
        assert_eq!((stat.ino(), stat.nlink()), (ino, 2));
        fs::remove_file(&path).unwrap();
    }
    home.sound(Expect::Tidy);
}

#[test]
fn a_copy_leaves_the_file_as_it_is() {
    let home = home();
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let (path, data) = (home.path("model.gguf"), content(seed as u64, len));
        fs::write(&path, &data).unwrap();
        let before = fs::metadata(&path).unwrap();
        let blob = take(&home.store, &path, ImportMode::Copy, &data).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_ne!(fs::metadata(home.store.layout().blob(&blob.digest)).unwrap().ino(), before.ino());
        assert_eq!((after.mode(), after.nlink(), after.mtime_nsec()), (before.mode(), 1, before.mtime_nsec()));
    }
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_with_further_names_is_copied() {
    let home = home();
    let (path, data) = (home.path("model.gguf"), content(1, 1000));
    fs::write(&path, &data).unwrap();
    fs::hard_link(&path, home.path("other")).unwrap();
    let blob = take(&home.store, &path, ImportMode::Move, &data).unwrap();
    assert_ne!(fs::metadata(home.store.layout().blob(&blob.digest)).unwrap().ino(), fs::metadata(&path).unwrap().ino());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o200, 0o200);
    home.sound(Expect::Tidy);
}

#[test]
fn other_content_than_expected_is_refused_and_the_file_is_as_it_was() {
    let home = home();
    let (path, data) = (home.path("model.gguf"), content(1, SEGMENT_LEN));
    fs::write(&path, &data).unwrap();
    let before = fs::metadata(&path).unwrap();
    for how in [ImportMode::Move, ImportMode::Copy] {
        assert!(matches!(take(&home.store, &path, how, b"other"), Err(StoreError::Mismatch { .. })));
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.mode(), after.nlink(), after.mtime_nsec()), (before.mode(), 1, before.mtime_nsec()));
    }
    assert_eq!(fs::read(&path).unwrap(), data);
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let home = home();
    let path = home.path("model.gguf");
    for how in [ImportMode::Move, ImportMode::Copy] {
        fs::write(&path, content(1, 9 * SEGMENT_LEN)).unwrap();
        let change = |_: u64| fs::write(&path, content(2, 9 * SEGMENT_LEN)).unwrap();
        let result = home.store.import(&path, how, None, &lease(&home.store), &change, &CancellationToken::new());
        assert!(matches!(result, Err(StoreError::Changed { .. })), "{result:?}");
        let cut = |_: u64| fs::write(&path, "short").unwrap();
        let result = home.store.import(&path, how, None, &lease(&home.store), &cut, &CancellationToken::new());
        assert!(matches!(result, Err(StoreError::Changed { .. })), "{result:?}");
    }
    assert_eq!(home.store.blobs().unwrap(), []);
    collect_in(&home.store, days(1)).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_that_the_store_has_already_is_not_imported_twice() {
    let home = home();
    let (path, data) = (home.path("model.gguf"), content(1, 1000));
    let blob = put(&home.store, &data).unwrap();
    fs::write(&path, &data).unwrap();
    let mode = fs::metadata(&path).unwrap().mode();
    assert_eq!(take(&home.store, &path, ImportMode::Move, &data).unwrap(), blob);
    assert_eq!((fs::metadata(&path).unwrap().nlink(), fs::metadata(&path).unwrap().mode()), (1, mode));
    assert_eq!(home.store.meta(&blob.digest).unwrap().unwrap().sources.len(), 2);
    assert_eq!(home.store.meta(&blob.digest).unwrap().unwrap().trust, Trust::Sha256Upstream);
    home.sound(Expect::Tidy);
}

#[test]
fn links_and_folders_are_not_imported() {
    let home = home();
    fs::write(home.path("file"), "x").unwrap();
    std::os::unix::fs::symlink(home.path("file"), home.path("link")).unwrap();
    for path in [home.path("link"), home.dir.path().to_owned(), home.path("none")] {
        assert!(home.store.import(&path, ImportMode::Copy, None, &lease(&home.store), &|_| {}, &CancellationToken::new()).is_err());
    }
    home.sound(Expect::Tidy);
}

#[test]
fn whatever_step_fails_the_file_is_as_it_was_or_is_the_blob() {
    let disk = FaultyDisk::new();
    let home = home_on(Arc::new(disk.clone()));
    let path = home.path("model.gguf");
    for how in [ImportMode::Move, ImportMode::Copy] {
        for step in 1.. {
            let data = content(step + if how == ImportMode::Copy { 1000 } else { 0 }, SEGMENT_LEN + 1);
            fs::write(&path, &data).unwrap();
            disk.set(Rule::Once(step, io::ErrorKind::StorageFull));
            let result = take(&home.store, &path, how, &data);
            let steps = disk.count();
            disk.set(Rule::Never);
            let stat = fs::metadata(&path).unwrap();
            let published = home.store.find(&sha256_of(&data)).unwrap().is_some();
            assert!(published || result.is_err());
            if !published || how == ImportMode::Copy {
                assert_eq!((stat.mode() & 0o777, stat.nlink()), (0o644, 1), "{how:?} step {step}: {result:?}");
            }
            assert_eq!(fs::read(&path).unwrap(), data);
            take(&home.store, &path, how, &data).unwrap();
            fs::remove_file(&path).unwrap();
            if step > steps {
                break;
            }
        }
    }
    collect_in(&home.store, Duration::from_secs(3600 * 24 * 8)).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_disk_that_cannot_link_copies() {
    let disk = FaultyDisk::new();
    let home = home_on(Arc::new(disk.clone()));
    let (path, data) = (home.path("model.gguf"), content(1, SEGMENT_LEN + 1));
    fs::write(&path, &data).unwrap();
    disk.set(Rule::Pick(Box::new(|op, _| matches!(op, Op::HardLink | Op::Reflink).then_some(io::ErrorKind::CrossesDevices))));
    take(&home.store, &path, ImportMode::Move, &data).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
    home.sound(Expect::Tidy);
}

use std::time::Duration;
