//! `sync`: the models are exactly what is locked, from whoever has the bytes, and nothing else is touched.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{FILE, MIB, Machine, OTHER, PATH, REPO, assert_content, assert_not_written, entry, remove, set_mode, stamps};
use crate::lock::{LOCK, SET, lock_text, set_desk};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Gating, TestHub};
use crate::support::run::Output;

/// The project as somebody else clones it: its `configs`, and nothing else.
fn clone_of(machine: &Machine, name: &str) -> PathBuf {
    let clone = machine.sandbox.other_project(name);
    std::fs::create_dir_all(clone.join("configs")).unwrap();
    for file in ["models.yaml", "models.lock"] {
        let from = machine.sandbox.project().join("configs").join(file);
        if from.exists() {
            std::fs::copy(from, clone.join("configs").join(file)).unwrap();
        }
    }
    clone
}

/// Each clone is somebody else's, who has no other store.
#[track_caller]
fn run_in(machine: &Machine, project: &Path, line: &str) -> Output {
    let mut command = machine.sandbox.command(line.split_whitespace());
    command.current_dir(project).env("HOME", project.join("../home").join(project.file_name().unwrap()));
    machine.sandbox.finish(command)
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    set_mode(path, 0o644);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_clone_with_the_same_store_needs_no_request_and_one_with_an_empty_store_each_byte_once() {
    let machine = set_desk();
    let store = machine.sandbox.root().join("shared");
    machine.run(&format!("download small --format safetensors --store {}", store.display())).ok();
    machine.hub.reset_counters();
    machine.run(&format!("lock --store {}", store.display())).ok();
    let clone = clone_of(&machine, "clone");
    run_in(&machine, &clone, &format!("sync --locked --offline --store {}", store.display())).ok().prints("already present");
    assert_eq!(machine.hub.count().total_requests(), 0);
    assert_content(&clone.join("models/small/safetensors/tokenizer.json"), &machine.hub.content(SET, "tokenizer.json"));
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);

    let far = clone_of(&machine, "far");
    run_in(&machine, &far, "sync --locked").ok();
    let lock = lock_text(&far);
    let mut once = std::collections::BTreeMap::new();
    for file in [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "generation_config.json",
    ] {
        let content = machine.hub.content(SET, file);
        assert_content(&far.join("models/small/safetensors").join(file), &content);
        once.insert(content.sha256().to_owned(), content.len());
    }
    assert_eq!(machine.hub.count().content_bytes(), once.values().sum::<u64>(), "each content once");
    assert_eq!(machine.hub.count().api, 0, "and no question");
    assert_eq!(lock, lock_text(&machine.sandbox.project()), "a lock is never written by a locked sync");
    assert_sound(&model_manager::disk::RealDisk, &far.join("models/.blobs"), Expect::Tidy);

    // Again: nothing is sent, nothing is written.
    machine.hub.reset_counters();
    let before = stamps(&far);
    run_in(&machine, &far, "sync --locked").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
    assert_not_written(&far, &before);
}

