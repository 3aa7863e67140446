//! An actor that alters how it treats the next messages: its behaviours are an enum of states, and a stash keeps what the
//! present one cannot handle.
//!
//! Run it with `cargo run -p examples --bin behaviours`; a turnstile lets one through for a coin, whoever comes first, until it
//! is broken; it prints each step.

use std::error::Error;
use std::mem::replace;
use std::time::Duration;

use cuelight::{Actor, Context, Handler, Stash, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SOON: Duration = Duration::from_secs(5);

/// What the turnstile is at the moment, with what it knows only then.
#[derive(Debug)]
enum State {
    Locked,
    Unlocked { coins: u32 },
    Broken { why: &'static str },
}

struct Turnstile {
    state: State,
    waiting: Stash<Person>,
}

impl Turnstile {
    /// Becomes another: what was kept is looked at again.
    fn becomes(&mut self, state: State, ctx: &mut Context<Self>) {
        let before = replace(&mut self.state, state);
        println!("{before:?} -> {:?}", self.state);
        self.waiting.unstash_all(ctx);
    }
}

impl Actor for Turnstile {}

struct Person(&'static str);

impl Handler<Person> for Turnstile {
    type Reply = ();

    fn handle(&mut self, person: Person, ctx: &mut Context<Self>) {
        match self.state {
            State::Locked => {
                println!("{} waits", person.0);
                self.waiting.keep(person, ctx).expect("a stash without a bound");
            }
            State::Unlocked { coins } => {
                println!("{} passes", person.0);
                self.becomes(if coins > 1 { State::Unlocked { coins: coins - 1 } } else { State::Locked }, ctx);
            }
            State::Broken { why } => println!("{} climbs over: {why}", person.0),
        }
    }
}

struct Coin;

impl Handler<Coin> for Turnstile {
    /// Whether it was taken.
    type Reply = bool;

    fn handle(&mut self, _: Coin, ctx: &mut Context<Self>) -> bool {
        match self.state {
            State::Locked => self.becomes(State::Unlocked { coins: 1 }, ctx),
            State::Unlocked { coins } => self.becomes(State::Unlocked { coins: coins + 1 }, ctx),
            State::Broken { .. } => return false,
        }
        true
    }
}

struct Kick;

impl Handler<Kick> for Turnstile {
    type Reply = ();

    fn handle(&mut self, _: Kick, ctx: &mut Context<Self>) {
        self.becomes(State::Broken { why: "kicked" }, ctx);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::builder().workers(1).build()?;
    let turnstile = system.spawn(Turnstile { state: State::Locked, waiting: Stash::new() });
    turnstile.tell(Person("ann"))?;
    turnstile.tell(Person("bob"))?;
    turnstile.tell(Coin)?;
    turnstile.tell(Coin)?;
    turnstile.tell(Person("cid"))?;
    turnstile.tell(Kick)?;
    println!("a coin is taken: {}", turnstile.ask(Coin).timeout(SOON).wait()?);
    system.shutdown(SOON)?;
    Ok(())
}
