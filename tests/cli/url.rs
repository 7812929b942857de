//! Files of any web server, by their addresses: fetched, resumed, verified as far as somebody vouches, locked and repaired.

use serde_json::Value;
use std::{fs, path::PathBuf};

use crate::{
    kit::{Desk, MIB, REPO, assert_content, entry, names, remove, remove_all, set_mode},
    support::{hub::Content, run::Output},
    web::{File, WebServer},
};

const NAME: &str = "Tiny-Web.Q4_K_M.gguf";
const SHOWN: &str = "models/tiny-web/gguf/q4_k_m/Tiny-Web.Q4_K_M.gguf";

struct Stand {
    web: WebServer,
    desk: Desk,
    content: Content,
}

impl Stand {
    /// A Hub that nobody asks, and a web server with a file.
    fn new() -> Self {
        let (web, mut desk, content) = (WebServer::start(), Desk::empty().impatient(), Content::synthetic(4 * MIB + 7, 5));
        web.put(&format!("/models/{NAME}"), File::new(content.clone()));
        desk.s.set_env("HF_TOKEN", "hf_secret");
        desk.registry(&["  none:\n    huggingface_id: o/r\n    formats:\n      gguf:\n        q8_0: {file: none.gguf}\n".into()]);
        Self { web, desk, content }
    }

    fn url(&self) -> String {
        self.web.url(&format!("/models/{NAME}"))
    }

    fn run(&self, line: &str) -> Output {
        self.desk.run(line)
    }

    #[track_caller]
    fn download(&self, more: &str) -> Output {
        self.run(&format!("download {}{more}", self.url()))
    }

