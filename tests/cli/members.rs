//! A store that a group shares: several users, each with a umask that shuts all others out. Only root may become them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use model_manager::disk::RealDisk;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{MIB, Machine, PATH, assert_content, blob_in, names, until};
use crate::support::hub::Match;
use crate::support::run::{Output, Running};

const GROUP: u32 = 54_100;
const ADA: u32 = 54_001;
const BOB: u32 = 54_002;

/// A store of the group, made by Ada.
struct SharedStore {
    machine: Machine,
    store: PathBuf,
    binary: PathBuf,
}

impl SharedStore {
    fn new() -> Self {
        Self::with(6 * MIB)
    }

    fn with(len: u64) -> Self {
        let machine = Machine::with(len);
        let root = machine.sandbox.root().to_owned();
        // Where the program was built may be closed to others. Copied by another process: a child that another test starts
        // meanwhile would keep a copy of ours open for writing, and what is open so cannot be run.
        let binary = root.join("model-manager");
        let copied = Command::new("cp").arg(machine.sandbox.command([""]).get_program()).arg(&binary).status().unwrap();
        assert!(copied.success());
        let store = root.join("srv/store");
        for (dir, user) in [("srv", ADA), ("ada", ADA), ("bob", BOB)] {
            std::fs::create_dir_all(root.join(dir).join("configs")).unwrap();
            std::fs::copy(machine.sandbox.project().join("configs/models.yaml"), root.join(dir).join("configs/models.yaml"))
                .unwrap();
            chown(root.join(dir), Some(user), Some(GROUP)).unwrap();
        }
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { machine, store, binary }
    }

    fn command(&self, user: u32, group: u32, line: &str) -> Command {
        let sealed = self.machine.sandbox.command(line.split_whitespace());
        let mut command = Command::new("sh");
        let script = "umask 077; exec \"$0\" \"$@\"";
        command.args(["-c", script]).arg(&self.binary).args(sealed.get_args()).arg("--store").arg(&self.store).env_clear();
        command.envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.home(user)).uid(user).gid(group);
        command
    }

    fn home(&self, user: u32) -> PathBuf {
        self.machine.sandbox.root().join(if user == ADA { "ada" } else { "bob" })
    }

    #[track_caller]
    fn run(&self, user: u32, line: &str) -> Output {
        self.machine.sandbox.finish(self.command(user, GROUP, line))
    }

    fn spawn(&self, user: u32, line: &str) -> Running {
        self.machine.sandbox.start(self.command(user, GROUP, line))
    }

    /// Three of the six segments, and then Ada's process is killed.
    fn begin_as_ada(&self) {
        let hold = self.machine.hub.hold(Match::cdn(), 3 * MIB + 9);
        let downloading = self.spawn(ADA, "download tiny --connections 1");
        let journal = self.part().join("journal");
        until("three segments are claimed", || journal.metadata().is_ok_and(|journal| journal.len() >= 4 * 64));
        downloading.kill9();
        hold.release();
    }

    fn part(&self) -> PathBuf {
        self.store.join("ingest").join(self.machine.content().sha256())
    }

    fn blob(&self) -> PathBuf {
        blob_in(&self.store, &self.machine.content())
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[ignore = "needs root"]
fn what_one_member_began_another_finishes_without_fetching_it_again() {
    let shared = SharedStore::new();
    shared.run(ADA, "init --shared").ok();
    shared.begin_as_ada();
    assert_eq!(shared.part().join("data").metadata().unwrap().uid(), ADA);
    shared.machine.hub.reset_counters();
    shared.run(BOB, "download tiny").ok();
    assert!(shared.machine.hub.count().content_bytes() <= 3 * MIB, "{} bytes", shared.machine.hub.count().content_bytes());
    assert_content(&shared.home(BOB).join(PATH), &shared.machine.content());
    let blob = shared.blob().metadata().unwrap();
    assert_eq!((blob.uid(), blob.mode() & 0o7777), (BOB, 0o444));
    assert!(names(&shared.store.join("ingest")).is_empty());
    assert_sound(&RealDisk, &shared.store, Expect::Unfinished);
}

#[test]
#[ignore = "needs root"]
fn what_one_member_completed_and_did_not_publish_another_publishes() {
    let shared = SharedStore::new();
    shared.run(ADA, "init --shared").ok();
    shared.begin_as_ada();
    // As a run leaves it that dies between making its data read-only and giving it its name.
    set_mode(&shared.part().join("data"), 0o444);
    shared.machine.hub.reset_counters();
    shared.run(BOB, "download tiny").ok();
    assert!(shared.machine.hub.count().content_bytes() <= 3 * MIB);
    assert_content(&shared.home(BOB).join(PATH), &shared.machine.content());
    assert_sound(&RealDisk, &shared.store, Expect::Unfinished);
}

#[test]
#[ignore = "needs root"]
fn a_private_store_becomes_one_of_the_group_down_to_the_last_folder_and_lock() {
    let shared = SharedStore::new();
    shared.machine.sandbox.finish(shared.command(ADA, ADA, "download tiny")).ok();
    shared.run(BOB, "download tiny:q8_0").code(1).says("cannot be written by this user").says("doctor` says who");
    shared.run(BOB, "doctor").ok().prints("init --shared --group");
    // Only root and members of a group may give something to it.
    let mut init = shared.command(0, 0, &format!("init --shared --group {GROUP}"));
    init.current_dir(shared.home(ADA)).env("SUDO_UID", ADA.to_string());
    shared.machine.sandbox.finish(init).ok();
    shared.run(ADA, "doctor --full").ok().prints("all is well");
    shared.run(BOB, "download tiny:q8_0").ok();
    shared.run(BOB, "download tiny:q4_k_m").ok();
    shared.run(ADA, "remove tiny").ok();
    shared.run(BOB, "gc --grace 0").ok();
    shared.run(ADA, "doctor --full").ok().prints("all is well");
    // Once more changes nothing, although much of it is Bob's.
    shared.run(ADA, &format!("init --shared --group {GROUP}")).ok();
    assert_sound(&RealDisk, &shared.store, Expect::Tidy);
}

#[test]
#[ignore = "needs root"]
fn doctor_names_every_place_that_shuts_a_member_out() {
    let shared = SharedStore::new();
    shared.run(ADA, "init --shared").ok();
    shared.run(ADA, "download tiny").ok();
    let shard = shared.blob().parent().unwrap().to_owned();
    for (path, mode) in [(shared.store.join("lock/store"), 0o644), (shard, 0o2755), (shared.store.join("lock/b"), 0o2755)] {
        let right = path.metadata().unwrap().mode() & 0o7777;
        set_mode(&path, mode);
        for user in [ADA, BOB] {
            for depth in ["doctor", "doctor --full"] {
                let output = shared.run(user, depth).code(1);
                let output = output.prints(path.file_name().unwrap().to_str().unwrap());
                output.prints(&format!("{mode:o}")).prints("init --shared");
            }
        }
        shared.run(ADA, "init --shared").ok();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, right, "{}", path.display());
        shared.run(BOB, "doctor").ok().prints("all is well");
    }
    chown(shared.store.join("roots"), None, Some(ADA)).unwrap();
    shared.run(BOB, "doctor").code(1).prints("it belongs to the group").prints(&GROUP.to_string());
}

