//! Messages by the clock: never early, at most once, and gone with their actor.

use crate::support::letters::number;
use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, parallel_contract};
use crate::support::{Count, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, System, TimerKey};
use std::ops::Range;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

contract! {
    none_is_early,
    the_longest_never_comes,
    a_cancelled_one_never_comes,
    a_key_names_one_timer_of_one_actor,
    large_messages,
    counted_as_sent,
    gone_with_a_stop,
    gone_with_a_drain,
    gone_with_a_panic,
    gone_with_the_system,
    gone_with_an_actor_that_asks,
    an_ask_and_its_timer,
    drops_that_panic,
    a_storm_against_stops,
}

parallel_contract! {
    cancelled_when_it_is_queued,
    the_dead_letter_of_a_queued_one,
    one_that_comes_while_its_actor_drains,
}

/// Takes messages that are due at a time.
struct Clock {
    early: Count,
    came: Count,
}

impl Actor for Clock {}

struct Due(Instant);

impl Handler<Due> for Clock {
    type Reply = ();

    fn handle(&mut self, Due(at): Due, ctx: &mut Context<Self>) {
        if ctx.now() < at {
            self.early.add(1);
        }
        self.came.add(1);
    }
}

/// Delays of timers to set.
struct Set(Vec<Duration>);

impl Handler<Set> for Clock {
    type Reply = ();

    fn handle(&mut self, Set(delays): Set, ctx: &mut Context<Self>) {
        for delay in delays {
            // What was read before the delay began.
            let at = ctx.now() + delay;
            ctx.send_after(delay, Due(at));
        }
    }
}

fn none_is_early(on: Engine) {
    let stage = Stage::new(on);
    let (early, came) = (Count::default(), Count::default());
    let clock = stage.spawn(Clock { early: early.clone(), came: came.clone() });
    let nanos = [0, 1, 999, 1_000, 999_999, 1_000_000, 1_000_001, 1_999_999, 20_000_000, 70_000_000];
    for round in 0..20_u64 {
        let delays = nanos.iter().map(|n| Duration::from_nanos(n + round * 77_777)).collect();
        clock.ask(Set(delays)).wait().unwrap();
    }
    came.reaches(200);
    assert_eq!(early.get(), 0);
    stage.end();
}

/// Sets many timers, takes some back, and knows what may still come.
#[derive(Default)]
struct Planner {
    /// By number; gone when it has come or was taken back.
    keys: Vec<Option<TimerKey>>,
    came: Count,
    cancelled: Count,
    wrong: Count,
}

impl Actor for Planner {}

struct Numbered(usize, Instant);

impl Handler<Numbered> for Planner {
    type Reply = ();

    fn handle(&mut self, Numbered(number, due): Numbered, ctx: &mut Context<Self>) {
        let expected = self.keys[number].take().is_some();
        self.wrong.add(u64::from(!expected || ctx.now() < due));
        self.came.add(1);
    }
}

/// Delays of timers to set.
struct Plan(Vec<Duration>);

impl Handler<Plan> for Planner {
    type Reply = ();

    fn handle(&mut self, Plan(delays): Plan, ctx: &mut Context<Self>) {
        for delay in delays {
            let due = ctx.now() + delay;
            let key = ctx.send_after(delay, Numbered(self.keys.len(), due));
            self.keys.push(Some(key));
        }
    }
}

/// Numbers of timers to take back.
struct Forget(Range<usize>);

impl Handler<Forget> for Planner {
    type Reply = ();

    fn handle(&mut self, Forget(numbers): Forget, ctx: &mut Context<Self>) {
        // The even ones. What has not come is there to be taken back, queued or not.
        for number in numbers.filter(|number| number % 2 == 0) {
            if let Some(key) = self.keys[number].take() {
                self.wrong.add(u64::from(!ctx.cancel(key)));
                self.cancelled.add(1);
            }
        }
    }
}

