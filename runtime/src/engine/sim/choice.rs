//! What a simulation chooses, and the record of it.
//!
//! Promise: all that is not given by the program is one sequence of choices, drawn from the seed. The first alternative is
//! always the plain one: the actor that has waited longest, no fault. So a recorded sequence is short if it names the other
//! choices only, and stays one if some of them are taken back.
//!
//! How: a generator, or a script of choices by their position, and plain ones elsewhere.

use super::rng::Rng;

/// A choice that was not the plain one: its position in the sequence, and which it was.
pub(crate) type Choice = (u64, u64);

/// Probabilities are in units of 2^-32.
pub(crate) const CERTAIN: u64 = 1 << 32;

#[derive(Debug)]
pub(crate) struct Chooser {
    rng: Rng,
    /// Choices made.
    count: u64,
    script: Option<Vec<Choice>>,
    /// Of the script, those that have been made.
    done: usize,
    record: Option<Vec<Choice>>,
}

impl Chooser {
    /// Draws from a seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { rng: Rng::new(seed), count: 0, script: None, done: 0, record: None }
    }

    /// Follows a script instead.
    pub(crate) fn follow(&mut self, script: Vec<Choice>) {
        self.script = Some(script);
    }

    /// Keeps a record from now on.
    pub(crate) fn keep_record(&mut self) {
        self.record = Some(Vec::new());
    }

    pub(crate) fn record(&self) -> &[Choice] {
        self.record.as_deref().unwrap_or_default()
    }

    /// One of `n`.
    #[inline]
    pub(crate) fn choose(&mut self, n: u64) -> u64 {
        self.decide(n, |rng| rng.below(n))
    }

    /// One of `n`, by a way of choosing that may draw numbers.
    #[inline]
    pub(crate) fn decide(&mut self, n: u64, draw: impl FnOnce(&mut Rng) -> u64) -> u64 {
        if n < 2 {
            return 0;
        }
        let position = self.count;
        self.count += 1;
        let choice = match &self.script {
            None => draw(&mut self.rng),
            Some(script) => match script.get(self.done) {
                Some(&(at, choice)) if at == position => {
                    self.done += 1;
                    choice.min(n - 1)
                }
                _ => 0,
            },
        };
        if choice != 0 {
            if let Some(record) = &mut self.record {
                record.push((position, choice));
            }
        }
        choice
    }

    /// Whether something of this probability happens.
    #[inline]
    pub(crate) fn chance(&mut self, probability: u64) -> bool {
        probability > 0 && self.decide(2, |rng| u64::from(rng.below(CERTAIN) < probability)) == 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn drawn(chooser: &mut Chooser) -> Vec<u64> {
        (0..100).map(|n| chooser.choose(n % 5) + u64::from(chooser.chance(CERTAIN / 2))).collect()
    }

    #[test]
    fn a_record_is_a_script() {
        let mut first = Chooser::seeded(7);
        first.keep_record();
        let wanted = drawn(&mut first);
        let mut second = Chooser::seeded(8);
        second.follow(first.record().to_vec());
        assert_eq!(drawn(&mut second), wanted);
        assert!(wanted.iter().any(|&choice| choice > 0));
        // Without it all is plain.
        let mut plain = Chooser::seeded(7);
        plain.follow(Vec::new());
        assert_eq!(drawn(&mut plain), [0; 100]);
    }

    #[test]
    fn what_is_impossible_or_certain_is() {
        let mut chooser = Chooser::seeded(1);
        assert!((0..1000).all(|_| !chooser.chance(0) && chooser.chance(CERTAIN)));
        assert_eq!((chooser.choose(0), chooser.choose(1)), (0, 0));
    }
}
