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

/// Nodes for `receivers` in turn, `rounds` times; those of one receiver together.
fn take_for(receivers: usize, rounds: usize) -> Vec<Vec<Loose>> {
    let mut nodes: Vec<Vec<Loose>> = (0..receivers).map(|_| Vec::with_capacity(rounds)).collect();
    for _ in 0..rounds {
        for (receiver, nodes) in nodes.iter_mut().enumerate() {
            nodes.push(Loose(allocate_for(192 * (receiver + 1), CLASS)));
        }
    }
    nodes
}

/// The share, in percent, of nodes that lie beside the one before for the same receiver.
fn neighbours(nodes: &[Vec<Loose>]) -> usize {
    let pairs = nodes.iter().flat_map(|nodes| nodes.windows(2));
    let (all, beside) = pairs.fold((0, 0), |(all, beside), pair| {
        let distance = pair[0].0.as_ptr().addr().abs_diff(pair[1].0.as_ptr().addr());
        (all + 1, beside + usize::from(distance == CLASS.size()))
    });
    100 * beside / all
}

fn lanes_are_open() -> bool {
    POOL.with(|pool| pool.shelf(CLASS, |shelf| shelf.lanes.are_open()))
}

/// In a burst, messages for one receiver lie side by side; not in small traffic, and not for too many receivers.
#[test]
fn lanes_open_in_a_burst_for_receivers_that_fit() {
    thread::Builder::new().spawn(bursts).unwrap().join().unwrap();
}

fn bursts() {
    keep_cache();
    assert!(neighbours(&take_for(100, 20)) < 5, "two thousand are no burst");
    assert!(!lanes_are_open());

    let nodes = take_for(500, 200);
    let share = neighbours(&nodes);
    assert!(lanes_are_open() && share > 50, "{share} %");
    drop(nodes);

    // Everything comes back: from the mailboxes, from the lanes, to the allocator.
    let before = slabs();
    trim();
    assert!(!lanes_are_open());
    // The cache may keep a few more than the pool does.
    assert!(slabs() <= FEW_SLABS + before / 8, "{before} slabs, then {}", slabs());

    let nodes = take_for(20_000, 10);
    assert!(!lanes_are_open(), "every lane was crowded");
    drop(nodes);
    let nodes = take_for(1, 300_000);
    assert!(!lanes_are_open(), "nobody takes turns");
    drop(nodes);
    release_thread();
    assert_eq!(slabs(), 0);
}

/// Runs of a node or two, between others that stay, don't make friends of strangers.
#[test]
fn crowded_lanes_close_also_where_runs_are_short() {
    let crowd = || {
        keep_cache();
        let (mut kept, mut holes) = (Vec::new(), Vec::new());
        for (index, node) in take(800 * SLAB).into_iter().enumerate() {
            if index % 16 == 0 { &mut holes } else { &mut kept }.push(node);
        }
        drop(holes);
        let nodes = take_for(20_000, 2);
        assert!(!lanes_are_open(), "every lane was crowded");
        drop((kept, nodes));
        release_thread();
        assert_eq!(slabs(), 0);
    };
    thread::Builder::new().spawn(crowd).unwrap().join().unwrap();
}

/// Bursts that lanes do not fit don't each pay for a try.
#[test]
fn lanes_that_do_not_fit_are_not_tried_at_each_burst() {
    let bursts = || {
        keep_cache();
        let mut tries = 0;
        for _ in 0..40 {
            let (nodes, open): (Vec<_>, Vec<_>) =
                (1..=40_000).map(|nth| (Loose(allocate_for(192 * nth, CLASS)), lanes_are_open())).unzip();
            tries += usize::from(open.contains(&true));
            drop(nodes);
        }
        assert!((2..=6).contains(&tries), "{tries} of 40");
        release_thread();
    };
    thread::Builder::new().spawn(bursts).unwrap().join().unwrap();
}

/// A thousand receivers fit, at whatever distance their cells lie.
#[test]
fn lanes_fit_at_any_distance() {
    let fit = |distance: usize| {
        keep_cache();
        let nodes: Vec<_> =
            (0..60_000).map(|nth| Loose(allocate_for(0x7F00_0000_1240 + distance * (nth % 1000), CLASS))).collect();
        assert!(lanes_are_open(), "{distance} bytes apart");
        drop(nodes);
        release_thread();
    };
    for distance in (144..=1024).step_by(16) {
        thread::Builder::new().spawn(move || fit(distance)).unwrap().join().unwrap();
    }
}

/// The arithmetic of words and runs: no node is handed out twice, and each comes back to its bit.
#[test]
fn lanes_of_every_class_hand_out_each_node_once() {
    let every = || {
        keep_cache();
        for class in Class::ALL {
            let mut nodes: Vec<_> = (0..60_000).map(|nth| allocate_for(192 * (nth % 500 + 1), class)).collect();
            let slabs = || POOL.with(|pool| pool.shelf(class, |shelf| (shelf.lanes.are_open(), shelf.slabs)));
            assert!(slabs().0, "{class:?}");
            nodes.sort_unstable();
            let apart = |pair: &[NonNull<u8>]| pair[1].addr().get() - pair[0].addr().get() >= class.size();
            assert!(nodes.windows(2).all(apart), "{class:?}");
            for node in nodes {
                // SAFETY: of this class, and nobody knows it; all of it is ours.
                unsafe { node.write_bytes(0xA5, class.size()) };
                // SAFETY: as above.
                unsafe { free(node, class) };
            }
            trim();
            // The cache may keep a few more.
            assert!(slabs().1 <= FEW_SLABS + 8, "{class:?}: {:?}", slabs());
            release_thread();
            assert_eq!(slabs(), (false, 0), "{class:?}");
            keep_cache();
        }
        release_thread();
    };
    thread::Builder::new().spawn(every).unwrap().join().unwrap();
}

/// What a lane still holds when its thread leaves goes back to the slab, too.
#[test]
fn open_lanes_are_left_whole() {
    let leave = || {
        keep_cache();
        let nodes = take_for(300, 300);
        assert!(lanes_are_open());
        release_thread();
        assert_eq!(slabs(), 0);
        assert!(!lanes_are_open());
        nodes
    };
    // Freed by a stranger, after their owner has left: the last ones free the slabs. The sanitizer sees that they did.
    drop(thread::Builder::new().spawn(leave).unwrap().join().unwrap());
}
