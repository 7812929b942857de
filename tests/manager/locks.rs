//! What is locked, what stays and what moves.

use crate::{kit::*, support::hub::Content};
use model_manager::{ErrorKind, LockOptions, Selector, reports::LockState};

#[test]
fn a_pinned_entry_is_locked_without_a_request() {
    let machine = Machine::new();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    assert_eq!(machine.requests(), 0);
    assert!(machine.project.lock_text().unwrap().contains(&machine.hub.commit(REPO)));
}

#[test]
fn an_open_entry_is_locked_at_the_commit_of_its_branch() {
    let machine = Machine::open();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let text = machine.project.lock_text().unwrap();
    assert!(text.contains(&machine.hub.commit(REPO)) && text.contains(machine.content().sha256()), "{text}");
}

#[test]
fn a_lock_that_changes_nothing_writes_nothing() {
    let machine = Machine::open();
    let lock = || machine.project.manager().lock(&[Selector::new("tiny:q4_k_m").unwrap()], LockOptions::default()).unwrap();
    assert!(lock().written);
    let text = machine.project.lock_text();
    assert!(!lock().written);
    assert_eq!(machine.project.lock_text(), text);
}

#[test]
fn a_dry_run_says_what_would_be_locked_and_writes_nothing() {
    let machine = Machine::open();
    let mut options = LockOptions::default();
    options.dry_run = true;
    let report = machine.project.manager().lock(&[Selector::new("tiny:q4_k_m").unwrap()], options).unwrap();
    assert_eq!((report.entries.len(), report.written), (1, false));
    assert_eq!(machine.project.lock_text(), None);
}

#[test]
fn what_is_locked_stays_when_its_branch_moves() {
    let machine = Machine::open();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let text = machine.project.lock_text();
    machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    machine.project.lock(&[], false).unwrap();
    assert_eq!(machine.project.lock_text(), text);
}

#[test]
fn an_update_moves_what_its_branch_moved() {
    let machine = Machine::open();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let new = machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    let mut options = LockOptions::default();
    options.update = true;
    let report = machine.project.manager().lock(&[], options).unwrap();
    assert_eq!(report.entries[0].state, LockState::Moved);
    assert!(machine.project.lock_text().unwrap().contains(&new));
}

#[test]
fn an_update_asks_nothing_about_what_the_registry_pins() {
    let machine = Machine::new();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    let text = machine.project.lock_text();
    machine.project.lock(&[], true).unwrap();
    assert_eq!((machine.project.lock_text(), machine.requests()), (text, 0));
}

#[test]
fn all_is_locked_or_nothing() {
    let machine = Machine::open();
    refused(machine.project.lock(&["tiny:q4_k_m", "nonsuch"], false), ErrorKind::NotFound);
    assert_eq!(machine.project.lock_text(), None);
}

#[test]
fn without_a_name_what_is_here_is_locked() {
    let machine = Machine::new();
    machine.project.download("tiny:q8_0").unwrap();
    machine.project.lock(&[], false).unwrap();
    let text = machine.project.lock_text().unwrap();
    assert!(text.contains(Q8) && !text.contains(Q4), "{text}");
}

#[test]
fn a_check_finds_what_is_used_and_not_locked() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    assert!(machine.project.manager().check_lock(&[]).unwrap().problems.is_empty());
    machine.project.download("tiny:q8_0").unwrap();
    assert_eq!(machine.project.manager().check_lock(&[]).unwrap().problems.len(), 1);
}

#[test]
fn a_registry_that_pins_another_commit_is_followed() {
    let machine = Machine::new();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let new = machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    let project = machine.project.knowing(registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", Q4)])]));
    project.lock(&[], false).unwrap();
    assert!(project.lock_text().unwrap().contains(&new));
}

#[test]
fn offline_an_update_is_refused_and_changes_nothing() {
    let machine = Machine::open();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    let text = machine.project.lock_text();
    machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    refused(machine.project.offline().lock(&[], true), ErrorKind::Network);
    assert_eq!(machine.project.lock_text(), text);
}
