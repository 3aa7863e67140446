//! A hierarchical timing wheel (Varghese and Lauck 1987).
//!
//! Promise: no entry comes out before its deadline; by the first [`advance`](Wheel::advance) a tick after it, it does.
//! Entries come out in the order of their deadlines, equal ones in the order of their insertion. Insert and cancel are
//! O(1), the next deadline O(levels), and advancing costs no more for a long time than for a short one. A key outlives
//! its entry harmlessly: it names nothing else, ever.
//!
//! How: a deadline is rounded up to a tick. A tick has eight digits of six bits, and an entry lies at the level of the
//! highest digit in which its tick differs from the current one, in the slot of that digit:
//!
//! ```text
//! current  0 .. 0 | 0 | 5 | 17      level 0: the ticks up to the end of this 64
//! tick     0 .. 0 | 0 | 9 | 60      level 1, slot 9: comes down when the current tick reaches 0|0|9|0
//! ```
//!
//! So entries lie in slots past the current digit, lower levels come before higher ones, and the next slot is the
//! lowest bit of the lowest level with any. Reaching a slot above level 0 spreads it over the levels below: an entry
//! moves seven times at most. Slots are doubly linked lists through a slab of entries. Eight levels hold every deadline
//! that fits into nanoseconds in a `u64`, so there is no list for what is out of range.
//!
//! Our own, because hierarchical_hash_wheel_timer 1.4.0 needs Rust 1.94.1 where this library promises 1.85. Besides,
//! its cancellable wheel (1.3.0 too) is built on `Rc`, so that workers cannot share it, and leaves the place of a
//! cancelled entry in the wheel until time gets there: an ask's timeout is nearly always cancelled.
//!
//! Gives up: resolution below a tick; and [`next_deadline`](Wheel::next_deadline) is a lower bound: for an entry above
//! level 0 the time at which its slot is spread, so a sleeper may wake up to seven times for nothing.

pub(crate) use crate::kernel::timers::Alarm as Key;
use std::mem;
use std::num::NonZeroU64;

/// Nanoseconds in a tick: a millisecond, as fine as a parked thread can be woken with any certainty.
const TICK: u64 = 1_000_000;
/// Bits of a digit.
const DIGIT: u32 = 6;
/// Slots at a level.
const SLOTS: usize = 1 << DIGIT;
/// Levels.
const LEVELS: usize = 8;
/// The list of what is due, behind the slots' lists.
const DUE: usize = LEVELS * SLOTS;
/// The end of a list.
const NIL: u32 = u32::MAX;
/// Entries whose memory is kept when the wheel becomes empty: a guess at what is not worth returning.
const KEPT: usize = 1024;

// Every tick that a deadline can have is below the reach of the levels.
const _: () = assert!((u64::MAX / TICK) >> (DIGIT * LEVELS as u32) == 0);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// Everything up to this tick has come out or is in the list of what is due.
    current: u64,
    /// The next stamp: the number of insertions so far, plus one.
    stamp: NonZeroU64,
    len: usize,
    /// By level: which slots have entries.
    occupied: [u64; LEVELS],
    lists: Box<[List]>,
    entries: Vec<Entry<T>>,
    /// Vacant entries, linked through `next`.
    vacant: u32,
    /// Work space of `advance`.
    batch: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NIL, last: NIL };

#[derive(Debug)]
struct Entry<T> {
    deadline: u64,
    /// Of the insertion that the entry is from, also after it has left.
    stamp: NonZeroU64,
    previous: u32,
    next: u32,
    /// The list it is in.
    list: u16,
    /// `None` when vacant.
    value: Option<T>,
}

impl<T> Wheel<T> {
    /// An empty wheel that stands at time zero.
    pub(crate) fn new() -> Self {
        Wheel {
            current: 0,
            stamp: NonZeroU64::MIN,
            len: 0,
            occupied: [0; LEVELS],
            lists: vec![EMPTY; DUE + 1].into(),
            entries: Vec::new(),
            vacant: NIL,
            batch: Vec::new(),
        }
    }

    /// How many entries are in.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts `value` in until `deadline`, in nanoseconds. `u64::MAX` never comes.
    ///
    /// # Panics
    /// With 2^32 - 1 entries in.
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> Key {
        let stamp = self.stamp;
        self.stamp = stamp.checked_add(1).expect("a wheel outlives no 2^64 insertions");
        let entry = Entry { deadline, stamp, previous: NIL, next: NIL, list: 0, value: Some(value) };
        let index = self.vacant;
        let index = if index == NIL {
            let index = u32::try_from(self.entries.len()).ok().filter(|&index| index != NIL);
            self.entries.push(entry);
            index.expect("a wheel holds fewer than 2^32 entries")
        } else {
            let place = &mut self.entries[index as usize];
            self.vacant = place.next;
            *place = entry;
            index
        };
        self.len += 1;
        self.link(index);
        Key { index, stamp }
    }

