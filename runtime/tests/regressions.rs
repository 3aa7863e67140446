//! What was once broken, or might well have been: each case attacks one place of the kernel from outside.
//!
//! Every case keeps a ledger of its own: each payload counts its drop, and the books of the system must balance.

#[path = "support/mod.rs"]
#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;

#[path = "regressions/storm.rs"]
mod storm;

use cuelight::{Actor, ActorRef, Ask, AskError, Context, Handler, ReplyTo, StopReason, System};
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;
use support::stage::end;
use support::{Count, Counted, Gate, LIMIT, eventually, quiet_panics, scaled};

fn system(workers: usize) -> System {
    quiet_panics();
    System::builder().workers(workers).build().expect("a system")
}

/// Keeps replies, and drops them when it is told to.
#[derive(Default)]
struct Keeper(Vec<ReplyTo<Counted>>);

impl Actor for Keeper {}

struct Keep(ReplyTo<Counted>);

impl Handler<Keep> for Keeper {
    type Reply = ();

    fn handle(&mut self, Keep(reply): Keep, _: &mut Context<Self>) {
        self.0.push(reply);
    }
}

struct Forget;

impl Handler<Forget> for Keeper {
    type Reply = ();

    fn handle(&mut self, _: Forget, _: &mut Context<Self>) {
        self.0.clear();
    }
}

fn poll<R>(ask: &mut Ask<R>, waker: &Waker) -> Poll<Result<R, AskError>> {
    Pin::new(ask).poll(&mut Task::from_waker(waker))
}

struct Bell(#[allow(dead_code, reason = "its drop is what matters")] Counted);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {}
}

/// A waker that panics when it is cloned (1) or dropped (2).
fn mine(where_: usize) -> Waker {
    const TABLE: &RawWakerVTable = &RawWakerVTable::new(
        |data| {
            if data.addr() == 1 {
                panic!("meant: a waker's clone");
            }
            RawWaker::new(data, TABLE)
        },
        |_| {},
        |_| {},
        |data| {
            if data.addr() == 2 && !thread::panicking() {
                panic!("meant: a waker's drop");
            }
        },
    );
    // SAFETY: the data is a number, and no function of the table reads what it might point to.
    unsafe { Waker::new(std::ptr::without_provenance(where_), TABLE) }
}

#[test]
fn a_waker_that_panics_in_its_clone_leaks_nothing() {
    let system = system(1);
    let wakers = Count::default();
    let keeper = system.spawn(Keeper::default());
    for answered in [false, true] {
        let mut ask = keeper.ask_with(Keep);
        let waker = Waker::from(Arc::new(Bell(Counted(wakers.clone()))));
        assert!(poll(&mut ask, &waker).is_pending());
        drop(waker);
        let bad = std::mem::ManuallyDrop::new(mine(1));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut ask, &bad))).is_err());
        if answered {
            keeper.ask(Forget).wait().unwrap();
            assert_eq!(ask.wait().map(drop), Err(AskError::NoReply));
        } else {
            drop(ask);
        }
    }
    keeper.ask(Forget).wait().unwrap();
    wakers.reaches(2);
    end(&system);
}

#[test]
fn a_waker_that_panics_in_its_drop_is_replaced() {
    let system = system(1);
    let wakers = Count::default();
    let keeper = system.spawn(Keeper::default());
    let mut ask = keeper.ask_with(Keep);
    let bad = std::mem::ManuallyDrop::new(mine(2));
    assert!(poll(&mut ask, &bad).is_pending());
    let waker = Waker::from(Arc::new(Bell(Counted(wakers.clone()))));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut ask, &waker))).is_err());
    drop(waker);
    drop(ask);
    wakers.reaches(1);
    keeper.ask(Forget).wait().unwrap();
    end(&system);
}

/// Sizes and alignments of messages, replies and states.
#[derive(Debug)]
#[repr(align(64))]
struct Wide(#[allow(dead_code, reason = "its drop is what matters")] Counted);

#[derive(Debug)]
#[repr(align(4096))]
struct Page(#[allow(dead_code, reason = "its drop is what matters")] Counted);

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(128))]
struct Nothing;

