//! Messages that come again and again: one in flight at most, until they are taken back.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, Gate, Shared, eventually};
use cuelight::{Actor, Context, Handler, TimerKey};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

contract! {
    periods_of_any_length,
    a_period_ends_in_its_own_handler,
    a_clone_that_panics,
}

threads_contract! {
    periods_do_not_pile_up,
}

/// Beats slowly, and notes beats and what it has sent to itself meanwhile.
struct Slow {
    lines: Shared<Vec<&'static str>>,
    over: Gate,
}

#[derive(Clone)]
struct Beat;
struct Meanwhile;

impl Actor for Slow {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.send_every(MS, Beat);
    }
}

impl Handler<Beat> for Slow {
    type Reply = ();

    fn handle(&mut self, _: Beat, ctx: &mut Context<Self>) {
        let begin = ctx.now();
        let _ = ctx.me().tell(Meanwhile);
        while ctx.now() - begin < 5 * MS {
            std::thread::yield_now();
        }
        let count = self.lines.with(|lines| {
            lines.push("beat");
            lines.len()
        });
        if count > 20 {
            ctx.stop();
            self.over.open();
        }
    }
}

impl Handler<Meanwhile> for Slow {
    type Reply = ();

    fn handle(&mut self, _: Meanwhile, _: &mut Context<Self>) {
        self.lines.with(|lines| lines.push("meanwhile"));
    }
}

fn periods_do_not_pile_up(on: Engine) {
    let stage = Stage::new(on);
    let (lines, over) = (Shared::default(), Gate::default());
    stage.spawn(Slow { lines: lines.clone(), over: over.clone() });
    over.wait();
    let lines = lines.get();
    // Had a second beat been queued behind the first, it would have come before what the first one sent.
    assert!(lines.chunks(2).all(|pair| pair[0] == "beat" && pair.get(1).is_none_or(|line| *line == "meanwhile")));
    stage.end();
}

fn periods_of_any_length(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.send_every(Duration::ZERO, 0_u64);
        ctx.send_every(Duration::from_nanos(1), 1_u64);
        ctx.send_every(3 * MS, 2_u64);
        ctx.send_every(HOUR, 3_u64);
    };
    a.tell(run(part)).unwrap();
    let count = |line: &str| stage.log.of("a").iter().filter(|each| *each == line).count();
    eventually("ten each", || (0..3).all(|n| count(&format!("gets {n}")) >= 10));
    a.stop();
    stage.living(0);
    assert_eq!(count("gets 3"), 0);
    stage.end();
}

/// Ends its own period.
struct Countdown {
    left: u32,
    timer: Option<TimerKey>,
    over: Count,
}

impl Actor for Countdown {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.timer = Some(ctx.send_every(Duration::ZERO, Beat));
    }
}

impl Handler<Beat> for Countdown {
    type Reply = ();

    fn handle(&mut self, _: Beat, ctx: &mut Context<Self>) {
        self.left = self.left.checked_sub(1).expect("no beat after the last");
        if self.left == 0 {
            let timer = self.timer.take().unwrap();
            assert!(ctx.cancel(timer));
            assert!(!ctx.cancel(timer));
            ctx.send_after(10 * MS, Meanwhile);
        }
    }
}

impl Handler<Meanwhile> for Countdown {
    type Reply = ();

    fn handle(&mut self, _: Meanwhile, _: &mut Context<Self>) {
        self.over.add(1);
    }
}

fn a_period_ends_in_its_own_handler(on: Engine) {
    let stage = Stage::new(on);
    let over = Count::default();
    for left in 1..=5 {
        stage.spawn(Countdown { left, timer: None, over: over.clone() });
    }
    over.reaches(5);
    assert_eq!(stage.counters().live_actors, 5);
    stage.end();
}

/// Its second clone panics.
#[derive(Debug)]
struct Fragile(u32);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.0 < 1, "meant: no more");
        Self(self.0 + 1)
    }
}

impl Handler<Fragile> for Puppet {
    type Reply = ();

    fn handle(&mut self, message: Fragile, _: &mut Context<Self>) {
        self.says(format_args!("gets {message:?}"));
    }
}

fn a_clone_that_panics(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    a.tell(run(|_, ctx| {
        ctx.send_every(MS, Fragile(0));
    }))
    .unwrap();
    stage.log.expect("a", &["starts", "gets Fragile(0)", "stops: panicked: meant: no more", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (3, 3));
}
