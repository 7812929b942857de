//! The protocol of leases, roots and the collector, as a state machine.
//!
//! One step is one operation on the disk. Taking a lock is one step with the first operation under it, and releasing it
//! with the last, because neither changes what another process can see. Processes are started again any number of times
//! after they finish, fail or are killed, and so is the collector. Every set of blobs is a bit mask.
//!
//! Left out: the time of grace (it only spares blobs), power loss (the simulated disk's business), partial bytes.

use crate::properties;
use stateright::{Model, Property};

pub type Set = u8;

/// Which rules are kept. The names say what `true` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A process leases what it needs.
    pub lease: bool,
    /// It looks for blobs after it leased them, not before.
    pub lease_before_look: bool,
    /// It leases under the shared store lock.
    pub shared_to_protect: bool,
    /// Leasing takes condemned blobs back from the trash, and so does rooting.
    pub restore: bool,
    /// It roots under the shared store lock.
    pub shared_to_root: bool,
    /// It looks for the blobs again after it wrote the root.
    pub look_after_root: bool,
    /// The root is written before the second look.
    pub root_before_look: bool,
    /// One process at a time downloads a blob.
    pub blob_lock: bool,
    /// Every process takes the locks of several blobs in the same order.
    pub sorted_locks: bool,
    /// The collector condemns and purges under the exclusive store lock.
    pub exclusive: bool,
    /// It reads the roots again under that lock.
    pub reread_roots: bool,
    /// It reads the leases under that lock.
    pub reread_leases: bool,
    /// It reads the roots before the leases.
    pub roots_before_leases: bool,
    /// It renames to `dead-` under that lock and unlinks later, instead of unlinking later from the trash.
    pub dead_name: bool,
    /// It brings back from the trash what is leased or rooted after all.
    pub rescue: bool,
    /// It keeps the records of a blob that is back at its address.
    pub spare_records: bool,
    /// It looks again, under the lock, whether records without a blob are still that.
    pub recheck_orphans: bool,
    /// Of those it keeps what is leased: its blob may be about to get its name.
    pub spare_leased: bool,
    /// One collector runs at a time.
    pub one_collector: bool,
    /// A view is removed only while nobody roots and shows it.
    pub view_lock: bool,
}

impl Rules {
    pub const ALL: Self = Self {
        lease: true,
        lease_before_look: true,
        shared_to_protect: true,
        restore: true,
        shared_to_root: true,
        look_after_root: true,
        root_before_look: true,
        blob_lock: true,
        sorted_locks: true,
        exclusive: true,
        reread_roots: true,
        reread_leases: true,
        roots_before_leases: true,
        dead_name: true,
        rescue: true,
        spare_records: true,
        recheck_orphans: true,
        spare_leased: true,
        one_collector: true,
        view_lock: true,
    };
}

/// A process that shows one view.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// The view, which names its root.
    pub view: u8,
    /// The blobs that it needs.
    pub needs: Set,
    /// Those of them whose address it learns only by downloading.
    pub late: Set,
}

pub struct Protocol {
    pub rules: Rules,
    pub roles: Vec<Role>,
    pub digests: u8,
    /// Whether a finished view may be removed again.
    pub removal: bool,
}

/// Where a process is: what its next step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Not running: it never was, has finished, failed or was killed.
    Off,
    Lease,
    Restore(u8),
    /// Looks for a blob, and where it is missing, locks its download.
    Admit(u8),
    /// Downloads what it admitted, and begins to publish the first.
    Fetch,
    /// Publishing a blob whose address was not known before: leases it and takes it back from the trash.
    RestoreLate(u8),
    Records(u8),
    Publish(u8),
    WriteRoot,
    LookAgain(u8),
    /// The second look found a blob gone; the command fails.
    Vanished,
    Finished,
    /// The links of the view are gone, its root is not.
    Removing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    pub at: At,
    /// What its lease file lists. The file of a killed process stays.
    pub leased: Set,
    /// What it relies on.
    pub seen: Set,
    /// What it downloads; it holds the lock of each whose address it knows.
    pub intake: Set,
}