#[test]
fn offline_names_all_that_is_missing_and_changes_nothing() {
    let machine = Machine::new();
    machine.run("lock tiny:q4_k_m tiny:q8_0").ok();
    machine.run("download tiny:q4_k_m").ok();
    remove(machine.blob(&machine.content()));
    machine.hub.reset_counters();
    let before = machine.sandbox.tree();
    machine
        .run("sync --locked --offline")
        .code(6)
        .says(&format!("tiny/gguf/q4_k_m/{FILE}, tiny/gguf/q8_0/{OTHER}"))
        .says("--offline");
    before.assert_same(&machine.sandbox.tree());
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("sync --locked").ok();
    machine.hub.reset_counters();
    machine.run("sync --locked --offline").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn without_a_lock_file_the_next_step_is_told() {
    let machine = Machine::new();
    machine.run("sync").code(3).says("there is no lock file").says("model-manager lock");
    machine.run("sync --locked").code(3);
    machine.run("lock --check").code(3);
    machine.run("lock").ok().says("Nothing to lock");
    assert!(!machine.sandbox.project().join(LOCK).exists());
}

#[test]
fn a_mirror_that_serves_something_else_is_left_for_the_next_endpoint() {
    let machine = Machine::new();
    machine.run("lock tiny").ok();
    let known = TestHub::start();
    known.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    assert_eq!(known.commit(REPO), machine.hub.commit(REPO));
    known.repo(REPO).swap(FILE, Content::synthetic(2 * MIB + 7, 77));
    let both = format!("--endpoint {} --endpoint {}", known.url(), machine.hub.url());
    machine.run(&format!("sync --locked {both}")).ok().says("is downloaded again from");
    assert!(known.count().content_bytes() > 0);
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.assert_tidy();

    // Alone, it publishes nothing.
    let clone = clone_of(&machine, "clone");
    run_in(&machine, &clone, &format!("sync --locked --endpoint {}", known.url())).code(4).says("is wrong: expected");
    assert!(!clone.join("models/tiny").exists());
    // The other way round, and with a mirror that lacks the file.
    let empty = TestHub::start();
    for endpoints in [[machine.hub.url(), known.url()], [empty.url(), machine.hub.url()]] {
        let clone = clone_of(&machine, &format!("clone-{}", endpoints[0].rsplit(':').next().unwrap()));
        run_in(&machine, &clone, &format!("sync --locked --endpoint {} --endpoint {}", endpoints[0], endpoints[1])).ok();
        assert_content(&clone.join(PATH), &machine.content());
    }
}

#[test]
fn a_page_in_place_of_weights_leads_to_the_next_endpoint() {
    let machine = Machine::of(Spec::tiny().bytes());
    machine.run("lock tiny").ok();
    let mirror = TestHub::start();
    mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    let mut page = b"<!DOCTYPE html><html>Sign in".to_vec();
    page.resize(machine.content().len() as usize, b' ');
    mirror.repo(REPO).swap(FILE, page);
    let line = format!("sync --locked --endpoint {} --endpoint {}", mirror.url(), machine.hub.url());
    machine.run(&line).ok().says("is downloaded again from");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.assert_tidy();
}

#[test]
fn a_registry_that_changed_refuses_a_locked_sync_and_is_locked_anew_by_one_that_is_not() {
    let machine = Machine::new();
    machine.run("lock tiny:q4_k_m tiny:q8_0").ok();
    let locked = lock_text(&machine.sandbox.project());
    machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 8)).commit();
    machine.registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)])]);
    machine.hub.reset_counters();
    let before = machine.sandbox.tree();
    let says =
        ["tiny/gguf/q4_k_m: the registry pins the commit", "tiny/gguf/q8_0: the registry has no such entry", "model-manager lock"];
    let output = machine.run("sync --locked").code(1);
    assert!(says.iter().all(|words| output.stderr.contains(words)), "{output}");
    before.assert_same(&machine.sandbox.tree());
    machine.run("lock --check").code(1).prints("the registry pins the commit").prints("no such entry");
    machine.run("lock --check tiny:q8_0").code(1);
    assert_eq!(machine.hub.count().total_requests(), 0);

    machine.run("sync --dry-run").ok().prints("moved").prints("removed");
    before.assert_same(&machine.sandbox.tree());
    machine.run("sync").ok().prints("moved").prints("removed");
    assert_content(&machine.sandbox.project().join(PATH), &machine.hub.content(REPO, FILE));
    let text = lock_text(&machine.sandbox.project());
    assert!(text != locked && text.contains(&machine.hub.commit(REPO)) && !text.contains("q8_0"), "{text}");
    machine.run("lock --check").ok();
    machine.run("sync --locked").ok();
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and what was changed in one may be somebody's edit")]
fn damage_in_the_store_is_repaired_or_told_and_never_shown_as_right() {
    let machine = Machine::with(3 * MIB + 5);
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    let blob = machine.blob(&machine.content());
    damage(&blob, |bytes| bytes[MIB as usize + 5] ^= 1);
    // The first look notes the damage in the store.
    machine.run("sync --locked --offline").code(4);
    let before = machine.sandbox.tree();
    machine.run("sync --locked --offline").code(4).says("is damaged").says(&format!("tiny/gguf/q4_k_m/{FILE}")).says("--repair");
    before.assert_same(&machine.sandbox.tree());
    machine.hub.reset_counters();
    machine.run("sync --locked").ok().prints("Repaired");
    assert_eq!(machine.hub.count().content_bytes(), MIB, "the damaged range alone travels");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());

    // A clone that has never shown it is no worse off.
    let stamp = std::fs::metadata(&blob).unwrap().modified().unwrap();
    damage(&blob, |bytes| bytes[7] ^= 1);
    std::fs::File::options().write(true).open(&blob).unwrap().set_modified(stamp).unwrap();
    let clone = clone_of(&machine, "clone");
    let line = format!("sync --locked --store {}", machine.store().display());
    run_in(&machine, &clone, &format!("{line} --quick --offline")).ok();
    run_in(&machine, &clone, &format!("{line} --offline")).code(4);
    // A mirror that has only wrong bytes for the damage is left for the next endpoint.
    let wrong = TestHub::start();
    wrong.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    wrong.repo(REPO).swap(FILE, Content::synthetic(3 * MIB + 5, 98));
    run_in(&machine, &clone, &format!("{line} --endpoint {} --endpoint {}", wrong.url(), machine.hub.url())).ok();
    assert_content(&clone.join(PATH), &machine.content());
    machine.run("verify --rehash").ok();
    machine.assert_tidy();
}

