use crate::registry::{LOCK_VERSION, LockFile, LockSource, LockedFile, LockedView, RegistryError};
use proptest::prelude::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A lock file with one view, in which one line may be put in place of another.
fn text(replace: &str, with: &str) -> String {
    let whole = format!(
        "version: 1\nviews:\n  - model: m\n    format: gguf\n    quant: q8_0\n    source: registry\n    repo: a/b\n    commit: {COMMIT}\n    files:\n      - path: x.gguf\n        size: 6\n        sha256: {SHA256}\n"
    );
    assert!(whole.contains(replace), "{replace}");
    whole.replacen(replace, with, 1)
}

fn refused(text: &str) -> (usize, String) {
    match LockFile::parse(text, "models.lock") {
        Err(RegistryError::BadLock(bad)) => (bad[0].line, bad[0].to_string()),
        other => panic!("{text}\n{other:?}"),
    }
}

#[test]
fn a_text_with_characters_that_yaml_does_not_take_is_read_back() {
    let mut lock = LockFile::parse(&text("", ""), "models.lock").unwrap();
    let mut view = lock.views()[0].clone();
    let odd = "a\u{2028}b\u{feff}c\u{fffe}d\u{ffff}e";
    (view.license, view.include) = (Some(format!("{odd}\"\\")), vec![format!("{odd}\"\\")]);
    view.files[0].path = odd.parse().unwrap();
    view.files[0].repo_path = odd.parse().unwrap();
    lock.put(view);
    let written = lock.to_text();
    assert_eq!(LockFile::parse(&written, "models.lock").unwrap(), lock, "{written}");
}

#[test]
fn what_is_no_lock_file_of_this_version_is_refused_with_its_line() {
    let file = format!("      - path: x.gguf\n        size: 6\n        sha256: {SHA256}\n");
    let more = |path: &str| text(&file, &format!("{file}{}", file.replace("x.gguf", path)));
    let view =
        |name: &str| format!("{}{}", text("", ""), text("", "").split_once("views:\n").unwrap().1.replacen("model: m", name, 1));
    for (text, line, words) in [
        (String::new(), 1, "expected `version:`"),
        ("views: []\n".into(), 1, "expected `version`"),
        ("version: 1\n".into(), 1, "expected `views`"),
        ("version: 1\nviews: {}\n".into(), 2, "a list of views"),
        (text("version: 1", "version: 2"), 1, "version 2, and this program knows 1"),
        (text("version: 1", "version: 1\nmirror: x"), 2, "unknown key `mirror`"),
        (text("source: registry", "source: hub"), 6, "expected registry, repository, file"),
        (text("    source: registry\n", ""), 3, "expected `source`"),
        (text("    source", "    url: \"https://x\"\n    source"), 6, "unknown key `url`"),
        (text(COMMIT, "main"), 8, "40 hexadecimal digits"),
        (text("repo: a/b", "repo: ../b"), 7, "is not a repository"),
        (text("model: m", "model: ../m"), 3, "is not a model id"),
        (text("x.gguf", "../x.gguf"), 10, "is not a file path"),
        (text("x.gguf", "/etc/x.gguf"), 10, "is not a file path"),
        (text("x.gguf", "'C:\\x.gguf'"), 10, "is not a file path"),
        (text("path: x.gguf", "path: x.gguf\n        repo_path: ../x"), 11, "is not a file path"),
        (text("size: 6", "size: -6"), 11, "expected a number of bytes"),
        (text("        size: 6\n", ""), 10, "expected `size`"),
        (text(SHA256, "123"), 12, "expected 64 hexadecimal digits"),
        (text(&format!("        sha256: {SHA256}\n"), ""), 10, "expected `sha256`"),
        (text(SHA256, &format!("{SHA256}\n        git_sha1: abc")), 13, "expected 40 hexadecimal digits"),
        (text(&format!("    files:\n{file}"), "    files: []\n"), 9, "has no files"),
        (more("x.gguf"), 13, "are the same file"),
        (more("X.gguf"), 13, "are the same file"),
        (more("x.gguf/y"), 13, "is a file here and a folder"),
        (view("model: m"), 13, "stands in line 3 already"),
        (view("model: M"), 13, "stands in line 3 already"),
        (
            text("", "").replace("    quant: q8_0\n", "").replace("x.gguf", "q8_0/x.gguf")
                + text("", "").split_once("views:\n").unwrap().1,
            19,
            "are the same file",
        ),
        (text("size: 6", &format!("size: {}", u64::MAX)), 11, "no file has more than"),
        (text("    format", "<<<<<<< ours\n    format"), 4, "a merge left a conflict"),
        (text("repo: a/b", "repo: a/b\n    repo: c/d"), 8, "stands here twice"),
    ] {
        let (at, shown) = refused(&text);
        assert!(shown.contains(words), "expected `{words}` in:\n{shown}");
        assert_eq!(at, line, "\n{shown}");
    }
}

