//! Compares blobs with what was recorded about them.

use super::{
    Damage, Result, Store, StoreError,
    format::{BlobMeta, Stamp, Trust},
    ingest::{import, publish::BLOB_MODE},
    records::has_segments_record,
};
use crate::{
    digest::{SegmentHasher, SegmentValue, Sha256Digest, merge_segments, segment_range},
    disk::{self, DiskFile, Kind, Open, Stat, parallel},
};
use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// Segments that one thread takes at a time.
const BATCH: u64 = 8;
/// Bytes that are read at once: so few that they are hashed while they are still in the core's own cache.
const READ: usize = 128 << 10;

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CheckMode {
    /// Size, modification time and inode are those noted at the last verification.
    Quick,
    /// Every byte, by BLAKE3 against the recorded segment values.
    #[default]
    Full,
    /// Every byte, by SHA-256; the records are renewed.
    Rehash,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobState {
    /// The content is what its name says.
    Ok {
        /// How far the name itself is trusted.
        trust: Trust,
    },
    /// The content is not what its name says.
    Modified {
        /// The damaged segments, where the records tell; empty where the length or the whole is wrong.
        segments: Vec<u64>,
    },
    /// There is no such blob.
    Missing,
}

/// Where a long check tells how many bytes it has read, and where it can be stopped.
#[derive(Clone, Copy)]
pub struct Progress<'a> {
    /// Called with the number of bytes read so far.
    pub bytes: &'a (dyn Fn(u64) + Sync),
    /// Ends the check.
    pub cancel: &'a CancellationToken,
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

impl Store {
    /// Checks the blob of this address.
    pub fn check(&self, digest: &Sha256Digest, mode: CheckMode, progress: Progress<'_>) -> Result<BlobState> {
        let path = self.layout().blob(digest);
        self.check_at(&path, digest, mode, progress)
    }

    /// Checks a file that should have the content of `digest`: the blob itself, or a copy of it in a view. Damage of
    /// the blob is recorded until a check that reads it finds it whole, or it is published again; a quick check reports
    /// the recorded damage.
    pub fn check_at(&self, path: &Path, digest: &Sha256Digest, mode: CheckMode, progress: Progress<'_>) -> Result<BlobState> {
        let Some(file) = disk::absent_is_none(self.disk().open(path, Open::Read))? else { return Ok(BlobState::Missing) };
        file.keep_access_time();
        let stat = file.stat()?;
        if stat.kind != Kind::File {
            return Ok(BlobState::Modified { segments: Vec::new() });
        }
        if self.stat(digest)?.is_none_or(|blob| (blob.dev, blob.ino) != (stat.dev, stat.ino)) {
            return self.compare((&*file, path, &stat), digest, None, mode, progress);
        }
        let known = self.damage(digest)?;
        let state = self.compare((&*file, path, &stat), digest, known.as_ref(), mode, progress)?;
        let stamp = Stamp::from(&stat);
        match &state {
            BlobState::Modified { segments } => where_possible(self.mark_damaged(digest, stamp, segments))?,
            BlobState::Ok { .. } if known.is_some() => where_possible(self.clear_damage(digest, Some(stamp)))?,
            _ => {}
        }
        if matches!(state, BlobState::Ok { .. }) && stat.nlink == 1 && stat.mode & 0o222 != 0 && self.is_writable() {
            self.protect_left_blob(digest, &*file)?;
        }
        Ok(state)
    }

    /// Makes a blob read-only that was another program's file too, and is none any more.
    fn protect_left_blob(&self, digest: &Sha256Digest, file: &dyn DiskFile) -> Result<()> {
        if self.meta(digest)?.is_some_and(|meta| meta.is_from_app()) {
            // Only its owner can; `doctor` reports what stays writable.
            let _ = file.set_mode(BLOB_MODE);
        }
        Ok(())
    }

    /// Compares an open file with what is recorded of `digest`. The `known` damage counts until the file is read.
    fn compare(
        &self,
        (file, path, stat): (&dyn DiskFile, &Path, &Stat),
        digest: &Sha256Digest,
        known: Option<&Damage>,
        mode: CheckMode,
        progress: Progress<'_>,
    ) -> Result<BlobState> {
        let stamp = Stamp::from(stat);
        let meta = self.meta(digest)?;
        if mode == CheckMode::Quick
            && let Some(meta) = &meta
            && meta.stamp == stamp
            && meta.size == stat.len
        {
            return Ok(match known {
                Some(known) => BlobState::Modified { segments: known.segments.clone() },
                None => BlobState::Ok { trust: meta.trust },
            });
        }
        // Records that do not fit together prove nothing about the file.
        let values = match &meta {
            Some(meta) if mode != CheckMode::Rehash => self.segment_values(digest, meta)?,
            _ => None,
        };
        if let (Some(meta), Some(values)) = (&meta, values) {
            let is_long = meta.size == stat.len;
            let damaged = if is_long { damaged_segments(file, meta.size, &values, progress)? } else { Vec::new() };
            if is_long && damaged.is_empty() {
                if meta.stamp != stamp && self.is_unchanged_blob(digest, file, stamp)? {
                    // The next quick check need not read everything again.
                    where_possible(self.change_meta(digest, |meta| std::mem::replace(&mut meta.stamp, stamp) != stamp))?;
                } else {
                    where_possible(self.note_verified(digest))?;
                }
                return Ok(BlobState::Ok { trust: meta.trust });
            }
            // An only value stands in the record itself, and nothing confirms that one: the SHA-256 decides.
            if has_segments_record(meta.size) {
                return Ok(BlobState::Modified { segments: damaged });
            }
        }
        let (actual, values) = match import::hash(file, path, stat.len, None, progress.bytes, progress.cancel) {
            // A read error is a finding like a mismatch.
            Err(StoreError::Disk(_)) => return Ok(BlobState::Modified { segments: Vec::new() }),
            other => other?,
        };
        if actual != *digest {
            return Ok(BlobState::Modified { segments: Vec::new() });
        }
        let trust = meta.as_ref().map_or(Trust::Tofu, |meta| meta.trust);
        if self.is_unchanged_blob(digest, file, stamp)? {
            where_possible(self.renew_records(digest, stamp, &values))?;
        }
        Ok(BlobState::Ok { trust })
    }

    /// Whether this open file is the blob itself, was not touched since it had this stamp, and its records may be written.
    fn is_unchanged_blob(&self, digest: &Sha256Digest, file: &dyn DiskFile, stamp: Stamp) -> Result<bool> {
        let stat = file.stat()?;
        let is_blob = self.stat(digest)?.is_some_and(|blob| (blob.dev, blob.ino) == (stat.dev, stat.ino));
        Ok(is_blob && self.is_writable() && Stamp::from(&stat) == stamp)
    }

    /// Writes the records anew after the SHA-256 of the blob itself was found right. This does not change the trust,
    /// which is kept as it is recorded now.
    fn renew_records(&self, digest: &Sha256Digest, stamp: Stamp, values: &[SegmentValue]) -> Result<()> {
        let Some(blake3) = merge_segments(values, stamp.size) else { return Ok(()) };
        let _lock = self.lock_records()?;
        let (trust, sources) = self.meta(digest)?.map_or((Trust::Tofu, Vec::new()), |meta| (meta.trust, meta.sources));
        let renewed = BlobMeta { format: 1, size: stamp.size, blake3, trust, verified_at: disk::timestamp(), stamp, sources };
        self.write_segments(digest, values, stamp.size)?;
        self.write_meta(digest, &renewed)
    }
}

/// A finding is returned even if it cannot be recorded: the disk is full, a member's folder is not writable, or a
/// suspended process holds the records lock.
fn where_possible(noted: Result<()>) -> Result<()> {
    match noted {
        Err(StoreError::Disk(error))
            if error.is_no_space() || error.is_read_only() || error.is_wrong_kind() || error.is_not_found() =>
        {
            Ok(())
        }
        Err(StoreError::LockTimeout(_)) => Ok(()),
        other => other,
    }
}

/// Compares as many first segments as there are values with them, on all cores.
pub(super) fn damaged_segments(file: &dyn DiskFile, len: u64, values: &[SegmentValue], progress: Progress<'_>) -> Result<Vec<u64>> {
    let segments = values.len() as u64;
    let next = AtomicU64::new(0);
    let done = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let damaged = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        let mut buffer = read_buffer(len);
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            if first >= segments || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if progress.cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            for index in first..(first + BATCH).min(segments) {
                // A read error is a finding like a mismatch: the rest is still worth checking.
                if value_of(file, index, len, &mut buffer) != Some(values[index as usize]) {
                    damaged.lock().unwrap_or_else(PoisonError::into_inner).push(index);
                }
                let range = segment_range(index, len);
                let read = range.end - range.start;
                (progress.bytes)(done.fetch_add(read, Ordering::Relaxed) + read);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(segments.div_ceil(BATCH).max(1) as usize);
    parallel::map(0..threads, threads, |_| work().inspect_err(|_| stop.store(true, Ordering::Relaxed)))?;
    let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
    damaged.sort_unstable();
    Ok(damaged)
}

/// Room for reading a file of so many bytes part by part.
pub(super) fn read_buffer(len: u64) -> Vec<u8> {
    vec![0; READ.min(usize::try_from(len).unwrap_or(READ))]
}

/// The value of a segment as it is on disk; `None` where it cannot be read.
pub(super) fn value_of(file: &dyn DiskFile, index: u64, len: u64, buffer: &mut [u8]) -> Option<SegmentValue> {
    let std::ops::Range { start: mut at, end } = segment_range(index, len);
    let mut hasher = SegmentHasher::new(index, len);
    while at < end {
        let part = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let part = &mut buffer[..part];
        if file.read_at(part, at).ok()? < part.len() {
            return None;
        }
        hasher.update(part);
        at += part.len() as u64;
    }
    Some(hasher.finish())
}
