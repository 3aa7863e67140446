//! The run queues: each entry is taken once, in order, and what came before its push comes with it.
//!
//! Under loom these are the stand-ins of `sync::deque`, which a differential test of the runtime holds to
//! crossbeam-deque.

use cuelight::dev_hooks::sync::atomic::{AtomicUsize, Ordering};
use cuelight::dev_hooks::sync::deque::{Injector, Steal, Stealer, Stored, Word, Worker};
use cuelight::dev_hooks::sync::hint;
use loom_tests::{Arc, model, thread};
use std::ptr::{NonNull, without_provenance_mut};

/// Entries are numbered from 1 on.
const ENTRIES: usize = 4;

#[derive(Debug, PartialEq, Eq)]
struct Entry(usize);

impl Word for Entry {
    fn into_word(self) -> NonNull<()> {
        NonNull::new(without_provenance_mut(self.0)).expect("numbers begin at 1")
    }

    fn from_word(word: Stored<Self>) -> Self {
        Entry(word.into_pointer().addr().get())
    }
}

/// What is written before an entry is pushed and read after it is taken.
struct Payloads([AtomicUsize; ENTRIES]);

impl Payloads {
    fn new() -> Arc<Self> {
        Arc::new(Payloads(std::array::from_fn(|_| AtomicUsize::new(0))))
    }

    fn entry(&self, number: usize) -> Entry {
        // Ordering: Relaxed: the queue publishes it, or the model fails.
        self.0[number - 1].store(number, Ordering::Relaxed);
        Entry(number)
    }

    fn number(&self, Entry(number): &Entry) -> usize {
        // Ordering: Relaxed: as above.
        assert_eq!(self.0[number - 1].load(Ordering::Relaxed), *number, "the payload did not come along");
        *number
    }
}

/// Repeats a theft for as long as others are quicker.
fn taken(steal: impl Fn() -> Steal<Entry>) -> Option<Entry> {
    loop {
        match steal() {
            Steal::Success(entry) => return Some(entry),
            Steal::Empty => return None,
            Steal::Retry => hint::spin_loop(),
        }
    }
}

/// Takes all that is left in one's own queue.
fn rest(payloads: &Payloads, own: &Worker<Entry>, numbers: &mut Vec<usize>) {
    while let Some(entry) = own.pop() {
        numbers.push(payloads.number(&entry));
    }
}

/// A thief that takes a batch, once, and what it got with it.
fn batch(payloads: &Payloads, stealer: &Stealer<Entry>) -> Vec<usize> {
    let own = Worker::new_fifo();
    let mut numbers = Vec::new();
    if let Some(entry) = taken(|| stealer.steal_batch_with_limit_and_pop(&own, ENTRIES)) {
        numbers.push(payloads.number(&entry));
        rest(payloads, &own, &mut numbers);
    }
    numbers
}

/// A worker that takes a batch from outside. Returns whether there was one.
fn from_outside(payloads: &Payloads, injector: &Injector<Entry>, numbers: &mut Vec<usize>) -> bool {
    let own = Worker::new_fifo();
    let first = taken(|| injector.steal_batch_with_limit_and_pop(&own, ENTRIES));
    numbers.extend(first.iter().map(|entry| payloads.number(entry)));
    rest(payloads, &own, numbers);
    first.is_some()
}

/// Each was taken once, and everybody took in the order of the pushes.
fn all_taken(takers: &[Vec<usize>], entries: usize) {
    for taker in takers {
        assert!(taker.is_sorted(), "out of order: {taker:?}");
    }
    let mut all: Vec<usize> = takers.concat();
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(1..=entries), "{takers:?}");
}

