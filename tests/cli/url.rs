//! Files of any web server, by their addresses: fetched, resumed, verified as far as somebody vouches, locked and repaired.

use serde_json::Value;
use std::{fs, path::PathBuf};

use crate::{
    kit::{MIB, Machine, REPO, assert_content, entry, names, remove, remove_all, set_mode},
    support::{hub::Content, run::Output},
    web::{File, WebServer},
};

const NAME: &str = "Tiny-Web.Q4_K_M.gguf";
const SHOWN: &str = "models/tiny-web/gguf/q4_k_m/Tiny-Web.Q4_K_M.gguf";

struct WebSetup {
    web: WebServer,
    machine: Machine,
    content: Content,
}

impl WebSetup {
    /// A Hub that nobody asks, and a web server with a file.
    fn new() -> Self {
        let (web, mut machine, content) = (WebServer::start(), Machine::empty().impatient(), Content::synthetic(4 * MIB + 7, 5));
        web.put(&format!("/models/{NAME}"), File::new(content.clone()));
        machine.sandbox.set_env("HF_TOKEN", "hf_secret");
        machine
            .registry(&["  none:\n    huggingface_id: o/r\n    formats:\n      gguf:\n        q8_0: {file: none.gguf}\n".into()]);
        Self { web, machine, content }
    }

    fn url(&self) -> String {
        self.web.url(&format!("/models/{NAME}"))
    }

    fn run(&self, line: &str) -> Output {
        self.machine.run(line)
    }

    #[track_caller]
    fn download(&self, more: &str) -> Output {
        self.run(&format!("download {}{more}", self.url()))
    }

