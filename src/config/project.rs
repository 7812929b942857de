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
};
use std::path::{Path, PathBuf};

/// The permission bit that lets everybody write.
const OTHERS_WRITE: u32 = 0o002;

/// What a project keeps in its `configs`.
const PARTS: [&str; 4] = ["models.yaml", "models.lock", "manager.yaml", "backend"];

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
            None => self.root.join("configs/models.lock"),
        }
    }

    /// Its settings file.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("configs/manager.yaml")
    }
}

impl Finder<'_> {
    /// The project of a registry file that the user named. One of another name says nothing of the current directory, whose
    /// other files are then the project's.
    pub fn named(&self, cwd: &Path, config: PathBuf) -> Result<Project> {
        let named = if config.ends_with("configs/models.yaml") { config.parent().and_then(Path::parent) } else { None };
        let root = named.unwrap_or(cwd).to_owned();
        let mut is_safe = true;
        if named.is_none()
            && let Some(stat) = absent_is_none(self.disk.stat_follow(cwd))?
            && let Some(why) = self.distrust(cwd, &stat)?
        {
            self.require_empty(cwd, &why)?;
            is_safe = false;
        }
        Ok(Project { root, config: Some(config), is_named: true, is_safe })
    }

    /// The project of the current directory: the nearest folder at or above it that holds `configs/models.yaml`, else the
    /// current directory itself. The search ends below the home folder's parent, at the volume's edge, and at a folder
    /// of another user. If that is the current directory and it holds a project, all commands refuse, as git does,
    /// because they would also use its lock file and other files. A dangling link or a folder in place of the registry
    /// ends the search too: otherwise a registry further up would be used.
    pub fn find(&self, cwd: &Path, warnings: &mut Vec<Warning>) -> Result<Project> {
        let device = absent_is_none(self.disk.stat_follow(cwd))?.map(|stat| stat.dev);
        let above_home = match &self.home {
            Some(home) => self.disk.real_place(home)?.parent().map(Path::to_owned),
            None => None,
        };
        let alone = |is_safe| Project { root: cwd.to_owned(), config: None, is_named: false, is_safe };
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
            let config = folder.join("configs/models.yaml");
            let is_there = self.disk.stat(&config).is_ok();
            if let Some(why) = self.distrust(folder, &stat)? {
                if is_cwd {
                    self.require_empty(folder, &why)?;
                    is_cwd_safe = false;
                } else if is_there {
                    let text = format!("passed over the project in {}: {why}", folder.display());
                    warnings.push(Warning::with_hint(text, Hint::WorkInProject { folder: folder.to_owned() }));
                }
                break;
            }
            if is_there {
                return Ok(Project { root: folder.to_owned(), config: Some(config), is_named: false, is_safe: true });
            }
        }
        Ok(alone(is_cwd_safe))
    }

    /// Refuses a folder of another user that holds any part of a project.
    fn require_empty(&self, folder: &Path, why: &str) -> Result<()> {
        let configs = folder.join("configs");
        if !PARTS.iter().any(|name| self.disk.stat(&configs.join(name)).is_ok()) {
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
        // Users who may write the folder may have created its files.
        let configs = folder.join("configs");
        let files = PARTS.map(|name| configs.join(name));
        for (holder, held) in [(folder, vec![configs.clone()]), (&*configs, files.into())] {
            let Ok(holder) = self.disk.stat_follow(holder) else { return Ok(None) };
            if holder.mode & OTHERS_WRITE == 0 {
                continue;
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
