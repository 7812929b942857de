//! Places outside of the project: by a path in its settings, by a link that came with it, by a name.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::kit::{FILE, Machine, PATH, REPO, assert_content, open_entry, stamps};
use crate::scene::{follow, named_commands};
use crate::support::snapshot::tree;

/// Commands that would place, remove or look at something; none of them needs more than the project has.
const COMMANDS: [&str; 14] = [
    "download tiny",
    "download tiny --dry-run",
    "download tiny --force",
    "lock",
    "lock tiny",
    "sync",
    "list",
    "verify",
    "verify --repair",
    "gc",
    "remove tiny",
    "doctor",
    "init",
    "use tiny --backend llama_cpp",
];

/// A folder of the user's beside the project, with a file in it.
fn precious(machine: &Machine) -> PathBuf {
    let folder = machine.sandbox.root().join("precious");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("keep"), "as it was").unwrap();
    folder
}

/// Every command refuses by name, with one command that allows it; then a download works.
#[track_caller]
fn refused_until_allowed(machine: &Machine, folder: &Path, words: &str, place: &Path) {
    let (before, stamped) = (tree(folder).to_string(), stamps(folder));
    let mut last = None;
    for line in COMMANDS {
        let output = machine.run(line).code(2).says(words).says(&place.display().to_string());
        assert_eq!(
            named_commands(&output),
            [["config", "set", "--user", "allowed_places", &place.display().to_string()]],
            "{output}"
        );
        last = Some(output);
    }
    assert_eq!((tree(folder).to_string(), stamps(folder)), (before, stamped));
    follow(machine, &last.unwrap());
    machine.run("download tiny").ok();
    assert_content(&machine.sandbox.project().join(machine.run("path tiny").ok().last_line()), &machine.content());
    machine.run("verify").ok();
    machine.run("gc").ok();
}

#[test]
fn a_models_folder_that_is_a_link_out_of_the_project_is_refused_until_its_user_allows_it() {
    for target in ["../precious", "absolute"] {
        let machine = Machine::new();
        let folder = precious(&machine);
        symlink(if target == "absolute" { &folder } else { Path::new(target) }, machine.sandbox.models()).unwrap();
        refused_until_allowed(&machine, &folder, "the models directory", &folder);
    }
}

#[test]
fn a_store_that_is_a_link_out_of_the_project_is_refused_until_its_user_allows_it() {
    let machine = Machine::new();
    let folder = precious(&machine);
    std::fs::remove_file(folder.join("keep")).unwrap();
    std::fs::create_dir(machine.sandbox.models()).unwrap();
    symlink("../../precious", machine.sandbox.models().join(".blobs")).unwrap();
    refused_until_allowed(&machine, &folder, "the store", &folder);
}

#[test]
fn a_place_that_the_projects_file_names_outside_of_it_is_refused_until_its_user_allows_it() {
    for (key, what) in [("store", "the store"), ("models_dir", "the models directory")] {
        for path in ["~/mine", "../home/mine", "configs/../../home/mine", "ABSOLUTE", "linked/mine", "linked/new/mine"] {
            let machine = Machine::new();
            let home = machine.sandbox.home();
            let mine = home.join(if path.contains("new") { "new/mine" } else { "mine" });
            symlink("../home", machine.sandbox.project().join("linked")).unwrap();
            let path = path.replace("ABSOLUTE", &mine.display().to_string());
            machine.sandbox.write("configs/manager.yaml", format!("{key}: \"{path}\"\n"));
            refused_until_allowed(&machine, &home, what, &mine);
        }
    }
}

#[test]
fn both_places_are_allowed_by_one_command() {
    let machine = Machine::new();
    machine.sandbox.write("configs/manager.yaml", "store: ~/store\nmodels_dir: ~/models\n");
    let output = machine.run("download tiny").code(2).says("the store").says("the models directory");
    follow(&machine, &output);
    machine.run("download tiny").ok();
}

