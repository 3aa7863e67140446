//! Pools: who gets a message, what becomes of members that fail or end, how a pool ends.

use crate::support::letters::number;
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, eventually, quiet_panics, scaled, sims};
use cuelight::{
    Actor, ActorId, AskError, Context, Handler, Pool, PoolBuilder, PoolError, Restart, Routing, SpawnError, StopReason,
    TellError, Terminated,
};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

contract! {
    round_robin_takes_turns,
    a_key_has_its_member,
    a_broadcast_is_for_all,
    a_member_that_fails_is_restarted,
    a_member_that_ends_is_replaced,
    used_up_restarts_end_it,
    a_drain_answers_all,
    a_stop_buries_what_is_queued,
    it_ends_with_its_parent,
    asks_from_inside,
    what_cannot_be_is_named,
    a_factory_that_panics,
    dead_letters_carry_the_message,
}

threads_contract! {
    the_least_loaded_gets_it,
    it_grows_under_load,
    each_message_has_one_fate,
}

/// Says who it is.
#[derive(Clone, Default)]
struct Worker {
    ends: Count,
    busy: Gate,
}

impl Actor for Worker {
    fn stopped(&mut self, _: &StopReason) {
        self.ends.add(1);
    }
}

struct Who;

impl Handler<Who> for Worker {
    type Reply = ActorId;

    fn handle(&mut self, Who: Who, ctx: &mut Context<Self>) -> ActorId {
        ctx.me().id()
    }
}

/// Something that a worker does.
#[derive(Clone)]
struct Do(fn(&mut Worker, &mut Context<Worker>));

impl Handler<Do> for Worker {
    type Reply = ();

    fn handle(&mut self, Do(f): Do, ctx: &mut Context<Self>) {
        f(self, ctx);
    }
}

impl Handler<u64> for Worker {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        assert_ne!(n, 13, "meant");
        2 * n
    }
}

/// Holds on until the gate opens.
struct Wait;

impl Handler<Wait> for Worker {
    type Reply = ();

    fn handle(&mut self, Wait: Wait, _: &mut Context<Self>) {
        self.busy.wait();
    }
}

fn workers() -> PoolBuilder<impl FnMut() -> Worker + Clone + Send + 'static> {
    quiet_panics();
    Pool::builder(Worker::default).restart(at_once())
}

#[track_caller]
fn who(pool: &Pool<Worker>) -> ActorId {
    pool.ask(Who).wait().expect("a member")
}

fn round_robin_takes_turns(on: Engine) {
    let stage = Stage::new(on);
    let pool = workers().members(3).spawn(&stage).unwrap();
    let ids: Vec<ActorId> = (0..9).map(|_| who(&pool)).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(ids[..3], ids[3..6]);
    assert_eq!(ids[..3], ids[6..]);
    assert_eq!(pool.ask(21).wait(), Ok(42));
    pool.tell(1).unwrap();
    let status = pool.clone().status().wait().unwrap();
    assert_eq!((status.members, status.replaced, status.grown), (3, 0, 0));
    eventually("no load", || pool.status().wait().unwrap().load == 0);
    stage.living(4);
    stage.end();
}

fn a_key_has_its_member(on: Engine) {
    let stage = Stage::new(on);
    let pool = workers().members(4).spawn(&stage).unwrap();
    let mut by_key = BTreeMap::new();
    for round in 0..3 {
        for key in 0..40 {
            let id = pool.ask_by(key, Who).wait().unwrap();
            let before = by_key.insert(key, id);
            assert!(round == 0 || before == Some(id), "{key} has moved");
        }
    }
    let members: BTreeSet<ActorId> = by_key.into_values().collect();
    assert_eq!(members.len(), 4);
    pool.tell_by("x", 1).unwrap();
    stage.end();
}

fn a_broadcast_is_for_all(on: Engine) {
    let stage = Stage::new(on);
    let ends = Count::default();
    let worker = Worker { ends: ends.clone(), ..Worker::default() };
    let pool = Pool::builder(move || worker.clone()).members(5).spawn(&stage).unwrap();
    pool.broadcast(Do(|this, _| this.ends.add(1))).unwrap();
    ends.reaches(5);
    pool.stop();
    ends.reaches(10);
    stage.living(0);
    assert!(pool.is_stopped());
    stage.end();
}

