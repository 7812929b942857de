//! The medium refuses what is written to it, and the system tells that once and forgets it: after a failed sync, the next
//! run writes what was lost again, and what it says is there is on the medium.

use crate::{
    fsck::{Expect, fsck},
    kit::*,
    sim_disk::{Call, SimDisk},
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    disk::{Disk, DiskFile, Open},
    settings::LinkMode,
    store::{Acquired, BlobState, BlobWriter, CheckMode, ImportMode, Progress, Project, Store, StoreError, Trust},
    view::Views,
};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

const ROOT: &str = "/models/.blobs";
const OWN_FILE: &str = "/models/own.gguf";

fn store_on(disk: &SimDisk) -> Store {
    Store::open_or_init(Arc::new(disk.clone()), Path::new(ROOT), false).unwrap()
}

fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    disk.read_small(path).unwrap().unwrap_or_default()
}

fn write(disk: &SimDisk, path: &str, data: &[u8]) -> Box<dyn DiskFile> {
    let file = disk.open(Path::new(path), Open::CreateIfMissing(0o644)).unwrap();
    file.write_at(data, 0).unwrap();
    file
}

/// Whether the medium has a blob of this content, whatever is in the cache.
fn has_blob(medium: &SimDisk, data: &[u8]) -> bool {
    read(medium, &store_on(medium).layout().blob(&sha256_of(data))) == data
}

/// Lets each call fail in which the medium can, alone and with all that follow; then `attempt` is made again on a good
/// medium, every other time without what the cache still shows. Whatever succeeds has to hold after a power loss.
fn sweep<E: std::fmt::Display>(
    name: &str,
    prepare: impl Fn(&SimDisk, &Store),
    attempt: impl Fn(&SimDisk, &Store) -> Result<(), E>,
    holds: impl Fn(&SimDisk) -> bool,
) {
    let prepared = SimDisk::new();
    prepare(&prepared, &store_on(&prepared));
    prepared.sync_everything();
    let assert_holds = |disk: &SimDisk, what: &str| {
        let medium = disk.now().crash(|_| false);
        assert!(holds(&medium), "{name}, {what}: it succeeded, and the medium does not have it");
        assert_eq!(fsck(&medium, Path::new(ROOT), Expect::Unfinished), Vec::<String>::new(), "{name}, {what}");
    };
    let mut failures = 0;
    for alone in [true, false] {
        for number in 1.. {
            let evicted = (number % 2 == 0) == alone;
            let what = format!("call {number} fails, alone: {alone}, evicted: {evicted}");
            let disk = prepared.now().crash(|_| true);
            disk.fail(move |at, _, _| at == number || (!alone && at > number));
            let first = attempt(&disk, &store_on(&disk));
            let calls = disk.mend();
            failures += u32::from(first.is_err());
            if first.is_ok() {
                assert_holds(&disk, &what);
            }
            if evicted {
                disk.drop_caches();
            }
            attempt(&disk, &store_on(&disk)).unwrap_or_else(|error| panic!("{name}, {what}: the second run: {error}"));
            assert_holds(&disk, &format!("{what}, again"));
            if number > calls {
                break;
            }
        }
    }
    assert!(failures > 3, "{name}: only {failures} runs failed");
}

/// Like a transfer, which publishes what is complete although a checkpoint has failed; and roots it.
fn download(store: &Store, data: &[u8], again: bool) -> Result<(), StoreError> {
    let lease = Arc::new(store.lease()?);
    lease.protect(&[sha256_of(data)])?;
    let admit = if again { Store::begin_replace } else { Store::begin_ingest };
    if let Acquired::Writer(writer) = admit(store, request(data), &lease, &quick())? {
        for index in writer.missing().into_iter().flatten() {
            writer.write(index, piece(&writer, data, index))?;
            if index == 1 {
                let _ = writer.checkpoint();
            }
        }
        finish(*writer, data)?;
    }
    root(store, &[data])
}

/// What was found present may have been published by somebody who failed to sync its name.
fn root(store: &Store, contents: &[&[u8]]) -> Result<(), StoreError> {
    let files: Vec<_> = contents.iter().map(|data| (sha256_of(data), data.len() as u64)).collect();
    Project::register(store, Path::new("/models"))?.put_root(&view("a"), &self::files(&files))
}

#[test]
fn a_download_after_a_failed_sync_writes_again_what_was_lost() {
    let data = content(1, 2 * SEGMENT_LEN + 9);
    sweep("partial", |_, _| {}, |_, store| download(store, &data, false), |medium| has_blob(medium, &data));
}

#[test]
fn a_file_of_one_segment_after_a_failed_sync_is_written_again() {
    let data = content(2, 5000);
    sweep("loose", |_, _| {}, |_, store| download(store, &data, false), |medium| has_blob(medium, &data));
}