#[test]
fn what_its_user_names_needs_no_permission() {
    for by in ["flag", "variable", "users file"] {
        let mut machine = Machine::new();
        let (store, models) = (machine.sandbox.root().join("srv/store"), machine.sandbox.root().join("srv/models"));
        let mut line = "download tiny".to_owned();
        match by {
            "flag" => line.push_str(&format!(" --store {} --models-dir {}", store.display(), models.display())),
            "variable" => {
                machine.sandbox.set_env("MODEL_MANAGER_STORE", &store);
                machine.sandbox.set_env("MODEL_MANAGER_MODELS_DIR", &models);
            }
            _ => {
                machine.run(&format!("config set --user store {}", store.display())).ok();
                machine.run(&format!("config set --user models_dir {}", models.display())).ok();
            }
        }
        machine.run(&line).ok();
        assert!(store.join("STORE.json").exists() && models.join("tiny").exists(), "{by}");
    }
}

#[test]
fn a_store_that_its_user_made_once_may_be_named_by_projects() {
    let machine = Machine::new();
    machine.sandbox.write("configs/manager.yaml", "store: ~/store\n");
    let store = machine.sandbox.home().join("store");
    // The project's own word is not the user's.
    machine.run("init").code(2);
    machine.run(&format!("--store {} init", store.display())).ok().says("config.yaml");
    machine.run("download tiny").ok();
    assert!(store.join("sha256").exists() && !machine.store().exists());
}

#[test]
fn folders_of_version_control_are_no_places_for_models() {
    for (text, link) in [
        ("models_dir: .git\n", None),
        ("store: .git/objects\n", None),
        ("models_dir: m\n", Some("m")),
        ("tries: 3\n", Some("models")),
    ] {
        let machine = Machine::new();
        std::fs::create_dir_all(machine.sandbox.project().join(".git/objects")).unwrap();
        machine.sandbox.write("configs/manager.yaml", text);
        if let Some(link) = link {
            symlink(".git", machine.sandbox.project().join(link)).unwrap();
        }
        let before = stamps(&machine.sandbox.project().join(".git"));
        let output = machine.run("download tiny").code(2).says(".git").says("version control");
        assert!(named_commands(&output).is_empty(), "{output}");
        assert_eq!(stamps(&machine.sandbox.project().join(".git")), before);
    }
}

#[test]
fn no_link_below_the_models_folder_is_followed_for_writing() {
    for at in ["tiny", "tiny/gguf", "tiny/gguf/q4_k_m"] {
        for target in ["absolute", "dangling"] {
            let machine = Machine::new();
            let folder = precious(&machine);
            let target = if target == "absolute" { folder.clone() } else { folder.join("not-yet") };
            let link = machine.sandbox.models().join(at);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(&target, &link).unwrap();
            let before = stamps(&folder);
            machine.run("download tiny").code(1).says("a link to");
            machine.run("download tiny --force").code(1).says("a link to");
            for line in ["verify", "verify --repair", "remove tiny", "gc", "doctor", "list"] {
                machine.run(line);
            }
            assert_eq!(stamps(&folder), before, "{at}");
            assert!(link.is_symlink(), "{at}");
        }
    }
}

#[test]
fn no_name_in_a_registry_or_a_lock_spells_a_way_out() {
    let machine = Machine::new();
    let folder = precious(&machine);
    let before = stamps(&folder);
    let models = |id: &str, format: &str, quant: &str, file: &str| {
        format!(
            "models:\n  \"{id}\":\n    huggingface_id: o/r\n    formats:\n      \"{format}\":\n        \"{quant}\":\n          file: \"{file}\"\n"
        )
    };
    for text in [
        models("..", "gguf", "q4", "x.gguf"),
        models("../precious", "gguf", "q4", "x.gguf"),
        models("/tmp", "gguf", "q4", "x.gguf"),
        models(".blobs", "gguf", "q4", "x.gguf"),
        models("a", "..", "q4", "x.gguf"),
        models("a", "../../precious", "q4", "x.gguf"),
        models("a", "gguf", "../../..", "x.gguf"),
        models("a", "gguf", "q4", "../../../../precious/keep"),
        models("a", "gguf", "q4", "/etc/passwd"),
        models("a", "gguf", "q4", "..\\\\..\\\\keep"),
    ] {
        machine.sandbox.write("configs/models.yaml", &text);
        for line in ["download a", "lock a", "lint"] {
            let output = machine.run(line);
            assert!(output.status.code().is_some_and(|code| code != 0), "{text}\n{output}");
        }
        // Such an entry ends only itself.
        machine.run("info").ok().says("models.yaml");
    }
    let locked = |model: &str, path: &str| {
        format!(
            "version: 1\nviews:\n  - model: \"{model}\"\n    format: gguf\n    quant: q4\n    source: file\n    repo: o/r\n    commit: {}\n    \
             files:\n      - path: \"{path}\"\n        size: 1\n        sha256: {}\n",
            "0".repeat(40),
            "0".repeat(64)
        )
    };
    machine.sandbox.write("configs/models.yaml", "models: {}\n");
    for text in [locked("..", "x"), locked("a", "../../../../precious/keep"), locked("a", "/etc/passwd"), locked("a", ".view.json")]
    {
        machine.sandbox.write("configs/models.lock", text);
        machine.run("sync --locked").code(2).says("models.lock");
    }
    assert_eq!(stamps(&folder), before);
}

