//! An actor ends itself when its work is done. Who made it is told, after all that it sent.
//!
//! Run it with `cargo run -p examples --bin exit`; it prints `part 1` to `part 3`, then
//! `the worker has ended: Stopped`.

use std::error::Error;
use std::time::Duration;

use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, System, Terminated};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Work(ActorRef<Boss>);

struct Part(u32);

struct Worker;

impl Actor for Worker {}

impl Handler<Work> for Worker {
    type Reply = ();

    fn handle(&mut self, Work(boss): Work, ctx: &mut Context<Self>) {
        // The boss outlives its worker, so none of these can be refused.
        (1..=3).for_each(|n| boss.tell(Part(n)).expect("the boss is there"));
        ctx.stop();
    }
}

struct Begin(ReplyTo<()>);

struct Boss(Option<ReplyTo<()>>);

impl Actor for Boss {}

impl Handler<Begin> for Boss {
    type Reply = ();

    fn handle(&mut self, Begin(asker): Begin, ctx: &mut Context<Self>) {
        self.0 = Some(asker);
        let worker = ctx.spawn(Worker);
        ctx.watch(&worker);
        // Were it refused, the notice would come all the same.
        let _ = worker.tell(Work(ctx.me()));
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
        println!("the worker has ended: {:?}", ended.reason);
        if let Some(asker) = self.0.take() {
            asker.send(());
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = System::new()?;
    let boss = system.spawn(Boss(None));
    boss.ask_with(Begin).timeout(Duration::from_secs(5)).wait()?;
    system.shutdown(Duration::from_secs(5))?;
    Ok(())
}
