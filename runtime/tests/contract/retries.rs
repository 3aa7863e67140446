//! Messages that are tried again: how often, in which place, as whose, and what becomes of them in the end.

use crate::support::puppet::{Puppet, run};
use crate::support::restarts::{at_once, never_comes};
use crate::support::stage::{Engine, Stage, contract, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Log, Shared, eventually, quiet_panics, scaled};
use cuelight::{
    Actor, ActorRef, AskError, Context, DeadLetter, DeadLetterReason, Decision, Failure, Handler, IdleTimeout, ReplyTo,
    Restart, SpawnError, StopReason, Terminated,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

contract! {
    until_it_succeeds,
    before_anything_newer,
    poisoned_with_its_payload,
    an_ask_gets_the_answer_that_succeeds,
    an_ask_that_nobody_waits_for_any_more,
    an_ask_with_a_shared_reply,
    without_a_restart_it_ends,
    a_stop_wins_over_the_next_attempt,
    a_drain_comes_after_it,
    a_supervisor_that_says_no,
    a_limit_that_is_used_up_first,
    a_start_that_panics_is_no_attempt,
    several_types,
    timers_and_notices,
    a_clone_that_panics,
    drops_that_panic_and_send,
    of_any_size,
    in_one_batch_after_the_other,
    bad_numbers_are_named,
    a_storm_of_one_sender,
}

threads_contract! {
    a_storm_of_many_senders,
}

/// Counts of one kind of message: made, and dropped.
#[derive(Clone, Default)]
struct Books {
    made: Count,
    dropped: Count,
    /// Clones that are to panic: the first so many after this many.
    bad_clones: Shared<(u32, u32)>,
}

impl Books {
    fn coin(&self, number: u64, bad: u32) -> Coin {
        self.made.add(1);
        Coin { number, bad, books: self.clone() }
    }

    #[track_caller]
    fn balance(&self) {
        eventually("each is dropped", || self.made.get() == self.dropped.get());
    }
}

/// A number, over which an actor stumbles as often as it says. All that is made of it is counted.
struct Coin {
    number: u64,
    bad: u32,
    books: Books,
}

impl Clone for Coin {
    fn clone(&self) -> Self {
        let panics = self.books.bad_clones.with(|(before, bad)| {
            if *before > 0 {
                *before -= 1;
                return false;
            }
            *bad > 0 && {
                *bad -= 1;
                true
            }
        });
        assert!(!panics, "meant: a clone");
        self.books.coin(self.number, self.bad)
    }
}

impl Drop for Coin {
    fn drop(&mut self) {
        self.books.dropped.add(1);
    }
}

/// What actors remember over their restarts: how often each number has been tried.
type Tries = Shared<Vec<(u64, u32)>>;

/// Stumbles.
struct Clumsy {
    log: Log,
    tries: Tries,
    /// Attempts at a start that panic.
    bad_starts: Shared<u32>,
}

impl Clumsy {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), tries: Tries::default(), bad_starts: Shared::default() }
    }

    /// The same again, for a factory.
    fn again(&self) -> Self {
        Self { log: self.log.clone(), tries: self.tries.clone(), bad_starts: self.bad_starts.clone() }
    }

    fn factory(self) -> impl FnMut() -> Self + Send + 'static {
        move || self.again()
    }

    fn attempt(&self, number: u64, bad: u32) {
        let tried = self.tries.with(|tries| {
            if let Some((_, tried)) = tries.iter_mut().find(|(n, _)| *n == number) {
                *tried += 1;
                return *tried;
            }
            tries.push((number, 1));
            1
        });
        self.log.line(format!("a {number}.{tried}"));
        assert!(tried > bad, "meant: {number}.{tried}");
    }
}

impl Actor for Clumsy {
    fn started(&mut self, _: &mut Context<Self>) {
        let bad = self.bad_starts.with(|bad| std::mem::replace(bad, bad.saturating_sub(1)));
        assert!(bad == 0, "meant: a start");
    }

    fn stopped(&mut self, reason: &StopReason) {
        self.log.line(format!("a stops: {reason}"));
    }
}

impl Handler<Coin> for Clumsy {
    type Reply = u64;

