//! Every command that this program names is run, as it was printed, in the state in which it was named; `doctor` is content
//! afterwards. The table has a row for each command that stands in the sources, so that none is added without one.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use model_manager::cli::Terminal;
use model_manager::hint::{self, Action, Argument, Hint, Setting, Terms, Verb};
use serde_json::json;

use crate::kit::{FILE, MIB, Machine, OTHER, PATH, REPO, entry, open_entry, remove, set_mode};
use crate::lock::{LOCK, set_desk};
use crate::support::hub::Content;
use crate::support::run::Output;

/// How a command of the sources is seen to work.
enum Seen {
    /// In this state it is printed and run.
    In(fn() -> Case),
    /// The state cannot be made here (other users, hosts or full volumes), or another test makes it: such a command is
    /// understood.
    Like(&'static str),
}
use Seen::{In, Like};

/// A state, and the command that names another one.
struct Case {
    machine: Machine,
    /// What names it.
    line: String,
    /// What a person puts in for what only they know.
    words: Vec<(&'static str, String)>,
    /// With what it may end.
    codes: &'static [i32],
    /// Whether the other commands in its sentence, such as `mv`, are run before it.
    all: bool,
    /// What has to work then.
    then: Vec<&'static str>,
    /// Whether doctor finds nothing at all afterwards; else it finds nothing lost.
    well: bool,
    /// Whether doctor can be asked: not before a person has removed what is refused.
    has_doctor: bool,
}

impl Case {
    fn new(machine: Machine, line: impl Into<String>) -> Self {
        Self {
            machine,
            line: line.into(),
            words: Vec::new(),
            codes: &[0],
            all: false,
            then: Vec::new(),
            well: true,
            has_doctor: true,
        }
    }
    fn word(mut self, from: &'static str, to: impl Into<String>) -> Self {
        self.words.push((from, to.into()));
        self
    }
    fn code(self, codes: &'static [i32]) -> Self {
        Self { codes, ..self }
    }
    fn then(self, line: &'static str) -> Self {
        Self { then: vec![line], ..self }
    }
    fn all(self) -> Self {
        Self { all: true, ..self }
    }
    fn not_well(self) -> Self {
        Self { well: false, ..self }
    }
}

/// Where it comes from, the command, how it is seen. A command comes from a file below `src`, as it stands there; as `@verb`,
/// where an action for a name is made, with what it must have beside the name, if anything; or from a hint of this kind, with
/// `{}` for what only the error knows.
const ROWS: &[(&str, &str, Seen)] = &[
    ("cli/args.rs", "info", In(|| nothing("-h"))),
    ("cli/args.rs", "help options", In(|| nothing("list -h"))),
    ("cli/args.rs", "download <model>", In(|| nothing("-h").word("<model>", "tiny"))),
    ("cli/commands/add.rs", "download {name}", In(|| nothing(&format!("add {SMALL}")))),
    ("cli/commands/df.rs", "gc", In(|| unused("df"))),
    ("cli/commands/df_tree.rs", "gc", Like("gc")),
    ("cli/commands/gc.rs", "df --tree", In(|| here("gc --keep-bytes 0 --older-than 1d"))),
    ("cli/commands/download.rs", "list", Like("list")),
    ("cli/commands/download.rs", "remove <model>", Like("remove tiny")),
    ("cli/commands/info.rs", "=download {} --format {}{quant}", In(|| nothing("info tiny"))),
    ("cli/commands/info.rs", "download <model>", In(|| nothing("info").word("<model>", "tiny"))),
    ("cli/commands/info.rs", "info <model>", In(|| nothing("info").word("<model>", "tiny"))),
    ("cli/commands/search.rs", "info {}", In(|| nothing("search small"))),
    ("cli/commands/choose.rs", "@info", In(|| nothing(&format!("download {SMALL} --choose")))),
    ("cli/commands/info.rs", "download {}:{}", In(|| nothing(&format!("info {SMALL}")))),
    ("cli/commands/init.rs", "config set --user allowed_places {store}", In(homeless)),
    ("cli/commands/init.rs", "stores", In(|| nothing("init --user").not_well())),
    ("cli/commands/init.rs", "store move {}", In(|| here("init --user").then("verify tiny"))),
    ("cli/commands/config.rs", "store move {to}", In(|| user_store("../another").then("verify tiny"))),
    (
        "config/user_store.rs",
        "@config set --user store {}",
        In(|| nothing("init --user other").before("init --user one").not_well()),
    ),
    ("cli/commands/list.rs", "download <model>", In(|| nothing("list").word("<model>", "tiny"))),
    ("cli/commands/list.rs", "info", In(|| nothing("list"))),
    ("cli/commands/list.rs", "list", In(|| here("list --filter zzz"))),
    ("cli/commands/list.rs", "gc", In(|| unused("list --all"))),
    ("cli/commands/list.rs", "verify {name} --repair", In(|| broken("list"))),
    ("cli/commands/df.rs", "doctor", In(|| known_damaged("df").code(&[4]))),
    ("cli/commands/why.rs", "doctor", In(|| known_damaged("why tiny").code(&[4]))),
    ("cli/commands/list.rs", "verify {name}", In(|| by_hand("list"))),
    ("cli/commands/lock.rs", "add owner/repo:LABEL --id {id}", In(|| unknown("lock"))),
    ("cli/commands/lock.rs", "remove {name}", In(|| unknown("lock"))),
    ("cli/commands/lock.rs", "lock", In(|| here("lock --check").before("lock tiny:q8_0"))),
    ("cli/commands/lock.rs", "lock <model>", In(|| nothing("lock").word("<model>", "tiny"))),
    ("hint name_model_to_lock", "lock <model> --quant q4_k_m", In(|| nothing("lock --quant q4_k_m").word("<model>", "tiny"))),
    ("cli/commands/lock.rs", "sync --locked", In(|| here("lock"))),
    ("cli/commands/projects.rs", "gc", In(|| here("projects forget . --force").not_well())),
    ("cli/commands/registry.rs", "remove {here}", In(|| here("registry remove tiny"))),
    ("cli/commands/remove.rs", "list", Like("list")),
    ("cli/commands/verify.rs", "=verify {} --format {}{form} --repair", In(|| damaged("verify"))),
    (
        "cli/commands/verify.rs",
        "=download {} --format {}{form} --force",
        Like("download tiny --format gguf --quant q4_k_m --force"),
    ),
    ("cli/commands/verify.rs", "=download {} --format {}{form}", In(plain_and_wrong)),
    ("cli/commands/verify.rs", "list", In(|| nothing("verify"))),
    ("cli/commands/why.rs", "gc", In(|| unused("why DIGEST"))),
    ("config/file.rs", "@config set --user trusted_endpoints {}", In(distrusted)),
    ("config/write.rs", "@config set --user", In(|| nothing("config set trusted_endpoints http://a.lan"))),
    ("cli/exit.rs", "man", In(|| nothing("--help"))),
    ("hint go_on", "download {}:q4_k_m", Like("download tiny:q4_k_m")),
    ("hint see_help", "--help", In(|| nothing("downlod tiny --json"))),
    ("hint work_in_project", "config set --user safe_projects {}", Like("config set --user safe_projects /srv/p")),
    ("hint send_token", "config set --user trusted_endpoints {}", Like("config set --user trusted_endpoints http://a.lan")),
    ("hint trust_endpoint", "config set --user trusted_endpoints {}", Like("config set --user trusted_endpoints http://a.lan")),
    ("hint trust_project", "config set --user safe_projects {}", Like("config set --user safe_projects /srv/p")),
    ("source/error.rs", "@download {} --format {}", In(pytorch)),
    ("source/error.rs", "@download {}:{}", In(|| nothing(&format!("download {SMALL}:q5_0")))),
    ("manager/add.rs", "@add {} --update", In(|| nothing("add tinny:q4_k_m"))),
    ("hint pin_again", "add {} --update", In(|| nothing("add tiny:q4_k_m").word("tiny", "tiny:q4_k_m"))),
    ("hint allow_places", "config set --user allowed_places {}", Like("config set --user allowed_places /srv/models")),
    ("manager/plan/choose.rs", "@download", In(|| nothing(&format!("download hf://{SMALL}/smal.Q4_K_M.gguf")))),
    ("manager/collect.rs", "@why", In(|| here("why tinny"))),
    ("manager/collect.rs", "@verify", In(|| by_hand("why byhand").before("download tiny:q4_k_m"))),
    ("manager/doctor.rs", "@download", In(|| broken("doctor"))),
    ("hint find_and_repair", "why {}", Like("why tiny")),
    ("hint find_and_repair", "verify --repair", Like("verify --repair")),
    ("hint collect_now", "gc --grace 0", In(|| known_damaged("doctor").before("remove tiny --keep-blobs"))),
    ("hint only_this_host", "gc --only-this-host", Like("gc --only-this-host")),
    ("hint store_is_made", "init", In(|| nothing("doctor"))),
    ("hint ask_owner_to_share", "init --shared --group <group>", Like("init --shared --group users")),
    ("hint correct_entry", "lint", In(|| bad_entries("doctor").code(&[1]).not_well())),
    ("hint forget_project", "projects forget {}", In(gone_project)),
    ("hint restart_project", "projects list", In(unreadable_project)),
    ("manager/download.rs", "@download", In(|| nothing("download tinny"))),
    ("cli/notices.rs", "gc", In(|| Case { line: "download tiny:q4_k_m --force".to_owned(), ..in_the_way() })),
    ("cli/notices.rs", "info {repo}", Like("info owner/repo")),
    ("hint move_plain", "remove {}", In(in_the_way)),
    ("cli/notices.rs", "verify", In(|| Case::new(silent(), format!("download {REPO}:Q4_K_M")))),
    ("manager/info.rs", "@info", In(|| nothing("info tinny"))),
    ("registry/lint/mod.rs", "@add {} --update", In(unpinned_online)),
    ("manager/lock/mod.rs", "@lock", In(|| nothing(&format!("lock {REPO}")).before(&format!("lock {REPO}:Q4_K_M {REPO}:Q8_0")))),
    ("hint restore_registry", "lock <model>", In(registry_lost)),
    ("hint show_locked", "sync --locked", In(moved)),
    ("manager/lock/check.rs", "@lock", In(|| here("lock --check tiny:q8_0").before("lock"))),
    ("manager/lock/check.rs", "@remove", In(|| contradiction("sync --locked"))),
    ("hint contradicting_lock", "lock", In(|| contradiction("sync --locked").then("sync --locked --offline"))),
    ("hint contradicting_lock", "sync --locked", Like("sync --locked")),
    ("manager/lock/entry.rs", "@download {} --force", In(taken_in_without_a_hash)),
    ("hint make_lock", "lock", In(|| here("sync"))),
    ("hint make_lock", "lock <model>", In(|| nothing("sync").word("<model>", "tiny"))),
    ("hint list_bad_entries", "lint", In(|| bad_entries("info").code(&[1]).not_well())),
    ("manager/name/mod.rs", "@download", In(|| nothing("path tiny"))),
    ("hint show_users", "why {}", In(|| unused("verify DIGEST").then("why DIGEST"))),
    ("manager/name/mod.rs", "@download hf://{}", In(|| nothing(&format!("path hf://{SMALL}/small.Q4_K_M.gguf")))),
    ("hint list_paths", "list", In(|| nothing("path ./nowhere"))),
    ("manager/name/unknown.rs", "@download", In(of_registry)),
    ("hint list_models_and_registry", "info", In(|| nothing("path zzzzzzz"))),
    ("hint write_label", "info {}", In(|| nothing("path tiny:.."))),
    ("hint show_repository", "info {}", In(|| small("path acme--Small-GGUF:q8_0"))),
    ("hint list_models_and_registry", "list", In(|| nothing("path zzzzzzz"))),
    ("hint list_models", "list", Like("list")),
    ("hint nothing_removed", "list", In(|| nothing("remove tiny"))),
    ("hint is_built_in", "list", In(built_in_and_absent)),
    ("manager/doctor.rs", "@verify {} --repair", In(without_link)),
    ("manager/verify.rs", "@verify {} --repair", In(linked_elsewhere)),
    ("manager/lock/mod.rs", "@verify {} --repair", In(|| known_damaged("lock"))),
    ("manager/path.rs", "@verify {} --repair", In(|| known_damaged("path tiny"))),
    ("manager/path.rs", "@download", In(|| broken("path tiny"))),
    ("manager/path.rs", "@path", In(|| here("path tinny"))),
    ("hint forget_live_project", "projects forget {} --force", In(|| here("projects forget .").not_well())),
    ("cli/commands/apps.rs", "apps add NAME DIR", Like("apps add gpt4all /srv/gpt4all")),
    ("hint list_apps", "apps", Like("apps")),
    ("manager/apps/expose.rs", "@path", Like("path tiny")),
    ("manager/apps/expose.rs", "@remove", Like("remove tiny")),
    ("manager/move_store.rs", "@unexpose", Like("unexpose")),
    ("manager/remove.rs", "@unexpose", Like("unexpose tiny")),
    ("hint repair_first", "verify --repair", Like("verify --repair")),
    ("config/moved_store.rs", "@config set --user", Like("config set --user store /srv/models")),
    ("hint name_store", "stores list", In(|| here("stores forget nowhere"))),
    ("hint forget_store", "stores forget {}", Like("stores forget /srv/models/.blobs")),
    ("hint name_project", "projects list", In(|| here("projects forget nowhere"))),
    ("hint forget_live_project", "remove <model>", In(|| here("projects forget .").word("<model>", "tiny"))),
    ("manager/remove.rs", "@registry remove", In(|| nothing("remove tiny"))),
    ("manager/remove.rs", "@remove", In(|| here("remove tinny"))),
    ("hint collect_later", "gc", Like("gc")),
    ("hint lock_again", "lock", In(registry_changed)),
    ("manager/sync.rs", "@verify {} --repair", In(|| damaged("sync --locked --offline"))),
    ("hint without_entry", "add owner/repo:LABEL --id {}", In(|| by_hand("download byhand"))),
    ("hint without_entry", "path {}", In(|| by_hand("download byhand"))),
    ("hint without_entry", "verify {}", In(|| by_hand("info byhand"))),
    ("hint other_name", "add {} --id NAME", Like("add https://example.org/x.Q4_K_M.gguf --id other")),
    ("manager/unregister.rs", "@registry remove", In(|| nothing("registry remove tinny"))),
    ("manager/unregister.rs", "@remove", In(|| small("registry remove acme--Small-GGUF"))),
    ("hint make_registry", "add owner/repo:LABEL", In(built_in)),
    ("hint download_from_repository", "download owner/repo:LABEL", Like("download owner/repo:LABEL")),
    ("hint name_model", "info {}", Like("info owner/repo")),
    ("manager/use_model.rs", "@use {} --backend {} --file {}", Like("use tiny --backend vllm --file x.yaml")),
    ("manager/use_model.rs", "@download", Like("download tiny")),
    ("manager/use_model.rs", "@use {} --backend {}", In(|| here("use tinny --backend llama_cpp"))),
    ("manager/verify.rs", "@download", In(|| plain("verify tiny"))),
    ("manager/verify.rs", "@verify", In(|| here("verify tinny"))),
    ("registry/edit/add.rs", "@lint", In(|| formless(&format!("add {REPO}:Q4_K_M --id tiny")).code(&[1]).not_well())),
    ("hint pin_or_other_id", "add {} --update", In(|| nothing(&format!("add {REPO}:Q4_K_M --id tiny")))),
    ("hint list_registry", "info", In(|| nothing("registry remove tiny:q5_0"))),
    ("hint take_out_by_hand", "lint", In(|| in_braces("registry remove tiny"))),
    ("hint write_by_hand", "lint", Like("lint")),
    ("registry/error.rs", "@download {} --format {}", In(|| two_formats("download two"))),
    ("registry/error.rs", "@download two --format safetensors", In(|| two_formats("download two:q8_0 --format safetensors"))),
    ("hint show_model", "info {}", In(|| nothing("download tiny:q9"))),
    ("hint correct_line", "lint", In(|| bad_registry("info").code(&[1]).not_well())),
    ("hint restore_lock", "lock", In(|| bad_lock("sync"))),
    ("registry/lint/mod.rs", "@add tiny:q4_k_m --update", In(|| open("lint"))),
    ("registry/lint/mod.rs", "@add moving:q8_0 --update", In(|| open("lint"))),
    ("hint correct_successor", "info {}", In(|| superseded("lint"))),
    ("hint ask_hub", "lint --online", In(|| open("lint").code(&[0, 1]))),
    ("registry/lock_file.rs", "lock", Like("lock")),
    ("registry/lock_file.rs", "lock --update", Like("lock --update")),
    ("registry/lock_file.rs", "sync --locked", Like("sync --locked")),
    ("hint ask_for_access", "doctor", Like("doctor")),
    ("hint restore_locks", "init", Like("init")),
    ("hint free_space", "list", Like("list")),
    ("hint free_space", "remove <model>", Like("remove tiny")),
    ("hint free_inodes", "list", Like("list")),
    ("hint free_inodes", "remove <model>", Like("remove tiny")),
    ("hint collect_unneeded", "gc", Like("gc")),
    ("hint find_store", "init", Like("init")),
    ("hint restore_or_forget", "init", Like("init")),
    ("hint restore_or_forget", "projects forget {}", Like("projects forget tiny")),
    ("hint register_or_forget", "init", Like("init")),
    ("store/examine/roots.rs", "@download", In(|| broken("doctor"))),
    ("store/examine/mod.rs", "@gc", In(record_of_nothing)),
    ("store/examine/leftovers.rs", "@gc", Like("gc")),
    ("store/examine/modes.rs", "@init", In(|| without_folder("doctor"))),
    ("store/examine/mod.rs", "@init", Like("init")),
    ("hint share_as_owner", "init --shared", In(shut_out)),
    ("hint register_or_forget", "projects forget {}", In(|| without_record("doctor").not_well())),
    ("hint rewrite_record", "verify", In(without_meta)),
    ("hint verify_protects", "verify", Like("verify")),
    ("store/examine/mod.rs", "@verify {} --repair", In(|| damaged("doctor --full"))),
    ("hint download_missing", "download {}", Like("download models/tiny")),
    ("hint check_patterns", "info <model>", Like("info tiny")),
    ("hint move_edited", "verify {} --repair", In(cut_short)),
];

const SMALL: &str = "acme/Small-GGUF";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.hub.repo(SMALL).lfs("small.Q4_K_M.gguf", "small four").lfs("small.Q8_0.gguf", "small eight").commit();
    machine
}

impl Case {
    /// The same where this ran before.
    fn before(self, line: &str) -> Self {
        self.machine.run(line).ok();
        self
    }
}

fn nothing(line: &str) -> Case {
    Case::new(machine(), line)
}

fn here(line: &str) -> Case {
    nothing(line).before("download tiny:q4_k_m")
}

fn small(line: &str) -> Case {
    nothing(line).before(&format!("download {SMALL}:Q4_K_M"))
}

/// A project with a store of its own, of a user who chooses another store.
fn user_store(place: &str) -> Case {
    let case = here("list");
    let place = case.machine.sandbox.project().join(place);
    Case { line: format!("config set --user store {}", place.display()), ..case }
}

/// A blob that nothing needs.
fn unused(line: &str) -> Case {
    let case = here("").before("remove tiny --keep-blobs");
    let digest = case.machine.content().sha256().to_owned();
    Case { line: line.replace("DIGEST", &digest), ..case }
}

fn broken(line: &str) -> Case {
    let case = here(line);
    remove(case.machine.blob(&case.machine.content()));
    case
}

/// The digest of a file that the registry has and the store has not.
fn of_registry() -> Case {
    let case = nothing("").before("init");
    let line = format!("why {}", case.machine.content().sha256());
    Case { line, ..case }
}

fn without_link() -> Case {
    let case = here("doctor");
    remove(case.machine.sandbox.project().join(PATH));
    case
}

/// A model of which a command found damage.
/// A link of somebody else, to a file with the same content, in the place of ours.
fn linked_elsewhere() -> Case {
    let case = here("verify tiny");
    let (project, copy) = (case.machine.sandbox.project(), case.machine.sandbox.project().join("copy.gguf"));
    std::fs::write(&copy, case.machine.content().bytes()).unwrap();
    remove(project.join(PATH));
    std::os::unix::fs::symlink(copy, project.join(PATH)).unwrap();
    case
}

fn known_damaged(line: &str) -> Case {
    let case = here(line);
    let blob = case.machine.blob(&case.machine.content());
    set_mode(&blob, 0o644);
    std::fs::write(&blob, vec![7; case.machine.content().len() as usize]).unwrap();
    case.machine.run("verify").code(4);
    case
}

fn damaged(line: &str) -> Case {
    let case = here(line).before("lock");
    let blob = case.machine.blob(&case.machine.content());
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[9] ^= 1;
    set_mode(&blob, 0o644);
    std::fs::write(&blob, bytes).unwrap();
    set_mode(&blob, 0o444);
    case
}

fn by_hand(line: &str) -> Case {
    let case = nothing(line).word("owner/repo:LABEL", format!("{REPO}:Q4_K_M"));
    case.machine.sandbox.write("models/byhand/gguf/x.gguf", "by hand");
    case
}

/// A file of the old tool, as the registry pins it.
fn plain(line: &str) -> Case {
    let case = nothing(line);
    case.machine.sandbox.write(PATH, case.machine.content().bytes());
    case
}

fn in_the_way() -> Case {
    let case = nothing("download tiny:q4_k_m").then("download tiny:q4_k_m");
    case.machine.sandbox.write(PATH, vec![7; case.machine.content().len() as usize]);
    case
}

fn plain_and_wrong() -> Case {
    Case { line: "verify".to_owned(), ..in_the_way().all() }
}

/// A hard link whose file was edited.
fn cut_short() -> Case {
    let case = nothing("download tiny:q4_k_m").before("download tiny:q4_k_m --link hardlink").then("verify");
    let shown = case.machine.sandbox.project().join(PATH);
    set_mode(&shown, 0o644);
    std::fs::File::options().write(true).open(&shown).unwrap().set_len(9).unwrap();
    case
}

fn unknown(line: &str) -> Case {
    let case = plain(line).word("owner/repo:LABEL", format!("{REPO}:Q4_K_M")).before("download tiny:q4_k_m --offline");
    let digest = case.machine.content().sha256().to_owned();
    remove(case.machine.store().join("meta").join(&digest[..2]).join(format!("{digest}.json")));
    case.machine.sandbox.write("configs/models.yaml", "models: {}\n");
    case
}

fn homeless() -> Case {
    let mut machine = machine();
    let home = machine.sandbox.home();
    machine.sandbox.remove_env("HOME");
    let case = Case::new(machine, format!("init --store {}", home.join("shared").display())).code(&[0]);
    // The hint says first to set it.
    case.word("model-manager", format!("HOME={} model-manager", home.display())).not_well()
}

fn distrusted() -> Case {
    let case = Case { has_doctor: false, ..nothing("list") };
    case.machine.sandbox.write("configs/manager.yaml", "trusted_endpoints: http://a.lan\n");
    case
}

fn pytorch() -> Case {
    let machine = machine();
    machine.hub.repo("a/old").lfs("pytorch_model.bin", "weights").plain("config.json", "{}").commit();
    Case::new(machine, "download a/old")
}

fn bad_entries(line: &str) -> Case {
    let case = nothing(line);
    let bad: String = (0..5).map(|number| format!("  odd{number}: {{huggingface_id: 12}}\n")).collect();
    let good = std::fs::read_to_string(case.machine.sandbox.project().join("configs/models.yaml")).unwrap();
    case.machine.sandbox.write("configs/models.yaml", good + &bad);
    case
}

fn bad_registry(line: &str) -> Case {
    let case = nothing(line);
    case.machine.sandbox.write("configs/models.yaml", "models: [}\n");
    case
}

fn formless(line: &str) -> Case {
    let case = nothing(line);
    case.machine.sandbox.write("configs/models.yaml", format!("models:\n  tiny:\n    huggingface_id: \"{REPO}\"\n"));
    case
}

fn in_braces(line: &str) -> Case {
    let case = nothing(line);
    let text = format!("models: {{tiny: {{huggingface_id: \"{REPO}\", formats: {{gguf: {{q4_k_m: {{file: \"{FILE}\"}}}}}}}}}}\n");
    case.machine.sandbox.write("configs/models.yaml", text);
    case
}

fn two_formats(line: &str) -> Case {
    let case = nothing(line);
    case.machine
        .hub
        .repo("a/two")
        .lfs("model.safetensors", "weights")
        .lfs("pytorch_model.bin", "old")
        .plain("config.json", "{}")
        .commit();
    let text = "models:\n  two:\n    huggingface_id: a/two\n    formats: {safetensors: {}, pytorch: {}}\n";
    case.machine.sandbox.write("configs/models.yaml", text);
    case
}

fn open(line: &str) -> Case {
    let case = nothing(line);
    let branch = "  moving:\n    huggingface_id: \"TheBloke/Tiny-GGUF\"\n    revision: main\n    formats: {gguf: {q8_0: {file: \"tiny.Q8_0.gguf\"}}}\n";
    case.machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)]), branch.to_owned()]);
    case
}

