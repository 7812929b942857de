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
    let scene = Scene::open();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.hub.reset_counters();
    scene.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(scene.requests(), 0);
    scene.project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn two_projects_with_one_store_share_the_bytes() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.hub.reset_counters();
    let second = scene.project.beside(&scene.dir.path().join("q"), Some(&scene.project.store()));
    second.download("tiny:q4_k_m").unwrap();
    assert_eq!(scene.requests(), 0);
    second.assert_shown(SHOWN, &scene.content());
    second.assert_promises();
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_shown() {
    let scene = Scene::new();
    scene.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: 7 });
    refused(scene.project.download("tiny:q4_k_m"), ErrorKind::Damaged);
    assert!(scene.project.shown().is_empty() && !scene.project.blob(&scene.content()).exists());
    scene.hub.clear_faults();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.assert_promises();
}

#[test]
fn a_server_that_has_no_such_file_leaves_nothing_shown() {
    let scene = Scene::new();
    scene.hub.fault(Match::resolve().always(), Fault::status(404));
    refused(scene.project.download("tiny:q4_k_m"), ErrorKind::NotFound);
    assert!(scene.project.shown().is_empty());
    scene.project.assert_promises();
}

#[test]
fn what_arrived_before_a_cut_does_not_travel_again() {
    const LEN: u64 = (3 << 20) + 5;
    let hub = crate::support::hub::TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(LEN, 1)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4)])]);
    let scene = Scene::with(hub, known);
    let project = scene.project.with(|settings| settings.network.tries = 1);
    scene.hub.fault(Match::cdn().always(), Fault::CutAfter((2 << 20) + 9));
    refused(project.download("tiny"), ErrorKind::Network);
    scene.hub.clear_faults();
    scene.hub.reset_counters();
    project.download("tiny").unwrap();
    assert_eq!(scene.hub.count().content_bytes(), LEN - (2 << 20));
    project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn force_fetches_again_what_is_here() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.hub.reset_counters();
    let mut options = DownloadOptions::default();
    options.force = true;
    scene.project.manager().download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    assert_eq!(scene.hub.count().content_bytes(), 5000);
    scene.project.assert_promises();
}

#[test]
fn a_blob_that_was_deleted_behind_our_back_is_fetched_again() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    std::fs::remove_file(scene.project.blob(&scene.content())).unwrap();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.assert_shown(SHOWN, &scene.content());
    scene.project.assert_promises();
}

#[test]
fn a_link_that_was_deleted_is_made_again_without_a_request() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    std::fs::remove_file(scene.project.models.join(SHOWN)).unwrap();
    scene.hub.reset_counters();
    scene.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(scene.requests(), 0);
    scene.project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn offline_what_is_here_is_shown_and_what_is_not_is_refused_before_anything_is_made() {
    let scene = Scene::new();
    refused(scene.project.offline().download("tiny:q4_k_m"), ErrorKind::Network);
    assert!(!scene.project.models.exists());
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.offline().download("tiny:q4_k_m").unwrap();
}

#[test]
fn a_full_disk_is_named_as_such_and_the_next_download_ends_well() {
    let scene = Scene::new();
    let into_partial = |op: Op, path: &std::path::Path| {
        (op == Op::Write && path.to_string_lossy().contains(".blobs")).then_some(io::ErrorKind::StorageFull)
    };
    scene.project.manager().init(false, None).unwrap();
    scene.disk.set(Rule::Pick(Box::new(into_partial)));
    refused(scene.project.download("tiny:q4_k_m"), ErrorKind::NoSpace);
    scene.disk.set(Rule::Never);
    scene.project.assert_promises();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn the_order_is_lease_then_blob_then_root_then_links() {
    let scene = Scene::new();
    scene.project.manager().init(false, None).unwrap();
    let seen: Arc<Mutex<Vec<(Op, String)>>> = Arc::default();
    let sink = seen.clone();
    scene.disk.set(Rule::Pick(Box::new(move |op, path| {
        sink.lock().unwrap().push((op, path.to_string_lossy().into_owned()));
        None
    })));
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.disk.set(Rule::Never);
    let seen = seen.lock().unwrap();
    let hex = scene.content().sha256().to_owned();
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
