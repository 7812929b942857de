//! Checks what stands in the models directory, offline, and says honestly what is known.

use super::{ByteRange, ModelManager, Selector, VerifiedFile, VerifyState};
use crate::{
    digest::{SEGMENT_LEN, Sha256Digest, segment_count},
    disk::{Kind, LockKind},
    error::Result,
    event::Event,
    facts::FileFacts,
    hint::{self, Action, Hint, Invocation, Verb, view_name},
    names::{Format, Quant, RelPath},
    registry::Registry,
    settings::LinkMode,
    store::{BlobState, CheckMode, Progress, Project, Stamp, Store, StoreError, Trust, ViewKey, Wait},
    view::{FileState, Found, Recorded},
};
use std::{collections::BTreeMap, time::Duration};

impl ModelManager {
    /// Checks the files of the selected models, or of all.
    pub fn verify(&self, what: &[Selector], mode: CheckMode) -> Result<Vec<VerifiedFile>> {
        let registry = self.registry()?;
        let store = self.existing_store()?;
        let views = self.views(store.clone());
        let found = match what {
            [only] => views.scan_models(Some(&self.named(only, Invocation::new(Verb::Verify))?.folder), None, |found| found)?,
            _ => views.scan(None)?,
        };
        let mut chosen: Vec<&Found> = Vec::new();
        for selector in what {
            let command = Invocation::new(Verb::Verify);
            let named = self.form_of(&self.named(selector, command)?, command)?;
            let matches = |file: &&Found| named.fits(&file.model, &file.format, file.quant.as_deref());
            let before = chosen.len();
            chosen.extend(found.iter().filter(matches));
            if chosen.len() == before {
                let here: Vec<_> = self.list_here()?.into_iter().filter(|listed| listed.model == named.folder).collect();
                return Err(self.not_present(&named, &here, command));
            }
        }
        if what.is_empty() {
            chosen = found.iter().collect();
        }
        let mut verified = Vec::with_capacity(chosen.len());
        let mut noted: BTreeMap<ViewKey, Vec<(String, Option<Stamp>)>> = BTreeMap::new();
        for file in chosen {
            let stat = self.disk.find(&file.path).ok().flatten().filter(|stat| stat.kind == Kind::File);
            let done = self.verify_file(file, registered_file(registry, file), store.as_ref(), mode)?;
            let is_plain = matches!(file.state, FileState::Copy { .. } | FileState::Foreign) && !file.is_behind_link;
            if let (Some(stat), Some(view), Some(_), true) = (stat, file.view(), file.recorded, is_plain) {
                let is_mismatch = done.state == VerifyState::Modified;
                if is_mismatch || file.is_mismatch {
                    let mismatch = is_mismatch.then(|| Stamp::from(&stat));
                    noted.entry(view).or_default().push((file.file.clone(), mismatch));
                }
            }
            verified.push(done);
        }
        if let Some(store) = store {
            let is_sound = |file: &&VerifiedFile| matches!(file.state, VerifyState::Ok | VerifyState::Unverified);
            let sound = verified.iter().filter(is_sound).filter_map(|file| Some((path_in_view(file)?, file.size, file.sha256?)));
            let sound: Vec<_> = sound.collect();
            self.keep_headers(&store, sound.iter().map(|(path, size, digest)| (path, *size, *digest)));
            if !noted.is_empty() {
                self.note_mismatches(&store, &noted)?;
            }
        }
        Ok(verified)
    }

