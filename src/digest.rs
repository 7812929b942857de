//! Content names: parsed, never assembled, and computed in one pass.
//!
//! SHA-256 is the address of a blob because the Hub, OCI and Ollama publish it. BLAKE3 is derived: its tree form lets
//! segments of [`SEGMENT_LEN`] bytes be hashed in any order and merged to the plain BLAKE3 hash of the file (the subtree
//! interface of the `blake3` crate, `blake3::hazmat`). Git's blob SHA-1 is how the Hub names files outside LFS.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{
    Digest as _,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};
use std::{fmt, str::FromStr};

/// Bytes in one segment: the unit of the journal, of local damage and of repair. A power of two, as BLAKE3's tree asks.
pub const SEGMENT_LEN: u64 = 1 << 20;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: expected {expected} hexadecimal digits")]
pub struct DigestError {
    /// What the text should have been, for people.
    pub kind: &'static str,
    /// How many hexadecimal digits that has.
    pub expected: usize,
    /// The text, cut to 80 characters.
    pub text: String,
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident, $len:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        #[allow(dead_code, reason = "not each of these types needs all of them")]
        impl $name {
            /// Wraps bytes that a hash function produced.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
            /// The first twelve digits, for people.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(12);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $len];
                for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
                    pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                }
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;
            /// Takes exactly the right number of hexadecimal digits, in either case.
            fn from_str(text: &str) -> Result<Self, DigestError> {
                let mut bytes = [0; $len];
                hex_into(text, &mut bytes).map_err(|()| DigestError {
                    kind: $kind,
                    expected: 2 * $len,
                    text: text.chars().take(80).flat_map(char::escape_default).collect(),
                })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type!(
    /// The address of a blob: SHA-256 of its content.
    Sha256Digest, 32, "SHA-256 digest"
);
digest_type!(
    /// The BLAKE3 hash of a whole file.
    Blake3Digest, 32, "BLAKE3 digest"
);
digest_type!(
    /// BLAKE3 chaining value of one segment; of a file that is one segment, the file's BLAKE3 hash itself.
    SegmentValue, 32, "segment value"
);
digest_type!(
    /// Git's name for a file: SHA-1 over `blob <length>\0` and the content.
    GitSha1, 20, "git blob id"
);

/// The first hexadecimal digits of a SHA-256, or all of them, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPrefix(String);

impl DigestPrefix {
    /// The least number of digits that can name a digest.
    pub const LEAST: usize = 8;
    /// The digits of a whole digest.
    pub const MOST: usize = 64;

    /// Reads digits, in either case; `None` for any other text, and for too few or too many.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (Self::LEAST..=Self::MOST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// The digest, where all its digits are here.
    pub fn whole(&self) -> Option<Sha256Digest> {
        self.0.parse().ok()
    }

    /// Whether a digest begins with it.
    pub fn fits(&self, digest: &Sha256Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

impl From<Sha256Digest> for DigestPrefix {
    fn from(digest: Sha256Digest) -> Self {
        Self(digest.to_string())
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn hex_into(text: &str, bytes: &mut [u8]) -> Result<(), ()> {
    let text = text.as_bytes();
    if text.len() != 2 * bytes.len() {
        return Err(());
    }
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8).ok_or(());
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(())
}

/// The longest file that is accepted, in bytes: 16 TiB, many times any model. What is counted for one file, or summed over
/// all files of a repository, stays far from overflowing.
pub const LONGEST_FILE: u64 = 1 << 44;

/// How many segments a file of `len` bytes has; an empty file has none.
pub const fn segment_count(len: u64) -> u64 {
    len.div_ceil(SEGMENT_LEN)
}

/// The bytes `[start, end)` that segment `index` of a file of `len` bytes covers.
pub const fn segment_range(index: u64, len: u64) -> std::ops::Range<u64> {
    let start = index.saturating_mul(SEGMENT_LEN);
    let end = start.saturating_add(SEGMENT_LEN);
    start..if end < len { end } else { len }
}

/// Consecutive numbers of segments as ranges.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<std::ops::Range<u64>> {
    let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// The chaining value of segment `index` of a file of `len` bytes, from that segment's whole content.
pub fn segment_value(index: u64, len: u64, data: &[u8]) -> SegmentValue {
    let mut hasher = SegmentHasher::new(index, len);
    hasher.update(data);
    hasher.finish()
}

/// Computes the chaining value of one segment from its bytes in order, in parts that may be small enough to be hashed
/// while they are in the processor's cache.
#[derive(Clone)]
pub struct SegmentHasher {
    hasher: blake3::Hasher,
    /// The segment is the whole file, and its value the file's hash.
    is_root: bool,
}

impl SegmentHasher {
    /// Starts for segment `index` of a file of `len` bytes.
    pub fn new(index: u64, len: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        let is_root = segment_count(len) <= 1;
        if !is_root {
            hasher.set_input_offset(index * SEGMENT_LEN);
        }
        Self { hasher, is_root }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.hasher.update(data);
    }

    /// The value of everything taken.
    pub fn finish(self) -> SegmentValue {
        SegmentValue(match self.is_root {
            true => *self.hasher.finalize().as_bytes(),
            false => self.hasher.finalize_non_root(),
        })
    }
}

/// Merges the values of all segments of a file of `len` bytes to the file's BLAKE3 hash.
///
/// `None` when the number of values is not the number of segments.
pub fn merge_segments(values: &[SegmentValue], len: u64) -> Option<Blake3Digest> {
    if values.len() as u64 != segment_count(len) {
        return None;
    }
    Some(Blake3Digest(match values {
        [] => *blake3::hash(b"").as_bytes(),
        [only] => only.0,
        _ => {
            let (left, right) = values.split_at(left_len(values.len()));
            *merge_subtrees_root(&merge(left), &merge(right), Mode::Hash).as_bytes()
        }
    }))
}

fn merge(values: &[SegmentValue]) -> [u8; 32] {
    match values {
        [only] => only.0,
        _ => {
            let (left, right) = values.split_at(left_len(values.len()));
            merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// BLAKE3 gives the left child the largest power of two that leaves the right child something.
fn left_len(count: usize) -> usize {
    count.next_power_of_two() / 2
}

/// SHA-256 of the first segments of a file, as it is before the rest is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Midstate {
    /// How many segments are hashed.
    pub segments: u64,
    /// The eight words of the state, each little-endian.
    pub words: [u8; 32],
}

/// Blocks of SHA-256 in one segment.
const BLOCKS: u64 = SEGMENT_LEN / 64;

/// Follows a file from its first byte to its last and computes SHA-256, and git's SHA-1 where that is what is known.
#[derive(Clone)]
pub struct SequentialHasher {
    sha256: sha2::Sha256,
    git: Option<sha1::Sha1>,
}

impl SequentialHasher {
    /// Starts for a file of `len` bytes; `git` asks for the git blob id as well.
    pub fn new(len: u64, git: bool) -> Self {
        let git = git.then(|| {
            let mut hasher = sha1::Sha1::new();
            sha1::Digest::update(&mut hasher, format!("blob {len}\0"));
            hasher
        });
        Self { sha256: sha2::Sha256::new(), git }
    }

    /// Goes on behind the segments that a midstate stands for. `None` for more segments than SHA-256 can count.
    pub fn resume(from: &Midstate) -> Option<Self> {
        // The words, how many blocks went into them, and a block that holds nothing yet.
        let mut state = SerializedState::<sha2::Sha256>::default();
        state[..32].copy_from_slice(&from.words);
        state[32..40].copy_from_slice(&from.segments.checked_mul(BLOCKS)?.to_le_bytes());
        let sha256 = sha2::Sha256::deserialize(&state).ok()?;
        Some(Self { sha256, git: None })
    }

    /// Where it is now: only between two segments, and not where git's SHA-1 is computed too.
    pub fn midstate(&self) -> Option<Midstate> {
        let state = self.sha256.serialize();
        let blocks = u64::from_le_bytes(state[32..40].try_into().ok()?);
        let is_between = blocks.is_multiple_of(BLOCKS) && state[40] == 0;
        let words = state[..32].try_into().ok()?;
        (is_between && self.git.is_none()).then_some(Midstate { segments: blocks / BLOCKS, words })
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.sha256.update(data);
        if let Some(git) = &mut self.git {
            sha1::Digest::update(git, data);
        }
    }

    /// The digests of everything taken.
    pub fn finish(self) -> (Sha256Digest, Option<GitSha1>) {
        let git = self.git.map(|git| GitSha1(sha1::Digest::finalize(git).into()));
        (Sha256Digest(self.sha256.finalize().into()), git)
    }
}

/// SHA-256 of a text or a small file that is already in memory.
pub fn sha256_of(data: &[u8]) -> Sha256Digest {
    Sha256Digest(sha2::Sha256::digest(data).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn segment_values_merge_to_the_plain_blake3_hash_for_every_shape_of_tree() {
        let segment = SEGMENT_LEN as usize;
        for len in [0, 1, segment - 1, segment, segment + 1, 2 * segment, 3 * segment - 7, 5 * segment, 6 * segment + 1] {
            let data: Vec<u8> = (0..len).map(|i| (i * 31 + i / 255) as u8).collect();
            let mut values: Vec<(u64, SegmentValue)> = (0..segment_count(len as u64))
                .rev()
                .map(|i| {
                    let range = segment_range(i, len as u64);
                    (i, segment_value(i, len as u64, &data[range.start as usize..range.end as usize]))
                })
                .collect();
            values.sort_by_key(|(i, _)| *i);
            let values: Vec<_> = values.into_iter().map(|(_, v)| v).collect();
            let merged = merge_segments(&values, len as u64).expect("as many values as segments");
            assert_eq!(merged.as_bytes(), blake3::hash(&data).as_bytes(), "length {len}");
        }
    }

    #[test]
    fn a_wrong_number_of_segment_values_merges_to_nothing() {
        assert_eq!(merge_segments(&[], 1), None);
        assert_eq!(merge_segments(&[SegmentValue([0; 32]); 2], SEGMENT_LEN), None);
    }

    #[test]
    fn the_git_blob_id_is_the_one_git_prints() {
        let mut hasher = SequentialHasher::new(6, true);
        hasher.update(b"hel");
        hasher.update(b"lo\n");
        let (sha256, git) = hasher.finish();
        assert_eq!(git.expect("asked for").to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(sha256.to_string(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn a_hash_that_goes_on_from_a_midstate_ends_as_one_that_saw_everything() {
        let data: Vec<u8> = (0..3 * SEGMENT_LEN + 5).map(|i| (i * 31 + i / 255) as u8).collect();
        let mut hasher = SequentialHasher::new(data.len() as u64, false);
        for (index, segment) in data.chunks(SEGMENT_LEN as usize).enumerate() {
            let midstate = hasher.midstate().expect("between two segments");
            assert_eq!(midstate.segments, index as u64);
            let mut other = SequentialHasher::resume(&midstate).expect("few segments");
            other.update(&data[index * SEGMENT_LEN as usize..]);
            assert_eq!(other.finish().0, sha256_of(&data));
            hasher.update(segment);
        }
        assert_eq!(hasher.midstate(), None, "within a segment");
        assert_eq!(SequentialHasher::new(5, true).midstate(), None, "git's SHA-1 has none");
    }

    #[test]
    fn a_midstate_holds_the_words_of_the_standard() {
        // SHA-256 begins with 6a09e667, the fraction of the square root of two.
        let midstate = SequentialHasher::new(1, false).midstate().expect("nothing is hashed");
        assert_eq!((midstate.segments, &midstate.words[..4]), (0, &0x6a09_e667_u32.to_le_bytes()[..]));
        assert!(SequentialHasher::resume(&Midstate { segments: u64::MAX, ..midstate }).is_none());
    }

    #[test]
    fn a_text_that_is_no_digest_is_shown_in_one_short_line() {
        let error = format!("a\u{1b}[2J\n\u{202e}{}", "b".repeat(5000)).parse::<Sha256Digest>().unwrap_err().to_string();
        assert!(error.starts_with(r"`a\u{1b}[2J\n\u{202e}bbb"), "{error}");
        assert!(error.len() < 300 && !error.chars().any(char::is_control), "{error}");
    }

    proptest! {
        #[test]
        fn a_digest_survives_being_written_and_read(bytes: [u8; 32]) {
            let digest = Sha256Digest::from_bytes(bytes);
            prop_assert_eq!(digest.to_string().parse::<Sha256Digest>().unwrap(), digest);
            prop_assert_eq!(digest.to_string().to_uppercase().parse::<Sha256Digest>().unwrap(), digest);
        }

        #[test]
        fn no_other_text_is_a_digest(text in "\\PC{0,70}") {
            let is_hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(text.parse::<Sha256Digest>().is_ok(), is_hex);
        }
    }
}
