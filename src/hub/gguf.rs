//! The GGUF models of a repository: one unit per model, whether it is one file or many parts.

use super::{HubError, HubFile};
use crate::names::{Quant, RelPath, is_projector, split_part_suffix};
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
        let name = file.path.file_name();
        if !extension.eq_ignore_ascii_case(".gguf") || is_projector(name) || name.to_ascii_lowercase().contains("imatrix") {
            continue;
        }
        let (stem, part) = split_part_suffix(stem);
        let (number, count) = part.unwrap_or((1, 1));
        // A single file and "part 1 of 1" of the same name are different things, but not worth two units.
        groups.entry((stem.to_owned(), count)).or_default().entry(number).or_insert(file);
    }
    // Of many units with many missing parts each, one of them is enough to know.
    let mut named = MOST_NAMED;
    let units = groups.into_iter().map(|((name, count), parts)| {
        let unit = unit(name, count, parts, named.clamp(1, 100));
        named = named.saturating_sub(unit.missing.len());
        unit
    });
    units.collect()
}

/// Missing parts of one listing that are named.
const MOST_NAMED: usize = 10_000;

fn unit(name: String, count: u32, parts: BTreeMap<u32, &HubFile>, most: usize) -> GgufUnit<'_> {
    let holes = (1..=count).filter(|number| !parts.contains_key(number)).take(most);
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

/// Which projector of a multimodal model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projector {
    /// The best choice: F16, then BF16, F32 and Q8_0.
    Best,
    /// The one with this file name, path or quantization.
    Named(String),
}

impl Projector {
    const PREFERRED: [&'static str; 6] = ["f16", "fp16", "bf16", "f32", "fp32", "q8_0"];

    /// Whether a file is such a projector.
    pub fn fits(&self, path: &RelPath) -> bool {
        is_projector(path.file_name())
            && match self {
                Self::Best => true,
                Self::Named(name) => {
                    let is_quant = |quant: Quant| quant.as_str().eq_ignore_ascii_case(name);
                    path.as_str() == name || path.file_name() == name || Quant::of_gguf_path(path.as_str()).is_some_and(is_quant)
                }
            }
    }
}

/// The projector for `model`, a file of the same listing: of several those of the model's folder, or else of the nearest above
/// it, or else of the nearest to the root, for another folder may hold that of another model; and of these the best.
pub fn projector_choice<'a>(
    files: impl IntoIterator<Item = &'a HubFile>,
    wanted: &Projector,
    model: &RelPath,
) -> Result<&'a HubFile, HubError> {
    let all: Vec<&HubFile> = files.into_iter().filter(|file| is_projector(file.path.file_name())).collect();
    let fitting: Vec<&HubFile> = all.iter().copied().filter(|file| wanted.fits(&file.path)).collect();
    let distance = |file: &HubFile| match file.path.folder_holds(model) {
        true => (0, model.depth().saturating_sub(file.path.depth())),
        false => (1, file.path.depth()),
    };
    let nearest = fitting.iter().map(|file| distance(file)).min();
    let near: Vec<&HubFile> = fitting.into_iter().filter(|file| Some(distance(file)) == nearest).collect();
    let is_of = |file: &HubFile, quant: &str| Quant::of_gguf_path(file.path.as_str()).is_some_and(|its| its.as_str() == quant);
    let found = Projector::PREFERRED
        .iter()
        .map(|quant| near.iter().copied().filter(|file| is_of(file, quant)).collect::<Vec<_>>())
        .find(|found| !found.is_empty())
        .unwrap_or(near);
    let names = |files: &[&HubFile]| files.iter().map(|file| file.path.to_string()).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(HubError::Nothing {
            wanted: match wanted {
                Projector::Best => "projector (a GGUF file with mmproj in its name)".to_owned(),
                Projector::Named(name) => format!("projector `{}`", name.escape_debug()),
            },
            there: names(&all),
        }),
        several => Err(HubError::AmbiguousProjector { candidates: names(several) }),
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

    #[test]
    fn a_projector_is_chosen_by_its_precision_and_its_place() {
        let choose = |names: &[&str], wanted: &Projector, model: &str| {
            let files: Vec<HubFile> = names.iter().map(|name| file(name)).collect();
            projector_choice(&files, wanted, &model.parse().unwrap()).map(|file| file.path.to_string())
        };
        let named = |name: &str| Projector::Named(name.to_owned());
        let names = ["x.Q4_K_M.gguf", "mmproj-x-Q8_0.gguf", "mmproj-x-BF16.gguf", "x-mmproj-F32.gguf", "mmproj.txt"];
        assert_eq!(choose(&names, &Projector::Best, names[0]).unwrap(), "mmproj-x-BF16.gguf");
        assert_eq!(choose(&names, &named("Q8_0"), names[0]).unwrap(), "mmproj-x-Q8_0.gguf");
        assert_eq!(choose(&names, &named("x-mmproj-F32.gguf"), names[0]).unwrap(), "x-mmproj-F32.gguf");
        let error = choose(&names, &named("f16"), names[0]).unwrap_err();
        assert!(error.hint().unwrap().contains("mmproj-x-Q8_0.gguf, mmproj-x-BF16.gguf, x-mmproj-F32.gguf"), "{error:?}");
        assert_eq!(choose(&["mmproj-odd.gguf"], &Projector::Best, "x.gguf").unwrap(), "mmproj-odd.gguf");

        let folders = ["a/x.gguf", "a/mmproj-F16.gguf", "b/mmproj-F16.gguf", "mmproj-F16.gguf"];
        assert_eq!(choose(&folders, &Projector::Best, "a/x.gguf").unwrap(), "a/mmproj-F16.gguf");
        assert_eq!(choose(&folders, &Projector::Best, "c/x.gguf").unwrap(), "mmproj-F16.gguf");
        assert_eq!(choose(&folders, &named("b/mmproj-F16.gguf"), "a/x.gguf").unwrap(), "b/mmproj-F16.gguf");
        let folders = ["a/b/x.gguf", "a/mmproj-BF16.gguf", "c/mmproj-F16.gguf", "mmproj-F16.gguf"];
        assert_eq!(choose(&folders, &Projector::Best, "a/b/x.gguf").unwrap(), "a/mmproj-BF16.gguf", "the nearest above it");
        assert_eq!(choose(&folders, &named("F16"), "a/b/x.gguf").unwrap(), "mmproj-F16.gguf");
        assert_eq!(choose(&folders[..3], &Projector::Best, "x.gguf").unwrap(), "c/mmproj-F16.gguf");

        let two = ["mmproj-a-F16.gguf", "mmproj-b-F16.gguf", "mmproj-a-F32.gguf"];
        let error = choose(&two, &Projector::Best, "a.gguf").unwrap_err();
        assert!(error.to_string().ends_with("mmproj-a-F16.gguf, mmproj-b-F16.gguf"), "{error}");
        assert!(error.hint().unwrap().contains("--mmproj=mmproj-a-F16.gguf"), "{error:?}");
        assert!(matches!(choose(&["x.gguf"], &Projector::Best, "x.gguf"), Err(HubError::Nothing { .. })));
    }
}
