//! How bytes become a blob.
//!
//! A [`BlobWriter`] owns the making of one blob: its lock, the staged bytes, which are in a partial download or, for a small
//! file, in a temporary file, and the hash cursor. Threads write whole segments in any order. SHA-256 is computed in order,
//! from memory where the next segment was just written, and by reading back where it came early. A segment that is read
//! back is compared with its value, and a recorded segment is never overwritten with other content, so the hash at the end
//! is of what the disk holds. The cursor: `cursor.rs`. How the finished file gets its name: `publish.rs`.

use crate::store::{
    Blob, FileLock, Store, Wait, check,
    error::{Result, StoreError},
    format::{Provenance, Trust},
    ingest::borrowed::Borrowed,
    ingest::cursor::HashCursor,
    ingest::journal::{self, JournalState, Origin},
    ingest::partial::{PartialDir, remove_partial},
    ingest::publish::Finished,
    ingest::staging::Staging,
    layout::IngestKey,
    lease::Lease,
};
use crate::{
    digest::{GitSha1, LONGEST_FILE, SegmentValue, Sha256Digest, ranges, segment_count, segment_range, segment_value},
    disk::{self, LockKind},
    event::Event,
};
use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A blob that is to be made.
#[derive(Debug, Clone)]
pub struct BlobRequest {
    /// What is known of the content.
    pub key: IngestKey,
    /// Its length in bytes.
    pub size: u64,
    /// The file, as a person would name it.
    pub what: String,
    /// What content that fits the key is trusted by: who published the key, if anybody did.
    pub trust: Trust,
}

/// What became of a [`BlobRequest`].
#[derive(Debug)]
pub enum Acquired {
    /// The blob is there; nothing to do.
    Present(Blob),
    /// It is to be filled by the caller, who alone may do so.
    Writer(Box<BlobWriter>),
}

/// A blob in the making, and the right to fill it.
#[must_use = "the lock of the blob is released when this value is dropped"]
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    request: BlobRequest,
    pub(in crate::store) staging: Staging,
    pub(in crate::store) cursor: HashCursor,
    /// The value of each segment that is there.
    records: Mutex<Vec<Option<SegmentValue>>>,
    /// Which of them were filled from other blobs.
    pub(in crate::store) borrowed: Mutex<Borrowed>,
    /// File systems let one thread write to a file at a time, and those that wait for their turn there spin.
    pub(in crate::store) turn: Mutex<()>,
    /// Set, in turn, when all of it was hashed and it is about to be published: after that no byte is written.
    pub(in crate::store) closed: AtomicBool,
    published: AtomicBool,
    /// Set when what arrived is known to be of no use.
    refused: AtomicBool,
    resumed: u64,
    lock: Mutex<Option<FileLock>>,
    lease: Arc<Lease>,
    replaces: bool,
}

impl Store {
    /// Finds the blob, or begins or resumes making it. Waits while another process makes it, and then uses what that process
    /// made. Whatever blob it becomes is under `lease` before it is published.
    pub fn begin_ingest(&self, request: BlobRequest, lease: &Arc<Lease>, wait: &Wait) -> Result<Acquired> {
        self.begin(request, lease, wait, false)
    }

    /// Begins or resumes making a blob that may be present, and publishes it in the place of what is there.
    pub fn begin_replace(&self, request: BlobRequest, lease: &Arc<Lease>, wait: &Wait) -> Result<Acquired> {
        self.begin(request, lease, wait, true)
    }

    fn begin(&self, request: BlobRequest, lease: &Arc<Lease>, wait: &Wait, replace: bool) -> Result<Acquired> {
        if request.size > LONGEST_FILE {
            return Err(StoreError::TooLong { what: request.what, size: request.size });
        }
        let present = || if replace { Ok(None) } else { self.present(&request) };
        if let Some(blob) = present()? {
            return Ok(Acquired::Present(blob));
        }
        self.require_writable()?;
        if !self.locks_work() {
            // Two writers must never meet in one file; what the content must be is still decided by the key.
            let replaces = replace || self.is_cut(&request)?;
            let writer = BlobWriter::open(self.clone(), request, &IngestKey::private(), None, lease.clone(), replaces)?;
            return Ok(Acquired::Writer(Box::new(writer)));
        }
        let lock = self.lock_to_fill(&request, wait)?;
        if let Some(blob) = present()? {
            return Ok(Acquired::Present(blob));
        }
        let key = request.key;
        let replaces = replace || self.is_cut(&request)?;
        let writer = BlobWriter::open(self.clone(), request, &key, Some(lock), lease.clone(), replaces)?;
        Ok(Acquired::Writer(Box::new(writer)))
    }

