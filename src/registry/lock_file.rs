//! The lock file: the exact files of every view a project uses, pinned to commit, size and SHA-256.
//!
//! It is YAML, read by the registry's own reader: that one knows the line of every value, refuses keys that stand twice,
//! and lets the file have comments, which JSON could not; a list of short lines is also what a diff shows best. It is
//! written by hand, always in the same way: sorted, one fact a line, every text in double quotes. The format is specified
//! in `store-layout.md`, section 19.
//!
//! Reading is strict where the registry is lenient: who made this file was this program, so what it does not know is a
//! newer version's or a slip, and either way the file does not say what it seems to say.

use super::{
    RegistryError,
    artifact::Folder,
    edit::double_quoted,
    error::{BadFile, Place, Problem, cut},
    fields,
    tree::{self, Entry, Node, Value},
};
use crate::{
    digest::{GitSha1, Sha256Digest},
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, nearest},
};
use std::{collections::HashMap, fmt::Display, fmt::Write as _, str::FromStr};

/// The version of the lock file that this program reads and writes.
pub const LOCK_VERSION: u32 = 1;

const HEADER: &str = "\
# The exact files of every model this project uses. Keep it under version control.
# Made by `model-manager lock`, changed by `model-manager lock --update`, applied by `model-manager sync --locked`.
";

const TOP_FIELDS: [&str; 2] = ["version", "views"];
const VIEW_FIELDS: [&str; 12] =
    ["model", "format", "quant", "source", "repo", "revision", "commit", "license", "gated", "include", "exclude", "files"];
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
    /// The repository, by the name that was asked for.
    pub repo: RepoId,
    /// The branch or tag that the commit was found by; `None` where a commit was asked for, which does not move.
    pub revision: Option<Revision>,
    /// The commit: 40 lower-case hexadecimal digits.
    pub commit: Revision,
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
    pub const fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Repository => "repository",
            Self::File => "file",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Registry, Self::Repository, Self::File].into_iter().find(|source| source.word() == word)
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
    /// [`RegistryError::BadLock`] with line, column and what was expected there.
    pub fn parse(text: &str, origin: &str) -> Result<Self, RegistryError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = tree::lines(text);
        let read = match tree::conflict(&lines, "take either, then run `model-manager lock`") {
            Some(conflict) => Err(conflict),
            None => tree::read_to(text, contents, |_| false),
        };
        match read {
            Ok(mut views) => {
                views.sort_by(|a, b| a.key().cmp(&b.key()));
                Ok(Self { views })
            }
            Err(problem) => Err(RegistryError::BadLock(Box::new(BadFile::new(origin, &lines, problem)))),
        }
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
    line("source", double_quoted(view.source.word()));
    line("repo", double_quoted(view.repo.as_str()));
    if let Some(revision) = &view.revision {
        line("revision", double_quoted(revision.as_str()));
    }
    line("commit", double_quoted(view.commit.as_str()));
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
    }
}

fn contents(root: Option<&Node>) -> Result<Vec<LockedView>, Problem> {
    let nothing = || Problem::new(Place::START, "expected `version:` and `views:`, found nothing");
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
    only_known(top, &TOP_FIELDS)?;
    let views = required(top, "views", &TOP_FIELDS, root.place)?;
    let nodes = list(views, "`views` to be a list of views")?;
    let mut read = Vec::with_capacity(nodes.len());
    let mut names = Names::default();
    for node in nodes {
        let view = view(node, &mut names)?;
        read.push(view);
    }
    Ok(read)
}

/// What was read so far, and in which line: views, models by their names without case, and every path of every view as
/// one tree.
#[derive(Default)]
struct Names {
    views: HashMap<String, Place>,
    models: HashMap<String, String>,
    tree: Folder,
}

