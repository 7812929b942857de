//! From command line, environment, `configs/manager.yaml` and the user's `config.yaml` to typed settings, in this order of
//! strength.

use super::{
    args::Global,
    config::{self, Said, Whose},
    environment::{self, Environment},
    owner::Owner,
    project::{self, Finder, Project, Unnamed},
    units, user_file,
};
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    settings::{Bounds, Connections, LinkMode, Network, Settings, Token},
    store::STORE_DIR,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What one source says; `None` leaves the word to a weaker one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// The visible tree.
    pub models_dir: Option<PathBuf>,
    /// The store.
    pub store: Option<PathBuf>,
    /// How the tree shows files.
    pub link: Option<LinkMode>,
    /// How long to wait for a lock.
    pub lock_timeout: Option<Option<Duration>>,
    /// The Hub and its mirrors.
    pub endpoints: Option<Vec<String>>,
    /// No request at all.
    pub offline: Option<bool>,
    /// Connections open at once.
    pub connections: Option<u32>,
    /// Most bytes per second.
    pub limit_rate: Option<Option<u64>>,
    /// When a silent connection is given up.
    pub stall_timeout: Option<Duration>,
    /// How long to try to reach a server.
    pub connect_timeout: Option<Duration>,
    /// More certificates.
    pub ca_file: Option<PathBuf>,
    /// Tries of one request.
    pub tries: Option<u32>,
}

/// What wins over environment and settings file: the options of a command line, or the arguments of another program.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The registry file.
    pub config: Option<PathBuf>,
    /// The Hub token, or that there is to be none.
    pub token: Option<Option<Token>>,
    /// All other settings; relative paths start at the current directory.
    pub settings: Layer,
}

impl Overrides {
    /// What the command line says.
    pub(super) fn of_flags(global: &Global) -> Self {
        let settings = Layer {
            models_dir: global.models_dir.clone(),
            store: global.store.clone(),
            link: global.link,
            lock_timeout: global.lock_timeout.map(|patience| patience.0),
            endpoints: (!global.endpoint.is_empty()).then(|| global.endpoint.clone()),
            offline: global.offline.then_some(true),
            connections: global.connections,
            limit_rate: global.limit_rate.map(|limit| limit.0),
            ca_file: global.ca_file.clone(),
            ..Layer::default()
        };
        Self { config: global.config.clone(), token: None, settings }
    }
}

/// What a run is to do, and where.
#[derive(Debug)]
pub struct Resolved {
    /// Its settings; every path is absolute.
    pub settings: Settings,
    /// The project's folder.
    pub root: PathBuf,
    /// The store, where the user named it.
    pub named_store: Option<PathBuf>,
    /// What is worth a warning.
    pub warnings: Vec<String>,
}

impl Layer {
    /// Refuses what no command line could say: the parsers of options are not the only way in.
    fn checked(mut self) -> Result<Self> {
        let wrong = |key: &str, why: String| Error::new(ErrorKind::Usage, format!("`{key}` cannot be used: {why}"));
        for endpoint in self.endpoints.iter_mut().flatten() {
            *endpoint = units::parse_endpoint(endpoint).map_err(|why| wrong("endpoint", why))?;
        }
        if self.endpoints.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong("endpoint", "expected at least one address".into()));
        }
        for (key, number) in [("connections", self.connections), ("tries", self.tries)] {
            number.map(|number| units::parse_count(&number.to_string())).transpose().map_err(|why| wrong(key, why))?;
        }
        if self.limit_rate == Some(Some(0)) {
            return Err(wrong("limit_rate", "expected at least one byte per second".into()));
        }
        Ok(self)
    }

    /// This layer, and `weaker` where it says nothing.
    fn over(self, weaker: Self) -> Self {
        Self {
            models_dir: self.models_dir.or(weaker.models_dir),
            store: self.store.or(weaker.store),
            link: self.link.or(weaker.link),
            lock_timeout: self.lock_timeout.or(weaker.lock_timeout),
            endpoints: self.endpoints.or(weaker.endpoints),
            offline: self.offline.or(weaker.offline),
            connections: self.connections.or(weaker.connections),
            limit_rate: self.limit_rate.or(weaker.limit_rate),
            stall_timeout: self.stall_timeout.or(weaker.stall_timeout),
            connect_timeout: self.connect_timeout.or(weaker.connect_timeout),
            ca_file: self.ca_file.or(weaker.ca_file),
            tries: self.tries.or(weaker.tries),
        }
    }

    /// Its paths made absolute from `base`.
    fn based_at(mut self, base: &Path, environment: &Environment<'_>) -> Result<Self> {
        for path in [&mut self.models_dir, &mut self.store, &mut self.ca_file].into_iter().flatten() {
            *path = absolute(base, &environment.expand(std::mem::take(path)))?;
        }
        Ok(self)
    }
}

