use super::support::*;
use crate::{
    disk::Kind,
    error::{Error, ErrorKind},
    hint::{Hint, Setting},
    settings::LinkMode::{self, *},
    store::{ImportMode, RootRecord, Stamp, ViewFile},
    view::{FileState, MANIFEST_FILE, VerifiedExisting, ViewError, Views},
};
#[cfg(unix)]
use crate::{disk::RealDisk, store::Store};
use std::{fs, io};
#[cfg(unix)]
use std::{path::Path, sync::Arc};

const VIEW: &str = "tiny/gguf/q4_k_m";

fn foreign(error: ViewError) -> std::path::PathBuf {
    match error {
        ViewError::Foreign { path, .. } => path,
        other => panic!("expected a foreign file, got {other}"),
    }
}

#[cfg(unix)]
#[test]
fn by_default_a_view_is_a_relative_link_into_the_store_of_the_same_tree() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let built = house.build(&key(VIEW), std::slice::from_ref(&file), Auto).unwrap();
    assert_eq!((built.mode, built.why, built.changed), (Symlink, None, true));
    let path = built.dir.join("a.gguf");
    let hex = file.sha256.to_string();
    assert_eq!(fs::read_link(&path).unwrap(), Path::new(&format!("../../../.blobs/sha256/{}/{hex}", &hex[..2])));
    assert_eq!(read(&path), "weights");
    assert_eq!(house.tree(), ["tiny/gguf/q4_k_m/.view.json", "tiny/gguf/q4_k_m/a.gguf"]);
    let manifest = house.views.manifest(&key(VIEW)).unwrap().unwrap();
    assert_eq!((manifest.link, manifest.project, manifest.store), (Symlink, house.project, house.store.marker().uuid));
    assert_eq!(manifest.files[0].stamp, None);
}

#[cfg(unix)]
#[test]
fn a_relative_link_survives_a_move_of_the_whole_models_directory() {
    let house = House::new();
    house.build(&key("tiny/safetensors"), &[house.file("sub/deep/x.json", "x"), house.file("y", "y")], Auto).unwrap();
    let moved = house.temp.path().join("elsewhere");
    fs::rename(house.models(), &moved).unwrap();
    assert_eq!(read(&moved.join("tiny/safetensors/sub/deep/x.json")), "x");
    assert_eq!(read(&moved.join("tiny/safetensors/y")), "y");
    let store = Store::open(Arc::new(RealDisk), &moved.join(".blobs")).unwrap();
    let views = Views::new(house.disk.clone(), moved, Some(store));
    assert!(views.scan(None).unwrap().iter().all(|found| matches!(found.state, FileState::Blob { mode: Symlink, .. })));
}

#[cfg(unix)]
#[test]
fn links_to_a_store_elsewhere_are_absolute() {
    let house = House::with_store("store");
    let file = house.file("a.gguf", "weights");
    let built = house.build(&key(VIEW), std::slice::from_ref(&file), Symlink).unwrap();
    assert_eq!(fs::read_link(built.dir.join("a.gguf")).unwrap(), house.blob(&file));
    assert!(!house.build(&key(VIEW), &[file], Auto).unwrap().changed);
}

#[cfg(unix)]
#[test]
fn links_through_a_linked_store_folder_stay_relative() {
    let house = House::with_store("store");
    std::os::unix::fs::symlink(house.temp.path().join("store"), house.at(".blobs")).unwrap();
    let store = Store::open(Arc::new(RealDisk), &house.at(".blobs")).unwrap();
    let views = Views::new(house.disk.clone(), house.models(), Some(store));
    let built = views.build(&key(VIEW), &[house.file("a.gguf", "weights")], Auto, &house.project).unwrap();
    assert!(fs::read_link(built.dir.join("a.gguf")).unwrap().starts_with("../../../.blobs/sha256"));
    assert_eq!(read(&built.dir.join("a.gguf")), "weights");
}

