//! Something else where a file of the store should be.

use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{MIB, Machine, names};
use crate::people::{ADA, People, mode_of, set_mode};
use crate::support::hub::Match;

#[derive(Debug, Clone, Copy)]
enum Odd {
    Pipe,
    Socket,
    Folder,
    LinkToNothing,
    LinkToItself,
    Device,
    Huge,
}

impl Odd {
    const ALL: [Self; 7] =
        [Self::Pipe, Self::Socket, Self::Folder, Self::LinkToNothing, Self::LinkToItself, Self::Device, Self::Huge];

    /// Puts it at `path`. `false` where this user cannot.
    fn put(self, path: &Path) -> bool {
        let tool = |words: &[&str]| Command::new(words[0]).args(&words[1..]).output().unwrap().status.success();
        let text = path.to_str().unwrap();
        match self {
            Self::Pipe => tool(&["mkfifo", text]),
            Self::Device => tool(&["mknod", text, "c", "1", "5"]),
            Self::Socket => {
                // A socket's path is short.
                let short = tempfile::tempdir_in("/tmp").unwrap();
                drop(UnixListener::bind(short.path().join("s")).unwrap());
                tool(&["mv", short.path().join("s").to_str().unwrap(), text])
            }
            Self::Folder => {
                std::fs::create_dir(path).unwrap();
                std::fs::write(path.join("theirs"), "x").is_ok()
            }
            Self::LinkToNothing => symlink("/nowhere/at/all", path).is_ok(),
            Self::LinkToItself => symlink(path, path).is_ok(),
            Self::Huge => std::fs::File::create(path).unwrap().set_len(65 << 20).is_ok(),
        }
    }