fn superseded(line: &str) -> Case {
    let case = nothing(line);
    let good = entry(&case.machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)]);
    case.machine.registry(&[good.replacen("          size", "          superseded_by: \"tiny:q5_0\"\n          size", 1)]);
    case
}

fn unpinned_online() -> Case {
    let case = open("lint --online");
    let good = entry(&case.machine.hub, "tiny", REPO, &[("q4_k_m", FILE)]);
    case.machine.registry(&[good.lines().filter(|line| !line.contains("revision")).map(|line| format!("{line}\n")).collect()]);
    case
}

fn bad_lock(line: &str) -> Case {
    let case = here(line).all().then("sync --locked");
    case.machine.sandbox.write(LOCK, "views: 7\n");
    case
}

fn gone_project() -> Case {
    let machine = machine();
    machine.run("download tiny:q4_k_m").ok();
    let other = machine.sandbox.other_project("other");
    let store = machine.store();
    let line = format!("download {SMALL}:Q4_K_M --store {}", store.display());
    let mut command = machine.sandbox.command(line.split_whitespace());
    command.current_dir(&other);
    machine.sandbox.finish(command).ok();
    std::fs::remove_dir_all(&other).unwrap();
    Case::new(machine, "doctor")
}

fn unreadable_project() -> Case {
    let case = here("doctor").all();
    case.machine.sandbox.write("models/.model-manager.json", "{");
    case
}

