//! Id, format and quantization -> what to fetch.

use super::{
    Registry,
    error::RegistryError,
    model::{Artifact, FormatEntry, Model, QuantEntry, Status},
};
use crate::{
    names::{Format, Quant, nearest},
    notice::Notice,
};

/// The answer to "which files are that?".
#[derive(Debug, Clone)]
pub struct Selection<'r> {
    /// The model.
    pub model: &'r Model,
    /// The format that was named or chosen.
    pub format: &'r FormatEntry,
    /// The quantization that was named or chosen; `None` where the format has none.
    pub quant: Option<&'r Quant>,
    /// The files.
    pub artifact: &'r Artifact,
    /// What the user should know: a choice made for them, a successor, a remark.
    pub notices: Vec<Notice>,
}

impl Registry {
    /// The model with an id: exactly that one, else the one that differs in case only.
    ///
    /// # Errors
    /// [`RegistryError::UnknownModel`] with the nearest id; what is wrong with the model, where it cannot be used.
    pub fn model(&self, id: &str) -> Result<&Model, RegistryError> {
        let exact = self.models().find(|model| model.id.as_str() == id);
        let found = exact.or_else(|| self.models().find(|model| model.id.as_str().to_lowercase() == id.to_lowercase()));
        if found.is_none() {
            self.require_good(id, None, None)?;
        }
        found.ok_or_else(|| RegistryError::UnknownModel {
            id: super::error::cut(id),
            origin: self.origin().to_owned(),
            suggestion: nearest(id, self.models().map(|model| model.id.as_str())).map(str::to_owned),
        })
    }

    /// What to fetch for a model. Without a format it is gguf, or the model's only one; without a quantization it is the
    /// format's only one, or `q4_k_m`, or the nearest to it, and a notice says what was chosen.
    ///
    /// # Errors
    /// An unknown id, format or quantization, with the choices and the nearest; a quantization for a format that has none.
    pub fn select(&self, id: &str, format: Option<&Format>, quant: Option<&Quant>) -> Result<Selection<'_>, RegistryError> {
        let model = self.model(id)?;
        let id = model.id.as_str();
        if model.format(format.unwrap_or(&Format::gguf())).is_none() {
            self.require_good(id, format, quant)?;
        }
        let format = choose_format(model, format)?;
        self.require_good_quant(id, format, quant)?;
        let mut notices = Vec::new();
        let (quant, artifact) = match (&format.whole, quant) {
            (Some(whole), None) => (None, whole),
            (Some(_), Some(quant)) => {
                return Err(RegistryError::NoQuants {
                    model: model.id.to_string(),
                    format: format.format.to_string(),
                    quant: quant.to_string(),
                });
            }
            (None, wanted) => {
                let entry = choose_quant(model, format, wanted, &mut notices)?;
                (Some(&entry.quant), &entry.artifact)
            }
        };
        notices.extend(remarks(model, format, quant, artifact));
        Ok(Selection { model, format, quant, artifact, notices })
    }

    /// Returns the error of a bad entry that was asked for; `None` matches any format or quantization.
    fn require_good(&self, id: &str, format: Option<&Format>, quant: Option<&Quant>) -> Result<(), RegistryError> {
        let (format, quant) = (format.map(Format::as_str), quant.map(Quant::as_str));
        match self.bad_entries().iter().find(|bad| bad.is_of(id, format, quant)) {
            Some(bad) => Err(RegistryError::BadFile(Box::new(bad.error.clone()))),
            None => Ok(()),
        }
    }

    /// The same of the quantization that is asked for, or that would be chosen if it could be used.
    fn require_good_quant(&self, id: &str, format: &FormatEntry, wanted: Option<&Quant>) -> Result<(), RegistryError> {
        if let Some(wanted) = wanted {
            return match format.quant(wanted) {
                None if format.whole.is_none() => self.require_good(id, Some(&format.format), Some(wanted)),
                _ => Ok(()),
            };
        }
        let best = format.quants.iter().map(|entry| (entry.artifact.status != Status::Active, entry.quant.distance())).min();
        let bad = self.bad_entries().iter().filter(|bad| bad.is_of(id, Some(format.format.as_str()), None));
        let first = bad.filter_map(|bad| bad.quant.as_ref()?.parse::<Quant>().ok()).min_by_key(Quant::distance);
        match first {
            Some(first) if best.is_some_and(|best| (false, first.distance()) < best) => {
                self.require_good(id, Some(&format.format), Some(&first))
            }
            _ => Ok(()),
        }
    }
}

