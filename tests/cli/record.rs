//! What a view has is what its record says: whatever became of its folder, every command says the same of it.

use std::{fs, path::PathBuf};

use crate::kit::{Desk, FILE, MIB, PATH, REPO, is_link, open_entry, remove, remove_all, set_mode};
use crate::support::hub::Content;

const PARTS: [&str; 3] = ["big-Q8_0-00001-of-00003.gguf", "big-Q8_0-00002-of-00003.gguf", "big-Q8_0-00003-of-00003.gguf"];

/// A model in three parts that no registry has.
fn split() -> Desk {
    let desk = Desk::empty();
    let mut repo = desk.hub.repo("o/big");
    for (n, part) in PARTS.iter().enumerate() {
        repo = repo.lfs(part, Content::synthetic(4000 + n as u64, n as u64));
    }
    repo.commit();
    desk.run("download o/big:q8_0").ok();
    desk
}

fn part(desk: &Desk, n: usize) -> PathBuf {
    desk.s.models().join("o--big/gguf/q8_0").join(PARTS[n - 1])
}

/// A set of weights and settings, one of which begins with a dot.
fn set() -> Desk {
    let desk = Desk::empty();
    desk.hub
        .repo("o/set")
        .plain("config.json", "{\"a\": 1}")
        .plain(".hidden/tok.json", "{\"token\": 1}")
        .lfs("model.safetensors", Content::synthetic(5000, 1))
        .commit();
    desk.s.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: \"o/set\"\n    formats:\n      safetensors: { include: [\"*\"] }\n",
    );
    desk.run("download set --format safetensors").ok();
    desk
}

fn of_set(desk: &Desk, name: &str) -> PathBuf {
    desk.s.models().join("set/safetensors").join(name)
}

fn downloaded() -> Desk {
    let desk = Desk::new();
    desk.run("download tiny").ok();
    desk
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
        let desk = split();
        remove(part(&desk, gone));
        desk.run("verify").code(4).prints("missing").prints(PARTS[gone - 1]).prints("1 missing");
        let json = desk.run("verify o/big:q8_0 --quick --json").code(4).json();
        assert_eq!(json["totals"]["missing"], 1, "{json:#}");
        desk.run("list").ok().prints("broken");
        for line in ["path o/big:q8_0", "path o/big", "path o--big", "use o/big:q8_0 --backend llama_cpp"] {
            let refused = desk.run(line).code(3).says(PARTS[gone - 1]);
            assert_eq!(refused.stdout, "", "{line}");
        }
        desk.run("doctor").prints(PARTS[gone - 1]);
        desk.run("download o/big:q8_0 --offline").ok();
        assert_eq!(desk.run("path o/big").ok().last_line(), format!("models/o--big/gguf/q8_0/{}", PARTS[0]));
        desk.run("verify").ok().prints("3 ok");
    }
}

#[test]
fn a_folder_that_was_taken_away_is_missing_and_not_forgotten() {
    let desk = split();
    remove_all(desk.s.models().join("o--big"));
    desk.run("list").ok().prints("o--big\tgguf\tq8_0\t").prints("broken");
    desk.run("verify").code(4).prints("3 missing");
    desk.run("verify o--big").code(4).prints("3 missing");
    desk.run("path o--big").code(3);
    desk.run("verify --repair").ok();
    desk.run("verify").ok().prints("3 ok");
    desk.run("path o--big").ok();
    remove_all(desk.s.models().join("o--big"));
    desk.run("remove o--big").ok();
    assert_eq!(desk.run("list").ok().stdout, "");
    desk.run("verify").ok();
    desk.assert_tidy();
}

