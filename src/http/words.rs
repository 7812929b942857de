//! Errors in words: what the server said, in one line, and the next step.

use super::{
    asked::Asked,
    error::{AuthCause, DenyCause, HttpError, Missing, Refusal},
};
use crate::{error::TOO_MANY_FILES, text};
use std::time::Duration;

impl HttpError {
    /// The next step, for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Offline { .. } => "To allow requests, drop `--offline` and unset HF_HUB_OFFLINE.".into(),
            Self::BadEndpoint { .. } => "Set HF_ENDPOINT or `--endpoint` to an address such as https://huggingface.co.".into(),
            Self::BadProxy { variable, .. } => {
                format!("Correct {variable}, or unset it; hosts that need no proxy are listed in NO_PROXY.")
            }
            Self::Client { .. } => {
                "Install the system's certificates (package `ca-certificates`), or name a PEM file with `--ca-file`.".into()
            }
            Self::TooManyFiles { .. } => TOO_MANY_FILES.into(),
            Self::Tls { .. } => {
                "A proxy that opens HTTPS needs its certificate named with `--ca-file`; also check this machine's clock.".into()
            }
            Self::Connect { why, .. } if why.contains("407") || why.to_ascii_lowercase().contains("proxy") => {
                "Check HTTPS_PROXY and NO_PROXY, and the proxy's user and password.".into()
            }
            Self::Connect { .. } | Self::Timeout { .. } => {
                "Check the connection, and the proxy if HTTPS_PROXY, http_proxy or ALL_PROXY names one; behind a proxy set \
                 HTTPS_PROXY; to use a mirror set HF_ENDPOINT or `--endpoint`."
                    .into()
            }
            Self::Stalled { .. } | Self::Slow { .. } | Self::Reset { .. } | Self::Cut { .. } => {
                "Run the same command again: it goes on where it stopped.".into()
            }
            Self::Unauthorized { cause, refusal } => match &refusal.withheld_from {
                Some(origin) => format!(
                    "Your token was not sent to {origin}. If you trust it with that: `model-manager config set --user \
                     trusted_endpoints {}`.",
                    text::shell_word(&origin.to_string())
                ),
                None => unauthorized(*cause, refusal),
            },
            Self::Forbidden { cause, refusal } => forbidden(*cause, &Asked::of(&refusal.url)),
            Self::NotFound { kind, refusal } => not_found(*kind, &Asked::of(&refusal.url)),
            Self::RateLimited { with_token: false, url, .. } if Asked::of(url).knows_tokens() => format!(
                "Wait, then run the same command again; with a token {} (HF_TOKEN) more requests are allowed.",
                Asked::of(url).token()
            ),
            Self::RateLimited { .. } => "Wait, then run the same command again: it goes on where it stopped.".into(),
            Self::Status(refusal) if refusal.status == 407 => "Check HTTPS_PROXY, and the proxy's user and password.".into(),
            Self::Status(refusal) if refusal.status >= 500 => {
                "The server has trouble: run the same command again later, or use a mirror (HF_ENDPOINT or `--endpoint`).".into()
            }
            Self::Status(_) | Self::BadRange { .. } | Self::Encoded { .. } => {
                "Run the same command again; if it stays, use another endpoint (HF_ENDPOINT or `--endpoint`).".into()
            }
            Self::Changed { .. } => {
                "Run the same command again to plan anew; a pinned entry may need another revision or size.".into()
            }
            Self::Html { .. } => {
                "A login page of the network or a proxy may stand between: open the address in a browser, then try again.".into()
            }
            Self::TooManyRedirects { .. }
            | Self::BadRedirect { .. }
            | Self::BodyTooLarge { .. }
            | Self::Endless { .. }
            | Self::Nonsense { .. } => "Check HF_ENDPOINT and `--endpoint`: the server does not behave like a Hub.".into(),
        })
    }
}

fn unauthorized(cause: AuthCause, refusal: &Refusal) -> String {
    let asked = Asked::of(&refusal.url);
    let (token, aside) = (asked.token(), asked.aside());
    match cause {
        AuthCause::Unknown => format!(
            "Either the repository {} does not exist, or it is private, or the token is missing or wrong: check the name, then set \
             HF_TOKEN to a token {token}.{aside}",
            asked.quoted_repo()
        ),
        AuthCause::Gated => format!(
            "The repository is gated and {}: ask for access at {}, then set HF_TOKEN to a token {token}.{aside}",
            if refusal.with_token { "the token in use is not accepted" } else { "no token was sent" },
            asked.access_page()
        ),
        AuthCause::BadToken => format!(
            "The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set \
             it to a token {token}.{aside}"
        ),
    }
}

fn forbidden(cause: DenyCause, asked: &Asked) -> String {
    let aside = asked.aside();
    match cause {
        DenyCause::Gated => format!(
            "The token is good, but access is not granted yet: accept the licence or ask for access at {}.{aside}",
            asked.access_page()
        ),
        DenyCause::Disabled => {
            format!("The Hub has disabled this repository; {} may say why. Use another one.", asked.access_page())
        }
        DenyCause::Unknown => format!(
            "Check that the token may read this repository (fine-grained tokens list them); it has to be one {}.{aside}",
            asked.token()
        ),
    }
}

fn not_found(kind: Missing, asked: &Asked) -> String {
    match kind {
        Missing::Repo => {
            format!("Check the name {}; a private repository needs a token that may read it (HF_TOKEN).", asked.quoted_repo())
        }
        Missing::Revision => format!("See the branches and tags at {}/tree/main.", asked.page()),
        Missing::Entry => format!("See the files at {}/tree/main.", asked.page()),
        Missing::Unknown => format!("Check the repository, revision and file; see {}.", asked.page()),
    }
}

/// `HTTP 401 Unauthorized for <url>: message (request id)`.
pub(super) fn told(refusal: &Refusal) -> String {
    let reason = reqwest::StatusCode::from_u16(refusal.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let mut text = format!("HTTP {} {reason}", refusal.status).trim_end().to_owned();
    text.push_str(&format!(" for {}", refusal.url));
    if let Some(message) = &refusal.message {
        text.push_str(&format!(": {}", message.trim_end_matches('.')));
    }
    if let Some(id) = &refusal.request_id {
        text.push_str(&format!(" (request {id})"));
    }
    text
}

pub(super) fn missing(kind: Missing, refusal: &Refusal) -> String {
    let repo = Asked::of(&refusal.url).quoted_repo();
    match kind {
        Missing::Repo => format!("there is no repository {repo} on the Hub ({})", told(refusal)),
        Missing::Revision => format!("the repository {repo} has no such revision ({})", told(refusal)),
        Missing::Entry => format!("the repository {repo} has no such file ({})", told(refusal)),
        Missing::Unknown => told(refusal),
    }
}

pub(super) fn wait_text(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs().max(1)) {
        None => String::new(),
        Some(seconds) if seconds < 120 => format!(": the server asks to wait {seconds} s"),
        Some(seconds) => format!(": the server asks to wait {} min", seconds.div_ceil(60)),
    }
}
