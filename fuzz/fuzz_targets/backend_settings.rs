//! A backend's settings: the model's path is the only thing that changes.
//!
//! The first line is the path, the rest the settings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::registry::{model_path_line, set_model_path};
use model_manager_fuzz::{assert_comments_stay, first_line};
use serde_yaml::Value;

/// The settings without the path, and the path.
fn read(text: &str) -> Option<(Value, Option<Value>)> {
    let mut value: Value = serde_yaml::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let path = value.get_mut("backend")?.as_mapping_mut()?.remove("model_path");
    Some((value, path))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, old) = first_line(text);
    let line: Value = serde_yaml::from_str(&model_path_line(path)).expect("what is to be written by hand can be read");
    assert_eq!(line["model_path"], path);
    let edited = match set_model_path(old, path) {
        Ok(edited) => edited,
        Err(error) => return assert!(error.why.len() <= 2000 && error.line.is_none_or(|line| line >= 1), "{error}"),
    };
    let new = &edited.text;

    // Read by the YAML crate itself, all but the path is as it was.
    if let Some((before, was)) = read(old) {
        let (after, is) = read(new).unwrap_or_else(|| panic!("this cannot be read any more:\n{new}"));
        assert_eq!(before, after, "something else was changed:\n{new}");
        assert_eq!(is, Some(Value::from(path)), "{new}");
        assert!(was.is_none() || edited.before.is_some() || !was.as_ref().is_some_and(Value::is_string), "{edited:?}");
    }
    // And so is every byte outside of one line.
    assert_comments_stay(old, new, edited.before.as_deref().unwrap_or_default());
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(old), lines(new));
    let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let tail = before[head..].iter().rev().zip(after[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(before.len() - head - tail <= 1, "more than a line of the old text is gone:\n{new}");
    assert!(after.len() - head - tail <= 2, "more than a line is new:\n{new}");
    assert!(edited.line >= 1 && new.contains(&edited.line_text));
    // A second time there is nothing to do.
    assert_eq!(set_model_path(new, path).map(|again| again.text).ok().as_ref(), Some(new));
});
