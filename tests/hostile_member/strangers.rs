//! Who may read a store, and is no member of it.

use std::path::Path;

use crate::kit::{MIB, Machine, PATH, until};
use crate::people::*;
use crate::support::hub::Match;

/// Ada's store, with what a killed download leaves: a lease and the lock of its blob.
fn with_leftovers() -> People {
    let people = People::with(Machine::with(4 * MIB));
    people.run(ADA, "download tiny:q8_0").ok();
    let hold = people.machine.hub.hold(Match::cdn(), 2 * MIB);
    let downloading = people.spawn(ADA, "download tiny:q4_k_m --connections 1");
    assert!(hold.wait_frozen(1, std::time::Duration::from_secs(30)));
    until("it has a lease", || locks_of(&people.store()).iter().any(|path| path.starts_with(people.store().join("leases"))));
    downloading.kill9();
    hold.release();
    people
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
#[ignore = "needs root, to act as several users"]
fn a_stranger_who_may_read_can_hold_no_lock_and_no_lease() {
    let people = with_leftovers();
    people.run(ADA, "gc --dry-run").ok();
    people.run(ADA, "remove nothing-of-this-name").code(3);
    let locks = locks_of(&people.store());
    assert!(locks.len() >= 5, "{locks:?}");
    for path in &locks {
        assert!(!can_lock(BOB, path), "{}", path.display());
        assert_eq!(mode_of(path), 0o600, "{}", path.display());
    }
}

#[test]
#[ignore = "needs root, to act as several users"]
fn locks_that_an_earlier_version_left_open_are_closed_by_their_owner_and_named_until_then() {
    let people = with_leftovers();
    let locks = locks_of(&people.store());
    locks.iter().for_each(|path| set_mode(path, 0o644));
    let doctor = people.run(ADA, "doctor").code(1);
    for path in &locks {
        let doctor = doctor.clone().prints(name(path));
        doctor.prints("can hold it and make everybody wait").prints("chmod 600");
    }
    people.run(ADA, "download tiny:q8_0 --force").ok();
    assert_eq!(mode_of(&people.store().join("lock/store")), 0o600);
    people.run(ADA, "init").ok();
    for path in locks_of(&people.store()) {
        assert!(!can_lock(BOB, &path), "{}", path.display());
    }
    people.run(ADA, "gc --grace 0").ok();
    people.run(ADA, "doctor").ok().prints("all is well");
}

#[test]
#[ignore = "needs root, to act as several users"]
fn a_stranger_lists_verifies_and_uses_while_leases_are_none_of_their_business() {
    let people = with_leftovers();
    let hold = people.machine.hub.hold(Match::cdn(), 9);
    let downloading = people.spawn(ADA, "download tiny:q4_k_m --connections 1");
    assert!(hold.wait_frozen(1, std::time::Duration::from_secs(30)));
    for line in [
        "list",
        "verify",
        "path tiny:q8_0",
        "gc --dry-run",
        "df",
        "info",
        "doctor",
        "projects list",
        "download tiny:q8_0 --dry-run",
    ] {
        people.machine.sandbox.finish(people.command(BOB, BOB, ADA, line)).ok();
    }
    people.machine.sandbox.finish(people.command(BOB, BOB, ADA, "gc --dry-run")).ok().says("cannot see what running commands");
    hold.release();
    let output = downloading.wait().ok();
    assert_eq!(output.last_line(), PATH);
}

#[test]
#[ignore = "needs root, to act as several users"]
fn members_of_a_shared_store_can_hold_its_locks_and_nobody_else() {
    let people = People::new();
    let ada = |line: &str| people.machine.sandbox.finish(people.command(ADA, GROUP, ADA, line));
    ada("init --shared").ok();
    ada("download tiny").ok();
    for path in locks_of(&people.store()) {
        assert_eq!(mode_of(&path), 0o660, "{}", path.display());
        assert!(!can_lock(BOB, &path), "{}", path.display());
    }
    let bob = |line: &str| {
        let store = people.store().display().to_string();
        people.machine.sandbox.finish(people.command(BOB, GROUP, BOB, &format!("{line} --store {store}")))
    };
    bob("download tiny:q8_0").ok();
    bob("gc --grace 0").ok();
    ada("doctor --full").ok().prints("all is well");
}

#[test]
#[ignore = "needs root, to act as several users"]
fn no_mode_that_the_marker_asks_for_opens_a_store_to_strangers() {
    let people = People::new();
    people.run(ADA, "download tiny:q8_0").ok();
    let marker = people.store().join("STORE.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, text.replace("493", "4095")).unwrap();
    people.run(ADA, "download tiny:q4_k_m").ok();
    for path in everything(&people.store()) {
        assert_eq!(mode_of(&path) & 0o5002, 0, "{}: {:o}", path.display(), mode_of(&path));
    }
    people.run(ADA, "doctor").code(1).prints("7777").prints("model-manager init");
    people.run(ADA, "init").ok();
    assert!(!std::fs::read_to_string(&marker).unwrap().contains("4095"));
}
