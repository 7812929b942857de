//! The collector.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    store::{GcOptions, ImportMode, Project, StoreError, Wait},
};
use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

fn set_mtime(path: &std::path::Path, ago: Duration) {
    fs::File::open(path).unwrap().set_modified(SystemTime::now() - ago).unwrap();
}

#[test]
fn young_blobs_stay_and_old_ones_go() {
    let home = home();
    let blob = put(&home.store, &content(1, SEGMENT_LEN)).unwrap();
    let plan = home.store.plan_collection(GcOptions::default(), SystemTime::now()).unwrap();
    assert!(plan.is_empty());
    assert_eq!((plan.young, plan.kept), ((1, SEGMENT_LEN), 0));
    assert_eq!(collect_in(&home.store, Duration::ZERO).unwrap().removed, []);
    let later = SystemTime::now() + Duration::from_secs(3700);
    let plan = home.store.plan_collection(GcOptions::default(), later).unwrap();
    let report = home.store.collector(false, &quick()).unwrap().collect(GcOptions::default(), later).unwrap();
    assert_eq!(plan.blobs, report.removed);
    assert_eq!(plan.frees(), report.freed);
    assert_eq!(report.removed[0].digest, blob.digest);
    assert!(report.freed >= SEGMENT_LEN);
    home.sound(Expect::Tidy);
}

#[test]
fn a_blob_is_as_young_as_its_publication_however_old_its_bytes() {
    let home = home();
    let path = home.path("old.gguf");
    fs::write(&path, content(1, 1000)).unwrap();
    set_mtime(&path, days(900));
    let token = tokio_util::sync::CancellationToken::new();
    let blob = home.store.import(&path, ImportMode::Move, None, &lease(&home.store), &|_| {}, &token).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(collect_in(&home.store, Duration::ZERO).unwrap().removed, []);
    assert!(home.store.find(&blob.digest).unwrap().is_some());
    assert_eq!(collect_in(&home.store, days(1)).unwrap().removed.len(), 1);
}

#[test]
fn a_blob_with_further_names_frees_nothing() {
    let home = home();
    let blob = put(&home.store, &content(1, SEGMENT_LEN)).unwrap();
    fs::hard_link(home.store.layout().blob(&blob.digest), home.path("view.gguf")).unwrap();
    let plan = home.store.plan_collection(NO_GRACE, SystemTime::now()).unwrap();
    assert_eq!((plan.blobs[0].frees, plan.blobs[0].size), (0, SEGMENT_LEN));
    let report = home.store.collector(false, &quick()).unwrap().collect(NO_GRACE, SystemTime::now()).unwrap();
    assert_eq!((report.freed, report.removed.len()), (0, 1));
    assert_eq!(fs::read(home.path("view.gguf")).unwrap(), content(1, SEGMENT_LEN));
    home.sound(Expect::Tidy);
}

#[test]
fn partial_downloads_go_when_they_are_old_and_nobody_holds_them() {
    let home = home();
    let (held, left) = (content(1, 2 * SEGMENT_LEN), content(2, 2 * SEGMENT_LEN));
    let _held = open(home.store.begin_ingest(request(&held), &lease(&home.store), &quick()).unwrap());
    let writer = open(home.store.begin_ingest(request(&left), &lease(&home.store), &quick()).unwrap());
    writer.write(0, piece(&writer, &left, 0)).unwrap();
    drop(writer);
    assert_eq!(collect_in(&home.store, days(6)).unwrap().partials, []);
    let report = collect_in(&home.store, days(8)).unwrap();
    assert_eq!(report.partials.len(), 1);
    assert_eq!(report.freed, 2 * SEGMENT_LEN);
    let left: Vec<_> = home.store.partials().unwrap().into_iter().map(|partial| partial.key).collect();
    assert_eq!(left, [request(&held).key]);
}

#[test]
fn what_a_commit_left_behind_goes_at_once() {
    let home = home();
    let data = content(1, SEGMENT_LEN + 1);
    put(&home.store, &data).unwrap();
    // As a process leaves it that was killed between publishing and dropping the journal.
    let dir = home.store.layout().partial(&request(&data).key).dir;
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("journal"), "").unwrap();
    let report = collect_in(&home.store, Duration::ZERO).unwrap();
    assert_eq!((report.partials.len(), report.removed.len()), (1, 0));
    home.sound(Expect::Tidy);
}

