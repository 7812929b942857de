use super::support::*;
use crate::{
    names::Format,
    settings::LinkMode::*,
    store::Store,
    view::{FileState, Health, MANIFEST_FILE, Views},
};
use std::fs;

fn listed(house: &House) -> Vec<(String, FileState)> {
    let found = house.views.scan(None).unwrap();
    let place = |quant: &Option<String>| quant.as_deref().unwrap_or("-").to_owned();
    found.into_iter().map(|f| (format!("{} {} {} {}", f.model, f.format, place(&f.quant), f.file), f.state)).collect()
}

#[test]
#[cfg_attr(windows, ignore = "asks for the privilege to make symbolic links")]
fn every_kind_of_file_is_listed_as_what_it_is() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let digest = file.sha256;
    let gone = house.file("gone.gguf", "gone");
    house.build(&key("m/gguf/symlink"), std::slice::from_ref(&file), Symlink).unwrap();
    house.build(&key("m/gguf/hardlink"), std::slice::from_ref(&file), Hardlink).unwrap();
    house.build(&key("m/gguf/copy"), std::slice::from_ref(&file), Copy).unwrap();
    house.build(&key("m/gguf/gone"), std::slice::from_ref(&gone), Symlink).unwrap();
    fs::remove_file(house.blob(&gone)).unwrap();
    house.put("m/gguf/mine/a.gguf", "mine");
    let found = listed(&house);
    let is = |quant: &str| found.iter().find(|(name, _)| name.contains(&format!(" {quant} "))).map(|(_, state)| state.clone());
    assert_eq!(is("symlink"), Some(FileState::Blob { digest, mode: Symlink }));
    assert_eq!(is("hardlink"), Some(FileState::Blob { digest, mode: Hardlink }));
    assert_eq!(is("copy"), Some(FileState::Copy { digest }));
    assert_eq!(is("mine"), Some(FileState::Foreign));
    assert!(matches!(is("gone"), Some(FileState::Dangling { digest: Some(digest), .. }) if digest == gone.sha256));
    assert_eq!(found.len(), 5);
    for found in house.views.scan(None).unwrap() {
        assert_eq!(house.views.state_of(&found.path).unwrap(), Some(found.state.clone()), "{}", found.path.display());
        let size = if matches!(found.state, FileState::Dangling { .. }) { 0 } else { fs::metadata(&found.path).unwrap().len() };
        assert_eq!(found.size, size);
    }
}

/// Every file that is found, whether it is the model's, and how it is.
fn looked_at(house: &House) -> Vec<(String, bool, Health)> {
    let found = house.views.scan(None).unwrap();
    found.into_iter().map(|found| (found.file.clone(), found.belongs, found.health())).collect()
}

#[test]
fn a_view_has_what_its_record_has_and_nothing_else() {
    for mode in those_that_work([Symlink, Hardlink, Copy]) {
        let house = House::new();
        let files = ["a.json", "b.json", "deep/.dots/c.json"].map(|name| house.file(name, name));
        let dir = house.build(&key("m/safetensors"), &files, mode).unwrap().dir;
        house.remove(&dir.join("a.json"));
        house.remove(&dir.join("b.json"));
        fs::write(dir.join("b.json"), "longer than it was").unwrap();
        house.put("m/safetensors/0.json", "of another program");
        house.put("m/safetensors/.cache/x", "of another program");
        let expected = [
            ("0.json", false, Health::Foreign),
            ("a.json", true, Health::Missing),
            ("b.json", true, Health::Damaged),
            ("deep/.dots/c.json", true, Health::Whole),
        ];
        assert_eq!(looked_at(&house), expected.map(|(name, belongs, health)| (name.to_owned(), belongs, health)), "{mode:?}");
        fs::remove_file(dir.join("b.json")).unwrap();
        fs::write(dir.join("b.json"), "B.json").unwrap();
        assert_eq!(looked_at(&house)[2].2, Health::Replaced, "{mode:?}");
    }
}

