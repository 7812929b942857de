//! Companions of a GGUF model: projectors, drafts and the like.

use super::{
    FileFacts, SourceError,
    gguf::{GgufUnit, gguf_units, least},
};
use crate::{
    hint::{Argument, Parameter},
    names::{Quant, RelPath, Role, gguf_roles},
    weights::FileKind,
};

/// A companion of a GGUF model: a projector for images, a draft for speculative decoding, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// What it is for.
    pub role: Role,
    /// Its file name, path, label or quantization; `None` is the best choice.
    pub name: Option<String>,
}

impl Companion {
    /// What a model can be given.
    pub const ROLES: [Role; 5] = [Role::Projector, Role::Draft, Role::Tokenizer, Role::Encoder, Role::Vae];
    /// Precisions of files that are small compared with the model, the best first.
    const PRECISIONS: [&'static str; 6] = ["f16", "fp16", "bf16", "f32", "fp32", "q8_0"];

    /// The projector of this name, or the best one.
    pub fn projector(name: Option<&str>) -> Self {
        Self { role: Role::Projector, name: name.filter(|name| !name.is_empty()).map(str::to_owned) }
    }

    /// Reads `ROLE` or `ROLE=NAME`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (role, name) = text.split_once('=').map_or((text, None), |(role, name)| (role, Some(name)));
        let found = Self::ROLES.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(role));
        let role = found.ok_or_else(|| format!("it is none of {}", Self::ROLES.map(Role::as_str).join(", ")))?;
        Ok(Self { role, name: name.filter(|name| !name.is_empty()).map(str::to_owned) })
    }

    /// The argument that asks for one of this name, or for the best one.
    pub fn argument(&self, name: Option<&str>) -> Argument {
        match (self.role, name) {
            (Role::Projector, None) => Argument::of(Parameter::Projector),
            (Role::Projector, Some(name)) => Argument::with(Parameter::Projector, name),
            (role, None) => Argument::with(Parameter::Companion, role.as_str()),
            (role, Some(name)) => Argument::with(Parameter::Companion, format!("{}={name}", role.as_str())),
        }
    }

    /// Whether one of these files, which stand together, is it.
    pub fn is_among<'p>(&self, paths: impl IntoIterator<Item = &'p RelPath>) -> bool {
        let paths: Vec<&RelPath> = paths.into_iter().filter(|path| FileKind::of(path) == Some(FileKind::Gguf)).collect();
        let roles = gguf_roles(&paths.iter().map(|path| path.as_str()).collect::<Vec<_>>());
        paths.iter().zip(roles).any(|(path, role)| role == self.role && self.is_named(path, None))
    }

    fn is_named(&self, path: &RelPath, label: Option<&Quant>) -> bool {
        let Some(name) = &self.name else { return true };
        let is_quant = |quant: Quant| quant.as_str().eq_ignore_ascii_case(name);
        let is_label = label.is_some_and(|label| label.as_str().eq_ignore_ascii_case(name));
        path.as_str() == name || path.file_name() == name || is_label || Quant::in_gguf_path(path.as_str()).is_some_and(is_quant)
    }
}

