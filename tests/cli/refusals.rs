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
        output.says("no token was sent").says(&format!("at {}/meta/gated,", desk.hub.url())).says("HF_TOKEN").says("HTTP 401");
    }
    desk.assert_nothing_published();
}

#[test]
fn a_gated_repository_without_a_grant_says_so() {
    let mut desk = gated();
    desk.s.set_env("HF_TOKEN", "hf_other");
    for model in ["gated", "pinned"] {
        let output = desk.run(&format!("download {model}")).code(5);
        output.says("access is not granted yet").says(&format!("at {}/meta/gated.", desk.hub.url())).says("HTTP 403");
    }
}

#[test]
fn every_hint_names_the_endpoint_that_was_asked_and_no_other_hub() {
    let mut desk = gated();
    desk.hub.repo("bad/disabled").lfs("x.Q4_K_M.gguf", "x").disabled().commit();
    let registry = std::fs::read_to_string(desk.s.project().join("configs/models.yaml")).unwrap();
    desk.s.write("configs/models.yaml", registry + &open_entry("odd", REPO, &[("q2_k", "else.bin")]));
    let (hub, commit) = (desk.hub.url(), desk.hub.commit(REPO));
    let token = format!("a token that {hub} accepts");
    for way in ["HF_ENDPOINT", "--endpoint", "settings"] {
        desk.s.set_env("HF_ENDPOINT", "http://127.0.0.1:9");
        let mut more = String::new();
        match way {
            "HF_ENDPOINT" => desk.s.set_env("HF_ENDPOINT", &hub),
            "--endpoint" => more = format!(" --endpoint {hub}"),
            _ => {
                desk.s.remove_env("HF_ENDPOINT");
                desk.s.write("configs/manager.yaml", format!("endpoints: [\"{hub}\"]\n"));
                desk.s.set_env("HF_TOKEN", TOKEN);
                let output = desk.run("download gated").code(5);
                output.says(&format!("Your token was not sent to {hub}. If you trust it with that: `model-manager config set"));
                desk.run(&format!("config set --user trusted_endpoints {hub}")).ok();
                desk.s.remove_env("HF_TOKEN");
            }
        }
        for (line, code, words) in [
            ("download gated", 5, format!("ask for access at {hub}/meta/gated, then set HF_TOKEN to {token}")),
            ("download absent", 5, token.clone()),
            ("download bad/disabled:q4_k_m", 5, format!("{hub}/bad/disabled may say why")),
            ("download tiny --revision v9", 3, format!("{hub}/{REPO}/tree/main")),
            (&format!("download hf://{REPO}/nope/much.gguf"), 3, format!("{hub}/{REPO}/tree/{commit}")),
            ("lint --online", 1, format!("See the files at {hub}/{REPO}/tree/{commit}")),
        ] {
            let output = desk.run(&format!("{line}{more}")).code(code);
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(all.contains(&words) && !all.contains("huggingface.co"), "{way} {words}: {output}");
        }
        for (secret, words) in [("hf_other", "access is not granted yet"), ("hf_StaleSecret", "unset HF_TOKEN")] {
            desk.s.set_env("HF_TOKEN", secret);
            let output = desk.run(&format!("download gated{more}")).code(5).says(words).says(&hub);
            assert!(!output.stderr.contains("huggingface.co"), "{way}: {output}");
        }
        desk.s.remove_env("HF_TOKEN");
    }
}

#[test]
fn a_mirror_that_only_passes_tokens_on_sends_people_to_the_hub() {
    let mut desk = gated();
    // The test Hub stands in for the mirror, as the proxy through which it is reached.
    desk.s.set_env("http_proxy", desk.hub.url());
    desk.s.set_env("NO_PROXY", "127.0.0.1");
    desk.s.set_env("HF_ENDPOINT", "http://hf-mirror.com");
    let output = desk.run("download gated").code(5).says("no token was sent");
    output.says("ask for access at https://huggingface.co/meta/gated, then set HF_TOKEN to a token from https://huggingface.co/settings/tokens.");
    desk.run("download absent")
        .code(5)
        .says("a token from https://huggingface.co/settings/tokens.")
        .says("http://hf-mirror.com is a mirror");
    // What is there to be seen is seen at the mirror, which is reached where the Hub may not be.
    desk.run("download tiny --revision v9").code(3).says(&format!("at http://hf-mirror.com/{REPO}/tree/main"));
    desk.run("config set --user trusted_endpoints http://hf-mirror.com").ok();
    desk.s.set_env("HF_TOKEN", "hf_other");
    desk.run("download gated").code(5).says("access is not granted yet").says("at https://huggingface.co/meta/gated.");
    desk.s.set_env("HF_TOKEN", TOKEN);
    desk.run("download gated").ok();
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
