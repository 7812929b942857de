//! `lock`: what a project uses is pinned, stays where it is, and moves when it is told to.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::kit::{
    FILE, MIB, Machine, OTHER, PATH, REPO, assert_content, assert_not_written, blob_in, entry, open_entry, stamps, until,
};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Fault, Match};

pub const LOCK: &str = "configs/models.lock";
pub const SET: &str = "TinyLlama/TinyLlama";

pub fn lock_text(project: &Path) -> String {
    std::fs::read_to_string(project.join(LOCK)).unwrap()
}

/// `tiny` named in the registry without revision, size or hash.
fn open_desk() -> Machine {
    let machine = Machine::new();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)])]);
    machine
}

/// A set of two shards with plain files beside them, one content under two names.
pub fn set_desk() -> Machine {
    let machine = Machine::empty();
    let index = r#"{"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    machine
        .hub
        .repo(SET)
        .lfs("model-00001-of-00002.safetensors", Content::synthetic(MIB + 9, 3))
        .lfs("model-00002-of-00002.safetensors", Content::synthetic(70_001, 4))
        .plain("model.safetensors.index.json", index)
        .plain("config.json", "{}")
        .plain("generation_config.json", "{}")
        .plain("tokenizer.json", r#"{"version":"1.0"}"#)
        .commit();
    machine.sandbox.write(
        "configs/models.yaml",
        format!(
            "models:\n  small:\n    huggingface_id: \"{SET}\"\n    license: \"apache-2.0\"\n    formats:\n      safetensors: {{}}\n"
        ),
    );
    machine
}

#[test]
fn what_was_downloaded_is_locked_without_a_request() {
    for machine in [Machine::new(), open_desk()] {
        machine.run("download tiny").ok();
        machine.hub.reset_counters();
        machine.run("lock").ok().prints("added").says("configs/models.lock was written");
        assert_eq!(machine.hub.count().total_requests(), 0);
        let text = lock_text(&machine.sandbox.project());
        let (commit, content) = (machine.hub.commit(REPO), machine.content());
        for line in [
            "version: 1\n".to_owned(),
            "  - model: \"tiny\"\n    format: \"gguf\"\n    quant: \"q4_k_m\"\n    source: \"registry\"\n".to_owned(),
            format!("    repo: \"{REPO}\"\n"),
            format!("    commit: \"{commit}\"\n"),
            format!("      - path: \"{FILE}\"\n        size: {}\n        sha256: \"{}\"\n", content.len(), content.sha256()),
        ] {
            assert!(text.contains(&line), "lacks\n{line}\n{text}");
        }
        assert!(text.starts_with("# ") && !text.contains("http") && !text.contains("127.0.0.1"), "{text}");
        machine.run("lock --check").ok().prints("1 view");
        // Again: the same, and nothing is written.
        let before = stamps(&machine.sandbox.project());
        machine.run("lock").ok().prints("kept").says("stays as it is");
        assert_not_written(&machine.sandbox.project(), &before);
        assert_eq!(machine.hub.count().total_requests(), 0);
    }
}

#[test]
fn a_model_that_is_not_here_is_locked_by_what_the_registry_or_the_hub_says() {
    let machine = Machine::new();
    machine.run("lock tiny:q8_0 --offline").ok();
    assert_eq!(machine.hub.count().total_requests(), 0, "a pinned entry asks no question");
    assert!(!machine.sandbox.models().exists(), "and makes no store");

    let machine = open_desk();
    let before = machine.sandbox.tree();
    machine.run("lock tiny:q8_0 --dry-run").ok().prints("added").says("dry run");
    before.assert_same(&machine.sandbox.tree());
    machine.hub.reset_counters();
    machine.run("lock tiny:q8_0").ok();
    let count = machine.hub.count();
    assert_eq!((count.api, count.content_bytes()), (2, 0), "the Hub names the hashes of big files");
    let text = lock_text(&machine.sandbox.project());
    assert!(text.contains("    revision: \"main\"\n") && text.contains(&machine.hub.sha256(REPO, OTHER)), "{text}");
    machine.run("sync --locked").ok();
    assert_content(&machine.sandbox.models().join("tiny/gguf/q8_0").join(OTHER), &machine.hub.content(REPO, OTHER));
    machine.assert_tidy();
}

#[test]
fn hashes_that_the_hub_does_not_publish_come_from_the_store_or_are_learned() {
    let machine = set_desk();
    machine.run("lock small --format safetensors").ok();
    let plain: Vec<Content> =
        ["config.json", "model.safetensors.index.json", "tokenizer.json"].map(|file| machine.hub.content(SET, file)).into();
    let fetched: u64 = plain.iter().map(Content::len).sum();
    assert_eq!(machine.hub.count().content_bytes(), fetched, "small files only, one content once");
    let text = lock_text(&machine.sandbox.project());
    for content in &plain {
        let lines = format!("        sha256: \"{}\"\n        git_sha1: \"{}\"\n", content.sha256(), content.git_sha1());
        assert!(text.contains(&lines), "lacks\n{lines}\n{text}");
    }
    assert!(text.contains("    license: \"apache-2.0\"\n"), "{text}");

    // They are in the store by now: another lock, as after a lost one, fetches nothing.
    std::fs::remove_file(machine.sandbox.project().join(LOCK)).unwrap();
    machine.hub.reset_counters();
    machine.run("lock small --format safetensors").ok();
    assert_eq!(machine.hub.count().content_bytes(), 0);
    assert_eq!(lock_text(&machine.sandbox.project()), text);

    // Nor does one of what is shown, and it is the same.
    machine.run("sync --locked").ok();
    std::fs::remove_file(machine.sandbox.project().join(LOCK)).unwrap();
    machine.hub.reset_counters();
    machine.run("lock").ok();
    assert_eq!(machine.hub.count().content_bytes(), 0);
    assert_eq!(lock_text(&machine.sandbox.project()), text);

    // A hash is never taken from a record on trust.
    let name = plain[0].sha256();
    let meta = machine.store().join("meta").join(&name[..2]).join(format!("{name}.json"));
    std::fs::remove_file(machine.sandbox.project().join(LOCK)).unwrap();
    machine.run("remove small --keep-blobs").ok();
    let record = std::fs::read_to_string(&meta).unwrap();
    std::fs::write(&meta, record.replace(plain[0].git_sha1(), plain[2].git_sha1())).unwrap();
    machine.run("lock small --format safetensors").ok();
    assert_eq!(lock_text(&machine.sandbox.project()), text);
}

#[test]
fn a_branch_that_moved_is_shown_and_then_locked() {
    let machine = open_desk();
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    let old = machine.hub.commit(REPO);
    let locked = lock_text(&machine.sandbox.project());
    machine.run("lock --update").ok().prints("kept").prints("main still stands for it");
    assert_eq!(lock_text(&machine.sandbox.project()), locked);
    machine.hub.repo(REPO).lfs(FILE, Content::synthetic(3 * MIB, 9)).commit();
    let new = machine.hub.commit(REPO);

    machine.run("lock --update --offline").code(6).says("offline");
    machine.run("lock").ok().prints("kept");
    assert_eq!(lock_text(&machine.sandbox.project()), locked, "what is locked stays");
    machine.run("lock tiny").ok();
    assert_eq!(lock_text(&machine.sandbox.project()), locked, "named or not");
    for line in ["lock --update --dry-run", "lock --update"] {
        machine.hub.reset_counters();
        let output = machine.run(line).ok().prints("moved").prints(&format!("{} -> {}", &old[..12], &new[..12]));
        assert!(output.stdout.contains(&format!("changed  {FILE}  2.10 MB -> 3.15 MB")), "{output}");
        assert_eq!((machine.hub.count().api, machine.hub.count().content_bytes()), (2, 0));
        assert_eq!(lock_text(&machine.sandbox.project()) == locked, line.ends_with("--dry-run"));
    }
    machine.run("lock --check").code(1).prints("what is here is not what is locked");
    machine.run("sync --locked").ok();
    assert_content(&machine.sandbox.project().join(PATH), &machine.hub.content(REPO, FILE));
    machine.run("lock --check").ok();
}

#[test]
fn an_update_of_many_views_asks_side_by_side_over_few_connections() {
    const VIEWS: usize = 40;
    let machine = Machine::empty();
    for number in 0..VIEWS {
        let name = format!("m{number}.Q4_K_M.gguf");
        machine.hub.repo(&format!("acme/m{number}")).lfs(&name, Content::synthetic(3000, number as u64)).commit();
        machine.run(&format!("lock acme/m{number}")).ok();
    }
    machine.hub.configure(|c| c.latency = Duration::from_millis(30));
    machine.hub.reset_counters();
    machine.run("lock --update").ok().prints("main still stands for it");
    let seen = machine.hub.count();
    assert!(seen.api >= VIEWS as u64, "{}", seen.api);
    // One client: its eight connections are used again, and a few more opened where none was idle just then. One view after
    // the other would need one.
    assert!((2..=16).contains(&seen.connections), "{} connections", seen.connections);
    let together = seen.requests.windows(2).filter(|pair| pair[1].at < pair[0].last).count();
    assert!(together >= VIEWS / 4, "{together} of {VIEWS} questions were asked before the one before was answered");
}

#[test]
fn a_pause_that_one_view_learns_of_holds_back_the_next() {
    const VIEWS: usize = 20;
    const AT_ONCE: usize = 8;
    let machine = Machine::empty();
    let mut line = "lock".to_owned();
    for number in 0..VIEWS {
        let name = format!("m{number}.Q4_K_M.gguf");
        machine.hub.repo(&format!("acme/m{number}")).lfs(&name, Content::synthetic(3000, number as u64)).commit();
        line.push_str(&format!(" acme/m{number}"));
    }
    machine.run(&line).ok();
    machine.hub.reset_counters();
    let first = Match::api().and_contains("acme/m0/").nth(1);
    let limited = machine.hub.fault(first, Fault::RateLimited { retry_after: Some(2), reset: None });
    // Nobody goes on to another view before the pause is known.
    let others = machine.hub.hold(Match::api().and_not("acme/m0/").always(), 0);
    let running = machine.spawn("lock --update -v");
    until("the pause is known", || running.stderr_so_far().contains("trying again in"));
    others.release();
    running.wait().ok().prints("main still stands for it");
    assert_eq!(limited.hits(), 1);
    let requests = machine.hub.count().requests;
    let limit = requests.iter().find(|request| request.status == 429).expect("answered");
    // Those that were on their way were sent before the pause was known; no other view asks before it is over.
    let early = requests.iter().filter(|request| request.at < limit.last + Duration::from_secs(1)).count();
    assert!(early <= AT_ONCE, "{early} of {} requests did not wait", requests.len());
    assert!(requests.len() > VIEWS);
}

#[test]
fn what_is_pinned_does_not_move() {
    let machine = Machine::new();
    let commit = machine.hub.commit(REPO);
    machine.run("lock tiny").ok();
    machine.run(&format!("lock hf://{REPO}@{commit}/{OTHER}")).ok();
    machine.hub.repo(REPO).lfs(FILE, "new").lfs(OTHER, "new too").commit();
    let locked = lock_text(&machine.sandbox.project());
    machine.hub.reset_counters();
    machine.run("lock --update").ok().prints("the registry pins the commit").prints("its reference pins the commit");
    assert_eq!((machine.hub.count().total_requests(), lock_text(&machine.sandbox.project())), (0, locked));
}

#[test]
fn a_check_sees_what_is_used_and_not_locked() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m tiny:q8_0").ok();
    machine.run("lock tiny:q4_k_m").ok();
    machine.run("lock --check").code(1).prints("tiny gguf/q8_0: it is used here and not locked").says("model-manager lock");
    machine.run("lock --check tiny:q4_k_m").ok();
    machine.run("lock --check nonsuch/model").code(3);
    machine.run("lock").ok();
    machine.run("lock --check").ok();
}

