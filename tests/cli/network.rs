//! A network that lies, cuts, stalls and limits: the file is right in the end, or nothing is shown.

use std::time::{Duration, Instant};

use crate::kit::{FILE, MIB, Machine, OTHER, REPO, assert_content, entry, open_entry, until};
use crate::support::hub::{Content, Fault, Match, Part, Recorded};

const LEN: u64 = 9 * MIB + 11;

/// Downloads while this fault strikes, and ends with the right file.
#[track_caller]
fn survives(matcher: Match, fault: Fault) -> Machine {
    let machine = Machine::with(LEN);
    let handle = machine.hub.fault(matcher, fault);
    let output = machine.run("download tiny").ok();
    assert!(handle.hits() > 0, "the fault never struck");
    machine.assert_right(&output);
    machine
}

/// Downloads while this fault never ends, and shows nothing.
#[track_caller]
fn gives_up(matcher: Match, fault: Fault, code: i32, says: &str) -> Machine {
    let machine = Machine::with(3 * MIB + 1).impatient();
    machine.hub.fault(matcher.always(), fault);
    let output = machine.run("download tiny").code(code).says(says).says("hint: ");
    assert_eq!(output.stdout, "");
    machine.assert_nothing_published();
    machine
}

#[test]
fn wrong_bytes_of_the_right_size_are_never_shown() {
    let machine = Machine::with(LEN);
    machine.hub.fault(Match::cdn().always(), Fault::WrongBytes { offset: 5 * MIB + 1 });
    let output = machine.run("download tiny").code(4).says("is wrong: expected").says("Nothing was published");
    assert!(!output.stderr.contains("is kept"), "{output}");
    machine.assert_nothing_published();
    assert!(machine.partials().is_empty(), "{:?}", machine.partials());
    machine.hub.clear_faults();
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
fn a_whole_file_that_contradicts_its_ranges_does_not_replace_what_was_hashed() {
    let machine = Machine::with(LEN);
    // The second answer is the whole file, with another first segment than the first answer had.
    machine.hub.fault(Match::cdn().nth(2), Fault::IgnoreRange);
    let wrong = machine.hub.fault(Match::cdn().nth(2), Fault::WrongBytes { offset: 5 });
    let output = machine.run("download tiny --connections 1").ok();
    assert_eq!(wrong.hits(), 1);
    machine.assert_right(&output);
}

#[test]
fn another_file_of_the_same_commit_is_never_shown() {
    let machine = Machine::with(LEN);
    machine.hub.repo(REPO).swap(FILE, Content::synthetic(LEN, 99));
    machine.run("download tiny").code(4);
    machine.assert_nothing_published();
    machine.hub.repo(REPO).swap(FILE, Content::synthetic(LEN - 1, 99));
    machine.impatient().run("download tiny").code(6).says("the file has changed");
}

#[test]
fn a_changed_plain_file_is_never_shown() {
    let machine = Machine::empty();
    machine.hub.repo("a/set").lfs("model.safetensors", Content::synthetic(9000, 1)).plain("config.json", "{\"a\": 1}").commit();
    machine.hub.fault(Match::any().content().and_contains("config.json").always(), Fault::WrongBytes { offset: 2 });
    machine.run("download a/set --format safetensors").code(4).says("config.json");
    assert!(!machine.sandbox.project().join("models/a--set").exists());
    machine.hub.clear_faults();
    machine.run("download a/set --format safetensors").ok();
    machine.assert_tidy();
}

#[test]
fn a_range_that_is_not_the_asked_one_is_not_accepted() {
    survives(Match::cdn(), Fault::RangeStartOff(1));
    survives(Match::cdn(), Fault::RangeTotalOff(-1));
    survives(Match::cdn(), Fault::NoContentRange);
    survives(Match::cdn(), Fault::IgnoreRangeButSay206);
    // The whole file, asked for without a range, is right.
    for fault in [Fault::RangeStartOff(1), Fault::RangeTotalOff(1)] {
        let machine = survives(Match::cdn().always(), fault);
        let whole = machine.hub.count().of(Part::Cdn).filter(|request| request.status == 200).count();
        assert!(whole > 0);
    }
}

#[test]
fn a_server_without_ranges_serves_the_right_file() {
    let machine = survives(Match::cdn().always(), Fault::IgnoreRange);
    let count = machine.hub.count();
    let whole = count.of(Part::Cdn).filter(|request| request.complete).count();
    assert_eq!(whole, 1, "one connection takes the whole file");
    // Once only: the others still get their ranges.
    survives(Match::cdn().nth(2), Fault::IgnoreRange);
    // The right part under the wrong status (ModelScope).
    let machine = survives(Match::cdn().always(), Fault::RangeStatus200);
    assert_eq!(machine.hub.count().content_bytes(), LEN);
}

#[test]
fn a_server_without_ranges_that_cuts_the_body_is_started_over() {
    let machine = Machine::with(LEN);
    machine.hub.fault(Match::cdn().always(), Fault::IgnoreRange);
    machine.hub.fault(Match::cdn().nth(1), Fault::CutAfter(2 * MIB));
    let output = machine.run("download tiny").ok();
    machine.assert_right(&output);
}

#[test]
fn a_server_that_knows_no_ranges_any_more_serves_the_right_file() {
    for connections in [1, 4] {
        let machine = Machine::with(LEN);
        // Two ranges come, but not to their ends; from the third answer on there are none.
        machine.hub.fault(Match::cdn().times(2), Fault::CutAfter(MIB + 300_000));
        (3..20).for_each(|number| drop(machine.hub.fault(Match::cdn().nth(number), Fault::IgnoreRange)));
        let output = machine.run(&format!("download tiny --connections {connections}")).ok();
        let count = machine.hub.count();
        let answers = |status| count.of(Part::Cdn).filter(|request| request.status == status).count();
        assert!(answers(206) == 2 && answers(200) > 0, "over {connections} connections");
        machine.assert_right(&output);
    }
}

#[test]
fn a_server_without_ranges_that_always_cuts_is_given_up_and_what_came_is_kept() {
    // It may cut now here and now there, and never further on.
    for cuts in [[2 * MIB + 9; 2], [2 * MIB + 9, MIB + 9]] {
        let machine = Machine::with(LEN);
        machine.sandbox.write("configs/manager.yaml", "tries: 3\n");
        machine.hub.fault(Match::cdn().always(), Fault::IgnoreRange);
        machine.hub.fault(Match::cdn().always(), Fault::CutAfter(cuts[0]));
        machine.hub.fault(Match::cdn().every(2), Fault::CutAfter(cuts[1]));
        let line = "download tiny --connections 1";
        let output = machine.run(line).code(6).says(&format!("of {LEN} bytes")).says("resumes where it stopped");
        assert_eq!(output.stdout, "");
        assert_eq!(machine.hub.count().cdn, 3);
        machine.assert_nothing_published();
        // Where there are ranges, only the rest travels; where there are none, all of it does.
        machine.hub.clear_faults();
        machine.hub.reset_counters();
        let output = machine.run(line).ok();
        assert_eq!(machine.hub.count().content_bytes(), LEN - 2 * MIB);
        machine.assert_right(&output);
    }
}

#[test]
fn a_mirror_without_ranges_takes_over_from_one_that_fails() {
    for left in [0, 5 * MIB] {
        let machine = Machine::with(LEN);
        if left > 0 {
            let hold = machine.hub.hold(Match::cdn(), left);
            let running = machine.spawn("download tiny --connections 1");
            assert!(hold.wait_frozen(1, Duration::from_secs(20)));
            let partial = machine.store().join("ingest").join(machine.content().sha256()).join("journal");
            // A header and a claim for each segment, 64 bytes each.
            until("the whole segments are journalled", || std::fs::read(&partial).is_ok_and(|text| text.len() as u64 >= 64 * 6));
            running.kill9();
            hold.release();
        }
        let mirror = crate::support::hub::TestHub::start();
        mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
        mirror.fault(Match::cdn().always(), Fault::IgnoreRange);
        machine.hub.fault(Match::cdn().always(), Fault::ServerError(502));
        machine.sandbox.write("configs/manager.yaml", "tries: 3\n");
        let line = format!("download tiny --endpoint {} --endpoint {}", machine.hub.url(), mirror.url());
        let output = machine.run(&line).ok();
        let whole = mirror.count().of(Part::Cdn).filter(|request| request.complete).count();
        assert_eq!(whole, 1, "one connection takes the whole file");
        machine.assert_right_after_kill(&output);
    }
}

#[test]
fn a_mirror_without_ranges_is_not_taken_for_a_moment_of_trouble() {
    let machine = Machine::with(LEN);
    let mirror = crate::support::hub::TestHub::start();
    mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    mirror.fault(Match::cdn().always(), Fault::IgnoreRange);
    let trouble = machine.hub.fault(Match::cdn().nth(3), Fault::ServerError(502));
    let line = format!("download tiny --connections 1 --endpoint {} --endpoint {}", machine.hub.url(), mirror.url());
    let output = machine.run(&line).ok();
    assert_eq!((trouble.hits(), mirror.count().cdn), (1, 1));
    let sent =
        machine.hub.count().of(Part::Cdn).filter(|request| request.status == 206).map(|request| request.bytes_sent).sum::<u64>();
    assert_eq!(sent, LEN, "what the first has sent is not fetched again");
    machine.assert_right(&output);
}

#[test]
fn a_mirror_without_ranges_is_taken_at_once_where_the_first_has_no_such_file() {
    let machine = Machine::with(LEN);
    machine.sandbox.write("configs/manager.yaml", "tries: 1\n");
    machine.hub.fault(Match::cdn().always(), Fault::CutAfter(MIB + 9));
    machine.run("download tiny --connections 1").code(6);
    let mirror = crate::support::hub::TestHub::start();
    mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
    mirror.fault(Match::cdn().always(), Fault::IgnoreRange);
    machine.hub.fault(Match::resolve().always(), Fault::status(404));
    machine.sandbox.write("configs/manager.yaml", "tries: 3\n");
    let line = format!("download tiny --connections 1 --endpoint {} --endpoint {}", machine.hub.url(), mirror.url());
    let output = machine.run(&line).ok();
    assert_eq!(mirror.count().cdn, 1, "what is only begun with travels for nothing");
    machine.assert_right(&output);
}

#[test]
fn a_server_without_ranges_that_serves_one_connection_only_serves_the_file() {
    let machine = Machine::with(LEN);
    machine.sandbox.write("configs/manager.yaml", "tries: 2\n");
    machine.hub.fault(Match::cdn().nth(1), Fault::IgnoreRange);
    machine.hub.fault(Match::cdn().nth(1), Fault::SlowRate(3 * MIB));
    let busy: Vec<_> = (2..40).map(|number| machine.hub.fault(Match::cdn().nth(number), Fault::ServerError(503))).collect();
    let output = machine.run("download tiny --connections 4").ok();
    assert!(busy[0].hits() > 0, "nobody else asked");
    machine.assert_right(&output);
}

#[test]
fn cut_and_reset_bodies_cost_only_what_was_lost() {
    for fault in
        [Fault::CutAfter(700_000), Fault::ResetAfter(700_000), Fault::EmptyReply, Fault::ResetBeforeReply, Fault::CloseQuietly]
    {
        let machine = survives(Match::cdn().every(3), fault.clone());
        let sent = machine.hub.count().content_bytes();
        assert!(sent <= LEN + 4 * MIB, "{fault:?}: {sent} for {LEN}");
    }
}

#[test]
fn lengths_that_lie_or_are_missing_do_no_harm() {
    survives(Match::cdn().always(), Fault::NoLength);
    survives(Match::cdn().always(), Fault::UntilClose);
    survives(Match::cdn(), Fault::LengthOff(-10));
    survives(Match::cdn(), Fault::LengthOff(10));
    survives(Match::cdn().always(), Fault::NoETag);
    survives(Match::cdn().always(), Fault::WeakETag);
}

#[test]
fn a_silent_connection_is_opened_anew() {
    let mut machine = Machine::with(LEN);
    machine.sandbox.set_env("HF_HUB_DOWNLOAD_TIMEOUT", "1");
    machine.hub.fault(Match::cdn(), Fault::StallAfter(500_000, Duration::from_secs(30)));
    let begun = Instant::now();
    let output = machine.run("download tiny").ok();
    assert!(begun.elapsed() < Duration::from_secs(12));
    machine.assert_right(&output);
}

#[test]
fn limits_are_waited_out() {
    for (matcher, fault) in [
        (Match::cdn(), Fault::RateLimited { retry_after: Some(1), reset: None }),
        (Match::resolve(), Fault::RateLimited { retry_after: None, reset: Some(0) }),
    ] {
        let begun = Instant::now();
        survives(matcher, fault);
        assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    }
    gives_up(Match::resolve(), Fault::RateLimited { retry_after: Some(7200), reset: None }, 6, "wait 120 min");
}

#[test]
fn trouble_of_a_server_passes() {
    for matcher in [Match::resolve(), Match::cdn()] {
        survives(matcher.clone().times(2), Fault::ServerError(503));
        survives(matcher.clone(), Fault::status(500));
        survives(matcher, Fault::ServerError(502));
    }
    let machine = Machine::new();
    machine.registry(&[open_entry("tiny", REPO, &[("q4_k_m", FILE)])]);
    machine.hub.fault(Match::api().times(2), Fault::ServerError(502));
    machine.hub.fault(Match::api().nth(4), Fault::ResetBeforeReply);
    machine.assert_right(&machine.run("download tiny").ok());
    gives_up(Match::cdn(), Fault::ServerError(500), 6, "HTTP 500");
    gives_up(Match::resolve(), Fault::ServerError(504), 6, "HTTP 504");
}

#[test]
fn an_expired_signature_is_renewed() {
    let machine = survives(Match::cdn().nth(2), Fault::ExpireNow);
    assert_eq!(machine.hub.count().resolve, 2);
    survives(Match::resolve(), Fault::ExpireNow);
    survives(Match::cdn().times(3), Fault::InvalidRange403);
}

#[test]
fn pages_of_a_captive_portal_are_not_taken_for_files() {
    survives(Match::cdn(), Fault::Html);
    gives_up(Match::cdn(), Fault::Html, 6, "sent a web page in place of the file");
    gives_up(Match::resolve(), Fault::Html, 6, "sent a web page in place of the file");
    let machine = Machine::empty().impatient();
    machine.hub.fault(Match::any().always(), Fault::Html);
    machine.run("download a/b:q4_k_m").code(6).says("hint: ");
}

#[test]
fn encodings_nobody_asked_for_are_refused() {
    survives(Match::cdn(), Fault::Gzip);
    gives_up(Match::cdn(), Fault::Gzip, 6, "encoding `gzip`");
}

#[test]
fn nonsense_is_told_as_such() {
    survives(Match::cdn(), Fault::Garbage);
    gives_up(Match::cdn(), Fault::Garbage, 6, "127.0.0.1");
    gives_up(Match::cdn(), Fault::RedirectLoop, 6, "redirects in a circle");
    gives_up(Match::resolve(), Fault::RedirectLoop, 6, "redirects in a circle");
    gives_up(Match::resolve(), Fault::RedirectTo("ftp://example.org/x".into()), 6, "redirects");
    gives_up(Match::resolve(), Fault::RedirectTo("http://127.0.0.1:9/x".into()), 6, "cannot connect to http://127.0.0.1:9");
    gives_up(Match::resolve(), Fault::HugeHeaders(2_000_000), 6, "127.0.0.1");
}

#[test]
fn empty_files_are_files() {
    let machine = Machine::empty();
    machine
        .hub
        .repo("a/set")
        .lfs("model.safetensors", Content::synthetic(9000, 1))
        .plain("config.json", "{}")
        .plain("tokenizer.json", "")
        .lfs("tokenizer.model", "")
        .commit();
    let output = machine.run("download a/set --format safetensors").ok();
    assert_eq!(output.last_line(), "models/a--set/safetensors");
    for file in ["tokenizer.json", "tokenizer.model"] {
        assert_content(&machine.sandbox.project().join("models/a--set/safetensors").join(file), &Content::from(""));
    }
    machine.assert_tidy();
    machine.run("verify").ok().prints("4 ok");
}

#[cfg(unix)]
#[test]
fn a_set_of_many_small_files_needs_few_connections_and_few_open_files() {
    let machine = Machine::empty();
    let mut repo = machine.hub.repo("a/set");
    for number in 0..400 {
        let text = format!("{{\"number\": {}}}", number % 390);
        repo = match number % 4 {
            0 => repo.lfs(&format!("part-{number}.safetensors"), Content::synthetic(1000 + number, number)),
            _ => repo.plain(&format!("config-{number}.json"), text),
        };
    }
    repo.commit();
    machine.sandbox.write(
        "configs/models.yaml",
        "models:\n  set:\n    huggingface_id: a/set\n    formats:\n      safetensors: {include: [\"*\"]}\n",
    );
    machine.hub.configure(|c| c.latency = Duration::from_millis(2));
    // Eight to each origin, or twice as many while only small files come; more where a request found none of them idle at once.
    for (words, most) in [(&["download", "set", "--connections", "8"][..], 40), (&["download", "set", "--force"], 80)] {
        let before = machine.hub.count().connections;
        let inner = machine.sandbox.command(words);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -n 1024 && exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
        command
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(machine.sandbox.project());
        machine.sandbox.finish(command).ok();
        machine.run("verify").ok().prints("400 ok");
        let opened = machine.hub.count().connections - before;
        assert!(opened <= most, "{opened} connections for {words:?}");
        machine.assert_tidy();
    }
}

#[test]
fn a_listing_of_many_pages_is_read_to_its_end_from_the_same_server() {
    for origin in [None, Some("https://huggingface.co".to_owned())] {
        let machine = Machine::new();
        machine.registry(&[open_entry("tiny", REPO, &[("q8_0", OTHER)])]);
        machine.hub.repo(REPO).plain("a.txt", "a").plain("b.txt", "b").plain("c/d.txt", "d").commit();
        machine.hub.configure(|c| (c.page_size, c.link_origin) = (2, origin.clone()));
        machine.run("download tiny:q8_0").ok();
        assert_eq!(machine.hub.count().api, 1 + 3, "{origin:?}");
        assert_content(&machine.sandbox.project().join("models/tiny/gguf/q8_0").join(OTHER), &Content::synthetic(MIB + 1, 2));
    }
}

#[test]
fn a_renamed_repository_is_followed() {
    let machine = Machine::new();
    machine.hub.repo("old/name").renamed_to(REPO);
    let pinned = entry(&machine.hub, "pinned", REPO, &[("q4_k_m", FILE)]).replace(REPO, "old/name");
    machine.registry(&[open_entry("open", "old/name", &[("q8_0", OTHER)]), pinned]);
    machine.run("download open pinned").ok();
    machine.run("verify").ok().prints("2 ok");
    machine.hub.reset_counters();
    machine.run("download open pinned").ok();
    assert_eq!(machine.hub.count().total_requests(), 0);
}

#[test]
fn offline_means_no_request_at_all() {
    let mut machine = Machine::new();
    machine.run("download tiny:q8_0").ok();
    machine.hub.reset_counters();
    let before = machine.sandbox.tree();
    let refuse = |machine: &Machine, line: &str| {
        machine.run(line).code(6).says("offline").says("HF_HUB_OFFLINE");
        before.assert_same(&machine.sandbox.tree());
    };
    for line in ["download tiny:q4_k_m", "download a/b:q4_k_m", "download tiny:q8_0 --force"] {
        refuse(&machine, &format!("{line} --offline"));
    }
    machine.run("download tiny:q8_0 --offline").ok();
    machine.sandbox.set_env("HF_HUB_OFFLINE", "1");
    refuse(&machine, "download tiny:q4_k_m");
    for line in ["download tiny:q8_0", "list", "verify", "info", "path tiny", "download tiny:q8_0 --revision main"] {
        machine.run(line).ok();
    }
    assert_eq!(machine.hub.count().total_requests(), 0);

    // Where nothing was ever downloaded, a refused download leaves nothing.
    let fresh = Machine::new();
    let before = fresh.sandbox.tree();
    fresh.run("download tiny --offline").code(6).says("offline");
    before.assert_same(&fresh.sandbox.tree());
}

#[test]
fn the_next_mirror_is_asked_when_the_first_is_dead() {
    let machine = Machine::new();
    machine.registry(&[open_entry("open", REPO, &[("q8_0", OTHER)]), entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE)])]);
    let line = format!("download open tiny --endpoint http://127.0.0.1:9 --endpoint {}", machine.hub.url());
    let begun = Instant::now();
    machine.assert_right(&machine.run(&line).ok());
    // Windows itself tries a refused connection again, for seconds.
    assert!(cfg!(windows) || begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    machine.hub.assert_no_token_on_cdn();
}