/// An absolute path; nothing is looked up on disk.
fn absolute(base: &Path, path: &Path) -> Result<PathBuf> {
    std::path::absolute(base.join(path)).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("`{}` cannot be made an absolute path", path.display())).caused_by(error)
    })
}

/// The settings of a run: overrides win over variables, those over the project's file, that over the user's, and that over
/// defaults. What only the user may say comes from none but these two first and the user's file.
pub(super) fn resolve(overrides: Overrides, environment: &Environment<'_>, cwd: &Path, disk: &dyn Disk) -> Result<Resolved> {
    let mut warnings = Vec::new();
    let user = user_file::read(disk, environment, &mut warnings)?;
    let mut granted = |key, places| user_file::real_places(disk, environment, key, places, &mut warnings);
    let safe_projects = granted("safe_projects", &user.grants.safe_projects);
    let allowed = granted("allowed_places", &user.grants.allowed_places);
    let finder = Finder {
        disk,
        owner: Owner::of_process(environment),
        home: environment.home().filter(|home| home.is_absolute()),
        safe: &safe_projects,
    };
    let project = match overrides.config.map(|path| environment.expand(path)).or_else(|| environment.config()) {
        Some(named) => finder.named(cwd, absolute(cwd, &named)?)?,
        None => finder.find(cwd, &mut warnings)?,
    };
    let flags = overrides.settings.checked()?.based_at(cwd, environment)?;
    let variables = environment.layer()?.based_at(cwd, environment)?;
    let home = finder.home.as_ref().and_then(|home| disk.real_place(home).ok());
    let mut bounds = Bounds { root: disk.real_place(&project.root)?, home, allowed };
    require_own_files(disk, &bounds, &project)?;
    let file = match project.is_safe {
        true => config::read(disk, &project.settings_file(), Whose::Project)?,
        false => Said::default(),
    };
    let told: Vec<String> =
        [&flags, &variables, &user.layer].into_iter().flat_map(|layer| &layer.endpoints).flatten().cloned().collect();
    let named = flags.over(variables);
    for beyond in &file.overreach {
        // The user's word is the stronger one, so that the project's does nothing.
        let is_overruled = beyond.key == "ca_file" && (named.ca_file.is_some() || user.layer.ca_file.is_some());
        if !is_overruled {
            return Err(beyond.error(&project.settings_file(), &project.root));
        }
    }
    let file = file.layer.based_at(&project.root, environment)?;
    let models_dir = Chosen::of(&named.models_dir, &file.models_dir, &user.layer.models_dir);
    let store = Chosen::of(&named.store, &file.store, &user.layer.store);
    let said = named.over(file).over(user.layer);

    let mut settings = Settings::new(said.models_dir.unwrap_or_else(|| project.root.join("models")));
    let store_dir = said.store.clone().unwrap_or_else(|| settings.models_dir.join(STORE_DIR));
    let mut unnamed = Vec::new();
    match models_dir {
        Chosen::ByUser => bounds.allowed.push(disk.real_place(&settings.models_dir)?),
        Chosen::Otherwise => unnamed.push(Unnamed { what: "the models directory", path: &settings.models_dir, is_folder: true }),
    }
    if store == Chosen::Otherwise {
        unnamed.push(Unnamed { what: "the store", path: &store_dir, is_folder: true });
    }
    project::require_within(disk, &bounds, &unnamed)?;

    let token = match overrides.token {
        Some(token) => token
            .map(environment::checked)
            .transpose()
            .map_err(|why| Error::new(ErrorKind::Usage, format!("the token cannot be used: {why}")))?,
        None => environment.token(disk, &mut warnings)?,
    };
    settings.lock_file = project.lock_file();
    settings.config = project.config;
    settings.store = said.store;
    settings.link = said.link.unwrap_or(settings.link);
    settings.lock_timeout = said.lock_timeout.unwrap_or(settings.lock_timeout);
    settings.bounds = Some(bounds);
    let default = Network::default();
    let is_clear = |address: &&String| address.to_ascii_lowercase().starts_with("http:");
    settings.network = Network {
        endpoints: said.endpoints.unwrap_or(default.endpoints),
        token,
        clear_text_endpoints: user.grants.trusted_endpoints.iter().filter(is_clear).cloned().collect(),
        token_endpoints: told.into_iter().chain(user.grants.trusted_endpoints).collect(),
        offline: said.offline.unwrap_or(default.offline),
        connections: said.connections.map_or(default.connections, |number| Connections::exactly(number as usize)),
        limit_rate: said.limit_rate.unwrap_or(default.limit_rate),
        stall_timeout: said.stall_timeout.unwrap_or(default.stall_timeout),
        connect_timeout: said.connect_timeout.unwrap_or(default.connect_timeout),
        proxies: environment.proxies()?,
        ca_file: said.ca_file,
        tries: said.tries.unwrap_or(default.tries),
    };
    let named_store = (store == Chosen::ByUser).then_some(store_dir);
    Ok(Resolved { settings, root: project.root, named_store, warnings })
}

