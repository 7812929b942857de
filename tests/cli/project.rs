//! Which folder is the project: the nearest that holds a registry or models of this program.

use std::path::Path;

use crate::kit::{FILE, Machine, REPO};
use crate::support::hub::Content;
use crate::support::run::Output;

/// Runs a command in a folder below the project's.
fn run_below(machine: &Machine, folder: &str, line: &str) -> Output {
    let folder = machine.sandbox.project().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = machine.sandbox.command(line.split_whitespace());
    command.current_dir(folder);
    machine.sandbox.finish(command)
}

fn models(output: &Output) -> Vec<String> {
    let document = output.json();
    document["models"].as_array().unwrap().iter().map(|model| model["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_below_one_with_models_uses_the_same_models_and_the_same_store() {
    let machine = Machine::empty();
    machine.hub.repo(REPO).lfs(FILE, Content::synthetic(1 << 20, 1)).commit();
    let path = machine.run(&format!("download {REPO}")).ok().last_line().to_owned();
    let whole = machine.sandbox.project().join(&path);
    let above = models(&machine.run("list --json").ok());
    assert_eq!(above.len(), 1);
    for below in ["src/deep", "models/TheBloke--Tiny-GGUF", "models/.blobs"] {
        assert_eq!(models(&run_below(&machine, below, "list --json").ok()), above, "{below}");
        let found = run_below(&machine, below, &format!("path {REPO}")).ok();
        assert!(same(&machine.sandbox.project().join(below).join(found.last_line()), &whole), "{found}");
    }
    machine.hub.reset_counters();
    run_below(&machine, "src/deep", &format!("download {REPO}")).ok();
    assert_eq!(machine.hub.count().content_bytes(), 0);
    assert!(!machine.sandbox.project().join("src/deep/models").exists());
    machine.run("projects --json").ok();
    run_below(&machine, "src/deep", "lock").ok();
    assert!(machine.sandbox.project().join("configs/models.lock").is_file());

    // Another folder of that name is none of this program.
    std::fs::create_dir_all(machine.sandbox.project().join("own/models/.blobs")).unwrap();
    assert_eq!(models(&run_below(&machine, "own/deep", "list --json").ok()), above);
    // A project of its own counts where it is nearer, of either kind.
    run_below(&machine, "own", &format!("--models-dir models download {REPO}")).ok();
    assert_ne!(models(&run_below(&machine, "own/deep", "list --json").ok()), above);
    machine.sandbox.write("own/app/configs/models.yaml", "models: {}\n");
    assert_eq!(models(&run_below(&machine, "own/app/deep", "list --json").ok()), [""; 0]);
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).unwrap() == std::fs::canonicalize(other).unwrap()
}
