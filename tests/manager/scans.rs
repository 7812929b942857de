//! A disk full of files: models are found by their content, and every other file is left alone.

use crate::{
    apps::{Desk, views},
    kit::*,
    support::{gguf::Spec, hub::Content},
};
use model_manager::{ErrorKind, Result, reports::AdoptReport};
use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

/// A safetensors file with one tensor.
fn safetensors(seed: u8) -> Vec<u8> {
    let header = br#"{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[seed; 16]].concat()
}

fn scan(desk: &Desk, below: &str, dry_run: bool) -> Result<AdoptReport> {
    let dir = desk.machine.dir.path().join(below);
    desk.adopt(&[], |options| (options.scan, options.dry_run) = (vec![dir], dry_run))
}

/// The problems by the names of their files.
fn problems(report: &AdoptReport) -> BTreeMap<String, &str> {
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    report.problems.iter().map(|problem| (name(&problem.path), problem.problem.as_str())).collect()
}

#[test]
fn models_are_found_by_their_content_and_named_by_what_is_known_of_them() {
    let desk = Desk::new();
    let model = Spec::tiny().bytes();
    desk.write("disk/a/bird.Q4_K_M.gguf", &model);
    desk.write("disk/a/bird.Q8_0.gguf", Spec::tiny().seed(2).bytes());
    desk.write(&format!("disk/b/sha256-{}", "a".repeat(64)), Spec::tiny().seed(3).bytes());
    desk.write("disk/c/model.gguf", Spec::tiny().seed(4).bytes());
    for (name, bytes) in Spec::tiny().seed(5).split("crow.Q4_K_M", 2) {
        desk.write(&format!("disk/parts/{name}"), bytes);
    }
    desk.write("disk/set/config.json", "{}");
    desk.write("disk/set/tokenizer.json", "{}");
    desk.write("disk/set/model.safetensors", safetensors(1));
    desk.write("disk/loras/one.safetensors", safetensors(2));
    desk.write("disk/loras/two", safetensors(3));
    desk.write("disk/other/bird.Q4_K_M.gguf", Spec::tiny().seed(6).bytes());
    desk.write("disk/notes.txt", "nothing");
    desk.write("disk/.git/objects/x.gguf", &model);
    fs::hard_link(desk.machine.dir.path().join("disk/a/bird.Q4_K_M.gguf"), desk.machine.dir.path().join("disk/a/second.gguf"))
        .unwrap();
    symlink("..", desk.machine.dir.path().join("disk/a/loop")).unwrap();
    let before = desk.seen("disk");
    let plan = scan(&desk, "disk", true).unwrap();
    assert!(!desk.project.store().exists() && plan.problems.is_empty(), "{:?}", plan.problems);
    let report = scan(&desk, "disk", false).unwrap();
    assert_eq!(report.models.len(), plan.models.len());
    let mut found = views(&report);
    found.sort();
    let expected = [
        "bird/gguf/q4_k_m",
        "bird/gguf/q8_0",
        "c--tiny-random/gguf/f16",
        "crow/gguf/q4_k_m",
        "one/safetensors",
        "other--bird/gguf/q4_k_m",
        "set/safetensors",
        "tiny-random/gguf/f16",
        "two/safetensors",
    ];
    assert_eq!(found, expected, "of two files with one name in their headers, the second has that of its folder too");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.totals.copied_bytes, report.failure), (0, None));
    desk.project.assert_shown("bird/gguf/q4_k_m/bird.Q4_K_M.gguf", &Content::from(model));
    desk.project.assert_shown("set/safetensors/config.json", &Content::from("{}"));
    desk.project.assert_promises();
    assert_eq!(desk.seen("disk"), before, "every file is where it was");
}

#[test]
fn what_is_no_model_is_reported_by_its_name_and_the_rest_is_taken() {
    let desk = Desk::new();
    let model = Spec::tiny().bytes();
    desk.write("disk/good.Q4_K_M.gguf", &model);
    desk.write("disk/empty.gguf", "");
    desk.write("disk/page.gguf", "<html>log in</html>");
    desk.write("disk/cut.gguf", &model[..model.len() / 2]);
    desk.write("disk/loading.gguf.part", &model[..1000]);
    let at = |name: &str| desk.machine.dir.path().join("disk").join(name);
    symlink("nowhere", at("dangling.gguf")).unwrap();
    symlink("circle-b.gguf", at("circle-a.gguf")).unwrap();
    symlink("circle-a.gguf", at("circle-b.gguf")).unwrap();
    fs::create_dir(at("folder.gguf")).unwrap();
    desk.write("disk/mmproj-x.gguf", Spec::tiny().seed(2).bytes_as("mmproj", "clip"));
    desk.write("disk/two.Q4_K_M.gguf", Spec::tiny().seed(3).bytes());
    let report = scan(&desk, "disk", false).unwrap();
    assert_eq!(views(&report), ["good/gguf/q4_k_m", "two/gguf/q4_k_m"]);
    let problems = problems(&report);
    let names: Vec<&str> = problems.keys().map(String::as_str).collect();
    assert_eq!(names, ["circle-a.gguf", "circle-b.gguf", "cut.gguf", "dangling.gguf", "empty.gguf", "mmproj-x.gguf", "page.gguf"]);
    assert!(problems["cut.gguf"].contains("damaged GGUF") && problems["page.gguf"].contains("HTML"), "{problems:?}");
    assert_eq!(report.failure, None, "they were not asked for");
    desk.project.assert_promises();
}

#[test]
fn what_applications_and_stores_have_is_left_out_of_a_scan() {
    let desk = Desk::new();
    let model = Content::from(Spec::tiny().bytes());
    desk.in_ollama("owl", &model);
    desk.project.download("tiny:q4_k_m").unwrap();
    let other = desk.project.beside(&desk.machine.dir.path().join("other"), None);
    other.download("tiny:q8_0").unwrap();
    desk.write("mine.Q4_K_M.gguf", Spec::tiny().seed(9).bytes());
    let report = scan(&desk, "", false).unwrap();
    assert_eq!(views(&report), ["mine/gguf/q4_k_m"]);
    assert!(problems(&report)["ollama"].contains("it belongs to Ollama"), "{:?}", report.problems);
    refused(scan(&desk, "nowhere", false), ErrorKind::Failed);
    refused(scan(&desk, "mine.Q4_K_M.gguf", false), ErrorKind::Usage);
}