fn a_member_that_fails_is_restarted(on: Engine) {
    let stage = Stage::new(on);
    let pool = workers().members(2).spawn(&stage).unwrap();
    let before: BTreeSet<ActorId> = (0..2).map(|_| who(&pool)).collect();
    for _ in 0..10 {
        assert_eq!(pool.ask(13).wait(), Err(AskError::Panicked));
        assert_eq!(pool.ask(1).wait(), Ok(2));
    }
    let after: BTreeSet<ActorId> = (0..2).map(|_| who(&pool)).collect();
    assert_eq!(before, after);
    let status = pool.status().wait().unwrap();
    assert_eq!((status.members, status.replaced), (2, 0));
    assert_eq!(stage.end().restarts, 10);
}

fn a_member_that_ends_is_replaced(on: Engine) {
    let stage = Stage::new(on);
    let pool = workers().members(2).spawn(&stage).unwrap();
    let before: BTreeSet<ActorId> = (0..2).map(|_| who(&pool)).collect();
    let ends: [Do; 2] = [Do(|_, ctx| ctx.stop()), Do(|_, ctx| ctx.drain())];
    for end in ends {
        pool.broadcast(end).unwrap();
    }
    eventually("four replaced", || pool.status().wait().unwrap().replaced >= 2);
    // Whatever comes meanwhile, nothing is refused.
    for n in 0..20 {
        let reply = pool.ask(n % 7).wait();
        assert!(reply == Ok(2 * (n % 7)) || reply == Err(AskError::Stopped), "{reply:?}");
    }
    eventually("two new ones", || stage.counters().live_actors == 3);
    let after: BTreeSet<ActorId> = (0..2).map(|_| who(&pool)).collect();
    assert!(before.is_disjoint(&after));
    // Those that fail for good are replaced, if the rule says so.
    let pool = workers().restart(Restart::never()).members(1).spawn(&stage).unwrap();
    let before = who(&pool);
    assert_eq!(pool.ask(13).wait(), Err(AskError::Panicked));
    eventually("a new one", || pool.status().wait().unwrap().replaced == 1);
    assert_ne!(who(&pool), before);
    stage.end();
}

fn used_up_restarts_end_it(on: Engine) {
    let stage = Stage::new(on);
    let rule = at_once().limit(1, LIMIT);
    let pool = workers().restart(rule).members(2).spawn(&stage).unwrap();
    let heard = Shared::default();
    stage.spawn(Mourner(pool.clone(), heard.clone()));
    eventually("a watch", || stage.counters().live_actors == 4);
    let _ = who(&pool);
    pool.tell_by(1, 13).unwrap();
    pool.tell_by(1, 13).unwrap();
    eventually("an end", || stage.failure().is_some());
    eventually("a notice, or none", || pool.is_stopped());
    stage.end();
    assert!(pool.tell(1).is_err());
}

/// Hears of the end of a pool.
struct Mourner(Pool<Worker>, Shared<Vec<StopReason>>);

impl Actor for Mourner {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.0.watch(ctx);
    }
}

impl Handler<Terminated> for Mourner {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.1.with(|heard| heard.push(notice.reason));
    }
}

fn a_drain_answers_all(on: Engine) {
    let stage = Stage::new(on);
    let pool = workers().members(3).spawn(&stage).unwrap();
    let heard = Shared::default();
    stage.spawn(Mourner(pool.clone(), heard.clone()));
    eventually("a watch", || stage.counters().live_actors == 5);
    let asks: Vec<_> = (20..120).map(|n| pool.ask(n)).collect();
    pool.drain();
    assert_eq!(pool.tell(1), Err(TellError::Stopped(1)));
    assert_eq!(pool.ask(1).wait(), Err(AskError::Stopped));
    for (n, ask) in (20..).zip(asks) {
        assert_eq!(ask.wait(), Ok(2 * n));
    }
    eventually("a notice", || heard.get() == [StopReason::Drained]);
    stage.living(1);
    stage.end();
}

fn a_stop_buries_what_is_queued(on: Engine) {
    let stage = Stage::new(on);
    let busy = Gate::default();
    let worker = Worker { busy: busy.clone(), ..Worker::default() };
    let pool = Pool::builder(move || worker.clone()).members(1).spawn(&stage).unwrap();
    if sims::any() {
        busy.open();
    }
    pool.tell(Wait).unwrap();
    let asks: Vec<_> = (0..10).map(|n| pool.ask(n)).collect();
    pool.stop();
    busy.open();
    for (n, ask) in (0..).zip(asks) {
        let reply = ask.wait();
        assert!(reply == Err(AskError::Stopped) || reply == Ok(2 * n), "{reply:?}");
    }
    stage.living(0);
    stage.end();
}