#[test]
fn a_download_by_force_after_a_failed_sync_is_on_the_medium() {
    let data = content(3, 2 * SEGMENT_LEN + 9);
    sweep(
        "forced",
        |_, store| {
            put(store, &data).unwrap();
        },
        |_, store| download(store, &data, true),
        |medium| has_blob(medium, &data),
    );
}

#[test]
fn a_group_after_a_failed_sync_is_written_again() {
    let contents = contents_in(&[7, 200, 7], 1);
    sweep(
        "group",
        |_, _| {},
        |_, store| {
            Group::filled(store, &contents)?.commit().into_iter().try_for_each(|one| one.map(drop))?;
            root(store, &contents.iter().map(Vec::as_slice).collect::<Vec<_>>())
        },
        |medium| contents.iter().all(|data| has_blob(medium, data)),
    );
}

#[test]
fn a_root_after_a_failed_sync_is_on_the_medium() {
    let data = content(4, 5000);
    sweep(
        "root",
        |_, store| {
            put(store, &data).unwrap();
        },
        |_, store| root(store, &[&data]),
        |medium| has_blob(medium, &data) && store_on(medium).users().unwrap().len() == 1,
    );
}

#[test]
fn a_file_that_is_imported_after_a_failed_sync_is_on_the_medium() {
    let data = content(5, SEGMENT_LEN + 9);
    for how in [ImportMode::Move, ImportMode::Copy] {
        sweep(
            "take-in",
            |disk, _| drop(write(disk, OWN_FILE, &data)),
            |_, store| import(store, how, &data),
            |medium| has_blob(medium, &data) && read(medium, Path::new(OWN_FILE)) == data,
        );
    }
}

fn import(store: &Store, how: ImportMode, expected: &[u8]) -> Result<(), StoreError> {
    let (path, expected) = (Path::new(OWN_FILE), Some((sha256_of(expected), Trust::Sha256Upstream)));
    store.import(path, how, expected, &store.lease()?, &|_| {}, &CancellationToken::new()).map(drop)
}

#[test]
fn a_file_whose_own_program_failed_to_sync_it_is_imported_as_it_is_on_the_medium() {
    let data = content(6, SEGMENT_LEN + 9);
    // Somebody was told, or nobody was.
    for told in [true, false] {
        let disk = SimDisk::new();
        let store = store_on(&disk);
        drop(write(&disk, OWN_FILE, b"begun"));
        disk.sync_everything();
        let file = write(&disk, OWN_FILE, &data);
        disk.fail(|_, call, _| call != Call::SyncDir);
        file.start_writeback(0, data.len() as u64);
        assert!(!told || file.sync_all().is_err());
        disk.mend();
        assert_eq!(read(&disk, Path::new(OWN_FILE)), data, "it is still to be read");
        let error = import(&store, ImportMode::Move, &data).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        assert_eq!(store.blobs().unwrap(), []);
    }
}

#[test]
fn a_repair_after_a_failed_sync_is_on_the_medium() {
    let data = content(7, 3 * SEGMENT_LEN);
    sweep(
        "repair",
        |disk, store| {
            let blob = put(store, &data).unwrap();
            let file = disk.open(&store.layout().blob(&blob.digest), Open::Read).unwrap();
            file.write_at(b"damage", SEGMENT_LEN + 5).unwrap();
        },
        |_, store| {
            let (digest, size) = (sha256_of(&data), data.len() as u64);
            let token = CancellationToken::new();
            let progress = Progress { bytes: &|_| {}, cancel: &token };
            let damaged = store.layout().blob(&digest);
            finish(*store.begin_repair(&digest, size, &damaged, &lease(store), &quick(), progress)?, &data).map(drop)
        },
        |medium| has_blob(medium, &data),
    );
}

#[test]
fn records_that_are_written_anew_after_a_failed_sync_are_on_the_medium() {
    let data = content(8, SEGMENT_LEN + 9);
    let digest = sha256_of(&data);
    sweep(
        "records",
        |disk, store| {
            put(store, &data).unwrap();
            disk.remove_file(&store.layout().meta(&digest)).unwrap();
            disk.remove_file(&store.layout().segments(&digest)).unwrap();
        },
        |_, store| {
            let token = CancellationToken::new();
            let state = store.check(&digest, CheckMode::Rehash, Progress { bytes: &|_| {}, cancel: &token })?;
            assert!(matches!(state, BlobState::Ok { .. }), "{state:?}");
            Ok::<_, StoreError>(())
        },
        |medium| {
            let store = store_on(medium);
            let meta = store.meta(&digest).unwrap();
            meta.is_some_and(|meta| store.segment_values(&digest, &meta).unwrap().is_some())
        },
    );
}

