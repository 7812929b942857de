//! For `fuzz/`: parsers of headers.

use super::{HttpError, Refusal, error, location, pause, redirect, resolve};
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::time::Duration;
use url::Url;

/// The pause that an answer with these headers asks for.
pub fn pause_asked_for(status: u16, headers: &[(&str, &[u8])]) -> Option<Duration> {
    let status = StatusCode::from_u16(status).ok()?;
    let read =
        |(name, value): &(&str, &[u8])| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?));
    let headers: HeaderMap = headers.iter().filter_map(read).collect();
    pause::wanted(status, &headers).map(|wanted| wanted.wait)
}

/// The address that a redirect names.
pub fn redirect_target(from: &Url, location: &[u8]) -> Result<Url, HttpError> {
    redirect::redirect_target(from, location)
}

/// How long a signed address will still be good.
pub fn life_of_signed(url: &Url, now: i64) -> Option<Duration> {
    location::life(url, now)
}

/// An entity tag without the mark of weakness and the quotes.
pub fn entity_tag(text: &str) -> &str {
    resolve::identity(text)
}

/// A server's text, made fit for one line.
pub fn printable(text: &str) -> String {
    error::printable(text)
}

/// What a refusal means.
pub fn refusal(refusal: Refusal) -> HttpError {
    HttpError::of_refusal(refusal)
}
