//! A panic in any piece of user code: the process lives, the actor ends, its watchers learn why, others go on.

use crate::support::puppet::{Puppet, Token, run, watch};
use crate::support::stage::{Engine, Stage, contract, hold};
use crate::support::{Count, Counted, Gate, LIMIT, Unspeakable, eventually, quiet_panics};
use cuelight::{Actor, ActorRef, AskError, Context, DeadLetter, Handler, ReplyTo, SpawnError, StopReason};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};

contract! {
    in_the_first_hook,
    in_the_first_hook_of_a_child_with_messages,
    in_a_handler,
    in_a_handler_with_a_backlog,
    in_the_last_hook,
    in_the_drop_of_the_state,
    in_the_drop_of_a_handled_message,
    in_the_drop_of_queued_messages,
    in_the_drop_of_a_refused_ask,
    in_the_drop_of_a_reply,
    in_the_drop_of_a_late_reply,
    in_the_drop_of_a_reply_nobody_takes,
    in_a_continuation,
    in_the_drop_of_a_continuation,
    in_a_factory,
    in_the_iterator_of_send_all,
    in_the_making_of_a_request,
    in_a_waker,
    without_a_text,
    with_a_payload_that_panics_in_turn,
    of_a_parent,
    of_a_child,
    while_draining,
    sends_before_it_go_out,
    siblings_go_on,
    of_many,
}

/// Panics when it is dropped, unless the thread panics already.
#[derive(Debug)]
struct Mine {
    _drops: Counted,
}

impl Mine {
    fn new(drops: &Count) -> Self {
        Self { _drops: Counted(drops.clone()) }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("meant: a drop");
        }
    }
}

impl Handler<Mine> for Puppet {
    type Reply = ();

    fn handle(&mut self, mine: Mine, _: &mut Context<Self>) {
        self.says("gets a mine");
        drop(mine);
    }
}

/// Answers with a mine.
struct Dig(Count);

impl Handler<Dig> for Puppet {
    type Reply = Mine;

    fn handle(&mut self, dig: Dig, _: &mut Context<Self>) -> Mine {
        self.says("digs");
        Mine::new(&dig.0)
    }
}

/// Panics where it is told to.
#[derive(Default)]
struct Fragile {
    started: bool,
    stopped: bool,
    dropped: bool,
    _drops: Option<Counted>,
}

impl Actor for Fragile {
    fn started(&mut self, _: &mut Context<Self>) {
        assert!(!self.started, "meant: started");
    }

    fn stopped(&mut self, _: &StopReason) {
        assert!(!self.stopped, "meant: stopped");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.dropped, "meant: dropped");
    }
}

impl Handler<u64> for Fragile {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        n
    }
}

/// A watcher, a target that is held at its start by nobody, and what the watcher hears.
fn hears(stage: &Stage, watcher: &ActorRef<Puppet>, target: &ActorRef<impl Actor>, reason: &str) {
    watch(watcher, target);
    stage.log.until(&format!("a hears of {}: {reason}", target.id()));
}

fn in_the_first_hook(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let fragile = stage.spawn(Fragile { started: true, _drops: Some(Counted(drops.clone())), ..Fragile::default() });
    let asked = fragile.ask(1);
    hears(&stage, &a, &fragile, "panicked: meant: started");
    assert_eq!(asked.wait(), Err(AskError::Stopped));
    assert!(fragile.tell(1).is_err());
    drops.reaches(1);
    stage.living(1);
    stage.end();
}

/// Panics in its first hook when the gate opens.
struct Doomed(Gate);

impl Actor for Doomed {
    fn started(&mut self, _: &mut Context<Self>) {
        self.0.wait();
        panic!("meant: started");
    }
}

impl Handler<Token> for Doomed {
    type Reply = ();

    fn handle(&mut self, _: Token, _: &mut Context<Self>) {}
}

/// Messages that wait when the first hook panics are dead letters, whichever way they came.
fn in_the_first_hook_of_a_child_with_messages(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let sent = drops.clone();
    let parent = run(move |_, ctx| {
        // A slow handler's child starts elsewhere meanwhile.
        let gate = Gate::default();
        let doomed = ctx.spawn(Doomed(gate.clone()));
        ctx.watch(&doomed);
        for n in 0..3 {
            doomed.tell(Token::new(n, &sent)).unwrap();
        }
        doomed.send_all((3..6).map(|n| Token::new(n, &sent))).unwrap();
        gate.open();
    });
    a.ask(parent).wait().unwrap();
    drops.reaches(6);
    stage.living(1);
    stage.quiet();
    let counters = stage.end();
    // The parent's message and the notice.
    assert_eq!((counters.handled, counters.dead_lettered, counters.returned), (2, 6, 0));
}