#[test]
fn a_split_gguf_is_locked_by_reference_and_made_again() {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo("big/Split-GGUF");
    for (name, bytes) in Spec::tiny().split("big.Q4_K_M", 3) {
        repo = repo.lfs(&format!("Q4_K_M/{name}"), bytes);
    }
    repo.commit();
    machine.run("lock big/Split-GGUF:q4_k_m").ok();
    let text = lock_text(&machine.sandbox.project());
    assert!(
        text.contains("source: \"repository\"") && text.contains("repo_path: \"Q4_K_M/big.Q4_K_M-00001-of-00003.gguf\""),
        "{text}"
    );
    machine.run("sync --locked").ok().prints("3 files");
    machine.run("path big/Split-GGUF:q4_k_m").ok().prints("models/big--Split-GGUF/gguf/q4_k_m/big.Q4_K_M-00001-of-00003.gguf");
    machine.run("verify").ok().prints("3 ok");
    machine.assert_tidy();
    // What is here says as much as the reference did.
    std::fs::remove_file(machine.sandbox.project().join(LOCK)).unwrap();
    machine.hub.reset_counters();
    machine.run("lock").ok();
    assert_eq!((machine.hub.count().total_requests(), lock_text(&machine.sandbox.project())), (0, text));
    machine.run("lock big/Split-GGUF").ok().prints("kept");
    machine.run("lock --quant q4_k_m").code(2).says("no model is named");
}

