//! Several processes at once: one transfer, no damage, and clear words about who waits for whom.

use model_manager::disk::{Disk, LockKind, Open, RealDisk};
use std::time::{Duration, Instant};

use crate::fsck::{Expect, assert_sound};
use crate::kit::{Desk, MIB, PATH, assert_content, until};
use crate::support::hub::Match;

#[test]
fn eight_processes_cost_one_transfer() {
    let desk = Desk::with(6 * MIB + 5);
    desk.hub.configure(|c| c.total_rate = Some(20 << 20));
    let running: Vec<_> = (0..8).map(|_| desk.spawn("download tiny")).collect();
    for one in running {
        assert_eq!(one.wait().ok().last_line(), PATH);
    }
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
    assert_content(&desk.s.project().join(PATH), &desk.content());
    desk.assert_tidy();
}

#[test]
fn projects_that_share_a_store_cost_one_transfer() {
    let desk = Desk::with(4 * MIB + 5);
    desk.hub.configure(|c| c.total_rate = Some(20 << 20));
    let store = desk.s.root().join("store");
    let projects: Vec<_> = (0..4).map(|number| desk.s.other_project(&format!("project-{number}"))).collect();
    let start = |project: &std::path::PathBuf| {
        std::fs::create_dir_all(project.join("configs")).unwrap();
        std::fs::copy(desk.s.project().join("configs/models.yaml"), project.join("configs/models.yaml")).unwrap();
        let mut command = desk.s.command(["download", "tiny", "--store", store.to_str().unwrap()]);
        command.current_dir(project);
        desk.s.start(command)
    };
    let running: Vec<_> = projects.iter().map(start).collect();
    for one in running {
        one.wait().ok();
    }
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
    for project in &projects {
        assert_content(&project.join(PATH), &desk.content());
    }
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);
}

#[test]
fn sets_that_overlap_in_any_order_do_not_wait_for_each_other_for_ever() {
    let desk = Desk::empty();
    let files = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"];
    for (repo, seeds) in [("a/one", [1, 2, 3]), ("a/two", [3, 1, 2]), ("a/three", [2, 3, 1])] {
        let map: Vec<String> = files.iter().map(|file| format!("\"{file}\": \"{file}\"")).collect();
        let index = format!("{{\"weight_map\": {{{}}}}}", map.join(", "));
        let mut handle = desk.hub.repo(repo).plain("config.json", "{}").plain("model.safetensors.index.json", index);
        for (file, seed) in files.iter().zip(seeds) {
            handle = handle.lfs(file, crate::support::hub::Content::synthetic(MIB + 3, seed));
        }
        handle.commit();
    }
    desk.hub.configure(|c| c.latency = Duration::from_millis(5));
    let running: Vec<_> =
        ["a/one", "a/two", "a/three"].iter().map(|repo| desk.spawn(&format!("download {repo} --format safetensors"))).collect();
    for one in running {
        one.wait().ok();
    }
    assert_eq!(desk.hub.count().cdn_bytes, 3 * (MIB + 3));
    desk.assert_tidy();
}

#[test]
fn who_holds_a_download_is_told_and_the_wait_is_bounded() {
    let desk = Desk::with(4 * MIB);
    let hold = desk.hub.hold(Match::cdn(), MIB + 9);
    let first = desk.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let begun = Instant::now();
    let output = desk.run("download tiny --lock-timeout 1s").code(8);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    output.says(&format!("held by process {}", first.id())).says("--lock-timeout").says("waiting for");
    desk.run("download tiny --lock-timeout 0").code(8).says("did not wait for");
    // These need no lock of the download, so they succeed without waiting.
    for line in ["list", "info", "verify", "download tiny:q8_0", "download tiny --dry-run"] {
        desk.run(&format!("{line} --lock-timeout 0")).ok();
    }
    hold.release();
    let output = first.wait().ok();
    desk.assert_right(&output);
}

#[test]
fn whoever_waits_takes_over_from_the_one_that_dies() {
    let desk = Desk::with(8 * MIB + 1);
    let hold = desk.hub.hold(Match::cdn(), 3 * MIB + 9);
    let first = desk.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let second = desk.spawn("download tiny");
    until("the second waits", || second.stderr_so_far().contains("waiting for"));
    first.kill9();
    let output = second.wait().ok();
    assert!(desk.hub.count().content_bytes() <= desk.content().len() + MIB, "what the first had fetched was used");
    desk.assert_right_after_kill(&output);
    hold.release();
}

