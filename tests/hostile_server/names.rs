//! Names and messages that would drive a terminal, or fill it.

use crate::kit::{Server, entry, sandbox, watch};

const HIDDEN: [char; 12] = [
    '\u{202e}',
    '\u{200b}',
    '\u{2028}',
    '\u{2029}',
    '\u{2066}',
    '\u{feff}',
    '\u{200f}',
    '\u{ad}',
    '\u{e0041}',
    '\u{9b}',
    '\u{1b}',
    '\u{fff9}',
];

#[test]
fn a_million_names_that_are_left_out_are_ten_and_a_count() {
    let names = (0..200_000).map(|n| entry(&format!("aux/{}{n}", "x".repeat(40)), 1)).collect::<Vec<_>>().join(",");
    let listing = format!("[{names},{}]", entry("tiny.Q4_K_M.gguf", 5000));
    let server = Server::start(move |call| {
        if !call.asks("/tree/") {
            call.play_hub(&[("tiny.Q4_K_M.gguf", &[7; 5000])]);
            return;
        }
        call.answer("200 OK", &[], &listing);
    });
    let sandbox = sandbox(&[&server.url()]);
    let ended = watch("200,000 names that are left out", &sandbox, "download o/r:q4_k_m").ok();
    assert!(ended.output.stderr.contains("and 199990 more"), "{}", ended.output);
    let million = Server::start(|call| {
        if !call.asks("/tree/") {
            call.play_hub(&[]);
            return;
        }
        let block = format!("{},", entry("aux/x", 1)).repeat(1000);
        let _ = call.open(&[]) && call.send("[") && (0..1000).all(|_| call.send(&block)) && call.send("{}]");
    });
    let sandbox = crate::kit::sandbox(&[&million.url()]);
    watch("a million names that are left out", &sandbox, "download o/r:q4_k_m").fails(6, "lists more than");
}

#[test]
fn nothing_hidden_reaches_a_terminal_from_names_or_messages() {
    for hidden in HIDDEN {
        let name = format!("tiny{hidden}gpj.Q4_K_M.gguf");
        let listed = name.clone();
        let server = Server::start(move |call| {
            if call.asks("/resolve/") {
                let message = format!("X-Error-Message: no{hidden}way");
                call.answer("404 Not Found", &["X-Error-Code: EntryNotFound", &message], "");
            } else if call.asks("/tree/") {
                call.answer("200 OK", &["X-HF-Warning: a; b\u{202e}c"], format!("[{}]", entry(&listed, 50)));
            } else {
                call.play_hub(&[]);
            }
        });
        let sandbox = sandbox(&[&server.url()]);
        for line in
            ["download o/r:q4_k_m", "download o/r:q4_k_m --dry-run", "info o/r", "download o/r:q4_k_m --json", "info o/r --json"]
        {
            let output = sandbox.run(line.split(' '));
            for text in [&output.stdout, &output.stderr] {
                assert!(!text.contains(hidden), "{hidden:?} in {line}: {output:?}");
                assert!(!text.contains('\u{202e}'), "{line}: {output:?}");
            }
            if let Some(json) = line.contains("--json").then(|| serde_json::from_str::<serde_json::Value>(&output.stdout)) {
                assert!(json.is_ok(), "{line}: {output}");
            }
        }
    }
}

#[test]
fn nothing_hidden_reaches_a_terminal_from_a_projects_files() {
    for hidden in HIDDEN {
        let sandbox = sandbox(&["http://127.0.0.1:9"]);
        sandbox.write("configs/models.yaml", format!("models:\n  \"a{hidden}b\":\n    formats: {{\"x{hidden}\": 1}}\n"));
        for line in ["list", "lint", "info", "path a"] {
            let output = sandbox.run(line.split(' '));
            assert!(!format!("{}{}", output.stdout, output.stderr).contains(hidden), "{hidden:?} in {line}: {output:?}");
        }
        sandbox.write("configs/models.yaml", "models: {}\n");
        sandbox.write("configs/manager.yaml", format!("sto{hidden}re: x\n"));
        let output = sandbox.run(["list"]);
        assert!(!format!("{}{}", output.stdout, output.stderr).contains(hidden), "{hidden:?}: {output:?}");
    }
}
