//! Programs that keep models, as far as their code is known: what each does to its files when it starts, lists, fetches, loads
//! and removes. For those that do not run in a test: the others are run by `tests/real_apps`.
//!
//! From the sources of 2026: ollama (`server/images.go`, `server/layer.go`), lms, jan's llamacpp extension, docker/model-runner
//! (`pkg/distribution`), llama.cpp (`common/hf-cache.cpp`), gpt4all, text-generation-webui, ComfyUI.

mod docker;
mod ollama;

use crate::support::hub::Content;
use model_manager::App;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A program with models in a folder of its own.
pub trait Program {
    fn app(&self) -> App;
    fn dir(&self) -> &Path;
    /// Fetches a model; returns what the program calls it.
    fn fetch(&self, model: &str, content: &Content) -> String;
    /// Starts, when nobody used it for days.
    fn start(&self) {}
    /// Its models, or why it shows none.
    fn list(&self) -> Result<Vec<String>, String>;
    /// The file that it loads for a model.
    fn file(&self, name: &str) -> PathBuf;
    fn remove(&self, name: &str);
    /// What it does when it makes a model of a file that it has.
    fn reuse(&self, _name: &str) {}
}

/// All of them, with their folders below `dir`.
pub fn programs(dir: &Path) -> Vec<Box<dyn Program>> {
    vec![
        Box::new(ollama::Ollama(dir.join("ollama"))),
        Box::new(LmStudio(dir.join("lm-studio"))),
        Box::new(Jan(dir.join("jan"))),
        Box::new(docker::Docker(dir.join("docker"))),
        Box::new(LlamaCpp(dir.join("hub"))),
        Box::new(Flat(App::Gpt4All, dir.join("gpt4all"))),
        Box::new(Flat(App::TextGen, dir.join("textgen"))),
        Box::new(ComfyUi(dir.join("comfyui"))),
    ]
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes a file as most programs do: under another name, which it loses when it is whole.
fn fetch_to(path: &Path, unfinished: &Path, content: &Content) {
    if !path.exists() {
        write(unfinished, content.bytes());
        fs::rename(unfinished, path).unwrap();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file below a folder; links to folders are entered where `follow` is set.
fn walk(dir: &Path, follow: bool) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = todo.pop() {
        for path in names(&dir).iter().map(|name| dir.join(name)) {
            let is_dir = if follow { path.is_dir() } else { fs::symlink_metadata(&path).unwrap().is_dir() };
            if is_dir { todo.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// LM Studio: `<publisher>/<repository>/<file>.gguf`.
struct LmStudio(PathBuf);

impl Program for LmStudio {
    fn app(&self) -> App {
        App::LmStudio
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let path = self.0.join("theirs").join(model).join(format!("{model}.gguf"));
        fetch_to(&path, &path.with_extension("gguf.part"), content);
        format!("theirs/{model}")
    }
    /// One link to nothing, and no model of the whole folder is read.
    fn list(&self) -> Result<Vec<String>, String> {
        let mut models = Vec::new();
        for path in walk(&self.0, true) {
            fs::metadata(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let below: Vec<&str> = path.strip_prefix(&self.0).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
            if let [publisher, repository, file] = below[..]
                && file.ends_with(".gguf")
            {
                models.push(format!("{publisher}/{repository}"));
            }
        }
        models.dedup();
        Ok(models)
    }
    fn file(&self, name: &str) -> PathBuf {
        walk(&self.0.join(name), true).into_iter().find(|path| path.extension().is_some_and(|e| e == "gguf")).unwrap()
    }
    fn remove(&self, name: &str) {
        fs::remove_dir_all(self.0.join(name)).unwrap();
        let _others_are_there = fs::remove_dir(self.0.join(name).parent().unwrap());
    }
}

/// Jan: `llamacpp/models/<id>/model.yml`, which says where the file is.
struct Jan(PathBuf);

impl Jan {
    fn model(&self, name: &str) -> PathBuf {
        self.0.join("llamacpp/models").join(name)
    }
}

impl Program for Jan {
    fn app(&self) -> App {
        App::Jan
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let path = self.model(model).join("model.gguf");
        fetch_to(&path, &path.with_extension("gguf.tmp"), content);
        let text = format!(
            "model_path: llamacpp/models/{model}/model.gguf\nname: {model}\nsize_bytes: {}\nembedding: false\nmodel_sha256: {}\n",
            content.len(),
            content.sha256()
        );
        write(&self.model(model).join("model.yml"), text);
        model.to_owned()
    }
    fn list(&self) -> Result<Vec<String>, String> {
        let models = self.0.join("llamacpp/models");
        Ok(names(&models).into_iter().filter(|name| models.join(name).join("model.yml").is_file()).collect())
    }
    fn file(&self, name: &str) -> PathBuf {
        let text = fs::read_to_string(self.model(name).join("model.yml")).unwrap();
        let path = text.lines().find_map(|line| line.strip_prefix("model_path: ")).unwrap();
        self.0.join(path.trim_matches('"'))
    }
    /// The folder of the model goes; a file that its record names elsewhere stays.
    fn remove(&self, name: &str) {
        fs::remove_dir_all(self.model(name)).unwrap();
    }
}

/// llama.cpp: the cache of `huggingface_hub`, of which it shows the commit that `main` names.
struct LlamaCpp(PathBuf);

impl Program for LlamaCpp {
    fn app(&self) -> App {
        App::Hf
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let root = self.0.join(format!("models--theirs--{model}"));
        let blob = root.join("blobs").join(content.sha256());
        fetch_to(&blob, &blob.with_extension("downloadInProgress"), content);
        let commit = "1".repeat(40);
        write(&root.join("refs/main"), &commit);
        let link = root.join("snapshots").join(commit).join(format!("{model}.gguf"));
        if !link.exists() {
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(Path::new("../../blobs").join(content.sha256()), link).unwrap();
        }
        format!("theirs/{model}")
    }
    fn list(&self) -> Result<Vec<String>, String> {
        let repos = names(&self.0).into_iter().filter(|name| {
            let root = self.0.join(name);
            let commit = fs::read_to_string(root.join("refs/main")).unwrap_or_default();
            name.starts_with("models--") && !commit.is_empty() && !walk(&root.join("snapshots").join(commit), true).is_empty()
        });
        Ok(repos.map(|name| name["models--".len()..].replacen("--", "/", 1)).collect())
    }
    fn file(&self, name: &str) -> PathBuf {
        let root = self.0.join(format!("models--{}", name.replace('/', "--")));
        let commit = fs::read_to_string(root.join("refs/main")).unwrap();
        walk(&root.join("snapshots").join(commit), true).remove(0)
    }
    fn remove(&self, name: &str) {
        fs::remove_dir_all(self.0.join(format!("models--{}", name.replace('/', "--")))).unwrap();
    }
}

/// GGUF files in a folder, by their names: GPT4All, and text-generation-webui, where a person removes them.
struct Flat(App, PathBuf);

impl Program for Flat {
    fn app(&self) -> App {
        self.0
    }
    fn dir(&self) -> &Path {
        &self.1
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let name = format!("{model}.gguf");
        fetch_to(&self.1.join(&name), &self.1.join(format!("incomplete-{name}")), content);
        name
    }
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(names(&self.1).into_iter().filter(|name| name.ends_with(".gguf") && !name.starts_with("incomplete-")).collect())
    }
    fn file(&self, name: &str) -> PathBuf {
        self.1.join(name)
    }
    fn remove(&self, name: &str) {
        fs::remove_file(self.1.join(name)).unwrap();
    }
}

/// ComfyUI: `models/<kind>/…`, of which it removes nothing. A person starts it with every file of further folders that is
/// exposed, and removes that.
struct ComfyUi(PathBuf);

impl ComfyUi {
    fn config(&self, name: &str) -> PathBuf {
        self.0.join("model-manager").join(format!("{name}.yaml"))
    }

    /// The folders that such a file names: those of each kind, below its `base_path`.
    fn folders(&self, name: &str) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.config(name)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": "));
        let values: Vec<(&str, &str)> = lines.map(|(key, value)| (key, value.trim_matches('"'))).collect();
        let base = values.iter().find(|(key, _)| *key == "base_path").map(|(_, base)| PathBuf::from(base)).unwrap_or_default();
        let kinds = values.iter().filter(|(key, _)| !matches!(*key, "base_path" | "is_default"));
        kinds.flat_map(|(_, below)| below.split("\\n").map(|below| base.join(below))).collect()
    }

    fn weights(&self, name: &str) -> Vec<PathBuf> {
        let is_read = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "gguf" || ending == "safetensors");
        self.folders(name).iter().flat_map(|folder| walk(folder, true)).filter(is_read).collect()
    }
}

impl Program for ComfyUi {
    fn app(&self) -> App {
        App::ComfyUi
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let name = format!("checkpoints/{model}.safetensors");
        write(&self.0.join("models").join(&name), content.bytes());
        name
    }
    fn list(&self) -> Result<Vec<String>, String> {
        let root = self.0.join("models");
        let own = walk(&root, true).into_iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string());
        let configs = names(&self.0.join("model-manager")).into_iter();
        let named = configs.map(|config| config.trim_end_matches(".yaml").to_owned());
        Ok(own.chain(named.filter(|name| !self.weights(name).is_empty())).collect())
    }
    fn file(&self, name: &str) -> PathBuf {
        self.weights(name).into_iter().next().unwrap_or_else(|| self.0.join("models").join(name))
    }
    fn remove(&self, name: &str) {
        let config = self.config(name);
        fs::remove_file(if config.exists() { config } else { self.file(name) }).unwrap();
    }
}
