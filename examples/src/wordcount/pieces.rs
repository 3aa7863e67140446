//! Reads a text in pieces that end between words.
//!
//! What [`text::whole`] leaves behind at the end of one piece is carried to the start of the next.
//! A read that fails ends the text: what was read before it is still handed out.

use std::io::{self, Read};

use super::text::{self, MAX_REST};

/// A text, read piece by piece.
#[derive(Debug)]
pub struct Pieces<R> {
    source: R,
    carry: Vec<u8>,
}

/// What the reading of a piece showed of the text.
#[derive(Debug)]
pub enum Text {
    /// There may be more.
    Goes,
    /// This was the last piece.
    Ended,
    /// This was the last piece that could be read.
    Failed(io::Error),
}

impl<R: Read> Pieces<R> {
    /// Starts at the beginning of `source`.
    pub fn new(source: R) -> Self {
        let carry = Vec::with_capacity(MAX_REST);
        Self { source, carry }
    }

    /// Fills `piece`, which must be longer than what may be carried, from its start; returns how
    /// many bytes it holds now, and how the text stands.
    pub fn read(&mut self, piece: &mut [u8]) -> (usize, Text) {
        assert!(piece.len() > MAX_REST, "no room beside what is carried");
        let mut len = self.carry.len();
        piece[..len].copy_from_slice(&self.carry);
        self.carry.clear();
        while len < piece.len() {
            match self.source.read(&mut piece[len..]) {
                Ok(0) => return (len, Text::Ended),
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (len, Text::Failed(error)),
            }
        }
        let whole = text::whole(piece);
        self.carry.extend_from_slice(&piece[whole..]);
        (whole, Text::Goes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::{MAX_WORD, words};
    use super::*;

    /// Hands out `text` a few bytes at a time, then ends or fails.
    struct Drip<'a> {
        text: &'a [u8],
        step: usize,
        fails: bool,
    }

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.step = self.step % 7 + 1;
            if self.step == 3 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.text.is_empty() && self.fails {
                return Err(io::Error::other("worn out"));
            }
            let len = self.text.len().min(into.len()).min(self.step * 100);
            into[..len].copy_from_slice(&self.text[..len]);
            self.text = &self.text[len..];
            Ok(len)
        }
    }

    fn in_pieces(text: &[u8], room: usize, fails: bool) -> Vec<Vec<u8>> {
        let mut pieces = Pieces::new(Drip { text, step: 0, fails });
        let mut piece = vec![0; room];
        let mut found = Vec::new();
        loop {
            let (len, state) = pieces.read(&mut piece);
            let piece = &piece[..len];
            found.extend(words(piece).map(|at| piece[at].to_vec()));
            match state {
                Text::Goes => {}
                Text::Ended => break assert!(!fails),
                Text::Failed(_) => break assert!(fails),
            }
        }
        found
    }

    /// Texts of a few alphabets, so that every kind of cut occurs.
    fn texts() -> Vec<Vec<u8>> {
        let alphabets: [&[&[u8]]; 5] = [
            &[b"a", b"b", b" ", b"\r\n"],
            &["é".as_bytes(), "東".as_bytes(), "𝒳".as_bytes(), b"x"],
            &["é".as_bytes(), "—".as_bytes(), b"_", "\u{301}".as_bytes()],
            &[b"\xff", b"\xc3", b"\xa9", b"\xf0\x9f", b"\xe2\x82", b"k"],
            &[b"a"],
        ];
        let mut state = 1_u64;
        let mut texts = Vec::new();
        for alphabet in alphabets {
            for len in [0, 1, 3000, 20_000] {
                let mut text = Vec::new();
                while text.len() < len {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    text.extend_from_slice(alphabet[(state >> 33) as usize % alphabet.len()]);
                }
                texts.push(text);
            }
        }
        texts
    }

    #[test]
    fn pieces_hold_the_words_of_the_whole() {
        for text in texts() {
            let expected: Vec<Vec<u8>> = words(&text).map(|at| text[at].to_vec()).collect();
            for room in [MAX_REST + 1, MAX_REST + 2, 2 * MAX_WORD, 5000, 64 * 1024] {
                for fails in [false, true] {
                    assert_eq!(in_pieces(&text, room, fails), expected, "in {room}");
                }
            }
        }
    }
}
