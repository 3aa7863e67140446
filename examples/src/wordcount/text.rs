//! What a word is, and where a text may be cut.
//!
//! A word is a run of letters, digits and underscores, by Unicode. Case counts and nothing is
//! normalised, so a combining mark separates. Bytes that are not UTF-8 separate too, so any file
//! has an answer. A run longer than [`MAX_WORD`] bytes is counted in pieces of at most that many,
//! measured from its start: what a word is does not depend on how the text was cut.
//!
//! Given up: a word as linguists see it, as in "don't" or in scripts without spaces.

use std::ops::Range;
use std::str;

/// The longest word, in bytes; longer runs fall into pieces.
pub const MAX_WORD: usize = 1024;

/// The most that [`whole`] leaves behind: a piece that may still grow, and a character cut short.
pub const MAX_REST: usize = MAX_WORD + 3;

/// Returns the place of each word of `text`, in order.
pub fn words(text: &[u8]) -> Words<'_> {
    Words { text, at: 0 }
}

/// See [`words`].
#[derive(Debug)]
pub struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Unit { word: false, len } = first(self.text.get(self.at..)?)? {
            self.at += len;
        }
        let start = self.at;
        while let Some(Unit { word: true, len }) = self.text.get(self.at..).and_then(first) {
            if self.at + len - start > MAX_WORD {
                break;
            }
            self.at += len;
        }
        Some(start..self.at)
    }
}

/// Returns how many bytes of `text` hold only words that nothing appended could change.
///
/// The rest, at most [`MAX_REST`] bytes, belongs before what follows. `text` must start where a
/// text starts or where an earlier cut was.
pub fn whole(text: &[u8]) -> usize {
    let end = text.len() - unfinished(text);
    let mut start = end;
    while let Some(Unit { word: true, len }) = text.get(..start).and_then(last) {
        start -= len;
    }
    // From `start` there is but one run: its last piece may grow, those before it may not.
    let run = text.get(start..end).unwrap_or_default();
    words(run).last().map_or(end, |piece| start + piece.start)
}

/// One character, or one byte that is none.
struct Unit {
    word: bool,
    len: usize,
}

const GARBAGE: Unit = Unit { word: false, len: 1 };

const ASCII: [bool; 128] = {
    let mut table = [false; 128];
    let mut at = 0;
    while at < table.len() {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric() || byte == b'_';
        at += 1;
    }
    table
};

fn ascii(byte: u8) -> Option<Unit> {
    let word = *ASCII.get(usize::from(byte))?;
    Some(Unit { word, len: 1 })
}

fn unit(c: char) -> Unit {
    Unit { word: c.is_alphanumeric() || c == '_', len: c.len_utf8() }
}

fn first(text: &[u8]) -> Option<Unit> {
    ascii(*text.first()?).or_else(|| {
        let head = text.get(..4).unwrap_or(text);
        let valid = head.utf8_chunks().next()?.valid();
        Some(valid.chars().next().map_or(GARBAGE, unit))
    })
}

/// Reads backwards what [`first`] reads forwards. They agree: whatever stands before it, a byte
/// that does not continue a character starts one, so a character is valid for both or for neither.
fn last(text: &[u8]) -> Option<Unit> {
    ascii(*text.last()?).or_else(|| {
        let tail = last_start(text, 4);
        let valid = str::from_utf8(tail).unwrap_or_default();
        Some(valid.chars().next().map_or(GARBAGE, unit))
    })
}

/// Returns how many bytes at the end of `text` begin a character that is not all there.
fn unfinished(text: &[u8]) -> usize {
    let tail = last_start(text, 3);
    match str::from_utf8(tail) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => tail.len(),
        _ => 0,
    }
}

/// Returns the end of `text` from the last byte that can start a character, if it is among the
/// last `most`, else nothing.
fn last_start(text: &[u8], most: usize) -> &[u8] {
    let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let back = text.iter().rev().take(most).position(|b| !continues(b));
    back.map_or(&[], |back| &text[text.len() - 1 - back..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8]) -> Vec<&str> {
        words(text).map(|at| str::from_utf8(&text[at]).unwrap()).collect()
    }

    #[test]
    fn separators_and_unicode() {
        assert_eq!(split(b""), [""; 0]);
        assert_eq!(split(b" \r\n\t.,-"), [""; 0]);
        assert_eq!(split(b"one two\r\nthree_3"), ["one", "two", "three_3"]);
        assert_eq!(split("Grüße, мир! 東京—ß".as_bytes()), ["Grüße", "мир", "東京", "ß"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_separate() {
        assert_eq!(split(b"a\xffb\xc3"), ["a", "b"]);
        assert_eq!(split(b"x\xe0\x80\x80y\xf0\x9f\x98z"), ["x", "y", "z"]);
        assert_eq!(split(b"\xc3\xa9\xa9\xa9\xa9\xa9q"), ["é", "q"]);
    }

    #[test]
    fn long_runs_fall_into_pieces() {
        let run = "x".repeat(2 * MAX_WORD + 5);
        let lens: Vec<usize> = words(run.as_bytes()).map(|at| at.len()).collect();
        assert_eq!(lens, [MAX_WORD, MAX_WORD, 5]);

        let run = format!("a{}", "é".repeat(MAX_WORD / 2));
        let lens: Vec<usize> = words(run.as_bytes()).map(|at| at.len()).collect();
        assert_eq!(lens, [MAX_WORD - 1, 2]);
    }

    #[test]
    fn cuts_fall_between_words() {
        assert_eq!(whole(b""), 0);
        assert_eq!(whole(b"one two"), 4);
        assert_eq!(whole(b"one two "), 8);
        assert_eq!(whole(b"one"), 0);
        assert_eq!(whole("one tw\u{e9}".as_bytes()), 4);
        assert_eq!(whole(b"one tw\xc3"), 4);
        assert_eq!(whole(b"one \xf0\x9f\x98"), 4);
        assert_eq!(whole(b"one \xa9\xa9\xa9\xa9"), 8);
        assert_eq!(whole(b"one \xff"), 5);
    }

    #[test]
    fn a_cut_leaves_little_behind() {
        for c in ["x", "é", "東", "𝒳"] {
            for tail in [&b""[..], b"\xf0\x9d\x92"] {
                let mut text = c.repeat(5 * MAX_WORD).into_bytes();
                text.extend_from_slice(tail);
                assert!(text.len() - whole(&text) <= MAX_REST);
            }
        }
    }
}
