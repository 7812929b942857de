//! The records in `roots/`: whose blobs must stay.

use super::{OpaqueJson, RECORD_VERSION, blob::kind_of, from_json, to_json};
use crate::{
    digest::{LONGEST_FILE, Sha256Digest, sha256_of},
    names::{Format, ModelId, Quant, RelPath},
    store::{
        error::{Result, StoreError},
        relocation::ProjectLocation,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, path::Path};
use uuid::Uuid;

/// What a view shows: `models/<id>/<format>/<quant>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewKey {
    /// The model.
    pub model: ModelId,
    /// Its format.
    pub format: Format,
    /// Its quantization, where the format has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quant: Option<Quant>,
}

impl ViewKey {
    /// The folder of the view, relative to the models directory.
    pub fn dir(&self) -> std::path::PathBuf {
        let mut dir = Path::new(self.model.as_str()).join(self.format.as_str());
        if let Some(quant) = &self.quant {
            dir.push(quant.as_str());
        }
        dir
    }

    /// Its name as every command takes it, and no other view has it.
    pub fn name(&self) -> String {
        match &self.quant {
            Some(quant) if self.format.is_single_file() => format!("{}:{quant}", self.model),
            _ => self.to_string(),
        }
    }

    /// The name of its root record. `~` stands in no id, format or quantization.
    pub fn record_name(&self) -> String {
        match &self.quant {
            Some(quant) => format!("{}~{}~{quant}.json", self.model, self.format),
            None => format!("{}~{}.json", self.model, self.format),
        }
    }
}

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.format)?;
        match &self.quant {
            Some(quant) => write!(f, "/{quant}"),
            None => Ok(()),
        }
    }
}

/// One file of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewFile {
    /// Its path below the view's folder.
    pub path: RelPath,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// `roots/<project>/<view>.json`: the blobs that a view needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootRecord {
    /// Version of this file.
    pub format: u32,
    /// The view.
    pub view: ViewKey,
    /// Every file in it.
    pub files: Vec<ViewFile>,
    /// SHA-256 over the lines `<sha256> <size> <path>\n` of `files`.
    pub check: Sha256Digest,
}

impl RootRecord {
    /// The record of a view.
    pub fn new(view: ViewKey, files: Vec<ViewFile>) -> Self {
        let check = check_of(&files);
        Self { format: RECORD_VERSION, view, files, check }
    }
}

/// Who keeps the blobs of a root. In JSON, `kind` tells which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RootOwner {
    /// A view of the project.
    View(ViewKey),
    /// What was placed in the folders of another application.
    Exposure {
        /// The application.
        app: String,
        /// The exposure.
        id: Uuid,
    },
    /// A file of another application that shares its bytes with an equal one. It keeps no blob.
    Replacement {
        /// The application.
        app: String,
        /// The replacement.
        id: Uuid,
    },
    /// A remote store that the blobs are sent to or taken from.
    Remote {
        /// The name of the remote in the settings.
        name: String,
    },
    /// An owner of a later version. Its blobs stay, and its record is never removed.
    #[serde(untagged)]
    Unknown(OpaqueJson),
}

impl RootOwner {
    /// The view, where it is one.
    pub fn view(&self) -> Option<&ViewKey> {
        match self {
            Self::View(view) => Some(view),
            _ => None,
        }
    }

    fn from_json(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        enum Known {
            Exposure { app: String, id: Uuid },
            Replacement { app: String, id: Uuid },
            Remote { name: String },
        }
        match serde_json::from_str(text) {
            Ok(Known::Exposure { app, id }) => Some(Self::Exposure { app, id }),
            Ok(Known::Replacement { app, id }) => Some(Self::Replacement { app, id }),
            Ok(Known::Remote { name }) => Some(Self::Remote { name }),
            Err(_) => OpaqueJson::new(text).map(Self::Unknown),
        }
    }
}

impl fmt::Display for RootOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::View(view) => view.fmt(f),
            Self::Exposure { app, id } => write!(f, "exposure to {app} ({id})"),
            Self::Replacement { app, id } => write!(f, "replacement in {app} ({id})"),
            Self::Remote { name } => write!(f, "remote {name}"),
            Self::Unknown(owner) => match owner.kind() {
                Some(kind) => write!(f, "an owner of the kind `{kind:.80}`, which this version does not know"),
                None => write!(f, "an owner that this version does not know"),
            },
        }
    }
}

/// A record in `roots/<project>/`, of any owner. The collector reads only these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Who keeps the blobs.
    pub owner: RootOwner,
    /// The blobs, and what they are called there.
    pub files: Vec<ViewFile>,
}

