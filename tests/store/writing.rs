//! Bytes become a blob.

use crate::{child, fsck::Expect, kit::*};
use model_manager::{
    digest::{GitSha1, SEGMENT_LEN, sha256_of},
    store::{Acquired, Advance, BlobRequest, BlobWriter, IngestKey, Store, StoreError, Trust},
};
use std::{fs, os::unix::fs::MetadataExt, sync::Arc};

#[test]
fn a_file_of_any_length_becomes_a_blob_in_whatever_order_it_comes() {
    let home = home();
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let data = content(seed as u64 + 1, len);
        let blob = put(&home.store, &data).unwrap();
        assert_eq!((blob.digest, blob.size), (sha256_of(&data), len));
        let path = home.store.layout().blob(&blob.digest);
        assert_eq!(fs::read(&path).unwrap(), data, "{len} bytes");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o444);
        assert!(matches!(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap(), Acquired::Present(_)));
    }
    home.sound(Expect::Tidy);
}

#[test]
fn threads_write_different_segments_at_once() {
    let home = home();
    let data = content(7, 16 * SEGMENT_LEN + 5);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (writer, data) = (&writer, &data);
            scope.spawn(move || {
                for index in (thread..writer.segments()).step_by(4) {
                    writer.write(index, piece(writer, data, index)).unwrap();
                }
            });
        }
    });
    assert_eq!(writer.held(), data.len() as u64);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_of_one_segment_has_no_partial_and_leaves_nothing_where_it_does_not_become_a_blob() {
    let home = home();
    let data = content(3, SEGMENT_LEN);
    let temporary = || fs::read_dir(home.root().join("tmp")).unwrap().count();
    let begin = || open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    let writer = begin();
    assert_eq!((temporary(), home.store.partials().unwrap().len()), (0, 0));
    writer.write(0, &data).unwrap();
    writer.checkpoint().unwrap();
    assert_eq!((temporary(), home.store.partials().unwrap().len()), (1, 0));
    drop(writer);
    assert_eq!(temporary(), 0);
    let writer = begin();
    assert_eq!((writer.resumed(), writer.held(), writer.has(0)), (0, 0, false));
    assert!(matches!(finish(writer, &content(4, SEGMENT_LEN)), Err(StoreError::Mismatch { .. })));
    assert_eq!(temporary(), 0);
    let blob = finish(begin(), &data).unwrap();
    assert!(!home.store.layout().segments(&blob.digest).exists(), "its value is in its record");
    home.sound(Expect::Tidy);
}