    /// What the store has recorded of the file.
    fn record(&self) -> Value {
        let digest = self.content.sha256();
        let path = self.machine.store().join("meta").join(&digest[..2]).join(format!("{digest}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn lock_text(&self) -> String {
        fs::read_to_string(self.machine.sandbox.project().join("configs/models.lock")).unwrap()
    }

    /// An entry of the registry with the file's address, and these fields beside it.
    fn register(&self, query: &str, fields: &str) {
        let url = self.url();
        let fields = format!("url: \"{url}{query}\"{fields}");
        self.machine.registry(&[format!("  web:\n    license: mit\n    formats:\n      gguf:\n        q4_k_m: {{{fields}}}\n")]);
    }

    fn pins(&self) -> String {
        format!(", size: {}, sha256: \"{}\"", self.content.len(), self.content.sha256())
    }

    #[track_caller]
    fn assert_shown(&self, path: &str) {
        assert_content(&self.machine.sandbox.project().join(path), &self.content);
        self.machine.assert_tidy();
        assert_eq!(self.machine.hub.count().total_requests(), 0, "the Hub was asked");
        for request in self.web.requests() {
            assert!(!request.to_lowercase().contains("authorization") && !request.contains("hf_secret"), "{request}");
        }
    }

    fn damage(&self) {
        let blob = self.machine.blob(&self.content);
        let mut bytes = fs::read(&blob).unwrap();
        bytes[1_500_000] ^= 1;
        set_mode(&blob, 0o644);
        fs::write(&blob, bytes).unwrap();
        set_mode(&blob, 0o444);
    }
}

#[test]
fn a_file_is_fetched_by_its_address_and_the_user_is_told_the_digest_to_compare() {
    let setup = WebSetup::new();
    let done = setup.download("").ok().says(setup.content.sha256()).says("nobody published a hash");
    assert_eq!(done.last_line(), SHOWN);
    assert!(setup.web.requests().iter().filter(|request| request.contains("range: bytes=")).count() > 1, "no ranges");
    setup.assert_shown(SHOWN);
    let record = setup.record();
    assert_eq!(record["trust"], "tofu");
    let text = record.to_string();
    assert!(text.contains(&setup.web.url("/models")) && text.contains(NAME), "{text}");
    // Known by its address and by its name from then on.
    setup.web.requests();
    for line in [format!("download {}", setup.url()), format!("download {} --offline", setup.url())] {
        assert_eq!(setup.run(&line).ok().says("already present").last_line(), SHOWN, "{line}");
    }
    assert_eq!(setup.run("path tiny-web").ok().last_line(), SHOWN);
    setup.run("list").ok().prints("tiny-web");
    setup.run("verify tiny-web").ok().prints("1 unverified");
    setup.run(&format!("why {}", setup.content.sha256())).ok().prints(&setup.web.url("/models"));
    setup.run(&format!("info {}", setup.url())).ok();
    assert!(setup.web.requests().is_empty(), "what is here needs no request");
    remove_all(setup.machine.sandbox.models());
    setup.run(&format!("download {} --offline", setup.url())).code(6);
}

#[test]
fn a_dry_run_says_what_would_be_fetched_and_writes_nothing() {
    let setup = WebSetup::new();
    let plan = setup.download(" --dry-run --json").ok().json();
    let plan = &plan["plans"][0];
    assert_eq!(
        (plan["origin"]["repo"].as_str(), plan["origin"]["commit"].is_null()),
        (Some(setup.web.url("/models").as_str()), true)
    );
    assert_eq!(plan["files"][0]["size"], setup.content.len());
    setup.download(" --dry-run").ok().prints(&setup.web.url("/models"));
    assert!(!setup.machine.sandbox.models().exists());
}

#[test]
fn a_digest_that_is_given_is_compared_and_only_then_the_file_counts_as_verified() {
    let setup = WebSetup::new();
    let other = Content::synthetic(7, 1).sha256().to_owned();
    setup.download(&format!(" --sha256 {other}")).code(4);
    setup.machine.assert_nothing_published();
    setup.download(&format!(" --sha256 {}", setup.content.sha256())).ok();
    assert_eq!(setup.record()["trust"], "sha256-upstream");
    setup.run("verify tiny-web").ok().prints("1 ok");
    setup.run(&format!("download none:q8_0 --sha256 {other}")).code(2).says("one file only, which is named by its address");
}

#[test]
fn a_download_that_broke_goes_on_where_it_stopped_unless_the_file_is_another_one() {
    for (tag, resumes) in [("\"v1\"", true), ("\"v2\"", false)] {
        let setup = WebSetup::new();
        setup.web.break_after(3 * MIB);
        setup.download("").code(6);
        let sent = setup.web.sent();
        assert_eq!(names(&setup.machine.store().join("ingest")).len(), 1);
        setup.web.break_after(u64::MAX);
        let content = if resumes { setup.content.clone() } else { Content::synthetic(4 * MIB + 7, 6) };
        setup.web.put(&format!("/models/{NAME}"), File { tag: Some(tag.into()), ..File::new(content.clone()) });
        let done = setup.download("").ok();
        assert_eq!(done.stderr.contains("downloading it again from the beginning"), !resumes, "{done}");
        assert_eq!(setup.web.sent() < content.len(), resumes, "{sent} bytes had come");
        assert_content(&setup.machine.sandbox.project().join(SHOWN), &content);
    }
}

#[test]
fn a_server_without_ranges_or_without_a_tag_gives_the_whole_file() {
    let setup = WebSetup::new();
    for (number, (tag, ranges)) in [(Some("\"v1\""), false), (None, true), (None, false)].into_iter().enumerate() {
        let (path, content) = (format!("/odd{number}.Q8_0.gguf"), Content::synthetic(2 * MIB + 3, 20 + number as u64));
        setup.web.put(&path, File { tag: tag.map(str::to_owned), ranges, ..File::new(content.clone()) });
        let done = setup.run(&format!("download {}", setup.web.url(&path))).ok();
        assert_content(&setup.machine.sandbox.project().join(done.last_line()), &content);
        let parts = setup.web.requests().iter().filter(|request| request.contains("range: bytes=")).count();
        assert!(tag.is_some() || parts <= 1, "ranges that may be of two versions were put together");
    }
}

#[test]
fn what_is_no_file_is_refused_and_nothing_is_left() {
    let setup = WebSetup::new();
    setup.web.answer("/page.gguf", 200, "Content-Type: text/html\r\n", "<html>log in</html>");
    setup.web.answer("/denied.gguf", 403, "", "");
    setup.web.answer("/loop.gguf", 302, "Location: /loop.gguf\r\n", "");
    setup.web.answer("/broken.gguf", 500, "", "");
    setup.web.answer("/teapot.gguf", 418, "", "");
    for (path, code, says, hint) in [
        ("/missing.gguf", 3, "HTTP 404", "Check the address"),
        ("/denied.gguf", 5, "HTTP 403", "Check the address"),
        ("/page.gguf", 6, "web page", "A login page"),
        ("/loop.gguf", 6, "circle", "Check the address"),
        ("/broken.gguf", 6, "HTTP 500", "Wait, then"),
        ("/teapot.gguf", 6, "HTTP 418", "another address"),
        ("/x.zip", 2, "`.gguf` or `.safetensors`", "`https://host/path/NAME.gguf`"),
    ] {
        let refused = setup.run(&format!("download {}?key=secret", setup.web.url(path))).code(code).says(says).says(hint);
        let speaks_of_endpoints = refused.stderr.contains("endpoint") || refused.stderr.contains("HF_ENDPOINT");
        assert!(code == 2 || !speaks_of_endpoints, "{refused}");
    }
    let secret = setup.url().replace("http://", "http://me:secret@");
    let refused = setup.run(&format!("download {secret}")).code(2).says("user or a password");
    assert!(!refused.stderr.contains("secret"), "{refused}");
    setup.machine.assert_nothing_published();
}

#[test]
fn a_redirect_to_another_host_is_followed() {
    let setup = WebSetup::new();
    let other = WebServer::start();
    other.put("/bytes", File::new(setup.content.clone()));
    setup.web.answer("/models/moved.Q4_K_M.gguf", 302, &format!("Location: {}\r\n", other.url("/bytes?signed=1")), "");
    let done = setup.run(&format!("download {}", setup.web.url("/models/moved.Q4_K_M.gguf"))).ok();
    assert_content(&setup.machine.sandbox.project().join(done.last_line()), &setup.content);
}

#[test]
fn a_query_is_asked_for_and_written_nowhere() {
    let setup = WebSetup::new();
    let done = setup.download("?key=hunter2").ok().says("the query of").says("not kept");
    assert!(setup.web.requests().iter().all(|request| request.contains("?key=hunter2 ")));
    let locked = setup.run("lock").ok();
    let added = setup.run(&format!("add {}?key=hunter2 --dry-run", setup.url())).ok().says("not kept");
    for output in [&done, &locked, &added] {
        assert!(!format!("{}{}", output.stdout, output.stderr).contains("hunter2"), "{output}");
    }
    let written = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains("hunter2");
    let mut todo = vec![setup.machine.sandbox.project()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => todo.push(entry.path()),
                false => assert!(!written(entry.path()), "{}", entry.path().display()),
            }
        }
    }
}

