//! Which files are meant, and what is missing of them.

use crate::{
    kit::*,
    support::hub::{Content, TestHub},
};
use model_manager::{
    DownloadOptions, ErrorKind, Selector,
    reports::{FileSupply, PlanReport},
};

fn plan(project: &Project, what: &str) -> model_manager::Result<PlanReport> {
    project.manager().plan_download(&Selector::new(what).unwrap(), &DownloadOptions::default())
}

fn names(plan: &PlanReport) -> Vec<String> {
    let mut names: Vec<String> = plan.files.iter().map(|file| file.file.to_string()).collect();
    names.sort();
    names
}

fn supplies(plan: &PlanReport) -> Vec<FileSupply> {
    plan.files.iter().map(|file| file.state).collect()
}

fn empty(hub: TestHub) -> Machine {
    Machine::with(hub, registry(&[open_entry("other", "acme/other", &[("q4_k_m", "x.gguf")])]))
}

#[test]
fn a_pinned_entry_is_planned_without_a_request_and_without_a_trace() {
    let machine = Machine::new();
    let plan = plan(&machine.project, "tiny:q4_k_m").unwrap();
    assert_eq!((names(&plan), supplies(&plan)), (vec![Q4.to_owned()], vec![FileSupply::Fetch]));
    assert_eq!(machine.requests(), 0);
    assert!(!machine.project.models.exists());
}

#[test]
fn an_open_entry_is_planned_by_one_question_for_the_commit_and_one_for_the_files() {
    let machine = Machine::open();
    plan(&machine.project, "tiny:q4_k_m").unwrap();
    assert_eq!((machine.requests(), machine.hub.count().api), (2, 2));
}

#[test]
fn of_several_quantizations_the_default_is_meant() {
    let machine = empty(hub());
    assert_eq!(names(&plan(&machine.project, REPO).unwrap()), [Q4]);
}

#[test]
fn a_label_chooses_the_file_in_any_case() {
    let machine = empty(hub());
    for label in ["q8_0", "Q8_0"] {
        assert_eq!(names(&plan(&machine.project, &format!("{REPO}:{label}")).unwrap()), [Q8]);
    }
}

#[test]
fn a_label_that_no_file_has_is_not_found() {
    let machine = empty(hub());
    let error = refused(plan(&machine.project, &format!("{REPO}:q2_k")), ErrorKind::NotFound);
    assert!(error.to_string().contains("q2_k"), "{error}");
}

#[test]
fn a_repository_that_is_not_there_is_no_plan() {
    let machine = empty(hub());
    let error = plan(&machine.project, "acme/nothing").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Auth), "{error}");
}

#[test]
fn an_id_that_the_registry_does_not_have_is_not_found_without_a_request() {
    let machine = Machine::new();
    refused(plan(&machine.project, "tinny"), ErrorKind::NotFound);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn all_parts_of_a_split_file_are_meant() {
    let hub = TestHub::start();
    let part = |number: u64| format!("big.Q4_K_M-0000{number}-of-00003.gguf");
    let repo = (1..=3).fold(hub.repo("acme/big"), |repo, number| repo.lfs(&part(number), Content::synthetic(900, number)));
    repo.commit();
    let machine = empty(hub);
    assert_eq!(names(&plan(&machine.project, "acme/big").unwrap()), [part(1), part(2), part(3)]);
}

#[test]
fn a_split_file_without_one_of_its_parts_is_refused() {
    let hub = TestHub::start();
    let part = |number: u64| format!("big.Q4_K_M-0000{number}-of-00003.gguf");
    hub.repo("acme/big").lfs(&part(1), Content::synthetic(900, 1)).lfs(&part(3), Content::synthetic(900, 3)).commit();
    let machine = empty(hub);
    let error = refused(plan(&machine.project, "acme/big"), ErrorKind::NotFound);
    assert!(error.to_string().contains(&part(2)), "{error}");
}

#[test]
fn a_repository_without_gguf_gives_the_set_with_configuration_and_tokenizer() {
    let hub = TestHub::start();
    hub.repo("acme/set")
        .lfs("model.safetensors", Content::synthetic(900, 1))
        .plain("config.json", "{}")
        .plain("tokenizer.json", "{}")
        .plain(".gitattributes", "")
        .commit();
    let machine = empty(hub);
    assert_eq!(names(&plan(&machine.project, "acme/set").unwrap()), ["config.json", "model.safetensors", "tokenizer.json"]);
}

#[test]
fn a_format_that_the_repository_does_not_have_is_not_found() {
    let machine = empty(hub());
    let mut set = Selector::new(REPO).unwrap();
    set.format = Some("safetensors".parse().unwrap());
    let planned = machine.project.manager().plan_download(&set, &DownloadOptions::default());
    refused(planned, ErrorKind::NotFound);
}

#[test]
fn what_the_store_has_need_not_travel_whoever_brought_it() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.hub.repo("else/Copy-GGUF").lfs("copy.Q4_K_M.gguf", machine.content()).commit();
    assert_eq!(supplies(&plan(&machine.project, "else/Copy-GGUF").unwrap()), [FileSupply::Present]);
}

#[test]
fn what_arrived_before_a_cut_is_part_of_the_next_plan() {
    use crate::support::hub::{Fault, Match};
    let hub = TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(3 << 20, 1)).commit();
    let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4)])]);
    let machine = Machine::with(hub, known);
    let project = machine.project.with(|settings| settings.network.tries = 1);
    machine.hub.fault(Match::cdn().always(), Fault::CutAfter((2 << 20) + 9));
    refused(project.download("tiny"), ErrorKind::Network);
    assert_eq!(supplies(&plan(&project, "tiny").unwrap()), [FileSupply::Partial]);
}

#[test]
fn a_file_of_somebody_else_in_the_place_of_the_models_is_refused_and_stays() {
    let machine = Machine::new();
    let place = machine.project.models.join(SHOWN);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, "mine").unwrap();
    refused(plan(&machine.project, "tiny:q4_k_m"), ErrorKind::Failed);
    refused(machine.project.download("tiny:q4_k_m"), ErrorKind::Failed);
    assert_eq!(std::fs::read(&place).unwrap(), b"mine");
}

#[test]
fn a_file_that_is_the_models_already_is_adopted() {
    let machine = Machine::new();
    let place = machine.project.models.join(SHOWN);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, machine.content().bytes()).unwrap();
    assert_eq!(supplies(&plan(&machine.project, "tiny:q4_k_m").unwrap()), [FileSupply::Adopt]);
    machine.project.download("tiny:q4_k_m").unwrap();
    assert_eq!(machine.requests(), 0);
    machine.project.assert_promises();
}

#[test]
fn offline_an_open_entry_cannot_be_planned_and_nobody_is_asked() {
    let machine = Machine::open();
    refused(plan(&machine.project.offline(), "tiny:q4_k_m"), ErrorKind::Network);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn a_revision_of_the_call_has_precedence_over_the_registrys() {
    let machine = Machine::new();
    let old = machine.hub.commit(REPO);
    let new = machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    assert_ne!(old, new);
    let mut options = DownloadOptions::default();
    options.revision = Some(new.parse().unwrap());
    let plan = machine.project.manager().plan_download(&Selector::new("tiny:q4_k_m").unwrap(), &options).unwrap();
    assert_eq!(plan.files[0].size, Some(6000));
}
