//! An actor ends itself when its work is done. Who made it is told, after all that it sent.
//!
//! Run it with `cargo run -p examples --bin exit`; it prints `part 1` to `part 3`, then
//! `the worker has ended: Stopped`.

use std::{error::Error, sync::mpsc, time::Duration};

use cuelight::{Actor, ActorRef, Context, Handler, StopReason, System, Terminated};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Part(u32);

struct Worker(ActorRef<Boss>);

impl Actor for Worker {
    fn started(&mut self, ctx: &mut Context<Self>) {
        // A boss that refuses has stopped, and its worker is about to.
        let _ = (1..=3).try_for_each(|n| self.0.tell(Part(n)));
        ctx.stop();
    }
}

struct Boss(mpsc::Sender<StopReason>);

impl Actor for Boss {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let worker = ctx.spawn(Worker(ctx.me()));
        // It may have ended already: the notice comes all the same, and once.
        ctx.watch(&worker);
    }
}

impl Handler<Part> for Boss {
    type Reply = ();

    fn handle(&mut self, Part(n): Part, _: &mut Context<Self>) {
        println!("part {n}");
    }
}

impl Handler<Terminated> for Boss {
    type Reply = ();

    fn handle(&mut self, ended: Terminated, _: &mut Context<Self>) {
        let _ = self.0.send(ended.reason);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let (sender, end) = mpsc::channel();
    system.spawn(Boss(sender));
    println!("the worker has ended: {:?}", end.recv_timeout(Duration::from_secs(5))?);
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
