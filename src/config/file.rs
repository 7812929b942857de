//! Reads a settings file: the project's `configs/manager.yaml`, or the user's `config.yaml`. Every error has a line and
//! column. An unknown key is an error: a misspelt setting would be ignored without notice.

use super::table::{Grants, Layer, ProjectMay, Setting, User};
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint, Replacement},
    names::nearest,
    yaml::{self, Node, Position, Problem, Value, cut},
};
use std::path::Path;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// `configs/manager.yaml`, which came with the project.
    Project,
    /// `config.yaml` in the user's configuration folder.
    User,
}

/// A key of a project's file that only the user may set.
#[derive(Debug, Clone)]
pub struct Overreach {
    /// The setting.
    pub setting: &'static Setting,
    line: usize,
    column: usize,
    values: Vec<String>,
}

/// A settings file, read.
#[derive(Debug, Clone, Default)]
pub struct FileSettings {
    /// Settings of any layer.
    pub layer: Layer,
    /// Of the user's file.
    pub grants: Grants,
    /// Of a project's file, what it may not say.
    pub overreach: Vec<Overreach>,
}

impl Overreach {
    /// The error of a file that says it. Paths in it start at `base`.
    pub fn error(&self, file: &Path, base: &Path) -> Error {
        let Self { setting: Setting { key, is_path, .. }, line, column, values } = self;
        let grant = values.iter().fold(Action::grant(key), |grant, value| match is_path {
            true => grant.path(base.join(value)),
            false => grant.name(value),
        });
        let message =
            format!("{}:{line}:{column}: a project may not set `{key}`: whom to trust is its user's to say", file.display());
        Error::new(ErrorKind::Usage, message).hint(Hint::GrantOrRemove { file: file.to_owned(), line: *line, grant })
    }
}

/// Reads a settings file, or nothing where there is none. Paths in it stay as they are written.
pub fn read(disk: &dyn Disk, path: &Path, whose: Whose) -> Result<FileSettings> {
    match read_text(disk, path)? {
        Some(text) => parse(&text, &path.display().to_string(), whose),
        None => Ok(FileSettings::default()),
    }
}

/// The text of a settings file, or `None` where there is none.
pub fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>> {
    let content = disk
        .read_at_most(path, yaml::MOST_BYTES as u64)
        .map_err(|error| Error::new(ErrorKind::Usage, error.to_string()).hint(Hint::MakeReadable(Replacement::Remove)))?;
    let Some(content) = content else { return Ok(None) };
    String::from_utf8(content).map(Some).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{} is not UTF-8 text: {error}", path.display()))
            .hint(Hint::SaveAsUtf8 { is_registry: false })
    })
}

/// Reads settings from text; `origin` is what messages call it.
pub fn parse(text: &str, origin: &str, whose: Whose) -> Result<FileSettings> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    yaml::read_to(text, |root| parsed(root, whose), |parsed| !parsed.overreach.is_empty()).map_err(|problem| {
        let problem = yaml::conflict(&yaml::lines(text), "take either").unwrap_or(problem);
        let Problem { place: Position { line, column }, message, suggestion } = problem;
        let suggestion = suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        Error::new(ErrorKind::Usage, format!("{origin}:{line}:{column}: {message}{suggestion}"))
            .hint(Hint::CorrectSetting { file: origin.to_owned(), line })
    })
}

fn parsed(root: Option<&Node>, whose: Whose) -> Result<FileSettings, Problem> {
    let mut parsed = FileSettings::default();
    let entries = match root.map(|root| (&root.value, root.place)) {
        None | Some((Value::Null, _)) => return Ok(parsed),
        Some((Value::Map(entries), _)) => entries,
        Some((other, place)) => {
            let message = format!("expected settings, one `key: value` a line, found {}", other.kind());
            return Err(Problem::new(place, message));
        }
    };
    for entry in entries {
        let Some(setting) = Setting::of_key(&entry.key) else {
            let keys = || Setting::of_files().filter(|setting| whose.may_set(setting)).map(|setting| setting.key);
            let suggestion = nearest(&entry.key, keys());
            let mut message = format!("unknown key `{}`", cut(&entry.key));
            if suggestion.is_none() {
                message.push_str(&format!("; the keys are {}", keys().collect::<Vec<_>>().join(", ")));
            }
            return Err(Problem::new(entry.place, message).suggest(suggestion));
        };
        if whose.may_set(setting) {
            parsed.set(setting.key, &entry.node)?;
        } else {
            let Position { line, column } = entry.place;
            parsed.overreach.push(Overreach { setting, line, column, values: shown_values(&entry.node) });
        }
    }
    Ok(parsed)
}

impl Whose {
    /// Whether such a file may have a setting.
    pub fn may_set(self, setting: &Setting) -> bool {
        match self {
            Self::Project => setting.project != ProjectMay::No,
            Self::User => setting.user != User::No,
        }
    }
}

impl FileSettings {
    fn set(&mut self, key: &str, node: &Node) -> Result<(), Problem> {
        match self.layer.set_yaml(key, node)? || self.grants.set_yaml(key, node)? {
            true => Ok(()),
            false => Err(Problem::new(node.place, format!("`{key}` cannot be set in a settings file"))),
        }
    }
}

