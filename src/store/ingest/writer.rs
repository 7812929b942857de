//! How bytes become a blob.
//!
//! An [`Intake`] owns one download: its lock, and the place of its bytes, which is a partial or, for a small file, a
//! temporary file. Threads write whole segments in any order; a [`Front`] follows from the first byte to the last and
//! computes SHA-256 as it goes, from memory where the next segment was just written and by reading back where it came
//! early. Reading back compares with the segment's value, and what is claimed is never overwritten by anything else, so
//! the hash at the end is of what the disk holds.
//! How the finished file gets its name: `publish.rs`.

use crate::store::{
    Blob, Store, check,
    error::{Result, StoreError},
    format::{Provenance, Trust},
    ingest::hash::{Front, Notes, ranges},
    ingest::journal::{self, Found},
    ingest::partial::{PartialDir, remove_ingest_dir},
    ingest::publish::Finished,
    ingest::staging::Place,
    layout::IntakeKey,
    lease::Lease,
    lock::{FileLock, Wait},
};
use crate::{
    digest::{GitSha1, LONGEST_FILE, SegmentValue, Sha256Digest, segment_count, segment_range, segment_value},
    disk::{self, LockKind},
};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What is wanted of the store.
#[derive(Debug, Clone)]
pub struct Want {
    /// What is known of the content.
    pub key: IntakeKey,
    /// Its length in bytes.
    pub size: u64,
    /// The file, as a person would name it.
    pub what: String,
    /// What content that fits the key is vouched for by: who published the key, if anybody did.
    pub trust: Trust,
}

/// The answer to a [`Want`].
#[derive(Debug)]
pub enum Admission {
    /// The blob is there; nothing to do.
    Present(Blob),
    /// It is to be filled by the caller, who alone may do so.
    Open(Box<Intake>),
}

/// A download and the right to fill it.
#[must_use = "the lock of the download is released when this value is dropped"]
#[derive(Debug)]
pub struct Intake {
    store: Store,
    want: Want,
    pub(in crate::store) place: Place,
    pub(in crate::store) notes: Notes,
    claims: Mutex<Vec<Option<SegmentValue>>>,
    /// File systems let one thread write to a file at a time, and those that wait for their turn there spin.
    turn: Mutex<()>,
    /// Set, in turn, when all of it was hashed and it is about to be published: after that no byte is written.
    closed: AtomicBool,
    published: AtomicBool,
    /// Set when what arrived is known to be of no use.
    refused: AtomicBool,
    resumed: u64,
    lock: Mutex<Option<FileLock>>,
    lease: Arc<Lease>,
    replaces: bool,
}

impl Store {
    /// Finds the blob, or begins or resumes the download that makes it. Waits while another process downloads it, and
    /// then uses what that process made. Whatever blob it becomes is under `lease` before it is published.
    pub fn admit(&self, want: Want, lease: &Arc<Lease>, wait: &Wait) -> Result<Admission> {
        self.admit_as(want, lease, wait, false)
    }

    /// Begins or resumes a download of what may be present, and publishes it in the place of what is there.
    pub fn admit_again(&self, want: Want, lease: &Arc<Lease>, wait: &Wait) -> Result<Admission> {
        self.admit_as(want, lease, wait, true)
    }

    fn admit_as(&self, want: Want, lease: &Arc<Lease>, wait: &Wait, again: bool) -> Result<Admission> {
        if want.size > LONGEST_FILE {
            return Err(StoreError::TooLong { what: want.what, size: want.size });
        }
        let present = || if again { Ok(None) } else { self.present(&want) };
        if let Some(blob) = present()? {
            return Ok(Admission::Present(blob));
        }
        self.require_writable()?;
        if !self.locks_work() {
            // Two writers must never meet in one file; what the content must be is still decided by the key.
            let replaces = again || self.is_cut(&want)?;
            let intake = Intake::open(self.clone(), want, &IntakeKey::private(), None, lease.clone(), replaces)?;
            return Ok(Admission::Open(Box::new(intake)));
        }
        let lock = self.lock_blob(&want.key, &want.what, wait)?;
        if let Some(blob) = present()? {
            return Ok(Admission::Present(blob));
        }
        let key = want.key;
        let replaces = again || self.is_cut(&want)?;
        let intake = Intake::open(self.clone(), want, &key, Some(lock), lease.clone(), replaces)?;
        Ok(Admission::Open(Box::new(intake)))
    }

    /// Bytes of an interrupted download of this key and size. Counts what its journal claims.
    pub fn held(&self, key: &IntakeKey, size: u64) -> Result<u64> {
        let dir = self.layout().ingest(key);
        if self.disk().find(&dir.join("data"))?.is_none_or(|stat| stat.len != size) {
            return Ok(0);
        }
        let Some(journal) = self.read_record(&dir.join("journal"), crate::store::format::LONG_RECORD)? else { return Ok(0) };
        Ok(journal::held(&journal, size, &disk::boot_id()))
    }

