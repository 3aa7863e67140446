//! An actor of the run: what it does with its messages, and what it keeps over its lives.

use crate::ledger::books::{Entry, HANDLED, Kind, RETURNED, Receipt, Tally};
use crate::ledger::sender::{self, Role};
use crate::support::random::Random;
use crate::support::{LIMIT, Shared};
use cuelight::{
    Actor, ActorRef, Context, Decision, Failure, Handler, Mailbox, Overflow, ReplyTo, Restart, StopReason, Strategy,
    Terminated, TimerKey, Writable,
};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// Names that everybody knows.
pub(crate) const NAMES: u64 = 4;

pub(crate) fn name(number: u64) -> String {
    format!("name {number}")
}

/// Whether some of a seed's run trap the ends of those that they are linked with.
pub(crate) fn traps(seed: u64) -> bool {
    seed % 2 == 0
}

pub(crate) type Load = sender::Load<Task>;
pub(crate) type Request = sender::Request<Task>;
pub(crate) type Sender = sender::Sender<Member>;
pub(crate) type World = sender::World<Member>;

/// What a message asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
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
    /// Be told of room in somebody's mailbox.
    Room,
    Link,
    Unlink,
    /// Set some timers, and perhaps take one back.
    Timers,
    /// Ask somebody, and go on when the answer comes.
    Ask,
    /// Say something to whoever has a name.
    Call,
    /// Take back all that is waited for.
    Hush,
}

/// A timer's message, and the time before which it must not come.
pub(crate) struct Alarm {
    pub(crate) entry: Entry,
    due: Instant,
}

/// A periodic timer's message.
pub(crate) struct Beat {
    pub(crate) entry: Entry,
    /// The identity of the first one.
    series: u64,
}

impl Clone for Beat {
    fn clone(&self) -> Self {
        Self { entry: self.entry.again(Kind::Timer), series: self.series }
    }
}

/// What an actor keeps when it is restarted: its books.
pub(crate) struct Life {
    me: Sender,
    /// By sender: the place of what must come next.
    next: HashMap<u64, u64>,
    /// Sender and place of what came last: a copy of that may come before all else.
    last: (u64, u64),
    /// Which life it is.
    number: u64,
}

/// Where the books are while there is no state.
type Shelf = Shared<Option<Life>>;

/// The books of a state, which go back when it is dropped.
struct Books(Option<Life>, Shelf);

impl Books {
    fn new(shelf: &Shelf) -> Self {
        let mut life = shelf.with(Option::take).expect("one state at a time");
        life.number += 1;
        Self(Some(life), shelf.clone())
    }
}

impl Deref for Books {
    type Target = Life;

    fn deref(&self) -> &Life {
        self.0.as_ref().expect("until the drop")
    }
}

impl DerefMut for Books {
    fn deref_mut(&mut self) -> &mut Life {
        self.0.as_mut().expect("until the drop")
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        let life = self.0.take();
        self.1.with(|shelf| *shelf = life);
    }
}

/// Whose it is, and whether a failure of it ends there.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Child,
    /// Ends if it fails.
    Root,
    /// Is restarted as often as it fails.
    Lasting,
}

/// See the [module](self).
pub(crate) struct Member {
    books: Books,
    place: Place,
    /// Its mailbox has a bound: what finds no room does not come, but the rest is in order.
    bounded: bool,
    /// Replies that come later.
    replies: Vec<(u64, ReplyTo<Receipt>)>,
    /// Timers that this life has set: identities and keys.
    alarms: Vec<(u64, TimerKey)>,
    beats: Vec<(u64, TimerKey)>,
}

/// Fails the actor.
fn fail(me: &Sender) -> ! {
    me.world.ledger.count(Tally::Panics);
    panic!("meant");
}

/// Says something to whoever has a name, or has just been given it.
fn call(me: &mut Sender) {
    let name = name(me.random.below(NAMES));
    let to = if me.random.one_in(2) {
        match me.world.system.lookup::<Member>(&name) {
            Some(member) => member,
            None => return,
        }
    } else {
        let World { system, .. } = &me.world;
        match system.actor(Member::factory(&me.world)).get_or_spawn(name.as_str()) {
            Ok(member) => member,
            Err(_) => return,
        }
    };
    if to.name() != Some(&name) {
        me.world.ledger.wrong(format_args!("{to:?} for {name}"));
    }
    let task = if me.random.one_in(20) { Task::Stop } else { Task::Walk(2) };
    if let Err(error) = to.tell(me.unordered(task)) {
        error.into_message().entry.is(RETURNED);
    }
}

