//! Projects and their roots.

use crate::{
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::Expect,
    kit::*,
};
use model_manager::{
    digest::sha256_of,
    disk::RealDisk,
    store::{Acquired, PROJECT_FILE, Project, RootOwner, Store, StoreError},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::copy(from.join(PROJECT_FILE), to.join(PROJECT_FILE)).unwrap();
}

/// A project with one root, its models directory, and a path that is free for it to go to.
fn rooted(home: &TestStore) -> (PathBuf, PathBuf, Project) {
    let blob = put(&home.store, &content(1, 10)).unwrap();
    let (here, there) = (home.path("here"), home.path("there"));
    fs::create_dir(&here).unwrap();
    let project = Project::register(&home.store, &here).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    (here, there, project)
}

#[test]
fn a_root_keeps_its_blobs_and_removing_it_gives_them_up() {
    let home = home();
    let blob = put(&home.store, &content(1, 5000)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed, []);
    assert_eq!(home.store.users().unwrap()[&blob.digest], [(*project.uuid(), RootOwner::View(view("a")))]);
    assert!(project.remove_root(&view("a")).unwrap());
    assert!(!project.remove_root(&view("a")).unwrap());
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed[0].digest, blob.digest);
    home.sound(Expect::Tidy);
}

#[test]
fn a_blob_whose_name_could_not_be_made_durable_is_not_taken_for_durable_when_it_is_rooted() {
    let disk = FaultyDisk::new();
    let home = home_on(Arc::new(disk.clone()));
    let project = Project::register(&home.store, &home.models()).unwrap();
    for data in contents_in(&[1, 2], 1) {
        let folder = home.store.layout().blob(&sha256_of(&data)).parent().unwrap().to_owned();
        disk.set(Rule::Pick(Box::new(move |op, path| (op == Op::SyncDir && path == folder).then_some(std::io::ErrorKind::Other))));
        let lease = lease(&home.store);
        let admit = || home.store.begin_ingest(request(&data), &lease, &quick()).unwrap();
        finish(open(admit()), &data).unwrap_err();
        // It has its name and is found, and rooting it syncs the folder, which fails again.
        let Acquired::Present(blob) = admit() else { panic!("it has no name") };
        project.put_root(&view("a"), &files_of(&blob)).unwrap_err();
        // Nor does it count that the record stands there from the first time.
        project.put_root(&view("a"), &files_of(&blob)).unwrap_err();
        disk.set(Rule::Never);
        project.put_root(&view("b"), &files_of(&blob)).unwrap();
    }
    home.sound(Expect::Unfinished);
}

#[test]
fn a_root_for_a_blob_that_is_gone_says_so() {
    let home = home();
    let project = Project::register(&home.store, &home.models()).unwrap();
    let digest = model_manager::digest::sha256_of(b"never");
    let error = project.put_root(&view("a"), &files(&[(digest, 5)])).unwrap_err();
    assert!(matches!(error, StoreError::Vanished(gone) if gone == digest));
}

