//! Imports a file that is already on this machine: it is hashed once, and nothing travels.

use crate::store::{
    Blob, Progress, Result, Store, StoreError,
    format::{Provenance, Stamp, Trust},
    ingest::other_store::{Imported, Sharing, require_git_id},
    ingest::partial,
    ingest::publish::{self, BLOB_MODE, Finished},
    layout::IngestKey,
    lease::Lease,
};
use crate::{
    digest::{GitSha1, LONGEST_FILE, SEGMENT_LEN, SegmentHasher, SegmentValue, SequentialHasher, Sha256Digest, segment_count},
    disk::{self, Disk, DiskError, DiskFile, Kind, Open, Stat},
};
use std::{
    path::Path,
    sync::{Arc, mpsc},
};
use tokio_util::sync::CancellationToken;

/// Bytes that are read at once: a part of a segment, so small that both hashes find it in the processor's cache.
const BLOCK: u64 = 256 << 10;
/// Blocks that the hashing thread may be behind.
const BEHIND: usize = 6;
/// Bytes whose way to the disk begins at once: enough for few and large requests.
const WRITEBACK: u64 = 8 << 20;
const _: () = assert!(WRITEBACK.is_multiple_of(BLOCK) && SEGMENT_LEN.is_multiple_of(BLOCK));

/// How the bytes get into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// The file becomes the blob: its inode gets the blob's name, and the caller removes or replaces the old name. Only for
    /// a file that has no other name; one on another volume is copied.
    Move,
    /// The file stays as it is: reflink where the file system can, else a copy.
    #[cfg_attr(not(feature = "unstable"), expect(dead_code, reason = "only tests import so yet"))]
    Copy,
    /// The file stays where it is, and belongs to another program: a reflink where the file system can, else a further name of
    /// the file, where that is this user's own, is on the volume of the store, and nobody has it open for writing. With
    /// `protect` such a file becomes read-only, under both names.
    Share {
        /// Whether a file that gets a further name, or is a name of the blob already, becomes read-only.
        protect: bool,
        /// Whether it is copied where its bytes cannot be shared; else that is refused.
        or_copy: bool,
    },
}

/// A file that is to become a blob.
#[derive(Debug, Clone)]
pub struct FileToImport<'a> {
    /// The file.
    pub path: &'a Path,
    /// How its bytes get into the store.
    pub how: ImportMode,
    /// The digest that it must have, and how far that is trusted.
    pub expected: Option<(Sha256Digest, Trust)>,
    /// The git id that it must have.
    pub git_sha1: Option<GitSha1>,
    /// Where its bytes come from.
    pub sources: Vec<Provenance>,
}

