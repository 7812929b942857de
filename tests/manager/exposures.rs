//! Models that are shown to other applications: under their conventions, kept by a root, and taken back exactly.

use crate::{faulty_disk::Rule, kit::*};
use model_manager::{
    App, AppPlace, ErrorKind, ExposeTarget, GcOptions, Result, Selector,
    reports::{ExposeReport, UnexposeReport},
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Every name below the folders of applications, with inode and content or link.
type Seen = BTreeMap<PathBuf, (u64, String)>;

/// A machine with `tiny` in both quantizations, and applications with something of their own.
struct Desk {
    machine: Machine,
    project: Project,
}

const APPS: [(App, &str); 7] = [
    (App::Hf, "hf"),
    (App::Ollama, "ollama"),
    (App::LmStudio, "lms"),
    (App::Gpt4All, "gpt"),
    (App::TextGen, "textgen"),
    (App::Jan, "jan"),
    (App::ComfyUi, "comfy"),
];

impl Desk {
    fn new() -> Self {
        let machine = Machine::new();
        let dir = |name: &str| machine.dir.path().join("apps").join(name);
        for (_, name) in APPS {
            fs::create_dir_all(dir(name)).unwrap();
        }
        let apps = APPS.map(|(app, name)| AppPlace::new(app, dir(name))).to_vec();
        let project = machine.project.with(|settings| settings.apps = apps);
        ["tiny:q4_k_m", "tiny:q8_0"].into_iter().for_each(|name| project.download(name).unwrap());
        let desk = Self { machine, project };
        fs::write(desk.path("lms/mine.txt"), "mine").unwrap();
        fs::create_dir_all(desk.path("ollama/blobs")).unwrap();
        fs::write(desk.path("ollama/blobs/sha256-0"), "theirs").unwrap();
        desk
    }

    fn path(&self, below: &str) -> PathBuf {
        self.machine.dir.path().join("apps").join(below)
    }

    fn seen(&self) -> Seen {
        let (mut seen, mut todo) = (Seen::new(), vec![self.path("")]);
        while let Some(path) = todo.pop() {
            let stat = fs::symlink_metadata(&path).unwrap();
            if stat.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                seen.insert(path, (0, "folder".into()));
            } else if stat.is_symlink() {
                seen.insert(path.clone(), (0, fs::read_link(&path).unwrap().display().to_string()));
            } else {
                let content = fs::read(&path).unwrap();
                seen.insert(path, (stat.ino(), format!("{content:?}")));
            }
        }
        seen
    }

    fn expose(&self, what: &str, to: &ExposeTarget) -> Result<ExposeReport> {
        self.project.manager().expose(&[Selector::new(what).unwrap()], to)
    }

    fn unexpose(&self, what: &[&str], from: Option<&ExposeTarget>) -> Result<UnexposeReport> {
        let what: Vec<Selector> = what.iter().map(|what| Selector::new(*what).unwrap()).collect();
        self.project.manager().unexpose(&what, from)
    }

    fn blob(&self) -> fs::Metadata {
        fs::metadata(self.project.blob(&self.machine.content())).unwrap()
    }

    #[track_caller]
    fn assert_is_blob(&self, below: &str) {
        let path = self.path(below);
        assert_eq!(fs::metadata(&path).unwrap_or_else(|error| panic!("{below}: {error}")).ino(), self.blob().ino(), "{below}");
    }
}

fn to(app: App) -> ExposeTarget {
    ExposeTarget::App(app)
}

