//! What is recorded of a blob: its hashes, which published hash confirms it, and where it came from.

use crate::{
    digest::{Blake3Digest, GitSha1},
    disk::Stat,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;
use std::{fmt, str::FromStr};

/// How far the content of a blob is trusted.
///
/// A digest that this program computed or recorded itself is no published one, whatever is compared with it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// A word of a later version. It is kept, and counts as [`Trust::Tofu`].
    Unknown(TrustWord),
    /// Nothing was published; the digest is that of what came first.
    Tofu,
    /// Its git blob id and size were published before it came, and compared.
    GitSha1Upstream,
    /// Its SHA-256 was published before it came, by the Hub, the registry or a lock file, and compared.
    Sha256Upstream,
}

impl Trust {
    /// Whether a published hash confirms the content.
    pub fn is_published(self) -> bool {
        self.rank() > 0
    }

    /// The higher of both; this one where they are equal, so that a word of a later version is kept.
    #[must_use]
    pub fn raised_to(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    /// The lower of both.
    #[must_use]
    pub fn at_most(self, limit: Self) -> Self {
        if self.rank() > limit.rank() { limit } else { self }
    }

    /// The word that stands for it in records and JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(word) => word.as_str(),
            Self::Tofu => "tofu",
            Self::GitSha1Upstream => "git-sha1-upstream",
            Self::Sha256Upstream => "sha256-upstream",
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Unknown(_) | Self::Tofu => 0,
            Self::GitSha1Upstream => 1,
            Self::Sha256Upstream => 2,
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trust {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "tofu" => Self::Tofu,
            "git-sha1-upstream" => Self::GitSha1Upstream,
            "sha256-upstream" => Self::Sha256Upstream,
            other => Self::Unknown(TrustWord::new(other).ok_or_else(|| format!("`{other:.40}` is no word for trust"))?),
        })
    }
}

impl Serialize for Trust {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Trust {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A word for trust that this version does not know: 1 to 32 characters of `a-z`, `0-9` and `-`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustWord {
    text: [u8; Self::LONGEST],
    len: u8,
}

impl TrustWord {
    const LONGEST: usize = 32;

    fn new(text: &str) -> Option<Self> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let mut word = Self { text: [0; Self::LONGEST], len: u8::try_from(text.len()).ok()? };
        let place = word.text.get_mut(..text.len()).filter(|_| is_word && !text.is_empty())?;
        place.copy_from_slice(text.as_bytes());
        Some(word)
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for TrustWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Where the content of a blob came from. In JSON, `kind` tells which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Provenance {
    /// A file of a repository or another address on the network.
    Source(UpstreamFile),
    /// A file that was on this machine.
    Local {
        /// Its path then.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// A file that another application had on this machine.
    App {
        /// The application.
        app: String,
        /// The file's path then.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// A remote store.
    Remote {
        /// The name of the remote in the settings.
        name: String,
    },
    /// An entry that this version cannot read: it is kept as it is.
    #[serde(untagged)]
    Unknown(OpaqueJson),
}

impl Provenance {
    /// The file that it was upstream, where it came from one.
    pub fn upstream(&self) -> Option<&UpstreamFile> {
        match self {
            Self::Source(file) => Some(file),
            _ => None,
        }
    }

    /// Reads an entry. What is none that this version knows is kept.
    fn from_json(text: &str) -> Option<Self> {
        if let Ok(known) = serde_json::from_str::<Known>(text) {
            return Some(match known {
                Known::Source(file) => Self::Source(file),
                Known::Local { path } => Self::Local { path },
                Known::App { app, path } => Self::App { app, path },
                Known::Remote { name } => Self::Remote { name },
            });
        }
        // Records of the first version have no `kind`, and the endpoint `local` for a file of this machine.
        match serde_json::from_str::<WithoutKind>(text) {
            Ok(WithoutKind { kind: None, file }) if file.endpoint == "local" => Some(Self::Local { path: file.path }),
            Ok(WithoutKind { kind: None, file }) => Some(Self::Source(file)),
            _ => OpaqueJson::new(text).map(Self::Unknown),
        }
    }
}

impl<'de> Deserialize<'de> for Provenance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(text.get()).ok_or_else(|| D::Error::custom("an entry of `sources` is nested too deeply"))
    }
}

/// The entries that this version knows.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Known {
    Source(UpstreamFile),
    Local {
        #[serde(default)]
        path: Option<String>,
    },
    App {
        app: String,
        #[serde(default)]
        path: Option<String>,
    },
    Remote {
        name: String,
    },
}

#[derive(Deserialize)]
struct WithoutKind {
    kind: Option<serde::de::IgnoredAny>,
    #[serde(flatten)]
    file: UpstreamFile,
}

/// A file as a repository or another address on the network has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamFile {
    /// Base address of the Hub, mirror or server.
    pub endpoint: String,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The file in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Git's blob id, for files outside LFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_sha1: Option<GitSha1>,
    /// The hash by which a Xet server finds it: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xet_hash: Option<String>,
}

impl UpstreamFile {
    /// Learns what another record says of the same file; `false` where that is of another.
    fn merge(&mut self, other: &Self) -> bool {
        let is_same = Self { xet_hash: None, ..self.clone() } == Self { xet_hash: None, ..other.clone() };
        let agree = self.xet_hash.is_none() || other.xet_hash.is_none() || self.xet_hash == other.xet_hash;
        if is_same && agree && self.xet_hash.is_none() {
            self.xet_hash.clone_from(&other.xet_hash);
        }
        is_same && agree
    }
}

impl From<UpstreamFile> for Provenance {
    fn from(file: UpstreamFile) -> Self {
        Self::Source(file)
    }
}

/// A JSON value that this version cannot interpret and writes back byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueJson(Box<str>);

impl OpaqueJson {
    /// `None` where it is not JSON, or nested deeper than readers of JSON follow (127 levels).
    pub(super) fn new(text: &str) -> Option<Self> {
        serde_json::from_str::<serde_json::Value>(text).ok().map(|_| Self(text.into()))
    }

