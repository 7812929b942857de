//! Which rules of the protocol are needed, and for what.

use crate::{properties::*, protocol::*};
use stateright::{Checker, HasDiscoveries, Model};
use std::{collections::BTreeSet, time::Instant};

fn role(view: u8, needs: Set, late: Set) -> Role {
    Role { view, needs, late }
}

/// Two processes, two blobs. The second process learns the address of one by downloading it.
fn two(rules: Rules) -> Protocol {
    Protocol { rules, roles: vec![role(0, 0b11, 0), role(1, 0b11, 0b10)], digests: 2, removal: true }
}

/// Two processes that both know two blobs beforehand.
fn knowing(rules: Rules) -> Protocol {
    Protocol { rules, roles: vec![role(0, 0b11, 0), role(1, 0b11, 0)], digests: 2, removal: true }
}

/// Three processes, one blob.
fn three(rules: Rules) -> Protocol {
    Protocol { rules, roles: vec![role(0, 1, 0), role(1, 1, 0), role(2, 1, 1)], digests: 1, removal: true }
}

/// Two processes, one blob.
fn pair(rules: Rules) -> Protocol {
    Protocol { rules, roles: vec![role(0, 1, 0), role(1, 1, 1)], digests: 1, removal: true }
}

/// Two processes that show the same view, one blob.
fn same_view(rules: Rules) -> Protocol {
    Protocol { rules, roles: vec![role(0, 1, 0), role(0, 1, 0)], digests: 1, removal: true }
}

/// Visits every state.
fn holds(name: &str, model: Protocol) {
    let begun = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states, depth {}, {:.1?}", checker.unique_state_count(), checker.max_depth(), begun.elapsed());
    checker.assert_properties();
}

/// The property breaks. Growing depths make the way to it short; it is searched for only where it is known to end.
fn breaks(name: &str, property: &'static str, limit: usize, model: impl Fn() -> Protocol) {
    let begun = Instant::now();
    let wanted = || HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let path = (2..=limit + 1).find_map(|depth| {
        let checker = model().checker().finish_when(wanted()).target_max_depth(depth).spawn_bfs().join();
        checker.discovery(property)
    });
    let path = path.unwrap_or_else(|| panic!("{name}: nothing breaks \"{property}\" within {limit} steps")).into_actions();
    println!("{name}: \"{property}\" breaks after {} steps, {:.1?}: {path:?}", path.len(), begun.elapsed());
}

/// All rules but these.
macro_rules! without {
    ($($rule:ident),*) => { Rules { $($rule: false,)* ..Rules::ALL } };
}

#[test]
fn the_rules_keep_two_processes_and_two_blobs_safe() {
    holds("two processes, two blobs", two(Rules::ALL));
}

#[test]
fn the_rules_keep_two_processes_that_know_both_blobs_safe() {
    holds("two processes, two known blobs", knowing(Rules::ALL));
}

#[test]
fn the_rules_keep_three_processes_and_one_blob_safe() {
    holds("three processes, one blob", three(Rules::ALL));
}

#[test]
fn without_a_lease_what_was_found_goes_away_and_rooting_fails() {
    breaks("no lease", SEEN_STAYS, 12, || two(without!(lease)));
    breaks("no lease", NO_VANISHING, 20, || pair(without!(lease)));
}

#[test]
fn without_a_lease_and_without_a_second_look_a_view_is_broken() {
    breaks("no lease, no second look", VIEWS_WHOLE, 14, || pair(without!(lease, look_after_root)));
}

#[test]
fn looking_before_leasing_finds_what_then_goes_away() {
    breaks("look before the lease", SEEN_STAYS, 12, || two(without!(lease_before_look)));
    breaks("look before the lease", NO_VANISHING, 20, || pair(without!(lease_before_look)));
    breaks("look before the lease, no second look", VIEWS_WHOLE, 20, || pair(without!(lease_before_look, look_after_root)));
}

#[test]
fn leasing_outside_the_shared_lock_is_overlooked() {
    breaks("lease without the lock", SEEN_STAYS, 14, || two(without!(shared_to_protect)));
    // The collector could still bring it back when it purges.
    breaks("lease without the lock, nothing is brought back", NO_VANISHING, 16, || pair(without!(shared_to_protect, rescue)));
}