    /// What the store has recorded of the file.
    fn record(&self) -> Value {
        let digest = self.content.sha256();
        let path = self.desk.store().join("meta").join(&digest[..2]).join(format!("{digest}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn lock_text(&self) -> String {
        fs::read_to_string(self.desk.s.project().join("configs/models.lock")).unwrap()
    }

    /// An entry of the registry with the file's address, and these fields beside it.
    fn register(&self, query: &str, fields: &str) {
        let url = self.url();
        let fields = format!("url: \"{url}{query}\"{fields}");
        self.desk.registry(&[format!("  web:\n    license: mit\n    formats:\n      gguf:\n        q4_k_m: {{{fields}}}\n")]);
    }

    fn pins(&self) -> String {
        format!(", size: {}, sha256: \"{}\"", self.content.len(), self.content.sha256())
    }

    #[track_caller]
    fn assert_shown(&self, path: &str) {
        assert_content(&self.desk.s.project().join(path), &self.content);
        self.desk.assert_tidy();
        assert_eq!(self.desk.hub.count().total_requests(), 0, "the Hub was asked");
        for request in self.web.requests() {
            assert!(!request.to_lowercase().contains("authorization") && !request.contains("hf_secret"), "{request}");
        }
    }

    fn damage(&self) {
        let blob = self.desk.blob(&self.content);
        let mut bytes = fs::read(&blob).unwrap();
        bytes[1_500_000] ^= 1;
        set_mode(&blob, 0o644);
        fs::write(&blob, bytes).unwrap();
        set_mode(&blob, 0o444);
    }
}

#[test]
fn a_file_is_fetched_by_its_address_and_the_user_is_told_the_digest_to_compare() {
    let stand = Stand::new();
    let done = stand.download("").ok().says(stand.content.sha256()).says("nobody published a hash");
    assert_eq!(done.last_line(), SHOWN);
    assert!(stand.web.requests().iter().filter(|request| request.contains("range: bytes=")).count() > 1, "no ranges");
    stand.assert_shown(SHOWN);
    let record = stand.record();
    assert_eq!(record["trust"], "tofu");
    let text = record.to_string();
    assert!(text.contains(&stand.web.url("/models")) && text.contains(NAME), "{text}");
    // Known by its address and by its name from then on.
    stand.web.requests();
    for line in [format!("download {}", stand.url()), format!("download {} --offline", stand.url())] {
        assert_eq!(stand.run(&line).ok().says("already present").last_line(), SHOWN, "{line}");
    }
    assert_eq!(stand.run("path tiny-web").ok().last_line(), SHOWN);
    stand.run("list").ok().prints("tiny-web");
    stand.run("verify tiny-web").ok().prints("1 unverified");
    stand.run(&format!("why {}", stand.content.sha256())).ok().prints(&stand.web.url("/models"));
    stand.run(&format!("info {}", stand.url())).ok();
    assert!(stand.web.requests().is_empty(), "what is here needs no request");
    remove_all(stand.desk.s.models());
    stand.run(&format!("download {} --offline", stand.url())).code(6);
}

#[test]
fn a_dry_run_says_what_would_be_fetched_and_writes_nothing() {
    let stand = Stand::new();
    let plan = stand.download(" --dry-run --json").ok().json();
    let plan = &plan["plans"][0];
    assert_eq!(
        (plan["origin"]["repo"].as_str(), plan["origin"]["commit"].is_null()),
        (Some(stand.web.url("/models").as_str()), true)
    );
    assert_eq!(plan["files"][0]["size"], stand.content.len());
    stand.download(" --dry-run").ok().prints(&stand.web.url("/models"));
    assert!(!stand.desk.s.models().exists());
}

#[test]
fn a_digest_that_is_given_is_compared_and_only_then_the_file_counts_as_verified() {
    let stand = Stand::new();
    let other = Content::synthetic(7, 1).sha256().to_owned();
    stand.download(&format!(" --sha256 {other}")).code(4);
    stand.desk.assert_nothing_published();
    stand.download(&format!(" --sha256 {}", stand.content.sha256())).ok();
    assert_eq!(stand.record()["trust"], "sha256-upstream");
    stand.run("verify tiny-web").ok().prints("1 ok");
    stand.run(&format!("download none:q8_0 --sha256 {other}")).code(2).says("one file only, which is named by its address");
}

#[test]
fn a_download_that_broke_goes_on_where_it_stopped_unless_the_file_is_another_one() {
    for (tag, resumes) in [("\"v1\"", true), ("\"v2\"", false)] {
        let stand = Stand::new();
        stand.web.break_after(3 * MIB);
        stand.download("").code(6);
        let sent = stand.web.sent();
        assert_eq!(names(&stand.desk.store().join("ingest")).len(), 1);
        stand.web.break_after(u64::MAX);
        let content = if resumes { stand.content.clone() } else { Content::synthetic(4 * MIB + 7, 6) };
        stand.web.put(&format!("/models/{NAME}"), File { tag: Some(tag.into()), ..File::new(content.clone()) });
        let done = stand.download("").ok();
        assert_eq!(done.stderr.contains("downloading it again from the beginning"), !resumes, "{done}");
        assert_eq!(stand.web.sent() < content.len(), resumes, "{sent} bytes had come");
        assert_content(&stand.desk.s.project().join(SHOWN), &content);
    }
}

#[test]
fn a_server_without_ranges_or_without_a_tag_gives_the_whole_file() {
    let stand = Stand::new();
    for (number, (tag, ranges)) in [(Some("\"v1\""), false), (None, true), (None, false)].into_iter().enumerate() {
        let (path, content) = (format!("/odd{number}.Q8_0.gguf"), Content::synthetic(2 * MIB + 3, 20 + number as u64));
        stand.web.put(&path, File { tag: tag.map(str::to_owned), ranges, ..File::new(content.clone()) });
        let done = stand.run(&format!("download {}", stand.web.url(&path))).ok();
        assert_content(&stand.desk.s.project().join(done.last_line()), &content);
        let parts = stand.web.requests().iter().filter(|request| request.contains("range: bytes=")).count();
        assert!(tag.is_some() || parts <= 1, "ranges that may be of two versions were put together");
    }
}

#[test]
fn what_is_no_file_is_refused_and_nothing_is_left() {
    let stand = Stand::new();
    stand.web.answer("/page.gguf", 200, "Content-Type: text/html\r\n", "<html>log in</html>");
    stand.web.answer("/denied.gguf", 403, "", "");
    stand.web.answer("/loop.gguf", 302, "Location: /loop.gguf\r\n", "");
    stand.web.answer("/broken.gguf", 500, "", "");
    stand.web.answer("/teapot.gguf", 418, "", "");
    for (path, code, says, hint) in [
        ("/missing.gguf", 3, "HTTP 404", "Check the address"),
        ("/denied.gguf", 5, "HTTP 403", "Check the address"),
        ("/page.gguf", 6, "web page", "A login page"),
        ("/loop.gguf", 6, "circle", "Check the address"),
        ("/broken.gguf", 6, "HTTP 500", "Wait, then"),
        ("/teapot.gguf", 6, "HTTP 418", "another address"),
        ("/x.zip", 2, "`.gguf` or `.safetensors`", "`https://host/path/NAME.gguf`"),
    ] {
        let refused = stand.run(&format!("download {}?key=secret", stand.web.url(path))).code(code).says(says).says(hint);
        let speaks_of_endpoints = refused.stderr.contains("endpoint") || refused.stderr.contains("HF_ENDPOINT");
        assert!(code == 2 || !speaks_of_endpoints, "{refused}");
    }
    let secret = stand.url().replace("http://", "http://me:secret@");
    let refused = stand.run(&format!("download {secret}")).code(2).says("user or a password");
    assert!(!refused.stderr.contains("secret"), "{refused}");
    stand.desk.assert_nothing_published();
}

#[test]
fn a_redirect_to_another_host_is_followed() {
    let stand = Stand::new();
    let other = WebServer::start();
    other.put("/bytes", File::new(stand.content.clone()));
    stand.web.answer("/models/moved.Q4_K_M.gguf", 302, &format!("Location: {}\r\n", other.url("/bytes?signed=1")), "");
    let done = stand.run(&format!("download {}", stand.web.url("/models/moved.Q4_K_M.gguf"))).ok();
    assert_content(&stand.desk.s.project().join(done.last_line()), &stand.content);
}

#[test]
fn a_query_is_asked_for_and_written_nowhere() {
    let stand = Stand::new();
    let done = stand.download("?key=hunter2").ok().says("the query of").says("not kept");
    assert!(stand.web.requests().iter().all(|request| request.contains("?key=hunter2 ")));
    let locked = stand.run("lock").ok();
    let added = stand.run(&format!("add {}?key=hunter2 --dry-run", stand.url())).ok().says("not kept");
    for output in [&done, &locked, &added] {
        assert!(!format!("{}{}", output.stdout, output.stderr).contains("hunter2"), "{output}");
    }
    let written = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains("hunter2");
    let mut todo = vec![stand.desk.s.project()];
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
    let stand = Stand::new();
    stand.register("?key=hunter2", &stand.pins());
    stand.run("lock web:q4_k_m").ok();
    assert!(!stand.lock_text().contains("hunter2"), "{}", stand.lock_text());
    stand.run("sync --locked").ok();
    let requests = stand.web.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.contains("?key=hunter2 ")), "{requests:?}");
}

