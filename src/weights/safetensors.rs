//! The header of a safetensors file: a length, and JSON that names the tensors.
//!
//! The rules are those of <https://github.com/huggingface/safetensors>: the tensors follow each other without gaps to the
//! end of the file.

use super::{HeaderError, Parsed};
use crate::json::FromJson;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess},
};
use std::collections::BTreeMap;

pub(super) const NAME: &str = "safetensors";
/// The longest header; the limit of the reference implementation.
pub(super) const LONGEST: u64 = 100_000_000;
/// Tensors and notes of one file; the largest models have some hundred thousand tensors in all their files together.
const MOST_TENSORS: usize = 250_000;
const MOST_NOTES: usize = 10_000;
/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// What a safetensors file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SafetensorsHeader {
    /// Elements of all tensors in this file.
    pub parameters: u64,
    /// Elements by type, such as `BF16`.
    pub dtypes: BTreeMap<String, u64>,
    /// Tensors in this file.
    pub tensors: u64,
    /// What the writer noted.
    pub metadata: BTreeMap<String, String>,
    /// Where the tensors begin.
    pub data_offset: u64,
}

impl SafetensorsHeader {
    /// Reads the header from the first bytes of a file that is `file_len` bytes long.
    pub fn parse(prefix: &[u8], file_len: u64) -> Result<Parsed<Self>, HeaderError> {
        let not_this = |why: String| HeaderError::NotThis { format: NAME, why };
        if file_len < LENGTH {
            return Err(not_this(format!("it has {file_len} bytes")));
        }
        let Some((length, rest)) = prefix.split_first_chunk() else { return Ok(Parsed::NeedMore(LENGTH)) };
        let length = u64::from_le_bytes(*length);
        if rest.first().is_some_and(|first| *first != b'{') || !(2..=LONGEST).contains(&length) {
            return Err(not_this("it does not begin with the length of a JSON text and that text".into()));
        }
        let end = LENGTH + length;
        if end > file_len {
            if rest.is_empty() && file_len > LENGTH {
                // What follows may be of another kind of file.
                return Ok(Parsed::NeedMore(LENGTH + 1));
            }
            return Err(damaged("it ends in the middle of its header"));
        }
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(text) => read(text, end, file_len - end).map(Parsed::Done),
            None => Ok(Parsed::NeedMore(end)),
        }
    }

    /// Whether the first bytes are such that only a safetensors file begins like that.
    pub(super) fn begins(prefix: &[u8]) -> bool {
        prefix.get(..8).is_some_and(|length| length[4..] == [0; 4])
            && prefix.get(8..10).is_some_and(|json| json.starts_with(b"{\""))
    }

    /// The type that most elements have.
    #[cfg(feature = "unstable")]
    pub fn commonest(&self) -> Option<&str> {
        self.dtypes.iter().max_by_key(|(_, elements)| **elements).map(|(dtype, _)| dtype.as_str())
    }
}

pub(super) fn damaged(why: impl Into<String>) -> HeaderError {
    HeaderError::Damaged { format: NAME, why: why.into() }
}

fn read(text: &[u8], data_offset: u64, room: u64) -> Result<SafetensorsHeader, HeaderError> {
    let Json { mut tensors, metadata } =
        serde_json::from_slice(text).map_err(|error| damaged(format!("its header cannot be read: {:.200}", error.to_string())))?;
    let mut header = SafetensorsHeader { tensors: tensors.len() as u64, metadata, data_offset, ..SafetensorsHeader::default() };
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut next = 0;
    for (name, tensor) in &tensors {
        let elements = tensor.fits(name, next)?;
        next = tensor.data_offsets.1;
        header.parameters = header.parameters.checked_add(elements).ok_or_else(|| refused(name, UNCOUNTABLE))?;
        *header.dtypes.entry(tensor.dtype.clone()).or_default() += elements;
    }
    filled(next, room)?;
    Ok(header)
}