#[test]
fn each_application_sees_the_model_under_its_own_convention_and_taking_it_back_leaves_no_trace() {
    let desk = Desk::new();
    let digest = desk.machine.content().sha256().to_owned();
    let before = desk.seen();
    let commit = desk.machine.hub.commit_of(REPO, "main");
    let places = [
        (App::Hf, format!("hf/models--acme--Tiny-GGUF/blobs/{digest}"), "acme/Tiny-GGUF"),
        (App::Ollama, format!("ollama/blobs/sha256-{digest}"), "hf.co/acme/Tiny-GGUF:Q4_K_M"),
        (App::LmStudio, format!("lms/acme/Tiny-GGUF/{Q4}"), "acme/Tiny-GGUF"),
        (App::Gpt4All, format!("gpt/{Q4}"), Q4),
        (App::TextGen, format!("textgen/{Q4}"), Q4),
    ];
    for (app, place, name) in places {
        let report = desk.expose("tiny:q4_k_m", &to(app)).unwrap();
        assert_eq!(report.models[0].name, name);
        desk.assert_is_blob(&place);
        if app == App::Hf {
            let snapshot = desk.path(&format!("hf/models--acme--Tiny-GGUF/snapshots/{commit}/{Q4}"));
            assert_eq!(fs::read_link(&snapshot).unwrap(), Path::new(&format!("../../blobs/{digest}")));
            assert_eq!(fs::metadata(snapshot).unwrap().ino(), desk.blob().ino());
            assert_eq!(fs::read_to_string(desk.path("hf/models--acme--Tiny-GGUF/refs/main")).unwrap(), commit);
        }
        let again = desk.expose("tiny:q4_k_m", &to(app)).unwrap();
        assert!(!again.models[0].changed, "{app}");
        let undone = desk.unexpose(&["tiny:q4_k_m"], Some(&to(app))).unwrap();
        assert_eq!((undone.models.len(), undone.left.len()), (1, 0), "{app}");
        assert_eq!(desk.seen(), before, "{app}");
    }
    desk.project.assert_promises();
    assert!(desk.unexpose(&[], None).is_err(), "nothing is shown any more");
}

#[test]
fn a_manifest_of_ollama_names_the_blob_and_its_configuration() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    let manifest = fs::read_to_string(desk.path("ollama/manifests/hf.co/acme/Tiny-GGUF/Q4_K_M")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{}", desk.machine.content().sha256()));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.ollama.image.model");
    let config = manifest["config"]["digest"].as_str().unwrap().replace(':', "-");
    let config = fs::read(desk.path("ollama/blobs").join(config)).unwrap();
    assert_eq!(manifest["config"]["size"], config.len());
    // Its own scan finds the model.
    let apps = desk.project.manager().apps().unwrap();
    let ollama = apps.iter().find(|app| app.app == "ollama").unwrap();
    assert_eq!((ollama.models.len(), ollama.stored_bytes), (1, 5000));
}

#[test]
fn jan_gets_the_path_of_the_view_and_no_link() {
    let desk = Desk::new();
    let before = desk.seen();
    desk.expose("tiny:q4_k_m", &to(App::Jan)).unwrap();
    let text = fs::read_to_string(desk.path("jan/llamacpp/models/tiny-q4_k_m/model.yml")).unwrap();
    assert!(text.contains(&desk.project.models.join(SHOWN).display().to_string()), "{text}");
    desk.unexpose(&[], None).unwrap();
    assert_eq!(desk.seen(), before);
}

#[test]
fn comfyui_gets_a_file_of_its_own_that_names_the_folder_of_the_model() {
    let desk = Desk::new();
    let before = desk.seen();
    desk.expose("tiny:q4_k_m", &to(App::ComfyUi)).unwrap();
    let text = fs::read_to_string(desk.path("comfy/model-manager/tiny-gguf-q4_k_m.yaml")).unwrap();
    let folder = desk.project.models.join(SHOWN).parent().unwrap().display().to_string();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let base_path = format!("  base_path: \"{folder}\"");
    assert_eq!(lines, ["\"tiny-gguf-q4_k_m\":", &base_path, "  diffusion_models: \".\"", "  text_encoders: \".\""]);
    desk.unexpose(&[], None).unwrap();
    assert_eq!(desk.seen(), before);
}

#[test]
fn llama_cpp_sees_a_model_in_the_folder_that_its_variable_names() {
    let desk = Desk::new();
    let mut own = AppPlace::new(App::LlamaCpp, desk.path("llama"));
    own.named_by = Some("LLAMA_CACHE".into());
    let project = desk.project.with(|settings| settings.apps.push(own));
    fs::create_dir_all(desk.path("llama")).unwrap();
    let before = desk.seen();
    project.manager().expose(&[Selector::new("tiny:q4_k_m").unwrap()], &to(App::LlamaCpp)).unwrap();
    desk.assert_is_blob(&format!("llama/models--acme--Tiny-GGUF/blobs/{}", desk.machine.content().sha256()));
    project.manager().unexpose(&[], Some(&to(App::LlamaCpp))).unwrap();
    assert_eq!(desk.seen(), before);
}

