use super::{
    super::{
        GgufHeader, SafetensorsHeader,
        gguf::tests::{Maker, REAL},
        safetensors::tests::{GOOD, file},
    },
    *,
};
use proptest::prelude::*;

/// Reads the table of a file that comes in pieces of so many bytes.
fn read(name: &str, bytes: &[u8], piece: usize) -> Result<TensorTable, HeaderError> {
    let mut reader = TableReader::new(name, bytes.len() as u64).expect("a name of weights");
    for piece in bytes.chunks(piece) {
        if let Some(table) = reader.push(piece)? {
            return Ok(table);
        }
    }
    panic!("the whole file was given, to {}", reader.position());
}

fn shown(table: &TensorTable) -> Vec<(&str, &[u64], u64, u64)> {
    table.tensors.iter().map(|tensor| (&*tensor.name, &*tensor.shape, tensor.offset, tensor.len)).collect()
}

#[test]
fn a_file_of_the_reference_writer_has_its_tensors_whatever_the_pieces() {
    let header = GgufHeader::parse(REAL, REAL.len() as u64).unwrap().done().unwrap();
    let whole = read("x.gguf", REAL, usize::MAX).unwrap();
    assert_eq!((whole.tensors.len() as u64, whole.header_len), (header.tensors, header.data_offset));
    assert!(whole.tensors.iter().all(|tensor| tensor.len > 0 && tensor.offset + tensor.len <= whole.file_len));
    for piece in [1, 7, 100] {
        assert_eq!(read("x.gguf", REAL, piece).unwrap(), whole);
    }
    let bytes = file(GOOD, 16);
    let header = SafetensorsHeader::parse(&bytes, bytes.len() as u64).unwrap().done().unwrap();
    for piece in [1, 3, 1000] {
        let table = read("x.safetensors", &bytes, piece).unwrap();
        assert_eq!((table.tensors.len() as u64, table.header_len), (header.tensors, header.data_offset));
        let begin = table.header_len;
        assert_eq!(shown(&table), [("a", &[][..], begin, 4), ("b", &[2, 3], begin + 4, 12), ("empty", &[0], begin + 16, 0)]);
        assert_eq!(table.tensors[1].kind, TensorKind::Safetensors("BF16".into()));
    }
    assert!(TableReader::new("config.json", 10).is_none());
}

/// An array of so many texts in a GGUF key-value.
fn texts(count: u64) -> Vec<u8> {
    let mut value = 8_u32.to_le_bytes().to_vec();
    value.extend_from_slice(&count.to_le_bytes());
    for at in 0..count {
        value.extend_from_slice(&9_u64.to_le_bytes());
        value.extend_from_slice(format!("{at:>9}").as_bytes());
    }
    value
}

#[test]
fn a_vocabulary_is_passed_over_and_the_alignment_is_kept() {
    let nested = [9_u32.to_le_bytes().to_vec(), 2_u64.to_le_bytes().to_vec(), texts(2), texts(3)].concat();
    let bytes = Maker::new()
        .pair("tokenizer.ggml.tokens", 9, &texts(200_000))
        .pair("nested", 9, &nested)
        .text("tokenizer.chat_template", &"t".repeat(3 << 20))
        .pair("numbers", 9, &[6_u32.to_le_bytes().to_vec(), 3_u64.to_le_bytes().to_vec(), vec![0; 12]].concat())
        .pair("general.alignment", 4, &32_u32.to_le_bytes())
        .tensor("b", &[64], 0, 64)
        .tensor("a", &[16], 0, 0)
        .data(320)
        .bytes();
    let mut reader = gguf::Reader::new(bytes.len() as u64);
    let mut table = None;
    for piece in bytes.chunks(10_000) {
        assert!(table.is_none());
        table = reader.push(piece).unwrap();
        assert!(reader.kept() < 100, "{}", reader.kept());
    }
    let table = table.unwrap();
    let begin = table.header_len;
    assert_eq!(table.tensors.iter().map(|tensor| tensor.offset - begin).collect::<Vec<_>>(), [64, 0]);
    assert_eq!(shown(&read("x.gguf", &bytes, 999).unwrap()), [("a", &[16][..], begin, 64), ("b", &[64], begin + 64, 256)]);
}

