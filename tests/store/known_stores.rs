//! The stores that a user's commands opened, and what is imported from one of them.

use crate::{
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::Expect,
    kit::*,
};
use model_manager::{
    digest::{GitSha1, SEGMENT_LEN, SequentialHasher, sha256_of},
    disk::{Disk, RealDisk},
    store::{BlobToImport, IngestKey, KnownStores, Layout, Sharing, Store, StoreError, Trust},
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Puts each of these contents into a store.
fn put_all<D: AsRef<[u8]>>(store: &Store, contents: &[D]) {
    for data in contents {
        put(store, data.as_ref()).unwrap();
    }
}

fn known_on(disk: Arc<dyn Disk>, dir: &Path) -> KnownStores {
    KnownStores::new(disk, dir.join("state/stores"))
}

fn known(dir: &Path) -> KnownStores {
    known_on(Arc::new(RealDisk), dir)
}

fn git_id(data: &[u8]) -> GitSha1 {
    let mut hasher = SequentialHasher::new(data.len() as u64, true);
    hasher.update(data);
    hasher.finish().1.unwrap()
}

fn inode(store: &Store, data: &[u8]) -> (u64, u64) {
    let stat = fs::metadata(store.layout().blob(&sha256_of(data))).unwrap();
    (stat.ino(), stat.nlink())
}

/// The errors of the contents that could not be imported.
fn failures(home: &TestStore, other: &TestStore, contents: &[&[u8]]) -> Vec<StoreError> {
    try_import(&home.store, &other.store, contents).unwrap().into_iter().filter_map(Result::err).collect()
}

#[test]
fn a_store_is_remembered_once_and_where_it_is_now() {
    let (home, other) = (home(), home());
    let known = || known(home.dir.path());
    assert_eq!(known().all().unwrap(), []);
    known().note(&home.store).unwrap();
    known().note(&other.store).unwrap();
    let file = home.path("state/stores").join(format!("{}.json", other.store.marker().uuid));
    let written = fs::metadata(&file).unwrap().ino();
    known().note(&other.store).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().ino(), written, "what is known is not written again");
    let paths = |known: KnownStores| known.all().unwrap().into_iter().map(|known| known.path).collect::<BTreeSet<_>>();
    assert_eq!(paths(known()), BTreeSet::from([home.root(), other.root()]));

    let moved = other.path("elsewhere");
    fs::rename(other.root(), &moved).unwrap();
    known().note(&Store::open(Arc::new(RealDisk), &moved).unwrap()).unwrap();
    assert_eq!(paths(known()), BTreeSet::from([home.root(), moved]));
    assert!(known().forget(&other.store.marker().uuid).unwrap());
    assert!(!known().forget(&other.store.marker().uuid).unwrap());
    assert_eq!(paths(known()), BTreeSet::from([home.root()]));
}

#[test]
fn files_that_are_no_records_are_left_out() {
    let home = home();
    known(home.dir.path()).note(&home.store).unwrap();
    let dir = home.path("state/stores");
    let uuid = home.store.marker().uuid;
    let text = fs::read_to_string(dir.join(format!("{uuid}.json"))).unwrap();
    let other = "6f2b6e9c-2f0e-4f0a-9d4e-0c5b8a1d7e3f";
    for (name, content) in [
        ("notes.txt".to_owned(), text.clone()),
        (format!("{other}.json"), text.clone()),
        (format!("{}.json", other.replace('6', "7")), text.replace("\"format\": 1", "\"format\": 2")),
        (format!("{}.json", other.replace('6', "8")), "{".to_owned()),
        (format!("{}.json", other.replace('6', "9")), format!("\"{}\"", "x".repeat(1 << 20))),
    ] {
        fs::write(dir.join(name), content).unwrap();
    }
    let relative =
        text.replace(home.root().to_str().unwrap(), "models/.blobs").replace(&uuid.to_string(), &other.replace('6', "a"));
    fs::write(dir.join(format!("{}.json", other.replace('6', "a"))), relative).unwrap();
    symlink("/dev/zero", dir.join(format!("{}.json", other.replace('6', "b")))).unwrap();
    let all = known(home.dir.path()).all().unwrap();
    assert_eq!(all.iter().map(|known| known.uuid).collect::<Vec<_>>(), [uuid]);
}

