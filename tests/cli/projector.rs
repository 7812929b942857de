//! `--mmproj`: the projector of a multimodal model beside the model itself.

use crate::kit::{MIB, Machine, assert_content, set_mode, shown};
use crate::lock::lock_text;
use crate::support::hub::Content;

const REPO: &str = "ggml-org/Seer-GGUF";
const MODEL: &str = "Seer.Q4_K_M.gguf";
const DIR: &str = "models/seer/gguf/q4_k_m";

/// A repository with three projectors, and a registry whose entry pins the model alone.
fn machine() -> Machine {
    let machine = Machine::empty();
    machine
        .hub
        .repo(REPO)
        .lfs(MODEL, Content::synthetic(2 * MIB + 5, 1))
        .lfs("Seer.Q8_0.gguf", Content::synthetic(MIB + 1, 2))
        .lfs("mmproj-Seer-F16.gguf", Content::synthetic(MIB + 9, 3))
        .lfs("mmproj-Seer-BF16.gguf", Content::synthetic(MIB + 11, 4))
        .lfs("mmproj-Seer-Q8_0.gguf", Content::synthetic(300_000, 5))
        .commit();
    machine.registry(&[crate::kit::entry(&machine.hub, "seer", REPO, &[("q4_k_m", MODEL), ("q8_0", "Seer.Q8_0.gguf")])]);
    machine
}

