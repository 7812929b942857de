//! Questions to the person at the terminal.

use super::{context::Context, output::Output};
use crate::error::{Error, Result};
use std::io::{self, BufRead, IsTerminal, Read};

/// The longest answer that is read.
const LONGEST: u64 = 1024;

/// Whether a person can be asked: they see what is printed, and can type.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question that is answered by yes or no, and takes everything but yes for no.
pub fn confirm(context: &Context<'_>, question: &str) -> Result<bool> {
    context.progress().tell(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut answer);
    read.map_err(|error| Error::of_system("cannot read the answer", error))?;
    Ok(is_yes(&answer))
}

/// Shows what would be done and asks whether to do it. `None` where nobody can be asked: then nothing is shown.
pub fn confirm_plan(context: &Context<'_>, show: impl FnOnce(&mut Output), question: &str) -> Result<Option<bool>> {
    let style = context.progress().style();
    if style.json || !can_ask() {
        return Ok(None);
    }
    let mut output = style.output();
    show(&mut output);
    context.progress().tell(&output.out);
    confirm(context, question).map(Some)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_yes_is_no() {
        assert!(["y", "Y\n", " yes "].into_iter().all(is_yes));
        assert!(["", "\n", "n", "no", "yess", "yeah\n"].into_iter().all(|answer| !is_yes(answer)));
    }
}
