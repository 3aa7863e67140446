//! Messages that are kept for later: their order, what a restart and an end make of them, and the books.

use crate::support::letters::number;
use crate::support::puppet::{Puppet, Token, run};
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Count, LIMIT, Log, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, Context, DeadLetterReason, Handler, Mailbox, Overflow, Stash, StashError, StopReason};
use std::thread;

contract! {
    what_is_kept_comes_first,
    a_lone_message_unstashes,
    unstashed_in_start_and_continuation,
    a_second_call_comes_behind,
    the_newest_front_comes_first,
    a_restart_puts_it_back,
    a_restart_after_unstashing,
    unstashed_and_stopped,
    a_stop_buries_it,
    a_drain_handles_what_is_unstashed,
    a_full_stash_gives_back,
    a_dropped_stash_is_buried,
    a_stash_that_moves_is_the_new_actors,
    nothing_is_put_back_by_nobody,
    child_failed_unstashes,
    a_bound_does_not_count_it,
}

threads_contract! {
    each_message_has_one_fate,
}

/// Keeps numbers until it is open, and writes them down then.
struct Clerk {
    name: &'static str,
    log: Log,
    open: bool,
    stash: Stash<u64>,
    other: Stash<u64>,
}

impl Clerk {
    fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), open: false, stash: Stash::new(), other: Stash::new() }
    }

    fn says(&self, what: impl std::fmt::Display) {
        self.log.line(format!("{} {what}", self.name));
    }
}

impl Actor for Clerk {
    fn started(&mut self, _: &mut Context<Self>) {
        self.says("starts");
    }

    fn stopped(&mut self, reason: &StopReason) {
        self.says(format_args!("stops: {reason}"));
    }

    fn child_failed(&mut self, failure: &cuelight::Failure, ctx: &mut Context<Self>) -> cuelight::Decision {
        self.open = true;
        let count = self.stash.unstash_all(ctx);
        self.says(format_args!("unstashes {count}"));
        failure.proposed
    }
}

impl Handler<u64> for Clerk {
    type Reply = ();

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        if self.open {
            self.says(n);
        } else {
            self.stash.keep(n, ctx).expect("a stash without a bound");
        }
    }
}

/// Something for a clerk to do.
struct Do(fn(&mut Clerk, &mut Context<Clerk>));

impl Handler<Do> for Clerk {
    type Reply = ();

    fn handle(&mut self, Do(f): Do, ctx: &mut Context<Self>) {
        f(self, ctx);
    }
}

const OPEN: Do = Do(|this, ctx| {
    this.open = true;
    let count = this.stash.unstash_all(ctx);
    this.says(format_args!("unstashes {count}"));
});
const CLOSE: Do = Do(|this, _| this.open = false);
const FAIL: Do = Do(|_, _| panic!("meant"));

fn clerk(stage: &Stage) -> ActorRef<Clerk> {
    stage.spawn(Clerk::new("c", &stage.log))
}

fn restarted(stage: &Stage) -> ActorRef<Clerk> {
    let log = stage.log.clone();
    stage.actor(move || Clerk::new("c", &log)).restart(at_once()).spawn().expect("a clerk")
}

/// Sends all at once, so that it is one batch on threads.
fn together(clerk: &ActorRef<Clerk>, first: u64, count: u64) {
    clerk.send_all(first..first + count).expect("a clerk");
}

fn what_is_kept_comes_first(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    together(&c, 0, 100);
    c.tell(OPEN).unwrap();
    together(&c, 100, 100);
    c.tell(CLOSE).unwrap();
    together(&c, 200, 50);
    c.tell(OPEN).unwrap();
    c.tell(250).unwrap();
    let numbers = |range: std::ops::Range<u64>| range.map(|n| n.to_string());
    let mut wanted = vec!["starts".to_owned(), "unstashes 100".to_owned()];
    wanted.extend(numbers(0..200));
    wanted.push("unstashes 50".to_owned());
    wanted.extend(numbers(200..251));
    stage.log.expect("c", &wanted);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (254 + 150, 254 + 150));
}