#[test]
fn without_a_record_a_gguf_is_the_model_and_what_lies_beside_it_is_not() {
    let house = House::new();
    for name in ["Modelfile", "b.gguf", "a.GGUF", "README.md", "z.gguf.part"] {
        house.put(&format!("m/gguf/q4_0/{name}"), "x");
    }
    house.put("s/safetensors/README.md", "x");
    let of_model: Vec<String> = looked_at(&house).into_iter().filter(|(_, belongs, _)| *belongs).map(|(name, ..)| name).collect();
    assert_eq!(of_model, ["a.GGUF", "b.gguf", "README.md"]);
}

#[test]
fn a_file_with_the_text_of_its_link_is_that_link_and_no_other_small_file_is() {
    let house = House::new();
    let (file, other) = (house.file("a.gguf", "weights"), house.file("b.gguf", "others"));
    let files = [file.clone(), other];
    let dir = house.build(&key("m/gguf/q4_0"), &files, Hardlink).unwrap().dir;
    let hex = file.sha256.to_string();
    let target = format!("../../../.blobs/sha256/{}/{hex}", &hex[..2]);
    let ours = |text: &str| {
        house.remove(&dir.join("a.gguf"));
        fs::write(dir.join("a.gguf"), text).unwrap();
        matches!(&house.views.scan(None).unwrap()[0].state, FileState::LinkText { digest } if *digest == file.sha256)
    };
    for text in [target.clone(), format!("{target}\n"), format!("{target}\r\n"), format!("/elsewhere/sha256/{}/{hex}", &hex[..2])] {
        assert!(ours(&text), "{text:?}");
    }
    for text in [format!("{target} more"), format!("{target}\nmore"), format!("x{}", &hex), target[..target.len() - 1].to_owned()] {
        assert!(!ours(&text), "{text:?}");
    }
    // Where no link of ours belongs, it is a user's text.
    house.put("n/gguf/q4_0/a.gguf", &target);
    assert_eq!(house.views.scan(None).unwrap().last().unwrap().state, FileState::Foreign);
}

#[test]
fn hard_links_are_known_without_a_manifest() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    let dir = house.build(&key("m/gguf/q4_0"), std::slice::from_ref(&file), Hardlink).unwrap().dir;
    fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
    let state = FileState::Blob { digest: file.sha256, mode: Hardlink };
    assert_eq!(listed(&house), [("m gguf q4_0 a.gguf".to_owned(), state)]);
}

#[test]
fn the_store_is_walked_once_for_all_hard_links_without_a_manifest() {
    let house = House::new();
    let file = house.file("a.gguf", "weights");
    // Enough for several threads.
    for model in 0..256 {
        let dir = house.at(&format!("m{model}/gguf/q4_0"));
        fs::create_dir_all(&dir).unwrap();
        fs::hard_link(house.blob(&file), dir.join("a.gguf")).unwrap();
    }
    let store = Store::open(house.disk.clone(), house.store.layout().root()).unwrap();
    let found = Views::new(house.disk.clone(), house.models(), Some(store)).scan(None).unwrap();
    let state = FileState::Blob { digest: file.sha256, mode: Hardlink };
    assert_eq!(found.iter().filter(|found| found.state == state).count(), 256);
    let listed = house.disk.listed.lock().unwrap();
    assert_eq!(listed.iter().filter(|dir| dir.ends_with("sha256/00")).count(), 1);
}

