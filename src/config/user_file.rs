//! The user's own settings: `config.yaml` in the user's configuration folder. It is the layer below the project's file, and
//! the only file that can grant trust.

use super::{
    current_user::CurrentUser,
    environment::Environment,
    file::{self, FileSettings, Whose},
    table::{Setting, User},
};
use crate::{
    disk::{
        Disk, LockKind, absent_is_none,
        lock::{self, Wait},
    },
    error::{Error, ErrorKind, Result},
    event::Warning,
    hint::Hint,
    names::nearest,
    text,
    yaml::{
        self, Node, Value,
        edit::{Edit, SourceText, double_quoted, entry_at, first_proven, sets_only},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

const NAME: &str = "config.yaml";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Another `config set` takes no longer than it takes to write a page.
const PATIENCE: Duration = Duration::from_secs(10);

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
fn distrusted(disk: &dyn Disk, path: &Path, owner: &CurrentUser) -> Result<Option<String>> {
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

/// What `set` did.
#[derive(Debug)]
pub struct WrittenSetting {
    /// The file.
    pub path: PathBuf,
    /// What the key says now.
    pub values: Vec<String>,
    /// Whether the file says anything else than before.
    pub changed: bool,
}

/// Writes a setting into the user's file. What grants trust is added to what is granted already; any other value replaces
/// the one before. Everything else in the file stays as it is.
pub fn set(disk: &dyn Disk, environment: &Environment<'_>, cwd: &Path, key: &str, values: &[String]) -> Result<WrittenSetting> {
    let wrong = |message: String| Error::new(ErrorKind::Usage, message);
    let Some(setting) = Setting::of_key(key).filter(|setting| setting.user != User::No) else {
        let keys = || Setting::of_files().map(|setting| setting.key);
        let hint = match nearest(key, keys()) {
            Some(near) => Hint::DidYouMean { names: vec![near.to_owned()], actions: Vec::new() },
            None => Hint::SettingsAre(keys().collect()),
        };
        return Err(wrong(format!("there is no setting `{}`", yaml::cut(key))).hint(hint));
    };
    let Setting { is_list, is_path, .. } = *setting;
    if values.is_empty() || (values.len() > 1 && !is_list) {
        let wanted = if is_list { "one value or more" } else { "one value" };
        return Err(wrong(format!("`{key}` takes {wanted}, not {}", values.len())));
    }
    let values: Vec<String> = values
        .iter()
        .map(|value| match is_path {
            true => absolute_text(cwd, environment, value),
            false => Ok(value.clone()),
        })
        .collect::<Result<_>>()?;
    let path = place(environment).ok_or_else(|| wrong("this user has no folder for settings".to_owned()).hint(Hint::SetHome))?;
    // What is no value of this setting is refused before anything is made.
    let alone = lines_of(key, &values, is_list);
    file::parse(&alone, "the value", Whose::User)
        .map_err(|error| wrong(error.message().replace("the value:1:", "column ")).hint(Hint::CorrectValue))?;
    let file = disk.real_place(&path)?;
    let owner = CurrentUser::of_process(environment);
    require_mine(disk, &file, &owner)?;
    // Writing it would tighten its mode, and so adopt entries that another user may have planted.
    if let Some(why) = distrusted(disk, &path, &owner)? {
        return Err(
            wrong(format!("{} was not changed: {why}; look through the file first", path.display())).hint(Hint::ReviewSettings)
        );
    }
    let folder = file.parent().unwrap_or(&file).to_owned();
    disk.create_dirs(&folder, FOLDER_MODE)?;
    let turn = folder.join(format!(".{NAME}.lock"));
    let held = lock::acquire(disk, &turn, LockKind::Exclusive, FILE_MODE, "the user's settings", &Wait::silent(Some(PATIENCE)))?;
    let result = write(disk, &file, &folder, setting, values);
    // Under the lock: a waiting process sees that the file lost its name, and creates a new one.
    disk.remove_if_there(held.path())?;
    drop(held);
    result.map(|(values, changed)| WrittenSetting { path, values, changed })
}

fn write(disk: &dyn Disk, file: &Path, folder: &Path, setting: &Setting, new: Vec<String>) -> Result<(Vec<String>, bool)> {
    let origin = file.display().to_string();
    let old = file::read_text(disk, file)?;
    let text = old.clone().unwrap_or_default();
    // What cannot be read is not edited either.
    file::parse(&text, &origin, Whose::User)?;
    let by_hand = |values: &[String], is_list| {
        Error::new(ErrorKind::Usage, format!("{origin} cannot be changed without touching more than `{}`", setting.key))
            .hint(Hint::WriteLine { place: None, line: lines_of(setting.key, values, is_list).trim_end().replace('\n', " ") })
    };
    let is_list = setting.is_list;
    let before = values_in(&text, setting.key);
    let added: Vec<String> = new.iter().filter(|value| !before.contains(value)).cloned().collect();
    let values = match setting.user {
        User::Grants => before.iter().chain(&added).cloned().collect(),
        _ => new,
    };
    if values == before {
        return Ok((values, false));
    }
    let added = if setting.user == User::Grants { &added[..] } else { &[] };
    let edited = edited(&text, setting.key, &values, added, is_list).ok_or_else(|| by_hand(&values, is_list))?;
    disk.replace_small(file, edited.as_bytes(), FILE_MODE, folder)?;
    Ok((values, true))
}

/// The text with these values, the rest of it unchanged; `None` where that cannot be had.
fn edited(text: &str, key: &str, values: &[String], added: &[String], is_list: bool) -> Option<String> {
    let old = yaml::read(text).ok()?;
    let entries = match &old {
        None | Some(Node { value: Value::Null, .. }) => &[][..],
        Some(Node { value: Value::Map(entries), .. }) => entries,
        Some(_) => return None,
    };
    let source = SourceText::new(text);
    let canonical = lines_of(key, values, is_list);
    let lines: Vec<&str> = canonical.lines().collect();
    let with = |change: &dyn Fn(&mut Edit<'_>)| {
        let mut edit = Edit::new(&source);
        change(&mut edit);
        edit.done()
    };
    let count = source.line_count();
    let mut candidates = Vec::new();
    match entries.iter().position(|entry| entry.key == key) {
        None => candidates.push(with(&|edit| edit.append(&lines))),
        Some(at) => {
            let first = entries[at].place.line - 1;
            let next = entries.get(at + 1).map_or(count, |entry| entry.place.line - 1);
            if let (Value::List(nodes), false) = (&entries[at].node.value, added.is_empty())
                && let Some(last) = nodes.last().map(|node| node.place.line - 1).filter(|line| *line > first)
            {
                let indent: String = source.line(last).chars().take_while(|c| *c == ' ').collect();
                let more: Vec<String> = added.iter().map(|value| format!("{indent}- {}", quoted(value))).collect();
                candidates.push(with(&|edit| edit.insert_behind(last, &more)));
            }
            let is_beside = |line: &usize| source.line(*line).trim().is_empty() || source.line(*line).trim_start().starts_with('#');
            let end = next - (first..next).rev().take_while(is_beside).count();
            // A comment behind the value stays there.
            if end == first + 1 {
                let line = source.line(first);
                candidates.extend(line.match_indices('#').map(|(at, _)| {
                    let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                    lines[0].push_str(&format!("  {}", &line[at..]));
                    with(&|edit| edit.replace_lines(first..end, &lines))
                }));
            }
            if !(first..end).any(|line| source.line(line).contains('#')) {
                candidates.push(with(&|edit| edit.replace_lines(first..end, &lines)));
            }
        }
    }
    let wanted = yaml::read(&canonical).ok()?;
    let value = &entry_at(wanted.as_ref(), &[key])?.node.value;
    let is_meant = |new: &str, root: Option<&Node>| sets_only(old.as_ref(), root, &[key], value) && comments(new) >= comments(text);
    first_proven(candidates, is_meant)
}

fn comments(text: &str) -> usize {
    yaml::lines(text).iter().filter(|line| line.contains('#')).count()
}

/// The values of a key, as they are written.
fn values_in(text: &str, key: &str) -> Vec<String> {
    fn words(node: &Node) -> Vec<String> {
        match &node.value {
            Value::Text(text) | Value::Bare(text) => vec![text.clone()],
            Value::List(nodes) => nodes.iter().flat_map(words).collect(),
            Value::Null | Value::Map(_) => Vec::new(),
        }
    }
    let root = yaml::read(text).ok().flatten();
    entry_at(root.as_ref(), &[key]).map(|entry| words(&entry.node)).unwrap_or_default()
}

/// A setting as this program writes it.
fn lines_of(key: &str, values: &[String], is_list: bool) -> String {
    match (is_list, values) {
        (false, [value]) => format!("{key}: {}\n", quoted(value)),
        _ => format!("{key}:\n{}", values.iter().map(|value| format!("  - {}\n", quoted(value))).collect::<String>()),
    }
}

/// A value as YAML; numbers and booleans stand for themselves.
fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric());
    if is_plain { value.to_owned() } else { double_quoted(value) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_is_written_beside_everything_else() {
        let grant = |text: &str| edited(text, "allowed_places", &texts(&["/a", "/b c"]), &texts(&["/b c"]), true);
        let own = "allowed_places:\n  - \"/a\"\n  - \"/b c\"\n";
        for (text, expected) in [
            ("", Some(own.to_owned())),
            ("# mine\ntries: 3 # few", Some(format!("# mine\ntries: 3 # few\n{own}"))),
            (
                "allowed_places:  # places\n    - /a  # one\n\n# other\ntries: 3\n",
                Some("allowed_places:  # places\n    - /a  # one\n    - \"/b c\"\n\n# other\ntries: 3\n".into()),
            ),
            ("allowed_places: [/a]\ntries: 3\n", Some(format!("{own}tries: 3\n"))),
            ("allowed_places: /a # one\n", Some("allowed_places:  # one\n  - \"/a\"\n  - \"/b c\"\n".into())),
            ("allowed_places: [\n  /a, # one\n]\n", None),
            ("{tries: 3}", None),
        ] {
            assert_eq!(grant(text), expected, "{text}");
        }
        for end in ["\r", "\r\n", "\u{85}", "\u{2028}"] {
            let text = ["link: copy", "# few", "tries: 3", "offline: true"].map(|line| format!("{line}{end}")).concat();
            // Only the line breaks that every editor knows are written.
            let written = if end.contains('\r') { end } else { "\n" };
            let changed = text.replace(&format!("tries: 3{end}"), &format!("tries: 9{written}"));
            assert_eq!(edited(&text, "tries", &texts(&["9"]), &[], false), Some(changed), "{text:?}");
            let listed = ["allowed_places:", "  - /a", "tries: 3"].map(|line| format!("{line}{end}")).concat();
            let changed = listed.replace(&format!("- /a{end}"), &format!("- /a{end}  - \"/b c\"{written}"));
            assert_eq!(grant(&listed), Some(changed), "{listed:?}");
        }
        let replaced = |text: &str| edited(text, "tries", &texts(&["9"]), &[], false);
        assert_eq!(replaced("tries: 3 # few\nlink: copy\n").as_deref(), Some("tries: 9  # few\nlink: copy\n"));
        assert_eq!(replaced("link: copy\ntries: 3\n").as_deref(), Some("link: copy\ntries: 9\n"));
    }
}
