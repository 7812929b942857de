//! What `--json` prints and what `docs/json.md` says are the same, key by key, and one word means one thing.

use crate::kit::{MIB, Machine, entry, set_mode};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Fault, Match};
use crate::web::{File, WebServer};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

/// A key with the way to it (`models[].files[].size`), and the types that its values have.
pub type Keys = BTreeMap<String, BTreeSet<&'static str>>;

/// Rows that this version documents and fills only elsewhere: what other applications, remotes and later versions own, and
/// files that Windows keeps because they are open, and errors of the system.
const NOT_HERE: [(&str, &str); 7] = [
    ("Owner", ""),
    ("User", "name"),
    ("User", "entry"),
    ("Source", "name"),
    ("Source", "entry"),
    ("Source", "path"),
    ("Errors", "error.causes[].message"),
];
const OF_WINDOWS: &str = "open[]";

/// The keys that every object of a place has.
pub type Common = BTreeMap<String, BTreeSet<String>>;

/// A row of a table: its heading and its key.
pub type Row = (String, String);

/// `docs/json.md` as tables: the rows of each heading, as key and type.
pub struct Documented {
    tables: BTreeMap<String, Vec<(String, String)>>,
}

/// What a heading says of its keys, those of the objects in it included.
#[derive(Default)]
pub struct Expected {
    pub keys: Keys,
    /// Where a key is documented.
    rows: BTreeMap<String, Row>,
}

impl Documented {
    pub fn read() -> Self {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md")).unwrap();
        let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let mut heading = String::new();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("### ").or_else(|| line.strip_prefix("## ")) {
                heading = title.trim_matches('`').to_owned();
            }
            let rows = tables.entry(heading.clone()).or_default();
            if let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
                rows.push((key.to_owned(), rest.split(" | ").next().unwrap_or_default().to_owned()));
            }
            if let Some(shape) = line.strip_prefix("The document is a [").and_then(|rest| rest.split(']').next()) {
                rows.push((String::new(), shape.to_owned()));
            }
        }
        Self { tables }
    }

    pub fn of(&self, heading: &str) -> Expected {
        let mut expected = Expected::default();
        self.add(&mut expected, "", heading);
        expected
    }

    fn add(&self, expected: &mut Expected, prefix: &str, heading: &str) {
        let rows = self.tables.get(heading).unwrap_or_else(|| panic!("docs/json.md has no heading {heading:?}"));
        for (key, kind) in rows {
            let at = format!("{prefix}{key}");
            add_containers(&mut expected.keys, &at);
            expected.rows.insert(at.clone(), (heading.to_owned(), key.clone()));
            let (kind, is_nullable) = kind.strip_suffix(" or null").map_or((kind.as_str(), false), |kind| (kind, true));
            let types = expected.keys.entry(at.clone()).or_default();
            types.extend(is_nullable.then_some("null"));
            if let Some(plain) = ["string", "number", "bool", "object"].into_iter().find(|plain| *plain == kind) {
                types.insert(plain);
            } else if let Some(shape) = kind.strip_prefix("list of ") {
                types.insert("list");
                expected.keys.entry(format!("{at}[]")).or_default().insert("object");
                self.add(expected, &format!("{at}[]."), shape);
            } else if at.is_empty() {
                expected.keys.clear();
                self.add(expected, "", kind);
            } else {
                types.insert("object");
                self.add(expected, &format!("{at}."), kind);
            }
        }
    }
}