#[test]
fn a_million_and_half_of_them_cancelled() {
    const PARTS: u64 = 100;
    let stage = Stage::new(Engine::threads(2));
    let planner = Planner::default();
    let (came, cancelled, wrong) = (planner.came.clone(), planner.cancelled.clone(), planner.wrong.clone());
    let planner = stage.spawn(planner);
    let each = scaled(1_000_000, 1_000) / PARTS;
    for part in 0..PARTS {
        let delay = |n: u64| Duration::from_micros((n * 7_919 + part) % 300_000);
        planner.tell(Plan((0..each).map(delay).collect())).unwrap();
        // Some when they have just been set, most when their time has come, and their message is queued behind all this.
        let (first, last) = (part / 2 * each, (part / 2 + 1) * each);
        planner.tell(Forget(first as usize..last as usize)).unwrap();
    }
    planner.tell(Forget((PARTS / 2 * each) as usize..(PARTS * each) as usize)).unwrap();
    eventually("all came or were taken back", || came.get() + cancelled.get() >= PARTS * each);
    stage.quiet();
    let counters = stage.end();
    println!("{} came, {} were taken back", came.get(), cancelled.get());
    assert_eq!((came.get() + cancelled.get(), wrong.get()), (PARTS * each, 0));
    // Those taken back when they were queued are among what was handled.
    assert!((came.get()..=PARTS * each).contains(&(counters.handled - 2 * PARTS - 1)), "{counters}");
}

fn the_longest_never_comes(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let drops = Count::default();
    let token = Token::new(1, &drops);
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let never = ctx.send_after(Duration::MAX, token);
        ctx.send_after(Duration::MAX - Duration::from_nanos(1), 1_u64);
        ctx.send_every(Duration::MAX, 2_u64);
        ctx.send_after(5 * MS, 3_u64);
        ctx.send_after(10 * MS, run(move |this, ctx| this.says(ctx.cancel(never))));
        this.says("sets");
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "sets", "gets 3", "true"]);
    drops.reaches(1);
    stage.end();
}

fn a_cancelled_one_never_comes(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let drops = Count::default();
    let tokens: Vec<Token> = (0..10).map(|n| Token::new(n, &drops)).collect();
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let keys: Vec<TimerKey> = tokens.into_iter().map(|token| ctx.send_after(MS, token)).collect();
        for key in &keys[..9] {
            assert!(ctx.cancel(*key));
            assert!(!ctx.cancel(*key));
        }
        this.says("sets");
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "sets", "gets 9"]);
    drops.reaches(10);
    stage.quiet();
    assert_eq!(stage.log.of("a").len(), 3);
    stage.end();
}

fn a_key_names_one_timer_of_one_actor(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let key = Shared::new(None);
    let place = key.clone();
    a.ask(run(move |_, ctx| place.with(|key| *key = Some(ctx.send_after(Duration::ZERO, 1_u64))))).wait().unwrap();
    stage.log.expect("a", &["starts", "gets 1"]);
    let key = key.with(Option::take).unwrap();
    for puppet in [&a, &b] {
        let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
            this.says(ctx.cancel(key));
            // In the same slot of the actor's table, and still another timer.
            let other = ctx.send_after(HOUR, 2_u64);
            this.says(ctx.cancel(key));
            this.says(ctx.cancel(other));
        };
        puppet.ask(run(part)).wait().unwrap();
    }
    stage.log.expect("a", &["starts", "gets 1", "false", "false", "true"]);
    stage.log.expect("b", &["starts", "false", "false", "true"]);
    stage.end();
}

/// Sums up what it gets.
struct Large(Shared<Vec<u64>>);

impl Actor for Large {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.send_after(MS, [1_u64; 1000]);
        ctx.send_every(4 * MS, [2_u64; 1000]);
        ctx.send_every(4 * MS, Aligned(3));
        ctx.send_after(6 * MS, Aligned(4));
    }
}

impl Handler<[u64; 1000]> for Large {
    type Reply = ();

    fn handle(&mut self, numbers: [u64; 1000], _: &mut Context<Self>) {
        self.0.with(|sums| sums.push(numbers.iter().sum()));
    }
}

#[derive(Clone)]
#[repr(align(64))]
struct Aligned(u64);

