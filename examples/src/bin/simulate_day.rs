//! A day in a second: a monitor asks twenty stations every minute how they are. Some are slow, some fail and are replaced.
//!
//! Run it with `cargo run -p examples --bin simulate_day`; it prints what happened, by the hour. Twice the same: it is one
//! seed.

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use cuelight::{Actor, ActorRef, Context, Faults, Handler, Simulation, Terminated};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Station;
impl Actor for Station {}

struct Status;
impl Handler<Status> for Station {
    type Reply = ();
    fn handle(&mut self, _: Status, _: &mut Context<Self>) {}
}

#[derive(Debug, Default)]
struct Report {
    well: u32,
    late: u32,
    replaced: u32,
}

struct Monitor {
    stations: Vec<ActorRef<Station>>,
    report: Arc<Mutex<Report>>,
}

impl Monitor {
    fn note(&self, f: impl FnOnce(&mut Report)) {
        f(&mut self.report.lock().expect("nobody panics with it"));
    }

    fn hire(ctx: &mut Context<Self>) -> ActorRef<Station> {
        let station = ctx.spawn(Station);
        ctx.watch(&station);
        station
    }
}

impl Actor for Monitor {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.stations = (0..20).map(|_| Self::hire(ctx)).collect();
    }
}

struct Minute;
impl Handler<Minute> for Monitor {
    type Reply = ();
    fn handle(&mut self, _: Minute, ctx: &mut Context<Self>) {
        for station in self.stations.clone() {
            ctx.ask(&station, Status, Duration::from_secs(5), |this, answer, _| {
                this.note(|report| if answer.is_ok() { report.well += 1 } else { report.late += 1 });
            });
        }
    }
}

impl Handler<Terminated> for Monitor {
    type Reply = ();
    fn handle(&mut self, ended: Terminated, ctx: &mut Context<Self>) {
        let new = Self::hire(ctx);
        if let Some(station) = self.stations.iter_mut().find(|station| station.id() == ended.id) {
            *station = new;
        }
        self.note(|report| report.replaced += 1);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let faults = Faults::none().panics(0.0005).slow(0.01, Duration::from_secs(90)).spare::<Monitor>();
    let sim = Simulation::builder().seed(24).faults(faults).build()?;
    let report = Arc::new(Mutex::new(Report::default()));
    let monitor = sim.spawn(Monitor { stations: Vec::new(), report: report.clone() });
    for hour in 1..=24 {
        for _ in 0..60 {
            monitor.tell(Minute)?;
            sim.run_for(Duration::from_secs(60))?;
        }
        let Report { well, late, replaced } = std::mem::take(&mut *report.lock().expect("nobody panics with it"));
        println!("{hour:2} h: {well} answers, {late} too late, {replaced} stations replaced");
    }
    println!("{sim}");
    Ok(())
}
