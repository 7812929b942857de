use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// A tensor of a type without a name, at a place.
pub(crate) fn tensor(name: &str, kind: u32, offset: u64, len: u64) -> Tensor {
    Tensor { name: name.into(), kind: TensorKind::Gguf(kind), shape: [len].into(), offset, len }
}

/// A file of tensors that follow each other behind a header of so many bytes, each begun at a multiple of 32.
pub(crate) fn file(header_len: u64, tensors: &[(&str, u32, u64)]) -> TensorTable {
    let mut end = header_len;
    let mut all = Vec::new();
    for (name, kind, len) in tensors {
        all.push(tensor(name, *kind, end, *len));
        end = (end + len).next_multiple_of(32);
    }
    TensorTable { tensors: all, header_len, file_len: end }
}

/// All that may be the same, taken.
fn all_copies(plan: &BorrowPlan) -> Vec<Vec<Copy>> {
    let mut copies = vec![Vec::new(); plan.files];
    for found in &plan.matches {
        copies[found.file].extend(found.best(|_| true).map(|place| found.copy(place)));
    }
    copies.into_iter().map(joined).collect()
}

/// What a model of forty blocks has: an embedding, and in each block two large tensors and a small one.
fn model(kind_of_ffn: impl Fn(usize) -> u32) -> Vec<(String, u32, u64)> {
    let mut tensors = vec![("token_embd.weight".to_owned(), 12, 300 * MIB)];
    for block in 0..40 {
        tensors.push((format!("blk.{block}.attn_norm.weight"), 0, 16 << 10));
        tensors.push((format!("blk.{block}.attn_q.weight"), 12, 9 * MIB + 17));
        tensors.push((
            format!("blk.{block}.ffn_down.weight"),
            kind_of_ffn(block),
            if kind_of_ffn(block) == 12 { 31 } else { 46 } * MIB,
        ));
    }
    tensors
}

fn table(header_len: u64, tensors: &[(String, u32, u64)]) -> TensorTable {
    let tensors: Vec<_> = tensors.iter().map(|(name, kind, len)| (name.as_str(), *kind, *len)).collect();
    file(header_len, &tensors)
}

/// The thousandth part of the wanted bytes that may be here.
fn share(wanted: &[&TensorTable], held: &[&TensorTable]) -> u64 {
    let plan = copies(wanted, held);
    plan.bytes() * 1000 / plan.size
}

#[test]
fn a_longer_header_moves_all_tensors_and_changes_none() {
    let model = model(|_| 12);
    let (old, new) = (table(5 * MIB, &model), table(5 * MIB + 5024, &model));
    assert!(share(&[&new], &[&old]) >= 990, "{}", share(&[&new], &[&old]));
    let copies = all_copies(&copies(&[&new], &[&old]));
    // What is between the small tensors is joined.
    assert_eq!(copies[0].len(), 41);
    assert!(copies[0].iter().all(|copy| copy.at - copy.source_at == 5024));
    assert_eq!(copies[0].iter().map(|copy| copy.tensors).sum::<usize>(), 81);
}

#[test]
fn what_was_split_is_found_whole_and_what_was_whole_is_found_in_its_parts() {
    let model = model(|_| 12);
    let whole = table(5 * MIB, &model);
    let parts: Vec<TensorTable> = model.chunks(25).map(|tensors| table(96, tensors)).collect();
    let parts: Vec<&TensorTable> = parts.iter().collect();
    assert!(share(&[&whole], &parts) >= 990);
    assert!(share(&parts, &[&whole]) >= 995);
    // Shards of other sizes are the same case, and so is another order.
    let others: Vec<TensorTable> = model.rchunks(33).map(|tensors| table(1 << 12, tensors)).collect();
    assert!(share(&others.iter().collect::<Vec<_>>(), &parts) >= 995);
    let mut reordered = model.clone();
    reordered.reverse();
    assert!(share(&[&table(5 * MIB, &reordered)], &[&whole]) >= 990);
}