    /// The value as it stands in the record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its field `kind` says; `None` where it has none or that is no text.
    pub fn kind(&self) -> Option<String> {
        kind_of(&self.0)
    }
}

/// What the field `kind` of a JSON object says; `None` where it has none or that is no text.
pub(super) fn kind_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Tagged {
        kind: String,
    }
    serde_json::from_str::<Tagged>(text).ok().map(|tagged| tagged.kind)
}

impl Serialize for OpaqueJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The facts that tell cheaply whether a file was touched since it was verified. `ctime` is left out: renaming and
/// linking change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number; 0 where there is none.
    pub ino: u64,
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self { size: stat.len, mtime_ns: stat.mtime_ns, ino: stat.ino }
    }
}

/// `meta/ab/<digest>.json`: what is known about a blob. It can be rebuilt from the blob, but for `trust` and `sources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobMeta {
    /// Version of this file.
    pub format: u32,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the whole blob.
    pub blake3: Blake3Digest,
    /// How far it is trusted.
    pub trust: Trust,
    /// When its SHA-256 was last computed, RFC 3339.
    pub verified_at: String,
    /// What it looked like then.
    pub stamp: Stamp,
    /// Where it came from, the first first.
    #[serde(default)]
    pub sources: Vec<Provenance>,
}

