//! GGUF headers: the longer the beginning that is known, the more is said, and what was said stays true.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::weights::{GgufHeader, Parsed, head_check};
use model_manager_fuzz::table;

fuzz_target!(|data: &[u8]| {
    // How many bytes the file has beyond those that are here, and where it is cut for a shorter look.
    let Some(([more, cut], head)) = data.split_first_chunk::<2>() else { return };
    let len = head.len() as u64 + u64::from(*more) * 97;
    let cut = head.len() * usize::from(*cut) / 256;
    let whole = GgufHeader::parse(head, len);
    match &whole {
        Ok(Parsed::Done(header)) => {
            assert!(matches!(header.version, 2 | 3));
            assert!(header.alignment.is_power_of_two() && header.data_offset.is_multiple_of(header.alignment));
            assert!(header.tensors.saturating_mul(24) <= len, "no more tensors than the file has room for");
            assert!(header.split.is_none_or(|(_, count)| count > 1));
            for text in [&header.architecture, &header.name, &header.chat_template, &header.quantization].into_iter().flatten() {
                assert!(text.len() <= 3 * head.len());
            }
        }
        Ok(Parsed::NeedMore(bytes)) => {
            assert!(*bytes > head.len() as u64, "asks for what is here already");
            assert!(*bytes <= len, "asks for {bytes} of {len} bytes");
        }
        Err(error) => assert!(error.to_string().len() <= 600, "{error}"),
    }
    match GgufHeader::parse(&head[..cut], len) {
        Ok(Parsed::NeedMore(bytes)) => assert!(bytes > cut as u64 && bytes <= len),
        shorter => assert_eq!(shorter, whole, "a longer look changes what was said"),
    }
    let table = table("x.gguf", head, len, cut);
    if let (Ok(Parsed::Done(header)), Some(table)) = (&whole, &table) {
        assert_eq!((table.tensors.len() as u64, table.header_len), (header.tensors, header.data_offset));
    }
    let check = head_check("x.gguf").expect("there is one");
    match (&whole, check(head, len)) {
        (_, Ok(())) if !head.starts_with(b"GGUF") => {}
        (Err(error), checked) => assert!(checked.is_err() == error.is_certain() || !head.starts_with(b"GGUF")),
        (Ok(_), checked) => assert!(checked.is_ok() || !head.starts_with(b"GGUF"), "{checked:?}"),
    }
});
