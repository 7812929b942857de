//! Projects that are moved and copied, and stores that are not where they were.

use std::path::{Path, PathBuf};
use std::process::Command;

use model_manager::disk::RealDisk;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{Machine, PATH, assert_content, assert_not_written, stamps};
use crate::support::run::Output;

/// Two projects on one machine and a store beside them.
struct TwoProjects {
    machine: Machine,
    store: PathBuf,
}

impl TwoProjects {
    fn new() -> Self {
        let machine = Machine::new();
        let store = machine.sandbox.root().join("store");
        Self { machine, store }
    }

    /// Runs in another folder.
    #[track_caller]
    fn run_in(&self, project: &Path, line: &str) -> Output {
        let mut command = self.machine.sandbox.command(line.split_whitespace());
        command.args(["--store", self.store.to_str().unwrap()]).current_dir(project);
        self.machine.sandbox.finish(command)
    }

    #[track_caller]
    fn run(&self, line: &str) -> Output {
        self.run_in(&self.machine.sandbox.project(), line)
    }

    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.machine.sandbox.root().join(name);
        copy_tree(&self.machine.sandbox.project(), &copy);
        copy
    }

    fn state_of(&self, project: &Path) -> Option<String> {
        let known = self.run("projects --json").ok().json();
        let known = known["projects"].as_array().unwrap().clone();
        let path = project.join("models");
        let found = known.iter().find(|line| Path::new(line["path"].as_str().unwrap()) == path);
        found.map(|line| line["state"].as_str().unwrap().to_owned())
    }
}

