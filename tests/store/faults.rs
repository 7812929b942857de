//! The N-th operation fails, or the process dies there, for every N.

use crate::{
    faulty_disk::{FaultyDisk, Op, Rule},
    fsck::Expect,
    kit::*,
};
use model_manager::{
    digest::{SEGMENT_LEN, sha256_of},
    disk::{Disk, DiskFile, Entry, LockKind, Open, Result, Space, Stat},
    store::{Acquired, Dir, Project, Store, StoreError},
};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Runs `attempt` once for each of its steps with that step failing, then again without, and looks at the store.
fn sweep(name: &str, prepare: impl Fn(&TestStore, u64), attempt: impl Fn(&Store, &TestStore, u64) -> Result<(), StoreError>) {
    let disk = FaultyDisk::new();
    let mut home = home_on(Arc::new(disk.clone()));
    let mut seed = 0;
    for die in [false, true] {
        for step in 1.. {
            seed += 1;
            if seed % 5 == 0 {
                collect_in(&home.store, days(30)).unwrap();
                home.sound(Expect::Tidy);
                home = home_on(Arc::new(disk.clone()));
            }
            prepare(&home, seed);
            disk.set(match die {
                true => Rule::Dead(step),
                false => Rule::Once(step, io::ErrorKind::StorageFull),
            });
            let first = attempt(&home.store, &home, seed);
            let steps = disk.count();
            disk.set(Rule::Never);
            home.sound(Expect::Unfinished);
            let store = Store::open(Arc::new(disk.clone()), &home.root()).unwrap();
            attempt(&store, &home, seed).unwrap_or_else(|error| panic!("{name}, step {step}, again: {error}"));
            home.sound(Expect::Unfinished);
            if step > steps {
                first.unwrap_or_else(|error| panic!("{name}: no step failed and yet: {error}"));
                assert!(step > 1);
                break;
            }
        }
    }
    collect_in(&home.store, days(30)).unwrap();
    home.sound(Expect::Tidy);
}

#[test]
fn an_import_from_another_store_survives_the_failure_of_any_step() {
    let other = home();
    sweep(
        "import from a store",
        |_, seed| {
            for len in [10, SEGMENT_LEN + 9] {
                put(&other.store, &content(seed, len)).unwrap();
            }
        },
        |store, _, seed| {
            // One of them can be linked, the other is a file that its owner may write.
            let [small, large] = [10, SEGMENT_LEN + 9].map(|len| content(seed, len));
            let path = other.store.layout().blob(&sha256_of(&large));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            import_from(store, &other.store, &[&small, &large])
        },
    );
}

#[test]
fn a_download_survives_the_failure_of_any_step() {
    sweep("download", |_, _| {}, |store, _, seed| put(store, &content(seed, SEGMENT_LEN + 9)).map(drop));
}

#[test]
fn a_group_survives_the_failure_of_any_step() {
    sweep(
        "group",
        |_, _| {},
        |store, _, seed| {
            Group::filled(store, &contents_in(&[1, 2, 1], seed))?.commit().into_iter().try_for_each(|one| one.map(drop))
        },
    );
}

