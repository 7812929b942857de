//! What a view has is what its record says: whatever became of its folder, every command says the same of it.

use std::{fs, path::PathBuf};

use crate::kit::{FILE, MIB, Machine, PATH, REPO, is_link, open_entry, remove, remove_all, set_mode};
use crate::support::hub::Content;

const PARTS: [&str; 3] = ["big-Q8_0-00001-of-00003.gguf", "big-Q8_0-00002-of-00003.gguf", "big-Q8_0-00003-of-00003.gguf"];

/// A model in three parts that no registry has.
fn split() -> Machine {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo("o/big");
    for (n, part) in PARTS.iter().enumerate() {
        repo = repo.lfs(part, Content::synthetic(4000 + n as u64, n as u64));
    }
    repo.commit();
    machine.run("download o/big:q8_0").ok();
    machine
}

fn part(machine: &Machine, n: usize) -> PathBuf {
    machine.sandbox.models().join("o--big/gguf/q8_0").join(PARTS[n - 1])
}

/// A set of weights and settings, one of which begins with a dot.
fn set() -> Machine {
    let machine = Machine::empty();
    machine
        .hub
        .repo("o/set")
        .plain("config.json", "{\"a\": 1}")
        .plain(".hidden/tok.json", "{\"token\": 1}")
        .lfs("model.safetensors", Content::synthetic(5000, 1))
        .commit();
    machine.sandbox.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: \"o/set\"\n    formats:\n      safetensors: { include: [\"*\"] }\n",
    );
    machine.run("download set --format safetensors").ok();
    machine
}

fn of_set(machine: &Machine, name: &str) -> PathBuf {
    machine.sandbox.models().join("set/safetensors").join(name)
}

fn downloaded() -> Machine {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine
}

/// Changes a bit of a file and leaves its length and time as they were, as a failing disk does.
fn flip(path: &std::path::Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    set_mode(path, 0o644);
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    set_mode(path, 0o444);
}

/// The commands between backticks.
fn commands(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.strip_prefix("model-manager ")).map(str::to_owned).collect()
}

#[test]
fn a_recorded_part_that_is_absent_is_missing_whichever_part_it_is() {
    for gone in 1..=3 {
        let machine = split();
        remove(part(&machine, gone));
        machine.run("verify").code(4).prints("missing").prints(PARTS[gone - 1]).prints("1 missing");
        let json = machine.run("verify o/big:q8_0 --quick --json").code(4).json();
        assert_eq!(json["totals"]["missing"], 1, "{json:#}");
        machine.run("list").ok().prints("broken");
        for line in ["path o/big:q8_0", "path o/big", "path o--big", "use o/big:q8_0 --backend llama_cpp"] {
            let refused = machine.run(line).code(3).says(PARTS[gone - 1]);
            assert_eq!(refused.stdout, "", "{line}");
        }
        machine.run("doctor").prints(PARTS[gone - 1]);
        machine.run("download o/big:q8_0 --offline").ok();
        assert_eq!(machine.run("path o/big").ok().last_line(), format!("models/o--big/gguf/q8_0/{}", PARTS[0]));
        machine.run("verify").ok().prints("3 ok");
    }
}

#[test]
fn a_folder_that_was_taken_away_is_missing_and_not_forgotten() {
    let machine = split();
    remove_all(machine.sandbox.models().join("o--big"));
    machine.run("list").ok().prints("o--big\tgguf\tq8_0\t").prints("broken");
    machine.run("verify").code(4).prints("3 missing");
    machine.run("verify o--big").code(4).prints("3 missing");
    machine.run("path o--big").code(3);
    machine.run("verify --repair").ok();
    machine.run("verify").ok().prints("3 ok");
    machine.run("path o--big").ok();
    remove_all(machine.sandbox.models().join("o--big"));
    machine.run("remove o--big").ok();
    assert_eq!(machine.run("list").ok().stdout, "");
    machine.run("verify").ok();
    machine.assert_tidy();
}

