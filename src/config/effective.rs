//! Every setting with its value in effect and where that comes from. Secrets have no value here.

use super::{
    Overrides,
    environment::{Environment, TokenOrigin},
    resolve::{Layers, resolve_layers},
    table::{Layer, SETTINGS, Setting, User},
    user_file,
    value::{Count, Endpoint, LockTimeout, RateLimit, Timeout},
    write::{SettingsFile, unknown},
};
use crate::{config::file::Whose, disk::Disk, error::Result, event::Warning, settings::Settings, store::STORE_DIR};
use std::path::{Path, PathBuf};

/// What says a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line, by its long name.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(String),
    /// The project's file.
    ProjectFile(PathBuf),
    /// The user's file.
    UserFile(PathBuf),
    /// The file with the token.
    TokenFile(PathBuf),
    /// Nothing: it is the default.
    Default,
}

/// A setting with its value.
#[derive(Debug, Clone)]
pub struct ShownSetting {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value, as a settings file has it; several of a list, none where nothing is set and of a secret.
    pub values: Vec<String>,
    /// What says it.
    pub origin: Origin,
    /// Whether it is set, but is a secret.
    pub is_hidden: bool,
}

const REGISTRY: &str = "registry file";
const TOKEN: &str = "token";
const PROXY: &str = "proxy";
/// The value of the registry where no file is used.
const BUILT_IN: &str = "built-in";

/// Every setting as this run has it.
pub(crate) fn in_effect(
    overrides: Overrides,
    environment: &Environment<'_>,
    cwd: &Path,
    disk: &dyn Disk,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<ShownSetting>> {
    let names_registry = overrides.config.is_some();
    let (resolved, layers) = resolve_layers(overrides, environment, cwd, disk)?;
    warnings.extend(resolved.warnings);
    let settings = resolved.settings;
    let defaults = Layer::of_settings(&settings);
    let user_file = user_file::place(environment).unwrap_or_default();
    let shown = |setting: &'static Setting| {
        let (values, origin) = match setting.user {
            User::Grants => match layers.grants.words(setting.key) {
                none if none.is_empty() => (none, Origin::Default),
                granted => (granted, Origin::UserFile(user_file.clone())),
            },
            User::Yes => of_layers(setting, &layers, &defaults, environment, &user_file),
            User::No => return elsewhere(setting, &settings, environment, disk, names_registry),
        };
        Ok(ShownSetting { setting, values, origin, is_hidden: false })
    };
    SETTINGS.iter().map(shown).collect()
}

/// What one file says.
pub(crate) fn in_file(file: &SettingsFile<'_>, warnings: &mut Vec<Warning>) -> Result<Vec<ShownSetting>> {
    let said = file.read(warnings)?;
    let origin = || match file.whose() {
        Whose::User => Origin::UserFile(file.path.clone()),
        Whose::Project => Origin::ProjectFile(file.path.clone()),
    };
    let shown = |setting: &'static Setting| {
        let granted = || Some(said.grants.words(setting.key)).filter(|values| !values.is_empty());
        let values = said.layer.words(setting.key).or_else(granted)?;
        Some(ShownSetting { setting, values, origin: origin(), is_hidden: false })
    };
    Ok(Setting::of_files().filter_map(shown).collect())
}

/// The one of a key. Of an unknown key, the error names the nearest.
pub(crate) fn of_key(key: &str, all: Vec<ShownSetting>) -> Result<ShownSetting> {
    let setting = SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| unknown(key, &|_| true))?;
    let unset = ShownSetting { setting, values: Vec::new(), origin: Origin::Default, is_hidden: false };
    Ok(all.into_iter().find(|shown| shown.setting.key == key).unwrap_or(unset))
}

fn of_layers(
    setting: &'static Setting,
    layers: &Layers,
    defaults: &Layer,
    environment: &Environment<'_>,
    user_file: &Path,
) -> (Vec<String>, Origin) {
    let flag = setting.flag.map_or(Origin::Default, |flag| Origin::Flag(flag.long));
    let variable = environment.first_set(setting.variables).map_or(Origin::Default, |name| Origin::Variable(name.to_owned()));
    let said = [
        (&layers.flags, flag),
        (&layers.variables, variable),
        (&layers.project, Origin::ProjectFile(layers.project_file.clone())),
        (&layers.user, Origin::UserFile(user_file.to_owned())),
        (defaults, Origin::Default),
    ];
    let found = said.into_iter().find_map(|(layer, origin)| layer.words(setting.key).map(|values| (values, origin)));
    found.unwrap_or((Vec::new(), Origin::Default))
}

/// A setting that stands in no settings file.
fn elsewhere(
    setting: &'static Setting,
    settings: &Settings,
    environment: &Environment<'_>,
    disk: &dyn Disk,
    names_registry: bool,
) -> Result<ShownSetting> {
    let mut shown = ShownSetting { setting, values: Vec::new(), origin: Origin::Default, is_hidden: false };
    match setting.key {
        REGISTRY => {
            let value = settings.config.as_ref().map_or_else(|| BUILT_IN.to_owned(), |path| path.display().to_string());
            shown.values = vec![value];
            shown.origin = match environment.first_set(setting.variables) {
                _ if names_registry => setting.flag.map_or(Origin::Default, |flag| Origin::Flag(flag.long)),
                Some(name) => Origin::Variable(name.to_owned()),
                None => Origin::Default,
            };
        }
        TOKEN => {
            // The warnings were given when the settings were made.
            if let Some((_, origin)) = environment.token_and_origin(disk, &mut Vec::new())? {
                shown.is_hidden = true;
                shown.origin = match origin {
                    TokenOrigin::Variable(name) => Origin::Variable(name.to_owned()),
                    TokenOrigin::File(path) => Origin::TokenFile(path),
                };
            }
        }
        PROXY => {
            if let Some(proxy) = settings.network.proxies.as_ref().and_then(|all| all.https.as_ref().or(all.http.as_ref())) {
                shown.is_hidden = true;
                shown.origin = Origin::Variable(proxy.name.clone());
            }
        }
        _ => {}
    }
    Ok(shown)
}

impl Layer {
    /// What settings say.
    fn of_settings(settings: &Settings) -> Self {
        let network = &settings.network;
        Self {
            models_dir: Some(settings.models_dir.clone()),
            store: Some(settings.store.clone().unwrap_or_else(|| settings.models_dir.join(STORE_DIR))),
            link: Some(settings.link),
            lock_timeout: Some(LockTimeout(settings.lock_timeout)),
            endpoints: Some(network.endpoints.iter().cloned().map(Endpoint).collect()),
            no_local: Some(settings.known_stores.is_none()),
            no_apps: Some(settings.no_apps),
            borrow: Some(settings.borrow),
            offline: Some(network.offline),
            connections: u32::try_from(network.connections.usual).ok().map(Count),
            limit_rate: Some(RateLimit(network.limit_rate)),
            stall_timeout: Some(Timeout(network.stall_timeout)),
            connect_timeout: Some(Timeout(network.connect_timeout)),
            tries: Some(Count(network.tries)),
            ca_file: network.ca_file.clone(),
        }
    }
}
