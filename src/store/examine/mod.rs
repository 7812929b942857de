//! Accounts for every file in a store: what is wrong, and which command repairs it.

mod leftovers;
mod modes;
mod roots;

use super::{
    BlobMeta, CheckMode, Partial, Progress, Result, ShutOut, Store, StoreError,
    layout::{Dir, Layout},
};
use crate::{
    digest::Sha256Digest,
    disk::{self, Entry, Kind, Stat},
    hint::{Action, Hint, Parameter, Verb},
    store::BlobState,
    text,
};
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Left over from an interrupted command; harmless.
    Leftover,
    /// It can be repaired from what is there.
    Repairable,
    /// Something is lost or wrong.
    Loss,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, serde::Serialize)]
#[non_exhaustive]
pub struct StoreFinding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong, for people.
    pub message: String,
    /// What repairs it.
    #[serde(skip)]
    pub repair: Vec<Hint>,
}

/// What was seen in a store.
#[derive(Debug)]
pub struct Examined {
    /// What is not as it should be, the worst first.
    pub list: Vec<StoreFinding>,
    /// How many blobs can be seen.
    pub blobs: usize,
}

impl Store {
    /// Looks at every file. `read_blobs` also reads every byte of every blob.
    /// What cannot be looked at is a finding and ends nothing.
    pub fn examine(&self, read_blobs: bool, progress: Progress<'_>) -> Result<Examined> {
        let root = self.disk().stat_follow(self.layout().root())?;
        let mut findings = Findings { store: self, root, strangers: BTreeMap::new(), shut: HashSet::new(), list: Vec::new() };
        findings.top()?;
        let blobs = findings.blobs(read_blobs, progress)?;
        findings.records(Dir::Meta, &blobs, read_blobs)?;
        findings.records(Dir::Segments, &blobs, read_blobs)?;
        findings.roots(&blobs)?;
        findings.leftovers()?;
        findings.owners();
        findings.list.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
        Ok(Examined { list: findings.list, blobs: blobs.len() })
    }
}

struct Findings<'a> {
    store: &'a Store,
    root: Stat,
    /// Entries of other users in a private store: how many per user, and one of them.
    strangers: BTreeMap<u32, (usize, PathBuf)>,
    /// Folders that cannot be listed. They are reported, and nothing below them is.
    shut: HashSet<PathBuf>,
    list: Vec<StoreFinding>,
}

const IN_THE_WAY: &str = "something that is no file is in the way";

