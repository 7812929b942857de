//! Where a model has to stand so that an application sees it as its own.
//!
//! Never a symbolic link where an application resolves paths before it deletes, and never one that leads to nothing: in the
//! cache of `huggingface_hub` and for LM Studio a file is a further name of the blob. What an application cannot take is
//! refused before anything is made.

use crate::{
    digest::{GitSha1, Sha256Digest, sha256_of},
    names::{App, Format, ModelId, Quant, RelPath, RepoId, split_part_suffix},
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A model that an application is to see.
#[derive(Debug, Clone)]
pub struct ModelToPlace {
    /// Its id.
    pub model: ModelId,
    /// Its format.
    pub format: Format,
    /// Its quantization.
    pub quant: Option<Quant>,
    /// The repository that its files are from, where that is known.
    pub repo: Option<RepoId>,
    /// The commit, 40 hexadecimal digits.
    pub commit: Option<String>,
    /// Its files.
    pub files: Vec<FileToPlace>,
    /// Its folder in the project.
    pub view: PathBuf,
    /// What its header calls the kind of model and the quantization.
    pub architecture: Option<String>,
    /// See there.
    pub file_type: Option<String>,
}

/// A file of it.
#[derive(Debug, Clone)]
pub struct FileToPlace {
    /// Its path in the view.
    pub path: RelPath,
    /// Its path in the repository.
    pub repo_path: RelPath,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its git blob id, where the Hub has it outside of LFS.
    pub git_sha1: Option<GitSha1>,
    /// Its length in bytes.
    pub size: u64,
}

/// Something that is to stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// The file, under a further name; a symbolic link where that cannot be and `or_link` allows it.
    File {
        /// Where.
        path: PathBuf,
        /// Its content.
        sha256: Sha256Digest,
        /// Whether the application takes a symbolic link as well.
        or_link: bool,
    },
    /// A symbolic link.
    Link {
        /// Where.
        path: PathBuf,
        /// What it holds.
        target: PathBuf,
    },
    /// A small file.
    Text {
        /// Where.
        path: PathBuf,
        /// Its content.
        text: String,
        /// Whether one that is there already is left as it is.
        optional: bool,
    },
}

impl Placement {
    /// Where it is to stand.
    pub fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Link { path, .. } | Self::Text { path, .. } => path,
        }
    }
}

/// Where the parts of a model have to stand, and what the application calls it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The name.
    pub name: String,
    /// The places, in the order in which they are made.
    pub places: Vec<Placement>,
}

/// Where a model has to stand for an application that has its models in `dir`. `Err` says why it cannot take it.
///
/// # Errors
/// Where the application takes no such model, or nothing that is placed among its files.
pub fn placements(app: App, dir: &Path, model: &ModelToPlace) -> Result<Placed, String> {
    match app {
        // A link needs a privilege on Windows, and `huggingface_hub` does without links there.
        App::Hf | App::LlamaCpp => Ok(in_hub_cache(dir, model, !cfg!(windows))),
        App::Ollama => in_ollama(dir, model),
        App::LmStudio => in_lm_studio(dir, model),
        App::Gpt4All => single_files(dir, model, app),
        App::TextGen => Ok(in_text_gen(dir, model)),
        App::Jan => in_jan(dir, model),
        App::GitLfs => Ok(in_git_lfs(dir, model)),
        App::ComfyUi => in_comfyui(dir, model),
        App::Docker => {
            Err("its index is written by its own program only: its command `docker model package` takes the file".into())
        }
        App::RamaLama => Err("it writes in its files: `ramalama pull file://` takes the file".into()),
    }
}

/// The files of a model, in a folder that is no application's.
#[must_use]
pub fn placements_in_folder(dir: &Path, model: &ModelToPlace) -> Placed {
    let dir = if model.format.is_single_file() { dir.to_owned() } else { dir.join(model.model.as_str()) };
    Placed { name: model.model.to_string(), places: files_in(&dir, model, true) }
}

fn files_in(dir: &Path, model: &ModelToPlace, or_link: bool) -> Vec<Placement> {
    let file = |file: &FileToPlace| Placement::File { path: dir.join(file.path.to_path()), sha256: file.sha256, or_link };
    model.files.iter().map(file).collect()
}

/// The repository, or a name that no repository of the Hub has.
fn repo_of(model: &ModelToPlace) -> String {
    model
        .repo
        .as_ref()
        .filter(|repo| repo.as_str().contains('/'))
        .map_or_else(|| format!("local/{}", model.model), RepoId::to_string)
}

