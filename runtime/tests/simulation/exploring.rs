//! `explore` finds planted bugs, the lowest seed first, and shrinks them.

use crate::support::puppet::Puppet;
use crate::support::{Count, Gate, Log, Shared};
use cuelight::{Actor, ActorRef, Context, Explored, Faults, Handler, Policy, ReplyTo, Simulation, Terminated, explore};
use std::time::Duration;

const SEC: Duration = Duration::from_secs(1);

fn found(explored: &Explored, reason: &str) {
    let failure = explored.failure().unwrap_or_else(|| panic!("not found: {explored}"));
    assert!(failure.reason().contains(reason), "{explored}");
    println!("{explored}");
}

// 1. Two actors ask each other, each waiting for the other before it answers.

#[derive(Default)]
struct Polite {
    other: Option<ActorRef<Polite>>,
    waiting: Vec<ReplyTo<u32>>,
    /// It has asked and not been answered.
    asks: bool,
}
struct Introduce(ActorRef<Polite>);
struct Ask(ReplyTo<u32>);
struct Begin(ReplyTo<u32>);

impl Actor for Polite {}

impl Handler<Introduce> for Polite {
    type Reply = ();
    fn handle(&mut self, Introduce(other): Introduce, _: &mut Context<Self>) {
        self.other = Some(other);
    }
}

impl Handler<Begin> for Polite {
    type Reply = ();
    fn handle(&mut self, Begin(reply): Begin, ctx: &mut Context<Self>) {
        self.asks = true;
        let me = ctx.me();
        let other = self.other.clone().unwrap();
        // The answer to the question comes back as a message of its own.
        other.tell(Question(me, reply)).unwrap();
    }
}

struct Question(ActorRef<Polite>, ReplyTo<u32>);
struct Answer(ReplyTo<u32>);

impl Handler<Question> for Polite {
    type Reply = ();
    fn handle(&mut self, Question(from, reply): Question, ctx: &mut Context<Self>) {
        if self.asks {
            // Wrong: it answers only when it has been answered.
            let _ = ctx;
            self.waiting.push(reply);
        } else {
            from.tell(Answer(reply)).unwrap();
        }
    }
}

impl Handler<Answer> for Polite {
    type Reply = ();
    fn handle(&mut self, Answer(reply): Answer, _: &mut Context<Self>) {
        self.asks = false;
        reply.send(1);
        self.waiting.drain(..).for_each(|reply| reply.send(2));
    }
}

impl Handler<Ask> for Polite {
    type Reply = ();
    fn handle(&mut self, Ask(reply): Ask, _: &mut Context<Self>) {
        reply.send(0);
    }
}

#[test]
fn an_ask_cycle() {
    let explored = explore(0..10_000, |sim| {
        let (a, b) = (sim.spawn(Polite::default()), sim.spawn(Polite::default()));
        a.tell(Introduce(b.clone())).unwrap();
        b.tell(Introduce(a.clone())).unwrap();
        sim.run_until_idle().unwrap();
        let (one, other) = (a.ask_with(Begin), b.ask_with(Begin));
        one.wait()?;
        other.wait().map(|_| ())
    });
    found(&explored, "the simulation does no more");
}

// 2. A server that is replaced when it fails forgets whom it owed an answer.

struct Server(Vec<ReplyTo<u32>>);
impl Actor for Server {}
impl Handler<Ask> for Server {
    type Reply = ();
    fn handle(&mut self, Ask(reply): Ask, ctx: &mut Context<Self>) {
        self.0.push(reply);
        let _ = ctx.me().tell(Work);
    }
}
struct Work;
impl Handler<Work> for Server {
    type Reply = ();
    fn handle(&mut self, _: Work, _: &mut Context<Self>) {
        if let Some(reply) = self.0.pop() {
            reply.send(7);
        }
    }
}
struct Supervisor(ActorRef<Server>);
impl Actor for Supervisor {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.watch(&self.0);
    }
}
impl Handler<Terminated> for Supervisor {
    type Reply = ();
    fn handle(&mut self, _: Terminated, ctx: &mut Context<Self>) {
        self.0 = ctx.spawn(Server(Vec::new()));
        ctx.watch(&self.0);
    }
}
impl Handler<Ask> for Supervisor {
    type Reply = ();
    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) {
        let _ = self.0.tell(ask);
    }
}

