//! What a file on the test Hub contains: bytes in memory, a file on disk, or bytes made up on the fly.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Synthetic content repeats this block with the index of each stamp in place.
const BLOCK: usize = 1 << 20;
/// Every `STAMP` bytes of synthetic content start with their own number, so no two ranges are alike.
const STAMP: usize = 4096;

/// The content of one file. Cloning is cheap and shares the cached hashes.
#[derive(Clone)]
pub struct Content(Arc<Inner>);

struct Inner {
    source: Source,
    sha256: OnceLock<String>,
    git_sha1: OnceLock<String>,
}

enum Source {
    Bytes(Arc<[u8]>),
    Synthetic { len: u64, seed: u64, block: Box<[u8]> },
    File { path: PathBuf, len: u64 },
}

impl Content {
    /// `len` bytes that look random, differ everywhere and need 1 MiB of memory whatever their length.
    pub fn synthetic(len: u64, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut block = vec![0_u8; BLOCK].into_boxed_slice();
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        Self::of(Source::Synthetic { len, seed, block })
    }

    /// A file on disk, read anew for every answer. Its length is taken now.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let len = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).len();
        Self::of(Source::File { path, len })
    }

    fn of(source: Source) -> Self {
        Self(Arc::new(Inner { source, sha256: OnceLock::new(), git_sha1: OnceLock::new() }))
    }

    pub fn len(&self) -> u64 {
        match &self.0.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Synthetic { len, .. } | Source::File { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`; the range must lie inside the content.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) {
        assert!(offset + buf.len() as u64 <= self.len(), "read beyond the end of the content");
        match &self.0.source {
            Source::Bytes(bytes) => buf.copy_from_slice(&bytes[offset as usize..][..buf.len()]),
            Source::Synthetic { seed, block, .. } => synthesize(block, *seed, offset, buf),
            Source::File { path, .. } => {
                let mut file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                file.seek(SeekFrom::Start(offset)).expect("seek in a served file");
                file.read_exact(buf).expect("a served file keeps its length");
            }
        }
    }

    /// All of it, in memory.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len()).expect("content fits in memory")];
        self.read_at(0, &mut all);
        all
    }

    /// 64 hex digits, computed once.
    pub fn sha256(&self) -> &str {
        self.0.sha256.get_or_init(|| self.hash(Sha256::new()))
    }

    /// The name git gives to a blob: SHA-1 over `blob `, the size, a NUL and the content.
    pub fn git_sha1(&self) -> &str {
        self.0.git_sha1.get_or_init(|| {
            let mut hasher = Sha1::new();
            hasher.update(format!("blob {}\0", self.len()));
            self.hash(hasher)
        })
    }

    /// The text git holds in place of an LFS file.
    pub fn lfs_pointer(&self) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", self.sha256(), self.len())
    }

    /// A made-up Xet hash: 64 hex digits that are neither of the other hashes.
    pub fn xet_hash(&self) -> String {
        hex(&Sha256::digest(format!("xet {}", self.sha256())))
    }

    /// Identity for commit ids; does not read synthetic content.
    pub(super) fn fingerprint(&self) -> String {
        match &self.0.source {
            Source::Synthetic { len, seed, .. } => format!("synthetic {len} {seed}"),
            Source::Bytes(_) | Source::File { .. } => self.sha256().to_owned(),
        }
    }

    fn hash<D: Digest>(&self, mut hasher: D) -> String {
        let mut buf = vec![0; BLOCK];
        let mut offset = 0;
        while offset < self.len() {
            let n = (self.len() - offset).min(BLOCK as u64) as usize;
            self.read_at(offset, &mut buf[..n]);
            hasher.update(&buf[..n]);
            offset += n as u64;
        }
        hex(&hasher.finalize())
    }
}

fn synthesize(block: &[u8], seed: u64, offset: u64, buf: &mut [u8]) {
    let mut done = 0;
    while done < buf.len() {
        let from = ((offset + done as u64) % BLOCK as u64) as usize;
        let n = (BLOCK - from).min(buf.len() - done);
        buf[done..done + n].copy_from_slice(&block[from..from + n]);
        done += n;
    }
    let end = offset + buf.len() as u64;
    let mut stamp = offset / STAMP as u64;
    while stamp * (STAMP as u64) < end {
        let bytes = (stamp ^ seed.rotate_left(32)).to_le_bytes();
        let at = stamp * STAMP as u64;
        for (i, byte) in bytes.iter().enumerate() {
            let place = at + i as u64;
            if place >= offset && place < end {
                buf[(place - offset) as usize] = *byte;
            }
        }
        stamp += 1;
    }
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut s, b| {
        write!(s, "{b:02x}").expect("writing to a String");
        s
    })
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.len())
    }
}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::of(Source::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(Source::Bytes(bytes.into()))
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::of(Source::Bytes(bytes.into()))
    }
}

impl<const N: usize> From<&[u8; N]> for Content {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&Content> for Content {
    fn from(content: &Content) -> Self {
        content.clone()
    }
}
