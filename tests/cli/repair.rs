//! `verify --repair`: only what is damaged travels, and nothing good is overwritten with bad.

use crate::kit::*;
use crate::support::hub::{Fault, Match, Part};
use std::{fs, path::Path};

const MIB: usize = 1 << 20;

/// Changes a read-only file as a broken disk or a careless program would.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    set_mode(path, 0o644);
    fs::write(path, bytes).unwrap();
}

fn content_bytes(machine: &Machine) -> u64 {
    machine.hub.count().content_bytes()
}

#[test]
fn one_flipped_bit_costs_one_ranged_request_of_one_segment() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    machine.hub.reset_counters();
    machine.run("verify --repair").ok().prints("repaired");
    assert_eq!(content_bytes(&machine), MIB as u64);
    assert_eq!(machine.hub.count().of(Part::Cdn).count(), 1);
    machine.run("verify --rehash").ok();
    machine.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_truncated_file_gets_its_tail() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    let size = fs::metadata(&blob).unwrap().len();
    damage(&blob, |bytes| bytes.truncate(MIB + 10));
    machine.hub.reset_counters();
    machine.run("verify tiny --repair").ok();
    assert_eq!(content_bytes(&machine), size - MIB as u64);
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, which hold the content without the blob's name")]
fn a_missing_file_gets_everything() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    let size = fs::metadata(&blob).unwrap().len();
    remove(&blob);
    machine.hub.reset_counters();
    machine.run("verify tiny --repair").ok();
    assert_eq!(content_bytes(&machine), size);
}

#[test]
fn a_damaged_record_beside_a_good_file_costs_nothing() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    let segments = machine.sandbox.models().join(".blobs/segments").join(&name[..2]).join(&name);
    damage(&segments, |bytes| bytes[3] ^= 1);
    machine.hub.reset_counters();
    machine.run("verify --repair").ok();
    assert_eq!(machine.hub.count().requests.len(), 0);
    machine.run("doctor").ok().prints("all is well");
}

#[test]
fn a_damaged_record_beside_a_damaged_file_fetches_the_file_anew() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    damage(&machine.sandbox.models().join(".blobs/segments").join(&name[..2]).join(&name), |bytes| bytes[3] ^= 1);
    damage(&blob, |bytes| bytes[7] ^= 1);
    machine.run("verify --repair").ok();
    machine.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_hard_link_to_the_damaged_file_shows_the_repaired_one() {
    let machine = Machine::new();
    machine.run("download tiny --link hardlink").ok();
    let blob = machine.blob(&machine.content());
    damage(&blob, |bytes| bytes[9] ^= 1);
    machine.run("verify --repair").ok().prints("repaired");
    assert_eq!(fs::read(machine.sandbox.project().join(PATH)).unwrap(), fs::read(&blob).unwrap());
    machine.run("verify --rehash").ok();
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and what was changed in one may be somebody's edit")]
fn wrong_bytes_for_the_damage_publish_nothing_and_what_is_left_is_put_aside() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    let fault = machine.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: MIB as u64 + 9 });
    machine.run("verify --repair").code(4).prints("not repaired");
    assert!(!blob.exists());
    assert_eq!(fs::read_dir(machine.sandbox.models().join(".blobs/bad")).unwrap().count(), 1);
    machine.hub.remove_fault(&fault);
    machine.run("download tiny").ok();
    machine.run("verify --rehash").ok();
}

#[test]
fn without_the_network_nothing_is_touched() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let blob = machine.blob(&machine.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    let before = fs::read(&blob).unwrap();
    machine.run("verify --repair --offline").code(6);
    assert_eq!(fs::read(&blob).unwrap(), before);
}
