//! Families of actors that spawn, watch, ask, stop, drain and panic at random, with outside threads among them.

use super::{Bell, poll, system};
use crate::support::stage::end;
use crate::support::{Count, Counted, LIMIT, Shared, scaled};
use cuelight::{Actor, ActorRef, Context, Handler, StopReason, Terminated};
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::Duration;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A member of a family that does what the dice say.
struct Member {
    dice: Dice,
    depth: u32,
    family: Shared<Vec<ActorRef<Member>>>,
    notices: Count,
    watches: Count,
    _drops: Counted,
    made: Count,
}

impl Member {
    fn child(&mut self) -> Self {
        self.made.add(1);
        Self {
            dice: Dice(self.dice.roll(u64::MAX) | 1),
            depth: self.depth + 1,
            family: self.family.clone(),
            notices: self.notices.clone(),
            watches: self.watches.clone(),
            _drops: Counted(self._drops.0.clone()),
            made: self.made.clone(),
        }
    }
}

impl Actor for Member {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.family.with(|family| family.push(ctx.me()));
        if self.depth < 4 {
            for _ in 0..self.dice.roll(4) {
                let child = self.child();
                let child = ctx.spawn(child);
                if self.dice.roll(2) == 0 {
                    self.watches.add(1);
                    ctx.watch(&child);
                }
            }
        }
        if self.dice.roll(20) == 0 {
            panic!("meant: a start");
        }
    }

    fn stopped(&mut self, _: &StopReason) {
        if self.dice.roll(10) == 0 {
            panic!("meant: an end");
        }
    }
}

impl Handler<Terminated> for Member {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.notices.add(1);
    }
}

/// What the dice say.
struct Roll;

impl Handler<Roll> for Member {
    type Reply = u64;

    fn handle(&mut self, _: Roll, ctx: &mut Context<Self>) -> u64 {
        let family = self.family.get();
        let other = &family[self.dice.roll(family.len() as u64) as usize];
        match self.dice.roll(40) {
            0 => ctx.stop(),
            1 => ctx.drain(),
            2 => other.stop(),
            3 => other.drain(),
            4 => panic!("meant: a roll"),
            5..8 if self.depth < 4 => {
                let child = self.child();
                drop(ctx.spawn(child));
            }
            8..12 => ctx.watch(other),
            12..14 => ctx.unwatch(other),
            14..22 => {
                let time = [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1), LIMIT];
                let time = time[self.dice.roll(4) as usize];
                let drops = Counted(self._drops.0.clone());
                self.made.add(1);
                ctx.ask(other, Roll, time, move |this: &mut Member, reply, _| {
                    drop(drops);
                    if reply.is_err() && this.dice.roll(50) == 0 {
                        panic!("meant: a continuation");
                    }
                });
            }
            _ => {
                for _ in 0..self.dice.roll(5) {
                    drop(other.tell(Roll));
                }
            }
        }
        0
    }
}

#[test]
fn families_in_a_storm() {
    for round in 0..scaled(150, 15) {
        let (system, made, drops) = (system(1 + round as usize % 3), Count::default(), Count::default());
        let family = Shared::new(Vec::new());
        let (notices, watches) = (Count::default(), Count::default());
        let mut roots = Vec::new();
        for seed in 0..4 {
            made.add(1);
            let root = Member {
                dice: Dice(round * 4 + seed + 1),
                depth: 0,
                family: family.clone(),
                notices: notices.clone(),
                watches: watches.clone(),
                _drops: Counted(drops.clone()),
                made: made.clone(),
            };
            roots.push(system.spawn(root));
        }
        let threads: Vec<_> = (0..2)
            .map(|seed| {
                let (family, mut dice) = (family.clone(), Dice(round * 2 + seed + 77));
                thread::spawn(move || {
                    let mut asks = Vec::new();
                    for _ in 0..200 {
                        let all = family.get();
                        if all.is_empty() {
                            continue;
                        }
                        let one = &all[dice.roll(all.len() as u64) as usize];
                        match dice.roll(12) {
                            0 => asks.clear(),
                            1 => drop(one.send_all([Roll, Roll, Roll])),
                            2 => one.drain(),
                            3..6 => {
                                let mut ask = one.ask(Roll);
                                for _ in 0..dice.roll(3) {
                                    let waker = Waker::from(Arc::new(Bell(Counted(Count::default()))));
                                    let _ = poll(&mut ask, &waker);
                                }
                                asks.push(ask);
                            }
                            6 => drop(one.ask(Roll).timeout(Duration::from_micros(dice.roll(100))).wait()),
                            _ => drop(one.tell(Roll)),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        end(&system);
        family.with(Vec::clear);
        drop((roots, system));
        drops.reaches(made.get());
    }
}
