//! What the headers of blobs say of their tensors, so that files with equal tensors are found among many. One file for all
//! blobs whose digests begin with one byte: it may be lost or removed, and is written again as blobs are published and
//! checked.

use super::{
    Result, Store,
    layout::{Dir, Layout},
};
use crate::{digest::Sha256Digest, disk, disk::Kind};
use std::collections::{BTreeMap, BTreeSet};

const MAGIC: &[u8; 8] = b"MMHEAD01";
/// Magic and check.
const HEAD: usize = 8 + 16;
const ENTRY: usize = 32 + 8 * 6 + 4 * 2 + 8 * KEYS;
/// Tensors of a blob of which the key is kept.
const KEYS: usize = 16;
/// Entries of one file. More are not kept, so that a record of a store of any size can be read.
const MOST_ENTRIES: usize = 8192;
/// Places of one blob that are kept.
const MOST_PLACES: usize = 4;

/// Where a blob came from, as numbers that are equal where the names are; all 0 where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HeaderPlace {
    /// The repository.
    pub repo: u64,
    /// The commit.
    pub commit: u64,
    /// The path in it, without what tells a part of a set from the others.
    pub set: u64,
    /// The last component of that.
    pub name: u64,
}

impl HeaderPlace {
    /// The numbers for these names.
    pub fn new(repo: &str, commit: &str, set: &str) -> Self {
        let number = |text: &str| {
            let mut first = [0; 8];
            first.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..8]);
            u64::from_le_bytes(first)
        };
        let name = set.rsplit('/').next().unwrap_or(set);
        Self { repo: number(repo), commit: number(commit), set: number(set), name: number(name) }
    }
}

/// What is kept of the header of a blob, for one place where the blob came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderEntry {
    /// The blob.
    pub digest: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The bytes of its tensors that can be of use to others.
    pub bytes: u64,
    /// How many these are.
    pub tensors: u32,
    /// Where it came from.
    pub place: HeaderPlace,
    /// Keys of some of these tensors; as many as there are tensors count.
    pub keys: [u64; KEYS],
}

impl HeaderEntry {
    /// The keys that are kept.
    pub fn kept(&self) -> &[u64] {
        &self.keys[..KEYS.min(self.tensors as usize)]
    }

    fn write(&self, out: &mut Vec<u8>) {
        let HeaderPlace { repo, commit, set, name } = self.place;
        out.extend_from_slice(self.digest.as_bytes());
        for number in [self.size, self.bytes, repo, commit, set, name] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.tensors.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        self.keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
    }

    /// `None` where there are fewer bytes than an entry has.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let number = |at: usize| Some(u64::from_le_bytes(*rest.get(8 * at..)?.first_chunk()?));
        let place = HeaderPlace { repo: number(2)?, commit: number(3)?, set: number(4)?, name: number(5)? };
        let mut keys = [0; KEYS];
        for (at, key) in keys.iter_mut().enumerate() {
            *key = number(7 + at)?;
        }
        let digest = Sha256Digest::from_bytes(*digest);
        Some(Self { digest, size: number(0)?, bytes: number(1)?, tensors: number(6)? as u32, place, keys })
    }
}

/// The entries of a file; none where it is no such file.
fn entries(text: &[u8]) -> impl Iterator<Item = HeaderEntry> {
    let body = text.get(HEAD..).filter(|body| {
        text.starts_with(MAGIC) && body.len() % ENTRY == 0 && blake3::hash(body).as_bytes()[..16] == text[MAGIC.len()..HEAD]
    });
    body.unwrap_or_default().chunks_exact(ENTRY).filter_map(HeaderEntry::read)
}

fn text(entries: impl Iterator<Item = HeaderEntry>) -> Vec<u8> {
    let mut body = Vec::new();
    entries.for_each(|entry| entry.write(&mut body));
    let check = blake3::hash(&body);
    [&MAGIC[..], &check.as_bytes()[..16], &body].concat()
}

impl Store {
    /// Every entry, of blobs that may be gone by now.
    ///
    /// # Errors
    /// Where a folder of the store cannot be read.
    pub fn each_header(&self, mut each: impl FnMut(&HeaderEntry)) -> Result<()> {
        (0..=u8::MAX).try_for_each(|first| {
            self.headers_in(first)?.iter().for_each(&mut each);
            Ok(())
        })
    }

    /// What is kept of the header of one blob: an entry for each place.
    ///
    /// # Errors
    /// As [`Self::each_header`].
    pub fn headers_of(&self, digest: &Sha256Digest) -> Result<Vec<HeaderEntry>> {
        Ok(self.headers_in(digest.as_bytes()[0])?.into_iter().filter(|entry| entry.digest == *digest).collect())
    }

