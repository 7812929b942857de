//! What files of weights say about themselves: by their names, and in the headers of GGUF and safetensors files.
//!
//! Nothing in here reads a file or the network. Every length is held against the bytes that are left in the file before it
//! is believed, sums are checked, and memory is taken only for what is kept.

mod borrow;
mod check;
mod error;
mod gguf;
mod kind;
mod probes;
mod reader;
mod safetensors;
mod settings;
mod sketch;
mod tensors;

pub use borrow::{BorrowPlan, Copy, Match, Place, SMALLEST_SET, copies, copies_of_any_size};
pub use check::{head_check, kind_by_content};
pub use error::HeaderError;
pub use gguf::GgufHeader;
pub use kind::{FileKind, format_of, is_weights};
pub use probes::{Probe, Probes};
pub use reader::{Header, HeaderReader};
pub use safetensors::SafetensorsHeader;
pub use settings::ModelConfig;
pub use sketch::{SKETCH_LEN, TableSketch};
pub use tensors::{TableReader, Tensor, TensorKind, TensorTable};

/// How far a header could be read from the bytes that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<T> {
    /// It is longer: at least so many bytes from the beginning of the file are needed to get further.
    NeedMore(u64),
    /// All of it.
    Done(T),
}

impl<T> Parsed<T> {
    /// The same with what was read as something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Done(header) => Parsed::Done(f(header)),
            Self::NeedMore(bytes) => Parsed::NeedMore(bytes),
        }
    }

    /// The header, if all of it was there.
    #[cfg(feature = "unstable")]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(header) => Some(header),
            Self::NeedMore(_) => None,
        }
    }
}