fn shelf(world: &World) -> Shelf {
    Shared::new(Some(Life { me: Sender::new(world), next: HashMap::new(), last: (0, 0), number: 0 }))
}

impl Member {
    fn of(shelf: &Shelf, place: Place, bounded: bool) -> Self {
        let books = Books::new(shelf);
        Self { books, place, bounded, replies: Vec::new(), alarms: Vec::new(), beats: Vec::new() }
    }

    fn make(world: &World, place: Place, bounded: bool) -> impl FnMut() -> Self + Send + 'static {
        let shelf = shelf(world);
        move || Self::of(&shelf, place, bounded)
    }

    /// Makes one that ends if it fails.
    pub(crate) fn factory(world: &World) -> impl FnMut() -> Self + Send + 'static {
        Self::make(world, Place::Root, false)
    }

    fn handled(&mut self, load: &Load) {
        load.entry.is(HANDLED);
        let this = (load.sender, load.place);
        let last = std::mem::replace(&mut self.books.last, this);
        if load.entry.id != load.origin {
            return self.must(this == last, "a copy that does not come at once", load.entry.id);
        }
        if !load.has_place() {
            return;
        }
        let next = self.books.next.entry(load.sender).or_default();
        let wanted = std::mem::replace(next, load.place + 1);
        let in_order = load.place == wanted || (self.bounded && load.place > wanted);
        if !in_order {
            let (ledger, number) = (load.entry.ledger, self.books.me.number);
            let Load { sender, place, .. } = load;
            ledger.wrong(format_args!("from {sender} to {number}: message {place} instead of {wanted}"));
        }
    }

    fn is_over(&self) -> bool {
        self.books.me.world.ledger.is_over()
    }

    /// One message in a hundred fails its handler.
    fn dice(&mut self) {
        if self.books.me.random.one_in(100) && !self.is_over() {
            fail(&self.books.me);
        }
    }

    fn act(&mut self, task: Task, ctx: &mut Context<Self>) {
        if self.is_over() && !matches!(task, Task::Panic | Task::Stop | Task::Drain | Task::Hush) {
            return;
        }
        let me = &mut self.books.me;
        match task {
            Task::Nothing => {}
            Task::Walk(0) => me.send_some(),
            Task::Walk(hops) => me.send(Task::Walk(hops - 1)),
            Task::Burst(count) => me.burst(count, ctx),
            Task::Panic => fail(me),
            Task::Stop => ctx.stop(),
            Task::Drain => ctx.drain(),
            Task::Spawn => self.raise(ctx),
            Task::Watch => {
                let (_, target) = me.pick();
                me.world.ledger.count(Tally::Watches);
                ctx.watch(&target);
            }
            Task::Room => {
                let (_, target) = me.pick();
                me.world.ledger.count(Tally::Watches);
                ctx.notify_writable(&target);
            }
            Task::Link => ctx.link(&me.pick().1),
            Task::Unlink => ctx.unlink(&me.pick().1),
            Task::Timers => self.set_timers(ctx),
            Task::Ask => self.ask(ctx),
            Task::Call => call(me),
            Task::Hush => {
                self.replies.clear();
                while let Some(at) = self.alarms.len().checked_sub(1) {
                    self.cancel(at, ctx);
                }
                for (series, key) in std::mem::take(&mut self.beats) {
                    self.must(ctx.cancel(key), "a period was not there to be taken back", series);
                }
            }
        }
    }

    fn must(&self, holds: bool, what: &str, id: u64) {
        if !holds {
            self.books.me.world.ledger.wrong(format_args!("{what}: {id}"));
        }
    }

    fn set_timers(&mut self, ctx: &mut Context<Self>) {
        const MOST: usize = 16;
        let me = &mut self.books.me;
        if self.alarms.len() < MOST {
            for _ in 0..1 + me.random.below(3) {
                let delay = match me.random.below(10) {
                    0 => Duration::ZERO,
                    1 => Duration::from_nanos(1),
                    // Only who will be hushed.
                    2 if self.place != Place::Child => Duration::MAX,
                    _ => Duration::from_micros(me.random.below(3000)),
                };
                let now = ctx.now();
                let entry = me.entry(Kind::Timer);
                let (id, due) = (entry.id, now.checked_add(delay).unwrap_or(now));
                self.alarms.push((id, ctx.send_after(delay, Alarm { entry, due })));
            }
        }
        if self.beats.len() < 2 && me.random.one_in(4) {
            let period = Duration::from_micros(me.random.below(3000));
            let entry = me.entry(Kind::Timer);
            let series = entry.id;
            self.beats.push((series, ctx.send_every(period, Beat { entry, series })));
        }
        while !self.alarms.is_empty() && self.books.me.random.one_in(2) {
            let at = self.books.me.random.below(self.alarms.len() as u64) as usize;
            self.cancel(at, ctx);
        }
    }

    /// Takes a timer back: it has not been handled, so that must succeed.
    fn cancel(&mut self, at: usize, ctx: &mut Context<Self>) {
        let (id, key) = self.alarms.swap_remove(at);
        self.must(ctx.cancel(key), "a timer was not there to be taken back", id);
        self.books.me.world.ledger.cancelled(id);
    }

    fn ask(&mut self, ctx: &mut Context<Self>) {
        let life = self.books.number;
        let me = &mut self.books.me;
        let (slot, to) = me.pick();
        let load = me.for_slot(slot, Task::Nothing);
        let time = if me.random.one_in(4) { Duration::from_micros(me.random.below(500)) } else { LIMIT };
        let (id, own) = (load.entry.id, me.entry(Kind::Continuation));
        let then = move |this: &mut Self, outcome: Result<Receipt, _>, ctx: &mut Context<Self>| {
            own.is(HANDLED);
            this.must(this.books.number == life, "a continuation of an earlier life", own.id);
            match outcome {
                Ok(receipt) => this.must(receipt.id == id, "somebody else's reply", receipt.id),
                Err(cuelight::AskError::Timeout) => own.ledger.count(Tally::Timeouts),
                Err(_) => {}
            }
            drop(own);
            this.dice();
            this.act(Task::Walk(3), ctx);
        };
        ctx.ask(&to, load, time, then);
    }

    /// Has a child, which has something to do and an end of its own.
    fn raise(&mut self, ctx: &mut Context<Self>) {
        let me = &mut self.books.me;
        let world = me.world.clone();
        let make = Self::make(&world, Place::Child, false);
        let child = match me.random.below(3) {
            0 => ctx.actor(make).spawn(),
            1 => ctx
                .actor(make)
                .restart(Restart::on_panic().limit(1, LIMIT).backoff(Duration::ZERO, Duration::ZERO))
                .spawn(),
            _ => ctx.actor(make).restart(Restart::never()).spawn(),
        };
        // This actor may be ending.
        let Ok(child) = child else { return };
        let tasks = [Task::Walk(5), Task::Burst(5), Task::Timers, Task::Ask, Task::Watch, Task::Nothing];
        for (place, task) in (0..).zip(tasks) {
            if let Err(error) = child.tell(me.load(place, task)) {
                error.into_message().entry.is(RETURNED);
            }
        }
        match me.random.below(6) {
            0 => child.stop(),
            1 | 2 => child.drain(),
            3 => {
                world.ledger.count(Tally::Watches);
                ctx.watch(&child);
                child.drain();
            }
            end => {
                for extra in 0..end - 3 {
                    let last = me.load(tasks.len() as u64 + extra, Task::Panic);
                    if let Err(error) = child.tell(last) {
                        error.into_message().entry.is(RETURNED);
                    }
                }
                child.drain();
            }
        }
    }
}