fn in_a_handler(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    let asked = b.ask(run(|_, _| panic!("meant: {}", 7)));
    assert_eq!(asked.wait(), Err(AskError::Panicked));
    stage.log.until(&format!("a hears of {}: panicked: meant: 7", b.id()));
    stage.log.expect("b", &["starts", "stops: panicked: meant: 7", "drops"]);
    assert!(b.tell(1).is_err());
    let counters = stage.end();
    // The ask for a watch, the one that panicked, the notice. What panicked has been handled.
    assert_eq!((counters.handled, counters.dead_lettered, counters.returned), (3, 0, 1));
}

fn in_a_handler_with_a_backlog(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    let held = hold(&b);
    b.tell(1).unwrap();
    b.tell(run(|_, _| panic!("meant"))).unwrap();
    b.send_all((0..500).map(|n| Token::new(n, &drops))).unwrap();
    let asked = b.ask(2);
    drop(held);
    assert_eq!(asked.wait(), Err(AskError::Stopped));
    drops.reaches(500);
    stage.log.expect("b", &["starts", "gets 1", "stops: panicked: meant", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (3, 501));
}

fn in_the_last_hook(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let fragile = stage.spawn(Fragile { stopped: true, _drops: Some(Counted(drops.clone())), ..Fragile::default() });
    fragile.stop();
    hears(&stage, &a, &fragile, "stopped");
    drops.reaches(1);
    stage.end();
}

fn in_the_drop_of_the_state(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    // Both of them, and then a child under a parent.
    let fragile = Fragile { stopped: true, dropped: true, _drops: Some(Counted(drops.clone())), started: false };
    let fragile = stage.spawn(fragile);
    fragile.drain();
    hears(&stage, &a, &fragile, "drained");
    drops.reaches(1);
    let seen = drops.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.spawn(Fragile { dropped: true, _drops: Some(Counted(seen)), ..Fragile::default() });
        ctx.stop();
    };
    a.tell(run(part)).unwrap();
    stage.log.until("a drops");
    drops.reaches(2);
    stage.living(0);
    stage.end();
}

fn in_the_drop_of_a_handled_message(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    b.tell(Mine::new(&drops)).unwrap();
    stage.log.expect("b", &["starts", "gets a mine", "stops: panicked: meant: a drop", "drops"]);
    drops.reaches(1);
    assert_eq!(stage.end().handled, 1);
}

fn in_the_drop_of_queued_messages(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    let held = hold(&b);
    for _ in 0..10 {
        b.tell(Mine::new(&drops)).unwrap();
        drop(b.ask(Mine::new(&drops)));
        b.send_all([Mine::new(&drops)]).unwrap();
    }
    b.stop();
    drop(held);
    drops.reaches(30);
    stage.log.expect("b", &["starts", "stops: stopped", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (1, 30));
}

fn in_the_drop_of_a_refused_ask(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    b.stop();
    stage.living(0);
    assert_eq!(b.ask(Mine::new(&drops)).wait(), Err(AskError::Stopped));
    drops.reaches(1);
    assert_eq!(stage.end().dead_lettered, 1);
}

fn in_the_drop_of_a_reply(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    // Nobody waits for the reply of a tell: it is dropped in the turn.
    b.tell(Dig(drops.clone())).unwrap();
    stage.log.expect("b", &["starts", "digs", "stops: panicked: meant: a drop", "drops"]);
    drops.reaches(1);
    assert_eq!(stage.end().handled, 1);
}

fn in_the_drop_of_a_late_reply(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    let held = hold(&b);
    drop(b.ask(Dig(drops.clone())));
    drop(held);
    stage.log.expect("b", &["starts", "digs", "stops: panicked: meant: a drop", "drops"]);
    drops.reaches(1);
    stage.end();
}

/// Asks for a reply that is a mine.
struct Later(ReplyTo<Mine>, Count);

impl Handler<Later> for Puppet {
    type Reply = ();

    fn handle(&mut self, Later(reply, drops): Later, _: &mut Context<Self>) {
        reply.send(Mine::new(&drops));
    }
}

fn in_the_drop_of_a_reply_nobody_takes(on: Engine) {
    let stage = Stage::new(on);
    let (b, drops) = (stage.puppet("b"), Count::default());
    let asked = b.ask_with(|reply| Later(reply, drops.clone()));
    stage.quiet();
    assert_eq!(b.ask(1).wait(), Ok(2));
    // The reply is there: whoever drops the ask drops it, and gets the panic.
    assert!(catch_unwind(AssertUnwindSafe(|| drop(asked))).is_err());
    drops.reaches(1);
    // A late one: whoever answers gets it.
    let (place, put) = (crate::support::Shared::new(None), Gate::default());
    let asked = b.ask_with(|reply| Kept(reply, place.clone(), put.clone()));
    put.wait();
    drop(asked);
    let reply = place.with(Option::take).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| reply.send(Mine::new(&drops)))).is_err());
    drops.reaches(2);
    stage.end();
}