impl BlobMeta {
    /// Whether it was, or still is, a file of another application.
    pub fn is_from_app(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Provenance::App { .. }))
    }

    /// Merges the sources and the trust of another record of the same blob. Returns whether anything was new.
    pub(in crate::store) fn learn(&mut self, sources: &[Provenance], trust: Trust) -> bool {
        let before = (self.sources.clone(), self.trust);
        for source in sources {
            let is_known = self.sources.iter_mut().any(|known| match (known, source) {
                (Provenance::Source(known), Provenance::Source(new)) => known.merge(new),
                (known, new) => known == new,
            });
            if !is_known {
                self.sources.push(source.clone());
            }
        }
        self.trust = self.trust.raised_to(trust);
        (&before.0, before.1) != (&self.sources, self.trust)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(trust: &str, sources: &str) -> String {
        format!(
            r#"{{"format":1,"size":0,"blake3":"{}","trust":"{trust}","verified_at":"","stamp":{{"size":0,"mtime_ns":0,"ino":0}},"sources":{sources}}}"#,
            "0".repeat(64)
        )
    }

    fn read(text: &str) -> BlobMeta {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_entry_without_a_kind_is_a_file_upstream_or_of_this_machine() {
        let old = meta("tofu", r#"[{"endpoint":"https://hub","repo":"a/b"},{"endpoint":"local","path":"/m.gguf"}]"#);
        let file = UpstreamFile {
            endpoint: "https://hub".into(),
            repo: Some("a/b".into()),
            commit: None,
            path: None,
            git_sha1: None,
            xet_hash: None,
        };
        assert_eq!(read(&old).sources, [file.into(), Provenance::Local { path: Some("/m.gguf".into()) }]);
    }

    #[test]
    fn a_xet_hash_is_learned_of_a_known_source_and_kept() {
        let with = |xet: Option<&str>, path: &str| {
            let (endpoint, path, xet_hash) = ("https://hub".into(), Some(path.to_owned()), xet.map(str::to_owned));
            Provenance::from(UpstreamFile { endpoint, repo: None, commit: None, path, git_sha1: None, xet_hash })
        };
        let mut record = read(&meta("tofu", r#"[{"kind":"source","endpoint":"https://hub","path":"a"}]"#));
        assert!(record.learn(&[with(Some("x"), "a")], Trust::Tofu));
        assert_eq!(record.sources, [with(Some("x"), "a")]);
        assert!(!record.learn(&[with(None, "a"), with(Some("x"), "a")], Trust::Tofu));
        assert!(record.learn(&[with(None, "b"), with(Some("y"), "a")], Trust::Tofu));
        assert_eq!(record.sources.len(), 3);
    }

    #[test]
    fn every_kind_is_read_back_as_written() {
        let all = r#"[{"kind":"source","endpoint":"https://hub"},{"kind":"local"},{"kind":"app","app":"ollama","path":"/p"},{"kind":"remote","name":"team"}]"#;
        let sources = read(&meta("tofu", all)).sources;
        assert!(!sources.iter().any(|source| matches!(source, Provenance::Unknown(_))), "{sources:?}");
        assert_eq!(serde_json::to_string(&sources).unwrap(), all);
    }

    #[test]
    fn an_entry_of_a_later_version_is_kept_byte_for_byte() {
        let entries = [
            r#"{"kind":"peer", "at": 1.0e2, "more":[ {"a":1} ]}"#,
            r#"{"kind":"source"}"#,
            r#"{"kind":5}"#,
            "\"text\"",
            "{}",
            "null",
        ];
        let text = meta("tofu", &format!("[{}]", entries.join(",")));
        let record = read(&text);
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        let written = super::super::to_json(&record);
        assert_eq!(serde_json::from_slice::<BlobMeta>(&written).unwrap(), record);
        let Provenance::Unknown(peer) = &record.sources[0] else { panic!("{:?}", record.sources[0]) };
        assert_eq!(peer.kind().as_deref(), Some("peer"));
        assert_eq!(serde_json::to_value(peer).unwrap()["more"][0]["a"], 1);
    }

    #[test]
    fn an_entry_that_is_nested_too_deeply_makes_the_record_unreadable() {
        let deep = format!(r#"[{{"kind":"peer","x":{}{}}}]"#, "[".repeat(200), "]".repeat(200));
        assert!(serde_json::from_str::<BlobMeta>(&meta("tofu", &deep)).is_err());
    }

    #[test]
    fn a_word_for_trust_of_a_later_version_counts_least_and_is_kept_until_a_published_hash_was_compared() {
        let mut record = read(&meta("signed-by-owner", "[]"));
        assert!(!record.trust.is_published());
        assert!(!record.learn(&[], Trust::Tofu));
        assert_eq!(record.trust.as_str(), "signed-by-owner");
        assert_eq!(serde_json::to_value(&record).unwrap()["trust"], "signed-by-owner");
        assert!(record.learn(&[], Trust::GitSha1Upstream));
        assert_eq!(record.trust, Trust::GitSha1Upstream);
        for bad in ["", "Signed", "a b", &"a".repeat(33)] {
            assert!(bad.parse::<Trust>().is_err(), "{bad}");
        }
        assert_eq!("a".repeat(32).parse::<Trust>().unwrap().as_str(), "a".repeat(32));
    }
}
