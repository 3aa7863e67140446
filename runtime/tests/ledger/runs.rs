//! How a run goes, and one seed after the other.

use super::books::{Ledger, read};
use super::sender::{Role, Sender, World};
use crate::support::random::Random;
use crate::support::{LIMIT, eventually};
use cuelight::{Budget, System};
use std::thread;
use std::time::{Duration, Instant};

/// Threads from outside.
const OUTSIDE: u64 = 3;

/// The budget of a seed's run.
pub(crate) fn budget(seed: u64, random: &mut Random) -> Budget {
    match seed % 3 {
        0 => Budget { messages: 1 + random.below(100) as u32, ..Budget::default() },
        1 => Budget { time: Duration::from_micros(1 + random.below(50)), ..Budget::default() },
        _ => Budget::default(),
    }
}

/// Lets threads from outside send, and one of them `reap`, until as many messages are made as the `goal` says; with a busy
/// end the system is shut down shortly before.
pub(crate) fn crowd<M: Role>(system: &System, world: &World<M>, goal: u64, busy_end: bool, reap: fn(&World<M>)) {
    let ledger: &'static Ledger = world.ledger;
    let mut threads = Vec::new();
    for _ in 0..OUTSIDE {
        let world = world.clone();
        threads.push(thread::spawn(move || {
            let mut me = Sender::new(&world);
            while !world.ledger.is_over() {
                for _ in 0..20 {
                    me.send_some();
                }
                me.ask();
                me.tell_in_time();
            }
        }));
    }
    let reaped = world.clone();
    threads.push(thread::spawn(move || reap(&reaped)));
    if busy_end {
        eventually("most of the messages", || read(&ledger.next) > goal / 10 * 9);
        system.shutdown(LIMIT).expect("a shutdown");
        ledger.finish();
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread from outside"));
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs `CUELIGHT_SEED`, or four seeds, or one after the other until `wanted` messages were sent. `run` says how many it was.
/// Returns the number of runs, and the messages of all.
pub(crate) fn seeds(workers: usize, wanted: Option<u64>, run: impl Fn(u64) -> u64) -> (u64, u64) {
    let seed = number("CUELIGHT_SEED");
    let least = if seed.is_some() { 1 } else { 4 };
    let (begin, mut messages, mut runs) = (Instant::now(), 0, 0);
    while wanted.map_or(runs < least, |wanted| messages < wanted) {
        let seed = seed.unwrap_or(1) + runs;
        println!("{workers} workers, CUELIGHT_SEED={seed}");
        messages += run(seed);
        runs += 1;
    }
    println!("{workers} workers, {runs} seeds: {messages} messages in {:.1?}", begin.elapsed());
    (runs, messages)
}
