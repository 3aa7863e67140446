//! The timers of one actor: a table of what it has set.
//!
//! Promise: a timer that its actor has taken back is never handled, also if its message is queued already; an actor that
//! ends, or is to begin afresh, leaves none behind.
//!
//! How: the table lies beside the cell, only for actors that have set a timer, and only the actor's own turn touches it.
//! A timer's message carries its key, and the turn that runs it looks the key up: what is not in the table is dropped
//! unseen. So to cancel and to handle are steps of one turn after the other, and do not race. Whether the system's
//! wheel has let go of the timer meanwhile decides only where the message is dropped: there, or in the mailbox.
//!
//! Gives up: a message that was queued when its timer was taken back stays in the mailbox until its turn, and counts as
//! sent and handled.

use std::num::NonZeroU64;

/// Names a timer that an actor has set, to that actor: see [`Context::cancel`](crate::Context::cancel), where there is
/// an example. It outlives its timer harmlessly, and means nothing to another actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    /// Of the first alarm: unique in the system.
    stamp: NonZeroU64,
}

/// Names an entry of the system's timers until it comes out or is cancelled, and nothing afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) index: u32,
    pub(crate) stamp: NonZeroU64,
}

/// Alarms that are taken back at a time: the lock of the system's timers is held for no longer.
pub(crate) const SOME: usize = 32;
/// The end of the list of vacant slots.
const NIL: u32 = u32::MAX;
/// Slots whose memory is kept when none is taken: a guess at what is not worth returning.
const KEPT: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Timers {
    slots: Vec<Slot>,
    vacant: u32,
    taken: usize,
    idle: Option<Idle>,
}

#[derive(Debug)]
enum Slot {
    Taken { stamp: NonZeroU64, alarm: Alarm },
    Vacant { next: u32 },
}

/// What an actor knows of its own idleness. Times are nanoseconds of the system's clock.
#[derive(Debug)]
struct Idle {
    key: TimerKey,
    /// When the last message had been handled, unless `busy`.
    since: u64,
    /// A message has been handled, and the next one was waiting already.
    busy: bool,
    /// The message that is being handled is a look at this, and no work.
    looking: bool,
}

/// What a look at an actor's idleness finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The look was taken back.
    Unwanted,
    /// It has been idle for long enough.
    Idle,
    /// It may have been at this time.
    Until(u64),
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), vacant: NIL, taken: 0, idle: None }
    }

    /// Enters a timer.
    pub(crate) fn insert(&mut self, alarm: Alarm) -> TimerKey {
        let stamp = alarm.stamp;
        let slot = Slot::Taken { stamp, alarm };
        self.taken += 1;
        let index = self.vacant;
        match self.slots.get_mut(index as usize) {
            Some(place) => {
                if let Slot::Vacant { next } = std::mem::replace(place, slot) {
                    self.vacant = next;
                }
                TimerKey { index, stamp }
            }
            None => {
                // The system's own table holds fewer than 2^32 entries.
                let index = self.slots.len() as u32;
                self.slots.push(slot);
                TimerKey { index, stamp }
            }
        }
    }

    /// Whether the timer is set: it has neither come, the last time, nor been taken back.
    pub(crate) fn is_set(&self, key: TimerKey) -> bool {
        matches!(self.slots.get(key.index as usize), Some(&Slot::Taken { stamp, .. }) if stamp == key.stamp)
    }

    /// Enters what a timer that is set will come with next.
    pub(crate) fn renew(&mut self, key: TimerKey, next: Alarm) {
        if let Some(Slot::Taken { stamp, alarm }) = self.slots.get_mut(key.index as usize) {
            debug_assert_eq!(*stamp, key.stamp);
            *alarm = next;
        }
    }

    /// Takes a timer out, because it comes or is taken back. What it would come with is the caller's to cancel.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Alarm> {
        if !self.is_set(key) {
            return None;
        }
        let gone = std::mem::replace(&mut self.slots[key.index as usize], Slot::Vacant { next: self.vacant });
        self.vacant = key.index;
        self.taken -= 1;
        self.give_back();
        match gone {
            Slot::Taken { alarm, .. } => Some(alarm),
            Slot::Vacant { .. } => None,
        }
    }

    /// Takes some out, whichever. None when none is left.
    pub(super) fn take_some(&mut self) -> [Option<Alarm>; SOME] {
        let mut some = [None; SOME];
        let mut places = some.iter_mut();
        // Slots are taken off the end, so none of those that stay may be on the list.
        self.vacant = NIL;
        self.idle = None;
        while self.taken > 0 {
            let Some(place) = places.next() else { return some };
            while place.is_none() {
                match self.slots.pop() {
                    Some(Slot::Taken { alarm, .. }) => *place = Some(alarm),
                    Some(Slot::Vacant { .. }) => {}
                    None => unreachable!("as many slots as are counted"),
                }
            }
            self.taken -= 1;
        }
        self.slots.clear();
        self.give_back();
        some
    }

    fn give_back(&mut self) {
        if self.taken == 0 && self.slots.capacity() > KEPT {
            (self.slots, self.vacant) = (Vec::new(), NIL);
        }
    }
}

