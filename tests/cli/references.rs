//! The ways to name a model that is in no registry, and what is taken when the name leaves a choice.

use crate::kit::{MIB, Machine};
use crate::support::gguf::Spec;
use crate::support::hub::Content;

const REPO: &str = "unsloth/Big-GGUF";

/// A repository as makers lay them out: one folder for each quantization, some split, some not.
fn machine() -> Machine {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo(REPO).lfs("Big-IQ1_S.gguf", Content::synthetic(MIB + 3, 2));
    for (name, bytes) in Spec::tiny().split("UD-Q4_K_XL/Big-UD-Q4_K_XL", 3) {
        repo = repo.lfs(&name, bytes);
    }
    repo.lfs("BF16/Big.gguf", Content::synthetic(MIB + 1, 1)).plain("README.md", "# Big").commit();
    machine
}

#[test]
fn one_part_of_a_split_file_stands_for_all_of_them() {
    let machine = machine();
    let path = "models/unsloth--Big-GGUF/gguf/ud-q4_k_xl/Big-UD-Q4_K_XL-00001-of-00003.gguf";
    for reference in [
        format!("hf://{REPO}/UD-Q4_K_XL/Big-UD-Q4_K_XL-00002-of-00003.gguf"),
        format!("{}/{REPO}/blob/main/UD-Q4_K_XL/Big-UD-Q4_K_XL-00001-of-00003.gguf", machine.hub.url()),
        format!("{}/{REPO}/tree/main/UD-Q4_K_XL", machine.hub.url()),
        format!("{REPO}:UD-Q4_K_XL"),
        format!("hf.co/{REPO}:ud-q4_k_xl"),
    ] {
        assert_eq!(machine.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
        assert_eq!(machine.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
        machine.run(&format!("verify {reference}")).ok().prints("3 ok");
        machine.assert_tidy();
    }
}

#[test]
fn a_folder_names_the_quantization_of_what_is_in_it() {
    let machine = machine();
    let path = "models/unsloth--Big-GGUF/gguf/bf16/Big.gguf";
    for reference in [format!("hf://{REPO}/BF16/Big.gguf"), format!("hf://{REPO}@main/BF16"), format!("{REPO}:bf16")] {
        assert_eq!(machine.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
        assert_eq!(machine.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
    }
    machine.run(&format!("download hf://{REPO}/Q5_K_M")).code(3).says("no file and no folder Q5_K_M").says("hint: ");
}

#[test]
fn without_a_quantization_the_nearest_to_the_usual_is_taken_and_named() {
    let machine = machine();
    let output = machine.run(&format!("download {REPO}")).ok().says("ud-q4_k_xl was chosen");
    assert!(output.last_line().contains("/ud-q4_k_xl/"), "{output}");
    machine.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").lfs("b.Q8_0.gguf", "three").commit();
    let commands = ["`model-manager download a/two:a-q4_k_m` (3 B)", "`model-manager download a/two:b-q4_k_m` (3 B)"];
    machine.run("download a/two").code(2).says(commands[0]).says(commands[1]);
    machine.run("download a/two:latest").code(2).says(commands[0]).says(commands[1]);
    machine.run("download a/two:q4_k_m").code(2).says(commands[0]).says(commands[1]);
    machine.run("download a/two:q8").code(3).says("There is: `model-manager download a/two:q8_0` (5 B), ");
    machine.run("download a/two:b-q4_k").code(3).says("There is: `model-manager download a/two:b-q4_k_m` (3 B), ");
}

#[test]
fn no_two_files_of_a_repository_share_a_folder_and_each_is_had_by_its_label() {
    let machine = Machine::empty();
    machine.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").lfs("b-I-Mini.gguf", "three").commit();
    for (label, file) in [("a-q4_k_m", "a.Q4_K_M.gguf"), ("b-q4_k_m", "b.Q4_K_M.gguf"), ("b-i-mini", "b-I-Mini.gguf")] {
        let path = format!("models/a--two/gguf/{label}/{file}");
        for reference in [format!("a/two:{label}"), format!("hf://a/two/{file}")] {
            assert_eq!(machine.run(&format!("download {reference}")).ok().last_line(), path, "{reference}");
            assert_eq!(machine.run(&format!("path {reference}")).ok().last_line(), path, "{reference}");
            machine.run(&format!("verify {reference}")).ok();
        }
    }
    machine.hub.reset_counters();
    machine.run("download hf://a/two/b.Q4_K_M.gguf").ok().says("already present");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("download hf://a/two/b.Q4_K_M.gguf --force").ok();
    machine.run("lock hf://a/two/b.Q4_K_M.gguf a/two:a-q4_k_m").ok();
    machine.run("lock --update").ok();
    machine.run("sync").ok();
    machine.run("doctor").ok().prints("all is well");
}

#[test]
fn info_lists_labels_roles_sizes_and_what_is_here() {
    let machine = Machine::empty();
    machine.hub.repo("a/two").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "three").lfs("mmproj-F16.gguf", "p").commit();
    machine.run("download a/two:b-q4_k_m").ok();
    machine.hub.reset_counters();
    let info = machine.run("info a/two --json").ok().json();
    assert_eq!(machine.hub.count().api, 2, "one question for the commit and one for its files");
    let told = |at: usize| {
        let label = &info["models"][0]["labels"][at];
        format!("{} {} {} {}", label["label"], label["role"], label["total_bytes"], label["present"]).replace('"', "")
    };
    assert_eq!([told(0), told(1), told(2)], ["a-q4_k_m model 3 false", "b-q4_k_m model 5 true", "mmproj-f16 mmproj 1 false"]);
    machine.run("info a/two").ok().prints("a-q4_k_m").prints("mmproj-f16");
}

#[test]
fn a_set_has_what_its_loader_needs_and_the_plan_says_what_is_left_out() {
    let machine = Machine::empty();
    let repo = machine.hub.repo("a/set");
    let repo = repo.lfs("model-00000-of-00001.safetensors", "one").lfs("model-00001-of-00001.safetensors", "two");
    let index = br#"{"weight_map":{"a":"model-00000-of-00001.safetensors","b":"model-00001-of-00001.safetensors"}}"#;
    let repo =
        repo.plain("model.safetensors.index.json", index.to_vec()).plain("config.json", "{}").plain("1_Pooling/config.json", "{}");
    repo.lfs("onnx/model.onnx", "three").lfs("pytorch_model.bin", "four").commit();
    let plan = machine.run("download a/set --format safetensors --dry-run --json").ok().json();
    let notices = plan["plans"][0]["notices"].to_string();
    assert!(notices.contains("left out, weights in another format: pytorch_model.bin"), "{notices}");
    machine.run("download a/set --format safetensors").ok();
    let dir = machine.sandbox.models().join("a--set/safetensors");
    for file in ["model-00000-of-00001.safetensors", "model.safetensors.index.json", "1_Pooling/config.json"] {
        assert!(dir.join(file).exists(), "{file}");
    }
}

/// Holds the plan of a set against a listing in which `-` stands before what is left out.
#[track_caller]
fn plans(machine: &Machine, name: &str, listing: &[&str]) {
    let repo = format!("a/{name}");
    let paths = listing.iter().map(|path| path.trim_start_matches('-'));
    let files = paths.fold(machine.hub.repo(&repo), |files, path| match path.ends_with(".index.json") {
        true => {
            let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let is_shard = |name: &&&str| name.starts_with(&folder) && name.contains("-of-");
            let shards = listing.iter().filter(is_shard).filter_map(|name| name.rsplit('/').next());
            let map: serde_json::Map<String, serde_json::Value> =
                shards.map(|name| (format!("of {name}"), serde_json::json!(name))).collect();
            files.plain(path, serde_json::json!({ "weight_map": map }).to_string().into_bytes())
        }
        false => files.file(path, format!("{{\"is\": \"{path}\"}}").into_bytes()),
    });
    files.commit();
    let plan = machine.run(&format!("download {repo} --format safetensors --dry-run --json")).ok().json()["plans"][0].clone();
    let planned = |list: &str| {
        let key = if list == "files" { "file" } else { "repo_path" };
        let all = plan[list].as_array().unwrap().iter();
        all.map(|file| file[key].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let wanted = |is_out: bool| {
        let of = listing.iter().filter(|path| path.starts_with('-') == is_out);
        of.map(|path| path.trim_start_matches('-').to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((planned("files"), planned("left_out")), (wanted(false), wanted(true)), "{name}");
    let left_out = plan["left_out"].as_array().unwrap();
    assert!(left_out.iter().all(|file| !file["reason"].as_str().unwrap().is_empty() && file["size"].is_u64()), "{plan:#}");
    let shown = machine.run(&format!("download {repo} --format safetensors --dry-run")).ok();
    for why in left_out.iter().map(|file| file["reason"].as_str().unwrap()) {
        assert!(shown.stdout.contains(&format!("left out, {why}: ")), "{shown}");
    }
}

#[test]
fn the_plan_of_a_set_of_any_shape_lists_what_is_left_out_and_why() {
    let machine = Machine::empty();
    let index = "model.safetensors.index.json";
    plans(
        &machine,
        "zero",
        &[
            "model-00000-of-00002.safetensors",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            index,
            "config.json",
            "-original/model.safetensors",
            "-metal/model.bin",
            "-.gitattributes",
        ],
    );
    plans(
        &machine,
        "underscores",
        &["model_00001-of-00002.safetensors", "model_00002-of-00002.safetensors", index, "config.json", "-flax_model.msgpack"],
    );
    plans(
        &machine,
        "sentences",
        &[
            "model.safetensors",
            "config.json",
            "modules.json",
            "1_Pooling/config.json",
            "2_Dense/config.json",
            "2_Dense/model.safetensors",
            "sentence_bert_config.json",
            "-onnx/model.onnx",
            "-pytorch_model.bin",
        ],
    );
    plans(&machine, "mistral", &["consolidated.safetensors", "params.json", "tekken.json"]);
    plans(
        &machine,
        "adapters",
        &["model.safetensors", "config.json", "vision-lora/adapter_config.json", "vision-lora/adapter_model.safetensors"],
    );
    plans(
        &machine,
        "pipeline",
        &[
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "-unet/diffusion_pytorch_model.fp16.safetensors",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "-twin_1.0.safetensors",
            "-preview.png",
        ],
    );
}

#[test]
fn what_the_registry_does_not_select_or_excludes_is_listed_as_left_out() {
    let machine = Machine::empty();
    let repo = machine.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").plain("notes.md", "words");
    repo.commit();
    for (fields, why) in [("exclude: ['*.md']", "excluded by the registry"), ("include: ['*n']", "not selected by the registry")] {
        let entry = format!("models:\n  m:\n    huggingface_id: a/set\n    formats: {{safetensors: {{{fields}}}}}\n");
        machine.sandbox.write("configs/models.yaml", entry);
        let plan = machine.run("download m --dry-run --json").ok().json();
        let left_out = &plan["plans"][0]["left_out"];
        assert!(
            left_out.as_array().unwrap().iter().any(|file| file["repo_path"] == "notes.md" && file["reason"] == why),
            "{plan:#}"
        );
    }
}

#[test]
fn an_index_is_held_against_the_weights_before_anything_travels() {
    let machine = Machine::empty();
    let set = |name: &str, shards: &[&str], named: &[&str]| {
        let repo =
            shards.iter().fold(machine.hub.repo(name), |repo, shard| repo.lfs(shard, format!("{name} {shard}").into_bytes()));
        let map: serde_json::Map<String, serde_json::Value> =
            named.iter().map(|name| (format!("of {name}"), serde_json::json!(name))).collect();
        let index = serde_json::json!({ "weight_map": map }).to_string().into_bytes();
        repo.plain("model.safetensors.index.json", index).plain("config.json", "{}").commit();
    };
    let two = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    set("a/holed", &two, &[two[0], two[1], "model-extra.safetensors"]);
    for line in ["download a/holed --format safetensors --dry-run", "download a/holed --format safetensors"] {
        machine.run(line).code(3).says("model-extra.safetensors missing");
    }
    machine.assert_nothing_published();
    assert!(!machine.sandbox.models().join("a--holed").exists());
    let others: Vec<String> = (1..=4).map(|part| format!("model-{part:05}-of-00004.safetensors")).collect();
    set("a/cut", &two, &others.iter().map(String::as_str).collect::<Vec<_>>());
    let warning = "names shards that are not there; those that are there make a whole set";
    machine.run("download a/cut --format safetensors --dry-run").ok().prints(warning);
    let said = machine.run("download a/cut --format safetensors").ok();
    assert_eq!(said.stderr.matches(warning).count(), 1, "{said}");
    machine.run("verify a/cut --format safetensors").ok();
    // What it names is taken, whatever it is called, and what it does not name is left out.
    let more = [two[0], two[1], "model-00001-of-00001.safetensors", "mtp.safetensors"];
    set("a/more", &more, &[two[0], two[1], "mtp.safetensors"]);
    let plan = machine.run("download a/more --format safetensors --dry-run --json").ok().json()["plans"][0].clone();
    let files: Vec<&str> = plan["files"].as_array().unwrap().iter().filter_map(|file| file["file"].as_str()).collect();
    assert_eq!(files, ["config.json", two[0], two[1], "model.safetensors.index.json", "mtp.safetensors"]);
    let left_out = serde_json::json!([{"repo_path": more[2], "size": 39, "reason": "not named by the index of the weights"}]);
    assert_eq!(plan["left_out"], left_out);
    machine.run("lock a/more --format safetensors").ok();
    let locked = crate::lock::lock_text(&machine.sandbox.project());
    assert!(locked.contains("mtp.safetensors") && !locked.contains(more[2]), "{locked}");
    machine.run("download a/more --format safetensors").ok();
    machine.run("sync --locked").ok();
    machine.run("verify a/more --format safetensors").ok().prints("5 ok");
    set("a/odd", &two, &[]);
    machine.hub.repo("a/odd").plain("model.safetensors.index.json", "<html>").commit();
    machine.run("download a/odd --format safetensors --dry-run").code(4).says("is no index of weights");
}

#[test]
fn an_index_may_name_weights_in_other_folders_and_an_index_of_the_original_does_no_harm() {
    let machine = Machine::empty();
    let set = |name: &str, weights: &[&str], named: &[&str]| {
        let repo = weights.iter().fold(machine.hub.repo(name), |repo, file| repo.lfs(file, format!("{name} {file}").into_bytes()));
        let map: serde_json::Map<String, serde_json::Value> =
            named.iter().map(|name| (format!("of {name}"), serde_json::json!(name))).collect();
        let index = serde_json::json!({ "weight_map": map }).to_string().into_bytes();
        repo.plain("model.safetensors.index.json", index).plain("config.json", "{}").commit();
    };
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let original = ["model-00001-of-00009.safetensors", "model-00002-of-00009.safetensors"];
    let (parts, mixed) = (["parts/a.safetensors", "parts/b.safetensors"], [one, "more/model-00002-of-00002.safetensors"]);
    let quantized = ["output-00001-of-00002.safetensors", "output-00002-of-00002.safetensors"];
    let sets: [(&str, &[&str], &[&str]); 4] = [
        ("a/parts", &parts, &parts),
        ("a/mixed", &mixed, &mixed),
        ("a/quantized", &quantized, &original),
        ("a/merged", &["model.safetensors"], &original),
    ];
    for (name, weights, named) in sets {
        set(name, weights, named);
        machine.run(&format!("download {name} --format safetensors")).ok();
        machine.run(&format!("verify {name}")).ok().prints(&format!("{} ok", weights.len() + 2));
        machine.run(&format!("download {name} --format safetensors --offline")).ok();
    }
    // One that is named and here, and one that is not: then it is no other cut.
    set("a/half", &["model.safetensors"], &["model.safetensors", two]);
    machine.run("download a/half --format safetensors").code(3).says(two);
    set("a/outside", &["parts/a.safetensors"], &["../../a.safetensors"]);
    machine.run("download a/outside --format safetensors").code(3).says("incomplete");
}

#[test]
fn a_repository_without_a_set_is_refused_with_the_way_to_name_a_file() {
    let machine = Machine::empty();
    machine.hub.repo("a/lora").lfs("some_lora.safetensors", "weights").commit();
    machine.hub.repo("a/below").lfs("one/model.safetensors", "weights").plain("one/config.json", "{}").commit();
    for (repo, file) in [("a/lora", "some_lora.safetensors"), ("a/below", "one/model.safetensors")] {
        let name = format!("hf://{repo}/{file}");
        machine.run(&format!("download {repo}")).code(3).says(&format!("`model-manager download {name}`"));
        machine.run(&format!("download {name}")).ok();
        machine.run(&format!("verify {repo}")).ok().prints("1 ok");
    }
}

#[test]
fn a_file_that_is_there_and_of_no_known_format_is_not_said_to_be_missing() {
    let machine = Machine::empty();
    machine.hub.repo("a/set").lfs("model.safetensors", "weights").plain("config.json", "{}").commit();
    let again = "download hf://a/set/config.json --format safetensors";
    machine.run("download hf://a/set/config.json").code(2).says(&format!("`model-manager {again}`"));
    machine.run(again).ok();
    machine.run("download hf://a/set/nothing.json").code(3).says("no file and no folder nothing.json");
}

#[test]
fn weights_without_a_byte_are_refused() {
    let machine = Machine::empty();
    machine.hub.repo("a/empty").lfs("x.Q4_K_M.gguf", "").lfs("model.safetensors", "").plain("config.json", "{}").commit();
    machine.run("download a/empty").code(4).says("x.Q4_K_M.gguf").says("has no bytes");
    machine.run("download a/empty --format safetensors").code(4).says("has no bytes");
}

#[test]
fn a_view_keeps_its_place_when_its_label_is_another_now() {
    let machine = Machine::empty();
    machine.hub.repo("a/one").lfs("a.Q4_K_M.gguf", "one").commit();
    let path = "models/a--one/gguf/q4_k_m/a.Q4_K_M.gguf";
    assert_eq!(machine.run("download a/one").ok().last_line(), path);
    machine.hub.repo("a/one").lfs("a.Q4_K_M.gguf", "one").lfs("b.Q4_K_M.gguf", "two").commit();
    for line in ["download hf://a/one/a.Q4_K_M.gguf", "download a/one:q4_k_m", "download a/one:q4_k_m --force", "path a/one:q4_k_m"]
    {
        assert_eq!(machine.run(line).ok().last_line(), path, "{line}");
    }
    machine.run("lock a/one:q4_k_m").ok();
    machine.run("lock --update").ok();
    assert_eq!(machine.run("download a/one:b-q4_k_m").ok().last_line(), "models/a--one/gguf/b-q4_k_m/b.Q4_K_M.gguf");
}

#[test]
fn a_part_that_the_repository_lacks_is_named() {
    let machine = Machine::empty();
    machine.hub.repo("a/holes").lfs("x.Q4_K_M-00001-of-00002.gguf", "one").commit();
    machine.run("download a/holes:q4_k_m").code(3).says("x.Q4_K_M-00002-of-00002.gguf");
    machine.run("download hf://a/holes/x.Q4_K_M-00001-of-00002.gguf").code(3).says("x.Q4_K_M-00002-of-00002.gguf");
    assert!(!machine.sandbox.models().join("a--holes").exists());
}

#[test]
fn a_model_that_a_folder_names_is_locked_by_its_files() {
    let machine = Machine::empty();
    let repo = machine.hub.repo("a/twice");
    repo.lfs("one/x.Q4_K_M.gguf", "one").lfs("two/x.Q4_K_M.gguf", "two").commit();
    machine.run("download a/twice:q4_k_m").code(2).says("a/twice:one-q4_k_m").says("a/twice:two-q4_k_m");
    machine.run("lock hf://a/twice/two").ok();
    machine.run("sync").ok();
    let path = machine.sandbox.project().join("models/a--twice/gguf/two-q4_k_m/x.Q4_K_M.gguf");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "two");
    machine.run("lock --update").ok().prints("kept");
}
