//! Every setting: one row says its type, its names, who may set it, and what the help says. `SECURITY.md` shows who may set
//! what, and a test holds the two together. A new setting is a row here, and its use where the settings of a run are put
//! together (`resolve.rs`).
//!
//! A project often comes from another person: it may choose content, and how this program works in its folder. Whom to
//! trust, and what is written elsewhere, only its user says: by a flag (or an argument of the Python constructor), by a
//! variable, or in the user's own file.

use super::{
    environment::Environment,
    value::{AppFolder, Count, Endpoint, LockTimeout, RateLimit, SettingValue, Timeout},
};
use crate::{
    error::{Error, ErrorKind, Result},
    hint::Hint,
    names::nearest,
    settings::LinkMode,
    yaml::{Node, Problem},
};
use std::{ffi::OsStr, path::PathBuf};

/// What the user's own file may say about a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Nothing.
    No,
    /// It may set it.
    Yes,
    /// It may grant it; `config set --user` adds to what is granted already.
    Grants,
}

/// What a project's `configs/manager.yaml` may say about a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectMay {
    /// Nothing: a file that does is refused.
    No,
    /// It may set it.
    Yes,
    /// It may name a place in the project, or one that the user allowed.
    WithinBounds,
    /// It may set it, and the token does not follow.
    WithoutToken,
}

/// The option of the command line that sets a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Its name, without the dashes.
    pub long: &'static str,
    /// What the help calls its value; a switch has none.
    pub value: Option<&'static str>,
    /// Whether the short help shows it.
    pub is_common: bool,
    /// What a switch says of its setting.
    pub says: bool,
}

/// One setting, and who may set it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in files.
    pub key: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// The option of the command line.
    pub flag: Option<Flag>,
    /// The variables of the environment; the first that is set counts.
    pub variables: &'static [&'static str],
    /// The user's own file.
    pub user: User,
    /// The project's file.
    pub project: ProjectMay,
    /// Whether it takes several words.
    pub is_list: bool,
    /// Whether its words are paths.
    pub is_path: bool,
    /// All words that it takes, where they can be listed.
    pub words: &'static [&'static str],
}

const fn option(long: &'static str, value: &'static str) -> Option<Flag> {
    Some(Flag { long, value: Some(value), is_common: false, says: true })
}

const fn common(flag: Option<Flag>) -> Option<Flag> {
    match flag {
        Some(flag) => Some(Flag { is_common: true, ..flag }),
        None => None,
    }
}

const fn switch(long: &'static str) -> Option<Flag> {
    Some(Flag { long, value: None, is_common: true, says: true })
}

/// A switch that turns a setting off.
const fn switch_off(long: &'static str) -> Option<Flag> {
    Some(Flag { long, value: None, is_common: false, says: false })
}

