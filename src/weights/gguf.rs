//! The header of a GGUF file: key-values and the table of tensors.
//!
//! Versions 2 and 3, which differ only in that 3 may be big-endian. The format is described at
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::{HeaderError, Parsed};
use std::collections::HashMap;

/// The first four bytes.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";
const NAME: &str = "GGUF";
/// Arrays in arrays; the format allows any depth, real files have none.
const DEEPEST_ARRAY: u32 = 4;
/// Dimensions of a tensor; ggml has four.
const MOST_DIMENSIONS: u32 = 8;
/// The longest text that is kept.
const LONGEST_TEXT: u64 = 4 << 20;
const USUAL_ALIGNMENT: u64 = 32;

/// What a GGUF file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GgufHeader {
    /// Version of the format.
    pub version: u32,
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
        match read(&mut Cursor { bytes: prefix, at: 0, len: file_len }) {
            Ok(header) => Ok(Parsed::Done(header)),
            Err(Stop::More(bytes)) => Ok(Parsed::NeedMore(bytes)),
            Err(Stop::Bad(error)) => Err(error),
        }
    }
}

/// Why reading stopped before the end.
enum Stop {
    More(u64),
    Bad(HeaderError),
}

fn bad<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad(HeaderError::Damaged { format: NAME, why: why.into() }))
}

