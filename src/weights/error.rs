//! Why a header is none.

/// What is wrong with a header; the text goes on after the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first bytes are of something else.
    #[error("is not a {format} file: {why}")]
    NotThis {
        /// The format that it should be.
        format: &'static str,
        /// What it is, or what is missing.
        why: String,
    },
    /// It begins well and does not go on like that.
    #[error("is a damaged {format} file: {why}")]
    Damaged {
        /// Its format.
        format: &'static str,
        /// What is wrong.
        why: String,
    },
    /// GGUF with the most significant byte first.
    #[error("is a big-endian GGUF file, for machines such as IBM Z; this program reads little-endian headers only")]
    BigEndian,
    /// It may be good, but only another program can tell.
    #[error("cannot be looked into: {0} is not known to this program")]
    Unknown(String),
}

impl HeaderError {
    /// Whether the file is wrong for certain, and not just beyond this program.
    pub fn is_certain(&self) -> bool {
        matches!(self, Self::NotThis { .. } | Self::Damaged { .. })
    }
}
