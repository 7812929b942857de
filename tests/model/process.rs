//! The steps of a process that shows a view: lease, look, download, publish, root.

use crate::protocol::*;

impl Protocol {
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

    pub fn step(&self, index: usize, state: &mut State) -> Option<()> {
        let role = self.role(index);
        let rules = self.rules;
        let may_share = self.may_share(state);
        let section = |kept: bool| (!kept || may_share).then_some(());
        let waits = self.waits_for(index, state).is_some();
        let mut me = state.processes[index];
        if me.at == At::WriteRoot && self.view_is_taken(index, state, false) {
            return None;
        }
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
}
