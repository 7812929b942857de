use super::*;
use crate::error::{Error, ErrorKind};

/// Text, line, column, words of the message, suggestion.
type Case<'a> = (&'a str, usize, usize, &'a str, Option<&'a str>);

fn check(cases: &[Case<'_>]) {
    for (text, line, column, words, suggestion) in cases {
        let all = all_bad(text);
        let bad = all.iter().find(|bad| (bad.line, bad.column) == (*line, *column)).unwrap_or(&all[0]);
        let shown = bad.to_string();
        assert!(bad.message.contains(words), "expected `{words}` in:\n{shown}");
        assert_eq!((bad.line, bad.column), (*line, *column), "\n{shown}");
        assert_eq!(bad.suggestion.as_deref(), *suggestion, "\n{shown}");
        assert!(shown.starts_with(&format!("configs/models.yaml:{line}:{column}: ")), "{shown}");
    }
}

#[test]
fn a_file_without_models_says_so() {
    check(&[
        ("", 1, 1, "expected `models:`", None),
        ("# only a comment\n", 1, 1, "expected `models:`", None),
        ("---\n...\n", 1, 1, "expected `models:`", None),
        ("- a\n", 1, 3, "expected a mapping with the key `models`, found a list", None),
        ("hello", 1, 1, "found the text `hello`", None),
        ("x: 1\nmodel:\n  m: 1\n", 2, 1, "expected the key `models`", Some("models")),
        ("models:\n  - m\n", 2, 5, "`models` to be a mapping from ids to models, found a list", None),
        ("models: 7\n", 1, 9, "found `7`", None),
        ("models: {}\n---\nmodels: {}\n", 3, 1, "a second YAML document", None),
    ]);
}

#[test]
fn text_that_is_not_yaml_is_shown_at_its_place() {
    check(&[
        ("models:\n  m: [a\n", 3, 1, "not valid YAML", None),
        ("models:\n\tm: 1\n", 2, 1, "not valid YAML", None),
        ("models: !secret x\n", 1, 9, "not valid YAML", None),
        ("models: *nowhere\n", 1, 9, "unknown anchor", None),
    ]);
}

#[test]
fn what_a_merge_left_is_called_that_wherever_it_stands() {
    let side = |id: &str| format!("  {id}:\n    huggingface_id: a/b\n    formats: {{gguf: {{q8_0: x.gguf}}}}\n");
    let between = format!("models:\n<<<<<<< ours\n{}=======\n{}>>>>>>> theirs\n", side("m"), side("n"));
    let within = format!("models:\n{}<<<<<<< ours\n    license: mit\n=======\n    license: x\n>>>>>>> theirs\n", side("m"));
    let values = "models:\n  m:\n    description: >\n      words\n<<<<<<< ours\n      more\n=======\n      less\n>>>>>>> theirs\n";
    check(&[
        (&between, 2, 1, "a merge left a conflict here", None),
        (&within, 5, 1, "a merge left a conflict here", None),
        (values, 5, 1, "a merge left a conflict here", None),
    ]);
}

#[test]
fn a_key_that_stands_twice_is_an_error_in_every_map() {
    check(&[
        ("models: {}\nmodels: {}\n", 2, 1, "the key `models` stands here twice; the first is in line 1", None),
        ("models:\n  m: &m {huggingface_id: a/b, formats: {gguf: {q8_0: x.gguf}}}\n  m: *m\n", 3, 3, "`m` stands here twice", None),
        (&gguf("{q8_0: {file: x, file: y}}"), 5, 30, "`file` stands here twice", None),
        (&gguf("{q8_0: x.gguf, q8_0: y.gguf}"), 5, 28, "`q8_0` stands here twice", None),
        ("other: {1: a, 1: b}\nmodels:\n", 1, 15, "`1` stands here twice", None),
    ]);
}

#[test]
fn names_that_differ_in_case_only_are_errors() {
    let two = "models:\n  m: &m {huggingface_id: a/b, formats: {gguf: {q8_0: x.gguf}}}\n  M: *m\n";
    check(&[
        (two, 3, 3, "the model id `M` stands in line 2 already", None),
        (&gguf("{q8_0: x.gguf, Q8_0: y.gguf}"), 5, 28, "the quantization `Q8_0` stands in line 5 already", None),
        (&gguf("{q8_0: x.gguf}\n      GGUF: {q8_0: y.gguf}"), 6, 7, "the format `GGUF` stands in line 5 already", None),
        (&gguf("{q8_0: {files: [x.gguf, X.gguf]}}"), 5, 37, "`X.gguf` and `x.gguf` are the same file", None),
        (&gguf("{q8_0: {files: [X/b, x]}}"), 5, 34, "`x` is a file here and a folder of `X/b`", None),
        (&gguf("{q8_0: {files: [x, X/a/b]}}"), 5, 32, "`x` is a file here and a folder of `X/a/b`", None),
    ]);
}

#[test]
fn values_that_are_not_what_they_should_be_are_shown_at_their_place() {
    check(&[
        (&gguf("{q8_0: {file: x, sha256: xyz}}"), 5, 38, "`xyz` is not a SHA-256 digest: expected 64", None),
        (&gguf("{q8_0: {file: x, size: -5}}"), 5, 36, "`size`: expected a number of bytes, digits only, found `-5`", None),
        (&gguf("{q8_0: {file: x, size: 4.9e9}}"), 5, 36, "found `4.9e9`", None),
        (&gguf("{q8_0: {file: x, size: 99999999999999999999}}"), 5, 36, "found `99999999999999999999`", None),
        (&gguf("{q8_0: {file: ../x}}"), 5, 27, "`file`: `../x` is not a file path: `.` and `..`", None),
        (&gguf("{q8_0: {file: 'C:\\x'}}"), 5, 27, "is not a file path", None),
        (&gguf("{q8_0: {file: [x]}}"), 5, 28, "`file`: expected text, found a list", None),
        (&gguf("{q8_0: {file: x, gated: maybe}}"), 5, 37, "expected `true` or `false`, found the text `maybe`", None),
        (&gguf("{q8_0: {file: x, status: supersede}}"), 5, 38, "expected active, superseded, deprecated", Some("superseded")),
        (&gguf("{q8_0: {file: x, superseded_by: q8_1}}"), 5, 45, "`q8_1` is no quantization", Some("q8_0")),
        (&gguf("{q8_0: {file: x, huggingface_id: a/b/c}}"), 5, 46, "`a/b/c` is not a repository: expected `owner/name`", None),
        (&gguf("{q8_0: {file: x, revision: 'a b'}}"), 5, 40, "is not a revision", None),
        (&gguf("{q8_0: {file: \"x\\ey\"}}"), 5, 27, "the character `\\u{1b}` may not stand in it", None),
        (&gguf("{../q: x.gguf}"), 5, 14, "is not a quantization", None),
        (&gguf("{q8_0: [x.gguf]}"), 5, 21, "quantization `q8_0` to be a mapping or a file name, found a list", None),
        ("models:\n  a/b: {}\n", 2, 3, "`a/b` is not a model id", None),
        ("models:\n  m: 3\n", 2, 6, "model `m` to be a mapping, found `3`", None),
        ("models:\n  ü: {gated: nein}\n", 2, 14, "expected `true` or `false`, found the text `nein`", None),
        ("models: {? [a] : b}\n", 1, 13, "expected a key, found a list", None),
    ]);
}

#[test]
fn what_is_missing_is_named_with_the_key_that_looks_like_it() {
    check(&[
        (
            &gguf("{q8_0: {fiel: x.gguf}}"),
            5,
            21,
            "names no file: expected `file`, `files` or `include`; found `fiel`",
            Some("file"),
        ),
        (&gguf("{q8_0: {}}"), 5, 14, "`q8_0` of model `m` names no file", None),
        (&gguf("{}"), 5, 7, "`gguf` of model `m` names no file", None),
        ("models:\n  m:\n    huggingface_id: a/b\n    format: {}\n", 4, 5, "has no `formats`; found `format`", Some("formats")),
        ("models:\n  m:\n    huggingface_id: a/b\n    formats:\n", 2, 3, "model `m` has no `formats`", None),
        (
            "models:\n  m:\n    hugingface_id: a/b\n    formats: {gguf: {q8_0: x.gguf}}\n",
            3,
            5,
            "`q8_0` of model `m` has no `huggingface_id`, nor has the model; found `hugingface_id`",
            Some("huggingface_id"),
        ),
        (&gguf("{q8_0: {files: [{pth: x}]}}"), 5, 30, "expected a `path` in each mapping; found `pth`", Some("path")),
    ]);
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    check(&[
        (&gguf("{q8_0: {file: x, files: [y]}}"), 5, 21, "`file` cannot stand beside `files`", None),
        (&gguf("{q8_0: {files: [y], size: 3}}"), 5, 33, "`size` cannot stand beside `files`", None),
        (&gguf("{q8_0: {files: []}}"), 5, 21, "expected at least one file", None),
        (&gguf("{q8_0: {file: x, include: ['*']}}"), 5, 30, "`include` cannot stand beside `file`", None),
        (&gguf("{q8_0: {include: ['*'], sha256: abc}}"), 5, 37, "no `file` stands beside it", None),
        (&gguf("{file: x, q8_0: y.gguf}"), 5, 14, "`file` cannot stand beside quantizations", None),
        (&gguf("{q8_0: x-00001-of-00003.gguf}"), 5, 20, "is part 1 of 3; expected all parts", Some("files")),
    ]);
}

#[test]
fn a_bad_file_is_displayed_with_its_line_and_a_caret() {
    let text = "models:\n  größe:\n    huggingface_id: \"a/b\"\n    formats: {gguf: {q8_0: {file: \"ü.gguf\", sha256: \"12\"}}}\n";
    let expected = [
        "configs/models.yaml:4:53: `sha256`: `12` is not a SHA-256 digest: expected 64 hexadecimal digits",
        "  |",
        "4 |     formats: {gguf: {q8_0: {file: \"ü.gguf\", sha256: \"12\"}}}",
        "  |                                                     ^",
    ];
    assert_eq!(bad(text).to_string(), expected.join("\n"));
}

#[test]
fn every_kind_of_line_break_is_counted_as_the_yaml_reader_counts_it() {
    for line_break in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"] {
        let text = format!("# é 漢{line_break}# second{line_break}models: {{m: {{gated: \"é\"}}}}{line_break}");
        let bad = all_bad(&text).pop().unwrap();
        assert_eq!((bad.line, bad.column), (3, 21), "{line_break:?}\n{bad}");
        assert_eq!(bad.source_line, "models: {m: {gated: \"é\"}}", "{line_break:?}");
    }
}

