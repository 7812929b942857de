//! Which bytes of tensors are compared before they are taken from a held file, and which tensors are taken then.
//!
//! Re-quantized and re-trained tensors differ nearly everywhere, so some kilobytes of each tell. Nothing in here reads or
//! compares: who asks for the next probes answers them.

use super::borrow::{BorrowPlan, Copy, Match, joined};

/// Bytes of one probe.
const LEN: u64 = 4096;
/// A tensor is probed at these sixths of its length, in this order.
const SIXTHS: [u64; 3] = [3, 1, 5];
/// So many tensors that differ while none agrees end it: the file was made anew.
const DIFFER: usize = 8;
/// After so many tensors that agree while none differs, one probe is enough for each of the others.
const AGREE: usize = 16;
/// Tensors that are probed at once: until it is known whether there is anything to gain, until it is known how much, and
/// after that.
const FIRST: usize = 8;
const SECOND: usize = 16;
const LATER: usize = 64;

/// A range of a wanted file to be compared with ranges of held ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The number of the wanted file.
    pub file: usize,
    /// From which byte of it on.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
    /// Held files that may have the same bytes, and from which byte on.
    pub places: Vec<(usize, u64)>,
    /// Which match it is of, and which places of that.
    of: usize,
    nth: usize,
    kept: Vec<usize>,
}

/// How far one tensor is.
#[derive(Debug, Clone)]
struct State {
    /// Of its places, by number, those that agreed so far.
    agreeing: Vec<usize>,
    /// How many probes were answered.
    answered: usize,
    /// Whether a probe of it has no answer yet.
    waits: bool,
}

/// The probes of a plan, and what they say.
#[derive(Debug)]
pub struct Probes {
    plan: BorrowPlan,
    states: Vec<State>,
    /// Matches that are not decided, the largest first.
    open: Vec<usize>,
    /// How many tensors agreed at their first probe, at all three, and how many differ.
    agree: usize,
    agree_fully: usize,
    differ: usize,
    is_over: bool,
}

impl Probes {
    /// Begins with a plan.
    pub fn new(plan: BorrowPlan) -> Self {
        let all = |found: &Match| State { agreeing: (0..found.places.len()).collect(), answered: 0, waits: false };
        let states = plan.matches.iter().map(all).collect();
        Self { open: largest_first(&plan), plan, states, agree: 0, agree_fully: 0, differ: 0, is_over: false }
    }

    /// The probes that can be asked for now, besides those that have no answer yet. None where all is decided, or where
    /// answers are waited for.
    pub fn next_batch(&mut self) -> Vec<Probe> {
        if self.is_over {
            return Vec::new();
        }
        let enough = self.probes_each();
        let (plan, states) = (&self.plan, &mut self.states);
        self.open.retain(|at| states[*at].waits || (states[*at].answered < enough && !states[*at].agreeing.is_empty()));
        let room = match self.agree + self.differ {
            0..FIRST => FIRST,
            _ if self.agree_fully < AGREE && self.differ == 0 => SECOND,
            _ => LATER,
        };
        let mut batch = Vec::new();
        for at in self.open.iter().copied().take(room) {
            let (state, found) = (&mut states[at], &plan.matches[at]);
            if state.waits {
                continue;
            }
            state.waits = true;
            let len = LEN.min(found.len);
            let into = (found.len / 6).saturating_mul(SIXTHS[state.answered]).min(found.len - len);
            let places = state.agreeing.iter().map(|place| (found.places[*place].source, found.places[*place].at + into));
            batch.push(Probe {
                file: found.file,
                at: found.at + into,
                len,
                places: places.collect(),
                of: at,
                nth: state.answered,
                kept: state.agreeing.clone(),
            });
        }
        batch
    }

    /// How many probes a tensor gets.
    fn probes_each(&self) -> usize {
        if self.agree_fully >= AGREE && self.differ == 0 { 1 } else { SIXTHS.len() }
    }

    /// Takes the answer to a probe: for each of its places, whether the bytes are equal. A place without an answer counts
    /// as different.
    pub fn answered(&mut self, probe: &Probe, equal: &[bool]) {
        let Some(state) = self.states.get_mut(probe.of) else { return };
        if !state.waits || state.answered != probe.nth {
            return;
        }
        state.waits = false;
        state.answered += 1;
        let equal = |at: usize| equal.get(at).copied().unwrap_or_default();
        state.agreeing = probe.kept.iter().enumerate().filter(|(at, _)| equal(*at)).map(|(_, place)| *place).collect();
        if state.agreeing.is_empty() {
            self.differ += 1;
            if self.differ == 1 {
                // Tensors that were believed after one probe are not any more.
                self.open = largest_first(&self.plan);
            }
        } else {
            self.agree += usize::from(state.answered == 1);
            self.agree_fully += usize::from(state.answered == SIXTHS.len());
        }
        if self.agree == 0 && self.differ >= DIFFER {
            self.is_over = true;
        }
    }

    /// What is taken from held files, for each wanted file in the order of its bytes: tensors of which all probes were
    /// answered, and agreed at one place.
    pub fn finish(self) -> Vec<Vec<Copy>> {
        let enough = self.probes_each();
        let mut copies = vec![Vec::new(); self.plan.files];
        for (found, state) in self.plan.matches.iter().zip(&self.states).filter(|_| !self.is_over) {
            let place = found.best(|place| state.agreeing.contains(&place));
            if let Some(place) = place.filter(|_| state.answered >= enough && !state.waits) {
                copies[found.file].push(found.copy(place));
            }
        }
        copies.into_iter().map(joined).collect()
    }
}

fn largest_first(plan: &BorrowPlan) -> Vec<usize> {
    let mut order: Vec<usize> = (0..plan.matches.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(plan.matches[*at].len));
    order
}

#[cfg(test)]
mod tests;
