//! Full disks, read-only folders and things that stand in the way.

use std::time::Duration;

use crate::kit::{Desk, MIB, PATH, assert_content};
use crate::mounts::{fill, read_only, tmpfs};
use crate::support::hub::{Content, Match};
use crate::support::snapshot::tree;

#[test]
#[ignore = "needs root"]
fn what_cannot_fit_is_refused_before_the_first_byte() {
    let desk = Desk::with(12 * MIB);
    let _volume = tmpfs(&desk.s.models(), 12 << 10);
    desk.run("download tiny").code(7).says("not enough disk space").says("12.58 MB are needed").says("model-manager remove");
    assert_eq!(desk.hub.count().total_requests(), 0);
    desk.assert_nothing_published();
    assert!(desk.partials().is_empty());
    desk.run("download tiny --dry-run").ok().says("does not fit");
    // Something smaller fits.
    desk.run("download tiny:q8_0").ok();
    desk.run("download tiny:q4_k_m --json").code(7);
    desk.run("verify").ok();
}

#[test]
#[ignore = "needs root"]
fn one_content_under_two_names_needs_its_room_once() {
    let desk = Desk::new();
    let content = Content::synthetic(12 * MIB, 5);
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = format!(r#"{{"weight_map": {{"a": "{}", "b": "{}"}}}}"#, names[0], names[1]);
    let repo = desk.hub.repo("a/set").lfs(names[0], &content).lfs(names[1], &content);
    repo.plain("config.json", "{}").plain("model.safetensors.index.json", index).commit();
    let _volume = tmpfs(&desk.s.models(), 18 << 10);
    desk.run("download a/set --format safetensors").ok();
}

#[test]
#[ignore = "needs root"]
fn a_disk_that_fills_up_midway_keeps_the_part_and_removal_works_without_a_free_byte() {
    let desk = Desk::with(8 * MIB + 5);
    let _volume = tmpfs(&desk.s.models(), 24 << 10);
    desk.run("download tiny:q8_0").ok();
    let hold = desk.hub.hold(Match::cdn(), 3 * MIB + 9);
    let running = desk.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let ballast = fill(&desk.s.models());
    hold.release();
    let output = running.wait();
    // The room was reserved before: either it is enough for all, or the end is an honest one.
    if output.status.code() != Some(0) {
        let output = output.code(7).says("hint: ");
        assert_eq!(output.stdout, "");
        assert!(!desk.s.project().join(PATH).exists());
    }
    for line in ["list", "verify", "path tiny:q8_0", "info", "remove tiny --dry-run", "download tiny:q8_0"] {
        desk.run(line).ok();
    }
    desk.run("remove tiny --quant q8_0").ok();
    assert!(!desk.s.project().join("models/tiny/gguf/q8_0").exists());
    std::fs::remove_file(&ballast).unwrap();
    desk.hub.reset_counters();
    let output = desk.run("download tiny").ok();
    assert!(desk.hub.count().content_bytes() <= 6 * MIB, "the part was kept");
    desk.assert_right_after_kill(&output);
}

#[test]
#[ignore = "needs root"]
fn a_volume_without_a_free_byte_is_told_and_nothing_is_half_made() {
    let desk = Desk::new();
    let _volume = tmpfs(&desk.s.models(), 8 << 10);
    let ballast = fill(&desk.s.models());
    desk.run("list").ok();
    desk.run("download tiny").code(7).says("hint: ");
    std::fs::remove_file(ballast).unwrap();
    let output = desk.run("download tiny").ok();
    desk.assert_right(&output);
}

#[test]
#[ignore = "needs root"]
fn a_full_volume_of_views_is_told_before_a_byte_travels() {
    let desk = Desk::new();
    let store = desk.s.root().join("store");
    let _volume = tmpfs(&desk.s.models(), 1 << 10);
    let line = format!("download tiny --link copy --store {}", store.display());
    desk.run(&line).code(7).says("copies need");
    assert_eq!(desk.hub.count().content_bytes(), 0);
    assert!(!desk.s.project().join("models/tiny").exists());
    let output = desk.run(&line.replace("copy", "auto")).ok();
    assert_eq!(output.last_line(), PATH);
    assert_content(&desk.s.project().join(PATH), &desk.content());
    // Beside the blob there is no room for a copy of it, and for a blob that is here already nothing has to be asked.
    desk.run(&line).code(7).says("copies need");
    assert_content(&desk.s.project().join(PATH), &desk.content());
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
}

#[test]
#[ignore = "needs root"]
fn a_copy_on_the_stores_volume_needs_room_beside_the_blob() {
    let desk = Desk::new();
    let _volume = tmpfs(&desk.s.models(), 7 << 9);
    desk.run("download tiny --link copy").code(7).says("copies need");
    assert_eq!(desk.hub.count().content_bytes(), 0);
    let output = desk.run("download tiny").ok();
    desk.assert_right(&output);
}

#[test]
#[ignore = "needs root"]
fn a_read_only_tree_can_be_used_and_says_why_it_does_not_grow() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let _mount = read_only(&desk.s.models());
    desk.run("list").ok().prints("tiny\tgguf\tq4_k_m");
    desk.run("verify").ok().prints("1 ok");
    desk.run("verify --rehash").ok().prints("1 ok");
    assert_eq!(desk.run("path tiny").ok().last_line(), PATH);
    assert_eq!(desk.run("download tiny").ok().last_line(), PATH, "what is there needs no writing");
    let output = desk.run("download tiny:q8_0").code(1);
    output.says("hint: ").says("--store");
    desk.run("remove tiny").code(1).says("hint: ");
    desk.run("download tiny --force").code(1).says("hint: ");
    assert_content(&desk.s.project().join(PATH), &desk.content());
}

