//! Changes settings files: the user's `config.yaml` and the project's `configs/manager.yaml`. Everything else in a file stays
//! as it is.

use super::{
    current_user::CurrentUser,
    edit::{lines_of, values_in, with_values, without_key, without_values},
    environment::Environment,
    file::{self, Whose},
    resolve::{Ground, survey},
    table::{ProjectMay, SETTINGS, Setting, User},
    user_file,
};
use crate::{
    bounds::{Unnamed, require_within},
    disk::{
        Disk, LockKind, absent_is_none,
        lock::{self, Wait},
    },
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::{Action, Hint},
    names::nearest,
    yaml::{self, edit::split_mark},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const USER_FOLDER_MODE: u32 = 0o700;
const USER_FILE_MODE: u32 = 0o600;
const PROJECT_FOLDER_MODE: u32 = 0o755;
const PROJECT_FILE_MODE: u32 = 0o644;
/// Another change of the same file takes no longer than it takes to write a page.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which settings file a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The user's.
    User,
    /// That of the project.
    Project,
    /// That of the project inside of one, else the user's.
    Nearest,
}

/// A settings file that may be changed.
pub struct SettingsFile<'a> {
    /// The file.
    pub path: PathBuf,
    disk: &'a dyn Disk,
    environment: &'a Environment<'a>,
    cwd: &'a Path,
    /// The project whose file it is; `None` for the user's.
    project: Option<Ground>,
}

/// What a change did.
#[derive(Debug)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// What the key says in it now.
    pub values: Vec<String>,
    /// Whether the file says anything else than before.
    pub changed: bool,
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Usage, message)
}