/// Where a collector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gc {
    Off,
    /// Begins a section for one candidate by the first reading.
    First(u8),
    Second(u8),
    Condemn(u8),
    Doom(u8),
    DropRecords(u8),
    Unlink(u8),
    Orphan(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Collector {
    pub at: Gc,
    pub candidates: Set,
    pub orphans: Set,
    pub rooted: Set,
    pub leased: Set,
}

pub const IDLE: Collector = Collector { at: Gc::Off, candidates: 0, orphans: 0, rooted: 0, leased: 0 };
pub const GONE: Process = Process { at: At::Off, leased: 0, seen: 0, intake: 0 };

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Blobs under their address, in the trash under their own name, and in the trash as `dead-`.
    pub blobs: Set,
    pub trash: Set,
    pub dead: Set,
    /// Which have their records, in `meta/` and `segments/`.
    pub records: Set,
    /// By view: whose root is written, and whose process said that it was done.
    pub roots: Set,
    pub done: Set,
    pub processes: [Process; 3],
    pub collectors: [Collector; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Step(usize),
    Kill(usize),
    Remove(usize),
    Collect(usize),
    KillCollector(usize),
}

pub fn bit(digest: u8) -> Set {
    1 << digest
}

impl Protocol {
    pub fn role(&self, index: usize) -> Role {
        self.roles[index]
    }

    pub fn rooted(&self, state: &State) -> Set {
        self.roles.iter().filter(|role| state.roots & bit(role.view) != 0).fold(0, |all, role| all | role.needs)
    }

    pub fn next_needed(&self, index: usize, from: u8) -> Option<u8> {
        (from..self.digests).find(|digest| self.role(index).needs & bit(*digest) != 0)
    }

    /// The next blob to lock: upwards, but downwards for odd processes that do not sort.
    pub fn next_to_admit(&self, index: usize, after: Option<u8>) -> Option<u8> {
        let needs = |digest: &u8| self.role(index).needs & bit(*digest) != 0;
        match self.rules.sorted_locks || index.is_multiple_of(2) {
            true => (after.map_or(0, |digest| digest + 1)..self.digests).find(needs),
            false => (0..after.unwrap_or(self.digests)).rev().find(needs),
        }
    }

    /// Whether a process is inside a shared section, between two of its steps.
    pub fn in_shared(&self, index: usize, process: &Process) -> bool {
        match process.at {
            At::Restore(_) => self.rules.shared_to_protect && self.rules.lease,
            At::RestoreLate(_) => self.rules.shared_to_protect && self.rules.lease,
            At::LookAgain(digest) => {
                self.rules.shared_to_root && (self.rules.root_before_look || Some(digest) != self.next_needed(index, 0))
            }
            At::WriteRoot => self.rules.shared_to_root && !self.rules.root_before_look && self.rules.look_after_root,
            _ => false,
        }
    }

    pub fn in_exclusive(&self, collector: &Collector) -> bool {
        let inside = matches!(collector.at, Gc::Second(_) | Gc::Condemn(_) | Gc::DropRecords(_));
        inside && self.rules.exclusive
    }

    pub fn may_share(&self, state: &State) -> bool {
        !state.collectors.iter().any(|collector| self.in_exclusive(collector))
    }

    pub fn may_exclude(&self, state: &State) -> bool {
        let shared = (0..self.roles.len()).any(|index| self.in_shared(index, &state.processes[index]));
        !self.rules.exclusive || (!shared && self.may_share(state))
    }

    /// Whether the view of this process is being removed by another one, or, with `alone`, rooted and shown.
    pub fn view_is_taken(&self, index: usize, state: &State, alone: bool) -> bool {
        let inside = |at| matches!(at, At::Removing) || (alone && matches!(at, At::LookAgain(_)));
        let others = (0..self.roles.len()).filter(|other| *other != index && self.role(*other).view == self.role(index).view);
        self.rules.view_lock && others.into_iter().any(|other| inside(state.processes[other].at))
    }

    pub fn held(&self, index: usize, state: &State) -> Set {
        state.processes[index].intake & !self.role(index).late
    }

    /// Who holds the lock that this process needs for its next step.
    pub fn waits_for(&self, index: usize, state: &State) -> Option<usize> {
        let At::Admit(digest) = state.processes[index].at else { return None };
        let locks = self.rules.blob_lock && self.role(index).late & bit(digest) == 0 && state.blobs & bit(digest) == 0;
        (0..self.roles.len()).find(|other| locks && *other != index && self.held(*other, state) & bit(digest) != 0)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let nothing =
            State { blobs: 0, trash: 0, dead: 0, records: 0, roots: 0, done: 0, processes: [GONE; 3], collectors: [IDLE; 2] };
        // An empty store, and one where an earlier command left its blobs.
        let all = bit(self.digests) - 1;
        vec![nothing, State { blobs: all, records: all, ..nothing }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for index in 0..self.roles.len() {
            actions.push(Action::Step(index));
            match state.processes[index].at {
                At::Off if self.removal => actions.push(Action::Remove(index)),
                At::Off => {}
                _ => actions.push(Action::Kill(index)),
            }
        }
        for index in 0..state.collectors.len() {
            actions.push(Action::Collect(index));
            if state.collectors[index].at != Gc::Off {
                actions.push(Action::KillCollector(index));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Step(index) => self.step(index, &mut state)?,
            // The kernel frees its locks; its lease file stays.
            Action::Kill(index) => state.processes[index] = Process { leased: last.processes[index].leased, ..GONE },
            Action::Remove(index) => {
                let view = bit(self.role(index).view);
                if state.roots & view == 0 || self.view_is_taken(index, last, true) {
                    return None;
                }
                // The links go first.
                state.done &= !view;
                state.processes[index] = Process { at: At::Removing, ..GONE };
            }
            Action::Collect(index) => self.collect(index, &mut state)?,
            Action::KillCollector(index) => state.collectors[index] = IDLE,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
