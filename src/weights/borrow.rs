//! Which tensors of files that are wanted may be the same as tensors of files that are here.
//!
//! A table says what a tensor is called and how it is kept, and nothing of its content. What is planned here is a guess,
//! which probes make a good one, and which the SHA-256 of the whole file decides.

use super::tensors::{Tensor, TensorKind, TensorTable};
use std::collections::{HashMap, hash_map::Entry};

/// Of a smaller set of files, in bytes, nothing is borrowed.
pub const SMALLEST_SET: u64 = 8 << 20;
/// A smaller tensor is fetched: probing it costs about as much.
pub(super) const SMALLEST_TENSOR: u64 = 1 << 20;
/// More bytes than this between two tensors are no padding.
const LONGEST_PADDING: u64 = 64 << 10;
/// Places of one tensor that are kept.
const MOST_PLACES: usize = 16;

/// Where equal bytes may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number of the held file.
    pub source: usize,
    /// From which byte of it on.
    pub at: u64,
    /// Whether as much padding follows there as in the wanted file.
    pub is_padded_alike: bool,
}

/// A tensor of a wanted file, and where it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The number of the wanted file.
    pub file: usize,
    /// Where the tensor begins in it.
    pub at: u64,
    /// Its bytes.
    pub len: u64,
    /// Bytes behind it that belong to no tensor.
    pub padding: u64,
    /// In the order of the held files.
    pub places: Vec<Place>,
}

/// What of a set of wanted files may be taken from files that are here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BorrowPlan {
    /// How many files are wanted.
    pub files: usize,
    /// By file and place.
    pub matches: Vec<Match>,
    /// The bytes of all wanted files.
    pub size: u64,
}

/// A range of a wanted file that is taken from a held one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Where it goes in the wanted file.
    pub at: u64,
    /// The number of the held file.
    pub source: usize,
    /// Where it is in that file.
    pub source_at: u64,
    /// Its bytes.
    pub len: u64,
    /// How many tensors it has.
    pub tensors: usize,
}

impl BorrowPlan {
    /// Bytes of the wanted files that may be here.
    pub fn bytes(&self) -> u64 {
        self.matches.iter().map(Match::bytes).fold(0, u64::saturating_add)
    }

    /// Whether it is worth asking: a set of some size, and at least a tenth of it to gain.
    pub fn is_worthwhile(&self) -> bool {
        self.size >= SMALLEST_SET && self.bytes() >= self.size.div_ceil(10)
    }

    /// Bytes that each of `held` files would give, if all that may be the same is.
    pub fn bytes_by_source(&self, held: usize) -> Vec<u64> {
        let mut bytes = vec![0_u64; held];
        for found in &self.matches {
            let first = found.best(|_| true).map(|place| place.source);
            if let Some(sum) = first.and_then(|source| bytes.get_mut(source)) {
                *sum = sum.saturating_add(found.bytes());
            }
        }
        bytes
    }
}

impl Match {
    /// Bytes that it covers at best.
    fn bytes(&self) -> u64 {
        let padded = self.places.iter().any(|place| place.is_padded_alike);
        self.len + if padded { self.padding } else { 0 }
    }

    /// The first place that is admitted; one with the same padding is preferred.
    pub(super) fn best(&self, admits: impl Fn(usize) -> bool) -> Option<&Place> {
        let mut admitted = self.places.iter().enumerate().filter(|(at, _)| admits(*at)).map(|(_, place)| place);
        let first = admitted.next()?;
        if first.is_padded_alike {
            return Some(first);
        }
        admitted.find(|place| place.is_padded_alike).or(Some(first))
    }

    /// Its range, taken from a place.
    pub(super) fn copy(&self, from: &Place) -> Copy {
        let padding = if from.is_padded_alike { self.padding } else { 0 };
        Copy { at: self.at, source: from.source, source_at: from.at, len: self.len + padding, tensors: 1 }
    }
}

/// What must be equal for a guess.
#[derive(PartialEq, Eq, Hash)]
struct Key<'t> {
    name: &'t str,
    kind: &'t TensorKind,
    shape: &'t [u64],
    len: u64,
}

impl<'t> Key<'t> {
    fn of(tensor: &'t Tensor) -> Self {
        Self { name: &tensor.name, kind: &tensor.kind, shape: &tensor.shape, len: tensor.len }
    }
}

/// Matches the tensors of all wanted files, as one set, with those of all held files. A file is known by its number in its
/// list. Of the held files the first are the best: where several have a tensor, they are tried in this order.
///
/// What cannot be relied on is left out: small tensors, those that overlap another or are not inside their file, and those
/// whose name, kind, shape and length are those of another tensor of the wanted set, or of the same held file.
pub fn copies(wanted: &[&TensorTable], held: &[&TensorTable]) -> BorrowPlan {
    matched(wanted, held, SMALLEST_TENSOR)
}

