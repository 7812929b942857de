//! The picture of `df --tree`: what takes the room of a store, by project and model.

use super::name_of;
use crate::{
    cli::{
        output::{Answer, Output},
        table::Table,
        units,
    },
    manager::{BlobUser, UsageGroup, UsageReport},
    store::RootOwner,
};
use serde_json::{Value, json};
use std::{cmp::Reverse, collections::BTreeMap};

/// How long the longest bar is: at a wide terminal, and at a narrow one.
const BARS: [usize; 2] = [30, 12];
/// A terminal of fewer columns is narrow.
const WIDE: usize = 100;
/// An eighth to eight eighths of a column.
const BLOCKS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// What takes the room of a store.
pub struct Tree(pub UsageReport);

/// A line of the picture.
struct Branch {
    name: String,
    bytes: u64,
    below: Vec<(String, u64)>,
}

impl Answer for Tree {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        let UsageReport { store, groups, totals, .. } = &self.0;
        if !output.people {
            for group in groups {
                let users = group.users.iter().map(ToString::to_string);
                output.fields([group.disk_bytes.to_string(), group.blobs.to_string()].into_iter().chain(users));
            }
            output.fields([totals.partial_bytes.to_string(), String::new(), "partial".to_owned()]);
            return;
        }
        let all = totals.stored_bytes + totals.partial_bytes;
        let bar_width = if output.width.is_none_or(|width| width >= WIDE) { BARS[0] } else { BARS[1] };
        let mut table = Table::new(&["", "", "", ""]).right(1).right(2).keep(&[1, 2]);
        let mut row = |name: String, bytes: u64| {
            let share = if all == 0 { 0.0 } else { bytes as f64 / all as f64 };
            table.row([name, units::size(bytes), format!("{:.0} %", share * 100.0), bar(share, bar_width)]);
        };
        row(output.path(store), all);
        let branches = self.branches(output);
        for (number, branch) in branches.iter().enumerate() {
            let is_last = number + 1 == branches.len();
            row(format!("{}{}", if is_last { "└─ " } else { "├─ " }, branch.name), branch.bytes);
            for (at, (name, bytes)) in branch.below.iter().enumerate() {
                let stem = if is_last { "   " } else { "│  " };
                let fork = if at + 1 == branch.below.len() { "└─ " } else { "├─ " };
                row(format!("{stem}{fork}{name}"), *bytes);
            }
        }
        // Its headings are empty.
        table.lines(output.width).into_iter().skip(1).for_each(|line| output.line(line));
        output.line(format!("{} free of {}", units::size(totals.free_bytes), units::size(totals.volume_bytes)));
        if totals.collectable_bytes > 0 {
            output.note(format!("`model-manager gc` would free {}.", units::size(totals.collectable_bytes)));
        }
    }
}

impl Tree {
    /// Projects with what only they need, what several share, and the rest; the largest first.
    fn branches(&self, output: &Output) -> Vec<Branch> {
        let mut projects: BTreeMap<&str, Branch> = BTreeMap::new();
        let mut shared = Branch { name: "shared by several projects".into(), bytes: 0, below: Vec::new() };
        let mut rest = Vec::new();
        for group in &self.0.groups {
            let Some(first) = group.users.first() else {
                rest.push(Branch { name: "needed by nothing".into(), bytes: group.disk_bytes, below: Vec::new() });
                continue;
            };
            let is_of_one = group.users.iter().all(|user| user.project == first.project);
            let branch = match is_of_one {
                true => projects.entry(&first.project).or_insert_with(|| Branch {
                    name: output.path(first.project.as_ref()),
                    bytes: 0,
                    below: Vec::new(),
                }),
                false => &mut shared,
            };
            branch.bytes += group.disk_bytes;
            branch.below.push((users_of(group), group.disk_bytes));
        }
        let mut branches: Vec<Branch> = projects.into_values().collect();
        if !shared.below.is_empty() {
            branches.push(shared);
        }
        branches.sort_by_key(|branch| Reverse(branch.bytes));
        branches.extend(rest);
        if self.0.totals.partial_bytes > 0 {
            let bytes = self.0.totals.partial_bytes;
            branches.push(Branch { name: "interrupted downloads".into(), bytes, below: Vec::new() });
        }
        branches
    }
}

