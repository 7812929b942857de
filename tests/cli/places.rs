//! Places where a view cannot be made: told before anything is fetched for it.

use std::path::Path;

use crate::kit::{FILE, MIB, Machine, PATH, assert_content, entry, names};
use crate::mounts::{read_only, tmpfs_with};
use crate::support::hub::Content;

/// Nothing travelled, and nothing of the try is left in the models directory or the store.
#[track_caller]
fn assert_nothing_happened(machine: &Machine, store: &Path) {
    assert_eq!(machine.hub.count().content_bytes(), 0, "gigabytes would have travelled");
    let left: Vec<_> = temporary(&machine.sandbox.models()).into_iter().chain(names(&store.join("tmp"))).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Temporary names in a folder and the folders in it.
fn temporary(dir: &Path) -> Vec<String> {
    let all = names(dir);
    let below = all.iter().flat_map(|name| names(&dir.join(name)));
    all.iter().cloned().chain(below).filter(|name| name.starts_with(".tmp-")).collect()
}

#[test]
#[ignore = "needs root"]
fn a_models_directory_that_cannot_be_written_is_told_before_a_byte_travels() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    machine.run(&format!("download tiny:q8_0 --store {}", store.display())).ok();
    machine.hub.reset_counters();
    let mount = read_only(&machine.sandbox.models());
    for mode in ["auto", "symlink", "hardlink", "copy"] {
        let output = machine.run(&format!("download tiny --link {mode} --store {}", store.display()));
        output.code(1).says("cannot be written").says("Read-only file system").says("--models-dir");
        assert_nothing_happened(&machine, &store);
    }
    // What is shown already needs no writing there, and what is fetched again for it neither.
    machine.run(&format!("download tiny:q8_0 --store {}", store.display())).ok();
    machine.run(&format!("download tiny:q8_0 --force --store {}", store.display())).ok();
    assert_eq!(machine.hub.count().content_bytes(), MIB + 1);
    drop(mount);
    assert_eq!(machine.run(&format!("download tiny --store {}", store.display())).ok().last_line(), PATH);
}

#[test]
#[ignore = "needs root"]
fn a_models_folder_that_cannot_be_written_is_told_by_its_name_and_holds_no_other_back() {
    let machine = Machine::new();
    machine.hub.repo("a/other").lfs("other.Q4_K_M.gguf", Content::synthetic(MIB, 7)).commit();
    let other = [("q4_k_m", "other.Q4_K_M.gguf")];
    machine.registry(&[
        entry(&machine.hub, "tiny", crate::kit::REPO, &[("q4_k_m", FILE)]),
        entry(&machine.hub, "other", "a/other", &other),
    ]);
    let folder = machine.sandbox.models().join("tiny");
    std::fs::create_dir_all(&folder).unwrap();
    // What a try left that died long ago, and that cannot be removed here either.
    let left = std::fs::File::create(folder.join(".tmp-aaaaaaaaaaaa")).unwrap();
    left.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 3600)).unwrap();
    let mount = read_only(&folder);
    machine.run("download tiny").code(1).says("models/tiny cannot be written").says("hint: ");
    assert_eq!(
        (machine.hub.count().content_bytes(), temporary(&machine.sandbox.models())),
        (0, vec![".tmp-aaaaaaaaaaaa".to_owned()])
    );
    machine.run("download other").ok();
    drop(mount);
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
    assert!(temporary(&machine.sandbox.models()).is_empty());
}

#[test]
#[ignore = "needs root"]
fn a_volume_that_follows_no_links_gets_hard_links_and_whoever_wants_others_is_told_first() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    let _volume = tmpfs_with(&machine.sandbox.models(), "size=32m,nosymfollow");
    machine
        .run("download tiny --link symlink")
        .code(1)
        .says("symbolic links do not work in")
        .says(PATH.rsplit_once('/').unwrap().0);
    assert_nothing_happened(&machine, &machine.store());
    assert!(!machine.sandbox.project().join("models/tiny").exists());
    let output = machine.run("download tiny").ok().says("hard links are used: symbolic links do not work here");
    machine.assert_right(&output);
    let path = machine.sandbox.project().join(PATH);
    assert_eq!(path.metadata().unwrap().ino(), machine.blob(&machine.content()).metadata().unwrap().ino());
    assert!(temporary(&machine.sandbox.models()).is_empty());
}

#[test]
#[ignore = "needs root"]
fn where_no_link_works_copies_have_to_be_asked_for_before_a_byte_travels() {
    let machine = Machine::new();
    let _volume = tmpfs_with(&machine.sandbox.models(), "size=32m,nosymfollow");
    let store = machine.sandbox.root().join("store");
    let line = format!("download tiny --store {}", store.display());
    machine.run(&line).code(1).says("no kind of link works in").says("the store is on another volume").says("--link copy");
    assert_nothing_happened(&machine, &store);
    let copied = machine.run(&format!("{line} --link copy")).ok();
    assert_content(&machine.sandbox.project().join(copied.last_line()), &machine.content());
    // The other quantization is a view of its own, and nothing is fetched for it either.
    machine.hub.reset_counters();
    machine.run(&line.replace("tiny", "tiny:q8_0")).code(1).says("--link copy");
    assert_nothing_happened(&machine, &store);
}

#[test]
#[ignore = "needs root"]
fn a_set_that_needs_no_new_link_is_fetched_into_a_place_that_allows_none() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    let line = format!("download tiny --store {}", store.display());
    machine.run(&line).ok();
    let blob = crate::kit::blob_in(&store, &machine.content());
    std::fs::remove_file(&blob).unwrap();
    machine.hub.reset_counters();
    let _mount = read_only(&machine.sandbox.models());
    machine.run(&line).ok();
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
}