#[derive(Debug)]
struct Long([u64; 40], #[allow(dead_code, reason = "its drop is what matters")] Counted);

#[repr(align(4096))]
struct Shaped(#[allow(dead_code, reason = "its drop is what matters")] Counted);

impl Shaped {
    fn check(&self) {
        assert_eq!(std::ptr::from_ref(self).addr() % 4096, 0);
    }
}

impl Actor for Shaped {}

macro_rules! echoes {
    ($($message:ty),*) => { $(
        impl Handler<$message> for Shaped {
            type Reply = $message;

            fn handle(&mut self, message: $message, _: &mut Context<Self>) -> $message {
                self.check();
                assert_eq!(std::ptr::from_ref(&message).addr() % align_of::<$message>(), 0);
                message
            }
        }
    )* };
}
echoes!(Wide, Page, Nothing, Long, ());

struct Pass<T>(T, ReplyTo<T>);

impl<T: Send + 'static> Handler<Pass<T>> for Shaped {
    type Reply = ();

    fn handle(&mut self, Pass(value, reply): Pass<T>, _: &mut Context<Self>) {
        self.check();
        reply.send(value);
    }
}

struct Chain(ActorRef<Shaped>, Count, Gate);

impl Handler<Chain> for Shaped {
    type Reply = ();

    fn handle(&mut self, Chain(to, drops, gate): Chain, ctx: &mut Context<Self>) {
        let large = [Counted(drops.clone()), Counted(drops.clone())];
        let more = [7_u64; 32];
        let long = Long([9; 40], Counted(drops));
        ctx.ask(&to, long, LIMIT, move |this, reply, _| {
            this.check();
            assert_eq!((reply.unwrap().0, more), ([9; 40], [7; 32]));
            drop(large);
            gate.open();
        });
    }
}

#[test]
fn shapes_of_all_kinds() {
    let (system, drops) = (system(2), Count::default());
    let new = || Counted(drops.clone());
    let actor = system.spawn(Shaped(new()));
    let mut made = 1;
    for _ in 0..scaled(300, 30) {
        assert_eq!(actor.ask(Nothing).wait(), Ok(Nothing));
        actor.ask(()).wait().unwrap();
        drop(actor.ask(Wide(new())).wait().unwrap());
        drop(actor.ask(Page(new())).wait().unwrap());
        assert_eq!(actor.ask(Long([3; 40], new())).wait().unwrap().0, [3; 40]);
        drop(actor.ask_with(|reply| Pass(Page(new()), reply)).wait().unwrap());
        drop(actor.ask_with(|reply| Pass(Long([4; 40], new()), reply)).wait().unwrap());
        assert_eq!(actor.ask_with(|reply| Pass(Nothing, reply)).wait(), Ok(Nothing));
        // Answers that nobody takes.
        drop(actor.ask(Page(new())));
        drop(actor.ask(Wide(new())));
        drop(actor.ask_with(|reply| Pass(Long([5; 40], new()), reply)));
        assert_eq!(actor.send_all((0..5).map(|_| Wide(new()))).unwrap(), 5);
        assert_eq!(actor.send_all([Nothing; 3]).unwrap(), 3);
        actor.tell(Long([6; 40], new())).unwrap();
        made += 5 + 3 + 5 + 1;
        let gate = Gate::default();
        actor.tell(Chain(actor.clone(), drops.clone(), gate.clone())).unwrap();
        gate.wait();
        made += 3;
    }
    actor.stop();
    // Its state counts its drop, too.
    eventually("an end", || system.counters().live_actors == 0);
    assert!(actor.is_stopped());
    // Refused, and given back as they were.
    assert_eq!(actor.tell(Wide(new())).unwrap_err().into_message().0.0.get(), drops.get());
    assert_eq!(actor.send_all([Nothing; 2]).unwrap_err().into_messages().len(), 2);
    assert_eq!(actor.ask(Page(new())).wait().map(drop), Err(AskError::Stopped));
    made += 2;
    end(&system);
    drop((actor, system));
    drops.reaches(made);
}

/// Talks to an actor when its thread ends.
struct Farewell {
    to: ActorRef<Shaped>,
    drops: Count,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        for _ in 0..100 {
            self.to.tell(Wide(Counted(self.drops.clone()))).unwrap();
        }
        drop(self.to.ask(Long([1; 40], Counted(self.drops.clone()))).wait().unwrap());
        self.to.send_all([Nothing; 100]).unwrap();
    }
}

