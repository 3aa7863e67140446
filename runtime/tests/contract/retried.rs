//! Messages that are tried again: of which types, by which ways, and when their clones misbehave.

use crate::support::coins::{Big, Books, Clumsy, Coin, Other, Plain, Tries, clerk, clumsy, letters};
use crate::support::puppet::{Puppet, run};
use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract};
use crate::support::{Count, LIMIT, Log, Shared, eventually};
use DeadLetterReason::{Panicked, Poisoned};
use cuelight::{
    Actor, ActorRef, AskError, Context, DeadLetterReason, Handler, IdleTimeout, ReplyTo, SpawnError, Terminated,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

contract! {
    an_ask_with_a_shared_reply,
    several_types,
    timers_and_notices,
    a_clone_that_panics,
    drops_that_panic_and_send,
    of_any_size,
    bad_numbers_are_named,
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