#[test]
fn a_very_long_line_is_cut_around_the_place() {
    let text = format!("models: {{m: {{description: \"{}\", gated: nein}}}}", "x".repeat(4000));
    let bad = bad(&gguf(&format!("{{q8_0: {{note: \"{}\", file: ../x}}}}", "x".repeat(4000))));
    let shown = bad.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[2].len() < 140, "{shown}");
    let caret = lines[3].find('^').unwrap();
    assert!(lines[2][caret..].starts_with("../x"), "{shown}");
    assert!(all_bad(&text).iter().any(|bad| bad.column > 4000));
}

#[test]
fn nesting_without_end_and_aliases_that_multiply_are_refused() {
    let deep = format!("models: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(bad(&deep).message.contains("recursion limit"));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let row = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{row}]\n"));
    }
    let message = bad(&bomb).message;
    assert!(message.contains("repetition limit") || message.contains("more than"), "{message}");
}

#[test]
fn a_bad_file_is_a_usage_error_whose_hint_names_the_line() {
    let error = Error::from(parse(&gguf("{q8_0: {fiel: x}}")).select("m", None, None).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.message().contains("did you mean `file`?"));
    assert_eq!(error.hints(), [Hint::CorrectLine { file: "configs/models.yaml".into(), line: 5 }]);
}