#[test]
fn a_second_build_writes_nothing_in_any_mode() {
    for mode in those_that_work([Auto, Symlink, Hardlink, Reflink, Copy]) {
        let house = House::new();
        let files = [house.file("a.gguf", "weights"), house.file("sub/b.json", "{}"), house.file("empty", "")];
        let first = house.build(&key(VIEW), &files, mode).unwrap();
        assert!(first.changed);
        let look = || [&first.dir.join("a.gguf"), &first.dir.join(MANIFEST_FILE), &first.dir].map(|path| stat(path));
        let before = look();
        house.changes();
        for views in [&house.views, &house.again()] {
            let second = views.build(&key(VIEW), &files, mode, &house.project).unwrap();
            assert_eq!((second.mode, second.changed), (first.mode, false), "{mode}");
            assert!(!views.build(&key(VIEW), &files, Auto, &house.project).unwrap().changed, "{mode}");
        }
        assert_eq!(look(), before, "{mode}");
        assert_eq!(house.changes(), Vec::<String>::new(), "{mode}");
    }
}

#[test]
fn each_mode_shows_the_content_in_its_own_way() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let inode = stat(&house.blob(&file)).ino;
    for mode in those_that_work([Symlink, Hardlink, Copy, Reflink, Hardlink, Symlink, Copy, Symlink]) {
        let built = house.build(&key(VIEW), std::slice::from_ref(&file), mode).unwrap();
        assert!(built.changed);
        let path = built.dir.join("a.gguf");
        let now = stat(&path);
        assert_eq!(read(&path), "weights");
        match mode {
            Symlink => assert_eq!(now.kind, Kind::Symlink),
            Hardlink => assert_eq!(now.ino, inode),
            _ => assert!(now.kind == Kind::File && now.ino != inode && now.mode & 0o222 == 0),
        }
        assert_eq!(house.tree().len(), 2, "no temporary name is left after {mode}");
    }
}

#[test]
fn copies_are_made_block_by_block_and_are_complete() {
    let house = House::new();
    let content = "0123456789abcdef".repeat(200_000);
    let built = house.build(&key(VIEW), &[house.file("a.gguf", &content)], Copy).unwrap();
    assert_eq!(read(&built.dir.join("a.gguf")), content);
}

#[test]
fn where_symbolic_links_fail_hard_links_are_used_and_it_is_said_why() {
    let house = House::new();
    Broken::fail(&house.disk.symlink, NOT_SUPPORTED);
    let file = house.file("a.gguf", "weights");
    let built = house.build(&key(VIEW), std::slice::from_ref(&file), Auto).unwrap();
    assert_eq!(built.mode, Hardlink);
    assert!(built.why.unwrap().starts_with("hard links are used: symbolic links do not work here ("));
    assert_eq!(stat(&built.dir.join("a.gguf")).ino, stat(&house.blob(&file)).ino);
    let error = house.build(&key("tiny/gguf/q5_k_m"), &[file], Symlink).unwrap_err();
    assert!(matches!(error, ViewError::Mode { mode: Symlink, .. }), "{error}");
    assert_eq!(house.tree().len(), 2, "the refused view leaves no folder");
    assert!(!house.at("tiny/gguf/q5_k_m").exists());
}

#[cfg(unix)]
#[test]
fn links_that_cannot_be_followed_do_not_count_as_working() {
    let house = House::new();
    Broken::fail(&house.disk.follow, || io::Error::from_raw_os_error(libc::ELOOP));
    let built = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Auto).unwrap();
    assert_eq!(built.mode, Hardlink);
}

