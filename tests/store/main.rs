//! The store, from outside: what it promises, under attack.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
#[path = "../support/fsck.rs"]
mod fsck;

#[path = "../support/sim_disk.rs"]
mod sim_disk;

mod borrowing;
mod checking;
mod child;
mod collecting;
mod damage;
mod failed_syncs;
mod faults;
mod importing;
mod kit;
mod known_stores;
mod layout_doc;
mod locks;
mod opening;
mod owners;
mod power_loss;
mod resuming;
mod roots;
mod trust;
mod writing;
