//! Accounts for every file in a store: what is wrong, and which command mends it.

use super::{
    CheckMode, Progress, Result, Store, StoreError,
    layout::{FIXED_DIRS, IntakeKey, Layout, MORE_FIXED_DIRS, SHARDED_DIRS},
    roots,
};
use crate::{
    digest::{SEGMENT_LEN, Sha256Digest, segment_count},
    disk::{self, Kind, Stat},
    store::BlobState,
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Left over from an interrupted command; harmless.
    Leftover,
    /// It can be mended from what is there.
    Repairable,
    /// Something is lost or wrong.
    Loss,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong, for people.
    pub what: String,
    /// The command that mends it.
    pub mend: String,
}

impl Store {
    /// Looks at every file. `read_blobs` also reads every byte of every blob.
    pub fn examine(&self, read_blobs: bool, progress: Progress<'_>) -> Result<Vec<Finding>> {
        let mut findings = Findings { store: self, list: Vec::new() };
        findings.top()?;
        let blobs = findings.blobs(read_blobs, progress)?;
        findings.records("meta", ".json", &blobs, read_blobs)?;
        findings.records("segments", "", &blobs, read_blobs)?;
        findings.roots(&blobs)?;
        findings.leftovers()?;
        findings.list.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
        Ok(findings.list)
    }
}

