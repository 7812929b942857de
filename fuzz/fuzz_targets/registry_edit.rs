//! Edits of `models.yaml`: the entry that was meant is read back, and everything else stays.
//!
//! The first line says what is done, with `|` between the words; the rest is the registry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{
    digest::Sha256Digest,
    facts::FileFacts,
    names::{Format, ModelId},
    registry::{EditError, Edited, NewEntry, Registry, add, repin, unified_diff},
};
use model_manager_fuzz::{assert_comments_stay, first_line};

const ORIGIN: &str = "models.yaml";

/// `a|id|format|quant|owner/repo|size|license|gated|description|file|file…`; what cannot be read is something usual.
fn entry(line: &str) -> (bool, NewEntry) {
    let mut words = line.split('|');
    let mut word = || words.next().unwrap_or_default();
    let is_repin = word() == "r";
    let id: ModelId = word().parse().unwrap_or_else(|_| "model".parse().expect("an id"));
    let format: Format = word().parse().unwrap_or_else(|_| Format::gguf());
    let quant = word().parse().ok();
    let source = word().parse().unwrap_or_else(|_| "owner/repo".parse().expect("a repository"));
    let size: Option<u64> = word().parse().ok();
    let sha256 = size.filter(|size| size % 2 == 1).map(|size| Sha256Digest::from_bytes([size as u8; 32]));
    let license = Some(word()).filter(|text| !text.trim().is_empty()).map(|text| text.trim().to_owned());
    let gated = word() == "yes";
    let description = Some(word()).filter(|text| !text.trim().is_empty()).map(|text| text.trim().to_owned());
    let mut seen = std::collections::HashSet::new();
    let paths =
        words.filter_map(|word| word.parse().ok()).filter(|path: &model_manager::names::RelPath| seen.insert(path.case_key()));
    let mut files: Vec<FileFacts> = paths.map(|path| FileFacts { size, sha256, ..FileFacts::named(path) }).collect();
    let mut expect = Vec::new();
    if !format.is_single_file() {
        std::mem::swap(&mut files, &mut expect);
    }
    let commit = Some("fedcba9876543210fedcba9876543210fedcba98".parse().expect("a commit"));
    let description = if is_repin { None } else { description };
    (is_repin, NewEntry { id, format, quant, source, commit, files, expect, license, gated, description })
}

/// The entry stands in the new text as it was meant, and no other model is another one.
fn check(old: &str, edited: &Edited, entry: &NewEntry, is_repin: bool) {
    let new = &edited.text;
    let before = Registry::parse(old, ORIGIN).expect("it was a registry");
    let after = Registry::parse(new, ORIGIN).unwrap_or_else(|error| panic!("{error}\n{new}"));
    let same = |id: &ModelId| id.as_str().eq_ignore_ascii_case(entry.id.as_str());
    let others = |registry: &Registry| registry.models().filter(|model| !same(&model.id)).cloned().collect::<Vec<_>>();
    assert_eq!(others(&before), others(&after), "another model was changed:\n{new}");
    let count = |registry: &Registry| registry.entries().count();
    assert_eq!(count(&after), count(&before) + usize::from(!is_repin), "{new}");
    let found =
        after.entries().find(|there| same(&there.model.id) && *there.format == entry.format && there.quant == entry.quant.as_ref());
    let artifact = found.unwrap_or_else(|| panic!("{} is not there:\n{new}", entry.name())).artifact;
    // What names a web server has no commit to be written.
    assert!(entry.source.repo().is_none() || artifact.revision == entry.commit);
    assert!(artifact.source.is_named(entry.source.as_str()));
    for (there, meant) in [(&artifact.files, &entry.files), (&artifact.expect, &entry.expect)] {
        assert!(meant.iter().all(|file| there.contains(file)), "{meant:?} in\n{new}");
    }
    if !is_repin {
        assert_eq!(artifact.gated, entry.gated);
        assert!(entry.license.is_none() || artifact.license.is_some());
    }
    assert_comments_stay(old, new, "");
    assert!(edited.line >= 1 && edited.line <= new.lines().count(), "line {} of\n{new}", edited.line);
    assert!(new.len() <= old.len() + 4096 + 8 * format!("{entry:?}").len());
    assert_eq!(old.starts_with('\u{feff}'), new.starts_with('\u{feff}'));
    let diff = unified_diff(Some(old), new, ORIGIN);
    assert!(diff.lines().any(|line| line.starts_with('+')) || old == new.as_str());
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (line, old) = first_line(text);
    let (is_repin, entry) = entry(line);
    let edited = if is_repin { repin(old, ORIGIN, &entry) } else { add(old, ORIGIN, &entry) };
    match edited {
        Ok(edited) => {
            check(old, &edited, &entry, is_repin);
            match is_repin {
                // Pinned as it is, nothing changes.
                true => assert_eq!(repin(&edited.text, ORIGIN, &entry).map(|again| again.text).ok(), Some(edited.text)),
                false => {
                    let again = NewEntry { description: None, ..entry };
                    let again = add(&edited.text, ORIGIN, &again);
                    assert!(matches!(again, Err(EditError::Exists { .. })), "{again:?}\n{}", edited.text);
                }
            }
        }
        Err(error) => {
            let (message, hint) = (error.to_string(), format!("{:?}", error.hints()));
            assert!(message.len() + hint.len() <= 8000 + 8 * line.len(), "{message}\n{hint}");
        }
    }
});
