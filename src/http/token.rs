//! The token's one rule: which origins see it, and what a chain of requests has to do with that.

use super::{Http, Origin};
use crate::{event::Warning, hint::Hint, settings::Token};

/// Which origins get the token.
#[derive(Debug, Default)]
pub(super) struct TokenScope {
    /// The service's own origins.
    pub(super) own: Vec<Origin>,
    /// Those that the user named.
    pub(super) named: Vec<Origin>,
    /// Those of them that may see it without encryption.
    pub(super) clear_text: Vec<Origin>,
}

/// Why an origin does not see the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Withheld {
    /// Its user did not name it.
    Unnamed,
    /// It would travel in clear text.
    ClearText,
}

impl TokenScope {
    /// The rule: the service itself and origins that the user named. Without encryption only on this machine, or to an
    /// origin that the user trusts explicitly. A request through a proxy counts as leaving the machine.
    pub(super) fn admits(&self, origin: &Origin, is_proxied: bool) -> Result<(), Withheld> {
        if self.own.contains(origin) {
            return Ok(());
        }
        if !self.named.contains(origin) {
            return Err(Withheld::Unnamed);
        }
        let is_safe = origin.is_secure() || (origin.is_loopback() && !is_proxied) || self.clear_text.contains(origin);
        if is_safe { Ok(()) } else { Err(Withheld::ClearText) }
    }
}

/// The chain of requests of one query, where each answer names the next URL: redirects, pages, the URL of a file's
/// bytes. After a server outside of the token's scope, host and URL were chosen by that server, so no request gets the
/// token.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// The first such server.
    pub(super) stranger: Option<Origin>,
}

/// What a request said of the token.
#[derive(Debug, Clone)]
pub(super) struct Spoken {
    /// Whether it was sent.
    pub(super) with_token: bool,
    /// The server for whose sake it was not.
    pub(super) withheld_from: Option<Origin>,
}

impl Http {
    /// The token for a request to an origin: for scheme, host and port of what [`TokenScope`] admits, and for an address that
    /// no server chose which it is not for. `None` where there is none to send.
    pub(super) fn token_for(&self, origin: &Origin, is_proxied: bool, trail: &Trail) -> Result<Option<&Token>, Withheld> {
        let service = &self.service.0;
        service.token_scope.admits(origin, is_proxied)?;
        Ok(service.token.as_ref().filter(|_| trail.stranger.is_none()))
    }

    /// The server for whose sake a request does not carry the token that there is. Says once of an endpoint that it gets none.
    pub(super) fn withheld_from(&self, origin: &Origin, token: Result<Option<&Token>, Withheld>, trail: &Trail) -> Option<Origin> {
        let service = &self.service.0;
        service.token.as_ref()?;
        let why = match token {
            Ok(Some(_)) => return None,
            Ok(None) => return trail.stranger.clone().filter(|stranger| service.members.contains(stranger)),
            Err(why) => why,
        };
        if !service.members.contains(origin) {
            return None;
        }
        let what = match why {
            Withheld::Unnamed => format!("{origin}, which only this project's settings name"),
            Withheld::ClearText => format!("{origin} in clear text"),
        };
        let hint = Hint::SendToken { origin: origin.to_string() };
        self.warn_once(Warning::with_hint(format!("the token is not sent to {what}"), hint));
        Some(origin.clone())
    }
}
