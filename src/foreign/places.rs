//! Where applications keep their models by default.
//!
//! Sources: the programs' own code and documentation, as of 2026. A variable of the environment wins over the default place,
//! as it does for the application.

use crate::{names::App, settings::AppPlace};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Looks up a variable of the environment.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables that say where an application keeps its models, and what is to be added to their value.
const VARIABLES: [(App, &[(&str, &str)]); 6] = [
    (App::Hf, &[("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")]),
    (App::LlamaCpp, &[("LLAMA_CACHE", "")]),
    (App::Ollama, &[("OLLAMA_MODELS", "")]),
    (App::Docker, &[("MODELS_PATH", "")]),
    (App::RamaLama, &[("RAMALAMA_STORE", "")]),
    (App::Jan, &[("JAN_DATA_FOLDER", "")]),
];

/// Where the applications would have their models for a user with this home folder. A folder of the list need not be there.
#[must_use]
pub fn default_places(home: Option<&Path>, variable: Lookup<'_>) -> Vec<AppPlace> {
    let mut places: Vec<AppPlace> = Vec::new();
    for app in App::ALL {
        let named = VARIABLES.iter().filter(|(of, _)| *of == app).flat_map(|(_, names)| names.iter());
        let named = named
            .filter_map(|(name, below)| Some((*name, variable(name).filter(|value| !value.is_empty())?, *below)))
            .map(|(name, value, below)| (name, Path::new(&value).join(below)))
            .find(|(_, dir)| dir.is_absolute());
        if let Some((name, dir)) = named {
            places.push(AppPlace { app, dir: tidy(&dir), named_by: Some(name.to_owned()) });
            continue;
        }
        let Some(home) = home else { continue };
        for dir in defaults(app, home, variable) {
            places.push(AppPlace { app, dir, named_by: None });
        }
    }
    places
}

/// The default folders of an application, which need not be there.
fn defaults(app: App, home: &Path, variable: Lookup<'_>) -> Vec<PathBuf> {
    let in_home = |dirs: &[&str]| dirs.iter().map(|dir| home.join(dir)).collect::<Vec<_>>();
    // Where the system has the data of programs.
    let data = |windows: (&str, &str), mac: &str, other: &str| -> Vec<PathBuf> {
        if cfg!(windows) {
            let (name, below) = windows;
            variable(name).map(|dir| Path::new(&dir).join(below)).into_iter().collect()
        } else if cfg!(target_os = "macos") {
            vec![home.join("Library/Application Support").join(mac)]
        } else {
            let base = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
            vec![base.unwrap_or_else(|| home.join(".local/share")).join(other)]
        }
    };
    match app {
        App::Hf => in_home(&[".cache/huggingface/hub"]),
        // Since 2026 it has the cache of `huggingface_hub`, and moves this one there.
        App::LlamaCpp if cfg!(target_os = "macos") => in_home(&["Library/Caches/llama.cpp"]),
        App::LlamaCpp if cfg!(windows) => {
            variable("LOCALAPPDATA").map(|dir| Path::new(&dir).join("llama.cpp")).into_iter().collect()
        }
        App::LlamaCpp => in_home(&[".cache/llama.cpp"]),
        App::Ollama => {
            let mut dirs = in_home(&[".ollama/models"]);
            if cfg!(target_os = "linux") {
                dirs.push("/usr/share/ollama/.ollama/models".into());
            }
            dirs
        }
        App::LmStudio => in_home(&[".lmstudio/models", ".cache/lm-studio/models"]),
        App::Docker => in_home(&[".docker/models"]),
        App::RamaLama => in_home(&[".local/share/ramalama"]),
        App::Jan => data(("APPDATA", "Jan/data"), "Jan/data", "Jan/data"),
        App::Gpt4All => {
            let mut dirs = data(("LOCALAPPDATA", "nomic.ai/GPT4All"), "nomic.ai/GPT4All", "nomic.ai/GPT4All");
            dirs.extend(in_home(&[".cache/gpt4all"]));
            dirs
        }
        // These have no place of their own: they are where somebody put them.
        App::TextGen | App::ComfyUi | App::GitLfs => Vec::new(),
    }
}

/// The same path without a separator at its end.
fn tidy(dir: &Path) -> PathBuf {
    dir.components().collect()
}
