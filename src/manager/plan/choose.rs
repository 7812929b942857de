//! Which of a repository's files are wanted.

use crate::manager::plan::target::{Target, Wanted, view_id};
use crate::{
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::{Action, Hint, Parameter, Verb},
    names::{Format, RelPath, Revision},
    notice::Notice,
    source::{
        FileList, Pinned, SourceError,
        hub::{Companion, GgufUnit, SetChoice, choose_unit, companion_choice, complete_set, gguf_units, select_files},
    },
    store::ViewKey,
    weights::{FileKind, format_of},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a GGUF model gets of its repository beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Companions {
    /// These, and without them nothing.
    pub wanted: Vec<Companion>,
    /// The best projector that goes with the model, where there is one and none is wanted; a notice says what was done.
    pub projector_if_any: bool,
}

impl Companions {
    /// These and no other.
    pub(in crate::manager) fn only(wanted: &[Companion]) -> Self {
        Self { wanted: wanted.to_vec(), projector_if_any: false }
    }

    /// Refuses companions for another format.
    pub(in crate::manager) fn require_gguf(wanted: &[Companion], view: &ViewKey) -> Result<()> {
        match wanted.first() {
            Some(first) if !view.format.is_single_file() => {
                let text = format!("{view} is no GGUF model, and only these have a {} beside them", first.role.noun());
                Err(Error::new(ErrorKind::Usage, text).hint(Hint::OmitCompanion(first.argument(first.name.as_deref()))))
            }
            _ => Ok(()),
        }
    }
}

/// The files of a repository that a target means, and the companions that go with them. What was open is settled in the
/// target, and told in `notices`.
pub(in crate::manager) fn choose<'a>(
    target: &mut Target,
    tree: &'a FileList,
    pinned: &Pinned,
    companions: &Companions,
    notices: &mut Vec<Notice>,
) -> Result<Vec<&'a FileFacts>> {
    let mut chosen = choose_model(target, tree, pinned, notices)?;
    refuse_empty(&chosen, pinned)?;
    if let Some(model) = chosen.first().map(|file| file.path.clone()) {
        for wanted in &companions.wanted {
            if wanted.is_among(chosen.iter().map(|file| &file.path)) {
                continue;
            }
            let found = companion_choice(&tree.files, wanted, &model)?;
            if let (None, Some(first)) = (&wanted.name, found.first()) {
                notices.push(Notice::CompanionChosen { role: wanted.role, path: first.path.clone() });
            }
            refuse_empty(&found, pinned)?;
            // Alone, a companion counts as the model.
            let is_new = |file: &&FileFacts| !chosen.iter().any(|chosen| chosen.path == file.path);
            let found: Vec<&FileFacts> = found.into_iter().filter(is_new).collect();
            chosen.extend(found);
        }
        let has_projector = || Companion::projector(None).is_among(chosen.iter().map(|file| &file.path));
        if companions.projector_if_any && target.view.format.is_single_file() && !has_projector() {
            chosen.extend(projector_of(&model, tree, notices));
        }
    }
    for path in &target.beside {
        let is_new = !chosen.iter().any(|file| file.path == *path);
        chosen.extend(tree.files.iter().find(|file| file.path == *path).filter(|_| is_new));
    }
    Ok(chosen)
}