macro_rules! settings {
    (
        layered { $($key:ident: $type:ty, $flag:expr, $variables:expr, $user:ident, $project:ident, $help:literal;)* }
        granted { $($grant:ident: $grant_type:ty, $grant_help:literal;)* }
        elsewhere { $($name:literal, $other_flag:expr, $other_variables:expr, $other_help:literal;)* }
    ) => {
        /// What one source says; `None` leaves the word to a weaker one.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Layer {
            $(#[doc = $help] pub $key: Option<$type>,)*
        }

        /// What only the user's file can say: whom and what to trust.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Grants {
            $(#[doc = $grant_help] pub $grant: $grant_type,)*
        }

        /// Every setting there is.
        pub const SETTINGS: &[Setting] = &[
            $(Setting {
                key: stringify!($key),
                help: $help,
                flag: $flag,
                variables: &$variables,
                user: User::$user,
                project: ProjectMay::$project,
                is_list: <$type as SettingValue>::IS_LIST,
                is_path: <$type as SettingValue>::IS_PATH,
                words: <$type as SettingValue>::WORDS,
            },)*
            $(Setting {
                key: stringify!($grant),
                help: $grant_help,
                flag: None,
                variables: &[],
                user: User::Grants,
                project: ProjectMay::No,
                is_list: <$grant_type as SettingValue>::IS_LIST,
                is_path: <$grant_type as SettingValue>::IS_PATH,
                words: <$grant_type as SettingValue>::WORDS,
            },)*
            $(Setting {
                key: $name,
                help: $other_help,
                flag: $other_flag,
                variables: &$other_variables,
                user: User::No,
                project: ProjectMay::No,
                is_list: false,
                is_path: false,
                words: &[],
            },)*
        ];

        impl Layer {
            /// This layer, and `weaker` where it says nothing.
            pub(super) fn over(self, weaker: Self) -> Self {
                Self { $($key: self.$key.or(weaker.$key),)* }
            }

            /// Every path in it.
            pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
                let mut paths = Vec::new();
                $(paths.extend(self.$key.iter_mut().flat_map(SettingValue::paths_mut));)*
                paths
            }

            /// Reads a setting from words of the command line. `false` where there is none of this key.
            pub(crate) fn set_words(&mut self, key: &str, words: &[&OsStr]) -> Result<bool, String> {
                match key {
                    $(stringify!($key) => self.$key = Some(SettingValue::of_words(words)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// Reads a setting from a settings file. `false` where there is none of this key.
            pub(super) fn set_yaml(&mut self, key: &str, node: &Node) -> Result<bool, Problem> {
                match key {
                    $(stringify!($key) => self.$key = SettingValue::of_yaml(node, key)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }

            /// The words that say a setting; `None` where this layer says nothing of it.
            pub(super) fn words(&self, key: &str) -> Option<Vec<String>> {
                match key {
                    $(stringify!($key) => self.$key.as_ref().map(SettingValue::words),)*
                    _ => None,
                }
            }

            /// What the variables of the environment say.
            pub(super) fn of_variables(environment: &Environment<'_>) -> Result<Self> {
                Ok(Self { $($key: environment.first_of(Setting::variables_of(stringify!($key)))?,)* })
            }
        }

        impl Grants {
            /// Every path in it.
            pub(super) fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
                let mut paths = Vec::new();
                $(paths.extend(self.$grant.paths_mut());)*
                paths
            }

            /// The words that say a grant; none where nothing is granted.
            pub(super) fn words(&self, key: &str) -> Vec<String> {
                match key {
                    $(stringify!($grant) => self.$grant.words(),)*
                    _ => Vec::new(),
                }
            }

            /// Reads a grant from the user's file. `false` where there is none of this key.
            pub(super) fn set_yaml(&mut self, key: &str, node: &Node) -> Result<bool, Problem> {
                match key {
                    $(stringify!($grant) => self.$grant = SettingValue::of_yaml(node, key)?.unwrap_or_default(),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

settings! {
    layered {
        models_dir: PathBuf, common(option("models-dir", "DIR")), ["MODEL_MANAGER_MODELS_DIR"], Yes, WithinBounds,
            "Folder of the visible tree [default: models in the project root]";
        store: PathBuf, common(option("store", "DIR")), ["MODEL_MANAGER_STORE"], Yes, WithinBounds,
            "Folder of the store; several projects may share one [default: .blobs in the models folder]";
        link: LinkMode, option("link", "MODE"), [], Yes, Yes,
            "How the tree shows files of the store; auto takes the first that works here";
        lock_timeout: LockTimeout, option("lock-timeout", "TIME"), [], Yes, Yes,
            "How long to wait in all for locks that other processes hold: 30s, 5m, 1h, 0 to try once, or never to wait for ever";
        endpoints: Vec<Endpoint>, option("endpoint", "URL"), ["HF_ENDPOINT"], Yes, WithoutToken,
            "Address of the Hub or a mirror; repeat it to name more to fall back to, in this order";
        no_local: bool, switch("no-local"), ["MODEL_MANAGER_NO_LOCAL"], Yes, Yes,
            "Take nothing from your other stores, and do not remember this one";
        no_apps: bool, switch("no-apps"), ["MODEL_MANAGER_NO_APPS"], Yes, Yes,
            "Take nothing from other applications in place of a download";
        borrow: bool, switch_off("no-borrow"), [], Yes, Yes,
            "Download files as a whole, even where similar files of the store have most of their tensors";
        offline: bool, switch("offline"), ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"], Yes, Yes,
            "Send no request at all; what is not here is an error";
        connections: Count, option("connections", "N"), [], Yes, Yes,
            "Connections open at once, over all files; 8 where nothing is said, up to 16 while only small files come or each connection is slow";
        limit_rate: RateLimit, option("limit-rate", "RATE"), [], Yes, Yes,
            "Most bytes per second over all connections: 800K, 5M, 1.5MB, or none";
        stall_timeout: Timeout, None, ["HF_HUB_DOWNLOAD_TIMEOUT"], Yes, Yes,
            "When a connection that brings nothing is given up";
        connect_timeout: Timeout, None, [], Yes, Yes,
            "How long to try to reach a server";
        tries: Count, None, [], Yes, Yes,
            "Tries of one request without any progress";
        ca_file: PathBuf, option("ca-file", "FILE"), ["SSL_CERT_FILE"], Yes, No,
            "PEM file with certificates to trust besides the system's";
    }
    granted {
        trusted_endpoints: Vec<Endpoint>,
            "Servers that may see the token, wherever they are named";
        allowed_places: Vec<PathBuf>,
            "Places outside of a project where its files and links may lead";
        apps: Vec<AppFolder>,
            "Folders of other applications, as NAME=DIR, besides their usual ones";
        safe_projects: Vec<PathBuf>,
            "Folders of other users that are taken for projects";
    }
    elsewhere {
        "registry file", common(option("config", "FILE")), ["MODEL_MANAGER_CONFIG"],
            "Registry file [default: the project's configs/models.yaml, else the built-in registry]";
        "token", None, ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME"],
            "Sent to the Hub, and to servers that the user named";
        "proxy", None, ["HTTPS_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY"],
            "Server that requests go through";
    }
}

impl Layer {
    /// Sets a setting from words as the command line takes them. Refuses words that make no sense, and a key that no layer
    /// has, with the nearest that there is.
    pub fn set<W: AsRef<OsStr>>(&mut self, key: &str, words: &[W]) -> Result<()> {
        let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
        let wrong = |why: String| Error::new(ErrorKind::Usage, format!("`{key}` cannot be used: {why}"));
        match self.set_words(key, &words).map_err(wrong)? {
            true => Ok(()),
            false => {
                let error = wrong("there is no such setting".into());
                let near = nearest(key, Setting::layered().map(|setting| setting.key));
                Err(match near {
                    Some(near) => error.hint(Hint::DidYouMean { names: vec![near.to_owned()], actions: Vec::new() }),
                    None => error,
                })
            }
        }
    }
}

impl Setting {
    /// The setting that a file names so. `None` for settings that no file may contain.
    pub fn of_key(key: &str) -> Option<&'static Self> {
        Self::of_files().find(|setting| setting.key == key)
    }

    fn variables_of(key: &str) -> &'static [&'static str] {
        Self::layered().find(|setting| setting.key == key).map_or(&[], |setting| setting.variables)
    }

    /// Settings that a settings file may have.
    pub fn of_files() -> impl Iterator<Item = &'static Self> {
        SETTINGS.iter().filter(|setting| setting.user != User::No || setting.project != ProjectMay::No)
    }

    /// Those of a [`Layer`].
    pub fn layered() -> impl Iterator<Item = &'static Self> {
        SETTINGS.iter().filter(|setting| setting.user == User::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as `SECURITY.md` shows it.
    fn table() -> String {
        let code = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            if names.is_empty() { "-".to_owned() } else { names.join(", ") }
        };
        let rows = SETTINGS.iter().map(|setting| {
            let user = match setting.user {
                User::No => "-",
                User::Yes => "yes",
                User::Grants => "yes, and only here",
            };
            let project = match setting.project {
                ProjectMay::No => "**no**",
                ProjectMay::Yes => "yes",
                ProjectMay::WithinBounds => "in the project, or an allowed place",
                ProjectMay::WithoutToken => "yes; the token does not follow",
            };
            let flag: Vec<String> = setting.flag.iter().map(|flag| format!("--{}", flag.long)).collect();
            let flag: Vec<&str> = flag.iter().map(String::as_str).collect();
            format!("| {} | {} | {} | {user} | {project} |\n", setting.key, code(&flag), code(setting.variables))
        });
        let head = "| setting | flag | variable | user's file | project's file |\n|---|---|---|---|---|\n";
        format!("{head}{}", rows.collect::<String>())
    }

    #[test]
    fn security_md_shows_the_table() {
        let page = include_str!("../../SECURITY.md");
        assert!(page.contains(&table()), "write into SECURITY.md:\n{}", table());
    }

    #[test]
    fn only_the_user_says_whom_to_trust() {
        for key in ["ca_file", "trusted_endpoints", "allowed_places", "safe_projects", "token", "proxy"] {
            let setting = SETTINGS.iter().find(|setting| setting.key == key).expect(key);
            assert_eq!(setting.project, ProjectMay::No, "{key}");
        }
    }
}