#[test]
fn a_reference_with_a_branch_follows_that_branch() {
    let machine = Machine::new();
    machine.hub.repo(REPO).branch("next").lfs(FILE, Content::synthetic(MIB + 3, 6)).commit();
    machine.run(&format!("lock {REPO}@next:Q4_K_M")).ok();
    let text = lock_text(&machine.sandbox.project());
    assert!(text.contains("    revision: \"next\"\n") && text.contains(&machine.hub.commit_of(REPO, "next")), "{text}");
    machine.hub.repo(REPO).branch("next").lfs(FILE, Content::synthetic(MIB + 4, 6)).commit();
    machine.run("lock --update").ok().prints("moved");
    assert!(lock_text(&machine.sandbox.project()).contains(&machine.hub.commit_of(REPO, "next")));
    // Named without the branch, it is the main one that is meant.
    machine.run(&format!("lock {REPO}:Q4_K_M")).ok().prints("moved");
    assert!(lock_text(&machine.sandbox.project()).contains(&machine.hub.commit(REPO)));
}

#[test]
fn a_repository_that_is_locked_in_two_forms_is_not_moved_by_its_bare_name() {
    let machine = Machine::new();
    machine.run(&format!("lock {REPO}:Q4_K_M {REPO}:Q8_0")).ok();
    machine.hub.repo(REPO).lfs(FILE, "new").commit();
    let locked = lock_text(&machine.sandbox.project());
    machine
        .run(&format!("lock {REPO}"))
        .code(2)
        .says("several quantizations")
        .says("`model-manager lock TheBloke--Tiny-GGUF:q4_k_m`");
    assert_eq!(lock_text(&machine.sandbox.project()), locked);
}

