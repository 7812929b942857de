//! A project made as its lock file says.

use crate::{kit::*, support::hub::Content};
use model_manager::{ErrorKind, SyncOptions};

/// Both quantizations locked, and another project with the same lock file and nothing else.
fn cloned(machine: &Machine) -> Project {
    machine.project.lock(&["tiny:q4_k_m", "tiny:q8_0"], false).unwrap();
    let clone = machine.project.beside(&machine.dir.path().join("clone"), None);
    let file = &clone.session.settings().lock_file;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, machine.project.lock_text().unwrap()).unwrap();
    clone
}

#[test]
fn everything_that_is_locked_is_made() {
    let machine = Machine::open();
    let clone = cloned(&machine);
    clone.sync(true).unwrap();
    assert_eq!(clone.shown(), [SHOWN.to_owned(), format!("tiny/gguf/q8_0/{Q8}")]);
    clone.assert_promises();
}

#[test]
fn what_is_locked_is_made_although_its_branch_has_moved() {
    let machine = Machine::open();
    let old = machine.content();
    let clone = cloned(&machine);
    machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    clone.sync(true).unwrap();
    clone.assert_shown(SHOWN, &old);
}

#[test]
fn a_second_sync_asks_nobody() {
    let machine = Machine::open();
    let clone = cloned(&machine);
    clone.sync(true).unwrap();
    machine.hub.reset_counters();
    clone.sync(true).unwrap();
    clone.offline().sync(true).unwrap();
    assert_eq!(machine.requests(), 0);
}

#[test]
fn offline_what_is_missing_is_refused_before_anything_is_made() {
    let machine = Machine::open();
    let clone = cloned(&machine).offline();
    let error = refused(clone.sync(true), ErrorKind::Network);
    assert!(error.to_string().contains(Q4) && error.to_string().contains(Q8), "{error}");
    assert!(clone.shown().is_empty());
}

#[test]
fn a_lock_that_the_registry_contradicts_is_refused_where_it_may_not_change() {
    let machine = Machine::new();
    let clone = cloned(&machine);
    machine.hub.repo(REPO).lfs(Q4, Content::synthetic(6000, 9)).commit();
    let clone = clone.knowing(registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]));
    let text = clone.lock_text();
    refused(clone.sync(true), ErrorKind::Failed);
    assert!(clone.shown().is_empty());
    assert_eq!(clone.lock_text(), text);
    clone.sync(false).unwrap();
    clone.assert_shown(SHOWN, &Content::synthetic(6000, 9));
}

#[test]
fn without_a_lock_file_there_is_nothing_to_sync() {
    let machine = Machine::new();
    refused(machine.project.sync(true), ErrorKind::NotFound);
    assert!(!machine.project.models.exists());
}

#[test]
fn a_dry_run_makes_nothing() {
    let machine = Machine::open();
    let clone = cloned(&machine);
    let mut options = SyncOptions::default();
    (options.locked, options.dry_run) = (true, true);
    assert_eq!(clone.manager().sync(options).unwrap().plans.len(), 2);
    assert!(!clone.models.exists());
}

#[test]
fn what_is_not_locked_stays_unless_it_is_to_be_pruned() {
    let machine = Machine::new();
    machine.project.download("tiny:q8_0").unwrap();
    machine.project.lock(&["tiny:q4_k_m"], false).unwrap();
    machine.project.sync(true).unwrap();
    assert_eq!(machine.project.shown().len(), 2);
    let mut options = SyncOptions::default();
    (options.locked, options.prune) = (true, true);
    machine.project.manager().sync(options).unwrap();
    assert_eq!(machine.project.shown(), [SHOWN]);
    machine.project.assert_promises();
}

#[test]
fn damaged_content_is_found_and_made_whole() {
    let machine = Machine::open();
    let clone = cloned(&machine);
    clone.sync(true).unwrap();
    let blob = clone.blob(&machine.content());
    damage(&blob);
    clone.sync(true).unwrap();
    clone.assert_shown(SHOWN, &machine.content());
    clone.assert_promises();
}

#[test]
fn offline_damaged_content_is_refused_and_named() {
    let machine = Machine::open();
    let clone = cloned(&machine);
    clone.sync(true).unwrap();
    damage(&clone.blob(&machine.content()));
    let error = refused(clone.offline().sync(true), ErrorKind::Damaged);
    assert!(error.to_string().contains(Q4), "{error}");
}

fn damage(blob: &std::path::Path) {
    let mut bytes = std::fs::read(blob).unwrap();
    bytes[10] ^= 1;
    #[cfg(unix)]
    std::fs::set_permissions(blob, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(blob, bytes).unwrap();
}
