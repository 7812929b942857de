use super::*;
use crate::facts::FileFacts;
use crate::registry::{BUILT_IN, EditError, Edited, EntryName, NewEntry, add, remove, repin};
use proptest::prelude::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";

fn file(path: &str, size: u64) -> FileFacts {
    FileFacts { size: Some(size), sha256: Some("ab".repeat(32).parse().unwrap()), ..FileFacts::named(path.parse().unwrap()) }
}

/// What is to be written by hand.
fn paste(error: &EditError) -> &str {
    match error {
        EditError::Refused { paste, .. } => paste,
        other => panic!("{other}"),
    }
}

fn entry(id: &str, quant: &str, repo: &str, files: &[&str]) -> NewEntry {
    NewEntry {
        id: id.parse().unwrap(),
        format: "gguf".parse().unwrap(),
        quant: Some(quant.parse().unwrap()),
        source: repo.parse().unwrap(),
        commit: Some(COMMIT.parse().unwrap()),
        files: files.iter().map(|path| file(path, 7)).collect(),
        expect: Vec::new(),
        license: Some("mit".into()),
        gated: false,
        description: None,
    }
}

fn whole(id: &str, repo: &str, expect: &[&str]) -> NewEntry {
    let expect = expect.iter().map(|path| file(path, 9)).collect();
    NewEntry { format: "safetensors".parse().unwrap(), quant: None, files: Vec::new(), expect, ..entry(id, "q8_0", repo, &[]) }
}

#[track_caller]
fn added(text: &str, entry: &NewEntry) -> String {
    match add(text, "r.yaml", entry) {
        Ok(Edited { text, .. }) => text,
        Err(error) => panic!("{error}\n{:?}\n\n{text}", error.hints()),
    }
}

/// What was put in, where everything before and behind it is as it was.
fn inserted<'n>(old: &str, new: &'n str) -> Option<&'n str> {
    let more = new.len().checked_sub(old.len())?;
    let head = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    // Where the text put in ends like what stands before it, it may be said to begin earlier.
    (0..=head).rev().find(|head| old[*head..] == new[head + more..]).map(|head| &new[head..head + more])
}

#[test]
fn a_new_model_stands_behind_the_others_in_their_style() {
    let old = "# top\nmodels:\n    'a':   # first\n        huggingface_id: 'o/a'\n        formats:\n            gguf:\n                q8_0:\n                    \
               file: 'a.gguf'\n# end\n";
    let mut new = entry("b", "q4_k_m", "o/b-GGUF", &["b.Q4_K_M.gguf"]);
    new.gated = true;
    new.description = Some("It's new".into());
    let text = added(old, &new);
    let expected = format!(
        "\n    b:\n        huggingface_id: 'o/b-GGUF'\n        revision: '{COMMIT}'\n        description: 'It''s new'\n        license: 'mit'\n        \
         gated: true\n        formats:\n            gguf:\n                q4_k_m:\n                    file: 'b.Q4_K_M.gguf'\n                    \
         size: 7\n                    sha256: '{}'\n",
        "ab".repeat(32)
    );
    assert_eq!(text, old.replace("# end\n", &format!("{expected}# end\n")));
}

#[test]
fn a_quantization_goes_below_its_neighbours_and_says_only_what_is_not_said_above() {
    let old = format!(
        "models:\n  a:\n    huggingface_id: o/a\n    revision: {COMMIT}\n    license: own words\n    formats:\n      gguf:\n        \
         q8_0:\n          file: a.Q8_0.gguf\n          # about q8_0\n      safetensors: {{}}\n  # about b\n  b:\n    huggingface_id: o/b\n    \
         formats: {{gguf: {{q8_0: b.gguf}}}}\n"
    );
    let text = added(&old, &entry("A", "q4_k_m", "o/a", &["a.Q4_K_M.gguf"]));
    let sha256 = "ab".repeat(32);
    let block = format!("        q4_k_m:\n          file: a.Q4_K_M.gguf\n          size: 7\n          sha256: {sha256}\n");
    assert_eq!(text, old.replace("      safetensors", &format!("{block}      safetensors")));

    let text = added(&old, &entry("a", "q4_k_m", "other/a", &["a.Q4_K_M.gguf"]));
    let block = format!(
        "        q4_k_m:\n          huggingface_id: other/a\n          revision: \"{COMMIT}\"\n          file: a.Q4_K_M.gguf\n          \
         size: 7\n          sha256: {sha256}\n          license: mit\n"
    );
    assert_eq!(text, old.replace("      safetensors", &format!("{block}      safetensors")));
}

