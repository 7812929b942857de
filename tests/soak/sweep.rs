//! The real binary is killed at, or refused, every system call that changes the disk.
//!
//! `strace` counts calls for each thread by itself, so call number N is the first that any thread makes for the Nth time.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::hub::TestHub;
use crate::support::run::Output;
use crate::world::{MIB, Models, World};

/// Calls that are broken together, because a C library may use any of them for one thing.
const GROUPS: [&str; 10] = [
    "rename,renameat,renameat2",
    "fsync,fdatasync",
    "openat",
    "pwrite64",
    "link,linkat",
    "unlink,unlinkat,rmdir",
    "mkdir,mkdirat",
    "symlink,symlinkat",
    "fchmod",
    "fallocate,ftruncate",
];
const MISHAPS: [&str; 3] = ["signal=KILL", "error=EIO", "error=ENOSPC"];
/// How many cases of a scenario are tried unless all are asked for.
const SAMPLE: usize = 20;

struct Scenario {
    name: &'static str,
    prepare: fn(&World<'_>),
    args: &'static [&'static str],
    /// Ends of a second run that are fine.
    again: &'static [i32],
    holds: fn(&World<'_>),
}

const DOWNLOAD: &[&str] = &["download", "m0", "--connections", "1"];

fn here(world: &World<'_>) {
    world.assert_view(0, "m0");
}

fn gone(world: &World<'_>) {
    world.assert_view(1, "m1");
    assert!(!world.project(0).join("m0").exists(), "a removed model is still shown");
}

const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "the first download", prepare: |_| {}, args: DOWNLOAD, again: &[0], holds: here },
    Scenario {
        name: "a download over a shared blob",
        prepare: |world| drop(world.run(1, &["download", "m0"]).ok()),
        args: DOWNLOAD,
        again: &[0],
        holds: here,
    },
    Scenario {
        name: "a forced download",
        prepare: |world| drop(world.run(0, &["download", "m0"]).ok()),
        args: &["download", "m0", "--force", "--connections", "1"],
        again: &[0],
        holds: here,
    },
    Scenario {
        name: "a removal",
        prepare: |world| {
            world.run(0, &["download", "m0"]).ok();
            world.run(1, &["download", "m1"]).ok();
        },
        args: &["remove", "m0"],
        // Not present: the first run came far enough.
        again: &[0, 3],
        holds: gone,
    },
    Scenario {
        name: "a collection",
        prepare: |world| {
            world.run(0, &["download", "m0"]).ok();
            world.run(1, &["download", "m1"]).ok();
            world.run(0, &["remove", "m0", "--keep-blobs"]).ok();
            // As a process leaves it that died while it downloaded.
            let key = "ab".repeat(32);
            let partial = world.store().join("ingest").join(key);
            std::fs::create_dir(&partial).unwrap();
            std::fs::write(partial.join("data"), "half").unwrap();
        },
        args: &["gc", "--grace", "0", "--partials", "0"],
        again: &[0],
        holds: gone,
    },
];

/// Puts the prepared state back.
pub struct Template {
    template: PathBuf,
}

impl Template {
    pub fn of(world: &World<'_>, prepare: impl FnOnce()) -> Self {
        prepare();
        let template = world.place.with_extension("template");
        copy(&world.place, &template);
        Self { template }
    }

    pub fn reset(&self, world: &World<'_>) {
        std::fs::remove_dir_all(&world.place).unwrap();
        copy(&self.template, &world.place);
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        let _left_in_a_temporary_folder = std::fs::remove_dir_all(&self.template);
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "cp -a {} {}", from.display(), to.display());
}

/// Runs a command under strace with these options and rules; tells what the calls were.
pub fn traced(world: &World<'_>, args: &[&str], options: &[&str], rules: &[String]) -> (Output, String) {
    let log = world.sandbox.root().join("strace.log");
    let plain = world.command(0, args);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(options);
    command.args(rules.iter().flat_map(|rule| ["-e", rule])).arg("--").arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(world.sandbox.project()).stdin(std::process::Stdio::null());
    let output = world.sandbox.finish(command);
    (output, std::fs::read_to_string(&log).unwrap_or_default())
}