    fn handle(&mut self, coin: Coin, _: &mut Context<Self>) -> u64 {
        self.attempt(coin.number, coin.bad);
        2 * coin.number
    }
}

/// A letter, as far as it can be compared.
type Seen = (DeadLetterReason, Option<u64>);

/// Reads letters.
struct Clerk(Shared<Vec<Seen>>);

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        let number = letter.payload.map(|payload| match payload.downcast::<Coin>() {
            Ok(coin) => coin.number,
            Err(payload) => payload.downcast::<Big>().map_or(0, |big| big.0.number),
        });
        self.0.with(|seen| seen.push((letter.reason, number)));
    }
}

fn clerk(stage: &Stage) -> Shared<Vec<Seen>> {
    let seen = Shared::default();
    stage.dead_letters(stage.spawn(Clerk(seen.clone())));
    seen
}

#[track_caller]
fn letters(seen: &Shared<Vec<Seen>>, wanted: &[Seen]) {
    eventually("letters", || seen.with(|seen| seen.len()) >= wanted.len());
    assert_eq!(seen.with(std::mem::take), wanted);
}

fn clumsy(stage: &Stage, rule: Restart, most: u32) -> ActorRef<Clumsy> {
    clumsy_for(stage, &stage.log, rule, most)
}

fn clumsy_for(stage: &Stage, log: &Log, rule: Restart, most: u32) -> ActorRef<Clumsy> {
    stage.actor(Clumsy::new(log).factory()).restart(rule).retry::<Coin>(most).spawn().expect("an actor")
}

/// Numbers of one sender.
const SENDER: u64 = 1_000_000;

use DeadLetterReason::{Panicked, Poisoned, Stopped};

fn until_it_succeeds(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let a = clumsy(&stage, at_once(), 3);
    for (number, bad) in [(1, 0), (2, 3), (3, 1)] {
        // One by one: each is alone in the mailbox.
        a.tell(books.coin(number, bad)).unwrap();
        stage.quiet();
    }
    stage.log.expect("a", &["1.1", "2.1", "2.2", "2.3", "2.4", "3.1", "3.2"]);
    let counters = stage.counters();
    assert_eq!((counters.retries, counters.poisoned, counters.restarts), (4, 0, 4));
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (7, 7, 0));
    assert_eq!(seen.get(), []);
    stage.end();
    books.balance();
}

fn before_anything_newer(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let rule = at_once().backoff(Duration::from_millis(2), Duration::from_millis(2));
    let a = clumsy(&stage, rule, 2);
    let (b, to, coins) = (stage.puppet("b"), a.clone(), books.clone());
    a.tell(books.coin(1, 2)).unwrap();
    a.tell(books.coin(2, 0)).unwrap();
    // From another actor, that fills its slot and its mailbox, all the time.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 10..20 {
            to.tell(coins.coin(n, 0)).unwrap();
        }
    };
    b.tell(run(part)).unwrap();
    a.send_all([books.coin(3, 1), books.coin(4, 0)]).unwrap();
    assert_eq!(a.ask(books.coin(5, 2)).wait(), Ok(10));
    stage.quiet();
    let lines = stage.log.of("a");
    // Whatever comes after a first attempt of a number that fails is its next one.
    for (number, tries) in [(1, 3), (3, 2), (5, 3)] {
        let first = lines.iter().position(|line| *line == format!("{number}.1")).expect("an attempt");
        for tried in 1..=tries {
            assert_eq!(lines[first + tried - 1], format!("{number}.{tried}"), "{lines:#?}");
        }
    }
    let order = |senders: &[u64]| -> Vec<u64> {
        let numbers = lines.iter().map(|line| line.split('.').next().unwrap().parse().unwrap());
        let mut numbers: Vec<u64> = numbers.filter(|number| senders.contains(number)).collect();
        numbers.dedup();
        numbers
    };
    assert_eq!(order(&[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
    let others: Vec<u64> = (10..20).collect();
    assert_eq!(order(&others), others);
    stage.end();
    books.balance();
}

fn poisoned_with_its_payload(on: Engine) {
    for listens in [true, false] {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), Shared::default());
        if listens {
            stage.dead_letters(stage.spawn(Clerk(seen.clone())));
        }
        let a = clumsy(&stage, at_once(), 2);
        a.send_all([books.coin(1, 9), books.coin(2, 0)]).unwrap();
        stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1"]);
        if listens {
            letters(&seen, &[(Poisoned, Some(1))]);
        }
        stage.quiet();
        eventually("restarts", || stage.counters().restarts == 3);
        let counters = stage.end();
        // Three attempts, and the clone that is left; one more message.
        assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (5, 4, 1));
        assert_eq!((counters.retries, counters.poisoned, counters.restarts), (2, 1, 3));
        books.balance();
    }
    assert_eq!(Poisoned.to_string(), "the handler panicked each time");
}

