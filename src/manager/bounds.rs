//! Files of the project are written in the project: a link in it, which may have come with it, is not followed out of it.

use super::ModelManager;
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    settings::{Bounds, Misplaced},
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
        if plain_places(&*self.disk, bounds, &path)?.is_empty() {
            return Ok(());
        }
        let real = self.disk.real_place(&path)?;
        let Some(why) = misplaced_file(&*self.disk, bounds, &path, &real)? else { return Ok(()) };
        let message = format!("{} {}; nothing was written", path.display(), why.words(&real));
        Err(Error::new(ErrorKind::Usage, message).hint(match why {
            Misplaced::VersionControl(_) => ELSEWHERE.to_owned(),
            Misplaced::Outside | Misplaced::Programs(_) => hint(&real),
        }))
    }

    /// The same for a file of the project that the user may share with others.
    pub(super) fn require_shared_within(&self, path: &Path) -> Result<()> {
        let may_offer = |real: &Path| self.settings.bounds.as_ref().is_some_and(|bounds| bounds.may_offer(real));
        self.require_within(path, |real| match may_offer(real) {
            true => allow(&[real.to_owned()]),
            false => ELSEWHERE.to_owned(),
        })
    }
}

/// What is left to do where no place can be allowed.
pub const ELSEWHERE: &str = "Remove the link, or name another place.";

/// What allows places.
pub fn allow(places: &[PathBuf]) -> String {
    let places: String = places.iter().map(|place| format!(" {}", text::shell_path(place))).collect();
    format!("If that is what you want, allow it once: `model-manager config set --user allowed_places{places}`.")
}

/// Why a file may not stand where its path leads to. One that no link leads to folders of other programs is meant to be there.
pub fn misplaced_file(disk: &dyn Disk, bounds: &Bounds, path: &Path, real: &Path) -> Result<Option<Misplaced>> {
    let why = bounds.misplaced(real, &|path| disk.stat(path).is_ok());
    let is_plain =
        matches!(why, Some(Misplaced::Programs(_))) && plain_places(disk, bounds, path)?.iter().any(|place| place == real);
    Ok(why.filter(|_| !is_plain))
}

/// Where a path below the project would lead without any link in it; nothing for one that is named elsewhere.
fn plain_places(disk: &dyn Disk, bounds: &Bounds, path: &Path) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for folder in path.ancestors().skip(1) {
        if disk.real_place(folder)? == bounds.root
            && let Ok(below) = path.strip_prefix(folder)
        {
            places.push(bounds.root.join(below));
        }
    }
    Ok(places)
}
