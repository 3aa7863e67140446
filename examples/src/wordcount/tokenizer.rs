//! A tokenizer finds the words of a chunk and shows each counter its own.

use std::sync::Arc;

use cuelight::{Actor, ActorRef, Context, Handler};

use super::chunk::Chunk;
use super::counter::{Add, Counter};

/// A chunk to find the words of.
pub struct Split(pub Chunk);

/// See the module.
pub struct Tokenizer {
    /// One for each shard.
    counters: Vec<ActorRef<Counter>>,
}

impl Tokenizer {
    /// Makes a tokenizer for `counters`, one for each shard.
    pub fn new(counters: Vec<ActorRef<Counter>>) -> Self {
        Self { counters }
    }
}

impl Actor for Tokenizer {}

impl Handler<Split> for Tokenizer {
    type Reply = ();

    fn handle(&mut self, Split(mut chunk): Split, _: &mut Context<Self>) {
        chunk.divide();
        // The counters share the chunk: no word is copied until one is new to its counter.
        let chunk = Arc::new(chunk);
        for (shard, counter) in self.counters.iter().enumerate() {
            if chunk.words(shard).len() > 0 {
                // A counter that refuses is gone, and the job, which watches it, fails.
                let _ = counter.tell(Add(Arc::clone(&chunk)));
            }
        }
        Chunk::release(chunk);
    }
}
