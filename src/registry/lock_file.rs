//! The lock file: the exact files of every view a project uses, pinned to commit, size and SHA-256.
//!
//! It is YAML, read by the registry's own reader: that one knows the line of every value, refuses keys that stand twice,
//! and lets the file have comments, which JSON could not; a list of short lines is also what a diff shows best. It is
//! written by hand, always in the same way: sorted, one fact a line, every text in double quotes. The format is specified
//! in `store-layout.md`, section 19.
//!
//! Reading is strict where the registry is lenient: this program made the file, so a key that it does not know comes
//! from a newer version or is a mistake, and in both cases the file does not mean what it seems to.

use super::{
    RegistryError,
    artifact::CaseFoldedPaths,
    error::{BadFile, Position, Problem, cut},
    fields::{self, Diagnostics},
    tree::{self, MapEntry, Node, Value},
};
use crate::{
    digest::{GitSha1, Sha256Digest},
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, SourceId, nearest},
    yaml::edit::double_quoted,
};
use std::{collections::HashMap, fmt::Display, fmt::Write as _, str::FromStr};

/// The version of the lock file that this program reads and writes.
pub const LOCK_VERSION: u32 = 1;

const HEADER: &str = "\
# The exact files of every model this project uses. Keep it under version control.
# Made by `model-manager lock`, changed by `model-manager lock --update`, applied by `model-manager sync --locked`.
";

const TOP_FIELDS: [&str; 2] = ["version", "views"];
const VIEW_FIELDS: [&str; 13] = [
    "model", "format", "quant", "source", "origin", "repo", "revision", "commit", "license", "gated", "include", "exclude", "files",
];
/// What a repository has and no other origin.
const REPO_FIELDS: [&str; 3] = ["repo", "revision", "commit"];
const FILE_FIELDS: [&str; 6] = ["path", "repo_path", "size", "sha256", "git_sha1", "trust"];

/// The word of [`LockedFile::trust`] for a file whose source published no hash.
pub const UNPUBLISHED: &str = "tofu";

/// A lock file, read and checked. Its views are in order, each there once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockFile {
    views: Vec<LockedView>,
}

/// One view of the lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedView {
    /// The model.
    pub model: ModelId,
    /// Its format.
    pub format: Format,
    /// Its quantization, where the format has any.
    pub quant: Option<Quant>,
    /// Who says what belongs to the view.
    pub source: LockSource,
    /// Where its files come from: the repository, by the name that was asked for, or what `origin` says.
    pub origin: SourceId,
    /// The branch or tag that the commit was found by; `None` where a commit was asked for, which does not move.
    pub revision: Option<Revision>,
    /// The commit of a repository: 40 lower-case hexadecimal digits. Any other origin has none, and the hashes of the files
    /// alone say which they are.
    pub commit: Option<Revision>,
    /// The licence, where known.
    pub license: Option<String>,
    /// Whether the repository asks for accepted terms and a token.
    pub gated: bool,
    /// The registry's patterns of files to take, of a set.
    pub include: Vec<String>,
    /// The registry's patterns of files to leave, of a set.
    pub exclude: Vec<String>,
    /// Every file, in the order of their paths.
    pub files: Vec<LockedFile>,
    /// Keys of an origin that this version does not know, with their texts: they are kept.
    pub more: Vec<(String, String)>,
}

/// One file of a locked view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFile {
    /// Its path below the view's folder.
    pub path: RelPath,
    /// Its path in the repository.
    pub repo_path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its content.
    pub sha256: Sha256Digest,
    /// Git's blob id, of files outside LFS.
    pub git_sha1: Option<GitSha1>,
    /// Why its SHA-256 is no published one: `tofu` where it is that of what came first. Other words, of newer programs, are
    /// kept as they are. Absent, it was published, or with `git_sha1` that was.
    pub trust: Option<String>,
    /// Keys of a file of an origin that this version does not know, with their texts: they are kept.
    pub more: Vec<(String, String)>,
}