    /// Bytes that an intake of this key and size must still reserve on the volume.
    pub fn room_for(&self, key: &IntakeKey, size: u64) -> u64 {
        size.saturating_sub(self.partial_size(key))
    }

    /// Bytes that an interrupted download takes on the volume.
    pub fn partial_size(&self, key: &IntakeKey) -> u64 {
        let data = self.disk().find(&self.layout().ingest(key).join("data"));
        data.ok().flatten().map_or(0, |stat| stat.allocated)
    }

    /// Drops an interrupted download that no process is filling, and tells how many bytes that gave back.
    pub fn drop_partial(&self, key: &IntakeKey) -> Result<u64> {
        let dir = self.layout().ingest(key);
        if !self.locks_work() || self.disk().find(&dir)?.is_none() {
            return Ok(0);
        }
        let lock = self.layout().blob_lock(key);
        let Some(_lock) = self.try_acquire(&lock, LockKind::Exclusive)? else { return Ok(0) };
        let allocated = self.partial_size(key);
        remove_ingest_dir(self, &dir)?;
        Ok(allocated)
    }

    fn present(&self, want: &Want) -> Result<Option<Blob>> {
        match &want.key {
            IntakeKey::Sha256(digest) => self.find_whole(digest, Some(want.size)),
            _ => Ok(None),
        }
    }

    /// Whether something that is not the whole blob has its name.
    fn is_cut(&self, want: &Want) -> Result<bool> {
        match &want.key {
            IntakeKey::Sha256(digest) => Ok(self.find(digest)?.is_some() && self.present(want)?.is_none()),
            _ => Ok(false),
        }
    }
}

impl Intake {
    fn open(store: Store, want: Want, key: &IntakeKey, lock: Option<FileLock>, lease: Arc<Lease>, replaces: bool) -> Result<Self> {
        let (place, Found { claims, midstates, .. }) = if Place::is_loose(want.size) {
            store.require_space(want.size)?;
            (Place::Loose(OnceLock::new()), Found::nothing(want.size))
        } else {
            let (partial, found) = PartialDir::open(&store, &want, key)?;
            (Place::Partial(partial), found)
        };
        let mut intake = Self {
            store,
            want,
            place,
            notes: Notes::new(midstates),
            claims: Mutex::new(claims),
            turn: Mutex::new(()),
            closed: AtomicBool::new(false),
            published: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            resumed: 0,
            lock: Mutex::new(lock),
            lease,
            replaces,
        };
        intake.resumed = intake.held();
        Ok(intake)
    }

    /// What is being taken in.
    pub fn want(&self) -> &Want {
        &self.want
    }
    /// The length of the finished file.
    pub fn size(&self) -> u64 {
        self.want.size
    }
    /// Number of segments of the finished file.
    pub fn segments(&self) -> u64 {
        segment_count(self.want.size)
    }
    /// What it will be vouched for by when it is complete. `expected` is a published SHA-256 that is not the key. A key
    /// proves no more than what it is.
    pub fn trust(&self, expected: Option<Sha256Digest>) -> Trust {
        match (&self.want.key, expected) {
            (IntakeKey::Sha256(_), _) => self.want.trust,
            (_, Some(_)) => Trust::Sha256Upstream,
            (IntakeKey::Git(_), None) => self.want.trust.at_most(Trust::GitSha1Upstream),
            (IntakeKey::Private(_), None) => Trust::Tofu,
        }
    }
    /// Bytes that an earlier run left.
    pub fn resumed(&self) -> u64 {
        self.resumed
    }
    /// Bytes that are claimed now.
    pub fn held(&self) -> u64 {
        let claims = self.claims();
        let held = claims.iter().enumerate().filter(|(_, claim)| claim.is_some());
        held.map(|(index, _)| self.range(index as u64)).map(|range| range.end - range.start).sum()
    }
    /// The segments that are not claimed, as ranges of segment numbers.
    pub fn missing(&self) -> Vec<std::ops::Range<u64>> {
        ranges((0..).zip(self.claims().iter()).filter(|(_, claim)| claim.is_none()).map(|(index, _)| index))
    }
    /// Whether a segment is claimed.
    pub fn has(&self, index: u64) -> bool {
        self.claims().get(index as usize).is_some_and(Option::is_some)
    }
    /// The bytes that a segment covers.
    pub fn range(&self, index: u64) -> std::ops::Range<u64> {
        segment_range(index, self.want.size)
    }

