//! Actors that keep a ledger, and what must be true of it at the end.

use cuelight::dev_hooks::engine::start_in_time;
use cuelight::dev_hooks::kernel::leave_thread;
use cuelight::dev_hooks::sync::hint;
use cuelight::{Actor, ActorRef, Budget, Context, Handler, Idle, ReplyTo, StopReason, System, Terminated};
use loom_tests::{Arc, thread};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What has become of messages and actors, counted where shuttle does not see it, so that counting is no step. Whoever
/// drops it last finds that nothing is left.
#[derive(Debug, Default)]
pub struct Books {
    made: AtomicU64,
    dropped: AtomicU64,
    pub handled: AtomicU64,
    pub started: AtomicU64,
    pub stopped: AtomicU64,
    born: AtomicU64,
    gone: AtomicU64,
}

/// One more.
pub fn count(counter: &AtomicU64) {
    // Ordering: Relaxed: read after the joins.
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What was counted.
pub fn counted(counter: &AtomicU64) -> u64 {
    // Ordering: Relaxed: the joins have ordered it.
    counter.load(Ordering::Relaxed)
}

impl Drop for Books {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(counted(&self.made), counted(&self.dropped), "messages made and dropped");
            assert_eq!(counted(&self.born), counted(&self.gone), "states made and dropped");
        }
    }
}

/// Senders that an order is kept for.
const SENDERS: usize = 8;

/// What a member does with a note.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Tells the next one, if there is one.
    Pass,
    Fail,
    Stop,
    Drain,
}

/// A message: the number of its sender, its own in that sender's order, and how often it is passed on.
pub struct Note {
    pub from: usize,
    pub number: u32,
    hops: u32,
    then: Then,
    books: Arc<Books>,
}

impl Note {
    pub fn new(books: &Arc<Books>, from: usize, number: u32, hops: u32) -> Self {
        count(&books.made);
        Self { from, number, hops, then: Then::Pass, books: books.clone() }
    }

    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        count(&self.books.dropped);
    }
}

/// Handles notes, and passes them on.
pub struct Member {
    name: usize,
    books: Arc<Books>,
    next: Option<ActorRef<Member>>,
    /// The last number of each sender; outlives a restart.
    last: Arc<[AtomicU32; SENDERS]>,
    sent: u32,
    inside: AtomicBool,
}

impl Member {
    pub fn new(books: &Arc<Books>, name: usize, next: Option<&ActorRef<Member>>) -> Self {
        Self::again(books, name, next, &Arc::default())
    }

    /// One that is made anew.
    pub fn again(
        books: &Arc<Books>,
        name: usize,
        next: Option<&ActorRef<Member>>,
        last: &Arc<[AtomicU32; SENDERS]>,
    ) -> Self {
        count(&books.born);
        let (books, next, last) = (books.clone(), next.cloned(), last.clone());
        Self { name, books, next, last, sent: 0, inside: AtomicBool::new(false) }
    }

    /// A factory of members of one name.
    pub fn factory(books: &Arc<Books>, name: usize) -> impl FnMut() -> Self + Send + 'static {
        let (books, last) = (books.clone(), Arc::default());
        move || Self::again(&books, name, None, &last)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        count(&self.books.gone);
    }
}

impl Actor for Member {
    fn started(&mut self, _: &mut Context<Self>) {
        count(&self.books.started);
    }

    fn stopped(&mut self, _: &StopReason) {
        count(&self.books.stopped);
    }
}

impl Handler<Note> for Member {
    type Reply = u32;

    fn handle(&mut self, note: Note, ctx: &mut Context<Self>) -> u32 {
        // Ordering: Relaxed, all: to the operating system there is one thread under shuttle; without it a turn comes after a turn.
        assert!(!self.inside.swap(true, Ordering::Relaxed), "two at a time");
        count(&self.books.handled);
        let last = self.last[note.from].swap(note.number, Ordering::Relaxed);
        assert!(last < note.number, "sender {}: {} after {last}", note.from, note.number);
        hint::spin_loop();
        match note.then {
            Then::Pass => {
                if let Some(next) = self.next.as_ref().filter(|_| note.hops > 0) {
                    self.sent += 1;
                    let _ = next.tell(Note::new(&self.books, self.name, self.sent, note.hops - 1));
                }
            }
            // No hook prints it.
            Then::Fail => std::panic::resume_unwind(Box::new("planned")),
            Then::Stop => ctx.stop(),
            Then::Drain => ctx.drain(),
        }
        self.inside.store(false, Ordering::Relaxed);
        note.number
    }
}

/// Watches others, and answers when it has got so many notices.
#[derive(Default)]
pub struct Watcher {
    notices: u32,
    waiting: Option<(u32, ReplyTo<u32>)>,
}

impl Watcher {
    fn look(&mut self) {
        if let Some((_, reply)) = self.waiting.take_if(|(wanted, _)| *wanted <= self.notices) {
            reply.send(self.notices);
        }
    }
}

impl Actor for Watcher {}

impl Handler<Terminated> for Watcher {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.notices += 1;
        self.look();
    }
}

/// Watch it.
pub struct Watch(pub ActorRef<Member>);

impl Handler<Watch> for Watcher {
    type Reply = ();

    fn handle(&mut self, Watch(actor): Watch, ctx: &mut Context<Self>) {
        ctx.watch(&actor);
    }
}

/// Answer when there have been so many notices.
pub struct Expect(pub u32, pub ReplyTo<u32>);

impl Handler<Expect> for Watcher {
    type Reply = ();

    fn handle(&mut self, Expect(wanted, reply): Expect, _: &mut Context<Self>) {
        self.waiting = Some((wanted, reply));
        self.look();
    }
}

/// A system whose batches are short, so that work is left for others.
pub fn begin(workers: usize, idle: Idle) -> (System, Arc<Books>) {
    let budget = Budget { messages: 2, time: Duration::from_micros(300) };
    (start_in_time(workers, budget, idle), Arc::default())
}

/// The end of a model after a shutdown: everything has had one fate, and is gone.
pub fn end(system: System, books: Arc<Books>) {
    let counters = system.counters();
    assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
    drop(system);
    leave_thread();
    let Ok(_) = Arc::try_unwrap(books) else { panic!("somebody is left") };
}

/// Lets the others take some steps: from none to a thousand, as the schedule has it.
pub fn a_while() {
    (0..random_below(random_below(1024) + 1)).for_each(|_| hint::spin_loop());
}

#[cfg(shuttle)]
fn random_below(bound: u64) -> u64 {
    use shuttle::rand::RngCore;
    shuttle::rand::thread_rng().next_u64() % bound
}

#[cfg(not(shuttle))]
fn random_below(bound: u64) -> u64 {
    bound - 1
}

/// An outside thread, which gives back its nodes when it ends.
pub fn outside(body: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        body();
        leave_thread();
    })
}

/// Whether something has happened in any schedule of a model: one in which it never does shows nothing.
#[derive(Debug)]
pub struct Seen(Mutex<u64>);

impl Seen {
    pub const fn new() -> Self {
        Self(Mutex::new(0))
    }

    pub fn add(&self, times: u64) {
        *self.0.lock().unwrap() += times;
    }

    /// # Panics
    /// If it never has, under shuttle.
    pub fn check(&self, what: &str) {
        let times = *self.0.lock().unwrap();
        println!("  {what}: {times} times");
        let few = cfg!(not(shuttle)) || std::env::var_os("CUELIGHT_SEED").is_some();
        assert!(times > 0 || few, "{what}: {times} executions, expected more than 0");
    }
}
