//! Who vouches for a blob: recorded from what was published before it came, and never made more of.

use crate::{fsck::Expect, kit::*};
use model_manager::{
    digest::{GitSha1, SequentialHasher, sha256_of},
    disk::RealDisk,
    store::{Blob, BlobRequest, CheckMode, ImportMode, IngestKey, Progress, Store, Trust, UpstreamFile},
};
use std::{fs, sync::Arc};
use tokio_util::sync::CancellationToken;

fn from(repo: &str) -> UpstreamFile {
    UpstreamFile { repo: Some(repo.into()), ..source() }
}

/// What is recorded of a blob: which published hash confirms it, and the repositories that it came from.
fn recorded(store: &Store, blob: &Blob) -> (Trust, Vec<String>) {
    let meta = store.meta(&blob.digest).unwrap().unwrap();
    (meta.trust, meta.sources.into_iter().filter_map(|source| source.upstream()?.repo.clone()).collect())
}

fn git_sha1_of(data: &[u8]) -> GitSha1 {
    let mut hasher = SequentialHasher::new(data.len() as u64, true);
    hasher.update(data);
    hasher.finish().1.unwrap()
}

/// Puts bytes that come from a repository which published as much as `trust` says.
fn put_from(store: &Store, data: &[u8], key: IngestKey, trust: Trust, repo: &str, again: bool) -> Blob {
    let request = BlobRequest { key, trust, ..request(data) };
    let lease = lease(store);
    let admitted =
        if again { store.begin_replace(request, &lease, &quick()) } else { store.begin_ingest(request, &lease, &quick()) };
    let writer = open(admitted.unwrap());
    fill(&writer, data).unwrap();
    writer.commit(None, from(repo)).unwrap()
}

#[test]
fn a_key_that_nobody_published_vouches_for_nothing() {
    let data = content(1, 5000);
    let home = home();
    let blob = put_from(&home.store, &data, IngestKey::Sha256(sha256_of(&data)), Trust::Tofu, "a/lock", false);
    assert_eq!(recorded(&home.store, &blob).0, Trust::Tofu);
    // Nor does more than the key count.
    let data = content(2, 5000);
    let blob = put_from(&home.store, &data, IngestKey::private(), Trust::Sha256Upstream, "a/b", false);
    assert_eq!(recorded(&home.store, &blob).0, Trust::Tofu);
    home.sound(Expect::Tidy);
}

