//! The same questions to every program of `programs`: what was adopted survives all that it does; it takes what is exposed for
//! its own; its own files are as they were; and a failure at any step of ours harms neither.
//!
//! Every third step by default; `MODEL_MANAGER_SWEEP=full` tries each.

use crate::{
    faulty_disk::Rule,
    kit::*,
    programs::{Program, programs},
    support::hub::Content,
};
use model_manager::{
    AdoptOptions, App, AppPlace, CheckMode, ErrorKind, ExposeTarget, Result, Selector,
    reports::{AdoptReport, VerifyState},
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What a file of a program is: inode, mode, time, and the hash of its content or its target.
type Seen = BTreeMap<PathBuf, (u64, u32, (i64, i64), String)>;

/// A machine with one program, which has one model.
struct Desk {
    machine: Machine,
    project: Project,
    program: Box<dyn Program>,
    /// Its own model: the name, and the content.
    own: (String, Content),
}

/// How many programs there are.
fn count() -> usize {
    programs(Path::new("")).len()
}

/// What takes models of the store, without a server between.
fn takes_exposures(app: App) -> bool {
    app != App::Docker
}

impl Desk {
    fn new(number: usize) -> Self {
        let machine = Machine::new();
        machine.project.manager().init(false, None).unwrap();
        let program = programs(&machine.dir.path().join("apps")).remove(number);
        fs::create_dir_all(program.dir()).unwrap();
        let place = AppPlace::new(program.app(), program.dir());
        let project = machine.project.with(|settings| settings.apps = vec![place]);
        let content = Content::synthetic(5000, 60);
        let own = (program.fetch("owl", &content), content);
        // Docker makes further names of what it loads.
        program.file(&own.0);
        Self { machine, project, program, own }
    }

    fn to(&self) -> ExposeTarget {
        ExposeTarget::App(self.program.app())
    }

    fn adopt(&self) -> Result<AdoptReport> {
        let mut options = AdoptOptions::default();
        options.from = vec![self.program.app()];
        self.project.manager().adopt(&options)
    }

    /// Exposes `tiny`, and returns what the program calls it.
    fn expose(&self) -> Result<String> {
        let report = self.project.manager().expose(&[Selector::new("tiny:q4_k_m").unwrap()], &self.to())?;
        Ok(report.models[0].name.clone())
    }

    /// Takes back what is exposed, where something is.
    fn unexpose(&self) -> Result<()> {
        match self.project.manager().unexpose(&[], None) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(|undone| assert!(undone.left.is_empty(), "left: {:?}", undone.left)),
        }
    }

    /// Runs with a failure at one step, or as if the process ended there.
    fn broken<T>(&self, step: u64, is_end: bool, work: impl FnOnce() -> Result<T>) {
        self.machine.disk.set(if is_end { Rule::Dead(step) } else { Rule::Once(step, io::ErrorKind::Other) });
        let _ends_as_it_may = work();
        self.machine.disk.set(Rule::Never);
    }

    /// The number of steps that change the disk.
    fn steps<T>(&self, work: impl FnOnce() -> Result<T>) -> u64 {
        self.machine.disk.set(Rule::Never);
        work().unwrap();
        self.machine.disk.count()
    }

    fn seen(&self) -> Seen {
        let (mut seen, mut todo) = (Seen::new(), vec![self.program.dir().to_owned()]);
        while let Some(path) = todo.pop() {
            let stat = fs::symlink_metadata(&path).unwrap();
            let content = if stat.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                // Its time changes with what is in it.
                seen.insert(path, (stat.ino(), stat.permissions().mode(), (0, 0), String::new()));
                continue;
            } else if stat.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                Content::from(fs::read(&path).unwrap()).sha256().to_owned()
            };
            seen.insert(path, (stat.ino(), stat.permissions().mode(), (stat.mtime(), stat.mtime_nsec()), content));
        }
        seen
    }

    /// Every file of the program is the one that it was.
    #[track_caller]
    fn assert_seen(&self, before: &Seen, when: &str) {
        let after = self.seen();
        let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let changed: Vec<_> = before.keys().chain(after.keys()).filter(differs).collect();
        assert!(changed.is_empty(), "{}, {when}: other than before: {changed:?}", self.program.app());
    }

    /// The program starts, shows its own model, and has its content.
    #[track_caller]
    fn assert_has_its_own(&self, when: &str) {
        let app = self.program.app();
        self.program.start();
        let models = self.program.list().unwrap_or_else(|error| panic!("{app} shows nothing, {when}: {error}"));
        assert!(models.contains(&self.own.0), "{app} lost its own model, {when}: {models:?}");
        assert!(fs::read(self.program.file(&self.own.0)).unwrap() == self.own.1.bytes(), "{app}, {when}");
    }

    /// The content is in the store, right and shown, and nothing is wrong there.
    #[track_caller]
    fn assert_ours(&self, content: &Content, shown: &str, when: &str) {
        let app = self.program.app();
        let blob = self.project.blob(content);
        assert!(blob.exists(), "{app}: the blob is gone, {when}");
        let manager = self.project.manager();
        // The mode was that of the program's file, which may be gone.
        for file in manager.verify(&[], CheckMode::Quick).unwrap() {
            assert!(matches!(file.state, VerifyState::Ok | VerifyState::Unverified), "{app}, {when}: {file:?}");
        }
        self.project.assert_promises();
        assert!(fs::read(&blob).unwrap() == content.bytes(), "{app}: the blob is another one, {when}");
        self.project.assert_shown(shown, content);
        let findings = manager.doctor(true).unwrap().findings;
        assert!(findings.is_empty(), "{app}, {when}: {findings:?}");
    }
}

