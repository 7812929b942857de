//! What several targets hold their readers to.

use model_manager::weights::{TableReader, TensorTable, copies};
use std::path::{Component, Path};

/// The first byte says which reader is meant, of so many; the rest is for it. Seeds write it as a digit or a letter.
pub fn choice(data: &[u8], of: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((first.wrapping_sub(b'0') % of, rest))
}

/// The first line of an input, and the rest.
pub fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Device names of Windows, as CPython's `os.path.isreserved` lists them, in lower case.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ').to_lowercase();
    let numbered = |kind| {
        stem.strip_prefix(kind).is_some_and(|n| matches!(n, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"))
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul" | "conin$" | "conout$") || numbered("com") || numbered("lpt")
}

/// One component of a path that every supported system can write and none reads as something else.
#[track_caller]
pub fn assert_safe_part(part: &str) {
    assert!(!part.is_empty() && part != "." && part != ".." && part.len() <= 255, "{part:?}");
    assert!(!part.chars().any(|c| c.is_control() || "<>:\"/\\|?*".contains(c)), "{part:?}");
    assert!(!part.ends_with(['.', ' ']), "{part:?}");
    assert!(!is_device(part), "{part:?} is a device");
}

/// A path with `/` between its parts that stays below the folder it is joined to.
#[track_caller]
pub fn assert_safe_path(path: &str) {
    assert!(path.len() <= 1024, "{} bytes", path.len());
    path.split('/').for_each(assert_safe_part);
    assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
}

/// A line for people: no control characters, and no longer than so many characters.
#[track_caller]
pub fn assert_one_line(text: &str, most: usize) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() <= most, "{} characters: {text:?}", text.chars().count());
}

/// Every line of `old` that is a comment stands in `new` too, in the same order; and no comment behind a value is gone, though
/// the text of a value may be.
#[track_caller]
pub fn assert_comments_stay(old: &str, new: &str, value: &str) {
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let mut rest = new.lines().filter(is_comment);
    for line in old.lines().filter(is_comment) {
        assert!(rest.any(|other| other == line), "the comment {line:?} is gone from\n{new}");
    }
    let marks = |text: &str| text.matches('#').count();
    assert!(marks(new) + marks(value) >= marks(old), "a comment is gone from\n{new}");
}

/// The table of tensors of a file that begins with these bytes, whatever the pieces in which they come; `None` where it is
/// refused or not complete.
pub fn table(name: &str, head: &[u8], len: u64, cut: usize) -> Option<TensorTable> {
    let read = |pieces: [&[u8]; 2]| {
        let mut reader = TableReader::new(name, len).expect("a name of weights");
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            match reader.push(piece) {
                Ok(None) => {}
                Ok(Some(table)) => return Ok(Some(table)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(None)
    };
    let whole = read([head, &[]]);
    let pieces = read([&head[..cut], &head[cut..]]);
    assert_eq!(pieces.is_ok(), whole.is_ok(), "{pieces:?} {whole:?}");
    let table = whole.ok().flatten()?;
    assert_eq!(pieces.ok().flatten().as_ref(), Some(&table), "pieces matter");
    for tensor in &table.tensors {
        assert!(tensor.offset >= table.header_len && tensor.offset.checked_add(tensor.len).is_some_and(|end| end <= len));
    }
    for found in copies(&[&table], &[&table]).matches {
        assert!(found.places.iter().all(|place| place.at == found.at && place.is_padded_alike));
    }
    Some(table)
}
