//! What the library asks of the allocator: nothing for a message, little for an actor, and all of it is given back.
//!
//! One test with its parts in order, because the counts are of the whole process: nothing else may run meanwhile.
//! `cargo test --test allocations -- --nocapture` prints the figures.

#[path = "allocations/shapes.rs"]
mod shapes;
#[path = "support/mod.rs"]
#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;
#[path = "allocations/timers.rs"]
mod timers;

use cuelight::{Actor, ActorRef, AskError, Context, Handler, System, Terminated};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use support::stage::end;
use support::{Count, LIMIT, eventually, is_full, scaled};

/// Counts what passes through.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);

fn count(bytes: i64) {
    // Ordering: Relaxed, both: whoever compares has waited for those who counted.
    LIVE.fetch_add(bytes, Ordering::Relaxed);
    MADE.fetch_add(u64::from(bytes > 0), Ordering::Relaxed);
}

// SAFETY: everything is passed on to the system's allocator; a realloc is the trait's own, made of the other two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's duties are the same.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's duties are the same.
        unsafe { std::alloc::System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> i64 {
    // Ordering: Relaxed, see `count`.
    LIVE.load(Ordering::Relaxed)
}

/// How many allocations `f` makes, on all threads.
fn made(f: impl FnOnce()) -> u64 {
    // Ordering: Relaxed, both, see `count`.
    let before = MADE.load(Ordering::Relaxed);
    f();
    MADE.load(Ordering::Relaxed) - before
}

fn system(workers: usize) -> System {
    System::builder().workers(workers).build().expect("a system")
}

#[test]
fn what_the_allocator_sees() {
    // First: what crossbeam's queues outgrow in the other parts is freed some time later.
    cycles();
    for workers in [1, 2] {
        messages(workers);
        shapes::settle(workers);
        shapes::come_and_go(workers);
        timers::settle(workers);
        timers::gone_with_their_actors(workers);
    }
    idle_actors();
    rounds();
    systems_without_shutdown();
}

/// Allocations in all that a hundred thousand messages may cause: a table that grows once more after the warm-up, or a
/// thief's share of the bookkeeping of crossbeam's collector.
const FEW: u64 = 64;

/// Plays with another one, and answers.
#[derive(Default)]
struct Player {
    partner: Option<ActorRef<Player>>,
    handled: Count,
    over: Count,
}

impl Actor for Player {}

struct Meet(ActorRef<Player>, Count);

impl Handler<Meet> for Player {
    type Reply = ();

    fn handle(&mut self, Meet(partner, over): Meet, _: &mut Context<Self>) {
        (self.partner, self.over) = (Some(partner), over);
    }
}

/// How often the ball is still to be returned.
struct Ball(u64);

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, Ball(left): Ball, _: &mut Context<Self>) {
        match (&self.partner, left.checked_sub(1)) {
            (Some(partner), Some(left)) => partner.tell(Ball(left)).expect("running"),
            _ => self.over.add(1),
        }
    }
}

impl Handler<u64> for Player {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.handled.add(1);
        n
    }
}

/// How many questions are still to be asked, one after the other.
struct Questions(u64);

impl Handler<Questions> for Player {
    type Reply = ();

    fn handle(&mut self, Questions(left): Questions, ctx: &mut Context<Self>) {
        let Some(left) = left.checked_sub(1) else { return self.over.add(1) };
        let partner = self.partner.clone().expect("they have met");
        ctx.ask(&partner, left, LIMIT, move |this, result, ctx| {
            assert_eq!(result, Ok(left));
            this.handle(Questions(left), ctx);
        });
    }
}

/// One of two who have met, and how many games are over.
fn pair(system: &System) -> (ActorRef<Player>, Count) {
    let (one, other, over) = (system.spawn(Player::default()), system.spawn(Player::default()), Count::default());
    one.ask(Meet(other.clone(), over.clone())).wait().expect("running");
    other.ask(Meet(one.clone(), over.clone())).wait().expect("running");
    (one, over)
}

/// Starts a game, and waits for its end.
fn play<M: Send + 'static>(player: &ActorRef<Player>, over: &Count, message: M)
where
    Player: Handler<M>,
{
    let before = over.get();
    assert!(player.tell(message).is_ok());
    eventually("the game is over", || over.get() > before);
}

