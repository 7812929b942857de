//! Files of a repository as they stand in it: the format `files`, and patterns that select among them.

use crate::{kit::*, support::hub::Content};
use model_manager::{DownloadOptions, ErrorKind, Result, Selector, reports::DownloadReport};
use std::sync::Barrier;

const SET: &str = "acme/Set";

fn machine() -> Machine {
    let machine = Machine::new();
    let repo = machine.hub.repo(SET).plain("config.json", "{}").plain("onnx/config.json", "[]").plain("README.md", "# Set");
    repo.lfs("onnx/model.onnx", Content::synthetic(4000, 5)).commit();
    machine
}

fn get(project: &Project, what: &str, revision: Option<&str>, include: &[&str], exclude: &[&str]) -> Result<DownloadReport> {
    let mut selector = Selector::new(what).unwrap();
    selector.format = Some("files".parse().unwrap());
    project.manager().download(&selector, &options(revision, include, exclude))
}

fn options(revision: Option<&str>, include: &[&str], exclude: &[&str]) -> DownloadOptions {
    let mut options = DownloadOptions::default();
    options.revision = revision.map(|revision| revision.parse().unwrap());
    options.include = include.iter().map(|pattern| (*pattern).to_owned()).collect();
    options.exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
    options
}

const MAIN: &str = "acme--Set/files/main";

fn shown(project: &Project) -> Vec<String> {
    let mut shown = project.shown();
    shown.sort();
    shown.iter().map(|path| path.strip_prefix(&format!("{MAIN}/")).unwrap_or(path).to_owned()).collect()
}

#[test]
fn a_named_file_is_added_to_what_is_shown_and_all_files_complete_it() {
    let machine = machine();
    let project = &machine.project;
    get(project, &format!("hf://{SET}/config.json"), None, &[], &[]).unwrap();
    get(project, &format!("hf://{SET}/onnx/model.onnx"), None, &[], &[]).unwrap();
    assert_eq!(shown(project), ["config.json", "onnx/model.onnx"]);
    let report = get(project, SET, None, &[], &[]).unwrap();
    assert_eq!(report.path, project.models.join(MAIN));
    assert_eq!(shown(project), ["README.md", "config.json", "onnx/config.json", "onnx/model.onnx"]);
    project.assert_promises();
}

#[test]
fn patterns_select_among_all_files_and_what_was_there_stays() {
    let machine = machine();
    let project = &machine.project;
    get(project, SET, None, &["*.json"], &["onnx/*"]).unwrap();
    assert_eq!(shown(project), ["config.json"]);
    get(project, SET, None, &["onnx/"], &["*.onnx"]).unwrap();
    assert_eq!(shown(project), ["config.json", "onnx/config.json"]);
    refused(get(project, SET, None, &["*.bin"], &[]).map(drop), ErrorKind::NotFound);
    // Without a format, too.
    let report = project.manager().download(&Selector::new(SET).unwrap(), &options(None, &["*.md"], &[])).unwrap();
    assert_eq!(report.path, project.models.join(MAIN));
    assert_eq!(shown(project), ["README.md", "config.json", "onnx/config.json"]);
}

#[test]
fn patterns_are_refused_where_one_model_is_named_or_the_registry_selects() {
    let machine = machine();
    for name in ["tiny".to_owned(), format!("{REPO}:q4_k_m"), format!("hf://{REPO}/{Q4}")] {
        let asked = machine.project.manager().download(&Selector::new(&name).unwrap(), &options(None, &["*.json"], &[]));
        refused(asked.map(drop), ErrorKind::Usage);
    }
    assert_eq!(machine.requests(), 0);
}

#[test]
fn a_part_of_the_files_is_never_taken_for_all_of_them() {
    let machine = machine();
    let commit = machine.hub.commit(SET);
    get(&machine.project, &format!("hf://{SET}/config.json"), Some(&commit), &[], &[]).unwrap();
    let report = get(&machine.project, SET, Some(&commit), &[], &[]).unwrap();
    assert_eq!(report.files.len(), 4);
    // Offline nobody knows what more there is.
    let offline = machine.project.offline();
    assert_eq!(get(&offline, SET, Some(&commit), &["*.md"], &[]).unwrap().files.len(), 4);
    refused(get(&offline, SET, Some(&commit), &["*.bin"], &[]).map(drop), ErrorKind::Network);
}

#[test]
fn a_revision_has_a_folder_of_its_own() {
    let machine = machine();
    let commit = machine.hub.commit(SET);
    let config = format!("hf://{SET}/config.json");
    get(&machine.project, &config, None, &[], &[]).unwrap();
    let pinned = get(&machine.project, &config, Some(&commit), &[], &[]).unwrap();
    assert_eq!(pinned.path, machine.project.models.join(format!("acme--Set/files/{commit}")));
    machine.hub.reset_counters();
    get(&machine.project, &config, Some(&commit), &[], &[]).unwrap();
    assert_eq!(machine.requests(), 0);
}

#[test]
fn downloads_side_by_side_of_several_files_all_stay() {
    let machine = Machine::new();
    let names: Vec<String> = (0..12).map(|number| format!("{number}.json")).collect();
    let mut repo = machine.hub.repo(SET);
    for name in &names {
        repo = repo.plain(name, name.as_str());
    }
    repo.commit();
    // Each as a process of its own would.
    let together = Barrier::new(names.len());
    std::thread::scope(|scope| {
        for name in &names {
            let (project, together) = (machine.project.with(|settings| settings.network.tries = 3), &together);
            scope.spawn(move || {
                together.wait();
                get(&project, &format!("hf://{SET}/{name}"), None, &[], &[]).unwrap();
            });
        }
    });
    let mut names = names;
    names.sort();
    assert_eq!(shown(&machine.project), names);
    machine.project.assert_promises();
}

#[test]
fn a_lock_has_what_is_here_and_an_update_adds_no_other_file() {
    let machine = machine();
    get(&machine.project, &format!("hf://{SET}/config.json"), None, &[], &[]).unwrap();
    machine.project.lock(&[], false).unwrap();
    machine.project.lock(&[], true).unwrap();
    let text = machine.project.lock_text().unwrap();
    assert!(text.contains("config.json") && !text.contains("README.md"), "{text}");
}

#[test]
fn a_file_without_a_published_sha256_is_not_fetched_again_when_its_branch_is_looked_up() {
    let machine = machine();
    let config = format!("hf://{SET}/config.json");
    get(&machine.project, &config, Some("main"), &[], &[]).unwrap();
    machine.hub.reset_counters();
    let report = get(&machine.project, &config, Some("main"), &[], &[]).unwrap();
    assert_eq!((report.download_bytes, machine.hub.count().content_bytes()), (0, 0));
    assert!(machine.requests() > 0, "the branch is looked up");
    // Content of the same size that is another is fetched.
    machine.hub.repo(SET).plain("config.json", "[]").commit();
    get(&machine.project, &config, Some("main"), &[], &[]).unwrap();
    assert_eq!(machine.project.bytes(&format!("{MAIN}/config.json")).unwrap(), b"[]");
    machine.project.assert_promises();
}
