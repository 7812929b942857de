//! `--mmproj`: the projector of a multimodal model beside the model itself.

use crate::kit::{Desk, MIB, assert_content, set_mode, shown};
use crate::lock::lock_text;
use crate::support::hub::Content;

const REPO: &str = "ggml-org/Seer-GGUF";
const MODEL: &str = "Seer.Q4_K_M.gguf";
const DIR: &str = "models/seer/gguf/q4_k_m";

/// A repository with three projectors, and a registry whose entry pins the model alone.
fn desk() -> Desk {
    let desk = Desk::empty();
    desk.hub
        .repo(REPO)
        .lfs(MODEL, Content::synthetic(2 * MIB + 5, 1))
        .lfs("Seer.Q8_0.gguf", Content::synthetic(MIB + 1, 2))
        .lfs("mmproj-Seer-F16.gguf", Content::synthetic(MIB + 9, 3))
        .lfs("mmproj-Seer-BF16.gguf", Content::synthetic(MIB + 11, 4))
        .lfs("mmproj-Seer-Q8_0.gguf", Content::synthetic(300_000, 5))
        .commit();
    desk.registry(&[crate::kit::entry(&desk.hub, "seer", REPO, &[("q4_k_m", MODEL), ("q8_0", "Seer.Q8_0.gguf")])]);
    desk
}