impl Handler<Aligned> for Large {
    type Reply = ();

    fn handle(&mut self, message: Aligned, _: &mut Context<Self>) {
        assert_eq!((&raw const message).addr() % 64, 0);
        self.0.with(|sums| sums.push(message.0));
    }
}

fn large_messages(on: Engine) {
    let stage = Stage::new(on);
    let sums = Shared::default();
    stage.spawn(Large(sums.clone()));
    let seen = |sum: u64| sums.with(|sums: &mut Vec<u64>| sums.iter().filter(|&&each| each == sum).count());
    eventually("all of them", || seen(1000) == 1 && seen(2000) >= 3 && seen(3) >= 3 && seen(4) == 1);
    stage.end();
}

fn counted_as_sent(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        for n in 0..5_u64 {
            ctx.send_after(MS, n);
        }
        let gone = ctx.send_after(HOUR, 5_u64);
        ctx.cancel(gone);
        ctx.send_after(HOUR, 6_u64);
    };
    a.ask(run(part)).wait().unwrap();
    eventually("five", || stage.log.of("a").len() == 6);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (6, 6));
}

/// Sets many timers that do not come, has the actor end, and demands that they are gone.
#[track_caller]
fn gone_with(on: Engine, end: impl FnOnce(&mut Context<Puppet>) + Send + 'static) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let drops = Count::default();
    let count = scaled(5_000, 100);
    let tokens: Vec<Token> = (0..count).map(|n| Token::new(n, &drops)).collect();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        for token in tokens {
            ctx.send_after(HOUR + MS * (token.0 as u32 % 999), token);
        }
        ctx.send_every(HOUR, 1_u64);
        ctx.set_idle_timeout(Some(HOUR));
        end(ctx);
    };
    a.tell(run(part)).unwrap();
    stage.living(0);
    // Not a moment later.
    assert_eq!(drops.get(), count);
    stage.end();
}

fn gone_with_a_stop(on: Engine) {
    gone_with(on, Context::stop);
}

fn gone_with_a_drain(on: Engine) {
    gone_with(on, Context::drain);
}

fn gone_with_a_panic(on: Engine) {
    gone_with(on, |_| panic!("meant: so"));
}

fn gone_with_the_system(on: Engine) {
    let drops = Count::default();
    let stage = Stage::new(on);
    for n in 0..20 {
        let token = Token::new(n, &drops);
        stage
            .puppet("a")
            .ask(run(move |_, ctx| {
                ctx.send_after(HOUR, token);
            }))
            .wait()
            .unwrap();
    }
    stage.end();
    assert_eq!(drops.get(), 20);
}

fn gone_with_an_actor_that_asks(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let drops = Count::default();
    let token = Token::new(1, &drops);
    let target = b.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&target, 1, HOUR, move |_, _, _| drop(token));
        target.stop();
        ctx.stop();
    };
    a.tell(run(part)).unwrap();
    stage.living(0);
    // It went with the request; no timer keeps it for an hour.
    drops.reaches(1);
    stage.end();
}

fn an_ask_and_its_timer(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let target = b.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        for n in 0..10_u64 {
            ctx.ask(&target, n, HOUR, |this, reply, _| this.says(format_args!("hears {}", reply.unwrap())));
        }
        ctx.ask(&target, 10, Duration::MAX, |this, reply, _| this.says(format_args!("hears {}", reply.unwrap())));
    };
    a.tell(run(part)).unwrap();
    let lines: Vec<String> = (0..11).map(|n| format!("hears {}", 2 * n)).collect();
    eventually("all replies", || stage.log.of("a").len() == 12);
    assert_eq!(stage.log.of("a")[1..], lines);
    stage.end();
}

/// Panics when it is dropped unhandled.
struct Sharp;

impl Drop for Sharp {
    fn drop(&mut self) {
        panic!("meant: sharp");
    }
}

impl Handler<Sharp> for Puppet {
    type Reply = ();

    fn handle(&mut self, message: Sharp, _: &mut Context<Self>) {
        std::mem::forget(message);
    }
}

