//! One reading of names for every command: what `list` prints, ids, references, paths and digests.

use crate::kit::{FILE, Machine, PATH, REPO};
use crate::support::run::slashes;

const SMALL: &str = "acme/Small-GGUF";
const SHOWN: &str = "models/acme--Small-GGUF/gguf/q4_k_m/small.Q4_K_M.gguf";

/// A model of the registry and one of the Hub, both here in q4_k_m, and locked.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.hub.repo(SMALL).lfs("small.Q4_K_M.gguf", "small four").lfs("small.Q8_0.gguf", "small eight").commit();
    machine.run(&format!("download tiny:q4_k_m {SMALL}:Q4_K_M")).ok();
    machine.run("lock").ok();
    machine
}

fn commands(name: &str) -> Vec<String> {
    let verbs =
        ["path", "verify", "why", "info", "download", "lock", "lock --check", "remove --dry-run", "use --backend llama_cpp"];
    verbs.iter().map(|verb| format!("{verb} {name}")).collect()
}

#[test]
fn a_name_means_the_same_to_every_command() {
    let machine = machine();
    let small = machine.hub.content(SMALL, "small.Q4_K_M.gguf").sha256().to_owned();
    let tiny = machine.content().sha256().to_owned();
    let of_small = [
        "acme--Small-GGUF".to_owned(),
        "acme--Small-GGUF:q4_k_m".to_owned(),
        "acme--Small-GGUF:Q4_K_M".to_owned(),
        "ACME--small-gguf".to_owned(),
        "acme--Small-GGUF/gguf".to_owned(),
        "acme--Small-GGUF/gguf/q4_k_m".to_owned(),
        format!("{SMALL}:Q4_K_M"),
        SMALL.to_owned(),
        "acme/small-gguf:q4_k_m".to_owned(),
        format!("hf://{SMALL}:q4_k_m"),
        format!("hf://{SMALL}/small.Q4_K_M.gguf"),
        format!("{}/{SMALL}", machine.hub.url()),
        "models/acme--Small-GGUF".to_owned(),
        "models/acme--Small-GGUF/gguf/q4_k_m/".to_owned(),
        "./models/../models/acme--Small-GGUF/gguf/q4_k_m".to_owned(),
        SHOWN.to_owned(),
        format!("./{SHOWN}"),
        machine.sandbox.project().join(SHOWN).to_str().unwrap().to_owned(),
        format!("models/.blobs/sha256/{}/{small}", &small[..2]),
        small.clone(),
        small[..8].to_owned(),
        small.to_uppercase(),
        format!("sha256:{small}"),
        format!("sha256:{}", &small[..12]),
    ];
    let of_tiny =
        ["tiny", "TINY:Q4_K_M", "tiny/gguf", "tiny/gguf/q4_k_m", "models/tiny/gguf/q4_k_m", &tiny[..10]].map(str::to_owned);
    let of_small = of_small.iter().map(|name| (name, SHOWN, ["acme--Small-GGUF", SMALL]));
    for (name, shown, called) in of_small.chain(of_tiny.iter().map(|name| (name, PATH, ["tiny", "models/tiny"]))) {
        assert_eq!(machine.run(&format!("path {name}")).ok().last_line(), slashes(shown), "{name}");
        for line in commands(name) {
            let output = machine.run(&line).ok();
            let said = format!("{}{}", output.stdout, output.stderr).to_lowercase();
            let is_checked = line.starts_with("lock --check");
            assert!(is_checked || called.iter().any(|called| said.contains(&called.to_lowercase())), "{line}: {output}");
        }
    }
    machine.assert_tidy();
}

#[test]
fn a_path_is_one_from_the_current_directory_and_through_links() {
    let machine = machine();
    let from = |dir: &str, line: &str| {
        let mut command = machine.sandbox.command(line.split_whitespace());
        command.current_dir(machine.sandbox.project().join(dir));
        machine.sandbox.finish(command)
    };
    from("models", "why tiny/gguf").ok().prints(machine.content().sha256());
    from("models", "verify tiny/gguf/q4_k_m/").ok().prints("1 ok");
    from("models/tiny/gguf/q4_k_m", &format!("path {FILE}")).ok().prints(FILE);
    from("models/tiny/gguf", "verify .").ok().prints("1 ok");
    from("configs", "verify ../models/tiny").ok().prints("1 ok");
    // A repository of that name is meant where nothing is.
    let output = from("models", "download tiny/nothing").code(5);
    assert!(output.stderr.contains("tiny/nothing"), "{output}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(machine.sandbox.project().join(PATH), machine.sandbox.project().join("mine.gguf")).unwrap();
        std::os::unix::fs::symlink("models", machine.sandbox.project().join("m")).unwrap();
        std::os::unix::fs::symlink("models/tiny/gguf/q4_k_m", machine.sandbox.project().join("current")).unwrap();
        for name in ["./mine.gguf", "m/tiny/gguf/q4_k_m", "./m/tiny", "./current", "current", "./current/"] {
            assert_eq!(machine.run(&format!("path {name}")).ok().last_line(), PATH, "{name}");
        }
    }
}

