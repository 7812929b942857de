//! The same on other file systems, and power lost on them: `xfs_io -c shutdown` drops what was not synced.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::chaos;
use crate::support::hub::{Match, TestHub};
use crate::world::{MIB, Models, World, env_number};

/// A file system in a file, mounted; it goes away with this value.
struct Volume {
    name: &'static str,
    scratch: tempfile::TempDir,
}

/// Makes a file system, how it is mounted, and the Debian package of the program that makes it.
const KINDS: [(&str, &[&str], &str); 3] = [
    ("ext4", &["mkfs.ext4", "-q", "-F"], "e2fsprogs"),
    ("xfs", &["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], "xfsprogs"),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], "btrfs-progs"),
];

/// Runs a tool that must succeed.
#[track_caller]
pub fn tool(words: &[&str], package: &str) {
    let why = match Command::new(words[0]).args(&words[1..]).output() {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "`{}` does not work here: {why}\nThis test mounts file systems: it needs root, loop devices and the package `{package}`.",
        words.join(" ")
    );
}

impl Volume {
    fn new(name: &'static str) -> Self {
        let volume = Self { name, scratch: tempfile::Builder::new().prefix("mm-volume-").tempdir().unwrap() };
        std::fs::create_dir(volume.path()).unwrap();
        if let Some((_, mkfs, package)) = KINDS.iter().find(|(kind, _, _)| *kind == name) {
            std::fs::File::create(volume.image()).unwrap().set_len(512 * MIB).unwrap();
            let image = volume.image().display().to_string();
            tool(&[*mkfs, &[&image]].concat(), package);
        }
        volume.mount();
        volume
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("mnt")
    }

    fn image(&self) -> PathBuf {
        self.scratch.path().join("image")
    }

    fn mount(&self) {
        let (image, path) = (self.image().display().to_string(), self.path().display().to_string());
        match self.name {
            "tmpfs" => tool(&["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", &path], "mount"),
            name => tool(&["mount", "-t", name, "-o", "loop", &image, &path], "mount"),
        }
    }

    fn unmount(&self) {
        tool(&["umount", &self.path().display().to_string()], "mount");
    }

    /// Loses the power: what was not synced is gone. Nobody may have a file open here.
    fn lose_power(&self) {
        self.shut_down();
        self.unmount();
        self.mount();
    }

    fn shut_down(&self) {
        tool(&["xfs_io", "-x", "-c", "shutdown", &self.path().display().to_string()], "xfsprogs");
    }

    /// Writes and syncs something else, which makes a journal write out more than was asked for, in its own order.
    fn unrelated_sync(&self) {
        let file = std::fs::File::create(self.path().join("unrelated")).unwrap();
        file.set_len(4096).unwrap();
        file.sync_all().unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _gone_already = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// A short soak, and a cold start of eight processes.
fn all_at_once(name: &'static str) {
    let volume = Volume::new(name);
    let hub = TestHub::start();
    let models = Models::gguf(&hub, &[2 * MIB + 17, 700_000]).with_set(&hub);
    let seconds = env_number("MODEL_MANAGER_SOAK_SECONDS", 4);
    chaos::soak(&World::new(&hub, models, Some(&volume.path().join("soak"))), Duration::from_secs(seconds));
    let hub = TestHub::start();
    let models = Models::gguf(&hub, &[12 * MIB + 3]);
    chaos::cold_start(&World::new(&hub, models, Some(&volume.path().join("cold"))), "m0");
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn many_processes_lose_nothing_on_ext4() {
    all_at_once("ext4");
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn many_processes_lose_nothing_on_xfs() {
    all_at_once("xfs");
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn many_processes_lose_nothing_on_btrfs() {
    all_at_once("btrfs");
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn many_processes_lose_nothing_on_tmpfs() {
    all_at_once("tmpfs");
}

/// Blobs are whole or not there: never short, never empty, never of other content.
fn assert_blobs_whole(store: &Path, what: &str) -> usize {
    let mut blobs = 0;
    for shard in std::fs::read_dir(store.join("sha256")).into_iter().flatten().flatten() {
        for blob in std::fs::read_dir(shard.path()).unwrap().flatten() {
            let content = std::fs::read(blob.path()).unwrap();
            let digest = model_manager::digest::sha256_of(&content).to_string();
            assert_eq!(blob.file_name().to_string_lossy(), digest, "{what}: a blob of {} bytes", content.len());
            blobs += 1;
        }
    }
    blobs
}

/// When the power goes.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While the answer that has this byte of the file stands still, after so many bytes of it.
    In(u64, u64),
    /// So long after the start: anywhere between planning and the last link.
    After(Duration),
    /// When the download has said that it is done.
    Done,
}

fn power_is_lost(name: &'static str) {
    let size = 6 * MIB + 99;
    let mut moments = vec![Moment::In(0, 0), Moment::In(0, 2 * MIB + 5), Moment::In(size - 1, 9), Moment::Done];
    let rounds = env_number("MODEL_MANAGER_POWER_ROUNDS", 5);
    moments.extend((0..rounds).map(|_| Moment::After(Duration::from_millis(fastrand::u64(20..500)))));
    let volume = Volume::new(name);
    for (n, moment) in moments.into_iter().enumerate() {
        for unrelated in [false, true] {
            let what = format!("{name}, power lost {moment:?}, unrelated sync: {unrelated}");
            let hub = TestHub::start();
            let place = volume.path().join(format!("place-{n}-{unrelated}"));
            let world = World::new(&hub, Models::gguf(&hub, &[size]), Some(&place));
            if let Moment::In(byte, after) = moment {
                let hold = hub.hold(Match::cdn().covers(byte), after);
                let process = world.sandbox.start(world.command(0, &["download", "m0", "--connections", "1"]));
                assert!(hold.wait_frozen(1, Duration::from_secs(60)), "{what}: never came so far");
                cut(&volume, unrelated, Some(process));
                hold.release();
            } else {
                let process = world.sandbox.start(world.command(0, &["download", "m0", "--connections", "1"]));
                match moment {
                    Moment::After(time) => {
                        std::thread::sleep(time);
                        cut(&volume, unrelated, Some(process));
                    }
                    _ => {
                        process.wait().ok();
                        cut(&volume, unrelated, None);
                        assert_eq!(assert_blobs_whole(&world.store(), &what), 1, "{what}: it was done, and is not there");
                        world.assert_view(0, "m0");
                    }
                }
            }
            assert_blobs_whole(&world.store(), &what);
            world.assert_sound(&what);
            world.run(0, &["download", "m0"]).ok();
            world.assert_view(0, "m0");
            world.assert_comes_clean(&what);
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
}

/// The power goes under a running process, which goes with it.
fn cut(volume: &Volume, unrelated: bool, process: Option<crate::support::run::Running>) {
    if unrelated {
        volume.unrelated_sync();
    }
    match process {
        Some(process) => {
            // First the disk, so that the process cannot tidy up; then the process, so that the volume is free.
            volume.shut_down();
            drop(process.kill9());
            volume.unmount();
            volume.mount();
        }
        None => volume.lose_power(),
    }
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn a_power_loss_on_ext4_leaves_whole_blobs_and_a_download_that_goes_on() {
    power_is_lost("ext4");
}

#[test]
#[ignore = "needs root, to mount file systems"]
fn a_power_loss_on_xfs_leaves_whole_blobs_and_a_download_that_goes_on() {
    power_is_lost("xfs");
}
