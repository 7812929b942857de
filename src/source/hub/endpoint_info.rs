//! What an address says of the endpoint that was asked: which repository it is about, and where people get access to it.

use super::hosts::is_hub_host;
use crate::{hint::Accounts, settings::DEFAULT_ENDPOINT};
use url::Url;

/// A mirror that many use. It shows the pages of the Hub but nobody can log in there: conditions are accepted at the Hub, and
/// a token of the Hub is passed on.
const MIRROR: &str = "hf-mirror.com";
/// The Hub that it mirrors.
const MIRRORED: &str = DEFAULT_ENDPOINT;

/// An endpoint and the repository of a request to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndpointInfo {
    base: String,
    repo: Option<String>,
    kind: Kind,
}

/// Whose accounts an endpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is the Hub.
    Hub,
    /// It has none.
    Mirror,
    /// Nobody knows: a Hub of somebody's own, or a mirror.
    Other,
}

impl EndpointInfo {
    /// Read off an address of the API or of a file.
    pub(super) fn of(url: &str) -> Self {
        let Ok(parsed) = Url::parse(url) else { return Self { base: url.to_owned(), repo: None, kind: Kind::Other } };
        let parts: Vec<&str> = parsed.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).collect();
        let behind = |words: &[&str]| parts.windows(words.len()).position(|run| run == words).map(|at| (at, at + words.len()));
        let resolve = parts.iter().position(|part| *part == "resolve");
        // The second is where the Hub sends on who asks for a small file. Behind `resolve` a folder may have any name.
        let api = behind(&["api", "models"]).or_else(|| behind(&["api", "resolve-cache", "models"]));
        let (below, repo) = match api.filter(|(api, _)| resolve.is_none_or(|resolve| *api < resolve)) {
            Some((api, behind)) => {
                let rest = &parts[behind..];
                let is_commit = |part: &str| part.len() == 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
                let ends = |part: &&str| matches!(*part, "revision" | "tree") || is_commit(part);
                (api, &rest[..rest.iter().position(ends).unwrap_or(rest.len()).min(2)])
            }
            None => {
                let end = resolve.unwrap_or(0);
                (end.saturating_sub(2), &parts[end.saturating_sub(2)..end])
            }
        };
        let mut base = parsed.clone();
        base.set_path(&parts[..below].join("/"));
        base.set_query(None);
        base.set_fragment(None);
        let host = parsed.host_str().unwrap_or_default();
        let is_mirror = host == MIRROR || host.strip_suffix(MIRROR).is_some_and(|above| above.ends_with('.'));
        let kind = match (is_hub_host(host), is_mirror) {
            (true, _) => Kind::Hub,
            (false, true) => Kind::Mirror,
            (false, false) => Kind::Other,
        };
        let repo = (!repo.is_empty()).then(|| repo.join("/"));
        Self { base: base.as_str().trim_end_matches('/').to_owned(), repo, kind }
    }

    /// The repository, where the address names one.
    pub(super) fn repo(&self) -> Option<&str> {
        self.repo.as_deref()
    }

    /// The repository, as it stands in a sentence.
    pub(super) fn quoted_repo(&self) -> String {
        self.repo.as_ref().map_or_else(|| "of this address".to_owned(), |repo| format!("`{repo}`"))
    }

    /// The repository's page at the endpoint that was asked.
    pub(super) fn page(&self) -> String {
        self.page_at(&self.base)
    }

    /// Where access to the repository is asked for.
    pub(super) fn access_page(&self) -> String {
        self.page_at(if self.kind == Kind::Mirror { MIRRORED } else { &self.base })
    }

    fn page_at(&self, base: &str) -> String {
        self.repo.as_ref().map_or_else(|| base.to_owned(), |repo| format!("{base}/{repo}"))
    }

    /// Whose tokens it takes.
    pub(super) fn accounts(&self) -> Accounts {
        let tokens_page = match self.kind {
            Kind::Hub => Some(format!("{}/settings/tokens", self.base)),
            Kind::Mirror => Some(format!("{MIRRORED}/settings/tokens")),
            Kind::Other => None,
        };
        Accounts { server: self.base.clone(), tokens_page, is_mirror: self.kind == Kind::Mirror }
    }

    /// Whether requests of somebody with a token may be many: not at a server that only keeps the bytes.
    pub(super) fn knows_tokens(&self) -> bool {
        self.kind != Kind::Other || self.repo.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_off_both_kinds_of_address() {
        let repo = |url| EndpointInfo::of(url).repo;
        assert_eq!(repo("https://h/gpt2/resolve/main/x/y").as_deref(), Some("gpt2"));
        assert_eq!(repo("https://h/prefix/a/b/resolve/main/y").as_deref(), Some("a/b"));
        assert_eq!(repo("https://h/api/models/gpt2/tree/main").as_deref(), Some("gpt2"));
        assert_eq!(repo("https://h/models/hf/api/models/a/b/revision/main").as_deref(), Some("a/b"));
        assert_eq!(
            repo("https://h/api/resolve-cache/models/a/b/0123456789012345678901234567890123456789/x").as_deref(),
            Some("a/b")
        );
        assert_eq!(
            repo("https://h/api/resolve-cache/models/gpt2/0123456789012345678901234567890123456789/x").as_deref(),
            Some("gpt2")
        );
        assert_eq!(repo("https://h/a/b/resolve/main/api/models/x.gguf").as_deref(), Some("a/b"));
        assert_eq!(repo("https://h/x"), None);
    }

    #[test]
    fn a_page_is_at_the_endpoint_that_was_asked_with_its_port_and_path() {
        for (url, page) in [
            ("https://huggingface.co/api/models/a/b/revision/main", "https://huggingface.co/a/b"),
            ("http://127.0.0.1:8090/a/b/resolve/main/x.gguf", "http://127.0.0.1:8090/a/b"),
            ("https://art.example.org/api/hf/mine/api/models/a/b/tree/c?recursive=true", "https://art.example.org/api/hf/mine/a/b"),
            ("https://art.example.org/hf/a/b/resolve/main/x/y.gguf", "https://art.example.org/hf/a/b"),
            ("https://hf-mirror.com/a/b/resolve/main/y", "https://hf-mirror.com/a/b"),
            ("https://h/x", "https://h"),
        ] {
            assert_eq!(EndpointInfo::of(url).page(), page);
        }
    }

    #[test]
    fn access_and_tokens_are_the_hubs_where_the_mirror_is_known_to_have_none() {
        let asked = |host: &str| EndpointInfo::of(&format!("https://{host}/api/models/a/b/revision/main"));
        let told = |host: &str| (asked(host).access_page(), asked(host).accounts());
        let hub = |server: &str| Accounts {
            server: server.to_owned(),
            tokens_page: Some("https://huggingface.co/settings/tokens".into()),
            is_mirror: server != "https://huggingface.co",
        };
        let page = || "https://huggingface.co/a/b".to_owned();
        assert_eq!(told("huggingface.co"), (page(), hub("https://huggingface.co")));
        for mirror in ["hf-mirror.com", "cn.hf-mirror.com"] {
            assert_eq!(told(mirror), (page(), hub(&format!("https://{mirror}"))));
        }
        for other in ["not-hf-mirror.com", "huggingface.co.example.org", "hub.example.org"] {
            let unknown = Accounts { server: format!("https://{other}"), tokens_page: None, is_mirror: false };
            assert_eq!(told(other), (format!("https://{other}/a/b"), unknown));
        }
        assert!(!EndpointInfo::of("https://cdn.example.org/xet/1234").knows_tokens());
    }
}