fn a_lone_message_unstashes(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    for n in 0..20 {
        c.ask(2 * n).wait().unwrap();
        c.ask(2 * n + 1).wait().unwrap();
        // Alone in the mailbox, or not quite.
        c.ask(OPEN).wait().unwrap();
        if n % 2 == 0 {
            c.ask(CLOSE).wait().unwrap();
        } else {
            c.tell(CLOSE).unwrap();
        }
    }
    let lines = (0..20).flat_map(|n| ["unstashes 2".to_owned(), (2 * n).to_string(), (2 * n + 1).to_string()]);
    let wanted: Vec<String> = ["starts".to_owned()].into_iter().chain(lines).collect();
    stage.log.expect("c", &wanted);
    stage.end();
}

fn unstashed_in_start_and_continuation(on: Engine) {
    /// Puts back what nobody has sent to it.
    struct Early(Log);
    impl Actor for Early {
        fn started(&mut self, ctx: &mut Context<Self>) {
            assert_eq!(ctx.put_back([1_u64, 2]), 2);
            assert_eq!(ctx.put_back(Vec::<u64>::new()), 0);
        }
    }
    impl Handler<u64> for Early {
        type Reply = ();
        fn handle(&mut self, n: u64, _: &mut Context<Self>) {
            self.0.line(format!("e {n}"));
        }
    }
    impl Handler<ActorRef<Puppet>> for Early {
        type Reply = ();
        fn handle(&mut self, puppet: ActorRef<Puppet>, ctx: &mut Context<Self>) {
            ctx.ask(&puppet, 5, LIMIT, |_, reply, ctx| {
                ctx.put_back(reply);
            });
        }
    }
    let stage = Stage::new(on);
    let early = stage.spawn(Early(stage.log.clone()));
    stage.log.expect("e", &["1", "2"]);
    early.ask(stage.puppet("a")).wait().unwrap();
    stage.log.expect("e", &["1", "2", "10"]);
    let second = stage.spawn(Early(Log::default()));
    second.tell(3).unwrap();
    second.ask(4).wait().unwrap();
    let counters = stage.end();
    assert_eq!(counters.dead_lettered, 0, "{counters}");
}

fn a_second_call_comes_behind(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    together(&c, 0, 3);
    c.tell(Do(|this, ctx| {
        this.open = true;
        this.other.keep(8, ctx).unwrap();
        this.other.keep(9, ctx).unwrap();
        this.stash.unstash_all(ctx);
        this.other.unstash_all(ctx);
        ctx.put_back([10_u64]);
    }))
    .unwrap();
    c.tell(11).unwrap();
    stage.log.expect("c", &["starts", "0", "1", "2", "8", "9", "10", "11"]);
    stage.end();
}

fn the_newest_front_comes_first(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    c.tell(Do(|this, ctx| {
        this.open = true;
        ctx.put_back([
            Do(|_, ctx| {
                ctx.put_back([1_u64, 2]);
            }),
            Do(|this, _| this.says("second")),
        ]);
    }))
    .unwrap();
    c.tell(3).unwrap();
    stage.log.expect("c", &["starts", "1", "2", "second", "3"]);
    stage.end();
}

fn a_restart_puts_it_back(on: Engine) {
    let stage = Stage::new(on);
    let c = restarted(&stage);
    together(&c, 0, 3);
    // Alone, too.
    c.ask(3).wait().unwrap();
    c.tell(FAIL).unwrap();
    together(&c, 4, 2);
    c.tell(FAIL).unwrap();
    c.tell(Do(|this, ctx| this.other.keep(100, ctx).unwrap())).unwrap();
    c.tell(FAIL).unwrap();
    c.tell(OPEN).unwrap();
    c.tell(6).unwrap();
    // The one of the other field came later, and comes behind.
    let wanted = ["starts", "starts", "starts", "starts", "unstashes 7", "0", "1", "2", "3", "4", "5", "100", "6"];
    stage.log.expect("c", &wanted);
    c.ask(OPEN).wait().unwrap();
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.dead_lettered, counters.returned), (3, 0, 0));
}

