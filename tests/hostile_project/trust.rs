//! Secrets and certificates: who sees them, and who says so.

use crate::kit::{FILE, Machine, OTHER, REPO, open_entry};
use crate::scene::{Recorder, TOKEN, follow};

/// A project with an unpinned model, whose settings name a server of their own.
fn project(server: &Recorder) -> Machine {
    let mut machine = Machine::new();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)])]);
    machine.sandbox.write("configs/manager.yaml", format!("endpoints: [\"{}\"]\ntries: 1\n", server.url()));
    machine.sandbox.remove_env("HF_ENDPOINT");
    machine.sandbox.set_env("HF_TOKEN", TOKEN);
    machine
}

/// A lock file with a branch, so that `lock --update` and `sync` have something to ask.
fn lock(machine: &Machine) {
    let content = machine.content();
    machine.sandbox.write(
        "configs/models.lock",
        format!(
            "version: 1\nviews:\n  - model: tiny\n    format: gguf\n    quant: q4_k_m\n    source: registry\n    repo: {REPO}\n    \
             revision: main\n    commit: {}\n    files:\n      - path: {FILE}\n        size: {}\n        sha256: {}\n",
            machine.hub.commit(REPO),
            content.len(),
            content.sha256()
        ),
    );
}

#[test]
fn no_command_sends_the_token_to_a_server_that_only_the_project_names() {
    for line in [
        "download tiny",
        "download o/r:Q4_K_M",
        "download tiny --dry-run",
        "info o/r:Q4_K_M",
        "info tiny --remote",
        "lint --online",
        "add o/r:Q4_K_M",
        "add tiny:q4_k_m --update",
        "lock tiny",
        "lock --update",
        "sync --locked",
        "sync",
    ] {
        let server = Recorder::start();
        let machine = project(&server);
        if line.starts_with("sync") || line.contains("lock --update") {
            lock(&machine);
        }
        let output = machine.run(line);
        assert_ne!(output.status.code(), Some(2), "{output}");
        server.assert_asked_without_a_token();
        let words = format!("the token is not sent to {}", server.url());
        let command = format!("`model-manager config set --user trusted_endpoints {}`", server.url());
        let all = format!("{}{}", output.stdout, output.stderr);
        assert_eq!((all.matches(&words).count(), all.matches(&command).count()), (1, 1), "{output}");
        assert!(!all.contains(TOKEN), "{output}");
    }
}

#[test]
fn a_token_from_any_place_stays_with_the_user() {
    for place in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "saved"] {
        let server = Recorder::start();
        let mut machine = project(&server);
        machine.sandbox.remove_env("HF_TOKEN");
        let file = machine.sandbox.root().join("a-token");
        std::fs::write(&file, TOKEN).unwrap();
        match place {
            "HF_TOKEN_PATH" => machine.sandbox.set_env(place, file),
            "saved" => std::fs::write(machine.sandbox.hf_home().join("token"), TOKEN).unwrap(),
            _ => machine.sandbox.set_env(place, TOKEN),
        }
        machine.run("download tiny").says("the token is not sent");
        server.assert_asked_without_a_token();
    }
}

#[test]
fn the_command_that_is_named_trusts_the_server() {
    let server = Recorder::start();
    let machine = project(&server);
    follow(&machine, &machine.run("download tiny"));
    let output = machine.run("download tiny");
    assert!(!output.stderr.contains("the token is not sent"), "{output}");
    server.assert_got_the_token();
}

#[test]
fn a_server_that_the_user_names_gets_the_token() {
    for by in ["--endpoint", "HF_ENDPOINT", "endpoints", "trusted_endpoints"] {
        let server = Recorder::start();
        let mut machine = project(&server);
        let mut line = "download tiny".to_owned();
        match by {
            "--endpoint" => line.push_str(&format!(" --endpoint {}", server.url())),
            "HF_ENDPOINT" => machine.sandbox.set_env(by, server.url()),
            key => {
                machine.run(&format!("config set --user {key} {}", server.url())).ok();
                if key == "endpoints" {
                    machine.sandbox.write("configs/manager.yaml", "tries: 1\n");
                }
            }
        }
        machine.run(&line);
        server.assert_got_the_token();
    }
}

#[test]
fn a_trusted_server_cannot_send_the_token_on_to_one_that_is_not() {
    let stranger = Recorder::start();
    let friend = Recorder::redirecting(&stranger.url());
    let machine = project(&stranger);
    machine.sandbox.write("configs/manager.yaml", format!("endpoints: [\"{}\", \"{}\"]\ntries: 1\n", friend.url(), stranger.url()));
    machine.run(&format!("config set --user trusted_endpoints {}", friend.url())).ok();
    machine.run("download tiny");
    friend.assert_got_the_token();
    stranger.assert_asked_without_a_token();
}

