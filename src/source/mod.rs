//! What can be named, pinned and listed: one folder for each kind of source.

pub mod hub;