#[test]
fn of_too_many_stores_those_that_are_gone_are_forgotten_first() {
    let dir = scratch();
    let known = known(dir.path());
    let mut stores = Vec::new();
    for number in 0..70 {
        let root = dir.path().join(format!("store-{number}"));
        let store = Store::open_or_init(Arc::new(RealDisk), &root, false).unwrap();
        known.note(&store).unwrap();
        stores.push(store);
        // The second is gone before there are too many.
        if number == 40 {
            fs::rename(dir.path().join("store-1"), dir.path().join("gone")).unwrap();
        }
    }
    let paths: BTreeSet<String> =
        known.all().unwrap().iter().map(|known| known.path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(paths.len(), 64);
    assert!(!paths.contains("store-1") && paths.contains("store-69"), "{paths:?}");
}

#[test]
fn blobs_are_found_by_digest_and_by_git_id() {
    let (home, other) = (home(), home());
    let [first, second, absent] = [1, 2, 3].map(|seed| content(seed, 5000));
    let known = known(home.dir.path());
    [&home, &other].into_iter().for_each(|home| known.note(&home.store).unwrap());
    put(&other.store, &first).unwrap();
    let blob = put(&other.store, &second).unwrap();
    let id = git_id(&second);
    let upstream = model_manager::store::UpstreamFile { git_sha1: Some(id), ..source() };
    other.store.add_source(&blob.digest, upstream, Trust::GitSha1Upstream).unwrap();

    let wanted = [
        (IngestKey::Sha256(sha256_of(&first)), 5000),
        (IngestKey::Sha256(sha256_of(&absent)), 5000),
        (IngestKey::Git(id), 5000),
        // Of another length it is another file.
        (IngestKey::Sha256(sha256_of(&second)), 5001),
        (IngestKey::private(), 5000),
    ];
    let own = home.store.marker().uuid;
    let (found, unusable) = known.look_for(&home.root(), Some(&own), &wanted).unwrap();
    assert_eq!(unusable, []);
    let digests: Vec<_> = found.iter().map(|found| found.as_ref().map(|found| found.digest)).collect();
    assert_eq!(digests, [Some(sha256_of(&first)), None, Some(sha256_of(&second)), None, None]);
    assert!(found.iter().flatten().all(|found| found.is_on_volume && found.store.marker().uuid == other.store.marker().uuid));

    // In one's own store nothing is looked for, and known damage is no find.
    let uuid = other.store.marker().uuid;
    assert!(known.look_for(&other.root(), Some(&uuid), &wanted).unwrap().0.iter().all(Option::is_none));
    fs::write(other.store.layout().damage(&sha256_of(&first)), "{}").unwrap();
    assert!(known.look_for(&home.root(), Some(&own), &wanted[..1]).unwrap().0[0].is_none());
}

#[test]
fn a_store_that_is_gone_or_another_one_is_reported_and_nothing_else_is_kept_from() {
    let (home, [gone, replaced, newer, good]) = (home(), [(); 4].map(|()| home()));
    let known = known(home.dir.path());
    let data = content(1, 100);
    for other in [&gone, &replaced, &newer, &good] {
        known.note(&other.store).unwrap();
        put(&other.store, &data).unwrap();
    }
    fs::rename(gone.root(), gone.path("away")).unwrap();
    fs::rename(replaced.root(), replaced.path("away")).unwrap();
    Store::open_or_init(Arc::new(RealDisk), &replaced.root(), false).unwrap();
    let marker = fs::read_to_string(newer.root().join("STORE.json")).unwrap();
    fs::write(newer.root().join("STORE.json"), marker.replace("\"min_reader\": 1", "\"min_reader\": 9")).unwrap();
    let wanted = [(IngestKey::Sha256(sha256_of(&data)), 100)];
    let (found, unusable) = known.look_for(&home.root(), None, &wanted).unwrap();
    assert_eq!(found[0].as_ref().map(|found| found.store.marker().uuid), Some(good.store.marker().uuid));
    let whys: BTreeSet<String> = unusable.iter().map(|unusable| unusable.why.clone()).collect();
    let says = |text: &str| assert!(whys.iter().any(|why| why.contains(text)), "{text}: {whys:?}");
    ["there is no store at", "another store is there now", "needs a newer model-manager"].into_iter().for_each(says);
    assert_eq!((unusable.len(), unusable.iter().any(|unusable| unusable.is_silent)), (3, false));
}

#[test]
fn a_store_that_does_not_answer_is_left_out_and_not_asked_again() {
    let disk = FaultyDisk::new();
    let (home, silent, good) = (home(), home(), home());
    let known = known_on(Arc::new(disk.clone()), home.dir.path());
    let data = content(1, 100);
    for other in [&silent, &good] {
        known.note(&other.store).unwrap();
        put(&other.store, &data).unwrap();
    }
    let asked = Arc::new(Mutex::new(0));
    let (never, answer) = mpsc::channel::<()>();
    let answer = Mutex::new(answer);
    let (root, count) = (silent.root(), asked.clone());
    disk.on_read(move |path| {
        if path.starts_with(&root) {
            *count.lock().unwrap() += 1;
            let _ = answer.lock().unwrap().recv();
        }
    });
    let wanted = [(IngestKey::Sha256(sha256_of(&data)), 100)];
    let (found, unusable) = known.look_for(&home.root(), None, &wanted).unwrap();
    assert_eq!(found[0].as_ref().map(|found| found.store.marker().uuid), Some(good.store.marker().uuid));
    assert_eq!(
        unusable.iter().map(|unusable| (unusable.store.uuid, unusable.is_silent)).collect::<Vec<_>>(),
        [(silent.store.marker().uuid, true)]
    );
    let (found, unusable) = known.look_for(&home.root(), None, &wanted).unwrap();
    assert_eq!((found[0].is_some(), unusable.len(), *asked.lock().unwrap()), (true, 0, 1));
    drop(never);
}

#[test]
fn a_blob_is_linked_where_it_is_ours_and_nobody_may_write_it() {
    let (home, other) = (home(), home());
    let lengths = [0, 10, SEGMENT_LEN, SEGMENT_LEN + 1, 3 * SEGMENT_LEN + 7];
    let contents: Vec<Vec<u8>> = lengths.iter().zip(1..).map(|(len, seed)| content(seed, *len)).collect();
    let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    put_all(&other.store, &contents);
    let imported = try_import(&home.store, &other.store, &contents).unwrap();
    for (data, imported) in contents.iter().zip(imported) {
        let imported = imported.unwrap();
        match imported.sharing {
            Sharing::HardLink => assert_eq!(inode(&home.store, data), (inode(&other.store, data).0, 2)),
            Sharing::Reflink => assert_ne!(inode(&home.store, data).0, inode(&other.store, data).0),
            sharing => panic!("{sharing:?}"),
        }
        let meta = home.store.meta(&imported.blob.digest).unwrap().unwrap();
        assert_eq!((meta.trust, meta.sources), (Trust::Sha256Upstream, vec![source().into()]));
    }
    home.sound(Expect::Tidy);
    other.sound(Expect::Tidy);
    // Each goes by itself.
    collect_in(&other.store, days(30)).unwrap();
    home.sound(Expect::Tidy);
    let again = try_import(&home.store, &other.store, &contents).unwrap();
    assert!(again.iter().all(|again| again.as_ref().is_ok_and(|again| again.sharing == Sharing::Present)));
}

#[test]
fn a_file_that_its_owner_may_write_is_copied_and_stays_as_it_is() {
    let (home, other) = (home(), home());
    let contents = [content(1, 10), content(2, SEGMENT_LEN + 1)];
    for data in &contents {
        put(&other.store, data).unwrap();
        let path = other.store.layout().blob(&sha256_of(data));
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let imported = try_import(&home.store, &other.store, &[&contents[0], &contents[1]]).unwrap();
    for (data, imported) in contents.iter().zip(imported) {
        assert_ne!(imported.unwrap().sharing, Sharing::HardLink);
        assert_eq!(inode(&home.store, data).1, 1);
        let mode = fs::metadata(other.store.layout().blob(&sha256_of(data))).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o640);
    }
    home.sound(Expect::Tidy);
}

#[test]
fn content_that_is_not_what_its_name_says_is_refused() {
    let (home, other) = (home(), home());
    let [wrong, link, folder, cut, gone, good] = [1, 2, 3, 4, 5, 6].map(|seed| content(seed, 5000));
    let contents = [&wrong, &link, &folder, &cut, &gone, &good];
    put_all(&other.store, &contents);
    let path = |data: &[u8]| other.store.layout().blob(&sha256_of(data));
    let replace = |data: &[u8], with: &[u8]| {
        fs::remove_file(path(data)).unwrap();
        fs::write(path(data), with).unwrap();
    };
    replace(&wrong, &content(9, 5000));
    replace(&cut, &cut[..4999]);
    [&link, &folder, &gone].into_iter().for_each(|data| fs::remove_file(path(data)).unwrap());
    fs::write(other.path("secret"), &link).unwrap();
    symlink(other.path("secret"), path(&link)).unwrap();
    fs::create_dir(path(&folder)).unwrap();
    let contents: Vec<&[u8]> = contents.iter().map(|data| data.as_slice()).collect();
    let failures = failures(&home, &other, &contents);
    assert_eq!(failures.len(), 5, "{failures:?}");
    assert!(matches!(failures[0], StoreError::Mismatch { .. }), "{:?}", failures[0]);
    assert_eq!(home.store.blobs().unwrap(), [sha256_of(&good)]);
    home.sound(Expect::Tidy);
}

#[test]
fn records_of_another_store_are_not_believed() {
    let (home, other) = (home(), home());
    let [wanted, planted] = [1, 2].map(|seed| content(seed, 2 * SEGMENT_LEN + 7));
    put(&other.store, &wanted).unwrap();
    put(&other.store, &planted).unwrap();
    // Content and records of one blob under the name of another: a project that was cloned may bring such a store.
    let (name, from, layout) = (sha256_of(&wanted), sha256_of(&planted), other.store.layout());
    for path in [Layout::blob, Layout::meta, Layout::segments] {
        let to = path(layout, &name);
        fs::remove_file(&to).unwrap();
        fs::copy(path(layout, &from), to).unwrap();
    }
    fs::set_permissions(layout.blob(&name), fs::Permissions::from_mode(0o444)).unwrap();
    let result = import_from(&home.store, &other.store, &[&wanted]);
    assert!(matches!(result, Err(StoreError::Mismatch { .. })), "{result:?}");
    assert_eq!(home.store.blobs().unwrap(), []);
}

#[test]
fn a_hash_that_this_user_found_makes_proof_of_the_records() {
    let (home, other) = (home(), home());
    let [data, planted] = [1, 2].map(|seed| content(seed, 3 * SEGMENT_LEN + 7));
    let known = known(home.dir.path());
    let digest = put(&other.store, &data).unwrap().digest;
    put(&other.store, &planted).unwrap();
    assert_eq!(known.hash_of(&digest, data.len() as u64), None);
    known.note_hashes(&other.store, [&digest]).unwrap();
    let blake3 = known.hash_of(&digest, data.len() as u64);
    assert_eq!(blake3, Some(other.store.meta(&digest).unwrap().unwrap().blake3));
    let import = |home: &TestStore| {
        let wanted = [BlobToImport { blake3, ..to_import(&data) }];
        let lease = home.store.lease().unwrap();
        home.store.import_from(&other.store, &wanted, &lease, &|_| {}, &CancellationToken::new()).unwrap().remove(0)
    };
    import(&home).unwrap();
    home.sound(Expect::Tidy);

    // Damage is found by it, and so are content and records of another blob.
    let replace = |path: &Path, with: &[u8]| {
        fs::remove_file(path).unwrap();
        fs::write(path, with).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    };
    let (layout, from) = (other.store.layout(), sha256_of(&planted));
    let mut damaged = data.clone();
    damaged[SEGMENT_LEN as usize + 1] ^= 1;
    replace(&layout.blob(&digest), &damaged);
    let second = crate::kit::home();
    assert!(matches!(import(&second), Err(StoreError::Mismatch { .. })));
    for path in [Layout::blob, Layout::meta, Layout::segments] {
        replace(&path(layout, &digest), &fs::read(path(layout, &from)).unwrap());
    }
    assert!(matches!(import(&second), Err(StoreError::Mismatch { .. })));
    assert_eq!(second.store.blobs().unwrap(), []);
}

#[test]
fn hashes_are_noted_only_of_a_store_that_nobody_else_can_write() {
    let data = content(1, 2 * SEGMENT_LEN);
    for (mode, is_noted) in [(0o755, true), (0o775, false), (0o757, false)] {
        let home = home();
        let digest = put(&home.store, &data).unwrap().digest;
        fs::set_permissions(home.root(), fs::Permissions::from_mode(mode)).unwrap();
        let known = known(home.dir.path());
        known.note_hashes(&home.store, [&digest]).unwrap();
        assert_eq!(known.hash_of(&digest, data.len() as u64).is_some(), is_noted, "{mode:o}");
    }
    let home = home();
    let small = put(&home.store, b"small").unwrap().digest;
    let known = known(home.dir.path());
    known.note_hashes(&home.store, [&small]).unwrap();
    assert_eq!((known.hash_of(&small, 5), home.path("state").exists()), (None, false));
}

#[test]
fn a_git_id_that_was_published_is_compared() {
    let (home, other) = (home(), home());
    let data = content(1, 3000);
    put(&other.store, &data).unwrap();
    let import = |id: GitSha1| {
        let wanted = [BlobToImport { git_sha1: Some(id), trust: Trust::GitSha1Upstream, ..to_import(&data) }];
        let lease = home.store.lease().unwrap();
        home.store.import_from(&other.store, &wanted, &lease, &|_| {}, &CancellationToken::new()).unwrap().remove(0)
    };
    assert!(matches!(import(git_id(b"other")), Err(StoreError::Mismatch { .. })));
    assert_eq!(home.store.blobs().unwrap(), []);
    import(git_id(&data)).unwrap();
    assert_eq!(home.store.meta(&sha256_of(&data)).unwrap().unwrap().trust, Trust::GitSha1Upstream);
}

#[test]
fn a_git_id_that_another_store_claims_of_a_blob_that_is_here_is_compared_too() {
    let (home, other) = (home(), home());
    let [wanted, here] = [1, 2].map(|seed| content(seed, 3000));
    put(&home.store, &here).unwrap();
    let lying = BlobToImport { git_sha1: Some(git_id(&wanted)), trust: Trust::GitSha1Upstream, ..to_import(&here) };
    let true_one = BlobToImport { git_sha1: Some(git_id(&here)), ..lying.clone() };
    let lease = home.store.lease().unwrap();
    let results = home.store.import_from(&other.store, &[lying, true_one], &lease, &|_| {}, &CancellationToken::new()).unwrap();
    assert!(matches!(results[0], Err(StoreError::Mismatch { .. })), "{:?}", results[0]);
    assert!(results[1].as_ref().is_ok_and(|done| done.sharing == Sharing::Present));
}

#[test]
fn one_content_that_is_asked_for_twice_is_imported_once() {
    let (home, other) = (home(), home());
    let [first, second] = [1, 2].map(|seed| content(seed, 3000));
    put_all(&other.store, &[&first, &second]);
    let results = try_import(&home.store, &other.store, &[&first, &second, &first]).unwrap();
    let sharing: Vec<Sharing> = results.into_iter().map(|done| done.unwrap().sharing).collect();
    assert_eq!((sharing[0] == Sharing::Present, sharing[2]), (false, Sharing::Present));
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_that_is_swapped_after_it_was_hashed_never_gets_the_name_of_a_blob() {
    let disk = FaultyDisk::new();
    let (home, other) = (home_on(Arc::new(disk.clone())), home());
    let data = content(1, 5000);
    put(&other.store, &data).unwrap();
    let (path, blob) = (other.store.layout().blob(&sha256_of(&data)), home.store.layout().blob(&sha256_of(&data)));
    let seen = Arc::new(Mutex::new(false));
    let told = seen.clone();
    disk.set(Rule::Pick(Box::new(move |op, _| {
        if op == Op::Reflink {
            return Some(io::ErrorKind::Unsupported);
        }
        if op == Op::HardLink {
            fs::remove_file(&path).unwrap();
            fs::write(&path, content(2, 5000)).unwrap();
        }
        *told.lock().unwrap() |= blob.exists();
        None
    })));
    let failures = failures(&home, &other, &[&data]);
    assert!(matches!(failures[..], [StoreError::Changed { .. }]), "{failures:?}");
    assert!(!*seen.lock().unwrap());
    disk.set(Rule::Never);
    assert_eq!(home.store.blobs().unwrap(), []);
    home.sound(Expect::Tidy);
}

#[test]
fn what_does_not_fit_as_a_copy_is_refused_before_anything_is_written() {
    let disk = FaultyDisk::new();
    let (home, other) = (home_on(Arc::new(disk.clone())), home());
    disk.set(Rule::Pick(Box::new(|op, _| (op == Op::Reflink).then_some(io::ErrorKind::Unsupported))));
    let data = content(1, 10);
    put(&other.store, &data).unwrap();
    let path = other.store.layout().blob(&sha256_of(&data));
    fs::remove_file(&path).unwrap();
    // As long as no volume, and without blocks.
    fs::File::create(&path).unwrap().set_len(1 << 42).unwrap();
    let wanted = [BlobToImport { size: 1 << 42, ..to_import(&data) }];
    let lease = home.store.lease().unwrap();
    let result = home.store.import_from(&other.store, &wanted, &lease, &|_| {}, &CancellationToken::new()).unwrap().remove(0);
    assert!(matches!(result, Err(StoreError::NoSpace { .. })), "{result:?}");
    drop(lease);
    home.sound(Expect::Tidy);
}

#[test]
fn a_stop_ends_an_import_and_leaves_nothing() {
    let (home, other) = (home(), home());
    let contents: Vec<Vec<u8>> = (1..20).map(|seed| content(seed, 2 * SEGMENT_LEN)).collect();
    put_all(&other.store, &contents);
    let wanted: Vec<BlobToImport> = contents.iter().map(|data| to_import(data)).collect();
    let cancel = CancellationToken::new();
    let lease = home.store.lease().unwrap();
    let results = home.store.import_from(&other.store, &wanted, &lease, &|_| cancel.cancel(), &cancel).unwrap();
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::Cancelled))));
    assert!(results.iter().filter(|result| result.is_ok()).count() < 2);
    drop(lease);
    home.sound(Expect::Tidy);
}