#[test]
fn what_nobody_knows_the_origin_of_is_named_and_not_locked() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m tiny:q8_0").ok();
    machine.registry(&[]);
    machine.sandbox.write("configs/models.yaml", "models: {}\n");
    let name = machine.content().sha256().to_owned();
    std::fs::remove_file(machine.store().join("meta").join(&name[..2]).join(format!("{name}.json"))).unwrap();
    machine.hub.reset_counters();
    machine.run("lock").code(1).prints("unknown  tiny gguf/q4_k_m").says("model-manager remove tiny");
    let text = lock_text(&machine.sandbox.project());
    assert!(!text.contains("q4_k_m") && text.contains("q8_0") && text.contains("source: \"repository\""), "{text}");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("lock --check").code(1).prints("used here and not locked");
}

#[test]
fn processes_that_lock_at_once_lose_nothing() {
    let machine = Machine::new();
    let names: Vec<String> = (0..8).map(|number| format!("m{number}")).collect();
    machine.registry(&names.iter().map(|id| entry(&machine.hub, id, REPO, &[("q4_k_m", FILE)])).collect::<Vec<_>>());
    let running: Vec<_> = names.iter().map(|id| machine.spawn(&format!("lock {id}"))).collect();
    running.into_iter().for_each(|run| drop(run.wait().ok()));
    let text = lock_text(&machine.sandbox.project());
    assert!(names.iter().all(|id| text.contains(&format!("model: \"{id}\""))), "{text}");
    let left = crate::kit::names(&machine.sandbox.project().join("configs"));
    assert_eq!(left.len(), 2, "nothing is left beside registry and lock file: {left:?}");
}

