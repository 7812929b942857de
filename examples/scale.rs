//! How the store behaves with very many blobs and roots.
//!
//! ```text
//! cargo run --release --example scale [BLOBS [ROOTS [VIEWS]]]      # 100000 10000 1000
//! ```
//! Prints one figure a line with its target, and ends with 1 if one is missed. Blobs are empty files under made-up names:
//! planning, condemning and listing never read them.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use model_manager::digest::{Sha256Digest, sha256_of};
use model_manager::disk::RealDisk;
use model_manager::store::{GcOptions, HeaderEntry, HeaderPlace, Project, RootRecord, Store, ViewFile, ViewKey, Wait, format};
use support::gguf::Spec;
use support::hub::{Content, TestHub};
use support::run::Sandbox;

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().expect("numbers: BLOBS ROOTS VIEWS")).collect();
    let size = |index: usize, default| sizes.get(index).copied().unwrap_or(default);
    let (blobs, roots, views) = (size(0, 100_000), size(1, 10_000), size(2, 1_000));
    let mut missed = false;
    let mut figure = |what: &str, took: Duration, target_ms: u64| {
        let verdict = if took <= Duration::from_millis(target_ms) { "ok" } else { "MISSED" };
        missed |= verdict == "MISSED";
        println!("{what:<64} {:>9.1} ms   target {target_ms:>5} ms   {verdict}", took.as_secs_f64() * 1e3);
    };

    // A model that is present, in a store with nothing else.
    let hub = TestHub::start();
    hub.repo("acme/tiny").lfs("tiny.Q4_K_M.gguf", Content::synthetic(3000, 1)).commit();
    let sandbox = Sandbox::new(&hub);
    sandbox.write(
        "configs/models.yaml",
        "models:\n  tiny:\n    huggingface_id: \"acme/tiny\"\n    formats:\n      gguf:\n        q4_k_m:\n          file: \"tiny.Q4_K_M.gguf\"\n",
    );
    let models = sandbox.models();
    let run = |args: &[&str]| {
        let begun = Instant::now();
        sandbox.run(args).ok();
        begun.elapsed()
    };
    let best_of = |args: &[&str], times: usize| (0..times).map(|_| run(args)).min().unwrap();
    run(&["download", "tiny"]);
    let empty = best_of(&["download", "tiny"], 20);
    figure("download of a present model, store with 1 blob", empty, 100);

    // Now with many.
    let root = models.join(".blobs");
    let store = Store::open(Arc::new(RealDisk), &root).unwrap();
    let begun = Instant::now();
    let digests: Vec<Sha256Digest> = (0..blobs).map(|n| sha256_of(&n.to_le_bytes())).collect();
    digests.iter().for_each(|digest| drop(std::fs::File::create(store.layout().blob(digest)).unwrap()));
    // Half of the blobs are rooted, in a hundred projects.
    let rooted = &digests[..digests.len() / 2];
    let per_root = rooted.len().div_ceil(roots as usize).max(1);
    let projects: Vec<Project> = (0..100.min(roots))
        .map(|n| {
            let dir = sandbox.root().join(format!("projects/{n}"));
            std::fs::create_dir_all(&dir).unwrap();
            Project::register(&store, &dir).unwrap()
        })
        .collect();
    for (n, chunk) in rooted.chunks(per_root).enumerate() {
        let record = record(&format!("model-{n}"), chunk);
        let dir = store.layout().project(projects[n % projects.len()].uuid());
        std::fs::write(dir.join(record.view.record_name()), format::to_json(&record)).unwrap();
    }
    println!("{blobs} blobs and {roots} roots made in {:.1} s", begun.elapsed().as_secs_f64());

    figure("download of a present model, store with all blobs", best_of(&["download", "tiny"], 20), 100);
    let grown = best_of(&["download", "tiny"], 20).saturating_sub(best_of(&["--help"], 20));
    let base = empty.saturating_sub(best_of(&["--help"], 20));
    println!(
        "  of it beyond starting the process: {:.1} ms now, {:.1} ms before",
        grown.as_secs_f64() * 1e3,
        base.as_secs_f64() * 1e3
    );

    // All blobs are models: similar files are found by what is kept of their headers.
    let spec = Spec::mib(9);
    hub.repo("acme/old").lfs("old-Q4_K_M.gguf", Content::from(spec.bytes())).commit();
    hub.repo("acme/new").lfs("new-Q4_K_M.gguf", Content::from(spec.bytes_as("model", "llama"))).commit();
    run(&["download", "acme/old"]);
    let entries: Vec<HeaderEntry> = digests.iter().zip(0..).map(|(digest, n)| entry(*digest, n)).collect();
    store.keep_headers(&entries).unwrap();
    let whole = best_of(&["download", "acme/new", "--dry-run", "--no-borrow"], 10);
    let similar = best_of(&["download", "acme/new", "--dry-run"], 10);
    let text = sandbox.run(["download", "acme/new", "--dry-run"]).ok().stdout;
    assert!(text.contains("from acme/old"), "{text}");
    figure("candidates among all blobs, header and compare included", similar.saturating_sub(whole), 50);

    let options = GcOptions { grace: Duration::ZERO, ..GcOptions::default() };
    let begun = Instant::now();
    let plan = store.plan_collection(options, SystemTime::now()).unwrap();
    figure(&format!("plan of a collection ({} would go, {} stay)", plan.blobs.len(), plan.kept), begun.elapsed(), 2000);

    // Other processes root things while it collects, so that the roots must be read again in every section.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (report, took, longest_wait) = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let store = Store::open(Arc::new(RealDisk), &root).unwrap();
            let mut longest = Duration::ZERO;
            let mut n = 0_usize;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                let project = &projects[n % projects.len()];
                let begun = Instant::now();
                drop(store.shared().unwrap());
                longest = longest.max(begun.elapsed());
                project.put_root(&view(&format!("more-{}", n % 50)), &files(&rooted[n % rooted.len()..][..1])).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            longest
        });
        let begun = Instant::now();
        let mut collector = store.collector(false, &Wait::silent(None)).unwrap();
        let report = collector.collect(options, SystemTime::now()).unwrap();
        let took = begun.elapsed();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (report, took, others.join().unwrap())
    });
    println!(
        "collected {} blobs in {:.1} s; another process waited {longest_wait:?} at most",
        report.removed.len(),
        took.as_secs_f64()
    );
    figure("longest exclusive section", report.longest_section, 50);
    assert_eq!(report.removed.len(), plan.blobs.len());

    listing(&sandbox, &store, &models, views as usize);
    let begun = best_of(&["list"], 10);
    figure(&format!("list of {views} views, the process included"), begun, 30);
    std::process::exit(i32::from(missed));
}

