//! The ledger: every message has exactly one fate, none is lost or comes twice, and each pair keeps its order, whatever
//! goes on at the same time: tells, asks, batches, stops, drains, panics, watches, continuations, children, mailboxes with
//! and without a bound, and threads from outside, in random proportions.
//!
//! The test keeps its own books. A message has an identity of its own and marks its fate in the [books](ledger::books); its drop is
//! marked, too. In the end every identity must show one fate and one drop, and the public counters must say the same.
//!
//! `CUELIGHT_SEED=n` runs one seed, `CUELIGHT_SCALE=n` divides the number of messages. `CUELIGHT_MESSAGES=n` goes on, from
//! seed to seed, until each number of workers has had `n`; `CUELIGHT_SOAK=1` to 10^9 in all.

#[path = "ledger/mod.rs"]
mod ledger;
mod support;

use cuelight::{
    Actor, ActorId, ActorRef, Context, Counters, DeadLetter, Handler, Mailbox, Overflow, ReplyTo, StopReason, System,
    Terminated, Writable,
};
use ledger::books::{HANDLED, LEDGERS, LETTER, Ledger, RETURNED, RUN, Receipt, Tally, read};
use ledger::runs::{budget, crowd, number, seeds};
use ledger::sender::{self, Role};
use std::collections::HashMap;
use std::time::Duration;
use support::random::Random;
use support::stage::end;
use support::{LIMIT, Shared, eventually, quiet_panics, scaled};

/// Addresses that everybody knows.
const SLOTS: usize = 48;

type Load = sender::Load<Task>;
type Request = sender::Request<Task>;
type Sender = sender::Sender<Member>;
type World = sender::World<Member>;

/// What a message asks for.
#[derive(Clone, Copy)]
enum Task {
    Nothing,
    /// Send on what has so many hops to go.
    Walk(u32),
    /// Send this many to one receiver.
    Burst(u32),
    Panic,
    Stop,
    Drain,
    /// Spawn a child that has something to do.
    Spawn,
    Watch,
    /// Be told of room.
    Room,
    /// Ask somebody, and go on when the answer comes.
    Ask,
}

/// An actor of the run.
struct Member {
    me: Sender,
    /// By sender: the place of what must come next.
    next: HashMap<u64, u64>,
    /// Its mailbox has a bound: what finds no room does not come, but the rest is in order.
    bounded: bool,
    /// Replies that come later.
    replies: Vec<(u64, ReplyTo<Receipt>)>,
}

impl Member {
    fn new(world: &World) -> Self {
        Self { me: Sender::new(world), next: HashMap::new(), bounded: false, replies: Vec::new() }
    }

    /// Makes one with a bound of 1 to 64.
    fn bounded(world: &World, random: &mut Random) -> ActorRef<Self> {
        let overflow = [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest][random.below(3) as usize];
        let mailbox = Mailbox::bounded(1 << random.below(7), overflow);
        let copy = world.clone();
        let made = world.system.actor(move || Self { bounded: true, ..Self::new(&copy) }).mailbox(mailbox).spawn();
        made.unwrap_or_else(|_| world.system.spawn(Self::new(world)))
    }

    fn handled(&mut self, load: &Load) {
        load.entry.is(HANDLED);
        let next = self.next.entry(load.sender).or_default();
        if if self.bounded { load.place < *next } else { load.place != *next } {
            let Load { sender, place, .. } = load;
            load.entry.ledger.wrong(format_args!("from sender {sender}: message {place} instead of {next}"));
        }
        *next = load.place + 1;
    }

    fn act(&mut self, task: Task, ctx: &mut Context<Self>) {
        let me = &mut self.me;
        if me.world.ledger.is_over() && !matches!(task, Task::Panic | Task::Stop | Task::Drain) {
            return;
        }
        match task {
            Task::Nothing => {}
            Task::Walk(0) => me.send_some(),
            Task::Walk(hops) => me.send(Task::Walk(hops - 1)),
            Task::Burst(count) => me.burst(count, ctx),
            Task::Panic => {
                me.world.ledger.count(Tally::Panics);
                panic!("meant");
            }
            Task::Stop => ctx.stop(),
            Task::Drain => ctx.drain(),
            Task::Spawn => self.raise(ctx),
            Task::Room => {
                let (_, target) = me.pick();
                me.world.ledger.count(Tally::Watches);
                ctx.notify_writable(&target);
            }
            Task::Watch => {
                let (_, target) = me.pick();
                me.world.ledger.count(Tally::Watches);
                ctx.watch(&target);
            }
            Task::Ask => {
                let (slot, to) = me.pick();
                let load = me.for_slot(slot, Task::Nothing);
                let time = if me.random.one_in(4) { Duration::from_micros(me.random.below(500)) } else { LIMIT };
                let id = load.entry.id;
                // The continuation is a message, too.
                let own = me.load(0, Task::Nothing);
                ctx.ask(&to, load, time, move |this: &mut Self, outcome, ctx: &mut Context<Self>| {
                    own.entry.is(HANDLED);
                    if let Ok(receipt) = outcome {
                        assert_eq!(receipt.id, id, "somebody else's reply");
                    }
                    drop(own);
                    this.act(Task::Walk(3), ctx);
                });
            }
        }
    }