fn a_restart_after_unstashing(on: Engine) {
    let stage = Stage::new(on);
    let c = restarted(&stage);
    for lone in [false, true] {
        together(&c, 0, 3);
        if lone {
            c.ask(CLOSE).wait().unwrap();
        }
        // What was put back comes first; what is still kept, behind it.
        c.tell(Do(|this, ctx| {
            this.stash.unstash_all(ctx);
            this.other.keep(3, ctx).unwrap();
            panic!("meant");
        }))
        .unwrap();
        if !lone {
            c.tell(4).unwrap();
        }
        c.ask(OPEN).wait().unwrap();
        c.ask(CLOSE).wait().unwrap();
    }
    let wanted =
        ["starts", "starts", "unstashes 5", "0", "1", "2", "3", "4", "starts", "unstashes 4", "0", "1", "2", "3"];
    stage.log.expect("c", &wanted);
    assert_eq!(stage.end().restarts, 2);
}

fn unstashed_and_stopped(on: Engine) {
    let stage = Stage::new(on);
    for (index, end) in [
        Do(|this: &mut Clerk, ctx: &mut Context<Clerk>| {
            this.stash.unstash_all(ctx);
            ctx.stop();
        }),
        Do(|this, ctx| {
            this.stash.unstash_all(ctx);
            panic!("meant");
        }),
        Do(|_, ctx| ctx.stop()),
        FAIL,
    ]
    .into_iter()
    .enumerate()
    {
        let c = clerk(&stage);
        together(&c, 0, 3);
        if index % 2 == 0 {
            c.ask(CLOSE).wait().unwrap();
        }
        c.tell(end).unwrap();
        stage.living(0);
        assert_eq!(stage.counters().dead_lettered, 3 * (index as u64 + 1));
    }
    stage.end();
}

fn a_stop_buries_it(on: Engine) {
    let stage = Stage::new(on);
    let letters = stage.letters(|letter| (number(&letter).expect("a number"), letter.reason));
    let ends: [fn(&ActorRef<Clerk>); 2] = [ActorRef::stop, ActorRef::drain];
    for end in ends {
        let c = clerk(&stage);
        together(&c, 0, 3);
        c.ask(CLOSE).wait().unwrap();
        end(&c);
        stage.living(1);
    }
    let wanted = [0, 1, 2, 0, 1, 2].map(|n| (n, DeadLetterReason::Stopped));
    eventually("six letters", || letters.get().len() == 6);
    assert_eq!(letters.get(), wanted);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (14, 8, 6));
}

fn a_drain_handles_what_is_unstashed(on: Engine) {
    let stage = Stage::new(on);
    let c = restarted(&stage);
    together(&c, 0, 2);
    c.tell(FAIL).unwrap();
    c.tell(OPEN).unwrap();
    c.tell(2).unwrap();
    c.drain();
    stage.log.expect("c", &["starts", "starts", "unstashes 2", "0", "1", "2", "stops: drained"]);
    assert_eq!(stage.end().dead_lettered, 0);
}

