//! What a command finds when it runs.

use super::{args::Global, interrupt, progress::ProgressDisplay};
use crate::{
    config::{
        self, Resolved, UserStore,
        effective::{self, ShownSetting},
        environment::Environment,
        moved_store::{UserOfStore, name_moved_store},
        write::{Scope, SettingsFile},
    },
    disk::{Disk, Kind, RealDisk, limits},
    error::{Error, ErrorKind, Result},
    event::Reporter,
    hint::Hint,
    manager::{ModelManager, StoreSwitch},
    names::App,
    settings::Settings,
};
use std::{
    cell::OnceCell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Settings and manager of a run, made when a command first asks for them: `completions` needs neither, and must not
/// fail over a slip in a registry.
pub struct Context<'a> {
    global: Global,
    environment: Environment<'a>,
    cwd: PathBuf,
    progress: Arc<ProgressDisplay>,
    settings: OnceCell<Settings>,
    root: OnceCell<PathBuf>,
    named_store: OnceCell<Option<PathBuf>>,
    manager: OnceCell<ModelManager>,
}

impl<'a> Context<'a> {
    /// A context in which nothing was asked for yet.
    pub fn new(global: Global, environment: Environment<'a>, cwd: PathBuf, progress: Arc<ProgressDisplay>) -> Self {
        Self {
            global,
            environment,
            cwd,
            progress,
            settings: OnceCell::new(),
            root: OnceCell::new(),
            named_store: OnceCell::new(),
            manager: OnceCell::new(),
        }
    }

    /// Where to tell something while the command runs.
    pub fn progress(&self) -> &ProgressDisplay {
        &self.progress
    }

    /// Settings of this run.
    pub fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let overrides = self.global.overrides();
        let Resolved { settings, warnings, root, named_store } =
            config::resolve(overrides, &self.environment, &self.cwd, &RealDisk)?;
        warnings.iter().for_each(|warning| self.progress.warning(warning));
        if self.global.verbose {
            describe(&settings).iter().for_each(|line| self.progress.notice(line));
        }
        self.root.get_or_init(|| root);
        self.named_store.get_or_init(|| named_store);
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Settings of a command line that says this besides; `None` where they cannot be had, which is not told.
    pub fn settings_in_silence(&self, said: &Global) -> Option<Settings> {
        let resolved = config::resolve(said.overrides(), &self.environment, &self.cwd, &RealDisk).ok()?;
        Some(resolved.settings)
    }