#[test]
#[ignore = "needs root"]
fn who_is_no_member_is_told_whom_to_join_and_a_record_that_cannot_be_renewed_ends_no_check() {
    let shared = SharedStore::new();
    shared.run(ADA, "init --shared").ok();
    shared.run(ADA, "download tiny").ok();
    let output = shared.machine.sandbox.finish(shared.command(BOB, BOB, "doctor --full")).ok();
    output.prints("list, verify and use it").prints(&format!("group {GROUP}"));
    for dir in ["meta", "segments"] {
        set_mode(&shared.store.join(dir).join(&shared.machine.content().sha256()[..2]), 0o2755);
    }
    shared.run(BOB, "doctor --full").code(1).prints("every byte was read").prints("2755");
}

#[test]
#[ignore = "needs root"]
fn a_file_of_another_user_is_taken_in_by_copying_and_stays_theirs_until_then() {
    let shared = SharedStore::new();
    shared.run(ADA, "init --shared").ok();
    let plain = shared.home(BOB).join(PATH);
    std::fs::create_dir_all(plain.parent().unwrap()).unwrap();
    std::fs::write(&plain, shared.machine.content().bytes()).unwrap();
    chown(&plain, Some(ADA), Some(GROUP)).unwrap();
    set_mode(&plain, 0o664);
    for dir in plain.ancestors().skip(1).take(4) {
        chown(dir, Some(BOB), Some(GROUP)).unwrap();
    }
    shared.machine.hub.reset_counters();
    shared.run(BOB, "download tiny").ok();
    assert_eq!(shared.machine.hub.count().total_requests(), 0);
    assert_content(&plain, &shared.machine.content());
    assert_eq!(shared.blob().metadata().unwrap().uid(), BOB);
    assert_sound(&RealDisk, &shared.store, Expect::Tidy);
}

#[test]
fn a_group_that_nobody_knows_is_told_before_anything_is_made() {
    let machine = Machine::empty();
    machine.run("init --shared --group nope").code(2).says("no group `nope`").says("hint: ");
    assert!(!machine.sandbox.models().exists());
}
