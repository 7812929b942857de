//! Errors in words: what the server said, in one line, and the next step.

use super::error::HttpError;
use crate::{error::TOO_MANY_FILES, settings::DEFAULT_ENDPOINT, text};
use std::time::Duration;

impl HttpError {
    /// The next step, for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Offline { .. } => "To allow requests, drop `--offline` and unset HF_HUB_OFFLINE.".into(),
            Self::BadEndpoint { .. } => format!("Set HF_ENDPOINT or `--endpoint` to an address such as {DEFAULT_ENDPOINT}."),
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
            Self::Unauthorized { refusal, .. } | Self::Forbidden { refusal, .. } | Self::NotFound { refusal, .. } => {
                match (&refusal.withheld_from, &refusal.hint) {
                    (Some(origin), _) if matches!(self, Self::Unauthorized { .. }) => format!(
                        "Your token was not sent to {origin}. If you trust it with that: `model-manager config set --user \
                         trusted_endpoints {}`.",
                        text::shell_word(origin)
                    ),
                    (_, Some(hint)) => hint.clone(),
                    (_, None) => "Check the address: open it in a browser. No password or token is sent to it.".into(),
                }
            }
            Self::RateLimited { hint: Some(hint), .. } => hint.clone(),
            Self::RateLimited { .. } => "Wait, then run the same command again: it goes on where it stopped.".into(),
            Self::Status(refusal) if refusal.status == 407 => "Check HTTPS_PROXY, and the proxy's user and password.".into(),
            Self::Status(refusal) if refusal.status >= 500 => {
                "The server has trouble: run the same command again later, or use a mirror (HF_ENDPOINT or `--endpoint`).".into()
            }
            Self::Status(_) | Self::BadRange { .. } | Self::Encoded { .. } => {
                "Run the same command again; if it stays, use another endpoint (HF_ENDPOINT or `--endpoint`).".into()
            }
            Self::Changed { .. } | Self::Replaced { .. } => {
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

pub(super) fn wait_text(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs().max(1)) {
        None => String::new(),
        Some(seconds) if seconds < 120 => format!(": the server asks to wait {seconds} s"),
        Some(seconds) => format!(": the server asks to wait {} min", seconds.div_ceil(60)),
    }
}
