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

/// A project that knows the store of `machine`, in which both quantizations are.
struct SecondProject {
    machine: Machine,
    project: Project,
}

impl SecondProject {
    fn of(machine: Machine) -> Self {
        let dir = machine.dir.path().join("state/stores");
        let first = machine.project.with(|settings| settings.known_stores = Some(dir));
        ["tiny:q4_k_m", "tiny:q8_0"].into_iter().for_each(|name| first.download(name).unwrap());
        machine.hub.reset_counters();
        let project = first.beside(&machine.dir.path().join("q"), None);
        Self { project, machine }
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
        self.machine.project.blob(&self.machine.content())
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
    let second = SecondProject::of(Machine::new());
    let plan = second.project.manager().plan_download(&Selector::new("tiny:q4_k_m").unwrap(), &DownloadOptions::default()).unwrap();
    assert_eq!((plan.download_bytes, plan.disk_bytes, plan.files[0].state), (0, 0, FileSupply::Local));
    let (events, report) = second.download("tiny:q4_k_m");
    assert_eq!((second.machine.requests(), report.download_bytes, report.files[0].state), (0, 0, FileSupply::Local));
    let taken = events.iter().any(|event| matches!(event, Event::Notice(Notice::TakenFromStore { files: 1, copied_bytes: 0, .. })));
    assert!(taken, "{events:?}");
    second.project.assert_shown(SHOWN, &second.machine.content());
    second.project.assert_promises();
    let [ours, theirs] =
        [second.project.blob(&second.machine.content()), second.first_blob()].map(|path| fs::metadata(path).unwrap());
    assert!(ours.ino() == theirs.ino() || ours.nlink() == 1, "it is linked, or a reflink");
    // From now on it is its own.
    let (_, again) = second.download("tiny:q4_k_m");
    assert_eq!(again.files[0].state, FileSupply::Present);
}

#[test]
fn offline_what_another_project_has_is_enough() {
    let second = SecondProject::of(Machine::new());
    second.project.offline().download("tiny:q8_0").unwrap();
    second.project.assert_promises();
}

#[test]
fn who_leaves_local_stores_out_fetches() {
    let second = SecondProject::of(Machine::new());
    second.project.with(|settings| settings.known_stores = None).download("tiny:q4_k_m").unwrap();
    assert!(second.machine.hub.count().content_bytes() > 0);
}

#[test]
fn what_must_be_fetched_again_is() {
    let second = SecondProject::of(Machine::new());
    let mut options = DownloadOptions::default();
    options.force = true;
    second.project.manager().download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    assert!(second.machine.hub.count().content_bytes() > 0);
}

#[test]
fn damage_in_the_other_store_is_told_and_the_file_is_fetched() {
    let second = SecondProject::of(Machine::new());
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
    assert_eq!((report.download_bytes, report.files[0].state), (second.machine.content().len(), FileSupply::Fetch));
    second.project.assert_shown(SHOWN, &second.machine.content());
    second.project.assert_promises();
}

#[test]
fn damage_in_the_other_store_is_an_error_offline_and_leaves_nothing_shown() {
    let second = SecondProject::of(Machine::new());
    fs::set_permissions(second.first_blob(), fs::Permissions::from_mode(0o644)).unwrap();
    let length = fs::metadata(second.first_blob()).unwrap().len();
    fs::write(second.first_blob(), vec![0; length as usize]).unwrap();
    refused(second.project.offline().download("tiny:q4_k_m"), ErrorKind::Network);
    assert!(second.project.shown().is_empty());
    second.project.assert_promises();
}

#[test]
fn a_store_that_is_gone_costs_nothing_and_is_a_detail() {
    let second = SecondProject::of(Machine::new());
    fs::rename(second.machine.project.store(), second.machine.dir.path().join("away")).unwrap();
    let (events, report) = second.download("tiny:q4_k_m");
    assert_eq!(report.files[0].state, FileSupply::Fetch);
    assert!(events.iter().any(|event| matches!(event, Event::Detail(text) if text.contains("is left out"))), "{events:?}");
    assert_eq!(warnings(&events), Vec::<String>::new());
}

#[test]
fn a_lock_file_is_made_true_from_another_store() {
    let second = SecondProject::of(Machine::new());
    second.project.lock(&["tiny:q4_k_m", "tiny:q8_0"], false).unwrap();
    second.project.sync(true).unwrap();
    assert_eq!(second.machine.requests(), 0);
    assert_eq!(second.project.shown().len(), 2);
    second.project.assert_promises();
}

#[test]
fn small_files_that_git_holds_come_from_another_store_too() {
    let hub = crate::support::hub::TestHub::start();
    let config = Content::from(&b"{\"architectures\": [\"LlamaForCausalLM\"]}"[..]);
    hub.repo("acme/Set").file("config.json", config).lfs("model.safetensors", tensors()).commit();
    let known = registry(&["  set:\n    huggingface_id: \"acme/Set\"\n    formats:\n      safetensors: {}\n".to_owned()]);
    let machine = Machine::with(hub, known);
    let dir = machine.dir.path().join("state/stores");
    let first = machine.project.with(|settings| settings.known_stores = Some(dir));
    first.download("set").unwrap();
    machine.hub.reset_counters();
    let second = first.beside(&machine.dir.path().join("q"), None);
    second.download("set").unwrap();
    let count = machine.hub.count();
    assert_eq!((count.content_bytes(), count.resolve), (0, 0), "only the list of files was asked for");
    assert_eq!(second.shown().len(), 2);
    second.assert_promises();
    // A lock needs the hashes of these files, and finds them without a further request.
    let third = first.beside(&machine.dir.path().join("r"), None);
    third.manager().lock(&[Selector::new("set").unwrap()], LockOptions::default()).unwrap();
    assert_eq!((machine.hub.count().content_bytes(), machine.hub.count().resolve), (0, 0));
}

/// A safetensors file with one tensor.
fn tensors() -> Content {
    let header = br#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[1, 2, 3, 4]].concat();
    Content::from(bytes)
}

#[test]
fn the_stores_of_a_user_are_listed_and_forgotten() {
    let second = SecondProject::of(Machine::new());
    second.project.download("tiny:q4_k_m").unwrap();
    let manager = second.project.manager();
    let states = |project: &Project| {
        let mut states: Vec<_> =
            project.manager().known_stores().unwrap().into_iter().map(|store| (store.path, store.state)).collect();
        states.sort_by_key(|(path, _)| path.clone());
        states
    };
    let real = |project: &Project| project.store().canonicalize().unwrap();
    let (first, own) = (real(&second.machine.project), real(&second.project));
    assert_eq!(states(&second.project), [(first.clone(), StoreState::Usable), (own.clone(), StoreState::Own)]);
    refused(manager.forget_store("nowhere"), ErrorKind::NotFound);
    assert_eq!(manager.forget_store(first.to_str().unwrap()).unwrap().path, first);
    assert_eq!(states(&second.project), [(own, StoreState::Own)]);
    assert!(first.is_dir(), "the store itself stays");
}

#[test]
fn a_state_folder_that_cannot_be_used_stops_nothing() {
    // A file stands in the place of one of its folders, or of it.
    for path in ["state", "state/stores"] {
        let machine = Machine::new();
        let file = machine.dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "a file").unwrap();
        let dir = machine.dir.path().join("state/stores");
        let mut settings = machine.project.session.settings().clone();
        settings.known_stores = Some(dir);
        let session = Session::on_disk(settings, Arc::new(RealDisk))
            .unwrap()
            .with_registry((*machine.project.session.registry().unwrap()).clone());
        let what = Selector::new("tiny:q4_k_m").unwrap();
        session.blocking(Call::default()).download(&what, &DownloadOptions::default()).unwrap();
        machine.project.assert_promises();
    }
}
