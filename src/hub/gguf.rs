//! The GGUF models of a repository: one unit per model, whether it is one file or many parts.

use super::{HubError, HubFile};
use crate::names::{Quant, split_part_suffix};
use std::collections::BTreeMap;

/// One GGUF model: a file, or all parts of a split one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufUnit<'a> {
    /// The path without the part number and `.gguf`.
    pub name: String,
    /// The quantization that the name carries.
    pub quant: Option<Quant>,
    /// The files, in the order of their numbers.
    pub parts: Vec<&'a HubFile>,
    /// Names of parts that the repository lacks.
    pub missing: Vec<String>,
}

impl GgufUnit<'_> {
    /// Bytes of all parts.
    pub fn size(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size))
    }

    fn depth(&self) -> usize {
        self.name.matches('/').count()
    }

    fn label(&self) -> String {
        self.quant.as_ref().map_or_else(|| self.name.clone(), ToString::to_string)
    }
}

/// All GGUF models of a listing. Companions (`mmproj`, `imatrix`) are not models.
pub fn gguf_units<'a>(files: impl IntoIterator<Item = &'a HubFile>) -> Vec<GgufUnit<'a>> {
    let mut groups: BTreeMap<(String, u32), BTreeMap<u32, &HubFile>> = BTreeMap::new();
    for file in files {
        let path = file.path.as_str();
        let Some(cut) = path.len().checked_sub(5).filter(|cut| path.is_char_boundary(*cut)) else { continue };
        let (stem, extension) = path.split_at(cut);
        let name = file.path.file_name().to_ascii_lowercase();
        if !extension.eq_ignore_ascii_case(".gguf") || name.contains("mmproj") || name.contains("imatrix") {
            continue;
        }
        let (stem, part) = split_part_suffix(stem);
        let (number, count) = part.unwrap_or((1, 1));
        // A single file and "part 1 of 1" of the same name are different things, but not worth two units.
        groups.entry((stem.to_owned(), count)).or_default().entry(number).or_insert(file);
    }
    groups.into_iter().map(|((name, count), parts)| unit(name, count, parts)).collect()
}

fn unit(name: String, count: u32, parts: BTreeMap<u32, &HubFile>) -> GgufUnit<'_> {
    let holes = (1..=count).filter(|number| !parts.contains_key(number)).take(100);
    let missing = holes.map(|number| format!("{name}-{number:05}-of-{count:05}.gguf")).collect();
    GgufUnit { quant: Quant::of_gguf_path(&format!("{name}.gguf")), missing, parts: parts.into_values().collect(), name }
}

