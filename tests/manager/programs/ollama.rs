//! Ollama: `blobs/sha256-<hex>`, and a manifest for each model.

use super::{Program, fetch_to, names, walk, write};
use crate::support::hub::Content;
use model_manager::App;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Its folder.
pub struct Ollama(pub PathBuf);

/// A model of Ollama: its manifest, and the blobs that this names.
struct Manifest {
    name: String,
    path: PathBuf,
    blobs: Vec<String>,
}

const OLLAMA_IMAGE: &str = "application/vnd.ollama.image";

impl Ollama {
    /// Each model, and the paths of manifests that cannot be read.
    fn manifests(&self) -> (Vec<Manifest>, Vec<PathBuf>) {
        let (mut read, mut unreadable) = (Vec::new(), Vec::new());
        let root = self.0.join("manifests");
        for path in walk(&root, false) {
            let parts: Vec<&str> = path.strip_prefix(&root).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
            let [host, namespace, model, tag] = parts[..] else { continue };
            let Ok(Value::Object(manifest)) = serde_json::from_slice(&fs::read(&path).unwrap()) else {
                unreadable.push(path);
                continue;
            };
            let own = if (host, namespace) == ("registry.ollama.ai", "library") { "" } else { &format!("{host}/{namespace}/") };
            let layers = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
            let blobs = layers.filter_map(|layer| Some(layer["digest"].as_str()?.replace(':', "-"))).collect();
            read.push(Manifest { name: format!("{own}{model}:{tag}"), path, blobs });
        }
        (read, unreadable)
    }

    fn manifest_of(&self, name: &str) -> Manifest {
        let (models, _) = self.manifests();
        models.into_iter().find(|model| model.name == name).unwrap_or_else(|| panic!("Ollama has no {name}"))
    }

    fn remove_unused(&self, blobs: impl IntoIterator<Item = String>) {
        let (models, _) = self.manifests();
        for blob in blobs {
            if !models.iter().any(|model| model.blobs.contains(&blob)) {
                let _it_may_be_gone = fs::remove_file(self.0.join("blobs").join(blob));
            }
        }
    }

    fn remove_empty(dir: &Path) {
        for name in names(dir) {
            if dir.join(&name).is_dir() {
                Self::remove_empty(&dir.join(&name));
            }
        }
        let _it_is_not_empty = fs::remove_dir(dir);
    }
}

impl Program for Ollama {
    fn app(&self) -> App {
        App::Ollama
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        // A blob that is there is taken for what its name says: it is not read.
        let blob = |content: &Content| {
            let path = |ending: &str| self.0.join("blobs").join(format!("sha256-{}{ending}", content.sha256()));
            fetch_to(&path(""), &path("-partial"), content);
        };
        let config = Content::from("{\"model_format\":\"gguf\",\"model_family\":\"llama\"}");
        blob(content);
        blob(&config);
        let layer = |kind: &str, content: &Content| json!({ "mediaType": kind, "digest": format!("sha256:{}", content.sha256()), "size": content.len() });
        let manifest = json!({
            "schemaVersion": 2, "config": layer("application/vnd.docker.container.image.v1+json", &config),
            "layers": [layer(&format!("{OLLAMA_IMAGE}.model"), content)],
        });
        write(&self.0.join("manifests/registry.ollama.ai/library").join(model).join("latest"), manifest.to_string());
        format!("{model}:latest")
    }
    /// Removes blobs that no manifest names and that are older than an hour, and every name that is no digest; nothing where a
    /// manifest cannot be read.
    fn start(&self) {
        if !self.manifests().1.is_empty() {
            return;
        }
        let is_digest = |name: &String| {
            name.strip_prefix("sha256-").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let (digests, others): (Vec<String>, Vec<String>) = names(&self.0.join("blobs")).into_iter().partition(is_digest);
        others.iter().for_each(|name| fs::remove_file(self.0.join("blobs").join(name)).unwrap());
        self.remove_unused(digests);
        Self::remove_empty(&self.0.join("manifests"));
    }
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.manifests().0.into_iter().map(|model| model.name).collect())
    }
    fn file(&self, name: &str) -> PathBuf {
        let manifest: Value = serde_json::from_slice(&fs::read(self.manifest_of(name).path).unwrap()).unwrap();
        let is_model = |layer: &&Value| layer["mediaType"] == format!("{OLLAMA_IMAGE}.model");
        let layer = manifest["layers"].as_array().unwrap().iter().find(is_model).unwrap();
        self.0.join("blobs").join(layer["digest"].as_str().unwrap().replace(':', "-"))
    }
    fn remove(&self, name: &str) {
        let Manifest { path, blobs, .. } = self.manifest_of(name);
        fs::remove_file(path).unwrap();
        Self::remove_empty(&self.0.join("manifests"));
        self.remove_unused(blobs);
    }
    /// `ollama create` gives a blob that is there the time of now.
    fn reuse(&self, name: &str) {
        let file = fs::File::open(self.file(name)).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
    }
}
