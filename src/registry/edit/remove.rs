//! An entry taken out; every line that is not of it stays, comments above and behind it included.

use super::{EditError, Edited, EntryLevel, RegistryContents, below, find, root_of, split_format};
use crate::{
    names::{Format, Quant},
    registry::tree::MapEntry,
    yaml::edit::{Edit, MapStyle, SourceText, split_mark},
};

/// What is taken out: a model, or one form of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// The model.
    pub id: String,
    /// Only this format.
    pub format: Option<Format>,
    /// Only this quantization.
    pub quant: Option<Quant>,
}

/// Takes an entry out of the text of a registry. The last form of a model takes the model with it.
///
/// # Errors
/// The text is no registry, has no such entry, needs it elsewhere, or is written in a way that cannot be edited safely.
pub fn remove(text: &str, origin: &str, name: &EntryName) -> Result<Edited, EditError> {
    let (mark, body) = split_mark(text);
    let before = RegistryContents::of(body, origin)?;
    let root = root_of(body, origin)?;
    let removal = Removal::find(&root, name).ok_or_else(|| EditError::NoEntry { name: name.shown(), origin: origin.to_owned() })?;
    let refused = |why: &str| EditError::NotRemoved {
        name: name.shown(),
        origin: origin.to_owned(),
        line: removal.entry.place.line,
        why: why.to_owned(),
    };
    let source = SourceText::new(body);
    let indent = match source.body(removal.container, removal.siblings) {
        MapStyle::Block(indent) => indent,
        MapStyle::Other(why) => return Err(refused(why)),
        MapStyle::Empty(_) => return Err(refused("nothing stands there")),
    };
    let from = removal.entry.place.line - 1;
    let last = source.with_comments(source.block_end(from, indent), indent + 1);
    // Of the blank lines before and behind it, those before it go, and so do those that set the last entry apart.
    let is_last = removal.siblings.iter().all(|other| other.place.line <= removal.entry.place.line);
    let is_blank = |index: usize| source.line(index).trim().is_empty();
    let first = match is_last || is_blank(last + 1) {
        true => (0..from).rev().take_while(|index| is_blank(*index)).last().unwrap_or(from),
        false => from,
    };
    let mut edit = Edit::new(&source);
    edit.replace_lines(first..last + 1, &[""; 0]);
    if removal.siblings.len() == 1 {
        let (behind, _) = source.behind_key(removal.container).ok_or_else(|| refused("its key is written in an unusual way"))?;
        edit.insert(behind, " {}");
    }
    let new = edit.done();
    match RegistryContents::of(&new, origin) {
        Ok(after) if after == before.clone().without(&removal, name, &after) => {}
        Ok(after) if after.bad.len() > before.bad.len() => return Err(refused("another entry of the registry refers to it")),
        _ => return Err(refused("the rest would not have been read as before")),
    }
    let entry = body[source.start_of(from)..source.start_of(last + 1)].trim_end().to_owned();
    Ok(Edited { text: format!("{mark}{new}"), entry, line: removal.entry.place.line })
}

impl EntryName {
    /// How people call it.
    pub fn shown(&self) -> String {
        let parts = [self.format.as_ref().map(Format::as_str), self.quant.as_ref().map(Quant::as_str)];
        parts.into_iter().flatten().fold(self.id.clone(), |name, part| format!("{name}/{part}"))
    }
}

/// Where an entry stands.
struct Removal<'r> {
    level: EntryLevel,
    model: &'r MapEntry,
    container: &'r MapEntry,
    siblings: &'r [MapEntry],
    entry: &'r MapEntry,
}

impl<'r> Removal<'r> {
    /// The smallest part of the text that has no more than the entry in it.
    fn find(root: &'r [MapEntry], name: &EntryName) -> Option<Self> {
        let models = find(root, "models")?;
        let model = find(below(&models.node), &name.id)?;
        let of = |level, container: &'r MapEntry, entry| Self { level, model, container, siblings: below(&container.node), entry };
        let whole = of(EntryLevel::Model, models, model);
        let Some(wanted) = &name.format else { return Some(whole) };
        let formats = find(below(&model.node), "formats")?;
        let format = find(below(&formats.node), wanted.as_str())?;
        let is_only_format = below(&formats.node).len() == 1;
        if let Some(quant) = &name.quant {
            let quant = find(below(&format.node), quant.as_str())?;
            if split_format(format).0.len() > 1 {
                return Some(of(EntryLevel::Quant, format, quant));
            }
        }
        Some(if is_only_format { whole } else { of(EntryLevel::Format, formats, format) })
    }
}

impl RegistryContents {
    /// The same without an entry. Keys of its model that nothing reads may be gone from `after`.
    fn without(mut self, removal: &Removal<'_>, name: &EntryName, after: &Self) -> Self {
        let is_model = |id: &str| id.eq_ignore_ascii_case(&name.id);
        let is_format = |format: &str| name.format.as_ref().is_some_and(|wanted| wanted.as_str().eq_ignore_ascii_case(format));
        let is_quant = |quant: &str| name.quant.as_ref().is_some_and(|wanted| wanted.as_str().eq_ignore_ascii_case(quant));
        self.bad.retain(|(id, format, quant, _)| {
            let is_format = format.as_deref().is_some_and(is_format);
            !is_model(id)
                || match removal.level {
                    EntryLevel::Model => false,
                    EntryLevel::Format => !is_format,
                    EntryLevel::Quant => !(is_format && quant.as_deref().is_some_and(is_quant)),
                }
        });
        let model = format!("models.{}", removal.model.key.trim());
        let is_within = |within: &str| within.strip_prefix(&model).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.unknown.retain(|key| !is_within(&key.0) || after.unknown.contains(key));
        match removal.level {
            EntryLevel::Model => self.models.retain(|model| !is_model(model.id.as_str())),
            EntryLevel::Format => {
                for model in self.models.iter_mut().filter(|model| is_model(model.id.as_str())) {
                    model.formats.retain(|format| !is_format(format.format.as_str()));
                }
            }
            EntryLevel::Quant => {
                let formats =
                    self.models.iter_mut().filter(|model| is_model(model.id.as_str())).flat_map(|model| &mut model.formats);
                for format in formats.filter(|format| is_format(format.format.as_str())) {
                    format.quants.retain(|quant| !is_quant(quant.quant.as_str()));
                }
            }
        }
        self
    }
}
