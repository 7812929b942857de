//! `use`: a model that is here becomes the one a backend's settings name.

use crate::kit::{Desk, FILE, PATH, set_mode};
use crate::support::run::slashes;

const SETTINGS: &str =
    "# mine\r\nbackend:\r\n  n_ctx: 8192  # long\r\n  model_path: 'models/old.gguf'\t# the model\r\n  type: llama_cpp";

#[test]
fn the_path_goes_into_the_settings_and_nothing_else_changes() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let file = desk.s.write("configs/backend/llama_cpp.yaml", SETTINGS);
    set_mode(&file, 0o600);
    let used = desk.run("use tiny --backend llama_cpp").ok().says("It was models/old.gguf.");
    let line = format!("configs/backend/llama_cpp.yaml:4: model_path: '{PATH}'\\t# the model");
    assert_eq!(used.last_line(), slashes(&line));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, SETTINGS.replace("models/old.gguf", PATH));
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);

    let before = desk.s.tree();
    let again = desk.run("use tiny:q4_k_m --backend llama_cpp --json").ok().json();
    assert_eq!((again["changed"].as_bool(), again["written"].as_bool()), (Some(false), Some(false)), "{again:#}");
    assert_eq!((again["value"].as_str(), again["key"].as_str()), (Some(PATH), Some("backend.model_path")));
    before.assert_same(&desk.s.tree());
}

#[test]
fn settings_that_are_missing_are_made_from_the_shipped_ones() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let before = desk.s.tree();
    let shown = desk.run("use tiny --backend llama_cpp --print").ok();
    before.assert_same(&desk.s.tree());
    desk.run("use tiny --backend llama_cpp").ok().says("look through its other settings");
    let text = std::fs::read_to_string(desk.s.project().join("configs/backend/llama_cpp.yaml")).unwrap();
    assert_eq!(text, shown.stdout);
    assert!(text.contains(&format!("model_path: \"{PATH}\"")) && text.contains("n_gpu_layers: 0  # Set to -1"), "{text}");

    // From a folder inside, and into another file.
    std::fs::create_dir_all(desk.s.project().join("deep")).unwrap();
    let mut command = desk.s.command(["use", "tiny", "--backend", "llama_cpp", "--file", "mine/x.yaml"]);
    command.current_dir(desk.s.project().join("deep"));
    desk.s.finish(command).ok();
    assert_eq!(std::fs::read_to_string(desk.s.project().join("deep/mine/x.yaml")).unwrap(), text);
}

#[cfg(unix)]
#[test]
fn a_linked_file_of_settings_stays_a_link() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let real = desk.s.write("shared/real.yaml", "backend:\n  model_path: x\n");
    std::fs::create_dir_all(desk.s.project().join("configs/backend")).unwrap();
    let link = desk.s.project().join("configs/backend/llama_cpp.yaml");
    std::os::unix::fs::symlink("../../shared/real.yaml", &link).unwrap();
    desk.run("use tiny --backend llama_cpp").ok();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), format!("backend:\n  model_path: {PATH}\n"));
    std::fs::remove_file(&real).unwrap();
    desk.run("use tiny --backend llama_cpp").code(3).says("is a link that leads nowhere");
    assert!(link.is_symlink() && !real.exists());
}

#[test]
fn a_models_folder_outside_the_project_gives_an_absolute_path() {
    let desk = Desk::new();
    let outside = desk.s.root().join("elsewhere");
    let models = format!("--models-dir {}", outside.display());
    desk.run(&format!("download tiny {models}")).ok();
    let used = desk.run(&format!("use tiny --backend llama_cpp --json {models}")).ok().json();
    let path = outside.join(format!("tiny/gguf/q4_k_m/{FILE}"));
    assert_eq!(used["value"].as_str(), Some(&*slashes(path.to_str().unwrap())));
}

#[test]
fn a_model_that_is_not_here_is_named_with_the_command_that_fetches_it() {
    let desk = Desk::new();
    let before = desk.s.tree();
    desk.run("use tiny --backend llama_cpp").code(3).says("not downloaded").says("model-manager download tiny`");
    desk.run("use tiny:q8_0 --backend llama_cpp").code(3).says("model-manager download tiny:q8_0`");
    desk.run("use tiny --backend llama_cpp --quant q8_0").code(3).says("`model-manager download tiny:q8_0`");
    desk.run("use tinny --backend llama_cpp").code(3).says("Did you mean `tiny`?");
    before.assert_same(&desk.s.tree());
    desk.run("download tiny").ok();
    desk.run("use tiny:q8_0 --backend llama_cpp")
        .code(3)
        .says("is here, but not as gguf q8_0")
        .says("`model-manager download tiny:q8_0`");
    // A hard link needs no blob of that name.
    if cfg!(unix) {
        std::fs::remove_file(desk.blob(&desk.content())).unwrap();
        desk.run("use tiny --backend llama_cpp").code(3).says("leads nowhere").says("model-manager download tiny");
    }
    assert!(!desk.s.project().join("configs/backend").exists());
}

#[test]
fn each_backend_gets_what_it_can_load() {
    let desk = Desk::new();
    desk.hub.repo("a/set").lfs("model.safetensors", "weights").plain("config.json", "{}").commit();
    desk.s.write(
        "configs/models.yaml",
        format!(
            "models:\n  set:\n    huggingface_id: \"a/set\"\n    formats:\n      safetensors: {{}}\n{}",
            crate::kit::entry(&desk.hub, "tiny", crate::kit::REPO, &[("q4_k_m", FILE)])
        ),
    );
    desk.run("download tiny").ok();
    desk.run("use tiny --backend vllm").code(3).says("no format `safetensors`");
    desk.run("use tiny --backend vllm --format gguf").code(2).says("vLLM loads a folder").says("--backend llama_cpp");
    desk.run(&format!("use hf://{}/{FILE} --backend vllm", crate::kit::REPO)).code(2).says("and not gguf");
    desk.run("use set --backend vllm").code(3).says("model-manager download set --format safetensors`");
    desk.run("download set").ok();
    desk.run("use set --backend llama_cpp --format safetensors").code(2).says("llama.cpp loads a GGUF file").says("--backend vllm");
    desk.run("use set --backend vllm").ok().prints("model_path: \"models/set/safetensors\"");
    let text = std::fs::read_to_string(desk.s.project().join("configs/backend/vllm.yaml")).unwrap();
    assert!(text.contains("max_model_len: 2048"), "{text}");
    // Settings of the other backend are not overwritten by mistake.
    desk.run("use tiny --backend llama_cpp --file configs/backend/vllm.yaml")
        .code(2)
        .says("settings of vllm")
        .says("--backend vllm");
}

#[test]
fn what_cannot_be_changed_alone_is_left_and_the_line_to_write_is_shown() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    for text in ["base: &b {model_path: x}\nbackend:\n  <<: *b\n", "backend: [\n", "", "backend:\n  model_path: >\n    x\n"] {
        let file = desk.s.write("configs/backend/llama_cpp.yaml", text);
        let line = format!("model_path: \"{PATH}\"");
        let output = desk.run("use tiny --backend llama_cpp").code(2).says("by hand").says(&line);
        assert!(output.stderr.contains("llama_cpp.yaml"), "{output}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
