//! Writes the new place of a store that was moved into the settings files that named the old one.

use super::{
    environment::Environment,
    write::{Scope, SettingsFile},
};
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::{Action, Hint},
    store::STORE_DIR,
};
use std::path::{Path, PathBuf};

/// The key of the store's folder.
const STORE: &str = "store";
/// The key of the places that projects may name.
const PLACES: &str = "allowed_places";

/// A project that uses a store.
#[derive(Debug)]
pub struct UserOfStore {
    /// A folder in the project, from which it is found.
    pub dir: PathBuf,
    /// Its models directory.
    pub models_dir: PathBuf,
}

/// Changes every settings file that says, of its own or by its default, that the store is at `from`: the user's, and those of
/// these projects. Where a project is to name a place outside of it, the user's file allows that
/// first. Returns the files that were changed.
///
/// # Errors
/// The first, where files cannot be read or changed. The others are changed, and the rest is when it is done again.
pub fn name_moved_store(
    from: &Path,
    to: &Path,
    projects: &[UserOfStore],
    environment: &Environment<'_>,
    disk: &dyn Disk,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<PathBuf>> {
    let real = |path: &Path| disk.real_place(path).unwrap_or_else(|_| path.to_owned());
    let (from, to) = (real(from), real(to));
    let text = to.to_str().ok_or_else(|| Error::new(ErrorKind::Usage, format!("{} is not Unicode text", to.display())))?.to_owned();
    let mut changed = Vec::new();
    let user_file = SettingsFile::find(Scope::User, None, environment, &to, disk, warnings);
    let user_names = match &user_file {
        Ok(file) => file.read(warnings)?.layer.store,
        Err(_) => None,
    };
    if let (Ok(file), Some(named)) = (&user_file, &user_names)
        && real(named) == from
    {
        let written = file.set(STORE, std::slice::from_ref(&text))?;
        changed.extend(written.changed.then_some(written.path));
    }
    let mut first_error = Ok(());
    for project in projects {
        // One project that cannot be changed keeps none of the others from it.
        let result =
            name_in_project(project, (&from, &to), user_names.as_ref(), user_file.as_ref().ok(), environment, disk, warnings);
        match result {
            Ok(files) => changed.extend(files),
            Err(error) if first_error.is_ok() => first_error = Err(error),
            Err(_) => {}
        }
    }
    changed.sort();
    changed.dedup();
    first_error.map(|()| changed)
}

/// The same for one project.
fn name_in_project(
    UserOfStore { dir, models_dir }: &UserOfStore,
    (from, to): (&Path, &Path),
    user_names: Option<&PathBuf>,
    user_file: Option<&SettingsFile<'_>>,
    environment: &Environment<'_>,
    disk: &dyn Disk,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<PathBuf>> {
    let real = |path: &Path| disk.real_place(path).unwrap_or_else(|_| path.to_owned());
    let text = to.to_string_lossy().into_owned();
    let mut changed = Vec::new();
    let file = SettingsFile::find(Scope::Project, None, environment, dir, disk, warnings)?;
    let is_named = match file.read(warnings)?.layer.store {
        Some(named) => real(&named) == from,
        // A project without a store of its own uses that of the user's file, which names the new place by now if it named the old.
        None => {
            let is_said_by_user = user_names.is_some_and(|named| [from, to].contains(&real(named).as_path()));
            !is_said_by_user && real(&models_dir.join(STORE_DIR)) == from
        }
    };
    // Without a project, its models directory was named by other means.
    if !file.has_project() || !is_named {
        return Ok(changed);
    }
    if !file.is_within(to)
        && let Some(user_file) = user_file
    {
        let written = user_file.set(PLACES, std::slice::from_ref(&text))?;
        changed.extend(written.changed.then_some(written.path));
    }
    // Read anew, with what is allowed by now.
    let file = SettingsFile::find(Scope::Project, None, environment, dir, disk, warnings)?;
    let written =
        file.set(STORE, std::slice::from_ref(&text)).map_err(|error| error.hint(Hint::Otherwise(Action::grant(STORE).path(to))))?;
    changed.extend(written.changed.then_some(written.path));
    Ok(changed)
}
