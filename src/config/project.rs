//! Which folder is the project, and where its files may lead.
//!
//! The model is git's `safe.directory`: a folder that belongs to another user is not used as a project. Paths and links
//! in a project's files may lead only to places in the project and to those that the user allowed.

use super::current_user::CurrentUser;
use crate::{
    disk::{Disk, Stat, absent_is_none},
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::Hint,
    store::{Layout, PROJECT_FILE, STORE_DIR},
};
use std::path::{Path, PathBuf};

/// The permission bit that lets everybody write.
const OTHERS_WRITE: u32 = 0o002;

/// The models directory of a project, unless a setting names another.
const MODELS_DIR: &str = "models";
/// Where a project keeps what people write.
const CONFIGS_DIR: &str = "configs";
/// The registry, in `configs`.
const REGISTRY: &str = "models.yaml";
/// What a project keeps in its `configs`.
const PARTS: [&str; 4] = [REGISTRY, "models.lock", "manager.yaml", "backend"];

/// Where things are found by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Its registry; `None` is the built-in one.
    pub config: Option<PathBuf>,
    /// Whether the user named the registry.
    pub is_named: bool,
    /// Whether its settings are used: its folder belongs to this user.
    pub is_safe: bool,
    /// Whether anything says that its folder is a project; else it is the current directory.
    pub is_found: bool,
}

/// What deciding about a folder needs to know of the user.
#[derive(Debug)]
pub struct Finder<'a> {
    /// Where folders are looked at.
    pub disk: &'a dyn Disk,
    /// The user.
    pub owner: CurrentUser,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// Folders of others that the user allowed, as real paths.
    pub safe: &'a [PathBuf],
}

impl Project {
    /// The lock file: beside the registry, under its name.
    pub fn lock_file(&self) -> PathBuf {
        match &self.config {
            Some(config) => config.with_extension("lock"),
            None => self.root.join(CONFIGS_DIR).join("models.lock"),
        }
    }

    /// Its models directory, unless a setting names another.
    pub fn models_dir(&self) -> PathBuf {
        self.root.join(MODELS_DIR)
    }

    /// Its settings file.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join(CONFIGS_DIR).join("manager.yaml")
    }
}

impl Finder<'_> {
    /// The project of a registry file that the user named. One of another name says nothing of the current directory, whose
    /// other files are then the project's.
    pub fn named(&self, cwd: &Path, config: PathBuf) -> Result<Project> {
        let named =
            if config.ends_with(Path::new(CONFIGS_DIR).join(REGISTRY)) { config.parent().and_then(Path::parent) } else { None };
        let root = named.unwrap_or(cwd).to_owned();
        let mut is_safe = true;
        if named.is_none()
            && let Some(stat) = absent_is_none(self.disk.stat_follow(cwd))?
            && let Some(why) = self.distrust(cwd, &stat)?
        {
            self.require_empty(cwd, &why)?;
            is_safe = false;
        }
        Ok(Project { root, config: Some(config), is_named: true, is_safe, is_found: true })
    }

    /// The project of the current directory: the nearest folder at or above it that holds `configs/models.yaml` or models of
    /// this program, else the current directory itself. The search ends below the home folder's parent, at the volume's
    /// edge, and at a folder of another user. If that is the current directory and it holds a project, all commands refuse,
    /// as git does, because they would also use its lock file and other files. A dangling link or a folder in place of the
    /// registry ends the search too: otherwise a registry further up would be used.
    pub fn find(&self, cwd: &Path, warnings: &mut Vec<Warning>) -> Result<Project> {
        let device = absent_is_none(self.disk.stat_follow(cwd))?.map(|stat| stat.dev);
        let above_home = match &self.home {
            Some(home) => self.disk.real_place(home)?.parent().map(Path::to_owned),
            None => None,
        };
        let project = |root: &Path, config, is_safe, is_found| {
            let root = root.to_owned();
            Project { root, config, is_named: false, is_safe, is_found }
        };
        let mut is_cwd_safe = true;
        for folder in cwd.ancestors() {
            let is_cwd = folder == cwd;
            if !is_cwd && Some(folder) == above_home.as_deref() {
                break;
            }
            // A folder that may not be looked into is no project of this user.
            let Ok(stat) = self.disk.stat_follow(folder) else { break };
            if Some(stat.dev) != device {
                break;
            }
            let config = Some(folder.join(CONFIGS_DIR).join(REGISTRY)).filter(|config| self.is_there(config));
            let is_project = config.is_some() || self.holds_models(folder);
            if let Some(why) = self.distrust(folder, &stat)? {
                if is_cwd {
                    self.require_empty(folder, &why)?;
                    is_cwd_safe = false;
                } else if is_project {
                    let text = format!("passed over the project in {}: {why}", folder.display());
                    warnings.push(Warning::with_hint(text, Hint::WorkInProject { folder: folder.to_owned() }));
                }
                break;
            }
            if is_project {
                return Ok(project(folder, config, true, true));
            }
        }
        let has_settings = is_cwd_safe && self.is_there(&project(cwd, None, true, false).settings_file());
        Ok(project(cwd, None, is_cwd_safe, has_settings))
    }

    fn is_there(&self, path: &Path) -> bool {
        self.disk.stat(path).is_ok()
    }

    /// Whether a folder's models directory, in its default place, is one of this program.
    fn holds_models(&self, folder: &Path) -> bool {
        let models = folder.join(MODELS_DIR);
        self.is_there(&models.join(PROJECT_FILE)) || self.is_there(&Layout::new(models.join(STORE_DIR)).marker())
    }

    /// Refuses a folder of another user that holds any part of a project.
    fn require_empty(&self, folder: &Path, why: &str) -> Result<()> {
        let configs = folder.join(CONFIGS_DIR);
        if !PARTS.iter().any(|name| self.is_there(&configs.join(name))) && !self.holds_models(folder) {
            return Ok(());
        }
        let message = format!("the project in {} is not used: {why}", folder.display());
        Err(Error::new(ErrorKind::Usage, message).hint(Hint::TrustProject { folder: folder.to_owned() }))
    }

    /// Why a folder is no project of this user; `None` where it may be one.
    fn distrust(&self, folder: &Path, stat: &Stat) -> Result<Option<String>> {
        if !self.safe.is_empty() && self.safe.contains(&self.disk.real_place(folder)?) {
            return Ok(None);
        }
        let foreign = |path: &Path, stat: &Stat| format!("{} belongs to user {}", path.display(), stat.uid);
        if !self.owner.owns(stat) {
            return Ok(Some(foreign(folder, stat)));
        }
        // Users who may write a folder may have created what is in it.
        let (configs, models) = (folder.join(CONFIGS_DIR), folder.join(MODELS_DIR));
        let store = models.join(STORE_DIR);
        let held = [
            (folder, vec![configs.clone(), models.clone()]),
            (&*configs, PARTS.map(|name| configs.join(name)).into()),
            (&*models, vec![models.join(PROJECT_FILE), store.clone()]),
            (&*store, vec![Layout::new(&*store).marker()]),
        ];
        for (holder, held) in held {
            match self.disk.stat_follow(holder) {
                Ok(holder) if holder.mode & OTHERS_WRITE != 0 => {}
                _ => continue,
            }
            for path in held {
                if let Ok(stat) = self.disk.stat(&path)
                    && !self.owner.knows(&stat)
                {
                    return Ok(Some(foreign(&path, &stat)));
                }
            }
        }
        Ok(None)
    }
}