fn drops_that_panic(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let key = ctx.send_after(HOUR, Sharp);
        this.says(ctx.cancel(key));
        for _ in 0..100 {
            ctx.send_after(HOUR, Sharp);
        }
        ctx.send_after(MS, 1_u64);
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "true", "gets 1"]);
    a.stop();
    stage.log.expect("a", &["starts", "true", "gets 1", "stops: stopped", "drops"]);
    stage.end();
}

/// Has an actor do something after a while.
fn after(
    puppet: &ActorRef<Puppet>,
    delay: Duration,
    part: impl FnOnce(&mut Puppet, &mut Context<Puppet>) + Send + 'static,
) {
    let set = run(move |_, ctx| {
        ctx.send_after(delay, run(part));
    });
    puppet.tell(set).unwrap();
}

fn a_storm_against_stops(on: Engine) {
    let stage = Stage::new(on);
    let drops = Count::default();
    let (actors, each) = (scaled(200, 20), 50);
    for n in 0..actors {
        let puppet = stage.puppet("a");
        let tokens: Vec<Token> = (0..each).map(|n| Token::new(n, &drops)).collect();
        let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            let mut keys = Vec::new();
            for token in tokens {
                keys.push(ctx.send_after(Duration::from_micros(token.0 * 60), token));
            }
            ctx.send_every(Duration::ZERO, n);
            keys.iter().step_by(3).for_each(|key| assert!(ctx.cancel(*key)));
        };
        puppet.tell(run(part)).unwrap();
        match n % 4 {
            0 => puppet.stop(),
            1 => puppet.drain(),
            2 => after(&puppet, 2 * MS, |_, ctx| ctx.stop()),
            _ => after(&puppet, MS, |_, _| panic!("meant: so")),
        }
    }
    stage.living(0);
    stage.end();
    assert_eq!(drops.get(), actors * each);
}

/// Waits until so many messages of a system were sent in all.
#[track_caller]
fn sent(system: &System, count: u64) {
    eventually("timers come", || system.counters().sent >= count);
}

fn cancelled_when_it_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let drops = Count::default();
    let (once, again) = (Token::new(1, &drops), 2_u64);
    let system = stage.system.clone();
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let keys = [ctx.send_after(MS, once), ctx.send_every(MS, again)];
        ctx.set_idle_timeout(Some(MS));
        // This message, and the three.
        sent(&system, 4);
        for key in keys {
            this.says(ctx.cancel(key));
        }
        ctx.set_idle_timeout(None);
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "true", "true"]);
    drops.reaches(1);
    stage.quiet();
    assert_eq!(stage.log.of("a").len(), 3);
    a.stop();
    stage.log.expect("a", &["starts", "true", "true", "stops: stopped", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (4, 4));
}

/// The dead letters of timers that come when their actor has been told to end.
fn letters(on: Engine, end: impl FnOnce(&mut Context<Puppet>) + Send + 'static) -> Vec<String> {
    let stage = Stage::new(on);
    let lines = stage.letters(|letter| format!("{} {:?}", letter.type_name, number(&letter)));
    let a = stage.puppet("a");
    let system = stage.system.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        end(ctx);
        ctx.send_after(MS, 7_u64);
        ctx.send_every(MS, 8_u64);
        // Not by `sent`, which counts a dead letter while it is on its way.
        let fired = || system.counters().workers.iter().map(|worker| worker.timers_fired).sum::<u64>();
        eventually("timers come", || fired() >= 2);
    };
    a.tell(run(part)).unwrap();
    eventually("two letters", || lines.with(|lines| lines.len()) == 2);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (3, 1, 2));
    let mut lines = lines.get();
    lines.sort();
    lines
}

fn the_dead_letter_of_a_queued_one(on: Engine) {
    assert_eq!(letters(on, Context::stop), ["u64 Some(7)", "u64 Some(8)"]);
}

fn one_that_comes_while_its_actor_drains(on: Engine) {
    assert_eq!(letters(on, Context::drain), ["u64 Some(7)", "u64 Some(8)"]);
}
