use super::*;
use proptest::prelude::*;

fn schedule(segments: u64) -> (Schedule, Instant) {
    (Schedule::new(vec![vec![0..segments]], true), Instant::now())
}

#[test]
fn small_files_are_one_piece_each_and_go_side_by_side() {
    let schedule = Schedule::new(vec![vec![0..1], vec![], vec![0..3]], true);
    let take = || schedule.take(8, Instant::now()).map(|assignment| assignment.piece);
    assert_eq!(take(), Some(Piece { job: 0, segments: 0..1 }));
    assert_eq!(take(), Some(Piece { job: 2, segments: 0..3 }));
    assert_eq!(take(), None);
}

#[test]
fn pieces_are_as_large_as_their_requests_are_slow() {
    let largest = |waited: u64, took: u64| {
        let (schedule, now) = schedule(1000);
        for _ in 0..20 {
            schedule.learn(Duration::from_millis(waited), Duration::from_millis(took), 4 * SEGMENT_LEN);
        }
        let piece = schedule.take(4, now).unwrap().piece;
        piece.segments.end - piece.segments.start
    };
    assert_eq!(largest(0, 10), SMALLEST);
    assert_eq!(largest(50, 12_000), 1, "each segment takes seconds");
    assert!((7..=8).contains(&largest(50, 400)));
    assert!(largest(1000, 400) >= LARGEST - 1);
}

#[test]
fn there_are_slots_for_as_many_connections_as_there_are_slow_segments() {
    let now = Instant::now();
    let schedule = Schedule::new(vec![vec![0..4], vec![0..16]], true);
    assert_eq!(schedule.slots(now), 1 + 16 / UNCUT as usize);
    for _ in 0..20 {
        schedule.learn(Duration::from_millis(50), Duration::from_secs(12), 4 * SEGMENT_LEN);
    }
    assert_eq!(schedule.slots(now), 1 + 16, "the small file is one piece");
    let assignments: Vec<Assignment> = std::iter::from_fn(|| schedule.take(17, now)).collect();
    assert_eq!(assignments.len(), 17);
}

#[test]
fn what_is_queued_again_comes_next() {
    let (schedule, now) = schedule(100);
    let piece = schedule.take(2, now).unwrap().piece;
    assert_eq!(piece.segments, 0..FIRST);
    schedule.requeue(Piece { job: 0, segments: piece.segments.start + 1..piece.segments.end });
    assert_eq!(schedule.take(2, now).unwrap().piece.segments.start, 1);
}

/// Takes the first range as one piece.
fn take_all(schedule: &Schedule) -> Assignment {
    let mut work = schedule.work();
    let piece = work.pieces.pop_front().unwrap();
    work.assign(piece)
}

#[test]
fn who_is_done_takes_over_half_of_what_the_slowest_has_before_it() {
    let schedule = Schedule::new(vec![vec![8..12], vec![20..24]], true);
    let begun = Instant::now();
    let [slow, fast] = [(); 2].map(|()| take_all(&schedule));
    [&slow, &fast].into_iter().for_each(|assignment| schedule.comes(assignment.number, Some(begun)));
    let later = begun + Duration::from_secs(8);
    assert_eq!(schedule.advance(fast.number, 23), Some(24));
    assert_eq!(schedule.advance(slow.number, 9), Some(12));
    assert_eq!(schedule.slots(later), 3);
    // Of the first file, segment 9 is coming and 10 and 11 are before it.
    let help = schedule.take(1, later).unwrap();
    assert_eq!(help.piece, Piece { job: 0, segments: 11..12 });
    assert_eq!(schedule.advance(slow.number, 9), Some(11));
    assert_eq!(schedule.advance(fast.number, 23), Some(24));
    // What no connection took is as slow as before, and helped once more.
    assert_eq!(schedule.take(1, later).unwrap().piece, Piece { job: 0, segments: 10..11 });
    assert_eq!(schedule.take(1, later), None);
    assert_eq!(schedule.advance(slow.number, 10), Some(10));
    schedule.end(slow.number);
    assert_eq!(schedule.advance(slow.number, 10), None);
}