impl Role for Member {
    type Task = Task;
    const NOTHING: Task = Task::Nothing;

    fn task(random: &mut Random) -> Task {
        match random.below(1000) {
            0..=449 => Task::Walk(random.below(30) as u32),
            450..=599 => Task::Nothing,
            600..=629 => Task::Burst(1 + random.below(100) as u32),
            630..=729 => Task::Ask,
            730..=829 => Task::Timers,
            830..=859 => Task::Watch,
            860..=889 => Task::Room,
            890..=919 => Task::Spawn,
            920..=949 => Task::Call,
            950..=952 => Task::Link,
            953..=955 => Task::Unlink,
            956..=965 => Task::Panic,
            966..=967 => Task::Stop,
            968..=969 => Task::Drain,
            _ => Task::Walk(200),
        }
    }

    fn root(world: &World, random: &mut Random) -> Option<ActorRef<Self>> {
        let ms = Duration::from_millis;
        let (rule, (min, max)) = match random.below(5) {
            0 => return Some(world.system.spawn(Self::factory(world)())),
            1 => (Restart::always(), (Duration::ZERO, Duration::ZERO)),
            2 => (Restart::on_panic(), (Duration::from_nanos(1), ms(1))),
            3 => (Restart::on_panic(), (ms(1), ms(3))),
            _ => (Restart::on_panic(), (Duration::ZERO, Duration::ZERO)),
        };
        let bounded = random.one_in(3);
        let mut made = world.system.actor(Self::make(world, Place::Lasting, bounded));
        made = made.restart(rule.unlimited().backoff(min, max));
        if bounded {
            let overflow = [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest][random.below(3) as usize];
            made = made.mailbox(Mailbox::bounded(1 << random.below(7), overflow));
        }
        if random.one_in(2) {
            made = made.retry::<Load>(1 + random.below(2) as u32);
        }
        made.spawn().ok()
    }
}