fn choose_format<'r>(model: &'r Model, wanted: Option<&Format>) -> Result<&'r FormatEntry, RegistryError> {
    let choices = || model.formats.iter().map(|entry| entry.format.to_string()).collect::<Vec<_>>();
    if let Some(wanted) = wanted {
        return model.format(wanted).ok_or_else(|| RegistryError::UnknownFormat {
            model: model.id.to_string(),
            format: wanted.to_string(),
            choices: choices(),
            suggestion: nearest(wanted.as_str(), model.formats.iter().map(|entry| entry.format.as_str())).map(str::to_owned),
        });
    }
    let only = match model.formats.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    model
        .format(&Format::gguf())
        .or(only)
        .ok_or_else(|| RegistryError::FormatNeeded { model: model.id.to_string(), choices: choices() })
}

fn choose_quant<'r>(
    model: &Model,
    format: &'r FormatEntry,
    wanted: Option<&Quant>,
    notices: &mut Vec<Notice>,
) -> Result<&'r QuantEntry, RegistryError> {
    let names = || format.quants.iter().map(|entry| entry.quant.as_str());
    let unknown = |quant: &str| RegistryError::UnknownQuant {
        model: model.id.to_string(),
        format: format.format.to_string(),
        quant: quant.to_owned(),
        choices: names().map(str::to_owned).collect(),
        suggestion: nearest(quant, names()).map(str::to_owned),
    };
    if let Some(wanted) = wanted {
        return format.quants.iter().find(|entry| entry.quant == *wanted).ok_or_else(|| unknown(wanted.as_str()));
    }
    let rank = |entry: &&QuantEntry| (entry.artifact.status != Status::Active, entry.quant.distance());
    // `min_by_key` keeps the first of equals, so unknown names stand in file order.
    let chosen = format.quants.iter().min_by_key(rank).ok_or_else(|| unknown("any"))?;
    if format.quants.len() > 1 {
        let choices = format.quants.iter().map(|entry| entry.quant.clone()).collect();
        notices.push(Notice::QuantChosen { model: model.id.clone(), quant: chosen.quant.clone(), choices });
    }
    Ok(chosen)
}

/// What the entry itself says to the user who selects it.
fn remarks(model: &Model, format: &FormatEntry, quant: Option<&Quant>, artifact: &Artifact) -> Vec<Notice> {
    let name = format!("{}:{}", model.id, quant.map_or(format.format.as_str(), Quant::as_str));
    let mut remarks = Vec::new();
    if artifact.status != Status::Active {
        let (status, instead) = (artifact.status.as_str(), artifact.superseded_by.clone());
        remarks.push(Notice::NotRecommended { name: name.clone(), status, instead });
    }
    // A slip of copy and paste that would otherwise show only in the quality of the answers. An own suffix (`q4_k_m-old`) is none.
    let carried = artifact.files.first().and_then(|file| Quant::of_gguf_name(file.path.file_name()));
    if let (Some(quant), Some(carried)) = (quant, carried)
        && !quant.as_str().contains(carried.as_str())
    {
        remarks.push(Notice::NamedLike { name: name.clone(), quant: carried });
    }
    remarks.extend(artifact.note.clone().map(|remark| Notice::Remark { name, remark }));
    remarks
}
