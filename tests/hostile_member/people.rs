//! Users of one machine, each with a project of their own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::Machine;
use crate::support::run::{Output, Running};

pub const ROOT: u32 = 0;
pub const ADA: u32 = 54_001;
pub const BOB: u32 = 54_002;
/// The group that Ada and Bob are in when they run something as its members.
pub const GROUP: u32 = 54_100;

/// Ada and Bob, and a binary that both can run.
pub struct People {
    pub machine: Machine,
    binary: PathBuf,
}

impl People {
    pub fn new() -> Self {
        Self::with(Machine::new())
    }

    pub fn with(machine: Machine) -> Self {
        assert_eq!(rustix::process::geteuid().as_raw(), 0, "only root can become other users");
        let root = machine.sandbox.root().to_owned();
        let binary = root.join("model-manager");
        // Copied by another process: see tests/cli/members.rs.
        let copied = Command::new("cp").arg(machine.sandbox.command([""]).get_program()).arg(&binary).status().unwrap();
        assert!(copied.success());
        for (name, user) in [("ada", ADA), ("bob", BOB)] {
            let home = root.join(name);
            std::fs::create_dir_all(home.join("configs")).unwrap();
            std::fs::copy(machine.sandbox.project().join("configs/models.yaml"), home.join("configs/models.yaml")).unwrap();
            for path in [home.clone(), home.join("configs"), home.join("configs/models.yaml")] {
                chown(path, Some(user), Some(user)).unwrap();
            }
        }
        set_mode(&root, 0o755);
        Self { machine, binary }
    }

    /// The command line as `user`, in `whose` project.
    pub fn command(&self, user: u32, group: u32, whose: u32, line: &str) -> Command {
        let sealed = self.machine.sandbox.command(line.split_whitespace());
        let mut command = Command::new(&self.binary);
        command.args(sealed.get_args()).env_clear();
        command.envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.project(whose)).uid(user).gid(group);
        if user != ROOT && user != whose {
            command.env("XDG_CONFIG_HOME", self.trusting(user, whose));
        }
        // As `sudo` says who became root.
        if user == ROOT {
            command.env("SUDO_UID", whose.to_string());
        }
        command
    }

    /// The configuration folder of a user who trusts somebody else's project.
    fn trusting(&self, user: u32, whose: u32) -> PathBuf {
        let folder = self.machine.sandbox.root().join(format!("config-{user}"));
        let own = folder.join("model-manager");
        std::fs::create_dir_all(&own).unwrap();
        let file = own.join("config.yaml");
        std::fs::write(&file, format!("safe_projects: [\"{}\"]\n", self.project(whose).display())).unwrap();
        for path in [&folder, &own, &file] {
            chown(path, Some(user), Some(user)).unwrap();
        }
        set_mode(&own, 0o700);
        folder
    }

    /// Everybody in their own project; root in Ada's.
    #[track_caller]
    pub fn run(&self, user: u32, line: &str) -> Output {
        self.machine.sandbox.finish(self.command(user, user, if user == ROOT { ADA } else { user }, line))
    }

    pub fn spawn(&self, user: u32, line: &str) -> Running {
        self.machine.sandbox.start(self.command(user, user, if user == ROOT { ADA } else { user }, line))
    }

    pub fn project(&self, whose: u32) -> PathBuf {
        self.machine.sandbox.root().join(if whose == BOB { "bob" } else { "ada" })
    }

    pub fn store(&self) -> PathBuf {
        self.project(ADA).join("models/.blobs")
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub fn mode_of(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

/// Everything below a folder, and the folder.
pub fn everything(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        let path = found[at].clone();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

/// Lock files and leases of a store.
pub fn locks_of(store: &Path) -> Vec<PathBuf> {
    let folders = ["lock", "lock/b", "leases"].map(|dir| store.join(dir));
    let files = folders.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.is_file()).collect()
}

/// Whether `user` can lock a file, with whatever right it takes.
pub fn can_lock(user: u32, path: &Path) -> bool {
    let mut flock = Command::new("flock");
    flock.args(["--exclusive", "--nonblock"]).arg(path).arg("true").uid(user).gid(user);
    flock.stderr(std::process::Stdio::null()).current_dir("/").status().unwrap().success()
}
