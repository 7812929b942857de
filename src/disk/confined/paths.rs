//! Paths taken apart by bytes: with the standard library that is a good part of what a look at a file costs.

use super::HERE;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// [`Path::strip_prefix`], by bytes where that is enough.
pub(super) fn strip<'p>(path: &'p Path, root: &Path) -> Option<&'p Path> {
    match bytes(path).strip_prefix(bytes(root)) {
        Some([b'/', rest @ ..]) if !bytes(root).ends_with(b"/") && is_tidy(Path::new(OsStr::from_bytes(rest))) => {
            Some(Path::new(OsStr::from_bytes(rest)))
        }
        _ => path.strip_prefix(root).ok(),
    }
}

/// The folder and the name of a path below a root.
pub(super) fn split(path: &Path) -> (&Path, &Path) {
    if is_tidy(path) {
        let bytes = bytes(path);
        let (above, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (&[][..], bytes),
        };
        return (Path::new(OsStr::from_bytes(above)), Path::new(OsStr::from_bytes(name)));
    }
    (path.parent().unwrap_or(Path::new("")), Path::new(path.file_name().unwrap_or(OsStr::new(HERE))))
}

/// Whether a path is nothing but names with one `/` between them.
pub(super) fn is_tidy(path: &Path) -> bool {
    bytes(path).split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn paths_are_taken_apart_as_the_standard_library_does(path in "/?([ab.]{0,2}/{1,2}){0,5}[ab.]{0,2}", root in "/([ab]{1,2}/?){1,2}") {
            let (path, root) = (Path::new(&path), Path::new(&root));
            proptest::prop_assert_eq!(strip(path, root), path.strip_prefix(root).ok());
            if is_tidy(path) {
                proptest::prop_assert_eq!(Some(split(path).0), path.parent());
                proptest::prop_assert_eq!(Some(split(path).1.as_os_str()), path.file_name());
            }
        }
    }
}
