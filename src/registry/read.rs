//! The tree of a registry file -> models.

use super::{
    artifact::{self, FIELDS, MODEL_FIELDS, Scope, Spot},
    error::{Place, Problem, cut},
    fields,
    model::{FormatEntry, Model, QuantEntry, UnknownKey},
    tree::{Entry, Node, Value},
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
    pub unknown: Vec<UnknownKey>,
    /// `superseded_by` values, checked when every id is known.
    successors: Vec<Successor>,
}

struct Successor {
    place: Place,
    name: String,
    /// One list for all quantizations of a format.
    siblings: Rc<[String]>,
}

/// Reads the root of a file.
pub(super) fn contents(root: Option<&Node>) -> Result<Contents, Problem> {
    let nothing = || Problem::new(Place::START, "expected `models:` with the models below it, found nothing");
    let root = root.filter(|node| !matches!(node.value, Value::Null)).ok_or_else(nothing)?;
    let top = fields::map(root, "a mapping with the key `models`")?;
    let Some(models) = top.iter().find(|entry| entry.key == "models") else {
        let message = "expected the key `models` at the top of the file";
        return Err(fields::missing(top, &TOP_FIELDS, &TOP_FIELDS, root.place, message));
    };
    let mut contents = Contents::default();
    fields::note_unknown(&mut contents.unknown, top, &TOP_FIELDS, "");
    let mut ids = Names::new("model id");
    for entry in fields::map(&models.node, "`models` to be a mapping from ids to models")? {
        let id: ModelId = ids.read(entry)?;
        let model = contents.model(id, entry)?;
        contents.models.push(model);
    }
    contents.check_successors()?;
    contents.unknown.sort_by_key(|key| (key.line, key.column));
    Ok(contents)
}

impl Contents {
    fn model(&mut self, id: ModelId, entry: &Entry) -> Result<Model, Problem> {
        let entries = fields::map(&entry.node, &format!("model `{id}` to be a mapping"))?;
        fields::note_unknown(&mut self.unknown, entries, &MODEL_FIELDS, &format!("models.{id}"));
        let scope = Scope::of_model(entries)?;
        let formats = match fields::get(entries, "formats") {
            Some(formats) => fields::map(&formats.node, "`formats` to be a mapping from formats to what they consist of")?,
            None => &[],
        };
        if formats.is_empty() {
            let message = format!("model `{id}` has no `formats`");
            return Err(fields::missing(entries, &MODEL_FIELDS, &["formats"], entry.place, &message));
        }
        let mut names = Names::new("format");
        let mut read = Vec::with_capacity(formats.len());
        for format in formats {
            let name: Format = names.read(format)?;
            read.push(self.format((&id, entries), name, format, &scope)?);
        }
        Ok(Model {
            id,
            huggingface_id: scope.repo,
            revision: scope.revision,
            description: fields::text(entries, "description")?,
            size_class: fields::text(entries, "size_class")?,
            params: fields::text(entries, "params")?,
            ram: fields::text(entries, "ram")?,
            use_case: fields::text(entries, "use_case")?,
            license: scope.license,
            gated: scope.gated,
            formats: read,
        })
    }

