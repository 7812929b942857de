//! What goes with a model, what stays for others, and what is said of what is here.

use crate::kit::*;
use model_manager::{
    CheckMode, ErrorKind, GcOptions, Selector,
    reports::{ListedState, VerifyState},
};

#[test]
fn a_model_goes_with_its_content() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.manager().remove(&Selector::new("tiny").unwrap(), false, false).unwrap();
    assert!(machine.project.shown().is_empty() && !machine.project.blob(&machine.content()).exists());
    assert!(machine.project.manager().list(None).unwrap().is_empty());
    machine.project.assert_promises();
}

#[test]
fn content_that_another_project_uses_stays() {
    let machine = Machine::new();
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&machine.project.store()));
    machine.project.download("tiny:q4_k_m").unwrap();
    second.download("tiny:q4_k_m").unwrap();
    machine.project.manager().remove(&Selector::new("tiny").unwrap(), false, false).unwrap();
    second.assert_shown(SHOWN, &machine.content());
    second.assert_promises();
}

#[test]
fn a_dry_run_removes_nothing() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.manager().remove(&Selector::new("tiny").unwrap(), false, true).unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn content_stays_where_it_is_to_be_kept_and_the_collector_takes_it() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.manager().remove(&Selector::new("tiny").unwrap(), true, false).unwrap();
    assert!(machine.project.blob(&machine.content()).exists());
    let now = GcOptions { grace: std::time::Duration::ZERO, ..GcOptions::default() };
    machine.project.manager().gc(now, false, false).unwrap();
    assert!(!machine.project.blob(&machine.content()).exists());
}

#[test]
fn the_collector_leaves_what_is_used() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    let now = GcOptions { grace: std::time::Duration::ZERO, ..GcOptions::default() };
    machine.project.manager().gc(now, false, false).unwrap();
    machine.project.assert_shown(SHOWN, &machine.content());
}

#[test]
fn what_is_not_here_cannot_be_removed() {
    let machine = Machine::new();
    refused(machine.project.manager().remove(&Selector::new("nonsuch").unwrap(), false, false), ErrorKind::NotFound);
}

#[test]
fn a_path_is_given_of_what_is_here_only() {
    let machine = Machine::new();
    refused(machine.project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()), ErrorKind::NotFound);
    machine.project.download("tiny:q4_k_m").unwrap();
    assert!(machine.project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()).unwrap().ends_with(SHOWN));
}

#[test]
fn a_model_whose_content_is_gone_is_listed_as_broken() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(machine.project.manager().list(None).unwrap()[0].state, ListedState::Stored);
    std::fs::remove_file(machine.project.blob(&machine.content())).unwrap();
    assert_eq!(machine.project.manager().list(None).unwrap()[0].state, ListedState::Broken);
}

#[test]
fn every_byte_of_what_is_here_is_looked_at() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        let found = machine.project.manager().verify(&[], mode).unwrap();
        assert!(found.len() == 1 && found[0].state == VerifyState::Ok, "{found:?}");
    }
}

#[test]
fn one_format_only_is_listed_where_that_is_asked_for() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    let listed = |format: &str| machine.project.manager().list(Some(&format.parse().unwrap())).unwrap().len();
    assert_eq!((listed("gguf"), listed("safetensors")), (1, 0));
}
