//! Messages whose copies are counted, and an actor that stumbles over them, as often as they say.

use super::stage::Stage;
use super::{Count, Log, Shared, eventually};
use cuelight::{Actor, ActorRef, Context, DeadLetter, DeadLetterReason, Handler, Restart, StopReason};

/// Counts of one kind of message: made, and dropped.
#[derive(Clone, Default)]
pub(crate) struct Books {
    pub(crate) made: Count,
    pub(crate) dropped: Count,
    /// Clones that are to panic: the first so many after this many.
    pub(crate) bad_clones: Shared<(u32, u32)>,
}

impl Books {
    pub(crate) fn coin(&self, number: u64, bad: u32) -> Coin {
        self.made.add(1);
        Coin { number, bad, books: self.clone() }
    }

    #[track_caller]
    pub(crate) fn balance(&self) {
        eventually("each is dropped", || self.made.get() == self.dropped.get());
    }
}

/// A number, over which an actor stumbles as often as it says. All that is made of it is counted.
pub(crate) struct Coin {
    pub(crate) number: u64,
    pub(crate) bad: u32,
    pub(crate) books: Books,
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
pub(crate) type Tries = Shared<Vec<(u64, u32)>>;

/// Stumbles.
pub(crate) struct Clumsy {
    pub(crate) log: Log,
    pub(crate) tries: Tries,
    /// Attempts at a start that panic.
    pub(crate) bad_starts: Shared<u32>,
}

impl Clumsy {
    pub(crate) fn new(log: &Log) -> Self {
        Self { log: log.clone(), tries: Tries::default(), bad_starts: Shared::default() }
    }

    /// The same again, for a factory.
    pub(crate) fn again(&self) -> Self {
        Self { log: self.log.clone(), tries: self.tries.clone(), bad_starts: self.bad_starts.clone() }
    }

    pub(crate) fn factory(self) -> impl FnMut() -> Self + Send + 'static {
        move || self.again()
    }

    pub(crate) fn attempt(&self, number: u64, bad: u32) {
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
pub(crate) type Seen = (DeadLetterReason, Option<u64>);

/// Reads letters.
pub(crate) struct Clerk(pub(crate) Shared<Vec<Seen>>);

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

pub(crate) fn clerk(stage: &Stage) -> Shared<Vec<Seen>> {
    let seen = Shared::default();
    stage.dead_letters(stage.spawn(Clerk(seen.clone())));
    seen
}

#[track_caller]
pub(crate) fn letters(seen: &Shared<Vec<Seen>>, wanted: &[Seen]) {
    eventually("letters", || seen.with(|seen| seen.len()) >= wanted.len());
    assert_eq!(seen.with(std::mem::take), wanted);
}

pub(crate) fn clumsy(stage: &Stage, rule: Restart, most: u32) -> ActorRef<Clumsy> {
    clumsy_for(stage, &stage.log, rule, most)
}

pub(crate) fn clumsy_for(stage: &Stage, log: &Log, rule: Restart, most: u32) -> ActorRef<Clumsy> {
    stage.actor(Clumsy::new(log).factory()).restart(rule).retry::<Coin>(most).spawn().expect("an actor")
}

/// Numbers of one sender.
pub(crate) const SENDER: u64 = 1_000_000;

/// Too large for a node.
#[derive(Clone)]
pub(crate) struct Big(pub(crate) Coin, pub(crate) [u64; 100]);

/// Another type that is tried again, more seldom.
#[derive(Clone)]
pub(crate) struct Other(pub(crate) Coin);

/// One that is not.
pub(crate) struct Plain(pub(crate) Coin);

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
