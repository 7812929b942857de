//! How finished bytes get their names: several files as one group, so that the file system commits its journal once for
//! each step of the group and not of every file.
//!
//! For each file the order is the one that survives a crash at any point: bytes and records are durable before a record
//! has its name, the records' folders are synced before the blob has its name, and the blob's folder is synced before
//! the partial download goes. A group takes each step with all its files before it takes the next. A file that fails
//! leaves the group, and the others go on. One file is a group of one.
//!
//! No section is needed: every file is under a lease before, and of what is leased the collector takes neither blob
//! nor records.

use crate::store::{
    Blob, BlobWriter, Result, Store, StoreError,
    format::{self, BlobMeta, Provenance, Stamp, Trust},
    layout::{Dir, IngestKey},
    records::{has_segments_record, segments_text},
};
use crate::{
    digest::{SegmentValue, Sha256Digest, merge_segments, segment_count},
    disk::{self, DiskError, DiskFile, UnnamedFile, limits::OpenFiles, parallel},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Permission bits of a blob.
pub(in crate::store) const BLOB_MODE: u32 = 0o444;

/// Syncs that the system is asked for at once.
const SYNCS: usize = 8;

/// A download whose bytes are all there and hashed.
#[derive(Debug)]
pub struct Complete<'a> {
    /// Where the bytes are.
    pub writer: &'a BlobWriter,
    /// Their published SHA-256, where that is known and is not the key.
    pub expected: Option<Sha256Digest>,
    /// Where they came from; `None` where that is not known, or recorded before.
    pub source: Option<Provenance>,
}

/// Publishes finished files as blobs, with a result for each, in the order of the files. Wrong content is dropped; any
/// other failure keeps a partial download for the next run. Neither harms the other files.
pub fn commit_all(files: Vec<Complete<'_>>) -> Vec<Result<Blob>> {
    let mut results = Vec::with_capacity(files.len());
    // The records of each file of a group are open.
    let together = OpenFiles::now().group;
    let checked = files.into_iter().map(|file| (file.writer, file.writer.finish(file.expected, file.source)));
    let mut checked = checked.peekable();
    while let Some(first) = checked.next() {
        let mut group = vec![first];
        while group.len() < together
            && let Some(next) = checked.next_if(|next| group.iter().all(|member| may_go_together(member, next)))
        {
            group.push(next);
        }
        results.extend(commit_group(group));
    }
    results
}

/// Under one lease, which is of one store; and not the same bytes, of which the second is to find the first.
fn may_go_together(one: &(&BlobWriter, Result<Finished<'_>>), other: &(&BlobWriter, Result<Finished<'_>>)) -> bool {
    let is_same = matches!((&one.1, &other.1), (Ok(one), Ok(other)) if one.digest == other.digest);
    Arc::ptr_eq(one.0.lease(), other.0.lease()) && !is_same
}