/// The recorder is the proxy, so that a host elsewhere can be asked without one.
fn far_away(machine: &mut Machine, proxy: &Recorder) {
    machine.sandbox.remove_env("NO_PROXY");
    machine.sandbox.set_env("http_proxy", proxy.url());
}

#[test]
fn nothing_unencrypted_carries_the_token_off_this_machine_unless_the_users_file_says_so() {
    for by in ["--endpoint", "HF_ENDPOINT", "project"] {
        let proxy = Recorder::start();
        let mut machine = project(&proxy);
        far_away(&mut machine, &proxy);
        let mut line = "download tiny".to_owned();
        match by {
            "--endpoint" => line.push_str(" --endpoint http://hub.example"),
            "HF_ENDPOINT" => {
                machine.sandbox.write("configs/manager.yaml", "tries: 1\n");
                machine.sandbox.set_env(by, "http://hub.example");
            }
            _ => drop(machine.sandbox.write("configs/manager.yaml", "endpoints: http://hub.example\ntries: 1\n")),
        }
        let output = machine.run(&line).says("the token is not sent to http://hub.example");
        proxy.assert_asked_without_a_token();
        follow(&machine, &output);
        machine.run(&line);
        proxy.assert_got_the_token();
    }
}

#[test]
fn a_project_cannot_name_certificates() {
    let machine = Machine::new();
    machine.sandbox.write("configs/ca.pem", "no certificate");
    machine.sandbox.write("configs/manager.yaml", "tries: 2\nca_file: configs/ca.pem\n");
    for line in ["list", "download tiny", "info tiny", "lint", "lock", "verify", "gc", "doctor"] {
        let output = machine.run(line).code(2).says("manager.yaml:2:1: a project may not set `ca_file`");
        output.says("`model-manager config set --user ca_file ").says("configs/ca.pem`");
    }
    // The user's own word is the stronger one.
    machine.run("list --ca-file /nowhere.pem").ok();
    machine.run("config set --user ca_file configs/ca.pem").ok();
    machine.run("list").ok();
}

#[test]
fn a_project_cannot_grant_itself_trust() {
    for key in ["trusted_endpoints", "allowed_places", "safe_projects"] {
        let machine = Machine::new();
        machine.sandbox.write("configs/manager.yaml", format!("{key}: [\"http://a\"]\n"));
        machine.run("list").code(2).says(&format!("a project may not set `{key}`"));
    }
    let machine = Machine::new();
    for key in ["token", "proxy", "config", "cache_dir", "log_file", "hf_home"] {
        machine.sandbox.write("configs/manager.yaml", format!("{key}: x\n"));
        machine.run("list").code(2).says("manager.yaml:1:1: unknown key");
    }
}

#[test]
fn the_users_file_is_the_layer_below_the_projects() {
    let mut machine = Machine::new();
    machine.run("config set --user models_dir models-of-mine").ok().prints("models_dir: ");
    machine.run("download tiny").ok().prints("models-of-mine/tiny/");
    machine.sandbox.write("configs/manager.yaml", "models_dir: models-of-the-project\n");
    machine.run("download tiny").ok().prints("models-of-the-project/tiny/");
    machine.sandbox.set_env("MODEL_MANAGER_MODELS_DIR", "models-of-the-variable");
    machine.run("download tiny").ok().prints("models-of-the-variable/tiny/");
    machine.run("download tiny --models-dir models-of-the-flag").ok().prints("models-of-the-flag/tiny/");
}

#[test]
fn what_is_set_for_the_user_keeps_the_rest_of_the_file() {
    let machine = Machine::empty();
    machine.run("config set --user allowed_places one").ok();
    let folder = machine.sandbox.home().join(if cfg!(windows) { "AppData/Roaming/model-manager" } else { ".config/model-manager" });
    let file = if cfg!(target_os = "macos") {
        machine.sandbox.home().join("Library/Application Support/model-manager/config.yaml")
    } else {
        folder.join("config.yaml")
    };
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# mine\n{text}  # more\n\ntries: 3 # few\n")).unwrap();
    machine.run("config set --user allowed_places two one").ok();
    machine.run("config set --user tries 4").ok();
    machine.run("config set --user link copy").ok();
    let text = std::fs::read_to_string(&file).unwrap();
    let place = |name: &str| machine.sandbox.project().join(name).display().to_string();
    for line in ["# mine", "  # more", "tries: 4  # few", "link: copy"] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!((text.matches(&place("one")).count(), text.matches(&place("two")).count()), (1, 1), "{text}");
    let before = text;
    for line in [
        "tries 0",
        "tries 1 2",
        "link teleport",
        "trys 3",
        "token x",
        "trusted_endpoints ftp://x",
        "trusted_endpoints http://a:b@c",
        "allowed_places ",
    ] {
        let words = line.split(' ').collect::<Vec<_>>();
        machine.sandbox.run(["config", "set", "--user"].iter().chain(&words)).code(2);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let rest = crate::kit::names(file.parent().unwrap());
    assert_eq!(rest, ["config.yaml"], "nothing unfinished stays");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    }
}

