//! Headers of weights and small files of a set that are as long as they can be.

use crate::kit::{Server, sandbox, watch};

/// `info` of a repository with this one file and what goes with it.
#[track_caller]
fn info(what: &str, files: Vec<(&'static str, Vec<u8>)>, line: &str) {
    let server = Server::start(move |call| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        if !call.play_hub(&files) {
            call.answer("404 Not Found", &[], "");
        }
    });
    let sandbox = sandbox(&[&server.url()]).env("HF_HUB_DOWNLOAD_TIMEOUT", "20");
    let ended = watch(what, &sandbox, line);
    assert!(ended.took.as_secs() < 90, "{what}: {:?}", ended.took);
    assert!(matches!(ended.output.status.code(), Some(0..=6)), "{}", ended.output);
}

fn safetensors(start: &str, piece: &str, bytes: usize, end: &str) -> Vec<u8> {
    let times = if piece.is_empty() { 0 } else { bytes / piece.len() };
    let text = format!("{start}{}{end}", piece.repeat(times));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_header_of_64_mb_stays_small() {
    let most = 60 << 20;
    let tensor = r#""":{"dtype":"","shape":[],"data_offsets":[0,0]},"#;
    let config = || ("config.json", b"{}".to_vec());
    let line = "info o/r --format safetensors";
    let set = |bytes| vec![("model.safetensors", bytes), config()];
    info("safetensors: 60 MB of empty tensors", set(safetensors("{", tensor, most, "\"__metadata__\":{}}")), line);
    info("safetensors: 15 MB of notes", set(safetensors("{\"__metadata__\":{", "\"a\":\"\",", most / 4, "\"b\":\"\"}}")), line);
    info("safetensors: 60 MB of [", set(safetensors("{\"a\":", "[", most, "}")), line);
    info("safetensors: one name of 60 MB", set(safetensors("{\"", "a", most, "\":0}")), line);
    let shards: Vec<(&'static str, Vec<u8>)> = [
        "model-00001-of-00004.safetensors",
        "model-00002-of-00004.safetensors",
        "model-00003-of-00004.safetensors",
        "model-00004-of-00004.safetensors",
    ]
    .map(|name| (name, safetensors("{", tensor, most / 2, "\"__metadata__\":{}}")))
    .into();
    let index = ("model.safetensors.index.json", b"{\"weight_map\":{}}".to_vec());
    info("safetensors: four headers of 30 MB at once", [shards, vec![index, config()]].concat(), line);
}

#[test]
fn a_gguf_header_of_64_mb_stays_small() {
    let text = |key: &str, value: &[u8]| {
        let key = [&(key.len() as u64).to_le_bytes(), key.as_bytes(), &8_u32.to_le_bytes()].concat();
        [&key, &(value.len() as u64).to_le_bytes()[..], value].concat()
    };
    let head = |pairs: u64| [b"GGUF", &3_u32.to_le_bytes()[..], &0_u64.to_le_bytes(), &pairs.to_le_bytes()].concat();
    let (pairs, body) = (0..1_500_000_u64).fold((0, Vec::new()), |(count, mut all), n| {
        all.extend(text(&format!("{n:x}.context_length"), b""));
        (count + 1, all)
    });
    info("gguf: 1,500,000 keys that could be asked for", vec![("x.Q4_K_M.gguf", [head(pairs), body].concat())], "info o/r:q4_k_m");
    let long = text("tokenizer.chat_template", &vec![b'x'; 60 << 20]);
    info("gguf: a chat template of 60 MB", vec![("x.Q4_K_M.gguf", [head(1), long].concat())], "info o/r:q4_k_m");
}

#[test]
fn small_files_of_a_set_stay_small_in_memory() {
    let pour = |start: &str, piece: &str, end: &str| format!("{start}{}{end}", piece.repeat((16 << 20) / piece.len())).into_bytes();
    let weights = || ("model.safetensors", safetensors("{", "", 0, "}"));
    let line = "info o/r --format safetensors";
    for (what, config) in [
        ("config.json: 16 MB of {\"\":0},", pour("{\"a\":[", "{\"\":0},", "0]}")),
        ("config.json: 16 MB of [", pour("{\"a\":", "[", "}")),
        ("config.json: architectures of 16 MB", pour("{\"architectures\":[", "\"a\",", "0]}")),
    ] {
        info(what, vec![("config.json", config), weights()], line);
    }
    let templates = pour("{\"chat_template\":[", "{\"name\":\"a\",\"template\":\"b\"},", "0]}");
    let config = ("config.json", b"{}".to_vec());
    info("tokenizer_config.json: 16 MB of templates", vec![("tokenizer_config.json", templates), config, weights()], line);
    let index = pour("{\"weight_map\":{", "\"a\":\"b\",", "\"c\":\"model-00001-of-00001.safetensors\"}}");
    let files = vec![
        ("model.safetensors.index.json", index),
        ("model-00001-of-00001.safetensors", safetensors("{", "", 0, "}")),
        ("config.json", b"{}".to_vec()),
    ];
    info("index.json of 16 MB", files, "download o/r --format safetensors");
}
