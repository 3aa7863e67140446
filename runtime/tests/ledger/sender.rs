//! One that sends: an actor, over all its lives, or a thread from outside.

use super::books::{Entry, Kind, Ledger, RETURNED, Receipt, Tally, add};
use crate::support::random::Random;
use crate::support::{LIMIT, Shared, block_on};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, ReplyTo, SystemRef, TellError, TellTimeoutError};
use std::time::Duration;

/// The place of a message whose order nobody looks at.
const ANYWHERE: u64 = u64::MAX;

/// An actor of a run.
pub(crate) trait Role:
    Actor + Handler<Load<Self::Task>, Reply = Receipt> + Handler<Request<Self::Task>, Reply = ()>
{
    /// What a message asks for.
    type Task: Copy + Send + 'static;
    /// What asks for nothing.
    const NOTHING: Self::Task;

    /// Any task, in the proportions of the run.
    fn task(random: &mut Random) -> Self::Task;

    /// One without a parent, unless the system is closing.
    fn root(world: &World<Self>, random: &mut Random) -> Option<ActorRef<Self>>;
}

/// A message.
pub(crate) struct Load<T> {
    pub(crate) entry: Entry,
    pub(crate) sender: u64,
    /// Its place among what this sender has sent to this receiver.
    pub(crate) place: u64,
    pub(crate) task: T,
    /// The identity of the message, also in its copies.
    pub(crate) origin: u64,
}

impl<T: Copy> Clone for Load<T> {
    fn clone(&self) -> Self {
        Self { entry: self.entry.again(Kind::Copy), ..*self }
    }
}

impl<T> Load<T> {
    pub(crate) fn has_place(&self) -> bool {
        self.place != ANYWHERE
    }
}

/// A request whose reply may come late, or never.
pub(crate) struct Request<T>(pub(crate) Load<T>, pub(crate) ReplyTo<Receipt>);

/// What a system's members share.
pub(crate) struct World<M: Role> {
    pub(crate) ledger: &'static Ledger,
    pub(crate) seed: u64,
    /// Addresses that everybody knows.
    pub(crate) slots: Shared<Vec<ActorRef<M>>>,
    pub(crate) system: SystemRef,
}

impl<M: Role> Clone for World<M> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone(), system: self.system.clone(), ..*self }
    }
}

/// See the [module](self).
pub(crate) struct Sender<M: Role> {
    pub(crate) world: World<M>,
    pub(crate) number: u64,
    pub(crate) random: Random,
    /// Identities left in the block.
    ids: std::ops::Range<u64>,
    /// By slot: whom we know there, and how many we have sent to it.
    pub(crate) known: Vec<(ActorRef<M>, u64)>,
}

impl<M: Role> Sender<M> {
    pub(crate) fn new(world: &World<M>) -> Self {
        let number = add(&world.ledger.senders, 1);
        Self { world: world.clone(), number, random: Random(world.seed ^ (number << 20)), ids: 0..0, known: Vec::new() }
    }

    pub(crate) fn entry(&mut self, kind: Kind) -> Entry {
        if self.ids.is_empty() {
            self.ids = self.world.ledger.block();
        }
        Entry::new(self.world.ledger, self.ids.next().expect("a block is not empty"), kind)
    }

    pub(crate) fn load(&mut self, place: u64, task: M::Task) -> Load<M::Task> {
        let entry = self.entry(Kind::Message);
        Load { origin: entry.id, entry, sender: self.number, place, task }
    }

    /// A message to somebody whose places we do not count.
    pub(crate) fn unordered(&mut self, task: M::Task) -> Load<M::Task> {
        self.load(ANYWHERE, task)
    }

    /// A slot, and who is there as far as we know.
    pub(crate) fn pick(&mut self) -> (usize, ActorRef<M>) {
        if self.known.is_empty() {
            self.known = self.world.slots.with(|slots| slots.iter().map(|slot| (slot.clone(), 0)).collect());
        }
        let slot = self.random.below(self.known.len() as u64) as usize;
        (slot, self.known[slot].0.clone())
    }

    /// A message to a slot.
    pub(crate) fn for_slot(&mut self, slot: usize, task: M::Task) -> Load<M::Task> {
        let place = self.known[slot].1;
        self.known[slot].1 += 1;
        self.load(place, task)
    }

    pub(crate) fn refused(&mut self, slot: usize, load: Load<M::Task>) {
        load.entry.is(RETURNED);
        drop(load);
        self.look_again(slot);
    }

    /// Finds out who is in a slot now; puts somebody there if nobody is.
    pub(crate) fn look_again(&mut self, slot: usize) {
        let mut now = self.world.slots.with(|slots| slots[slot].clone());
        if now == self.known[slot].0 && now.is_stopped() && !self.world.ledger.is_over() {
            let Some(made) = M::root(&self.world, &mut self.random) else { return };
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

    /// Sends one message, or a few, in any way that does not wait.
    pub(crate) fn send(&mut self, task: M::Task) {
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
                let loads: Vec<Load<M::Task>> = (0..count).map(|_| self.for_slot(slot, task)).collect();
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
        let (task, (slot, to)) = (M::task(&mut self.random), self.pick());
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
        let load = self.for_slot(slot, M::NOTHING);
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

    /// Tells so many messages to one receiver.
    pub(crate) fn burst(&mut self, count: u32, ctx: &mut Context<M>) {
        let (slot, _) = self.pick();
        for _ in 0..count {
            let (to, load) = (self.known[slot].0.clone(), self.for_slot(slot, M::NOTHING));
            if let Err(error) = to.tell(load) {
                self.refused(slot, error.into_message());
            }
            if self.random.one_in(50) {
                ctx.publish();
            }
        }
    }

    /// Sends anything.
    pub(crate) fn send_some(&mut self) {
        let task = M::task(&mut self.random);
        self.send(task);
    }
}
