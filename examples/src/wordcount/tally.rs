//! Counts of words, by shard and merged.
//!
//! A shard holds the words whose hash falls to it, and no other shard has them; so sums are sums,
//! and the most frequent of all are among the most frequent of each.

use std::collections::HashMap;

/// A word and how often it occurs.
pub type Count = (String, u64);

/// Returns the shard, of `shards`, that counts `word`.
pub fn shard(word: &[u8], shards: usize) -> usize {
    // FNV-1a; the high half, as its low bits follow the last letter.
    let hash = word
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 32) as usize % shards
}

/// The words of one shard.
#[derive(Debug, Default)]
pub struct Tally {
    words: u64,
    counts: HashMap<Box<[u8]>, u64>,
}

impl Tally {
    /// Counts `word` once more.
    pub fn add(&mut self, word: &[u8]) {
        self.words += 1;
        // Looked up by reference first: only a new word is copied.
        if let Some(count) = self.counts.get_mut(word) {
            *count += 1;
        } else {
            self.counts.insert(word.into(), 1);
        }
    }

    /// Returns the sums, and the `top` most frequent words.
    pub fn totals(&self, top: usize) -> Totals {
        let mut counts: Vec<(&[u8], u64)> = self.counts.iter().map(|(w, &n)| (&**w, n)).collect();
        let distinct = counts.len() as u64;
        first(&mut counts, top);
        Totals {
            words: self.words,
            distinct,
            top: counts.into_iter().map(|(word, count)| (String::from_utf8_lossy(word).into_owned(), count)).collect(),
        }
    }
}

/// What one shard, or all of them, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Words, each occurrence.
    pub words: u64,
    /// Words, each once.
    pub distinct: u64,
    /// The most frequent ones first, equals by their bytes.
    pub top: Vec<Count>,
}

impl Totals {
    /// Adds another shard's totals, and keeps the `top` most frequent words.
    pub fn merge(&mut self, other: Totals, top: usize) {
        self.words += other.words;
        self.distinct += other.distinct;
        self.top.extend(other.top);
        first(&mut self.top, top);
    }
}

/// Keeps the `top` most frequent, in order.
fn first<W: Ord>(counts: &mut Vec<(W, u64)>, top: usize) {
    let by_count = |a: &(W, u64), b: &(W, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    if top < counts.len() {
        counts.select_nth_unstable_by(top, by_count);
        counts.truncate(top);
    }
    counts.sort_unstable_by(by_count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_to_one() {
        let text = "to be or not to be that is the question the be";
        let mut whole = Tally::default();
        let mut shards: [Tally; 3] = Default::default();
        for word in text.split(' ') {
            whole.add(word.as_bytes());
            shards[shard(word.as_bytes(), 3)].add(word.as_bytes());
        }
        for top in [0, 1, 3, 100] {
            let mut merged = Totals::default();
            for shard in &shards {
                merged.merge(shard.totals(top), top);
            }
            assert_eq!(merged, whole.totals(top));
        }
        let top: Vec<Count> = whole.totals(3).top;
        assert_eq!(top, [("be".into(), 3), ("the".into(), 2), ("to".into(), 2)]);
    }
}