/// Who chose a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    /// The user, by a flag, a variable or the user's file.
    ByUser,
    /// The project's file, or nobody: then it is where it usually is.
    Otherwise,
}

impl Chosen {
    fn of(named: &Option<PathBuf>, file: &Option<PathBuf>, user: &Option<PathBuf>) -> Self {
        let by_user = named.is_some() || (file.is_none() && user.is_some());
        if by_user { Self::ByUser } else { Self::Otherwise }
    }
}

/// Refuses where the project's own files are links to somewhere else: reading them shows what is there, and writing them
/// changes it. A registry that the user named is the user's word.
fn require_own_files(disk: &dyn Disk, bounds: &Bounds, project: &Project) -> Result<()> {
    let registry = project.config.clone().unwrap_or_else(|| project.root.join("configs/models.yaml"));
    let files = [
        ("the registry", registry, project.is_named),
        ("the lock file", project.lock_file(), false),
        ("the settings file", project.settings_file(), false),
    ];
    let unnamed: Vec<Unnamed<'_>> = files
        .iter()
        .filter(|(_, path, is_named)| !is_named && path.starts_with(&project.root))
        .map(|(what, path, _)| Unnamed { what, path, is_folder: false })
        .collect();
    project::require_within(disk, bounds, &unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::args::Cli, disk::RealDisk};
    use clap::Parser;
    use std::ffi::OsString;

    struct Place {
        root: tempfile::TempDir,
        cwd: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a folder");
            let cwd = root.path().join("project/src/deep");
            std::fs::create_dir_all(&cwd).expect("folders");
            Self { root, cwd }
        }

        /// A path as seen from the current directory; Windows has a drive before each.
        fn absolute(&self, path: &str) -> PathBuf {
            std::path::absolute(self.cwd.join(path)).expect("a path")
        }

        fn write(&self, path: &str, text: &str) -> PathBuf {
            let path = self.root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(&path, text).expect("a file");
            path
        }

        fn resolve(&self, line: &str, variables: &[(&str, &str)]) -> Result<Settings> {
            let words = ["model-manager", "list"].into_iter().chain(line.split_whitespace());
            let global = Cli::try_parse_from(words).expect("a valid command line").global;
            self.resolve_overrides(Overrides::of_flags(&global), variables).map(|resolved| resolved.settings)
        }

        fn resolve_overrides(&self, overrides: Overrides, variables: &[(&str, &str)]) -> Result<Resolved> {
            let look_up = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            resolve(overrides, &Environment::new(&look_up), &self.cwd, &RealDisk)
        }
    }

    #[test]
    fn the_project_is_the_nearest_folder_above_with_a_registry() {
        let place = Place::new();
        let outer = place.write("configs/models.yaml", "models: {}");
        let inner = place.write("project/configs/models.yaml", "models: {}");
        let settings = place.resolve("", &[]).expect("settings");
        assert_eq!(settings.config, Some(inner.clone()));
        assert_eq!(settings.models_dir, place.root.path().join("project/models"));
        std::fs::remove_file(inner).expect("removed");
        assert_eq!(place.resolve("", &[]).expect("settings").config, Some(outer));
    }

    #[test]
    fn without_a_registry_above_the_current_directory_is_the_project() {
        let place = Place::new();
        let settings = place.resolve("", &[]).expect("settings");
        assert_eq!((settings.config, settings.models_dir), (None, place.cwd.join("models")));
        assert_eq!(settings.store, None);
    }

    #[test]
    fn the_lock_file_lies_beside_the_registry_under_its_name() {
        let place = Place::new();
        let lock = |line: &str| place.resolve(line, &[]).expect("settings").lock_file;
        assert_eq!(lock(""), place.cwd.join("configs/models.lock"));
        assert_eq!(lock("--config my.yaml --models-dir /elsewhere"), place.cwd.join("my.lock"));
        place.write("project/configs/models.yaml", "models: {}");
        assert_eq!(lock("--models-dir /elsewhere"), place.root.path().join("project/configs/models.lock"));
    }

    #[test]
    fn a_named_registry_brings_its_project_only_from_a_configs_folder() {
        let place = Place::new();
        let settings = place.resolve("--config ../../../other/configs/models.yaml", &[]).expect("settings");
        assert_eq!(settings.models_dir, place.absolute("../../../other/models"));
        let settings = place.resolve("--config my.yaml", &[]).expect("settings");
        assert_eq!((settings.config, settings.models_dir), (Some(place.cwd.join("my.yaml")), place.cwd.join("models")));
        let settings = place.resolve("", &[("MODEL_MANAGER_CONFIG", "env.yaml")]).expect("settings");
        assert_eq!(settings.config, Some(place.cwd.join("env.yaml")));
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_file_and_that_over_defaults() {
        let place = Place::new();
        let from = |path: &str| place.absolute(path);
        place.write("project/configs/models.yaml", "models: {}");
        let default = place.resolve("", &[]).expect("settings");
        assert_eq!(default.network.endpoints, ["https://huggingface.co"]);
        place.write(
            "project/configs/manager.yaml",
            "models_dir: weights\nstore: from/file\nendpoints: https://file.org\nstall_timeout: 5s\nconnections: 3\nlimit_rate: 5M\n",
        );
        let file = place.resolve("", &[]).expect("settings");
        assert_eq!(file.models_dir, place.root.path().join("project/weights"));
        assert_eq!(file.store, Some(place.root.path().join("project/from/file")));
        assert_eq!(file.network.endpoints, ["https://file.org"]);
        assert_eq!((file.network.connections, file.network.limit_rate), (Connections::exactly(3), Some(5_000_000)));
        assert_eq!(file.network.stall_timeout, Duration::from_secs(5));
        let variables = [
            ("MODEL_MANAGER_MODELS_DIR", "env-models"),
            ("MODEL_MANAGER_STORE", "/from/env"),
            ("HF_ENDPOINT", "https://env.org/"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "7"),
            ("SSL_CERT_FILE", "/env.pem"),
        ];
        let env = place.resolve("", &variables).expect("settings");
        assert_eq!((env.models_dir, env.store), (place.cwd.join("env-models"), Some(from("/from/env"))));
        assert_eq!(env.network.endpoints, ["https://env.org"]);
        assert_eq!(env.network.stall_timeout, Duration::from_secs(7));
        assert_eq!(env.network.ca_file, Some(from("/env.pem")));
        let line = "--models-dir flag-models --store /from/flag --endpoint https://flag.org --connections 9 --limit-rate none --ca-file f.pem";
        let flags = place.resolve(line, &variables).expect("settings");
        assert_eq!((&flags.models_dir, &flags.store), (&place.cwd.join("flag-models"), &Some(from("/from/flag"))));
        assert_eq!(flags.network.endpoints, ["https://flag.org"]);
        assert_eq!((flags.network.connections, flags.network.limit_rate), (Connections::exactly(9), None));
        assert_eq!(flags.network.ca_file, Some(place.cwd.join("f.pem")));
    }

    #[test]
    fn other_programs_are_held_to_what_a_command_line_can_say() {
        let place = Place::new();
        let said = |settings: Layer| place.resolve_overrides(Overrides { settings, ..Overrides::default() }, &[]);
        for wrong in [
            Layer { endpoints: Some(vec!["huggingface.co".into()]), ..Layer::default() },
            Layer { endpoints: Some(vec![]), ..Layer::default() },
            Layer { connections: Some(0), ..Layer::default() },
            Layer { tries: Some(1000), ..Layer::default() },
            Layer { limit_rate: Some(Some(0)), ..Layer::default() },
        ] {
            assert_eq!(said(wrong).expect_err("refused").kind(), ErrorKind::Usage);
        }
        let resolved = said(Layer { endpoints: Some(vec!["https://a.org/".into()]), ..Layer::default() }).expect("settings");
        assert_eq!((resolved.settings.network.endpoints, resolved.root), (vec!["https://a.org".to_owned()], place.cwd.clone()));
        let none = Overrides { token: Some(None), ..Overrides::default() };
        let resolved = place.resolve_overrides(none, &[("HF_TOKEN", "hf_env")]).expect("settings");
        assert_eq!(resolved.settings.network.token, None);
    }

    #[test]
    fn a_tilde_in_the_settings_file_is_the_users_home() {
        let place = Place::new();
        place.write("project/src/deep/configs/manager.yaml", "store: ~/models\n");
        let home = place.root.path().join("project").to_str().expect("Unicode").to_owned();
        let error = place.resolve("", &[("HOME", &home)]).expect_err("refused");
        let command = "`model-manager config set --user allowed_places ";
        assert!(error.next_step().is_some_and(|hint| hint.contains(command)), "{error:?}");
        place.write("project/.config/model-manager/config.yaml", "allowed_places: [~/models]\n");
        std::fs::create_dir_all(place.root.path().join("project/AppData/Roaming")).expect("a folder");
        place.write("project/AppData/Roaming/model-manager/config.yaml", "allowed_places: [~/models]\n");
        place.write("project/Library/Application Support/model-manager/config.yaml", "allowed_places: [~/models]\n");
        let settings = place.resolve("", &[("HOME", &home)]).expect("settings");
        assert_eq!(settings.store, Some(place.root.path().join("project/models")));
    }

    #[test]
    fn a_slip_in_the_settings_file_stops_the_run() {
        let place = Place::new();
        place.write("project/configs/models.yaml", "models: {}");
        place.write("project/configs/manager.yaml", "# comment\nstorr: x\n");
        let error = place.resolve("", &[]).expect_err("refused");
        assert!(error.message().contains("manager.yaml:2:1") && error.message().contains("`store`"), "{error}");
    }
}