fn an_ask_gets_the_answer_that_succeeds(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let a = clumsy(&stage, at_once(), 2);
    let asks = [(1, 0), (2, 2), (3, 3), (4, 1)].map(|(n, bad)| a.ask(books.coin(n, bad)));
    let replies = asks.map(|ask| ask.timeout(LIMIT).wait());
    assert_eq!(replies, [Ok(2), Ok(4), Err(AskError::Panicked), Ok(8)]);
    letters(&seen, &[(Poisoned, Some(3))]);
    // From inside.
    let (b, heard) = (stage.puppet("b"), Shared::new(Vec::new()));
    for (n, bad) in [(5, 2), (6, 3)] {
        let (a, coin, heard) = (a.clone(), books.coin(n, bad), heard.clone());
        b.tell(run(move |_, ctx| {
            ctx.ask(&a, coin, LIMIT, move |_, reply, _| heard.with(|heard| heard.push(reply)));
        }))
        .unwrap();
    }
    eventually("replies", || heard.with(|heard| heard.len()) == 2);
    assert_eq!(heard.get(), [Ok(10), Err(AskError::Panicked)]);
    letters(&seen, &[(Poisoned, Some(6))]);
    assert_eq!(stage.end().late_replies, 0);
    books.balance();
}

fn an_ask_that_nobody_waits_for_any_more(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let rule = at_once().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let a = clumsy(&stage, rule, 2);
    let early = a.ask(books.coin(1, 1));
    stage.log.until("a 1.1");
    // Dropped between two attempts, or before them.
    drop(early);
    drop(a.ask(books.coin(2, 2)));
    drop(a.ask(books.coin(3, 3)));
    stage.log.until("a 3.3");
    stage.quiet();
    assert_eq!(a.ask(books.coin(4, 0)).wait(), Ok(8));
    let counters = stage.end();
    assert_eq!((counters.late_replies, counters.poisoned), (2, 1));
    books.balance();
}

/// A request that can be cloned, and answered once.
#[derive(Clone)]
struct Question(Coin, Arc<Mutex<Option<ReplyTo<u64>>>>);

impl Handler<Question> for Clumsy {
    type Reply = ();

    fn handle(&mut self, Question(coin, reply): Question, _: &mut Context<Self>) {
        self.attempt(coin.number, coin.bad);
        if let Some(reply) = reply.lock().unwrap().take() {
            reply.send(3 * coin.number);
        }
    }
}

fn an_ask_with_a_shared_reply(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).restart(at_once()).retry::<Question>(2).spawn().unwrap();
    let asks = [(1, 2), (2, 3), (3, 0)].map(|(n, bad)| {
        let coin = books.coin(n, bad);
        a.ask_with(move |reply| Question(coin, Arc::new(Mutex::new(Some(reply)))))
    });
    let replies = asks.map(|ask| ask.timeout(LIMIT).wait());
    assert_eq!(replies, [Ok(3), Err(AskError::Panicked), Ok(9)]);
    stage.end();
    books.balance();
}

fn without_a_restart_it_ends(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).retry::<Coin>(5).spawn().unwrap();
    a.send_all([books.coin(1, 0), books.coin(2, 1), books.coin(3, 0)]).unwrap();
    stage.log.expect("a", &["1.1", "2.1", "stops: panicked: meant: 2.1"]);
    letters(&seen, &[(Panicked, Some(2)), (Stopped, Some(3))]);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (4, 2, 2));
    assert_eq!((counters.retries, counters.poisoned), (0, 0));
    books.balance();
}

