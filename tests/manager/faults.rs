//! A failure, or the end of the process, at every step that changes the disk: the promises hold, and the next run ends
//! well.

use crate::{faulty_disk::Rule, kit::*};
use model_manager::{CheckMode, ErrorKind, Result, Selector};
use std::io;

/// How a step fails.
#[derive(Clone, Copy)]
enum Strike {
    /// This one does, with this error.
    Once(io::ErrorKind),
    /// This one and all after it, as if the process had died.
    Dead,
}

impl Strike {
    fn at(self, step: u64) -> Rule {
        match self {
            Self::Once(kind) => Rule::Once(step, kind),
            Self::Dead => Rule::Dead(step),
        }
    }
}

/// Lets every step of `work` fail and then runs it again. `prepare` makes the project as it is before each.
fn sweep(
    strike: Strike,
    prepare: impl Fn(&Machine, &Project),
    work: impl Fn(&Project) -> Result<()>,
    end: impl Fn(&Machine, &Project),
) {
    let machine = Machine::new();
    let project = &machine.project;
    // The store itself is made under faults in tests/store.
    project.manager().init(false, None).unwrap();
    project.download("tiny:q8_0").unwrap();
    prepare(&machine, project);
    machine.disk.set(Rule::Never);
    work(project).unwrap();
    let steps = machine.disk.count();
    end(&machine, project);
    assert!(steps > 3, "{steps} steps");
    let mut failures = 0;
    for step in 1..=steps {
        prepare(&machine, project);
        machine.disk.set(strike.at(step));
        failures += u64::from(work(project).is_err());
        machine.disk.set(Rule::Never);
        project.assert_promises();
        work(project).unwrap_or_else(|error| panic!("after a failure in step {step} of {steps}: {error}"));
        project.assert_promises();
        end(&machine, project);
    }
    assert!(failures > steps / 3, "only {failures} of {steps} steps mattered");
}

/// `tiny` in q4_k_m is not here, and neither is its content.
fn absent(_: &Machine, project: &Project) {
    remove(project).unwrap();
}

fn present(_: &Machine, project: &Project) {
    project.download("tiny:q4_k_m").unwrap();
}

fn shown(machine: &Machine, project: &Project) {
    project.assert_shown(SHOWN, &machine.content());
}

fn gone(machine: &Machine, project: &Project) {
    assert_eq!(project.shown(), [format!("tiny/gguf/q8_0/{Q8}")]);
    assert!(project.bytes(SHOWN).is_none() && !machine.dir.path().join("p/models").join(SHOWN).exists());
}

fn download(project: &Project) -> Result<()> {
    project.download("tiny:q4_k_m")
}

/// It may be gone already; then there is nothing to remove.
fn remove(project: &Project) -> Result<()> {
    match project.manager().remove(&Selector::new("tiny/gguf/q4_k_m").unwrap(), false, false) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

#[test]
fn a_download_survives_a_full_disk_at_every_step() {
    sweep(Strike::Once(io::ErrorKind::StorageFull), absent, download, shown);
}

#[test]
fn a_download_survives_a_failure_at_every_step() {
    sweep(Strike::Once(io::ErrorKind::Other), absent, download, shown);
}

#[test]
fn a_download_survives_the_end_of_the_process_at_every_step() {
    sweep(Strike::Dead, absent, download, shown);
}

#[test]
fn a_view_of_content_that_is_here_survives_the_end_of_the_process_at_every_step() {
    let kept =
        |_: &Machine, project: &Project| match project.manager().remove(&Selector::new("tiny/gguf/q4_k_m").unwrap(), true, false) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => drop(other.unwrap()),
        };
    sweep(Strike::Dead, kept, download, shown);
}

#[test]
fn a_removal_survives_a_failure_at_every_step() {
    sweep(Strike::Once(io::ErrorKind::Other), present, remove, gone);
}

#[test]
fn a_removal_survives_the_end_of_the_process_at_every_step() {
    sweep(Strike::Dead, present, remove, gone);
}

#[test]
fn a_lock_survives_the_end_of_the_process_at_every_step() {
    let unlocked = |_: &Machine, project: &Project| {
        project.disk.remove_if_there(&project.session.settings().lock_file).unwrap();
    };
    let locked = |machine: &Machine, project: &Project| {
        assert!(project.lock_text().unwrap().contains(machine.content().sha256()));
        project.manager().check_lock(&[]).unwrap();
    };
    sweep(Strike::Dead, unlocked, |project| project.lock(&["tiny:q4_k_m"], false), locked);
}

#[test]
fn a_sync_survives_the_end_of_the_process_at_every_step() {
    let locked = |machine: &Machine, project: &Project| {
        absent(machine, project);
        project.lock(&["tiny:q4_k_m"], false).unwrap();
    };
    sweep(Strike::Dead, locked, |project| project.sync(true), shown);
}

#[test]
fn a_repair_survives_the_end_of_the_process_at_every_step() {
    let repair = |project: &Project| {
        let manager = project.manager();
        manager.repair(&manager.verify(&[], CheckMode::Full)?).map(drop)
    };
    // What a root names is lost from the beginning, so only the end is looked at.
    let machine = Machine::new();
    let project = &machine.project;
    present(&machine, project);
    let lose = || std::fs::remove_file(project.blob(&machine.content())).unwrap();
    lose();
    machine.disk.set(Rule::Never);
    repair(project).unwrap();
    let steps = machine.disk.count();
    assert!(steps > 3, "{steps} steps");
    let mut failures = 0;
    for step in 1..=steps {
        lose();
        machine.disk.set(Strike::Dead.at(step));
        failures += u64::from(repair(project).is_err());
        machine.disk.set(Rule::Never);
        repair(project).unwrap();
        shown(&machine, project);
        project.assert_promises();
    }
    assert!(failures > steps / 3, "only {failures} of {steps} steps mattered");
}
