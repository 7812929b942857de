//! What the Hub means by its answers: error codes, rate limits, warnings.

use super::endpoint_info::EndpointInfo;
use crate::http::{AuthCause, DenyCause, Dialect, Meaning, Missing, Reading, Refused};
use reqwest::header::HeaderMap;
use url::Url;

/// The Hub and servers that speak as it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubDialect;

impl Dialect for HubDialect {
    fn explains_in_json(&self) -> bool {
        true
    }

    fn message(&self, headers: &HeaderMap) -> Option<String> {
        text(headers, "x-error-message")
    }

    /// The Hub's code first, its message second, the status last.
    fn read(&self, refused: Refused<'_>) -> Reading {
        let code = text(refused.headers, "x-error-code").unwrap_or_default();
        let message = refused.message.unwrap_or_default().to_ascii_lowercase();
        let meaning = match (code.as_str(), refused.status) {
            ("GatedRepo", 403) => Meaning::Forbidden(DenyCause::Gated),
            ("GatedRepo", _) => Meaning::Unauthorized(AuthCause::Gated),
            ("RepoNotFound", _) => Meaning::Missing(Missing::Repo),
            ("RevisionNotFound", _) => Meaning::Missing(Missing::Revision),
            ("EntryNotFound", _) => Meaning::Missing(Missing::Entry),
            (_, 401) if message.contains("invalid credentials") => Meaning::Unauthorized(AuthCause::BadToken),
            (_, 401) => Meaning::Unauthorized(AuthCause::Unknown),
            (_, 403) if message.contains("disabled") => Meaning::Forbidden(DenyCause::Disabled),
            (_, 403) => Meaning::Forbidden(DenyCause::Unknown),
            (_, 404 | 410) => Meaning::Missing(Missing::Unknown),
            _ => return Reading::default(),
        };
        let endpoint = EndpointInfo::of(refused.url);
        let (summary, hint) = match meaning {
            Meaning::Missing(kind) => (missing(kind, &endpoint), not_found(kind, &endpoint)),
            Meaning::Unauthorized(cause) => (None, unauthorized(cause, &endpoint, refused.with_token)),
            Meaning::Forbidden(cause) => (None, forbidden(cause, &endpoint)),
        };
        Reading { meaning: Some(meaning), summary, hint: Some(hint) }
    }

    fn rate_limit_hint(&self, url: &str, with_token: bool) -> Option<String> {
        let endpoint = EndpointInfo::of(url);
        (!with_token && endpoint.knows_tokens()).then(|| {
            let token = endpoint.token();
            format!("Wait, then run the same command again; with a token {token} (HF_TOKEN) more requests are allowed.")
        })
    }

    fn bucket(&self, url: &Url) -> &'static str {
        let path = url.path();
        if path.contains("/resolve/") || path.contains("/resolve-cache/") {
            "resolvers"
        } else if path.contains("/api/") {
            "api"
        } else {
            "pages"
        }
    }

    /// `topic; message`.
    fn notice(&self, headers: &HeaderMap) -> Option<String> {
        let text = text(headers, "x-hf-warning")?;
        Some(text.split_once(';').map_or(text.as_str(), |(_, message)| message.trim()).to_owned())
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned())
}

fn unauthorized(cause: AuthCause, endpoint: &EndpointInfo, with_token: bool) -> String {
    let (token, aside) = (endpoint.token(), endpoint.aside());
    match cause {
        AuthCause::Unknown => format!(
            "Either the repository {} does not exist, or it is private, or the token is missing or wrong: check the name, then set \
             HF_TOKEN to a token {token}.{aside}",
            endpoint.quoted_repo()
        ),
        AuthCause::Gated => format!(
            "The repository is gated and {}: ask for access at {}, then set HF_TOKEN to a token {token}.{aside}",
            if with_token { "the token in use is not accepted" } else { "no token was sent" },
            endpoint.access_page()
        ),
        AuthCause::BadToken => format!(
            "The token in use is wrong or has expired: unset HF_TOKEN to go on without one (public repositories need none), or set \
             it to a token {token}.{aside}"
        ),
    }
}

fn forbidden(cause: DenyCause, endpoint: &EndpointInfo) -> String {
    let aside = endpoint.aside();
    match cause {
        DenyCause::Gated => format!(
            "The token is good, but access is not granted yet: accept the licence or ask for access at {}.{aside}",
            endpoint.access_page()
        ),
        DenyCause::Disabled => {
            format!("The Hub has disabled this repository; {} may say why. Use another one.", endpoint.access_page())
        }
        DenyCause::Unknown => format!(
            "Check that the token may read this repository (fine-grained tokens list them); it has to be one {}.{aside}",
            endpoint.token()
        ),
    }
}

