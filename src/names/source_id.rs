//! Where the files of a model come from, as records, lock files and messages name it.

use super::{NameError, RelPath, RepoId, refuse};
use crate::{
    digest::{Sha256Digest, sha256_of},
    text,
};
use serde::{Serialize, Serializer};
use std::{collections::BTreeMap, fmt, str::FromStr};
use url::Url;

/// The longest address of a folder, in bytes.
const LONGEST_ADDRESS: usize = 2048;

/// What a source calls a set of files: a repository of the Hub, or a folder of a web server.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SourceId {
    /// A repository of the Hub and its mirrors.
    Hub(RepoId),
    /// A folder of a web server.
    Web(WebFolder),
    /// What a source of the program's own knows, or a newer version: kept as it is written, and shown.
    Unknown(String),
}

impl SourceId {
    /// Its text: `owner/name`, or an address.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Hub(repo) => repo.as_str(),
            Self::Web(folder) => folder.as_str(),
            Self::Unknown(text) => text,
        }
    }

    /// The repository, if it is one of the Hub.
    pub fn repo(&self) -> Option<&RepoId> {
        match self {
            Self::Hub(repo) => Some(repo),
            _ => None,
        }
    }

    /// The folder, if it is one of a web server.
    pub fn web(&self) -> Option<&WebFolder> {
        match self {
            Self::Web(folder) => Some(folder),
            _ => None,
        }
    }

    /// Whether a record that names this means it. Names of the Hub are the same in any case.
    pub fn is_named(&self, text: &str) -> bool {
        match self {
            Self::Hub(repo) => repo.as_str().eq_ignore_ascii_case(text),
            _ => self.as_str() == text,
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceId({})", self.as_str())
    }
}

impl From<RepoId> for SourceId {
    fn from(repo: RepoId) -> Self {
        Self::Hub(repo)
    }
}

impl From<WebFolder> for SourceId {
    fn from(folder: WebFolder) -> Self {
        Self::Web(folder)
    }
}

impl PartialEq<RepoId> for SourceId {
    fn eq(&self, repo: &RepoId) -> bool {
        self.repo() == Some(repo)
    }
}

/// Reads what records of a store and reports have: `owner/name`, or an address.
impl FromStr for SourceId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if !text.contains("://") {
            return text.parse().map(Self::Hub);
        }
        match text.split_once("://").map(|(scheme, _)| scheme) {
            Some(scheme) if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) => text.parse().map(Self::Web),
            _ if text.len() > LONGEST_ADDRESS || text.contains(char::is_control) => {
                Err(refuse("source", &text::redacted_address(text), "it is too long, or has a control character"))
            }
            Some(_) if text::has_user(text) => {
                Err(refuse("source", &text::redacted_address(text), "a user or a password may not stand in it"))
            }
            _ => Ok(Self::Unknown(text.to_owned())),
        }
    }
}

impl Serialize for SourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A folder of a web server: an address of HTTP without user, password, query and fragment, and without a `/` at its end.
///
/// A query with which a file was asked for may be a secret. It goes along for the requests of one run, and is neither
/// shown nor written nor compared.
#[derive(Clone)]
pub struct WebFolder {
    address: String,
    query: Option<String>,
    /// Addresses of files, without a query, that are spelled otherwise than folder and name make them: `%2B` for `+`, `//`.
    spelled: BTreeMap<RelPath, String>,
}

impl WebFolder {
    /// The folder and the name of the file that an address names.
    ///
    /// # Errors
    /// Where the address is not one of HTTP, has a user or a password, or ends with no name of a file.
    pub fn of_file(address: &Url) -> Result<(Self, RelPath), NameError> {
        let shown = text::bare(address);
        let bad = |why: &str| refuse("address of a file", &shown, why);
        let mut folder = checked(address).map_err(bad)?;
        let last = folder.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
        let name = percent_encoding::percent_decode_str(&last).decode_utf8().map_err(|_| bad("its encoding is not UTF-8"))?;
        if name.is_empty() || name.contains('/') {
            return Err(bad("it ends with no name of a file"));
        }
        let name: RelPath = name.parse()?;
        if let Ok(mut segments) = folder.path_segments_mut() {
            segments.pop();
        }
        let query = folder.query().map(str::to_owned);
        folder.set_query(None);
        let mut folder = Self::of(&folder, query).map_err(bad)?;
        if folder.shown(&name) != shown {
            folder.spelled.insert(name.clone(), shown);
        }
        Ok((folder, name))
    }