const UNCOUNTABLE: &str = "has more elements than can be counted";

fn refused(name: &str, what: &str) -> HeaderError {
    damaged(format!("tensor `{}` {what}", shown(name)))
}

/// Refuses tensors that do not end where the file ends.
pub(super) fn filled(end: u64, room: u64) -> Result<(), HeaderError> {
    match end == room {
        true => Ok(()),
        false => Err(damaged(format!("its tensors take {end} bytes, and {room} follow the header"))),
    }
}

/// A hostile name, made fit for one line.
fn shown(name: &str) -> String {
    crate::text::short(name, 80)
}

/// Bits of one element; `None` for types that came later.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// What the header says of one tensor.
#[derive(Deserialize)]
pub(super) struct Tensor {
    pub(super) dtype: String,
    pub(super) shape: Vec<u64>,
    /// Where it begins and ends, from where the tensors begin.
    pub(super) data_offsets: (u64, u64),
}

impl Tensor {
    /// Its elements, if it begins where the one before it ends and has as many bytes as its shape asks for.
    pub(super) fn fits(&self, name: &str, before: u64) -> Result<u64, HeaderError> {
        let (start, end) = self.data_offsets;
        if start != before || end < start {
            return Err(refused(name, "does not begin where the one before it ends"));
        }
        let elements = self.shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        let elements = elements.ok_or_else(|| refused(name, UNCOUNTABLE))?;
        if let Some(bits) = bits(&self.dtype)
            && elements.checked_mul(bits).map(|bits| bits.div_ceil(8)) != Some(end - start)
        {
            return Err(refused(name, "has not the bytes that its shape asks for"));
        }
        Ok(elements)
    }
}

/// The writer's notes; what is too much of them is passed over.
#[derive(Default)]
struct WriterMetadata(BTreeMap<String, String>);

impl<'de> FromJson<'de> for WriterMetadata {
    const EXPECTED: &'static str = "an object of texts";

    fn other() -> Option<Self> {
        None
    }
    fn null() -> Option<Self> {
        Some(Self::default())
    }
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut notes = BTreeMap::new();
        while let Some((key, text)) = object.next_entry::<String, String>()? {
            if notes.len() < MOST_NOTES {
                notes.insert(key, text);
            }
        }
        Ok(Self(notes))
    }
}

impl<'de> Deserialize<'de> for WriterMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

/// The header's text; a name that stands twice is two tensors, whose places then overlap.
struct Json {
    tensors: Vec<(String, Tensor)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> FromJson<'de> for Json {
    const EXPECTED: &'static str = "an object of tensors";

    fn other() -> Option<Self> {
        None
    }
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut json = Self { tensors: Vec::new(), metadata: BTreeMap::new() };
        while let Some(key) = object.next_key::<String>()? {
            match key.as_str() {
                "__metadata__" => json.metadata = object.next_value::<WriterMetadata>()?.0,
                _ if json.tensors.len() >= MOST_TENSORS => {
                    return Err(A::Error::custom(format_args!("it names more than {MOST_TENSORS} tensors")));
                }
                _ => json.tensors.push((key, object.next_value()?)),
            }
        }
        Ok(json)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn file(json: &str, data: usize) -> Vec<u8> {
        let mut out = (json.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(json.as_bytes());
        out.resize(out.len() + data, 0);
        out
    }

    pub(crate) const GOOD: &str = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"empty":{"dtype":"I8","shape":[0],"data_offsets":[16,16]}}   "#;

    fn parse(bytes: &[u8]) -> Result<SafetensorsHeader, HeaderError> {
        SafetensorsHeader::parse(bytes, bytes.len() as u64).map(|parsed| parsed.done().expect("the whole file was given"))
    }

