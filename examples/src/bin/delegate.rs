//! An actor hands a question to a child it has just made, with the means to answer it, and ends;
//! the child answers the asker directly.
//!
//! Run it with `cargo run -p examples --bin delegate`; it prints `the clerk says: 6 times 7 is 42`.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, Context, Handler, ReplyTo, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Question(u32, u32, ReplyTo<String>);

struct Manager;

impl Actor for Manager {}

impl Handler<Question> for Manager {
    type Reply = ();

    fn handle(&mut self, question: Question, ctx: &mut Context<Self>) {
        // If the clerk refused, the question with its `ReplyTo` would drop: the asker would know.
        let _ = ctx.spawn(Clerk).tell(question);
        // Not `stop`, which would stop the clerk before its work: `drain` lets children finish.
        ctx.drain();
    }
}

struct Clerk;

impl Actor for Clerk {}

impl Handler<Question> for Clerk {
    type Reply = ();

    fn handle(&mut self, Question(a, b, asker): Question, _: &mut Context<Self>) {
        asker.send(format!("the clerk says: {a} times {b} is {}", a * b));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let manager = system.spawn(Manager);
    let answer = manager.ask_with(|asker| Question(6, 7, asker));
    println!("{}", answer.timeout(Duration::from_secs(5)).wait()?);
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
