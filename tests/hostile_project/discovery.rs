//! Which folder is the project: none that somebody else made. Only root may make files of others.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{FILE, Machine, REPO, open_entry, set_mode};
use crate::scene::{Recorder, TOKEN, follow, named_commands};
use crate::support::run::Output;
use crate::support::snapshot::tree;

const MALLORY: u32 = 54_003;
const EVE: u32 = 54_004;

/// A folder that holds Mallory's `configs`, with a server that wants the token, and the user's own folder in it.
struct Trap {
    machine: Machine,
    server: Recorder,
    above: PathBuf,
    mine: PathBuf,
}

impl Trap {
    /// `owner` and `mode` of the folder; `configs` and what is in it are Mallory's.
    fn new(owner: u32, mode: u32) -> Self {
        let mut machine = Machine::empty();
        machine.sandbox.remove_env("HF_ENDPOINT");
        machine.sandbox.set_env("HF_TOKEN", TOKEN);
        let server = Recorder::start();
        let above = machine.sandbox.root().join("above");
        let mine = above.join("mine/deep");
        std::fs::create_dir_all(&mine).unwrap();
        configs(&above, &server, MALLORY);
        set_mode(&above, mode);
        chown(&above, Some(owner), Some(owner)).unwrap();
        set_mode(machine.sandbox.root(), 0o755);
        Self { machine, server, above, mine }
    }

    fn run(&self, cwd: &Path, line: &str) -> Output {
        let mut command = self.machine.sandbox.command(line.split_whitespace());
        command.current_dir(cwd);
        self.machine.sandbox.finish(command)
    }

    /// The command refuses to work in the folder itself, and names the one command that allows it.
    #[track_caller]
    fn assert_refused(&self, line: &str) {
        let output = self.run(&self.above, line).code(2).says("belongs to user");
        let above = self.above.display().to_string();
        assert_eq!(named_commands(&output), [["config", "set", "--user", "safe_projects", &above]], "{output}");
    }

    #[track_caller]
    fn assert_nobody_was_asked(&self) {
        assert_eq!(self.server.heads(), [""; 0]);
    }
}