#[test]
fn all_errors_are_reported_at_once_each_with_its_line() {
    let text = text("source: registry", "source: hub").replace("a/b", "../b").replace("size: 6", "size: -6\n        hash: x");
    let second = text.split_once("views:\n").unwrap().1.replace("model: m", "model: n").replace("quant:", "quants:");
    let error = LockFile::parse(&format!("{text}{second}"), "models.lock").unwrap_err();
    let RegistryError::BadLock(bad) = &error else { panic!("{error}") };
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [6, 7, 11, 12, 16, 17, 18, 22, 23], "{error}");
    for words in ["models.lock:6:", "expected registry, repository, file", "models.lock:23:", "unknown key `hash`"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let many = text.replace("views:\n", &format!("views:\n{}", "  - 1\n".repeat(100)));
    let error = LockFile::parse(&many, "models.lock").unwrap_err().to_string();
    assert!(error.ends_with("and 84 more"), "{error}");
}

#[test]
fn what_is_read_may_be_in_any_order_and_what_is_written_is_not() {
    let other = text("model: m", "model: a").split_once("views:\n").unwrap().1.to_owned();
    let lock = LockFile::parse(&format!("{}{other}", text("", "")), "x").unwrap();
    assert_eq!(lock.views().iter().map(|view| view.model.as_str()).collect::<Vec<_>>(), ["a", "m"]);
    let written = lock.to_text();
    assert!(written.starts_with("# "), "{written}");
    assert!(!written.contains("http"), "{written}");
    assert_eq!(LockFile::parse(&written, "x").unwrap(), lock);
    assert_eq!(LockFile::parse(&LockFile::default().to_text(), "x").unwrap(), LockFile::default());
}

#[test]
fn the_example_of_the_format_is_a_lock_file_byte_for_byte() {
    let document = include_str!("../../../store-layout.md");
    assert!(document.contains(&format!("| lock file version | `{LOCK_VERSION}` |")));
    let (_, after) = document.split_once("The same views give the same bytes:\n\n").unwrap();
    let example: String = after.lines().map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
    let written = LockFile::parse(&example, "store-layout.md").unwrap_or_else(|error| panic!("{error}")).to_text();
    let without_comments: String = written.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    assert_eq!(without_comments, example);
}

fn any_view() -> impl Strategy<Value = LockedView> {
    let file = ("[a-zA-Z0-9é #\"'][a-z0-9 .#'_-]{0,9}x", any::<u32>(), any::<[u8; 32]>(), proptest::option::of(any::<[u8; 20]>()));
    (
        ("[a-z0-9][a-z0-9.-]{0,9}m", proptest::option::of("[a-z0-9][a-z0-9_]{0,9}"), 0..3usize),
        (proptest::option::of("[a-z0-9]{1,9}"), "[0-9a-f]{40}", proptest::option::of("[a-zA-Z0-9#:{}' ]{0,20}x"), any::<bool>()),
        proptest::collection::vec("[a-z*.\\[\\]!, '-]{1,9}", 0..3),
        proptest::collection::vec(file, 1..5),
    )
        .prop_filter_map(
            "a name that is none",
            |((model, quant, source), (revision, commit, license, gated), include, files)| {
                let files = files.into_iter().enumerate().map(|(number, (name, size, sha256, git))| {
                    let path: crate::names::RelPath = format!("{number}/{}", name.replace('"', "")).parse().ok()?;
                    Some(LockedFile {
                        repo_path: format!("sub/{path}").parse().ok()?,
                        path,
                        size: size.into(),
                        sha256: crate::digest::Sha256Digest::from_bytes(sha256),
                        git_sha1: git.map(crate::digest::GitSha1::from_bytes),
                        trust: size.is_multiple_of(2).then(|| "tofu".to_owned()),
                        more: Vec::new(),
                    })
                });
                Some(LockedView {
                    model: model.parse().ok()?,
                    format: crate::names::Format::gguf(),
                    quant: quant.map(|quant| quant.parse().ok()).unwrap_or_default(),
                    source: [LockSource::Registry, LockSource::Repository, LockSource::File][source],
                    origin: "a/b".parse().ok()?,
                    revision: revision.and_then(|revision| revision.parse().ok()),
                    commit: Some(commit.parse().ok()?),
                    license: license.map(|license| license.trim().to_owned()),
                    gated,
                    include: include.clone(),
                    exclude: include,
                    files: files.collect::<Option<_>>()?,
                    more: Vec::new(),
                })
            },
        )
}

