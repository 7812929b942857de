//! The power fails after every step, and any of the unsynced changes may be lost.

use crate::{
    fsck::{Expect, assert_sound},
    kit::*,
    sim_disk::{Moment, SimDisk},
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    disk::{Disk, Open},
    store::{Advance, Blob, Dir, Project, Store, StoreError},
};
use std::{path::Path, sync::Arc};

const ROOT: &str = "/models/.blobs";

fn store_on(disk: &SimDisk) -> Store {
    Store::open_or_init(Arc::new(disk.clone()), Path::new(ROOT), false).unwrap()
}

fn ready() -> (SimDisk, Store) {
    let disk = SimDisk::new();
    let store = store_on(&disk);
    disk.sync_everything();
    (disk, store)
}

/// Some of the ways in which a moment may end: nothing kept, and by chance a prefix (everything
/// kept is what the sweep of faults tries), all but one, or any half of
/// the pending changes. `MODEL_MANAGER_TEST_CRASHES=20` tries twenty times as many.
fn crashes(moment: &Moment, samples: usize) -> Vec<SimDisk> {
    let pending = moment.pending();
    let mut disks = vec![moment.crash(|_| false)];
    if pending > 0 {
        let times = std::env::var("MODEL_MANAGER_TEST_CRASHES").map_or(1, |times| times.parse().unwrap());
        for _ in 0..samples * times {
            let one = fastrand::usize(0..pending);
            let bits: Vec<bool> = (0..pending).map(|_| fastrand::bool()).collect();
            disks.push(match fastrand::u8(0..3) {
                0 => moment.crash(|number| number < one),
                1 => moment.crash(|number| number != one),
                _ => moment.crash(|number| bits[number]),
            });
        }
    }
    disks
}

/// Lets the power fail in every moment of `work`, runs `recover`, collects, and looks at the store.
fn sweep(disk: &SimDisk, samples: usize, work: impl FnOnce(), recover: impl Fn(&SimDisk, &Store)) {
    let moments = disk.moments(work);
    assert!(moments.len() > 3);
    for moment in &moments {
        for after in crashes(moment, samples) {
            let store = store_on(&after);
            recover(&after, &store);
            collect_in(&store, days(30)).unwrap();
            assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        }
    }
}

#[test]
fn a_store_whose_making_was_cut_off_is_made() {
    let disk = SimDisk::new();
    let moments = disk.moments(|| drop(store_on(&disk)));
    let last = moments.len() - 40;
    let few = moments.iter().enumerate().filter(|(number, _)| *number < 6 || *number % 150 == 0 || *number >= last);
    for (_, moment) in few {
        for after in crashes(moment, 1) {
            let store = store_on(&after);
            put(&store, b"x").unwrap();
            collect_in(&store, days(30)).unwrap();
            assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        }
    }
    // What init returned for stays, with all its folders.
    let after = moments.last().unwrap().crash(|_| false);
    Store::open(Arc::new(after), Path::new(ROOT)).unwrap();
}

#[test]
fn a_blob_is_there_whole_or_not_at_all() {
    let (disk, store) = ready();
    let data = content(1, SEGMENT_LEN + 3);
    sweep(
        &disk,
        2,
        || assert!(put(&store, &data).is_ok()),
        |after, store| {
            // Before anything is repaired: whatever has a name has its content.
            let faults = crate::fsck::fsck(after, Path::new(ROOT), Expect::Unfinished);
            assert_eq!(faults, Vec::<String>::new());
            put(store, &data).unwrap();
            let project = Project::register(store, Path::new("/models")).unwrap();
            project.put_root(&view("a"), &files(&[(sha256_of(&data), data.len() as u64)])).unwrap();
        },
    );
}

#[test]
fn each_blob_of_a_group_is_there_whole_or_not_at_all() {
    let (disk, store) = ready();
    // Two of them in one folder.
    let contents = contents_in(&[7, 200, 7], 1);
    let group = Group::filled(&store, &contents).unwrap();
    let moments = disk.moments(|| assert_eq!(group.commit_all().len(), 3));
    for moment in &moments {
        for after in crashes(moment, 1) {
            let store = store_on(&after);
            assert_eq!(crate::fsck::fsck(&after, Path::new(ROOT), Expect::Unfinished), Vec::<String>::new());
            Group::filled(&store, &contents).unwrap().commit_all();
            assert_eq!(store.blobs().unwrap().len(), 3);
            collect_in(&store, days(30)).unwrap();
            assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        }
    }
    // After it returned, nothing can be lost any more.
    for after in crashes(moments.last().unwrap(), 8) {
        assert_eq!(store_on(&after).blobs().unwrap().len(), 3);
    }
}

