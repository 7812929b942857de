//! The folder of a partial download: its data and journal as a process left them, and how the whole goes away.

use crate::store::{
    Store,
    error::{Result, StoreError},
    format::{self, PartialRecord},
    ingest::journal::{self, Journal, JournalState},
    ingest::writer::BlobRequest,
    layout::{Dir, IngestKey, PartialPaths},
};
use crate::{
    digest::{SegmentValue, ranges, segment_range, segment_value},
    disk::{self, Disk, DiskError, DiskFile, Entry, Kind, Open, TEMP_PREFIX},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A partial download that this process fills.
#[derive(Debug)]
pub(in crate::store) struct PartialDir {
    pub(in crate::store) paths: PartialPaths,
    pub(in crate::store) data: Box<dyn DiskFile>,
    pub(in crate::store) journal: Journal,
    names_synced: AtomicBool,
    // The last, so that it is dropped when the files are closed.
    emptied: Emptied,
}

/// Segments that are written again before they are made durable together: 64 MiB.
const SYNCED_TOGETHER: u64 = 64;

/// A folder that could not go while the files in it were open: volumes without POSIX semantics keep their names until then.
#[derive(Debug, Default)]
struct Emptied(OnceLock<(Store, PathBuf)>);

impl Drop for Emptied {
    fn drop(&mut self) {
        if let Some((store, dir)) = self.0.take() {
            // A folder that stays is swept by a collection.
            let _ = store.disk().remove_dir(&dir);
        }
    }
}

impl PartialDir {
    /// Opens or begins the partial of `key`, with what its journal records. Its data has the full length afterwards.
    pub(in crate::store) fn open(store: &Store, request: &BlobRequest, key: &IngestKey) -> Result<(Self, JournalState)> {
        let disk = store.disk();
        let (dir_mode, file_mode) = (store.marker().folder_mode(), store.marker().file_mode());
        let paths = store.layout().partial(key);
        disk.create_dirs(&paths.dir, dir_mode)?;
        let recorded = store
            .read_record(&paths.record, format::SHORT_RECORD)?
            .and_then(|text| serde_json::from_slice::<PartialRecord>(&text).ok());
        if recorded.is_none_or(|recorded| recorded.size != request.size) {
            let record = PartialRecord { format: 1, size: request.size, what: request.what.clone(), begun: disk::timestamp() };
            // Durability begins with the first checkpoint; a record that is lost is written again.
            disk.replace_hint(&paths.record, &format::to_json(&record), file_mode, &paths.dir)?;
        }
        let text = match disk.read_at_most(&paths.journal, journal::longest(request.size)) {
            // What is longer than a journal of this file can be proves nothing.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                disk.remove_if_there(&paths.journal)?;
                None
            }
            text => text?,
        };
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            // A new file: any part of the old one may have failed to be written.
            disk.replace_small(&paths.journal, &text, file_mode, &paths.dir)?;
        }
        consume_pending_error(disk, &paths.data);
        let found = open_data(disk, &paths.data, file_mode)?;
        let journal = disk.open(&paths.journal, Open::CreateIfMissing(file_mode))?;
        require_single(&*journal, &paths.journal)?;
        let had_data = found.file.stat()?.len > 0;
        if found.file.stat()?.len != request.size {
            // The records are of another data file. They go before the length is right again and they look good.
            journal.set_len(0)?;
        }
        let (journal, mut read) = Journal::open(journal, request.size, &disk::boot_id())?;
        let data = match found.is_ours {
            true => found.file,
            false => take_over(store, &paths, &*found.file, request.size, &read.records)?,
        };
        let partial = Self { paths, data, journal, names_synced: AtomicBool::new(false), emptied: Emptied::default() };
        if let Err(error) = partial.reserve(store, request.size) {
            if read.records.iter().all(Option::is_none) {
                // What never began leaves nothing behind; if that fails too, the first error is the one to report.
                let paths = partial.paths.clone();
                drop(partial);
                let _ = remove_partial(store, &paths);
            }
            return Err(error);
        }
        if had_data {
            partial.write_again(store, request.size, &mut read)?;
        }
        Ok((partial, read))
    }

    /// Writes recorded segments that were not synced again, so that the syncs of this process prove them, and zeroes
    /// everything else that was not synced.
    ///
    /// Such data can be readable without being on the medium: a failed writeback is reported once, to any one process,
    /// and later syncs succeed unless the data is written again. A segment that does not match its record is missing.
    fn write_again(&self, store: &Store, size: u64, found: &mut JournalState) -> Result<()> {
        for missing in ranges((0..).zip(&found.records).filter(|(_, record)| record.is_none()).map(|(index, _)| index)) {
            let (start, end) = (segment_range(missing.start, size).start, segment_range(missing.end - 1, size).end);
            self.data.renew(start, end - start)?;
        }
        if found.unsynced.is_empty() {
            return Ok(());
        }
        let mut buffer = Vec::new();
        let mut written = 0;
        for index in std::mem::take(&mut found.unsynced) {
            let origin = found.origin(index);
            let Some(record) = found.records.get_mut(index as usize) else { continue };
            let range = segment_range(index, size);
            buffer.resize((range.end - range.start) as usize, 0);
            let is_whole = self.data.read_at(&mut buffer, range.start).is_ok_and(|got| got == buffer.len());
            self.data.renew(range.start, range.end - range.start)?;
            match record.filter(|value| is_whole && segment_value(index, size, &buffer) == *value) {
                Some(value) => {
                    self.data.write_at(&buffer, range.start)?;
                    self.journal.written(index, &value, origin)?;
                    self.data.start_writeback(range.start, buffer.len() as u64);
                    written += 1;
                    if written % SYNCED_TOGETHER == 0 {
                        self.checkpoint(store)?;
                    }
                }
                None => {
                    *record = None;
                    found.borrowed.remove(&index);
                }
            }
        }
        // A checkpoint holds only behind the records of its segments, so the last is repeated behind the new ones.
        let recorded = found.records.iter().take_while(|record| record.is_some()).count() as u64;
        found.midstates.retain(|segments, _| *segments <= recorded);
        if let Some(midstate) = found.midstates.values().next_back() {
            self.journal.hashed(midstate)?;
        }
        // A run that is killed before its first checkpoint would else leave all of this to the next one again.
        if written > 0 { self.checkpoint(store) } else { Ok(()) }
    }

    /// Reserves space for the whole file, so that a full disk is found before anything travels.
    fn reserve(&self, store: &Store, size: u64) -> Result<()> {
        let stat = self.data.stat()?;
        let missing_space = size.saturating_sub(stat.allocated);
        store.require_space(missing_space)?;
        if stat.len != size || missing_space > 0 {
            self.data.allocate(size).map_err(|error| match error.is_no_space() {
                true => store.no_space(missing_space),
                false => error.into(),
            })?;
            self.data.set_len(size)?;
        }
        Ok(())
    }

    /// Whether it is one process's own, so that no other process can resume it.
    pub(in crate::store) fn is_private(&self) -> bool {
        let key = self.paths.dir.file_name().and_then(|name| name.to_str()?.parse::<IngestKey>().ok());
        matches!(key, Some(IngestKey::Private(_)))
    }

    /// Makes everything recorded so far survive a power loss.
    pub(in crate::store) fn checkpoint(&self, store: &Store) -> Result<()> {
        if !self.names_synced.load(Ordering::Relaxed) {
            store.disk().sync_dir(&self.paths.dir)?;
            store.disk().sync_dir(&store.layout().dir(Dir::Ingest))?;
            self.names_synced.store(true, Ordering::Relaxed);
        }
        let upto = self.journal.end();
        self.data.sync_data()?;
        Ok(self.journal.synced(upto)?)
    }

    /// Removes it all.
    pub(in crate::store) fn remove(&self, store: &Store) -> Result<()> {
        remove_partial(store, &self.paths)?;
        if cfg!(windows) && store.disk().find(&self.paths.dir)?.is_some() {
            self.emptied.0.get_or_init(|| (store.clone(), self.paths.dir.clone()));
        }
        Ok(())
    }
}