#[test]
fn a_digest_is_answered_as_one() {
    let machine = machine();
    let whole = "deadbeef".repeat(8);
    for name in ["deadbeef".to_owned(), whole.clone(), format!("sha256:{whole}"), "sha256:deadbeef".to_owned()] {
        for line in commands(&name) {
            machine.run(&line).code(3).says("no blob in the store").says("deadbeef").says("hint: ");
        }
    }
    machine.run("why sha256:dead").code(2).says("8 to 64 hexadecimal digits");
    machine.run("why sha256:nothing").code(2).says("is no digest");
    // The registry pins it, and it is not here.
    let other = machine.hub.content(REPO, "tiny.Q8_0.gguf").sha256().to_owned();
    machine.run(&format!("why {}", &other[..8])).code(3).says("`model-manager download tiny:q8_0`");
    // In the store, and of no model of this project.
    machine.run("remove tiny --keep-blobs").ok();
    let tiny = machine.content().sha256().to_owned();
    machine.run(&format!("why {}", &tiny[..8])).ok().prints("nothing needs it");
    let command = format!("hf://{REPO}@{}/{FILE}", machine.hub.commit(REPO));
    let output = machine.run(&format!("verify {}", &tiny[..8])).code(3).says("of no model of this project");
    output.says(&format!("`model-manager why {tiny}`")).says(&format!("`model-manager download {command}`"));
    machine.run(&format!("download {command}")).ok();
}

#[test]
fn digits_that_several_digests_begin_with_list_the_command_for_each() {
    let machine = Machine::empty();
    // Two contents whose digests begin alike, found by trying.
    machine.hub.repo("a/two").lfs("x.Q4_K_M.gguf", "69235").lfs("x.Q8_0.gguf", "95303").commit();
    let digest = |file: &str| machine.hub.content("a/two", file).sha256().to_owned();
    let (one, two) = (digest("x.Q4_K_M.gguf"), digest("x.Q8_0.gguf"));
    assert_eq!(one[..8], two[..8]);
    machine.run("download a/two:Q4_K_M a/two:Q8_0").ok();
    for verb in ["why", "verify", "remove", "path"] {
        let output = machine.run(&format!("{verb} {}", &one[..8])).code(2).says("2 blobs");
        for digest in [&one, &two] {
            assert!(output.stderr.contains(&format!("`model-manager {verb} {digest}`")), "{output}");
        }
    }
}

#[test]
fn a_content_of_several_models_lists_the_command_for_each() {
    let machine = Machine::new();
    machine.hub.repo("a/copy").lfs("x.Q4_K_M.gguf", machine.content()).commit();
    machine.run("download tiny a/copy:Q4_K_M").ok();
    let digest = machine.content().sha256().to_owned();
    let output = machine.run(&format!("remove {digest}")).code(2).says("several models");
    output.says("`model-manager remove tiny:q4_k_m`").says("`model-manager remove a--copy:q4_k_m`");
    machine.run(&format!("use {digest} --backend llama_cpp")).code(2).says("`model-manager use tiny:q4_k_m --backend llama_cpp`");
    machine.run(&format!("why {digest}")).ok().prints("tiny/gguf/q4_k_m").prints("a--copy/gguf/q4_k_m");
    // An id wins over the digits of a digest, and the scheme names the digest.
    machine.run("remove a--copy").ok();
    let registry = std::fs::read_to_string(machine.sandbox.project().join("configs/models.yaml")).unwrap();
    machine.sandbox.write("configs/models.yaml", registry.replace("  tiny:", &format!("  \"{}\":", &digest[..8])));
    machine.run(&format!("path {}", &digest[..8])).code(3).says("is not downloaded");
    machine.run(&format!("path sha256:{}", &digest[..8])).ok().prints(PATH);
}

#[test]
fn one_file_of_a_set_does_not_name_the_set_to_be_removed() {
    let machine = Machine::empty();
    machine.hub.repo("a/set").lfs("model.safetensors", "weights").plain("config.json", "{}").commit();
    machine.run("download a/set").ok();
    let config = machine.hub.content("a/set", "config.json").sha256().to_owned();
    for name in ["models/a--set/safetensors/config.json", &config] {
        machine.run(&format!("remove {name}")).code(2).says("one of the 2 files").says("`model-manager remove a--set/safetensors`");
        machine.run(&format!("verify {name}")).ok();
        machine.run(&format!("why {name}")).ok().prints(&config);
    }
    machine.run("remove a--set/safetensors").ok();
    assert!(!machine.sandbox.models().join("a--set").exists());
}

