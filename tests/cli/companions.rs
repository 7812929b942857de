//! Companions other than projectors, `--with draft` and the like, and roles that only a header shows.

use crate::kit::{Machine, assert_content, shown};
use crate::support::gguf::Spec;

const REPO: &str = "a/owl";
const DIR: &str = "models/owl/gguf/q4_k_m";
const MODEL: &str = "owl-Q4_K_M.gguf";
const DRAFT: &str = "owl-Q4_K_M-mtp.gguf";

fn machine() -> Machine {
    let machine = Machine::empty();
    let repo = machine.hub.repo(REPO).lfs(MODEL, "model").lfs("owl-Q8_0.gguf", "larger model");
    repo.lfs(DRAFT, "draft").lfs("owl-Q8_0-mtp.gguf", "larger draft").lfs("mmproj-F16.gguf", "projector").commit();
    machine.registry(&[crate::kit::entry(&machine.hub, "owl", REPO, &[("q4_k_m", MODEL)])]);
    machine
}

#[test]
fn a_draft_comes_with_its_model_stays_with_it_and_the_path_is_the_models() {
    let machine = machine();
    let path = format!("{DIR}/{MODEL}");
    machine.run("download owl").ok();
    let plan = machine.run("download owl --with draft --dry-run --json").ok().json();
    assert_eq!(plan["plans"][0]["download_bytes"], 5, "{plan:#}");
    assert_eq!(machine.run("download owl --with draft").ok().says("owl-Q4_K_M-mtp.gguf was chosen").last_line(), path);
    assert_eq!(shown(&machine, DIR), [DRAFT, MODEL]);
    machine.hub.reset_counters();
    for line in ["download owl --with draft", "download owl --with draft=q4_k_m", "download owl"] {
        assert_eq!(machine.run(line).ok().says("already present").last_line(), path, "{line}");
    }
    assert_eq!(machine.hub.count().total_requests(), 0);
    for line in ["download owl --force", "download owl --revision main", "download owl --mmproj"] {
        assert_eq!(machine.run(line).ok().last_line(), path, "{line}");
        assert!(shown(&machine, DIR).contains(&DRAFT.to_owned()), "{line}");
    }
    assert_eq!(shown(&machine, DIR), ["mmproj-F16.gguf", DRAFT, MODEL]);
    assert_eq!(machine.run("path owl").ok().last_line(), path);
    machine.run("verify owl").ok().prints("3 ok");
    let listed = machine.run("list --json").ok().json();
    assert!(listed["models"][0]["path"].as_str().is_some_and(|path| path.ends_with(MODEL)), "{listed:#}");
    machine.run("use owl:q4_k_m --backend llama_cpp --print").ok().prints(&path);
    machine.run("doctor").ok().prints("all is well");
}

#[test]
fn a_draft_beside_a_model_is_locked_and_comes_back_by_sync() {
    let machine = machine();
    machine.run("download owl --with draft").ok();
    machine.run("lock").ok();
    assert!(crate::lock::lock_text(&machine.sandbox.project()).contains(DRAFT));
    machine.run("lock --check").ok();
    crate::kit::remove_all(machine.sandbox.models());
    machine.run("sync --locked").ok();
    assert_eq!(shown(&machine, DIR), [DRAFT, MODEL]);
    assert_content(&machine.sandbox.project().join(DIR).join(DRAFT), &machine.hub.content(REPO, DRAFT));
    machine.run("lock --update").ok().prints("pinned");
    assert!(crate::lock::lock_text(&machine.sandbox.project()).contains(DRAFT));
    // One that was fetched since is locked too.
    let machine = self::machine();
    machine.run("download owl").ok();
    machine.run("lock").ok();
    machine.run("download owl --with draft").ok();
    machine.run("lock").ok();
    assert!(crate::lock::lock_text(&machine.sandbox.project()).contains(DRAFT));
}

#[test]
fn a_draft_follows_the_branch_of_its_model() {
    let machine = machine();
    machine.run("download a/owl:q4_k_m --with draft").ok();
    machine.run("lock a/owl:q4_k_m").ok();
    machine.hub.repo(REPO).lfs(DRAFT, "newer draft").commit();
    machine.run("lock --update").ok().prints(DRAFT);
    machine.run("sync").ok();
    let dir = "models/a--owl/gguf/q4_k_m";
    assert_eq!(shown(&machine, dir), [DRAFT, MODEL]);
    assert_content(&machine.sandbox.project().join(dir).join(DRAFT), &machine.hub.content(REPO, DRAFT));
}

