use super::*;
use proptest::prelude::*;

/// Written by gguf-py; see `tests/fixtures/README.md`.
pub(crate) const REAL: &[u8] = include_bytes!("../../../tests/fixtures/tiny.Q8_0.gguf");

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
    pub(crate) fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
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
        kind: None,
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
    assert!(error.contains(r"`a\n\u{1b}[31m`"), "{error}");
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