#[test]
fn auto_goes_on_to_reflinks_but_never_copies_by_itself() {
    let house = House::new();
    Broken::fail(&house.disk.symlink, NOT_SUPPORTED);
    Broken::fail(&house.disk.hard_link, OTHER_VOLUME);
    let files = [house.file("a.gguf", "weights")];
    let built = house.build(&key(VIEW), &files, Auto).unwrap();
    assert_eq!(built.mode, Reflink);
    assert!(built.why.unwrap().contains("the store is on another volume"));
    Broken::fail(&house.disk.reflink, NOT_SUPPORTED);
    let error = house.build(&key("tiny/gguf/q5_k_m"), &files, Auto).unwrap_err();
    assert!(matches!(error, ViewError::NoMode { .. }));
    assert_eq!(error.hint(), Some(Hint::AllowCopies));
    assert!(!house.at("tiny/gguf/q5_k_m").exists());
    assert!(house.build(&key("tiny/gguf/q5_k_m"), &files, Copy).unwrap().changed);
}

#[test]
fn a_view_of_copies_goes_on_with_copies_and_says_so() {
    let house = House::new();
    house.build(&key(VIEW), &[house.file("a.gguf", "old")], Copy).unwrap();
    let built = house.build(&key(VIEW), &[house.file("a.gguf", "new")], Auto).unwrap();
    assert_eq!(built.mode, Copy);
    assert!(built.why.is_some());
    assert_eq!(read(&built.dir.join("a.gguf")), "new");
}

#[test]
fn a_blob_with_too_many_names_is_reflinked_or_copied_alone() {
    let house = House::new();
    let files = [house.file("a.gguf", "weights")];
    Broken::fail(&house.disk.hard_link, TOO_MANY_LINKS);
    let built = house.build(&key(VIEW), &files, Hardlink).unwrap();
    assert_eq!(built.mode, Hardlink);
    assert!(built.why.unwrap().starts_with("1 of 1 files are not hard links"));
    assert_eq!(house.views.manifest(&key(VIEW)).unwrap().unwrap().files[0].link, Reflink);
    assert!(!house.build(&key(VIEW), &files, Hardlink).unwrap().changed, "it is not tried again each time");
    Broken::fail(&house.disk.reflink, NOT_SUPPORTED);
    house.build(&key("tiny/gguf/q8_0"), &files, Hardlink).unwrap();
    assert_eq!(house.views.manifest(&key("tiny/gguf/q8_0")).unwrap().unwrap().files[0].link, Copy);
}

#[test]
fn hard_links_to_another_volume_are_refused_before_anything_is_made() {
    let house = House::new();
    Broken::fail(&house.disk.hard_link, OTHER_VOLUME);
    let error = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Hardlink).unwrap_err();
    assert!(error.to_string().contains("the store is on another volume"), "{error}");
    assert_eq!(house.tree(), Vec::<String>::new());
}

#[test]
fn empty_files_are_never_hard_linked() {
    let house = House::new();
    let files = [house.file("a", ""), house.file("b", "")];
    let built = house.build(&key("tiny/safetensors"), &files, Hardlink).unwrap();
    let (a, b) = (stat(&built.dir.join("a")), stat(&built.dir.join("b")));
    assert!(a.ino != b.ino && a.nlink == 1 && b.nlink == 1);
    assert_eq!(built.why, None);
}

#[test]
fn a_foreign_file_is_never_overwritten_and_nothing_is_changed_beside_it() {
    for mode in those_that_work([Auto, Symlink, Hardlink, Reflink, Copy]) {
        let house = House::new();
        let files = [house.file("a.gguf", "weights"), house.file("b.gguf", "more")];
        let mine = house.put("tiny/gguf/q4_k_m/b.gguf", "mine");
        let before = stat(&mine);
        assert_eq!(foreign(house.build(&key(VIEW), &files, mode).unwrap_err()), mine);
        assert_eq!(house.changes(), Vec::<String>::new(), "{mode}");
        assert_eq!((stat(&mine), read(&mine).as_str()), (before, "mine"));
        assert_eq!(house.tree(), ["tiny/gguf/q4_k_m/b.gguf"]);
    }
}