/// Has a pool for a child.
struct Parent(Option<Pool<Worker>>);

impl Actor for Parent {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.0 = Some(workers().members(2).spawn_child(ctx).expect("a pool"));
    }
}

struct Ask(u64, cuelight::ReplyTo<Result<u64, AskError>>);

impl Handler<Ask> for Parent {
    type Reply = ();

    fn handle(&mut self, Ask(n, reply): Ask, ctx: &mut Context<Self>) {
        let pool = self.0.clone().expect("it has started");
        pool.ask_then(ctx, n, LIMIT, |_, result, _| reply.send(result));
    }
}

struct Children;

impl Handler<Children> for Parent {
    type Reply = Pool<Worker>;

    fn handle(&mut self, Children: Children, _: &mut Context<Self>) -> Pool<Worker> {
        self.0.clone().expect("it has started")
    }
}

fn it_ends_with_its_parent(on: Engine) {
    let stage = Stage::new(on);
    for drains in [false, true] {
        let parent = stage.spawn(Parent(None));
        let pool = parent.ask(Children).wait().unwrap();
        let asks: Vec<_> = (20..40).map(|n| pool.ask(n)).collect();
        if drains {
            parent.drain()
        } else {
            parent.stop()
        }
        for (n, ask) in (20..).zip(asks) {
            let reply = ask.wait();
            assert!(reply == Ok(2 * n) || reply == Err(AskError::Stopped), "{reply:?}");
        }
        stage.living(0);
        assert!(pool.tell(1).is_err());
    }
    stage.end();
}

fn asks_from_inside(on: Engine) {
    let stage = Stage::new(on);
    let parent = stage.spawn(Parent(None));
    assert_eq!(parent.ask_with(|reply| Ask(4, reply)).wait(), Ok(Ok(8)));
    assert_eq!(parent.ask_with(|reply| Ask(13, reply)).wait(), Ok(Err(AskError::Panicked)));
    stage.end();
}

fn what_cannot_be_is_named(on: Engine) {
    let stage = Stage::new(on);
    let size = |least, most| PoolError::Size { least, most, largest: 65_536 };
    assert_eq!(workers().members(0).spawn(&stage).unwrap_err(), size(0, 0));
    assert_eq!(workers().elastic(3, 2).spawn(&stage).unwrap_err(), size(3, 2));
    assert_eq!(workers().elastic(1, 65_537).spawn(&stage).unwrap_err(), size(1, 65_537));
    assert_eq!(workers().grow(0, LIMIT).spawn(&stage).unwrap_err(), PoolError::NoLoad);
    assert_eq!(workers().shrink(Duration::ZERO).spawn(&stage).unwrap_err(), PoolError::NoPause);
    assert_eq!(PoolError::NoPause.to_string(), "a pool that shrinks after no time: it must be longer than zero");
    let bad = workers().restart(at_once().limit(1, Duration::ZERO)).spawn(&stage);
    drop(bad);
    let system = stage.system.clone();
    stage.end();
    assert_eq!(workers().spawn(&system).unwrap_err(), PoolError::Spawn(SpawnError::Stopping));
}

fn a_factory_that_panics(on: Engine) {
    quiet_panics();
    let stage = Stage::new(on);
    let error = Pool::builder(|| -> Worker { panic!("meant: no luck") }).spawn(&stage).unwrap_err();
    assert_eq!(error, PoolError::Spawn(SpawnError::FactoryPanicked("meant: no luck".into())));
    assert_eq!(error.to_string(), "the factory panicked: meant: no luck");
    // Later it fails the pool.
    let made = Count::default();
    let factory = move || {
        made.add(1);
        assert!(made.get() <= 2, "meant");
        Worker::default()
    };
    let pool = Pool::builder(factory).members(2).spawn(&stage).unwrap();
    pool.broadcast(Do(|_, ctx| ctx.stop())).unwrap();
    stage.living(0);
    assert!(pool.is_stopped());
    stage.end();
}

fn dead_letters_carry_the_message(on: Engine) {
    let stage = Stage::new(on);
    let letters = stage.letters(|letter| (number(&letter).unwrap_or(0), letter.type_name));
    let pool = workers().members(1).spawn(&stage).unwrap();
    // A member that stops has what comes behind in its mailbox, as a tell and as an ask.
    let blocked = pool.ask(Do(|_, ctx| {
        let me = ctx.me();
        me.tell_holding(7, ()).unwrap();
        ctx.stop();
    }));
    assert_eq!(blocked.wait(), Ok(()));
    let worker = stage.spawn(Worker::default());
    let part = Do(|_, ctx| {
        ctx.me().tell_holding(8, ()).unwrap();
        panic!("meant");
    });
    worker.tell(part).unwrap();
    eventually("three letters", || letters.get().len() == 3);
    let mut seen = letters.get();
    seen.sort_unstable();
    assert_eq!(seen[1..], [(7, "u64"), (8, "u64")]);
    assert!(seen[0].1.ends_with("Do"));
    stage.end();
}

