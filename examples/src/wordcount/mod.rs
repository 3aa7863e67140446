//! Counts the words of many texts, in bounded memory.
//!
//! ```text
//!            documents            chunks                words by shard
//!    job ---------------> reader ---------> tokenizer ------------------> counter
//!     ^                    ^   |                                           |  |
//!     |                    |   '-- bytes --> console                       |  |
//!     |                    '------------- chunks, as credits --------------'  |
//!     '------------------------------- totals --------------------------------'
//! ```
//!
//! A reader has [`CREDITS`](chunk::CREDITS) chunks of [`CHUNK`](chunk::CHUNK) bytes and no more;
//! each comes back when its words have been counted. So what is in flight is bounded without any
//! bounded mailbox; what grows is the table of words, with the number of distinct ones.
//!
//! `text`, `pieces`, `tally`, `document` and `args` know nothing of actors. The answer is that of
//! a count in one go, whatever the numbers of actors and threads.

pub mod args;
pub mod chunk;
pub mod console;
pub mod counter;
pub mod document;
pub mod job;
pub mod pieces;
pub mod reader;
pub mod tally;
pub mod text;
pub mod tokenizer;

use cuelight::System;

use console::Console;
use document::Document;
use job::{Failure, Job, Outcome, Plan, Start};

/// Counts the words of `documents` on `system`; complaints and progress go to `console`.
///
/// It blocks until the count is there, so it is not for use within an actor.
pub fn count(system: &System, plan: Plan, documents: Vec<Box<dyn Document>>, console: Console) -> Outcome {
    let console = system.spawn(console);
    let job = system.spawn(Job::new(plan, documents, console.recipient()));
    let outcome = job.ask_with(Start).wait();
    console.stop();
    outcome.unwrap_or_else(|error| Err(Failure::Unanswered(error)))
}