/// Fails where tracing does not work.
pub fn require_tracing() {
    let tried = Command::new("strace").args(["-f", "-qq", "-e", "inject=fchmod:error=EIO", "true"]).output();
    let why = match tried {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!("strace does not work here: {why}\nInstall the package `strace` (apt-get install strace) and allow ptrace.");
}

/// How often one thread makes calls of each group, at most, when nothing goes wrong.
fn count(world: &World<'_>, scenario: &Scenario) -> HashMap<&'static str, usize> {
    let (output, log) = traced(world, scenario.args, &[], &[format!("trace={}", GROUPS.join(","))]);
    output.ok();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for line in log.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        if let Some(group) = GROUPS.iter().find(|group| group.split(',').any(|one| one == name)) {
            *counts.entry((pid, group)).or_default() += 1;
        }
    }
    let mut most = HashMap::new();
    for ((_, group), calls) in counts {
        let entry = most.entry(GROUPS.into_iter().find(|one| *one == group).unwrap()).or_default();
        *entry = calls.max(*entry);
    }
    most
}

/// Every case of a scenario, or a sample that begins somewhere else in each run.
fn cases(counts: &HashMap<&'static str, usize>) -> Vec<(&'static str, &'static str, usize)> {
    let full = std::env::var("MODEL_MANAGER_SWEEP").is_ok_and(|how| how == "full");
    let mut chosen = BTreeSet::new();
    for (group, calls) in counts {
        for (index, mishap) in MISHAPS.into_iter().enumerate() {
            // A kill leaves the most behind, so it gets the largest share; every group gets some.
            let share = if index == 0 { SAMPLE / 2 } else { SAMPLE / 4 }.div_ceil(counts.len());
            let stride = if full { 1 } else { calls.div_ceil(share).max(1) };
            let first = 1 + fastrand::usize(0..stride.min(*calls));
            chosen.extend((first..=*calls).step_by(stride).map(|n| (*group, mishap, n)));
        }
    }
    chosen.into_iter().collect()
}

fn sweep(scenario: &Scenario) {
    require_tracing();
    let hub = TestHub::start();
    // In memory: every case begins with a copy of everything, and syncing for real proves nothing here.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let models = Models::gguf(&hub, &[2 * MIB + 100, 9000]);
    let world = World::new(&hub, models, Some(&memory.path().join("place")));
    let stage = Template::of(&world, || (scenario.prepare)(&world));
    let counts = count(&world, scenario);
    let cases = cases(&counts);
    let mut struck = 0;
    for (group, mishap, n) in &cases {
        let what = format!("{}, {mishap} at call {n} of {group}", scenario.name);
        stage.reset(&world);
        let (output, log) =
            traced(&world, scenario.args, &[], &[format!("trace={group}"), format!("inject={group}:{mishap}:when={n}")]);
        let injected = log.contains("(INJECTED)") || log.contains("+++ killed by SIGKILL");
        struck += usize::from(injected);
        match output.status.code() {
            Some(0) => (scenario.holds)(&world),
            // Killed; or an error that the program told.
            None => {}
            Some(101) => panic!("{what}: it panicked\n{output}"),
            // The loader of the program itself ends with 127.
            Some(_) => assert!(!output.stderr.is_empty(), "{what}: failed in silence\n{output}"),
        }
        world.assert_sound(&what);
        let again = world.run(0, scenario.args);
        let code = again.status.code().unwrap_or(-1);
        assert!(scenario.again.contains(&code), "{what}: the second run does not succeed\n{again}\nthe first was {output}");
        (scenario.holds)(&world);
        world.assert_sound(&format!("{what}, and again"));
    }
    println!("sweep of {}: {} cases, {struck} struck; calls: {counts:?}", scenario.name, cases.len());
    assert!(struck * 2 > cases.len(), "only {struck} of {} mishaps happened: the sweep misses its mark", cases.len());
    world.assert_comes_clean(scenario.name);
}

#[test]
#[ignore = "needs strace"]
fn the_first_download_survives_a_mishap_at_any_system_call() {
    sweep(&SCENARIOS[0]);
}

#[test]
#[ignore = "needs strace"]
fn a_download_over_a_shared_blob_survives_a_mishap_at_any_system_call() {
    sweep(&SCENARIOS[1]);
}

#[test]
#[ignore = "needs strace"]
fn a_forced_download_survives_a_mishap_at_any_system_call() {
    sweep(&SCENARIOS[2]);
}

#[test]
#[ignore = "needs strace"]
fn a_removal_survives_a_mishap_at_any_system_call() {
    sweep(&SCENARIOS[3]);
}

#[test]
#[ignore = "needs strace"]
fn a_collection_survives_a_mishap_at_any_system_call() {
    sweep(&SCENARIOS[4]);
}