/// The projector that goes with a model without being asked for: one of its folder or of one above it, and of no other.
fn projector_of<'a>(model: &RelPath, tree: &'a FileList, notices: &mut Vec<Notice>) -> Vec<&'a FileFacts> {
    let beside = tree.files.iter().filter(|file| file.path.folder_holds(model));
    match companion_choice(beside, &Companion::projector(None), model) {
        Ok(projector) => {
            notices.push(Notice::ProjectorAdded { paths: projector.iter().map(|file| file.path.clone()).collect() });
            projector
        }
        Err(error @ SourceError::AmbiguousCompanion { .. }) => {
            notices.push(Notice::ProjectorAmbiguous { why: error.to_string() });
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// A repository without a complete set may have single files that are wanted.
fn no_set(error: SourceError, target: &Target, tree: &FileList) -> Error {
    let end = format!(".{}", target.view.format);
    let example = tree.files.iter().find(|file| file.path.as_str().ends_with(&end));
    let one = example.map(|file| Action::new(Verb::Download).name(format!("hf://{}/{}", asked(target), file.path)));
    Error::from(error).with_hints(one.map(Hint::FileByName))
}

fn choose_model<'a>(
    target: &mut Target,
    tree: &'a FileList,
    pinned: &Pinned,
    notices: &mut Vec<Notice>,
) -> Result<Vec<&'a FileFacts>> {
    match &target.wanted {
        Wanted::Files(files) => {
            let chosen = files.iter().map(|file| listed(file, tree, target, pinned)).collect::<Result<Vec<_>>>()?;
            if let (true, Some(first)) = (target.open_label, chosen.first()) {
                let unit = gguf_units(&tree.files).into_iter().find(|unit| unit.has(&first.path));
                target.view.quant = unit.map(|unit| unit.label).or(target.view.quant.take());
            }
            Ok(chosen)
        }
        Wanted::Set { include, exclude, expect } => {
            let set = match include.is_empty() {
                true if target.view.format.is_files() => {
                    SetChoice { files: tree.files.iter().collect(), left_out: Vec::new() }.without(exclude)
                }
                true => {
                    complete_set(&tree.files, &target.view.format).map_err(|error| no_set(error, target, tree))?.without(exclude)
                }
                false => {
                    let files = select_files(&tree.files, include, exclude);
                    let taken: BTreeSet<&RelPath> = files.iter().map(|file| &file.path).collect();
                    let others = tree.files.iter().filter(|file| !taken.contains(&file.path));
                    let by = if target.adds { "not selected by the patterns" } else { "not selected by the registry" };
                    SetChoice { left_out: others.map(|file| (file, by)).collect(), files }
                }
            };
            target.left_out = set.left_out.into_iter().map(|(file, why)| (file.clone(), why)).collect();
            let chosen = set.files;
            if chosen.is_empty() {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("no file of {} matches {include:?} without {exclude:?}", pinned.describe()),
                )
                .hint(Hint::CheckIncludes));
            }
            for file in expect {
                let found = listed(file, tree, target, pinned)?;
                if !chosen.iter().any(|chosen| chosen.path == found.path) {
                    return Err(Error::new(ErrorKind::NotFound, format!("{} is expected but not part of the set", file.path)));
                }
            }
            Ok(chosen)
        }
        Wanted::Gguf { quant, folder } => {
            let inside = |file: &&'a FileFacts| folder.as_ref().is_none_or(|folder| is_below(&file.path, folder));
            if let Some(file) = folder.as_ref().filter(|folder| tree.files.iter().any(|file| file.path == **folder)) {
                let text = format!("{file} of {} is no GGUF file, and its name does not tell of which format it is", pinned.id);
                let again = Action::new(Verb::Download).name(format!("hf://{}/{file}", asked(target)));
                let again = again.value(Parameter::Format, "safetensors");
                return Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameFormat(again)));
            }
            if let (Some(folder), true) = (folder, !tree.files.iter().any(|file| inside(&file))) {
                let text = format!("there is no file and no folder {folder} in {}", pinned.describe());
                return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::SeeFiles { page: tree.page.clone() }));
            }
            // A label is of the whole repository, whichever folder is meant.
            let mut units = gguf_units(&tree.files);
            units.retain(|unit| unit.parts.first().is_some_and(inside));
            let is_kept = |unit: &GgufUnit<'_>| {
                let first = unit.parts.first();
                quant.is_some() && first.is_some_and(|first| target.kept.iter().any(|kept| kept == first.path.file_name()))
            };
            let unit = choose_unit(units, quant.as_ref(), &is_kept).map_err(|error| {
                let in_root: Vec<Format> =
                    tree.files.iter().filter(|file| file.path.depth() == 0).filter_map(|file| format_of(&file.path)).collect();
                let is_there = |format: &&str| in_root.iter().any(|there| there.as_str() == *format);
                error.of_repo(&asked(target), ["safetensors", "pytorch"].into_iter().find(is_there))
            })?;
            match quant {
                None => notices.push(Notice::LabelChosen { label: unit.label.clone(), wanted: None }),
                Some(quant) if *quant != unit.label && !is_kept(&unit) => {
                    notices.push(Notice::LabelChosen { label: unit.label.clone(), wanted: Some(quant.clone()) });
                }
                Some(_) => {}
            }
            if !(quant.is_some() && is_kept(&unit)) {
                target.view.quant = Some(unit.label.clone());
            }
            Ok(unit.parts)
        }
    }
}

