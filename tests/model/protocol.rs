//! The protocol of leases, roots and the collector, as a state machine.
//!
//! One step is one operation on the disk. Taking a lock is one step with the first operation under it, and releasing it
//! with the last, because neither changes what another process can see. Processes are started again any number of times
//! after they finish, fail or are killed, and so is the collector. Every set of blobs is a bit mask.
//!
//! Left out: the time of grace (it only spares blobs), power loss (the simulated disk's business), partial bytes.

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
    /// It publishes under the shared store lock.
    pub shared_to_publish: bool,
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
    /// It keeps the records of a blob that is back at its address.
    pub spare_records: bool,
    /// It looks again, under the lock, whether records without a blob are still that.
    pub recheck_orphans: bool,
    /// One collector runs at a time.
    pub one_collector: bool,
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
        shared_to_publish: true,
        blob_lock: true,
        sorted_locks: true,
        exclusive: true,
        reread_roots: true,
        reread_leases: true,
        roots_before_leases: true,
        dead_name: true,
        spare_records: true,
        recheck_orphans: true,
        one_collector: true,
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

const IDLE: Collector = Collector { at: Gc::Off, candidates: 0, orphans: 0, rooted: 0, leased: 0 };
const GONE: Process = Process { at: At::Off, leased: 0, seen: 0, intake: 0 };

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

fn bit(digest: u8) -> Set {
    1 << digest
}

pub const VIEWS_WHOLE: &str = "a finished view has all its blobs";
pub const SEEN_STAYS: &str = "what a running process found or made stays at its address";
pub const NO_VANISHING: &str = "rooting never finds a blob gone";
pub const ONE_WRITER: &str = "a blob has one downloader at most";
pub const RECORDED: &str = "a blob at its address has its records";
pub const NO_EMBRACE: &str = "no two processes wait for each other";
pub const FINISHES: &str = "a process can finish";
pub const ALL_FINISH: &str = "all views can be finished at once";
pub const REUSES: &str = "a process can use what another one made";
pub const CONDEMNS: &str = "the collector condemns what nothing needs";
pub const DOOMS: &str = "the collector dooms what nobody took back";
pub const TAKES_BACK: &str = "a process takes a blob back from the trash";
pub const SPARES: &str = "the collector spares a candidate that was leased or rooted meanwhile";
pub const OUTLIVES: &str = "what only a killed process leased is condemned";

impl Protocol {
    fn role(&self, index: usize) -> Role {
        self.roles[index]
    }

    fn rooted(&self, state: &State) -> Set {
        self.roles.iter().filter(|role| state.roots & bit(role.view) != 0).fold(0, |all, role| all | role.needs)
    }

    fn next_needed(&self, index: usize, from: u8) -> Option<u8> {
        (from..self.digests).find(|digest| self.role(index).needs & bit(*digest) != 0)
    }

    /// The next blob to lock: upwards, but downwards for odd processes that do not sort.
    fn next_to_admit(&self, index: usize, after: Option<u8>) -> Option<u8> {
        let needs = |digest: &u8| self.role(index).needs & bit(*digest) != 0;
        match self.rules.sorted_locks || index.is_multiple_of(2) {
            true => (after.map_or(0, |digest| digest + 1)..self.digests).find(needs),
            false => (0..after.unwrap_or(self.digests)).rev().find(needs),
        }
    }

    /// Whether a process is inside a shared section, between two of its steps.
    fn in_shared(&self, index: usize, process: &Process) -> bool {
        match process.at {
            At::Restore(_) => self.rules.shared_to_protect && self.rules.lease,
            At::RestoreLate(_) => self.rules.shared_to_protect && self.rules.lease,
            At::Publish(_) => self.rules.shared_to_publish,
            At::LookAgain(digest) => {
                self.rules.shared_to_root && (self.rules.root_before_look || Some(digest) != self.next_needed(index, 0))
            }
            At::WriteRoot => self.rules.shared_to_root && !self.rules.root_before_look && self.rules.look_after_root,
            _ => false,
        }
    }

    fn in_exclusive(&self, collector: &Collector) -> bool {
        let inside = match collector.at {
            Gc::Second(_) | Gc::Condemn(_) => true,
            Gc::DropRecords(_) => self.rules.dead_name,
            _ => false,
        };
        inside && self.rules.exclusive
    }