#[test]
fn a_repair_asks_with_the_query_that_the_registry_has() {
    let stand = Stand::new();
    stand.register("?key=hunter2", &stand.pins());
    stand.run("download web").ok();
    stand.damage();
    stand.web.requests();
    stand.run("verify --repair").ok();
    let requests = stand.web.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.contains("?key=hunter2 ")), "{requests:?}");
}

#[test]
fn no_digest_of_the_command_line_overrides_the_one_of_the_registry() {
    let stand = Stand::new();
    stand.register("", &stand.pins());
    let other = Content::synthetic(7, 1).sha256().to_owned();
    stand.run(&format!("download web --sha256 {other}")).code(2).says(&other).says(stand.content.sha256());
    stand.desk.assert_nothing_published();
    stand.run(&format!("download web --sha256 {}", stand.content.sha256())).ok();
}

#[test]
fn a_change_of_the_registry_shows_no_query_of_its_addresses() {
    let stand = Stand::new();
    stand.register("?key=hunter2", &stand.pins());
    let removed = stand.run("registry remove web --dry-run").ok();
    assert!(removed.stdout.contains("http://") && !removed.stdout.contains("hunter2"), "{removed}");
    let json = stand.run("registry remove web --dry-run --json").ok();
    assert!(!json.stdout.contains("hunter2"), "{json}");
}

#[test]
fn an_address_is_asked_as_it_is_spelled() {
    let stand = Stand::new();
    for path in ["/odd//a%2Bb.Q8_0.gguf", "/odd/c+d.Q4_K_M.gguf"] {
        stand.web.put(path, File::new(stand.content.clone()));
        stand.run(&format!("download {}", stand.web.url(path))).ok();
    }
}

#[test]
fn an_entry_of_the_registry_is_fetched_locked_synced_and_repaired() {
    let stand = Stand::new();
    stand.register("", &stand.pins());
    const AT: &str = "models/web/gguf/q4_k_m/Tiny-Web.Q4_K_M.gguf";
    stand.run("lint").ok();
    assert_eq!(stand.run("download web").ok().last_line(), AT);
    assert_eq!(stand.record()["trust"], "sha256-upstream");
    stand.run("lock").ok();
    let lock = stand.lock_text();
    assert!(lock.contains(&format!("    origin: \"{}\"\n", stand.web.url("/models"))), "{lock}");
    assert!(!lock.contains("repo:") && !lock.contains("commit:") && !lock.contains("trust:"), "{lock}");
    stand.run("lock --check").ok();
    stand.run("lock --update").ok();
    assert_eq!(stand.lock_text(), lock);
    remove_all(stand.desk.s.models());
    stand.run("sync --locked --offline").code(6);
    stand.run("sync --locked").ok();
    stand.assert_shown(AT);
    stand.damage();
    stand.run("verify").code(4);
    stand.web.sent();
    stand.run("verify --repair").ok();
    assert!(stand.web.sent() <= MIB, "only what is damaged travels");
    stand.assert_shown(AT);
    stand.run("info web").ok().prints(&stand.web.url("/models"));
}

