//! Ollama: `manifests/<host>/<namespace>/<model>/<tag>` and `blobs/sha256-<hex>`.
//!
//! A manifest is an image of the registry API; the layer with the media type `…image.model` is the GGUF file, `…projector` and
//! `…adapter` go with it. A name is the SHA-256 that the file had when it came. What Ollama fetched from the Hub has the host
//! `hf.co`, the repository as namespace and model, and the quantization as tag.

use super::{
    Claim,
    reader::{Reader, is_unfinished},
};
use serde::Deserialize;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// An image manifest, of which only this is read.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(default)]
    pub layers: Vec<Layer>,
    #[serde(default)]
    pub config: Option<Layer>,
}

/// One layer of an image.
#[derive(Debug, Deserialize)]
pub(super) struct Layer {
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    #[serde(default)]
    pub digest: String,
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// The kinds of layers that are weights.
const WEIGHTS: [&str; 3] =
    ["application/vnd.ollama.image.model", "application/vnd.ollama.image.projector", "application/vnd.ollama.image.adapter"];

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    for blob in reader.list(&dir.join("blobs")) {
        if is_unfinished(&blob.name) {
            reader.unfinished();
        }
    }
    for (name, path) in reader.walk(&dir.join("manifests")) {
        let parts: Vec<&str> = name.split('/').collect();
        let [host, namespace, model, tag] = parts[..] else { continue };
        let Some(manifest) = reader.json::<Manifest>(&path) else { continue };
        let repo = if host == "hf.co" || host == "huggingface.co" { format!("{namespace}/{model}").parse().ok() } else { None };
        for layer in manifest.layers.iter().filter(|layer| WEIGHTS.contains(&layer.media_type.as_str())) {
            let Some(digest) = layer.digest.strip_prefix("sha256:").and_then(|digest| digest.parse().ok()) else {
                reader.problem(&path, format!("the layer `{}` has no SHA-256", crate::text::short(&layer.digest, 80)));
                continue;
            };
            let claim = Claim { sha256: Some(digest), repo: repo.clone(), ..Claim::default() };
            if let Some(file) = reader.file(&dir.join("blobs").join(format!("sha256-{digest}"))) {
                reader.add(&shown(host, namespace, model, tag), file, claim);
            }
        }
    }
}

/// The blobs that manifests name, of whatever kind.
pub(super) fn needed(reader: &mut Reader<'_>, dir: &Path) -> HashSet<PathBuf> {
    let mut needed = HashSet::new();
    for (name, path) in reader.walk(&dir.join("manifests")) {
        if name.split('/').count() == 4
            && let Some(Manifest { layers, config }) = reader.json(&path)
        {
            let digests = layers.iter().chain(&config).filter_map(|layer| layer.digest.strip_prefix("sha256:"));
            needed.extend(digests.map(|digest| dir.join("blobs").join(format!("sha256-{digest}"))));
        }
    }
    needed
}

/// What the application calls a model: its own registry and namespace are left out.
fn shown(host: &str, namespace: &str, model: &str, tag: &str) -> String {
    match (host, namespace) {
        ("registry.ollama.ai", "library") => format!("{model}:{tag}"),
        ("registry.ollama.ai", _) => format!("{namespace}/{model}:{tag}"),
        _ => format!("{host}/{namespace}/{model}:{tag}"),
    }
}