/// Removes a partial download: the journal last but for its folder, so that a crash leaves something that can go on.
pub(in crate::store) fn remove_partial(store: &Store, paths: &PartialPaths) -> Result<()> {
    let (disk, dir) = (store.disk(), paths.dir.as_path());
    for path in paths.files() {
        match disk.remove_if_there(path) {
            // An unknown folder; it stays, and so does its parent.
            Err(error) if error.is_wrong_kind() => {}
            other => drop(other?),
        }
    }
    let mut removed = disk.remove_dir(dir);
    if removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty) {
        let is_temporary = |entry: &&Entry| entry.name.starts_with(TEMP_PREFIX) && entry.kind != Kind::Dir;
        for entry in disk.list_sorted(dir)?.iter().filter(is_temporary) {
            disk.remove_if_there(&dir.join(&entry.name))?;
        }
        removed = disk.remove_dir(dir);
    }
    match removed {
        // A user put a file of their own into it.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty || error.is_not_found() => Ok(()),
        other => Ok(other?),
    }
}

/// Consumes a pending writeback error of an earlier process, which would otherwise be reported to this one's syncs.
/// Nothing is lost: data that was not synced is written again.
fn consume_pending_error(disk: &dyn Disk, path: &Path) {
    if let Ok(file) = disk.open(path, Open::Read) {
        let _ = file.sync_data();
    }
}

