//! Several processes at once: one transfer, no damage, and clear words about who waits for whom.

use model_manager::disk::{Disk, LockKind, Open, RealDisk};
use std::time::{Duration, Instant};

use crate::fsck::{Expect, assert_sound};
use crate::kit::{MIB, Machine, PATH, assert_content, until};
use crate::support::hub::Match;

#[test]
fn eight_processes_cost_one_transfer() {
    let machine = Machine::with(6 * MIB + 5);
    machine.hub.configure(|c| c.total_rate = Some(20 << 20));
    let running: Vec<_> = (0..8).map(|_| machine.spawn("download tiny")).collect();
    for one in running {
        assert_eq!(one.wait().ok().last_line(), PATH);
    }
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.assert_tidy();
}

#[test]
fn projects_that_share_a_store_cost_one_transfer() {
    let machine = Machine::with(4 * MIB + 5);
    machine.hub.configure(|c| c.total_rate = Some(20 << 20));
    let store = machine.sandbox.root().join("store");
    let projects: Vec<_> = (0..4).map(|number| machine.sandbox.other_project(&format!("project-{number}"))).collect();
    let start = |project: &std::path::PathBuf| {
        std::fs::create_dir_all(project.join("configs")).unwrap();
        std::fs::copy(machine.sandbox.project().join("configs/models.yaml"), project.join("configs/models.yaml")).unwrap();
        let mut command = machine.sandbox.command(["download", "tiny", "--store", store.to_str().unwrap()]);
        command.current_dir(project);
        machine.sandbox.start(command)
    };
    let running: Vec<_> = projects.iter().map(start).collect();
    for one in running {
        one.wait().ok();
    }
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
    for project in &projects {
        assert_content(&project.join(PATH), &machine.content());
    }
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);
}

#[test]
fn sets_that_overlap_in_any_order_do_not_wait_for_each_other_for_ever() {
    let machine = Machine::empty();
    let files = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"];
    for (repo, seeds) in [("a/one", [1, 2, 3]), ("a/two", [3, 1, 2]), ("a/three", [2, 3, 1])] {
        let map: Vec<String> = files.iter().map(|file| format!("\"{file}\": \"{file}\"")).collect();
        let index = format!("{{\"weight_map\": {{{}}}}}", map.join(", "));
        let mut handle = machine.hub.repo(repo).plain("config.json", "{}").plain("model.safetensors.index.json", index);
        for (file, seed) in files.iter().zip(seeds) {
            handle = handle.lfs(file, crate::support::hub::Content::synthetic(MIB + 3, seed));
        }
        handle.commit();
    }
    machine.hub.configure(|c| c.latency = Duration::from_millis(5));
    let running: Vec<_> =
        ["a/one", "a/two", "a/three"].iter().map(|repo| machine.spawn(&format!("download {repo} --format safetensors"))).collect();
    for one in running {
        one.wait().ok();
    }
    assert_eq!(machine.hub.count().cdn_bytes, 3 * (MIB + 3));
    machine.assert_tidy();
}

#[test]
fn who_holds_a_download_is_told_and_the_wait_is_bounded() {
    let machine = Machine::with(4 * MIB);
    let hold = machine.hub.hold(Match::cdn(), MIB + 9);
    let first = machine.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let begun = Instant::now();
    let output = machine.run("download tiny --lock-timeout 1s").code(8);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    output.says(&format!("held by process {}", first.id())).says("--lock-timeout").says("waiting for");
    machine.run("download tiny --lock-timeout 0").code(8).says("did not wait for");
    // These need no lock of the download, so they succeed without waiting.
    for line in ["list", "info", "verify", "download tiny:q8_0", "download tiny --dry-run"] {
        machine.run(&format!("{line} --lock-timeout 0")).ok();
    }
    hold.release();
    let output = first.wait().ok();
    machine.assert_right(&output);
}

#[test]
fn whoever_waits_takes_over_from_the_one_that_dies() {
    let machine = Machine::with(8 * MIB + 1);
    let hold = machine.hub.hold(Match::cdn(), 3 * MIB + 9);
    let first = machine.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let second = machine.spawn("download tiny");
    until("the second waits", || second.stderr_so_far().contains("waiting for"));
    first.kill9();
    let output = second.wait().ok();
    assert!(machine.hub.count().content_bytes() <= machine.content().len() + MIB, "what the first had fetched was used");
    machine.assert_right_after_kill(&output);
    hold.release();
}

