//! Imports blobs of another store of this user: nothing travels, and on one volume nothing is taken.
//!
//! The other store is only read. It is not locked: what its collector removes meanwhile stays readable where it is open, or is
//! not there, and then it is not imported. Every byte is hashed on the way, for the other store is not trusted: by SHA-256, or
//! where the blob's BLAKE3 hash is known from elsewhere, by that, which takes all cores.

use crate::store::{
    Blob, FileLock, Progress, Result, Store, StoreError,
    check::damaged_segments,
    format::{Provenance, Trust},
    ingest::{
        import::{hash, not_a_file},
        partial,
        publish::{self, BLOB_MODE, Finished},
    },
    layout::{Dir, IngestKey, PartialPaths},
    lease::Lease,
    records::has_segments_record,
};
use crate::{
    digest::{Blake3Digest, GitSha1, SEGMENT_LEN, SegmentValue, SequentialHasher, Sha256Digest},
    disk::{self, DiskFile, Kind, Open, Stat, TEMP_PREFIX, limits::OpenFiles, parallel},
};
use std::{
    collections::HashSet,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio_util::sync::CancellationToken;

/// Files that are worth a further thread that hashes them.
const LEAST_FILES: usize = 8;
/// A group that has so many bytes takes no further blob.
const GROUP_BYTES: u64 = 1 << 30;
/// Bytes of a file that are read at once for its git id.
const BLOCK: u64 = 256 << 10;

/// A blob of another store that is to be imported.
#[derive(Debug, Clone)]
pub struct BlobToImport {
    /// Its address, as the other store says.
    pub digest: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its BLAKE3 hash, where this user's program found that for content of this SHA-256.
    pub blake3: Option<Blake3Digest>,
    /// The git id that it must have, where one was published in place of a SHA-256.
    pub git_sha1: Option<GitSha1>,
    /// How far content with these hashes is trusted.
    pub trust: Trust,
    /// Where such content is upstream.
    pub source: Option<Provenance>,
}

/// How an imported blob shares its bytes with the blob of the other store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Sharing {
    /// It was here already.
    Present,
    /// A file of its own, which shares its extents.
    Reflink,
    /// It is a further name of the same file.
    HardLink,
    /// It is a copy.
    Copy,
}

impl Sharing {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Reflink => "reflink",
            Self::HardLink => "hardlink",
            Self::Copy => "copy",
        }
    }
}

/// A blob that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The blob.
    pub blob: Blob,
    /// How it shares its bytes.
    pub sharing: Sharing,
}

/// A blob of the other store that is open for reading.
struct Opened {
    source: Box<dyn DiskFile>,
    path: PathBuf,
    place: Placed,
}

/// How a blob gets its place in this store.
enum Placed {
    /// It has one: a reflink at this path.
    Reflink(Place, PathBuf),
    /// By a further name of the file.
    Link,
    /// By a copy.
    Copy,
}

impl Opened {
    /// Makes durable what will be linked, before it is: a link changes the file, and what is on the medium already costs little
    /// until then. A failure takes the place of what was opened.
    fn sync(opened: &mut Result<Option<Self>>) {
        if let Ok(Some(there)) = opened
            && let Err(error) = there.source.sync_all()
        {
            *opened = Err(error.into());
        }
    }
}

/// A blob of the other store, hashed and ready to be published.
struct Staged {
    data: Box<dyn DiskFile>,
    path: PathBuf,
    values: Vec<SegmentValue>,
    sharing: Sharing,
    place: Place,
}

/// What is to be removed once the blob has its name, or has none.
enum Place {
    /// The file of the other store, which stays.
    Other,
    /// A temporary file.
    Temp,
    /// The folder of a private partial, with its lock, so that no collector takes it for abandoned.
    Partial(PartialPaths, Option<FileLock>),
}

