//! The stores that this user's commands opened: what one of them has need not be fetched for another.
//!
//! Each is remembered in a small file `<uuid>.json` in a folder of the user (`store-layout.md`, "Known stores"). The files
//! only say where to look: what is there is opened for reading, must have the UUID, and its bytes are hashed when they are
//! imported. A store that is gone, damaged or does not answer costs a look and is reported as [`Unusable`].
//!
//! Beside them stands, for each large blob whose SHA-256 a command of this user computed, its BLAKE3 hash. Records in a store
//! are claims, for a cloned project may bring one; with this hash they become proof, and an import is as fast as a check.

use super::{IngestKey, Result, Store, format, records::has_segments_record};
use crate::{
    digest::{Blake3Digest, GitSha1, Sha256Digest},
    disk::{self, Disk, Kind},
};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Stores that are remembered at most. Of more, those that were noted first and are gone are forgotten, then those that were
/// noted first.
const MOST_KNOWN: usize = 64;
/// How long a store may stay silent before it is left out: what answers slower is a volume that does not answer at all.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often a thread that looks reports. Each report wakes another thread, so it has all that was found since the last one.
const BETWEEN_NEWS: Duration = Duration::from_millis(20);
/// How long is looked in a store that answers.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// The folder of the BLAKE3 hashes.
const HASHES: &str = "hashes";
/// The version of the file of a known store.
const VERSION: u32 = 1;

/// The stores that a user's commands opened.
#[derive(Debug)]
pub struct KnownStores {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Those that are noted already.
    noted: Mutex<HashSet<Uuid>>,
    /// Those that did not answer: they are not asked again.
    silent: Mutex<HashSet<Uuid>>,
}

/// A store that was opened once, as its file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnownStore {
    /// Version of the file.
    format: u32,
    /// The store's identity.
    pub uuid: Uuid,
    /// Where it was.
    pub path: PathBuf,
    /// When it was first seen there, RFC 3339.
    pub noted_at: String,
}

/// A blob in another store.
#[derive(Debug, Clone)]
pub struct FoundBlob {
    /// The store, open for reading.
    pub store: Store,
    /// The blob's address.
    pub digest: Sha256Digest,
    /// Whether it is on the volume that blobs are wanted on.
    pub is_on_volume: bool,
}

/// A known store that cannot be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unusable {
    /// The store.
    pub store: KnownStore,
    /// Why.
    pub why: String,
    /// Whether it did not answer in time.
    pub is_silent: bool,
}

/// What a thread that looks in a store says.
enum News {
    /// It is there.
    Opened,
    /// It was looked further, and these blobs were found, each with its place in the list of what was asked for.
    Looked(Vec<(usize, FoundBlob)>),
    /// Why it cannot be read from.
    Failed(String),
    /// All was looked for.
    Ended,
}