/// An actor that waits for its next attempt at 1, with 2 queued, and the ask that brought 1.
fn suspended(stage: &Stage, books: &Books) -> (ActorRef<Clumsy>, cuelight::Ask<u64>) {
    let a = clumsy(stage, never_comes(), 5);
    let ask = a.ask(books.coin(1, 1));
    stage.log.until("a 1.1");
    a.tell(books.coin(2, 0)).unwrap();
    (a, ask)
}

fn a_stop_wins_over_the_next_attempt(on: Engine) {
    let ends: [fn(&Stage, &ActorRef<Clumsy>); 2] = [
        |_, a| a.stop(),
        |stage, _| {
            stage.system.shutdown(LIMIT).expect("a shutdown");
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), clerk(&stage));
        let (a, ask) = suspended(&stage, &books);
        end(&stage, &a);
        assert_eq!(ask.wait(), Err(AskError::Panicked));
        if index == 0 {
            letters(&seen, &[(Panicked, Some(1)), (Stopped, Some(2))]);
        }
        let counters = stage.end();
        assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (3, 1, 2));
        assert_eq!((counters.retries, counters.poisoned), (0, 0));
        books.balance();
    }
}

fn a_drain_comes_after_it(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let rule = at_once().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let a = clumsy(&stage, rule, 2);
    let held = Books::default();
    a.send_all([books.coin(1, 2), books.coin(2, 3), held.coin(3, 1)]).unwrap();
    a.drain();
    stage.log.until("a stops: drained");
    stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1", "2.2", "2.3", "3.1", "3.2", "stops: drained"]);
    letters(&seen, &[(Poisoned, Some(2))]);
    stage.end();
    books.balance();
    held.balance();
}

/// A parent that answers each failure.
struct Strict(Decision);

impl Actor for Strict {
    fn child_failed(&mut self, _: &Failure, _: &mut Context<Self>) -> Decision {
        self.0
    }
}

impl Handler<Log> for Strict {
    type Reply = ActorRef<Clumsy>;

    fn handle(&mut self, log: Log, ctx: &mut Context<Self>) -> ActorRef<Clumsy> {
        let child = ctx.actor(Clumsy::new(&log).factory()).restart(at_once()).retry::<Coin>(5);
        child.spawn().expect("a child")
    }
}

fn a_supervisor_that_says_no(on: Engine) {
    for decision in [Decision::Stop, Decision::Escalate] {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), clerk(&stage));
        // It stays above an escalation, which would stop the system.
        let above = stage.spawn(Strict(Decision::Stop));
        let strict = above.ask(decision).wait().unwrap();
        let a = strict.ask(stage.log.clone()).wait().unwrap();
        let ask = a.ask(books.coin(1, 1));
        assert_eq!(ask.timeout(LIMIT).wait(), Err(AskError::Panicked), "{decision:?}");
        letters(&seen, &[(Panicked, Some(1))]);
        stage.log.until("a stops: panicked: meant: 1.1");
        stage.end();
        books.balance();
    }
}

impl Handler<Decision> for Strict {
    type Reply = ActorRef<Strict>;

    fn handle(&mut self, decision: Decision, ctx: &mut Context<Self>) -> ActorRef<Strict> {
        ctx.spawn(Strict(decision))
    }
}

fn a_limit_that_is_used_up_first(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let a = clumsy(&stage, at_once().limit(2, LIMIT), 5);
    let ask = a.ask(books.coin(1, 9));
    assert_eq!(ask.wait(), Err(AskError::Panicked));
    stage.living(0);
    stage.log.expect("a", &["1.1", "1.2", "1.3", "stops: panicked: meant: 1.3"]);
    assert_eq!(stage.failure().map(|failure| failure.restarts), Some(2));
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.dead_lettered), (4, 3, 1));
    assert_eq!((counters.retries, counters.poisoned), (2, 0));
    books.balance();
}