#[test]
fn a_mirror_that_fails_midway_is_left_for_the_next() {
    let machine = Machine::with(LEN);
    let bad = crate::support::hub::TestHub::start();
    bad.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, Content::synthetic(MIB + 1, 2)).commit();
    bad.fault(Match::cdn().always(), Fault::CutAfter(100_000));
    let line = format!("download tiny --endpoint {} --endpoint {}", bad.url(), machine.hub.url());
    machine.assert_right(&machine.run(&line).ok());
    assert!(bad.count().cdn > 0 && machine.hub.count().cdn > 0);
}

#[test]
fn a_mirror_that_serves_something_else_or_lacks_the_file_is_left_for_the_next() {
    let machine = Machine::with(LEN);
    let mirror = || {
        let mirror = crate::support::hub::TestHub::start();
        mirror.repo(REPO).lfs(FILE, machine.content()).lfs(OTHER, machine.hub.content(REPO, OTHER)).commit();
        mirror
    };
    let (wrong, lacking) = (mirror(), crate::support::hub::TestHub::start());
    wrong.fault(Match::cdn().always(), Fault::WrongBytes { offset: 4 * MIB });
    for (first, second, third) in
        [(&wrong, &lacking, &machine.hub), (&lacking, &wrong, &machine.hub), (&machine.hub, &wrong, &lacking)]
    {
        let urls = [first, second, third].map(|hub| format!("--endpoint {}", hub.url())).join(" ");
        machine.assert_right(&machine.run(&format!("download tiny {urls} --force")).ok());
    }
    machine.run("remove tiny").ok();
    // Where none has the right bytes, nothing is shown, and what is told is that they are wrong.
    let line = format!("download tiny --endpoint {} --endpoint {}", wrong.url(), lacking.url());
    machine.run(&line).code(4).says("is wrong: expected");
    machine.assert_nothing_published();
    // What a mirror lacks is not told where the last could not be asked, and is where it is the last.
    let machine = machine.impatient();
    machine
        .run(&format!("download tiny --endpoint {} --endpoint http://127.0.0.1:9", lacking.url()))
        .code(6)
        .says("cannot connect");
    machine.run(&format!("download tiny --endpoint http://127.0.0.1:9 --endpoint {}", lacking.url())).code(5).says("401");
}

