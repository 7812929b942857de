//! What is known to be damaged: a mark beside the blobs, from the check that found it until the content is whole again.
//!
//! A mark can only cost work: what has one is fetched or checked again. So it is written after the look and removed after
//! the content is right, and both look once more under the lock of the records.

use super::{
    Result, Store,
    format::{self, Stamp},
    layout::{Dir, Layout},
};
use crate::{
    digest::{Sha256Digest, segment_count, segment_range},
    disk::{self, Kind},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::Path};

/// More damaged segments than this are not listed: then the whole counts as damaged.
const MOST_SEGMENTS: usize = 4096;

/// `bad/<digest>.json`: the blob of this digest is in its place and is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Version of this file.
    pub format: u32,
    /// When it was found, RFC 3339.
    pub found: String,
    /// The damaged segments; empty where that is not known.
    #[serde(default)]
    pub segments: Vec<u64>,
}

impl Damage {
    /// Bytes of a blob of `size` bytes that are known to be whole.
    pub fn whole_bytes(&self, size: u64) -> u64 {
        let is_possible = |segments: &[u64]| {
            let in_order = segments.is_sorted_by(|a, b| a < b);
            !segments.is_empty() && in_order && segments.iter().all(|index| *index < segment_count(size))
        };
        if !is_possible(&self.segments) {
            return 0;
        }
        let damaged: u64 = self.segments.iter().map(|index| segment_range(*index, size)).map(|range| range.end - range.start).sum();
        size - damaged
    }
}

impl Store {
    /// What is known of the damage of a blob; `None` where none is known.
    pub fn damage(&self, digest: &Sha256Digest) -> Result<Option<Damage>> {
        let path = self.layout().damage(digest);
        if !self.has_mark(&path)? {
            return Ok(None);
        }
        // That it is there says enough.
        let unknown = || Damage { format: format::RECORD_VERSION, found: disk::timestamp(), segments: Vec::new() };
        let text = self.read_record(&path, format::SHORT_RECORD)?.unwrap_or_default();
        Ok(Some(serde_json::from_slice(&text).unwrap_or_else(|_| unknown())))
    }

    /// Without permission, or with something else in place of the mark or its folder, no damage is known.
    fn has_mark(&self, path: &Path) -> Result<bool> {
        match self.disk().find(path) {
            Err(error) if error.is_read_only() || error.is_wrong_kind() => Ok(false),
            found => Ok(found?.is_some_and(|stat| stat.kind == Kind::File)),
        }
    }

    /// Every blob that is known to be damaged, by one reading of a folder.
    pub fn damaged(&self) -> Result<BTreeSet<Sha256Digest>> {
        let mut damaged = BTreeSet::new();
        for digest in self.marks()? {
            // A mark may outlive its blob until the next collection.
            if self.stat(&digest)?.is_some() {
                damaged.insert(digest);
            }
        }
        Ok(damaged)
    }

    /// Every blob that has a mark, whether or not it is there.
    pub(super) fn marks(&self) -> Result<Vec<Sha256Digest>> {
        let entries = match disk::absent_is_none(self.disk().list(&self.layout().dir(Dir::Damaged))) {
            Err(error) if error.is_read_only() || error.is_wrong_kind() => None,
            entries => entries?,
        };
        let files = entries.into_iter().flatten().filter(|entry| entry.kind == Kind::File);
        Ok(files.filter_map(|entry| Layout::digest_of_damage(&entry.name)).collect())
    }

    /// Removes the mark of a removed blob; failures are ignored, because a mark without a blob has no meaning.
    pub(super) fn drop_mark(&self, digest: &Sha256Digest) -> Result<()> {
        let path = self.layout().damage(digest);
        if self.has_mark(&path)? {
            self.disk().remove_if_there(&path)?;
        }
        Ok(())
    }

    /// Notes that the blob which has this stamp is damaged, unless it was replaced meanwhile.
    pub(super) fn mark_damaged(&self, digest: &Sha256Digest, stamp: Stamp, segments: &[u64]) -> Result<()> {
        if !self.is_writable() {
            return Ok(());
        }
        let segments = if segments.len() > MOST_SEGMENTS { Vec::new() } else { segments.to_vec() };
        if self.damage(digest)?.is_some_and(|known| known.segments == segments) {
            return Ok(());
        }
        let _lock = self.lock_records()?;
        if self.stat(digest)?.is_none_or(|stat| Stamp::from(&stat) != stamp) {
            return Ok(());
        }
        let mark = Damage { format: format::RECORD_VERSION, found: disk::timestamp(), segments };
        self.replace_record(&self.layout().damage(digest), &format::to_json(&mark))
    }

    /// Takes the mark away from content that was published just now, or from a blob that has this stamp and was read and
    /// found whole.
    pub(super) fn clear_damage(&self, digest: &Sha256Digest, read: Option<Stamp>) -> Result<()> {
        let path = self.layout().damage(digest);
        if !self.is_writable() || !self.has_mark(&path)? {
            return Ok(());
        }
        let _lock = self.lock_records()?;
        if let Some(stamp) = read
            && self.stat(digest)?.is_none_or(|stat| Stamp::from(&stat) != stamp)
        {
            return Ok(());
        }
        if self.disk().remove_if_there(&path)? {
            self.disk().sync_dir(&self.layout().dir(Dir::Damaged))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::SEGMENT_LEN;

    #[test]
    fn what_is_whole_of_a_damaged_blob_is_counted_only_where_its_segments_can_be_those() {
        let whole =
            |segments: &[u64], size| Damage { format: 1, found: String::new(), segments: segments.to_vec() }.whole_bytes(size);
        let size = 2 * SEGMENT_LEN + 7;
        assert_eq!(whole(&[0], size), SEGMENT_LEN + 7);
        assert_eq!(whole(&[2], size), 2 * SEGMENT_LEN);
        assert_eq!(whole(&[0, 1, 2], size), 0);
        for impossible in [&[][..], &[3], &[u64::MAX], &[1, 1], &[2, 0]] {
            assert_eq!(whole(impossible, size), 0, "{impossible:?}");
        }
    }
}
