//! A chunk is a buffer and a credit: a reader owns [`CREDITS`] of them, and without one at hand it
//! cannot read. Its way is reader, tokenizer, counters, reader; so what is between a reader and
//! the counts never exceeds those sixteen, whoever is slow, and buffers are made once.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use cuelight::ActorRef;

use super::pieces::{Pieces, Text};
use super::reader::{Credit, Reader};
use super::{tally, text};

/// The bytes of a chunk.
pub const CHUNK: usize = 64 * 1024;

/// The chunks of a reader.
pub const CREDITS: usize = 16;

/// A piece of text that ends between words, and where its words are.
#[derive(Debug)]
pub struct Chunk {
    text: Box<[u8]>,
    len: usize,
    /// For each shard the places of its words.
    places: Vec<Vec<Place>>,
    reader: ActorRef<Reader>,
}

/// A word within a chunk, in four bytes: a chunk of one-letter words has half as many as bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u16,
    len: u16,
}

const _: () = assert!(CHUNK - 1 <= u16::MAX as usize);
const _: () = assert!(text::MAX_WORD <= u16::MAX as usize);

impl From<Range<usize>> for Place {
    fn from(at: Range<usize>) -> Self {
        // Neither cast cuts anything off: see the assertions above.
        Self { start: at.start as u16, len: at.len() as u16 }
    }
}

impl From<Place> for Range<usize> {
    fn from(place: Place) -> Self {
        let start = usize::from(place.start);
        start..start + usize::from(place.len)
    }
}

impl Chunk {
    /// Makes an empty chunk that belongs to `reader`.
    pub fn new(reader: ActorRef<Reader>, shards: usize) -> Self {
        Self { text: vec![0; CHUNK].into(), len: 0, places: vec![Vec::new(); shards], reader }
    }

    /// Returns how many bytes of text it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it holds no text.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Replaces its text by the next piece.
    pub fn fill<R: Read>(&mut self, pieces: &mut Pieces<R>) -> Text {
        let (len, text) = pieces.read(&mut self.text);
        self.len = len;
        text
    }

    /// Finds its words and divides them among the shards.
    pub fn divide(&mut self) {
        self.places.iter_mut().for_each(Vec::clear);
        let text = &self.text[..self.len];
        for at in text::words(text) {
            let shard = tally::shard(&text[at.clone()], self.places.len());
            self.places[shard].push(at.into());
        }
    }

    /// Returns the words of a shard, in order.
    pub fn words(&self, shard: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let places = self.places.get(shard).map_or(&[][..], Vec::as_slice);
        places.iter().map(|&place| &self.text[Range::from(place)])
    }

    /// Sends the chunk back to its reader if `shared` is the last that is needed of it.
    pub fn release(shared: Arc<Self>) {
        if let Some(chunk) = Arc::into_inner(shared) {
            // A reader that is gone needs no credit.
            let _ = chunk.reader.clone().tell(Credit(chunk));
        }
    }
}
