//! Two folders of one user: what one has is not downloaded for the other.

use crate::kit::{FILE, REPO};
use crate::kit::{Machine, PATH, assert_content, open_entry};

#[test]
fn two_bare_folders_hold_one_copy_and_the_second_downloads_nothing() {
    let machine = Machine::empty();
    machine.hub.repo(REPO).lfs(FILE, crate::support::hub::Content::synthetic(3 << 20, 1)).commit();
    let line = format!("download {REPO}");
    machine.run_in("one", &line).ok();
    machine.hub.reset_counters();
    let second = machine.run_in("two", &line).ok().says("came from your store").says("no room is taken again");
    let count = machine.hub.count();
    assert_eq!((count.content_bytes(), count.resolve), (0, 0), "{second}");
    let path = machine.sandbox.other_project("two").join(second.last_line());
    assert_content(&path, &machine.content());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let of = |folder: &str| {
            let path = machine.sandbox.other_project(folder).join(second.last_line());
            std::fs::metadata(path).unwrap()
        };
        let (first, second) = (of("one"), of("two"));
        assert!(first.ino() == second.ino() || second.nlink() == 1, "linked, or a reflink");
    }

    machine.hub.reset_counters();
    machine.run_in("three", &format!("{line} --no-local")).ok();
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
    let stores = machine.run_in("two", "stores --json").ok().json();
    let states: Vec<&str> = stores["stores"].as_array().unwrap().iter().map(|store| store["state"].as_str().unwrap()).collect();
    assert_eq!(states.len(), 2, "the third is not remembered: {stores}");
    assert!(states.contains(&"own") && states.contains(&"usable"), "{stores}");
}

#[test]
fn a_store_is_shown_forgotten_and_left_alone() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine.run_in("other", "stores").ok().prints("usable").prints("models/.blobs");
    machine.hub.reset_counters();
    let store = machine.store();
    machine.run_in("other", &format!("stores forget {}", store.display())).ok().prints("its files stay");
    machine.run_in("other", "stores").ok().says("None.");
    machine
        .run_in("other", "stores forget nowhere")
        .code(3)
        .says("no store is known as `nowhere`")
        .says("model-manager stores list");
    machine.sandbox.write("../other/configs/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    machine.run_in("other", "download tiny").ok();
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
    // Opened again, it is known again.
    machine.run("list").ok();
    machine.run_in("other", "stores").ok().prints("own").prints("usable");
    assert!(machine.sandbox.project().join(PATH).exists());
}

#[test]
fn a_store_that_is_gone_is_told_of_with_verbose_alone() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    std::fs::rename(machine.store(), machine.sandbox.root().join("away")).unwrap();
    machine.sandbox.write("../other/configs/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    machine.run_in("other", "download tiny --dry-run -v").ok().says("is left out: there is no store at");
    let quiet = machine.run_in("other", "download tiny").ok();
    assert!(!quiet.stderr.contains("left out"), "{quiet}");
    machine.run_in("other", "stores").ok().prints("unusable").prints("there is no store at");
}
