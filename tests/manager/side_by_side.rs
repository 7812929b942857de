//! Several models of one command.

use crate::{
    kit::*,
    support::hub::{Content, Fault, Match, TestHub},
};
use model_manager::{Call, DownloadOptions, ErrorKind, Result, Selector, event::Event, reports::DownloadReport};
use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

const LARGE: u64 = (3 << 20) + 5;
const OTHER: u64 = (2 << 20) + 5;
const PATIENCE: Duration = Duration::from_secs(60);

/// Both quantizations are larger than one request.
fn large() -> Machine {
    let hub = TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(LARGE, 1)).lfs(Q8, Content::synthetic(OTHER, 2)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]);
    Machine::with(hub, known)
}

fn named(names: &[&str]) -> Vec<Selector> {
    names.iter().map(|name| Selector::new(*name).unwrap()).collect()
}

fn all(project: &Project, call: Call, names: &[&str]) -> Vec<Result<DownloadReport>> {
    let ends = project.session.blocking(call).download_all(&named(names), &DownloadOptions::default());
    ends.into_iter().map(|(result, _)| result).collect()
}

/// A call, and what it told.
fn listened() -> (Call, Arc<Mutex<Vec<Event>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    (Call::new(move |event: &Event| listener.lock().unwrap().push(event.clone())), heard)
}

#[test]
fn the_second_model_comes_while_the_first_still_does() {
    let machine = large();
    let hold = machine.hub.hold(Match::cdn().and_contains(&machine.hub.sha256(REPO, Q4)).always(), 1 << 20);
    let (finished, ended) = mpsc::channel();
    let finished = Mutex::new(finished);
    let call = Call::new(move |event: &Event| {
        if let Event::ModelFinished { quant, .. } = event {
            let _nobody_listens = finished.lock().unwrap().send(quant.clone().unwrap().to_string());
        }
    });
    std::thread::scope(|scope| {
        let results = scope.spawn(|| all(&machine.project, call, &["tiny:q4_k_m", "tiny:q8_0"]));
        assert!(hold.wait_frozen(1, PATIENCE));
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), "q8_0");
        hold.release();
        assert_eq!(ended.recv_timeout(PATIENCE).unwrap(), "q4_k_m");
        assert!(results.join().unwrap().iter().all(Result::is_ok));
    });
    machine.project.assert_promises();
}

#[test]
fn results_are_in_the_order_that_was_asked_and_one_that_fails_keeps_no_other_back() {
    let machine = large();
    let broken = machine.hub.sha256(REPO, Q4);
    machine.hub.fault(Match::cdn().and_contains(&broken).always(), Fault::status(404));
    machine.hub.fault(Match::resolve().and_contains(Q4).always(), Fault::status(404));
    let results = all(&machine.project, Call::default(), &["tiny:q4_k_m", "nothing", "tiny:q8_0", "tiny:q8_0"]);
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map_err(model_manager::Error::kind).err()).collect();
    assert_eq!(kinds, [Some(ErrorKind::NotFound), Some(ErrorKind::NotFound), None, None]);
    assert_eq!(results[2].as_ref().unwrap().download_bytes, OTHER);
    assert_eq!(results[3].as_ref().unwrap().download_bytes, 0, "it was there when its turn came");
    machine.project.assert_promises();
}

#[test]
fn the_total_is_known_before_the_first_byte_and_counts_each_content_once() {
    let hub = TestHub::start();
    let shared = Content::synthetic(LARGE, 1);
    hub.repo(REPO).lfs(Q4, shared.clone()).lfs(Q8, Content::synthetic(OTHER, 2)).commit();
    hub.repo("acme/Copy-GGUF").lfs("copy.Q4_K_M.gguf", shared).commit();
    let known = registry(&[
        entry(&hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)]),
        entry(&hub, "copy", "acme/Copy-GGUF", &[("q4_k_m", "copy.Q4_K_M.gguf")]),
    ]);
    let machine = Machine::with(hub, known);
    let (call, heard) = listened();
    let results = all(&machine.project, call, &["tiny:q4_k_m", "tiny:q8_0", "copy"]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let heard = heard.lock().unwrap();
    let planned: Vec<_> = heard.iter().filter(|event| matches!(event, Event::Planned { .. })).collect();
    assert_eq!(planned, [&Event::Planned { files: 2, bytes: LARGE + OTHER }]);
    let first = |of: fn(&Event) -> bool| heard.iter().position(of).unwrap();
    assert!(first(|event| matches!(event, Event::Planned { .. })) < first(|event| matches!(event, Event::FileStarted { .. })));
    assert_eq!(machine.hub.count().content_bytes(), LARGE + OTHER, "the same content travels once");
    let files = heard.iter().filter_map(|event| match event {
        Event::FileStarted { file, .. } => Some(file.as_str()),
        _ => None,
    });
    for file in files {
        assert!(file.starts_with("tiny/gguf/") || file.starts_with("copy/gguf/"), "{file} does not say of which model it is");
    }
    machine.project.assert_promises();
}

#[test]
fn a_command_that_is_stopped_stops_all_of_its_models_and_goes_on_later() {
    let machine = large();
    let hold = machine.hub.hold(Match::cdn().content().always(), 1 << 20);
    let stop = model_manager::CancellationToken::new();
    std::thread::scope(|scope| {
        let call = Call::default().stopped_by(stop.clone());
        let results = scope.spawn(|| all(&machine.project, call, &["tiny:q4_k_m", "tiny:q8_0"]));
        assert!(hold.wait_frozen(2, PATIENCE));
        stop.cancel();
        for result in results.join().unwrap() {
            refused(result, ErrorKind::Interrupted);
        }
    });
    hold.release();
    machine.project.assert_promises();
    let results = all(&machine.project, Call::default(), &["tiny:q4_k_m", "tiny:q8_0"]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn who_does_not_wait_for_locks_is_not_refused_by_its_own_models() {
    let machine = large();
    let project = machine.project.with(|settings| settings.lock_timeout = Some(Duration::ZERO));
    let results = all(&project, Call::default(), &["tiny:q4_k_m", "tiny:q8_0"]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn a_sync_makes_every_view_it_can_and_then_says_which_it_could_not() {
    let machine = large();
    machine.project.lock(&["tiny:q4_k_m", "tiny:q8_0"], false).unwrap();
    machine.hub.fault(Match::cdn().and_contains(&machine.hub.sha256(REPO, Q4)).always(), Fault::status(404));
    machine.hub.fault(Match::resolve().and_contains(Q4).always(), Fault::status(404));
    refused(machine.project.sync(true), ErrorKind::NotFound);
    assert_eq!(machine.project.shown(), [format!("tiny/gguf/q8_0/{Q8}")]);
    machine.project.assert_promises();
    machine.hub.clear_faults();
    machine.project.sync(true).unwrap();
    assert_eq!(machine.project.shown().len(), 2);
}