fn silent() -> Machine {
    let machine = Machine::empty();
    machine
        .hub
        .repo(REPO)
        .lfs(FILE, Content::synthetic(MIB, 1))
        .patch_entry(FILE, json!({"lfs": {"oid": "*".repeat(64)}}))
        .commit();
    machine
}

/// A file that was here, that nobody publishes a hash of: `download` alone finds all there and nothing to lock.
fn taken_in_without_a_hash() -> Case {
    let machine = silent();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    machine.sandbox.write(PATH, machine.content().bytes());
    machine.run("download tiny").ok();
    Case::new(machine, "lock").then("lock")
}

fn registry_lost() -> Case {
    let case = here("sync").before("lock").word("<model>", format!("{REPO}:Q4_K_M"));
    remove(case.machine.sandbox.project().join("configs/models.yaml"));
    case
}

fn registry_changed() -> Case {
    let case = here("sync --locked").before("lock").then("sync --locked");
    case.machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 9)).commit();
    case.machine.registry(&[entry(&case.machine.hub, "tiny", REPO, &[("q4_k_m", FILE)])]);
    case
}

fn moved() -> Case {
    let machine = machine();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    let case = Case::new(machine, "lock").before("download tiny").before("lock");
    case.machine.hub.repo(REPO).lfs(FILE, Content::synthetic(MIB, 9)).commit();
    case.before("lock --update")
}

