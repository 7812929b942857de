//! Which folder is the project: the nearest that holds a registry or models of this program.

use std::path::Path;

use crate::kit::{Desk, FILE, REPO};
use crate::support::hub::Content;
use crate::support::run::Output;

/// Runs a command in a folder below the project's.
fn run_below(desk: &Desk, folder: &str, line: &str) -> Output {
    let folder = desk.s.project().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = desk.s.command(line.split_whitespace());
    command.current_dir(folder);
    desk.s.finish(command)
}

fn models(output: &Output) -> Vec<String> {
    let document = output.json();
    document["models"].as_array().unwrap().iter().map(|model| model["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_below_one_with_models_uses_the_same_models_and_the_same_store() {
    let desk = Desk::empty();
    desk.hub.repo(REPO).lfs(FILE, Content::synthetic(1 << 20, 1)).commit();
    let path = desk.run(&format!("download {REPO}")).ok().last_line().to_owned();
    let whole = desk.s.project().join(&path);
    let above = models(&desk.run("list --json").ok());
    assert_eq!(above.len(), 1);
    for below in ["src/deep", "models/TheBloke--Tiny-GGUF", "models/.blobs"] {
        assert_eq!(models(&run_below(&desk, below, "list --json").ok()), above, "{below}");
        let found = run_below(&desk, below, &format!("path {REPO}")).ok();
        assert!(same(&desk.s.project().join(below).join(found.last_line()), &whole), "{found}");
    }
    desk.hub.reset_counters();
    run_below(&desk, "src/deep", &format!("download {REPO}")).ok();
    assert_eq!(desk.hub.count().content_bytes(), 0);
    assert!(!desk.s.project().join("src/deep/models").exists());
    desk.run("projects --json").ok();
    run_below(&desk, "src/deep", "lock").ok();
    assert!(desk.s.project().join("configs/models.lock").is_file());

    // Another folder of that name is none of this program.
    std::fs::create_dir_all(desk.s.project().join("own/models/.blobs")).unwrap();
    assert_eq!(models(&run_below(&desk, "own/deep", "list --json").ok()), above);
    // A project of its own counts where it is nearer, of either kind.
    run_below(&desk, "own", &format!("--models-dir models download {REPO}")).ok();
    assert_ne!(models(&run_below(&desk, "own/deep", "list --json").ok()), above);
    desk.s.write("own/app/configs/models.yaml", "models: {}\n");
    assert_eq!(models(&run_below(&desk, "own/app/deep", "list --json").ok()), [""; 0]);
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).unwrap() == std::fs::canonicalize(other).unwrap()
}
