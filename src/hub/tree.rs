//! The files of a pinned commit, with sizes and hashes.

use super::{Hub, HubError, Pinned, below, segment};
use crate::{
    digest::{GitSha1, Sha256Digest},
    event::Event,
    http::{Origin, bare},
    names::RelPath,
    settings::DEFAULT_ENDPOINT,
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use url::Url;

/// A thousand files a page: more than any repository of models has.
const MOST_PAGES: usize = 1000;

/// One file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Its path from the root of the repository, letter for letter as the Hub has it.
    pub path: RelPath,
    /// Its size in bytes; for LFS files that of the content, not of the pointer.
    pub size: u64,
    /// The content's SHA-256, of LFS files.
    pub sha256: Option<Sha256Digest>,
    /// Git's blob id of the content, of plain files only: of LFS files git knows just the pointer.
    pub git_sha1: Option<GitSha1>,
}

/// All files of a pinned commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The files, in the order of the listing.
    pub files: Vec<HubFile>,
    /// Where people see them: a page of the endpoint that listed them.
    pub page: String,
}

impl Hub {
    /// Lists all files of a pinned commit.
    ///
    /// A path that leads out of the folder fails the listing. A path that is only unusual, which some system cannot write,
    /// is left out with a warning.
    pub async fn tree(&self, pinned: &Pinned) -> Result<Tree, HubError> {
        const QUERY: &str = "recursive=true&expand=false";
        let path = format!("api/models/{}/tree/{}", pinned.repo, segment(pinned.commit.as_str()));
        let (index, mut answer) = self.ask(&path, Some(QUERY)).await?;
        let endpoint = self.http.endpoints().get(index).cloned().unwrap_or_else(|| answer.url.clone());
        let mut listing = Listing::default();
        let mut seen = HashSet::from([below(&endpoint, &path, Some(QUERY))]);
        loop {
            listing.take(&answer.url, &answer.body, pinned)?;
            let Some(next) = answer.link.as_deref().and_then(next_page) else { break };
            let next = page_address(&endpoint, &answer.url, next)?;
            if seen.len() >= MOST_PAGES || !seen.insert(next.clone()) {
                return Err(HubError::Answer { url: bare(&next), why: "its pages have no end".into() });
            }
            answer = self.http.get(&next).await?;
        }
        if !listing.skipped.is_empty() {
            let names = listing.skipped.join(", ");
            self.http.report(&Event::Warning(format!(
                "files of `{}` that not every system can store are left out: {names}",
                pinned.repo
            )));
        }
        let page = below(&endpoint, &format!("{}/tree/{}", pinned.repo, segment(pinned.commit.as_str())), None);
        Ok(Tree { files: listing.files, page: bare(&page) })
    }
}

#[derive(Default)]
struct Listing {
    files: Vec<HubFile>,
    places: HashMap<String, usize>,
    skipped: Vec<String>,
}

impl Listing {
    fn take(&mut self, url: &Url, body: &[u8], pinned: &Pinned) -> Result<(), HubError> {
        let refuse = |why: String| HubError::Answer { url: bare(url), why };
        let entries: Vec<Value> =
            serde_json::from_slice(body).map_err(|error| refuse(format!("it is not a list in JSON ({error})")))?;
        for entry in entries {
            if entry.get("type").and_then(Value::as_str) != Some("file") {
                continue;
            }
            let raw = entry.get("path").and_then(Value::as_str).ok_or_else(|| refuse("a file has no path".into()))?;
            let path: RelPath = match raw.parse() {
                Ok(path) => path,
                Err(source) if escapes(raw) => return Err(HubError::HostilePath { repo: pinned.repo.to_string(), source }),
                Err(_) => {
                    self.skipped.push(format!("`{}`", raw.chars().take(120).flat_map(char::escape_default).collect::<String>()));
                    continue;
                }
            };
            let file =
                read_entry(path, &entry).ok_or_else(|| refuse(format!("the file `{}` has no size", raw.escape_default())))?;
            match self.places.get(raw) {
                Some(place) if self.files.get(*place) == Some(&file) => {}
                Some(_) => return Err(refuse(format!("the file `{}` is listed twice, differently", file.path))),
                None => {
                    self.places.insert(raw.to_owned(), self.files.len());
                    self.files.push(file);
                }
            }
        }
        Ok(())
    }
}