#[test]
fn what_is_fetched_again_keeps_its_sources_and_who_vouches_for_it() {
    for before in [Trust::Tofu, Trust::GitSha1Upstream, Trust::Sha256Upstream] {
        let home = home();
        let data = content(1, 5000);
        let key = IngestKey::Sha256(sha256_of(&data));
        let blob = put_from(&home.store, &data, key, before, "a/first", false);
        put_from(&home.store, &data, key, Trust::Tofu, "a/second", true);
        assert_eq!(recorded(&home.store, &blob), (before, vec!["a/first".into(), "a/second".into()]));
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_repair_changes_nothing_of_who_vouches_for_a_blob() {
    for before in [Trust::Tofu, Trust::Sha256Upstream] {
        let home = home();
        let data = content(1, 3 << 20);
        let blob = put_from(&home.store, &data, IngestKey::Sha256(sha256_of(&data)), before, "a/first", false);
        home.store.add_source(&blob.digest, from("a/second"), Trust::Tofu).unwrap();
        let path = home.store.layout().blob(&blob.digest);
        let mut damaged = data.clone();
        damaged[2_000_000] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, damaged).unwrap();
        let token = CancellationToken::new();
        let progress = Progress { bytes: &|_| {}, cancel: &token };
        let writer = home.store.begin_repair(&blob.digest, blob.size, &path, &lease(&home.store), &quick(), progress).unwrap();
        fill(&writer, &data).unwrap();
        writer.commit(None, from("a/second")).unwrap();
        drop(writer);
        assert_eq!(recorded(&home.store, &blob), (before, vec!["a/first".into(), "a/second".into()]));
        home.sound(Expect::Tidy);
    }
}

#[test]
fn a_published_hash_that_was_compared_vouches_for_what_came_without_one() {
    let home = home();
    let data = content(1, 5000);
    let blob = put_from(&home.store, &data, IngestKey::private(), Trust::Tofu, "a/silent", false);
    assert_eq!(recorded(&home.store, &blob).0, Trust::Tofu);
    // Fetched under another key, it is found to be the same.
    put_from(&home.store, &data, IngestKey::Git(git_sha1_of(&data)), Trust::GitSha1Upstream, "a/git", false);
    assert_eq!(recorded(&home.store, &blob).0, Trust::GitSha1Upstream);
    home.store.add_source(&blob.digest, from("a/loud"), Trust::Sha256Upstream).unwrap();
    // And a source that publishes nothing takes none of it back.
    home.store.add_source(&blob.digest, from("a/mute"), Trust::Tofu).unwrap();
    put_from(&home.store, &data, IngestKey::private(), Trust::Tofu, "a/silent", false);
    let repos = ["a/silent", "a/git", "a/loud", "a/mute"].map(String::from).to_vec();
    assert_eq!(recorded(&home.store, &blob), (Trust::Sha256Upstream, repos));
    home.sound(Expect::Tidy);
}

#[test]
fn a_file_that_is_imported_is_vouched_for_by_a_published_hash_only() {
    let home = home();
    let path = home.path("file");
    let take = |expected| {
        fs::write(&path, b"bytes").unwrap();
        let token = CancellationToken::new();
        home.store.import(&path, ImportMode::Copy, expected, &lease(&home.store), &|_| {}, &token).unwrap()
    };
    let digest = sha256_of(b"bytes");
    for (expected, trust) in [
        (None, Trust::Tofu),
        (Some((digest, Trust::Tofu)), Trust::Tofu),
        (Some((digest, Trust::Sha256Upstream)), Trust::Sha256Upstream),
        (None, Trust::Sha256Upstream),
    ] {
        let blob = take(expected);
        assert_eq!(recorded(&home.store, &blob).0, trust, "{expected:?}");
    }
}

#[test]
fn checking_a_blob_proves_nothing_about_who_vouches_for_it() {
    let home = home();
    let data = content(1, 5000);
    let blob = put_from(&home.store, &data, IngestKey::private(), Trust::Tofu, "a/silent", false);
    let token = CancellationToken::new();
    for mode in [CheckMode::Quick, CheckMode::Full, CheckMode::Rehash] {
        home.store.check(&blob.digest, mode, Progress { bytes: &|_| {}, cancel: &token }).unwrap();
        assert_eq!(recorded(&home.store, &blob), (Trust::Tofu, vec!["a/silent".into()]));
    }
}

#[test]
fn no_source_is_lost_that_is_noted_at_the_same_time_as_another() {
    let home = home();
    let data = content(1, 5000);
    let blob = put(&home.store, &data).unwrap();
    let mut expected: Vec<String> = recorded(&home.store, &blob).1;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (root, data, digest) = (home.root(), &data, blob.digest);
            scope.spawn(move || {
                // Each opens the store itself, as processes do: locks are of open files.
                let store = Store::open(Arc::new(RealDisk), &root).unwrap();
                let token = CancellationToken::new();
                for round in 0..8 {
                    let repo = format!("a/{thread}-{round}");
                    match thread {
                        0 => drop(put_from(&store, data, IngestKey::private(), Trust::Tofu, &repo, false)),
                        1 => drop(put_from(&store, data, IngestKey::Sha256(digest), Trust::Tofu, &repo, true)),
                        _ => store.add_source(&digest, from(&repo), Trust::Tofu).unwrap(),
                    }
                    store.check(&digest, CheckMode::Rehash, Progress { bytes: &|_| {}, cancel: &token }).unwrap();
                }
            });
        }
    });
    let (trust, mut repos) = recorded(&home.store, &blob);
    expected.extend((0..4).flat_map(|thread| (0..8).map(move |round| format!("a/{thread}-{round}"))));
    repos.sort();
    expected.sort();
    assert_eq!((trust, repos), (Trust::Sha256Upstream, expected));
    home.sound(Expect::Tidy);
}