/// What of a repository a set leaves out, by the reason.
pub(in crate::manager) fn left_out_notices(left_out: &[(FileFacts, &'static str)]) -> Vec<Notice> {
    let mut by_reason: BTreeMap<&'static str, Vec<RelPath>> = BTreeMap::new();
    left_out.iter().for_each(|(file, reason)| by_reason.entry(reason).or_default().push(file.path.clone()));
    by_reason.into_iter().map(|(reason, paths)| Notice::LeftOut { reason, paths }).collect()
}

/// Refuses weights without a byte: what the repository has is no model.
fn refuse_empty(chosen: &[&FileFacts], pinned: &Pinned) -> Result<()> {
    let has_header = |kind: FileKind| matches!(kind, FileKind::Gguf | FileKind::Safetensors);
    let is_empty = |file: &&&FileFacts| file.size == Some(0) && FileKind::of(&file.path).is_some_and(has_header);
    match chosen.iter().find(is_empty) {
        None => Ok(()),
        Some(file) => {
            let text = format!("{} of {} has no bytes", file.path, pinned.describe());
            Err(Error::new(ErrorKind::Damaged, text).hint(Hint::TryOtherRevision))
        }
    }
}

/// The repository as commands name it.
fn asked(target: &Target) -> String {
    match target.revision.as_ref().filter(|_| target.moving || target.revision.as_ref().is_some_and(Revision::is_commit)) {
        Some(revision) => format!("{}@{revision}", target.source),
        None => target.source.to_string(),
    }
}

pub(in crate::manager) fn is_below(path: &RelPath, folder: &RelPath) -> bool {
    path.as_str().strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

/// The file that the registry names, with what it knows held against what the Hub says.
fn listed<'a>(file: &FileFacts, tree: &'a FileList, target: &Target, pinned: &Pinned) -> Result<&'a FileFacts> {
    let place = || format!("{} of {}", file.path, pinned.describe());
    let Some(found) = tree.files.iter().find(|found| found.path == file.path) else {
        let nearest = crate::names::nearest(file.path.as_str(), tree.files.iter().map(|found| found.path.as_str()));
        let error = Error::new(ErrorKind::NotFound, format!("there is no {}", place()));
        let is_reference = target.source.repo().is_some_and(|repo| view_id(repo).is_ok_and(|id| id == target.view.model));
        return Err(match nearest {
            Some(nearest) if is_reference => {
                let near = Action::new(Verb::Download).name(format!("hf://{}/{nearest}", asked(target)));
                error.hint(Hint::DidYouMeanAction(near))
            }
            Some(nearest) => error.hint(Hint::NearestFile(nearest.to_owned())),
            None => error.hint(Hint::SeeFiles { page: tree.page.clone() }),
        });
    };
    let differs = |what: &str, pinned: String, now: String| {
        let model = &target.view.model;
        let who = if target.source.repo().is_some() { "the Hub" } else { "the server" };
        Error::new(ErrorKind::Damaged, format!("the registry gives {what} {pinned} for {}, {who} {now}", place()))
            .hint(Hint::UpdatePin { model: model.to_string() })
    };
    if let (Some(a), Some(b)) = (file.sha256, found.sha256)
        && a != b
    {
        return Err(differs("the sha256", a.to_string(), b.to_string()));
    }
    match file.size {
        Some(size) if found.size.is_some_and(|found| found != size) => {
            Err(differs("the size", size.to_string(), found.size.unwrap_or_default().to_string()))
        }
        _ => Ok(found),
    }
}