/// The model with the wanted quantization; with none wanted, Q4_K_M or the next best. Read [`GgufUnit::quant`] for what
/// was taken and say it.
pub fn gguf_choice<'a>(files: impl IntoIterator<Item = &'a HubFile>, quant: Option<&Quant>) -> Result<GgufUnit<'a>, HubError> {
    let units = gguf_units(files);
    let there = || {
        let mut labels: Vec<String> = units.iter().map(GgufUnit::label).collect();
        labels.sort();
        labels.dedup();
        labels
    };
    let with = |quant: &str| -> Vec<&GgufUnit<'a>> {
        units.iter().filter(|unit| unit.quant.as_ref().is_some_and(|q| q.as_str() == quant)).collect()
    };
    let (wanted, found) = match quant {
        Some(quant) => (format!("GGUF file of quantization {quant}"), with(quant.as_str())),
        None => {
            let known = units.iter().filter_map(|unit| unit.quant.as_ref());
            let nearest = known.filter(|quant| quant.distance() < usize::MAX).min_by_key(|quant| quant.distance());
            // Nothing usual: a lone model is what is meant, whatever its name; among several the smallest would be a guess.
            ("GGUF file".to_owned(), nearest.map_or_else(|| units.iter().collect(), |quant| with(quant.as_str())))
        }
    };
    let shallowest = found.iter().map(|unit| unit.depth()).min();
    let found: Vec<_> = found.into_iter().filter(|unit| Some(unit.depth()) == shallowest).collect();
    match found.as_slice() {
        [] => Err(HubError::Nothing { wanted, there: there() }),
        [unit] if !unit.missing.is_empty() => {
            Err(HubError::Incomplete { what: format!("split GGUF file `{}`", unit.name), missing: unit.missing.clone() })
        }
        [unit] => Ok((*unit).clone()),
        several => Err(HubError::Ambiguous {
            wanted: format!("\"{wanted}\""),
            candidates: several.iter().map(|unit| unit.name.clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};

    fn choose(files: &[HubFile], quant: Option<&str>) -> Result<Vec<String>, HubError> {
        let quant = quant.map(|q| q.parse().unwrap());
        gguf_choice(files, quant.as_ref()).map(|unit| unit.parts.iter().map(|p| p.path.to_string()).collect())
    }

    #[test]
    fn a_quantization_is_never_taken_for_another() {
        let files =
            ["x.Q4_K.gguf", "x.Q4_K_M.gguf", "x-UD-Q4_K_XL.gguf", "mmproj-Q4_K_M.gguf", "x-imatrix.gguf", "README.md"].map(file);
        assert_eq!(choose(&files, Some("q4_k")).unwrap(), ["x.Q4_K.gguf"]);
        assert_eq!(choose(&files, Some("Q4_K_M")).unwrap(), ["x.Q4_K_M.gguf"]);
        let error = choose(&files, Some("q4_k_xl")).unwrap_err();
        assert!(error.hint().unwrap().contains("ud-q4_k_xl"), "{error:?}");
    }

    #[test]
    fn all_parts_are_one_unit_and_a_hole_is_named() {
        let names = |n: &[u32]| n.iter().map(|n| file(&format!("Q8_0/big-{n:05}-of-00003.gguf"))).collect::<Vec<_>>();
        let files = names(&[3, 1, 2]);
        let parts = choose(&files, Some("q8_0")).unwrap();
        assert_eq!(parts.len(), 3);
        assert!(parts[0].contains("00001"));
        let error = choose(&names(&[1, 3]), Some("q8_0")).unwrap_err();
        assert!(matches!(&error, HubError::Incomplete { missing, .. } if *missing == ["Q8_0/big-00002-of-00003.gguf"]), "{error}");
    }

    #[test]
    fn with_none_asked_the_usual_one_is_taken_and_a_lone_odd_one_too() {
        let files = ["x.Q8_0.gguf", "x.Q4_K_M.gguf"].map(file);
        assert_eq!(choose(&files, None).unwrap(), ["x.Q4_K_M.gguf"]);
        assert_eq!(choose(&["x.F16.gguf", "x.Q8_0.gguf", "x.IQ1_S.gguf"].map(file), None).unwrap(), ["x.Q8_0.gguf"]);
        assert_eq!(choose(&["x.F16.gguf", "x.BF16.gguf", "other.gguf"].map(file), None).unwrap(), ["x.F16.gguf"]);
        assert_eq!(choose(&["x-UD-Q4_K_XL.gguf", "x-Q4_K_S.gguf"].map(file), None).unwrap(), ["x-UD-Q4_K_XL.gguf"]);
        assert_eq!(choose(&[file("odd.gguf")], None).unwrap(), ["odd.gguf"]);
        let two = choose(&["a.Q4_K_M.gguf", "b.Q4_K_M.gguf", "c.Q8_0.gguf"].map(file), None).unwrap_err();
        assert!(two.to_string().ends_with("a.Q4_K_M, b.Q4_K_M"), "{two}");
        assert!(matches!(choose(&[file("a.gguf"), file("b.gguf")], None), Err(HubError::Ambiguous { .. })));
        assert!(matches!(choose(&[file("config.json")], None), Err(HubError::Nothing { .. })));
    }
}
