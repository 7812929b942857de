//! `use`: a model that is here becomes the one a backend's settings name.

use crate::kit::{FILE, Machine, PATH, set_mode};
use crate::support::run::slashes;

const SETTINGS: &str =
    "# mine\r\nbackend:\r\n  n_ctx: 8192  # long\r\n  model_path: 'models/old.gguf'\t# the model\r\n  type: llama_cpp";

#[test]
fn the_path_goes_into_the_settings_and_nothing_else_changes() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let file = machine.sandbox.write("configs/backend/llama_cpp.yaml", SETTINGS);
    set_mode(&file, 0o600);
    let used = machine.run("use tiny --backend llama_cpp").ok().says("It was models/old.gguf.");
    let line = format!("configs/backend/llama_cpp.yaml:4: model_path: '{PATH}'\\t# the model");
    assert_eq!(used.last_line(), slashes(&line));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, SETTINGS.replace("models/old.gguf", PATH));
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);

    let before = machine.sandbox.tree();
    let again = machine.run("use tiny:q4_k_m --backend llama_cpp --json").ok().json();
    assert_eq!((again["changed"].as_bool(), again["written"].as_bool()), (Some(false), Some(false)), "{again:#}");
    assert_eq!((again["value"].as_str(), again["key"].as_str()), (Some(PATH), Some("backend.model_path")));
    before.assert_same(&machine.sandbox.tree());
}

#[test]
fn settings_that_are_missing_are_made_from_the_shipped_ones() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let before = machine.sandbox.tree();
    let shown = machine.run("use tiny --backend llama_cpp --print").ok();
    before.assert_same(&machine.sandbox.tree());
    machine.run("use tiny --backend llama_cpp").ok().says("look through its other settings");
    let text = std::fs::read_to_string(machine.sandbox.project().join("configs/backend/llama_cpp.yaml")).unwrap();
    assert_eq!(text, shown.stdout);
    assert!(text.contains(&format!("model_path: \"{PATH}\"")) && text.contains("n_gpu_layers: 0  # Set to -1"), "{text}");

    // From a folder inside, and into another file.
    std::fs::create_dir_all(machine.sandbox.project().join("deep")).unwrap();
    let mut command = machine.sandbox.command(["use", "tiny", "--backend", "llama_cpp", "--file", "mine/x.yaml"]);
    command.current_dir(machine.sandbox.project().join("deep"));
    machine.sandbox.finish(command).ok();
    assert_eq!(std::fs::read_to_string(machine.sandbox.project().join("deep/mine/x.yaml")).unwrap(), text);
}

#[cfg(unix)]
#[test]
fn a_linked_file_of_settings_stays_a_link() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let real = machine.sandbox.write("shared/real.yaml", "backend:\n  model_path: x\n");
    std::fs::create_dir_all(machine.sandbox.project().join("configs/backend")).unwrap();
    let link = machine.sandbox.project().join("configs/backend/llama_cpp.yaml");
    std::os::unix::fs::symlink("../../shared/real.yaml", &link).unwrap();
    machine.run("use tiny --backend llama_cpp").ok();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), format!("backend:\n  model_path: {PATH}\n"));
    std::fs::remove_file(&real).unwrap();
    machine.run("use tiny --backend llama_cpp").code(3).says("is a link that leads nowhere");
    assert!(link.is_symlink() && !real.exists());
}

#[test]
fn a_models_folder_outside_the_project_gives_an_absolute_path() {
    let machine = Machine::new();
    let outside = machine.sandbox.root().join("elsewhere");
    let models = format!("--models-dir {}", outside.display());
    machine.run(&format!("download tiny {models}")).ok();
    let used = machine.run(&format!("use tiny --backend llama_cpp --json {models}")).ok().json();
    let path = outside.join(format!("tiny/gguf/q4_k_m/{FILE}"));
    assert_eq!(used["value"].as_str(), Some(&*slashes(path.to_str().unwrap())));
}

#[test]
fn a_model_that_is_not_here_is_named_with_the_command_that_fetches_it() {
    let machine = Machine::new();
    let before = machine.sandbox.tree();
    machine.run("use tiny --backend llama_cpp").code(3).says("not downloaded").says("model-manager download tiny`");
    machine.run("use tiny:q8_0 --backend llama_cpp").code(3).says("model-manager download tiny:q8_0`");
    machine.run("use tiny --backend llama_cpp --quant q8_0").code(3).says("`model-manager download tiny:q8_0`");
    machine.run("use tinny --backend llama_cpp").code(3).says("Did you mean `tiny`?");
    before.assert_same(&machine.sandbox.tree());
    machine.run("download tiny").ok();
    machine
        .run("use tiny:q8_0 --backend llama_cpp")
        .code(3)
        .says("is here, but not as gguf q8_0")
        .says("`model-manager download tiny:q8_0`");
    // A hard link needs no blob of that name.
    if cfg!(unix) {
        std::fs::remove_file(machine.blob(&machine.content())).unwrap();
        machine.run("use tiny --backend llama_cpp").code(3).says("leads nowhere").says("model-manager download tiny");
    }
    assert!(!machine.sandbox.project().join("configs/backend").exists());
}

#[test]
fn each_backend_gets_what_it_can_load() {
    let machine = Machine::new();
    machine.hub.repo("a/set").lfs("model.safetensors", "weights").plain("config.json", "{}").commit();
    machine.sandbox.write(
        "configs/models.yaml",
        format!(
            "models:\n  set:\n    huggingface_id: \"a/set\"\n    formats:\n      safetensors: {{}}\n{}",
            crate::kit::entry(&machine.hub, "tiny", crate::kit::REPO, &[("q4_k_m", FILE)])
        ),
    );
    machine.run("download tiny").ok();
    machine.run("use tiny --backend vllm").code(3).says("no format `safetensors`");
    machine.run("use tiny --backend vllm --format gguf").code(2).says("vLLM loads a folder").says("--backend llama_cpp");
    machine.run(&format!("use hf://{}/{FILE} --backend vllm", crate::kit::REPO)).code(2).says("and not gguf");
    machine.run("use set --backend vllm").code(3).says("model-manager download set --format safetensors`");
    machine.run("download set").ok();
    machine
        .run("use set --backend llama_cpp --format safetensors")
        .code(2)
        .says("llama.cpp loads a GGUF file")
        .says("--backend vllm");
    machine.run("use set --backend vllm").ok().prints("model_path: \"models/set/safetensors\"");
    let text = std::fs::read_to_string(machine.sandbox.project().join("configs/backend/vllm.yaml")).unwrap();
    assert!(text.contains("max_model_len: 2048"), "{text}");
    // Settings of the other backend are not overwritten by mistake.
    machine
        .run("use tiny --backend llama_cpp --file configs/backend/vllm.yaml")
        .code(2)
        .says("settings of vllm")
        .says("--backend vllm");
}

#[test]
fn what_cannot_be_changed_alone_is_left_and_the_line_to_write_is_shown() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    for text in ["base: &b {model_path: x}\nbackend:\n  <<: *b\n", "backend: [\n", "", "backend:\n  model_path: >\n    x\n"] {
        let file = machine.sandbox.write("configs/backend/llama_cpp.yaml", text);
        let line = format!("model_path: \"{PATH}\"");
        let output = machine.run("use tiny --backend llama_cpp").code(2).says("by hand").says(&line);
        assert!(output.stderr.contains("llama_cpp.yaml"), "{output}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