/// `models--<owner>--<name>`: blobs by their etag, links to them in the snapshot of a commit, and the commit as `main`. Without
/// links the files stand in the snapshot, and there are no blobs.
fn in_hub_cache(dir: &Path, model: &ModelToPlace, has_links: bool) -> Placed {
    let repo = repo_of(model);
    let root = dir.join(format!("models--{}", repo.replace('/', "--")));
    // Without a commit, a name that is none of the repository's.
    let synthetic = || {
        let all: String = model.files.iter().map(|file| format!("{} {}\n", file.sha256, file.repo_path)).collect();
        sha256_of(all.as_bytes()).to_string()[..40].to_owned()
    };
    let commit = model.commit.clone().unwrap_or_else(synthetic);
    let mut places = Vec::new();
    for file in &model.files {
        let in_snapshot = root.join("snapshots").join(&commit).join(file.repo_path.to_path());
        if !has_links {
            places.push(Placement::File { path: in_snapshot, sha256: file.sha256, or_link: false });
            continue;
        }
        let etag = file.git_sha1.map_or_else(|| file.sha256.to_string(), |id| id.to_string());
        places.push(Placement::File { path: root.join("blobs").join(&etag), sha256: file.sha256, or_link: false });
        let up = "../".repeat(2 + file.repo_path.depth());
        places.push(Placement::Link { path: in_snapshot, target: PathBuf::from(format!("{up}blobs/{etag}")) });
    }
    places.push(Placement::Text { path: root.join("refs/main"), text: commit, optional: true });
    Placed { name: repo, places }
}

/// The one GGUF file of a model that is its weights, and the projector beside it. `Err` where there are several parts.
fn single_gguf(model: &ModelToPlace, app: App) -> Result<(&FileToPlace, Vec<&FileToPlace>), String> {
    if !model.format.is_single_file() {
        return Err(format!("{} takes GGUF files, and this is {}", app.title(), model.format));
    }
    let is_part = |file: &&FileToPlace| split_part_suffix(file.path.as_str().trim_end_matches(".gguf")).1.is_some();
    if model.files.iter().any(|file| is_part(&file)) {
        return Err(format!("{} takes no model of several parts", app.title()));
    }
    let is_projector = |file: &&FileToPlace| file.path.as_str().contains("mmproj");
    let (beside, models): (Vec<&FileToPlace>, Vec<&FileToPlace>) = model.files.iter().partition(|file| is_projector(file));
    match models.as_slice() {
        [only] => Ok((only, beside)),
        _ => Err(format!("{} takes one file, and this has {}", app.title(), models.len())),
    }
}

/// A blob for the weights and one for the configuration, and a manifest that names both, last.
fn in_ollama(dir: &Path, model: &ModelToPlace) -> Result<Placed, String> {
    let (weights, beside) = single_gguf(model, App::Ollama)?;
    let family = model.architecture.clone().unwrap_or_else(|| "llama".to_owned());
    let config = json!({
        "model_format": "gguf", "model_family": family, "model_families": [family],
        "model_type": "", "file_type": model.file_type.clone().unwrap_or_default(),
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", weights.sha256)] },
    })
    .to_string();
    let digest = sha256_of(config.as_bytes());
    let layer = |kind: &str, file: &FileToPlace| json!({ "mediaType": format!("application/vnd.ollama.image.{kind}"), "digest": format!("sha256:{}", file.sha256), "size": file.size });
    let layers: Vec<_> = [layer("model", weights)].into_iter().chain(beside.iter().map(|file| layer("projector", file))).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "digest": format!("sha256:{digest}"), "size": config.len() },
        "layers": layers,
    })
    .to_string();
    // A later pull of the same repository finds the blob.
    let tag = model.quant.as_ref().map_or_else(|| "latest".to_owned(), |quant| quant.as_str().to_uppercase());
    let (host, path) = match model.repo.as_ref().filter(|repo| repo.as_str().contains('/') && !repo.as_str().starts_with("local/"))
    {
        Some(repo) if !repo.as_str().split('/').next().is_some_and(|owner| owner.contains('.')) => ("hf.co", repo.to_string()),
        _ => ("model-manager.local", format!("library/{}", plain(model.model.as_str()))),
    };
    let blobs = dir.join("blobs");
    let mut places: Vec<Placement> = [weights]
        .into_iter()
        .chain(beside)
        .map(|file| Placement::File { path: blobs.join(format!("sha256-{}", file.sha256)), sha256: file.sha256, or_link: true })
        .collect();
    places.push(Placement::Text { path: blobs.join(format!("sha256-{digest}")), text: config, optional: true });
    let manifest_path = dir.join("manifests").join(host).join(&path).join(&tag);
    places.push(Placement::Text { path: manifest_path, text: manifest, optional: false });
    Ok(Placed { name: format!("{host}/{path}:{tag}"), places })
}