#[test]
fn nobody_is_helped_who_need_not_or_must_not_be() {
    let begun = Instant::now();
    let helped = |segments: Range<u64>, helps: bool, prepare: &dyn Fn(&Schedule, u64), after: u64| {
        let schedule = Schedule::new(vec![vec![segments]], helps);
        let assignment = take_all(&schedule);
        schedule.comes(assignment.number, Some(begun));
        prepare(&schedule, assignment.number);
        let later = begun + Duration::from_millis(after);
        let slots = schedule.slots(later);
        let is_helped = schedule.take(1, later).is_some();
        assert_eq!(
            is_helped,
            slots > schedule.work().assignments.len() - usize::from(is_helped),
            "who asks finds what he was promised"
        );
        is_helped
    };
    let nothing: &dyn Fn(&Schedule, u64) = &|_, _| {};
    assert!(helped(4..8, true, nothing, 2000));
    assert!(!helped(4..8, true, nothing, 1500), "done in less than five seconds");
    assert!(!helped(4..8, false, nothing, 2000), "under a limit of the rate");
    assert!(!helped(4..8, true, nothing, 900), "it only just began");
    assert!(!helped(0..4, true, nothing, 60_000), "all of a small file");
    assert!(
        !helped(4..8, true, &|schedule, number| assert_eq!(schedule.advance(number, 7), Some(8)), 60_000),
        "the last is coming"
    );
    assert!(
        !helped(4..8, true, &|schedule, number| assert_eq!(schedule.advance(number, 6), Some(8)), 1500),
        "soon done, at the pace it has"
    );
    assert!(!helped(4..8, true, &|schedule, number| schedule.comes(number, None), 60_000), "nothing of it comes yet");
    let all = Piece { job: 0, segments: 0..8 };
    assert!(
        !helped(4..8, true, &|schedule, number| assert!(schedule.claim_whole_file(number, &all)), 60_000),
        "one connection fetches the whole file"
    );
}

#[test]
fn the_one_connection_that_fetches_a_whole_file_takes_nobodys_place_with_another() {
    let (schedule, now) = (Schedule::new(vec![vec![4..8], vec![0..2]], true), Instant::now());
    let single = take_all(&schedule);
    assert!(schedule.claim_whole_file(single.number, &Piece { job: 0, segments: 0..8 }));
    assert_eq!((schedule.slots(now), schedule.advance(single.number, 1)), (2, Some(8)));
    schedule.end(single.number);
    assert_eq!(schedule.slots(now), 1);
}

proptest! {
    #[test]
    fn the_pieces_are_exactly_what_is_missing_in_order(ends in proptest::collection::vec(1u64..500, 1..6), connections in 1usize..16) {
        let schedule = Schedule::new(ends.iter().map(|end| std::iter::once(0..*end).collect()).collect(), true);
        let mut next = vec![0; ends.len()];
        let now = Instant::now();
        while let Some(Assignment { piece, .. }) = schedule.take(connections, now) {
            prop_assert_eq!(piece.segments.start, next[piece.job]);
            prop_assert!(piece.segments.end - piece.segments.start <= LARGEST);
            next[piece.job] = piece.segments.end;
        }
        prop_assert_eq!(next, ends);
    }

    /// Connections that come forward in any order, at any pace, fetch each segment once.
    #[test]
    fn whichever_connection_helps_which_each_segment_is_fetched_once(len in 1u64..60, steps in proptest::collection::vec((0usize..6, 0u64..3000), 0..400)) {
        let (schedule, begun) = schedule(len);
        let mut now = begun;
        let mut fetched = vec![0; len as usize];
        let mut at: Vec<Option<(u64, u64, u64)>> = vec![None; 6];
        let finish = (0..6).cycle().map(|who| (who, 1500)).take(600);
        for (who, pause) in steps.into_iter().chain(finish) {
            now += Duration::from_millis(pause);
            at[who] = match at[who] {
                None => schedule.take(6, now).map(|assignment| {
                    schedule.comes(assignment.number, Some(now));
                    (assignment.number, assignment.piece.segments.start, assignment.piece.segments.end)
                }),
                Some((number, next, _)) => {
                    fetched[next as usize] += 1;
                    let end = schedule.advance(number, next + 1).unwrap();
                    if next + 1 < end {
                        Some((number, next + 1, end))
                    } else {
                        schedule.end(number);
                        None
                    }
                }
            };
        }
        prop_assert_eq!(fetched, vec![1; len as usize]);
    }
}