#[test]
fn lock_and_sync_answer_in_json() {
    let machine = open_desk();
    let added = machine.run("lock tiny --json").ok().json();
    assert_eq!((&added["version"], &added["written"], &added["models"][0]["state"]), (&json!(1), &json!(true), &json!("added")));
    assert_eq!(added["models"][0]["origin"]["commit"], machine.hub.commit(REPO));
    assert_eq!(added["models"][0]["files"][0]["change"], "added");
    let check = machine.run("lock --check --json").ok().json();
    assert_eq!((&check["ok"], &check["problems"]), (&json!(true), &json!([])));
    let plan = machine.run("sync --dry-run --json").ok().json();
    assert_eq!((&plan["plans"][0]["download_bytes"], &plan["models"]), (&json!(machine.content().len()), &json!([])));
    assert!(!machine.sandbox.models().exists());
    let done = machine.run("sync --json").ok().json();
    assert_eq!((&done["totals"]["download_bytes"], &done["models"][0]["model"]), (&json!(machine.content().len()), &json!("tiny")));
    let error = machine.run("sync --locked --offline --no-local --store elsewhere --json").code(6).json();
    assert_eq!(error["error"]["kind"], "network");
    assert!(blob_in(&machine.store(), &machine.content()).exists());
}

#[test]
fn the_lock_file_is_found_beside_the_registry_that_is_named() {
    let machine = Machine::new();
    std::fs::rename(machine.sandbox.project().join("configs/models.yaml"), machine.sandbox.project().join("other.yaml")).unwrap();
    machine.run("lock tiny --config other.yaml").ok();
    assert!(machine.sandbox.project().join("other.lock").is_file() && !machine.sandbox.project().join(LOCK).exists());
    machine.run("sync --locked --config other.yaml").ok();
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    // Without a registry it lies in the project.
    machine.run(&format!("lock {REPO}:q8_0")).ok();
    assert!(machine.sandbox.project().join(LOCK).is_file());
}

#[test]
fn of_two_folders_with_the_same_file_the_one_that_was_named_is_meant() {
    let machine = Machine::empty();
    let [one, two] = [1, 2].map(|seed| Content::synthetic(70_000, seed));
    machine.hub.repo("a/twins").lfs("one/x.Q4_K_M.gguf", one.clone()).lfs("two/x.Q4_K_M.gguf", two.clone()).commit();
    let shown = |folder: &str| machine.sandbox.models().join(format!("a--twins/gguf/{folder}-q4_k_m/x.Q4_K_M.gguf"));
    for (folder, content) in [("two", &two), ("one", &one)] {
        for named in [format!("{folder}/x.Q4_K_M.gguf"), format!("{folder} --quant q4_k_m")] {
            machine.run(&format!("download hf://a/twins/{named}")).ok();
            assert_content(&shown(folder), content);
        }
    }
    machine.run("remove a/twins:two-q4_k_m").ok();
    machine.run("lock").ok();
    let is_locked = |folder: &str| {
        let text = lock_text(&machine.sandbox.project());
        assert!(text.contains(&format!("repo_path: \"{folder}/x.Q4_K_M.gguf\"")), "{text}");
    };
    is_locked("one");
    // The folder stays the one that it was chosen in, also where the branch moves.
    machine.hub.repo("a/twins").lfs("one/x.Q4_K_M.gguf", Content::synthetic(70_000, 3)).commit();
    machine.run("lock --update").ok().prints("moved");
    is_locked("one");
    for line in ["lock hf://a/twins/two --quant q4_k_m", "lock hf://a/twins/two/x.Q4_K_M.gguf", "lock a/twins:two-q4_k_m"] {
        machine.run(line).ok();
        is_locked("one");
        is_locked("two");
    }
    machine.run("sync --locked").ok();
    assert_content(&shown("two"), &two);
}

