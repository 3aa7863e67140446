//! The wheel against an ordered map, and at its edges.

use std::collections::BTreeMap;

use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Any number of bits up to `bits` is as likely as any other.
    fn scaled(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1) as u32;
        self.next().checked_shr(64 - bits).unwrap_or(0)
    }
}

impl<T> Wheel<T> {
    fn advanced(&mut self, now: u64) -> Vec<T> {
        let mut out = Vec::new();
        self.advance(now, &mut out);
        out
    }

    /// What the module says about lists, bits and the slab.
    fn assert_sound(&self) {
        let mut linked = 0;
        for (at, list) in self.lists.iter().enumerate() {
            let (mut previous, mut index) = (NIL, list.first);
            while index != NIL {
                let entry = &self.entries[index as usize];
                assert!(entry.value.is_some());
                assert_eq!((entry.list as usize, entry.previous), (at, previous));
                let tick = entry.deadline.div_ceil(TICK);
                if at == DUE {
                    assert!(tick <= self.current);
                } else {
                    let (level, slot) = ((at / SLOTS) as u32, (at % SLOTS) as u64);
                    assert_eq!((tick ^ self.current).ilog2() / DIGIT, level);
                    assert_eq!(tick >> (DIGIT * level) & 63, slot);
                    assert!(slot > self.current >> (DIGIT * level) & 63, "past the current digit");
                }
                linked += 1;
                (previous, index) = (index, entry.next);
            }
            assert_eq!(list.last, previous);
            if at != DUE {
                let bit = self.occupied[at / SLOTS] >> (at % SLOTS) & 1;
                assert_eq!(bit == 1, list.first != NIL);
            }
        }
        let mut vacant = 0;
        let mut index = self.vacant;
        while index != NIL {
            vacant += 1;
            index = self.entries[index as usize].next;
        }
        assert_eq!((linked, linked + vacant), (self.len, self.entries.len()));
    }
}

#[test]
fn agrees_with_an_ordered_map() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut wheel = Wheel::new();
        // By deadline and insertion, as the wheel gives out.
        let mut model: BTreeMap<(u64, u64), Key> = BTreeMap::new();
        let mut dead = Vec::new();
        let mut now = 0_u64;
        for id in 0..4000_u64 {
            match random.below(10) {
                0..=5 => {
                    let deadline = match random.below(12) {
                        0 => now,
                        1 => now.saturating_sub(random.scaled(40)),
                        2 => 0,
                        3 => u64::MAX - random.below(2),
                        4 => now.saturating_add(random.scaled(8) * TICK),
                        _ => now.saturating_add(random.scaled(64)),
                    };
                    model.insert((deadline, id), wheel.insert(deadline, (deadline, id)));
                }
                6 | 7 => {
                    let from = (random.scaled(64), 0);
                    let live = model.range(from..).next().or(model.iter().next()).map(|(&at, _)| at);
                    if let Some(at) = live {
                        let key = model.remove(&at).unwrap();
                        assert_eq!(wheel.cancel(key), Some(at));
                        dead.push(key);
                    }
                }
                8 if !dead.is_empty() => {
                    let key = dead[random.below(dead.len() as u64) as usize];
                    assert_eq!(wheel.cancel(key), None, "seed {seed}: a dead key names nothing");
                }
                _ => {
                    let past = now;
                    now = match (random.below(4), wheel.next_deadline()) {
                        (0, Some(next)) => now.max(next),
                        (1, _) => now.saturating_add(random.scaled(if id > 3900 { 64 } else { 50 })),
                        (2, _) => now.saturating_sub(random.scaled(30)),
                        _ => now.saturating_add(random.below(3 * TICK)),
                    };
                    let expected: Vec<_> = {
                        let reached = now.max(past) / TICK;
                        let due = model.keys().take_while(|(deadline, _)| deadline.div_ceil(TICK) <= reached);
                        due.copied().collect()
                    };
                    dead.extend(expected.iter().filter_map(|at| model.remove(at)));
                    assert_eq!(wheel.advanced(now), expected, "seed {seed}, from {past} to {now}");
                    now = now.max(past);
                }
            }
            assert_eq!(wheel.len(), model.len());
            let first = model.keys().next().map(|&(deadline, _)| deadline.div_ceil(TICK).saturating_mul(TICK));
            match (first, wheel.next_deadline()) {
                (None, None) => {}
                (Some(first), Some(next)) if first <= now => assert!(next <= now, "what is due is due now"),
                (Some(first), Some(next)) => assert!(next <= first && next > now, "a bound that is still to come"),
                other => panic!("seed {seed}: {other:?}"),
            }
            if id % 64 == 0 {
                wheel.assert_sound();
            }
        }
        wheel.assert_sound();
        let mut left: Vec<_> = model.into_keys().collect();
        left.sort_unstable_by_key(|&(_, id)| id);
        assert_eq!(wheel.clear(), left, "in the order of insertion");
        assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
        wheel.assert_sound();
    }
}

