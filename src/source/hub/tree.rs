//! The files of a pinned commit, with sizes and hashes.

use super::{FileFacts, FileList, Hub, SourceError, below, segment};
use crate::{
    digest::LONGEST_FILE,
    event::{Event, Warning},
    http::{Origin, Sink, Trail, bare},
    json::{Elements, Fact, Object},
    names::{NameError, RelPath, RepoId, Revision},
    settings::DEFAULT_ENDPOINT,
    text,
};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use url::Url;

/// Limits of one listing. A page has a thousand files, and the Hub asks people to keep a repository below a hundred thousand.
const MOST_PAGES: usize = 1000;
const MOST_ENTRIES: usize = 250_000;
const LONGEST_NAMES: usize = 24 << 20;
const LONGEST_LISTING: u64 = 256 << 20;
/// The longest address of a next page, in bytes.
const LONGEST_ADDRESS: usize = 8192;
/// How many skipped names are reported.
const MOST_TOLD: usize = 10;

impl Hub {
    /// Lists all files of a pinned commit.
    ///
    /// A path that leads out of the folder fails the listing. A path that is only unusual, which some system cannot write,
    /// is left out with a warning.
    pub(super) async fn tree(&self, repo: &RepoId, commit: &Revision) -> Result<FileList, SourceError> {
        const QUERY: &str = "recursive=true&expand=false";
        let path = format!("api/models/{repo}/tree/{}", segment(commit.as_str()));
        let mut round = self.round();
        while let Some((endpoint, tries)) = round.next() {
            match self.list_at(endpoint, &below(endpoint, &path, Some(QUERY)), tries).await {
                Ok(listing) => return self.listed(listing, endpoint, repo, commit),
                Err(error) => round.failed(error)?,
            }
        }
        Err(round.ended())
    }

    /// Reads all pages at one endpoint.
    async fn list_at(&self, endpoint: &Url, first: &Url, tries: u32) -> Result<TreeListing, SourceError> {
        let deadline = self.http.question_deadline();
        let mut listing = TreeListing::default();
        let mut next = first.clone();
        let mut seen = HashSet::from([next.clone()]);
        let mut trail = Trail::default();
        loop {
            let mut page = TreePage::new(&mut listing, self.http.longest_stream());
            let answer = self.http.get(&next, tries, deadline, &trail, &mut page).await?;
            listing.pages += 1;
            let Some(link) = answer.link.as_deref().and_then(next_page) else { return Ok(listing) };
            next = page_address(endpoint, &answer.url, link)?;
            trail = answer.trail.clone();
            if seen.len() >= MOST_PAGES || !seen.insert(next.clone()) {
                return Err(SourceError::Answer { url: bare(&next), why: "its pages have no end".into() });
            }
        }
    }

    /// Makes a tree of what was listed.
    fn listed(&self, listing: TreeListing, endpoint: &Url, repo: &RepoId, commit: &Revision) -> Result<FileList, SourceError> {
        if let Some(source) = listing.hostile {
            return Err(SourceError::HostilePath { repo: repo.to_string(), source });
        }
        if listing.left_out > 0 {
            let names = text::counted(&listing.skipped, listing.left_out);
            let text = format!("files of `{repo}` that not every system can store are left out: {names}");
            self.http.report(&Event::Warning(Warning::from(text)));
        }
        let page = below(endpoint, &format!("{repo}/tree/{}", segment(commit.as_str())), None);
        Ok(FileList { requests: listing.pages, files: listing.files, page: bare(&page) })
    }
}

/// What the pages so far have.
#[derive(Default)]
struct TreeListing {
    files: Vec<FileFacts>,
    places: HashMap<String, usize>,
    /// The first names that were left out, and how many there are.
    skipped: Vec<String>,
    left_out: usize,
    /// The first path that leads out of its folder.
    hostile: Option<NameError>,
    /// What was read: pages, entries, bytes of names, bytes.
    pages: u32,
    entries: usize,
    names: usize,
    bytes: u64,
}

/// A page while it comes. A try that fails leaves its entries behind, which the next finds to be the same.
struct TreePage<'a> {
    listing: &'a mut TreeListing,
    limit: u64,
    elements: Elements,
    /// What was counted before this page.
    before: (usize, usize, u64, usize),
}

impl<'a> TreePage<'a> {
    fn new(listing: &'a mut TreeListing, longest: u64) -> Self {
        let limit = longest.min(LONGEST_LISTING.saturating_sub(listing.bytes));
        let before = (listing.entries, listing.names, listing.bytes, listing.left_out);
        Self { listing, limit, elements: Elements::default(), before }
    }
}