#[test]
fn an_entry_may_name_a_draft_and_add_writes_one() {
    let machine = machine();
    let added = machine.run("add a/owl:q8_0 --id big --with draft --no-mmproj --json").ok().json()["models"][0].clone();
    let companions: Vec<_> = added["companions"].as_array().unwrap().iter().map(|file| &file["repo_path"]).collect();
    assert_eq!(companions, ["owl-Q8_0-mtp.gguf"], "{added:#}");
    assert_eq!(added["projectors"], serde_json::json!([]));
    machine.run("download big").ok();
    assert_eq!(shown(&machine, "models/big/gguf/q8_0"), ["owl-Q8_0-mtp.gguf", "owl-Q8_0.gguf"]);
    assert_eq!(machine.run("path big").ok().last_line(), "models/big/gguf/q8_0/owl-Q8_0.gguf");
    machine.run("add big:q8_0 --update").ok();
    machine.run("lint").ok();
}

#[test]
fn a_companion_that_is_not_there_or_not_clear_is_answered_with_what_is() {
    let machine = machine();
    machine.run("download owl --with vae").code(3).says("no VAE");
    machine.run("download owl --with draft=f64").code(3).says("no draft `f64`").says(DRAFT);
    machine.run("download owl --with wings").code(2).says("mmproj, draft, tokenizer, encoder, vae");
    machine.hub.repo("a/two").lfs("x-Q8_0.gguf", "x").lfs("mtp-x.gguf", "y").lfs("eagle3-x.gguf", "z").commit();
    machine.run("download a/two --with draft").code(2).says("2 drafts").says("`--with draft=eagle3-x.gguf`");
    assert_eq!(machine.run("download a/two --with draft=mtp-x.gguf").ok().last_line(), "models/a--two/gguf/q8_0/x-Q8_0.gguf");
    let alone = machine.run(&format!("download {REPO}:mtp-q4_k_m --with draft --json")).ok().json();
    assert_eq!(alone["models"][0]["files"].as_array().map(Vec::len), Some(1), "{alone:#}");
    machine.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    machine.run("download a/set --format safetensors --with draft").code(2).says("no GGUF model").says("`--with draft`");
}

/// A repository in which no name says what is a projector.
fn unnamed() -> Machine {
    let machine = Machine::empty();
    let projector = Spec::tiny().seed(2).bytes_as("mmproj", "clip");
    machine.hub.repo("a/eye").lfs("eye-sight-F16.gguf", projector).lfs("eye-words-F16.gguf", Spec::tiny().bytes()).commit();
    machine
}

#[test]
fn what_only_a_header_tells_is_not_taken_for_the_model_where_it_is_here() {
    let machine = unnamed();
    let files = "files: [{file: eye-sight-F16.gguf}, {file: eye-words-F16.gguf}]";
    machine.sandbox.write(
        "configs/models.yaml",
        format!("models:\n  eye:\n    huggingface_id: a/eye\n    formats:\n      gguf:\n        f16: {{{files}}}\n"),
    );
    let path = "models/eye/gguf/f16/eye-words-F16.gguf";
    assert_eq!(machine.run("download eye").ok().last_line(), path);
    assert_eq!(machine.run("path eye").ok().last_line(), path);
    assert_eq!(machine.run("path eye:f16").ok().last_line(), path);
    machine.run("use eye:f16 --backend llama_cpp --print").ok().prints(path);
    let info = machine.run("info eye --json").ok().json();
    assert_eq!(info["models"][0]["forms"][0]["weights"]["architecture"], "llama", "{info:#}");
    let listed = machine.run("list --json").ok().json();
    assert!(listed["models"][0]["path"].as_str().is_some_and(|found| found.ends_with(path)), "{listed:#}");
}

#[test]
fn a_companion_alone_is_called_one_by_its_header_and_no_backend_is_given_it() {
    let machine = unnamed();
    let output = machine.run("download a/eye:eye-sight-f16").code(3);
    assert!(output.stderr.contains("a/eye:sight-f16"), "{output}");
    machine.run("download a/eye:sight-f16").ok().says("a companion (projector) by its header");
    assert_eq!(machine.run("path a/eye:sight-f16").ok().last_line(), "models/a--eye/gguf/sight-f16/eye-sight-F16.gguf");
    machine
        .run("use a/eye:sight-f16 --backend llama_cpp")
        .code(2)
        .says("no model that llama.cpp runs")
        .says("`model-manager info a/eye`");
    assert!(!machine.sandbox.project().join("configs/backend").exists());
    machine.run("info a/eye:sight-f16").ok().prints("a companion (mmproj) and no model");
    let labels = machine.run("info a/eye --json").ok().json()["models"][0]["labels"].clone();
    let role = |label: &str| labels.as_array().unwrap().iter().find(|found| found["label"] == label).unwrap()["role"].clone();
    assert_eq!((role("sight-f16"), role("words-f16")), ("mmproj".into(), "model".into()), "{labels:#}");
    // The first bytes are enough, as far as they are fetched.
    let other = unnamed();
    other.run("info a/eye:sight-f16").ok().prints("a companion (mmproj) and no model");
    other.run("download a/eye:words-f16").ok();
    other.run("use a/eye:words-f16 --backend llama_cpp").ok();
}
