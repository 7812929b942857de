//! Copies what a store has into another one: blobs with what is recorded about them, unfinished downloads, and roots.
//!
//! The first store is only read. Blobs go the way of [`Store::import_from`]: reflink, hard link or copy, and every byte is
//! hashed. Done again, it copies what is missing.

use super::{
    Blob, BlobToImport, Imported, IngestKey, Lease, Partial, Project, Result, Root, RootOwner, Store, StoreError, Trust,
    format::{self, ProjectRecord},
    layout::Layout,
    relocation::ProjectLocation,
};
use crate::{
    digest::{Blake3Digest, Sha256Digest},
    disk::{self, Disk, DiskFile, Open},
};
use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bytes of a partial download that are copied at once.
const BLOCK: usize = 1 << 20;

/// What copying a store would do.
#[derive(Debug, Clone, Default)]
pub struct CopyPlan {
    /// Blobs that the other store lacks.
    pub missing: Vec<Blob>,
    /// Blobs that it has.
    pub present: Vec<Blob>,
    /// Blobs with known damage, which are not copied.
    pub damaged: Vec<Sha256Digest>,
    /// Unfinished downloads that can be resumed and that the other store lacks.
    pub partials: Vec<Partial>,
}

impl CopyPlan {
    /// Bytes of the blobs and unfinished downloads that are to be copied.
    pub fn bytes(&self) -> u64 {
        self.missing.iter().map(|blob| blob.size).sum::<u64>() + self.partials.iter().map(|partial| partial.allocated).sum::<u64>()
    }
}

/// Whose the copied roots are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootsOf {
    /// The same projects, which use the other store from now on.
    TheProjects,
    /// Nobody who uses the other store: they only say what the first store keeps, so that a collection keeps it in the copy.
    TheCopy,
}

impl Store {
    /// What `to` lacks of this store; all of it where there is no `to` yet.
    ///
    /// # Errors
    /// Where a folder or a mark cannot be read.
    pub fn plan_copy(&self, to: Option<&Store>) -> Result<CopyPlan> {
        let mut plan = CopyPlan::default();
        let damaged = self.damaged()?;
        for digest in self.blobs()? {
            let Some(blob) = self.find(&digest)? else { continue };
            if damaged.contains(&digest) {
                plan.damaged.push(digest);
            } else if to.map(|to| to.find_whole(&digest, Some(blob.size))).transpose()?.flatten().is_some() {
                plan.present.push(blob);
            } else {
                plan.missing.push(blob);
            }
        }
        for partial in self.partials()? {
            let is_wanted = match (&partial.key, to) {
                (IngestKey::Private(_), _) => false,
                (_, None) => true,
                (key, Some(to)) => {
                    let is_there = match key {
                        IngestKey::Sha256(digest) => to.find(digest)?.is_some(),
                        _ => false,
                    };
                    !is_there && to.disk().find(&to.layout().partial(key).dir)?.is_none()
                }
            };
            if is_wanted && partial.record.is_some() && partial.allocated > 0 {
                plan.partials.push(partial);
            }
        }
        Ok(plan)
    }

    /// How far a copy of this store may believe what its records say of published hashes: where others can write them, they
    /// prove nothing.
    ///
    /// # Errors
    /// Where the store's folder cannot be looked at.
    pub fn trust_of_copy(&self) -> Result<Trust> {
        Ok(if self.is_of_this_user_alone()? { Trust::Sha256Upstream } else { Trust::Tofu })
    }

