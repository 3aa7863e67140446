//! What counting found: the public side of the counters.
//!
//! Promise: values, not handles; [`Counters::in_flight`] is never negative.
//!
//! How: read once, sinks first; the argument is in the module above.
//!
//! Gives up: nothing is compared with an earlier snapshot; subtract (wrapping) two of them for a rate.

use std::fmt;

use super::{OutsideMetrics, WorkerMetrics};

/// What became of a system's messages and actors, and what its workers did, at about one moment.
///
/// Every message that was sent is handled, given back to its sender in an `Err`, dead-lettered, or still in flight;
/// exactly one of them. The counts are of slightly different moments, read such that [`in_flight`](Self::in_flight) is
/// never negative and is zero when nothing is in flight. Reading takes some twenty loads a worker and disturbs nobody.
///
/// Counts since the system began; they wrap at 2^64. Dead letters are not counted again, but show as in flight on their way to
/// a listener. `Display` prints a small table.
///
/// # Examples
/// ```
/// let system = cuelight::System::builder().workers(2).build()?;
/// let counters = system.counters();
/// let fates = counters.handled + counters.returned + counters.dead_lettered;
/// assert_eq!(counters.in_flight(), counters.sent - fates);
/// assert!(counters.to_string().starts_with("messages  sent 0 = handled 0 + returned 0"));
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages that were sent, whatever became of them; continuations and notices too. A clone that takes the place of a message
    /// whose handler panicked counts here again, see [`ActorBuilder::retry`](crate::ActorBuilder::retry).
    pub sent: u64,
    /// Messages that a handler was called with, also when it panicked: each attempt.
    pub handled: u64,
    /// Messages given back to their sender in an `Err`.
    pub returned: u64,
    /// Messages that went to the dead letters without having been handled, and clones that did in the end.
    pub dead_lettered: u64,
    /// Actors that have been spawned and whose life has not ended.
    pub live_actors: u64,
    /// Replies that came after their asker had gone.
    pub late_replies: u64,
    /// Restarts of actors; those too whose factory or `started` then panicked.
    pub restarts: u64,
    /// Attempts to handle a message after one that panicked. (Each is in `handled`, too.)
    pub retries: u64,
    /// Messages whose handler panicked as often as they were to be tried. (Each is in `dead_lettered`, too.)
    pub poisoned: u64,
    /// What each worker did, by its index.
    pub workers: Vec<WorkerCounters>,
}

/// What one worker did since its system began. `Display` prints a row of [`Counters`]' table.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, System};
/// # struct Echo;
/// # impl Actor for Echo {}
/// # impl Handler<u8> for Echo { type Reply = u8; fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n } }
/// let system = System::builder().workers(1).build()?;
/// system.spawn(Echo).ask(1).wait()?;
/// let worker = &system.counters().workers[0];
/// assert_eq!((worker.messages, worker.steals_tried), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounters {
    /// Messages it handled, dead letters too.
    pub messages: u64,
    /// Times it ran an actor, with a batch of messages each.
    pub activations: u64,
    /// Times it looked at another worker's queue for work.
    pub steals_tried: u64,
    /// Times it got some.
    pub steals_won: u64,
    /// Actors it got that way.
    pub stolen: u64,
    /// Actors it handed back after a theft, because the workers together handled hardly more than before.
    pub handed_back: u64,
    /// Times it went to sleep.
    pub parks: u64,
    /// Rounds of spinning before it slept or found work.
    pub spins: u64,
    /// Workers it woke.
    pub wakes: u64,
    /// Actors it took from the queue that outside threads fill.
    pub injector_takes: u64,
    /// Actors it ran directly after the one that had woken them.
    pub slot_takes: u64,
    /// Timers it fired.
    pub timers_fired: u64,
}

impl Counters {
    /// Returns how many messages have been sent and have not met their fate yet: queued, or about to be counted. One that is
    /// being handled counts as handled.
    ///
    /// Never negative, and zero after a completed shutdown. There is an example above.
    pub fn in_flight(&self) -> u64 {
        let fates = self.handled.wrapping_add(self.returned).wrapping_add(self.dead_lettered);
        self.sent.wrapping_sub(fates)
    }
}

