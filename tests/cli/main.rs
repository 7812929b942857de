//! The real program against the test Hub: what a person, a script and an adversary do with it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/fsck.rs"]
mod fsck;
#[path = "../support/mod.rs"]
mod support;

mod headers;
mod json;
mod kit;
mod known_stores;
mod mounts;
mod move_store;
mod transcript;
mod web;

mod advice;
mod apps;
mod companions;
mod completions;
mod config;
mod crowd;
mod damage;
mod disk;
#[cfg(unix)]
mod documents;
mod events;
mod hostile;
mod labels;
mod layout_1;
#[cfg(target_os = "linux")]
mod limits;
mod lock;
mod main_job;
#[cfg(unix)]
mod members;
#[cfg(unix)]
mod messages;
mod moves;
mod name;
mod network;
mod old_tree;
#[cfg(unix)]
mod places;
mod project;
mod projector;
mod record;
mod references;
mod refusals;
mod registry_edit;
mod registry_lint;
mod repair;
mod resume;
mod search;
mod several;
mod sync;
mod trust;
mod url;
mod use_model;
#[cfg(unix)]
mod user_store;
#[cfg(windows)]
mod windows;
mod words;
