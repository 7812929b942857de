//! A folder as a value: what is there, of what kind, with what mode and content. Two snapshots compare.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::hub::Content;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// Permission bits; 0 where there are none.
    pub mode: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File { len: u64, sha256: String },
    Link { target: PathBuf },
    Other,
}

/// Paths relative to the root, with forward slashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, Node>);

/// Walks `dir` without following links. A folder that is not there is empty.
pub fn tree(dir: &Path) -> Snapshot {
    let mut nodes = BTreeMap::new();
    walk(dir, "", &mut nodes);
    Snapshot(nodes)
}

fn walk(dir: &Path, prefix: &str, nodes: &mut BTreeMap<String, Node>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", dir.display())).path();
        let name = format!("{prefix}{}", path.file_name().expect("a listed entry has a name").to_string_lossy());
        let Ok(meta) = path.symlink_metadata() else { continue };
        let kind = if meta.is_symlink() {
            Kind::Link { target: std::fs::read_link(&path).unwrap_or_default() }
        } else if meta.is_dir() {
            walk(&path, &format!("{name}/"), nodes);
            Kind::Folder
        } else if meta.is_file() {
            Kind::File { len: meta.len(), sha256: Content::file(&path).sha256().to_owned() }
        } else {
            Kind::Other
        };
        nodes.insert(name, Node { kind, mode: mode(&meta) });
    }
}

#[cfg(unix)]
fn mode(meta: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(meta: &std::fs::Metadata) -> u32 {
    u32::from(meta.permissions().readonly())
}

impl Snapshot {
    pub fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub fn get(&self, path: &str) -> Option<&Kind> {
        self.0.get(path).map(|node| &node.kind)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.0.iter().filter_map(|(path, node)| match &node.kind {
            Kind::File { len, sha256 } => Some((path.as_str(), *len, sha256.as_str())),
            _ => None,
        })
    }

    /// Without the entries whose path contains `text`: what is allowed to change.
    pub fn without(mut self, text: &str) -> Self {
        self.0.retain(|path, _| !path.contains(text));
        self
    }

    /// One line per difference: `+ new`, `- gone`, `~ changed`.
    pub fn changes_to(&self, later: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|(path, _)| !later.0.contains_key(*path)).map(|(path, _)| format!("- {path}"));
        let other = later.0.iter().filter_map(|(path, node)| match self.0.get(path) {
            None => Some(format!("+ {path}")),
            Some(before) if before != node => Some(format!("~ {path}: {before:?} -> {node:?}")),
            Some(_) => None,
        });
        gone.chain(other).collect()
    }

    #[track_caller]
    pub fn assert_same(&self, later: &Self) {
        let changes = self.changes_to(later);
        let first: Vec<_> = changes.iter().take(40).map(String::as_str).collect();
        assert!(changes.is_empty(), "{} things changed:\n{}", changes.len(), first.join("\n"));
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in &self.0 {
            match &node.kind {
                Kind::Folder => writeln!(f, "{:o} {path}/", node.mode)?,
                Kind::File { len, sha256 } => writeln!(f, "{:o} {path} {len} {}", node.mode, &sha256[..12])?,
                Kind::Link { target } => writeln!(f, "link {path} -> {}", target.display())?,
                Kind::Other => writeln!(f, "other {path}")?,
            }
        }
        Ok(())
    }
}
