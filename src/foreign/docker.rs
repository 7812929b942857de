//! Docker Model Runner: `layout.json`, `models.json` with ids and tags, `manifests/sha256/<hex>` and `blobs/sha256/<hex>`.
//!
//! A blob is named by the SHA-256 of its content. Of the first format a GGUF layer has the type `application/vnd.docker.ai.gguf.v3`;
//! later ones name its path in the annotation `org.cncf.model.filepath`.

use super::{Claim, ollama::Manifest, reader::Reader};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Layout {
    version: String,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    models: Vec<Indexed>,
}

#[derive(Deserialize)]
struct Indexed {
    #[serde(default)]
    id: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// The annotation that names a file.
const FILE_PATH: &str = "org.cncf.model.filepath";

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    if let Some(Layout { version }) = reader.json(&dir.join("layout.json")) {
        reader.layout(crate::text::short(&version, 20));
    }
    let Some(Index { models }) = reader.json(&dir.join("models.json")) else { return };
    for Indexed { id, tags } in models {
        let name = tags.first().unwrap_or(&id).clone();
        let Some(digest) = digest_of(&id) else {
            reader.problem(&dir.join("models.json"), format!("`{}` is no digest", crate::text::short(&id, 80)));
            continue;
        };
        let Some(manifest) = reader.json::<Manifest>(&dir.join("manifests/sha256").join(digest)) else { continue };
        for layer in manifest.layers {
            let path = layer.annotations.get(FILE_PATH);
            let is_weights = layer.media_type.contains(".gguf")
                || layer.media_type.contains(".safetensors")
                || path.is_some_and(crate::weights::is_weights);
            let Some(digest) = digest_of(&layer.digest).filter(|_| is_weights) else { continue };
            let claim = Claim { sha256: digest.parse().ok(), path: path.and_then(|path| path.parse().ok()), ..Claim::default() };
            if let Some(file) = reader.file(&dir.join("blobs/sha256").join(digest)) {
                reader.add(&name, file, claim);
            }
        }
    }
}

/// The digits of a digest with SHA-256, and of nothing else: they become a part of a path.
fn digest_of(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:")?;
    (digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}