impl<'a> SettingsFile<'a> {
    /// The file of a scope. `config` is the registry that the user named.
    pub fn find(
        scope: Scope,
        config: Option<PathBuf>,
        environment: &'a Environment<'a>,
        cwd: &'a Path,
        disk: &'a dyn Disk,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let ground = match scope {
            Scope::User => None,
            Scope::Project | Scope::Nearest => Some(survey(config, environment, cwd, disk, warnings)?),
        };
        let project = ground.filter(|ground| scope == Scope::Project || ground.project.is_found);
        let path = match &project {
            Some(Ground { project, .. }) if !project.is_safe => {
                let message =
                    format!("the settings of {} are not used: the folder belongs to another user", project.root.display());
                return Err(wrong(message).hint(Hint::TrustProject { folder: project.root.clone() }));
            }
            Some(Ground { project, .. }) => project.settings_file(),
            None => user_file::place(environment)
                .ok_or_else(|| wrong("this user has no folder for settings".to_owned()).hint(Hint::SetHome))?,
        };
        Ok(Self { path, disk, environment, cwd, project })
    }

    /// A path as a person wrote it for this file, absolute.
    pub fn absolute(&self, path: &Path) -> Result<PathBuf> {
        absolute_text(self.cwd, self.environment, &path.to_string_lossy()).map(PathBuf::from)
    }

    /// Whether the file is there.
    pub fn is_there(&self) -> bool {
        self.disk.stat_follow(&self.path).is_ok()
    }

    /// Whose it is.
    pub fn whose(&self) -> Whose {
        if self.project.is_some() { Whose::Project } else { Whose::User }
    }

    /// Whether it is the file of a project that was found.
    pub fn has_project(&self) -> bool {
        self.project.as_ref().is_some_and(|ground| ground.project.is_found)
    }

    /// Whether a real path is in the project whose file it is.
    pub fn is_within(&self, path: &Path) -> bool {
        self.project.as_ref().is_some_and(|ground| path.starts_with(&ground.bounds.root))
    }

    /// What it says; paths are absolute.
    pub fn read(&self, warnings: &mut Vec<Warning>) -> Result<file::FileSettings> {
        let Some(Ground { project, .. }) = &self.project else { return user_file::read(self.disk, self.environment, warnings) };
        let mut said = file::read(self.disk, &self.path, Whose::Project)?;
        said.layer = said.layer.based_at(&project.root, self.environment)?;
        Ok(said)
    }

    /// Sets a key. What grants trust is added to what is granted already; any other value replaces the one before.
    pub fn set(&self, key: &str, values: &[String]) -> Result<Written> {
        let setting = known(key, self.whose())?;
        if !self.whose().may_set(setting) {
            let grant = values.iter().fold(Action::grant(key), |grant, value| grant.name(value));
            let message = format!("a project may not set `{key}`: whom to trust is its user's to say");
            return Err(wrong(message).hint(Hint::Run(grant)));
        }
        let is_list = setting.is_list;
        if values.is_empty() || (values.len() > 1 && !is_list) {
            let wanted = if is_list { "one value or more" } else { "one value" };
            return Err(wrong(format!("`{key}` takes {wanted}, not {}", values.len())));
        }
        let values = self.as_written(setting, values)?;
        // What is no value of this setting is refused before anything is made.
        file::parse(&lines_of(key, &values, is_list), "the value", self.whose())
            .map_err(|error| wrong(error.message().replace("the value:1:", "column ")).hint(Hint::CorrectValue))?;
        if let Some(Ground { project, bounds, .. }) = &self.project
            && setting.project == ProjectMay::WithinBounds
        {
            let paths: Vec<PathBuf> = values.iter().map(|value| project.root.join(self.environment.expand(value))).collect();
            let what = format!("`{key}` of the project:");
            let unnamed: Vec<Unnamed<'_>> = paths.iter().map(|path| Unnamed { what: &what, path, is_folder: true }).collect();
            require_within(self.disk, bounds, &unnamed)?;
        }
        let by_hand = |values: &[String]| {
            let line = lines_of(key, values, is_list).trim_end().replace('\n', " ");
            Hint::WriteLine { place: None, line }
        };
        self.change(setting, &by_hand, &|text| {
            let before = values_in(text, key).unwrap_or_default();
            let added: Vec<String> = values.iter().filter(|value| !before.contains(value)).cloned().collect();
            let (values, added) = match setting.user {
                User::Grants => (before.iter().chain(&added).cloned().collect(), added),
                _ => (values.clone(), Vec::new()),
            };
            let text = match values == before {
                true => Some(text.to_owned()),
                false => with_values(text, key, &values, &added, is_list),
            };
            Change { text, values }
        })
    }

    /// Takes a key out of the file; of a list, only these values, if there are any.
    pub fn unset(&self, key: &str, values: &[String]) -> Result<Written> {
        let setting = known(key, self.whose())?;
        if !values.is_empty() && !setting.is_list {
            return Err(wrong(format!("`{key}` has one value; name the key alone")));
        }
        let named = self.as_written(setting, values)?;
        let by_hand = |_: &[String]| Hint::RemoveSetting { key: key.to_owned() };
        self.change(setting, &by_hand, &|text| {
            let unchanged = |values| Change { text: Some(text.to_owned()), values };
            let Some(before) = values_in(text, key) else { return unchanged(Vec::new()) };
            if values.is_empty() {
                return Change { text: without_key(text, key), values: Vec::new() };
            }
            // A path may be written in another way than it was named.
            let full = |value: &String| self.as_written(setting, std::slice::from_ref(value)).unwrap_or_default();
            let is_named = |value: &String| values.contains(value) || full(value).iter().any(|value| named.contains(value));
            let (taken, rest): (Vec<String>, Vec<String>) = before.into_iter().partition(is_named);
            match (taken.is_empty(), rest.is_empty()) {
                (true, _) => unchanged(rest),
                (false, true) => Change { text: without_key(text, key), values: rest },
                (false, false) => Change { text: without_values(text, key, &taken, &rest), values: rest },
            }
        })
    }

    /// The values as the file has them. Paths of the user's file are absolute, those in the project start at its folder.
    fn as_written(&self, setting: &Setting, values: &[String]) -> Result<Vec<String>> {
        if !setting.is_path {
            return Ok(values.to_vec());
        }
        let written = |value: &String| {
            let whole = absolute_text(self.cwd, self.environment, value)?;
            let Some(Ground { project, bounds, .. }) = &self.project else { return Ok(whole) };
            let real = self.disk.real_place(Path::new(&whole))?;
            let below = real.strip_prefix(&bounds.root).or_else(|_| Path::new(&whole).strip_prefix(&project.root));
            // With `/` on every system: the file is for all who work on the project.
            let parts = |below: &Path| below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            Ok(match below.map(parts) {
                Ok(parts) if parts.is_empty() => ".".to_owned(),
                Ok(parts) => parts,
                Err(_) => whole,
            })
        };
        values.iter().map(written).collect()
    }

    fn change(&self, setting: &Setting, by_hand: ByHand<'_>, change: &dyn Fn(&str) -> Change) -> Result<Written> {
        let Self { path, disk, .. } = self;
        let file = disk.real_place(path)?;
        let is_user = self.project.is_none();
        if is_user {
            let owner = CurrentUser::of_process(self.environment);
            require_mine(*disk, &file, &owner)?;
            // Writing it would tighten its mode, and so adopt entries that another user may have planted.
            if let Some(why) = user_file::distrusted(*disk, path, &owner)? {
                let message = format!("{} was not changed: {why}; look through the file first", path.display());
                return Err(wrong(message).hint(Hint::ReviewSettings));
            }
        }
        let (preview, _) = self.preview(&file, setting, by_hand, change)?;
        // Not even a folder is made where nothing changes.
        if !preview.changed {
            return Ok(preview);
        }
        let folder = file.parent().unwrap_or(&file).to_owned();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        disk.create_dirs(&folder, if is_user { USER_FOLDER_MODE } else { PROJECT_FOLDER_MODE })?;
        let mode = if is_user { USER_FILE_MODE } else { lock::mode_in(*disk, &folder)? };
        let turn = folder.join(format!(".{name}.lock"));
        let what = path.display().to_string();
        let held = lock::acquire(*disk, &turn, LockKind::Exclusive, mode, &what, &Wait::silent(Some(PATIENCE)))?;
        let result = self.preview(&file, setting, by_hand, change).and_then(|(written, text)| {
            if written.changed {
                let mode = match absent_is_none(disk.stat(&file))? {
                    Some(stat) if !is_user => stat.mode & 0o7777,
                    _ if is_user => USER_FILE_MODE,
                    _ => PROJECT_FILE_MODE,
                };
                disk.replace_small(&file, text.as_bytes(), mode, &folder)?;
            }
            Ok(written)
        });
        // Under the lock: a waiting process sees that the file lost its name, and creates a new one.
        disk.remove_if_there(held.path())?;
        drop(held);
        result
    }

    /// What a change makes of the file, and its new text; writes nothing.
    fn preview(
        &self,
        file: &Path,
        setting: &Setting,
        by_hand: ByHand<'_>,
        change: &dyn Fn(&str) -> Change,
    ) -> Result<(Written, String)> {
        let origin = file.display().to_string();
        let old = file::read_text(self.disk, file)?.unwrap_or_default();
        // What cannot be read is not edited either.
        file::parse(&old, &origin, self.whose())?;
        let (mark, text) = split_mark(&old);
        let Change { text: new, values } = change(text);
        let Some(new) = new else {
            let message = format!("{origin} cannot be changed without touching more than `{}`", setting.key);
            return Err(wrong(message).hint(by_hand(&values)));
        };
        Ok((Written { path: self.path.clone(), changed: new != text, values }, format!("{mark}{new}")))
    }
}

