//! Timers, names and links in virtual time and under faults.

use crate::support::{Count, Shared, quiet_panics};
use cuelight::{
    Actor, ActorRef, Context, Faults, Handler, IdleTimeout, Simulation, SpawnError, System, SystemRef, TimerKey,
    explore,
};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Beats, and notes how late.
struct Clock {
    began: Option<Instant>,
    beats: Count,
    latest: Shared<Duration>,
}

#[derive(Clone)]
struct Beat;

impl Actor for Clock {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.began = Some(ctx.now());
        ctx.send_every(SECOND, Beat);
    }
}

impl Handler<Beat> for Clock {
    type Reply = ();

    fn handle(&mut self, _: Beat, ctx: &mut Context<Self>) {
        self.beats.add(1);
        let due = self.began.expect("a begin") + SECOND * self.beats.get() as u32;
        let late = ctx.now().checked_duration_since(due).expect("none is early");
        self.latest.with(|latest| *latest = late.max(*latest));
    }
}

#[test]
fn a_day_has_as_many_beats_as_seconds() {
    let sim = System::simulation(5);
    let (beats, latest) = (Count::default(), Shared::new(Duration::ZERO));
    sim.spawn(Clock { began: None, beats: beats.clone(), latest: latest.clone() });
    sim.run_for(24 * HOUR + MS).unwrap();
    assert_eq!(beats.get(), 86400);
    assert!(latest.get() <= MS, "{:?}", latest.get());
}

#[test]
fn a_clock_that_starts_late_is_as_good() {
    let run = |start| {
        let sim = Simulation::builder().seed(5).clock_start(start).build().unwrap();
        assert_eq!(sim.now(), start);
        let (beats, latest) = (Count::default(), Shared::new(Duration::ZERO));
        sim.spawn(Clock { began: None, beats: beats.clone(), latest: latest.clone() });
        sim.run_for(HOUR + MS).unwrap();
        assert_eq!((beats.get(), sim.now()), (3600, start + HOUR + MS), "{start:?}");
        assert!(latest.get() <= MS, "{start:?}: {:?}", latest.get());
        assert!(sim.to_string().contains("3600 messages in 3600.001s"), "{sim}");
        sim.signature()
    };
    let signature = run(Duration::ZERO);
    // Where the wheel's levels end, and a timer's place has one digit more.
    for digits in 1..=7 {
        let end = Duration::from_millis(1 << (6 * digits));
        for start in [end - Duration::from_nanos(1), end, end + SECOND / 3] {
            assert_eq!(run(start), signature, "{start:?}");
        }
    }
    let latest = Duration::from_nanos(u64::MAX / 2);
    assert_eq!(run(latest), signature);
    for asked in [latest + Duration::from_nanos(1), Duration::MAX] {
        let error = Simulation::builder().clock_start(asked).build().unwrap_err();
        assert_eq!(error.to_string(), format!("a clock that starts at {asked:?}: at most {latest:?} is allowed"));
    }
}

/// Sets timers, and takes some back.
struct Planner(Vec<TimerKey>, Shared<Vec<u64>>);

impl Actor for Planner {
    fn started(&mut self, ctx: &mut Context<Self>) {
        for n in [7, 3, 9, 1, 5, 8, 2, 6, 4] {
            let key = ctx.send_after(10 * MS * n, u64::from(n));
            if n % 3 == 0 {
                self.0.push(key);
            }
        }
        ctx.send_after(35 * MS, ());
    }
}

impl Handler<u64> for Planner {
    type Reply = ();

    fn handle(&mut self, n: u64, _: &mut Context<Self>) {
        self.1.with(|came| came.push(n));
    }
}

impl Handler<()> for Planner {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        let taken_back = self.0.drain(..).filter(|&key| ctx.cancel(key)).count();
        assert_eq!(taken_back, 2, "the third one has come");
    }
}

#[test]
fn timers_come_in_order_and_not_when_taken_back() {
    explore(0..100, |sim| {
        let came = Shared::new(Vec::new());
        sim.spawn(Planner(Vec::new(), came.clone()));
        sim.run_for(SECOND).unwrap();
        assert_eq!(came.get(), [1, 2, 3, 4, 5, 7, 8]);
        assert_eq!(sim.counters().in_flight(), 0);
    })
    .check();
}

/// Ends when nobody has spoken to it for an hour.
struct Session;

impl Actor for Session {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_idle_timeout(Some(HOUR));
    }
}

impl Handler<()> for Session {
    type Reply = ();

    fn handle(&mut self, (): (), _: &mut Context<Self>) {}
}

impl Handler<IdleTimeout> for Session {
    type Reply = ();

    fn handle(&mut self, _: IdleTimeout, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[test]
fn a_session_ends_an_hour_after_its_last_message() {
    let sim = System::simulation(6);
    let session = sim.spawn(Session);
    for _ in 0..100 {
        session.tell(()).unwrap();
        sim.run_for(HOUR - SECOND).unwrap();
    }
    assert!(!session.is_stopped());
    let last = 99 * (HOUR - SECOND);
    sim.run_until(|| session.is_stopped(), HOUR).unwrap();
    assert!(sim.now() >= last + HOUR && sim.now() <= last + HOUR + 2 * MS, "{:?}", sim.now());
}

#[test]
fn names_are_its_own_threads() {
    let sim = System::simulation(0);
    let session = sim.actor(|| Session).name("desk").spawn().unwrap();
    assert_eq!(sim.actor(|| Session).get_or_spawn("desk").unwrap(), session);
    let other: SystemRef = (**sim).clone();
    let asked = move || {
        let spawned = other.actor(|| -> Session { unreachable!() }).name("door").spawn();
        let wanted = other.actor(|| -> Session { unreachable!() }).get_or_spawn("door");
        (spawned.unwrap_err(), wanted.unwrap_err())
    };
    assert_eq!(thread::spawn(asked).join().unwrap(), (SpawnError::OtherThread, SpawnError::OtherThread));
    assert_eq!(sim.lookup::<Session>("door"), None);
    session.stop();
    sim.run_until_idle().unwrap();
    assert!(sim.actor(|| Session).name("desk").spawn().is_ok());
}

/// Is linked with the next one of a ring.
struct Knot;

impl Actor for Knot {}

impl Handler<ActorRef<Knot>> for Knot {
    type Reply = ();

    fn handle(&mut self, next: ActorRef<Knot>, ctx: &mut Context<Self>) {
        ctx.link(&next);
    }
}

#[test]
fn a_ring_of_links_ends_as_one() {
    quiet_panics();
    let ended = Count::default();
    let faults = Faults::none().panics(0.02).stops(0.02).slow(0.1, SECOND);
    let explored = Simulation::builder().faults(faults).explore(0..200, |sim| {
        let knots: Vec<_> = (0..5).map(|_| sim.spawn(Knot)).collect();
        for (knot, next) in knots.iter().zip(knots.iter().cycle().skip(1)) {
            let _ = knot.tell(next.clone());
        }
        sim.run_for(HOUR).unwrap();
        let living = knots.iter().filter(|knot| !knot.is_stopped()).count();
        // One that never got its message is still linked by the one before it.
        assert!(living == 0 || living == 5, "{living} are left");
        ended.add(u64::from(living == 0));
    });
    explored.check();
    assert!((20..180).contains(&ended.get()), "{}", ended.get());
}