#[test]
fn damaged_content_is_shown_to_nobody() {
    let desk = Desk::new();
    let before = desk.seen();
    let blob = desk.project.blob(&desk.machine.content());
    std::fs::set_permissions(&blob, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&blob, "wrong").unwrap();
    refused(desk.expose("tiny:q4_k_m", &to(App::LmStudio)), ErrorKind::Damaged);
    assert_eq!(desk.seen(), before);
}

#[test]
fn models_that_share_a_place_are_shown_by_one_command_and_what_is_missing_is_made_again() {
    let desk = Desk::new();
    let before = desk.seen();
    let both = ["tiny:q4_k_m", "tiny:q8_0"].map(|name| Selector::new(name).unwrap());
    desk.project.manager().expose(&both, &to(App::Hf)).unwrap();
    let made = desk.seen();
    let blob = desk.path(&format!("hf/models--acme--Tiny-GGUF/blobs/{}", desk.machine.content().sha256()));
    fs::remove_file(&blob).unwrap();
    desk.project.manager().expose(&both, &to(App::Hf)).unwrap();
    assert_eq!(desk.seen(), made);
    desk.unexpose(&[], None).unwrap();
    assert_eq!(desk.seen(), before);
}

#[test]
fn what_is_shown_to_an_application_stays_in_the_store_until_it_is_taken_back() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::LmStudio)).unwrap();
    let blob = desk.project.blob(&desk.machine.content());
    desk.project.manager().remove(&Selector::new("tiny:q4_k_m").unwrap(), false, false).unwrap();
    let at_once = GcOptions { grace: Duration::ZERO, ..GcOptions::default() };
    desk.project.manager().gc(at_once, false, false).unwrap();
    assert!(blob.exists());
    let why = desk.project.manager().why(&desk.machine.content().sha256().parse().unwrap()).unwrap();
    assert!(why[0].users[0].to_string().contains("exposure to lm-studio"), "{:?}", why[0].users);
    desk.unexpose(&[], None).unwrap();
    desk.project.manager().gc(at_once, false, false).unwrap();
    assert!(!blob.exists());
}

#[test]
fn what_an_application_changed_meanwhile_is_left_and_told() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    let manifest = desk.path("ollama/manifests/hf.co/acme/Tiny-GGUF/Q4_K_M");
    fs::write(&manifest, "{\"layers\":[]}").unwrap();
    let undone = desk.unexpose(&["tiny:q4_k_m"], None).unwrap();
    assert_eq!(undone.left.iter().map(|left| &left.path).collect::<Vec<_>>(), [&fs::canonicalize(&manifest).unwrap()]);
    assert_eq!(fs::read_to_string(&manifest).unwrap(), "{\"layers\":[]}");
    assert!(!desk.path(&format!("ollama/blobs/sha256-{}", desk.machine.content().sha256())).exists());
    assert_eq!(fs::read_to_string(desk.path("ollama/blobs/sha256-0")).unwrap(), "theirs");
}

#[test]
fn what_an_application_removed_is_shown_again() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Gpt4All)).unwrap();
    fs::remove_file(desk.path(&format!("gpt/{Q4}"))).unwrap();
    assert!(desk.project.blob(&desk.machine.content()).exists(), "only the name went");
    assert!(desk.expose("tiny:q4_k_m", &to(App::Gpt4All)).unwrap().models[0].changed);
    desk.assert_is_blob(&format!("gpt/{Q4}"));
}

