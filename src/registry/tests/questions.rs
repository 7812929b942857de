use super::*;
use crate::{
    error::{Error, ErrorKind},
    names::{Format, Quant},
};

fn quant(text: &str) -> Quant {
    text.parse().unwrap()
}

fn format(text: &str) -> Format {
    text.parse().unwrap()
}

#[test]
fn an_id_is_found_exactly_and_then_without_case() {
    let registry = Registry::built_in();
    assert_eq!(registry.model("phi-2").unwrap().id.as_str(), "phi-2");
    assert_eq!(registry.model("PHI-2").unwrap().id.as_str(), "phi-2");
}

#[test]
fn an_unknown_id_is_not_found_in_the_registry_and_the_nearest_is_named() {
    let registry = Registry::parse(super::super::BUILT_IN, "configs/models.yaml").unwrap();
    let error = registry.model("tinylama-1.1b-chat").unwrap_err();
    assert_eq!(error.to_string(), "model `tinylama-1.1b-chat` not found in registry configs/models.yaml");
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.hints(), [did_you_mean("tinyllama-1.1b-chat"), Hint::ListRegistry]);
    let far = registry.model("gemma\u{1b}[31m").unwrap_err();
    assert_eq!(far.suggestion(), None);
    assert!(!far.to_string().contains('\u{1b}'));
}

#[test]
fn without_a_format_it_is_gguf_or_the_only_one() {
    let registry = parse(
        "models:\n  one: {huggingface_id: a/b, formats: {safetensors: }}\n  two: {huggingface_id: a/b, formats: {pytorch: , safetensors: }}\n",
    );
    assert_eq!(Registry::built_in().select("phi-2", None, None).unwrap().format.format, Format::gguf());
    assert_eq!(registry.select("one", None, None).unwrap().format.format, Format::safetensors());
    let error = registry.select("two", None, None).unwrap_err();
    assert_eq!(error.to_string(), "model `two` has several formats and no gguf; name one of pytorch, safetensors");
    assert_eq!(Error::from(error).kind(), ErrorKind::Usage);
}

#[test]
fn without_a_quantization_it_is_the_recommended_one_and_a_notice_says_so() {
    let registry = Registry::built_in();
    let selection = registry.select("mixtral-8x7b-instruct", None, None).unwrap();
    assert_eq!(selection.quant, Some(&quant("q4_k_m")));
    assert_eq!(
        selection.notices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["no quantization named: chose `q4_k_m` for `mixtral-8x7b-instruct` out of q4_k_m, q5_k_m, q8_0, q4_k_m-old"]
    );
}

#[test]
fn without_the_recommended_quantization_it_is_the_nearest_that_is_not_superseded() {
    let cases = [
        ("{q8_0: a.gguf, q5_k_m: b.gguf, q2_k: c.gguf}", "q5_k_m", 1),
        ("{q8_0: a.gguf, UD-Q4_K_XL: b.gguf}", "ud-q4_k_xl", 1),
        ("{q4_k_m: {file: a, superseded_by: q8_0}, q8_0: b.gguf}", "q8_0", 1),
        ("{zz: a.gguf, yy: b.gguf}", "zz", 1),
        ("{f16: a.gguf}", "f16", 0),
    ];
    for (quants, expected, notices) in cases {
        let registry = parse(&gguf(quants));
        let selection = registry.select("m", None, None).unwrap();
        assert_eq!(selection.quant, Some(&quant(expected)), "{quants}");
        assert_eq!(selection.notices.len(), notices, "{quants}");
    }
}

#[test]
fn an_unknown_format_or_quantization_is_answered_with_the_choices_and_the_nearest() {
    let registry = Registry::built_in();
    let error = registry.select("phi-2", None, Some(&quant("q4_k_n"))).unwrap_err();
    assert_eq!(error.to_string(), "model `phi-2` has no quantization `q4_k_n` in format gguf; it has q4_k_m, q5_k_m, q8_0");
    assert_eq!(error.suggestion(), Some("q4_k_m"));
    let error = registry.select("phi-2", Some(&format("safetensor")), None).unwrap_err();
    assert_eq!(error.to_string(), "model `phi-2` has no format `safetensor`; it has gguf, safetensors");
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.hints(), [did_you_mean("safetensors"), Hint::ShowModel("phi-2".into())]);
}

#[test]
fn a_quantization_of_a_format_without_any_is_refused_and_that_is_said() {
    let error = Registry::built_in().select("phi-2", Some(&Format::safetensors()), Some(&quant("q4_k_m"))).unwrap_err();
    assert_eq!(error.to_string(), "format safetensors of model `phi-2` has no quantizations, so `q4_k_m` cannot be one");
    assert!(matches!(error.hints().as_slice(), [Hint::WithoutQuant(_)]));
}

#[test]
fn a_file_that_is_named_like_another_quantization_is_remarked_on() {
    let registry = parse(&gguf("{q8_0: x.Q4_K_M.gguf, q4_k_m-old: x.Q4_K_M.gguf, custom: model.gguf}"));
    let notices =
        |name| registry.select("m", None, Some(&quant(name))).unwrap().notices.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(notices("q8_0"), ["the file of `m:q8_0` is named like `q4_k_m`"]);
    assert!(notices("q4_k_m-old").is_empty() && notices("custom").is_empty());
}