#[cfg(unix)]
#[test]
fn folders_and_links_of_the_users_are_foreign_too() {
    let house = House::new();
    let files = [house.file("a.gguf", "weights")];
    fs::create_dir_all(house.at("tiny/gguf/q4_k_m/a.gguf")).unwrap();
    assert_eq!(foreign(house.build(&key(VIEW), &files, Auto).unwrap_err()), house.at("tiny/gguf/q4_k_m/a.gguf"));

    let outside = house.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("w"), "w").unwrap();
    let link = house.at("tiny/gguf/q5_k_m/a.gguf");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(outside.join("w"), &link).unwrap();
    assert_eq!(foreign(house.build(&key("tiny/gguf/q5_k_m"), &files, Auto).unwrap_err()), link);

    for (folder, view) in [("linked", "linked/gguf/q4_0"), ("a/gguf", "a/gguf/q4_0"), ("b/gguf/q4_0", "b/gguf/q4_0")] {
        fs::create_dir_all(house.at(folder).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&outside, house.at(folder)).unwrap();
        assert_eq!(foreign(house.build(&key(view), &files, Auto).unwrap_err()), house.at(folder));
    }
    fs::create_dir_all(house.at("c/safetensors")).unwrap();
    std::os::unix::fs::symlink(&outside, house.at("c/safetensors/sub")).unwrap();
    let error = house.build(&key("c/safetensors"), &[house.file("sub/x", "x")], Auto).unwrap_err();
    assert_eq!(foreign(error), house.at("c/safetensors/sub"));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(house.changes(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn links_of_ours_to_another_digest_or_a_store_that_moved_are_replaced() {
    let house = House::new();
    let old = house.file("a.gguf", "old");
    let dir = house.build(&key(VIEW), &[old], Auto).unwrap().dir;
    assert!(house.build(&key(VIEW), &[house.file("a.gguf", "new")], Auto).unwrap().changed);
    assert_eq!(read(&dir.join("a.gguf")), "new");
    let hex = "ab".repeat(32);
    fs::remove_file(dir.join("a.gguf")).unwrap();
    std::os::unix::fs::symlink(format!("/gone/store/sha256/ab/{hex}"), dir.join("a.gguf")).unwrap();
    assert!(house.build(&key(VIEW), &[house.file("a.gguf", "new")], Auto).unwrap().changed);
    assert_eq!(read(&dir.join("a.gguf")), "new");
}

#[test]
fn a_copy_that_was_changed_is_the_users() {
    let house = House::new();
    let dir = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Copy).unwrap().dir;
    house.remove(&dir.join("a.gguf"));
    fs::write(dir.join("a.gguf"), "edited!").unwrap();
    let error = house.build(&key(VIEW), &[house.file("a.gguf", "new")], Copy).unwrap_err();
    assert!(error.to_string().contains("changed since it was made"), "{error}");
    assert_eq!(read(&dir.join("a.gguf")), "edited!");
}

#[test]
fn copies_of_a_build_that_died_before_its_manifest_are_taken_up() {
    let house = House::new();
    let files = [house.file("a.gguf", "weights")];
    let dir = house.build(&key(VIEW), &files, Copy).unwrap().dir;
    let before = stat(&dir.join("a.gguf"));
    fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
    assert!(house.build(&key(VIEW), &files, Copy).unwrap().changed);
    assert_eq!(stat(&dir.join("a.gguf")), before);
    assert!(!house.build(&key(VIEW), &files, Copy).unwrap().changed);
}

#[test]
fn hard_links_without_a_manifest_are_still_known_as_ours() {
    let house = House::new();
    let dir = house.build(&key(VIEW), &[house.file("a.gguf", "old")], Hardlink).unwrap().dir;
    fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
    assert!(house.build(&key(VIEW), &[house.file("a.gguf", "new")], Hardlink).unwrap().changed);
    assert_eq!(read(&dir.join("a.gguf")), "new");
}

#[test]
fn a_file_that_the_caller_vouches_for_is_replaced_unless_it_changed_since() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let mine = house.put("tiny/gguf/q4_k_m/a.gguf", "weights");
    let stamp = Stamp::from(&stat(&mine));
    let adopt = |stamp| {
        let adopted = [VerifiedExisting { path: file.path.clone(), stamp }];
        house.views.build_adopting(&key(VIEW), std::slice::from_ref(&file), Auto, &house.project, &adopted)
    };
    foreign(adopt(Stamp { mtime_ns: stamp.mtime_ns - 1, ..stamp }).unwrap_err());
    assert!(adopt(stamp).unwrap().changed);
    let mode = those_that_work([Symlink, Hardlink]).next().unwrap();
    assert_eq!(house.views.state_of(&mine).unwrap(), Some(FileState::Blob { digest: file.sha256, mode }));
}

