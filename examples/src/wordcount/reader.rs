//! A reader turns documents into chunks, as fast as its credits come back.
//!
//! A read blocks the worker for as long as the disk takes; the other workers go on.

use std::io;

use cuelight::{Actor, Context, Handler, Recipient};

use super::chunk::{CREDITS, Chunk};
use super::console::Event;
use super::document::{Document, Skipped, Source};
use super::job::{Next, Read};
use super::pieces::{Pieces, Text};
use super::tokenizer::Split;

/// A chunk that has been counted, back at its reader.
pub struct Credit(pub Chunk);

/// The next document, or none if there are no more.
pub struct Assign(pub Option<Box<dyn Document>>);

/// See the module.
pub struct Reader {
    job: Recipient<Next>,
    console: Recipient<Event>,
    tokenizers: Vec<Recipient<Split>>,
    /// Whose turn it is among the tokenizers.
    turn: usize,
    shards: usize,
    /// The credits at hand.
    idle: Vec<Chunk>,
    open: Option<Open>,
    /// There are no more documents.
    last: bool,
}

/// The document being read.
struct Open {
    name: String,
    pieces: Pieces<Source>,
    bytes: u64,
}

impl Reader {
    /// Makes a reader that asks `job` for documents and hands chunks to `tokenizers` in turn.
    pub fn new(
        job: Recipient<Next>,
        console: Recipient<Event>,
        tokenizers: Vec<Recipient<Split>>,
        shards: usize,
    ) -> Self {
        Self { job, console, tokenizers, turn: 0, shards, idle: Vec::with_capacity(CREDITS), open: None, last: false }
    }

    /// Reads while there are a document and a credit.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        while let Some(mut open) = self.open.take() {
            let Some(mut chunk) = self.idle.pop() else {
                self.open = Some(open);
                break;
            };
            let text = chunk.fill(&mut open.pieces);
            open.bytes += chunk.len() as u64;
            self.pass_on(chunk);
            match text {
                Text::Goes => self.open = Some(open),
                Text::Ended => self.close(open, None, ctx),
                Text::Failed(error) => self.close(open, Some(error), ctx),
            }
        }
        // With every credit back, all that was read has been counted.
        if self.last && self.idle.len() == CREDITS {
            ctx.stop();
        }
    }

    /// Who refuses a message has stopped before its time: the job, which watches, fails.
    fn pass_on(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            self.idle.push(chunk);
            return;
        }
        let _ = self.console.tell(Event::Read(chunk.len() as u64));
        let tokenizer = &self.tokenizers[self.turn];
        self.turn = (self.turn + 1) % self.tokenizers.len();
        let _ = tokenizer.tell(Split(chunk));
    }

    fn close(&self, open: Open, error: Option<io::Error>, ctx: &mut Context<Self>) {
        let Open { name, bytes, .. } = open;
        let skipped = error.map(|error| Skipped { name, error });
        self.ask_for_more(Some(Read { bytes, skipped }), ctx);
    }

    fn ask_for_more(&self, read: Option<Read>, ctx: &mut Context<Self>) {
        let reader = ctx.me();
        let _ = self.job.tell(Next { reader, read });
    }
}

impl Actor for Reader {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let credit = || Chunk::new(ctx.me(), self.shards);
        self.idle.extend(std::iter::repeat_with(credit).take(CREDITS));
        self.ask_for_more(None, ctx);
    }
}

impl Handler<Assign> for Reader {
    type Reply = ();

    fn handle(&mut self, Assign(document): Assign, ctx: &mut Context<Self>) {
        let Some(document) = document else {
            self.last = true;
            return self.advance(ctx);
        };
        let name = document.name();
        match document.open() {
            Ok(source) => {
                self.open = Some(Open { name, pieces: Pieces::new(source), bytes: 0 });
                self.advance(ctx);
            }
            Err(error) => {
                let skipped = Some(Skipped { name, error });
                self.ask_for_more(Some(Read { bytes: 0, skipped }), ctx);
            }
        }
    }
}

impl Handler<Credit> for Reader {
    type Reply = ();

    fn handle(&mut self, Credit(chunk): Credit, ctx: &mut Context<Self>) {
        self.idle.push(chunk);
        self.advance(ctx);
    }
}
