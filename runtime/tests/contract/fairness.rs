//! Nobody is starved: each case counts who ran meanwhile, and shows it when it fails.

use crate::support::players::{Ball, Player};
use crate::support::puppet::{Block, Puppet};
use crate::support::stage::{Engine, Stage, contract, parallel_contract, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, Mailbox, Overflow, Overrun};
use std::any::type_name;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

contract! {
    a_hot_pair_and_a_thousand_others,
    a_flood_of_a_mailbox_whose_oldest_are_dropped,
}

threads_contract! {
    self_senders_and_a_hundred_thousand_from_outside,
    a_blocked_handler_with_no_worker_left,
}

parallel_contract! {
    a_handler_that_blocks_for_long,
}

/// Counts what it gets, and how often that is not the next number.
struct Tally {
    next: u64,
    got: Count,
    wrong: Count,
}

impl Actor for Tally {}

impl Handler<u64> for Tally {
    type Reply = ();

    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        self.wrong.add(u64::from(n != self.next));
        self.next = n + 1;
        self.got.add(1);
    }
}

/// Each of a thousand is handled, again and again, while a pair on each worker never rests.
fn a_hot_pair_and_a_thousand_others(on: Engine) {
    let stage = Stage::new(on);
    let (stop, balls, got, wrong) = (Gate::default(), Count::default(), Count::default(), Count::default());
    for _ in 0..on.workers() {
        let player = || stage.spawn(Player { stop: stop.clone(), balls: balls.clone() });
        player().tell(Ball(player())).unwrap();
    }
    let count = scaled(1000, 50);
    let others: Vec<_> =
        (0..count).map(|_| stage.spawn(Tally { next: 0, got: got.clone(), wrong: wrong.clone() })).collect();
    let mut played = 0;
    for round in 0..10 {
        eventually("the pairs play", || balls.get() > played);
        played = balls.get();
        others.iter().for_each(|other| other.tell(round).unwrap());
        let all = (round + 1) * count;
        eventually(&format!("all got ball {round}: {}", stage.counters()), || got.get() == all);
    }
    // They went on all the while.
    eventually("the pairs play on", || balls.get() > played);
    assert_eq!(wrong.get(), 0);
    stop.open();
    stage.end();
}

/// Sends to itself until the gate opens.
struct Busy {
    stop: Gate,
    rounds: Count,
}

impl Actor for Busy {}

impl Handler<()> for Busy {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        self.rounds.add(1);
        if !self.stop.is_open() {
            ctx.me().tell(()).unwrap();
        }
    }
}

fn busy(stage: &Stage, count: usize, stop: &Gate) -> Vec<Count> {
    let rounds: Vec<Count> = (0..count).map(|_| Count::default()).collect();
    for rounds in &rounds {
        stage.spawn(Busy { stop: stop.clone(), rounds: rounds.clone() }).tell(()).unwrap();
    }
    rounds
}

/// While all workers have more to do than they can, what comes from outside comes through, in order, and they go on.
fn self_senders_and_a_hundred_thousand_from_outside(on: Engine) {
    let stage = Stage::new(on);
    let (stop, got, wrong) = (Gate::default(), Count::default(), Count::default());
    let rounds = busy(&stage, 2 * on.workers(), &stop);
    eventually("all are busy", || rounds.iter().all(|rounds| rounds.get() > 0));
    let sinks: Vec<_> =
        (0..100).map(|_| stage.spawn(Tally { next: 0, got: got.clone(), wrong: wrong.clone() })).collect();
    let each = scaled(1000, 50);
    for n in 0..each {
        // One after the other is waited for, so that each tell finds an idle actor, or one of few messages.
        sinks.iter().for_each(|sink| sink.tell(n).unwrap());
        if n % 100 == 0 {
            let sent = (n + 1) * 100;
            eventually(&format!("{sent} are handled: {}", stage.counters()), || got.get() == sent);
        }
    }
    eventually(&format!("all are handled: {}", stage.counters()), || got.get() == 100 * each);
    assert_eq!(wrong.get(), 0);
    let before: Vec<u64> = rounds.iter().map(Count::get).collect();
    eventually("each of the busy goes on", || {
        rounds.iter().zip(&before).all(|(rounds, before)| rounds.get() > *before)
    });
    // It came by the way for what comes from outside.
    let counters = stage.counters();
    assert!(counters.workers.iter().map(|worker| worker.injector_takes).sum::<u64>() > 0, "{counters}");
    stop.open();
    stage.end();
}