    fn format(
        &mut self,
        (model, model_entries): (&ModelId, &[Entry]),
        format: Format,
        entry: &Entry,
        above: &Scope,
    ) -> Result<FormatEntry, Problem> {
        let what = format!("format `{format}` of model `{model}` to be a mapping");
        let entries = fields::map(&entry.node, &what)?;
        let within = format!("models.{model}.formats.{format}");
        let (quants, own): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| is_quant(entry));
        // The files of a whole set are many.
        let own = if quants.is_empty() { Cow::Borrowed(entries) } else { Cow::Owned(own.into_iter().cloned().collect()) };
        fields::note_unknown(&mut self.unknown, &own, &FIELDS, &within);
        let scope = above.below(&own)?;
        let mut read = FormatEntry {
            huggingface_id: scope.repo.clone(),
            revision: scope.revision.clone(),
            quants: Vec::with_capacity(quants.len()),
            whole: None,
            format,
        };
        if quants.is_empty() {
            let spot = Spot {
                model: model.as_str(),
                model_entries,
                format: &read.format,
                name: read.format.as_str(),
                place: entry.place,
                within: &within,
            };
            read.whole = Some(artifact::read(&own, above, &spot, &mut self.unknown)?);
            self.note_successor(&own, &Rc::from([]));
            return Ok(read);
        }
        if let Some(stray) = ["file", "files", "size", "sha256", "expect"].into_iter().find_map(|key| fields::get(&own, key)) {
            let message = format!("`{}` cannot stand beside quantizations; write it into one of them", stray.key);
            return Err(Problem::new(stray.place, message));
        }
        let siblings: Rc<[String]> = quants.iter().map(|entry| entry.key.clone()).collect();
        self.note_successor(&own, &siblings);
        let mut names = Names::new("quantization");
        for entry in quants {
            let quant: Quant = names.read(entry)?;
            let within = format!("{within}.{quant}");
            let spot = Spot {
                model: model.as_str(),
                model_entries,
                format: &read.format,
                name: quant.as_str(),
                place: entry.place,
                within: &within,
            };
            let entries = quant_fields(entry)?;
            fields::note_unknown(&mut self.unknown, &entries, &FIELDS, &within);
            let artifact = artifact::read(&entries, &scope, &spot, &mut self.unknown)?;
            self.note_successor(&entries, &siblings);
            read.quants.push(QuantEntry { quant, artifact });
        }
        Ok(read)
    }

    fn note_successor(&mut self, entries: &[Entry], siblings: &Rc<[String]>) {
        if let Some(entry) = fields::get(entries, "superseded_by")
            && let Value::Text(name) = &entry.node.value
        {
            self.successors.push(Successor {
                place: entry.node.place,
                name: name.trim().to_owned(),
                siblings: Rc::clone(siblings),
            });
        }
    }

    /// A successor is a sibling, a model or `model:quant` of this file, or a repository.
    fn check_successors(&self) -> Result<(), Problem> {
        let ids: HashSet<String> = self.models.iter().map(|model| model.id.as_str().to_ascii_lowercase()).collect();
        // By the list itself: what two formats share is not compared name by name.
        let mut lists: HashMap<*const String, HashSet<String>> = HashMap::new();
        for Successor { place, name, siblings } in &self.successors {
            let beside = lists
                .entry(siblings.as_ptr())
                .or_insert_with(|| siblings.iter().map(|sibling| sibling.to_ascii_lowercase()).collect());
            let id = name.split_once(':').map_or(name.as_str(), |(id, _)| id);
            let known = name.contains('/') || beside.contains(&name.to_ascii_lowercase()) || ids.contains(&id.to_ascii_lowercase());
            if !known {
                let message =
                    format!("`superseded_by`: `{}` is no quantization beside this one and no model of this file", cut(name));
                let candidates = siblings.iter().map(String::as_str).chain(self.models.iter().map(|model| model.id.as_str()));
                return Err(Problem::new(*place, message).suggest(nearest(name, candidates)));
            }
        }
        Ok(())
    }
}

/// Whether a key of a format is a quantization: any key that is no field, save a plain value under what looks like a slip
/// of a field (`revison: main`).
pub(super) fn is_quant(entry: &Entry) -> bool {
    let plain = matches!(entry.node.value, Value::Text(_) | Value::Bare(_) | Value::Null);
    let names_file = matches!(&entry.node.value, Value::Text(text) if text.contains('.'));
    !FIELDS.contains(&entry.key.as_str()) && (!plain || names_file || nearest(&entry.key, FIELDS).is_none())
}

/// The fields of a quantization; a plain text is its `file`.
pub(super) fn quant_fields(entry: &Entry) -> Result<Vec<Entry>, Problem> {
    if let Value::Text(_) = entry.node.value {
        return Ok(vec![Entry { key: "file".into(), place: entry.place, node: entry.node.clone() }]);
    }
    let what = format!("quantization `{}` to be a mapping or a file name", cut(&entry.key));
    Ok(fields::map(&entry.node, &what)?.to_vec())
}

/// Names of one map, which may not differ in case only: they become folders, and some file systems fold case.
struct Names {
    kind: &'static str,
    seen: HashMap<String, Place>,
}

impl Names {
    fn new(kind: &'static str) -> Self {
        Self { kind, seen: HashMap::new() }
    }

    fn read<T: FromStr<Err: Display>>(&mut self, entry: &Entry) -> Result<T, Problem> {
        let name = entry.key.parse().map_err(|error: T::Err| Problem::new(entry.place, error.to_string()))?;
        if let Some(first) = self.seen.insert(entry.key.trim().to_lowercase(), entry.place) {
            let message =
                format!("the {} `{}` stands in line {} already, where case does not count", self.kind, cut(&entry.key), first.line);
            return Err(Problem::new(entry.place, message));
        }
        Ok(name)
    }
}
