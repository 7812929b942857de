//! What a mirror says of what it lacks is not what the Hub says.

use crate::kit::{COMMIT, Server, sandbox, watch};

const FILE: &str = "tiny.Q4_K_M.gguf";

fn good() -> Server {
    Server::start(|call| {
        if call.asks("other/") || !call.play_hub(&[(FILE, &[7; 5000])]) {
            call.answer("404 Not Found", &["X-Error-Code: RepoNotFound"], "");
        }
    })
}

/// A mirror that refuses one kind of question and answers the others.
fn lacking(question: &'static str, status: &'static str) -> Server {
    Server::start(move |call| match question == "all" || call.asks(question) {
        true => call.answer(status, &[], ""),
        false => {
            let _ = call.play_hub(&[(FILE, &[7; 5000])]);
        }
    })
}

#[test]
fn a_mirrors_refusal_leads_to_the_next_for_every_kind_of_question() {
    for status in [
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "410 Gone",
        "451 Unavailable For Legal Reasons",
        "500 Internal Server Error",
    ] {
        for question in ["all", "/revision/", "/tree/", "/resolve/"] {
            let (mirror, hub) = (lacking(question, status), good());
            let sandbox = sandbox(&[&mirror.url(), &hub.url()]);
            let what = format!("mirror says {} to {question}", &status[..3]);
            let ended = watch(&what, &sandbox, "download o/r:q4_k_m -v").ok();
            assert!(ended.output.stderr.contains(&status[..3]), "-v does not tell of it: {}", ended.output);
            assert!(!hub.requests().is_empty());
        }
    }
}

#[test]
fn pinned_models_and_headers_are_asked_for_at_the_next_too() {
    for line in [format!("download hf://o/r@{COMMIT}/{FILE}"), "info o/r:q4_k_m".to_owned()] {
        let (mirror, hub) = (lacking("all", "401 Unauthorized"), good());
        let sandbox = sandbox(&[&mirror.url(), &hub.url()]);
        watch(&format!("mirror says 401 to {}", line.split(' ').next().unwrap()), &sandbox, &line).ok();
    }
}

#[test]
fn the_last_answer_is_the_one_that_is_told() {
    let (mirror, hub) = (lacking("all", "401 Unauthorized"), good());
    let sandbox = sandbox(&[&mirror.url(), &hub.url()]);
    let ended = watch("mirror says 401, Hub says 404", &sandbox, "download other/repo:q4_k_m")
        .fails(3, "there is no repository `other/repo`");
    assert!(!ended.output.stderr.contains("401"), "{}", ended.output);
}