    fn take_away(self, path: &Path) {
        match self {
            Self::Folder => std::fs::remove_dir_all(path).unwrap(),
            _ => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// A store with a model, a partial download and what a killed process leaves.
fn machine() -> Machine {
    let machine = Machine::with(4 * MIB);
    machine.run("download tiny:q8_0").ok();
    let hold = machine.hub.hold(Match::cdn(), 2 * MIB);
    let downloading = machine.spawn("download tiny:q4_k_m --connections 1");
    assert!(hold.wait_frozen(1, std::time::Duration::from_secs(30)));
    downloading.kill9();
    hold.release();
    machine
}

fn only(dir: &Path, ends: &str) -> PathBuf {
    let found: Vec<String> = names(dir).into_iter().filter(|name| name.ends_with(ends)).collect();
    assert_eq!(found.len(), 1, "{}: {found:?}", dir.display());
    dir.join(&found[0])
}

/// Replaces a file by something of each kind, one after the other, and brings it back.
fn in_place_of(path: &Path, mut look: impl FnMut(Odd)) {
    let aside = path.with_file_name("kept-aside-by-a-test");
    let was_there = path.symlink_metadata().is_ok();
    for odd in Odd::ALL {
        if was_there {
            std::fs::rename(path, &aside).unwrap();
        }
        if odd.put(path) {
            look(odd);
            odd.take_away(path);
        }
        if was_there {
            std::fs::rename(&aside, path).unwrap();
        }
    }
}

#[test]
fn what_stands_in_the_place_of_a_record_a_lock_or_a_lease_ends_no_command_and_is_named() {
    let machine = machine();
    let store = machine.store();
    let key = machine.content().sha256().to_string();
    let other = machine.hub.content(crate::kit::REPO, crate::kit::OTHER).sha256().to_string();
    let project = only(&store.join("roots"), "");
    let places = [
        store.join("meta").join(&other[..2]).join(format!("{other}.json")),
        store.join("segments").join(&other[..2]).join(&other),
        store.join("ingest").join(&key).join("claim"),
        store.join("ingest").join(&key).join("journal"),
        store.join("ingest").join(&key).join("data"),
        only(&store.join("leases"), ".lock"),
        store.join("lock/b").join(&key),
        project.join("project.json"),
        store.join("tmp/.tmp-AAAAAAAAAAAA"),
        store.join("trash").join(&key),
    ];
    for path in &places {
        in_place_of(path, |odd| {
            let what = format!("{odd:?} at {}", path.display());
            let doctor = machine.run("doctor");
            assert!(matches!(doctor.status.code(), Some(0 | 1 | 4)), "{what}: {doctor}");
            let is_said = doctor.stdout.contains(path.file_name().unwrap().to_str().unwrap());
            let is_gone_or_fine = matches!(odd, Odd::Huge);
            assert!(is_said || is_gone_or_fine, "{what} is not named: {doctor}");
            for line in ["list", "verify", "gc --dry-run", "df"] {
                let output = machine.run(line);
                assert_eq!(output.status.code(), Some(0), "{what}: {output}");
            }
        });
    }
    for path in &places {
        in_place_of(path, |odd| {
            if !matches!(odd, Odd::Huge) {
                let output = machine.run("gc");
                assert_eq!(output.status.code(), Some(0), "{odd:?} at {}: {output}", path.display());
            }
        });
    }
    machine.run("verify").ok();
}

#[test]
fn what_stands_in_the_place_of_a_folder_is_named_once_and_the_rest_is_told() {
    let machine = machine();
    let store = machine.store();
    let leftover = store.join("a-leftover");
    std::fs::write(&leftover, "").unwrap();
    let project = only(&store.join("roots"), "");
    let shard = store.join("sha256").join(&machine.content().sha256()[..2]);
    let fixed = ["sha256", "meta", "segments", "ingest", "leases", "roots", "lock", "trash", "bad", "tmp", "lock/b"];
    for path in fixed.map(|name| store.join(name)).into_iter().chain([project, shard]) {
        let aside = machine.sandbox.project().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        let kinds: [&dyn Fn(); 3] =
            [&|| symlink(&aside, &path).unwrap(), &|| std::fs::write(&path, "").unwrap(), &|| assert!(Odd::Pipe.put(&path))];
        for (kind, put) in kinds.iter().enumerate() {
            put();
            let doctor = machine.run("doctor");
            let what = format!("{} as number {kind}: {doctor}", path.display());
            assert!(matches!(doctor.status.code(), Some(0 | 1 | 4)), "{what}");
            assert!(doctor.stdout.contains("a-leftover"), "{what}");
            let place = format!("{}:", path.strip_prefix(&store).unwrap().display());
            let named = doctor.stdout.lines().filter(|line| line.contains(&place)).count();
            assert_eq!(named, 1, "{what}");
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::rename(&aside, &path).unwrap();
    }
    std::fs::remove_file(&leftover).unwrap();
    machine.run("verify").ok();
}

#[test]
fn a_store_whose_locks_have_no_folder_is_read_and_not_written() {
    let machine = machine();
    let (lock, aside) = (machine.store().join("lock"), machine.sandbox.project().join("aside"));
    std::fs::rename(&lock, &aside).unwrap();
    for link in [true, false] {
        match link {
            true => symlink(&aside, &lock).unwrap(),
            false => std::fs::write(&lock, "").unwrap(),
        }
        for line in ["list", "verify", "path tiny:q8_0", "df"] {
            machine.run(line).ok();
        }
        for line in ["remove tiny:q8_0", "download tiny:q4_k_m", "gc"] {
            let output = machine.run(line);
            assert_ne!(output.status.code(), Some(0), "{line}: {output}");
            output.says("lock");
        }
        std::fs::remove_file(&lock).unwrap();
    }
    std::fs::rename(&aside, &lock).unwrap();
    machine.run("remove tiny:q8_0").ok();
}

#[test]
fn a_link_in_the_place_of_a_lock_is_said_to_end_what_writes_and_how_it_goes() {
    let machine = machine();
    let lock = machine.store().join("lock/store");
    let _gone_or_not = std::fs::remove_file(&lock);
    symlink("/nowhere/at/all", &lock).unwrap();
    machine.run("remove tiny:q8_0").code(1).says("lock/store");
    machine.run("doctor").prints("lock/store").prints("until then").prints(&format!("rm {}", lock.display()));
    std::fs::remove_file(&lock).unwrap();
    machine.run("remove tiny:q8_0").ok();
}

#[test]
fn what_stands_in_the_place_of_a_root_ends_a_collection_and_nothing_else() {
    let machine = machine();
    let project = only(&machine.store().join("roots"), "");
    let root = only(&project, "~q8_0.json");
    for path in [root, project.join("other~gguf.json")] {
        in_place_of(&path, |odd| {
            let name = path.file_name().unwrap().to_str().unwrap();
            machine.run("gc").code(4).says(name);
            machine.run("doctor").code(4).prints(name).prints("restore it from a backup");
            machine.run("list").ok();
            machine.run("verify").ok();
            assert!(machine.blob(&machine.hub.content(crate::kit::REPO, crate::kit::OTHER)).exists(), "{odd:?}");
        });
    }
    machine.run("gc").ok();
}

#[test]
fn what_stands_in_the_place_of_the_marker_is_named_and_everything_left_as_it_is() {
    let machine = machine();
    in_place_of(&machine.store().join("STORE.json"), |odd| {
        for line in ["list", "gc", "verify", "download tiny"] {
            let output = machine.run(line);
            assert_eq!(output.status.code(), Some(4), "{odd:?}: {output}");
            output.says("STORE.json");
        }
        machine.run("doctor").code(4).prints("STORE.json").prints("restore STORE.json from a backup");
    });
    machine.run("download tiny").ok();
}

#[test]
fn what_stands_in_the_place_of_a_projects_own_files_keeps_nobody_from_listing_and_making_room() {
    let machine = machine();
    machine.run("lock").ok();
    let view = machine.sandbox.models().join("tiny/gguf/q8_0/.view.json");
    for path in [machine.sandbox.models().join(".model-manager.json"), view, machine.sandbox.project().join("configs/models.yaml")]
    {
        in_place_of(&path, |odd| {
            // A registry that is a folder or leads nowhere is as one that is missing: another project may be meant.
            let is_as_missing = matches!(odd, Odd::Folder | Odd::LinkToNothing | Odd::LinkToItself);
            if is_as_missing && path.ends_with("models.yaml") {
                machine.run("list").code(2).says("models.yaml");
                return;
            }
            for line in ["list", "gc --dry-run", "df"] {
                let output = machine.run(line);
                assert_eq!(output.status.code(), Some(0), "{odd:?} at {}: {output}", path.display());
            }
            let doctor = machine.run("doctor");
            assert!(matches!(doctor.status.code(), Some(0 | 1 | 4)), "{odd:?} at {}: {doctor}", path.display());
        });
    }
    for name in ["manager.yaml", "models.lock"] {
        in_place_of(&machine.sandbox.project().join("configs").join(name), |odd| {
            if name == "manager.yaml" && matches!(odd, Odd::LinkToNothing) {
                return;
            }
            let output = machine.run("sync --dry-run");
            assert_eq!(output.status.code(), Some(2), "{odd:?} as {name}: {output}");
            output.says(name);
        });
    }
}

#[test]
#[ignore = "needs root, to act as several users"]
fn what_its_owner_may_not_read_is_named_and_ends_no_command() {
    let people = People::new();
    people.run(ADA, "download tiny").ok();
    let content = people.machine.content();
    let digest = content.sha256();
    let store = people.store();
    let view = people.project(ADA).join("models/tiny/gguf/q4_k_m/.view.json");
    for path in [
        store.join("meta").join(&digest[..2]).join(format!("{digest}.json")),
        store.join("segments").join(&digest[..2]).join(digest),
        only(&store.join("roots"), "").join("project.json"),
        view,
        store.join("bad"),
    ] {
        let mode = mode_of(&path);
        set_mode(&path, 0);
        for line in ["list", "verify", "gc --dry-run", "gc", "df"] {
            let output = people.run(ADA, line);
            assert_eq!(output.status.code(), Some(0), "{}: {output}", path.display());
        }
        let doctor = people.run(ADA, "doctor --full");
        assert!(matches!(doctor.status.code(), Some(0 | 1 | 4)), "{}: {doctor}", path.display());
        if path.symlink_metadata().unwrap().mode() & 0o777 == 0 {
            set_mode(&path, mode);
        }
    }
    let project = only(&store.join("roots"), "");
    for name in ["sha256", "meta", "segments", "ingest", "leases", "roots", "lock", "tmp", "lock/b", "trash"] {
        let path = store.join(name);
        let mode = mode_of(&path);
        set_mode(&path, 0);
        let doctor = people.run(ADA, "doctor");
        assert!(matches!(doctor.status.code(), Some(0 | 1 | 4)), "{name}: {doctor}");
        doctor.prints(name);
        set_mode(&path, mode);
    }
    let mode = mode_of(&project);
    set_mode(&project, 0);
    people.run(ADA, "doctor").prints("roots/");
    set_mode(&project, mode);
    people.run(ADA, "doctor --full").ok().prints("all is well");
}

#[test]
fn a_lock_file_with_a_further_name_is_not_written_to() {
    let machine = machine();
    let precious = machine.sandbox.project().join("thesis.txt");
    std::fs::write(&precious, "years of work\n").unwrap();
    for name in ["lock/store", "lock/gc"] {
        let lock = machine.store().join(name);
        let _gone_or_not = std::fs::remove_file(&lock);
        std::fs::hard_link(&precious, &lock).unwrap();
        machine.run("gc").code(1).says(name);
        machine.run("doctor").prints(name).prints("further names");
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work\n");
        std::fs::remove_file(&lock).unwrap();
    }
    let data = machine.store().join("ingest").join(machine.content().sha256()).join("data");
    let journal = data.with_file_name("journal");
    let kept = std::fs::read(&data).unwrap();
    std::fs::remove_file(&data).unwrap();
    std::fs::hard_link(&precious, &data).unwrap();
    machine.run("download tiny:q4_k_m").code(1).says("/data");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work\n");
    std::fs::remove_file(&data).unwrap();
    std::fs::write(&data, kept).unwrap();
    // Of a journal a copy is written, and the name is that of the copy then.
    std::fs::remove_file(&journal).unwrap();
    std::fs::hard_link(&precious, &journal).unwrap();
    machine.run("download tiny:q4_k_m").ok();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "years of work\n");
    machine.run("gc").ok();
}
