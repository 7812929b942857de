//! What stands in the documents: blocks of code, and commands in the text.

use std::path::{Path, PathBuf};

/// A document by its path in the repository, and its text.
pub struct Document {
    pub name: String,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// What stands behind the fence; an indented block has none.
    pub language: String,
    pub lines: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The README and all of `docs/`.
pub fn documents() -> Vec<Document> {
    let mut names = vec!["README.md".to_owned()];
    let files = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.extend(files.filter(|name| Path::new(name).extension().is_some_and(|it| it == "md")).map(|name| format!("docs/{name}")));
    names.sort();
    names.into_iter().map(|name| document(&name)).collect()
}

pub fn document(name: &str) -> Document {
    Document { name: name.to_owned(), text: std::fs::read_to_string(root().join(name)).unwrap() }
}

impl Document {
    /// Its blocks of code, from top to bottom.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut lines = self.text.lines();
        // What is indented below a list belongs to the list.
        let (mut is_list, mut is_open, mut after_empty) = (false, false, true);
        while let Some(line) = lines.next() {
            if let Some(language) = line.strip_prefix("```") {
                let lines = lines.by_ref().take_while(|line| !line.starts_with("```")).map(str::to_owned).collect();
                blocks.push(Block { language: language.to_owned(), lines });
                (is_open, after_empty) = (false, true);
                continue;
            }
            let is_code = line.starts_with("    ") && !is_list && (is_open || after_empty);
            if is_code {
                if !is_open {
                    blocks.push(Block { language: String::new(), lines: Vec::new() });
                }
                blocks.last_mut().unwrap().lines.push(line.trim().to_owned());
            } else if !line.is_empty() {
                is_list =
                    line.starts_with("- ") || line.starts_with(|c: char| c.is_ascii_digit()) || (is_list && line.starts_with(' '));
            }
            is_open = is_code;
            after_empty = line.is_empty();
        }
        blocks
    }

    /// What stands between backticks in the text, outside of blocks.
    pub fn spans(&self) -> Vec<String> {
        let outside = self.text.split("\n```").step_by(2).map(|part| part.split_once('\n').map_or("", |(_, rest)| rest));
        outside
            .flat_map(|part| part.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect::<Vec<_>>())
            .collect()
    }
}

impl Block {
    /// The commands in it: lines of a shell, and what a file of settings has a program run.
    pub fn commands(&self) -> Option<Vec<String>> {
        let from_program = |line: &String| line.find("model-manager").map(|at| line[at..].replace(['"', ',', '[', ']'], ""));
        match self.language.as_str() {
            "" | "sh" => Some(self.lines.iter().map(|line| command_of(line).to_owned()).filter(|line| !line.is_empty()).collect()),
            "yaml" | "dockerfile" => {
                Some(self.lines.iter().filter(|line| !line.starts_with('#')).filter_map(from_program).collect())
            }
            "text" | "json" => Some(Vec::new()),
            _ => None,
        }
    }
}

/// A line of a shell without its comment.
fn command_of(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line.split(" # ").next().unwrap_or_default().trim_end() }
}
