//! Eight processes at once do everything, die at random, and the Hub lies to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::hub::{Fault, Match, Recorded, TestHub};
use crate::world::{MIB, Models, World, env_number};

const PROCESSES: usize = 8;

/// What is known of one view: a download that began and ended without a removal in between must be seen.
#[derive(Default)]
struct Known {
    removals: u64,
    removing: u64,
    done: bool,
}

/// One process that ended, with times of the Hub's clock.
struct Run {
    began: Duration,
    ended: Duration,
    project: usize,
    args: String,
    code: Option<i32>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { began, ended, project, args, code } = self;
        write!(f, "{began:?} to {ended:?}, project {project}: {args} -> {code:?}")
    }
}

#[derive(Default)]
struct Ledger {
    views: Mutex<HashMap<(usize, String), Known>>,
    /// Each process that had a token, by the tag of its token.
    runs_by_user: Mutex<HashMap<String, Run>>,
    runs: AtomicU64,
    killed: AtomicU64,
    refused: AtomicU64,
}

impl Ledger {
    fn view<T>(&self, project: usize, id: &str, change: impl FnOnce(&mut Known) -> T) -> T {
        change(self.views.lock().unwrap().entry((project, id.to_owned())).or_default())
    }
}

/// How the Hub misbehaves, rarely enough that most downloads get through.
pub fn lie(hub: &TestHub) {
    hub.fault(Match::cdn().every(7), Fault::CutAfter(300_000));
    hub.fault(Match::cdn().every(11), Fault::ResetAfter(700_000));
    hub.fault(Match::cdn().every(41), Fault::WrongBytes { offset: 99 });
    hub.fault(Match::cdn().every(13), Fault::ExpireNow);
    hub.fault(Match::cdn().every(17), Fault::EmptyReply);
    hub.fault(Match::api().every(23), Fault::ServerError(503));
    hub.fault(Match::resolve().every(19), Fault::ResetBeforeReply);
    hub.fault(Match::cdn().every(5), Fault::SlowRate(8 << 20));
}

/// Lets the processes loose for a while, and then looks at what they left.
pub fn soak(world: &World<'_>, length: Duration) {
    let ledger = Ledger::default();
    lie(world.hub);
    let end = Instant::now() + length;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PROCESSES)
            .map(|worker| {
                let ledger = &ledger;
                scope.spawn(move || {
                    let mut round = 0;
                    while Instant::now() < end {
                        round += 1;
                        one_run(world, ledger, worker, round);
                    }
                })
            })
            .collect();
        // The first failure ends the test with its own words.
        for worker in workers {
            worker.join().unwrap_or_else(|why| std::panic::resume_unwind(why));
        }
    });
    world.hub.clear_faults();
    assert_no_double_download(world.hub, &ledger);
    world.assert_sound("after the soak");
    let mut seen = 0;
    for ((project, id), known) in ledger.views.lock().unwrap().iter() {
        if known.done {
            world.assert_view(*project, id);
            seen += 1;
        }
    }
    world.assert_comes_clean("after the soak");
    println!(
        "soak: {} runs, {} killed, {} refused, {seen} views done at the end",
        ledger.runs.load(Ordering::Relaxed),
        ledger.killed.load(Ordering::Relaxed),
        ledger.refused.load(Ordering::Relaxed)
    );
}

fn one_run(world: &World<'_>, ledger: &Ledger, worker: usize, round: u64) {
    let project = fastrand::usize(0..2);
    let ids: Vec<&String> = world.models.0.keys().collect();
    let id = ids[fastrand::usize(0..ids.len())].as_str();
    let args: &[&str] = match fastrand::u32(0..100) {
        0..45 => &["download", id, "--connections", "2"],
        45..50 => &["download", id, "--force"],
        50..65 => &["remove", id],
        65..70 => &["remove", id, "--keep-blobs"],
        70..80 => &["verify"],
        80..92 => &["gc", "--grace", "0", "--partials", "0"],
        92..97 => &["list"],
        _ => &["df"],
    };
    let token = format!("hf_worker{worker}round{round}");
    world.hub.token(&token, &[]);
    let mut command = world.command(project, args);
    command.env("HF_TOKEN", &token);
    let (downloads, removes) = (args[0] == "download", args[0] == "remove");
    let before = ledger.view(project, id, |known| {
        if removes {
            known.removals += 1;
            known.removing += 1;
            known.done = false;
        }
        (known.removals, known.removing)
    });
    let began = world.hub.elapsed();
    let mut process = world.sandbox.start(command);
    let dies = fastrand::u32(0..100) < 35;
    let mut end = None;
    let output = if dies {
        let deadline = Instant::now() + Duration::from_millis(fastrand::u64(0..250));
        while Instant::now() < deadline && process.is_running() {
            std::thread::sleep(Duration::from_millis(1));
        }
        end = Some(world.hub.elapsed());
        process.kill9()
    } else {
        process.wait()
    };
    let code = output.status.code();
    let ended = end.unwrap_or_else(|| world.hub.elapsed());
    let run = Run { began, ended, project, args: args.join(" "), code };
    ledger.runs_by_user.lock().unwrap().insert(TestHub::user_tag(&token), run);
    ledger.runs.fetch_add(1, Ordering::Relaxed);
    match code {
        None => drop(ledger.killed.fetch_add(1, Ordering::Relaxed)),
        // Nothing here: removed, or no store yet. 4 is the Hub's wrong bytes, or a view that another process removes
        // while it is verified; 6 the network's.
        Some(0) => {}
        Some(3 | 4 | 6) => drop(ledger.refused.fetch_add(1, Ordering::Relaxed)),
        Some(_) => panic!("not an end that is allowed: {output}"),
    }
    ledger.view(project, id, |known| {
        if removes {
            known.removing -= 1;
        }
        if downloads && code == Some(0) && before.1 == 0 && before.0 == known.removals {
            known.done = true;
        }
    });
    if downloads && code == Some(0) {
        let faults = world.faults_of_view(project, id);
        let undisturbed = ledger.view(project, id, |known| before.1 == 0 && before.0 == known.removals);
        assert!(faults.is_empty() || !undisturbed, "{output}\nreported done, but:\n{}", faults.join("\n"));
    }
}