fn copy_tree(from: &Path, to: &Path) {
    let status = match cfg!(windows) {
        false => Command::new("cp").arg("-a").args([from, to]).status(),
        true => Command::new("xcopy").args(["/E", "/I", "/H", "/K", "/Q"]).args([from, to]).status(),
    };
    assert!(status.unwrap().success());
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, and a copy of one is a file")]
fn a_copied_project_keeps_its_blobs_when_the_original_removes_them_whatever_was_run_in_it_first() {
    for first in ["download tiny", "list", "path tiny", "verify", "why tiny", "doctor", "projects", "remove tiny --dry-run"] {
        let setup = TwoProjects::new();
        setup.run("download tiny").ok();
        let copy = setup.copy("copy");
        setup.run_in(&copy, first).ok();
        assert_eq!(setup.state_of(&copy).as_deref(), Some("live"), "{first}");
        setup.run("remove tiny").ok().prints("Stays in the store").prints("copy/models");
        assert_content(&copy.join(PATH), &setup.machine.content());
        setup.run_in(&copy, "doctor").ok().prints("all is well");
        let freed = setup.run_in(&copy, "remove tiny --json").ok().json();
        assert_eq!(freed["blobs"].as_array().unwrap().len(), 1);
        assert_sound(&RealDisk, &setup.store, Expect::Tidy);
    }
}

#[test]
fn a_copied_project_that_removes_first_takes_nothing_from_the_original() {
    let setup = TwoProjects::new();
    setup.run("download tiny").ok();
    let copy = setup.copy("copy");
    let removed = setup.run_in(&copy, "remove tiny").ok();
    removed.prints("Stays in the store").prints("project/models");
    assert_content(&setup.machine.sandbox.project().join(PATH), &setup.machine.content());
    setup.run("doctor").ok().prints("all is well");
}

/// Runs the program in a folder as another system would: under another host name, or with other mounts. `before` are the
/// commands that make it so.
#[cfg(target_os = "linux")]
#[track_caller]
fn run_elsewhere(setup: &TwoProjects, project: &Path, before: &str, line: &str) -> Output {
    let program = setup.machine.sandbox.command(line.split_whitespace());
    let mut command = Command::new("unshare");
    command.args(["--uts", "--mount", "sh", "-ec", &format!("{before}\ncd \"$1\"; shift; exec \"$@\""), "sh"]);
    command.arg(project).arg(program.get_program()).args(program.get_args()).args(["--store", setup.store.to_str().unwrap()]);
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
    setup.machine.sandbox.finish(command)
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root"]
fn a_copy_that_is_used_elsewhere_takes_nothing_from_the_original_whatever_is_run_in_it_first() {
    let firsts = ["remove tiny", "gc", "sync --prune", "verify", "list", "download tiny"];
    for (number, first) in firsts.into_iter().enumerate() {
        for elsewhere in ["another name", "another name, where the original cannot be seen", "its path", "its path and name"] {
            let setup = TwoProjects::new();
            setup.run("download tiny").ok();
            let (original, copy) = (setup.machine.sandbox.project(), setup.copy("copy"));
            let hidden = setup.machine.sandbox.root().join("hidden");
            if first == "sync --prune" {
                std::fs::write(copy.join("configs/models.lock"), "version: 1\nviews: []\n").unwrap();
            }
            let rename = format!("hostname other-{number}");
            let mount = format!("mount --bind '{}' '{}'", copy.display(), original.display());
            let hide = elsewhere.ends_with("seen");
            let (before, place) = match elsewhere {
                "its path" => (mount, &original),
                "its path and name" => (format!("{mount}\n{rename}"), &original),
                _ => (rename, &copy),
            };
            if hide {
                std::fs::rename(&original, &hidden).unwrap();
            }
            let is_gone = ["remove tiny", "sync --prune"].contains(&first);
            for line in [first, "gc", "remove tiny"].iter().take(if is_gone { 2 } else { 3 }) {
                let output = run_elsewhere(&setup, place, &before, line);
                assert!(output.status.success(), "{elsewhere}, {first}, {line}: {output}");
            }
            if hide {
                std::fs::rename(&hidden, &original).unwrap();
            }
            assert_content(&original.join(PATH), &setup.machine.content());
            setup.run("verify tiny").ok().prints("1 ok");
            setup.run("list").ok();
            setup.run("remove tiny").ok();
            assert!(!crate::kit::blob_in(&setup.store, &setup.machine.content()).exists(), "{elsewhere}, {first}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root"]
fn a_folder_that_is_renamed_or_mounted_elsewhere_is_the_same_project_under_any_host_name() {
    let setup = TwoProjects::new();
    setup.run("download tiny").ok();
    let (moved, mounted) = (setup.machine.sandbox.root().join("moved"), setup.machine.sandbox.root().join("mounted"));
    std::fs::create_dir(&mounted).unwrap();
    std::fs::rename(setup.machine.sandbox.project(), &moved).unwrap();
    let bind = format!("hostname box\nmount --bind '{}' '{}'", moved.display(), mounted.display());
    for (place, before) in [(&moved, "hostname box"), (&mounted, bind.as_str()), (&moved, "true")] {
        let output = run_elsewhere(&setup, place, before, "projects --json");
        let known = output.ok().json();
        assert_eq!(known["projects"].as_array().unwrap().len(), 1, "{known}");
        assert_eq!(Path::new(known["projects"][0]["path"].as_str().unwrap()), place.join("models"));
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root"]
fn what_another_host_has_registered_is_named_with_the_command_that_forgets_it() {
    let setup = TwoProjects::new();
    setup.run("download tiny").ok();
    let copy = setup.copy("copy");
    std::fs::remove_dir_all(setup.machine.sandbox.project()).unwrap();
    let output = run_elsewhere(&setup, &copy, "hostname box", "doctor");
    let output = output.ok().prints("cannot be seen from here; its blobs are kept");
    let forget = output.stdout.split('`').find(|text| text.contains(" projects forget ")).unwrap();
    let forget = forget.trim_start_matches("model-manager ").to_owned();
    run_elsewhere(&setup, &copy, "hostname box", &forget).ok();
    run_elsewhere(&setup, &copy, "hostname box", "doctor").ok().prints("all is well");
}

#[test]
fn a_moved_project_is_found_by_whatever_is_run_in_it_and_nothing_more_is_written_after_that() {
    for first in ["download tiny", "list", "path tiny", "verify", "projects check"] {
        let setup = TwoProjects::new();
        setup.run("download tiny").ok();
        let moved = setup.machine.sandbox.root().join("moved");
        std::fs::rename(setup.machine.sandbox.project(), &moved).unwrap();
        std::fs::create_dir(setup.machine.sandbox.project()).unwrap();
        assert_eq!(setup.state_of(&setup.machine.sandbox.project()).as_deref(), Some("missing"));
        setup.run_in(&moved, first).ok();
        assert_eq!(setup.state_of(&moved).as_deref(), Some("live"), "{first}");
        assert_eq!(setup.state_of(&setup.machine.sandbox.project()), None);
        let roots = setup.store.join("roots");
        let before = stamps(&roots);
        setup.run_in(&moved, first).ok();
        assert_not_written(&roots, &before);
    }
}

#[test]
fn a_project_that_is_copied_with_the_store_in_it_needs_nothing_of_the_original() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let copy = machine.sandbox.root().join("copy");
    copy_tree(&machine.sandbox.project(), &copy);
    let run = |line: &str| {
        let mut command = machine.sandbox.command(line.split_whitespace());
        command.current_dir(&copy);
        machine.sandbox.finish(command)
    };
    run("list").ok();
    assert_eq!(run("projects --json").ok().json()["projects"].as_array().unwrap().len(), 1);
    let removed = run("remove tiny").ok();
    assert!(!removed.stdout.contains("Stays in the store"), "{removed}");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
    machine.run("doctor").ok().prints("all is well");
}

#[cfg(unix)]
#[test]
fn a_store_that_is_not_mounted_is_told_and_nothing_is_taken_for_empty() {
    let machine = Machine::new();
    let volume = machine.sandbox.root().join("volume");
    std::fs::create_dir_all(volume.join("store")).unwrap();
    std::fs::create_dir(machine.sandbox.models()).unwrap();
    std::os::unix::fs::symlink(volume.join("store"), machine.sandbox.models().join(".blobs")).unwrap();
    machine.run(&format!("config set --user allowed_places {}", volume.display())).ok();
    machine.run("download tiny").ok();
    let away = machine.sandbox.root().join("away");
    std::fs::rename(&volume, &away).unwrap();
    let before = stamps(&machine.sandbox.models());
    for line in ["list", "verify", "path tiny", "download tiny", "remove tiny", "gc", "df", "doctor", "init"] {
        machine.run(line).code(1).says(".blobs is a link to").says("Mount the volume");
    }
    assert_not_written(&machine.sandbox.models(), &before);
    std::fs::rename(&away, &volume).unwrap();
    machine.run("doctor").ok().prints("all is well");
}

#[test]
fn a_named_store_that_is_gone_is_a_loss_for_a_project_that_used_it() {
    let setup = TwoProjects::new();
    setup.run("doctor").ok().prints("the first download makes it, and so does `model-manager --store");
    setup.run("download tiny").ok();
    std::fs::rename(&setup.store, setup.machine.sandbox.root().join("away")).unwrap();
    setup.run("doctor").code(4).prints("this project has used one").prints("mount its volume");
}

#[test]
fn what_is_no_folder_where_models_or_the_store_belong_is_told_and_left_alone() {
    let machine = Machine::new();
    for place in ["models", "models/.blobs"] {
        let file = machine.sandbox.write(place, "mine");
        for line in ["list", "verify", "path tiny", "download tiny", "remove tiny", "gc", "doctor", "init"] {
            machine.run(line).code(1).says(&format!("{} is in the way", file.display())).says("Move it away");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_folder_of_something_else_is_no_store_for_doctor_either() {
    let machine = Machine::new();
    machine.sandbox.write("things/mine.txt", "mine");
    machine.run("doctor --store things").code(2).says("is not a store").says("Choose an empty or new folder");
}

#[test]
fn a_store_that_was_named_by_a_path_up_through_the_project_is_found_after_a_move() {
    let machine = Machine::new();
    machine.run("download tiny --store ../store").ok();
    let moved = machine.sandbox.root().join("elsewhere");
    std::fs::rename(machine.sandbox.project(), &moved).unwrap();
    assert_content(&moved.join(PATH), &machine.content());
}