    /// Locks a blob that is to be made. While another process makes it, tells how far that is, by its journal: without a lock,
    /// so it may be of a moment ago.
    fn lock_to_fill(&self, request: &BlobRequest, wait: &Wait) -> Result<FileLock> {
        let told = Cell::new(false);
        let tell = |done| {
            let (file, size) = (request.what.clone(), request.size);
            wait.reporter.event(&Event::Awaited { file, done, size });
        };
        let watch = || {
            // What cannot be read is no progress; whatever is wrong with it is met under the lock.
            if let Ok(done @ 1..) = self.held(&request.key, request.size)
                && done < request.size
            {
                told.set(true);
                tell(done);
            }
        };
        let path = self.layout().blob_lock(&request.key);
        let lock = self.acquire_watching(&path, LockKind::Exclusive, &request.what, wait, &watch);
        if told.get() {
            // From here on it is a file of this process, or of nobody.
            tell(request.size);
        }
        lock
    }

    /// Bytes of an interrupted download of this key and size, by the segments that its journal records.
    pub fn held(&self, key: &IngestKey, size: u64) -> Result<u64> {
        let paths = self.layout().partial(key);
        if self.disk().find(&paths.data)?.is_none_or(|stat| stat.len != size) {
            return Ok(0);
        }
        let Some(journal) = self.read_record(&paths.journal, crate::store::format::LONG_RECORD)? else { return Ok(0) };
        Ok(journal::held(&journal, size, &disk::boot_id()))
    }

    /// Bytes that a writer of this key and size must still reserve on the volume.
    pub fn required_space(&self, key: &IngestKey, size: u64) -> u64 {
        size.saturating_sub(self.partial_size(key))
    }

    /// Bytes that an interrupted download takes on the volume.
    pub fn partial_size(&self, key: &IngestKey) -> u64 {
        let data = self.disk().find(&self.layout().partial(key).data);
        data.ok().flatten().map_or(0, |stat| stat.allocated)
    }

    /// Drops an interrupted download that no process is filling, and tells how many bytes that gave back.
    pub fn drop_partial(&self, key: &IngestKey) -> Result<u64> {
        let paths = self.layout().partial(key);
        if !self.locks_work() || self.disk().find(&paths.dir)?.is_none() {
            return Ok(0);
        }
        let lock = self.layout().blob_lock(key);
        let Some(_lock) = self.try_acquire(&lock, LockKind::Exclusive)? else { return Ok(0) };
        let allocated = self.partial_size(key);
        remove_partial(self, &paths)?;
        Ok(allocated)
    }

    fn present(&self, request: &BlobRequest) -> Result<Option<Blob>> {
        match &request.key {
            IngestKey::Sha256(digest) => self.find_whole(digest, Some(request.size)),
            _ => Ok(None),
        }
    }

    /// Whether something that is not the whole blob has its name.
    fn is_cut(&self, request: &BlobRequest) -> Result<bool> {
        match &request.key {
            IngestKey::Sha256(digest) => Ok(self.find(digest)?.is_some() && self.present(request)?.is_none()),
            _ => Ok(false),
        }
    }
}

impl BlobWriter {
    fn open(
        store: Store,
        request: BlobRequest,
        key: &IngestKey,
        lock: Option<FileLock>,
        lease: Arc<Lease>,
        replaces: bool,
    ) -> Result<Self> {
        let (staging, JournalState { records, borrowed, midstates, .. }) = if Staging::is_temp_file(request.size) {
            store.require_space(request.size)?;
            (Staging::TempFile(OnceLock::new()), JournalState::empty(request.size))
        } else {
            let (partial, found) = PartialDir::open(&store, &request, key)?;
            (Staging::Partial(partial), found)
        };
        let mut writer = Self {
            store,
            cursor: HashCursor::new(request.size, &request.key, midstates),
            request,
            staging,
            records: Mutex::new(records),
            borrowed: Mutex::new(Borrowed::new(borrowed)),
            turn: Mutex::new(()),
            closed: AtomicBool::new(false),
            published: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            resumed: 0,
            lock: Mutex::new(lock),
            lease,
            replaces,
        };
        writer.resumed = writer.held();
        Ok(writer)
    }