fn a_start_that_panics_is_no_attempt(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let actor = Clumsy::new(&stage.log);
    let bad_starts = actor.bad_starts.clone();
    let a = stage.actor(actor.factory()).restart(at_once()).retry::<Coin>(1).spawn().unwrap();
    assert_eq!(a.ask(books.coin(1, 0)).wait(), Ok(2));
    bad_starts.with(|bad| *bad = 3);
    assert_eq!(a.ask(books.coin(2, 1)).wait(), Ok(4));
    stage.log.expect("a", &["1.1", "2.1", "2.2"]);
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.retries), (4, 1));
    books.balance();
}

/// Another type that is tried again, more seldom.
#[derive(Clone)]
struct Other(Coin);

/// One that is not.
struct Plain(Coin);

impl Handler<Other> for Clumsy {
    type Reply = ();

    fn handle(&mut self, Other(coin): Other, _: &mut Context<Self>) {
        self.attempt(coin.number, coin.bad);
    }
}

impl Handler<Plain> for Clumsy {
    type Reply = ();

    fn handle(&mut self, Plain(coin): Plain, _: &mut Context<Self>) {
        self.attempt(coin.number, coin.bad);
    }
}

fn several_types(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let a = stage
        .actor(Clumsy::new(&stage.log).factory())
        .retry::<Coin>(7)
        .restart(at_once())
        .retry::<Other>(1)
        .retry::<Coin>(2)
        .spawn()
        .unwrap();
    a.tell(books.coin(1, 9)).unwrap();
    a.tell(Other(books.coin(2, 9))).unwrap();
    a.tell(Plain(books.coin(3, 9))).unwrap();
    a.tell(Other(books.coin(4, 1))).unwrap();
    assert_eq!(a.ask(books.coin(5, 0)).wait(), Ok(10));
    stage.log.expect("a", &["1.1", "1.2", "1.3", "2.1", "2.2", "3.1", "4.1", "4.2", "5.1"]);
    // The clerk looks only into coins.
    letters(&seen, &[(Poisoned, Some(1)), (Poisoned, Some(0)), (Panicked, None)]);
    stage.end();
    books.balance();
}

/// Sets timers in its first life, and has what they bring fail once.
struct Timed {
    lives: Count,
    log: Log,
    books: Books,
    target: ActorRef<Puppet>,
    tries: Tries,
}

impl Actor for Timed {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.lives.add(1);
        if self.lives.get() == 1 {
            ctx.watch(&self.target);
        }
    }
}

impl Timed {
    fn attempt(&self, what: u64) {
        Clumsy { log: self.log.clone(), tries: self.tries.clone(), bad_starts: Shared::default() }.attempt(what, 1);
    }
}

impl Handler<Coin> for Timed {
    type Reply = ();

    fn handle(&mut self, coin: Coin, _: &mut Context<Self>) {
        self.attempt(coin.number);
    }
}

impl Handler<IdleTimeout> for Timed {
    type Reply = ();

    fn handle(&mut self, _: IdleTimeout, _: &mut Context<Self>) {
        self.attempt(7);
    }
}

impl Handler<Terminated> for Timed {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.attempt(8);
    }
}

/// Which timer to set.
impl Handler<u64> for Timed {
    type Reply = ();

    fn handle(&mut self, which: u64, ctx: &mut Context<Self>) {
        let coin = self.books.coin(which, 1);
        let soon = Duration::from_millis(1);
        match which {
            5 => drop(ctx.send_after(soon, coin)),
            6 => drop(ctx.send_every(soon, coin)),
            _ => ctx.set_idle_timeout(Some(soon)),
        }
    }
}

fn timers_and_notices(on: Engine) {
    let stage = Stage::new(on);
    let (books, target) = (Books::default(), stage.puppet("target"));
    let (log, coins, to) = (stage.log.clone(), books.clone(), target.clone());
    let (lives, tries) = (Count::default(), Tries::default());
    let factory = move || Timed {
        lives: lives.clone(),
        log: log.clone(),
        books: coins.clone(),
        target: to.clone(),
        tries: tries.clone(),
    };
    let a = stage.actor(factory).restart(at_once());
    let a = a.retry::<Coin>(1).retry::<IdleTimeout>(1).retry::<Terminated>(1).spawn().unwrap();
    for which in 5..8 {
        a.tell(which).unwrap();
        stage.log.until(&format!("a {which}.2"));
        stage.quiet();
    }
    target.stop();
    stage.log.until("a 8.2");
    stage.quiet();
    // The restart has taken the period and the idle timeout back.
    stage.log.expect("a", &["5.1", "5.2", "6.1", "6.2", "7.1", "7.2", "8.1", "8.2"]);
    let counters = stage.end();
    assert_eq!((counters.restarts, counters.retries, counters.dead_lettered), (4, 4, 0));
    books.balance();
}

