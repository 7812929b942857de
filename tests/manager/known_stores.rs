//! What another store of this user has is imported, and nothing is asked for it.

use crate::{kit::*, support::hub::Content};
use model_manager::{
    Call, DownloadOptions, ErrorKind, Event, LockOptions, Notice, Selector, Session,
    disk::RealDisk,
    reports::{DownloadReport, FileSupply, StoreState},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::{Arc, Mutex},
};

/// A project that knows the store of `scene`, in which both quantizations are.
struct Second {
    scene: Scene,
    project: Project,
}

impl Second {
    fn of(scene: Scene) -> Self {
        let dir = scene.dir.path().join("state/stores");
        let first = scene.project.with(|settings| settings.known_stores = Some(dir));
        ["tiny:q4_k_m", "tiny:q8_0"].into_iter().for_each(|name| first.download(name).unwrap());
        scene.hub.reset_counters();
        let project = first.beside(&scene.dir.path().join("q"), None);
        Self { project, scene }
    }

    /// What a download says, and its report.
    fn download(&self, what: &str) -> (Vec<Event>, DownloadReport) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        let call = Call::new(move |event: &Event| told.lock().unwrap().push(event.clone()));
        let report =
            self.project.session.blocking(call).download(&Selector::new(what).unwrap(), &DownloadOptions::default()).unwrap();
        let events = heard.lock().unwrap().clone();
        (events, report)
    }

    fn first_blob(&self) -> std::path::PathBuf {
        self.scene.project.blob(&self.scene.content())
    }
}

fn warnings(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| if let Event::Warning(warning) = event { Some(warning.message.clone()) } else { None })
        .collect()
}

#[test]
fn what_another_project_has_costs_no_request_and_no_room() {
    let second = Second::of(Scene::new());
    let plan = second.project.manager().plan_download(&Selector::new("tiny:q4_k_m").unwrap(), &DownloadOptions::default()).unwrap();
    assert_eq!((plan.download_bytes, plan.disk_bytes, plan.files[0].state), (0, 0, FileSupply::Local));
    let (events, report) = second.download("tiny:q4_k_m");
    assert_eq!((second.scene.requests(), report.download_bytes, report.files[0].state), (0, 0, FileSupply::Local));
    let taken = events.iter().any(|event| matches!(event, Event::Notice(Notice::TakenFromStore { files: 1, copied_bytes: 0, .. })));
    assert!(taken, "{events:?}");
    second.project.assert_shown(SHOWN, &second.scene.content());
    second.project.assert_promises();
    let [ours, theirs] =
        [second.project.blob(&second.scene.content()), second.first_blob()].map(|path| fs::metadata(path).unwrap());
    assert!(ours.ino() == theirs.ino() || ours.nlink() == 1, "it is linked, or a reflink");
    // From now on it is its own.
    let (_, again) = second.download("tiny:q4_k_m");
    assert_eq!(again.files[0].state, FileSupply::Present);
}

#[test]
fn offline_what_another_project_has_is_enough() {
    let second = Second::of(Scene::new());
    second.project.offline().download("tiny:q8_0").unwrap();
    second.project.assert_promises();
}

#[test]
fn who_leaves_local_stores_out_fetches() {
    let second = Second::of(Scene::new());
    second.project.with(|settings| settings.known_stores = None).download("tiny:q4_k_m").unwrap();
    assert!(second.scene.hub.count().content_bytes() > 0);
}

#[test]
fn what_must_be_fetched_again_is() {
    let second = Second::of(Scene::new());
    let mut options = DownloadOptions::default();
    options.force = true;
    second.project.manager().download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    assert!(second.scene.hub.count().content_bytes() > 0);
}

#[test]
fn damage_in_the_other_store_is_told_and_the_file_is_fetched() {
    let second = Second::of(Scene::new());
    let blob = second.first_blob();
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(&blob).unwrap();
    bytes[7] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let (events, report) = second.download("tiny:q4_k_m");
    let warnings = warnings(&events);
    assert!(
        warnings.iter().any(|text| text.contains("not taken from the store") && text.contains("expected sha256")),
        "{warnings:?}"
    );
    assert_eq!((report.download_bytes, report.files[0].state), (second.scene.content().len(), FileSupply::Fetch));
    second.project.assert_shown(SHOWN, &second.scene.content());
    second.project.assert_promises();
}

