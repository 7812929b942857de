//! Which of several endpoints is asked first: the first that has not failed where another could serve.

use crate::http::{Location, Origin};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// The endpoints that were left in this run because another one served what they could not.
#[derive(Debug, Default)]
pub(super) struct Mirrors(Mutex<HashSet<Origin>>);

/// The order in which the locations of a file are asked, each once.
#[derive(Debug)]
pub(super) struct Rotation {
    order: Vec<usize>,
    /// How many of them have failed, and how many of these by saying that they do not have the file.
    failed: usize,
    refused: usize,
    /// Those that failed otherwise.
    trouble: Vec<usize>,
}

impl Mirrors {
    /// The locations in their order; those of endpoints that were left come last.
    pub fn rotation(&self, locations: &[Location]) -> Rotation {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = |at: &usize| locations[*at].origin().is_some_and(|origin| left.contains(&origin));
        let (last, mut order): (Vec<usize>, Vec<usize>) = (0..locations.len()).partition(is_left);
        order.extend(last);
        Rotation { order, failed: 0, refused: 0, trouble: Vec::new() }
    }

    /// Records that the current location served what those before it could not, so that other files do not wait for them.
    pub fn served(&self, rotation: &Rotation, locations: &[Location]) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.extend(rotation.trouble.iter().filter_map(|at| locations[*at].origin()));
        if let Some(origin) = locations[rotation.at()].origin() {
            left.remove(&origin);
        }
    }
}

impl Rotation {
    /// The present location.
    pub fn at(&self) -> usize {
        self.order.get(self.failed).copied().unwrap_or(0)
    }

    /// Whether no other location was asked before the current one.
    pub fn is_first(&self) -> bool {
        self.failed == 0
    }

    /// Whether it is the last, and all before it do not have the file.
    pub fn is_only_choice(&self) -> bool {
        self.failed + 1 >= self.order.len() && self.refused == self.failed
    }

    /// Moves to the next location, if there is one; `refused` where this one does not have the file.
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
        let mut rotation = mirrors.rotation(&locations);
        assert!(rotation.is_first() && rotation.go_on(false) && rotation.at() == 1);
        mirrors.served(&rotation, &locations);
        assert_eq!(mirrors.rotation(&locations).order, [1, 2, 0]);
        let mut rotation = mirrors.rotation(&locations);
        assert!(rotation.go_on(false) && rotation.go_on(false) && !rotation.go_on(false) && rotation.at() == 0);
        mirrors.served(&rotation, &locations);
        assert_eq!(mirrors.rotation(&locations).order, [0, 1, 2]);
    }

    #[test]
    fn an_endpoint_that_lacks_a_file_is_still_asked_first_for_others() {
        let (mirrors, locations) = (Mirrors::default(), locations());
        let mut rotation = mirrors.rotation(&locations);
        assert!(rotation.go_on(true) && rotation.go_on(true) && rotation.is_only_choice());
        mirrors.served(&rotation, &locations);
        assert_eq!(mirrors.rotation(&locations).order, [0, 1, 2]);
    }
}
