use super::*;
use crate::names::Format;

const TEMPLATE_OF_THE_GUIDE: &str = r#"
models:
  your-model-name:
    huggingface_id: "author/model-repo-name"
    description: "Description of the model"
    size_class: "medium"  # tiny, small, medium, large, xlarge
    formats:
      gguf:
        q4_k_m:
          file: "model-filename.Q4_K_M.gguf"
          sha256: null  # Optional: add SHA256 for verification
        q5_k_m:
          file: "model-filename.Q5_K_M.gguf"
          sha256: null
"#;

#[test]
fn the_template_of_the_guide_works() {
    let registry = parse(TEMPLATE_OF_THE_GUIDE);
    let selection = registry.select("your-model-name", None, Some(&"Q5_K_M".parse().unwrap())).unwrap();
    assert_eq!(selection.artifact.source.as_str(), "author/model-repo-name");
    assert_eq!(selection.artifact.files[0].path.as_str(), "model-filename.Q5_K_M.gguf");
    assert!(!selection.artifact.is_pinned());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let windows = format!("\u{feff}{}", TEMPLATE_OF_THE_GUIDE.replace('\n', "\r\n"));
    assert_eq!(parse(&windows), parse(TEMPLATE_OF_THE_GUIDE));
}

#[test]
fn a_format_without_quantizations_is_the_whole_set_whether_empty_null_or_with_fields() {
    for safetensors in ["{}", "null", "", "{revision: v1}"] {
        let text = format!("models:\n  m:\n    huggingface_id: a/b\n    formats:\n      safetensors: {safetensors}\n");
        let registry = parse(&text);
        let format = &only(&registry).formats[0];
        let whole = format.whole.as_ref().unwrap();
        assert!(format.quants.is_empty() && whole.files.is_empty() && whole.include.is_empty());
    }
}

#[test]
fn a_quantization_may_be_just_a_file_name() {
    let registry = parse(&gguf("{q4_k_m: x.Q4_K_M.gguf, q8_0: {file: x.Q8_0.gguf}}"));
    assert_eq!(only(&registry).formats[0].quants[0].artifact.files[0].path.as_str(), "x.Q4_K_M.gguf");
}

#[test]
fn a_split_file_is_a_list_of_its_parts() {
    let registry = parse(&gguf("{q4_k_m: {files: [x-00001-of-00002.gguf, {path: x-00002-of-00002.gguf, size: 7}]}}"));
    let artifact = &only(&registry).formats[0].quants[0].artifact;
    assert_eq!(artifact.files.len(), 2);
    assert_eq!((artifact.files[1].size, artifact.total_size()), (Some(7), None));
}

#[test]
fn what_looks_like_a_number_is_text_where_text_is_meant_and_keeps_its_spelling() {
    let registry = parse(
        "models:\n  7:\n    huggingface_id: a/1e5\n    revision: 0123456e7\n    params: 1.10\n    ram: 0x10\n    description: true\n    \
         formats: {gguf: {q8_0: {file: 1.5, revision: 1234567, size: '12'}}}\n",
    );
    let model = only(&registry);
    assert_eq!(model.id.as_str(), "7");
    assert_eq!(model.revision.as_ref().unwrap().as_str(), "0123456e7");
    assert_eq!(model.huggingface_id.as_ref().unwrap().as_str(), "a/1e5");
    assert_eq!((model.params.as_deref(), model.ram.as_deref()), (Some("1.10"), Some("0x10")));
    assert_eq!(model.description.as_deref(), Some("true"));
    let artifact = &model.formats[0].quants[0].artifact;
    assert_eq!(artifact.revision.as_ref().unwrap().as_str(), "1234567");
    assert_eq!((artifact.files[0].path.as_str(), artifact.files[0].size), ("1.5", Some(12)));
}

#[test]
fn a_level_that_names_another_repository_does_not_inherit_the_revision_or_the_gate() {
    let registry = parse(
        "models:\n  m:\n    huggingface_id: a/b\n    revision: r1\n    gated: true\n    license: mit\n    formats:\n      gguf:\n        \
         q4_k_m: {file: x, huggingface_id: c/d}\n        q8_0: {file: x, huggingface_id: a/b}\n      safetensors: {huggingface_id: e/f, \
         revision: r2}\n",
    );
    let model = only(&registry);
    let other = &model.formats[0].quants[0].artifact;
    assert_eq!((other.source.as_str(), &other.revision, other.gated), ("c/d", &None, false));
    assert_eq!(other.license.as_deref(), Some("mit"));
    let same = &model.formats[0].quants[1].artifact;
    assert_eq!((same.revision.as_ref().unwrap().as_str(), same.gated), ("r1", true));
    assert_eq!(model.formats[1].whole.as_ref().unwrap().revision.as_ref().unwrap().as_str(), "r2");
}

#[test]
fn patterns_of_a_format_hold_for_its_quantizations() {
    let registry = parse(
        "models: {m: {huggingface_id: a/b, formats: {safetensors: {exclude: 'original/*', bf16: , awq: {huggingface_id: a/awq, \
         include: ['*.safetensors', config.json]}}}}}",
    );
    let format = only(&registry).format(&Format::safetensors()).unwrap();
    assert_eq!(format.quants[0].artifact.exclude, ["original/*"]);
    assert_eq!(format.quants[1].artifact.include, ["*.safetensors", "config.json"]);
    assert_eq!(format.quants[1].artifact.exclude, ["original/*"]);
}

