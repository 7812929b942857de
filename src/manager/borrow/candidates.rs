//! Which files of a store are looked into for tensors, and in which order: a rule over what is kept of headers.

use crate::{
    digest::Sha256Digest,
    store::{HeaderEntry, HeaderPlace},
    weights::TensorTable,
};
use std::collections::{HashMap, HashSet};

/// What is to be downloaded, as one set.
pub(super) struct Wanted {
    /// Its sources, sets and names.
    repos: HashSet<u64>,
    sets: HashSet<(u64, u64)>,
    names: HashSet<u64>,
    keys: HashSet<u64>,
    /// A bit for the lower 16 bits of each key: most keys of other files are not wanted, and this tells so quickly.
    is_possible: Vec<u64>,
    /// Bytes of its tensors.
    bytes: u64,
    digests: HashSet<Sha256Digest>,
}

impl Wanted {
    pub(super) fn new<'t>(
        places: impl Iterator<Item = HeaderPlace> + Clone,
        tables: impl Iterator<Item = &'t TensorTable>,
        digests: impl Iterator<Item = Sha256Digest>,
    ) -> Self {
        let (mut keys, mut is_possible, mut bytes) = (HashSet::new(), vec![0; 1 << 10], 0_u64);
        for (key, len) in tables.flat_map(TensorTable::keys) {
            keys.insert(key);
            let (word, bit) = bit_of(key);
            is_possible[word] |= bit;
            bytes = bytes.saturating_add(len);
        }
        Self {
            repos: places.clone().map(|place| place.repo).collect(),
            sets: places.clone().map(|place| (place.repo, place.set)).collect(),
            names: places.map(|place| place.name).collect(),
            keys,
            is_possible,
            bytes,
            digests: digests.collect(),
        }
    }

    fn has(&self, key: u64) -> bool {
        let (word, bit) = bit_of(key);
        self.is_possible[word] & bit != 0 && self.keys.contains(&key)
    }

    /// Bytes of a file that may be of tensors that are wanted.
    fn bytes_in(&self, entry: &HeaderEntry) -> u64 {
        let kept = entry.kept();
        let common = kept.iter().filter(|key| self.has(**key)).count();
        let bytes = u128::from(entry.bytes) * common as u128 / kept.len().max(1) as u128;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn nearness(&self, place: &HeaderPlace) -> Nearness {
        if self.sets.contains(&(place.repo, place.set)) {
            Nearness::SameFile
        } else if self.repos.contains(&place.repo) {
            Nearness::SameRepository
        } else if self.names.contains(&place.name) {
            Nearness::SameName
        } else {
            Nearness::Similar
        }
    }
}

/// Of 65536 bits, the one for a key: its word, and its place there.
fn bit_of(key: u64) -> (usize, u64) {
    ((key as usize >> 6) & 0x3ff, 1 << (key & 63))
}

/// How near a file is to what is wanted; the first are looked into first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    /// The same path of the same source, at another commit.
    SameFile,
    /// Another file of the source.
    SameRepository,
    /// A file of the same name.
    SameName,
    /// Any other, of which at least half of what is wanted may come.
    Similar,
}

/// Files that are looked into together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) nearness: Nearness,
    /// Bytes that may be equal.
    pub(super) bytes: u64,
    pub(super) blobs: Vec<Sha256Digest>,
}

/// What makes files one set: all that is kept of their place, or where that is not known, the file alone.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum SetKey {
    Place(HeaderPlace),
    File(Sha256Digest),
}

/// The files that may be of use, while what is kept of headers goes by.
pub(super) struct Candidates {
    wanted: Wanted,
    sets: HashMap<SetKey, Candidate>,
}

