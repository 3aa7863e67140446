//! Steps, time, waiting, limits, and the end.

use crate::support::puppet::{Keep, Puppet, Token, run};
use crate::support::{Count, Log, block_on, quiet_panics};
use cuelight::{
    Actor, ActorRef, Ask, AskError, Context, Handler, RunError, ShutdownError, Simulation, System, TellError,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn stage() -> (Simulation, Log) {
    quiet_panics();
    (System::simulation(3), Log::default())
}

fn puppet(sim: &Simulation, name: &'static str, log: &Log) -> ActorRef<Puppet> {
    sim.spawn(Puppet::new(name, log))
}

#[test]
fn a_step_handles_one_message() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    a.send_all(0..5_u64).unwrap();
    assert!(sim.step().unwrap());
    assert_eq!(log.lines(), ["a starts"]);
    for n in 0..5 {
        assert_eq!(log.lines().len(), n + 1);
        assert!(sim.step().unwrap());
    }
    assert_eq!(log.lines().len(), 6);
    assert!(!sim.step().unwrap());
    assert!(!sim.step().unwrap());
}

#[test]
fn a_lone_message_is_a_step() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    sim.run_until_idle().unwrap();
    a.tell(1).unwrap();
    assert!(sim.step().unwrap());
    assert!(!sim.step().unwrap());
    assert_eq!(log.lines(), ["a starts", "a gets 1"]);
}

#[test]
fn a_message_to_itself_is_another_step() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    sim.run_until_idle().unwrap();
    let part = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.me().tell(1).unwrap();
        this.says("tells itself");
    };
    a.tell(run(part)).unwrap();
    assert!(sim.step().unwrap());
    assert_eq!(log.lines(), ["a starts", "a tells itself"]);
    sim.run_until_idle().unwrap();
    assert_eq!(log.lines(), ["a starts", "a tells itself", "a gets 1"]);
}

#[test]
fn nothing_runs_by_itself() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    let answer = a.ask(1_u64);
    a.stop();
    assert!(log.lines().is_empty());
    assert_eq!(sim.counters().live_actors, 1);
    sim.run_until_idle().unwrap();
    assert_eq!(answer.wait(), Err(AskError::Stopped));
    assert_eq!(log.lines(), ["a starts", "a stops: stopped", "a drops"]);
}

#[test]
fn waiting_drives_as_far_as_needed() {
    let (sim, log) = stage();
    let (a, b) = (puppet(&sim, "a", &log), puppet(&sim, "b", &log));
    b.send_all(0..1000_u64).unwrap();
    assert_eq!(a.ask(4_u64).wait(), Ok(8));
    assert!(sim.counters().in_flight() > 0, "{}", sim.counters());
    assert!(sim.now().is_zero());
}

#[test]
fn a_wait_that_nobody_answers_ends() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    assert_eq!(a.ask_with(Keep).wait(), Err(AskError::Stalled));
    let begin = Instant::now();
    assert_eq!(a.ask_with(Keep).timeout(Duration::from_secs(3600)).wait(), Err(AskError::Timeout));
    assert_eq!(sim.now(), Duration::from_secs(3600));
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(a.ask_with(Keep).timeout(Duration::ZERO).wait(), Err(AskError::Timeout));
    assert_eq!(a.ask_with(Keep).timeout(Duration::MAX).wait(), Err(AskError::Stalled));
    a.ask(run(|this, _| this.replies.clear())).wait().unwrap();
}

/// Writes its name when it is woken.
struct Bell(&'static str, Log);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.line(self.0);
    }
}

/// Polls once, with a bell.
fn poll<R: Send + 'static>(ask: &mut Ask<R>, name: &'static str, log: &Log) -> Poll<Result<R, AskError>> {
    let waker = Waker::from(Arc::new(Bell(name, log.clone())));
    Pin::new(ask).poll(&mut TaskContext::from_waker(&waker))
}

