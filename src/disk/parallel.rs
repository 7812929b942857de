//! Work on many files or folders, a few at once: each is a round trip to the disk or to a server, and that hides it.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// More than this and the volume is asked for more than it does at once.
const MOST_WORKERS: usize = 4;

/// How many workers a number of pieces is worth where each should do `least` of them. A thread is not for nothing, and
/// what one worker does happens in a known order.
pub(crate) fn workers(pieces: usize, least: usize) -> usize {
    (pieces / least).clamp(1, MOST_WORKERS)
}

/// The same for work of the processor.
pub(crate) fn processors(pieces: usize, least: usize) -> usize {
    workers(pieces, least).min(thread::available_parallelism().map_or(1, NonZero::get))
}

/// Does `work` for each item on so many workers, of which the caller is one; the results are in the items' order. A
/// worker takes the next item when it is done with one. After a failure or a panic nothing is begun. Where the system has
/// no more threads, there are fewer workers.
pub(crate) fn map<T, R, E>(
    items: impl Iterator<Item = T> + Send,
    workers: usize,
    work: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    R: Send,
    E: Send,
{
    if workers < 2 {
        return items.map(work).collect();
    }
    let (items, over) = (Mutex::new(items.enumerate()), AtomicBool::new(false));
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let _over = SetOnDrop(&over);
        let mut done = Vec::new();
        while !over.load(Ordering::Relaxed)
            && let Some((at, item)) = next()
        {
            let result = work(item);
            let failed = result.is_err();
            done.push((at, result));
            if failed {
                break;
            }
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others = (1..workers).map_while(|_| thread::Builder::new().spawn_scoped(scope, worker).ok());
        let others: Vec<_> = others.collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Tells the other workers when one ends: because nothing is left, because something failed, or by a panic.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, atomic::AtomicUsize};

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for workers in [1, 4] {
            let doubled: Result<Vec<usize>, ()> = map(0..1000, workers, |n| Ok(2 * n));
            assert_eq!(doubled, Ok((0..2000).step_by(2).collect()));
        }
    }

    #[test]
    fn two_workers_work_at_the_same_time() {
        let both = Barrier::new(2);
        let met: Result<Vec<bool>, ()> = map(0..2, 2, |_| Ok(both.wait().is_leader()));
        assert_eq!(met.map(|met| met.into_iter().filter(|leads| *leads).count()), Ok(1));
    }

    #[test]
    fn after_a_failure_nothing_is_begun() {
        for workers in [1, 4] {
            let begun = AtomicUsize::new(0);
            let failed = map(0..1_000_000, workers, |n| {
                begun.fetch_add(1, Ordering::Relaxed);
                if n == 3 { Err(n) } else { Ok(()) }
            });
            assert_eq!(failed, Err(3));
            assert!(begun.into_inner() < 1_000_000);
        }
    }

    #[test]
    fn after_a_panic_nothing_is_begun_and_the_caller_gets_it() {
        // A panic of the caller, and one of the other worker, when both have begun.
        for of_caller in [true, false] {
            let (begun, both, caller) = (AtomicUsize::new(0), Barrier::new(2), thread::current().id());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                map(0..10_000, 2, |n| {
                    if begun.fetch_add(1, Ordering::Relaxed) < 2 {
                        both.wait();
                        if (thread::current().id() == caller) == of_caller {
                            std::panic::resume_unwind(Box::new("a panic"));
                        }
                    }
                    // The one that is left would take seconds for the rest, however late the other gets to its end.
                    thread::sleep(std::time::Duration::from_millis(1));
                    Ok::<usize, ()>(n)
                })
            }));
            assert_eq!(result.unwrap_err().downcast_ref(), Some(&"a panic"));
            assert!(begun.into_inner() < 10_000);
        }
    }

    #[test]
    fn few_pieces_get_one_worker_and_many_no_more_than_four() {
        assert_eq!([0, 63, 127, 128, 255, 1_000_000].map(|pieces| workers(pieces, 64)), [1, 1, 1, 2, 3, 4]);
        assert!(processors(1_000_000, 64) <= 4);
    }
}
