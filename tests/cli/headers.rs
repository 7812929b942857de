//! Headers of weights: a wrong file is refused before it travels whole, and `info` tells what a present file says.

use crate::kit::{FILE, MIB, Machine, REPO};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Part};
use model_manager::{
    digest::sha256_of,
    disk::RealDisk,
    store::{Acquired, BlobRequest, IngestKey, Store, Trust, Wait},
};
use std::sync::Arc;

/// A GGUF of some MiB that lost its end.
fn cut(mib: u64) -> Content {
    let mut bytes = Spec::mib(mib).bytes();
    bytes.truncate(bytes.len() - 4096);
    bytes.into()
}

#[test]
fn a_gguf_whose_tensors_do_not_fit_is_refused_after_its_first_bytes() {
    let machine = Machine::of(cut(64));
    let output = machine.run("download tiny --quant q4_k_m").code(4);
    let output = output.says(&format!("{FILE} is a damaged GGUF file: tensor `")).says("Nothing of it was kept");
    assert!(machine.hub.count().content_bytes() < 48 * MIB, "it travelled almost whole: {output}");
    machine.assert_nothing_published();
    assert_eq!(machine.partials(), Vec::<String>::new(), "the partial is gone");
    machine.assert_tidy();
}

#[test]
fn a_part_of_a_wrong_file_from_before_is_refused_when_it_is_read_back() {
    let machine = Machine::of(cut(8));
    let bytes = machine.content().bytes();
    let store = Store::open_or_init(Arc::new(RealDisk), &machine.store(), false).unwrap();
    let lease = Arc::new(store.lease().unwrap());
    let request = BlobRequest {
        key: IngestKey::Sha256(sha256_of(&bytes)),
        size: bytes.len() as u64,
        what: FILE.into(),
        trust: Trust::Sha256Upstream,
    };
    let Acquired::Writer(writer) = store.begin_ingest(request, &lease, &Wait::silent(None)).unwrap() else { panic!("it is there") };
    for index in 0..4 {
        let range = writer.range(index);
        writer.write(index, &bytes[range.start as usize..range.end as usize]).unwrap();
    }
    drop((writer, lease));
    assert_eq!(machine.partials().len(), 1);

    machine.run("download tiny --quant q4_k_m").code(4).says("is a damaged GGUF file");
    let ranges =
        machine.hub.count().of(Part::Cdn).filter(|request| request.status == 206).map(|request| request.bytes_sent).sum::<u64>();
    assert!(ranges <= bytes.len() as u64 - 4 * MIB, "it went on from the part");
    assert_eq!(machine.partials(), Vec::<String>::new());
    machine.assert_tidy();
}

#[test]
fn what_stands_in_the_place_of_weights_is_named() {
    for (name, text, kind) in [
        ("a.Q4_K_M.gguf", "<!doctype html><title>Sign in</title>".to_owned(), "an HTML page"),
        ("b.Q4_K_M.gguf", "{\"error\":\"not now\"}".to_owned(), "a JSON document"),
        ("c.Q4_K_M.gguf", Content::synthetic(5, 1).lfs_pointer(), "a Git LFS pointer"),
    ] {
        let machine = Machine::empty();
        machine.hub.repo("o/r").plain(name, text.into_bytes()).commit();
        let output = machine.run("download o/r:Q4_K_M").code(4);
        output.says(&format!("{name} is not a GGUF file: it begins like {kind}"));
        machine.assert_nothing_published();
        machine.assert_tidy();
    }
}

#[test]
fn a_good_model_and_bytes_without_a_magic_pass() {
    let machine = Machine::of(Spec::mib(3).bytes());
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
    assert_eq!(machine.hub.content(REPO, FILE).len(), machine.content().len());
    let random = Machine::new();
    random.assert_right(&random.run("download tiny").ok());
}