impl Root {
    /// The record of a view; `None` where the owner is another one.
    pub fn into_view(self) -> Option<RootRecord> {
        match self.owner {
            RootOwner::View(view) => Some(RootRecord::new(view, self.files)),
            _ => None,
        }
    }

    /// The text of its record. That of a view has no `owner`, as in the first version.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Owned<'a> {
            format: u32,
            owner: &'a RootOwner,
            files: &'a [ViewFile],
            check: Sha256Digest,
        }
        match &self.owner {
            RootOwner::View(view) => to_json(&RootRecord::new(view.clone(), self.files.clone())),
            owner => to_json(&Owned { format: RECORD_VERSION, owner, files: &self.files, check: check_of(&self.files) }),
        }
    }
}

pub(super) fn check_of(files: &[ViewFile]) -> Sha256Digest {
    let lines: String = files.iter().map(|file| format!("{} {} {}\n", file.sha256, file.size, file.path)).collect();
    sha256_of(lines.as_bytes())
}

/// Reads a record in `roots/` and checks it. One without `owner`, or whose kind is `view`, is of a view.
pub fn root_from_json(path: &Path, text: &[u8]) -> Result<Root> {
    #[derive(Deserialize)]
    struct Text {
        format: u32,
        #[serde(default)]
        owner: Option<Box<RawValue>>,
        #[serde(default)]
        view: Option<ViewKey>,
        files: Vec<ViewFile>,
        check: Sha256Digest,
    }
    let record: Text = from_json(path, text)?;
    let bad = |why: &str| StoreError::BadRecord { path: path.to_owned(), why: why.to_owned() };
    if record.format != RECORD_VERSION {
        return Err(bad(&format!("its format is {}, this program knows {RECORD_VERSION}", record.format)));
    }
    if record.files.iter().any(|file| file.size > LONGEST_FILE) {
        return Err(bad("a file in it has more bytes than a file can have"));
    }
    if record.check != check_of(&record.files) {
        return Err(bad("its check does not match its files"));
    }
    let is_view = |owner: &RawValue| kind_of(owner.get()).as_deref() == Some("view");
    let owner = match record.owner.filter(|owner| !is_view(owner)) {
        None => RootOwner::View(record.view.ok_or_else(|| bad("it names no view"))?),
        Some(owner) => RootOwner::from_json(owner.get()).ok_or_else(|| bad("its `owner` is nested too deeply"))?,
    };
    Ok(Root { owner, files: record.files })
}

/// `roots/<project>/project.json`: whose roots these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Version of this file.
    pub format: u32,
    /// The project's identity.
    pub uuid: Uuid,
    /// Its models directory when it was last seen.
    #[serde(flatten)]
    pub location: ProjectLocation,
    /// Owner of the models directory.
    pub uid: u32,
    /// When it was first seen, RFC 3339.
    pub created: String,
    /// When it was last seen, RFC 3339; renewed at most once a day.
    pub last_seen: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(fields: &str) -> Result<Root> {
        let text = format!(r#"{{"format":1,{fields}"files":[],"check":"{EMPTY}"}}"#);
        root_from_json(Path::new("root.json"), text.as_bytes())
    }

    #[test]
    fn a_root_without_an_owner_is_of_its_view() {
        let view = r#""view":{"model":"m","format":"gguf","quant":"q4_k_m"},"#;
        let root = read(view).unwrap();
        assert_eq!(root.owner.to_string(), "m/gguf/q4_k_m");
        assert_eq!(read(&format!(r#"{view}"owner":{{"kind":"view"}},"#)).unwrap(), root);
        assert!(!String::from_utf8(root.to_json()).unwrap().contains("owner"), "as the first version writes it");
        assert!(read("").is_err(), "of nobody");
    }

    #[test]
    fn a_root_of_another_owner_is_read_back_as_written() {
        for owner in [
            r#"{"kind":"exposure","app":"ollama","id":"00000000-0000-4000-8000-000000000000"}"#,
            r#"{"kind":"replacement","app":"ollama","id":"00000000-0000-4000-8000-000000000000"}"#,
            r#"{"kind":"remote","name":"team"}"#,
            r#"{"kind":"snapshot",  "of": [1.0]}"#,
            r#"{"kind":"remote"}"#,
            "7",
        ] {
            let root = read(&format!(r#""owner":{owner},"#)).unwrap();
            assert_eq!(root.owner.view(), None);
            let written = root.to_json();
            assert_eq!(root_from_json(Path::new("root.json"), &written).unwrap(), root);
            assert_eq!(matches!(root.owner, RootOwner::Unknown(_)), String::from_utf8_lossy(&written).contains(owner), "{owner}");
        }
    }
}