    /// Imports these blobs of `from` with what it records about them, with a result for each. `blake3_of` gives the BLAKE3
    /// hash of content, where this user's program found that; `progress` gets the bytes that were hashed so far. Records of `from`
    /// are believed up to `most_trust`.
    ///
    /// # Errors
    /// As [`Store::import_from`].
    pub fn copy_blobs(
        &self,
        (from, most_trust): (&Store, Trust),
        blobs: &[Blob],
        lease: &Lease,
        blake3_of: &dyn Fn(&Blob) -> Option<Blake3Digest>,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Vec<Result<Imported>>> {
        let mut metas = blobs.iter().map(|blob| from.meta(&blob.digest)).collect::<Result<Vec<_>>>()?;
        // Every byte is hashed; that a hash was published is only what a record says.
        metas.iter_mut().flatten().for_each(|meta| meta.trust = meta.trust.at_most(most_trust));
        let wanted: Vec<BlobToImport> = blobs
            .iter()
            .zip(&metas)
            .map(|(blob, meta)| BlobToImport {
                digest: blob.digest,
                size: blob.size,
                blake3: blake3_of(blob),
                git_sha1: None,
                trust: meta.as_ref().map_or(Trust::Tofu, |meta| meta.trust),
                source: meta.as_ref().and_then(|meta| meta.sources.first().cloned()),
            })
            .collect();
        let mut results = self.import_from(from, &wanted, lease, progress, cancel)?;
        for ((result, blob), meta) in results.iter_mut().zip(blobs).zip(metas) {
            let Some(meta) = meta.filter(|_| result.is_ok()) else { continue };
            // Usually the one source was all there is to know.
            if self.meta(&blob.digest)?.is_some_and(|mut known| known.learn(&meta.sources, meta.trust))
                && let Err(error) = self.change_meta(&blob.digest, |known| known.learn(&meta.sources, meta.trust))
            {
                *result = Err(error);
            }
        }
        Ok(results)
    }

    /// Copies an unfinished download, which is resumed here then. Returns `false` where it ended or another process fills it.
    /// Its journal comes last, for without one nothing of the data counts.
    ///
    /// # Errors
    /// Where it cannot be read, or not be written here.
    pub fn copy_partial(&self, from: &Store, key: &IngestKey, cancel: &CancellationToken) -> Result<bool> {
        self.require_writable()?;
        let what = key.to_string();
        let _here = if self.locks_work() { Some(self.lock_blob(key, &what, self.wait())?) } else { None };
        let _there = match from.locks_work() {
            true => match from.try_acquire(&from.layout().blob_lock(key), disk::LockKind::Exclusive)? {
                Some(lock) => Some(lock),
                None => return Ok(false),
            },
            false => None,
        };
        let (paths, theirs) = (self.layout().partial(key), from.layout().partial(key));
        let (disk, mode) = (self.disk(), self.marker().file_mode());
        let Some(source) = disk::absent_is_none(from.disk().open(&theirs.data, Open::Read))? else { return Ok(false) };
        let stat = source.stat()?;
        let journal = from.disk().read_small(&theirs.journal)?;
        let record = from.read_record(&theirs.record, format::SHORT_RECORD)?;
        let (Some(journal), Some(record), disk::Kind::File) = (journal, record, stat.kind) else { return Ok(false) };
        if disk.find(&paths.journal)?.is_some() {
            return Ok(false);
        }
        self.require_space(stat.allocated)?;
        disk.create_dirs(&paths.dir, self.marker().folder_mode())?;
        disk.remove_if_there(&paths.data)?;
        let data = disk.open(&paths.data, Open::CreateNew(mode))?;
        copy_data(&*source, &*data, stat.len, cancel)?;
        data.sync_all()?;
        disk.replace_small(&paths.record, &record, mode, &paths.dir)?;
        disk.replace_small(&paths.journal, &journal, mode, &paths.dir)?;
        Ok(true)
    }

    /// Copies the roots of every project of `from`, and what is known about it. A view of a project that has another root here
    /// already keeps both: that of the store which the project uses as its own, the other under the name of a copy. Of [`RootsOf::TheCopy`], views that `from` no longer keeps lose
    /// their root here, and what applications and remotes keep is left out. Returns how many roots there are.
    ///
    /// # Errors
    /// Where a root cannot be read, for what it protects is not known; and where one cannot be written.
    pub fn copy_roots_of(&self, from: &Store, whose: RootsOf) -> Result<usize> {
        self.require_writable()?;
        let mut count = 0;
        for project in from.projects()? {
            let copy = id_of_copy(&from.marker().uuid, &project);
            let target = if whose == RootsOf::TheCopy { copy } else { project };
            let uses_first = Project::uses(from, &project)?;
            let mut kept: BTreeSet<Uuid> = BTreeSet::new();
            let mut names: HashSet<String> = HashSet::new();
            let mut digests: BTreeSet<Sha256Digest> = BTreeSet::new();
            for (name, text, root) in from.root_texts(&project)? {
                let is_left_out =
                    matches!(root.owner, RootOwner::Exposure { .. } | RootOwner::Replacement { .. } | RootOwner::Remote { .. });
                if is_left_out && whose == RootsOf::TheCopy {
                    continue;
                }
                let mut here = target;
                if whose == RootsOf::TheProjects && self.has_other_root(&target, &name, &root)? {
                    match uses_first {
                        // Its root here is of a time before; what that keeps stays too.
                        true => self.set_root_aside(&target, &id_of_copy(&self.marker().uuid, &project), &name)?,
                        false => here = copy,
                    }
                }
                let _shared = self.shared()?;
                if kept.insert(here) {
                    self.create_project_dir(&here)?;
                }
                let path = self.layout().project(&here).join(&name);
                // A view's is written as this version does, any other as it stands: a later version may know more of it.
                let text = if root.owner.view().is_some() { root.to_json() } else { text };
                self.replace_record(&path, &text)?;
                names.insert(name);
                digests.extend(root.files.iter().map(|file| file.sha256));
                count += 1;
            }
            if whose == RootsOf::TheCopy {
                self.drop_roots_but(&copy, &names)?;
            }
            for here in kept {
                self.copy_project_record(from, &project, &here)?;
            }
            self.sync_names(digests)?;
        }
        Ok(count)
    }

    /// Every root of a project: the name of its record, its text, and what that says.
    fn root_texts(&self, project: &Uuid) -> Result<Vec<(String, Vec<u8>, Root)>> {
        let dir = self.layout().project(project);
        let mut roots = Vec::new();
        for entry in self.disk().list_sorted(&dir)?.into_iter().filter(|entry| Layout::is_root(&entry.name)) {
            let path = dir.join(&entry.name);
            let Some(text) = self.disk().read_record(&path).map_err(StoreError::of_record)? else { continue };
            let root = format::root_from_json(&path, &text)?;
            roots.push((entry.name, text, root));
        }
        Ok(roots)
    }

    /// Whether a root of this name is here that keeps something else.
    fn has_other_root(&self, project: &Uuid, name: &str, root: &Root) -> Result<bool> {
        let path = self.layout().project(project).join(name);
        Ok(self.read_root(&path)?.is_some_and(|here| here != *root))
    }

    /// Keeps what a root keeps under another project.
    fn set_root_aside(&self, project: &Uuid, copy: &Uuid, name: &str) -> Result<()> {
        let path = self.layout().project(project).join(name);
        if let Some(text) = self.disk().read_record(&path).map_err(StoreError::of_record)? {
            let _shared = self.shared()?;
            self.create_project_dir(copy)?;
            self.replace_record(&self.layout().project(copy).join(name), &text)?;
        }
        Ok(())
    }

    /// Removes the roots of views that are not among `names`.
    fn drop_roots_but(&self, project: &Uuid, names: &HashSet<String>) -> Result<()> {
        let dir = self.layout().project(project);
        for entry in self.disk().list_sorted(&dir)? {
            if Layout::is_root(&entry.name) && !names.contains(&entry.name) {
                let _shared = self.shared()?;
                self.require_own(&dir.join(&entry.name))?;
                self.disk().remove_if_there(&dir.join(&entry.name))?;
            }
        }
        Ok(disk::absent_is_none(self.disk().sync_dir(&dir)).map(drop)?)
    }

    /// What `from` knows about a project, for people: it is registered here when it is next visited.
    fn copy_project_record(&self, from: &Store, project: &Uuid, here: &Uuid) -> Result<()> {
        let path = self.layout().project_record(here);
        let Some(record) = from.known_project(project).filter(|_| self.known_project(here).is_none()) else { return Ok(()) };
        let location = match project == here {
            true => ProjectLocation { on_store_volume: false, ..record.location },
            // No folder is this project.
            false => ProjectLocation {
                machine: None,
                boot: None,
                ino: 0,
                parents: Vec::new(),
                on_store_volume: false,
                ..record.location
            },
        };
        self.replace_record(&path, &format::to_json(&ProjectRecord { uuid: *here, location, ..record }))
    }
}

/// The project under which a copy has the roots of a project of another store.
fn id_of_copy(store: &Uuid, project: &Uuid) -> Uuid {
    let hash = blake3::hash(format!("model-manager copy of {project} in {store}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Copies `len` bytes, and leaves out blocks of zeros.
fn copy_data(from: &dyn DiskFile, to: &dyn DiskFile, len: u64, cancel: &CancellationToken) -> Result<()> {
    to.set_len(len)?;
    let (mut at, mut block) = (0, vec![0; BLOCK]);
    while at < len {
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let got = from.read_at(&mut block, at)?;
        if got == 0 {
            break;
        }
        if block[..got].iter().any(|byte| *byte != 0) {
            to.write_at(&block[..got], at)?;
        }
        at += got as u64;
    }
    Ok(())
}

/// Whether one of two folders is in the other, or both are one.
pub fn is_nested(disk: &dyn Disk, one: &Path, other: &Path) -> disk::Result<bool> {
    let (one, other) = (disk.real_place(one)?, disk.real_place(other)?);
    Ok(one.starts_with(&other) || other.starts_with(&one))
}
