//! Savina's "big": everyone pings random partners, one ping in flight each.

use super::{Starter, triangle};
use crate::{
    runtimes::{Behaviour, Runtime},
    stage::Stage,
    tally::{Gate, Totals},
};
use std::sync::Arc;

const ACTORS: u64 = 200;

/// What all partners share; a thin pointer, so that the message stays small.
type Partners<R> = Arc<Vec<<R as Runtime>::Ref<Partner<R>>>>;

struct Partner<R: Runtime> {
    partners: Option<Partners<R>>,
    index: u64,
    /// Its own choices, the same in every run.
    seed: u64,
    pings_left: u64,
    pings: u64,
    pongs: u64,
    sum: u64,
    gate: Arc<Gate>,
}

enum Talk<R: Runtime> {
    Partners(Partners<R>),
    Go,
    /// From the partner of that index.
    Ping(u64),
    /// Back to the partner of that index.
    Pong(u64),
    Report,
}

impl<R: Runtime> Partner<R> {
    fn send(&self, index: u64, message: Talk<R>) {
        if let Some(partners) = &self.partners {
            R::send::<Self>(&partners[index as usize], message);
        }
    }

    fn ping(&mut self) {
        if self.pings_left == 0 {
            self.gate.done.arrive(1, 0);
            return;
        }
        self.pings_left -= 1;
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        // Anyone but itself.
        let distance = 1 + (((self.seed >> 32) * (ACTORS - 1)) >> 32);
        let at = self.index + distance;
        let at = if at < ACTORS { at } else { at - ACTORS };
        self.send(at, Talk::Ping(self.index));
    }
}

impl<R: Runtime> Behaviour<R> for Partner<R> {
    type Message = Talk<R>;

    fn handle(&mut self, message: Talk<R>, _: &mut R::Context<Self>) {
        match message {
            Talk::Partners(partners) => {
                self.partners = Some(partners);
                self.gate.ready.arrive(1, 0);
            }
            Talk::Go => self.ping(),
            Talk::Ping(from) => {
                self.pings += 1;
                self.sum = self.sum.wrapping_add(from);
                self.send(from, Talk::Pong(from));
            }
            Talk::Pong(to) => {
                self.pongs += 1;
                self.sum = self.sum.wrapping_add(to);
                self.ping();
            }
            Talk::Report => self.gate.report.arrive(self.pings + self.pongs, self.sum),
        }
    }
}

pub(super) fn big<R: Runtime>(stage: &mut Stage<'_, R>) -> Result<(), String> {
    let each = stage.scaled(20_000);
    let gate = Gate::new(ACTORS, ACTORS, ACTORS);
    let partner = |index| Partner::<R> {
        partners: None,
        index,
        seed: (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        pings_left: each,
        pings: 0,
        pongs: 0,
        sum: 0,
        gate: Arc::clone(&gate),
    };
    let partners: Vec<_> = (0..ACTORS).map(|index| stage.spawn(partner(index))).collect();
    let partners: Partners<R> = Arc::new(partners);
    for partner in partners.iter() {
        R::send::<Partner<R>>(partner, Talk::Partners(Arc::clone(&partners)));
    }
    let first = partners.iter().map(|partner| (partner.clone(), Talk::Go));
    let starter = stage.spawn(Starter::<R, Partner<R>> { first: first.collect() });
    stage.wait(&gate.ready)?;
    stage.time("big", 2 * ACTORS * each, &gate.done, || {
        R::send::<Starter<R, Partner<R>>>(&starter, 0);
    })?;
    for partner in partners.iter() {
        R::send::<Partner<R>>(partner, Talk::Report);
    }
    stage.wait(&gate.report)?;
    let want = Totals { count: 2 * ACTORS * each, sum: (2 * each).wrapping_mul(triangle(ACTORS)) };
    gate.report.check("big", want)
}