    #[test]
    fn a_good_header_is_read() {
        let header = parse(&file(GOOD, 16)).unwrap();
        assert_eq!((header.parameters, header.tensors, header.data_offset), (7, 3, 8 + GOOD.len() as u64));
        assert_eq!(header.commonest(), Some("BF16"));
        assert_eq!(header.metadata["format"], "pt");
        assert!(SafetensorsHeader::begins(&file(GOOD, 0)));
    }

    #[test]
    fn a_header_is_asked_for_in_two_steps() {
        let bytes = file(GOOD, 16);
        let parse = |have: usize| SafetensorsHeader::parse(&bytes[..have], bytes.len() as u64).unwrap();
        assert_eq!(parse(0), Parsed::NeedMore(8));
        assert_eq!(parse(8), Parsed::NeedMore(8 + GOOD.len() as u64));
        assert!(parse(8 + GOOD.len()).done().is_some());
    }

    #[test]
    fn an_error_does_not_repeat_a_long_text_of_the_file() {
        let error = parse(&file(&format!(r#"{{"a":"{}"}}"#, "b".repeat(5000)), 0)).unwrap_err().to_string();
        assert!(error.contains("its header cannot be read: invalid type") && error.len() < 400, "{error}");
    }

    #[test]
    fn tensors_of_half_bytes_and_of_types_to_come_are_taken() {
        let json = r#"{"a":{"dtype":"F4","shape":[5],"data_offsets":[0,3]},"b":{"dtype":"F3","shape":[5],"data_offsets":[3,9]}}"#;
        assert_eq!(parse(&file(json, 9)).unwrap().parameters, 10);
    }

    #[test]
    fn wrong_files_are_named_for_what_they_are() {
        let says = |bytes: &[u8], text: &str| {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains(text), "{error:?} should say {text:?}");
        };
        let one = |dtype: &str, shape: &str, from: u64, to: u64| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
        };
        says(b"short", "5 bytes");
        says(&[b'x'; 40], "does not begin with the length");
        says(&(LONGEST + 1).to_le_bytes(), "does not begin with the length");
        says(&file(GOOD, 0)[..60], "in the middle of its header");
        says(&file("{\"a\":1}", 0), "cannot be read");
        says(&file(GOOD, 15), "take 16 bytes, and 15 follow");
        says(&file(GOOD, 17), "take 16 bytes, and 17 follow");
        says(&file(&one("F32", "[1]", 4, 8), 8), "does not begin where");
        says(&file(&one("F32", "[2]", 0, 4), 4), "its shape asks for");
        says(&file(&one("F32", "[18446744073709551615,2]", 0, 4), 4), "can be counted");
        says(&file(&one("F32", "[18446744073709551615]", 0, 4), 4), "its shape asks for");
        says(&file(&one("F32", "[1]", 0, u64::MAX), 4), "its shape asks for");
        says(&file(&one("X", "[1]", 0, u64::MAX), 4), "follow the header");
        let twice = format!("{},{}", one("U8", "[4]", 0, 4).trim_end_matches('}'), &one("U8", "[4]", 0, 4)[1..]);
        says(&file(&twice.replacen("]", "]}", 2).replacen("]}", "]", 1), 4), "does not begin where");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), len in any::<u64>()) {
            let _ = SafetensorsHeader::parse(&bytes, len);
        }

        #[test]
        fn a_good_header_with_changed_bytes_is_read_or_refused(
            changes in proptest::collection::vec((0..200_usize, any::<u8>()), 1..5),
        ) {
            let mut bytes = file(GOOD, 16);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            let _ = SafetensorsHeader::parse(&bytes, bytes.len() as u64);
        }
    }

    #[test]
    fn a_length_alone_does_not_say_what_a_file_is() {
        let other = b"\x10\xff\x68\0\0\0\0\0not JSON";
        assert_eq!(SafetensorsHeader::parse(&other[..8], 16), Ok(Parsed::NeedMore(9)));
        assert!(matches!(SafetensorsHeader::parse(other, 16), Err(HeaderError::NotThis { .. })));
    }
}
