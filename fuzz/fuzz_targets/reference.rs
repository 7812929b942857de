//! What people type or paste where a model is named.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::source::hub::Reference;
use model_manager_fuzz::{assert_one_line, assert_safe_part, assert_safe_path};
use url::Url;

/// A text as one segment of an address.
fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Another way to write the same, where there is one for all cases.
fn again(reference: &Reference) -> Option<String> {
    match reference {
        Reference::Registry { id, quant: None } => Some(id.to_string()),
        Reference::Registry { id, quant: Some(quant) } => Some(format!("{id}:{quant}")),
        Reference::Hub { repo, revision, quant: None, path } => {
            let revision = revision.as_ref().map(|revision| format!("@{}", segment(revision.as_str())));
            // `refs/pr/1` is a revision of three parts, and not one of a part with a path behind it.
            let is_ref = revision.as_deref() == Some("@refs");
            let path = path.as_ref().map(|path| format!("/{path}")).unwrap_or_default();
            (!is_ref).then(|| format!("hf://models/{repo}{}{path}", revision.unwrap_or_default()))
        }
        Reference::Hub { repo, revision: None, quant: Some(quant), path: None } => {
            // How it was made, which is no part of the quantization.
            (!quant.as_str().starts_with("i1-")).then(|| format!("hf://models/{repo}:{quant}"))
        }
        Reference::Hub { .. } => None,
        Reference::Web { folder, path } => (!folder.has_query()).then(|| folder.shown(path)),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let endpoints =
        [Url::parse("http://mirror.lan:8090/hf").expect("an address"), Url::parse("https://hub.example").expect("an address")];
    let reference = match Reference::parse(text, &endpoints) {
        Ok(reference) => reference,
        Err(error) => return assert_one_line(&error.to_string(), 10 * 200 + 2000),
    };
    match &reference {
        Reference::Registry { id, quant } => {
            assert_safe_part(id.as_str());
            quant.iter().for_each(|quant| assert_safe_part(quant.as_str()));
        }
        Reference::Hub { repo, revision, quant, path } => {
            assert_eq!(repo.as_str().matches('/').count(), 1, "a repository has an owner");
            repo.as_str().split('/').for_each(assert_safe_part);
            assert!(revision.as_ref().is_none_or(|revision| revision.as_str().split('/').all(|part| part != "..")));
            quant.iter().for_each(|quant| assert_safe_part(quant.as_str()));
            path.iter().for_each(|path| assert_safe_path(path.as_str()));
        }
        Reference::Web { folder, path } => {
            assert!(!folder.as_str().contains(['?', '#']), "what may be a secret is shown");
            assert_safe_path(path.as_str());
        }
    }
    if let Some(again) = again(&reference) {
        assert_eq!(Reference::parse(&again, &endpoints).ok().as_ref(), Some(&reference), "{again}");
    }
    assert_eq!(Reference::parse(&format!(" {text}\n"), &endpoints).ok().as_ref(), Some(&reference), "spaces around it");
});