#[test]
fn a_blob_that_was_imported_from_another_store_is_there_whole_or_not_at_all() {
    let (disk, store) = ready();
    let other = Store::open_or_init(Arc::new(disk.clone()), Path::new("/other/.blobs"), false).unwrap();
    disk.sync_everything();
    let contents = [content(1, 9), content(3, 200), content(2, SEGMENT_LEN + 3)];
    for data in &contents {
        // Nobody made it durable there.
        let file = disk.open(&other.layout().blob(&sha256_of(data)), Open::CreateNew(0o644)).unwrap();
        file.write_at(data, 0).unwrap();
        file.set_mode(0o444).unwrap();
    }
    let moments = disk.moments(|| import_from(&store, &other, &contents.each_ref().map(Vec::as_slice)).unwrap());
    for moment in &moments {
        for after in crashes(moment, 2) {
            let store = store_on(&after);
            assert_sound(&after, Path::new(ROOT), Expect::Unfinished);
            contents.iter().for_each(|data| assert_eq!(put(&store, data).unwrap().digest, sha256_of(data)));
            collect_in(&store, days(30)).unwrap();
            assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        }
    }
    let last = store_on(&moments.last().unwrap().crash(|_| false));
    assert_eq!(last.blobs().unwrap().len(), 3, "what was reported as done stays");
}

#[test]
fn what_a_checkpoint_covers_survives() {
    let (disk, store) = ready();
    let data = content(2, 3 * SEGMENT_LEN);
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    let first = disk.moments(|| {
        writer.write(1, piece(&writer, &data, 1)).unwrap();
        writer.checkpoint().unwrap();
    });
    let later = disk.moments(|| assert!(writer.write(2, piece(&writer, &data, 2)).unwrap()));
    for after in later.iter().chain(first.last()).flat_map(|moment| crashes(moment, 3)) {
        let store = store_on(&after);
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        assert!(!writer.missing().iter().any(|range| range.contains(&1)), "a synced claim was lost");
        finish(writer, &data).unwrap();
        assert_sound(&after, Path::new(ROOT), Expect::Unfinished);
    }
}

/// A run borrowed a segment that is not the same, and the power fails while that is found out and put right.
#[test]
fn what_was_borrowed_wrongly_is_never_published_and_costs_only_itself() {
    let (disk, store) = ready();
    let data = content(4, 3 * SEGMENT_LEN);
    let mut wrong = data.clone();
    wrong[SEGMENT_LEN as usize + 9] ^= 1;
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    writer.write(0, piece(&writer, &data, 0)).unwrap();
    writer.checkpoint().unwrap();
    let moments = disk.moments(|| {
        writer.write_borrowed(1, piece(&writer, &wrong, 1)).unwrap();
        writer.write_and_hash(2, piece(&writer, &data, 2)).unwrap();
        writer.checkpoint().unwrap();
        assert_eq!(writer.advance_from_disk().unwrap(), Advance::Complete);
        assert!(matches!(writer.commit(None, source()), Err(StoreError::BorrowedMismatch { bytes: SEGMENT_LEN, .. })));
        writer.write_and_hash(1, piece(&writer, &data, 1)).unwrap();
    });
    for after in moments.iter().flat_map(|moment| crashes(moment, 1)) {
        let store = store_on(&after);
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        assert!(writer.has(0), "a synced segment was lost");
        fill(&writer, &data).unwrap();
        if let Err(error) = writer.commit(None, source()) {
            assert!(matches!(error, StoreError::BorrowedMismatch { bytes: SEGMENT_LEN, .. }), "{error}");
            assert_eq!(writer.missing().into_iter().flatten().collect::<Vec<_>>(), [1]);
            fill(&writer, &data).unwrap();
            writer.commit(None, source()).unwrap();
        }
        drop(writer);
        assert_sound(&after, Path::new(ROOT), Expect::Unfinished);
    }
}

#[test]
fn a_hash_that_goes_on_after_a_power_loss_is_of_what_is_left() {
    let (disk, store) = ready();
    let data = content(3, 17 * SEGMENT_LEN + 5);
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    let hash = |index| {
        writer.write_and_hash(index, piece(&writer, &data, index)).unwrap();
    };
    (0..15).for_each(hash);
    writer.checkpoint().unwrap();
    // The sixteenth segment comes with a note.
    let moments = disk.moments(|| {
        (15..17).for_each(hash);
        writer.checkpoint().unwrap();
    });
    let mut noted = 0;
    for after in moments.iter().flat_map(|moment| crashes(moment, 3)) {
        let store = store_on(&after);
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        noted += u32::from(writer.hashed() == 16);
        finish(writer, &data).unwrap();
        assert_sound(&after, Path::new(ROOT), Expect::Unfinished);
    }
    assert!(noted > 0);
}

#[test]
fn a_root_that_was_put_is_there_and_so_are_its_blobs() {
    let (disk, store) = ready();
    let data = content(3, 5000);
    let files = files(&[(sha256_of(&data), 5000)]);
    let put_all = |store: &Store| {
        let lease = store.lease().unwrap();
        lease.protect(&[sha256_of(&data)]).unwrap();
        put(store, &data).unwrap();
        let project = Project::register(store, Path::new("/models")).unwrap();
        project.put_root(&view("a"), &files).unwrap();
    };
    let moments = disk.moments(|| put_all(&store));
    for moment in &moments {
        for after in crashes(moment, 1) {
            let store = store_on(&after);
            assert_eq!(crate::fsck::fsck(&after, Path::new(ROOT), Expect::Unfinished), Vec::<String>::new());
            put_all(&store);
            collect_in(&store, days(30)).unwrap();
            assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        }
    }
    // After it returned, nothing can be lost any more.
    for after in crashes(moments.last().unwrap(), 8) {
        let store = store_on(&after);
        collect_in(&store, days(30)).unwrap();
        assert_eq!(store.find(&sha256_of(&data)).unwrap().map(|blob| blob.size), Some(5000));
        assert_eq!(store.users().unwrap().len(), 1);
    }
}