impl Actor for Member {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let me = &mut self.books.me;
        // The first ones start before everybody is there.
        if me.world.ledger.is_over() || me.world.slots.with(|slots| slots.is_empty()) {
            return;
        }
        ctx.trap_links(traps(me.world.seed) && me.random.one_in(2));
        if me.random.one_in(100) {
            fail(me);
        }
        if me.random.one_in(4) {
            self.set_timers(ctx);
        }
    }

    fn stopped(&mut self, _: &StopReason) {
        // Sends in the last moment count like all others.
        if self.books.me.random.one_in(3) && !self.is_over() {
            self.books.me.send(Task::Nothing);
        }
    }

    fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
        self.dice();
        let decision = match self.books.me.random.below(4) {
            0 => Decision::Stop,
            1 => Decision::Restart,
            _ => failure.proposed,
        };
        // What nobody deals with stops the system.
        if decision == Decision::Escalate && self.place == Place::Root { Decision::Stop } else { decision }
    }

    fn strategy(&self) -> Strategy {
        match self.books.me.number % 3 {
            0 => Strategy::OneForAll,
            1 => Strategy::RestForOne,
            _ => Strategy::OneForOne,
        }
    }
}

impl Handler<Load> for Member {
    type Reply = Receipt;

    fn handle(&mut self, load: Load, ctx: &mut Context<Self>) -> Receipt {
        self.handled(&load);
        self.act(load.task, ctx);
        self.dice();
        Receipt::new(load.entry.ledger, load.origin)
    }
}

impl Handler<Request> for Member {
    type Reply = ();

    fn handle(&mut self, sender::Request(load, reply): Request, ctx: &mut Context<Self>) {
        self.handled(&load);
        self.dice();
        let me = &mut self.books.me;
        match me.random.below(4) {
            2 if self.place != Place::Child && !me.world.ledger.is_over() => self.replies.push((load.origin, reply)),
            3 => drop(reply),
            _ => reply.send(Receipt::new(load.entry.ledger, load.origin)),
        }
        if self.replies.len() > 4 {
            let at = me.random.below(self.replies.len() as u64) as usize;
            let (id, reply) = self.replies.swap_remove(at);
            reply.send(Receipt::new(load.entry.ledger, id));
        }
        self.act(load.task, ctx);
    }
}

impl Handler<Alarm> for Member {
    type Reply = ();

    fn handle(&mut self, Alarm { entry, due }: Alarm, ctx: &mut Context<Self>) {
        entry.is(HANDLED);
        self.must(ctx.now() >= due, "a timer is early", entry.id);
        let at = self.alarms.iter().position(|(id, _)| *id == entry.id);
        self.must(at.is_some(), "a timer that this life has not set, or taken back", entry.id);
        at.map(|at| self.alarms.swap_remove(at));
        self.dice();
        self.act(Task::Walk(1), ctx);
    }
}

impl Handler<Beat> for Member {
    type Reply = ();

    fn handle(&mut self, Beat { entry, series }: Beat, ctx: &mut Context<Self>) {
        entry.is(HANDLED);
        let at = self.beats.iter().position(|(id, _)| *id == series);
        self.must(at.is_some(), "a period that this life has not set, or taken back", series);
        let Some(at) = at else { return };
        if self.is_over() || self.books.me.random.one_in(20) {
            let (_, key) = self.beats.swap_remove(at);
            self.must(ctx.cancel(key), "a period was not there to be taken back", series);
        }
        self.dice();
        self.act(Task::Walk(1), ctx);
    }
}

impl Handler<Writable> for Member {
    type Reply = ();

    fn handle(&mut self, _: Writable, _: &mut Context<Self>) {
        self.books.me.world.ledger.count(Tally::Notices);
        self.dice();
    }
}

impl Handler<Terminated> for Member {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.books.me.world.ledger.count(Tally::Notices);
        self.dice();
    }
}