#[test]
fn damage_in_the_other_store_is_an_error_offline_and_leaves_nothing_shown() {
    let second = Second::of(Scene::new());
    fs::set_permissions(second.first_blob(), fs::Permissions::from_mode(0o644)).unwrap();
    let length = fs::metadata(second.first_blob()).unwrap().len();
    fs::write(second.first_blob(), vec![0; length as usize]).unwrap();
    refused(second.project.offline().download("tiny:q4_k_m"), ErrorKind::Network);
    assert!(second.project.shown().is_empty());
    second.project.assert_promises();
}

#[test]
fn a_store_that_is_gone_costs_nothing_and_is_a_detail() {
    let second = Second::of(Scene::new());
    fs::rename(second.scene.project.store(), second.scene.dir.path().join("away")).unwrap();
    let (events, report) = second.download("tiny:q4_k_m");
    assert_eq!(report.files[0].state, FileSupply::Fetch);
    assert!(events.iter().any(|event| matches!(event, Event::Detail(text) if text.contains("is left out"))), "{events:?}");
    assert_eq!(warnings(&events), Vec::<String>::new());
}

#[test]
fn a_lock_file_is_made_true_from_another_store() {
    let second = Second::of(Scene::new());
    second.project.lock(&["tiny:q4_k_m", "tiny:q8_0"], false).unwrap();
    second.project.sync(true).unwrap();
    assert_eq!(second.scene.requests(), 0);
    assert_eq!(second.project.shown().len(), 2);
    second.project.assert_promises();
}

#[test]
fn small_files_that_git_holds_come_from_another_store_too() {
    let hub = crate::support::hub::TestHub::start();
    let config = Content::from(&b"{\"architectures\": [\"LlamaForCausalLM\"]}"[..]);
    hub.repo("acme/Set").file("config.json", config).lfs("model.safetensors", tensors()).commit();
    let known = registry(&["  set:\n    huggingface_id: \"acme/Set\"\n    formats:\n      safetensors: {}\n".to_owned()]);
    let scene = Scene::with(hub, known);
    let dir = scene.dir.path().join("state/stores");
    let first = scene.project.with(|settings| settings.known_stores = Some(dir));
    first.download("set").unwrap();
    scene.hub.reset_counters();
    let second = first.beside(&scene.dir.path().join("q"), None);
    second.download("set").unwrap();
    let count = scene.hub.count();
    assert_eq!((count.content_bytes(), count.resolve), (0, 0), "only the list of files was asked for");
    assert_eq!(second.shown().len(), 2);
    second.assert_promises();
    // A lock needs the hashes of these files, and finds them without a further request.
    let third = first.beside(&scene.dir.path().join("r"), None);
    third.manager().lock(&[Selector::new("set").unwrap()], LockOptions::default()).unwrap();
    assert_eq!((scene.hub.count().content_bytes(), scene.hub.count().resolve), (0, 0));
}

/// A safetensors file with one tensor.
fn tensors() -> Content {
    let header = br#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[1, 2, 3, 4]].concat();
    Content::from(bytes)
}

#[test]
fn the_stores_of_a_user_are_listed_and_forgotten() {
    let second = Second::of(Scene::new());
    second.project.download("tiny:q4_k_m").unwrap();
    let manager = second.project.manager();
    let states = |project: &Project| {
        let mut states: Vec<_> =
            project.manager().known_stores().unwrap().into_iter().map(|store| (store.path, store.state)).collect();
        states.sort_by_key(|(path, _)| path.clone());
        states
    };
    let real = |project: &Project| project.store().canonicalize().unwrap();
    let (first, own) = (real(&second.scene.project), real(&second.project));
    assert_eq!(states(&second.project), [(first.clone(), StoreState::Usable), (own.clone(), StoreState::Own)]);
    refused(manager.forget_store("nowhere"), ErrorKind::NotFound);
    assert_eq!(manager.forget_store(first.to_str().unwrap()).unwrap().path, first);
    assert_eq!(states(&second.project), [(own, StoreState::Own)]);
    assert!(first.is_dir(), "the store itself stays");
}

#[test]
fn a_state_folder_that_cannot_be_written_stops_nothing() {
    let scene = Scene::new();
    fs::write(scene.dir.path().join("state"), "a file").unwrap();
    let dir = scene.dir.path().join("state/stores");
    let mut settings = scene.project.session.settings().clone();
    settings.known_stores = Some(dir);
    let session =
        Session::on_disk(settings, Arc::new(RealDisk)).unwrap().with_registry((*scene.project.session.registry().unwrap()).clone());
    session.blocking(Call::default()).download(&Selector::new("tiny:q4_k_m").unwrap(), &DownloadOptions::default()).unwrap();
    scene.project.assert_promises();
}
