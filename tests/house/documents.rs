//! Holds the documents together: links lead somewhere, and lines are short enough to be read in a diff.

use super::root;
use std::{collections::BTreeSet, fs, path::Path};

/// Every document for people, by its path.
fn documents() -> Vec<String> {
    let mut names = ["python/README.md", "benches/README.md"].map(str::to_owned).to_vec();
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names
}

/// The text outside of blocks with a fence.
fn outside_of_blocks(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
        } else if !is_inside {
            lines.push(line);
        }
    }
    lines
}

/// The name by which a heading is reached in its page.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    outside_of_blocks(&text).into_iter().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// What a link in a page is to, where that is a file of this repository.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace)).collect()
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading_that_are_there() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for name in documents() {
        let page = root().join(&name);
        let text = outside_of_blocks(&fs::read_to_string(&page).unwrap()).join("\n");
        for link in links(&text) {
            seen += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let is_there = target.exists() && (heading.is_empty() || anchors(&target).contains(heading));
            if !is_there {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(seen > 60, "the reader of links found only {seen}: it is broken");
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

#[test]
fn lines_of_the_guide_have_at_most_120_characters() {
    let is_guide = |name: &String| name == "README.md" || name.starts_with("docs/");
    let mut long = Vec::new();
    for name in documents().into_iter().filter(is_guide) {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        let lines = outside_of_blocks(&text).into_iter().filter(|line| !line.starts_with('|'));
        long.extend(lines.filter(|line| line.chars().count() > 120).map(|line| format!("{name}: {line}")));
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn anchors_are_made_as_the_page_of_the_repository_makes_them() {
    assert_eq!(anchor("## 19. The lock file of a project"), "19-the-lock-file-of-a-project");
    assert_eq!(anchor("### `gc --dry-run`, and more"), "gc---dry-run-and-more");
}