#[test]
fn a_reply_lost_after_a_replacement() {
    let faults = Faults::none().panics(0.02).spare::<Supervisor>();
    let explored = Simulation::builder().faults(faults).explore(0..10_000, |sim| {
        let server = sim.spawn(Server(Vec::new()));
        let supervisor = sim.spawn(Supervisor(server));
        sim.run_until_idle().unwrap();
        let asks: Vec<_> = (0..3).map(|_| supervisor.ask_with(Ask).timeout(SEC)).collect();
        asks.into_iter().try_for_each(|ask| ask.wait().map(|_| ()))
    });
    found(&explored, "");
    let failure = explored.failure().unwrap();
    assert!(failure.trace().to_string().contains("panics (fault)"), "{explored}");
}

// 3. Two buyers look at a stock, and then take from it.

struct Stock(i32);
impl Actor for Stock {}
struct Left;
struct Take;
impl Handler<Left> for Stock {
    type Reply = i32;
    fn handle(&mut self, _: Left, _: &mut Context<Self>) -> i32 {
        self.0
    }
}
impl Handler<Take> for Stock {
    type Reply = ();
    fn handle(&mut self, _: Take, _: &mut Context<Self>) {
        self.0 -= 1;
    }
}
struct Buyer(ActorRef<Stock>);
impl Actor for Buyer {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.ask(&self.0, Left, SEC, |this, left, _| {
            if left.unwrap() > 0 {
                this.0.tell(Take).unwrap();
            }
        });
    }
}

fn shop(sim: &Simulation) {
    let stock = sim.spawn(Stock(1));
    for _ in 0..2 {
        sim.spawn(Buyer(stock.clone()));
    }
    sim.run_until_idle().unwrap();
    let left = stock.ask(Left).wait().unwrap();
    assert!(left >= 0, "{left} left");
}

#[test]
fn a_check_then_act_race() {
    for policy in [Policy::Random, Policy::Pct { depth: 3, picks: 20 }] {
        let explored = Simulation::builder().policy(policy).explore(0..10_000, shop);
        found(&explored, "-1 left");
        let failure = explored.failure().unwrap();
        assert!(failure.schedule().len() <= 4, "{explored}");
        // The schedule fails by itself, the seed does too.
        let follow = |builder: cuelight::SimulationBuilder| {
            let sim = builder.build().unwrap();
            let stock = sim.spawn(Stock(1));
            (0..2).for_each(|_| drop(sim.spawn(Buyer(stock.clone()))));
            sim.run_until_idle().unwrap();
            stock.ask(Left).wait().unwrap()
        };
        assert_eq!(follow(Simulation::builder().schedule(failure.schedule().clone())), -1);
        assert_eq!(follow(Simulation::builder().policy(policy).seed(failure.seed())), -1);
    }
}

// 4. A protocol of one's own for the end: a worker that has said goodbye is still given work.

struct Desk {
    worker: Option<ActorRef<Puppet>>,
    late: Count,
}
struct Goodbye;
impl Actor for Desk {}
impl Handler<Goodbye> for Desk {
    type Reply = ();
    fn handle(&mut self, _: Goodbye, _: &mut Context<Self>) {
        self.worker.as_ref().unwrap().stop();
    }
}
impl Handler<u64> for Desk {
    type Reply = ();
    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        if self.worker.as_ref().unwrap().tell(n).is_err() {
            self.late.add(1);
        }
    }
}
struct Customer(ActorRef<Desk>, u64);
impl Actor for Customer {
    fn started(&mut self, _: &mut Context<Self>) {
        if self.1 == 0 { self.0.tell(Goodbye).unwrap() } else { self.0.tell(self.1).unwrap() }
    }
}

#[test]
fn a_message_after_the_stop() {
    let explored = explore(0..10_000, |sim| {
        let late = Count::default();
        let worker = sim.spawn(Puppet::new("worker", &Log::default()));
        let desk = sim.spawn(Desk { worker: Some(worker), late: late.clone() });
        (0..3).for_each(|n| drop(sim.spawn(Customer(desk.clone(), n))));
        sim.run_until_idle().unwrap();
        if late.get() == 0 { Ok(()) } else { Err("work for one that had gone") }
    });
    found(&explored, "work for one that had gone");
}

