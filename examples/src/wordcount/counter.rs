//! A counter counts the words of one shard.

use std::sync::Arc;

use cuelight::{Actor, Context, Handler};

use super::chunk::Chunk;
use super::tally::{Tally, Totals};

/// A chunk with words of the shard.
pub struct Add(pub Arc<Chunk>);

/// Asks for the sums, and so many of the most frequent words.
pub struct Total {
    /// How many.
    pub top: usize,
}

/// See the module.
pub struct Counter {
    shard: usize,
    tally: Tally,
}

impl Counter {
    /// Makes the counter of `shard`.
    pub fn new(shard: usize) -> Self {
        let tally = Tally::default();
        Self { shard, tally }
    }
}

impl Actor for Counter {}

impl Handler<Add> for Counter {
    type Reply = ();

    fn handle(&mut self, Add(chunk): Add, _: &mut Context<Self>) {
        for word in chunk.words(self.shard) {
            self.tally.add(word);
        }
        Chunk::release(chunk);
    }
}

impl Handler<Total> for Counter {
    type Reply = Totals;

    fn handle(&mut self, Total { top }: Total, _: &mut Context<Self>) -> Totals {
        self.tally.totals(top)
    }
}
