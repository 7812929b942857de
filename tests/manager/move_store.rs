//! A store that is copied, and one that is moved: nothing is lost, whatever fails on the way.

use crate::{
    faulty_disk::{Op, Rule},
    kit::*,
    support::hub::{Content, Fault, Match, TestHub},
};
use model_manager::{
    CancellationToken, CheckMode, ErrorKind, GcOptions, Result, Selector, StoreSwitch,
    disk::RealDisk,
    reports::{StoreCopyReport, StoreMoveReport},
    store::{ImportMode, Project as StoreProject, Store, StoreError, ViewFile},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const Q8_SHOWN: &str = "tiny/gguf/q8_0/tiny.Q8_0.gguf";

/// A machine with both quantizations of `tiny`.
fn machine() -> Machine {
    let machine = Machine::new();
    ["tiny:q4_k_m", "tiny:q8_0"].into_iter().for_each(|name| machine.project.download(name).unwrap());
    machine.hub.reset_counters();
    machine
}

fn place(machine: &Machine) -> PathBuf {
    machine.dir.path().join("elsewhere/store")
}

fn copy(project: &Project, to: &Path) -> Result<StoreCopyReport> {
    project.manager().copy_store(to, false)
}

fn move_to(project: &Project, to: &Path) -> Result<StoreMoveReport> {
    project.manager().move_store(to, false, false, &|_: &StoreSwitch<'_>| Ok(Vec::new()))
}

/// The project as its settings are after the move.
fn moved(project: &Project, to: &Path) -> Project {
    project.with(|settings| settings.store = Some(to.to_owned()))
}

fn open(project: &Project, at: &Path) -> Store {
    Store::open(project.disk.clone(), at).unwrap()
}

fn remove(project: &Project, what: &str) {
    project.manager().remove(&Selector::new(what).unwrap(), false, false).unwrap();
}

fn collect_at_once() -> GcOptions {
    GcOptions { grace: Duration::ZERO, ..GcOptions::default() }
}

#[track_caller]
fn assert_whole(project: &Project, machine: &Machine) {
    project.assert_shown(SHOWN, &machine.content());
    project.assert_shown(Q8_SHOWN, &machine.hub.content(REPO, Q8));
    project.assert_promises();
    assert_eq!(project.manager().verify(&[], CheckMode::Full).unwrap().iter().filter(|file| file.state.is_damage()).count(), 0);
}

#[test]
fn a_copy_has_every_blob_with_what_is_known_of_it_and_keeps_what_the_store_keeps() {
    let machine = machine();
    let to = place(&machine);
    let report = copy(&machine.project, &to).unwrap();
    assert_eq!((report.copied.len(), report.totals.copied_bytes, report.totals.roots), (2, 12_000, 2));
    let (from, copied) = (open(&machine.project, &machine.project.store()), open(&machine.project, &to));
    assert_eq!(from.blobs().unwrap(), copied.blobs().unwrap());
    for digest in from.blobs().unwrap() {
        let [here, there] = [&from, &copied].map(|store| store.meta(&digest).unwrap().unwrap());
        assert_eq!((here.trust, here.sources, here.blake3), (there.trust, there.sources, there.blake3));
    }
    assert_ne!(from.marker().uuid, copied.marker().uuid, "they are two stores");
    // A stranger who collects in the copy takes nothing away.
    let there = moved(&machine.project, &to);
    assert_eq!(there.manager().gc(collect_at_once(), false, false).unwrap().blobs.len(), 0);
    let again = copy(&machine.project, &to).unwrap();
    assert_eq!((again.copied.len(), again.totals.present_blobs, again.totals.roots), (0, 2, 2));
    machine.project.assert_promises();
    assert_eq!(machine.requests(), 0);
}

#[test]
fn what_the_store_no_longer_keeps_the_next_copy_does_not_keep_either() {
    let machine = machine();
    let to = place(&machine);
    copy(&machine.project, &to).unwrap();
    remove(&machine.project, "tiny:q8_0");
    copy(&machine.project, &to).unwrap();
    let there = moved(&machine.project, &to);
    let gone = there.manager().gc(collect_at_once(), false, false).unwrap().blobs;
    assert_eq!(gone.iter().map(|blob| blob.sha256.to_string()).collect::<Vec<_>>(), [machine.hub.content(REPO, Q8).sha256()]);
}

#[test]
fn a_project_elsewhere_takes_what_it_needs_from_a_copy_without_the_network() {
    let machine = machine();
    let to = place(&machine);
    copy(&machine.project, &to).unwrap();
    let other = machine.project.beside(&machine.dir.path().join("q"), Some(&to)).offline();
    other.download("tiny:q4_k_m").unwrap();
    other.assert_shown(SHOWN, &machine.content());
    other.assert_promises();
}

#[test]
fn a_copy_believes_published_hashes_only_of_a_store_that_nobody_else_can_write() {
    for (mode, word) in [(0o755, "sha256-upstream"), (0o775, "tofu")] {
        let machine = machine();
        let store = machine.project.store();
        std::fs::set_permissions(&store, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let to = place(&machine);
        copy(&machine.project, &to).unwrap();
        let digest = machine.content().sha256().parse().unwrap();
        assert_eq!(open(&machine.project, &to).meta(&digest).unwrap().unwrap().trust.as_str(), word);
        assert_eq!(open(&machine.project, &store).meta(&digest).unwrap().unwrap().trust.as_str(), "sha256-upstream");
    }
}

#[test]
fn a_dry_run_makes_nothing() {
    let machine = machine();
    let to = place(&machine);
    let report = machine.project.manager().copy_store(&to, true).unwrap();
    assert_eq!((report.copied.len(), report.totals.copied_bytes, report.dry_run), (2, 12_000, true));
    let report = machine.project.manager().move_store(&to, true, false, &|_: &StoreSwitch<'_>| panic!("no settings")).unwrap();
    assert_eq!((report.copy.copied.len(), report.projects.len(), report.projects[0].views), (2, 1, 2));
    assert!(!to.exists());
    machine.project.assert_promises();
}

#[test]
fn a_damaged_blob_is_not_copied_and_named() {
    let machine = machine();
    let blob = machine.project.blob(&machine.content());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let report = copy(&machine.project, &place(&machine)).unwrap();
    assert_eq!(report.copied.len(), 1);
    assert_eq!(report.failed.len(), 1);
    assert_eq!((report.failed[0].sha256.to_string().as_str(), report.failed[0].needed), (machine.content().sha256(), true));
    let error = refused(move_to(&machine.project, &place(&machine)), ErrorKind::Damaged);
    assert!(error.message().contains(machine.content().sha256()), "{error}");
    assert!(machine.project.disk.stat_follow(&machine.project.models.join(SHOWN)).is_ok(), "all stays where it is");
}

#[test]
fn after_a_move_all_is_in_the_new_place_and_the_old_one_says_so() {
    let machine = machine();
    let (to, old) = (place(&machine), machine.project.store());
    let report = move_to(&machine.project, &to).unwrap();
    assert!(report.freed && report.left.is_empty(), "{report:?}");
    assert_eq!((report.copy.copied.len(), report.projects.len(), report.projects[0].views), (2, 1, 2));
    let mut left: Vec<String> =
        fs::read_dir(&old).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["CACHEDIR.TAG", "STORE.json"]);
    assert_whole(&moved(&machine.project, &to), &machine);
    // The error for the old place names the new one.
    let error = refused(machine.project.download("tiny:q4_k_m"), ErrorKind::NotFound);
    assert!(error.message().contains(&format!("was moved to {}", to.display())), "{error}");
    assert_eq!(machine.requests(), 0);
    // It is the project's store in every way.
    let project = moved(&machine.project, &to);
    remove(&project, "tiny:q8_0");
    project.download("tiny:q4_k_m").unwrap();
    assert!(!project.blob(&machine.hub.content(REPO, Q8)).exists());
    project.assert_promises();
    // And it can come back.
    move_to(&project, &old).unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
    machine.project.assert_promises();
}

#[test]
fn a_move_links_every_project_again_and_tells_the_settings_which() {
    let machine = machine();
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&machine.project.store()));
    second.download("tiny:q4_k_m").unwrap();
    let to = place(&machine);
    let told = Mutex::new(Vec::new());
    let switch = |moved: &StoreSwitch<'_>| {
        assert_eq!((moved.from, moved.to), (machine.project.store().as_path(), to.as_path()));
        told.lock().unwrap().extend(moved.projects.to_vec());
        Ok(vec![PathBuf::from("/settings")])
    };
    let report = machine.project.manager().move_store(&to, false, false, &switch).unwrap();
    assert_eq!(report.settings_files, [PathBuf::from("/settings")]);
    let mut told = told.into_inner().unwrap();
    told.sort();
    assert_eq!(told, [machine.project.models.clone(), second.models.clone()]);
    assert_whole(&moved(&machine.project, &to), &machine);
    moved(&second, &to).assert_shown(SHOWN, &machine.content());
    moved(&second, &to).assert_promises();
}

