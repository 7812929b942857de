//! The fields that say where files come from, and how they pass from a model to its formats and their quantizations.

use super::{
    error::{Position, Problem},
    fields::{self, Diagnostics},
    model::{Artifact, Status},
    tree::{MapEntry, Node, Value},
};
use crate::{
    facts::FileFacts,
    names::{Format, RelPath, RepoId, Revision, WebFolder, nearest, split_part_suffix},
};
use std::collections::HashMap;
use url::Url;

/// The keys that name files; one of them is needed where the repository alone does not say which files a format has.
const NAMING: [&str; 4] = ["file", "files", "include", "url"];

/// Every key that is a field of an artifact and so cannot be the name of a quantization.
pub(super) const FIELDS: [&str; 15] = [
    "file",
    "url",
    "files",
    "include",
    "exclude",
    "expect",
    "revision",
    "huggingface_id",
    "size",
    "sha256",
    "license",
    "gated",
    "status",
    "superseded_by",
    "note",
];

/// Every key of a model.
pub(super) const MODEL_FIELDS: [&str; 10] =
    ["huggingface_id", "revision", "description", "size_class", "params", "ram", "use_case", "license", "gated", "formats"];

const FILE_FIELDS: [&str; 5] = ["path", "file", "url", "size", "sha256"];
/// What cannot stand beside an address, which names its file and has no revisions.
const NOT_OF_THE_WEB: [&str; 6] = ["file", "include", "exclude", "expect", "huggingface_id", "revision"];

/// The longest file pattern.
const MAX_PATTERN: usize = 1024;

/// What a level of the file hands down to the levels below it.
#[derive(Clone, Default)]
pub(super) struct InheritedFields {
    pub repo: Option<RepoId>,
    /// Whether the name of the repository cannot be read; the problem is reported where the name stands.
    repo_is_bad: bool,
    pub revision: Option<Revision>,
    pub license: Option<String>,
    pub gated: bool,
    include: Vec<String>,
    exclude: Vec<String>,
    pub status: Option<Status>,
    superseded_by: Option<String>,
    pub note: Option<String>,
}

impl InheritedFields {
    /// What a model hands down.
    pub fn of_model(entries: &[MapEntry], diagnostics: &mut Diagnostics) -> Self {
        Self::default().with_source(entries, diagnostics)
    }

    /// This level's repository, revision, gate and licence over those of the level above. Revision and gate belong to a
    /// repository: a level that names another one starts without them.
    fn with_source(&self, entries: &[MapEntry], diagnostics: &mut Diagnostics) -> Self {
        let mut scope = self.clone();
        match diagnostics.keep(repository(entries)) {
            None => scope.repo_is_bad = true,
            Some(Some(repo)) if scope.repo.as_ref() != Some(&repo) => {
                scope = Self { repo: Some(repo), repo_is_bad: false, revision: None, gated: false, ..scope };
            }
            Some(_) => {}
        }
        if let Some(revision) = diagnostics.field(fields::parsed(entries, "revision")) {
            scope.revision = Some(revision);
        }
        if let Some(license) = diagnostics.field(fields::text(entries, "license")) {
            scope.license = Some(license);
        }
        if let Some(gated) = diagnostics.field(fields::flag(entries, "gated")) {
            scope.gated = gated;
        }
        scope
    }

    /// What a format hands down, or a quantization has, over the level above.
    pub fn below(&self, entries: &[MapEntry], diagnostics: &mut Diagnostics) -> Self {
        let mut scope = self.with_source(entries, diagnostics);
        if let Some(include) = diagnostics.field(patterns(entries, "include")) {
            scope.include = include;
        }
        if let Some(exclude) = diagnostics.field(patterns(entries, "exclude")) {
            scope.exclude = exclude;
        }
        let superseded_by = diagnostics.field(fields::text(entries, "superseded_by"));
        if superseded_by.is_some() {
            scope.superseded_by = superseded_by;
            scope.status = Some(Status::Superseded);
        }
        if let Some(status) = diagnostics.field(status(entries)) {
            scope.status = Some(status);
        }
        if let Some(note) = diagnostics.field(fields::text(entries, "note")) {
            scope.note = Some(note);
        }
        scope
    }
}

/// The repository that a level names. A number or a boolean is none, although a name without an owner may look like it.
fn repository(entries: &[MapEntry]) -> Result<Option<RepoId>, Problem> {
    let key = "huggingface_id";
    if let Some(MapEntry { node: Node { place, value: value @ Value::Bare(_) }, .. }) = fields::get(entries, key) {
        return Err(Problem::new(*place, format!("`{key}`: expected `owner/name`, found {}", value.kind())));
    }
    fields::parsed(entries, key)
}