#[test]
fn timers_fire_in_their_order() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    let bells = Log::default();
    let mut asks: Vec<_> = [30, 10, 20, 10].map(|time| a.ask_with(Keep).timeout(time * MS)).into_iter().collect();
    for (ask, name) in asks.iter_mut().zip(["30", "10", "20", "10 again"]) {
        assert!(poll(ask, name, &bells).is_pending());
    }
    sim.run_until_idle().unwrap();
    assert_eq!((sim.now(), bells.lines().len()), (Duration::ZERO, 0));
    sim.run_for(10 * MS - Duration::from_nanos(1)).unwrap();
    assert!(bells.lines().is_empty());
    sim.advance(Duration::from_nanos(1)).unwrap();
    assert_eq!(bells.lines(), ["10", "10 again"]);
    sim.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(bells.lines(), ["10", "10 again", "20", "30"]);
    assert_eq!(sim.now(), Duration::from_millis(1010));
    for ask in &mut asks {
        assert_eq!(poll(ask, "late", &bells), Poll::Ready(Err(AskError::Timeout)));
    }
}

#[test]
fn a_day_takes_no_time() {
    let (sim, log) = stage();
    let mute = puppet(&sim, "mute", &log);
    let begin = Instant::now();
    let bells = Log::default();
    for minute in 1..=24 * 60 {
        let mut ask = mute.ask_with(Keep).timeout(Duration::from_secs(60));
        assert!(poll(&mut ask, "minute", &bells).is_pending());
        sim.run_until(|| bells.lines().len() == minute, Duration::from_secs(61)).unwrap();
    }
    assert_eq!(sim.now(), Duration::from_secs(24 * 3600));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn run_until_asks_before_every_step() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    a.send_all(0..10_u64).unwrap();
    sim.run_until(|| log.lines().len() == 4, MS).unwrap();
    assert_eq!(log.lines().len(), 4);
    let error = sim.run_until(|| false, 5 * MS).unwrap_err();
    assert_eq!(error, RunError::TimeLimit { limit: 5 * MS });
    assert_eq!(error.to_string(), "the condition did not come true within 5ms");
    assert_eq!((sim.now(), log.lines().len()), (5 * MS, 11));
    assert!(sim.run_until(|| sim.now() >= 5 * MS, Duration::ZERO).is_ok());
    assert!(sim.run_until(|| false, Duration::MAX).is_err(), "nothing will ever happen");
}

#[test]
fn what_never_rests_is_stopped() {
    quiet_panics();
    let sim = Simulation::builder().step_limit(50_000).build().unwrap();
    let log = Log::default();
    let (hot, cool) = (sim.spawn(Loop), puppet(&sim, "cool", &log));
    hot.tell(()).unwrap();
    let error = sim.run_until_idle().unwrap_err();
    let RunError::StepLimit { limit: 50_000, hottest } = &error else { panic!("{error}") };
    assert_eq!((hottest[0].actor, hottest.len()), (hot.id().get(), 1));
    assert!(hottest[0].messages > 20_000, "{error}");
    assert!(error.to_string().contains("Loop (#"), "{error}");
    // It goes on where it stopped.
    assert!(matches!(cool.ask(1_u64).wait(), Ok(2)));
    assert!(matches!(cool.ask_with(Keep).wait(), Err(AskError::Stalled)));
    hot.stop();
    sim.run_until_idle().unwrap();
    assert!(Simulation::builder().step_limit(0).build().unwrap_err().to_string().contains("zero steps"));
}

struct Loop;
impl Actor for Loop {}
impl Handler<()> for Loop {
    type Reply = ();
    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        let _ = ctx.me().tell(());
    }
}

#[test]
fn handlers_do_not_drive() {
    let (sim, log) = stage();
    let (a, b) = (puppet(&sim, "a", &log), puppet(&sim, "b", &log));
    let system = (*sim).clone();
    let waited = a.ask(run(move |this, ctx| {
        this.says(format_args!("waits: {:?}", b.ask(1_u64).wait()));
        this.says(format_args!("waits: {:?}", ctx.me().ask(1_u64).wait()));
        this.says(format_args!("ends: {:?}", system.shutdown(Duration::ZERO)));
        // Another simulation inside a handler is its own.
        let inner = System::simulation(1);
        let c = inner.spawn(Puppet::new("c", &this.log));
        this.says(format_args!("inner: {:?}", c.ask(1_u64).wait()));
        let asked = c.ask(1_u64);
        inner.run_until_idle().unwrap();
        this.says(format_args!("inner: {:?}", block_on(asked)));
    }));
    assert_eq!(waited.wait(), Ok(()));
    let wanted = [
        "waits: Err(WouldDeadlock)",
        "waits: Err(WouldDeadlock)",
        "ends: Err(WouldDeadlock)",
        "inner: Err(WouldDeadlock)",
        "inner: Ok(2)",
    ];
    assert_eq!(log.of("a")[1..6], wanted);
    sim.shutdown(Duration::ZERO).unwrap();
}

