//! One store for all projects of a user: where it is, and the user's settings file that names it.

use super::{environment::Environment, write::SettingsFile};
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint},
};
use std::path::{Path, PathBuf};

/// A store for all projects of a user.
#[derive(Debug)]
pub struct UserStore {
    /// The store.
    pub store: PathBuf,
    /// The settings file that names it.
    pub settings_file: PathBuf,
    /// Whether that did not name it before.
    pub is_new: bool,
}

impl UserStore {
    /// Makes a store by `make` in `dir`, else in the user's folder for data of this program, and names it in the user's file. A
    /// file that names another already is refused.
    pub fn init(
        file: &SettingsFile<'_>,
        dir: Option<&Path>,
        environment: &Environment<'_>,
        disk: &dyn Disk,
        make: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<Self> {
        let place = match dir {
            Some(dir) => file.absolute(dir)?,
            None => environment
                .user_store()
                .ok_or_else(|| Error::new(ErrorKind::Usage, "this user has no folder for data").hint(Hint::SetHome))?,
        };
        if let Some(named) = file.read(&mut Vec::new())?.layer.store
            && disk.real_place(&named)? != disk.real_place(&place)?
        {
            let text = format!("{} names another store for all of your projects: {}", file.path.display(), named.display());
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::Run(Action::grant("store").path(&place))));
        }
        let store = make(&place)?;
        let written = file.set("store", &[store.to_string_lossy().into_owned()])?;
        Ok(Self { store, settings_file: written.path, is_new: written.changed })
    }
}