#[test]
fn no_models_is_an_empty_registry() {
    for text in ["models:", "models: {}", "models: null # none yet\n"] {
        assert_eq!(parse(text).models().count(), 0);
    }
}

#[test]
fn anchors_and_merge_keys_work_as_in_the_python_tool() {
    let registry = parse(
        "base: &base\n  huggingface_id: a/b\n  license: mit\nmodels:\n  m:\n    <<: *base\n    license: apache-2.0\n    formats: &f {gguf: {q8_0: \
         x.gguf}}\n  n:\n    <<: [*base]\n    formats: *f\n",
    );
    let licenses: Vec<_> = registry.models().map(|model| model.license.as_deref()).collect();
    assert_eq!(licenses, [Some("apache-2.0"), Some("mit")]);
    assert_eq!(registry.unknown_keys().len(), 1, "{:?}", registry.unknown_keys());
}

#[test]
fn unknown_keys_are_kept_with_their_line_and_the_key_they_look_like() {
    let registry = parse(
        "quantization_info: {q4_k_m: {quality: Medium}}\nmodels:\n  m:\n    huggingface_id: a/b\n    revison: v1\n    formats:\n      gguf:\n        \
         q8_0:\n          file: x.gguf\n          sha265: null\n      safetensors:\n        gatd: true\n        expect: [{path: x, sise: 3}]\nsize_classes: [tiny]\n",
    );
    let found: Vec<_> = registry
        .unknown_keys()
        .iter()
        .map(|key| (key.line, key.column, key.within.as_str(), key.key.as_str(), key.suggestion.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            (1, 1, "", "quantization_info", None),
            (5, 5, "models.m", "revison", Some("revision")),
            (10, 11, "models.m.formats.gguf.q8_0", "sha265", Some("sha256")),
            (12, 9, "models.m.formats.safetensors", "gatd", Some("gated")),
            (13, 28, "models.m.formats.safetensors.expect", "sise", Some("size")),
            (14, 1, "", "size_classes", None),
        ]
    );
}

#[test]
fn a_file_may_be_named_by_its_address_and_takes_nothing_of_the_models_repository() {
    let registry = parse(
        "models:\n  m:\n    huggingface_id: \"o/r\"\n    revision: \"main\"\n    gated: true\n    license: \"mit\"\n    formats:\n      \
         gguf:\n        q8_0: {url: \"https://h/a/x.Q8_0.gguf?key=1\", size: 7}\n        q4_k_m: {file: \"x.Q4_K_M.gguf\"}\n      \
         safetensors:\n        files:\n          - {url: \"https://h/a/x-00001-of-00002.safetensors\"}\n          \
         - {url: \"https://h/a/x-00002-of-00002.safetensors\"}\n",
    );
    let model = only(&registry);
    let web = &model.formats[0].quants[0].artifact;
    assert_eq!((web.source.as_str(), &web.revision, web.gated), ("https://h/a", &None, false));
    assert_eq!((web.files[0].path.as_str(), web.files[0].size), ("x.Q8_0.gguf", Some(7)));
    assert_eq!(web.source.web().unwrap().file(&web.files[0].path).unwrap().query(), Some("key=1"));
    assert_eq!(web.license.as_deref(), Some("mit"));
    assert_eq!(model.formats[0].quants[1].artifact.source.as_str(), "o/r");
    assert_eq!(model.formats[1].whole.as_ref().unwrap().files.len(), 2);
}

#[test]
fn an_address_that_is_wrong_is_told_without_what_may_be_secret_in_it() {
    for (fields, why) in [
        ("url: \"https://me:secret@h/x.gguf\"", "user or a password"),
        ("url: \"ftp://h/x.gguf?secret\"", "HTTP"),
        ("url: \"https://h/\"", "no name of a file"),
        ("url: \"https://h/x.gguf\", file: \"y.gguf\"", "cannot stand beside `url`"),
        ("url: \"https://h/x.gguf\", revision: \"main\"", "cannot stand beside `url`"),
        ("files: [{url: \"https://h/a/x.gguf\"}, {url: \"https://h/b/y.gguf\"}]", "one folder"),
        ("url: \"https://h/x.gguf?key=secret\", size: \"many\"", "size"),
        ("url: \"https://h/x.gguf?key=secret\", file: \"y.gguf\"", "cannot stand beside `url`"),
        ("file: \"https://me:secret@h/x.gguf?secret\"", "`file`"),
        ("files: [{url: \"https://h/a/x.gguf\"}, {path: \"y.gguf\"}]", "a `url` and no `path`"),
    ] {
        let text = format!("models:\n  m:\n    huggingface_id: \"o/r\"\n    formats:\n      gguf:\n        q8_0: {{{fields}}}\n");
        let registry = Registry::parse(&text, "r.yaml").unwrap();
        let error = registry.bad_entries().iter().map(|bad| bad.error.to_string()).collect::<String>();
        assert!(error.contains(why), "{fields}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