/// Drops whatever is not a hash: without access the Hub fills some fields with asterisks. A file then has none, and nothing
/// is said of it that was not published.
fn read_entry(path: RelPath, entry: &Value) -> Option<HubFile> {
    let lfs = entry.get("lfs").filter(|lfs| !lfs.is_null());
    let size = |from: &Value| from.get("size").and_then(Value::as_u64);
    let size = lfs.and_then(size).or_else(|| size(entry))?;
    let hash = |from: &Value, name: &str| Some(from.get(name)?.as_str()?.trim_start_matches("sha256:").to_owned());
    let sha256 = lfs.and_then(|lfs| hash(lfs, "oid").or_else(|| hash(lfs, "sha256"))).and_then(|text| text.parse().ok());
    // A file kept by Xet alone is no plain file either, whatever its `lfs` says.
    let plain = lfs.is_none() && entry.get("xetHash").is_none_or(Value::is_null);
    let git_sha1 = if plain { hash(entry, "oid").and_then(|text| text.parse().ok()) } else { None };
    Some(HubFile { path, size, sha256, git_sha1 })
}

/// Whether a path that was refused could lead out of its folder on some system, or is meant to look like another.
fn escapes(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || path.contains('\\')
        || path.chars().any(char::is_control)
        || (bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':')
        || path.split('/').any(|part| part.trim_end_matches(' ') == ".." || part == "." || part.is_empty())
}

/// The address marked `rel="next"` in a `Link` header.
fn next_page(link: &str) -> Option<&str> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let (parameters, next) = after.split_once(",").map_or((after, ""), |(p, n)| (p, n));
        if parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next")) {
            return Some(address);
        }
        rest = next;
    }
    None
}

/// Where the next page is: at the endpoint in use. Mirrors that pass on the Hub's own address are corrected.
fn page_address(endpoint: &Url, from: &Url, text: &str) -> Result<Url, HubError> {
    let refuse = |why: &str| HubError::Answer { url: bare(from), why: why.into() };
    let next = from.join(text).map_err(|_| refuse("the address of the next page cannot be read"))?;
    let origin = Origin::of(&next);
    if origin.is_some() && (origin == Origin::of(endpoint) || origin == Origin::of(from)) {
        return Ok(next);
    }
    if origin.is_some() && origin == Url::parse(DEFAULT_ENDPOINT).ok().as_ref().and_then(Origin::of) {
        return Ok(below(endpoint, next.path().trim_start_matches('/'), next.query()));
    }
    Err(refuse("the next page is at another host"))
}

