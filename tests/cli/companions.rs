//! Companions other than projectors, `--with draft` and the like, and roles that only a header shows.

use crate::kit::{Desk, assert_content, shown};
use crate::support::gguf::Spec;

const REPO: &str = "a/owl";
const DIR: &str = "models/owl/gguf/q4_k_m";
const MODEL: &str = "owl-Q4_K_M.gguf";
const DRAFT: &str = "owl-Q4_K_M-mtp.gguf";

fn desk() -> Desk {
    let desk = Desk::empty();
    let repo = desk.hub.repo(REPO).lfs(MODEL, "model").lfs("owl-Q8_0.gguf", "larger model");
    repo.lfs(DRAFT, "draft").lfs("owl-Q8_0-mtp.gguf", "larger draft").lfs("mmproj-F16.gguf", "projector").commit();
    desk.registry(&[crate::kit::entry(&desk.hub, "owl", REPO, &[("q4_k_m", MODEL)])]);
    desk
}

#[test]
fn a_draft_comes_with_its_model_stays_with_it_and_the_path_is_the_models() {
    let desk = desk();
    let path = format!("{DIR}/{MODEL}");
    desk.run("download owl").ok();
    let plan = desk.run("download owl --with draft --dry-run --json").ok().json();
    assert_eq!(plan["plans"][0]["download_bytes"], 5, "{plan:#}");
    assert_eq!(desk.run("download owl --with draft").ok().says("owl-Q4_K_M-mtp.gguf was chosen").last_line(), path);
    assert_eq!(shown(&desk, DIR), [DRAFT, MODEL]);
    desk.hub.reset_counters();
    for line in ["download owl --with draft", "download owl --with draft=q4_k_m", "download owl"] {
        assert_eq!(desk.run(line).ok().says("already present").last_line(), path, "{line}");
    }
    assert_eq!(desk.hub.count().total_requests(), 0);
    for line in ["download owl --force", "download owl --revision main", "download owl --mmproj"] {
        assert_eq!(desk.run(line).ok().last_line(), path, "{line}");
        assert!(shown(&desk, DIR).contains(&DRAFT.to_owned()), "{line}");
    }
    assert_eq!(shown(&desk, DIR), ["mmproj-F16.gguf", DRAFT, MODEL]);
    assert_eq!(desk.run("path owl").ok().last_line(), path);
    desk.run("verify owl").ok().prints("3 ok");
    let listed = desk.run("list --json").ok().json();
    assert!(listed["models"][0]["path"].as_str().is_some_and(|path| path.ends_with(MODEL)), "{listed:#}");
    desk.run("use owl:q4_k_m --backend llama_cpp --print").ok().prints(&path);
    desk.run("doctor").ok().prints("all is well");
}

#[test]
fn a_draft_beside_a_model_is_locked_and_comes_back_by_sync() {
    let desk = desk();
    desk.run("download owl --with draft").ok();
    desk.run("lock").ok();
    assert!(crate::lock::lock_text(&desk.s.project()).contains(DRAFT));
    desk.run("lock --check").ok();
    crate::kit::remove_all(desk.s.models());
    desk.run("sync --locked").ok();
    assert_eq!(shown(&desk, DIR), [DRAFT, MODEL]);
    assert_content(&desk.s.project().join(DIR).join(DRAFT), &desk.hub.content(REPO, DRAFT));
    desk.run("lock --update").ok().prints("pinned");
    assert!(crate::lock::lock_text(&desk.s.project()).contains(DRAFT));
    // One that was fetched since is locked too.
    let desk = self::desk();
    desk.run("download owl").ok();
    desk.run("lock").ok();
    desk.run("download owl --with draft").ok();
    desk.run("lock").ok();
    assert!(crate::lock::lock_text(&desk.s.project()).contains(DRAFT));
}

#[test]
fn a_draft_follows_the_branch_of_its_model() {
    let desk = desk();
    desk.run("download a/owl:q4_k_m --with draft").ok();
    desk.run("lock a/owl:q4_k_m").ok();
    desk.hub.repo(REPO).lfs(DRAFT, "newer draft").commit();
    desk.run("lock --update").ok().prints(DRAFT);
    desk.run("sync").ok();
    let dir = "models/a--owl/gguf/q4_k_m";
    assert_eq!(shown(&desk, dir), [DRAFT, MODEL]);
    assert_content(&desk.s.project().join(dir).join(DRAFT), &desk.hub.content(REPO, DRAFT));
}

