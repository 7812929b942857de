//! What goes with a model, what stays for others, and what is said of what is here.

use crate::kit::*;
use model_manager::{
    CheckMode, ErrorKind, GcOptions, Selector,
    reports::{ListedState, VerifyState},
};

#[test]
fn a_model_goes_with_its_content() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.manager().remove(&Selector::new("tiny").unwrap(), false, false).unwrap();
    assert!(scene.project.shown().is_empty() && !scene.project.blob(&scene.content()).exists());
    assert!(scene.project.manager().list(None).unwrap().is_empty());
    scene.project.assert_promises();
}

#[test]
fn content_that_another_project_uses_stays() {
    let scene = Scene::new();
    let second = scene.project.beside(&scene.dir.path().join("q"), Some(&scene.project.store()));
    scene.project.download("tiny:q4_k_m").unwrap();
    second.download("tiny:q4_k_m").unwrap();
    scene.project.manager().remove(&Selector::new("tiny").unwrap(), false, false).unwrap();
    second.assert_shown(SHOWN, &scene.content());
    second.assert_promises();
}

#[test]
fn a_dry_run_removes_nothing() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.manager().remove(&Selector::new("tiny").unwrap(), false, true).unwrap();
    scene.project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn content_stays_where_it_is_to_be_kept_and_the_collector_takes_it() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    scene.project.manager().remove(&Selector::new("tiny").unwrap(), true, false).unwrap();
    assert!(scene.project.blob(&scene.content()).exists());
    let now = GcOptions { grace: std::time::Duration::ZERO, ..GcOptions::default() };
    scene.project.manager().gc(now, false, false).unwrap();
    assert!(!scene.project.blob(&scene.content()).exists());
}

#[test]
fn the_collector_leaves_what_is_used() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    let now = GcOptions { grace: std::time::Duration::ZERO, ..GcOptions::default() };
    scene.project.manager().gc(now, false, false).unwrap();
    scene.project.assert_shown(SHOWN, &scene.content());
}

#[test]
fn what_is_not_here_cannot_be_removed() {
    let scene = Scene::new();
    refused(scene.project.manager().remove(&Selector::new("nonsuch").unwrap(), false, false), ErrorKind::NotFound);
}

#[test]
fn a_path_is_given_of_what_is_here_only() {
    let scene = Scene::new();
    refused(scene.project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()), ErrorKind::NotFound);
    scene.project.download("tiny:q4_k_m").unwrap();
    assert!(scene.project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()).unwrap().ends_with(SHOWN));
}

#[test]
fn a_model_whose_content_is_gone_is_listed_as_broken() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(scene.project.manager().list(None).unwrap()[0].state, ListedState::Stored);
    std::fs::remove_file(scene.project.blob(&scene.content())).unwrap();
    assert_eq!(scene.project.manager().list(None).unwrap()[0].state, ListedState::Broken);
}

#[test]
fn every_byte_of_what_is_here_is_looked_at() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        let found = scene.project.manager().verify(&[], mode).unwrap();
        assert!(found.len() == 1 && found[0].state == VerifyState::Ok, "{found:?}");
    }
}

#[test]
fn one_format_only_is_listed_where_that_is_asked_for() {
    let scene = Scene::new();
    scene.project.download("tiny:q4_k_m").unwrap();
    let listed = |format: &str| scene.project.manager().list(Some(&format.parse().unwrap())).unwrap().len();
    assert_eq!((listed("gguf"), listed("safetensors")), (1, 0));
}