fn contradiction(line: &str) -> Case {
    let case = here(line).before("lock");
    let good = std::fs::read_to_string(case.machine.sandbox.project().join(LOCK)).unwrap();
    case.machine.sandbox.write(LOCK, good.replacen("size: ", "size: 1", 1));
    case
}

fn built_in() -> Case {
    let case = nothing("registry remove phi-2").word("owner/repo:LABEL", format!("{SMALL}:Q4_K_M"));
    remove(case.machine.sandbox.project().join("configs/models.yaml"));
    case
}

fn built_in_and_absent() -> Case {
    let case = nothing("remove phi-2");
    remove(case.machine.sandbox.project().join("configs/models.yaml"));
    case
}

fn record_of_nothing() -> Case {
    let case = unused("doctor");
    remove(case.machine.blob(&case.machine.content()));
    case
}

fn without_folder(line: &str) -> Case {
    let case = here(line);
    std::fs::remove_dir(case.machine.store().join("trash")).unwrap();
    case
}

fn shut_out() -> Case {
    let case = nothing("doctor").before("init --shared").before("download tiny:q4_k_m");
    set_mode(case.machine.store().join("leases"), 0o700);
    case
}

fn without_record(line: &str) -> Case {
    let case = here(line);
    let roots = case.machine.store().join("roots");
    let project = crate::kit::names(&roots).into_iter().find(|name| name.len() == 36).unwrap();
    remove(roots.join(project).join("project.json"));
    case
}