    /// Writes one whole segment and claims it. Threads may write different segments at once.
    ///
    /// `false` where it is claimed with other content: that stays, for it may have been hashed already, and what is
    /// published must be what was hashed. Which of the two is right the hash of the whole decides.
    pub fn write(&self, index: u64, data: &[u8]) -> Result<bool> {
        let range = self.range(index);
        assert_eq!(data.len() as u64, range.end - range.start, "a whole segment is written at once");
        let value = segment_value(index, self.want.size, data);
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let claim = self.claims()[index as usize];
            if claim.is_some_and(|claim| claim != value) {
                return Ok(false);
            }
            if self.closed.load(Ordering::Relaxed) {
                return Ok(true);
            }
            // Claimed anew where it was claimed: what a sync proved is overwritten, and has to be synced again.
            self.place.write(&self.store, index, data, &value)?;
            self.claims()[index as usize] = Some(value);
        }
        if let Some(file) = self.place.data() {
            file.start_writeback(range.start, data.len() as u64);
        }
        Ok(true)
    }

    /// Makes everything claimed so far survive a power loss.
    pub fn checkpoint(&self) -> Result<()> {
        self.place.checkpoint(&self.store)
    }

    /// Says that this is not the file that is wanted: when the intake is dropped, what arrived goes with it.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// What is to be published. `expected` is checked besides the key; wrong content is dropped.
    pub(in crate::store) fn finish(
        &self,
        front: Front,
        expected: Option<Sha256Digest>,
        source: Option<Provenance>,
    ) -> Result<Finished<'_>> {
        let missing = self.segments() - front.next() + front.unproven(self);
        if missing > 0 {
            return Err(StoreError::Incomplete { key: self.want.key, missing });
        }
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.closed.store(true, Ordering::Relaxed);
        }
        let (digest, git) = front.into_hasher().finish();
        if let Err(error) = self.check_digests(digest, git, expected) {
            // If dropping it fails, the mismatch is still the error to tell: the next run finds it again.
            let _ = self.place.remove(&self.store);
            return Err(error);
        }
        let trust = self.trust(expected);
        let values = self.claims().iter().flatten().copied().collect();
        let (size, replaces) = (self.want.size, self.replaces);
        let (path, data) = self.place.file(&self.store)?;
        Ok(Finished { data, path, digest, values, size, trust, source, replaces })
    }

    /// Drops what is left when the data has its name as a blob, and lets go of the lock.
    pub(in crate::store) fn end(&self) -> Result<()> {
        self.place.remove(&self.store)?;
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
            |expected: String, actual: String| Err(StoreError::Mismatch { what: self.want.what.clone(), expected, actual });
        match self.want.key {
            IntakeKey::Sha256(key) if key != sha256 => return mismatch(format!("sha256 {key}"), format!("sha256 {sha256}")),
            IntakeKey::Git(key) if Some(key) != git => {
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

    /// The first segment, where it is there as it was claimed.
    pub fn head(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = Vec::new();
        Ok((self.has(0) && self.read(0, &mut buffer)?).then_some(buffer))
    }

    /// Reads a claimed segment back. `false` when it is not what was written: its claim is dropped then.
    pub(in crate::store) fn read_back(&self, index: u64, buffer: &mut Vec<u8>) -> Result<bool> {
        while !self.read(index, buffer)? {
            if self.disclaim(index) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a segment. `false` when it is not what is claimed, or nothing is.
    fn read(&self, index: u64, buffer: &mut Vec<u8>) -> Result<bool> {
        let Some(value) = self.claims()[index as usize] else { return Ok(false) };
        let range = self.range(index);
        buffer.resize((range.end - range.start) as usize, 0);
        let Some(data) = self.place.data() else { return Ok(false) };
        let got = data.read_at(buffer, range.start)?;
        Ok(got == buffer.len() && segment_value(index, self.want.size, buffer) == value)
    }

    /// Drops the claim of a segment that was found damaged. `false` where it is not after all: it may have been written
    /// again since it was read, and would be missed by nobody.
    pub(in crate::store) fn disclaim(&self, index: u64) -> bool {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(claim) = self.claims()[index as usize] else { return true };
        let mut buffer = check::read_buffer(self.want.size);
        let value = self.place.data().and_then(|data| check::value_of(data, index, self.want.size, &mut buffer));
        let is_damaged = value != Some(claim);
        if is_damaged {
            self.claims()[index as usize] = None;
        }
        is_damaged
    }

    pub(in crate::store) fn claims(&self) -> MutexGuard<'_, Vec<Option<SegmentValue>>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Intake {
    /// What never began leaves nothing behind, and neither does what nobody can go on with.
    fn drop(&mut self) {
        let lock = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let claims = self.claims.get_mut().unwrap_or_else(PoisonError::into_inner);
        let began = claims.iter().any(Option::is_some);
        let refused = self.refused.load(Ordering::Relaxed);
        let is_of_use = self.place.is_resumable() && (lock.is_none() || (began && !refused));
        if !self.published.load(Ordering::Relaxed) && !is_of_use {
            // What cannot be removed is abandoned, and a later collection takes it.
            let _ = self.place.remove(&self.store);
        }
    }
}
