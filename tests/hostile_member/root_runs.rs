//! One run by root, as with `sudo`, in what belongs to a user.

use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{MIB, Machine, until};
use crate::people::*;
use crate::support::hub::Match;
use model_manager::disk::RealDisk;

/// Everything in Ada's project is Ada's.
#[track_caller]
fn assert_adas(people: &People) {
    for path in everything(&people.project(ADA)) {
        let meta = path.symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (ADA, ADA), "{}", path.display());
    }
}

#[test]
#[ignore = "needs root, to act as several users"]
fn what_root_makes_in_the_project_of_a_user_belongs_to_the_user_from_the_first_run_on() {
    let people = People::new();
    people.run(ROOT, "download tiny").ok();
    people.run(ROOT, "lock").ok();
    people.run(ROOT, "download tiny:q8_0 --link copy").ok();
    people.run(ROOT, "gc").ok();
    assert_adas(&people);
    people.run(ADA, "doctor --full").ok().prints("all is well");
    people.run(ADA, "remove tiny:q8_0").ok();
    people.run(ADA, "download tiny:q8_0").ok();
    people.run(ADA, "lock").ok();
    people.run(ADA, "gc --grace 0").ok();
    assert_sound(&RealDisk, &people.store(), Expect::Tidy);
}

#[test]
#[ignore = "needs root, to act as several users"]
fn what_root_makes_in_the_store_of_a_user_shuts_the_user_out_of_nothing() {
    let people = People::with(Machine::with(6 * MIB));
    people.run(ADA, "download tiny:q8_0").ok();
    let hold = people.machine.hub.hold(Match::cdn(), 3 * MIB);
    let downloading = people.spawn(ROOT, "download tiny:q4_k_m --connections 1");
    let journal = people.store().join("ingest").join(people.machine.content().sha256()).join("journal");
    until("two segments are claimed", || journal.metadata().is_ok_and(|journal| journal.len() >= 3 * 64));
    downloading.kill9();
    hold.release();
    assert_adas(&people);
    people.machine.hub.reset_counters();
    people.run(ADA, "download tiny:q4_k_m").ok();
    assert!(people.machine.hub.count().content_bytes() <= 5 * MIB, "what root had fetched was used");
    people.run(ROOT, "verify").ok();
    people.run(ROOT, "remove tiny:q8_0").ok();
    people.run(ADA, "gc --grace 0").ok();
    assert_adas(&people);
    people.run(ADA, "doctor --full").ok().prints("all is well");
}

#[test]
#[ignore = "needs root, to act as several users"]
fn what_an_earlier_run_by_root_left_is_named_with_the_command_that_gives_it_back() {
    let people = People::new();
    people.run(ADA, "download tiny:q8_0").ok();
    let store = people.store();
    let command = format!("sudo chown -R {ADA}:{ADA} {}", store.display());
    for name in ["lock/store", "lock", "tmp"] {
        chown(store.join(name), Some(ROOT), Some(ROOT)).unwrap();
        people.run(ADA, "download tiny:q4_k_m").code(5).says("belongs to root").says(&format!("`{command}`"));
        people.run(ADA, "doctor").prints("root").prints(&format!("`{command}`"));
        let words = command.split_whitespace().skip(1);
        assert!(Command::new("env").args(words).status().unwrap().success());
        people.run(ADA, "doctor").ok().prints("all is well");
    }
    people.run(ADA, "download tiny:q4_k_m").ok();
    let lock = people.project(ADA).join("configs/.models.lock.busy");
    std::fs::write(&lock, "").unwrap();
    set_mode(&lock, 0o600);
    let command = format!("`sudo chown -R {ADA}:{ADA} {}`", lock.display());
    people.run(ADA, "lock").code(5).says(&command);
    people.run(ADA, "doctor").code(1).prints(&command);
}

#[test]
#[ignore = "needs root, to act as several users"]
fn in_a_store_of_a_group_what_root_makes_goes_to_its_owner_and_the_group() {
    let people = People::new();
    people.machine.sandbox.finish(people.command(ADA, GROUP, ADA, "init --shared")).ok();
    people.run(ROOT, "download tiny").ok();
    for path in everything(&people.store()) {
        let meta = path.symlink_metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid()), (ADA, GROUP), "{}", path.display());
    }
    let store = people.store().display().to_string();
    people.machine.sandbox.finish(people.command(BOB, GROUP, BOB, &format!("download tiny:q8_0 --store {store}"))).ok();
    people.machine.sandbox.finish(people.command(ADA, GROUP, ADA, "doctor --full")).ok().prints("all is well");
}

#[test]
#[ignore = "needs root, to act as several users"]
fn roots_own_project_stays_roots() {
    let people = People::new();
    let project = people.project(ADA);
    for path in everything(&project) {
        chown(path, Some(ROOT), Some(ROOT)).unwrap();
    }
    people.run(ROOT, "download tiny").ok();
    assert!(everything(&project).iter().all(|path| path.symlink_metadata().unwrap().uid() == ROOT));
    people.run(ROOT, "doctor").ok().prints("all is well");
}
