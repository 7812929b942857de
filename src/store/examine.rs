//! Accounts for every file in a store: what is wrong, and which command repairs it.

use super::{
    CheckMode, Partial, Progress, Result, RootOwner, ShutOut, Store, StoreError,
    layout::{FIXED_DIRS, IntakeKey, Layout, MORE_FIXED_DIRS, SHARDED_DIRS},
    roots,
};
use crate::{
    digest::{SEGMENT_LEN, Sha256Digest, segment_count},
    disk::{self, Entry, Kind, Stat},
    hint::{Action, Hint, Parameter, Verb},
    store::BlobState,
    text,
};
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};
use uuid::Uuid;

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
pub struct Finding {
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
    pub list: Vec<Finding>,
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
        findings.records("meta", ".json", &blobs, read_blobs)?;
        findings.records("segments", "", &blobs, read_blobs)?;
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
    list: Vec<Finding>,
}

const IN_THE_WAY: &str = "something that is no file is in the way";

impl Findings<'_> {
    fn add(&mut self, severity: Severity, path: impl Into<PathBuf>, what: impl Into<String>, repair: Hint) {
        self.list.push(Finding { severity, path: path.into(), message: what.into(), repair: vec![repair] });
    }

    /// Turns an error for something that cannot be examined into a finding and `None`.
    fn told<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
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
        let Some(entries) = self.told(entries)? else {
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
        let known = |name: &str| Layout::is_fixed_dir(name) || matches!(name, "STORE.json" | "CACHEDIR.TAG");
        for entry in self.names(layout.root())? {
            if !known(&entry.name) {
                let path = layout.root().join(&entry.name);
                self.add(Severity::Leftover, path, "not part of a store; it is left alone", Hint::MoveElsewhere);
            }
        }
        for name in FIXED_DIRS.iter().chain(&MORE_FIXED_DIRS) {
            self.folder(layout.dir(name))?;
            self.names(&layout.dir(name))?;
        }
        for name in SHARDED_DIRS {
            for shard in 0..=255 {
                self.folder(layout.dir(name).join(format!("{shard:02x}")))?;
            }
        }
        for project in self.projects()?.0 {
            self.folder(layout.project(&project))?;
        }
        for dir in ["lock", "lock/b", "leases"] {
            self.written_in_place(&layout.dir(dir))?;
        }
        for partial in self.partials()? {
            self.written_in_place(&partial.path)?;
            self.folder(partial.path)?;
        }
        Ok(())
    }

    fn partials(&mut self) -> Result<Vec<Partial>> {
        let partials = self.store.partials();
        Ok(self.told(partials)?.unwrap_or_default())
    }

    /// A folder that is to be there and to let in whom the store lets in.
    fn folder(&mut self, dir: PathBuf) -> Result<()> {
        let mode = self.store.marker().folder_mode();
        let found = self.store.disk().find(&dir).map_err(StoreError::from);
        match self.told(found)? {
            None => drop(self.shut.insert(dir)),
            Some(None) if self.is_shut(&dir) => {}
            Some(None) => self.add(Severity::Repairable, dir, "the folder is missing", Hint::Run(Action::new(Verb::Init))),
            Some(Some(stat)) if stat.kind != Kind::Dir => {
                let (what, repair) = match stat.kind {
                    Kind::Symlink => ("a symbolic link is in the place of a folder, and none is followed", Hint::ReplaceLink),
                    _ => ("something that is no folder is in the way", Hint::RestoreFolder),
                };
                self.shut.insert(dir.clone());
                self.add(Severity::Repairable, dir, what, repair);
            }
            Some(Some(stat)) => self.mode(dir, &stat, mode),
        }
        Ok(())
    }

    /// Records in a folder that are not replaced by renaming: everybody who uses the store opens them for writing.
    fn written_in_place(&mut self, dir: &Path) -> Result<()> {
        let is_partial = dir.parent() == Some(&self.store.layout().dir("ingest"));
        for entry in self.names(dir)? {
            let path = dir.join(&entry.name);
            let is_ours = self.store.layout().is_record(&path) || (is_partial && entry.name == "data");
            if entry.kind == Kind::File {
                self.record_mode(path)?;
            } else if self.store.layout().is_lock(&path) {
                let (what, repair) =
                    ("it is no lock file, and what needs this lock fails until then", self.way_out(&path, entry.kind));
                self.add(Severity::Repairable, path, what, repair);
            } else if is_ours || entry.name.starts_with(".tmp-") {
                self.add(Severity::Repairable, path, IN_THE_WAY, Hint::MoveElsewhere);
            }
        }
        Ok(())
    }

    /// The command that removes something in place of a lock file. A folder may have content.
    fn way_out(&self, path: &Path, kind: Kind) -> Hint {
        match kind {
            Kind::Symlink | Kind::Other if cfg!(unix) => Hint::SystemCommand(format!("rm {}", text::shell_path(path))),
            _ => Hint::MoveElsewhere,
        }
    }

    fn record_mode(&mut self, path: PathBuf) -> Result<()> {
        let found = self.store.disk().find(&path).map_err(StoreError::from);
        let Some(Some(stat)) = self.told(found)? else { return Ok(()) };
        let marker = self.store.marker();
        match self.store.layout().is_lock(&path) {
            true if stat.nlink > 1 => {
                let what = "it has further names, and would be written under all of them, so it is not used";
                self.add(Severity::Repairable, path, what, Hint::MoveElsewhere);
            }
            true => self.mode(path, &stat, marker.lock_mode()),
            false if self.store.layout().is_record(&path) => self.mode(path, &stat, marker.file_mode()),
            false => {}
        }
        Ok(())
    }

    fn mode(&mut self, path: PathBuf, stat: &Stat, wanted: u32) {
        if !cfg!(unix) {
            return;
        }
        let (is_shared, is_lock) = (self.store.marker().is_shared(), self.store.layout().is_lock(&path));
        if !is_shared && stat.uid != self.root.uid {
            self.strangers.entry(stat.uid).or_insert((0, path.clone())).0 += 1;
        }
        let repair = match is_shared {
            true => Hint::ShareAsOwner,
            false => Hint::SystemCommand(format!("chmod {wanted:o} {}", text::shell_path(&path))),
        };
        let is_too_open = stat.mode & !wanted & if is_lock { 0o077 } else { 0o022 } != 0;
        if stat.mode & wanted != wanted {
            let what = format!("its mode is {:o} and should be {wanted:o}: it shuts other users of the store out", stat.mode);
            self.add(Severity::Repairable, path, what, repair);
        } else if is_shared && stat.gid != self.root.gid {
            let (is, should) = (disk::group_name(stat.gid), disk::group_name(self.root.gid));
            let what = format!("it belongs to the group {is} and not to {should}, whose members it shuts out");
            self.add(Severity::Repairable, path, what, repair);
        } else if is_too_open {
            let (is, who) = (stat.mode, if is_lock { "can hold it and make everybody wait" } else { "can change what is in it" });
            let what = format!("its mode is {is:o} and should be {wanted:o}: who does not belong to the store {who}");
            self.add(Severity::Repairable, path, what, repair);
        }
    }

    /// Reports entries of a private store that its user cannot use because they belong to another user.
    fn owners(&mut self) {
        for (uid, (count, path)) in std::mem::take(&mut self.strangers) {
            let root = self.store.layout().root();
            let shut_out = ShutOut::in_store(root, &self.root, uid, false);
            let (by, owner) = (disk::user_name(uid), disk::user_name(self.root.uid));
            let what = format!("{count} of its files and folders belong to {by} and not to {owner}, such as {}", path.display());
            self.add(Severity::Repairable, root, what, Hint::SystemCommand(shut_out.command()));
        }
    }

    fn blobs(&mut self, read: bool, progress: Progress<'_>) -> Result<HashSet<Sha256Digest>> {
        let mut blobs = HashSet::new();
        for shard in 0..=255u8 {
            let dir = self.store.layout().dir("sha256").join(format!("{shard:02x}"));
            for entry in self.names(&dir)? {
                let path = dir.join(&entry.name);
                match entry.name.parse::<Sha256Digest>() {
                    Ok(digest) if entry.kind == Kind::File && digest.as_bytes()[0] == shard && digest.to_string() == entry.name => {
                        let looked = self.blob(&digest, &path, read, progress);
                        self.told(looked)?;
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
        if stat.mode & 0o222 != 0 {
            let command = if cfg!(windows) { "attrib +R" } else { "chmod 444" };
            let repair = Hint::SystemCommand(format!("{command} {}", text::shell_path(path)));
            self.add(Severity::Repairable, path, format!("it can be written (mode {:o})", stat.mode), repair);
        } else if cfg!(unix) && stat.mode & 0o444 != 0o444 {
            let repair = Hint::SystemCommand(format!("chmod 444 {}", text::shell_path(path)));
            self.add(Severity::Repairable, path, format!("not everybody can read it (mode {:o})", stat.mode), repair);
        }
        match self.store.meta(digest)? {
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

    fn records(&mut self, dir: &str, extension: &str, blobs: &HashSet<Sha256Digest>, modes: bool) -> Result<()> {
        for shard in 0..=255 {
            let dir = self.store.layout().dir(dir).join(format!("{shard:02x}"));
            for entry in self.names(&dir)? {
                let digest = entry.name.strip_suffix(extension).and_then(|name| name.parse::<Sha256Digest>().ok());
                match digest {
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

    fn roots(&mut self, blobs: &HashSet<Sha256Digest>) -> Result<()> {
        let dir = self.store.layout().dir("roots");
        let (projects, foreign) = self.projects()?;
        for path in foreign {
            let what = "not the folder of a project; it may protect something, so nothing is collected while it is here";
            if self.shut.contains(&path) {
                continue;
            }
            let is_link = matches!(self.store.disk().find(&path), Ok(Some(stat)) if stat.kind == Kind::Symlink);
            self.add(Severity::Repairable, path, what, if is_link { Hint::ReplaceLink } else { Hint::MoveElsewhere });
        }
        for project in projects {
            let dir = dir.join(project.to_string());
            match self.store.project_record(&project) {
                Ok(Some(_)) => {}
                Err(_) if self.is_shut(&dir) => {}
                Ok(None) => self.add(
                    Severity::Repairable,
                    dir.clone(),
                    "a project without a record",
                    Hint::RegisterOrForget { project: project.to_string() },
                ),
                Err(error) => {
                    let path = dir.join("project.json");
                    let repair = Hint::RestoreOrForget { path: path.clone(), project: project.to_string() };
                    self.add(Severity::Repairable, path, error.to_string(), repair);
                }
            }
            for entry in self.names(&dir)?.into_iter().filter(|entry| roots::is_root_name(&entry.name)) {
                let path = dir.join(&entry.name);
                self.record_mode(path.clone())?;
                match self.store.read_root(&path) {
                    Ok(Some(root)) => {
                        for file in root.files.iter().filter(|file| !blobs.contains(&file.sha256)) {
                            // Where blobs cannot be seen, none is known to be gone.
                            if self.is_shut(&self.store.layout().blob(&file.sha256)) {
                                continue;
                            }
                            let what = format!("{} needs the blob {}, which is gone", root.owner, file.sha256);
                            let repair = match root.owner.view() {
                                Some(view) => Hint::DownloadInProject(Action::new(Verb::Download).name(view.name())),
                                None => Hint::DownloadModel,
                            };
                            self.add(Severity::Loss, path.clone(), what, repair);
                        }
                        if let RootOwner::Unknown(_) = root.owner {
                            let what = format!("{} keeps {} of the blobs", root.owner, root.files.len());
                            self.add(Severity::Leftover, path, what, Hint::LeaveToVersion);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => self.unreadable(error, path),
                }
            }
        }
        Ok(())
    }

    fn projects(&mut self) -> Result<(Vec<Uuid>, Vec<PathBuf>)> {
        match self.store.names_in_roots() {
            // A missing folder is reported with the other folders.
            Err(StoreError::Disk(error)) if error.is_not_found() => Ok(Default::default()),
            other => Ok(self.told(other)?.unwrap_or_default()),
        }
    }

    fn unreadable(&mut self, error: StoreError, path: PathBuf) {
        self.add(Severity::Loss, path, error.to_string(), Hint::RestoreRoot);
    }

    fn leftovers(&mut self) -> Result<()> {
        let layout = self.store.layout();
        for entry in self.names(&layout.dir("tmp"))?.into_iter().filter(|entry| entry.kind != Kind::File) {
            self.add(Severity::Leftover, layout.dir("tmp").join(entry.name), IN_THE_WAY, Hint::MoveElsewhere);
        }
        for partial in self.partials()? {
            let Some(claim) = &partial.claim else {
                self.add(
                    Severity::Leftover,
                    partial.path,
                    "a partial download without a readable claim",
                    Hint::Run(Action::new(Verb::Gc)),
                );
                continue;
            };
            let journal = self.store.disk().find(&partial.path.join("journal")).map_err(StoreError::from);
            let journal = self.told(journal)?.flatten().map_or(0, |stat| stat.len);
            let room = 64 * (2 + 4 * segment_count(claim.size)) + SEGMENT_LEN;
            if journal > room {
                self.add(
                    Severity::Leftover,
                    partial.path,
                    "its journal is longer than it can have become",
                    Hint::Run(Action::new(Verb::Gc)),
                );
            }
        }
        for entry in self.names(&layout.dir("ingest"))? {
            if entry.name.parse::<IntakeKey>().is_err() {
                self.add(
                    Severity::Leftover,
                    layout.dir("ingest").join(entry.name),
                    "not a partial download; it is left alone",
                    Hint::MoveElsewhere,
                );
            }
        }
        for entry in self.names(&layout.dir("trash"))? {
            self.add(
                Severity::Leftover,
                layout.dir("trash").join(entry.name),
                "condemned by a collection that did not end",
                Hint::Run(Action::new(Verb::Gc)),
            );
        }
        for entry in self.names(&layout.dir("bad"))? {
            // Damage is reported with the blobs; here only marks without a blob are.
            match Layout::digest_of_damage(&entry.name).filter(|_| entry.kind == Kind::File) {
                Some(digest) if matches!(self.store.stat(&digest), Ok(None)) => {
                    let what = "tells of damage of a blob that is gone";
                    self.add(Severity::Leftover, layout.dir("bad").join(entry.name), what, Hint::Run(Action::new(Verb::Gc)));
                    continue;
                }
                Some(_) => continue,
                None => {}
            }
            self.add(
                Severity::Leftover,
                layout.dir("bad").join(entry.name),
                "damaged content that was put aside",
                Hint::RemoveWhenUnused,
            );
        }
        Ok(())
    }
}