    /// Records regular files with other content in the views' manifests. It does not wait for a lock: a view that is
    /// being built gets a new manifest anyway.
    fn note_mismatches(&self, store: &Store, noted: &BTreeMap<ViewKey, Vec<(String, Option<Stamp>)>>) -> Result<()> {
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(()) };
        let at_once = Wait::silent(Some(Duration::ZERO));
        let _views_lock = match store.is_writable().then(|| store.lock_views(&project, LockKind::Exclusive, &at_once)).transpose() {
            Err(StoreError::LockTimeout(_)) => return Ok(()),
            locked => locked?,
        };
        let views = self.views(Some(store.clone()));
        noted.iter().try_for_each(|(view, found)| Ok(views.note_mismatches(view, found)?))
    }

    fn verify_file(
        &self,
        file: &Found,
        registered: Option<&FileFacts>,
        store: Option<&Store>,
        mode: CheckMode,
    ) -> Result<VerifiedFile> {
        let pinned = registered.and_then(|registered| registered.sha256);
        let mut verified = VerifiedFile {
            model: file.model.clone(),
            format: file.format.clone(),
            quant: file.quant.clone(),
            view: file.view(),
            path: file.path.clone(),
            size: file.size,
            state: VerifyState::Foreign,
            sha256: file.digest().or(pinned),
            damaged_ranges: Vec::new(),
            is_plain: file.state == FileState::Foreign && file.recorded.is_none(),
            note: None,
            hints: Vec::new(),
        };
        let name = file.file.clone();
        let size = file.size;
        let hashing = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        let progress = Progress { bytes: &hashing, cancel: &self.cancel };
        match (&file.state, store) {
            (FileState::Absent, _) => {
                verified.state = VerifyState::Missing;
                verified.note = Some("its view has it, and nothing is there".into());
            }
            (FileState::Dangling { target, .. }, _) => {
                // A neighbour is not the model's, whatever it leads to.
                verified.state = if file.belongs { VerifyState::Missing } else { VerifyState::Foreign };
                verified.note = Some(format!("its link leads to {}, where nothing is", target.display()));
            }
            (FileState::LinkText { .. }, _) => {
                verified.state = VerifyState::Modified;
                verified.note = Some("a plain file that holds the text of its link".into());
            }
            _ if file.shows_another() => {
                verified.state = VerifyState::Modified;
                verified.note = Some("its link shows another file than its view has".into());
            }
            (FileState::Blob { digest, mode: link }, Some(store)) => {
                let state = match link {
                    LinkMode::Symlink => store.check(digest, mode, progress)?,
                    _ => store.check_at(&file.path, digest, mode, progress)?,
                };
                verified.judge(state, pinned, digest);
            }
            (FileState::Copy { digest }, Some(store)) => {
                verified.judge(store.check_at(&file.path, digest, mode, progress)?, pinned, digest);
            }
            (_, store) => match file.recorded {
                Some(recorded) => self.verify_replaced(&mut verified, file, recorded, (pinned, store), progress)?,
                None if file.belongs => self.verify_foreign(&mut verified, registered, progress)?,
                None => verified.note = Some("not a file of the model".into()),
            },
        }
        Ok(verified)
    }

    /// A plain file where the record has one of ours: it is the same or it is not.
    fn verify_replaced(
        &self,
        verified: &mut VerifiedFile,
        file: &Found,
        recorded: Recorded,
        (pinned, store): (Option<Sha256Digest>, Option<&Store>),
        progress: Progress<'_>,
    ) -> Result<()> {
        let Recorded { sha256, size } = recorded;
        verified.state = VerifyState::Modified;
        let what = self.what_stands_at(file)?;
        // Where the way leads through somebody's link to a folder, a link of ours need not lead anywhere.
        if !self.disk.stat_follow(&verified.path).is_ok_and(|stat| stat.kind == Kind::File) {
            verified.note = Some(format!("{what}, where its view has a file"));
            return Ok(());
        }
        if size != verified.size {
            verified.note = Some(format!("{what} of {} bytes, where its view has one of {size}", verified.size));
            return Ok(());
        }
        let actual = crate::store::hash_file(&*self.disk, &verified.path, progress)?;
        if actual != sha256 {
            verified.note = Some(format!("{what}, and its sha256 is {actual}"));
            return Ok(());
        }
        let trust = store.map(|store| store.meta(&sha256)).transpose()?.flatten().map_or(Trust::Tofu, |meta| meta.trust);
        verified.judge(BlobState::Ok { trust }, pinned, &sha256);
        let is_file = !file.is_behind_link && self.disk.find(&verified.path)?.is_some_and(|stat| stat.kind == Kind::File);
        let more = match is_file {
            true => format!("{what}; a download would take it into the store"),
            false => {
                let repair = hint::repair(&verified.model, &verified.format, verified.quant.as_deref());
                verified.hints.push(Hint::LinksAgain(repair));
                format!("{what} with the same content")
            }
        };
        verified.note = Some(verified.note.take().map_or_else(|| more.clone(), |note| format!("{note}; {more}")));
        Ok(())
    }

    /// What something is that is not ours, in the place of a file of ours.
    pub(super) fn what_stands_at(&self, file: &Found) -> Result<String> {
        if file.is_behind_link {
            return Ok("a link to a folder".into());
        }
        Ok(match self.disk.find(&file.path)?.map(|stat| stat.kind) {
            Some(Kind::Dir) => "a folder".into(),
            Some(Kind::Symlink) => format!("a link to {}", self.disk.read_link(&file.path)?.display()),
            Some(Kind::Other) => "neither a file nor a folder".into(),
            Some(Kind::File) | None => "a plain file".into(),
        })
    }

    /// A plain file of the old tool, or one dropped by hand: the registry's hash decides, where it has one.
    fn verify_foreign(&self, verified: &mut VerifiedFile, registered: Option<&FileFacts>, progress: Progress<'_>) -> Result<()> {
        let Some(registered) = registered else {
            verified.note = Some("not made by model-manager and not in the registry".into());
            return Ok(());
        };
        if let Some(size) = registered.size.filter(|size| *size != verified.size) {
            verified.state = VerifyState::Modified;
            verified.note = Some(format!("{} bytes long, but the registry gives {size}", verified.size));
            return Ok(());
        }
        let Some(expected) = registered.sha256 else {
            verified.state = VerifyState::Unverified;
            verified.note = Some("a plain file, and the registry has no hash for it".into());
            return Ok(());
        };
        let actual = crate::store::hash_file(&*self.disk, &verified.path, progress)?;
        (verified.state, verified.note, verified.hints) = match actual == expected {
            true => (VerifyState::Ok, Some("a plain file".into()), vec![Hint::TakesIn(verified.download())]),
            false => (VerifyState::Modified, Some(format!("its sha256 is {actual}")), Vec::new()),
        };
        Ok(())
    }
}

