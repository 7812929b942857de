//! A collector in a loop against downloads in two projects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use model_manager::digest::{Sha256Digest, sha256_of};
use model_manager::disk::RealDisk;
use model_manager::store::{
    Acquired, BlobRequest, GcOptions, IngestKey, Project, Store, StoreError, Trust, UpstreamFile, ViewFile, ViewKey, Wait,
};

use crate::fsck::{Expect, fsck};
use crate::support::hub::TestHub;
use crate::world::{MIB, Models, World, env_number};

const NO_GRACE: GcOptions = GcOptions { grace: std::time::Duration::ZERO, partial_age: std::time::Duration::ZERO };

fn quick() -> Wait {
    Wait::silent(Some(std::time::Duration::from_secs(60)))
}

/// Like a download: lease, look, fill what is missing, root.
fn download(store: &Store, project: &Project, view: &ViewKey, data: &[u8]) -> Result<(), StoreError> {
    let digest: Sha256Digest = sha256_of(data);
    let lease = Arc::new(store.lease()?);
    lease.protect(&[digest])?;
    let request =
        BlobRequest { key: IngestKey::Sha256(digest), size: data.len() as u64, what: "model".into(), trust: Trust::Sha256Upstream };
    if let Acquired::Writer(writer) = store.begin_ingest(request, &lease, &quick())? {
        if writer.has(0) {
            writer.advance_from_disk()?;
        } else {
            writer.write_and_hash(0, data)?;
        }
        let source =
            UpstreamFile { endpoint: "https://hub".into(), repo: None, commit: None, path: None, git_sha1: None, xet_hash: None };
        writer.commit(None, source)?;
    }
    let file = ViewFile { path: "a.gguf".parse().unwrap(), sha256: digest, size: data.len() as u64 };
    project.put_root(view, &[file])
}

#[test]
fn a_thousand_collections_against_two_projects_lose_nothing() {
    let rounds = env_number("MODEL_MANAGER_GC_ROUNDS", 1000);
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let root = dir.path().join("store");
    Store::open_or_init(Arc::new(RealDisk), &root, false).unwrap();
    let (stop, downloads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let projects: Vec<_> = (0..2)
            .map(|n| {
                let (root, dir, stop, downloads) = (&root, dir.path().join(format!("project-{n}")), &stop, &downloads);
                scope.spawn(move || {
                    // Each opens the store itself, as processes do: locks are of open files.
                    let store = Store::open(Arc::new(RealDisk), root).unwrap();
                    std::fs::create_dir(&dir).unwrap();
                    let project = Project::register(&store, &dir).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        // Both want the same few models, so that one removes what the other is about to find.
                        let model = fastrand::u8(0..4);
                        let view =
                            ViewKey { model: format!("m{model}").parse().unwrap(), format: "gguf".parse().unwrap(), quant: None };
                        let data = vec![model; 3000];
                        download(&store, &project, &view, &data).unwrap();
                        let blob = store.layout().blob(&sha256_of(&data));
                        assert_eq!(std::fs::read(&blob).unwrap(), data, "a rooted blob");
                        std::thread::yield_now();
                        assert_eq!(std::fs::read(&blob).unwrap(), data, "a rooted blob, a moment later");
                        project.remove_root(&view).unwrap();
                        downloads.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let store = Store::open(Arc::new(RealDisk), &root).unwrap();
        let mut removed = 0;
        for _ in 0..rounds {
            removed += store.collector(false, &quick()).unwrap().collect(NO_GRACE, SystemTime::now()).unwrap().removed.len();
        }
        stop.store(true, Ordering::Relaxed);
        projects.into_iter().for_each(|project| project.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        println!("{rounds} collections removed {removed} blobs under {} downloads", downloads.load(Ordering::Relaxed));
        assert!(removed > 0, "the collector never got anything: the test proves nothing");
        store.collector(false, &quick()).unwrap().collect(NO_GRACE, SystemTime::now()).unwrap();
    });
    let faults = fsck(&RealDisk, &root, Expect::Tidy);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn collections_by_the_real_binary_take_nothing_from_downloads_in_two_projects() {
    let rounds = env_number("MODEL_MANAGER_GC_RUNS", 50);
    let hub = TestHub::start();
    let world = World::new(&hub, Models::gguf(&hub, &[MIB + 7, 9000]).with_set(&hub), None);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (world, stop) = (&world, &stop);
        let projects: Vec<_> = (0..2)
            .map(|project| {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        for id in world.models.0.keys() {
                            world.run(project, &["download", id]).ok();
                            world.assert_view(project, id);
                            world.run(project, &["remove", id, "--keep-blobs"]).ok();
                        }
                    }
                })
            })
            .collect();
        for _ in 0..rounds {
            let gc = world.run(0, &["gc", "--grace", "0", "--partials", "0"]);
            assert!(matches!(gc.status.code(), Some(0 | 3)), "{gc}");
        }
        stop.store(true, Ordering::Relaxed);
        projects.into_iter().for_each(|project| project.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
    });
    world.assert_sound("after collections");
    world.assert_comes_clean("after collections");
}
