//! A key-value service over TCP, whose store is made of actors; how, and what an answer means, is told by
//! `examples/src/kv/mod.rs`.
//!
//! Run it with `cargo run --release -p examples --bin kv_server -- [--address HOST:PORT] [--shards N] [--queue N]
//! [--workers N] [--connections N] [--chaos] [--keep]`; talk to it with `nc 127.0.0.1 6400` or `redis-cli -p 6400`: `SET name value`,
//! `GET name`, `INCR n`, `STATS`. It prints where it listens. It ends when a client says `SHUTDOWN`, or when its standard
//! input does, unless it was told to `--keep` on: it serves what has been sent, and prints the books of its actors, in which
//! nothing is in flight. It ends with 1 if it cannot listen, with 2 if it is called wrongly. Slow handlers of its actors are
//! told of on the standard error.

use std::env;
use std::error::Error;
use std::io::{self, Read};
use std::process::ExitCode;
use std::thread;

use examples::kv::args::{self, SERVER_USAGE};
use examples::kv::server::{Config, Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (config, keep) = match args::server(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{SERVER_USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("kv_server: {error}\n\n{SERVER_USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&config, keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config, keep: bool) -> Result<(), Box<dyn Error>> {
    let server = Server::start(config)?;
    println!("listening at {}", server.address());
    if !keep {
        let stopper = server.stopper();
        // No actor: nothing would wake one that reads there when a client ends the server.
        let to_the_end = move || {
            let mut ignored = [0; 1024];
            // An error is an end, too.
            while io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
            stopper.stop();
        };
        thread::Builder::new().name("kv-stdin".into()).spawn(to_the_end)?;
    }
    server.wait();
    let counters = server.stop()?;
    println!(
        "drained: {} messages sent, {} handled, {} returned, {} dead-lettered, {} in flight",
        counters.sent,
        counters.handled,
        counters.returned,
        counters.dead_lettered,
        counters.in_flight()
    );
    Ok(())
}
