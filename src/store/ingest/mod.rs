//! How bytes become a blob: written and hashed, kept through a crash, published under their digest.

pub(in crate::store) mod borrow;
pub(in crate::store) mod borrowed;
pub(in crate::store) mod cursor;
pub(super) mod import;
pub(super) mod journal;
pub(super) mod other_store;
pub(super) mod partial;
pub(super) mod publish;
pub(super) mod staging;
pub(super) mod writer;
