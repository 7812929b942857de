//! A new entry, put behind its neighbours and written as they are.

use super::{EditError, Edited, EntryLevel, NewEntry, RegistryContents, below, find, planned, root_of, scope_of, split_format};
use crate::{
    facts::FileFacts,
    hint::{Action, Hint, Verb},
    names::SourceId,
    registry::{
        artifact::InheritedFields,
        model::{Artifact, FormatEntry, Model, QuantEntry, Status},
        tree::{MapEntry, Node, Value},
    },
    yaml::edit::{self as yaml, Edit, MapStyle, Quote, SourceText, Style, Yaml, split_mark},
};

/// Adds an entry to the text of a registry.
///
/// # Errors
/// The text is no registry, has the entry already, or is written in a way that cannot be edited safely.
pub fn add(text: &str, origin: &str, entry: &NewEntry) -> Result<Edited, EditError> {
    let (mark, body) = split_mark(text);
    let before = RegistryContents::of_good(body, origin, entry.id.as_str())?;
    let root = root_of(body, origin)?;
    let insertion = Insertion::find(&root, origin, entry)?;
    let source = SourceText::new(body);
    let placed = insertion.place(&source, &root);
    let refused = |why: &str, in_flow: bool| {
        let paste = match in_flow {
            true => format!("{}: {}", yaml::scalar(&insertion.key, Quote::Plain), yaml::flow(&insertion.value, Quote::Double)),
            false => yaml::block(&insertion.key, &insertion.value, insertion.depth, DEFAULT).join("\n"),
        };
        EditError::Refused {
            origin: origin.to_owned(),
            line: insertion.container.place.line,
            why: why.to_owned(),
            below: insertion.below.clone(),
            paste,
        }
    };
    let placed = placed.map_err(|(why, in_flow)| refused(why, in_flow))?;
    let new = placed.edit.done();
    let expected = insertion.expected(before, entry);
    match RegistryContents::of(&new, origin) {
        Ok(after) if after == expected => {}
        _ => return Err(refused("a line put there would not have been read as this entry alone", false)),
    }
    Ok(Edited { text: format!("{mark}{new}"), entry: placed.lines.join("\n"), line: placed.line })
}

/// How it is written where there is nothing to go by: as the shipped registry is.
const DEFAULT: Style = Style { quote: Quote::Double, step: 2 };

/// Where an entry goes in the tree, and what it consists of there.
struct Insertion<'r> {
    level: EntryLevel,
    /// The key under which it goes, and what is there.
    container: &'r MapEntry,
    siblings: Vec<MapEntry>,
    key: String,
    value: Yaml,
    artifact: Artifact,
    /// Where that is, for people, and the indentation the shipped registry has there.
    below: String,
    depth: usize,
}

/// What is put where.
struct Placed<'s> {
    edit: Edit<'s>,
    lines: Vec<String>,
    line: usize,
}

impl<'r> Insertion<'r> {
    fn find(root: &'r [MapEntry], origin: &str, entry: &NewEntry) -> Result<Self, EditError> {
        let models = find(root, "models").ok_or_else(|| EditError::Conflict {
            message: format!("{origin} has no key `models`"),
            hint: Box::new(Hint::AddModelsKey),
        })?;
        match find(below(&models.node), entry.id.as_str()) {
            None => Ok(Self::model(models, entry)),
            Some(model) if entry.description.is_some() => Err(EditError::Conflict {
                message: format!("model `{}` stands in line {} of {origin} already", entry.id, model.place.line),
                hint: Box::new(Hint::OmitDescription),
            }),
            Some(model) => Self::in_model(model, origin, entry),
        }
    }

    fn model(models: &'r MapEntry, entry: &NewEntry) -> Self {
        let (head, tail, license) = source_fields(&InheritedFields::default(), entry);
        let mut fields = head;
        fields.extend(entry.description.as_ref().map(|text| ("description".to_owned(), Yaml::text(text))));
        fields.extend(tail);
        let form = match &entry.quant {
            Some(quant) => Yaml::Map(vec![(quant.to_string(), Yaml::Map(file_fields(entry)))]),
            None => Yaml::Map(file_fields(entry)),
        };
        fields.push(("formats".into(), Yaml::Map(vec![(entry.format.to_string(), form)])));
        Self {
            level: EntryLevel::Model,
            container: models,
            siblings: below(&models.node).to_vec(),
            key: entry.id.to_string(),
            value: Yaml::Map(fields),
            artifact: planned(entry, license, None),
            below: "below `models:`".into(),
            depth: 2,
        }
    }

