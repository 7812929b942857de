//! What is odd in a registry, with its place and what to do: more than a reader has to insist on.

mod rules;

use super::{
    Registry, RegistryError,
    error::Position,
    model::{Artifact, BadEntry, Model},
    tree::{self, MapEntry, Node, Value},
};
use crate::{
    hint::{Action, Hint, Parameter, Verb},
    names::{Format, Quant, RelPath},
};
use serde::Serialize;
use std::collections::HashMap;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// It does not work, or not as it says.
    Error,
    /// It works, with less safety than it could have.
    Warning,
    /// Worth knowing.
    Note,
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something odd in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The rule, in a word or two: the same in every version.
    pub rule: &'static str,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// The model it is about.
    pub model: Option<String>,
    /// The format it is about.
    pub format: Option<String>,
    /// The quantization it is about.
    pub quant: Option<String>,
    /// The file of a repository it is about, by its path there.
    pub repo_path: Option<String>,
    /// What is odd.
    pub message: String,
    /// What to do.
    #[serde(skip)]
    pub hint: Vec<Hint>,
}

/// One entry of a registry: what is downloaded as a unit.
#[derive(Debug, Clone)]
pub struct EntryRef<'r> {
    /// Its model.
    pub model: &'r Model,
    /// Its format.
    pub format: &'r Format,
    /// Its quantization.
    pub quant: Option<&'r Quant>,
    /// What it consists of.
    pub artifact: &'r Artifact,
}

impl EntryRef<'_> {
    /// How people call it.
    pub fn name(&self) -> String {
        match self.quant {
            Some(quant) => format!("{}:{quant}", self.model.id),
            None => format!("{}:{}", self.model.id, self.format),
        }
    }
}

impl Registry {
    /// Every entry, in file order.
    pub fn entries(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.models().flat_map(|model| {
            model.formats.iter().flat_map(move |format| {
                let quants = format.quants.iter().map(|entry| (Some(&entry.quant), &entry.artifact));
                let whole = format.whole.iter().map(|artifact| (None, artifact));
                quants.chain(whole).map(move |(quant, artifact)| EntryRef { model, format: &format.format, quant, artifact })
            })
        })
    }
}

/// A registry that is being looked through.
#[derive(Default)]
pub struct Lint {
    registry: Option<Registry>,
    root: Vec<MapEntry>,
    /// Where the models stand in the tree, by their ids in lower case.
    models: HashMap<String, usize>,
    findings: Vec<Finding>,
    /// Where the findings about entries are, by what each is about.
    told: HashMap<About, usize>,
}