/// Views of one file each, as downloads leave them.
fn listing(sandbox: &Sandbox, store: &Store, models: &Path, views: usize) {
    let _ = sandbox;
    for (n, digest) in store.blobs().unwrap().iter().take(views).enumerate() {
        let dir = models.join(format!("listed-{n}/gguf/q4_k_m"));
        std::fs::create_dir_all(&dir).unwrap();
        let name = digest.to_string();
        let target = Path::new("../../../.blobs/sha256").join(&name[..2]).join(&name);
        std::os::unix::fs::symlink(target, dir.join("a.gguf")).unwrap();
    }
}

fn view(model: &str) -> ViewKey {
    ViewKey { model: model.parse().unwrap(), format: "gguf".parse().unwrap(), quant: Some("q4_k_m".parse().unwrap()) }
}

fn files(digests: &[Sha256Digest]) -> Vec<ViewFile> {
    let file =
        |(n, digest): (usize, &Sha256Digest)| ViewFile { path: format!("{n}.gguf").parse().unwrap(), sha256: *digest, size: 0 };
    digests.iter().enumerate().map(file).collect()
}

fn record(model: &str, digests: &[Sha256Digest]) -> RootRecord {
    RootRecord::new(view(model), files(digests))
}

/// What would be kept of the header of a large model.
fn entry(digest: Sha256Digest, n: u64) -> HeaderEntry {
    let place = HeaderPlace::new(&format!("acme/model-{}", n % 5000), &n.to_string(), &format!("model-{n}.gguf"));
    let keys = std::array::from_fn(|at| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32));
    HeaderEntry { digest, size: 5 << 30, bytes: 5 << 30, tensors: 291, place, keys }
}