#[cfg(unix)]
#[test]
fn a_registry_or_lock_that_cannot_be_had_is_not_taken_for_none() {
    let machine = Machine::new();
    machine.run("lock tiny").ok();
    let locked = lock_text(&machine.sandbox.project());
    let registry = machine.sandbox.project().join("configs/models.yaml");
    for is_link in [true, false] {
        std::fs::remove_file(&registry).unwrap();
        match is_link {
            true => std::os::unix::fs::symlink("nowhere.yaml", &registry).unwrap(),
            false => std::fs::create_dir(&registry).unwrap(),
        }
        for line in ["sync", "sync --prune", "lock", "lint", "list", "add a/b"] {
            let said = machine.run(line).code(2).says("configs/models.yaml").says("hint: ");
            assert_eq!(lock_text(&machine.sandbox.project()), locked, "{line}: {said}");
        }
        match is_link {
            true => std::fs::write(registry.with_file_name("nowhere.yaml"), "models: {}\n").unwrap(),
            false => std::fs::remove_dir(&registry).unwrap(),
        }
        if !is_link {
            std::fs::write(&registry, "models: {}\n").unwrap();
        }
        machine.run("info").ok();
    }
    let lock = machine.sandbox.project().join(LOCK);
    std::fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("nowhere.lock", &lock).unwrap();
    for line in ["sync", "lock", "lock --check"] {
        machine.run(line).code(2).says("configs/models.lock is a link that leads nowhere").says("hint: ");
    }
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    machine.run("sync").code(2).says("not a regular file").says("hint: ");
    std::fs::remove_dir(&lock).unwrap();
    std::fs::write(&lock, "version: 2\nviews: []\n").unwrap();
    machine.run("sync").code(2).says("a newer model-manager reads it");
}

#[test]
fn a_slip_in_the_registry_is_not_taken_for_an_entry_that_is_gone() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    let locked = lock_text(&machine.sandbox.project());
    machine.sandbox.write("configs/models.yaml", "models: [\n");
    for has_lock in [true, false] {
        for line in ["lock", "lock tiny", "lock --update", "lock --check", "sync", "sync --locked", "sync --dry-run"] {
            if has_lock || (!line.starts_with("sync") && line != "lock --check") {
                machine.run(line).code(2).says("configs/models.yaml:").says("hint: Correct line");
            }
        }
        match has_lock {
            true => {
                assert_eq!(lock_text(&machine.sandbox.project()), locked);
                std::fs::remove_file(machine.sandbox.project().join(LOCK)).unwrap();
            }
            false => assert!(!machine.sandbox.project().join(LOCK).exists()),
        }
    }
}

