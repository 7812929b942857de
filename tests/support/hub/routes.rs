//! The hub's JSON endpoints, who may use them, and the names that lead elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::exchange::Orders;
use super::http::{Origin, Request, Response, decode, encode};
use super::repo::{Commit, FileEntry, Gating, Repo, Revision};
use super::{Config, Shared, lock, resolve};

const WHEN: &str = "2026-01-01T00:00:00.000Z";
/// The words that follow a repository id, which tell `owner/name` from a bare legacy name.
const VERBS: &[&str] = &["revision", "tree", "paths-info", "refs", "commits", "xet-read-token", "resolve", "raw"];

pub(super) enum Who {
    Anonymous,
    /// A valid token and what it opens.
    Known(BTreeSet<String>),
    Bad,
}

/// A repository in a path: what comes before its id, the id, and the rest with its slash.
pub(super) struct Place<'r> {
    pub request: &'r Request,
    pub before: &'r str,
    pub id: String,
    pub rest: &'r str,
}

/// Either an answer that ends the matter, or what was looked for.
pub(super) type Found<T> = Result<T, Response>;

pub(super) fn answer(shared: &Shared, config: &Config, request: &Request, orders: &Orders) -> Response {
    if request.origin == Origin::Cdn {
        return resolve::cdn(shared, config, request, orders);
    }
    let bucket = match request.path.as_str() {
        path if path.starts_with("/api/resolve-cache/") || path.contains("/resolve/") => "resolvers",
        path if path.starts_with("/api/") => "api",
        _ => "pages",
    };
    let (left, reset, quota) = spend(shared, config, bucket);
    let mut response = match left {
        None => Response::new(429, json!({"error": "We had to rate limit your IP"}).to_string()),
        Some(_) => hub(shared, config, request, orders).unwrap_or_else(|refusal| refusal),
    };
    let window = config.quota_window.as_secs();
    response.set("RateLimit", format!("\"{bucket}\";r={};t={reset}", left.unwrap_or(0)));
    response.set("RateLimit-Policy", format!("\"fixed window\";\"{bucket}\";q={quota};w={window}"));
    response.set("X-Request-Id", format!("Root=1-test-{}", shared.next_serial()));
    response
}

/// What is left in the window, seconds to its end, and its size.
fn spend(shared: &Shared, config: &Config, bucket: &'static str) -> (Option<u64>, u64, u64) {
    let quota = if bucket == "api" { config.api_quota } else { config.resolvers_quota };
    let window = config.quota_window.as_millis().max(1) as u64;
    let now = shared.started.elapsed().as_millis() as u64;
    let mut quotas = lock(&shared.quotas);
    let (index, used) = quotas.entry(bucket).or_default();
    if *index != now / window {
        (*index, *used) = (now / window, 0);
    }
    *used += 1;
    (quota.checked_sub(*used), (window - now % window).div_ceil(1000), quota)
}

fn hub(shared: &Shared, config: &Config, request: &Request, orders: &Orders) -> Found<Response> {
    let who = who(shared, request);
    if let Some(rest) = request.path.strip_prefix("/api/resolve-cache/models/") {
        return resolve::cached(shared, config, &who, &place(request, "/api/resolve-cache/models/", rest), orders);
    }
    if request.path == "/api/whoami-v2" {
        return match who {
            Who::Known(_) => Ok(Response::json(&json!({"type": "user", "name": "tester", "fullname": "Tess Ter",
                "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": "read"}}}))),
            Who::Anonymous => Err(error(401, None, "Invalid username or password.")),
            Who::Bad => Err(bad_token()),
        };
    }
    if request.path == "/api/models" {
        return Ok(search(shared, &who, request));
    }
    if let Some(rest) = request.path.strip_prefix("/api/models/") {
        return api(shared, config, &who, &place(request, "/api/models/", rest));
    }
    let page = place(request, "/", request.path.trim_start_matches('/'));
    match page.rest.split('/').nth(1) {
        Some("resolve") => resolve::resolve(shared, config, &who, &page, orders),
        Some("raw") => resolve::raw(shared, &who, &page),
        _ => Err(error(404, None, "Sorry, we can't find the page you are looking for.")),
    }
}