/// Who says which files belong to a locked view, and so what is looked at again when it is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockSource {
    /// The registry's entry of this model, format and quantization.
    Registry,
    /// The repository: its GGUF model of this quantization, or its complete set in this format.
    Repository,
    /// The one file that was named.
    File,
}

impl LockSource {
    const WORDS: [&'static str; 3] = ["registry", "repository", "file"];

    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Repository => "repository",
            Self::File => "file",
        }
    }
}

impl FromStr for LockSource {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        let all = [Self::Registry, Self::Repository, Self::File];
        all.into_iter().find(|known| known.as_str() == word).ok_or_else(|| format!("`{word:.40}` is no source of a view"))
    }
}

impl LockedView {
    /// What tells it from the others, in the order of the file.
    fn key(&self) -> (&ModelId, &Format, Option<&Quant>) {
        (&self.model, &self.format, self.quant.as_ref())
    }

    /// Its folder below the models directory, with `/` between the parts.
    fn folder(&self) -> String {
        match &self.quant {
            Some(quant) => format!("{}/{}/{quant}", self.model, self.format),
            None => format!("{}/{}", self.model, self.format),
        }
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

impl LockFile {
    /// Reads a lock file. `origin` is what messages call it: the file's path.
    ///
    /// # Errors
    /// [`RegistryError::BadLock`] with all that is wrong: line, column and what was expected there.
    pub fn parse(text: &str, origin: &str) -> Result<Self, RegistryError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = tree::lines(text);
        let read = match tree::conflict(&lines, "take either, then lock again") {
            Some(conflict) => Err(conflict),
            None => tree::read_on_to(text, Reader::read, |reader| !reader.notes.problems.is_empty()),
        };
        let (mut views, mut problems) = match read {
            Ok(reader) => (reader.views, reader.notes.problems),
            Err(problem) => (Vec::new(), vec![problem]),
        };
        if problems.is_empty() {
            views.sort_by(|a, b| a.key().cmp(&b.key()));
            return Ok(Self { views });
        }
        problems.sort_by_key(|problem| problem.place);
        let bad = problems.into_iter().map(|problem| BadFile::new(origin, &lines, problem));
        Err(RegistryError::BadLock(bad.collect()))
    }

    /// The views in order.
    pub fn views(&self) -> &[LockedView] {
        &self.views
    }

    /// The view of this name.
    pub fn get(&self, model: &ModelId, format: &Format, quant: Option<&Quant>) -> Option<&LockedView> {
        self.views.iter().find(|view| view.key() == (model, format, quant))
    }

    /// Puts a view in its place, or in that of the one with its name.
    pub fn put(&mut self, mut view: LockedView) {
        view.files.sort_by(|a, b| a.path.cmp(&b.path));
        match self.views.binary_search_by(|other| other.key().cmp(&view.key())) {
            Ok(at) => self.views[at] = view,
            Err(at) => self.views.insert(at, view),
        }
    }

    /// Takes the view of this name out.
    pub fn remove(&mut self, model: &ModelId, format: &Format, quant: Option<&Quant>) {
        self.views.retain(|view| view.key() != (model, format, quant));
    }

    /// The file's text: the same for the same views, byte for byte.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version: {LOCK_VERSION}\n");
        text.push_str(if self.views.is_empty() { "views: []\n" } else { "views:\n" });
        for view in &self.views {
            write_view(&mut text, view);
        }
        text
    }
}

