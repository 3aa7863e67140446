//! Messages of several kinds and in several patterns: after a while, none of them allocates at all.

use crate::support::{Count, LIMIT, scaled};
use crate::{live, made, system};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};
use std::thread;
use std::time::{Duration, Instant};

/// Waits without allocating.
pub(crate) fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    for looks in 0_u64.. {
        if condition() {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}");
        if looks < 100 {
            thread::yield_now();
        } else {
            thread::park_timeout(Duration::from_micros(100));
        }
    }
}

/// Runs `round`, which handles `messages`, until ten in a row have allocated nothing.
///
/// The pools keep what a peak needs, for each worker, and which worker runs what is not ours to say. So it is not known
/// which round is the first one that finds everything there; but there must be one.
pub(crate) fn settles(what: &str, messages: u64, mut round: impl FnMut()) {
    const ROUNDS: u32 = 500;
    let (mut quiet, mut total) = (0, 0);
    for number in 1..=ROUNDS {
        let new = made(&mut round);
        total += new;
        quiet = if new == 0 { quiet + 1 } else { 0 };
        if quiet == 10 {
            println!("{what}: {total} allocations, then none for {} messages, in {number} rounds", 10 * messages);
            return;
        }
    }
    panic!("{what}: {total} allocations in {ROUNDS} rounds of {messages} messages, and no ten rounds without");
}

/// Counts, and answers.
struct Word(Count);

impl Actor for Word {}

impl Handler<u64> for Word {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.0.add(1);
        n
    }
}

impl Handler<ReplyTo<u64>> for Word {
    type Reply = ();

    fn handle(&mut self, reply: ReplyTo<u64>, _: &mut Context<Self>) {
        self.0.add(1);
        reply.send(1);
    }
}

/// A message of the largest class that is not boxed.
struct Long([u8; 200]);

impl Handler<Long> for Word {
    type Reply = ();

    fn handle(&mut self, long: Long, _: &mut Context<Self>) {
        self.0.add(u64::from(long.0[0]));
    }
}

/// Passes tokens on along a ring.
struct Link {
    next: Option<ActorRef<Link>>,
    hops: Count,
}

impl Actor for Link {}

impl Handler<ActorRef<Link>> for Link {
    type Reply = ();