fn without_meta() -> Case {
    let case = here("doctor");
    let digest = case.machine.content().sha256().to_owned();
    remove(case.machine.store().join("meta").join(&digest[..2]).join(format!("{digest}.json")));
    case
}

/// The program's own part of a file, with its strings in one line and without comments.
fn product_text(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut joined = String::new();
    let mut goes_on = false;
    for line in lines {
        joined.push_str(if goes_on { line.trim_start() } else { line });
        goes_on = joined.ends_with('\\');
        if goes_on {
            joined.pop();
        } else {
            joined.push('\n');
        }
    }
    joined
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if name != "tests" => rust_files(&path, files),
            false if name.ends_with(".rs") && !matches!(name, "tests.rs" | "testing.rs") => files.push(path),
            _ => {}
        }
    }
}

/// What stands between a beginning and an end, wherever it does.
fn between<'t>(text: &'t str, begin: &str, end: char) -> Vec<&'t str> {
    text.match_indices(begin).filter_map(|(at, _)| text[at + begin.len()..].split_once(end)).map(|(found, _)| found).collect()
}

const VERBS: [&str; 26] = [
    "download", "list", "info", "search", "verify", "remove", "path", "lock", "sync", "use", "gc", "why", "df", "doctor",
    "projects", "init", "add", "lint", "config", "registry", "stores", "store", "apps", "adopt", "expose", "unexpose",
];

