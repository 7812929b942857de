#![expect(clippy::disallowed_methods, reason = "tests arrange and inspect files directly")]

use super::*;
use crate::{disk::RealDisk, settings::AppPlace};
use std::fs;

const SHA: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
const COMMIT: &str = "0000000000000000000000000000000000000000";

/// A folder of an application.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn write(&self, below: &str, text: &str) -> &Self {
        let path = self.path().join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }
    #[cfg(unix)]
    fn link(&self, target: &str, below: &str) -> &Self {
        let path = self.path().join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }
    fn scan(&self, app: App) -> Scan {
        scan(&RealDisk, app, self.path(), &Watch::default())
    }
}

/// Model, path below the folder, and what is claimed, in a line each.
fn lines(folder: &Folder, scan: &Scan) -> Vec<String> {
    let root = fs::canonicalize(folder.path()).unwrap();
    let line = |model: &AppModel, file: &AppFile| {
        let Claim { sha256, git_sha1, repo, commit, path } = &file.claim;
        let real = fs::canonicalize(&file.path).unwrap();
        let mut line = format!("{} {}", model.name, real.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"));
        line += &sha256.map_or_else(String::new, |_| " sha256".to_owned());
        line += &git_sha1.map_or_else(String::new, |_| " git".to_owned());
        line += &repo.as_ref().map_or_else(String::new, |repo| format!(" repo={repo}"));
        line += &commit.as_ref().map_or_else(String::new, |_| " commit".to_owned());
        line + &path.as_ref().map_or_else(String::new, |path| format!(" path={path}"))
    };
    scan.models.iter().flat_map(|model| model.files.iter().map(move |file| line(model, file))).collect()
}

fn problems(scan: &Scan) -> Vec<&str> {
    scan.problems.iter().map(|problem| problem.why.as_str()).collect()
}

#[test]
fn an_application_is_named_with_and_without_dashes_in_any_case() {
    for app in App::ALL {
        assert_eq!(app.as_str().parse(), Ok(app));
        assert_eq!(app.as_str().replace('-', "").to_uppercase().parse(), Ok(app));
    }
    assert_eq!("LM_Studio".parse(), Ok(App::LmStudio));
    assert!("vllm".parse::<App>().is_err());
}

#[cfg(unix)]
#[test]
fn the_cache_of_huggingface_hub_tells_repository_commit_path_and_hash() {
    let folder = Folder::new();
    let snapshot = format!("models--acme--Tiny/snapshots/{COMMIT}");
    folder.write(&format!("models--acme--Tiny/blobs/{SHA}"), "hello\n").write(&format!("models--acme--Tiny/blobs/{GIT}"), "{}\n");
    folder.write(&format!("models--acme--Tiny/blobs/{SHA}.incomplete"), "hel").write("models--acme--Tiny/refs/main", COMMIT);
    folder.link(&format!("../../blobs/{SHA}"), &format!("{snapshot}/tiny.gguf"));
    folder.link(&format!("../../../blobs/{GIT}"), &format!("{snapshot}/sub/config.json"));
    // Several caches share a file, whose name is no hash of its content.
    folder
        .write("blobs/ab/abcdef", "shared\n")
        .link("../../blobs/ab/abcdef", &format!("models--acme--Tiny/blobs/{}", SHA.replace('5', "6")));
    folder.link(&format!("../../blobs/{}", SHA.replace('5', "6")), &format!("{snapshot}/shared.gguf"));
    folder
        .link("../../blobs/gone", &format!("{snapshot}/gone.gguf"))
        .write("datasets--x--y/blobs/1", "x")
        .write("version.txt", "1");
    let scan = folder.scan(App::Hf);
    assert_eq!(
        lines(&folder, &scan),
        [
            "acme/Tiny blobs/ab/abcdef sha256 repo=acme/Tiny commit path=shared.gguf".to_owned(),
            format!("acme/Tiny models--acme--Tiny/blobs/{GIT} git repo=acme/Tiny commit path=sub/config.json"),
            format!("acme/Tiny models--acme--Tiny/blobs/{SHA} sha256 repo=acme/Tiny commit path=tiny.gguf"),
        ]
    );
    assert_eq!((problems(&scan), scan.unfinished), (vec!["it is missing, or a link to nothing"], 1));
}

#[test]
fn the_flat_files_of_llama_cpp_have_their_hash_beside_them() {
    let folder = Folder::new();
    folder.write("acme_Tiny_tiny.gguf", "hello\n").write("acme_Tiny_tiny.gguf.etag", &format!("\"{SHA}\""));
    let described = format!(r#"{{"etag":"\"{SHA}\"","url":"https://huggingface.co/acme/Other/resolve/main/sub/other.gguf?x=1"}}"#);
    folder.write("acme_Other_other.gguf", "hello\n").write("acme_Other_other.gguf.json", &described);
    folder.write("plain.gguf", "hello\n").write("half.gguf.downloadInProgress", "he").write("manifest=a=b=c.json", "{}");
    let scan = folder.scan(App::LlamaCpp);
    assert_eq!(
        lines(&folder, &scan),
        [
            "acme_Other_other acme_Other_other.gguf sha256 repo=acme/Other path=sub/other.gguf",
            "acme_Tiny_tiny acme_Tiny_tiny.gguf sha256",
            "plain plain.gguf",
        ]
    );
    assert_eq!((scan.unfinished, scan.problems.len()), (1, 0));
}

#[test]
fn ollama_names_its_blobs_by_hash_and_its_models_by_manifest() {
    let folder = Folder::new();
    let layer = |kind: &str, digest: &str| {
        format!(r#"{{"mediaType":"application/vnd.ollama.image.{kind}","digest":"sha256:{digest}","size":6}}"#)
    };
    let manifest = |layers: &[String]| format!(r#"{{"schemaVersion":2,"config":{{}},"layers":[{}]}}"#, layers.join(","));
    folder.write(&format!("blobs/sha256-{SHA}"), "hello\n").write(&format!("blobs/sha256-{SHA}-partial-0"), "{}");
    folder.write("manifests/registry.ollama.ai/library/tiny/latest", &manifest(&[layer("model", SHA), layer("template", SHA)]));
    folder.write("manifests/hf.co/acme/Tiny-GGUF/Q4_K_M", &manifest(&[layer("model", SHA)]));
    folder.write("manifests/registry.ollama.ai/library/broken/latest", "{");
    folder.write("manifests/registry.ollama.ai/library/lost/latest", &manifest(&[layer("model", &SHA.replace('5', "6"))]));
    folder.write("manifests/registry.ollama.ai/library/odd/latest", &manifest(&[layer("model", "../../../etc/passwd")]));
    let scan = folder.scan(App::Ollama);
    assert_eq!(
        lines(&folder, &scan),
        [
            format!("hf.co/acme/Tiny-GGUF:Q4_K_M blobs/sha256-{SHA} sha256 repo=acme/Tiny-GGUF"),
            format!("tiny:latest blobs/sha256-{SHA} sha256"),
        ]
    );
    assert_eq!((scan.problems.len(), scan.unfinished), (3, 1), "{:?}", scan.problems);
}

#[test]
fn lm_studio_has_publisher_and_repository_as_folders() {
    let folder = Folder::new();
    folder.write("acme/Tiny-GGUF/tiny.Q4_K_M.gguf", "hello\n").write("acme/Tiny-GGUF/tiny.Q8_0.gguf.part", "he");
    folder.write("acme/Tiny-GGUF/README.md", "x").write(".internal/model-index-cache.json", "{}").write("loose.gguf", "x");
    let scan = folder.scan(App::LmStudio);
    let line = "acme/Tiny-GGUF acme/Tiny-GGUF/tiny.Q4_K_M.gguf repo=acme/Tiny-GGUF path=tiny.Q4_K_M.gguf";
    assert_eq!((lines(&folder, &scan), scan.unfinished), (vec![line.to_owned()], 1));
}

#[test]
fn docker_model_runner_has_an_index_of_manifests() {
    let folder = Folder::new();
    let id = SHA.replace('5', "7");
    folder.write("layout.json", r#"{"version":"1.0.0"}"#).write(&format!("blobs/sha256/{SHA}"), "hello\n");
    folder.write(
        "models.json",
        &format!(r#"{{"models":[{{"id":"sha256:{id}","tags":["ai/tiny:latest"],"files":[]}},{{"id":"../x","tags":[]}}]}}"#),
    );
    folder.write(
        &format!("manifests/sha256/{id}"),
        &format!(
            r#"{{"layers":[{{"mediaType":"application/vnd.docker.ai.gguf.v3","digest":"sha256:{SHA}"}},
            {{"mediaType":"application/vnd.docker.ai.license","digest":"sha256:{SHA}"}}]}}"#
        ),
    );
    let scan = folder.scan(App::Docker);
    assert_eq!(lines(&folder, &scan), [format!("ai/tiny:latest blobs/sha256/{SHA} sha256")]);
    assert_eq!((scan.layout.as_deref(), scan.problems.len()), (Some("1.0.0"), 1));
}

#[test]
fn ramalama_is_believed_a_hash_only_for_what_came_by_one() {
    let folder = Folder::new();
    for (transport, model) in [("huggingface", "acme/Tiny-GGUF"), ("file", "tmp/tiny.gguf")] {
        let root = format!("store/{transport}/{model}");
        folder.write(&format!("{root}/blobs/sha256-{SHA}"), "hello\n");
        folder.write(&format!("{root}/snapshots/sha256-1/tiny.gguf"), "hello\n");
        folder.write(&format!("{root}/snapshots/sha256-1/chat_template_converted"), "x");
        let refs = format!(r#"{{"hash":"sha256-1","files":[{{"hash":"sha256-{SHA}","name":"tiny.gguf","type":"gguf"}}]}}"#);
        folder.write(&format!("{root}/refs/latest.json"), &refs);
    }
    let scan = folder.scan(App::RamaLama);
    assert_eq!(
        lines(&folder, &scan),
        [
            "file://tmp/tiny.gguf store/file/tmp/tiny.gguf/snapshots/sha256-1/tiny.gguf path=tiny.gguf",
            "huggingface://acme/Tiny-GGUF store/huggingface/acme/Tiny-GGUF/snapshots/sha256-1/tiny.gguf sha256 \
             repo=acme/Tiny-GGUF path=tiny.gguf",
        ]
    );
}

#[test]
fn jan_says_where_its_files_are() {
    let folder = Folder::new();
    let elsewhere = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
    fs::write(elsewhere.path(), "hello\n").unwrap();
    folder.write("llamacpp/models/acme/tiny/model.gguf", "hello\n");
    folder.write(
        "llamacpp/models/acme/tiny/model.yml",
        &format!("model_path: llamacpp/models/acme/tiny/model.gguf\nmodel_sha256: {SHA}\nname: tiny\nmmproj_path: gone.gguf\n"),
    );
    folder.write("llamacpp/models/linked/model.yml", &format!("model_path: {:?}\n", elsewhere.path().to_str().unwrap()));
    folder.write("llamacpp/models/broken/model.yml", "model_path: [\n");
    let scan = folder.scan(App::Jan);
    let found = lines(&folder, &scan);
    assert_eq!(found[0], "acme/tiny llamacpp/models/acme/tiny/model.gguf sha256");
    assert!(found[1].starts_with("linked ") && found.len() == 2, "{found:?}");
    assert_eq!(scan.problems.len(), 2);
}

#[test]
fn flat_folders_give_the_names_that_files_have() {
    let folder = Folder::new();
    folder.write("tiny.gguf", "hello\n").write("sub/other.gguf", "hello\n").write("incomplete-half.gguf", "he").write("a.txt", "x");
    let scan = folder.scan(App::Gpt4All);
    assert_eq!(lines(&folder, &scan), ["other sub/other.gguf path=other.gguf", "tiny tiny.gguf path=tiny.gguf"]);
    assert_eq!(scan.unfinished, 1);
    let folder = Folder::new();
    folder.write("tiny.gguf", "hello\n").write("acme_Set/model.safetensors", "x").write("acme_Set/config.json", "{}");
    folder.write("acme_Set/picture.png", "x").write("config-user.yaml", "x");
    assert_eq!(
        lines(&folder, &folder.scan(App::TextGen)),
        [
            "acme_Set acme_Set/config.json repo=acme/Set path=config.json",
            "acme_Set acme_Set/model.safetensors repo=acme/Set path=model.safetensors",
            "tiny tiny.gguf path=tiny.gguf",
        ]
    );
    let folder = Folder::new();
    folder.write("models/checkpoints/xl/base.safetensors", "x").write("models/put_here", "x").write("input/example.png", "x");
    assert_eq!(
        lines(&folder, &folder.scan(App::ComfyUi)),
        ["checkpoints/xl/base.safetensors models/checkpoints/xl/base.safetensors path=base.safetensors"]
    );
    let folder = Folder::new();
    folder.write(&format!(".git/lfs/objects/58/91/{SHA}"), "hello\n").write("tiny.gguf", "hello\n");
    assert_eq!(lines(&folder, &folder.scan(App::GitLfs)), [format!("{SHA} .git/lfs/objects/58/91/{SHA} sha256")]);
}

#[cfg(unix)]
#[test]
fn what_is_broken_is_told_and_the_rest_goes_on() {
    let folder = Folder::new();
    folder.write("good.gguf", "hello\n").write("empty.gguf", "").link("circle.gguf", "circle.gguf").link("gone", "dangling.gguf");
    fs::create_dir(folder.path().join("folder.gguf")).unwrap();
    let mut deep = String::new();
    (0..12).for_each(|_| deep.push_str("d/"));
    folder.write(&format!("{deep}x.gguf"), "x");
    let scan = folder.scan(App::Gpt4All);
    assert_eq!(lines(&folder, &scan), ["good good.gguf path=good.gguf"]);
    assert_eq!(scan.problems.len(), 4, "{:?}", scan.problems);
    for app in App::ALL {
        let nothing = scan_nothing(app);
        assert_eq!((nothing.models.len(), nothing.problems.len()), (0, 0), "{app}: {nothing:?}");
    }
}

#[cfg(unix)]
fn scan_nothing(app: App) -> Scan {
    scan(&RealDisk, app, Path::new("/nowhere/at/all"), &Watch::default())
}

#[cfg(target_os = "linux")]
#[test]
fn a_variable_wins_over_the_default_place_as_it_does_for_the_application() {
    let home = Path::new("/home/ada");
    let places = |set: &[(&str, &str)]| {
        let lookup = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        default_places(Some(home), &lookup)
    };
    let of = |places: &[AppPlace], app: App| -> Vec<String> {
        places.iter().filter(|place| place.app == app).map(|place| place.dir.display().to_string()).collect()
    };
    let plain = places(&[]);
    assert_eq!(of(&plain, App::Hf), ["/home/ada/.cache/huggingface/hub"]);
    assert_eq!(of(&plain, App::Ollama), ["/home/ada/.ollama/models", "/usr/share/ollama/.ollama/models"]);
    assert_eq!(of(&plain, App::Gpt4All), ["/home/ada/.local/share/nomic.ai/GPT4All", "/home/ada/.cache/gpt4all"]);
    assert_eq!(of(&places(&[("HF_HOME", "/data/hf")]), App::Hf), ["/data/hf/hub"]);
    assert_eq!(of(&places(&[("HF_HOME", "/data/hf"), ("HF_HUB_CACHE", "/c/")]), App::Hf), ["/c"]);
    assert_eq!(of(&places(&[("XDG_CACHE_HOME", "/x")]), App::Hf), ["/x/huggingface/hub"]);
    assert_eq!(of(&places(&[("OLLAMA_MODELS", "relative")]), App::Ollama).len(), 2, "a relative path is no place");
    assert!(default_places(None, &|_| None).is_empty());
}
