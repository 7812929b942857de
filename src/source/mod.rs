//! What can be named, pinned and listed: the trait [`Source`], and one folder for each kind of source.
//!
//! [`Sources`] are those that a program adds. A source answers three questions, and the manager asks no others: which state of the files a name stands for now
//! ([`Source::pin`]), which files that state has ([`Source::list`]), and where their bytes are ([`Source::locate`]). Some can
//! be searched too ([`Source::search`]).

mod error;
pub mod hub;
mod search;
pub mod web;

pub use error::{Offer, SourceError};
pub use search::{FoundRepo, SearchLimit, SearchOrder, SearchQuery};

use crate::{
    event::Reporter,
    facts::FileFacts,
    http::{Http, HttpError, Location},
    names::{RelPath, RepoId, Revision, SourceId},
    settings::Network,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{fmt, sync::Arc};

/// A source of models. All threads of a session share it, and several ask it at once. What it says is checked like the word
/// of any server: paths are names of files, and bytes have the length and the hash that it gives.
pub trait Source: fmt::Debug + Send + Sync {
    /// Asks which state of its files `id` stands for at `revision`; `None` is the state that people mean without one.
    fn pin<'a>(&'a self, id: &'a SourceId, revision: Option<&'a Revision>) -> BoxFuture<'a, Result<Pinned, SourceError>>;

    /// Lists the files of a pinned state with what is published of each. A source that cannot be listed looks for those
    /// of `named`, and gives those that are there. Each file has a size.
    fn list<'a>(&'a self, pinned: &'a Pinned, named: &'a [RelPath]) -> BoxFuture<'a, Result<FileList, SourceError>>;

    /// Where the bytes of a file are, in the order in which the places are to be asked. Asks nobody.
    fn locate(&self, id: &SourceId, revision: Option<&Revision>, file: &RelPath, version: Option<&str>) -> Vec<Locator>;

    /// Looks for repositories. A source that cannot be searched refuses, as here.
    fn search<'a>(&'a self, _query: &'a SearchQuery) -> BoxFuture<'a, Result<Vec<FoundRepo>, SourceError>> {
        std::future::ready(Err(SourceError::NoSearch)).boxed()
    }

    /// The same source over the same connections, which tells its retries and warnings to this reporter. `None`, as here,
    /// for a source that tells nothing.
    fn for_listener(&self, _reporter: Arc<dyn Reporter>) -> Option<Arc<dyn Source>> {
        None
    }
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct FileList {
    /// The files, in the order of the source.
    pub files: Vec<FileFacts>,
    /// Where people see them.
    pub page: String,
    /// Requests that it took.
    pub requests: u32,
}

impl FileList {
    /// These files, which people see at `page`. No request was needed.
    pub fn new(files: Vec<FileFacts>, page: impl Into<String>) -> Self {
        Self { files, page: page.into(), requests: 0 }
    }
}

/// The sources that a program has of its own, for [`Session::with_sources`](crate::manager::Session::with_sources).
#[derive(Debug, Clone, Default)]
pub struct Sources {
    repositories: Option<Arc<dyn Source>>,
    /// The scheme of the names that each knows.
    schemes: Vec<(String, Arc<dyn Source>)>,
}

impl Sources {
    /// None: repositories are those of the Hub.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks this source in place of the Hub, for all repositories `owner/name`. It pins each to a full commit: 40 hexadecimal
    /// digits, which stand for the same files for ever.
    #[must_use]
    pub fn for_repositories(mut self, source: impl Source + 'static) -> Self {
        self.repositories = Some(Arc::new(source));
        self
    }

    /// Asks this source for what lock files and records name as `SCHEME://…`. The schemes `http` and `https` stay those of web
    /// servers.
    #[must_use]
    pub fn for_scheme(mut self, scheme: impl Into<String>, source: impl Source + 'static) -> Self {
        self.schemes.push((scheme.into(), Arc::new(source)));
        self
    }

    /// The source for a name that is neither one of the Hub nor of a web server; the last that was given for its scheme.
    fn of_scheme(&self, id: &SourceId) -> Option<&Arc<dyn Source>> {
        let SourceId::Unknown(text) = id else { return None };
        let (scheme, _) = text.split_once("://")?;
        self.schemes.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(scheme)).map(|(_, source)| source)
    }

    /// Whether somebody can be asked for what this names.
    pub(crate) fn knows(&self, id: &SourceId) -> bool {
        !matches!(id, SourceId::Unknown(_)) || self.of_scheme(id).is_some()
    }
}

/// All sources of a session, over one client; clones share them.
#[derive(Debug, Clone)]
pub struct ConnectedSources {
    http: Http,
    repositories: Arc<dyn Source>,
    web: Arc<dyn Source>,
    own: Sources,
}

impl ConnectedSources {
    /// The Hub at the endpoints of the settings, web servers, and what the program has of its own. Only the Hub sees the token.
    ///
    /// # Errors
    /// [`HttpError::BadEndpoint`] for a setting that is not the address of an endpoint.
    pub fn new(http: &Http, network: &Network, own: Sources) -> Result<Self, HttpError> {
        let repositories: Arc<dyn Source> = match &own.repositories {
            Some(source) => source.clone(),
            None => Arc::new(hub::Hub::new(http, network)?),
        };
        Ok(Self { http: http.clone(), repositories, web: Arc::new(web::Web::new(http)), own })
    }

    /// The client that reads what they locate.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The same sources over the same connections, with another listener.
    pub fn for_listener(&self, reporter: &Arc<dyn Reporter>) -> Self {
        let heard = |source: &Arc<dyn Source>| source.for_listener(reporter.clone()).unwrap_or_else(|| source.clone());
        let schemes = self.own.schemes.iter().map(|(scheme, source)| (scheme.clone(), heard(source))).collect();
        Self {
            http: self.http.for_listener(reporter.clone()),
            repositories: heard(&self.repositories),
            web: heard(&self.web),
            own: Sources { schemes, ..self.own.clone() },
        }
    }

    /// Looks for repositories.
    ///
    /// # Errors
    /// Where the source of repositories cannot be asked, or cannot be searched.
    pub async fn search(&self, query: &SearchQuery) -> Result<Vec<FoundRepo>, SourceError> {
        self.repositories.search(query).await
    }

    /// The source that knows this name.
    ///
    /// # Errors
    /// [`SourceError::Unknown`] for a name of a newer version, or of a source of another program.
    pub fn of(&self, id: &SourceId) -> Result<&Arc<dyn Source>, SourceError> {
        match id {
            SourceId::Hub(_) => Ok(&self.repositories),
            SourceId::Web(_) => Ok(&self.web),
            _ => self.own.of_scheme(id).ok_or_else(|| SourceError::Unknown { id: id.to_string() }),
        }
    }
}
