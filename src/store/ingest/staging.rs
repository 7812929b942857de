//! Where the bytes of a blob are until it is published.

use crate::store::{
    Store,
    error::Result,
    ingest::{journal::Origin, partial::PartialDir},
    layout::Dir,
};
use crate::{
    digest::{Midstate, SEGMENT_LEN, SegmentValue},
    disk::{DiskFile, TEMP_PREFIX},
};
use std::{path::PathBuf, sync::OnceLock};

/// Where the bytes are.
#[derive(Debug)]
pub(in crate::store) enum Staging {
    /// In the folder of a partial, at which a later run resumes.
    Partial(PartialDir),
    /// In a temporary file, which is made with the first bytes. For a file of one segment, of which nothing could be
    /// resumed: it is there or not, and costs the disk one file in place of a folder of three.
    TempFile(OnceLock<TempFile>),
}

/// A file in `tmp` and its path.
#[derive(Debug)]
pub(in crate::store) struct TempFile {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl Staging {
    /// Whether a file of `size` bytes is staged in a temporary file.
    pub(in crate::store) fn is_temp_file(size: u64) -> bool {
        size <= SEGMENT_LEN
    }

    /// The open file; `None` where no byte arrived.
    pub(in crate::store) fn data(&self) -> Option<&dyn DiskFile> {
        match self {
            Self::Partial(partial) => Some(&*partial.data),
            Self::TempFile(made) => made.get().map(|temporary| &*temporary.file),
        }
    }

    /// The open file and its path; one that is not there yet is made. One thread at a time may call it.
    pub(in crate::store) fn file(&self, store: &Store) -> Result<(PathBuf, &dyn DiskFile)> {
        let made = match self {
            Self::Partial(partial) => return Ok((partial.paths.data.clone(), &*partial.data)),
            Self::TempFile(made) => made,
        };
        let temporary = match made.get() {
            Some(temporary) => temporary,
            None => {
                let (tmp, mode) = (store.layout().dir(Dir::Temp), store.marker().file_mode());
                let (path, file) = store.disk().create_temp(&tmp, TEMP_PREFIX, mode)?;
                made.get_or_init(|| TempFile { path, file })
            }
        };
        Ok((temporary.path.clone(), &*temporary.file))
    }

    /// Writes a segment and records it where there is a journal. One thread at a time may call it.
    pub(in crate::store) fn write(
        &self,
        store: &Store,
        index: u64,
        segment: &[u8],
        (value, origin): (&SegmentValue, Origin),
    ) -> Result<()> {
        let (_, file) = self.file(store)?;
        file.write_at(segment, index * SEGMENT_LEN).map_err(|error| match self {
            // No space was reserved for it before.
            Self::TempFile(_) if error.is_no_space() => store.no_space(segment.len() as u64),
            _ => error.into(),
        })?;
        match self {
            Self::Partial(partial) => Ok(partial.journal.written(index, value, origin)?),
            Self::TempFile(_) => Ok(()),
        }
    }

    /// Writes a checkpoint of SHA-256, where a later run can go on from it.
    pub(in crate::store) fn hashed(&self, midstate: &Midstate) -> Result<()> {
        match self {
            Self::Partial(partial) => Ok(partial.journal.hashed(midstate)?),
            Self::TempFile(_) => Ok(()),
        }
    }

    /// Makes everything recorded so far survive a power loss.
    pub(in crate::store) fn checkpoint(&self, store: &Store) -> Result<()> {
        match self {
            Self::Partial(partial) => partial.checkpoint(store),
            Self::TempFile(_) => Ok(()),
        }
    }

    /// Removes what is there.
    pub(in crate::store) fn remove(&self, store: &Store) -> Result<()> {
        match self {
            Self::Partial(partial) => partial.remove(store),
            Self::TempFile(made) => match made.get() {
                Some(temporary) => Ok(store.disk().remove_if_there(&temporary.path).map(drop)?),
                None => Ok(()),
            },
        }
    }

    /// Whether a later run could resume what is there.
    pub(in crate::store) fn is_resumable(&self) -> bool {
        match self {
            Self::Partial(partial) => !partial.is_private(),
            Self::TempFile(_) => false,
        }
    }
}
