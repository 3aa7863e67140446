//! The ledger under chaos: about every millisecond, and no faster than messages are made, an actor is ended and another one
//! put in its place, and one message in a hundred makes its handler panic. What has failed is restarted by its rule, with its
//! mailbox and its address, and may try the message again. All the while there are mailboxes with and without a bound, timers,
//! set and taken back, asks whose time is up or that nobody waits for, batches, children, watches, links, names, and threads
//! from outside.
//!
//! The test keeps its own books, see [`ledger::books`]. Every identity has one fate at most and is dropped once; each pair
//! keeps its order, over restarts too; no timer is early, or comes after it was taken back or after a restart; when all is
//! quiet the public counters say the same as the books, to the message, and nothing is left of any.
//!
//! `CUELIGHT_SEED=n` runs one seed, `CUELIGHT_SCALE=n` divides the number of messages. `CUELIGHT_MESSAGES=n` makes runs long,
//! and goes on from seed to seed until each number of workers has had `n`.

#[path = "chaos/audit.rs"]
mod audit;
#[path = "ledger/mod.rs"]
mod ledger;
#[path = "chaos/member.rs"]
mod member;
mod support;

use audit::{Peace, audit, audit_in_peace};
use cuelight::{Actor, Context, Counters, DeadLetter, DeadLetterReason, Handler, System, Terminated, Writable};
use ledger::books::{Entry, LEDGERS, LETTER, Ledger, RETURNED, RUN, Tally, read};
use ledger::runs::{budget, crowd, number, seeds};
use ledger::sender::Role;
use member::{Alarm, Beat, Load, Member, NAMES, Request, Sender, Task, World, traps};
use std::any::type_name;
use std::thread;
use std::time::{Duration, Instant};
use support::random::Random;
use support::stage::end;
use support::{LIMIT, Shared, eventually, quiet_panics, scaled};

/// Addresses that everybody knows.
const SLOTS: usize = 32;

/// Listens to dead letters.
struct Clerk(&'static Ledger);

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        match letter.reason {
            DeadLetterReason::Stopped | DeadLetterReason::Full => {
                self.0.count(Tally::Lost);
                if [type_name::<Terminated>(), type_name::<Writable>()].contains(&letter.type_name) {
                    self.0.count(Tally::LostNotices);
                }
            }
            DeadLetterReason::Restarted => self.0.count(Tally::Restarted),
            DeadLetterReason::Poisoned => self.0.count(Tally::Lost),
            // A copy whose turn never came; otherwise the message has been handled.
            DeadLetterReason::Panicked if letter.payload.is_some() => self.0.count(Tally::Lost),
            DeadLetterReason::Panicked => {}
            reason => self.0.wrong(format_args!("a letter, because {reason}")),
        }
        let Some(payload) = letter.payload else { return };
        let entry: Option<Entry> = match payload.downcast::<Load>() {
            Ok(load) => Some(load.entry),
            Err(payload) => match payload.downcast::<Request>() {
                Ok(request) => Some(request.0.entry),
                Err(payload) => match payload.downcast::<Alarm>() {
                    Ok(alarm) => Some(alarm.entry),
                    Err(payload) => payload.downcast::<Beat>().ok().map(|beat| beat.entry),
                },
            },
        };
        if let Some(entry) = entry {
            entry.is(LETTER);
        }
    }
}

/// Ends one actor after the other, and puts others in their places.
fn reap(world: &World) {
    let mut me = Sender::new(world);
    let mut seen = 0;
    while !world.ledger.is_over() {
        let Some(made) = Member::root(world, &mut me.random) else { return };
        let slot = me.random.below(SLOTS as u64) as usize;
        let old = world.slots.with(|slots| std::mem::replace(&mut slots[slot], made));
        let last = match me.random.below(4) {
            0 => Some(Task::Panic),
            1 => Some(Task::Stop),
            _ => None,
        };
        if let Some(Err(error)) = last.map(|task| old.tell(me.unordered(task))) {
            error.into_message().entry.is(RETURNED);
        }
        // One that is restarted by then ends all the same.
        if me.random.one_in(2) {
            old.stop()
        } else {
            old.drain()
        }
        world.ledger.count(Tally::Kills);
        thread::park_timeout(Duration::from_millis(1));
        // Each that ends leaves some identities unused: on a slow machine they would be most of them.
        eventually("messages are made", || world.ledger.is_over() || read(&world.ledger.next) > seen + 100);
        seen = read(&world.ledger.next);
    }
}

/// Has everybody take back what it waits for, and waits until nothing is left to happen, and the books agree.
fn quieten(system: &System, world: &World) -> Peace {
    let ledger = world.ledger;
    eventually("nothing is in flight", || system.counters().in_flight() == 0);
    let mut me = Sender::new(world);
    let mut everybody = world.slots.get();
    everybody.extend((0..NAMES).filter_map(|number| system.lookup::<Member>(&member::name(number))));
    for member in everybody {
        if let Err(error) = member.tell(me.unordered(Task::Hush)) {
            error.into_message().entry.is(RETURNED);
        }
    }
    eventually("every message is gone", || ledger.is_empty() && system.counters().in_flight() == 0);
    // Actors that end may be about to tell their watchers.
    let (begin, mut looked) = (Instant::now(), system.counters());
    loop {
        let agreed = audit_in_peace(ledger, &looked);
        let now = system.counters();
        let same = (now.sent, now.handled) == (looked.sent, looked.handled);
        match agreed {
            Ok(peace) if same => return peace,
            Err(what) if begin.elapsed() > LIMIT => panic!("the books do not agree: {what}"),
            _ => thread::park_timeout(Duration::from_millis(1)),
        }
        looked = now;
    }
}

fn run(workers: usize, ledger: &'static Ledger, seed: u64, goal: u64) -> Counters {
    quiet_panics();
    ledger.open(goal);
    let mut random = Random(seed);
    let system = System::builder().workers(workers).budget(budget(seed, &mut random)).build().expect("a system");
    system.dead_letters(system.spawn(Clerk(ledger)));
    let world = World { ledger, seed, slots: Shared::default(), system: (*system).clone() };
    let slots = (0..SLOTS).map(|_| Member::root(&world, &mut random).expect("a new system")).collect();
    world.slots.with(|known| *known = slots);
    let busy_end = seed % 4 == 3;
    crowd(&system, &world, goal, busy_end, reap);
    let peace = (!busy_end).then(|| quieten(&system, &world));
    let counters = end(&system);
    assert_eq!(system.failure(), None);
    drop(system);
    world.slots.with(Vec::clear);
    audit(ledger, &counters, peace.as_ref(), traps(seed));
    counters
}

fn chaos(workers: usize, ledger: &'static Ledger) {
    let wanted = number("CUELIGHT_MESSAGES");
    let goal = scaled(if wanted.is_some() { RUN } else { RUN / 6 }, 10_000);
    let (runs, messages) = seeds(workers, wanted, |seed| run(workers, ledger, seed, goal).sent);
    // A run makes fewer than it has identities: some tenths, and copies that are not needed.
    assert!(messages >= runs * goal / 2, "fewer than meant");
}

#[test]
fn on_1_worker() {
    chaos(1, &LEDGERS[0]);
}

#[test]
fn on_2_workers() {
    chaos(2, &LEDGERS[1]);
}

#[test]
fn on_8_workers() {
    chaos(8, &LEDGERS[2]);
}
