//! The job: it makes the other actors, hands out documents, and adds up what comes back.
//!
//! A reader stops when all it read has been counted. When the last one has, the counters are asked
//! for their totals. Any other end of a child is the job's failure.

use std::fmt;
use std::time::Duration;
use std::vec;

use cuelight::{Actor, ActorRef, AskError, Context, Handler, Recipient, ReplyTo, StopReason, Terminated};

use super::console::Event;
use super::counter::{Counter, Total};
use super::document::{Document, Skipped};
use super::reader::{Assign, Reader};
use super::tally::Totals;
use super::tokenizer::Tokenizer;

/// How many actors share the work, at least one of each, and what to show of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Actors that read.
    pub readers: usize,
    /// Actors that split.
    pub tokenizers: usize,
    /// Actors that count.
    pub shards: usize,
    /// How many of the most frequent words to return.
    pub top: usize,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Documents that were read to their end.
    pub files: u64,
    /// Documents that were not; what could be read of them has been counted.
    pub skipped: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Words, and the most frequent ones.
    pub totals: Totals,
}

/// Why nothing was counted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// An actor of the job ended before its time.
    Ended(StopReason),
    /// An answer did not come.
    Unanswered(AskError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(reason) => write!(f, "a part of the job ended early: {reason}"),
            Self::Unanswered(error) => write!(f, "a part of the job did not answer: {error}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unanswered(error) => Some(error),
            Self::Ended(_) => None,
        }
    }
}

/// What the asker of a job gets.
pub type Outcome = Result<Summary, Failure>;

/// Begins; the answer comes when all is counted, or cannot be.
pub struct Start(pub ReplyTo<Outcome>);

/// A reader has nothing to read.
pub struct Next {
    /// The reader.
    pub reader: ActorRef<Reader>,
    /// What became of its last document.
    pub read: Option<Read>,
}

/// What became of a document.
pub struct Read {
    /// The bytes that could be read.
    pub bytes: u64,
    /// Why these are not all.
    pub skipped: Option<Skipped>,
}

/// See the module.
pub struct Job {
    plan: Plan,
    documents: vec::IntoIter<Box<dyn Document>>,
    console: Recipient<Event>,
    summary: Summary,
    /// Readers that have not stopped.
    reading: usize,
    /// Counters whose totals are missing.
    counting: usize,
    counters: Vec<ActorRef<Counter>>,
    /// Until the answer is known.
    asker: Option<ReplyTo<Outcome>>,
}

impl Job {
    /// Makes a job for these documents.
    pub fn new(plan: Plan, documents: Vec<Box<dyn Document>>, console: Recipient<Event>) -> Self {
        let Plan { readers, tokenizers, shards, top } = plan;
        Self {
            plan: Plan { readers: readers.max(1), tokenizers: tokenizers.max(1), shards: shards.max(1), top },
            documents: documents.into_iter(),
            console,
            summary: Summary::default(),
            reading: 0,
            counting: 0,
            counters: Vec::new(),
            asker: None,
        }
    }

    fn ask_for_totals(&mut self, ctx: &mut Context<Self>) {
        let top = self.plan.top;
        self.counting = self.counters.len();
        for counter in &self.counters {
            // No limit: sorting takes what it takes, and the end of a counter is an answer too.
            ctx.ask(counter, Total { top }, Duration::MAX, Self::add_totals);
        }
    }

    fn add_totals(&mut self, totals: Result<Totals, AskError>, ctx: &mut Context<Self>) {
        match totals {
            Ok(totals) => {
                self.summary.totals.merge(totals, self.plan.top);
                self.counting -= 1;
                if self.counting == 0 {
                    let summary = std::mem::take(&mut self.summary);
                    self.end(Ok(summary), ctx);
                }
            }
            Err(error) => self.end(Err(Failure::Unanswered(error)), ctx),
        }
    }

    /// The console answers for the job, so that its last line stands before the answer is there.
    fn end(&mut self, outcome: Outcome, ctx: &mut Context<Self>) {
        if let Some(asker) = self.asker.take() {
            let _ = self.console.tell(Event::Over(outcome, asker));
        }
        ctx.stop();
    }
}

impl Actor for Job {}

impl Handler<Start> for Job {
    type Reply = ();

    fn handle(&mut self, Start(asker): Start, ctx: &mut Context<Self>) {
        let Plan { readers, tokenizers, shards, .. } = self.plan;
        self.asker = Some(asker);
        self.reading = readers.min(self.documents.len());
        self.counters = (0..shards).map(|s| ctx.spawn(Counter::new(s))).collect();
        self.counters.iter().for_each(|counter| ctx.watch(counter));
        if self.reading == 0 {
            return self.ask_for_totals(ctx);
        }
        let tokenizer = || ctx.spawn(Tokenizer::new(self.counters.clone()));
        let tokenizers: Vec<_> = std::iter::repeat_with(tokenizer).take(tokenizers).collect();
        tokenizers.iter().for_each(|tokenizer| ctx.watch(tokenizer));
        for _ in 0..self.reading {
            let splitting = tokenizers.iter().map(ActorRef::recipient).collect();
            let reader = Reader::new(ctx.me().into(), self.console.clone(), splitting, shards);
            let reader = ctx.spawn(reader);
            ctx.watch(&reader);
        }
    }
}

impl Handler<Next> for Job {
    type Reply = ();

    fn handle(&mut self, Next { reader, read }: Next, _: &mut Context<Self>) {
        if let Some(Read { bytes, skipped }) = read {
            self.summary.bytes += bytes;
            match skipped {
                None => self.summary.files += 1,
                Some(skipped) => {
                    self.summary.skipped += 1;
                    let _ = self.console.tell(Event::Skipped(skipped));
                }
            }
        }
        // A reader that refuses has ended, and its notice is on the way.
        let _ = reader.tell(Assign(self.documents.next()));
    }
}

impl Handler<Terminated> for Job {
    type Reply = ();

    fn handle(&mut self, ended: Terminated, ctx: &mut Context<Self>) {
        // Only readers stop by themselves.
        if ended.reason != StopReason::Stopped {
            return self.end(Err(Failure::Ended(ended.reason)), ctx);
        }
        self.reading -= 1;
        if self.reading == 0 {
            self.ask_for_totals(ctx);
        }
    }
}
