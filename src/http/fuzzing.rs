//! For `fuzz/`: parsers of headers.

use super::{Dialect, HttpError, Refusal, error, location, pause, redirect};
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::time::Duration;
use url::Url;

/// The pause that an answer with these headers asks for.
pub fn pause_asked_for(status: u16, headers: &[(&str, &[u8])]) -> Option<Duration> {
    let status = StatusCode::from_u16(status).ok()?;
    pause::retry_after(status, &header_map(headers)).map(|pause| pause.wait)
}

fn header_map(headers: &[(&str, &[u8])]) -> HeaderMap {
    let read =
        |(name, value): &(&str, &[u8])| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?));
    headers.iter().filter_map(read).collect()
}

/// The address that a redirect names.
pub fn redirect_target(from: &Url, location: &[u8]) -> Result<Url, HttpError> {
    redirect::redirect_target(from, location)
}

/// How long a signed address will still be good.
pub fn life_of_signed(url: &Url, now: i64) -> Option<Duration> {
    location::life(url, now)
}

/// A server's text, made fit for one line.
pub fn printable(text: &str) -> String {
    error::printable(text)
}

/// What a refusal with these headers means to a source.
pub fn refusal(dialect: &dyn Dialect, url: &str, status: u16, headers: &[(&str, &[u8])]) -> HttpError {
    let headers = header_map(headers);
    let message = dialect.message(&headers).map(|text| error::printable(&text)).filter(|text| !text.is_empty());
    HttpError::from_refusal(Refusal { url: url.to_owned(), status, message, ..Refusal::default() }, &headers, dialect)
}
