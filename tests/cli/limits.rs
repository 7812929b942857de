//! Limits that the system sets to a process: open files, the size of a file, and the inodes of a volume.

use std::fmt::Write as _;
use std::process::Command;

use crate::kit::{MIB, Machine, blob_in, names};
use crate::mounts::tmpfs_with;
use crate::support::hub::Content;
use crate::support::run::Output;

const SHARDS: u64 = 90;

impl Machine {
    /// Runs the command line after these commands of a shell.
    #[track_caller]
    fn run_after(&self, shell: &str, line: &str) -> Output {
        let sealed = self.sandbox.command(line.split_whitespace());
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{shell} && exec \"$0\" \"$@\"")).arg(sealed.get_program()).args(sealed.get_args());
        command.env_clear().envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(sealed.get_current_dir().unwrap());
        self.sandbox.finish(command)
    }

    /// A set of many files, each of more than one segment: three open files while it is fetched.
    fn of_shards() -> Self {
        let machine = Self::empty();
        let mut repo = machine.hub.repo("o/shards");
        for shard in 0..SHARDS {
            repo = repo.lfs(&format!("shard-{shard}.bin"), Content::synthetic(MIB + 1 + shard, shard));
        }
        repo.commit();
        let mut text = format!(
            "models:\n  many:\n    huggingface_id: o/shards\n    revision: '{}'\n    formats:\n      onnx:\n        files:\n",
            machine.hub.commit("o/shards")
        );
        for shard in 0..SHARDS {
            let name = format!("shard-{shard}.bin");
            let content = machine.hub.content("o/shards", &name);
            writeln!(text, "        - {{path: {name}, size: {}, sha256: '{}'}}", content.len(), content.sha256()).unwrap();
        }
        machine.sandbox.write("configs/models.yaml", text);
        machine
    }

    #[track_caller]
    fn assert_all_shards(&self) {
        for shard in 0..SHARDS {
            let content = self.hub.content("o/shards", &format!("shard-{shard}.bin"));
            assert!(blob_in(&self.store(), &content).exists(), "{shard}");
        }
        self.assert_tidy();
    }
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised() {
    let machine = Machine::of_shards();
    machine.run_after("ulimit -Sn 64", "download many --format onnx").ok();
    machine.assert_all_shards();
}

#[test]
fn a_set_of_more_files_than_may_be_open_is_fetched_in_parts() {
    let machine = Machine::of_shards();
    machine.run_after("ulimit -n 64", "download many --format onnx").ok();
    machine.assert_all_shards();
    machine.run_after("ulimit -n 64", "verify --rehash").ok();
    machine.run_after("ulimit -n 64", "doctor --full").ok();
    machine.run_after("ulimit -n 64", "remove many").ok();
}

#[test]
fn where_open_files_do_not_suffice_the_error_names_the_limit_and_never_the_network() {
    let machine = Machine::new();
    let mut told = 0;
    for limit in 8..32 {
        let output = machine.run_after(&format!("ulimit -n {limit}"), "download tiny:q4_k_m");
        // Less than the system itself needs to start a program, or enough.
        if [Some(127), Some(0)].contains(&output.status.code()) {
            continue;
        }
        let output = output.code(1).says("`ulimit -n 4096`");
        assert!(!output.stderr.contains("look up"), "{output}");
        told += 1;
    }
    assert!(told > 0);
    machine.run("download tiny:q4_k_m").ok();
    // Who could open nothing more could not take its lease away.
    machine.run("gc").ok();
    machine.assert_tidy();
}

#[test]
fn a_file_beyond_the_limit_of_sizes_is_an_error_with_its_name_and_not_the_end_of_the_process() {
    let machine = Machine::with(12 * MIB);
    // In blocks of 512 bytes.
    let output = machine.run_after("ulimit -f 2048", "download tiny:q4_k_m").code(7);
    output.says("ulimit -f unlimited").says(".blobs");
    machine.run("download tiny:q4_k_m").ok();
    machine.assert_tidy();
}

#[test]
#[ignore = "needs root"]
fn where_no_inode_is_left_models_can_be_removed_and_what_nothing_needs_collected() {
    let machine = Machine::new();
    let _mount = tmpfs_with(&machine.sandbox.models(), "size=64m,nr_inodes=1200");
    machine.run("download tiny:q4_k_m").ok();
    machine.run("download tiny:q8_0").ok();
    let mut ballast = 0;
    let spent = machine.sandbox.models().join("spent");
    std::fs::create_dir(&spent).unwrap();
    while std::fs::File::create(spent.join(ballast.to_string())).is_ok() {
        ballast += 1;
    }
    machine.run("remove tiny:q4_k_m").ok();
    // One was given back; it is spent again.
    while std::fs::File::create(spent.join(ballast.to_string())).is_ok() {
        ballast += 1;
    }
    machine.run("remove tiny:q8_0 --keep-blobs").ok();
    while std::fs::File::create(spent.join(ballast.to_string())).is_ok() {
        ballast += 1;
    }
    machine.run("gc --grace 0s").ok();
    assert!(names(&machine.store().join("trash")).is_empty());
    let left = walk(&machine.store().join("sha256"));
    assert_eq!(left, 0, "nothing needs a blob");
}

fn walk(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { 1 }
        })
        .sum()
}