    /// What it was asked for.
    pub fn request(&self) -> &BlobRequest {
        &self.request
    }
    /// The length of the finished file.
    pub fn size(&self) -> u64 {
        self.request.size
    }
    /// Number of segments of the finished file.
    pub fn segments(&self) -> u64 {
        segment_count(self.request.size)
    }
    /// Which published hash confirms it when it is complete. `expected` is a published SHA-256 that is not the key. A key
    /// proves no more than what it is.
    pub fn trust(&self, expected: Option<Sha256Digest>) -> Trust {
        match (&self.request.key, expected) {
            (IngestKey::Sha256(_), _) => self.request.trust,
            (_, Some(_)) => Trust::Sha256Upstream,
            (IngestKey::Git(_), None) => self.request.trust.at_most(Trust::GitSha1Upstream),
            (IngestKey::Version(_) | IngestKey::Private(_), None) => Trust::Tofu,
        }
    }
    /// Bytes that an earlier run left.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }
    /// Bytes of the segments that are there.
    pub fn held(&self) -> u64 {
        let records = self.records();
        let held = records.iter().enumerate().filter(|(_, record)| record.is_some());
        held.map(|(index, _)| self.range(index as u64)).map(|range| range.end - range.start).sum()
    }
    /// The segments that are missing, as ranges of segment numbers.
    pub fn missing(&self) -> Vec<std::ops::Range<u64>> {
        ranges((0..).zip(self.records().iter()).filter(|(_, record)| record.is_none()).map(|(index, _)| index))
    }
    /// Whether a segment is there.
    pub fn has(&self, index: u64) -> bool {
        self.records().get(index as usize).is_some_and(Option::is_some)
    }
    /// The bytes that a segment covers.
    pub fn range(&self, index: u64) -> std::ops::Range<u64> {
        segment_range(index, self.request.size)
    }

    /// Writes one whole segment and records it. Threads may write different segments at once.
    ///
    /// `false` where it is recorded with other content: that stays, for it may have been hashed already, and what is
    /// published must be what was hashed. Which of the two is right the hash of the whole decides.
    pub fn write(&self, index: u64, data: &[u8]) -> Result<bool> {
        self.write_from(index, data, Origin::Source)
    }

    /// The same for a segment of which bytes were copied from another blob: it is missing again where the hash of the whole
    /// turns out to be wrong.
    pub fn write_borrowed(&self, index: u64, data: &[u8]) -> Result<bool> {
        self.write_from(index, data, Origin::Blob)
    }

