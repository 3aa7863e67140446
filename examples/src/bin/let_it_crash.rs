//! Let it crash: the worker has no code for bad input. What it cannot do fails it, it is made anew by its rule, and goes on
//! with the next message: its address and its mailbox have stayed.
//!
//! Run it with `cargo run -p examples --bin let_it_crash`; it prints `7 in life 1`, `"seven" failed it`, `8 in life 2`,
//! `"" failed it`, `9 in life 3` and `2 restarts`. The panics themselves are told on the standard error.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cuelight::{Actor, AskError, Context, Handler, Restart, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Parser {
    life: u32,
}

impl Actor for Parser {}

impl Handler<&'static str> for Parser {
    type Reply = (u64, u32);

    fn handle(&mut self, text: &'static str, _: &mut Context<Self>) -> (u64, u32) {
        (text.parse().expect("a number"), self.life)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let lives = Arc::new(AtomicU32::new(0));
    let factory = move || {
        // Ordering: Relaxed: the lives come one after the other.
        Parser { life: lives.fetch_add(1, Ordering::Relaxed) + 1 }
    };
    let soon = Restart::on_panic().backoff(Duration::from_millis(1), Duration::from_millis(100));
    let parser = system.actor(factory).restart(soon).spawn()?;
    // All of it is queued at once.
    let answers = ["7", "seven", "8", "", "9"].map(|text| (text, parser.ask(text)));
    for (text, answer) in answers {
        match answer.timeout(Duration::from_secs(5)).wait() {
            Ok((number, life)) => println!("{number} in life {life}"),
            Err(AskError::Panicked) => println!("{text:?} failed it"),
            Err(error) => return Err(error.into()),
        }
    }
    println!("{} restarts", system.counters().restarts);
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