/// The repositories whose names have all words, and a file of the format that is asked for.
fn search(shared: &Shared, who: &Who, request: &Request) -> Response {
    let query = request.query.clone().unwrap_or_default();
    let of = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('=')).map(decode);
    let words = of("search").unwrap_or_default().to_lowercase();
    let limit = of("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000);
    let repos = lock(&shared.repos);
    let files = |repo: &Repo| repo.branches.get("main").and_then(|main| repo.commits.get(main)).map(|commit| commit.files.clone());
    let has =
        |repo: &Repo, format: &str| files(repo).is_some_and(|files| files.keys().any(|path| path.ends_with(&format!(".{format}"))));
    let fits = |repo: &&Arc<Repo>| {
        let name = repo.id.to_lowercase();
        let is_seen = !repo.private || opens(who, repo);
        is_seen && words.split_whitespace().all(|word| name.contains(word)) && of("filter").is_none_or(|format| has(repo, &format))
    };
    let entry = |repo: &Arc<Repo>| {
        let mut tags: Vec<String> =
            ["gguf", "safetensors"].iter().filter(|format| has(repo, format)).map(ToString::to_string).collect();
        tags.extend(repo.license.iter().map(|license| format!("license:{license}")));
        let mut entry = json!({"_id": repo.object_id(), "id": repo.id, "downloads": repo.id.len(), "likes": 1,
            "lastModified": WHEN, "private": repo.private, "gated": repo.gating.is_some(), "tags": tags});
        if has(repo, "gguf") {
            entry["gguf"] = json!({"total": 7_000_000_000_u64, "architecture": "llama"});
        }
        entry
    };
    let found: Vec<Value> = repos.values().filter(fits).take(limit).map(entry).collect();
    Response::json(&Value::Array(found))
}

fn who(shared: &Shared, request: &Request) -> Who {
    match (request.header("authorization"), request.bearer()) {
        (None, _) => Who::Anonymous,
        (Some(_), None) => Who::Bad,
        (Some(_), Some(token)) => lock(&shared.tokens).get(token).map_or(Who::Bad, |grants| Who::Known(grants.clone())),
    }
}

fn place<'r>(request: &'r Request, before: &'r str, tail: &'r str) -> Place<'r> {
    let first = tail.find('/').unwrap_or(tail.len());
    let second = tail[first..].strip_prefix('/').map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let commit = second.len() == 40 && second.bytes().all(|b| b.is_ascii_hexdigit());
    let bare = second.is_empty() || VERBS.contains(&second) || commit;
    let end = if bare { first } else { first + 1 + second.len() };
    Place { request, before, id: decode(&tail[..end]), rest: &tail[end..] }
}

impl Place<'_> {
    /// A relative 307 with the query kept.
    fn redirect(&self, id: &str, rest: &str) -> Response {
        let query = self.request.query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
        let target = format!("{}{}{rest}{query}", self.before, encode(id, "/"));
        Response::new(307, format!("Temporary Redirect. Redirecting to {target}")).with("Location", target)
    }
}

/// The repository, if `who` may know of it. `files` says that content is asked, not only the listing.
pub(super) fn repository(shared: &Shared, who: &Who, place: &Place<'_>, files: bool) -> Found<Arc<Repo>> {
    let repos = lock(&shared.repos);
    let exact = repos.get(&place.id).cloned();
    let found = exact.or_else(|| repos.values().find(|r| r.id.eq_ignore_ascii_case(&place.id)).cloned());
    drop(repos);
    let hidden = |repo: &Repo| repo.private && !opens(who, repo);
    let Some(repo) = found.filter(|repo| !hidden(repo)) else {
        return Err(match who {
            Who::Anonymous => error(401, None, "Invalid username or password.").with("WWW-Authenticate", "Bearer realm=\"hub\""),
            Who::Bad => bad_token(),
            Who::Known(_) => error(404, Some("RepoNotFound"), "Repository not found"),
        });
    };
    if let Some(new) = &repo.renamed_to {
        return Err(place.redirect(new, place.rest));
    }
    if repo.id != place.id {
        return Err(place.redirect(&repo.id, place.rest));
    }
    if repo.disabled {
        return Err(error(403, None, "Access to this resource is disabled."));
    }
    if repo.gating.is_some() && files {
        let id = &repo.id;
        match who {
            Who::Known(_) if opens(who, &repo) => {}
            Who::Known(_) => {
                let text = format!("Access to model {id} is restricted and you are not in the authorized list.");
                return Err(error(403, Some("GatedRepo"), &text));
            }
            Who::Anonymous | Who::Bad => {
                let text = format!("Access to model {id} is restricted. You must have access to it and be authenticated.");
                return Err(error(401, Some("GatedRepo"), &text));
            }
        }
    }
    if matches!(who, Who::Bad) {
        return Err(bad_token());
    }
    Ok(repo)
}