fn a_clone_that_panics(on: Engine) {
    // The clone for the first attempt, or for the second.
    for before in [0, 1] {
        let stage = Stage::new(on);
        let (books, seen) = (Books::default(), clerk(&stage));
        let a = clumsy(&stage, at_once(), 5);
        books.bad_clones.with(|bad| *bad = (before, 1));
        let asks = [a.ask(books.coin(1, 1)), a.ask(books.coin(2, 0))];
        assert_eq!(asks.map(|ask| ask.wait()), [Err(AskError::Panicked), Ok(4)]);
        letters(&seen, &[(Panicked, Some(1))]);
        // And of one that nobody waits for.
        books.bad_clones.with(|bad| *bad = (before, 1));
        a.tell(books.coin(3, 1)).unwrap();
        letters(&seen, &[(Panicked, Some(3))]);
        stage.quiet();
        let lines: &[&str] = if before == 0 { &["2.1"] } else { &["1.1", "2.1", "3.1"] };
        stage.log.expect("a", lines);
        eventually("its last restart", || stage.counters().restarts == u64::from(2 + 2 * before));
        let counters = stage.end();
        assert_eq!((counters.poisoned, counters.dead_lettered), (0, 0));
        books.balance();
    }
}

/// Tells somebody of its drop, and panics then, but not while it is handled.
struct Noisy(Log, Option<ActorRef<Puppet>>, Arc<Mutex<u64>>);

impl Clone for Noisy {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone(), self.2.clone())
    }
}

impl Drop for Noisy {
    fn drop(&mut self) {
        if let Some(to) = self.1.take() {
            let n = {
                let mut n = self.2.lock().unwrap();
                *n += 1;
                *n
            };
            to.tell(n).expect("a living actor");
            assert!(thread::panicking(), "meant: a drop");
        }
    }
}

impl Handler<Noisy> for Clumsy {
    type Reply = ();

    fn handle(&mut self, mut noisy: Noisy, _: &mut Context<Self>) {
        self.attempt(1, 1);
        // This one is well-behaved, and its spare is not.
        noisy.1 = None;
    }
}

fn drops_that_panic_and_send(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).restart(at_once()).retry::<Noisy>(1).spawn().unwrap();
    a.tell(Noisy(stage.log.clone(), Some(b.clone()), Arc::default())).unwrap();
    // Of the first attempt, and of the spare of the second.
    stage.log.expect("b", &["starts", "gets 1", "gets 2"]);
    stage.quiet();
    assert!(!a.is_stopped());
    stage.log.expect("a", &["1.1", "1.2"]);
    eventually("a restart", || stage.counters().restarts == 1);
    stage.end();
}

/// Too large for a node.
#[derive(Clone)]
struct Big(Coin, [u64; 100]);

/// Aligned like nothing in a node.
#[derive(Clone)]
#[repr(align(128))]
struct Aligned(Coin, u8);

/// Nothing at all.
#[derive(Clone)]
struct Nothing;

macro_rules! sizes {
    ($($message:ty: $number:expr, $bad:expr, $good:expr;)*) => {
        $(impl Handler<$message> for Clumsy {
            type Reply = Result<$message, u64>;

            fn handle(&mut self, message: $message, _: &mut Context<Self>) -> Self::Reply {
                let good: fn(&$message) -> bool = $good;
                assert!(good(&message));
                let (number, bad): (fn(&$message) -> u64, fn(&$message) -> u32) = ($number, $bad);
                self.attempt(number(&message), bad(&message));
                Ok(message)
            }
        })*
    };
}

