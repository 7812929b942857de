//! The Hub's protocol: from a reference to a pinned commit, to files with sizes and hashes, to the addresses of their bytes.
//!
//! A plan costs one call for the commit and one per thousand files; a full commit that is already known costs none.

mod companion;
mod dialect;
mod endpoint_info;
mod endpoints;
mod gguf;
mod hosts;
mod label;
pub(crate) mod pattern;
mod pin;
mod reference;
mod search;
mod select;
mod tree;

pub use companion::{Companion, companion_choice};
pub(super) use dialect::hint;
#[cfg(feature = "unstable")]
pub use gguf::gguf_choice;
pub use gguf::{GgufUnit, choose_unit, gguf_units};
pub use pattern::{is_selected, matches, select_files};
pub use reference::{Reference, WrittenReference};
pub use select::{ANOTHER_COPY, SetChoice, complete_set, is_cut_otherwise, missing_from_index, missing_shards};
pub use tree::check_collisions;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    pub use super::{
        pin::fuzzed as pinned,
        tree::fuzzed::{Listed, listing, next_page, page_address},
    };

    /// What a refusal of the Hub means.
    pub fn refusal(url: &str, status: u16, headers: &[(&str, &[u8])]) -> crate::http::HttpError {
        crate::http::fuzzing::refusal(&super::dialect::HubDialect, url, status, headers)
    }
}

use super::{FileList, FoundRepo, Locator, Offer, Pinned, SearchQuery, Source, SourceError};
use crate::{
    event::Reporter,
    facts::FileFacts,
    http::{Http, HttpError, Location, Service},
    names::{RelPath, RepoId, Revision, SourceId},
    settings::Network,
};
use dialect::HubDialect;
use futures_util::{FutureExt as _, future::BoxFuture};
use hosts::{hub_origins, is_hub_itself};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use url::Url;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A Hub and its mirrors.
#[derive(Debug, Clone)]
pub struct Hub {
    http: Http,
}

impl Hub {
    /// The Hub at the endpoints of the settings, asked with this client. Sends nothing.
    ///
    /// # Errors
    /// [`HttpError::BadEndpoint`] for a setting that is not the address of an endpoint.
    pub fn new(http: &Http, network: &Network) -> Result<Self, HttpError> {
        Ok(Self { http: http.of_service(Service::new(HubDialect, hub_origins(), network)?) })
    }

    /// Where a file's bytes are, one place per endpoint, in the order in which they are to be tried.
    fn locations(&self, repo: &RepoId, revision: &Revision, path: &RelPath) -> Vec<Location> {
        let tail = format!("{repo}/resolve/{}/{}", segment(revision.as_str()), segments(path.as_str()));
        let location = |base: &Url| Location::of(&self.http, below(base, &tail, None), is_hub_itself(base), None);
        self.http.endpoints().iter().map(location).collect()
    }
}

impl Source for Hub {
    fn pin<'a>(&'a self, id: &'a SourceId, revision: Option<&'a Revision>) -> BoxFuture<'a, Result<Pinned, SourceError>> {
        async move {
            match revision {
                Some(revision) => self.pin_repo(repo_of(id)?, revision).await,
                None => self.pin_repo(repo_of(id)?, &Revision::main()).await,
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, pinned: &'a Pinned, _named: &'a [RelPath]) -> BoxFuture<'a, Result<FileList, SourceError>> {
        async move {
            let unpinned = || SourceError::Answer { url: pinned.id.to_string(), why: "it was not pinned to a commit".into() };
            self.tree(repo_of(&pinned.id)?, pinned.commit.as_ref().ok_or_else(unpinned)?).await
        }
        .boxed()
    }

    fn locate(&self, id: &SourceId, revision: Option<&Revision>, file: &RelPath, _version: Option<&str>) -> Vec<Locator> {
        let Some(repo) = id.repo() else { return Vec::new() };
        let locations = match revision {
            Some(revision) => self.locations(repo, revision, file),
            None => self.locations(repo, &Revision::main(), file),
        };
        locations.into_iter().map(Locator::Http).collect()
    }

    fn search<'a>(&'a self, query: &'a SearchQuery) -> BoxFuture<'a, Result<Vec<FoundRepo>, SourceError>> {
        self.search_repos(query).boxed()
    }

    fn for_listener(&self, reporter: Arc<dyn Reporter>) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self { http: self.http.for_listener(reporter) }))
    }
}

fn repo_of(id: &SourceId) -> Result<&RepoId, SourceError> {
    id.repo().ok_or_else(|| SourceError::Unknown { id: id.to_string() })
}

/// An address below an endpoint; `path` is already encoded.
fn below(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

/// One segment of a path: a revision keeps no `/`.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A path: every part encoded, the `/` between them kept.
fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Silent, settings::Network};
    use std::{sync::Arc, time::Duration};

    pub(super) fn hub(endpoints: &[String]) -> Hub {
        let network =
            Network { endpoints: endpoints.to_vec(), tries: 2, stall_timeout: Duration::from_secs(2), ..Network::default() };
        Hub::new(&Http::new(&network, None, Arc::new(Silent)).unwrap(), &network).unwrap()
    }

    #[test]
    fn addresses_encode_a_revision_as_one_segment_and_a_path_by_parts() {
        let hub = hub(&["https://huggingface.co".into(), "http://mirror:8090/hf/".into()]);
        let revision = "refs/pr/1".parse().unwrap();
        let path = "a b/x[1]^2#ö%.gguf".parse().unwrap();
        let shown: Vec<_> = hub.locations(&"o/r".parse().unwrap(), &revision, &path).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/a%20b/x%5B1%5D%5E2%23%C3%B6%25.gguf",
                "http://mirror:8090/hf/o/r/resolve/refs%2Fpr%2F1/a%20b/x%5B1%5D%5E2%23%C3%B6%25.gguf"
            ]
        );
    }

    #[test]
    fn the_futures_may_move_between_threads() {
        fn send<T: Send>(_: T) {}
        let hub = hub(&["http://127.0.0.1:1".into()]);
        let pinned = Pinned::assumed(&"o/r".parse().unwrap(), &"0".repeat(40).parse().unwrap()).unwrap();
        send(hub.list(&pinned, &[]));
        send(hub.pin(&pinned.id, pinned.commit.as_ref()));
    }
}
