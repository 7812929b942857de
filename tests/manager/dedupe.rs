//! Equal files of applications share their bytes, and are own copies again afterwards: at no moment is a byte of theirs another.

use crate::{apps::Desk, faulty_disk::Rule, kit::*, support::hub::Content};
use model_manager::{
    App, DedupeOptions, DedupePlan, ErrorKind, Result, Selector,
    reports::{DedupeReport, DedupeUndoReport, Sharing},
};
use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The mode and a hash of each file.
type Contents = BTreeMap<PathBuf, (u32, u64)>;

/// Ollama and LM Studio have the same content, in files of their own.
struct Twins {
    desk: Desk,
    content: Content,
    ollama: PathBuf,
    lm_studio: PathBuf,
}

impl Twins {
    fn new() -> Self {
        let (desk, content) = (Desk::new(), Content::synthetic(9000, 60));
        let ollama = desk.in_ollama("owl", &content);
        let lm_studio = desk.write("lms/acme/Owl/owl.Q4_K_M.gguf", content.bytes());
        let twins = Self { desk, content, ollama, lm_studio };
        let day = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        fs::File::open(&twins.lm_studio).unwrap().set_modified(day).unwrap();
        twins
    }

    fn plan(&self, change: impl FnOnce(&mut DedupeOptions)) -> DedupePlan {
        let mut options = DedupeOptions::default();
        change(&mut options);
        self.desk.project.manager().plan_dedupe(&options).unwrap()
    }

    fn dedupe(&self) -> Result<DedupeReport> {
        let manager = self.desk.project.manager();
        manager.dedupe(&manager.plan_dedupe(&DedupeOptions::default())?)
    }

    fn undo(&self, from: &[App]) -> Result<DedupeUndoReport> {
        self.desk.project.manager().undo_dedupe(from, &[])
    }

    /// Names, modes and hashes of contents; which file it is does not count.
    fn contents(&self) -> Contents {
        let all = self.desk.seen("ollama").into_iter().chain(self.desk.seen("lms"));
        let hash = |bytes: &[u8]| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        all.map(|(path, (_, mode, _, content))| (path, (mode, hash(&content)))).collect()
    }

    fn share(&self) -> bool {
        fs::metadata(&self.ollama).unwrap().ino() == fs::metadata(&self.lm_studio).unwrap().ino()
    }

    /// Whether a record of a replacement is left.
    fn has_record(&self) -> bool {
        let roots = self.desk.project.store().join("roots");
        let projects = fs::read_dir(roots).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut names = projects.flat_map(|dir| fs::read_dir(dir).into_iter().flatten()).map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with("~replacement-"))
    }
}

fn stat(path: &Path) -> (u64, u32, i64) {
    let stat = fs::metadata(path).unwrap();
    (stat.ino(), stat.permissions().mode(), stat.mtime())
}

#[test]
fn equal_files_of_two_applications_share_their_bytes_and_have_copies_of_their_own_again() {
    let twins = Twins::new();
    let (before, times) = (twins.contents(), stat(&twins.lm_studio));
    let plan = twins.plan(|_| ());
    assert_eq!((plan.report.files.len(), plan.report.dry_run), (1, true));
    assert!(twins.contents() == before && !twins.share(), "a plan changes nothing");
    let report = twins.desk.project.manager().dedupe(&plan).unwrap();
    assert_eq!((report.files.len(), report.problems.len(), report.failure), (1, 0, None), "{:?}", report.problems);
    assert!(report.totals.freed_bytes >= 9000);
    assert_eq!(twins.share(), report.files[0].sharing == Some(Sharing::HardLink));
    assert_eq!(twins.contents(), before);
    assert!(twins.plan(|_| ()).report.files.is_empty(), "once is enough");
    let undone = twins.undo(&[]).unwrap();
    assert_eq!((undone.files.len(), undone.left.len(), undone.copied_bytes), (1, 0, 9000));
    assert!(!twins.share() && !twins.has_record());
    assert_eq!(twins.contents(), before);
    let now = stat(&twins.lm_studio);
    assert!(now.1 == times.1 && (now.2 == times.2 || undone.files[0].path != twins.lm_studio), "mode and time are as before");
    refused(twins.undo(&[]), ErrorKind::NotFound);
    twins.desk.project.assert_promises();
}