fn configs(folder: &Path, server: &Recorder, owner: u32) {
    let configs = folder.join("configs");
    std::fs::create_dir_all(&configs).unwrap();
    std::fs::write(configs.join("models.yaml"), format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)]))).unwrap();
    std::fs::write(configs.join("manager.yaml"), format!("endpoints: \"{}\"\ntries: 1\n", server.url())).unwrap();
    for path in [configs.clone(), configs.join("models.yaml"), configs.join("manager.yaml")] {
        chown(path, Some(owner), Some(owner)).unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn a_folder_of_somebody_else_is_passed_over_until_its_user_allows_it() {
    // Mallory's own folder, and one that everybody may write, as /tmp.
    for (owner, mode) in [(MALLORY, 0o755), (MALLORY, 0o1777), (0, 0o1777), (0, 0o777)] {
        let trap = Trap::new(owner, mode);
        for line in ["download tiny", "info tiny", "lint --online", "lock tiny"] {
            let output = trap.run(&trap.mine, line).says("passed over the project in").says(&trap.above.display().to_string());
            assert_eq!(output.stderr.matches("passed over").count(), 1, "{output}");
            trap.assert_refused(line);
        }
        trap.assert_nobody_was_asked();
        follow(&trap.machine, &trap.run(&trap.mine, "list"));
        let output = trap.run(&trap.mine, "download tiny");
        assert!(!output.stderr.contains("passed over"), "{output}");
        trap.server.assert_asked_without_a_token();
    }
}

#[test]
#[ignore = "needs root"]
fn nothing_in_a_folder_of_somebody_else_is_read_or_written_for_a_project() {
    for (owner, mode) in [(MALLORY, 0o755), (0, 0o777)] {
        for kept in ["models.yaml", "manager.yaml", "models.lock", "backend"] {
            let trap = Trap::new(owner, mode);
            let configs = trap.above.join("configs");
            std::fs::remove_dir_all(&configs).unwrap();
            std::fs::create_dir(&configs).unwrap();
            match kept {
                "backend" => std::fs::create_dir(configs.join(kept)).unwrap(),
                _ => std::fs::write(configs.join(kept), "tries: 1\n").unwrap(),
            }
            for path in [configs.clone(), configs.join(kept)] {
                chown(path, Some(MALLORY), Some(MALLORY)).unwrap();
            }
            let before = tree(&trap.above).to_string();
            let registry = trap.machine.sandbox.write("mine.yaml", "models: {}\n");
            for line in ["sync --locked", "add o/r:Q4_K_M", "use tiny --backend llama_cpp", "list", "lock", "download tiny", "gc"] {
                trap.assert_refused(line);
            }
            // A registry of the user's makes the current directory no project of theirs.
            trap.assert_refused(&format!("list --config {}", registry.display()));
            assert_eq!(tree(&trap.above).to_string(), before, "{kept}");
            trap.run(&trap.above, "config set --user tries 3").ok();
            trap.run(&trap.above, "completions bash").ok();
        }
    }
}

/// In place of Mallory's `configs`, models of this program, of Mallory's.
fn models_instead(trap: &Trap, mark: &str) {
    std::fs::remove_dir_all(trap.above.join("configs")).unwrap();
    let mark = trap.above.join("models").join(mark);
    std::fs::create_dir_all(mark.parent().unwrap()).unwrap();
    std::fs::write(&mark, "{}").unwrap();
    for path in mark.ancestors().take_while(|path| *path != trap.above) {
        chown(path, Some(MALLORY), Some(MALLORY)).unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn models_in_a_folder_of_somebody_else_are_passed_over_until_its_user_allows_it() {
    for mark in [".model-manager.json", ".blobs/STORE.json"] {
        for (owner, mode) in [(MALLORY, 0o755), (0, 0o1777), (0, 0o777)] {
            let trap = Trap::new(owner, mode);
            models_instead(&trap, mark);
            let before = tree(&trap.above).to_string();
            for line in ["list", "download tiny", "gc", "path tiny"] {
                let output = trap.run(&trap.mine, line).says("passed over the project in").says("belongs to user");
                assert_eq!(output.stderr.matches("passed over").count(), 1, "{output}");
                trap.assert_refused(line);
            }
            std::fs::remove_dir_all(trap.mine.join("models")).ok();
            assert_eq!(tree(&trap.above).to_string(), before, "{mark}");
            follow(&trap.machine, &trap.run(&trap.mine, "list"));
            let output = trap.run(&trap.mine, "list");
            assert!(!output.stderr.contains("passed over"), "{output}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn models_that_somebody_else_may_have_put_into_the_users_folders_are_passed_over() {
    // The user's own models directory, or store, which everybody may write.
    for (open, mark) in [("models", ".model-manager.json"), ("models", ".blobs/STORE.json"), ("models/.blobs", ".blobs/STORE.json")]
    {
        let trap = Trap::new(0, 0o755);
        models_instead(&trap, mark);
        for folder in ["models", "models/.blobs"].map(|folder| trap.above.join(folder)).iter().filter(|folder| folder.exists()) {
            chown(folder, Some(0), Some(0)).unwrap();
        }
        set_mode(trap.above.join(open), 0o1777);
        if (open, mark) == ("models", ".blobs/STORE.json") {
            chown(trap.above.join("models/.blobs"), Some(MALLORY), Some(MALLORY)).unwrap();
        }
        trap.run(&trap.mine, "list").says("passed over the project in").says("belongs to user");
        trap.assert_refused("list");
    }
}

#[test]
#[ignore = "needs root"]
fn the_search_does_not_go_on_above_a_folder_of_somebody_else() {
    let trap = Trap::new(0, 0o755);
    configs(&trap.above, &trap.server, 0);
    // The user's folder lies in one of Mallory's, without a project, in one of the user's.
    chown(trap.above.join("mine"), Some(MALLORY), Some(MALLORY)).unwrap();
    trap.run(&trap.mine, "download tiny").code(3);
    trap.assert_nobody_was_asked();
    chown(trap.above.join("mine"), Some(0), Some(0)).unwrap();
    trap.run(&trap.mine, "download tiny");
    trap.server.assert_asked_without_a_token();
}

#[test]
#[ignore = "needs root"]
fn root_takes_the_project_of_who_ran_sudo() {
    let mut trap = Trap::new(MALLORY, 0o755);
    chown(trap.above.join("mine"), Some(MALLORY), Some(MALLORY)).unwrap();
    chown(&trap.mine, Some(MALLORY), Some(MALLORY)).unwrap();
    trap.machine.sandbox.set_env("SUDO_UID", EVE.to_string());
    trap.run(&trap.mine, "download tiny").code(3);
    trap.assert_nobody_was_asked();
    trap.machine.sandbox.set_env("SUDO_UID", MALLORY.to_string());
    trap.run(&trap.mine, "download tiny");
    trap.server.assert_asked_without_a_token();
}

#[test]
#[ignore = "needs root"]
fn a_user_is_not_led_by_roots_folder_nor_by_a_variable_of_sudo() {
    let mut trap = Trap::new(0, 0o755);
    trap.machine.sandbox.set_env("SUDO_UID", "0");
    let binary = trap.machine.sandbox.root().join("model-manager");
    let copied = Command::new("cp").arg(trap.machine.sandbox.command([""]).get_program()).arg(&binary).status().unwrap();
    assert!(copied.success());
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(trap.above.join("mine"), Some(EVE), Some(EVE)).unwrap();
    chown(&trap.mine, Some(EVE), Some(EVE)).unwrap();
    let sealed = trap.machine.sandbox.command(["download", "tiny"]);
    let mut command = Command::new(&binary);
    command.args(sealed.get_args()).env_clear();
    command.envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(&trap.mine).uid(EVE).gid(EVE);
    trap.machine.sandbox.finish(command).says("passed over the project in").says("belongs to user 0");
    trap.assert_nobody_was_asked();
}

#[test]
#[ignore = "needs root"]
fn the_search_ends_below_the_folder_of_all_homes() {
    let mut trap = Trap::new(0, 0o755);
    configs(&trap.above, &trap.server, 0);
    trap.machine.sandbox.set_env("HOME", trap.above.join("mine"));
    trap.run(&trap.mine, "download tiny").code(3);
    trap.assert_nobody_was_asked();
}

#[test]
#[ignore = "needs root"]
fn the_search_ends_at_the_volumes_edge() {
    let trap = Trap::new(0, 0o755);
    configs(&trap.above, &trap.server, 0);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&trap.mine).status().unwrap();
    assert!(mounted.success(), "this test mounts a file system, which needs root");
    let output = trap.run(&trap.mine, "download tiny");
    let unmounted = Command::new("umount").arg(&trap.mine).status().unwrap();
    assert!(unmounted.success());
    output.code(3);
    trap.assert_nobody_was_asked();
}

#[test]
#[ignore = "needs root"]
fn a_registry_that_the_user_names_is_the_users_word() {
    let mut trap = Trap::new(MALLORY, 0o755);
    let registry = trap.above.join("configs/models.yaml");
    let output = trap.run(&trap.mine, &format!("download tiny --config {}", registry.display()));
    assert!(!output.stderr.contains("passed over"), "{output}");
    trap.server.assert_asked_without_a_token();
    trap.machine.sandbox.set_env("MODEL_MANAGER_CONFIG", registry);
    let output = trap.run(&trap.mine, "download tiny");
    assert!(!output.stderr.contains("passed over"), "{output}");
}
