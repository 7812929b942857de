//! The tree that the old tool made: plain files where this program shows links.

use std::path::PathBuf;

use crate::kit::{FILE, MIB, Machine, OTHER, PATH, REPO, assert_content, assert_not_written, entry, is_link, open_entry, stamps};
use crate::mounts::tmpfs;
use crate::support::hub::Content;

/// What the old tool left of `tiny`: q4_k_m whole, nothing else.
fn old() -> Machine {
    let machine = Machine::new();
    machine.sandbox.write(PATH, machine.content().bytes());
    machine
}

#[test]
fn plain_files_are_listed_found_and_verified_without_a_store() {
    let machine = old();
    let (before, stamped) = (machine.sandbox.tree(), stamps(&machine.sandbox.project()));
    machine.run("list").ok().prints(&format!("tiny\tgguf\tq4_k_m\t2097159\tforeign\t{PATH}"));
    assert_eq!(machine.run("path tiny").ok().last_line(), PATH);
    machine.run("verify tiny").ok().prints("ok ").prints("1 ok");
    machine.run("info tiny").ok();
    before.assert_same(&machine.sandbox.tree());
    assert_not_written(&machine.sandbox.project(), &stamped);
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn a_changed_plain_file_is_modified_and_one_without_a_hash_is_unverified() {
    let machine = old();
    let mut bytes = machine.content().bytes();
    bytes[MIB as usize] ^= 1;
    machine.sandbox.write(PATH, &bytes);
    machine.run("verify tiny").code(4).prints("modified").prints("its sha256 is");
    machine.sandbox.write(PATH, &bytes[..100]);
    machine.run("verify tiny").code(4).prints("100 bytes long, but the registry gives 2097159");
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    machine.run("verify tiny").ok().prints("unverified").prints("0 ok, 1 unverified".trim_start_matches("0 ok, "));
    let json = machine.run("verify tiny --json").ok().json();
    assert_eq!((json["totals"]["ok"].as_u64(), json["totals"]["unverified"].as_u64()), (Some(0), Some(1)));
}

#[test]
fn download_takes_plain_files_in_without_the_network() {
    let machine = old();
    let output = machine.run("download tiny --offline").ok().says("taken into the store, nothing fetched");
    machine.assert_right(&output);
    assert!(is_link(&machine.sandbox.project().join(PATH)));
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("verify").ok().prints("1 ok");
    machine.run("list").ok().prints("stored");
}

#[test]
fn a_plain_file_that_nothing_vouches_for_is_taken_in_and_stays_unverified() {
    let machine = old();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    let output = machine.run("download tiny").ok().says("no published hash confirms it");
    machine.assert_right(&output);
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("verify").ok().prints("1 unverified");
    machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn a_plain_file_that_is_not_the_models_is_left_and_told() {
    let machine = old();
    let mut bytes = machine.content().bytes();
    bytes[7] ^= 1;
    let path = machine.sandbox.write(PATH, &bytes);
    machine.run("download tiny").code(4).says("in the way and is not the model's file").says("left as it is");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(machine.hub.count().total_requests(), 0);
    // The way the message names.
    machine.run("remove tiny").ok();
    assert!(!path.exists());
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
#[ignore = "needs root"]
fn taking_in_across_volumes_copies_and_shows_the_same_path() {
    let machine = old();
    let store = machine.sandbox.root().join("store");
    let _volume = tmpfs(&store, 64 << 10);
    let output = machine.run(&format!("download tiny --offline --store {}", store.display())).ok();
    assert_eq!(output.last_line(), PATH);
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    assert!(is_link(&machine.sandbox.project().join(PATH)));
    machine.run(&format!("verify --store {}", store.display())).ok().prints("1 ok");
}

#[test]
#[ignore = "needs root"]
fn taking_in_across_volumes_without_room_leaves_the_file() {
    let machine = old();
    let store = machine.sandbox.root().join("store");
    let _volume = tmpfs(&store, 1 << 10);
    let output = machine.run(&format!("download tiny --offline --store {}", store.display())).code(7);
    output.says("hint: ");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    assert!(!is_link(&machine.sandbox.project().join(PATH)));
}

#[test]
fn remove_takes_the_models_plain_files_and_leaves_what_lies_beside_them() {
    let machine = old();
    let unknown = machine.sandbox.write("models/tiny/gguf/q4_k_m/notes.txt", "mine");
    let dropped = machine.sandbox.write("models/mine/gguf/q4_k_m/my.gguf", "dropped by hand");
    machine.run("list").ok().prints("mine\tgguf\tq4_k_m\t15\tforeign");
    machine.run("verify mine").ok().prints("foreign").prints("not made by model-manager and not in the registry");
    let report = machine.run("remove tiny --json").ok().json();
    assert!(report["kept"].to_string().contains("notes.txt"), "{report:#}");
    assert!(!machine.sandbox.project().join(PATH).exists());
    assert_eq!(std::fs::read_to_string(&unknown).unwrap(), "mine");
    machine.run("remove mine").ok().prints("models/mine/gguf/q4_k_m/my.gguf");
    assert!(!dropped.exists() && !machine.sandbox.models().join("mine").exists());
}

#[test]
fn an_old_tree_and_new_models_live_side_by_side() {
    let machine = old();
    machine.run("download tiny:q8_0").ok();
    assert_eq!(machine.hub.count().content_bytes(), MIB + 1);
    let list = machine.run("list").ok();
    assert!(list.stdout.contains("q4_k_m\t2097159\tforeign") && list.stdout.contains("q8_0\t1048577\tstored"), "{list}");
    assert!(!is_link(&machine.sandbox.project().join(PATH)), "nobody asked for it");
    machine.run("remove tiny --quant q8_0").ok();
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
}

#[test]
fn the_old_tools_partial_files_do_no_harm() {
    let machine = Machine::new();
    // huggingface_hub's local_dir bookkeeping, and a file it was still writing.
    machine.sandbox.write("models/tiny/gguf/q4_k_m/.cache/huggingface/download/tiny.Q4_K_M.gguf.lock", "");
    machine.sandbox.write("models/tiny/gguf/q4_k_m/.cache/huggingface/download/x.incomplete", "half");
    machine.sandbox.write(&format!("models/tiny/gguf/q8_0/{OTHER}"), &machine.hub.content(REPO, OTHER).bytes()[..5000]);
    let output = machine.run("download tiny:q4_k_m").ok();
    assert_eq!(output.last_line(), PATH);
    let half = machine.run("download tiny:q8_0").code(1).says("in the way").says("hint: ");
    assert_eq!(half.stdout, "");
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len(), "nothing travels for a place that is taken");
    let forced = machine.run("download tiny:q8_0 --force").ok().says("kept in the store");
    assert_content(&machine.sandbox.project().join(forced.last_line()), &machine.hub.content(REPO, OTHER));
    machine.run("list").ok();
    machine.run("remove tiny").ok();
    let left: PathBuf = machine.sandbox.project().join("models/tiny/gguf/q4_k_m/.cache/huggingface/download/x.incomplete");
    assert_eq!(std::fs::read_to_string(left).unwrap(), "half");
}

#[test]
fn two_projects_of_the_old_tool_share_one_copy_afterwards() {
    let machine = old();
    let other = machine.sandbox.other_project("other");
    std::fs::create_dir_all(other.join("configs")).unwrap();
    std::fs::create_dir_all(other.join("models/twin/gguf/q4_k_m")).unwrap();
    std::fs::write(
        other.join("configs/models.yaml"),
        format!("models:\n{}", entry(&machine.hub, "twin", REPO, &[("q4_k_m", FILE)])),
    )
    .unwrap();
    std::fs::write(other.join("models/twin/gguf/q4_k_m").join(FILE), machine.content().bytes()).unwrap();
    let store = machine.sandbox.root().join("store");
    machine.run(&format!("download tiny --offline --store {}", store.display())).ok();
    let mut command = machine.sandbox.command(["download", "twin", "--offline", "--store", store.to_str().unwrap()]);
    command.current_dir(&other);
    machine.sandbox.finish(command).ok();
    assert!(is_link(&other.join("models/twin/gguf/q4_k_m").join(FILE)));
    let blobs = crate::support::snapshot::tree(&store);
    let blobs: Vec<_> = blobs.files().filter(|(path, ..)| path.starts_with("sha256/")).collect();
    assert_eq!(blobs.len(), 1);
    assert_eq!(Content::file(store.join(blobs[0].0)).sha256(), machine.content().sha256());
}
