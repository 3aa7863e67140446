//! A circuit breaker around a service that fails for a while: after two failures in a row it is not asked any more, then one
//! probe at a time is let pass, until one succeeds. It runs in simulation, where the waits take no time.
//!
//! Run it with `cargo run -p examples --bin circuit_breaker`; it prints, for each second of the virtual clock, what became of a
//! call, and the breaker's books at the end.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, ActorRef, CircuitBreaker, CircuitError, Context, Handler, ReplyTo, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SECOND: Duration = Duration::from_secs(1);

/// Does not answer from the third second to the tenth.
#[derive(Default)]
struct Weather {
    unanswered: Vec<ReplyTo<&'static str>>,
}

impl Actor for Weather {}

struct Ask {
    second: u32,
    reply: ReplyTo<&'static str>,
}

impl Handler<Ask> for Weather {
    type Reply = ();

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) {
        if (3..10).contains(&ask.second) {
            self.unanswered.push(ask.reply);
        } else {
            ask.reply.send("sunny");
        }
    }
}

/// Asks the service from inside a handler, and answers in any case.
struct Front {
    weather: ActorRef<Weather>,
    breaker: CircuitBreaker,
}

impl Actor for Front {}

impl Handler<Ask> for Front {
    type Reply = ();

    fn handle(&mut self, Ask { second, reply }: Ask, ctx: &mut Context<Self>) {
        let permit = match self.breaker.admit() {
            Ok(permit) => permit,
            Err(_) => return reply.send("not asked"),
        };
        let ask = |reply| Ask { second, reply };
        ctx.ask_with(&self.weather, ask, SECOND / 2, move |_, weather, _| match weather {
            Ok(weather) => {
                permit.succeed();
                reply.send(weather);
            }
            Err(_) => {
                permit.fail();
                reply.send("no answer");
            }
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let sim = System::simulation(1);
    let breaker = CircuitBreaker::builder().failures(2).reset(2 * SECOND, 4 * SECOND).build(&sim)?;
    let weather = sim.spawn(Weather::default());
    let front = sim.spawn(Front { weather: weather.clone(), breaker: breaker.clone() });
    for second in 1..=14 {
        let answer = front.ask_with(|reply| Ask { second, reply }).wait()?;
        println!("second {second}: {answer}, the breaker is {:?}", breaker.state());
        sim.run_until(|| sim.now() >= second * SECOND, SECOND)?;
    }
    // From outside: the ask is made if the breaker lets it pass.
    let call = breaker.call(|| weather.ask_with(|reply| Ask { second: 15, reply }).timeout(SECOND)).wait();
    match call {
        Ok(weather) => println!("from outside: {weather}"),
        Err(CircuitError::Open(open)) => println!("from outside: {open}"),
        Err(error) => return Err(error.into()),
    }
    let books = breaker.counters();
    println!("{} passed, {} failed, {} rejected, {} probes", books.passed, books.failed, books.rejected, books.probes);
    Ok(())
}