#[test]
fn a_lock_file_of_the_first_version_is_read_and_written_back_byte_for_byte() {
    let text = include_str!("../../../tests/fixtures/layout-1/project/configs/models.lock");
    let lock = LockFile::parse(text, "models.lock").unwrap_or_else(|error| panic!("{error}"));
    assert!(!lock.views().is_empty() && lock.views().iter().all(|view| view.origin.repo().is_some() && view.commit.is_some()));
    assert_eq!(lock.to_text(), text);
}

/// One view with these lines behind its `source`, and a file.
fn with_origin(lines: &str) -> String {
    let head = "version: 1\nviews:\n  - model: \"m\"\n    format: \"gguf\"\n    quant: \"q8_0\"\n    source: \"file\"\n";
    let sha256 = "ab".repeat(32);
    format!("{head}{lines}    gated: false\n    files:\n      - path: \"m.gguf\"\n        size: 6\n        sha256: \"{sha256}\"\n")
}

#[test]
fn an_origin_that_is_no_repository_has_no_commit_and_is_written_back_as_it_was() {
    for lines in [
        "    origin: \"https://h:8443/a%20b\"\n",
        "    origin: \"oci://ghcr.io/o/m\"\n    commit: \"of a newer version\"\n    digest: \"sha256:00\"\n",
    ] {
        let text = with_origin(lines);
        let lock = LockFile::parse(&text, "x").unwrap_or_else(|error| panic!("{error}"));
        let written = lock.to_text();
        assert!(written.ends_with(&text[text.find("version:").unwrap()..]), "{written}");
        assert!(lock.views()[0].commit.is_none());
    }
    // Further keys of its files are kept too, if they are texts; those of other origins are refused.
    let with_layer = |origin: &str, layer: &str| {
        let view = with_origin(&format!("    origin: \"{origin}\"\n"));
        view.replace("        size: 6\n", "        size: 6\n        layer: LAYER\n").replace("LAYER", layer)
    };
    let lock = LockFile::parse(&with_layer("oci://h/a", "\"sha256:00\""), "x").unwrap_or_else(|error| panic!("{error}"));
    assert!(lock.to_text().ends_with("        layer: \"sha256:00\"\n"), "{}", lock.to_text());
    assert_eq!(LockFile::parse(&lock.to_text(), "x").unwrap(), lock);
    for (origin, layer, why) in [("oci://h/a", "[1]", "expected text"), ("https://h/a", "\"x\"", "unknown key `layer`")] {
        let error = LockFile::parse(&with_layer(origin, layer), "x").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    for (lines, why) in [
        ("    origin: \"o/r\"\n", "a repository is named by `repo`"),
        ("    origin: \"https://h/a\"\n    repo: \"o/r\"\n", "cannot stand beside an `origin`"),
        ("    origin: \"https://h/a\"\n    digest: \"x\"\n", "unknown key `digest`"),
        ("    origin: \"https://me:secret@h/a\"\n", "user or a password"),
        ("    origin: \"https://h/a?key=secret\"\n", "a query"),
        ("    origin: \"https://h/a?key=secret\"\n    digest: \"x\"\n", "unknown key `digest`"),
        ("    origin: \"oci://me:secret@h/a\"\n", "user or a password"),
        ("    origin: \"oci://h/a?secret\"\n    digest: [1]\n", "expected text"),
    ] {
        let error = LockFile::parse(&with_origin(lines), "x").unwrap_err().to_string();
        assert!(error.contains(why), "{lines}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

proptest! {
    #[test]
    fn every_lock_survives_being_written_and_read(views in proptest::collection::vec(any_view(), 0..4)) {
        let mut lock = LockFile::default();
        let mut models = std::collections::HashSet::new();
        views.into_iter().filter(|view| models.insert(view.model.as_str().to_lowercase())).for_each(|view| lock.put(view));
        let text = lock.to_text();
        let read = LockFile::parse(&text, "x");
        prop_assert_eq!(read.as_ref().ok(), Some(&lock), "{:?}\n{}", read, text);
        prop_assert_eq!(lock.to_text(), text);
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at in 0..300usize, len in 0..40usize, with in "[ \n\t:{}\\[\\],&*!|>'\"#?a-f0-9-]{0,6}") {
        let mut bytes = text("", "").into_bytes();
        let at = at.min(bytes.len());
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.into_bytes());
        let _ = LockFile::parse(&String::from_utf8_lossy(&bytes), "x").map_err(|error| error.to_string());
    }
}