#[test]
fn a_file_that_became_a_blob_is_replaced_by_a_link_to_itself() {
    for mode in [Auto, Hardlink, Copy] {
        let house = House::new();
        let mine = house.put("tiny/gguf/q4_k_m/a.gguf", "weights");
        let blob =
            house.store.import(&mine, ImportMode::Move, None, &house.store.lease().unwrap(), &|_| {}, &Default::default()).unwrap();
        assert_eq!(stat(&mine).nlink, 2);
        let file = ViewFile { path: "a.gguf".parse().unwrap(), sha256: blob.digest, size: blob.size };
        let built = house.build(&key(VIEW), std::slice::from_ref(&file), mode).unwrap();
        assert!(built.changed);
        assert_eq!((read(&mine), read(&house.blob(&file))), ("weights".to_owned(), "weights".to_owned()));
        assert_eq!(house.tree().len(), 2, "{mode}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_on_another_volume_is_linked_to_by_symbolic_links_or_copied_from() {
    let shm = Path::new("/dev/shm");
    let house = House::with_store("store");
    if !shm.is_dir() || stat(shm).dev == stat(house.temp.path()).dev {
        return;
    }
    let Ok(elsewhere) = tempfile::tempdir_in(shm) else { return };
    let views = Views::new(Arc::new(RealDisk), elsewhere.path().join("models"), Some(house.store.clone()));
    let files = [house.file("a.gguf", "weights"), house.file("b", "")];
    for mode in [Hardlink, Reflink] {
        let error = views.build(&key(VIEW), &files, mode, &house.project).unwrap_err();
        assert!(matches!(error, ViewError::Mode { .. }) && error.to_string().contains("another volume"), "{error}");
    }
    for (mode, used) in [(Auto, Symlink), (Copy, Copy)] {
        let built = views.build(&key(VIEW), &files, mode, &house.project).unwrap();
        assert_eq!((built.mode, built.changed, read(&built.dir.join("a.gguf")).as_str()), (used, true, "weights"));
        assert!(!views.build(&key(VIEW), &files, mode, &house.project).unwrap().changed);
    }
    assert_eq!(views.remove(&key(VIEW)).unwrap().removed.len(), 2);
}

#[test]
fn files_that_a_view_no_longer_has_are_removed_if_they_are_ours() {
    for mode in those_that_work([Symlink, Hardlink, Copy]) {
        let house = House::new();
        let (a, b, c) = (house.file("a", "a"), house.file("sub/b", "b"), house.file("c", "c"));
        let key = key("tiny/safetensors");
        let dir = house.build(&key, &[a.clone(), b, c], mode).unwrap().dir;
        house.remove(&dir.join("c"));
        fs::write(dir.join("c"), "mine").unwrap();
        assert!(house.build(&key, &[a], mode).unwrap().changed);
        assert_eq!(house.tree(), ["tiny/safetensors/.view.json", "tiny/safetensors/a", "tiny/safetensors/c"], "{mode}");
        assert_eq!(read(&dir.join("c")), "mine");
        assert!(!dir.join("sub").exists());
    }
}

#[test]
fn a_missing_blob_is_told_before_anything_is_made() {
    let house = House::new();
    let (a, b) = (house.file("a", "a"), house.file("b", "b"));
    house.remove(&house.blob(&b));
    let error = house.build(&key("tiny/safetensors"), &[a, b.clone()], Auto).unwrap_err();
    assert!(matches!(&error, ViewError::BlobMissing { digest, .. } if *digest == b.sha256), "{error}");
    assert_eq!(house.tree(), Vec::<String>::new());
    assert_eq!(Error::from(error).kind(), ErrorKind::Damaged);
}

#[test]
fn names_that_collide_or_are_ours_are_refused() {
    let house = House::new();
    for names in [vec![".view.json"], vec![".tmp-abcdefghijkl"], vec!["a", "a"], vec!["a/b", "a"]] {
        let files: Vec<_> = names.iter().map(|name| house.file(name, "x")).collect();
        let error = house.build(&key("tiny/safetensors"), &files, Auto).unwrap_err();
        assert!(matches!(error, ViewError::BadFile { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn what_died_builds_left_is_swept_and_what_others_left_is_not() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let dir = house.at(VIEW);
    house.put("tiny/gguf/q4_k_m/.tmp-aaaaaaaaaaaa", "half a copy");
    house.put("tiny/gguf/q4_k_m/.tmp-bbbbbbbbbbbb", "a copy in the making");
    house.put("tiny/gguf/q4_k_m/.tmp-mine", "not our pattern");
    std::os::unix::fs::symlink(house.blob(&file), dir.join(".tmp-cccccccccccc")).unwrap();
    std::os::unix::fs::symlink("/etc/hosts", dir.join(".tmp-dddddddddddd")).unwrap();
    std::os::unix::fs::symlink(house.blob(&file), dir.join(".tmp-eeeeeeeeeeee")).unwrap();
    // What tried out whether links work.
    std::os::unix::fs::symlink(house.store.layout().marker(), dir.join(".tmp-ffffffffffff")).unwrap();
    for name in ["aaaaaaaaaaaa", "cccccccccccc", "dddddddddddd", "ffffffffffff"] {
        make_old(&dir.join(format!(".tmp-{name}")));
    }
    house.build(&key(VIEW), &[file], Auto).unwrap();
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [".tmp-bbbbbbbbbbbb", ".tmp-dddddddddddd", ".tmp-eeeeeeeeeeee", ".tmp-mine", ".view.json", "a.gguf"]);
}

#[test]
fn a_models_directory_that_cannot_be_written_is_named() {
    let house = House::new();
    let denied: Trouble = || io::ErrorKind::ReadOnlyFilesystem.into();
    Broken::fail(&house.disk.symlink, denied);
    Broken::fail(&house.disk.hard_link, denied);
    Broken::fail(&house.disk.reflink, denied);
    Broken::fail(&house.disk.create, denied);
    for mode in those_that_work([Auto, Symlink, Hardlink]) {
        let error = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], mode).unwrap_err();
        assert!(matches!(&error, ViewError::ReadOnly { path, .. } if *path == house.at(VIEW)), "{error}");
        assert_eq!(error.hint(), Some(Hint::CheckWritable { settings: vec![Setting::ModelsDir] }));
    }
}

#[test]
#[cfg_attr(windows, ignore = "asks for the privilege to make symbolic links")]
fn a_right_view_on_a_read_only_volume_is_fine_without_its_manifest() {
    let house = House::new();
    let files = [house.file("a.gguf", "weights")];
    let dir = house.build(&key(VIEW), &files, Auto).unwrap().dir;
    fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
    Broken::fail(&house.disk.create, || io::ErrorKind::ReadOnlyFilesystem.into());
    assert!(!house.build(&key(VIEW), &files, Auto).unwrap().changed);
}

#[test]
fn a_view_is_made_again_from_its_root_and_a_manifest_that_is_broken_is_no_obstacle() {
    let house = House::new();
    let root = RootRecord::new(key(VIEW), vec![house.file("a.gguf", "weights")]);
    house.put("tiny/gguf/q4_k_m/.view.json", "{ torn");
    let built = house.views.rebuild(&root, LinkMode::Auto, &house.project).unwrap();
    assert!(built.changed);
    assert!(house.views.manifest(&key(VIEW)).unwrap().is_some());
    assert_eq!(read(&built.dir.join("a.gguf")), "weights");
}

#[test]
fn a_view_needs_a_store_and_makes_its_models_directory() {
    let house = House::with_store("store");
    let without = Views::new(house.disk.clone(), house.models(), None);
    let error = without.build(&key(VIEW), &[], Auto, &house.project).unwrap_err();
    assert!(matches!(error, ViewError::NoStore { .. }));
    fs::remove_dir(house.models()).unwrap();
    house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Auto).unwrap();
    assert_eq!(read(&house.at("tiny/gguf/q4_k_m/a.gguf")), "weights");
}

#[test]
fn processes_that_build_one_view_at_once_all_succeed() {
    for mode in those_that_work([Symlink, Hardlink, Copy]) {
        let house = House::new();
        for round in ["first", "second"] {
            let files: Vec<_> = (0..3).map(|n| house.file(&format!("{n}.gguf"), &format!("{round} {n}"))).collect();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    let (views, files, project) = (house.again(), &files, house.project);
                    scope.spawn(move || views.build(&key(VIEW), files, mode, &project).unwrap());
                }
            });
            assert_eq!(read(&house.at("tiny/gguf/q4_k_m/2.gguf")), format!("{round} 2"));
            assert_eq!(house.tree().len(), 4, "{mode}");
            assert!(!house.build(&key(VIEW), &files, mode).unwrap().changed, "{mode}");
        }
    }
}

