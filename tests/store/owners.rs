//! Roots of other owners than views: what this version does not make, and must keep.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::{Sha256Digest, sha256_of},
    hint::Hint,
    store::{
        Blob, BlobRequest, CheckMode, IngestKey, PROJECT_FILE, Progress, Project, Root, RootOwner, Severity, StoreError,
        StoreFinding, Trust, UpstreamFile,
    },
};
use std::{fs, path::PathBuf};
use tokio_util::sync::CancellationToken;

const OWNERS: [&str; 4] = [
    r#"{"kind":"exposure","app":"ollama","id":"00000000-0000-4000-8000-000000000000"}"#,
    r#"{"kind":"remote","name":"team"}"#,
    r#"{"kind":"snapshot","of":[1.0]}"#,
    r#"{"kind":"exposure"}"#,
];

/// A project that has one root of another owner, and the blob that this one keeps.
fn rooted(home: &TestStore, owner: &str) -> (Project, PathBuf, Sha256Digest) {
    let blob = put(&home.store, &content(1, 5000)).unwrap();
    let project = Project::register(&home.store, &home.models()).unwrap();
    let check = sha256_of(format!("{} 5000 m.gguf\n", blob.digest).as_bytes());
    let text = format!(
        r#"{{"format":1,"owner":{owner},"more":1,"files":[{{"path":"m.gguf","sha256":"{}","size":5000}}],"check":"{check}"}}"#,
        blob.digest
    );
    let path = home.store.layout().project(project.uuid()).join("~owner~1.json");
    fs::write(&path, text).unwrap();
    (project, path, blob.digest)
}

fn examine(home: &TestStore) -> Vec<StoreFinding> {
    let token = CancellationToken::new();
    home.store.examine(false, Progress { bytes: &|_| {}, cancel: &token }).unwrap().list
}

#[test]
fn a_root_of_another_owner_keeps_its_blobs_and_is_shown() {
    for owner in OWNERS {
        let home = home();
        let (project, path, digest) = rooted(&home, owner);
        assert_eq!(collect_in(&home.store, days(30)).unwrap().removed, [], "{owner}");
        let users = home.store.users().unwrap();
        assert!(matches!(users[&digest][..], [(uuid, ref by)] if uuid == *project.uuid() && by.view().is_none()), "{owner}");
        assert_eq!(project.roots().unwrap(), [], "it is no view");
        let roots: Vec<Root> = home.store.all_roots_of(project.uuid()).unwrap();
        let is_unknown = matches!(roots[0].owner, RootOwner::Unknown(_));
        let findings = examine(&home);
        let notes = findings.iter().filter(|finding| finding.path == path && finding.severity == Severity::Leftover);
        assert_eq!(notes.count(), usize::from(is_unknown), "{findings:?}");
        home.sound(Expect::Unfinished);
    }
}

#[test]
fn a_root_of_another_owner_is_neither_forgotten_nor_replaced_nor_removed() {
    for owner in OWNERS {
        let home = home();
        let (project, path, digest) = rooted(&home, owner);
        let text = fs::read(&path).unwrap();
        let of_view = home.store.layout().project(project.uuid()).join(view("a").record_name());
        fs::rename(&path, &of_view).unwrap();
        let files = files_of(&Blob { digest, size: 5000 });
        let refused = [
            project.put_root(&view("a"), &files).unwrap_err(),
            project.remove_root(&view("a")).unwrap_err(),
            project.root(&view("a")).unwrap_err(),
            home.store.forget(project.uuid()).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, StoreError::OtherOwner { .. })), "{refused:?}");
        assert_eq!(fs::read(&of_view).unwrap(), text, "{owner}");
        assert!(home.store.project_record(project.uuid()).unwrap().is_some(), "nothing was forgotten");
    }
}

