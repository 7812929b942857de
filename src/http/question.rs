//! Questions to an API: answers that are read to their end, with redirects inside the service followed and passing failures
//! retried.

use super::{
    Deadline, Http, HttpError, Origin,
    backoff::Backoff,
    bare, header_text, is_html,
    redirect::{MOST_HOPS, drain, next_hop},
    stream::Stream,
    token::Trail,
};
use crate::event::Event;
use reqwest::{Method, header};
use url::Url;

/// The longest answer of the API that is kept in memory, and that is read piece by piece. A page of a thousand files has some
/// 400 KB; the facts of a repository with a hundred thousand files, which name each, some 10 MB.
const LONGEST_ANSWER: u64 = 32 << 20;
const LONGEST_STREAM: u64 = 64 << 20;
/// How many stall timeouts one answer may take from its first byte to its last, and one question with all that it needs: tries,
/// redirects, pages.
const LONGEST_IN_STALLS: u32 = 30;
const QUESTION_IN_STALLS: u32 = 90;

/// An answer of the API whose body has been read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The address that answered in the end.
    pub url: Url,
    /// The `Link` header.
    pub link: Option<String>,
    /// The way to it, for an address that it names.
    pub trail: Trail,
}

/// Takes the body of an answer as it comes.
pub trait Sink: Send {
    /// Most bytes that are taken.
    fn limit(&self) -> u64;
    /// Starts again: the bytes so far were an incomplete answer.
    fn begin(&mut self);
    /// Takes some bytes; an error is what is wrong with them.
    fn take(&mut self, bytes: &[u8]) -> Result<(), String>;
    /// The body has ended.
    fn end(&mut self) -> Result<(), String>;
}

/// Keeps a body as it is.
impl Sink for Vec<u8> {
    fn limit(&self) -> u64 {
        LONGEST_ANSWER
    }
    fn begin(&mut self) {
        self.clear();
    }
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.extend_from_slice(bytes);
        Ok(())
    }
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Http {
    /// Most bytes of an answer that is read piece by piece.
    pub fn longest_stream(&self) -> u64 {
        LONGEST_STREAM
    }

    /// When a question that is asked now has to have its answer, however many requests that takes.
    pub fn question_deadline(&self) -> Deadline {
        Deadline::after(self.shared.stall.saturating_mul(QUESTION_IN_STALLS))
    }

    /// Asks an API address, with redirects inside the service followed and passing failures retried, until the deadline.
    /// `trail` is the way to an address that an answer named; one of our own has none.
    pub async fn get(
        &self,
        url: &Url,
        tries: u32,
        deadline: Deadline,
        trail: &Trail,
        sink: &mut dyn Sink,
    ) -> Result<Answer, HttpError> {
        let mut backoff = Backoff::new(tries.min(self.shared.tries));
        loop {
            let error = match self.get_once(url, deadline, trail.clone(), sink).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if deadline.has_passed() {
                return Err(error);
            }
            self.rest(&mut backoff, error, url).await?;
        }
    }

    async fn get_once(&self, url: &Url, deadline: Deadline, mut trail: Trail, sink: &mut dyn Sink) -> Result<Answer, HttpError> {
        let deadline = deadline.within(self.shared.stall.saturating_mul(LONGEST_IN_STALLS));
        let mut url = url.clone();
        for _ in 0..=MOST_HOPS {
            if deadline.has_passed() {
                return Err(HttpError::Endless { url: bare(&url), after: deadline.allowed() });
            }
            let response = self.send(Method::GET, &url, None, &mut trail).await?;
            if let Some(target) = next_hop(&url, &response)? {
                if !self.is_inside(&target) && Origin::of(&target) != Origin::of(&url) {
                    return Err(HttpError::BadRedirect { url: bare(&url), why: format!("to another host, {}", bare(&target)) });
                }
                drain(response).await;
                url = target;
                continue;
            }
            if !response.status().is_success() {
                return Err(self.refused(response, &url, false).await);
            }
            if is_html(&response) {
                return Err(HttpError::Html { url: bare(&url) });
            }
            let link = header_text(&response, header::LINK.as_str());
            let nonsense = |why| HttpError::Nonsense { url: bare(&url), why };
            sink.begin();
            let mut came = 0;
            let mut body = Stream::new(self, response, &url, deadline);
            while let Some(bytes) = body.chunk().await? {
                came += bytes.len() as u64;
                if came > sink.limit() {
                    return Err(HttpError::BodyTooLarge { url: bare(&url), limit: sink.limit() });
                }
                sink.take(&bytes).map_err(nonsense)?;
            }
            sink.end().map_err(nonsense)?;
            return Ok(Answer { url, link, trail });
        }
        Err(HttpError::TooManyRedirects { url: bare(&url) })
    }

    /// Sleeps before the next try, or gives `error` back.
    pub(super) async fn rest(&self, backoff: &mut Backoff, error: HttpError, url: &Url) -> Result<(), HttpError> {
        let Some(after) = backoff.next(&error) else { return Err(error) };
        // A pause was reported when it began.
        if !matches!(error, HttpError::RateLimited { wait: Some(_), .. }) {
            self.report(&Event::Retry { what: bare(url), why: error.to_string(), after });
        }
        tokio::time::sleep(after).await;
        Ok(())
    }
}