    fn headers_in(&self, first: u8) -> Result<Vec<HeaderEntry>> {
        let most = (HEAD + MOST_ENTRIES * ENTRY) as u64;
        let text = self.read_record(&self.layout().headers(first), most)?.unwrap_or_default();
        Ok(entries(&text).filter(|entry| entry.digest.as_bytes()[0] == first).collect())
    }

    /// Keeps these entries, and drops those of blobs that are gone. Where the store cannot be written, nothing is kept.
    ///
    /// # Errors
    /// Where the store cannot be read or written. What is kept of headers is never needed, so callers may pass over that.
    pub fn keep_headers(&self, new: &[HeaderEntry]) -> Result<()> {
        let mut by_first: BTreeMap<u8, Vec<&HeaderEntry>> = BTreeMap::new();
        new.iter().for_each(|entry| by_first.entry(entry.digest.as_bytes()[0]).or_default().push(entry));
        for (first, new) in by_first {
            let known: BTreeMap<_, _> =
                self.headers_in(first)?.into_iter().map(|entry| ((entry.digest, entry.place), entry)).collect();
            if new.iter().all(|entry| known.get(&(entry.digest, entry.place)) == Some(entry)) {
                continue;
            }
            if !self.is_writable() {
                return Ok(());
            }
            let _lock = self.lock_records()?;
            self.keep_headers_in(first, &new)?;
        }
        Ok(())
    }

    /// The caller holds the lock of the records.
    fn keep_headers_in(&self, first: u8, new: &[&HeaderEntry]) -> Result<()> {
        let names = disk::absent_is_none(self.disk().list(&self.layout().shard(Dir::Blobs, first)))?.unwrap_or_default();
        let files = names.iter().filter(|entry| entry.kind == Kind::File);
        let here: BTreeSet<Sha256Digest> = files.filter_map(|entry| Layout::digest_in(Dir::Blobs, first, &entry.name)).collect();
        let mut kept: BTreeMap<(Sha256Digest, HeaderPlace), HeaderEntry> = BTreeMap::new();
        let mut places: BTreeMap<Sha256Digest, usize> = BTreeMap::new();
        // The new ones first: where there is no more room, others go.
        for entry in new.iter().copied().copied().chain(self.headers_in(first)?).filter(|entry| here.contains(&entry.digest)) {
            let key = (entry.digest, entry.place);
            let of_blob = places.entry(entry.digest).or_default();
            if kept.len() < MOST_ENTRIES && *of_blob < MOST_PLACES && !kept.contains_key(&key) {
                *of_blob += 1;
                kept.insert(key, entry);
            }
        }
        let (path, mode) = (self.layout().headers(first), self.marker().file_mode());
        Ok(self.disk().replace_hint(&path, &text(kept.into_values()), mode, &self.layout().dir(Dir::Temp))?)
    }

    /// Forgets what is kept of all headers, for a store that is given up.
    pub(super) fn drop_headers(&self) -> Result<()> {
        for first in 0..=u8::MAX {
            match self.disk().remove_if_there(&self.layout().headers(first)) {
                Err(error) if error.is_in_use() => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(byte: u8, tensors: u32) -> HeaderEntry {
        let mut keys = [0; KEYS];
        keys.iter_mut().zip(0..).for_each(|(key, at)| *key = u64::MAX - at);
        let place = HeaderPlace::new("owner/name", &"0".repeat(40), "a/x.gguf");
        HeaderEntry { digest: Sha256Digest::from_bytes([byte; 32]), size: 7, bytes: 5, tensors, place, keys }
    }

    #[test]
    fn entries_are_read_back_as_written_and_a_file_that_was_changed_has_none() {
        let all = [entry(1, 3), entry(1, 300)];
        let written = text(all.into_iter());
        assert_eq!(written.len(), HEAD + 2 * ENTRY);
        assert_eq!(entries(&written).collect::<Vec<_>>(), all);
        assert_eq!(all.map(|entry| entry.kept().len()), [3, 16]);
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 1;
            assert_eq!(entries(&changed).count(), 0, "{at}");
            assert_eq!(entries(&written[..at]).count(), 0, "{at}");
        }
    }

    #[test]
    fn a_path_and_its_last_component_are_told_apart() {
        let (one, other) = (HeaderPlace::new("r", "c", "a/x.gguf"), HeaderPlace::new("r", "d", "x.gguf"));
        assert_eq!((one.repo, one.name), (other.repo, other.name));
        assert!(one.set != other.set && one.commit != other.commit && other.set == other.name);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(entries(&bytes).count(), 0);
        }
    }
}
