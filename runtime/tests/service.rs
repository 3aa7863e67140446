//! What a service leans on while it runs: timers on quiet workers, work behind handlers that block, letters about letters.

mod support;

use cuelight::{Actor, ActorRef, AskError, Context, DeadLetter, Handler, Recipient, ShutdownError, System};
use std::cell::RefCell;
use std::time::Duration;
use support::channel::{Receiver, Sender, channel};
use support::stage::{Engine, contract, parallel_contract};
use support::{Count, Counted, LIMIT, Shared, eventually, scaled};

contract! {
    a_continuation_times_out_on_a_quiet_worker,
    letters_that_are_passed_on_and_lost_leave_the_counters_alone,
    letters_whose_payload_panics_take_no_worker_along,
    an_actor_that_drains_delegates_what_is_queued,
    a_system_in_its_workers_own_data_is_not_waited_for,
}

parallel_contract! {
    busy_workers_relieve_a_blocked_one,
    a_crowd_keeps_its_books_wherever_it_is_moved,
}

fn system(workers: usize) -> System {
    System::builder().workers(workers).build().expect("a system starts")
}

fn ends(system: &System) {
    system.shutdown(LIMIT).expect("a shutdown completes");
    let counters = system.counters();
    assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
}

/// Holds its worker until the other end says something or goes.
struct Holder;

impl Actor for Holder {}

impl Handler<Receiver<()>> for Holder {
    type Reply = ();

    fn handle(&mut self, held: Receiver<()>, _: &mut Context<Self>) {
        let _ = held.recv_timeout(LIMIT);
    }
}

/// Asks, and passes on what comes of it.
struct Asker(ActorRef<Holder>, Sender<AskError>);

impl Actor for Asker {}

impl Handler<Receiver<()>> for Asker {
    type Reply = ();

    fn handle(&mut self, question: Receiver<()>, ctx: &mut Context<Self>) {
        ctx.ask(&self.0, question, Duration::from_millis(2), |this, result, _| {
            this.1.send(result.expect_err("nobody answers in time")).expect("the test listens");
        });
    }
}

/// A worker without work fires the timer, which makes work for that very worker.
fn a_continuation_times_out_on_a_quiet_worker(on: Engine) {
    let workers = on.workers();
    let (elsewhere, here) = (system(1), system(workers));
    let (answers, heard) = channel();
    let asker = here.spawn(Asker(elsewhere.spawn(Holder), answers));
    for _ in 0..20 {
        let (release, held) = channel();
        asker.tell(held).expect("running");
        assert_eq!(heard.recv_timeout(LIMIT), Ok(AskError::Timeout), "{workers} workers");
        drop(release);
    }
    ends(&here);
    ends(&elsewhere);
}

/// Always has something to do.
struct Busy(Count);

impl Actor for Busy {}

impl Handler<()> for Busy {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        self.0.add(1);
        let _ = ctx.me().tell(());
    }
}

/// Wakes its friend, and waits until that one has run.
struct Blocked(ActorRef<Friend>);

impl Actor for Blocked {}

impl Handler<Sender<bool>> for Blocked {
    type Reply = ();

    fn handle(&mut self, done: Sender<bool>, _: &mut Context<Self>) {
        let (free, freed) = channel();
        self.0.tell(free).expect("running");
        done.send(freed.recv_timeout(LIMIT).is_ok()).expect("the test listens");
    }
}

struct Friend;

impl Actor for Friend {}

impl Handler<Sender<()>> for Friend {
    type Reply = ();

    fn handle(&mut self, free: Sender<()>, _: &mut Context<Self>) {
        free.send(()).expect("it waits");
    }
}

/// Workers that are never idle, too, take what waits behind a handler that does not return.
fn busy_workers_relieve_a_blocked_one(on: Engine) {
    let workers = on.workers();
    let system = system(workers);
    let turns = Count::default();
    let busy: Vec<_> = (0..3 * workers).map(|_| system.spawn(Busy(turns.clone()))).collect();
    busy.iter().for_each(|busy| busy.tell(()).expect("running"));
    let (done, heard) = channel();
    for _ in 0..5 {
        let before = turns.get();
        eventually("the busy ones are", || turns.get() > before + 100);
        system.spawn(Blocked(system.spawn(Friend))).tell(done.clone()).expect("running");
        assert_eq!(heard.recv_timeout(2 * LIMIT), Ok(true), "{workers} workers");
    }
    ends(&system);
}

