//! `init --user`: one store for all projects of a user.

use std::fs;

use crate::kit::{FILE, Machine, REPO, assert_content, blob_in, open_entry};

#[test]
fn all_projects_of_a_user_share_the_store_that_is_made_for_them() {
    let machine = Machine::new();
    let user = machine.run("config path --user").ok().last_line().to_owned();
    fs::create_dir_all(std::path::Path::new(&user).parent().unwrap()).unwrap();
    fs::write(&user, "# mine\ntries: 3\n").unwrap();
    let store = machine.sandbox.root().join("mine");
    let made = machine.run(&format!("init --user {}", store.display())).ok().says("New projects of yours use it from now on");
    assert_eq!(made.last_line(), store.display().to_string());
    let text = fs::read_to_string(&user).unwrap();
    assert!(text.starts_with("# mine\ntries: 3\nstore: "), "{text}");

    for folder in ["one", "two"] {
        machine.sandbox.write(
            &format!("../{folder}/configs/models.yaml"),
            format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])),
        );
        let output = machine.run_in(folder, "download tiny").ok();
        assert_content(&machine.sandbox.other_project(folder).join(output.last_line()), &machine.content());
        assert!(!machine.sandbox.other_project(folder).join("models/.blobs").exists());
    }
    assert!(blob_in(&store, &machine.content()).is_file());
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len(), "downloaded once");

    // The same again changes nothing, another place is refused with what changes it.
    machine.run(&format!("init --user {}", store.display())).ok().says("use it already");
    let other = machine.sandbox.root().join("other");
    machine
        .run(&format!("init --user {}", other.display()))
        .code(2)
        .says("names another store for all of your projects")
        .says("`model-manager config set --user store ");
    assert!(!other.exists());
    assert_eq!(fs::read_to_string(&user).unwrap(), text);
    machine.run(&format!("init --user --store {}", other.display())).code(2).says("both name a store");
    machine.run("init --user --shared").code(2);
}

#[test]
fn a_store_that_a_project_has_already_stays_and_what_it_has_is_not_downloaded_again() {
    let machine = Machine::new();
    let path = machine.run("download tiny").ok().last_line().to_owned();
    machine.hub.reset_counters();
    let made = machine.run("init --user").ok().says("`model-manager stores` lists them");
    let store = std::path::PathBuf::from(made.last_line());
    assert!(store.starts_with(machine.sandbox.home()) && store.ends_with("model-manager/store"), "{made}");
    assert_content(&machine.sandbox.project().join(&path), &machine.content());
    assert!(machine.blob(&machine.content()).is_file());
    // Its commands find there what they found before.
    machine.run("verify").ok();
    machine.run("lock").ok();
    machine.run("config get store --json").ok().prints("\"default\"");
    machine
        .run(&format!("config set --user store {}", store.display()))
        .ok()
        .says("is in effect (default)")
        .says(&format!("`model-manager store move {}`", store.display()));
    machine.run("config get store").ok().prints(&machine.store().display().to_string());
    machine.run_in("other", "config get store").ok().prints(&store.display().to_string());
    machine.run_in("other", "stores").ok().prints(&machine.store().display().to_string());
    machine.sandbox.write("../other/configs/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    machine.run_in("other", "download tiny").ok();
    assert!(blob_in(&store, &machine.content()).is_file());
    assert_eq!(machine.hub.count().content_bytes(), 0);
}
