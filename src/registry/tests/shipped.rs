use super::*;
use crate::names::Format;

const MODELS: [(&str, &str, &str); 7] = [
    ("tinyllama-1.1b-chat", "tiny", "1.1B"),
    ("phi-2", "small", "2.7B"),
    ("llama-2-7b-chat", "medium", "7B"),
    ("mistral-7b-instruct-v0.2", "medium", "7B"),
    ("llama-3-8b-instruct", "medium", "8B"),
    ("llama-2-13b-chat", "large", "13B"),
    ("mixtral-8x7b-instruct", "xlarge", "47B"),
];

/// Typed off the research table a second time: id, quantization, repository, commit, file, size, SHA-256.
type Fact = (&'static str, &'static str, &'static str, &'static str, &'static str, Option<u64>, Option<&'static str>);
const FACTS: [Fact; 8] = [
    (
        "tinyllama-1.1b-chat",
        "q4_k_m",
        "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF",
        "52e7645ba7c309695bec7ac98f4f005b139cf465",
        "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf",
        Some(668_788_096),
        Some("9fecc3b3cd76bba89d504f29b616eedf7da85b96540e490ca5824d3f7d2776a0"),
    ),
    (
        "phi-2",
        "q5_k_m",
        "TheBloke/phi-2-GGUF",
        "5a454d977c6438bb9fb2df233c8ca70f21c87420",
        "phi-2.Q5_K_M.gguf",
        Some(2_072_682_336),
        None,
    ),
    (
        "llama-2-7b-chat",
        "q8_0",
        "TheBloke/Llama-2-7B-Chat-GGUF",
        "191239b3e26b2882fb562ffccdd1cf0f65402adb",
        "llama-2-7b-chat.Q8_0.gguf",
        Some(7_161_089_728),
        Some("f47dade5e86466edb66c5afe6f8e9fb1fbb2c292827b90bd46b7a1817d864bf2"),
    ),
    (
        "mistral-7b-instruct-v0.2",
        "q4_k_m",
        "TheBloke/Mistral-7B-Instruct-v0.2-GGUF",
        "3a6fbf4a41a1d52e415a4958cde6856d34b2db93",
        "mistral-7b-instruct-v0.2.Q4_K_M.gguf",
        Some(4_368_439_584),
        Some("3e0039fd0273fcbebb49228943b17831aadd55cbcbf56f0af00499be2040ccf9"),
    ),
    (
        "llama-3-8b-instruct",
        "q5_k_m",
        "QuantFactory/Meta-Llama-3-8B-Instruct-GGUF",
        "071f0830e6b83051d4626c5d95c1b33ebcbedad0",
        "Meta-Llama-3-8B-Instruct.Q5_K_M.gguf",
        None,
        Some("d6b4f889a00afc90e1216bb5cf814b1711ed1870453c7dd8b7f15cc6001a065e"),
    ),
    (
        "llama-2-13b-chat",
        "q5_k_m",
        "TheBloke/Llama-2-13B-chat-GGUF",
        "4458acc949de0a9914c3eab623904d4fe999050a",
        "llama-2-13b-chat.Q5_K_M.gguf",
        Some(9_229_924_224),
        Some("ef36e090240040f97325758c1ad8e23f3801466a8eece3a9eac2d22d942f548a"),
    ),
    (
        "mixtral-8x7b-instruct",
        "q4_k_m",
        "mradermacher/Mixtral-8x7B-Instruct-v0.1-GGUF",
        "92bb790b153033f0594934ee23bb0e12ba897f4e",
        "Mixtral-8x7B-Instruct-v0.1.Q4_K_M.gguf",
        Some(28_448_468_384),
        Some("9f8d778c2eb8fd7f8426d03496aec30c46cf4076e98758818cc73d020ed01d44"),
    ),
    (
        "mixtral-8x7b-instruct",
        "q4_k_m-old",
        "TheBloke/Mixtral-8x7B-Instruct-v0.1-GGUF",
        "fa1d3835c5d45a3a74c0b68805fcdc133dba2b6a",
        "mixtral-8x7b-instruct-v0.1.Q4_K_M.gguf",
        Some(26_441_533_376),
        Some("9193684683657e90707087bd1ed19fd0b277ab66358d19edeadc26d6fdec4f53"),
    ),
];

