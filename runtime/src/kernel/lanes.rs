//! Lanes: in a burst, the nodes for one receiver lie side by side.
//!
//! A handler that sends to a thousand receivers in turn takes its nodes in the order of its sends. The messages of one
//! receiver then lie a thousand nodes apart, and whoever handles them follows a chain from page to page; on another core
//! each step is a miss, and so is each node's way home. Once a worker has sent far more than its caches hold, it
//! therefore takes the nodes for each receiver from a run of neighbours, by a hash of the receiver's address. Handling
//! reads on, and the nodes come back a word of bits at a time.
//!
//! fan-out of 5 M messages in one handler, ns per message, interleaved with the same build without lanes:
//!
//! ```text
//! | receivers | one worker  | two workers |
//! |       100 | 55 -> 33    | 79 -> 11    |
//! |      1000 | 32 -> 32    | 42 -> 17    |
//! ```
//!
//! Gives up: with more receivers than lanes, a lane's neighbours would be strangers again, and the order of sends is the
//! better one (20 000 receivers, one worker: 59 -> 116). So lanes are judged by how often one serves the receiver that it
//! served before, and closed when that is the exception.

use super::slab::{Class, Run, give_back_run};
use crate::sync::MODEL;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// Lanes of a class. A power of two.
const LANES: usize = 2048;
/// Strangers for whom a friend makes up. With this lanes pay for up to 2700 receivers: 3 in 4 then share theirs.
const FRIEND: i32 = 3;
/// So many strangers more close the lanes.
const PATIENCE: i32 = 256;
/// With what lanes begin: in the first round nobody is a friend, and who shares a lane is a stranger.
const BEGIN: i32 = LANES as i32;
/// So many friends' worth is remembered.
const CREDIT: i32 = 4096;
/// Batches that a worker takes, while none comes back, before it opens lanes: 8192 nodes.
const OPENS: usize = if MODEL { usize::MAX / RELUCTANCE } else { 256 };
/// How many times as many, after lanes did not fit: each try touches 4 MB, which may be fresh. Half of it after each burst.
const RELUCTANCE: usize = 1024;

#[derive(Clone, Copy)]
struct Lane {
    run: Run,
    /// Whom it served last.
    receiver: usize,
}

/// The lanes of one class of one thread.
pub(super) struct Lanes {
    /// Batches taken since the last one came back.
    taken: usize,
    /// How many open the lanes.
    opens: usize,
    /// Whom the last node from the slabs was for.
    last: usize,
    /// Friends, weighted, less strangers.
    fit: i32,
    // Never dropped by itself, for the sake of the thread-local that holds it: `close` does.
    lanes: ManuallyDrop<Option<Box<[Lane; LANES]>>>,
}

impl Lanes {
    pub(super) const fn new() -> Self {
        Self { taken: 0, opens: OPENS, last: 0, fit: BEGIN, lanes: ManuallyDrop::new(None) }
    }

    /// A batch, or a node, is to be taken for `receiver`: whether from a lane. Not for the one who got the last: that is no
    /// order to improve upon.
    #[inline]
    pub(super) fn wanted(&mut self, receiver: usize) -> bool {
        let another = std::mem::replace(&mut self.last, receiver) != receiver;
        self.taken = self.taken.saturating_add(1);
        self.taken > self.opens && another && receiver != 0
    }

    /// A batch has come back: what is sent is handled as well.
    #[inline]
    pub(super) fn came_back(&mut self) {
        if self.taken > OPENS {
            // A burst is over: after some more like it, lanes are tried again.
            self.opens = (self.opens / 2).max(OPENS);
        }
        self.taken = 0;
    }

    pub(super) fn are_open(&self) -> bool {
        self.lanes.is_some()
    }

    /// A node from the receiver's lane, unless its run is used up.
    pub(super) fn take(&mut self, class: Class, receiver: usize) -> Option<NonNull<u8>> {
        let lane = self.lane(receiver);
        let before = std::mem::replace(&mut lane.receiver, receiver);
        let node = lane.run.take(class);
        if before == receiver {
            self.fit = (self.fit + FRIEND).min(CREDIT);
        } else if before != 0 {
            self.fit -= 1;
        }
        node
    }

    /// Gives the receiver's lane, which was found used up, a new run, and takes a node from it.
    pub(super) fn lay(&mut self, class: Class, receiver: usize, run: Run) -> Option<NonNull<u8>> {
        let lane = self.lane(receiver);
        lane.run = run;
        lane.run.take(class)
    }

    #[inline]
    fn lane(&mut self, receiver: usize) -> &mut Lane {
        let lanes = self.lanes.get_or_insert_with(|| Box::new([Lane { run: Run::EMPTY, receiver: 0 }; LANES]));
        // Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4), twice: cells lie at equal distances, and once would
        // put a thousand that are 336 bytes apart into 155 lanes.
        const GOLDEN: usize = 0x9E37_79B9_7F4A_7C15_u64 as usize;
        let hash = receiver.wrapping_mul(GOLDEN);
        let hash = (hash ^ hash >> (usize::BITS / 2)).wrapping_mul(GOLDEN) >> (usize::BITS - LANES.ilog2());
        &mut lanes[hash]
    }

    /// Closes the lanes for a good while if they do not fit, and says so.
    #[inline]
    pub(super) fn give_up(&mut self, class: Class, owner: usize) -> bool {
        let unfit = self.fit < -PATIENCE;
        if unfit {
            self.close(class, owner);
            self.opens = RELUCTANCE * OPENS;
        }
        unfit
    }

    /// Gives back what the lanes hold.
    #[cold]
    pub(super) fn close(&mut self, class: Class, owner: usize) {
        (self.taken, self.fit) = (0, BEGIN);
        for lane in self.lanes.take().iter().flat_map(|lanes| lanes.iter()) {
            give_back_run(lane.run, class, owner);
        }
    }
}