#[test]
fn records_without_a_blob_and_temporary_files_and_trash_go() {
    let home = home();
    let data = content(1, SEGMENT_LEN + 1);
    let blob = put(&home.store, &data).unwrap();
    let trashed = put(&home.store, &content(2, 10)).unwrap();
    let kept = put(&home.store, &content(3, 10)).unwrap();
    let layout = home.store.layout().clone();
    fs::remove_file(layout.blob(&blob.digest)).unwrap();
    fs::rename(layout.blob(&trashed.digest), layout.trash(&trashed.digest)).unwrap();
    fs::write(home.root().join("trash").join(format!("dead-{}", blob.digest)), &data).unwrap();
    let (old, young) = (home.root().join("tmp/.tmp-old"), home.root().join("tmp/.tmp-young"));
    fs::write(&old, "x").unwrap();
    fs::write(&young, "x").unwrap();
    fs::write(home.root().join("tmp/notes.txt"), "x").unwrap();
    set_mtime(&old, days(2));
    let plan = home.store.plan_collection(GcOptions::default(), SystemTime::now()).unwrap();
    // The shorter of them has one record only.
    assert_eq!((plan.orphans.len(), plan.orphan_temps.len(), plan.trash.len(), plan.young.0), (3, 1, 2, 1));
    let report = collect_in(&home.store, Duration::ZERO).unwrap();
    assert_eq!((report.removed.len(), report.freed), (2, plan.frees()));
    assert!(!old.exists() && young.exists() && home.root().join("tmp/notes.txt").exists());
    fs::remove_file(young).unwrap();
    fs::remove_file(home.root().join("tmp/notes.txt")).unwrap();
    assert_eq!(home.store.blobs().unwrap(), [kept.digest]);
    home.sound(Expect::Tidy);
}

#[test]
fn records_that_wait_for_their_blob_stay_while_it_is_leased() {
    let home = home();
    let blob = put(&home.store, &content(1, SEGMENT_LEN + 1)).unwrap();
    let layout = home.store.layout();
    // As they are while another process publishes.
    let records = [layout.meta(&blob.digest), layout.segments(&blob.digest)];
    fs::remove_file(layout.blob(&blob.digest)).unwrap();
    let lease = home.store.lease().unwrap();
    lease.protect(&[blob.digest]).unwrap();
    assert_eq!(collect_in(&home.store, days(30)).unwrap().leftovers, Vec::<std::path::PathBuf>::new());
    assert!(records.iter().all(|record| record.exists()));
    drop(lease);
    assert_eq!(collect_in(&home.store, days(30)).unwrap().leftovers.len(), 2);
    home.sound(Expect::Tidy);
}

