//! `lint`: what is odd in the registry, offline and against the Hub.

use serde_json::Value;

use crate::kit::{FILE, MIB, Machine, OTHER, REPO, entry, open_entry};
use crate::support::hub::{Content, Gating};
use crate::transcript::Transcript;
use snapbox::{IntoData, assert_data_eq, str};

impl Machine {
    /// The findings as `level rule line quant`.
    #[track_caller]
    fn findings(&self, line: &str, code: i32) -> (Vec<String>, Value) {
        let json = self.run(&format!("{line} --json")).code(code).json();
        let text = |finding: &Value, key: &str| match &finding[key] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let all = json["findings"].as_array().unwrap();
        let told = all.iter().map(|finding| ["level", "rule", "line", "quant"].map(|key| text(finding, key)).join(" ")).collect();
        (told, json)
    }
}

#[test]
fn the_shipped_registry_has_no_error_and_a_warning_fails_only_a_strict_run() {
    let machine = Machine::empty();
    let output = machine.run("lint").ok().prints("ok: (built-in), ").prints(" 0 errors, ");
    let lines: Vec<&str> = model_manager::registry::BUILT_IN.lines().collect();
    let file = lines.iter().position(|line| line.contains("file: \"phi-2.Q8_0.gguf\"")).unwrap();
    assert_eq!(lines[file + 2].trim(), "sha256: null");
    output.prints(&format!("(built-in):{}:11: warning: no `sha256` is given for phi-2.Q8_0.gguf", file + 3));
    machine.run("lint --strict").code(1).prints("failed: (built-in)");
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn a_fully_pinned_registry_is_clean() {
    let machine = Machine::new();
    let (found, _) = machine.findings("lint", 0);
    assert_eq!(found, ["note description 2 -", "note license 2 -"]);
    machine.run("lint --strict --online").ok().prints("0 errors, 0 warnings").prints("the Hub was asked");
    let count = machine.hub.count();
    assert_eq!((count.api, count.content_bytes()), (2, 0), "one question for the repository, one list of its commit");
}

#[test]
fn every_slip_is_found_at_its_place() {
    let machine = Machine::empty();
    let (a, b) = ("ab".repeat(32), "cd".repeat(32));
    let commit = "0".repeat(40);
    machine.sandbox.write(
        "configs/models.yaml",
        format!(
            "models:
  m:
    huggingface_id: o/r
    revision: main
    describtion: a slip
    license: mit
    formats:
      gguf:
        q4_k_m: {{ file: x.Q8_0.gguf, size: 1, sha256: {a} }}
        q5_k_m: {{ file: x.Q5_K_M.gguf, size: 2, sha256: {a} }}
        q6_k: {{ files: [{{ path: y-00001-of-00003.gguf, size: 1, sha256: {b} }}] }}
        q8_0: {{ file: x.Q8_0.gguf, size: 1, sha256: {a} }}
        old: {{ file: old.gguf, size: 1, sha256: null, status: superseded, superseded_by: older }}
        older: {{ file: older.gguf, size: null, sha256: {b}, superseded_by: 'n:q2_k' }}
        twice: {{ files: [a/z.gguf, b/z.gguf] }}
  n:
    huggingface_id: o/n
    revision: '{commit}'
    description: fine
    formats: {{ gguf: {{ q4_0: {{ file: n.Q4_0.gguf, size: 5, sha256: {b} }} }} }}
"
        ),
    );
    let (found, json) = machine.findings("lint", 1);
    for expected in [
        "warning unknown-key 5 -",
        "note description 2 -",
        "warning revision 4 q4_k_m",
        "error quant 9 q4_k_m",
        "error two-sizes 10 q5_k_m",
        "error parts 11 q6_k",
        "warning duplicate 12 q8_0",
        "warning sha256 13 old",
        "warning successor 13 old",
        "note size 14 older",
        "error successor 14 older",
        "error same-name 15 twice",
        "error two-sizes 20 q4_0",
        "note license 16 -",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected} is not among {found:#?}");
    }
    assert_eq!(json["ok"], false);
    let slip = json["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == "unknown-key").unwrap();
    assert_eq!((slip["column"].as_u64(), slip["hint"].as_str()), (Some(5), Some("Did you mean `description`?")));
    let next = |finding: &Value| finding["hint"].as_str().is_some_and(|next| !next.is_empty());
    assert!(json["findings"].as_array().unwrap().iter().all(next), "{json:#}");
    let mut said = Transcript::of(&machine);
    said.run(&machine, &["lint"]);
    assert_data_eq!(
        said.to_string(),
        str![[r#"
$ lint  # exit code 1
configs/models.yaml:2:3: note: model `m` has no `description` [description]
    Say in a line what the model is.
configs/models.yaml:4:5: warning: the revision `main` of `m:old` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:old --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:older` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:older --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:q4_k_m` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:q4_k_m --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:q5_k_m` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:q5_k_m --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:q6_k` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:q6_k --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:q8_0` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:q8_0 --update`, or write the commit.
configs/models.yaml:4:5: warning: the revision `main` of `m:twice` is a name that can move, not a commit of 40 digits [revision]
    Run `model-manager add m:twice --update`, or write the commit.
configs/models.yaml:5:5: warning: nothing reads the key `describtion` in `models.m` [unknown-key]
    Did you mean `description`?
configs/models.yaml:9:19: error: `m:q4_k_m` is the file x.Q8_0.gguf, whose name says `q8_0` [quant]
    Correct the file, or rename the quantization to `q8_0`.
configs/models.yaml:10:40: error: the sha256 [ID] has 2 bytes here and 1 in `m:q4_k_m` [two-sizes]
    One content has one size: correct one of the two.
configs/models.yaml:11:17: error: `m:q6_k` lacks parts of y-…-of-00003.gguf: 2, 3 of 3 [parts]
    List every part under `files`.
configs/models.yaml:12:17: warning: x.Q8_0.gguf of o/r is `m:q4_k_m` already [duplicate]
    Remove one of the two, unless both names are wanted.
configs/models.yaml:13:41: warning: no `sha256` is given for old.gguf (`m:old`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:old --update`.
configs/models.yaml:13:75: warning: `m:old` is succeeded by `older`, which is superseded itself [successor]
    Name the entry at the end of the chain.
configs/models.yaml:14:36: note: no `size` is given for older.gguf (`m:older`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:older --update`.
configs/models.yaml:14:48: note: older.gguf (`m:older`) has the same content as `m:q6_k` [same-content]
    Nothing has to be done: the store keeps it once.
configs/models.yaml:14:122: error: `m:older` names the successor `n:q2_k`, which is not in this file [successor]
    Run `model-manager info n` to see what there is, and correct `superseded_by`.
configs/models.yaml:15:26: warning: no `sha256` is given for a/z.gguf (`m:twice`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:twice --update`.
configs/models.yaml:15:26: note: no `size` is given for a/z.gguf (`m:twice`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:twice --update`.
configs/models.yaml:15:36: error: a/z.gguf and b/z.gguf would be one file in the folder of `m:twice` [same-name]
    Make two entries of them.
configs/models.yaml:15:36: warning: no `sha256` is given for b/z.gguf (`m:twice`): its content is not pinned [sha256]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:twice --update`.
configs/models.yaml:15:36: note: no `size` is given for b/z.gguf (`m:twice`): each download asks the Hub [size]
    Run `model-manager lint --online` to see what the Hub says, or `model-manager add m:twice --update`.
configs/models.yaml:16:3: note: model `n` has no `license` [license]
    Write the licence that the repository's page names.
configs/models.yaml:20:51: error: the sha256 [ID] has 5 bytes here and 1 in `m:q6_k` [two-sizes]
    One content has one size: correct one of the two.
failed: configs/models.yaml, 8 entries: 6 errors, 13 warnings, 6 notes

"#]]
        .raw()
    );
}

#[test]
fn a_projector_beside_a_model_has_a_quantization_of_its_own() {
    let machine = Machine::empty();
    let files = |names: &str| {
        format!("models:\n  m:\n    huggingface_id: o/r\n    formats:\n      gguf:\n        q4_k_m:\n          files: [{names}]\n")
    };
    machine.sandbox.write("configs/models.yaml", files("x.Q4_K_M.gguf, mmproj-x-F16.gguf"));
    let (found, _) = machine.findings("lint", 0);
    assert!(!found.iter().any(|line| line.contains("quant")), "{found:#?}");
    // Alone it is what the entry is about.
    machine.sandbox.write("configs/models.yaml", files("mmproj-x-F16.gguf"));
    let (found, _) = machine.findings("lint", 1);
    assert!(found.iter().any(|line| line == "error quant 7 q4_k_m"), "{found:#?}");
}

#[test]
fn what_is_wrong_in_an_entry_is_a_finding_with_its_place() {
    let machine = Machine::empty();
    machine.sandbox.write("configs/models.yaml", "models:\n  m:\n    hugingface_id: a/b\n    formats: {gguf: {q4_k_m: x.gguf}}\n");
    for line in ["lint", "lint --online"] {
        let (found, json) = machine.findings(line, 1);
        assert_eq!(found, ["error schema 3 q4_k_m"]);
        assert!(json["findings"][0]["message"].as_str().unwrap().contains("`huggingface_id`"), "{json:#}");
    }
    machine.run("lint --config nowhere.yaml").code(2).says("no registry at");
}

#[test]
fn the_hub_is_not_asked_offline() {
    let mut machine = Machine::new();
    machine.run("lint --online --offline").code(2).says("offline").says("hint: ");
    machine.sandbox.set_env("HF_HUB_OFFLINE", "1");
    machine.run("lint --online").code(2).says("HF_HUB_OFFLINE");
    machine.run("lint").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn sizes_and_hashes_that_differ_from_the_hub_end_with_code_4() {
    let machine = Machine::new();
    let text = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)]);
    let (size, sha256) = (machine.content().len(), machine.content().sha256().to_owned());
    machine.registry(&[text.replace(&format!("size: {size}"), "size: 5").replace(&sha256, &"ab".repeat(32))]);
    let (found, json) = machine.findings("lint --online", 4);
    assert!(found.contains(&"error differs 10 q4_k_m".to_owned()), "{found:?}");
    assert!(json.to_string().contains(&sha256) && json.to_string().contains(&format!("`size: {size}`")), "{json:#}");
    machine.run("lint").ok();
}

#[test]
fn what_the_hub_publishes_and_the_registry_lacks_is_printed_to_be_written() {
    let machine = Machine::new();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    let output = machine.run("lint --online").ok();
    let (sha256, commit) = (machine.content().sha256().to_owned(), machine.hub.commit(REPO));
    let output =
        output.prints(&format!("Write `sha256: \"{sha256}\"`")).prints(&format!("Write `size: {}`", machine.content().len()));
    output.prints(&format!("Write `revision: \"{commit}\"`")).prints("model-manager add tiny:q4_k_m --update");
    // And that command does it.
    machine.run("add tiny:q4_k_m --update").ok();
    machine.run("lint --online --strict").ok();
}

#[test]
fn what_became_of_repositories_is_found() {
    let machine = Machine::new();
    let file = |seed| Content::synthetic(MIB, seed);
    for (seed, repo) in (20..).zip(["me/renamed", "me/gated", "me/moved", "me/gone-file"]) {
        machine.hub.repo(repo).lfs("x.Q4_K_M.gguf", file(seed)).commit();
    }
    let q4 = [("q4_k_m", "x.Q4_K_M.gguf")];
    let mut entries: Vec<String> = ["me/renamed", "me/gated", "me/moved", "me/gone-file"]
        .iter()
        .map(|repo| entry(&machine.hub, &repo[3..], repo, &q4))
        .collect();
    entries.push(open_entry("absent", "no/such", &[("q4_k_m", "x.Q4_K_M.gguf"), ("q8_0", "x.Q8_0.gguf")]));
    entries[3] = entries[3].replace("x.Q4_K_M", "y.Q4_K_M");
    let commit = machine.hub.commit("me/moved");
    entries.push(entries[2].replace("  moved:", "  no-commit:").replace(&commit, &"1".repeat(40)));
    machine.registry(&entries);
    machine.hub.repo("me/new-name").lfs("x.Q4_K_M.gguf", file(20)).commit();
    machine.hub.repo("me/renamed").renamed_to("me/new-name");
    machine.hub.repo("me/gated").gated(Gating::Auto);
    let now = machine.hub.repo("me/moved").lfs("more.gguf", file(30)).commit();
    let (_, json) = machine.findings("lint --online", 1);
    let of = |model: &str| -> Vec<(String, String)> {
        let all = json["findings"].as_array().unwrap().iter().filter(|finding| finding["model"] == model);
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        all.map(|finding| {
            (format!("{} {}", text(finding, "level"), text(finding, "rule")), text(finding, "message") + &text(finding, "hint"))
        })
        .collect()
    };
    for (model, rule, word) in [
        ("renamed", "warning renamed", "huggingface_id: \"me/new-name\""),
        ("gated", "warning gated", "gated: true"),
        ("moved", "note moved", now.as_str()),
        ("gone-file", "error file", "x.Q4_K_M.gguf"),
        ("absent", "error repository", "HTTP 401"),
        ("no-commit", "error commit", "no such revision"),
    ] {
        let found = of(model);
        assert!(found.iter().any(|(told, words)| told == rule && words.contains(word)), "{model}: {found:#?}");
    }
    assert_eq!(of("absent").iter().filter(|(rule, _)| rule == "error repository").count(), 2, "both of its entries");
}

#[test]
fn a_token_that_is_not_accepted_or_a_dead_hub_is_an_error_and_no_finding() {
    let mut machine = Machine::new().impatient();
    machine.sandbox.set_env("HF_TOKEN", "hf_StaleSecret");
    let output = machine.run("lint --online").code(5).says("unset HF_TOKEN");
    assert!(!output.stdout.contains("hf_Stale") && !output.stderr.contains("hf_Stale"), "{output}");
    machine.sandbox.remove_env("HF_TOKEN");
    machine.run("lint --online --endpoint http://127.0.0.1:9").code(6);
}