#[test]
fn a_file_of_the_application_in_the_way_is_refused_before_anything_is_made() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("lms/acme/Tiny-GGUF")).unwrap();
    fs::write(desk.path(&format!("lms/acme/Tiny-GGUF/{Q4}")), "theirs").unwrap();
    let before = desk.seen();
    let error = refused(desk.expose("tiny:q4_k_m", &to(App::LmStudio)), ErrorKind::Failed);
    assert!(error.message().contains("is there already, and is another file"), "{error}");
    for app in [App::Docker, App::RamaLama] {
        assert!(desk.expose("tiny:q4_k_m", &to(app)).is_err());
    }
    refused(desk.expose("tiny", &to(App::Gpt4All)), ErrorKind::Usage);
    refused(desk.expose("owl", &to(App::Gpt4All)), ErrorKind::NotFound);
    assert_eq!(desk.seen(), before);
    assert!(desk.project.manager().exposures().unwrap().is_empty());
}

#[test]
fn a_blob_that_the_application_has_by_itself_is_left_to_it() {
    let desk = Desk::new();
    let content = desk.machine.content();
    let theirs = desk.path(&format!("ollama/blobs/sha256-{}", content.sha256()));
    fs::write(&theirs, content.bytes()).unwrap();
    let ino = fs::metadata(&theirs).unwrap().ino();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    desk.unexpose(&[], None).unwrap();
    assert_eq!(fs::metadata(&theirs).unwrap().ino(), ino);
}

#[test]
fn a_model_is_shown_in_any_folder() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("some/where")).unwrap();
    let before = desk.seen();
    let folder = ExposeTarget::Folder(desk.path("some/where"));
    refused(desk.expose("tiny:q4_k_m", &ExposeTarget::Folder(desk.path("olama"))), ErrorKind::NotFound);
    desk.expose("tiny:q4_k_m", &folder).unwrap();
    desk.assert_is_blob(&format!("some/where/{Q4}"));
    assert_eq!(desk.project.manager().exposures().unwrap()[0].app, "folder");
    desk.unexpose(&["tiny:q4_k_m"], Some(&folder)).unwrap();
    assert_eq!(desk.seen(), before);
}

#[test]
fn two_quantizations_of_a_repository_share_what_both_need_until_the_last_is_taken_back() {
    let desk = Desk::new();
    for app in [App::Hf, App::LmStudio] {
        let before = desk.seen();
        desk.expose("tiny:q4_k_m", &to(app)).unwrap();
        let first = desk.seen();
        desk.expose("tiny:q8_0", &to(app)).unwrap();
        let refs = desk.path("hf/models--acme--Tiny-GGUF/refs/main");
        desk.unexpose(&["tiny:q8_0"], None).unwrap();
        assert_eq!(desk.seen(), first, "{app}");
        desk.expose("tiny:q8_0", &to(app)).unwrap();
        desk.unexpose(&["tiny:q4_k_m"], None).unwrap();
        assert!(app != App::Hf || refs.exists(), "the other needs it");
        assert!(!desk.expose("tiny:q8_0", &to(app)).unwrap().models[0].changed);
        desk.unexpose(&["tiny:q8_0"], None).unwrap();
        assert_eq!(desk.seen(), before, "{app}");
    }
}

#[test]
fn a_blob_that_a_manifest_of_the_application_names_by_now_stays_its_own() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    // As `ollama cp` does.
    let manifest = fs::read(desk.path("ollama/manifests/hf.co/acme/Tiny-GGUF/Q4_K_M")).unwrap();
    let theirs = desk.path("ollama/manifests/registry.ollama.ai/library/mine");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("latest"), manifest).unwrap();
    desk.unexpose(&[], None).unwrap();
    desk.assert_is_blob(&format!("ollama/blobs/sha256-{}", desk.machine.content().sha256()));
}

#[test]
fn while_a_manifest_cannot_be_read_no_blob_of_ollama_is_taken_away() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    let theirs = desk.path("ollama/manifests/registry.ollama.ai/library/mine");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("latest"), "{").unwrap();
    desk.unexpose(&[], None).unwrap();
    desk.assert_is_blob(&format!("ollama/blobs/sha256-{}", desk.machine.content().sha256()));
}

