//! Idle timeouts: never before the time has passed since the last message, and again and again.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, eventually};
use cuelight::{Actor, Context, Handler, IdleTimeout};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

contract! {
    an_actor_that_is_idle,
    idleness_that_is_taken_back,
}

threads_contract! {
    an_actor_that_is_not,
}

impl Handler<IdleTimeout> for Puppet {
    type Reply = ();

    fn handle(&mut self, _: IdleTimeout, _: &mut Context<Self>) {
        self.says("is idle");
    }
}

fn an_actor_that_is_idle(on: Engine) {
    for limit in [Duration::ZERO, Duration::from_nanos(1), MS, 7 * MS] {
        let stage = Stage::new(on);
        let a = stage.puppet("a");
        a.tell(run(move |_, ctx| ctx.set_idle_timeout(Some(limit)))).unwrap();
        // Again and again.
        let idle = || stage.log.of("a").iter().filter(|line| *line == "is idle").count();
        eventually("three times", || idle() >= 3);
        a.ask(run(|_, ctx| ctx.set_idle_timeout(None))).wait().unwrap();
        let count = idle();
        a.ask(run(|_, ctx| {
            ctx.send_after(10 * MS, 1_u64);
        }))
        .wait()
        .unwrap();
        stage.log.until("a gets 1");
        assert_eq!(idle(), count, "no more after it was taken back");
        stage.end();
    }
}

const PATIENCE: Duration = Duration::from_millis(4);

/// Notes when it last worked, and whether it is told too early that it was idle.
struct Worker {
    last: Option<Instant>,
    early: Count,
    idle: Count,
}

impl Actor for Worker {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_idle_timeout(Some(PATIENCE));
    }
}

/// To work for a while.
struct Work(Duration);

impl Handler<Work> for Worker {
    type Reply = ();

    fn handle(&mut self, Work(time): Work, ctx: &mut Context<Self>) {
        let begin = ctx.now();
        while ctx.now() - begin < time {
            std::thread::yield_now();
        }
        self.last = Some(ctx.now());
    }
}

impl Handler<IdleTimeout> for Worker {
    type Reply = ();

    fn handle(&mut self, _: IdleTimeout, ctx: &mut Context<Self>) {
        self.early.add(u64::from(self.last.is_some_and(|last| ctx.now() - last < PATIENCE)));
        self.idle.add(1);
    }
}

fn an_actor_that_is_not(on: Engine) {
    let stage = Stage::new(on);
    let (early, idle) = (Count::default(), Count::default());
    let worker = stage.spawn(Worker { last: None, early: early.clone(), idle: idle.clone() });
    for n in 0..60_u32 {
        // Alone and in rows, short, and longer than its patience.
        let row = (0..=n % 3).map(|m| Work(MS * ((n + m) % 7)));
        worker.send_all(row).unwrap();
        if n % 10 == 0 {
            let before = idle.get();
            eventually("it is idle", || idle.get() > before);
        } else {
            worker.ask(Work(Duration::ZERO)).wait().unwrap();
        }
    }
    assert_eq!(early.get(), 0);
    stage.end();
}

fn idleness_that_is_taken_back(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.set_idle_timeout(None);
        ctx.set_idle_timeout(Some(HOUR));
        ctx.set_idle_timeout(Some(Duration::ZERO));
        ctx.set_idle_timeout(Some(Duration::MAX));
        ctx.set_idle_timeout(Some(MS));
        ctx.set_idle_timeout(None);
        ctx.send_after(5 * MS, 1_u64);
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("a", &["starts", "gets 1"]);
    a.stop();
    stage.living(0);
    assert!(!stage.log.of("a").contains(&"is idle".to_owned()));
    stage.end();
}