#[test]
fn the_shipped_registry_is_read_whole_and_has_no_key_that_nothing_reads() {
    let registry = Registry::built_in();
    assert_eq!(registry.unknown_keys(), []);
    let models: Vec<_> = registry
        .models()
        .map(|model| (model.id.as_str(), model.size_class.as_deref().unwrap_or(""), model.params.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(models[..MODELS.len()], MODELS, "the models of the guide come first");
    assert!(models.len() >= 30, "{}", models.len());
}

#[test]
fn what_is_shipped_beside_the_guide_claims_nothing_that_was_not_seen() {
    let registry = Registry::built_in();
    let guide = |id: &str| MODELS.iter().any(|(known, ..)| *known == id);
    let classes = ["tiny", "small", "medium", "large", "xlarge"];
    for model in registry.models().filter(|model| !guide(model.id.as_str())) {
        assert!(classes.contains(&model.size_class.as_deref().unwrap_or_default()), "{}", model.id);
        assert!(model.params.is_some() && model.ram.is_some() && model.use_case.is_some() && model.description.is_some());
        let selection = registry.select(model.id.as_str(), None, None).unwrap();
        assert!(selection.artifact.revision.is_none() && !selection.artifact.is_pinned(), "{}", model.id);
        for quant in &model.format(&Format::gguf()).expect("gguf").quants {
            let files = &quant.artifact.files;
            assert!(files.iter().all(|file| file.size.is_none() && file.sha256.is_none()), "{}", model.id);
            let named = crate::names::Quant::of_gguf_name(files[0].path.as_str()).unwrap();
            assert!(quant.quant.as_str().contains(named.as_str()), "{}: {} is {named}", model.id, quant.quant);
        }
    }
}

#[test]
fn the_shipped_registry_has_nothing_wrong_and_says_what_it_does_not_know() {
    let findings = crate::registry::Lint::offline(crate::registry::BUILT_IN, "x").findings();
    let wrong: Vec<_> = findings.iter().filter(|finding| finding.level == crate::registry::Level::Error).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let unpinned = Registry::built_in().entries().filter(|entry| entry.artifact.revision.is_none()).count();
    assert_eq!(findings.iter().filter(|finding| finding.rule == "revision").count(), unpinned);
}

#[test]
fn every_model_of_the_guide_has_the_quantizations_of_the_guide_and_a_safetensors_original() {
    for model in Registry::built_in().models().filter(|model| MODELS.iter().any(|(id, ..)| *id == model.id.as_str())) {
        let gguf = model.format(&Format::gguf()).expect("gguf");
        for quant in ["q4_k_m", "q5_k_m", "q8_0"] {
            let artifact = gguf.quant(&quant.parse().unwrap()).unwrap_or_else(|| panic!("{}:{quant}", model.id));
            assert!(!artifact.gated && artifact.files.len() == 1);
            assert_eq!(crate::names::Quant::of_gguf_name(artifact.files[0].path.as_str()).unwrap().as_str(), quant);
        }
        let original = model.format(&Format::safetensors()).and_then(|format| format.whole.as_ref()).expect("safetensors");
        assert_eq!(original.gated, original.source.as_str().starts_with("meta-llama/"), "{}", model.id);
        assert!(original.license.is_some() && model.ram.is_some() && model.use_case.is_some() && model.description.is_some());
    }
}

#[test]
fn the_shipped_facts_are_those_of_the_research_table() {
    let registry = Registry::built_in();
    for (id, quant, repo, commit, file, size, sha256) in FACTS {
        let selection = registry.select(id, None, Some(&quant.parse().unwrap())).unwrap();
        let artifact = selection.artifact;
        assert_eq!(artifact.source.as_str(), repo);
        assert_eq!(artifact.revision.as_ref().map(|revision| revision.as_str()), Some(commit));
        assert_eq!(artifact.files[0].path.as_str(), file);
        assert_eq!(artifact.files[0].size, size);
        assert_eq!(artifact.files[0].sha256.map(|digest| digest.to_string()).as_deref(), sha256);
        assert_eq!(artifact.is_pinned(), size.is_some() && sha256.is_some(), "{id}:{quant}");
    }
}

#[test]
fn nothing_is_pinned_that_the_table_does_not_know() {
    let registry = Registry::built_in();
    for (id, quant) in [("phi-2", "q8_0"), ("mixtral-8x7b-instruct", "q5_k_m"), ("mixtral-8x7b-instruct", "q8_0")] {
        let artifact = registry.select(id, None, Some(&quant.parse().unwrap())).unwrap().artifact;
        assert_eq!(artifact.files[0].sha256, None, "{id}:{quant}");
    }
    let llama_3 = registry.select("llama-3-8b-instruct", Some(&Format::safetensors()), None).unwrap().artifact;
    let sizes: u64 = llama_3.expect.iter().filter_map(|file| file.size).sum();
    assert_eq!((llama_3.expect.len(), sizes), (4, 16_060_556_376));
    assert!(llama_3.files.is_empty() && llama_3.revision.is_none());
}

#[test]
fn the_old_mixtral_file_can_still_be_selected_and_says_what_to_take_instead() {
    let registry = Registry::built_in();
    let old = registry.select("mixtral-8x7b-instruct", None, Some(&"q4_k_m-old".parse().unwrap())).unwrap();
    assert_eq!(
        old.notices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "`mixtral-8x7b-instruct:q4_k_m-old` is superseded; take `q4_k_m` instead",
            "`mixtral-8x7b-instruct:q4_k_m-old`: current llama.cpp does not load this file"
        ]
    );
}