#[test]
fn another_format_has_its_own_repository_above_its_quantizations() {
    let old =
        format!("models:\n  a:\n    huggingface_id: \"o/a\"\n    revision: \"{NEXT}\"\n    formats:\n      safetensors: {{}}\n");
    let text = added(&old, &entry("a", "q4_k_m", "o/a-GGUF", &["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]));
    let sha256 = "ab".repeat(32);
    let part = |n: u8| {
        format!("            - path: \"x-0000{n}-of-00002.gguf\"\n              size: 7\n              sha256: \"{sha256}\"\n")
    };
    assert_eq!(
        text,
        format!(
            "{old}      gguf:\n        huggingface_id: \"o/a-GGUF\"\n        revision: \"{COMMIT}\"\n        license: \"mit\"\n        \
             q4_k_m:\n          files:\n{}{}",
            part(1),
            part(2)
        )
    );
    // The same repository at another commit: only that is said.
    let old = text;
    let text = added(&old, &whole("b", "o/b", &["model.safetensors"]));
    assert!(
        inserted(&old, &text).unwrap().contains("      safetensors:\n        expect:\n          - path: \"model.safetensors\"\n")
    );
}

#[test]
fn neighbours_in_braces_are_joined_by_one_in_braces() {
    let old =
        "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0: { file: \"a.Q8_0.gguf\", sha256: null }";
    let text = added(old, &entry("a", "q4_k_m", "o/a", &["a.Q4_K_M.gguf"]));
    assert!(text.starts_with(old) && !text.ends_with('\n'), "{text}");
    let line = text.lines().last().unwrap();
    assert!(line.starts_with("        q4_k_m: { revision: \"0123") && line.contains("file: \"a.Q4_K_M.gguf\", size: 7"), "{line}");
}

#[test]
fn an_empty_registry_gets_its_first_model() {
    for (old, head) in [
        ("models: {}\n", "models:\n  m:\n"),
        ("models: {}  # none yet\n", "models:  # none yet\n  m:\n"),
        ("models:\t{}\t# none\n", "models:\t# none\n  m:\n"),
        ("models:", "models:\n  m:\n"),
        ("models: null\r\n", "models:\r\n  m:\r\n"),
        ("---\nmodels: ~\n...\n", "---\nmodels:\n  m:\n"),
        ("models:\n    # here\n", "models:\n    # here\n    m:\n"),
        ("\u{feff}models:\n# elsewhere\n", "\u{feff}models:\n  m:\n"),
    ] {
        let text = added(old, &entry("m", "q8_0", "o/m", &["m.Q8_0.gguf"]));
        assert!(text.starts_with(head), "{text:?}");
        assert_eq!(text.contains('\r'), old.contains('\r'), "{text:?}");
    }
}

#[test]
fn comments_and_tabs_between_and_behind_entries_stay_where_they_are() {
    let head = "models:\t# all of them\n  a:\n    huggingface_id: o/a\n    formats:\n      # llama.cpp\n      gguf:\t# quantized\n\n        \
                # the big one\n        q8_0: a.Q8_0.gguf\t# 8 bits\n        # q5_0: a.Q5_0.gguf\n";
    let tail = "\n        # far away\n\n      # vLLM\n      safetensors: {}\n\n# the end\n";
    let text = added(&format!("{head}{tail}"), &entry("a", "q4_0", "o/a", &["a.Q4_0.gguf"]));
    let put = text.strip_prefix(head).and_then(|text| text.strip_suffix(tail)).unwrap_or_else(|| panic!("{text}"));
    assert!(put.starts_with("        q4_0:\n") && put.lines().count() == 6, "{put}");
    // Entries that are set apart by blank lines stay so.
    let old = "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0: a.gguf\n\n        # small\n        q2_k: b.gguf\n";
    assert!(added(old, &entry("a", "q4_0", "o/a", &["c.gguf"])).starts_with(&format!("{old}\n        q4_0:\n")));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_stay() {
    let old = format!("\u{feff}{}", BUILT_IN.replace('\n', "\r\n"));
    let text = added(&old, &entry("phi-2", "q6_k", "TheBloke/phi-2-GGUF", &["phi-2.Q6_K.gguf"]));
    let put = inserted(&old, &text).unwrap();
    assert!(put.matches("\r\n").count() == put.matches('\n').count() && put.contains("q6_k:"), "{put:?}");
}

#[test]
fn what_cannot_be_edited_safely_is_refused_with_what_to_write() {
    let new = entry("a", "q4_k_m", "o/a", &["a.Q4_K_M.gguf"]);
    for old in [
        "models:\n  a:\n    huggingface_id: o/a\n    formats: {gguf: {q8_0: {file: a.gguf}}}\n",
        "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf: {\n        q8_0: a.gguf\n      }\n",
        "models: {a: {huggingface_id: o/a, formats: {gguf: {q8_0: a.gguf}}}}\n",
        "{\"models\": {\"a\": {\"huggingface_id\": \"o/a\", \"formats\": {\"gguf\": {\"q8_0\": \"a.gguf\"}}}}}",
        // The entry would appear below `b` too.
        "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf: &g\n        q8_0: a.gguf\n  b:\n    huggingface_id: o/a\n    formats:\n      gguf: *g\n",
        "x: &g\n  q8_0: a.gguf\nmodels:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf: *g\n",
        // A line with a hash in a text is no comment.
        "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0:\n          file: a.gguf\n          note: |\n            one\n\n            # two\n",
    ] {
        let error = add(old, "r.yaml", &new).expect_err(old);
        assert!(matches!(error, EditError::Refused { .. }), "{error}\n{old}");
        assert!(error.to_string().starts_with("r.yaml was not changed: in line "), "{error}");
        assert!(paste(&error).contains("q4_k_m:") && paste(&error).contains("a.Q4_K_M.gguf"), "{}", paste(&error));
    }
}

#[test]
fn what_is_there_or_does_not_fit_is_told() {
    let old = "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0: a.gguf\n      safetensors: {}\n";
    let says = |entry: &NewEntry| add(old, "r.yaml", entry).expect_err("refused").to_string();
    assert_eq!(says(&entry("a", "q8_0", "o/a", &["a.gguf"])), "`a:q8_0` stands in line 6 of r.yaml already");
    assert_eq!(says(&whole("a", "o/a", &[])), "`a/safetensors` stands in line 7 of r.yaml already");
    let mut other = entry("a", "q8_0", "o/a", &["a.gguf"]);
    other.quant = None;
    assert!(says(&other).contains("consists of quantizations, and none is named"));
    other = entry("a", "int4", "o/a", &["a.safetensors"]);
    other.format = "safetensors".parse().unwrap();
    assert!(says(&other).contains("(line 7) has no quantizations, so `int4` cannot be one"));
    other = entry("a", "q4_0", "o/a", &["a.gguf"]);
    other.description = Some("x".into());
    assert!(says(&other).contains("model `a` stands in line 2"));
}

#[test]
fn an_entry_is_pinned_anew_value_by_value() {
    let sha256 = "ab".repeat(32);
    for (old, new) in [
        (
            "        q8_0:\n          file: 'a.Q8_0.gguf' # the file\n          size: null # not seen\n          sha256:\n",
            format!(
                "        q8_0:\n          revision: '{COMMIT}'\n          file: 'a.Q8_0.gguf' # the file\n          size: 7 # not seen\n          sha256: '{sha256}'\n"
            ),
        ),
        (
            "        q8_0: { file: a.Q8_0.gguf, sha256: null }\n",
            format!("        q8_0: {{ revision: \"{COMMIT}\", file: a.Q8_0.gguf, size: 7, sha256: {sha256} }}\n"),
        ),
        (
            "        q8_0:\n          sha256: \"00\"\n          revision: old # that\n          size: '1'\n          file: a.Q8_0.gguf\n",
            format!(
                "        q8_0:\n          sha256: \"{sha256}\"\n          revision: \"{COMMIT}\" # that\n          size: 7\n          file: a.Q8_0.gguf\n"
            ),
        ),
    ] {
        let old = old.replace("\"00\"", &format!("\"{}\"", "00".repeat(32)));
        let registry = |quant: &str| {
            format!(
                "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q4_0: b.gguf\n{quant}        q5_0: c.gguf\n"
            )
        };
        let edited = repin(&registry(&old), "r.yaml", &entry("a", "q8_0", "o/a", &["a.Q8_0.gguf"])).unwrap();
        assert_eq!(edited.text, registry(&new));
        assert_eq!(format!("{}\n", edited.entry), new);
    }
}

#[test]
fn files_that_are_listed_by_their_paths_alone_get_size_and_hash() {
    let sha256 = "ab".repeat(32);
    let head = "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0:\n";
    for (old, new) in [
        (
            "          files:\n            - 'a-1.gguf' # first\n            - path: b.gguf\n",
            format!(
                "          revision: '{COMMIT}'\n          files:\n            - path: 'a-1.gguf' # first\n              size: 7\n              sha256: '{sha256}'\n            - path: b.gguf\n              size: 7\n              sha256: '{sha256}'\n"
            ),
        ),
        (
            "          files: [\"a-1.gguf\", b.gguf]\n",
            format!(
                "          revision: \"{COMMIT}\"\n          files: [{{ path: \"a-1.gguf\", size: 7, sha256: \"{sha256}\" }}, {{ path: b.gguf, size: 7, sha256: \"{sha256}\" }}]\n"
            ),
        ),
    ] {
        for end in ["\n", "\r\n"] {
            let text = format!("{head}{old}        q5_0: c.gguf\n").replace('\n', end);
            let edited = repin(&text, "r.yaml", &entry("a", "q8_0", "o/a", &["a-1.gguf", "b.gguf"])).unwrap();
            assert_eq!(edited.text, format!("{head}{new}        q5_0: c.gguf\n").replace('\n', end));
        }
    }
}

#[test]
fn pinning_the_shipped_entries_anew_changes_their_lines_only() {
    let path = "phi-2.Q5_K_M.gguf";
    let text = repin(BUILT_IN, "r.yaml", &entry("phi-2", "q5_k_m", "TheBloke/phi-2-GGUF", &[path])).unwrap().text;
    let changed: Vec<&str> = text.lines().filter(|line| !BUILT_IN.lines().any(|old| old == *line)).collect();
    let (revision, size, sha256) =
        (format!("          revision: \"{COMMIT}\""), "          size: 7", format!("          sha256: \"{}\"", "ab".repeat(32)));
    assert_eq!(changed, [revision.as_str(), size, &sha256]);

    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let text = repin(BUILT_IN, "r.yaml", &whole("phi-2", "microsoft/phi-2", &shards)).unwrap().text;
    let registry = parse(&text);
    let set = registry.select("phi-2", Some(&"safetensors".parse().unwrap()), None).unwrap().artifact;
    assert_eq!((set.expect.len(), set.expect[1].size), (2, Some(9)));
    // An entry without `expect` gets one, here the last of the text.
    let (guide, _) = BUILT_IN.split_once("\n  # Models that people run today").expect("the models of the guide come first");
    let text =
        repin(guide, "r.yaml", &whole("mixtral-8x7b-instruct", "mistralai/Mixtral-8x7B-Instruct-v0.1", &shards)).unwrap().text;
    assert!(text.ends_with(&format!("size: 9\n            sha256: \"{}\"\n", "ab".repeat(32))), "{text}");
}

#[test]
fn other_files_and_other_repositories_are_no_update() {
    let says = |entry: &NewEntry| repin(BUILT_IN, "r.yaml", entry).expect_err("refused").to_string();
    assert!(says(&entry("phi-2", "q5_k_m", "TheBloke/phi-2-GGUF", &["x.gguf"])).contains("is of other files"));
    assert!(
        says(&entry("phi-2", "q5_k_m", "o/phi-2", &["phi-2.Q5_K_M.gguf"])).contains("is of TheBloke/phi-2-GGUF, not of o/phi-2")
    );
    assert!(says(&entry("phi-2", "q3_k_m", "o/phi-2", &["x.gguf"])).contains("no entry `phi-2:q3_k_m`"));
    let plain = "models:\n  a:\n    huggingface_id: o/a\n    formats:\n      gguf:\n        q8_0: a.gguf\n";
    let error = repin(plain, "r.yaml", &entry("a", "q8_0", "o/a", &["a.gguf"])).expect_err("refused");
    assert!(paste(&error).contains(&format!("revision: \"{COMMIT}\"")) && paste(&error).contains("size: 7"), "{}", paste(&error));
}

/// A registry in one of many styles: indentation, quotes, line ends, blank lines, comments.
fn styled() -> impl Strategy<Value = String> {
    let quant = ("q[2-8]_[01]", 0..3usize, any::<bool>());
    let model = ("[a-c]", proptest::collection::vec(quant, 1..4), any::<bool>(), any::<bool>());
    let models = proptest::collection::vec(model, 1..4);
    (models, 1..5usize, 0..3usize, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(models, step, quote, windows, last_break, comments)| {
            let pad = |depth: usize| " ".repeat(depth * step);
            let q = ["\"", "'", ""][quote];
            let note = |depth: usize| if comments { format!("{}# said\n", pad(depth)) } else { String::new() };
            let mut text = format!("{}models:\n", note(0));
            let mut seen = std::collections::HashSet::new();
            for (id, quants, blank, whole) in models.into_iter().filter(|model| seen.insert(model.0.clone())) {
                text += &format!("{}{}{id}:\n", if blank { "\n" } else { "" }, note(1));
                text += &format!("{}huggingface_id: {q}o/{id}{q}\n{}formats:\n{}gguf:\n", pad(2), pad(2), pad(3));
                let mut seen = std::collections::HashSet::new();
                for (quant, form, comment) in quants.into_iter().filter(|quant| seen.insert(quant.0.clone())) {
                    text += &if comment { note(4) } else { String::new() };
                    text += &match form {
                        0 => format!("{}{quant}: {q}{id}.{quant}.gguf{q}\n", pad(4)),
                        1 => format!("{}{quant}: {{ file: {q}{id}.{quant}.gguf{q} }}\n", pad(4)),
                        _ => format!("{}{quant}:\n{}file: {q}{id}.{quant}.gguf{q} # {quant}\n", pad(4), pad(5)),
                    };
                }
                text += &if whole { format!("{}safetensors: {{}}\n", pad(3)) } else { String::new() };
            }
            let text = if last_break { text } else { text.trim_end().to_owned() };
            if windows { text.replace('\n', "\r\n") } else { text }
        },
    )
}

proptest! {
    // Each case reads a registry of the shipped size several times.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_added_the_rest_of_the_text_stays_byte_for_byte(
        old in prop_oneof![styled(), Just(BUILT_IN.to_owned())],
        id in "[a-e]|phi-2",
        quant in "iq[1-4]_xs",
        repo in "o/[a-c]",
        parts in 1..3usize,
        set: bool,
    ) {
        let names: Vec<String> = (1..=parts).map(|n| format!("x-0000{n}-of-0000{parts}.gguf")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let new = if set { whole(&id, &repo, &names) } else { entry(&id, &quant, &repo, &names) };
        match add(&old, "r.yaml", &new) {
            Ok(edited) => {
                let put = inserted(&old, &edited.text);
                prop_assert!(put.is_some(), "{}", edited.text);
                prop_assert_eq!(put.unwrap().contains('\r'), old.contains('\r'));
                prop_assert_eq!(edited.text.ends_with('\n'), old.ends_with('\n'));
                let line = crate::registry::tree::lines(&edited.text)[edited.line - 1];
                prop_assert_eq!(Some(line), edited.entry.lines().next());
                // And it is there now, so that it can be pinned anew, which changes nothing.
                let again = repin(&edited.text, "r.yaml", &new);
                prop_assert_eq!(again.map(|again| again.text), Ok(edited.text));
            }
            Err(error) => prop_assert!(matches!(error, EditError::Exists { .. }), "{}\n{}", error, old),
        }
    }

    #[test]
    fn no_text_makes_an_edit_panic_or_change_what_it_is_not_about(
        cuts in proptest::collection::vec((0..BUILT_IN.len(), 0..30usize, "[ \n\r\t:{}\\[\\],&*!|>'\"#?a-f0-9-]{0,6}"), 0..4),
    ) {
        let mut bytes = BUILT_IN.as_bytes().to_vec();
        for (at, len, with) in cuts {
            let start = at.min(bytes.len());
            let end = (start + len).min(bytes.len());
            bytes.splice(start..end, with.bytes());
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let new = entry("phi-2", "q6_k", "TheBloke/phi-2-GGUF", &["phi-2.Q6_K.gguf"]);
        if let Ok(edited) = add(&text, "r.yaml", &new) {
            prop_assert!(inserted(&text, &edited.text).is_some());
        }
        let _ = repin(&text, "r.yaml", &entry("phi-2", "q8_0", "TheBloke/phi-2-GGUF", &["phi-2.Q8_0.gguf"]));
    }
}

fn name(id: &str, format: Option<&str>, quant: Option<&str>) -> EntryName {
    EntryName {
        id: id.into(),
        format: format.map(|format| format.parse().unwrap()),
        quant: quant.map(|quant| quant.parse().unwrap()),
    }
}

const TWO: &str = "# top
models:
  # about a
  a:  # first
    huggingface_id: o/a
    formats:
      gguf:
        q4_k_m: {file: a.Q4_K_M.gguf}
        # the big one
        q8_0:
          file: a.Q8_0.gguf
          # inside
      safetensors: {}

  # about b
  b: {huggingface_id: o/b, formats: {gguf: {q4_k_m: {file: b.gguf}, q8_0: {file: c.gguf}}}}
# end
";

#[test]
fn an_entry_is_taken_out_and_every_other_line_stays() {
    let without = |name: &EntryName| remove(TWO, "r.yaml", name).map(|edited| edited.text).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (name, gone) in [
        (name("A", None, None), 3..12),
        (name("a", Some("gguf"), Some("q4_k_m")), 7..8),
        (name("a", Some("gguf"), Some("q8_0")), 9..12),
        (name("a", Some("gguf"), None), 6..12),
        (name("a", Some("safetensors"), None), 12..13),
        (name("b", None, None), 15..16),
        (name("b", Some("gguf"), None), 15..16),
    ] {
        let mut expected = lines(TWO);
        // The model ends with its last form.
        let gone = if name.format.is_none() && name.id == "A" { 3..13 } else { gone };
        expected.drain(gone);
        assert_eq!(lines(&without(&name)), expected, "{name:?}");
    }
}

#[test]
fn the_last_model_leaves_an_empty_registry_that_can_be_added_to() {
    let old = "models: # mine\n  a:\n    huggingface_id: o/a\n    formats: {gguf: {q8_0: {file: a.gguf}}}\n";
    let Edited { text, entry: out, line } = remove(old, "r.yaml", &name("a", Some("gguf"), Some("q8_0"))).unwrap();
    assert_eq!((text.as_str(), line), ("models: {} # mine\n", 2));
    assert!(out.starts_with("  a:\n") && out.ends_with("}}}"), "{out}");
    assert!(added(&text, &entry("b", "q8_0", "o/b", &["b.gguf"])).contains("# mine\n  b:\n"));
}

#[test]
fn what_is_not_there_or_cannot_be_taken_out_alone_is_refused() {
    let error = |text: &str, name: &EntryName| remove(text, "r.yaml", name).unwrap_err().to_string();
    assert_eq!(error(TWO, &name("c", None, None)), "r.yaml has no entry `c`");
    assert_eq!(error(TWO, &name("a", Some("gguf"), Some("q5_0"))), "r.yaml has no entry `a/gguf/q5_0`");
    let flow = error(TWO, &name("b", Some("gguf"), Some("q8_0")));
    assert!(flow.contains("in line 16") && flow.contains("one line with what is above it"), "{flow}");
    let needed = TWO.replace("file: b.gguf", "file: b.gguf, superseded_by: a");
    let needed = error(&needed, &name("a", None, None));
    assert!(needed.contains("another entry of the registry refers to it"), "{needed}");
    let anchor = "models:\n  a: &a\n    huggingface_id: o/a\n    formats: {gguf: {q8_0: {file: a.gguf}}}\n  b: *a\n";
    assert!(remove(anchor, "r.yaml", &name("a", None, None)).is_err());
}

#[test]
fn an_entry_that_cannot_be_used_can_be_taken_out() {
    let old = "models:\n  odd: {huggingface_id: 12, formats: guff}\n  a:\n    huggingface_id: o/a\n    odd_key: 1\n    formats: {gguf: {q8_0: {file: a.gguf}}}\n";
    let text = remove(old, "r.yaml", &name("odd", None, None)).unwrap().text;
    assert_eq!(text, old.replace("  odd: {huggingface_id: 12, formats: guff}\n", ""));
    let text = remove(&text, "r.yaml", &name("a", None, None)).unwrap().text;
    assert_eq!(text, "models: {}\n");
}

#[test]
fn every_entry_of_the_shipped_registry_can_be_taken_out_and_put_back() {
    let registry = Registry::built_in();
    for entry in registry.entries() {
        let quant = entry.quant.map(|quant| quant.as_str());
        let name = name(entry.model.id.as_str(), Some(entry.format.as_str()), quant);
        match remove(BUILT_IN, "r.yaml", &name) {
            Ok(edited) => assert!(Registry::parse(&edited.text, "r.yaml").is_ok()),
            Err(error) => assert!(error.to_string().contains("refers to it"), "{error}"),
        }
    }
}

#[test]
fn a_file_of_a_web_server_is_added_with_its_address_and_read_back() {
    let of_web = |name: &str, files: &[&str]| NewEntry {
        source: "https://h/models".parse().unwrap(),
        commit: None,
        ..entry(name, "q8_0", "o/r", files)
    };
    let one = added(BUILT_IN, &of_web("web-one", &["x y.gguf"]));
    assert!(one.contains("url: \"https://h/models/x%20y.gguf\"") && !one.contains("path: \"x y.gguf\""), "{one}");
    let several = added(&one, &of_web("web-many", &["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]));
    assert!(several.contains("- url: \"https://h/models/x-00001-of-00002.gguf\""), "{several}");
    let registry = crate::registry::Registry::parse(&several, "r.yaml").unwrap();
    let model = registry.model("web-many").unwrap();
    let artifact = &model.formats[0].quants[0].artifact;
    assert_eq!((artifact.source.as_str(), artifact.files.len(), artifact.revision.is_none()), ("https://h/models", 2, true));
    assert!(artifact.is_pinned() && model.huggingface_id.is_none());
}
