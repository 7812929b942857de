//! Text that never ends: every file that a project brings is refused with one error, in bounded time and memory.

use crate::kit::Machine;
use crate::support::run::Output;

/// More than the program may take: seconds of processor, kilobytes of memory.
#[cfg(unix)]
fn bounded(machine: &Machine, line: &str) -> Output {
    let sealed = machine.sandbox.command(line.split_whitespace());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -t 20; ulimit -d 262144; exec \"$0\" \"$@\""]).arg(sealed.get_program()).args(sealed.get_args());
    command
        .env_clear()
        .envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(machine.sandbox.project());
    machine.sandbox.finish(command)
}

#[cfg(not(unix))]
fn bounded(machine: &Machine, line: &str) -> Output {
    machine.run(line)
}

fn hostile_texts() -> Vec<(&'static str, String)> {
    let laughs = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 9].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        text
    };
    let long = "x".repeat(1 << 20);
    vec![
        ("lists", "[".repeat(200_000)),
        ("mappings", "{a: ".repeat(200_000)),
        ("lists of mappings", "[{a: ".repeat(100_000)),
        ("lists that quotes seem to close", "[ \"]\", ".repeat(60_000)),
        ("lists that comments seem to close", "[ #]\n".repeat(60_000)),
        ("closed lists", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("lists in blocks", "- ".repeat(100_000)),
        ("keys in blocks", "? ".repeat(100_000)),
        ("ever deeper blocks", (0..1_500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()),
        ("laughs", laughs),
        ("long text many times", format!("a: &a \"{long}\"\nb: [{}]\n", vec!["*a"; 50_000].join(", "))),
        ("numbers in one line", format!("a: [{}1]\n", "1, ".repeat(150_000))),
        ("long keys", format!("? \"{long}\"\n: [{}1]\n", "1, ".repeat(100_000))),
        ("values", "a,".repeat(1_500_000)),
        ("lines", "a: b\n".repeat(800_000)),
        ("merges", format!("a: &a {{{}}}\nb: {{<<: *a}}\n", (0..90_000).map(|key| format!("k{key}: , ")).collect::<String>())),
        ("documents", "---\n".repeat(300_000)),
        ("quotes", "\"".repeat(2_000_000)),
        ("size", format!("# {}\n", "x".repeat(56 << 20))),
    ]
}

#[track_caller]
fn assert_refused(machine: &Machine, line: &str, file: &str, what: &str) {
    let output = bounded(machine, line);
    assert_eq!(output.status.code(), Some(2), "{what}: {}", output.stderr.chars().take(2_000).collect::<String>());
    let errors = output.stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(errors == 1 && output.stderr.contains(file) && output.stderr.len() < 8_000, "{what}: {}", output.stderr.len());
}

#[test]
fn a_registry_that_never_ends_is_one_error() {
    let machine = Machine::new();
    for (what, text) in hostile_texts() {
        machine.sandbox.write("configs/models.yaml", text);
        assert_refused(&machine, "info", "models.yaml", what);
    }
}

#[test]
fn a_settings_file_that_never_ends_is_one_error() {
    let machine = Machine::new();
    for (what, text) in hostile_texts() {
        machine.sandbox.write("configs/manager.yaml", text);
        assert_refused(&machine, "list", "manager.yaml", what);
    }
}

#[test]
fn a_lock_file_that_never_ends_is_one_error() {
    let machine = Machine::new();
    for (what, text) in hostile_texts() {
        machine.sandbox.write("configs/models.lock", text);
        assert_refused(&machine, "lock --check", "models.lock", what);
    }
}

#[test]
fn backend_settings_that_never_end_are_one_error() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    for (what, text) in hostile_texts() {
        machine.sandbox.write("configs/backend/llama_cpp.yaml", text);
        assert_refused(&machine, "use tiny --backend llama_cpp", "llama_cpp.yaml", what);
    }
}

#[test]
fn every_command_ends_soon_with_the_deepest_registry() {
    let machine = Machine::new();
    machine.run("download tiny").ok();
    machine.sandbox.write("configs/models.yaml", "{a: ".repeat(200_000));
    for line in ["download tiny", "lint", "add o/r:Q4", "lock", "sync", "use tiny --backend llama_cpp"] {
        let output = bounded(&machine, line);
        assert!(output.status.code().is_some_and(|code| code != 0 && code < 100), "{line}: {output}");
    }
    for line in ["list", "gc", "df", "projects"] {
        bounded(&machine, line).ok();
    }
    for (what, name) in [("identity", "models/.model-manager.json"), ("manifest", "models/tiny/gguf/q4_k_m/.view.json")] {
        let machine = Machine::new();
        machine.run("download tiny").ok();
        for text in ["[".repeat(200_000), "{\"a\":".repeat(200_000), format!("\"{}\"", "x".repeat(56 << 20))] {
            machine.sandbox.write(name, text);
            for line in ["list", "verify", "doctor", "download tiny"] {
                let output = bounded(&machine, line);
                assert!(output.status.code().is_some_and(|code| code < 100) && output.stderr.len() < 8_000, "{what}: {line}");
            }
        }
    }
}