impl Store {
    /// Imports these blobs of `other`, with a result for each. They are under `lease` before they are published. Each is a reflink where the file system can, else a hard link where the file is this user's own and nobody may write
    /// it, else a copy. Content that has other hashes is refused. `progress` gets the bytes that were hashed so far, of all.
    ///
    /// # Errors
    /// Of all: where this store cannot be written, or the lease not extended. Of one: where it cannot be read, changed, has
    /// other content, or does not fit.
    pub fn import_from(
        &self,
        other: &Store,
        wanted: &[BlobToImport],
        lease: &Lease,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Vec<Result<Imported>>> {
        self.require_writable()?;
        lease.protect(&wanted.iter().map(|blob| blob.digest).collect::<Vec<_>>())?;
        let import = Import {
            store: self.beside(other.layout().root()),
            other,
            volume: self.disk().stat_follow(self.layout().root())?.dev,
            no_reflink: AtomicBool::new(false),
            hashed: AtomicU64::new(0),
            progress,
            cancel,
        };
        Ok(groups(wanted, OpenFiles::now().group).flat_map(|group| import.group(group)).collect())
    }
}

/// The blobs in their order, in groups of at most so many, of which none has a digest twice: the second is to find the first.
/// A group ends where it has [`GROUP_BYTES`], so that an import which is cancelled keeps most of what it has hashed.
fn groups(mut rest: &[BlobToImport], most: usize) -> impl Iterator<Item = &[BlobToImport]> {
    std::iter::from_fn(move || {
        let (mut digests, mut bytes) = (HashSet::new(), 0_u64);
        let fits = |blob: &&BlobToImport| {
            let has_room = bytes < GROUP_BYTES;
            bytes = bytes.saturating_add(blob.size);
            has_room && digests.insert(blob.digest)
        };
        let len = rest.iter().take(most).take_while(fits).count();
        let (group, behind) = rest.split_at(len);
        rest = behind;
        (!group.is_empty()).then_some(group)
    })
}

/// What the blobs of one call share.
struct Import<'a> {
    /// With a disk that enters both stores by handle.
    store: Store,
    other: &'a Store,
    /// The volume of this store.
    volume: u64,
    /// Whether the file system was found to have none, so that it is not tried for each file.
    no_reflink: AtomicBool,
    hashed: AtomicU64,
    progress: &'a (dyn Fn(u64) + Sync),
    cancel: &'a CancellationToken,
}