/// Hands its reply over to another thread.
struct Kept(ReplyTo<Mine>, crate::support::Shared<Option<ReplyTo<Mine>>>, Gate);

impl Handler<Kept> for Puppet {
    type Reply = ();

    fn handle(&mut self, Kept(reply, place, put): Kept, _: &mut Context<Self>) {
        place.with(|place| *place = Some(reply));
        put.open();
    }
}

fn in_a_continuation(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    watch(&a, &b);
    let to = c.clone();
    let ask = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&to, 1, LIMIT, |_: &mut Puppet, result, _| panic!("meant: {result:?}"));
    };
    b.tell(run(ask)).unwrap();
    stage.log.until(&format!("a hears of {}: panicked: meant: Ok(2)", b.id()));
    assert_eq!(c.ask(1).wait(), Ok(2));
    stage.end();
}

fn in_the_drop_of_a_continuation(on: Engine) {
    let stage = Stage::new(on);
    let (b, c, drops) = (stage.puppet("b"), stage.puppet("c"), Count::default());
    let (to, mine) = (c.clone(), Mine::new(&drops));
    let ask = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&to, 1, LIMIT, move |this: &mut Puppet, _, _| {
            this.says("must not");
            drop(mine);
        });
        ctx.stop();
    };
    b.tell(run(ask)).unwrap();
    drops.reaches(1);
    stage.log.expect("b", &["starts", "stops: stopped", "drops"]);
    assert_eq!(c.ask(1).wait(), Ok(2));
    stage.end();
}

fn in_a_factory(on: Engine) {
    let stage = Stage::new(on);
    let failed = stage.actor(|| -> Puppet { panic!("meant: no luck") }).spawn();
    assert_eq!(failed.unwrap_err(), SpawnError::FactoryPanicked("meant: no luck".into()));
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let failed = ctx.actor(|| -> Puppet { panic!("meant: no luck") }).spawn();
        this.says(failed.unwrap_err());
        let failed = ctx.actor(|| -> Puppet { panic_any(Unspeakable) }).spawn();
        this.says(failed.unwrap_err());
        assert!(ctx.children().is_empty());
    };
    a.tell(run(part)).unwrap();
    let texts = ["the factory panicked: meant: no luck", "the factory panicked: a panic without a text"];
    stage.log.expect("a", &["starts", texts[0], texts[1]]);
    assert_eq!(stage.counters().live_actors, 1);
    stage.end();
}

fn in_the_iterator_of_send_all(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let tokens = (0..10).map(|n| if n == 5 { panic!("meant") } else { Token::new(n, &drops) });
    assert!(catch_unwind(AssertUnwindSafe(|| a.send_all(tokens))).is_err());
    assert_eq!(drops.get(), 5);
    assert_eq!(a.ask(1).wait(), Ok(2));
    stage.log.expect("a", &["starts", "gets 1"]);
    assert_eq!(stage.end().sent, 1);
}

fn in_the_making_of_a_request(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let make = |_: ReplyTo<u64>| -> u64 { panic!("meant") };
    assert!(catch_unwind(AssertUnwindSafe(|| a.ask_with(make))).is_err());
    assert_eq!(a.ask(1).wait(), Ok(2));
    stage.log.expect("a", &["starts", "gets 1"]);
    stage.end();
}

/// Panics when it is woken.
struct Rude(Count);

impl std::task::Wake for Rude {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.add(1);
        panic!("meant: woken");
    }
}

fn in_a_waker(on: Engine) {
    let stage = Stage::new(on);
    let (a, woken) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    let mut asked = std::pin::pin!(a.ask(1));
    let mut timed = std::pin::pin!(a.ask(2).timeout(std::time::Duration::from_millis(1)));
    let waker = std::task::Waker::from(std::sync::Arc::new(Rude(woken.clone())));
    let mut task = std::task::Context::from_waker(&waker);
    assert!(asked.as_mut().poll(&mut task).is_pending());
    let pending = timed.as_mut().poll(&mut task).is_pending();
    if on.workers() > 1 && pending {
        eventually("the timer wakes", || woken.get() >= 1);
    }
    drop(held);
    eventually("the reply wakes", || woken.get() >= 1);
    // The one who answered goes on.
    assert_eq!(a.ask(3).wait(), Ok(6));
    assert!(asked.as_mut().poll(&mut task).is_ready());
    stage.end();
}

