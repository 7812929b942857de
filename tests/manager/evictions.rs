//! Models that were not used for long go first, and nothing goes that was used, changed or needed since it was planned.

use crate::{faulty_disk::Rule, kit::*};
use model_manager::{
    ErrorKind, EvictionOptions, EvictionPlan, GcOptions, Selector,
    disk::{Disk, RealDisk},
    store::{Project as StoreProject, Store},
};
use std::{
    fs::File,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Lets a model look as if it was last used so many days ago, if it is there.
fn unused_for(project: &Project, quant: &str, days: u32) {
    let store = Store::open(Arc::new(RealDisk), &project.store()).unwrap();
    let uuid = StoreProject::identify(&RealDisk, &project.models).unwrap().unwrap();
    let root = store.roots_of(&uuid).unwrap().into_iter().find(|root| root.view.quant.as_ref().unwrap().as_str() == quant);
    let Some(root) = root else { return };
    set_times(&store.layout().root_record(&uuid, &root.view), days);
    let blobs = root.files.iter().map(|file| store.layout().blob(&file.sha256));
    blobs.filter(|blob| blob.exists()).for_each(|blob| set_times(&blob, days));
}

fn set_times(path: &Path, days: u32) {
    let time = SystemTime::now() - DAY * days;
    File::open(path).unwrap().set_times(std::fs::FileTimes::new().set_accessed(time).set_modified(time)).unwrap();
}

fn plan(project: &Project, days: Option<u32>, keep_bytes: Option<u64>) -> EvictionPlan {
    let mut options = EvictionOptions::default();
    (options.unused_for, options.keep_bytes) = (days.map(|days| DAY * days), keep_bytes);
    project.manager().plan_eviction(&options, GcOptions::default()).unwrap()
}

fn names(plan: &EvictionPlan) -> Vec<String> {
    plan.models.iter().map(|model| model.view.name()).collect()
}

/// `tiny` in both quantizations; that of 40 days is the smaller.
fn used_machine() -> Machine {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.download("tiny:q8_0").unwrap();
    unused_for(&machine.project, "q4_k_m", 40);
    unused_for(&machine.project, "q8_0", 10);
    machine
}

#[test]
fn what_was_not_used_for_long_goes_with_its_content() {
    let machine = used_machine();
    assert!(names(&plan(&machine.project, Some(50), None)).is_empty());
    let plan = plan(&machine.project, Some(30), None);
    assert_eq!(names(&plan), ["tiny:q4_k_m"]);
    assert_eq!(machine.project.shown().len(), 2, "a plan removes nothing");
    let done = machine.project.manager().gc_with(&plan, GcOptions::default(), false, false).unwrap();
    assert_eq!((done.models.len(), done.totals.freed_bytes), (1, plan.freed_bytes));
    assert_eq!(machine.project.shown(), [format!("tiny/gguf/q8_0/{Q8}")]);
    assert!(!machine.project.blob(&machine.content()).exists());
    machine.project.assert_promises();
}

#[test]
fn the_least_recently_used_goes_until_the_rest_fits() {
    let machine = used_machine();
    let all = plan(&machine.project, None, Some(0));
    assert_eq!((names(&all), all.left_bytes), (vec!["tiny:q4_k_m".to_owned(), "tiny:q8_0".to_owned()], 0));
    let both: u64 = all.models.iter().map(|model| model.freed_bytes).sum();
    assert_eq!(names(&plan(&machine.project, None, Some(both - 1))), ["tiny:q4_k_m"]);
    assert!(names(&plan(&machine.project, None, Some(both))).is_empty());
    // Together they say what may go and how much of it has to.
    assert_eq!(names(&plan(&machine.project, Some(30), Some(0))), ["tiny:q4_k_m"]);
}

#[test]
fn a_model_whose_content_another_project_keeps_does_not_go_in_vain() {
    let machine = used_machine();
    let second = machine.project.beside(&machine.dir.path().join("q"), Some(&machine.project.store()));
    second.download("tiny:q4_k_m").unwrap();
    unused_for(&machine.project, "q4_k_m", 40);
    let plan = plan(&machine.project, None, Some(0));
    assert_eq!(names(&plan), ["tiny:q8_0"], "of this project alone");
    machine.project.manager().evict(&plan).unwrap();
    second.assert_shown(SHOWN, &machine.content());
    second.assert_promises();
}

#[test]
fn models_of_another_project_go_where_it_is_named() {
    let machine = used_machine();
    let root = machine.dir.path().join("q");
    let second = machine.project.beside(&root, Some(&machine.project.store()));
    second.manager().init(false, None).unwrap();
    let manager = second.manager();
    let mut options = EvictionOptions::default();
    options.unused_for = Some(DAY * 30);
    assert!(manager.plan_eviction(&options, GcOptions::default()).unwrap().models.is_empty());
    options.projects = vec![machine.dir.path().join("p")];
    let plan = manager.plan_eviction(&options, GcOptions::default()).unwrap();
    assert_eq!(names(&plan), ["tiny:q4_k_m"]);
    manager.evict(&plan).unwrap();
    assert_eq!(machine.project.shown(), [format!("tiny/gguf/q8_0/{Q8}")]);
    machine.project.assert_promises();
    options.projects = vec![machine.dir.path().join("nowhere")];
    refused(manager.plan_eviction(&options, GcOptions::default()), ErrorKind::NotFound);
}

#[test]
fn what_was_used_or_changed_since_the_plan_stays() {
    let machine = used_machine();
    let project = &machine.project;
    let planned = plan(project, Some(5), None);
    assert_eq!(planned.models.len(), 2);
    project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()).unwrap();
    let done = project.manager().evict(&planned).unwrap();
    assert_eq!(done.models.iter().map(|model| model.view.name()).collect::<Vec<_>>(), ["tiny:q8_0"]);
    project.assert_shown(SHOWN, &machine.content());
    project.assert_promises();
    // Neither does it go where it went and came again.
    project.download("tiny:q8_0").unwrap();
    assert!(project.manager().evict(&planned).unwrap().models.is_empty());
    project.assert_promises();
}