#[test]
fn what_was_adopted_takes_no_room_and_survives_all_that_its_program_does() {
    for number in 0..count() {
        let desk = Desk::new(number);
        let (program, (own, content)) = (&desk.program, &desk.own);
        let app = program.app();
        let before = desk.seen();
        let apps = desk.project.manager().apps().unwrap();
        assert_eq!((apps.len(), apps[0].models.len(), apps[0].problems.len()), (1, 1, 0), "{app}: {apps:?}");
        let report = desk.adopt().unwrap();
        assert_eq!((report.problems.len(), report.totals.total_bytes, report.totals.copied_bytes), (0, 5000, 0), "{app}");
        desk.assert_seen(&before, "adopted");
        let model = &report.models[0];
        let shown = format!("{}/{}", model.view, model.files[0].file);
        let acts: [(&str, &dyn Fn()); 8] = [
            ("it starts", &|| program.start()),
            ("it lists", &|| drop(program.list().unwrap())),
            ("it loads", &|| assert!(fs::read(program.file(own)).unwrap() == content.bytes())),
            ("it makes another model of it", &|| program.reuse(own)),
            ("it fetches it once more", &|| drop(program.fetch("owl", content))),
            ("it removes it", &|| program.remove(own)),
            ("it starts without it", &|| program.start()),
            ("it fetches it anew", &|| drop(program.fetch("owl", content))),
        ];
        for (when, act) in acts {
            act();
            desk.assert_ours(content, &shown, when);
        }
        // What came anew is present: a second adoption finds the same content.
        desk.adopt().unwrap();
        fs::remove_dir_all(program.dir()).unwrap();
        desk.assert_ours(content, &shown, "all of it is gone");
        assert_eq!(desk.machine.requests(), 0, "{app}");
    }
}

#[test]
fn what_is_exposed_is_a_model_of_the_program_and_survives_all_that_it_does() {
    for number in 0..count() {
        let desk = Desk::new(number);
        desk.project.download("tiny:q4_k_m").unwrap();
        let (program, content, before) = (&desk.program, desk.machine.content(), desk.seen());
        let app = program.app();
        if !takes_exposures(app) {
            assert!(desk.expose().is_err(), "{app}");
            desk.assert_seen(&before, "refused");
            continue;
        }
        let name = desk.expose().unwrap();
        desk.assert_has_its_own("beside ours");
        assert!(program.list().unwrap().contains(&name), "{app} does not show {name}: {:?}", program.list());
        assert!(fs::read(program.file(&name)).unwrap() == content.bytes(), "{app}");
        desk.assert_ours(&content, SHOWN, "exposed");
        program.reuse(&name);
        desk.assert_ours(&content, SHOWN, "made another model of");
        desk.unexpose().unwrap();
        desk.assert_seen(&before, "taken back");
        // The program removes it by itself, and all it has.
        desk.expose().unwrap();
        program.remove(&name);
        desk.assert_has_its_own("after it removed ours");
        desk.assert_ours(&content, SHOWN, "removed by the program");
        desk.expose().unwrap();
        assert!(program.list().unwrap().contains(&name), "{app}");
        program.remove(&name);
        desk.unexpose().unwrap();
        desk.assert_seen(&before, "taken back after the program removed it");
        desk.expose().unwrap();
        fs::remove_dir_all(program.dir()).unwrap();
        desk.assert_ours(&content, SHOWN, "all of the program is gone");
    }
}

