use super::*;
use crate::sync::{Arc, Condvar, Mutex, thread};
use std::collections::VecDeque;

const CLASS: Class = Class::Small;
/// About a slab of this class.
const SLAB: usize = 1000;

fn slabs() -> usize {
    POOL.with(|pool| pool.shelf(CLASS, |shelf| shelf.slabs))
}

/// A node that may go to another thread.
struct Loose(NonNull<u8>);

// SAFETY: free memory, which nobody else knows.
unsafe impl Send for Loose {}

impl Drop for Loose {
    fn drop(&mut self) {
        // SAFETY: from `take`, once.
        unsafe { free(self.0, CLASS) };
    }
}

fn take(count: usize) -> VecDeque<Loose> {
    (0..count).map(|_| Loose(allocate(CLASS))).collect()
}

/// The most slabs that traffic needs which goes on while a backlog stands: `window` nodes are out at any time.
fn most_slabs(window: usize, rounds: usize) -> usize {
    let mut traffic = take(window);
    let mut most = slabs();
    for round in 0..rounds {
        drop(traffic.pop_front());
        traffic.push_back(Loose(allocate(CLASS)));
        if round % SLAB == 0 {
            most = most.max(slabs());
        }
    }
    most
}

/// What traffic needs does not depend on how long it lasts, also if its way round the slabs leads past full ones.
#[test]
fn a_standing_backlog_does_not_make_the_pool_grow() {
    for groups in [2, 8, 32] {
        // Messages that stay, between memory that is free again.
        let mut backlog = Vec::new();
        let mut holes = Vec::new();
        for _ in 0..groups {
            backlog.push(take(6 * SLAB));
            holes.push(take(4 * SLAB));
        }
        drop(holes);
        let before = slabs();
        let most = most_slabs(4 * SLAB, 300 * SLAB);
        assert!(most <= before + before / 4 + 8, "{groups} groups: {before} slabs, then {most}");
        drop(backlog);
        release_thread();
    }
}

/// As above, but what is sent comes back on another thread.
#[test]
fn a_standing_backlog_does_not_make_a_senders_pool_grow() {
    let backlog = take(30 * SLAB);
    let mut most = 0;
    for _ in 0..300 {
        let burst = take(4 * SLAB);
        thread::Builder::new().spawn(move || drop(burst)).unwrap().join().unwrap();
        most = most.max(slabs());
    }
    assert!(most <= 30 + 4 + 10, "{most} slabs");
    drop(backlog);
    release_thread();
}

/// Nodes on their way to another thread. The crate's own locks: ThreadSanitizer does not see those of `std`'s channel.
#[derive(Default)]
struct HandOver {
    state: Mutex<Handed>,
    changed: Condvar,
}

#[derive(Default)]
enum Handed {
    #[default]
    Nothing,
    Nodes(VecDeque<Loose>),
    Over,
}

impl HandOver {
    /// Gives nodes to the other thread; see [`HandOver::is_done`].
    fn give(&self, handed: Handed) {
        *self.state.lock() = handed;
        self.changed.notify_all();
    }

    /// Whether the other thread has freed what it was given.
    fn is_done(&self) -> bool {
        matches!(*self.state.lock(), Handed::Nothing)
    }

    /// The other thread: frees what it is given, until it is over.
    fn free_all(&self) {
        loop {
            let mut state = self.state.lock();
            let nodes = loop {
                match &mut *state {
                    Handed::Nothing => state = self.changed.wait(state),
                    Handed::Nodes(nodes) => break std::mem::take(nodes),
                    Handed::Over => return,
                }
            };
            drop(state);
            drop(nodes);
            // What was freed is not done until this says so: an empty `Nodes` is still on its way.
            *self.state.lock() = Handed::Nothing;
        }
    }
}

/// A slab that becomes whole while it is looked at.
#[test]
fn trimming_while_nodes_come_back() {
    let hand_over = Arc::new(HandOver::default());
    let other = {
        let hand_over = hand_over.clone();
        thread::Builder::new().spawn(move || hand_over.free_all()).unwrap()
    };
    for _ in 0..30 {
        hand_over.give(Handed::Nodes(take((2 * FEW_SLABS + 4) * SLAB)));
        while !hand_over.is_done() {
            trim();
        }
        trim();
        assert!(slabs() <= FEW_SLABS + 1, "{} slabs", slabs());
    }
    hand_over.give(Handed::Over);
    other.join().unwrap();
    release_thread();
    assert_eq!(slabs(), 0);
}
