use super::*;
use crate::disk::Kind;
use std::{fs, os::unix::fs::symlink};

/// A confined folder `root`, and beside it a folder `outside` with a file.
struct Place {
    temp: tempfile::TempDir,
    disk: Arc<dyn Disk>,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for folder in ["root/folder", "outside/folder"] {
            fs::create_dir_all(temp.path().join(folder)).unwrap();
        }
        for file in ["root/file", "root/folder/file", "outside/file", "outside/folder/file"] {
            fs::write(temp.path().join(file), file).unwrap();
        }
        let disk = Arc::new(RealDisk).confined(&temp.path().join("root"));
        Self { temp, disk }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn outside(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for folder in ["outside", "outside/folder"] {
            let disk: &dyn Disk = &RealDisk;
            for entry in disk.list_sorted(&self.path(folder)).unwrap() {
                let stat = disk.stat(&self.path(folder).join(&entry.name)).unwrap();
                seen.push(format!("{folder}/{} {:?} {:o} {} {}", entry.name, stat.kind, stat.mode, stat.len, stat.nlink));
            }
        }
        seen
    }
}

fn is_refused<T: std::fmt::Debug>(result: Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains("link"))
}

#[test]
fn no_method_goes_through_a_link_below_a_confined_root() {
    let place = Place::new();
    for (target, link) in [("../outside", "root/away"), ("/nowhere", "root/dangling"), ("folder", "root/near")] {
        symlink(target, place.path(link)).unwrap();
    }
    let before = place.outside();
    let disk = &*place.disk;
    for link in ["root/away", "root/near"] {
        let (folder, file, fresh) = (place.path(link), place.path(link).join("folder"), place.path(link).join("fresh"));
        let inner = place.path(link).join("file");
        assert!(is_refused(disk.stat(&inner)) && is_refused(disk.list(&folder)) && is_refused(disk.open_folder(&folder)));
        assert!(is_refused(disk.create_dir(&fresh, 0o755)) && is_refused(disk.remove_dir(&file)));
        assert!(is_refused(disk.remove_file(&inner)) && is_refused(disk.read_link(&inner)));
        assert!(is_refused(disk.rename(&inner, &place.path("root/got"))));
        assert!(is_refused(disk.rename(&place.path("root/file"), &fresh)));
        assert!(is_refused(disk.rename_new(&place.path("root/file"), &fresh)));
        assert!(is_refused(disk.symlink(Path::new("x"), &fresh)));
        assert!(is_refused(disk.hard_link(&inner, &place.path("root/got"))));
        assert!(is_refused(disk.hard_link(&place.path("root/file"), &fresh)));
        assert!(is_refused(disk.reflink(&inner, &place.path("root/got"))));
        assert!(is_refused(disk.sync_dir(&folder)));
        for how in [Open::Read, Open::Write, Open::CreateNew(0o644), Open::CreateIfMissing(0o644)] {
            assert!(is_refused(disk.open(&inner, how)), "{how:?}");
        }
    }
    for link in ["root/away", "root/near", "root/dangling"] {
        for how in [Open::Read, Open::Write, Open::CreateIfMissing(0o644)] {
            assert!(is_refused(disk.open(&place.path(link), how)), "{link} {how:?}");
        }
        assert_eq!(disk.stat(&place.path(link)).unwrap().kind, Kind::Symlink);
    }
    assert_eq!(place.outside(), before);
    assert!(fs::exists(place.path("root/folder/file")).unwrap());
}

#[test]
fn a_further_name_of_a_file_is_not_written_where_others_may_write_its_folder() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let linked = place.path("root/folder/linked");
    fs::hard_link(place.path("outside/file"), &linked).unwrap();
    place.disk.open(&linked, Open::Write).unwrap();
    fs::set_permissions(place.path("root/folder"), PermissionsExt::from_mode(0o2775)).unwrap();
    for how in [Open::Write, Open::CreateIfMissing(0o644)] {
        let error = place.disk.open(&linked, how).unwrap_err();
        assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains("further names"), "{error}");
    }
    place.disk.open(&linked, Open::Read).unwrap();
}

