//! Repairs a damaged blob: good segments are copied, so that only the damaged ones have to be fetched.
//!
//! The damaged file is not written to. A new one is filled beside it, segment by segment: those that still have their
//! recorded value come from the old file, the others are for the caller to fetch. The whole is published only when its
//! SHA-256 is right, in the place of the old one.

use super::{
    Acquired, BlobWriter, Lease, Progress, Result, Store, StoreError, Wait,
    format::Trust,
    ingest::writer::BlobRequest,
    layout::{Dir, IngestKey},
};
use crate::{
    digest::{Sha256Digest, segment_value},
    disk::{self, Open},
};
use std::{path::Path, sync::Arc};

impl Store {
    /// Begins the repair of a blob of `size` bytes whose content may be wrong, missing, or too short. `damaged` is a file
    /// that has some of its bytes: the blob itself or a copy. What the writer misses afterwards is to be fetched.
    pub fn begin_repair(
        &self,
        digest: &Sha256Digest,
        size: u64,
        damaged: &Path,
        lease: &Arc<Lease>,
        wait: &Wait,
        progress: Progress<'_>,
    ) -> Result<Box<BlobWriter>> {
        if !self.locks_work() {
            return Err(StoreError::NoSafeCollection { path: self.layout().root().to_owned() });
        }
        // The digest is that of our own records: what confirms it is in the record of the blob, and stays.
        let request = BlobRequest { key: IngestKey::Sha256(*digest), size, what: digest.to_string(), trust: Trust::Tofu };
        let Acquired::Writer(writer) = self.begin_replace(request, lease, wait)? else {
            return Err(StoreError::Vanished(*digest));
        };
        let recorded = self.meta(digest)?.filter(|meta| meta.size == size);
        let values = recorded.map(|meta| self.segment_values(digest, &meta)).transpose()?.flatten();
        let file = disk::absent_is_none(self.disk().open(damaged, Open::Read))?;
        if let (Some(values), Some(file)) = (values, file) {
            let mut buffer = Vec::new();
            for index in 0..writer.segments() {
                if progress.cancel.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let range = writer.range(index);
                buffer.resize((range.end - range.start) as usize, 0);
                // A read error is damage like any other.
                let whole = file.read_at(&mut buffer, range.start).is_ok_and(|got| got == buffer.len());
                if whole && !writer.has(index) && segment_value(index, size, &buffer) == values[index as usize] {
                    writer.write(index, &buffer)?;
                }
                (progress.bytes)(range.end);
            }
        }
        Ok(writer)
    }

    /// Puts a blob aside that cannot be repaired, so that nothing takes it for good. Tells where it is now.
    pub fn quarantine(&self, digest: &Sha256Digest, wait: &Wait) -> Result<Option<std::path::PathBuf>> {
        self.require_writable()?;
        let _lock = self.lock_blob(&IngestKey::Sha256(*digest), "a damaged blob", wait)?;
        let _shared = self.shared()?;
        let aside = self.layout().set_aside(digest);
        match self.disk().rename_new(&self.layout().blob(digest), &aside) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        self.disk().remove_if_there(&self.layout().damage(digest))?;
        self.disk().sync_dir(&self.layout().dir(Dir::Damaged))?;
        if let Some(shard) = self.layout().blob(digest).parent() {
            self.disk().sync_dir(shard)?;
        }
        Ok(Some(aside))
    }
}
