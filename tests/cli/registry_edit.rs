//! `add`: what the Hub publishes becomes an entry of the registry, and nothing else in the file changes.

use std::time::Duration;

use crate::kit::{FILE, MIB, Machine, OTHER, REPO, entry};
use crate::support::hub::{Content, Gating, Match};

const REGISTRY: &str = "configs/models.yaml";

impl Machine {
    fn text(&self) -> String {
        std::fs::read_to_string(self.sandbox.project().join(REGISTRY)).unwrap()
    }

    /// Fails with this code and these words, and changes no file.
    #[track_caller]
    fn will_not(&self, line: &str, code: i32, words: &[&str]) {
        let before = self.sandbox.tree();
        let output = self.run(line).code(code);
        for word in words {
            assert!(output.stderr.contains(word), "stderr lacks {word:?}: {output}");
        }
        assert_eq!(output.stderr.matches("error: ").count(), 1, "{output}");
        assert!(output.stderr.contains("hint: "), "no next step: {output}");
        before.assert_same(&self.sandbox.tree());
    }

    /// A model that was added costs its bytes and no question.
    #[track_caller]
    fn downloads_without_a_question(&self, what: &str) {
        self.hub.reset_counters();
        self.run(&format!("download {what}")).ok();
        assert_eq!(self.hub.count().api, 0, "{}", self.text());
        self.assert_tidy();
    }
}

/// Repositories of every kind beside the one that the registry knows.
fn machine() -> Machine {
    let machine = Machine::new();
    let part = |n: u64| Content::synthetic(MIB + n, 10 + n);
    machine.hub.repo("me/New-7B-GGUF").license("mit").lfs("new-7b.Q4_K_M.gguf", part(1)).lfs("new-7b.Q8_0.gguf", part(2)).commit();
    let split = machine.hub.repo("me/Big-GGUF").license("apache-2.0");
    split.lfs("big/big.Q6_K-00001-of-00002.gguf", part(3)).lfs("big/big.Q6_K-00002-of-00002.gguf", part(4)).commit();
    let shards = machine.hub.repo("me/Tiny").license("mit").lfs("model-00001-of-00002.safetensors", part(5));
    let shards = shards.lfs("model-00002-of-00002.safetensors", part(6)).plain("config.json", "{}");
    let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    shards.plain("model.safetensors.index.json", index).commit();
    machine.hub.repo("me/gated").lfs("g.Q4_K_M.gguf", part(7)).gated(Gating::Manual).commit();
    machine.hub.repo("me/two").lfs("one.Q4_K_M.gguf", part(8)).lfs("two.Q4_K_M.gguf", part(9)).commit();
    machine
}

#[test]
fn a_gguf_becomes_a_pinned_entry_that_downloads_without_a_question() {
    let machine = machine();
    let before = machine.text();
    let output = machine.run("add me/New-7B-GGUF:Q8_0").ok();
    let output = output.prints("Added new-7b:q8_0 in configs/models.yaml:").says("the id is `new-7b`");
    output.says("model-manager download new-7b:q8_0");
    let content = machine.hub.content("me/New-7B-GGUF", "new-7b.Q8_0.gguf");
    let (commit, size, sha256) = (machine.hub.commit("me/New-7B-GGUF"), content.len(), content.sha256());
    let added = format!(
        "\n  new-7b:\n    huggingface_id: \"me/New-7B-GGUF\"\n    revision: \"{commit}\"\n    license: \"mit\"\n    formats:\n      gguf:\n        \
         q8_0:\n          file: \"new-7b.Q8_0.gguf\"\n          size: {size}\n          sha256: \"{sha256}\"\n"
    );
    assert_eq!(machine.text(), format!("{before}{added}"));
    machine.downloads_without_a_question("new-7b:q8_0");

    // Another quantization of the same repository: only its file is said.
    let before = machine.text();
    machine.run("add hf.co/me/New-7B-GGUF").ok().says("q4_k_m was chosen").prints("new-7b:q4_k_m");
    let text = machine.text();
    let added = text.strip_prefix(&before).expect("what was there stays");
    assert!(added.starts_with("        q4_k_m:\n          file: \"new-7b.Q4_K_M.gguf\"\n          size: "), "{added}");
    machine.downloads_without_a_question("new-7b:q4_k_m");
    machine.run("lint").ok();
}