fn watched(on: Engine) -> (Stage, Shared<Vec<Overrun>>) {
    let reports: Shared<Vec<Overrun>> = Shared::default();
    let kept = reports.clone();
    let hook = move |overrun| kept.with(|kept| kept.push(overrun));
    (Stage::of(on.builder().watchdog(Duration::from_millis(20), hook)), reports)
}

/// The reports of one whose handler blocks. A slow machine may hold up others, too, and hooks.
fn of(reports: &Shared<Vec<Overrun>>, actor: &ActorRef<Puppet>, ended: bool) -> usize {
    let blocks = |each: &&Overrun| each.actor == actor.id() && each.message == Some(type_name::<Block>());
    reports.with(|reports| reports.iter().filter(blocks).filter(|each| each.ended == ended).count())
}

/// However long one blocks, everything else goes on; it is reported while it does.
fn a_handler_that_blocks_for_long(on: Engine) {
    let (stage, reports) = watched(on);
    let (stop, gate) = (Gate::default(), Gate::default());
    let a = stage.puppet("a");
    a.tell(Block(gate.clone())).unwrap();
    let rounds = busy(&stage, 2 * on.workers(), &stop);
    let of_a = |ended| of(&reports, &a, ended);
    eventually("it is reported", || of_a(false) == 1);
    for _ in 0..5 {
        let before: Vec<u64> = rounds.iter().map(Count::get).collect();
        eventually(&format!("all go on: {}", stage.counters()), || {
            rounds.iter().zip(&before).all(|(rounds, before)| rounds.get() > before + 100)
        });
        assert_eq!(stage.puppet("b").ask(1).timeout(LIMIT).wait(), Ok(2));
    }
    assert_eq!((of_a(false), of_a(true)), (1, 0), "once, for it has not ended");
    gate.open();
    eventually("its end is reported", || of_a(true) == 1);
    stop.open();
    stage.end();
}

/// Where no worker is left work waits, the watchdog says for whom, and all of it is done afterwards.
fn a_blocked_handler_with_no_worker_left(on: Engine) {
    let (stage, reports) = watched(on);
    let gate = Gate::default();
    let blocked: Vec<_> = (0..on.workers()).map(|_| stage.puppet("a")).collect();
    blocked.iter().for_each(|a| a.tell(Block(gate.clone())).unwrap());
    eventually("all are reported", || blocked.iter().all(|a| of(&reports, a, false) > 0));
    let b = stage.puppet("b");
    let asked = b.ask(1);
    assert_eq!(stage.log.of("b"), Vec::<String>::new(), "no worker is left");
    gate.open();
    assert_eq!(asked.timeout(LIMIT).wait(), Ok(2));
    stage.end();
}

/// Sends a few messages to one whose mailbox has room for one, and does it again until that one has handled something.
struct Flood {
    to: ActorRef<Sink>,
    got: Arc<AtomicBool>,
}

struct Sink(Arc<AtomicBool>);

impl Actor for Sink {}

impl Handler<u64> for Sink {
    type Reply = ();

    fn handle(&mut self, _: u64, _: &mut Context<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Actor for Flood {}

impl Handler<u64> for Flood {
    type Reply = ();

    fn handle(&mut self, left: u64, ctx: &mut Context<Self>) {
        if left == 0 || self.got.load(Ordering::Relaxed) {
            return;
        }
        for n in 0..3 {
            self.to.tell(n).unwrap();
        }
        ctx.me().tell(left - 1).unwrap();
    }
}

fn a_flood_of_a_mailbox_whose_oldest_are_dropped(on: Engine) {
    // Threads flood it for as long as it takes: another worker may be slow to come. A simulation has an end.
    let rounds = if matches!(on, Engine::Simulated { .. }) { 20_000 } else { u64::MAX };
    let stage = Stage::new(on);
    let got = Arc::new(AtomicBool::new(false));
    let sunk = got.clone();
    let mailbox = Mailbox::bounded(1, Overflow::DropOldest);
    let to = stage.actor(move || Sink(sunk.clone())).mailbox(mailbox).spawn().unwrap();
    let flood = stage.spawn(Flood { to, got: got.clone() });
    flood.tell(rounds).unwrap();
    eventually("it handles one", || got.load(Ordering::Relaxed));
    stage.quiet();
    // While they came, and not when they had ended.
    assert!(stage.end().sent / 4 < rounds);
}
