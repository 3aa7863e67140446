//! A load, all of whose answers are checked.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::histogram::Histogram;
use super::model::{Key, Op, Verdict};

/// Keys that each connection owns.
const KEYS: usize = 64;
/// Wrong answers that are told in full.
const TOLD: usize = 5;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Connections at a time.
    pub connections: usize,
    /// Requests of each; reading all back in the end comes on top.
    pub requests: usize,
    /// Requests of each in flight, at most.
    pub pipeline: usize,
    /// Failures of shards meanwhile, by another connection.
    pub failures: usize,
    /// Distinguishes the keys of this load from another one's.
    pub prefix: &'static str,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests that were answered.
    pub answered: u64,
    /// Those of them that met a shard that failed.
    pub failed: u64,
    /// Those of them that were refused, because a shard had too much to do.
    pub refused: u64,
    /// Answers that cannot be.
    pub wrong: u64,
    /// The first of them.
    pub told: Vec<String>,
    /// From the request to its answer.
    pub times: Histogram,
    /// From the beginning to the end.
    pub took: Duration,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.refused += other.refused;
        self.wrong += other.wrong;
        self.told.extend(other.told);
        self.told.truncate(TOLD);
        self.times.merge(&other.times);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speed = self.answered as f64 / self.took.as_secs_f64().max(1e-9);
        let [p50, p99, p999] = [500, 990, 999].map(|part| self.times.permille(part));
        write!(
            f,
            "{} requests in {:.2?}, {speed:.0}/s; p50 {p50:.1?}, p99 {p99:.1?}, p99.9 {p999:.1?}; {} failed, {} refused, {} wrong",
            self.answered, self.took, self.failed, self.refused, self.wrong
        )
    }
}

/// Loads the service at `address`.
pub fn run(address: SocketAddr, plan: &Plan) -> io::Result<Outcome> {
    let begun = Instant::now();
    let results: Vec<io::Result<Outcome>> = thread::scope(|scope| {
        let owners: Vec<_> =
            (0..plan.connections).map(|number| scope.spawn(move || own(address, plan, number))).collect();
        let failer = scope.spawn(move || fail(address, plan));
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        owners.into_iter().chain([failer]).map(join).collect()
    });
    let mut outcome = Outcome::default();
    for result in results {
        outcome.merge(result?);
    }
    outcome.took = begun.elapsed();
    Ok(outcome)
}

/// Splitmix64, by Sebastiano Vigna.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A connection's requests on the way.
struct Owner {
    client: Client,
    names: Vec<String>,
    keys: Vec<Key>,
    sent: VecDeque<(usize, Op, Instant)>,
    outcome: Outcome,
}

impl Owner {
    fn send(&mut self, key: usize, op: Op) {
        let name = &self.names[key];
        match &op {
            Op::Get => self.client.push(&["GET", name]),
            Op::Set(value) => self.client.push(&["SET", name, value]),
            Op::Del => self.client.push(&["DEL", name]),
            Op::Incr => self.client.push(&["INCR", name]),
        }
        self.sent.push_back((key, op, Instant::now()));
    }

    fn receive(&mut self) -> io::Result<()> {
        self.client.flush()?;
        while let Some((key, op, when)) = self.sent.pop_front() {
            let answer = self.client.answer()?;
            let outcome = &mut self.outcome;
            outcome.times.note(when.elapsed());
            outcome.answered += 1;
            match self.keys[key].answered(&op, &answer) {
                Verdict::Right => {}
                Verdict::Failed => outcome.failed += 1,
                Verdict::Refused => outcome.refused += 1,
                Verdict::Wrong => {
                    outcome.wrong += 1;
                    if outcome.told.len() < TOLD {
                        outcome.told.push(format!("{} {op:?}: {answer:?}", self.names[key]));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Writes keys that nobody else writes, and checks what is read.
fn own(address: SocketAddr, plan: &Plan, number: usize) -> io::Result<Outcome> {
    let mut owner = Owner {
        client: Client::connect(address)?,
        names: (0..KEYS).map(|key| format!("{}:{number}:{key}", plan.prefix)).collect(),
        keys: vec![Key::default(); KEYS],
        sent: VecDeque::new(),
        outcome: Outcome::default(),
    };
    let mut random = Random(number as u64);
    for request in 0..plan.requests {
        let key = random.below(KEYS as u64) as usize;
        let op = match random.below(10) {
            0..=3 => Op::Get,
            4..=6 if key.is_multiple_of(2) => Op::Set(format!("{request} {}", "v".repeat(random.below(200) as usize))),
            4 => Op::Set(random.below(1000).to_string()),
            5..=8 => Op::Incr,
            _ => Op::Del,
        };
        owner.send(key, op);
        if owner.sent.len() >= plan.pipeline {
            owner.receive()?;
        }
    }
    owner.receive()?;
    (0..KEYS).for_each(|key| owner.send(key, Op::Get));
    owner.receive()?;
    Ok(owner.outcome)
}

/// Fails shards, one after the other.
fn fail(address: SocketAddr, plan: &Plan) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    if plan.failures == 0 {
        return Ok(outcome);
    }
    let mut client = Client::connect(address)?;
    for failure in 0..plan.failures {
        let key = failure.to_string();
        let answer = loop {
            match client.ask(&["PANIC", &key])? {
                refused if refused.is_error("OVERLOADED") => thread::yield_now(),
                answer => break answer,
            }
        };
        if !answer.is_error("FAILED") {
            outcome.wrong += 1;
            outcome.told.push(format!("PANIC {failure}: {answer:?}"));
        }
    }
    Ok(outcome)
}
