//! Settings from arguments, the environment and the project: arguments win, then variables.
#![expect(clippy::disallowed_methods, reason = "this is the room that reads the environment for Python")]

use model_manager::{
    disk::{Disk, Kind, RealDisk},
    error::{Error, ErrorKind, Result},
    settings::{LinkMode, Settings, Token},
};
use pyo3::prelude::*;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What the caller said; `None` leaves the word to the environment and the defaults.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Arguments {
    models_dir: Option<PathBuf>,
    config_path: Option<PathBuf>,
    store: Option<PathBuf>,
    endpoints: Option<Vec<String>>,
    token: Option<String>,
    offline: Option<bool>,
    link: Option<String>,
    connections: Option<usize>,
    limit_rate: Option<u64>,
    lock_timeout: Option<f64>,
}

/// Settings, and the project they are for.
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// The project's folder.
    pub root: PathBuf,
}

/// Works out the settings. It is called with the interpreter lock held, so that nobody changes the environment meanwhile.
pub fn resolve(arguments: Arguments) -> Result<Resolved> {
    let cwd = std::env::current_dir()
        .map_err(|error| Error::new(ErrorKind::Usage, "the current directory cannot be found").caused_by(error))?;
    let found = project(&cwd);
    let root = found.clone().unwrap_or(cwd);
    let models_dir = arguments.models_dir.or_else(|| path("MODEL_MANAGER_MODELS_DIR")).unwrap_or_else(|| root.join("models"));
    let mut settings = Settings::new(models_dir);
    settings.config =
        arguments.config_path.or_else(|| path("MODEL_MANAGER_CONFIG")).or_else(|| found.map(|root| root.join(CONFIG)));
    settings.store = arguments.store.or_else(|| path("MODEL_MANAGER_STORE"));
    if let Some(word) = arguments.link {
        settings.link = LinkMode::from_word(&word)
            .ok_or_else(|| usage(format!("`{word}` is no link mode")).hint("Choose auto, symlink, hardlink, reflink or copy."))?;
    }
    if let Some(seconds) = arguments.lock_timeout {
        settings.lock_timeout = patience(seconds)?;
    }
    let network = &mut settings.network;
    if let Some(endpoints) = arguments.endpoints.or_else(|| text("HF_ENDPOINT").map(|endpoint| vec![endpoint])) {
        network.endpoints = endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect();
    }
    network.token = match arguments.token {
        Some(token) => Token::new(&token),
        None => token()?,
    };
    network.offline = arguments.offline.unwrap_or_else(|| is_on("HF_HUB_OFFLINE"));
    network.connections = arguments.connections.unwrap_or(network.connections);
    if network.connections == 0 {
        return Err(usage("`connections` must be at least 1"));
    }
    network.limit_rate = arguments.limit_rate.or(network.limit_rate);
    network.ca_file = path("SSL_CERT_FILE");
    Ok(Resolved { settings, root })
}

const CONFIG: &str = "configs/models.yaml";

/// The nearest folder at or above `cwd` that holds a registry.
fn project(cwd: &Path) -> Option<PathBuf> {
    let is_file = |path: &Path| RealDisk.stat_follow(path).is_ok_and(|stat| stat.kind == Kind::File);
    cwd.ancestors().find(|folder| is_file(&folder.join(CONFIG))).map(Path::to_owned)
}

fn patience(seconds: f64) -> Result<Option<Duration>> {
    if seconds == f64::INFINITY {
        return Ok(None);
    }
    let duration = Duration::try_from_secs_f64(seconds);
    duration.map(Some).map_err(|_| usage("`lock_timeout` must be a number of seconds, or math.inf"))
}

fn token() -> Result<Option<Token>> {
    if let Some(token) = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].iter().find_map(|name| text(name)) {
        return Ok(Token::new(&token));
    }
    let home = || path("HF_HOME").or_else(|| Some(path("HOME")?.join(".cache/huggingface")));
    let Some(file) = path("HF_TOKEN_PATH").or_else(|| home().map(|home| home.join("token"))) else { return Ok(None) };
    let content = (&RealDisk as &dyn Disk).read_small(&file)?;
    Ok(content.and_then(|content| Token::new(&String::from_utf8_lossy(&content))))
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn is_on(name: &str) -> bool {
    text(name).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true"))
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}
