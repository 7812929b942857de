//! What the Hub says about a repository, and the index of a set of weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{fuzzing::pinned, names::Revision, source::hub::missing_from_index};
use model_manager_fuzz::{assert_one_line, assert_safe_part, choice};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((which, body)) = choice(data, 3) else { return };
    if which == 2 {
        return index(body);
    }
    let asked: Revision = match which {
        0 => Revision::main(),
        _ => "0123456789abcdef0123456789abcdef01234567".parse().expect("a revision"),
    };
    let repo = "owner/repo".parse().expect("a repository");
    match pinned(body, &repo, &asked) {
        Ok(pinned) => {
            let commit = pinned.commit.as_ref().expect("a repository has commits");
            assert!(commit.is_commit());
            assert!(!asked.is_commit() || commit.as_str().eq_ignore_ascii_case(asked.as_str()));
            assert_eq!(pinned.requested, repo);
            pinned.id.as_str().split('/').for_each(assert_safe_part);
            if let Some(license) = &pinned.license {
                assert!(!license.is_empty() && license.trim() == license);
                assert_one_line(license, 100);
            }
        }
        Err(error) => assert_one_line(&error.to_string(), 2500),
    }
});

fn index(text: &[u8]) {
    let there = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    match missing_from_index(text, &there) {
        Ok(missing) => {
            assert!(missing.windows(2).all(|pair| pair[0] < pair[1]), "in order, each once");
            // The reader passes over values that nothing asks for, also where they are not UTF-8.
            let Ok(json) = serde_json::from_slice::<Value>(text) else { return };
            let map = json["weight_map"].as_object().expect("it has a map");
            assert!(missing.iter().all(|name| !there.contains(&name.as_str())));
            // Of a tensor that is named twice both files are wanted, and the reader of the test knows the last.
            let is_named_twice = missing.iter().any(|name| map.values().all(|value| value != name));
            assert!(!is_named_twice || text.windows(2).filter(|pair| *pair == b"\":").count() > map.len());
            let named = map.values().filter_map(Value::as_str);
            assert!(named.into_iter().all(|name| there.contains(&name) || missing.iter().any(|other| other == name)));
        }
        Err(error) => assert_one_line(&error.to_string(), 300),
    }
}
