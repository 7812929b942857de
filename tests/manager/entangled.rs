//! Where an application makes something of its own of what is exposed, or exposes what it had: taking back breaks neither.

use crate::{
    kit::*,
    programs::{Program, programs},
};
use model_manager::{AdoptOptions, App, AppPlace, ErrorKind, ExposeTarget, Selector};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// A machine with `tiny`, and one program.
struct Desk {
    machine: Machine,
    project: Project,
    program: Box<dyn Program>,
}

impl Desk {
    fn new(app: App) -> Self {
        let machine = Machine::new();
        let found = programs(&machine.dir.path().join("apps")).into_iter().find(|program| program.app() == app);
        let program = found.unwrap();
        fs::create_dir_all(program.dir()).unwrap();
        let project = machine.project.with(|settings| settings.apps = vec![AppPlace::new(app, program.dir())]);
        project.download("tiny:q4_k_m").unwrap();
        Self { machine, project, program }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.program.dir().join(below)
    }

    /// Exposes a model, and returns what the program calls it.
    fn expose(&self, what: &str) -> String {
        let to = ExposeTarget::App(self.program.app());
        self.project.manager().expose(&[Selector::new(what).unwrap()], &to).unwrap().models[0].name.clone()
    }

    fn unexpose(&self) {
        drop(self.project.manager().unexpose(&[], None).unwrap());
    }

    fn sha256(&self) -> String {
        self.machine.content().sha256().to_owned()
    }
}

fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok()
}

#[test]
fn a_file_that_another_revision_of_the_cache_needs_is_left_to_it() {
    let desk = Desk::new(App::Hf);
    desk.expose("tiny:q4_k_m");
    let root = desk.path("models--acme--Tiny-GGUF");
    // The application fetches two other commits: one without the file, which `main` names now, and one with it.
    for (commit, name) in [("2", None), ("3", Some(Q4))] {
        let snapshot = root.join("snapshots").join(commit.repeat(40));
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("README.md"), "theirs").unwrap();
        if let Some(name) = name {
            symlink(format!("../../blobs/{}", desk.sha256()), snapshot.join(name)).unwrap();
        }
    }
    fs::write(root.join("refs/main"), "2".repeat(40)).unwrap();
    desk.unexpose();
    assert!(exists(&root.join("snapshots").join("3".repeat(40)).join(Q4)), "its own snapshot has a link to nothing");
}

#[test]
fn a_copy_that_ollama_made_of_an_exposed_model_keeps_all_of_its_blobs() {
    let desk = Desk::new(App::Ollama);
    desk.expose("tiny:q4_k_m");
    let manifest = fs::read(desk.path("manifests/hf.co/acme/Tiny-GGUF/Q4_K_M")).unwrap();
    let copy = desk.path("manifests/registry.ollama.ai/library/mine");
    fs::create_dir_all(&copy).unwrap();
    fs::write(copy.join("latest"), &manifest).unwrap();
    desk.unexpose();
    desk.program.start();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let name = blob["digest"].as_str().unwrap().replace(':', "-");
        assert!(exists(&desk.path("blobs").join(&name)), "{name} of the copy is gone");
    }
}

#[test]
fn an_exposure_that_names_the_view_holds_the_view() {
    let desk = Desk::new(App::Jan);
    let name = desk.expose("tiny:q4_k_m");
    let tiny = Selector::new("tiny:q4_k_m").unwrap();
    let error = refused(desk.project.manager().remove(&tiny, false, false), ErrorKind::Failed);
    assert!(error.message().contains("is shown to Jan"), "{error}");
    assert!(exists(&desk.program.file(&name)), "Jan shows a model whose file is gone");
    desk.unexpose();
    desk.project.manager().remove(&tiny, false, false).unwrap();
}

#[test]
fn a_file_that_the_cache_shares_among_repositories_is_taken_for_its_own() {
    let desk = Desk::new(App::Hf);
    let shared = desk.path("blobs/ab").join("ab".repeat(32));
    fs::create_dir_all(shared.parent().unwrap()).unwrap();
    fs::write(&shared, desk.machine.content().bytes()).unwrap();
    let blob = desk.path("models--acme--Tiny-GGUF/blobs").join(desk.sha256());
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    let target = PathBuf::from(format!("../../blobs/ab/{}", "ab".repeat(32)));
    symlink(&target, &blob).unwrap();
    desk.expose("tiny:q4_k_m");
    desk.unexpose();
    assert_eq!((fs::read_link(&blob).unwrap(), exists(&shared)), (target, true));
}

#[test]
fn what_was_adopted_and_exposed_to_where_it_is_from_stays_there() {
    for app in [App::Ollama, App::LmStudio, App::Hf, App::Gpt4All, App::TextGen, App::Jan] {
        let desk = Desk::new(app);
        let own = desk.program.fetch("owl", &crate::support::hub::Content::synthetic(5000, 61));
        let mut options = AdoptOptions::default();
        options.from = vec![app];
        let adopted = desk.project.manager().adopt(&options).unwrap();
        let name = desk.expose(&adopted.models[0].view.to_string());
        assert!(desk.program.list().unwrap().contains(&name), "{app}");
        desk.unexpose();
        desk.program.start();
        assert!(desk.program.list().unwrap().contains(&own), "{app}: its own model is gone");
        assert!(exists(&desk.program.file(&own)), "{app}: the file of its own model is gone");
    }
}