/// Every command that stands in the sources, by its file; and what is called a command and is none.
fn commands_of_sources() -> (BTreeSet<(String, String)>, Vec<String>) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let (mut found, mut odd) = (BTreeSet::new(), Vec::new());
    for path in files {
        let text = product_text(&path);
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let is_verb = |text: &str| VERBS.contains(&text.split(' ').next().unwrap_or_default());
        let quoted = between(&text, "`model-manager ", '`').into_iter().map(str::to_owned);
        let whole = between(&text, "\"model-manager ", '"').into_iter().filter(|text| is_verb(text)).map(|text| format!("={text}"));
        let is_of_hints = file.starts_with("hint/") || file == "cli/hints.rs";
        let made = ["Invocation::new(", "Action::new("].into_iter().flat_map(|begin| between(&text, begin, ')'));
        let made = made.filter_map(|verb| verb.strip_prefix("Verb::")).map(command_of);
        let other = [("Action::grant(", "config set --user"), ("hint::repair(", "verify")];
        let other = other.into_iter().filter(|(call, _)| text.contains(call)).map(|(_, command)| command.to_owned());
        let made = made.chain(other).map(|command| format!("@{command}"));
        let all = quoted.chain(whole).chain(made).filter(|text| !is_of_hints && !text.starts_with('"'));
        found.extend(all.map(|text| (file.clone(), text)));
        for verb in VERBS {
            let alone = between(&text, &format!("`{verb} "), '`').into_iter().map(|rest| format!("{file}: `{verb} {rest}`"));
            // A setting, a field and a revision are called as some commands are.
            let named = [format!("run `{verb}`"), format!("Run `{verb}`"), format!("`{verb}` would")];
            // `df -i` is the program of the system.
            let alone = alone.filter(|text| !text.ends_with("`df -i`"));
            odd.extend(alone.chain(named.into_iter().filter(|named| text.contains(named.as_str()))));
        }
    }
    (found, odd)
}

