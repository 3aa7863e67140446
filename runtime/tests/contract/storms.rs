//! Restarts in numbers: many at once, deep ones, all the time and among stops, with a ledger.

use crate::support::puppet::{Puppet, Token, run};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, Counted, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, Restart, StopReason, Terminated};
use std::thread;
use std::time::Duration;

contract! {
    every_panic_against_every_end,
    a_thousand_children,
    a_depth_of_a_thousand,
}

threads_contract! {
    accounts_in_a_storm,
    stops_in_a_storm,
}

fn a_thousand_children(on: Engine) {
    let stage = Stage::new(on);
    let (count, starts) = (scaled(1000, 50), Count::default());
    let (log, seen) = (stage.log.clone(), starts.clone());
    let factory = move || {
        seen.add(1);
        Parent { children: if seen.get() == 1 { count } else { 0 }, log: log.clone() }
    };
    let parent = stage.actor(factory).restart(at_once().limit(1, LIMIT)).spawn().unwrap();
    // All of them fail at about the same time, and each failure would be escalated: the parent fails once.
    eventually("a restart of the parent", || stage.counters().restarts == 1);
    assert_eq!(parent.ask(()).wait(), Ok(0));
    stage.living(1);
    assert_eq!(starts.get(), 2);
    assert_eq!(stage.failure(), None);
    assert_eq!(stage.end().restarts, 1);
}

/// Has children that fail at once.
struct Parent {
    children: u64,
    log: crate::support::Log,
}

impl Actor for Parent {
    fn started(&mut self, ctx: &mut Context<Self>) {
        for _ in 0..self.children {
            let log = self.log.clone();
            let child = ctx.actor(move || Puppet::new("child", &log)).restart(at_once().limit(0, LIMIT));
            fail(&child.spawn().expect("a child"));
        }
    }
}

impl Handler<()> for Parent {
    type Reply = usize;

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) -> usize {
        ctx.children().len()
    }
}

/// One of a line of descendants, the last of which fails.
struct Link {
    below: u64,
    ends: Count,
    _drops: Counted,
}

impl Link {
    fn new(below: u64, ends: &Count, drops: &Count) -> Self {
        Self { below, ends: ends.clone(), _drops: Counted(drops.clone()) }
    }
}

impl Actor for Link {
    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.below == 0 {
            panic!("meant: the last");
        }
        let (below, ends, drops) = (self.below - 1, self.ends.clone(), self._drops.0.clone());
        let child = ctx.actor(move || Link::new(below, &ends, &drops)).restart(at_once().limit(0, LIMIT));
        child.spawn().expect("a child");
    }

    fn stopped(&mut self, _: &StopReason) {
        self.ends.add(1);
    }
}

fn a_depth_of_a_thousand(on: Engine) {
    let stage = Stage::new(on);
    let (depth, ends, drops) = (scaled(1000, 50), Count::default(), Count::default());
    let root = stage.spawn(Link::new(depth, &ends, &drops));
    stage.living(0);
    ends.reaches(depth + 1);
    drops.reaches(depth + 1);
    let failure = stage.failure().unwrap();
    assert_eq!(failure.id, root.id());
    match failure.reason {
        StopReason::Escalated(text) => assert!(text.ends_with("panicked: meant: the last") && text.len() < 200),
        other => panic!("{other}"),
    }
    assert_eq!(stage.end().restarts, 0);
}

/// Numbers of one sender.
const SENDER: u64 = 1_000_000;

/// Actors that are restarted all the time, and four senders to them.
fn storm(actors: &[ActorRef<Puppet>], each: u64, drops: &Count) -> (u64, u64) {
    let (taken, refused) = (Count::default(), Count::default());
    thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                // Clones, and joins: ThreadSanitizer does not see how a scope ends, but how counts do, and threads that are joined.
                let (taken, refused, actors, drops) = (taken.clone(), refused.clone(), actors.to_vec(), drops.clone());
                scope.spawn(move || {
                    for n in 0..each {
                        let to = &actors[(n + sender) as usize % actors.len()];
                        let sent = if n % 10 == 9 {
                            to.tell(run(|_, _| panic!("meant"))).is_ok()
                        } else {
                            to.tell(Token::new(SENDER * sender + n, &drops)).is_ok()
                        };
                        if sent { &taken } else { &refused }.add(1);
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().expect("it does not panic"));
    });
    (taken.get(), refused.get())
}

