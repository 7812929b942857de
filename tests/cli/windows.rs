//! What is otherwise on Windows: files that a program has open, paths with backslashes, views by hard link.

use crate::kit::*;
use std::fs::File;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file as programs in C do: others may read it, and nobody may remove it.
fn held(path: &Path) -> File {
    File::options().read(true).share_mode(1).open(path).unwrap()
}

#[test]
fn what_a_program_has_open_stays_and_goes_later() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let before = machine.sandbox.tree();
    let open = held(&machine.sandbox.project().join(PATH));
    machine.run("remove tiny").code(1).says("A program has the file open");
    before.without("/lock/").assert_same(&machine.sandbox.tree().without("/lock/"));
    machine.run("verify").ok().prints("1 ok");
    drop(open);
    remove(machine.sandbox.project().join(PATH));
    let open = held(&machine.blob(&machine.content()));
    machine.run("remove tiny").ok().says("for a program has it open");
    let json = machine.run("gc --grace 0 --json").ok().json();
    assert_eq!(
        (json["open"][0]["sha256"].as_str(), json["totals"]["freed_bytes"].as_u64()),
        (Some(machine.content().sha256()), Some(0))
    );
    drop(open);
    machine.run("gc --grace 0").ok().prints("freed");
    assert!(!machine.blob(&machine.content()).exists());
    machine.assert_tidy();
}

#[test]
fn backslashes_part_paths_in_flags_settings_and_variables() {
    let machine = Machine::new();
    let registry = machine.sandbox.project().join("configs/models.yaml");
    let text = std::fs::read_to_string(&registry).unwrap();
    std::fs::write(&registry, text.replace('\n', "\r\n")).unwrap();
    let store = format!(r"{}\shared\store", machine.sandbox.root().display());
    machine.sandbox.write("configs/manager.yaml", format!("models_dir: game\\models\r\nstore: {store}\r\n"));
    machine.sandbox.run(["config", "set", "--user", "allowed_places", &store]).ok();
    let output = machine.run("download tiny").ok();
    assert_eq!(output.last_line(), "game/models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf");
    let known = machine.run("projects --json").ok().json();
    assert!(!known.to_string().contains("//?/"), "{known:#}");
    machine.run(r"use tiny --backend llama_cpp").ok().prints("game/models/tiny");
    let settings = std::fs::read_to_string(machine.sandbox.project().join("configs/backend/llama_cpp.yaml")).unwrap();
    assert!(settings.contains("game/models/tiny/gguf") && !settings.contains('\\'), "{settings}");
    machine.run(&format!(r"list --models-dir game\models --store {store}")).ok().prints("stored");
    machine.run(r"why game\models\tiny\gguf\q4_k_m\tiny.Q4_K_M.gguf").ok().prints("used by");
}