/// The lists and objects on the way to a key.
fn add_containers(keys: &mut Keys, at: &str) {
    let mut from = 0;
    while let Some(dot) = at[from..].find('.').map(|dot| from + dot) {
        let above = &at[..dot];
        if let Some(list) = above.strip_suffix("[]") {
            keys.entry(list.to_owned()).or_default().insert("list");
        }
        keys.entry(above.to_owned()).or_default().insert("object");
        from = dot + 1;
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Adds the keys of a value, and holds it against the rules that hold for all documents.
pub fn walk(keys: &mut Keys, common: &mut Common, at: &str, value: &Value) {
    if !at.is_empty() {
        keys.entry(at.to_owned()).or_default().insert(type_of(value));
    }
    let key = at.rsplit('.').next().unwrap_or_default();
    let is_absolute = |path: &str| Path::new(path).is_absolute() || path.starts_with('(');
    match (key, value) {
        ("size" | "old_size", value) => assert!(value.is_u64() || value.is_null(), "{at}: {value}"),
        (key, value) if key.ends_with("_bytes") => assert!(value.is_u64() || value.is_null(), "{at}: {value}"),
        ("sha256", Value::String(text)) => {
            assert!(text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()), "{at}: {value}");
        }
        ("quant" | "revision" | "commit" | "note" | "hint", value) => {
            assert!(value.is_null() || value.as_str().is_some_and(|text| !text.is_empty()), "{at}: {value}");
        }
        ("path" | "store" | "lock_file" | "settings_file" | "registry", Value::String(path)) => {
            assert!(is_absolute(path), "{at} is not absolute: {path}");
        }
        ("file" | "repo_path", Value::String(path)) if !at.contains("sources") => {
            assert!(!Path::new(path).is_absolute(), "{at} is absolute: {path}");
        }
        _ => {}
    }
    match value {
        Value::Array(values) => {
            for value in values {
                assert!(value.is_object(), "{at} is a list of other things than objects: {value}");
                walk(keys, common, &format!("{at}[]"), value);
            }
        }
        Value::Object(fields) => {
            let dot = if at.is_empty() { "" } else { "." };
            let here: BTreeSet<String> = fields.keys().cloned().collect();
            common.entry(at.to_owned()).and_modify(|common| common.retain(|key| here.contains(key))).or_insert(here);
            fields.iter().for_each(|(key, value)| walk(keys, common, &format!("{at}{dot}{key}"), value));
        }
        _ => {}
    }
}

/// What came of each command, by its heading in the document.
#[derive(Default)]
struct Seen {
    commands: BTreeMap<&'static str, (Keys, Common)>,
    errors: (Keys, Common),
}

impl Seen {
    /// Runs a command and notes what it prints.
    #[track_caller]
    fn run(&mut self, machine: &Machine, command: &'static str, options: &str, code: i32) -> Value {
        let output = machine.run(&format!("{command} {options} --json")).code(code);
        let mut document = output.json();
        let fields = document.as_object_mut().unwrap();
        assert_eq!(fields.remove("version"), Some(1.into()), "{output}");
        if let Some(error) = fields.remove("error") {
            let (keys, common) = &mut self.errors;
            walk(keys, common, "error", &error);
            if fields.is_empty() {
                return error;
            }
        }
        let (keys, common) = self.commands.entry(command).or_default();
        walk(keys, common, "", &document);
        document
    }
}

impl Seen {
    /// What differs from the document.
    fn differences(&self, documented: &Documented) -> Vec<String> {
        let mut all = Vec::new();
        let mut came: BTreeMap<Row, BTreeSet<&'static str>> = BTreeMap::new();
        let mut due: BTreeMap<Row, BTreeSet<&'static str>> = BTreeMap::new();
        let commands = self.commands.iter().map(|(name, seen)| (*name, seen)).chain([("Errors", &self.errors)]);
        for (name, (seen, common)) in commands {
            let expected = documented.of(name);
            for (key, types) in seen {
                let known = expected.keys.get(key).cloned().unwrap_or_default();
                let others = types.difference(&known);
                all.extend(others.map(|kind| format!("{name}: `{key}` was {kind}, documented is {known:?}")));
            }
            for (key, row) in &expected.rows {
                came.entry(row.clone()).or_default().extend(seen.get(key).into_iter().flatten());
                if cfg!(windows) || !key.starts_with(OF_WINDOWS) {
                    due.entry(row.clone()).or_default().extend(expected.keys.get(key).into_iter().flatten());
                }
            }
            // No key is left out of an object, in whatever depth.
            for key in expected.keys.keys().filter(|key| !key.is_empty() && !key.ends_with("[]")) {
                let (object, own) = key.rsplit_once('.').unwrap_or(("", key));
                if common.get(object).is_some_and(|common| !common.contains(own)) {
                    all.push(format!("{name}: an object `{object}` came without `{own}`"));
                }
            }
        }
        let is_elsewhere = |heading: &str, key: &str| NOT_HERE.iter().any(|(h, k)| *h == heading && (k.is_empty() || *k == key));
        for (row, types) in due.into_iter().filter(|((heading, key), _)| !key.is_empty() && !is_elsewhere(heading, key)) {
            let never = types.difference(&came[&row]).filter(|kind| **kind != "null");
            all.extend(never.map(|kind| format!("{}: `{}` is documented as {kind} and never came so", row.0, row.1)));
        }
        all
    }
}

const OWL: &str = "a/owl";
const MODEL: &str = "owl-Q4_K_M.gguf";
const SET: &str = "a/set";

/// A model with companions and all that a registry can say of it, its content under another name, and a set.
fn machine() -> Machine {
    let machine = Machine::empty();
    let weights = Content::from(Spec::mib(3).bytes());
    let repo =
        machine.hub.repo(OWL).license("mit").lfs(MODEL, weights.clone()).lfs("owl-Q8_0.gguf", Content::synthetic(4 * MIB, 2));
    repo.lfs("owl-Q4_K_M-mtp.gguf", "draft").lfs("mmproj-F16.gguf", "projector").commit();
    machine.hub.repo("a/copy").lfs("copy-Q4_K_M.gguf", weights).commit();
    let header = r#"{"w":{"dtype":"BF16","shape":[512,1024],"data_offsets":[0,1048576]}}"#;
    let mut small = (header.len() as u64).to_le_bytes().to_vec();
    small.extend_from_slice(header.as_bytes());
    small.resize(small.len() + MIB as usize, 0);
    let repo = machine.hub.repo("a/small").lfs("model.safetensors", small).lfs("flax_model.msgpack", "left out");
    repo.plain("config.json", r#"{"architectures":["LlamaForCausalLM"]}"#)
        .plain("tokenizer_config.json", r#"{"chat_template":"{{ messages }}"}"#)
        .commit();
    let sight = Spec::tiny().seed(2).bytes_as("mmproj", "clip");
    machine.hub.repo("a/eye").lfs("eye-sight-F16.gguf", sight).lfs("eye-words-F16.gguf", Spec::tiny().bytes()).commit();
    let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = format!("{{\"metadata\":{{}},\"weight_map\":{{\"a\":\"{}\",\"b\":\"{}\"}}}}", shards[0], shards[1]);
    let repo = machine.hub.repo(SET).lfs(shards[0], Content::synthetic(MIB + 9, 3)).lfs(shards[1], Content::synthetic(70_001, 4));
    let repo = repo.plain("model.safetensors.index.json", index);
    repo.plain("config.json", r#"{"architectures":["LlamaForCausalLM"]}"#)
        .plain("tokenizer_config.json", r#"{"chat_template":"{{ messages }}"}"#)
        .commit();
    machine.registry(&registry(&machine));
    machine
}

/// The entries of the registry as they are pinned now.
fn registry(machine: &Machine) -> [String; 3] {
    let owl = entry(&machine.hub, "owl", OWL, &[("q4_k_m", MODEL), ("q8_0", "owl-Q8_0.gguf")]);
    let about = "    description: An owl\n    size_class: small\n    params: 1B\n    ram: 2-4 GB\n    use_case: Tests\n    \
                 license: mit\n    formats:\n";
    let old = "        q8_0:\n          status: superseded\n          superseded_by: q4_k_m\n          note: An old one\n";
    let owl = owl.replacen("    formats:\n", about, 1).replace("        q8_0:\n", old);
    let copy = entry(&machine.hub, "copy", "a/copy", &[("q4_k_m", "copy-Q4_K_M.gguf")]);
    let set = format!("  set:\n    huggingface_id: {SET}\n    revision: main\n    formats:\n      safetensors: {{}}\n");
    [owl, copy, set]
}

/// Changes a read-only file as a broken disk would.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    set_mode(path, 0o644);
    fs::write(path, bytes).unwrap();
}

/// Kills a download that has some of its bytes.
fn leave_a_partial(machine: &Machine, name: &str) {
    let hold = machine.hub.hold(Match::cdn(), 2 * MIB + 5);
    let running = machine.spawn(&format!("download {name} --connections 1"));
    assert!(hold.wait_frozen(1, Duration::from_secs(20)), "{}", running.stderr_so_far());
    crate::kit::until("it has a partial", || !machine.partials().is_empty());
    running.kill9();
    hold.release();
}

fn downloads(seen: &mut Seen) {
    let machine = machine();
    seen.run(&machine, "path", "owl", 3);
    seen.run(&machine, "info", "", 0);
    seen.run(&machine, "search", "owl", 0);
    seen.run(&machine, "search", "owl --offline", 6);
    for name in [OWL, "a/eye:sight-f16", "a/small --format safetensors", "set --remote"] {
        seen.run(&machine, "info", name, 0);
    }
    let set = "set a/set --format safetensors";
    for line in ["owl --dry-run", "a/small --format safetensors --dry-run", &format!("{set} --dry-run"), set, OWL] {
        seen.run(&machine, "download", line, 0);
    }
    let web = WebServer::start();
    web.put("/models/web.Q4_K_M.gguf", File::new(Content::synthetic(MIB, 6)));
    let address = web.url("/models/web.Q4_K_M.gguf");
    let plan = seen.run(&machine, "download", &format!("{address} --dry-run"), 0);
    let folder = address.rsplit_once('/').unwrap().0;
    assert!(plan.to_string().contains(&format!("\"repo\":\"{folder}")), "{plan:#}");
    seen.run(&machine, "download", &address, 0);
    seen.run(&machine, "download", "owl copy no-such-model", 3);
    seen.run(&machine, "download", "owl --quant q8_0 --endpoint http://127.0.0.1:9", 6);
    seen.run(&machine, "info", "owl", 0);
    seen.run(&machine, "path", "owl", 0);
    seen.run(&machine, "use", "owl --backend llama_cpp", 0);
    seen.run(&machine, "use", "owl --backend llama_cpp --print", 0);
    seen.run(&machine, "list", "", 0);
    seen.run(&machine, "why", "owl", 0);
    seen.run(&machine, "why", "models/set/safetensors/config.json", 0);
    seen.run(&machine, "df", "", 0);
    seen.run(&machine, "df --tree", "", 0);
    seen.run(&machine, "gc", "--keep-bytes 0", 0);
    seen.run(&machine, "projects", "", 0);
    machine.run("init --models-dir ../gone/models").ok();
    machine.run("df --models-dir ../gone/models").ok();
    std::fs::remove_dir_all(machine.sandbox.root().join("gone")).unwrap();
    seen.run(&machine, "stores", "", 0);
    let theirs = machine.sandbox.root().join("gpt");
    machine.sandbox.write("../gpt/bird.Q4_K_M.gguf", Content::synthetic(900, 7).bytes());
    machine.sandbox.write("../gpt/empty.gguf", "");
    seen.run(&machine, "apps add", &format!("gpt4all {}", theirs.display()), 0);
    seen.run(&machine, "apps", "", 0);
    let layout = machine.sandbox.root().join("docker");
    machine.sandbox.write("../docker/layout.json", "{\"version\":\"1.0.0\"}");
    seen.run(&machine, "apps add", &format!("docker {}", layout.display()), 0);
    seen.run(&machine, "apps", "", 0);
    seen.run(&machine, "adopt", "bird.Q4_K_M --dry-run", 0);
    seen.run(&machine, "adopt", "--from gpt4all", 0);
    seen.run(&machine, "adopt", theirs.join("bird.Q4_K_M.gguf").to_str().unwrap(), 0);
    let shown = machine.sandbox.root().join("shown");
    fs::create_dir(&shown).unwrap();
    seen.run(&machine, "expose", &format!("bird.Q4_K_M --to {}", shown.display()), 0);
    let place = shown.join("bird.Q4_K_M.gguf");
    fs::remove_file(&place).unwrap();
    fs::write(&place, "theirs").unwrap();
    seen.run(&machine, "unexpose", &format!("--from {}", shown.display()), 0);
    machine.run("remove bird.Q4_K_M").ok();
    let twins = Content::synthetic(9000, 8).bytes();
    machine.sandbox.write("../gpt/one.Q4_K_M.gguf", &twins);
    machine.sandbox.write("../lms/acme/two/two.Q4_K_M.gguf", &twins);
    machine.run(&format!("apps add lm-studio {}", machine.sandbox.root().join("lms").display())).ok();
    seen.run(&machine, "adopt --dedupe", "--dry-run", 0);
    seen.run(&machine, "adopt --dedupe", "--yes", 0);
    seen.run(&machine, "adopt --undo", "", 0);
    machine.run("adopt --dedupe --yes").ok();
    for twin in ["gpt/one.Q4_K_M.gguf", "lms/acme/two/two.Q4_K_M.gguf"] {
        fs::remove_file(machine.sandbox.root().join(twin)).unwrap();
    }
    seen.run(&machine, "adopt --undo", "", 0);
    seen.run(&machine, "store copy", "../copy", 0);
    damage(&machine.blob(&machine.hub.content(OWL, MODEL)), MIB as usize + 5);
    seen.run(&machine, "store copy", "../other-copy", 4);
    machine.run("verify --repair").ok();
    std::fs::remove_dir_all(machine.sandbox.root().join("other-copy")).unwrap();
    machine.sandbox.write("models/.blobs/bad/mine", "mine");
    // A blob that nothing needs and that is damaged, and a file of somebody else in the place of a link.
    machine.run("download owl:q8_0").ok();
    machine.run("remove owl:q8_0 --keep-blobs").ok();
    let unneeded = machine.blob(&machine.hub.content(OWL, "owl-Q8_0.gguf"));
    damage(&unneeded, 5);
    let place = machine.sandbox.models().join("set/safetensors/config.json");
    fs::remove_file(&place).unwrap();
    fs::write(&place, "mine").unwrap();
    seen.run(&machine, "store move", "../moved", 1);
    fs::remove_file(&place).unwrap();
    seen.run(&machine, "store move", "../moved", 0);
}

/// A plan for a file of which another one in the store has the tensors.
fn similar_files(seen: &mut Seen) {
    let machine = Machine::empty();
    let spec = Spec::mib(10);
    machine.hub.repo("a/one").lfs("one-Q4_K_M.gguf", spec.bytes()).commit();
    machine.hub.repo("a/two").lfs("two-Q4_K_M.gguf", spec.bytes_as("model", "llama")).commit();
    machine.run("download a/one").ok();
    seen.run(&machine, "download", "a/two --dry-run", 0);
}

fn damage_and_removal(seen: &mut Seen) {
    let machine = machine();
    machine.run("download owl copy").ok();
    machine.sandbox.write("models/owl/gguf/q4_k_m/Modelfile", "mine");
    let blob = machine.blob(&machine.hub.content(OWL, MODEL));
    damage(&blob, MIB as usize + 5);
    seen.run(&machine, "verify", "owl", 4);
    seen.run(&machine, "doctor", "--full", 4);
    let fault = machine.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: MIB + 9 });
    seen.run(&machine, "verify", "owl --repair", 4);
    machine.hub.remove_fault(&fault);
    seen.run(&machine, "verify", "--repair", 0);
    seen.run(&machine, "remove", "owl --dry-run", 0);
    seen.run(&machine, "remove", "owl", 0);
    seen.run(&machine, "remove", "copy", 0);
    // What a collection finds: a blob, one with a further name, what is left of a download, and a record of no blob.
    machine.run("download owl a/owl:mtp-q4_k_m").ok();
    machine.run("remove owl --keep-blobs").ok();
    machine.run("remove a/owl:mtp-q4_k_m --keep-blobs").ok();
    fs::hard_link(&blob, machine.sandbox.root().join("another name")).unwrap();
    leave_a_partial(&machine, "owl:q8_0");
    machine.sandbox.write(&format!("models/.blobs/meta/ab/{}.json", "ab".repeat(32)), "{}");
    seen.run(&machine, "list", "--all", 0);
    seen.run(&machine, "gc", "--dry-run", 0);
    seen.run(&machine, "gc", "--grace 0 --partials 0", 0);
    seen.run(&machine, "projects", "forget models --force", 0);
    seen.run(&machine, "stores", "forget models/.blobs", 0);
}

#[cfg(unix)]
fn locks(seen: &mut Seen) {
    let machine = machine();
    machine.run("download owl set").ok();
    seen.run(&machine, "lock", "", 0);
    machine.hub.repo(SET).plain("config.json", "{\"architectures\":[\"Llama\"]}").remove("tokenizer_config.json").commit();
    seen.run(&machine, "lock", "--update", 0);
    seen.run(&machine, "lock --check", "", 1);
    seen.run(&machine, "sync", "--dry-run", 0);
    // One more model, a link and a file beside a locked one, damage, and a registry that changed.
    machine.run("download copy").ok();
    let dir = machine.sandbox.models().join("set/safetensors");
    std::os::unix::fs::symlink(fs::read_link(dir.join("config.json")).unwrap(), dir.join("more.json")).unwrap();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    damage(&machine.blob(&machine.hub.content(OWL, MODEL)), MIB as usize + 5);
    machine.hub.repo(OWL).lfs("README.md", "more").commit();
    machine.registry(&registry(&machine));
    seen.run(&machine, "sync", "--prune", 0);
}

fn registries_and_settings(seen: &mut Seen) {
    let machine = machine();
    seen.run(&machine, "add", "a/owl:q8_0 --id big --with draft", 0);
    seen.run(&machine, "add", "a/set --id other --dry-run", 0);
    machine.run("download copy").ok();
    seen.run(&machine, "registry remove", "copy:q4_k_m", 0);
    seen.run(&machine, "registry remove", "big --dry-run", 0);
    seen.run(&machine, "init", "", 0);
    seen.run(&machine, "init", "--user", 0);
    machine.run("config unset --user store").ok();
    seen.run(&machine, "config set", "--user tries 3", 0);
    seen.run(&machine, "config set", "--user allowed_places one two", 0);
    seen.run(&machine, "config list", "--link copy", 0);
    seen.run(&machine, "config get", "tries", 0);
    seen.run(&machine, "config get", "tries --link copy", 0);
    seen.run(&machine, "config get", "endpoints", 0);
    seen.run(&machine, "config unset", "--user allowed_places one", 0);
    seen.run(&machine, "config path", "", 0);
    seen.run(&machine, "completions", "bash", 0);
    seen.run(&machine, "man", "", 0);
    let registry = fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    machine
        .sandbox
        .write("configs/models.yaml", registry.replacen("huggingface_id", "huggingface", 1).replace("size: 4194304", "size: null"));
    seen.run(&machine, "lint", "", 1);
    seen.run(&machine, "lint", "--strict", 1);
    machine.sandbox.write("configs/models.lock", "no lock");
    seen.run(&machine, "sync", "", 2);
}

#[test]
#[cfg(unix)]
fn every_command_prints_the_keys_that_are_documented_and_no_others() {
    let mut seen = Seen::default();
    downloads(&mut seen);
    similar_files(&mut seen);
    damage_and_removal(&mut seen);
    locks(&mut seen);
    registries_and_settings(&mut seen);
    let documented = Documented::read();
    let differences = seen.differences(&documented);
    assert!(differences.is_empty(), "docs/json.md and what came differ:\n{}", differences.join("\n"));
    // Every command that the program has is among them.
    let help = Machine::empty().run("--help").ok().stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for name in commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let is_run = seen.commands.keys().any(|command| command.split(' ').next() == Some(name));
        assert!(is_run, "`{name} --json` was not run");
    }
}
