//! Names that want to lead somewhere else: from the Hub's listing, from the registry, from the command line.

use serde_json::json;

use crate::kit::{FILE, MIB, Machine, REPO, entry};
use crate::support::hub::Content;
use crate::support::snapshot::tree;

/// A set whose listing also has this path.
fn set_with(path: &str) -> Machine {
    let machine = Machine::empty();
    let evil = Content::from("evil");
    machine
        .hub
        .repo("a/set")
        .lfs("model.safetensors", Content::synthetic(9000, 1))
        .plain("config.json", "{}")
        .raw_entry(json!({"type": "file", "path": path, "size": 4, "oid": evil.git_sha1()}))
        .commit();
    machine
}

#[test]
fn a_listing_that_leads_out_of_its_folder_is_refused_as_a_whole() {
    for path in [
        "../evil.json",
        "a/../../evil.json",
        "/evil.json",
        "//evil.json",
        "C:evil.json",
        "C:\\evil.json",
        "..\\evil.json",
        "a\\..\\..\\evil.json",
        "./evil.json",
        "a//evil.json",
        "a/",
        "..",
        "",
        "evil\u{0}.json",
        "evil\n.json",
        "evil\u{1b}[2J.json",
    ] {
        let machine = set_with(path);
        let before = tree(machine.sandbox.root()).without("out/");
        let output = machine.run("download a/set --format safetensors");
        let output = output.code(1).says("hostile file name").says("hint: Nothing was fetched");
        assert!(!output.stderr.contains('\u{1b}') && !output.stderr.contains('\u{0}'), "{output}");
        assert_eq!(machine.hub.count().content_bytes(), 0);
        before.assert_same(&tree(machine.sandbox.root()).without("out/"));
    }
}

#[test]
fn names_that_some_systems_cannot_store_are_left_out_or_refused_and_never_mangled() {
    for path in [
        "con.json",
        "AUX",
        "nul.json",
        "trailing.",
        "trailing ",
        "a:b.json",
        "what?.json",
        &"x".repeat(300),
        ".view.json",
        ".blobs/x",
    ] {
        let machine = set_with(path);
        let output = machine.run("download a/set --format safetensors");
        match output.status.code().unwrap() {
            0 => {
                let files = crate::kit::names(&machine.sandbox.project().join("models/a--set/safetensors"));
                assert!(
                    files.iter().all(|name| ["model.safetensors", "config.json", ".view.json"].contains(&name.as_str())),
                    "{files:?}"
                );
                machine.run("verify").ok().prints("2 ok");
            }
            _ => {
                output.says("hint: ");
                assert!(!machine.sandbox.project().join("models/a--set").exists());
            }
        }
    }
}

#[test]
fn files_that_differ_only_in_case_are_refused() {
    let machine = Machine::empty();
    machine
        .hub
        .repo("a/set")
        .lfs("model.safetensors", Content::synthetic(9000, 1))
        .plain("config.json", "{}")
        .plain("Config.json", "{ }")
        .commit();
    machine.sandbox.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: \"a/set\"\n    formats:\n      safetensors:\n        include: [\"*.safetensors\", \"*.json\"]\n",
    );
    machine.run("download set --format safetensors").code(1).says("differ only in upper and lower case").says("exclude");
    assert!(!machine.sandbox.models().exists());
}

#[test]
fn a_listing_with_wrong_numbers_ends_in_an_error() {
    for (patch, code) in [(json!({"size": 5, "lfs": {"size": 5}}), 6), (json!({"lfs": {"oid": "ab".repeat(32)}}), 4)] {
        let machine = Machine::empty().impatient();
        machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 1)).patch_entry(FILE, patch.clone()).commit();
        let output = machine.run(&format!("download {REPO}:q4_k_m"));
        assert_eq!(output.status.code(), Some(code), "{patch}: {output}");
        machine.assert_nothing_published();
    }
    let machine = Machine::empty();
    machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 1)).patch_entry(FILE, json!({"size": -1, "lfs": null})).commit();
    machine.run(&format!("download {REPO}:q4_k_m")).code(6).says("has no size");
}