#[test]
fn a_move_into_another_store_joins_them() {
    let machine = machine();
    let to = place(&machine);
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&to));
    second.download("tiny:q4_k_m").unwrap();
    let report = move_to(&machine.project, &to).unwrap();
    assert_eq!((report.copy.copied.len(), report.copy.totals.present_blobs), (1, 1));
    assert_whole(&moved(&machine.project, &to), &machine);
    second.assert_shown(SHOWN, &machine.content());
    second.assert_promises();
    let project = moved(&machine.project, &to);
    remove(&second, "tiny:q4_k_m");
    assert_eq!(project.manager().gc(collect_at_once(), false, false).unwrap().blobs.len(), 0, "the first still needs it");
}

#[test]
fn a_rotten_blob_of_the_other_store_is_made_whole_before_the_good_one_goes() {
    let machine = machine();
    let to = place(&machine);
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&to));
    second.download("tiny:q4_k_m").unwrap();
    let blob = second.blob(&machine.content());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[9] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    move_to(&machine.project, &to).unwrap();
    assert_whole(&moved(&machine.project, &to), &machine);
}

#[test]
fn a_model_that_was_updated_after_a_move_was_cut_off_is_moved_as_it_is_now() {
    let machine = machine();
    let to = place(&machine);
    // As far as a move comes that fails before the store is closed.
    let lease = open(&machine.project, &machine.project.store()).lease().unwrap();
    let hurried = machine.project.with(|settings| settings.lock_timeout = Some(Duration::ZERO));
    refused(move_to(&hurried, &to), ErrorKind::Locked);
    drop(lease);
    let (store, target) = (open(&machine.project, &machine.project.store()), open(&machine.project, &to));
    target.copy_roots_of(&store, model_manager::store::RootsOf::TheProjects).unwrap();
    let content = Content::synthetic(6000, 77);
    machine.hub.repo(REPO).lfs(Q4, content.clone()).commit();
    let open_registry = machine.project.knowing(registry(&[open_entry("tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]));
    let mut options = model_manager::DownloadOptions::default();
    options.force = true;
    open_registry.manager().download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    open_registry.assert_shown(SHOWN, &content);
    move_to(&open_registry, &to).unwrap();
    moved(&open_registry, &to).assert_shown(SHOWN, &content);
    moved(&open_registry, &to).assert_promises();
}

#[test]
fn a_store_from_which_models_are_shown_to_applications_stays() {
    let machine = machine();
    let folder = machine.dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let target = model_manager::ExposeTarget::Folder(folder.clone());
    machine.project.manager().expose(&[Selector::new("tiny:q4_k_m").unwrap()], &target).unwrap();
    let error = refused(move_to(&machine.project, &place(&machine)), ErrorKind::Failed);
    assert!(error.message().contains("shown to other applications"), "{error}");
    machine.project.manager().unexpose(&[], Some(&target)).unwrap();
    move_to(&machine.project, &place(&machine)).unwrap();
}

#[test]
fn a_root_of_the_other_store_is_not_replaced_by_one_of_a_store_that_joins_it() {
    let machine = machine();
    let to = place(&machine);
    // The project went over to the other store before, with other content under the same name.
    let uuid = StoreProject::identify(&*machine.project.disk, &machine.project.models).unwrap().unwrap();
    let other = moved(&machine.project, &to);
    other.manager().init(false, None).unwrap();
    let content = Content::synthetic(3000, 9);
    let store = Store::open(Arc::new(RealDisk), &to).unwrap();
    let theirs = StoreProject::register(&store, &machine.project.models).unwrap();
    assert_eq!(*theirs.uuid(), uuid);
    let file = machine.dir.path().join("file");
    fs::write(&file, content.bytes()).unwrap();
    let lease = store.lease().unwrap();
    let blob = store.import(&file, ImportMode::Copy, None, &lease, &|_| {}, &CancellationToken::new()).unwrap().digest;
    let view = open(&machine.project, &machine.project.store()).roots_of(&uuid).unwrap()[0].view.clone();
    let path = "tiny.Q4_K_M.gguf".parse().unwrap();
    theirs.put_root(&view, &[ViewFile { path, sha256: blob, size: 3000 }]).unwrap();
    drop(lease);
    move_to(&machine.project, &to).unwrap();
    let root = store.root_of(&uuid, &view).unwrap().unwrap();
    assert_eq!(root.files[0].sha256, blob, "the newer root stays");
    assert_eq!(other.manager().gc(collect_at_once(), false, false).unwrap().blobs.len(), 0, "and what the older keeps stays too");
}

#[test]
fn a_store_in_use_is_not_moved() {
    let machine = machine();
    let lease = open(&machine.project, &machine.project.store()).lease().unwrap();
    let hurried = machine.project.with(|settings| settings.lock_timeout = Some(Duration::ZERO));
    let error = refused(move_to(&hurried, &place(&machine)), ErrorKind::Locked);
    assert!(error.message().contains("other commands are using the store"), "{error}");
    machine.project.assert_promises();
    drop(lease);
    move_to(&hurried, &place(&machine)).unwrap();
    assert_whole(&moved(&machine.project, &place(&machine)), &machine);
}

#[test]
fn a_process_that_opened_the_store_before_the_move_writes_nothing_there_after_it() {
    let machine = machine();
    let store = open(&machine.project, &machine.project.store());
    move_to(&machine.project, &place(&machine)).unwrap();
    for refused in [store.lease().err(), store.shared().err(), store.collector(false, store.wait()).err()] {
        assert!(matches!(refused, Some(StoreError::Moved { .. })), "{refused:?}");
    }
}

#[test]
fn a_store_is_not_moved_into_itself_nor_around_itself() {
    let machine = machine();
    for to in [machine.project.store().join("inner"), machine.project.models.clone()] {
        let error = refused(move_to(&machine.project, &to), ErrorKind::Usage);
        assert!(error.message().contains("in each other"), "{error}");
    }
    let error = refused(move_to(&machine.project, &machine.project.store()), ErrorKind::Usage);
    assert!(error.message().contains("already"), "{error}");
    machine.project.assert_promises();
}

#[test]
fn a_store_whose_project_may_be_on_another_host_stays() {
    let machine = machine();
    let store = open(&machine.project, &machine.project.store());
    let project = store.projects().unwrap()[0];
    let record = store.layout().project_record(&project);
    let text = fs::read_to_string(&record)
        .unwrap()
        .replace("\"host\": \"", "\"host\": \"other-")
        .replace("\"host\":\"", "\"host\":\"other-");
    fs::write(&record, text).unwrap();
    // Asked for from another project, which does not correct the record.
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&machine.project.store()));
    let error = refused(move_to(&second, &place(&machine)), ErrorKind::Failed);
    assert!(error.message().contains("cannot be reached from here"), "{error}");
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn an_unfinished_download_goes_on_in_the_new_place() {
    const LEN: u64 = (3 << 20) + 5;
    let hub = TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(LEN, 7)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4)])]);
    let machine = Machine::with(hub, known);
    let project = machine.project.with(|settings| settings.network.tries = 1);
    machine.hub.fault(Match::cdn().always(), Fault::CutAfter((2 << 20) + 9));
    refused(project.download("tiny"), ErrorKind::Network);
    let to = place(&machine);
    let report = move_to(&project, &to).unwrap();
    assert_eq!((report.copy.totals.partials, report.left), (1, Vec::<PathBuf>::new()));
    machine.hub.clear_faults();
    machine.hub.reset_counters();
    let project = moved(&project, &to);
    project.download("tiny").unwrap();
    project.assert_shown(SHOWN, &machine.content());
    assert_eq!(machine.hub.count().content_bytes(), LEN - (2 << 20));
}

