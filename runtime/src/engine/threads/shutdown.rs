//! The end of the threads.

use super::Threads;
use crate::kernel::local;
use crate::sync::thread::{JoinHandle, is_finished};
use crate::sync::{Condvar, Mutex};
use crate::time::{Clock, Tick};

/// Who has left.
pub(crate) struct Exits {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: usize,
    /// Somebody joins the threads: others wait until that is done.
    joining: bool,
    handles: Vec<JoinHandle<()>>,
}

/// A thread that holds a shutdown up, and whom it runs.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// `None` on a thread of the actor's own.
    pub(crate) worker: Option<usize>,
    pub(crate) actor: local::Held,
}

/// Counts a worker out when its thread ends, however it ends.
pub(crate) struct Leaving<'a>(pub(crate) &'a Threads);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let exits = &self.0.exits;
        exits.state.lock().running -= 1;
        exits.changed.notify_all();
    }
}

impl Exits {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            state: Mutex::new(State { running: workers, joining: false, handles: Vec::new() }),
            changed: Condvar::new(),
        }
    }
}

impl Threads {
    /// Keeps the threads' handles for the join.
    pub(crate) fn keep(&self, handles: Vec<JoinHandle<()>>) {
        self.exits.state.lock().handles.extend(handles);
    }

    /// One more thread may begin, and is waited for, too. False once the end has come: nobody might join it.
    pub(super) fn admit_one(&self) -> bool {
        let mut state = self.exits.state.lock();
        let admitted = !self.is_terminated();
        state.running += usize::from(admitted);
        // Those that have ended give their memory to the next when they are joined.
        let (ended, kept) = std::mem::take(&mut state.handles).into_iter().partition(is_finished);
        state.handles = kept;
        drop(state);
        let ended: Vec<JoinHandle<()>> = ended;
        for handle in ended {
            // It has caught the panics of user code.
            let _ = handle.join();
        }
        admitted
    }

    /// One more thread is about to begin: it is waited for, too.
    pub(crate) fn expect_one(&self) {
        self.exits.state.lock().running += 1;
    }

    /// Workers that were planned and never began.
    pub(crate) fn never_began(&self, count: usize) {
        self.exits.state.lock().running -= count;
    }

    /// Ends all workers once they find nothing to do, and threads that wait for an actor. Only when no actor is left.
    pub(crate) fn terminate(&self) {
        self.sleep.terminate();
        self.watch.unpark();
        self.owns().iter().for_each(|own| own.unpark());
    }

    /// Whether the workers have been told to end.
    pub(crate) fn is_terminated(&self) -> bool {
        self.sleep.is_terminated()
    }

    /// Waits until every thread has ended, until `deadline` at most, and joins them.
    pub(crate) fn join(&self, clock: &Clock, deadline: Tick) -> Result<(), Vec<Held>> {
        let mut state = self.exits.state.lock();
        while state.running > 0 || state.joining {
            let left = deadline.since(clock.now());
            if left.is_zero() {
                drop(state);
                return Err(self.held());
            }
            state = if deadline == Tick::NEVER {
                self.exits.changed.wait(state)
            } else {
                self.exits.changed.wait_timeout(state, left)
            };
        }
        let handles = std::mem::take(&mut state.handles);
        if handles.is_empty() {
            return Ok(());
        }
        state.joining = true;
        drop(state);
        for handle in handles {
            // A worker catches the panics of user code; one of its own was already printed by the panic hook.
            let _ = handle.join();
        }
        self.exits.state.lock().joining = false;
        self.exits.changed.notify_all();
        Ok(())
    }

    fn held(&self) -> Vec<Held> {
        let held = |(worker, remote): (usize, &crate::sync::Arc<crossbeam_utils::CachePadded<super::Remote>>)| {
            remote.holder.get().map(|actor| Held { worker: Some(worker), actor })
        };
        let workers = self.remotes.iter().enumerate().filter_map(held);
        let owns = self.owns();
        let own = owns.iter().filter_map(|own| own.holder.get()).map(|actor| Held { worker: None, actor });
        workers.chain(own).collect()
    }
}