sizes! {
    Big: |m| m.0.number, |m| m.0.bad, |m| m.1 == [7; 100];
    Aligned: |m| m.0.number, |m| m.0.bad, |m| m.1 == 7 && std::ptr::from_ref(m).addr() % 128 == 0;
    Nothing: |_| 99, |_| 1, |_| true;
}

fn of_any_size(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let factory = Clumsy::new(&stage.log).factory();
    let a = stage.actor(factory).restart(at_once());
    let a = a.retry::<Big>(2).retry::<Aligned>(2).retry::<Nothing>(2).spawn().unwrap();
    a.tell(Big(books.coin(1, 2), [7; 100])).unwrap();
    a.tell(Big(books.coin(2, 3), [7; 100])).unwrap();
    a.tell(Aligned(books.coin(3, 2), 7)).unwrap();
    assert_eq!(a.ask(Big(books.coin(4, 2), [7; 100])).wait().unwrap().map(|big| big.1), Ok([7; 100]));
    assert!(matches!(a.ask(Big(books.coin(5, 3), [7; 100])).wait(), Err(AskError::Panicked)));
    assert_eq!(a.ask(Aligned(books.coin(6, 2), 7)).wait().unwrap().map(|aligned| aligned.1), Ok(7));
    assert!(a.ask(Nothing).wait().unwrap().is_ok());
    letters(&seen, &[(Poisoned, Some(2)), (Poisoned, Some(5))]);
    stage.end();
    books.balance();
}

fn in_one_batch_after_the_other(on: Engine) {
    let stage = Stage::new(on);
    let books = Books::default();
    let a = clumsy(&stage, at_once(), 3);
    let (b, to, coins) = (stage.puppet("b"), a.clone(), books.clone());
    let held = hold(&b);
    let count = scaled(500, 50);
    // All at once, from an actor: by the slot, the chain and the mailbox.
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for n in 0..count {
            to.tell(coins.coin(n, (n % 4) as u32)).unwrap();
        }
    };
    b.tell(run(part)).unwrap();
    drop(held);
    eventually("all are handled", || stage.log.lines().iter().any(|line| *line == format!("a {}.1", count - 1)));
    stage.quiet();
    let attempts: Vec<String> = stage.log.of("a");
    let wanted: Vec<String> =
        (0..count).flat_map(|n| (1..=n % 4 + 1).map(move |tried| format!("{n}.{tried}"))).collect();
    assert_eq!(attempts, wanted);
    stage.end();
    books.balance();
}

fn bad_numbers_are_named(on: Engine) {
    let stage = Stage::new(on);
    let ask = |times| stage.actor(|| Clumsy::new(&Log::default())).retry::<Coin>(times).spawn();
    for times in [0, 1001, u32::MAX] {
        let error = ask(times).unwrap_err();
        assert!(matches!(error, SpawnError::Retries { asked, most: 1000, .. } if asked == times), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("{times} retries of ")), "{text}");
        assert!(text.ends_with("Coin: 1 to 1000 are allowed"), "{text}");
    }
    for times in [1, 1000] {
        assert!(ask(times).is_ok(), "{times}");
    }
    // The first one that is wrong is named, also of a child.
    let b = stage.puppet("b");
    let failed = Shared::new(None);
    let put = failed.clone();
    let spawn = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let log = this.log.clone();
        let child = ctx.actor(move || Clumsy::new(&log)).retry::<Coin>(0).retry::<Other>(0).name("");
        put.with(|put| *put = child.spawn().err());
    };
    b.ask(run(spawn)).wait().unwrap();
    let error = failed.with(Option::take).unwrap();
    assert!(error.to_string().contains("Coin"), "{error}");
    stage.end();
}