#[test]
fn what_comes_a_second_time_after_the_blob_has_its_name_does_not_touch_it() {
    for len in [100, 2 * SEGMENT_LEN] {
        let home = home();
        let data = content(3, len);
        let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
        fill(&writer, &data).unwrap();
        let blob = writer.commit(None, source()).unwrap();
        // Whatever writes to it now gives it another time.
        let file = fs::File::open(home.store.layout().blob(&blob.digest)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        let before = home.store.stat(&blob.digest).unwrap().unwrap();
        assert!(writer.write(0, piece(&writer, &data, 0)).unwrap());
        assert!(!writer.write(0, &vec![7; piece(&writer, &data, 0).len()]).unwrap());
        assert_eq!(home.store.stat(&blob.digest).unwrap().unwrap(), before, "{len} bytes");
    }
}

#[test]
fn what_an_earlier_run_wrote_is_not_wanted_again() {
    let home = home();
    let data = content(3, 6 * SEGMENT_LEN + 99);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    for index in [1, 4, 6] {
        writer.write(index, piece(&writer, &data, index)).unwrap();
    }
    drop(writer);
    home.sound(Expect::Unfinished);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    assert_eq!(writer.missing(), [0..1, 2..4, 5..6]);
    assert_eq!(writer.resumed(), 2 * SEGMENT_LEN + 99);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_segment_that_was_damaged_meanwhile_is_found_and_wanted_again() {
    let home = home();
    let data = content(4, 4 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    for index in 0..4 {
        writer.write(index, piece(&writer, &data, index)).unwrap();
    }
    writer.checkpoint().unwrap();
    let path = home.store.layout().partial(&writer.request().key).data;
    drop(writer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * SEGMENT_LEN as usize + 5] ^= 1;
    fs::write(&path, bytes).unwrap();

    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    assert_eq!(writer.missing(), []);
    assert_eq!((writer.advance_from_disk().unwrap(), writer.hashed()), (Advance::Corrupt(2), 2));
    assert_eq!(writer.missing().into_iter().flatten().collect::<Vec<_>>(), [2]);
    assert_eq!(writer.advance_from_disk().unwrap(), Advance::Pending);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_cut_partial_download_claims_nothing() {
    let home = home();
    let data = content(5, 3 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    (0..3).for_each(|index| assert!(writer.write(index, piece(&writer, &data, index)).unwrap()));
    let path = home.store.layout().partial(&writer.request().key).data;
    drop(writer);
    fs::File::options().write(true).open(&path).unwrap().set_len(SEGMENT_LEN).unwrap();
    // The second opening must not believe the first one's journal because the length is right again.
    for _ in 0..2 {
        let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
        assert_eq!(writer.held(), 0);
    }
    put(&home.store, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn a_record_with_another_size_begins_anew_and_says_so() {
    let data = content(5, 3 * SEGMENT_LEN);
    let size = data.len() as u64;
    for wrong in [size - SEGMENT_LEN + 1, size - 1, size + 1, 9 * SEGMENT_LEN] {
        let home = home();
        let recorded =
            || home.store.partials().unwrap().into_iter().map(|partial| partial.record.unwrap().size).collect::<Vec<_>>();
        let begin =
            |size| open(home.store.begin_ingest(BlobRequest { size, ..request(&data) }, &lease(&home.store), &quick()).unwrap());
        // Its first segment is what the right file has there, and is not believed to be.
        assert!(begin(wrong).write(0, &data[..SEGMENT_LEN as usize]).unwrap());
        assert_eq!((recorded(), begin(wrong).resumed()), (vec![wrong], SEGMENT_LEN));
        let writer = begin(size);
        assert_eq!((recorded(), writer.resumed(), writer.held()), (vec![size], 0, 0));
        finish(writer, &data).unwrap();
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_record_of_another_size_than_the_data_has_is_written_again() {
    let home = home();
    let data = content(5, 3 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    writer.write(1, piece(&writer, &data, 1)).unwrap();
    let path = home.store.layout().partial(&writer.request().key).record;
    drop(writer);
    let right = fs::read_to_string(&path).unwrap();
    let wrong = right.replace(&data.len().to_string(), &(5 * SEGMENT_LEN).to_string());
    assert_ne!(wrong, right);
    for text in [&wrong, "{"] {
        fs::write(&path, text).unwrap();
        // The journal and the data agree with what is wanted, so nothing is lost.
        let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
        assert_eq!(writer.resumed(), SEGMENT_LEN);
        assert_eq!(home.store.partials().unwrap().pop().unwrap().record.unwrap().size, data.len() as u64);
    }
    put(&home.store, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn wrong_content_is_refused_and_dropped() {
    let home = home();
    let (data, other) = (content(1, 2 * SEGMENT_LEN + 1), content(2, 2 * SEGMENT_LEN + 1));
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    let error = finish(writer, &other).unwrap_err();
    let StoreError::Mismatch { expected, actual, .. } = &error else { panic!("{error}") };
    assert_eq!(expected, &format!("sha256 {}", sha256_of(&data)));
    assert_eq!(actual, &format!("sha256 {}", sha256_of(&other)));
    assert_eq!(home.store.blobs().unwrap(), []);
    home.sound(Expect::Tidy);
    put(&home.store, &data).unwrap();
}

#[test]
fn what_is_incomplete_cannot_be_committed_and_the_partial_stays() {
    let home = home();
    let data = content(1, 3 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    writer.write(0, piece(&writer, &data, 0)).unwrap();
    assert_eq!((writer.advance_from_disk().unwrap(), writer.hashed()), (Advance::Pending, 1));
    let error = writer.commit(None, source()).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { missing: 2, .. }), "{error}");
    drop(writer);
    assert_eq!(open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap()).held(), SEGMENT_LEN);
}

#[test]
fn a_file_known_by_its_git_blob_id_is_checked_by_it() {
    let home = home();
    let good: GitSha1 = "ce013625030ba8dba906f756967f9e9ca394464a".parse().unwrap();
    let request = |key| BlobRequest { key: IngestKey::Git(key), size: 6, what: "config.json".into(), trust: Trust::Sha256Upstream };
    let blob = finish(open(home.store.begin_ingest(request(good), &lease(&home.store), &quick()).unwrap()), b"hello\n").unwrap();
    assert_eq!(home.store.meta(&blob.digest).unwrap().unwrap().trust, Trust::GitSha1Upstream);
    let error =
        finish(open(home.store.begin_ingest(request(good), &lease(&home.store), &quick()).unwrap()), b"hellO\n").unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_of_which_nothing_is_known_is_kept_as_first_seen() {
    let home = home();
    let request = BlobRequest { key: IngestKey::private(), size: 6, what: "config.json".into(), trust: Trust::Sha256Upstream };
    let blob = finish(open(home.store.begin_ingest(request, &lease(&home.store), &quick()).unwrap()), b"hello\n").unwrap();
    assert_eq!(home.store.meta(&blob.digest).unwrap().unwrap().trust, Trust::Tofu);
    home.sound(Expect::Tidy);
}

#[test]
fn a_commit_that_finds_the_blob_already_there_keeps_that_one_and_notes_its_source() {
    let home = home();
    let key = IngestKey::private();
    let writer = open(
        home.store
            .begin_ingest(
                BlobRequest { key, size: 6, what: "a".into(), trust: Trust::Sha256Upstream },
                &lease(&home.store),
                &quick(),
            )
            .unwrap(),
    );
    let first = put(&home.store, b"hello\n").unwrap();
    let ino = fs::metadata(home.store.layout().blob(&first.digest)).unwrap().ino();
    assert!(writer.write_and_hash(0, b"hello\n").unwrap().is_some());
    let from = model_manager::store::UpstreamFile { endpoint: "https://mirror".into(), ..source() };
    assert_eq!(writer.commit(None, from.clone()).unwrap(), first);
    drop(writer);
    assert_eq!(fs::metadata(home.store.layout().blob(&first.digest)).unwrap().ino(), ino);
    assert_eq!(home.store.meta(&first.digest).unwrap().unwrap().sources, [source().into(), from.into()]);
    home.sound(Expect::Tidy);
}

#[test]
fn of_a_group_each_file_has_its_own_result() {
    let home = home();
    let lease = lease(&home.store);
    let open = |key, size: usize| {
        let request = BlobRequest { key, size: size as u64, what: "config.json".into(), trust: Trust::Sha256Upstream };
        crate::kit::open(home.store.begin_ingest(request, &lease, &quick()).unwrap())
    };
    let fill = |writer: BlobWriter, data: &[u8]| {
        fill(&writer, data).unwrap();
        writer
    };
    let (good, other, there) = (content(1, SEGMENT_LEN + 1), content(2, 500), content(3, 600));
    let mut wrong = content(4, 700);
    let wanted = IngestKey::Sha256(sha256_of(&wrong));
    wrong[0] ^= 1;
    let came_late = open(IngestKey::Sha256(sha256_of(&there)), there.len());
    let unfinished = open(IngestKey::Sha256(sha256_of(b"unfinished")), 10);
    let group = Group::of(vec![
        fill(open(IngestKey::Sha256(sha256_of(&good)), good.len()), &good),
        fill(open(wanted, wrong.len()), &wrong),
        unfinished,
        // The same bytes twice, as a set may hold them inside and outside LFS.
        fill(open(IngestKey::private(), other.len()), &other),
        fill(open(IngestKey::private(), other.len()), &other),
        fill(came_late, &there),
    ]);
    let results = group.commit();
    let digests: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(|blob| blob.digest)).collect();
    let [good, other, there] = [good, other, there].map(|data| Some(sha256_of(&data)));
    assert_eq!(digests, [good, None, None, other, other, there]);
    assert!(matches!(&results[1], Err(StoreError::Mismatch { .. })), "{results:?}");
    assert!(matches!(&results[2], Err(StoreError::Incomplete { missing: 1, .. })), "{results:?}");
    drop(lease);
    home.sound(Expect::Tidy);
}

#[test]
fn a_group_of_any_length_is_published() {
    let home = home();
    let contents: Vec<_> = (1..=150).map(|seed| content(seed, 100 + seed)).collect();
    let blobs = Group::filled(&home.store, &contents).unwrap().commit_all();
    let digests: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
    assert_eq!(digests, contents.iter().map(|data| sha256_of(data)).collect::<Vec<_>>());
    home.sound(Expect::Tidy);
}

#[test]
fn of_many_threads_that_want_one_digest_one_fills_it() {
    let home = home();
    let data = Arc::new(content(9, 3 * SEGMENT_LEN + 1));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let (store, data): (Store, _) = (home.store.clone(), data.clone());
            std::thread::spawn(move || match store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap() {
                Acquired::Present(_) => 0,
                Acquired::Writer(writer) => finish(*writer, &data).map(|_| 1).unwrap(),
            })
        })
        .collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), 1);
    home.sound(Expect::Tidy);
}

#[test]
fn of_many_processes_that_want_one_digest_one_fills_it() {
    let home = home();
    let mut others: Vec<_> = (0..3).map(|_| child::spawn("fill", &home.root(), 11, 2 * SEGMENT_LEN + 1)).collect();
    let mut said: Vec<String> = others.iter_mut().map(child::StoreProcess::says).collect();
    said.sort();
    assert_eq!(said, ["filled", "present", "present"]);
    home.sound(Expect::Tidy);
}

#[test]
fn what_a_killed_process_wrote_is_taken_over() {
    let home = home();
    let mut other = child::spawn("hold", &home.root(), 12, 2 * SEGMENT_LEN);
    assert_eq!(other.says(), "holding");
    other.kill_9();
    let writer = open(home.store.begin_ingest(request(&content(12, 2 * SEGMENT_LEN)), &lease(&home.store), &quick()).unwrap());
    assert_eq!(writer.missing().into_iter().flatten().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_shared_store_is_writable_by_its_group_whatever_the_umask() {
    let dir = scratch();
    let root = dir.path().join("shared");
    // The umask belongs to the process, so another one sets it.
    let mut other = child::spawn("shared", &root, 2, SEGMENT_LEN + 1);
    assert_eq!(other.says(), "holding");
    let store = Store::open(Arc::new(model_manager::disk::RealDisk), &root).unwrap();
    let data = content(2, SEGMENT_LEN + 1);
    let modes = |path: std::path::PathBuf| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(store.marker().file_mode(), 0o664);
    assert_eq!(modes(root.join("sha256/00")), 0o2775);
    let partial = store.layout().partial(&IngestKey::Sha256(sha256_of(&data))).dir;
    assert_eq!(modes(partial.clone()), 0o2775);
    for file in ["data", "journal", "claim"] {
        assert_eq!(modes(partial.join(file)), 0o664, "{file}");
    }
    assert_eq!(modes(store.layout().store_lock()), 0o660);
    crate::fsck::assert_sound(&model_manager::disk::RealDisk, &root, Expect::Unfinished);
}

#[test]
fn a_download_that_never_began_leaves_nothing_behind() {
    let home = home();
    let data = content(77, 3 * SEGMENT_LEN);
    drop(open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap()));
    assert!(home.store.partials().unwrap().is_empty());
    home.sound(Expect::Tidy);
}
