use super::support::*;
use crate::{
    settings::LinkMode::*,
    view::{MANIFEST_FILE, Views},
};
use std::fs;

const VIEW: &str = "tiny/gguf/q4_k_m";

#[test]
fn a_view_goes_with_its_empty_folders_and_its_blobs_stay() {
    for mode in those_that_work([Symlink, Hardlink, Reflink, Copy]) {
        let house = House::new();
        let files = [house.file("a.gguf", "weights"), house.file("sub/b", "b"), house.file("empty", "")];
        let dir = house.build(&key(VIEW), &files, mode).unwrap().dir;
        let plan = house.views.plan_remove(&key(VIEW)).unwrap();
        assert_eq!(plan.files, ["a.gguf", "empty", "sub/b"].map(|name| dir.join(name)));
        assert_eq!(house.tree().len(), 4, "a plan changes nothing");
        let removed = house.views.execute(plan).unwrap();
        assert_eq!((removed.removed.len(), removed.kept.len()), (3, 0), "{mode}");
        assert!(!house.at("tiny").exists() && house.models().exists());
        assert_eq!(read(&house.blob(&files[0])), "weights");
        assert_eq!(house.views.remove(&key(VIEW)).unwrap(), Default::default(), "a second time there is nothing");
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_ours_stays_and_is_reported() {
    let house = House::new();
    let dir = house.build(&key(VIEW), &[house.file("a.gguf", "weights"), house.file("b.gguf", "b")], Copy).unwrap().dir;
    fs::remove_file(dir.join("b.gguf")).unwrap();
    fs::write(dir.join("b.gguf"), "edited").unwrap();
    let notes = house.put("tiny/gguf/q4_k_m/notes/readme.txt", "mine");
    std::os::unix::fs::symlink("/etc", dir.join("etc")).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.join("nowhere")).unwrap();
    let removed = house.views.remove(&key(VIEW)).unwrap();
    assert_eq!(removed.removed, [dir.join("a.gguf")]);
    let kept: Vec<_> = removed.kept.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(kept, [dir.join("b.gguf"), dir.join("etc"), notes, dir.join("nowhere")]);
    assert_eq!(removed.kept[0].1, "it was changed since it was made");
    assert!(!dir.join(MANIFEST_FILE).exists());
    assert_eq!(read(&dir.join("b.gguf")), "edited");
    assert!(dir.join("etc/hosts").exists());
}

#[test]
fn a_file_that_changes_between_plan_and_act_stays() {
    let house = House::new();
    let dir = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Copy).unwrap().dir;
    let plan = house.views.plan_remove(&key(VIEW)).unwrap();
    house.remove(&dir.join("a.gguf"));
    fs::write(dir.join("a.gguf"), "mine").unwrap();
    let removed = house.views.execute(plan).unwrap();
    assert!(removed.removed.is_empty());
    assert_eq!(read(&dir.join("a.gguf")), "mine");
}

#[test]
fn links_go_without_a_manifest_and_without_a_store() {
    for mode in those_that_work([Symlink, Hardlink]) {
        let house = House::new();
        let dir = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], mode).unwrap().dir;
        fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
        let store = (mode == Hardlink).then(|| house.store.clone());
        let views = Views::new(house.disk.clone(), house.models(), store);
        assert_eq!(views.remove(&key(VIEW)).unwrap().removed.len(), 1, "{mode}");
        assert!(!house.at("tiny").exists());
    }
}

#[test]
#[cfg_attr(windows, ignore = "asks for the privilege to make symbolic links")]
fn dangling_links_of_ours_go() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    house.build(&key(VIEW), std::slice::from_ref(&file), Symlink).unwrap();
    fs::remove_file(house.blob(&file)).unwrap();
    assert_eq!(house.views.remove(&key(VIEW)).unwrap().removed.len(), 1);
    assert!(!house.at("tiny").exists());
}

#[test]
fn views_beside_and_inside_each_other_are_left_alone() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    for view in ["tiny/gguf", "tiny/gguf/q4_0", "tiny/gguf/q5_0", "tiny/safetensors", "tiny/safetensors/awq"] {
        house.build(&key(view), &[file.clone(), house.file("sub/b", "b")], Auto).unwrap();
    }
    // One that lost its manifest, and a quantization that was dropped there by hand.
    fs::remove_file(house.at("tiny/gguf/q5_0/.view.json")).unwrap();
    house.put("tiny/gguf/q8_0/c.gguf", "mine");
    for view in ["tiny/gguf", "tiny/safetensors"] {
        let removed = house.views.remove(&key(view)).unwrap();
        assert_eq!((removed.removed.len(), removed.kept.len()), (2, 0), "{view}: {removed:?}");
    }
    house.views.remove(&key("tiny/gguf/q4_0")).unwrap();
    assert_eq!(
        house.tree(),
        [
            "tiny/gguf/q5_0/a.gguf",
            "tiny/gguf/q5_0/sub/b",
            "tiny/gguf/q8_0/c.gguf",
            "tiny/safetensors/awq/.view.json",
            "tiny/safetensors/awq/a.gguf",
            "tiny/safetensors/awq/sub/b",
        ]
    );
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_through_a_link_to_a_folder() {
    let house = House::new();
    let dir = house.build(&key(VIEW), &[house.file("a.gguf", "weights")], Symlink).unwrap().dir;
    std::os::unix::fs::symlink(house.at("tiny"), house.at("alias")).unwrap();
    house.views.remove(&key("alias/gguf/q4_k_m")).unwrap_err();
    assert!(dir.join("a.gguf").exists());
}