#[test]
fn trees_of_the_old_tool_are_listed_as_foreign_in_every_layout() {
    let house = House::new();
    for path in [
        "a/gguf/q4_k_m/a.gguf",
        "a/gguf/Q8_0/a.gguf",
        "b/gguf/b.gguf",
        "c/safetensors/model.safetensors",
        "c/safetensors/original/deep/params.json",
        "d/pytorch/fp16/pytorch_model.bin",
        ".cache/x/y/z",
        "a/.hidden/q/x",
        "a/gguf/.hidden/x",
        "a/gguf/q4_k_m/.gitattributes",
        "readme.txt",
        "a/readme.txt",
    ] {
        house.put(path, "x");
    }
    let found = listed(&house);
    assert!(found.iter().all(|(_, state)| *state == FileState::Foreign));
    let names: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "a gguf Q8_0 a.gguf",
            "a gguf q4_k_m a.gguf",
            "b gguf - b.gguf",
            "c safetensors - model.safetensors",
            "c safetensors - original/deep/params.json",
            "d pytorch - fp16/pytorch_model.bin",
        ]
    );
    let only = house.views.scan(Some(&Format::safetensors())).unwrap();
    assert!(only.len() == 2 && only.iter().all(|found| found.format == "safetensors"));
}

#[test]
fn views_with_and_without_a_quantization_stand_in_one_format() {
    let house = House::new();
    let files = [house.file("x", "x"), house.file("sub/y", "y")];
    for view in ["m/gguf", "m/gguf/q4_0", "m/safetensors", "m/safetensors/awq"] {
        house.build(&key(view), &files, Auto).unwrap();
    }
    let names: Vec<_> = listed(&house).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "m gguf - sub/y",
            "m gguf - x",
            "m gguf q4_0 sub/y",
            "m gguf q4_0 x",
            "m safetensors - sub/y",
            "m safetensors - x",
            "m safetensors awq sub/y",
            "m safetensors awq x",
        ]
    );
    let keys: Vec<_> = house.views.keys().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["m/gguf", "m/gguf/q4_0", "m/safetensors", "m/safetensors/awq"]);
}

#[cfg(unix)]
#[test]
fn what_stands_behind_a_link_to_a_folder_is_foreign() {
    let house = House::new();
    let dir = house.build(&key("m/gguf/q4_0"), &[house.file("a.gguf", "weights")], Symlink).unwrap().dir;
    std::os::unix::fs::symlink(house.at("m"), house.at("alias")).unwrap();
    std::os::unix::fs::symlink(&dir, dir.join("loop")).unwrap();
    let found = listed(&house);
    assert_eq!(found.iter().filter(|(_, state)| *state == FileState::Foreign).count(), 2, "{found:?}");
    assert_eq!(house.views.state_of(&house.at("alias/gguf/q4_0/a.gguf")).unwrap(), Some(FileState::Foreign));
}

#[test]
fn an_absent_place_has_nothing_to_list() {
    let house = House::with_store("store");
    fs::remove_dir(house.models()).unwrap();
    assert_eq!(house.views.scan(None).unwrap(), []);
    assert_eq!(house.views.keys().unwrap(), []);
    assert_eq!(house.views.state_of(&house.at("m/gguf/a")).unwrap(), None);
}

/// Run by hand: `cargo test --release --lib view -- --ignored --nocapture listing_a_thousand`.
#[test]
#[ignore = "measures"]
fn listing_a_thousand_views_is_quick() {
    let house = House::new();
    let file = house.file("model.gguf", "weights");
    for n in 0..1000 {
        house.build(&key(&format!("m{n}/gguf/q4_k_m")), std::slice::from_ref(&file), Symlink).unwrap();
    }
    let best = (0..5).map(|_| {
        let start = std::time::Instant::now();
        assert_eq!(house.views.scan(None).unwrap().len(), 1000);
        start.elapsed()
    });
    let best = best.min().unwrap();
    assert!(best < std::time::Duration::from_millis(30), "took {best:?}");
    let start = std::time::Instant::now();
    for n in 0..1000 {
        assert!(!house.build(&key(&format!("m{n}/gguf/q4_k_m")), std::slice::from_ref(&file), Auto).unwrap().changed);
    }
    let each = start.elapsed() / 1000;
    assert!(each < std::time::Duration::from_millis(1), "looking at a view that is right took {each:?}");
}