#[test]
fn an_entry_with_hostile_names_is_refused_with_line_and_column() {
    let machine = Machine::new();
    let good = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    for (from, to) in [
        ("  tiny:", "  \"../tiny\":"),
        ("  tiny:", "  \"a/b\":"),
        ("  tiny:", "  \"..\":"),
        ("  tiny:", "  \".blobs\":"),
        ("  tiny:", "  \"con\":"),
        ("  tiny:", "  \"\":"),
        ("q4_k_m:", "\"..\":"),
        ("q4_k_m:", "\"a/b\":"),
        ("gguf:", "\"../gguf\":"),
        (FILE, "../../../evil.gguf"),
        (FILE, "/etc/evil.gguf"),
        (FILE, "C:\\\\evil.gguf"),
        (FILE, "evil\\0.gguf"),
        (REPO, "../../x"),
        (REPO, "https://evil.org/x"),
    ] {
        machine.registry(&[good.replacen(from, to, 1)]);
        let before = tree(machine.sandbox.root()).without("out/");
        for line in ["download tiny", "remove tiny", "info"] {
            let output = machine.run(line).says("configs/models.yaml:");
            let place = output.stderr.split("models.yaml:").nth(1).unwrap().split(": ").next().unwrap();
            let numbers: Vec<_> = place.split(':').filter(|part| part.parse::<u32>().is_ok_and(|n| n > 0)).collect();
            assert_eq!(numbers.len(), 2, "{to}: {output}");
            match (line, to.starts_with("  ")) {
                ("info", _) => output.ok(),
                // Nothing else has that name.
                (_, true) => output.code(3).says("not found in registry"),
                _ => output.code(2).says("hint: Correct line"),
            };
        }
        before.assert_same(&tree(machine.sandbox.root()).without("out/"));
    }
}

#[test]
fn hostile_words_on_the_command_line_lead_nowhere() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let outside = machine.sandbox.other_project("precious");
    std::fs::write(outside.join("file.gguf"), "mine").unwrap();
    let before = tree(machine.sandbox.root()).without("out/");
    for name in [
        "..",
        "../precious",
        "../../precious",
        "/etc/passwd",
        ".blobs",
        ".",
        "tiny/../..",
        "a\\b",
        "-",
        "tiny:..",
        "tiny:../q",
        "%2e%2e",
    ] {
        for command in ["remove", "path", "verify"] {
            let output = machine.sandbox.run([command, name]);
            assert!(matches!(output.status.code(), Some(2 | 3)), "{command} {name}: {output}");
            assert!(output.stderr.contains("hint: ") || output.stderr.contains("--help"), "{command} {name}: {output}");
        }
    }
    for line in ["remove tiny --quant ..", "remove tiny --format ../x", "list --format ..", "path tiny --quant a/b"] {
        machine.run(line).code(2);
    }
    before.assert_same(&tree(machine.sandbox.root()).without("out/"));
}

#[cfg(unix)]
#[test]
fn removal_follows_no_link_out_of_the_tree() {
    let machine = Machine::new();
    let precious = machine.sandbox.other_project("precious");
    std::fs::write(precious.join("tiny.Q4_K_M.gguf"), "mine").unwrap();
    std::fs::create_dir_all(machine.sandbox.project().join("models/tiny/gguf")).unwrap();
    std::os::unix::fs::symlink(&precious, machine.sandbox.project().join("models/tiny/gguf/q4_k_m")).unwrap();
    machine.run("list").ok();
    let _either = machine.run("verify tiny");
    let _either = machine.run("remove tiny");
    let _either = machine.run("download tiny");
    let _either = machine.run("remove tiny");
    assert_eq!(std::fs::read_to_string(precious.join("tiny.Q4_K_M.gguf")).unwrap(), "mine");
    assert_eq!(crate::kit::names(&precious), ["tiny.Q4_K_M.gguf"]);
}