#[test]
fn nobody_answering_is_a_network_error_with_the_address() {
    let mut machine = Machine::new().impatient();
    machine.sandbox.set_env("HF_ENDPOINT", "http://127.0.0.1:9");
    machine.run("download tiny").code(6).says("cannot connect to http://127.0.0.1:9").says("HF_ENDPOINT");
    machine.run("download a/b:q4_k_m").code(6).says("cannot connect to http://127.0.0.1:9").says("HF_ENDPOINT");
    machine.sandbox.set_env("HF_ENDPOINT", "http://no-such-host.invalid");
    machine.run("download tiny").code(6).says("no-such-host.invalid");
}

#[test]
fn a_limit_of_the_rate_is_kept() {
    let machine = Machine::with(6 * MIB);
    let begun = Instant::now();
    machine.assert_right(&machine.run("download tiny --limit-rate 4M --connections 8").ok());
    assert!(begun.elapsed() >= Duration::from_millis(1000), "{:?}", begun.elapsed());
}

#[test]
fn a_certificate_file_that_is_none_is_a_wrong_setting_and_is_named() {
    let machine = Machine::new();
    let file = machine.sandbox.write("ca.pem", "not a certificate");
    let folder = machine.sandbox.project().display().to_string();
    for (path, why) in
        [(file.to_str().unwrap(), "no certificate"), (folder.as_str(), "not a regular file"), ("/no/ca.pem", "there is no")]
    {
        machine.run(&format!("download tiny --ca-file {path}")).code(2).says(path).says(why).says("--ca-file");
    }
    assert_eq!(machine.hub.count().total_requests(), 0);
    machine.assert_nothing_published();
}

