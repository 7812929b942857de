//! The machine of somebody who reads a document and types what it says.

use super::rows::{EVERYWHERE, SCENES};
use crate::kit::{Machine, entry};
use crate::support::{gguf::Spec, hub::Content, run::Output};
use std::{path::Path, process::Command};

/// Models of the registry: id, repository, and the beginning of its files' names.
const MODELS: [(&str, &str, &str); 6] = [
    ("tinyllama-1.1b-chat", "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "tinyllama-1.1b-chat-v1.0"),
    ("phi-2", "TheBloke/phi-2-GGUF", "phi-2"),
    ("llama-2-7b-chat", "TheBloke/Llama-2-7B-Chat-GGUF", "llama-2-7b-chat"),
    ("mistral-7b-instruct-v0.2", "TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "mistral-7b-instruct-v0.2"),
    ("mixtral-8x7b-instruct", "TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF", "mixtral-8x7b-instruct-v0.1"),
    ("llama-3-8b-instruct", "TheBloke/Llama-3-8B-Instruct-GGUF", "llama-3-8b-instruct"),
];

/// A reader's machine. Its places stand for those that the documents name.
pub struct Reader {
    pub machine: Machine,
    /// What a document has, and what stands for it here.
    words: Vec<(&'static str, String)>,
}

impl Reader {
    /// Somebody with a registry of the usual models, in the state that the scene of a document says.
    pub fn of(document: &str) -> Self {
        let machine = Machine::empty();
        let registry = offer(&machine);
        machine.hub.token("your_token_here", &[]);
        let root = machine.sandbox.root().display().to_string();
        let digest = machine.hub.sha256(MODELS[1].1, "phi-2.Q4_K_M.gguf")[..8].to_owned();
        let mut words: Vec<_> = EVERYWHERE.iter().map(|(from, to)| (*from, to.replace("ROOT", &root))).collect();
        words.extend([("https://hub.example.org", machine.hub.url()), ("https://huggingface.co", machine.hub.url())]);
        words.push(("9fecc3b3", digest));
        words.push(("--group llm", format!("--group {}", rustix::process::getgid().as_raw())));
        for folder in [machine.sandbox.project(), machine.sandbox.home().join("game"), machine.sandbox.home().join("lab")] {
            std::fs::create_dir_all(folder.join("configs")).unwrap();
            std::fs::write(folder.join("configs/models.yaml"), &registry).unwrap();
        }
        let reader = Self { machine, words };
        let setup = SCENES.iter().find(|(name, _)| *name == document).map(|(_, setup)| *setup);
        let setup = setup.unwrap_or_else(|| panic!("{document} has no scene in tests/cli/documents/rows.rs"));
        reader.types(setup).ok();
        reader
    }

    /// Runs a script in the project's folder, as a person types it, and ends at the first command that fails.
    pub fn types(&self, script: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_model-manager"));
        let script = self.words.iter().fold(script.to_owned(), |script, (from, to)| script.replace(from, to));
        let run = self.machine.sandbox.command(["-c"]);
        let mut shell = Command::new("/bin/sh");
        shell.arg("-exc").arg(script).env_clear().current_dir(self.machine.sandbox.project()).stdin(std::process::Stdio::null());
        shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display())).env("NO_COLOR", "1");
        self.machine.sandbox.finish(shell)
    }
}

/// Puts the repositories that the documents name on the Hub; the registry with the usual models.
fn offer(machine: &Machine) -> String {
    let hub = &machine.hub;
    let mut entries = String::new();
    for (seed, (id, repo, stem)) in (1..).zip(MODELS) {
        let files = [("q4_k_m", format!("{stem}.Q4_K_M.gguf")), ("q8_0", format!("{stem}.Q8_0.gguf"))];
        let mut handle = hub.repo(repo).license("mit");
        for (at, (_, file)) in (0..).zip(&files) {
            handle = handle.lfs(file, Spec::tiny().seed(10 * seed + at).bytes());
        }
        handle.commit();
        let files: Vec<(&str, &str)> = files.iter().map(|(quant, file)| (*quant, file.as_str())).collect();
        let pinned = entry(hub, id, repo, &files);
        entries += &pinned.replacen("    formats:\n", "    description: \"A model\"\n    license: \"mit\"\n    formats:\n", 1);
    }
    // The set of one of them.
    set(machine, "TinyLlama/TinyLlama-1.1B-Chat-v1.0");
    let commit = hub.commit("TinyLlama/TinyLlama-1.1B-Chat-v1.0");
    let set_of_tinyllama = format!(
        "      safetensors:\n        huggingface_id: \"TinyLlama/TinyLlama-1.1B-Chat-v1.0\"\n        revision: \"{commit}\"\n"
    );
    entries.insert_str(entries.find("  phi-2:").unwrap(), &set_of_tinyllama);

    for repo in ["bartowski/Qwen2.5-7B-Instruct-GGUF", "owner/repo", "owner/Qwen3-8B-GGUF"] {
        let content = |seed| Content::from(Spec::tiny().seed(seed).bytes());
        let handle = hub.repo(repo).license("mit").lfs("Qwen2.5-7B-Instruct-Q4_K_M.gguf", content(101));
        let handle = handle.lfs("Qwen2.5-7B-Instruct-Q8_0.gguf", content(102));
        handle.lfs("mtp-Qwen2.5-7B-Instruct.gguf", Spec::tiny().seed(103).bytes()).commit();
    }
    let pictures = hub.repo("ggml-org/Qwen2.5-VL-7B-Instruct-GGUF").license("mit");
    let pictures = pictures.lfs("Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf", Spec::tiny().seed(104).bytes());
    pictures.lfs("mmproj-Qwen2.5-VL-7B-Instruct-f16.gguf", Spec::tiny().seed(105).bytes_as("mmproj", "clip")).commit();
    set(machine, "Qwen/Qwen2.5-7B-Instruct");
    format!("models:\n{entries}")
}

/// A whole set of safetensors.
fn set(machine: &Machine, repo: &str) {
    let files = machine.hub.repo(repo).license("mit").plain("config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
    files.plain("tokenizer.json", "{}").plain("tokenizer_config.json", "{}").lfs("model.safetensors", set_content()).commit();
}

/// The smallest file of that format: a header without a tensor.
fn set_content() -> Vec<u8> {
    let header = b"{\"__metadata__\":{\"format\":\"pt\"}}";
    [&(header.len() as u64).to_le_bytes()[..], header].concat()
}
