//! What `--progress` shows, and what `docs/json.md` says of its events.

use crate::{
    json::{Common, Documented, Keys, walk},
    kit::{MIB, Machine, entry},
    support::hub::{Content, Match},
    support::run::Output,
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The events of a run; nothing else is on its standard error.
#[track_caller]
fn events(output: &Output) -> Vec<Value> {
    let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{output}"));
    output.stderr.lines().map(event).collect()
}

fn of<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn machine() -> Machine {
    let machine = Machine::empty();
    machine.hub.repo("a/owl").lfs("owl-Q4_K_M.gguf", Content::synthetic(3 * MIB, 1)).commit();
    machine.hub.repo("a/eye").lfs("eye-Q4_K_M.gguf", Content::synthetic(2 * MIB, 2)).commit();
    machine.registry(&[
        entry(&machine.hub, "owl", "a/owl", &[("q4_k_m", "owl-Q4_K_M.gguf")]),
        entry(&machine.hub, "eye", "a/eye", &[("q4_k_m", "eye-Q4_K_M.gguf")]),
    ]);
    machine
}

/// A run that waits for another's download, is refused, and one that meets all the rest.
fn all_events(machine: &Machine) -> Vec<Value> {
    let hold = machine.hub.hold(Match::cdn().content(), 2 * MIB + 5);
    let other = machine.spawn("download owl --connections 1");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)), "{}", other.stderr_so_far());
    crate::kit::until("it has a partial", || !machine.partials().is_empty());
    let mut all = events(&machine.run("download owl --progress json --lock-timeout 3s").code(8));
    hold.release();
    other.wait().ok();
    let output = machine.run("download owl eye nothing --progress json").code(3);
    assert_eq!(output.stdout, "models/owl/gguf/q4_k_m/owl-Q4_K_M.gguf\nmodels/eye/gguf/q4_k_m/eye-Q4_K_M.gguf\n");
    all.extend(events(&output));
    all
}

#[test]
fn events_for_programs_are_as_documented() {
    let machine = machine();
    let all = all_events(&machine);
    let mut seen: BTreeMap<String, (Keys, Common)> = BTreeMap::new();
    for event in &all {
        let mut fields = event.as_object().unwrap().clone();
        assert_eq!(fields.remove("version"), Some(1.into()), "{event}");
        let name = fields.remove("event").unwrap();
        let (keys, common) = seen.entry(name.as_str().unwrap().to_owned()).or_default();
        walk(keys, common, "", &Value::Object(fields));
    }
    let documented = Documented::read();
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["error", "file_done", "model_done", "notice", "plan", "progress", "waiting"]);
    for (name, (keys, common)) in &seen {
        let expected = documented.of(&format!("Event {name}"));
        for (key, types) in keys {
            let known = expected.keys.get(key).unwrap_or_else(|| panic!("{name}: `{key}` is not documented"));
            assert!(types.is_subset(known), "{name}: `{key}` was {types:?}, documented is {known:?}");
        }
        for key in expected.keys.keys().filter(|key| !key.contains('.') && !key.contains('[')) {
            assert!(common[""].contains(key), "{name}: an event came without `{key}`");
        }
    }
}

#[test]
fn a_program_sees_the_total_first_and_each_file_and_model_to_its_end() {
    let machine = machine();
    let output = machine.run("download owl eye --progress json").ok();
    let all = events(&output);
    let plan = of(&all, "plan");
    assert_eq!((plan.len(), &plan[0]["files"], &plan[0]["download_bytes"]), (1, &2.into(), &(5 * MIB).into()), "{output}");
    assert_eq!(all.iter().position(|event| event["event"] == "plan"), Some(0), "{output}");
    let mut done: Vec<&str> = of(&all, "file_done").iter().map(|event| event["file"].as_str().unwrap()).collect();
    done.sort_unstable();
    assert_eq!(done, ["eye/gguf/q4_k_m/eye-Q4_K_M.gguf", "owl/gguf/q4_k_m/owl-Q4_K_M.gguf"]);
    let mut models: Vec<&str> = of(&all, "model_done").iter().map(|event| event["model"].as_str().unwrap()).collect();
    models.sort_unstable();
    assert_eq!(models, ["eye", "owl"]);
    // Nothing is fetched, so there is nothing to plan.
    let again = events(&machine.run("download owl --progress json --json").ok());
    assert!(of(&again, "plan").is_empty() && of(&again, "model_done").len() == 1, "{again:?}");
}

#[test]
fn who_waits_for_the_download_of_another_process_sees_how_far_it_is() {
    let machine = machine();
    let all = all_events(&machine);
    let elsewhere: Vec<&Value> = of(&all, "progress").into_iter().filter(|event| event["state"] == "elsewhere").collect();
    assert_eq!((&elsewhere[0]["done_bytes"], &elsewhere[0]["size"]), (&(2 * MIB).into(), &(3 * MIB).into()), "{elsewhere:?}");
    assert!(of(&all, "waiting")[0]["holder"].as_str().unwrap().contains("process"), "{all:?}");
}

#[test]
fn plain_progress_has_a_line_for_each_beginning_and_end_and_none_has_nothing() {
    let machine = machine();
    let plain = machine.run("download owl --progress plain").ok();
    plain.says("owl-Q4_K_M.gguf: fetching 3.15 MB").says("owl-Q4_K_M.gguf: complete and verified");
    for none in ["--progress none", "--no-progress"] {
        machine.run("remove owl").ok();
        let output = machine.run(&format!("download owl {none}")).ok();
        assert!(!output.stderr.contains("fetching"), "{output}");
    }
    machine.run("download owl --progress none --no-progress").code(2);
}
