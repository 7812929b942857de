//! Files on any web server: `https://host/path/NAME.gguf`.
//!
//! There is nothing to list: the file is asked for its size and for what tells its versions apart. Nobody publishes its hash, unless the user or the registry does. No token is sent to it, whatever server
//! it is, and nothing is asked of the endpoints and mirrors of the settings.

use super::{FileList, Locator, Pinned, Source, SourceError};
use crate::{
    event::Reporter,
    facts::FileFacts,
    http::{Http, HttpError, Location, Service},
    names::{RelPath, Revision, SourceId, WebFolder},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;

/// Web servers.
#[derive(Debug, Clone)]
pub struct Web {
    http: Http,
}

impl Web {
    /// Asks with this client, without a token.
    pub fn new(http: &Http) -> Self {
        Self { http: http.of_service(Service::plain()) }
    }

    fn location(&self, folder: &WebFolder, path: &RelPath, version: Option<&str>) -> Option<Location> {
        Some(Location::of(&self.http, folder.file(path)?, true, version.map(str::to_owned)))
    }

    /// What the server says of a file.
    async fn look(&self, folder: &WebFolder, path: &RelPath) -> Result<FileFacts, SourceError> {
        let location = self.location(folder, path, None).ok_or_else(|| bad_address(folder, path))?;
        let probe = self.http.probe(&location).await.map_err(SourceError::Web)?;
        let Some(size) = probe.size else {
            return Err(SourceError::NoSize { url: folder.shown(path) });
        };
        Ok(FileFacts { size: Some(size), version: probe.version, ..FileFacts::named(path.clone()) })
    }
}

impl Source for Web {
    /// A web server has no versions that could be asked for.
    fn pin<'a>(&'a self, id: &'a SourceId, _revision: Option<&'a Revision>) -> BoxFuture<'a, Result<Pinned, SourceError>> {
        async { Ok(Pinned::open(id.clone(), None)) }.boxed()
    }

    fn list<'a>(&'a self, pinned: &'a Pinned, named: &'a [RelPath]) -> BoxFuture<'a, Result<FileList, SourceError>> {
        async move {
            let folder = pinned.id.web().ok_or_else(|| SourceError::Unknown { id: pinned.id.to_string() })?;
            let mut files = Vec::with_capacity(named.len());
            for path in named {
                files.push(self.look(folder, path).await?);
            }
            Ok(FileList { requests: named.len().try_into().unwrap_or(u32::MAX), files, page: folder.to_string() })
        }
        .boxed()
    }

    fn locate(&self, id: &SourceId, _revision: Option<&Revision>, file: &RelPath, version: Option<&str>) -> Vec<Locator> {
        id.web().and_then(|folder| self.location(folder, file, version)).map(Locator::Http).into_iter().collect()
    }

    fn for_listener(&self, reporter: Arc<dyn Reporter>) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self { http: self.http.for_listener(reporter) }))
    }
}

fn bad_address(folder: &WebFolder, path: &RelPath) -> SourceError {
    SourceError::Web(HttpError::Nonsense { url: folder.shown(path), why: "no address can be made of its name".into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Silent,
        http::testing::{Reply, Server, asked},
        settings::{Network, Token},
    };

    /// A client for which every server is one that the user trusts with the token.
    fn web(server: &Server) -> Web {
        let network = Network {
            endpoints: vec![server.base()],
            token: Token::new("hf_secret"),
            token_endpoints: vec![server.base()],
            tries: 1,
            ..Network::default()
        };
        Web::new(&Http::new(&network, None, Arc::new(Silent)).unwrap())
    }

    async fn list(server: &Server, name: &str) -> Result<FileList, SourceError> {
        let folder: WebFolder = format!("{}/models", server.base()).parse().unwrap();
        let pinned = Pinned::open(folder.into(), None);
        web(server).list(&pinned, &[name.parse().unwrap()]).await
    }

    #[tokio::test]
    async fn a_file_is_known_by_its_size_and_version_and_the_server_sees_no_token() {
        let server = Server::start(|_, request| match asked(request) {
            Some(_) if request.starts_with("GET /models/a%20b.gguf ") => {
                Reply::new("206 Partial Content", &["Content-Range: bytes 0-0/10", "ETag: \"v1\""], "0")
            }
            _ => Reply::new("404 Not Found", &[], ""),
        })
        .await;
        let listing = list(&server, "a b.gguf").await.unwrap();
        let [file] = listing.files.as_slice() else { panic!("{listing:?}") };
        assert_eq!((file.size, file.version.as_deref(), file.sha256), (Some(10), Some("\"v1\""), None));
        assert!(matches!(list(&server, "b.gguf").await, Err(SourceError::Web(error)) if error.is_refusal()));
        assert!(!server.requests().iter().any(|request| request.to_lowercase().contains("authorization")));
    }

    #[tokio::test]
    async fn a_file_whose_length_nobody_says_is_not_fetched() {
        let server = Server::start(|_, _| Reply::new("200 OK", &["Transfer-Encoding: chunked"], "1\r\n0\r\n0\r\n\r\n")).await;
        assert!(matches!(list(&server, "x.gguf").await, Err(SourceError::NoSize { .. })));
    }
}
