//! The ledger: every message has exactly one fate, none is lost or comes twice, and each pair keeps its order, whatever
//! goes on at the same time: tells, asks, batches, stops, drains, panics, watches, continuations, children, mailboxes with
//! and without a bound, and threads from outside, in random proportions.
//!
//! The test keeps its own books. A message has an identity of its own and marks its fate in the [`Ledger`]; its drop is
//! marked, too. In the end every identity must show one fate and one drop, and the public counters must say the same.
//!
//! `CUELIGHT_SEED=n` runs one seed, `CUELIGHT_SCALE=n` divides the number of messages. `CUELIGHT_MESSAGES=n` goes on, from
//! seed to seed, until each number of workers has had `n`; `CUELIGHT_SOAK=1` to 10^9 in all.

#[path = "stress/ledger.rs"]
mod ledger;
mod support;

use cuelight::{
    Actor, ActorId, ActorRef, AskError, Budget, Context, Counters, DeadLetter, Handler, Mailbox, Overflow, ReplyTo,
    StopReason, System, SystemRef, TellError, TellTimeoutError, Terminated, Writable,
};
use ledger::{HANDLED, LEDGERS, LETTER, Ledger, Load, RETURNED, RUN, Receipt, add, audit, read};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};
use support::random::Random;
use support::stage::end;
use support::{LIMIT, Shared, block_on, eventually, quiet_panics, scaled};

/// Addresses that everybody knows.
const SLOTS: usize = 48;
/// Threads from outside.
const OUTSIDE: u64 = 3;

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

/// A request whose reply may come late, or never.
struct Request(Load, ReplyTo<Receipt>);

/// What a system's members share.
#[derive(Clone)]
struct World {
    ledger: &'static Ledger,
    seed: u64,
    slots: Shared<Vec<ActorRef<Member>>>,
    system: SystemRef,
}

/// One that sends: an actor or an outside thread.
struct Sender {
    world: World,
    number: u64,
    random: Random,
    /// Identities left in the block.
    ids: std::ops::Range<u64>,
    /// By slot: whom we know there, and how many we have sent to it.
    known: Vec<(ActorRef<Member>, u64)>,
}

impl Sender {
    fn new(world: &World) -> Self {
        let number = add(&world.ledger.senders, 1);
        Self { world: world.clone(), number, random: Random(world.seed ^ (number << 20)), ids: 0..0, known: Vec::new() }
    }

    fn load(&mut self, place: u64, task: Task) -> Load {
        let ledger = self.world.ledger;
        if self.ids.is_empty() {
            self.ids = ledger.block();
        }
        let id = self.ids.next().expect("a block is not empty");
        ledger.create(id);
        Load { ledger, id, sender: self.number, place, task }
    }

    /// A slot, and who is there as far as we know.
    fn pick(&mut self) -> (usize, ActorRef<Member>) {
        if self.known.is_empty() {
            self.known = self.world.slots.with(|slots| slots.iter().map(|slot| (slot.clone(), 0)).collect());
        }
        let slot = self.random.below(SLOTS as u64) as usize;
        (slot, self.known[slot].0.clone())
    }

    /// A message to a slot.
    fn for_slot(&mut self, slot: usize, task: Task) -> Load {
        let place = self.known[slot].1;
        self.known[slot].1 += 1;
        self.load(place, task)
    }

    fn refused(&mut self, slot: usize, load: Load) {
        load.is(RETURNED);
        drop(load);
        self.look_again(slot);
    }

    /// Finds out who is in a slot now; puts somebody there if nobody is.
    fn look_again(&mut self, slot: usize) {
        let World { ledger, slots, system, .. } = &self.world;
        let mut now = slots.with(|slots| slots[slot].clone());
        if now == self.known[slot].0 && now.is_stopped() && !ledger.is_over() {
            let made = system.spawn(Member::new(&self.world));
            now = slots.with(
                |slots| if slots[slot] == now { std::mem::replace(&mut slots[slot], made.clone()) } else { made },
            );
            now.stop();
            now = slots.with(|slots| slots[slot].clone());
        }
        if now != self.known[slot].0 {
            self.known[slot] = (now, 0);
        }
    }

