//! Doors for `fuzz/` to readers of foreign bytes that no other program needs: built with the feature `fuzzing` only, and no
//! part of the library's interface. Readers that are public already are called directly.

pub use crate::{
    config::fuzzing::{parse_count, parse_endpoint, parse_patience, parse_rate, parse_settings, parse_time, parse_timeout},
    http::fuzzing::{life_of_signed, pause_asked_for, printable, redirect_target},
    source::hub::fuzzing::{Listed, listing, next_page, page_address, pinned, refusal},
    store::fuzzing::{identity, journal},
};