#[test]
fn an_entry_may_name_a_draft_and_add_writes_one() {
    let desk = desk();
    let added = desk.run("add a/owl:q8_0 --id big --with draft --no-mmproj --json").ok().json();
    let companions: Vec<_> = added["companions"].as_array().unwrap().iter().map(|file| &file["repo_path"]).collect();
    assert_eq!(companions, ["owl-Q8_0-mtp.gguf"], "{added:#}");
    assert_eq!(added["projectors"], serde_json::json!([]));
    desk.run("download big").ok();
    assert_eq!(shown(&desk, "models/big/gguf/q8_0"), ["owl-Q8_0-mtp.gguf", "owl-Q8_0.gguf"]);
    assert_eq!(desk.run("path big").ok().last_line(), "models/big/gguf/q8_0/owl-Q8_0.gguf");
    desk.run("add big:q8_0 --update").ok();
    desk.run("lint").ok();
}

#[test]
fn a_companion_that_is_not_there_or_not_clear_is_answered_with_what_is() {
    let desk = desk();
    desk.run("download owl --with vae").code(3).says("no VAE");
    desk.run("download owl --with draft=f64").code(3).says("no draft `f64`").says(DRAFT);
    desk.run("download owl --with wings").code(2).says("mmproj, draft, tokenizer, encoder, vae");
    desk.hub.repo("a/two").lfs("x-Q8_0.gguf", "x").lfs("mtp-x.gguf", "y").lfs("eagle3-x.gguf", "z").commit();
    desk.run("download a/two --with draft").code(2).says("2 drafts").says("`--with draft=eagle3-x.gguf`");
    assert_eq!(desk.run("download a/two --with draft=mtp-x.gguf").ok().last_line(), "models/a--two/gguf/q8_0/x-Q8_0.gguf");
    let alone = desk.run(&format!("download {REPO}:mtp-q4_k_m --with draft --json")).ok().json();
    assert_eq!(alone["models"][0]["files"].as_array().map(Vec::len), Some(1), "{alone:#}");
    desk.hub.repo("a/set").lfs("model.safetensors", "x").plain("config.json", "{}").commit();
    desk.run("download a/set --format safetensors --with draft").code(2).says("no GGUF model").says("`--with draft`");
}

/// A repository in which no name says what is a projector.
fn unnamed() -> Desk {
    let desk = Desk::empty();
    let projector = Spec::tiny().seed(2).bytes_as("mmproj", "clip");
    desk.hub.repo("a/eye").lfs("eye-sight-F16.gguf", projector).lfs("eye-words-F16.gguf", Spec::tiny().bytes()).commit();
    desk
}

#[test]
fn what_only_a_header_tells_is_not_taken_for_the_model_where_it_is_here() {
    let desk = unnamed();
    let files = "files: [{file: eye-sight-F16.gguf}, {file: eye-words-F16.gguf}]";
    desk.s.write(
        "configs/models.yaml",
        format!("models:\n  eye:\n    huggingface_id: a/eye\n    formats:\n      gguf:\n        f16: {{{files}}}\n"),
    );
    let path = "models/eye/gguf/f16/eye-words-F16.gguf";
    assert_eq!(desk.run("download eye").ok().last_line(), path);
    assert_eq!(desk.run("path eye").ok().last_line(), path);
    assert_eq!(desk.run("path eye:f16").ok().last_line(), path);
    desk.run("use eye:f16 --backend llama_cpp --print").ok().prints(path);
    let info = desk.run("info eye --json").ok().json();
    assert_eq!(info["models"][0]["forms"][0]["weights"]["architecture"], "llama", "{info:#}");
    let listed = desk.run("list --json").ok().json();
    assert!(listed["models"][0]["path"].as_str().is_some_and(|found| found.ends_with(path)), "{listed:#}");
}

#[test]
fn a_companion_alone_is_called_one_by_its_header_and_no_backend_is_given_it() {
    let desk = unnamed();
    let output = desk.run("download a/eye:eye-sight-f16").code(3);
    assert!(output.stderr.contains("a/eye:sight-f16"), "{output}");
    desk.run("download a/eye:sight-f16").ok().says("a companion (projector) by its header");
    assert_eq!(desk.run("path a/eye:sight-f16").ok().last_line(), "models/a--eye/gguf/sight-f16/eye-sight-F16.gguf");
    desk.run("use a/eye:sight-f16 --backend llama_cpp")
        .code(2)
        .says("no model that llama.cpp runs")
        .says("`model-manager info a/eye`");
    assert!(!desk.s.project().join("configs/backend").exists());
    desk.run("info a/eye:sight-f16").ok().prints("a companion (mmproj) and no model");
    let labels = desk.run("info a/eye --json").ok().json()["models"][0]["labels"].clone();
    let role = |label: &str| labels.as_array().unwrap().iter().find(|found| found["label"] == label).unwrap()["role"].clone();
    assert_eq!((role("sight-f16"), role("words-f16")), ("mmproj".into(), "model".into()), "{labels:#}");
    // The first bytes are enough, as far as they are fetched.
    let other = unnamed();
    other.run("info a/eye:sight-f16").ok().prints("a companion (mmproj) and no model");
    other.run("download a/eye:words-f16").ok();
    other.run("use a/eye:words-f16 --backend llama_cpp").ok();
}