/// The command of a verb, as the terminal has it.
fn command_of(verb: &str) -> String {
    let known = Verb::ALL.into_iter().find(|known| format!("{known:?}") == verb);
    command(known.unwrap_or_else(|| panic!("no verb {verb}")))
}

fn command(verb: Verb) -> String {
    let action = Terminal.action(&Action::new(verb));
    action.trim_matches('`').strip_prefix("model-manager ").unwrap().to_owned()
}

/// The command that a row `@…` begins with.
fn verb_of(row: &str) -> Option<String> {
    let text = row.strip_prefix('@')?;
    let is_it = |verb: &String| text.strip_prefix(verb.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    Verb::ALL.into_iter().map(command).filter(is_it).max_by_key(String::len)
}

/// The words of the terminal for what a hint has of itself. An action that the hint was given is one of another place.
struct OwnWords(String);

impl Terms for OwnWords {
    fn action(&self, action: &Action) -> String {
        if self.0.contains(&format!("{action:?}")) { "this".to_owned() } else { Terminal.action(action) }
    }
    fn argument(&self, argument: &Argument) -> String {
        Terminal.argument(argument)
    }
    fn setting(&self, setting: Setting) -> String {
        Terminal.setting(setting)
    }
    fn again(&self) -> &'static str {
        Terminal.again()
    }
}

/// Every command that a hint has of itself, by its kind. Actions that an error puts into it are those of its file.
fn commands_of_hints() -> BTreeSet<(String, String)> {
    const EXAMPLES: [&str; 6] = ["/srv/models/tiny.gguf", "https://hub.lan", "owner/repo", "sha256:01", "01234567", "tiny"];
    let mut found = BTreeSet::new();
    for hint in Hint::examples() {
        let source = format!("hint {}", hint.kind());
        let own = OwnWords(format!("{hint:?}"));
        let words = hint::words(&[hint], &own).replace("owner/repo:LABEL", "LABEL");
        let commands = backticked(&words).into_iter().filter_map(|text| text.strip_prefix("model-manager "));
        for command in commands {
            let text = EXAMPLES.iter().fold(command.to_owned(), |text, value| text.replace(value, "{}"));
            found.insert((source.clone(), text.replace("LABEL", "owner/repo:LABEL")));
        }
    }
    found
}

#[test]
fn every_command_that_the_program_names_has_a_row_here_and_stands_whole() {
    let (mut found, odd) = commands_of_sources();
    found.extend(commands_of_hints());
    assert!(found.len() > 90, "the reader of sources found only {}: it is broken", found.len());
    let rows: BTreeSet<(&str, &str)> = ROWS.iter().map(|(file, text, _)| (*file, *text)).collect();
    assert_eq!(rows.len(), ROWS.len(), "a row stands twice");
    let in_source = |text: &str| verb_of(text).map_or_else(|| text.to_owned(), |verb| format!("@{verb}"));
    let rows: BTreeSet<(String, String)> = rows.into_iter().map(|(file, text)| (file.to_owned(), in_source(text))).collect();
    let missing: Vec<_> = found.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&found).collect();
    assert!(missing.is_empty() && stale.is_empty(), "without a row: {missing:#?}\nrows of nothing: {stale:#?}");
    assert!(odd.is_empty(), "commands without `model-manager`: {odd:#?}");
}

/// Whether a printed command is one of a row.
fn is_of_row(command: &str, row: &str) -> bool {
    let row = match (verb_of(row), row.trim_start_matches(['@', '='])) {
        // Others concern the store or the registry as a whole.
        (Some(verb), bare) if bare == verb && !matches!(bare, "gc" | "init" | "lint") => format!("{verb} {{}}"),
        (_, text) => text.to_owned(),
    };
    let Some(mut rest) = command.strip_prefix("model-manager ") else { return false };
    let mut parts = row.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let Some(after) = rest.strip_prefix(parts.next().unwrap()) else { return false };
    rest = after;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || row.ends_with('}')
}

