//! `models.lock`: read strictly, and written in one way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::registry::{LockFile, RegistryError};
use model_manager_fuzz::{assert_one_line, assert_safe_path};
use std::collections::HashSet;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lock = match LockFile::parse(&text, "models.lock") {
        Ok(lock) => lock,
        Err(RegistryError::BadLock(bad)) => {
            assert!(!bad.is_empty());
            for bad in &bad {
                assert!(bad.line >= 1 && bad.column >= 1);
                assert_one_line(&bad.message, 1500);
                assert!(bad.to_string().lines().count() <= 4, "{bad}");
            }
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let written = lock.to_text();
    let read = LockFile::parse(&written, "models.lock").unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(read, lock, "{written}");
    assert_eq!(read.to_text(), written);
    let mut paths = HashSet::new();
    for view in lock.views() {
        let is_lower = |commit: &model_manager::names::Revision| commit.as_str() == commit.as_str().to_ascii_lowercase();
        assert_eq!(view.commit.is_some(), view.origin.repo().is_some());
        assert!(view.commit.as_ref().is_none_or(|commit| commit.is_commit() && is_lower(commit)));
        assert!(!view.files.is_empty());
        let _ = view.size();
        let mut folder = format!("{}/{}", view.model, view.format);
        folder.extend(view.quant.iter().map(|quant| format!("/{quant}")));
        for file in &view.files {
            assert_safe_path(&format!("{folder}/{}", file.path));
            assert_safe_path(file.repo_path.as_str());
            assert!(paths.insert(format!("{folder}/{}", file.path).to_lowercase()), "two files in one place");
        }
        let mut without = lock.clone();
        without.remove(&view.model, &view.format, view.quant.as_ref());
        assert!(without.get(&view.model, &view.format, view.quant.as_ref()).is_none());
        without.put(view.clone());
        assert_eq!(without, lock, "taken out and put back");
    }
});