    fn in_model(model: &'r MapEntry, origin: &str, entry: &NewEntry) -> Result<Self, EditError> {
        let formats = find(below(&model.node), "formats").ok_or_else(|| EditError::Conflict {
            message: format!("model `{}` of {origin} has no `formats`", entry.id),
            hint: Box::new(Hint::Run(Action::new(Verb::Lint))),
        })?;
        let Some(format) = find(below(&formats.node), entry.format.as_str()) else {
            let (mut fields, tail, license) = source_fields(&scope_of(model, &[]), entry);
            match &entry.quant {
                Some(quant) => {
                    fields.extend(tail);
                    fields.push((quant.to_string(), Yaml::Map(file_fields(entry))));
                }
                None => {
                    fields.extend(file_fields(entry));
                    fields.extend(tail);
                }
            }
            return Ok(Self {
                level: EntryLevel::Format,
                container: formats,
                siblings: below(&formats.node).to_vec(),
                key: entry.format.to_string(),
                value: Yaml::Map(fields),
                artifact: planned(entry, license, None),
                below: format!("below `formats:` of model `{}`", entry.id),
                depth: 6,
            });
        };
        let (quants, own) = split_format(format);
        let conflict = |message: String, hint| EditError::Conflict { message, hint: Box::new(hint) };
        let exists = |place: &MapEntry| EditError::Exists { name: entry.name(), origin: origin.to_owned(), line: place.place.line };
        let quant = match &entry.quant {
            None if quants.is_empty() => return Err(exists(format)),
            None => {
                let message =
                    format!("format {} of model `{}` consists of quantizations, and none is named", entry.format, entry.id);
                return Err(conflict(message, Hint::GiveQuant));
            }
            Some(quant) if quants.is_empty() => {
                let message = format!(
                    "format {} of model `{}` (line {}) has no quantizations, so `{quant}` cannot be one",
                    entry.format, entry.id, format.place.line
                );
                return Err(conflict(message, Hint::GiveOtherId));
            }
            Some(quant) => quant,
        };
        if let Some(there) = find(&quants, quant.as_str()) {
            return Err(exists(there));
        }
        let scope = scope_of(model, &own);
        if let Some(status) = scope.status.filter(|status| *status != Status::Active) {
            let message = format!("format {} of model `{}` is {} as a whole", entry.format, entry.id, status.as_str());
            return Err(conflict(message, Hint::GiveOtherId));
        }
        let (mut fields, tail, license) = source_fields(&scope, entry);
        fields.extend(file_fields(entry));
        fields.extend(tail);
        Ok(Self {
            level: EntryLevel::Quant,
            container: format,
            siblings: below(&format.node).to_vec(),
            key: quant.to_string(),
            value: Yaml::Map(fields),
            artifact: planned(entry, license, scope.note),
            below: format!("below `{}:` of model `{}`", entry.format, entry.id),
            depth: 8,
        })
    }

    /// Where the lines go, and in which style; or what is in the way, and whether that is flow style.
    fn place<'s>(&self, source: &'s SourceText<'s>, root: &[MapEntry]) -> Result<Placed<'s>, (&'static str, bool)> {
        let from = self.container.place.line - 1;
        let outer = source.indent_of(self.container).unwrap_or(0);
        let end = source.block_end(from, outer);
        let inside: Vec<&MapEntry> =
            self.siblings.iter().filter(|entry| (from + 1..=end).contains(&(entry.place.line - 1))).collect();
        let last = inside.iter().max_by_key(|entry| entry.place.line).copied();
        let mut edit = Edit::new(source);
        let (indent, after) = match source.body(self.container, &self.siblings) {
            MapStyle::Block(indent) => (indent, source.with_comments(end, indent)),
            MapStyle::Empty(word) => {
                if let Some(word) = word {
                    edit.replace(word, "");
                }
                let after = source.with_comments(from, outer + 1);
                let comment = source.line(after);
                let indent = if after > from { comment.len() - comment.trim_start().len() } else { outer + DEFAULT.step };
                (indent, after)
            }
            MapStyle::Other(why) => return Err((why, why.contains("flow style") || why.contains("one line"))),
        };
        let step = last
            .and_then(|last| source.indent_of(below(&last.node).first()?)?.checked_sub(indent))
            .filter(|step| *step > 0)
            .unwrap_or_else(|| indent.saturating_sub(outer).max(1));
        let quote = last
            .and_then(|last| quote_in(source, &last.node))
            .or_else(|| root.iter().find_map(|entry| quote_in(source, &entry.node)));
        let style = Style { quote: quote.unwrap_or(DEFAULT.quote), step };
        let braces = last.and_then(|last| source.behind_key(last)).is_some_and(|(_, behind)| behind.trim_start().starts_with('{'));
        let one_line = self.level == EntryLevel::Quant && braces && self.artifact.files.len() == 1;
        let lines = match one_line {
            true => {
                let (key, value) = (yaml::scalar(&self.key, Quote::Plain), yaml::flow(&self.value, style.quote));
                vec![format!("{}{key}: {value}", " ".repeat(indent))]
            }
            false => yaml::block(&self.key, &self.value, indent, style),
        };
        let spaced = match (self.level, inside.len(), last) {
            (_, 0, _) | (_, _, None) => false,
            (EntryLevel::Model, 1, _) => true,
            (_, count, Some(last)) => count > 1 && source.is_spaced(last),
        };
        let blank = spaced.then_some("");
        edit.insert_behind(after, &blank.into_iter().chain(lines.iter().map(String::as_str)).collect::<Vec<_>>());
        Ok(Placed { edit, lines, line: after + 2 + usize::from(spaced) })
    }