#[test]
fn is_never_early_and_at_most_a_tick_late() {
    for deadline in [1, TICK - 1, TICK, TICK + 1, 63 * TICK, 64 * TICK, 64 * TICK + 1, 4096 * TICK, 1 << 60] {
        let mut wheel = Wheel::new();
        wheel.insert(deadline, ());
        assert_eq!(wheel.advanced(deadline - 1), []);
        assert_eq!(wheel.advanced(deadline.saturating_add(TICK - 1)), [()], "{deadline}");
    }
}

#[test]
fn what_is_past_comes_at_once() {
    let mut wheel = Wheel::new();
    wheel.insert(0, 'a');
    assert_eq!(wheel.next_deadline(), Some(0));
    assert_eq!(wheel.advanced(0), ['a']);
    let now = 5 * TICK + 17;
    assert_eq!(wheel.advanced(now), []);
    wheel.insert(5 * TICK, 'b');
    wheel.insert(3, 'c');
    wheel.insert(now, 'd');
    assert_eq!(wheel.next_deadline(), Some(5 * TICK));
    assert_eq!(wheel.advanced(0), ['c', 'b'], "time does not go back, and `now` is rounded up");
    assert_eq!(wheel.next_deadline(), Some(6 * TICK));
    assert_eq!(wheel.advanced(6 * TICK), ['d']);
}

#[test]
fn the_end_of_time_never_comes() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(u64::MAX, 'n');
    wheel.insert(u64::MAX / TICK * TICK, 'l');
    assert_eq!(wheel.advanced(u64::MAX), ['l']);
    assert_eq!(wheel.next_deadline(), Some(u64::MAX));
    assert_eq!(wheel.cancel(key), Some('n'));
    assert_eq!(wheel.next_deadline(), None);
    wheel.insert(u64::MAX - TICK, 'p');
    assert_eq!(wheel.advanced(u64::MAX), ['p']);
}

#[test]
fn waiting_for_the_next_deadline_gets_there() {
    let mut random = Random(1);
    let mut wheel = Wheel::new();
    let mut entries: Vec<u64> = (0..1000).map(|_| random.scaled(63)).collect();
    for &deadline in &entries {
        wheel.insert(deadline, deadline);
    }
    let mut out = Vec::new();
    let mut wakes = 0;
    let mut last = None;
    while let Some(next) = wheel.next_deadline() {
        assert!(last < Some(next), "later each time");
        last = Some(next);
        wheel.advance(next, &mut out);
        wakes += 1;
    }
    entries.sort_unstable();
    assert_eq!(out, entries);
    assert!(wakes <= entries.len() * LEVELS);
}

#[test]
fn one_deadline_wakes_once_a_level() {
    let mut wheel = Wheel::new();
    wheel.insert(5_000 * TICK, ());
    let mut wakes = Vec::new();
    while let Some(next) = wheel.next_deadline() {
        wakes.push(next / TICK);
        wheel.advanced(next);
    }
    assert_eq!(wakes, [4096, 4992, 5000]);
}

#[test]
fn a_million_half_of_them_cancelled() {
    const MANY: u64 = 1_000_000;
    let mut random = Random(2);
    let mut wheel = Wheel::new();
    let hour = 3_600_000 * TICK;
    let keys: Vec<(u64, Key)> = (0..MANY)
        .map(|_| {
            let deadline = random.below(hour);
            (deadline, wheel.insert(deadline, deadline))
        })
        .collect();
    for (deadline, key) in keys.iter().step_by(2) {
        assert_eq!(wheel.cancel(*key), Some(*deadline));
    }
    assert_eq!(wheel.len() as u64, MANY / 2);
    let capacity = wheel.entries.capacity();
    let again: Vec<Key> = (0..MANY / 2).map(|_| wheel.insert(hour, hour)).collect();
    assert_eq!(wheel.entries.capacity(), capacity, "the places of the cancelled are used again");
    again.into_iter().for_each(|key| assert!(wheel.cancel(key).is_some()));

    let mut expected: Vec<u64> = keys.iter().skip(1).step_by(2).map(|&(deadline, _)| deadline).collect();
    expected.sort_unstable();
    let mut out = Vec::new();
    let mut now = 0;
    while wheel.len() > 0 {
        now += random.below(20_000 * TICK);
        let before = out.len();
        wheel.advance(now, &mut out);
        assert!(out[before..].iter().all(|&deadline| deadline <= now), "none early");
        assert!(expected.get(out.len()).is_none_or(|&deadline| deadline + TICK > now), "none late");
    }
    assert_eq!(out, expected);
    assert_eq!(wheel.entries.capacity(), 0, "the peak is given back");
    assert!(keys.iter().all(|&(_, key)| wheel.cancel(key).is_none()));
}

#[test]
fn a_day_has_no_drift() {
    let mut wheel = Wheel::new();
    let period = 997_300_007;
    let day = 86_400_000 * TICK;
    let (mut deadline, mut fired) = (period, 0_u64);
    wheel.insert(deadline, ());
    let mut out = Vec::new();
    while deadline <= day {
        // Each step a third of a tick beyond the deadline: an error would add up.
        wheel.advance(deadline.next_multiple_of(TICK) + TICK / 3, &mut out);
        assert_eq!(out.drain(..).count(), 1);
        fired += 1;
        deadline += period;
        wheel.insert(deadline, ());
    }
    assert_eq!(fired, day / period);
}
