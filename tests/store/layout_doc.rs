//! `store-layout.md` says what the program does.

use crate::kit::*;
use model_manager::{
    digest::{SEGMENT_LEN, segment_range, segment_value, sha256_of},
    store::{GcOptions, PROJECT_FILE, Project, STORE_DIR, format},
};
use serde_json::Value;
use std::{collections::VecDeque, fs, path::Path, time::Duration};

const DOCUMENT: &str = include_str!("../../store-layout.md");
/// The second file of the worked example: the shortest of two segments.
static ZEROS: [u8; SEGMENT_LEN as usize + 1] = [0; SEGMENT_LEN as usize + 1];

fn constant(name: &str) -> &'static str {
    let line = DOCUMENT.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_else(|| panic!("no {name}"));
    line.split('`').nth(1).unwrap()
}

/// The code blocks: what follows the three marks, and the lines.
fn blocks() -> VecDeque<(&'static str, String)> {
    let mut blocks = VecDeque::new();
    let mut open: Option<(&str, String)> = None;
    for line in DOCUMENT.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

fn listing(root: &Path, project: &str) -> String {
    fn walk(dir: &Path, root: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, root, names),
                false => names.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned()),
            }
        }
    }
    let mut names = Vec::new();
    walk(root, root, &mut names);
    names.sort();
    let random = |name: &str| {
        let known = ["leases/lease-", "tmp/.tmp-"].into_iter().find_map(|start| Some((start, name.strip_prefix(start)?)));
        known.map_or(name.to_owned(), |(start, rest)| format!("{start}<random>{}", &rest[12..]))
    };
    names.iter().map(|name| format!("{}\n", random(&name.replace(project, "<project>")))).collect()
}

/// Compares a record with the document, in which a text in angle brackets stands for any value.
fn same(shown: &Value, real: &Value, at: &str) {
    match (shown, real) {
        (Value::String(text), Value::Number(_)) if text == "<integer>" => {}
        (Value::String(text), Value::Array(_)) if text == "<list>" => {}
        (Value::String(text), Value::Null) if text == "<id>" => {}
        (Value::String(text), Value::String(real)) if text == "<B3>" => {
            assert_eq!(real, blake3::hash(b"hello\n").to_hex().as_str())
        }
        (Value::String(text), Value::String(_)) if text.starts_with('<') => {}
        (Value::Object(shown), Value::Object(real)) => {
            assert_eq!(shown.keys().collect::<Vec<_>>(), real.keys().collect::<Vec<_>>(), "{at}");
            shown.iter().for_each(|(key, value)| same(value, &real[key], &format!("{at}.{key}")));
        }
        (Value::Array(shown), Value::Array(real)) => {
            assert_eq!(shown.len(), real.len(), "{at}");
            shown.iter().zip(real).for_each(|(shown, real)| same(shown, real, at));
        }
        _ => assert_eq!(shown, real, "{at}"),
    }
}

#[test]
fn the_constants_of_the_document_are_those_of_the_program() {
    assert_eq!(constant("layout version"), format::LAYOUT_VERSION.to_string());
    assert_eq!(constant("store folder inside a models directory"), STORE_DIR);
    assert_eq!(constant("project file in a models directory"), PROJECT_FILE);
    assert_eq!(constant("segment length"), SEGMENT_LEN.to_string());
    let options = GcOptions::default();
    assert_eq!(constant("grace period of unreferenced blobs, seconds"), options.grace.as_secs().to_string());
    assert_eq!(constant("age of abandoned partial downloads, seconds"), options.partial_age.as_secs().to_string());
    for (name, shared) in [("mode of folders, private store", false), ("mode of folders, shared store", true)] {
        assert_eq!(constant(name), format!("{:o}", format::Marker::new(shared).folder_mode()));
        let locks = name.replace("folders", "locks and leases");
        assert_eq!(constant(&locks), format!("{:o}", format::Marker::new(shared).lock_mode()));
    }
    // Mode of a blob, journal magic and record length show in the worked example's files.
    let home = home();
    let writer = open(home.store.begin_ingest(request(&ZEROS), &lease(&home.store), &quick()).unwrap());
    writer.write(0, &ZEROS[..SEGMENT_LEN as usize]).unwrap();
    let journal = fs::read(home.store.layout().partial(&writer.request().key).journal).unwrap();
    assert_eq!(&journal[..8], constant("journal magic").as_bytes());
    assert_eq!(journal.len(), 2 * constant("journal record length").parse::<usize>().unwrap());
    let blob = finish(writer, &ZEROS).unwrap();
    assert_eq!(format!("{:o}", home.store.stat(&blob.digest).unwrap().unwrap().mode), constant("mode of a blob"));
}

