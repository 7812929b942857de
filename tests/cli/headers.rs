//! Headers of weights: a wrong file is refused before it travels whole, and `info` tells what a present file says.

use crate::kit::{Desk, FILE, MIB, REPO};
use crate::support::gguf::Spec;
use crate::support::hub::Content;
use model_manager::{
    digest::sha256_of,
    disk::RealDisk,
    store::{Admission, IntakeKey, Store, Wait, Want},
};
use std::sync::Arc;

/// A GGUF of some MiB that lost its end.
fn cut(mib: u64) -> Content {
    let mut bytes = Spec::mib(mib).bytes();
    bytes.truncate(bytes.len() - 4096);
    bytes.into()
}

#[test]
fn a_gguf_whose_tensors_do_not_fit_is_refused_after_its_first_bytes() {
    let desk = Desk::of(cut(64));
    let output = desk.run("download tiny --quant q4_k_m").code(4);
    let output = output.says(&format!("{FILE} is a damaged GGUF file: tensor `")).says("Nothing of it was kept");
    assert!(desk.hub.count().content_bytes() < 48 * MIB, "it travelled almost whole: {output}");
    desk.assert_nothing_published();
    assert_eq!(desk.partials(), Vec::<String>::new(), "the partial is gone");
    desk.assert_tidy();
}

#[test]
fn a_part_of_a_wrong_file_from_before_is_refused_when_it_is_read_back() {
    let desk = Desk::of(cut(8));
    let bytes = desk.content().bytes();
    let store = Store::open_or_init(Arc::new(RealDisk), &desk.store(), false).unwrap();
    let lease = Arc::new(store.lease().unwrap());
    let want = Want { key: IntakeKey::Sha256(sha256_of(&bytes)), size: bytes.len() as u64, what: FILE.into() };
    let Admission::Open(intake) = store.admit(want, &lease, &Wait::silent(None)).unwrap() else { panic!("it is there") };
    for index in 0..4 {
        let range = intake.range(index);
        intake.write(index, &bytes[range.start as usize..range.end as usize]).unwrap();
    }
    drop((intake, lease));
    assert_eq!(desk.partials().len(), 1);

    desk.run("download tiny --quant q4_k_m").code(4).says("is a damaged GGUF file");
    assert!(desk.hub.count().content_bytes() <= bytes.len() as u64 - 4 * MIB, "it went on from the part");
    assert_eq!(desk.partials(), Vec::<String>::new());
    desk.assert_tidy();
}

#[test]
fn what_stands_in_the_place_of_weights_is_named() {
    for (name, text, kind) in [
        ("a.Q4_K_M.gguf", "<!doctype html><title>Sign in</title>".to_owned(), "an HTML page"),
        ("b.Q4_K_M.gguf", "{\"error\":\"not now\"}".to_owned(), "a JSON document"),
        ("c.Q4_K_M.gguf", Content::synthetic(5, 1).lfs_pointer(), "a Git LFS pointer"),
    ] {
        let desk = Desk::empty();
        desk.hub.repo("o/r").plain(name, text.into_bytes()).commit();
        let output = desk.run("download o/r:Q4_K_M").code(4);
        output.says(&format!("{name} is not a GGUF file: it begins like {kind}"));
        desk.assert_nothing_published();
        desk.assert_tidy();
    }
}

#[test]
fn a_good_model_and_bytes_without_a_magic_pass() {
    let desk = Desk::of(Spec::mib(3).bytes());
    let output = desk.run("download tiny").ok();
    desk.assert_right(&output);
    assert_eq!(desk.hub.content(REPO, FILE).len(), desk.content().len());
    let random = Desk::new();
    random.assert_right(&random.run("download tiny").ok());
}
