//! The whole job in a few seconds, without a network: a Hub on loopback serves a small real GGUF, two projects share one
//! store, and the model is downloaded, shared, listed, verified and removed.
//!
//! `cargo run --release --example tour`

#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

#[path = "../tests/support/mod.rs"]
mod support;

use model_manager::{
    error::Error,
    event::{Event, Silent},
    manager::{DownloadOptions, ModelManager, Selector},
    settings::Settings,
    store::CheckMode,
};
use std::{path::Path, process::ExitCode, sync::Arc, time::Instant};
use support::{
    gguf::Spec,
    hub::{Content, TestHub},
};

const REPO: &str = "tour/tiny-llama-GGUF";
const FILE: &str = "tiny-llama.Q4_K_M.gguf";

fn main() -> ExitCode {
    match tour() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.hints().iter().for_each(|hint| eprintln!("hint: {}", hint.kind()));
            ExitCode::FAILURE
        }
    }
}

fn tour() -> Result<(), Error> {
    let place = tempfile::tempdir().expect("a temporary folder");
    let (store, game, lab) = (place.path().join("store"), place.path().join("game"), place.path().join("lab"));

    let hub = TestHub::start();
    let content = Content::from(Spec::mib(48).bytes());
    let (size, sha256) = (content.len(), content.sha256().to_string());
    let commit = hub.repo(REPO).lfs(FILE, content).commit();
    println!("A Hub on loopback serves {REPO}: one real GGUF of {:.1} MB.\n", size as f64 / 1e6);

    for project in [&game, &lab] {
        std::fs::create_dir_all(project.join("configs")).expect("a folder for the project");
        let registry = format!(
            "models:\n  tiny-llama:\n    huggingface_id: {REPO}\n    revision: \"{commit}\"\n    description: a llama with random weights\n    \
             formats:\n      gguf:\n        q4_k_m:\n          file: {FILE}\n          size: {size}\n          sha256: \"{sha256}\"\n"
        );
        std::fs::write(project.join("configs/models.yaml"), registry).expect("a registry");
    }
    let manager = |project: &Path, events: bool| {
        let mut settings = Settings::new(project.join("models"));
        settings.config = Some(project.join("configs/models.yaml"));
        settings.store = Some(store.clone());
        settings.network.endpoints = vec![hub.url()];
        let reporter: Arc<dyn model_manager::event::Reporter> = if events { Arc::new(tell) } else { Arc::new(Silent) };
        ModelManager::new(settings, reporter)
    };
    let model = Selector::new("tiny-llama")?;
    let mut quant = model.clone();
    quant.quant = Some("q4_k_m".parse()?);

    step("download tiny-llama --quant q4_k_m", "project `game`, an empty store");
    let in_game = manager(&game, true)?;
    let begun = Instant::now();
    let report = in_game.download(&quant, &DownloadOptions::default())?;
    println!("  {} bytes came over the wire in {:.0} ms", report.download_bytes, begun.elapsed().as_secs_f64() * 1e3);
    println!("  {}\n", below(&report.path, place.path()));

    step("download tiny-llama --quant q4_k_m", "project `lab`, the same store");
    let in_lab = manager(&lab, false)?;
    hub.reset_counters();
    let begun = Instant::now();
    let report = in_lab.download(&quant, &DownloadOptions::default())?;
    let took = begun.elapsed();
    let requests = hub.count().requests.len();
    println!("  {} bytes, {requests} requests, {:.1} ms", report.download_bytes, took.as_secs_f64() * 1e3);
    println!("  {}", below(&report.path, place.path()));
    println!("    -> {}\n", below(&std::fs::canonicalize(&report.path).expect("a link that leads to the blob"), place.path()));

    step("list", "project `lab`");
    for listed in in_lab.list(None)? {
        let quant = listed.quant.map_or_else(String::new, |quant| format!("/{quant}"));
        println!("  {} {} {quant} {:.1} MB", listed.model, listed.format, listed.total_bytes as f64 / 1e6);
    }

    step("\nverify", "project `lab`: every byte, by BLAKE3, on all cores");
    for file in in_lab.verify(&[], CheckMode::Full)? {
        println!("  {:?} {}", file.state, below(&file.path, place.path()));
    }

    step("\nremove tiny-llama", "project `game`: the blob stays, `lab` uses it");
    let removed = in_game.remove(&model, false, false)?;
    println!(
        "  freed {} bytes; still used by {}",
        removed.totals.freed_bytes,
        removed.shared.iter().flat_map(|blob| &blob.users).count()
    );

    step("\nremove tiny-llama", "project `lab`: nobody uses it any more");
    let removed = in_lab.remove(&model, false, false)?;
    println!("  freed {:.1} MB", removed.totals.freed_bytes as f64 / 1e6);
    Ok(())
}

fn step(command: &str, note: &str) {
    println!("{}$ model-manager {}   # {note}", if command.starts_with('\n') { "\n" } else { "" }, command.trim_start());
}

fn below(path: &Path, place: &Path) -> String {
    path.strip_prefix(place).unwrap_or(path).display().to_string()
}

fn tell(event: &Event) {
    match event {
        Event::FileFinished { file, size, published, .. } => {
            let state = if *published { "verified" } else { "its source published no hash" };
            println!("  {file}: {:.1} MB, {state}", *size as f64 / 1e6);
        }
        Event::Notice(notice) => println!("  {notice}"),
        Event::Warning(warning) => println!("  {warning}"),
        _ => {}
    }
}
