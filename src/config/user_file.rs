//! The user's own settings: `config.yaml` in the user's configuration folder. It is the layer below the project's file, and
//! the only file that can grant trust.

use super::{
    current_user::CurrentUser,
    environment::Environment,
    file::{self, FileSettings, Whose},
};
use crate::{
    disk::{Disk, absent_is_none},
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::Hint,
    text, yaml,
};
use std::{
    io,
    path::{Path, PathBuf},
};

const NAME: &str = "config.yaml";

/// Where the file is, or would be; `None` where the user has no home.
pub fn place(environment: &Environment<'_>) -> Option<PathBuf> {
    environment.settings_folder().map(|folder| folder.join(NAME))
}

/// Reads the file. One that another user may have written is ignored: it would decide whom this user trusts.
pub fn read(disk: &dyn Disk, environment: &Environment<'_>, warnings: &mut Vec<Warning>) -> Result<FileSettings> {
    let Some(path) = place(environment) else { return Ok(FileSettings::default()) };
    match disk.stat_follow(&path) {
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(FileSettings::default()),
        // For example after `su` or `sudo` that keeps the first user's `HOME`.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            warnings.push(format!("{} is not used: {error}", path.display()).into());
            return Ok(FileSettings::default());
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(why) = distrusted(disk, &path, &CurrentUser::of_process(environment))? {
        warnings.push(format!("{} is not used: {why}", path.display()).into());
        return Ok(FileSettings::default());
    }
    let mut parsed = file::read(disk, &path, Whose::User)?;
    let FileSettings { layer, grants, .. } = &mut parsed;
    for named in layer.paths_mut().into_iter().chain(grants.paths_mut()) {
        *named = environment.expand(std::mem::take(named));
        if !named.is_absolute() {
            let message = format!("{}: `{}` is no absolute path", path.display(), yaml::cut(&named.to_string_lossy()));
            return Err(Error::new(ErrorKind::Usage, message).hint(Hint::WriteFullPath));
        }
    }
    Ok(parsed)
}

/// Resolves granted places. One that cannot be resolved grants nothing and causes a warning, not an error.
pub fn real_places(
    disk: &dyn Disk,
    environment: &Environment<'_>,
    key: &str,
    places: &[PathBuf],
    warnings: &mut Vec<Warning>,
) -> Vec<PathBuf> {
    let file = place(environment).unwrap_or_default();
    let mut real = Vec::new();
    for place in places {
        match disk.real_place(place) {
            Ok(place) => real.push(place),
            Err(error) => {
                let place = yaml::cut(&place.to_string_lossy());
                warnings.push(format!("{}: {key}: `{place}` grants nothing: {}", file.display(), error.source).into());
            }
        }
    }
    real
}

/// Why a file is not taken for this user's word, with what to do.
pub(super) fn distrusted(disk: &dyn Disk, path: &Path, owner: &CurrentUser) -> Result<Option<String>> {
    let real = disk.real_place(path)?;
    for place in [Some(&*real), real.parent()].into_iter().flatten() {
        let Some(stat) = absent_is_none(disk.stat_follow(place))? else { continue };
        if !owner.trusts(&stat) {
            return Ok(Some(format!(
                "{} belongs to user {} and has mode {:o}, so that somebody else may have written it; make it yours with \
                 `chown {} {word}` and `chmod go-w {word}`",
                place.display(),
                stat.uid,
                stat.mode & 0o7777,
                owner.number(),
                word = text::shell_path(place),
            )));
        }
    }
    Ok(None)
}