/// Fails at a step of a move, and says how many there were. Folders, of which a store has 768, are not counted: that a store is
/// made under faults is another test.
struct Steps {
    at: u64,
    /// Whether all later steps fail too, as if the process had died.
    is_end: bool,
    seen: Arc<AtomicU64>,
}

impl Steps {
    fn rule(self) -> Rule {
        Rule::Pick(Box::new(move |op, _| {
            if matches!(op, Op::CreateDir | Op::RemoveDir) {
                return (self.is_end && self.seen.load(Ordering::Relaxed) >= self.at).then_some(io::ErrorKind::Other);
            }
            let now = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
            (now == self.at || (self.is_end && now > self.at)).then_some(io::ErrorKind::Other)
        }))
    }
}

/// Lets every third step of a move fail, and moves again: between two places in turn.
fn sweep(is_end: bool) {
    let machine = machine();
    let places = [machine.dir.path().join("a/store"), machine.dir.path().join("b/store")];
    move_to(&machine.project, &places[0]).unwrap();
    let at = |number: usize| moved(&machine.project, &places[number % 2]);
    let seen = Arc::new(AtomicU64::new(0));
    machine.disk.set(Steps { at: u64::MAX, is_end, seen: seen.clone() }.rule());
    move_to(&at(0), &places[1]).unwrap();
    let steps = seen.load(Ordering::Relaxed);
    assert!(steps > 50, "{steps} steps");
    let (mut now, mut failures, mut tries) = (1, 0, 0);
    // A store of its own is made and removed each time, so that all of them would take minutes.
    for step in (1 + u64::from(is_end)..=steps).step_by(3) {
        tries += 1;
        let (here, there) = (at(now), &places[(now + 1) % 2]);
        machine.disk.set(Steps { at: step, is_end, seen: Arc::default() }.rule());
        failures += u64::from(move_to(&here, there).is_err());
        machine.disk.set(Rule::Never);
        // Whatever happened, the content is there under its name, and the same command ends the move.
        here.assert_shown(SHOWN, &machine.content());
        if let Err(error) = move_to(&here, there) {
            panic!("after a failure in step {step} of {steps}: {error}");
        }
        now += 1;
        assert_whole(&at(now), &machine);
    }
    assert!(failures > tries / 3, "only {failures} of {tries} steps mattered");
    assert_eq!(machine.requests(), 0);
}

#[test]
fn a_move_survives_a_failure_at_any_step() {
    sweep(false);
}

#[test]
fn a_move_survives_the_end_of_the_process_at_any_step() {
    sweep(true);
}