#[test]
fn the_parts_of_a_split_gguf_are_listed() {
    let machine = machine();
    machine.run("add me/Big-GGUF --id big --description Large").ok();
    let text = machine.text();
    for part in ["00001", "00002"] {
        let name = format!("big/big.Q6_K-{part}-of-00002.gguf");
        let sha256 = machine.hub.sha256("me/Big-GGUF", &name);
        assert!(text.contains(&format!("            - path: \"{name}\"\n              size: ")), "{text}");
        assert!(text.contains(&format!("              sha256: \"{sha256}\"\n")), "{text}");
    }
    assert!(text.contains("    description: \"Large\"\n    license: \"apache-2.0\"\n"), "{text}");
    machine.downloads_without_a_question("big");
    // Whoever names one part means them all.
    let reference = "hf://me/Big-GGUF/big/big.Q6_K-00002-of-00002.gguf";
    let json = machine.run(&format!("add {reference} --id same --json")).ok().json()["models"][0].clone();
    assert_eq!((json["quant"].as_str(), json["total_bytes"].as_u64()), (Some("q6_k"), Some(2 * MIB + 7)), "{json:#}");
    machine.downloads_without_a_question("same");
}

#[test]
fn a_safetensors_set_is_pinned_with_every_weight_file() {
    let machine = machine();
    // No format is named and there is no GGUF: the original is meant. Its id is one that the registry has.
    machine.run("add me/Tiny").ok().says("no GGUF file").prints("tiny --format safetensors");
    let text = machine.text();
    let added = format!(
        "      safetensors:\n        huggingface_id: \"me/Tiny\"\n        revision: \"{}\"\n        expect:\n          - path: \
         \"model-00001-of-00002.safetensors\"\n            size: {}\n            sha256: \"{}\"\n",
        machine.hub.commit("me/Tiny"),
        MIB + 5,
        machine.hub.sha256("me/Tiny", "model-00001-of-00002.safetensors")
    );
    assert!(text.contains(&added) && text.ends_with("        license: \"mit\"\n"), "{text}");
    assert!(!text.contains("config.json"), "{text}");
    let output = machine.run("download tiny --format safetensors").ok();
    assert_eq!(output.last_line(), "models/tiny/safetensors");
    assert!(machine.sandbox.project().join("models/tiny/safetensors/config.json").is_file());
    // The registry's word holds: another content under this commit is refused.
    machine.run("remove tiny --format safetensors").ok();
    machine.hub.repo("me/Tiny").swap("model-00001-of-00002.safetensors", Content::synthetic(MIB + 5, 99));
    machine.run("download tiny --format safetensors").code(4).says("the registry gives the sha256");
}

#[test]
fn a_gate_and_an_older_commit_are_written_down() {
    let machine = machine();
    machine.run("add me/gated:q4_k_m").ok().prints("access must be asked for");
    assert!(machine.text().contains("    gated: true\n    formats:"), "{}", machine.text());

    let old = machine.hub.commit("me/New-7B-GGUF");
    machine.hub.repo("me/New-7B-GGUF").lfs("new-7b.Q8_0.gguf", Content::synthetic(MIB, 77)).commit();
    machine.run(&format!("add hf://me/New-7B-GGUF@{old}/new-7b.Q8_0.gguf")).ok();
    let text = machine.text();
    assert!(text.contains(&old) && text.contains(&format!("size: {}", MIB + 2)) && text.contains("license: \"mit\""), "{text}");
    // The same model's other file of today: the commit is said at the quantization, where it differs.
    machine.run("add me/New-7B-GGUF:q4_k_m").ok();
    let now = machine.hub.commit("me/New-7B-GGUF");
    assert!(
        machine.text().contains(&format!("        q4_k_m:\n          revision: \"{now}\"\n          file: ")),
        "{}",
        machine.text()
    );
    machine.downloads_without_a_question("new-7b:q8_0");
    machine.downloads_without_a_question("new-7b:q4_k_m");
}