#[test]
fn damaged_hard_links_and_copies_are_made_anew() {
    for mode in ["hardlink", "copy"] {
        let machine = Machine::new();
        machine.run(&format!("download tiny --link {mode}")).ok();
        machine.run("lock").ok();
        let shown = machine.sandbox.project().join(PATH);
        for silent in [false, true] {
            let stamp = std::fs::metadata(&shown).unwrap().modified().unwrap();
            // A hard link is the blob; a copy that was changed in the open is somebody's work, and is left.
            if mode == "copy" && !silent {
                continue;
            }
            damage(&shown, |bytes| bytes[9] ^= 1);
            if silent {
                std::fs::File::options().write(true).open(&shown).unwrap().set_modified(stamp).unwrap();
            }
            machine.run("sync --locked").ok().prints("Repaired");
            assert_content(&shown, &machine.content());
            assert_content(&machine.blob(&machine.content()), &machine.content());
        }
        machine.run("verify --rehash").ok();
    }
}

#[cfg(unix)]
#[test]
fn a_locked_view_is_exactly_what_is_locked_and_what_is_not_ours_stays() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m tiny:q8_0").ok();
    machine.run("lock").ok();
    let dir = machine.sandbox.models().join("tiny/gguf/q4_k_m");
    let ours = dir.join("extra.gguf");
    std::os::unix::fs::symlink(std::fs::read_link(dir.join(FILE)).unwrap(), &ours).unwrap();
    std::fs::write(dir.join("notes.txt"), "mine").unwrap();
    std::fs::write(machine.sandbox.models().join("tiny/README"), "mine").unwrap();
    machine.run("sync --locked --dry-run").ok().prints("Would remove").prints("notes.txt");
    assert!(ours.is_symlink());
    let json = machine.run("sync --locked --json").ok().json();
    assert_eq!((json["removed"].as_array().unwrap().len(), json["kept"].as_array().unwrap().len()), (1, 1), "{json:#}");
    assert!(json["kept"][0]["path"].as_str().unwrap().ends_with("notes.txt"), "{json:#}");
    assert!(!ours.is_symlink() && dir.join("notes.txt").exists() && machine.sandbox.models().join("tiny/README").exists());
    assert_content(&dir.join(FILE), &machine.content());

    // Where a locked file belongs, a foreign one is refused before anything is changed.
    std::fs::remove_file(dir.join(FILE)).unwrap();
    std::fs::write(dir.join(FILE), "my own").unwrap();
    std::fs::remove_file(machine.sandbox.models().join("tiny/gguf/q8_0").join(OTHER)).unwrap();
    let before = machine.sandbox.tree();
    machine.run("sync --locked").code(1).says("is in the way").says("hint: ");
    before.assert_same(&machine.sandbox.tree());
    // The right content in a plain file is taken in, as a download does.
    std::fs::write(dir.join(FILE), std::fs::read(machine.blob(&machine.content())).unwrap()).unwrap();
    machine.hub.reset_counters();
    machine.run("sync --locked").ok();
    assert!(dir.join(FILE).is_symlink());
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn pruning_removes_our_views_that_are_not_locked_and_nothing_else() {
    let machine = Machine::new();
    machine.hub.repo("someone/copy").lfs("renamed.gguf", machine.content()).commit();
    machine.registry(&[
        entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)]),
        entry(&machine.hub, "twin", "someone/copy", &[("q4_k_m", "renamed.gguf")]),
    ]);
    machine.run("download tiny:q4_k_m tiny:q8_0 twin").ok();
    machine.run("lock tiny:q4_k_m").ok();
    machine.sandbox.write("models/old/gguf/q4_k_m/old.gguf", "the old tool's");
    machine.run("sync --locked").ok();
    assert!(machine.sandbox.models().join("twin").exists(), "nothing goes unasked");
    let before = machine.sandbox.tree();
    machine
        .run("sync --locked --prune --dry-run")
        .ok()
        .prints("Would remove tiny gguf/q8_0")
        .prints("Would remove twin gguf/q4_k_m");
    before.assert_same(&machine.sandbox.tree());
    let json = machine.run("sync --locked --prune --json").ok().json();
    assert_eq!(json["pruned"]["models"].as_array().unwrap().len(), 2, "{json:#}");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    assert!(!machine.sandbox.models().join("twin").exists() && !machine.sandbox.models().join("tiny/gguf/q8_0").exists());
    assert!(machine.sandbox.models().join("old/gguf/q4_k_m/old.gguf").exists());
    assert!(!machine.blob(&machine.hub.content(REPO, OTHER)).exists(), "what nothing needs gives its space back");
    machine.assert_tidy();
    let again = machine.run("sync --locked --prune --json").ok().json();
    assert_eq!(again["pruned"]["models"], json!([]), "{again:#}");
}