    /// Has a child, which has something to do and an end of its own.
    fn raise(&mut self, ctx: &mut Context<Self>) {
        let world = self.me.world.clone();
        let child = ctx.spawn(Self::new(&world));
        let tasks = [Task::Walk(5), Task::Burst(5), Task::Nothing, Task::Ask, Task::Watch, Task::Nothing];
        for (place, task) in (0..).zip(tasks) {
            if let Err(error) = child.tell(self.me.load(place, task)) {
                error.into_message().entry.is(RETURNED);
            }
        }
        match self.me.random.below(5) {
            0 => child.stop(),
            1 | 2 => child.drain(),
            3 => {
                world.ledger.count(Tally::Watches);
                ctx.watch(&child);
                child.drain();
            }
            _ => {
                let last = self.me.load(tasks.len() as u64, Task::Panic);
                if let Err(error) = child.tell(last) {
                    error.into_message().entry.is(RETURNED);
                }
            }
        }
    }
}

impl Role for Member {
    type Task = Task;
    const NOTHING: Task = Task::Nothing;

    fn task(random: &mut Random) -> Task {
        match random.below(1000) {
            0..=499 => Task::Walk(random.below(30) as u32),
            500..=699 => Task::Nothing,
            700..=729 => Task::Burst(1 + random.below(100) as u32),
            730..=849 => Task::Ask,
            850..=879 => Task::Watch,
            880..=909 => Task::Room,
            910..=949 => Task::Spawn,
            950..=964 => Task::Panic,
            965..=974 => Task::Stop,
            975..=984 => Task::Drain,
            _ => Task::Walk(200),
        }
    }

    fn root(world: &World, _: &mut Random) -> Option<ActorRef<Self>> {
        Some(world.system.spawn(Self::new(world)))
    }
}

impl Actor for Member {
    fn stopped(&mut self, _: &StopReason) {
        // Sends in the last moment count like all others.
        if self.me.random.one_in(3) && !self.me.world.ledger.is_over() {
            self.me.send(Task::Nothing);
        }
    }
}

impl Handler<Load> for Member {
    type Reply = Receipt;

    fn handle(&mut self, load: Load, ctx: &mut Context<Self>) -> Receipt {
        self.handled(&load);
        self.act(load.task, ctx);
        Receipt::new(load.entry.ledger, load.entry.id)
    }
}

impl Handler<Request> for Member {
    type Reply = ();

    fn handle(&mut self, sender::Request(load, reply): Request, ctx: &mut Context<Self>) {
        self.handled(&load);
        match self.me.random.below(4) {
            0 | 1 => reply.send(Receipt::new(load.entry.ledger, load.entry.id)),
            2 => self.replies.push((load.entry.id, reply)),
            _ => drop(reply),
        }
        if self.replies.len() > 4 {
            let at = self.me.random.below(self.replies.len() as u64) as usize;
            let (id, reply) = self.replies.swap_remove(at);
            reply.send(Receipt::new(load.entry.ledger, id));
        }
        self.act(load.task, ctx);
    }
}

impl Handler<Writable> for Member {
    type Reply = ();

    fn handle(&mut self, _: Writable, _: &mut Context<Self>) {
        self.me.world.ledger.count(Tally::Notices);
    }
}

impl Handler<Terminated> for Member {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.me.world.ledger.count(Tally::Notices);
    }
}

/// Listens to dead letters.
struct Clerk(HashMap<ActorId, u64>);

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        *self.0.entry(letter.to).or_default() += 1;
        let Some(payload) = letter.payload else { return };
        let load = match payload.downcast::<Load>() {
            Ok(load) => *load,
            Err(payload) => match payload.downcast::<Request>() {
                Ok(request) => request.0,
                Err(_) => return,
            },
        };
        load.entry.is(LETTER);
    }
}