#[test]
fn a_connection_that_is_slow_is_helped_by_the_others() {
    let machine = Machine::with(8 << 20);
    machine.hub.fault(Match::cdn(), Fault::SlowRate(160 << 10));
    // Its first segment is not complete until another connection has come to help, however late that is on a busy machine.
    let first_segment = machine.hub.hold(Match::cdn(), 768 << 10);
    let running = machine.spawn("download tiny --connections 2");
    let asked = |request: &Recorded| -> Option<(u64, u64)> {
        let (first, last) = request.range.as_deref()?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    until("another connection takes over a part of the slow one's", || {
        let ranges: Vec<(u64, u64)> = machine.hub.count().of(Part::Cdn).filter_map(asked).collect();
        let slow = ranges.first().copied();
        slow.is_some_and(|slow| ranges[1..].iter().any(|range| range.0 > slow.0 && range.1 == slow.1))
    });
    first_segment.release();
    machine.assert_right(&running.wait().ok());
    let count = machine.hub.count();
    let Some(slow) = count.of(Part::Cdn).next() else { panic!("nothing was asked for") };
    assert!(!slow.complete, "what was taken over came twice");
}

#[test]
fn where_each_connection_is_slow_more_than_usual_are_opened() {
    let machine = Machine::with(24 << 20);
    machine.hub.fault(Match::cdn().always(), Fault::SlowRate(512 << 10));
    machine.assert_right(&machine.run("download tiny").ok());
    let most = machine.hub.count().max_cdn_in_flight;
    assert!((9..=16).contains(&most), "{most} at once");
}