/// Of each content, the times in which two processes fetched it may not overlap.
fn assert_no_double_download(hub: &TestHub, ledger: &Ledger) {
    let runs = ledger.runs_by_user.lock().unwrap();
    let log = hub.count().requests;
    let mut requests: HashMap<&str, Vec<(&str, &Recorded)>> = HashMap::new();
    for request in log.iter().filter(|request| request.path_and_query.starts_with("/xet-bridge-us/")) {
        let (path, query) = request.path_and_query.split_once('?').unwrap();
        let digest = path.rsplit('/').next().unwrap();
        let Some(user) = query.split('&').find_map(|part| part.strip_prefix("x-user=")) else { panic!("who asked for {path}?") };
        requests.entry(digest).or_default().push((user, request));
    }
    assert!(!requests.is_empty());
    for (digest, requests) in requests {
        let mut windows: Vec<(&str, (Duration, Duration))> = Vec::new();
        for (user, request) in &requests {
            // What a dead process still was sent, nobody received.
            let last = request.last.min(runs.get(*user).map_or(Duration::MAX, |run| run.ended));
            // Who was sent wrong bytes lets go of the lock, and begins anew when it has it again.
            let begins = request.range.as_deref().is_none_or(|range| range.starts_with("bytes=0-"));
            match windows.iter_mut().rev().find(|(other, _)| other == user) {
                Some((_, window)) if !begins => *window = (window.0.min(request.at), window.1.max(last)),
                _ => windows.push((user, (request.at, last))),
            }
        }
        windows.sort_by_key(|(_, window)| *window);
        for pair in windows.windows(2) {
            let [(first, before), (second, after)] = pair else { unreachable!() };
            if first == second || before.1 <= after.0 || before.0 >= before.1 {
                continue;
            }
            let story: Vec<String> = requests
                .iter()
                .filter(|(user, _)| user == first || user == second)
                .map(|(user, request)| {
                    let (at, last, range) = (request.at, request.last, request.range.as_deref().unwrap_or("all"));
                    format!("{at:?} to {last:?} {user}: {range} -> {}, {} bytes", request.status, request.bytes_sent)
                })
                .collect();
            let others: Vec<String> = runs
                .iter()
                .filter(|(_, run)| run.began <= before.1.max(after.1) && run.ended + Duration::from_secs(1) >= before.0)
                .map(|(user, run)| format!("{user}: {run}"))
                .collect();
            panic!(
                "two processes fetched {digest} at once: {first} {before:?}, {second} {after:?}\n{}\nruns then:\n{}",
                story.join("\n"),
                others.join("\n")
            );
        }
    }
}

/// Eight processes want one model that nobody has: its bytes travel once.
pub fn cold_start(world: &World<'_>, id: &str) {
    world.hub.reset_counters();
    let processes: Vec<_> = (0..PROCESSES).map(|n| world.sandbox.start(world.command(n % 2, &["download", id]))).collect();
    for process in processes {
        process.wait().ok();
    }
    let size: u64 = world.models.0[id].1.values().map(|content| content.len()).sum();
    let sent = world.hub.count().content_bytes();
    assert!(sent >= size && sent <= size + size / 100, "{sent} bytes travelled for a model of {size}");
    (0..2).for_each(|project| world.assert_view(project, id));
    world.assert_sound("after a cold start");
}

#[test]
fn a_soak_of_killed_processes_and_a_lying_hub_loses_nothing() {
    let hub = TestHub::start();
    let models = Models::gguf(&hub, &[3 * MIB + 17, 2 * MIB, 700_000, 5 * MIB + 1]).with_set(&hub);
    let world = World::new(&hub, models, None);
    soak(&world, Duration::from_secs(env_number("MODEL_MANAGER_SOAK_SECONDS", 60)));
}

#[test]
fn the_bytes_of_a_model_that_eight_processes_want_travel_once() {
    let hub = TestHub::start();
    let world = World::new(&hub, Models::gguf(&hub, &[24 * MIB + 3]), None);
    cold_start(&world, "m0");
}
