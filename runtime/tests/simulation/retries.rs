//! Messages that are tried again, while handlers fail at random: repeated to the letter, and nothing is lost.

use crate::support::{Shared, quiet_panics};
use cuelight::{Actor, ActorRef, Context, Faults, Handler, Restart, Simulation};
use std::collections::BTreeSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Keeps what it is told, over its restarts.
struct Keeper(Shared<Vec<(u64, u64)>>);

impl Actor for Keeper {}

impl Handler<(u64, u64)> for Keeper {
    type Reply = u64;

    fn handle(&mut self, message: (u64, u64), _: &mut Context<Self>) -> u64 {
        self.0.with(|kept| kept.push(message));
        message.1
    }
}

/// Sends numbers, and asks for every third.
struct Sender(ActorRef<Keeper>, Shared<Vec<u64>>);

impl Actor for Sender {}

impl Handler<u64> for Sender {
    type Reply = ();

    fn handle(&mut self, me: u64, ctx: &mut Context<Self>) {
        for n in 0..30 {
            if n % 3 == 0 {
                ctx.ask(&self.0, (me, n), Duration::MAX, |this: &mut Self, reply, _| {
                    this.1.with(|replies| replies.extend(reply));
                });
            } else {
                self.0.tell((me, n)).expect("a living keeper");
            }
        }
    }
}

#[test]
fn faults_are_outlived() {
    quiet_panics();
    let mut signatures = BTreeSet::new();
    for seed in 0..30 {
        let run = || {
            let faults = Faults::none().panics(0.3).delays(0.1, 5 * MS).reorders(0.2).spare::<Sender>();
            let sim = Simulation::builder().seed(seed).faults(faults).build().unwrap();
            let (kept, replies) = (Shared::new(Vec::new()), Shared::new(Vec::new()));
            let place = kept.clone();
            let rule = Restart::on_panic().unlimited().backoff(MS, 8 * MS);
            let keeper =
                sim.actor(move || Keeper(place.clone())).restart(rule).retry::<(u64, u64)>(1000).spawn().unwrap();
            for me in 0..3 {
                sim.spawn(Sender(keeper.clone(), replies.clone())).tell(me).unwrap();
            }
            sim.run_for(Duration::from_secs(60)).unwrap();
            for me in 0..3 {
                let mine: Vec<u64> = kept.get().into_iter().filter(|&(from, _)| from == me).map(|(_, n)| n).collect();
                assert_eq!(mine, (0..30).collect::<Vec<_>>(), "seed {seed}");
            }
            assert_eq!(replies.get().len(), 30, "seed {seed}");
            let signature = sim.signature();
            sim.shutdown(Duration::ZERO).unwrap();
            let counters = sim.counters();
            assert_eq!((counters.poisoned, counters.dead_lettered, counters.in_flight()), (0, 0, 0));
            assert_eq!(counters.retries, counters.restarts);
            // Orders, messages, replies; and each attempt that has failed.
            assert_eq!(counters.handled, 3 + 90 + 30 + counters.retries);
            (signature, counters.retries)
        };
        let first = run();
        assert_eq!(run(), first);
        signatures.insert(first);
    }
    assert_eq!(signatures.len(), 30);
}