#[test]
fn every_folder_of_a_new_store_is_in_the_document() {
    let home = home();
    for entry in fs::read_dir(home.root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(DOCUMENT.contains(&format!("| `{name}")), "{name}");
    }
}

#[test]
fn every_test_that_the_document_names_exists() {
    let folders = ["store", "manager", "cli"].map(|folder| format!("{}/tests/{folder}", env!("CARGO_MANIFEST_DIR")));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let sources: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let invariants: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("| I-")).collect();
    assert!(invariants.len() >= 16);
    for line in invariants {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let list = match cells[4] {
            "below" => {
                let (_, list) = DOCUMENT.split_once(&format!("**{}** is tested by:\n\n", cells[1])).expect(cells[1]);
                list.split("\n\n").next().unwrap()
            }
            list => list,
        };
        let tests: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{line}");
        tests.iter().for_each(|test| assert!(sources.contains(&format!("fn {test}()")), "{test}"));
    }
}

#[test]
fn the_worked_example_is_what_happens() {
    let home = home();
    let mut blocks = blocks();
    let mut project_name = "?".to_owned();
    let size = ZEROS.len() as u64;
    let segment = |index| &ZEROS[segment_range(index, size).start as usize..segment_range(index, size).end as usize];
    let values = [0, 1].map(|index| segment_value(index, size, segment(index)));
    let mut show = |project: &str| {
        let (info, text) = blocks.pop_front().unwrap();
        assert_eq!((info, text), ("listing", listing(&home.root(), project)));
        while blocks.front().is_some_and(|(info, _)| *info != "listing") {
            let (info, text) = blocks.pop_front().unwrap();
            let layout = home.store.layout();
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let filled =
                text.replace(' ', "").replace("<V0>", &hex(values[0].as_bytes())).replace("<V1>", &hex(values[1].as_bytes()));
            if info == "journal" {
                let journal = fs::read(layout.partial(&request(&ZEROS).key).journal).unwrap();
                assert_eq!(filled, format!("{}\n{}\n", hex(&journal[..56]), hex(&journal[64..112])));
                continue;
            }
            if info == "segments" {
                let segments = fs::read(layout.segments(&sha256_of(&ZEROS))).unwrap();
                assert_eq!(filled, format!("{}\n{}\n", hex(&segments[..32]), hex(&segments[32..])));
                continue;
            }
            let path = info.strip_prefix("json ").unwrap().replace("<project>", project);
            let real = fs::read(home.root().join(&path)).unwrap();
            same(&serde_json::from_str(&text).unwrap(), &serde_json::from_slice(&real).unwrap(), &path);
        }
    };
    show(&project_name);
    let writer = open(home.store.begin_ingest(request(b"hello\n"), &lease(&home.store), &quick()).unwrap());
    writer.write(0, b"hello\n").unwrap();
    show(&project_name);
    let blob = finish(writer, b"hello\n").unwrap();
    show(&project_name);
    let project = Project::register(&home.store, &home.models()).unwrap();
    project_name = project.uuid().to_string();
    project.put_root(&view("greeting"), &files_of(&blob)).unwrap();
    show(&project_name);
    project.remove_root(&view("greeting")).unwrap();
    collect_in(&home.store, Duration::from_secs(7200)).unwrap();
    show(&project_name);
    let writer = open(home.store.begin_ingest(request(&ZEROS), &lease(&home.store), &quick()).unwrap());
    writer.write(0, &ZEROS[..SEGMENT_LEN as usize]).unwrap();
    show(&project_name);
    finish(writer, &ZEROS).unwrap();
    show(&project_name);
    assert!(blocks.is_empty());
}
