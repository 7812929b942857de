//! safetensors headers, held against the same JSON read without a type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::weights::{Parsed, SafetensorsHeader, head_check};
use model_manager_fuzz::table;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // How the file is made of the rest, how many bytes of tensors follow the header, and where it is cut for a shorter look.
    let Some(([mode, tensors, cut], rest)) = data.split_first_chunk::<3>() else { return };
    let mut head = match mode % 2 {
        0 => (rest.len() as u64).to_le_bytes().to_vec(),
        _ => Vec::new(),
    };
    head.extend_from_slice(rest);
    let len = head.len() as u64 + u64::from(*tensors);
    let cut = head.len() * usize::from(*cut) / 256;
    let whole = SafetensorsHeader::parse(&head, len);
    match &whole {
        Ok(Parsed::Done(header)) => {
            assert!(header.data_offset <= len);
            assert_eq!(header.dtypes.values().sum::<u64>(), header.parameters);
            assert_eq!(header.dtypes.is_empty(), header.tensors == 0);
            assert!(header.commonest().is_none_or(|dtype| header.dtypes.contains_key(dtype)));
            let text = &head[8..header.data_offset as usize];
            if let Ok(Value::Object(json)) = serde_json::from_slice(text) {
                let known: u64 = json
                    .iter()
                    .filter(|(name, _)| *name != "__metadata__")
                    .map(|(name, tensor)| {
                        let place = |index: usize| tensor["data_offsets"][index].as_u64().unwrap_or_else(|| panic!("{name}"));
                        assert!(place(0) <= place(1) && place(1) <= len - header.data_offset, "{name} is not in the file");
                        1
                    })
                    .sum();
                assert!(known <= header.tensors);
            }
        }
        Ok(Parsed::NeedMore(bytes)) => assert!(*bytes > head.len() as u64 && *bytes <= len, "{bytes} of {len}"),
        Err(error) => assert!(error.to_string().len() <= 1000, "{error}"),
    }
    match SafetensorsHeader::parse(&head[..cut], len) {
        Ok(Parsed::NeedMore(bytes)) => assert!(bytes > cut as u64 && bytes <= len),
        shorter => assert_eq!(shorter, whole, "a longer look changes what was said"),
    }
    // What the writer noted is passed over, so a table may be read where the header is refused.
    let table = table("model.safetensors", &head, len, cut);
    if let (Ok(Parsed::Done(header)), Some(table)) = (&whole, &table) {
        assert_eq!((table.tensors.len() as u64, table.header_len), (header.tensors, header.data_offset));
    }
    let check = head_check("model.safetensors").expect("there is one");
    if let Err(why) = check(&head, len) {
        assert!(why.len() <= 1000);
        assert!(whole.is_err() || why.contains("begins like"), "{why}");
    }
});
