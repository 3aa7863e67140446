//! The model of the deque against crossbeam-deque, and all against their promise.

use std::cell::Cell;
use std::mem;
use std::ptr::{NonNull, without_provenance_mut};

use super::{Injector, Steal, Stored, Word, Worker, model, real};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

/// An entry that is its number, never 0, and counts its drops by thread.
#[derive(Debug, PartialEq)]
struct Entry(usize);

thread_local! {
    static DROPS: Cell<usize> = const { Cell::new(0) };
}

impl Drop for Entry {
    fn drop(&mut self) {
        DROPS.with(|drops| drops.set(drops.get() + 1));
    }
}

impl Word for Entry {
    fn into_word(self) -> NonNull<()> {
        let word = NonNull::new(without_provenance_mut(self.0)).expect("not 0");
        mem::forget(self);
        word
    }

    fn from_word(word: Stored<Self>) -> Self {
        Entry(word.into_pointer().addr().get())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn number(taken: Steal<Entry>) -> (usize, bool) {
    match taken {
        Steal::Success(ref entry) => (entry.0, false),
        Steal::Empty => (0, false),
        Steal::Retry => (0, true),
    }
}

#[test]
fn model_and_real_agree_on_one_thread() {
    for seed in 0..50 {
        let mut random = Random(seed);
        let real: [real::Worker<Entry>; 2] = [real::Worker::new_fifo(), real::Worker::new_fifo()];
        let model: [model::Worker<Entry>; 2] = [model::Worker::new_fifo(), model::Worker::new_fifo()];
        let mut next = 1;
        // Some sequences fill up, some run dry.
        let pushes = 1 + random.below(6);
        for step in 0..3000 {
            let at = random.below(2) as usize;
            let from = random.below(2) as usize;
            let limit = 1 + random.below(40) as usize;
            let (seen, expected) = match random.below(3 + pushes) {
                0 => {
                    let pop = |popped: Option<Entry>| popped.map_or(0, |entry| entry.0);
                    ((pop(model[at].pop()), false), (pop(real[at].pop()), false))
                }
                1 => (number(model[at].stealer().steal()), number(real[at].stealer().steal())),
                2 => {
                    let model_stealer = model[from].stealer().clone();
                    let real_stealer = real[from].stealer().clone();
                    (
                        number(model_stealer.steal_batch_with_limit_and_pop(&model[at], limit)),
                        number(real_stealer.steal_batch_with_limit_and_pop(&real[at], limit)),
                    )
                }
                _ => {
                    model[at].push(Entry(next));
                    real[at].push(Entry(next));
                    next += 1;
                    ((0, false), (0, false))
                }
            };
            assert_eq!(seen, expected, "seed {seed}, step {step}");
            for (model, real) in model.iter().zip(&real) {
                assert_eq!(model.len(), real.len(), "seed {seed}, step {step}");
                assert_eq!(model.is_empty(), real.is_empty());
                assert_eq!(model.stealer().len(), real.stealer().len());
                assert_eq!(model.stealer().is_empty(), real.stealer().is_empty());
            }
        }
    }
}

/// What each must promise, on threads.
macro_rules! promises {
    ($name:ident, $deque:ident) => {
        mod $name {
            use super::super::$deque::{Stealer, Worker};
            use super::*;

            const ENTRIES: usize = 20_000;
            const THIEVES: usize = 3;

            /// Steals until `left` entries are accounted for, half the time in batches.
            fn thief(
                seed: usize,
                left: &AtomicUsize,
                steal: impl Fn(&Worker<Entry>, usize) -> Steal<Entry>,
            ) -> Vec<usize> {
                let mut random = Random(seed as u64);
                let own = Worker::new_fifo();
                let (mut taken, mut counted) = (Vec::new(), 0);
                // Ordering: Relaxed, only the number matters.
                while left.load(Ordering::Relaxed) > 0 {
                    match steal(&own, random.below(9) as usize) {
                        Steal::Success(entry) => taken.push(entry.0),
                        Steal::Empty | Steal::Retry => thread::yield_now(),
                    }
                    taken.extend(std::iter::from_fn(|| own.pop()).map(|entry| entry.0));
                    // Ordering: Relaxed, as above.
                    left.fetch_sub(taken.len() - counted, Ordering::Relaxed);
                    counted = taken.len();
                }
                taken
            }

            fn assert_each_once(takers: &[Vec<usize>], expected: usize) {
                let mut all: Vec<usize> = takers.concat();
                all.sort_unstable();
                assert_eq!(all, (1..=expected).collect::<Vec<_>>());
            }

            #[test]
            fn deque_gives_each_entry_once_and_in_order() {
                let owner = Worker::new_fifo();
                let left = Arc::new(AtomicUsize::new(ENTRIES));
                let thieves: Vec<_> = (0..THIEVES)
                    .map(|seed| {
                        let (stealer, left): (Stealer<Entry>, _) = (owner.stealer(), left.clone());
                        let steal = move |own: &Worker<Entry>, limit| match limit {
                            0 => stealer.steal(),
                            limit => stealer.steal_batch_with_limit_and_pop(own, limit),
                        };
                        thread::Builder::new().spawn(move || thief(seed, &left, steal)).unwrap()
                    })
                    .collect();
                let mut random = Random(77);
                let mut own = Vec::new();
                for number in 1..=ENTRIES {
                    while owner.len() > 1000 {
                        thread::yield_now();
                    }
                    owner.push(Entry(number));
                    if random.below(3) == 0 {
                        if let Some(entry) = owner.pop() {
                            own.push(entry.0);
                            // Ordering: Relaxed, only the number matters.
                            left.fetch_sub(1, Ordering::Relaxed);
                        }
                    }
                }
                let mut takers: Vec<Vec<usize>> = thieves.into_iter().map(|thief| thief.join().unwrap()).collect();
                takers.push(own);
                for taker in &takers {
                    assert!(taker.is_sorted(), "taken from the front, in order");
                }
                assert_each_once(&takers, ENTRIES);
                assert!(owner.is_empty());
            }

            #[test]
            fn what_is_left_is_dropped_once() {
                let before = DROPS.get();
                let worker = Worker::new_fifo();
                let stealer = worker.stealer();
                (1..=100).for_each(|number| worker.push(Entry(number)));
                drop(worker.pop());
                drop(worker);
                assert_eq!(DROPS.get() - before, 1, "a stealer keeps the queue");
                assert_eq!(stealer.len(), 99);
                assert!(!stealer.is_empty());
                drop(stealer);
                assert_eq!(DROPS.get() - before, 100);
            }
        }
    };
}

// See `deque_locked`.
#[cfg(not(cuelight_tsan))]
promises!(on_real, real);
promises!(on_model, model);
promises!(on_locked, locked);

#[test]
fn the_injector_gives_each_entry_once_and_in_order_of_its_pusher() {
    const ENTRIES: usize = 20_000;
    const PUSHERS: usize = 2;
    let injector = Arc::new(Injector::new());
    let left = Arc::new(AtomicUsize::new(PUSHERS * ENTRIES));
    let takers: Vec<_> = (1..=3)
        .map(|limit| {
            let (injector, left) = (injector.clone(), left.clone());
            let take = move || {
                let own = Worker::new_fifo();
                let mut taken = Vec::new();
                // Ordering: Relaxed, only the number matters.
                while left.load(Ordering::Relaxed) > 0 {
                    let before = taken.len();
                    match injector.steal_batch_with_limit_and_pop(&own, limit * limit) {
                        Steal::Success(entry) => taken.push(number_of(&entry)),
                        Steal::Empty | Steal::Retry => thread::yield_now(),
                    }
                    taken.extend(std::iter::from_fn(|| own.pop()).map(|entry| number_of(&entry)));
                    // Ordering: Relaxed, as above.
                    left.fetch_sub(taken.len() - before, Ordering::Relaxed);
                }
                taken
            };
            thread::Builder::new().spawn(take).unwrap()
        })
        .collect();
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|pusher| {
            let injector = injector.clone();
            let push = move || (0..ENTRIES).for_each(|i| injector.push(Entry(1 + i * PUSHERS + pusher)));
            thread::Builder::new().spawn(push).unwrap()
        })
        .collect();
    pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
    let takers: Vec<Vec<usize>> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
    for taker in &takers {
        for pusher in 0..PUSHERS {
            let of_one = taker.iter().filter(|number| (*number - 1) % PUSHERS == pusher);
            assert!(of_one.is_sorted(), "in order of the pusher");
        }
    }
    let mut all = takers.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=PUSHERS * ENTRIES).collect::<Vec<_>>());
    assert!(injector.is_empty());
}

fn number_of(entry: &Entry) -> usize {
    entry.0
}

#[test]
fn a_batch_from_the_injector_is_half_of_it_at_most() {
    let before = DROPS.get();
    let (own, injector) = (Worker::new_fifo(), Injector::new());
    (1..=100).for_each(|number| injector.push(Entry(number)));
    let taken = injector.steal_batch_with_limit_and_pop(&own, 1);
    assert!(matches!(&taken, Steal::Success(entry) if entry.0 == 1));
    assert_eq!((own.len(), injector.len()), (0, 99));
    let taken = injector.steal_batch_with_limit_and_pop(&own, 1000);
    assert!(matches!(&taken, Steal::Success(entry) if entry.0 == 2));
    assert_eq!((own.len(), injector.len()), (49, 49));
    assert_eq!(own.pop(), Some(Entry(3)));
    drop((taken, own, injector));
    // All but the first, which is still held, and the one that was compared with.
    assert_eq!(DROPS.get() - before, 100);
}
