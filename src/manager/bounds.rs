//! Files of the project are written in the project: a link in it, which may have come with it, is not followed out of it.

use super::ModelManager;
use crate::{
    error::{Error, ErrorKind, Result},
    text,
};
use std::path::{Path, PathBuf};

impl ModelManager {
    /// Refuses to go on with a file that is named below the project and stands elsewhere; `hint` says what to do, from where it
    /// stands. What is named elsewhere is the user's word.
    pub(super) fn require_within(&self, path: &Path, hint: impl FnOnce(&Path) -> String) -> Result<()> {
        let Some(bounds) = &self.settings.bounds else { return Ok(()) };
        let path: PathBuf = std::path::absolute(path).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{} cannot be made an absolute path", path.display())).caused_by(error)
        })?;
        let mut is_below = false;
        for folder in path.ancestors().skip(1) {
            is_below |= self.disk.real_place(folder)? == bounds.root;
        }
        let real = self.disk.real_place(&path)?;
        if !is_below || bounds.hold(&real) {
            return Ok(());
        }
        let message = format!("{} leads out of the project, to {}; nothing was written", path.display(), real.display());
        Err(Error::new(ErrorKind::Usage, message).hint(hint(&real)))
    }

    /// The same for a file of the project that the user may share with others.
    pub(super) fn require_shared_within(&self, path: &Path) -> Result<()> {
        self.require_within(path, |real| {
            let place = text::shell_path(real.parent().unwrap_or(real));
            format!("If that is what you want, allow it once: `model-manager config set --user allowed_places {place}`.")
        })
    }
}