#[cfg(unix)]
#[test]
fn a_users_file_that_everybody_may_write_says_nothing() {
    let server = Recorder::start();
    let machine = project(&server);
    machine.run(&format!("config set --user trusted_endpoints {}", server.url())).ok();
    let file = machine.sandbox.home().join(".config/model-manager/config.yaml");
    crate::kit::set_mode(&file, 0o666);
    machine.run("download tiny").says("is not used").says("chmod go-w").says("the token is not sent");
    server.assert_asked_without_a_token();
    crate::kit::set_mode(&file, 0o600);
    machine.run("download tiny");
    server.assert_got_the_token();
}

#[cfg(unix)]
#[test]
fn nothing_is_written_beside_what_somebody_else_may_have_planted_in_a_users_file() {
    for (folder_mode, file_mode) in [(0o700, 0o666), (0o777, 0o600)] {
        let machine = Machine::empty();
        machine.run("config set --user trusted_endpoints http://a.example").ok();
        let file = machine.sandbox.home().join(".config/model-manager/config.yaml");
        let folder = file.parent().unwrap();
        let before = std::fs::read_to_string(&file).unwrap();
        crate::kit::set_mode(&file, file_mode);
        crate::kit::set_mode(folder, folder_mode);
        machine.run("config set --user offline false").code(2).says("chmod go-w").says("look through the file first");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
        assert_eq!(crate::kit::names(folder), ["config.yaml"]);
        crate::kit::set_mode(&file, 0o600);
        crate::kit::set_mode(folder, 0o700);
        machine.run("config set --user offline false").ok();
    }
}

#[cfg(unix)]
#[test]
fn a_grant_that_cannot_be_looked_at_grants_nothing_and_stops_nothing() {
    let machine = Machine::new();
    let turning = machine.sandbox.root().join("turning");
    std::os::unix::fs::symlink(&turning, &turning).unwrap();
    let folder = machine.sandbox.home().join(".config/model-manager");
    std::fs::create_dir_all(&folder).unwrap();
    let other = machine.sandbox.root().join("other");
    for key in ["allowed_places", "safe_projects"] {
        for place in [turning.join("x").display().to_string(), format!("/{}", "x".repeat(5_000))] {
            let text = format!("{key}: [\"{place}\", \"{}\"]\n", other.display());
            std::fs::write(folder.join("config.yaml"), text).unwrap();
            crate::kit::set_mode(folder.join("config.yaml"), 0o600);
            crate::kit::set_mode(&folder, 0o700);
            let output = machine.run("list").ok().says("config.yaml").says(key).says("grants nothing");
            assert_eq!(output.stderr.matches("grants nothing").count(), 1, "{output}");
            assert!(output.stderr.len() < 1_000, "{output}");
        }
    }
}

#[test]
fn a_server_that_is_not_trusted_does_not_choose_where_the_token_goes() {
    let friend = Recorder::start();
    let stranger = Recorder::redirecting(&friend.url());
    let machine = project(&stranger);
    machine.sandbox.write("configs/manager.yaml", format!("endpoints: [\"{}\"]\ntries: 1\n", stranger.url()));
    machine.run(&format!("config set --user trusted_endpoints {}", friend.url())).ok();
    for line in ["download tiny", "info tiny --remote", "lock tiny"] {
        machine.run(line);
    }
    stranger.assert_asked_without_a_token();
    assert!(friend.heads().iter().all(|head| !head.contains("authorization")), "{:#?}", friend.heads());
}

#[test]
fn no_proxy_sees_the_token_of_a_server_on_this_machine() {
    let proxy = Recorder::start();
    let mut machine = project(&proxy);
    far_away(&mut machine, &proxy);
    machine.sandbox.write("configs/manager.yaml", "tries: 1\n");
    machine.sandbox.set_env("HF_ENDPOINT", "http://localhost:9999");
    let output = machine.run("download tiny").says("the token is not sent to http://localhost:9999 in clear text");
    proxy.assert_asked_without_a_token();
    follow(&machine, &output);
    machine.run("download tiny");
    proxy.assert_got_the_token();
}
