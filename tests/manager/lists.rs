//! What a list reads: only what is wanted of it.

use crate::kit::*;
use model_manager::{ListDetails, ListOrder, ListQuery, reports::ListedModel};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Records of blobs that are read from now on.
fn records_read(machine: &Machine) -> Arc<AtomicUsize> {
    let read = Arc::new(AtomicUsize::new(0));
    let (count, records) = (read.clone(), machine.project.store().join("meta"));
    machine.disk.on_read(move |path| {
        count.fetch_add(usize::from(path.starts_with(&records)), Ordering::Relaxed);
    });
    read
}

fn only(mut models: Vec<ListedModel>) -> ListedModel {
    assert_eq!(models.len(), 1);
    models.remove(0)
}

#[test]
fn a_list_without_details_reads_no_record_of_a_blob() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    let read = records_read(&machine);
    let list = |details| machine.project.manager().list_of(&ListQuery::default(), |_| details).unwrap().models;
    let bare = only(list(ListDetails::NONE));
    assert_eq!((bare.verified_at, bare.source, read.load(Ordering::Relaxed)), (None, None, 0));
    let whole = only(list(ListDetails::ALL));
    assert_eq!((whole.source.as_deref(), read.load(Ordering::Relaxed)), (Some(REPO), 1));
    assert!(whole.verified_at.is_some());
    assert_eq!((whole.state, whole.total_bytes, whole.path), (bare.state, bare.total_bytes, bare.path));
}

#[test]
fn details_are_read_only_of_models_that_fit() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    machine.project.download("tiny:q8_0").unwrap();
    let read = records_read(&machine);
    let mut query = ListQuery::default();
    query.filter = model_manager::ListFilter::new(["q8"]);
    let list = machine.project.manager().list_of(&query, |_| ListDetails::ALL).unwrap();
    assert_eq!((only(list.models).quant.as_deref(), read.load(Ordering::Relaxed)), (Some("q8_0"), 1));
}

#[test]
fn an_order_by_use_knows_when_each_was_used_whatever_is_shown() {
    let machine = Machine::new();
    machine.project.download("tiny:q4_k_m").unwrap();
    let mut query = ListQuery::default();
    query.order = ListOrder::Used;
    let used = |details| only(machine.project.manager().list_of(&query, |_| details).unwrap().models).used_at;
    assert_eq!(used(ListDetails::NONE), used(ListDetails::ALL));
}
