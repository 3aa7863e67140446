//! One that sends: an actor, over all its lives, or a thread from outside.

use crate::ledger::{Entry, Kind, Ledger, RETURNED, Tally, add};
use crate::member::{Member, Request};
use crate::support::random::Random;
use crate::support::{LIMIT, Shared, block_on};
use cuelight::{ActorRef, AskError, SystemRef, TellError, TellTimeoutError};
use std::time::Duration;

/// Addresses that everybody knows.
pub(crate) const SLOTS: usize = 32;
/// Names that everybody knows.
pub(crate) const NAMES: u64 = 4;
/// The place of a message whose order nobody looks at.
const ANYWHERE: u64 = u64::MAX;

pub(crate) fn name(number: u64) -> String {
    format!("name {number}")
}

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

/// A message.
pub(crate) struct Load {
    pub(crate) entry: Entry,
    pub(crate) sender: u64,
    /// Its place among what this sender has sent to this receiver.
    pub(crate) place: u64,
    pub(crate) task: Task,
    /// The identity of the message, also in its copies.
    pub(crate) origin: u64,
}

impl Clone for Load {
    fn clone(&self) -> Self {
        Self { entry: self.entry.again(Kind::Copy), ..*self }
    }
}

impl Load {
    pub(crate) fn has_place(&self) -> bool {
        self.place != ANYWHERE
    }
}

/// What a system's members share.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) ledger: &'static Ledger,
    pub(crate) seed: u64,
    /// Whether some trap the ends of those that they are linked with.
    pub(crate) traps: bool,
    pub(crate) slots: Shared<Vec<ActorRef<Member>>>,
    pub(crate) system: SystemRef,
}

/// See the [module](self).
pub(crate) struct Sender {
    pub(crate) world: World,
    pub(crate) number: u64,
    pub(crate) random: Random,
    /// Identities left in the block.
    ids: std::ops::Range<u64>,
    /// By slot: whom we know there, and how many we have sent to it.
    pub(crate) known: Vec<(ActorRef<Member>, u64)>,
}

impl Sender {
    pub(crate) fn new(world: &World) -> Self {
        let number = add(&world.ledger.senders, 1);
        Self { world: world.clone(), number, random: Random(world.seed ^ (number << 20)), ids: 0..0, known: Vec::new() }
    }

    pub(crate) fn entry(&mut self, kind: Kind) -> Entry {
        if self.ids.is_empty() {
            self.ids = self.world.ledger.block();
        }
        Entry::new(self.world.ledger, self.ids.next().expect("a block is not empty"), kind)
    }

    pub(crate) fn load(&mut self, place: u64, task: Task) -> Load {
        let entry = self.entry(Kind::Message);
        Load { origin: entry.id, entry, sender: self.number, place, task }
    }

    /// A message to somebody whose places we do not count.
    pub(crate) fn unordered(&mut self, task: Task) -> Load {
        self.load(ANYWHERE, task)
    }

    /// A slot, and who is there as far as we know.
    pub(crate) fn pick(&mut self) -> (usize, ActorRef<Member>) {
        if self.known.is_empty() {
            self.known = self.world.slots.with(|slots| slots.iter().map(|slot| (slot.clone(), 0)).collect());
        }
        let slot = self.random.below(SLOTS as u64) as usize;
        (slot, self.known[slot].0.clone())
    }

    /// A message to a slot.
    pub(crate) fn for_slot(&mut self, slot: usize, task: Task) -> Load {
        let place = self.known[slot].1;
        self.known[slot].1 += 1;
        self.load(place, task)
    }

    pub(crate) fn refused(&mut self, slot: usize, load: Load) {
        load.entry.is(RETURNED);
        drop(load);
        self.look_again(slot);
    }

    /// Finds out who is in a slot now; puts somebody there if nobody is.
    pub(crate) fn look_again(&mut self, slot: usize) {
        let mut now = self.world.slots.with(|slots| slots[slot].clone());
        if now == self.known[slot].0 && now.is_stopped() && !self.world.ledger.is_over() {
            let Some(made) = Member::root(&self.world, &self.world.system, &mut self.random) else { return };
            let superfluous = self.world.slots.with(|slots| {
                if slots[slot] == now { std::mem::replace(&mut slots[slot], made.clone()) } else { made }
            });
            superfluous.stop();
            now = self.world.slots.with(|slots| slots[slot].clone());
        }
        if now != self.known[slot].0 {
            self.known[slot] = (now, 0);
        }
    }

    pub(crate) fn task(&mut self) -> Task {
        match self.random.below(1000) {
            0..=449 => Task::Walk(self.random.below(30) as u32),
            450..=599 => Task::Nothing,
            600..=629 => Task::Burst(1 + self.random.below(100) as u32),
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

    /// Sends one message, or a few, in any way that does not wait.
    pub(crate) fn send(&mut self, task: Task) {
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

    /// Sends one message, and waits for room if need be. Outside only.
    pub(crate) fn tell_in_time(&mut self) {
        let (task, (slot, to)) = (self.task(), self.pick());
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

    /// Asks, and waits for the outcome. Outside only.
    pub(crate) fn ask(&mut self) {
        let (slot, to) = self.pick();
        let load = self.for_slot(slot, Task::Nothing);
        let id = load.entry.id;
        // A request may be kept until somebody else comes, and perhaps nobody does.
        let (patient, with) = (!self.random.one_in(4), self.random.one_in(2));
        let time = if patient && !with { LIMIT } else { Duration::from_micros(self.random.below(1000)) };
        let asked = if with { to.ask_with(|reply| Request(load, reply)) } else { to.ask(load) };
        let asked = asked.timeout(time);
        let outcome = if self.random.one_in(2) { asked.wait() } else { block_on(asked) };
        match outcome {
            Ok(receipt) => assert_eq!(receipt.id, id, "somebody else's reply"),
            Err(AskError::Timeout) => {
                assert!(time < LIMIT, "no reply");
                self.world.ledger.count(Tally::Timeouts);
            }
            Err(AskError::Stopped) => self.look_again(slot),
            Err(AskError::NoReply | AskError::Panicked | AskError::Full) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Says something to whoever has a name, or has just been given it.
    pub(crate) fn call(&mut self) {
        let name = name(self.random.below(NAMES));
        let to = if self.random.one_in(2) {
            match self.world.system.lookup::<Member>(&name) {
                Some(member) => member,
                None => return,
            }
        } else {
            let World { system, .. } = &self.world;
            match system.actor(Member::factory(&self.world)).get_or_spawn(name.as_str()) {
                Ok(member) => member,
                Err(_) => return,
            }
        };
        if to.name() != Some(&name) {
            self.world.ledger.wrong(format_args!("{to:?} for {name}"));
        }
        let task = if self.random.one_in(20) { Task::Stop } else { Task::Walk(2) };
        if let Err(error) = to.tell(self.unordered(task)) {
            error.into_message().entry.is(RETURNED);
        }
    }
}