    fn may_share(&self, state: &State) -> bool {
        !state.collectors.iter().any(|collector| self.in_exclusive(collector))
    }

    fn may_exclude(&self, state: &State) -> bool {
        let shared = (0..self.roles.len()).any(|index| self.in_shared(index, &state.processes[index]));
        !self.rules.exclusive || (!shared && self.may_share(state))
    }

    fn held(&self, index: usize, state: &State) -> Set {
        state.processes[index].intake & !self.role(index).late
    }

    /// Who holds the lock that this process needs for its next step.
    fn waits_for(&self, index: usize, state: &State) -> Option<usize> {
        let At::Admit(digest) = state.processes[index].at else { return None };
        let locks = self.rules.blob_lock && self.role(index).late & bit(digest) == 0 && state.blobs & bit(digest) == 0;
        (0..self.roles.len()).find(|other| locks && *other != index && self.held(*other, state) & bit(digest) != 0)
    }

    /// The step after the last blob is admitted.
    fn admitted(&self) -> At {
        match self.rules.lease && !self.rules.lease_before_look {
            true => At::Lease,
            false => At::Fetch,
        }
    }

    fn after_restore(&self, index: usize) -> At {
        match self.rules.lease_before_look {
            true => self.next_to_admit(index, None).map_or(At::Fetch, At::Admit),
            false => At::Fetch,
        }
    }

    fn step(&self, index: usize, state: &mut State) -> Option<()> {
        let role = self.role(index);
        let rules = self.rules;
        let may_share = self.may_share(state);
        let section = |kept: bool| (!kept || may_share).then_some(());
        let waits = self.waits_for(index, state).is_some();
        let mut me = state.processes[index];
        match me.at {
            At::Off => {
                let first = self.next_to_admit(index, None).map_or(At::Fetch, At::Admit);
                me = Process { at: if rules.lease && rules.lease_before_look { At::Lease } else { first }, ..GONE };
            }
            At::Lease => {
                section(rules.shared_to_protect)?;
                me.leased |= role.needs & !role.late;
                let first = (0..self.digests).find(|digest| me.leased & bit(*digest) != 0);
                me.at = first.filter(|_| rules.restore).map_or_else(|| self.after_restore(index), At::Restore);
            }
            At::Restore(digest) => {
                self.restore(digest, state, &mut me);
                let next = (digest + 1..self.digests).find(|digest| me.leased & bit(*digest) != 0);
                me.at = next.map_or_else(|| self.after_restore(index), At::Restore);
            }
            At::Admit(digest) => {
                if waits {
                    return None;
                }
                if state.blobs & bit(digest) != 0 && role.late & bit(digest) == 0 {
                    me.seen |= bit(digest);
                } else {
                    me.intake |= bit(digest);
                }
                me.at = self.next_to_admit(index, Some(digest)).map_or_else(|| self.admitted(), At::Admit);
            }
            At::Fetch => match (0..self.digests).find(|digest| me.intake & bit(*digest) != 0) {
                None => me.at = if rules.root_before_look || !rules.look_after_root { At::WriteRoot } else { At::LookAgain(0) },
                // It leases again before it publishes; of what it leased in the beginning nothing is in the trash.
                Some(digest) if rules.lease && role.late & bit(digest) != 0 => {
                    section(rules.shared_to_protect)?;
                    me.leased |= bit(digest);
                    me.at = if rules.restore { At::RestoreLate(digest) } else { At::Records(digest) };
                }
                Some(digest) => me.at = At::Records(digest),
            },
            At::RestoreLate(digest) => {
                self.restore(digest, state, &mut me);
                me.at = At::Records(digest);
            }
            At::Records(digest) => {
                section(rules.shared_to_publish)?;
                if state.blobs & bit(digest) != 0 {
                    me.seen |= bit(digest);
                    me.intake &= !bit(digest);
                    me.at = At::Fetch;
                } else {
                    state.records |= bit(digest);
                    me.at = At::Publish(digest);
                }
            }
            At::Publish(digest) => {
                // A rename that replaces nothing; what is there already is as good.
                state.blobs |= bit(digest);
                me.seen |= bit(digest);
                me.intake &= !bit(digest);
                me.at = At::Fetch;
            }
            At::WriteRoot => {
                if !self.in_shared(index, &me) {
                    section(rules.shared_to_root)?;
                }
                state.roots |= bit(role.view);
                me.at = match self.next_needed(index, 0) {
                    Some(digest) if rules.look_after_root && rules.root_before_look => At::LookAgain(digest),
                    _ => At::Finished,
                };
            }
            At::LookAgain(digest) => {
                if !self.in_shared(index, &me) {
                    section(rules.shared_to_root)?;
                }
                if state.blobs & bit(digest) == 0 && !self.restore(digest, state, &mut me) {
                    me.at = At::Vanished;
                } else {
                    let then = if rules.root_before_look { At::Finished } else { At::WriteRoot };
                    me.at = self.next_needed(index, digest + 1).map_or(then, At::LookAgain);
                }
            }
            At::Removing => {
                section(true)?;
                state.roots &= !bit(role.view);
                me = GONE;
            }
            // The lease file goes with the process.
            At::Vanished | At::Finished => me = GONE,
        }
        if me.at == At::Finished {
            state.done |= bit(role.view);
        }
        state.processes[index] = me;
        Some(())
    }

