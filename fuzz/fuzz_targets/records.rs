//! The small JSON files of a store and of a models directory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{
    fuzzing::identity,
    store::{
        BlobMeta, RootOwner, ViewKey,
        format::{Marker, PartialRecord, ProjectRecord, from_json, lease_from_text, root_from_json, to_json, version_of},
    },
    view::ViewManifest,
};
use model_manager_fuzz::{assert_safe_part, assert_safe_path, choice};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, path::Path};

/// A record, which is read back as it is written; or an error that is no longer than a screen.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &[u8]) -> Option<T> {
    match from_json::<T>(Path::new("record.json"), text) {
        Ok(record) => {
            let written = to_json(&record);
            assert_eq!(written.last(), Some(&b'\n'));
            assert_eq!(from_json::<T>(Path::new("record.json"), &written).ok().as_ref(), Some(&record), "read back");
            Some(record)
        }
        Err(error) => {
            assert!(error.to_string().len() <= 2048, "{} bytes", error.to_string().len());
            None
        }
    }
}

fn check_view(view: &ViewKey) {
    assert_safe_part(&view.record_name());
    assert_safe_path(&view.dir().to_string_lossy());
    assert!((2..=3).contains(&view.dir().components().count()));
}

fuzz_target!(|data: &[u8]| {
    let Some((which, text)) = choice(data, 7) else { return };
    let _ = version_of(text);
    match which {
        0 => {
            if let Some(marker) = read::<Marker>(text) {
                assert_eq!(marker.file_mode() & !0o666, 0, "a small file is never executable");
                assert!(marker.reader_lacks().is_some() || (marker.flags.is_empty() && marker.segment_len == 1 << 20));
            }
        }
        1 => {
            read::<BlobMeta>(text);
        }
        2 => {
            if let Ok(root) = root_from_json(Path::new("root.json"), text) {
                root.owner.view().into_iter().for_each(check_view);
                assert!(
                    root.owner.to_string().len() <= 2048
                        || matches!(root.owner, RootOwner::Exposure { .. } | RootOwner::Remote { .. })
                );
                root.files.iter().for_each(|file| assert_safe_path(file.path.as_str()));
                assert_eq!(root_from_json(Path::new("root.json"), &root.to_json()).ok().as_ref(), Some(&root));
                if let Some(mut record) = root.into_view()
                    && record.files.pop().is_some()
                {
                    assert!(root_from_json(Path::new("root.json"), &to_json(&record)).is_err(), "its check is of all files");
                }
            }
        }
        3 => {
            read::<ProjectRecord>(text);
        }
        4 => {
            read::<PartialRecord>(text);
        }
        5 => {
            let digests = lease_from_text(text);
            let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            // What stands behind the last line break is torn.
            let whole = &lines[..lines.len() - 1];
            let is_digest = |line: &&&[u8]| line.len() == 64 && line.iter().all(u8::is_ascii_hexdigit);
            let wanted: Vec<String> =
                whole.iter().filter(is_digest).map(|line| String::from_utf8_lossy(line).to_lowercase()).collect();
            assert_eq!(digests.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
        }
        _ => {
            let _ = identity(text);
            if let Some(manifest) = read::<ViewManifest>(text) {
                check_view(&manifest.view);
                manifest.files.iter().for_each(|file| assert_safe_path(file.path.as_str()));
                assert!(manifest.files.iter().all(|file| manifest.file(file.path.as_str()).is_some()));
            }
        }
    }
});