/// A name of letters, digits, `.`, `_` and `-`, 80 at most.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }).take(80).collect()
}

/// Exactly two folders deep.
fn in_lm_studio(dir: &Path, model: &ModelToPlace) -> Result<Placed, String> {
    if !model.format.is_single_file() {
        return Err(format!("{} takes GGUF files, and this is {}", App::LmStudio.title(), model.format));
    }
    let name = repo_of(model);
    let places = files_in(&dir.join(&name), model, false);
    Ok(Placed { name, places })
}

fn single_files(dir: &Path, model: &ModelToPlace, app: App) -> Result<Placed, String> {
    let (weights, _) = single_gguf(model, app)?;
    let path = dir.join(weights.path.file_name());
    Ok(Placed {
        name: weights.path.file_name().to_owned(),
        places: vec![Placement::File { path, sha256: weights.sha256, or_link: true }],
    })
}

/// GGUF files at the top, a set in a folder of its own.
fn in_text_gen(dir: &Path, model: &ModelToPlace) -> Placed {
    if model.format.is_single_file() {
        let name = model.files.first().map_or_else(String::new, |file| file.path.file_name().to_owned());
        return Placed { name, places: files_in(dir, model, true) };
    }
    let name = repo_of(model).replace('/', "_");
    Placed { places: files_in(&dir.join(&name), model, true), name }
}

/// A file that names the path of the view: nothing is linked.
fn in_jan(dir: &Path, model: &ModelToPlace) -> Result<Placed, String> {
    let (weights, beside) = single_gguf(model, App::Jan)?;
    let id = plain(model.model.as_str());
    let id = model.quant.as_ref().map_or_else(|| id.clone(), |quant| format!("{id}-{quant}"));
    let at = |file: &FileToPlace| json!(model.view.join(file.path.to_path()).to_string_lossy()).to_string();
    let mut text = format!("model_path: {}\nname: {}\n", at(weights), json!(id));
    if let Some(projector) = beside.first() {
        text += &format!("mmproj_path: {}\n", at(projector));
    }
    text += &format!(
        "size_bytes: {}\nembedding: false\nmodel_sha256: {}\nmodel_size_bytes: {}\n",
        weights.size, weights.sha256, weights.size
    );
    let path = dir.join("llamacpp/models").join(&id).join("model.yml");
    Ok(Placed { name: id, places: vec![Placement::Text { path, text, optional: false }] })
}

/// The folder of the files that name folders to ComfyUI, in a folder of its own.
pub const CONFIG_FOLDER: &str = "model-manager";

/// The kinds of models that ComfyUI has a folder for, with words in names of files that mean one.
const COMFY_KINDS: [(&str, &[&str]); 9] = [
    ("loras", &["lora", "loras"]),
    ("controlnet", &["controlnet"]),
    ("vae", &["vae"]),
    ("clip_vision", &["clip_vision"]),
    ("text_encoders", &["text_encoders", "text_encoder", "clip", "t5xxl", "umt5"]),
    ("upscale_models", &["upscale_models", "upscaler", "esrgan"]),
    ("embeddings", &["embeddings"]),
    ("diffusion_models", &["diffusion_models", "unet"]),
    ("checkpoints", &["checkpoints", "checkpoint"]),
];

/// A file that names the path of the view, for ComfyUI's option `--extra-model-paths-config`: nothing is linked, and nothing of
/// its own is edited.
fn in_comfyui(dir: &Path, model: &ModelToPlace) -> Result<Placed, String> {
    let folder = model.view.to_str().ok_or("the path of the model is not Unicode text")?;
    let mut kinds: Vec<(&str, String)> = Vec::new();
    for file in model.files.iter().filter(|file| crate::weights::is_weights(&file.path)) {
        let below = file.path.as_str().rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
        let words = crate::names::words(file.repo_path.as_str());
        let means = |known: &&(&str, &[&str])| known.1.iter().any(|known| has_words(&words, known));
        let named: Vec<&str> = match COMFY_KINDS.iter().find(means) {
            Some((kind, _)) => vec![kind],
            // GGUF files are diffusion models or text encoders there, and others are whole checkpoints or one part.
            None if model.format.is_single_file() => vec!["diffusion_models", "text_encoders"],
            None => vec!["checkpoints", "diffusion_models"],
        };
        for kind in named {
            if !kinds.contains(&(kind, below.clone())) {
                kinds.push((kind, below.clone()));
            }
        }
    }
    if kinds.is_empty() {
        return Err("it has no weights that ComfyUI reads".into());
    }
    let mut name = model.model.to_string();
    for part in [Some(model.format.to_string()), model.quant.as_ref().map(ToString::to_string)].into_iter().flatten() {
        name = format!("{name}-{part}");
    }
    let name = plain(&name);
    kinds.sort();
    let mut text =
        format!("# Written by model-manager; `unexpose` removes it.\n{}:\n  base_path: {}\n", json!(name), json!(folder));
    for chunk in kinds.chunk_by(|one, other| one.0 == other.0) {
        let folders: Vec<&str> = chunk.iter().map(|(_, below)| below.as_str()).collect();
        text += &format!("  {}: {}\n", chunk[0].0, json!(folders.join("\n")));
    }
    let path = dir.join(CONFIG_FOLDER).join(format!("{name}.yaml"));
    Ok(Placed { name, places: vec![Placement::Text { path, text, optional: false }] })
}

