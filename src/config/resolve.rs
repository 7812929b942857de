//! From command line, environment, `configs/manager.yaml` and the user's `config.yaml` to typed settings, in this order of
//! strength. One default is stronger than the user's file: a project that has a store in its models directory uses that.

use super::{
    current_user::CurrentUser,
    environment::{self, Environment},
    file::{self, FileSettings, Whose},
    project::{Finder, Project},
    table::{Grants, Layer},
    user_file,
    value::{AppFolder, Endpoint},
};
use crate::{
    bounds::{Unnamed, require_within},
    disk::Disk,
    error::{Error, ErrorKind, Result},
    event::Warning,
    foreign::default_places,
    settings::{AppPlace, Bounds, Connections, Network, Settings, Token},
    store::{STORE_DIR, Store},
};
use std::path::{Path, PathBuf};

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
    pub warnings: Vec<Warning>,
}

impl Layer {
    /// Its paths made absolute from `base`.
    pub(super) fn based_at(mut self, base: &Path, environment: &Environment<'_>) -> Result<Self> {
        for path in self.paths_mut() {
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

/// Which project it is, what the user's file says, and where the project's files may lead.
pub(super) struct Ground {
    /// The user's file.
    pub user: FileSettings,
    /// The project.
    pub project: Project,
    /// Where its files may lead.
    pub bounds: Bounds,
}

/// What each source says, the strongest first. All paths are absolute.
pub(super) struct Layers {
    /// Overrides.
    pub flags: Layer,
    /// Variables of the environment.
    pub variables: Layer,
    /// The project's file.
    pub project: Layer,
    /// The user's file.
    pub user: Layer,
    /// What the user's file grants.
    pub grants: Grants,
    /// The project's file.
    pub project_file: PathBuf,
}

/// Finds the project of the current directory, or that of a registry file that the user named.
pub(super) fn survey(
    config: Option<PathBuf>,
    environment: &Environment<'_>,
    cwd: &Path,
    disk: &dyn Disk,
    warnings: &mut Vec<Warning>,
) -> Result<Ground> {
    let user = user_file::read(disk, environment, warnings)?;
    let mut granted = |key, places| user_file::real_places(disk, environment, key, places, warnings);
    let safe_projects = granted("safe_projects", &user.grants.safe_projects);
    let allowed = granted("allowed_places", &user.grants.allowed_places);
    let finder = Finder {
        disk,
        owner: CurrentUser::of_process(environment),
        home: environment.home().filter(|home| home.is_absolute()),
        safe: &safe_projects,
    };
    let project = match config.map(|path| environment.expand(path)).or_else(|| environment.config()) {
        Some(named) => finder.named(cwd, absolute(cwd, &named)?)?,
        None => finder.find(cwd, warnings)?,
    };
    let home = finder.home.as_ref().and_then(|home| disk.real_place(home).ok());
    let bounds = Bounds { root: disk.real_place(&project.root)?, home, allowed };
    require_own_files(disk, &bounds, &project)?;
    Ok(Ground { user, project, bounds })
}

/// What the project's file says.
pub(super) fn read_project_file(disk: &dyn Disk, project: &Project) -> Result<FileSettings> {
    match project.is_safe {
        true => file::read(disk, &project.settings_file(), Whose::Project),
        false => Ok(FileSettings::default()),
    }
}

/// The settings of a run: in order of precedence, overrides, variables, the project's file, the user's file, defaults.
/// Settings of trust come only from overrides, variables and the user's file.
pub(crate) fn resolve(overrides: Overrides, environment: &Environment<'_>, cwd: &Path, disk: &dyn Disk) -> Result<Resolved> {
    resolve_layers(overrides, environment, cwd, disk).map(|(resolved, _)| resolved)
}

/// The same, with what each source says.
pub(super) fn resolve_layers(
    overrides: Overrides,
    environment: &Environment<'_>,
    cwd: &Path,
    disk: &dyn Disk,
) -> Result<(Resolved, Layers)> {
    let mut warnings = Vec::new();
    let Ground { user, project, mut bounds } = survey(overrides.config, environment, cwd, disk, &mut warnings)?;
    let flags = overrides.settings.based_at(cwd, environment)?;
    let variables = Layer::of_variables(environment)?.based_at(cwd, environment)?;
    let parsed = read_project_file(disk, &project)?;
    let by_user: Vec<String> =
        [&flags, &variables, &user.layer].into_iter().flat_map(|layer| &layer.endpoints).flatten().map(address).collect();
    for beyond in &parsed.overreach {
        // The user's setting has precedence, so the project's has no effect.
        let is_overruled =
            beyond.setting.key == "ca_file" && [&flags, &variables, &user.layer].iter().any(|layer| layer.ca_file.is_some());
        if !is_overruled {
            return Err(beyond.error(&project.settings_file(), &project.root));
        }
    }
    let mut layers = Layers {
        flags,
        variables,
        project: parsed.layer.based_at(&project.root, environment)?,
        user: user.layer,
        grants: user.grants,
        project_file: project.settings_file(),
    };
    let named = layers.flags.clone().over(layers.variables.clone());
    let models_dir = Chosen::of(&named.models_dir, &layers.project.models_dir, &layers.user.models_dir);
    let mut store = Chosen::of(&named.store, &layers.project.store, &layers.user.store);
    let is_only_users = named.store.is_none() && layers.project.store.is_none();
    let mut parsed = named.over(layers.project.clone()).over(layers.user.clone());
    let mut settings = Settings::new(parsed.models_dir.unwrap_or_else(|| project.models_dir()));
    let default_store = settings.models_dir.join(STORE_DIR);
    // The store of the user's file is for projects without one: the views of another project lead into its own.
    if is_only_users && parsed.store.is_some() && Store::is_at(disk, &default_store) {
        (layers.user.store, parsed.store, store) = (None, None, Chosen::Otherwise);
    }
    let store_dir = parsed.store.clone().unwrap_or(default_store);
    let mut unnamed = Vec::new();
    match models_dir {
        Chosen::ByUser => bounds.allowed.push(disk.real_place(&settings.models_dir)?),
        Chosen::Otherwise => unnamed.push(Unnamed { what: "the models directory", path: &settings.models_dir, is_folder: true }),
    }
    if store == Chosen::Otherwise {
        unnamed.push(Unnamed { what: "the store", path: &store_dir, is_folder: true });
    }
    require_within(disk, &bounds, &unnamed)?;

    let token = match overrides.token {
        Some(token) => token
            .map(environment::checked)
            .transpose()
            .map_err(|why| Error::new(ErrorKind::Usage, format!("the token cannot be used: {why}")))?,
        None => environment.token(disk, &mut warnings)?,
    };
    settings.lock_file = project.lock_file();
    settings.config = project.config;
    settings.store = parsed.store;
    settings.link = parsed.link.unwrap_or(settings.link);
    settings.lock_timeout = parsed.lock_timeout.map_or(settings.lock_timeout, |timeout| timeout.0);
    settings.known_stores = if parsed.no_local.unwrap_or(false) { None } else { environment.known_stores() };
    settings.no_apps = parsed.no_apps.unwrap_or(false);
    settings.borrow = parsed.borrow.unwrap_or(settings.borrow);
    settings.apps = apps(&layers.grants.apps, environment);
    settings.bounds = Some(bounds);
    let default = Network::default();
    let is_clear = |address: &&String| address.to_ascii_lowercase().starts_with("http:");
    let trusted: Vec<String> = layers.grants.trusted_endpoints.iter().map(address).collect();
    settings.network = Network {
        endpoints: parsed
            .endpoints
            .filter(|all| !all.is_empty())
            .map_or(default.endpoints, |all| all.iter().map(address).collect()),
        token,
        clear_text_endpoints: trusted.iter().filter(is_clear).cloned().collect(),
        token_endpoints: by_user.into_iter().chain(trusted).collect(),
        offline: parsed.offline.unwrap_or(default.offline),
        connections: parsed.connections.map_or(default.connections, |count| Connections::exactly(count.get() as usize)),
        limit_rate: parsed.limit_rate.map_or(default.limit_rate, |limit| limit.get()),
        stall_timeout: parsed.stall_timeout.map_or(default.stall_timeout, |time| time.get()),
        connect_timeout: parsed.connect_timeout.map_or(default.connect_timeout, |time| time.get()),
        proxies: environment.proxies()?,
        ca_file: parsed.ca_file,
        tries: parsed.tries.map_or(default.tries, |count| count.get()),
    };
    let named_store = (store == Chosen::ByUser).then_some(store_dir);
    Ok((Resolved { settings, root: project.root, named_store, warnings }, layers))
}

/// Where other applications may have models: in their usual places, and in those that the user named.
fn apps(named: &[AppFolder], environment: &Environment<'_>) -> Vec<AppPlace> {
    let mut places = default_places(environment.home().as_deref(), &|name| environment.raw(name));
    for AppFolder { app, dir } in named {
        if !places.iter().any(|place| place.app == *app && place.dir == *dir) {
            places.push(AppPlace::new(*app, dir));
        }
    }
    places
}

fn address(endpoint: &Endpoint) -> String {
    endpoint.as_str().to_owned()
}

/// Who chose a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chosen {
    /// The user, by a flag, a variable or the user's file.
    ByUser,
    /// The project's file, or the default place.
    Otherwise,
}

impl Chosen {
    fn of(named: &Option<PathBuf>, file: &Option<PathBuf>, user: &Option<PathBuf>) -> Self {
        let by_user = named.is_some() || (file.is_none() && user.is_some());
        if by_user { Self::ByUser } else { Self::Otherwise }
    }
}

/// Refuses if the project's own files are links that lead out of it: they would be read and written there. A registry
/// that the user named is accepted.
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
    require_within(disk, bounds, &unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Hint;
    use crate::{config::table::Setting, disk::RealDisk};
    use std::{ffi::OsString, time::Duration};

    struct TestProject {
        root: tempfile::TempDir,
        cwd: PathBuf,
    }

    impl TestProject {
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

        /// The settings with the options of a line.
        fn resolve(&self, line: &str, variables: &[(&str, &str)]) -> Result<Settings> {
            let mut overrides = Overrides::default();
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.chunks(2) {
                let flag = pair[0].trim_start_matches("--");
                match Setting::layered().find(|setting| setting.flag.is_some_and(|known| known.long == flag)) {
                    Some(setting) => overrides.settings.set(setting.key, &pair[1..])?,
                    None if flag == "config" => overrides.config = Some(pair[1].into()),
                    None => panic!("there is no option {flag}"),
                }
            }
            self.resolve_overrides(overrides, variables).map(|resolved| resolved.settings)
        }

        fn resolve_overrides(&self, overrides: Overrides, variables: &[(&str, &str)]) -> Result<Resolved> {
            let look_up = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            resolve(overrides, &Environment::new(&look_up), &self.cwd, &RealDisk)
        }
    }

    #[test]
    fn the_project_is_the_nearest_folder_above_with_a_registry() {
        let place = TestProject::new();
        let outer = place.write("configs/models.yaml", "models: {}");
        let inner = place.write("project/configs/models.yaml", "models: {}");
        let settings = place.resolve("", &[]).expect("settings");
        assert_eq!(settings.config, Some(inner.clone()));
        assert_eq!(settings.models_dir, place.root.path().join("project/models"));
        std::fs::remove_file(inner).expect("removed");
        assert_eq!(place.resolve("", &[]).expect("settings").config, Some(outer));
    }

    #[test]
    fn models_of_this_program_make_a_folder_a_project_and_the_nearest_project_counts() {
        let place = TestProject::new();
        let registry = place.write("configs/models.yaml", "models: {}");
        let found = || place.resolve_overrides(Overrides::default(), &[]).expect("settings");
        let root = |folder: &str| place.root.path().join(folder);
        for mark in ["models/.model-manager.json", "models/.blobs/STORE.json"] {
            let mark = place.write(&format!("project/{mark}"), "{}");
            let resolved = found();
            assert_eq!((resolved.root, &resolved.settings.config), (root("project"), &None));
            assert_eq!(resolved.settings.models_dir, root("project/models"));
            assert_eq!(resolved.settings.lock_file, root("project/configs/models.lock"));
            let nearer = place.write("project/src/configs/models.yaml", "models: {}");
            assert_eq!(found().root, root("project/src"));
            std::fs::remove_file(nearer).expect("removed");
            std::fs::remove_file(mark).expect("removed");
            // A folder of this name that holds something else is none.
            assert_eq!(found().settings.config.as_ref(), Some(&registry));
        }
        let home = root("project");
        let home = [("HOME", home.to_str().expect("Unicode"))];
        assert_eq!(place.resolve("", &home).expect("settings").config, None, "nothing above the home folder");
        place.write("project/models/.blobs/STORE.json", "{}");
        assert_eq!(place.resolve("", &home).expect("settings").models_dir, root("project/models"));
    }

    #[test]
    fn without_a_project_above_the_current_directory_is_the_project() {
        let place = TestProject::new();
        let settings = place.resolve("", &[]).expect("settings");
        assert_eq!((settings.config, settings.models_dir), (None, place.cwd.join("models")));
        assert_eq!(settings.store, None);
    }

    #[test]
    fn the_lock_file_lies_beside_the_registry_under_its_name() {
        let place = TestProject::new();
        let lock = |line: &str| place.resolve(line, &[]).expect("settings").lock_file;
        assert_eq!(lock(""), place.cwd.join("configs/models.lock"));
        assert_eq!(lock("--config my.yaml --models-dir /elsewhere"), place.cwd.join("my.lock"));
        place.write("project/configs/models.yaml", "models: {}");
        assert_eq!(lock("--models-dir /elsewhere"), place.root.path().join("project/configs/models.lock"));
    }

    #[test]
    fn a_named_registry_brings_its_project_only_from_a_configs_folder() {
        let place = TestProject::new();
        let settings = place.resolve("--config ../../../other/configs/models.yaml", &[]).expect("settings");
        assert_eq!(settings.models_dir, place.absolute("../../../other/models"));
        let settings = place.resolve("--config my.yaml", &[]).expect("settings");
        assert_eq!((settings.config, settings.models_dir), (Some(place.cwd.join("my.yaml")), place.cwd.join("models")));
        let settings = place.resolve("", &[("MODEL_MANAGER_CONFIG", "env.yaml")]).expect("settings");
        assert_eq!(settings.config, Some(place.cwd.join("env.yaml")));
    }

    #[test]
    fn flags_win_over_variables_and_those_over_the_file_and_that_over_defaults() {
        let place = TestProject::new();
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
        let place = TestProject::new();
        let parsed = |settings: Layer| place.resolve_overrides(Overrides { settings, ..Overrides::default() }, &[]);
        for (key, words) in [
            ("endpoints", &["huggingface.co"][..]),
            ("endpoints", &[]),
            ("connections", &["0"]),
            ("tries", &["1000"]),
            ("limit_rate", &["0"]),
            ("conections", &["4"]),
        ] {
            assert_eq!(Layer::default().set(key, words).expect_err(key).kind(), ErrorKind::Usage);
        }
        let error = Layer::default().set("conections", &["4"]).expect_err("unknown");
        let connections = Hint::DidYouMean { names: vec!["connections".into()], actions: Vec::new() };
        assert_eq!(error.hints(), [connections]);
        let mut settings = Layer::default();
        settings.set("endpoints", &["https://a.org/"]).expect("an address");
        let resolved = parsed(settings).expect("settings");
        assert_eq!((resolved.settings.network.endpoints, resolved.root), (vec!["https://a.org".to_owned()], place.cwd.clone()));
        assert!(
            parsed(Layer { endpoints: Some(vec![]), ..Layer::default() })
                .is_ok_and(|all| all.settings.network.endpoints.len() == 1)
        );
        let none = Overrides { token: Some(None), ..Overrides::default() };
        let resolved = place.resolve_overrides(none, &[("HF_TOKEN", "hf_env")]).expect("settings");
        assert_eq!(resolved.settings.network.token, None);
    }

    #[test]
    fn a_tilde_in_the_settings_file_is_the_users_home() {
        let place = TestProject::new();
        place.write("project/src/deep/configs/manager.yaml", "store: ~/models\n");
        let home = place.root.path().join("project").to_str().expect("Unicode").to_owned();
        let error = place.resolve("", &[("HOME", &home)]).expect_err("refused");
        assert!(matches!(error.hints(), [Hint::AllowPlaces(_)]), "{error:?}");
        place.write("project/.config/model-manager/config.yaml", "allowed_places: [~/models]\n");
        std::fs::create_dir_all(place.root.path().join("project/AppData/Roaming")).expect("a folder");
        place.write("project/AppData/Roaming/model-manager/config.yaml", "allowed_places: [~/models]\n");
        place.write("project/Library/Application Support/model-manager/config.yaml", "allowed_places: [~/models]\n");
        let settings = place.resolve("", &[("HOME", &home)]).expect("settings");
        assert_eq!(settings.store, Some(place.root.path().join("project/models")));
    }

    #[test]
    fn a_slip_in_the_settings_file_stops_the_run() {
        let place = TestProject::new();
        place.write("project/configs/models.yaml", "models: {}");
        place.write("project/configs/manager.yaml", "# comment\nstorr: x\n");
        let error = place.resolve("", &[]).expect_err("refused");
        assert!(error.message().contains("manager.yaml:2:1") && error.message().contains("`store`"), "{error}");
    }
}