#[test]
fn what_is_here_and_in_no_registry_is_named_by_its_id() {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m").ok();
    machine.sandbox.write("configs/models.yaml", "models: {}\n");
    for line in commands("tiny").iter().filter(|line| !line.starts_with("lock --check")) {
        machine.run(line).ok();
    }
    crate::kit::remove(machine.sandbox.project().join(PATH));
    machine.run("download tiny:q4_k_m").ok().prints(PATH);
    machine.run("download models/tiny").ok().prints(PATH);
    // Put there by hand: nobody knows where it came from.
    machine.sandbox.write("models/byhand/gguf/x.gguf", "by hand");
    for line in ["path byhand", "verify byhand", "path models/byhand"] {
        machine.run(line).ok();
    }
    for line in ["download byhand", "info byhand", "lock byhand"] {
        machine.run(line).code(3).says("`model-manager path byhand`").says("add owner/repo:LABEL --id byhand");
    }
    machine.run("why byhand").code(3).says("is not ours").says("`model-manager verify byhand/gguf`");
    machine.run("add nothing-here").code(2).says("names no repository on the Hub").says("Write `owner/repo:Q4_K_M`");
    machine.run("add byhand").code(2).says("names no repository on the Hub");
}

#[test]
fn a_name_that_fits_nothing_gives_the_nearest_of_what_is_here_and_of_the_registry() {
    let machine = machine();
    for line in commands("tinny") {
        let verb = line.split(' ').next().unwrap();
        let output = machine.run(&line).code(3).says("Did you mean `tiny`?");
        assert!(output.stderr.contains(&format!("`model-manager {verb} tiny")), "{output}");
    }
    machine.run("path acme-Small-GGUF").code(3).says("Did you mean `acme--Small-GGUF`? Run `model-manager path acme--Small-GGUF`");
    for name in ["acme--Smal-GGUF", "acme/Smal-GGUF", "acme/Smal-GGUF:Q4_K_M"] {
        let output = machine.run(&format!("verify {name}")).code(3).says("Did you mean `acme--Small-GGUF`?");
        output.says("`model-manager verify acme--Small-GGUF`").says("`model-manager download acme/Smal-GGUF");
    }
    machine.run("path zzzzzzz").code(3).says("`model-manager list`").says("`model-manager info`");
    machine.run("path ./nothing/here.gguf").code(3).says("there is nothing at").says("`model-manager list`");
    machine.run("verify models/").code(3).says("is the models directory, and no model");
    machine.run("remove ./configs/models.yaml").code(3).says("is no model of this project");
    assert!(machine.sandbox.project().join("configs/models.yaml").exists());
}

#[test]
fn a_repository_and_a_digest_are_found_without_a_registry_that_can_be_read() {
    let machine = machine();
    machine.sandbox.write("configs/models.yaml", "models: [\n");
    let digest = machine.hub.content(SMALL, "small.Q4_K_M.gguf").sha256().to_owned();
    for name in [format!("{SMALL}:Q4_K_M"), digest] {
        assert_eq!(machine.run(&format!("path {name}")).ok().last_line(), slashes(SHOWN));
        machine.run(&format!("why {name}")).ok();
    }
    machine.run(&format!("download {SMALL}:Q8_0")).ok();
    // Whose name this is only the registry says.
    for line in ["path tiny", "lock tiny", "download models/tiny"] {
        machine.run(line).code(2).says("models.yaml:");
    }
}

#[test]
fn a_repository_of_safetensors_alone_needs_no_format() {
    let machine = Machine::empty();
    machine.hub.repo("a/set").lfs("model.safetensors", "weights").plain("config.json", "{}").commit();
    let notice = "the repository has no GGUF file: its safetensors files are meant";
    let plan = machine.run("download a/set --dry-run --json").ok().json();
    assert_eq!(plan["plans"][0]["format"], "safetensors", "{plan:#}");
    assert!(plan["plans"][0]["notices"].to_string().contains(notice), "{plan:#}");
    machine.run("info a/set").ok().prints("safetensors");
    machine.run("lock a/set").ok().prints("a--set safetensors");
    machine.run("download a/set").ok().says(notice).prints("models/a--set/safetensors");
    let before = machine.hub.count().total_requests();
    for line in ["download a/set", "lock a/set", "verify a/set", "path a/set", "use a/set --backend vllm"] {
        machine.run(line).ok();
    }
    assert_eq!(machine.hub.count().total_requests(), before, "what is here is meant, and nobody is asked");
    // What is locked stays at its commit, although no format was named.
    machine.hub.repo("a/set").lfs("model.safetensors", "newer").plain("config.json", "{}").commit();
    machine.run("lock a/set").ok().prints("kept");
    machine.run("add a/set").ok().prints("Added set --format safetensors");
    // A label is one of a GGUF.
    machine.run("download a/set:Q4_K_M").code(3).says("`model-manager download a/set --format safetensors`");
    machine.hub.repo("a/none").plain("readme.txt", "nothing").commit();
    machine.run("download a/none").code(3).says("no GGUF file");
}
