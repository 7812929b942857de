//! Completions in the shells themselves: each loads its script and completes lines of a project, below the top level too. A
//! shell that is not installed is named and passed over.
#![cfg(unix)]

use crate::kit::{Machine, REPO};
use std::process::{Command, Stdio};

/// What is typed, and what the shell offers for the last word, in any order.
const LINES: &[(&str, &[&str])] = &[
    ("model-manager doc", &["doctor"]),
    ("model-manager remove ti", &["tiny"]),
    ("model-manager download t", &["tiny"]),
    ("model-manager download tiny --quant q", &["q4_k_m", "q8_0"]),
    ("model-manager download tiny --format s", &["safetensors"]),
    ("model-manager config get connectio", &["connections"]),
    ("model-manager config set link h", &["hardlink"]),
    ("model-manager list --sort s", &["size"]),
    ("model-manager projects f", &["forget"]),
    ("model-manager expose ti", &["tiny"]),
    ("model-manager expose tiny --to lm", &["lm-studio"]),
    ("model-manager gc --older", &["--older-than"]),
];

/// A project with `tiny`, of which one quantization is here.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.run("download tiny:q4_k_m").ok();
    machine
}

fn is_installed(shell: &str) -> bool {
    let found = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: {shell} is not installed");
    }
    found
}

/// What a script of a shell prints in the project, with the program in its path.
fn run(machine: &Machine, shell: &str, options: &[&str], script: &str) -> Vec<String> {
    let sample = machine.sandbox.command(["--version"]);
    let program = std::path::Path::new(sample.get_program()).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command.args(options).arg("-c").arg(script).current_dir(machine.sandbox.project());
    command.envs(sample.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("PATH", path).env("TERM", "dumb");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn bash_completes_below_the_top_level() {
    if !is_installed("bash") {
        return;
    }
    let machine = machine();
    let complete = |line: &str| {
        let script = format!(
            "source <(model-manager completions bash); COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
             COMP_WORDBREAKS=$' \\t\\n\\'\"><=;|&(:'; _model_manager model-manager; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        run(&machine, "bash", &["--norc"], &script)
    };
    for (line, expected) in LINES {
        assert_eq!(complete(line), *expected, "{line}");
    }
    // Bash replaces what stands after the colon.
    assert_eq!(complete("model-manager download tiny:q"), ["q4_k_m", "q8_0"]);
    assert_eq!(complete("model-manager path tiny:"), ["q4_k_m"]);
    assert_eq!(complete("model-manager nothing-of-ours "), [""]);
}

#[test]
fn fish_completes_below_the_top_level() {
    if !is_installed("fish") {
        return;
    }
    let machine = machine();
    let complete = |line: &str| {
        let script = format!("model-manager completions fish | source; complete -C '{line}'");
        let lines = run(&machine, "fish", &["--no-config"], &script);
        lines.into_iter().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    for (line, expected) in LINES {
        assert_eq!(complete(line), *expected, "{line}");
    }
    assert_eq!(complete("model-manager path tiny:"), ["tiny:q4_k_m"]);
}

/// An interactive Zsh in which the key is pressed; `compadd` prints what it is given.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; stty -echo; autoload -Uz compinit; compinit -u -D; source <(model-manager completions zsh)"
zpty -w shell 'compadd() { local -a hits; builtin compadd -A hits "$@"; (( $#hits )) && print -l -- ${hits/#/hit:} >> $OUT; builtin compadd "$@" }'
zpty -w shell 'bindkey "^I" complete-word; zstyle ":completion:*" list-prompt ""; print ready > $OUT.ready'
while [[ ! -e $OUT.ready ]]; do sleep 0.05; done
zpty -w -n shell "$LINE"$'\t'
for i in {1..100}; do [[ -s $OUT ]] && break; sleep 0.05; done
sleep 0.2
zpty -d shell
sed 's/^hit://' $OUT
"#;

#[test]
fn zsh_completes_below_the_top_level() {
    if !is_installed("zsh") {
        return;
    }
    let machine = machine();
    for (number, (line, expected)) in LINES.iter().chain(&[("model-manager path tiny:", &["tiny:q4_k_m"][..])]).enumerate() {
        let out = machine.sandbox.root().join(format!("zsh-{number}"));
        let script = format!("export OUT='{}' LINE='{line}'\n{}", out.display(), ZSH.replace("\\t", "\t"));
        assert_eq!(run(&machine, "zsh", &["-f"], &script), *expected, "{line}");
    }
}

#[test]
fn a_completion_says_nothing_where_nothing_can_be_known() {
    let machine = Machine::new();
    machine.sandbox.write("configs/models.yaml", "models: [");
    machine.sandbox.write("configs/manager.yaml", "nonsense: 1\n");
    for words in ["download ", "path x", &format!("info {REPO}:")] {
        let output = machine.sandbox.run(["complete", "bash", "--", &format!("model-manager {words}")]).ok();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{words}");
    }
}
