//! Fetches the beginning of a file from a server, as far as a reader needs it.

use crate::{
    error::{Error, Result},
    event::Event,
    http::{Backoff, Http, HttpError, Location},
    weights::{Header, HeaderReader},
};
use std::ops::Range;
use tokio::sync::Semaphore;

/// What reads a file from its beginning, with bytes as they come.
pub(super) trait Beginning {
    /// What it reads.
    type Read;

    /// The name of the file.
    fn name(&self) -> &str;
    /// The length of the whole file in bytes.
    fn file_len(&self) -> u64;
    /// The bytes that are needed next.
    fn needed(&self) -> Range<u64>;
    /// Takes bytes that follow those that came.
    fn push(&mut self, bytes: &[u8]);
    /// Begins again, for a server that only sends a file from its beginning.
    fn restart(&mut self);
    /// What was read, an error that names the file, or nothing if more bytes are needed now.
    fn read(&mut self) -> Option<Result<Self::Read, String>>;
}

impl Beginning for HeaderReader {
    type Read = Header;

    fn name(&self) -> &str {
        Self::name(self)
    }

    fn file_len(&self) -> u64 {
        Self::file_len(self)
    }

    fn needed(&self) -> Range<u64> {
        Self::needed(self)
    }

    fn push(&mut self, bytes: &[u8]) {
        Self::push(self, bytes);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }

    fn read(&mut self) -> Option<Result<Header, String>> {
        self.header()
    }
}

/// Fetches the beginning of a file, as far as its header goes. Of `long` a permit is taken for all but the first bytes.
pub(super) async fn fetch<R: Beginning>(
    http: &Http,
    mut reader: R,
    places: Vec<Location>,
    tries: u32,
    long: &Semaphore,
) -> Result<Result<R::Read, String>> {
    let mut backoff = Backoff::new(tries);
    let mut place = 0;
    let mut is_whole = false;
    let mut permit = None;
    loop {
        match fetch_more(http, &mut reader, &places[place], is_whole).await {
            Ok(()) => {
                if let Some(header) = reader.read() {
                    return Ok(header);
                }
                if permit.is_none() {
                    permit = long.acquire().await.ok();
                }
            }
            Err(error) if (error.should_try_next_mirror() || error.is_refusal()) && place + 1 < places.len() => {
                http.report(&Event::Elsewhere { why: error.to_string() });
                place += 1;
            }
            Err(error) => match backoff.next(&error) {
                Some(pause) => {
                    place = 0;
                    tokio::time::sleep(pause).await;
                }
                // A server whose ranges are wrong may still have the right file; its beginning is all that is read.
                None if error.is_about_ranges() && !is_whole => {
                    (is_whole, place, backoff) = (true, 0, Backoff::new(tries));
                }
                None => {
                    return Err(Error::new(error.kind(), format!("{}: {error}", reader.name()))
                        .with_hints(places[place].hint(&error))
                        .caused_by(error));
                }
            },
        }
    }
}

async fn fetch_more<R: Beginning>(http: &Http, reader: &mut R, place: &Location, is_whole: bool) -> Result<(), HttpError> {
    let needed = reader.needed();
    if needed.is_empty() {
        return Ok(());
    }
    let mut body = match is_whole {
        true => http.open_whole(place, reader.file_len()).await?,
        false => http.open(place, needed.clone(), reader.file_len()).await?,
    };
    if body.start() != needed.start {
        reader.restart();
    }
    while !reader.needed().is_empty() {
        match body.chunk().await? {
            Some(chunk) => reader.push(&chunk),
            None => break,
        }
    }
    Ok(())
}