/// The owner pushes and pops, also the last one, while two thieves take one each.
#[test]
fn pops_against_thefts() {
    model("deque: pops against two thefts", 2, || {
        let payloads = Payloads::new();
        let own = Worker::new_fifo();
        own.push(payloads.entry(1));
        let thief = || {
            let (payloads, stealer) = (payloads.clone(), own.stealer());
            thread::spawn(move || Vec::from_iter(taken(|| stealer.steal()).map(|entry| payloads.number(&entry))))
        };
        let thieves = [thief(), thief()];
        own.push(payloads.entry(2));
        let mut popped = Vec::new();
        popped.extend(own.pop().map(|entry| payloads.number(&entry)));
        own.push(payloads.entry(3));
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        rest(&payloads, &own, &mut popped);
        all_taken(&[popped, first, second], 3);
        assert!(own.is_empty() && own.stealer().is_empty());
    });
}

/// The owner pops all while a thief takes half into its own queue.
#[test]
fn pops_against_a_batch() {
    model("deque: pops against a batch", 3, || {
        let payloads = Payloads::new();
        let own = Worker::new_fifo();
        (1..=3).for_each(|number| own.push(payloads.entry(number)));
        let thief = {
            let (payloads, stealer) = (payloads.clone(), own.stealer());
            thread::spawn(move || batch(&payloads, &stealer))
        };
        own.push(payloads.entry(4));
        let mut popped = Vec::new();
        rest(&payloads, &own, &mut popped);
        all_taken(&[popped, thief.join().unwrap()], 4);
    });
}

/// Two thieves with a batch each, and the owner.
#[test]
fn two_batches_and_a_pop() {
    model("deque: two batches and a pop", 2, || {
        let payloads = Payloads::new();
        let own = Worker::new_fifo();
        (1..=4).for_each(|number| own.push(payloads.entry(number)));
        let thief = || {
            let (payloads, stealer) = (payloads.clone(), own.stealer());
            thread::spawn(move || batch(&payloads, &stealer))
        };
        let thieves = [thief(), thief()];
        let mut popped = Vec::from_iter(own.pop().map(|entry| payloads.number(&entry)));
        let [first, second] = thieves.map(|thief| thief.join().unwrap());
        rest(&payloads, &own, &mut popped);
        all_taken(&[popped, first, second], 4);
    });
}

/// Two outside threads push while a worker takes a batch, and takes the rest later: once each, in the order of each
/// pusher.
#[test]
fn pushes_from_outside_against_a_batch() {
    model("injector: two pushers and a batch", 2, || {
        let shared = Arc::new((Payloads::new(), Injector::new()));
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut numbers = Vec::new();
                from_outside(&shared.0, &shared.1, &mut numbers);
                numbers
            })
        };
        let pusher = {
            let shared = shared.clone();
            thread::spawn(move || (3..=4).for_each(|number| shared.1.push(shared.0.entry(number))))
        };
        (1..=2).for_each(|number| shared.1.push(shared.0.entry(number)));
        let mut numbers = worker.join().unwrap();
        pusher.join().unwrap();
        while from_outside(&shared.0, &shared.1, &mut numbers) {}
        assert!(shared.1.is_empty());
        let (first, second): (Vec<usize>, Vec<usize>) = numbers.iter().partition(|&&number| number < 3);
        assert_eq!((first, second), (vec![1, 2], vec![3, 4]), "taken: {numbers:?}");
    });
}

/// Two workers take from the injector while somebody pushes.
#[test]
fn two_takers_share_what_comes_from_outside() {
    model("injector: two takers and a pusher", 3, || {
        let shared = Arc::new((Payloads::new(), Injector::new()));
        shared.1.push(shared.0.entry(1));
        shared.1.push(shared.0.entry(2));
        let taker = || {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut numbers = Vec::new();
                from_outside(&shared.0, &shared.1, &mut numbers);
                numbers
            })
        };
        let takers = [taker(), taker()];
        let (payloads, injector) = &*shared;
        injector.push(payloads.entry(3));
        let [first, second] = takers.map(|taker| taker.join().unwrap());
        let left = Vec::from_iter(
            std::iter::from_fn(|| taken(|| injector.steal_batch_with_limit_and_pop(&Worker::new_fifo(), 1)))
                .map(|entry| payloads.number(&entry)),
        );
        all_taken(&[first, second, left], 3);
    });
}
