//! `config`: what is set, by what, and changes of the two files that keep everything else in them.

use std::fs;

use crate::kit::Desk;
use crate::support::run::Output;

fn set_by(output: &Output, key: &str) -> (Vec<String>, String, Option<String>) {
    let document = output.json();
    let setting = document["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
    let values = setting["values"].as_array().unwrap().iter().map(|value| value["value"].as_str().unwrap().to_owned());
    (values.collect(), setting["set_by"].as_str().unwrap().to_owned(), setting["name"].as_str().map(str::to_owned))
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn the_list_says_of_every_setting_what_is_in_effect_and_what_sets_it() {
    let mut desk = Desk::new();
    desk.s.remove_env("HF_ENDPOINT");
    desk.s.write("configs/manager.yaml", "tries: 3\nlink: copy\noffline: true\n");
    desk.run("config set --user tries 9").ok();
    desk.run("config set --user limit_rate 1.5MB").ok();
    desk.s.set_env("HF_HUB_OFFLINE", "0");
    let list = desk.run("config list --json --link symlink").ok();
    for (key, values, by, name) in [
        ("link", &["symlink"][..], "flag", text("--link")),
        ("offline", &["false"], "variable", text("HF_HUB_OFFLINE")),
        ("tries", &["3"], "project", None),
        ("limit_rate", &["1500K"], "user", None),
        ("stall_timeout", &["20s"], "default", None),
        ("lock_timeout", &["1h"], "default", None),
        ("ca_file", &[], "default", None),
        ("allowed_places", &[], "default", None),
    ] {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        assert_eq!(set_by(&list, key), (values, by.to_owned(), name), "{key}");
    }
    assert_eq!(set_by(&list, "store").0, [desk.store().display().to_string()]);
    let lines = desk.run("config list").ok();
    let line = lines.stdout.lines().find(|line| line.starts_with("tries\t")).unwrap();
    assert_eq!(line, "tries\t3\tconfigs/manager.yaml");

    // Of one file, only what that says.
    let keys = |line: &str| {
        let document = desk.run(line).ok().json();
        let all = document["settings"].as_array().unwrap().iter();
        all.map(|setting| setting["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys("config list --user --json"), ["limit_rate", "tries"]);
    assert_eq!(keys("config list --project --json"), ["link", "offline", "tries"]);
    for (line, value) in [("get tries", "3\n"), ("get tries --user", "9\n"), ("get limit_rate --project", ""), ("get ca_file", "")]
    {
        assert_eq!(desk.run(&format!("config {line}")).ok().stdout, value, "{line}");
    }
}

#[test]
fn a_secret_is_said_to_be_set_and_is_not_shown() {
    let mut desk = Desk::new();
    desk.s.set_env("HF_TOKEN", "hf_secret");
    desk.s.set_env("https_proxy", "http://me:hunter2@proxy.lan:3128");
    for line in ["config list", "config list --json", "config get token", "config get proxy --json", "config get token -v"] {
        let output = desk.run(line).ok();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!said.contains("hf_secret") && !said.contains("hunter2"), "{output}");
    }
    desk.run("config list").ok().prints("token\t(set)\tHF_TOKEN").prints("proxy\t(set)\thttps_proxy");
    desk.run("config get token").ok().says("set by HF_TOKEN, and not shown");
}

#[test]
fn a_change_goes_to_the_project_inside_of_one_and_to_the_user_elsewhere() {
    let desk = Desk::new();
    let project = desk.s.project().join("configs/manager.yaml");
    let user = desk.run("config path --user").ok().last_line().to_owned();
    assert_eq!(desk.run("config path").ok().last_line(), "configs/manager.yaml");
    desk.run("config set tries 4").ok().says("In configs/manager.yaml.");
    assert_eq!(fs::read_to_string(&project).unwrap(), "tries: 4\n");
    desk.run("config set tries 4").ok().says("as before");
    desk.run("config set --user tries 5").ok();
    assert_eq!(fs::read_to_string(&user).unwrap(), "tries: 5\n");
    let elsewhere = desk.s.other_project("elsewhere");
    let run = |line: &str| {
        let mut command = desk.s.command(line.split_whitespace());
        command.current_dir(&elsewhere);
        desk.s.finish(command)
    };
    assert_eq!(run("config path").ok().last_line(), user);
    run("config set link copy").ok();
    assert_eq!(fs::read_to_string(&user).unwrap(), "tries: 5\nlink: copy\n");
    run("config unset tries").ok().prints("tries is not set");
    assert_eq!(fs::read_to_string(&user).unwrap(), "link: copy\n");
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "nothing is made there");
    run("config set --project tries 6").ok();
    assert_eq!(fs::read_to_string(elsewhere.join("configs/manager.yaml")).unwrap(), "tries: 6\n");
    // From then on it is a project.
    assert_eq!(run("config path").ok().last_line(), "configs/manager.yaml");
}

#[test]
fn comments_and_everything_else_stay_in_both_files() {
    let desk = Desk::new();
    let user = desk.run("config path --user").ok().last_line().to_owned();
    fs::create_dir_all(std::path::Path::new(&user).parent().unwrap()).unwrap();
    for (scope, file) in [("--user", user.into()), ("--project", desk.s.project().join("configs/manager.yaml"))] {
        fs::write(&file, "# mine\ntries: 3  # few\n\n# how\nlink: copy\n").unwrap();
        desk.run(&format!("config set {scope} tries 7")).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntries: 7  # few\n\n# how\nlink: copy\n");
        desk.run(&format!("config unset {scope} link")).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntries: 7  # few\n\n# how\n");
        desk.run(&format!("config unset {scope} offline")).ok().says("as before");
        fs::write(&file, "{tries: 3, link: copy}\n").unwrap();
        desk.run(&format!("config unset {scope} tries")).code(2).says("without touching more").says("Take `tries` out by hand.");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn what_was_granted_is_taken_back_alone() {
    let desk = Desk::new();
    desk.run("config set --user allowed_places one two").ok();
    desk.run("config unset --user allowed_places one").ok().prints("two");
    let left = desk.run("config get allowed_places").ok().stdout;
    assert_eq!(left.trim_end(), desk.s.project().join("two").display().to_string());
    desk.run("config unset --user allowed_places nowhere").ok().says("as before");
    desk.run("config unset --user allowed_places two").ok().prints("allowed_places is not set");
    desk.run("config unset --user tries 3").code(2).says("name the key alone");
}

#[test]
fn a_project_is_not_told_what_only_its_user_may_say() {
    let desk = Desk::new();
    let file = desk.s.project().join("configs/manager.yaml");
    for line in ["ca_file ca.pem", "trusted_endpoints https://a.lan", "allowed_places ..", "safe_projects /srv/p"] {
        let (key, value) = line.split_once(' ').unwrap();
        for scope in ["", "--project "] {
            desk.run(&format!("config set {scope}{line}"))
                .code(2)
                .says(&format!("a project may not set `{key}`"))
                .says(&format!("`model-manager config set --user {key} {value}`"));
        }
    }
    desk.run("config set --project store ../elsewhere").code(2).says("leads out of the project").says("allowed_places");
    assert!(!file.exists());
    // A place in the project is written from its folder on, wherever the command ran.
    let below = desk.s.project().join("src");
    fs::create_dir_all(&below).unwrap();
    let mut command = desk.s.command(["config", "set", "--project", "store", "../weights/blobs"]);
    command.current_dir(&below);
    desk.s.finish(command).ok().prints("store: weights/blobs");
    assert_eq!(fs::read_to_string(&file).unwrap(), "store: \"weights/blobs\"\n");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let desk = Desk::new();
    for line in ["get conections", "set conections 3", "unset --user conections"] {
        desk.run(&format!("config {line}")).code(2).says("there is no setting `conections`").says("`connections`");
    }
    desk.run("config set tries many").code(2).says("expected a number from 1 to 64");
    desk.run("config set tries 1 2").code(2).says("takes one value");
    desk.run("config list --user --project").code(2);
    let bash = desk.run("completions bash").ok().stdout;
    assert!(bash.contains("stall_timeout"), "keys are completed");
}

#[test]
fn a_file_with_a_slip_is_named_and_not_changed() {
    let desk = Desk::new();
    let file = desk.s.write("configs/manager.yaml", "tris: 3\n");
    for line in ["config set tries 3", "config unset tries", "config list", "config list --project"] {
        desk.run(line).code(2).says("manager.yaml:1:1: unknown key `tris`");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "tris: 3\n");
    // The other file can be changed meanwhile.
    desk.run("config set --user tries 3").ok();
}