#[test]
fn the_file_that_is_adopted_is_the_one_that_stays() {
    let twins = Twins::new();
    let adopted = twins.desk.adopt(&["owl:latest"], |_| ()).unwrap();
    let report = twins.dedupe().unwrap();
    if adopted.models[0].files[0].sharing == Some(Sharing::HardLink) {
        let replaced: Vec<&PathBuf> = report.files.iter().map(|file| &file.path).collect();
        assert_eq!(replaced.iter().map(|path| path.file_name()).collect::<Vec<_>>(), [twins.lm_studio.file_name()]);
        assert_eq!(stat(&twins.lm_studio).0, fs::metadata(twins.desk.project.blob(&twins.content)).unwrap().ino());
    }
    twins.desk.project.manager().remove(&Selector::new("owl-latest").unwrap(), false, false).unwrap();
    twins.undo(&[App::LmStudio]).unwrap();
    assert!(!twins.share());
    twins.desk.project.assert_promises();
}

#[test]
fn a_read_only_blob_takes_the_place_of_a_writable_file_only_where_that_is_asked_for() {
    let twins = Twins::new();
    let content = twins.desk.machine.content();
    twins.desk.project.download("tiny:q4_k_m").unwrap();
    fs::remove_file(&twins.ollama).unwrap();
    fs::remove_file(&twins.lm_studio).unwrap();
    let theirs = twins.desk.write("lms/acme/Tiny/tiny.gguf", content.bytes());
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    let before = stat(&theirs);
    let report = twins.dedupe().unwrap();
    if report.files.is_empty() {
        assert!(report.problems.iter().any(|problem| problem.problem.contains("no reflinks")), "{:?}", report.problems);
        assert_eq!((stat(&theirs), report.failure), (before, Some(ErrorKind::Failed)));
        let plan = twins.plan(|options| options.protect = true);
        let report = twins.desk.project.manager().dedupe(&plan).unwrap();
        assert_eq!(report.files[0].sharing, Some(Sharing::HardLink), "{:?}", report.problems);
        assert_eq!(stat(&theirs).1 & 0o777, 0o444);
    }
    twins.undo(&[]).unwrap();
    assert_eq!((stat(&theirs).1, stat(&theirs).2), (before.1, before.2), "it can be written again");
    twins.desk.project.assert_promises();
}

#[test]
fn a_damaged_blob_replaces_nothing() {
    let twins = Twins::new();
    twins.desk.project.download("tiny:q4_k_m").unwrap();
    let content = twins.desk.machine.content();
    let theirs = twins.desk.write("lms/acme/Tiny/tiny.gguf", content.bytes());
    let blob = twins.desk.project.blob(&content);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut wrong = content.bytes();
    wrong[100] ^= 1;
    fs::write(&blob, wrong).unwrap();
    let report = twins.desk.project.manager().dedupe(&twins.plan(|options| options.protect = true)).unwrap();
    assert!(report.files.iter().all(|file| file.path != theirs), "{:?}", report.files);
    assert!(fs::read(&theirs).unwrap() == content.bytes());
}

#[test]
fn what_changed_since_it_was_hashed_or_is_being_written_stays() {
    let twins = Twins::new();
    let plan = twins.plan(|options| options.from = vec![App::LmStudio]);
    assert_eq!(plan.report.files.len(), 1);
    let mut changed = twins.content.bytes();
    changed[5] ^= 1;
    fs::write(&twins.lm_studio, &changed).unwrap();
    let report = twins.desk.project.manager().dedupe(&plan).unwrap();
    assert!(report.files.is_empty() && report.problems[0].problem.contains("changed"), "{:?}", report.problems);
    assert_eq!(fs::read(&twins.lm_studio).unwrap(), changed);
    fs::write(&twins.lm_studio, twins.content.bytes()).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&twins.lm_studio).unwrap();
    let plan = twins.plan(|_| ());
    assert!(plan.report.files.is_empty(), "{:?}", plan.report.files);
    assert!(plan.report.problems[0].problem.contains("open for writing"), "{:?}", plan.report.problems);
    drop(writer);
    assert_eq!(twins.plan(|_| ()).report.files.len(), 1);
}

