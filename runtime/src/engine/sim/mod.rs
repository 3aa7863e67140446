//! The engine of simulation: one thread, virtual time, the next actor picked by a seeded generator.
//!
//! Promise: the same program with the same seed does the same, message by message, on any machine and in any build. Each step
//! is one turn with one message at most; the start of an actor is a step by itself.
//!
//! How: the shipped kernel, and one shipped worker that no thread runs. While a turn lasts the calling thread is that worker,
//! so that sends and spawns go their ordinary ways into its queues; between turns these are emptied into a list, of which
//! the next one is chosen. What reaches a mailbox passes the thread's [tap](crate::kernel::tap) first, which gives it a number.
//! The clock stands while there is something to do, and then moves on to the next event.
//!
//! No decision follows an address, a type's name or the order of a hash map: the map of messages on their way is keyed by
//! address and never iterated. Identities and numbers are the system's own.
//!
//! Gives up: other threads. What they call is refused where there is a way to say so, and otherwise noted, so that the next
//! call that drives says so.

pub(crate) mod choice;
pub(crate) mod rng;

use super::config::Budget;
use super::core::{Core, Engine, Plan, core_of};
use super::report::{Report, WorkerReport};
use super::threads::worker::{Worker, is_worker};
use crate::kernel::cell::{CellRef, Runnable};
use crate::kernel::hub::Hub;
use crate::kernel::parcel::Held;
use crate::kernel::pool;
use crate::kernel::schedule::Host;
use crate::kernel::tap::{self, Piece, Ruling, Tap};
use crate::kernel::turn::{After, take_turn};
use crate::kernel::watch::ActorId;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread_local;
use crate::time::{Clock, Tick};
use choice::Chooser;
use rng::mix;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// Up to this many actors the one that has waited longest is the first of the list; above it the order is the picks' making,
/// and a pick costs the same.
const IN_ORDER: usize = 1024;
/// The last steps before the limit, in which messages are counted by actor.
const WATCHED: u64 = 100_000;

#[cfg(not(loom))]
thread_local! {
    /// The simulations that this thread has made and not yet ended.
    static HERE: RefCell<Vec<Rc<Driver>>> = const { RefCell::new(Vec::new()) };
}
#[cfg(loom)]
thread_local! {
    static HERE: RefCell<Vec<Rc<Driver>>> = RefCell::new(Vec::new());
}

/// Whether the calling thread may have an effect on a simulated system.
pub(crate) fn is_here(core: &Core) -> bool {
    let here = HERE.try_with(|all| all.borrow().iter().any(|driver| driver.is_of(core)));
    here.unwrap_or(false)
}

/// What drives a simulated system, on its own thread.
pub(crate) fn here(core: &Core) -> Option<Rc<Driver>> {
    let here = HERE.try_with(|all| all.borrow().iter().find(|driver| driver.is_of(core)).cloned());
    here.ok().flatten()
}

/// What a simulation is made with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) step_limit: u64,
}

/// How a drive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    /// What it was for has come.
    Done,
    /// Nothing is left to do before the deadline.
    Idle,
}

