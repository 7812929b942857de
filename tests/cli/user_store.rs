//! `init --user`: one store for all projects of a user.

use std::fs;

use crate::kit::{Desk, FILE, REPO, assert_content, blob_in, open_entry};
use crate::support::run::Output;

fn run_in(desk: &Desk, folder: &str, line: &str) -> Output {
    let dir = desk.s.other_project(folder);
    let mut command = desk.s.command(line.split_whitespace());
    command.current_dir(&dir);
    desk.s.finish(command)
}

#[test]
fn all_projects_of_a_user_share_the_store_that_is_made_for_them() {
    let desk = Desk::new();
    let user = desk.run("config path --user").ok().last_line().to_owned();
    fs::create_dir_all(std::path::Path::new(&user).parent().unwrap()).unwrap();
    fs::write(&user, "# mine\ntries: 3\n").unwrap();
    let store = desk.s.root().join("mine");
    let made = desk.run(&format!("init --user {}", store.display())).ok().says("All projects of yours use it from now on");
    assert_eq!(made.last_line(), store.display().to_string());
    let text = fs::read_to_string(&user).unwrap();
    assert!(text.starts_with("# mine\ntries: 3\nstore: "), "{text}");

    for folder in ["one", "two"] {
        desk.s.write(
            &format!("../{folder}/configs/models.yaml"),
            format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])),
        );
        let output = run_in(&desk, folder, "download tiny").ok();
        assert_content(&desk.s.other_project(folder).join(output.last_line()), &desk.content());
        assert!(!desk.s.other_project(folder).join("models/.blobs").exists());
    }
    assert!(blob_in(&store, &desk.content()).is_file());
    assert_eq!(desk.hub.count().content_bytes(), desk.content().len(), "downloaded once");

    // The same again changes nothing, another place is refused with what changes it.
    desk.run(&format!("init --user {}", store.display())).ok().says("use it already");
    let other = desk.s.root().join("other");
    desk.run(&format!("init --user {}", other.display()))
        .code(2)
        .says("names another store for all of your projects")
        .says("`model-manager config set --user store ");
    assert!(!other.exists());
    assert_eq!(fs::read_to_string(&user).unwrap(), text);
    desk.run(&format!("init --user --store {}", other.display())).code(2).says("both name a store");
    desk.run("init --user --shared").code(2);
}

#[test]
fn a_store_that_a_project_has_already_stays_and_what_it_has_is_not_downloaded_again() {
    let desk = Desk::new();
    let path = desk.run("download tiny").ok().last_line().to_owned();
    desk.hub.reset_counters();
    let made = desk.run("init --user").ok().says("`model-manager stores` lists them");
    let store = std::path::PathBuf::from(made.last_line());
    assert!(store.starts_with(desk.s.home()) && store.ends_with("model-manager/store"), "{made}");
    assert_content(&desk.s.project().join(&path), &desk.content());
    assert!(desk.blob(&desk.content()).is_file());
    run_in(&desk, "other", "stores").ok().prints(&desk.store().display().to_string());
    desk.s.write("../other/configs/models.yaml", format!("models:\n{}", open_entry("tiny", REPO, &[("q4_k_m", FILE)])));
    run_in(&desk, "other", "download tiny").ok();
    assert!(blob_in(&store, &desk.content()).is_file());
    assert_eq!(desk.hub.count().content_bytes(), 0);
}
