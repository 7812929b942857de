//! Every command in the README and in `docs/` is run: a reader types each document from top to bottom, in a project of
//! their own. A command that cannot be run here has a row with the reason, so that none is added without one.

mod reader;
mod rows;
mod scene;

use crate::support::run::Output;
use reader::{Document, document, documents};
use rows::{ELSEWHERE, ROWS, SCENES, Seen};
use scene::Reader;
use std::{collections::BTreeSet, fmt::Write as _};

/// The script that a reader types for one block. What ends with another code than 0 may do so.
fn script(document: &Document, commands: &[String]) -> String {
    let mut script = String::new();
    for command in commands {
        let row = ROWS.iter().find(|(name, line, _)| *name == document.name && line == command);
        let _a_string_takes_all = match row.map(|(_, _, seen)| seen) {
            None => writeln!(script, "{command}"),
            Some(Seen::Ends(code, why)) => writeln!(script, "{command} || [ $? = {code} ] # {why}"),
            Some(Seen::Not(why)) => writeln!(script, ": # {why}"),
        };
    }
    script
}

/// Types a document from top to bottom; what failed, if anything.
fn typed(document: &Document) -> Result<(), String> {
    let reader = Reader::of(&document.name);
    for block in document.blocks() {
        let commands = block.commands().ok_or_else(|| format!("{}: a block of `{}`", document.name, block.language))?;
        if commands.is_empty() {
            continue;
        }
        let output: Output = reader.types(&script(document, &commands));
        if !output.status.success() {
            return Err(format!("{}: {output}", document.name));
        }
    }
    Ok(())
}

#[test]
fn every_command_of_the_documents_works_from_top_to_bottom() {
    let typed_elsewhere = |name: &str| ELSEWHERE.iter().any(|(known, _)| *known == name);
    let documents: Vec<Document> = documents().into_iter().filter(|document| !typed_elsewhere(&document.name)).collect();
    let try_it = |document: &Document| {
        let result = std::panic::catch_unwind(|| typed(document));
        let why = |why: Box<dyn std::any::Any + Send>| why.downcast_ref::<String>().cloned().unwrap_or_default();
        result.unwrap_or_else(|panic| Err(format!("{}: {}", document.name, why(panic)))).err()
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let chunks = documents.chunks(documents.len().div_ceil(3));
        let threads: Vec<_> =
            chunks.map(|chunk| scope.spawn(move || chunk.iter().filter_map(try_it).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} documents:\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn every_row_is_of_a_command_that_stands_in_its_document() {
    let documents = documents();
    let names: BTreeSet<&str> = documents.iter().map(|document| document.name.as_str()).collect();
    let known: BTreeSet<&str> = SCENES.iter().chain(ELSEWHERE).map(|(name, _)| *name).collect();
    assert_eq!(names, known, "each document has a scene in tests/cli/documents/rows.rs, or a test of its own");
    let commands = |name: &str| {
        let blocks = documents.iter().filter(|document| document.name == name).flat_map(Document::blocks);
        blocks.filter_map(|block| block.commands()).flatten().collect::<Vec<_>>()
    };
    let stale: Vec<_> = ROWS.iter().filter(|(name, line, _)| !commands(name).iter().any(|command| command == line)).collect();
    assert!(stale.is_empty(), "rows of nothing: {:?}", stale.iter().map(|(name, line, _)| (name, line)).collect::<Vec<_>>());
    let found: usize = names.iter().map(|name| commands(name).len()).sum();
    assert!(found > 130, "the reader of documents found only {found} commands: it is broken");
}

#[test]
fn every_command_in_a_sentence_is_one_that_the_program_understands() {
    let reader = Reader::of("docs/settings.md");
    let mut wrong = Vec::new();
    let more = ["SECURITY.md", "CONTRIBUTING.md", "python/README.md", "store-layout.md"].map(document);
    for document in documents().iter().chain(&more) {
        for span in document.spans() {
            let Some(line) = span.strip_prefix("model-manager ").filter(|line| !line.starts_with("--version")) else { continue };
            // What a person puts in, and an option that ends the line, are left as they stand.
            let line = line.replace(['<', '>'], "").replace("...", "");
            let words = line.split_whitespace().chain(["--help"]);
            let output = reader.machine.sandbox.run(words);
            if !output.status.success() {
                wrong.push(format!("{}: `{span}`: {}", document.name, output.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_settings_has_every_setting_with_its_default() {
    let page = document("docs/settings.md").text;
    let reader = Reader::of("docs/settings.md");
    let json = reader.machine.sandbox.run(["config", "list", "--json"]).ok().json();
    let mut missing = Vec::new();
    for setting in json["settings"].as_array().unwrap() {
        let key = setting["key"].as_str().unwrap();
        if matches!(key, "registry file" | "token" | "proxy") {
            continue;
        }
        let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let default = match setting["set_by"].as_str() {
            // Of a folder the page says it in words.
            Some("default") if !matches!(key, "models_dir" | "store") => setting["values"][0]["value"].as_str().unwrap_or_default(),
            _ => "",
        };
        if !row.is_some_and(|row| row.contains(default)) {
            missing.push(format!("{key} (default {default})"));
        }
    }
    assert!(missing.is_empty(), "docs/settings.md has no row for {missing:?}");
}

#[test]
fn the_page_of_exit_codes_has_those_of_the_help() {
    let page = document("docs/exit-codes.md").text;
    let rows: BTreeSet<u8> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect();
    let help = Reader::of("docs/exit-codes.md").machine.run("--help").ok().stdout;
    let codes = help.split("Exit codes:").nth(1).unwrap();
    let codes: BTreeSet<u8> = codes.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(rows, codes);
}

/// Without what differs from run to run: numbers, their units, and how wide they are.
fn without_figures(text: &str) -> Vec<String> {
    let word = |word: &str| match word.trim_end_matches([',', ':', ')']) {
        "B" | "KB" | "MB" | "GB" => "UNIT".to_owned(),
        "KB/s" | "MB/s" | "GB/s" => "RATE".to_owned(),
        "s" | "ms" => "TIME".to_owned(),
        bare if bare.trim_start_matches('(').parse::<f64>().is_ok() => "N".to_owned(),
        _ => word.to_owned(),
    };
    text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")).collect()
}

/// The picture in the README is what the program prints.
#[test]
#[cfg(target_os = "linux")]
fn the_picture_of_the_readme_is_what_a_terminal_shows() {
    let readme = document("README.md");
    let picture = readme.blocks().into_iter().find(|block| block.lines.iter().any(|line| line.starts_with("~/game$ ")));
    let picture = picture.expect("a picture in the README").lines;
    let reader = Reader::of("docs/settings.md");
    let mut shown = String::new();
    for line in picture.iter().filter(|line| line.starts_with("~/")) {
        let (folder, command) = line.split_once("$ ").unwrap();
        let command = command.replace("model-manager ", "model-manager --no-progress ");
        let typed = format!("cd {folder}; script -qec 'stty cols 110 rows 40; {command}' /dev/null");
        let output = reader.types(&typed).ok().stdout;
        let _a_string_takes_all = write!(shown, "{line}\n{output}");
    }
    let home = reader.machine.sandbox.home().canonicalize().unwrap();
    let shown = shown.replace('\r', "").replace(&home.display().to_string(), "/home/ada");
    assert_eq!(without_figures(&picture.join("\n")), without_figures(&shown), "a run now shows:\n{shown}");
}