fn not_found(kind: Missing, endpoint: &EndpointInfo) -> String {
    match kind {
        Missing::Repo => {
            format!("Check the name {}; a private repository needs a token that may read it (HF_TOKEN).", endpoint.quoted_repo())
        }
        Missing::Revision => format!("See the branches and tags at {}/tree/main.", endpoint.page()),
        Missing::Entry => format!("See the files at {}/tree/main.", endpoint.page()),
        Missing::Unknown => format!("Check the repository, revision and file; see {}.", endpoint.page()),
    }
}

fn missing(kind: Missing, endpoint: &EndpointInfo) -> Option<String> {
    let repo = endpoint.quoted_repo();
    match kind {
        Missing::Repo => Some(format!("there is no repository {repo} on the Hub")),
        Missing::Revision => Some(format!("the repository {repo} has no such revision")),
        Missing::Entry => Some(format!("the repository {repo} has no such file")),
        Missing::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{Error, ErrorKind},
        http::{HttpError, Retry, testing::refusal},
    };

    fn refused(status: u16, code: &str, message: &str) -> HttpError {
        let url = "https://huggingface.co/api/models/meta-llama/Llama-2-7b/revision/main";
        refusal(&HubDialect, url, status, &[("x-error-code", code), ("x-error-message", message)])
    }

    #[test]
    fn a_warning_is_shown_without_its_topic() {
        let headers = |text: &'static str| HeaderMap::from_iter([("x-hf-warning".parse().unwrap(), text.parse().unwrap())]);
        assert_eq!(HubDialect.notice(&headers("topic; hello")).as_deref(), Some("hello"));
        assert_eq!(HubDialect.notice(&headers("hello")).as_deref(), Some("hello"));
        assert_eq!(HubDialect.notice(&HeaderMap::new()), None);
    }

    #[test]
    fn the_rate_limits_are_told_apart_by_the_path() {
        let bucket = |path: &str| HubDialect.bucket(&Url::parse(&format!("https://h{path}")).unwrap());
        assert_eq!(bucket("/api/models/a"), "api");
        assert_eq!(bucket("/a/b/resolve/main/c"), "resolvers");
        assert_eq!(bucket("/api/resolve-cache/models/a/b/c"), "resolvers");
        assert_eq!(bucket("/a/b"), "pages");
    }

    #[test]
    fn a_401_names_its_three_causes_and_keeps_the_words_of_the_guide() {
        let error = Error::from(refused(401, "", "Invalid username or password."));
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.message().contains("HTTP 401 Unauthorized"), "{error}");
        let hint = error.next_step().unwrap();
        assert!(
            ["does not exist", "private", "HF_TOKEN", "`meta-llama/Llama-2-7b`"].iter().all(|word| hint.contains(word)),
            "{hint}"
        );
    }

    #[test]
    fn gated_repositories_lead_to_the_page_where_access_is_asked() {
        for (status, cause) in [(401, "no token was sent"), (403, "token is good")] {
            let error = Error::from(refused(status, "GatedRepo", ""));
            let hint = error.next_step().unwrap();
            assert!(hint.contains("https://huggingface.co/meta-llama/Llama-2-7b") && hint.contains(cause), "{hint}");
            assert_eq!(error.kind(), ErrorKind::Auth);
        }
    }

    #[test]
    fn a_stale_token_on_a_public_repository_is_told_as_such() {
        let error = refused(401, "", "Invalid credentials in Authorization header");
        assert!(matches!(error, HttpError::Unauthorized { cause: AuthCause::BadToken, .. }));
        assert!(error.hint().unwrap().contains("unset HF_TOKEN"));
    }

    #[test]
    fn a_proxys_fault_is_never_read_as_a_missing_repository() {
        let error = refused(502, "RepoNotFound", "");
        assert!(matches!(error, HttpError::Status(_)));
        assert_eq!(error.retry(), Retry::Backoff);
        assert!(matches!(refused(404, "RepoNotFound", ""), HttpError::NotFound { kind: Missing::Repo, .. }));
        assert!(matches!(refused(404, "EntryNotFound", ""), HttpError::NotFound { kind: Missing::Entry, .. }));
        assert!(matches!(
            refused(403, "", "Access to this resource is disabled."),
            HttpError::Forbidden { cause: DenyCause::Disabled, .. }
        ));
    }
}