    /// Sends one message from outside, and waits for room if need be.
    fn tell_in_time(&mut self, task: Task) {
        let (slot, to) = self.pick();
        let load = self.for_slot(slot, task);
        let time = Duration::from_micros(self.random.below(500));
        let refused = if self.random.one_in(2) {
            to.tell_timeout(load, time).err().map(TellTimeoutError::into_message)
        } else {
            block_on(to.tell_async(load)).err().map(TellError::into_message)
        };
        if let Some(load) = refused {
            self.refused(slot, load);
        }
    }

    fn task(&mut self) -> Task {
        match self.random.below(1000) {
            0..=499 => Task::Walk(self.random.below(30) as u32),
            500..=699 => Task::Nothing,
            700..=729 => Task::Burst(1 + self.random.below(100) as u32),
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

    /// Sends one message, or a few, in any way that does not wait.
    fn send(&mut self, task: Task) {
        let (slot, to) = self.pick();
        match self.random.below(10) {
            0..=5 => {
                let load = self.for_slot(slot, task);
                if let Err(error) = to.tell(load) {
                    self.refused(slot, error.into_message());
                }
            }
            6 => {
                let count = self.random.below(6);
                let loads: Vec<Load> = (0..count).map(|_| self.for_slot(slot, task)).collect();
                match to.send_all(loads) {
                    Ok(taken) => assert_eq!(taken as u64, count),
                    Err(error) => error.into_messages().into_iter().for_each(|load| self.refused(slot, load)),
                }
            }
            7 => {
                let load = self.for_slot(slot, task);
                if let Err(error) = to.recipient().tell(load) {
                    self.refused(slot, error.into_message());
                }
            }
            8 => drop(to.ask(self.for_slot(slot, task))),
            _ => {
                let load = self.for_slot(slot, task);
                drop(to.ask_with(|reply| Request(load, reply)));
            }
        }
    }

    /// Asks, and waits for the outcome. Outside only.
    fn ask(&mut self) {
        let (slot, to) = self.pick();
        let load = self.for_slot(slot, Task::Nothing);
        let id = load.id;
        // A request may be kept until somebody else comes, and perhaps nobody does.
        let (patient, with) = (!self.random.one_in(4), self.random.one_in(2));
        let time = if patient && !with { LIMIT } else { Duration::from_micros(self.random.below(1000)) };
        let asked = if with { to.ask_with(|reply| Request(load, reply)) } else { to.ask(load) };
        let asked = asked.timeout(time);
        let outcome = if self.random.one_in(2) { asked.wait() } else { block_on(asked) };
        match outcome {
            Ok(receipt) => assert_eq!(receipt.id, id, "somebody else's reply"),
            Err(AskError::Timeout) => assert!(time < LIMIT, "no reply"),
            Err(AskError::Stopped) => self.look_again(slot),
            Err(AskError::NoReply | AskError::Panicked | AskError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }
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
        load.is(HANDLED);
        let next = self.next.entry(load.sender).or_default();
        if if self.bounded { load.place < *next } else { load.place != *next } {
            println!("from sender {}: message {} instead of {next}", load.sender, load.place);
            add(&load.ledger.errors, 1);
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
            Task::Walk(0) => {
                let task = me.task();
                me.send(task);
            }
            Task::Walk(hops) => me.send(Task::Walk(hops - 1)),
            Task::Burst(count) => {
                let (slot, _) = me.pick();
                for _ in 0..count {
                    let (to, load) = (me.known[slot].0.clone(), me.for_slot(slot, Task::Nothing));
                    if let Err(error) = to.tell(load) {
                        me.refused(slot, error.into_message());
                    }
                    if me.random.one_in(50) {
                        ctx.publish();
                    }
                }
            }
            Task::Panic => {
                add(&me.world.ledger.panics, 1);
                panic!("meant");
            }
            Task::Stop => ctx.stop(),
            Task::Drain => ctx.drain(),
            Task::Spawn => self.raise(ctx),
            Task::Room => {
                let (_, target) = me.pick();
                add(&me.world.ledger.watches, 1);
                ctx.notify_writable(&target);
            }
            Task::Watch => {
                let (_, target) = me.pick();
                add(&me.world.ledger.watches, 1);
                ctx.watch(&target);
            }
            Task::Ask => {
                let (slot, to) = me.pick();
                let load = me.for_slot(slot, Task::Nothing);
                let time = if me.random.one_in(4) { Duration::from_micros(me.random.below(500)) } else { LIMIT };
                let id = load.id;
                // The continuation is a message, too.
                let own = me.load(0, Task::Nothing);
                ctx.ask(&to, load, time, move |this: &mut Self, outcome, ctx: &mut Context<Self>| {
                    own.is(HANDLED);
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
                error.into_message().is(RETURNED);
            }
        }
        match self.me.random.below(5) {
            0 => child.stop(),
            1 | 2 => child.drain(),
            3 => {
                add(&world.ledger.watches, 1);
                ctx.watch(&child);
                child.drain();
            }
            _ => {
                let last = self.me.load(tasks.len() as u64, Task::Panic);
                if let Err(error) = child.tell(last) {
                    error.into_message().is(RETURNED);
                }
            }
        }
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
        Receipt::new(load.ledger, load.id)
    }
}

impl Handler<Request> for Member {
    type Reply = ();

    fn handle(&mut self, Request(load, reply): Request, ctx: &mut Context<Self>) {
        self.handled(&load);
        match self.me.random.below(4) {
            0 | 1 => reply.send(Receipt::new(load.ledger, load.id)),
            2 => self.replies.push((load.id, reply)),
            _ => drop(reply),
        }
        if self.replies.len() > 4 {
            let at = self.me.random.below(self.replies.len() as u64) as usize;
            let (id, reply) = self.replies.swap_remove(at);
            reply.send(Receipt::new(load.ledger, id));
        }
        self.act(load.task, ctx);
    }
}

impl Handler<Writable> for Member {
    type Reply = ();

    fn handle(&mut self, _: Writable, _: &mut Context<Self>) {
        add(&self.me.world.ledger.notices, 1);
    }
}

impl Handler<Terminated> for Member {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        add(&self.me.world.ledger.notices, 1);
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
        load.is(LETTER);
    }
}

/// Ends one actor after the other, and puts others in their places.
fn reap(system: &System, world: &World) {
    let mut me = Sender::new(world);
    let mut seen = 0;
    while !world.ledger.is_over() {
        let (slot, _) = me.pick();
        me.look_again(slot);
        let old = me.known[slot].0.clone();
        let made =
            if me.random.one_in(2) { system.spawn(Member::new(world)) } else { Member::bounded(world, &mut me.random) };
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

fn run(workers: usize, ledger: &'static Ledger, seed: u64, goal: u64) -> Counters {
    quiet_panics();
    ledger.open(goal);
    let mut random = Random(seed);
    let budget = match seed % 3 {
        0 => Budget { messages: 1 + random.below(100) as u32, ..Budget::default() },
        1 => Budget { time: Duration::from_micros(1 + random.below(50)), ..Budget::default() },
        _ => Budget::default(),
    };
    let system = System::builder().workers(workers).budget(budget).build().expect("a system");
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
    let mut threads = Vec::new();
    for _ in 0..OUTSIDE {
        let world = world.clone();
        threads.push(thread::spawn(move || {
            let mut me = Sender::new(&world);
            while !world.ledger.is_over() {
                for _ in 0..20 {
                    let task = me.task();
                    me.send(task);
                }
                me.ask();
                let task = me.task();
                me.tell_in_time(task);
            }
        }));
    }
    let reaper = (system.clone(), world.clone());
    threads.push(thread::spawn(move || reap(&reaper.0, &reaper.1)));
    if busy_end {
        eventually("most of the messages", || read(&ledger.next) > goal / 10 * 9);
        system.shutdown(LIMIT).expect("a shutdown");
        ledger.finish();
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread from outside"));
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
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("CUELIGHT_SEED");
    let soak = std::env::var_os("CUELIGHT_SOAK").is_some_and(|soak| soak == "1");
    let wanted = if soak { Some(1_000_000_000 / 3) } else { number("CUELIGHT_MESSAGES") };
    let goal = scaled(RUN, 10_000);
    let least = if seed.is_some() { 1 } else { 4 };
    let (begin, mut messages, mut runs) = (Instant::now(), 0, 0);
    while wanted.map_or(runs < least, |wanted| messages < wanted) {
        let seed = seed.unwrap_or(1) + runs;
        println!("{workers} workers, CUELIGHT_SEED={seed}");
        messages += run(workers, ledger, seed, goal).sent;
        runs += 1;
    }
    println!("{workers} workers, {runs} seeds: {messages} messages in {:.1?}", begin.elapsed());
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