fn a_full_stash_gives_back(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    c.ask(Do(|_, ctx| {
        let mut stash = Stash::bounded(2);
        assert_eq!((stash.len(), stash.is_empty(), stash.capacity()), (0, true, Some(2)));
        stash.keep(1_u64, ctx).unwrap();
        stash.keep(2, ctx).unwrap();
        let error = stash.keep(3, ctx).unwrap_err();
        assert_eq!(error.to_string(), "the stash is full: at most 2 messages are allowed");
        assert_eq!(error, StashError::Full { message: 3, capacity: 2 });
        assert_eq!((error.into_message(), stash.len()), (3, 2));
        assert_eq!(stash.take_all(), [1, 2]);
        stash.keep(4, ctx).unwrap();
        assert_eq!(stash.take_all(), [4]);
        assert_eq!(Stash::bounded(0).keep(5_u64, ctx).unwrap_err().into_message(), 5);
        assert_eq!(format!("{stash:?}"), "Stash { len: 0, capacity: Some(2), .. }");
    }))
    .wait()
    .unwrap();
    let counters = stage.end();
    assert_eq!((counters.sent, counters.dead_lettered), (1, 0));
}

fn a_dropped_stash_is_buried(on: Engine) {
    let stage = Stage::new(on);
    let c = restarted(&stage);
    together(&c, 0, 3);
    c.ask(Do(|this, _| this.stash = Stash::new())).wait().unwrap();
    assert_eq!(stage.counters().dead_lettered, 3);
    // Unwinding does not put back what the handler has taken.
    together(&c, 0, 3);
    c.tell(Do(|this, _| {
        let _stash = std::mem::take(&mut this.stash);
        panic!("meant");
    }))
    .unwrap();
    c.ask(OPEN).wait().unwrap();
    stage.log.expect("c", &["starts", "starts", "unstashes 0"]);
    let counters = stage.end();
    assert_eq!((counters.dead_lettered, counters.restarts), (6, 1));
}

fn a_stash_that_moves_is_the_new_actors(on: Engine) {
    struct Heir(Stash<u64>, Log);
    impl Actor for Heir {}
    impl Handler<Stash<u64>> for Heir {
        type Reply = ();
        fn handle(&mut self, stash: Stash<u64>, ctx: &mut Context<Self>) {
            self.0 = stash;
            self.0.unstash_all(ctx);
        }
    }
    impl Handler<u64> for Heir {
        type Reply = ();
        fn handle(&mut self, n: u64, _: &mut Context<Self>) {
            self.1.line(format!("h {n}"));
        }
    }
    impl Handler<ActorRef<Heir>> for Clerk {
        type Reply = ();
        fn handle(&mut self, heir: ActorRef<Heir>, _: &mut Context<Self>) {
            heir.tell(std::mem::take(&mut self.stash)).unwrap();
        }
    }
    let stage = Stage::new(on);
    let c = clerk(&stage);
    let heir = stage.spawn(Heir(Stash::new(), stage.log.clone()));
    together(&c, 0, 3);
    c.tell(heir.clone()).unwrap();
    stage.log.expect("h", &["0", "1", "2"]);
    // One that is sent to somebody who has ended is buried with its letter.
    together(&c, 0, 3);
    c.ask(CLOSE).wait().unwrap();
    heir.stop();
    stage.living(1);
    let (drops, before) = (Count::default(), stage.counters().dead_lettered);
    c.ask(Do(|this, _| {
        let stash = std::mem::take(&mut this.stash);
        thread::spawn(move || drop(stash)).join().expect("a drop");
    }))
    .wait()
    .unwrap();
    assert_eq!((stage.counters().dead_lettered - before, drops.get()), (3, 0));
    stage.end();
}

fn nothing_is_put_back_by_nobody(on: Engine) {
    let stage = Stage::new(on);
    let c = clerk(&stage);
    for _ in 0..3 {
        c.ask(OPEN).wait().unwrap();
    }
    stage.log.expect("c", &["starts", "unstashes 0", "unstashes 0", "unstashes 0"]);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled), (3, 3));
}

