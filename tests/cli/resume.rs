//! What was downloaded is not downloaded again: after kill -9, Ctrl-C, a damaged part, and from another server.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use crate::kit::{FILE, MIB, Machine, OTHER, PATH, REPO, assert_content, entry, until};
use crate::support::hub::{Content, Hold, Match, TestHub};
use crate::support::run::Running;
use crate::support::tensors::{gguf, tensors};

const LEN: u64 = 12 * MIB + 5;

fn damage(data: &Path, offset: u64) {
    let mut file = std::fs::File::options().write(true).open(data).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(b"damage").unwrap();
}

/// A download over one connection that stands still after so many bytes, everything before them journalled.
fn frozen(machine: &Machine, line: &str, after: u64) -> (Running, Hold) {
    let hold = machine.hub.hold(Match::cdn(), after);
    let running = machine.spawn(line);
    assert!(hold.wait_frozen(1, Duration::from_secs(20)), "{}", running.stderr_so_far());
    let whole = after / MIB;
    until("the whole segments are journalled", || held(machine) >= whole * MIB);
    (running, hold)
}

/// What a dry run believes to have of `tiny`.
fn held(machine: &Machine) -> u64 {
    let plan = machine.run("download tiny --dry-run --json").ok().json();
    plan["plans"][0]["total_bytes"].as_u64().unwrap() - plan["plans"][0]["download_bytes"].as_u64().unwrap()
}

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    for after in [0, 1, MIB - 1, 3 * MIB + 70_000, 5 * MIB] {
        let machine = Machine::with(LEN);
        let (running, hold) = frozen(&machine, "download tiny --connections 1", after);
        running.kill9();
        hold.release();
        machine.assert_nothing_published();
        machine.hub.reset_counters();
        let output = machine.run("download tiny").ok();
        let kept = after / MIB * MIB;
        assert_eq!(machine.hub.count().content_bytes(), LEN - kept, "killed after {after}");
        machine.assert_right_after_kill(&output);
    }
}

/// Nine tenths of the file are in another one that is here; the rest stands still when the process is killed.
#[test]
fn a_killed_download_that_borrowed_goes_on_where_it_stopped() {
    let all = tensors(10, 5 * MIB as usize / 4);
    let mut changed = all.clone();
    changed[9] = changed[9].clone().changed();
    let (old, new) = (gguf(100, &all), gguf(9000, &changed));
    let len = new.len() as u64;
    let machine = Machine::empty();
    machine.hub.repo(REPO).lfs(FILE, new).lfs(OTHER, old).commit();
    machine.registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)])]);
    machine.run("download tiny:q8_0").ok();
    // After the probe of the last tensor, the last byte is asked for as a part of what is new.
    let hold = machine.hub.hold(Match::cdn().covers(len - 1).always(), 10);
    let running = machine.spawn("download tiny:q4_k_m");
    assert!(hold.wait_frozen(1, Duration::from_secs(60)), "{}", running.stderr_so_far());
    let key = machine.content().sha256().to_owned();
    let journal = machine.store().join("ingest").join(key).join("journal");
    let borrowed = || std::fs::read(&journal).unwrap_or_default().chunks(64).filter(|record| record[0] == 4).count();
    until("borrowed segments are journalled", || borrowed() >= 9);
    running.kill9();
    hold.release();
    machine.hub.clear_faults();
    machine.hub.reset_counters();
    let output = machine.run("download tiny:q4_k_m").ok();
    let travelled = machine.hub.count().content_bytes();
    assert!(travelled <= 5 * MIB / 4 + 30 * 4096 + (256 << 10), "{travelled}");
    machine.assert_right_after_kill(&output);
}

#[test]
fn kills_at_random_moments_cost_only_what_was_in_flight() {
    let machine = Machine::with(24 * MIB + 1);
    machine.hub.configure(|c| c.total_rate = Some(40 << 20));
    let mut kills = 0;
    for round in 0..12_u64 {
        let mut running = machine.spawn("download tiny");
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 140));
        if !running.is_running() {
            break;
        }
        running.kill9();
        kills += 1;
        let before = held(&machine);
        assert!(before <= 24 * MIB + 1);
    }
    assert!(kills >= 3, "{kills} kills");
    let missing = 24 * MIB + 1 - held(&machine);
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().content_bytes(), missing, "the plan told how much would travel");
    machine.assert_right_after_kill(&output);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_says_how_to_go_on() {
    let machine = Machine::with(LEN);
    let (running, _hold) = frozen(&machine, "download tiny --quant q4_k_m --connections 1", 4 * MIB + 9);
    running.interrupt();
    let output = running.wait().code(130).says("what arrived is kept");
    let output = output.says("model-manager download tiny --quant q4_k_m --connections 1");
    assert_eq!(output.stdout, "");
    machine.hub.clear_faults();
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().content_bytes(), LEN - 4 * MIB);
    machine.assert_right(&output);
}

