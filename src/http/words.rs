//! Errors in words: what the server said, in one line, and the next step.

use super::error::{AuthCause, DenyCause, HttpError, Missing, Refusal};
use std::time::Duration;

/// Where tokens are made.
const TOKENS: &str = "https://huggingface.co/settings/tokens";

impl HttpError {
    /// The next step, for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Offline { .. } => "To allow requests, drop `--offline` and unset HF_HUB_OFFLINE.".into(),
            Self::BadEndpoint { .. } => "Set HF_ENDPOINT or `--endpoint` to an address such as https://huggingface.co.".into(),
            Self::Client { .. } => {
                "Install the system's certificates (package `ca-certificates`), or name a PEM file with `--ca-file`.".into()
            }
            Self::Tls { .. } => {
                "A proxy that opens HTTPS needs its certificate named with `--ca-file`; also check this machine's clock.".into()
            }
            Self::Connect { why, .. } if why.contains("407") || why.to_ascii_lowercase().contains("proxy") => {
                "Check HTTPS_PROXY and NO_PROXY, and the proxy's user and password.".into()
            }
            Self::Connect { .. } | Self::Timeout { .. } => {
                "Check the connection, and the proxy if HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names one; behind a proxy set HTTPS_PROXY; to use a mirror set HF_ENDPOINT or `--endpoint`.".into()
            }
            Self::Stalled { .. } | Self::Reset { .. } | Self::Cut { .. } => {
                "Run the same command again: it goes on where it stopped.".into()
            }
            Self::Unauthorized { cause: AuthCause::Unknown, refusal } => format!(
                "Either the repository {} does not exist, or it is private, or the token is missing or wrong: check the name, then \
                 set HF_TOKEN to a token from {TOKENS}.",
                quoted_repo(&refusal.url)
            ),
            Self::Unauthorized { cause: AuthCause::Gated, refusal } => format!(
                "The repository is gated and {}: ask for access at {}, then set HF_TOKEN to a token from {TOKENS}.",
                if refusal.with_token { "the token in use is not accepted" } else { "no token was sent" },
                page(&refusal.url)
            ),
            Self::Unauthorized { cause: AuthCause::BadToken, .. } => format!(
                "The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or \
                 renew it at {TOKENS}."
            ),
            Self::Forbidden { cause: DenyCause::Gated, refusal } => {
                format!(
                    "The token is good, but access is not granted yet: accept the licence or ask for access at {}.",
                    page(&refusal.url)
                )
            }
            Self::Forbidden { cause: DenyCause::Disabled, refusal } => {
                format!("The Hub has disabled this repository; {} may say why. Use another one.", page(&refusal.url))
            }
            Self::Forbidden { cause: DenyCause::Unknown, .. } => {
                format!("Check that the token may read this repository (fine-grained tokens list them): {TOKENS}.")
            }
            Self::NotFound { kind: Missing::Repo, refusal } => {
                format!(
                    "Check the name {}; a private repository needs a token that may read it (HF_TOKEN).",
                    quoted_repo(&refusal.url)
                )
            }
            Self::NotFound { kind: Missing::Revision, refusal } => {
                format!("See the branches and tags at {}/tree/main.", page(&refusal.url))
            }
            Self::NotFound { kind: Missing::Entry, refusal } => format!("See the files at {}/tree/main.", page(&refusal.url)),
            Self::NotFound { kind: Missing::Unknown, refusal } => {
                format!("Check the repository, revision and file; see {}.", page(&refusal.url))
            }
            Self::RateLimited { with_token: false, .. } => {
                format!("Wait, then run the same command again; with a token (HF_TOKEN, from {TOKENS}) more requests are allowed.")
            }
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
            Self::TooManyRedirects { .. } | Self::BadRedirect { .. } | Self::BodyTooLarge { .. } => {
                "Check HF_ENDPOINT and `--endpoint`: the server does not behave like a Hub.".into()
            }
        })
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
    let repo = quoted_repo(&refusal.url);
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

/// The repository an address is about, as `owner/name`.
fn repo_of(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let parts: Vec<&str> = url.path_segments()?.filter(|part| !part.is_empty()).collect();
    let place = |word: &str| parts.iter().position(|part| *part == word);
    let repo = if let Some(models) = place("models").filter(|at| *at > 0) {
        let rest = &parts[models + 1..];
        let end = rest.iter().position(|part| matches!(*part, "revision" | "tree")).unwrap_or(rest.len());
        &rest[..end.min(2)]
    } else {
        let end = place("resolve")?;
        &parts[end.saturating_sub(2)..end]
    };
    (!repo.is_empty()).then(|| repo.join("/"))
}

fn quoted_repo(url: &str) -> String {
    repo_of(url).map_or_else(|| "of this address".to_owned(), |repo| format!("`{repo}`"))
}

fn page(url: &str) -> String {
    repo_of(url).map_or_else(|| "https://huggingface.co".to_owned(), |repo| format!("https://huggingface.co/{repo}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_read_off_both_kinds_of_address() {
        assert_eq!(repo_of("https://h/gpt2/resolve/main/x/y").as_deref(), Some("gpt2"));
        assert_eq!(repo_of("https://h/prefix/a/b/resolve/main/y").as_deref(), Some("a/b"));
        assert_eq!(repo_of("https://h/api/models/gpt2/tree/main").as_deref(), Some("gpt2"));
        assert_eq!(repo_of("https://h/x"), None);
    }
}
