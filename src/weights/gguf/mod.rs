//! The header of a GGUF file: key-values and the table of tensors.
//!
//! Versions 2 and 3, which differ only in that 3 may be big-endian. The format is described at
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

pub(super) mod cursor;
#[cfg(test)]
pub(super) mod tests;
mod types;

use super::{HeaderError, Parsed};
use cursor::{HeaderCursor, MetadataValue, NAME, Stop, bad};
use std::collections::HashMap;
use types::{file_type, tensor_type};

/// The first four bytes.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";
/// Dimensions of a tensor; ggml has four.
const MOST_DIMENSIONS: u32 = 8;
const USUAL_ALIGNMENT: u64 = 32;
/// Values that are kept; what is asked for is a dozen.
const MOST_KEPT: usize = 64;

/// What a GGUF file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GgufHeader {
    /// Version of the format.
    pub version: u32,
    /// What it is for, such as `model`, `mmproj` or `adapter`.
    pub kind: Option<String>,
    /// Which model's graph, such as `llama`.
    pub architecture: Option<String>,
    /// The model's name.
    pub name: Option<String>,
    /// Tokens that it was trained to take.
    pub context_length: Option<u64>,
    /// Elements of all tensors in this file.
    pub parameters: u64,
    /// How most of the tensors are quantized, such as `Q4_K_M`.
    pub quantization: Option<String>,
    /// The Jinja template that makes text from messages.
    pub chat_template: Option<String>,
    /// Tensors in this file.
    pub tensors: u64,
    /// Number of this part, from 0, and of all parts.
    pub split: Option<(u64, u64)>,
    /// The multiple at which every tensor begins.
    pub alignment: u64,
    /// Where the tensors begin.
    pub data_offset: u64,
}

impl GgufHeader {
    /// Reads the header from the first bytes of a file that is `file_len` bytes long.
    pub fn parse(prefix: &[u8], file_len: u64) -> Result<Parsed<Self>, HeaderError> {
        match read(&mut HeaderCursor { bytes: prefix, base: 0, at: 0, len: file_len }) {
            Ok(header) => Ok(Parsed::Done(header)),
            Err(Stop::More(bytes)) => Ok(Parsed::NeedMore(bytes)),
            Err(Stop::Bad(error)) => Err(error),
        }
    }
}

/// What the first 24 bytes say.
pub(super) struct Preamble {
    pub(super) version: u32,
    pub(super) tensors: u64,
    pub(super) pairs: u64,
}

impl Preamble {
    pub(super) fn read(cursor: &mut HeaderCursor<'_>) -> Result<Self, Stop> {
        if cursor.bytes.iter().zip(MAGIC).any(|(a, b)| a != b) || cursor.len < MAGIC.len() as u64 {
            return Err(Stop::Bad(HeaderError::NotThis { format: NAME, why: "it does not begin with `GGUF`".into() }));
        }
        cursor.take(4)?;
        let version = cursor.u32()?;
        match version {
            2 | 3 => {}
            // A version whose lower half is empty is a small number seen from the other end.
            _ if version != 0 && version & 0xffff == 0 => return Err(Stop::Bad(HeaderError::BigEndian)),
            _ => return Err(Stop::Bad(HeaderError::Unknown(format!("version {version} of GGUF")))),
        }
        let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
        // The shortest entry of each table bounds their number before anything is read.
        cursor.hold(tensors, 24, "tensors")?;
        cursor.hold(pairs, 13, "key-values")?;
        Ok(Self { version, tensors, pairs })
    }
}

/// What the table says of one tensor behind its name.
pub(super) struct TensorEntry {
    pub(super) kind: u32,
    dimensions: [u64; MOST_DIMENSIONS as usize],
    rank: usize,
    pub(super) elements: u64,
    /// From where the tensors begin.
    pub(super) offset: u64,
    /// As `offset`; where the type is not known, `offset` itself.
    pub(super) end: u64,
}

impl TensorEntry {
    pub(super) fn read(cursor: &mut HeaderCursor<'_>, name: &str) -> Result<Self, Stop> {
        let rank = cursor.u32()?;
        if rank > MOST_DIMENSIONS {
            return bad(format!("tensor `{}` has {rank} dimensions", shown(name)));
        }
        let (rank, mut elements, mut dimensions) = (rank as usize, 1_u64, [0; MOST_DIMENSIONS as usize]);
        for dimension in &mut dimensions[..rank] {
            *dimension = cursor.u64()?;
            let Some(product) = elements.checked_mul(*dimension) else {
                return bad(format!("tensor `{}` has more elements than can be counted", shown(name)));
            };
            elements = product;
        }
        let (kind, offset) = (cursor.u32()?, cursor.u64()?);
        match end_of(kind, elements, offset) {
            Some(end) => Ok(Self { kind, dimensions, rank, elements, offset, end }),
            None => bad(format!("tensor `{}` is larger than any file", shown(name))),
        }
    }

    pub(super) fn shape(&self) -> &[u64] {
        &self.dimensions[..self.rank]
    }

    /// Whether its length cannot be computed.
    pub(super) fn is_of_unknown_type(&self) -> bool {
        tensor_type(self.kind).is_none()
    }
}