#[test]
fn shutdown_runs_everything_to_its_end() {
    let (sim, log) = stage();
    let drops = Count::default();
    let a = puppet(&sim, "a", &log);
    a.tell(run(|this, ctx| {
        let child = ctx.spawn(this.other("child"));
        child.tell(run(|this, ctx| drop(ctx.spawn(this.other("grandchild"))))).unwrap();
    }))
    .unwrap();
    sim.run_until_idle().unwrap();
    a.send_all((0..1000).map(|n| Token::new(n, &drops))).unwrap();
    let pending = a.ask(1_u64);
    sim.shutdown(Duration::ZERO).unwrap();
    let (counters, order) = (sim.counters(), log.lines());
    assert_eq!((counters.in_flight(), counters.live_actors, drops.get()), (0, 0, 1000), "{counters}");
    assert_eq!(
        order[3..],
        [
            "grandchild stops: system shut down",
            "grandchild drops",
            "child stops: system shut down",
            "child drops",
            "a stops: system shut down",
            "a drops"
        ]
    );
    assert_eq!(pending.wait(), Err(AskError::Stopped));
    assert_eq!(a.tell(1_u64), Err(TellError::Stopped(1)));
    assert!(sim.spawn(Loop).is_stopped());
    sim.shutdown(Duration::ZERO).unwrap();
    assert!(!sim.step().unwrap());
}

#[test]
fn a_drop_leaves_nothing_behind() {
    quiet_panics();
    let (log, drops) = (Log::default(), Count::default());
    let (a, system, pending) = {
        let sim = System::simulation(9);
        let a = puppet(&sim, "a", &log);
        a.send_all((0..100).map(|n| Token::new(n, &drops))).unwrap();
        let pending = a.ask(1_u64);
        sim.step().unwrap();
        (a, (*sim).clone(), pending)
    };
    assert_eq!(
        (drops.get(), log.of("a")),
        (100, ["starts", "stops: system shut down", "drops"].map(String::from).to_vec())
    );
    // Handles outlive it.
    assert_eq!(system.counters().in_flight(), 0);
    assert_eq!(a.tell(1_u64), Err(TellError::Stopped(1)));
    assert_eq!(pending.wait(), Err(AskError::Stopped));
    assert_eq!(system.shutdown(Duration::ZERO), Ok::<(), ShutdownError>(()));
}

#[test]
fn futures_are_driven_by_steps() {
    let (sim, log) = stage();
    let a = puppet(&sim, "a", &log);
    let mut ask = a.ask(21_u64);
    assert!(poll(&mut ask, "ring", &log).is_pending());
    sim.run_until_idle().unwrap();
    assert_eq!(log.lines(), ["a starts", "a gets 21", "ring"]);
    assert_eq!(block_on(ask), Ok(42));
}

#[test]
fn two_on_a_thread_do_not_meet() {
    let (one, log) = stage();
    let other = System::simulation(4);
    let (a, b) = (puppet(&one, "a", &log), other.spawn(Puppet::new("b", &log)));
    let to = b.clone();
    a.tell(run(move |_, _| to.tell(7).unwrap())).unwrap();
    one.run_until_idle().unwrap();
    assert_eq!(log.lines(), ["a starts"]);
    other.run_until_idle().unwrap();
    assert_eq!(log.lines(), ["a starts", "b starts", "b gets 7"]);
    drop(one);
    assert_eq!(b.ask(1_u64).wait(), Ok(2));
    assert_eq!((other.counters().sent, other.counters().handled), (2, 2));
}
