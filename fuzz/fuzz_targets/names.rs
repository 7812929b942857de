//! Names: what is accepted is safe to join to a path, and is read back as it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{
    digest::{GitSha1, Sha256Digest},
    names::{Format, ModelId, Quant, RelPath, RepoId, Revision, Role, nearest, split_part_suffix},
    source::hub::matches,
    store::IngestKey,
};
use model_manager_fuzz::{assert_one_line, assert_safe_part, assert_safe_path, choice};
use std::{fmt::Display, path::Path, str::FromStr};

/// A name, or an error of one line.
fn read<T: FromStr<Err: Display> + Display + PartialEq + std::fmt::Debug>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string().parse::<T>().ok().as_ref(), Some(&name), "read back");
            Some(name)
        }
        Err(error) => {
            // A character may be shown as an escape of ten.
            assert_one_line(&error.to_string(), 120 * 10 + 400);
            None
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = choice(data, 10) else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    match which {
        0 => {
            if let Some(id) = read::<ModelId>(text) {
                assert_safe_part(id.as_str());
                assert!(!id.as_str().starts_with(['.', '-']) && id.as_str().len() <= 144 && !id.as_str().contains('~'));
            }
        }
        1 => {
            if let Some(format) = read::<Format>(text) {
                assert_safe_part(format.as_str());
                assert!(!format.as_str().starts_with(['.', '-']) && format.as_str().len() <= 48 && !format.as_str().contains('~'));
                assert_eq!(format.as_str(), format.as_str().to_ascii_lowercase());
            }
        }
        2 => {
            if let Some(quant) = read::<Quant>(text) {
                assert_safe_part(quant.as_str());
                assert!(!quant.as_str().starts_with(['.', '-']) && quant.as_str().len() <= 48 && !quant.as_str().contains('~'));
                let _ = quant.distance();
            }
        }
        3 => {
            if let Some(repo) = read::<RepoId>(text) {
                assert!(repo.as_str().matches('/').count() <= 1 && repo.as_str().len() <= 193);
                repo.as_str().split('/').for_each(assert_safe_part);
                assert!(!repo.as_str().contains("--"), "the folder of a repository stands for one only");
            }
        }
        4 => {
            if let Some(revision) = read::<Revision>(text) {
                assert_one_line(revision.as_str(), 256);
                assert!(!Path::new(revision.as_str()).is_absolute() && !revision.as_str().split('/').any(|part| part == ".."));
                assert_eq!(revision.is_commit(), revision.as_str().parse::<GitSha1>().is_ok());
            }
        }
        5 => {
            if let Some(path) = read::<RelPath>(text) {
                assert_safe_path(path.as_str());
                assert!(Path::new("/base").join(path.to_path()).starts_with("/base"));
                assert_eq!(path.to_path().components().count(), path.depth() + 1);
                let (folder, name) = (path.folder(), path.file_name());
                assert_eq!(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }, path.as_str());
                assert!(path.folder_holds(&path));
            }
        }
        6 => {
            let (stem, part) = split_part_suffix(text);
            if let Some((number, count)) = part {
                assert!((1..=count).contains(&number));
                assert_eq!(format!("{stem}-{number:05}-of-{count:05}"), text);
            }
            let _ = Role::of_gguf_name(text);
            for quant in [Quant::of_gguf_name(text), Quant::of_gguf_path(text)].into_iter().flatten() {
                assert_safe_part(quant.as_str());
                assert!(text.to_ascii_lowercase().contains(quant.as_str().trim_start_matches("ud-")));
            }
        }
        7 => {
            let (pattern, name) = text.split_once('\n').unwrap_or((text, ""));
            let fits = matches(pattern, name);
            assert!(matches(&format!("*{pattern}*"), name) || !fits);
            assert!(matches(&format!("{name}/"), &format!("{name}/x")) || name.contains(['*', '?', '[']));
            if !pattern.contains(['*', '?', '[']) && !pattern.ends_with('/') {
                assert_eq!(fits, pattern == name);
            }
        }
        8 => {
            let mut lines = text.lines();
            let wanted = lines.next().unwrap_or_default();
            let candidates: Vec<&str> = lines.collect();
            let found = nearest(wanted, candidates.iter().copied());
            assert!(found.is_none_or(|found| candidates.contains(&found)));
            assert!(!candidates.contains(&wanted) || found.is_some());
        }
        _ => {
            // Names of folders that are not reported.
            if let Ok(key) = text.parse::<IngestKey>() {
                assert_safe_part(&key.to_string());
                assert_eq!(key.to_string().parse(), Ok(key));
            }
            let is_hex = |len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert_eq!(read::<Sha256Digest>(text).is_some(), is_hex(64));
            assert_eq!(read::<GitSha1>(text).is_some(), is_hex(40));
        }
    }
});
