//! `sync`: the models are exactly what is locked, from whoever has the bytes, and nothing else is touched.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{Desk, FILE, MIB, OTHER, PATH, REPO, assert_content, assert_not_written, entry, remove, set_mode, stamps};
use crate::lock::{LOCK, SET, lock_text, set_desk};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Gating, TestHub};
use crate::support::run::Output;

/// The project as somebody else clones it: its `configs`, and nothing else.
fn clone_of(desk: &Desk, name: &str) -> PathBuf {
    let clone = desk.s.other_project(name);
    std::fs::create_dir_all(clone.join("configs")).unwrap();
    for file in ["models.yaml", "models.lock"] {
        let from = desk.s.project().join("configs").join(file);
        if from.exists() {
            std::fs::copy(from, clone.join("configs").join(file)).unwrap();
        }
    }
    clone
}

/// Each clone is somebody else's, who has no other store.
#[track_caller]
fn run_in(desk: &Desk, project: &Path, line: &str) -> Output {
    let mut command = desk.s.command(line.split_whitespace());
    command.current_dir(project).env("HOME", project.join("../home").join(project.file_name().unwrap()));
    desk.s.finish(command)
}

fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    set_mode(path, 0o644);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_clone_with_the_same_store_needs_no_request_and_one_with_an_empty_store_each_byte_once() {
    let desk = set_desk();
    let store = desk.s.root().join("shared");
    desk.run(&format!("download small --format safetensors --store {}", store.display())).ok();
    desk.hub.reset_counters();
    desk.run(&format!("lock --store {}", store.display())).ok();
    let clone = clone_of(&desk, "clone");
    run_in(&desk, &clone, &format!("sync --locked --offline --store {}", store.display())).ok().prints("already present");
    assert_eq!(desk.hub.count().total_requests(), 0);
    assert_content(&clone.join("models/small/safetensors/tokenizer.json"), &desk.hub.content(SET, "tokenizer.json"));
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);

    let far = clone_of(&desk, "far");
    run_in(&desk, &far, "sync --locked").ok();
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
        let content = desk.hub.content(SET, file);
        assert_content(&far.join("models/small/safetensors").join(file), &content);
        once.insert(content.sha256().to_owned(), content.len());
    }
    assert_eq!(desk.hub.count().content_bytes(), once.values().sum::<u64>(), "each content once");
    assert_eq!(desk.hub.count().api, 0, "and no question");
    assert_eq!(lock, lock_text(&desk.s.project()), "a lock is never written by a locked sync");
    assert_sound(&model_manager::disk::RealDisk, &far.join("models/.blobs"), Expect::Tidy);

    // Again: nothing is sent, nothing is written.
    desk.hub.reset_counters();
    let before = stamps(&far);
    run_in(&desk, &far, "sync --locked").ok();
    assert_eq!(desk.hub.count().total_requests(), 0);
    assert_not_written(&far, &before);
}

#[test]
fn offline_names_all_that_is_missing_and_changes_nothing() {
    let desk = Desk::new();
    desk.run("lock tiny:q4_k_m tiny:q8_0").ok();
    desk.run("download tiny:q4_k_m").ok();
    remove(desk.blob(&desk.content()));
    desk.hub.reset_counters();
    let before = desk.s.tree();
    desk.run("sync --locked --offline").code(6).says(&format!("tiny/gguf/q4_k_m/{FILE}, tiny/gguf/q8_0/{OTHER}")).says("--offline");
    before.assert_same(&desk.s.tree());
    assert_eq!(desk.hub.count().total_requests(), 0);
    desk.run("sync --locked").ok();
    desk.hub.reset_counters();
    desk.run("sync --locked --offline").ok();
    assert_eq!(desk.hub.count().total_requests(), 0);
}

#[test]
fn without_a_lock_file_the_next_step_is_told() {
    let desk = Desk::new();
    desk.run("sync").code(3).says("there is no lock file").says("model-manager lock");
    desk.run("sync --locked").code(3);
    desk.run("lock --check").code(3);
    desk.run("lock").ok().says("Nothing to lock");
    assert!(!desk.s.project().join(LOCK).exists());
}

