//! What the tests have in common.

use crate::fsck::{Expect, assert_sound};
use model_manager::{
    digest::{SEGMENT_LEN, SequentialHasher, Sha256Digest, sha256_of},
    disk::{Disk, RealDisk},
    names::RelPath,
    store::{
        Acquired, Advance, Blob, BlobRequest, BlobToImport, BlobWriter, Complete, GcOptions, GcReport, Imported, IngestKey,
        Progress, Store, StoreError, Trust, UpstreamFile, ViewFile, ViewKey, Wait, commit_all,
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// A folder that goes away; in memory where the system has that, for most tests sync a lot.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A store in a folder that goes away.
pub struct TestStore {
    pub dir: tempfile::TempDir,
    pub store: Store,
}

pub fn home() -> TestStore {
    home_on(Arc::new(RealDisk))
}

pub fn home_on(disk: Arc<dyn Disk>) -> TestStore {
    let dir = scratch();
    let store = Store::open_or_init(disk, &dir.path().join("models/.blobs"), false).unwrap();
    TestStore { dir, store }
}

impl TestStore {
    pub fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }
    pub fn root(&self) -> PathBuf {
        self.store.layout().root().to_owned()
    }
    pub fn sound(&self, expect: Expect) {
        assert_sound(&RealDisk, &self.root(), expect);
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Bytes that differ everywhere and for every seed.
pub fn content(seed: u64, len: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = vec![0; len as usize];
    for word in data.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    data
}

pub fn source() -> UpstreamFile {
    UpstreamFile {
        endpoint: "https://huggingface.co".into(),
        repo: Some("owner/repo".into()),
        commit: Some("0".repeat(40)),
        path: Some("model.gguf".into()),
        git_sha1: None,
        xet_hash: None,
    }
}

pub fn quick() -> Wait {
    Wait::silent(Some(Duration::from_secs(20)))
}

pub fn request(data: &[u8]) -> BlobRequest {
    BlobRequest {
        key: IngestKey::Sha256(sha256_of(data)),
        size: data.len() as u64,
        what: "model.gguf".into(),
        trust: Trust::Sha256Upstream,
    }
}

pub fn open(acquired: Acquired) -> BlobWriter {
    match acquired {
        Acquired::Writer(writer) => *writer,
        Acquired::Present(blob) => panic!("{} is present already", blob.digest),
    }
}

pub fn piece<'a>(writer: &BlobWriter, data: &'a [u8], index: u64) -> &'a [u8] {
    let range = writer.range(index);
    &data[range.start as usize..range.end as usize]
}

/// Fills what is missing, and publishes.
pub fn finish(writer: BlobWriter, data: &[u8]) -> Result<Blob, StoreError> {
    fill(&writer, data)?;
    writer.commit(None, source())
}

/// Verifies what an earlier run had hashed, then writes what is missing in random order and hashes all of it.
pub fn fill(writer: &BlobWriter, data: &[u8]) -> Result<(), StoreError> {
    verify_resumed(writer)?;
    loop {
        let mut missing: Vec<u64> = writer.missing().into_iter().flatten().collect();
        fastrand::shuffle(&mut missing);
        for index in missing {
            writer.write_and_hash(index, piece(writer, data, index))?;
        }
        if writer.advance_from_disk()? == Advance::Complete || writer.missing().is_empty() {
            return Ok(());
        }
    }
}

/// What is corrupt of what an earlier run had hashed.
pub fn verify_resumed(writer: &BlobWriter) -> Result<Vec<u64>, StoreError> {
    let corrupt = writer.verify_resumed(Progress { bytes: &|_| {}, cancel: &CancellationToken::new() })?;
    Ok(corrupt.into_iter().flatten().collect())
}

/// Writers under one lease that are full and hashed: what can be published as a group.
pub struct Group(Vec<BlobWriter>);

impl Group {
    /// Of each content that is not in the store yet.
    pub fn filled(store: &Store, contents: &[Vec<u8>]) -> Result<Self, StoreError> {
        let lease = std::sync::Arc::new(store.lease()?);
        let mut filled = Vec::new();
        for data in contents {
            if let Acquired::Writer(writer) = store.begin_ingest(request(data), &lease, &quick())? {
                fill(&writer, data)?;
                filled.push(*writer);
            }
        }
        Ok(Self(filled))
    }

    pub fn of(filled: Vec<BlobWriter>) -> Self {
        Self(filled)
    }

    pub fn commit(self) -> Vec<Result<Blob, StoreError>> {
        let complete = |writer| Complete { writer, expected: None, source: Some(source().into()) };
        commit_all(self.0.iter().map(complete).collect())
    }

    pub fn commit_all(self) -> Vec<Blob> {
        self.commit().into_iter().map(Result::unwrap).collect()
    }
}

/// Contents whose blobs are in the folders of these numbers. The first and every other one after it is longer than a
/// segment and arrives as a partial; those between them arrive loose.
pub fn contents_in(folders: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let lengths = [SEGMENT_LEN + 99, 99].into_iter().cycle();
    let in_folder = |((seed, folder), len): ((u64, &u8), u64)| {
        let mut data = content(seed, len);
        let mut begun = SequentialHasher::new(len + 8, false);
        begun.update(&data);
        let is_in_folder = |end: &u64| {
            let mut hasher = begun.clone();
            hasher.update(&end.to_le_bytes());
            hasher.finish().0.as_bytes()[0] == *folder
        };
        data.extend((0..).find(is_in_folder).unwrap().to_le_bytes());
        data
    };
    (seed * 100..).zip(folders).zip(lengths).map(in_folder).collect()
}

/// Makes sure that the store has a blob of this content.
pub fn put(store: &Store, data: &[u8]) -> Result<Blob, StoreError> {
    match store.begin_ingest(request(data), &std::sync::Arc::new(store.lease()?), &quick())? {
        Acquired::Present(blob) => Ok(blob),
        Acquired::Writer(writer) => finish(*writer, data),
    }
}

/// Imports blobs of another store with these contents; the first failure is that of all.
pub fn import_from(store: &Store, other: &Store, contents: &[&[u8]]) -> Result<(), StoreError> {
    try_import(store, other, contents)?.into_iter().try_for_each(|result| result.map(drop))
}

pub fn try_import(store: &Store, other: &Store, contents: &[&[u8]]) -> Result<Vec<Result<Imported, StoreError>>, StoreError> {
    let wanted: Vec<BlobToImport> = contents.iter().map(|data| to_import(data)).collect();
    store.import_from(other, &wanted, &store.lease()?, &|_| {}, &CancellationToken::new())
}

pub fn to_import(data: &[u8]) -> BlobToImport {
    let (digest, size, source) = (sha256_of(data), data.len() as u64, Some(source().into()));
    BlobToImport { digest, size, blake3: None, git_sha1: None, trust: Trust::Sha256Upstream, source }
}

pub fn view(name: &str) -> ViewKey {
    ViewKey { model: name.parse().unwrap(), format: "gguf".parse().unwrap(), quant: Some("q4_k_m".parse().unwrap()) }
}

pub fn files(digests: &[(Sha256Digest, u64)]) -> Vec<ViewFile> {
    let file = |(index, (sha256, size)): (usize, &(Sha256Digest, u64))| {
        let path: RelPath = format!("part-{index}.gguf").parse().unwrap();
        ViewFile { path, sha256: *sha256, size: *size }
    };
    digests.iter().enumerate().map(file).collect()
}

pub fn files_of(blob: &Blob) -> Vec<ViewFile> {
    files(&[(blob.digest, blob.size)])
}

pub fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

/// A collection as it would be in some days.
pub fn collect_in(store: &Store, later: Duration) -> Result<GcReport, StoreError> {
    store.collector(false, &quick())?.collect(GcOptions::default(), SystemTime::now() + later)
}

pub const NO_GRACE: GcOptions = GcOptions { grace: Duration::ZERO, partial_age: Duration::from_secs(7 * 24 * 3600) };

/// Lengths at which something changes.
pub const LENGTHS: [u64; 10] = [
    0,
    1,
    1023,
    SEGMENT_LEN - 1,
    SEGMENT_LEN,
    SEGMENT_LEN + 1,
    2 * SEGMENT_LEN,
    3 * SEGMENT_LEN,
    5 * SEGMENT_LEN + 17,
    8 * SEGMENT_LEN - 1,
];

/// A lease for one call; what the call returns holds on to it.
pub fn lease(store: &Store) -> std::sync::Arc<model_manager::store::Lease> {
    std::sync::Arc::new(store.lease().unwrap())
}
