//! Full disks, read-only folders and things that stand in the way.

use std::time::Duration;

use crate::kit::{MIB, Machine, PATH, assert_content};
use crate::mounts::{fill, read_only, tmpfs};
use crate::support::hub::{Content, Match};
use crate::support::snapshot::tree;

#[test]
#[ignore = "needs root"]
fn what_cannot_fit_is_refused_before_the_first_byte() {
    let machine = Machine::with(12 * MIB);
    let _volume = tmpfs(&machine.sandbox.models(), 12 << 10);
    machine.run("download tiny").code(7).says("not enough disk space").says("12.58 MB are needed").says("model-manager remove");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.assert_nothing_published();
    assert!(machine.partials().is_empty());
    machine.run("download tiny --dry-run").ok().says("does not fit");
    // Something smaller fits.
    machine.run("download tiny:q8_0").ok();
    machine.run("download tiny:q4_k_m --json").code(7);
    machine.run("verify").ok();
}

#[test]
#[ignore = "needs root"]
fn one_content_under_two_names_needs_its_room_once() {
    let machine = Machine::new();
    let content = Content::synthetic(12 * MIB, 5);
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = format!(r#"{{"weight_map": {{"a": "{}", "b": "{}"}}}}"#, names[0], names[1]);
    let repo = machine.hub.repo("a/set").lfs(names[0], &content).lfs(names[1], &content);
    repo.plain("config.json", "{}").plain("model.safetensors.index.json", index).commit();
    let _volume = tmpfs(&machine.sandbox.models(), 18 << 10);
    machine.run("download a/set --format safetensors").ok();
}

#[test]
#[ignore = "needs root"]
fn a_disk_that_fills_up_midway_keeps_the_part_and_removal_works_without_a_free_byte() {
    let machine = Machine::with(8 * MIB + 5);
    let _volume = tmpfs(&machine.sandbox.models(), 24 << 10);
    machine.run("download tiny:q8_0").ok();
    let hold = machine.hub.hold(Match::cdn(), 3 * MIB + 9);
    let running = machine.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let ballast = fill(&machine.sandbox.models());
    hold.release();
    let output = running.wait();
    // The room was reserved before: either it is enough for all, or the end is an honest one.
    if output.status.code() != Some(0) {
        let output = output.code(7).says("hint: ");
        assert_eq!(output.stdout, "");
        assert!(!machine.sandbox.project().join(PATH).exists());
    }
    for line in ["list", "verify", "path tiny:q8_0", "info", "remove tiny --dry-run", "download tiny:q8_0"] {
        machine.run(line).ok();
    }
    machine.run("remove tiny --quant q8_0").ok();
    assert!(!machine.sandbox.project().join("models/tiny/gguf/q8_0").exists());
    std::fs::remove_file(&ballast).unwrap();
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert!(machine.hub.count().content_bytes() <= 6 * MIB, "the part was kept");
    machine.assert_right_after_kill(&output);
}

#[test]
#[ignore = "needs root"]
fn a_volume_without_a_free_byte_is_told_and_nothing_is_half_made() {
    let machine = Machine::new();
    let _volume = tmpfs(&machine.sandbox.models(), 8 << 10);
    let ballast = fill(&machine.sandbox.models());
    machine.run("list").ok();
    machine.run("download tiny").code(7).says("hint: ");
    std::fs::remove_file(ballast).unwrap();
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
#[ignore = "needs root"]
fn a_full_volume_of_views_is_told_before_a_byte_travels() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    let _volume = tmpfs(&machine.sandbox.models(), 1 << 10);
    let line = format!("download tiny --link copy --store {}", store.display());
    machine.run(&line).code(7).says("copies need");
    assert_eq!(machine.hub.count().content_bytes(), 0);
    assert!(!machine.sandbox.project().join("models/tiny").exists());
    let output = machine.run(&line.replace("copy", "auto")).ok();
    assert_eq!(output.last_line(), PATH);
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    // Beside the blob there is no room for a copy of it, and for a blob that is here already nothing has to be asked.
    machine.run(&line).code(7).says("copies need");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
}

#[test]
#[ignore = "needs root"]
fn a_copy_on_the_stores_volume_needs_room_beside_the_blob() {
    let machine = Machine::new();
    let _volume = tmpfs(&machine.sandbox.models(), 7 << 9);
    machine.run("download tiny --link copy").code(7).says("copies need");
    assert_eq!(machine.hub.count().content_bytes(), 0);
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
#[ignore = "needs root"]
fn a_read_only_tree_can_be_used_and_says_why_it_does_not_grow() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let _mount = read_only(&machine.sandbox.models());
    machine.run("list").ok().prints("tiny\tgguf\tq4_k_m");
    machine.run("verify").ok().prints("1 ok");
    machine.run("verify --rehash").ok().prints("1 ok");
    assert_eq!(machine.run("path tiny").ok().last_line(), PATH);
    assert_eq!(machine.run("download tiny").ok().last_line(), PATH, "what is there needs no writing");
    let output = machine.run("download tiny:q8_0").code(1);
    output.says("hint: ").says("--store");
    machine.run("remove tiny").code(1).says("hint: ");
    machine.run("download tiny --force").code(1).says("hint: ");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
}

#[test]
#[ignore = "needs root"]
fn a_store_on_a_read_only_volume_is_shown_in_a_project_that_can_be_written() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    let line = |command: &str| format!("{command} --store {}", store.display());
    machine.run(&line("download tiny --models-dir ../other/models")).ok();
    let _mount = read_only(&store);
    let output = machine.run(&line("download tiny --no-local")).ok();
    assert_eq!(output.says("cannot be written here").last_line(), PATH);
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.run(&line("verify")).ok().prints("1 ok");
    machine.run(&line("remove tiny")).ok();
    assert!(!machine.sandbox.project().join(PATH).exists());
}