pub(super) fn opens(who: &Who, repo: &Repo) -> bool {
    matches!(who, Who::Known(grants) if grants.contains(&repo.id))
}

/// The commit id and commit named after the verb, and the path segments that follow, still encoded.
pub(super) fn revision<'r, 'p>(repo: &'r Repo, place: &Place<'p>) -> Found<(String, &'r Commit, Vec<&'p str>)> {
    let mut segments: Vec<&'p str> = place.rest.split('/').skip(2).collect();
    // `refs/pr/1` should come encoded as one segment; the real Hub takes it either way.
    let take = if segments.first() == Some(&"refs") && segments.len() >= 3 { 3 } else { 1 };
    let tail = segments.split_off(take.min(segments.len()));
    let raw = segments.join("/");
    match repo.find_revision(&decode(&raw)) {
        Revision::Known(id) => Ok((id.clone(), &repo.commits[&id], tail)),
        Revision::Short(id) => {
            let verb = place.rest.split('/').nth(1).unwrap_or_default();
            let tail: String = tail.iter().map(|segment| format!("/{segment}")).collect();
            Err(place.redirect(&place.id, &format!("/{verb}/{id}{tail}")))
        }
        Revision::Unknown => Err(error(404, Some("RevisionNotFound"), &format!("Invalid rev id: {}", decode(&raw)))),
    }
}

fn api(shared: &Shared, config: &Config, who: &Who, place: &Place<'_>) -> Found<Response> {
    let verb = place.rest.split('/').nth(1).unwrap_or_default();
    let repo = repository(shared, who, place, verb == "xet-read-token")?;
    match verb {
        "" => {
            let head = repo.branches.get("main").cloned().unwrap_or_default();
            let commit = repo.commits.get(&head).ok_or_else(|| error(404, Some("RevisionNotFound"), "Invalid rev id: main"))?;
            Ok(Response::json(&info(config, &repo, &head, commit, place.request)))
        }
        "revision" => {
            let (id, commit, _) = revision(&repo, place)?;
            Ok(Response::json(&info(config, &repo, &id, commit, place.request)))
        }
        "tree" => tree(shared, config, who, &repo, place),
        "paths-info" => paths_info(config, who, &repo, place),
        "refs" => Ok(Response::json(&refs(&repo, place.request))),
        "commits" => {
            let (id, ..) = revision(&repo, place)?;
            Ok(commits(&repo, id))
        }
        "xet-read-token" => {
            revision(&repo, place)?;
            let (token, end, cas) = ("xet-test-token", 4_000_000_000_u64, format!("http://{}/cas", shared.cdn));
            Ok(Response::json(&json!({"accessToken": token, "exp": end, "casUrl": cas}))
                .with("X-Xet-Access-Token", token)
                .with("X-Xet-Token-Expiration", end.to_string())
                .with("X-Xet-Cas-Url", cas))
        }
        _ => Err(error(404, None, "Not Found")),
    }
}