#[test]
fn use_edits_only_files_of_the_project() {
    let file = "configs/backend/llama_cpp.yaml";
    let settings = "backend:\n  type: llama_cpp\n  model_path: \"old\"\n";
    for kind in ["file", "folder", "dangling", "hard"] {
        let machine = Machine::new();
        machine.run("download tiny").ok();
        let folder = precious(&machine);
        let real = folder.join("llama_cpp.yaml");
        std::fs::write(&real, settings).unwrap();
        let at = machine.sandbox.project().join(file);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        match kind {
            "file" => symlink("../../../precious/llama_cpp.yaml", &at).unwrap(),
            "folder" => {
                std::fs::remove_dir(at.parent().unwrap()).unwrap();
                symlink("../../precious", at.parent().unwrap()).unwrap();
            }
            "dangling" => symlink("../../../precious/new.yaml", &at).unwrap(),
            _ => std::fs::hard_link(&real, &at).unwrap(),
        }
        if kind == "hard" {
            machine.run("use tiny --backend llama_cpp").ok();
            assert_eq!(std::fs::read_to_string(&real).unwrap(), settings);
            continue;
        }
        let before = stamps(&folder);
        for line in [
            "use tiny --backend llama_cpp",
            &format!("use tiny --backend llama_cpp --file {file}"),
            "use tiny --backend llama_cpp --print",
        ] {
            machine.run(line).code(2).says("leads out of the project").says("--file /");
        }
        assert_eq!(stamps(&folder), before, "{kind}");
        if kind == "dangling" {
            continue;
        }
        // The command that is named edits the file that is meant.
        let commands = named_commands(&machine.run("use tiny --backend llama_cpp"));
        machine.sandbox.run(&commands[0]).ok();
        assert!(std::fs::read_to_string(&real).unwrap().contains(FILE), "{kind}");
    }
}

#[test]
fn files_of_the_project_that_are_links_out_of_it_are_neither_read_nor_written() {
    for name in ["models.yaml", "models.lock", "manager.yaml"] {
        for target in ["secret", "not-there"] {
            let machine = Machine::new();
            let folder = precious(&machine);
            std::fs::write(folder.join("secret"), "very secret words\n").unwrap();
            let at = machine.sandbox.project().join("configs").join(name);
            let _none = std::fs::remove_file(&at);
            symlink(folder.join(target), &at).unwrap();
            let before = stamps(&folder);
            for line in ["list", "info", "lint", "add o/r:Q4_K_M", "lock", "lock --check", "sync", "download tiny", "doctor"] {
                let output = machine.run(line).code(2).says("leads out of the project");
                assert!(!format!("{}{}", output.stdout, output.stderr).contains("secret words"), "{output}");
            }
            assert_eq!(stamps(&folder), before, "{name}");
        }
    }
}

#[test]
fn a_linked_configs_folder_is_no_part_of_the_project() {
    let machine = Machine::new();
    let folder = precious(&machine);
    let configs = machine.sandbox.project().join("configs");
    std::fs::remove_dir_all(&configs).unwrap();
    symlink("../precious", &configs).unwrap();
    let before = stamps(&folder);
    for line in ["add o/r:Q4_K_M", "lock", "download tiny"] {
        machine.run(line).code(2).says("leads out of the project");
    }
    assert_eq!(stamps(&folder), before);
}

