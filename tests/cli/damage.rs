//! Records and blobs that something else damaged: what is lost is told, what can be repaired is, and nothing else stops.

use std::path::PathBuf;

use model_manager::disk::RealDisk;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{Machine, PATH, assert_content, names, set_mode};
use crate::support::hub::Content;

fn downloaded() -> Machine {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine
}

impl Machine {
    fn meta(&self) -> PathBuf {
        let digest = self.content().sha256().to_owned();
        self.store().join("meta").join(&digest[..2]).join(format!("{digest}.json"))
    }

    fn roots(&self) -> PathBuf {
        let roots = self.store().join("roots");
        roots.join(&names(&roots)[0])
    }

    /// Cuts the blob to so many bytes, as a file system may after a crash.
    fn cut_blob(&self, len: u64) {
        let blob = self.blob(&self.content());
        set_mode(&blob, 0o644);
        std::fs::File::options().write(true).open(&blob).unwrap().set_len(len).unwrap();
        set_mode(&blob, 0o444);
    }
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and what was changed in one may be somebody's edit")]
fn a_blob_that_lost_its_length_is_not_present_and_is_fetched_anew() {
    for len in [0, 1, 2_000_000] {
        let machine = downloaded();
        machine.cut_blob(len);
        machine.run("doctor").code(4).prints("bytes long and should be");
        machine.run("download tiny --offline").code(6).says("not all of tiny/gguf/q4_k_m is here");
        machine.hub.reset_counters();
        let output = machine.run("download tiny").ok();
        assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
        machine.assert_right(&output);
        machine.run("verify tiny").ok();
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn a_hard_link_that_was_cut_may_be_somebodys_edit_and_is_repaired_only_where_that_is_asked_for() {
    for repair in ["verify tiny --repair", "download tiny --force"] {
        let machine = Machine::new();
        machine.run("download tiny --link hardlink").ok();
        machine.cut_blob(5);
        machine.hub.reset_counters();
        machine.run("download tiny").code(1).says("changed since it was made").says("left alone").says("--repair`");
        assert_eq!(machine.hub.count().total_requests(), 0, "nothing travels for a view that is then refused");
        assert_eq!(std::fs::metadata(machine.sandbox.project().join(PATH)).unwrap().len(), 5);
        machine.run(repair).ok();
        assert_content(&machine.sandbox.project().join(PATH), &machine.content());
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn what_was_edited_through_a_hard_link_is_told_before_anything_is_fetched_and_forced_back() {
    let machine = Machine::empty();
    // A small file is not in LFS: the Hub gives a SHA-1 for it and no SHA-256.
    machine.hub.repo("o/set").plain("config.json", "{\"a\": 1}").lfs("model.safetensors", Content::synthetic(5000, 1)).commit();
    let line = "download o/set --format safetensors";
    machine.run(&format!("{line} --link hardlink")).ok();
    let config = machine.sandbox.models().join("o--set/safetensors/config.json");
    for edit in ["{\"a\": 2}", "{}"] {
        set_mode(&config, 0o644);
        std::fs::write(&config, edit).unwrap();
        machine.hub.reset_counters();
        if edit.len() < 5 {
            machine.run(line).code(1).says("changed since it was made").says("--repair`");
            assert_eq!(machine.hub.count().content_bytes(), 0);
        }
        assert_eq!(std::fs::read_to_string(&config).unwrap(), edit);
        machine.run(&format!("{line} --force")).ok();
        assert_eq!(std::fs::read_to_string(&config).unwrap(), "{\"a\": 1}");
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn an_edit_through_a_hard_link_does_not_give_way_to_a_newer_commit() {
    for name in ["config.json", "model.safetensors"] {
        let machine = Machine::empty();
        machine.hub.repo("o/set").plain("config.json", "{\"a\": 1}").lfs("model.safetensors", Content::synthetic(5000, 1)).commit();
        machine.run("download o/set --format safetensors --link hardlink").ok();
        let file = machine.sandbox.models().join("o--set/safetensors").join(name);
        // That it was only touched is no edit.
        std::fs::File::open(&file).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        machine.run("download o/set --format safetensors --revision main").ok();
        set_mode(&file, 0o644);
        let mut edited = std::fs::read(&file).unwrap();
        edited.push(b' ');
        std::fs::write(&file, &edited).unwrap();
        machine.hub.repo("o/set").plain("config.json", "{\"a\": 3}").lfs("model.safetensors", Content::synthetic(6000, 2)).commit();
        let line = "download o/set --format safetensors --revision main";
        machine.run(line).code(1).says("changed since it was made").says("move it away");
        assert!(std::fs::read(&file).unwrap() == edited);
        std::fs::rename(&file, file.with_extension("mine")).unwrap();
        machine.run(line).ok();
        assert!(std::fs::read(file.with_extension("mine")).unwrap() == edited);
        assert!(std::fs::read(&file).unwrap() != edited);
    }
}

#[test]
fn a_wrong_size_in_the_registry_does_not_make_a_good_blob_bad() {
    let machine = downloaded();
    let wrong = std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    let len = machine.content().len().to_string();
    machine.sandbox.write("configs/models.yaml", wrong.replace(&len, "17"));
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.assert_right(&output);
}

#[test]
fn a_record_that_cannot_be_one_counts_as_missing_and_is_written_anew() {
    for huge in [true, false] {
        let machine = downloaded();
        let meta = machine.meta();
        let file = std::fs::File::options().write(true).open(&meta).unwrap();
        if huge {
            file.set_len(65 << 20).unwrap();
        } else {
            file.set_len(0).unwrap();
        }
        drop(file);
        machine.run("doctor").code(1).prints("missing or unreadable");
        machine.run("download tiny").ok();
        machine.run("verify tiny").ok().prints("1 ok");
        assert!(meta.metadata().unwrap().len() < 4096);
        assert_content(&machine.sandbox.project().join(PATH), &machine.content());
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn a_lost_record_is_vouched_for_again_by_what_the_hub_publishes() {
    let machine = Machine::empty();
    machine.hub.repo("o/free").lfs("free.Q4_K_M.gguf", Content::synthetic(5000, 1)).commit();
    machine.run("download o/free:Q4_K_M").ok();
    let content = machine.hub.content("o/free", "free.Q4_K_M.gguf");
    let digest = content.sha256();
    std::fs::write(machine.store().join("meta").join(&digest[..2]).join(format!("{digest}.json")), "torn").unwrap();
    machine.run("verify").ok().prints("1 unverified");
    machine.run("download o/free:Q4_K_M").ok();
    machine.run("verify").ok().prints("1 ok");
}

#[test]
fn doctor_tells_every_record_that_it_cannot_read_and_goes_on() {
    for name in ["project.json", ".model-manager.json", "notes.txt"] {
        let machine = downloaded();
        let path = |machine: &Machine| match name {
            "project.json" => machine.roots().join(name),
            "notes.txt" => machine.store().join("roots").join(name),
            _ => machine.sandbox.models().join(name),
        };
        std::fs::write(path(&machine), "{").unwrap();
        for depth in ["doctor", "doctor --full"] {
            let output = machine.run(depth);
            assert!(matches!(output.status.code(), Some(0 | 1 | 4)), "{output}");
            output.prints(name).prints("1 blob in");
        }
        // What does not need it works.
        machine.run("list").ok().prints("tiny");
        machine.run("verify").ok().prints("1 ok");
        machine.run("path tiny").ok();
        std::fs::remove_file(path(&machine)).unwrap();
        machine.run("download tiny").ok();
    }
}

#[test]
fn a_missing_folder_of_locks_is_made_again() {
    let machine = downloaded();
    std::fs::remove_dir_all(machine.store().join("lock")).unwrap();
    machine.run("list").ok().prints("tiny");
    machine.run("init").ok();
    machine.run("doctor").ok().prints("all is well");
    assert_sound(&RealDisk, &machine.store(), Expect::Tidy);
}

#[test]
fn what_is_no_file_at_a_locks_place_is_told_by_doctor() {
    let machine = downloaded();
    std::fs::remove_file(machine.store().join("lock/store")).unwrap();
    std::fs::create_dir(machine.store().join("lock/store")).unwrap();
    machine.run("doctor").code(1).prints("lock/store").prints("it is no lock file");
    machine.run("gc").code(1).says("lock/store").says("hint: ");
}

#[test]
fn a_store_without_its_marker_is_a_loss_and_is_not_made_anew() {
    let machine = downloaded();
    std::fs::remove_file(machine.store().join("STORE.json")).unwrap();
    machine.run("doctor").code(4).prints("restore its STORE.json");
    machine.run("download tiny").code(2).says("is not a store");
    assert_eq!(std::fs::metadata(machine.blob(&machine.content())).unwrap().len(), machine.content().len());
}
