//! Timers: after a while they allocate nothing, and nothing of theirs outlives their actor.

use super::shapes::{settles, until};
use crate::support::{Count, LIMIT, scaled};
use crate::{live, system};
use cuelight::{Actor, Context, Handler};
use std::time::Duration;

/// Sets timers, and takes some back.
struct Waker(Count);

impl Actor for Waker {}

struct Set;
#[derive(Clone)]
struct Ring;

impl Handler<Set> for Waker {
    type Reply = ();

    fn handle(&mut self, _: Set, ctx: &mut Context<Self>) {
        for n in 0..40 {
            let key = ctx.send_after(Duration::from_micros(n * 50), Ring);
            if n % 2 == 0 {
                assert!(ctx.cancel(key));
            }
        }
    }
}

impl Handler<Ring> for Waker {
    type Reply = ();

    fn handle(&mut self, _: Ring, _: &mut Context<Self>) {
        self.0.add(1);
    }
}

/// Beats by itself.
struct Metronome(Count);

impl Actor for Metronome {
    fn started(&mut self, ctx: &mut Context<Self>) {
        for _ in 0..20 {
            ctx.send_every(Duration::ZERO, Ring);
        }
    }
}

impl Handler<Ring> for Metronome {
    type Reply = ();

    fn handle(&mut self, _: Ring, _: &mut Context<Self>) {
        self.0.add(1);
    }
}

pub(crate) fn settle(workers: usize) {
    let (system, rings, beats) = (system(workers), Count::default(), Count::default());
    let waker = system.spawn(Waker(rings.clone()));
    settles(&format!("{workers} workers, timers that come once"), 20, || {
        let goal = rings.get() + 20;
        waker.tell(Set).expect("running");
        until(|| rings.get() == goal);
    });
    system.spawn(Metronome(beats.clone()));
    settles(&format!("{workers} workers, periods"), 100, || {
        let goal = beats.get() + 100;
        until(|| beats.get() >= goal);
    });
    system.shutdown(LIMIT).expect("a shutdown");
}

/// Leaves timers behind, of its own and of an ask.
struct Hasty;

impl Actor for Hasty {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let me = ctx.me();
        ctx.ask(&me, Ring, LIMIT, |_, _, _| unreachable!("it ends before"));
        ctx.send_after(LIMIT, [0_u8; 200]);
        ctx.send_every(LIMIT, Ring);
        ctx.stop();
    }
}

impl Handler<Ring> for Hasty {
    type Reply = ();

    fn handle(&mut self, _: Ring, _: &mut Context<Self>) {}
}

impl Handler<[u8; 200]> for Hasty {
    type Reply = ();

    fn handle(&mut self, _: [u8; 200], _: &mut Context<Self>) {}
}

/// Actors that end long before their timers: what is live does not grow.
pub(crate) fn gone_with_their_actors(workers: usize) {
    let system = system(workers);
    let (count, mut before) = (scaled(1000, 100), 0);
    for round in 0..20 {
        for _ in 0..count {
            system.spawn(Hasty);
        }
        until(|| system.counters().live_actors == 0);
        if round == 9 {
            before = live();
        }
    }
    let grown = live() - before;
    println!("{workers} workers, {count} actors with timers 10 times: {grown} bytes more");
    // A cell and three nodes each would be some 700 bytes; slabs come in 64 KiB.
    assert!(grown < 10 * 64 * 1024, "{grown} bytes more");
    system.shutdown(LIMIT).expect("a shutdown");
}
