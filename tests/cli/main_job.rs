//! The main job: a model once over the wire, shown where backends look for it, and every command of the guide.

use std::path::Path;

use crate::fsck::{Expect, assert_sound};
use crate::kit::{
    FILE, MIB, Machine, OTHER, PATH, REPO, assert_content, assert_not_written, blob_in, entry, open_entry, remove, set_mode, stamps,
};
use crate::support::gguf::Spec;
use crate::support::hub::Content;
use crate::support::run::slashes;

#[test]
fn the_first_download_costs_its_size_and_ends_with_the_path() {
    let machine = Machine::new();
    let output = machine.run("download tiny --format gguf --quant q4_k_m").ok();
    machine.assert_right(&output);
    assert_eq!(output.stdout, format!("{PATH}\n"), "only the path stands on stdout");

    let count = machine.hub.count();
    assert_eq!(count.content_bytes(), machine.content().len(), "every byte travelled once");
    assert_eq!(count.api, 0, "a pinned entry asks no question");
    assert_eq!(count.resolve, 1, "one signed address serves all ranges");

    let link = machine.sandbox.project().join(PATH);
    #[cfg(unix)]
    {
        let target = std::fs::read_link(&link).expect("a symbolic link");
        assert!(target.is_relative() && target.starts_with("../../../.blobs/sha256"), "{}", target.display());
        assert_eq!(link.canonicalize().unwrap(), machine.blob(&machine.content()).canonicalize().unwrap());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&link).unwrap().permissions()) & 0o7777;
        assert_eq!(mode, 0o444);
    }
    assert!(std::fs::metadata(&link).unwrap().permissions().readonly());
}

#[test]
fn a_second_download_sends_nothing_and_writes_nothing() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    let (before, stamped) = (machine.sandbox.tree(), stamps(&machine.sandbox.project()));
    machine.hub.reset_counters();
    let again = machine.run("download tiny --quant q4_k_m").ok().says("already present");
    machine.assert_right(&again);
    assert_eq!(machine.hub.count().total_requests(), 0);
    before.assert_same(&machine.sandbox.tree());
    assert_not_written(&machine.sandbox.project(), &stamped);
}

#[test]
fn a_second_project_on_the_same_store_sends_nothing() {
    let machine = Machine::new();
    let store = machine.sandbox.root().join("shared");
    let line = format!("download tiny --store {}", store.display());
    machine.run(&line).ok();
    machine.hub.reset_counters();
    let other = machine.sandbox.other_project("other");
    std::fs::create_dir_all(other.join("configs")).unwrap();
    std::fs::copy(machine.sandbox.project().join("configs/models.yaml"), other.join("configs/models.yaml")).unwrap();
    let mut command = machine.sandbox.command(line.split_whitespace());
    command.current_dir(&other);
    let output = machine.sandbox.finish(command).ok();
    assert_eq!(output.last_line(), PATH);
    assert_eq!(machine.hub.count().total_requests(), 0);
    assert_content(&other.join(PATH), &machine.content());
    assert!(blob_in(&store, &machine.content()).is_file() && !machine.store().exists());
    assert_sound(&model_manager::disk::RealDisk, &store, Expect::Tidy);

    // What one project removes, the other keeps.
    machine.run(&format!("remove tiny --store {}", store.display())).ok();
    assert_content(&other.join(PATH), &machine.content());
}

#[test]
fn another_model_with_the_same_file_sends_nothing() {
    let machine = Machine::new();
    machine.hub.repo("someone/copy").lfs("renamed.gguf", machine.content()).commit();
    machine.registry(&[
        entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]),
        entry(&machine.hub, "twin", "someone/copy", &[("q4_k_m", "renamed.gguf")]),
    ]);
    machine.run("download tiny").ok();
    machine.hub.reset_counters();
    let output = machine.run("download twin").ok();
    assert_eq!(output.last_line(), "models/twin/gguf/q4_k_m/renamed.gguf");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.assert_tidy();
    let freed = machine.run("remove twin --json").ok().json();
    assert_eq!(freed["totals"]["freed_bytes"], 0, "{freed:#}");
    assert_content(&machine.sandbox.project().join(PATH), &machine.content());
}