/// Rule, model, format, quantization and file.
type About = (&'static str, Option<String>, Option<String>, Option<String>, Option<String>);

impl Lint {
    /// Looks through a text, without any network.
    pub fn offline(text: &str, origin: &str) -> Self {
        let registry = match Registry::parse(text, origin) {
            Ok(registry) => registry,
            Err(error) => return Self { findings: vec![schema(&error, None)], ..Self::default() },
        };
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = tree::read_on_to(body, |root, _| Ok(root.map(|node| entries_of(node).to_vec()).unwrap_or_default()), |_| true);
        let root = root.unwrap_or_default();
        let mut lint = Self { root, ..Self::default() };
        let models = get(&lint.root, "models").map(|models| entries_of(&models.node)).unwrap_or_default();
        lint.models = models.iter().enumerate().map(|(at, model)| (model.key.trim().to_ascii_lowercase(), at)).collect();
        for bad in registry.bad_entries() {
            lint.findings.push(schema(&RegistryError::BadFile(Box::new(bad.error.clone())), Some(bad)));
        }
        lint.unknown_keys(&registry);
        for model in registry.models() {
            lint.model(model);
        }
        for entry in registry.entries() {
            lint.pins(&entry);
            lint.quant_of_name(&entry);
            lint.parts(&entry);
            lint.names(&entry);
            lint.successor(&entry, &registry);
        }
        lint.duplicates(&registry);
        lint.registry = Some(registry);
        lint
    }

    /// What the text says, if it is a registry.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_ref()
    }

    /// What was found, in file order.
    pub fn findings(mut self) -> Vec<Finding> {
        self.findings.sort_by(|a, b| (a.line, a.column, a.level, &a.message).cmp(&(b.line, b.column, b.level, &b.message)));
        self.findings
    }

    /// Adds a finding about an entry, at the key `at` below it or at the entry itself. Of the same rule and file there is
    /// one finding: the later one knows more.
    pub fn add(
        &mut self,
        entry: &EntryRef<'_>,
        (level, rule): (Level, &'static str),
        at: &str,
        file: Option<&RelPath>,
        said: (String, Hint),
    ) {
        let place = self.place(entry, at, file);
        let (model, format) = (Some(entry.model.id.to_string()), Some(entry.format.to_string()));
        let (quant, file) = (entry.quant.map(ToString::to_string), file.map(ToString::to_string));
        let (message, hint) = said;
        let about = (rule, model.clone(), format.clone(), quant.clone(), file.clone());
        let hint = vec![hint];
        let new =
            Finding { level, rule, line: place.line, column: place.column, model, format, quant, repo_path: file, message, hint };
        match self.told.get(&about) {
            Some(&at) => self.findings[at] = new,
            None => {
                self.told.insert(about, self.findings.len());
                self.findings.push(new);
            }
        }
    }

    /// The model in the tree.
    fn entry_of(&self, model: &Model) -> Option<&MapEntry> {
        let models = get(&self.root, "models")?;
        entries_of(&models.node).get(*self.models.get(&model.id.as_str().to_ascii_lowercase())?)
    }

    /// Where a key of an entry stands: in the map that names the file, in the entry, in its format or its model; else the
    /// entry itself.
    fn place(&self, entry: &EntryRef<'_>, key: &str, file: Option<&RelPath>) -> Position {
        let Some(model) = self.entry_of(entry.model) else { return Position::START };
        let formats = get(entries_of(&model.node), "formats").map(|formats| entries_of(&formats.node)).unwrap_or_default();
        let Some(format) = get(formats, entry.format.as_str()) else { return model.place };
        let own = entry.quant.and_then(|quant| get(entries_of(&format.node), quant.as_str()));
        let spot = own.unwrap_or(format);
        let lists = ["files", "expect"].into_iter().filter_map(|key| get(entries_of(&spot.node), key));
        let items = lists.filter_map(|list| if let Value::List(nodes) = &list.node.value { Some(nodes) } else { None }).flatten();
        let is_of = |node: &&Node| match &node.value {
            Value::Text(path) => file.is_some_and(|file| file.as_str() == path),
            _ => entries_of(node)
                .iter()
                .any(|entry| matches!(&entry.node.value, Value::Text(path) if file.is_some_and(|file| file.as_str() == path))),
        };
        if let Some(item) = items.into_iter().find(is_of) {
            return get(entries_of(item), key).map_or(item.place, |found| found.place);
        }
        let inherited = ["revision", "huggingface_id", "license", "gated"].contains(&key);
        let above: &[&MapEntry] = if inherited { &[spot, format, model] } else { &[spot] };
        above.iter().find_map(|level| get(entries_of(&level.node), key)).map_or(spot.place, |found| found.place)
    }
}

/// What pins an entry at the present commit.
pub(crate) fn repin_action(entry: &EntryRef<'_>) -> Action {
    let id = &entry.model.id;
    let name = entry.quant.map_or_else(|| id.to_string(), |quant| format!("{id}:{quant}"));
    let action = Action::new(Verb::Add).name(name);
    let needs_format = entry.quant.is_none() || !entry.format.is_single_file();
    let action = if needs_format { action.value(Parameter::Format, entry.format.to_string()) } else { action };
    action.with(Parameter::Update)
}

/// What fills in what is not known of an entry: at its own commit, where it has one.
pub(crate) fn update_action(entry: &EntryRef<'_>) -> Action {
    let commit = entry.artifact.revision.as_ref().filter(|revision| revision.is_commit());
    match commit {
        Some(commit) => repin_action(entry).value(Parameter::Revision, commit.to_string()),
        None => repin_action(entry),
    }
}

fn schema(error: &RegistryError, of: Option<&BadEntry>) -> Finding {
    let (line, column, message) = match error {
        RegistryError::BadFile(bad) => {
            let meant = bad.suggestion.as_ref().map(|suggestion| format!("; did you mean `{suggestion}`?")).unwrap_or_default();
            (bad.line, bad.column, format!("{}{meant}", bad.message))
        }
        other => (1, 1, other.to_string()),
    };
    Finding {
        level: Level::Error,
        rule: "schema",
        line,
        column,
        model: of.map(|of| of.model.clone()),
        format: of.and_then(|of| of.format.clone()),
        quant: of.and_then(|of| of.quant.clone()),
        repo_path: None,
        message,
        hint: error.hints(),
    }
}

fn entries_of(node: &Node) -> &[MapEntry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn get<'e>(entries: &'e [MapEntry], key: &str) -> Option<&'e MapEntry> {
    entries.iter().find(|entry| entry.key.trim().eq_ignore_ascii_case(key))
}
