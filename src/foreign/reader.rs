//! Bounded reading of the folders of other applications.

use super::{AppFile, AppModel, Claim, Problem, Scan, Watch};
use crate::{
    disk::{Disk, Entry, Kind, Open, Stat, absent_is_none},
    text,
    weights::{FileKind, Header, HeaderReader},
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// What one scan reads at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Names that are listed, and files that are looked at.
    pub entries: usize,
    /// Folders that are entered below each other.
    pub depth: usize,
    /// Bytes of manifests, in all.
    pub text: u64,
}

impl Limits {
    /// Of one place of an application.
    pub const PLACE: Self = Self { entries: 200_000, depth: 8, text: 256 << 20 };
    /// Of a disk full of files.
    pub const DISK: Self = Self { entries: 5_000_000, depth: 40, text: 256 << 20 };
}

/// The longest manifest that is read, in bytes.
const LONGEST_TEXT: u64 = 4 << 20;
/// The most problems that are reported of one place.
const MOST_PROBLEMS: usize = 100;

/// Endings and beginnings of files that an application has not finished.
const UNFINISHED: [&str; 7] = [".incomplete", ".part", ".downloadinprogress", ".tmp", ".partial", ".download", ".crdownload"];

/// Reads one place and gathers what is found.
pub(super) struct Reader<'d> {
    disk: &'d dyn Disk,
    watch: &'d Watch,
    limits: Limits,
    scan: Scan,
    models: BTreeMap<String, Vec<AppFile>>,
    /// Which file was added to which model, under which name.
    added: HashSet<(String, PathBuf, Option<String>)>,
    entries_left: usize,
    text_left: u64,
}

impl<'d> Reader<'d> {
    pub fn new(disk: &'d dyn Disk, watch: &'d Watch, limits: Limits) -> Self {
        Self {
            disk,
            watch,
            limits,
            scan: Scan::default(),
            models: BTreeMap::new(),
            added: HashSet::new(),
            entries_left: limits.entries,
            text_left: limits.text,
        }
    }

    /// Whether the scan is to end: nobody waits for it any more.
    pub fn is_stopped(&self) -> bool {
        !self.watch.beat()
    }

    /// Takes `count` of the entries that may still be looked at; `false` where there are not so many, which is reported once.
    fn take(&mut self, count: usize, at: &Path) -> bool {
        if self.entries_left >= count {
            self.entries_left -= count;
            return true;
        }
        if std::mem::take(&mut self.entries_left) > 0 {
            let most = self.limits.entries;
            self.problem(at, format!("more than {most} names are in the folder of the scan; the rest is left out"));
        }
        false
    }

    /// The names in a folder, in order; none where there is none. What cannot be read is a problem.
    pub fn list(&mut self, dir: &Path) -> Vec<Entry> {
        if self.is_stopped() {
            return Vec::new();
        }
        let mut entries = match self.disk.list_sorted(dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(dir, error.source.to_string());
                return Vec::new();
            }
        };
        let left = self.entries_left;
        if !self.take(entries.len(), dir) {
            entries.truncate(left);
        }
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
                    Kind::Dir if depth < self.limits.depth => folders.push((name, path, depth + 1)),
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
        if self.is_stopped() || !self.take(1, path) {
            return None;
        }
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
                self.problem(path, "it is not a regular file".to_owned());
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
        if self.is_stopped() {
            return None;
        }
        if self.text_left == 0 {
            let most = self.limits.text;
            self.problem(path, format!("it was not read: the descriptions before it have {most} bytes"));
            return None;
        }
        let read = self.disk.read_at_most(path, LONGEST_TEXT);
        self.text_left = self.text_left.saturating_sub(read.as_ref().map_or(0, |text| text.as_ref().map_or(0, Vec::len) as u64));
        match read {
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
        let model = text::short(model, 200);
        let name = file.claim.path.as_ref().map(ToString::to_string);
        if self.added.insert((model.clone(), file.path.clone(), name)) {
            self.models.entry(model).or_default().push(file);
        }
    }

    /// Facts about what stands at a path, whatever it is.
    pub fn stat(&self, path: &Path) -> Option<Stat> {
        self.disk.stat(path).ok()
    }

    /// The first bytes of a regular file, as many as there are, and its facts.
    pub fn head<const LEN: usize>(&self, path: &Path) -> crate::disk::Result<(Stat, Vec<u8>)> {
        let file = self.disk.open(path, Open::Read)?;
        file.keep_access_time();
        let (stat, mut head) = (file.stat()?, vec![0; LEN]);
        let got = if stat.kind == Kind::File { file.read_at(&mut head, 0)? } else { 0 };
        head.truncate(got);
        Ok((stat, head))
    }

    /// What the header of a file says that is of this kind by its content.
    ///
    /// # Errors
    /// Where it is damaged or cut.
    pub fn header(&self, path: &Path, kind: FileKind) -> Result<Header, String> {
        let name = format!("it.{}", kind.extensions().first().copied().unwrap_or_default());
        let read = || -> crate::disk::Result<Result<Header, String>> {
            let file = self.disk.open(path, Open::Read)?;
            file.keep_access_time();
            let mut reader = HeaderReader::new(&name, file.stat()?.len);
            loop {
                reader.fill(|buffer, at| file.read_at(buffer, at))?;
                if let Some(header) = reader.header() {
                    return Ok(header);
                }
            }
        };
        read().unwrap_or_else(|error| Err(error.source.to_string())).map_err(|why| why.trim_start_matches(&name).trim().to_owned())
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

    /// The end of a scan whose models have names of which several may be equal.
    pub fn end_with(self, models: Vec<AppModel>) -> Scan {
        Scan { models, ..self.scan }
    }
}

/// Whether a file of this name is one that its application has not finished, or a lock.
pub(super) fn is_unfinished(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    UNFINISHED.iter().any(|ending| name.ends_with(ending)) || name.starts_with("incomplete-") || name.contains("-partial")
}