fn accounts_in_a_storm(on: Engine) {
    let stage = Stage::new(on);
    let (parent, drops) = (stage.puppet("parent"), Count::default());
    let actors: Vec<_> = ["b", "c", "d", "e"].map(|name| stage.child(&parent, name, at_once())).into();
    let each = scaled(5000, 200);
    let (taken, refused) = storm(&actors, each, &drops);
    assert_eq!((taken, refused), (4 * each, 0));
    stage.quiet();
    for actor in &actors {
        assert_eq!(actor.ask(1).wait(), Ok(2));
    }
    let bombs = 4 * (each / 10);
    drops.reaches(4 * each - bombs);
    let counters = stage.counters();
    assert_eq!(counters.restarts, bombs);
    // Each sender's messages came in order, over all restarts.
    for name in ["b", "c", "d", "e"] {
        let mut last = [0; 4];
        let lines = stage.log.of(name);
        for n in lines.iter().filter_map(|line| line.strip_prefix("gets ")?.parse::<u64>().ok()) {
            let before = &mut last[(n / SENDER) as usize];
            assert!(n == 1 || *before <= n, "{name}: {n} after {before}");
            *before = n;
        }
    }
    let counters = stage.end();
    // Four births, the storm, four questions.
    assert_eq!((counters.handled, counters.dead_lettered), (4 * each + 8, 0));
}

fn stops_in_a_storm(on: Engine) {
    let rules = [
        at_once(),
        Restart::on_panic().unlimited().backoff(Duration::from_micros(50), Duration::from_millis(2)),
        never_comes(),
        Restart::always().unlimited().backoff(Duration::ZERO, Duration::ZERO),
    ];
    for round in 0..scaled(8, 2) {
        for rule in &rules {
            let stage = Stage::new(on);
            let (drops, ends) = (Count::default(), Shared::new(Vec::new()));
            let ear = stage.spawn(Ear(ends.clone()));
            let parent = stage.puppet("parent");
            let actors: Vec<_> = ["b", "c", "d", "e", "f"].map(|name| stage.child(&parent, name, rule.clone())).into();
            for actor in &actors {
                ear.ask(actor.clone()).wait().unwrap();
            }
            let each = scaled(500, 100);
            let all = actors.clone();
            let (taken, refused) = thread::scope(|scope| {
                let (parent, actors) = (parent.clone(), actors.clone());
                let ender = scope.spawn(move || {
                    for (n, actor) in actors.iter().enumerate() {
                        thread::yield_now();
                        match (n as u64 + round) % 5 {
                            0 => actor.stop(),
                            1 => actor.drain(),
                            2 => drop(actor.tell(run(|_, ctx| ctx.stop()))),
                            3 => {}
                            _ => parent.stop(),
                        }
                    }
                });
                let sent = storm(&all, each, &drops);
                ender.join().expect("it does not panic");
                sent
            });
            assert_eq!(taken + refused, 4 * each);
            parent.stop();
            eventually("five notices", || ends.get().len() == 5);
            let mut heard = ends.get();
            heard.sort_unstable();
            let mut ids: Vec<_> = actors.iter().map(|actor| actor.id().get()).collect();
            ids.sort_unstable();
            assert_eq!(heard, ids);
            stage.living(1);
            stage.quiet();
            drops.reaches(4 * (each - each / 10));
            stage.end();
        }
    }
}

/// Watches, and notes who has ended.
struct Ear(Shared<Vec<u64>>);

impl Actor for Ear {}

impl Handler<ActorRef<Puppet>> for Ear {
    type Reply = ();

    fn handle(&mut self, target: ActorRef<Puppet>, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

impl Handler<Terminated> for Ear {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.0.with(|ends| ends.push(notice.id.get()));
    }
}

/// Where an actor panics, besides at each fifth message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Started,
    Handler,
    Stopped,
    Dropped,
    Factory,
}

/// How it is ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Stop,
    Drain,
    Itself,
    ParentStops,
    ParentDrains,
    Shutdown,
}

/// Panics where it is told to.
struct Jinxed {
    place: Place,
    life: u64,
    starts: Count,
    _drops: Counted,
}

