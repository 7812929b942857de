//! The rules that need no network.

use super::{EntryRef, Finding, Level, Lint, repin_action, update_action};
use crate::{
    digest::Sha256Digest,
    facts::FileFacts,
    hint::Hint,
    names::{Quant, RelPath, companions, split_part_suffix},
    registry::{
        Registry,
        error::Position,
        model::{Model, Status},
    },
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The longest path below `models/` that leaves room for a project's folder in the 260 characters of Windows.
const LONGEST_PATH: usize = 180;

impl Lint {
    pub(super) fn unknown_keys(&mut self, registry: &Registry) {
        // Errors that follow from such a key are reported at the key.
        let told: HashSet<(usize, usize)> = self.findings.iter().map(|finding| (finding.line, finding.column)).collect();
        for key in registry.unknown_keys().iter().filter(|key| !told.contains(&(key.line, key.column))) {
            let next = match &key.suggestion {
                Some(suggestion) => Hint::DidYouMean { names: vec![suggestion.clone()], actions: Vec::new() },
                None => Hint::RemoveKey,
            };
            let within = if key.within.is_empty() { "the top of the file".to_owned() } else { format!("`{}`", key.within) };
            self.findings.push(Finding {
                level: Level::Warning,
                rule: "unknown-key",
                line: key.line,
                column: key.column,
                model: key.within.strip_prefix("models.").map(|rest| rest.split(".formats").next().unwrap_or(rest).to_owned()),
                format: None,
                quant: None,
                repo_path: None,
                message: format!("nothing reads the key `{}` in {within}", key.key),
                hint: vec![next],
            });
        }
    }

    pub(super) fn model(&mut self, model: &Model) {
        let place = self.entry_of(model).map_or(Position::START, |entry| entry.place);
        let mut add = |level, rule, message: String, next: Hint| {
            let (line, column, model) = (place.line, place.column, Some(model.id.to_string()));
            let (format, quant, repo_path, hint) = (None, None, None, vec![next]);
            self.findings.push(Finding { level, rule, line, column, model, format, quant, repo_path, message, hint });
        };
        if model.description.is_none() {
            add(Level::Note, "description", format!("model `{}` has no `description`", model.id), Hint::Describe);
        }
        let artifacts =
            model.formats.iter().flat_map(|format| format.quants.iter().map(|quant| &quant.artifact).chain(&format.whole));
        if artifacts.into_iter().any(|artifact| artifact.license.is_none()) {
            let next = Hint::WriteLicence;
            add(Level::Note, "license", format!("model `{}` has no `license`", model.id), next);
        }
    }

    /// Revision, sizes and hashes that are not known.
    pub(super) fn pins(&mut self, entry: &EntryRef<'_>) {
        let (artifact, name) = (entry.artifact, entry.name());
        let update = Hint::WriteCommit { update: repin_action(entry) };
        match &artifact.revision {
            // A web server has none.
            _ if artifact.source.repo().is_none() => {}
            None => {
                let message = format!("`{name}` has no `revision`: each download asks for what the main branch holds then");
                self.add(entry, (Level::Warning, "revision"), "revision", None, (message, update.clone()));
            }
            Some(revision) if !revision.is_commit() => {
                let message = format!("the revision `{revision}` of `{name}` is a name that can move, not a commit of 40 digits");
                self.add(entry, (Level::Warning, "revision"), "revision", None, (message, update.clone()));
            }
            Some(_) => {}
        }
        for file in artifact.files.iter().chain(&artifact.expect) {
            let next = || Hint::AskHub { update: update_action(entry) };
            if file.sha256.is_none() {
                let message = format!("no `sha256` is given for {} (`{name}`): its content is not pinned", file.path);
                self.add(entry, (Level::Warning, "sha256"), "sha256", Some(&file.path), (message, next()));
            }
            if file.size.is_none() {
                let message = format!("no `size` is given for {} (`{name}`): each download asks the Hub", file.path);
                self.add(entry, (Level::Note, "size"), "size", Some(&file.path), (message, next()));
            }
        }
    }

    /// A slip of copy and paste that otherwise shows only in the quality of the answers.
    pub(super) fn quant_of_name(&mut self, entry: &EntryRef<'_>) {
        let Some(quant) = entry.quant else { return };
        // A companion beside a model has a quantization of its own.
        let beside = companions(entry.artifact.files.iter().map(|file| &file.path));
        let is_model = |file: &&FileFacts| !beside.contains(&file.path);
        let has_model = entry.artifact.files.iter().any(|file| is_model(&file));
        for file in entry.artifact.files.iter().filter(|file| !has_model || is_model(file)) {
            let Some(carried) =
                Quant::of_gguf_name(file.path.file_name()).filter(|carried| !quant.as_str().contains(carried.as_str()))
            else {
                continue;
            };
            // A key of one's own (`best`) may hold anything; a known one says what is in it.
            let known = Quant::of_gguf_name(&format!("m-{quant}.gguf")).is_some_and(|known| known == *quant);
            let level = if known { Level::Error } else { Level::Warning };
            let message = format!("`{}` is the file {}, whose name says `{carried}`", entry.name(), file.path);
            let next = Hint::RenameQuant { quant: carried.to_string() };
            self.add(entry, (level, "quant"), "file", Some(&file.path), (message, next));
        }
    }

    /// A split file with a part missing loads nowhere.
    pub(super) fn parts(&mut self, entry: &EntryRef<'_>) {
        let mut sets: BTreeMap<(String, u32), BTreeSet<u32>> = BTreeMap::new();
        for file in &entry.artifact.files {
            let Some((stem, extension)) = file.path.as_str().rsplit_once('.') else { continue };
            if let (stem, Some((part, parts))) = split_part_suffix(stem) {
                sets.entry((format!("{stem}|{extension}"), parts)).or_default().insert(part);
            }
        }
        for ((name, parts), there) in sets {
            let missing: Vec<String> =
                (1..=parts).filter(|part| !there.contains(part)).take(12).map(|part| part.to_string()).collect();
            if !missing.is_empty() {
                let name = name.replace('|', &format!("-…-of-{parts:05}."));
                let message = format!("`{}` lacks parts of {name}: {} of {parts}", entry.name(), missing.join(", "));
                self.add(entry, (Level::Error, "parts"), "files", None, (message, Hint::ListParts));
            }
        }
    }

    /// What the tree of links cannot show on every system.
    pub(super) fn names(&mut self, entry: &EntryRef<'_>) {
        let folder = 2
            + entry.model.id.as_str().len()
            + entry.format.as_str().len()
            + entry.quant.map_or(0, |quant| quant.as_str().len() + 1);
        let mut shown: HashMap<String, &RelPath> = HashMap::new();
        for file in entry.artifact.files.iter().chain(&entry.artifact.expect) {
            let name = if entry.format.is_single_file() { file.path.file_name() } else { file.path.as_str() };
            if let Some(other) = shown.insert(name.to_lowercase(), &file.path) {
                let message = format!("{other} and {} would be one file in the folder of `{}`", file.path, entry.name());
                let next = Hint::SplitEntry;
                self.add(entry, (Level::Error, "same-name"), "files", Some(&file.path), (message, next));
            }
            if folder + name.len() > LONGEST_PATH {
                let message =
                    format!("the path of {name} below `models/` has {} characters: Windows may refuse it", folder + name.len());
                let next = Hint::ShortenId;
                self.add(entry, (Level::Warning, "long-name"), "file", Some(&file.path), (message, next));
            }
        }
    }

    /// A successor that is not there, or that has one itself.
    pub(super) fn successor(&mut self, entry: &EntryRef<'_>, registry: &Registry) {
        let Some(name) = &entry.artifact.superseded_by else { return };
        if name.contains('/') {
            return;
        }
        let is = |text: &str, other: &str| text.eq_ignore_ascii_case(other);
        let beside = |quant: &str, id: &str| {
            registry.entries().find(|other| {
                is(other.model.id.as_str(), id)
                    && other.format == entry.format
                    && other.quant.is_some_and(|own| is(own.as_str(), quant))
            })
        };
        let sibling = beside(name, entry.model.id.as_str());
        let next = match name.split_once(':') {
            _ if sibling.is_some() => sibling,
            Some((id, quant)) => {
                let found = registry
                    .entries()
                    .find(|other| is(other.model.id.as_str(), id) && other.quant.is_some_and(|own| is(own.as_str(), quant)));
                if found.is_none() {
                    let message = format!("`{}` names the successor `{name}`, which is not in this file", entry.name());
                    let next = Hint::CorrectSuccessor { model: id.to_owned() };
                    self.add(entry, (Level::Error, "successor"), "superseded_by", None, (message, next));
                }
                found
            }
            // A model as a whole: superseded if everything of it is.
            None => registry
                .entries()
                .filter(|other| is(other.model.id.as_str(), name))
                .min_by_key(|other| other.artifact.status != Status::Active),
        };
        let Some(next) = next else { return };
        let itself = next.model.id == entry.model.id && next.quant == entry.quant && next.format == entry.format;
        if itself {
            let message = format!("`{}` names itself as its successor", entry.name());
            self.add(entry, (Level::Error, "successor"), "superseded_by", None, (message, Hint::NameSuccessor));
        } else if next.artifact.status != Status::Active {
            let message = format!("`{}` is succeeded by `{name}`, which is {} itself", entry.name(), next.artifact.status.as_str());
            let next = Hint::NameLastSuccessor;
            self.add(entry, (Level::Warning, "successor"), "superseded_by", None, (message, next));
        }
    }

    /// The same file under two names, and the same hash said of two sizes.
    pub(super) fn duplicates(&mut self, registry: &Registry) {
        let mut places: HashMap<(String, &str, Option<&str>), String> = HashMap::new();
        let mut contents: HashMap<Sha256Digest, (String, Option<u64>)> = HashMap::new();
        for entry in registry.entries() {
            let name = entry.name();
            for file in entry.artifact.files.iter().chain(&entry.artifact.expect) {
                let revision = entry.artifact.revision.as_ref().map(|revision| revision.as_str());
                let place = (entry.artifact.source.as_str().to_lowercase(), file.path.as_str(), revision);
                let twin = places.insert(place, name.clone());
                if let Some(twin) = &twin {
                    let message = format!("{} of {} is `{twin}` already", file.path, entry.artifact.source);
                    let next = Hint::RemoveDuplicate;
                    self.add(&entry, (Level::Warning, "duplicate"), "file", Some(&file.path), (message, next));
                }
                let Some(sha256) = file.sha256 else { continue };
                let Some((other, size)) = contents.get(&sha256) else {
                    contents.insert(sha256, (name.clone(), file.size));
                    continue;
                };
                if let (Some(a), Some(b)) = (size, file.size)
                    && *a != b
                {
                    let message = format!("the sha256 {} has {b} bytes here and {a} in `{other}`", sha256.short());
                    let next = Hint::CorrectSizes;
                    self.add(&entry, (Level::Error, "two-sizes"), "size", Some(&file.path), (message, next));
                } else if twin.is_none() {
                    let message = format!("{} (`{name}`) has the same content as `{other}`", file.path);
                    let next = Hint::NothingToDo;
                    self.add(&entry, (Level::Note, "same-content"), "sha256", Some(&file.path), (message, next));
                }
            }
        }
    }
}
