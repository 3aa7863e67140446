//! One message at a time, and first in, first out between each pair.

use crate::support::puppet::{Keep, Puppet, run, watch};
use crate::support::stage::{Engine, Stage, contract, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, Recipient, ReplyTo, Terminated};
use std::cell::Cell;
use std::thread;

contract! {
    from_an_outside_thread,
    from_an_actor,
    between_many_pairs,
    a_reply_stands_where_it_was_sent,
    a_notice_comes_last,
    replies_stand_behind_what_their_handler_sent,
    an_address_without_its_type_is_the_same_way,
    held_and_direct_sends_keep_their_order,
}

threads_contract! {
    one_at_a_time,
}

/// A number from a sender.
struct Seq(usize, u64);

/// A number that is asked for.
struct SeqWith(usize, u64, ReplyTo<u64>);

/// Expects 0, 1, 2 and so on from each sender.
struct Sorter {
    next: Vec<u64>,
    seen: Count,
    wrong: Count,
    // No more than one thread at a time: `Cell` would notice under a sanitizer, `inside` notices here.
    inside: Cell<bool>,
}

impl Sorter {
    fn new(senders: usize, seen: &Count, wrong: &Count) -> Self {
        Self { next: vec![0; senders], seen: seen.clone(), wrong: wrong.clone(), inside: Cell::new(false) }
    }

    fn sees(&mut self, sender: usize, number: u64) -> u64 {
        assert!(!self.inside.replace(true), "two at a time");
        let wanted = std::mem::replace(&mut self.next[sender], number + 1);
        if wanted != number {
            println!("sender {sender}: {number} instead of {wanted}");
            self.wrong.add(1);
        }
        self.inside.set(false);
        self.seen.add(1);
        number
    }
}

impl Actor for Sorter {}

impl Handler<Seq> for Sorter {
    type Reply = u64;

    fn handle(&mut self, Seq(sender, number): Seq, _: &mut Context<Self>) -> u64 {
        self.sees(sender, number)
    }
}

impl Handler<SeqWith> for Sorter {
    type Reply = ();

    fn handle(&mut self, SeqWith(sender, number, reply): SeqWith, _: &mut Context<Self>) {
        reply.send(self.sees(sender, number));
    }
}

/// Sends `count` numbers in every way there is.
fn send_in_every_way(to: &ActorRef<Sorter>, sender: usize, count: u64) {
    let short: Recipient<Seq> = to.recipient();
    let mut number = 0;
    while number < count {
        let mut sent = 1;
        match number % 8 {
            0 | 1 => to.tell(Seq(sender, number)).expect("a tell"),
            2 => {
                sent = (count - number).min(1 + number % 11);
                let several = (number..number + sent).map(|number| Seq(sender, number));
                assert_eq!(to.send_all(several).expect("several"), sent as usize);
            }
            3 | 4 => short.tell(Seq(sender, number)).expect("a tell"),
            5 => drop(to.ask(Seq(sender, number))),
            6 => drop(to.ask_with(|reply| SeqWith(sender, number, reply))),
            _ => assert_eq!(short.send_all([Seq(sender, number)]).expect("one"), 1),
        }
        number += sent;
    }
}

fn one_at_a_time(on: Engine) {
    let stage = Stage::new(on);
    let (seen, wrong) = (Count::default(), Count::default());
    let each = scaled(5_000, 100);
    let senders = 6;
    let sorter = stage.spawn(Sorter::new(senders, &seen, &wrong));
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let sorter = sorter.clone();
            thread::spawn(move || (0..each).for_each(|n| sorter.tell(Seq(sender, n)).expect("a tell")))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a sender"));
    seen.reaches(senders as u64 * each);
    assert_eq!(wrong.get(), 0);
    stage.end();
}

fn from_an_outside_thread(on: Engine) {
    let stage = Stage::new(on);
    let (seen, wrong) = (Count::default(), Count::default());
    let sorter = stage.spawn(Sorter::new(1, &seen, &wrong));
    let count = scaled(20_000, 100);
    send_in_every_way(&sorter, 0, count);
    seen.reaches(count);
    assert_eq!(wrong.get(), 0);
    stage.end();
}

fn from_an_actor(on: Engine) {
    let stage = Stage::new(on);
    let (seen, wrong) = (Count::default(), Count::default());
    let sorter = stage.spawn(Sorter::new(1, &seen, &wrong));
    let source = stage.puppet("a");
    let count = scaled(20_000, 100);
    // In two handlers, so that the source may run elsewhere in between.
    let half = count / 2;
    let to = sorter.clone();
    source.tell(run(move |_, _| send_in_every_way(&to, 0, half))).unwrap();
    let to = sorter.clone();
    source.tell(run(move |_, _| (half..half + count).for_each(|n| to.tell(Seq(0, n)).unwrap()))).unwrap();
    seen.reaches(half + count);
    assert_eq!(wrong.get(), 0);
    stage.end();
}

