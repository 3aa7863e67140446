//! An actor greets: one message in, one reply out.
//!
//! Run it with `cargo run -p examples --bin hello`; it prints `hello, world`.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, Context, Handler, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Greeter;

struct Greet(&'static str);

impl Actor for Greeter {}

impl Handler<Greet> for Greeter {
    type Reply = String;

    fn handle(&mut self, Greet(whom): Greet, _: &mut Context<Self>) -> String {
        format!("hello, {whom}")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let greeter = system.spawn(Greeter);
    let answer = greeter.ask(Greet("world"));
    println!("{}", answer.timeout(Duration::from_secs(5)).wait()?);
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
