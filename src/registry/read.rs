//! The tree of a registry file -> models.

use super::{
    artifact::{self, ArtifactLocation, FIELDS, InheritedFields, MODEL_FIELDS},
    error::{Position, Problem, cut},
    fields::{self, Diagnostics},
    model::{FormatEntry, Model, QuantEntry},
    tree::{MapEntry, Node, Value},
};
use crate::names::{Format, ModelId, Quant, nearest};
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt::Display,
    rc::Rc,
    str::FromStr,
};

const TOP_FIELDS: [&str; 1] = ["models"];

/// Everything read from one file.
#[derive(Default)]
pub(super) struct Contents {
    pub models: Vec<Model>,
    /// What else was found: keys that nothing reads; and what is wrong with the entry that is being read.
    pub diagnostics: Diagnostics,
    /// What is wrong, with the entries that it concerns.
    pub bad: Vec<(EntryPath, Problem)>,
    /// `superseded_by` values, checked when every id is known.
    successors: Vec<Successor>,
}

/// The entry that something is about: a model, one of its formats, or one of its quantizations, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryPath {
    pub model: String,
    pub format: Option<String>,
    pub quant: Option<String>,
}

impl EntryPath {
    fn model(entry: &MapEntry) -> Self {
        Self { model: entry.key.trim().to_owned(), format: None, quant: None }
    }

    fn format(&self, entry: &MapEntry) -> Self {
        Self { format: Some(entry.key.trim().to_owned()), ..self.clone() }
    }

    fn quant(&self, entry: &MapEntry) -> Self {
        Self { quant: Some(entry.key.trim().to_owned()), ..self.clone() }
    }
}

struct Successor {
    owner: EntryPath,
    place: Position,
    name: String,
    /// One list for all quantizations of a format.
    siblings: Rc<[String]>,
}

/// Reads the root of a file. What is wrong in an entry ends only that; `Err` is what leaves no entries. `keys` is what is
/// wrong with keys.
pub(super) fn contents(root: Option<&Node>, keys: Vec<Problem>) -> Result<Contents, Problem> {
    let nothing = || Problem::new(Position::START, "expected `models:` with the models below it, found nothing");
    let root = root.filter(|node| !matches!(node.value, Value::Null)).ok_or_else(nothing)?;
    let top = fields::map(root, "a mapping with the key `models`")?;
    let Some(models) = top.iter().find(|entry| entry.key == "models") else {
        let message = "expected the key `models` at the top of the file";
        return Err(fields::missing(top, &TOP_FIELDS, &TOP_FIELDS, root.place, message));
    };
    let mut contents = Contents::default();
    fields::note_unknown(&mut contents.diagnostics.unknown, top, &TOP_FIELDS, "");
    let entries = fields::map(&models.node, "`models` to be a mapping from ids to models")?;
    for problem in keys {
        let owners = owners_of(entries, problem.place);
        if owners.is_empty() {
            return Err(problem);
        }
        contents.bad.extend(owners.into_iter().map(|owner| (owner, problem.clone())));
    }
    let mut ids = Names::new("model id");
    for entry in entries {
        let owner = EntryPath::model(entry);
        let id = contents.diagnostics.keep(ids.read::<ModelId>(entry));
        contents.blame(&owner);
        let model = id.and_then(|id| contents.model(id, entry, &owner));
        contents.models.extend(model);
    }
    contents.check_successors(entries);
    contents.drop_bad();
    contents.diagnostics.unknown.sort_by_key(|key| (key.line, key.column));
    contents.bad.sort_by_key(|(_, problem)| problem.place);
    Ok(contents)
}

/// Every entry that holds the key at this place: by way of an alias there may be several.
fn owners_of(models: &[MapEntry], place: Position) -> Vec<EntryPath> {
    let mut owners = Vec::new();
    for model in models {
        let owner = EntryPath::model(model);
        if model.place == place {
            owners.push(owner);
            continue;
        }
        if !holds(&model.node, place) {
            continue;
        }
        let formats = fields::get(below(&model.node), "formats").map(|formats| below(&formats.node)).unwrap_or_default();
        let Some(format) = formats.iter().find(|format| format.place == place || holds(&format.node, place)) else {
            owners.push(owner);
            continue;
        };
        let owner = owner.format(format);
        let mut quants = below(&format.node).iter().filter(|entry| is_quant(entry));
        match quants.find(|quant| quant.place == place || holds(&quant.node, place)) {
            Some(quant) if format.place != place => owners.push(owner.quant(quant)),
            _ => owners.push(owner),
        }
    }
    owners
}

/// Whether a key at this place is somewhere in a tree.
fn holds(node: &Node, place: Position) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.place == place || holds(&entry.node, place)),
        Value::List(nodes) => nodes.iter().any(|node| holds(node, place)),
        _ => false,
    }
}

