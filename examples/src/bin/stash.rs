//! Messages that cannot be handled yet: a shop keeps its customers until it is open, and serves them before those that came
//! later. It is made anew once in between, and nobody has left.
//!
//! Run it with `cargo run -p examples --bin stash`; it prints `ann waits` to `cid waits`, `the shop is made anew` with the same
//! again, `open: 3 were waiting`, and `serves ann` to `serves dee`. The panic itself is told on the standard error.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, Context, Handler, Restart, Stash, System};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SOON: Duration = Duration::from_secs(5);

struct Shop {
    open: bool,
    waiting: Stash<Customer>,
}

impl Actor for Shop {}

struct Customer(&'static str);

impl Handler<Customer> for Shop {
    type Reply = ();

    fn handle(&mut self, customer: Customer, ctx: &mut Context<Self>) {
        if self.open {
            println!("serves {}", customer.0);
            return;
        }
        println!("{} waits", customer.0);
        if let Err(full) = self.waiting.keep(customer, ctx) {
            let why = full.to_string();
            println!("{why}: {} goes home", full.into_message().0);
        }
    }
}

struct Open;

impl Handler<Open> for Shop {
    type Reply = ();

    fn handle(&mut self, _: Open, ctx: &mut Context<Self>) {
        self.open = true;
        println!("open: {} were waiting", self.waiting.unstash_all(ctx));
    }
}

struct Fire;

impl Handler<Fire> for Shop {
    type Reply = ();

    fn handle(&mut self, _: Fire, _: &mut Context<Self>) {
        println!("the shop is made anew");
        panic!("fire");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::builder().workers(1).build()?;
    let rule = Restart::on_panic().backoff(Duration::from_millis(1), Duration::from_millis(1));
    let shop = system.actor(|| Shop { open: false, waiting: Stash::bounded(3) }).restart(rule).spawn()?;
    shop.send_all(["ann", "bob", "cid"].map(Customer))?;
    shop.tell(Fire)?;
    shop.tell(Open)?;
    // Asked, so that it is the last one: it comes behind those who were waiting.
    shop.ask(Customer("dee")).timeout(SOON).wait()?;
    system.shutdown(SOON)?;
    Ok(())
}
