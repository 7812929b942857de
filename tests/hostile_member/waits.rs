//! Waits last what was asked, whichever lock it is.

use model_manager::disk::{Disk, DiskFile, LockKind, Open, RealDisk};
use std::path::Path;

use crate::kit::Machine;
use crate::support::run::Output;

/// Generous for a busy machine, and less than any default timeout: the given one ended the wait.
const MOST: f64 = 60.0;

/// Holds a lock as another process does.
fn hold(path: &Path) -> Box<dyn DiskFile> {
    let file = RealDisk.open(path, Open::CreateIfMissing(0o600)).unwrap();
    assert!(file.try_lock(LockKind::Exclusive).unwrap(), "{}", path.display());
    file
}

/// The seconds that a message says it waited.
#[track_caller]
fn waited(output: &Output) -> f64 {
    let said = output.stderr.split("waited ").nth(1).unwrap_or_else(|| panic!("no wait is told: {output}"));
    said.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_lock_is_waited_for_as_long_as_was_asked_and_the_message_says_so() {
    let machine = Machine::new();
    machine.run("download tiny:q8_0").ok();
    let store = machine.store();
    let digest = machine.content().sha256().to_string();
    let views = std::fs::read_to_string(machine.sandbox.models().join(".model-manager.json")).unwrap();
    let project = views.split("\"project\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (path, line) in [
        (store.join("lock/store"), "download tiny:q4_k_m"),
        (store.join("lock/store"), "gc"),
        (store.join("lock/gc"), "gc"),
        (store.join("lock/gc"), "remove tiny"),
        (store.join("lock/b").join(&digest), "download tiny:q4_k_m"),
        (store.join(format!("lock/views-{project}")), "remove tiny"),
        (machine.sandbox.project().join("configs/.models.yaml.lock"), "add TheBloke/Tiny-GGUF --update"),
        (machine.sandbox.project().join("configs/.models.lock.busy"), "lock"),
    ] {
        let held = hold(&path);
        let output = machine.run(&format!("{line} --lock-timeout 700ms")).code(8).says("held by");
        let seconds = waited(&output);
        assert!((0.7..MOST).contains(&seconds), "{seconds} s for {}: {output}", path.display());
        machine.run(&format!("{line} --lock-timeout 0")).code(8).says("did not wait for").says("held by");
        drop(held);
    }
    machine.sandbox.write("configs/manager.yaml", "lock_timeout: 600ms\n");
    let _held = hold(&store.join("lock/store"));
    let seconds = waited(&machine.run("download tiny:q4_k_m").code(8));
    assert!((0.6..MOST).contains(&seconds), "{seconds}");
}
