//! Bounded reading of the folders of other applications.

use super::{AppFile, AppModel, Claim, Problem, Scan};
use crate::{
    disk::{Disk, Entry, Kind, Stat, absent_is_none},
    text,
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// So many names are looked at in one place.
const MOST_ENTRIES: usize = 200_000;
/// So many folders are entered below each other.
const MOST_DEPTH: usize = 8;
/// The longest manifest that is read, in bytes.
const LONGEST_TEXT: u64 = 4 << 20;
/// The most problems that are reported of one place.
const MOST_PROBLEMS: usize = 100;

/// Endings and beginnings of files that an application has not finished.
const UNFINISHED: [&str; 6] = [".incomplete", ".part", ".downloadinprogress", ".tmp", ".partial", ".download"];

/// Reads one place and gathers what is found.
pub(super) struct Reader<'d> {
    disk: &'d dyn Disk,
    scan: Scan,
    models: BTreeMap<String, Vec<AppFile>>,
    left: usize,
}

impl<'d> Reader<'d> {
    pub fn new(disk: &'d dyn Disk) -> Self {
        Self { disk, scan: Scan::default(), models: BTreeMap::new(), left: MOST_ENTRIES }
    }

    /// The names in a folder, in order; none where there is none. What cannot be read is a problem.
    pub fn list(&mut self, dir: &Path) -> Vec<Entry> {
        let mut entries = match self.disk.list_sorted(dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(dir, error.source.to_string());
                return Vec::new();
            }
        };
        if entries.len() > self.left {
            entries.truncate(self.left);
            self.problem(dir, format!("more than {MOST_ENTRIES} names are there; the rest is left out"));
        }
        self.left -= entries.len();
        entries
    }

    /// The folders in a folder.
    pub fn folders(&mut self, dir: &Path) -> Vec<String> {
        self.list(dir).into_iter().filter(|entry| entry.kind == Kind::Dir).map(|entry| entry.name).collect()
    }

    /// Every name below a folder that is no folder, with its path from there. Links to folders are not entered.
    pub fn walk(&mut self, dir: &Path) -> Vec<(String, PathBuf)> {
        let (mut found, mut folders) = (Vec::new(), vec![(String::new(), dir.to_owned(), 0)]);
        while let Some((below, folder, depth)) = folders.pop() {
            for entry in self.list(&folder) {
                let path = folder.join(&entry.name);
                let name = if below.is_empty() { entry.name } else { format!("{below}/{}", entry.name) };
                match entry.kind {
                    Kind::Dir if depth < MOST_DEPTH => folders.push((name, path, depth + 1)),
                    Kind::Dir => self.problem(&path, "it is too deep below the folder of the application".to_owned()),
                    _ => found.push((name, path)),
                }
            }
        }
        found.sort();
        found
    }

    /// The regular file that a path leads to, by whatever links, with its facts. A link to nothing and something else than a
    /// file are problems.
    pub fn file(&mut self, path: &Path) -> Option<(PathBuf, Stat)> {
        let resolve = || -> crate::disk::Result<(PathBuf, Stat)> {
            let stat = self.disk.stat(path)?;
            match stat.kind {
                Kind::Symlink => {
                    let real = self.disk.canonical(path)?;
                    let stat = self.disk.stat(&real)?;
                    Ok((real, stat))
                }
                _ => Ok((path.to_owned(), stat)),
            }
        };
        match resolve() {
            Ok((real, stat)) if stat.kind == Kind::File => Some((real, stat)),
            Ok(_) => {
                self.problem(path, "it is no file".to_owned());
                None
            }
            Err(error) if error.is_not_found() => {
                self.problem(path, "it is missing, or a link to nothing".to_owned());
                None
            }
            Err(error) => {
                self.problem(path, error.source.to_string());
                None
            }
        }
    }

    /// Whether something stands at a path.
    pub fn is_there(&self, path: &Path) -> bool {
        self.disk.stat_follow(path).is_ok()
    }

    /// What a link at a path holds; `None` where there is none.
    pub fn link(&self, path: &Path) -> Option<PathBuf> {
        absent_is_none(self.disk.read_link(path)).ok().flatten()
    }

    /// A small text; `None` where it is missing. One that cannot be read is a problem.
    pub fn text(&mut self, path: &Path) -> Option<String> {
        match self.disk.read_at_most(path, LONGEST_TEXT) {
            Ok(bytes) => bytes.and_then(|bytes| match String::from_utf8(bytes) {
                Ok(text) => Some(text),
                Err(_) => {
                    self.problem(path, "it is not Unicode text".to_owned());
                    None
                }
            }),
            Err(error) => {
                self.problem(path, error.source.to_string());
                None
            }
        }
    }

    /// A small JSON document; one that is something else is a problem.
    pub fn json<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        let text = self.text(path)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(path, format!("it cannot be read as JSON: {error}"));
                None
            }
        }
    }

    /// Adds a file of a model. One without a byte is none.
    pub fn add(&mut self, model: &str, (path, stat): (PathBuf, Stat), claim: Claim) {
        if stat.len == 0 {
            return self.problem(&path, "it is empty".to_owned());
        }
        let file = AppFile { path, size: stat.len, id: (stat.dev, stat.ino), claim };
        let files = self.models.entry(text::short(model, 200)).or_default();
        if !files.contains(&file) {
            files.push(file);
        }
    }

    pub fn problem(&mut self, path: &Path, why: String) {
        if self.scan.problems.len() < MOST_PROBLEMS {
            self.scan.problems.push(Problem { path: path.to_owned(), why });
        }
    }

    /// Counts a download that is not finished.
    pub fn unfinished(&mut self) {
        self.scan.unfinished += 1;
    }

    pub fn layout(&mut self, version: String) {
        self.scan.layout = Some(version);
    }

    pub fn end(self) -> Scan {
        let models = self.models.into_iter().map(|(name, files)| AppModel { name, files });
        Scan { models: models.collect(), ..self.scan }
    }
}

/// Whether a file of this name is one that its application has not finished, or a lock.
pub(super) fn is_unfinished(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    UNFINISHED.iter().any(|ending| name.ends_with(ending)) || name.starts_with("incomplete-") || name.contains("-partial")
}