/// Where the tensors begin behind a header that ends at `end`, given the value of `general.alignment`; and the alignment.
pub(super) fn data_offset(end: u64, alignment: Option<u64>) -> Result<(u64, u64), Stop> {
    let alignment = alignment.unwrap_or(USUAL_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > 1 << 30 {
        return bad(format!("its alignment, {alignment}, is no power of two"));
    }
    match end.checked_next_multiple_of(alignment) {
        Some(offset) => Ok((offset, alignment)),
        None => bad("its header is longer than any file"),
    }
}

fn read(cursor: &mut HeaderCursor<'_>) -> Result<GgufHeader, Stop> {
    let Preamble { version, tensors, pairs } = Preamble::read(cursor)?;
    let mut kept = HashMap::new();
    for _ in 0..pairs {
        let key = cursor.text("a key")?;
        let kind = cursor.u32()?;
        let wanted = key.as_deref().is_some_and(is_kept);
        let value = cursor.value(kind, wanted, 0)?;
        if let (Some(key), true, Some(value)) = (key, wanted && kept.len() < MOST_KEPT, value) {
            kept.entry(key).or_insert(value);
        }
    }
    let table = TensorSums::read(cursor, tensors)?;
    let number = |key: &str| kept.get(key).and_then(MetadataValue::number);
    let text = |key: &str| kept.get(key).and_then(MetadataValue::text);
    let (data_offset, alignment) = data_offset(cursor.at, number("general.alignment"))?;
    table.check(alignment, cursor.len.saturating_sub(data_offset))?;
    let architecture = text("general.architecture");
    let of_model = |key: &str| architecture.as_deref().and_then(|name| number(&format!("{name}.{key}")));
    let split = number("split.count").filter(|count| *count > 1).map(|count| (number("split.no").unwrap_or(0), count));
    Ok(GgufHeader {
        version,
        context_length: of_model("context_length"),
        kind: text("general.type"),
        name: text("general.name"),
        parameters: table.elements,
        quantization: number("general.file_type").and_then(file_type).map(str::to_owned).or_else(|| table.commonest()),
        chat_template: text("tokenizer.chat_template"),
        tensors,
        split,
        alignment,
        data_offset,
        architecture,
    })
}

/// Keys whose values are kept; all others are only measured.
fn is_kept(key: &str) -> bool {
    const KEYS: [&str; 8] = [
        "general.type",
        "general.architecture",
        "general.name",
        "general.alignment",
        "general.file_type",
        "tokenizer.chat_template",
        "split.no",
        "split.count",
    ];
    KEYS.contains(&key) || (key.len() <= 256 && key.ends_with(".context_length"))
}

/// The table of tensors, of which only sums and the tensor that ends last are kept.
#[derive(Default)]
struct TensorSums {
    elements: u64,
    /// Elements by type of tensor.
    by_type: HashMap<u32, u64>,
    /// Name and end of the tensor that ends last.
    last: Option<(String, u64)>,
    /// All offsets, each bit set that is set in one of them: enough to see one that is not aligned.
    offsets: u64,
}

impl TensorSums {
    fn read(cursor: &mut HeaderCursor<'_>, tensors: u64) -> Result<Self, Stop> {
        let mut table = Self::default();
        for _ in 0..tensors {
            let name = cursor.text("the name of a tensor")?.unwrap_or_default();
            let TensorEntry { kind, elements, offset, end, .. } = TensorEntry::read(cursor, &name)?;
            let Some(sum) = table.elements.checked_add(elements) else {
                return bad(format!("tensor `{}` is larger than any file", shown(&name)));
            };
            table.elements = sum;
            *table.by_type.entry(kind).or_default() += elements;
            table.offsets |= offset;
            if table.last.as_ref().is_none_or(|(_, last)| *last < end) {
                table.last = Some((name, end));
            }
        }
        Ok(table)
    }

    /// Holds the tensors against the bytes that follow the header.
    fn check(&self, alignment: u64, room: u64) -> Result<(), Stop> {
        if self.offsets & (alignment - 1) != 0 {
            return bad(format!("a tensor does not begin at a multiple of {alignment} bytes"));
        }
        match &self.last {
            Some((name, end)) if *end > room => {
                bad(format!("tensor `{}` ends {} bytes behind the end of the file", shown(name), end - room))
            }
            _ => Ok(()),
        }
    }

    /// The type that most elements have.
    fn commonest(&self) -> Option<String> {
        let (kind, _) = self.by_type.iter().max_by_key(|(kind, elements)| (**elements, **kind))?;
        tensor_type(*kind).map(|kind| kind.0.to_owned())
    }
}

/// Where a tensor ends, as far as its type is known.
fn end_of(kind: u32, elements: u64, offset: u64) -> Option<u64> {
    match tensor_type(kind) {
        Some((_, block, bytes)) => elements.div_ceil(block).checked_mul(bytes)?.checked_add(offset),
        None => Some(offset),
    }
}

/// A hostile name, made fit for one line.
fn shown(name: &str) -> String {
    crate::text::short(name, 80)
}