#[test]
fn a_blob_that_has_a_second_name_in_the_trash_goes_in_one_collection() {
    let home = home();
    let blob = put(&home.store, &content(1, 100)).unwrap();
    let layout = home.store.layout();
    // As a crash may leave it where moving without replacing is linking and unlinking.
    fs::hard_link(layout.blob(&blob.digest), layout.trash(&blob.digest)).unwrap();
    fs::hard_link(layout.blob(&blob.digest), home.root().join("trash").join(format!("dead-{}", blob.digest))).unwrap();
    collect_in(&home.store, days(30)).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn foreign_files_are_neither_touched_nor_in_the_way() {
    let home = home();
    let data = content(1, SEGMENT_LEN + 1);
    let blob = put(&home.store, &data).unwrap();
    let shard = home.store.layout().blob(&blob.digest).parent().unwrap().to_owned();
    let upper = shard.join(blob.digest.to_string().to_uppercase());
    let elsewhere = home.root().join("sha256").join(if shard.ends_with("00") { "01" } else { "00" }).join(blob.digest.to_string());
    let partial = home.store.layout().partial(&request(&content(2, SEGMENT_LEN + 9)).key).dir;
    let writer = open(home.store.begin_ingest(request(&content(2, SEGMENT_LEN + 9)), &lease(&home.store), &quick()).unwrap());
    writer.write(1, piece(&writer, &content(2, SEGMENT_LEN + 9), 1)).unwrap();
    drop(writer);
    let foreign = [upper, elsewhere, shard.join("README"), partial.join("notes.txt"), home.root().join("trash/notes.txt")];
    foreign.iter().for_each(|path| fs::write(path, "mine").unwrap());
    assert_eq!(home.store.blobs().unwrap(), [blob.digest]);
    let report = collect_in(&home.store, days(30)).unwrap();
    assert_eq!((report.removed.len(), report.partials.len()), (1, 1));
    foreign.iter().for_each(|path| assert_eq!(fs::read(path).unwrap(), b"mine", "{}", path.display()));
}

#[test]
fn a_running_take_in_is_not_taken_for_an_abandoned_download() {
    let home = home();
    let path = home.path("old.gguf");
    fs::write(&path, content(1, 12 * SEGMENT_LEN)).unwrap();
    set_mtime(&path, days(900));
    let once = AtomicBool::new(true);
    let progress = |_: u64| {
        if once.swap(false, Ordering::SeqCst) {
            let options = GcOptions { partial_age: Duration::ZERO, ..GcOptions::default() };
            let report = home.store.collector(false, &quick()).unwrap().collect(options, SystemTime::now()).unwrap();
            assert_eq!(report.partials, []);
        }
    };
    let token = tokio_util::sync::CancellationToken::new();
    home.store.import(&path, ImportMode::Move, None, &lease(&home.store), &progress, &token).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn only_unneeded_candidates_are_dropped_whatever_their_age() {
    let home = home();
    let [a, b, c] = [1, 2, 3].map(|seed| put(&home.store, &content(seed, 100)).unwrap());
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files_of(&a)).unwrap();
    let report = home.store.collector(false, &quick()).unwrap().drop_unreferenced(&[a.digest, b.digest, sha256_of(b"no")]).unwrap();
    assert_eq!(report.removed.iter().map(|blob| blob.digest).collect::<Vec<_>>(), [b.digest]);
    let mut left = vec![a.digest, c.digest];
    left.sort();
    assert_eq!(home.store.blobs().unwrap(), left);
    home.sound(Expect::Tidy);
}

#[test]
fn there_is_one_collector_at_a_time() {
    let home = home();
    let _first = home.store.collector(false, &quick()).unwrap();
    let error = home.store.collector(false, &Wait::silent(Some(Duration::from_millis(20)))).unwrap_err();
    assert!(matches!(error, StoreError::LockTimeout(_)));
}

#[test]
fn no_rooted_blob_is_ever_missing_while_collector_and_consumers_race() {
    let home = home();
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let collected = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (home, stop, rounds) = (&home, &stop, &rounds);
            scope.spawn(move || {
                let models = home.path(&format!("project-{worker}"));
                fs::create_dir(&models).unwrap();
                let project = Project::register(&home.store, &models).unwrap();
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Few contents, so that the workers meet.
                    let data = content(fastrand::u64(0..4), 3000);
                    let lease = home.store.lease().unwrap();
                    let digest = sha256_of(&data);
                    let blob = if round % 2 == 0 {
                        lease.protect(&[digest]).unwrap();
                        put(&home.store, &data).unwrap()
                    } else {
                        put(&home.store, &data).unwrap()
                    };
                    match project.put_root(&view("a"), &files_of(&blob)) {
                        Ok(()) => {
                            for _ in 0..3 {
                                assert_eq!(home.store.find(&digest).unwrap(), Some(blob), "a rooted blob is missing");
                                assert_eq!(fs::read(home.store.layout().blob(&digest)).unwrap(), data);
                                std::thread::yield_now();
                            }
                        }
                        Err(StoreError::Vanished(_)) => assert_ne!(round % 2, 0, "a leased blob vanished"),
                        Err(error) => panic!("{error}"),
                    }
                    drop(lease);
                    project.remove_root(&view("a")).unwrap();
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (home, stop, collected) = (&home, &stop, &collected);
        scope.spawn(move || {
            while begun.elapsed() < Duration::from_secs(3) {
                let mut collector = home.store.collector(false, &quick()).unwrap();
                // A day on, what the workers are writing would look like what a dead process left in `tmp/`.
                let report = collector.collect(NO_GRACE, SystemTime::now() + days(1) / 2).unwrap();
                collected.fetch_add(report.removed.len() as u64, Ordering::Relaxed);
                assert!(report.longest_section < Duration::from_secs(2));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    assert!(rounds.load(Ordering::Relaxed) > 5 && collected.load(Ordering::Relaxed) > 0, "{rounds:?} {collected:?}");
    collect_in(&home.store, days(30)).unwrap();
    home.sound(Expect::Tidy);
}