impl Timers {
    /// Begins to look whether the actor is idle, by this timer, from now on.
    pub(crate) fn set_idle(&mut self, key: TimerKey, now: u64) {
        self.idle = Some(Idle { key, since: now, busy: false, looking: false });
    }

    /// Ends it. The timer is the caller's to remove.
    pub(crate) fn clear_idle(&mut self) -> Option<TimerKey> {
        self.idle.take().map(|idle| idle.key)
    }

    /// Looks whether the actor has been idle for `limit`.
    pub(crate) fn look(&mut self, key: TimerKey, now: u64, limit: u64) -> Look {
        let Some(idle) = self.idle.as_mut().filter(|idle| idle.key == key) else { return Look::Unwanted };
        if std::mem::take(&mut idle.busy) {
            idle.since = now;
        }
        let until = idle.since.saturating_add(limit);
        if until <= now {
            return Look::Idle;
        }
        idle.looking = true;
        Look::Until(until)
    }

    /// A message has been handled; `now` if none was waiting.
    pub(super) fn handled(&mut self, now: Option<u64>) {
        let Some(idle) = &mut self.idle else { return };
        if std::mem::take(&mut idle.looking) {
            return;
        }
        idle.busy = now.is_none();
        idle.since = now.unwrap_or(idle.since);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn alarm(stamp: u64) -> Alarm {
        Alarm { index: 7, stamp: NonZeroU64::new(stamp).unwrap() }
    }

    #[test]
    fn a_key_names_one_timer() {
        let mut timers = Timers::new();
        let (a, b) = (timers.insert(alarm(1)), timers.insert(alarm(2)));
        assert!(timers.is_set(a) && timers.is_set(b));
        assert_eq!(timers.remove(a), Some(alarm(1)));
        assert_eq!(timers.remove(a), None);
        let c = timers.insert(alarm(3));
        assert_eq!(c.index, a.index, "the slot is used again");
        assert!(!timers.is_set(a), "and the old key does not name it");
        timers.renew(b, alarm(4));
        assert_eq!((timers.remove(b), timers.remove(c)), (Some(alarm(4)), Some(alarm(3))));
    }

    #[test]
    fn all_are_taken_some_at_a_time() {
        for count in [0, 1, SOME, SOME + 1, 10 * SOME] {
            let mut timers = Timers::new();
            let keys: Vec<TimerKey> = (1..=2 * count as u64).map(|stamp| timers.insert(alarm(stamp))).collect();
            for key in keys.iter().step_by(2) {
                timers.remove(*key).unwrap();
            }
            let mut left = Vec::new();
            loop {
                let some = timers.take_some();
                left.extend(some.iter().flatten().map(|alarm| alarm.stamp.get()));
                if some[0].is_none() {
                    break;
                }
            }
            left.sort_unstable();
            assert_eq!(left, (1..=count as u64).map(|n| 2 * n).collect::<Vec<_>>());
            assert_eq!((timers.taken, timers.slots.len()), (0, 0));
            let again = timers.insert(alarm(1));
            assert_eq!(timers.remove(again), Some(alarm(1)));
        }
    }

    #[test]
    fn a_timer_that_is_set_while_all_are_taken_has_a_slot_of_its_own() {
        let mut timers = Timers::new();
        let keys: Vec<TimerKey> = (1..=100).map(|stamp| timers.insert(alarm(stamp))).collect();
        timers.remove(keys[99]).unwrap();
        timers.remove(keys[0]).unwrap();
        let mut taken = timers.take_some().iter().flatten().count();
        let late = timers.insert(alarm(1000));
        assert!(timers.is_set(late));
        while let some @ [Some(_), ..] = timers.take_some() {
            taken += some.iter().flatten().count();
        }
        assert_eq!(taken, 99);
        assert!(!timers.is_set(late));
    }

    #[test]
    fn idleness_begins_when_the_last_message_has_been_handled() {
        let mut timers = Timers::new();
        let key = timers.insert(alarm(1));
        timers.set_idle(key, 100);
        assert_eq!(timers.look(key, 109, 10), Look::Until(110));
        timers.handled(Some(111));
        assert_eq!(timers.look(key, 110, 10), Look::Idle, "the look itself was no work");
        timers.handled(Some(112));
        assert_eq!(timers.look(key, 120, 10), Look::Until(122), "what came of it was");
        timers.handled(Some(120));
        timers.handled(None);
        assert_eq!(timers.look(key, 130, 10), Look::Until(140), "worked until now");
        assert_eq!(timers.clear_idle(), Some(key));
        assert_eq!(timers.look(key, 130, 10), Look::Unwanted);
    }
}
