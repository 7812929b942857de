//! What the Hub refuses: tokens, gates, what is not there. And where a token never goes.

use crate::kit::{FILE, MIB, Machine, REPO, entry, open_entry};
use crate::support::hub::{Content, Gating, Origin};
use crate::transcript::Transcript;
use snapbox::{IntoData, assert_data_eq, str};

const TOKEN: &str = "hf_TestTokenThatIsSecret";

/// A gated and a private repository, a token with access to both and one without.
fn gated() -> Machine {
    let machine = Machine::new();
    machine.hub.repo("meta/gated").lfs("m.Q4_K_M.gguf", Content::synthetic(MIB + 3, 5)).gated(Gating::Manual).commit();
    machine.hub.repo("me/private").lfs("p.Q4_K_M.gguf", Content::synthetic(MIB + 4, 6)).private().commit();
    machine.hub.token(TOKEN, &["meta/gated", "me/private"]);
    machine.hub.token("hf_other", &[]);
    machine.registry(&[
        open_entry("gated", "meta/gated", &[("q4_k_m", "m.Q4_K_M.gguf")]),
        entry(&machine.hub, "pinned", "meta/gated", &[("q4_k_m", "m.Q4_K_M.gguf")]),
        open_entry("private", "me/private", &[("q4_k_m", "p.Q4_K_M.gguf")]),
        open_entry("absent", "no/such", &[("q4_k_m", "x.gguf")]),
        entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]),
    ]);
    machine
}

