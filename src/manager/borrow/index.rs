//! What is kept of the headers of blobs, so that candidates are found without a look into each.

use super::{super::ModelManager, place};
use crate::{
    digest::Sha256Digest,
    names::RelPath,
    store::{HeaderEntry, HeaderPlace, Store, UpstreamFile, Wait},
    weights::is_weights,
};
use std::{collections::HashSet, time::Duration};

/// A smaller file has no tensor that can be borrowed.
const SMALLEST: u64 = 1 << 20;
/// Blobs whose headers are read because nothing is kept of them yet, for one command.
const MOST_LATE: usize = 64;
/// How long the lock of the records is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl ModelManager {
    /// Keeps what the headers of these files say, by their names, sizes and blobs. Nothing depends on it: what goes wrong is
    /// passed over.
    pub(in crate::manager) fn keep_headers<'f>(
        &self,
        store: &Store,
        files: impl IntoIterator<Item = (&'f RelPath, u64, Sha256Digest)>,
    ) {
        if !self.settings.borrow || !store.is_writable() {
            return;
        }
        // Nobody waits long for what may be lost.
        let store = &store.waiting(Wait::silent(Some(PATIENCE)));
        for (_, _, digest) in files.into_iter().filter(|(path, size, _)| *size >= SMALLEST && is_weights(path)) {
            if let Some(entries) = self.entries(store, &digest) {
                // A store that is full, or whose records others hold locked, does without.
                let _ = store.keep_headers(&entries);
            }
        }
    }

    /// The same for what this project shows and of which nothing is kept, as in a store that an older version filled.
    pub(super) fn keep_headers_of_project(&self, store: &Store) {
        let roots = self.own_roots(Some(store)).unwrap_or_default();
        let files = roots.values().flat_map(|root| &root.files);
        let mut kept = HashSet::new();
        if store.each_header(|entry| kept.extend([entry.digest])).is_err() {
            return;
        }
        let is_new = |digest: &Sha256Digest| !kept.contains(digest);
        let new = files
            .map(|file| (&file.path, file.size, file.sha256))
            .filter(|(path, size, digest)| *size >= SMALLEST && is_weights(path) && is_new(digest));
        self.keep_headers(store, new.take(MOST_LATE));
    }

    /// An entry for each place where a blob came from; `None` where there are already.
    fn entries(&self, store: &Store, digest: &Sha256Digest) -> Option<Vec<HeaderEntry>> {
        let number = |file: UpstreamFile| Some(place(&file.repo?, &file.commit.unwrap_or_default(), &file.path?));
        let mut places: Vec<HeaderPlace> = store.upstream_files(digest).ok()?.into_iter().filter_map(number).collect();
        places.reverse();
        places.truncate(4);
        if places.is_empty() {
            places.push(HeaderPlace::default());
        }
        let kept = store.headers_of(digest).ok()?;
        if places.iter().all(|place| kept.iter().any(|entry| entry.place == *place)) {
            return None;
        }
        let entry = match kept.first() {
            Some(entry) => *entry,
            None => {
                let size = store.find(digest).ok()??.size;
                // A file without a table that can be read has an entry too, so that it is not read again.
                let sketch = self.table_of_blob(store, digest).map(|(_, table)| table.sketch()).unwrap_or_default();
                let (bytes, tensors, keys) = (sketch.bytes, sketch.tensors, sketch.keys);
                HeaderEntry { digest: *digest, size, bytes, tensors, place: HeaderPlace::default(), keys }
            }
        };
        let at = |place: HeaderPlace| {
            let mut entry = entry;
            entry.place = place;
            entry
        };
        Some(places.into_iter().map(at).collect())
    }
}
