//! Settings from Python's arguments, and from what the command line looks at where these say nothing.

use model_manager::{
    config::{Layer, LockTimeout, Overrides, Resolved, settings_for},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    settings::{LinkMode, Token},
};
use pyo3::prelude::*;
use std::{path::PathBuf, time::Duration};

/// What the caller said; `None` leaves the word to the environment, the settings file and the defaults.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Arguments {
    models_dir: Option<PathBuf>,
    config_path: Option<PathBuf>,
    store: Option<PathBuf>,
    endpoint: Option<Vec<String>>,
    token: Option<String>,
    offline: Option<bool>,
    no_local: Option<bool>,
    no_apps: Option<bool>,
    borrow: Option<bool>,
    link: Option<String>,
    connections: Option<u64>,
    limit_rate: Option<u64>,
    lock_timeout: Option<f64>,
}

/// Works out the settings. It is called with the interpreter lock held, so that nobody changes the environment meanwhile.
pub fn resolve(arguments: Arguments) -> Result<Resolved> {
    let given = [&arguments.models_dir, &arguments.config_path, &arguments.store].map(Clone::clone);
    if given.iter().flatten().any(|path| path.as_os_str().is_empty()) {
        return Err(usage("a path is empty").hint(Hint::OmitValue));
    }
    let mut settings = Layer::default();
    settings.models_dir = arguments.models_dir;
    settings.store = arguments.store;
    settings.link = arguments.link.as_deref().map(link).transpose()?;
    settings.lock_timeout = arguments.lock_timeout.map(lock_timeout).transpose()?;
    settings.offline = arguments.offline;
    settings.no_local = arguments.no_local;
    settings.no_apps = arguments.no_apps;
    settings.borrow = arguments.borrow;
    if let Some(endpoints) = arguments.endpoint {
        settings.set("endpoints", &endpoints)?;
    }
    for (key, number) in [("connections", arguments.connections), ("limit_rate", arguments.limit_rate)] {
        if let Some(number) = number {
            settings.set(key, &[number.to_string()])?;
        }
    }
    let token = arguments.token.as_deref().map(Token::new);
    let mut resolved = settings_for(Overrides { config: arguments.config_path, token, settings })?;
    // The tool that this replaces shows paths as they were given to it.
    let [models_dir, config, store] = given.map(|path| path.filter(|path| path.is_relative() && !path.starts_with("~")));
    let settings = &mut resolved.settings;
    settings.models_dir = models_dir.unwrap_or_else(|| settings.models_dir.clone());
    settings.config = config.or(settings.config.take());
    settings.store = store.or(settings.store.take());
    Ok(resolved)
}

fn link(word: &str) -> Result<LinkMode> {
    word.parse().map_err(|_| {
        usage(format!("`{word}` is no link mode")).hint(Hint::ChooseOne(vec!["auto", "symlink", "hardlink", "reflink", "copy"]))
    })
}

fn lock_timeout(seconds: f64) -> Result<LockTimeout> {
    if seconds == f64::INFINITY {
        return Ok(LockTimeout(None));
    }
    time("lock_timeout", seconds).map(Some).map(LockTimeout)
}

/// A time that an argument names in seconds.
pub fn time(argument: &str, seconds: f64) -> Result<Duration> {
    match seconds {
        0.0..=1e10 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(usage(format!("`{argument}` must be a number of seconds, not {seconds}"))),
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
}