fn info(config: &Config, repo: &Repo, id: &str, commit: &Commit, request: &Request) -> Value {
    let blobs = request.query_flag("blobs");
    let siblings = commit.files.iter().take(config.siblings_limit).map(|(path, file)| {
        let mut sibling = json!({"rfilename": path});
        if blobs {
            sibling["blobId"] = json!(object_id(file));
            sibling["size"] = json!(file.content.len());
            if file.lfs {
                let pointer = file.content.lfs_pointer().len();
                sibling["lfs"] = json!({"sha256": file.content.sha256(), "size": file.content.len(), "pointerSize": pointer});
            }
        }
        sibling
    });
    let gated = match repo.gating {
        None => json!(false),
        Some(Gating::Auto) => json!("auto"),
        Some(Gating::Manual) => json!("manual"),
    };
    let used: u64 = commit.files.values().map(|f| f.content.len()).sum();
    let mut info = json!({"_id": repo.object_id(), "id": repo.id, "modelId": repo.id, "sha": id, "private": repo.private,
        "gated": gated, "disabled": repo.disabled, "author": repo.id.split('/').next(), "tags": [], "downloads": 0, "likes": 0,
        "lastModified": WHEN, "createdAt": WHEN, "usedStorage": used, "siblings": Value::Array(siblings.collect())});
    if let Some(license) = &repo.license {
        info["cardData"] = json!({ "license": license });
    }
    if commit.files.keys().any(|path| path.ends_with(".gguf")) {
        info["gguf"] = json!({"total": 123_456, "architecture": "llama", "context_length": 256});
        info["tags"] = json!(["gguf"]);
    }
    info
}

/// The git name of what git holds: the file, or the pointer to it.
fn object_id(file: &FileEntry) -> String {
    match file.lfs {
        true => super::Content::from(file.content.lfs_pointer()).git_sha1().to_owned(),
        false => file.content.git_sha1().to_owned(),
    }
}

fn entry(config: &Config, masked: bool, path: &str, file: &FileEntry, expand: bool) -> Value {
    let mut entry = json!({"type": "file", "oid": object_id(file), "size": file.content.len(), "path": path});
    if file.lfs {
        let pointer = file.content.lfs_pointer().len();
        entry["lfs"] = json!({"oid": file.content.sha256(), "size": file.content.len(), "pointerSize": pointer});
        if config.xet {
            entry["xetHash"] = json!(if masked { "*".repeat(64) } else { file.content.xet_hash() });
        }
    }
    if expand {
        entry["lastCommit"] = json!({"id": "0".repeat(40), "title": "Upload", "date": WHEN});
        entry["securityFileStatus"] = json!({"status": "safe"});
    }
    if let (Some(Value::Object(patch)), Some(fields)) = (&file.patch, entry.as_object_mut()) {
        for (key, value) in patch {
            match value {
                Value::Null => fields.remove(key),
                value => fields.insert(key.clone(), value.clone()),
            };
        }
    }
    entry
}

fn masked(config: &Config, who: &Who, repo: &Repo) -> bool {
    config.mask_xet && repo.gating.is_some() && !opens(who, repo)
}

fn tree(shared: &Shared, config: &Config, who: &Who, repo: &Repo, place: &Place<'_>) -> Found<Response> {
    let (id, commit, tail) = revision(repo, place)?;
    let request = place.request;
    let folder = decode(&tail.join("/"));
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let (recursive, expand) = (request.query_flag("recursive"), request.query_flag("expand"));
    let masked = masked(config, who, repo);

    let mut folders = BTreeSet::new();
    let mut entries = Vec::new();
    for (path, file) in commit.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix)) {
        let inner = &path[prefix.len()..];
        for (slash, _) in inner.match_indices('/').take(if recursive { usize::MAX } else { 1 }) {
            let name = &path[..prefix.len() + slash];
            if folders.insert(name.to_owned()) {
                entries.push(json!({"type": "directory", "oid": super::Content::from(name).git_sha1(), "size": 0, "path": name}));
            }
        }
        if recursive || !inner.contains('/') {
            entries.push(entry(config, masked, path, file, expand));
        }
    }
    if entries.is_empty() && !folder.is_empty() {
        let text = format!("{folder} does not exist on \"{id}\"");
        return Err(error(404, Some("EntryNotFound"), &text).with("X-Repo-Commit", id));
    }
    if folder.is_empty() {
        entries.extend(commit.raw.iter().cloned());
    }

    let cap = if expand { config.page_size.min(50) } else { config.page_size };
    let limit = request.query_value("limit").and_then(|v| v.parse().ok()).unwrap_or(cap).clamp(1, cap);
    let from = match request.query_value("cursor") {
        Some(cursor) => cursor.trim_end_matches('=').strip_prefix("eyJjdXI+").and_then(|n| n.parse().ok()),
        None => Some(0),
    };
    let from: usize = from.ok_or_else(|| error(400, None, "Invalid cursor"))?;
    let end = (from + limit).min(entries.len());
    let page = entries.get(from..end).unwrap_or_default().to_vec();
    let mut response = Response::json(&Value::Array(page)).with("X-Repo-Commit", id);
    if end < entries.len() {
        let origin = config.link_origin.clone().unwrap_or_else(|| format!("http://{}", shared.hub));
        let kept = request.query.iter().flat_map(|q| q.split('&')).filter(|pair| !pair.starts_with("cursor="));
        let query: String = kept.map(|pair| format!("{pair}&")).collect();
        // A plus and an equals sign that must stay encoded, to catch clients that decode and forget.
        let link = format!("<{origin}{}?{query}cursor=eyJjdXI%2B{end}%3D%3D>; rel=\"next\"", request.path);
        response = response.with("Link", link);
    }
    Ok(response)
}

