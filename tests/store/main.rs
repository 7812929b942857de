//! The store, from outside: what it promises, under attack.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
#[path = "../support/fsck.rs"]
mod fsck;

mod checking;
mod child;
mod collecting;
mod faults;
mod intake;
mod kit;
mod layout_doc;
mod locks;
mod opening;
mod roots;
mod take_in;
