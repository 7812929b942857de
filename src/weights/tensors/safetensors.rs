//! The table of a safetensors file, from a stream. The header's JSON is cut into its entries, and each is read by itself.

use super::{
    super::{
        HeaderError,
        safetensors::{self as header, LONGEST, damaged, filled},
    },
    ALL_NAMES, LONGEST_NAME, MOST_TENSORS, Tensor, TensorKind, TensorTable, too_large,
};
use std::sync::Arc;

/// Bytes of one tensor's entry behind its name.
const LONGEST_ENTRY: usize = 16 << 10;
/// Types whose names are shared; there are twenty.
const MOST_DTYPES: usize = 64;
const METADATA: &str = "__metadata__";

pub(super) struct Reader {
    len: u64,
    /// The first bytes, which are the length of the JSON text.
    length: Vec<u8>,
    /// Bytes of the JSON text that are still to come.
    left: u64,
    at: At,
    /// The JSON of the name or of the entry that is being read.
    text: Vec<u8>,
    name: String,
    names: u64,
    dtypes: Vec<Arc<str>>,
    /// Their places are counted from where the tensors begin.
    tensors: Vec<Tensor>,
}

/// What comes next in the JSON text.
#[derive(Clone, Copy)]
enum At {
    Object,
    /// A name; the first may be missing.
    Name {
        first: bool,
    },
    InName {
        escaped: bool,
    },
    Colon,
    Entry {
        depth: u32,
        text: bool,
        escaped: bool,
    },
    Comma,
    End,
}

impl Reader {
    pub(super) fn new(len: u64) -> Self {
        Self {
            len,
            length: Vec::new(),
            left: 0,
            at: At::Object,
            text: Vec::new(),
            name: String::new(),
            names: 0,
            dtypes: Vec::new(),
            tensors: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Option<TensorTable>, HeaderError> {
        if self.length.len() < 8 {
            let (length, rest) = bytes.split_at(bytes.len().min(8 - self.length.len()));
            self.length.extend_from_slice(length);
            let Some(length) = self.length.first_chunk().map(|length| u64::from_le_bytes(*length)) else { return Ok(None) };
            if !(2..=LONGEST).contains(&length) || length + 8 > self.len {
                let why = "it does not begin with the length of a JSON text and that text".into();
                return Err(HeaderError::NotThis { format: header::NAME, why });
            }
            (self.left, bytes) = (length, rest);
        }
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left -= here as u64;
        for byte in &bytes[..here] {
            self.read(*byte)?;
        }
        match (self.left, self.at) {
            (0, At::End) => self.finish().map(Some),
            (0, _) => Err(damaged("its header ends in the middle of a JSON text")),
            _ => Ok(None),
        }
    }

    fn read(&mut self, byte: u8) -> Result<(), HeaderError> {
        let odd = || Err(damaged("its header is no JSON object of tensors"));
        match self.at {
            At::InName { escaped } => {
                self.keep(byte, LONGEST_NAME as usize * 6)?;
                self.at = match byte {
                    b'"' if !escaped => {
                        self.name = json(&self.text)?;
                        self.text.clear();
                        At::Colon
                    }
                    _ => At::InName { escaped: byte == b'\\' && !escaped },
                };
            }
            At::Entry { depth, text, escaped } => {
                if self.name != METADATA {
                    self.keep(byte, LONGEST_ENTRY)?;
                }
                let (depth, text, escaped) = match byte {
                    b'"' if !escaped => (depth, !text, false),
                    _ if text => (depth, true, byte == b'\\' && !escaped),
                    b'{' | b'[' => (depth.saturating_add(1), false, false),
                    b'}' | b']' => (depth.saturating_sub(1), false, false),
                    b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return Ok(()),
                    _ if depth == 0 => return odd(),
                    _ => (depth, false, false),
                };
                self.at = At::Entry { depth, text, escaped };
                if depth == 0 {
                    self.entry()?;
                    self.at = At::Comma;
                }
            }
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
            At::Object if byte == b'{' => self.at = At::Name { first: true },
            At::Name { .. } if byte == b'"' => {
                self.text.push(byte);
                self.at = At::InName { escaped: false };
            }
            At::Name { first: true } if byte == b'}' => self.at = At::End,
            At::Colon if byte == b':' => self.at = At::Entry { depth: 0, text: false, escaped: false },
            At::Comma if byte == b',' => self.at = At::Name { first: false },
            At::Comma if byte == b'}' => self.at = At::End,
            _ => return odd(),
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8, most: usize) -> Result<(), HeaderError> {
        if self.text.len() >= most {
            return Err(too_large("longer entries"));
        }
        self.text.push(byte);
        Ok(())
    }

    fn entry(&mut self) -> Result<(), HeaderError> {
        let name = std::mem::take(&mut self.name);
        if name == METADATA {
            return Ok(());
        }
        let entry: header::Tensor = json(&self.text)?;
        self.text.clear();
        self.names = self.names.saturating_add(name.len() as u64);
        if self.tensors.len() as u64 >= MOST_TENSORS || name.len() as u64 > LONGEST_NAME || self.names > ALL_NAMES {
            return Err(too_large("more tensors or longer names"));
        }
        let (start, end) = entry.data_offsets;
        // The order is only known at the end; what can be said of one tensor is said now.
        entry.fits(&name, start)?;
        let kind = TensorKind::Safetensors(self.dtype(&entry.dtype));
        self.tensors.push(Tensor { name: name.into(), kind, shape: entry.shape.into(), offset: start, len: end - start });
        Ok(())
    }

    fn dtype(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.dtypes.iter().find(|known| ***known == *name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if self.dtypes.len() < MOST_DTYPES {
            self.dtypes.push(new.clone());
        }
        new
    }

    fn finish(&mut self) -> Result<TensorTable, HeaderError> {
        let header_len = self.length.first_chunk().map_or(0, |length| u64::from_le_bytes(*length)) + 8;
        let mut tensors = std::mem::take(&mut self.tensors);
        tensors.sort_by_key(|tensor| (tensor.offset, tensor.len));
        let mut next = 0;
        for tensor in &mut tensors {
            if tensor.offset != next {
                return Err(damaged("a tensor does not begin where the one before it ends"));
            }
            // Each ends within 64 bits, for it was read as a pair of them.
            next = tensor.offset + tensor.len;
            tensor.offset = tensor.offset.saturating_add(header_len);
        }
        filled(next, self.len - header_len)?;
        Ok(TensorTable { tensors, header_len, file_len: self.len })
    }
}

fn json<'t, T: serde::Deserialize<'t>>(text: &'t [u8]) -> Result<T, HeaderError> {
    serde_json::from_slice(text).map_err(|error| damaged(format!("its header cannot be read: {:.200}", error.to_string())))
}
