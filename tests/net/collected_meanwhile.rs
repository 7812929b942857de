//! What a download found in the store is collected before its lease protects it.

use crate::support::{
    gguf::Spec,
    hub::{Content, TestHub},
    run::Sandbox,
};
use std::{
    fs,
    time::{Duration, Instant},
};

const REPO: &str = "TheBloke/Tiny-GGUF";

#[test]
fn a_blob_that_is_collected_between_plan_and_lease_is_fetched_again() {
    let hub = TestHub::start();
    let content = Content::from(Spec::tiny().bytes());
    hub.repo(REPO).lfs("tiny.Q4_K_M.gguf", &content);
    let sandbox = Sandbox::new(&hub);
    let store = sandbox.root().join("store");
    let sandbox = sandbox.env("MODEL_MANAGER_STORE", &store);
    let selector = format!("{REPO}:Q4_K_M");
    sandbox.run(["download", &selector]).ok();
    let blob = store.join("sha256").join(&content.sha256()[..2]).join(content.sha256());
    assert!(blob.is_file());

    // As long as this is held nobody gets a lease, as if a collector were in its section.
    let section = fs::OpenOptions::new().write(true).open(store.join("lock/store")).unwrap();
    section.lock().unwrap();
    hub.reset_counters();
    let mut command = sandbox.command(["download", &selector]);
    command.env("MODEL_MANAGER_MODELS_DIR", sandbox.other_project("lab").join("models"));
    let mut second = sandbox.start(command);
    let begun = Instant::now();
    while !second.stderr_so_far().contains("waiting for") {
        assert!(second.is_running() && begun.elapsed() < Duration::from_secs(60), "{}", second.stderr_so_far());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(hub.count().total_requests() >= 2, "the plan was made before the lease was waited for");
    assert_eq!(hub.count().content_bytes(), 0);
    fs::remove_file(&blob).unwrap();
    drop(section);

    second.wait().ok();
    assert_eq!(fs::read(&blob).unwrap(), content.bytes());
}
