//! A store that cannot be written, and a project that can.

use crate::{faulty_disk::Rule, kit::*, support::hub::Content};
use model_manager::{Call, DownloadOptions, ErrorKind, LinkMode, Selector, event::Event};
use std::{
    io,
    sync::{Arc, Mutex},
};

/// A machine whose store has `tiny`, in one quantization, and then allows no change; and another project.
fn closed(kind: io::ErrorKind) -> (Machine, Project) {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    let store = machine.project.store();
    let other = machine.project.beside(&machine.dir.path().join("other"), Some(&store));
    machine.disk.set(Rule::Pick(Box::new(move |_, path| path.starts_with(&store).then_some(kind))));
    (machine, other)
}

#[test]
fn what_is_in_the_store_is_shown_and_it_is_said_that_nothing_protects_it() {
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        let (machine, other) = closed(kind);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        let call = Call::new(move |event: &Event| listener.lock().unwrap().push(event.clone()));
        let manager = other.offline().session.blocking(call);
        let report = manager.download(&Selector::new("tiny:q4_k_m").unwrap(), &DownloadOptions::default()).unwrap();
        other.assert_shown(SHOWN, &machine.content());
        assert_eq!(report.notices.iter().filter(|notice| notice.kind() == "unprotected").count(), 1, "{:?}", report.notices);
        let is_told = |event: &Event| matches!(event, Event::Notice(notice) if notice.kind() == "unprotected");
        assert_eq!(heard.lock().unwrap().iter().filter(|event| is_told(event)).count(), 1);
        // It is a view like others: a second time nothing changes, and it is listed, checked and taken away.
        other.download("tiny:q4_k_m").unwrap();
        assert_eq!(other.manager().list(None).unwrap().len(), 1);
        assert!(other.manager().path(&Selector::new("tiny:q4_k_m").unwrap()).is_ok());
        other.manager().remove(&Selector::new("tiny:q4_k_m").unwrap(), false, false).unwrap();
        assert!(other.shown().is_empty());
        assert!(machine.project.bytes(SHOWN).is_some(), "the project that has a root lost nothing");
    }
}

#[test]
fn a_sync_without_network_shows_what_is_locked() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let store = machine.project.store();
    let clone = machine.project.beside(&machine.dir.path().join("clone"), Some(&store)).offline();
    let file = &clone.session.settings().lock_file;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, machine.project.lock_text().unwrap()).unwrap();
    machine.disk.set(Rule::Pick(Box::new(move |_, path| path.starts_with(&store).then_some(io::ErrorKind::ReadOnlyFilesystem))));
    clone.sync(true).unwrap();
    clone.assert_shown(SHOWN, &machine.content());
    clone.sync(true).unwrap();
}

#[test]
fn copies_need_no_store_to_protect_them_and_what_is_not_here_cannot_be_fetched() {
    let (machine, other) = closed(io::ErrorKind::ReadOnlyFilesystem);
    refused(other.download("tiny:q8_0"), ErrorKind::Failed);
    assert!(other.shown().is_empty());
    other.with(|settings| settings.link = LinkMode::Copy).download("tiny:q4_k_m").unwrap();
    other.assert_shown(SHOWN, &machine.content());
}

#[test]
fn the_view_gets_its_root_with_the_first_download_that_may_write() {
    let (machine, other) = closed(io::ErrorKind::PermissionDenied);
    other.download("tiny:q4_k_m").unwrap();
    machine.disk.set(Rule::Never);
    other.download("tiny:q4_k_m").unwrap();
    other.assert_promises();
    machine.project.manager().remove(&Selector::new("tiny").unwrap(), false, false).unwrap();
    other.assert_shown(SHOWN, &Content::synthetic(5000, 1));
}