#[test]
fn a_record_that_names_places_of_others_removes_nothing() {
    let desk = Desk::new();
    let victim = desk.machine.dir.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    desk.expose("tiny:q4_k_m", &to(App::Gpt4All)).unwrap();
    let project = fs::read_dir(desk.project.store().join("roots")).unwrap().next().unwrap().unwrap().path();
    let is_record = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("~exposure-");
    let record = fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path()).find(is_record).unwrap();
    let text = fs::read_to_string(&record).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let item = serde_json::json!({
        "kind": "text", "path": &victim,
        "sha256": "a4b3a3e5b6e9e6fdd2e6d9f0ba6a8f6a1d7e7b2b7f6c1c5b3f2c1d0e9f8a7b6c",
    });
    for dir in [fs::canonicalize(desk.path("gpt")).unwrap(), desk.machine.dir.path().to_owned()] {
        json["exposure"]["items"] = serde_json::json!([item]);
        json["exposure"]["state"] = "making".into();
        json["exposure"]["dir"] = dir.to_str().unwrap().into();
        fs::write(&record, json.to_string()).unwrap();
        let _whatever_it_says = desk.unexpose(&[], None);
        let _whatever_it_says = desk.unexpose(&[], Some(&to(App::Gpt4All)));
        let _whatever_it_says = desk.expose("tiny:q8_0", &to(App::Gpt4All));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    }
}

#[test]
fn a_link_in_the_folder_of_an_application_leads_nowhere_else() {
    let desk = Desk::new();
    desk.expose("tiny:q4_k_m", &to(App::Ollama)).unwrap();
    let digest = desk.machine.content().sha256().to_owned();
    // The folder of the blobs becomes a link to the store's, where the names are digests too.
    let shard = desk.project.blob(&desk.machine.content()).parent().unwrap().to_owned();
    fs::rename(desk.path("ollama/blobs"), desk.path("ollama/aside")).unwrap();
    std::os::unix::fs::symlink(&shard, desk.path("ollama/blobs")).unwrap();
    fs::hard_link(shard.join(&digest), shard.join(format!("sha256-{digest}"))).unwrap();
    let _it_is_refused_or_left = desk.unexpose(&[], None);
    assert!(shard.join(&digest).exists() && shard.join(format!("sha256-{digest}")).exists());
    assert!(desk.expose("tiny:q8_0", &to(App::Ollama)).is_err());
}

#[test]
fn an_exposure_that_fails_or_dies_at_any_step_is_undone_or_made_by_the_next_command() {
    for app in [App::Ollama, App::Hf] {
        let desk = Desk::new();
        let before = desk.seen();
        desk.machine.disk.set(Rule::Never);
        desk.expose("tiny:q4_k_m", &to(app)).unwrap();
        let making = desk.machine.disk.count();
        // Texts are new files each time; all else is the same, inode for inode.
        let made = |desk: &Desk| {
            let is_blob = |ino: u64| ino == desk.blob().ino();
            desk.seen().into_iter().map(|(path, (ino, content))| (path, is_blob(ino), content)).collect::<Vec<_>>()
        };
        let made_at_once = made(&desk);
        desk.machine.disk.set(Rule::Never);
        desk.unexpose(&[], None).unwrap();
        let undoing = desk.machine.disk.count();
        assert!(making > 8 && undoing > 4, "{making} and {undoing} steps");
        for is_end in [false, true] {
            let rule = |step| if is_end { Rule::Dead(step) } else { Rule::Once(step, io::ErrorKind::Other) };
            for step in 1..=making {
                desk.machine.disk.set(rule(step));
                let _ends_as_it_may = desk.expose("tiny:q4_k_m", &to(app));
                desk.machine.disk.set(Rule::Never);
                desk.project.assert_promises();
                let _it_may_be_there = desk.expose("tiny:q4_k_m", &to(app)).unwrap();
                assert_eq!(made(&desk), made_at_once, "{app}, step {step} of {making}");
                desk.machine.disk.set(rule(step.min(undoing)));
                let _ends_as_it_may = desk.unexpose(&[], None);
                desk.machine.disk.set(Rule::Never);
                match desk.unexpose(&[], None) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    other => drop(other.unwrap()),
                }
                assert_eq!(desk.seen(), before, "{app}, step {step}");
                desk.project.assert_promises();
            }
        }
    }
}