#[test]
fn a_rooted_blob_stays_that_another_process_has_not_made_durable_yet() {
    let data = content(3, SEGMENT_LEN + 5);
    // This process may have published it before, and then it was collected.
    for was_ours in [false, true] {
        let (disk, store) = ready();
        let other = store_on(&disk);
        let blob = put(if was_ours { &store } else { &other }, &data).unwrap();
        // Where the other process is before its last step: the blob has its name, and its folder is not synced.
        let layout = store.layout();
        let (named, unnamed) = (layout.blob(&blob.digest), layout.dir(Dir::Temp).join(".tmp-abcdefghijkl"));
        disk.rename(&named, &unnamed).unwrap();
        disk.sync_everything();
        let project = Project::register(&store, Path::new("/models")).unwrap();
        let moments = disk.moments(|| {
            disk.rename_new(&unnamed, &named).unwrap();
            project.put_root(&view("a"), &files_of(&blob)).unwrap();
        });
        assert_rooted(moments.last().unwrap(), &[blob]);
        // It was not there all the time.
        assert_eq!(store_on(&moments[1].crash(|_| false)).find(&blob.digest).unwrap(), None);
    }
}

#[test]
fn rooted_blobs_stay_that_the_process_itself_published() {
    let (disk, store) = ready();
    let project = Project::register(&store, Path::new("/models")).unwrap();
    // While the lease is held, putting the root relies on what publishing made durable.
    let lease = lease(&store);
    let fill_one = |data: &Vec<u8>| {
        let writer = open(store.begin_ingest(request(data), &lease, &quick()).unwrap());
        fill(&writer, data).unwrap();
        writer
    };
    // Partials and a loose one, two of them in one folder.
    let group = Group::of(contents_in(&[9, 9, 17], 1).iter().map(fill_one).collect());
    let mut blobs = Vec::new();
    let moments = disk.moments(|| {
        blobs = group.commit_all();
        let rooted: Vec<_> = blobs.iter().map(|blob| (blob.digest, blob.size)).collect();
        project.put_root(&view("a"), &files(&rooted)).unwrap();
    });
    assert_rooted(moments.last().unwrap(), &blobs);
}

/// Makes sure that these blobs are rooted, and there, even if nothing was kept that was not made durable.
fn assert_rooted(moment: &Moment, blobs: &[Blob]) {
    for after in crashes(moment, 8) {
        let store = store_on(&after);
        let users = store.users().unwrap();
        for blob in blobs {
            assert!(users.contains_key(&blob.digest));
            assert_eq!(store.find(&blob.digest).unwrap(), Some(*blob), "a rooted blob is missing");
        }
        collect_in(&store, days(30)).unwrap();
        assert_sound(&after, Path::new(ROOT), Expect::Tidy);
        assert_eq!(store.blobs().unwrap().len(), blobs.len());
    }
}

#[test]
fn a_blob_that_was_taken_out_of_the_trash_stays_out() {
    let (disk, store) = ready();
    let blob = put(&store, &content(4, 5000)).unwrap();
    let project = Project::register(&store, Path::new("/models")).unwrap();
    disk.rename(&store.layout().blob(&blob.digest), &store.layout().trash(&blob.digest)).unwrap();
    disk.sync_everything();
    sweep(
        &disk,
        2,
        || project.put_root(&view("a"), &files_of(&blob)).unwrap(),
        |_, store| {
            // The collector runs before the consumer comes again.
            collect_in(store, days(0)).unwrap();
            let rooted = !store.users().unwrap().is_empty();
            assert!(!rooted || store.find(&blob.digest).unwrap().is_some(), "a rooted blob was purged");
        },
    );
}

#[test]
fn removing_and_collecting_can_be_cut_off_anywhere() {
    let (disk, store) = ready();
    let [kept, gone] = [5, 6].map(|seed| put(&store, &content(seed, 700)).unwrap());
    let project = Project::register(&store, Path::new("/models")).unwrap();
    project.put_root(&view("kept"), &files_of(&kept)).unwrap();
    project.put_root(&view("gone"), &files_of(&gone)).unwrap();
    disk.sync_everything();
    sweep(
        &disk,
        2,
        || {
            project.remove_root(&view("gone")).unwrap();
            store.collector(false, &quick()).unwrap().drop_unreferenced(&[kept.digest, gone.digest]).unwrap();
            collect_in(&store, days(30)).unwrap();
        },
        |_, store| {
            let users = store.users().unwrap();
            assert!(users.contains_key(&kept.digest));
            for digest in users.keys() {
                assert!(store.find(digest).unwrap().is_some(), "a rooted blob is missing");
            }
            put(store, &content(6, 700)).unwrap();
        },
    );
}