fn view(node: &Node, names: &mut Names) -> Result<LockedView, Problem> {
    let place = node.place;
    let entries = fields::map(node, "a view: a mapping")?;
    only_known(entries, &VIEW_FIELDS)?;
    let source: &Entry = required(entries, "source", &VIEW_FIELDS, place)?;
    let word = fields::text_of(&source.node, "source")?;
    let source = LockSource::from_word(&word).ok_or_else(|| {
        let message = format!("`source`: expected {}, found {}", LockSource::WORDS.join(", "), source.node.value.kind());
        Problem::new(source.node.place, message).suggest(nearest(&word, LockSource::WORDS))
    })?;
    let commit = required(entries, "commit", &VIEW_FIELDS, place)?;
    let text = fields::text_of(&commit.node, "commit")?.to_ascii_lowercase();
    let commit = text.parse::<Revision>().ok().filter(Revision::is_commit).ok_or_else(|| {
        let message = format!("`commit`: expected a full commit, 40 hexadecimal digits, found {}", commit.node.value.kind());
        Problem::new(commit.node.place, message)
    })?;
    let files = required(entries, "files", &VIEW_FIELDS, place)?;
    let mut view = LockedView {
        model: parsed(entries, "model", &VIEW_FIELDS, place)?,
        format: parsed(entries, "format", &VIEW_FIELDS, place)?,
        quant: fields::parsed(entries, "quant")?,
        source,
        repo: parsed(entries, "repo", &VIEW_FIELDS, place)?,
        revision: fields::parsed(entries, "revision")?,
        commit,
        license: fields::text(entries, "license")?,
        gated: fields::flag(entries, "gated")?.unwrap_or(false),
        include: patterns(entries, "include")?,
        exclude: patterns(entries, "exclude")?,
        files: Vec::new(),
    };
    if let Some(first) = names.views.insert(view.folder().to_lowercase(), place) {
        let message = format!("the view `{}` stands in line {} already, where case does not count", view.folder(), first.line);
        return Err(Problem::new(place, message));
    }
    let same = names.models.entry(view.model.as_str().to_lowercase()).or_insert_with(|| view.model.to_string());
    if *same != view.model.as_str() {
        return Err(Problem::new(place, format!("the models `{same}` and `{}` differ in case only", view.model)));
    }
    let nodes = list(files, "`files` to be a list of files")?;
    if nodes.is_empty() {
        return Err(Problem::new(files.place, format!("the view `{}` has no files; expected at least one", view.folder())));
    }
    for node in nodes {
        let file = file(node)?;
        let path = format!("{}/{}", view.folder(), file.path);
        let path: RelPath = path.parse().map_err(|error| Problem::new(node.place, format!("`path`: {error}")))?;
        names.tree.add(&path).map_err(|clash| Problem::new(node.place, format!("`path`: {clash}")))?;
        view.files.push(file);
    }
    view.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(view)
}

fn file(node: &Node) -> Result<LockedFile, Problem> {
    let entries = fields::map(node, "a file: a mapping")?;
    only_known(entries, &FILE_FIELDS)?;
    let path: RelPath = parsed(entries, "path", &FILE_FIELDS, node.place)?;
    required(entries, "size", &FILE_FIELDS, node.place)?;
    Ok(LockedFile {
        repo_path: fields::parsed(entries, "repo_path")?.unwrap_or_else(|| path.clone()),
        size: fields::size(entries, "size")?.unwrap_or_default(),
        sha256: parsed(entries, "sha256", &FILE_FIELDS, node.place)?,
        git_sha1: fields::parsed(entries, "git_sha1")?,
        trust: fields::text(entries, "trust")?,
        path,
    })
}

fn patterns(entries: &[Entry], key: &str) -> Result<Vec<String>, Problem> {
    fields::list(entries, key).unwrap_or_default().iter().map(|node| fields::text_of(node, key)).collect()
}

fn required<'n>(entries: &'n [Entry], key: &str, known: &[&str], place: Place) -> Result<&'n Entry, Problem> {
    fields::get(entries, key).ok_or_else(|| fields::missing(entries, known, &[key], place, &format!("expected `{key}` here")))
}

fn parsed<T: FromStr<Err: Display>>(entries: &[Entry], key: &str, known: &[&str], place: Place) -> Result<T, Problem> {
    fields::parsed_of(&required(entries, key, known, place)?.node, key)
}

fn list<'n>(entry: &'n Entry, what: &str) -> Result<&'n [Node], Problem> {
    match &entry.node.value {
        Value::List(nodes) => Ok(nodes),
        other => Err(Problem::new(entry.node.place, format!("expected {what}, found {}", other.kind()))),
    }
}

fn only_known(entries: &[Entry], known: &[&str]) -> Result<(), Problem> {
    match entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(entry) => {
            let message = format!("unknown key `{}`; expected one of {}", cut(&entry.key), known.join(", "));
            Err(Problem::new(entry.place, message).suggest(nearest(&entry.key, known.iter().copied())))
        }
    }
}