fn a_storm_of_one_sender(on: Engine) {
    let stage = Stage::new(on);
    let (books, seen) = (Books::default(), clerk(&stage));
    let waits = Duration::from_micros(100);
    for rule in [at_once(), at_once().backoff(waits, 4 * waits)] {
        let a = clumsy(&stage, rule, 2);
        let (each, mut asks) = (scaled(200, 40), Vec::new());
        for n in 0..each {
            let coin = books.coin(n, (n % 5) as u32);
            match n % 3 {
                0 => a.tell(coin).unwrap(),
                1 => asks.push((n, a.ask(coin))),
                _ => drop(a.send_all([coin]).unwrap()),
            }
            if n == each / 2 {
                fail_plainly(&a, &books);
            }
        }
        for (n, ask) in asks {
            let wanted = if n % 5 > 2 { Err(AskError::Panicked) } else { Ok(2 * n) };
            assert_eq!(ask.timeout(LIMIT).wait(), wanted, "{n}");
        }
        a.drain();
        eventually("an end", || stage.counters().live_actors == 1);
        let poisoned: Vec<u64> = (0..each).filter(|n| n % 5 > 2).collect();
        eventually("letters", || seen.with(|seen| seen.len()) > poisoned.len());
        let mut heard = seen.with(std::mem::take);
        heard.retain(|&(reason, _)| reason != Panicked);
        assert_eq!(heard, poisoned.iter().map(|&n| (Poisoned, Some(n))).collect::<Vec<_>>());
        let counters = stage.counters();
        assert_eq!(counters.sent, counters.handled + counters.dead_lettered, "{counters}");
    }
    stage.end();
    books.balance();
}

/// A panic that is not tried again, among those that are.
fn fail_plainly(a: &ActorRef<Clumsy>, books: &Books) {
    a.tell(Plain(books.coin(SENDER, u32::MAX))).unwrap();
}

fn a_storm_of_many_senders(on: Engine) {
    quiet_panics();
    for round in 0..scaled(6, 2) {
        let stage = Stage::new(on);
        let books = Books::default();
        let waits = Duration::from_micros(50);
        let rules = [at_once(), at_once().backoff(waits, 4 * waits), never_comes()];
        let logs = [(); 3].map(|()| Log::default());
        let mut places = logs.iter();
        let actors: Vec<_> = rules.map(|rule| clumsy_for(&stage, places.next().unwrap(), rule, 2)).into();
        let stop = Gate::default();
        let senders: Vec<_> = (0..3_u64)
            .map(|sender| {
                let (actors, books, stop) = (actors.clone(), books.clone(), stop.clone());
                thread::spawn(move || {
                    let mut refused = 0;
                    for n in 0..scaled(600, 60) {
                        let (to, number) = (&actors[(n % 3) as usize], sender * SENDER + n);
                        let coin = books.coin(number, (n / 3 % 4) as u32);
                        refused += u64::from(match n % 2 {
                            0 => to.tell(coin).is_err(),
                            _ => {
                                drop(to.ask(coin));
                                false
                            }
                        });
                        if n == 300 && sender == round % 3 {
                            stop.open();
                        }
                    }
                    stop.open();
                    refused
                })
            })
            .collect();
        stop.wait();
        match round % 3 {
            0 => actors.iter().for_each(ActorRef::stop),
            1 => actors.iter().for_each(ActorRef::drain),
            _ => {}
        }
        let refused: u64 = senders.into_iter().map(|sender| sender.join().expect("it does not panic")).sum();
        actors[2].stop();
        if round % 3 == 2 {
            actors.iter().for_each(ActorRef::drain);
        }
        stage.living(0);
        let counters = stage.end();
        assert_eq!(counters.returned, refused);
        for log in &logs {
            in_order(&log.of("a"));
        }
        books.balance();
    }
}

/// Each sender's numbers came in order, and the attempts at each in a row.
fn in_order(lines: &[String]) {
    let attempt = |line: &String| -> Option<(u64, u32)> {
        let (number, tried) = line.split_once('.')?;
        Some((number.parse().ok()?, tried.parse().ok()?))
    };
    let attempts: Vec<(u64, u32)> = lines.iter().filter_map(attempt).collect();
    let mut last = [None; 3];
    for (index, &(number, tried)) in attempts.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| attempts[before]);
        assert!(tried == 1 || before == Some((number, tried - 1)), "{number}.{tried} after {before:?}");
        let last = &mut last[(number / SENDER) as usize];
        assert!(tried > 1 || *last < Some(number), "{number} after {last:?}");
        *last = Some(number);
    }
}
