//! The records of a blob: its metadata and the values of its segments.

use super::{Access, BlobMeta, Dir, FileLock, Provenance, Result, Store, Trust, UpstreamFile, format};
use crate::{
    digest::{GitSha1, SEGMENT_LEN, SegmentValue, Sha256Digest, merge_segments},
    disk::LockKind,
};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

impl Store {
    /// What is recorded about a blob; `None` where nothing is, the record is unreadable (it can be rebuilt), or a newer
    /// program wrote it (see [`Self::has_newer_meta`]).
    pub fn meta(&self, digest: &Sha256Digest) -> Result<Option<BlobMeta>> {
        Ok(self.meta_or_newer(digest)?.0)
    }

    /// Whether a newer program wrote the record of a blob. Such a record is neither read nor replaced.
    pub fn has_newer_meta(&self, digest: &Sha256Digest) -> Result<bool> {
        Ok(self.meta_or_newer(digest)?.1)
    }

    /// What is recorded about a blob, or whether a newer program recorded it, by one reading.
    pub(super) fn meta_or_newer(&self, digest: &Sha256Digest) -> Result<(Option<BlobMeta>, bool)> {
        let Some(text) = self.read_record(&self.layout().meta(digest), format::LONGEST_META)? else { return Ok((None, false)) };
        let meta = serde_json::from_slice::<BlobMeta>(&text).ok().filter(|meta| meta.format == format::RECORD_VERSION);
        let is_newer = meta.is_none() && format::version_of(&text) > format::RECORD_VERSION;
        Ok((meta, is_newer))
    }

    /// The values of a blob's segments as they are recorded, if they fit the rest of its record: otherwise they prove nothing.
    pub fn segment_values(&self, digest: &Sha256Digest, meta: &BlobMeta) -> Result<Option<Vec<SegmentValue>>> {
        if !has_segments_record(meta.size) {
            let only = SegmentValue::from_bytes(*meta.blake3.as_bytes());
            let values = if meta.size == 0 { Vec::new() } else { vec![only] };
            return Ok(Some(values).filter(|values| merge_segments(values, meta.size) == Some(meta.blake3)));
        }
        let Some(text) = self.read_record(&self.layout().segments(digest), format::LONG_RECORD)? else { return Ok(None) };
        if text.len() % 32 != 0 {
            return Ok(None);
        }
        let values = text.chunks_exact(32).map(|chunk| {
            let mut value = [0; 32];
            value.copy_from_slice(chunk);
            SegmentValue::from_bytes(value)
        });
        Ok(Some(values.collect()).filter(|values: &Vec<_>| merge_segments(values, meta.size) == Some(meta.blake3)))
    }

    pub(crate) fn write_meta(&self, digest: &Sha256Digest, meta: &BlobMeta) -> Result<()> {
        if self.has_newer_meta(digest)? {
            return Ok(());
        }
        self.replace_record(&self.layout().meta(digest), &format::to_json(meta))
    }

    pub(crate) fn write_segments(&self, digest: &Sha256Digest, values: &[SegmentValue], size: u64) -> Result<()> {
        if !has_segments_record(size) {
            return Ok(());
        }
        self.replace_record(&self.layout().segments(digest), &segments_text(values))
    }

    /// Where files with this content are upstream, as it was recorded: the first first.
    pub fn upstream_files(&self, digest: &Sha256Digest) -> Result<Vec<UpstreamFile>> {
        let sources = self.meta(digest)?.map(|meta| meta.sources).unwrap_or_default();
        let upstream = |source| match source {
            Provenance::Source(file) => Some(file),
            _ => None,
        };
        Ok(sources.into_iter().filter_map(upstream).collect())
    }

    /// Blobs whose records name one of these git ids, by that. Reading stops where `goes_on`, which is asked before each
    /// record, says so. What records say is a claim.
    ///
    /// # Errors
    /// Where a folder of blobs or a record cannot be read.
    pub fn blobs_by_git_id(
        &self,
        ids: &HashSet<GitSha1>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<HashMap<GitSha1, Vec<Sha256Digest>>> {
        let mut named: HashMap<GitSha1, Vec<Sha256Digest>> = HashMap::new();
        for digest in self.blobs()? {
            if !goes_on() {
                break;
            }
            let found: HashSet<GitSha1> = self.upstream_files(&digest)?.into_iter().filter_map(|source| source.git_sha1).collect();
            found.intersection(ids).for_each(|id| named.entry(*id).or_default().push(digest));
        }
        Ok(named)
    }

    /// Records a further source of this blob, and the trust from the hash that it published and that was compared.
    pub fn add_source(&self, digest: &Sha256Digest, source: impl Into<Provenance>, trust: Trust) -> Result<()> {
        let source = [source.into()];
        // Usually nothing is new; then no lock is needed.
        if !self.meta(digest)?.is_some_and(|mut known| known.learn(&source, trust)) {
            return Ok(());
        }
        self.change_meta(digest, |meta| meta.learn(&source, trust))
    }

    /// Records that a hash was published that the blob has.
    ///
    /// # Errors
    /// Where the record cannot be read or written.
    pub fn raise_trust(&self, digest: &Sha256Digest, trust: Trust) -> Result<()> {
        if !self.meta(digest)?.is_some_and(|mut known| known.learn(&[], trust)) {
            return Ok(());
        }
        self.change_meta(digest, |meta| meta.learn(&[], trust))
    }

    /// Changes the current record of a blob under the records lock; `change` returns whether it did. A blob without a
    /// record gets none.
    pub(crate) fn change_meta(&self, digest: &Sha256Digest, change: impl FnOnce(&mut BlobMeta) -> bool) -> Result<()> {
        let _lock = self.lock_records()?;
        let Some(mut meta) = self.meta(digest)? else { return Ok(()) };
        if change(&mut meta) { self.write_meta(digest, &meta) } else { Ok(()) }
    }

    /// Locks the records of blobs. Held only while records are read and replaced.
    pub(crate) fn lock_records(&self) -> Result<Option<FileLock>> {
        if self.0.access != Access::Trusted {
            return Ok(None);
        }
        self.acquire(&self.layout().records_lock(), LockKind::Exclusive, "the records of blobs", &self.0.wait).map(Some)
    }

    /// Reads a record that can be rebuilt. One of a wrong length or kind, or without permission, counts as missing.
    pub(super) fn read_record(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        match self.disk().read_at_most(path, most) {
            Err(error) if error.is_wrong_kind() || error.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
            other => Ok(other?),
        }
    }

    pub(super) fn replace_record(&self, path: &Path, content: &[u8]) -> Result<()> {
        Ok(self.disk().replace_small(path, content, self.marker().file_mode(), &self.layout().dir(Dir::Temp))?)
    }
}

/// Whether the values of the segments have a file of their own. That of an only one is the BLAKE3 hash in the other record.
pub(super) fn has_segments_record(size: u64) -> bool {
    size > SEGMENT_LEN
}

pub(super) fn segments_text(values: &[SegmentValue]) -> Vec<u8> {
    values.iter().flat_map(|value| *value.as_bytes()).collect()
}
