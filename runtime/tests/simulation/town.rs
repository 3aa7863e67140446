//! A program with every kind of message: tells, asks with timeouts, batches, children that end, watches, panics, dead letters.

use crate::support::{Count, quiet_panics};
use cuelight::{Actor, ActorRef, Context, Handler, Simulation, Terminated};
use std::time::Duration;

/// Sends a letter on until it has been passed on so many times.
pub(crate) struct Citizen {
    next: Vec<ActorRef<Citizen>>,
    /// A generator of its own: what actors draw must come from a seed.
    state: u64,
    pub(crate) heard: Count,
    children: u32,
}

pub(crate) struct Meet(Vec<ActorRef<Citizen>>);

#[derive(Clone, Copy)]
pub(crate) struct Letter(pub(crate) u32);

struct Question(u32);

impl Actor for Citizen {}

impl Citizen {
    fn draw(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize % n
    }

    fn other(&mut self) -> ActorRef<Self> {
        let index = self.draw(self.next.len());
        self.next[index].clone()
    }
}

impl Handler<Meet> for Citizen {
    type Reply = ();
    fn handle(&mut self, Meet(all): Meet, _: &mut Context<Self>) {
        self.next = all;
    }
}

impl Handler<Question> for Citizen {
    type Reply = u32;
    fn handle(&mut self, Question(n): Question, ctx: &mut Context<Self>) -> u32 {
        if n % 11 == 10 {
            ctx.stop();
        }
        n + 1
    }
}

impl Handler<Terminated> for Citizen {
    type Reply = ();
    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.heard.add(1);
    }
}

impl Handler<Letter> for Citizen {
    type Reply = ();
    fn handle(&mut self, Letter(left): Letter, ctx: &mut Context<Self>) {
        self.heard.add(1);
        if left == 0 || self.next.is_empty() {
            return;
        }
        let to = self.other();
        match self.draw(8) {
            0 => drop(to.send_all([Letter(left / 2), Letter(left / 3)])),
            1 | 2 => ctx.ask(&to, Question(left), Duration::from_millis(5), move |this: &mut Self, reply, _| {
                let to = this.other();
                let _ = to.tell(Letter(reply.unwrap_or(left) - 1));
            }),
            3 if self.children < 3 => {
                self.children += 1;
                let child = ctx.spawn(citizen(self.state, &self.heard));
                ctx.watch(&child);
                let _ = child.tell(Letter(0));
                child.drain();
                let _ = to.tell(Letter(left - 1));
            }
            4 if left % 29 == 0 => panic!("meant to"),
            _ => drop(to.tell(Letter(left - 1))),
        }
    }
}

pub(crate) fn citizen(state: u64, heard: &Count) -> Citizen {
    Citizen { next: Vec::new(), state, heard: heard.clone(), children: 0 }
}

/// Starts the program: so many citizens, and a letter for each.
pub(crate) fn populate(sim: &Simulation, citizens: u64, passes: u32) -> Count {
    quiet_panics();
    let heard = Count::default();
    let all: Vec<_> = (0..citizens).map(|n| sim.spawn(citizen(n, &heard))).collect();
    for one in &all {
        one.tell(Meet(all.clone())).unwrap();
        one.tell(Letter(passes)).unwrap();
    }
    heard
}