/// Why it did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The caller is inside a handler of this simulation.
    Nested,
    /// Another thread has had an effect.
    Disturbed,
    /// The limit; the actors that handled most of the last messages, with their types and how many.
    Limit(Vec<(ActorId, &'static str, u64)>),
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
struct Post {
    number: u64,
    from: Option<ActorId>,
}

/// Addresses of nodes are spread by one multiplication.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

type Spreading = BuildHasherDefault<Spread>;

/// What drives one simulation.
pub(crate) struct Driver {
    worker: Worker,
    seed: u64,
    step_limit: u64,
    /// A turn is running.
    inside: Cell<bool>,
    state: RefCell<State>,
}

struct State {
    ready: VecDeque<Runnable>,
    chooser: Chooser,
    posts: HashMap<usize, Post, Spreading>,
    /// Whose turn it is.
    running: Option<ActorId>,
    sent: u64,
    handled: u64,
    signature: u64,
    /// By actor: its type, and messages handled since the limit came near.
    hot: Option<HashMap<u64, (&'static str, u64), Spreading>>,
}

/// Sees what the thread sends, for whichever of its simulations it is.
struct Switch;

impl Tap for Switch {
    fn sent(&self, to: &CellRef, nodes: &[usize], losable: bool) -> Ruling {
        here(core_of(to)).map_or(Ruling::Pass, |driver| driver.sent(to, nodes, losable))
    }

    fn keep(&self, held: Held) {
        held.deliver();
    }

    fn publish(&self) {}
}

/// One turn, as the kernel's host.
struct Turn<'a> {
    driver: &'a Driver,
    id: ActorId,
    type_name: &'static str,
}

impl Host for Turn<'_> {
    #[inline]
    fn handling(&self, piece: Piece<'_>) -> bool {
        self.driver.worker.metrics().handled.add(1);
        self.driver.handling(self, &piece)
    }

    fn over(&self, _: u32) -> bool {
        false
    }

    fn batch(&self) -> u32 {
        1
    }

    fn starts_apart(&self) -> bool {
        true
    }

    fn ended(&self) {
        self.driver.worker.metrics().ended.add(1);
    }
}

impl Driver {
    /// Makes a simulated system, whose thread is the calling one.
    pub(crate) fn start(setup: Setup) -> (Rc<Self>, Hub<Core>) {
        let worker = WorkerReport { index: 0, cpu: None, reason: Some("it is simulated".to_owned()) };
        let plan = Plan {
            name: setup.name,
            budget: Budget { messages: 1, ..Budget::default() },
            idle: super::config::Idle::Park,
            report: Report { workers: vec![worker], ..Report::default() },
            victims: vec![Box::default()],
            crowded: false,
        };
        let engine = Engine::Sim { disturbed: AtomicBool::new(false) };
        let (hub, mut berths) = Core::prepare(plan, Clock::simulated(), engine);
        let Some(berth) = berths.pop() else { unreachable!("a berth for the worker") };
        let driver = Rc::new(Self {
            worker: berth.worker(hub.clone()),
            seed: setup.seed,
            step_limit: setup.step_limit,
            inside: Cell::new(false),
            state: RefCell::new(State {
                ready: VecDeque::new(),
                chooser: Chooser::seeded(setup.seed),
                posts: HashMap::default(),
                running: None,
                sent: 0,
                handled: 0,
                signature: mix(0),
                hot: None,
            }),
        });
        HERE.with(|all| all.borrow_mut().push(driver.clone()));
        pool::keep_cache();
        tap::install(Some(Rc::new(Switch)));
        (driver, hub)
    }

    /// Ends the simulation: its thread is like any other again.
    pub(crate) fn leave(&self) {
        let (gone, last) = HERE.with(|all| {
            let mut all = all.borrow_mut();
            let place = all.iter().position(|driver| std::ptr::eq(&**driver, self));
            let gone = place.map(|place| all.swap_remove(place));
            (gone, all.is_empty())
        });
        drop(gone);
        if last {
            tap::install(None);
            if !is_worker() {
                pool::release_thread();
            }
        }
    }

    fn is_of(&self, core: &Core) -> bool {
        std::ptr::eq(self.core(), core)
    }

    pub(crate) fn core(&self) -> &Core {
        self.worker.core()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn step_limit(&self) -> u64 {
        self.step_limit
    }

    pub(crate) fn signature(&self) -> u64 {
        self.state.borrow().signature
    }

    pub(crate) fn handled(&self) -> u64 {
        self.state.borrow().handled
    }

    pub(crate) fn now(&self) -> Tick {
        self.core().clock.now()
    }

    /// Whether a turn is running: who asks is inside it.
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.get()
    }

    fn sent(&self, _: &CellRef, nodes: &[usize], _: bool) -> Ruling {
        let mut state = self.state.borrow_mut();
        let from = state.running;
        for &node in nodes {
            state.sent += 1;
            let number = state.sent;
            state.posts.insert(node, Post { number, from });
        }
        Ruling::Pass
    }

    fn handling(&self, turn: &Turn<'_>, piece: &Piece<'_>) -> bool {
        let state = &mut *self.state.borrow_mut();
        let post = state.posts.remove(&piece.address()).unwrap_or(Post { number: 0, from: None });
        state.handled += 1;
        // Identities and numbers are the same in any build; addresses and names are not.
        state.signature = mix(state.signature.wrapping_add(turn.id.0)).wrapping_add(post.number);
        if let Some(hot) = &mut state.hot {
            hot.entry(turn.id.0).or_insert((turn.type_name, 0)).1 += 1;
        }
        let _ = post.from;
        false
    }

    /// Takes over what has become runnable.
    #[inline]
    fn collect(&self, state: &mut State) {
        while let Some(runnable) = self.worker.pushed() {
            state.ready.push_back(runnable);
        }
    }

    /// One step. False if there is nothing to do now.
    pub(crate) fn step(&self) -> bool {
        let picked = {
            let state = &mut *self.state.borrow_mut();
            self.collect(state);
            let waiting = state.ready.len();
            let index = state.chooser.choose(waiting as u64) as usize;
            if waiting <= IN_ORDER { state.ready.remove(index) } else { state.ready.swap_remove_back(index) }
        };
        let Some(runnable) = picked else { return false };
        self.turn(runnable);
        true
    }

    fn turn(&self, runnable: Runnable) {
        let header = runnable.header();
        let turn = Turn { driver: self, id: header.id(), type_name: header.type_name() };
        self.state.borrow_mut().running = Some(turn.id);
        self.worker.metrics().activations.add(1);
        self.inside.set(true);
        let after = self.worker.enter(|| take_turn(runnable, &turn));
        self.inside.set(false);
        let state = &mut *self.state.borrow_mut();
        state.running = None;
        // Whom it has woken comes before it.
        self.collect(state);
        if let After::Again(runnable) = after {
            state.ready.push_back(runnable);
        }
    }

    /// When something happens next by itself.
    fn next_event(&self) -> Tick {
        self.core().timers.next_deadline()
    }

    /// Moves the clock, and wakes those whose time has come.
    pub(crate) fn move_to(&self, time: Tick) {
        let core = self.core();
        core.clock.advance(time.since(core.clock.now()));
        let fired = core.fire_timers();
        self.worker.metrics().timers_fired.add(fired as u64);
    }

    /// Whether the calling thread may drive.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if self.inside.get() {
            return Err(Trouble::Nested);
        }
        match &self.core().engine {
            // Ordering: Relaxed: a note for people.
            Engine::Sim { disturbed } if disturbed.load(Ordering::Relaxed) => Err(Trouble::Disturbed),
            _ => Ok(()),
        }
    }

    /// Steps until `done`, or until nothing is left to do; moves the clock on to the next event, to `deadline` at most, and not
    /// at all if `deadline` is past.
    pub(crate) fn drive(&self, deadline: Tick, mut done: impl FnMut() -> bool) -> Result<Driven, Trouble> {
        self.check()?;
        let mut left = self.step_limit;
        loop {
            if done() {
                return Ok(Driven::Done);
            }
            if left == 0 {
                return Err(Trouble::Limit(self.hottest()));
            }
            if left == WATCHED.min(self.step_limit / 2) {
                self.state.borrow_mut().hot = Some(HashMap::default());
            }
            left -= 1;
            if self.step() {
                continue;
            }
            let next = self.next_event();
            if next == Tick::NEVER || next > deadline {
                self.state.borrow_mut().hot = None;
                return Ok(Driven::Idle);
            }
            self.move_to(next);
        }
    }

    /// Who has handled most since the limit came near.
    fn hottest(&self) -> Vec<(ActorId, &'static str, u64)> {
        let hot = self.state.borrow_mut().hot.take().unwrap_or_default();
        let mut hot: Vec<_> = hot.into_iter().map(|(id, (name, count))| (ActorId(id), name, count)).collect();
        hot.sort_unstable_by_key(|&(id, _, count)| (std::cmp::Reverse(count), id));
        hot.truncate(5);
        hot
    }

    /// Runs all actors to their ends, once a shutdown has begun. Whether that was possible within the limit.
    pub(crate) fn finish(&self) -> bool {
        let core = self.core();
        let mut left = self.step_limit;
        while !core.is_over() && left > 0 {
            left -= 1;
            if !self.step() {
                match self.next_event() {
                    Tick::NEVER => return false,
                    next => self.move_to(next),
                }
            }
        }
        core.is_over()
    }
}