    fn handle(&mut self, next: ActorRef<Link>, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<u64> for Link {
    type Reply = ();

    fn handle(&mut self, left: u64, _: &mut Context<Self>) {
        self.hops.add(1);
        if let (Some(next), Some(left)) = (&self.next, left.checked_sub(1)) {
            next.tell(left).expect("running");
        }
    }
}

/// Sends to many, or asks many, when it is told to.
struct Source {
    to: Vec<ActorRef<Word>>,
    left: [u32; 8],
    answers: Count,
}

impl Actor for Source {}

struct SendEach(u64);
struct AskEach;

impl Handler<SendEach> for Source {
    type Reply = ();

    fn handle(&mut self, SendEach(count): SendEach, _: &mut Context<Self>) {
        for to in &self.to {
            (0..count).for_each(|n| to.tell(n).expect("running"));
        }
    }
}

impl Handler<AskEach> for Source {
    type Reply = ();

    fn handle(&mut self, _: AskEach, ctx: &mut Context<Self>) {
        self.left = [100; 8];
        (0..self.to.len()).for_each(|number| self.ask(number, ctx));
    }
}

impl Source {
    /// Asks, and asks again when the answer comes.
    fn ask(&mut self, number: usize, ctx: &mut Context<Self>) {
        ctx.ask(&self.to[number], 7, LIMIT, move |this: &mut Self, answer, ctx: &mut Context<Self>| {
            assert_eq!(answer, Ok(7));
            this.answers.add(1);
            this.left[number] -= 1;
            if this.left[number] > 0 {
                this.ask(number, ctx);
            }
        });
    }
}

/// From outside: to who is idle each time, to who is busy, in batches, with replies that are taken or not.
fn from_outside(words: &[ActorRef<Word>], seen: &Count, name: impl Fn(&str) -> String) {
    let handled = |more: u64, act: &mut dyn FnMut()| {
        let goal = seen.get() + more;
        act();
        until(|| seen.get() == goal);
    };
    settles(&name("tell, one by one"), 100, || {
        (0..100).for_each(|n| handled(1, &mut || words[0].tell(n).expect("running")));
    });
    settles(&name("tell"), 800, || {
        handled(800, &mut || words.iter().for_each(|word| (0..100).for_each(|n| word.tell(n).expect("running"))));
    });
    settles(&name("send_all"), 400, || handled(400, &mut || assert_eq!(words[1].send_all(0..400), Ok(400))));
    settles(&name("long messages"), 100, || {
        handled(100, &mut || (0..100).for_each(|_| words[2].tell(Long([1; 200])).expect("running")));
    });
    settles(&name("ask_with"), 100, || {
        (0..100).for_each(|_| assert_eq!(words[4].ask_with(|reply| reply).wait(), Ok(1)));
    });
    settles(&name("asks that are dropped"), 100, || handled(100, &mut || (0..100).for_each(|n| drop(words[4].ask(n)))));
}

fn between_actors(system: &System, words: &[ActorRef<Word>], seen: &Count, name: impl Fn(&str) -> String) {
    for (length, tokens) in [(2, 1), (100, 1), (100, 50)] {
        let hops = Count::default();
        let ring: Vec<_> = (0..length).map(|_| system.spawn(Link { next: None, hops: hops.clone() })).collect();
        for (link, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            link.tell(next.clone()).expect("running");
        }
        let each = scaled(2000, 100);
        settles(&name(&format!("a ring of {length} with {tokens} tokens")), tokens * each, || {
            let goal = hops.get() + tokens * each;
            (0..tokens).for_each(|n| ring[n as usize % length].tell(each - 1).expect("running"));
            until(|| hops.get() == goal);
        });
        ring.iter().for_each(ActorRef::stop);
    }
    let answers = Count::default();
    let source = system.spawn(Source { to: words.to_vec(), left: [0; 8], answers: answers.clone() });
    settles(&name("a burst to each of eight"), 800, || {
        let goal = seen.get() + 800;
        source.tell(SendEach(100)).expect("running");
        until(|| seen.get() == goal);
    });
    settles(&name("asks of each of eight"), 1600, || {
        let goal = answers.get() + 800;
        source.tell(AskEach).expect("running");
        until(|| answers.get() == goal);
    });
}

pub(crate) fn settle(workers: usize) {
    let (system, seen) = (system(workers), Count::default());
    let words: Vec<_> = (0..8).map(|_| system.spawn(Word(seen.clone()))).collect();
    from_outside(&words, &seen, |what| format!("{workers} workers, {what} from outside"));
    between_actors(&system, &words, &seen, |what| format!("{workers} workers, {what}"));
    system.shutdown(LIMIT).expect("a shutdown");
}

/// The same number of actors again and again, each with a message: what is live with them stays within 1 %.
pub(crate) fn come_and_go(workers: usize) {
    const CHUNK: u64 = 1000;
    let chunks = scaled(50, 5);
    let (system, seen) = (system(workers), Count::default());
    let mut actors = Vec::with_capacity((chunks * CHUNK) as usize);
    let (mut first, mut worst) = (None, 0.0_f64);
    for _ in 0..20 {
        // In chunks, so that what is on its way at most is the same each time.
        for chunk in 0..chunks {
            actors.extend((0..CHUNK).map(|_| system.spawn(Word(seen.clone()))));
            let goal = seen.get() + CHUNK;
            actors[(chunk * CHUNK) as usize..].iter().for_each(|actor| actor.tell(1).expect("running"));
            until(|| seen.get() == goal);
        }
        let now = live() as f64;
        worst = worst.max((now / *first.get_or_insert(now) - 1.0).abs());
        actors.drain(..).for_each(|actor| actor.stop());
        until(|| system.counters().live_actors == 0);
    }
    let count = chunks * CHUNK;
    println!("{workers} workers, {count} actors 20 times: live bytes within {:.2} %", 100.0 * worst);
    // Slabs come in 64 KiB, which is more than 1 % of what few actors take.
    assert!(worst < 0.01 || worst * first.unwrap_or_default() < 256.0 * 1024.0, "{:.2} %", 100.0 * worst);
    system.shutdown(LIMIT).expect("a shutdown");
}
