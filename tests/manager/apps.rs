//! Models of other applications: taken over without a copy, used in place of a download, and left exactly as they were.

use crate::{
    faulty_disk::{Op, Rule},
    kit::*,
    support::hub::Content,
};
use model_manager::{
    AdoptOptions, App, AppPlace, Call, DownloadOptions, ErrorKind, Event, Result, Selector,
    reports::{AdoptReport, FileSupply, Sharing},
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What a file of an application is: its inode, mode, time and content.
pub type Seen = BTreeMap<PathBuf, (u64, u32, i64, Vec<u8>)>;

/// A machine on which applications have models.
pub struct Desk {
    pub machine: Machine,
    pub project: Project,
}

impl Desk {
    pub fn new() -> Self {
        Self::of(Machine::new())
    }

    pub fn of(machine: Machine) -> Self {
        let dir = |name: &str| machine.dir.path().join(name);
        let place = |app: App, name: &str| AppPlace::new(app, dir(name));
        let apps =
            vec![place(App::Hf, "hf"), place(App::Ollama, "ollama"), place(App::LmStudio, "lms"), place(App::Gpt4All, "gpt")];
        let project = machine.project.with(|settings| settings.apps = apps);
        Self { machine, project }
    }

    pub fn write(&self, below: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.machine.dir.path().join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A model of Ollama with this content.
    pub fn in_ollama(&self, name: &str, content: &Content) -> PathBuf {
        let digest = content.sha256();
        let layer =
            format!(r#"{{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{digest}","size":{}}}"#, content.len());
        self.write(&format!("ollama/manifests/registry.ollama.ai/library/{name}/latest"), format!(r#"{{"layers":[{layer}]}}"#));
        self.write(&format!("ollama/blobs/sha256-{digest}"), content.bytes())
    }

    pub fn seen(&self, below: &str) -> Seen {
        let (mut seen, mut todo) = (Seen::new(), vec![self.machine.dir.path().join(below)]);
        while let Some(path) = todo.pop() {
            let stat = fs::symlink_metadata(&path).unwrap();
            if stat.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else {
                let content = if stat.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                seen.insert(path, (stat.ino(), stat.permissions().mode(), stat.mtime_nsec(), content));
            }
        }
        seen
    }

    pub fn adopt(&self, what: &[&str], change: impl FnOnce(&mut AdoptOptions)) -> Result<AdoptReport> {
        let mut options = AdoptOptions::default();
        options.what = what.iter().map(|what| (*what).to_owned()).collect();
        change(&mut options);
        self.project.manager().adopt(&options)
    }

    pub fn download(&self, what: &str) -> (Vec<Event>, FileSupply) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        let call = Call::new(move |event: &Event| told.lock().unwrap().push(event.clone()));
        let manager = self.project.session.blocking(call);
        let report = manager.download(&Selector::new(what).unwrap(), &DownloadOptions::default()).unwrap();
        let events = heard.lock().unwrap().clone();
        (events, report.files[0].state)
    }
}

pub fn views(report: &AdoptReport) -> Vec<String> {
    report.models.iter().map(|model| model.view.to_string()).collect()
}

#[test]
fn a_model_of_ollama_is_taken_over_without_a_copy_and_ollama_keeps_its_own() {
    let desk = Desk::new();
    let content = Content::synthetic(5000, 40);
    let theirs = desk.in_ollama("owl", &content);
    let before = desk.seen("ollama");
    let plan = desk.adopt(&["owl"], |options| options.dry_run = true).unwrap();
    assert_eq!((views(&plan), plan.models[0].files[0].sharing), (vec!["owl-latest/gguf/unknown".to_owned()], None));
    assert!(!desk.project.store().exists());
    let report = desk.adopt(&["owl:latest"], |_| ()).unwrap();
    assert_eq!((report.totals.total_bytes, report.totals.copied_bytes, report.problems.len()), (5000, 0, 0));
    assert_eq!(desk.seen("ollama"), before);
    desk.project.assert_shown("owl-latest/gguf/unknown/owl-latest.gguf", &content);
    desk.project.assert_promises();
    let ours = fs::metadata(desk.project.blob(&content)).unwrap();
    let is_link = report.models[0].files[0].sharing == Some(Sharing::HardLink);
    assert_eq!(is_link, ours.ino() == fs::metadata(&theirs).unwrap().ino());
    // What ollama removes stays here, and what is removed here stays there.
    let again = desk.adopt(&["owl"], |_| ()).unwrap();
    assert_eq!(again.models[0].files[0].sharing, Some(Sharing::Present));
    desk.project.manager().remove(&Selector::new("owl-latest").unwrap(), false, false).unwrap();
    assert_eq!(desk.seen("ollama"), before);
    assert_eq!(desk.machine.requests(), 0);
}

#[test]
fn content_that_the_registry_knows_gets_the_name_that_it_has_there() {
    let desk = Desk::new();
    desk.in_ollama("some-name", &desk.machine.content());
    let report = desk.adopt(&["some-name"], |_| ()).unwrap();
    assert_eq!(views(&report), ["tiny/gguf/q4_k_m"]);
    desk.project.assert_shown(SHOWN, &desk.machine.content());
    // It is verified, for the registry's hash was compared.
    assert_eq!(desk.download("tiny:q4_k_m").1, FileSupply::Present);
    let verified = desk.project.manager().verify(&[], model_manager::CheckMode::Full).unwrap();
    assert_eq!(verified[0].state, model_manager::reports::VerifyState::Ok);
    assert_eq!(desk.machine.requests(), 0);
}

#[test]
fn the_cache_of_huggingface_hub_gives_sets_and_files_under_the_name_of_their_repository() {
    let desk = Desk::new();
    let (weights, config) = (Content::synthetic(4000, 41), Content::from("{\"architectures\":[]}"));
    let root = "hf/models--acme--Set";
    let snapshot = format!("{root}/snapshots/{}", "0".repeat(40));
    for (content, etag, path) in [(&weights, weights.sha256(), "model.safetensors"), (&config, config.git_sha1(), "config.json")] {
        desk.write(&format!("{root}/blobs/{etag}"), content.bytes());
        let link = desk.machine.dir.path().join(&snapshot).join(path);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(format!("../../blobs/{etag}"), link).unwrap();
    }
    let before = desk.seen("hf");
    let report = desk.adopt(&[], |options| options.from = vec![App::Hf]).unwrap();
    assert_eq!(views(&report), ["acme--Set/safetensors"]);
    desk.project.assert_shown("acme--Set/safetensors/model.safetensors", &weights);
    desk.project.assert_shown("acme--Set/safetensors/config.json", &config);
    desk.project.assert_promises();
    assert_eq!(desk.seen("hf"), before, "links are followed, and stay");
}

#[test]
fn a_folder_and_a_file_that_are_named_are_taken_over() {
    let desk = Desk::new();
    let content = Content::synthetic(3000, 42);
    let file = desk.write("downloads/bird.Q5_K_M.gguf", content.bytes());
    let report = desk.adopt(&[file.to_str().unwrap()], |_| ()).unwrap();
    assert_eq!(views(&report), ["bird.Q5_K_M/gguf/q5_k_m"]);
    desk.project.assert_shown("bird.Q5_K_M/gguf/q5_k_m/bird.Q5_K_M.gguf", &content);
    desk.write("disk/a/one.Q8_0.gguf", Content::synthetic(100, 43).bytes());
    desk.write("disk/two.Q8_0.gguf", Content::synthetic(100, 44).bytes());
    let disk = desk.machine.dir.path().join("disk");
    assert_eq!(desk.adopt(&[disk.to_str().unwrap()], |_| ()).unwrap().models.len(), 2);
    desk.project.assert_promises();
}

#[test]
fn a_wanted_file_that_an_application_has_is_not_downloaded() {
    let desk = Desk::new();
    let content = desk.machine.content();
    desk.in_ollama("whatever", &content);
    let before = desk.seen("ollama");
    let plan = desk.project.manager().plan_download(&Selector::new("tiny:q4_k_m").unwrap(), &DownloadOptions::default()).unwrap();
    assert_eq!((plan.download_bytes, plan.files[0].state), (0, FileSupply::Local));
    let (events, state) = desk.download("tiny:q4_k_m");
    assert_eq!((state, desk.machine.requests()), (FileSupply::Local, 0));
    let told = events.iter().any(|event| matches!(event, Event::Notice(notice) if notice.to_string().contains("came from Ollama")));
    assert!(told, "{events:?}");
    desk.project.assert_shown(SHOWN, &content);
    desk.project.assert_promises();
    assert_eq!(desk.seen("ollama"), before);
    // By size and name, where no hash is claimed.
    let q8 = desk.machine.hub.content(REPO, Q8);
    desk.write(&format!("lms/acme/Tiny-GGUF/{Q8}"), q8.bytes());
    assert_eq!((desk.download("tiny:q8_0").1, desk.machine.requests()), (FileSupply::Local, 0));
}

#[test]
fn who_wants_nothing_of_applications_downloads() {
    let desk = Desk::new();
    desk.in_ollama("whatever", &desk.machine.content());
    let project = desk.project.with(|settings| settings.no_apps = true);
    project.download("tiny:q4_k_m").unwrap();
    assert!(desk.machine.hub.count().content_bytes() > 0);
}

#[test]
fn a_file_that_is_not_what_its_application_claims_is_downloaded_and_told() {
    let desk = Desk::new();
    let content = desk.machine.content();
    let path = desk.in_ollama("liar", &content);
    let mut wrong = content.bytes();
    wrong[7] ^= 1;
    fs::write(&path, &wrong).unwrap();
    let before = desk.seen("ollama");
    let (events, _) = desk.download("tiny:q4_k_m");
    let told =
        events.iter().any(|event| matches!(event, Event::Warning(warning) if warning.message.contains("not taken from Ollama")));
    assert!(told, "{events:?}");
    assert_eq!(desk.machine.hub.count().content_bytes(), content.len());
    desk.project.assert_shown(SHOWN, &content);
    desk.project.assert_promises();
    assert_eq!(desk.seen("ollama"), before, "its mode and content are as they were");
}

#[test]
fn what_an_application_has_is_told_with_what_stands_twice() {
    let desk = Desk::new();
    let content = desk.machine.content();
    desk.in_ollama("owl", &content);
    desk.write("ollama/manifests/registry.ollama.ai/library/broken/latest", "{");
    desk.project.download("tiny:q8_0").unwrap();
    let root = "hf/models--acme--Tiny";
    desk.write(&format!("{root}/blobs/{}", content.sha256()), content.bytes());
    let snapshot = desk.machine.dir.path().join(format!("{root}/snapshots/{}", "0".repeat(40)));
    fs::create_dir_all(&snapshot).unwrap();
    std::os::unix::fs::symlink(format!("../../blobs/{}", content.sha256()), snapshot.join("tiny.gguf")).unwrap();
    let apps = desk.project.manager().apps().unwrap();
    let lines: Vec<_> = apps.iter().map(|app| (app.app.as_str(), app.models.len(), app.total_bytes, app.double_bytes)).collect();
    assert_eq!(lines, [("hf", 1, 5000, 5000), ("ollama", 1, 5000, 5000)]);
    assert_eq!((apps[1].problems.len(), apps[1].stored_bytes), (1, 0));
    desk.adopt(&["owl"], |_| ()).unwrap();
    assert_eq!(desk.project.manager().apps().unwrap()[1].stored_bytes, 5000);
}

#[test]
fn what_no_application_has_is_refused_with_the_nearest() {
    let desk = Desk::new();
    desk.in_ollama("owl", &desk.machine.content());
    let error = refused(desk.adopt(&["owll:latest"], |_| ()), ErrorKind::NotFound);
    assert!(error.message().contains("no application here has a model `owll:latest`"), "{error}");
}

#[test]
fn a_file_that_somebody_writes_is_left_out() {
    let desk = Desk::new();
    let path = desk.in_ollama("owl", &Content::synthetic(900, 45));
    let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let report = desk.adopt(&["owl"], |_| ()).unwrap();
    let problem = report.problems.first().map(|problem| problem.problem.as_str());
    let is_reflink = report.models.first().is_some_and(|model| model.files[0].sharing == Some(Sharing::Reflink));
    assert!(is_reflink || problem.is_some_and(|problem| problem.contains("a program has it open for writing")), "{problem:?}");
    drop(writer);
    assert_eq!(desk.adopt(&["owl"], |_| ()).unwrap().models.len(), 1);
}

#[test]
fn a_file_that_is_here_already_becomes_read_only_where_it_is_the_blob_and_else_that_is_reported() {
    let desk = Desk::new();
    let path = desk.in_ollama("owl", &Content::synthetic(900, 46));
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let first = desk.adopt(&["owl"], |_| ()).unwrap();
    let is_blob = first.models[0].files[0].sharing == Some(Sharing::HardLink);
    assert_eq!(mode(), 0o644);
    let report = desk.adopt(&["owl"], |options| options.protect = true).unwrap();
    assert_eq!(report.models[0].files[0].sharing, Some(Sharing::Present));
    assert_eq!((mode() == 0o444, report.problems.is_empty()), (is_blob, is_blob), "{:?}", report.problems);
    // The same content in a file of its own.
    desk.write("lms/acme/owl/owl.Q4_K_M.gguf", Content::synthetic(900, 46).bytes());
    let report = desk.adopt(&["acme/owl"], |options| options.protect = true).unwrap();
    assert!(report.problems[0].problem.contains("it was not made read-only"), "{:?}", report.problems);
    desk.project.assert_promises();
}

#[test]
fn what_no_application_shares_any_more_is_read_only_after_a_check() {
    let desk = Desk::new();
    let content = Content::synthetic(900, 46);
    let path = desk.in_ollama("owl", &content);
    desk.adopt(&["owl"], |_| ()).unwrap();
    fs::remove_file(&path).unwrap();
    desk.project.manager().verify(&[], model_manager::CheckMode::Quick).unwrap();
    assert_eq!(fs::metadata(desk.project.blob(&content)).unwrap().permissions().mode() & 0o222, 0);
    desk.project.assert_promises();
}

#[test]
fn what_can_be_taken_is_taken_and_the_first_failure_is_reported() {
    let desk = Desk::new();
    desk.in_ollama("owl", &Content::synthetic(900, 46));
    let error = refused(desk.adopt(&["./missing.gguf"], |_| ()), ErrorKind::NotFound);
    assert_eq!(error.message(), "there is no file or folder `./missing.gguf`");
    let report = desk.adopt(&["owl", "./missing.gguf", "crow"], |_| ()).unwrap();
    assert_eq!((report.models.len(), report.failure), (1, Some(ErrorKind::NotFound)));
    let problems: Vec<_> = report.problems.iter().map(|problem| problem.path.to_string_lossy().into_owned()).collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].ends_with("missing.gguf") && problems[1] == "crow", "{problems:?}");
}

#[test]
fn a_file_on_another_volume_is_taken_only_as_a_copy_and_only_where_there_is_room() {
    let desk = Desk::new();
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if fs::metadata(other.path()).unwrap().dev() == fs::metadata(desk.machine.dir.path()).unwrap().dev() {
        return;
    }
    let (file, content) = (other.path().join("far.Q4_K_M.gguf"), Content::synthetic(5000, 48));
    fs::write(&file, content.bytes()).unwrap();
    let adopt = |copy| desk.adopt(&[file.to_str().unwrap()], |options| options.copy = copy).unwrap();
    let report = adopt(false);
    assert!(report.problems[0].problem.contains("another volume"), "{:?}", report.problems);
    let is_full = |op, _: &Path| matches!(op, Op::Allocate).then_some(io::ErrorKind::StorageFull);
    desk.machine.disk.set(Rule::Pick(Box::new(is_full)));
    assert_eq!(adopt(true).failure, Some(ErrorKind::NoSpace));
    desk.machine.disk.set(Rule::Never);
    desk.project.assert_promises();
    assert_eq!(adopt(true).totals.copied_bytes, 5000);
    desk.project.assert_shown("far.Q4_K_M/gguf/q4_k_m/far.Q4_K_M.gguf", &content);
    desk.project.assert_promises();
}

#[test]
fn a_file_that_its_application_changes_while_it_is_taken_is_not_taken() {
    let desk = Desk::new();
    let path = desk.in_ollama("owl", &Content::synthetic(5000, 49));
    let theirs = path.clone();
    desk.machine.disk.on_read(move |opened| {
        if opened.ends_with("data") {
            fs::write(&theirs, "something else").unwrap();
        }
    });
    let report = desk.adopt(&["owl"], |_| ()).unwrap();
    assert!(report.models.is_empty() && report.problems[0].problem.contains("changed"), "{:?}", report.problems);
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    desk.project.assert_promises();
}

#[test]
fn an_application_whose_volume_does_not_answer_keeps_nothing_from_being_downloaded() {
    let desk = Desk::new();
    desk.in_ollama("owl", &desk.machine.content());
    let (never, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    desk.machine.disk.on_read(move |path| {
        if path.components().any(|part| part.as_os_str() == "manifests") {
            // Until the end of the test.
            let _ = wait.lock().unwrap().recv();
        }
    });
    assert_eq!(desk.download("tiny:q4_k_m").1, FileSupply::Fetch);
    desk.project.assert_promises();
    drop(never);
}

#[test]
fn a_shared_file_becomes_read_only_where_that_is_asked_for() {
    let desk = Desk::new();
    let path = desk.in_ollama("owl", &Content::synthetic(900, 46));
    let report = desk.adopt(&["owl"], |options| options.protect = true).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode == 0o444, report.models[0].files[0].sharing == Some(Sharing::HardLink));
}

#[test]
fn an_adoption_that_dies_at_any_step_leaves_the_application_alone_and_is_done_again() {
    let machine = Machine::new();
    machine.project.manager().init(false, None).unwrap();
    let desk = Desk::of(machine);
    desk.in_ollama("owl", &Content::synthetic(5000, 47));
    let before = desk.seen("ollama");
    let remove = || match desk.project.manager().remove(&Selector::new("owl-latest").unwrap(), false, false) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => drop(other.unwrap()),
    };
    desk.adopt(&["owl"], |_| ()).unwrap();
    remove();
    desk.machine.disk.set(Rule::Never);
    desk.adopt(&["owl"], |_| ()).unwrap();
    let steps = desk.machine.disk.count();
    assert!(steps > 10, "{steps} steps");
    for step in 1..=steps {
        remove();
        for rule in [Rule::Once(step, io::ErrorKind::Other), Rule::Dead(step)] {
            desk.machine.disk.set(rule);
            let _ends_as_it_may = desk.adopt(&["owl"], |_| ());
            desk.machine.disk.set(Rule::Never);
            assert_eq!(desk.seen("ollama"), before, "step {step} of {steps}");
            desk.project.assert_promises();
        }
        let report = desk.adopt(&["owl"], |_| ()).unwrap();
        assert_eq!((report.models.len(), report.problems.len()), (1, 0), "step {step} of {steps}: {:?}", report.problems);
        desk.project.assert_promises();
        assert_eq!(desk.seen("ollama"), before, "step {step} of {steps}");
    }
}

#[test]
fn nothing_of_an_application_is_needed_to_download() {
    let desk = Desk::new();
    desk.write("ollama/manifests", "a file where a folder belongs");
    fs::create_dir_all(desk.machine.dir.path().join("lms/acme")).unwrap();
    std::os::unix::fs::symlink("x", desk.machine.dir.path().join("lms/acme/x")).unwrap();
    desk.project.download("tiny:q4_k_m").unwrap();
    assert!(Path::new(&desk.project.blob(&desk.machine.content())).exists());
}
