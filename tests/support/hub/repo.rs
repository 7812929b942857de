//! Repositories of the test Hub: files, commits, branches, tags, and who may read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::content::{Content, hex};
use super::{TestHub, lock};

/// How a gated repository answers in `gated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    Auto,
    Manual,
}

#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    pub content: Content,
    pub lfs: bool,
    /// Merged over the tree entry: how a listing lies.
    pub patch: Option<Value>,
    /// Set (or, with `None`, dropped) on the resolve answer.
    pub headers: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub parent: Option<String>,
    pub files: BTreeMap<String, FileEntry>,
    /// Tree entries that belong to no file.
    pub raw: Vec<Value>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Repo {
    pub id: String,
    pub gating: Option<Gating>,
    pub private: bool,
    pub disabled: bool,
    /// As the model card names it.
    pub license: Option<String>,
    pub renamed_to: Option<String>,
    pub branches: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    /// `refs/pr/1`, `refs/convert/parquet`: full names.
    pub other_refs: BTreeMap<String, String>,
    pub commits: BTreeMap<String, Commit>,
    /// Commit ids in the order in which they were made.
    pub history: Vec<String>,
}

pub(super) enum Revision {
    /// A name or a full commit id.
    Known(String),
    /// A unique beginning of this commit id.
    Short(String),
    Unknown,
}

impl Repo {
    pub fn find_revision(&self, rev: &str) -> Revision {
        let named = |map: &BTreeMap<String, String>, name: &str| map.get(name).cloned();
        let found = named(&self.branches, rev)
            .or_else(|| named(&self.tags, rev))
            .or_else(|| named(&self.other_refs, rev))
            .or_else(|| rev.strip_prefix("refs/heads/").and_then(|name| named(&self.branches, name)))
            .or_else(|| rev.strip_prefix("refs/tags/").and_then(|name| named(&self.tags, name)));
        if let Some(commit) = found {
            return Revision::Known(commit);
        }
        if self.commits.contains_key(rev) {
            return Revision::Known(rev.to_owned());
        }
        let short = rev.len() >= 7 && rev.bytes().all(|b| b.is_ascii_hexdigit());
        let mut candidates = self.commits.keys().filter(|id| short && id.starts_with(rev));
        match (candidates.next(), candidates.next()) {
            (Some(only), None) => Revision::Short(only.clone()),
            _ => Revision::Unknown,
        }
    }

    /// The 24 hex digits of `_id`, which survive a rename.
    pub fn object_id(&self) -> String {
        hex(&Sha1::digest(self.id.as_bytes()))[..24].to_owned()
    }

    fn commit(&mut self, branch: &str, commit: Commit) -> String {
        let mut hasher = Sha1::new();
        hasher.update(format!("{}\n{:?}\n", self.id, commit.parent));
        for (path, file) in &commit.files {
            hasher.update(format!("{path}\0{}\0{}\n", file.lfs, file.content.fingerprint()));
        }
        let id = hex(&hasher.finalize());
        if self.commits.insert(id.clone(), commit).is_none() {
            self.history.push(id.clone());
        }
        match branch.strip_prefix("refs/") {
            Some(_) => self.other_refs.insert(branch.to_owned(), id.clone()),
            None => self.branches.insert(branch.to_owned(), id.clone()),
        };
        id
    }

    fn head(&self, branch: &str) -> Option<&String> {
        self.branches.get(branch).or_else(|| self.other_refs.get(branch))
    }
}

/// Adds to one repository. Everything added through one handle is one commit, made by [`Self::commit`],
/// by a step that needs it (`tag`, `branch`) or when the handle goes out of scope.
pub struct RepoHandle<'h> {
    hub: &'h TestHub,
    id: String,
    branch: String,
    files: BTreeMap<String, FileEntry>,
    raw: Vec<Value>,
    changed: bool,
}

impl<'h> RepoHandle<'h> {
    pub(super) fn open(hub: &'h TestHub, id: &str) -> Self {
        let mut handle =
            Self { hub, id: id.to_owned(), branch: "main".to_owned(), files: BTreeMap::new(), raw: Vec::new(), changed: false };
        handle.with_repo(|_| ());
        handle.load();
        handle
    }

    /// A file; LFS if its name or size says so on the real Hub, else a plain git file.
    pub fn file(self, path: &str, content: impl Into<Content>) -> Self {
        let content = content.into();
        let large = [".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx", ".model"];
        let lfs = large.iter().any(|end| path.ends_with(end)) || content.len() > 10 << 20;
        self.put(path, content, lfs)
    }

    /// A file that Git LFS holds: 302 to the CDN, sha256 in the listing.
    pub fn lfs(self, path: &str, content: impl Into<Content>) -> Self {
        self.put(path, content.into(), true)
    }