/// Tells from outside, with at most 32 messages on their way.
fn tell_with_credit(player: &ActorRef<Player>, handled: &Count, messages: u64) {
    let before = handled.get();
    for sent in 0..messages {
        while before + sent - handled.get() >= 32 {
            thread::yield_now();
        }
        player.tell(sent).expect("running");
    }
    eventually("all are handled", || handled.get() == before + messages);
}

/// `count` in all its length only where the code is optimised.
fn slow(count: u64, least: u64) -> u64 {
    scaled(if cfg!(debug_assertions) { count / 5 } else { count }, least)
}

/// Runs `f` with few messages to warm up, and with many; returns how many, and their allocations.
fn steady(workers: usize, what: &str, messages: u64, mut f: impl FnMut(u64)) -> (u64, u64) {
    f(messages / 10);
    let allocations = made(|| f(messages));
    println!("{what}, {workers} workers: {allocations} allocations for {messages} messages");
    (messages, allocations)
}

fn messages(workers: usize) {
    let system = system(workers);
    let (one, over) = pair(&system);
    let (many, fewer) = (scaled(100_000, 1000), slow(100_000, 1000));
    let inside = [
        steady(workers, "tell between two actors", many, |messages| play(&one, &over, Ball(messages))),
        steady(workers, "ask from inside", many, |messages| play(&one, &over, Questions(messages))),
    ];
    let handled = Count::default();
    let player = system.spawn(Player { handled: handled.clone(), ..Player::default() });
    let outside = [
        steady(workers, "tell from outside", many, |messages| tell_with_credit(&player, &handled, messages)),
        steady(workers, "ask from outside", fewer, |messages| {
            (0..messages).for_each(|n| assert_eq!(player.ask(n).wait(), Ok(n)));
        }),
        steady(workers, "ask from outside, with a timeout", fewer, |messages| {
            (0..messages).for_each(|n| assert_eq!(player.ask(n).timeout(LIMIT).wait(), Ok(n)));
        }),
    ];
    for (messages, allocations) in inside.into_iter().chain(outside) {
        assert!(allocations < FEW, "{allocations} for {messages} messages");
    }
    end(&system);
}

/// A word of state.
struct Idler(Count);

impl Actor for Idler {
    fn started(&mut self, _: &mut Context<Self>) {
        self.0.add(1);
    }
}

/// Its children.
struct Family {
    started: Count,
    children: Vec<ActorRef<Idler>>,
}

impl Actor for Family {}

impl Handler<u64> for Family {
    type Reply = ();

    fn handle(&mut self, children: u64, ctx: &mut Context<Self>) {
        for _ in 0..children {
            self.children.push(ctx.spawn(Idler(self.started.clone())));
        }
    }
}

fn idle_actors() {
    const MOST: i64 = 256;
    assert_eq!(size_of::<Idler>(), size_of::<usize>());
    let actors = scaled(100_000, 10_000);
    let each = |grown: i64| grown as f64 / actors as f64;

    let (system, started) = (system(2), Count::default());
    let mut addresses = Vec::with_capacity(actors as usize);
    let before = live();
    for _ in 0..actors {
        addresses.push(system.spawn(Idler(started.clone())));
    }
    eventually("all have started", || started.get() == actors);
    let grown = live() - before;
    println!("an idle actor from outside: {:.1} bytes, of {actors}", each(grown));
    assert!(grown <= MOST * actors as i64, "{:.1} bytes", each(grown));
    end(&system);
    drop(addresses);

    let (system, started) = (self::system(2), Count::default());
    let children = Vec::with_capacity(actors as usize);
    let family = system.spawn(Family { started: started.clone(), children });
    family.ask(0).wait().expect("running");
    let before = live();
    family.ask(actors).wait().expect("running");
    eventually("all have started", || started.get() == actors);
    let grown = live() - before;
    println!("an idle child: {:.1} bytes, of {actors}", each(grown));
    assert!(grown <= MOST * actors as i64, "{:.1} bytes", each(grown));
    end(&system);
}

/// Spawns, watches, asks and stops children.
struct Boss {
    heard: Count,
}