#[test]
fn force_fetches_everything_again_and_replaces_a_damaged_blob() {
    for link in ["auto", "hardlink"] {
        let machine = Machine::new();
        machine.run(&format!("download tiny --link {link}")).ok();
        let blob = machine.blob(&machine.content());
        let mut bytes = std::fs::read(&blob).unwrap();
        bytes[MIB as usize + 5] ^= 1;
        set_mode(&blob, 0o644);
        std::fs::write(&blob, bytes).unwrap();
        machine.run("verify tiny").code(4).prints("modified").says("--repair");
        machine.hub.reset_counters();
        let output = machine.run("download tiny --quant q4_k_m --force").ok();
        assert_eq!(machine.hub.count().content_bytes(), machine.content().len());
        machine.assert_right(&output);
        machine.run("verify tiny").ok().prints("ok ");
    }
}

#[test]
fn the_guide_works_from_top_to_bottom() {
    let machine = Machine::empty();
    let models = [
        ("tinyllama-1.1b-chat", "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF", "tinyllama-1.1b-chat-v1.0"),
        ("mistral-7b-instruct-v0.2", "TheBloke/Mistral-7B-Instruct-v0.2-GGUF", "mistral-7b-instruct-v0.2"),
        ("llama-2-7b-chat", "TheBloke/Llama-2-7B-Chat-GGUF", "llama-2-7b-chat"),
    ];
    let mut entries = Vec::new();
    for (seed, (id, repo, stem)) in (1..).zip(models) {
        let files: Vec<(&str, String)> = [("q4_k_m", "Q4_K_M"), ("q5_k_m", "Q5_K_M"), ("q8_0", "Q8_0")]
            .map(|(q, name)| (q, format!("{stem}.{name}.gguf")))
            .into();
        for (more, (_, file)) in (0..).zip(&files) {
            machine.hub.repo(repo).lfs(file, Spec::tiny().seed(seed * 10 + more).bytes()).commit();
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(quant, file)| (*quant, file.as_str())).collect();
        entries.push(entry(&machine.hub, id, repo, &files));
    }
    machine.registry(&entries);

    // Quick start; the path is the one the shipped backend settings name.
    machine.run("list").ok().says("No models here yet");
    machine.run("download tinyllama-1.1b-chat --format gguf --quant q4_k_m").ok();
    let mistral = machine.run("download mistral-7b-instruct-v0.2 --format gguf --quant q4_k_m").ok();
    let backend = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/backend/llama_cpp.yaml")).unwrap();
    let path = backend.lines().find_map(|line| line.trim().strip_prefix("model_path: ")).expect("a model_path").trim_matches('"');
    assert_eq!(mistral.last_line(), path);
    assert!(std::fs::read(machine.sandbox.project().join(path)).unwrap().starts_with(b"GGUF"));

    machine.run("download llama-2-7b-chat --quant q4_k_m").ok();
    machine.run("download llama-2-7b-chat --quantization q5_k_m").ok();
    let shouted = machine.run("download llama-2-7b-chat --quant Q8_0").ok();
    assert_eq!(shouted.last_line(), "models/llama-2-7b-chat/gguf/q8_0/llama-2-7b-chat.Q8_0.gguf");
    machine.run("download mistral-7b-instruct-v0.2 --quant q4_k_m --force").ok();

    let list = machine.run("list").ok();
    assert_eq!(list.stdout.lines().count(), 5, "{list}");
    assert!(list.stdout.lines().all(|line| line.split('\t').count() == 11), "{list}");
    assert_eq!(machine.run("list --format gguf").ok().stdout, list.stdout);
    assert_eq!(machine.run("list --format safetensors").ok().stdout, "");

    machine.run("verify llama-2-7b-chat --format gguf --quant q4_k_m").ok().prints("1 ok");
    machine.run("verify llama-2-7b-chat").ok().prints("3 ok");
    machine.run("verify").ok().prints("5 ok");
    assert_eq!(
        machine.run("path llama-2-7b-chat --quant q5_k_m").ok().stdout,
        "models/llama-2-7b-chat/gguf/q5_k_m/llama-2-7b-chat.Q5_K_M.gguf\n"
    );

    let info = machine.run("info").ok();
    assert!(models.iter().all(|(id, ..)| info.stdout.contains(id)), "{info}");
    machine.run("info llama-2-7b-chat").ok().prints("q4_k_m").prints("TheBloke/Llama-2-7B-Chat-GGUF");

    // Three scopes of removal.
    machine.run("remove llama-2-7b-chat --format gguf --quant q4_k_m").ok();
    assert_eq!(machine.run("list").ok().stdout.lines().count(), 4);
    machine.run("remove llama-2-7b-chat --format gguf").ok();
    assert_eq!(machine.run("list").ok().stdout.lines().count(), 2);
    machine.run("remove mistral-7b-instruct-v0.2").ok();
    machine.run("remove tinyllama-1.1b-chat").ok();
    assert_eq!(machine.run("list").ok().stdout, "");
    machine.assert_tidy();
    let left = machine.sandbox.tree();
    let left: Vec<_> =
        left.paths().into_iter().filter(|path| path.ends_with(".gguf") || path.contains("/sha256/") && path.len() > 80).collect();
    assert!(left.is_empty(), "{left:?}");
    machine.run("remove tinyllama-1.1b-chat").code(3).says("not downloaded").says("model-manager download tinyllama-1.1b-chat");
}

