//! What files of weights say about themselves: GGUF and safetensors headers, read from the first bytes.
//!
//! Nothing in here reads a file or the network. Every length is held against the bytes that are left in the file before it
//! is believed, sums are checked, and memory is taken only for what is kept.

mod check;
mod error;
mod gguf;
mod safetensors;

pub use check::head_check;
pub use error::HeaderError;
pub use gguf::GgufHeader;
pub use safetensors::SafetensorsHeader;

/// How far a header could be read from the bytes that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<T> {
    /// It is longer: at least so many bytes from the beginning of the file are needed to get further.
    NeedMore(u64),
    /// All of it.
    Done(T),
}

impl<T> Parsed<T> {
    /// The header, if all of it was there.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(header) => Some(header),
            Self::NeedMore(_) => None,
        }
    }
}
