use super::*;
use crate::{
    digest::LONGEST_FILE,
    registry::{BUILT_IN, Lint},
};
use proptest::prelude::*;

/// A model as a test writes it: name, revision, licence, quantizations with file, size and hash.
type Written = (String, Option<String>, Option<String>, Vec<(String, String, Option<u64>, Option<[u8; 32]>)>);

fn model() -> impl Strategy<Value = Written> {
    let quant = (
        "q[2-8]_[0-9a-z]{1,4}",
        "[a-zA-Zé0-9][a-zA-Zé0-9 _+-]{0,20}\\.gguf",
        proptest::option::of(0..=LONGEST_FILE),
        any::<Option<[u8; 32]>>(),
    );
    (
        "[a-z0-9][a-z0-9.-]{0,12}[a-z0-9]m",
        proptest::option::of("[0-9a-f]{7,40}"),
        proptest::option::of("[a-z0-9: #{}',-]{1,20}x"),
        proptest::collection::vec(quant, 1..4),
    )
}

/// JSON strings are YAML's double-quoted ones.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn yaml(models: &[Written], bare_revision: bool) -> String {
    let mut text = String::from("models:\n");
    for (id, revision, license, quants) in models {
        text += &format!("  {}:\n    huggingface_id: a/b\n", quoted(id));
        if let Some(revision) = revision {
            text += &format!("    revision: {}\n", if bare_revision { revision.clone() } else { quoted(revision) });
        }
        text += &format!("    license: {}\n", license.as_deref().map_or("null".into(), quoted));
        text += "    formats:\n      gguf:\n";
        for (quant, file, size, sha256) in quants {
            text += &format!("        {quant}:\n          file: {}\n", quoted(file));
            text += &format!("          size: {}\n", size.map_or("null".into(), |size| size.to_string()));
            let sha256 = sha256.map(|bytes| crate::digest::Sha256Digest::from_bytes(bytes).to_string());
            text += &format!("          sha256: {}\n", sha256.unwrap_or_else(|| "null".into()));
        }
    }
    text
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Registry::parse(&text, "x").map_err(|error| error.to_string());
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(text in "(models|formats|m|a/b|file|<<|[ \n\t:{}\\[\\],&*!|>'\"#?-]|\r|é|~|1e9|\u{2028}){0,80}") {
        let _ = Registry::parse(&text, "x").map_err(|error| error.to_string());
        let _ = Registry::parse(&format!("models:\n{text}"), "x").map_err(|error| error.to_string());
    }

    #[test]
    fn no_damage_to_the_shipped_file_makes_the_reader_panic(
        cuts in proptest::collection::vec((0..BUILT_IN.len(), 0..40usize, "[ \n\t:{}\\[\\],&*!|>'\"#?a-f0-9-]{0,6}"), 1..5)
    ) {
        let mut bytes = BUILT_IN.as_bytes().to_vec();
        for (at, len, with) in cuts {
            let start = at.min(bytes.len());
            let end = (start + len).min(bytes.len());
            bytes.splice(start..end, with.bytes());
        }
        let text = String::from_utf8_lossy(&bytes);
        let read = Registry::parse(&text, "x");
        if let Err(RegistryError::BadFile(bad)) = &read {
            prop_assert!(bad.line >= 1 && bad.column >= 1);
            let _ = bad.to_string();
        }
        let lines = crate::registry::tree::lines(&text).len();
        let findings = Lint::offline(&text, "x").findings();
        prop_assert!(findings.iter().all(|finding| (1..=lines).contains(&finding.line) && finding.column >= 1));
        prop_assert_eq!(findings.iter().any(|finding| finding.rule == "schema"), !read.is_ok_and(|read| read.bad_entries().is_empty()));
    }

    #[test]
    fn what_is_written_is_read(models in proptest::collection::vec(model(), 0..4), bare: bool) {
        let mut models = models;
        let mut ids = std::collections::HashSet::new();
        models.retain(|model| model.0.parse::<crate::names::ModelId>().is_ok() && ids.insert(model.0.clone()));
        for (.., quants) in &mut models {
            let mut names = std::collections::HashSet::new();
            quants.retain(|quant| names.insert(quant.0.clone()));
        }
        let registry = parse(&yaml(&models, bare));
        prop_assert_eq!(registry.unknown_keys().len(), 0);
        prop_assert_eq!(registry.models().count(), models.len());
        for (model, (id, revision, license, quants)) in registry.models().zip(&models) {
            prop_assert_eq!(model.id.as_str(), id);
            prop_assert_eq!(model.revision.as_ref().map(|revision| revision.as_str()), revision.as_deref());
            prop_assert_eq!(model.license.as_deref(), license.as_deref().map(str::trim));
            for (entry, (quant, file, size, sha256)) in model.formats[0].quants.iter().zip(quants) {
                prop_assert_eq!(entry.quant.as_str(), quant);
                let read = &entry.artifact.files[0];
                prop_assert_eq!(read.path.as_str(), file);
                prop_assert_eq!(read.size, *size);
                prop_assert_eq!(read.sha256.map(|digest| *digest.as_bytes()), *sha256);
            }
        }
    }
}