/// The users of some blobs in a few words: `phi-2 gguf/q4_k_m in 3 projects`, `tiny gguf/q8_0 and 2 others`.
fn users_of(group: &UsageGroup) -> String {
    let name = |user: &BlobUser| match &user.owner {
        RootOwner::View(view) => name_of(view),
        other => other.to_string(),
    };
    let (first, others) = (group.users.first().map(name).unwrap_or_default(), group.users.len() - 1);
    let is_same = group.users.iter().all(|user| name(user) == first);
    match others {
        0 => first,
        _ if is_same => format!("{first} in {} projects", others + 1),
        1 => format!("{first} and {}", group.users.last().map(name).unwrap_or_default()),
        _ => format!("{first} and {others} others"),
    }
}

/// A bar of this share of the width, to an eighth of a column.
fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let mut bar = BLOCKS[7].to_string().repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(BLOCKS[eighths % 8 - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::output::testing, manager::UsageTotals};
    use unicode_width::UnicodeWidthStr;

    fn group(users: &[(&str, &str)], gigabytes: u64) -> UsageGroup {
        let user = |(project, model): &(&str, &str)| {
            let view = crate::store::ViewKey { model: model.parse().unwrap(), format: "gguf".parse().unwrap(), quant: None };
            BlobUser { project: (*project).into(), owner: RootOwner::View(view) }
        };
        UsageGroup { users: users.iter().map(user).collect(), blobs: 1, disk_bytes: gigabytes * 1_000_000_000 }
    }

    fn tree() -> Tree {
        let (game, chat) = ("/home/ada/game/models", "/home/ada/chat/models");
        let groups = vec![
            group(&[(game, "mixtral"), (chat, "mixtral")], 30),
            group(&[(game, "mistral")], 8),
            group(&[(game, "phi-2")], 4),
            group(&[], 4),
            group(&[(chat, "tiny"), (chat, "twin")], 2),
        ];
        let totals = UsageTotals {
            stored_bytes: 48_000_000_000,
            partial_bytes: 2_000_000_000,
            collectable_bytes: 4_000_000_000,
            free_bytes: 50_000_000_000,
            volume_bytes: 100_000_000_000,
        };
        Tree(UsageReport { store: "/srv/store".into(), groups, totals })
    }

    #[test]
    fn what_takes_the_room_is_a_picture_in_which_shared_content_stands_once() {
        let expected = "\
store                             50.00 GB  100 %  ████████████
├─ shared by several projects     30.00 GB   60 %  ███████▎
│  └─ mixtral gguf in 2 projects  30.00 GB   60 %  ███████▎
├─ /home/ada/game/models          12.00 GB   24 %  ██▉
│  ├─ mistral gguf                 8.00 GB   16 %  █▉
│  └─ phi-2 gguf                   4.00 GB    8 %  █
├─ /home/ada/chat/models           2.00 GB    4 %  ▌
│  └─ tiny gguf and twin gguf      2.00 GB    4 %  ▌
├─ needed by nothing               4.00 GB    8 %  █
└─ interrupted downloads           2.00 GB    4 %  ▌
50.00 GB free of 100.00 GB
";
        assert_eq!(testing::seen_at(80, &tree()), expected);
        assert_eq!(testing::seen(&tree()).1, "`model-manager gc` would free 4.00 GB.\n");
    }

    #[test]
    fn it_fits_the_terminal() {
        for width in [40, 80, 120, 200] {
            let seen = testing::seen_at(width, &tree());
            assert!(seen.lines().all(|line| line.width() <= width), "{width}: {seen}");
            assert!(seen.contains("mistral gguf"), "{seen}");
        }
    }
}
