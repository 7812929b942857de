//! What the Hub refuses: tokens, gates, what is not there. And where a token never goes.

use crate::kit::{Desk, FILE, MIB, REPO, entry, open_entry};
use crate::support::hub::{Content, Gating, Origin};

const TOKEN: &str = "hf_TestTokenThatIsSecret";

/// A gated and a private repository, a token with access to both and one without.
fn gated() -> Desk {
    let desk = Desk::new();
    desk.hub.repo("meta/gated").lfs("m.Q4_K_M.gguf", Content::synthetic(MIB + 3, 5)).gated(Gating::Manual).commit();
    desk.hub.repo("me/private").lfs("p.Q4_K_M.gguf", Content::synthetic(MIB + 4, 6)).private().commit();
    desk.hub.token(TOKEN, &["meta/gated", "me/private"]);
    desk.hub.token("hf_other", &[]);
    desk.registry(&[
        open_entry("gated", "meta/gated", &[("q4_k_m", "m.Q4_K_M.gguf")]),
        entry(&desk.hub, "pinned", "meta/gated", &[("q4_k_m", "m.Q4_K_M.gguf")]),
        open_entry("private", "me/private", &[("q4_k_m", "p.Q4_K_M.gguf")]),
        open_entry("absent", "no/such", &[("q4_k_m", "x.gguf")]),
        entry(&desk.hub, "tiny", REPO, &[("q4_k_m", FILE)]),
    ]);
    desk
}

#[test]
fn a_gated_repository_without_a_token_says_where_to_ask() {
    let desk = gated();
    for model in ["gated", "pinned", "meta/gated"] {
        let output = desk.run(&format!("download {model}")).code(5);
        output.says("no token was sent").says("https://huggingface.co/meta/gated").says("HF_TOKEN").says("HTTP 401");
    }
    desk.assert_nothing_published();
}

#[test]
fn a_gated_repository_without_a_grant_says_so() {
    let mut desk = gated();
    desk.s.set_env("HF_TOKEN", "hf_other");
    for model in ["gated", "pinned"] {
        let output = desk.run(&format!("download {model}")).code(5);
        output.says("access is not granted yet").says("https://huggingface.co/meta/gated").says("HTTP 403");
    }
}

#[test]
fn a_token_opens_the_gate_and_goes_nowhere_else() {
    let mut desk = gated();
    desk.s.set_env("HF_TOKEN", TOKEN);
    let output = desk.run("download gated pinned private -v").ok();
    assert!(!output.stderr.contains(TOKEN) && !output.stdout.contains(TOKEN), "{output}");
    desk.hub.assert_no_token_on_cdn();
    let sent = desk.hub.count();
    let with_token =
        |origin| sent.requests.iter().filter(move |r| r.origin == origin && r.header("authorization").is_some()).count();
    assert!(with_token(Origin::Hub) > 0);
    assert_eq!(with_token(Origin::Cdn), 0);
    desk.assert_tidy();
    // Not in any record either.
    for (path, ..) in desk.s.tree().files() {
        let bytes = std::fs::read(desk.s.project().join(path)).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{path}");
        assert!(!bytes.windows(12).any(|part| part == b"X-Amz-Signat"), "{path} holds a signature");
    }
}

#[test]
fn a_token_is_found_where_the_official_client_keeps_it() {
    let mut desk = gated();
    std::fs::write(desk.s.hf_home().join("token"), format!("{TOKEN}\n")).unwrap();
    desk.run("download gated").ok();
    let file = desk.s.root().join("my-token");
    std::fs::write(&file, TOKEN).unwrap();
    std::fs::remove_file(desk.s.hf_home().join("token")).unwrap();
    desk.run("download private").code(5);
    desk.s.set_env("HF_TOKEN_PATH", &file);
    desk.run("download private").ok();
    desk.s.set_env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    desk.run("download pinned --force").code(5);
}

#[test]
fn a_stale_token_is_told_as_such_and_never_printed() {
    let mut desk = gated();
    desk.s.set_env("HF_TOKEN", "hf_StaleSecret");
    for (line, hint) in [
        ("download tiny -v", "unset HF_TOKEN"),
        ("download TheBloke/Tiny-GGUF:q4_k_m", "unset HF_TOKEN"),
        ("download gated", "unset HF_TOKEN"),
        ("download pinned", "the token in use is not accepted"),
    ] {
        let output = desk.run(line).code(5).says(hint);
        assert!(!output.stderr.contains("hf_StaleSecret"), "{output}");
    }
    let json = desk.run("download tiny --json").code(5);
    assert!(!json.stdout.contains("hf_StaleSecret"));
    assert_eq!(json.json()["error"]["kind"], "auth");
}

