use super::*;
use proptest::prelude::*;

const MIB: u64 = SEGMENT_LEN;

fn local(at: u64, len: u64, source: usize, source_at: u64) -> LocalRange {
    LocalRange { at, len, source, source_at }
}

fn none() -> Part {
    Part { at: 0, end: 0, from: From::Prefix }
}

/// A file of `size` bytes and sources of 64 MiB.
fn borrowing(ranges: &[LocalRange], prefix: Part, size: u64) -> Borrowing {
    let parts = parts(ranges, |source| (source < 4).then_some(64 * MIB), prefix, size);
    let none: Arc<[Lender]> = Arc::new([]);
    Borrowing { parts, ..Borrowing::new(Borrow { sources: none, ..Borrow::default() }, size, &[]) }
}

/// What a connection asks for, from the first byte to the last.
fn requests(borrowing: &Borrowing, size: u64) -> Vec<(u64, u64)> {
    let (mut at, mut asked) = (0, Vec::new());
    while at < size {
        match borrowing.part_at(at) {
            Some(part) => at = part.end.min((at / MIB + 1) * MIB),
            None => {
                let end = borrowing.fetch_end(at, size);
                asked.push((at, end));
                at = end;
            }
        }
    }
    asked
}

#[test]
fn what_is_between_borrowed_ranges_costs_its_own_bytes() {
    let small = 4096;
    let ranges = [local(100_000, 3 * MIB, 0, 7), local(100_000 + 3 * MIB + small, 2 * MIB, 1, 0)];
    let size = 100_000 + 5 * MIB + small;
    let borrowing = borrowing(&ranges, none(), size);
    assert_eq!(requests(&borrowing, size), [(0, 100_000), (100_000 + 3 * MIB, 100_000 + 3 * MIB + small)]);
}

#[test]
fn fetched_ranges_with_little_between_them_are_one_request() {
    let ranges = [local(MIB, JOINED - 1, 0, 0), local(3 * MIB, JOINED, 0, 0)];
    let borrowing = borrowing(&ranges, none(), 5 * MIB);
    assert_eq!(requests(&borrowing, 5 * MIB), [(0, 3 * MIB), (3 * MIB + JOINED, 5 * MIB)]);
    // Several ranges that follow each other are judged together.
    let ranges = [local(MIB, JOINED / 2, 0, 0), local(MIB + JOINED / 2, JOINED / 2, 1, 9)];
    let borrowing = self::borrowing(&ranges, none(), 2 * MIB);
    assert_eq!(requests(&borrowing, 2 * MIB), [(0, MIB), (MIB + JOINED, 2 * MIB)]);
}

#[test]
fn what_travelled_already_is_not_asked_for_again() {
    let prefix = Part { at: MIB, end: MIB + 77, from: From::Prefix };
    let borrowing = borrowing(&[local(MIB + 50, 2 * MIB, 0, 0)], prefix, 4 * MIB);
    assert_eq!(requests(&borrowing, 4 * MIB), [(0, MIB), (3 * MIB + 50, 4 * MIB)]);
    let part = borrowing.part_at(MIB + 77).unwrap();
    assert_eq!(part.from, From::Source { number: 0, at: 27 });
}

#[test]
fn a_segment_that_cannot_be_borrowed_is_fetched_as_a_whole() {
    let borrowing = borrowing(&[local(0, 4 * MIB, 0, 0)], none(), 4 * MIB);
    assert!((0..4).all(|segment| borrowing.has_all_of(segment * MIB..(segment + 1) * MIB)));
    assert_eq!(requests(&borrowing, 4 * MIB), []);
    lock(&borrowing.refused).insert(2);
    assert_eq!(requests(&borrowing, 4 * MIB), [(2 * MIB, 3 * MIB)]);
    borrowing.is_over.store(true, Ordering::Relaxed);
    assert_eq!(requests(&borrowing, 4 * MIB), [(0, 4 * MIB)]);
}

#[test]
fn a_disk_is_left_when_it_was_read_more_slowly_than_the_line_brings() {
    let borrowing = borrowing(&[], none(), MIB);
    borrowing.took.store(2_000_000_000, Ordering::Relaxed);
    borrowing.read.store(JUDGED_AFTER - 1, Ordering::Relaxed);
    assert!(!borrowing.is_slower_than(u64::MAX, 1), "too little to judge by");
    borrowing.read.store(JUDGED_AFTER, Ordering::Relaxed);
    assert!(borrowing.is_slower_than(JUDGED_AFTER / 2 + 1, 1));
    assert!(!borrowing.is_slower_than(JUDGED_AFTER / 2, 1));
    assert!(!borrowing.is_slower_than(JUDGED_AFTER, 2), "two readers at once");
    assert!(!borrowing.is_slower_than(0, 1), "nothing is known of the line");
}

proptest! {
    /// Whatever is said to be in the store: no two parts overlap, all are inside of the file and of their source, and each
    /// maps a byte as one of the ranges did.
    #[test]
    fn no_ranges_make_parts_that_lie_outside_or_overlap(
        ranges in proptest::collection::vec((0u64..9 * MIB, prop_oneof![0u64..5 * MIB, Just(u64::MAX)], 0usize..6, prop_oneof![0u64..65 * MIB, Just(u64::MAX)]), 0..20),
        prefix in (0u64..9, 0u64..MIB),
    ) {
        let ranges: Vec<LocalRange> = ranges.into_iter().map(|(at, len, source, source_at)| local(at, len, source, source_at)).collect();
        let size = 8 * MIB;
        let own = Part { at: prefix.0 * MIB, end: prefix.0 * MIB + prefix.1, from: From::Prefix };
        let found = parts(&ranges, |source| (source < 4).then_some(64 * MIB), own, size);
        prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].at), "{found:?}");
        for part in found {
            prop_assert!(part.at < part.end && part.end <= size);
            if let From::Source { number, at } = part.from {
                prop_assert!(at + (part.end - part.at) <= 64 * MIB);
                let is_of = |range: &LocalRange| {
                    range.source == number && range.at <= part.at && range.at.checked_add(range.len).is_some_and(|end| part.end <= end)
                        && range.source_at.wrapping_add(part.at - range.at) == at
                };
                prop_assert!(ranges.iter().any(is_of));
            }
        }
    }
}
