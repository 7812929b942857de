//! What other stores of this user have: it is imported, and not fetched.

use super::{
    FileSupply, ModelManager, StoreReport, StoreState,
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::Sha256Digest,
    disk::Disk,
    error::{Error, ErrorKind, Result},
    event::{Event, Warning},
    hint::Hint,
    notice::Notice,
    store::{
        BlobToImport, FoundBlob, Imported, IngestKey, KnownStore, KnownStores, Lease, STORE_DIR, Sharing, Store, StoreError,
        Unusable,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

impl ModelManager {
    /// Remembers a store that was opened, for commands in other projects.
    pub(super) fn remember(&self, store: &Store) {
        if let Some(known) = self.session.known_stores() {
            // It is a help for later, and no part of what was asked for: a home that cannot be written stops nothing.
            let _ = known.note(store);
        }
    }

    /// Remembers the hashes of blobs whose SHA-256 was just compared, so that other projects can import them faster.
    pub(super) fn remember_hashes<'d>(&self, store: &Store, digests: impl IntoIterator<Item = &'d Sha256Digest>) {
        if let Some(known) = self.session.known_stores() {
            // As above.
            let _ = known.note_hashes(store, digests);
        }
    }

    /// Looks in the other stores of this user for what would have to be fetched.
    pub(super) fn look_in_known_stores(&self, files: &mut [PlannedFile], own: Option<&Store>) -> Result<()> {
        let Some(known) = self.session.known_stores() else { return Ok(()) };
        let is_wanted = |file: &PlannedFile| matches!(file.supply, FileSupply::Fetch | FileSupply::Partial) && !file.again;
        let is_named = |key: &IngestKey| matches!(key, IngestKey::Sha256(_) | IngestKey::Git(_));
        let wanted: BTreeMap<IngestKey, u64> = files
            .iter()
            .filter(|file| is_wanted(file))
            .filter_map(|file| Some((file.key(), file.size?)))
            .filter(|(key, _)| is_named(key))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<(IngestKey, u64)> = wanted.into_iter().collect();
        let dir = self.store_dir();
        let (found, unusable) = match known.look_for(&dir, own.map(|store| &store.marker().uuid), &wanted) {
            Ok(looked) => looked,
            // It may be the home of another user.
            Err(error) => {
                self.report(&Event::Detail(format!("other stores are left out: {error}")));
                return Ok(());
            }
        };
        unusable.iter().for_each(|store| self.report_unusable(store));
        let found: HashMap<IngestKey, FoundBlob> =
            wanted.into_iter().zip(found).filter_map(|((key, _), found)| Some((key, found?))).collect();
        for file in files.iter_mut().filter(|file| is_wanted(file)) {
            if let Some(found) = found.get(&file.key()) {
                (file.supply, file.held, file.found) = (FileSupply::Local, 0, Some(found.clone()));
            }
        }
        Ok(())
    }

    fn report_unusable(&self, unusable: &Unusable) {
        let Unusable { store, why, is_silent, .. } = unusable;
        let text = format!("the store {} is left out: {why}", store.path.display());
        self.report(&match is_silent {
            true => Event::Warning(Warning::with_hint(text, Hint::ForgetStore { path: store.path.clone() })),
            false => Event::Detail(text),
        });
    }

    /// Imports what was found in other stores. What cannot be had from there after all is to be fetched.
    pub(super) fn import_found(&self, plan: &mut Plan, store: &Store, lease: &Lease) -> Result<()> {
        let mut by_store: BTreeMap<PathBuf, (Store, BTreeMap<IngestKey, BlobToImport>)> = BTreeMap::new();
        for file in plan.files.iter().filter(|file| file.supply == FileSupply::Local) {
            let (Some(found), Some(size)) = (&file.found, file.size) else { continue };
            let root = found.store.layout().root().to_owned();
            let source = Some(self.source(&plan.target.source, plan, file).into());
            // Content that goes by its SHA-256 is compared with that alone.
            let (git_sha1, trust) = (file.git_sha1.filter(|_| file.sha256.is_none()), file.trust());
            let blake3 = self.session.known_stores().and_then(|known| known.hash_of(&found.digest, size));
            let blob = BlobToImport { digest: found.digest, size, blake3, git_sha1, trust, source };
            by_store.entry(root).or_insert_with(|| (found.store.clone(), BTreeMap::new())).1.insert(file.key(), blob);
        }
        for (other, wanted) in by_store.into_values() {
            self.import_from(plan, store, &other, wanted, lease)?;
        }
        Ok(())
    }

    fn import_from(
        &self,
        plan: &mut Plan,
        store: &Store,
        other: &Store,
        wanted: BTreeMap<IngestKey, BlobToImport>,
        lease: &Lease,
    ) -> Result<()> {
        let (keys, blobs): (Vec<IngestKey>, Vec<BlobToImport>) = wanted.into_iter().unzip();
        let size = blobs.iter().map(|blob| blob.size).sum();
        let name = match plan.files.iter().filter(|file| file.supply == FileSupply::Local).collect::<Vec<_>>().as_slice() {
            [only] => only.path.to_string(),
            _ => plan.target.view.to_string(),
        };
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        let results = store.import_from(other, &blobs, lease, &progress, &self.cancel)?;
        let mut imported = Vec::new();
        for (key, result) in keys.into_iter().zip(results) {
            let digest = match result {
                Ok(done) => {
                    imported.push(done);
                    Some(done.blob.digest)
                }
                Err(StoreError::Cancelled) => return Err(StoreError::Cancelled.into()),
                Err(error) => {
                    let text = format!("not taken from the store {}: {error}", other.layout().root().display());
                    self.report(&Event::Warning(text.into()));
                    None
                }
            };
            for file in plan.files.iter_mut().filter(|file| file.supply == FileSupply::Local && file.key() == key) {
                match digest {
                    // The key stays as it is while others are looked for by theirs.
                    Some(digest) => file.imported = Some(digest),
                    None => (file.supply, file.found) = (FileSupply::Fetch, None),
                }
            }
        }
        plan.files.iter_mut().for_each(|file| file.sha256 = file.imported.or(file.sha256));
        // Of what was here already, nothing was compared.
        let is_compared = |done: &&Imported| done.sharing != Sharing::Present && KnownStores::notes_hash_of(done.blob.size);
        let compared = imported.iter().filter(is_compared);
        self.remember_hashes(store, compared.map(|done| &done.blob.digest));
        if !imported.is_empty() {
            self.report(&Event::Notice(taken(other.layout().root(), &imported)));
        }
        Ok(())
    }

    /// The stores that this user's commands opened, and whether each can be used now.
    ///
    /// # Errors
    /// Where the folder in which they are remembered cannot be read.
    pub fn known_stores(&self) -> Result<Vec<StoreReport>> {
        let own = self.existing_store().ok().flatten().map(|store| store.marker().uuid);
        let Some(known) = self.session.known_stores() else { return Ok(Vec::new()) };
        let report = |(known, problem): (KnownStore, Option<Unusable>)| StoreReport {
            state: match &problem {
                _ if own == Some(known.uuid) => StoreState::Own,
                None => StoreState::Usable,
                Some(unusable) if unusable.is_silent => StoreState::Silent,
                Some(_) => StoreState::Unusable,
            },
            uuid: known.uuid,
            path: known.path,
            noted_at: known.noted_at,
            problem: problem.map(|unusable| unusable.why),
        };
        Ok(known.try_all()?.into_iter().map(report).collect())
    }

    /// Forgets a store: nothing is taken from it any more, until a command opens it again. `which` is its path or the
    /// beginning of its uuid. The store itself stays as it is.
    ///
    /// # Errors
    /// Where no known store is called so, or several are.
    pub fn forget_store(&self, which: &str) -> Result<StoreReport> {
        let known = self.known_stores()?;
        let at = |path: &Path| -> Vec<StoreReport> {
            known.iter().filter(|known| known.path == path || known.path == path.join(STORE_DIR)).cloned().collect()
        };
        let path = std::path::absolute(Path::new(which)).unwrap_or_else(|_| which.into());
        let mut found = at(&path);
        if found.is_empty() && which.len() >= 8 {
            found.extend(known.iter().filter(|known| known.uuid.to_string().starts_with(which)).cloned());
        }
        // Last, for a volume that does not answer would not answer this either.
        if found.is_empty() {
            found = self.disk.canonical(&path).map_or_else(|_| Vec::new(), |real| at(&real));
        }
        match (found.as_slice(), self.session.known_stores()) {
            ([report], Some(known)) => {
                known.forget(&report.uuid)?;
                Ok(report.clone())
            }
            ([], _) | (_, None) => {
                Err(Error::new(ErrorKind::NotFound, format!("no store is known as `{which}`")).hint(Hint::NameStore))
            }
            (several, _) => {
                let text = format!("`{which}` means {} stores", several.len());
                Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NameStore))
            }
        }
    }
}

/// What is said of blobs that came from another store.
fn taken(store: &Path, imported: &[Imported]) -> Notice {
    let copied = imported.iter().filter(|imported| imported.sharing == Sharing::Copy).map(|imported| imported.blob.size).sum();
    Notice::TakenFromStore {
        store: store.to_owned(),
        files: imported.len(),
        bytes: imported.iter().map(|imported| imported.blob.size).sum(),
        copied_bytes: copied,
    }
}

/// The stores of a session's user.
pub(super) fn of_user(disk: &Arc<dyn Disk>, dir: Option<&PathBuf>) -> Option<Arc<KnownStores>> {
    dir.map(|dir| Arc::new(KnownStores::new(disk.clone(), dir.clone())))
}
