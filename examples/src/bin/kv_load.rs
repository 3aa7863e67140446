//! Loads the key-value service of `kv_server`, and checks every answer: each connection owns keys, and knows what they hold.
//!
//! Run it with `cargo run --release -p examples --bin kv_load -- [--address HOST:PORT] [--connections N] [--requests N]
//! [--pipeline N] [--failures N]`. Without an address it starts a server of its own, loads it, loads it again while its
//! shards fail, and ends it. It prints how many requests were answered as they must be, and ends with 1 if any was not; how
//! fast, and how late the last of a thousand was, goes to the standard error.

use std::env;
use std::error::Error;
use std::panic;
use std::process::ExitCode;

use examples::kv::args::{self, LOAD_USAGE};
use examples::kv::load::{self, Outcome, Plan};
use examples::kv::server::{Config, Server};
use examples::kv::store::INJECTED;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Failures of a server of its own.
const FAILURES: usize = 40;

fn main() -> ExitCode {
    let (plan, address) = match args::load(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{LOAD_USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("kv_load: {error}\n\n{LOAD_USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match address {
        Some(address) => load::run(address, &plan).map_err(Into::into).and_then(|outcome| judge(&outcome)),
        None => alone(&plan),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv_load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells how it went; an error if any answer was wrong.
fn judge(outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    eprintln!("{outcome}");
    outcome.told.iter().for_each(|wrong| eprintln!("wrong: {wrong}"));
    if outcome.wrong > 0 {
        return Err(format!("{} wrong answers", outcome.wrong).into());
    }
    println!("{} requests: each was answered as it must be", outcome.answered);
    Ok(())
}

/// Leaves out the panics of shards that were told to.
fn quiet_failures() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&INJECTED) {
            loud(info);
        }
    }));
}

/// With a server of its own.
fn alone(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let address = ([127, 0, 0, 1], 0).into();
    let server =
        Server::start(&Config { address, connections: plan.connections + 1, chaos: true, ..Config::default() })?;
    judge(&load::run(server.address(), &Plan { failures: 0, prefix: "calm", ..*plan })?)?;
    quiet_failures();
    let failures = if plan.failures == 0 { FAILURES } else { plan.failures };
    println!("and while shards fail {failures} times:");
    judge(&load::run(server.address(), &Plan { failures, prefix: "chaos", ..*plan })?)?;
    let counters = server.stop()?;
    if counters.in_flight() != 0 || counters.live_actors != 0 {
        return Err(format!("not drained: {counters}").into());
    }
    eprintln!("{} restarts", counters.restarts);
    println!("the server has drained: nothing in flight");
    Ok(())
}