#[cfg(unix)]
#[test]
fn a_waiting_process_can_be_interrupted() {
    let desk = Desk::with(4 * MIB);
    let hold = desk.hub.hold(Match::cdn(), MIB);
    let first = desk.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let second = desk.spawn("download tiny");
    until("the second waits", || second.stderr_so_far().contains("waiting for"));
    second.interrupt();
    // It ends while the lock is still held.
    second.wait().code(130);
    hold.release();
    first.wait().ok();
}

#[test]
fn removing_while_another_project_downloads_the_same_file_loses_nothing() {
    let desk = Desk::with(3 * MIB);
    let store = desk.s.root().join("store");
    let other = desk.s.other_project("other");
    std::fs::create_dir_all(other.join("configs")).unwrap();
    std::fs::copy(desk.s.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let store = store.to_str().unwrap();
    for _ in 0..6 {
        desk.run(&format!("download tiny --store {store}")).ok();
        let mut command = desk.s.command(["download", "tiny", "--store", store]);
        command.current_dir(&other);
        let downloading = desk.s.start(command);
        let removing = desk.spawn(&format!("remove tiny --store {store}"));
        downloading.wait().ok();
        removing.wait().ok();
        assert_content(&other.join(PATH), &desk.content());
        let mut command = desk.s.command(["remove", "tiny", "--store", store]);
        command.current_dir(&other);
        desk.s.finish(command).ok();
    }
    assert_sound(&model_manager::disk::RealDisk, std::path::Path::new(store), Expect::Tidy);
}

#[test]
fn a_shared_store_whose_making_was_cut_short_is_completed() {
    let desk = Desk::new();
    let store = desk.s.root().join("store");
    for folder in ["sha256/00", "meta", "tmp", "lock/b"] {
        std::fs::create_dir_all(store.join(folder)).unwrap();
    }
    desk.run(&format!("list --store {}", store.display())).ok();
    let output = desk.run(&format!("download tiny --store {}", store.display())).ok();
    assert_eq!(output.last_line(), PATH);
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);
}

#[test]
fn what_a_removal_waits_for_in_vain_leaves_all_as_it_was() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let lock = RealDisk.open(&desk.store().join("lock/gc"), Open::CreateIfMissing(0o600)).unwrap();
    assert!(lock.try_lock(LockKind::Exclusive).unwrap());
    let before = desk.s.tree();
    desk.run("remove tiny --lock-timeout 0").code(8).says("the garbage collector");
    before.assert_same(&desk.s.tree());
    desk.run("remove tiny --lock-timeout 0 --dry-run").ok();
    drop(lock);
    desk.run("remove tiny --lock-timeout 0").ok();
    desk.assert_tidy();
}

#[test]
fn a_collection_tells_only_what_it_removed() {
    let desk = Desk::with(4 * MIB);
    let hold = desk.hub.hold(Match::cdn(), MIB);
    let downloading = desk.spawn("download tiny --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let collected = desk.run("gc --partials 0 --grace 0 --json").ok().json();
    assert_eq!((&collected["partials"], &collected["totals"]["freed_bytes"]), (&serde_json::json!([]), &serde_json::json!(0)));
    assert!(!desk.partials().is_empty());
    hold.release();
    let output = downloading.wait().ok();
    desk.assert_right(&output);
}

#[cfg(unix)]
#[test]
fn a_suspended_holder_of_the_store_is_told_and_waiting_for_it_can_be_stopped() {
    let desk = Desk::new();
    desk.run("download tiny:q8_0").ok();
    let path = desk.store().join("lock/store");
    let lock = std::fs::File::options().write(true).open(&path).unwrap();
    lock.lock().unwrap();
    std::fs::write(&path, r#"{"host":"attic","pid":7,"since":"2026-11-01T00:00:00Z"}"#).unwrap();
    for line in ["download tiny:q4_k_m", "gc", "remove tiny"] {
        let waiting = desk.spawn(line);
        until("it says for whom it waits", || waiting.stderr_so_far().contains("waiting for the store"));
        assert!(waiting.stderr_so_far().contains("process 7 on attic"), "{}", waiting.stderr_so_far());
        waiting.interrupt();
        waiting.wait().code(130);
    }
    desk.run("list").ok();
    desk.run("verify").ok();
    lock.unlock().unwrap();
    let output = desk.run("download tiny:q4_k_m").ok();
    desk.assert_right_after_kill(&output);
}