    /// What the registry has to say afterwards.
    fn expected(&self, mut contents: RegistryContents, entry: &NewEntry) -> RegistryContents {
        let artifact = self.artifact.clone();
        let format = |whole_or_quant: Artifact| {
            let (quants, whole) = match &entry.quant {
                Some(quant) => (vec![QuantEntry { quant: quant.clone(), artifact: whole_or_quant }], None),
                None => (Vec::new(), Some(whole_or_quant)),
            };
            let (repo, commit) = (entry.source.repo().cloned(), entry.commit.clone());
            FormatEntry { format: entry.format.clone(), huggingface_id: repo, revision: commit, quants, whole }
        };
        match self.level {
            EntryLevel::Model => contents.models.push(Model {
                id: entry.id.clone(),
                huggingface_id: entry.source.repo().cloned(),
                revision: entry.commit.clone(),
                description: entry.description.as_ref().map(|text| text.trim().to_owned()),
                size_class: None,
                params: None,
                ram: None,
                use_case: None,
                license: artifact.license.clone(),
                gated: artifact.gated,
                formats: vec![format(artifact)],
            }),
            EntryLevel::Format => {
                if let Some(model) = contents.model(entry.id.as_str()) {
                    model.formats.push(format(artifact));
                }
            }
            EntryLevel::Quant => {
                let model = contents.model(entry.id.as_str());
                let formats = model.and_then(|model| model.formats.iter_mut().find(|there| there.format == entry.format));
                if let (Some(there), Some(quant)) = (formats, &entry.quant) {
                    there.quants.push(QuantEntry { quant: quant.clone(), artifact });
                }
            }
        }
        contents
    }
}

type Fields = Vec<(String, Yaml)>;

/// Where an entry comes from, as far as `scope` does not say it: what stands before its files, what behind them, and the
/// licence that then holds. A licence that somebody wrote for the same repository stays.
fn source_fields(scope: &InheritedFields, entry: &NewEntry) -> (Fields, Fields, Option<String>) {
    let same = scope.repo.is_some() && scope.repo.as_ref() == entry.source.repo();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    if let Some(repo) = entry.source.repo().filter(|_| !same) {
        head.push(("huggingface_id".to_owned(), Yaml::text(repo)));
    }
    if let Some(commit) = entry.commit.as_ref().filter(|commit| !same || scope.revision.as_ref() != Some(*commit)) {
        head.push(("revision".to_owned(), Yaml::text(commit)));
    }
    let license = match (&scope.license, &entry.license) {
        (Some(above), _) if same => Some(above.clone()),
        (above, None) => above.clone(),
        (above, Some(own)) => {
            if above.as_ref() != Some(own) {
                tail.push(("license".to_owned(), Yaml::text(own)));
            }
            Some(own.clone())
        }
    };
    if (same && scope.gated) != entry.gated {
        tail.push(("gated".to_owned(), Yaml::Flag(entry.gated)));
    }
    (head, tail, license)
}

/// Which files it consists of.
fn file_fields(entry: &NewEntry) -> Fields {
    match entry.files.as_slice() {
        [] if entry.expect.is_empty() => Vec::new(),
        [] => vec![("expect".into(), listed(&entry.expect))],
        [only] => known(only, "file", &entry.source),
        several => {
            vec![("files".into(), Yaml::List(several.iter().map(|file| Yaml::Map(known(file, "path", &entry.source))).collect()))]
        }
    }
}

/// A file of a web server is named by its address.
fn known(file: &FileFacts, name: &str, source: &SourceId) -> Fields {
    let mut fields = known_in_repo(file, name);
    if let (Some(folder), Some(first)) = (source.web(), fields.first_mut()) {
        *first = ("url".to_owned(), Yaml::text(folder.shown(&file.path)));
    }
    fields
}

pub(super) fn listed(files: &[FileFacts]) -> Yaml {
    Yaml::List(files.iter().map(|file| Yaml::Map(known_in_repo(file, "path"))).collect())
}

fn known_in_repo(file: &FileFacts, name: &str) -> Fields {
    vec![
        (name.to_owned(), Yaml::text(&file.path)),
        ("size".to_owned(), file.size.map_or(Yaml::Null, Yaml::Number)),
        ("sha256".to_owned(), file.sha256.map_or(Yaml::Null, Yaml::text)),
    ]
}

/// How the first text below a node is quoted.
pub(super) fn quote_in(source: &SourceText<'_>, node: &Node) -> Option<Quote> {
    match &node.value {
        Value::Text(_) => source.quote_at(node.place.line, node.place.column),
        Value::Map(entries) => entries.iter().find_map(|entry| quote_in(source, &entry.node)),
        Value::List(nodes) => nodes.iter().find_map(|node| quote_in(source, node)),
        Value::Null | Value::Bare(_) => None,
    }
}
