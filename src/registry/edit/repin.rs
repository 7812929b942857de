//! An entry that is there, pinned anew: its revision, sizes and hashes, and nothing else.

use super::{
    EditError, Edited, NewEntry, RegistryContents,
    add::{listed, quote_in},
    below, find, root_of, scope_of, split_format,
};
use crate::{
    facts::FileFacts,
    hint::Hint,
    registry::{
        error::Position,
        model::Artifact,
        read,
        tree::{MapEntry, Node, Value},
    },
    yaml::edit::{self as yaml, Edit, Quote, SourceText, Style, Yaml, split_mark},
};
use std::ops::Range;

/// Replaces revision, sizes and hashes of an entry that names the files it is to have.
///
/// # Errors
/// The text is no registry, has no such entry or one of other files, or is written in a way that cannot be edited safely.
pub fn repin(text: &str, origin: &str, entry: &NewEntry) -> Result<Edited, EditError> {
    let (mark, body) = split_mark(text);
    let mut expected = RegistryContents::of_good(body, origin, entry.id.as_str())?;
    let root = root_of(body, origin)?;
    let absent = || EditError::Absent { name: entry.name(), origin: origin.to_owned() };
    let target = PinTarget::find(&root, entry).ok_or_else(absent)?;
    let artifact = expected_artifact(&mut expected, entry).ok_or_else(absent)?;
    target.check(artifact, origin, entry)?;
    let old = artifact.clone();
    artifact.revision.clone_from(&entry.commit);
    update(&mut artifact.files, &entry.files);
    update(&mut artifact.expect, &entry.expect);
    if entry.quant.is_none()
        && let Some(model) = expected.model(entry.id.as_str())
        && let Some(format) = model.formats.iter_mut().find(|format| format.format == entry.format)
    {
        format.revision.clone_from(&entry.commit);
    }

    let source = SourceText::new(body);
    let refused = |why: &str| EditError::Refused {
        origin: origin.to_owned(),
        line: target.key.place.line,
        why: why.to_owned(),
        below: format!("over what `{}` has in line {}", entry.name(), target.key.place.line),
        paste: pins(entry),
    };
    let changes = Changes { source: &source, target: &target, edit: Edit::new(&source) };
    let new = changes.all(&old, entry).map_err(refused)?.done();
    match RegistryContents::of(&new, origin) {
        Ok(after) if after == expected => {}
        _ => return Err(refused("the values there cannot be replaced one by one")),
    }
    let line = target.key.place.line;
    let after = SourceText::new(&new);
    let end = after.block_end(line - 1, after.indent_of(target.key).unwrap_or(0));
    let lines: Vec<&str> = (line - 1..=end).map(|index| after.line(index)).collect();
    let shown = lines.join("\n");
    Ok(Edited { text: format!("{mark}{new}"), entry: shown, line })
}

/// The pins of an entry, to be written by hand.
fn pins(entry: &NewEntry) -> String {
    let known = |file: &FileFacts| (file.path.to_string(), file.size, file.sha256);
    let mut lines: Vec<String> = entry.commit.iter().map(|commit| format!("revision: \"{commit}\"")).collect();
    for (path, size, sha256) in entry.files.iter().chain(&entry.expect).map(known) {
        lines.push(format!("# {path}"));
        lines.extend(size.map(|size| format!("size: {size}")));
        lines.extend(sha256.map(|sha256| format!("sha256: \"{sha256}\"")));
    }
    lines.join("\n")
}

fn expected_artifact<'s>(contents: &'s mut RegistryContents, entry: &NewEntry) -> Option<&'s mut Artifact> {
    let format = contents.model(entry.id.as_str())?.formats.iter_mut().find(|format| format.format == entry.format)?;
    match &entry.quant {
        Some(quant) => format.quants.iter_mut().find(|there| there.quant == *quant).map(|there| &mut there.artifact),
        None => format.whole.as_mut(),
    }
}

/// Takes over what is known now of the files that are named, and adds those that are not.
fn update(files: &mut Vec<FileFacts>, now: &[FileFacts]) {
    for new in now {
        match files.iter_mut().find(|file| file.path == new.path) {
            Some(file) => *file = new.clone(),
            None => files.push(new.clone()),
        }
    }
}

/// Where the entry stands.
struct PinTarget<'r> {
    model: &'r MapEntry,
    /// The key of the quantization or, without one, of the format.
    key: &'r MapEntry,
    /// The fields of the entry.
    fields: Vec<MapEntry>,
    /// The fields of the format above a quantization.
    above: Vec<MapEntry>,
}