/// Ends one actor after the other, and puts others in their places.
fn reap(world: &World) {
    let mut me = Sender::new(world);
    let mut seen = 0;
    while !world.ledger.is_over() {
        let (slot, _) = me.pick();
        me.look_again(slot);
        let old = me.known[slot].0.clone();
        let made = if me.random.one_in(2) {
            world.system.spawn(Member::new(world))
        } else {
            Member::bounded(world, &mut me.random)
        };
        world.slots.with(|slots| slots[slot] = made);
        let task = match me.random.below(6) {
            0 | 1 => {
                old.stop();
                None
            }
            2 => {
                old.drain();
                None
            }
            3 => Some(Task::Panic),
            4 => Some(Task::Stop),
            _ => Some(Task::Drain),
        };
        if let Some(task) = task {
            let load = me.for_slot(slot, task);
            if let Err(error) = old.tell(load) {
                me.refused(slot, error.into_message());
            }
        }
        // Not faster than the others send.
        eventually("messages are made", || world.ledger.is_over() || read(&world.ledger.next) > seen + 1000);
        seen = read(&world.ledger.next);
    }
}

/// Holds the books against each other.
fn audit(ledger: &Ledger, counters: &Counters) {
    let sums = ledger.sums();
    let (created, handled, returned, lost) =
        (sums.messages.made, sums.messages.handled, sums.returned, sums.messages.lost);
    let [watches, notices, panics] = [Tally::Watches, Tally::Notices, Tally::Panics].map(|tally| ledger.get(tally));
    println!(
        "  {created} messages: {handled} handled, {returned} returned, {lost} lost ({} seen); \
         {watches} watches, {panics} panics, {} late replies",
        sums.messages.letters, counters.late_replies
    );
    assert_eq!(ledger.get(Tally::Errors), 0, "errors were printed above");
    assert_eq!(handled + returned + lost, created);
    assert_eq!(ledger.get(Tally::ReceiptsMade), ledger.get(Tally::ReceiptsDropped));
    // Notices are messages that nobody made here.
    assert_eq!(counters.sent, created + watches, "{counters}");
    assert_eq!(counters.handled, handled + notices, "{counters}");
    assert_eq!(counters.returned, returned, "{counters}");
    assert_eq!(counters.dead_lettered, lost + watches - notices, "{counters}");
}

fn run(workers: usize, ledger: &'static Ledger, seed: u64, goal: u64) -> Counters {
    quiet_panics();
    ledger.open(goal);
    let mut random = Random(seed);
    let system = System::builder().workers(workers).budget(budget(seed, &mut random)).build().expect("a system");
    if seed % 4 != 2 {
        system.dead_letters(system.spawn(Clerk(HashMap::new())));
    }
    let world = World { ledger, seed, slots: Shared::default(), system: (*system).clone() };
    let slots = (0..SLOTS).map(|slot| match slot % 3 {
        0 => Member::bounded(&world, &mut random),
        _ => system.spawn(Member::new(&world)),
    });
    let slots: Vec<_> = slots.collect();
    world.slots.with(|known| known.clone_from(&slots));
    drop(slots);
    let busy_end = seed % 2 == 1;
    crowd(&system, &world, goal, busy_end, reap);
    if !busy_end {
        eventually("nothing is in flight", || system.counters().in_flight() == 0);
    }
    let counters = end(&system);
    drop(system);
    world.slots.with(Vec::clear);
    audit(ledger, &counters);
    counters
}

fn stress(workers: usize, ledger: &'static Ledger) {
    let soak = std::env::var_os("CUELIGHT_SOAK").is_some_and(|soak| soak == "1");
    let wanted = if soak { Some(1_000_000_000 / 3) } else { number("CUELIGHT_MESSAGES") };
    let goal = scaled(RUN, 10_000);
    let (runs, messages) = seeds(workers, wanted, |seed| run(workers, ledger, seed, goal).sent);
    // A run makes some tenths fewer than it has identities.
    assert!(messages >= runs * goal * 2 / 3, "fewer than meant");
}

#[test]
fn on_1_worker() {
    stress(1, &LEDGERS[0]);
}

#[test]
fn on_2_workers() {
    stress(2, &LEDGERS[1]);
}

#[test]
fn on_8_workers() {
    stress(8, &LEDGERS[2]);
}
