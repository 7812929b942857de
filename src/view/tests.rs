#![expect(clippy::disallowed_methods, reason = "tests arrange and inspect files directly")]

mod building;
mod listing;
mod removing;
mod support;