#[test]
fn what_cannot_be_added_is_told_and_changes_nothing() {
    let machine = machine();
    machine.will_not("add no/such", 5, &["does not exist", "HTTP 401"]);
    machine.will_not("add me/two", 2, &["me/two:one-q4_k_m`", "me/two:two-q4_k_m`"]);
    machine.will_not("add me/New-7B-GGUF:q5_k_m", 3, &["q5_k_m", "There is: `model-manager download me/New-7B-GGUF:q4_k_m`"]);
    machine.will_not("add me/New-7B-GGUF --revision v9", 3, &["no such revision"]);
    machine.will_not("add tiny", 2, &["`tiny` names no repository", "owner/repo"]);
    machine.will_not(&format!("add {REPO}:q8_0 --id tiny"), 2, &["`tiny:q8_0` stands in line 11 of", "--update"]);
    machine.will_not("add me/New-7B-GGUF:q8_0 --id tiny", 2, &["`tiny:q8_0` stands in line 11 of"]);
    machine.will_not("add me/New-7B-GGUF --id tiny --description new", 2, &["model `tiny` stands in line 2"]);
    machine.will_not("add me/New-7B-GGUF --update", 3, &["no entry `new-7b:q4_k_m`", "--update"]);
    machine.will_not("add me/New-7B-GGUF --offline", 6, &["offline"]);
    machine.will_not("add me/New-7B-GGUF --description a\u{1b}[2Jb", 2, &["description"]);
    machine.will_not("add hf://me/Big-GGUF/big/big.Q6_K-00001-of-00003.gguf", 3, &["there is no big/big.Q6_K-00001-of-00003.gguf"]);
    machine.run("add me/New-7B-GGUF --id a/b").code(2).says("a/b");
}

#[test]
fn a_dry_run_shows_a_diff_and_writes_nothing() {
    let machine = machine();
    let before = machine.sandbox.tree();
    let output = machine.run("add me/New-7B-GGUF --dry-run").ok();
    before.assert_same(&machine.sandbox.tree());
    assert!(
        output.stdout.starts_with("--- a/configs/models.yaml\n+++ b/configs/models.yaml\n@@ ")
            && output.stdout.contains("\n+  new-7b:\n"),
        "{output}"
    );
    let only_new = output.stdout.lines().skip(2).all(|line| line.starts_with(['+', ' ', '@']));
    assert!(only_new, "an insertion removes no line: {output}");
    let json = machine.run("add me/New-7B-GGUF --dry-run --json").ok().json()["models"][0].clone();
    before.assert_same(&machine.sandbox.tree());
    assert_eq!(
        (json["model"].as_str(), json["format"].as_str(), json["quant"].as_str()),
        (Some("new-7b"), Some("gguf"), Some("q4_k_m"))
    );
    assert_eq!(json["diff"].as_str(), Some(output.stdout.as_str()));
    // What the diff shows is what is then written.
    machine.run("add me/New-7B-GGUF").ok();
    let put: String =
        output.stdout.lines().skip(3).filter_map(|line| line.strip_prefix('+')).map(|line| format!("{line}\n")).collect();
    assert!(machine.text().ends_with(&put) && put.contains(json["entry"].as_str().unwrap()), "{put}");
}

#[test]
fn without_a_registry_the_built_in_one_is_written_out_with_the_new_entry() {
    let machine = Machine::empty();
    machine.hub.repo("me/New-7B-GGUF").lfs("new-7b.Q4_K_M.gguf", Content::synthetic(MIB, 1)).commit();
    machine.run("add me/New-7B-GGUF --dry-run").ok().prints("--- /dev/null").says("would be made from the built-in registry");
    assert!(!machine.sandbox.project().join("configs").exists());
    machine.will_not("add me/New-7B-GGUF --id phi-2", 2, &["`phi-2:q4_k_m` stands in line"]);
    machine.run("add me/New-7B-GGUF").ok().says("was made from the built-in registry");
    let text = machine.text();
    assert!(text.starts_with(model_manager::registry::BUILT_IN), "{text}");
    machine.run("info mistral-7b-instruct-v0.2").ok();
    machine.downloads_without_a_question("new-7b");
    assert_eq!(crate::kit::names(&machine.sandbox.project().join("configs")), ["models.yaml"]);
}