fn write_view(text: &mut String, view: &LockedView) {
    let mut begin = "  - ";
    let mut line = |key: &str, value: String| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{begin}{key}: {value}");
        begin = "    ";
    };
    line("model", double_quoted(view.model.as_str()));
    line("format", double_quoted(view.format.as_str()));
    if let Some(quant) = &view.quant {
        line("quant", double_quoted(quant.as_str()));
    }
    line("source", double_quoted(view.source.as_str()));
    let key = if view.origin.repo().is_some() { "repo" } else { "origin" };
    line(key, double_quoted(view.origin.as_str()));
    if let Some(revision) = &view.revision {
        line("revision", double_quoted(revision.as_str()));
    }
    if let Some(commit) = &view.commit {
        line("commit", double_quoted(commit.as_str()));
    }
    for (key, text) in &view.more {
        line(key, double_quoted(text));
    }
    if let Some(license) = &view.license {
        line("license", double_quoted(license));
    }
    line("gated", view.gated.to_string());
    for (key, patterns) in [("include", &view.include), ("exclude", &view.exclude)] {
        if !patterns.is_empty() {
            line(key, format!("[{}]", patterns.iter().map(|pattern| double_quoted(pattern)).collect::<Vec<_>>().join(", ")));
        }
    }
    text.push_str("    files:\n");
    for file in &view.files {
        let _ = writeln!(text, "      - path: {}", double_quoted(file.path.as_str()));
        if file.repo_path != file.path {
            let _ = writeln!(text, "        repo_path: {}", double_quoted(file.repo_path.as_str()));
        }
        let _ = writeln!(text, "        size: {}\n        sha256: \"{}\"", file.size, file.sha256);
        if let Some(git_sha1) = &file.git_sha1 {
            let _ = writeln!(text, "        git_sha1: \"{git_sha1}\"");
        }
        if let Some(trust) = &file.trust {
            let _ = writeln!(text, "        trust: {}", double_quoted(trust));
        }
        for (key, more) in &file.more {
            let _ = writeln!(text, "        {key}: {}", double_quoted(more));
        }
    }
}

/// What was read so far: views, models by their names without case, every path of every view as one tree, and what is
/// wrong.
#[derive(Default)]
struct Reader {
    views: Vec<LockedView>,
    /// The lines in which they stand, by their folders.
    folders: HashMap<String, Position>,
    models: HashMap<String, String>,
    tree: CaseFoldedPaths,
    notes: Diagnostics,
}

impl Reader {
    /// Reads the root of a file; `Err` if nothing can be read. `keys` are errors of keys in their maps.
    fn read(root: Option<&Node>, keys: Vec<Problem>) -> Result<Self, Problem> {
        let nothing = || Problem::new(Position::START, "expected `version:` and `views:`, found nothing");
        let root = root.filter(|node| !matches!(node.value, Value::Null)).ok_or_else(nothing)?;
        let top = fields::map(root, "a mapping with the keys `version` and `views`")?;
        // Before anything else: what a newer version writes need not make sense here.
        let version = required(top, "version", &TOP_FIELDS, root.place)?;
        let word = fields::text_of(&version.node, "version")?;
        if word != LOCK_VERSION.to_string() {
            let is_newer = word.parse::<u32>().is_ok_and(|version| version > LOCK_VERSION);
            let next = if is_newer { "; a newer model-manager reads it" } else { "" };
            let message = format!("this is a lock file of version {}, and this program knows {LOCK_VERSION}{next}", cut(&word));
            return Err(Problem::new(version.node.place, message));
        }
        let mut reader = Self { notes: Diagnostics { problems: keys, ..Diagnostics::default() }, ..Self::default() };
        reader.only_known(top, &TOP_FIELDS);
        let views = required(top, "views", &TOP_FIELDS, root.place);
        let nodes = views.and_then(|views| list(views, "`views` to be a list of views"));
        for node in reader.notes.keep(nodes).unwrap_or_default() {
            let view = reader.view(node);
            reader.views.extend(view);
        }
        Ok(reader)
    }