#[cfg(unix)]
#[test]
fn a_waiting_process_can_be_interrupted() {
    let machine = Machine::with(4 * MIB);
    let hold = machine.hub.hold(Match::cdn(), MIB);
    let first = machine.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let second = machine.spawn("download tiny");
    until("the second waits", || second.stderr_so_far().contains("waiting for"));
    second.interrupt();
    // It ends while the lock is still held.
    second.wait().code(130);
    hold.release();
    first.wait().ok();
}

#[test]
fn removing_while_another_project_downloads_the_same_file_loses_nothing() {
    let machine = Machine::with(3 * MIB);
    let store = machine.sandbox.root().join("store");
    let other = machine.sandbox.other_project("other");
    std::fs::create_dir_all(other.join("configs")).unwrap();
    std::fs::copy(machine.sandbox.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let store = store.to_str().unwrap();
    for _ in 0..6 {
        machine.run(&format!("download tiny --store {store}")).ok();
        let mut command = machine.sandbox.command(["download", "tiny", "--store", store]);
        command.current_dir(&other);
        let downloading = machine.sandbox.start(command);
        let removing = machine.spawn(&format!("remove tiny --store {store}"));
        downloading.wait().ok();
        removing.wait().ok();
        assert_content(&other.join(PATH), &machine.content());
        let mut command = machine.sandbox.command(["remove", "tiny", "--store", store]);
        command.current_dir(&other);
        machine.sandbox.finish(command).ok();
    }
    assert_sound(&model_manager::disk::RealDisk, std::path::Path::new(store), Expect::Tidy);
}

#[test]
fn a_shared_store_whose_making_was_cut_short_is_completed() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    for folder in ["sha256/00", "meta", "tmp", "lock/b"] {
        std::fs::create_dir_all(store.join(folder)).unwrap();
    }
    machine.run(&format!("list --store {}", store.display())).ok();
    let output = machine.run(&format!("download tiny --store {}", store.display())).ok();
    assert_eq!(output.last_line(), PATH);
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);
}

#[test]
fn what_a_removal_waits_for_in_vain_leaves_all_as_it_was() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let lock = RealDisk.open(&machine.store().join("lock/gc"), Open::CreateIfMissing(0o600)).unwrap();
    assert!(lock.try_lock(LockKind::Exclusive).unwrap());
    let before = machine.sandbox.tree();
    machine.run("remove tiny --lock-timeout 0").code(8).says("the garbage collector");
    before.assert_same(&machine.sandbox.tree());
    machine.run("remove tiny --lock-timeout 0 --dry-run").ok();
    drop(lock);
    machine.run("remove tiny --lock-timeout 0").ok();
    machine.assert_tidy();
}

#[test]
fn a_collection_tells_only_what_it_removed() {
    let machine = Machine::with(4 * MIB);
    let hold = machine.hub.hold(Match::cdn(), MIB);
    let downloading = machine.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let collected = machine.run("gc --partials 0 --grace 0 --json").ok().json();
    assert_eq!((&collected["partials"], &collected["totals"]["freed_bytes"]), (&serde_json::json!([]), &serde_json::json!(0)));
    assert!(!machine.partials().is_empty());
    hold.release();
    let output = downloading.wait().ok();
    machine.assert_right(&output);
}

#[cfg(unix)]
#[test]
fn a_suspended_holder_of_the_store_is_told_and_waiting_for_it_can_be_stopped() {
    let machine = Machine::new();
    machine.run("download tiny:q8_0").ok();
    let path = machine.store().join("lock/store");
    let lock = std::fs::File::options().write(true).open(&path).unwrap();
    lock.lock().unwrap();
    std::fs::write(&path, r#"{"host":"attic","pid":7,"since":"2026-11-01T00:00:00Z"}"#).unwrap();
    for line in ["download tiny:q4_k_m", "gc", "remove tiny"] {
        let waiting = machine.spawn(line);
        until("it says for whom it waits", || waiting.stderr_so_far().contains("waiting for the store"));
        assert!(waiting.stderr_so_far().contains("process 7 on attic"), "{}", waiting.stderr_so_far());
        waiting.interrupt();
        waiting.wait().code(130);
    }
    machine.run("list").ok();
    machine.run("verify").ok();
    lock.unlock().unwrap();
    let output = machine.run("download tiny:q4_k_m").ok();
    machine.assert_right_after_kill(&output);
}