#[test]
fn a_file_that_nobody_vouches_for_is_locked_by_what_came_first() {
    let stand = Stand::new();
    stand.download("").ok();
    stand.run("lock").ok().prints("published no hash");
    let lock = stand.lock_text();
    assert!(lock.contains("trust: \"tofu\"") && lock.contains("source: \"file\""), "{lock}");
    remove_all(stand.desk.s.models());
    stand.run("sync --locked").ok();
    assert_eq!(stand.record()["trust"], "tofu");
    stand.damage();
    stand.run("verify --repair tiny-web").ok();
    stand.assert_shown(SHOWN);
    // The server has another file by now: the lock decides.
    remove_all(stand.desk.s.models());
    stand.web.put(&format!("/models/{NAME}"), File::new(Content::synthetic(stand.content.len(), 99)));
    stand.run("sync --locked").code(4);
    stand.desk.assert_nothing_published();
}

#[test]
fn a_name_that_another_origin_has_is_refused_with_the_way_out() {
    let stand = Stand::new();
    stand.download("").ok();
    let other = Content::synthetic(MIB, 9);
    stand.web.put(&format!("/elsewhere/{NAME}"), File::new(other.clone()));
    let url = stand.web.url(&format!("/elsewhere/{NAME}"));
    stand.run(&format!("download {url}")).code(2).says("`tiny-web` is that of a model from").says("--id NAME`");
    stand.assert_shown(SHOWN);
    stand.run(&format!("add {url} --id other-web")).ok();
    let done = stand.run("download other-web").ok();
    assert_content(&stand.desk.s.project().join(done.last_line()), &other);
    // The registry's names are taken too.
    let desk = Stand::new();
    desk.desk.hub.repo(REPO).lfs("tiny.gguf", Content::synthetic(7, 1)).commit();
    desk.desk.registry(&[entry(&desk.desk.hub, "tiny-web", REPO, &[("q4_k_m", "tiny.gguf")])]);
    desk.download("").code(2).says(REPO);
}

#[test]
fn an_address_is_added_to_the_registry_with_its_digest() {
    let stand = Stand::new();
    let digest = stand.content.sha256();
    stand.run(&format!("add {} --sha256 {digest} --dry-run", stand.url())).ok().prints("url: \"http://").prints(digest);
    let added = stand.run(&format!("add {} --sha256 {digest} --json", stand.url())).ok().json();
    assert_eq!((added["model"].as_str(), added["origin"]["commit"].is_null()), (Some("tiny-web"), true), "{added}");
    stand.run("lint").ok();
    assert_eq!(stand.run("download tiny-web").ok().last_line(), SHOWN);
    assert_eq!(stand.record()["trust"], "sha256-upstream");
}

#[test]
fn an_origin_of_a_newer_version_is_kept_and_shown_and_only_its_sync_is_refused() {
    let mut stand = Stand::new();
    stand.desk.s.remove_env("HF_TOKEN");
    stand.download("").ok();
    stand.run("lock").ok();
    let path = stand.desk.s.project().join("configs/models.lock");
    let newer = "  - model: \"future\"\n    format: \"gguf\"\n    quant: \"q8_0\"\n    source: \"file\"\n    origin: \"oci://ghcr.io/o/m\"\n    \
                 digest: \"sha256:00\"\n    gated: false\n    files:\n      - path: \"future.gguf\"\n        size: 7\n        sha256: ";
    let newer = format!("{newer}\"{}\"\n", Content::synthetic(7, 3).sha256());
    let lock = stand.lock_text().replacen("views:\n", &format!("views:\n{newer}"), 1);
    fs::write(&path, &lock).unwrap();
    stand.run("lock").ok().prints("oci://ghcr.io/o/m");
    stand.run("lock tiny-web").ok();
    assert_eq!(stand.lock_text(), lock, "it is kept as it is");
    stand.run("sync --locked").code(1).says("future/gguf/q8_0 from oci://ghcr.io/o/m").says("newer version");
    // What is here is shown, wherever it came from.
    stand.desk.hub.repo("o/m").lfs("future.gguf", Content::synthetic(7, 3)).commit();
    stand.run("download hf://o/m/future.gguf").ok();
    stand.run("sync --locked").ok();
    remove(stand.desk.s.models().join("future/gguf/q8_0/future.gguf"));
    stand.run("sync --locked").ok();
}
