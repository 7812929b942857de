//! What a download would cost if it borrows: for plans, which fetch the headers of what is missing and nothing else.

use super::{
    super::{
        BorrowReport, ModelManager,
        beginning::{Beginning, fetch},
        plan::Plan,
    },
    WantedFile,
};
use crate::{
    error::Result,
    store::Store,
    weights::{HeaderError, SMALLEST_SET, TableReader, TensorTable},
};
use futures_util::{StreamExt as _, stream};
use std::ops::Range;
use tokio::sync::Semaphore;

/// Headers that are fetched at once.
const AT_ONCE: usize = 8;
/// A longer header, in bytes, is not fetched for a plan.
const LONGEST: u64 = 32 << 20;
const FIRST_READ: u64 = 256 << 10;

impl ModelManager {
    /// What a plan may borrow; `None` where it fetches nothing of which anything may be here.
    pub(in crate::manager) fn borrowed_by(&self, plan: &Plan, store: &Store) -> Result<Option<BorrowReport>> {
        let missing: Vec<_> = plan
            .missing()
            .into_values()
            .filter(|file| file.published && TableReader::new(file.repo_path.as_str(), 0).is_some())
            .filter_map(|file| Some((file, file.size?, file.sha256?)))
            .collect();
        let size: u64 = missing.iter().map(|(_, size, _)| *size).fold(0, u64::saturating_add);
        if !self.settings.borrow || self.settings.network.offline || size < SMALLEST_SET || !self.has_headers(store) {
            return Ok(None);
        }
        let sources = self.sources()?;
        let tries = self.settings.network.tries;
        let long = Semaphore::new(1);
        let mut readers = Vec::new();
        for (file, size, _) in &missing {
            readers.push((TableFetch::new(file.repo_path.as_str(), *size), plan.places(sources, file)?));
        }
        let fetches = readers.into_iter().map(|(reader, places)| fetch(sources.http(), reader, places, tries, &long));
        let tables: Vec<Option<TensorTable>> = self.ask(async {
            let mut tables = Vec::new();
            let mut fetched = stream::iter(fetches).buffered(AT_ONCE);
            while let Some(table) = fetched.next().await {
                // A header that cannot be had now is an error of the download, not of its plan.
                tables.push(table.ok().and_then(std::result::Result::ok));
            }
            Ok(tables)
        })?;
        let wanted: Vec<WantedFile<'_>> = missing
            .iter()
            .zip(&tables)
            .filter_map(|((file, _, sha256), table)| {
                Some(WantedFile { path: &file.repo_path, sha256: *sha256, table: table.as_ref()? })
            })
            .collect();
        let found = self.borrowable(store, &plan.target.source, &wanted)?;
        Ok(found.map(|found| self.borrow_report(store, &found)))
    }

    /// Bytes that an update would download, and those of them that may be borrowed.
    pub(in crate::manager) fn cost_of(&self, plan: &Plan, store: Option<&Store>) -> Result<(Option<u64>, Option<u64>)> {
        let mut plan = plan.clone();
        self.supply(&plan.target.view, &mut plan.files, false, store)?;
        let download: u64 = plan.missing().values().map(|file| file.to_fetch()).sum();
        let borrowed = store.map(|store| self.borrowed_by(&plan, store)).transpose()?.flatten();
        Ok((Some(download), Some(borrowed.map_or(0, |found| found.bytes))))
    }

    /// Whether anything is kept of headers of which something may be borrowed.
    pub(in crate::manager) fn has_headers(&self, store: &Store) -> bool {
        self.keep_headers_of_project(store);
        let mut any = false;
        store.each_header(|entry| any |= entry.tensors > 0).is_ok() && any
    }
}

/// The table of a file whose bytes come from a server.
struct TableFetch {
    name: String,
    len: u64,
    reader: Option<TableReader>,
    read: Option<Result<TensorTable, HeaderError>>,
    /// Up to which byte it is read next. A restart leaves that, so that it gets further than before.
    until: u64,
}

impl Beginning for TableFetch {
    type Read = TensorTable;

    fn name(&self) -> &str {
        &self.name
    }

    fn file_len(&self) -> u64 {
        self.len
    }

    fn needed(&self) -> Range<u64> {
        match &self.reader {
            Some(reader) if self.read.is_none() => reader.needed(self.until.saturating_sub(reader.position())),
            _ => 0..0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(reader) = self.reader.as_mut().filter(|_| self.read.is_none()) {
            self.read = reader.push(bytes).transpose();
        }
    }

    fn restart(&mut self) {
        self.reader = TableReader::new(&self.name, self.len);
        self.read = None;
    }

    fn read(&mut self) -> Option<Result<TensorTable, String>> {
        let position = self.reader.as_ref().map_or(0, TableReader::position);
        match self.read.take() {
            Some(read) => Some(read.map_err(|error| format!("{} {error}", self.name))),
            None if self.reader.is_none() || position < self.until.min(self.len) || position >= LONGEST => {
                Some(Err(format!("{} has no header that is read", self.name)))
            }
            None => {
                self.until = position.saturating_mul(2).min(LONGEST);
                None
            }
        }
    }
}

impl TableFetch {
    fn new(name: &str, len: u64) -> Self {
        Self { reader: TableReader::new(name, len), name: name.to_owned(), len, read: None, until: FIRST_READ }
    }
}