    fn write_from(&self, index: u64, data: &[u8], origin: Origin) -> Result<bool> {
        let range = self.range(index);
        assert_eq!(data.len() as u64, range.end - range.start, "a whole segment is written at once");
        let value = segment_value(index, self.request.size, data);
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let recorded = self.records()[index as usize];
            if recorded.is_some_and(|recorded| recorded != value) {
                return Ok(false);
            }
            if self.closed.load(Ordering::Relaxed) {
                return Ok(true);
            }
            // Recorded again where it was recorded: what a sync proved is overwritten, and has to be synced again.
            self.staging.write(&self.store, index, data, (&value, origin))?;
            self.records()[index as usize] = Some(value);
            self.borrowed().note(index, &value, origin, data.len() as u64);
        }
        if let Some(file) = self.staging.data() {
            file.start_writeback(range.start, data.len() as u64);
        }
        Ok(true)
    }

    /// Makes everything recorded so far survive a power loss.
    pub fn checkpoint(&self) -> Result<()> {
        self.staging.checkpoint(&self.store)
    }

    /// Says that this is not the requested file: when the writer is dropped, what arrived goes with it.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// What is to be published. `expected` is checked besides the key; wrong content is dropped.
    pub(in crate::store) fn finish(&self, expected: Option<Sha256Digest>, source: Option<Provenance>) -> Result<Finished<'_>> {
        let incomplete = |missing| StoreError::Incomplete { key: self.request.key, missing };
        let hasher = self.take_hasher().map_err(incomplete)?;
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.closed.store(true, Ordering::Relaxed);
        }
        let (digest, git) = hasher.finish();
        if let Err(error) = self.check_digests(digest, git, expected) {
            // Only what was copied from other blobs is in doubt.
            if let Some(given_back) = self.give_back_borrowed() {
                return Err(given_back);
            }
            // If dropping it fails, the mismatch is still the error to report: the next run finds it again.
            let _ = self.staging.remove(&self.store);
            return Err(error);
        }
        let trust = self.trust(expected);
        let values = self.records().iter().flatten().copied().collect();
        let (size, replaces) = (self.request.size, self.replaces);
        let (path, data) = self.staging.file(&self.store)?;
        let sources = source.into_iter().collect();
        Ok(Finished { data, path, digest, values, size, trust, sources, replaces, is_durable: false, keeps_mode: false })
    }

    /// Drops what is left when the data has its name as a blob, and releases the lock.
    pub(in crate::store) fn end(&self) -> Result<()> {
        self.staging.remove(&self.store)?;
        self.published.store(true, Ordering::Relaxed);
        // Who waits for this blob need not wait for the rest of what this process does.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }

    pub(in crate::store) fn store(&self) -> &Store {
        &self.store
    }
    pub(in crate::store) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    fn check_digests(&self, sha256: Sha256Digest, git: Option<GitSha1>, expected: Option<Sha256Digest>) -> Result<()> {
        let mismatch =
            |expected: String, actual: String| Err(StoreError::Mismatch { what: self.request.what.clone(), expected, actual });
        match self.request.key {
            IngestKey::Sha256(key) if key != sha256 => return mismatch(format!("sha256 {key}"), format!("sha256 {sha256}")),
            IngestKey::Git(key) if Some(key) != git => {
                return mismatch(
                    format!("git blob {key}"),
                    format!("git blob {}", git.map_or_else(String::new, |git| git.to_string())),
                );
            }
            _ => {}
        }
        match expected {
            Some(expected) if expected != sha256 => mismatch(format!("sha256 {expected}"), format!("sha256 {sha256}")),
            _ => Ok(()),
        }
    }

    /// The first segment, where it is there as it was recorded.
    pub fn head(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = Vec::new();
        Ok((self.segments() > 0 && self.read_segment(0, &mut buffer)?).then_some(buffer))
    }

    /// Reads a segment into `buffer`; `false` where it is not there as it was recorded.
    pub fn read_segment(&self, index: u64, buffer: &mut Vec<u8>) -> Result<bool> {
        Ok(self.has(index) && self.read(index, buffer)?)
    }

    /// Reads a segment back. `false` when it is not what was written: its record is dropped then.
    pub(in crate::store) fn read_back(&self, index: u64, buffer: &mut Vec<u8>) -> Result<bool> {
        while !self.read(index, buffer)? {
            if self.drop_record(index) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a segment. `false` when it is not what is recorded, or nothing is.
    fn read(&self, index: u64, buffer: &mut Vec<u8>) -> Result<bool> {
        let Some(value) = self.records()[index as usize] else { return Ok(false) };
        let range = self.range(index);
        buffer.resize((range.end - range.start) as usize, 0);
        let Some(data) = self.staging.data() else { return Ok(false) };
        let got = data.read_at(buffer, range.start)?;
        Ok(got == buffer.len() && segment_value(index, self.request.size, buffer) == value)
    }

    /// Drops the record of a segment that was found corrupt. `false` where it is not after all: it may have been written
    /// again since it was read, and no task would fetch it.
    pub(in crate::store) fn drop_record(&self, index: u64) -> bool {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(recorded) = self.records()[index as usize] else { return true };
        let mut buffer = check::read_buffer(self.request.size);
        let value = self.staging.data().and_then(|data| check::value_of(data, index, self.request.size, &mut buffer));
        let is_corrupt = value != Some(recorded);
        if is_corrupt {
            self.records()[index as usize] = None;
            self.borrowed().forget(index);
        }
        is_corrupt
    }

    pub(in crate::store) fn records(&self) -> MutexGuard<'_, Vec<Option<SegmentValue>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlobWriter {
    /// What never began leaves nothing behind, and neither does what no process can resume.
    fn drop(&mut self) {
        let lock = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let records = self.records.get_mut().unwrap_or_else(PoisonError::into_inner);
        let began = records.iter().any(Option::is_some);
        let refused = self.refused.load(Ordering::Relaxed);
        let is_of_use = self.staging.is_resumable() && (lock.is_none() || (began && !refused));
        if !self.published.load(Ordering::Relaxed) && !is_of_use {
            // What cannot be removed is abandoned, and a later collection takes it.
            let _ = self.staging.remove(&self.store);
        }
    }
}
