//! What every room relies on, whatever the system.

use super::*;
use std::fs;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A read-only file, as a blob is one.
    fn blob(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        let file = RealDisk.open(&path, Open::CreateNew(0o644)).unwrap();
        file.write_at(content.as_bytes(), 0).unwrap();
        file.set_mode(0o444).unwrap();
        path
    }
}

fn is_read_only(path: &Path) -> bool {
    RealDisk.stat(path).unwrap().mode & 0o222 == 0
}

#[test]
fn the_content_of_a_lock_file_is_read_by_those_who_wait_for_it() {
    let place = Place::new();
    let path = place.path("lock");
    let held = RealDisk.open(&path, Open::CreateIfMissing(0o600)).unwrap();
    assert!(held.try_lock(LockKind::Exclusive).unwrap());
    held.write_at(b"process 7", 0).unwrap();
    let waiting = RealDisk.open(&path, Open::Write).unwrap();
    assert!(!waiting.try_lock(LockKind::Exclusive).unwrap() && !waiting.try_lock(LockKind::Shared).unwrap());
    let disk: &dyn Disk = &RealDisk;
    assert_eq!(disk.read_small(&path).unwrap().unwrap(), b"process 7");
    drop(held);
    assert!(waiting.try_lock(LockKind::Shared).unwrap());
    let third = RealDisk.open(&path, Open::Read).unwrap();
    assert!(third.try_lock(LockKind::Shared).unwrap());
}

#[test]
fn two_names_of_one_file_are_seen_to_be_one() {
    let place = Place::new();
    let (blob, other) = (place.blob("blob", "weights"), place.blob("other", "weights"));
    RealDisk.hard_link(&blob, &place.path("link")).unwrap();
    let [blob, link, other] = [blob, place.path("link"), other].map(|path| RealDisk.stat(&path).unwrap());
    assert_eq!(blob, link);
    assert_eq!((blob.nlink, other.nlink), (2, 1));
    assert!(blob.ino != 0 && blob.dev == other.dev && blob.ino != other.ino);
}

#[test]
fn a_file_that_loses_one_of_its_names_stays_read_only_under_the_others() {
    let place = Place::new();
    let blob = place.blob("blob", "weights");
    for replaced in [false, true] {
        let link = place.path("link");
        RealDisk.hard_link(&blob, &link).unwrap();
        match replaced {
            false => RealDisk.remove_file(&link).unwrap(),
            true => RealDisk.rename(&place.blob("new", "new"), &link).unwrap(),
        }
        assert!(is_read_only(&blob));
        assert_eq!((RealDisk.stat(&blob).unwrap().nlink, fs::read(&blob).unwrap()), (1, b"weights".to_vec()));
    }
    assert_eq!(fs::read(place.path("link")).unwrap(), b"new");
    assert!(is_read_only(&place.path("link")));
}

#[test]
fn an_open_read_only_file_gets_a_name_and_never_that_of_another() {
    let place = Place::new();
    let (from, to) = (place.path("from"), place.path("to"));
    let file = RealDisk.open(&from, Open::CreateNew(0o644)).unwrap();
    file.write_at(b"new", 0).unwrap();
    file.set_mode(0o444).unwrap();
    fs::write(&to, "old").unwrap();
    assert_eq!(RealDisk.rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!((fs::read(&from).unwrap(), fs::read(&to).unwrap()), (b"new".to_vec(), b"old".to_vec()));
    fs::remove_file(&to).unwrap();
    let before = file.stat().unwrap();
    RealDisk.rename_new(&from, &to).unwrap();
    assert!(is_read_only(&to) && !from.exists());
    drop(file);
    // What was recorded of the open file holds for the closed one.
    assert_eq!(RealDisk.stat(&to).unwrap(), before);
}

#[test]
fn long_paths_are_paths() {
    let place = Place::new();
    let mut dir = place.path("deep");
    for _ in 0..8 {
        dir.push("n".repeat(60));
    }
    let disk: &dyn Disk = &RealDisk;
    disk.create_dirs(&dir, 0o755).unwrap();
    let (from, to) = (dir.join("from"), dir.join("to"));
    drop(disk.open(&from, Open::CreateNew(0o644)).unwrap());
    disk.rename_new(&from, &to).unwrap();
    assert_eq!(disk.list(&dir).unwrap().len(), 1);
    assert_eq!(disk.read_small(&to).unwrap().unwrap(), b"");
}