#[test]
fn a_root_brings_a_condemned_blob_back_from_the_trash() {
    let home = home();
    let blob = put(&home.store, &content(2, 100)).unwrap();
    fs::rename(home.store.layout().blob(&blob.digest), home.store.layout().trash(&blob.digest)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_rooted_blob_in_the_trash_is_brought_back_by_the_collector_and_not_purged() {
    let home = home();
    let blob = put(&home.store, &content(2, 100)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    // As a consumer leaves it that was killed after it wrote the root and before it took the blob out of the trash.
    fs::rename(home.store.layout().blob(&blob.digest), home.store.layout().trash(&blob.digest)).unwrap();
    assert!(home.store.plan_collection(Default::default(), std::time::SystemTime::now()).unwrap().trash.is_empty());
    let report = collect_in(&home.store, days(30)).unwrap();
    assert_eq!((report.removed.len(), report.freed), (0, 0));
    home.sound(Expect::Tidy);
}

#[test]
fn registering_again_changes_nothing() {
    let home = home();
    let first = *Project::register(&home.store, &home.models()).unwrap().uuid();
    let record = home.store.project_record(&first).unwrap();
    assert_eq!(*Project::register(&home.store, &home.models()).unwrap().uuid(), first);
    assert_eq!(home.store.project_record(&first).unwrap(), record);
    assert_eq!(home.store.projects().unwrap(), [first]);
    let identified = Project::identify(home.store.disk(), &home.models()).unwrap();
    assert_eq!(identified, Some(first));
}

#[test]
fn a_project_that_was_moved_keeps_its_identity_and_its_roots() {
    let home = home();
    let (here, there, project) = rooted(&home);
    fs::rename(&here, &there).unwrap();
    let moved = Project::register(&home.store, &there).unwrap();
    assert_eq!(moved.uuid(), project.uuid());
    assert_eq!(moved.roots().unwrap().len(), 1);
    let record = home.store.project_record(moved.uuid()).unwrap().unwrap();
    assert_eq!(Path::new(&record.location.path), fs::canonicalize(&there).unwrap());
}

#[test]
fn a_project_that_was_copied_gets_an_identity_of_its_own_with_copies_of_the_roots() {
    let home = home();
    let (here, there, project) = rooted(&home);
    copy_dir(&here, &there);
    let copy = Project::register(&home.store, &there).unwrap();
    assert_ne!(copy.uuid(), project.uuid());
    assert_eq!(copy.roots().unwrap(), project.roots().unwrap());
    project.remove_root(&view("a")).unwrap();
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed, [], "the copy needs it");
    assert_eq!(Project::register(&home.store, &there).unwrap().uuid(), copy.uuid());
    assert_eq!(Project::register(&home.store, &here).unwrap().uuid(), project.uuid());
    home.sound(Expect::Tidy);
}

/// Changes what the store has recorded of where a project is.
fn edit_record(store: &Store, project: &Project, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = store.layout().project_record(project.uuid());
    let mut record = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut record);
    fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn a_project_that_another_host_has_registered_is_a_copy_here_whatever_is_at_its_path() {
    let elsewhere: [fn(&mut serde_json::Value); 4] = [
        // Another machine with the same store, which may have a folder at the same path, with the same inode.
        |record| record["host"] = "other".into(),
        |record| record["path"] = "/nothing/here/models".into(),
        // A container of the same name, with other volumes and a restart of the machine in between.
        |record| record["parents"] = serde_json::json!([[1, 2], [1, 3]]),
        |record| record["machine"] = "00".into(),
    ];
    for (number, edit) in elsewhere.into_iter().enumerate() {
        let home = home();
        let (here, there, project) = rooted(&home);
        copy_dir(&here, &there);
        fs::remove_dir_all(&here).unwrap();
        edit_record(&home.store, &project, |record| {
            record["boot"] = "00".into();
            edit(record);
        });
        let copy = Project::register(&home.store, &there).unwrap();
        assert_ne!(copy.uuid(), project.uuid(), "case {number}");
        assert_eq!(copy.roots().unwrap(), project.roots().unwrap());
        copy.remove_root(&view("a")).unwrap();
        assert_eq!(collect_in(&home.store, days(30)).unwrap().removed, [], "the original needs it");
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_project_that_was_moved_to_another_volume_keeps_its_identity() {
    let home = home();
    let (here, there) = (home.path("here"), home.path("there"));
    fs::create_dir(&here).unwrap();
    let project = Project::register(&home.store, &here).unwrap();
    // As `mv` does it: copy, then remove.
    copy_dir(&here, &there);
    fs::remove_dir_all(&here).unwrap();
    assert_eq!(Project::register(&home.store, &there).unwrap().uuid(), project.uuid());
}

#[test]
fn another_folder_in_the_place_of_a_project_is_a_copy() {
    let home = home();
    let (here, there, project) = rooted(&home);
    copy_dir(&here, &there);
    // As a container sees it where the copy is mounted at the path of the original.
    fs::rename(&here, home.path("hidden")).unwrap();
    fs::rename(&there, &here).unwrap();
    let copy = Project::register(&home.store, &here).unwrap();
    assert_ne!(copy.uuid(), project.uuid());
    assert_eq!(Project::register(&home.store, &home.path("hidden")).unwrap().uuid(), project.uuid());
    assert_eq!(copy.roots().unwrap(), project.roots().unwrap());
}

#[test]
fn a_folder_that_two_hosts_use_in_turn_has_one_identity_for_each_of_them() {
    let home = home();
    let (one, two) = (put(&home.store, &content(1, 10)).unwrap(), put(&home.store, &content(2, 10)).unwrap());
    let here = home.path("here");
    fs::create_dir(&here).unwrap();
    let mine = Project::register(&home.store, &here).unwrap();
    mine.put_root(&view("a"), &files_of(&one)).unwrap();
    let mine_as_recorded = fs::read(home.store.layout().project_record(mine.uuid())).unwrap();
    let far = |record: &mut serde_json::Value| {
        record["host"] = "other".into();
        record["machine"] = "00".into();
        record["boot"] = "00".into();
        // Where a models directory lies on the store's own volume, it is one folder for all hosts.
        record["on_store_volume"] = false.into();
    };
    // The other host's visit, as the store has it afterwards.
    edit_record(&home.store, &mine, far);
    let theirs = Project::register(&home.store, &here).unwrap();
    fs::write(home.store.layout().project_record(mine.uuid()), mine_as_recorded).unwrap();
    theirs.put_root(&view("b"), &files_of(&two)).unwrap();
    edit_record(&home.store, &theirs, far);
    for _ in 0..3 {
        let again = Project::register(&home.store, &here).unwrap();
        assert_eq!(again.uuid(), mine.uuid());
        assert_eq!(again.roots().unwrap().len(), 2, "with what the other host has shown there");
        let file = here.join(PROJECT_FILE);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(&mine.uuid().to_string(), &theirs.uuid().to_string())).unwrap();
    }
    assert_eq!(home.store.projects().unwrap().len(), 2);
}

#[test]
fn a_folder_on_the_volume_of_the_store_is_one_project_whatever_host_sees_it() {
    let home = home();
    let here = home.path("here");
    fs::create_dir(&here).unwrap();
    let project = Project::register(&home.store, &here).unwrap();
    for pod in ["pod-1", "pod-2", "pod-3"] {
        edit_record(&home.store, &project, |record| {
            record["host"] = pod.into();
            record["path"] = format!("/{pod}/models").into();
            record["machine"] = serde_json::Value::Null;
            record["boot"] = pod.into();
            record["dev"] = 4242.into();
            record["parents"] = serde_json::json!([]);
        });
        assert_eq!(Project::register(&home.store, &here).unwrap().uuid(), project.uuid());
    }
    assert_eq!(home.store.projects().unwrap().len(), 1);
}

#[test]
fn a_record_that_is_longer_than_such_a_record_can_be_is_not_read() {
    let home = home();
    let blob = put(&home.store, &content(1, 10)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    let pad = |path: &Path, len: usize| {
        let mut text = fs::read(path).unwrap();
        text.resize(len, b' ');
        fs::write(path, text).unwrap();
    };
    let (record, meta) = (home.store.layout().project_record(project.uuid()), home.store.layout().meta(&blob.digest));
    pad(&record, 64 << 10);
    pad(&meta, 1 << 20);
    assert!(home.store.project_record(project.uuid()).unwrap().is_some());
    assert!(home.store.meta(&blob.digest).unwrap().is_some());
    pad(&record, (64 << 10) + 1);
    pad(&meta, (1 << 20) + 1);
    let error = home.store.project_record(project.uuid()).unwrap_err();
    assert!(error.to_string().contains("65537 bytes are more than"), "{error}");
    assert_eq!(home.store.meta(&blob.digest).unwrap(), None, "it can be rebuilt");
    pad(&home.root().join("STORE.json"), (64 << 10) + 1);
    assert!(Store::open(std::sync::Arc::new(RealDisk), &home.root()).is_err());
}

#[test]
fn a_record_of_before_without_inode_and_machine_is_completed_where_it_is() {
    let home = home();
    let project = Project::register(&home.store, &home.models()).unwrap();
    let whole = home.store.project_record(project.uuid()).unwrap();
    edit_record(&home.store, &project, |record| {
        let record = record.as_object_mut().unwrap();
        ["machine", "boot", "ino", "parents", "on_store_volume"].iter().for_each(|key| drop(record.remove(*key)));
    });
    assert!(!Project::is_at_home(&home.store, &home.models()).unwrap());
    assert_eq!(Project::register(&home.store, &home.models()).unwrap().uuid(), project.uuid());
    assert_eq!(home.store.project_record(project.uuid()).unwrap(), whole);
}

#[test]
fn a_project_seen_through_a_link_is_the_same_project() {
    let home = home();
    let link = home.path("link");
    let first = *Project::register(&home.store, &home.models()).unwrap().uuid();
    std::os::unix::fs::symlink(home.models(), &link).unwrap();
    assert_eq!(*Project::register(&home.store, &link).unwrap().uuid(), first);
}

#[test]
fn two_processes_that_register_at_once_agree() {
    let home = home();
    let uuids: Vec<_> = std::thread::scope(|scope| {
        let register = || *Project::register(&home.store, &home.models()).unwrap().uuid();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(register)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(uuids.iter().all(|uuid| *uuid == uuids[0]), "{uuids:?}");
    home.sound(Expect::Tidy);
}

#[test]
fn a_root_that_cannot_be_read_ends_the_collection_and_is_named() {
    let home = home();
    let blob = put(&home.store, &content(1, 10)).unwrap();
    let unrooted = put(&home.store, &content(2, 10)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    let path = home.store.layout().project(project.uuid()).join("a~gguf~q4_k_m.json");
    let good = fs::read_to_string(&path).unwrap();
    let other = unrooted.digest.to_string();
    let damaged = [
        "".to_owned(),
        "{".to_owned(),
        good.replace(&blob.digest.to_string(), &other),
        good.replacen("\"format\": 1", "\"format\": 2", 1),
    ];
    for damaged in damaged {
        fs::write(&path, &damaged).unwrap();
        let error = collect_in(&home.store, days(30)).unwrap_err();
        assert!(error.to_string().contains("a~gguf~q4_k_m.json"), "{error}");
        assert!(home.store.plan_collection(Default::default(), std::time::SystemTime::now()).is_err());
        assert_eq!(home.store.blobs().unwrap().len(), 2);
    }
    fs::write(&path, good).unwrap();
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed.len(), 1);
}

#[test]
fn what_stands_among_the_roots_and_is_no_project_ends_the_collection() {
    let home = home();
    let blob = put(&home.store, &content(1, 10)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&blob)).unwrap();
    let dir = home.store.layout().project(project.uuid());
    // Somebody moved the folder away and left a link: its roots count or the collection ends, but they are not forgotten.
    fs::rename(&dir, home.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), &dir).unwrap();
    assert!(collect_in(&home.store, days(30)).is_err());
    fs::remove_file(&dir).unwrap();
    fs::rename(home.path("elsewhere"), home.root().join("roots/saved")).unwrap();
    let error = collect_in(&home.store, days(30)).unwrap_err();
    assert!(error.to_string().contains("roots/saved"), "{error}");
    assert!(home.store.find(&blob.digest).unwrap().is_some());
    fs::rename(home.root().join("roots/saved"), &dir).unwrap();
    fs::write(home.root().join("roots/.DS_Store"), "").unwrap();
    collect_in(&home.store, days(30)).unwrap();
    fs::rename(home.root().join("roots"), home.path("roots")).unwrap();
    assert!(collect_in(&home.store, days(30)).is_err(), "all roots are gone and so everything is collected");
    assert!(home.store.find(&blob.digest).unwrap().is_some());
}

#[test]
fn processes_that_find_a_copied_project_at_once_agree_on_its_new_identity() {
    let home = home();
    let blob = put(&home.store, &content(1, 10)).unwrap();
    let here = home.path("here");
    fs::create_dir(&here).unwrap();
    let project = Project::register(&home.store, &here).unwrap();
    (0..20).for_each(|n| project.put_root(&view(&format!("v{n}")), &files_of(&blob)).unwrap());
    for round in 0..10 {
        let there = home.path(&format!("there-{round}"));
        copy_dir(&here, &there);
        let start = std::sync::Barrier::new(4);
        let found: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
            let register = || {
                // Each opens the store itself, as processes do: locks are of open files.
                let store = Store::open(std::sync::Arc::new(RealDisk), &home.root()).unwrap();
                start.wait();
                *Project::register(&store, &there).unwrap().uuid()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(register)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(found.len(), 1, "one directory, one identity: {found:?}");
        assert!(!found.contains(project.uuid()));
        assert_eq!(home.store.projects().unwrap().len(), round + 2);
    }
    home.sound(Expect::Tidy);
}

#[test]
fn project_files_that_a_crash_left_unfinished_are_swept_by_a_later_visit() {
    let home = home();
    fs::create_dir_all(home.models()).unwrap();
    let names = [".tmp-aaaaaaaaaaaa", ".tmp-bbbbbbbbbbbb", ".tmp-mine"];
    for name in names {
        let file = fs::File::create(home.models().join(name)).unwrap();
        if name != names[1] {
            file.set_modified(std::time::SystemTime::now() - days(2)).unwrap();
        }
    }
    // What tried out whether links work, and somebody's own.
    let links = [(".tmp-cccccccccccc", home.root().join("STORE.json")), (".tmp-dddddddddddd", "/etc/hosts".into())];
    for (name, target) in &links {
        let link = home.models().join(name);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let old = std::process::Command::new("touch").args(["-h", "-d", "2 days ago"]).arg(&link).status().unwrap();
        assert!(old.success());
    }
    Project::register(&home.store, &home.models()).unwrap();
    let is_left = |name: &&str| home.models().join(name).symlink_metadata().is_ok();
    assert_eq!([links[0].0, links[1].0].map(|name| is_left(&name)), [false, true]);
    let left: Vec<bool> = names.iter().map(is_left).collect();
    assert_eq!(left, [false, true, true], "the first is old and ours, the second young, the third not ours");
}