#[test]
fn what_lies_beside_the_files_of_a_view_is_never_the_model() {
    for plain in [true, false] {
        let machine = downloaded();
        if plain {
            // As the old tool leaves it: no link, and no record.
            let bytes = machine.content().bytes();
            machine.run("remove tiny").ok();
            machine.sandbox.write(PATH, bytes);
        }
        for name in ["Modelfile", "AAA.gguf", "README.md", ".DS_Store"] {
            if !(plain && name == "AAA.gguf") {
                machine.sandbox.write(&format!("models/tiny/gguf/q4_k_m/{name}"), "FROM ./x");
            }
        }
        for line in ["path tiny", "path tiny:q4_k_m", "path tiny --format gguf"] {
            assert_eq!(machine.run(line).ok().last_line(), PATH, "{line}, plain: {plain}");
        }
        machine.run("use tiny --backend llama_cpp").ok().prints(FILE);
        let state = if plain { "foreign" } else { "stored" };
        machine.run("list").ok().prints(&format!("tiny\tgguf\tq4_k_m\t2097159\t{state}\t{PATH}"));
        let json = machine.run("list --json").ok().json();
        let files = json["models"][0]["files"].as_array().unwrap();
        assert_eq!((files.len(), files[0]["file"].as_str()), (1, Some(FILE)), "{json:#}");
        machine.run("verify tiny").ok();
        let _ = fs::remove_file(machine.sandbox.models().join("tiny/gguf/q4_k_m/AAA.gguf"));
        machine.run("remove tiny").ok();
        assert!(machine.sandbox.models().join("tiny/gguf/q4_k_m/Modelfile").exists());
        assert!(!machine.sandbox.project().join(PATH).exists());
        machine.run("path tiny").code(3);
    }
}

#[test]
fn a_plain_file_in_the_place_of_a_link_is_compared_with_the_record() {
    let machine = split();
    let target = fs::read_link(part(&machine, 2)).unwrap();
    let changes: [(&str, Vec<u8>); 3] = [
        ("the text of the link", target.to_str().unwrap().into()),
        ("another length", b"short".to_vec()),
        ("another content", vec![7; 4001]),
    ];
    for (what, bytes) in changes {
        remove(part(&machine, 2));
        fs::write(part(&machine, 2), &bytes).unwrap();
        machine.run("verify").code(4).prints("modified").prints(PARTS[1]);
        machine.run("verify o--big --quick").code(4);
        let doctor = machine.run("doctor").prints(PARTS[1]);
        assert!(!doctor.stdout.contains("all is well"), "{what}: {doctor}");
        assert_eq!(fs::read(part(&machine, 2)).unwrap(), bytes, "{what}: looking changes nothing");
        machine.run("verify --repair").ok();
        assert!(is_link(&part(&machine, 2)), "{what}");
        machine.run("verify").ok().prints("3 ok");
    }
}

