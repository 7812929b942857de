//! `store copy` and `store move`: the store of a project goes to another place, and everything finds it there.

use crate::kit::{FILE, Machine, REPO, assert_content, blob_in, entry, open_entry, remove_all};
use std::{fs, path::PathBuf};

/// A machine with a model, and a folder on another volume where the system has one.
fn machine() -> (Machine, tempfile::TempDir) {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine.hub.reset_counters();
    let other = [PathBuf::from("/var/tmp"), std::env::temp_dir()].into_iter().find(|dir| dir.is_dir()).unwrap();
    (machine, tempfile::tempdir_in(other).unwrap())
}

#[test]
fn a_store_that_was_moved_is_found_by_its_project_without_an_option() {
    let (machine, disk) = machine();
    let place = disk.path().join("models");
    let planned = machine.run(&format!("store move {} --dry-run", place.display())).ok();
    assert_eq!(planned.last_line(), place.display().to_string());
    assert!(!place.exists());
    let output = machine.run(&format!("store move {}", place.display())).ok();
    assert_eq!(output.last_line(), place.display().to_string());
    assert!(blob_in(&place, &machine.content()).is_file());
    assert!(!machine.blob(&machine.content()).exists(), "the old place was freed");
    let settings = fs::read_to_string(machine.sandbox.project().join("configs/manager.yaml")).unwrap();
    assert!(settings.contains(&format!("store: \"{}\"", place.display())), "{settings}");
    let path = machine.run("download tiny --offline").ok().last_line().to_owned();
    assert_content(&machine.sandbox.project().join(path), &machine.content());
    machine.run("verify").ok();
    machine.run("doctor").ok();
    machine.run("stores").ok().prints(&place.display().to_string());
    assert_eq!(machine.hub.count().total_requests(), 0);
    // The error for the old place names the new one.
    let old = machine.store();
    machine
        .run(&format!("--store {} list", old.display()))
        .code(3)
        .says(&format!("was moved to {}", place.display()))
        .says(&format!("Name {} with `--store`", place.display()));
    machine.run(&format!("store move {}", place.display())).code(2).says("already");
}

#[test]
fn one_store_of_two_projects_is_moved_for_both() {
    let (machine, disk) = machine();
    let (shared, place) = (machine.sandbox.root().join("shared"), disk.path().join("models"));
    machine.run(&format!("init --user {}", shared.display())).ok();
    machine.sandbox.write("../other/configs/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    let path = machine.run_in("other", "download tiny").ok().last_line().to_owned();
    let path = machine.sandbox.other_project("other").join(path);
    machine.run_in("other", &format!("store move {}", place.display())).ok();
    assert_content(&path, &machine.content());
    remove_all(&shared);
    assert_content(&path, &machine.content());
    machine.run_in("other", "download tiny --offline").ok();
    assert_eq!(machine.run_in("third", "config get store").ok().last_line(), place.display().to_string());
    assert!(!machine.sandbox.other_project("other").join("configs/manager.yaml").exists(), "the user's file says it for all");
}

#[test]
fn the_store_of_one_project_moves_into_the_one_of_all_projects_and_no_project_file_is_written() {
    let (machine, disk) = machine();
    let place = disk.path().join("models");
    let path = machine.run("path tiny").ok().last_line().to_owned();
    machine.run(&format!("init --user {}", place.display())).ok();
    machine.run(&format!("store move {}", place.display())).ok();
    assert!(blob_in(&place, &machine.content()).is_file() && !machine.blob(&machine.content()).exists());
    assert_content(&machine.sandbox.project().join(path), &machine.content());
    assert_eq!(machine.run("config get store").ok().last_line(), place.display().to_string());
    assert!(!machine.sandbox.project().join("configs/manager.yaml").exists());
    machine.run("verify").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn the_copy_of_a_store_serves_a_machine_without_a_network() {
    let (machine, disk) = machine();
    let place = disk.path().join("models");
    let output = machine.run(&format!("store copy {}", place.display())).ok();
    assert_eq!(output.last_line(), place.display().to_string());
    let json = machine.run(&format!("store copy {} --json", place.display())).ok().json();
    assert_eq!((json["copied"].as_array().unwrap().len(), &json["totals"]["present_blobs"]), (0, &serde_json::json!(1)));
    let pinned = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    machine.sandbox.write("../far/configs/models.yaml", format!("models:\n{pinned}"));
    machine.run_in("far", &format!("--store {} --no-local --offline download tiny", place.display())).ok();
    machine.run(&format!("store copy {}", machine.store().join("inner").display())).code(2).says("in each other");
    fs::create_dir(disk.path().join("full")).unwrap();
    fs::write(disk.path().join("full/mine"), "x").unwrap();
    machine.run(&format!("store copy {}", disk.path().join("full").display())).code(2).says("is not a store");
    machine.run("download tiny --offline").ok();
}
