//! `models.yaml`: what is read is safe to make folders of, and every complaint says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::registry::{Lint, Registry, RegistryError};
use model_manager_fuzz::{assert_one_line, assert_safe_part, assert_safe_path};
use std::collections::HashSet;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let parsed = Registry::parse(&text, "models.yaml");
    let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    let findings = Lint::offline(&text, "models.yaml").findings();
    assert!(findings.iter().all(|finding| (1..=lines).contains(&finding.line) && finding.column >= 1));
    let is_good = parsed.as_ref().is_ok_and(|registry| registry.bad_entries().is_empty());
    assert_eq!(findings.iter().any(|finding| finding.rule == "schema"), !is_good);
    let registry = match parsed {
        Ok(registry) => registry,
        Err(RegistryError::BadFile(bad)) => {
            assert!((1..=lines).contains(&bad.line) && bad.column >= 1, "{bad}");
            assert_one_line(&bad.message, 1500);
            let shown = bad.to_string();
            assert!(shown.lines().count() <= 4 && shown.chars().count() <= 2500, "{shown}");
            return;
        }
        Err(other) => panic!("{other}"),
    };
    if let Some(text) = text.strip_prefix('\u{feff}') {
        assert_eq!(Registry::parse(text, "models.yaml").ok().as_ref(), Some(&registry), "a byte order mark says nothing");
    }
    for bad in registry.bad_entries() {
        assert!((1..=lines).contains(&bad.error.line) && bad.error.column >= 1, "{}", bad.error);
        assert_one_line(&bad.error.message, 1500);
    }
    let mut folders = HashSet::new();
    for model in registry.models() {
        assert_safe_part(model.id.as_str());
        assert_eq!(registry.model(model.id.as_str()).ok(), Some(model));
        assert!(!model.formats.is_empty());
        for format in &model.formats {
            assert_safe_part(format.format.as_str());
            assert_eq!(format.quants.is_empty(), format.whole.is_some(), "either quantizations or a whole set");
        }
    }
    for entry in registry.entries() {
        let folder = format!("{}/{}/{}", entry.model.id, entry.format, entry.quant.map(|quant| quant.as_str()).unwrap_or_default());
        assert!(folders.insert(folder.to_lowercase()), "{folder} is the folder of two entries");
        entry.quant.iter().for_each(|quant| assert_safe_part(quant.as_str()));
        let artifact = entry.artifact;
        artifact.files.iter().chain(&artifact.expect).for_each(|file| assert_safe_path(file.path.as_str()));
        let paths: HashSet<String> = artifact.files.iter().map(|file| file.path.as_str().to_lowercase()).collect();
        assert_eq!(paths.len(), artifact.files.len(), "each file once");
        assert!(artifact.files.is_empty() || artifact.include.is_empty(), "files or patterns");
        let _ = (artifact.is_pinned(), artifact.total_size());
        let selected = registry.select(entry.model.id.as_str(), Some(entry.format), entry.quant).expect("it is there");
        assert!(std::ptr::eq(selected.artifact, artifact));
        selected.notices.iter().for_each(|notice| assert!(notice.to_string().len() <= 1000 + text.len()));
    }
    assert!(registry.unknown_keys().iter().all(|key| (1..=lines).contains(&key.line) && key.column >= 1));
});
