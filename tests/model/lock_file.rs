//! Lock files that get unlinked: a process can lock a file that lost its name, beside another that locks the new one.

use stateright::{Checker, Model, Property};

/// Processes that open the lock file (making it where it is missing), lock it and own what it guards; and a sweeper
/// that locks it and unlinks it.
struct LockFile {
    /// Whoever locked the file compares it with what has its name, and starts again where that is another.
    compares: bool,
    /// Whether the sweeper holds the file's lock when it unlinks.
    sweeps_under_lock: bool,
    processes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Off,
    Opened(u8),
    Locked(u8),
    Owns(u8),
}

/// The last of them is the sweeper.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    named: Option<u8>,
    at: Vec<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Step(usize),
    Kill(usize),
}

const ONE_OWNER: &str = "a lock has one owner at most";
const OWNED: &str = "a lock can be owned";
const SWEPT: &str = "a lock file can lose its name while others have it open";

impl State {
    fn is_locked(&self, inode: u8) -> bool {
        self.at.iter().any(|at| matches!(at, At::Locked(of) | At::Owns(of) if *of == inode))
    }

    /// The kernel gives the number of a file again once nobody has it open.
    fn free_inode(&self) -> u8 {
        let used = |inode: u8| self.named == Some(inode) || self.at.iter().any(|at| at.inode() == Some(inode));
        (0..).find(|inode| !used(*inode)).expect("fewer files than numbers")
    }
}

impl At {
    fn inode(self) -> Option<u8> {
        match self {
            Self::Off => None,
            Self::Opened(inode) | Self::Locked(inode) | Self::Owns(inode) => Some(inode),
        }
    }
}

impl Model for LockFile {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { named: None, at: vec![At::Off; self.processes + 1] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, at) in state.at.iter().enumerate() {
            actions.push(Action::Step(index));
            if *at != At::Off {
                actions.push(Action::Kill(index));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let (Action::Step(index) | Action::Kill(index)) = action;
        let is_sweeper = index == self.processes;
        state.at[index] = match (action, last.at[index]) {
            (Action::Kill(_), _) => At::Off,
            (_, At::Off) => {
                let inode = last.named.unwrap_or_else(|| last.free_inode());
                state.named = Some(inode);
                At::Opened(inode)
            }
            (_, At::Opened(inode)) if is_sweeper && !self.sweeps_under_lock => At::Owns(inode),
            (_, At::Opened(inode)) => match last.is_locked(inode) {
                true => return None,
                false => At::Locked(inode),
            },
            (_, At::Locked(inode)) if self.compares && last.named != Some(inode) => At::Off,
            (_, At::Locked(inode)) => At::Owns(inode),
            (_, At::Owns(_)) => {
                if is_sweeper {
                    state.named = None;
                }
                At::Off
            }
        };
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_OWNER, |model: &Self, state: &State| {
                let owners = state.at[..model.processes].iter().filter(|at| matches!(at, At::Owns(_)));
                owners.count() <= 1
            }),
            Property::sometimes(OWNED, |model, state: &State| {
                state.at[..model.processes].iter().any(|at| matches!(at, At::Owns(_)))
            }),
            Property::sometimes(SWEPT, |_, state: &State| state.named.is_none() && state.at.iter().any(|at| *at != At::Off)),
        ]
    }
}

fn check(compares: bool, sweeps_under_lock: bool) -> impl Checker<LockFile> {
    LockFile { compares, sweeps_under_lock, processes: 3 }.checker().spawn_bfs().join()
}

#[test]
fn a_lock_file_that_is_swept_has_one_owner() {
    let checker = check(true, true);
    checker.assert_properties();
    println!("lock file: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
}

#[test]
fn without_comparing_the_file_with_its_name_two_own_a_lock() {
    let path = check(false, true).discovery(ONE_OWNER).expect("a counterexample").into_actions();
    println!("lock file without the comparison: {path:?}");
    assert!(path.len() <= 16, "{path:?}");
}

#[test]
fn sweeping_a_lock_file_without_its_lock_gives_it_two_owners() {
    let path = check(true, false).discovery(ONE_OWNER).expect("a counterexample").into_actions();
    println!("lock file swept without its lock: {path:?}");
    assert!(path.len() <= 14, "{path:?}");
}
