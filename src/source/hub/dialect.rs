//! What the Hub means by its answers: error codes, rate limits, warnings.

use super::endpoint_info::EndpointInfo;
use crate::{
    hint::Hint,
    http::{AuthCause, DenyCause, Dialect, HttpError, Meaning, NotFoundKind, Reading, Refused},
};
use reqwest::header::HeaderMap;
use url::Url;

/// The Hub and servers that speak as it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubDialect;

/// What to do after a failure of the Hub or a mirror.
pub(in crate::source) fn hint(error: &HttpError) -> Option<Hint> {
    HubDialect.hint(error)
}

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
            ("RepoNotFound", _) => Meaning::Missing(NotFoundKind::Repo),
            ("RevisionNotFound", _) => Meaning::Missing(NotFoundKind::Revision),
            ("EntryNotFound", _) => Meaning::Missing(NotFoundKind::Entry),
            (_, 401) if message.contains("invalid credentials") => Meaning::Unauthorized(AuthCause::BadToken),
            (_, 401) => Meaning::Unauthorized(AuthCause::Unknown),
            (_, 403) if message.contains("disabled") => Meaning::Forbidden(DenyCause::Disabled),
            (_, 403) => Meaning::Forbidden(DenyCause::Unknown),
            (_, 404 | 410) => Meaning::Missing(NotFoundKind::Unknown),
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

    fn rate_limit_hint(&self, url: &str, with_token: bool) -> Option<Hint> {
        let endpoint = EndpointInfo::of(url);
        (!with_token && endpoint.knows_tokens()).then(|| Hint::Wait { accounts: Some(endpoint.accounts()) })
    }

    /// There may be another endpoint or a mirror.
    fn hint(&self, error: &HttpError) -> Option<Hint> {
        Some(match (error.hint()?, error) {
            (Hint::Wait { accounts: None }, HttpError::Status(_)) => Hint::ServerTrouble,
            (Hint::TryOtherAddress, _) => Hint::TryOtherEndpoint,
            (Hint::UnexpectedAnswer, _) => Hint::NotAHub,
            (hint, _) => hint,
        })
    }

    fn bucket(&self, url: &Url) -> Option<&'static str> {
        let path = url.path();
        Some(if path.contains("/resolve/") || path.contains("/resolve-cache/") {
            "resolvers"
        } else if path.contains("/api/") {
            "api"
        } else {
            "pages"
        })
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

fn unauthorized(cause: AuthCause, endpoint: &EndpointInfo, had_token: bool) -> Hint {
    let accounts = endpoint.accounts();
    match cause {
        AuthCause::Unknown => Hint::CheckNameAndToken { repo: endpoint.repo().map(str::to_owned), accounts },
        AuthCause::Gated => Hint::RequestAccess { page: endpoint.access_page(), had_token, accounts },
        AuthCause::BadToken => Hint::ReplaceToken { accounts },
    }
}

fn forbidden(cause: DenyCause, endpoint: &EndpointInfo) -> Hint {
    match cause {
        DenyCause::Gated => Hint::AwaitAccess { page: endpoint.access_page(), accounts: endpoint.accounts() },
        DenyCause::Disabled => Hint::RepositoryDisabled { page: endpoint.access_page() },
        DenyCause::Unknown => Hint::CheckTokenRights { accounts: endpoint.accounts() },
    }
}

fn not_found(kind: NotFoundKind, endpoint: &EndpointInfo) -> Hint {
    match kind {
        NotFoundKind::Repo => Hint::CheckRepository { repo: endpoint.repo().map(str::to_owned) },
        NotFoundKind::Revision => Hint::SeeBranches { page: format!("{}/tree/main", endpoint.page()) },
        NotFoundKind::Entry => Hint::SeeFiles { page: format!("{}/tree/main", endpoint.page()) },
        NotFoundKind::Unknown => Hint::CheckReference { page: endpoint.page() },
    }
}

fn missing(kind: NotFoundKind, endpoint: &EndpointInfo) -> Option<String> {
    let repo = endpoint.quoted_repo();
    match kind {
        NotFoundKind::Repo => Some(format!("there is no repository {repo} on the Hub")),
        NotFoundKind::Revision => Some(format!("the repository {repo} has no such revision")),
        NotFoundKind::Entry => Some(format!("the repository {repo} has no such file")),
        NotFoundKind::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{Error, ErrorKind},
        http::{Retry, testing::refusal},
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
        let bucket = |path: &str| HubDialect.bucket(&Url::parse(&format!("https://h{path}")).unwrap()).unwrap();
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
        let [Hint::CheckNameAndToken { repo: Some(repo), .. }] = error.hints() else { panic!("{error:?}") };
        assert_eq!(repo, "meta-llama/Llama-2-7b");
    }

    #[test]
    fn gated_repositories_lead_to_the_page_where_access_is_asked() {
        for status in [401, 403] {
            let error = Error::from(refused(status, "GatedRepo", ""));
            let page = match (status, error.hints()) {
                (401, [Hint::RequestAccess { page, had_token: false, .. }]) | (403, [Hint::AwaitAccess { page, .. }]) => page,
                other => panic!("{other:?}"),
            };
            assert_eq!(page, "https://huggingface.co/meta-llama/Llama-2-7b");
            assert_eq!(error.kind(), ErrorKind::Auth);
        }
    }

    #[test]
    fn a_stale_token_on_a_public_repository_is_told_as_such() {
        let error = refused(401, "", "Invalid credentials in Authorization header");
        assert!(matches!(error, HttpError::Unauthorized { cause: AuthCause::BadToken, .. }));
        assert!(matches!(error.hint(), Some(Hint::ReplaceToken { .. })));
    }

    #[test]
    fn a_proxys_fault_is_never_read_as_a_missing_repository() {
        let error = refused(502, "RepoNotFound", "");
        assert!(matches!(error, HttpError::Status(_)));
        assert_eq!(error.retry(), Retry::Backoff);
        assert!(matches!(refused(404, "RepoNotFound", ""), HttpError::NotFound { kind: NotFoundKind::Repo, .. }));
        assert!(matches!(refused(404, "EntryNotFound", ""), HttpError::NotFound { kind: NotFoundKind::Entry, .. }));
        assert!(matches!(
            refused(403, "", "Access to this resource is disabled."),
            HttpError::Forbidden { cause: DenyCause::Disabled, .. }
        ));
    }
}
