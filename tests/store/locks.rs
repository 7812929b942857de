//! Locks and leases.

use crate::{
    child,
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::Expect,
    kit::*,
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    disk::{
        LockKind, RealDisk,
        lock::{self, LockError, LockHeld},
    },
    event::Event,
    store::{Acquired, IngestKey, StoreError, Wait},
};
use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
#[test]
fn a_lock_file_that_lost_its_name_before_it_was_locked_guards_nothing() {
    let dir = scratch();
    let path = dir.path().join("lock");
    let first = lock::try_acquire(&RealDisk, &path, LockKind::Exclusive, 0o644).unwrap().unwrap();
    let (disk, first) = (FaultyDisk::new(), Mutex::new(Some(first)));
    let unlinked = path.clone();
    // The mode is narrowed between opening and locking: there the holder unlinks the file and releases it.
    disk.set(Rule::Pick(Box::new(move |op, _| {
        if let Some(held) = (op == Op::SetMode).then(|| first.lock().unwrap().take()).flatten() {
            fs::remove_file(&unlinked).unwrap();
            drop(held);
        }
        None
    })));
    let second = lock::try_acquire(&disk, &path, LockKind::Exclusive, 0o600).unwrap().unwrap();
    assert!(lock::try_acquire(&RealDisk, &path, LockKind::Exclusive, 0o600).unwrap().is_none(), "two hold one lock");
    drop(second);
    assert!(lock::try_acquire(&RealDisk, &path, LockKind::Exclusive, 0o600).unwrap().is_some());
}

#[test]
fn only_one_is_in_although_lock_files_are_unlinked_all_the_time() {
    let dir = scratch();
    let path = dir.path().join("lock");
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..60 {
                    let held = lock::acquire(&RealDisk, &path, LockKind::Exclusive, 0o644, "x", &quick()).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    // Unlinked by the holder, as the collector does: last, for from here on the lock guards nothing.
                    fs::remove_file(&path).unwrap();
                    drop(held);
                }
            });
        }
    });
}

#[test]
fn waiting_ends_in_time_and_names_the_holder() {
    let home = home();
    let mut other = child::spawn("hold", &home.root(), 1, 2 * SEGMENT_LEN);
    assert_eq!(other.says(), "holding");
    let told = Arc::new(Mutex::new(Vec::new()));
    let reporter = {
        let told = told.clone();
        move |event: &Event| told.lock().unwrap().push(event.clone())
    };
    let wait = Wait::new(Some(Duration::from_millis(900)), Arc::new(reporter), CancellationToken::new());
    let error = home.store.begin_ingest(request(&content(1, 2 * SEGMENT_LEN)), &lease(&home.store), &wait).unwrap_err();
    let StoreError::LockTimeout(LockHeld { what, holder, waited, .. }) = &error else { panic!("{error}") };
    assert_eq!(what, "model.gguf");
    assert!(holder.contains(&format!("process {} on ", other.pid())), "{holder}");
    assert!(*waited >= Duration::from_millis(900));
    // Generous for a busy machine, and less than the default of two minutes: the given timeout ended it.
    assert!(*waited < Duration::from_secs(60));
    assert!(matches!(&told.lock().unwrap()[..], [Event::Waiting { .. }]));
}

#[test]
fn waiting_can_be_stopped() {
    let home = home();
    let data = content(1, 10);
    let _held = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    let (told, waiting) = std::sync::mpsc::channel();
    let reporter = move |event: &Event| {
        let _nobody_listens_any_more = matches!(event, Event::Waiting { .. }).then(|| told.send(()));
    };
    let cancel = CancellationToken::new();
    let wait = Wait::new(None, Arc::new(reporter), cancel.clone());
    let waiter = std::thread::spawn({
        let (store, data) = (home.store.clone(), data.clone());
        move || store.begin_ingest(request(&data), &lease(&store), &wait).unwrap_err()
    });
    waiting.recv_timeout(Duration::from_secs(60)).expect("it waits, and says so");
    cancel.cancel();
    assert!(matches!(waiter.join().unwrap(), StoreError::Cancelled));
}

#[test]
fn a_lock_is_free_when_its_holder_was_killed() {
    let home = home();
    let data = content(2, SEGMENT_LEN + 1);
    let mut other = child::spawn("hold", &home.root(), 2, SEGMENT_LEN + 1);
    other.says();
    other.kill_9();
    assert!(matches!(
        home.store.begin_ingest(request(&data), &lease(&home.store), &Wait::silent(Some(Duration::ZERO))).unwrap(),
        Acquired::Writer(_)
    ));
}

#[test]
fn a_leased_blob_is_not_collected() {
    let home = home();
    let blob = put(&home.store, &content(1, 100)).unwrap();
    let lease = home.store.lease().unwrap();
    lease.protect(&[blob.digest]).unwrap();
    let report = collect_in(&home.store, days(30)).unwrap();
    assert_eq!(report.removed, []);
    assert!(home.store.find(&blob.digest).unwrap().is_some());
    drop(lease);
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed.len(), 1);
    home.sound(Expect::Tidy);
}

#[test]
fn the_lease_of_a_killed_process_protects_nothing_and_is_swept() {
    let home = home();
    let data = content(3, 100);
    let blob = put(&home.store, &data).unwrap();
    let mut other = child::spawn("lease", &home.root(), 3, 100);
    assert_eq!(other.says(), "leased");
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed, []);
    let later = std::time::SystemTime::now() + days(30);
    assert_eq!(home.store.plan_collection(Default::default(), later).unwrap().kept, 1);
    other.kill_9();
    assert_eq!(home.store.plan_collection(Default::default(), later).unwrap().kept, 0, "the plan believes a dead lease");
    assert_eq!(collect_in(&home.store, days(30)).unwrap().removed[0].digest, blob.digest);
    home.sound(Expect::Tidy);
}