// 5. A timeout that is not taken back fires into the next round.

struct Round {
    number: u32,
    answered: bool,
    slow: ActorRef<Puppet>,
    wrong: Gate,
}
impl Actor for Round {}
struct Next;
impl Handler<Next> for Round {
    type Reply = ();
    fn handle(&mut self, _: Next, ctx: &mut Context<Self>) {
        self.number += 1;
        self.answered = false;
        let mine = self.number;
        ctx.ask(&self.slow.clone(), 1_u64, SEC / 100, move |this, result, _| {
            if result.is_err() && this.number != mine && !this.answered {
                // Wrong: the timeout of an earlier round ends this one.
                this.wrong.open();
            }
            this.answered = true;
        });
    }
}

#[test]
fn a_timer_that_outlives_its_purpose() {
    let faults = Faults::none().slow(0.2, SEC / 50);
    let explored = Simulation::builder().faults(faults).explore(0..10_000, |sim| {
        let wrong = Gate::default();
        let slow = sim.spawn(Puppet::new("slow", &Log::default()));
        let round = sim.spawn(Round { number: 0, answered: true, slow, wrong: wrong.clone() });
        for _ in 0..5 {
            round.tell(Next).unwrap();
            sim.run_for(SEC / 150).unwrap();
        }
        assert!(!wrong.is_open(), "an old timeout");
    });
    found(&explored, "an old timeout");
}

#[test]
fn the_lowest_seed_is_reported() {
    let explored = explore(0..1000, |sim| assert!(sim.seed() < 37, "too high"));
    assert_eq!(explored.failure().unwrap().seed(), 37);
    assert!((38..=48).contains(&explored.seeds()), "{explored}");
    let report = explored.to_string();
    assert!(report.contains("seed 37 fails (signature "), "{report}");
    assert!(report.contains("): too high\n"), "{report}");
    let line = "CUELIGHT_SEED=37 cargo test exploring::the_lowest_seed_is_reported\n";
    assert!(report.contains(&format!("to repeat it: {line}")), "{report}");
    assert!(report.contains("shrunk from 0 choices to 0: schedule \"\""), "{report}");
}

#[test]
fn what_holds_is_said_to_hold() {
    let seeds = Shared::new(Vec::new());
    let explored = explore(5..25, |sim| seeds.with(|all| all.push(sim.seed())));
    explored.check();
    let mut seeds = seeds.get();
    seeds.sort_unstable();
    assert_eq!(seeds, (5..25).collect::<Vec<_>>());
    assert_eq!(explored.seeds(), 20);
    assert!(explored.seeds_per_second() > 0.0);
    assert!(explored.to_string().ends_with(": none fails"), "{explored}");
    let nothing = explore(0..0, |_| ());
    assert_eq!((nothing.seeds(), nothing.failure().is_none()), (0, true));
}

#[test]
#[should_panic(expected = "seed 3 fails")]
fn a_check_panics_with_the_report() {
    explore(3..4, |_| Err("always")).check();
}

#[test]
fn a_seed_from_the_environment_is_the_only_one() {
    const CHILD: &str = "CUELIGHT_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let explored = explore(0..10, |sim| assert_eq!(sim.seed(), 12));
        explored.check();
        assert_eq!(explored.seeds(), 1);
        return;
    }
    let refused = |seed| format!("CUELIGHT_SEED is {seed:?}: a number from 0 to 18446744073709551614 is allowed");
    for (seed, says) in [("12", None), ("-1", Some(refused("-1"))), ("2^64", Some(refused("2^64")))] {
        let child = std::process::Command::new(std::env::current_exe().expect("a path"))
            .args(["exploring::a_seed_from_the_environment_is_the_only_one", "--exact", "--nocapture"])
            .envs([("CUELIGHT_SEED", seed), (CHILD, "1")])
            .output()
            .expect("a process");
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.success(), says.is_none(), "{said}");
        assert!(says.is_none_or(|says| said.contains(&says)), "{said}");
    }
}
