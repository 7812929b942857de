//! The manager in process: its decisions, and the order of its steps under a disk that fails or loses power.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "../support/fsck.rs"]
mod fsck;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "../support/sim_disk.rs"]
mod sim_disk;
#[path = "../support/mod.rs"]
mod support;

mod apps;
mod borrow;
mod borrowing;
mod calls;
mod dedupe;
mod downloads;
mod entangled;
mod evictions;
mod exposures;
mod faults;
mod files;
mod kit;
mod known_stores;
mod lists;
mod locks;
mod move_store;
mod own_sources;
mod plans;
mod power_loss;
mod programs;
mod proofs;
mod read_only;
mod removals;
mod scans;
mod side_by_side;
mod syncs;