#[test]
fn a_dead_lease_is_swept_although_nothing_else_is_to_be_done() {
    let home = home();
    let mut other = child::spawn("lease", &home.root(), 3, 100);
    other.says();
    other.kill_9();
    collect_in(&home.store, Duration::ZERO).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_lease_taken_late_brings_a_condemned_blob_back() {
    let home = home();
    let blob = put(&home.store, &content(4, 100)).unwrap();
    // As a collector that was killed between condemning and purging leaves it.
    fs::rename(home.store.layout().blob(&blob.digest), home.store.layout().trash(&blob.digest)).unwrap();
    let lease = home.store.lease().unwrap();
    lease.protect(&[blob.digest]).unwrap();
    assert_eq!(home.store.find(&blob.digest).unwrap(), Some(blob));
}

#[test]
fn lock_files_of_finished_downloads_are_swept_and_those_in_use_are_not() {
    let home = home();
    put(&home.store, &content(5, 10)).unwrap();
    let data = content(6, 10);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    collect_in(&home.store, Duration::ZERO).unwrap();
    let left: Vec<_> = fs::read_dir(home.root().join("lock/b")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [sha256_of(&data).to_string().as_str()]);
    assert!(home.store.layout().blob_lock(&IngestKey::Sha256(sha256_of(&data))).exists());
    finish(writer, &data).unwrap();
}

#[test]
fn many_locks_are_waited_for_no_longer_in_all_than_one() {
    let dir = scratch();
    let paths = ["a", "b", "c"].map(|name| dir.path().join(name));
    let _held = paths.clone().map(|path| lock::try_acquire(&RealDisk, &path, LockKind::Exclusive, 0o600).unwrap().unwrap());
    let wait = Wait::silent(Some(Duration::from_millis(600)));
    let (disk, tries) = (FaultyDisk::new(), Arc::new(AtomicU32::new(0)));
    let counted = tries.clone();
    disk.set(Rule::Pick(Box::new(move |op, _| {
        counted.fetch_add(u32::from(op == Op::Open), Ordering::SeqCst);
        None
    })));
    for (number, path) in paths.iter().enumerate() {
        let error = lock::acquire(&disk, path, LockKind::Exclusive, 0o600, "x", &wait.clone()).unwrap_err();
        let LockError::Timeout(LockHeld { in_all, .. }) = &error else { panic!("{error}") };
        assert!(*in_all >= Duration::from_millis(600), "{error}");
        assert!(error.to_string().starts_with("waited "), "{error}");
        let tries = tries.swap(0, Ordering::SeqCst);
        // The first lock uses up the time, so the others are tried once.
        assert!(if number == 0 { tries > 1 } else { tries == 1 }, "{tries} tries of lock {number}");
    }
}

#[test]
fn no_time_at_all_tries_once_and_says_that_it_did_not_wait() {
    let dir = scratch();
    let path = dir.path().join("lock");
    let wait = Wait::silent(Some(Duration::ZERO));
    let free = lock::acquire(&RealDisk, &path, LockKind::Exclusive, 0o600, "x", &wait).unwrap();
    let error = lock::acquire(&RealDisk, &path, LockKind::Exclusive, 0o600, "x", &wait).unwrap_err();
    assert!(error.to_string().starts_with("did not wait for x, held by process "), "{error}");
    drop(free);
    drop(lock::acquire(&RealDisk, &path, LockKind::Exclusive, 0o600, "x", &wait).unwrap());
}

#[cfg(unix)]
#[test]
fn a_lock_file_that_is_open_to_others_is_closed_by_who_takes_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = scratch();
    let path = dir.path().join("lock");
    for (found, mode) in [(0o644, 0o600), (0o666, 0o660), (0o664, 0o600)] {
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(found)).unwrap();
        let held = lock::try_acquire(&RealDisk, &path, LockKind::Exclusive, mode).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        drop(held);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn who_waits_for_a_blob_that_another_makes_sees_how_far_that_is() {
    let home = home();
    let data = content(1, 4 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    (0..3).for_each(|index| assert!(writer.write(index, piece(&writer, &data, index)).unwrap()));
    let (told, progress) = std::sync::mpsc::channel();
    let reporter = move |event: &Event| {
        if let Event::Awaited { file, done, size } = event {
            let _nobody_listens_any_more = told.send((file.clone(), *done, *size));
        }
    };
    let wait = Wait::new(None, Arc::new(reporter), CancellationToken::new());
    let waiter = std::thread::spawn({
        let (store, data) = (home.store.clone(), data.clone());
        move || store.begin_ingest(request(&data), &lease(&store), &wait).unwrap()
    });
    let patience = Duration::from_secs(60);
    assert_eq!(progress.recv_timeout(patience).unwrap(), ("model.gguf".into(), 3 * SEGMENT_LEN, 4 * SEGMENT_LEN));
    fill(&writer, &data).unwrap();
    writer.commit(None, source()).unwrap();
    drop(writer);
    assert!(matches!(waiter.join().unwrap(), Acquired::Present(_)));
    // The last one ends it, in any order.
    assert_eq!(progress.into_iter().last().unwrap().1, 4 * SEGMENT_LEN);
}