fn commit_group(group: Vec<(&BlobWriter, Result<Finished<'_>>)>) -> Vec<Result<Blob>> {
    let Some((first, _)) = group.first() else { return Vec::new() };
    let (store, lease) = (first.store(), first.lease());
    let digests: Vec<Sha256Digest> = group.iter().filter_map(|(_, file)| Some(file.as_ref().ok()?.digest)).collect();
    let protected = if digests.is_empty() { Ok(()) } else { lease.protect(&digests) };
    let (writers, files): (Vec<&BlobWriter>, Vec<Result<Finished<'_>>>) = group.into_iter().unzip();
    let files = files.into_iter().map(|file| file.and_then(|file| protected.clone().map(|()| file))).collect();
    let published = publish(store, files).into_iter().zip(writers);
    published.map(|(blob, writer)| blob.and_then(|blob| writer.end().map(|()| blob))).collect()
}

impl BlobWriter {
    /// Publishes one finished file: see [`commit_all`]. `expected` is checked besides the key.
    #[cfg(feature = "unstable")]
    pub fn commit(&self, expected: Option<Sha256Digest>, source: impl Into<Provenance>) -> Result<Blob> {
        let source = Some(source.into());
        only(commit_all(vec![Complete { writer: self, expected, source }]))
    }
}

/// The result of the one file of a group.
pub(in crate::store) fn only(mut results: Vec<Result<Blob>>) -> Result<Blob> {
    results.pop().expect("every file of a group has a result")
}

/// Bytes that are complete and hashed, but have no name yet.
pub(in crate::store) struct Finished<'a> {
    pub(in crate::store) data: &'a dyn DiskFile,
    pub(in crate::store) path: PathBuf,
    pub(in crate::store) digest: Sha256Digest,
    pub(in crate::store) values: Vec<SegmentValue>,
    pub(in crate::store) size: u64,
    pub(in crate::store) trust: Trust,
    pub(in crate::store) sources: Vec<Provenance>,
    /// What has the name is replaced, because it was asked to be fetched anew.
    pub(in crate::store) replaces: bool,
    /// Whether the bytes and their length are on the medium already.
    pub(in crate::store) is_durable: bool,
    /// Whether its mode stays, because it is a file of another program too.
    pub(in crate::store) keeps_mode: bool,
}

/// Gives finished bytes their names. The digests differ and are under a lease. A file that failed before keeps its error.
pub(in crate::store) fn publish(store: &Store, files: Vec<Result<Finished<'_>>>) -> Vec<Result<Blob>> {
    let mut group: Vec<Result<Member<'_>>> = files.into_iter().map(|file| Member::prepare(store, file?)).collect();
    each(&mut group, |member| {
        member.records.iter().for_each(Records::start_writeback);
        Ok(())
    });
    at_once(group.iter_mut(), |member| each(std::slice::from_mut(member), Member::sync));
    name_records(store, &mut group);
    sync_folders(store, &mut group, |member| {
        let (digest, size) = (&member.file.digest, member.file.size);
        let segments = has_segments_record(size).then(|| store.layout().segments(digest));
        segments.into_iter().chain([store.layout().meta(digest)]).collect()
    });
    each(&mut group, |member| member.name_blob(store));
    sync_folders(store, &mut group, |member| vec![store.layout().blob(&member.file.digest)]);
    each(&mut group, |member| member.clear_damage(store));
    store.named().extend(group.iter().flatten().map(|member| member.file.digest));
    let blob = |member: Member<'_>| Blob { digest: member.file.digest, size: member.file.size };
    group.into_iter().map(|member| member.map(blob)).collect()
}

/// Gives the records of the whole group their names, under one lock.
fn name_records(store: &Store, group: &mut [Result<Member<'_>>]) {
    if group.iter().all(Result::is_err) {
        return;
    }
    let locked = store.lock_records().and_then(|lock| Ok((lock, store.marks()?)));
    match locked {
        Ok((_lock, marks)) => {
            let marks: HashSet<Sha256Digest> = marks.into_iter().collect();
            each(group, |member| member.name_records(store, &marks));
        }
        Err(error) => each(group, |_| Err(error.clone())),
    }
}

/// Takes a step with every file that is still in the group.
fn each<'a>(group: &mut [Result<Member<'a>>], mut step: impl FnMut(&mut Member<'a>) -> Result<()>) {
    for member in group {
        if let Ok(there) = member
            && let Err(error) = step(there)
        {
            *member = Err(error);
        }
    }
}

/// Does something with each of `all`, a few at once: the system makes one of several syncs that it is asked for together.
/// One that fails keeps none of the others from it.
pub(super) fn at_once<T, R: Send>(all: impl ExactSizeIterator<Item = T> + Send, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let workers = all.len().min(SYNCS);
    let Ok(done) = parallel::map(all, workers, |one| Ok::<R, Infallible>(work(one)));
    done
}

/// Syncs the folders of the names that a step gave, each once. What goes wrong with one concerns all that are in it.
fn sync_folders<'a>(store: &Store, group: &mut [Result<Member<'a>>], names: impl Fn(&Member<'a>) -> Vec<PathBuf>) {
    let folder = |name: PathBuf| name.parent().unwrap_or(store.layout().root()).to_owned();
    let folders: BTreeSet<PathBuf> = group.iter().flatten().flat_map(&names).map(folder).collect();
    let sync = |folder: PathBuf| -> (PathBuf, Result<(), DiskError>) {
        let result = store.disk().sync_dir(&folder);
        (folder, result)
    };
    let synced: BTreeMap<PathBuf, Result<(), DiskError>> = at_once(folders.into_iter(), sync).into_iter().collect();
    each(group, |member| {
        let results = names(member).into_iter().filter_map(|name| synced.get(&folder(name)));
        Ok(results.cloned().collect::<Result<(), DiskError>>()?)
    });
}

/// A file on its way to its name.
struct Member<'a> {
    file: Finished<'a>,
    meta: BlobMeta,
    /// Until they have their names.
    records: Option<Records<'a>>,
    /// The blob was there before.
    is_known: bool,
}

/// The records of a blob, written and without names.
struct Records<'d> {
    segments: Option<UnnamedFile<'d>>,
    meta: UnnamedFile<'d>,
}