#[test]
#[ignore = "needs root"]
fn a_fresh_project_that_cannot_be_written_says_so() {
    let desk = Desk::new();
    let _mount = read_only(&desk.s.project());
    desk.run("list").ok();
    desk.run("info").ok();
    desk.run("download tiny").code(1).says("models").says("--models-dir");
    let elsewhere = desk.s.root().join("elsewhere");
    let output = desk.run(&format!("download tiny --models-dir {}", elsewhere.display())).ok();
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
        let desk = Desk::new();
        let path = desk.s.project().join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        make(&path);
        let before = desk.s.tree();
        let output = desk.run("download tiny");
        assert!([1, 4].contains(&output.status.code().unwrap()), "{place}: {output}");
        let output = output.says("in the way").says("hint: ");
        assert!(output.stderr.contains("tiny"), "{output}");
        before.assert_same(&desk.s.tree().without(".blobs").without(".model-manager.json"));
        desk.run("remove tiny --dry-run");
        let _either = desk.run("remove tiny");
        if !place.ends_with(".gguf") {
            before.assert_same(&desk.s.tree().without(".blobs").without(".model-manager.json"));
        }
    }
}

#[test]
fn a_models_folder_that_is_a_file_is_told_as_such() {
    let desk = Desk::new();
    desk.s.write("models", "oops");
    let before = desk.s.tree();
    for line in ["download tiny", "remove tiny", "path tiny", "verify tiny", "list", "verify"] {
        desk.run(line).code(1).says("models is in the way").says("hint: ");
    }
    desk.run("info").ok().says("the local models cannot be listed");
    before.assert_same(&desk.s.tree());
}

#[test]
fn a_folder_with_other_things_is_not_taken_for_a_store() {
    let desk = Desk::new();
    let store = desk.s.root().join("documents");
    std::fs::create_dir_all(store.join("letters")).unwrap();
    std::fs::write(store.join("letters/a.txt"), "dear").unwrap();
    let before = tree(&store);
    for line in ["download tiny", "list", "verify"] {
        desk.run(&format!("{line} --store {}", store.display())).code(2).says("is not a store").says("--store");
    }
    before.assert_same(&tree(&store));
    std::fs::write(desk.s.root().join("file"), "x").unwrap();
    let output = desk.run(&format!("download tiny --store {}", desk.s.root().join("file").display()));
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output}");
    assert!(output.stderr.contains("hint: "), "{output}");
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let marker = desk.store().join("STORE.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["min_reader"] = 99.into();
    value["min_writer"] = 99.into();
    std::fs::write(&marker, value.to_string()).unwrap();
    let before = desk.s.tree();
    for line in ["download tiny:q8_0", "list", "verify", "remove tiny"] {
        desk.run(line).code(1).says("needs a newer model-manager").says("Update model-manager");
    }
    before.assert_same(&desk.s.tree());
    std::fs::write(&marker, "not json").unwrap();
    desk.run("download tiny").code(4).says("STORE.json").says("hint: ");
}

#[cfg(unix)]
#[test]
fn every_way_of_showing_files_works_and_is_kept() {
    use std::os::unix::fs::MetadataExt;
    for mode in ["symlink", "hardlink", "copy", "auto"] {
        let desk = Desk::new();
        let output = desk.run(&format!("download tiny --link {mode}")).ok();
        desk.assert_right(&output);
        let path = desk.s.project().join(PATH);
        let (link, blob) = (path.symlink_metadata().unwrap(), std::fs::metadata(desk.blob(&desk.content())).unwrap());
        match mode {
            "hardlink" => assert_eq!(link.ino(), blob.ino()),
            "copy" => assert!(link.is_file() && link.ino() != blob.ino()),
            _ => assert!(link.is_symlink()),
        }
        desk.run("verify").ok().prints("1 ok");
        desk.run("list").ok().prints("stored");
        let before = desk.s.tree();
        desk.run("download tiny").ok();
        before.assert_same(&desk.s.tree());
        let freed = desk.run("remove tiny --json").ok().json();
        assert!(freed["totals"]["freed_bytes"].as_u64().unwrap() >= 2 * MIB, "{mode}: {freed:#}");
        assert!(!path.exists() && !desk.blob(&desk.content()).exists());
    }
    // From one mode to another, in place.
    let desk = Desk::new();
    for mode in ["symlink", "copy", "hardlink", "symlink"] {
        let output = desk.run(&format!("download tiny --link {mode}")).ok();
        desk.assert_right(&output);
    }
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
}

#[test]
#[ignore = "needs root"]
fn hard_links_across_volumes_are_refused_with_a_way_out() {
    let desk = Desk::new();
    let store = desk.s.root().join("store");
    let _volume = tmpfs(&store, 32 << 10);
    let line = format!("download tiny --store {} --link", store.display());
    desk.run(&format!("{line} hardlink")).code(1).says("hard links do not work").says("--link auto");
    assert_eq!(desk.hub.count().content_bytes(), 0, "told before it is fetched");
    assert!(!desk.s.project().join("models/tiny").exists());
    for mode in ["auto", "copy"] {
        desk.run(&format!("{line} {mode}")).ok();
        assert_content(&desk.s.project().join(PATH), &desk.content());
    }
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
}