    /// Its address, without a `/` at the end.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        let host = self.address.find("://").map_or(0, |at| at + 3);
        &self.address[..self.address[host..].find('/').map_or(self.address.len(), |end| host + end)]
    }

    /// The address of a file in it, to be asked for: with the query, if there was one. `None` where the path makes no address.
    pub fn file(&self, path: &RelPath) -> Option<Url> {
        let mut url = self.bare_file(path)?;
        url.set_query(self.query.as_deref());
        Some(url)
    }

    fn bare_file(&self, path: &RelPath) -> Option<Url> {
        if let Some(spelled) = self.spelled.get(path) {
            return Url::parse(spelled).ok();
        }
        let mut url = Url::parse(&self.address).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(path.as_str().split('/'));
        Some(url)
    }

    /// Takes the spelling of the files of another folder, which is the same.
    pub(crate) fn with_spelling_of(mut self, other: &Self) -> Self {
        self.spelled.extend(other.spelled.clone());
        self
    }

    /// The address of a file in it, to be shown and written.
    pub fn shown(&self, path: &RelPath) -> String {
        self.bare_file(path).map_or_else(|| format!("{}/{path}", self.address), String::from)
    }

    /// Whether a query goes along, which is written nowhere.
    pub fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// Whether another folder is the same, and is asked with the same query.
    pub fn is_asked_like(&self, other: &Self) -> bool {
        self == other && self.query == other.query
    }

    /// What tells one version of a file in it from all others: the key of an interrupted download of which no hash is known.
    /// The first half is the same for all versions of the file.
    pub fn version_key(&self, path: &RelPath, version: &str, size: u64) -> (Sha256Digest, Sha256Digest) {
        let file = sha256_of(self.shown(path).as_bytes());
        (file, sha256_of(format!("{version}\n{size}").as_bytes()))
    }

    fn of(folder: &Url, query: Option<String>) -> Result<Self, &'static str> {
        let address = folder.as_str().trim_end_matches('/').to_owned();
        if address.len() > LONGEST_ADDRESS {
            return Err("it is too long");
        }
        Ok(Self { address, query, spelled: BTreeMap::new() })
    }
}

/// An address of HTTP without user, password and fragment.
fn checked(url: &Url) -> Result<Url, &'static str> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("expected an address of HTTP");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or a password may not stand in it");
    }
    let mut url = url.clone();
    url.set_fragment(None);
    Ok(url)
}

impl FromStr for WebFolder {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let kind = "address of a folder";
        let shown = text::redacted_address(text);
        let bad = |why: &str| refuse(kind, &shown, why);
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        let folder = checked(&url).map_err(bad)?;
        if folder.query().is_some() || url.fragment().is_some() {
            return Err(bad("a query may not stand in it"));
        }
        Self::of(&folder, None).map_err(bad)
    }
}

impl PartialEq for WebFolder {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for WebFolder {}

impl PartialOrd for WebFolder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WebFolder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.address.cmp(&other.address)
    }
}

impl std::hash::Hash for WebFolder {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}

impl fmt::Display for WebFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.address)
    }
}