#[test]
#[ignore = "needs root"]
fn a_fresh_project_that_cannot_be_written_says_so() {
    let machine = Machine::new();
    let _mount = read_only(&machine.sandbox.project());
    machine.run("list").ok();
    machine.run("info").ok();
    machine.run("download tiny").code(1).says("models").says("--models-dir");
    let elsewhere = machine.sandbox.root().join("elsewhere");
    let output = machine.run(&format!("download tiny --models-dir {}", elsewhere.display())).ok();
    assert_eq!(output.last_line(), elsewhere.join("tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf").to_str().unwrap());
}

#[cfg(unix)]
#[test]
fn what_is_not_ours_is_never_overwritten() {
    type Make = fn(&std::path::Path);
    let ways: [(&str, Make); 5] = [
        ("models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf/", |path| {
            std::fs::create_dir_all(path.join("deep")).unwrap();
            std::fs::write(path.join("deep/mine.txt"), "mine").unwrap();
        }),
        ("models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf", |path| std::fs::write(path, "my own notes").unwrap()),
        ("models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf", |path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap()),
        ("models/tiny/gguf/q4_k_m", |path| std::fs::write(path, "a file").unwrap()),
        ("models/tiny", |path| std::fs::write(path, "a file").unwrap()),
    ];
    for (place, make) in ways {
        let machine = Machine::new();
        let path = machine.sandbox.project().join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        make(&path);
        let before = machine.sandbox.tree();
        let output = machine.run("download tiny");
        assert!([1, 4].contains(&output.status.code().unwrap()), "{place}: {output}");
        let output = output.says("in the way").says("hint: ");
        assert!(output.stderr.contains("tiny"), "{output}");
        before.assert_same(&machine.sandbox.tree().without(".blobs").without(".model-manager.json"));
        machine.run("remove tiny --dry-run");
        let _either = machine.run("remove tiny");
        if !place.ends_with(".gguf") {
            before.assert_same(&machine.sandbox.tree().without(".blobs").without(".model-manager.json"));
        }
    }
}