    /// Renames back from the trash, unless the address is taken.
    fn restore(&self, digest: u8, state: &mut State, me: &mut Process) -> bool {
        let can = self.rules.restore && state.trash & bit(digest) != 0 && state.blobs & bit(digest) == 0;
        if can {
            state.trash &= !bit(digest);
            state.blobs |= bit(digest);
            me.seen |= bit(digest);
        }
        can
    }

    fn live_leases(&self, state: &mut State) -> Set {
        let mut leased = 0;
        for process in &mut state.processes {
            match process.at {
                // Its lock is free: the process is dead, and its file is swept.
                At::Off => process.leased = 0,
                _ => leased |= process.leased,
            }
        }
        leased
    }

    fn next_candidate(&self, me: &Collector) -> Gc {
        let next = (0..self.digests).find(|digest| me.candidates & bit(*digest) != 0);
        next.map_or(Gc::Doom(0), Gc::First)
    }

    fn after_purge(&self, digest: u8, me: &Collector) -> Gc {
        match digest + 1 < self.digests {
            true => Gc::Doom(digest + 1),
            false => self.next_orphan(me),
        }
    }

    fn next_orphan(&self, me: &Collector) -> Gc {
        (0..self.digests).find(|digest| me.orphans & bit(*digest) != 0).map_or(Gc::Off, Gc::Orphan)
    }

    fn collect(&self, index: usize, state: &mut State) -> Option<()> {
        let rules = self.rules;
        let may_exclude = self.may_exclude(state);
        let section = || may_exclude.then_some(());
        let mut me = state.collectors[index];
        match me.at {
            Gc::Off => {
                // The census, without a lock.
                let busy = state.collectors.iter().any(|collector| collector.at != Gc::Off);
                if rules.one_collector && (index > 0 || busy) {
                    return None;
                }
                let rooted = self.rooted(state);
                me = Collector { candidates: state.blobs & !rooted, orphans: state.records & !state.blobs, ..IDLE };
                if !rules.reread_roots {
                    me.rooted = rooted;
                }
                if !rules.reread_leases {
                    me.leased = self.live_leases(state);
                }
                if (me.candidates | me.orphans | state.trash | state.dead) == 0 {
                    return None;
                }
                me.at = self.next_candidate(&me);
            }
            Gc::First(digest) => {
                section()?;
                self.read(rules.roots_before_leases, &mut me, state);
                me.at = Gc::Second(digest);
            }
            Gc::Second(digest) => {
                self.read(!rules.roots_before_leases, &mut me, state);
                me.at = Gc::Condemn(digest);
            }
            Gc::Condemn(digest) => {
                let needed = (me.rooted | me.leased) & bit(digest) != 0;
                if !needed && state.blobs & bit(digest) != 0 {
                    state.blobs &= !bit(digest);
                    state.trash |= bit(digest);
                }
                me.candidates &= !bit(digest);
                if rules.reread_roots {
                    me.rooted = 0;
                }
                if rules.reread_leases {
                    me.leased = 0;
                }
                me.at = self.next_candidate(&me);
                if !matches!(me.at, Gc::First(_)) {
                    (me.rooted, me.leased) = (0, 0);
                }
            }
            Gc::Doom(digest) => {
                if state.trash & bit(digest) == 0 {
                    // Perhaps an earlier collector was killed before it unlinked this one.
                    me.at = if state.dead & bit(digest) != 0 { Gc::Unlink(digest) } else { self.after_purge(digest, &me) };
                } else if rules.dead_name {
                    section()?;
                    state.trash &= !bit(digest);
                    state.dead |= bit(digest);
                    me.at = Gc::DropRecords(digest);
                } else {
                    me.at = Gc::DropRecords(digest);
                }
            }
            Gc::DropRecords(digest) => {
                if !rules.dead_name {
                    section()?;
                }
                if !rules.spare_records || state.blobs & bit(digest) == 0 {
                    state.records &= !bit(digest);
                }
                me.at = Gc::Unlink(digest);
            }
            Gc::Unlink(digest) => {
                state.dead &= !bit(digest);
                if !rules.dead_name {
                    state.trash &= !bit(digest);
                }
                me.at = self.after_purge(digest, &me);
            }
            Gc::Orphan(digest) => {
                section()?;
                if !rules.recheck_orphans || (state.blobs | state.trash) & bit(digest) == 0 {
                    state.records &= !bit(digest);
                }
                me.orphans &= !bit(digest);
                me.at = self.next_orphan(&me);
            }
        }
        state.collectors[index] = if me.at == Gc::Off { IDLE } else { me };
        Some(())
    }