/// The data of a partial download as it was found.
pub(in crate::store) struct FoundData {
    pub(in crate::store) file: Box<dyn DiskFile>,
    /// Whether this user may set its mode, which publishing does. In a shared store another user may have begun it.
    pub(in crate::store) is_ours: bool,
}

/// Opens the data of a partial download for writing. A run that died between making it read-only and giving it its name
/// left it read-only; where that was another user's run, it can only be read.
pub(in crate::store) fn open_data(disk: &dyn Disk, path: &Path, mode: u32) -> Result<FoundData> {
    let how = Open::CreateIfMissing(mode);
    let refused = |kind| kind == io::ErrorKind::PermissionDenied;
    match disk.open(path, how) {
        Err(error) if refused(error.kind()) => {
            let file = disk.open(path, Open::Read)?;
            require_single(&*file, path)?;
            match file.set_mode(mode) {
                Ok(()) => Ok(FoundData { file: disk.open(path, how)?, is_ours: true }),
                Err(error) if refused(error.kind()) => Ok(FoundData { file, is_ours: false }),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
        Ok(file) => {
            require_single(&*file, path)?;
            match file.set_mode(mode) {
                Err(error) if refused(error.kind()) => Ok(FoundData { file, is_ours: false }),
                other => other.map(|()| FoundData { file, is_ours: true }).map_err(StoreError::from),
            }
        }
    }
}

/// Refuses what is no regular file, or has a further name, which may be that of a file elsewhere: before anything of it is
/// changed.
fn require_single(file: &dyn DiskFile, path: &Path) -> Result<()> {
    let stat = file.stat()?;
    match stat.kind == Kind::File && stat.nlink <= 1 {
        true => Ok(()),
        false => Err(DiskError::wrong_kind("write", path).into()),
    }
}

/// Puts a file of this user with the same recorded segments in the place of the data that another user began, who alone
/// could make it read-only. Their file stays until the copy is durable.
pub(in crate::store) fn take_over(
    store: &Store,
    paths: &PartialPaths,
    theirs: &dyn DiskFile,
    size: u64,
    records: &[Option<SegmentValue>],
) -> Result<Box<dyn DiskFile>> {
    let disk = store.disk();
    let (dir, data) = (&paths.dir, &paths.data);
    let recorded: Vec<u64> = (0..).zip(records).filter(|(_, record)| record.is_some()).map(|(index, _)| index).collect();
    if !recorded.is_empty() {
        store.require_space(size)?;
    }
    let (temp, ours) = disk.create_temp(dir, TEMP_PREFIX, store.marker().file_mode())?;
    let copied = (|| {
        if !recorded.is_empty() {
            ours.allocate(size)?;
            ours.set_len(size)?;
        }
        let mut buffer = Vec::new();
        for index in recorded {
            let range = segment_range(index, size);
            buffer.resize((range.end - range.start) as usize, 0);
            // What cannot be read is found out when the segment is compared with its value.
            if theirs.read_at(&mut buffer, range.start).is_ok() {
                ours.write_at(&buffer, range.start)?;
            }
        }
        ours.sync_all()?;
        disk.rename(&temp, data)?;
        disk.sync_dir(dir)
    })();
    match copied {
        Ok(()) => Ok(disk.open(data, Open::Write)?),
        Err(error) => {
            // The first error is the one to report; what cannot be removed goes with the partial.
            let _ = disk.remove_if_there(&temp);
            Err(if error.is_no_space() { store.no_space(size) } else { error.into() })
        }
    }
}