#[cfg(unix)]
#[test]
fn mode_links_and_line_ends_of_the_file_stay() {
    let machine = machine();
    let windows = format!("\u{feff}# mine\r\n{}", machine.text().replace('\n', "\r\n"));
    let target = machine.sandbox.write("elsewhere/shared.yaml", windows.as_bytes());
    crate::kit::set_mode(&target, 0o660);
    let link = machine.sandbox.project().join(REGISTRY);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../elsewhere/shared.yaml", &link).unwrap();
    machine.run("add me/New-7B-GGUF").ok();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&target).unwrap().permissions()) & 0o7777, 0o660);
    let text = std::fs::read_to_string(&target).unwrap();
    let added = text.strip_prefix(&windows).expect("what was there stays");
    assert!(added.contains("  new-7b:\r\n") && !added.replace("\r\n", "").contains('\n'), "{added:?}");
    assert_eq!(crate::kit::names(&machine.sandbox.project().join("elsewhere")), ["shared.yaml"]);
}

#[test]
fn a_file_that_cannot_be_edited_safely_stays_and_the_entry_is_shown() {
    let machine = machine();
    machine.sandbox.write(REGISTRY, "models: {tiny: {huggingface_id: a/b, formats: {gguf: {q8_0: tiny.gguf}}}}\n");
    machine.will_not(
        "add me/New-7B-GGUF",
        1,
        &["was not changed: in line 1", "new-7b: {", "new-7b.Q4_K_M.gguf", "model-manager lint"],
    );
}

#[test]
fn several_at_once_all_get_their_entry() {
    let machine = machine();
    let ids = ["a", "b", "c", "d", "e"];
    let running: Vec<_> = ids.iter().map(|id| machine.spawn(&format!("add me/New-7B-GGUF --id {id}"))).collect();
    for one in running {
        one.wait().ok();
    }
    let text = machine.text();
    for id in ids {
        assert!(text.contains(&format!("\n  {id}:\n")), "{id} was lost:\n{text}");
    }
    machine.run("lint").ok();
    assert_eq!(crate::kit::names(&machine.sandbox.project().join("configs")), ["models.yaml"]);
}

#[test]
fn what_somebody_wrote_while_the_hub_was_asked_stays() {
    let machine = machine();
    let hold = machine.hub.hold(Match::path_contains("/tree/"), 1);
    let running = machine.spawn("add me/New-7B-GGUF");
    assert!(hold.wait_frozen(1, Duration::from_secs(20)));
    let before = machine.text();
    machine.sandbox.write(REGISTRY, format!("{before}# mine\n"));
    hold.release();
    running.wait().ok();
    let text = machine.text();
    assert!(text.starts_with(&before) && text.contains("\n  new-7b:\n") && text.ends_with("# mine\n"), "{text}");
}

#[test]
fn a_run_that_was_killed_is_in_nobodys_way() {
    let machine = machine();
    machine.sandbox.write("configs/.models.yaml.lock", "{\"host\": \"here\"");
    machine.run("add me/New-7B-GGUF --lock-timeout 0").ok();
    assert_eq!(crate::kit::names(&machine.sandbox.project().join("configs")), ["models.yaml"]);
}

#[test]
fn an_update_pins_an_entry_anew_and_nothing_else() {
    let machine = machine();
    let text = entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)])
        .replace("          size", "          # counted\n          size");
    machine.registry(std::slice::from_ref(&text));
    machine.run("add tiny:q8_0 --update").ok().prints("Unchanged: tiny:q8_0");
    let (old, before) = (machine.hub.content(REPO, OTHER), machine.text());
    let now = machine.hub.repo(REPO).lfs(OTHER, Content::synthetic(MIB + 9, 3)).commit();
    let output = machine.run("add tiny:q8_0 --update").ok().prints("Updated tiny:q8_0 in configs/models.yaml:12");
    let new = machine.hub.content(REPO, OTHER);
    let expected = before
        .replace(&format!("          file: \"{OTHER}\""), &format!("          revision: \"{now}\"\n          file: \"{OTHER}\""))
        .replace(&format!("size: {}", old.len()), &format!("size: {}", new.len()))
        .replace(old.sha256(), new.sha256());
    assert_eq!(machine.text(), expected, "{output}");
    machine.downloads_without_a_question("tiny:q8_0");
    // By its repository it is the same entry.
    machine.run(&format!("add {REPO}:q4_k_m --id tiny --update")).ok().prints("Updated tiny:q4_k_m");
    machine.run("verify").ok();
}

