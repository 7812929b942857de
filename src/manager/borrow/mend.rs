//! Makes damaged segments of a blob whole with equal tensors of other blobs, so that they need not be fetched.

use super::{super::ModelManager, WantedFile};
use crate::{
    digest::segment_value,
    disk::{DiskFile, Open, limits::OpenFiles},
    error::Result,
    names::RelPath,
    store::{BlobWriter, IngestKey, Lease, Store},
    transfer::TransferError,
    weights::{Match, Place, TensorTable, copies_of_any_size},
};
use std::{collections::BTreeSet, path::Path};

impl ModelManager {
    /// Fills segments that a repair of this blob misses. Each is compared with its recorded value before it is written, so
    /// what is only similar is not used.
    pub(in crate::manager) fn mend(&self, store: &Store, path: &RelPath, writer: &BlobWriter, lease: &Lease) -> Result<()> {
        let missing = writer.missing();
        let IngestKey::Sha256(digest) = writer.request().key else { return Ok(()) };
        let Some(meta) = store.meta(&digest)?.filter(|meta| meta.size == writer.size()) else { return Ok(()) };
        if missing.is_empty() || !self.settings.borrow {
            return Ok(());
        }
        let Some(values) = store.segment_values(&digest, &meta)? else { return Ok(()) };
        let damaged = store.layout().blob(&digest);
        // The header may be damaged too: then what it says leads to bytes that have other values.
        let Some(table) = self.table_at(store, &damaged, writer.size()) else { return Ok(()) };
        let upstream = store.upstream_files(&digest)?.into_iter().find(|file| file.repo.is_some() && file.path.is_some());
        let (repo, upstream_path) = upstream.map_or((None, None), |file| (file.repo, file.path));
        let upstream_path = upstream_path.and_then(|path| path.parse::<RelPath>().ok());
        let wanted = WantedFile { path: upstream_path.as_ref().unwrap_or(path), sha256: digest, table: &table };
        let held = self.held_like(store, repo.as_deref().unwrap_or_default(), &[wanted])?;
        lease.protect(&held.iter().map(|(file, _)| file.digest).collect::<Vec<_>>())?;
        let tables: Vec<&TensorTable> = held.iter().map(|(_, table)| table).collect();
        let plan = copies_of_any_size(&table, &tables);
        let open = |path: &Path| store.disk().open(path, Open::Read).ok().inspect(|file| file.keep_access_time());
        let damaged = open(&damaged);
        let sources: Vec<Option<Box<dyn DiskFile>>> =
            held.iter().take(OpenFiles::now().lenders).map(|(file, _)| open(&store.layout().blob(&file.digest))).collect();
        for index in missing.into_iter().flatten() {
            if self.cancel.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let range = writer.range(index);
            let first = plan.matches.partition_point(|found| found.at + found.len + found.padding <= range.start);
            let of_segment = || plan.matches[first..].iter().take_while(|found| found.at < range.end);
            if of_segment().next().is_none() {
                continue;
            }
            let mut base = vec![0; (range.end - range.start) as usize];
            // What is between the tensors, and those that nobody else has, may be whole.
            let _ = damaged.as_ref().map(|file| file.read_at(&mut base, range.start));
            let preferred: BTreeSet<usize> = of_segment().flat_map(|found| found.places.iter().map(|place| place.source)).collect();
            for preferred in preferred {
                let mut data = base.clone();
                for found in of_segment() {
                    let place = found.places.iter().find(|place| place.source == preferred).or(found.places.first());
                    place.map(|place| overlay(&mut data, range.start, found, place, &sources));
                }
                if segment_value(index, writer.size(), &data) == values[index as usize] {
                    writer.write(index, &data)?;
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Reads into a segment that begins at `start` what it has of a tensor and its padding.
fn overlay(segment: &mut [u8], start: u64, found: &Match, place: &Place, sources: &[Option<Box<dyn DiskFile>>]) -> Option<()> {
    let padding = if place.is_padded_alike { found.padding } else { 0 };
    let from = found.at.max(start);
    let to = (found.at + found.len + padding).min(start + segment.len() as u64);
    let part = segment.get_mut(usize::try_from(from - start).ok()?..usize::try_from(to.checked_sub(start)?).ok()?)?;
    // A read that fails leaves something whose value is wrong.
    let _ = sources.get(place.source)?.as_ref()?.read_at(part, place.at + (from - found.at));
    Some(())
}
