//! Which layer may say what: one row for each setting. `SECURITY.md` shows the table, and a test holds the two together.
//!
//! A project is often somebody else's: it may choose content, and how this program works in its folder. Whom to trust, and
//! what is written elsewhere, only its user says: by a flag (or an argument of the Python constructor), by a variable, or in
//! the user's own file.

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
pub enum Project {
    /// Nothing: a file that does is refused.
    No,
    /// It may set it.
    Yes,
    /// It may name a place in the project, or one that the user allowed.
    WithinBounds,
    /// It may set it, and the token does not follow.
    WithoutToken,
}

/// One setting, and who may say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its key in files.
    pub key: &'static str,
    /// The option of the command line.
    pub flag: &'static str,
    /// The variables of the environment.
    pub variables: &'static str,
    /// The user's own file.
    pub user: User,
    /// The project's file.
    pub project: Project,
}

const fn row(key: &'static str, flag: &'static str, variables: &'static str, user: User, project: Project) -> Setting {
    Setting { key, flag, variables, user, project }
}

/// Every setting there is.
pub const SETTINGS: [Setting; 18] = [
    row("models_dir", "--models-dir", "MODEL_MANAGER_MODELS_DIR", User::Yes, Project::WithinBounds),
    row("store", "--store", "MODEL_MANAGER_STORE", User::Yes, Project::WithinBounds),
    row("link", "--link", "", User::Yes, Project::Yes),
    row("lock_timeout", "--lock-timeout", "", User::Yes, Project::Yes),
    row("endpoints", "--endpoint", "HF_ENDPOINT", User::Yes, Project::WithoutToken),
    row("offline", "--offline", "HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE", User::Yes, Project::Yes),
    row("connections", "--connections", "", User::Yes, Project::Yes),
    row("limit_rate", "--limit-rate", "", User::Yes, Project::Yes),
    row("stall_timeout", "", "HF_HUB_DOWNLOAD_TIMEOUT", User::Yes, Project::Yes),
    row("connect_timeout", "", "", User::Yes, Project::Yes),
    row("tries", "", "", User::Yes, Project::Yes),
    row("ca_file", "--ca-file", "SSL_CERT_FILE", User::Yes, Project::No),
    row("trusted_endpoints", "", "", User::Grants, Project::No),
    row("allowed_places", "", "", User::Grants, Project::No),
    row("safe_projects", "", "", User::Grants, Project::No),
    row("registry file", "--config", "MODEL_MANAGER_CONFIG", User::No, Project::No),
    row("token", "", "HF_TOKEN, HF_TOKEN_PATH, HF_HOME", User::No, Project::No),
    row("proxy", "", "HTTPS_PROXY, http_proxy, ALL_PROXY, NO_PROXY", User::No, Project::No),
];

impl Setting {
    /// The setting that a file names so. `None` for settings that no file may contain.
    pub fn of_key(key: &str) -> Option<&'static Self> {
        Self::of_files().find(|setting| setting.key == key)
    }

    /// Those that may stand in a file.
    pub fn of_files() -> impl Iterator<Item = &'static Self> {
        SETTINGS.iter().filter(|setting| setting.user != User::No || setting.project != Project::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory;

    /// The table as `SECURITY.md` shows it.
    fn table() -> String {
        let code = |names: &str| {
            let names: Vec<String> = names.split(", ").filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
            if names.is_empty() { "-".to_owned() } else { names.join(", ") }
        };
        let rows = SETTINGS.iter().map(|setting| {
            let user = match setting.user {
                User::No => "-",
                User::Yes => "yes",
                User::Grants => "yes, and only here",
            };
            let project = match setting.project {
                Project::No => "**no**",
                Project::Yes => "yes",
                Project::WithinBounds => "in the project, or an allowed place",
                Project::WithoutToken => "yes; the token does not follow",
            };
            format!("| {} | {} | {} | {user} | {project} |\n", setting.key, code(setting.flag), code(setting.variables))
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
    fn every_flag_of_the_table_is_an_option() {
        let command = Cli::command();
        let options: Vec<String> =
            command.get_arguments().filter_map(|option| option.get_long()).map(|name| format!("--{name}")).collect();
        for setting in SETTINGS.iter().filter(|setting| !setting.flag.is_empty()) {
            assert!(options.iter().any(|option| option == setting.flag), "{}", setting.flag);
        }
    }

    #[test]
    fn only_the_user_says_whom_to_trust() {
        for key in ["ca_file", "trusted_endpoints", "allowed_places", "safe_projects", "token", "proxy"] {
            let setting = SETTINGS.iter().find(|setting| setting.key == key).expect(key);
            assert_eq!(setting.project, Project::No, "{key}");
        }
    }
}
