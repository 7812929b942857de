//! From a branch, tag or short commit to the one commit that a plan is made of.

use super::{super::Gate, Hub, Pinned, SourceError, below, segment};
use crate::{
    event::Event,
    http::{Trail, bare},
    json::{Fact, Object},
    names::{RepoId, Revision},
    notice::Notice,
    text::is_hidden,
};
use serde::Deserialize;
use url::Url;

impl Hub {
    /// Asks which commit `revision` stands for now.
    pub(super) async fn pin_repo(&self, repo: &RepoId, revision: &Revision) -> Result<Pinned, SourceError> {
        let path = format!("api/models/{repo}/revision/{}", segment(revision.as_str()));
        let mut round = self.round();
        while let Some((endpoint, tries)) = round.next() {
            match self.pin_at(&below(endpoint, &path, None), tries, repo, revision).await {
                Ok(pinned) => {
                    if pinned.id != *repo {
                        let notice = Notice::RepoRenamed { asked: repo.clone(), now: pinned.id.clone() };
                        self.http.report(&Event::Notice(notice));
                    }
                    return Ok(pinned);
                }
                Err(error) => round.failed(error)?,
            }
        }
        Err(round.ended())
    }

    async fn pin_at(&self, url: &Url, tries: u32, repo: &RepoId, revision: &Revision) -> Result<Pinned, SourceError> {
        let mut body = Vec::new();
        let answer = self.http.get(url, tries, self.http.question_deadline(), &Trail::default(), &mut body).await?;
        read(&answer.url, &body, repo, revision)
    }
}

/// The fields that are read of a repository's metadata.
#[derive(Deserialize, Default)]
#[serde(default)]
struct RepoInfo {
    sha: Fact,
    id: Fact,
    #[serde(rename = "modelId")]
    model_id: Fact,
    gated: Fact,
    private: Fact,
    disabled: Fact,
    #[serde(rename = "cardData")]
    card: Object<Card>,
    tags: Fact,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Card {
    license: Fact,
    license_name: Fact,
}

fn read(url: &Url, body: &[u8], repo: &RepoId, revision: &Revision) -> Result<Pinned, SourceError> {
    let refuse = |why: String| SourceError::Answer { url: bare(url), why };
    let info: RepoInfo = serde_json::from_slice(body).map_err(|error| refuse(format!("it is not JSON ({error})")))?;
    let commit = info.sha.text().ok_or_else(|| refuse("it names no commit".into()))?;
    let commit: Revision = commit.parse().map_err(|error| refuse(format!("{error}")))?;
    if !commit.is_commit() {
        return Err(refuse(format!("`{commit}` is not a full commit")));
    }
    if revision.is_commit() && !commit.as_str().eq_ignore_ascii_case(revision.as_str()) {
        return Err(refuse(format!("commit {revision} was requested and {commit} was received")));
    }
    let canonical: Option<RepoId> = info.id.text().or_else(|| info.model_id.text()).and_then(|id| id.parse().ok());
    Ok(Pinned {
        id: canonical.unwrap_or_else(|| repo.clone()).into(),
        requested: repo.clone().into(),
        commit: Some(commit),
        gated: match &info.gated {
            Fact::Text(word) if word == "manual" => Gate::Manual,
            Fact::Text(_) | Fact::Truth(true) => Gate::Auto,
            _ => Gate::Open,
        },
        private: info.private.is_true(),
        disabled: info.disabled.is_true(),
        license: license(&info),
    })
}

/// For `fuzz/`: what an answer says that was asked about a revision of a repository.
#[cfg(feature = "fuzzing")]
pub fn fuzzed(body: &[u8], repo: &RepoId, revision: &Revision) -> Result<Pinned, SourceError> {
    let url = Url::parse("https://hub.example/api")
        .map_err(|error| SourceError::Answer { url: String::new(), why: error.to_string() })?;
    read(&url, body, repo, revision)
}

/// `cardData.license`, with `license_name` where that says only "other"; else the tag `license:…`.
fn license(info: &RepoInfo) -> Option<String> {
    let card = info.card.get();
    let in_card = |fact: fn(&Card) -> &Fact| card.and_then(|card| fact(card).first_text());
    let tag = || info.tags.texts().iter().find_map(|tag| tag.strip_prefix("license:"));
    let name = in_card(|card| &card.license).or_else(tag)?;
    let name = if name == "other" { in_card(|card| &card.license_name).unwrap_or(name) } else { name };
    let name: String = name.chars().filter(|c| !is_hidden(*c)).take(100).collect();
    (!name.trim().is_empty()).then(|| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hub, *};
    use crate::http::testing::{Reply, Server};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn pinned(body: &str, revision: &str) -> Result<Pinned, SourceError> {
        read(&Url::parse("https://h/api/models/o/r").unwrap(), body.as_bytes(), &"o/r".parse().unwrap(), &revision.parse().unwrap())
    }

    #[test]
    fn the_fields_of_a_revision_are_read_leniently_and_the_commit_strictly() {
        let full = format!(
            r#"{{"id":"New/Name","sha":"{COMMIT}","gated":"manual","private":true,"cardData":{{"license":"other","license_name":"llama2"}},"tags":[]}}"#
        );
        let read = pinned(&full, "main").unwrap();
        assert_eq!((read.id.as_str(), read.requested.as_str()), ("New/Name", "o/r"));
        assert_eq!((read.gated, read.private, read.disabled, read.license.as_deref()), (Gate::Manual, true, false, Some("llama2")));
        let tags = format!(r#"{{"id":"../..","sha":"{COMMIT}","gated":false,"tags":[1,"license:mit"],"private":"?"}}"#);
        let read = pinned(&tags, COMMIT).unwrap();
        assert_eq!((read.id.as_str(), read.gated, read.license.as_deref()), ("o/r", Gate::Open, Some("mit")));
        for bad in ["", "[]", r#"{"sha":"main"}"#, r#"{"sha":7}"#] {
            assert!(matches!(pinned(bad, "main"), Err(SourceError::Answer { .. })), "{bad}");
        }
        assert!(pinned(&full, &"f".repeat(40)).is_err(), "another commit than the asked one");
    }

    #[tokio::test]
    async fn a_renamed_repository_is_followed_to_its_new_name() {
        let server = Server::start(|_, request| match request.starts_with("GET /api/models/o/old/revision/refs%2Fpr%2F1 ") {
            true => Reply::new("307 Temporary Redirect", &["Location: /api/models/o/new/revision/refs%2Fpr%2F1"], ""),
            false => Reply::new("200 OK", &["Content-Type: application/json"], format!(r#"{{"id":"o/new","sha":"{COMMIT}"}}"#)),
        })
        .await;
        let pinned = hub(&[server.base()]).pin_repo(&"o/old".parse().unwrap(), &"refs/pr/1".parse().unwrap()).await.unwrap();
        assert_eq!(
            (pinned.id.as_str(), pinned.requested.as_str(), pinned.commit.as_ref().unwrap().as_str()),
            ("o/new", "o/old", COMMIT)
        );
    }

    #[test]
    fn only_a_full_commit_may_be_assumed() {
        let repo = "o/r".parse().unwrap();
        assert!(Pinned::assumed(&repo, &Revision::main()).is_none());
        assert!(Pinned::assumed(&repo, &COMMIT.parse().unwrap()).is_some());
    }
}