#[test]
fn what_add_wrote_registry_remove_takes_out_again() {
    let machine = Machine::new();
    machine.hub.repo("acme/Small-GGUF").lfs("small.Q4_K_M.gguf", "four").lfs("small.Q8_0.gguf", "eight").commit();
    let path = machine.sandbox.project().join("configs/models.yaml");
    let text = || std::fs::read_to_string(&path).unwrap();
    let before = text() + "# the end\n";
    machine.sandbox.write("configs/models.yaml", &before);
    machine.run("add acme/Small-GGUF:Q4_K_M").ok();
    machine.run("add acme/Small-GGUF:Q8_0").ok();
    // Nothing is here to remove; what takes the entry out is named.
    let output =
        machine.run("remove small").code(3).says("`small` is not downloaded").says("`model-manager registry remove small`");
    output.says("`model-manager download small`");
    machine.run("remove small:q8_0").code(3).says("`model-manager registry remove small:q8_0`");
    let both = text();
    let diff = machine.run("registry remove small:q8_0 --dry-run").ok().stdout;
    assert!(diff.contains("-        q8_0:") && text() == both, "{diff}");
    machine.run("download small").ok();
    machine.run("registry remove small:q8_0").ok().prints("Took small/gguf/q8_0 out of configs/models.yaml:");
    assert!(!text().contains("small.Q8_0") && text().contains("small.Q4_K_M"));
    let done = machine.run("registry remove small").ok().says("`model-manager remove small:q4_k_m`");
    assert_eq!(text(), before, "{done}");
    machine.run("remove small:q4_k_m").ok();
    for (line, code, says) in [
        ("registry remove small", 3, "not found in registry"),
        ("registry remove tiny:q5_0", 3, "has no entry `tiny/gguf/q5_0`"),
        ("registry remove acme/Small-GGUF", 3, "is no entry of the registry"),
        ("registry remove", 2, "Usage"),
    ] {
        machine.run(line).code(code).says(says);
    }
    assert_eq!(text(), before);
    // What cannot be used can be taken out, and what is here of it be found.
    let odd = before.replace("# the end", "  odd: {huggingface_id: 12, formats: guff}\n# the end");
    machine.sandbox.write("configs/models.yaml", &odd);
    machine.sandbox.write("models/odd/gguf/x.gguf", "by hand");
    assert!(machine.run("path odd").ok().last_line().ends_with("models/odd/gguf/x.gguf"));
    machine.run("registry remove odd").ok();
    assert_eq!(text(), before);
    let json = machine.run("registry remove tiny --json").ok().json();
    assert_eq!((&json["model"], &json["dry_run"]), (&"tiny".into(), &false.into()), "{json:#}");
    assert_eq!(text(), "models: {}\n# the end\n");
}

#[test]
fn the_built_in_registry_is_not_changed_and_no_file_is_named_that_is_not_there() {
    let machine = Machine::empty();
    machine.hub.repo("acme/Small-GGUF").lfs("small.Q4_K_M.gguf", "four").commit();
    machine.run("registry remove phi-2").code(2).says("built-in").says("`model-manager add owner/repo:LABEL`");
    machine.run("remove phi-2").code(3).says("built-in registry");
    for line in [
        "add acme/Small-GGUF:Q4_K_M --id tinyllama-1.1b-chat",
        "add acme/Small-GGUF:Q4_K_M --id tinyllama-1.1b-chat --update",
        "add acme/Small-GGUF:Q4_K_M --id phi-2 --description x",
        "add acme/Small-GGUF:Q4_K_M --update",
    ] {
        let output = machine.run(line);
        assert!(!output.status.success() && !output.stderr.contains("models.yaml"), "{output}");
        assert!(output.stderr.contains("(built-in)"), "{output}");
    }
    assert!(!machine.sandbox.project().join("configs").exists());
    let slip = machine.run("download hf://acme/Small-GGUF/smal.Q4_K_M.gguf").code(3);
    slip.says("`model-manager download hf://acme/Small-GGUF/small.Q4_K_M.gguf`");
}
