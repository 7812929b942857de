//! Runs the real binary as a person would, but sealed off: own home, own project, no proxies, our Hub.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::hub::TestHub;
use super::snapshot::{Snapshot, tree};

/// No command of a test may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A person's machine in a temporary folder: `home/`, `hf/` (HF_HOME) and `project/` (the current directory).
pub struct Sandbox {
    root: TempDir,
    env: BTreeMap<OsString, OsString>,
    binary: PathBuf,
}

impl Sandbox {
    /// With `HF_ENDPOINT` at `hub`.
    pub fn new(hub: &TestHub) -> Self {
        Self::offline().env("HF_ENDPOINT", hub.url())
    }

    /// With an endpoint where nobody answers: a request is an error at once.
    pub fn offline() -> Self {
        let root = tempfile::Builder::new().prefix("mm-test-").tempdir_in(home_of_tests()).expect("a temporary folder");
        for folder in ["home", "hf", "project", "tmp", "out"] {
            std::fs::create_dir(root.path().join(folder)).expect("a folder in a new folder");
        }
        let path = root.path().to_owned();
        let sandbox = Self { root, env: BTreeMap::new(), binary: binary() };
        let sandbox = sandbox.env("HOME", path.join("home")).env("HF_HOME", path.join("hf")).env("TMPDIR", path.join("tmp"));
        // Windows has no sockets for a process that does not know where the system is.
        let system = std::env::var_os("SystemRoot").into_iter();
        let sandbox = system.fold(sandbox, |sandbox, root| sandbox.env("SystemRoot", root));
        sandbox.env("HF_ENDPOINT", "http://127.0.0.1:9").env("LC_ALL", "C.UTF-8").env("NO_PROXY", "*").env("PATH", "/usr/bin:/bin")
    }

    /// Sets a variable for all later runs.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub fn set_env(&mut self, name: &str, value: impl Into<OsString>) {
        self.env.insert(name.into(), value.into());
    }

    pub fn remove_env(&mut self, name: &str) {
        self.env.remove(OsString::from(name).as_os_str());
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn hf_home(&self) -> PathBuf {
        self.root.path().join("hf")
    }

    /// The current directory of every run.
    pub fn project(&self) -> PathBuf {
        self.root.path().join("project")
    }

    /// The default store and view.
    pub fn models(&self) -> PathBuf {
        self.project().join("models")
    }

    /// Another project on the same machine.
    pub fn other_project(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(&path).expect("a folder in a new folder");
        path
    }

    /// Writes a file below the project, with its folders.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders for a test file");
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// What is in the project now.
    pub fn tree(&self) -> Snapshot {
        tree(&self.project())
    }

    /// The command, to be changed further and given to [`Self::finish`] or [`Self::start`].
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).env_clear().envs(&self.env).current_dir(self.project()).stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.finish(self.command(args))
    }

    #[track_caller]
    pub fn finish(&self, command: Command) -> Output {
        self.start(command).wait()
    }

    /// Starts and goes on.
    pub fn spawn<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        self.start(self.command(args))
    }

    /// Output goes to files, so a full pipe never stops the child.
    pub fn start(&self, mut command: Command) -> Running {
        let name = tempfile::Builder::new().prefix("run-").tempdir_in(self.root.path().join("out")).expect("a folder").keep();
        let (out, err) = (name.join("stdout"), name.join("stderr"));
        let create = |path: &Path| File::create(path).expect("a file in a new folder");
        command.stdout(create(&out)).stderr(create(&err));
        let line = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|e| panic!("{line}: {e}"));
        Running { child, out, err, line }
    }
}

/// Memory, where there is enough of it and nobody set TMPDIR: a store has 770 folders, and every test makes its own.
fn home_of_tests() -> PathBuf {
    let memory = Path::new("/dev/shm");
    #[cfg(unix)]
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|fs| fs.f_bavail * fs.f_frsize > 1 << 30);
    #[cfg(not(unix))]
    let roomy = false;
    let free_to_choose = std::env::var_os("TMPDIR").is_none();
    if roomy && free_to_choose { memory.to_owned() } else { std::env::temp_dir() }
}

/// The binary under test: told by Cargo to tests, found beside the examples otherwise.
fn binary() -> PathBuf {
    if let Some(path) = option_env!("CARGO_BIN_EXE_model-manager") {
        return path.into();
    }
    let here = std::env::current_exe().expect("a running program has a path");
    let target = here.parent().and_then(Path::parent).expect("target/<profile>/examples/<program>");
    target.join(format!("model-manager{}", std::env::consts::EXE_SUFFIX))
}

/// A run that is not over. Killed when it goes out of scope.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    line: String,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9: no handler runs, no destructor, nothing is flushed.
    pub fn kill9(mut self) -> Output {
        self.child.kill().expect("a child can be killed");
        self.wait()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Ctrl-C.
    #[cfg(unix)]
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a child can be signalled");
    }

    /// What it said so far on stderr.
    pub fn stderr_so_far(&self) -> String {
        read(&self.err)
    }

    #[track_caller]
    pub fn wait(mut self) -> Output {
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > end {
                let _gone_already = self.child.kill();
                panic!("{} took longer than {LIMIT:?}\nstdout:\n{}\nstderr:\n{}", self.line, read(&self.out), read(&self.err));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Output { status, stdout: read(&self.out), stderr: read(&self.err), line: self.line.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// What was written, with `/` in paths on every system: so the tests write them.
fn read(path: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    if cfg!(windows) && text.starts_with(['{', '[']) { text.replace(r"\\", "/") } else { slashes(&text) }
}

/// A path, or a text with paths, with `/` on every system.
pub fn slashes(text: &str) -> String {
    if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() }
}

/// How a run ended and what it said.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    line: String,
}

impl Output {
    /// Fails the test unless the run succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Fails the test unless the run ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit code of {self}");
        self
    }

    /// Fails the test unless stderr has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(&slashes(text)), "stderr lacks {text:?}: {self}");
        self
    }

    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(&slashes(text)), "stdout lacks {text:?}: {self}");
        self
    }

    /// The last line of stdout: the path, for `download` and `path`.
    #[track_caller]
    pub fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_else(|| panic!("nothing on stdout: {self}"))
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("stdout is not JSON ({e}): {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}\n--- stdout\n{}\n--- stderr\n{}", self.line, self.status, self.stdout, self.stderr)
    }
}
