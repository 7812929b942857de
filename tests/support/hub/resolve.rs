//! Files: `resolve`, the resolve cache behind plain files, and the CDN behind signed addresses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::content::{Content, hex};
use super::exchange::Orders;
use super::http::{Asked, Body, Framing, Request, Response, encode, gzip, parse_range};
use super::repo::{FileEntry, Repo};
use super::routes::{Found, Place, Who, error, repository, revision};
use super::{Config, Gzip, Shared, Signing, decode, lock};

/// `/{repo}/resolve/{rev}/{path}`
pub(super) fn resolve(shared: &Shared, config: &Config, who: &Who, place: &Place<'_>, orders: &Orders) -> Found<Response> {
    let (repo, commit, path, file) = find(shared, who, place)?;
    let content = orders.serve.clone().unwrap_or_else(|| file.content.clone());
    let mut response = if file.lfs {
        to_cdn(shared, config, &repo, &commit, &path, &content, orders, place.request)
    } else if config.plain_redirect {
        to_cache(&repo, &commit, &path, &content, place.request)
    } else {
        plain(config, place.request, &content, &path).with("X-Repo-Commit", commit)
    };
    for (name, value) in &file.headers {
        match value {
            Some(value) => response.set(name, value.clone()),
            None => response.drop_header(name),
        }
    }
    Ok(response)
}

/// `/{repo}/raw/{rev}/{path}`: what git holds, so a pointer for LFS files.
pub(super) fn raw(shared: &Shared, who: &Who, place: &Place<'_>) -> Found<Response> {
    let (_, commit, _, file) = find(shared, who, place)?;
    let bytes = if file.lfs { file.content.lfs_pointer().into_bytes() } else { file.content.bytes() };
    Ok(Response::new(200, bytes).with("Content-Type", "text/plain; charset=utf-8").with("X-Repo-Commit", commit))
}

fn find(shared: &Shared, who: &Who, place: &Place<'_>) -> Found<(Repo, String, String, FileEntry)> {
    let repo = repository(shared, who, place, true)?;
    let (commit, tree, tail) = revision(&repo, place)?;
    let path = decode(&tail.join("/"));
    let Some(file) = tree.files.get(&path).cloned() else {
        return Err(error(404, Some("EntryNotFound"), "Entry not found").with("X-Repo-Commit", commit));
    };
    Ok((Repo::clone(&repo), commit, path, file))
}

/// 307 to a relative address. The query, which must be kept, names what is wanted.
fn to_cache(repo: &Repo, commit: &str, path: &str, content: &Content, request: &Request) -> Response {
    let asked = encode(&request.path, "");
    let etag = encode(&format!("\"{}\"", content.git_sha1()), "");
    let kept = request.query.as_ref().map(|q| format!("{q}&")).unwrap_or_default();
    let file = format!("{}/{commit}/{}", encode(&repo.id, "/"), encode(path, "/"));
    let target = format!("/api/resolve-cache/models/{file}?{kept}{asked}=&etag={etag}");
    Response::new(307, format!("Temporary Redirect. Redirecting to {target}"))
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Location", target)
        .with("X-Repo-Commit", commit)
        .with("Cache-Control", "no-store")
}

/// `/api/resolve-cache/models/{repo}/{commit}/{path}?…&etag=…`
pub(super) fn cached(shared: &Shared, config: &Config, who: &Who, place: &Place<'_>, orders: &Orders) -> Found<Response> {
    let repo = repository(shared, who, place, true)?;
    let (commit, path) = place.rest.trim_start_matches('/').split_once('/').unwrap_or_default();
    let path = decode(path);
    let file = repo.commits.get(commit).and_then(|tree| tree.files.get(&path));
    let Some(file) = file else {
        return Err(error(404, Some("EntryNotFound"), "Entry not found").with("X-Repo-Commit", commit));
    };
    if place.request.query_value("etag").is_none() {
        return Err(error(400, None, "the query of the redirect was not kept"));
    }
    let content = orders.serve.as_ref().unwrap_or(&file.content);
    Ok(plain(config, place.request, content, &path).with("X-Repo-Commit", commit))
}