#[test]
fn what_lies_beside_the_files_of_a_view_is_never_the_model() {
    for plain in [true, false] {
        let desk = downloaded();
        if plain {
            // As the old tool leaves it: no link, and no record.
            let bytes = desk.content().bytes();
            desk.run("remove tiny").ok();
            desk.s.write(PATH, bytes);
        }
        for name in ["Modelfile", "AAA.gguf", "README.md", ".DS_Store"] {
            if !(plain && name == "AAA.gguf") {
                desk.s.write(&format!("models/tiny/gguf/q4_k_m/{name}"), "FROM ./x");
            }
        }
        for line in ["path tiny", "path tiny:q4_k_m", "path tiny --format gguf"] {
            assert_eq!(desk.run(line).ok().last_line(), PATH, "{line}, plain: {plain}");
        }
        desk.run("use tiny --backend llama_cpp").ok().prints(FILE);
        let state = if plain { "foreign" } else { "stored" };
        desk.run("list").ok().prints(&format!("tiny\tgguf\tq4_k_m\t2097159\t{state}\t{PATH}"));
        let json = desk.run("list --json").ok().json();
        let files = json["models"][0]["files"].as_array().unwrap();
        assert_eq!((files.len(), files[0]["file"].as_str()), (1, Some(FILE)), "{json:#}");
        desk.run("verify tiny").ok();
        let _ = fs::remove_file(desk.s.models().join("tiny/gguf/q4_k_m/AAA.gguf"));
        desk.run("remove tiny").ok();
        assert!(desk.s.models().join("tiny/gguf/q4_k_m/Modelfile").exists());
        assert!(!desk.s.project().join(PATH).exists());
        desk.run("path tiny").code(3);
    }
}

