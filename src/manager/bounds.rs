//! The manager writes files of the project in the project.

use super::ModelManager;
use crate::{
    bounds::{misplaced_file, plain_places},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    settings::Misplaced,
};
use std::path::{Path, PathBuf};

impl ModelManager {
    /// Refuses a path below the project that resolves to a place outside; `hint` gets that place. A path outside of the
    /// project was named by the user and is accepted.
    pub(super) fn require_within(&self, path: &Path, hint: impl FnOnce(&Path) -> Hint) -> Result<()> {
        let Some(bounds) = &self.settings.bounds else { return Ok(()) };
        let path: PathBuf = std::path::absolute(path).map_err(|error| {
            Error::new(ErrorKind::Usage, format!("{} cannot be made an absolute path", path.display())).caused_by(error)
        })?;
        if plain_places(&*self.disk, bounds, &path)?.is_empty() {
            return Ok(());
        }
        let real = self.disk.real_place(&path)?;
        let Some(why) = misplaced_file(&*self.disk, bounds, &path, &real)? else { return Ok(()) };
        let message = format!("{} {}; nothing was written", path.display(), why.words(&real));
        Err(Error::new(ErrorKind::Usage, message).hint(match why {
            Misplaced::VersionControl(_) => Hint::RemoveLink,
            Misplaced::Outside | Misplaced::Programs(_) => hint(&real),
        }))
    }

    /// The same for a file of the project that the user may share with others.
    pub(super) fn require_shared_within(&self, path: &Path) -> Result<()> {
        let may_offer = |real: &Path| self.settings.bounds.as_ref().is_some_and(|bounds| bounds.may_offer(real));
        self.require_within(path, |real| match may_offer(real) {
            true => Hint::AllowPlaces(vec![real.to_owned()]),
            false => Hint::RemoveLink,
        })
    }
}
