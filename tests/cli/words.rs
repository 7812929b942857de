//! What people type wrong, and what programs read: exit codes, one clear error, JSON, pipes, quiet.

use std::io::Read;
use std::process::Stdio;

use crate::kit::{FILE, MIB, Machine, OTHER, PATH, REPO, entry, set_mode};
use crate::support::hub::{Fault, Match};
use crate::support::run::Output;
use crate::transcript::Transcript;
use snapbox::{IntoData, assert_data_eq, str};

/// Fails with this code and these words.
#[track_caller]
fn refuses(machine: &Machine, line: &str, code: i32, words: &[&str]) {
    let output = refused(machine, line).code(code);
    for word in words {
        assert!(output.stderr.contains(word), "stderr lacks {word:?}: {output}");
    }
}

/// Fails with one error and a next step, sends nothing and writes nothing.
#[track_caller]
fn refused(machine: &Machine, line: &str) -> Output {
    let (before, sent) = (machine.sandbox.tree(), machine.hub.count().total_requests());
    let output = machine.run(line);
    assert_ne!(output.status.code(), Some(0), "{output}");
    assert_eq!(output.stdout, "", "{output}");
    assert_eq!(output.stderr.matches("error: ").count(), 1, "one error: {output}");
    assert!(output.stderr.contains("hint: ") || output.stderr.contains("--help"), "no next step: {output}");
    assert!(!output.stderr.contains("panicked") && !output.stderr.contains("Some("), "{output}");
    assert_eq!(machine.hub.count().total_requests(), sent, "{line}");
    before.assert_same(&machine.sandbox.tree());
    output
}

/// The whole messages of commands that are refused.
#[track_caller]
fn refusals(machine: &Machine, lines: &[&str]) -> String {
    let mut said = Transcript::of(machine);
    for line in lines {
        said.add(line, &refused(machine, line));
    }
    said.to_string()
}

