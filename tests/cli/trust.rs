//! What is said of files whose source published no hash, or an odd one: never that they are verified.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use crate::kit::{FILE, Machine, PATH, REPO, assert_content, entry, open_entry, set_mode};
use crate::support::hub::{Content, TestHub};
use crate::support::run::Output;

const SHOWN: &str = "models/TheBloke--Tiny-GGUF/gguf/q4_k_m/tiny.Q4_K_M.gguf";

fn content() -> Content {
    Content::synthetic((2 << 20) + 7, 1)
}

/// A repository whose listing says this of its file.
fn offer(hub: &TestHub, patch: Value) {
    hub.repo(REPO).lfs(FILE, content()).patch_entry(FILE, patch).commit();
}

fn silent() -> Machine {
    let machine = Machine::empty();
    offer(&machine.hub, json!({"lfs": {"oid": "*".repeat(64)}}));
    machine
}

fn record_at(store: &Path) -> PathBuf {
    let digest = content().sha256().to_owned();
    store.join("meta").join(&digest[..2]).join(format!("{digest}.json"))
}

/// What the store has recorded: who vouches for the file, and how many sources it has.
fn recorded(store: &Path) -> (String, usize) {
    let record: Value = serde_json::from_slice(&std::fs::read(record_at(store)).unwrap()).unwrap();
    (record["trust"].as_str().unwrap().to_owned(), record["sources"].as_array().unwrap().len())
}

fn tofu(sources: usize) -> (String, usize) {
    ("tofu".to_owned(), sources)
}

/// Flips a byte of the blob.
fn damage(machine: &Machine) {
    let blob = machine.blob(&content());
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[1_500_000] ^= 1;
    set_mode(&blob, 0o644);
    std::fs::write(&blob, bytes).unwrap();
    set_mode(&blob, 0o444);
}

#[track_caller]
fn assert_never_verified(output: &Output) {
    let said = format!("{}{}", output.stdout, output.stderr).replace("unverified", "").replace("model-manager verify", "");
    assert!(!said.contains("verified") && !said.contains("compared with its published"), "{output}");
}

#[test]
fn a_hash_that_is_none_counts_as_not_published_and_never_as_verified() {
    let sha256 = content().sha256().to_owned();
    for patch in [
        json!({"lfs": null, "oid": null}),
        json!({"lfs": null, "oid": "*".repeat(40)}),
        json!({"lfs": "*".repeat(64)}),
        json!({"lfs": true}),
        json!({"lfs": {"oid": null}}),
        json!({"lfs": {"oid": "*".repeat(64)}}),
        json!({"lfs": {"oid": 7, "size": "many"}}),
        json!({"lfs": {"oid": sha256[..63]}}),
        json!({"lfs": {"oid": format!("{sha256}0")}}),
        json!({"lfs": {"oid": format!("sha512:{sha256}")}}),
    ] {
        let machine = Machine::empty();
        offer(&machine.hub, patch.clone());
        let output = machine.run(&format!("download {REPO}:q4_k_m")).ok().says("its source published no hash");
        assert_never_verified(&output);
        assert_content(&machine.sandbox.project().join(SHOWN), &content());
        assert_eq!(recorded(&machine.store()), tofu(1), "{patch}");
        machine.run("verify").ok().prints("1 unverified");
    }
}

#[test]
fn every_command_says_the_same_of_what_no_source_vouches_for() {
    let machine = silent();
    let done = machine.run(&format!("download {REPO}:q4_k_m --json")).ok().json();
    assert_eq!(done["models"][0]["files"][0]["trust"], "tofu");
    let verified = machine.run("verify --json").ok().json();
    assert_eq!(verified["files"][0]["state"], "unverified");
    assert!(verified["files"][0]["note"].as_str().unwrap().contains("never compared with a published hash"), "{verified}");
    assert_never_verified(&machine.run(&format!("why {}", content().sha256())).ok().prints("unverified: no published hash"));
    assert_eq!(machine.run(&format!("why {} --json", content().sha256())).ok().json()["blobs"][0]["trust"], "tofu");
    let info = machine.run(&format!("info {REPO}:q4_k_m --json")).ok().json();
    let form = &info["models"][0]["forms"][0];
    assert_eq!((form["verified"].as_bool(), form["pinned"].as_bool()), (Some(false), Some(false)), "{info}");
    assert_eq!(machine.run("lock --json").ok().json()["models"][0]["unpublished"], 1);
    for line in ["list", "doctor", "doctor --full", "lock", "sync --locked", "verify"] {
        assert_never_verified(&machine.run(line).ok());
    }
}

