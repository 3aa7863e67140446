//! Faults: each happens, can be repeated, and breaks no promise.

use crate::support::puppet::{Puppet, run};
use crate::support::{Log, Shared, quiet_panics};
use crate::town::{Citizen, populate};
use cuelight::{
    Actor, ActorRef, AskError, Context, DeadLetter, DeadLetterReason, Faults, Handler, Happened, Mailbox, Overflow,
    Simulation, StopReason, TellError, Terminated,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn sim(seed: u64, faults: Faults) -> Simulation {
    quiet_panics();
    Simulation::builder().seed(seed).faults(faults).trace(true).build().unwrap()
}

fn all() -> Faults {
    Faults::none().panics(0.01).stops(0.01).delays(0.1, 5 * MS).reorders(0.2).losses(0.05).slow(0.1, 3 * MS)
}

/// How often each fault has happened.
fn happened(sim: &Simulation) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for event in sim.trace().events() {
        let name = format!("{:?}", event.what);
        *found.entry(name.split('(').next().unwrap().to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn every_fault_happens_and_the_books_are_right() {
    let mut names = BTreeSet::new();
    for seed in 0..50 {
        let sim = sim(seed, all());
        populate(&sim, 20, 60);
        sim.run_until_idle().unwrap();
        names.extend(happened(&sim).into_keys());
        sim.shutdown(Duration::ZERO).unwrap();
        let counters = sim.counters();
        assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
        assert_eq!(counters.sent, counters.handled + counters.returned + counters.dead_lettered, "{counters}");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(names, ["Delayed", "Ended", "Handled", "Lost", "Overtaken", "Panicked", "Slowed", "Stopped"]);
}

#[test]
fn runs_with_faults_repeat() {
    let run = |seed| {
        let sim = sim(seed, all());
        populate(&sim, 20, 60);
        sim.run_for(Duration::from_secs(1)).unwrap();
        (sim.signature(), sim.counters(), sim.trace(), sim.schedule())
    };
    let mut signatures = BTreeSet::new();
    for seed in 0..20 {
        let (first, again) = (run(seed), run(seed));
        assert_eq!((first.0, &first.1, &first.3), (again.0, &again.1, &again.3));
        assert_eq!(first.2, again.2);
        signatures.insert(first.0);
        // What was recorded, followed.
        let followed = Simulation::builder().faults(all()).schedule(first.3).build().unwrap();
        populate(&followed, 20, 60);
        followed.run_for(Duration::from_secs(1)).unwrap();
        assert_eq!(followed.signature(), first.0);
    }
    assert_eq!(signatures.len(), 20);
}

/// Notes who sent what.
struct Sink(Shared<Vec<(usize, u64)>>);
impl Actor for Sink {}
impl Handler<(usize, u64)> for Sink {
    type Reply = ();
    fn handle(&mut self, message: (usize, u64), _: &mut Context<Self>) {
        self.0.with(|got| got.push(message));
    }
}

struct Source(usize, ActorRef<Sink>);
impl Actor for Source {}
impl Handler<u64> for Source {
    type Reply = ();
    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        match n % 4 {
            0 => drop(self.1.send_all([(self.0, 3 * n), (self.0, 3 * n + 1), (self.0, 3 * n + 2)])),
            1 => (0..3).for_each(|part| self.1.tell((self.0, 3 * n + part)).unwrap()),
            2 => (0..3).for_each(|part| ctx.ask(&self.1, (self.0, 3 * n + part), 60_000 * MS, |_, _, _| ())),
            _ => {
                drop(self.1.ask((self.0, 3 * n)));
                (1..3).for_each(|part| self.1.tell((self.0, 3 * n + part)).unwrap());
            }
        }
        ctx.publish();
    }
}

#[test]
fn pairs_stay_in_order() {
    let mut overtakings = 0;
    for seed in 0..100 {
        let sim = sim(seed, Faults::none().delays(0.2, 5 * MS).reorders(0.4).slow(0.1, MS));
        let got = Shared::default();
        let sink = sim.spawn(Sink(got.clone()));
        let sources: Vec<_> = (0..4).map(|name| sim.spawn(Source(name, sink.clone()))).collect();
        for n in 0..20 {
            sources.iter().for_each(|source| source.tell(n).unwrap());
        }
        sim.run_until_idle().unwrap();
        let got = got.get();
        for name in 0..4 {
            let from: Vec<u64> = got.iter().filter(|(who, _)| *who == name).map(|&(_, n)| n).collect();
            assert_eq!(from, (0..60).collect::<Vec<_>>(), "seed {seed}");
        }
        overtakings += got.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    }
    assert!(overtakings > 1000, "{overtakings}");
}

#[test]
fn notices_come_once_and_last() {
    for seed in 0..200 {
        let sim =
            sim(seed, Faults::none().delays(0.3, 5 * MS).reorders(0.3).losses(0.3).stops(0.02).spare::<Watcher>());
        let heard = Shared::default();
        let watcher = sim.spawn(Watcher(heard.clone()));
        sim.run_until_idle().unwrap();
        for name in 0..10 {
            watcher.ask(Child(name)).wait().unwrap();
        }
        sim.run_until_idle().unwrap();
        let heard: Vec<Heard> = heard.get();
        let ends: Vec<u64> =
            heard.iter().filter_map(|h| if let Heard::End(id) = h { Some(*id) } else { None }).collect();
        assert_eq!(ends.iter().collect::<BTreeSet<_>>().len(), ends.len(), "seed {seed}");
        assert_eq!(ends.len(), 10, "seed {seed}: {heard:?}");
        for id in ends {
            let end = heard.iter().position(|h| *h == Heard::End(id)).unwrap();
            assert!(!heard[end..].contains(&Heard::Word(id)), "seed {seed}: {heard:?}");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Word(u64),
    End(u64),
}

struct Watcher(Shared<Vec<Heard>>);
impl Actor for Watcher {}
struct Child(#[allow(dead_code)] u64);
struct Speaker(ActorRef<Watcher>);

impl Actor for Speaker {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let me = ctx.me().id().get();
        (0..3).for_each(|_| self.0.tell(Heard::Word(me)).unwrap());
        ctx.stop();
    }
}

impl Handler<Child> for Watcher {
    type Reply = ();
    fn handle(&mut self, _: Child, ctx: &mut Context<Self>) {
        let me = ctx.me();
        let child = ctx.spawn(Speaker(me));
        ctx.watch(&child);
    }
}

impl Handler<Heard> for Watcher {
    type Reply = ();
    fn handle(&mut self, word: Heard, _: &mut Context<Self>) {
        self.0.with(|heard| heard.push(word));
    }
}

impl Handler<Terminated> for Watcher {
    type Reply = ();
    fn handle(&mut self, ended: Terminated, _: &mut Context<Self>) {
        self.0.with(|heard| heard.push(Heard::End(ended.id.get())));
    }
}

/// Writes down the reasons of dead letters.
struct Clerk(Shared<Vec<(DeadLetterReason, bool)>>);
impl Actor for Clerk {}
impl Handler<DeadLetter> for Clerk {
    type Reply = ();
    fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
        self.0.with(|letters| letters.push((letter.reason, letter.payload.is_some())));
    }
}

#[test]
fn what_is_lost_is_a_dead_letter() {
    let sim = sim(1, Faults::none().losses(0.5));
    let letters = Shared::default();
    let clerk = sim.spawn(Clerk(letters.clone()));
    sim.dead_letters(clerk.recipient());
    let (log, count) = (Log::default(), 200);
    let a = sim.spawn(Puppet::new("a", &log));
    (0..count).for_each(|n| a.tell(n).unwrap());
    // Whoever waits has a right to an outcome.
    assert!((0..50).all(|n| a.ask(n).wait() == Ok(2 * n)));
    sim.run_until_idle().unwrap();
    let (lost, counters) = (letters.get(), sim.counters());
    assert!(lost.iter().all(|letter| *letter == (DeadLetterReason::Lost, true)));
    assert_eq!(lost.len() as u64, counters.dead_lettered);
    assert_eq!(counters.dead_lettered + counters.handled, count + 50, "{counters}");
    assert!((50..150).contains(&counters.dead_lettered), "{counters}");
}

#[test]
fn a_full_mailbox_is_one_though_there_is_room() {
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest] {
        let run = |seed| {
            let sim = sim(seed, Faults::none().full(0.3));
            let seen = Shared::new(Vec::new());
            let mine = seen.clone();
            let bound = Mailbox::bounded(1000, overflow);
            let sink = sim.actor(move || Sink(mine.clone())).mailbox(bound).spawn().unwrap();
            let mut back = 0;
            for n in 0..100 {
                match sink.tell((0, n)) {
                    Ok(()) => {}
                    Err(TellError::Full(message)) => {
                        assert_eq!(message, (0, n));
                        back += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            match sink.send_all((100..110).map(|n| (0, n))) {
                Ok(taken) => assert_eq!(taken, 10),
                Err(error) => back += error.into_messages().len() as u64,
            }
            // Who waits finds what is there.
            sink.tell_timeout((0, 110), MS).unwrap();
            let asks = (111..150).map(|n| sink.ask((0, n))).collect::<Vec<_>>();
            sim.run_until_idle().unwrap();
            let full = asks.into_iter().filter_map(|ask| ask.wait().err()).filter(|&error| error == AskError::Full);
            let full = full.count() as u64;
            let counters = sim.counters();
            assert_eq!((counters.sent, counters.in_flight(), counters.returned), (150, 0, back));
            assert_eq!(counters.handled, seen.with(|seen| seen.len() as u64));
            let happened = happened(&sim)["Full"] as u64;
            match overflow {
                Overflow::Reject => assert!(back > 0 && full > 0 && counters.dead_lettered == full),
                // Each displaces one, and so does each of a batch, until nothing is left to displace.
                Overflow::DropOldest => assert!(back == 0 && counters.dead_lettered > 0),
                _ => assert!(back == 0 && full > 0 && counters.dead_lettered >= happened),
            }
            seen.with(|seen| assert!(seen.is_sorted()));
            (sim.signature(), happened)
        };
        for seed in 0..20 {
            assert_eq!(run(seed), run(seed));
        }
    }
}

#[test]
fn a_fault_s_panic_is_as_any_other() {
    let sim = sim(1, Faults::none().panics(1.0));
    let (log, letters) = (Log::default(), Shared::default());
    let clerk = sim.spawn(Clerk(letters.clone()));
    let a = sim.spawn(Puppet::new("a", &log));
    assert_eq!(a.ask(1_u64).wait(), Err(AskError::Panicked));
    let b = sim.spawn(Puppet::new("b", &log));
    assert_eq!(b.ask_with(crate::support::puppet::Keep).wait(), Err(AskError::NoReply));
    sim.set_faults(&Faults::none()).unwrap();
    sim.dead_letters(clerk.recipient());
    let watcher = sim.spawn(Puppet::new("w", &log));
    watcher.tell(run(move |_, ctx| ctx.watch(&a))).unwrap();
    sim.run_until_idle().unwrap();
    assert_eq!(log.of("a"), ["starts", "stops: panicked: a fault of the simulation", "drops"]);
    let reason = StopReason::Panicked("a fault of the simulation".into());
    assert!(log.of("w")[1].ends_with(&format!(": {reason}")), "{:?}", log.of("w"));
    assert_eq!(sim.counters().in_flight(), 0);
    assert_eq!(happened(&sim)["Panicked"], 2);
}

#[test]
fn those_who_are_spared_are() {
    let sim = sim(3, Faults::none().panics(1.0).stops(1.0).slow(1.0, MS).spare::<Citizen>());
    let heard = populate(&sim, 10, 20);
    sim.run_until_idle().unwrap();
    assert!(heard.get() > 10);
    assert!(sim.trace().events().iter().all(|event| matches!(event.what, Happened::Handled | Happened::Ended)));
}

#[test]
fn wrong_rates_are_refused() {
    for (rate, text) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        let error = Simulation::builder().faults(Faults::none().stops(rate)).build().unwrap_err();
        assert_eq!(error.to_string(), format!("a rate of {text} for stops: from 0 to 1 is allowed"));
    }
    let sim = sim(1, Faults::none());
    assert!(sim.set_faults(&Faults::none().slow(2.0, MS)).is_err());
}

#[test]
fn a_drain_stands_where_it_was_asked_for() {
    for seed in 0..100 {
        let sim = sim(seed, Faults::none().delays(0.5, 5 * MS).reorders(0.5));
        let log = Log::default();
        let (a, b) = (sim.spawn(Puppet::new("a", &log)), sim.spawn(Puppet::new("b", &log)));
        let to = b.clone();
        a.tell(run(move |_, _| {
            (0..5).for_each(|n| to.tell(n).unwrap());
            to.drain();
            assert!(to.tell(5).is_err());
        }))
        .unwrap();
        sim.run_until_idle().unwrap();
        let wanted = ["starts", "gets 0", "gets 1", "gets 2", "gets 3", "gets 4", "stops: drained", "drops"];
        assert_eq!(log.of("b"), wanted, "seed {seed}");
    }
}
