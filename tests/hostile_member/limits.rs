//! How few threads a user may be allowed. Root is exempt from that limit.

use std::process::Command;

use crate::people::{ADA, People};
use crate::support::run::Output;

/// Downloads with so many threads in all.
fn with_threads(people: &People, most: u32, line: &str) -> Output {
    let plain = people.command(ADA, ADA, ADA, line);
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={ADA}"), format!("--regid={ADA}"), "--clear-groups".into(), "prlimit".into()]);
    command.arg(format!("--nproc={most}")).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(plain.get_current_dir().unwrap());
    people.machine.sandbox.finish(command)
}

#[test]
#[ignore = "needs root"]
fn few_threads_are_enough_and_none_is_one_error_and_no_panic() {
    let people = People::new();
    let alone = with_threads(&people, 1, "download tiny:q4_k_m").code(1);
    let alone = alone.says("the system allows this user no more").says("`ulimit -u unlimited`");
    assert!(!alone.stderr.contains("panicked"), "{alone}");
    for most in 2..12 {
        with_threads(&people, most, "download tiny:q4_k_m").ok();
        with_threads(&people, most, "verify --rehash").ok();
        with_threads(&people, most, "doctor --full").ok();
        with_threads(&people, most, "remove tiny").ok();
        with_threads(&people, most, "gc --grace 0s").ok();
    }
    with_threads(&people, 1, "list").ok();
}