fn between_many_pairs(on: Engine) {
    let stage = Stage::new(on);
    let (seen, wrong) = (Count::default(), Count::default());
    let (sources, sorters, rounds) = (16, 8, scaled(300, 20));
    let sorters: Vec<_> = (0..sorters).map(|_| stage.spawn(Sorter::new(sources, &seen, &wrong))).collect();
    let sources: Vec<_> = (0..sources).map(|_| stage.puppet("a")).collect();
    for round in 0..rounds {
        for (number, source) in sources.iter().enumerate() {
            let sorters = sorters.clone();
            let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
                for (at, sorter) in sorters.iter().enumerate() {
                    // Runs of several to one, then the next one.
                    let burst = 1 + (number + at) as u64 % 3;
                    for n in round * burst..(round + 1) * burst {
                        sorter.tell(Seq(number, n)).unwrap();
                    }
                }
            };
            source.tell(run(part)).unwrap();
        }
    }
    let per_round: u64 = (0..sources.len()).flat_map(|s| (0..sorters.len()).map(move |t| 1 + (s + t) as u64 % 3)).sum();
    seen.reaches(rounds * per_round);
    assert_eq!(wrong.get(), 0);
    stage.end();
}

fn a_reply_stands_where_it_was_sent(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    // b tells a 1, is asked by a, tells a 2: the continuation stands between them.
    let (back, to) = (a.clone(), b.clone());
    let both = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let first = back.clone();
        to.tell(run(move |_, _| first.tell(1).unwrap())).unwrap();
        ctx.ask(&to, 7, LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("is told {result:?}")));
        let second = back.clone();
        to.tell(run(move |_, _| second.tell(2).unwrap())).unwrap();
    };
    a.tell(run(both)).unwrap();
    stage.log.expect("a", &["starts", "gets 1", "is told Ok(14)", "gets 2"]);
    stage.end();
}

fn replies_stand_behind_what_their_handler_sent(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let (back, to) = (a.clone(), b.clone());
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let burst = move |_: &mut Puppet, _: &mut Context<Puppet>| (0..100).for_each(|n| back.tell(n).unwrap());
        ctx.ask(&to, run(burst), LIMIT, |this: &mut Puppet, result, _| this.says(format_args!("is told {result:?}")));
    };
    a.tell(run(part)).unwrap();
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..100).map(|n| format!("gets {n}")));
    wanted.push("is told Ok(())".to_owned());
    stage.log.expect("a", &wanted);
    stage.end();
}

fn a_notice_comes_last(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    watch(&a, &b);
    let to = a.clone();
    let last_words = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        for n in 0..10 {
            to.tell(n).unwrap();
        }
        to.send_all(10..20).unwrap();
        drop(to.ask_with(Keep));
        ctx.stop();
        for n in 21..30 {
            to.tell(n).unwrap();
        }
    };
    b.tell(run(last_words)).unwrap();
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..20).chain(21..30).map(|n| format!("gets {n}")));
    wanted.push(format!("hears of {}: stopped", b.id()));
    stage.log.expect("a", &wanted);
    stage.end();
}

/// Passes numbers on, as a `Recipient` knows it.
struct Relay {
    to: Recipient<u64>,
    heard: Shared<Vec<u64>>,
    done: Gate,
}

impl Actor for Relay {}

impl Handler<u64> for Relay {
    type Reply = ();

    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        self.heard.with(|heard| heard.push(n));
        self.to.tell(n).unwrap();
    }
}

impl Handler<Terminated> for Relay {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.done.open();
    }
}

fn an_address_without_its_type_is_the_same_way(on: Engine) {
    let stage = Stage::new(on);
    let heard = Shared::new(Vec::new());
    let last = stage.puppet("z");
    let mut to: Recipient<u64> = last.recipient();
    for _ in 0..10 {
        to = stage.spawn(Relay { to, heard: heard.clone(), done: Gate::default() }).into();
    }
    for n in 0..100 {
        if n % 2 == 0 { to.tell(n).unwrap() } else { assert_eq!(to.send_all([n]).unwrap(), 1) }
    }
    let mut wanted = vec!["starts".to_owned()];
    wanted.extend((0..100).map(|n| format!("gets {n}")));
    stage.log.expect("z", &wanted);
    assert_eq!(heard.with(|heard| heard.len()), 1000);
    stage.end();
}

fn held_and_direct_sends_keep_their_order(on: Engine) {
    let stage = Stage::new(on);
    let (seen, wrong) = (Count::default(), Count::default());
    let sorters: Vec<_> = (0..2).map(|_| stage.spawn(Sorter::new(1, &seen, &wrong))).collect();
    let source = stage.puppet("a");
    // Bursts around the 64 that a chain holds, to one, to the other, with publishing and without.
    let bursts = [1_u64, 2, 63, 64, 65, 3, 127, 128, 129, 1, 1, 200];
    let total: u64 = bursts.iter().sum::<u64>() * 2;
    let held = hold(&source);
    for (step, burst) in bursts.into_iter().enumerate() {
        let sorters = sorters.clone();
        let before: u64 = bursts[..step].iter().sum();
        let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            for n in before..before + burst {
                sorters[0].tell(Seq(0, n)).unwrap();
                if n % 50 == 49 {
                    ctx.publish();
                }
            }
            for n in before..before + burst {
                if n % 40 == 39 { drop(sorters[1].ask(Seq(0, n))) } else { sorters[1].tell(Seq(0, n)).unwrap() }
            }
        };
        source.tell(run(part)).unwrap();
    }
    drop(held);
    seen.reaches(total);
    assert_eq!(wrong.get(), 0);
    stage.end();
}
