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

fn content_bytes(desk: &Desk) -> u64 {
    desk.hub.count().content_bytes()
}

#[test]
fn one_flipped_bit_costs_one_ranged_request_of_one_segment() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    desk.hub.reset_counters();
    desk.run("verify --repair").ok().prints("repaired");
    assert_eq!(content_bytes(&desk), MIB as u64);
    assert_eq!(desk.hub.count().of(Part::Cdn).count(), 1);
    desk.run("verify --rehash").ok();
    desk.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_truncated_file_gets_its_tail() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    let size = fs::metadata(&blob).unwrap().len();
    damage(&blob, |bytes| bytes.truncate(MIB + 10));
    desk.hub.reset_counters();
    desk.run("verify tiny --repair").ok();
    assert_eq!(content_bytes(&desk), size - MIB as u64);
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, which hold the content without the blob's name")]
fn a_missing_file_gets_everything() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    let size = fs::metadata(&blob).unwrap().len();
    remove(&blob);
    desk.hub.reset_counters();
    desk.run("verify tiny --repair").ok();
    assert_eq!(content_bytes(&desk), size);
}

#[test]
fn a_damaged_record_beside_a_good_file_costs_nothing() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    let segments = desk.s.models().join(".blobs/segments").join(&name[..2]).join(&name);
    damage(&segments, |bytes| bytes[3] ^= 1);
    desk.hub.reset_counters();
    desk.run("verify --repair").ok();
    assert_eq!(desk.hub.count().requests.len(), 0);
    desk.run("doctor").ok().prints("all is well");
}

#[test]
fn a_damaged_record_beside_a_damaged_file_fetches_the_file_anew() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
    damage(&desk.s.models().join(".blobs/segments").join(&name[..2]).join(&name), |bytes| bytes[3] ^= 1);
    damage(&blob, |bytes| bytes[7] ^= 1);
    desk.run("verify --repair").ok();
    desk.run("doctor --full").ok().prints("all is well");
}

#[test]
fn a_hard_link_to_the_damaged_file_shows_the_repaired_one() {
    let desk = Desk::new();
    desk.run("download tiny --link hardlink").ok();
    let blob = desk.blob(&desk.content());
    damage(&blob, |bytes| bytes[9] ^= 1);
    desk.run("verify --repair").ok().prints("repaired");
    assert_eq!(fs::read(desk.s.project().join(PATH)).unwrap(), fs::read(&blob).unwrap());
    desk.run("verify --rehash").ok();
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and what was changed in one may be somebody's edit")]
fn wrong_bytes_for_the_damage_publish_nothing_and_what_is_left_is_put_aside() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    let fault = desk.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: MIB as u64 + 9 });
    desk.run("verify --repair").code(4).prints("not repaired");
    assert!(!blob.exists());
    assert_eq!(fs::read_dir(desk.s.models().join(".blobs/bad")).unwrap().count(), 1);
    desk.hub.remove_fault(&fault);
    desk.run("download tiny").ok();
    desk.run("verify --rehash").ok();
}

#[test]
fn without_the_network_nothing_is_touched() {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    let blob = desk.blob(&desk.content());
    damage(&blob, |bytes| bytes[MIB + 5] ^= 1);
    let before = fs::read(&blob).unwrap();
    desk.run("verify --repair --offline").code(6);
    assert_eq!(fs::read(&blob).unwrap(), before);
}