#[test]
fn a_projector_that_was_cut_is_told_as_gone_and_comes_again_where_it_is_asked_for() {
    let machine = machine();
    machine.run("download seer --mmproj").ok();
    let blob = machine.blob(&machine.hub.content(REPO, "mmproj-Seer-F16.gguf"));
    set_mode(&blob, 0o644);
    std::fs::File::options().write(true).open(&blob).unwrap().set_len(5).unwrap();
    machine.run("download seer").ok().says("mmproj-Seer-F16.gguf is gone from the store").says("--mmproj=mmproj-Seer-F16.gguf");
    assert_eq!(shown(&machine, DIR), [MODEL]);
    machine.run("download seer --mmproj").ok();
    assert_content(
        &machine.sandbox.project().join(DIR).join("mmproj-Seer-F16.gguf"),
        &machine.hub.content(REPO, "mmproj-Seer-F16.gguf"),
    );
    machine.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_projector_comes_with_the_model_and_the_path_stays_the_models() {
    let machine = machine();
    let output = machine.run("download seer --mmproj").ok().says("mmproj-Seer-F16.gguf was chosen");
    assert_eq!(output.last_line(), format!("{DIR}/{MODEL}"));
    assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_content(
        &machine.sandbox.project().join(DIR).join("mmproj-Seer-F16.gguf"),
        &machine.hub.content(REPO, "mmproj-Seer-F16.gguf"),
    );
    assert_eq!(machine.hub.count().api, 1, "the commit is pinned: one question for the files");
    machine.assert_tidy();

    assert_eq!(machine.run("path seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    machine.run("verify seer").ok().prints("2 ok");
    let listed = machine.run("list --json").ok().json();
    assert_eq!(listed["models"].as_array().map(Vec::len), Some(1), "{listed:#}");
    assert!(listed["models"][0]["path"].as_str().is_some_and(|path| path.ends_with(MODEL)), "{listed:#}");
    machine.run("info seer").ok().prints("q4_k_m");

    // Again, in both ways: nothing is asked and nothing changes.
    machine.hub.reset_counters();
    let before = machine.sandbox.tree();
    machine.run("download seer --mmproj").ok().says("already present");
    machine.run("download seer").ok().says("already present");
    machine.run("download seer --mmproj=f16").ok().says("already present");
    assert_eq!(machine.hub.count().total_requests(), 0);
    before.assert_same(&machine.sandbox.tree());

    machine.run("remove seer").ok();
    assert!(!machine.sandbox.project().join("models/seer").exists());
    machine.assert_tidy();
}

#[test]
fn a_view_without_one_is_completed_and_keeps_it() {
    let machine = machine();
    machine.run("download seer").ok();
    assert_eq!(shown(&machine, DIR), [MODEL]);
    machine.hub.reset_counters();
    let plan = machine.run("download seer --mmproj=mmproj-Seer-BF16.gguf --dry-run --json").ok().json();
    assert_eq!(plan["plans"][0]["download_bytes"], MIB + 11);
    machine.run("download seer --mmproj=mmproj-Seer-BF16.gguf").ok();
    assert_eq!(machine.hub.count().content_bytes(), MIB + 11, "the model does not travel again");
    assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-BF16.gguf"]);
    for line in ["download seer", "download seer --force", "download seer --revision main"] {
        assert_eq!(machine.run(line).ok().last_line(), format!("{DIR}/{MODEL}"));
        assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-BF16.gguf"], "{line}");
    }
    // Another one stands beside it.
    machine.run("download seer --mmproj=Q8_0").ok();
    assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-BF16.gguf", "mmproj-Seer-Q8_0.gguf"]);
    machine.assert_tidy();
    // The other quantization is another view.
    machine.run("download seer:q8_0").ok();
    assert_eq!(shown(&machine, "models/seer/gguf/q8_0"), ["Seer.Q8_0.gguf"]);
    machine.run("remove seer:q4_k_m").ok();
    machine.run("gc --grace 0s").ok();
    assert_eq!(shown(&machine, DIR), Vec::<String>::new());
    machine.assert_tidy();
}

#[test]
fn a_reference_takes_one_and_a_damaged_one_is_repaired() {
    let machine = machine();
    let output = machine.run(&format!("download {REPO} --mmproj=bf16")).ok();
    let dir = "models/ggml-org--Seer-GGUF/gguf/q4_k_m";
    assert_eq!(output.last_line(), format!("{dir}/{MODEL}"));
    assert_eq!(shown(&machine, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);
    machine.run(&format!("download hf://{REPO}/{MODEL}")).ok();
    assert_eq!(shown(&machine, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);

    let content = machine.hub.content(REPO, "mmproj-Seer-BF16.gguf");
    let blob = machine.blob(&content);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[7] ^= 1;
    set_mode(&blob, 0o644);
    std::fs::write(&blob, bytes).unwrap();
    machine.run("verify").code(4).prints("modified");
    machine.run("verify --repair").ok();
    assert_content(&machine.sandbox.project().join(dir).join("mmproj-Seer-BF16.gguf"), &content);
    machine.run("verify").ok().prints("2 ok");

    // One alone is what was asked for, and its own file is the path.
    let alone = machine.run(&format!("download hf://{REPO}/mmproj-Seer-F16.gguf")).ok();
    assert_eq!(alone.last_line(), "models/ggml-org--Seer-GGUF/gguf/mmproj-f16/mmproj-Seer-F16.gguf");
    assert_eq!(machine.run(&format!("path {REPO}:mmproj-f16")).ok().last_line(), alone.last_line());
}

#[test]
fn what_is_not_there_or_not_clear_is_answered_with_what_is() {
    let machine = machine();
    let before = machine.sandbox.tree();
    machine.run("download seer --mmproj=f64").code(3).says("no projector `f64`").says("mmproj-Seer-Q8_0.gguf");
    machine.hub.repo("a/blind").lfs("x.Q4_K_M.gguf", "x").commit();
    machine.run("download a/blind:q4_k_m --mmproj").code(3).says("no projector");
    machine.hub.repo("a/two").lfs("x.Q4_K_M.gguf", "x").lfs("mmproj-a-f16.gguf", "a").lfs("mmproj-b-f16.gguf", "b").commit();
    machine.run("download a/two --mmproj").code(2).says("mmproj-a-f16.gguf, mmproj-b-f16.gguf").says("--mmproj=mmproj-a-f16.gguf");
    machine.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    machine.run("download a/set --format safetensors --mmproj").code(2).says("no GGUF model");
    machine.run("download seer --mmproj --offline").code(6).says("hint: ");
    before.assert_same(&machine.sandbox.tree());
}

#[test]
fn a_registry_may_list_one_itself() {
    let machine = machine();
    let files: String = [MODEL, "mmproj-Seer-F16.gguf"].map(|name| format!("            - \"{name}\"\n")).concat();
    machine.sandbox.write(
        "configs/models.yaml",
        format!("models:\n  seer:\n    huggingface_id: \"{REPO}\"\n    formats:\n      gguf:\n        q4_k_m:\n          files:\n{files}"),
    );
    assert_eq!(machine.run("download seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_eq!(machine.run("path seer:q4_k_m").ok().last_line(), format!("{DIR}/{MODEL}"));
    machine.hub.reset_counters();
    machine.run("download seer --mmproj").ok().says("already present");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("verify seer").ok().prints("2 ok");
    let info = machine.run("info seer --json").ok().json();
    let form = &info["models"][0]["forms"][0];
    assert_eq!((form["files"].as_array().map(Vec::len), form["present"].as_bool()), (Some(2), Some(true)), "{info:#}");
    machine.run("use seer --backend llama_cpp").ok().prints(&format!("{DIR}/{MODEL}"));
    machine.run("remove seer").ok();
    machine.assert_tidy();
}

#[test]
fn a_lock_file_holds_the_projector_that_is_here_and_sync_makes_it_elsewhere() {
    let machine = machine();
    machine.run("download seer --mmproj").ok();
    machine.hub.reset_counters();
    machine.run("lock").ok();
    assert_eq!(machine.hub.count().total_requests(), 0, "all is known here");
    let locked = std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap();
    assert!(locked.contains(MODEL) && locked.contains("mmproj-Seer-F16.gguf"), "{locked}");
    machine.run("lock").ok();
    assert_eq!(std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap(), locked);

    machine.run("remove seer").ok();
    machine.run("sync").ok();
    assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_eq!(machine.run("path seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    machine.assert_tidy();
}

#[test]
fn a_lock_keeps_a_projector_that_the_registry_does_not_name() {
    for lock_first in [false, true] {
        let machine = machine();
        if lock_first {
            machine.run("lock seer").ok();
        }
        machine.run("download seer --mmproj").ok();
        machine.hub.reset_counters();
        machine.run("lock").ok().prints(if lock_first { "changed" } else { "added" });
        assert_eq!(machine.hub.count().total_requests(), 0, "what is here says of which commit it is");
        assert!(lock_text(&machine.sandbox.project()).contains("      - path: \"mmproj-Seer-F16.gguf\"\n"));
        let text = lock_text(&machine.sandbox.project());
        for line in ["lock --check", "lock", "lock seer", "lock --update", "sync", "sync --locked --prune", "lock --check"] {
            machine.run(line).ok();
            assert_eq!(lock_text(&machine.sandbox.project()), text, "{line}");
            assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-F16.gguf"], "{line}");
        }
        // Where nothing is here, what was locked is all that tells of it.
        machine.run("remove seer").ok();
        machine.run("lock --update").ok();
        assert_eq!(lock_text(&machine.sandbox.project()), text);
        machine.registry(&[crate::kit::open_entry("seer", REPO, &[("q4_k_m", MODEL)])]);
        machine.run("lock").ok().prints("changed").prints("the registry follows main");
        assert!(lock_text(&machine.sandbox.project()).contains("mmproj-Seer-F16.gguf"), "locked anew, with it");
        machine.run("sync --locked").ok();
        assert_eq!(shown(&machine, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
        machine.assert_tidy();
    }
}

#[test]
fn a_projector_moves_with_its_branch_and_its_end_is_told() {
    let machine = machine();
    machine.run(&format!("download {REPO}:q4_k_m --mmproj=bf16")).ok();
    machine.run("lock").ok();
    let dir = "models/ggml-org--Seer-GGUF/gguf/q4_k_m";
    let newer = Content::synthetic(MIB + 13, 14);
    machine.hub.repo(REPO).lfs(MODEL, Content::synthetic(2 * MIB + 5, 11)).lfs("mmproj-Seer-BF16.gguf", newer.clone()).commit();
    machine.run("lock --update").ok().prints("moved").prints("changed  mmproj-Seer-BF16.gguf");
    machine.run("sync --locked").ok();
    assert_content(&machine.sandbox.project().join(dir).join("mmproj-Seer-BF16.gguf"), &newer);
    machine.run("lock --check").ok();

    machine.hub.repo(REPO).lfs(MODEL, Content::synthetic(2 * MIB + 5, 12)).remove("mmproj-Seer-BF16.gguf").commit();
    // A download keeps it, and does not say that it is of the new commit.
    machine.run(&format!("download {REPO}:q4_k_m --revision main")).ok();
    assert_eq!(shown(&machine, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);
    let lock_file = machine.sandbox.project().join(crate::lock::LOCK);
    let before = std::fs::read(&lock_file).unwrap();
    std::fs::remove_file(&lock_file).unwrap();
    machine.run("lock").ok().prints("what is here is not what is locked");
    let lock = lock_text(&machine.sandbox.project());
    assert!(lock.contains(&machine.hub.commit(REPO)) && !lock.contains("mmproj"), "{lock}");
    std::fs::write(&lock_file, before).unwrap();
    machine.run("lock --update").ok().prints("moved").prints("has no mmproj-Seer-BF16.gguf any more");
    let lock = lock_text(&machine.sandbox.project());
    assert!(lock.contains(&machine.hub.commit(REPO)) && !lock.contains("mmproj"), "{lock}");
    machine.run("sync --locked").ok();
    assert_eq!(shown(&machine, dir), [MODEL]);
}

fn registry(machine: &Machine) -> String {
    std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap()
}

/// A file as a registry entry of several lists it.
fn listed(machine: &Machine, name: &str) -> String {
    let content = machine.hub.content(REPO, name);
    let (size, sha256) = (content.len(), content.sha256());
    format!("            - path: \"{name}\"\n              size: {size}\n              sha256: \"{sha256}\"\n")
}

#[test]
fn an_added_model_has_its_projector_in_the_registry_and_comes_with_it() {
    let machine = machine();
    let before = registry(&machine);
    let output = machine.run(&format!("add {REPO}:q4_k_m --id eye")).ok();
    output
        .prints("  mmproj   mmproj-Seer-F16.gguf")
        .says("the projector mmproj-Seer-F16.gguf goes with it; `--no-mmproj` leaves it out");
    let (commit, files) = (machine.hub.commit(REPO), listed(&machine, MODEL) + &listed(&machine, "mmproj-Seer-F16.gguf"));
    let entry = format!(
        "\n  eye:\n    huggingface_id: \"{REPO}\"\n    revision: \"{commit}\"\n    formats:\n      gguf:\n        q4_k_m:\n          files:\n{files}"
    );
    assert_eq!(registry(&machine), before + &entry);
    machine.run("lint").ok();
    machine.run("lint --online").ok();

    machine.hub.reset_counters();
    let dir = "models/eye/gguf/q4_k_m";
    assert_eq!(machine.run("download eye").ok().last_line(), format!("{dir}/{MODEL}"));
    assert_eq!(machine.hub.count().api, 0, "all is pinned");
    assert_eq!(shown(&machine, dir), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_content(
        &machine.sandbox.project().join(dir).join("mmproj-Seer-F16.gguf"),
        &machine.hub.content(REPO, "mmproj-Seer-F16.gguf"),
    );
    machine.run("lock").ok();
    machine.run("lock --check").ok();
    machine.run("verify").ok().prints("2 ok");
    machine.assert_tidy();

    // Another quantization of it: the same projector, which is here already.
    let json = machine.run(&format!("add {REPO}:q8_0 --id eye --json")).ok().json()["models"][0].clone();
    let projectors: Vec<_> = json["projectors"].as_array().unwrap().iter().map(|file| &file["repo_path"]).collect();
    assert_eq!(projectors, ["mmproj-Seer-F16.gguf"]);
    assert_eq!(json["total_bytes"], 2 * (MIB + 5), "the model and its projector");
    machine.hub.reset_counters();
    machine.run("download eye:q8_0").ok();
    assert_eq!(machine.hub.count().content_bytes(), MIB + 1);
    assert_eq!(shown(&machine, "models/eye/gguf/q8_0"), ["Seer.Q8_0.gguf", "mmproj-Seer-F16.gguf"]);
}

#[test]
fn whoever_adds_a_model_may_choose_its_projector_or_none() {
    let machine = machine();
    let text = |line: &str| {
        let before = registry(&machine);
        machine.run(line).ok();
        registry(&machine).strip_prefix(&before).unwrap().to_owned()
    };
    let none = text(&format!("add {REPO}:q4_k_m --id none --no-mmproj"));
    assert!(none.contains(&format!("file: \"{MODEL}\"")) && !none.contains("mmproj"), "{none}");
    let bf16 = text(&format!("add hf://{REPO}/{MODEL} --id bf16 --mmproj=BF16"));
    assert!(bf16.contains(&listed(&machine, "mmproj-Seer-BF16.gguf")) && bf16.matches("mmproj-Seer").count() == 1, "{bf16}");
    let best = text(&format!("add {REPO}:q4_k_m --id best --mmproj"));
    assert!(best.contains(&listed(&machine, "mmproj-Seer-F16.gguf")), "{best}");
    // A projector alone is what was asked for.
    let alone = text(&format!("add hf://{REPO}/mmproj-Seer-F16.gguf --id alone"));
    assert!(alone.contains("file: \"mmproj-Seer-F16.gguf\"") && alone.matches("gguf\"").count() == 1, "{alone}");
    assert_eq!(
        machine.run(&format!("add hf://{REPO}/mmproj-Seer-F16.gguf --id one --dry-run --json")).ok().json()["models"][0]["projectors"],
        serde_json::json!([])
    );

    let before = machine.sandbox.tree();
    machine.run(&format!("add {REPO}:q4_k_m --id x --mmproj=f64")).code(3).says("no projector `f64`").says("mmproj-Seer-Q8_0.gguf");
    machine.run(&format!("add {REPO} --id x --mmproj=f64")).code(3).says("no projector `f64`");
    machine.run(&format!("add {REPO}:q4_k_m --id x --mmproj --no-mmproj")).code(2);
    machine.run("add seer:q4_k_m --update --mmproj").code(2);
    machine.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    machine.run("add a/set --format safetensors --mmproj").code(2).says("no GGUF model");
    machine.run("add a/set --mmproj").code(3).says("hint: ");
    before.assert_same(&machine.sandbox.tree());
    assert_eq!(machine.run("add a/set --id set --json").ok().json()["models"][0]["projectors"], serde_json::json!([]));
}

#[test]
fn a_projector_is_added_only_where_it_is_clear_which_goes_with_the_model() {
    let machine = machine();
    machine.hub.repo("a/two").lfs("x.Q4_K_M.gguf", "x").lfs("mmproj-a-f16.gguf", "a").lfs("mmproj-b-f16.gguf", "b").commit();
    machine
        .run("add a/two")
        .ok()
        .says("no projector goes with it: 2 projectors")
        .says("mmproj-a-f16.gguf, mmproj-b-f16.gguf")
        .says("--mmproj=NAME");
    assert!(!registry(&machine).contains("mmproj"));
    machine.run("add a/two --id chosen --mmproj=mmproj-b-f16.gguf").ok();
    assert!(registry(&machine).contains("mmproj-b-f16.gguf"));

    // In another folder it may be that of another model; the root's is for all.
    let many = machine.hub.repo("a/many").lfs("a/a.Q4_K_M.gguf", "1").lfs("a/mmproj-BF16.gguf", "2").lfs("b/b.Q8_0.gguf", "3");
    many.lfs("c/mmproj-F16.gguf", "4").commit();
    let projectors = |line: &str| -> Vec<String> {
        let added = machine.run(&format!("add {line} --dry-run --json")).ok().json()["models"][0].clone();
        let path = |file: &serde_json::Value| file["repo_path"].as_str().unwrap().to_owned();
        added["projectors"].as_array().unwrap().iter().map(path).collect()
    };
    assert_eq!(projectors("a/many:q4_k_m"), ["a/mmproj-BF16.gguf"]);
    assert!(projectors("a/many:q8_0").is_empty());
    machine.hub.repo("a/many").lfs("mmproj-F32.gguf", "5").commit();
    assert_eq!(projectors("a/many:q8_0"), ["mmproj-F32.gguf"]);
    machine.hub.repo("a/many").lfs("mmproj-F16.gguf", "6").commit();
    assert_eq!(projectors("a/many:q8_0"), ["mmproj-F16.gguf"]);
    assert_eq!(projectors("a/many:q4_k_m"), ["a/mmproj-BF16.gguf"], "its own folder's before the root's");
}

#[test]
fn an_entry_that_is_pinned_anew_keeps_the_projectors_that_it_has() {
    let machine = machine();
    machine.run(&format!("add {REPO}:q4_k_m --id eye --mmproj=bf16")).ok();
    let newer = Content::synthetic(MIB + 13, 14);
    machine.hub.repo(REPO).lfs("mmproj-Seer-BF16.gguf", newer.clone()).lfs("Seer.Q8_0.gguf", Content::synthetic(MIB, 12)).commit();
    // By its id, and by its repository, it is the same entry.
    machine.run("add eye --update").ok().prints("Updated eye:q4_k_m").prints("  mmproj   mmproj-Seer-BF16.gguf");
    assert!(registry(&machine).contains(newer.sha256()));
    for line in [format!("add {REPO}:q4_k_m --id eye --update"), format!("add {REPO} --id eye --update")] {
        machine.run(&line).ok().prints("Unchanged: eye:q4_k_m");
    }
    // One that names none gets none.
    machine.run("add seer:q8_0 --update").ok().prints("Updated seer:q8_0");
    machine.run(&format!("add {REPO}:q8_0 --id seer --update")).ok().prints("Unchanged: seer:q8_0");
    assert_eq!(registry(&machine).matches("mmproj").count(), 1, "{}", registry(&machine));
}
