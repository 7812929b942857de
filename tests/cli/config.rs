//! `config`: what is set, by what, and changes of the two files that keep everything else in them.

use std::fs;

use crate::kit::Machine;
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
    let mut machine = Machine::new();
    machine.sandbox.remove_env("HF_ENDPOINT");
    machine.sandbox.write("configs/manager.yaml", "tries: 3\nlink: copy\noffline: true\n");
    machine.run("config set --user tries 9").ok();
    machine.run("config set --user limit_rate 1.5MB").ok();
    machine.sandbox.set_env("HF_HUB_OFFLINE", "0");
    let list = machine.run("config list --json --link symlink").ok();
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
    assert_eq!(set_by(&list, "store").0, [machine.store().display().to_string()]);
    let lines = machine.run("config list").ok();
    let line = lines.stdout.lines().find(|line| line.starts_with("tries\t")).unwrap();
    assert_eq!(line, "tries\t3\tconfigs/manager.yaml");

    // Of one file, only what that says.
    let keys = |line: &str| {
        let document = machine.run(line).ok().json();
        let all = document["settings"].as_array().unwrap().iter();
        all.map(|setting| setting["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys("config list --user --json"), ["limit_rate", "tries"]);
    assert_eq!(keys("config list --project --json"), ["link", "offline", "tries"]);
    for (line, value) in [("get tries", "3\n"), ("get tries --user", "9\n"), ("get limit_rate --project", ""), ("get ca_file", "")]
    {
        assert_eq!(machine.run(&format!("config {line}")).ok().stdout, value, "{line}");
    }
}

#[test]
fn a_value_that_is_in_effect_in_another_spelling_is_not_called_overruled() {
    let machine = Machine::new();
    for line in ["--user limit_rate 5MB", "--user tries 05", "--project models_dir models"] {
        let output = machine.run(&format!("config set {line}")).ok();
        assert!(!output.stderr.contains("is in effect"), "{output}");
    }
    machine.run("config set --project tries 3").ok();
    machine.run("config set --user tries 8").ok().says("Here 3 is in effect");
}

#[test]
fn a_secret_is_said_to_be_set_and_is_not_shown() {
    let mut machine = Machine::new();
    machine.sandbox.set_env("HF_TOKEN", "hf_secret");
    machine.sandbox.set_env("https_proxy", "http://me:hunter2@proxy.lan:3128");
    for line in ["config list", "config list --json", "config get token", "config get proxy --json", "config get token -v"] {
        let output = machine.run(line).ok();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!said.contains("hf_secret") && !said.contains("hunter2"), "{output}");
    }
    machine.run("config list").ok().prints("token\t(set)\tHF_TOKEN").prints("proxy\t(set)\thttps_proxy");
    machine.run("config get token").ok().says("set by HF_TOKEN, and not shown");
}

#[test]
fn a_change_goes_to_the_project_inside_of_one_and_to_the_user_elsewhere() {
    let machine = Machine::new();
    let project = machine.sandbox.project().join("configs/manager.yaml");
    let user = machine.run("config path --user").ok().last_line().to_owned();
    assert_eq!(machine.run("config path").ok().last_line(), "configs/manager.yaml");
    machine.run("config set tries 4").ok().says("In configs/manager.yaml.");
    assert_eq!(fs::read_to_string(&project).unwrap(), "tries: 4\n");
    machine.run("config set tries 4").ok().says("as before");
    machine.run("config set --user tries 5").ok();
    assert_eq!(fs::read_to_string(&user).unwrap(), "tries: 5\n");
    let elsewhere = machine.sandbox.other_project("elsewhere");
    let run = |line: &str| {
        let mut command = machine.sandbox.command(line.split_whitespace());
        command.current_dir(&elsewhere);
        machine.sandbox.finish(command)
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
    let machine = Machine::new();
    let user = machine.run("config path --user").ok().last_line().to_owned();
    fs::create_dir_all(std::path::Path::new(&user).parent().unwrap()).unwrap();
    for (scope, file) in [("--user", user.into()), ("--project", machine.sandbox.project().join("configs/manager.yaml"))] {
        fs::write(&file, "# mine\ntries: 3  # few\n\n# how\nlink: copy\n").unwrap();
        machine.run(&format!("config set {scope} tries 7")).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntries: 7  # few\n\n# how\nlink: copy\n");
        machine.run(&format!("config unset {scope} link")).ok();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntries: 7  # few\n\n# how\n");
        machine.run(&format!("config unset {scope} offline")).ok().says("as before");
        fs::write(&file, "{tries: 3, link: copy}\n").unwrap();
        machine.run(&format!("config unset {scope} tries")).code(2).says("without touching more").says("Take `tries` out by hand.");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn what_was_granted_is_taken_back_alone() {
    let machine = Machine::new();
    machine.run("config set --user allowed_places one two").ok();
    machine.run("config unset --user allowed_places one").ok().prints("two");
    let left = machine.run("config get allowed_places").ok().stdout;
    assert_eq!(left.trim_end(), machine.sandbox.project().join("two").display().to_string());
    machine.run("config unset --user allowed_places nowhere").ok().says("as before");
    machine.run("config unset --user allowed_places two").ok().prints("allowed_places is not set");
    machine.run("config unset --user tries 3").code(2).says("name the key alone");
}

#[test]
fn a_project_is_not_told_what_only_its_user_may_say() {
    let machine = Machine::new();
    let file = machine.sandbox.project().join("configs/manager.yaml");
    for line in ["ca_file ca.pem", "trusted_endpoints https://a.lan", "allowed_places ..", "safe_projects /srv/p"] {
        let (key, value) = line.split_once(' ').unwrap();
        for scope in ["", "--project "] {
            machine
                .run(&format!("config set {scope}{line}"))
                .code(2)
                .says(&format!("a project may not set `{key}`"))
                .says(&format!("`model-manager config set --user {key} {value}`"));
        }
    }
    machine.run("config set --project store ../elsewhere").code(2).says("leads out of the project").says("allowed_places");
    assert!(!file.exists());
    // A place in the project is written from its folder on, wherever the command ran.
    let below = machine.sandbox.project().join("src");
    fs::create_dir_all(&below).unwrap();
    let mut command = machine.sandbox.command(["config", "set", "--project", "store", "../weights/blobs"]);
    command.current_dir(&below);
    machine.sandbox.finish(command).ok().prints("store: weights/blobs");
    assert_eq!(fs::read_to_string(&file).unwrap(), "store: \"weights/blobs\"\n");
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let machine = Machine::new();
    for line in ["get conections", "set conections 3", "unset --user conections"] {
        machine.run(&format!("config {line}")).code(2).says("there is no setting `conections`").says("`connections`");
    }
    machine.run("config set tries many").code(2).says("expected a number from 1 to 64");
    machine.run("config set tries 1 2").code(2).says("takes one value");
    machine.run("config list --user --project").code(2);
}

#[test]
fn a_file_with_a_slip_is_named_and_not_changed() {
    let machine = Machine::new();
    let file = machine.sandbox.write("configs/manager.yaml", "tris: 3\n");
    for line in ["config set tries 3", "config unset tries", "config list", "config list --project"] {
        machine.run(line).code(2).says("manager.yaml:1:1: unknown key `tris`");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "tris: 3\n");
    // The other file can be changed meanwhile.
    machine.run("config set --user tries 3").ok();
}