#[test]
fn threads_that_talk_while_they_end() {
    thread_local! {
        static EARLY: RefCell<Option<Farewell>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<Farewell>> = const { RefCell::new(None) };
    }
    let (system, drops) = (system(2), Count::default());
    let actor = system.spawn(Shaped(Counted(drops.clone())));
    let rounds = scaled(40, 4);
    for _ in 0..rounds {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (to, drops) = (actor.clone(), drops.clone());
                let farewell = move || Some(Farewell { to: to.clone(), drops: drops.clone() });
                thread::spawn(move || {
                    // Before and after the library's own thread-local data.
                    EARLY.with(|early| *early.borrow_mut() = farewell());
                    drop(farewell());
                    LATE.with(|late| *late.borrow_mut() = farewell());
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    end(&system);
    drops.reaches(rounds * 4 * 3 * 101 + 1);
}

#[test]
fn addresses_outlive_their_system() {
    let drops = Count::default();
    let new = || Counted(drops.clone());
    let mut addresses = Vec::new();
    let mut made = 0;
    for _ in 0..scaled(50, 5) {
        let system = system(2);
        let actor = system.spawn(Shaped(new()));
        let keeper = system.spawn(Keeper::default());
        let stillborn = {
            let (system, waiting) = (system.clone(), keeper.ask_with(Keep));
            end(&system);
            assert!(matches!(waiting.wait(), Err(AskError::NoReply | AskError::Stopped)));
            system.spawn(Shaped(new()))
        };
        drop(system);
        made += 2;
        addresses.extend([actor, stillborn]);
        for actor in &addresses {
            assert!(actor.is_stopped());
            drop(actor.tell(Wide(new())).unwrap_err());
            assert_eq!(actor.ask(Page(new())).timeout(Duration::ZERO).wait().map(drop), Err(AskError::Stopped));
            actor.stop();
            actor.drain();
            made += 2;
        }
    }
    drops.reaches(made);
}

/// Holds its own system.
struct Owner {
    system: Option<System>,
    _drops: Counted,
}

impl Actor for Owner {}

struct LetGo(#[allow(dead_code, reason = "its drop is what matters")] Option<System>);

impl Handler<LetGo> for Owner {
    type Reply = ();

    fn handle(&mut self, _: LetGo, _: &mut Context<Self>) {
        self.system = None;
    }
}

#[test]
fn systems_that_end_in_their_own_actors() {
    let drops = Count::default();
    let rounds = scaled(60, 6);
    for round in 0..rounds {
        let system = system(1 + round as usize % 3);
        let owned = Some(system.clone());
        let actor = system.spawn(Owner { system: owned, _drops: Counted(drops.clone()) });
        match round % 3 {
            // Its last handle in a handler, in a message, in its state.
            0 => drop((actor.tell(LetGo(None)), system)),
            1 => {
                actor.ask(LetGo(None)).wait().unwrap();
                actor.tell(LetGo(Some(system))).unwrap();
            }
            _ => {
                drop(system);
                actor.stop();
            }
        }
        drops.reaches(round + 1);
        eventually("a refusal", || actor.is_stopped());
    }
}

/// A message whose drop talks to others.
struct Talker {
    to: Vec<ActorRef<Gossip>>,
    depth: u32,
    made: Count,
    drops: Count,
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.drops.add(1);
        for to in self.to.iter().filter(|_| self.depth > 0).flat_map(|to| [to; 3]) {
            self.made.add(1);
            let (made, drops) = (self.made.clone(), self.drops.clone());
            drop(to.tell(Talker { to: self.to.clone(), depth: self.depth - 1, made, drops }));
        }
    }
}

struct Gossip;

impl Actor for Gossip {}

impl Handler<Talker> for Gossip {
    type Reply = ();

    fn handle(&mut self, mut talker: Talker, ctx: &mut Context<Self>) {
        match talker.depth {
            3 => ctx.stop(),
            2 => ctx.drain(),
            _ => {}
        }
        if talker.to.len() == 3 && talker.depth == 1 {
            talker.depth = 0;
            panic!("meant: gossip");
        }
    }
}

#[test]
fn drops_that_talk_while_actors_end() {
    for round in 0..scaled(200, 20) {
        let (system, made, drops) = (system(1 + round as usize % 3), Count::default(), Count::default());
        let actors: Vec<_> = (0..4).map(|_| system.spawn(Gossip)).collect();
        for (first, actor) in actors.iter().enumerate() {
            let to = actors[..first].to_vec();
            made.add(1);
            drop(actor.tell(Talker { to, depth: 3, made: made.clone(), drops: drops.clone() }));
        }
        end(&system);
        drops.reaches(made.get());
    }
}

/// A row of parents, each with one child.
struct Link(u32, Count, Count);

impl Actor for Link {
    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.0 > 0 {
            ctx.spawn(Link(self.0 - 1, self.1.clone(), self.2.clone()));
        } else {
            self.2.add(1);
        }
    }

    fn stopped(&mut self, _: &StopReason) {
        self.1.add(1);
    }
}

impl Handler<()> for Link {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        ctx.drain();
    }
}

#[test]
fn a_deep_family_ends_without_recursion() {
    let (system, ended, bottom) = (system(2), Count::default(), Count::default());
    let depth = scaled(100_000, 1000);
    let root = system.spawn(Link(depth as u32, ended.clone(), bottom.clone()));
    bottom.reaches(1);
    root.tell(()).unwrap();
    ended.reaches(depth + 1);
    end(&system);
}
