//! Bodies of answers that are read into memory: each ends in time, and comes fast enough or is given up.

use super::{Deadline, Http, HttpError, bare, pace};
use bytes::Bytes;
use reqwest::Response;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Reads the beginning of a refusal's text.
pub(super) async fn beginning(mut response: Response, limit: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(text.len()).min(chunk.len());
        text.extend_from_slice(&chunk[..room]);
        if text.len() >= limit {
            break;
        }
    }
    text
}

/// The body of an answer of the API.
pub(super) struct Stream<'a> {
    response: Response,
    url: &'a Url,
    stall: Duration,
    deadline: Deadline,
    pace: pace::Pace,
}

impl<'a> Stream<'a> {
    pub(super) fn new(http: &Http, response: Response, url: &'a Url, deadline: Deadline) -> Self {
        Self { response, url, stall: http.shared.stall, deadline, pace: pace::Pace::new(&http.shared.throughput) }
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let asked = Instant::now();
        let patience = self.stall.min(self.deadline.left());
        let next = tokio::time::timeout(patience, self.response.chunk()).await;
        let url = || bare(self.url);
        if self.deadline.has_passed() {
            return Err(HttpError::Endless { url: url(), after: self.deadline.allowed() });
        }
        let chunk = next
            .map_err(|_| HttpError::Stalled { url: url(), after: self.stall })?
            .map_err(|error| HttpError::of_transport(error, self.url))?;
        let Some(chunk) = chunk else { return Ok(None) };
        match self.pace.note(chunk.len(), asked.elapsed(), self.stall) {
            Some(got) => Err(HttpError::Slow { url: url(), after: self.stall, got }),
            None => Ok(Some(chunk)),
        }
    }
}