impl<'r> PinTarget<'r> {
    fn find(root: &'r [MapEntry], entry: &NewEntry) -> Option<Self> {
        let model = find(below(&find(root, "models")?.node), entry.id.as_str())?;
        let format = find(below(&find(below(&model.node), "formats")?.node), entry.format.as_str())?;
        let (quants, own) = split_format(format);
        match &entry.quant {
            Some(quant) => {
                let key = find(below(&format.node), quant.as_str()).filter(|key| read::is_quant(key))?;
                Some(Self { model, key, fields: below(&key.node).to_vec(), above: own })
            }
            None => quants.is_empty().then_some(Self { model, key: format, fields: own, above: Vec::new() }),
        }
    }

    /// Only what comes from the same repository and has the same names can be pinned anew.
    fn check(&self, old: &Artifact, origin: &str, entry: &NewEntry) -> Result<(), EditError> {
        let conflict = |message: String| EditError::Conflict { message, hint: Box::new(Hint::CorrectOrOtherId) };
        let place = format!("`{}` in line {} of {origin}", entry.name(), self.key.place.line);
        if !old.source.is_named(entry.source.as_str()) {
            return Err(conflict(format!("{place} is of {}, not of {}", old.source, entry.source)));
        }
        let gone = |old: &[FileFacts], new: &[FileFacts]| {
            old.iter().find(|old| new.iter().all(|new| new.path != old.path)).map(|file| file.path.to_string())
        };
        let strange = gone(&entry.files, &old.files).or_else(|| gone(&old.files, &entry.files));
        match strange.or_else(|| gone(&old.expect, &entry.expect)) {
            Some(file) => Err(conflict(format!("{place} is of other files: {file} is in one of the two only"))),
            None => Ok(()),
        }
    }
}

/// Replacements in the making; `Err` says what is in the way.
struct Changes<'a> {
    source: &'a SourceText<'a>,
    target: &'a PinTarget<'a>,
    edit: Edit<'a>,
}

impl<'a> Changes<'a> {
    fn all(mut self, old: &Artifact, entry: &NewEntry) -> Result<Edit<'a>, &'static str> {
        let fields = &self.target.fields;
        let Some(first) = fields.first() else { return Err("the entry has no fields to write beside") };
        self.revision(old, entry, first)?;
        if let [file] = entry.files.as_slice()
            && let Some(beside) = find(fields, "file")
        {
            self.known(fields, beside, old.files.first(), file)?;
            return Ok(self.edit);
        }
        let (name, before, now) = match entry.files.is_empty() {
            true => ("expect", &old.expect, &entry.expect),
            false => ("files", &old.files, &entry.files),
        };
        match find(fields, name).filter(|list| !matches!(list.node.value, Value::Null)) {
            Some(list) => self.list(list, before, now)?,
            None if now.is_empty() => {}
            None => self.append_list(name, now, first)?,
        }
        Ok(self.edit)
    }

