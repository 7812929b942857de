//! The numbers of shards, and what is missing among them.

use crate::facts::FileFacts;
use std::collections::{BTreeMap, BTreeSet};

/// Missing shards that are named.
const MOST_HOLES: usize = 1000;

/// Splits the number and count of a shard off a stem: `-00001-of-00002`, also behind `_` or `.`, with any number of
/// digits, and counted from zero.
pub(super) fn split_shard(stem: &str) -> (&str, Option<(u32, u32)>) {
    let parse = || {
        let (rest, count) = stem.rsplit_once("-of-").or_else(|| stem.rsplit_once("_of_"))?;
        let at = rest.rfind(['-', '_', '.'])?;
        let number = |text: &str| (text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?;
        let (number, count): (u32, u32) = (number(&rest[at + 1..])?, number(count)?);
        (number <= count).then_some((&rest[..at], (number, count)))
    };
    match parse() {
        Some((rest, part)) => (rest, Some(part)),
        None => (stem, None),
    }
}

/// Stem, number and count of a shard, and its extension.
fn shard(path: &str) -> Option<(&str, u32, u32, &str)> {
    let (stem, extension) = path.rsplit_once('.')?;
    let (stem, part) = split_shard(stem);
    let (number, count) = part?;
    Some((stem, number, count, extension))
}

pub(super) fn sharded_stems(files: &[&FileFacts]) -> BTreeSet<String> {
    let shards = files.iter().filter_map(|file| shard(file.path.as_str()));
    shards.filter(|(_, _, count, _)| *count > 1).map(|(stem, ..)| stem.to_owned()).collect()
}

/// Shards that should be there and are not, by the numbers and counts in the names of those that are.
pub fn missing_shards<'p>(paths: impl IntoIterator<Item = &'p str>) -> BTreeSet<String> {
    let mut groups: BTreeMap<(&str, u32, &str), BTreeSet<u32>> = BTreeMap::new();
    for (stem, number, count, extension) in paths.into_iter().filter_map(shard) {
        groups.entry((stem, count, extension)).or_default().insert(number);
    }
    let holes = groups.iter().flat_map(|((stem, count, extension), there)| {
        // Counted from zero, the last may have the number that is the count, or the one before it.
        let last = if there.contains(&0) && !there.contains(count) { count.saturating_sub(1) } else { *count };
        let first = u32::from(!there.contains(&0));
        let gone = (first..=last).filter(|number| !there.contains(number)).take(100);
        gone.map(move |number| format!("{stem}-{number:05}-of-{count:05}.{extension}"))
    });
    holes.take(MOST_HOLES).collect()
}

/// Whether the missing and the present shards belong to two different splits of the same weights, and the present split
/// is complete, as where weights were quantized or merged beside the index of the original.
pub fn is_cut_otherwise(missing: &[String], there: &[&str]) -> bool {
    let cut = |name: &str| {
        let (stem, part) = split_shard(name.rsplit_once('.').map_or(name, |(stem, _)| stem));
        part.map(|(number, count)| (stem.to_owned(), count, number))
    };
    if let [one] = there
        && cut(one).is_none()
    {
        return missing.iter().all(|name| cut(name).is_some());
    }
    let parts: Option<Vec<_>> = there.iter().map(|name| cut(name)).collect();
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return false };
    let (stem, count) = (&parts[0].0, parts[0].1);
    let numbers: BTreeSet<u32> = parts.iter().map(|(.., number)| *number).collect();
    let is_whole = parts.iter().all(|part| (&part.0, part.1) == (stem, count)) && numbers.len() as u64 >= u64::from(count);
    is_whole && missing.iter().all(|name| cut(name).is_some_and(|(its, of, _)| (&its, of) != (stem, count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_another_cut_does_not_spoil_a_whole_set() {
        let there = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let missing = |name: &str| [name.to_owned()];
        assert!(is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &there));
        assert!(!is_cut_otherwise(&missing("model-extra.safetensors"), &there));
        assert!(!is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &there[..1]));
        // Quantized or merged beside the index of the original.
        let there = ["output-00001-of-00002.safetensors", "output-00002-of-00002.safetensors"];
        assert!(is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &there));
        assert!(is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &["model.safetensors"]));
        assert!(!is_cut_otherwise(&missing("extra.safetensors"), &["model.safetensors"]));
        assert!(!is_cut_otherwise(&missing("model-00003-of-00002.safetensors"), &there));
    }
}