/// Runs a command as a person types it.
fn type_in(machine: &Machine, command: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_model-manager"));
    let mut shell = machine.sandbox.command(["-c", command]);
    let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
    let env: Vec<_> = shell.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    shell = std::process::Command::new("/bin/sh");
    shell.arg("-c").arg(command).env_clear().current_dir(machine.sandbox.project()).stdin(std::process::Stdio::null());
    shell.envs(env.into_iter().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    machine.sandbox.finish(shell)
}

fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Does what `doctor` says until it finds nothing.
fn assert_content(case: &Case) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let output = case.machine.run("doctor --full");
        if output.stdout.contains("all is well") || (!case.well && output.stdout.contains("nothing is lost")) {
            return;
        }
        let commands: Vec<String> = output
            .stdout
            .lines()
            .flat_map(backticked)
            .filter(|text| text.starts_with("model-manager"))
            .map(str::to_owned)
            .collect();
        let Some(command) = commands.first() else { break };
        seen.push(format!("{output}"));
        type_in(&case.machine, command);
    }
    panic!("doctor goes on: {}\n{}", seen.join("\n"), case.machine.run("doctor --full"));
}

fn play(file: &str, row: &str, case: &Case) {
    let named = case.machine.run(&case.line);
    let mut said = format!("{}{}", named.stdout, named.stderr);
    let names_it = |line: &&str| backticked(line).iter().any(|command| is_of_row(command, row));
    if !said.lines().any(|line| names_it(&line)) {
        // Much is said to people only.
        said = type_in(&case.machine, &format!("NO_COLOR=1 script -qec 'model-manager {}' /dev/null", case.line)).stdout;
    }
    let line = said.lines().find(names_it);
    let line = line.unwrap_or_else(|| panic!("{file}: {row}: not named by {named}"));
    let command = backticked(line).into_iter().find(|command| is_of_row(command, row)).unwrap();
    let mut typed = command.to_owned();
    for (from, to) in &case.words {
        typed = typed.replacen(from, to, 1);
    }
    if case.all {
        for before in backticked(line).into_iter().take_while(|before| *before != command) {
            type_in(&case.machine, before).ok();
        }
    }
    let output = type_in(&case.machine, &typed);
    let code = output.status.code().unwrap();
    assert!(case.codes.contains(&code), "{file}: {row}: named by {named}\n{output}");
    for line in &case.then {
        let line = line.replace("DIGEST", case.line.split(' ').next_back().unwrap());
        case.machine.run(&line).ok();
    }
    if case.has_doctor {
        assert_content(case);
    }
}

#[test]
fn every_command_that_is_named_works_where_it_is_named_and_doctor_is_content_then() {
    let rows: Vec<_> = ROWS.iter().collect();
    let run = |(file, row, seen): &(&str, &str, Seen)| {
        let result = std::panic::catch_unwind(|| match seen {
            In(case) => play(file, row, &case()),
            Like(line) => {
                let output = machine().run(&format!("{line} --help"));
                assert_eq!(output.status.code(), Some(0), "{output}");
            }
        });
        result.err().map(|why| format!("{file}: {row}: {}", why.downcast_ref::<String>().map_or("", String::as_str)))
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let chunks = rows.chunks(rows.len().div_ceil(4));
        let threads: Vec<_> =
            chunks.map(|rows| scope.spawn(|| rows.iter().filter_map(|row| run(row)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), ROWS.len(), failed.join("\n\n"));
}

#[test]
fn a_set_that_lost_a_part_is_content_after_what_doctor_names() {
    let machine = set_desk();
    machine.run("download small").ok();
    remove(machine.sandbox.models().join("small/safetensors/model-00002-of-00002.safetensors"));
    let case = Case::new(machine, "doctor");
    play("manager/doctor.rs", "@verify {} --repair", &case);
}

#[test]
fn a_command_that_is_named_acts_where_the_one_did_that_names_it() {
    let machine = machine();
    let moved = machine.sandbox.project().join("my models.yaml");
    std::fs::rename(machine.sandbox.project().join("configs/models.yaml"), &moved).unwrap();
    let said = machine.sandbox.run(["path", "tiny", "--config", "my models.yaml", "--store", "../store"]).code(3);
    let said = said.says("`model-manager --config 'my models.yaml' --store ../store download tiny`");
    let command = backticked(&said.stderr).into_iter().find(|text| text.starts_with("model-manager")).unwrap().to_owned();
    type_in(&machine, &command).ok();
    machine.sandbox.run(["path", "tiny", "--config", "my models.yaml", "--store", "../store"]).ok();
    // In a document too, where one is named by `doctor`, and none twice.
    remove(machine.sandbox.project().join(PATH));
    let doctor =
        machine.run("doctor --store ../store").code(1).prints("`model-manager --store ../store verify tiny:q4_k_m --repair`");
    let json = machine.run("doctor --store ../store --json").code(1).json();
    let repair = json["findings"][0]["repair"].as_str().unwrap().to_owned();
    assert!(repair.contains("`model-manager --store ../store verify tiny:q4_k_m --repair`"), "{doctor}\n{json:#}");
    assert!(!machine.store().exists());
}