    fn revision(&mut self, old: &Artifact, entry: &NewEntry, first: &MapEntry) -> Result<(), &'static str> {
        let Some(commit) = &entry.commit else { return Ok(()) };
        if old.revision.as_ref() == Some(commit) {
            return Ok(());
        }
        let value = Yaml::text(commit);
        if let Some(there) = find(&self.target.fields, "revision") {
            return self.set(there, &value);
        }
        let scope = scope_of(self.target.model, &self.target.above);
        if scope.repo.as_ref() == old.source.repo() && scope.revision.as_ref() == Some(commit) {
            return Ok(());
        }
        // Before the entry's first field, where it begins a line in block style.
        let text = format!("revision: {}", yaml::flow(&value, self.quote()));
        let place = first.place;
        match self.margin(first.place) {
            Some(margin) => {
                self.edit.insert_before(place.line - 1, &format!("{}{text}", " ".repeat(margin)));
            }
            None => {
                let at = self.source.offset(place.line, place.column).ok_or("its first field is not where it was read")?;
                self.edit.insert(at, format!("{text}, "));
            }
        }
        Ok(())
    }

    /// The pins of files in a list.
    fn list(&mut self, list: &MapEntry, before: &[FileFacts], now: &[FileFacts]) -> Result<(), &'static str> {
        let Value::List(nodes) = &list.node.value else { return Err("the files are not a list") };
        for file in now {
            let Some(index) = before.iter().position(|old| old.path == file.path) else {
                self.append_item(list, nodes, file)?;
                continue;
            };
            if let Some(node) = nodes.get(index).filter(|node| matches!(node.value, Value::Text(_))) {
                self.bare_path(node, file)?;
                continue;
            }
            let fields = nodes.get(index).map(below).unwrap_or_default();
            let beside = find(fields, "path").or_else(|| find(fields, "file")).ok_or("a file is named without `path:`")?;
            self.known(fields, beside, before.get(index), file)?;
        }
        Ok(())
    }

    /// Makes a map of a path that stands in a list by itself, where there is something to say of the file.
    fn bare_path(&mut self, node: &Node, new: &FileFacts) -> Result<(), &'static str> {
        let size = new.size.map(|size| format!("size: {size}"));
        let sha256 = new.sha256.map(|sha256| format!("sha256: {}", yaml::flow(&Yaml::text(sha256), self.quote())));
        let known: Vec<String> = size.into_iter().chain(sha256).collect();
        if known.is_empty() {
            return Ok(());
        }
        let Range { start, end } = self.scalar(node)?;
        match self.margin(node.place) {
            Some(margin) => {
                self.edit.insert(start, "path: ");
                let lines: Vec<String> = known.iter().map(|text| format!("{}{text}", " ".repeat(margin))).collect();
                self.edit.insert_behind(node.place.line - 1, &lines);
            }
            None => {
                self.edit.insert(start, "{ path: ");
                self.edit.insert(end, format!(", {} }}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// Size and hash beside the key that names the file.
    fn known(
        &mut self,
        fields: &[MapEntry],
        beside: &MapEntry,
        old: Option<&FileFacts>,
        new: &FileFacts,
    ) -> Result<(), &'static str> {
        let size = (old.and_then(|old| old.size) != new.size).then(|| new.size.map_or(Yaml::Null, Yaml::Number));
        let sha256 = (old.and_then(|old| old.sha256) != new.sha256).then(|| new.sha256.map_or(Yaml::Null, Yaml::text));
        let mut missing = Vec::new();
        for (key, value) in [("size", size), ("sha256", sha256)] {
            let Some(value) = value else { continue };
            match find(fields, key) {
                Some(there) => self.set(there, &value)?,
                None => missing.push(format!("{key}: {}", yaml::flow(&value, self.quote()))),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        match self.margin(beside.place) {
            Some(margin) => {
                let margin = " ".repeat(margin);
                let lines: Vec<String> = missing.iter().map(|text| format!("{margin}{text}")).collect();
                self.edit.insert_behind(beside.place.line - 1, &lines);
            }
            None => {
                let end = self.scalar(&beside.node)?.end;
                self.edit.insert(end, missing.iter().map(|text| format!(", {text}")).collect::<String>());
            }
        }
        Ok(())
    }

    /// Puts a value in the place of another one, quoted like it.
    fn set(&mut self, there: &MapEntry, value: &Yaml) -> Result<(), &'static str> {
        let quote = match there.node.value {
            Value::Text(_) => self.source.quote_at(there.node.place.line, there.node.place.column).unwrap_or(Quote::Double),
            _ => self.quote(),
        };
        self.edit.set(there, &yaml::flow(value, quote))
    }

    fn scalar(&self, node: &Node) -> Result<Range<usize>, &'static str> {
        self.source.scalar(node).map(|(range, _)| range).ok_or("a value is not written in one line")
    }

    /// A list that was not there, behind everything else of the entry.
    fn append_list(&mut self, name: &str, files: &[FileFacts], first: &MapEntry) -> Result<(), &'static str> {
        let margin = self.margin(first.place).ok_or("the entry is written in flow style")?;
        let outer = self.source.indent_of(self.target.key).ok_or("the entry is written in flow style")?;
        let style = Style { quote: self.quote(), step: margin.saturating_sub(outer).max(1) };
        let lines = yaml::block(name, &listed(files), margin, style);
        self.edit.insert_behind(self.source.block_end(self.target.key.place.line - 1, outer), &lines);
        Ok(())
    }

    /// One more item behind the others of a list in block style.
    fn append_item(&mut self, list: &MapEntry, nodes: &[Node], file: &FileFacts) -> Result<(), &'static str> {
        const FLOW: &str = "the list of files is not written in lines of its own";
        let first = nodes.first().and_then(|node| below(node).first()).ok_or(FLOW)?;
        let (margin, outer) = (self.margin(first.place).ok_or(FLOW)?, self.source.indent_of(list).ok_or(FLOW)?);
        let dash = margin.checked_sub(2).filter(|dash| *dash > outer).ok_or(FLOW)?;
        let style = Style { quote: self.quote(), step: dash - outer };
        let lines = yaml::block("files", &listed(std::slice::from_ref(file)), outer, style);
        self.edit.insert_behind(self.source.block_end(list.place.line - 1, outer), &lines[1..]);
        Ok(())
    }

    /// The column of what stands here in block style, as a key or behind the dash of a list.
    fn margin(&self, place: Position) -> Option<usize> {
        let column = place.column.checked_sub(1)?;
        let line = self.source.line(place.line.checked_sub(1)?);
        let before = line.get(..column)?;
        before.chars().all(|c| matches!(c, ' ' | '-')).then_some(column)
    }

    fn quote(&self) -> Quote {
        quote_in(self.source, &self.target.key.node).unwrap_or(Quote::Double)
    }
}