#[test]
fn a_thousand_small_blobs_come_in_groups() {
    let disk = FaultyDisk::new();
    let (home, other) = (home_on(Arc::new(disk.clone())), home());
    let contents: Vec<Vec<u8>> = (1..=1000).map(|seed| content(seed, 200)).collect();
    put_all(&other.store, &contents);
    let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    let synced = Arc::new(Mutex::new(0));
    let count = synced.clone();
    disk.set(Rule::Pick(Box::new(move |op, _| {
        *count.lock().unwrap() += usize::from(op == Op::SyncDir);
        None
    })));
    import_from(&home.store, &other.store, &contents).unwrap();
    assert_eq!(home.store.blobs().unwrap().len(), 1000);
    // Each alone would sync two folders.
    assert!(*synced.lock().unwrap() < 2000, "{} syncs of folders", synced.lock().unwrap());
    disk.set(Rule::Never);
    home.sound(Expect::Tidy);
}

#[test]
fn the_collector_of_the_other_store_takes_nothing_away_and_harms_nothing() {
    let (home, other) = (home(), home());
    let until = Instant::now() + Duration::from_millis(1500);
    let mut seed = 0;
    let mut imported = 0;
    while Instant::now() < until {
        seed += 1;
        let data = content(seed, 1 + (seed % 3) * SEGMENT_LEN);
        put(&other.store, &data).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| collect_in(&other.store, days(30)).unwrap());
            imported += usize::from(import_from(&home.store, &other.store, &[&data]).is_ok());
        });
    }
    assert_eq!(home.store.blobs().unwrap().len(), imported);
    home.sound(Expect::Tidy);
    other.sound(Expect::Tidy);
}