fn paths_info(config: &Config, who: &Who, repo: &Repo, place: &Place<'_>) -> Found<Response> {
    let (_, commit, _) = revision(repo, place)?;
    if place.request.method != "POST" {
        return Err(error(405, None, "Method Not Allowed"));
    }
    let text = String::from_utf8_lossy(&place.request.body);
    let is_json = place.request.header("content-type").is_some_and(|t| t.contains("json"));
    let paths: Vec<String> = if is_json {
        let body: Value = serde_json::from_str(&text).map_err(|e| error(400, None, &e.to_string()))?;
        body["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    } else {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == "paths").map(|(_, value)| decode(&value.replace('+', " "))).collect()
    };
    let masked = masked(config, who, repo);
    let known = paths.iter().filter_map(|path| Some(entry(config, masked, path, commit.files.get(path)?, false)));
    Ok(Response::json(&Value::Array(known.collect())))
}

fn refs(repo: &Repo, request: &Request) -> Value {
    let list = |map: &std::collections::BTreeMap<String, String>, kind: &str| -> Vec<Value> {
        let named = |name: &str| name.strip_prefix("refs/convert/").unwrap_or(name).to_owned();
        let full = |name: &str| if name.starts_with("refs/") { name.to_owned() } else { format!("refs/{kind}/{name}") };
        map.iter().map(|(name, id)| json!({"name": named(name), "ref": full(name), "targetCommit": id})).collect()
    };
    let (pulls, converts) = repo.other_refs.clone().into_iter().partition(|(name, _)| name.starts_with("refs/pr/"));
    let mut refs =
        json!({"branches": list(&repo.branches, "heads"), "tags": list(&repo.tags, "tags"), "converts": list(&converts, "")});
    if request.query_flag("include_prs") {
        refs["pullRequests"] = json!(list(&pulls, ""));
    }
    refs
}

fn commits(repo: &Repo, head: String) -> Response {
    let line = std::iter::successors(Some(head), |id| repo.commits.get(id).and_then(|c| c.parent.clone()));
    let list: Vec<Value> =
        line.map(|id| json!({"id": id, "title": "Upload", "message": "", "date": WHEN, "authors": []})).collect();
    let count = list.len().to_string();
    Response::json(&Value::Array(list)).with("X-Total-Count", count)
}

/// An error as the Hub says it: in headers, because HEAD has no body, and again as JSON.
pub(super) fn error(status: u16, code: Option<&str>, message: &str) -> Response {
    let response = Response::new(status, json!({"error": message}).to_string())
        .with("Content-Type", "application/json; charset=utf-8")
        .with("X-Error-Message", message);
    match code {
        Some(code) => response.with("X-Error-Code", code),
        None => response,
    }
}

fn bad_token() -> Response {
    error(401, None, "Invalid credentials in Authorization header")
}