#[test]
fn a_projector_that_was_cut_is_told_as_gone_and_comes_again_where_it_is_asked_for() {
    let desk = desk();
    desk.run("download seer --mmproj").ok();
    let blob = desk.blob(&desk.hub.content(REPO, "mmproj-Seer-F16.gguf"));
    set_mode(&blob, 0o644);
    std::fs::File::options().write(true).open(&blob).unwrap().set_len(5).unwrap();
    desk.run("download seer").ok().says("mmproj-Seer-F16.gguf is gone from the store").says("--mmproj=mmproj-Seer-F16.gguf");
    assert_eq!(shown(&desk, DIR), [MODEL]);
    desk.run("download seer --mmproj").ok();
    assert_content(&desk.s.project().join(DIR).join("mmproj-Seer-F16.gguf"), &desk.hub.content(REPO, "mmproj-Seer-F16.gguf"));
    desk.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_projector_comes_with_the_model_and_the_path_stays_the_models() {
    let desk = desk();
    let output = desk.run("download seer --mmproj").ok().says("mmproj-Seer-F16.gguf was chosen");
    assert_eq!(output.last_line(), format!("{DIR}/{MODEL}"));
    assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_content(&desk.s.project().join(DIR).join("mmproj-Seer-F16.gguf"), &desk.hub.content(REPO, "mmproj-Seer-F16.gguf"));
    assert_eq!(desk.hub.count().api, 1, "the commit is pinned: one question for the files");
    desk.assert_tidy();

    assert_eq!(desk.run("path seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    desk.run("verify seer").ok().prints("2 ok");
    let listed = desk.run("list --json").ok().json();
    assert_eq!(listed["models"].as_array().map(Vec::len), Some(1), "{listed:#}");
    assert!(listed["models"][0]["path"].as_str().is_some_and(|path| path.ends_with(MODEL)), "{listed:#}");
    desk.run("info seer").ok().prints("q4_k_m");

    // Again, in both ways: nothing is asked and nothing changes.
    desk.hub.reset_counters();
    let before = desk.s.tree();
    desk.run("download seer --mmproj").ok().says("already present");
    desk.run("download seer").ok().says("already present");
    desk.run("download seer --mmproj=f16").ok().says("already present");
    assert_eq!(desk.hub.count().total_requests(), 0);
    before.assert_same(&desk.s.tree());

    desk.run("remove seer").ok();
    assert!(!desk.s.project().join("models/seer").exists());
    desk.assert_tidy();
}

#[test]
fn a_view_without_one_is_completed_and_keeps_it() {
    let desk = desk();
    desk.run("download seer").ok();
    assert_eq!(shown(&desk, DIR), [MODEL]);
    desk.hub.reset_counters();
    let plan = desk.run("download seer --mmproj=mmproj-Seer-BF16.gguf --dry-run --json").ok().json();
    assert_eq!(plan["plans"][0]["download_bytes"], MIB + 11);
    desk.run("download seer --mmproj=mmproj-Seer-BF16.gguf").ok();
    assert_eq!(desk.hub.count().content_bytes(), MIB + 11, "the model does not travel again");
    assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-BF16.gguf"]);
    for line in ["download seer", "download seer --force", "download seer --revision main"] {
        assert_eq!(desk.run(line).ok().last_line(), format!("{DIR}/{MODEL}"));
        assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-BF16.gguf"], "{line}");
    }
    // Another one stands beside it.
    desk.run("download seer --mmproj=Q8_0").ok();
    assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-BF16.gguf", "mmproj-Seer-Q8_0.gguf"]);
    desk.assert_tidy();
    // The other quantization is another view.
    desk.run("download seer:q8_0").ok();
    assert_eq!(shown(&desk, "models/seer/gguf/q8_0"), ["Seer.Q8_0.gguf"]);
    desk.run("remove seer:q4_k_m").ok();
    desk.run("gc --grace 0s").ok();
    assert_eq!(shown(&desk, DIR), Vec::<String>::new());
    desk.assert_tidy();
}

#[test]
fn a_reference_takes_one_and_a_damaged_one_is_repaired() {
    let desk = desk();
    let output = desk.run(&format!("download {REPO} --mmproj=bf16")).ok();
    let dir = "models/ggml-org--Seer-GGUF/gguf/q4_k_m";
    assert_eq!(output.last_line(), format!("{dir}/{MODEL}"));
    assert_eq!(shown(&desk, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);
    desk.run(&format!("download hf://{REPO}/{MODEL}")).ok();
    assert_eq!(shown(&desk, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);

    let content = desk.hub.content(REPO, "mmproj-Seer-BF16.gguf");
    let blob = desk.blob(&content);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[7] ^= 1;
    set_mode(&blob, 0o644);
    std::fs::write(&blob, bytes).unwrap();
    desk.run("verify").code(4).prints("modified");
    desk.run("verify --repair").ok();
    assert_content(&desk.s.project().join(dir).join("mmproj-Seer-BF16.gguf"), &content);
    desk.run("verify").ok().prints("2 ok");

    // One alone is what was asked for, and its own file is the path.
    let alone = desk.run(&format!("download hf://{REPO}/mmproj-Seer-F16.gguf")).ok();
    assert_eq!(alone.last_line(), "models/ggml-org--Seer-GGUF/gguf/mmproj-f16/mmproj-Seer-F16.gguf");
    assert_eq!(desk.run(&format!("path {REPO}:mmproj-f16")).ok().last_line(), alone.last_line());
}

#[test]
fn what_is_not_there_or_not_clear_is_answered_with_what_is() {
    let desk = desk();
    let before = desk.s.tree();
    desk.run("download seer --mmproj=f64").code(3).says("no projector `f64`").says("mmproj-Seer-Q8_0.gguf");
    desk.hub.repo("a/blind").lfs("x.Q4_K_M.gguf", "x").commit();
    desk.run("download a/blind:q4_k_m --mmproj").code(3).says("no projector");
    desk.hub.repo("a/two").lfs("x.Q4_K_M.gguf", "x").lfs("mmproj-a-f16.gguf", "a").lfs("mmproj-b-f16.gguf", "b").commit();
    desk.run("download a/two --mmproj").code(2).says("mmproj-a-f16.gguf, mmproj-b-f16.gguf").says("--mmproj=mmproj-a-f16.gguf");
    desk.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    desk.run("download a/set --format safetensors --mmproj").code(2).says("no GGUF model");
    desk.run("download seer --mmproj --offline").code(6).says("hint: ");
    before.assert_same(&desk.s.tree());
}

#[test]
fn a_registry_may_list_one_itself() {
    let desk = desk();
    let files: String = [MODEL, "mmproj-Seer-F16.gguf"].map(|name| format!("            - \"{name}\"\n")).concat();
    desk.s.write(
        "configs/models.yaml",
        format!("models:\n  seer:\n    huggingface_id: \"{REPO}\"\n    formats:\n      gguf:\n        q4_k_m:\n          files:\n{files}"),
    );
    assert_eq!(desk.run("download seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_eq!(desk.run("path seer:q4_k_m").ok().last_line(), format!("{DIR}/{MODEL}"));
    desk.hub.reset_counters();
    desk.run("download seer --mmproj").ok().says("already present");
    assert_eq!(desk.hub.count().total_requests(), 0);
    desk.run("verify seer").ok().prints("2 ok");
    let info = desk.run("info seer --json").ok().json();
    let form = &info["models"][0]["forms"][0];
    assert_eq!((form["files"].as_array().map(Vec::len), form["present"].as_bool()), (Some(2), Some(true)), "{info:#}");
    desk.run("use seer --backend llama_cpp").ok().prints(&format!("{DIR}/{MODEL}"));
    desk.run("remove seer").ok();
    desk.assert_tidy();
}

#[test]
fn a_lock_file_holds_the_projector_that_is_here_and_sync_makes_it_elsewhere() {
    let desk = desk();
    desk.run("download seer --mmproj").ok();
    desk.hub.reset_counters();
    desk.run("lock").ok();
    assert_eq!(desk.hub.count().total_requests(), 0, "all is known here");
    let locked = std::fs::read_to_string(desk.s.project().join("configs/models.lock")).unwrap();
    assert!(locked.contains(MODEL) && locked.contains("mmproj-Seer-F16.gguf"), "{locked}");
    desk.run("lock").ok();
    assert_eq!(std::fs::read_to_string(desk.s.project().join("configs/models.lock")).unwrap(), locked);

    desk.run("remove seer").ok();
    desk.run("sync").ok();
    assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_eq!(desk.run("path seer").ok().last_line(), format!("{DIR}/{MODEL}"));
    desk.assert_tidy();
}

#[test]
fn a_lock_keeps_a_projector_that_the_registry_does_not_name() {
    for lock_first in [false, true] {
        let desk = desk();
        if lock_first {
            desk.run("lock seer").ok();
        }
        desk.run("download seer --mmproj").ok();
        desk.hub.reset_counters();
        desk.run("lock").ok().prints(if lock_first { "changed" } else { "added" });
        assert_eq!(desk.hub.count().total_requests(), 0, "what is here says of which commit it is");
        assert!(lock_text(&desk.s.project()).contains("      - path: \"mmproj-Seer-F16.gguf\"\n"));
        let text = lock_text(&desk.s.project());
        for line in ["lock --check", "lock", "lock seer", "lock --update", "sync", "sync --locked --prune", "lock --check"] {
            desk.run(line).ok();
            assert_eq!(lock_text(&desk.s.project()), text, "{line}");
            assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-F16.gguf"], "{line}");
        }
        // Where nothing is here, what was locked is all that tells of it.
        desk.run("remove seer").ok();
        desk.run("lock --update").ok();
        assert_eq!(lock_text(&desk.s.project()), text);
        desk.registry(&[crate::kit::open_entry("seer", REPO, &[("q4_k_m", MODEL)])]);
        desk.run("lock").ok().prints("changed").prints("the registry follows main");
        assert!(lock_text(&desk.s.project()).contains("mmproj-Seer-F16.gguf"), "locked anew, with it");
        desk.run("sync --locked").ok();
        assert_eq!(shown(&desk, DIR), [MODEL, "mmproj-Seer-F16.gguf"]);
        desk.assert_tidy();
    }
}

#[test]
fn a_projector_moves_with_its_branch_and_its_end_is_told() {
    let desk = desk();
    desk.run(&format!("download {REPO}:q4_k_m --mmproj=bf16")).ok();
    desk.run("lock").ok();
    let dir = "models/ggml-org--Seer-GGUF/gguf/q4_k_m";
    let newer = Content::synthetic(MIB + 13, 14);
    desk.hub.repo(REPO).lfs(MODEL, Content::synthetic(2 * MIB + 5, 11)).lfs("mmproj-Seer-BF16.gguf", newer.clone()).commit();
    desk.run("lock --update").ok().prints("moved").prints("changed  mmproj-Seer-BF16.gguf");
    desk.run("sync --locked").ok();
    assert_content(&desk.s.project().join(dir).join("mmproj-Seer-BF16.gguf"), &newer);
    desk.run("lock --check").ok();

    desk.hub.repo(REPO).lfs(MODEL, Content::synthetic(2 * MIB + 5, 12)).remove("mmproj-Seer-BF16.gguf").commit();
    // A download keeps it, and does not say that it is of the new commit.
    desk.run(&format!("download {REPO}:q4_k_m --revision main")).ok();
    assert_eq!(shown(&desk, dir), [MODEL, "mmproj-Seer-BF16.gguf"]);
    let lock_file = desk.s.project().join(crate::lock::LOCK);
    let before = std::fs::read(&lock_file).unwrap();
    std::fs::remove_file(&lock_file).unwrap();
    desk.run("lock").ok().prints("what is here is not what is locked");
    let lock = lock_text(&desk.s.project());
    assert!(lock.contains(&desk.hub.commit(REPO)) && !lock.contains("mmproj"), "{lock}");
    std::fs::write(&lock_file, before).unwrap();
    desk.run("lock --update").ok().prints("moved").prints("has no mmproj-Seer-BF16.gguf any more");
    let lock = lock_text(&desk.s.project());
    assert!(lock.contains(&desk.hub.commit(REPO)) && !lock.contains("mmproj"), "{lock}");
    desk.run("sync --locked").ok();
    assert_eq!(shown(&desk, dir), [MODEL]);
}

fn registry(desk: &Desk) -> String {
    std::fs::read_to_string(desk.s.project().join("configs/models.yaml")).unwrap()
}

/// A file as a registry entry of several lists it.
fn listed(desk: &Desk, name: &str) -> String {
    let content = desk.hub.content(REPO, name);
    let (size, sha256) = (content.len(), content.sha256());
    format!("            - path: \"{name}\"\n              size: {size}\n              sha256: \"{sha256}\"\n")
}

#[test]
fn an_added_model_has_its_projector_in_the_registry_and_comes_with_it() {
    let desk = desk();
    let before = registry(&desk);
    let output = desk.run(&format!("add {REPO}:q4_k_m --id eye")).ok();
    output
        .prints("  mmproj   mmproj-Seer-F16.gguf")
        .says("the projector mmproj-Seer-F16.gguf goes with it; `--no-mmproj` leaves it out");
    let (commit, files) = (desk.hub.commit(REPO), listed(&desk, MODEL) + &listed(&desk, "mmproj-Seer-F16.gguf"));
    let entry = format!(
        "\n  eye:\n    huggingface_id: \"{REPO}\"\n    revision: \"{commit}\"\n    formats:\n      gguf:\n        q4_k_m:\n          files:\n{files}"
    );
    assert_eq!(registry(&desk), before + &entry);
    desk.run("lint").ok();
    desk.run("lint --online").ok();

    desk.hub.reset_counters();
    let dir = "models/eye/gguf/q4_k_m";
    assert_eq!(desk.run("download eye").ok().last_line(), format!("{dir}/{MODEL}"));
    assert_eq!(desk.hub.count().api, 0, "all is pinned");
    assert_eq!(shown(&desk, dir), [MODEL, "mmproj-Seer-F16.gguf"]);
    assert_content(&desk.s.project().join(dir).join("mmproj-Seer-F16.gguf"), &desk.hub.content(REPO, "mmproj-Seer-F16.gguf"));
    desk.run("lock").ok();
    desk.run("lock --check").ok();
    desk.run("verify").ok().prints("2 ok");
    desk.assert_tidy();

    // Another quantization of it: the same projector, which is here already.
    let json = desk.run(&format!("add {REPO}:q8_0 --id eye --json")).ok().json();
    let projectors: Vec<_> = json["projectors"].as_array().unwrap().iter().map(|file| &file["repo_path"]).collect();
    assert_eq!(projectors, ["mmproj-Seer-F16.gguf"]);
    assert_eq!(json["total_bytes"], 2 * (MIB + 5), "the model and its projector");
    desk.hub.reset_counters();
    desk.run("download eye:q8_0").ok();
    assert_eq!(desk.hub.count().content_bytes(), MIB + 1);
    assert_eq!(shown(&desk, "models/eye/gguf/q8_0"), ["Seer.Q8_0.gguf", "mmproj-Seer-F16.gguf"]);
}

#[test]
fn whoever_adds_a_model_may_choose_its_projector_or_none() {
    let desk = desk();
    let text = |line: &str| {
        let before = registry(&desk);
        desk.run(line).ok();
        registry(&desk).strip_prefix(&before).unwrap().to_owned()
    };
    let none = text(&format!("add {REPO}:q4_k_m --id none --no-mmproj"));
    assert!(none.contains(&format!("file: \"{MODEL}\"")) && !none.contains("mmproj"), "{none}");
    let bf16 = text(&format!("add hf://{REPO}/{MODEL} --id bf16 --mmproj=BF16"));
    assert!(bf16.contains(&listed(&desk, "mmproj-Seer-BF16.gguf")) && bf16.matches("mmproj-Seer").count() == 1, "{bf16}");
    let best = text(&format!("add {REPO}:q4_k_m --id best --mmproj"));
    assert!(best.contains(&listed(&desk, "mmproj-Seer-F16.gguf")), "{best}");
    // A projector alone is what was asked for.
    let alone = text(&format!("add hf://{REPO}/mmproj-Seer-F16.gguf --id alone"));
    assert!(alone.contains("file: \"mmproj-Seer-F16.gguf\"") && alone.matches("gguf\"").count() == 1, "{alone}");
    assert_eq!(
        desk.run(&format!("add hf://{REPO}/mmproj-Seer-F16.gguf --id one --dry-run --json")).ok().json()["projectors"],
        serde_json::json!([])
    );

    let before = desk.s.tree();
    desk.run(&format!("add {REPO}:q4_k_m --id x --mmproj=f64")).code(3).says("no projector `f64`").says("mmproj-Seer-Q8_0.gguf");
    desk.run(&format!("add {REPO} --id x --mmproj=f64")).code(3).says("no projector `f64`");
    desk.run(&format!("add {REPO}:q4_k_m --id x --mmproj --no-mmproj")).code(2);
    desk.run("add seer:q4_k_m --update --mmproj").code(2);
    desk.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    desk.run("add a/set --format safetensors --mmproj").code(2).says("no GGUF model");
    desk.run("add a/set --mmproj").code(3).says("hint: ");
    before.assert_same(&desk.s.tree());
    assert_eq!(desk.run("add a/set --id set --json").ok().json()["projectors"], serde_json::json!([]));
}

#[test]
fn a_projector_is_added_only_where_it_is_clear_which_goes_with_the_model() {
    let desk = desk();
    desk.hub.repo("a/two").lfs("x.Q4_K_M.gguf", "x").lfs("mmproj-a-f16.gguf", "a").lfs("mmproj-b-f16.gguf", "b").commit();
    desk.run("add a/two")
        .ok()
        .says("no projector goes with it: 2 projectors")
        .says("mmproj-a-f16.gguf, mmproj-b-f16.gguf")
        .says("--mmproj=NAME");
    assert!(!registry(&desk).contains("mmproj"));
    desk.run("add a/two --id chosen --mmproj=mmproj-b-f16.gguf").ok();
    assert!(registry(&desk).contains("mmproj-b-f16.gguf"));

    // In another folder it may be that of another model; the root's is for all.
    let many = desk.hub.repo("a/many").lfs("a/a.Q4_K_M.gguf", "1").lfs("a/mmproj-BF16.gguf", "2").lfs("b/b.Q8_0.gguf", "3");
    many.lfs("c/mmproj-F16.gguf", "4").commit();
    let projectors = |line: &str| -> Vec<String> {
        let added = desk.run(&format!("add {line} --dry-run --json")).ok().json();
        let path = |file: &serde_json::Value| file["repo_path"].as_str().unwrap().to_owned();
        added["projectors"].as_array().unwrap().iter().map(path).collect()
    };
    assert_eq!(projectors("a/many:q4_k_m"), ["a/mmproj-BF16.gguf"]);
    assert!(projectors("a/many:q8_0").is_empty());
    desk.hub.repo("a/many").lfs("mmproj-F32.gguf", "5").commit();
    assert_eq!(projectors("a/many:q8_0"), ["mmproj-F32.gguf"]);
    desk.hub.repo("a/many").lfs("mmproj-F16.gguf", "6").commit();
    assert_eq!(projectors("a/many:q8_0"), ["mmproj-F16.gguf"]);
    assert_eq!(projectors("a/many:q4_k_m"), ["a/mmproj-BF16.gguf"], "its own folder's before the root's");
}

#[test]
fn an_entry_that_is_pinned_anew_keeps_the_projectors_that_it_has() {
    let desk = desk();
    desk.run(&format!("add {REPO}:q4_k_m --id eye --mmproj=bf16")).ok();
    let newer = Content::synthetic(MIB + 13, 14);
    desk.hub.repo(REPO).lfs("mmproj-Seer-BF16.gguf", newer.clone()).lfs("Seer.Q8_0.gguf", Content::synthetic(MIB, 12)).commit();
    // By its id, and by its repository, it is the same entry.
    desk.run("add eye --update").ok().prints("Updated eye:q4_k_m").prints("  mmproj   mmproj-Seer-BF16.gguf");
    assert!(registry(&desk).contains(newer.sha256()));
    for line in [format!("add {REPO}:q4_k_m --id eye --update"), format!("add {REPO} --id eye --update")] {
        desk.run(&line).ok().prints("Unchanged: eye:q4_k_m");
    }
    // One that names none gets none.
    desk.run("add seer:q8_0 --update").ok().prints("Updated seer:q8_0");
    desk.run(&format!("add {REPO}:q8_0 --id seer --update")).ok().prints("Unchanged: seer:q8_0");
    assert_eq!(registry(&desk).matches("mmproj").count(), 1, "{}", registry(&desk));
}
