//! `std::sync::mpsc::channel` for tests: ThreadSanitizer, which sees nothing of what goes on in `std`, sees this one's
//! hand-over.

use super::Shared;
use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, SendError};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    is_heard: bool,
}

/// The end that sends.
#[derive(Debug)]
pub(crate) struct Sender<T>(Shared<State<T>>);

/// The end that receives.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Shared<State<T>>);

/// A channel without a bound.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = Shared::new(State { queue: VecDeque::new(), senders: 1, is_heard: true });
    (Sender(state.clone()), Receiver(state))
}

impl<T> Sender<T> {
    pub(crate) fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.with(|state| {
            if !state.is_heard {
                return Err(SendError(value));
            }
            state.queue.push_back(value);
            Ok(())
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.with(|state| state.senders += 1);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.with(|state| state.senders -= 1);
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let begin = Instant::now();
        loop {
            let (first, gone) = self.0.with(|state| (state.queue.pop_front(), state.senders == 0));
            match first {
                Some(value) => return Ok(value),
                None if gone => return Err(RecvTimeoutError::Disconnected),
                None if begin.elapsed() >= timeout => return Err(RecvTimeoutError::Timeout),
                None => thread::park_timeout(Duration::from_micros(200)),
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.0.with(|state| {
            state.is_heard = false;
            std::mem::take(&mut state.queue)
        });
        drop(left);
    }
}