/// What the registry says about a file in the models directory.
fn registered_file<'r>(registry: &'r Registry, file: &Found) -> Option<&'r FileFacts> {
    let model = registry.models().find(|model| model.id.as_str() == file.model)?;
    let format: Format = file.format.parse().ok()?;
    let entry = model.format(&format)?;
    let artifact = match &file.quant {
        Some(quant) => entry.quant(&quant.parse::<Quant>().ok()?)?,
        None => entry.whole.as_ref()?,
    };
    let same = |listed: &&FileFacts| match format.is_single_file() {
        true => listed.path.file_name() == file.file,
        false => listed.path.as_str() == file.file,
    };
    artifact.files.iter().chain(&artifact.expect).find(same)
}

/// The name of a file, for what its kind says.
fn path_in_view(file: &VerifiedFile) -> Option<RelPath> {
    file.path.file_name()?.to_str()?.parse().ok()
}

impl VerifiedFile {
    /// The action that fetches its model.
    fn download(&self) -> Action {
        Action::new(Verb::Download).name(view_name(&self.model, &self.format, self.quant.as_deref()))
    }

    fn judge(&mut self, state: BlobState, pinned: Option<Sha256Digest>, digest: &Sha256Digest) {
        (self.state, self.note) = match state {
            BlobState::Ok { .. } if pinned.is_some_and(|pinned| pinned != *digest) => {
                self.hints.push(Hint::Run(self.download()));
                (VerifyState::Modified, Some("the registry pins another sha256 for this file".into()))
            }
            BlobState::Ok { .. } if pinned.is_some() => (VerifyState::Ok, None),
            BlobState::Ok { trust } if !trust.is_published() => {
                let note = "as it was recorded when it came, but never compared with a published hash";
                (VerifyState::Unverified, Some(note.into()))
            }
            BlobState::Ok { .. } => (VerifyState::Ok, None),
            BlobState::Missing => (VerifyState::Missing, Some("its blob is gone from the store".into())),
            BlobState::Modified { segments } => {
                self.damaged_ranges = byte_ranges(&segments, self.size);
                let note = match self.damaged_ranges.len() {
                    0 => "its content is not what its sha256 says".to_owned(),
                    _ => format!("damaged: {} of {} segments of 1 MiB", segments.len(), segment_count(self.size)),
                };
                (VerifyState::Modified, Some(note))
            }
        };
    }
}

/// Neighbouring segments as one range.
fn byte_ranges(segments: &[u64], size: u64) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for segment in segments {
        let (start, end) = (segment * SEGMENT_LEN, ((segment + 1) * SEGMENT_LEN).min(size));
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(ByteRange { start, end }),
        }
    }
    ranges
}
