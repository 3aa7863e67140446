//! A counter keeps its state to itself. Four threads tell it to add, and it answers what it holds:
//! differently each time, but never a half-made change.
//!
//! Run it with `cargo run -p examples --bin counter`; it prints `4000`, then `4001`.

use std::error::Error;
use std::thread;
use std::time::Duration;

use cuelight::{Actor, Context, Handler, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Counter(u64);

struct Add(u64);

impl Actor for Counter {}

impl Handler<Add> for Counter {
    type Reply = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let counter = system.spawn(Counter(0));
    thread::scope(|scope| {
        let adding = || (0..1000).try_for_each(|_| counter.tell(Add(1)));
        let threads = [(); 4].map(|()| scope.spawn(adding));
        threads.into_iter().try_for_each(|t| t.join().expect("no panic"))
    })?;
    for n in [0, 1] {
        let sum = counter.ask(Add(n)).timeout(Duration::from_secs(5));
        println!("{}", sum.wait()?);
    }
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