#[test]
fn a_mirror_that_serves_something_else_is_left_for_the_next_endpoint() {
    let desk = Desk::new();
    desk.run("lock tiny").ok();
    let known = TestHub::start();
    known.repo(REPO).lfs(FILE, desk.content()).lfs(OTHER, desk.hub.content(REPO, OTHER)).commit();
    assert_eq!(known.commit(REPO), desk.hub.commit(REPO));
    known.repo(REPO).swap(FILE, Content::synthetic(2 * MIB + 7, 77));
    let both = format!("--endpoint {} --endpoint {}", known.url(), desk.hub.url());
    desk.run(&format!("sync --locked {both}")).ok().says("is downloaded again from");
    assert!(known.count().content_bytes() > 0);
    assert_content(&desk.s.project().join(PATH), &desk.content());
    desk.assert_tidy();

    // Alone, it publishes nothing.
    let clone = clone_of(&desk, "clone");
    run_in(&desk, &clone, &format!("sync --locked --endpoint {}", known.url())).code(4).says("is wrong: expected");
    assert!(!clone.join("models/tiny").exists());
    // The other way round, and with a mirror that lacks the file.
    let empty = TestHub::start();
    for endpoints in [[desk.hub.url(), known.url()], [empty.url(), desk.hub.url()]] {
        let clone = clone_of(&desk, &format!("clone-{}", endpoints[0].rsplit(':').next().unwrap()));
        run_in(&desk, &clone, &format!("sync --locked --endpoint {} --endpoint {}", endpoints[0], endpoints[1])).ok();
        assert_content(&clone.join(PATH), &desk.content());
    }
}

#[test]
fn a_page_in_place_of_weights_leads_to_the_next_endpoint() {
    let desk = Desk::of(Spec::tiny().bytes());
    desk.run("lock tiny").ok();
    let mirror = TestHub::start();
    mirror.repo(REPO).lfs(FILE, desk.content()).lfs(OTHER, desk.hub.content(REPO, OTHER)).commit();
    let mut page = b"<!DOCTYPE html><html>Sign in".to_vec();
    page.resize(desk.content().len() as usize, b' ');
    mirror.repo(REPO).swap(FILE, page);
    let line = format!("sync --locked --endpoint {} --endpoint {}", mirror.url(), desk.hub.url());
    desk.run(&line).ok().says("is downloaded again from");
    assert_content(&desk.s.project().join(PATH), &desk.content());
    desk.assert_tidy();
}

#[test]
fn a_registry_that_changed_refuses_a_locked_sync_and_is_locked_anew_by_one_that_is_not() {
    let desk = Desk::new();
    desk.run("lock tiny:q4_k_m tiny:q8_0").ok();
    let locked = lock_text(&desk.s.project());
    desk.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 8)).commit();
    desk.registry(&[entry(&desk.hub, "tiny", REPO, &[("q4_k_m", FILE)])]);
    desk.hub.reset_counters();
    let before = desk.s.tree();
    let says =
        ["tiny/gguf/q4_k_m: the registry pins the commit", "tiny/gguf/q8_0: the registry has no such entry", "model-manager lock"];
    let output = desk.run("sync --locked").code(1);
    assert!(says.iter().all(|words| output.stderr.contains(words)), "{output}");
    before.assert_same(&desk.s.tree());
    desk.run("lock --check").code(1).prints("the registry pins the commit").prints("no such entry");
    desk.run("lock --check tiny:q8_0").code(1);
    assert_eq!(desk.hub.count().total_requests(), 0);

    desk.run("sync --dry-run").ok().prints("moved").prints("removed");
    before.assert_same(&desk.s.tree());
    desk.run("sync").ok().prints("moved").prints("removed");
    assert_content(&desk.s.project().join(PATH), &desk.hub.content(REPO, FILE));
    let text = lock_text(&desk.s.project());
    assert!(text != locked && text.contains(&desk.hub.commit(REPO)) && !text.contains("q8_0"), "{text}");
    desk.run("lock --check").ok();
    desk.run("sync --locked").ok();
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and what was changed in one may be somebody's edit")]
fn damage_in_the_store_is_repaired_or_told_and_never_shown_as_right() {
    let desk = Desk::with(3 * MIB + 5);
    desk.run("download tiny").ok();
    desk.run("lock").ok();
    let blob = desk.blob(&desk.content());
    damage(&blob, |bytes| bytes[MIB as usize + 5] ^= 1);
    // The first look notes the damage in the store.
    desk.run("sync --locked --offline").code(4);
    let before = desk.s.tree();
    desk.run("sync --locked --offline").code(4).says("is damaged").says(&format!("tiny/gguf/q4_k_m/{FILE}")).says("--repair");
    before.assert_same(&desk.s.tree());
    desk.hub.reset_counters();
    desk.run("sync --locked").ok().prints("Repaired");
    assert_eq!(desk.hub.count().content_bytes(), MIB, "the damaged range alone travels");
    assert_content(&desk.s.project().join(PATH), &desk.content());

    // A clone that has never shown it is no worse off.
    let stamp = std::fs::metadata(&blob).unwrap().modified().unwrap();
    damage(&blob, |bytes| bytes[7] ^= 1);
    std::fs::File::options().write(true).open(&blob).unwrap().set_modified(stamp).unwrap();
    let clone = clone_of(&desk, "clone");
    let line = format!("sync --locked --store {}", desk.store().display());
    run_in(&desk, &clone, &format!("{line} --quick --offline")).ok();
    run_in(&desk, &clone, &format!("{line} --offline")).code(4);
    // A mirror that has only wrong bytes for the damage is left for the next endpoint.
    let wrong = TestHub::start();
    wrong.repo(REPO).lfs(FILE, desk.content()).lfs(OTHER, desk.hub.content(REPO, OTHER)).commit();
    wrong.repo(REPO).swap(FILE, Content::synthetic(3 * MIB + 5, 98));
    run_in(&desk, &clone, &format!("{line} --endpoint {} --endpoint {}", wrong.url(), desk.hub.url())).ok();
    assert_content(&clone.join(PATH), &desk.content());
    desk.run("verify --rehash").ok();
    desk.assert_tidy();
}