impl Sink for TreePage<'_> {
    fn limit(&self) -> u64 {
        self.limit
    }

    fn begin(&mut self) {
        self.elements = Elements::default();
        let listing = &mut *self.listing;
        (listing.entries, listing.names, listing.bytes, listing.left_out) = self.before;
        listing.skipped.truncate(listing.left_out);
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.listing.bytes += bytes.len() as u64;
        self.elements.feed(bytes, |entry| self.listing.take(entry))
    }

    fn end(&mut self) -> Result<(), String> {
        if self.elements.is_done() { Ok(()) } else { Err("it is not a list in JSON: it ends early".into()) }
    }
}

/// An entry of a listing.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: Fact,
    path: Fact,
    size: Fact,
    oid: Fact,
    lfs: Object<Lfs>,
    #[serde(rename = "xetHash")]
    xet_hash: Fact,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Lfs {
    oid: Fact,
    sha256: Fact,
    size: Fact,
}

impl TreeListing {
    fn take(&mut self, entry: &[u8]) -> Result<(), String> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(format!("it lists more than {MOST_ENTRIES} files"));
        }
        let entry: TreeEntry = serde_json::from_slice(entry)
            .map_err(|error| format!("it is not a list of files in JSON ({:.200})", error.to_string()))?;
        if entry.kind.text() != Some("file") {
            return Ok(());
        }
        let raw = entry.path.text().ok_or("a file has no path")?;
        self.names += raw.len();
        if self.names > LONGEST_NAMES {
            return Err(format!("its names are longer than {LONGEST_NAMES} bytes"));
        }
        let shown = || text::short(raw, 120);
        let path: RelPath = match raw.parse() {
            Ok(path) => path,
            Err(source) if escapes(raw) => {
                self.hostile.get_or_insert(source);
                return Ok(());
            }
            Err(_) => {
                self.left_out += 1;
                if self.skipped.len() < MOST_TOLD {
                    self.skipped.push(format!("`{}`", shown()));
                }
                return Ok(());
            }
        };
        let file =
            read_entry(path, &entry).ok_or_else(|| format!("the file `{}` has no size, or none that a file can have", shown()))?;
        match self.places.get(raw) {
            Some(place) if self.files.get(*place) == Some(&file) => {}
            Some(_) => return Err(format!("the file `{}` is listed twice, differently", shown())),
            None => {
                self.places.insert(raw.to_owned(), self.files.len());
                self.files.push(file);
            }
        }
        Ok(())
    }
}

