//! Calls of one session, side by side.

use crate::{
    kit::*,
    support::hub::{Content, Match, TestHub},
};
use model_manager::{Call, CancellationToken, DownloadOptions, ErrorKind, Selector, Session};
use std::time::Duration;

fn large() -> Machine {
    let hub = TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic((3 << 20) + 5, 1)).lfs(Q8, Content::synthetic((2 << 20) + 5, 2)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]);
    Machine::with(hub, known)
}

async fn download(session: &Session, call: Call, what: &str) -> model_manager::Result<()> {
    session.download(call, Selector::new(what).unwrap(), DownloadOptions::default()).await.map(drop)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn two_downloads_at_once_over_one_session_end_well() {
    let machine = large();
    let session = &machine.project.session;
    let (one, other) = runtime().block_on(async {
        tokio::join!(download(session, Call::default(), "tiny:q4_k_m"), download(session, Call::default(), "tiny:q8_0"))
    });
    one.unwrap();
    other.unwrap();
    assert_eq!(machine.project.shown().len(), 2);
    machine.project.assert_promises();
}

#[test]
fn the_same_model_asked_for_twice_at_once_travels_once() {
    let machine = large();
    let session = &machine.project.session;
    let (one, other) = runtime().block_on(async {
        tokio::join!(download(session, Call::default(), "tiny:q4_k_m"), download(session, Call::default(), "tiny:q4_k_m"))
    });
    one.unwrap();
    other.unwrap();
    assert_eq!(machine.hub.count().content_bytes(), (3 << 20) + 5);
    machine.project.assert_promises();
}

#[test]
fn a_call_that_is_stopped_leaves_the_other_alone_and_goes_on_later() {
    let machine = large();
    let session = &machine.project.session;
    let stop = CancellationToken::new();
    let hold = machine.hub.hold(Match::cdn().nth(1), 2 << 20);
    let held = {
        let (session, call) = (session.clone(), Call::default().stopped_by(stop.clone()));
        std::thread::spawn(move || runtime().block_on(download(&session, call, "tiny:q4_k_m")))
    };
    assert!(hold.wait_frozen(1, Duration::from_secs(60)));
    runtime().block_on(download(session, Call::default(), "tiny:q8_0")).unwrap();
    stop.cancel();
    refused(held.join().unwrap(), ErrorKind::Interrupted);
    hold.release();
    machine.project.assert_promises();
    runtime().block_on(download(session, Call::default(), "tiny:q4_k_m")).unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn a_session_sees_an_entry_that_one_of_its_calls_added() {
    let hub = hub();
    let dir = scratch();
    let configs = dir.path().join("configs");
    std::fs::create_dir_all(&configs).unwrap();
    std::fs::write(configs.join("models.yaml"), "models: {}\n").unwrap();
    let mut settings = model_manager::Settings::new(dir.path().join("models"));
    settings.config = Some(configs.join("models.yaml"));
    settings.network.endpoints = vec![hub.url()];
    let session = Session::new(settings).unwrap();
    refused(runtime().block_on(download(&session, Call::default(), "tiny")), ErrorKind::NotFound);
    let reference = format!("{REPO}:q4_k_m").parse().unwrap();
    let mut request = model_manager::AddRequest::new(reference, configs.join("models.yaml"));
    request.id = Some("tiny".parse().unwrap());
    runtime().block_on(session.add(Call::default(), request)).unwrap();
    runtime().block_on(download(&session, Call::default(), "tiny")).unwrap();
}
