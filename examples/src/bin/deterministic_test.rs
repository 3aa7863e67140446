//! A bank with a concurrency bug, found by running its test with many seeds, and shrunk to the few messages that matter. Then
//! the same test of a bank without it.
//!
//! Run it with `cargo run -p examples --bin deterministic_test`; it prints the failing run, and how many seeds the other bank
//! survives: 100 000, or as many as its argument says.

use std::{error::Error, time::Duration};

use cuelight::{Actor, ActorRef, Context, Handler, Simulation, explore};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Account(i64);
impl Actor for Account {}

struct Balance;
impl Handler<Balance> for Account {
    type Reply = i64;
    fn handle(&mut self, _: Balance, _: &mut Context<Self>) -> i64 {
        self.0
    }
}

struct Deposit(i64);
impl Handler<Deposit> for Account {
    type Reply = ();
    fn handle(&mut self, Deposit(amount): Deposit, _: &mut Context<Self>) {
        self.0 += amount;
    }
}

/// Whether there was enough.
struct Withdraw(i64);
impl Handler<Withdraw> for Account {
    type Reply = bool;
    fn handle(&mut self, Withdraw(amount): Withdraw, _: &mut Context<Self>) -> bool {
        let enough = self.0 >= amount;
        if enough {
            self.0 -= amount;
        }
        enough
    }
}

/// Moves money when it starts.
struct Transfer<const CAREFUL: bool> {
    from: ActorRef<Account>,
    to: ActorRef<Account>,
    amount: i64,
}

const SOON: Duration = Duration::from_secs(1);

impl<const CAREFUL: bool> Actor for Transfer<CAREFUL> {
    fn started(&mut self, ctx: &mut Context<Self>) {
        if CAREFUL {
            // One message checks and acts.
            ctx.ask(&self.from.clone(), Withdraw(self.amount), SOON, |this, enough, _| {
                if enough == Ok(true) {
                    let _ = this.to.tell(Deposit(this.amount));
                }
            });
        } else {
            // What was checked may have changed when it acts.
            ctx.ask(&self.from.clone(), Balance, SOON, |this, balance, _| {
                if balance.is_ok_and(|balance| balance >= this.amount) {
                    let _ = this.from.tell(Deposit(-this.amount));
                    let _ = this.to.tell(Deposit(this.amount));
                }
            });
        }
    }
}

/// The test: whatever the order, nobody is in the red, and no money is made or lost.
fn two_transfers<const CAREFUL: bool>(sim: &Simulation) -> Result<(), Box<dyn Error>> {
    let accounts = [100, 0, 0].map(|money| sim.spawn(Account(money)));
    for (to, amount) in [(1, 60), (2, 70)] {
        let (from, to) = (accounts[0].clone(), accounts[to].clone());
        sim.spawn(Transfer::<CAREFUL> { from, to, amount });
    }
    sim.run_until_idle()?;
    let mut sum = 0;
    for account in &accounts {
        let balance = account.ask(Balance).wait()?;
        if balance < 0 {
            return Err(format!("account {} is in the red: {balance}", account.id()).into());
        }
        sum += balance;
    }
    if sum == 100 { Ok(()) } else { Err(format!("100 became {sum}").into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = std::env::args().nth(1).map_or(Ok(100_000), |seeds| seeds.parse())?;

    let explored = explore(0..seeds, two_transfers::<false>);
    let failure = explored.failure().ok_or("the bug was not found")?;
    println!("seed {}: {}", failure.seed(), failure.reason());
    print!("{}", failure.trace());

    let explored = explore(0..seeds, two_transfers::<true>);
    explored.check();
    println!("the careful one survives {} seeds", explored.seeds());
    Ok(())
}