#[test]
fn links_inside_of_the_project_are_its_own_business() {
    let machine = Machine::new();
    let project = machine.sandbox.project();
    std::fs::create_dir_all(project.join("data/models")).unwrap();
    symlink("data/models", project.join("models")).unwrap();
    std::fs::rename(project.join("configs/models.yaml"), project.join("data/registry.yaml")).unwrap();
    symlink("../data/registry.yaml", project.join("configs/models.yaml")).unwrap();
    assert_eq!(machine.run("download tiny").ok().last_line(), PATH);
    machine.run("lock").ok();
    machine.run("sync --locked").ok();
    assert!(project.join("data/models").join(PATH.strip_prefix("models/").unwrap()).exists());
}

#[test]
fn a_link_to_one_file_asks_for_that_file_alone() {
    let machine = Machine::new();
    let at = machine.sandbox.project().join("configs/models.yaml");
    let real = machine.sandbox.home().join("registry.yaml");
    std::fs::rename(&at, &real).unwrap();
    symlink(&real, &at).unwrap();
    let output = machine.run("list").code(2).says("the registry");
    assert_eq!(named_commands(&output), [["config", "set", "--user", "allowed_places", &real.display().to_string()]], "{output}");
    follow(&machine, &output);
    machine.run("download tiny").ok();
    machine.run("lock").ok();
    // The folder that holds it is not allowed by that.
    symlink(machine.sandbox.home().join("other.yaml"), machine.sandbox.project().join("configs/manager.yaml")).unwrap();
    machine.run("list").code(2).says("the settings file");
}

#[test]
fn nobody_is_asked_to_allow_the_home_folder_or_what_holds_it() {
    for (text, link) in [
        ("models_dir: \"~\"\n", None),
        ("store: /\n", None),
        ("store: HOME/..\n", None),
        ("tries: 3\n", Some("/")),
        ("tries: 3\n", Some("HOME")),
    ] {
        let machine = Machine::new();
        let home = machine.sandbox.home().display().to_string();
        machine.sandbox.write("configs/manager.yaml", text.replace("HOME", &home));
        if let Some(target) = link {
            symlink(target.replace("HOME", &home), machine.sandbox.models()).unwrap();
        }
        let output = machine.run("list").code(2).says("leads out of the project").says("hint: ");
        assert!(named_commands(&output).is_empty(), "{output}");
    }
}

#[test]
fn folders_whose_files_other_programs_run_are_no_places_for_models() {
    for place in [".venv/lib/python3.11", "venv/lib/python3.11", "venv", "node_modules/x", "a/site-packages", ".direnv"] {
        for by in ["models", "store", "models_dir", "store of the file"] {
            let machine = Machine::new();
            let folder = machine.sandbox.project().join(place);
            std::fs::create_dir_all(&folder).unwrap();
            if let Some(venv) = place.split('/').next().filter(|name| name.ends_with("venv")) {
                std::fs::write(machine.sandbox.project().join(venv).join("pyvenv.cfg"), "home = /usr/bin\n").unwrap();
            }
            match by {
                "models" => symlink(place, machine.sandbox.models()).unwrap(),
                "store" => {
                    std::fs::create_dir(machine.sandbox.models()).unwrap();
                    symlink(Path::new("..").join(place), machine.store()).unwrap();
                }
                "models_dir" => drop(machine.sandbox.write("configs/manager.yaml", format!("models_dir: {place}\n"))),
                _ => drop(machine.sandbox.write("configs/manager.yaml", format!("store: {place}\n"))),
            }
            let before = stamps(&folder);
            let output = machine.run("download tiny").code(2).says("other programs");
            assert_eq!(stamps(&folder), before, "{place}");
            // What holds it is not the user's word for it.
            machine.run("config set --user allowed_places .").ok();
            machine.run("download tiny").code(2).says("other programs");
            if place != "venv" {
                follow(&machine, &output);
                machine.run("download tiny").ok();
            }
        }
    }
}

#[test]
fn a_hidden_folder_is_a_place_for_models_where_its_user_names_it() {
    let machine = Machine::new();
    machine.run("download tiny --models-dir .models").ok();
    machine.sandbox.write(".mine/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    machine.run("lock tiny --config .mine/models.yaml").ok();
    assert!(machine.sandbox.project().join(".mine/models.lock").exists());
}