    /// Reads one view; what is wrong with it is noted.
    fn view(&mut self, node: &Node) -> Option<LockedView> {
        let place = node.place;
        let entries = self.notes.keep(fields::map(node, "a view: a mapping"))?;
        let origin = self.notes.keep(origin(entries, place));
        let is_unknown = matches!(origin, Some(SourceId::Unknown(_)));
        let is_kept = |key: &str| !VIEW_FIELDS.contains(&key) || REPO_FIELDS.contains(&key);
        let more = self.more(entries, is_unknown, &VIEW_FIELDS, is_kept);
        let notes = &mut self.notes;
        let (model, format) =
            (notes.keep(parsed(entries, "model", &VIEW_FIELDS, place)), notes.keep(parsed(entries, "format", &VIEW_FIELDS, place)));
        let quant = notes.field(fields::parsed(entries, "quant"));
        let source = notes.keep(source(entries, place));
        let (revision, commit) = match origin.as_ref().and_then(SourceId::repo) {
            Some(_) => (notes.field(fields::parsed(entries, "revision")), notes.keep(commit(entries, place)).map(Some)),
            None => (None, Some(None)),
        };
        let license = notes.field(fields::text(entries, "license"));
        let gated = notes.field(fields::flag(entries, "gated")).unwrap_or(false);
        let include = notes.keep(patterns(entries, "include")).unwrap_or_default();
        let exclude = notes.keep(patterns(entries, "exclude")).unwrap_or_default();
        let files = notes.keep(required(entries, "files", &VIEW_FIELDS, place));
        let nodes = files.and_then(|files| notes.keep(list(files, "`files` to be a list of files")).zip(Some(files.place)));
        let read: Vec<(Position, LockedFile)> = nodes
            .map(|(nodes, _)| nodes)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| Some((node.place, self.file(node, is_unknown)?)))
            .collect();
        let mut view = LockedView {
            model: model?,
            format: format?,
            quant,
            source: source?,
            origin: origin?,
            revision,
            commit: commit?,
            license,
            gated,
            include,
            exclude,
            files: Vec::new(),
            more,
        };
        let (nodes, files) = nodes?;
        let wrong = |message: String| Some(Problem::new(place, message));
        let same = self.models.entry(view.model.as_str().to_lowercase()).or_insert_with(|| view.model.to_string());
        let problem = match self.folders.insert(view.folder().to_lowercase(), place) {
            Some(first) => {
                wrong(format!("the view `{}` stands in line {} already, where case does not count", view.folder(), first.line))
            }
            None if *same != view.model.as_str() => wrong(format!("the models `{same}` and `{}` differ in case only", view.model)),
            None if nodes.is_empty() => {
                Some(Problem::new(files, format!("the view `{}` has no files; expected at least one", view.folder())))
            }
            None => None,
        };
        if let Some(problem) = problem {
            self.notes.problems.push(problem);
            return None;
        }
        for (place, file) in read {
            let path = format!("{}/{}", view.folder(), file.path);
            let added = match path.parse::<RelPath>() {
                Ok(path) => self.tree.add(&path).map_err(|clash| clash.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Some(()) = self.notes.keep(added.map_err(|why| Problem::new(place, format!("`path`: {why}")))) {
                view.files.push(file);
            }
        }
        view.files.sort_by(|a, b| a.path.cmp(&b.path));
        Some(view)
    }

    /// Reads one file of a view, whose origin may be unknown.
    fn file(&mut self, node: &Node, is_unknown: bool) -> Option<LockedFile> {
        let entries = self.notes.keep(fields::map(node, "a file: a mapping"))?;
        let more = self.more(entries, is_unknown, &FILE_FIELDS, |key| !FILE_FIELDS.contains(&key));
        let notes = &mut self.notes;
        let path: Option<RelPath> = notes.keep(parsed(entries, "path", &FILE_FIELDS, node.place));
        let size = required(entries, "size", &FILE_FIELDS, node.place).and_then(|_| fields::size(entries, "size"));
        let size = notes.keep(size);
        let sha256 = notes.keep(parsed(entries, "sha256", &FILE_FIELDS, node.place));
        let repo_path = notes.field(fields::parsed(entries, "repo_path"));
        let git_sha1 = notes.field(fields::parsed(entries, "git_sha1"));
        let trust = notes.field(fields::text(entries, "trust"));
        let path = path?;
        let repo_path = repo_path.unwrap_or_else(|| path.clone());
        Some(LockedFile { repo_path, size: size?.unwrap_or_default(), sha256: sha256?, git_sha1, trust, path, more })
    }

    /// The keys to keep where the origin is one that this version does not know; their values are texts. Of any other origin
    /// all keys have to be known.
    fn more(
        &mut self,
        entries: &[MapEntry],
        is_unknown: bool,
        known: &[&str],
        is_kept: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        if !is_unknown {
            self.only_known(entries, known);
            return Vec::new();
        }
        let read = |entry: &MapEntry| Some((entry.key.clone(), self.notes.keep(fields::text_of(&entry.node, &entry.key))?));
        entries.iter().filter(|entry| is_kept(&entry.key)).filter_map(read).collect()
    }

    fn only_known(&mut self, entries: &[MapEntry], known: &[&str]) {
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = format!("unknown key `{}`; expected one of {}", cut(&entry.key), known.join(", "));
            let nearest = nearest(&entry.key, known.iter().copied());
            self.notes.problems.push(Problem::new(entry.place, message).suggest(nearest));
        }
    }
}

