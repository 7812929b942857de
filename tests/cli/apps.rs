//! `apps` and `adopt`: models that other applications have.

use crate::kit::{FILE, Machine, REPO, assert_content, entry};
use std::fs;

/// A machine on which Ollama has the content of `tiny`.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)])]);
    let digest = machine.content().sha256().to_owned();
    let layer = format!("{{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:{digest}\"}}");
    let root = machine.sandbox.home().join(".ollama/models");
    fs::create_dir_all(root.join("blobs")).unwrap();
    fs::create_dir_all(root.join("manifests/registry.ollama.ai/library/owl")).unwrap();
    fs::write(root.join("blobs").join(format!("sha256-{digest}")), machine.content().bytes()).unwrap();
    fs::write(root.join("manifests/registry.ollama.ai/library/owl/latest"), format!("{{\"layers\":[{layer}]}}")).unwrap();
    machine
}

#[test]
fn what_ollama_has_in_its_usual_place_is_listed_and_taken_over() {
    let machine = machine();
    machine.run("apps").ok().prints("ollama");
    let planned = machine.run("adopt owl --dry-run").ok().says("Would take 1 model");
    assert!(!machine.store().exists(), "{planned}");
    let output = machine.run("adopt owl").ok().says("which takes no room");
    assert_content(&machine.sandbox.project().join(output.last_line()), &machine.content());
    machine.run("list").ok().prints("tiny");
    machine.run("why tiny").ok();
    machine.run("doctor").ok();
    machine.run("gc --grace 0").ok();
    machine.run("adopt nothing-like-it").code(3).says("no application here has a model");
    machine.run("adopt").code(2);
    machine.run("adopt owl --from vllm").code(2);
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn a_download_takes_what_ollama_has_unless_it_is_told_not_to() {
    let machine = machine();
    machine.run("download tiny").ok().says("came from Ollama: nothing was downloaded");
    assert_eq!(machine.hub.count().content_bytes(), 0);
    machine.run("remove tiny").ok();
    machine.run("download tiny --no-apps").ok();
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
}

#[test]
fn a_folder_of_an_application_in_another_place_is_named_once() {
    let machine = machine();
    machine.sandbox.write("../mine/bird.Q8_0.gguf", "GGUF, and not a real one");
    let folder = machine.sandbox.root().join("mine");
    machine.run(&format!("apps add gpt4all {}", folder.display())).ok().prints("names it.");
    machine.run(&format!("apps add GPT4ALL {}", folder.display())).ok().prints("names it already");
    machine.run("apps").ok().prints(&folder.display().to_string());
    machine.run("adopt bird.Q8_0").ok();
    machine.run(&format!("apps add gpt4all {}", folder.join("bird.Q8_0.gguf").display())).code(2).says("is no folder");
    machine.sandbox.write("configs/manager.yaml", "apps: [\"ollama=/tmp\"]\n");
    machine.run("apps").code(2).says("a project may not set `apps`");
}

#[test]
fn what_two_applications_have_is_there_once_after_a_yes_and_twice_again_after_an_undo() {
    let machine = machine();
    let theirs = machine.sandbox.home().join(".lmstudio/models/acme/tiny/tiny.gguf");
    fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, machine.content().bytes()).unwrap();
    machine.run("adopt --dedupe").ok().says("Nothing was replaced. Add `--yes` to do so.");
    machine.run("adopt --dedupe --yes").ok().says("Replaced 1 file");
    machine.run("doctor").ok();
    machine.run("adopt --undo").ok().says("with a copy of its own again");
    machine.run("adopt --undo").code(3).says("no file of an application was replaced");
    machine.run("adopt owl --dedupe").code(2);
    assert_content(&theirs, &machine.content());
    fs::create_dir_all(machine.sandbox.root().join("disk")).unwrap();
    machine.run(&format!("adopt --scan {} ./missing.gguf", machine.sandbox.root().join("disk").display())).code(3);
}

#[test]
fn a_model_is_shown_to_lm_studio_and_taken_back() {
    let machine = machine();
    machine.run("adopt owl").ok();
    machine.run("expose tiny --to lmstudio").code(3).says("LM Studio has no folder here");
    let folder = machine.sandbox.home().join(".lmstudio/models");
    fs::create_dir_all(&folder).unwrap();
    machine.run("expose tiny --to lmstudio").ok();
    let shown = folder.join("local/tiny").join(FILE);
    assert_content(&shown, &machine.content());
    machine.run("why tiny").ok().prints("exposure to lm-studio");
    machine.run("expose tiny --to lm-studio").ok().says("was shown there already");
    machine.run("expose tiny --to docker").code(3);
    machine.run("unexpose tiny --from lm-studio").ok();
    assert!(!shown.exists() && fs::read_dir(&folder).unwrap().next().is_none());
    machine.run("unexpose tiny").code(3).says("no model is shown to an application so");
}
