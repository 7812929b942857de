use super::{
    super::borrow::{copies, tests::file},
    *,
};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

/// Answers all probes by what `equal` says of a tensor and a place; the copies, and how many probes there were.
fn run(plan: BorrowPlan, equal: impl Fn(&Probe, usize) -> bool) -> (Vec<Vec<Copy>>, usize) {
    let mut probes = Probes::new(plan);
    let mut asked = 0;
    loop {
        let batch = probes.next_batch();
        if batch.is_empty() {
            return (probes.finish(), asked);
        }
        asked += batch.len();
        for probe in batch {
            let answer: Vec<bool> = (0..probe.places.len()).map(|place| equal(&probe, probe.places[place].0)).collect();
            probes.answered(&probe, &answer);
        }
    }
}

/// A plan of so many tensors of 2 MiB, from so many files that have all of them.
fn plan(tensors: u64, sources: usize) -> BorrowPlan {
    let names: Vec<String> = (0..tensors).map(|at| format!("t{at}")).collect();
    let tensors: Vec<(&str, u32, u64)> = names.iter().map(|name| (name.as_str(), 0, 2 * MIB)).collect();
    let table = file(64, &tensors);
    copies(&[&table], &vec![&table; sources])
}

/// The number of the tensor that a probe is of.
fn of(probe: &Probe) -> u64 {
    (probe.at - 64) / (2 * MIB)
}

fn bytes(copies: &[Vec<Copy>]) -> u64 {
    copies.iter().flatten().map(|copy| copy.len).sum()
}

#[test]
fn after_sixteen_that_agree_one_probe_each_is_enough() {
    let (copies, asked) = run(plan(100, 1), |_, _| true);
    assert_eq!(copies[0], [Copy { at: 64, source: 0, source_at: 64, len: 200 * MIB, tensors: 100 }]);
    assert_eq!(asked, 100 + 2 * 16);
    let (_, few) = run(plan(5, 1), |_, _| true);
    assert_eq!(few, 15);
}

#[test]
fn what_was_made_anew_costs_eight_probes() {
    let (copies, asked) = run(plan(1000, 3), |_, _| false);
    assert_eq!((bytes(&copies), asked), (0, 8));
}

#[test]
fn a_tensor_that_differs_at_one_place_is_left_out() {
    let (copies, _) = run(plan(40, 1), |probe, _| of(probe) % 10 != 3 || (probe.at - 64) % (2 * MIB) < MIB + 9);
    assert_eq!(bytes(&copies), 36 * 2 * MIB);
    assert_eq!(copies[0].len(), 5);
}

#[test]
fn one_that_differs_late_takes_back_that_one_probe_was_enough() {
    let (copies, asked) = run(plan(40, 1), |probe, _| of(probe) != 39);
    assert_eq!((bytes(&copies), asked), (39 * 2 * MIB, 39 * 3 + 1));
}

#[test]
fn another_file_is_used_where_the_first_differs() {
    let (copies, _) = run(plan(20, 2), |probe, source| (source == 0) == (of(probe) < 12));
    assert_eq!(
        copies[0],
        [
            Copy { at: 64, source: 0, source_at: 64, len: 24 * MIB, tensors: 12 },
            Copy { at: 64 + 24 * MIB, source: 1, source_at: 64 + 24 * MIB, len: 16 * MIB, tensors: 8 },
        ]
    );
    // Two files that agree at different probes agree nowhere.
    let (copies, _) = run(plan(4, 2), |probe, source| ((probe.at - 64) % (2 * MIB) < MIB) == (source == 0));
    assert_eq!(bytes(&copies), 0);
}

#[test]
fn what_has_no_answer_is_not_taken_and_foreign_answers_count_for_nothing() {
    let mut probes = Probes::new(plan(4, 1));
    let batch = probes.next_batch();
    assert_eq!(batch.len(), 4);
    assert_eq!(probes.next_batch(), []);
    for _ in 0..5 {
        probes.answered(&batch[0], &[true]);
    }
    probes.answered(&batch[1], &[]);
    assert_eq!(probes.next_batch().len(), 1);
    assert_eq!(bytes(&probes.finish()), 0);
}

proptest! {
    #[test]
    fn it_ends_and_takes_only_what_agreed(
        differing in proptest::collection::btree_set((0..60_u64, 0..3_usize), 0..120),
        tensors in 0..60_u64,
    ) {
        let equal = |tensor: u64, source: usize| !differing.contains(&(tensor, source));
        let (copies, asked) = run(plan(tensors, 3), |probe, source| equal(of(probe), source));
        prop_assert!(asked as u64 <= tensors * 3);
        for copy in &copies[0] {
            let first = (copy.at - 64) / (2 * MIB);
            prop_assert!((first..first + copy.tensors as u64).all(|tensor| equal(tensor, copy.source)));
        }
    }
}