impl Findings<'_> {
    fn add(&mut self, severity: Severity, path: impl Into<PathBuf>, what: impl Into<String>, repair: Hint) {
        self.list.push(StoreFinding { severity, path: path.into(), message: what.into(), repair: vec![repair] });
    }

    /// Turns an error for something that cannot be examined into a finding and `None`.
    fn reported<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        let error = match result {
            Err(StoreError::Disk(error)) => error,
            other => return other.map(Some),
        };
        if self.is_shut(&error.path) {
            return Ok(None);
        }
        let repair = match ShutOut::of(self.store.disk(), &error) {
            Some(shut_out) => Hint::SystemCommand(shut_out.command()),
            None if error.is_wrong_kind() => Hint::MoveElsewhere,
            None => Hint::MakeReadableOrMove,
        };
        let path = error.path.clone();
        self.add(Severity::Repairable, path, error.to_string(), repair);
        Ok(None)
    }

    /// Whether this folder, or one above it, was reported as unreadable.
    fn is_shut(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.shut.contains(path))
    }

    /// The entries of a folder; empty with a finding if it cannot be read.
    fn names(&mut self, dir: &Path) -> Result<Vec<Entry>> {
        let entries = disk::absent_is_none(self.store.disk().list(dir)).map_err(StoreError::from);
        let Some(entries) = self.reported(entries)? else {
            self.shut.insert(dir.to_owned());
            return Ok(Vec::new());
        };
        let mut entries = entries.unwrap_or_default();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn top(&mut self) -> Result<()> {
        let layout = self.store.layout();
        if let Some(asked) = self.store.marker().dir_mode.refused() {
            let used = self.store.marker().folder_mode();
            let what =
                format!("it asks for folders of the mode {asked:o}, which would open the store to strangers; {used:o} is used");
            self.add(Severity::Repairable, layout.marker(), what, Hint::Run(Action::new(Verb::Init)));
        }
        if cfg!(unix) && self.root.mode & 0o002 != 0 {
            let what = format!("its mode is {:o}: every user of this machine can change what is in it", self.root.mode);
            let repair = Hint::SystemCommand(format!("chmod o-w {}", text::shell_path(layout.root())));
            self.add(Severity::Repairable, layout.root(), what, repair);
        }
        let known = |name: &str| Layout::is_fixed_dir(name) || Layout::is_top_file(name);
        for entry in self.names(layout.root())? {
            if !known(&entry.name) {
                let path = layout.root().join(&entry.name);
                self.add(Severity::Leftover, path, "not part of a store; it is left alone", Hint::MoveElsewhere);
            }
        }
        for dir in Dir::ALL {
            self.folder(layout.dir(dir))?;
            self.names(&layout.dir(dir))?;
        }
        for dir in Dir::SHARDED {
            for first in 0..=255 {
                self.folder(layout.shard(dir, first))?;
            }
        }
        for project in self.projects()?.0 {
            self.folder(layout.project(&project))?;
        }
        for dir in Dir::WRITTEN_IN_PLACE {
            self.written_in_place(&layout.dir(dir))?;
        }
        for partial in self.partials()? {
            self.written_in_place(&partial.paths.dir)?;
            self.folder(partial.paths.dir)?;
        }
        Ok(())
    }

    fn partials(&mut self) -> Result<Vec<Partial>> {
        let partials = self.store.partials();
        Ok(self.reported(partials)?.unwrap_or_default())
    }

    fn blobs(&mut self, read: bool, progress: Progress<'_>) -> Result<HashSet<Sha256Digest>> {
        let mut blobs = HashSet::new();
        for first in 0..=255u8 {
            let dir = self.store.layout().shard(Dir::Blobs, first);
            for entry in self.names(&dir)? {
                let path = dir.join(&entry.name);
                match Layout::digest_in(Dir::Blobs, first, &entry.name) {
                    Some(digest) if entry.kind == Kind::File => {
                        let looked = self.blob(&digest, &path, read, progress);
                        self.reported(looked)?;
                        blobs.insert(digest);
                    }
                    _ => self.add(Severity::Leftover, path, "not a blob; it is left alone", Hint::MoveElsewhere),
                }
            }
        }
        Ok(blobs)
    }

    fn blob(&mut self, digest: &Sha256Digest, path: &Path, read: bool, progress: Progress<'_>) -> Result<()> {
        let Some(stat) = self.store.stat(digest)? else { return Ok(()) };
        if cfg!(unix) && !self.store.marker().is_shared() && stat.uid != self.root.uid {
            self.strangers.entry(stat.uid).or_insert((0, path.to_owned())).0 += 1;
        }
        let meta = self.store.meta(digest)?;
        // Its mode is also that of the other program's file.
        let is_from_app = meta.as_ref().is_some_and(BlobMeta::is_from_app);
        let keeps_mode = stat.nlink > 1 && is_from_app;
        if stat.mode & 0o222 != 0 && !keeps_mode {
            let command = if cfg!(windows) { "attrib +R" } else { "chmod 444" };
            let repair = match is_from_app {
                true => Hint::VerifyProtects,
                false => Hint::SystemCommand(format!("{command} {}", text::shell_path(path))),
            };
            self.add(Severity::Repairable, path, format!("it can be written (mode {:o})", stat.mode), repair);
        } else if cfg!(unix) && stat.mode & 0o444 != 0o444 && !keeps_mode {
            let repair = Hint::SystemCommand(format!("chmod 444 {}", text::shell_path(path)));
            self.add(Severity::Repairable, path, format!("not everybody can read it (mode {:o})", stat.mode), repair);
        }
        match meta {
            None if self.store.has_newer_meta(digest)? => {}
            None => self.add(
                Severity::Repairable,
                self.store.layout().meta(digest),
                "the record of a blob is missing or unreadable",
                Hint::RewriteRecord,
            ),
            Some(meta) if meta.size != stat.len => {
                let what = format!("it is {} bytes long and should be {}", stat.len, meta.size);
                let repair = self.repair_of(digest)?;
                self.add(Severity::Loss, path, what, repair);
                return Ok(());
            }
            Some(meta) => {
                if self.store.segment_values(digest, &meta)?.is_none() {
                    let what = "the values of a blob's segments are missing or do not fit its record";
                    self.add(Severity::Repairable, self.store.layout().segments(digest), what, Hint::RewriteRecord);
                }
            }
        }
        // If a mark can be written, it is reported with the other known damage.
        if read
            && !matches!(self.store.check(digest, CheckMode::Rehash, progress)?, BlobState::Ok { .. })
            && self.store.damage(digest)?.is_none()
        {
            let what = "its content is not what its name says";
            let repair = self.repair_of(digest)?;
            self.add(Severity::Loss, path, what, repair);
        }
        Ok(())
    }

    /// How a damaged blob is repaired: by a model that needs it, in the project of that.
    fn repair_of(&self, digest: &Sha256Digest) -> Result<Hint> {
        let users = self.store.users()?;
        let Some(users) = users.get(digest) else { return Ok(Hint::CollectUnneeded) };
        let Some((project, view)) = users.iter().find_map(|(project, owner)| Some((project, owner.view()?))) else {
            return Ok(Hint::ShowUsers(digest.to_string()));
        };
        let project = self.store.known_project(project).map(|record| record.location.path);
        let repair = Action::new(Verb::Verify).name(view.name()).with(Parameter::Repair);
        Ok(Hint::RepairInProject { repair, project })
    }

    fn records(&mut self, folder: Dir, blobs: &HashSet<Sha256Digest>, modes: bool) -> Result<()> {
        for first in 0..=255 {
            let dir = self.store.layout().shard(folder, first);
            for entry in self.names(&dir)? {
                match Layout::digest_in(folder, first, &entry.name) {
                    None if Layout::is_headers(folder, &entry.name) && entry.kind == Kind::File => {}
                    Some(_) if entry.kind != Kind::File => {
                        self.add(Severity::Repairable, dir.join(entry.name), IN_THE_WAY, Hint::MoveElsewhere);
                    }
                    Some(digest) if self.is_shut(&self.store.layout().blob(&digest)) => {}
                    Some(digest) if blobs.contains(&digest) => {
                        if modes {
                            self.record_mode(dir.join(&entry.name))?;
                        }
                    }
                    // If that is unknown, it may be in the trash.
                    Some(digest) if !matches!(self.store.disk().find(&self.store.layout().trash(&digest)), Ok(None)) => {}
                    Some(_) => self.add(
                        Severity::Leftover,
                        dir.join(entry.name),
                        "the record of a blob that is gone",
                        Hint::Run(Action::new(Verb::Gc)),
                    ),
                    None => {
                        self.add(Severity::Leftover, dir.join(entry.name), "not a record; it is left alone", Hint::MoveElsewhere)
                    }
                }
            }
        }
        Ok(())
    }
}