#[test]
fn a_tensor_of_a_type_to_come_ends_where_the_next_begins() {
    let maker = Maker::new().tensor("a", &[64], 99, 0).tensor("b", &[8], 0, 96).tensor("c", &[1], 99, 128).data(160);
    let table = read("x.gguf", &maker.bytes(), usize::MAX).unwrap();
    assert_eq!(table.tensors.iter().map(|tensor| tensor.len).collect::<Vec<_>>(), [96, 32, 32]);
}

#[test]
fn large_and_odd_tables_are_refused() {
    let says = |name: &str, bytes: &[u8], text: &str| {
        let error = read(name, bytes, 1000).unwrap_err().to_string();
        assert!(error.contains(text), "{error:?} should say {text:?}");
    };
    let long = Maker::new().tensor(&"n".repeat(2000), &[1], 0, 0).data(32);
    says("x.gguf", &long.bytes(), "longer names than are kept");
    says("x.gguf", &Maker::new().tensor("a", &[9], 0, 0).data(32).bytes(), "behind the end");
    says("x.gguf", &Maker::new().tensor("a", &[1], 0, 8).data(64).bytes(), "multiple of 32");
    says("x.gguf", &Maker::new().pair("a", 8, &u64::MAX.to_le_bytes()).bytes(), "only");
    says("x.gguf", &Maker::new().tensor("a", &[1 << 63], 24, u64::MAX - 31).data(64).bytes(), "larger than any file");
    let mut many = Maker::new().bytes();
    many[8..16].copy_from_slice(&(MOST_TENSORS + 1).to_le_bytes());
    many.resize(8 << 20, 0);
    says("x.gguf", &many, "more tensors than are kept");
    says("x.gguf", b"GGUF", "ends in the middle");
    let shard = |json: &str, data: usize| file(json, data);
    says("x.safetensors", &shard(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#, 4), "middle of a JSON");
    says("x.safetensors", &shard(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#, 4), "does not begin where");
    says("x.safetensors", &shard(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 5), "take 4 bytes");
    says("x.safetensors", &shard(r#"{"a":7}"#, 0), "no JSON object of tensors");
    says("x.safetensors", &shard(&format!(r#"{{"a":{{"dtype":"{}"}}}}"#, "x".repeat(20_000)), 0), "longer entries");
    says("x.safetensors", &shard(&format!(r#"{{"a":{}"#, "[".repeat(20_000)), 0), "longer entries");
    says("x.safetensors", &u64::MAX.to_le_bytes(), "does not begin with the length");
    let metadata = format!(
        r#"{{"__metadata__":{{"a":"{}","b":"{{\"}}"}} , "a" : {{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} }}"#,
        "\\\"x".repeat(50_000)
    );
    assert_eq!(read("x.safetensors", &file(&metadata, 4), 777).unwrap().tensors.len(), 1);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic_and_pieces_do_not_matter(
        changes in proptest::collection::vec((0..1200_usize, any::<u8>()), 0..6),
        piece in 1..400_usize,
    ) {
        for (name, good) in [("x.gguf", REAL.to_vec()), ("x.safetensors", file(GOOD, 16))] {
            let mut bytes = good;
            for (at, byte) in &changes {
                if let Some(old) = bytes.get_mut(*at) {
                    *old = *byte;
                }
            }
            let whole = push_all(name, &bytes, usize::MAX);
            prop_assert_eq!(push_all(name, &bytes, piece).is_ok(), whole.is_ok());
            if let Ok(Some(table)) = whole {
                let ends = table.tensors.iter().map(|tensor| tensor.offset.checked_add(tensor.len));
                prop_assert!(ends.into_iter().all(|end| end.is_some_and(|end| end <= table.file_len)));
            }
        }
    }
}

fn push_all(name: &str, bytes: &[u8], piece: usize) -> Result<Option<TensorTable>, HeaderError> {
    let mut reader = TableReader::new(name, bytes.len() as u64).expect("a name of weights");
    for piece in bytes.chunks(piece) {
        if let Some(table) = reader.push(piece)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}