/// Drops whatever is not a hash: without access the Hub fills some fields with asterisks. A file then has none, and nothing
/// is said of it that was not published.
fn read_entry(path: RelPath, entry: &TreeEntry) -> Option<FileFacts> {
    let lfs = entry.lfs.get();
    let size = lfs.and_then(|lfs| lfs.size.number()).or_else(|| entry.size.number()).filter(|size| *size <= LONGEST_FILE)?;
    let hash = |from: &Fact| from.text().map(|text| text.trim_start_matches("sha256:").to_owned());
    let sha256 = lfs.and_then(|lfs| hash(&lfs.oid).or_else(|| hash(&lfs.sha256))).and_then(|text| text.parse().ok());
    // A file kept by Xet alone is no plain file either, whatever its `lfs` says.
    let plain = entry.lfs.is_absent() && entry.xet_hash == Fact::None;
    let git_sha1 = if plain { hash(&entry.oid).and_then(|text| text.parse().ok()) } else { None };
    // The Hub fills it with asterisks where nobody may see it.
    let xet = entry.xet_hash.text().filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    Some(FileFacts { size: Some(size), sha256, git_sha1, xet: xet.map(str::to_owned), ..FileFacts::named(path) })
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
fn page_address(endpoint: &Url, from: &Url, text: &str) -> Result<Url, SourceError> {
    let refuse = |why: &str| SourceError::Answer { url: bare(from), why: why.into() };
    if text.len() > LONGEST_ADDRESS {
        return Err(refuse("the address of the next page is too long"));
    }
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
pub fn check_collisions(files: &[&FileFacts]) -> Result<(), SourceError> {
    let mut seen: HashMap<String, &RelPath> = HashMap::new();
    for file in files {
        if let Some(other) = seen.insert(file.path.case_key(), &file.path)
            && *other != file.path
        {
            return Err(SourceError::Collision { one: other.to_string(), other: file.path.to_string() });
        }
    }
    Ok(())
}

/// For `fuzz/`: pages of a listing, and the address of the next one.
#[cfg(feature = "fuzzing")]
pub mod fuzzed {
    use super::{super::Pinned, FileFacts, Sink, SourceError, TreeListing, TreePage, Url, bare};

    /// What pages of a listing hold.
    #[derive(Debug)]
    pub struct Listed {
        /// The files.
        pub files: Vec<FileFacts>,
        /// Names that were left out, as they are shown.
        pub skipped: Vec<String>,
    }

    /// Reads pages of a listing.
    pub fn listing(from: &Url, pages: &[&[u8]], pinned: &Pinned) -> Result<Listed, SourceError> {
        let mut listing = TreeListing::default();
        for page in pages {
            let mut sink = TreePage::new(&mut listing, u64::MAX);
            sink.begin();
            let read = sink.take(page).and_then(|()| sink.end());
            read.map_err(|why| SourceError::Answer { url: bare(from), why })?;
        }
        match listing.hostile {
            Some(source) => Err(SourceError::HostilePath { repo: pinned.id.to_string(), source }),
            None => Ok(Listed { files: listing.files, skipped: listing.skipped }),
        }
    }

    /// The URL of the next page in a `Link` header, verbatim.
    pub fn next_page(link: &str) -> Option<&str> {
        super::next_page(link)
    }

    /// Where that is.
    pub fn page_address(endpoint: &Url, from: &Url, text: &str) -> Result<Url, SourceError> {
        super::page_address(endpoint, from, text)
    }
}

#[cfg(test)]
pub(super) fn file(path: &str) -> FileFacts {
    FileFacts { size: Some(1), ..FileFacts::named(path.parse().unwrap()) }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hub, *};
    use crate::http::testing::{Reply, Server};

    fn repo() -> RepoId {
        "o/r".parse().unwrap()
    }

    fn commit() -> Revision {
        "0123456789abcdef0123456789abcdef01234567".parse().unwrap()
    }

    fn list(body: &str) -> Result<TreeListing, SourceError> {
        let mut listing = TreeListing::default();
        let nonsense = |why| SourceError::Answer { url: "https://h/api".into(), why };
        let mut page = TreePage::new(&mut listing, 1 << 20);
        page.take(body.as_bytes()).and_then(|()| page.end()).map_err(nonsense)?;
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
            assert_eq!(file.size, Some(9), "{fields}");
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
            let listing = list(&format!(r#"[{{"type":"file","path":"{bad}","size":1}}]"#)).unwrap();
            let error = hub(&["http://127.0.0.1:1".into()]).listed(listing, &Url::parse("http://h").unwrap(), &repo(), &commit());
            assert!(matches!(error, Err(SourceError::HostilePath { .. })), "{bad}");
        }
        let listing = list(r#"[{"type":"file","path":"aux.txt","size":1},{"type":"file","path":"12:30.png","size":1}]"#).unwrap();
        assert_eq!((listing.files.len(), listing.skipped.len()), (0, 2));
        assert!(list(r#"[{"type":"file","path":"a","size":1},{"type":"file","path":"a","size":2}]"#).is_err());
        assert!(list(r#"[{"type":"file","path":"a"}]"#).is_err());
        assert!(list("{}").is_err());
        let error = list(&format!("\"{}\"", "a".repeat(5000))).map(drop).unwrap_err().to_string();
        assert!(error.len() < 400, "a server's text is not repeated: {error}");
    }

    #[test]
    fn case_collisions_matter_only_among_the_chosen() {
        let (a, b, c) = (file("A.json"), file("a.json"), file("b"));
        assert!(check_collisions(&[&a, &c]).is_ok());
        assert!(matches!(check_collisions(&[&a, &c, &b]), Err(SourceError::Collision { .. })));
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
        assert!(page_address(&mirror, &from, &format!("?cursor={}", "x".repeat(LONGEST_ADDRESS))).is_err());
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
        let files = hub(&[server.base()]).tree(&repo(), &commit()).await.unwrap().files;
        assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(server.requests()[0].contains("?recursive=true&expand=false "));
        let circle = Server::start(|_, _| Reply::new("200 OK", &["Link: </api?cursor=1>; rel=\"next\""], "[]")).await;
        assert!(matches!(hub(&[circle.base()]).tree(&repo(), &commit()).await, Err(SourceError::Answer { .. })));
    }
}
