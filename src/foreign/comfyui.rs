//! ComfyUI: `<kind>/<path>` in its folder `models`: checkpoints, loras, vae, text_encoders, diffusion_models and others.

use super::{
    Claim,
    reader::{Reader, is_unfinished},
};
use crate::weights;
use std::path::Path;

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    let below = dir.join("models");
    let dir = if reader.is_there(&below) { below } else { dir.to_owned() };
    for (name, path) in reader.walk(&dir) {
        if is_unfinished(&name) {
            reader.unfinished();
        } else if name.contains('/')
            && weights::is_weights(&name)
            && let Some(file) = reader.file(&path)
        {
            let file_name = name.rsplit('/').next().unwrap_or_default();
            reader.add(&name, file, Claim { path: file_name.parse().ok(), ..Claim::default() });
        }
    }
}
