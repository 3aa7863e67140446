//! One program on two engines: worker threads, and the simulation on the calling thread. The program does not know which.
//!
//! Run it with `cargo run -p examples --bin engines`; both find the same primes, and the simulation says by which run.

use std::{error::Error, time::Duration};

use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps back what its prime divides, and hands the rest on: a sieve with an actor for each prime.
struct Sieve {
    prime: u32,
    next: Option<ActorRef<Sieve>>,
}

impl Actor for Sieve {}

impl Handler<u32> for Sieve {
    type Reply = ();

    fn handle(&mut self, n: u32, ctx: &mut Context<Self>) {
        if n.is_multiple_of(self.prime) {
            return;
        }
        match &self.next {
            // A next one that refuses is about to stop, as is this one.
            Some(next) => drop(next.tell(n)),
            None => self.next = Some(ctx.spawn(Sieve { prime: n, next: None })),
        }
    }
}

struct Collect(Vec<u32>, ReplyTo<Vec<u32>>);

impl Handler<Collect> for Sieve {
    type Reply = ();

    fn handle(&mut self, Collect(mut primes, reply): Collect, _: &mut Context<Self>) {
        primes.push(self.prime);
        match &self.next {
            Some(next) => drop(next.tell(Collect(primes, reply))),
            None => reply.send(primes),
        }
    }
}

/// The program.
fn primes(system: &System, below: u32) -> Result<Vec<u32>, Box<dyn Error>> {
    let first = system.spawn(Sieve { prime: 2, next: None });
    for n in 3..below {
        first.tell(n)?;
    }
    let primes = first.ask_with(|reply| Collect(Vec::new(), reply)).timeout(Duration::from_secs(5)).wait()?;
    system.shutdown(Duration::from_secs(5))?;
    Ok(primes)
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("threads:    {:?}", primes(&System::new()?, 50)?);
    let sim = System::simulation(1);
    println!("simulation: {:?}", primes(&sim, 50)?);
    println!("{sim}");
    Ok(())
}
