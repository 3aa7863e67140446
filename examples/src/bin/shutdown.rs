//! Systems that leave nothing behind, whichever way they end: asked to, with a handler that holds on and is named, dropped, and
//! by a panic in the scope that made them.
//!
//! Run it with `cargo run -p examples --bin shutdown`; it prints for each way what has ended, and that no actor is left. The
//! panic itself is told on the standard error.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use cuelight::{Actor, ActorRef, Context, Handler, ShutdownError, System, SystemRef};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SOON: Duration = Duration::from_secs(5);

/// Says when it has gone, with all that it had.
struct Guest {
    name: &'static str,
    gone: Sender<&'static str>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Whoever listened may have gone as well.
        let _ = self.gone.send(self.name);
    }
}

/// Has a guest as a child, and is one.
struct Host(Guest);

impl Actor for Guest {}

impl Actor for Host {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.spawn(Guest { name: "child", gone: self.0.gone.clone() });
    }
}

/// Something that takes long.
struct Wait {
    begun: Sender<()>,
    until: Receiver<()>,
}

impl Handler<Wait> for Host {
    type Reply = ();

    fn handle(&mut self, wait: Wait, _: &mut Context<Self>) {
        let _ = wait.begun.send(());
        let _ = wait.until.recv();
    }
}

/// A system with a host and its child.
fn populated(gone: Sender<&'static str>) -> Result<(System, ActorRef<Host>), Box<dyn Error>> {
    let system = System::builder().workers(2).build()?;
    let host = system.spawn(Host(Guest { name: "parent", gone }));
    while system.counters().live_actors < 2 {
        std::thread::yield_now();
    }
    Ok((system, host))
}

/// Waits for both ends, leaves first, and checks the books.
fn report(way: &str, gone: &Receiver<&'static str>, system: &SystemRef) -> Result<(), Box<dyn Error>> {
    let ends = [gone.recv_timeout(SOON)?, gone.recv_timeout(SOON)?];
    while system.counters().live_actors > 0 {
        std::thread::yield_now();
    }
    println!("{way}: {} before {}, {} actors left", ends[0], ends[1], system.counters().live_actors);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (sender, gone) = channel();

    let (system, _) = populated(sender.clone())?;
    system.shutdown(SOON)?;
    report("asked to", &gone, &system)?;

    let (system, host) = populated(sender.clone())?;
    let ((begun, begins), (let_go, until)) = (channel(), channel());
    host.tell(Wait { begun, until })?;
    begins.recv_timeout(SOON)?;
    match system.shutdown(Duration::from_millis(10)) {
        Err(ShutdownError::Timeout { holders }) => {
            let name = holders[0].type_name.rsplit("::").next().unwrap_or_default();
            println!("held up by {} {name}", holders.len());
        }
        other => println!("not held up: {other:?}"),
    }
    let_go.send(())?;
    system.shutdown(SOON)?;
    report("let go", &gone, &system)?;

    let (system, _) = populated(sender.clone())?;
    let reference = SystemRef::clone(&system);
    drop(system);
    report("dropped", &gone, &reference)?;

    let (system, _) = populated(sender.clone())?;
    let reference = SystemRef::clone(&system);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _system = system;
        panic!("out of cheese");
    }));
    assert!(panicked.is_err());
    report("by a panic", &gone, &reference)
}