    /// The settings file of a scope.
    pub fn settings_file(&self, scope: Scope) -> Result<SettingsFile<'_>> {
        let mut warnings = Vec::new();
        let file = SettingsFile::find(scope, self.global.config.clone(), &self.environment, &self.cwd, &RealDisk, &mut warnings)?;
        warnings.iter().for_each(|warning| self.progress.warning(warning));
        Ok(file)
    }

    /// Every setting as this run has it; of a scope, what its file says.
    pub fn shown_settings(&self, scope: Option<Scope>) -> Result<Vec<ShownSetting>> {
        let mut warnings = Vec::new();
        let shown = match scope {
            None => effective::in_effect(self.global.overrides(), &self.environment, &self.cwd, &RealDisk, &mut warnings),
            Some(scope) => effective::in_file(&self.settings_file(scope)?, &mut warnings),
        }?;
        warnings.iter().for_each(|warning| self.progress.warning(warning));
        Ok(shown)
    }

    /// Makes one store for all projects of the user, and names it in the user's file. A file that names another already is
    /// refused.
    pub fn init_for_user(&self, dir: Option<&Path>) -> Result<UserStore> {
        if self.global.settings.0.store.is_some() {
            let error = Error::new(ErrorKind::Usage, "`--store` and `--user` both name a store");
            return Err(error.hint(Hint::GiveOnlyOne));
        }
        let file = self.settings_file(Scope::User)?;
        UserStore::init(&file, dir, &self.environment, &RealDisk, |store| {
            let settings = Settings { store: Some(store.to_owned()), ..self.settings()?.clone() };
            let reporter: Arc<dyn Reporter> = Arc::clone(&self.progress) as _;
            ModelManager::new(settings, reporter)?.init(false, None)
        })
    }

    /// Adds the store that the user named to `allowed_places`, so that project files may name it later. Returns the
    /// changed file; `None` if it was allowed already or none was named.
    pub fn allow_named_store(&self) -> Result<Option<PathBuf>> {
        let bounds = self.settings()?.bounds.as_ref();
        let Some(store) = self.named_store.get().and_then(Option::as_ref) else { return Ok(None) };
        let real = RealDisk.canonical(store)?;
        match real.to_str() {
            Some(text) if bounds.is_some_and(|bounds| bounds.misplaced(&real, &|path| RealDisk.stat(path).is_ok()).is_some()) => {
                let file = self.settings_file(Scope::User)?;
                Ok(Some(file.set("allowed_places", &[text.to_owned()])?.path))
            }
            _ => Ok(None),
        }
    }

    /// Lets the settings files of this user and of these projects name the new place of a store that was moved. Returns those
    /// that were changed.
    pub fn name_moved_store(&self, moved: &StoreSwitch<'_>) -> Result<Vec<PathBuf>> {
        let own = self.settings()?.models_dir.clone();
        let is_own = |models_dir: &Path| RealDisk.canonical(&own).is_ok_and(|own| own == *models_dir);
        let user = |models_dir: &PathBuf| UserOfStore {
            dir: if is_own(models_dir) { self.cwd.clone() } else { models_dir.clone() },
            models_dir: models_dir.clone(),
        };
        let projects: Vec<UserOfStore> = moved.projects.iter().map(user).collect();
        let mut warnings = Vec::new();
        let changed = name_moved_store(moved.from, moved.to, &projects, &self.environment, &RealDisk, &mut warnings)?;
        warnings.iter().for_each(|warning| self.progress.warning(warning));
        Ok(changed)
    }

    /// Names a further folder of an application in the user's file. Returns that file, and whether it was changed.
    pub fn add_app(&self, app: App, dir: &Path) -> Result<(PathBuf, bool)> {
        let file = self.settings_file(Scope::User)?;
        let dir = file.absolute(dir)?;
        if RealDisk.stat_follow(&dir)?.kind != Kind::Dir {
            return Err(Error::new(ErrorKind::Usage, format!("{} is no folder", dir.display())).hint(Hint::CorrectValue));
        }
        let written = file.set("apps", &[format!("{app}={}", dir.display())])?;
        Ok((written.path, written.changed))
    }

    /// Whether this run alone said where the store is, by an option or a variable.
    pub fn names_store_itself(&self) -> bool {
        self.named_store.get().is_some_and(Option::is_some)
    }

    /// The project's folder.
    pub fn root(&self) -> Result<&Path> {
        self.settings()?;
        Ok(self.root.get_or_init(|| self.cwd.clone()))
    }

    /// The current directory.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// A manager for a command that looks and is done.
    pub fn manager(&self) -> Result<&ModelManager> {
        if let Some(manager) = self.manager.get() {
            return Ok(manager);
        }
        let reporter: Arc<dyn Reporter> = Arc::clone(&self.progress) as _;
        let manager = ModelManager::new(self.settings()?.clone(), reporter)?;
        Ok(self.manager.get_or_init(|| manager))
    }

    /// A manager for a command that works: Ctrl-C asks it to stop where it can go on later. Called once by a command.
    pub fn worker(&self) -> Result<&ModelManager> {
        let manager = self.manager()?;
        let progress = Arc::clone(&self.progress);
        let say = move || progress.tell("Stopping. Press Ctrl-C again to end at once.\n");
        // Without a thread that listens, Ctrl-C ends the process at once, which what is on disk survives. The work comes first.
        if limits::spare_threads(2) < 2 {
            return Ok(manager);
        }
        match interrupt::watch(manager.cancel_token(), say) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(Error::of_system("cannot listen for Ctrl-C", error)),
            _ => Ok(manager),
        }
    }

    /// Whether Ctrl-C ended the work.
    pub fn was_interrupted(&self) -> bool {
        self.manager.get().is_some_and(|manager| manager.cancel_token().is_cancelled())
    }
}

/// The settings for `--verbose`; whether there is a token, but never which.
fn describe(settings: &Settings) -> Vec<String> {
    let shown = |path: Option<&Path>, default: &str| path.map_or_else(|| default.to_owned(), |path| path.display().to_string());
    let network = &settings.network;
    vec![
        format!("models folder: {}", settings.models_dir.display()),
        format!("registry: {}", shown(settings.config.as_deref(), "built-in")),
        format!("store: {}", shown(settings.store.as_deref(), ".blobs in the models folder")),
        format!("links: {}", settings.link),
        match network.offline {
            true => "network: offline".to_owned(),
            false => format!(
                "network: {}, {} token, {}",
                network.endpoints.join(", "),
                if network.token.is_some() { "with a" } else { "without a" },
                network.connections
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Token;

    #[test]
    fn a_verbose_run_does_not_show_the_token() {
        let mut settings = Settings::new("/m");
        settings.network.token = Token::new("hf_secret");
        let lines = describe(&settings).join("\n");
        assert!(lines.contains("with a token") && !lines.contains("secret"), "{lines}");
    }
}
