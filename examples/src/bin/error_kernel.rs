//! An error kernel: the balance, which must not be lost, is in the parent, whose code can hardly fail; what can fail is done
//! by a child, which may be lost at any time. When the child has failed too often, the parent decides to do without it.
//!
//! Run it with `cargo run -p examples --bin error_kernel`; it prints the orders that were booked, `the broker fails` three
//! times and `no broker any more` at the last, and the balance, which has lost nothing. The panics themselves are told on the
//! standard error.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, ActorRef, Context, Decision, Failure, Handler, ReplyTo, Restart, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SOON: Duration = Duration::from_secs(5);

/// The risky part: it divides by what it is told.
struct Broker;

#[derive(Clone, Copy)]
struct Order {
    amount: u64,
    parts: u64,
}

impl Actor for Broker {}

impl Handler<Order> for Broker {
    type Reply = u64;

    fn handle(&mut self, order: Order, _: &mut Context<Self>) -> u64 {
        order.amount / order.parts
    }
}

/// The important part.
struct Account {
    balance: u64,
    broker: Option<ActorRef<Broker>>,
}

impl Actor for Account {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let twice = Restart::on_panic().limit(2, Duration::from_secs(60)).backoff(Duration::ZERO, Duration::ZERO);
        self.broker = ctx.actor(|| Broker).restart(twice).spawn().ok();
    }

    fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
        println!("the broker fails");
        match failure.proposed {
            // By default this account, and the balance with it, would go down too.
            Decision::Escalate => {
                self.broker = None;
                println!("no broker any more");
                Decision::Stop
            }
            proposed => proposed,
        }
    }
}

struct Book(Order, ReplyTo<Result<u64, &'static str>>);

impl Handler<Book> for Account {
    type Reply = ();

    fn handle(&mut self, Book(order, reply): Book, ctx: &mut Context<Self>) {
        let Some(broker) = &self.broker else { return reply.send(Err("nobody is there")) };
        ctx.ask(broker, order, SOON, |this, part, _| {
            reply.send(part.map_err(|_| "it failed").inspect(|part| this.balance += part));
        });
    }
}

struct Balance;

impl Handler<Balance> for Account {
    type Reply = u64;

    fn handle(&mut self, Balance: Balance, _: &mut Context<Self>) -> u64 {
        self.balance
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::builder().workers(1).build()?;
    let account = system.spawn(Account { balance: 100, broker: None });
    for (amount, parts) in [(10, 2), (1, 0), (2, 0), (9, 3), (3, 0), (8, 1)] {
        let booked = account.ask_with(|reply| Book(Order { amount, parts }, reply)).timeout(SOON).wait()?;
        match booked {
            Ok(part) => println!("{amount} / {parts}: {part} booked"),
            Err(why) => println!("{amount} / {parts}: {why}"),
        }
    }
    println!("the balance is {}", account.ask(Balance).timeout(SOON).wait()?);
    system.shutdown(SOON)?;
    Ok(())
}