struct Findings<'a> {
    store: &'a Store,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, path: impl Into<PathBuf>, what: impl Into<String>, mend: impl Into<String>) {
        self.list.push(Finding { severity, path: path.into(), what: what.into(), mend: mend.into() });
    }

    fn top(&mut self) -> Result<()> {
        let layout = self.store.layout();
        let known = |name: &str| Layout::is_fixed_dir(name) || matches!(name, "STORE.json" | "CACHEDIR.TAG");
        for entry in self.store.disk().list_sorted(layout.root())? {
            if !known(&entry.name) {
                let path = layout.root().join(&entry.name);
                self.add(Severity::Leftover, path, "not part of a store; it is left alone", "move it elsewhere");
            }
        }
        for name in FIXED_DIRS.iter().chain(&MORE_FIXED_DIRS) {
            self.folder(layout.dir(name))?;
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
        for partial in self.store.partials()? {
            self.written_in_place(&partial.path)?;
            self.folder(partial.path)?;
        }
        Ok(())
    }

    /// A folder that is to be there and to let in whom the store lets in.
    fn folder(&mut self, dir: PathBuf) -> Result<()> {
        let mode = self.store.marker().dir_mode;
        match self.store.disk().find(&dir)? {
            None => self.add(Severity::Repairable, dir, "the folder is missing", "run `model-manager init`"),
            Some(stat) => self.mode(dir, &stat, mode)?,
        }
        Ok(())
    }

    /// Records in a folder that are not replaced by renaming: everybody who uses the store opens them for writing.
    fn written_in_place(&mut self, dir: &Path) -> Result<()> {
        for entry in self.store.disk().list_sorted(dir)? {
            let path = dir.join(&entry.name);
            if entry.kind == Kind::File {
                self.record_mode(path)?;
            } else if self.store.layout().is_record(&path) {
                self.add(Severity::Repairable, path, "something that is no file is in the way", "move it elsewhere");
            }
        }
        Ok(())
    }

    fn record_mode(&mut self, path: PathBuf) -> Result<()> {
        match self.store.disk().find(&path)? {
            Some(stat) if self.store.layout().is_record(&path) => self.mode(path, &stat, self.store.marker().file_mode()),
            _ => Ok(()),
        }
    }

    fn mode(&mut self, path: PathBuf, stat: &Stat, wanted: u32) -> Result<()> {
        if !cfg!(unix) {
            return Ok(());
        }
        let is_shared = self.store.marker().is_shared();
        let mend = match is_shared {
            true => "run `model-manager init --shared` as its owner or as root".to_owned(),
            false => format!("chmod {wanted:o} {}", path.display()),
        };
        let group = self.store.disk().stat_follow(self.store.layout().root())?.gid;
        if stat.mode & wanted != wanted {
            let what = format!("its mode is {:o} and should be {wanted:o}: it shuts other users of the store out", stat.mode);
            self.add(Severity::Repairable, path, what, mend);
        } else if is_shared && stat.gid != group {
            let (is, should) = (disk::group_name(stat.gid), disk::group_name(group));
            let what = format!("it belongs to the group {is} and not to {should}, whose members it shuts out");
            self.add(Severity::Repairable, path, what, mend);
        }
        Ok(())
    }

    fn blobs(&mut self, read: bool, progress: Progress<'_>) -> Result<HashSet<Sha256Digest>> {
        let mut blobs = HashSet::new();
        for shard in 0..=255u8 {
            let dir = self.store.layout().dir("sha256").join(format!("{shard:02x}"));
            for entry in disk::absent_is_none(self.store.disk().list(&dir))?.unwrap_or_default() {
                let path = dir.join(&entry.name);
                match entry.name.parse::<Sha256Digest>() {
                    Ok(digest) if entry.kind == Kind::File && digest.as_bytes()[0] == shard && digest.to_string() == entry.name => {
                        self.blob(&digest, &path, read, progress)?;
                        blobs.insert(digest);
                    }
                    _ => self.add(Severity::Leftover, path, "not a blob; it is left alone", "move it elsewhere"),
                }
            }
        }
        Ok(blobs)
    }

    fn blob(&mut self, digest: &Sha256Digest, path: &Path, read: bool, progress: Progress<'_>) -> Result<()> {
        let Some(stat) = self.store.stat(digest)? else { return Ok(()) };
        if stat.mode & 0o222 != 0 {
            let mend = format!("{} {}", if cfg!(windows) { "attrib +R" } else { "chmod 444" }, path.display());
            self.add(Severity::Repairable, path, format!("it can be written (mode {:o})", stat.mode), mend);
        } else if cfg!(unix) && stat.mode & 0o444 != 0o444 {
            let mend = format!("chmod 444 {}", path.display());
            self.add(Severity::Repairable, path, format!("not everybody can read it (mode {:o})", stat.mode), mend);
        }
        let again = "run `model-manager verify`, which writes it anew";
        match self.store.meta(digest)? {
            None if self.store.has_newer_meta(digest)? => {}
            None => self.add(
                Severity::Repairable,
                self.store.layout().meta(digest),
                "the record of a blob is missing or unreadable",
                again,
            ),
            Some(meta) if meta.size != stat.len => {
                let what = format!("it is {} bytes long and should be {}", stat.len, meta.size);
                self.add(Severity::Loss, path, what, "run `model-manager download --force` for the model");
                return Ok(());
            }
            Some(meta) => {
                if self.store.segment_values(digest, &meta)?.is_none() {
                    let what = "the values of a blob's segments are missing or do not fit its record";
                    self.add(Severity::Repairable, self.store.layout().segments(digest), what, again);
                }
            }
        }
        if read && !matches!(self.store.check(digest, CheckMode::Rehash, progress)?, BlobState::Ok { .. }) {
            let what = "its content is not what its name says";
            self.add(Severity::Loss, path, what, "run `model-manager verify` to see the models, and `download --force` for each");
        }
        Ok(())
    }

    fn records(&mut self, dir: &str, extension: &str, blobs: &HashSet<Sha256Digest>, modes: bool) -> Result<()> {
        for shard in 0..=255 {
            let dir = self.store.layout().dir(dir).join(format!("{shard:02x}"));
            for entry in disk::absent_is_none(self.store.disk().list(&dir))?.unwrap_or_default() {
                let digest = entry.name.strip_suffix(extension).and_then(|name| name.parse::<Sha256Digest>().ok());
                match digest {
                    Some(digest) if blobs.contains(&digest) => {
                        if modes {
                            self.record_mode(dir.join(&entry.name))?;
                        }
                    }
                    Some(digest) if self.store.disk().find(&self.store.layout().trash(&digest))?.is_some() => {}
                    Some(_) => self.add(
                        Severity::Leftover,
                        dir.join(entry.name),
                        "the record of a blob that is gone",
                        "run `model-manager gc`",
                    ),
                    None => {
                        self.add(Severity::Leftover, dir.join(entry.name), "not a record; it is left alone", "move it elsewhere")
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
            self.add(Severity::Repairable, path, what, "move it elsewhere");
        }
        for project in projects {
            let dir = dir.join(project.to_string());
            match self.store.project_record(&project) {
                Ok(Some(_)) => {}
                Ok(None) => self.add(
                    Severity::Repairable,
                    dir.clone(),
                    "a project without a record",
                    "run any command in the project that writes, or `model-manager projects forget`",
                ),
                Err(error) => self.unreadable(error, dir.join("project.json")),
            }
            for entry in self.store.disk().list_sorted(&dir)?.into_iter().filter(|entry| roots::is_root_name(&entry.name)) {
                let path = dir.join(&entry.name);
                self.record_mode(path.clone())?;
                match self.store.read_root(&path) {
                    Ok(Some(root)) => {
                        for file in root.files.iter().filter(|file| !blobs.contains(&file.sha256)) {
                            let what = format!("{} needs the blob {}, which is gone", root.view, file.sha256);
                            self.add(
                                Severity::Loss,
                                path.clone(),
                                what,
                                format!("run `model-manager download {}` in that project", root.view.model),
                            );
                        }
                    }
                    Ok(None) => {}
                    Err(error) => self.unreadable(error, path),
                }
            }
        }
        Ok(())
    }

    fn projects(&self) -> Result<(Vec<Uuid>, Vec<PathBuf>)> {
        // That the folder is missing is told with the other folders.
        match self.store.names_in_roots() {
            Err(StoreError::Disk(error)) if error.is_not_found() => Ok(Default::default()),
            other => other,
        }
    }

    fn unreadable(&mut self, error: StoreError, path: PathBuf) {
        let mend = "restore it from a backup, or move it away and download the model again; until then nothing is collected";
        self.add(Severity::Loss, path, error.to_string(), mend);
    }

    fn leftovers(&mut self) -> Result<()> {
        let layout = self.store.layout();
        for partial in self.store.partials()? {
            let Some(claim) = &partial.claim else {
                self.add(Severity::Leftover, partial.path, "a partial download without a readable claim", "run `model-manager gc`");
                continue;
            };
            let journal = self.store.disk().find(&partial.path.join("journal"))?.map_or(0, |stat| stat.len);
            let room = 64 * (2 + 4 * segment_count(claim.size)) + SEGMENT_LEN;
            if journal > room {
                self.add(
                    Severity::Leftover,
                    partial.path,
                    "its journal is longer than it can have become",
                    "run `model-manager gc`",
                );
            }
        }
        for entry in self.store.disk().list_sorted(&layout.dir("ingest"))? {
            if entry.name.parse::<IntakeKey>().is_err() {
                self.add(
                    Severity::Leftover,
                    layout.dir("ingest").join(entry.name),
                    "not a partial download; it is left alone",
                    "move it elsewhere",
                );
            }
        }
        for entry in self.store.disk().list_sorted(&layout.dir("trash"))? {
            self.add(
                Severity::Leftover,
                layout.dir("trash").join(entry.name),
                "condemned by a collection that did not end",
                "run `model-manager gc`",
            );
        }
        for entry in self.store.disk().list_sorted(&layout.dir("bad"))? {
            self.add(
                Severity::Leftover,
                layout.dir("bad").join(entry.name),
                "damaged content that was put aside",
                "remove it when it is of no more use",
            );
        }
        Ok(())
    }
}