#[test]
fn an_unknown_model_gets_the_nearest_name() {
    let machine = Machine::new();
    let lines = ["download tinny", "info tinny", "path tinny", "verify tinny", "remove tinny", "download something-else"];
    assert_data_eq!(refusals(&machine, &lines), str![[r#"
$ download tinny  # exit code 3
! error: model `tinny` not found in registry [PROJECT]/configs/models.yaml
! hint: Did you mean `tiny`? Run `model-manager download tiny`. Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.
$ info tinny  # exit code 3
! error: model `tinny` not found in registry [PROJECT]/configs/models.yaml
! hint: Did you mean `tiny`? Run `model-manager info tiny`. Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.
$ path tinny  # exit code 3
! error: model `tinny` not found in registry [PROJECT]/configs/models.yaml
! hint: Did you mean `tiny`? Run `model-manager path tiny`. Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.
$ verify tinny  # exit code 3
! error: model `tinny` not found in registry [PROJECT]/configs/models.yaml
! hint: Did you mean `tiny`? Run `model-manager verify tiny`. Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.
$ remove tinny  # exit code 3
! error: model `tinny` not found in registry [PROJECT]/configs/models.yaml
! hint: Did you mean `tiny`? Run `model-manager remove tiny`. Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.
$ download something-else  # exit code 3
! error: model `something-else` not found in registry [PROJECT]/configs/models.yaml
! hint: Run `model-manager list` to list what is here, `model-manager info` to list the models of the registry.

"#]].raw());
    for command in ["info", "path", "verify", "remove"] {
        refuses(&machine, &format!("{command} something-else"), 3, &["model-manager info"]);
    }
}

#[test]
fn an_unknown_form_lists_what_there_is() {
    let machine = Machine::new();
    let lines = [
        "download tiny --quant q5_k_m",
        "download tiny --quant q4km",
        "download tiny:q9",
        "download tiny --format safetensors",
        "download tiny:q8_0 --quant q4_k_m",
        "download tiny --quant a/b",
    ];
    assert_data_eq!(
        refusals(&machine, &lines),
        str![[r#"
$ download tiny --quant q5_k_m  # exit code 3
! error: model `tiny` has no quantization `q5_k_m` in format gguf; it has q4_k_m, q8_0
! hint: Did you mean `q4_k_m`? Run `model-manager info tiny` to see what it has.
$ download tiny --quant q4km  # exit code 3
! error: model `tiny` has no quantization `q4km` in format gguf; it has q4_k_m, q8_0
! hint: Did you mean `q4_k_m`? Run `model-manager info tiny` to see what it has.
$ download tiny:q9  # exit code 3
! error: model `tiny` has no quantization `q9` in format gguf; it has q4_k_m, q8_0
! hint: Run `model-manager info tiny` to see what it has.
$ download tiny --format safetensors  # exit code 3
! error: model `tiny` has no format `safetensors`; it has gguf
! hint: Run `model-manager info tiny` to see what it has.
$ download tiny:q8_0 --quant q4_k_m  # exit code 2
! error: two quantizations are given: `q8_0` in the name and `q4_k_m` beside it
! hint: Give only one of them.
$ download tiny --quant a/b  # exit code 2
! error: invalid value 'a/b' for '--quant <QUANT>': `a/b` is not a quantization: the character `/` may not stand in a file name
!
! For more information, try '--help'.

"#]]
        .raw()
    );
}

#[test]
fn a_bad_registry_is_told_by_line_and_column() {
    let machine = Machine::new();
    for (text, place) in [
        ("models:\n  tiny:\n    huggingface_id: [\n", "models.yaml:"),
        ("\tmodels: {}\n", "models.yaml:1"),
        ("[]\n", "models.yaml:1:1"),
        ("<<<<<<< HEAD\nmodels: {}\n=======\nmodels: {}\n>>>>>>> theirs\n", "models.yaml:1:1: a merge left a conflict"),
    ] {
        machine.sandbox.write("configs/models.yaml", text);
        for line in ["info", "download tiny", "verify", "remove tiny", "path tiny", "lock tiny"] {
            refuses(&machine, line, 2, &[place, "Correct line"]);
        }
        // It goes on, and says more than that.
        machine.run("doctor").code(1).prints(place);
    }
    for (text, place) in [
        ("models:\n  tiny:\n   - x\n", "models.yaml:3"),
        ("models:\n  tiny:\n    hugingface_id: \"a/b\"\n    formats: {gguf: {q4_k_m: {file: \"x.gguf\"}}}\n", "models.yaml:3:5"),
        (
            "models:\n  tiny:\n    huggingface_id: \"a/b\"\n    formats:\n      gguf:\n        q4_k_m:\n          file: \"x.gguf\"\n          sha256: \"123\"\n",
            "models.yaml:8",
        ),
    ] {
        machine.sandbox.write("configs/models.yaml", text);
        for line in ["download tiny", "verify tiny", "remove tiny", "path tiny", "lock tiny", "info tiny"] {
            refuses(&machine, line, 2, &[place, "Correct line"]);
        }
        for line in ["info", "verify"] {
            let output = machine.run(line).ok().says("warning: ").says(place);
            assert_eq!(output.stderr.matches(place).count(), 1, "{output}");
        }
        machine.run("lint").code(1).prints(place);
        machine.run("doctor").code(1).prints(place);
    }
    machine.sandbox.write("configs/models.yaml", [0xff, 0xfe, 0x00]);
    refuses(&machine, "info", 2, &["models.yaml"]);
    machine.sandbox.write("configs/models.yaml", "models: {}\n");
    machine.sandbox.write("configs/manager.yaml", "conections: 4\n");
    refuses(&machine, "list", 2, &["manager.yaml:1:1", "connections"]);
    machine.sandbox.write("configs/manager.yaml", "connections: many\n");
    refuses(&machine, "list", 2, &["manager.yaml:1:"]);
    // What needs neither still works.
    machine.run("completions bash").ok();
}

#[test]
fn a_bad_entry_of_the_registry_ends_only_itself() {
    let machine = Machine::new();
    let good = std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    machine.run("download tiny:q4_k_m").ok();
    machine.run("lock").ok();
    let lock = std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap();
    machine.sandbox.write("configs/models.yaml", good.clone() + "  odd: {huggingface_id: 12, formats: guff}\n");
    for line in ["verify tiny", "download tiny:q8_0", "path tiny:q8_0", "info tiny", "remove tiny:q8_0", "sync", "lock --check"] {
        machine.run(line).ok();
    }
    refuses(&machine, "download odd", 2, &["configs/models.yaml:", "expected `owner/name`", "Correct line"]);
    let lint = machine.run("lint").code(1).stdout;
    assert!(lint.contains("expected `owner/name`") && lint.contains("`formats` to be a mapping"), "{lint}");
    // What is here and whose own entry is bad can be looked at and removed; that its entry is gone is not said.
    machine.sandbox.write("configs/models.yaml", good.replacen("size: ", "size: -", 1));
    for line in ["verify", "path tiny:q4_k_m", "verify tiny:q4_k_m"] {
        machine.run(line).ok().says("expected a number of bytes");
    }
    refuses(&machine, "lock", 2, &["expected a number of bytes"]);
    assert_eq!(std::fs::read_to_string(machine.sandbox.project().join("configs/models.lock")).unwrap(), lock);
    machine.run("remove tiny:q4_k_m").ok();
    machine.assert_tidy();
}

#[test]
#[cfg(unix)]
fn a_link_of_somebody_elses_that_leads_nowhere_is_no_loss() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m").ok();
    let folder = machine.sandbox.models().join("tiny/gguf/q4_k_m");
    if std::os::unix::fs::symlink("/nowhere/notes.gguf", folder.join("mine.gguf")).is_ok() {
        let said = machine.run("doctor --json").json();
        let own: Vec<_> =
            said["findings"].as_array().unwrap().iter().filter(|finding| finding.to_string().contains("mine")).collect();
        assert_eq!(own.len(), 1, "{said:#}");
        assert!(own[0]["message"].as_str().unwrap().starts_with("a link that is not of this program"), "{said:#}");
        assert_ne!(own[0]["severity"], "loss", "{said:#}");
    }
}

#[test]
fn a_bad_registry_keeps_nobody_from_looking_around_and_making_room() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let listed = machine.run("list").ok().stdout;
    assert!(listed.contains("tiny"), "{listed}");
    machine.sandbox.write("configs/models.yaml", "models: [\n");
    assert_eq!(machine.run("list").ok().stdout, listed);
    for line in ["df", "projects", "gc", "gc --dry-run"] {
        machine.run(line).ok();
    }
    let blob = machine.blob(&machine.content());
    machine.run(&format!("why {}", blob.file_name().unwrap().to_str().unwrap())).ok();
    assert!(blob.exists());
}

#[test]
fn bad_options_are_usage_errors_with_the_value() {
    let machine = Machine::new();
    let lines = [
        "download tiny --limit-rate fast",
        "download tiny --limit-rate -5",
        "download tiny --limit-rate 0",
        "download tiny --lock-timeout soon",
        "download tiny --link teleport",
        "download tiny --connections 0",
        "download tiny --connections many",
        "download tiny --endpoint huggingface.co",
        "download tiny --endpoint ftp://x",
        "download tiny --revision ../x",
        "download tiny --colour always",
        "downlod tiny",
        "download",
        "verify tiny --quick --rehash",
        "list extra",
        "download tiny --config nowhere.yaml",
        "list --config nowhere.yaml",
        "download tiny --ca-file nowhere.pem",
    ];
    let said = refusals(&machine, &lines);
    assert_eq!(said.matches("# exit code 2").count(), lines.len(), "{said}");
    assert_data_eq!(said, str![[r#"
$ download tiny --limit-rate fast  # exit code 2
! error: invalid value 'fast' for '--limit-rate <RATE>': expected bytes per second such as `800K`, `5M` or `1.5MB`, or `none`
!
! For more information, try '--help'.
$ download tiny --limit-rate -5  # exit code 2
! error: unexpected argument '-5' found
!
!   tip: to pass '-5' as a value, use '-- -5'
!
! Usage: model-manager download [OPTIONS] <MODEL>...
!
! For more information, try '--help'.
$ download tiny --limit-rate 0  # exit code 2
! error: invalid value '0' for '--limit-rate <RATE>': a limit is at least one byte and at most a petabyte per second; expected bytes per second such as `800K`, `5M` or `1.5MB`, or `none`
!
! For more information, try '--help'.
$ download tiny --lock-timeout soon  # exit code 2
! error: invalid value 'soon' for '--lock-timeout <TIME>': expected a time such as `30s`, `5m` or `1h`, or `never` to wait for ever
!
! For more information, try '--help'.
$ download tiny --link teleport  # exit code 2
! error: invalid value 'teleport' for '--link <MODE>'
!   [possible values: auto, symlink, hardlink, reflink, copy]
!
! For more information, try '--help'.
$ download tiny --connections 0  # exit code 2
! error: invalid value '0' for '--connections <N>': expected a number from 1 to 64
!
! For more information, try '--help'.
$ download tiny --connections many  # exit code 2
! error: invalid value 'many' for '--connections <N>': expected a number from 1 to 64
!
! For more information, try '--help'.
$ download tiny --endpoint huggingface.co  # exit code 2
! error: invalid value 'huggingface.co' for '--endpoint <URL>': relative URL without a base; expected an address such as `https://huggingface.co`
!
! For more information, try '--help'.
$ download tiny --endpoint ftp://x  # exit code 2
! error: invalid value 'ftp://x' for '--endpoint <URL>': expected an address such as `https://huggingface.co`
!
! For more information, try '--help'.
$ download tiny --revision ../x  # exit code 2
! error: invalid value '../x' for '--revision <REVISION>': `../x` is not a revision: a part of it is empty, `.` or `..`
!
! For more information, try '--help'.
$ download tiny --colour always  # exit code 2
! error: unexpected argument '--colour' found
!
!   tip: a similar argument exists: '--color'
!
! Usage: model-manager download <MODEL>...
!
! For more information, try '--help'.
$ downlod tiny  # exit code 2
! error: unrecognized subcommand 'downlod'
!
!   tip: a similar subcommand exists: 'download'
!
! Usage: model-manager <COMMAND>
!
! For more information, try '--help'.
$ download  # exit code 2
! error: the following required arguments were not provided:
!   <MODEL>...
!
! Usage: model-manager download <MODEL>...
!
! For more information, try '--help'.
$ verify tiny --quick --rehash  # exit code 2
! error: the argument '--quick' cannot be used with '--rehash'
!
! Usage: model-manager verify --quick <MODEL>...
!
! For more information, try '--help'.
$ list extra  # exit code 2
! error: unexpected argument 'extra' found
!
! Usage: model-manager list [OPTIONS]
!
! For more information, try '--help'.
$ download tiny --config nowhere.yaml  # exit code 2
! error: there is no registry at [PROJECT]/nowhere.yaml
! hint: Name another file with `--config`, or leave it out to use the built-in registry.
$ list --config nowhere.yaml  # exit code 2
! error: there is no registry at [PROJECT]/nowhere.yaml
! hint: Name another file with `--config`, or leave it out to use the built-in registry.
$ download tiny --ca-file nowhere.pem  # exit code 2
! note: no quantization named: chose `q4_k_m` for `tiny` out of q4_k_m, q8_0
! error: there is no certificate file at [PROJECT]/nowhere.pem
! hint: Check `--ca-file` and SSL_CERT_FILE.

"#]].raw());
}

#[test]
fn bad_variables_are_named_and_secrets_are_not_repeated() {
    for (name, value, code) in [
        ("HF_ENDPOINT", "huggingface.co", 2),
        ("HF_ENDPOINT", "not a url", 2),
        ("HF_ENDPOINT", "file:///etc", 2),
        ("HF_HUB_OFFLINE", "maybe", 2),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon", 2),
        ("HF_TOKEN", "hf_with space", 2),
        ("HF_TOKEN", "hf_with\nline", 2),
        ("HF_TOKEN", "hf_with\u{e9}", 2),
    ] {
        let mut machine = Machine::new();
        machine.sandbox.set_env(name, value);
        refuses(&machine, "download tiny", code, &[name]);
        let output = machine.run("download tiny -v");
        assert!(name != "HF_TOKEN" || !output.stderr.contains("hf_with"), "{output}");
    }
    // What does not concern a local command does not stop it.
    let mut machine = Machine::new();
    machine.sandbox.set_env("HF_TOKEN", "");
    machine.sandbox.set_env("HF_ENDPOINT", "");
    machine.run("list").ok();
}

#[test]
fn references_that_name_nothing_are_explained() {
    let machine = Machine::new();
    let lines = [
        "download https://example.org/a/b",
        "download a/b/c/d",
        "download hf://",
        "download owner/",
        "download :q4",
        "download ///",
    ];
    assert_data_eq!(
        refusals(&machine, &lines),
        str![[r#"
$ download https://example.org/a/b  # exit code 2
! error: `https://example.org/a/b` does not name a model: `example.org` is neither the Hub nor an endpoint in use, and the address ends with no name of a `.gguf` or `.safetensors` file
! hint: Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, or `https://host/path/NAME.gguf`.
$ download a/b/c/d  # exit code 2
! error: `a/b/c/d` does not name a model: a file in a repository is written `hf://owner/repo/path`
! hint: Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, or `https://host/path/NAME.gguf`.
$ download hf://  # exit code 2
! error: `hf://` does not name a model: expected `hf://owner/repo`
! hint: Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, or `https://host/path/NAME.gguf`.
$ download owner/  # exit code 2
! error: `owner/` does not name a model: `owner/` is not a repository: a part of it is empty
! hint: Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, or `https://host/path/NAME.gguf`.
$ download :q4  # exit code 2
! error: `:q4` does not name a model: `` is not a model id: a part of it is empty
! hint: Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, an address of the Hub, or `https://host/path/NAME.gguf`.
$ download ///  # exit code 3
! error: /// is no model of this project, and not ours: no blob belongs to it
! hint: `model-manager list` shows the models that are here, with their paths.

"#]]
        .raw()
    );
}

#[test]
fn every_command_answers_in_json() {
    let machine = Machine::new();
    for line in [
        "list",
        "info",
        "info tiny",
        "download tiny --dry-run",
        "download tiny tiny:q8_0",
        "download tiny",
        "list",
        "list --format gguf",
        "verify",
        "verify tiny --quick",
        "verify tiny --rehash",
        "path tiny",
        "remove tiny --dry-run",
        "remove tiny --quant q8_0 --keep-blobs",
        "remove tiny",
        "verify",
    ] {
        let output = machine.run(&format!("{line} --json")).ok();
        let json = output.json();
        assert_eq!(json["version"], 1, "{output}");
        assert!(json.get("error").is_none(), "{output}");
        assert!(!output.stderr.contains("hint: "), "{output}");
    }
}

#[test]
fn every_error_in_json_has_its_exit_code() {
    let machine = Machine::new().impatient();
    machine.hub.fault(Match::cdn().always(), Fault::ServerError(500));
    for (line, code, kind) in [
        ("download tinny", 3, "not_found"),
        ("info tinny", 3, "not_found"),
        ("path tiny", 3, "not_found"),
        ("verify tiny", 3, "not_found"),
        ("remove tiny", 3, "not_found"),
        ("download tiny", 6, "network"),
        ("download tiny --offline", 6, "network"),
        ("download no/such:q4_k_m", 5, "auth"),
        ("list --link teleport", 2, "usage"),
        ("list --store configs", 2, "usage"),
        ("fly", 2, "usage"),
    ] {
        let output = machine.run(&format!("{line} --json")).code(code);
        let json = output.json();
        assert_eq!((json["version"].as_u64(), json["error"]["exit_code"].as_i64()), (Some(1), Some(code.into())), "{output}");
        assert_eq!(json["error"]["kind"], kind, "{output}");
        assert!(json["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{output}");
        assert!(json["error"]["hint"].as_str().is_some_and(|text| !text.is_empty()), "{output}");
        assert!(!output.stderr.contains("error: "), "said once: {output}");
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    for line in ["list", "info", "info --json", "verify", "man"] {
        let mut command = machine.sandbox.command(line.split_whitespace());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{line}: {said}");
        assert!(!said.contains("panicked") && !said.contains("pipe"), "{line}: {said}");
    }
}

#[test]
fn quiet_leaves_the_result_and_nothing_else() {
    let machine = Machine::new();
    let output = machine.run("download tiny:q4_k_m -q").ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (format!("{PATH}\n").as_str(), ""));
    let output = machine.run("verify -q").ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    assert_eq!(machine.run("list -q").ok().stdout.lines().count(), 1);
    machine.run("download tinny -q").code(3).says("error: ");
    let output = machine.run("remove tiny -q").ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let plain = machine.run("download tiny --no-progress --quant q8_0").ok();
    assert!(!plain.stderr.contains("fetching"), "{plain}");
}

#[test]
fn colour_comes_only_where_it_is_asked_for() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    assert!(!machine.run("verify").ok().stdout.contains('\u{1b}'));
    assert!(machine.run("verify --color always").ok().stdout.contains('\u{1b}'));
    assert!(!machine.run("verify --color never").ok().stdout.contains('\u{1b}'));
}

#[test]
fn completions_and_the_manual_are_there() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = machine.run(&format!("completions {shell}")).ok();
        assert!(output.stdout.contains("model-manager"), "{shell}");
    }
    machine.run("man").ok().prints(".TH model-manager");
    machine.run("--help").ok().prints("Exit codes:");
    machine.run("download --help").ok().prints("--force");
    machine.run("--version").ok().prints("model-manager ");
    let bare = machine.run("");
    assert_eq!(bare.status.code(), Some(2), "{bare}");
}

#[test]
fn verify_never_calls_ok_what_it_cannot_know() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    // A quick look trusts the stamp, a full one does not.
    let bytes = std::fs::read(&blob).unwrap();
    let stamp = std::fs::metadata(&blob).unwrap().modified().unwrap();
    set_mode(&blob, 0o644);
    let mut changed = bytes.clone();
    changed[MIB as usize + 1] ^= 4;
    std::fs::write(&blob, &changed).unwrap();
    machine.run("verify --quick").code(4).prints("modified");
    std::fs::File::options().write(true).open(&blob).unwrap().set_modified(stamp).unwrap();
    machine.run("verify").code(4).prints("1 of 3 segments of 1 MiB");
    machine.run("verify --rehash").code(4).prints("modified");
    let json = machine.run("verify --json").code(4).json();
    assert_eq!(json["files"][0]["damaged_ranges"], serde_json::json!([{ "start": MIB, "end": 2 * MIB }]));
    assert_eq!(json["ok"], false);
    std::fs::write(&blob, &bytes).unwrap();
    machine.run("verify").ok().prints("1 ok");
    // The registry's word counts more than what was once true.
    let other = machine.hub.content(REPO, OTHER);
    let pinned = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    machine.registry(&[pinned.replace(machine.content().sha256(), other.sha256())]);
    machine.run("verify tiny").code(4).prints("the registry pins another sha256");
}

#[test]
fn what_is_no_file_where_a_file_is_read_is_a_wrong_setting() {
    let machine = Machine::new();
    machine.run("info --config /").code(2).says("not a regular file").says("--config");
    std::fs::create_dir_all(machine.sandbox.project().join("configs/manager.yaml")).unwrap();
    machine.run("list").code(2).says("manager.yaml").says("not a regular file").says("hint: ");
    let long = "n".repeat(300);
    machine.run(&format!("list --models-dir {long}")).code(2);
    std::fs::remove_dir(machine.sandbox.project().join("configs/manager.yaml")).unwrap();
    if cfg!(unix) {
        // Windows has no word of its own for that.
        machine.run(&format!("list --models-dir {long}")).code(1).says("shorter name");
    }
}
