//! How a run ends: errors in words or as JSON, and the exit code.

use super::{
    hints,
    output::{FAILURE, JSON_VERSION, STRONG, styled},
};
use crate::{
    error::{Error, ErrorKind},
    hint::Hint,
    text,
};
use serde_json::{Value, json};
use std::{ffi::OsString, path::Path};

/// The exit codes, for help and the manual.
pub const CODES: [(u8, &str); 10] = [
    (0, "done"),
    (1, "failed, for any reason not listed here"),
    (2, "wrong command line, setting, registry or lock file"),
    (3, "not in the registry, not present here, or not on the Hub"),
    (4, "content does not match its hash, or a file is missing"),
    (5, "authentication needed, or access not granted"),
    (6, "the network failed, or is not allowed (offline)"),
    (7, "no space left"),
    (8, "a lock was not free in time"),
    (130, "interrupted"),
];

impl ErrorKind {
    /// The process exit code of this kind.
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Damaged => 4,
            Self::Auth => 5,
            Self::Network => 6,
            Self::NoSpace => 7,
            Self::Locked => 8,
            Self::Interrupted => 130,
        }
    }
}

/// The exit codes as a paragraph of the long help.
pub fn codes_for_help() -> String {
    let lines = CODES.iter().map(|(code, meaning)| format!("  {code:>3}  {meaning}\n"));
    format!(
        "Exit codes:\n{}\nResults go to standard output, progress and hints to standard error. `model-manager man` prints the manual.",
        lines.collect::<String>()
    )
}

/// The texts of what caused an error, outermost first, without those that only repeat what was said.
fn causes(error: &Error) -> Vec<String> {
    let mut said = error.message().to_owned();
    let mut causes = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            causes.push(text.clone());
            said = text;
        }
        next = cause.source();
    }
    causes
}

/// What to do next, in words.
pub fn hint(error: &Error) -> Option<String> {
    (!error.hints().is_empty()).then(|| hints::words(error.hints()))
}

/// An error for people: what happened, why, and what to type next.
pub fn render(error: &Error) -> String {
    let mut text = format!("{} {}\n", styled(FAILURE, "error:"), text::printable_lines(error.message()));
    for cause in causes(error) {
        text.push_str(&format!("  caused by: {}\n", text::printable_lines(&cause)));
    }
    if let Some(hint) = hint(error) {
        text.push_str(&format!("{} {}\n", styled(STRONG, "hint:"), text::printable_lines(&hint)));
    }
    text
}

/// An error for programs.
pub fn json(error: &Error) -> Value {
    json!({
        "kind": error.kind().as_str(),
        "message": error.message(),
        "causes": causes(error).into_iter().map(|message| json!({ "message": message })).collect::<Vec<_>>(),
        "hint": hint(error),
        "exit_code": error.kind().exit_code(),
    })
}

/// A run that gave nothing but an error, for programs.
pub fn document(error: &Error) -> Value {
    json!({ "version": JSON_VERSION, "error": json(error) })
}

/// The error of a run that was interrupted, with the command that resumes where it stopped.
pub fn interrupted(keeps: bool, command: Option<&str>) -> Error {
    let message = if keeps { "interrupted; what arrived is kept" } else { "interrupted" };
    let error = Error::new(ErrorKind::Interrupted, message);
    match command {
        Some(command) => error.hint(Hint::GoOn(command.to_owned())),
        None => error.hint(Hint::Resume),
    }
}

/// A command line that a shell would read back as these words, the first of which is the program as usage texts show it;
/// `None` where one of them may hold a secret.
pub fn command_line(words: &[OsString]) -> Option<String> {
    let (program, words) = words.split_first()?;
    let mut line = Path::new(program).file_name()?.to_str()?.to_owned();
    for word in words {
        let word = word.to_str()?;
        if word.contains("://") && word.contains('@') {
            return None;
        }
        line.push(' ');
        line.push_str(&text::shell_word(word));
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn plain(error: &Error) -> String {
        anstream::adapter::strip_str(&render(error)).to_string()
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_says_what_happened_then_why_then_what_to_do() {
        let error = Error::new(ErrorKind::Network, "cannot fetch a.gguf")
            .caused_by(Outer(io::Error::other("connection reset")))
            .hint(Hint::RunAgain);
        assert_eq!(
            plain(&error),
            "error: cannot fetch a.gguf\n  caused by: the request failed\n  caused by: connection reset\nhint: Run the command again.\n"
        );
    }

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let error = Error::new(ErrorKind::Failed, "cannot open x: denied").caused_by(io::Error::other("denied"));
        assert_eq!(plain(&error), "error: cannot open x: denied\n");
    }

    #[test]
    fn messages_cannot_drive_the_terminal() {
        let error = Error::new(ErrorKind::Failed, "the server said \u{1b}]0;hi\u{7}\nsecond line");
        assert_eq!(plain(&error), "error: the server said \\u{1b}]0;hi\\u{7}\nsecond line\n");
        let error = Error::new(ErrorKind::Failed, "no `\u{202e}gpj.exe`\u{2028}and\u{200b}");
        assert_eq!(plain(&error), "error: no `\\u{202e}gpj.exe`\\u{2028}and\\u{200b}\n");
    }

    #[test]
    fn a_json_error_has_kind_message_hint_and_exit_code() {
        let error = Error::new(ErrorKind::NoSpace, "disk full").hint(Hint::RunAgain);
        let expected = json!({"version": 1, "error": {
            "kind": "no_space", "message": "disk full", "causes": [], "hint": "Run the command again.", "exit_code": 7,
        }});
        assert_eq!(document(&error), expected);
    }

    #[test]
    fn every_kind_of_error_has_a_documented_exit_code() {
        use ErrorKind::*;
        for kind in [Failed, Usage, NotFound, Damaged, Auth, Network, NoSpace, Locked, Interrupted] {
            assert!(CODES.iter().any(|(code, _)| *code == kind.exit_code()), "{kind:?}");
        }
    }

    #[test]
    fn the_command_to_go_on_with_is_quoted_and_shows_no_secret() {
        let line = |words: &[&str]| command_line(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            line(&["/usr/bin/model-manager", "download", "phi-2", "--quant", "q4_k_m"]).as_deref(),
            Some("model-manager download phi-2 --quant q4_k_m")
        );
        assert_eq!(
            line(&["python -m tools.model_manager", "list", "--store", "/my store/it's"]),
            Some(format!("python -m tools.model_manager list --store {}", text::shell_word("/my store/it's")))
        );
        assert_eq!(line(&["model-manager", "download", "x", "--endpoint", "https://me:secret@hub.org"]), None);
    }
}