fn without_a_text(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    b.tell(run(|_, _| panic_any(Unspeakable))).unwrap();
    hears(&stage, &a, &b, "panicked: a panic without a text");
    c.tell(run(|_, _| panic_any("meant: a String".to_owned()))).unwrap();
    hears(&stage, &a, &c, "panicked: meant: a String");
    stage.end();
}

fn with_a_payload_that_panics_in_turn(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    // More of them than there are workers: none must be lost.
    for _ in 0..10 {
        let (b, seen) = (stage.puppet("b"), drops.clone());
        watch(&a, &b);
        b.tell(run(move |_, _| panic_any(Mine::new(&seen)))).unwrap();
        stage.log.until(&format!("a hears of {}: panicked: a panic without a text", b.id()));
    }
    drops.reaches(10);
    stage.living(1);
    assert_eq!(a.ask(1).wait(), Ok(2));
    stage.end();
}

fn of_a_parent(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.spawn(this.other("b"));
        ctx.spawn(this.other("c"));
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    stage.log.until("a drops");
    stage.log.expect("b", &["starts", "stops: parent stopped", "drops"]);
    stage.log.expect("c", &["starts", "stops: parent stopped", "drops"]);
    stage.log.expect("a", &["starts", "stops: panicked: meant", "drops"]);
    assert_eq!(stage.log.lines().last().unwrap(), "a drops");
    stage.end();
}

fn of_a_child(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let b = ctx.spawn(this.other("b"));
        ctx.watch(&b);
        b.tell(run(|_, _| panic!("meant"))).unwrap();
        this.says(b.id());
    };
    a.tell(run(part)).unwrap();
    eventually("a hears", || stage.log.of("a").len() == 3);
    let lines = stage.log.of("a");
    assert_eq!(lines[2], format!("hears of {}: panicked: meant", lines[1]));
    assert_eq!(a.ask(1).wait(), Ok(2));
    stage.end();
}

fn while_draining(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    a.tell(1).unwrap();
    a.tell(run(|_, _| panic!("meant"))).unwrap();
    a.tell(2).unwrap();
    a.drain();
    drop(held);
    stage.log.expect("a", &["starts", "gets 1", "stops: panicked: meant", "drops"]);
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered), (3, 1));
}

fn sends_before_it_go_out(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let to = b.clone();
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        (0..10).for_each(|n| to.tell(n).unwrap());
        panic!("meant");
    };
    a.tell(run(part)).unwrap();
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..10).map(|n| format!("gets {n}")));
    stage.log.expect("b", &wanted);
    stage.end();
}

fn siblings_go_on(on: Engine) {
    let stage = Stage::new(on);
    let siblings: Vec<_> = (0..10).map(|_| stage.puppet("s")).collect();
    for round in 0..20 {
        let fragile = stage.puppet("f");
        for sibling in &siblings {
            sibling.tell(round).unwrap();
        }
        fragile.tell(run(|_, _| panic!("meant"))).unwrap();
        for sibling in &siblings {
            sibling.tell(round).unwrap();
        }
    }
    stage.living(10);
    for sibling in &siblings {
        assert_eq!(sibling.ask(1).wait(), Ok(2));
    }
    let counters = stage.end();
    assert_eq!((counters.handled, counters.dead_lettered, counters.returned), (430, 0, 0));
}

/// Listens, and panics.
struct Squeamish(Count);

impl Actor for Squeamish {}

impl Handler<DeadLetter> for Squeamish {
    type Reply = ();

    fn handle(&mut self, _: DeadLetter, _: &mut Context<Self>) {
        self.0.add(1);
        panic!("meant: a dead letter");
    }
}

fn of_many(on: Engine) {
    quiet_panics();
    let stage = Stage::new(on);
    let seen = Count::default();
    stage.dead_letters(stage.spawn(Squeamish(seen.clone())));
    let count = 200;
    for n in 0..count {
        let a = stage.puppet("a");
        let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            let _ = ctx.me().tell(n);
            panic!("meant");
        };
        a.tell(run(part)).unwrap();
    }
    stage.living(0);
    assert_eq!(seen.get(), 1);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (2 * count, count, count));
}