/// The same with small tensors, for where another hash of each part of the file tells whether a guess was right.
pub fn copies_of_any_size(wanted: &TensorTable, held: &[&TensorTable]) -> BorrowPlan {
    matched(&[wanted], held, 1)
}

fn matched(wanted: &[&TensorTable], held: &[&TensorTable], smallest: u64) -> BorrowPlan {
    let size = wanted.iter().map(|table| table.file_len).fold(0, u64::saturating_add);
    let mut matches = Vec::new();
    // `None`: the key is ambiguous.
    let mut by_key: HashMap<Key<'_>, Option<usize>> = HashMap::new();
    for (file, table) in wanted.iter().enumerate() {
        for (tensor, padding) in usable(table, smallest) {
            match by_key.entry(Key::of(tensor)) {
                Entry::Occupied(mut other) => drop(other.insert(None)),
                Entry::Vacant(free) => {
                    free.insert(Some(matches.len()));
                    matches.push(Match { file, at: tensor.offset, len: tensor.len, padding, places: Vec::new() });
                }
            }
        }
    }
    for (source, table) in held.iter().enumerate() {
        // By match: a second tensor of one key makes both ambiguous.
        let mut of_source: HashMap<usize, Option<Place>> = HashMap::new();
        for (tensor, padding) in usable(table, smallest) {
            let Some(Some(at)) = by_key.get(&Key::of(tensor)) else { continue };
            let place = Place { source, at: tensor.offset, is_padded_alike: padding == matches[*at].padding };
            of_source.entry(*at).and_modify(|other| *other = None).or_insert(Some(place));
        }
        for (at, place) in of_source {
            let places = &mut matches[at].places;
            places.extend(place.filter(|_| places.len() < MOST_PLACES));
        }
    }
    let ambiguous: Vec<bool> = {
        let mut clear = vec![true; matches.len()];
        by_key.values().flatten().for_each(|at| clear[*at] = false);
        clear
    };
    let mut at = 0;
    matches.retain(|found| {
        at += 1;
        !found.places.is_empty() && !ambiguous[at - 1]
    });
    matches.sort_by_key(|found| (found.file, found.at));
    BorrowPlan { files: wanted.len(), matches, size }
}

/// The tensors of a file that are large enough, are inside it and share no byte with another; each with the bytes behind
/// it that belong to no tensor, where these are so few that they can be padding.
pub(super) fn usable(table: &TensorTable, smallest: u64) -> Vec<(&Tensor, u64)> {
    let end = |tensor: &Tensor| tensor.offset.checked_add(tensor.len);
    let mut inside: Vec<(&Tensor, u64)> = Vec::with_capacity(table.tensors.len());
    for tensor in table.tensors.iter().filter(|tensor| tensor.len > 0) {
        match end(tensor) {
            Some(end) if tensor.offset >= table.header_len && end <= table.file_len => inside.push((tensor, end)),
            // Whatever it is, nothing of this file can be relied on.
            _ => return Vec::new(),
        }
    }
    inside.sort_by_key(|(tensor, end)| (tensor.offset, *end));
    let mut overlaps = vec![false; inside.len()];
    // The tensor that reaches furthest so far.
    let mut furthest: Option<(usize, u64)> = None;
    let mut padding = vec![0; inside.len()];
    for (at, (tensor, end)) in inside.iter().enumerate() {
        if let Some((before, reach)) = furthest {
            match tensor.offset.checked_sub(reach) {
                Some(gap) => padding[before] = gap,
                None => (overlaps[at], overlaps[before]) = (true, true),
            }
        }
        if furthest.is_none_or(|(_, reach)| reach <= *end) {
            furthest = Some((at, *end));
        }
    }
    if let Some((last, reach)) = furthest {
        padding[last] = table.file_len - reach;
    }
    let all = inside.into_iter().zip(padding).zip(overlaps);
    all.filter(|(((tensor, _), _), overlaps)| !overlaps && tensor.len >= smallest)
        .map(|(((tensor, _), padding), _)| (tensor, if padding <= LONGEST_PADDING { padding } else { 0 }))
        .collect()
}

/// Joins ranges that follow each other in both files. They must be in the order of their places.
pub(super) fn joined(copies: impl IntoIterator<Item = Copy>) -> Vec<Copy> {
    let mut out: Vec<Copy> = Vec::new();
    for copy in copies {
        match out.last_mut() {
            Some(last)
                if last.source == copy.source && last.at + last.len == copy.at && last.source_at + last.len == copy.source_at =>
            {
                last.len += copy.len;
                last.tensors += copy.tensors;
            }
            _ => out.push(copy),
        }
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