#[test]
fn where_the_registry_is_missing_what_it_locked_stays_locked() {
    // With the model here, whose blob tells where it is from, and before it is.
    for first in ["lock tiny", "download tiny"] {
        let machine = Machine::new();
        machine.run(first).ok();
        machine.run("lock tiny").ok();
        let text = lock_text(&machine.sandbox.project());
        std::fs::remove_file(machine.sandbox.project().join("configs/models.yaml")).unwrap();
        for (line, code) in [("sync", 3), ("sync --prune", 3), ("sync --locked --prune", 1), ("lock", 3), ("lock --update", 3)] {
            machine.run(line).code(code).says("registry").says("hint: ");
            assert_eq!(lock_text(&machine.sandbox.project()), text, "{line}");
        }
    }
    let machine = Machine::new();
    machine.run("lock tiny").ok();
    std::fs::remove_file(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    machine.run("sync").code(3).says("none here but the built-in one").says("configs/models.yaml");
    // A registry that is there and has no such entry any more is believed.
    machine.sandbox.write("configs/models.yaml", "models: {}\n");
    machine.run("sync").ok().prints("the registry has no such entry any more");
    assert!(lock_text(&machine.sandbox.project()).contains("views: []"));
}

#[test]
fn a_lock_that_contradicts_what_is_here_is_refused_as_wrong_content_and_left_as_it_is() {
    let registered = Machine::new();
    registered.run("download tiny").ok();
    let of_hub = Machine::new();
    of_hub.run(&format!("download {REPO}:Q4_K_M")).ok();
    let by_file = Machine::new();
    by_file.hub.repo("a/deep").lfs("one/x.gguf", "model one").commit();
    by_file.run("download hf://a/deep/one/x.gguf").ok();
    let set = set_desk();
    set.run("download small").ok();
    let open = open_desk();
    open.run("download tiny").ok();
    for machine in [registered, of_hub, by_file, set, open] {
        machine.run("lock").ok();
        machine.run("lock --check").ok();
        let good = lock_text(&machine.sandbox.project());
        let edits = [("size: ", "size: 1"), ("sha256: \"", "sha256: \"0"), ("path: \"", "path: \"z")];
        let mut wrong: Vec<String> = Vec::new();
        for (from, to) in edits {
            let mut edited = good.replacen(from, to, 1);
            if from.starts_with("sha") {
                // As long as before.
                let at = edited.find(to).unwrap() + to.len();
                edited.remove(at);
            }
            assert_ne!(edited, good);
            wrong.push(edited);
        }
        if let Some(at) = good.find("git_sha1: \"") {
            let mut edited = good.clone();
            let digit = at + "git_sha1: \"".len();
            let other = if edited[digit..].starts_with('0') { "1" } else { "0" };
            edited.replace_range(digit..=digit, other);
            wrong.push(edited);
        }
        for wrong in wrong.iter().filter(|wrong| **wrong != good) {
            machine.sandbox.write(LOCK, wrong);
            let requests = machine.hub.count().total_requests();
            for line in ["sync --locked", "sync --locked --quick", "sync --locked --offline", "sync --locked --dry-run"] {
                let output = machine.run(line).code(4).says("contradicts what is here").says("`model-manager lock`");
                assert_eq!(&lock_text(&machine.sandbox.project()), wrong, "{output}");
            }
            assert_eq!(machine.hub.count().total_requests(), requests);
            let check = machine.run("lock --check --json").code(4).json();
            assert_eq!(check["problems"][0]["kind"], "contradicts", "{check:#}");
            machine.run("lock --check").code(4).says("`model-manager lock`");
            // What the hint names ends it.
            machine.run("lock").ok().prints("changed");
            assert_eq!(lock_text(&machine.sandbox.project()), good, "of {wrong}");
            machine.run("lock --check").ok();
            machine.run("sync --locked --offline").ok();
        }
        machine.assert_tidy();
    }
}

#[test]
fn a_lock_of_another_commit_contradicts_nothing() {
    let machine = open_desk();
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    let old = lock_text(&machine.sandbox.project());
    machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB + 4, 6)).commit();
    machine.run("lock --update").ok();
    let check = machine.run("lock --check --json").code(1).json();
    assert_eq!(check["problems"][0]["kind"], "not_shown", "{check:#}");
    machine.run("lock --check").code(1).says("`model-manager sync --locked`");
    machine.run("sync --locked").ok();
    machine.sandbox.write(LOCK, &old);
    machine.run("sync --locked").ok();
    machine.run("lock --check").ok();
}
