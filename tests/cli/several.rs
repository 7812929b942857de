//! Commands that take several names, their short names, and what is said of a choice.

use crate::kit::{Machine, PATH};

const OTHER_PATH: &str = "models/tiny/gguf/q8_0/tiny.Q8_0.gguf";

#[test]
fn several_models_are_found_explained_and_removed_by_one_command() {
    let machine = Machine::new();
    machine.run("pull tiny:q4_k_m tiny:q8_0").ok();
    assert_eq!(machine.run("path tiny:q8_0 tiny:q4_k_m").ok().stdout, format!("{OTHER_PATH}\n{PATH}\n"));
    // All or nothing, so that no program takes one path for another.
    assert_eq!(machine.run("path tiny:q8_0 nothing").code(3).stdout, "");
    assert_eq!(machine.run("why tiny:q4_k_m tiny:q8_0 --json").ok().json()["blobs"].as_array().unwrap().len(), 2);
    assert_eq!(machine.run("ls --json").ok().json()["models"].as_array().unwrap().len(), 2);
    let removed = machine.run("rm tiny:q8_0 nothing tiny:q4_k_m --json").code(3).json();
    assert_eq!(removed["models"].as_array().unwrap().len(), 2, "{removed}");
    assert!(removed["error"]["message"].as_str().unwrap().contains("nothing"), "{removed}");
    assert!(!machine.sandbox.project().join("models/tiny").exists());
}

#[test]
fn a_removal_without_a_quantization_lists_what_it_took() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m tiny:q8_0").ok();
    machine.run("remove tiny").ok().prints("Removed tiny gguf/q4_k_m").prints("Removed tiny gguf/q8_0");
}

#[test]
fn path_says_which_quantization_it_took_where_none_was_named() {
    let machine = Machine::new();
    machine.run("download tiny:q8_0").ok();
    // The registry would choose another.
    let other = machine.run("path tiny").ok().says("no quantization named: chose `q8_0` for `tiny`");
    assert_eq!(other.last_line(), OTHER_PATH);
    machine.run("download tiny:q4_k_m").ok();
    let usual = machine.run("path tiny").ok().says("chose `q4_k_m` for `tiny` out of q4_k_m, q8_0");
    assert_eq!(usual.last_line(), PATH);
    for named in ["tiny:q8_0", "tiny --quant q8_0", OTHER_PATH, "tiny -q"] {
        let output = machine.run(&format!("path {named}")).ok();
        assert_eq!(output.stderr, "", "{named}");
    }
}

#[test]
fn the_commands_for_shells_and_the_manual_are_in_the_help() {
    let help = Machine::empty().run("--help").ok().stdout;
    for name in ["completions", "man", "[alias: ls]", "[alias: rm]", "[alias: pull]"] {
        assert!(help.contains(name), "{name}: {help}");
    }
}