#[test]
fn a_repository_that_is_missing_or_private_names_all_causes() {
    let mut desk = gated();
    for model in ["absent", "private", "no/such:q4_k_m"] {
        let output = desk.run(&format!("download {model}")).code(5);
        output.says("does not exist").says("private").says("HF_TOKEN").says("HTTP 401");
    }
    desk.s.set_env("HF_TOKEN", "hf_other");
    for (model, repo) in [("absent", "no/such"), ("private", "me/private")] {
        let output = desk.run(&format!("download {model}")).code(3);
        output.says(&format!("there is no repository `{repo}`")).says("private repository needs a token");
    }
}

#[test]
fn a_disabled_repository_is_told_as_such() {
    let desk = Desk::new();
    desk.hub.repo("bad/disabled").lfs("x.Q4_K_M.gguf", "x").disabled().commit();
    desk.run("download bad/disabled:q4_k_m").code(5).says("disabled");
}

#[test]
fn a_missing_file_or_revision_is_not_found() {
    let desk = Desk::new();
    let before = desk.s.tree();
    desk.registry(&[open_entry("tiny", REPO, &[("q4_k_m", "tiny.Q4_K_S.gguf"), ("q2_k", "else.bin")])]);
    let after = desk.s.tree();
    assert_ne!(before.changes_to(&after).len(), 0);
    desk.run("download tiny").code(3).says("there is no tiny.Q4_K_S.gguf").says(FILE);
    desk.run("download tiny:q2_k").code(3).says("there is no else.bin").says("hint: ");
    desk.run("download tiny --revision v9").code(3).says("no such revision").says("branches and tags");
    desk.run(&format!("download {REPO}:q3_k_l")).code(3).says("q3_k_l").says("q4_k_m");
    desk.run(&format!("download hf://{REPO}/nope.gguf")).code(3).says("nope.gguf");
    desk.run(&format!("download {REPO} --format safetensors")).code(3).says("safetensors");
    after.assert_same(&desk.s.tree());

    // Pinned to a commit that holds another file: nobody is asked before the download itself.
    let pinned = entry(&desk.hub, "tiny", REPO, &[("q4_k_m", FILE)]).replace(FILE, "gone.gguf");
    desk.registry(&[pinned]);
    desk.run("download tiny").code(3).says("gone.gguf").says("no such file");
    desk.assert_nothing_published();
}

#[test]
fn a_registry_that_disagrees_with_the_hub_says_what_differs() {
    let desk = Desk::new();
    let pinned = entry(&desk.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    let revision = format!("    revision: \"{}\"\n", desk.hub.commit(REPO));
    let other = "ab".repeat(32);
    desk.registry(&[pinned.replace(&revision, "").replace(desk.content().sha256(), &other)]);
    desk.run("download tiny").code(4).says("the registry gives the sha256 abab").says(desk.content().sha256()).says("hint: ");
    desk.registry(&[pinned.replace(&revision, "").replace("size: 2097159", "size: 5")]);
    desk.run("download tiny").code(4).says("the registry gives the size 5").says("2097159");
    desk.assert_nothing_published();
}

#[test]
fn a_plain_file_that_is_not_what_the_registry_pins_is_refused() {
    let desk = Desk::empty();
    desk.hub.repo("a/set").lfs("model.safetensors", Content::synthetic(9000, 1)).plain("config.json", "{}").commit();
    let pinned = |sha256: &str| {
        format!(
            "models:\n  set:\n    huggingface_id: \"a/set\"\n    formats:\n      safetensors:\n        expect:\n          - path: \"config.json\"\n            sha256: \"{sha256}\"\n"
        )
    };
    desk.s.write("configs/models.yaml", pinned(desk.hub.content("a/set", "model.safetensors").sha256()));
    desk.run("download set --format safetensors").code(4).says("config.json");
    assert!(!desk.s.project().join("models/set").exists());
    desk.s.write("configs/models.yaml", pinned(desk.hub.content("a/set", "config.json").sha256()));
    desk.run("download set --format safetensors").ok();
    desk.assert_tidy();
}