/// Fates before `sent`, and `ended` before `spawned`: see the module above.
pub(super) fn read<'a>(
    workers: impl Iterator<Item = &'a WorkerMetrics> + Clone,
    outside: impl Iterator<Item = &'a OutsideMetrics> + Clone,
) -> Counters {
    let (mut ended, mut letters, mut lost) = (0_u64, 0_u64, 0_u64);
    let mut counters = Counters::default();
    for worker in workers.clone() {
        // Before `handled`.
        add(&mut letters, worker.letters.read());
        let messages = worker.handled.read();
        add(&mut counters.handled, messages);
        add(&mut counters.returned, worker.returned.read());
        add(&mut counters.dead_lettered, worker.dead_lettered.read());
        add(&mut ended, worker.ended.read());
        add(&mut lost, worker.letters_lost.read());
        add(&mut counters.late_replies, worker.late_replies.read());
        add(&mut counters.restarts, worker.restarts.read());
        add(&mut counters.retries, worker.retries.read());
        add(&mut counters.poisoned, worker.poisoned.read());
        counters.workers.push(WorkerCounters {
            messages,
            activations: worker.activations.read(),
            steals_tried: worker.steals_tried.read(),
            steals_won: worker.steals_won.read(),
            stolen: worker.stolen.read(),
            handed_back: worker.handed_back.read(),
            parks: worker.parks.read(),
            spins: worker.spins.read(),
            wakes: worker.wakes.read(),
            injector_takes: worker.injector_takes.read(),
            slot_takes: worker.slot_takes.read(),
            timers_fired: worker.timers_fired.read(),
        });
    }
    for shard in outside.clone() {
        add(&mut letters, shard.letters.read());
        add(&mut counters.handled, shard.handled.read());
        add(&mut counters.returned, shard.returned.read());
        add(&mut counters.dead_lettered, shard.dead_lettered.read());
        add(&mut ended, shard.ended.read());
        add(&mut lost, shard.letters_lost.read());
        add(&mut counters.late_replies, shard.late_replies.read());
        add(&mut counters.restarts, shard.restarts.read());
        add(&mut counters.retries, shard.retries.read());
        add(&mut counters.poisoned, shard.poisoned.read());
    }
    // Nothing above may move below this line.
    let mut spawned = 0_u64;
    let mut source = |sent: u64, made: u64| {
        add(&mut counters.sent, sent);
        add(&mut spawned, made);
    };
    workers.for_each(|worker| source(worker.sent.read(), worker.spawned.read()));
    outside.for_each(|shard| source(shard.sent.read(), shard.spawned.read()));
    counters.sent = counters.sent.wrapping_sub(letters.wrapping_add(lost));
    counters.handled = counters.handled.wrapping_sub(letters);
    counters.live_actors = spawned.wrapping_sub(ended);
    counters
}

fn add(sum: &mut u64, count: u64) {
    *sum = sum.wrapping_add(count);
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { sent, handled, returned, dead_lettered, live_actors, .. } = self;
        writeln!(f, "messages  sent {sent} = handled {handled} + returned {returned}")?;
        writeln!(f, "          + dead-lettered {dead_lettered} + in flight {}", self.in_flight())?;
        write!(f, "actors    {live_actors} live")?;
        if !self.workers.is_empty() {
            write!(
                f,
                "\n{:>6} {:>14} {:>12} {:>10} {:>16} {:>10} {:>8} {:>8} {:>12} {:>8} {:>10} {:>8}",
                "worker",
                "messages",
                "activations",
                "slot",
                "steals won/tried",
                "stolen",
                "back",
                "injector",
                "spins",
                "parks",
                "wakes",
                "timers",
            )?;
        }
        for (index, worker) in self.workers.iter().enumerate() {
            write!(f, "\n{index:>6} {worker}")?;
        }
        Ok(())
    }
}