#[test]
fn a_copied_view_after_a_failed_sync_is_on_the_medium() {
    let data = content(9, SEGMENT_LEN + 9);
    let files = files(&[(sha256_of(&data), data.len() as u64)]);
    let shown = Path::new("/models").join(view("a").dir()).join(files[0].path.to_path());
    sweep(
        "view",
        |_, store| {
            put(store, &data).unwrap();
            Project::register(store, Path::new("/models")).unwrap();
        },
        |disk, store| {
            let (project, key) = (Project::register(store, Path::new("/models"))?, view("a"));
            let views = Views::new(Arc::new(disk.clone()), "/models".into(), Some(store.clone()));
            // Like a download, to which a model whose root and blobs are there is complete but for its files.
            if project.root(&key)?.is_some() {
                views.build(&key, &files, LinkMode::Copy, project.uuid())?;
            } else {
                project.put_root(&key, &files)?;
                views.build_adopting(&key, &files, LinkMode::Copy, project.uuid(), &[])?;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        },
        |medium| read(medium, &shown) == data && store_on(medium).users().unwrap().len() == 1,
    );
}

fn missing(writer: &BlobWriter) -> Vec<u64> {
    writer.missing().into_iter().flatten().collect()
}

/// A run that wrote and hashed these segments and died. What it wrote is still in the cache; the medium refused the data.
fn refused(disk: &SimDisk, data: &[u8], segments: u64) {
    let store = store_on(disk);
    let writer = open(store.begin_ingest(request(data), &lease(&store), &quick()).unwrap());
    disk.fail(move |_, call, path| call == Call::StartWriteback && path.ends_with("data"));
    for index in 0..segments {
        assert!(writer.write_and_hash(index, piece(&writer, data, index)).unwrap().is_some());
    }
    disk.mend();
}

#[test]
fn what_a_killed_run_wrote_is_written_again_and_not_fetched_again() {
    let data = content(10, 17 * SEGMENT_LEN + 5);
    // Who syncs the file in between takes the only sign of the failure with it.
    for somebody_synced in [false, true] {
        let disk = SimDisk::new();
        refused(&disk, &data, 17);
        let store = store_on(&disk);
        if somebody_synced {
            let path = store.layout().partial(&request(&data).key).data;
            disk.open(&path, Open::Read).unwrap().sync_all().unwrap_err();
        }
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        assert_eq!(missing(&writer), [17]);
        assert_eq!(writer.hashed(), 16, "what was hashed need not be hashed again");
        finish(writer, &data).unwrap();
        assert!(has_blob(&disk.now().crash(|_| false), &data));
    }
}

#[test]
fn what_two_killed_runs_wrote_is_still_hashed_and_not_fetched_again() {
    let data = content(11, 17 * SEGMENT_LEN + 5);
    let disk = SimDisk::new();
    refused(&disk, &data, 17);
    let store = store_on(&disk);
    drop(open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap()));
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    assert_eq!((missing(&writer), writer.hashed()), (vec![17], 16));
    finish(writer, &data).unwrap();
    assert!(has_blob(&disk.now().crash(|_| false), &data));
}

#[test]
fn what_the_medium_refused_and_the_cache_forgot_is_wanted_again() {
    let data = content(12, 4 * SEGMENT_LEN);
    let disk = SimDisk::new();
    refused(&disk, &data, 3);
    disk.drop_caches();
    let store = store_on(&disk);
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    assert_eq!(missing(&writer), [0, 1, 2, 3]);
    finish(writer, &data).unwrap();
    assert!(has_blob(&disk.now().crash(|_| false), &data));
}

#[test]
fn what_was_in_doubt_after_a_failed_sync_is_durable_once_the_partial_is_opened_again() {
    let data = content(13, 4 * SEGMENT_LEN);
    let disk = SimDisk::new();
    let store = store_on(&disk);
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    for index in [2, 0] {
        writer.write(index, piece(&writer, &data, index)).unwrap();
        writer.checkpoint().unwrap();
    }
    writer.write(1, piece(&writer, &data, 1)).unwrap();
    // Its neighbour is overwritten with the same bytes, which may destroy it.
    writer.write(0, piece(&writer, &data, 0)).unwrap();
    disk.fail(|_, call, path| call == Call::Sync && path.ends_with("data"));
    writer.checkpoint().unwrap_err();
    disk.mend();
    drop(writer);
    let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
    assert_eq!(missing(&writer), [3]);
    let path = store.layout().partial(&request(&data).key).data;
    // What was in doubt was written again, and made durable before anything else.
    assert!(disk.unsynced(&path).is_empty(), "{:?}", disk.unsynced(&path));
    finish(writer, &data).unwrap();
    assert!(has_blob(&disk.now().crash(|_| false), &data));
}