#[test]
fn what_the_program_fetches_over_an_exposure_is_its_own() {
    for number in (0..count()).filter(|number| takes_exposures(programs(Path::new(""))[*number].app())) {
        let desk = Desk::new(number);
        desk.project.download("tiny:q4_k_m").unwrap();
        let (program, content) = (&desk.program, desk.machine.content());
        let app = program.app();
        let theirs = program.fetch("same", &content);
        let before = desk.seen();
        desk.expose().unwrap();
        assert!(fs::read(program.file(&theirs)).unwrap() == content.bytes(), "{app}");
        desk.unexpose().unwrap();
        desk.assert_seen(&before, "fetched before it was exposed");
        desk.expose().unwrap();
        let later = program.fetch("later", &content);
        desk.unexpose().unwrap();
        program.start();
        assert!(fs::read(program.file(&later)).unwrap() == content.bytes(), "{app}: fetched after it was exposed");
        desk.assert_ours(&content, SHOWN, "fetched by the program too");
        desk.assert_has_its_own("fetched over ours");
    }
}

/// The steps that are tried, and whether the process ends there: every third, others for each program, or all in both ways.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the program")]
fn tried(number: usize, steps: u64) -> impl Iterator<Item = (u64, bool)> {
    let is_full = std::env::var("MODEL_MANAGER_SWEEP").is_ok_and(|how| how == "full");
    let at = move |step: u64| step + number as u64;
    let is_tried = move |(step, is_end): &(u64, bool)| is_full || (at(*step) % 3 == 0 && (at(*step) % 2 == 0) == *is_end);
    (1..=steps).flat_map(|step| [(step, false), (step, true)]).filter(is_tried)
}

#[test]
fn an_adoption_that_ends_at_any_step_harms_no_program() {
    for number in 0..count() {
        let desk = Desk::new(number);
        let app = desk.program.app();
        let before = desk.seen();
        let steps = desk.steps(|| desk.adopt());
        let view = desk.adopt().unwrap().models[0].view.to_string();
        let remove = || match desk.project.manager().remove(&Selector::new(&view).unwrap(), false, false) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => drop(other.unwrap()),
        };
        assert!(steps > 10, "{app}: {steps} steps");
        for (step, is_end) in tried(number, steps) {
            remove();
            desk.broken(step, is_end, || desk.adopt());
            let when = format!("after step {step} of {steps} of an adoption");
            desk.assert_seen(&before, &when);
            desk.project.assert_promises();
            desk.assert_has_its_own(&when);
            let again = desk.adopt().unwrap();
            assert_eq!((again.models.len(), again.problems.len()), (1, 0), "{app}, {when}: {:?}", again.problems);
            desk.assert_seen(&before, &format!("{when}, and once more"));
        }
    }
}

#[test]
fn an_exposure_that_ends_at_any_step_harms_no_program() {
    for number in (0..count()).filter(|number| takes_exposures(programs(Path::new(""))[*number].app())) {
        let desk = Desk::new(number);
        desk.project.download("tiny:q4_k_m").unwrap();
        let (app, before) = (desk.program.app(), desk.seen());
        let making = desk.steps(|| desk.expose());
        let made: Vec<PathBuf> = desk.seen().into_keys().collect();
        let undoing = desk.steps(|| desk.unexpose());
        assert!(making > 5 && undoing > 2, "{app}: {making} and {undoing} steps");
        for (step, is_end) in tried(number, making) {
            desk.broken(step, is_end, || desk.expose());
            let when = format!("after step {step} of {making} of an exposure");
            desk.project.assert_promises();
            desk.assert_has_its_own(&when);
            let name = desk.expose().unwrap_or_else(|error| panic!("{app}, {when}: {error}"));
            assert!(desk.program.list().unwrap().contains(&name), "{app}, {when}");
            assert_eq!(desk.seen().into_keys().collect::<Vec<_>>(), made, "{app}, {when}");
            desk.unexpose().unwrap();
            desk.assert_seen(&before, &format!("{when}, taken back"));
            // The next command may also be the other one.
            desk.broken(step, is_end, || desk.expose());
            desk.unexpose().unwrap();
            desk.assert_seen(&before, &format!("{when}, taken back at once"));
        }
        for (step, is_end) in tried(number, undoing) {
            desk.expose().unwrap();
            desk.broken(step, is_end, || desk.project.manager().unexpose(&[], None));
            let when = format!("after step {step} of {undoing} of taking back");
            desk.project.assert_promises();
            desk.assert_has_its_own(&when);
            desk.unexpose().unwrap_or_else(|error| panic!("{app}, {when}: {error}"));
            desk.assert_seen(&before, &when);
        }
        assert!(fs::read(desk.project.blob(&desk.machine.content())).unwrap() == desk.machine.content().bytes(), "{app}");
    }
}
