//! Messages on their way, and actors that are busy: what a simulation's faults hold up.
//!
//! Promise: what one sender sends to one receiver comes out in its order, none before its time.
//!
//! How: a lane for each pair with something in it, in the order in which the lanes were opened. They are few: lists do.

use crate::kernel::cell::Runnable;
use crate::kernel::held::Held;
use crate::kernel::watch::ActorId;
use crate::time::Tick;
use std::collections::VecDeque;

/// Who sends, unless it is the simulation's own thread or a timer, and who receives.
pub(super) type Pair = (Option<ActorId>, ActorId);

struct Lane {
    pair: Pair,
    held: VecDeque<(Tick, Held)>,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Transit {
    lanes: Vec<Lane>,
    /// Runnable, and busy until then.
    busy: Vec<(Tick, Runnable)>,
    /// Actors that are slow, runnable or not, and until when.
    slow: Vec<(ActorId, Tick)>,
}

impl Transit {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.busy.is_empty()
    }

    #[inline]
    pub(super) fn anybody_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// When the last one of a pair comes; `None` if nothing of it is on its way.
    pub(super) fn last_of(&self, pair: Pair) -> Option<Tick> {
        let lane = self.lanes.iter().find(|lane| lane.pair == pair)?;
        lane.held.back().map(|&(due, _)| due)
    }

    /// Holds messages up, behind those of the same pair.
    pub(super) fn hold(&mut self, pair: Pair, due: Tick, held: Held) {
        match self.lanes.iter_mut().find(|lane| lane.pair == pair) {
            Some(lane) => lane.held.push_back((due, held)),
            None => self.lanes.push(Lane { pair, held: VecDeque::from([(due, held)]) }),
        }
    }

    /// The lanes whose first has come, by place.
    pub(super) fn due(&self, now: Tick) -> impl Iterator<Item = (usize, Pair)> {
        let is_due = move |lane: &Lane| lane.held.front().is_some_and(|&(due, _)| due <= now);
        self.lanes.iter().enumerate().filter(move |(_, lane)| is_due(lane)).map(|(place, lane)| (place, lane.pair))
    }

    /// Takes the first of a lane.
    pub(super) fn take(&mut self, place: usize) -> Option<Held> {
        let lane = self.lanes.get_mut(place)?;
        let first = lane.held.pop_front();
        if lane.held.is_empty() {
            self.lanes.remove(place);
        }
        first.map(|(_, held)| held)
    }

    /// Takes all that a sender has on its way, in order by receiver.
    pub(super) fn take_of(&mut self, from: Option<ActorId>) -> Vec<Held> {
        self.take_if(|pair| pair.0 == from)
    }

    /// Takes all.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        self.take_if(|_| true)
    }

    fn take_if(&mut self, wanted: impl Fn(Pair) -> bool) -> Vec<Held> {
        let (gone, kept) = std::mem::take(&mut self.lanes).into_iter().partition(|lane| wanted(lane.pair));
        self.lanes = kept;
        let gone: Vec<Lane> = gone;
        gone.into_iter().flat_map(|lane| lane.held).map(|(_, held)| held).collect()
    }

    /// Has an actor do nothing until then.
    pub(super) fn slow_down(&mut self, id: ActorId, until: Tick) {
        self.slow.retain(|&(other, _)| other != id);
        self.slow.push((id, until));
    }

    /// Until when an actor is slow, if it is.
    pub(super) fn until(&mut self, id: ActorId, now: Tick) -> Option<Tick> {
        self.slow.retain(|&(_, until)| until > now);
        self.slow.iter().find(|&&(other, _)| other == id).map(|&(_, until)| until)
    }

    /// Keeps a runnable actor until then.
    pub(super) fn rest(&mut self, until: Tick, runnable: Runnable) {
        self.busy.push((until, runnable));
    }

    /// The runnable actors that are busy.
    pub(super) fn resting(&self) -> impl Iterator<Item = &Runnable> {
        self.busy.iter().map(|(_, runnable)| runnable)
    }

    /// Takes the actors that are no longer busy, in the order in which they came.
    pub(super) fn awake(&mut self, now: Tick, ready: &mut VecDeque<Runnable>) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.busy).into_iter().partition(|&(until, _)| until <= now);
        self.busy = kept;
        ready.extend(gone.into_iter().map(|(_, runnable)| runnable));
    }

    /// When the next message comes, or the next actor is no longer busy.
    pub(super) fn next(&self) -> Tick {
        let held = self.lanes.iter().filter_map(|lane| lane.held.front()).map(|&(due, _)| due);
        held.chain(self.busy.iter().map(|&(until, _)| until)).min().unwrap_or(Tick::NEVER)
    }
}