impl KnownStores {
    /// Those that are remembered in `dir`, which need not be there.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, noted: Mutex::default(), silent: Mutex::default() }
    }

    /// Remembers a store. Writes only where it was not known at this place.
    ///
    /// # Errors
    /// Where the folder cannot be written. A path that is not Unicode is not remembered.
    pub fn note(&self, store: &Store) -> Result<()> {
        let uuid = store.marker().uuid;
        if !lock(&self.noted).insert(uuid) {
            return Ok(());
        }
        let file = self.file(&uuid);
        let known = self.read(&file)?;
        let is_known = |path: &Path| known.as_ref().is_some_and(|known| known.path == path);
        // Usually the path is the real one.
        if is_known(store.layout().root()) {
            return Ok(());
        }
        let path = self.disk.canonical(store.layout().root())?;
        if path.to_str().is_none() || is_known(&path) {
            return Ok(());
        }
        self.disk.create_dirs(&self.dir, 0o700)?;
        self.make_room()?;
        let known = KnownStore { format: VERSION, uuid, path, noted_at: disk::timestamp() };
        Ok(self.disk.replace_hint(&file, &format::to_json(&known), 0o600, &self.dir)?)
    }

    /// Every remembered store, by its UUID. A file that is none is left out.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn all(&self) -> Result<Vec<KnownStore>> {
        let mut all = Vec::new();
        for entry in self.disk.list_sorted(&self.dir)? {
            let uuid = entry.name.strip_suffix(".json").and_then(|name| Uuid::parse_str(name).ok());
            if let Some(uuid) = uuid.filter(|_| entry.kind == Kind::File && all.len() < MOST_KNOWN) {
                all.extend(self.read(&self.file(&uuid))?.filter(|known| known.uuid == uuid));
            }
        }
        Ok(all)
    }

    /// Forgets a store. Returns whether it was known. The store itself stays as it is.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn forget(&self, uuid: &Uuid) -> Result<bool> {
        Ok(self.disk.remove_if_there(&self.file(uuid))?)
    }

    /// Whether the hash of a blob of this length is noted: for a small one nothing is gained.
    pub fn notes_hash_of(size: u64) -> bool {
        has_segments_record(size)
    }

    /// Notes the BLAKE3 hash of blobs whose SHA-256 was just computed, and which nobody but this user can have changed since.
    /// Small blobs are left out: nothing is gained for them.
    ///
    /// # Errors
    /// Where a record cannot be read, or the folder not be written.
    pub fn note_hashes<'d>(&self, store: &Store, digests: impl IntoIterator<Item = &'d Sha256Digest>) -> Result<()> {
        if !store.is_of_this_user_alone()? {
            return Ok(());
        }
        let dir = self.dir.join(HASHES);
        let mut is_made = false;
        for digest in digests {
            let Some(meta) = store.meta(digest)?.filter(|meta| Self::notes_hash_of(meta.size)) else { continue };
            if self.hash_of(digest, meta.size) == Some(meta.blake3) {
                continue;
            }
            if !std::mem::replace(&mut is_made, true) {
                self.disk.create_dirs(&dir, 0o700)?;
            }
            self.disk.replace_hint(&dir.join(digest.to_string()), meta.blake3.to_string().as_bytes(), 0o600, &dir)?;
        }
        Ok(())
    }

    /// The BLAKE3 hash of the blob of this address and length, where a command of this user found it.
    pub fn hash_of(&self, digest: &Sha256Digest, size: u64) -> Option<Blake3Digest> {
        if !Self::notes_hash_of(size) {
            return None;
        }
        let text = self.disk.read_at_most(&self.dir.join(HASHES).join(digest.to_string()), format::SHORT_RECORD).ok()??;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }

    /// Opens every known store, and says of each why it cannot be read from. One that does not answer costs 200 ms, and all of
    /// them together no more.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn try_all(&self) -> Result<Vec<(KnownStore, Option<Unusable>)>> {
        let known = self.all()?;
        let (_, unusable) = self.ask(&known, None, &Arc::from([]));
        let problem = |known: &KnownStore| unusable.iter().find(|unusable| unusable.store == *known).cloned();
        Ok(known.iter().map(|known| (known.clone(), problem(known))).collect())
    }

    /// Looks in every known store but `own` for blobs of these keys and lengths, in bytes. What is found is in the order of
    /// `wanted`; of several stores, one on the volume of `own` comes first. Keys of private and of other versions are found
    /// nowhere.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn look_for(
        &self,
        own: &Path,
        uuid: Option<&Uuid>,
        wanted: &[(IngestKey, u64)],
    ) -> Result<(Vec<Option<FoundBlob>>, Vec<Unusable>)> {
        let silent = lock(&self.silent).clone();
        let is_other = |known: &KnownStore| uuid != Some(&known.uuid) && !silent.contains(&known.uuid);
        let known: Vec<KnownStore> = self.all()?.into_iter().filter(is_other).collect();
        if known.is_empty() || wanted.is_empty() {
            return Ok((vec![None; wanted.len()], Vec::new()));
        }
        let volume = own.ancestors().find_map(|dir| self.disk.stat_follow(dir).ok()).map(|stat| stat.dev).filter(|dev| *dev != 0);
        Ok(self.ask(&known, volume, &Arc::from(wanted)))
    }

    /// Asks these stores side by side, each in a thread of its own, which is left behind where its volume does not answer.
    fn ask(
        &self,
        known: &[KnownStore],
        volume: Option<u64>,
        wanted: &Arc<[(IngestKey, u64)]>,
    ) -> (Vec<Option<FoundBlob>>, Vec<Unusable>) {
        let mut found: Vec<Option<FoundBlob>> = vec![None; wanted.len()];
        let mut unusable = Vec::new();
        let (to_us, news) = mpsc::channel();
        let mut heard: HashMap<usize, Instant> = HashMap::new();
        for (number, store) in known.iter().enumerate() {
            let (disk, store, wanted, to_us) = (self.disk.clone(), store.clone(), wanted.clone(), to_us.clone());
            let look = move || look(disk, &store, volume, &wanted, &|news| to_us.send((number, news)).is_ok());
            match thread::Builder::new().name("known-store".into()).spawn(look) {
                Ok(_) => drop(heard.insert(number, Instant::now())),
                Err(error) => unusable.push(Unusable { store: known[number].clone(), why: error.to_string(), is_silent: false }),
            }
        }
        while let Some((&last, &since)) = heard.iter().min_by_key(|(_, since)| **since) {
            match news.recv_timeout((since + PATIENCE).saturating_duration_since(Instant::now())) {
                Ok((number, _)) if !heard.contains_key(&number) => {}
                Ok((number, News::Ended)) => drop(heard.remove(&number)),
                Ok((number, News::Failed(why))) => {
                    heard.remove(&number);
                    unusable.push(Unusable { store: known[number].clone(), why, is_silent: false });
                }
                Ok((number, told)) => {
                    heard.insert(number, Instant::now());
                    let News::Looked(blobs) = told else { continue };
                    for (place, blob) in blobs {
                        if found[place].as_ref().is_none_or(|other| blob.is_on_volume && !other.is_on_volume) {
                            found[place] = Some(blob);
                        }
                    }
                }
                Err(_) => {
                    heard.remove(&last);
                    lock(&self.silent).insert(known[last].uuid);
                    let why = format!("it did not answer within {} ms", PATIENCE.as_millis());
                    unusable.push(Unusable { store: known[last].clone(), why, is_silent: true });
                }
            }
        }
        // Importing from it would wait for what does not answer.
        let is_silent = |uuid: &Uuid| unusable.iter().any(|store: &Unusable| store.is_silent && store.store.uuid == *uuid);
        found.iter_mut().for_each(|found| drop(found.take_if(|blob| is_silent(&blob.store.marker().uuid))));
        (found, unusable)
    }

    /// The file of a store; `None` where nothing that can be read is there.
    fn read(&self, file: &Path) -> Result<Option<KnownStore>> {
        let text = match self.disk.read_at_most(file, format::SHORT_RECORD) {
            Err(error) if error.is_wrong_kind() || error.kind() == std::io::ErrorKind::PermissionDenied => None,
            other => other?,
        };
        let known = text.and_then(|text| serde_json::from_slice::<KnownStore>(&text).ok());
        Ok(known.filter(|known| known.format == VERSION && known.path.is_absolute()))
    }

    fn file(&self, uuid: &Uuid) -> PathBuf {
        self.dir.join(format!("{uuid}.json"))
    }

    /// Forgets stores where too many are remembered.
    fn make_room(&self) -> Result<()> {
        let all = self.all()?;
        if all.len() < MOST_KNOWN {
            return Ok(());
        }
        let mut all = self.try_all()?;
        all.sort_by(|(one, is_bad), (other, is_bad_too)| {
            (is_bad.is_none(), &one.noted_at).cmp(&(is_bad_too.is_none(), &other.noted_at))
        });
        let too_many = all.len() + 1 - MOST_KNOWN;
        all.iter().take(too_many).try_for_each(|(known, _)| self.forget(&known.uuid).map(drop))
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks in one store. `tell` returns whether anybody still listens.
fn look(disk: Arc<dyn Disk>, known: &KnownStore, volume: Option<u64>, wanted: &[(IngestKey, u64)], tell: &dyn Fn(News) -> bool) {
    let looked = match Store::open_for_reading(disk, &known.path) {
        Ok(store) if store.marker().uuid != known.uuid => Err("another store is there now".to_owned()),
        Ok(store) if tell(News::Opened) => look_for_blobs(&store, volume, wanted, tell).map_err(|error| error.to_string()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    tell(looked.map_or_else(News::Failed, |()| News::Ended));
}

/// Looks for blobs in an open store, and stops where nobody listens, or when it took too long.
fn look_for_blobs(store: &Store, volume: Option<u64>, wanted: &[(IngestKey, u64)], tell: &dyn Fn(News) -> bool) -> Result<()> {
    let end = Instant::now() + LONGEST_LOOK;
    let (told, found) = (Cell::new(Instant::now()), RefCell::new(Vec::new()));
    let goes_on = || {
        let now = Instant::now();
        if now.saturating_duration_since(told.get()) < BETWEEN_NEWS {
            return now < end;
        }
        told.set(now);
        now < end && tell(News::Looked(found.take()))
    };
    let looked = look_while(&goes_on, store, volume, wanted, &found);
    // What was found before something failed counts.
    tell(News::Looked(found.into_inner()));
    looked
}

/// Looks for blobs one after the other, as long as `goes_on`.
fn look_while(
    goes_on: &dyn Fn() -> bool,
    store: &Store,
    volume: Option<u64>,
    wanted: &[(IngestKey, u64)],
    found: &RefCell<Vec<(usize, FoundBlob)>>,
) -> Result<()> {
    let git_ids: HashSet<GitSha1> =
        wanted.iter().filter_map(|(key, _)| if let IngestKey::Git(id) = key { Some(*id) } else { None }).collect();
    let by_git_id = if git_ids.is_empty() { HashMap::new() } else { store.blobs_by_git_id(&git_ids, goes_on)? };
    let marks: HashSet<Sha256Digest> = store.marks()?.into_iter().collect();
    for (place, (key, size)) in wanted.iter().enumerate() {
        let candidates = match key {
            IngestKey::Sha256(digest) => std::slice::from_ref(digest),
            IngestKey::Git(id) => by_git_id.get(id).map_or(&[][..], Vec::as_slice),
            IngestKey::Version(_) | IngestKey::Private(_) => &[],
        };
        for digest in candidates {
            let Some(stat) = store.stat(digest)?.filter(|stat| stat.len == *size) else { continue };
            if !marks.contains(digest) {
                let is_on_volume = volume == Some(stat.dev);
                found.borrow_mut().push((place, FoundBlob { store: store.clone(), digest: *digest, is_on_volume }));
                break;
            }
        }
        if !goes_on() {
            break;
        }
    }
    Ok(())
}