#[test]
fn a_gated_repository_without_a_token_says_where_to_ask() {
    let machine = gated();
    let mut said = Transcript::of(&machine);
    for model in ["gated", "pinned", "meta/gated"] {
        let output = said.output_of(&machine, &format!("download {model}")).code(5);
        output.says("no token was sent").says(&format!("at {}/meta/gated,", machine.hub.url())).says("HF_TOKEN").says("HTTP 401");
    }
    machine.assert_nothing_published();
    assert_data_eq!(said.to_string(), str![[r#"
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download pinned  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download meta/gated  # exit code 5
! note: no label was named: q4_k_m was chosen
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.

"#]].raw());
}

#[test]
fn a_gated_repository_without_a_grant_says_so() {
    let mut machine = gated();
    let mut said = Transcript::of(&machine);
    machine.sandbox.set_env("HF_TOKEN", "hf_other");
    for model in ["gated", "pinned"] {
        let output = said.output_of(&machine, &format!("download {model}")).code(5);
        output.says("access is not granted yet").says(&format!("at {}/meta/gated.", machine.hub.url())).says("HTTP 403");
    }
    assert_data_eq!(said.to_string(), str![[r#"
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 403 Forbidden for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted and you are not in the authorized list (request Root=[REQUEST])
! hint: The token is good, but access is not granted yet: accept the licence or ask for access at [HUB]/meta/gated. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download pinned  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 403 Forbidden for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted and you are not in the authorized list (request Root=[REQUEST])
! hint: The token is good, but access is not granted yet: accept the licence or ask for access at [HUB]/meta/gated. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.

"#]].raw());
}

#[test]
fn every_hint_names_the_endpoint_that_was_asked_and_no_other_hub() {
    let mut machine = gated();
    machine.hub.repo("bad/disabled").lfs("x.Q4_K_M.gguf", "x").disabled().commit();
    let registry = std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    machine.sandbox.write("configs/models.yaml", registry + &open_entry("odd", REPO, &[("q2_k", "else.bin")]));
    let (hub, commit) = (machine.hub.url(), machine.hub.commit(REPO));
    let token = format!("a token that {hub} accepts");
    let mut messages = Vec::new();
    for way in ["HF_ENDPOINT", "--endpoint", "settings"] {
        machine.sandbox.set_env("HF_ENDPOINT", "http://127.0.0.1:9");
        let mut more = String::new();
        let mut said = Transcript::of(&machine).naming(format!(" --endpoint {hub}"), "");
        match way {
            "HF_ENDPOINT" => machine.sandbox.set_env("HF_ENDPOINT", &hub),
            "--endpoint" => more = format!(" --endpoint {hub}"),
            _ => {
                machine.sandbox.remove_env("HF_ENDPOINT");
                machine.sandbox.write("configs/manager.yaml", format!("endpoints: [\"{hub}\"]\n"));
                machine.sandbox.set_env("HF_TOKEN", TOKEN);
                let mut withheld = Transcript::of(&machine);
                let output = withheld.output_of(&machine, "download gated").code(5);
                assert_data_eq!(withheld.to_string(), str![[r#"
$ download gated  # exit code 5
! warning: the token is not sent to [HUB], which only this project's settings name; if you trust it with the token: `model-manager config set --user trusted_endpoints [HUB]`
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: Your token was not sent to [HUB]. If you trust it with that: `model-manager config set --user trusted_endpoints [HUB]`.

"#]].raw());
                output.says(&format!("Your token was not sent to {hub}. If you trust it with that: `model-manager config set"));
                machine.run(&format!("config set --user trusted_endpoints {hub}")).ok();
                machine.sandbox.remove_env("HF_TOKEN");
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
            let output = machine.run(&format!("{line}{more}")).code(code);
            said.add(line, &output);
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(all.contains(&words) && !all.contains("huggingface.co"), "{way} {words}: {output}");
        }
        for (secret, words) in [("hf_other", "access is not granted yet"), ("hf_StaleSecret", "unset HF_TOKEN")] {
            machine.sandbox.set_env("HF_TOKEN", secret);
            let output = machine.run(&format!("download gated{more}")).code(5).says(words).says(&hub);
            said.add("download gated", &output);
            assert!(!output.stderr.contains("huggingface.co"), "{way}: {output}");
        }
        machine.sandbox.remove_env("HF_TOKEN");
        messages.push(said.to_string());
    }
    assert!(messages.iter().all(|said| *said == messages[0]), "{messages:#?}");
    assert_data_eq!(messages.swap_remove(0), str![[r#"
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download absent  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download bad/disabled:q4_k_m  # exit code 5
! error: HTTP 403 Forbidden for [HUB]/api/models/bad/disabled/revision/main: Access to this resource is disabled (request Root=[REQUEST])
! hint: The Hub has disabled this repository; [HUB]/bad/disabled may say why. Use another one.
$ download tiny --revision v9  # exit code 3
! error: the repository `TheBloke/Tiny-GGUF` has no such revision (HTTP 404 Not Found for [HUB]/api/models/TheBloke/Tiny-GGUF/revision/v9: Invalid rev id: v9 (request Root=[REQUEST]))
! hint: See the branches and tags at [HUB]/TheBloke/Tiny-GGUF/tree/main.
$ download hf://TheBloke/Tiny-GGUF/nope/much.gguf  # exit code 3
! error: there is no nope/much.gguf of TheBloke/Tiny-GGUF at [COMMIT]
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
$ lint --online  # exit code 1
configs/models.yaml:2:3: note: model `gated` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:2:3: note: model `gated` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:6:9: warning: `gated:q4_k_m` is not pinned; the main branch of meta/gated is at [COMMIT] now [revision]
    Write `revision: "[COMMIT]"`, or run `model-manager add gated:q4_k_m --update`.
configs/models.yaml:6:9: warning: `meta/gated` asks for accepted terms and a token now [gated]
    Write `gated: true`.
configs/models.yaml:6:9: note: no `size` is written for m.Q4_K_M.gguf; the Hub gives one [size]
    Write `size: 1048579`, or run `model-manager add gated:q4_k_m --update`.
configs/models.yaml:8:11: warning: no `sha256` is written for m.Q4_K_M.gguf; the Hub publishes one [sha256]
    Write `sha256: "[SHA256]"`, or run `model-manager add gated:q4_k_m --update`.
configs/models.yaml:9:3: note: model `pinned` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:9:3: note: model `pinned` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:18:3: note: model `private` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:18:3: note: model `private` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:19:5: error: `private:q4_k_m` cannot be had: HTTP 401 Unauthorized for [HUB]/api/models/me/private/revision/main: Invalid username or password (request Root=[REQUEST]) [repository]
    Either the repository `me/private` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
configs/models.yaml:22:9: warning: `private:q4_k_m` has no `revision`: each download asks for what the main branch holds then [revision]
    Run `model-manager add private:q4_k_m --update`, or write the commit.
configs/models.yaml:22:9: note: no `size` is given for p.Q4_K_M.gguf (`private:q4_k_m`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add private:q4_k_m --update`.
configs/models.yaml:24:11: warning: no `sha256` is given for p.Q4_K_M.gguf (`private:q4_k_m`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add private:q4_k_m --update`.
configs/models.yaml:25:3: note: model `absent` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:25:3: note: model `absent` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:26:5: error: `absent:q4_k_m` cannot be had: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST]) [repository]
    Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
configs/models.yaml:29:9: warning: `absent:q4_k_m` has no `revision`: each download asks for what the main branch holds then [revision]
    Run `model-manager add absent:q4_k_m --update`, or write the commit.
configs/models.yaml:29:9: note: no `size` is given for x.gguf (`absent:q4_k_m`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add absent:q4_k_m --update`.
configs/models.yaml:31:11: warning: no `sha256` is given for x.gguf (`absent:q4_k_m`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add absent:q4_k_m --update`.
configs/models.yaml:32:3: note: model `tiny` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:32:3: note: model `tiny` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:41:3: note: model `odd` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:41:3: note: model `odd` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:45:9: warning: `odd:q2_k` is not pinned; the main branch of TheBloke/Tiny-GGUF is at [COMMIT] now [revision]
    Write `revision: "[COMMIT]"`, or run `model-manager add odd:q2_k --update`.
configs/models.yaml:45:9: note: no `size` is given for else.bin (`odd:q2_k`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add odd:q2_k --update`.
configs/models.yaml:46:11: error: there is no else.bin in TheBloke/Tiny-GGUF at [COMMIT] [file]
    See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
configs/models.yaml:47:11: warning: no `sha256` is given for else.bin (`odd:q2_k`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add odd:q2_k --update`.
failed: configs/models.yaml, 6 entries: 3 errors, 9 warnings, 16 notes; the Hub was asked
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 403 Forbidden for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted and you are not in the authorized list (request Root=[REQUEST])
! hint: The token is good, but access is not granted yet: accept the licence or ask for access at [HUB]/meta/gated. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download gated  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/meta/gated/revision/main: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.

"#]].raw());
}

#[test]
fn a_mirror_that_only_passes_tokens_on_sends_people_to_the_hub() {
    let mut machine = gated();
    let mut said = Transcript::of(&machine);
    // The test Hub stands in for the mirror, as the proxy through which it is reached.
    machine.sandbox.set_env("http_proxy", machine.hub.url());
    machine.sandbox.set_env("NO_PROXY", "127.0.0.1");
    machine.sandbox.set_env("HF_ENDPOINT", "http://hf-mirror.com");
    let output = said.output_of(&machine, "download gated").code(5).says("no token was sent");
    output.says("ask for access at https://huggingface.co/meta/gated, then set HF_TOKEN to a token from https://huggingface.co/settings/tokens.");
    said.output_of(&machine, "download absent")
        .code(5)
        .says("a token from https://huggingface.co/settings/tokens.")
        .says("http://hf-mirror.com is a mirror");
    // What is there to be seen is seen at the mirror, which is reached where the Hub may not be.
    said.output_of(&machine, "download tiny --revision v9").code(3).says(&format!("at http://hf-mirror.com/{REPO}/tree/main"));
    machine.run("config set --user trusted_endpoints http://hf-mirror.com").ok();
    machine.sandbox.set_env("HF_TOKEN", "hf_other");
    said.output_of(&machine, "download gated")
        .code(5)
        .says("access is not granted yet")
        .says("at https://huggingface.co/meta/gated.");
    machine.sandbox.set_env("HF_TOKEN", TOKEN);
    machine.run("download gated").ok();
    assert_data_eq!(said.to_string(), str![[r#"
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for http://hf-mirror.com/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at https://huggingface.co/meta/gated, then set HF_TOKEN to a token from https://huggingface.co/settings/tokens. http://hf-mirror.com is a mirror: it has no accounts of its own and passes the token on.
$ download absent  # exit code 5
! error: HTTP 401 Unauthorized for http://hf-mirror.com/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token from https://huggingface.co/settings/tokens. http://hf-mirror.com is a mirror: it has no accounts of its own and passes the token on.
$ download tiny --revision v9  # exit code 3
! error: the repository `TheBloke/Tiny-GGUF` has no such revision (HTTP 404 Not Found for http://hf-mirror.com/api/models/TheBloke/Tiny-GGUF/revision/v9: Invalid rev id: v9 (request Root=[REQUEST]))
! hint: See the branches and tags at http://hf-mirror.com/TheBloke/Tiny-GGUF/tree/main.
$ download gated  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 403 Forbidden for http://hf-mirror.com/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted and you are not in the authorized list (request Root=[REQUEST])
! hint: The token is good, but access is not granted yet: accept the licence or ask for access at https://huggingface.co/meta/gated. http://hf-mirror.com is a mirror: it has no accounts of its own and passes the token on.

"#]].raw());
}

#[test]
fn a_token_opens_the_gate_and_goes_nowhere_else() {
    let mut machine = gated();
    machine.sandbox.set_env("HF_TOKEN", TOKEN);
    let output = machine.run("download gated pinned private -v").ok();
    assert!(!output.stderr.contains(TOKEN) && !output.stdout.contains(TOKEN), "{output}");
    machine.hub.assert_no_token_on_cdn();
    let sent = machine.hub.count();
    let with_token =
        |origin| sent.requests.iter().filter(move |r| r.origin == origin && r.header("authorization").is_some()).count();
    assert!(with_token(Origin::Hub) > 0);
    assert_eq!(with_token(Origin::Cdn), 0);
    machine.assert_tidy();
    // Not in any record either.
    for (path, ..) in machine.sandbox.tree().files() {
        let bytes = std::fs::read(machine.sandbox.project().join(path)).unwrap();
        assert!(!bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()), "{path}");
        assert!(!bytes.windows(12).any(|part| part == b"X-Amz-Signat"), "{path} holds a signature");
    }
}

#[test]
fn a_token_is_found_where_the_official_client_keeps_it() {
    let mut machine = gated();
    let mut said = Transcript::of(&machine);
    std::fs::write(machine.sandbox.hf_home().join("token"), format!("{TOKEN}\n")).unwrap();
    machine.run("download gated").ok();
    let file = machine.sandbox.root().join("my-token");
    std::fs::write(&file, TOKEN).unwrap();
    std::fs::remove_file(machine.sandbox.hf_home().join("token")).unwrap();
    said.output_of(&machine, "download private").code(5);
    machine.sandbox.set_env("HF_TOKEN_PATH", &file);
    machine.run("download private").ok();
    machine.sandbox.set_env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
    said.output_of(&machine, "download pinned --force").code(5);
    assert_data_eq!(said.to_string(), str![[r#"
$ download private  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/me/private/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `me/private` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download pinned --force  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and no token was sent: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.

"#]].raw());
}

#[test]
fn a_stale_token_is_told_as_such_and_never_printed() {
    let mut machine = gated();
    let mut said = Transcript::of(&machine);
    machine.sandbox.set_env("HF_TOKEN", "hf_StaleSecret");
    for (line, hint) in [
        ("download tiny -v", "unset HF_TOKEN"),
        ("download TheBloke/Tiny-GGUF:q4_k_m", "unset HF_TOKEN"),
        ("download gated", "unset HF_TOKEN"),
        ("download pinned", "the token in use is not accepted"),
    ] {
        let output = said.output_of(&machine, line).code(5).says(hint);
        assert!(!output.stderr.contains("hf_StaleSecret"), "{output}");
    }
    let json = said.output_of(&machine, "download tiny --json").code(5);
    assert!(!json.stdout.contains("hf_StaleSecret"));
    assert_eq!(json.json()["error"]["kind"], "auth");
    assert_data_eq!(said.to_string(), str![[r#"
$ download tiny -v  # exit code 5
! note: models folder: [PROJECT]/models
! note: registry: [PROJECT]/configs/models.yaml
! note: store: .blobs in the models folder
! note: links: auto
! note: network: [HUB], with a token, 8 connections (up to 16 for small files and slow servers)
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: stopped
! error: tiny.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/TheBloke/Tiny-GGUF/resolve/[COMMIT]/tiny.Q4_K_M.gguf: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download TheBloke/Tiny-GGUF:q4_k_m  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/TheBloke/Tiny-GGUF/revision/main: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download gated  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/meta/gated/revision/main: Invalid credentials in Authorization header (request Root=[REQUEST])
! hint: The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download pinned  # exit code 5
! m.Q4_K_M.gguf: fetching 1.05 MB
! m.Q4_K_M.gguf: stopped
! error: m.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/meta/gated/resolve/[COMMIT]/m.Q4_K_M.gguf: Access to model meta/gated is restricted. You must have access to it and be authenticated (request Root=[REQUEST])
! hint: The repository is gated and the token in use is not accepted: ask for access at [HUB]/meta/gated, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download tiny --json  # exit code 5
{
  "error": {
    "causes": [],
    "exit_code": 5,
    "hint": "The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set it to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.",
    "kind": "auth",
    "message": "tiny.Q4_K_M.gguf: HTTP 401 Unauthorized for [HUB]/TheBloke/Tiny-GGUF/resolve/[COMMIT]/tiny.Q4_K_M.gguf: Invalid credentials in Authorization header (request Root=[REQUEST])"
  },
  "version": 1
}
! tiny.Q4_K_M.gguf: fetching 2.10 MB
! tiny.Q4_K_M.gguf: stopped

"#]].raw());
}

#[test]
fn a_repository_that_is_missing_or_private_names_all_causes() {
    let mut machine = gated();
    let mut said = Transcript::of(&machine);
    for model in ["absent", "private", "no/such:q4_k_m"] {
        let output = said.output_of(&machine, &format!("download {model}")).code(5);
        output.says("does not exist").says("private").says("HF_TOKEN").says("HTTP 401");
    }
    machine.sandbox.set_env("HF_TOKEN", "hf_other");
    for (model, repo) in [("absent", "no/such"), ("private", "me/private")] {
        let output = said.output_of(&machine, &format!("download {model}")).code(3);
        output.says(&format!("there is no repository `{repo}`")).says("private repository needs a token");
    }
    assert_data_eq!(said.to_string(), str![[r#"
$ download absent  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download private  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/me/private/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `me/private` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download no/such:q4_k_m  # exit code 5
! error: HTTP 401 Unauthorized for [HUB]/api/models/no/such/revision/main: Invalid username or password (request Root=[REQUEST])
! hint: Either the repository `no/such` does not exist, or it is private, or the token is missing or wrong: check the name, then set HF_TOKEN to a token that [HUB] accepts. If [HUB] is a mirror, access and tokens are those of the Hub that it mirrors.
$ download absent  # exit code 3
! error: there is no repository `no/such` on the Hub (HTTP 404 Not Found for [HUB]/api/models/no/such/revision/main: Repository not found (request Root=[REQUEST]))
! hint: Check the name `no/such`; a private repository needs a token that may read it (HF_TOKEN).
$ download private  # exit code 3
! error: there is no repository `me/private` on the Hub (HTTP 404 Not Found for [HUB]/api/models/me/private/revision/main: Repository not found (request Root=[REQUEST]))
! hint: Check the name `me/private`; a private repository needs a token that may read it (HF_TOKEN).

"#]].raw());
}

#[test]
fn a_disabled_repository_is_told_as_such() {
    let machine = Machine::new();
    let mut said = Transcript::of(&machine);
    machine.hub.repo("bad/disabled").lfs("x.Q4_K_M.gguf", "x").disabled().commit();
    said.output_of(&machine, "download bad/disabled:q4_k_m").code(5).says("disabled");
    assert_data_eq!(said.to_string(), str![[r#"
$ download bad/disabled:q4_k_m  # exit code 5
! error: HTTP 403 Forbidden for [HUB]/api/models/bad/disabled/revision/main: Access to this resource is disabled (request Root=[REQUEST])
! hint: The Hub has disabled this repository; [HUB]/bad/disabled may say why. Use another one.

"#]].raw());
}

#[test]
fn a_missing_file_or_revision_is_not_found() {
    let machine = Machine::new();
    let mut said = Transcript::of(&machine);
    let before = machine.sandbox.tree();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", "tiny.Q4_K_S.gguf"), ("q2_k", "else.bin")])]);
    let after = machine.sandbox.tree();
    assert_ne!(before.changes_to(&after).len(), 0);
    said.output_of(&machine, "download tiny").code(3).says("there is no tiny.Q4_K_S.gguf").says(FILE);
    said.output_of(&machine, "download tiny:q2_k").code(3).says("there is no else.bin").says("hint: ");
    said.output_of(&machine, "download tiny --revision v9").code(3).says("no such revision").says("branches and tags");
    said.output_of(&machine, &format!("download {REPO}:q3_k_l")).code(3).says("q3_k_l").says("q4_k_m");
    said.output_of(&machine, &format!("download hf://{REPO}/nope.gguf")).code(3).says("nope.gguf");
    said.output_of(&machine, &format!("download {REPO} --format safetensors")).code(3).says("safetensors");
    after.assert_same(&machine.sandbox.tree());

    // Pinned to a commit that holds another file: nobody is asked before the download itself.
    let pinned = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]).replace(FILE, "gone.gguf");
    machine.registry(&[pinned]);
    said.output_of(&machine, "download tiny").code(3).says("gone.gguf").says("no such file");
    machine.assert_nothing_published();
    assert_data_eq!(said.to_string(), str![[r#"
$ download tiny  # exit code 3
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q2_k
! note: the file of `tiny:q4_k_m` is named like `q4_k_s`
! error: there is no tiny.Q4_K_S.gguf of TheBloke/Tiny-GGUF at [COMMIT]
! hint: The nearest name there is `tiny.Q4_K_M.gguf`: correct it in the registry.
$ download tiny:q2_k  # exit code 3
! error: there is no else.bin of TheBloke/Tiny-GGUF at [COMMIT]
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
$ download tiny --revision v9  # exit code 3
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q2_k
! note: the file of `tiny:q4_k_m` is named like `q4_k_s`
! error: the repository `TheBloke/Tiny-GGUF` has no such revision (HTTP 404 Not Found for [HUB]/api/models/TheBloke/Tiny-GGUF/revision/v9: Invalid rev id: v9 (request Root=[REQUEST]))
! hint: See the branches and tags at [HUB]/TheBloke/Tiny-GGUF/tree/main.
$ download TheBloke/Tiny-GGUF:q3_k_l  # exit code 3
! error: the repository has no GGUF file of the label `q3_k_l`
! hint: There is: `model-manager download TheBloke/Tiny-GGUF:q4_k_m` (2.10 MB), `model-manager download TheBloke/Tiny-GGUF:q8_0` (1.05 MB).
$ download hf://TheBloke/Tiny-GGUF/nope.gguf  # exit code 3
! error: there is no nope.gguf of TheBloke/Tiny-GGUF at [COMMIT]
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/f60694ea0f8943f65d750065c1b64fec078b6be3.
$ download TheBloke/Tiny-GGUF --format safetensors  # exit code 3
! error: the repository has no safetensors weights in its root folder
! hint: There is: *.gguf.
$ download tiny  # exit code 3
! gone.gguf: fetching 2.10 MB
! gone.gguf: stopped
! error: gone.gguf: the repository `TheBloke/Tiny-GGUF` has no such file (HTTP 404 Not Found for [HUB]/TheBloke/Tiny-GGUF/resolve/[COMMIT]/gone.gguf: Entry not found (request Root=[REQUEST]))
! hint: See the files at [HUB]/TheBloke/Tiny-GGUF/tree/main.

"#]].raw());
}

#[test]
fn a_registry_that_disagrees_with_the_hub_says_what_differs() {
    let machine = Machine::new();
    let mut said = Transcript::of(&machine);
    let pinned = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    let revision = format!("    revision: \"{}\"\n", machine.hub.commit(REPO));
    let other = "ab".repeat(32);
    machine.registry(&[pinned.replace(&revision, "").replace(machine.content().sha256(), &other)]);
    said.output_of(&machine, "download tiny")
        .code(4)
        .says("the registry gives the sha256 abab")
        .says(machine.content().sha256())
        .says("hint: ");
    machine.registry(&[pinned.replace(&revision, "").replace("size: 2097159", "size: 5")]);
    said.output_of(&machine, "download tiny").code(4).says("the registry gives the size 5").says("2097159");
    machine.assert_nothing_published();
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ download tiny  # exit code 4
! error: the registry gives the sha256 [SHA256] for tiny.Q4_K_M.gguf of TheBloke/Tiny-GGUF at [COMMIT], the Hub [SHA256]
! hint: The file was changed upstream. Correct the entry of `tiny`: pin a `revision`, or update `sha256` and `size`.
$ download tiny  # exit code 4
! error: the registry gives the size 5 for tiny.Q4_K_M.gguf of TheBloke/Tiny-GGUF at [COMMIT], the Hub 2097159
! hint: The file was changed upstream. Correct the entry of `tiny`: pin a `revision`, or update `sha256` and `size`.

"#]]
        .raw()
    );
}

#[test]
fn a_plain_file_that_is_not_what_the_registry_pins_is_refused() {
    let machine = Machine::empty();
    let mut said = Transcript::of(&machine);
    machine.hub.repo("a/set").lfs("model.safetensors", Content::synthetic(9000, 1)).plain("config.json", "{}").commit();
    let pinned = |sha256: &str| {
        format!(
            "models:\n  set:\n    huggingface_id: \"a/set\"\n    formats:\n      safetensors:\n        expect:\n          - path: \"config.json\"\n            sha256: \"{sha256}\"\n"
        )
    };
    machine.sandbox.write("configs/models.yaml", pinned(machine.hub.content("a/set", "model.safetensors").sha256()));
    said.output_of(&machine, "download set --format safetensors").code(4).says("config.json");
    assert!(!machine.sandbox.project().join("models/set").exists());
    machine.sandbox.write("configs/models.yaml", pinned(machine.hub.content("a/set", "config.json").sha256()));
    machine.run("download set --format safetensors").ok();
    machine.assert_tidy();
    assert_data_eq!(said.to_string(), str![[r#"
$ download set --format safetensors  # exit code 4
! config.json: fetching 2 B
! config.json: stopped
! warning: the content of config.json is wrong: expected sha256 [SHA256], got sha256 [SHA256]; it is downloaded again from [HUB] and as a whole
! config.json: fetching 2 B
! config.json: stopped
! error: the content of config.json is wrong: expected sha256 [SHA256], got sha256 [SHA256]
! hint: Nothing was published and the wrong bytes were dropped. Run the download again; if it repeats, the source serves another file than the registry pins: check its `sha256` and `revision`.

"#]].raw());
}