/// Errs if two of the chosen files would be one on a file system that ignores case.
pub fn check_collisions(files: &[&HubFile]) -> Result<(), HubError> {
    let mut seen: HashMap<String, &RelPath> = HashMap::new();
    for file in files {
        if let Some(other) = seen.insert(file.path.case_key(), &file.path)
            && *other != file.path
        {
            return Err(HubError::Collision { one: other.to_string(), other: file.path.to_string() });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) fn file(path: &str) -> HubFile {
    HubFile { path: path.parse().unwrap(), size: 1, sha256: None, git_sha1: None }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hub, *};
    use crate::{
        http::testing::{Reply, Server},
        names::Revision,
    };

    fn pinned() -> Pinned {
        Pinned::assumed(&"o/r".parse().unwrap(), &"0123456789abcdef0123456789abcdef01234567".parse::<Revision>().unwrap()).unwrap()
    }

    fn list(body: &str) -> Result<Listing, HubError> {
        let mut listing = Listing::default();
        listing.take(&Url::parse("https://h/api").unwrap(), body.as_bytes(), &pinned())?;
        Ok(listing)
    }

    #[test]
    fn hashes_are_taken_from_where_they_mean_the_content() {
        let (sha, git) = ("ab".repeat(32), "cd".repeat(20));
        let body = format!(
            r#"[{{"type":"directory","path":"x","oid":"{git}"}},
            {{"type":"file","path":"w.safetensors","size":9,"oid":"{git}","xetHash":"{stars}","lfs":{{"oid":"{sha}","size":9,"pointerSize":130}}}},
            {{"type":"file","path":"config.json","size":3,"oid":"{git}"}},
            {{"type":"file","path":"hidden.bin","size":4,"oid":"{git}","lfs":{{"oid":"{stars}","size":4}}}}]"#,
            stars = "*".repeat(64)
        );
        let files = list(&body).unwrap().files;
        assert_eq!(files.len(), 3);
        assert_eq!((files[0].sha256.unwrap().to_string(), files[0].git_sha1), (sha, None));
        assert_eq!((files[1].sha256, files[1].git_sha1.unwrap().to_string()), (None, git));
        assert_eq!((files[2].sha256, files[2].git_sha1), (None, None));
    }

    #[test]
    fn what_is_no_hash_counts_as_none_and_fails_no_listing() {
        let (sha, git) = ("ab".repeat(32), "cd".repeat(20));
        let of = |fields: String| {
            let body = format!(r#"[{{"type":"file","path":"w","size":9,{fields}}}]"#);
            let file = list(&body).unwrap_or_else(|error| panic!("{fields}: {error}")).files.remove(0);
            assert_eq!(file.size, 9, "{fields}");
            (file.sha256.is_some(), file.git_sha1.is_some())
        };
        for oid in ["null", "7", "[]", r#""""#, r#""*""#, &format!("\"{}\"", &sha[1..]), &format!("\"{sha}0\""), "\"sha1:00\""] {
            assert_eq!(of(format!(r#""oid":"{git}","lfs":{{"oid":{oid},"size":9}}"#)), (false, false), "{oid}");
            assert_eq!(of(format!(r#""oid":{oid}"#)), (false, false), "{oid}");
        }
        // The id beside an LFS record that cannot be read is that of the pointer.
        for lfs in ["true", "7", r#""***""#, "[]", "{}", r#"{"size":"***"}"#] {
            assert_eq!(of(format!(r#""oid":"{git}","lfs":{lfs}"#)), (false, false), "{lfs}");
        }
        assert_eq!(of(format!(r#""oid":"{git}","lfs":null"#)), (false, true));
        assert_eq!(of(format!(r#""oid":"{git}","lfs":{{"oid":"{}","size":9}}"#, sha.to_uppercase())), (true, false));
    }

    #[test]
    fn paths_that_escape_fail_and_paths_that_are_only_unusual_are_left_out() {
        for bad in ["../x", "/etc/passwd", "a/../../b", "C:/x", "a\\\\b", "a//b", "a\\u0000b", "x/.. /y"] {
            let result = list(&format!(r#"[{{"type":"file","path":"{bad}","size":1}}]"#));
            assert!(matches!(result, Err(HubError::HostilePath { .. })), "{bad}");
        }
        let listing = list(r#"[{"type":"file","path":"aux.txt","size":1},{"type":"file","path":"12:30.png","size":1}]"#).unwrap();
        assert_eq!((listing.files.len(), listing.skipped.len()), (0, 2));
        assert!(list(r#"[{"type":"file","path":"a","size":1},{"type":"file","path":"a","size":2}]"#).is_err());
        assert!(list(r#"[{"type":"file","path":"a"}]"#).is_err());
        assert!(list("{}").is_err());
    }

    #[test]
    fn case_collisions_matter_only_among_the_chosen() {
        let (a, b, c) = (file("A.json"), file("a.json"), file("b"));
        assert!(check_collisions(&[&a, &c]).is_ok());
        assert!(matches!(check_collisions(&[&a, &c, &b]), Err(HubError::Collision { .. })));
    }

    #[test]
    fn the_next_page_is_found_among_links_and_stays_at_the_endpoint() {
        assert_eq!(next_page(r#"<https://h/a?x=1>; rel="prev", <https://h/b?c>; rel="next""#), Some("https://h/b?c"));
        assert_eq!(next_page(r#"<https://h/a>; rel="xet-auth""#), None);
        assert_eq!(next_page("<broken"), None);
        let (mirror, from) = (Url::parse("http://m:1/hf").unwrap(), Url::parse("http://m:1/hf/api/models/o/r/tree/c").unwrap());
        let moved = page_address(&mirror, &from, "https://huggingface.co/api/models/o/r/tree/c?cursor=x%3D").unwrap();
        assert_eq!(moved.as_str(), "http://m:1/hf/api/models/o/r/tree/c?cursor=x%3D");
        assert!(page_address(&mirror, &from, "http://m:2/hf/api").is_err());
        assert!(page_address(&mirror, &from, "ftp://m/x").is_err());
    }

    #[tokio::test]
    async fn pages_are_followed_to_their_end_and_circles_are_refused() {
        let page = |name: &str| format!(r#"[{{"type":"file","path":"{name}","size":1}}]"#);
        let server = Server::start(move |_, request| match request.contains("cursor=2") {
            false => {
                Reply::new("200 OK", &["Link: <https://huggingface.co/api/models/o/r/tree/c?cursor=2>; rel=\"next\""], page("a"))
            }
            true => Reply::new("200 OK", &[], page("b")),
        })
        .await;
        let files = hub(&[server.base()]).tree(&pinned()).await.unwrap().files;
        assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(server.requests()[0].contains("?recursive=true&expand=false "));
        let circle = Server::start(|_, _| Reply::new("200 OK", &["Link: </api?cursor=1>; rel=\"next\""], "[]")).await;
        assert!(matches!(hub(&[circle.base()]).tree(&pinned()).await, Err(HubError::Answer { .. })));
    }
}