#[test]
fn rooting_outside_the_shared_lock_is_overlooked() {
    breaks("root without the lock", VIEWS_WHOLE, 16, || pair(without!(shared_to_root)));
}

#[test]
fn records_that_wait_for_their_blob_are_lost_unless_the_collector_heeds_leases() {
    breaks("records of what is leased are not spared", RECORDED, 16, || pair(without!(spare_leased)));
}

#[test]
fn condemning_outside_the_exclusive_lock_breaks_a_view() {
    breaks("condemn without the lock", SEEN_STAYS, 14, || two(without!(exclusive)));
    breaks("condemn without the lock", VIEWS_WHOLE, 20, || pair(without!(exclusive)));
}

#[test]
fn roots_that_were_read_before_the_lock_are_out_of_date() {
    breaks("roots of the census", VIEWS_WHOLE, 20, || pair(without!(reread_roots)));
}

#[test]
fn leases_that_were_read_before_the_lock_are_out_of_date() {
    breaks("leases of the census", SEEN_STAYS, 14, || two(without!(reread_leases)));
}

#[test]
fn unlinking_from_the_trash_after_the_lock_loses_the_records_of_what_was_taken_back() {
    breaks("no dead- name", RECORDED, 16, || pair(without!(dead_name)));
}

#[test]
fn purging_an_old_copy_must_spare_the_records_of_the_new_one() {
    breaks("records are not spared", RECORDED, 30, || pair(without!(spare_records, restore)));
}

#[test]
fn records_that_had_no_blob_may_have_one_now() {
    breaks("orphans are not looked at again", RECORDED, 20, || pair(without!(recheck_orphans)));
}

#[test]
fn without_blob_locks_two_processes_download_one_blob() {
    breaks("no blob lock", ONE_WRITER, 12, || two(without!(blob_lock)));
}

#[test]
fn locks_in_different_orders_make_two_processes_wait_for_each_other() {
    breaks("locks in any order", NO_EMBRACE, 14, || knowing(without!(sorted_locks)));
}

/// With leases, the second look never finds anything missing. It is what is left where a lease fails to protect:
/// see `without_a_lease_and_without_a_second_look_a_view_is_broken`.
#[test]
fn the_second_look_is_a_second_defence() {
    holds("no second look", pair(without!(look_after_root)));
    holds("second look before the root", pair(without!(root_before_look)));
}

/// Renaming back saves a download, nothing else; nor does the collector then meet a blob that is back.
#[test]
fn taking_back_from_the_trash_only_saves_a_download() {
    holds("nothing is taken back", pair(without!(restore)));
}

/// A blob is in the trash and at its address only if it was downloaded again instead of taken back.
#[test]
fn sparing_the_records_is_a_second_defence_while_blobs_are_taken_back() {
    holds("records are not spared", pair(without!(spare_records)));
}

/// What a killed process rooted without taking it back from the trash would be lost otherwise; with leases it is not in
/// the trash then.
#[test]
fn bringing_back_what_is_rooted_is_a_second_defence() {
    holds("nothing is brought back by the collector", pair(without!(rescue)));
    breaks("no lease, nothing is brought back", ROOTED_STAYS, 20, || pair(without!(lease, rescue)));
}

/// Every section of a collector is alone and reads everything again.
#[test]
fn two_collectors_at_once_do_no_harm() {
    holds("two collectors", pair(without!(one_collector)));
}

/// The order in which the collector reads matters only where rooting is not locked: a process that ends in between has
/// no root yet at the first reading and no lease any more at the second. Reading leases first would be safe there.
#[test]
fn reading_leases_first_would_make_up_for_rooting_without_the_lock() {
    holds("leases first", pair(without!(roots_before_leases)));
    holds("leases first, root without the lock", pair(without!(roots_before_leases, shared_to_root)));
}

#[test]
fn two_processes_may_show_and_remove_the_same_view() {
    let checker = same_view(Rules::ALL).checker().spawn_bfs().join();
    println!("the same view: {} states", checker.unique_state_count());
    checker.assert_no_discovery(VIEWS_WHOLE);
    checker.assert_no_discovery(SEEN_STAYS);
}

#[test]
fn without_the_view_lock_a_removal_takes_the_root_of_a_view_that_was_just_shown() {
    breaks("no view lock", VIEWS_WHOLE, 24, || same_view(without!(view_lock)));
}