/// A plain file: ETag is its git SHA-1, and it may come compressed.
fn plain(config: &Config, request: &Request, content: &Content, path: &str) -> Response {
    let etag = format!("\"{}\"", content.git_sha1());
    if request.header("if-none-match").is_some_and(|known| known.contains(&etag)) {
        return Response::new(304, "").with("ETag", etag);
    }
    let accepted = request.header("accept-encoding").unwrap_or_default();
    let squeeze = match config.gzip {
        Gzip::UnlessIdentity => !accepted.contains("identity"),
        Gzip::WhenAccepted => accepted.contains("gzip"),
        Gzip::Never => false,
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let headers = |response: Response| {
        response
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("Content-Disposition", format!("inline; filename*=UTF-8''{}", encode(name, "")))
            .with("Vary", "Accept-Encoding")
    };
    if squeeze && !content.is_empty() {
        let mut response = Response::new(200, gzip(&content.bytes())).with("Content-Encoding", "gzip");
        response.framing = Framing::Chunked;
        return headers(response).with("ETag", format!("W/{etag}"));
    }
    headers(ranged(request, content).with("ETag", etag))
}

/// 200 with everything, 206 with the asked part, or 416.
fn ranged(request: &Request, content: &Content) -> Response {
    let len = content.len();
    let whole = |status| Response {
        status,
        headers: vec![("Accept-Ranges".to_owned(), "bytes".to_owned())],
        body: Body::Part { content: content.clone(), start: 0, len },
        framing: Framing::Length,
    };
    match request.range().map(|header| parse_range(header, len)) {
        None | Some(Asked::Ignored) => whole(200),
        Some(Asked::Unsatisfiable) => Response::new(416, "").with("Content-Range", format!("bytes */{len}")),
        Some(Asked::Part(first, last)) => {
            let mut part = whole(206);
            part.body = Body::Part { content: content.clone(), start: first, len: last - first + 1 };
            part.with("Content-Range", format!("bytes {first}-{last}/{len}"))
        }
    }
}

/// 302 to a signed address on the other origin; the redirect's own length is that of its text.
#[expect(clippy::too_many_arguments, reason = "all that a redirect tells")]
fn to_cdn(
    shared: &Shared,
    config: &Config,
    repo: &Repo,
    commit: &str,
    path: &str,
    content: &Content,
    orders: &Orders,
    request: &Request,
) -> Response {
    let sha256 = content.sha256();
    let etag = format!("\"{sha256}\"");
    if request.header("if-none-match").is_some_and(|known| known.contains(&etag)) {
        return Response::new(304, "").with("ETag", etag).with("X-Repo-Commit", commit);
    }
    lock(&shared.blobs).insert(sha256.to_owned(), content.clone());
    let life = if orders.expired { Duration::ZERO } else { config.signature_life };
    let mut target = sign(shared, config, &format!("/xet-bridge-us/{}/{sha256}", repo.object_id()), path, life);
    if let Some(user) = request.header("authorization") {
        // As the real Hub, which puts who asked into what it signs.
        target += &format!("&x-user={}", user_tag(user.trim_start_matches("Bearer ")));
    }
    let ollama = request.header("user-agent").is_some_and(|agent| agent.starts_with("ollama/"));
    let mut response = Response::new(if ollama { 307 } else { 302 }, format!("Found. Redirecting to {target}"))
        .with("Content-Type", "text/plain; charset=utf-8")
        .with("Location", target)
        .with("X-Repo-Commit", commit)
        .with("X-Linked-Size", content.len().to_string())
        .with("X-Linked-ETag", etag)
        .with("Accept-Ranges", "bytes")
        .with("Cache-Control", "no-store");
    if config.xet {
        let (hub, hash) = (format!("http://{}", shared.hub), content.xet_hash());
        let auth = format!("<{hub}/api/models/{}/xet-read-token/{commit}>; rel=\"xet-auth\"", repo.id);
        let parts = format!("<http://{}/cas/v1/reconstructions/{hash}>; rel=\"xet-reconstruction-info\"", shared.cdn);
        response = response.with("X-Xet-Hash", hash).with("Link", format!("{auth}, {parts}"));
    }
    response
}

/// What stands for a token in signed addresses.
pub(super) fn user_tag(token: &str) -> String {
    hex(&Sha256::digest(token))[..16].to_owned()
}

fn sign(shared: &Shared, config: &Config, path: &str, file: &str, life: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    let end = (now + life).as_millis();
    let name = encode(file.rsplit('/').next().unwrap_or_default(), "");
    let disposition = encode(&format!("inline; filename*=UTF-8''{name}"), "*");
    let told = match config.signing {
        Signing::Amz => {
            let date = timestamp(now.as_secs());
            format!("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={}", life.as_secs())
        }
        Signing::CloudFront => format!("Expires={}&Policy=eyJTdGF0ZW1lbnQiOltdfQ__&Key-Pair-Id=K2TEST", end.div_ceil(1000)),
    };
    let signature = signature(path, end);
    format!(
        "http://{}{path}?{told}&response-content-disposition={disposition}&x-end-ms={end}&X-Amz-Signature={signature}",
        shared.cdn
    )
}

fn signature(path: &str, end: u128) -> String {
    hex(&Sha256::digest(format!("the test Hub signs {path} until {end}")))
}

/// `20260131T235959Z`
fn timestamp(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    // Civil date from days since 1970-01-01, by way of years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The other origin: content by hash for those who bring a signature that has not expired.
pub(super) fn cdn(shared: &Shared, config: &Config, request: &Request, orders: &Orders) -> Response {
    let denied = |why: &str| {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>{why}</Message></Error>");
        Response::new(403, text).with("Content-Type", "application/xml").with("X-Amz-Cf-Id", "test-cdn")
    };
    let end = request.query_value("x-end-ms").and_then(|v| v.parse::<u128>().ok());
    let Some(end) = end.filter(|end| request.query_value("X-Amz-Signature") == Some(signature(&request.path, *end))) else {
        return denied("The signature does not match");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970") + config.cdn_ahead;
    if now.as_millis() >= end || orders.expired {
        return denied("Request has expired");
    }
    let sha256 = request.path.rsplit('/').next().unwrap_or_default();
    let stored = lock(&shared.blobs).get(sha256).cloned();
    let Some(content) = orders.serve.clone().or(stored) else {
        return Response::new(404, "").with("Content-Type", "application/xml");
    };
    let etag = format!("\"{}\"", content.xet_hash());
    let mut request = request.clone();
    if request.header("if-range").is_some_and(|known| !config.cdn_etag || known != etag) {
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("range"));
    }
    let response = ranged(&request, &content)
        .with("Content-Type", "application/octet-stream")
        .with("Cache-Control", "public, max-age=31536000")
        .with("X-Cache", "Hit from cloudfront");
    if config.cdn_etag { response.with("ETag", etag) } else { response }
}