/// Where an artifact stands in the file, for what is said about it.
pub(super) struct ArtifactLocation<'a> {
    pub model: &'a str,
    /// The model's own fields.
    pub model_entries: &'a [MapEntry],
    pub format: &'a Format,
    /// The quantization or format the artifact is of.
    pub name: &'a str,
    pub place: Position,
    /// The keys down to it, with dots.
    pub within: &'a str,
}

/// Reads what `entries` at `location` consist of, below `above`; `None` where something is wrong, which is noted.
pub(super) fn read(
    entries: &[MapEntry],
    above: &InheritedFields,
    location: &ArtifactLocation<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Artifact> {
    let before = diagnostics.problems.len();
    let scope = above.below(entries, diagnostics);
    if let Some(web) = addresses(entries, diagnostics, location.within) {
        return of_web(web, entries, scope, diagnostics, before);
    }
    let files = named_files(entries, diagnostics, location.within);
    let expect = match fields::list(entries, "expect") {
        Some(nodes) => file_list(nodes, "expect", diagnostics, location.within),
        None => Vec::new(),
    };
    if !files.is_empty() {
        let other = ["include", "exclude", "expect"].into_iter().find_map(|key| fields::get(entries, key));
        if let Some(other) = other {
            let message = format!("`{}` cannot stand beside `file` or `files`, which name exactly what is fetched", other.key);
            diagnostics.problems.push(Problem::new(other.place, message));
        }
    }
    // What could not be read is not said to be missing.
    let is_whole = diagnostics.problems.len() == before;
    if is_whole && files.is_empty() && scope.include.is_empty() && location.format.is_single_file() {
        let message =
            format!("`{}` of model `{}` names no file: expected `file`, `files` or `include`", location.name, location.model);
        diagnostics.problems.push(fields::missing(entries, &FIELDS, &NAMING, location.place, &message));
    }
    if scope.repo.is_none() && !scope.repo_is_bad {
        let message = format!("`{}` of model `{}` has no `huggingface_id`, nor has the model", location.name, location.model);
        diagnostics.problems.push(fields::missing(
            location.model_entries,
            &MODEL_FIELDS,
            &["huggingface_id"],
            location.place,
            &message,
        ));
    }
    let repo = scope.repo.filter(|_| diagnostics.problems.len() == before)?;
    let fetched_by_name = !files.is_empty();
    Some(Artifact {
        source: repo.into(),
        revision: scope.revision,
        files,
        include: if fetched_by_name { Vec::new() } else { scope.include },
        exclude: if fetched_by_name { Vec::new() } else { scope.exclude },
        expect,
        status: scope.status.unwrap_or_default(),
        superseded_by: scope.superseded_by,
        note: scope.note,
        gated: scope.gated,
        license: scope.license,
    })
}

/// Files of a web server, each with its folder.
type Addresses = Vec<(WebFolder, FileFacts)>;

/// The files that `url` names here or in `files`; `None` where nothing has an address. What is wrong is noted.
fn addresses(entries: &[MapEntry], diagnostics: &mut Diagnostics, within: &str) -> Option<Addresses> {
    let read = |entries: &[MapEntry], diagnostics: &mut Diagnostics| {
        let url = fields::get(entries, "url")?;
        let (size, sha256) =
            (diagnostics.field(fields::size(entries, "size")), diagnostics.field(fields::parsed(entries, "sha256")));
        let (folder, path) = diagnostics.keep(address(url))?;
        Some((folder, FileFacts { size, sha256, ..FileFacts::named(path) }))
    };
    if let Some(url) = fields::get(entries, "url") {
        if let Some(files) = fields::get(entries, "files") {
            diagnostics
                .problems
                .push(Problem::new(files.place, format!("`files` cannot stand beside `{}`; write it into the list", url.key)));
        }
        return Some(read(entries, diagnostics).into_iter().collect());
    }
    let nodes = fields::list(entries, "files").unwrap_or_default();
    let maps = || nodes.iter().filter_map(|node| if let Value::Map(entries) = &node.value { Some((node, entries)) } else { None });
    if !maps().any(|(_, entries)| fields::get(entries, "url").is_some()) {
        return None;
    }
    let mut files: Addresses = Vec::new();
    let mut tree = CaseFoldedPaths::default();
    for node in nodes {
        let Value::Map(entries) = &node.value else {
            diagnostics
                .problems
                .push(Problem::new(node.place, "`files`: expected a `url` in each mapping, as another file there has one"));
            continue;
        };
        fields::note_unknown(&mut diagnostics.unknown, entries, &FILE_FIELDS, &format!("{within}.files"));
        if fields::get(entries, "url").is_none() || fields::get(entries, "path").or(fields::get(entries, "file")).is_some() {
            let message = "`files`: expected a `url` and no `path` in each mapping, as another file there has one";
            diagnostics.problems.push(Problem::new(node.place, message));
            continue;
        }
        let Some((folder, file)) = read(entries, diagnostics) else { continue };
        if let Err(clash) = tree.add(&file.path) {
            diagnostics.problems.push(Problem::new(node.place, format!("`files`: {clash}")));
        }
        if let Some((first, _)) = files.first().filter(|(first, _)| !first.is_asked_like(&folder)) {
            let message = format!("`files`: all files of an entry come from one folder, here {first}, with one query");
            diagnostics.problems.push(Problem::new(node.place, message));
        }
        files.push((folder, file));
    }
    // Each file is asked for as its own address spells it.
    if let Some(((first, _), others)) = files.split_first_mut() {
        *first = others.iter().fold(first.clone(), |all, (other, _)| all.with_spelling_of(other));
    }
    Some(files)
}

/// The folder and the file of an address. A value that is wrong is not repeated: it may hold a secret.
fn address(entry: &MapEntry) -> Result<(WebFolder, RelPath), Problem> {
    let wrong = |why: String| Problem::new(entry.node.place, format!("`url`: {why}"));
    let text = fields::text_of(&entry.node, "url")?;
    let url = Url::parse(&text).map_err(|error| wrong(format!("it is no address ({error})")))?;
    WebFolder::of_file(&url).map_err(|error| wrong(error.to_string()))
}

/// An artifact of files with addresses: nothing is handed down to it but what is said of the model.
fn of_web(
    files: Addresses,
    entries: &[MapEntry],
    scope: InheritedFields,
    diagnostics: &mut Diagnostics,
    before: usize,
) -> Option<Artifact> {
    if let Some(other) = NOT_OF_THE_WEB.into_iter().find_map(|key| fields::get(entries, key)) {
        let message = format!("`{}` cannot stand beside `url`, which names the file and where it is", other.key);
        diagnostics.problems.push(Problem::new(other.place, message));
    }
    let source = files.first().map(|(folder, _)| folder.clone()).filter(|_| diagnostics.problems.len() == before)?;
    Some(Artifact {
        source: source.into(),
        revision: None,
        files: files.into_iter().map(|(_, file)| file).collect(),
        include: Vec::new(),
        exclude: Vec::new(),
        expect: Vec::new(),
        status: scope.status.unwrap_or_default(),
        superseded_by: scope.superseded_by,
        note: scope.note,
        gated: false,
        license: scope.license,
    })
}

/// The files of `file` with `size` and `sha256` beside it, or of `files`. What is wrong is noted.
fn named_files(entries: &[MapEntry], diagnostics: &mut Diagnostics, within: &str) -> Vec<FileFacts> {
    let file = fields::get(entries, "file");
    let beside = ["size", "sha256"].into_iter().find_map(|key| fields::get(entries, key));
    let Some(files) = fields::get(entries, "files") else {
        if let Some(file) = file {
            return single(file, entries, diagnostics).into_iter().collect();
        }
        if let Some(beside) = beside {
            let message = format!("`{}` says something of a file, but no `file` stands beside it", beside.key);
            diagnostics.problems.push(fields::missing(entries, &FIELDS, &["file"], beside.place, &message));
        }
        return Vec::new();
    };
    if let Some(other) = file.or(beside) {
        let message = format!("`{}` cannot stand beside `files`; write it into the list", other.key);
        diagnostics.problems.push(Problem::new(other.place, message));
    }
    let nodes = fields::list(entries, "files").unwrap_or_default();
    if nodes.is_empty() {
        diagnostics.problems.push(Problem::new(files.place, "`files`: expected at least one file, found an empty list"));
    }
    file_list(nodes, "files", diagnostics, within)
}

fn single(file: &MapEntry, entries: &[MapEntry], diagnostics: &mut Diagnostics) -> Option<FileFacts> {
    let path = diagnostics.keep(fields::parsed_of::<RelPath>(&file.node, "file"));
    let (size, sha256) = (diagnostics.field(fields::size(entries, "size")), diagnostics.field(fields::parsed(entries, "sha256")));
    let path = path?;
    let name = path.file_name();
    if let Some((_, Some((part, parts)))) = name.rsplit_once('.').map(|(stem, _)| split_part_suffix(stem))
        && parts > 1
    {
        let message = format!("`file`: `{name}` is part {part} of {parts}; expected all parts, as a list under `files`");
        diagnostics.problems.push(Problem::new(file.node.place, message).suggest(Some("files")));
    }
    Some(FileFacts { size, sha256, ..FileFacts::named(path) })
}

/// Reads a list whose entries are paths, or mappings with `path`, `size` and `sha256`. What is wrong is noted.
fn file_list(nodes: &[Node], key: &str, diagnostics: &mut Diagnostics, within: &str) -> Vec<FileFacts> {
    let mut files: Vec<FileFacts> = Vec::with_capacity(nodes.len());
    let mut tree = CaseFoldedPaths::default();
    for node in nodes {
        let file = match &node.value {
            Value::Map(entries) => {
                fields::note_unknown(&mut diagnostics.unknown, entries, &FILE_FIELDS, &format!("{within}.{key}"));
                let (size, sha256) =
                    (diagnostics.field(fields::size(entries, "size")), diagnostics.field(fields::parsed(entries, "sha256")));
                let path = fields::get(entries, "path").or_else(|| fields::get(entries, "file")).ok_or_else(|| {
                    let message = format!("`{key}`: expected a `path` in each mapping");
                    fields::missing(entries, &FILE_FIELDS, &["path", "file"], node.place, &message)
                });
                let path = path.and_then(|path| fields::parsed_of(&path.node, &path.key));
                diagnostics.keep(path).map(|path| FileFacts { size, sha256, ..FileFacts::named(path) })
            }
            _ => diagnostics.keep(fields::parsed_of(node, key)).map(FileFacts::named),
        };
        let Some(file) = file else { continue };
        if let Err(clash) = tree.add(&file.path) {
            diagnostics.problems.push(Problem::new(node.place, format!("`{key}`: {clash}")));
        }
        files.push(file);
    }
    files
}

/// Files as a file system that does not tell cases apart would hold them.
#[derive(Default)]
pub(super) struct CaseFoldedPaths {
    files: HashMap<String, RelPath>,
    /// Each folder, and a file inside it.
    folders: HashMap<String, RelPath>,
}

impl CaseFoldedPaths {
    /// Adds a file; `Err` says which other one is in its way.
    pub(super) fn add(&mut self, path: &RelPath) -> Result<(), String> {
        let key = path.case_key();
        if let Some(earlier) = self.files.get(&key) {
            return Err(format!("`{path}` and `{earlier}` are the same file where case does not count"));
        }
        if let Some(inside) = self.folders.get(&key) {
            return Err(format!("`{path}` is a file here and a folder of `{inside}`"));
        }
        for (cut, _) in key.match_indices('/') {
            if let Some(file) = self.files.get(&key[..cut]) {
                return Err(format!("`{file}` is a file here and a folder of `{path}`"));
            }
            self.folders.entry(key[..cut].to_owned()).or_insert_with(|| path.clone());
        }
        self.files.insert(key, path.clone());
        Ok(())
    }
}

fn patterns(entries: &[MapEntry], key: &str) -> Result<Option<Vec<String>>, Problem> {
    let Some(nodes) = fields::list(entries, key) else { return Ok(None) };
    let pattern = |node: &Node| {
        let text = fields::text_of(node, key)?;
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(Problem::new(
                node.place,
                format!("`{key}`: expected a pattern of 1 to {MAX_PATTERN} bytes, like `*.json`"),
            ));
        }
        Ok(text)
    };
    nodes.iter().map(pattern).collect::<Result<_, _>>().map(Some)
}

fn status(entries: &[MapEntry]) -> Result<Option<Status>, Problem> {
    let Some(entry) = fields::get(entries, "status") else { return Ok(None) };
    let word = fields::text_of(&entry.node, "status")?;
    let wrong = || {
        let message = format!("`status`: expected {}, found {}", Status::WORDS.join(", "), entry.node.value.kind());
        Problem::new(entry.node.place, message).suggest(nearest(&word, Status::WORDS))
    };
    word.parse().map(Some).map_err(|_| wrong())
}