    /// Takes an entry out before its time; `None` if it has come out already.
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.stamp != key.stamp || entry.value.is_none() {
            return None;
        }
        let Entry { previous, next, list, .. } = *entry;
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.lists[list as usize].first = next,
        }
        match self.entries.get_mut(next as usize) {
            Some(next) => next.previous = previous,
            None => self.lists[list as usize].last = previous,
        }
        let list = list as usize;
        if list != DUE && self.lists[list].first == NIL {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
        let value = self.vacate(key.index);
        self.give_back();
        value
    }

    /// Moves the time on to `now`, never back, and appends what is due to `out`.
    pub(crate) fn advance(&mut self, now: u64, out: &mut Vec<T>) {
        let now = (now / TICK).max(self.current);
        loop {
            self.release(out);
            let Some((level, slot, tick)) = self.next_slot().filter(|&(_, _, tick)| tick <= now) else { break };
            self.current = tick;
            self.occupied[level] &= !(1 << slot);
            // At level 0 this moves all to the list of what is due, above it some of them.
            let mut index = mem::replace(&mut self.lists[level * SLOTS + slot], EMPTY).first;
            while index != NIL {
                let next = self.entries[index as usize].next;
                self.link(index);
                index = next;
            }
        }
        // No slot begins at or before `now`, so every entry still differs from it first at its own level.
        self.current = now;
        self.give_back();
    }

    /// When to advance next, at the latest: then something comes out, or comes nearer. `None` when empty.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let tick = match self.lists[DUE].first {
            NIL => self.next_slot()?.2,
            _ => self.current,
        };
        Some(tick.saturating_mul(TICK))
    }

    /// Takes everything out, in the order of insertion.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let mut left = mem::take(&mut self.entries);
        left.retain(|entry| entry.value.is_some());
        left.sort_unstable_by_key(|entry| entry.stamp);
        self.lists.fill(EMPTY);
        (self.len, self.vacant, self.occupied, self.batch) = (0, NIL, [0; LEVELS], Vec::new());
        left.into_iter().filter_map(|entry| entry.value).collect()
    }

    /// The first slot with entries, as level, slot and the tick at which it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = DIGIT * level as u32;
        // The current tick down to this level's digit, which the slot replaces.
        let above = self.current >> (shift + DIGIT) << (shift + DIGIT);
        Some((level, slot as usize, above | u64::from(slot) << shift))
    }

    /// Appends an entry to the list where it belongs at the current tick.
    fn link(&mut self, index: u32) {
        let tick = self.entries[index as usize].deadline.div_ceil(TICK);
        let list = if tick <= self.current {
            DUE
        } else {
            let level = (tick ^ self.current).ilog2() / DIGIT;
            let slot = (tick >> (level * DIGIT)) as usize % SLOTS;
            let level = level as usize;
            self.occupied[level] |= 1 << slot;
            level * SLOTS + slot
        };
        let last = mem::replace(&mut self.lists[list].last, index);
        match self.entries.get_mut(last as usize) {
            Some(last) => last.next = index,
            None => self.lists[list].first = index,
        }
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next, entry.list) = (last, NIL, list as u16);
    }

    /// Gives out what is due, in order.
    fn release(&mut self, out: &mut Vec<T>) {
        let mut batch = mem::take(&mut self.batch);
        let mut index = mem::replace(&mut self.lists[DUE], EMPTY).first;
        while index != NIL {
            batch.push(index);
            index = self.entries[index as usize].next;
        }
        batch.sort_unstable_by_key(|&index| {
            let entry = &self.entries[index as usize];
            (entry.deadline, entry.stamp)
        });
        out.extend(batch.drain(..).filter_map(|index| self.vacate(index)));
        self.batch = batch;
    }

    /// Empties an entry that is in no list.
    fn vacate(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.next = mem::replace(&mut self.vacant, index);
        self.len -= 1;
        entry.value.take()
    }

    /// Returns the memory of a peak once it is over. Stamps go on, so old keys stay dead.
    fn give_back(&mut self) {
        if self.len == 0 && self.entries.capacity() > KEPT {
            (self.entries, self.batch, self.vacant) = (Vec::new(), Vec::new(), NIL);
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "wheel_tests.rs"]
mod tests;
