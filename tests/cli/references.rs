//! The ways to name a model that is in no registry, and what is taken when the name leaves a choice.

use crate::kit::{Desk, MIB};
use crate::support::gguf::Spec;
use crate::support::hub::Content;

const REPO: &str = "unsloth/Big-GGUF";

/// A repository as makers lay them out: one folder for each quantization, some split, some not.
fn desk() -> Desk {
    let desk = Desk::empty();
    let mut repo = desk.hub.repo(REPO).lfs("Big-IQ1_S.gguf", Content::synthetic(MIB + 3, 2));
    for (name, bytes) in Spec::tiny().split("UD-Q4_K_XL/Big-UD-Q4_K_XL", 3) {
        repo = repo.lfs(&name, bytes);
    }
    repo.lfs("BF16/Big.gguf", Content::synthetic(MIB + 1, 1)).plain("README.md", "# Big").commit();
    desk
}

#[test]
fn one_part_of_a_split_file_stands_for_all_of_them() {
    let desk = desk();
    let path = "models/unsloth--Big-GGUF/gguf/ud-q4_k_xl/Big-UD-Q4_K_XL-00001-of-00003.gguf";
    for reference in [
        format!("hf://{REPO}/UD-Q4_K_XL/Big-UD-Q4_K_XL-00002-of-00003.gguf"),
        format!("{}/{REPO}/blob/main/UD-Q4_K_XL/Big-UD-Q4_K_XL-00001-of-00003.gguf", desk.hub.url()),
        format!("{}/{REPO}/tree/main/UD-Q4_K_XL", desk.hub.url()),
        format!("{REPO}:UD-Q4_K_XL"),
        format!("hf.co/{REPO}:ud-q4_k_xl"),
    ] {
        assert_eq!(desk.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
        assert_eq!(desk.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
        desk.run(&format!("verify {reference}")).ok().prints("3 ok");
        desk.assert_tidy();
    }
}

#[test]
fn a_folder_names_the_quantization_of_what_is_in_it() {
    let desk = desk();
    let path = "models/unsloth--Big-GGUF/gguf/bf16/Big.gguf";
    for reference in [format!("hf://{REPO}/BF16/Big.gguf"), format!("hf://{REPO}@main/BF16"), format!("{REPO}:bf16")] {
        assert_eq!(desk.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
        assert_eq!(desk.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
    }
    desk.run(&format!("download hf://{REPO}/Q5_K_M")).code(3).says("no file and no folder Q5_K_M").says("hint: ");
}

#[test]
fn without_a_quantization_the_nearest_to_the_usual_is_taken_and_named() {
    let desk = desk();
    let output = desk.run(&format!("download {REPO}")).ok().says("ud-q4_k_xl was chosen");
    assert!(output.last_line().contains("/ud-q4_k_xl/"), "{output}");
    desk.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").lfs("b.Q8_0.gguf", "three").commit();
    let commands = ["`model-manager download a/two:a-q4_k_m` (3 B)", "`model-manager download a/two:b-q4_k_m` (3 B)"];
    desk.run("download a/two").code(2).says(commands[0]).says(commands[1]);
    desk.run("download a/two:latest").code(2).says(commands[0]).says(commands[1]);
    desk.run("download a/two:q4_k_m").code(2).says(commands[0]).says(commands[1]);
    desk.run("download a/two:q8").code(3).says("There is: `model-manager download a/two:q8_0` (5 B), ");
    desk.run("download a/two:b-q4_k").code(3).says("There is: `model-manager download a/two:b-q4_k_m` (3 B), ");
}

#[test]
fn no_two_files_of_a_repository_share_a_folder_and_each_is_had_by_its_label() {
    let desk = Desk::empty();
    desk.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").lfs("b-I-Mini.gguf", "three").commit();
    for (label, file) in [("a-q4_k_m", "a.Q4_K_M.gguf"), ("b-q4_k_m", "b.Q4_K_M.gguf"), ("b-i-mini", "b-I-Mini.gguf")] {
        let path = format!("models/a--two/gguf/{label}/{file}");
        for reference in [format!("a/two:{label}"), format!("hf://a/two/{file}")] {
            assert_eq!(desk.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
            assert_eq!(desk.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
            desk.run(&format!("verify {reference}")).ok();
        }
    }
    desk.hub.reset_counters();
    desk.run("download hf://a/two/b.Q4_K_M.gguf").ok().says("already present");
    assert_eq!(desk.hub.count().total_requests(), 0);
    desk.run("download hf://a/two/b.Q4_K_M.gguf --force").ok();
    desk.run("lock hf://a/two/b.Q4_K_M.gguf a/two:a-q4_k_m").ok();
    desk.run("lock --update").ok();
    desk.run("sync").ok();
    desk.run("doctor").ok().prints("all is well");
}

#[test]
fn info_lists_labels_roles_sizes_and_what_is_here() {
    let desk = Desk::empty();
    desk.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "three").lfs("mmproj-F16.gguf", "p").commit();
    desk.run("download a/two:b-q4_k_m").ok();
    desk.hub.reset_counters();
    let info = desk.run("info a/two --json").ok().json();
    assert_eq!(desk.hub.count().api, 2, "one question for the commit and one for its files");
    let told = |at: usize| {
        let label = &info["models"][0]["labels"][at];
        format!("{} {} {} {}", label["label"], label["role"], label["size"], label["present"]).replace('"', "")
    };
    assert_eq!([told(0), told(1), told(2)], ["a-q4_k_m model 3 false", "b-q4_k_m model 5 true", "mmproj-f16 mmproj 1 false"]);
    desk.run("info a/two").ok().prints("a-q4_k_m").prints("mmproj-f16");
}

#[test]
fn a_set_has_what_its_loader_needs_and_the_plan_says_what_is_left_out() {
    let desk = Desk::empty();
    let repo = desk.hub.repo("a/set");
    let repo = repo.lfs("model-00000-of-00001.safetensors", "one").lfs("model-00001-of-00001.safetensors", "two");
    let index = br#"{"weight_map":{"a":"model-00000-of-00001.safetensors","b":"model-00001-of-00001.safetensors"}}"#;
    let repo =
        repo.plain("model.safetensors.index.json", index.to_vec()).plain("config.json", "{}").plain("1_Pooling/config.json", "{}");
    repo.lfs("onnx/model.onnx", "three").lfs("pytorch_model.bin", "four").commit();
    let plan = desk.run("download a/set --format safetensors --dry-run --json").ok().json();
    let notices = plan["plans"][0]["notices"].to_string();
    assert!(notices.contains("left out, weights in another format: pytorch_model.bin"), "{notices}");
    desk.run("download a/set --format safetensors").ok();
    let dir = desk.s.models().join("a--set/safetensors");
    for file in ["model-00000-of-00001.safetensors", "model.safetensors.index.json", "1_Pooling/config.json"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    for line in ["download a/set", "info a/set", "lock a/set"] {
        desk.run(line).code(3).says("`model-manager download a/set --format safetensors`");
    }
}

#[test]
fn weights_without_a_byte_are_refused() {
    let desk = Desk::empty();
    desk.hub.repo("a/empty").lfs("x.Q4_K_M.gguf", "").lfs("model.safetensors", "").plain("config.json", "{}").commit();
    desk.run("download a/empty").code(4).says("x.Q4_K_M.gguf").says("has no bytes");
    desk.run("download a/empty --format safetensors").code(4).says("has no bytes");
}

#[test]
fn a_view_keeps_its_place_when_its_label_is_another_now() {
    let desk = Desk::empty();
    desk.hub.repo("a/one").lfs("a.Q4_K_M.gguf", "one").commit();
    let path = "models/a--one/gguf/q4_k_m/a.Q4_K_M.gguf";
    assert_eq!(desk.run("download a/one").ok().last_line(), path);
    desk.hub.repo("a/one").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").commit();
    for line in ["download hf://a/one/a.Q4_K_M.gguf", "download a/one:q4_k_m", "download a/one:q4_k_m --force", "path a/one:q4_k_m"]
    {
        assert_eq!(desk.run(line).ok().last_line(), path, "{line}");
    }
    desk.run("lock a/one:q4_k_m").ok();
    desk.run("lock --update").ok();
    assert_eq!(desk.run("download a/one:b-q4_k_m").ok().last_line(), "models/a--one/gguf/b-q4_k_m/b.Q4_K_M.gguf");
}

#[test]
fn a_part_that_the_repository_lacks_is_named() {
    let desk = Desk::empty();
    desk.hub.repo("a/holes").lfs("x.Q4_K_M-00001-of-00002.gguf", "one").commit();
    desk.run("download a/holes:q4_k_m").code(3).says("x.Q4_K_M-00002-of-00002.gguf");
    desk.run("download hf://a/holes/x.Q4_K_M-00001-of-00002.gguf").code(3).says("x.Q4_K_M-00002-of-00002.gguf");
    assert!(!desk.s.models().join("a--holes").exists());
}

#[test]
fn a_model_that_a_folder_names_is_locked_by_its_files() {
    let desk = Desk::empty();
    let repo = desk.hub.repo("a/twice");
    repo.lfs("one/x.Q4_K_M.gguf", "one").lfs("two/x.Q4_K_M.gguf", "two").commit();
    desk.run("download a/twice:q4_k_m").code(2).says("a/twice:one-q4_k_m").says("a/twice:two-q4_k_m");
    desk.run("lock hf://a/twice/two").ok();
    desk.run("sync").ok();
    let path = desk.s.project().join("models/a--twice/gguf/two-q4_k_m/x.Q4_K_M.gguf");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "two");
    desk.run("lock --update").ok().prints("kept");
}