#[test]
fn a_path_that_is_told_and_a_download_that_finds_all_count_as_use_and_a_list_does_not() {
    let machine = used_machine();
    let project = &machine.project;
    project.manager().list(None).unwrap();
    project.manager().list_store().unwrap();
    project.manager().verify(&[], model_manager::CheckMode::Quick).unwrap();
    assert_eq!(names(&plan(project, Some(5), None)).len(), 2);
    project.manager().path(&Selector::new("tiny:q4_k_m").unwrap()).unwrap();
    assert_eq!(names(&plan(project, Some(5), None)), ["tiny:q8_0"]);
    project.download("tiny:q8_0").unwrap();
    assert!(names(&plan(project, Some(5), None)).is_empty());
}

#[test]
fn a_failure_and_the_end_of_the_process_at_any_step_leave_what_can_go_on() {
    for rule in [Rule::Dead as fn(u64) -> Rule, |step| Rule::Once(step, io::ErrorKind::Other)] {
        let machine = used_machine();
        let project = &machine.project;
        machine.disk.set(Rule::Never);
        project.manager().gc_with(&plan(project, Some(30), None), GcOptions::default(), false, false).unwrap();
        let steps = machine.disk.count();
        assert!(steps > 3, "{steps} steps");
        for step in 1..=steps {
            project.download("tiny:q4_k_m").unwrap();
            unused_for(project, "q4_k_m", 40);
            let planned = plan(project, Some(30), None);
            assert_eq!(planned.models.len(), 1, "before step {step}");
            machine.disk.set(rule(step));
            let _may_fail = project.manager().gc_with(&planned, GcOptions::default(), false, false);
            machine.disk.set(Rule::Never);
            project.assert_promises();
            // Looking at the promises read the content. What is left of it goes with the next.
            unused_for(project, "q4_k_m", 40);
            project.manager().gc_with(&plan(project, Some(30), None), GcOptions::default(), false, false).unwrap();
            project.assert_promises();
            assert_eq!(project.shown(), [format!("tiny/gguf/q8_0/{Q8}")], "after a failure in step {step} of {steps}");
        }
    }
}

#[test]
fn a_removal_of_several_frees_what_only_they_share_and_says_so_before() {
    let hub = hub();
    hub.repo("acme/Twin-GGUF").lfs("twin.Q4_K_M.gguf", hub.content(REPO, Q4)).commit();
    let entries =
        [entry(&hub, "tiny", REPO, &[("q4_k_m", Q4)]), entry(&hub, "twin", "acme/Twin-GGUF", &[("q4_k_m", "twin.Q4_K_M.gguf")])];
    let machine = Machine::with(hub, registry(&entries));
    machine.project.download("tiny").unwrap();
    machine.project.download("twin").unwrap();
    let both = [Selector::new("tiny").unwrap(), Selector::new("twin").unwrap()];
    let manager = machine.project.manager();
    let (planned, _) = manager.remove_all(&both, false, true).unwrap();
    let size = RealDisk.stat(&machine.project.blob(&machine.content())).unwrap().allocated;
    assert_eq!((planned.totals.freed_bytes, planned.shared.len()), (size, 0));
    let (done, failed) = manager.remove_all(&both, false, false).unwrap();
    assert_eq!((done.totals.freed_bytes, failed.len()), (size, 0));
    assert!(!machine.project.blob(&machine.content()).exists());
    machine.project.assert_promises();
}