/// Hands on what it hears of.
struct Clerk(Recipient<DeadLetter>, Count);

impl Actor for Clerk {}

impl Handler<DeadLetter> for Clerk {
    type Reply = ();

    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        let _ = self.0.tell(letter);
        self.1.add(1);
    }
}

/// Waits, and stops: what came meanwhile is lost.
struct Grave;

impl Actor for Grave {}

impl Handler<Receiver<()>> for Grave {
    type Reply = ();

    fn handle(&mut self, until: Receiver<()>, ctx: &mut Context<Self>) {
        let _ = until.recv_timeout(LIMIT);
        ctx.stop();
    }
}

impl<T: Send + 'static> Handler<Tomb<T>> for Grave {
    type Reply = ();

    fn handle(&mut self, _: Tomb<T>, _: &mut Context<Self>) {}
}

impl Handler<DeadLetter> for Grave {
    type Reply = ();

    fn handle(&mut self, _: DeadLetter, _: &mut Context<Self>) {}
}

struct Tomb<T>(#[allow(dead_code, reason = "its drop is what matters")] T);

fn letters_that_are_passed_on_and_lost_leave_the_counters_alone(on: Engine) {
    const LETTERS: u64 = 10;
    let workers = on.workers();
    // One for the grave that waits: it has a system of its own, so that one worker is enough.
    let (elsewhere, system) = (system(1), system(workers));
    let (dig, dug) = channel();
    let grave = elsewhere.spawn(Grave);
    grave.tell(dug).expect("running");
    let heard = Count::default();
    system.dead_letters(system.spawn(Clerk(grave.recipient(), heard.clone())));
    let (stop, stopped) = channel();
    let first = system.spawn(Grave);
    first.tell(stopped).expect("running");
    for n in 0..LETTERS {
        first.tell(Tomb(n)).expect("running");
    }
    stop.send(()).expect("it waits");
    heard.reaches(LETTERS);
    dig.send(()).expect("it waits");
    eventually("the grave closes", || elsewhere.counters().live_actors == 0);
    let counters = system.counters();
    assert_eq!((counters.handled, counters.dead_lettered), (1, LETTERS), "{counters}");
    ends(&system);
    let counters = elsewhere.counters();
    assert!((1..=1 + LETTERS).contains(&counters.handled), "{counters}");
    ends(&elsewhere);
}

/// Its drop panics, unless it was told not to.
struct Bomb {
    #[allow(dead_code, reason = "its drop is what matters")]
    drop: Counted,
    defused: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(self.defused, "a payload's drop");
    }
}

/// Stops on its first letter; the others are lost in turn, payload and all.
struct Squeamish(Receiver<()>);

impl Actor for Squeamish {}

impl Handler<DeadLetter> for Squeamish {
    type Reply = ();

    fn handle(&mut self, mut letter: DeadLetter, ctx: &mut Context<Self>) {
        let _ = self.0.recv_timeout(LIMIT);
        if let Some(Tomb(bomb)) = letter.payload.as_mut().and_then(|payload| payload.downcast_mut::<Tomb<Bomb>>()) {
            bomb.defused = true;
        }
        ctx.stop();
    }
}

fn letters_whose_payload_panics_take_no_worker_along(on: Engine) {
    const LETTERS: u64 = 10;
    let workers = on.workers();
    let (elsewhere, system) = (system(1), system(workers));
    let (go, wait) = channel();
    elsewhere.dead_letters(system.spawn(Squeamish(wait)));
    let drops = Count::default();
    let (stop, stopped) = channel();
    let grave = elsewhere.spawn(Grave);
    grave.tell(stopped).expect("running");
    for _ in 0..LETTERS {
        grave.tell(Tomb(Bomb { drop: Counted(drops.clone()), defused: false })).expect("running");
    }
    stop.send(()).expect("it waits");
    eventually("all is lost", || elsewhere.counters().dead_lettered == LETTERS);
    go.send(()).expect("it waits");
    drops.reaches(LETTERS);
    ends(&system);
    ends(&elsewhere);
}

/// Hands each job to a child of its own.
struct Foreman(Count);

impl Actor for Foreman {}

impl Handler<Receiver<()>> for Foreman {
    type Reply = ();

    fn handle(&mut self, until: Receiver<()>, _: &mut Context<Self>) {
        let _ = until.recv_timeout(LIMIT);
    }
}