#[test]
fn a_plain_file_in_the_place_of_a_link_is_compared_with_the_record() {
    let desk = split();
    let target = fs::read_link(part(&desk, 2)).unwrap();
    let changes: [(&str, Vec<u8>); 3] = [
        ("the text of the link", target.to_str().unwrap().into()),
        ("another length", b"short".to_vec()),
        ("another content", vec![7; 4001]),
    ];
    for (what, bytes) in changes {
        remove(part(&desk, 2));
        fs::write(part(&desk, 2), &bytes).unwrap();
        desk.run("verify").code(4).prints("modified").prints(PARTS[1]);
        desk.run("verify o--big --quick").code(4);
        let doctor = desk.run("doctor").prints(PARTS[1]);
        assert!(!doctor.stdout.contains("all is well"), "{what}: {doctor}");
        assert_eq!(fs::read(part(&desk, 2)).unwrap(), bytes, "{what}: looking changes nothing");
        desk.run("verify --repair").ok();
        assert!(is_link(&part(&desk, 2)), "{what}");
        desk.run("verify").ok().prints("3 ok");
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
        let desk = split();
        desk.s.write("other", "somebody's");
        remove(part(&desk, 2));
        spoil(&part(&desk, 2));
        desk.run("verify o--big").code(4);
        desk.run("path o--big").code(path_code).says("verify o--big:q8_0 --repair");
        desk.run("doctor").prints("verify o--big:q8_0 --repair");
        // What a download refuses, its plan refuses too.
        desk.run("download o--big:q8_0").code(1).says("is in the way");
        desk.run("download o--big:q8_0 --dry-run").code(1).says("is in the way");
        desk.run("verify o--big:q8_0 --repair").ok().prints("was kept as").prints(".mine");
        assert!((1..=3).all(|n| is_link(&part(&desk, n))), "{what}");
        desk.run("verify").ok();
        desk.run("doctor").ok().prints("all is well");
        desk.run("path o--big").ok().prints(PARTS[0]);
        let folder = part(&desk, 2).parent().unwrap().to_owned();
        let kept = [part(&desk, 2).with_file_name(format!(".{}.mine", PARTS[1])), folder.with_file_name(".q8_0.mine")];
        assert!(kept.iter().any(|kept| kept.symlink_metadata().is_ok()), "{what}: it is kept");
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_folder_of_hard_links_or_copies_gives_way_to_a_repair() {
    for mode in ["hardlink", "copy"] {
        let desk = Desk::new();
        desk.run(&format!("download tiny:q4_k_m --link {mode}")).ok();
        let folder = desk.s.models().join("tiny/gguf/q4_k_m");
        let moved = desk.s.project().join("moved");
        fs::rename(&folder, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &folder).unwrap();
        // The content is the same, and says so wherever it is asked for.
        desk.run("path tiny").ok();
        desk.run("verify").ok();
        desk.run("doctor").ok().prints("a link to a folder").prints("verify tiny:q4_k_m --repair");
        desk.run("verify tiny:q4_k_m --repair").ok();
        desk.run("doctor").ok().prints("all is well");
        assert!(folder.symlink_metadata().unwrap().is_dir() && moved.join(FILE).exists(), "{mode}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_an_equal_file_elsewhere_is_the_model_and_gives_way_only_to_a_repair() {
    let desk = split();
    let bytes = fs::read(part(&desk, 2)).unwrap();
    desk.s.write("elsewhere.gguf", &bytes);
    let elsewhere = desk.s.project().join("elsewhere.gguf");
    remove(part(&desk, 2));
    std::os::unix::fs::symlink(&elsewhere, part(&desk, 2)).unwrap();
    desk.run("path o--big").ok();
    desk.run("verify o--big").ok().prints("a link to").prints("verify o--big:q8_0 --repair");
    desk.run("verify o--big --repair").ok();
    desk.run("doctor").ok().prints("all is well");
    assert_eq!(fs::read(&elsewhere).unwrap(), bytes, "what the link leads to is left alone");
    assert_ne!(fs::read_link(part(&desk, 2)).unwrap(), elsewhere);
}

#[test]
fn a_file_that_only_holds_the_text_of_its_link_becomes_that_link_again() {
    let desk = split();
    for n in 1..=3 {
        let target = fs::read_link(part(&desk, n)).unwrap();
        remove(part(&desk, n));
        fs::write(part(&desk, n), target.to_str().unwrap()).unwrap();
    }
    desk.run("path o/big:q8_0").code(4);
    desk.run("list").ok().prints("damaged");
    desk.run("download o/big:q8_0 --offline").ok();
    assert!((1..=3).all(|n| is_link(&part(&desk, n))));
    desk.run("verify").ok().prints("3 ok");
    desk.assert_tidy();
}

#[test]
fn dot_names_of_the_record_are_part_of_the_view() {
    let desk = set();
    let hidden = of_set(&desk, ".hidden/tok.json");
    desk.run("verify").ok().prints("3 ok");
    desk.s.write("models/set/safetensors/.cache/x", "of another program");
    let blob = hidden.canonicalize().unwrap();
    flip(&blob);
    desk.run("verify").code(4).prints("tok.json");
    desk.run("verify --repair").ok();
    remove(&hidden);
    desk.run("verify set").code(4).prints("missing").prints("tok.json");
    desk.run("list").ok().prints("broken");
    desk.run("download set --format safetensors --offline").ok();
    desk.run("verify").ok().prints("3 ok");
}

#[test]
fn a_plain_file_with_the_same_bytes_is_taken_in_by_every_command() {
    for line in ["download tiny", "download tiny --offline", "download tiny --force", "sync", "verify --repair"] {
        let desk = downloaded();
        if line == "sync" {
            desk.run("lock").ok();
        }
        let path = desk.s.project().join(PATH);
        let bytes = desk.content().bytes();
        remove(&path);
        fs::write(&path, &bytes).unwrap();
        desk.run("verify").ok().prints("would take it into the store");
        assert_eq!(desk.run("path tiny").ok().last_line(), PATH);
        if line.starts_with("download") {
            desk.run(&format!("{line} --dry-run")).ok().prints("adopt");
        }
        desk.hub.reset_counters();
        desk.run(line).ok();
        if line != "verify --repair" {
            assert!(is_link(&path), "{line}");
        }
        if !line.contains("--force") {
            assert_eq!(desk.hub.count().content_bytes(), 0, "{line}");
        }
        desk.run("verify").ok().prints("1 ok");
        desk.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
fn what_stands_in_the_way_is_told_by_a_dry_run_as_by_the_download() {
    let desk = Desk::new();
    let mut bytes = desk.content().bytes();
    bytes[9] ^= 1;
    for (bytes, code) in [(&bytes[..], 4), (&bytes[..77], 1)] {
        let path = desk.s.write(PATH, bytes);
        for line in ["download tiny", "download tiny --dry-run"] {
            desk.run(line).code(code).says("in the way").says("--force");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
    assert_eq!(desk.hub.count().content_bytes(), 0);
}

#[test]
fn force_replaces_a_plain_file_after_its_own_content_was_kept() {
    for pinned in [true, false] {
        let desk = Desk::new();
        if !pinned {
            desk.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
        }
        let old = Content::synthetic(MIB + 77, 99);
        let path = desk.s.write(PATH, old.bytes());
        let dry = desk.run("download tiny --force --dry-run").ok();
        assert!(dry.stdout.contains("fetch"), "{dry}");
        dry.prints("kept in the store");
        assert_eq!(fs::read(&path).unwrap(), old.bytes());
        let output = desk.run("download tiny --force").ok().says("kept in the store").says(&old.sha256()[..12]);
        desk.assert_right(&output);
        assert_eq!(fs::read(desk.blob(&old)).unwrap(), old.bytes());
        desk.run("verify").ok();
        desk.run("doctor --full").ok().prints("all is well");
    }
}

#[test]
#[cfg_attr(windows, ignore = "there are no symbolic links, and an absent hard link is all there is to lose")]
fn views_by_every_kind_of_link_go_by_their_record() {
    for link in ["symlink", "hardlink", "copy"] {
        let desk = Desk::new();
        desk.run(&format!("download tiny --link {link}")).ok();
        let path = desk.s.project().join(PATH);
        let right = desk.content().bytes();
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
            desk.run("list").ok().prints(listed);
            desk.run("verify").code(verified);
            if what == "wrong" {
                // What was read once is known, as long as it stays as it is.
                desk.run("list").ok().prints("damaged");
                desk.run("path tiny").code(4).says("damaged");
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                fs::write(&path, &right).unwrap();
                desk.run("path tiny").ok();
                fs::write(&path, &wrong).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                desk.run("path tiny").code(4);
                fs::write(&path, &wrong).unwrap();
            }
            let answer = desk.run("path tiny");
            assert_eq!(answer.status.code(), Some(found), "{link}, {what}: {answer}");
            desk.run("verify --repair").ok();
            assert_eq!(fs::read(&path).unwrap(), right, "{link}, {what}");
            desk.run("list").ok().prints("stored");
            desk.run("verify --rehash").ok().prints("1 ok");
            desk.run("doctor --full").ok().prints("all is well");
        }
    }
}

#[test]
fn a_copy_whose_bits_changed_is_remembered_and_made_again_by_a_download() {
    let desk = Desk::new();
    desk.run("download tiny --link copy").ok();
    let path = desk.s.project().join(PATH);
    flip(&path);
    desk.run("list").ok().prints("stored");
    desk.run("verify").code(4).prints("modified");
    desk.run("list").ok().prints("damaged");
    desk.run("path tiny").code(4);
    desk.run("doctor").prints("damaged");
    desk.hub.reset_counters();
    desk.run("download tiny").ok();
    assert_eq!(desk.hub.count().total_requests(), 0);
    desk.run("list").ok().prints("stored");
    desk.run("verify").ok().prints("1 ok");
    desk.run("doctor").ok().prints("all is well");
}

#[test]
#[cfg(unix)]
fn what_is_no_plain_file_in_the_place_of_a_recorded_one_is_told_and_left_alone_until_a_repair() {
    for what in ["folder", "folder with files", "pipe", "link of somebody"] {
        let desk = split();
        let (one, two) = (part(&desk, 1), part(&desk, 2));
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
        desk.run("verify").code(4).prints(PARTS[1]);
        desk.run("list").ok().prints("broken");
        desk.run("path o/big:q8_0").code(3);
        desk.run("download o/big:q8_0").code(1).says("in the way");
        desk.run("download o/big:q8_0 --dry-run").code(1).says("in the way");
        assert!(!is_link(&two) || fs::read_link(&two).unwrap().ends_with("hostname"), "{what}: it is left alone");
        desk.run("verify --repair").ok().prints("repaired");
        assert!(is_link(&one) && is_link(&two), "{what}");
        assert!(two.with_file_name(format!(".{}.mine", PARTS[1])).symlink_metadata().is_ok(), "{what}: it is kept");
    }
}

#[test]
fn a_root_that_cannot_be_read_leaves_the_manifest_to_go_by() {
    let desk = split();
    let roots = desk.store().join("roots");
    let project = roots.join(&crate::kit::names(&roots)[0]);
    let root = project.join("o--big~gguf~q8_0.json");
    fs::write(&root, "{").unwrap();
    remove(part(&desk, 1));
    desk.run("verify").code(4).prints("missing").prints(PARTS[0]);
    desk.run("path o--big").code(3);
    // And the other way round.
    let desk = split();
    fs::remove_file(part(&desk, 1).with_file_name(".view.json")).unwrap();
    remove(part(&desk, 1));
    desk.run("verify").code(4).prints("missing").prints(PARTS[0]);
    desk.run("path o--big").code(3);
    desk.run("download o/big:q8_0 --offline").ok();
    desk.run("verify").ok().prints("3 ok");
}

#[test]
fn a_set_with_a_file_less_is_no_path_and_no_model_for_a_backend() {
    for name in ["config.json", "model.safetensors"] {
        let desk = set();
        remove(of_set(&desk, name));
        desk.run("path set --format safetensors").code(3).says(name);
        desk.run("use set --backend vllm").code(3).says(name);
        desk.run("verify set").code(4).prints("missing");
        desk.run("info set").ok();
        desk.run("verify set --repair").ok();
        desk.run("use set --backend vllm").ok();
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
        let desk = Desk::empty();
        let index = format!("{{\"weight_map\": {{\"a\": \"{}\", \"b\": \"{}\"}}}}", shards[0], shards[1]);
        let repo = desk.hub.repo("o/set").plain("config.json", "{}").plain("model.safetensors.index.json", index);
        repo.lfs(shards[0], Content::synthetic(5000, 1)).lfs(shards[1], Content::synthetic(5001, 2)).commit();
        for alone in ["config.json", shards[1]] {
            desk.run(&format!("download hf://o/set/{alone} --format safetensors")).ok();
        }
        let dir = desk.s.models().join("o--set/safetensors");
        assert!(!dir.join(shards[0]).exists());
        desk.run("download o/set --format safetensors").ok();
        assert!(shards.iter().all(|shard| dir.join(shard).exists()), "{shards:?}");
        desk.run("verify").ok();
    }
}

#[test]
fn a_single_file_is_added_to_the_set_that_is_there() {
    let desk = Desk::empty();
    let weights = Content::synthetic(5000, 1);
    desk.hub
        .repo("o/set")
        .plain("config.json", "{\"a\": 1}")
        .plain("notes.txt", "more")
        .lfs("model.safetensors", weights.clone())
        .commit();
    desk.run("download o/set --format safetensors").ok();
    let dir = desk.s.models().join("o--set/safetensors");
    let before = desk.run("list --json").ok().json()["models"][0]["files"].as_array().unwrap().len();
    for line in ["config.json", "notes.txt"] {
        for more in [" --dry-run", "", " --force"] {
            desk.run(&format!("download hf://o/set/{line} --format safetensors{more}")).ok();
            assert!(dir.join("model.safetensors").exists(), "{line}{more}");
            assert!(dir.join("config.json").exists(), "{line}{more}");
        }
    }
    let after = desk.run("list --json").ok().json()["models"][0]["files"].as_array().unwrap().len();
    assert!(after >= before && dir.join("notes.txt").exists(), "{before} {after}");
    desk.run("verify").ok();
    let gone = desk.run("gc --dry-run --json").ok().json();
    assert_eq!(gone["blobs"].as_array().unwrap().len(), 0, "{gone:#}");
    assert!(desk.blob(&weights).exists());
    // The other way round: what was named alone stays when the set comes.
    let desk = Desk::empty();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = format!("{{\"weight_map\": {{\"a\": \"{}\", \"b\": \"{}\"}}}}", shards[0], shards[1]);
    let repo = desk.hub.repo("o/set").plain("config.json", "{}").plain("model.safetensors.index.json", index);
    repo.lfs(shards[0], weights.clone()).lfs(shards[1], Content::synthetic(5001, 2)).plain("x.txt2", "x").commit();
    for alone in ["config.json", "x.txt2", shards[1]] {
        desk.run(&format!("download hf://o/set/{alone} --format safetensors")).ok();
        desk.run("download o/set --format safetensors").ok();
        let dir = desk.s.models().join("o--set/safetensors");
        assert!(shards.iter().all(|shard| dir.join(shard).exists()) && dir.join("config.json").exists(), "{alone}");
        desk.run("verify").ok();
        desk.hub.reset_counters();
        desk.run("download o/set --format safetensors").ok();
        assert_eq!(desk.hub.count().total_requests(), 0, "what is complete asks nobody");
        desk.run("remove o/set --format safetensors").ok();
    }
}

#[test]
fn a_set_that_loses_files_says_which() {
    let desk = set();
    desk.s.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: \"o/set\"\n    formats:\n      safetensors: { include: [\"*.json\", \"*.safetensors\"], exclude: [\".hidden/*\"] }\n",
    );
    desk.run("download set --format safetensors --force").ok().says("tok.json");
}

#[test]
fn damage_that_was_found_is_remembered_until_it_is_repaired_and_every_command_says_it() {
    for found_by in ["verify", "verify --quick", "doctor --full", "sync"] {
        let desk = downloaded();
        desk.run("lock").ok();
        let blob = desk.blob(&desk.content());
        flip(&blob);
        match found_by {
            "verify --quick" => {
                // Where the time tells it.
                fs::File::open(&blob).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
                desk.run(found_by).code(4);
            }
            "sync" => drop(desk.run("sync --offline").code(4)),
            _ => drop(desk.run(found_by).code(4)),
        }
        desk.run("list").ok().prints("damaged");
        assert_eq!(desk.run("list --json").ok().json()["models"][0]["state"], "damaged");
        desk.run("path tiny").code(4).says("damaged").says("verify tiny");
        desk.run("path tiny:q4_k_m").code(4).says("damaged");
        desk.run("use tiny --backend llama_cpp").code(4);
        desk.run("verify --quick").code(4).prints("modified");
        let doctor = desk.run("doctor").code(4).prints("damaged");
        let named = commands(&doctor.stdout);
        assert!(named.iter().any(|line| line.contains("--repair") && line.contains("tiny")), "{named:?}");
        desk.run("lock").ok().prints("damaged");
        desk.run("df").ok().prints("damaged");
        desk.run(&format!("why {}", &desk.content().sha256()[..12])).ok().prints("damaged");
        desk.run("why tiny").ok().prints("damaged");
        desk.run("download tiny --dry-run").ok().prints("damaged");
        desk.run("sync --dry-run").ok();
        desk.run("download tiny --offline").code(6).says("damaged");
        desk.run("sync --offline --quick").code(4).says("damaged");
        desk.run(&named[0]).ok();
        desk.run("doctor --full").ok().prints("all is well");
        desk.run("list").ok().prints("stored");
        desk.run("verify --quick").ok();
    }
}

#[test]
fn what_is_known_to_be_damaged_is_repaired_by_whatever_brings_it_anew() {
    for line in
        ["download tiny", "download tiny --force", "sync", "sync --quick", "verify tiny --repair", "verify --repair --quick"]
    {
        let desk = downloaded();
        desk.run("lock").ok();
        flip(&desk.blob(&desk.content()));
        desk.run("verify").code(4);
        desk.hub.reset_counters();
        desk.run(line).ok();
        if !line.contains("--force") {
            assert_eq!(desk.hub.count().content_bytes(), MIB, "only the damaged segment travels: {line}");
        }
        desk.run("list").ok().prints("stored");
        desk.run("path tiny").ok();
        desk.run("verify --rehash").ok();
        desk.run("doctor --full").ok().prints("all is well");
        desk.assert_tidy();
    }
}

#[test]
fn damage_of_what_no_registry_pins_is_repaired_by_its_download() {
    let desk = split();
    flip(&part(&desk, 2).canonicalize().unwrap());
    desk.run("verify").code(4);
    desk.run("download o/big:q8_0 --offline").code(6).says("damaged").says(PARTS[1]);
    desk.run("download o/big:q8_0 --dry-run").ok().prints("damaged");
    desk.run("download o/big:q8_0").ok();
    desk.run("path o/big:q8_0").ok();
    desk.run("verify --rehash").ok().prints("3 ok");
    // The Hub names no SHA-256 of a small file.
    let desk = set();
    flip(&of_set(&desk, "config.json").canonicalize().unwrap());
    desk.run("verify").code(4);
    desk.run("path set --format safetensors").code(4).says("config.json");
    desk.run("download set --format safetensors").ok();
    desk.run("path set --format safetensors").ok();
    desk.run("verify --rehash").ok().prints("3 ok");
    desk.run("doctor --full").ok().prints("all is well");
    desk.assert_tidy();
}

#[test]
fn what_is_whole_again_by_itself_is_no_longer_called_damaged_after_a_full_look() {
    let desk = downloaded();
    let blob = desk.blob(&desk.content());
    flip(&blob);
    desk.run("verify").code(4);
    flip(&blob);
    desk.run("verify --quick").code(4);
    desk.run("path tiny").code(4);
    desk.run("verify").ok();
    desk.run("path tiny").ok();
    desk.run("doctor").ok().prints("all is well");
}

#[test]
fn what_is_damaged_for_one_project_is_damaged_for_all_that_share_the_store() {
    let desk = Desk::new();
    let store = desk.s.root().join("store");
    let shared = |line: &str| format!("{line} --store {}", store.display());
    desk.run(&shared("download tiny")).ok();
    let other = desk.s.other_project("other");
    fs::create_dir_all(other.join("configs")).unwrap();
    fs::copy(desk.s.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let in_other = |line: &str| {
        let mut command = desk.s.command(shared(line).split_whitespace());
        command.current_dir(&other);
        desk.s.finish(command)
    };
    in_other("download tiny").ok();
    flip(&crate::kit::blob_in(&store, &desk.content()));
    desk.run(&shared("verify")).code(4);
    in_other("list").ok().prints("damaged");
    in_other("path tiny").code(4);
    in_other("download tiny").ok();
    desk.run(&shared("path tiny")).ok();
    desk.run(&shared("verify")).ok();
}

#[test]
fn a_repair_without_a_store_makes_none() {
    let desk = downloaded();
    fs::rename(desk.store(), desk.s.root().join("gone")).unwrap();
    desk.run("verify --repair").code(4).prints("not repaired").prints("there is no store");
    assert!(!desk.store().exists());
}

#[test]
fn a_model_made_by_hand_is_removed_by_its_name_and_promised_nothing_else() {
    let desk = Desk::new();
    let model = desk.s.write("models/byhand/gguf/x.gguf", "mine");
    let note = desk.s.write("models/byhand/gguf/notes.txt", "mine too");
    desk.run("list").ok().prints("byhand\tgguf");
    desk.run("remove byhand --dry-run").ok().prints("x.gguf").prints("would be freed");
    assert!(model.exists());
    desk.run("remove byhand").ok().prints("x.gguf");
    assert!(!model.exists() && note.exists());
    desk.run("remove byhand").code(3);
    // With the project's own command that takes what is not locked, nothing made by hand goes.
    let model = desk.s.write("models/byhand/gguf/x.gguf", "mine");
    desk.run("download tiny").ok();
    desk.run("lock").ok();
    desk.run("sync --prune").ok();
    assert!(model.exists());
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, which need no path")]
fn links_of_a_shared_store_that_was_renamed_are_made_again_in_each_project() {
    let desk = Desk::new();
    let (store, renamed) = (desk.s.root().join("store"), desk.s.root().join("pool"));
    let other = desk.s.other_project("other");
    fs::create_dir_all(other.join("configs")).unwrap();
    fs::copy(desk.s.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let run = |project: &std::path::Path, line: &str| {
        let mut command = desk.s.command(line.split_whitespace());
        command.current_dir(project);
        desk.s.finish(command)
    };
    let with = |line: &str, store: &std::path::Path| format!("{line} --store {}", store.display());
    let projects = [desk.s.project(), other];
    for project in &projects {
        run(project, &with("download tiny", &store)).ok();
    }
    fs::rename(&store, &renamed).unwrap();
    for project in &projects {
        run(project, &with("list", &renamed)).ok().prints("broken");
        run(project, &with("verify", &renamed)).code(4).prints("missing");
        let doctor = run(project, &with("doctor", &renamed)).ok();
        assert!(!doctor.stdout.contains("something is lost"), "{doctor}");
        run(project, &commands(&doctor.stdout)[0]).ok();
        run(project, &with("doctor", &renamed)).ok().prints("all is well");
        run(project, &with("path tiny", &renamed)).ok();
    }
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len());
}

#[test]
fn links_of_a_store_that_was_moved_are_made_again_by_what_doctor_names() {
    let desk = downloaded();
    desk.run("download tiny:q8_0").ok();
    let moved = desk.s.root().join("elsewhere/store");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(desk.store(), &moved).unwrap();
    let there = |line: &str| desk.run(&format!("{line} --store {}", moved.display()));
    let doctor = there("doctor");
    assert!(!doctor.stdout.contains("something is lost") && doctor.status.code() == Some(0), "{doctor}");
    doctor.prints(FILE);
    there("path tiny:q4_k_m").code(3);
    there("list").ok().prints("broken");
    let named = commands(&there("doctor").stdout);
    assert!(!named.is_empty());
    desk.hub.reset_counters();
    for line in named.iter().filter(|line| !line.contains("projects")) {
        desk.run(line).ok();
    }
    assert_eq!(desk.hub.count().total_requests(), 0, "{named:?}");
    there("doctor").ok().prints("all is well");
    there("verify").ok().prints("2 ok");
    there("path tiny:q4_k_m").ok();
}