impl Import<'_> {
    fn group(&self, wanted: &[BlobToImport]) -> Vec<Result<Imported>> {
        let workers = if wanted.iter().all(|blob| blob.size <= SEGMENT_LEN) {
            parallel::processors(wanted.len(), LEAST_FILES)
        } else {
            // The hash of a large file takes two already.
            1
        };
        let open = |blob: &BlobToImport| Ok::<_, Infallible>(self.open(blob));
        let Ok(mut opened) = parallel::map(wanted.iter(), workers, open);
        let links = opened.iter_mut().filter(|opened| matches!(opened, Ok(Some(Opened { place: Placed::Link, .. }))));
        publish::at_once(links.collect::<Vec<_>>().into_iter(), Opened::sync);
        let stage = |(blob, opened): (&BlobToImport, Result<Option<Opened>>)| {
            Ok::<_, Infallible>(opened.and_then(|opened| opened.map(|opened| self.stage(blob, opened)).transpose()))
        };
        let Ok(staged) = parallel::map(wanted.iter().zip(opened), workers, stage);
        let mut files = Vec::new();
        for (blob, staged) in wanted.iter().zip(&staged) {
            let Ok(Some(staged)) = staged else { continue };
            files.push(Ok(Finished {
                data: &*staged.data,
                path: staged.path.clone(),
                digest: blob.digest,
                values: staged.values.clone(),
                size: blob.size,
                trust: blob.trust,
                sources: blob.source.iter().cloned().collect(),
                replaces: false,
                is_durable: staged.sharing == Sharing::HardLink,
                keeps_mode: false,
            }));
        }
        let mut published = publish::publish(&self.store, files).into_iter();
        let finish = |(blob, staged): (&BlobToImport, Result<Option<Staged>>)| match staged? {
            None => {
                let present = Blob { digest: blob.digest, size: blob.size };
                Ok(Imported { blob: present, sharing: Sharing::Present })
            }
            Some(staged) => {
                let result = published.next().unwrap_or(Err(StoreError::Cancelled));
                let sharing = staged.sharing;
                self.tidy(staged)?;
                Ok(Imported { blob: result?, sharing })
            }
        };
        wanted.iter().zip(staged).map(finish).collect()
    }

    /// Opens a blob of the other store, and decides how it is placed. `None` where it is here already.
    fn open(&self, blob: &BlobToImport) -> Result<Option<Opened>> {
        if self.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        if self.store.find_whole(&blob.digest, Some(blob.size))?.is_some() {
            // That it has the git id is only what the other store says.
            let path = self.store.layout().blob(&blob.digest);
            require_git_id(&*self.store.disk().open(&path, Open::Read)?, &path, blob.size, blob.git_sha1)?;
            return Ok(None);
        }
        let (disk, path) = (self.store.disk(), self.other.layout().blob(&blob.digest));
        let source = disk.open(&path, Open::Read)?;
        let stat = source.stat()?;
        if stat.kind != Kind::File {
            return Err(not_a_file("import", &path).into());
        }
        if stat.len != blob.size {
            return Err(StoreError::Changed { path });
        }
        let place = match self.reflink(blob, &stat)? {
            Some((place, at)) => Placed::Reflink(place, at),
            None if self.may_link(&*source, &stat) => Placed::Link,
            None => Placed::Copy,
        };
        Ok(Some(Opened { source, path, place }))
    }

    /// Hashes an open blob of the other store, and gives it a place in this one.
    fn stage(&self, blob: &BlobToImport, Opened { source, path, place }: Opened) -> Result<Staged> {
        match place {
            Placed::Reflink(place, at) => {
                let data = match self.store.disk().open(&at, Open::Read) {
                    Ok(data) => data,
                    Err(error) => {
                        self.remove(place, &at)?;
                        return Err(error.into());
                    }
                };
                self.hashed(blob, data, at, Sharing::Reflink, place, None)
            }
            Placed::Link => self.link(blob, source, path),
            Placed::Copy => {
                self.store.require_space(blob.size)?;
                let (place, at, data) = self.make_file(blob)?;
                data.allocate(blob.size)?;
                data.set_len(blob.size)?;
                self.hashed(blob, data, at, Sharing::Copy, place, Some(&*source))
            }
        }
    }

    /// A reflink of the file in its place; `None` where there is none.
    fn reflink(&self, blob: &BlobToImport, stat: &Stat) -> Result<Option<(Place, PathBuf)>> {
        if self.no_reflink.load(Ordering::Relaxed) || self.volume != stat.dev {
            return Ok(None);
        }
        let (disk, from) = (self.store.disk(), self.other.layout().blob(&blob.digest));
        let made = match blob.size > SEGMENT_LEN {
            true => {
                let (place, data) = self.partial(blob)?;
                match disk.reflink(&from, &data) {
                    Ok(()) => Ok((place, data)),
                    Err(error) => {
                        self.remove(place, &data)?;
                        Err(error)
                    }
                }
            }
            false => {
                let tmp = self.store.layout().dir(Dir::Temp);
                disk.make_temp(&tmp, TEMP_PREFIX, |at| disk.reflink(&from, at)).map(|(at, ())| (Place::Temp, at))
            }
        };
        if made.is_err() {
            self.no_reflink.store(true, Ordering::Relaxed);
        }
        Ok(made.ok())
    }

    /// Whether the file may get a further name: it is this user's own, on this volume, and nobody may write it, so its owner
    /// cannot change it under the other name by accident.
    fn may_link(&self, source: &dyn DiskFile, stat: &Stat) -> bool {
        let is_own = match disk::user_id() {
            Some(user) => stat.uid == user,
            // Only its owner can set the mode.
            None => source.set_mode(stat.mode).is_ok(),
        };
        stat.mode == BLOB_MODE && is_own && self.volume == stat.dev
    }

    /// A further name of the file, which was synced, in `tmp`, once it was hashed. Its path may be of another file by then, so
    /// what was linked is compared with what was hashed.
    fn link(&self, blob: &BlobToImport, source: Box<dyn DiskFile>, path: PathBuf) -> Result<Staged> {
        let Staged { data, values, sharing, .. } =
            self.hashed(blob, source, path.clone(), Sharing::HardLink, Place::Other, None)?;
        let disk = self.store.disk();
        let (at, ()) = disk.make_temp(&self.store.layout().dir(Dir::Temp), TEMP_PREFIX, |at| disk.hard_link(&path, at))?;
        let (named, hashed) = (disk.stat(&at)?, data.stat()?);
        if (named.dev, named.ino, named.len) != (hashed.dev, hashed.ino, blob.size) {
            disk.remove_file(&at)?;
            return Err(StoreError::Changed { path });
        }
        Ok(Staged { data, path: at, values, sharing, place: Place::Temp })
    }

    /// A new file for a copy.
    fn make_file(&self, blob: &BlobToImport) -> Result<(Place, PathBuf, Box<dyn DiskFile>)> {
        let (disk, mode) = (self.store.disk(), self.store.marker().file_mode());
        if blob.size > SEGMENT_LEN {
            let (place, at) = self.partial(blob)?;
            let data = disk.open(&at, Open::CreateNew(mode))?;
            return Ok((place, at, data));
        }
        let (at, data) = disk.create_temp(&self.store.layout().dir(Dir::Temp), TEMP_PREFIX, mode)?;
        Ok((Place::Temp, at, data))
    }

    /// The folder of a private partial, and the path of its data.
    fn partial(&self, blob: &BlobToImport) -> Result<(Place, PathBuf)> {
        let key = IngestKey::private();
        let what = blob.digest.to_string();
        let lock = self.store.locks_work().then(|| self.store.lock_blob(&key, &what, self.store.wait())).transpose()?;
        let paths = self.store.layout().partial(&key);
        self.store.disk().create_dirs(&paths.dir, self.store.marker().folder_mode())?;
        let data = paths.data.clone();
        Ok((Place::Partial(paths, lock), data))
    }

    /// Hashes what was staged; with `copy_of`, its bytes are copied from there.
    fn hashed(
        &self,
        blob: &BlobToImport,
        data: Box<dyn DiskFile>,
        path: PathBuf,
        sharing: Sharing,
        place: Place,
        copy_of: Option<&dyn DiskFile>,
    ) -> Result<Staged> {
        let checked = (|| {
            let (read, copy_to) = copy_of.map_or((&*data, None), |source| (source, Some(&*data)));
            let counted = AtomicU64::new(0);
            let progress = |done: u64| {
                // A second reading, after a mismatch, counts no more.
                let more = done.saturating_sub(counted.fetch_max(done, Ordering::Relaxed));
                (self.progress)(self.hashed.fetch_add(more, Ordering::Relaxed) + more);
            };
            if copy_to.is_none()
                && let Some(values) = self.compared(blob, read, &progress)?
            {
                return Ok(values);
            }
            let (digest, values) = hash(read, &path, blob.size, copy_to, &progress, self.cancel)?;
            if digest != blob.digest {
                return Err(mismatch(&path, format!("sha256 {}", blob.digest), format!("sha256 {digest}")));
            }
            require_git_id(&*data, &path, blob.size, blob.git_sha1)?;
            Ok(values)
        })();
        match checked {
            Ok(values) => Ok(Staged { data, path, values, sharing, place }),
            Err(error) => {
                drop(data);
                self.remove(place, &path)?;
                Err(error)
            }
        }
    }

    /// The values of the segments, where the content has its known BLAKE3 hash. The other store's record of them is good for
    /// nothing but that: all of them together must make this hash.
    fn compared(
        &self,
        blob: &BlobToImport,
        data: &dyn DiskFile,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Vec<SegmentValue>>> {
        let Some(blake3) = blob.blake3.filter(|_| blob.git_sha1.is_none() && has_segments_record(blob.size)) else {
            return Ok(None);
        };
        let meta = self.other.meta(&blob.digest)?.filter(|meta| meta.size == blob.size && meta.blake3 == blake3);
        let Some(values) = meta.map(|meta| self.other.segment_values(&blob.digest, &meta)).transpose()?.flatten() else {
            return Ok(None);
        };
        let progress = Progress { bytes: progress, cancel: self.cancel };
        let damaged = damaged_segments(data, blob.size, &values, progress)?;
        Ok(damaged.is_empty().then_some(values))
    }

    fn tidy(&self, staged: Staged) -> Result<()> {
        let Staged { data, path, place, .. } = staged;
        drop(data);
        self.remove(place, &path)
    }

    fn remove(&self, place: Place, path: &Path) -> Result<()> {
        match place {
            Place::Other => Ok(()),
            Place::Temp => Ok(self.store.disk().remove_if_there(path).map(drop)?),
            Place::Partial(paths, _lock) => partial::remove_partial(&self.store, &paths),
        }
    }
}