#[test]
fn what_is_missing_at_the_end_is_shown_in_the_last_line() {
    let bad = bad("models:\n  m:\n    huggingface_id: a/b\n  0");
    assert_eq!((bad.line, bad.column, bad.source_line.as_str()), (4, 4, "  0"));
}

/// A registry with a good model, one that is wrong as a whole, and one with good and bad parts.
const PARTLY_BAD: &str = "models:
  good: {huggingface_id: a/b, formats: {gguf: {q8_0: x.gguf}}}
  whole: {huggingface_id: 12, formats: guff, gated: nein}
  part:
    huggingface_id: a/b
    formats:
      gguf:
        q4_k_m: {file: ../x, size: -1}
        q8_0: {file: y.gguf, sha256: 12}
        q2_k: z.gguf
      onnx: [x]
      safetensors: {}
";

#[test]
fn everything_that_is_wrong_is_told_at_once_each_at_its_place() {
    let all: Vec<(usize, usize)> = all_bad(PARTLY_BAD).iter().map(|bad| (bad.line, bad.column)).collect();
    assert_eq!(all, [(3, 27), (3, 40), (3, 53), (8, 24), (8, 36), (9, 38), (11, 14)]);
}

#[test]
fn a_bad_entry_ends_only_itself() {
    let registry = parse(PARTLY_BAD);
    let entries: Vec<String> = registry.entries().map(|entry| entry.name()).collect();
    assert_eq!(entries, ["good:q8_0", "part:q2_k", "part:safetensors"]);
    let ask = |id, format: Option<&str>, quant: Option<&str>| {
        let (format, quant) = (format.map(|name| name.parse().unwrap()), quant.map(|name| name.parse().unwrap()));
        match registry.select(id, format.as_ref(), quant.as_ref()) {
            Ok(selection) => Ok(selection.artifact.files.first().map_or_else(String::new, |file| file.path.to_string())),
            Err(RegistryError::BadFile(bad)) => Err(bad.line),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(ask("good", None, None), Ok("x.gguf".into()));
    assert_eq!(ask("part", None, Some("q2_k")), Ok("z.gguf".into()));
    assert_eq!(ask("part", Some("safetensors"), None), Ok(String::new()));
    assert_eq!(ask("Whole", None, None), Err(3));
    assert_eq!(ask("part", None, Some("Q4_K_M")), Err(8));
    assert_eq!(ask("part", Some("gguf"), Some("q8_0")), Err(9));
    assert_eq!(ask("part", Some("onnx"), None), Err(11));
    // It would be chosen, and what is next to it is not what was asked for.
    assert_eq!(ask("part", None, None), Err(8));
}

#[test]
fn of_names_that_stand_twice_none_can_be_used() {
    let text = "models:\n  good: &m {huggingface_id: a/b, formats: {gguf: {q8_0: x.gguf}}}\n  m: *m\n  n: *m\n  m: *m\n  N: *m\n";
    let registry = parse(text);
    assert_eq!(registry.models().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["good"]);
    let told: Vec<(usize, &str)> = registry.bad_entries().iter().map(|bad| (bad.error.line, bad.model.as_str())).collect();
    assert_eq!(told, [(5, "m"), (6, "N")]);
    let twice = gguf("{q8_0: x.gguf, q2_k: y.gguf, q8_0: z.gguf}")
        + "  o: {huggingface_id: a/b, license: x, license: y, formats: {gguf: {q8_0: x.gguf}}}\n";
    let registry = parse(&twice);
    assert_eq!(registry.entries().map(|entry| entry.name()).collect::<Vec<_>>(), ["m:q2_k"]);
}

#[test]
fn a_key_that_is_no_text_ends_only_its_entry() {
    let text = "models:\n  good: {huggingface_id: a/b, formats: {gguf: {q8_0: x.gguf}}}\n  ~: {huggingface_id: a/b}\n  [x, y]: 1\n  \
                m: {huggingface_id: a/b, ~: 1, formats: {gguf: {q8_0: x.gguf}}}\n";
    let registry = parse(text);
    assert_eq!(registry.models().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["good"]);
    let mut told: Vec<usize> = registry.bad_entries().iter().map(|bad| bad.error.line).collect();
    told.dedup();
    assert_eq!(told, [3, 4, 5]);
    assert!(registry.bad_entries()[0].error.message.contains("expected a key, found nothing"), "{:?}", registry.bad_entries());
}

#[test]
fn what_a_merge_left_is_called_that() {
    let bad = bad("models:\n<<<<<<< HEAD\n  m: {}\n=======\n  n: {}\n>>>>>>> theirs\n");
    assert_eq!((bad.line, bad.column), (2, 1));
    assert!(bad.message.contains("a merge left a conflict here"), "{bad}");
}