impl Records<'_> {
    fn start_writeback(&self) {
        self.segments.iter().for_each(UnnamedFile::start_writeback);
        self.meta.start_writeback();
    }
}

impl<'a> Member<'a> {
    /// Writes the records beside the data.
    fn prepare(store: &'a Store, file: Finished<'a>) -> Result<Self> {
        let Finished { data, digest, values, size, trust, .. } = &file;
        let Some(blake3) = merge_segments(values, *size) else {
            let missing = segment_count(*size) - values.len() as u64;
            return Err(StoreError::Incomplete { key: IngestKey::Sha256(*digest), missing });
        };
        let stat = data.stat()?;
        // The mode before the sync: after it, a power loss would bring the old mode back.
        if stat.mode != BLOB_MODE && !file.keeps_mode {
            data.set_mode(BLOB_MODE)?;
        }
        if stat.len != *size {
            return Err(StoreError::Changed { path: file.path });
        }
        let (verified_at, stamp) = (disk::timestamp(), Stamp::from(&stat));
        // The content is the same as before, so its recorded sources and trust are kept.
        let known = if file.replaces { store.meta(digest)? } else { None };
        let (before, sources) = known.map_or((Trust::Tofu, Vec::new()), |known| (known.trust, known.sources));
        let mut meta = BlobMeta { format: 1, size: *size, blake3, trust: before, verified_at, stamp, sources };
        meta.learn(&file.sources, *trust);
        let (mode, tmp) = (store.marker().file_mode(), store.layout().dir(Dir::Temp));
        let write_segments = || store.disk().write_unnamed(&segments_text(values), mode, &tmp);
        let records = Records {
            segments: has_segments_record(*size).then(write_segments).transpose()?,
            meta: store.disk().write_unnamed(&format::to_json(&meta), mode, &tmp)?,
        };
        Ok(Self { file, meta, records: Some(records), is_known: false })
    }

    /// Makes the data and both records durable.
    fn sync(&mut self) -> Result<()> {
        if !self.file.is_durable {
            self.file.data.sync_all()?;
        }
        if let Some(records) = &mut self.records {
            records.segments.iter_mut().try_for_each(UnnamedFile::sync)?;
            records.meta.sync()?;
        }
        Ok(())
    }

    /// Gives the records their names, unless the blob is there: then only what is new about it is noted. Nothing that was
    /// noted since is lost, and a record of a newer program stays. The caller has the lock of the records; `marks` are of blobs
    /// with known damage.
    fn name_records(&mut self, store: &Store, marks: &HashSet<Sha256Digest>) -> Result<()> {
        let digest = &self.file.digest;
        let records = self.records.take();
        let (noted, is_newer) = store.meta_or_newer(digest)?;
        // A blob with known damage is replaced.
        self.file.replaces |= marks.contains(digest);
        if !self.file.replaces && store.find(digest)?.is_some() {
            self.is_known = true;
            // Written even where nothing is new: the age of the record carries the blob through the grace period.
            if let Some(mut known) = noted {
                known.learn(&self.meta.sources, self.meta.trust);
                store.write_meta(digest, &known)?;
            }
            return Ok(());
        }
        let Some(Records { segments, meta }) = records else { return Ok(()) };
        if let Some(segments) = segments {
            segments.name(&store.layout().segments(digest))?;
        }
        match noted {
            // The older record learns from the newer one: its sources came first, and its word for trust may be one of a
            // later version.
            Some(mut noted) => {
                noted.learn(&self.meta.sources, self.meta.trust);
                if (&noted.sources, noted.trust) == (&self.meta.sources, self.meta.trust) {
                    meta.name(&store.layout().meta(digest))?;
                } else {
                    (self.meta.sources, self.meta.trust) = (noted.sources, noted.trust);
                    store.write_meta(digest, &self.meta)?;
                }
            }
            None if is_newer => {}
            None => meta.name(&store.layout().meta(digest))?,
        }
        Ok(())
    }

    fn name_blob(&self, store: &Store) -> Result<()> {
        if self.is_known {
            return Ok(());
        }
        let (from, blob): (&Path, _) = (&self.file.path, store.layout().blob(&self.file.digest));
        match if self.file.replaces { store.disk().rename(from, &blob) } else { store.disk().rename_new(from, &blob) } {
            // Another process was faster with the same bytes; its blob stays, for others may hold it open or linked.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => Ok(other?),
        }
    }

    /// Forgets damage of what was replaced, once the name of the right content is durable.
    fn clear_damage(&self, store: &Store) -> Result<()> {
        if self.is_known { Ok(()) } else { store.clear_damage(&self.file.digest, None) }
    }
}