    fn read(&self, roots: bool, me: &mut Collector, state: &mut State) {
        match roots {
            true if self.rules.reread_roots => me.rooted = self.rooted(state),
            false if self.rules.reread_leases => me.leased = self.live_leases(state),
            _ => {}
        }
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
                if state.roots & view == 0 {
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
        fn running(state: &State) -> impl Iterator<Item = &Process> {
            state.processes.iter().filter(|process| process.at != At::Off)
        }
        vec![
            Property::always(VIEWS_WHOLE, |model: &Self, state: &State| {
                model.roles.iter().all(|role| state.done & bit(role.view) == 0 || role.needs & !state.blobs == 0)
            }),
            Property::always(SEEN_STAYS, |_, state: &State| running(state).all(|process| process.seen & !state.blobs == 0)),
            Property::always(NO_VANISHING, |_, state: &State| running(state).all(|process| process.at != At::Vanished)),
            Property::always(ONE_WRITER, |model, state: &State| {
                let mut written = 0;
                (0..model.roles.len()).all(|index| {
                    let held = model.held(index, state);
                    let alone = held & written == 0;
                    written |= held;
                    alone
                })
            }),
            Property::always(RECORDED, |_, state: &State| state.blobs & !state.records == 0),
            Property::always(NO_EMBRACE, |model, state: &State| {
                (0..model.roles.len())
                    .all(|index| model.waits_for(index, state).is_none_or(|other| model.waits_for(other, state) != Some(index)))
            }),
            Property::sometimes(FINISHES, |_, state: &State| state.done != 0),
            Property::sometimes(ALL_FINISH, |model, state: &State| model.roles.iter().all(|role| state.done & bit(role.view) != 0)),
            Property::sometimes(REUSES, |_, state: &State| {
                running(state).any(|process| process.at == At::Fetch && process.seen != 0)
            }),
            Property::sometimes(CONDEMNS, |_, state: &State| state.trash != 0),
            Property::sometimes(
                DOOMS,
                |model, state: &State| if model.rules.dead_name { state.dead != 0 } else { state.trash != 0 },
            ),
            Property::sometimes(TAKES_BACK, |model, state: &State| {
                let before_looking = |at| matches!(at, At::Restore(_) | At::Admit(0) | At::RestoreLate(_));
                !model.rules.restore || running(state).any(|process| before_looking(process.at) && process.seen != 0)
            }),
            Property::sometimes(SPARES, |_, state: &State| {
                state.collectors.iter().any(|collector| {
                    matches!(collector.at, Gc::Condemn(digest) if (collector.rooted | collector.leased) & bit(digest) != 0)
                })
            }),
            // A lease that reaches the sweep and is not there after it, with a blob about to be condemned.
            Property::sometimes(OUTLIVES, |_, state: &State| {
                state.processes.iter().any(|process| process.at == At::Off && process.leased & state.blobs != 0)
                    && state.collectors.iter().any(|collector| {
                        matches!(collector.at, Gc::Second(digest) if collector.rooted & bit(digest) == 0
                            && running(state).all(|process| process.leased & bit(digest) == 0)
                            && state.processes.iter().any(|process| process.at == At::Off && process.leased & bit(digest) != 0))
                    })
            }),
        ]
    }
}