impl Handler<u64> for Foreman {
    type Reply = ();

    fn handle(&mut self, job: u64, ctx: &mut Context<Self>) {
        let hand = ctx.spawn(Hand(self.0.clone()));
        hand.tell(job).expect("a child of an actor that drains works");
    }
}

struct Hand(Count);

impl Actor for Hand {}

impl Handler<u64> for Hand {
    type Reply = ();

    fn handle(&mut self, _: u64, ctx: &mut Context<Self>) {
        self.0.add(1);
        ctx.drain();
    }
}

fn an_actor_that_drains_delegates_what_is_queued(on: Engine) {
    const JOBS: u64 = 100;
    let workers = on.workers();
    let system = system(workers);
    let done = Count::default();
    let foreman = system.spawn(Foreman(done.clone()));
    let (go, wait) = channel();
    foreman.tell(wait).expect("running");
    foreman.send_all(0..JOBS).expect("running");
    foreman.drain();
    go.send(()).expect("it waits");
    eventually("all have ended", || system.counters().live_actors == 0);
    assert_eq!(done.get(), JOBS);
    let counters = system.counters();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 0), "{counters}");
    ends(&system);
}

/// Shuts its system down when it goes.
struct Last(System, Sender<Result<(), ShutdownError>>);

impl Drop for Last {
    fn drop(&mut self) {
        self.1.send(self.0.shutdown(LIMIT)).expect("the test listens");
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

struct Hoarder(Receiver<()>);

impl Actor for Hoarder {}

impl Handler<Last> for Hoarder {
    type Reply = ();

    fn handle(&mut self, last: Last, _: &mut Context<Self>) {
        LAST.with(|kept| *kept.borrow_mut() = Some(last));
        let _ = self.0.recv_timeout(LIMIT);
    }
}

/// The thread's destructors run when the worker's life is over, and before the thread's: to wait there is to wait for
/// oneself.
fn a_system_in_its_workers_own_data_is_not_waited_for(on: Engine) {
    let system = system(on.workers());
    let (go, wait) = channel();
    let (gone, heard) = channel();
    system.spawn(Hoarder(wait)).tell(Last(system.clone(), gone)).expect("running");
    eventually("the handler runs", || system.counters().handled == 1);
    let early = system.shutdown(Duration::ZERO).expect_err("a handler holds on");
    assert!(matches!(early, ShutdownError::Timeout { .. }), "{early}");
    go.send(()).expect("it waits");
    assert_eq!(heard.recv_timeout(LIMIT), Ok(Err(ShutdownError::WouldDeadlock)));
    ends(&system);
}

/// One of many who all talk to each other: whoever steals them hands them back sooner or later.
struct Gossip {
    all: Shared<Vec<ActorRef<Gossip>>>,
    seed: u64,
    left: u64,
    heard: Count,
}

impl Actor for Gossip {}

enum Talk {
    Ping(ActorRef<Gossip>),
    Pong,
}

impl Handler<Talk> for Gossip {
    type Reply = ();

    fn handle(&mut self, talk: Talk, ctx: &mut Context<Self>) {
        self.heard.add(1);
        match talk {
            Talk::Ping(from) => from.tell(Talk::Pong).expect("it lives"),
            Talk::Pong if self.left > 0 => {
                self.left -= 1;
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let to = self.all.with(|all| all[(self.seed >> 33) as usize % all.len()].clone());
                to.tell(Talk::Ping(ctx.me())).expect("it lives");
            }
            Talk::Pong => {}
        }
    }
}

fn a_crowd_keeps_its_books_wherever_it_is_moved(on: Engine) {
    let system = system(on.workers());
    let (all, heard) = (Shared::new(Vec::new()), Count::default());
    let rounds = scaled(2000, 50);
    for seed in 0..200 {
        let gossip = system.spawn(Gossip { all: all.clone(), seed, left: rounds, heard: heard.clone() });
        all.with(|all| all.push(gossip));
    }
    for gossip in all.get() {
        gossip.tell(Talk::Pong).expect("it lives");
    }
    let total = 200 * (2 * rounds + 1);
    heard.reaches(total);
    let counters = system.counters();
    assert_eq!((counters.sent, counters.handled), (total, total));
    assert_eq!(counters.workers.iter().map(|worker| worker.messages).sum::<u64>(), total, "{counters}");
    all.with(Vec::clear);
    ends(&system);
}