#[test]
fn what_says_that_it_follows_links_does() {
    let place = Place::new();
    symlink("../outside", place.path("root/away")).unwrap();
    let path = place.path("root/away/file");
    let mut read = [0; 12];
    place.disk.open(&path, Open::ReadFollow).unwrap().read_at(&mut read, 0).unwrap();
    assert_eq!((&read[..], place.disk.stat_follow(&path).unwrap().len), (&b"outside/file"[..], 12));
}

#[test]
fn a_root_is_the_folder_that_was_opened_whatever_takes_its_name() {
    let place = Place::new();
    assert_eq!(place.disk.stat(&place.path("root/file")).unwrap().len, 9);
    fs::rename(place.path("root"), place.path("moved")).unwrap();
    symlink("outside", place.path("root")).unwrap();
    let before = place.outside();
    place.disk.remove_file(&place.path("root/file")).unwrap();
    place.disk.create_dir(&place.path("root/folder/new"), 0o755).unwrap();
    assert!(!fs::exists(place.path("moved/file")).unwrap() && fs::exists(place.path("moved/folder/new")).unwrap());
    assert_eq!(place.outside(), before);
}

#[test]
fn a_file_in_the_place_of_a_root_is_seen() {
    let place = Place::new();
    let file = place.path("outside/file");
    let disk = Arc::new(RealDisk).confined(&file);
    assert_eq!((disk.stat_follow(&file).unwrap().kind, disk.stat(&file).unwrap().kind), (Kind::File, Kind::File));
    assert!(disk.find(&file.join("below")).unwrap().is_none());
}

#[test]
fn a_root_that_is_made_later_is_entered_then() {
    let place = Place::new();
    let late = place.disk.clone().confined(&place.path("late"));
    assert!(late.find(&place.path("late/file")).unwrap().is_none());
    late.create_dir(&place.path("late"), 0o755).unwrap();
    late.create_dir(&place.path("late/folder"), 0o755).unwrap();
    assert_eq!(late.list(&place.path("late")).unwrap().len(), 1);
}

#[test]
fn a_folder_that_was_removed_and_made_again_is_found() {
    let place = Place::new();
    let file = place.path("root/folder/file");
    assert!(place.disk.find(&file).unwrap().is_some());
    fs::remove_dir_all(place.path("root/folder")).unwrap();
    assert!(place.disk.find(&file).unwrap().is_none());
    fs::create_dir(place.path("root/folder")).unwrap();
    fs::write(&file, "again").unwrap();
    assert_eq!(place.disk.stat(&file).unwrap().len, 5);
    place.disk.open(&place.path("root/folder/fresh"), Open::CreateNew(0o600)).unwrap();
}

#[test]
fn names_are_moved_between_roots_and_what_is_outside_of_them() {
    let place = Place::new();
    let both = place.disk.clone().confined(&place.path("outside"));
    both.rename_new(&place.path("root/file"), &place.path("outside/folder/moved")).unwrap();
    place.disk.hard_link(&place.path("outside/folder/moved"), &place.path("root/folder/linked")).unwrap();
    assert_eq!(both.stat(&place.path("root/folder/linked")).unwrap().nlink, 2);
}

#[test]
fn a_path_that_leads_upwards_is_refused() {
    let place = Place::new();
    let error = place.disk.stat(&place.path("root/folder/../../outside/file")).unwrap_err();
    assert!(error.to_string().ends_with("the path leads upwards"), "{error}");
}

#[test]
fn a_kernel_without_openat2_refuses_the_same() {
    let place = Place::new();
    symlink("../outside", place.path("root/away")).unwrap();
    let root = rustix::fs::open(place.path("root"), path_flags(), Mode::empty()).unwrap();
    let found = step_by_step(root.as_fd(), Path::new("folder"), path_flags()).unwrap();
    assert_eq!(system::stat_at(&found, Path::new("file")).unwrap().len, 16);
    for path in ["away", "away/folder"] {
        let error = step_by_step(root.as_fd(), Path::new(path), path_flags()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
    }
    let error = step_by_step(root.as_fd(), Path::new("file"), path_flags()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
}