/// What to do, for these values of the key, where a file cannot be changed without touching anything else.
type ByHand<'a> = &'a dyn Fn(&[String]) -> Hint;

/// What a change makes of a text.
struct Change {
    /// The new text; `None` where it cannot be had without touching anything else.
    text: Option<String>,
    /// What the key says then.
    values: Vec<String>,
}

/// The setting of a key that a file may have. Of an unknown one, the error names the nearest.
fn known(key: &str, whose: Whose) -> Result<&'static Setting> {
    Setting::of_key(key).ok_or_else(|| unknown(key, &|setting| whose.may_set(setting)))
}

/// The error for a key that there is not.
pub(super) fn unknown(key: &str, is_meant: &dyn Fn(&Setting) -> bool) -> Error {
    let keys = || SETTINGS.iter().filter(|setting| is_meant(setting)).map(|setting| setting.key);
    let hint = match nearest(key, keys()) {
        Some(near) => Hint::DidYouMean { names: vec![near.to_owned()], actions: Vec::new() },
        None => Hint::SettingsAre(keys().collect()),
    };
    wrong(format!("there is no setting `{}`", yaml::cut(key))).hint(hint)
}

fn absolute_text(cwd: &Path, environment: &Environment<'_>, value: &str) -> Result<String> {
    let unusable = |why: &str| Error::new(ErrorKind::Usage, format!("`{}` cannot be used: {why}", yaml::cut(value)));
    if value.trim().is_empty() {
        return Err(unusable("expected a path"));
    }
    let path = cwd.join(environment.expand(value));
    let path = std::path::absolute(&path).map_err(|error| unusable("it cannot be made an absolute path").caused_by(error))?;
    path.to_str().map(str::to_owned).ok_or_else(|| unusable("it is not Unicode text"))
}

/// Refuses to write a file that would not belong to this user: a file of root in another user's home locks its owner
/// out.
fn require_mine(disk: &dyn Disk, file: &Path, owner: &CurrentUser) -> Result<()> {
    for place in file.ancestors() {
        let Some(stat) = absent_is_none(disk.stat_follow(place))? else { continue };
        if !owner.is_me(stat.uid) {
            let message = format!("{} belongs to user {}, so the settings in it are theirs", place.display(), stat.uid);
            return Err(Error::new(ErrorKind::Usage, message).hint(Hint::UseOwnSettings));
        }
        return Ok(());
    }
    Ok(())
}