/// Whether words stand in this order in a name; those that are looked for are joined by `_`.
fn has_words(words: &[String], joined: &str) -> bool {
    let known: Vec<&str> = joined.split('_').collect();
    words.windows(known.len()).any(|window| window.iter().eq(known.iter()))
}

/// `objects/<ab>/<cd>/<digest>`.
fn in_git_lfs(dir: &Path, model: &ModelToPlace) -> Placed {
    let objects = match dir.file_name().is_some_and(|name| name == "objects") {
        true => dir.to_owned(),
        false if dir.ends_with(".git") => dir.join("lfs/objects"),
        false => dir.join(".git/lfs/objects"),
    };
    let place = |file: &FileToPlace| {
        let digest = file.sha256.to_string();
        Placement::File { path: objects.join(&digest[..2]).join(&digest[2..4]).join(&digest), sha256: file.sha256, or_link: false }
    };
    Placed { name: model.model.to_string(), places: model.files.iter().map(place).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(path: &str) -> ModelToPlace {
        let file = FileToPlace {
            path: path.parse().unwrap(),
            repo_path: path.parse().unwrap(),
            sha256: sha256_of(b"x"),
            git_sha1: None,
            size: 1,
        };
        ModelToPlace {
            model: "m".parse().unwrap(),
            format: Format::safetensors(),
            quant: None,
            repo: Some("acme/m".parse().unwrap()),
            commit: Some("0".repeat(40)),
            files: vec![file],
            view: "/models/m".into(),
            architecture: None,
            file_type: None,
        }
    }

    #[test]
    fn without_links_the_cache_of_huggingface_hub_has_the_files_in_its_snapshot() {
        let placed = in_hub_cache(Path::new("/hub"), &model("unet/m.safetensors"), false);
        let snapshot = format!("/hub/models--acme--m/snapshots/{}/unet/m.safetensors", "0".repeat(40));
        let paths: Vec<&Path> = placed.places.iter().map(Placement::path).collect();
        assert_eq!(paths, [Path::new(&snapshot), Path::new("/hub/models--acme--m/refs/main")]);
        assert!(matches!(placed.places[0], Placement::File { or_link: false, .. }));
        let linked = in_hub_cache(Path::new("/hub"), &model("unet/m.safetensors"), true);
        assert!(matches!(&linked.places[1], Placement::Link { target, .. } if target.starts_with("../../../blobs")));
    }

    #[test]
    fn comfyui_gets_a_model_as_the_kind_that_its_path_names() {
        for (path, expected) in [
            ("split_files/text_encoders/umt5_xxl.safetensors", "  text_encoders: \"split_files/text_encoders\"\n"),
            ("split_files/vae/wan.safetensors", "  vae: \"split_files/vae\"\n"),
            ("style-LoRA.safetensors", "  loras: \".\"\n"),
            ("unet/m.safetensors", "  diffusion_models: \"unet\"\n"),
            ("m.safetensors", "  checkpoints: \".\"\n  diffusion_models: \".\"\n"),
        ] {
            let placed = in_comfyui(Path::new("/comfy"), &model(path)).unwrap();
            let Placement::Text { path: place, text, .. } = &placed.places[0] else { panic!("{placed:?}") };
            assert_eq!(place, Path::new("/comfy/model-manager/m-safetensors.yaml"));
            assert!(text.ends_with(&format!("base_path: \"/models/m\"\n{expected}")), "{path}: {text}");
        }
        assert!(in_comfyui(Path::new("/comfy"), &model("config.json")).is_err());
    }
}