#[test]
fn damaged_hard_links_and_copies_are_made_anew() {
    for mode in ["hardlink", "copy"] {
        let desk = Desk::new();
        desk.run(&format!("download tiny --link {mode}")).ok();
        desk.run("lock").ok();
        let shown = desk.s.project().join(PATH);
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
            desk.run("sync --locked").ok().prints("Repaired");
            assert_content(&shown, &desk.content());
            assert_content(&desk.blob(&desk.content()), &desk.content());
        }
        desk.run("verify --rehash").ok();
    }
}

#[cfg(unix)]
#[test]
fn a_locked_view_is_exactly_what_is_locked_and_what_is_not_ours_stays() {
    let desk = Desk::new();
    desk.run("download tiny:q4_k_m tiny:q8_0").ok();
    desk.run("lock").ok();
    let dir = desk.s.models().join("tiny/gguf/q4_k_m");
    let ours = dir.join("extra.gguf");
    std::os::unix::fs::symlink(std::fs::read_link(dir.join(FILE)).unwrap(), &ours).unwrap();
    std::fs::write(dir.join("notes.txt"), "mine").unwrap();
    std::fs::write(desk.s.models().join("tiny/README"), "mine").unwrap();
    desk.run("sync --locked --dry-run").ok().prints("Would remove").prints("notes.txt");
    assert!(ours.is_symlink());
    let json = desk.run("sync --locked --json").ok().json();
    assert_eq!((json["removed"].as_array().unwrap().len(), json["kept"].as_array().unwrap().len()), (1, 1), "{json:#}");
    assert!(json["kept"][0]["path"].as_str().unwrap().ends_with("notes.txt"), "{json:#}");
    assert!(!ours.is_symlink() && dir.join("notes.txt").exists() && desk.s.models().join("tiny/README").exists());
    assert_content(&dir.join(FILE), &desk.content());

    // Where a locked file belongs, a foreign one is refused before anything is changed.
    std::fs::remove_file(dir.join(FILE)).unwrap();
    std::fs::write(dir.join(FILE), "my own").unwrap();
    std::fs::remove_file(desk.s.models().join("tiny/gguf/q8_0").join(OTHER)).unwrap();
    let before = desk.s.tree();
    desk.run("sync --locked").code(1).says("is in the way").says("hint: ");
    before.assert_same(&desk.s.tree());
    // The right content in a plain file is taken in, as a download does.
    std::fs::write(dir.join(FILE), std::fs::read(desk.blob(&desk.content())).unwrap()).unwrap();
    desk.hub.reset_counters();
    desk.run("sync --locked").ok();
    assert!(dir.join(FILE).is_symlink());
    assert_eq!(desk.hub.count().total_requests(), 0);
}

