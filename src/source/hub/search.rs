//! Search: repositories of the Hub by words.

use super::{
    super::search::{FoundRepo, SearchOrder, SearchQuery},
    Hub, SourceError, below, segment,
};
use crate::{
    http::{Trail, bare},
    json::{Elements, Fact, Object},
    names::RepoId,
    text::is_hidden,
};
use serde::Deserialize;
use url::Url;

/// What is asked for of each repository.
const FIELDS: [&str; 8] = ["downloads", "likes", "lastModified", "gated", "private", "tags", "gguf", "safetensors"];
/// The longest word of a repository that is shown, in characters.
const LONGEST_WORD: usize = 100;

impl Hub {
    /// Repositories with these words in their names.
    pub(super) async fn search_repos(&self, query: &SearchQuery) -> Result<Vec<FoundRepo>, SourceError> {
        let asked = asked(query);
        let mut round = self.round();
        while let Some((endpoint, tries)) = round.next() {
            let url = below(endpoint, "api/models", Some(&asked));
            match self.search_at(&url, tries, query).await {
                Ok(found) => return Ok(found),
                Err(error) => round.failed(error)?,
            }
        }
        Err(round.ended())
    }

    async fn search_at(&self, url: &Url, tries: u32, query: &SearchQuery) -> Result<Vec<FoundRepo>, SourceError> {
        let mut body = Vec::new();
        let answer = self.http.get(url, tries, self.http.question_deadline(), &Trail::default(), &mut body).await?;
        read(&body, query.limit.get()).map_err(|why| SourceError::Answer { url: bare(&answer.url), why })
    }
}

fn asked(query: &SearchQuery) -> String {
    let order = match query.order {
        SearchOrder::Downloads => "downloads",
        SearchOrder::Likes => "likes",
        SearchOrder::Updated => "lastModified",
        SearchOrder::Trending => "trendingScore",
    };
    let mut asked = format!("search={}&sort={order}&direction=-1&limit={}", segment(&query.words), query.limit.get());
    if let Some(format) = &query.format {
        asked.push_str(&format!("&filter={}", segment(format.as_str())));
    }
    FIELDS.iter().for_each(|field| asked.push_str(&format!("&expand%5B%5D={field}")));
    asked
}

/// The fields that are read of a repository.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    id: Fact,
    #[serde(rename = "modelId")]
    model_id: Fact,
    downloads: Fact,
    likes: Fact,
    #[serde(rename = "lastModified")]
    last_modified: Fact,
    gated: Fact,
    tags: Fact,
    gguf: Object<Weights>,
    safetensors: Object<Weights>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Weights {
    total: Fact,
}

/// Reads so many entries of a list; what cannot be named here is left out.
fn read(body: &[u8], most: usize) -> Result<Vec<FoundRepo>, String> {
    let mut found = Vec::new();
    let mut elements = Elements::default();
    elements.feed(body, |entry| {
        if found.len() < most {
            let entry: Entry =
                serde_json::from_slice(entry).map_err(|error| format!("it is not a list of repositories ({error:.200})"))?;
            found.extend(repo(&entry));
        }
        Ok(())
    })?;
    if elements.is_done() { Ok(found) } else { Err("it is not a list in JSON: it ends early".into()) }
}

fn repo(entry: &Entry) -> Option<FoundRepo> {
    let repo: RepoId = entry.id.text().or_else(|| entry.model_id.text())?.parse().ok()?;
    let has = |tag: &str| entry.tags.texts().iter().any(|known| known == tag);
    let total = |weights: &Object<Weights>| weights.get().and_then(|weights| weights.total.number());
    let license = entry.tags.texts().iter().find_map(|tag| tag.strip_prefix("license:"));
    Some(FoundRepo {
        repo,
        downloads: entry.downloads.number(),
        likes: entry.likes.number(),
        updated: entry.last_modified.text().and_then(word),
        parameters: total(&entry.gguf).or_else(|| total(&entry.safetensors)),
        license: license.and_then(word),
        gated: matches!(entry.gated, Fact::Text(_) | Fact::Truth(true)),
        has_gguf: has("gguf") || entry.gguf.get().is_some(),
        has_safetensors: has("safetensors") || entry.safetensors.get().is_some(),
    })
}

/// A word of a server, as it may be shown.
fn word(text: &str) -> Option<String> {
    let shown: String = text.chars().filter(|c| !is_hidden(*c)).take(LONGEST_WORD).collect();
    (!shown.trim().is_empty()).then(|| shown.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hub, *};
    use crate::http::testing::{Reply, Server};

    #[test]
    fn what_is_asked_names_words_order_format_and_limit() {
        let mut query = SearchQuery::new("qwen 3&x");
        query.format = Some("gguf".parse().unwrap());
        query.order = SearchOrder::Updated;
        query.limit = "5".parse().unwrap();
        let asked = asked(&query);
        assert!(
            asked.starts_with("search=qwen%203%26x&sort=lastModified&direction=-1&limit=5&filter=gguf&expand%5B%5D="),
            "{asked}"
        );
    }

    #[test]
    fn repositories_are_read_and_what_makes_no_sense_is_left_out() {
        let body = r#"[
            {"id":"o/r-GGUF","downloads":7,"likes":2,"lastModified":"2026-01-01T00:00:00.000Z","gated":"manual",
             "tags":["gguf","license:mit","en"],"gguf":{"total":7000000000,"architecture":"llama"}},
            {"id":"../evil"}, {"downloads":1}, {"id":"a/b","gated":false,"safetensors":{"parameters":{"BF16":5},"total":5}}
        ]"#;
        let found = read(body.as_bytes(), 10).unwrap();
        assert_eq!(found.iter().map(|found| found.repo.to_string()).collect::<Vec<_>>(), ["o/r-GGUF", "a/b"]);
        let first = &found[0];
        assert_eq!((first.downloads, first.likes, first.parameters), (Some(7), Some(2), Some(7_000_000_000)));
        assert_eq!(
            (first.license.as_deref(), first.gated, first.has_gguf, first.has_safetensors),
            (Some("mit"), true, true, false)
        );
        assert_eq!((found[1].gated, found[1].has_safetensors, found[1].parameters), (false, true, Some(5)));
    }

    #[test]
    fn no_more_is_kept_than_was_asked_for_and_another_answer_is_refused() {
        let many = format!("[{}]", vec![r#"{"id":"a/b"}"#; 500].join(","));
        assert_eq!(read(many.as_bytes(), 3).unwrap().len(), 3);
        for bad in ["{}", "[{", "<html>", "", "[1]"] {
            assert!(read(bad.as_bytes(), 3).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_next_endpoint_is_asked_where_one_cannot_search() {
        let mirror = Server::start(|_, _| Reply::new("404 Not Found", &[], "")).await;
        let other = Server::start(|_, _| Reply::new("200 OK", &[], r#"[{"id":"a/b"}]"#)).await;
        let hub = hub(&[mirror.base(), other.base()]);
        assert_eq!(hub.search_repos(&SearchQuery::new("b")).await.unwrap().len(), 1);
    }
}