impl Store {
    /// Imports a file of this machine: see [`Store::import_file`].
    ///
    /// # Errors
    /// As there.
    pub fn import(
        &self,
        path: &Path,
        how: ImportMode,
        expected: Option<(Sha256Digest, Trust)>,
        lease: &Lease,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Blob> {
        let sources = vec![Provenance::Local { path: Some(path.display().to_string()) }];
        let file = FileToImport { path, how, expected, git_sha1: None, sources };
        Ok(self.import_file(file, lease, progress, cancel)?.blob)
    }

    /// Imports a file; the blob is under `lease` before it is published. Where other content was expected, it is refused and
    /// the file is left as it was; the blob gets the trust of the digest that was. `progress` gets the number of hashed bytes.
    /// Returns the blob, and how it shares its bytes with the file.
    ///
    /// # Errors
    /// Where the file cannot be read, has other content, or changes meanwhile; where its bytes cannot be shared and are not to
    /// be copied; where this store cannot be written.
    pub fn import_file(
        &self,
        FileToImport { path, how, expected, git_sha1, sources }: FileToImport<'_>,
        lease: &Lease,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Imported> {
        self.require_writable()?;
        let disk = self.disk();
        if disk.stat(path)?.kind != Kind::File {
            return Err(not_a_file("import", path).into());
        }
        let source = disk.open(path, Open::Read)?;
        // Of what was opened: the path may name another file by now.
        let before = source.stat()?;
        if before.kind != Kind::File {
            return Err(not_a_file("import", path).into());
        }
        let key = IngestKey::private();
        let what = path.display().to_string();
        // Held so that a collector does not take the folder for an abandoned one, as old as the file may be.
        let _lock = self.locks_work().then(|| self.lock_blob(&key, &what, self.wait())).transpose()?;
        let paths = self.layout().partial(&key);
        let data_path = &paths.data;
        let result = (|| {
            disk.create_dirs(&paths.dir, self.marker().folder_mode())?;
            let (inode, is_reflink) = match how {
                ImportMode::Move => {
                    // Only its owner can make a file read-only; that of another user is copied.
                    let is_ours = before.nlink == 1 && source.set_mode(before.mode).is_ok();
                    let inode = is_ours && disk.hard_link(path, data_path).is_ok();
                    (inode, !inode && disk.reflink(path, data_path).is_ok())
                }
                ImportMode::Copy => (false, disk.reflink(path, data_path).is_ok()),
                ImportMode::Share { or_copy, .. } => {
                    let is_reflink = disk.reflink(path, data_path).is_ok();
                    let why = if is_reflink { None } else { why_not_linked(self, &*source, &before)? };
                    let inode = !is_reflink && why.is_none() && disk.hard_link(path, data_path).is_ok();
                    if !is_reflink && !inode && !or_copy {
                        let why = why.unwrap_or("its file system allows no further name of it");
                        return Err(StoreError::NeedsCopy { path: path.to_owned(), why });
                    }
                    (inode, is_reflink)
                }
            };
            let keeps_mode = inode && matches!(how, ImportMode::Share { protect: false, .. });
            let shares_bytes = inode || is_reflink;
            if !shares_bytes {
                disk.remove_if_there(data_path)?;
                self.require_space(before.len)?;
            }
            if inode {
                // A failed writeback of another program may have been reported already. A pending error is consumed
                // here, and the hash is of what can be read afterwards.
                let _ = disk.open(data_path, Open::Read)?.sync_all();
            }
            let mode = self.marker().file_mode();
            let data = disk.open(data_path, if shares_bytes { Open::Read } else { Open::CreateNew(mode) })?;
            let of = |file: &dyn DiskFile| file.stat().map(|stat| (stat.dev, stat.ino));
            if inode && of(&*data)? != of(&*source)? {
                // The path is another file now, which was not hashed and must not be published.
                return Err(StoreError::Changed { path: path.to_owned() });
            }
            // A reflink is another file, of which nothing was read yet.
            data.drop_cache();
            if !shares_bytes {
                data.allocate(before.len)?;
                data.set_len(before.len)?;
            }
            let copy_to = (!shares_bytes).then_some(&*data);
            let hashed = if shares_bytes { &*data } else { &*source };
            let (digest, values) = hash(hashed, path, before.len, copy_to, progress, cancel)?;
            if Stamp::from(&disk.stat(path)?) != Stamp::from(&before) {
                return Err(StoreError::Changed { path: path.to_owned() });
            }
            if let Some((expected, _)) = expected.filter(|(expected, _)| *expected != digest) {
                return Err(StoreError::Mismatch {
                    what: what.clone(),
                    expected: format!("sha256 {expected}"),
                    actual: format!("sha256 {digest}"),
                });
            }
            require_git_id(&*data, path, before.len, git_sha1)?;
            let trust = expected.map_or(if git_sha1.is_some() { Trust::GitSha1Upstream } else { Trust::Tofu }, |(_, trust)| trust);
            lease.protect(&[digest])?;
            let is_present = self.find_whole(&digest, Some(before.len))?.is_some();
            let finished = Finished {
                data: &*data,
                path: data_path.clone(),
                digest,
                values,
                size: before.len,
                trust,
                sources,
                replaces: false,
                is_durable: false,
                keeps_mode,
            };
            let blob = publish::only(publish::publish(self, vec![Ok(finished)]))?;
            let sharing = match (is_present, inode, is_reflink) {
                (true, ..) => Sharing::Present,
                (false, true, _) => Sharing::HardLink,
                (false, false, true) => Sharing::Reflink,
                (false, false, false) => Sharing::Copy,
            };
            Ok(Imported { blob, sharing })
        })();
        let tidied = partial::remove_partial(self, &paths);
        // A file that did not become the blob after all gets its mode back.
        let stat = source.stat()?;
        let is_blob = matches!(&result, Ok(Imported { sharing: Sharing::HardLink, .. }));
        if !is_blob && stat.mode != before.mode && (stat.nlink == 1 || how != ImportMode::Move) {
            source.set_mode(before.mode)?;
        }
        drop(source);
        // Windows may keep the names of a file until no process has it open.
        let tidied = if cfg!(windows) { tidied.and_then(|()| partial::remove_partial(self, &paths)) } else { tidied };
        let imported = result?;
        tidied?;
        if matches!(how, ImportMode::Share { protect: true, .. }) && imported.sharing == Sharing::Present {
            self.protect_name_of_blob(path, &imported.blob.digest)?;
        }
        Ok(imported)
    }

    /// Makes a file read-only, where it is another name of this blob.
    fn protect_name_of_blob(&self, path: &Path, digest: &Sha256Digest) -> Result<()> {
        let file = self.disk().open(path, Open::Read)?;
        let here = file.stat()?;
        let is_blob = self.stat(digest)?.is_some_and(|blob| blob.ino != 0 && (blob.dev, blob.ino) == (here.dev, here.ino));
        if is_blob && here.mode != BLOB_MODE {
            file.set_mode(BLOB_MODE)?;
        }
        Ok(())
    }
}

/// Why a file of another program gets no further name; `None` where it may.
fn why_not_linked(store: &Store, source: &dyn DiskFile, stat: &Stat) -> Result<Option<&'static str>> {
    let is_own = match disk::user_id() {
        Some(user) => stat.uid == user,
        // Only its owner can set the mode.
        None => source.set_mode(stat.mode).is_ok(),
    };
    Ok(if store.disk().stat_follow(store.layout().root())?.dev != stat.dev {
        Some("it is on another volume than the store")
    } else if !is_own {
        Some("it belongs to another user, who could change it")
    } else if stat.mode & 0o444 != 0o444 {
        Some("not everybody may read it, and the store's other users would need to")
    } else if source.has_writer() == Some(true) {
        Some("a program has it open for writing")
    } else {
        None
    })
}

pub(in crate::store) fn not_a_file(action: &'static str, path: &Path) -> DiskError {
    DiskError { action, path: path.to_owned(), source: crate::disk::not_regular() }
}

/// SHA-256 of any file, of the store or not.
pub fn hash_file(disk: &dyn Disk, path: &Path, progress: Progress<'_>) -> Result<Sha256Digest> {
    let file = disk.open(path, Open::Read)?;
    let stat = file.stat()?;
    if stat.kind != Kind::File {
        return Err(not_a_file("hash", path).into());
    }
    let len = stat.len;
    Ok(hash(&*file, path, len, None, progress.bytes, progress.cancel)?.0)
}

/// Both hashes in one pass, on two threads where the system has another; with `copy_to`, the bytes are written there as they pass.
pub(in crate::store) fn hash(
    source: &dyn DiskFile,
    path: &Path,
    len: u64,
    copy_to: Option<&dyn DiskFile>,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &CancellationToken,
) -> Result<(Sha256Digest, Vec<SegmentValue>)> {
    std::thread::scope(|scope| {
        let (to_sha, from_reader) = mpsc::sync_channel::<Arc<Vec<u8>>>(BEHIND);
        let (give_back, used) = mpsc::channel();
        let hash = move || {
            let mut hasher = SequentialHasher::new(len, false);
            for block in from_reader {
                hasher.update(&block);
                // The reader may have ended.
                let _ = give_back.send(block);
            }
            hasher.finish().0
        };
        // A thread costs as much as the hash of a small file.
        let sha = (len > SEGMENT_LEN).then(|| std::thread::Builder::new().spawn_scoped(scope, hash).ok()).flatten();
        let mut own = sha.is_none().then(|| SequentialHasher::new(len, false));
        let mut values = Vec::with_capacity(segment_count(len.min(LONGEST_FILE)) as usize);
        let read = (|| {
            let mut at = 0;
            let mut segment = SegmentHasher::new(0, len);
            while at < len {
                if cancel.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let end = (at + BLOCK).min(len);
                // Blocks go round: fresh memory costs more than reading.
                let mut block: Arc<Vec<u8>> = used.try_recv().unwrap_or_default();
                let bytes = Arc::make_mut(&mut block);
                bytes.resize((end - at) as usize, 0);
                if source.read_at(bytes, at)? < bytes.len() {
                    return Err(StoreError::Changed { path: path.to_owned() });
                }
                match &mut own {
                    Some(hasher) => hasher.update(&block),
                    // A closed channel means the hashing thread is gone, which joining it below reports.
                    None => drop(to_sha.send(block.clone())),
                }
                if let Some(target) = copy_to {
                    target.write_at(&block, at)?;
                    if end.is_multiple_of(WRITEBACK) || end == len {
                        let from = (end - 1) / WRITEBACK * WRITEBACK;
                        target.start_writeback(from, end - from);
                    }
                }
                segment.update(&block);
                if end.is_multiple_of(SEGMENT_LEN) || end == len {
                    let next = SegmentHasher::new(end / SEGMENT_LEN, len);
                    values.push(std::mem::replace(&mut segment, next).finish());
                    progress(end);
                }
                at = end;
            }
            Ok(())
        })();
        drop(to_sha);
        let hashed = sha.map(|thread| thread.join().expect("hashing does not panic"));
        read?;
        let digest = hashed.or_else(|| own.map(|hasher| hasher.finish().0)).expect("one of the two hashed");
        Ok((digest, values))
    })
}
