//! Which files of the store have tensors that files to be downloaded need too: the manager's part of borrowing. What may be
//! equal is said by `weights`, what is known of many headers is kept by the store.

mod candidates;
mod cost;
mod index;
mod mend;

use super::{BorrowReport, BorrowSource, ModelManager};
use crate::{
    digest::Sha256Digest,
    disk::Open,
    error::Result,
    names::{RelPath, SourceId},
    store::{HeaderPlace, Store},
    weights::{BorrowPlan, TableReader, TensorTable, copies},
};
use candidates::{Candidates, Wanted};
use std::{collections::HashSet, path::Path};

/// Sets of files that are looked into for one download.
const MOST_SETS: usize = 8;
/// Files of these, and tensors in them.
const MOST_FILES: usize = 512;
const MOST_TENSORS: usize = 1 << 18;
/// Bytes of a file that are read at once.
const READ: u64 = 1 << 20;

/// A file that is to be downloaded and whose header is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedFile<'a> {
    /// Its path in the source.
    pub(super) path: &'a RelPath,
    /// Its published SHA-256.
    pub(super) sha256: Sha256Digest,
    pub(super) table: &'a TensorTable,
}

/// A blob of the store that may have equal tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldFile {
    pub(super) digest: Sha256Digest,
    pub(super) size: u64,
}

/// What may be borrowed, before a byte was compared.
#[derive(Debug)]
pub(super) struct Borrowable {
    /// Its wanted files and sources are those of the two lists, by their numbers.
    pub(super) plan: BorrowPlan,
    pub(super) sources: Vec<HeldFile>,
}

impl ModelManager {
    /// What these files, as one set, may take from blobs of the store; `None` where that is not worth asking a server for.
    /// The blobs are under no lease yet.
    pub(super) fn borrowable(&self, store: &Store, source: &SourceId, wanted: &[WantedFile<'_>]) -> Result<Option<Borrowable>> {
        let tables: Vec<&TensorTable> = wanted.iter().map(|file| file.table).collect();
        // As if all of it were here.
        if !self.settings.borrow || !copies(&tables, &tables).is_worthwhile() {
            return Ok(None);
        }
        let held = self.held_like(store, &source.to_string(), wanted)?;
        let plan = copies(&tables, &held.iter().map(|(_, table)| table).collect::<Vec<_>>());
        let sources = held.iter().map(|(file, _)| *file).collect();
        Ok(Some(Borrowable { plan, sources }).filter(|found| found.plan.is_worthwhile()))
    }

    /// Blobs that may have tensors of these files, the best first, with their tables.
    fn held_like(&self, store: &Store, repo: &str, wanted: &[WantedFile<'_>]) -> Result<Vec<(HeldFile, TensorTable)>> {
        self.keep_headers_of_project(store);
        let places = wanted.iter().map(|file| place(repo, "", file.path.as_str()));
        let tables = wanted.iter().map(|file| file.table);
        let mut candidates = Candidates::new(Wanted::new(places, tables, wanted.iter().map(|file| file.sha256)));
        store.each_header(|entry| candidates.add(entry))?;
        let (mut held, mut sets, mut tensors) = (Vec::new(), 0, 0);
        let mut seen = HashSet::new();
        for candidate in candidates.in_order() {
            let before = held.len();
            for digest in candidate.blobs {
                if held.len() >= MOST_FILES || tensors >= MOST_TENSORS || !seen.insert(digest) {
                    continue;
                }
                if let Some((file, table)) = self.table_of_blob(store, &digest) {
                    tensors += table.tensors.len();
                    held.push((file, table));
                }
            }
            sets += usize::from(held.len() > before);
            if sets >= MOST_SETS {
                break;
            }
        }
        Ok(held)
    }

    /// The table of a blob that is whole, as far as that is known, and that this user may read.
    fn table_of_blob(&self, store: &Store, digest: &Sha256Digest) -> Option<(HeldFile, TensorTable)> {
        let blob = store.find_whole(digest, None).ok().flatten()?;
        let table = self.table_at(store, &store.layout().blob(digest), blob.size)?;
        Some((HeldFile { digest: *digest, size: blob.size }, table))
    }

    /// The table of a file of `size` bytes.
    fn table_at(&self, store: &Store, path: &Path, size: u64) -> Option<TensorTable> {
        let file = store.disk().open(path, Open::Read).ok()?;
        file.keep_access_time();
        let mut buffer = vec![0; READ.min(size) as usize];
        let mut reader: Option<TableReader> = None;
        loop {
            let needed = reader.as_ref().map_or(0..READ.min(size), |reader| reader.needed(READ));
            let part = buffer.get_mut(..usize::try_from(needed.end - needed.start).ok()?)?;
            if part.is_empty() || self.cancel.is_cancelled() || file.read_at(part, needed.start).ok()? < part.len() {
                return None;
            }
            if reader.is_none() {
                reader = TableReader::of_content(part, size);
            }
            if let Some(table) = reader.as_mut()?.push(part).ok()? {
                return Some(table);
            }
        }
    }

    /// What may be borrowed, for people and programs.
    pub(super) fn borrow_report(&self, store: &Store, found: &Borrowable) -> BorrowReport {
        let bytes = found.plan.bytes_by_source(found.sources.len());
        let mut from: Vec<BorrowSource> = Vec::new();
        for (held, bytes) in found.sources.iter().zip(bytes).filter(|(_, bytes)| *bytes > 0) {
            let upstream = store.upstream_files(&held.digest).unwrap_or_default().into_iter().next();
            let (repo, commit, path) = upstream.map_or((None, None, None), |file| (file.repo, file.commit, file.path));
            from.push(BorrowSource { sha256: held.digest, repo, commit, repo_path: path, borrow_bytes: bytes });
        }
        from.sort_by_key(|source| std::cmp::Reverse(source.borrow_bytes));
        BorrowReport { bytes: found.plan.bytes(), from }
    }
}

/// The place of a file, as it is kept of headers: parts of one set have one.
fn place(repo: &str, commit: &str, path: &str) -> HeaderPlace {
    let (stem, extension) = path.rsplit_once('.').unwrap_or((path, ""));
    let stem = crate::names::split_part_suffix(stem).0;
    HeaderPlace::new(repo, commit, &format!("{stem}.{extension}"))
}