fn read(cursor: &mut Cursor<'_>) -> Result<GgufHeader, Stop> {
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
    let mut kept = HashMap::new();
    for _ in 0..pairs {
        let key = cursor.text("a key")?;
        let kind = cursor.u32()?;
        let wanted = key.as_deref().is_some_and(is_kept);
        let value = cursor.value(kind, wanted, 0)?;
        if let (Some(key), true, Some(value)) = (key, wanted, value) {
            kept.entry(key).or_insert(value);
        }
    }
    let table = Table::read(cursor, tensors)?;
    let number = |key: &str| kept.get(key).and_then(Value::number);
    let text = |key: &str| kept.get(key).and_then(Value::text);
    let alignment = number("general.alignment").unwrap_or(USUAL_ALIGNMENT);
    if !alignment.is_power_of_two() || alignment > 1 << 30 {
        return bad(format!("its alignment, {alignment}, is no power of two"));
    }
    let data_offset = cursor.at.next_multiple_of(alignment);
    table.check(alignment, cursor.len.saturating_sub(data_offset))?;
    let architecture = text("general.architecture");
    let of_model = |key: &str| architecture.as_deref().and_then(|name| number(&format!("{name}.{key}")));
    let split = number("split.count").filter(|count| *count > 1).map(|count| (number("split.no").unwrap_or(0), count));
    Ok(GgufHeader {
        version,
        context_length: of_model("context_length"),
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
    const KEYS: [&str; 7] = [
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

enum Value {
    Number(u64),
    Text(String),
}

impl Value {
    fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
    fn text(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }
}

/// The table of tensors, of which only sums and the tensor that ends last are kept.
#[derive(Default)]
struct Table {
    elements: u64,
    /// Elements by type of tensor.
    by_type: HashMap<u32, u64>,
    /// Name and end of the tensor that ends last.
    last: Option<(String, u64)>,
    /// All offsets, each bit set that is set in one of them: enough to see one that is not aligned.
    offsets: u64,
}

impl Table {
    fn read(cursor: &mut Cursor<'_>, tensors: u64) -> Result<Self, Stop> {
        let mut table = Self::default();
        for _ in 0..tensors {
            let name = cursor.text("the name of a tensor")?.unwrap_or_default();
            let dimensions = cursor.u32()?;
            if dimensions > MOST_DIMENSIONS {
                return bad(format!("tensor `{}` has {dimensions} dimensions", shown(&name)));
            }
            let mut elements = 1_u64;
            for _ in 0..dimensions {
                let Some(product) = elements.checked_mul(cursor.u64()?) else {
                    return bad(format!("tensor `{}` has more elements than can be counted", shown(&name)));
                };
                elements = product;
            }
            let (kind, offset) = (cursor.u32()?, cursor.u64()?);
            let Some((sum, end)) = table.elements.checked_add(elements).zip(end_of(kind, elements, offset)) else {
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
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: u64,
    /// Of the whole file.
    len: u64,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    /// Refuses a number of things that cannot be in the rest of the file.
    fn hold(&self, count: u64, least: u64, what: &str) -> Result<u64, Stop> {
        match count.checked_mul(least) {
            Some(bytes) if bytes <= self.left() => Ok(bytes),
            _ => bad(format!("it announces {count} {what}, and only {} bytes are left", self.left())),
        }
    }

    fn take(&mut self, bytes: u64) -> Result<&'a [u8], Stop> {
        if bytes > self.left() {
            return bad("it ends in the middle of its header");
        }
        let end = self.at + bytes;
        let range = usize::try_from(self.at).ok().zip(usize::try_from(end).ok());
        let Some(slice) = range.and_then(|(start, end)| self.bytes.get(start..end)) else { return Err(Stop::More(end)) };
        self.at = end;
        Ok(slice)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        let mut number = [0; 4];
        number.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(number))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        let mut number = [0; 8];
        number.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(number))
    }

    fn string(&mut self, what: &str) -> Result<&'a [u8], Stop> {
        let len = self.u64()?;
        if len > self.left() {
            return bad(format!("{what} is {len} bytes long, and only {} are left", self.left()));
        }
        self.take(len)
    }

    /// A text that is not too long to be kept.
    fn text(&mut self, what: &str) -> Result<Option<String>, Stop> {
        let bytes = self.string(what)?;
        Ok((bytes.len() as u64 <= LONGEST_TEXT).then(|| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Reads a value; gives it back if it is `wanted` and of a kind that can be.
    fn value(&mut self, kind: u32, wanted: bool, depth: u32) -> Result<Option<Value>, Stop> {
        match kind {
            8 if wanted => return Ok(self.text("a text")?.map(Value::Text)),
            8 => {
                self.string("a text")?;
            }
            9 => self.array(depth)?,
            _ => {
                let bytes = self.take(width(kind)?)?;
                let signed = matches!(kind, 1 | 3 | 5 | 11);
                let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                if wanted && !matches!(kind, 6 | 12) && !negative {
                    return Ok(Some(Value::Number(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))));
                }
            }
        }
        Ok(None)
    }

    fn array(&mut self, depth: u32) -> Result<(), Stop> {
        if depth >= DEEPEST_ARRAY {
            return bad(format!("arrays are nested more than {DEEPEST_ARRAY} deep"));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        match kind {
            8 => {
                self.hold(count, 8, "texts")?;
                for _ in 0..count {
                    self.string("a text")?;
                }
            }
            9 => {
                self.hold(count, 12, "arrays")?;
                for _ in 0..count {
                    self.array(depth + 1)?;
                }
            }
            _ => {
                let bytes = self.hold(count, width(kind)?, "numbers")?;
                self.take(bytes)?;
            }
        }
        Ok(())
    }
}

/// Bytes of a value that is no text and no array.
fn width(kind: u32) -> Result<u64, Stop> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(Stop::Bad(HeaderError::Unknown(format!("type {kind} of GGUF values")))),
    }
}

/// Name, elements of a block and bytes of a block.
fn tensor_type(kind: u32) -> Option<(&'static str, u64, u64)> {
    Some(match kind {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        _ => return None,
    })
}

/// llama.cpp's name of the mixture of types that a file has.
fn file_type(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Written by gguf-py; see `tests/fixtures/README.md`.
    pub(crate) const REAL: &[u8] = include_bytes!("../../tests/fixtures/tiny.Q8_0.gguf");

    /// A file by hand.
    #[derive(Clone)]
    pub(crate) struct Maker {
        pairs: (u64, Vec<u8>),
        tensors: (u64, Vec<u8>),
        version: u32,
        data: usize,
    }

    impl Maker {
        pub(crate) fn new() -> Self {
            Self { pairs: (0, Vec::new()), tensors: (0, Vec::new()), version: 3, data: 0 }
        }
        fn version(mut self, version: u32) -> Self {
            self.version = version;
            self
        }
        fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
            self.pairs.0 += 1;
            string(&mut self.pairs.1, key);
            self.pairs.1.extend_from_slice(&kind.to_le_bytes());
            self.pairs.1.extend_from_slice(value);
            self
        }
        pub(crate) fn text(self, key: &str, value: &str) -> Self {
            let mut bytes = Vec::new();
            string(&mut bytes, value);
            self.pair(key, 8, &bytes)
        }
        pub(crate) fn tensor(mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
            self.tensors.0 += 1;
            let out = &mut self.tensors.1;
            string(out, name);
            out.extend_from_slice(&(shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            self
        }
        pub(crate) fn data(mut self, bytes: usize) -> Self {
            self.data = bytes;
            self
        }
        pub(crate) fn bytes(&self) -> Vec<u8> {
            let mut out = MAGIC.to_vec();
            out.extend_from_slice(&self.version.to_le_bytes());
            out.extend_from_slice(&self.tensors.0.to_le_bytes());
            out.extend_from_slice(&self.pairs.0.to_le_bytes());
            out.extend_from_slice(&self.pairs.1);
            out.extend_from_slice(&self.tensors.1);
            out.resize(out.len().next_multiple_of(32) + self.data, 0);
            out
        }
    }

    fn string(out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }

    fn parse(bytes: &[u8]) -> Result<GgufHeader, HeaderError> {
        GgufHeader::parse(bytes, bytes.len() as u64).map(|parsed| parsed.done().expect("the whole file was given"))
    }

    #[test]
    fn a_file_of_the_reference_writer_is_read() {
        let header = parse(REAL).unwrap();
        let expected = GgufHeader {
            version: 3,
            architecture: Some("llama".into()),
            name: Some("tiny fixture".into()),
            context_length: Some(2048),
            parameters: 64 * 32 + 64 + 256,
            quantization: Some("Q8_0".into()),
            chat_template: Some("{% for m in messages %}{{ m['content'] }}{% endfor %}".into()),
            tensors: 3,
            split: Some((0, 2)),
            alignment: 64,
            data_offset: header.data_offset,
        };
        assert_eq!(header, expected);
        assert_eq!(header.data_offset % 64, 0);
    }

    #[test]
    fn a_file_that_was_cut_is_seen_from_its_header() {
        let error = GgufHeader::parse(REAL, REAL.len() as u64 - 64).unwrap_err();
        assert!(error.is_certain() && error.to_string().contains("behind the end of the file"), "{error}");
        let header = GgufHeader::parse(REAL, 40 << 30).unwrap();
        assert!(matches!(header, Parsed::Done(_)), "what follows the tensors is nobody's business");
    }

    #[test]
    fn what_is_missing_of_a_header_is_asked_for_until_it_is_whole() {
        let (mut have, mut asked) = (0, 0);
        while let Parsed::NeedMore(bytes) = GgufHeader::parse(&REAL[..have], REAL.len() as u64).unwrap() {
            assert!(bytes > have as u64 && bytes <= REAL.len() as u64);
            have = bytes as usize;
            asked += 1;
        }
        assert!(asked > 10);
    }

    #[test]
    fn numbers_of_any_width_are_read_and_signs_are_not_sizes() {
        let model = |kind, value: &[u8]| {
            let maker = Maker::new().text("general.architecture", "x").pair("x.context_length", kind, value);
            parse(&maker.bytes()).unwrap().context_length
        };
        assert_eq!(model(2, &[1, 2]), Some(513));
        assert_eq!(model(10, &[0, 0, 0, 0, 1, 0, 0, 0]), Some(1 << 32));
        assert_eq!(model(5, &[255; 4]), None);
        assert_eq!(model(6, &[0; 4]), None, "a float is no length");
    }

    #[test]
    fn the_type_of_most_elements_stands_in_for_a_missing_file_type() {
        let maker = Maker::new().tensor("a", &[8], 0, 0).tensor("b", &[256, 2], 14, 32).data(32 + 420);
        assert_eq!(parse(&maker.bytes()).unwrap().quantization.as_deref(), Some("Q6_K"));
        assert!(parse(&maker.data(32 + 419).bytes()).is_err());
    }

    #[test]
    fn wrong_files_are_named_for_what_they_are() {
        let says = |bytes: &[u8], text: &str| {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains(text), "{error:?} should say {text:?}");
        };
        says(b"", "does not begin with `GGUF`");
        says(b"GGML....", "does not begin with `GGUF`");
        says(&Maker::new().version(3_u32.swap_bytes()).bytes(), "big-endian");
        says(&Maker::new().version(4).bytes(), "version 4");
        says(&Maker::new().version(1).bytes(), "version 1");
        says(&Maker::new().bytes()[..20], "ends in the middle of its header");
        says(&Maker::new().pair("general.alignment", 4, &[12, 0, 0, 0]).bytes(), "no power of two");
        says(&Maker::new().pair("general.alignment", 4, &[0; 4]).bytes(), "no power of two");
        says(&Maker::new().pair("k", 77, &[0; 4]).bytes(), "type 77");
        says(&Maker::new().pair("k", 8, &u64::MAX.to_le_bytes()).bytes(), "bytes long, and only");
        says(&Maker::new().tensor("t", &[1], 0, 1).data(64).bytes(), "multiple of 32");
        says(&Maker::new().tensor("t", &[u64::MAX, 2], 0, 0).bytes(), "can be counted");
        says(&Maker::new().tensor("t", &[u64::MAX], 0, 0).bytes(), "larger than any file");
        says(&Maker::new().tensor("t", &[1], 0, !31).bytes(), "behind the end");
        says(&Maker::new().tensor("t", &[1; 9], 0, 0).data(64).bytes(), "9 dimensions");
        let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
        for kind in [0, 8, 9, 12] {
            says(&Maker::new().pair("k", 9, &array(kind, u64::MAX / 2)).bytes(), "announces");
        }
        let nested = (0..5).flat_map(|_| array(9, 1)).collect::<Vec<_>>();
        says(&Maker::new().pair("k", 9, &nested).data(64).bytes(), "nested");
        let mut counts = Maker::new().bytes();
        counts[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        says(&counts, "announces");
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let error = parse(&Maker::new().tensor("a\n\u{1b}[31m", &[9], 0, 0).bytes()).unwrap_err().to_string();
        assert!(error.contains("`a[31m`"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), len in any::<u64>()) {
            let _ = GgufHeader::parse(&bytes, len);
            let _ = GgufHeader::parse(&[&b"GGUF\x03\0\0\0"[..], &bytes].concat(), len);
        }

        #[test]
        fn a_real_header_with_changed_bytes_is_read_or_refused(
            changes in proptest::collection::vec((0..1400_usize, any::<u8>()), 1..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = REAL.to_vec();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let _ = parse(&bytes);
            let cut = cut.index(bytes.len());
            if let Ok(Parsed::NeedMore(more)) = GgufHeader::parse(&bytes[..cut], bytes.len() as u64) {
                prop_assert!(more > cut as u64 && more <= bytes.len() as u64);
            }
        }

        #[test]
        fn any_prefix_of_a_good_file_gives_the_same_header_or_asks_for_more(cut in 0..REAL.len()) {
            match GgufHeader::parse(&REAL[..cut], REAL.len() as u64).unwrap() {
                Parsed::NeedMore(more) => prop_assert!(more > cut as u64),
                Parsed::Done(header) => prop_assert_eq!(header, parse(REAL).unwrap()),
            }
        }
    }
}