fn mismatch(path: &Path, expected: String, actual: String) -> StoreError {
    StoreError::Mismatch { what: path.display().to_string(), expected, actual }
}

/// Refuses content that has not the git id that was published, where one was.
pub(super) fn require_git_id(data: &dyn DiskFile, path: &Path, size: u64, expected: Option<GitSha1>) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    match git_id(data, size)? {
        Some(actual) if actual == expected => Ok(()),
        actual => {
            let actual = actual.map_or_else(String::new, |id| id.to_string());
            Err(mismatch(path, format!("git blob {expected}"), format!("git blob {actual}")))
        }
    }
}

/// The id that git gives to the content of an open file of `len` bytes; `None` where it is shorter.
fn git_id(data: &dyn DiskFile, len: u64) -> Result<Option<GitSha1>> {
    let mut hasher = SequentialHasher::new(len, true);
    let (mut buffer, mut at) = (vec![0; BLOCK.min(len) as usize], 0);
    while at < len {
        let part = &mut buffer[..(len - at).min(BLOCK) as usize];
        if data.read_at(part, at)? < part.len() {
            return Ok(None);
        }
        hasher.update(part);
        at += part.len() as u64;
    }
    Ok(hasher.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: u8, size: u64) -> BlobToImport {
        let digest = Sha256Digest::from_bytes([name; 32]);
        BlobToImport { digest, size, blake3: None, git_sha1: None, trust: Trust::Tofu, source: None }
    }

    #[test]
    fn a_group_ends_after_so_many_blobs_or_bytes_and_before_a_digest_that_it_has() {
        let lengths = |blobs: &[BlobToImport]| groups(blobs, 3).map(<[BlobToImport]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[1, 2, 3, 4].map(|name| blob(name, 5))), [3, 1]);
        assert_eq!(lengths(&[1, 2, 1].map(|name| blob(name, 5))), [2, 1]);
        assert_eq!(lengths(&[1, 2, 3].map(|name| blob(name, GROUP_BYTES / 2))), [2, 1]);
        assert_eq!(lengths(&[1, 2].map(|name| blob(name, u64::MAX))), [1, 1]);
    }
}