/// A set of two shards, and an index that names `named`.
fn sharded(machine: &Machine, named: &[&str]) {
    let map: serde_json::Map<String, serde_json::Value> =
        named.iter().enumerate().map(|(i, name)| (format!("t{i}"), (*name).into())).collect();
    let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string().into_bytes();
    machine
        .hub
        .repo("o/set")
        .plain("config.json", br#"{"architectures":["LlamaForCausalLM"],"max_position_embeddings":4096}"#.to_vec())
        .plain("model.safetensors.index.json", index)
        .lfs("model-00001-of-00002.safetensors", Content::synthetic(3 * MIB, 1))
        .lfs("model-00002-of-00002.safetensors", Content::synthetic(3 * MIB, 2))
        .commit();
}

#[test]
fn an_index_that_names_more_than_there_is_stops_the_download_before_the_shards() {
    let machine = Machine::empty();
    sharded(&machine, &["model-00001-of-00002.safetensors", "model-extra.safetensors"]);
    let output = machine.run("download o/set --format safetensors").code(3);
    output.says("set that model.safetensors.index.json describes is incomplete: model-extra.safetensors missing");
    assert!(machine.hub.count().content_bytes() < 4096, "no shard travelled");
    assert!(!machine.sandbox.models().join("o--set").exists());
    assert_eq!(machine.partials(), Vec::<String>::new());
    // The same when the index is in the store already.
    machine.run("download o/set --format safetensors").code(3);
}

#[test]
fn a_set_is_fetched_whole_and_every_byte_once() {
    let machine = Machine::empty();
    sharded(&machine, &["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
    machine.run("download o/set --format safetensors").ok();
    let small = 6 * MIB..6 * MIB + 4096;
    assert!(small.contains(&machine.hub.count().content_bytes()));
    let names = crate::kit::names(&machine.sandbox.models().join("o--set/safetensors"));
    assert_eq!(names.iter().filter(|name| !name.starts_with('.')).count(), 4, "{names:?}");
    machine.assert_tidy();
    machine.hub.reset_counters();
    machine.run("download o/set --format safetensors").ok().says("already present");
    assert_eq!(machine.hub.count().content_bytes(), 0);
}

#[test]
fn an_index_that_is_none_is_told_by_its_name() {
    let machine = Machine::empty();
    sharded(&machine, &[]);
    machine.hub.repo("o/set").plain("model.safetensors.index.json", b"Entry not found".to_vec()).commit();
    let output = machine.run("download o/set --format safetensors").code(4);
    output.says("model.safetensors.index.json is no index of weights: it is not JSON");
}

#[test]
fn info_tells_what_a_present_file_says() {
    let machine = Machine::of(Spec::mib(2).bytes());
    let before = machine.run("info tiny").ok();
    assert!(!before.stdout.contains("llama"), "{before}");
    machine.run("download tiny").ok();
    machine.hub.reset_counters();
    machine.run("info tiny").ok().prints("gguf/q4_k_m: llama, ").prints("context of 256 tokens, F16, no chat template");
    let info = machine.run("info tiny:q4_k_m --json").ok().json();
    let forms = info["models"][0]["forms"].as_array().unwrap();
    assert_eq!(forms.len(), 1, "only the form that was named");
    assert_eq!(forms[0]["weights"]["name"], "tiny-random");
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("info tiny:q9_9").code(3);
}

#[test]
fn info_of_a_reference_fetches_headers_only() {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo("o/r");
    for (name, bytes) in Spec::mib(24).split("big-Q4_K_M", 3) {
        repo = repo.lfs(&name, bytes);
    }
    repo.commit();
    let whole = machine.run("info o/r:Q4_K_M").ok().prints("o/r").prints("llama, ").prints("M parameters, context of 256 tokens");
    assert!(machine.hub.count().content_bytes() < 5 * MIB, "headers only: {whole}");
    assert!(!machine.sandbox.models().exists(), "nothing was made");
    let remote = machine.run("info o/r:Q4_K_M --json").ok().json()["models"][0]["forms"][0].clone();
    machine.run("download o/r:Q4_K_M").ok();
    machine.hub.reset_counters();
    let local = machine.run("info o/r:Q4_K_M --json --offline").ok().json()["models"][0]["forms"][0].clone();
    assert_eq!(machine.hub.count().total_requests(), 0);
    assert_eq!((&local["weights"], &local["present"]), (&remote["weights"], &true.into()));
    assert_eq!(remote["present"], false);
}

#[test]
fn info_asks_the_hub_about_a_form_that_is_not_here_only_when_told() {
    let machine = Machine::of(Spec::mib(4).bytes());
    machine.run("info tiny:q4_k_m").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.run("info tiny:q4_k_m --remote").ok().prints("gguf/q4_k_m: llama, ");
    assert!(machine.hub.count().content_bytes() <= MIB);
    machine.run("info tiny:q4_k_m --remote --offline").code(6);
}

#[test]
fn info_of_a_set_reads_its_configuration_and_its_shards() {
    let machine = Machine::empty();
    let json = r#"{"w":{"dtype":"BF16","shape":[512,1024],"data_offsets":[0,1048576]}}"#;
    let mut shard = (json.len() as u64).to_le_bytes().to_vec();
    shard.extend_from_slice(json.as_bytes());
    shard.resize(shard.len() + MIB as usize, 7);
    machine
        .hub
        .repo("o/set")
        .plain("config.json", br#"{"architectures":["LlamaForCausalLM"],"max_position_embeddings":4096}"#.to_vec())
        .plain("tokenizer_config.json", br#"{"chat_template":"{{ messages }}"}"#.to_vec())
        .lfs("model.safetensors", shard)
        .commit();
    let line = "LlamaForCausalLM, 524288 parameters, context of 4096 tokens, BF16, chat template";
    machine.run("info o/set --format safetensors").ok().prints(line);
    machine.run("download o/set --format safetensors").ok();
    machine.run("info o/set --format safetensors --offline").ok().prints(line);
}
