//! `search`, the table of a repository, and the question of `download --choose`.

use crate::{
    kit::Machine,
    support::{gguf::Spec, hub::Fault, hub::Match},
};

fn machine() -> Machine {
    let machine = Machine::empty();
    let repo = machine.hub.repo("acme/Owl-7B-GGUF").license("mit").lfs("owl-7b.Q4_K_M.gguf", Spec::tiny().bytes());
    repo.lfs("owl-7b.Q8_0.gguf", Spec::mib(3).bytes()).lfs("mmproj-F16.gguf", "projector").commit();
    machine.hub.repo("acme/Owl-7B").lfs("model.safetensors", "weights").commit();
    machine.hub.repo("acme/Cat").lfs("cat.Q4_K_M.gguf", "cat").commit();
    machine.hub.repo("acme/Owl-secret").private().lfs("x.gguf", "x").commit();
    machine
}

#[test]
fn words_find_repositories_by_format_and_no_more_than_asked_for() {
    let machine = machine();
    let found = machine.run("search owl acme --json").ok().json();
    let repos: Vec<&str> = found["repositories"].as_array().unwrap().iter().map(|repo| repo["repo"].as_str().unwrap()).collect();
    assert_eq!(repos, ["acme/Owl-7B", "acme/Owl-7B-GGUF"]);
    assert_eq!((&found["repositories"][1]["has_gguf"], &found["repositories"][1]["license"]), (&true.into(), &"mit".into()));
    let lines = machine.run("search owl --format gguf").ok().stdout;
    assert_eq!(lines, "acme/Owl-7B-GGUF\t7.00B\t16\t1\t2026-01-01\tmit\n");
    assert_eq!(machine.run("search acme --limit 1").ok().stdout.lines().count(), 1);
    for sort in ["downloads", "likes", "updated", "trending"] {
        machine.run(&format!("search owl --sort {sort}")).ok();
    }
    machine.run("search nothing-is-called-so").ok().says("nothing that is called `nothing-is-called-so`");
}

#[test]
fn a_search_that_cannot_be_answered_says_why() {
    let machine = machine();
    machine.run("search owl --offline").code(6).says("offline");
    for line in ["search", "search owl --limit 0", "search owl --limit 1000", "search owl --sort size"] {
        machine.run(line).code(2);
    }
    machine.hub.fault(Match::api().always(), Fault::status(500));
    machine.run("search owl").code(6);
}

#[test]
fn a_repository_is_shown_with_size_bits_and_whether_each_fits() {
    let machine = machine();
    machine.run("download acme/Owl-7B-GGUF:q8_0").ok();
    let info = machine.run("info acme/Owl-7B-GGUF --json").ok().json();
    let labels = info["models"][0]["labels"].as_array().unwrap();
    let told: Vec<String> = labels
        .iter()
        .map(|label| format!("{} {} {} {}", label["label"], label["is_default"], label["present"], label["memory"]["verdict"]))
        .collect();
    assert_eq!(told, ["\"q4_k_m\" true false \"fits\"", "\"q8_0\" false true \"fits\"", "\"mmproj-f16\" false false null"]);
    assert!(labels[0]["bits_per_weight"].as_f64().unwrap() > 0.0, "{labels:?}");
    assert!(labels[2]["bits_per_weight"].is_null(), "{labels:?}");
    machine.run("info acme/Owl-7B-GGUF").ok().prints("BITS/WEIGHT").prints("fits");
}

#[test]
fn to_choose_takes_a_person() {
    let machine = machine();
    let refused = machine.run("download acme/Owl-7B-GGUF --choose").code(2);
    refused.says("takes a terminal").says("model-manager info acme/Owl-7B-GGUF");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("download acme/Owl-7B-GGUF --choose --quant q8_0").code(2);
}

#[test]
fn the_registry_says_of_each_model_whether_it_fits() {
    let info = Machine::empty().run("info --json").ok().json();
    let models = info["models"].as_array().unwrap();
    for model in models {
        let default: Vec<_> = model["forms"].as_array().unwrap().iter().filter(|form| form["is_default"] == true).collect();
        assert_eq!(default.len(), 1, "{}", model["model"]);
    }
    let small = models.iter().find(|model| model["model"] == "qwen3-4b").unwrap();
    let memory = &small["forms"][0]["memory"];
    assert_eq!((&memory["is_estimate"], &memory["weights_bytes"]), (&true.into(), &2_425_000_000u64.into()));
}