#[test]
fn a_hostile_lock_file_is_refused_with_its_line_before_anything_is_done() {
    let machine = Machine::new();
    machine.run("lock tiny").ok();
    let good = lock_text(&machine.sandbox.project());
    let sha256 = machine.content().sha256().to_owned();
    let file = good[good.find("      - path:").unwrap()..].to_owned();
    for (text, words) in [
        (good.replace(FILE, "../../../evil"), "is not a file path"),
        (good.replace(FILE, "/etc/evil"), "is not a file path"),
        (good.replace(FILE, ".view.json"), "kept for model-manager"),
        (good.replace("model: \"tiny\"", "model: \"..\""), "is not a model id"),
        (good.replace("model: \"tiny\"", "model: \".blobs\""), "is not a model id"),
        (format!("{good}{file}"), "are the same file"),
        (format!("{good}{}", file.replace(FILE, &FILE.to_uppercase())), "are the same file"),
        (good.replace("version: 1", "version: 2"), "version 2"),
        (good.replace(&sha256, &sha256[1..]), "expected 64 hexadecimal digits"),
        (good.replace(&format!("        sha256: \"{sha256}\"\n"), ""), "expected `sha256`"),
        (good.replace("views:", "endpoint: \"https://evil\"\nviews:"), "unknown key `endpoint`"),
    ] {
        std::fs::write(machine.sandbox.project().join(LOCK), &text).unwrap();
        let before = machine.sandbox.tree();
        for line in ["sync --locked", "sync", "sync --locked --prune --offline"] {
            machine.run(line).code(2).says(words).says("hint: ");
        }
        before.assert_same(&machine.sandbox.tree());
    }
    assert_eq!(machine.hub.count().total_requests(), 0);
    std::fs::write(machine.sandbox.project().join(LOCK), [0xff, 0xfe]).unwrap();
    machine.run("sync --locked").code(2).says("models.lock");
    // A hash that no endpoint can meet publishes nothing.
    std::fs::write(machine.sandbox.project().join(LOCK), good.replace(&sha256, &"0".repeat(64))).unwrap();
    machine.sandbox.write(
        "configs/models.yaml",
        std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap().replace(&sha256, &"0".repeat(64)),
    );
    machine.run("sync --locked").code(4);
    machine.assert_nothing_published();
}

#[test]
fn the_gate_is_locked_with_the_files_and_a_mirror_needs_no_token() {
    let machine = Machine::new();
    machine.hub.repo(REPO).gated(Gating::Manual);
    machine.hub.token("hf_secret", &[REPO]);
    let mut machine = machine;
    machine.sandbox.set_env("HF_TOKEN", "hf_secret");
    machine.run(&format!("lock {REPO}:q8_0")).ok();
    let text = lock_text(&machine.sandbox.project());
    assert!(text.contains("    gated: true\n") && !text.contains("hf_secret"), "{text}");
    machine.sandbox.remove_env("HF_TOKEN");
    machine.run("sync --locked").code(5);
    let mirror = TestHub::start();
    mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    machine.run(&format!("sync --locked --endpoint {} --endpoint {}", machine.hub.url(), mirror.url())).ok();
    assert_content(&machine.sandbox.models().join("TheBloke--Tiny-GGUF/gguf/q8_0").join(OTHER), &machine.hub.content(REPO, OTHER));
}
