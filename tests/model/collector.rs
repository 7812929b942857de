//! The steps of a collector: census, condemn, purge, orphans. Each section covers one blob, which is the most that a
//! real one may be interrupted; between sections it starts reading again.

use crate::protocol::*;

impl Protocol {
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

    pub fn collect(&self, index: usize, state: &mut State) -> Option<()> {
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
                } else {
                    section()?;
                    let needed = rules.rescue && (self.rooted(state) | self.live_leases(state)) & bit(digest) != 0;
                    if needed && state.blobs & bit(digest) == 0 {
                        state.trash &= !bit(digest);
                        state.blobs |= bit(digest);
                        me.at = self.after_purge(digest, &me);
                    } else {
                        if rules.dead_name {
                            state.trash &= !bit(digest);
                            state.dead |= bit(digest);
                        }
                        me.at = Gc::DropRecords(digest);
                    }
                }
            }
            Gc::DropRecords(digest) => {
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
                let leased = if rules.spare_leased { self.live_leases(state) } else { 0 };
                if !rules.recheck_orphans || (state.blobs | state.trash | leased) & bit(digest) == 0 {
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