fn below(node: &Node) -> &[MapEntry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

impl Contents {
    /// What was noted since the last time is wrong with this entry.
    fn blame(&mut self, owner: &EntryPath) {
        self.bad.extend(self.diagnostics.problems.drain(..).map(|problem| (owner.clone(), problem)));
    }

    fn model(&mut self, id: ModelId, entry: &MapEntry, owner: &EntryPath) -> Option<Model> {
        let entries = self.diagnostics.keep(fields::map(&entry.node, &format!("model `{id}` to be a mapping")));
        let Some(entries) = entries else {
            self.blame(owner);
            return None;
        };
        fields::note_unknown(&mut self.diagnostics.unknown, entries, &MODEL_FIELDS, &format!("models.{id}"));
        let scope = InheritedFields::of_model(entries, &mut self.diagnostics);
        let text = |diagnostics: &mut Diagnostics, key| diagnostics.field(fields::text(entries, key));
        let mut model = Model {
            id,
            huggingface_id: scope.repo.clone(),
            revision: scope.revision.clone(),
            description: text(&mut self.diagnostics, "description"),
            size_class: text(&mut self.diagnostics, "size_class"),
            params: text(&mut self.diagnostics, "params"),
            ram: text(&mut self.diagnostics, "ram"),
            use_case: text(&mut self.diagnostics, "use_case"),
            license: scope.license.clone(),
            gated: scope.gated,
            formats: Vec::new(),
        };
        let formats = match fields::get(entries, "formats") {
            Some(formats) => {
                let what = "`formats` to be a mapping from formats to what they consist of";
                self.diagnostics.keep(fields::map(&formats.node, what))
            }
            None => Some([].as_slice()),
        };
        if formats.is_some_and(<[MapEntry]>::is_empty) {
            let message = format!("model `{}` has no `formats`", model.id);
            self.diagnostics.problems.push(fields::missing(entries, &MODEL_FIELDS, &["formats"], entry.place, &message));
        }
        self.blame(owner);
        let mut names = Names::new("format");
        for format in formats.unwrap_or_default() {
            let owner = owner.format(format);
            let name = self.diagnostics.keep(names.read::<Format>(format));
            self.blame(&owner);
            let read = name.and_then(|name| self.format((&model.id, entries), name, format, &scope, &owner));
            model.formats.extend(read);
        }
        Some(model)
    }

    fn format(
        &mut self,
        (model, model_entries): (&ModelId, &[MapEntry]),
        format: Format,
        entry: &MapEntry,
        above: &InheritedFields,
        owner: &EntryPath,
    ) -> Option<FormatEntry> {
        let what = format!("format `{format}` of model `{model}` to be a mapping");
        let Some(entries) = self.diagnostics.keep(fields::map(&entry.node, &what)) else {
            self.blame(owner);
            return None;
        };
        let within = format!("models.{model}.formats.{format}");
        let (quants, own): (Vec<&MapEntry>, Vec<&MapEntry>) = entries.iter().partition(|entry| is_quant(entry));
        // The files of a whole set are many.
        let own = if quants.is_empty() { Cow::Borrowed(entries) } else { Cow::Owned(own.into_iter().cloned().collect()) };
        fields::note_unknown(&mut self.diagnostics.unknown, &own, &FIELDS, &within);
        if quants.is_empty() {
            let (name, place) = (format.as_str(), entry.place);
            let location = ArtifactLocation { model: model.as_str(), model_entries, format: &format, name, place, within: &within };
            let whole = artifact::read(&own, above, &location, &mut self.diagnostics);
            self.note_successor(owner, &own, &Rc::from([]));
            self.blame(owner);
            let (huggingface_id, revision) = match &whole {
                Some(whole) => (whole.source.repo().cloned(), whole.revision.clone()),
                None => (None, None),
            };
            return Some(FormatEntry { huggingface_id, revision, quants: Vec::new(), whole, format });
        }
        let scope = above.below(&own, &mut self.diagnostics);
        if let Some(stray) = ["file", "files", "size", "sha256", "expect"].into_iter().find_map(|key| fields::get(&own, key)) {
            let message = format!("`{}` cannot stand beside quantizations; write it into one of them", stray.key);
            self.diagnostics.problems.push(Problem::new(stray.place, message));
        }
        let siblings: Rc<[String]> = quants.iter().map(|entry| entry.key.clone()).collect();
        self.note_successor(owner, &own, &siblings);
        self.blame(owner);
        let mut names = Names::new("quantization");
        let mut read = Vec::with_capacity(quants.len());
        for entry in quants {
            let owner = owner.quant(entry);
            let quant = self.diagnostics.keep(names.read::<Quant>(entry));
            let entries = self.diagnostics.keep(quant_fields(entry));
            if let (Some(quant), Some(entries)) = (quant, entries) {
                let within = format!("{within}.{quant}");
                fields::note_unknown(&mut self.diagnostics.unknown, &entries, &FIELDS, &within);
                let (name, place) = (quant.as_str(), entry.place);
                let location =
                    ArtifactLocation { model: model.as_str(), model_entries, format: &format, name, place, within: &within };
                let artifact = artifact::read(&entries, &scope, &location, &mut self.diagnostics);
                self.note_successor(&owner, &entries, &siblings);
                read.extend(artifact.map(|artifact| QuantEntry { quant, artifact }));
            }
            self.blame(&owner);
        }
        Some(FormatEntry { huggingface_id: scope.repo, revision: scope.revision, quants: read, whole: None, format })
    }

    fn note_successor(&mut self, owner: &EntryPath, entries: &[MapEntry], siblings: &Rc<[String]>) {
        if let Some(entry) = fields::get(entries, "superseded_by")
            && let Value::Text(name) = &entry.node.value
        {
            self.successors.push(Successor {
                owner: owner.clone(),
                place: entry.node.place,
                name: name.trim().to_owned(),
                siblings: Rc::clone(siblings),
            });
        }
    }

    /// A successor is a sibling, a model or `model:quant` of this file, or a repository. What cannot be used is there too.
    fn check_successors(&mut self, models: &[MapEntry]) {
        let ids: HashSet<String> = models.iter().map(|model| model.key.trim().to_ascii_lowercase()).collect();
        // By the list itself: what two formats share is not compared name by name.
        let mut lists: HashMap<*const String, HashSet<String>> = HashMap::new();
        for Successor { owner, place, name, siblings } in &self.successors {
            let beside = lists
                .entry(siblings.as_ptr())
                .or_insert_with(|| siblings.iter().map(|sibling| sibling.to_ascii_lowercase()).collect());
            let id = name.split_once(':').map_or(name.as_str(), |(id, _)| id);
            let known = name.contains('/') || beside.contains(&name.to_ascii_lowercase()) || ids.contains(&id.to_ascii_lowercase());
            if !known {
                let message =
                    format!("`superseded_by`: `{}` is no quantization beside this one and no model of this file", cut(name));
                let candidates = siblings.iter().map(String::as_str).chain(models.iter().map(|model| model.key.as_str()));
                self.bad.push((owner.clone(), Problem::new(*place, message).suggest(nearest(name, candidates))));
            }
        }
    }

    /// Takes out what something is wrong with, and what nothing is left of. Of names that differ in case only, or not at all,
    /// none can be used.
    fn drop_bad(&mut self) {
        if self.bad.is_empty() {
            return;
        }
        let is_bad = |model: &ModelId, format: Option<&Format>, quant: Option<&Quant>| {
            let same = |own: &Option<String>, name: Option<&str>| match (own, name) {
                (None, None) => true,
                (Some(own), Some(name)) => own.to_lowercase() == name.to_lowercase(),
                _ => false,
            };
            self.bad.iter().any(|(owner, _)| {
                owner.model.to_lowercase() == model.as_str().to_lowercase()
                    && same(&owner.format, format.map(Format::as_str))
                    && same(&owner.quant, quant.map(Quant::as_str))
            })
        };
        self.models.retain_mut(|model| {
            let id = &model.id;
            model.formats.retain_mut(|entry| {
                let format = &entry.format;
                entry.quants.retain(|quant| !is_bad(id, Some(format), Some(&quant.quant)));
                !is_bad(id, Some(format), None) && (entry.whole.is_some() || !entry.quants.is_empty())
            });
            !is_bad(id, None, None) && !model.formats.is_empty()
        });
    }
}

/// Whether a key of a format is a quantization: any key that is no field, save a plain value under what looks like a slip
/// of a field (`revison: main`).
pub(super) fn is_quant(entry: &MapEntry) -> bool {
    let plain = matches!(entry.node.value, Value::Text(_) | Value::Bare(_) | Value::Null);
    let names_file = matches!(&entry.node.value, Value::Text(text) if text.contains('.'));
    !FIELDS.contains(&entry.key.as_str()) && (!plain || names_file || nearest(&entry.key, FIELDS).is_none())
}

/// The fields of a quantization; a plain text is its `file`.
pub(super) fn quant_fields(entry: &MapEntry) -> Result<Vec<MapEntry>, Problem> {
    if let Value::Text(_) = entry.node.value {
        return Ok(vec![MapEntry { key: "file".into(), place: entry.place, node: entry.node.clone() }]);
    }
    let what = format!("quantization `{}` to be a mapping or a file name", cut(&entry.key));
    Ok(fields::map(&entry.node, &what)?.to_vec())
}

/// Names of one map, which may not differ in case only: they become folders, and some file systems fold case.
struct Names {
    kind: &'static str,
    seen: HashMap<String, (String, Position)>,
}

impl Names {
    fn new(kind: &'static str) -> Self {
        Self { kind, seen: HashMap::new() }
    }

    fn read<T: FromStr<Err: Display>>(&mut self, entry: &MapEntry) -> Result<T, Problem> {
        let name = entry.key.parse().map_err(|error: T::Err| Problem::new(entry.place, error.to_string()))?;
        let first = self.seen.insert(entry.key.trim().to_lowercase(), (entry.key.clone(), entry.place));
        // The YAML reader reports equal spellings.
        if let Some((_, first)) = first.filter(|(key, _)| *key != entry.key) {
            let message =
                format!("the {} `{}` stands in line {} already, where case does not count", self.kind, cut(&entry.key), first.line);
            return Err(Problem::new(entry.place, message));
        }
        Ok(name)
    }
}
