//! What the actors of a system are, seen from outside, while they go on.
//!
//! Promise: every actor that can be reached is seen as it was at some moment of the call, and nobody waits for the caller. The
//! call ends when all have been seen, or its patience has.
//!
//! How: from the roots down. An idle actor is looked at where it lies (see [`crate::kernel::inspect`]), a busy one is asked to
//! tell; between two rounds the caller waits for those, a millisecond at most, and looks whether others have become idle. Who
//! cannot tell in time, because its handler goes on or its worker does not come to it, is listed with what anybody may read,
//! and its children, which it alone knows, are not.
//!
//! Gives up: an instant. Actors are seen one after the other.

use super::core::Core;
use super::sim;
use super::threads::own;
use super::threads::worker::is_worker;
use crate::kernel::cell::CellRef;
use crate::kernel::inspect::{Card, Sight};
use crate::kernel::watch::ActorId;
use crate::sync::{Condvar, Mutex};
use std::collections::HashMap;
use std::time::Duration;

/// Between two looks at those who are busy.
const ROUND: Duration = Duration::from_millis(1);

/// Who waits for busy actors to tell of themselves.
#[derive(Default)]
pub(crate) struct Reports {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// For each caller what it has been told.
    told: Vec<(u64, Vec<Card>)>,
}

impl Waiting {
    /// Takes what one caller has been told.
    fn take(&mut self, key: u64) -> Vec<Card> {
        let mine = self.told.iter_mut().find(|(caller, _)| *caller == key);
        mine.map(|(_, told)| std::mem::take(told)).unwrap_or_default()
    }
}

impl Reports {
    /// Takes what a busy actor tells.
    pub(super) fn tell(&self, card: Card) {
        let mut waiting = self.waiting.lock();
        let Some(((_, last), others)) = waiting.told.split_last_mut() else { return };
        for (_, told) in others {
            told.push(card.clone());
        }
        last.push(card);
        self.changed.notify_all();
    }

    fn open(&self) -> Place<'_> {
        let mut waiting = self.waiting.lock();
        waiting.next += 1;
        let key = waiting.next;
        waiting.told.push((key, Vec::new()));
        Place { reports: self, key }
    }
}

/// A caller's place among those who wait.
struct Place<'a> {
    reports: &'a Reports,
    key: u64,
}

impl Place<'_> {
    /// What has come; waits for it, for `time` at most.
    fn take(&self, time: Duration) -> Vec<Card> {
        let mut waiting = self.reports.waiting.lock();
        let mut told = waiting.take(self.key);
        if told.is_empty() {
            waiting = self.reports.changed.wait_timeout(waiting, time);
            told = waiting.take(self.key);
        }
        told
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.reports.waiting.lock().told.retain(|(key, _)| *key != self.key);
    }
}

/// One actor that was seen, and its parent.
pub(crate) struct Seen {
    pub(crate) parent: Option<ActorId>,
    pub(crate) card: Card,
}

/// An actor that has not been seen yet, and its parent.
type Unseen = (CellRef, Option<ActorId>);

/// Looks at all actors, for `patience` at most.
pub(crate) fn look(core: &Core, patience: Duration) -> Vec<Seen> {
    let mut seen = Vec::new();
    // A worker that waits may be the one that is waited for.
    let patience = if is_worker() || core.is_simulated() { Duration::ZERO } else { patience };
    let deadline = core.clock.now().after(patience);
    let driver = sim::here(core);
    // In a simulation nobody runs but the caller: who waits for its turn can be looked at, too.
    let queued = driver.as_ref().map(|driver| driver.cards()).unwrap_or_default();
    let mut queued: HashMap<ActorId, Card> = queued.into_iter().map(|card| (card.id, card)).collect();
    // Who is none of the simulation's own must not touch it.
    let may_touch = !core.is_simulated() || driver.is_some();
    let place = core.reports.open();
    let mut unseen: Vec<Unseen> = core.roots.all().into_iter().map(|cell| (cell, None)).collect();
    let mut busy: HashMap<ActorId, Unseen> = HashMap::new();
    loop {
        while let Some((cell, parent)) = unseen.pop() {
            let id = cell.header().id();
            if cell.has_ended() {
                continue;
            }
            let card = if may_touch { cell.inspect() } else { None };
            match card.or_else(|| queued.remove(&id)) {
                Some(card) => enter(card, parent, &mut seen, &mut unseen),
                // It cannot tell before this call has ended.
                None if own::is_of(cell.address()) => seen.push(Seen { parent, card: cell.words() }),
                None => drop(busy.insert(id, (cell, parent))),
            }
        }
        let left = deadline.since(core.clock.now());
        if busy.is_empty() || left.is_zero() {
            break;
        }
        busy.values().for_each(|(cell, _)| cell.ask_report());
        for card in place.take(left.min(ROUND)) {
            if let Some((_, parent)) = busy.remove(&card.id) {
                enter(card, parent, &mut seen, &mut unseen);
            }
        }
        unseen.extend(busy.drain().map(|(_, unseen)| unseen));
    }
    drop(place);
    for (cell, parent) in busy.into_values() {
        seen.push(Seen { parent, card: cell.words() });
    }
    in_order(seen)
}

/// Enters an actor that was seen, and its children for a look.
fn enter(card: Card, parent: Option<ActorId>, seen: &mut Vec<Seen>, unseen: &mut Vec<Unseen>) {
    let mut card = card;
    if let Sight::Whole { children, .. } = &mut card.sight {
        unseen.extend(std::mem::take(children).into_iter().map(|child| (child, Some(card.id))));
    }
    seen.push(Seen { parent, card });
}

/// Parents before their children, siblings by identity.
fn in_order(seen: Vec<Seen>) -> Vec<Seen> {
    let mut ordered = Vec::with_capacity(seen.len());
    let mut below: HashMap<Option<ActorId>, Vec<Seen>> = HashMap::new();
    for seen in seen {
        below.entry(seen.parent).or_default().push(seen);
    }
    // The last first: they are taken from the end.
    below.values_mut().for_each(|siblings| siblings.sort_unstable_by_key(|seen| std::cmp::Reverse(seen.card.id)));
    let mut left = below.remove(&None).unwrap_or_default();
    while let Some(next) = left.pop() {
        left.extend(below.remove(&Some(next.card.id)).unwrap_or_default());
        ordered.push(next);
    }
    debug_assert!(below.is_empty(), "a parent is seen before its children");
    ordered
}
