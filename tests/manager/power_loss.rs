//! The power fails in every moment of a use-case, and any of the changes that were not synced may be lost.

use crate::{
    kit::*,
    sim_disk::{Moment, SimDisk},
    support::hub::TestHub,
};
use model_manager::{LinkMode, Selector};
use std::{path::Path, sync::Arc};

fn project_on(disk: &SimDisk, hub: &TestHub) -> Project {
    let known = registry(&[entry(hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]);
    Project::on(Arc::new(disk.clone()), Path::new("/p"), hub, known, LinkMode::Hardlink)
}

/// Nothing of what was pending kept, and any half of it.
fn crashes(moment: &Moment) -> [SimDisk; 2] {
    let bits: Vec<bool> = (0..moment.pending()).map(|_| fastrand::bool()).collect();
    [moment.crash(|_| false), moment.crash(|number| bits[number])]
}

/// Lets the power fail in moments of `work`, each in two ways; then it runs again, and `end` looks.
fn sweep(prepare: impl Fn(&Project), work: impl Fn(&Project), end: impl Fn(&Project)) {
    // Each moment costs a run over the network; every second or so is tried, others each time.
    const MOST: usize = 25;
    let hub = hub();
    let disk = SimDisk::new();
    let project = project_on(&disk, &hub);
    model_manager::disk::Disk::create_dir(&disk, Path::new("/p"), 0o755).unwrap();
    prepare(&project);
    disk.sync_everything();
    let moments = disk.moments(|| work(&project));
    end(&project);
    assert!(moments.len() > 3, "{} moments", moments.len());
    let every = moments.len().div_ceil(MOST);
    for moment in moments.iter().skip(fastrand::usize(0..every)).step_by(every) {
        for after in crashes(moment) {
            let project = project_on(&after, &hub);
            project.assert_promises();
            work(&project);
            project.assert_promises();
            end(&project);
        }
    }
}

#[test]
fn a_download_survives_a_power_loss_in_any_moment() {
    let content = hub().content(REPO, Q4);
    sweep(|_| (), |project| project.download("tiny:q4_k_m").unwrap(), |project| project.assert_shown(SHOWN, &content));
}

#[test]
fn a_second_model_survives_a_power_loss_and_so_does_the_first() {
    let first = hub().content(REPO, Q4);
    sweep(
        |project| project.download("tiny:q4_k_m").unwrap(),
        |project| project.download("tiny:q8_0").unwrap(),
        |project| {
            project.assert_shown(SHOWN, &first);
            assert_eq!(project.shown().len(), 2);
        },
    );
}

#[test]
fn a_lock_survives_a_power_loss_in_any_moment() {
    sweep(
        |_| (),
        |project| project.lock(&["tiny:q4_k_m"], false).unwrap(),
        |project| assert!(project.lock_text().unwrap().contains(Q4)),
    );
}

#[test]
fn a_removal_survives_a_power_loss_in_any_moment() {
    let remove = |project: &Project| match project.manager().remove(&Selector::new("tiny/gguf/q4_k_m").unwrap(), false, false) {
        Err(error) if error.kind() == model_manager::ErrorKind::NotFound => {}
        other => drop(other.unwrap()),
    };
    sweep(|project| project.download("tiny:q4_k_m").unwrap(), remove, |project| assert!(project.shown().is_empty()));
}
