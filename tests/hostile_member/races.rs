//! What a member exchanges while a command runs spoils the common tree at most: nothing outside of it changes.

use std::path::{Path, PathBuf};

use crate::kit::{MIB, Machine};
use crate::support::hub::Content;
use crate::swapper::{Outside, Swapper};

/// Rounds of each command; `MODEL_MANAGER_RACE_ROUNDS` asks for more.
fn rounds() -> u32 {
    std::env::var("MODEL_MANAGER_RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(50)
}

/// A project with a model, a copy of it to go back to, and its private twin.
struct SwapSetup {
    machine: Machine,
    outside: Outside,
    pristine: PathBuf,
}

/// Names below `models/` that a member exchanges.
struct Names {
    /// In the store.
    store: Vec<PathBuf>,
    /// Of the views.
    views: Vec<PathBuf>,
}

impl SwapSetup {
    fn new() -> Self {
        let machine = Machine::with(MIB + 7);
        machine.run("download tiny --quant q4_k_m").ok();
        machine.run("download tiny --quant q8_0").ok();
        // A blob that nothing needs, and what dead processes left: work for the collector.
        machine.run("remove tiny --quant q8_0 --keep-blobs").ok();
        let store = machine.store();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(30 * 24 * 3600);
        let digest = Content::synthetic(3, 3).sha256().to_owned();
        let leftovers = [
            "tmp/.tmp-abcdefghijkl".to_owned(),
            "lock/.tmp-abcdefghijkl".to_owned(),
            "leases/lease-abcdefghijkl".to_owned(),
            "leases/lease-abcdefghijkl.lock".to_owned(),
            format!("trash/dead-{digest}"),
            format!("lock/b/{digest}"),
            format!("meta/{}/{digest}.json", &digest[..2]),
            format!("ingest/{digest}/data"),
            format!("ingest/{digest}/journal"),
            format!("ingest/{digest}/claim"),
        ];
        for name in &leftovers {
            let path = store.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "left behind").unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
        let pristine = machine.sandbox.root().join("pristine");
        copy(&machine.sandbox.models(), &pristine);
        let more = ["sitecustomize.py", ".blobs/tmp/.tmp-zyxwvutsrqpo", "tiny/gguf/q4_k_m/.tmp-zyxwvutsrqpo"].map(PathBuf::from);
        let outside = Outside::twin_of(&pristine, machine.sandbox.root().join("outside"), &more);
        Self { machine, outside, pristine }
    }

    /// Puts everything back as it was at first.
    fn restore(&self) {
        let models = self.machine.sandbox.models();
        let spoiled = tempfile::Builder::new().prefix("spoiled-").tempdir_in(self.machine.sandbox.root()).unwrap();
        std::fs::rename(&models, spoiled.path().join("models")).unwrap();
        copy(&self.pristine, &models);
    }

    /// Changes bytes of the model's blob.
    fn damage(&self) {
        let content = self.machine.content();
        damage(&self.pristine.join(".blobs/sha256").join(&content.sha256()[..2]).join(content.sha256()));
    }

    fn names(&self) -> Names {
        let below = |dir: &str| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(self.pristine.join(dir)).unwrap();
            entries.map(|entry| Path::new(dir).join(entry.unwrap().file_name())).collect()
        };
        let mut store = below(".blobs");
        for dir in ["lock", "lock/b", "tmp", "trash", "leases", "roots", "ingest"] {
            store.extend(below(&format!(".blobs/{dir}")));
        }
        for dir in
            store.clone().iter().filter(|name| name.parent().is_some_and(|dir| dir.ends_with("roots") || dir.ends_with("ingest")))
        {
            store.extend(below(dir.to_str().unwrap()));
        }
        for content in [Content::synthetic(MIB + 7, 1), Content::synthetic(MIB + 1, 2), Content::synthetic(3, 3)] {
            for dir in ["sha256", "meta", "segments"] {
                let shard = format!(".blobs/{dir}/{}", &content.sha256()[..2]);
                store.extend(below(&shard));
                store.push(shard.into());
            }
        }
        let mut views = vec![PathBuf::from(".model-manager.json")];
        for dir in ["tiny", "tiny/gguf", "tiny/gguf/q4_k_m"] {
            views.push(dir.into());
            views.extend(below(dir));
        }
        Names { store, views }
    }

    /// Runs a command again and again while `names` are exchanged.
    fn race(&self, what: &str, names: &[PathBuf], command: &str) {
        self.restore();
        // Left alone it does its work: what always fails would prove nothing.
        let alone = self.machine.run(command);
        // An examination ends with 1 where something is to be corrected.
        assert!(matches!((command.split(' ').next(), alone.status.code()), (_, Some(0)) | (Some("doctor"), Some(1))), "{alone}");
        let (rounds, mut swaps, mut done) = (rounds(), 0, 0);
        for _ in 0..rounds {
            self.restore();
            let swapper = Swapper::start(&self.machine.sandbox, &self.machine.sandbox.models(), &self.outside, names);
            let output = self.machine.run(command);
            swaps += swapper.stop();
            self.outside.assert_untouched(command);
            let ended = output.status.code();
            assert!(ended.is_some_and(|code| code < 100), "it has to end with an error at worst: {output}");
            done += u32::from(ended == Some(0));
        }
        println!("{what}, `{command}`: {rounds} rounds, {done} of them done, {swaps} exchanges");
        assert!(swaps > u64::from(rounds), "hardly anything was exchanged");
    }
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").args(["-a", "--reflink=never"]).arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

fn in_the_store(command: &str) {
    let setup = SwapSetup::new();
    setup.race("in the store", &setup.names().store, command);
}

fn in_the_views(command: &str) {
    let setup = SwapSetup::new();
    setup.race("in the models directory", &setup.names().views, command);
}

#[test]
fn sharing_a_store_opens_nothing_outside_of_it_to_the_group() {
    in_the_store("init --shared");
}

#[test]
fn collecting_removes_nothing_outside_of_the_store() {
    in_the_store("gc --grace 0");
}

#[test]
fn removing_a_model_removes_nothing_outside_of_the_store() {
    in_the_store("remove tiny");
}

#[test]
fn downloading_writes_nothing_outside_of_the_store() {
    in_the_store("download tiny --force --lock-timeout 1s");
}

#[test]
fn repairing_writes_nothing_outside_of_the_store() {
    let setup = SwapSetup::new();
    setup.damage();
    setup.race("in the store", &setup.names().store, "verify --repair --lock-timeout 1s");
}

#[test]
fn doctor_touches_nothing_outside_of_the_store() {
    in_the_store("doctor");
}

#[test]
fn removing_a_model_removes_nothing_outside_of_the_models_directory() {
    in_the_views("remove tiny");
}

#[test]
fn downloading_writes_nothing_outside_of_the_models_directory() {
    in_the_views("download tiny --force --link copy");
}

#[test]
fn repairing_writes_nothing_outside_of_the_models_directory() {
    let setup = SwapSetup::new();
    setup.damage();
    setup.race("in the models directory", &setup.names().views, "verify --repair");
}

#[test]
fn doctor_touches_nothing_outside_of_the_models_directory() {
    in_the_views("doctor");
}

#[test]
fn synchronising_writes_nothing_outside_of_the_models_directory() {
    let setup = SwapSetup::new();
    setup.machine.run("lock").ok();
    setup.race("in the models directory", &setup.names().views, "sync --link hardlink");
}

/// Changes a byte of a read-only file.
fn damage(path: &Path) {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().write_all_at(b"damage", MIB / 2).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o444)).unwrap();
}