#[test]
fn pruning_removes_our_views_that_are_not_locked_and_nothing_else() {
    let desk = Desk::new();
    desk.hub.repo("someone/copy").lfs("renamed.gguf", desk.content()).commit();
    desk.registry(&[
        entry(&desk.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)]),
        entry(&desk.hub, "twin", "someone/copy", &[("q4_k_m", "renamed.gguf")]),
    ]);
    desk.run("download tiny:q4_k_m tiny:q8_0 twin").ok();
    desk.run("lock tiny:q4_k_m").ok();
    desk.s.write("models/old/gguf/q4_k_m/old.gguf", "the old tool's");
    desk.run("sync --locked").ok();
    assert!(desk.s.models().join("twin").exists(), "nothing goes unasked");
    let before = desk.s.tree();
    desk.run("sync --locked --prune --dry-run").ok().prints("Would remove tiny gguf/q8_0").prints("Would remove twin gguf/q4_k_m");
    before.assert_same(&desk.s.tree());
    let json = desk.run("sync --locked --prune --json").ok().json();
    assert_eq!(json["pruned"]["models"].as_array().unwrap().len(), 2, "{json:#}");
    assert_content(&desk.s.project().join(PATH), &desk.content());
    assert!(!desk.s.models().join("twin").exists() && !desk.s.models().join("tiny/gguf/q8_0").exists());
    assert!(desk.s.models().join("old/gguf/q4_k_m/old.gguf").exists());
    assert!(!desk.blob(&desk.hub.content(REPO, OTHER)).exists(), "what nothing needs gives its space back");
    desk.assert_tidy();
    let again = desk.run("sync --locked --prune --json").ok().json();
    assert_eq!(again["pruned"]["models"], json!([]), "{again:#}");
}

#[test]
fn a_hostile_lock_file_is_refused_with_its_line_before_anything_is_done() {
    let desk = Desk::new();
    desk.run("lock tiny").ok();
    let good = lock_text(&desk.s.project());
    let sha256 = desk.content().sha256().to_owned();
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
        std::fs::write(desk.s.project().join(LOCK), &text).unwrap();
        let before = desk.s.tree();
        for line in ["sync --locked", "sync", "sync --locked --prune --offline"] {
            desk.run(line).code(2).says(words).says("hint: ");
        }
        before.assert_same(&desk.s.tree());
    }
    assert_eq!(desk.hub.count().total_requests(), 0);
    std::fs::write(desk.s.project().join(LOCK), [0xff, 0xfe]).unwrap();
    desk.run("sync --locked").code(2).says("models.lock");
    // A hash that no endpoint can meet publishes nothing.
    std::fs::write(desk.s.project().join(LOCK), good.replace(&sha256, &"0".repeat(64))).unwrap();
    desk.s.write(
        "configs/models.yaml",
        std::fs::read_to_string(desk.s.project().join("configs/models.yaml")).unwrap().replace(&sha256, &"0".repeat(64)),
    );
    desk.run("sync --locked").code(4);
    desk.assert_nothing_published();
}

#[test]
fn the_gate_is_locked_with_the_files_and_a_mirror_needs_no_token() {
    let desk = Desk::new();
    desk.hub.repo(REPO).gated(Gating::Manual);
    desk.hub.token("hf_secret", &[REPO]);
    let mut desk = desk;
    desk.s.set_env("HF_TOKEN", "hf_secret");
    desk.run(&format!("lock {REPO}:q8_0")).ok();
    let text = lock_text(&desk.s.project());
    assert!(text.contains("    gated: true\n") && !text.contains("hf_secret"), "{text}");
    desk.s.remove_env("HF_TOKEN");
    desk.run("sync --locked").code(5);
    let mirror = TestHub::start();
    mirror.repo(REPO).lfs(FILE, desk.content()).lfs(OTHER, desk.hub.content(REPO, OTHER)).commit();
    desk.run(&format!("sync --locked --endpoint {} --endpoint {}", desk.hub.url(), mirror.url())).ok();
    assert_content(&desk.s.models().join("TheBloke--Tiny-GGUF/gguf/q8_0").join(OTHER), &desk.hub.content(REPO, OTHER));
}
