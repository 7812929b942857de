//! Sources that a program has of its own: a table in memory, whose bytes a server has.

use crate::{kit::*, support::hub::Content};
use model_manager::{
    ErrorKind, LinkMode, RelPath, Revision, SourceId,
    causes::SourceError,
    sources::{FileFacts, FileList, Location, Locator, Pinned, Source, Sources},
};
use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex},
};

const OWN_REPO: &str = "team/shelf";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Clones share the list of what was asked.
#[derive(Debug, Clone)]
struct InMemorySource {
    id: SourceId,
    commit: Option<Revision>,
    files: BTreeMap<RelPath, (FileFacts, String)>,
    asked: Arc<Mutex<Vec<&'static str>>>,
}

impl InMemorySource {
    /// The file of the machine's Hub, under another name.
    fn of(machine: &Machine, id: &str) -> Self {
        let content = machine.content();
        let path: RelPath = Q4.parse().unwrap();
        let mut facts = FileFacts::named(path.clone());
        (facts.size, facts.sha256) = (Some(content.len()), Some(content.sha256().parse().unwrap()));
        let address = format!("{}/{REPO}/resolve/{}/{Q4}", machine.hub.url(), machine.hub.commit(REPO));
        let commit = Some(COMMIT.parse().unwrap());
        Self { id: id.parse().unwrap(), commit, files: BTreeMap::from([(path, (facts, address))]), asked: Arc::default() }
    }

    fn note(&self, question: &'static str) {
        self.asked.lock().unwrap().push(question);
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Source for InMemorySource {
    fn pin<'a>(&'a self, id: &'a SourceId, _revision: Option<&'a Revision>) -> Answer<'a, Pinned> {
        self.note("pin");
        Box::pin(async move {
            match *id == self.id {
                true => Ok(Pinned::open(id.clone(), self.commit.clone())),
                false => Err(SourceError::Own { id: id.clone(), why: "it is not on the shelf".into() }),
            }
        })
    }

    fn list<'a>(&'a self, _pinned: &'a Pinned, _named: &'a [RelPath]) -> Answer<'a, FileList> {
        self.note("list");
        Box::pin(async move { Ok(FileList::new(self.files.values().map(|(facts, _)| facts.clone()).collect(), "memory")) })
    }

    fn locate(&self, _id: &SourceId, _at: Option<&Revision>, file: &RelPath, _version: Option<&str>) -> Vec<Locator> {
        self.note("locate");
        self.files.get(file).map(|(_, address)| Locator::Http(Location::plain(address.parse().unwrap()))).into_iter().collect()
    }
}

fn with_sources(project: &Project, sources: Sources) -> Project {
    Project { session: project.session.with_sources(sources), disk: project.disk.clone(), models: project.models.clone() }
}

#[test]
fn a_source_in_place_of_the_hub_is_asked_for_state_files_and_places() {
    let machine = Machine::new();
    let shelf = InMemorySource::of(&machine, OWN_REPO);
    let project = with_sources(&machine.project, Sources::new().for_repositories(shelf.clone()));
    project.download(OWN_REPO).unwrap();
    assert_eq!(shelf.asked(), ["pin", "list", "locate"]);
    let [shown] = project.shown().try_into().unwrap();
    project.assert_shown(&shown, &machine.content());
    project.assert_promises();
    // It is locked at the commit that the source gave, and made again from there.
    project.lock(&[OWN_REPO], false).unwrap();
    let lock = project.lock_text().unwrap();
    assert!(lock.contains(OWN_REPO) && lock.contains(COMMIT), "{lock}");
}

#[test]
fn what_a_source_does_not_have_is_refused_in_its_words() {
    let machine = Machine::new();
    let shelf = InMemorySource::of(&machine, OWN_REPO);
    let project = with_sources(&machine.project, Sources::new().for_repositories(shelf));
    let error = refused(project.download("team/other"), ErrorKind::Network);
    assert!(error.to_string().contains("team/other: it is not on the shelf"), "{error}");
    assert_eq!(machine.requests(), 0, "the Hub is not asked");
}

#[test]
fn bytes_that_are_not_what_the_source_says_are_refused() {
    let machine = Machine::new();
    let mut shelf = InMemorySource::of(&machine, OWN_REPO);
    for (facts, _) in shelf.files.values_mut() {
        facts.sha256 = Some(Content::synthetic(5000, 9).sha256().parse().unwrap());
    }
    let project = with_sources(&machine.project, Sources::new().for_repositories(shelf));
    assert!(project.download(OWN_REPO).is_err());
    assert!(project.shown().is_empty());
    project.assert_promises();
}

#[test]
fn a_source_that_leaves_out_what_records_need_is_refused() {
    let machine = Machine::new();
    let whole = InMemorySource::of(&machine, OWN_REPO);
    let refused_with = |shelf: InMemorySource, why: &str| {
        let project = with_sources(&machine.project, Sources::new().for_repositories(shelf));
        let error = refused(project.download(OWN_REPO), ErrorKind::Network);
        assert!(error.to_string().contains(why), "{error}");
        assert!(project.shown().is_empty());
    };
    refused_with(InMemorySource { commit: None, ..whole.clone() }, "no commit");
    refused_with(InMemorySource { commit: Some("main".parse().unwrap()), ..whole.clone() }, "no commit");
    let mut shelf = whole;
    shelf.files.values_mut().for_each(|(facts, _)| facts.size = None);
    refused_with(shelf, "no size");
}

/// A lock file with a view that a source of this scheme has.
fn locked_elsewhere(machine: &Machine) -> String {
    let (size, sha256) = (machine.content().len(), machine.content().sha256().to_owned());
    format!(
        "version: 1\nviews:\n  - model: \"elsewhere\"\n    format: \"gguf\"\n    quant: \"q4_k_m\"\n    source: \"file\"\n    \
         origin: \"shelf://one\"\n    gated: false\n    files:\n      - path: \"{Q4}\"\n        size: {size}\n        sha256: \"{sha256}\"\n"
    )
}

#[test]
fn a_lock_file_may_name_a_source_by_its_scheme() {
    let machine = Machine::new();
    let path = machine.project.session.settings().lock_file.clone();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lock = locked_elsewhere(&machine);
    std::fs::write(&path, &lock).unwrap();
    let error = refused(machine.project.sync(true), ErrorKind::Failed);
    assert!(error.to_string().contains("shelf://one"), "{error}");
    let shelf = InMemorySource::of(&machine, "shelf://one");
    let project = with_sources(&machine.project, Sources::new().for_scheme("shelf", shelf.clone()));
    // Other settings keep the source.
    let project = project.with(|settings| settings.link = LinkMode::Copy);
    project.sync(true).unwrap();
    assert_eq!(shelf.asked(), ["locate"], "all but the bytes is in the lock file");
    project.assert_shown(&format!("elsewhere/gguf/q4_k_m/{Q4}"), &machine.content());
    project.assert_promises();
    project.lock(&[], false).unwrap();
    assert!(project.lock_text().unwrap().ends_with(&lock), "it is kept as it is");
    let found = project.manager().why(&"elsewhere".parse().unwrap()).unwrap();
    assert!(format!("{:?}", found[0].sources).contains("shelf://one"), "{found:?}");
}