#[test]
fn nothing_but_a_published_hash_makes_more_of_what_came_without_one() {
    let machine = silent();
    let download = format!("download {REPO}:q4_k_m");
    machine.run(&download).ok();
    assert_eq!(recorded(&machine.store()), tofu(1));
    for line in [&download, &format!("{download} --force"), "verify --rehash", "lock", "sync --locked", "sync"] {
        machine.run(line).ok();
        assert_eq!(recorded(&machine.store()), tofu(1), "{line}");
    }
    for line in ["verify --repair", "sync --locked"] {
        damage(&machine);
        machine.run(line).ok();
        assert_content(&machine.sandbox.project().join(SHOWN), &content());
        assert_eq!(recorded(&machine.store()), tofu(1), "{line}");
    }
    machine.assert_tidy();
    // The same from a repository that publishes its hash: now it was compared.
    machine.hub.repo("a/loud").lfs("loud.Q4_K_M.gguf", content()).commit();
    machine.run("download a/loud:q4_k_m").ok();
    assert_eq!(recorded(&machine.store()), ("sha256-upstream".to_owned(), 2));
    machine.run("verify").ok().prints("2 ok");
}

#[test]
fn a_lock_file_says_which_of_its_hashes_nobody_published() {
    let machine = silent();
    machine.run(&format!("download {REPO}:q4_k_m")).ok();
    machine.run("lock").ok().prints("published no hash");
    let lock = std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap();
    assert!(lock.contains("        trust: \"tofu\"\n"), "{lock}");
    // Where it is applied, its hash is compared, and makes no more of it.
    let store = machine.sandbox.root().join("elsewhere");
    let other = machine.sandbox.other_project("other");
    std::fs::create_dir(other.join("configs")).unwrap();
    std::fs::write(other.join("configs/models.lock"), &lock).unwrap();
    let run = |line: &str| {
        let mut command = machine.sandbox.command(line.split_whitespace());
        command.args(["--store", store.to_str().unwrap()]).current_dir(&other);
        machine.sandbox.finish(command)
    };
    assert_never_verified(&run("sync --locked").ok());
    assert_eq!(recorded(&store), tofu(1));
    run("verify").ok().prints("1 unverified");
    // A word of a newer program is not taken for more, and stays.
    let newer = lock.replace("\"tofu\"", "\"rumour\"");
    std::fs::write(other.join("configs/models.lock"), &newer).unwrap();
    run("sync --locked").ok();
    run("lock").ok();
    assert_eq!(recorded(&store), tofu(1));
    assert_eq!(std::fs::read_to_string(other.join("configs/models.lock")).unwrap(), newer);
}

#[test]
fn a_lock_file_of_published_hashes_vouches_for_what_it_brings() {
    let machine = Machine::new();
    machine.run("lock tiny").ok();
    let lock = std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap();
    assert!(!lock.contains("trust"), "{lock}");
    machine.run("sync --locked").ok();
    assert_eq!(recorded(&machine.store()).0, "sha256-upstream");
}

#[test]
fn sources_and_who_vouches_survive_force_and_repair() {
    let machine = Machine::new();
    machine.hub.repo("a/copy").lfs("copy.Q4_K_M.gguf", content()).commit();
    machine.run("download tiny").ok();
    machine.run("download a/copy:q4_k_m").ok();
    let before = recorded(&machine.store());
    assert_eq!(before, ("sha256-upstream".to_owned(), 2));
    machine.run("download tiny --force").ok();
    assert_eq!(recorded(&machine.store()), before);
    damage(&machine);
    machine.run("verify tiny --repair").ok();
    assert_eq!(recorded(&machine.store()), before);
    assert_content(&machine.sandbox.project().join(PATH), &content());
    machine.assert_tidy();
}

#[test]
fn a_plain_file_is_vouched_for_by_the_registrys_hash_where_it_has_one() {
    for (pinned, trust) in [(true, "sha256-upstream"), (false, "tofu")] {
        let machine = Machine::new();
        let files = [("q4_k_m", FILE)];
        let text = if pinned { entry(&machine.hub, "tiny", REPO, &files) } else { open_entry("tiny", REPO, &files) };
        machine.registry(&[text]);
        machine.sandbox.write(PATH, content().bytes());
        machine.run("download tiny --offline").ok();
        assert_eq!(recorded(&machine.store()).0, trust);
    }
}