#[test]
fn a_step_that_fails_for_one_file_of_a_group_leaves_the_others_published() {
    for step in 0.. {
        let disk = FaultyDisk::new();
        let home = home_on(Arc::new(disk.clone()));
        let contents = contents_in(&[1, 2, 3], step + 1);
        let group = Group::filled(&home.store, &contents).unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let (taken, leased, leases) = (steps.clone(), AtomicBool::new(false), home.store.layout().dir(Dir::Leases));
        let lock = home.store.layout().records_lock();
        let of_all = [lock.clone(), home.store.layout().dir(Dir::Damaged)];
        let is_of_all = Arc::new(AtomicBool::new(false));
        let picked_of_all = is_of_all.clone();
        let picks = move |op, path: &Path| {
            // Leasing comes before; the first step of each file is to set its mode.
            let counts = leased.fetch_or(op == Op::SetMode, Ordering::Relaxed) || op == Op::SetMode;
            // Who holds a lock is noted for people: that may fail.
            let is_note = path == lock && op != Op::Open;
            let is_picked = counts && !path.starts_with(&leases) && !is_note && taken.fetch_add(1, Ordering::Relaxed) == step;
            picked_of_all.fetch_or(is_picked && of_all.iter().any(|shared| shared == path), Ordering::Relaxed);
            is_picked
        };
        disk.set(Rule::Pick(Box::new(move |op, path| picks(op, path).then_some(io::ErrorKind::Other))));
        let results = group.commit();
        disk.set(Rule::Never);
        home.sound(Expect::Unfinished);
        for (result, data) in results.iter().zip(&contents) {
            let is_published = home.store.find(&sha256_of(data)).unwrap().is_some();
            // What is longer than a segment need not travel again.
            let (key, size) = (request(data).key, data.len() as u64);
            let is_held = size > SEGMENT_LEN && home.store.held(&key, size).unwrap() == size;
            assert!(is_published || result.is_err() && (is_held || size <= SEGMENT_LEN), "step {step}: {result:?}");
        }
        let failed = results.iter().filter(|result| result.is_err()).count();
        let partials = home.store.partials().unwrap();
        if steps.load(Ordering::Relaxed) <= step {
            assert!(step > 30 && failed == 0 && partials.is_empty(), "no step failed and yet: {results:?}, {partials:?}");
            return;
        }
        // The group has one lock of the records and one list of damage: without them none is published, and all are kept.
        let expected = if is_of_all.load(Ordering::Relaxed) { results.len() } else { 1 };
        assert!(failed == expected && partials.len() <= expected, "step {step}: {results:?}, {partials:?}");
        Group::filled(&home.store, &contents).unwrap().commit_all();
        assert_eq!(home.store.blobs().unwrap().len(), 3);
        collect_in(&home.store, days(30)).unwrap();
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_root_survives_the_failure_of_any_step() {
    sweep(
        "put_root",
        |home, seed| {
            let blob = put(&home.store, &content(seed, 50)).unwrap();
            if seed % 2 == 0 {
                let layout = home.store.layout();
                std::fs::rename(layout.blob(&blob.digest), layout.trash(&blob.digest)).unwrap();
                // A failed attempt may leave a root of a blob in the trash; that is repaired below and not a fault here.
                Project::register(&home.store, &home.models()).unwrap();
                let lease = home.store.lease().unwrap();
                lease.protect(&[blob.digest]).unwrap();
            }
        },
        |store, home, seed| {
            let project = Project::register(store, &home.models())?;
            let digest = sha256_of(&content(seed, 50));
            project.put_root(&view(&format!("m{}", seed % 5)), &files(&[(digest, 50)]))
        },
    );
}

#[test]
fn unrooting_survives_the_failure_of_any_step() {
    sweep(
        "remove_root",
        |home, seed| {
            let blob = put(&home.store, &content(seed, 50)).unwrap();
            Project::register(&home.store, &home.models()).unwrap().put_root(&view("m"), &files_of(&blob)).unwrap();
        },
        |store, home, _| {
            let project = Project::register(store, &home.models())?;
            project.remove_root(&view("m"))?;
            let digests = store.blobs()?;
            store.collector(false, &quick())?.drop_unreferenced(&digests).map(drop)
        },
    );
}

#[test]
fn a_collection_survives_the_failure_of_any_step() {
    sweep(
        "collect",
        |home, seed| {
            let [kept, _gone] = [0, 1].map(|more| put(&home.store, &content(2 * seed + more, 50)).unwrap());
            let project = Project::register(&home.store, &home.models()).unwrap();
            project.put_root(&view("kept"), &files_of(&kept)).unwrap();
            drop(home.store.begin_ingest(request(&content(seed + 100_000, 99)), &lease(&home.store), &quick()).unwrap());
        },
        |store, _, _| collect_in(store, days(30)).map(drop),
    );
}

#[test]
fn a_full_disk_publishes_nothing_and_keeps_the_partial() {
    let disk = FaultyDisk::new();
    let home = home_on(Arc::new(disk.clone()));
    let data = content(1, 4 * SEGMENT_LEN);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    (0..2).for_each(|index| assert!(writer.write(index, piece(&writer, &data, index)).unwrap()));
    disk.set(Rule::Pick(Box::new(|op, _| matches!(op, Op::Write | Op::Allocate).then_some(io::ErrorKind::StorageFull))));
    let error = finish(writer, &data).unwrap_err();
    let error: model_manager::error::Error = error.into();
    assert_eq!(error.kind(), model_manager::error::ErrorKind::NoSpace);
    disk.set(Rule::Never);
    let writer = open(home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap());
    assert_eq!(writer.held(), 2 * SEGMENT_LEN);
    finish(writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root"]
fn a_reservation_that_fails_keeps_what_an_earlier_run_brought() {
    // A small real volume.
    let dir = scratch();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=14m", "tmpfs"]).arg(dir.path()).status();
    assert!(mounted.is_ok_and(|status| status.success()), "a file system cannot be mounted, which needs root");
    let result = std::panic::catch_unwind(|| {
        let root = dir.path().join(".blobs");
        let store = Store::open_or_init(Arc::new(model_manager::disk::RealDisk), &root, false).unwrap();
        let data = content(1, 8 * SEGMENT_LEN);
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        (0..2).for_each(|index| assert!(writer.write(index, piece(&writer, &data, index)).unwrap()));
        let path = store.layout().partial(&writer.request().key).data;
        drop(writer);
        // A sparse copy, as a file system without reservation leaves it, and then somebody else fills the volume.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(2 * SEGMENT_LEN).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(8 * SEGMENT_LEN).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        std::fs::write(dir.path().join("filler"), vec![1; 9 << 20]).unwrap();
        let file = model_manager::disk::RealDisk.open(&path, Open::Write).unwrap();
        assert!(file.allocate(8 * SEGMENT_LEN).unwrap_err().is_no_space());
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "the reservation that failed destroyed the partial download");
        let error = store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        std::fs::remove_file(dir.path().join("filler")).unwrap();
        let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
        assert_eq!(writer.held(), 2 * SEGMENT_LEN);
        finish(writer, &data).unwrap();
        // One that never began leaves nothing behind.
        let error = store.begin_ingest(request(&content(2, 8 * SEGMENT_LEN)), &lease(&store), &quick()).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert!(store.partials().unwrap().is_empty());
        crate::fsck::assert_sound(&model_manager::disk::RealDisk, &root, Expect::Tidy);
    });
    std::process::Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    result.unwrap();
}

#[test]
fn a_complete_partial_that_was_made_read_only_is_published_by_the_next_run() {
    let disk = FaultyDisk::new();
    let home = home_on(Arc::new(disk.clone()));
    let data = content(1, SEGMENT_LEN + 1);
    disk.set(Rule::Pick(Box::new(|op, path| {
        (op == Op::Rename && path.to_string_lossy().contains("/segments/")).then_some(io::ErrorKind::StorageFull)
    })));
    put(&home.store, &data).unwrap_err();
    disk.set(Rule::Never);
    let Acquired::Writer(writer) = home.store.begin_ingest(request(&data), &lease(&home.store), &quick()).unwrap() else {
        panic!("published")
    };
    assert_eq!(writer.missing(), []);
    finish(*writer, &data).unwrap();
    home.sound(Expect::Tidy);
}

/// A disk whose locks shut nobody out.
#[derive(Debug)]
pub struct LaxLocks(pub FaultyDisk);

#[derive(Debug)]
struct LaxFile(Box<dyn DiskFile>);

impl DiskFile for LaxFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.0.write_at(data, offset)
    }
    fn stat(&self) -> Result<Stat> {
        self.0.stat()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> Result<()> {
        self.0.allocate(len)
    }
    fn set_mode(&self, mode: u32) -> Result<()> {
        self.0.set_mode(mode)
    }
    fn set_group(&self, gid: u32) -> Result<()> {
        self.0.set_group(gid)
    }
    fn sync_data(&self) -> Result<()> {
        self.0.sync_data()
    }
    fn sync_all(&self) -> Result<()> {
        self.0.sync_all()
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.0.start_writeback(offset, len);
    }
    fn try_lock(&self, _: LockKind) -> Result<bool> {
        Ok(true)
    }
}

impl Disk for LaxLocks {
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk> {
        Arc::new(Self(self.0.entered_at(root)))
    }
    fn stat(&self, path: &Path) -> Result<Stat> {
        self.0.stat(path)
    }
    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        self.0.stat_follow(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.0.list(dir)
    }
    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        self.0.create_dir(path, mode)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.0.remove_dir(path)
    }
    fn remove_file(&self, path: &Path) -> Result<()> {
        self.0.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename_new(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.0.symlink(target, link)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        self.0.read_link(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.hard_link(from, to)
    }
    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.reflink(from, to)
    }
    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(LaxFile(self.0.open(path, how)?)))
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.0.sync_dir(path)
    }
    fn space(&self, path: &Path) -> Result<Space> {
        self.0.space(path)
    }
    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.0.canonical(path)
    }
}