#[test]
fn of_a_quantization_that_differs_in_some_tensors_the_others_are_found() {
    let (small, medium) = (table(MIB, &model(|_| 12)), table(MIB, &model(|block| if block % 4 == 0 { 14 } else { 12 })));
    let share = share(&[&medium], &[&small]);
    assert!((750..800).contains(&share), "{share}");
    assert_eq!(copies(&[&medium], &[&small]).matches.len(), 71);
}

#[test]
fn names_types_shapes_and_kinds_of_files_must_be_equal() {
    let held = file(64, &[("a", 12, 9 * MIB)]);
    let finds = |change: fn(&mut Tensor)| {
        let mut wanted = held.clone();
        change(&mut wanted.tensors[0]);
        !copies(&[&wanted], &[&held]).matches.is_empty()
    };
    assert!(finds(|_| ()));
    assert!(!finds(|tensor| tensor.name = "b".into()));
    assert!(!finds(|tensor| tensor.kind = TensorKind::Gguf(13)));
    assert!(!finds(|tensor| tensor.kind = TensorKind::Safetensors("12".into())));
    assert!(!finds(|tensor| tensor.shape = [3, 3 * MIB].into()));
    assert!(!finds(|tensor| tensor.len -= 32));
}

#[test]
fn sizes_are_judged_over_the_set_and_a_tenth_of_it_must_be_there() {
    let shards = [file(64, &[("a", 0, 5 * MIB)]), file(64, &[("b", 0, 5 * MIB)])];
    assert!(copies(&[&shards[0], &shards[1]], &[&shards[0]]).is_worthwhile());
    assert!(!copies(&[&shards[0]], &[&shards[0]]).is_worthwhile());
    let large = file(64, &[("a", 0, 5 * MIB), ("c", 0, 60 * MIB)]);
    assert!(!copies(&[&large], &[&shards[0]]).is_worthwhile());
    assert_eq!(copies(&[&shards[0], &shards[1]], &[]).bytes_by_source(0), Vec::<u64>::new());
    assert_eq!(copies(&[&large], &[&shards[1], &shards[0]]).bytes_by_source(2), [0, 5 * MIB]);
}

#[test]
fn padding_is_taken_where_both_files_have_as_much_of_it() {
    let wanted = file(64, &[("a", 0, 9 * MIB + 1), ("b", 0, 9 * MIB)]);
    assert_eq!(copies(&[&wanted], &[&wanted]).bytes(), 18 * MIB + 32);
    let alone = TensorTable { tensors: vec![tensor("a", 0, 64, 9 * MIB + 1)], header_len: 64, file_len: 9 * MIB + 65 };
    assert_eq!(copies(&[&wanted], &[&alone]).bytes(), 9 * MIB + 1);
    // A place with the same padding is preferred to an earlier one.
    let plan = copies(&[&wanted], &[&alone, &wanted]);
    assert_eq!(all_copies(&plan)[0], [Copy { at: 64, source: 1, source_at: 64, len: 18 * MIB + 32, tensors: 2 }]);
    // A hole between tensors is no padding.
    let mut hole = wanted.clone();
    hole.tensors[1].offset += MIB;
    hole.file_len += MIB;
    assert_eq!(copies(&[&hole], &[&hole]).bytes(), 18 * MIB + 1);
}

#[test]
fn what_is_ambiguous_overlaps_or_leaves_its_file_is_left_out() {
    let held = file(64, &[("a", 0, 9 * MIB), ("b", 0, 9 * MIB)]);
    let twice = file(64, &[("a", 0, 9 * MIB), ("a", 0, 9 * MIB), ("b", 0, 9 * MIB)]);
    assert_eq!(copies(&[&twice], &[&held]).matches.len(), 1);
    assert_eq!(copies(&[&held], &[&twice]).matches.len(), 1);
    let mut overlapping = held.clone();
    overlapping.tensors[1].offset -= 1;
    assert_eq!(copies(&[&overlapping], &[&held]), BorrowPlan { files: 1, matches: vec![], size: held.file_len });
    for (offset, len) in [(u64::MAX, 1), (1, u64::MAX), (0, 9 * MIB), (64, u64::MAX - 64)] {
        let mut outside = held.clone();
        (outside.tensors[0].offset, outside.tensors[0].len) = (offset, len);
        assert_eq!(copies(&[&outside], &[&held]).matches, []);
        assert_eq!(copies(&[&held], &[&outside]).matches, []);
    }
}