#[cfg(unix)]
#[test]
fn ctrl_c_while_the_hub_is_asked_ends_at_once() {
    let machine = Machine::new();
    machine.registry(&[crate::kit::open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    let hold = machine.hub.hold(Match::api(), 0);
    let running = machine.spawn("download tiny --json");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let begun = std::time::Instant::now();
    running.interrupt();
    let output = running.wait().code(130);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(output.json()["error"]["exit_code"], 130);
}

#[test]
fn another_server_with_the_same_file_goes_on_with_it() {
    let mut machine = Machine::with(LEN);
    let (running, _hold) = frozen(&machine, "download tiny --connections 1", 4 * MIB);
    running.kill9();
    let mirror = TestHub::start();
    mirror.repo(REPO).lfs(FILE, machine.content()).lfs("tiny.Q8_0.gguf", Content::synthetic(MIB + 1, 2)).commit();
    machine.sandbox.set_env("HF_ENDPOINT", mirror.url());
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert_eq!((mirror.count().content_bytes(), machine.hub.count().total_requests()), (LEN - 4 * MIB, 0));
    machine.assert_right_after_kill(&output);
}

#[test]
fn another_repository_with_the_same_content_goes_on_with_it() {
    let machine = Machine::with(LEN);
    let (running, hold) = frozen(&machine, "download tiny --connections 1", 4 * MIB);
    running.kill9();
    hold.release();
    machine.hub.repo("someone/else").lfs("other.gguf", machine.content()).commit();
    machine.registry(&[entry(&machine.hub, "twin", "someone/else", &[("q4_k_m", "other.gguf")])]);
    machine.hub.reset_counters();
    machine.run("download twin").ok();
    assert_eq!(machine.hub.count().content_bytes(), LEN - 4 * MIB);
    assert_content(&machine.sandbox.project().join("models/twin/gguf/q4_k_m/other.gguf"), &Content::synthetic(LEN, 1));
    assert!(machine.partials().is_empty());
}

#[test]
fn a_damaged_part_is_fetched_again_only_where_it_is_damaged() {
    let machine = Machine::with(LEN);
    let (running, hold) = frozen(&machine, "download tiny --connections 1", 5 * MIB + 3);
    running.kill9();
    hold.release();
    let data = machine.store().join("ingest").join(machine.content().sha256()).join("data");
    damage(&data, 2 * MIB + 100);
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().content_bytes(), LEN - 5 * MIB + MIB);
    machine.assert_right_after_kill(&output);
}

#[test]
fn what_was_hashed_is_looked_at_and_only_damage_is_fetched_again() {
    const LONG: u64 = 40 * MIB + 5;
    for damaged in [None, Some(2), Some(15)] {
        let machine = Machine::with(LONG);
        let hold = machine.hub.hold(Match::cdn().covers(36 * MIB), 0);
        let running = machine.spawn("download tiny --connections 1");
        assert!(hold.wait_frozen(1, Duration::from_secs(20)), "{}", running.stderr_so_far());
        let part = machine.store().join("ingest").join(machine.content().sha256());
        // A note of how far the hash came is a record that begins with a 3.
        until("the hash is noted", || {
            std::fs::read(part.join("journal")).unwrap().chunks(64).any(|record| record[0] == 3 && record.len() == 64)
        });
        running.kill9();
        hold.release();
        let missing = LONG - held(&machine);
        if let Some(segment) = damaged {
            damage(&part.join("data"), segment * MIB + 100);
        }
        machine.hub.reset_counters();
        let output = machine.run("download tiny").ok();
        let again = if damaged.is_some() { MIB } else { 0 };
        assert_eq!(machine.hub.count().content_bytes(), missing + again, "damaged {damaged:?}");
        machine.assert_right_after_kill(&output);
    }
}

#[test]
fn a_part_whose_records_are_damaged_costs_at_most_a_fresh_start() {
    for (name, change) in [("journal", 3), ("journal", 0), ("data", 0), ("data", MIB + 1)] {
        let machine = Machine::with(LEN);
        let (running, hold) = frozen(&machine, "download tiny --connections 1", 3 * MIB);
        running.kill9();
        hold.release();
        let path = machine.store().join("ingest").join(machine.content().sha256()).join(name);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let len = if name == "journal" && change > 0 { file.metadata().unwrap().len() - change } else { change };
        file.set_len(len).unwrap();
        drop(file);
        machine.hub.reset_counters();
        let output = machine.run("download tiny").ok();
        assert!(machine.hub.count().content_bytes() <= LEN, "{name} cut to {len}");
        machine.assert_right_after_kill(&output);
    }
}

#[test]
fn remove_drops_what_an_interrupted_download_left() {
    let machine = Machine::with(LEN);
    let (running, hold) = frozen(&machine, "download tiny --connections 1", 4 * MIB);
    running.kill9();
    hold.release();
    assert_eq!(machine.partials(), [machine.content().sha256()]);
    machine.run("remove tiny").ok();
    assert!(machine.partials().is_empty());
    machine.run("remove tiny").code(3);
    let output = machine.run("download tiny").ok();
    machine.assert_right_after_kill(&output);
}

#[test]
fn a_forced_download_that_is_killed_leaves_the_old_file_in_place() {
    let machine = Machine::with(LEN);
    machine.run("download tiny").ok();
    let (running, hold) = {
        let hold = machine.hub.hold(Match::cdn(), 3 * MIB);
        let running = machine.spawn("download tiny --force --connections 1");
        assert!(hold.wait_frozen(1, Duration::from_secs(20)));
        (running, hold)
    };
    running.kill9();
    hold.release();
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.run("verify tiny").ok();
    let output = machine.run("download tiny --force").ok();
    machine.assert_right_after_kill(&output);
}
