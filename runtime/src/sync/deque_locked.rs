//! `sync::deque` behind a lock, for ThreadSanitizer.
//!
//! **Promise.** The surface of `sync::deque` and its order.
//!
//! **How.** A `VecDeque` under `sync`'s mutex. The real deque's thieves read entries that the owner may be overwriting
//! and throw away what they read when the race is lost; ThreadSanitizer rightly calls that a data race, and would need a
//! suppression.
//!
//! **Gives up.** Speed, `Retry`, and a little strictness: takers also wait for each other, which orders more than the
//! real one promises. What hangs on that is for the models.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;

use super::{Steal, Word};
use crate::sync::{Arc, Mutex};

type Queue<T> = Mutex<VecDeque<T>>;

/// Takes the front and moves `extra` of the other entries, as it says of their number, to `dest`.
fn take<T: Word>(queue: &Queue<T>, dest: &Worker<T>, extra: impl Fn(usize) -> usize) -> Steal<T> {
    let mut entries = queue.lock();
    let Some(first) = entries.pop_front() else { return Steal::Empty };
    let extra = extra(entries.len());
    drop(entries);
    // Never two locks at once: another thief may go the opposite way. And one by one: a batch would be an allocation.
    for _ in 0..extra {
        let Some(entry) = queue.lock().pop_front() else { break };
        dest.queue.lock().push_back(entry);
    }
    Steal::Success(first)
}

/// A worker's own queue: see `sync::deque`.
pub struct Worker<T: Word> {
    queue: Arc<Queue<T>>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Word> Worker<T> {
    pub fn new_fifo() -> Self {
        Worker { queue: Arc::new(Mutex::new(VecDeque::new())), not_sync: PhantomData }
    }

    pub fn stealer(&self) -> Stealer<T> {
        Stealer { queue: self.queue.clone() }
    }

    pub fn push(&self, entry: T) {
        self.queue.lock().push_back(entry);
    }

    pub fn pop(&self) -> Option<T> {
        self.queue.lock().pop_front()
    }

    pub fn len(&self) -> usize {
        self.queue.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A thief's handle: see `sync::deque`.
pub struct Stealer<T: Word> {
    queue: Arc<Queue<T>>,
}

impl<T: Word> Stealer<T> {
    pub fn steal(&self) -> Steal<T> {
        self.queue.lock().pop_front().map_or(Steal::Empty, Steal::Success)
    }

    pub fn steal_batch_with_limit_and_pop(&self, dest: &Worker<T>, limit: usize) -> Steal<T> {
        assert!(limit > 0);
        if Arc::ptr_eq(&self.queue, &dest.queue) {
            return self.steal();
        }
        take(&self.queue, dest, |others| (others / 2).min(limit - 1))
    }

    pub fn len(&self) -> usize {
        self.queue.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Word> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Stealer { queue: self.queue.clone() }
    }
}