#[cfg(unix)]
#[test]
fn whatever_stands_where_a_file_belongs_is_kept_beside_it_by_the_repair_that_every_command_names() {
    use std::os::unix::fs::symlink;
    type Spoil = fn(&std::path::Path);
    let spoils: [(&str, i32, Spoil); 8] = [
        ("a folder", 4, |file| fs::create_dir(file).unwrap()),
        ("a folder with files", 4, |file| {
            fs::create_dir(file).unwrap();
            fs::write(file.join("mine"), "mine").unwrap();
        }),
        ("neither a file nor a folder", 4, |file| {
            assert!(std::process::Command::new("mkfifo").arg(file).status().unwrap().success());
        }),
        ("a link to another file", 4, |file| symlink("../../../../other", file).unwrap()),
        ("a link to nothing", 3, |file| symlink("/nowhere/x", file).unwrap()),
        ("a link to itself", 3, |file| symlink(file.file_name().unwrap(), file).unwrap()),
        ("a link in place of the folder", 4, |file| {
            let folder = file.parent().unwrap();
            fs::rename(folder, folder.with_file_name(".elsewhere")).unwrap();
            symlink(".elsewhere", folder).unwrap();
        }),
        ("a file in place of the folder", 3, |file| {
            remove_all(file.parent().unwrap());
            fs::write(file.parent().unwrap(), "mine").unwrap();
        }),
    ];
    for (what, path_code, spoil) in spoils {
        let machine = split();
        machine.sandbox.write("other", "somebody's");
        remove(part(&machine, 2));
        spoil(&part(&machine, 2));
        machine.run("verify o--big").code(4);
        machine.run("path o--big").code(path_code).says("verify o--big:q8_0 --repair");
        machine.run("doctor").prints("verify o--big:q8_0 --repair");
        // What a download refuses, its plan refuses too.
        machine.run("download o--big:q8_0").code(1).says("is in the way");
        machine.run("download o--big:q8_0 --dry-run").code(1).says("is in the way");
        machine.run("verify o--big:q8_0 --repair").ok().prints("was kept as").prints(".mine");
        assert!((1..=3).all(|n| is_link(&part(&machine, n))), "{what}");
        machine.run("verify").ok();
        machine.run("doctor").ok().prints("all is well");
        machine.run("path o--big").ok().prints(PARTS[0]);
        let folder = part(&machine, 2).parent().unwrap().to_owned();
        let kept = [part(&machine, 2).with_file_name(format!(".{}.mine", PARTS[1])), folder.with_file_name(".q8_0.mine")];
        assert!(kept.iter().any(|kept| kept.symlink_metadata().is_ok()), "{what}: it is kept");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_folder_of_hard_links_or_copies_gives_way_to_a_repair() {
    for mode in ["hardlink", "copy"] {
        let machine = Machine::new();
        machine.run(&format!("download tiny:q4_k_m --link {mode}")).ok();
        let folder = machine.sandbox.models().join("tiny/gguf/q4_k_m");
        let moved = machine.sandbox.project().join("moved");
        fs::rename(&folder, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &folder).unwrap();
        // The content is the same, and says so wherever it is asked for.
        machine.run("path tiny").ok();
        machine.run("verify").ok();
        machine.run("doctor").code(1).prints("a link to a folder").prints("verify tiny:q4_k_m --repair");
        machine.run("verify tiny:q4_k_m --repair").ok();
        machine.run("doctor").ok().prints("all is well");
        assert!(folder.symlink_metadata().unwrap().is_dir() && moved.join(FILE).exists(), "{mode}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_an_equal_file_elsewhere_is_the_model_and_gives_way_only_to_a_repair() {
    let machine = split();
    let bytes = fs::read(part(&machine, 2)).unwrap();
    machine.sandbox.write("elsewhere.gguf", &bytes);
    let elsewhere = machine.sandbox.project().join("elsewhere.gguf");
    remove(part(&machine, 2));
    std::os::unix::fs::symlink(&elsewhere, part(&machine, 2)).unwrap();
    machine.run("path o--big").ok();
    machine.run("verify o--big").ok().prints("a link to").prints("verify o--big:q8_0 --repair");
    machine.run("verify o--big --repair").ok();
    machine.run("doctor").ok().prints("all is well");
    assert_eq!(fs::read(&elsewhere).unwrap(), bytes, "what the link leads to is left alone");
    assert_ne!(fs::read_link(part(&machine, 2)).unwrap(), elsewhere);
}

#[test]
fn a_file_that_only_holds_the_text_of_its_link_becomes_that_link_again() {
    let machine = split();
    for n in 1..=3 {
        let target = fs::read_link(part(&machine, n)).unwrap();
        remove(part(&machine, n));
        fs::write(part(&machine, n), target.to_str().unwrap()).unwrap();
    }
    machine.run("path o/big:q8_0").code(4);
    machine.run("list").ok().prints("damaged");
    machine.run("download o/big:q8_0 --offline").ok();
    assert!((1..=3).all(|n| is_link(&part(&machine, n))));
    machine.run("verify").ok().prints("3 ok");
    machine.assert_tidy();
}

#[test]
fn dot_names_of_the_record_are_part_of_the_view() {
    let machine = set();
    let hidden = of_set(&machine, ".hidden/tok.json");
    machine.run("verify").ok().prints("3 ok");
    machine.sandbox.write("models/set/safetensors/.cache/x", "of another program");
    let blob = hidden.canonicalize().unwrap();
    flip(&blob);
    machine.run("verify").code(4).prints("tok.json");
    machine.run("verify --repair").ok();
    remove(&hidden);
    machine.run("verify set").code(4).prints("missing").prints("tok.json");
    machine.run("list").ok().prints("broken");
    machine.run("download set --format safetensors --offline").ok();
    machine.run("verify").ok().prints("3 ok");
}

#[test]
fn a_plain_file_with_the_same_bytes_is_taken_in_by_every_command() {
    for line in ["download tiny", "download tiny --offline", "download tiny --force", "sync", "verify --repair"] {
        let machine = downloaded();
        if line == "sync" {
            machine.run("lock").ok();
        }
        let path = machine.sandbox.project().join(PATH);
        let bytes = machine.content().bytes();
        remove(&path);
        fs::write(&path, &bytes).unwrap();
        machine.run("verify").ok().prints("would take it into the store");
        assert_eq!(machine.run("path tiny").ok().last_line(), PATH);
        if line.starts_with("download") {
            machine.run(&format!("{line} --dry-run")).ok().prints("adopt");
        }
        machine.hub.reset_counters();
        machine.run(line).ok();
        if line != "verify --repair" {
            assert!(is_link(&path), "{line}");
        }
        if !line.contains("--force") {
            assert_eq!(machine.hub.count().content_bytes(), 0, "{line}");
        }
        machine.run("verify").ok().prints("1 ok");
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn what_stands_in_the_way_is_told_by_a_dry_run_as_by_the_download() {
    let machine = Machine::new();
    let mut bytes = machine.content().bytes();
    bytes[9] ^= 1;
    for (bytes, code) in [(&bytes[..], 4), (&bytes[..77], 1)] {
        let path = machine.sandbox.write(PATH, bytes);
        for line in ["download tiny", "download tiny --dry-run"] {
            machine.run(line).code(code).says("in the way").says("--force");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
    assert_eq!(machine.hub.count().content_bytes(), 0);
}

#[test]
fn force_replaces_a_plain_file_after_its_own_content_was_kept() {
    for pinned in [true, false] {
        let machine = Machine::new();
        if !pinned {
            machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
        }
        let old = Content::synthetic(MIB + 77, 99);
        let path = machine.sandbox.write(PATH, old.bytes());
        let dry = machine.run("download tiny --force --dry-run").ok();
        assert!(dry.stdout.contains("fetch"), "{dry}");
        dry.prints("kept in the store");
        assert_eq!(fs::read(&path).unwrap(), old.bytes());
        let output = machine.run("download tiny --force").ok().says("kept in the store").says(&old.sha256()[..12]);
        machine.assert_right(&output);
        assert_eq!(fs::read(machine.blob(&old)).unwrap(), old.bytes());
        machine.run("verify").ok();
        machine.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
#[cfg_attr(windows, ignore = "there are no symbolic links, and an absent hard link is all there is to lose")]
fn views_by_every_kind_of_link_go_by_their_record() {
    for link in ["symlink", "hardlink", "copy"] {
        let machine = Machine::new();
        machine.run(&format!("download tiny --link {link}")).ok();
        let path = machine.sandbox.project().join(PATH);
        let right = machine.content().bytes();
        let mut wrong = right.clone();
        wrong[5] ^= 1;
        for (what, listed, verified, found) in
            [("absent", "broken", 4, 3), ("short", "damaged", 4, 4), ("wrong", "foreign", 4, 0), ("same", "foreign", 0, 0)]
        {
            remove(&path);
            let bytes: &[u8] = match what {
                "short" => b"short",
                "wrong" => &wrong,
                _ => &right,
            };
            if what != "absent" {
                fs::write(&path, bytes).unwrap();
            }
            machine.run("list").ok().prints(listed);
            machine.run("verify").code(verified);
            if what == "wrong" {
                // What was read once is known, as long as it stays as it is.
                machine.run("list").ok().prints("damaged");
                machine.run("path tiny").code(4).says("damaged");
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, &right).unwrap();
                machine.run("path tiny").ok();
                fs::write(&path, &wrong).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                machine.run("path tiny").code(4);
                fs::write(&path, &wrong).unwrap();
            }
            let answer = machine.run("path tiny");
            assert_eq!(answer.status.code(), Some(found), "{link}, {what}: {answer}");
            machine.run("verify --repair").ok();
            assert_eq!(fs::read(&path).unwrap(), right, "{link}, {what}");
            machine.run("list").ok().prints("stored");
            machine.run("verify --rehash").ok().prints("1 ok");
            machine.run("doctor --full").ok().prints("all is well");
        }
    }
}

#[test]
fn a_copy_whose_bits_changed_is_remembered_and_made_again_by_a_download() {
    let machine = Machine::new();
    machine.run("download tiny --link copy").ok();
    let path = machine.sandbox.project().join(PATH);
    flip(&path);
    machine.run("list").ok().prints("stored");
    machine.run("verify").code(4).prints("modified");
    machine.run("list").ok().prints("damaged");
    machine.run("path tiny").code(4);
    machine.run("doctor").prints("damaged");
    machine.hub.reset_counters();
    machine.run("download tiny").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("list").ok().prints("stored");
    machine.run("verify").ok().prints("1 ok");
    machine.run("doctor").ok().prints("all is well");
}

#[test]
#[cfg(unix)]
fn what_is_no_plain_file_in_the_place_of_a_recorded_one_is_told_and_left_alone_until_a_repair() {
    for what in ["folder", "folder with files", "pipe", "link of somebody"] {
        let machine = split();
        let (one, two) = (part(&machine, 1), part(&machine, 2));
        remove(&two);
        match what {
            "folder" => fs::create_dir(&two).unwrap(),
            "folder with files" => {
                fs::create_dir(&two).unwrap();
                fs::write(two.join("mine.gguf"), "mine").unwrap();
            }
            "pipe" => assert!(std::process::Command::new("mkfifo").arg(&two).status().unwrap().success()),
            _ => std::os::unix::fs::symlink("/etc/hostname", &two).unwrap(),
        }
        remove(&one);
        machine.run("verify").code(4).prints(PARTS[1]);
        machine.run("list").ok().prints("broken");
        machine.run("path o/big:q8_0").code(3);
        machine.run("download o/big:q8_0").code(1).says("in the way");
        machine.run("download o/big:q8_0 --dry-run").code(1).says("in the way");
        assert!(!is_link(&two) || fs::read_link(&two).unwrap().ends_with("hostname"), "{what}: it is left alone");
        machine.run("verify --repair").ok().prints("repaired");
        assert!(is_link(&one) && is_link(&two), "{what}");
        assert!(two.with_file_name(format!(".{}.mine", PARTS[1])).symlink_metadata().is_ok(), "{what}: it is kept");
    }
}

#[test]
fn a_root_that_cannot_be_read_leaves_the_manifest_to_go_by() {
    let machine = split();
    let roots = machine.store().join("roots");
    let project = roots.join(&crate::kit::names(&roots)[0]);
    let root = project.join("o--big~gguf~q8_0.json");
    fs::write(&root, "{").unwrap();
    remove(part(&machine, 1));
    machine.run("verify").code(4).prints("missing").prints(PARTS[0]);
    machine.run("path o--big").code(3);
    // And the other way round.
    let machine = split();
    fs::remove_file(part(&machine, 1).with_file_name(".view.json")).unwrap();
    remove(part(&machine, 1));
    machine.run("verify").code(4).prints("missing").prints(PARTS[0]);
    machine.run("path o--big").code(3);
    machine.run("download o/big:q8_0 --offline").ok();
    machine.run("verify").ok().prints("3 ok");
}

#[test]
fn a_set_with_a_file_less_is_no_path_and_no_model_for_a_backend() {
    for name in ["config.json", "model.safetensors"] {
        let machine = set();
        remove(of_set(&machine, name));
        machine.run("path set --format safetensors").code(3).says(name);
        machine.run("use set --backend vllm").code(3).says(name);
        machine.run("verify set").code(4).prints("missing");
        machine.run("info set").ok();
        machine.run("verify set --repair").ok();
        machine.run("use set --backend vllm").ok();
    }
}

#[test]
fn files_of_a_set_that_were_named_one_by_one_are_not_the_set_whatever_their_numbers_are_written_like() {
    for shards in [
        ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ["model_00001-of-00002.safetensors", "model_00002-of-00002.safetensors"],
        ["model-1-of-2.safetensors", "model-2-of-2.safetensors"],
        ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"],
    ] {
        let machine = Machine::empty();
        let index = format!("{{\"weight_map\": {{\"a\": \"{}\", \"b\": \"{}\"}}}}", shards[0], shards[1]);
        let repo = machine.hub.repo("o/set").plain("config.json", "{}").plain("model.safetensors.index.json", index);
        repo.lfs(shards[0], Content::synthetic(5000, 1)).lfs(shards[1], Content::synthetic(5001, 2)).commit();
        for alone in ["config.json", shards[1]] {
            machine.run(&format!("download hf://o/set/{alone} --format safetensors")).ok();
        }
        let dir = machine.sandbox.models().join("o--set/safetensors");
        assert!(!dir.join(shards[0]).exists());
        machine.run("download o/set --format safetensors").ok();
        assert!(shards.iter().all(|shard| dir.join(shard).exists()), "{shards:?}");
        machine.run("verify").ok();
    }
}

#[test]
fn a_single_file_is_added_to_the_set_that_is_there() {
    let machine = Machine::empty();
    let weights = Content::synthetic(5000, 1);
    machine
        .hub
        .repo("o/set")
        .plain("config.json", "{\"a\": 1}")
        .plain("notes.txt", "more")
        .lfs("model.safetensors", weights.clone())
        .commit();
    machine.run("download o/set --format safetensors").ok();
    let dir = machine.sandbox.models().join("o--set/safetensors");
    let before = machine.run("list --json").ok().json()["models"][0]["files"].as_array().unwrap().len();
    for line in ["config.json", "notes.txt"] {
        for more in [" --dry-run", "", " --force"] {
            machine.run(&format!("download hf://o/set/{line} --format safetensors{more}")).ok();
            assert!(dir.join("model.safetensors").exists(), "{line}{more}");
            assert!(dir.join("config.json").exists(), "{line}{more}");
        }
    }
    let after = machine.run("list --json").ok().json()["models"][0]["files"].as_array().unwrap().len();
    assert!(after >= before && dir.join("notes.txt").exists(), "{before} {after}");
    machine.run("verify").ok();
    let gone = machine.run("gc --dry-run --json").ok().json();
    assert_eq!(gone["blobs"].as_array().unwrap().len(), 0, "{gone:#}");
    assert!(machine.blob(&weights).exists());
    // The other way round: what was named alone stays when the set comes.
    let machine = Machine::empty();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = format!("{{\"weight_map\": {{\"a\": \"{}\", \"b\": \"{}\"}}}}", shards[0], shards[1]);
    let repo = machine.hub.repo("o/set").plain("config.json", "{}").plain("model.safetensors.index.json", index);
    repo.lfs(shards[0], weights.clone()).lfs(shards[1], Content::synthetic(5001, 2)).plain("x.txt2", "x").commit();
    for alone in ["config.json", "x.txt2", shards[1]] {
        machine.run(&format!("download hf://o/set/{alone} --format safetensors")).ok();
        machine.run("download o/set --format safetensors").ok();
        let dir = machine.sandbox.models().join("o--set/safetensors");
        assert!(shards.iter().all(|shard| dir.join(shard).exists()) && dir.join("config.json").exists(), "{alone}");
        machine.run("verify").ok();
        machine.hub.reset_counters();
        machine.run("download o/set --format safetensors").ok();
        assert_eq!(machine.hub.count().total_requests(), 0, "what is complete asks nobody");
        machine.run("remove o/set --format safetensors").ok();
    }
}

#[test]
fn a_set_that_loses_files_says_which() {
    let machine = set();
    machine.sandbox.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: \"o/set\"\n    formats:\n      safetensors: { include: [\"*.json\", \"*.safetensors\"], exclude: [\".hidden/*\"] }\n",
    );
    machine.run("download set --format safetensors --force").ok().says("tok.json");
}

#[test]
fn damage_that_was_found_is_remembered_until_it_is_repaired_and_every_command_says_it() {
    for found_by in ["verify", "verify --quick", "doctor --full", "sync"] {
        let machine = downloaded();
        machine.run("lock").ok();
        let blob = machine.blob(&machine.content());
        flip(&blob);
        match found_by {
            "verify --quick" => {
                // Where the time tells it.
                fs::File::open(&blob).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
                machine.run(found_by).code(4);
            }
            "sync" => drop(machine.run("sync --offline").code(4)),
            _ => drop(machine.run(found_by).code(4)),
        }
        machine.run("list").ok().prints("damaged");
        assert_eq!(machine.run("list --json").ok().json()["models"][0]["state"], "damaged");
        machine.run("path tiny").code(4).says("damaged").says("verify tiny");
        machine.run("path tiny:q4_k_m").code(4).says("damaged");
        machine.run("use tiny --backend llama_cpp").code(4);
        machine.run("verify --quick").code(4).prints("modified");
        let doctor = machine.run("doctor").code(4).prints("damaged");
        let named = commands(&doctor.stdout);
        assert!(named.iter().any(|line| line.contains("--repair") && line.contains("tiny")), "{named:?}");
        machine.run("lock").ok().prints("damaged");
        machine.run("df").ok().prints("damaged");
        machine.run(&format!("why {}", &machine.content().sha256()[..12])).ok().prints("damaged");
        machine.run("why tiny").ok().prints("damaged");
        machine.run("download tiny --dry-run").ok().prints("damaged");
        machine.run("sync --dry-run").ok();
        machine.run("download tiny --offline").code(6).says("damaged");
        machine.run("sync --offline --quick").code(4).says("damaged");
        machine.run(&named[0]).ok();
        machine.run("doctor --full").ok().prints("all is well");
        machine.run("list").ok().prints("stored");
        machine.run("verify --quick").ok();
    }
}

#[test]
fn what_is_known_to_be_damaged_is_repaired_by_whatever_brings_it_anew() {
    for line in
        ["download tiny", "download tiny --force", "sync", "sync --quick", "verify tiny --repair", "verify --repair --quick"]
    {
        let machine = downloaded();
        machine.run("lock").ok();
        flip(&machine.blob(&machine.content()));
        machine.run("verify").code(4);
        machine.hub.reset_counters();
        machine.run(line).ok();
        if !line.contains("--force") {
            assert_eq!(machine.hub.count().content_bytes(), MIB, "only the damaged segment travels: {line}");
        }
        machine.run("list").ok().prints("stored");
        machine.run("path tiny").ok();
        machine.run("verify --rehash").ok();
        machine.run("doctor --full").ok().prints("all is well");
        machine.assert_tidy();
    }
}

#[test]
fn damage_of_what_no_registry_pins_is_repaired_by_its_download() {
    let machine = split();
    flip(&part(&machine, 2).canonicalize().unwrap());
    machine.run("verify").code(4);
    machine.run("download o/big:q8_0 --offline").code(6).says("damaged").says(PARTS[1]);
    machine.run("download o/big:q8_0 --dry-run").ok().prints("damaged");
    machine.run("download o/big:q8_0").ok();
    machine.run("path o/big:q8_0").ok();
    machine.run("verify --rehash").ok().prints("3 ok");
    // The Hub names no SHA-256 of a small file.
    let machine = set();
    flip(&of_set(&machine, "config.json").canonicalize().unwrap());
    machine.run("verify").code(4);
    machine.run("path set --format safetensors").code(4).says("config.json");
    machine.run("download set --format safetensors").ok();
    machine.run("path set --format safetensors").ok();
    machine.run("verify --rehash").ok().prints("3 ok");
    machine.run("doctor --full").ok().prints("all is well");
    machine.assert_tidy();
}

#[test]
fn what_is_whole_again_by_itself_is_no_longer_called_damaged_after_a_full_look() {
    let machine = downloaded();
    let blob = machine.blob(&machine.content());
    flip(&blob);
    machine.run("verify").code(4);
    flip(&blob);
    machine.run("verify --quick").code(4);
    machine.run("path tiny").code(4);
    machine.run("verify").ok();
    machine.run("path tiny").ok();
    machine.run("doctor").ok().prints("all is well");
}

#[test]
fn what_is_damaged_for_one_project_is_damaged_for_all_that_share_the_store() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("store");
    let shared = |line: &str| format!("{line} --store {}", store.display());
    machine.run(&shared("download tiny")).ok();
    let other = machine.sandbox.other_project("other");
    fs::create_dir_all(other.join("configs")).unwrap();
    fs::copy(machine.sandbox.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let in_other = |line: &str| {
        let mut command = machine.sandbox.command(shared(line).split_whitespace());
        command.current_dir(&other);
        machine.sandbox.finish(command)
    };
    in_other("download tiny").ok();
    flip(&crate::kit::blob_in(&store, &machine.content()));
    machine.run(&shared("verify")).code(4);
    in_other("list").ok().prints("damaged");
    in_other("path tiny").code(4);
    in_other("download tiny").ok();
    machine.run(&shared("path tiny")).ok();
    machine.run(&shared("verify")).ok();
}

#[test]
fn a_repair_without_a_store_makes_none() {
    let machine = downloaded();
    fs::rename(machine.store(), machine.sandbox.root().join("gone")).unwrap();
    machine.run("verify --repair").code(4).prints("not repaired").prints("there is no store");
    assert!(!machine.store().exists());
}

#[test]
fn a_model_made_by_hand_is_removed_by_its_name_and_promised_nothing_else() {
    let machine = Machine::new();
    let model = machine.sandbox.write("models/byhand/gguf/x.gguf", "mine");
    let note = machine.sandbox.write("models/byhand/gguf/notes.txt", "mine too");
    machine.run("list").ok().prints("byhand\tgguf");
    machine.run("remove byhand --dry-run").ok().prints("x.gguf").prints("would be freed");
    assert!(model.exists());
    machine.run("remove byhand").ok().prints("x.gguf");
    assert!(!model.exists() && note.exists());
    machine.run("remove byhand").code(3);
    // With the project's own command that takes what is not locked, nothing made by hand goes.
    let model = machine.sandbox.write("models/byhand/gguf/x.gguf", "mine");
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    machine.run("sync --prune").ok();
    assert!(model.exists());
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, which need no path")]
fn links_of_a_shared_store_that_was_renamed_are_made_again_in_each_project() {
    let machine = Machine::new();
    let (store, renamed) = (machine.sandbox.root().join("store"), machine.sandbox.root().join("pool"));
    let other = machine.sandbox.other_project("other");
    fs::create_dir_all(other.join("configs")).unwrap();
    fs::copy(machine.sandbox.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let run = |project: &std::path::Path, line: &str| {
        let mut command = machine.sandbox.command(line.split_whitespace());
        command.current_dir(project);
        machine.sandbox.finish(command)
    };
    let with = |line: &str, store: &std::path::Path| format!("{line} --store {}", store.display());
    let projects = [machine.sandbox.project(), other];
    for project in &projects {
        run(project, &with("download tiny", &store)).ok();
    }
    fs::rename(&store, &renamed).unwrap();
    for project in &projects {
        run(project, &with("list", &renamed)).ok().prints("broken");
        run(project, &with("verify", &renamed)).code(4).prints("missing");
        let doctor = run(project, &with("doctor", &renamed)).code(1);
        assert!(!doctor.stdout.contains("something is lost"), "{doctor}");
        run(project, &commands(&doctor.stdout)[0]).ok();
        run(project, &with("doctor", &renamed)).ok().prints("all is well");
        run(project, &with("path tiny", &renamed)).ok();
    }
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
}

#[test]
fn links_of_a_store_that_was_moved_are_made_again_by_what_doctor_names() {
    let machine = downloaded();
    machine.run("download tiny:q8_0").ok();
    let moved = machine.sandbox.root().join("elsewhere/store");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(machine.store(), &moved).unwrap();
    let there = |line: &str| machine.run(&format!("{line} --store {}", moved.display()));
    let doctor = there("doctor");
    assert!(!doctor.stdout.contains("something is lost") && doctor.status.code() == Some(1), "{doctor}");
    doctor.prints(FILE);
    there("path tiny:q4_k_m").code(3);
    there("list").ok().prints("broken");
    let named = commands(&there("doctor").stdout);
    assert!(!named.is_empty());
    machine.hub.reset_counters();
    for line in named.iter().filter(|line| !line.contains("projects")) {
        machine.run(line).ok();
    }
    assert_eq!(machine.hub.count().total_requests(), 0, "{named:?}");
    there("doctor").ok().prints("all is well");
    there("verify").ok().prints("2 ok");
    there("path tiny:q4_k_m").ok();
}