impl Actor for Boss {}

impl Handler<u64> for Boss {
    type Reply = ();

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        let child = ctx.spawn(Player::default());
        ctx.watch(&child);
        child.tell(n).expect("a new child runs");
        ctx.ask(&child, n, Duration::ZERO, |_, _, _| {});
        let last = child.clone();
        ctx.ask(&child, n, LIMIT, move |_, result, _| {
            assert_eq!(result, Ok(n));
            last.stop();
        });
    }
}

impl Handler<Terminated> for Boss {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.heard.add(1);
    }
}

/// A system from its beginning to its end.
fn cycle() {
    let system = system(2);
    let heard = Count::default();
    let boss = system.spawn(Boss { heard: heard.clone() });
    boss.send_all(0..10).expect("running");
    let player = system.spawn(Player::default());
    for n in 0..20 {
        player.tell(n).expect("running");
        assert_eq!(player.ask(n).wait(), Ok(n));
        drop(player.ask(n));
        let result = player.ask(n).timeout(Duration::ZERO).wait();
        assert!(matches!(result, Ok(_) | Err(AskError::Timeout)), "{result:?}");
    }
    eventually("the boss hears of all", || heard.get() == 10);
    system.spawn(Idler(Count::default())).stop();
    end(&system);
}

fn cycles() {
    let on_a_thread = |cycles: u64| {
        let work = move || (0..cycles).for_each(|_| cycle());
        thread::Builder::new().spawn(work).expect("a thread").join().expect("no panic");
    };
    // crossbeam's collector, one for the process, frees what one system has left during a later one. So not every hundred
    // systems leave exactly what they found; but if each left something of its own, none would.
    const MOST: i64 = 32 << 10;
    let cycles = scaled(100, 10);
    on_a_thread(10);
    let first = live();
    // Nothing is printed meanwhile: the harness keeps that in memory.
    let mut windows = Vec::with_capacity(20);
    let even = (0..20).any(|_| {
        let before = live();
        let allocations = made(|| on_a_thread(cycles));
        let left = live() - before;
        windows.push((allocations, left));
        left == 0
    });
    let grown = live() - first;
    for (allocations, left) in &windows {
        println!("{cycles} systems started and shut down: {allocations} allocations, {left} bytes left");
    }
    assert!(even && grown < MOST, "{grown} bytes left");
}

/// The least that the pool of nodes takes or gives back.
const SLAB: i64 = 64 << 10;

fn rounds() {
    const ROUNDS: usize = 20;
    let actors = if is_full() { 1_000_000 } else { slow(100_000, 1000) };
    let system = system(2);
    let mut addresses = Vec::with_capacity(actors as usize);
    let (mut with, mut after) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    let before = live();
    for _ in 0..ROUNDS {
        let started = Count::default();
        addresses.extend((0..actors).map(|_| system.spawn(Idler(started.clone()))));
        eventually("all have started", || started.get() == actors);
        with.push(live() - before);
        addresses.iter().for_each(ActorRef::stop);
        addresses.clear();
        eventually("all have ended", || system.counters().live_actors == 0);
        drop(started);
        let first = after.first().copied().unwrap_or(SLAB);
        eventually("their memory is back", || live() - before <= first + SLAB);
        after.push(live() - before);
    }
    println!("{ROUNDS} rounds of {actors} actors: {with:?} bytes with them, {after:?} without");
    let (least, most) = (with.iter().min().expect("rounds"), with.iter().max().expect("rounds"));
    assert!(most - least <= least / 100 + SLAB, "from {least} to {most} bytes");
    end(&system);
}

fn systems_without_shutdown() {
    /// Threads, descriptors.
    fn entries(of: &str) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/self/{of}")).ok()?.count())
    }
    let systems = if is_full() { 10_000 } else { scaled(300, 30) };
    let before = (entries("task"), entries("fd"));
    for _ in 0..systems {
        let system = system(2);
        system.spawn(Player::default()).tell(1).expect("running");
    }
    eventually("threads and descriptors are back", || (entries("task"), entries("fd")) <= before);
    println!("{systems} systems dropped: threads and descriptors {before:?} before, and after");
}
