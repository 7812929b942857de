//! What may be taken from similar files in the store: what a plan says of it, what is kept of headers, and what a repair
//! makes of it.

use crate::{
    kit::*,
    support::{
        gguf::Spec,
        hub::{Content, TestHub},
    },
};
use model_manager::{
    DownloadOptions, LockOptions, Selector,
    reports::PlanReport,
    store::{CheckMode, Store},
};
use std::{fs, path::PathBuf, sync::Arc};

const OWL: &str = "acme/owl";
const FILE: &str = "owl-Q4_K_M.gguf";
const MIB: u64 = 1 << 20;

/// Nine mebibytes in six tensors, and some small ones.
fn spec() -> Spec {
    Spec::mib(9)
}

/// The same tensors behind another header.
fn renamed() -> Vec<u8> {
    spec().bytes_as("model", "llama")
}

/// A machine with the first upload of the owl, downloaded.
fn machine() -> Machine {
    let hub = TestHub::start();
    hub.repo(OWL).lfs(FILE, spec().bytes()).commit();
    let machine = Machine::with(hub, registry(&[open_entry("other", "acme/other", &[("q4_k_m", "x.gguf")])]));
    machine.project.download(OWL).unwrap();
    machine
}

fn plan(project: &Project, what: &str) -> PlanReport {
    project.manager().plan_download(&Selector::new(what).unwrap(), &DownloadOptions::default()).unwrap()
}

/// Where a plan borrows from: repository and path.
fn from(plan: &PlanReport) -> Vec<(Option<&str>, Option<&str>)> {
    plan.borrow_from.iter().map(|source| (source.repo.as_deref(), source.repo_path.as_deref())).collect()
}

/// Files in which something is kept of headers.
fn kept(project: &Project) -> Vec<PathBuf> {
    let files = (0..=255).map(|first| project.store().join(format!("meta/{first:02x}/headers")));
    files.filter(|path| path.exists()).collect()
}

#[test]
fn a_new_upload_costs_its_header_and_what_changed() {
    let machine = machine();
    let first = machine.hub.content(OWL, FILE);
    machine.hub.repo(OWL).lfs(FILE, renamed()).commit();
    let plan = plan(&machine.project, OWL);
    let size = plan.total_bytes;
    assert_eq!(plan.download_bytes, size);
    assert!(plan.borrow_bytes > size * 95 / 100, "{} of {size}", plan.borrow_bytes);
    assert_eq!(from(&plan), [(Some(OWL), Some(FILE))]);
    assert_eq!(plan.borrow_from[0].sha256.to_string(), first.sha256());
    machine.project.assert_promises();
    let whole = machine.project.with(|settings| settings.borrow = false);
    assert_eq!((self::plan(&whole, OWL).borrow_bytes, self::plan(&whole, OWL).borrow_from), (0, vec![]));
}

#[test]
fn parts_of_a_set_are_found_in_the_whole_file_and_the_other_way() {
    let machine = machine();
    let repo = machine.hub.repo("acme/parts");
    let repo = spec().split("bird-Q4_K_M", 2).into_iter().fold(repo, |repo, (name, bytes)| repo.lfs(&name, bytes));
    repo.commit();
    let parts = plan(&machine.project, "acme/parts");
    assert!(parts.borrow_bytes > parts.total_bytes * 95 / 100, "{} of {}", parts.borrow_bytes, parts.total_bytes);
    assert_eq!(from(&parts), [(Some(OWL), Some(FILE))]);

    let other = Machine::with(TestHub::start(), registry(&[open_entry("other", "acme/other", &[("q4_k_m", "x.gguf")])]));
    let repo = other.hub.repo("acme/parts");
    spec().split("bird-Q4_K_M", 2).into_iter().fold(repo, |repo, (name, bytes)| repo.lfs(&name, bytes)).commit();
    other.hub.repo(OWL).lfs(FILE, renamed()).commit();
    other.project.download("acme/parts").unwrap();
    let whole = plan(&other.project, OWL);
    assert!(whole.borrow_bytes > whole.total_bytes * 95 / 100, "{} of {}", whole.borrow_bytes, whole.total_bytes);
    assert_eq!(whole.borrow_from.len(), 2);
}

#[test]
fn other_weights_of_the_same_shapes_may_only_be_borrowed_and_other_shapes_are_not() {
    let machine = machine();
    machine.hub.repo("acme/tall").lfs("tall-Q4_K_M.gguf", Spec::mib(15).bytes()).commit();
    assert_eq!(plan(&machine.project, "acme/tall").borrow_bytes, 0);
    // A hash that nobody published does not say whether a guess was right.
    machine.hub.repo("acme/plain").plain("plain-Q4_K_M.gguf", Content::from(renamed())).commit();
    assert_eq!(plan(&machine.project, "acme/plain").borrow_bytes, 0);
}