fn the_least_loaded_gets_it(on: Engine) {
    let stage = Stage::new(on);
    let busy = Gate::default();
    let worker = Worker { busy: busy.clone(), ..Worker::default() };
    let pool = Pool::builder(move || worker.clone()).members(3).routing(Routing::LeastLoaded).spawn(&stage).unwrap();
    let ids: BTreeSet<ActorId> = (0..3).map(|_| who(&pool)).collect();
    assert_eq!(ids.len(), 3);
    if on.workers() > 3 {
        // Two are held: whatever comes goes to the third.
        pool.tell(Wait).unwrap();
        pool.tell(Wait).unwrap();
        let free: BTreeSet<ActorId> = (0..10).map(|_| who(&pool)).collect();
        assert_eq!((free.len(), pool.status().wait().unwrap().load), (1, 2));
    }
    busy.open();
    stage.end();
}

fn it_grows_under_load(on: Engine) {
    let stage = Stage::new(on);
    let busy = Gate::default();
    let worker = Worker { busy: busy.clone(), ..Worker::default() };
    let pool = Pool::builder(move || worker.clone())
        .elastic(1, 3)
        .grow(2, Duration::ZERO)
        .shrink(Duration::from_millis(1))
        .routing(Routing::LeastLoaded)
        .spawn(&stage)
        .unwrap();
    for _ in 0..20 {
        pool.tell(Wait).unwrap();
    }
    if on.workers() > 3 {
        let status = pool.status().wait().unwrap();
        assert_eq!((status.members, status.grown), (3, 2));
    }
    busy.open();
    eventually("it is small again", || {
        let status = pool.status().wait().unwrap();
        status.members == 1 && status.grown == status.shrunk && status.load == 0
    });
    assert_eq!(pool.ask(1).wait(), Ok(2));
    stage.living(2);
    assert_eq!(stage.counters().dead_lettered, 0);
    stage.end();
}

/// Numbers what it handles.
#[derive(Clone)]
struct Clerk(Shared<Vec<(usize, u64)>>);

impl Actor for Clerk {}

struct Item {
    sender: usize,
    number: u64,
    _drop: crate::support::Counted,
}

impl Handler<Item> for Clerk {
    type Reply = ();

    fn handle(&mut self, item: Item, ctx: &mut Context<Self>) {
        self.0.with(|seen| seen.push((item.sender, item.number)));
        match item.number % 97 {
            13 => panic!("meant"),
            45 => ctx.stop(),
            _ => {}
        }
    }
}

fn each_message_has_one_fate(on: Engine) {
    quiet_panics();
    let stage = Stage::new(on);
    let (seen, drops) = (Shared::default(), Count::default());
    let clerk = Clerk(seen.clone());
    let pool = Pool::builder(move || clerk.clone())
        .elastic(2, 6)
        .grow(4, Duration::ZERO)
        .shrink(Duration::from_millis(1))
        .restart(at_once())
        .spawn(&stage)
        .unwrap();
    let (senders, each) = (3_usize, scaled(2_000, 200));
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let (pool, drops) = (pool.clone(), drops.clone());
            thread::spawn(move || {
                let mut refused = 0;
                for number in 0..each {
                    let item = Item { sender, number, _drop: crate::support::Counted(drops.clone()) };
                    match number % 3 {
                        0 => refused += u64::from(pool.tell(item).is_err()),
                        1 => refused += u64::from(pool.tell_by(number % 5, item).is_err()),
                        _ => drop(pool.ask(item)),
                    }
                }
                refused
            })
        })
        .collect();
    let refused: u64 = threads.into_iter().map(|thread| thread.join().expect("a sender")).sum();
    assert_eq!(refused, 0);
    pool.drain();
    stage.living(0);
    let counters = stage.end();
    drops.reaches(senders as u64 * each);
    let all = seen.get();
    let unique: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "handled twice");
    // What was queued in a member that stopped is buried; and so are notices that came while the pool drained.
    assert!(all.len() as u64 + counters.dead_lettered >= senders as u64 * each, "{counters}");
}
