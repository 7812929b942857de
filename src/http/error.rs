//! What can go wrong between here and a server, and what to do next.
//!
//! Addresses in these errors have no query, because that is where signatures stand; server texts are made printable and short.

use super::{pause::LONGEST_PAUSE, refusal::Refusal, words::wait_text};
use crate::{
    error::{Error, ErrorKind},
    hint::Hint,
    text,
};
use std::{fmt, time::Duration};

/// Which thing a 404 is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotFoundKind {
    /// The repository.
    Repo,
    /// The branch, tag or commit.
    Revision,
    /// The file.
    Entry,
    /// The server did not say.
    Unknown,
}

/// Why a 401 was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthCause {
    /// The repository is missing or private, or needs a token.
    Unknown,
    /// The repository is gated and no good token was sent.
    Gated,
    /// The token that was sent is not valid.
    BadToken,
}

/// Why a 403 was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenyCause {
    /// The token is good, but access was not granted yet.
    Gated,
    /// The service has disabled the repository.
    Disabled,
    /// The server did not say.
    Unknown,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// Try again after a while.
    Backoff,
    /// Try again after the wait that the server named.
    After(Duration),
    /// This source does not give what it should: take another mirror, or start over.
    Elsewhere,
}

/// A request that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Requests are not allowed.
    #[error("offline: {url} was not asked")]
    Offline {
        /// The address.
        url: String,
    },
    /// An endpoint in the settings is not an address.
    #[error("`{text}` is not the address of an endpoint: {why}")]
    BadEndpoint {
        /// The setting.
        text: String,
        /// The rule it breaks.
        why: String,
    },
    /// An environment variable with an invalid proxy. Its value may hold a password and is not repeated.
    #[error("the environment variable {variable} names no proxy that can be used: {why}")]
    BadProxy {
        /// The variable.
        variable: String,
        /// The rule that it breaks.
        why: String,
    },
    /// The client cannot be made, mostly because no certificates are trusted.
    #[error("no HTTPS client can be set up: {why}")]
    Client {
        /// What failed.
        why: String,
    },
    /// No connection.
    #[error("cannot connect to {origin}: {why}")]
    Connect {
        /// The server.
        origin: String,
        /// What failed.
        why: String,
    },
    /// No connection, because this process has as many files and connections open as it may.
    #[error("cannot connect to {origin}: too many files and connections are open")]
    TooManyFiles {
        /// The server.
        origin: String,
    },
    /// The server's certificate was not accepted, or the handshake failed.
    #[error("no safe connection to {origin}: {why}")]
    Tls {
        /// The server.
        origin: String,
        /// What failed.
        why: String,
    },
    /// No answer in time.
    #[error("{url} did not answer within {} s", after.as_secs())]
    Timeout {
        /// The address.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// A body stopped flowing.
    #[error("{url} sent nothing for {} s", after.as_secs())]
    Stalled {
        /// The address.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// Bytes that come so slowly that they would never be all.
    #[error("{url} sent {got} bytes in {} s, which is too slow to wait for", after.as_secs())]
    Slow {
        /// The address.
        url: String,
        /// How long was waited.
        after: Duration,
        /// What came.
        got: u64,
    },
    /// An answer that takes longer than its deadline.
    #[error("{url} was still sending its answer after {} s, the longest time allowed", after.as_secs())]
    Endless {
        /// The address.
        url: String,
        /// How long was allowed.
        after: Duration,
    },
    /// An API answer that makes no sense.
    #[error("{url} sent an answer that makes no sense: {why}")]
    Nonsense {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The connection broke.
    #[error("the connection to {url} broke: {why}")]
    Reset {
        /// The address.
        url: String,
        /// What failed.
        why: String,
    },
    /// The body ended early.
    #[error("{url} ended after {got} of {expected} bytes")]
    Cut {
        /// The address.
        url: String,
        /// Bytes that arrived.
        got: u64,
        /// Bytes that were promised.
        expected: u64,
    },
    /// Any refusal without a variant of its own.
    #[error("{}", .0.describe())]
    Status(Box<Refusal>),
    /// The service does not have it.
    #[error("{}", .refusal.describe())]
    NotFound {
        /// What is missing.
        kind: NotFoundKind,
        /// What the server said.
        refusal: Box<Refusal>,
    },
    /// The service does not know who asks.
    #[error("{}", .refusal.describe())]
    Unauthorized {
        /// Why.
        cause: AuthCause,
        /// What the server said.
        refusal: Box<Refusal>,
    },
    /// The service knows who asks, and refuses.
    #[error("{}", .refusal.describe())]
    Forbidden {
        /// Why.
        cause: DenyCause,
        /// What the server said.
        refusal: Box<Refusal>,
    },
    /// 429, or a pause that is too long to wait for.
    #[error("HTTP 429 Too Many Requests for {url}{}", wait_text(*wait))]
    RateLimited {
        /// The address.
        url: String,
        /// The wait that the server named.
        wait: Option<Duration>,
        /// What to do next, where it is more than to wait.
        hint: Option<Box<Hint>>,
    },
    /// The server did not send the range that was asked for.
    #[error("{url} was asked for {asked} and sent {got}")]
    BadRange {
        /// The address.
        url: String,
        /// The range that was asked for.
        asked: String,
        /// What came.
        got: String,
    },
    /// The file does not have the size it should.
    #[error("{url} has {got} bytes where {expected} are expected: the file has changed")]
    Changed {
        /// The address.
        url: String,
        /// Bytes it should have.
        expected: u64,
        /// Bytes the server says it has.
        got: u64,
    },
    /// The file is another one than when it was looked at.
    #[error("{url} was replaced by another version since it was looked at")]
    Replaced {
        /// The address.
        url: String,
    },
    /// The body is compressed although that was refused.
    #[error("{url} sent its content in the encoding `{encoding}`, which was not asked for")]
    Encoded {
        /// The address.
        url: String,
        /// The encoding.
        encoding: String,
    },
    /// A web page in the place of a file or of JSON.
    #[error("{url} sent a web page in place of the file")]
    Html {
        /// The address.
        url: String,
    },
    /// A circle of redirects.
    #[error("{url} redirects in a circle")]
    TooManyRedirects {
        /// The address.
        url: String,
    },
    /// A redirect that leads nowhere, or where it may not.
    #[error("{url} redirects {why}")]
    BadRedirect {
        /// The address.
        url: String,
        /// Where, and why that is wrong.
        why: String,
    },
    /// An API answer that is too long to be one.
    #[error("{url} sent more than {limit} bytes")]
    BodyTooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
    },
}

impl HttpError {
    /// What to do next.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connect { .. }
            | Self::TooManyFiles { .. }
            | Self::Timeout { .. }
            | Self::Stalled { .. }
            | Self::Slow { .. }
            | Self::Reset { .. }
            | Self::Cut { .. } => Retry::Backoff,
            Self::RateLimited { wait: Some(wait), .. } if *wait > LONGEST_PAUSE => Retry::Never,
            Self::RateLimited { wait: Some(wait), .. } => Retry::After(*wait),
            Self::RateLimited { wait: None, .. } => Retry::Backoff,
            Self::Status(refusal) => match (refusal.status, refusal.retry_after) {
                (503, Some(wait)) if wait <= LONGEST_PAUSE => Retry::After(wait),
                (408 | 425 | 500.., _) => Retry::Backoff,
                _ if refusal.cross_origin => Retry::Elsewhere,
                _ => Retry::Never,
            },
            Self::BadRange { .. } | Self::Changed { .. } | Self::Replaced { .. } | Self::Encoded { .. } | Self::Html { .. } => {
                Retry::Elsewhere
            }
            _ => Retry::Never,
        }
    }

    /// Whether another mirror may answer where this one did not.
    pub fn should_try_next_mirror(&self) -> bool {
        !matches!(
            self,
            Self::Offline { .. }
                | Self::Client { .. }
                | Self::BadEndpoint { .. }
                | Self::BadProxy { .. }
                | Self::NotFound { .. }
                | Self::Unauthorized { .. }
                | Self::Forbidden { .. }
        )
    }

    /// Whether a server said that it has no such file, or not for this user: another one may.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether a server may still send the whole file where it did not send a range of it.
    pub fn is_about_ranges(&self) -> bool {
        match self {
            Self::BadRange { .. } | Self::Changed { .. } => true,
            Self::Status(refusal) => matches!(refusal.status, 304 | 412 | 416) || (refusal.cross_origin && refusal.status == 400),
            _ => false,
        }
    }

    /// Whether a cached or signed address may simply have expired.
    pub(super) fn is_expired(&self) -> bool {
        match self {
            Self::Status(refusal) => refusal.cross_origin && matches!(refusal.status, 400 | 401 | 403 | 404 | 410),
            Self::NotFound { .. } | Self::Unauthorized { .. } | Self::Forbidden { .. } => true,
            _ => false,
        }
    }

    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Unauthorized { .. } | Self::Forbidden { .. } => ErrorKind::Auth,
            Self::BadEndpoint { .. } | Self::BadProxy { .. } => ErrorKind::Usage,
            Self::TooManyFiles { .. } => ErrorKind::Failed,
            _ => ErrorKind::Network,
        }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::new(error.kind(), error.to_string()).with_hints(error.hint()).caused_by(error)
    }
}

/// Makes a server's text fit for a line: printable, of at most 300 characters and a mark where it was longer.
pub(super) fn printable(text: &str) -> String {
    let line = text.chars().take(301).map(|c| if matches!(c, '\t' | '\r' | '\n') { ' ' } else { c }).collect::<String>();
    text::short(line.trim(), 300)
}

impl fmt::Display for NotFoundKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repo => "repository",
            Self::Revision => "revision",
            Self::Entry => "file",
            Self::Unknown => "address",
        })
    }
}