#[cfg(unix)]
fn make_old(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let then = Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
    utimensat(CWD, path, &Timestamps { last_access: then, last_modification: then }, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// So many that several workers make them.
fn many(house: &House) -> Vec<ViewFile> {
    let blobs: Vec<ViewFile> = (0..10).map(|n| house.file("x", &format!("weights {n}"))).collect();
    let name = |n: usize| format!("part-{}/deep/file-{n}", n % 37);
    (0..740).map(|n| ViewFile { path: name(n).parse().unwrap(), ..blobs[n % 10].clone() }).collect()
}

#[test]
fn a_view_of_many_files_has_each_in_its_place_and_its_manifest_names_them_in_order() {
    let house = House::new();
    let mut files = many(&house);
    for mode in those_that_work([Symlink, Hardlink]) {
        let dir = house.build(&key("many/safetensors"), &files, mode).unwrap().dir;
        for file in &files {
            assert_eq!(read(&dir.join(file.path.to_path())).len() as u64, file.size);
            let state = house.views.state_of(&dir.join(file.path.to_path())).unwrap();
            assert_eq!(state, Some(FileState::Blob { digest: file.sha256, mode }), "{}", file.path);
        }
        let manifest = house.views.manifest(&key("many/safetensors")).unwrap().unwrap();
        assert!(manifest.files.iter().map(|file| &file.path).eq(files.iter().map(|file| &file.path)));
        assert!(!house.build(&key("many/safetensors"), &files, mode).unwrap().changed);
        // Files of one folder need not follow each other.
        files.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    }
}

#[test]
#[cfg_attr(windows, ignore = "asks for the privilege to make symbolic links")]
fn what_fails_among_many_is_reported_and_the_next_build_makes_the_rest() {
    let house = House::new();
    let files = many(&house);
    let mut few = files.clone();
    few.truncate(1);
    // The way links are made is known to work here, so that the failure comes late.
    house.build(&key("many/safetensors"), &few, Symlink).unwrap();
    let full = || io::ErrorKind::StorageFull.into();
    Broken::fail(&house.disk.symlink, full);
    let error = house.build(&key("many/safetensors"), &files, Symlink).unwrap_err();
    assert!(matches!(&error, ViewError::Disk(error) if error.is_no_space()), "{error}");
    *house.disk.symlink.lock().unwrap() = None;
    let dir = house.build(&key("many/safetensors"), &files, Symlink).unwrap().dir;
    assert!(files.iter().all(|file| dir.join(file.path.to_path()).is_file()));
}
