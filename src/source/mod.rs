//! What can be named, pinned and listed: the trait [`Source`], and one folder for each kind of source.
//!
//! A source answers three questions, and the manager asks no others: which state of the files a name stands for now
//! ([`Source::pin`]), which files that state has ([`Source::list`]), and where their bytes are ([`Source::locate`]).

mod error;
pub mod hub;
pub mod web;

pub use error::{Offer, SourceError};

use crate::{
    event::Reporter,
    facts::FileFacts,
    http::{Http, HttpError, Location},
    names::{RelPath, RepoId, Revision, SourceId},
    settings::Network,
};
use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};

/// A source of models. All threads of a run share it.
pub trait Source: fmt::Debug + Send + Sync {
    /// Asks which state of its files `id` stands for at `revision`; `None` is the state that people mean without one.
    fn pin<'a>(&'a self, id: &'a SourceId, revision: Option<&'a Revision>) -> BoxFuture<'a, Result<Pinned, SourceError>>;

    /// Lists the files of a pinned state with what is published of each. A source that cannot be listed looks for those
    /// of `named`, and gives those that are there.
    fn list<'a>(&'a self, pinned: &'a Pinned, named: &'a [RelPath]) -> BoxFuture<'a, Result<FileList, SourceError>>;

    /// Where the bytes of a file are, in the order in which the places are to be asked. Asks nobody.
    fn locate(&self, id: &SourceId, revision: Option<&Revision>, file: &RelPath, version: Option<&str>) -> Vec<Locator>;

    /// The same source over the same connections, with another listener.
    fn for_listener(&self, reporter: Arc<dyn Reporter>) -> Arc<dyn Source>;
}

/// What a transfer may read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Locator {
    /// Bytes behind an address.
    Http(Location),
}

/// The locations of HTTP among them.
pub fn locations(locators: Vec<Locator>) -> Vec<Location> {
    locators.into_iter().map(|Locator::Http(location)| location).collect()
}

/// Who may have the files of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Gate {
    /// Everyone.
    #[default]
    Open,
    /// Everyone who accepts the conditions.
    Auto,
    /// Those whom the owner lets in.
    Manual,
}

/// The files of a source in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The source under its present name.
    pub id: SourceId,
    /// The source as it was asked for.
    pub requested: SourceId,
    /// The full commit; `None` where the source has none, so that only hashes pin its files.
    pub commit: Option<Revision>,
    /// Who may have the files.
    pub gated: Gate,
    /// Whether the repository is private.
    pub private: bool,
    /// Whether the Hub has disabled it.
    pub disabled: bool,
    /// The licence as the source names it.
    pub license: Option<String>,
}

impl Pinned {
    /// A source without commits, or one at this commit, that everyone may have.
    pub fn open(id: SourceId, commit: Option<Revision>) -> Self {
        let requested = id.clone();
        Self { id, requested, commit, gated: Gate::Open, private: false, disabled: false, license: None }
    }

    /// A full commit of a repository that is known already, without a call; `None` if `commit` is a name that can move.
    pub fn assumed(repo: &RepoId, commit: &Revision) -> Option<Self> {
        commit.is_commit().then(|| Self::open(repo.clone().into(), Some(commit.clone())))
    }

    /// Its name and commit, for messages: `owner/name at 0123…`.
    pub fn describe(&self) -> String {
        match &self.commit {
            Some(commit) => format!("{} at {commit}", self.id),
            None => self.id.to_string(),
        }
    }
}

/// All files of a pinned state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileList {
    /// The files, in the order of the source.
    pub files: Vec<FileFacts>,
    /// Where people see them.
    pub page: String,
    /// Requests that it took.
    pub requests: u32,
}

/// The sources that a session asks; clones share them.
#[derive(Debug, Clone)]
pub struct Sources {
    http: Http,
    hub: Arc<dyn Source>,
    web: Arc<dyn Source>,
}

impl Sources {
    /// The Hub at the endpoints of the settings, and web servers. One client asks both; only the Hub sees the token.
    ///
    /// # Errors
    /// [`HttpError::BadEndpoint`] for a setting that is not the address of an endpoint.
    pub fn new(http: &Http, network: &Network) -> Result<Self, HttpError> {
        let (hub, web) = (Arc::new(hub::Hub::new(http, network)?), Arc::new(web::Web::new(http)));
        Ok(Self { http: http.clone(), hub, web })
    }

    /// The client that reads what they locate.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The same sources over the same connections, with another listener.
    pub fn for_listener(&self, reporter: &Arc<dyn Reporter>) -> Self {
        let [hub, web] = [&self.hub, &self.web].map(|source| source.for_listener(reporter.clone()));
        Self { http: self.http.for_listener(reporter.clone()), hub, web }
    }

    /// The source that knows this name.
    ///
    /// # Errors
    /// [`SourceError::Unknown`] for a name of a newer version.
    pub fn of(&self, id: &SourceId) -> Result<&Arc<dyn Source>, SourceError> {
        match id {
            SourceId::Hub(_) => Ok(&self.hub),
            SourceId::Web(_) => Ok(&self.web),
            _ => Err(SourceError::Unknown { id: id.to_string() }),
        }
    }
}