/// The columns of a row in [`Counters`]' table.
impl fmt::Display for WorkerCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>14} {:>12} {:>10} {:>16} {:>10} {:>8} {:>8} {:>12} {:>8} {:>10} {:>8}",
            self.messages,
            self.activations,
            self.slot_takes,
            format!("{}/{}", self.steals_won, self.steals_tried),
            self.stolen,
            self.handed_back,
            self.injector_takes,
            self.spins,
            self.parks,
            self.wakes,
            self.timers_fired,
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Counter, Metrics, Shared};
    use super::*;
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::sync::{Arc, Mutex, thread};

    /// Each fate about to wrap, and `sent` the sum of them.
    fn near_the_end() -> WorkerMetrics {
        let last = || Counter::starting_at(u64::MAX);
        WorkerMetrics {
            sent: Counter::starting_at(u64::MAX - 2),
            handled: last(),
            returned: last(),
            dead_lettered: last(),
            spawned: last(),
            ended: last(),
            ..WorkerMetrics::default()
        }
    }

    fn read_all(workers: &[WorkerMetrics], outside: &OutsideMetrics) -> Counters {
        read(workers.iter(), std::iter::once(outside))
    }

    #[test]
    fn differences_survive_wrapping() {
        let workers = [near_the_end(), near_the_end()];
        let outside = OutsideMetrics { sent: Shared::starting_at(0), ..OutsideMetrics::default() };
        assert_eq!(read_all(&workers, &outside).in_flight(), 0);
        assert_eq!(read_all(&workers, &outside).live_actors, 0);
        workers[0].sent.add(10);
        outside.sent.add(2);
        outside.spawned.add(1);
        workers[1].spawned.add(3);
        assert_eq!(read_all(&workers, &outside).in_flight(), 12);
        workers[1].handled.add(7);
        workers[0].returned.add(1);
        outside.dead_lettered.add(1);
        workers[0].ended.add(2);
        let counters = read_all(&workers, &outside);
        assert_eq!((counters.in_flight(), counters.live_actors), (3, 2));
    }

    #[test]
    fn in_flight_is_never_negative() {
        const EACH: u64 = 50_000;
        let metrics = Arc::new(Metrics::new(2));
        let queue = Arc::new(Mutex::new(Vec::new()));
        let done = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for worker in 0..2 {
            let (metrics, queue) = (metrics.clone(), queue.clone());
            let work = move || {
                let mine = metrics.worker(worker);
                let mut handled = 0;
                while handled < EACH {
                    if let Some(()) = queue.lock().pop() {
                        mine.handled.add(1);
                        handled += 1;
                    } else {
                        thread::yield_now();
                    }
                    mine.sent.add(1);
                    mine.returned.add(1);
                }
            };
            threads.push(thread::Builder::new().spawn(work).unwrap());
        }
        let sender = {
            let (metrics, queue) = (metrics.clone(), queue.clone());
            let send = move || {
                for _ in 0..2 * EACH {
                    metrics.outside().sent.add(1);
                    queue.lock().push(());
                }
            };
            thread::Builder::new().spawn(send).unwrap()
        };
        threads.push(sender);
        let reader = {
            let (metrics, done) = (metrics.clone(), done.clone());
            let read = move || {
                // Ordering: Relaxed, only whether to go on; a later look will do.
                while !done.load(Ordering::Relaxed) {
                    let in_flight = metrics.snapshot().in_flight();
                    assert!(in_flight < u64::MAX / 2, "{in_flight} in flight");
                }
            };
            thread::Builder::new().spawn(read).unwrap()
        };
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // Ordering: Relaxed, as the load above.
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        let counters = metrics.snapshot();
        assert_eq!((counters.in_flight(), counters.handled), (0, 2 * EACH));
        assert_eq!(counters.workers.iter().map(|worker| worker.messages).sum::<u64>(), 2 * EACH);
    }

    #[test]
    fn prints_a_table() {
        let metrics = Metrics::new(2);
        metrics.worker(1).handled.add(64);
        metrics.worker(1).steals_tried.add(9);
        metrics.worker(1).steals_won.add(2);
        metrics.outside().sent.add(70);
        metrics.outside().spawned.add(3);
        let table = metrics.snapshot().to_string();
        assert!(table.contains("sent 70 = handled 64 + returned 0"), "{table}");
        assert!(table.contains("in flight 6"), "{table}");
        assert!(table.contains("3 live"), "{table}");
        let widths: Vec<usize> = table.lines().skip(3).map(str::len).collect();
        assert_eq!(widths.len(), 3);
        assert!(widths.iter().all(|&width| width == widths[0]), "{table}");
        assert!(table.lines().nth(5).is_some_and(|row| row.contains("2/9")), "{table}");
    }

    #[test]
    fn a_worker_has_lines_of_its_own() {
        let metrics = Metrics::new(2);
        let at = |worker| std::ptr::from_ref(&**metrics.worker(worker)).addr();
        assert!(at(0) % 64 == 0 && at(1).abs_diff(at(0)) >= 128);
    }
}
