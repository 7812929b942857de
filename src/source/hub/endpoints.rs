//! The endpoints in order: which is asked next, and whose answer is final.
//!
//! A refusal of a mirror is not authoritative: the next endpoint is asked. The Hub's own refusal is final, and so is
//! that of the last endpoint.

use super::{Hub, SourceError, hosts::is_hub_itself};
use crate::{
    event::Event,
    http::{Http, HttpError},
};
use url::Url;

/// Tries of one API call at an endpoint that has another one behind it.
const TRIES_BEFORE_THE_NEXT: u32 = 2;

/// A round of the endpoints with one question.
pub(super) struct Round<'a> {
    http: &'a Http,
    next: usize,
    /// The failure to report if no endpoint answers, and whether it is the Hub's own.
    told: Option<SourceError>,
    is_of_hub: bool,
}

impl Hub {
    /// Begins with the first endpoint.
    pub(super) fn round(&self) -> Round<'_> {
        Round { http: &self.http, next: 0, told: None, is_of_hub: false }
    }
}

impl<'a> Round<'a> {
    /// The next endpoint, and how often to try it.
    pub fn next(&mut self) -> Option<(&'a Url, u32)> {
        let endpoints = self.http.endpoints();
        let endpoint = endpoints.get(self.next)?;
        self.next += 1;
        Some((endpoint, if self.next < endpoints.len() { TRIES_BEFORE_THE_NEXT } else { u32::MAX }))
    }

    /// Takes the failure of the endpoint that was asked last; gives it back where it is final.
    pub fn failed(&mut self, error: SourceError) -> Result<(), SourceError> {
        let is_of_hub = self.http.endpoints().get(self.next.saturating_sub(1)).is_some_and(is_hub_itself);
        if !may_be_answered_elsewhere(&error) || (is_refusal(&error) && is_of_hub) {
            return Err(error);
        }
        if self.next < self.http.endpoints().len() {
            self.http.report(&Event::Elsewhere { why: error.to_string() });
        }
        // A missing file on a mirror proves nothing if the Hub itself could not be asked.
        if !self.is_of_hub {
            (self.told, self.is_of_hub) = (Some(error), is_of_hub);
        }
        Ok(())
    }

    /// The error to report if no endpoint answered.
    pub fn ended(self) -> SourceError {
        let nobody = || HttpError::BadEndpoint { text: String::new(), why: "at least one endpoint is needed".into() };
        self.told.unwrap_or_else(|| nobody().into())
    }
}

fn is_refusal(error: &SourceError) -> bool {
    matches!(error, SourceError::Http(error) if error.is_refusal())
}

fn may_be_answered_elsewhere(error: &SourceError) -> bool {
    match error {
        SourceError::Http(error) => error.should_try_next_mirror() || error.is_refusal(),
        SourceError::Answer { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Silent, settings::Network};
    use std::sync::Arc;

    /// The error where the endpoints fail so, one after the other, and how many of them are asked.
    fn told(endpoints: &[(&str, &str)]) -> (usize, String) {
        let network = Network { endpoints: endpoints.iter().map(|(url, _)| (*url).to_owned()).collect(), ..Network::default() };
        let hub = Hub::new(&Http::new(&network, None, Arc::new(Silent)).unwrap(), &network).unwrap();
        let mut round = hub.round();
        let mut asked = 0;
        while let Some((endpoint, tries)) = round.next() {
            assert_eq!(tries == u32::MAX, asked + 1 == endpoints.len());
            let status = endpoints[asked].1;
            asked += 1;
            if let Err(error) = round.failed(failure(status, endpoint)) {
                return (asked, error.to_string());
            }
        }
        (asked, round.ended().to_string())
    }

    fn failure(status: &str, endpoint: &Url) -> SourceError {
        match status.parse() {
            Ok(status) => HttpError::refused_with(status, endpoint.as_str()).into(),
            Err(_) if status == "nonsense" => SourceError::Answer { url: endpoint.to_string(), why: "nonsense".into() },
            Err(_) => HttpError::Timeout { url: endpoint.to_string(), after: std::time::Duration::from_secs(1) }.into(),
        }
    }

    #[test]
    fn a_mirrors_refusal_leads_to_the_next_and_the_last_answer_is_told() {
        let (mirror, last, hub) = ("http://mirror", "http://last", "https://huggingface.co");
        for status in ["401", "403", "404", "410", "451", "400", "500", "nonsense", "silent"] {
            for end in ["401", "404", "500"] {
                let (asked, text) = told(&[(mirror, status), (last, end)]);
                assert!(asked == 2 && text.contains(end) && text.contains("last"), "{status}, {end}: {text}");
                let (asked, text) = told(&[(mirror, status), (hub, end), (last, "404")]);
                let is_final = end != "500";
                assert!(asked == 2 + usize::from(!is_final) && text.contains("huggingface.co"), "{status}, {end}: {text}");
            }
        }
        // The Hub could not be asked: what the mirror lacks says nothing.
        let (asked, text) = told(&[(hub, "silent"), (last, "404")]);
        assert!(asked == 2 && text.contains("huggingface.co"), "{text}");
        let (asked, text) = told(&[(mirror, "401"), (last, "silent")]);
        assert!(asked == 2 && text.contains("last"), "{text}");
    }
}
