//! Other processes: this binary again, running one ignored test that does what its environment says.

use crate::kit::*;
use model_manager::{
    disk::RealDisk,
    store::{Acquired, Store},
};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// A child process; killed with it.
pub struct StoreProcess(Child);

/// Starts another process in a role.
pub fn spawn(role: &str, root: &Path, seed: u64, len: u64) -> StoreProcess {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::role", "--ignored", "--nocapture", "--test-threads=1"])
        .env("MM_ROLE", role)
        .env("MM_ROOT", root)
        .env("MM_SEED", seed.to_string())
        .env("MM_LEN", len.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    StoreProcess(child)
}

impl StoreProcess {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
    /// What it says next.
    pub fn says(&mut self) -> String {
        let mut reader = BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the other process ended");
            if let Some((_, said)) = line.trim_end().split_once("SAYS ") {
                return said.to_owned();
            }
        }
    }
    pub fn kill_9(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nSAYS {text}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "run by other tests, in a process of its own"]
fn role() {
    let get = |name: &str| std::env::var(name).expect("run by other tests");
    let root = Path::new(&get("MM_ROOT")).to_owned();
    let data = content(get("MM_SEED").parse().unwrap(), get("MM_LEN").parse().unwrap());
    let shared = get("MM_ROLE") == "shared";
    if shared {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    let store = Store::open_or_init(Arc::new(RealDisk), &root, shared).unwrap();
    match get("MM_ROLE").as_str() {
        "init" => say(&store.marker().uuid.to_string()),
        "fill" => match store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap() {
            Acquired::Present(_) => say("present"),
            Acquired::Writer(writer) => {
                std::thread::sleep(Duration::from_millis(50));
                finish(*writer, &data).unwrap();
                say("filled");
            }
        },
        "hold" | "shared" => {
            put(&store, b"another").unwrap();
            let writer = open(store.begin_ingest(request(&data), &lease(&store), &quick()).unwrap());
            writer.write(0, piece(&writer, &data, 0)).unwrap();
            say("holding");
            std::thread::sleep(Duration::from_secs(60));
        }
        "lease" => {
            let lease = store.lease().unwrap();
            lease.protect(&[model_manager::digest::sha256_of(&data)]).unwrap();
            say("leased");
            std::thread::sleep(Duration::from_secs(60));
        }
        role => panic!("unknown role {role}"),
    }
}