#[test]
fn a_copied_project_gets_the_roots_of_unknown_owners_as_they_stand_and_none_of_an_exposure_or_a_remote() {
    for owner in OWNERS {
        let home = home();
        let (here, there) = (home.path("here"), home.path("there"));
        fs::create_dir(&here).unwrap();
        let original = Project::register(&home.store, &here).unwrap();
        let (project, path, digest) = rooted(&home, owner);
        original.put_root(&view("a"), &files_of(&Blob { digest, size: 5000 })).unwrap();
        let text = fs::read(&path).unwrap();
        let of_original = home.store.layout().project(original.uuid()).join("~owner~1.json");
        fs::rename(&path, &of_original).unwrap();
        drop(project);
        fs::create_dir(&there).unwrap();
        fs::copy(here.join(PROJECT_FILE), there.join(PROJECT_FILE)).unwrap();
        let copy = Project::register(&home.store, &there).unwrap();
        assert_ne!(copy.uuid(), original.uuid());
        assert!(copy.root(&view("a")).unwrap().is_some(), "{owner}");
        let of_copy = fs::read(home.store.layout().project(copy.uuid()).join("~owner~1.json")).ok();
        let is_known = OWNERS[..2].contains(&owner);
        assert_eq!(of_copy, Some(text.clone()).filter(|_| !is_known), "{owner}");
        assert_eq!(fs::read(of_original).unwrap(), text, "the original keeps its own");
    }
}

#[test]
fn a_root_of_a_later_version_is_neither_forgotten_nor_replaced_nor_removed() {
    let home = home();
    let files = files_of(&put(&home.store, &content(1, 5000)).unwrap());
    let project = Project::register(&home.store, &home.models()).unwrap();
    project.put_root(&view("a"), &files).unwrap();
    let path = home.store.layout().root_record(project.uuid(), &view("a"));
    let known = fs::read_to_string(&path).unwrap();
    let later = known.replacen("\"format\": 1", "\"format\": 2", 1);
    assert_ne!(later, known);
    for text in [later.as_str(), r#"{"format":2,"blobs":[]}"#] {
        fs::write(&path, text).unwrap();
        let refused = [
            project.put_root(&view("a"), &files).unwrap_err(),
            project.remove_root(&view("a")).unwrap_err(),
            home.store.forget(project.uuid()).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, StoreError::TooNew { .. })), "{refused:?}");
        assert!(refused[0].to_string().contains(path.to_str().unwrap()), "{}", refused[0]);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(home.store.project_record(project.uuid()).unwrap().is_some(), "nothing was forgotten");
    }
    fs::write(&path, &later[..40]).unwrap();
    project.put_root(&view("a"), &files).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), known, "a record that is merely corrupt is replaced");
}

#[test]
fn a_missing_blob_of_another_owner_is_found_with_the_question_who_needs_it() {
    for owner in OWNERS {
        let home = home();
        let (_, path, digest) = rooted(&home, owner);
        fs::remove_file(home.store.layout().blob(&digest)).unwrap();
        let losses = examine(&home).into_iter().filter(|finding| finding.path == path && finding.severity == Severity::Loss);
        let repairs: Vec<Hint> = losses.flat_map(|finding| finding.repair).collect();
        assert_eq!(repairs, [Hint::ShowUsers(digest.to_string())], "{owner}");
    }
}

#[test]
fn what_a_record_says_in_words_of_a_later_version_survives_a_check_and_another_download() {
    let home = home();
    let data = content(1, 5000);
    let blob = put(&home.store, &data).unwrap();
    let path = home.store.layout().meta(&blob.digest);
    let entry = r#"{"kind":"peer",  "at":1.0e2}"#;
    let text = fs::read_to_string(&path).unwrap().replace("sha256-upstream", "signed-by-owner");
    let (before, after) = text.split_once("\"sources\": [").unwrap();
    fs::write(&path, format!("{before}\"sources\": [{entry},{after}")).unwrap();
    assert_eq!(home.store.meta(&blob.digest).unwrap().unwrap().trust.as_str(), "signed-by-owner");
    let token = CancellationToken::new();
    home.store.check(&blob.digest, CheckMode::Rehash, Progress { bytes: &|_| {}, cancel: &token }).unwrap();
    home.store.add_source(&blob.digest, UpstreamFile { repo: Some("a/second".into()), ..source() }, Trust::Tofu).unwrap();
    fs::remove_file(home.store.layout().blob(&blob.digest)).unwrap();
    // Of the second download no hash was published.
    let request = BlobRequest { key: IngestKey::private(), trust: Trust::Tofu, ..request(&data) };
    let writer = open(home.store.begin_ingest(request, &lease(&home.store), &quick()).unwrap());
    fill(&writer, &data).unwrap();
    writer.commit(None, UpstreamFile { repo: Some("a/third".into()), ..source() }).unwrap();
    let now = fs::read_to_string(&path).unwrap();
    assert!(now.contains(entry) && now.contains("signed-by-owner"), "{now}");
    let places = [entry, "a/second", "a/third"].map(|source| now.find(source));
    assert!(places[0].is_some() && places.is_sorted(), "what was recorded first stays first: {now}");
}
