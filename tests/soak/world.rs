//! A machine with one store, two projects and a Hub, and what must hold on it whatever happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use model_manager::digest::sha256_of;
use model_manager::disk::RealDisk;

use crate::fsck::{Expect, fsck};
use crate::support::hub::{Content, TestHub};
use crate::support::run::{Output, Sandbox};

pub const MIB: u64 = 1 << 20;

/// A file of a model: its path below the view, and its content.
pub type Files = BTreeMap<String, Content>;

/// The models of a test: `m0`, `m1`, … in `gguf/q4_k_m`, and `set` in `safetensors`.
pub struct Models(pub BTreeMap<String, (PathBuf, Files)>);

impl Models {
    /// GGUF models of these sizes, in repositories `acme/m<n>`.
    pub fn gguf(hub: &TestHub, sizes: &[u64]) -> Self {
        let mut models = BTreeMap::new();
        for (n, size) in sizes.iter().enumerate() {
            let content = Content::synthetic(*size, 77 + n as u64);
            let (id, file) = (format!("m{n}"), format!("m{n}.Q4_K_M.gguf"));
            hub.repo(&format!("acme/{id}")).lfs(&file, content.clone()).commit();
            let dir = Path::new(&id).join("gguf/q4_k_m");
            models.insert(id, (dir, Files::from([(file, content)])));
        }
        Self(models)
    }

    /// And one of several files, some of them plain, one of them the first GGUF's content under another name.
    pub fn with_set(mut self, hub: &TestHub) -> Self {
        let shared = self.0["m0"].1.values().next().unwrap().clone();
        let index = r#"{"metadata": {"total_size": 1}, "weight_map": {
            "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
        let files = Files::from([
            ("model.safetensors.index.json".to_owned(), Content::from(index)),
            ("config.json".to_owned(), Content::from(r#"{"model_type": "llama"}"#)),
            ("tokenizer.json".to_owned(), Content::from("x".repeat(70_000).as_str())),
            ("model-00001-of-00002.safetensors".to_owned(), Content::synthetic(MIB + 5, 1000)),
            ("model-00002-of-00002.safetensors".to_owned(), shared),
        ]);
        let mut repo = hub.repo("acme/set");
        for (path, content) in &files {
            repo = repo.file(path, content.clone());
        }
        repo.commit();
        self.0.insert("set".to_owned(), ("set/safetensors".into(), files));
        self
    }

    fn registry(&self) -> String {
        let mut text = "models:\n".to_owned();
        for (id, (dir, files)) in &self.0 {
            text += &format!("  {id}:\n    huggingface_id: \"acme/{id}\"\n    formats:\n");
            match dir.ends_with("q4_k_m") {
                true => text += &format!("      gguf:\n        q4_k_m:\n          file: \"{}\"\n", files.keys().next().unwrap()),
                false => text += "      safetensors: {}\n",
            }
        }
        text
    }
}

/// A place with one store and projects, on any file system.
pub struct World<'h> {
    pub hub: &'h TestHub,
    pub models: Models,
    pub place: PathBuf,
    pub sandbox: Sandbox,
}

impl<'h> World<'h> {
    /// Without `place`, in the sandbox itself.
    pub fn new(hub: &'h TestHub, models: Models, place: Option<&Path>) -> Self {
        let sandbox = Sandbox::new(hub);
        sandbox.write("configs/models.yaml", models.registry());
        let place = place.map_or_else(|| sandbox.root().join("place"), Path::to_owned);
        std::fs::create_dir_all(&place).unwrap();
        Self { hub, models, place, sandbox }
    }

    pub fn store(&self) -> PathBuf {
        self.place.join("store")
    }

    pub fn project(&self, n: usize) -> PathBuf {
        self.place.join(format!("project-{n}/models"))
    }

    /// The real binary in a project; no progress, patience for others.
    pub fn command(&self, project: usize, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        command.arg("--models-dir").arg(self.project(project)).arg("--store").arg(self.store());
        command.arg("--no-progress").args(["--lock-timeout", "60s"]);
        command
    }

    #[track_caller]
    pub fn run(&self, project: usize, args: &[&str]) -> Output {
        self.sandbox.finish(self.command(project, args))
    }

    /// What is wrong with a view, file by file; empty when every byte is right.
    pub fn faults_of_view(&self, project: usize, id: &str) -> Vec<String> {
        let (dir, files) = &self.models.0[id];
        let dir = self.project(project).join(dir);
        let check = |(path, content): (&String, &Content)| {
            let path = dir.join(path);
            match std::fs::read(&path) {
                Err(error) => Some(format!("{}: {error}", path.display())),
                Ok(bytes) if sha256_of(&bytes).to_string() != content.sha256() => {
                    Some(format!("{}: {} bytes of other content", path.display(), bytes.len()))
                }
                Ok(_) => None,
            }
        };
        files.iter().filter_map(check).collect()
    }

    #[track_caller]
    pub fn assert_view(&self, project: usize, id: &str) {
        let faults = self.faults_of_view(project, id);
        assert!(faults.is_empty(), "{id} in project {project} is not intact:\n{}", faults.join("\n"));
    }

    /// The store by two opinions: the program's own, reading every byte, and an independent one.
    #[track_caller]
    pub fn assert_sound(&self, what: &str) {
        if !self.store().join("STORE.json").exists() {
            return;
        }
        self.doctor(what);
        let faults = fsck(&RealDisk, &self.store(), Expect::Unfinished);
        assert!(faults.is_empty(), "{what}: the store is not sound:\n{}", faults.join("\n"));
    }

    #[track_caller]
    fn doctor(&self, what: &str) -> Vec<serde_json::Value> {
        let doctor = self.run(0, &["doctor", "--full", "--json"]);
        // What can be corrected is no loss.
        assert!(matches!(doctor.status.code(), Some(0 | 1)), "{what}: {doctor}");
        let findings = doctor.json()["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().filter(|finding| finding["severity"] != "leftover").collect()
    }

    /// Downloads every model into every project, collects what crashes left, and expects nothing that does not belong.
    #[track_caller]
    pub fn assert_comes_clean(&self, what: &str) {
        // As if what died had died long ago: temporary files are swept when they are a day old.
        let orphan_temps = temporary_names(&self.place);
        if !orphan_temps.is_empty() {
            let aged = Command::new("touch").args(["-h", "-d", "2 days ago"]).args(&orphan_temps).status().unwrap();
            assert!(aged.success());
        }
        for project in 0..2 {
            for id in self.models.0.keys() {
                self.run(project, &["download", id]).ok();
            }
        }
        self.run(0, &["gc", "--grace", "0", "--partials", "0"]).ok();
        let findings = self.doctor(what);
        assert!(findings.is_empty(), "{what}: {findings:#?}");
        let faults = fsck(&RealDisk, &self.store(), Expect::Tidy);
        assert!(faults.is_empty(), "{what}: the store is not tidy:\n{}", faults.join("\n"));
        for project in 0..2 {
            self.models.0.keys().for_each(|id| self.assert_view(project, id));
            let mut orphan_temps = temporary_names(&self.project(project));
            // Those beside the project file are swept once a day.
            orphan_temps.retain(|path| path.parent() != Some(&self.project(project)));
            assert!(orphan_temps.is_empty(), "{what}: crashes left {orphan_temps:?}");
        }
    }
}

/// Temporary names below a folder.
fn temporary_names(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.starts_with(".tmp-") {
            true => found.push(entry.path()),
            false if entry.file_type().unwrap().is_dir() => found.extend(temporary_names(&entry.path())),
            false => {}
        }
    }
    found
}

/// A number from the environment.
pub fn env_number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
}