#[test]
fn an_entry_that_pins_nothing_asks_two_questions_once() {
    let machine = Machine::new();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    let output = machine.run("download tiny --quant q4_k_m").ok();
    machine.assert_right(&output);
    let count = machine.hub.count();
    assert_eq!((count.api, count.resolve, count.content_bytes()), (2, 1, machine.content().len()));
    machine.hub.reset_counters();
    let (before, stamped) = (machine.sandbox.tree(), stamps(&machine.sandbox.project()));
    machine.run("download tiny").ok();
    machine.run("path tiny").ok().prints(PATH);
    assert_eq!(machine.hub.count().total_requests(), 0);
    before.assert_same(&machine.sandbox.tree());
    assert_not_written(&machine.sandbox.project(), &stamped);
    machine.run("verify tiny").ok().prints("1 ok");
}

#[test]
fn a_safetensors_set_is_complete_and_its_path_is_the_folder() {
    let machine = Machine::empty();
    let index = r#"{"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    let first = Content::synthetic(MIB + 9, 3);
    machine
        .hub
        .repo("TinyLlama/TinyLlama")
        .lfs("model-00001-of-00002.safetensors", &first)
        .lfs("model-00002-of-00002.safetensors", Content::synthetic(70_001, 4))
        .plain("model.safetensors.index.json", index)
        .plain("config.json", "{}")
        .plain("tokenizer.json", r#"{"version":"1.0"}"#)
        .plain("tokenizer_config.json", "{}")
        .plain("generation_config.json", "{}")
        .plain(".gitattributes", "*.bin filter=lfs")
        .plain("README.md", "# hello")
        .lfs("pytorch_model.bin", Content::synthetic(50_000, 5))
        .commit();
    machine.sandbox.write(
        "configs/models.yaml",
        "models:\n  tinyllama-1.1b-chat:\n    huggingface_id: \"TinyLlama/TinyLlama\"\n    formats:\n      safetensors: {}\n",
    );
    let output = machine.run("download tinyllama-1.1b-chat --format safetensors").ok();
    assert_eq!(output.last_line(), "models/tinyllama-1.1b-chat/safetensors");
    let dir = machine.sandbox.project().join(output.last_line());
    for file in [
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ] {
        assert_content(&dir.join(file), &machine.hub.content("TinyLlama/TinyLlama", file));
    }
    assert_content(&dir.join("model-00001-of-00002.safetensors"), &first);
    assert!(!dir.join("pytorch_model.bin").exists());
    machine.assert_tidy();
    machine.hub.reset_counters();
    machine.run("download tinyllama-1.1b-chat --format safetensors").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("verify tinyllama-1.1b-chat").ok();
    machine.run("list --format safetensors").ok().prints("tinyllama-1.1b-chat\tsafetensors\t-\t");
    machine.run("remove tinyllama-1.1b-chat").ok();
    assert!(!dir.exists());
}

#[test]
fn several_models_on_one_line_give_one_path_each_in_order() {
    let machine = Machine::new();
    let output = machine.run("download tiny:q8_0 tiny:q4_k_m").ok();
    assert_eq!(output.stdout, format!("models/tiny/gguf/q8_0/{OTHER}\n{PATH}\n"));
    assert_eq!(machine.hub.count().content_bytes(), machine.content().len() + MIB + 1);

    let some = machine.run("download tiny:q8_0 nonsuch tiny:q4_k_m").code(3).says("nonsuch");
    assert_eq!(some.stdout.lines().count(), 2, "one that cannot be had does not keep the others back: {some}");
}

#[test]
fn a_reference_to_the_hub_needs_no_registry() {
    let machine = Machine::new();
    std::fs::remove_file(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    let path = format!("models/TheBloke--Tiny-GGUF/gguf/q8_0/{OTHER}");
    for (number, reference) in [
        format!("{REPO}:Q8_0"),
        format!("hf.co/{REPO}:q8_0"),
        format!("hf://{REPO}/{OTHER}"),
        format!("{}/{REPO}/blob/main/{OTHER}", machine.hub.url()),
    ]
    .iter()
    .enumerate()
    {
        machine.hub.reset_counters();
        let output = machine.run(&format!("download {reference}")).ok();
        assert_eq!(output.last_line(), path, "{reference}");
        let expected = if number == 0 { MIB + 1 } else { 0 };
        assert_eq!(machine.hub.count().content_bytes(), expected, "{reference}");
        machine.run(&format!("verify {reference}")).ok().prints("1 ok");
        assert_eq!(machine.run(&format!("path {reference}")).ok().stdout, format!("{path}\n"), "{reference}");
    }
    machine.run(&format!("remove {REPO}")).ok();
    machine.assert_tidy();
}

#[test]
fn a_split_gguf_is_one_unit_and_its_path_is_part_one() {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo("big/Split-GGUF");
    let mut files = String::new();
    for (name, bytes) in Spec::tiny().split("big.Q4_K_M", 3) {
        files += &format!("            - path: \"{name}\"\n");
        repo = repo.lfs(&name, bytes);
    }
    repo.commit();
    machine.sandbox.write(
        "configs/models.yaml",
        format!("models:\n  big:\n    huggingface_id: \"big/Split-GGUF\"\n    formats:\n      gguf:\n        q4_k_m:\n          files:\n{files}"),
    );
    let output = machine.run("download big").ok();
    assert_eq!(output.last_line(), "models/big/gguf/q4_k_m/big.Q4_K_M-00001-of-00003.gguf");
    machine.run("verify big").ok().prints("3 ok");
    let direct = machine.run("download big/Split-GGUF:q4_k_m").ok();
    assert_eq!(direct.last_line(), "models/big--Split-GGUF/gguf/q4_k_m/big.Q4_K_M-00001-of-00003.gguf");
    machine.assert_tidy();
}

#[test]
fn another_revision_is_another_file_under_the_same_name() {
    let machine = Machine::new();
    machine.hub.repo(REPO).tag("v1").lfs(FILE, "new content").commit();
    machine.run("download tiny").ok();
    let old = Content::synthetic(2 * MIB + 7, 1);
    assert_content(&machine.sandbox.project().join(PATH), &old);
    machine.run("download tiny --revision main").ok();
    assert_content(&machine.sandbox.project().join(PATH), &Content::from("new content"));
    machine.run("download tiny --revision nope").code(3).says("no such revision");
    assert_content(&machine.sandbox.project().join(PATH), &Content::from("new content"));
    machine.run("download tiny").ok();
    assert_content(&machine.sandbox.project().join(PATH), &old);
    machine.assert_tidy();
}

#[test]
fn a_dry_run_tells_all_and_does_nothing() {
    let machine = Machine::new();
    let before = machine.sandbox.tree();
    machine
        .run("download tiny --dry-run")
        .ok()
        .prints("2.10 MB of 2.10 MB to fetch; no request to plan, at least 1 to download")
        .prints("free on the volume of models/.blobs now")
        .prints("memory: fits: running it takes about 0.50 GB");
    let plan = machine.run("download tiny --dry-run --json").ok().json();
    assert_eq!(
        (plan["plans"][0]["download_bytes"].as_u64(), plan["plans"][0]["api_requests"].as_u64()),
        (Some(2 * MIB + 7), Some(0))
    );
    assert_eq!(machine.hub.count().total_requests(), 0);
    before.assert_same(&machine.sandbox.tree());
    machine.run("download tiny").ok();
    let before = machine.sandbox.tree();
    machine.run("download tiny --dry-run").ok().prints("0 B of 2.10 MB to fetch; no request to plan, none to download");
    machine.run("remove tiny --dry-run").ok().prints("tiny");
    before.assert_same(&machine.sandbox.tree());
}

#[test]
fn a_link_deleted_by_hand_comes_back_without_a_request() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    remove(machine.sandbox.project().join(PATH));
    machine.hub.reset_counters();
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
    assert_eq!(machine.hub.count().total_requests(), 0);
    // The whole tree moves with its links.
    std::fs::rename(machine.sandbox.models(), machine.sandbox.project().join("weights")).unwrap();
    machine.run("verify --models-dir weights").ok().prints("1 ok");
    std::fs::rename(machine.sandbox.project().join("weights"), machine.sandbox.models()).unwrap();
}

#[test]
#[cfg_attr(windows, ignore = "views are hard links there, which do without the blob's own name")]
fn a_blob_that_is_gone_is_told_and_fetched_again() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    remove(machine.blob(&machine.content()));
    machine.run("list").ok().prints("broken");
    machine.run("verify").code(4).prints("missing");
    machine.run("path tiny").code(3).says("model-manager download tiny");
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
fn a_dry_run_tells_the_numbers_behind_its_answers() {
    let machine = Machine::new();
    let total = model_manager::disk::total_memory().expect("this system tells its memory");
    let model = |id: &str, size: u64, seed: u64| {
        let sha256 = format!("{seed:064x}");
        format!(
            "  {id}:\n    huggingface_id: \"a/b\"\n    revision: \"{:040x}\"\n    ram: \"4-8 GB\"\n    license: \"mit\"\n    gated: true\n    \
             formats:\n      gguf:\n        q4_k_m: {{file: \"{id}.Q4_K_M.gguf\", size: {size}, sha256: \"{sha256}\"}}\n",
            7
        )
    };
    machine.registry(&[model("huge", total, 1), model("exact", total * 10 / 11 - 600_000_000, 2)]);
    let plan = |line: &str| machine.run(&format!("{line} --dry-run --json")).ok().json()["plans"][0].clone();
    let huge = plan("download huge");
    assert_eq!(huge["memory"]["verdict"], "does_not_fit", "{huge:#}");
    assert_eq!(huge["memory"]["memory_bytes"], total);
    assert_eq!((huge["memory"]["weights_bytes"].as_u64(), huge["memory"]["ram"].as_str()), (Some(total), Some("4-8 GB")));
    assert_eq!(plan("download exact")["memory"]["verdict"], "tight");
    machine.run("download huge --dry-run").ok().prints("does not fit").prints("mit; access must be asked for");

    // Small files are known by their git hash; all questions and the files are counted; a part that is here is not fetched.
    machine.hub.repo("a/set").lfs("model.safetensors", Content::synthetic(3 * MIB, 9)).plain("config.json", "{}").commit();
    let set = plan("download a/set --format safetensors");
    assert_eq!((set["api_requests"].as_u64(), set["requests"].as_u64()), (Some(2), Some(4)), "{set:#}");
    assert_eq!(set["files"][0]["file"], "config.json");
    assert!(set["files"][0]["sha256"].is_null() && set["files"][0]["git_sha1"].as_str().is_some_and(|hash| hash.len() == 40));
    assert_eq!((set["download_bytes"].as_u64(), set["disk_bytes"].as_u64()), (Some(3 * MIB + 2), Some(3 * MIB + 2)));
    assert_eq!(set["free_bytes_after"].as_u64(), set["free_bytes"].as_u64().map(|free| free - (3 * MIB + 2)));
    assert_eq!(set["store"].as_str(), Some(&*slashes(machine.store().to_str().unwrap())));
    let before = machine.hub.count().total_requests();
    machine.run("download a/set --format safetensors").ok();
    assert!(machine.hub.count().total_requests() - before >= 4);
    let again = plan("download a/set --format safetensors");
    assert_eq!(
        (again["download_bytes"].as_u64(), again["requests"].as_u64(), again["api_requests"].as_u64()),
        (Some(0), Some(0), Some(0))
    );
}
