//! Which of several endpoints is asked first: the first that has not failed where another could serve.

use crate::http::{Location, Origin};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// The endpoints that were left in this run because another one served what they could not.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<HashSet<Origin>>);

/// A round of a file's locations, each asked once.
#[derive(Debug)]
pub(super) struct Round {
    order: Vec<usize>,
    /// How many of them have failed, and how many of these by saying that they do not have the file.
    failed: usize,
    refused: usize,
    /// Those that failed otherwise.
    trouble: Vec<usize>,
}

impl Mirrors {
    /// The locations in their order; those of endpoints that were left come last.
    pub fn round(&self, locations: &[Location]) -> Round {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = |at: &usize| locations[*at].origin().is_some_and(|origin| left.contains(&origin));
        let (last, mut order): (Vec<usize>, Vec<usize>) = (0..locations.len()).partition(is_left);
        order.extend(last);
        Round { order, failed: 0, refused: 0, trouble: Vec::new() }
    }

    /// Notes that the present location of a round served what those before it could not. Each file would wait for them again.
    pub fn served(&self, round: &Round, locations: &[Location]) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.extend(round.trouble.iter().filter_map(|at| locations[*at].origin()));
        if let Some(origin) = locations[round.at()].origin() {
            left.remove(&origin);
        }
    }
}

impl Round {
    /// The present location.
    pub fn at(&self) -> usize {
        self.order.get(self.failed).copied().unwrap_or(0)
    }

    /// Whether no location was asked before it in this round.
    pub fn is_first(&self) -> bool {
        self.failed == 0
    }

    /// Whether it is the last, and all before it do not have the file.
    pub fn is_only_choice(&self) -> bool {
        self.failed + 1 >= self.order.len() && self.refused == self.failed
    }

    /// Goes on to the next location, if there is one; `refused` where this one does not have the file.
    pub fn go_on(&mut self, refused: bool) -> bool {
        if self.failed + 1 >= self.order.len() {
            return false;
        }
        if refused {
            self.refused += 1;
        } else {
            self.trouble.push(self.at());
        }
        self.failed += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations() -> Vec<Location> {
        ["http://a/x", "http://b/x", "http://c/x"].map(|url| Location::new(url.parse().unwrap())).into()
    }

    #[test]
    fn an_endpoint_that_failed_where_another_served_comes_last_from_then_on() {
        let (mirrors, locations) = (Mirrors::default(), locations());
        let mut round = mirrors.round(&locations);
        assert!(round.is_first() && round.go_on(false) && round.at() == 1);
        mirrors.served(&round, &locations);
        assert_eq!(mirrors.round(&locations).order, [1, 2, 0]);
        let mut round = mirrors.round(&locations);
        assert!(round.go_on(false) && round.go_on(false) && !round.go_on(false) && round.at() == 0);
        mirrors.served(&round, &locations);
        assert_eq!(mirrors.round(&locations).order, [0, 1, 2]);
    }

    #[test]
    fn an_endpoint_that_lacks_a_file_is_still_asked_first_for_others() {
        let (mirrors, locations) = (Mirrors::default(), locations());
        let mut round = mirrors.round(&locations);
        assert!(round.go_on(true) && round.go_on(true) && round.is_only_choice());
        mirrors.served(&round, &locations);
        assert_eq!(mirrors.round(&locations).order, [0, 1, 2]);
    }
}
