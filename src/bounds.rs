//! Where files of a project may be. Links in it may have come with it, so none is followed out of it.

use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    settings::{Bounds, Misplaced},
};
use std::path::{Path, PathBuf};

/// A path that the user did not name, and what it is to the project.
pub struct Unnamed<'a> {
    /// As a message calls it.
    pub what: &'a str,
    /// The path.
    pub path: &'a Path,
    /// Whether it is a folder, which the project may have named where other programs keep what they run.
    pub is_folder: bool,
}

/// Refuses paths that lead to places that the user has not allowed, with one command that allows all of them, if they
/// can be allowed.
pub fn require_within(disk: &dyn Disk, bounds: &Bounds, unnamed: &[Unnamed<'_>]) -> Result<()> {
    let mut wrong: Vec<String> = Vec::new();
    let mut places: Vec<PathBuf> = Vec::new();
    let mut can_be_allowed = true;
    for Unnamed { what, path, is_folder } in unnamed {
        let real = disk.real_place(path).map_err(|error| match error.is_wrong_kind() {
            true => Error::new(ErrorKind::Usage, error.to_string()).hint(Hint::RemoveLink),
            false => error.into(),
        })?;
        let why = match is_folder {
            true => bounds.misplaced(&real, &|path| disk.stat(path).is_ok()),
            false => misplaced_file(disk, bounds, path, &real)?,
        };
        let Some(why) = why.filter(|_| !places.iter().any(|place| real.starts_with(place))) else { continue };
        wrong.push(format!("{what} {} {}", path.display(), why.words(&real)));
        can_be_allowed &= bounds.may_offer(&real) && !matches!(why, Misplaced::VersionControl(_));
        places.push(real);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let hint = if can_be_allowed { Hint::AllowPlaces(places) } else { Hint::RemoveLink };
    Err(Error::new(ErrorKind::Usage, wrong.join(", and ")).hint(hint))
}

/// Why a file may not be at the place its path resolves to. A path without links may lead into a folder of another
/// program.
pub fn misplaced_file(disk: &dyn Disk, bounds: &Bounds, path: &Path, real: &Path) -> Result<Option<Misplaced>> {
    let why = bounds.misplaced(real, &|path| disk.stat(path).is_ok());
    let is_plain =
        matches!(why, Some(Misplaced::Programs(_))) && plain_places(disk, bounds, path)?.iter().any(|place| place == real);
    Ok(why.filter(|_| !is_plain))
}

/// The place of a path below the project if none of its components were a link; empty for a path outside of the
/// project.
pub fn plain_places(disk: &dyn Disk, bounds: &Bounds, path: &Path) -> Result<Vec<PathBuf>> {
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