impl Candidates {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self { wanted, sets: HashMap::new() }
    }

    pub(super) fn add(&mut self, entry: &HeaderEntry) {
        let bytes = self.wanted.bytes_in(entry);
        if bytes == 0 || self.wanted.digests.contains(&entry.digest) {
            return;
        }
        let is_known = entry.place != HeaderPlace::default();
        let nearness = if is_known { self.wanted.nearness(&entry.place) } else { Nearness::Similar };
        let key = if is_known { SetKey::Place(entry.place) } else { SetKey::File(entry.digest) };
        let set = self.sets.entry(key).or_insert(Candidate { nearness, bytes: 0, blobs: Vec::new() });
        if !set.blobs.contains(&entry.digest) {
            set.bytes = set.bytes.saturating_add(bytes);
            set.blobs.push(entry.digest);
        }
    }

    /// The nearest first, and of those the one of which most bytes may come.
    pub(super) fn in_order(self) -> Vec<Candidate> {
        let half = self.wanted.bytes.div_ceil(2);
        let is_enough = |candidate: &Candidate| candidate.nearness < Nearness::Similar || candidate.bytes >= half;
        let mut sets: Vec<Candidate> = self.sets.into_values().filter(is_enough).collect();
        for set in &mut sets {
            set.blobs.sort();
        }
        sets.sort_by(|a, b| {
            let bytes = b.bytes.min(self.wanted.bytes).cmp(&a.bytes.min(self.wanted.bytes));
            a.nearness.cmp(&b.nearness).then(bytes).then(a.blobs.cmp(&b.blobs))
        });
        sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Tensor, TensorKind};

    const MIB: u64 = 1 << 20;

    fn table(names: impl Iterator<Item = u64>) -> TensorTable {
        let mut offset = 64;
        let mut tensors = Vec::new();
        for name in names {
            let name = format!("t{name}").into();
            tensors.push(Tensor { name, kind: TensorKind::Gguf(0), shape: [MIB / 4].into(), offset, len: MIB });
            offset += MIB;
        }
        TensorTable { tensors, header_len: 64, file_len: offset }
    }

    fn entry(byte: u8, place: HeaderPlace, table: &TensorTable) -> HeaderEntry {
        let sketch = table.sketch();
        let (bytes, tensors, keys) = (sketch.bytes, sketch.tensors, sketch.keys);
        HeaderEntry { digest: Sha256Digest::from_bytes([byte; 32]), size: table.file_len, bytes, tensors, place, keys }
    }

    fn wanted(table: &TensorTable) -> Wanted {
        let place = HeaderPlace::new("a/b", "", "q/x.gguf");
        Wanted::new([place].into_iter(), [table].into_iter(), [Sha256Digest::from_bytes([99; 32])].into_iter())
    }

    fn order(table: &TensorTable, entries: &[HeaderEntry]) -> Vec<(Nearness, Vec<u8>)> {
        let mut candidates = Candidates::new(wanted(table));
        entries.iter().for_each(|entry| candidates.add(entry));
        let blobs = |candidate: &Candidate| candidate.blobs.iter().map(|digest| digest.as_bytes()[0]).collect();
        candidates.in_order().iter().map(|candidate| (candidate.nearness, blobs(candidate))).collect()
    }

    #[test]
    fn the_nearest_files_come_first_and_parts_of_a_set_together() {
        let all = table(0..12);
        let at = |repo: &str, commit: &str, set: &str| HeaderPlace::new(repo, commit, set);
        let entries = [
            entry(1, HeaderPlace::default(), &all),
            entry(2, at("c/d", "1", "y.gguf"), &all),
            entry(3, at("c/d", "1", "x.gguf"), &table(0..3)),
            entry(4, at("a/b", "1", "y.gguf"), &table(0..3)),
            entry(5, at("a/b", "1", "z.gguf"), &table(0..6)),
            entry(6, at("a/b", "1", "q/x.gguf"), &table(0..2)),
            entry(7, at("a/b", "1", "q/x.gguf"), &table(2..4)),
            entry(8, at("a/b", "2", "q/x.gguf"), &table(0..2)),
            // Nothing of it is wanted, and too little of it.
            entry(9, at("a/b", "1", "w.gguf"), &table(50..60)),
            entry(10, at("e/f", "1", "v.gguf"), &table(0..5)),
            // What is wanted itself.
            entry(99, at("a/b", "1", "q/x.gguf"), &all),
        ];
        use Nearness::{SameFile, SameName, SameRepository, Similar};
        assert_eq!(
            order(&all, &entries),
            [
                (SameFile, vec![6, 7]),
                (SameFile, vec![8]),
                (SameRepository, vec![5]),
                (SameRepository, vec![4]),
                (SameName, vec![3]),
                (Similar, vec![1]),
                (Similar, vec![2]),
            ]
        );
        let reversed: Vec<HeaderEntry> = entries.iter().rev().copied().collect();
        assert_eq!(order(&all, &reversed), order(&all, &entries));
    }

    #[test]
    fn parts_that_give_half_together_are_similar_enough() {
        let all = table(0..12);
        let place = HeaderPlace::new("c/d", "1", "y.gguf");
        let parts = [entry(1, place, &table(0..3)), entry(2, place, &table(3..6))];
        assert_eq!(order(&all, &parts), [(Nearness::Similar, vec![1, 2])]);
        assert_eq!(order(&all, &parts[..1]), []);
        assert_eq!(order(&TensorTable::default(), &parts), []);
    }
}