impl Actor for Jinxed {
    fn started(&mut self, _: &mut Context<Self>) {
        self.starts.add(1);
        assert!(self.place != Place::Started || self.life % 2 == 1, "meant: started");
    }

    fn stopped(&mut self, _: &StopReason) {
        assert!(self.place != Place::Stopped, "meant: stopped");
    }
}

impl Drop for Jinxed {
    fn drop(&mut self) {
        assert!(self.place != Place::Dropped || thread::panicking(), "meant: dropped");
    }
}

struct Numbered(u64, End, Counted);

impl Handler<Numbered> for Jinxed {
    type Reply = ();

    fn handle(&mut self, Numbered(n, end, _counted): Numbered, ctx: &mut Context<Self>) {
        if n == 20 && matches!(end, End::Itself) {
            ctx.stop();
        }
        assert!(n % 5 != 0 && (self.place != Place::Handler || n % 2 == 0), "meant: handled");
    }
}

/// A parent of one of them.
struct Above;

impl Actor for Above {}

type Birth = Box<dyn FnOnce(&mut Context<Above>) -> ActorRef<Jinxed> + Send>;

impl Handler<Birth> for Above {
    type Reply = ActorRef<Jinxed>;

    fn handle(&mut self, birth: Birth, ctx: &mut Context<Self>) -> ActorRef<Jinxed> {
        birth(ctx)
    }
}

impl Handler<ActorRef<Jinxed>> for Ear {
    type Reply = ();

    fn handle(&mut self, target: ActorRef<Jinxed>, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

fn every_panic_against_every_end(on: Engine) {
    const PLACES: [Place; 5] = [Place::Started, Place::Handler, Place::Stopped, Place::Dropped, Place::Factory];
    const ENDS: [End; 6] = [End::Stop, End::Drain, End::Itself, End::ParentStops, End::ParentDrains, End::Shutdown];
    let waits = Duration::from_micros(200);
    for (place, end) in PLACES.iter().flat_map(|&place| ENDS.map(|end| (place, end))) {
        for rule in [at_once(), at_once().backoff(waits, 2 * waits), never_comes()] {
            let stage = Stage::new(on);
            let (made, starts, drops, told) = (Count::default(), Count::default(), Count::default(), Count::default());
            let heard = Shared::new(Vec::new());
            let ear = stage.spawn(Ear(heard.clone()));
            let above = stage.spawn(Above);
            let (makes, begins, counted, mut calls) = (made.clone(), starts.clone(), drops.clone(), 0_u64);
            let factory = move || {
                calls += 1;
                assert!(place != Place::Factory || calls % 2 == 1, "meant: made");
                makes.add(1);
                Jinxed { place, life: calls, starts: begins.clone(), _drops: Counted(counted.clone()) }
            };
            let birth: Birth = Box::new(move |ctx| ctx.actor(factory).restart(rule).spawn().expect("a child"));
            let child = above.ask(birth).wait().expect("a parent");
            ear.ask(child.clone()).wait().expect("an ear");
            let mut taken = 0;
            for n in 1..=40 {
                taken += u64::from(child.tell(Numbered(n, end, Counted(told.clone()))).is_ok());
                match end {
                    _ if n != 20 => {}
                    End::Stop => child.stop(),
                    End::Drain => child.drain(),
                    End::Itself => {}
                    End::ParentStops => above.stop(),
                    End::ParentDrains => above.drain(),
                    End::Shutdown => stage.system.shutdown(LIMIT).expect("a shutdown"),
                }
            }
            if matches!(end, End::Drain | End::ParentDrains | End::Itself) {
                // With a restart that never comes these do not.
                above.stop();
                child.stop();
            }
            if !matches!(end, End::Shutdown) {
                eventually("a notice", || !heard.get().is_empty());
                assert_eq!(heard.get(), [child.id().get()], "{place:?} {end:?}");
            }
            let counters = stage.end();
            // Whatever was made is gone, and began at most once.
            assert_eq!(drops.get(), made.get(), "{place:?} {end:?}");
            assert!(starts.get() <= made.get(), "{place:?} {end:?}");
            assert_eq!(told.get(), 40, "{place:?} {end:?}");
            assert_eq!(counters.returned, 40 - taken, "{place:?} {end:?}");
        }
    }
}
