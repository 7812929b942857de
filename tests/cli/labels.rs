//! Labels held against a list of names: `MODEL_MANAGER_NAMES=list.tsv` measures a list of one's own, whose lines begin
//! with a repository and a path, separated by tabs.

use crate::kit::Machine;
use std::collections::{BTreeMap, BTreeSet};

const OWN_LIST: &str = include_str!("../fixtures/names.tsv");

/// The paths of each repository.
fn repositories(list: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (Some(repo), Some(path)) = (fields.next(), fields.next()) else { continue };
        all.entry(repo).or_default().insert(path);
    }
    all
}

#[derive(Default)]
struct Found {
    labels: usize,
    faults: Vec<String>,
    /// Repositories of which a file must be named.
    unclear: Vec<String>,
}

/// Holds one repository against the rules of labels.
fn measure(machine: &Machine, repo: &str, paths: &BTreeSet<&str>, found: &mut Found) {
    // Each has content of its own, so that its hash identifies it in a plan.
    let files = paths.iter().fold(machine.hub.repo(repo), |files, path| files.lfs(path, format!("{repo} {path}").into_bytes()));
    files.commit();
    let digest = |path: &str| machine.hub.content(repo, path).sha256().to_owned();
    let info = machine.run(&format!("info {repo} --json")).ok().json();
    let labels = info["models"][0]["labels"].as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let listed: BTreeSet<String> =
        labels.iter().flat_map(|label| label["files"].as_array().unwrap().iter().map(|file| text(&file["repo_path"]))).collect();
    let missing: Vec<&&str> = paths.iter().filter(|path| !listed.contains(**path)).collect();
    if !missing.is_empty() {
        found.faults.push(format!("{repo}: no label has {missing:?}"));
    }
    let names: Vec<String> = labels.iter().map(|label| text(&label["label"])).collect();
    found.labels += names.len();
    let references: Vec<String> = names.iter().map(|name| format!("{repo}:{name}")).collect();
    let planned = machine.run(&format!("download --dry-run --json {}", references.join(" "))).json();
    let mut folders = BTreeSet::new();
    let plans = planned["plans"].as_array().cloned().unwrap_or_default();
    if plans.len() != labels.len() {
        found.faults.push(format!("{repo}: {} labels, {} plans: {}", labels.len(), plans.len(), planned["error"]));
    }
    for (label, plan) in labels.iter().zip(&plans) {
        let wanted: BTreeSet<String> =
            label["files"].as_array().unwrap().iter().map(|file| digest(&text(&file["repo_path"]))).collect();
        let taken: BTreeSet<String> = plan["files"].as_array().unwrap().iter().map(|file| text(&file["sha256"])).collect();
        if wanted != taken {
            found.faults.push(format!("{repo}:{} plans {}", label["label"], plan["files"]));
        }
        let folder = text(&plan["path"]).rsplit_once(['/', '\\']).map(|(folder, _)| folder.to_lowercase());
        if !folders.insert(folder.clone()) {
            found.faults.push(format!("{repo}: {folder:?} is shared"));
        }
    }
    let alone = machine.run(&format!("download --dry-run {repo}"));
    if !alone.status.success() {
        found.unclear.push(format!("{repo} ({})", names.join(", ")));
    }
}

#[test]
fn every_file_of_a_list_of_names_has_a_label_and_a_folder_of_its_own_and_is_planned_by_it() {
    let named = std::env::var_os("MODEL_MANAGER_NAMES").map(|path| std::fs::read_to_string(&path).unwrap());
    let repositories = repositories(named.as_deref().unwrap_or(OWN_LIST));
    let machine = Machine::empty();
    let mut found = Found::default();
    for (repo, paths) in &repositories {
        measure(&machine, repo, paths, &mut found);
    }
    let files: usize = repositories.values().map(BTreeSet::len).sum();
    let Found { labels, faults, unclear } = found;
    println!("{} repositories, {files} files, {labels} labels, {} faults", repositories.len(), faults.len());
    println!("{} repositories need a file to be named: {unclear:#?}", unclear.len());
    assert!(faults.is_empty(), "{faults:#?}");
    // The list of our own has one repository in which nothing is more usual than the rest.
    let most = if named.is_some() { repositories.len() / 100 } else { 1 };
    assert!(unclear.len() <= most, "{unclear:#?}");
}