/// The words of a value, to repeat them in a command.
fn shown_values(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Text(text) | Value::Bare(text) => vec![cut(text)],
        Value::List(nodes) => nodes.iter().take(8).flat_map(shown_values).collect(),
        Value::Null | Value::Map(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::value::{LockTimeout, RateLimit, SettingValue as _, Timeout},
        settings::LinkMode,
    };
    use proptest::prelude::*;
    use std::time::Duration;

    fn parse(text: &str, origin: &str) -> Result<Layer> {
        super::parse(text, origin, Whose::Project).map(|parsed| parsed.layer)
    }

    fn keys() -> impl Iterator<Item = &'static str> {
        Setting::of_files().filter(|setting| Whose::Project.may_set(setting)).map(|setting| setting.key)
    }

    const SHIPPED: &str = include_str!("../../configs/manager.yaml");

    /// The shipped file with every setting switched on.
    fn shipped_in_full() -> String {
        let is_setting = |line: &&str| keys().any(|key| line.starts_with(&format!("# {key}: ")));
        SHIPPED.lines().filter(is_setting).map(|line| format!("{}\n", &line[2..])).collect()
    }

    #[test]
    fn the_shipped_file_changes_nothing() {
        assert_eq!(parse(SHIPPED, "manager.yaml").expect("valid"), Layer::default());
        assert_eq!(parse("", "manager.yaml").expect("valid"), Layer::default());
    }

    #[test]
    fn the_shipped_file_documents_every_key_with_a_value_that_is_taken() {
        let text = shipped_in_full();
        for key in keys() {
            assert!(text.contains(&format!("{key}: ")), "{key} is not documented");
        }
        let layer = parse(&text, "manager.yaml").expect("valid");
        assert_eq!(layer.lock_timeout, Some(LockTimeout(Some(Duration::from_secs(3600)))));
        assert_eq!(layer.connections.map(|count| count.get()), Some(8));
        assert_eq!(layer.limit_rate, None);
        assert_eq!(layer.endpoints.map(|all| all.len()), Some(1));
    }

    #[test]
    fn complaints_name_line_and_column_and_the_nearest_key() {
        for (text, complaint) in [
            ("offline: true\nconections: 4\n", "m.yaml:2:1: unknown key `conections`; did you mean `connections`?"),
            ("offline: true\n\nlink: teleport\n", "m.yaml:3:7: link: expected auto, symlink"),
            ("store: a\nconnections: 0\n", "m.yaml:2:14: connections: expected a number from 1 to 64"),
            ("store: a\nlock_timeout: soon\n", "m.yaml:2:15: lock_timeout: expected a time"),
            ("store: a\nstore: b\n", "m.yaml:2:1: the key `store` stands here twice"),
            ("store: a\nendpoints:\n  - https://a.org\n  - nowhere\n", "m.yaml:4:5: endpoints[1]: "),
            ("tries: 3\nlimit_rate: 5MiB\n", "m.yaml:2:13: limit_rate: units are decimal"),
            ("tries: 3\n<<<<<<< ours\nlink: copy\n=======\n>>>>>>> theirs\n", "m.yaml:2:1: a merge left a conflict here"),
        ] {
            let error = parse(text, "m.yaml").expect_err(text);
            assert!(error.message().starts_with(complaint), "{error}\nexpected {complaint}");
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
        assert!(parse("- a\n- b\n", "m.yaml").is_err());
        assert!(parse("store: [a", "m.yaml").is_err());
    }

    #[test]
    fn values_are_taken_quoted_or_bare() {
        let layer =
            parse("limit_rate: 5000000\nstall_timeout: 30\nlink: \"copy\"\noffline: true\nstore: null\n", "m.yaml").expect("valid");
        assert_eq!(layer.limit_rate, RateLimit::parse("5M").ok());
        assert_eq!(layer.stall_timeout, Timeout::parse("30s").ok());
        assert_eq!(layer.link, Some(LinkMode::Copy));
        assert_eq!((layer.offline, layer.store), (Some(true), None));
    }

    #[test]
    fn a_project_that_says_whom_to_trust_is_refused_with_what_does_that() {
        for (text, grant) in [
            ("tries: 3\nca_file: certs/my ca.pem\n", Action::grant("ca_file").path("/p/certs/my ca.pem")),
            ("\ntrusted_endpoints: [http://a, http://b]\n", Action::grant("trusted_endpoints").name("http://a").name("http://b")),
            ("\nallowed_places: ..\n", Action::grant("allowed_places").path("/p/..")),
            ("\nsafe_projects: {}\n", Action::grant("safe_projects")),
        ] {
            let parsed = super::parse(text, "m.yaml", Whose::Project).expect("read");
            let error = parsed.overreach[0].error(Path::new("m.yaml"), Path::new("/p"));
            assert!(error.message().starts_with("m.yaml:2:1: a project may not set"), "{error}");
            let line = text.lines().count();
            assert_eq!(error.hints(), [Hint::GrantOrRemove { file: "m.yaml".into(), line, grant }]);
            assert!(
                super::parse(text, "c.yaml", Whose::User).is_ok_and(|parsed| parsed.overreach.is_empty()) || text.contains('{')
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z_: \\n\"\\[\\]{}0-9&*!-]{0,80}") {
            let _ = parse(&text, "m.yaml");
        }
    }
}