impl fmt::Debug for WebFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebFolder({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file(text: &str) -> Result<(WebFolder, RelPath), NameError> {
        WebFolder::of_file(&Url::parse(text).unwrap())
    }

    #[test]
    fn an_address_is_split_into_its_folder_and_the_name_of_the_file() {
        for (text, folder, name) in [
            ("https://h/a/b/x.gguf", "https://h/a/b", "x.gguf"),
            ("https://H:443/x.gguf", "https://h", "x.gguf"),
            ("http://h:8080/a%20b/x%20y.gguf", "http://h:8080/a%20b", "x y.gguf"),
            ("https://h/a/x%2By%26%40%3D.gguf", "https://h/a", "x+y&@=.gguf"),
            ("https://h/a/x+y.gguf", "https://h/a", "x+y.gguf"),
            ("https://h/a//x.gguf", "https://h/a", "x.gguf"),
            ("https://h//a/x.gguf", "https://h//a", "x.gguf"),
        ] {
            let (found, file) = of_file(text).unwrap();
            assert_eq!((found.as_str(), file.as_str()), (folder, name), "{text}");
            assert_eq!(folder.parse::<WebFolder>().unwrap(), found);
            let parsed: String = Url::parse(text).unwrap().into();
            assert_eq!(found.shown(&file), parsed, "the address comes back as it was");
            assert_eq!(found.file(&file).unwrap().as_str(), parsed, "and is asked as it was");
        }
        assert_eq!(of_file("https://h:8443/a/x").unwrap().0.origin(), "https://h:8443");
        assert_eq!(of_file("https://h/x").unwrap().0.origin(), "https://h");
    }

    #[test]
    fn a_query_is_asked_for_and_neither_shown_nor_compared() {
        let (folder, file) = of_file("https://h/a/x.gguf?key=secret#part").unwrap();
        assert_eq!(folder.file(&file).unwrap().as_str(), "https://h/a/x.gguf?key=secret");
        assert!(folder.has_query());
        let all = format!("{folder:?} {} {} {}", SourceId::from(folder.clone()), folder.shown(&file), folder.as_str());
        assert!(!all.contains("secret"), "{all}");
        assert_eq!(folder, "https://h/a".parse().unwrap());
    }

    #[test]
    fn passwords_and_addresses_without_a_file_are_refused_and_not_repeated() {
        for (text, why) in [
            ("https://me:secret@h/x.gguf", "user or a password"),
            ("https://h/a/?key=secret", "no name of a file"),
            ("https://h", "no name of a file"),
            ("https://h/a/..%2Fx?key=secret", "no name of a file"),
            ("ftp://h/x.gguf", "HTTP"),
        ] {
            let error = of_file(text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{text}: {error}");
        }
        for text in [
            "https://h/a?key=secret",
            "https://h/a b?key=secret",
            "https://h h?a secret",
            "https://me:secret@h/a",
            "file:///a",
            "https://",
        ] {
            let error = text.parse::<WebFolder>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_record_names_a_repository_a_folder_or_what_a_newer_version_knows() {
        let read = |text: &str| text.parse::<SourceId>();
        assert!(matches!(read("o/r"), Ok(SourceId::Hub(_))));
        assert!(matches!(read("https://h/a"), Ok(SourceId::Web(_))));
        assert!(matches!(read("HTTPS://h/a"), Ok(SourceId::Web(_))));
        assert!(matches!(read("oci://ghcr.io/o/r@sha256:00"), Ok(SourceId::Unknown(_))));
        assert!(read("o/r").unwrap().is_named("O/R") && !read("https://h/a").unwrap().is_named("https://h/A"));
        for bad in ["", "a/b/c", "http://", "oci://\n?secret", "oci://me:secret@h/o", "HTTP://me:secret@h/o"] {
            let error = read(bad).expect_err(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn each_version_of_a_file_has_a_key_of_its_own() {
        let (folder, file) = of_file("https://h/a/x.gguf?key=1").unwrap();
        let again = of_file("https://h/a/x.gguf?key=2").unwrap().0;
        let key = folder.version_key(&file, "\"v1\"", 7);
        assert_eq!(key, again.version_key(&file, "\"v1\"", 7), "a new signature is no new version");
        assert_eq!(key.0, folder.version_key(&file, "\"v2\"", 7).0);
        assert_ne!(key.1, folder.version_key(&file, "\"v2\"", 7).1);
        assert_ne!(key.1, folder.version_key(&file, "\"v1\"", 8).1);
    }
}