/// The companion for `model`, a file of the same listing: of several those of the model's folder, or else of the
/// nearest above it, or else of the nearest to the root, for another folder may hold that of another model; and of
/// these the best: what is small as exact as it is usual, a draft and an encoder in the model's quantization or else
/// the nearest to the usual.
pub fn companion_choice<'a>(
    files: impl IntoIterator<Item = &'a FileFacts>,
    wanted: &Companion,
    model: &RelPath,
) -> Result<Vec<&'a FileFacts>, SourceError> {
    let mut all = gguf_units(files);
    let of_model = all.iter().find(|unit| unit.has(model)).and_then(|unit| unit.quant.clone());
    all.retain(|unit| unit.role == wanted.role);
    fn first<'u>(unit: &'u GgufUnit<'_>) -> Option<&'u RelPath> {
        unit.parts.first().map(|part| &part.path)
    }
    let is_named = |unit: &&GgufUnit<'a>| unit.parts.iter().any(|part| wanted.is_named(&part.path, Some(&unit.label)));
    let fitting: Vec<&GgufUnit<'a>> = all.iter().filter(is_named).collect();
    let near = least(fitting, |unit| match first(unit) {
        Some(path) if path.folder_holds(model) => (0, model.depth().saturating_sub(path.depth())),
        path => (1, path.map_or(0, RelPath::depth)),
    });
    let found = match wanted.role {
        Role::Draft | Role::Encoder => least(near, |unit| (unit.quant != of_model, unit.distance())),
        _ => least(near, |unit| {
            let place = |quant: &Quant| Companion::PRECISIONS.iter().position(|known| *known == quant.as_str());
            unit.quant.as_ref().and_then(place).unwrap_or(Companion::PRECISIONS.len())
        }),
    };
    let names = |units: &[&GgufUnit<'_>]| units.iter().filter_map(|unit| Some(first(unit)?.to_string())).collect::<Vec<String>>();
    match found.as_slice() {
        [only] if !only.missing.is_empty() => {
            Err(SourceError::Incomplete { what: format!("split GGUF file `{}`", only.name), missing: only.missing.clone() })
        }
        [only] => Ok(only.parts.clone()),
        [] => Err(SourceError::Nothing {
            wanted: match &wanted.name {
                Some(name) => format!("{} `{}`", wanted.role.noun(), name.escape_debug()),
                None if wanted.role == Role::Projector => "projector (a GGUF file with mmproj in its name)".to_owned(),
                None => format!("{} among its GGUF files", wanted.role.noun()),
            },
            there: names(&all.iter().collect::<Vec<_>>()),
        }),
        several => Err(SourceError::AmbiguousCompanion { wanted: wanted.clone(), candidates: names(several) }),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};
    use crate::hint::Hint;

    fn companion(names: &[&str], wanted: &Companion, model: &str) -> Result<Vec<String>, SourceError> {
        let files: Vec<FileFacts> = names.iter().map(|name| file(name)).collect();
        let found = companion_choice(&files, wanted, &model.parse().unwrap())?;
        Ok(found.iter().map(|file| file.path.to_string()).collect())
    }

    #[test]
    fn a_draft_is_chosen_by_name_by_the_models_quantization_and_by_its_place() {
        let wanted = |text: &str| Companion::parse(text).unwrap();
        let names =
            ["owl-Q8_0.gguf", "owl-Q4_K_M.gguf", "owl-Q4_K_M-mtp.gguf", "owl-Q8_0-mtp.gguf", "vae-F32.gguf", "vae-F16.gguf"];
        assert_eq!(companion(&names, &wanted("draft"), names[0]).unwrap(), ["owl-Q8_0-mtp.gguf"]);
        assert_eq!(companion(&names, &wanted("draft"), names[1]).unwrap(), ["owl-Q4_K_M-mtp.gguf"]);
        assert_eq!(companion(&names, &wanted("draft=q4_k_m"), names[0]).unwrap(), ["owl-Q4_K_M-mtp.gguf"]);
        assert_eq!(companion(&names, &wanted("draft=mtp-q4_k_m"), names[0]).unwrap(), ["owl-Q4_K_M-mtp.gguf"]);
        assert_eq!(companion(&names, &wanted("VAE"), names[0]).unwrap(), ["vae-F16.gguf"]);
        let parts = ["owl-Q8_0.gguf", "draft-owl-00001-of-00002.gguf", "draft-owl-00002-of-00002.gguf"];
        assert_eq!(companion(&parts, &wanted("draft"), parts[0]).unwrap(), parts[1..]);
        assert!(matches!(companion(&parts[..2], &wanted("draft"), parts[0]), Err(SourceError::Incomplete { .. })));
        let two = ["owl-Q8_0.gguf", "mtp-owl.gguf", "eagle3-owl.gguf"];
        let error = companion(&two, &wanted("draft"), two[0]).unwrap_err();
        assert_eq!(error.hint(), Some(Hint::NameCompanion(Argument::with(Parameter::Companion, "draft=eagle3-owl.gguf"))));
        let error = companion(&two, &wanted("draft=q4_0"), two[0]).unwrap_err();
        assert_eq!(error.to_string(), "the repository has no draft `q4_0`");
        assert!(companion(&two, &wanted("tokenizer"), two[0]).unwrap_err().to_string().contains("no tokenizer"));
        assert!(Companion::parse("model").is_err() && Companion::parse("imatrix").is_err());
    }

    #[test]
    fn a_projector_is_chosen_by_its_precision_and_its_place() {
        let choose = |names: &[&str], wanted: &Companion, model: &str| companion(names, wanted, model).map(|found| found.concat());
        let (best, named) = (Companion::projector(None), |name: &str| Companion::projector(Some(name)));
        let names = ["x.Q4_K_M.gguf", "mmproj-x-Q8_0.gguf", "mmproj-x-BF16.gguf", "x-mmproj-F32.gguf", "mmproj.txt"];
        assert_eq!(choose(&names, &best, names[0]).unwrap(), "mmproj-x-BF16.gguf");
        assert_eq!(choose(&names, &named("Q8_0"), names[0]).unwrap(), "mmproj-x-Q8_0.gguf");
        assert_eq!(choose(&names, &named("x-mmproj-F32.gguf"), names[0]).unwrap(), "x-mmproj-F32.gguf");
        let error = choose(&names, &named("f16"), names[0]).unwrap_err();
        let there = ["mmproj-x-BF16.gguf", "mmproj-x-Q8_0.gguf", "x-mmproj-F32.gguf"].map(str::to_owned).to_vec();
        assert_eq!(error.hint(), Some(Hint::ThereIs(there)));
        assert_eq!(choose(&["mmproj-odd.gguf"], &best, "x.gguf").unwrap(), "mmproj-odd.gguf");

        let folders = ["a/x.gguf", "a/mmproj-F16.gguf", "b/mmproj-F16.gguf", "mmproj-F16.gguf"];
        assert_eq!(choose(&folders, &best, "a/x.gguf").unwrap(), "a/mmproj-F16.gguf");
        assert_eq!(choose(&folders, &best, "c/x.gguf").unwrap(), "mmproj-F16.gguf");
        assert_eq!(choose(&folders, &named("b/mmproj-F16.gguf"), "a/x.gguf").unwrap(), "b/mmproj-F16.gguf");
        let folders = ["a/b/x.gguf", "a/mmproj-BF16.gguf", "c/mmproj-F16.gguf", "mmproj-F16.gguf"];
        assert_eq!(choose(&folders, &best, "a/b/x.gguf").unwrap(), "a/mmproj-BF16.gguf", "the nearest above it");
        assert_eq!(choose(&folders, &named("F16"), "a/b/x.gguf").unwrap(), "mmproj-F16.gguf");
        assert_eq!(choose(&folders[..3], &best, "x.gguf").unwrap(), "c/mmproj-F16.gguf");

        let two = ["mmproj-a-F16.gguf", "mmproj-b-F16.gguf", "mmproj-a-F32.gguf"];
        let error = choose(&two, &best, "a.gguf").unwrap_err();
        assert!(error.to_string().ends_with("mmproj-a-F16.gguf, mmproj-b-F16.gguf"), "{error}");
        assert_eq!(error.hint(), Some(Hint::NameCompanion(Argument::with(Parameter::Projector, "mmproj-a-F16.gguf"))));
        assert!(matches!(choose(&["x.gguf"], &best, "x.gguf"), Err(SourceError::Nothing { .. })));
    }
}