#[test]
fn what_the_application_replaced_or_removed_meanwhile_is_left_to_it() {
    for is_removed in [true, false] {
        let twins = Twins::new();
        let replaced = twins.dedupe().unwrap().files[0].path.clone();
        fs::remove_file(&replaced).unwrap();
        if !is_removed {
            fs::write(&replaced, "something new").unwrap();
        }
        let undone = twins.undo(&[]).unwrap();
        assert_eq!((undone.files.len(), undone.left.len()), (0, 1));
        assert!(!twins.has_record());
        assert_eq!(fs::read(&replaced).ok(), (!is_removed).then(|| b"something new".to_vec()));
    }
}

#[test]
fn a_record_that_names_a_folder_of_others_changes_nothing_there() {
    let twins = Twins::new();
    twins.dedupe().unwrap();
    let victim = twins.desk.write("victim/file", twins.content.bytes());
    let ino = stat(&victim).0;
    let project = fs::read_dir(twins.desk.project.store().join("roots")).unwrap().next().unwrap().unwrap().path();
    let is_record = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("~replacement-");
    let record = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path()).find(is_record).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    json["replacement"]["path"] = victim.to_str().unwrap().into();
    json["replacement"]["ino"] = ino.into();
    for dir in [json["replacement"]["dir"].clone(), victim.parent().unwrap().to_str().unwrap().into()] {
        json["replacement"]["dir"] = dir;
        fs::write(&record, json.to_string()).unwrap();
        let _whatever_it_says = twins.undo(&[]);
        let _whatever_it_says = twins.desk.adopt(&["owl"], |_| ());
        assert_eq!(stat(&victim).0, ino);
    }
}

#[test]
fn a_replacement_that_fails_or_dies_at_any_step_is_done_or_undone_by_the_next_command() {
    let twins = Twins::new();
    twins.desk.project.manager().init(false, None).unwrap();
    let disk = &twins.desk.machine.disk;
    twins.dedupe().unwrap();
    twins.undo(&[]).unwrap();
    let before = twins.contents();
    disk.set(Rule::Never);
    twins.dedupe().unwrap();
    let steps = disk.count();
    disk.set(Rule::Never);
    twins.undo(&[]).unwrap();
    let undoing = disk.count();
    assert!(steps > 10 && undoing > 8, "{steps} and {undoing} steps");
    let own_names = |contents: Contents| -> Contents {
        let is_own = |path: &Path| !path.file_name().unwrap().to_string_lossy().starts_with(".model-manager-");
        contents.into_iter().filter(|(path, _)| is_own(path)).collect()
    };
    for step in 1..=steps.max(undoing) {
        for is_end in [false, true] {
            let rule = |step| if is_end { Rule::Dead(step) } else { Rule::Once(step, io::ErrorKind::Other) };
            disk.set(rule(step));
            let _ends_as_it_may = twins.dedupe();
            assert_eq!(own_names(twins.contents()), before, "step {step} of {steps}");
            disk.set(Rule::Never);
            twins.dedupe().unwrap();
            assert_eq!(twins.contents(), before, "after step {step} of {steps}");
            if !twins.has_record() {
                // It was undone.
                twins.dedupe().unwrap();
            }
            assert!(twins.has_record() && twins.contents() == before, "after step {step} of {steps}");
            disk.set(rule(step.min(undoing)));
            let _ends_as_it_may = twins.undo(&[]);
            assert_eq!(own_names(twins.contents()), before, "undoing, step {step} of {undoing}");
            disk.set(Rule::Never);
            match twins.undo(&[]) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => drop(other.unwrap()),
            }
            assert!(!twins.has_record() && !twins.share(), "undoing, step {step} of {undoing}");
            assert_eq!(twins.contents(), before, "undone, step {step} of {undoing}");
            twins.desk.project.assert_promises();
        }
    }
}
