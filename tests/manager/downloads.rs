//! What a download leaves, when it ends well and when it does not.

use crate::{
    faulty_disk::{Op, Rule},
    kit::*,
    support::hub::{Content, Fault, Match},
};
use model_manager::{DownloadOptions, ErrorKind, Selector};
use std::{
    io,
    sync::{Arc, Mutex},
};

#[test]
fn a_second_download_asks_nobody() {
    let machine = Machine::open();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.hub.reset_counters();
    machine.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(machine.requests(), 0);
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn two_projects_with_one_store_share_the_bytes() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.hub.reset_counters();
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&machine.project.store()));
    second.download("tiny:q4_k_m").unwrap();
    assert_eq!(machine.requests(), 0);
    second.assert_shown(SHOWN, &machine.content());
    second.assert_promises();
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_shown() {
    let machine = Machine::new();
    machine.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: 7 });
    refused(machine.project.download("tiny:q4_k_m"), ErrorKind::Damaged);
    assert!(machine.project.shown().is_empty() && !machine.project.blob(&machine.content()).exists());
    machine.hub.clear_faults();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.assert_promises();
}

#[test]
fn a_server_that_has_no_such_file_leaves_nothing_shown() {
    let machine = Machine::new();
    machine.hub.fault(Match::resolve().always(), Fault::status(404));
    refused(machine.project.download("tiny:q4_k_m"), ErrorKind::NotFound);
    assert!(machine.project.shown().is_empty());
    machine.project.assert_promises();
}

#[test]
fn what_arrived_before_a_cut_does_not_travel_again() {
    const LEN: u64 = (3 << 20) + 5;
    let hub = crate::support::hub::TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(LEN, 1)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4)])]);
    let machine = Machine::with(hub, known);
    let project = machine.project.with(|settings| settings.network.tries = 1);
    machine.hub.fault(Match::cdn().always(), Fault::CutAfter((2 << 20) + 9));
    refused(project.download("tiny"), ErrorKind::Network);
    machine.hub.clear_faults();
    machine.hub.reset_counters();
    project.download("tiny").unwrap();
    assert_eq!(machine.hub.count().content_bytes(), LEN - (2 << 20));
    project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn force_fetches_again_what_is_here() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.hub.reset_counters();
    let mut options = DownloadOptions::default();
    options.force = true;
    machine.project.manager().download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    assert_eq!(machine.hub.count().content_bytes(), 5000);
    machine.project.assert_promises();
}

#[test]
fn a_blob_that_was_deleted_behind_our_back_is_fetched_again() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    std::fs::remove_file(machine.project.blob(&machine.content())).unwrap();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
    machine.project.assert_promises();
}

#[test]
fn a_link_that_was_deleted_is_made_again_without_a_request() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    std::fs::remove_file(machine.project.models.join(SHOWN)).unwrap();
    machine.hub.reset_counters();
    machine.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(machine.requests(), 0);
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn offline_what_is_here_is_shown_and_what_is_not_is_refused_before_anything_is_made() {
    let machine = Machine::new();
    refused(machine.project.offline().download("tiny:q4_k_m"), ErrorKind::Network);
    assert!(!machine.project.models.exists());
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.offline().download("tiny:q4_k_m").unwrap();
}

#[test]
fn a_full_disk_is_named_as_such_and_the_next_download_ends_well() {
    let machine = Machine::new();
    let into_partial = |op: Op, path: &std::path::Path| {
        (op == Op::Write && path.to_string_lossy().contains(".blobs")).then_some(io::ErrorKind::StorageFull)
    };
    machine.project.manager().init(false, None).unwrap();
    machine.disk.set(Rule::Pick(Box::new(into_partial)));
    refused(machine.project.download("tiny:q4_k_m"), ErrorKind::NoSpace);
    machine.disk.set(Rule::Never);
    machine.project.assert_promises();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn the_order_is_lease_then_blob_then_root_then_links() {
    let machine = Machine::new();
    machine.project.manager().init(false, None).unwrap();
    let seen: Arc<Mutex<Vec<(Op, String)>>> = Arc::default();
    let sink = seen.clone();
    machine.disk.set(Rule::Pick(Box::new(move |op, path| {
        sink.lock().unwrap().push((op, path.to_string_lossy().into_owned()));
        None
    })));
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.disk.set(Rule::Never);
    let seen = seen.lock().unwrap();
    let hex = machine.content().sha256().to_owned();
    let last = |what: &str, fits: &dyn Fn(Op, &str) -> bool| {
        let at = seen.iter().rposition(|(op, path)| fits(*op, path));
        at.unwrap_or_else(|| panic!("no {what} in {seen:?}"))
    };
    let lease = last("lease", &|op, path| op == Op::Write && path.contains("/leases/"));
    let blob = last("blob", &|op, path| op == Op::RenameNew && path.ends_with(&hex));
    let root = last("root", &|op, path| op == Op::Rename && path.contains("/roots/") && path.contains("tiny"));
    let link = last("link", &|op, path| op == Op::Symlink && path.contains("/tiny/gguf/"));
    let bytes = seen[lease..blob].iter().position(|(op, path)| *op == Op::SyncAll && path.contains("/.blobs/"));
    assert!(lease < blob && bytes.is_some() && blob < root && root < link, "{lease} {blob} {root} {link}: {seen:?}");
}
