//! What must always hold, and what must be possible lest the check be empty.

use crate::protocol::*;
use stateright::Property;

pub const VIEWS_WHOLE: &str = "a finished view has all its blobs";
pub const SEEN_STAYS: &str = "what a running process found or made stays at its address";
pub const NO_VANISHING: &str = "rooting never finds a blob gone";
pub const ONE_WRITER: &str = "a blob has one downloader at most";
pub const RECORDED: &str = "a blob at its address has its records";
pub const ROOTED_STAYS: &str = "the last copy of what a root names is not doomed";
pub const NO_EMBRACE: &str = "no two processes wait for each other";
pub const FINISHES: &str = "a process can finish";
pub const ALL_FINISH: &str = "all views can be finished at once";
pub const REUSES: &str = "a process can use what another one made";
pub const CONDEMNS: &str = "the collector condemns what nothing needs";
pub const DOOMS: &str = "the collector dooms what nobody took back";
pub const TAKES_BACK: &str = "a process takes a blob back from the trash";
pub const SPARES: &str = "the collector spares a candidate that was leased or rooted meanwhile";
pub const OUTLIVES: &str = "what only a killed process leased is condemned";

pub fn all() -> Vec<Property<Protocol>> {
    fn running(state: &State) -> impl Iterator<Item = &Process> {
        state.processes.iter().filter(|process| process.at != At::Off)
    }
    vec![
        Property::always(VIEWS_WHOLE, |model: &Protocol, state: &State| {
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
        Property::always(ROOTED_STAYS, |model, state: &State| {
            state.collectors.iter().all(|collector| match collector.at {
                Gc::DropRecords(digest) => model.rooted(state) & !state.blobs & bit(digest) == 0,
                _ => true,
            })
        }),
        Property::always(NO_EMBRACE, |model, state: &State| {
            (0..model.roles.len())
                .all(|index| model.waits_for(index, state).is_none_or(|other| model.waits_for(other, state) != Some(index)))
        }),
        Property::sometimes(FINISHES, |_, state: &State| state.done != 0),
        Property::sometimes(ALL_FINISH, |model, state: &State| model.roles.iter().all(|role| state.done & bit(role.view) != 0)),
        Property::sometimes(REUSES, |_, state: &State| running(state).any(|process| process.at == At::Fetch && process.seen != 0)),
        Property::sometimes(CONDEMNS, |_, state: &State| state.trash != 0),
        Property::sometimes(DOOMS, |model, state: &State| if model.rules.dead_name { state.dead != 0 } else { state.trash != 0 }),
        Property::sometimes(TAKES_BACK, |model, state: &State| {
            let before_looking = |at| matches!(at, At::Restore(_) | At::Admit(0) | At::RestoreLate(_));
            !model.rules.restore || running(state).any(|process| before_looking(process.at) && process.seen != 0)
        }),
        Property::sometimes(SPARES, |_, state: &State| {
            state.collectors.iter().any(
                |collector| matches!(collector.at, Gc::Condemn(digest) if (collector.rooted | collector.leased) & bit(digest) != 0),
            )
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