#[test]
fn what_is_kept_of_headers_may_be_lost() {
    let machine = machine();
    machine.hub.repo(OWL).lfs(FILE, renamed()).commit();
    let project = &machine.project;
    let expected = plan(project, OWL).borrow_bytes;
    let files = kept(project);
    assert_eq!(files.len(), 1);
    fs::write(&files[0], "MMHEAD01 and something else").unwrap();
    assert_eq!(plan(project, OWL).borrow_bytes, expected);
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(plan(project, OWL).borrow_bytes, expected);
    // A check keeps it too.
    fs::remove_file(&files[0]).unwrap();
    project.manager().verify(&[], CheckMode::Quick).unwrap();
    assert_eq!(kept(project), files);
    project.assert_promises();
}

#[test]
fn damaged_and_removed_blobs_are_not_offered() {
    let machine = machine();
    let project = &machine.project;
    let blob = project.blob(&machine.hub.content(OWL, FILE));
    machine.hub.repo(OWL).lfs(FILE, renamed()).commit();
    let whole = fs::read(&blob).unwrap();
    damage(&blob, whole.len() - 5);
    project.manager().verify(&[], CheckMode::Full).unwrap();
    assert_eq!(plan(project, OWL).borrow_bytes, 0);
    fs::remove_file(&blob).unwrap();
    assert_eq!(plan(project, OWL).borrow_bytes, 0);
}

#[test]
fn an_update_says_what_it_costs() {
    let machine = machine();
    let project = &machine.project;
    project.lock(&[OWL], false).unwrap();
    machine.hub.repo(OWL).lfs(FILE, renamed()).commit();
    let mut options = LockOptions::default();
    (options.update, options.dry_run) = (true, true);
    let report = project.manager().lock(&[], options).unwrap();
    let [line] = &report.entries[..] else { panic!("{report:?}") };
    let size = line.total_bytes;
    assert_eq!(line.download_bytes, Some(size));
    assert!(line.borrow_bytes.is_some_and(|bytes| bytes > size * 95 / 100), "{line:?}");
    // What is not updated is not asked for.
    let report = project.manager().lock(&[], LockOptions::default()).unwrap();
    assert_eq!(report.entries[0].borrow_bytes, None);
}

#[test]
fn damage_is_mended_without_the_network_where_another_file_has_the_tensor() {
    let machine = machine();
    machine.hub.repo("acme/twin").lfs("twin-Q4_K_M.gguf", renamed()).commit();
    let project = &machine.project;
    project.download("acme/twin").unwrap();
    let content = machine.hub.content(OWL, FILE);
    let blob = project.blob(&content);
    for at in [3 * MIB, 4 * MIB - 1, 7 * MIB + 77] {
        damage(&blob, at as usize);
    }
    let offline = project.offline();
    let manager = offline.manager();
    let before = machine.requests();
    let report = manager.repair(&manager.verify(&[], CheckMode::Full).unwrap()).unwrap();
    assert_eq!((report.download_bytes, report.repairs.len()), (0, 1));
    assert!(report.repairs[0].repaired, "{report:?}");
    assert_eq!(machine.requests(), before);
    assert!(fs::read(&blob).unwrap() == content.bytes());
    project.assert_promises();
}

#[test]
fn of_damage_that_no_other_file_has_only_that_is_fetched() {
    let machine = machine();
    let other = Spec { seed: 9, ..spec() };
    machine.hub.repo("acme/twin").lfs("twin-Q4_K_M.gguf", other.bytes()).commit();
    let project = &machine.project;
    project.download("acme/twin").unwrap();
    let content = machine.hub.content(OWL, FILE);
    let blob = project.blob(&content);
    damage(&blob, 5 * MIB as usize);
    let manager = project.manager();
    let report = manager.repair(&manager.verify(&[], CheckMode::Full).unwrap()).unwrap();
    assert_eq!((report.download_bytes, report.repairs[0].repaired), (MIB, true));
    assert!(fs::read(&blob).unwrap() == content.bytes());
}

#[test]
fn the_store_keeps_little_of_headers_and_drops_what_is_gone() {
    let machine = machine();
    let project = &machine.project;
    let store = Store::open(Arc::new(machine.disk.clone()), &project.store()).unwrap();
    let mut entries = Vec::new();
    store.each_header(|entry| entries.push(*entry)).unwrap();
    let [entry] = entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.size, entry.tensors as usize), (spec().bytes().len() as u64, entry.kept().len()));
    assert!(entry.bytes > 8 * MIB && fs::metadata(&kept(project)[0]).unwrap().len() < 300);
    // The next entry of the same file of the store is written without one of a blob that is gone.
    fs::remove_file(project.blob(&machine.hub.content(OWL, FILE))).unwrap();
    let mut newer = entry;
    newer.place.commit = 7;
    store.keep_headers(&[newer]).unwrap();
    assert!(store.headers_of(&entry.digest).unwrap().is_empty());
}

/// Changes a byte of a read-only file as a broken disk would.
fn damage(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    let mut mode = fs::metadata(path).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "it is made so for a moment, in a test")]
    mode.set_readonly(false);
    fs::set_permissions(path, mode.clone()).unwrap();
    fs::write(path, bytes).unwrap();
    mode.set_readonly(true);
    fs::set_permissions(path, mode).unwrap();
}