    /// A file that git holds: 307 to the resolve cache, no sha256 anywhere.
    pub fn plain(self, path: &str, content: impl Into<Content>) -> Self {
        self.put(path, content.into(), false)
    }

    fn put(mut self, path: &str, content: Content, lfs: bool) -> Self {
        self.files.insert(path.to_owned(), FileEntry { content, lfs, patch: None, headers: Vec::new() });
        self.changed = true;
        self
    }

    pub fn remove(mut self, path: &str) -> Self {
        self.files.remove(path).unwrap_or_else(|| panic!("{path} is not in {}", self.id));
        self.changed = true;
        self
    }

    /// A tree entry without a file behind it, listed last: hostile paths, odd types, missing fields.
    pub fn raw_entry(mut self, entry: Value) -> Self {
        self.raw.push(entry);
        self.changed = true;
        self
    }

    /// Merges `patch` over the tree entry of `path` (`null` removes a key): wrong sizes, `lfs.oid` that is not hex.
    pub fn patch_entry(mut self, path: &str, patch: Value) -> Self {
        self.staged(path).patch = Some(patch);
        self
    }

    /// Sets a header on the resolve answer for `path`, or drops it with `None`.
    pub fn resolve_header(mut self, path: &str, name: &str, value: Option<&str>) -> Self {
        self.staged(path).headers.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    fn staged(&mut self, path: &str) -> &mut FileEntry {
        self.changed = true;
        self.files.get_mut(path).unwrap_or_else(|| panic!("{path} is not in {}", self.id))
    }

    /// Puts other content under `path` in the commit that is already there: the same commit id now serves
    /// something else, as a broken mirror does.
    pub fn swap(mut self, path: &str, content: impl Into<Content>) -> Self {
        self.flush();
        let content = content.into();
        self.staged(path).content = content.clone();
        self.changed = false;
        let branch = self.branch.clone();
        self.with_repo(|repo| {
            let head = repo.head(&branch).cloned().expect("a flushed branch has a head");
            let commit = repo.commits.get_mut(&head).expect("a head names a commit");
            commit.files.get_mut(path).expect("staged above").content = content;
        });
        self
    }

    /// Goes on with branch `name` (or a `refs/...` name), made from here if it is new.
    pub fn branch(mut self, name: &str) -> Self {
        let here = self.flush();
        self.with_repo(|repo| {
            if repo.head(name).is_none() {
                match name.strip_prefix("refs/") {
                    Some(_) => repo.other_refs.insert(name.to_owned(), here.clone()),
                    None => repo.branches.insert(name.to_owned(), here.clone()),
                };
            }
        });
        self.branch = name.to_owned();
        self.load();
        self
    }

    pub fn tag(mut self, name: &str) -> Self {
        let here = self.flush();
        self.with_repo(|repo| repo.tags.insert(name.to_owned(), here.clone()));
        self
    }

    pub fn gated(mut self, gating: Gating) -> Self {
        self.with_repo(|repo| repo.gating = Some(gating));
        self
    }

    pub fn private(mut self) -> Self {
        self.with_repo(|repo| repo.private = true);
        self
    }

    pub fn disabled(mut self) -> Self {
        self.with_repo(|repo| repo.disabled = true);
        self
    }

    pub fn license(mut self, license: &str) -> Self {
        self.with_repo(|repo| repo.license = Some(license.to_owned()));
        self
    }

    /// From now on this name answers with a relative 307 to `new`.
    pub fn renamed_to(mut self, new: &str) -> Self {
        self.with_repo(|repo| repo.renamed_to = Some(new.to_owned()));
        self
    }

    /// Makes the commit and returns its id.
    pub fn commit(mut self) -> String {
        self.flush()
    }

    fn flush(&mut self) -> String {
        let (branch, files, raw, changed) = (self.branch.clone(), self.files.clone(), self.raw.clone(), self.changed);
        self.changed = false;
        self.with_repo(|repo| match repo.head(&branch).cloned() {
            Some(head) if !changed => head,
            parent => repo.commit(&branch, Commit { parent, files, raw }),
        })
    }

    fn load(&mut self) {
        let branch = self.branch.clone();
        let head = self.with_repo(|repo| repo.head(&branch).and_then(|id| repo.commits.get(id)).cloned());
        (self.files, self.raw) = head.map(|commit| (commit.files, commit.raw)).unwrap_or_default();
    }

    fn with_repo<T>(&mut self, change: impl FnOnce(&mut Repo) -> T) -> T {
        let mut repos = lock(&self.hub.shared.repos);
        let repo = repos.entry(self.id.clone()).or_insert_with(|| Arc::new(Repo { id: self.id.clone(), ..Repo::default() }));
        change(Arc::make_mut(repo))
    }
}

impl Drop for RepoHandle<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.flush();
        }
    }
}
