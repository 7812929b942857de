//! Docker Model Runner: an index, manifests and blobs, and a bundle of hard links for each model that ran.

use super::{Program, fetch_to, write};
use crate::support::hub::Content;
use model_manager::App;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Its folder.
pub struct Docker(pub PathBuf);

impl Docker {
    fn index(&self) -> Vec<Value> {
        let text = fs::read(self.0.join("models.json")).unwrap_or_else(|_| b"{\"models\":[]}".to_vec());
        serde_json::from_slice::<Value>(&text).unwrap()["models"].as_array().unwrap().clone()
    }
    fn set_index(&self, models: &[Value]) {
        write(&self.0.join("models.json"), json!({ "models": models }).to_string());
    }
    fn entry(&self, name: &str) -> Value {
        self.index().into_iter().find(|entry| entry["tags"][0] == name).unwrap_or_else(|| panic!("Docker has no {name}"))
    }
    fn path(&self, kind: &str, digest: &Value) -> PathBuf {
        self.0.join(kind).join(digest.as_str().unwrap().replace(':', "/"))
    }
}

impl Program for Docker {
    fn app(&self) -> App {
        App::Docker
    }
    fn dir(&self) -> &Path {
        &self.0
    }
    fn fetch(&self, model: &str, content: &Content) -> String {
        let digest = |content: &Content| json!(format!("sha256:{}", content.sha256()));
        let path = self.path("blobs", &digest(content));
        fetch_to(&path, &path.with_extension("incomplete"), content);
        let layer = json!({
            "mediaType": "application/vnd.docker.ai.gguf.v3", "digest": digest(content), "size": content.len(),
            "annotations": { "org.cncf.model.filepath": format!("{model}.gguf") },
        });
        let manifest = Content::from(json!({ "schemaVersion": 2, "config": {}, "layers": [layer] }).to_string().as_str());
        write(&self.path("manifests", &digest(&manifest)), manifest.bytes());
        write(&self.0.join("layout.json"), "{\"version\":\"1.0.0\"}");
        let name = format!("ai/{model}:latest");
        let mut models: Vec<Value> = self.index().into_iter().filter(|entry| entry["tags"][0] != name).collect();
        models.push(json!({ "id": digest(&manifest), "tags": [name], "files": [digest(content)] }));
        self.set_index(&models);
        name
    }
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.index().iter().map(|entry| entry["tags"][0].as_str().unwrap().to_owned()).collect())
    }
    /// A further name of the blob in the model's bundle.
    fn file(&self, name: &str) -> PathBuf {
        let entry = self.entry(name);
        let bundled = self.path("bundles", &entry["id"]).join("model/model.gguf");
        if !bundled.exists() {
            fs::create_dir_all(bundled.parent().unwrap()).unwrap();
            fs::hard_link(self.path("blobs", &entry["files"][0]), &bundled).unwrap();
        }
        bundled
    }
    fn remove(&self, name: &str) {
        let entry = self.entry(name);
        let others: Vec<Value> = self.index().into_iter().filter(|other| other["id"] != entry["id"]).collect();
        if !others.iter().any(|other| other["files"] == entry["files"]) {
            fs::remove_file(self.path("blobs", &entry["files"][0])).unwrap();
        }
        fs::remove_file(self.path("manifests", &entry["id"])).unwrap();
        let _it_never_ran = fs::remove_dir_all(self.path("bundles", &entry["id"]));
        self.set_index(&others);
    }
}