fn child_failed_unstashes(on: Engine) {
    let stage = Stage::new(on);
    for drains in [false, true] {
        let c = clerk(&stage);
        together(&c, 0, 2);
        c.ask(Do(|this, ctx| {
            let log = this.log.clone();
            let child = ctx.spawn(Puppet::new("child", &log));
            child.tell(run(|_, _| panic!("meant"))).unwrap();
        }))
        .wait()
        .unwrap();
        if drains {
            c.drain();
            stage.living(0);
        } else {
            stage.log.until("c 1");
            c.stop();
            stage.living(0);
        }
    }
    // A parent that drains may have handled all it had, and awaits the child: it buries then.
    let counters = stage.end();
    assert!([0, 2].contains(&counters.dead_lettered), "{counters}");
}

/// Keeps, unstashes and fails at random, and writes down what it handles at last.
struct Fickle {
    random: u64,
    stash: Stash<(usize, Token)>,
    handled: Shared<Vec<(usize, u64)>>,
}

impl Actor for Fickle {}

impl Handler<(usize, Token)> for Fickle {
    type Reply = ();

    fn handle(&mut self, (sender, token): (usize, Token), ctx: &mut Context<Self>) {
        // Once something is kept, what comes is, until all is put back: so order holds.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = self.random >> 33;
        if !self.stash.is_empty() || dice % 4 == 0 {
            self.stash.keep((sender, token), ctx).expect("a stash without a bound");
            if dice % 8 == 1 {
                self.stash.unstash_all(ctx);
            }
        } else {
            self.handled.with(|handled| handled.push((sender, token.0)));
        }
        if dice % 61 == 0 {
            panic!("meant");
        }
    }
}

fn each_message_has_one_fate(on: Engine) {
    let stage = Stage::new(on);
    let (handled, drops, lives) = (Shared::default(), Count::default(), Count::default());
    let factory = {
        let (handled, lives) = (handled.clone(), lives.clone());
        move || {
            lives.add(1);
            Fickle { random: lives.get(), stash: Stash::new(), handled: handled.clone() }
        }
    };
    let fickle = stage.actor(factory).restart(at_once()).spawn().unwrap();
    let (senders, each) = (3, scaled(3_000, 200));
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let (fickle, drops) = (fickle.clone(), drops.clone());
            let send = move || (0..each).for_each(|n| fickle.tell((sender, Token::new(n, &drops))).unwrap());
            thread::spawn(send)
        })
        .collect();
    for thread in threads {
        thread.join().expect("a sender");
    }
    // What is on the way when it ends is handled, or kept and buried.
    fickle.drain();
    stage.living(0);
    let counters = stage.end();
    let total = senders as u64 * each;
    drops.reaches(total);
    let seen = handled.get();
    for sender in 0..senders {
        let numbers: Vec<u64> = seen.iter().filter(|(from, _)| *from == sender).map(|&(_, n)| n).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{sender} out of order, or twice");
    }
    assert_eq!(seen.len() as u64 + counters.dead_lettered, total, "{counters}");
    assert!(counters.restarts > 0);
}

fn a_bound_does_not_count_it(on: Engine) {
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest] {
        let stage = Stage::new(on);
        let log = stage.log.clone();
        let mailbox = Mailbox::bounded(4, overflow);
        let c = stage.actor(move || Clerk::new("c", &log)).mailbox(mailbox).restart(at_once()).spawn().unwrap();
        for n in 0..10 {
            c.ask(n).wait().unwrap();
        }
        c.ask(FAIL).wait().unwrap_err();
        c.ask(OPEN).wait().unwrap();
        // All ten are put back, and there is room for four as before.
        stage.log.until("c 9");
        for n in 10..20 {
            c.ask(n).wait().unwrap();
        }
        let numbers = (0..20).map(|n| n.to_string());
        let wanted: Vec<String> =
            ["starts", "starts", "unstashes 10"].map(str::to_owned).into_iter().chain(numbers).collect();
        stage.log.expect("c", &wanted);
        for n in 0..4 {
            c.tell_holding(n, ()).unwrap();
            c.ask(CLOSE).wait().unwrap();
        }
        assert_eq!(stage.counters().dead_lettered, 0);
        stage.end();
    }
}