#[test]
fn a_sync_asks_with_the_query_that_the_registry_has() {
    let setup = WebSetup::new();
    setup.register("?key=hunter2", &setup.pins());
    setup.run("lock web:q4_k_m").ok();
    assert!(!setup.lock_text().contains("hunter2"), "{}", setup.lock_text());
    setup.run("sync --locked").ok();
    let requests = setup.web.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.contains("?key=hunter2 ")), "{requests:?}");
}

#[test]
fn a_repair_asks_with_the_query_that_the_registry_has() {
    let setup = WebSetup::new();
    setup.register("?key=hunter2", &setup.pins());
    setup.run("download web").ok();
    setup.damage();
    setup.web.requests();
    setup.run("verify --repair").ok();
    let requests = setup.web.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.contains("?key=hunter2 ")), "{requests:?}");
}

#[test]
fn no_digest_of_the_command_line_overrides_the_one_of_the_registry() {
    let setup = WebSetup::new();
    setup.register("", &setup.pins());
    let other = Content::synthetic(7, 1).sha256().to_owned();
    setup.run(&format!("download web --sha256 {other}")).code(2).says(&other).says(setup.content.sha256());
    setup.machine.assert_nothing_published();
    setup.run(&format!("download web --sha256 {}", setup.content.sha256())).ok();
}

#[test]
fn a_change_of_the_registry_shows_no_query_of_its_addresses() {
    let setup = WebSetup::new();
    setup.register("?key=hunter2", &setup.pins());
    let removed = setup.run("registry remove web --dry-run").ok();
    assert!(removed.stdout.contains("http://") && !removed.stdout.contains("hunter2"), "{removed}");
    let json = setup.run("registry remove web --dry-run --json").ok();
    assert!(!json.stdout.contains("hunter2"), "{json}");
}

#[test]
fn an_address_is_asked_as_it_is_spelled() {
    let setup = WebSetup::new();
    for path in ["/odd//a%2Bb.Q8_0.gguf", "/odd/c+d.Q4_K_M.gguf"] {
        setup.web.put(path, File::new(setup.content.clone()));
        setup.run(&format!("download {}", setup.web.url(path))).ok();
    }
}

#[test]
fn an_entry_of_the_registry_is_fetched_locked_synced_and_repaired() {
    let setup = WebSetup::new();
    setup.register("", &setup.pins());
    const AT: &str = "models/web/gguf/q4_k_m/Tiny-Web.Q4_K_M.gguf";
    setup.run("lint").ok();
    assert_eq!(setup.run("download web").ok().last_line(), AT);
    assert_eq!(setup.record()["trust"], "sha256-upstream");
    setup.run("lock").ok();
    let lock = setup.lock_text();
    assert!(lock.contains(&format!("    origin: \"{}\"\n", setup.web.url("/models"))), "{lock}");
    assert!(!lock.contains("repo:") && !lock.contains("commit:") && !lock.contains("trust:"), "{lock}");
    setup.run("lock --check").ok();
    setup.run("lock --update").ok();
    assert_eq!(setup.lock_text(), lock);
    remove_all(setup.machine.sandbox.models());
    setup.run("sync --locked --offline").code(6);
    setup.run("sync --locked").ok();
    setup.assert_shown(AT);
    setup.damage();
    setup.run("verify").code(4);
    setup.web.sent();
    setup.run("verify --repair").ok();
    assert!(setup.web.sent() <= MIB, "only what is damaged travels");
    setup.assert_shown(AT);
    setup.run("info web").ok().prints(&setup.web.url("/models"));
}