#[test]
fn a_models_folder_that_is_a_file_is_told_as_such() {
    let machine = Machine::new();
    machine.sandbox.write("models", "oops");
    let before = machine.sandbox.tree();
    for line in ["download tiny", "remove tiny", "path tiny", "verify tiny", "list", "verify"] {
        machine.run(line).code(1).says("models is in the way").says("hint: ");
    }
    machine.run("info").ok().says("the local models cannot be listed");
    before.assert_same(&machine.sandbox.tree());
}

#[test]
fn a_folder_with_other_things_is_not_taken_for_a_store() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("documents");
    std::fs::create_dir_all(store.join("letters")).unwrap();
    std::fs::write(store.join("letters/a.txt"), "dear").unwrap();
    let before = tree(&store);
    for line in ["download tiny", "list", "verify"] {
        machine.run(&format!("{line} --store {}", store.display())).code(2).says("is not a store").says("--store");
    }
    before.assert_same(&tree(&store));
    std::fs::write(machine.sandbox.root().join("file"), "x").unwrap();
    let output = machine.run(&format!("download tiny --store {}", machine.sandbox.root().join("file").display()));
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output}");
    assert!(output.stderr.contains("hint: "), "{output}");
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let marker = machine.store().join("STORE.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["min_reader"] = 99.into();
    value["min_writer"] = 99.into();
    std::fs::write(&marker, value.to_string()).unwrap();
    let before = machine.sandbox.tree();
    for line in ["download tiny:q8_0", "list", "verify", "remove tiny"] {
        machine.run(line).code(1).says("needs a newer model-manager").says("Update model-manager");
    }
    before.assert_same(&machine.sandbox.tree());
    std::fs::write(&marker, "not json").unwrap();
    machine.run("download tiny").code(4).says("STORE.json").says("hint: ");
}

#[cfg(unix)]
#[test]
fn every_way_of_showing_files_works_and_is_kept() {
    use std::os::unix::fs::MetadataExt;
    for mode in ["symlink", "hardlink", "copy", "auto"] {
        let machine = Machine::new();
        let output = machine.run(&format!("download tiny --link {mode}")).ok();
        machine.assert_right(&output);
        let path = machine.sandbox.project().join(PATH);
        let (link, blob) = (path.symlink_metadata().unwrap(), std::fs::metadata(machine.blob(&machine.content())).unwrap());
        match mode {
            "hardlink" => assert_eq!(link.ino(), blob.ino()),
            "copy" => assert!(link.is_file() && link.ino() != blob.ino()),
            _ => assert!(link.is_symlink()),
        }
        machine.run("verify").ok().prints("1 ok");
        machine.run("list").ok().prints("stored");
        let before = machine.sandbox.tree();
        machine.run("download tiny").ok();
        before.assert_same(&machine.sandbox.tree());
        let freed = machine.run("remove tiny --json").ok().json();
        assert!(freed["totals"]["freed_bytes"].as_u64().unwrap() >= 2 * MIB, "{mode}: {freed:#}");
        assert!(!path.exists() && !machine.blob(&machine.content()).exists());
    }
    // From one mode to another, in place.
    let machine = Machine::new();
    for mode in ["symlink", "copy", "hardlink", "symlink"] {
        let output = machine.run(&format!("download tiny --link {mode}")).ok();
        machine.assert_right(&output);
    }
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
}

#[test]
#[ignore = "needs root"]
fn hard_links_across_volumes_are_refused_with_a_way_out() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    let _volume = tmpfs(&store, 32 << 10);
    let line = format!("download tiny --store {} --link", store.display());
    machine.run(&format!("{line} hardlink")).code(1).says("hard links do not work").says("--link auto");
    assert_eq!(machine.hub.count().content_bytes(), 0, "told before it is fetched");
    assert!(!machine.sandbox.project().join("models/tiny").exists());
    for mode in ["auto", "copy"] {
        machine.run(&format!("{line} {mode}")).ok();
        assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    }
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
}