fn source(entries: &[MapEntry], place: Position) -> Result<LockSource, Problem> {
    let entry = required(entries, "source", &VIEW_FIELDS, place)?;
    let word = fields::text_of(&entry.node, "source")?;
    word.parse().map_err(|_| {
        let message = format!("`source`: expected {}, found {}", LockSource::WORDS.join(", "), entry.node.value.kind());
        Problem::new(entry.node.place, message).suggest(nearest(&word, LockSource::WORDS))
    })
}

/// What `origin` says, or the repository in `repo`.
fn origin(entries: &[MapEntry], place: Position) -> Result<SourceId, Problem> {
    let Some(entry) = fields::get(entries, "origin") else {
        return parsed::<RepoId>(entries, "repo", &VIEW_FIELDS, place).map(SourceId::from);
    };
    let wrong = |place: Position, message: String| Err(Problem::new(place, message));
    match fields::parsed_of::<SourceId>(&entry.node, "origin")? {
        SourceId::Hub(_) => wrong(entry.node.place, "`origin`: expected an address; a repository is named by `repo`".into()),
        origin @ SourceId::Web(_) => match REPO_FIELDS.into_iter().find_map(|key| fields::get(entries, key)) {
            Some(other) => wrong(other.place, format!("`{}` cannot stand beside an `origin` that is no repository", other.key)),
            None => Ok(origin),
        },
        origin => Ok(origin),
    }
}

fn commit(entries: &[MapEntry], place: Position) -> Result<Revision, Problem> {
    let entry = required(entries, "commit", &VIEW_FIELDS, place)?;
    let text = fields::text_of(&entry.node, "commit")?.to_ascii_lowercase();
    text.parse::<Revision>().ok().filter(Revision::is_commit).ok_or_else(|| {
        let message = format!("`commit`: expected a full commit, 40 hexadecimal digits, found {}", entry.node.value.kind());
        Problem::new(entry.node.place, message)
    })
}

fn patterns(entries: &[MapEntry], key: &str) -> Result<Vec<String>, Problem> {
    fields::list(entries, key).unwrap_or_default().iter().map(|node| fields::text_of(node, key)).collect()
}

fn required<'n>(entries: &'n [MapEntry], key: &str, known: &[&str], place: Position) -> Result<&'n MapEntry, Problem> {
    fields::get(entries, key).ok_or_else(|| fields::missing(entries, known, &[key], place, &format!("expected `{key}` here")))
}

fn parsed<T: FromStr<Err: Display>>(entries: &[MapEntry], key: &str, known: &[&str], place: Position) -> Result<T, Problem> {
    fields::parsed_of(&required(entries, key, known, place)?.node, key)
}

fn list<'n>(entry: &'n MapEntry, what: &str) -> Result<&'n [Node], Problem> {
    match &entry.node.value {
        Value::List(nodes) => Ok(nodes),
        other => Err(Problem::new(entry.node.place, format!("expected {what}, found {}", other.kind()))),
    }
}
