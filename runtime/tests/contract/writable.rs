//! Actors that are told of room in a bounded mailbox.

use super::rooms::full;
use crate::support::puppet::{ENDS, Puppet, run};
use crate::support::restarts::{fail, never_comes};
use crate::support::stage::{Engine, Stage, contract};
use crate::support::{Count, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, Mailbox, Overflow, TellError, Writable};

contract! {
    actors_are_told_of_room,
    actors_are_told_once_and_in_order,
    actors_are_told_of_the_end,
    actors_are_told_though_they_are_full_themselves,
    an_actor_asks_about_itself,
    those_who_are_told_and_have_ended,
    a_stream_through_a_small_mailbox,
}

/// Told of room, it writes that down.
impl Handler<Writable> for Puppet {
    type Reply = ();

    fn handle(&mut self, notice: Writable, _: &mut Context<Self>) {
        self.says(format_args!("may write to {}", notice.id));
    }
}

fn asks_for_room(writer: &ActorRef<Puppet>, target: &ActorRef<Puppet>) {
    let target = target.clone();
    writer.ask(run(move |_, ctx| ctx.notify_writable(&target))).wait().unwrap();
}

fn actors_are_told_of_room(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.bounded("a", 1, Overflow::Reject), stage.puppet("b"), stage.puppet("c"));
    // At once: there is room, or no bound.
    asks_for_room(&b, &a);
    stage.log.expect("b", &["starts".to_owned(), format!("may write to {}", a.id())]);
    asks_for_room(&b, &c);
    stage.log.until(&format!("b may write to {}", c.id()));
    let to = a.clone();
    // It fills the only place, finds no room, and asks.
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        to.tell(run(|_, _| ())).unwrap();
        match to.tell(2) {
            Err(TellError::Full(2)) => {
                this.says("asks");
                ctx.notify_writable(&to);
            }
            other => {
                other.unwrap();
                ctx.notify_writable(&to);
            }
        }
    };
    c.ask(run(part)).wait().unwrap();
    stage.log.until(&format!("c may write to {}", a.id()));
    stage.end();
}

fn actors_are_told_once_and_in_order(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let mailbox = Mailbox::bounded(2, Overflow::Reject);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(never_comes()).spawn().unwrap();
    fail(&a);
    stage.log.until("a drops");
    a.send_all([0, 1]).unwrap();
    let (b, c) = (stage.puppet("b"), stage.puppet("c"));
    asks_for_room(&b, &a);
    asks_for_room(&c, &a);
    asks_for_room(&b, &a);
    stage.quiet_but(2);
    assert_eq!((stage.log.of("b").len(), stage.log.of("c").len()), (1, 1));
    // The end makes no room, and all are told.
    a.stop();
    let line = format!("may write to {}", a.id());
    stage.log.expect("b", &["starts", &line, &line]);
    stage.log.expect("c", &["starts", &line]);
    stage.quiet();
    assert_eq!(stage.log.lines().len(), 2 + 3 + 2);
    stage.end();
}

fn actors_are_told_of_the_end(on: Engine) {
    for end in ENDS {
        let stage = Stage::new(on);
        let (a, b) = (stage.bounded("a", 1, Overflow::Reject), stage.puppet("b"));
        end(&a);
        eventually("the end", || a.is_stopped());
        asks_for_room(&b, &a);
        stage.log.expect("b", &["starts".to_owned(), format!("may write to {}", a.id())]);
        stage.end();
    }
}

fn actors_are_told_though_they_are_full_themselves(on: Engine) {
    let stage = Stage::new(on);
    let (a, held) = full(&stage, Overflow::Reject);
    let b = stage.bounded("b", 1, Overflow::Reject);
    let to = a.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.notify_writable(&to);
        ctx.me().tell(7).unwrap();
        assert_eq!(ctx.me().tell(8), Err(TellError::Full(8)));
    };
    if on.workers() == 1 {
        b.tell(run(part)).unwrap();
        drop(held);
    } else {
        b.ask(run(part)).wait().unwrap();
        drop(held);
    }
    let line = format!("may write to {}", a.id());
    eventually("both come", || stage.log.of("b").len() == 3);
    let lines = stage.log.of("b");
    assert!(lines.contains(&line) && lines.contains(&"gets 7".to_owned()), "{lines:?}");
    stage.end();
}

fn an_actor_asks_about_itself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.bounded("a", 2, Overflow::Reject);
    let part = |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let me = ctx.me();
        assert_eq!(me.send_all(0..3).unwrap_err().taken(), 2);
        ctx.notify_writable(&me);
    };
    a.tell(run(part)).unwrap();
    let line = format!("may write to {}", a.id());
    stage.log.expect("a", &["starts", "gets 0", "gets 1", &line]);
    stage.end();
}

fn those_who_are_told_and_have_ended(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let mailbox = Mailbox::bounded(1, Overflow::Reject);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).restart(never_comes()).spawn().unwrap();
    fail(&a);
    stage.log.until("a drops");
    a.tell(0).unwrap();
    let b = stage.puppet("b");
    asks_for_room(&b, &a);
    b.stop();
    stage.log.until("b drops");
    a.stop();
    stage.living(0);
    // The message that waited, and the notice.
    assert_eq!(stage.end().dead_lettered, 2);
}

/// Sends numbers as fast as they are taken.
struct Source {
    next: u64,
    last: u64,
    sink: ActorRef<Puppet>,
    told: Count,
}

impl Source {
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        while self.next < self.last {
            match self.sink.tell(self.next) {
                Ok(()) => self.next += 1,
                Err(TellError::Full(_)) => return ctx.notify_writable(&self.sink),
                Err(_) => return ctx.stop(),
            }
        }
    }
}

impl Actor for Source {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.go_on(ctx);
    }
}

impl Handler<Writable> for Source {
    type Reply = ();
    fn handle(&mut self, _: Writable, ctx: &mut Context<Self>) {
        self.told.add(1);
        self.go_on(ctx);
    }
}

fn a_stream_through_a_small_mailbox(on: Engine) {
    for limit in [1, 3, 50] {
        let stage = Stage::new(on);
        let sink = stage.bounded("a", limit, Overflow::Reject);
        let (told, count) = (Count::default(), scaled(500, 100));
        for source in 0..3 {
            let (first, told) = (1000 * source, told.clone());
            stage.spawn(Source { next: first, last: first + count, sink: sink.clone(), told });
        }
        let all = 3 * count as usize + 1;
        eventually("all come", || stage.log.lines().len() == all);
        let mut last = [None; 3];
        for line in &stage.log.of("a")[1..] {
            let n: u64 = line.strip_prefix("gets ").unwrap().parse().unwrap();
            assert!(last[(n / 1000) as usize] < Some(n), "{n} after {last:?}");
            last[(n / 1000) as usize] = Some(n);
        }
        let counters = stage.end();
        // Each notice follows one refusal.
        assert_eq!((counters.returned, counters.dead_lettered), (told.get(), 0));
    }
}