#[test]
fn a_file_that_nobody_vouches_for_is_locked_by_what_came_first() {
    let setup = WebSetup::new();
    setup.download("").ok();
    setup.run("lock").ok().prints("published no hash");
    let lock = setup.lock_text();
    assert!(lock.contains("trust: \"tofu\"") && lock.contains("source: \"file\""), "{lock}");
    remove_all(setup.machine.sandbox.models());
    setup.run("sync --locked").ok();
    assert_eq!(setup.record()["trust"], "tofu");
    setup.damage();
    setup.run("verify --repair tiny-web").ok();
    setup.assert_shown(SHOWN);
    // The server has another file by now: the lock decides.
    remove_all(setup.machine.sandbox.models());
    setup.web.put(&format!("/models/{NAME}"), File::new(Content::synthetic(setup.content.len(), 99)));
    setup.run("sync --locked").code(4);
    setup.machine.assert_nothing_published();
}

#[test]
fn a_name_that_another_origin_has_is_refused_with_the_way_out() {
    let setup = WebSetup::new();
    setup.download("").ok();
    let other = Content::synthetic(MIB, 9);
    setup.web.put(&format!("/elsewhere/{NAME}"), File::new(other.clone()));
    let url = setup.web.url(&format!("/elsewhere/{NAME}"));
    setup.run(&format!("download {url}")).code(2).says("`tiny-web` is that of a model from").says("--id NAME`");
    setup.assert_shown(SHOWN);
    setup.run(&format!("add {url} --id other-web")).ok();
    let done = setup.run("download other-web").ok();
    assert_content(&setup.machine.sandbox.project().join(done.last_line()), &other);
    // The registry's names are taken too.
    let machine = WebSetup::new();
    machine.machine.hub.repo(REPO).lfs("tiny.gguf", Content::synthetic(7, 1)).commit();
    machine.machine.registry(&[entry(&machine.machine.hub, "tiny-web", REPO, &[("q4_k_m", "tiny.gguf")])]);
    machine.download("").code(2).says(REPO);
}

#[test]
fn an_address_is_added_to_the_registry_with_its_digest() {
    let setup = WebSetup::new();
    let digest = setup.content.sha256();
    setup.run(&format!("add {} --sha256 {digest} --dry-run", setup.url())).ok().prints("url: \"http://").prints(digest);
    let added = setup.run(&format!("add {} --sha256 {digest} --json", setup.url())).ok().json()["models"][0].clone();
    assert_eq!((added["model"].as_str(), added["origin"]["commit"].is_null()), (Some("tiny-web"), true), "{added}");
    setup.run("lint").ok();
    assert_eq!(setup.run("download tiny-web").ok().last_line(), SHOWN);
    assert_eq!(setup.record()["trust"], "sha256-upstream");
}

#[test]
fn an_origin_of_a_newer_version_is_kept_and_shown_and_only_its_sync_is_refused() {
    let mut setup = WebSetup::new();
    setup.machine.sandbox.remove_env("HF_TOKEN");
    setup.download("").ok();
    setup.run("lock").ok();
    let path = setup.machine.sandbox.project().join("configs/models.lock");
    let newer = "  - model: \"future\"\n    format: \"gguf\"\n    quant: \"q8_0\"\n    source: \"file\"\n    origin: \"oci://ghcr.io/o/m\"\n    \
                 digest: \"sha256:00\"\n    gated: false\n    files:\n      - path: \"future.gguf\"\n        size: 7\n        sha256: ";
    let newer = format!("{newer}\"{}\"\n", Content::synthetic(7, 3).sha256());
    let lock = setup.lock_text().replacen("views:\n", &format!("views:\n{newer}"), 1);
    fs::write(&path, &lock).unwrap();
    setup.run("lock").ok().prints("oci://ghcr.io/o/m");
    setup.run("lock tiny-web").ok();
    assert_eq!(setup.lock_text(), lock, "it is kept as it is");
    setup.run("sync --locked").code(1).says("future/gguf/q8_0 from oci://ghcr.io/o/m").says("newer version");
    // What is here is shown, wherever it came from.
    setup.machine.hub.repo("o/m").lfs("future.gguf", Content::synthetic(7, 3)).commit();
    setup.run("download hf://o/m/future.gguf").ok();
    setup.run("sync --locked").ok();
    remove(setup.machine.sandbox.models().join("future/gguf/q8_0/future.gguf"));
    setup.run("sync --locked").ok();
}
