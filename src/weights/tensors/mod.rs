//! Which tensors a file has and where, read as a stream: what a header costs is its table, whatever else it holds.

mod gguf;
mod safetensors;
#[cfg(test)]
pub(super) mod tests;

use super::{FileKind, HeaderError};
use std::{fmt, ops::Range, sync::Arc};

/// Tensors of one file. The largest models have some hundred thousand in all their files together.
const MOST_TENSORS: u64 = 1 << 17;
/// Bytes of one name, and of all names of a file.
const LONGEST_NAME: u64 = 1 << 10;
const ALL_NAMES: u64 = 16 << 20;
/// The longest header that is read, in bytes.
const LONGEST_HEADER: u64 = 128 << 20;

/// How a tensor is kept, as its file says it. Equal numbers or words mean equal formats within one kind of file only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TensorKind {
    /// The number of a type of ggml.
    Gguf(u32),
    /// A type of safetensors, such as `BF16`.
    Safetensors(Arc<str>),
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gguf(number) => write!(f, "ggml type {number}"),
            Self::Safetensors(dtype) => f.write_str(&crate::text::short(dtype, 40)),
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, as the file has it.
    pub name: Box<str>,
    /// How it is kept.
    pub kind: TensorKind,
    /// Its dimensions, in the order of the file.
    pub shape: Box<[u64]>,
    /// Where it begins, in bytes from the beginning of the file.
    pub offset: u64,
    /// How many bytes it has, without what fills the room behind it.
    pub len: u64,
}

/// The tensors of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TensorTable {
    /// In the order of their places. They may overlap, and names may be duplicates: files of others are not trusted.
    pub tensors: Vec<Tensor>,
    /// Where the bytes of tensors begin.
    pub header_len: u64,
    /// The length of the file.
    pub file_len: u64,
}

/// Reads the table from the bytes of a file's beginning, in pieces of any length, and keeps none of them.
pub struct TableReader {
    len: u64,
    format: Format,
    /// How many bytes were pushed.
    at: u64,
}

enum Format {
    Gguf(gguf::Reader),
    Safetensors(safetensors::Reader),
}

impl TableReader {
    /// A reader for a file of `len` bytes, if files of this name have a table.
    pub fn new(name: &str, len: u64) -> Option<Self> {
        Self::of_kind(FileKind::of(name)?, len)
    }

    fn of_kind(kind: FileKind, len: u64) -> Option<Self> {
        let format = match kind {
            FileKind::Gguf => Format::Gguf(gguf::Reader::new(len)),
            FileKind::Safetensors => Format::Safetensors(safetensors::Reader::new(len)),
            _ => return None,
        };
        Some(Self { len, format, at: 0 })
    }

    /// The same for a file that begins with these bytes, whatever its name is. They are to be pushed all the same.
    pub fn of_content(head: &[u8], len: u64) -> Option<Self> {
        Self::of_kind(super::kind_by_content(head)?, len)
    }

    /// From which byte of the file on the next ones are needed.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The bytes of the file that are worth reading next, `most` at a time; empty where the file or the longest header that
    /// is read ends.
    pub fn needed(&self, most: u64) -> Range<u64> {
        self.at..self.at.saturating_add(most).min(self.len).min(LONGEST_HEADER)
    }

    /// Takes the bytes that follow. The table, once it is complete: what comes behind the header is passed over.
    ///
    /// # Errors
    /// [`HeaderError`] where this is no such file, a damaged one, or one whose table is larger than is kept. The reader is
    /// of no use after that.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<TensorTable>, HeaderError> {
        self.at = self.at.saturating_add(bytes.len() as u64);
        let table = match &mut self.format {
            Format::Gguf(reader) => reader.push(bytes)?,
            Format::Safetensors(reader) => reader.push(bytes)?,
        };
        let Some(mut table) = table else {
            return match self.needed(1).is_empty() {
                true => Err(HeaderError::Damaged { format: self.format.name(), why: "its header has no end".into() }),
                false => Ok(None),
            };
        };
        table.tensors.sort_by_key(|tensor| (tensor.offset, tensor.len));
        table.tensors.shrink_to_fit();
        Ok(Some(table))
    }
}

impl Format {
    fn name(&self) -> &'static str {
        match self {
            Self::Gguf(_) => super::gguf::cursor::NAME,
            Self::Safetensors(_) => super::safetensors::NAME,
        }
    }
}

/// Refuses a table that is larger than is kept.
fn too_large(what: &str) -> HeaderError {
    HeaderError::Unknown(format!("a table with {what} than are kept"))
}
