//! A file whose tensors are in other files of the store: only what is new travels, and whatever a server, a blob or a table
//! says, the content is right and the cost bounded.

use crate::{
    kit::*,
    support::{
        hub::{Fault, Match, TestHub},
        tensors::{Tensor, gguf, safetensors, tensors},
    },
};
use model_manager::{
    Call, DownloadOptions, Result, Selector,
    event::Event,
    reports::DownloadReport,
    store::{IngestKey, Store, Trust},
};
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const OLD: &str = "acme/Old";
const NEW: &str = "acme/New";
const MIB: usize = 1 << 20;
/// Ten of them are more than the least that is worth asking for.
const TENSOR: usize = MIB + MIB / 4;
/// The first request for a header, and three probes of each of ten tensors.
const OVERHEAD: u64 = (256 << 10) + 10 * 3 * 4096;

type Files = Vec<(String, Vec<u8>)>;

/// A Hub with two repositories, of which a project has the first.
struct Scene {
    machine: Machine,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Scene {
    fn new(old: &Files, new: &Files) -> Self {
        let hub = TestHub::start();
        for (repo, files) in [(OLD, old), (NEW, new)] {
            files.iter().fold(hub.repo(repo), |repo, (name, bytes)| repo.lfs(name, bytes.clone())).commit();
        }
        let scene = Self { machine: Machine::with(hub, registry(&[])), events: Arc::default() };
        scene.get(OLD).unwrap();
        scene.machine.hub.reset_counters();
        scene
    }

    /// One file each.
    fn of(old: Vec<u8>, new: Vec<u8>) -> Self {
        Self::new(&vec![("old.gguf".into(), old)], &vec![("new.gguf".into(), new)])
    }

    fn project(&self) -> &Project {
        &self.machine.project
    }

    fn get(&self, repo: &str) -> Result<DownloadReport> {
        self.get_by(self.project(), repo, CancellationToken::new())
    }

    fn get_by(&self, project: &Project, repo: &str, cancel: CancellationToken) -> Result<DownloadReport> {
        let mut selector = Selector::new(repo).unwrap();
        selector.format = Some("files".parse().unwrap());
        let events = self.events.clone();
        let call = Call::new(move |event: &Event| events.lock().unwrap().push(event.clone())).stopped_by(cancel);
        project.session.blocking(call).download(&selector, &DownloadOptions::default())
    }

    fn travelled(&self) -> u64 {
        self.machine.hub.count().content_bytes()
    }

    fn store(&self) -> Store {
        Store::open(self.project().disk.clone(), &self.project().store()).unwrap()
    }

    /// Gets the new repository and looks at all of it; what travelled.
    #[track_caller]
    fn get_new(&self) -> (DownloadReport, u64) {
        let report = self.get(NEW).unwrap();
        self.assert_right(&report);
        let travelled = self.travelled();
        assert!(report.download_bytes <= travelled, "{} of {travelled} are reported", report.download_bytes);
        (report, travelled)
    }

    #[track_caller]
    fn assert_right(&self, report: &DownloadReport) {
        for file in &report.files {
            let content = self.machine.hub.content(NEW, file.file.as_str());
            assert!(fs::read(&file.path).unwrap() == content.bytes(), "{} is wrong", file.file);
        }
        self.project().assert_promises();
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .filter_map(|event| if let Event::Warning(warning) = event { Some(warning.to_string()) } else { None })
            .collect()
    }
}

fn one(name: &str, bytes: Vec<u8>) -> Files {
    vec![(name.into(), bytes)]
}

/// The tensors in so many files, as llama.cpp names them.
fn split(all: &[Tensor], parts: usize) -> Files {
    let share = all.len().div_ceil(parts);
    let files = all.chunks(share).enumerate();
    files.map(|(at, part)| (format!("m-{:05}-of-{parts:05}.gguf", at + 1), gguf(400 * (1 - at.min(1)), part))).collect()
}

fn shards(all: &[Tensor], parts: usize) -> Files {
    let share = all.len().div_ceil(parts);
    let files = all.chunks(share).enumerate();
    files.map(|(at, part)| (format!("model-{:05}-of-{parts:05}.safetensors", at + 1), safetensors(9, part))).collect()
}

fn size(files: &Files) -> u64 {
    files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

/// What travels in each case, besides the first request for each header and the probes.
#[test]
fn only_what_is_new_travels() {
    let all = tensors(10, TENSOR);
    let reordered: Vec<Tensor> = all.iter().rev().cloned().collect();
    let mut tenth = all.clone();
    tenth[4] = tenth[4].clone().changed();
    let mut fifth = tenth.clone();
    fifth[7] = fifth[7].clone().changed();
    // Among large tensors, small ones that are not compared: each costs itself and no segment.
    let mut small = all.clone();
    for at in [2, 5, 8] {
        small.insert(at, Tensor { name: format!("norm.{at}"), seed: 77, len: 4096 });
    }
    let tensor = TENSOR as u64;
    let cases: [(&str, Files, Files, u64); 9] = [
        ("longer metadata", one("m.gguf", gguf(100, &all)), one("n.gguf", gguf(5220, &all)), 0),
        ("whole from its parts", split(&all, 3), one("n.gguf", gguf(100, &all)), 0),
        ("parts from the whole", one("m.gguf", gguf(100, &all)), split(&all, 3), 0),
        ("reordered", one("m.gguf", gguf(100, &all)), one("n.gguf", gguf(100, &reordered)), 0),
        ("a tenth changed", one("m.gguf", gguf(100, &all)), one("n.gguf", gguf(100, &tenth)), tensor),
        ("four fifths equal", one("m.gguf", gguf(100, &all)), one("n.gguf", gguf(100, &fifth)), 2 * tensor),
        ("small ones between", one("m.gguf", gguf(100, &small)), one("n.gguf", gguf(9000, &small)), 3 * 4096),
        ("resharded", shards(&all, 2), shards(&all, 5), 0),
        ("longer notes", one("m.safetensors", safetensors(9, &all)), one("n.safetensors", safetensors(5000, &all)), 0),
    ];
    for (case, old, new, changed) in cases {
        let scene = Scene::new(&old, &new);
        let (report, travelled) = scene.get_new();
        // Where a prefix of a part ends in a tensor, that is fetched already.
        let most = changed + OVERHEAD + (new.len() as u64 - 1) * (256 << 10) + 4096;
        assert!(travelled <= most, "{case}: {travelled} of {} bytes, where {most} are enough", size(&new));
        // Every byte came once, but for those that were compared.
        let all = report.download_bytes + report.borrowed_bytes;
        assert!((size(&new)..=size(&new) + OVERHEAD).contains(&all), "{case}: {all} of {}", size(&new));
        assert!(report.borrowed_bytes >= size(&new) - most, "{case}");
    }
}

#[test]
fn what_is_all_new_costs_eight_probes_more() {
    let all = tensors(10, TENSOR);
    let changed: Vec<Tensor> = all.iter().cloned().map(Tensor::changed).collect();
    let scene = Scene::of(gguf(100, &all), gguf(100, &changed));
    let (report, travelled) = scene.get_new();
    assert_eq!(report.borrowed_bytes, 0);
    assert!(travelled <= report.total_bytes + 8 * 4096, "{travelled}");
}

#[test]
fn what_came_from_where_is_told() {
    let all = tensors(10, TENSOR);
    let scene = Scene::of(gguf(100, &all), gguf(5220, &all));
    let (report, _) = scene.get_new();
    let old = scene.machine.hub.content(OLD, "old.gguf").sha256().to_owned();
    let events = scene.events.lock().unwrap();
    let told = events.iter().find_map(|event| match event {
        Event::Borrowed { file, bytes, from } => {
            Some((file.clone(), *bytes, from.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
        _ => None,
    });
    assert_eq!(told, Some(("new.gguf".into(), report.borrowed_bytes, vec![old])));
    let finished = events.iter().rev().find_map(|event| match event {
        Event::FileFinished { fetched, borrowed, .. } => Some((*fetched, *borrowed)),
        _ => None,
    });
    assert_eq!(finished, Some((report.download_bytes, report.borrowed_bytes)));
}

#[test]
fn nothing_is_borrowed_where_that_is_turned_off() {
    let all = tensors(7, TENSOR);
    let scene = Scene::of(gguf(100, &all), gguf(200, &all));
    let project = scene.project().with(|settings| settings.borrow = false);
    let report = scene.get_by(&project, NEW, CancellationToken::new()).unwrap();
    scene.assert_right(&report);
    assert_eq!((report.borrowed_bytes, report.download_bytes), (0, report.total_bytes));
    assert_eq!(scene.travelled(), report.total_bytes);
}

/// A value between the probes differs: only the hash of the whole shows it.
#[test]
fn what_differs_between_the_probes_is_fetched_again_and_no_more() {
    let all = tensors(10, TENSOR);
    let mut new = gguf(100, &all);
    let at = new.len() - 3 * TENSOR / 2 - TENSOR / 12;
    new[at] ^= 1;
    let scene = Scene::of(gguf(5220, &all), new);
    let (report, travelled) = scene.get_new();
    assert!(travelled <= report.total_bytes + OVERHEAD, "{travelled}");
    assert_eq!(report.borrowed_bytes, 0);
    let warnings = scene.warnings();
    assert!(warnings.iter().any(|text| text.contains("is the same") && text.contains("are downloaded")), "{warnings:?}");
    let events = scene.events.lock().unwrap();
    let differed = format!("{MIB} bytes of new.gguf differed");
    assert!(events.iter().any(|event| matches!(event, Event::Detail(text) if text.starts_with(&differed))));
}

#[test]
fn a_server_that_lies_in_a_probe_costs_the_tensor_and_no_more() {
    let all = tensors(10, TENSOR);
    let new = gguf(5220, &all);
    // The middle of the sixth tensor.
    let offset = (new.len() - 5 * TENSOR + TENSOR / 2 + 5) as u64;
    let scene = Scene::of(gguf(100, &all), new);
    scene.machine.hub.fault(Match::cdn().covers(offset).nth(1), Fault::WrongBytes { offset });
    let (_, travelled) = scene.get_new();
    assert!((TENSOR as u64..TENSOR as u64 + OVERHEAD + 4096).contains(&travelled), "{travelled}");
    assert!(scene.warnings().is_empty(), "{:?}", scene.warnings());
}

#[test]
fn a_damaged_blob_lends_nothing_of_what_is_damaged_and_is_reported() {
    let all = tensors(10, TENSOR);
    let old = gguf(100, &all);
    let at = old.len() - 4 * TENSOR + 5000;
    let scene = Scene::of(old, gguf(5220, &all));
    let content = scene.machine.hub.content(OLD, "old.gguf");
    let blob = scene.project().blob(&content);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&blob).unwrap().write_all_at(b"damage", at as u64).unwrap();
    let report = scene.get(NEW).unwrap();
    assert!(fs::read(&report.files[0].path).unwrap() == scene.machine.hub.content(NEW, "new.gguf").bytes());
    let travelled = scene.travelled();
    // The segments of the new file that need the damaged one.
    assert!(travelled <= 3 * MIB as u64 + OVERHEAD + 8192, "{travelled}");
    assert!(report.borrowed_bytes > 0);
    let warnings = scene.warnings();
    assert!(warnings.iter().any(|text| text.contains(content.sha256()) && text.contains("damaged")), "{warnings:?}");
    assert!(scene.store().damage(&content.sha256().parse().unwrap()).unwrap().is_some());
}

/// Waits until the Hub has answered so many requests for content.
fn wait_for(scene: &Scene, requests: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    while scene.machine.hub.count().cdn < requests {
        assert!(Instant::now() < end, "nothing was asked for");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_blob_that_is_removed_meanwhile_costs_the_gain_and_no_more() {
    let all = tensors(10, TENSOR);
    for remove_at in [1, 6] {
        let scene = Scene::of(gguf(100, &all), gguf(5220, &all));
        let blob = scene.project().blob(&scene.machine.hub.content(OLD, "old.gguf"));
        let hold = scene.machine.hub.hold(Match::cdn().nth(remove_at), 10);
        let report = thread::scope(|scope| {
            let getting = scope.spawn(|| scene.get(NEW).unwrap());
            wait_for(&scene, remove_at);
            fs::remove_file(&blob).unwrap();
            hold.release();
            getting.join().unwrap()
        });
        for file in &report.files {
            assert!(fs::read(&file.path).unwrap() == scene.machine.hub.content(NEW, "new.gguf").bytes());
        }
        assert!(scene.travelled() <= report.total_bytes + OVERHEAD);
    }
}

#[test]
fn a_header_of_several_segments_travels_once() {
    let all = tensors(10, TENSOR);
    let scene = Scene::of(gguf(100, &all), gguf(3 * MIB, &all));
    let (_, travelled) = scene.get_new();
    assert!(travelled <= 5 * MIB as u64 + OVERHEAD, "{travelled}");
}

#[test]
fn a_run_that_is_stopped_while_it_borrows_is_resumed() {
    let all = tensors(10, TENSOR);
    let mut new = all.clone();
    new[9] = new[9].clone().changed();
    let scene = Scene::of(gguf(100, &all), gguf(5220, &new));
    let key = IngestKey::Sha256(scene.machine.hub.content(NEW, "new.gguf").sha256().parse().unwrap());
    let last = (gguf(5220, &new).len() - 100) as u64;
    let hold = scene.machine.hub.hold(Match::cdn().covers(last).nth(2).always(), 10);
    let cancel = CancellationToken::new();
    let stopped = thread::scope(|scope| {
        let getting = scope.spawn(|| scene.get_by(scene.project(), NEW, cancel.clone()));
        let end = Instant::now() + Duration::from_secs(60);
        while scene.store().held(&key, gguf(5220, &new).len() as u64).unwrap() < 6 * TENSOR as u64 {
            assert!(Instant::now() < end, "nothing was borrowed");
            thread::sleep(Duration::from_millis(5));
        }
        cancel.cancel();
        hold.release();
        getting.join().unwrap()
    });
    assert!(stopped.is_err());
    scene.machine.hub.clear_faults();
    scene.machine.hub.reset_counters();
    let (_, travelled) = scene.get_new();
    assert!(travelled <= TENSOR as u64 + OVERHEAD, "{travelled}");
}

#[test]
fn a_server_without_ranges_shows_that_nothing_may_be_borrowed() {
    let all = tensors(7, TENSOR);
    let scene = Scene::of(gguf(100, &all), gguf(200, &all));
    scene.machine.hub.fault(Match::cdn().always(), Fault::IgnoreRange);
    let report = scene.get(NEW).unwrap();
    scene.assert_right(&report);
    assert_eq!(report.borrowed_bytes, 0);
}

#[test]
fn a_plan_reads_a_long_header_of_a_server_without_ranges_to_its_end() {
    let all = tensors(7, TENSOR);
    let scene = Scene::of(gguf(MIB, &all), gguf(MIB + 4096, &all));
    scene.machine.hub.fault(Match::cdn().always(), Fault::IgnoreRange);
    let mut selector = Selector::new(NEW).unwrap();
    selector.format = Some("files".parse().unwrap());
    let plan = scene.project().manager().plan_download(&selector, &DownloadOptions::default()).unwrap();
    assert!(plan.borrow_bytes > 6 * TENSOR as u64, "{}", plan.borrow_bytes);
}

#[test]
fn what_nobody_published_a_hash_of_may_lend() {
    let all = tensors(7, TENSOR);
    let scene = Scene::of(gguf(100, &all), gguf(200, &all));
    let digest = scene.machine.hub.content(OLD, "old.gguf").sha256().parse().unwrap();
    let meta = scene.store().layout().meta(&digest);
    let text = fs::read_to_string(&meta).unwrap().replace("sha256-upstream", "tofu");
    fs::remove_file(&meta).unwrap();
    fs::write(&meta, text).unwrap();
    assert_eq!(scene.store().meta(&digest).unwrap().unwrap().trust, Trust::Tofu);
    let (report, _) = scene.get_new();
    assert!(report.borrowed_bytes > 4 * TENSOR as u64);
}

#[test]
fn tables_that_lie_make_no_wrong_file() {
    let all = tensors(8, TENSOR);
    let mut twice = all.clone();
    twice[3].name = twice[2].name.clone();
    // The place of the second tensor is that of the first.
    let mut overlapping = gguf(100, &all);
    let entry = overlapping.windows(12).position(|bytes| bytes == b"blk.1.weight").unwrap() + 12 + 4 + 8 + 4;
    overlapping[entry..entry + 8].fill(0);
    for new in [gguf(300, &twice), overlapping] {
        for (held, wanted) in [(gguf(200, &all), new.clone()), (new, gguf(200, &all))] {
            let scene = Scene::of(held, wanted);
            let (report, travelled) = scene.get_new();
            assert!(travelled <= report.total_bytes + OVERHEAD);
        }
    }
}
