//! Errors in words: what the server said, in one line, and what to do next.

use super::error::HttpError;
use crate::hint::Hint;
use std::time::Duration;

impl HttpError {
    /// What to do next, whatever server it is. A source whose dialect knows better says so by its own `hint`.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Offline { .. } => Hint::AllowNetwork,
            Self::BadEndpoint { .. } => Hint::SetEndpoint,
            Self::BadProxy { variable, .. } => Hint::CorrectProxy { variable: variable.clone() },
            Self::Client { .. } => Hint::InstallCertificates,
            Self::TooManyFiles { .. } => Hint::RaiseOpenFiles,
            Self::Tls { .. } => Hint::TrustProxy,
            Self::Connect { why, .. } if why.contains("407") || why.to_ascii_lowercase().contains("proxy") => Hint::CheckProxy,
            Self::Connect { .. } | Self::Timeout { .. } => Hint::CheckConnection,
            Self::Stalled { .. } | Self::Slow { .. } | Self::Reset { .. } | Self::Cut { .. } => Hint::Resume,
            Self::Unauthorized { refusal, .. } | Self::Forbidden { refusal, .. } | Self::NotFound { refusal, .. } => {
                match (&refusal.withheld_from, &refusal.hint) {
                    (Some(origin), _) if matches!(self, Self::Unauthorized { .. }) => {
                        Hint::TrustEndpoint { origin: origin.clone() }
                    }
                    (_, Some(hint)) => hint.clone(),
                    (_, None) => Hint::CheckAddress,
                }
            }
            Self::RateLimited { hint: Some(hint), .. } => (**hint).clone(),
            Self::RateLimited { hint: None, .. } => Hint::Wait { accounts: None },
            Self::Status(refusal) if refusal.status == 407 => Hint::CheckProxy,
            Self::Status(refusal) if refusal.status >= 500 => Hint::Wait { accounts: None },
            Self::Status(_) | Self::BadRange { .. } | Self::Encoded { .. } => Hint::TryOtherAddress,
            Self::Changed { .. } | Self::Replaced { .. } => Hint::PlanAgain,
            Self::Html { .. } => Hint::LoginPage,
            Self::TooManyRedirects { .. }
            | Self::BadRedirect { .. }
            | Self::BodyTooLarge { .. }
            | Self::Endless { .. }
            | Self::Nonsense { .. } => Hint::UnexpectedAnswer,
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