#[test]
fn a_hundred_thousand_tensors_of_one_name_cost_no_more_than_others() {
    let same: Vec<Tensor> = (0..100_000).map(|at| tensor("a", 0, 64 + at * MIB, MIB)).collect();
    let table = TensorTable { tensors: same, header_len: 64, file_len: 64 + 100_000 * MIB };
    assert_eq!(copies(&[&table, &table], &[&table; 8]).matches, []);
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0..12_u64).prop_map(|n| n * MIB + 64),
        2 => 0..(4 * MIB),
        1 => Just(u64::MAX),
        1 => any::<u64>(),
    ]
}

fn any_table() -> impl Strategy<Value = TensorTable> {
    let tensor = (0..4_u8, 0..2_u32, any_number(), prop_oneof![4 => Just(MIB), 2 => Just(3 * MIB), 1 => any_number()]);
    let sound = proptest::collection::vec((0..6_u8, 0..2_u32, MIB..(2 * MIB)), 0..8).prop_map(|tensors| {
        let names: Vec<_> = tensors.iter().map(|(name, kind, len)| (name.to_string(), *kind, len / MIB * MIB + len % 3)).collect();
        table(64, &names)
    });
    let odd = (proptest::collection::vec(tensor, 0..8), any_number(), any_number()).prop_map(|(tensors, header_len, file_len)| {
        let tensors =
            tensors.into_iter().map(|(name, kind, offset, len)| super::tests::tensor(&name.to_string(), kind, offset, len));
        TensorTable { tensors: tensors.collect(), header_len, file_len }
    });
    prop_oneof![2 => sound, 1 => odd]
}

/// The tensor of a table that a range begins with.
fn begins(table: &TensorTable, at: u64) -> Vec<&Tensor> {
    table.tensors.iter().filter(|tensor| tensor.offset == at && tensor.len > 0).collect()
}

proptest! {
    #[test]
    fn copies_are_inside_both_files_share_no_byte_and_are_of_equal_tensors(
        wanted in proptest::collection::vec(any_table(), 1..4),
        held in proptest::collection::vec(any_table(), 0..4),
    ) {
        let (wanted, held): (Vec<_>, Vec<_>) = (wanted.iter().collect(), held.iter().collect());
        let plan = copies(&wanted, &held);
        for found in &plan.matches {
            for place in &found.places {
                let (this, that) = (begins(wanted[found.file], found.at), begins(held[place.source], place.at));
                prop_assert!(this.iter().any(|this| that.iter().any(|that| Key::of(this) == Key::of(that))));
            }
        }
        for (file, copies) in all_copies(&plan).iter().enumerate() {
            let mut end = wanted[file].header_len;
            for copy in copies {
                prop_assert!(copy.at >= end && copy.len > 0);
                end = copy.at.checked_add(copy.len).unwrap();
                prop_assert!(copy.source_at >= held[copy.source].header_len);
                prop_assert!(copy.source_at.checked_add(copy.len).unwrap() <= held[copy.source].file_len);
            }
            prop_assert!(copies.is_empty() || end <= wanted[file].file_len);
        }
        let turned: Vec<_> = held.iter().rev().copied().collect();
        prop_assert_eq!(copies_bytes(&copies(&wanted, &turned)), copies_bytes(&plan));
    }
}

/// Bytes that are covered, for each wanted file.
fn copies_bytes(plan: &BorrowPlan) -> Vec<u64> {
    all_copies(plan).iter().map(|copies| copies.iter().map(|copy| copy.len).sum()).collect()
}
