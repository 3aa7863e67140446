//! A snapshot: every actor is seen as it is, and goes on as if nobody had looked.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, hold, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{
    Actor, ActorId, ActorRef, ActorState, ActorStatus, Context, Handler, Mailbox, Overflow, Restart, Snapshot, System,
    Terminated,
};
use std::any::type_name;
use std::time::Duration;

contract! {
    a_tree,
    a_tree_that_is_drawn,
    while_messages_wait,
    actors_that_are_never_idle,
    an_actor_that_waits_to_be_restarted,
    an_actor_that_waits_for_its_children,
    one_that_drains,
    of_those_that_have_ended,
    from_inside_a_handler,
    a_long_mailbox,
    a_mailbox_whose_oldest_is_dropped,
}

threads_contract! {
    a_handler_that_goes_on,
    messages_and_ends_while_somebody_looks,
    a_long_handler_is_older_each_time,
}

#[track_caller]
fn find(snapshot: &Snapshot, id: ActorId) -> &ActorStatus {
    let found: Vec<_> = snapshot.actors.iter().filter(|actor| actor.id == id).collect();
    assert_eq!(found.len(), 1, "{id} in {snapshot}");
    found[0]
}

/// Waits until all that can rest do.
#[track_caller]
fn at_rest(system: &System) -> Snapshot {
    let idle = |snapshot: &Snapshot| snapshot.actors.iter().all(|actor| actor.state == ActorState::Idle);
    let last: Shared<Option<Snapshot>> = Shared::default();
    eventually("all are idle", || {
        let snapshot = system.snapshot();
        let done = idle(&snapshot) && system.counters().in_flight() == 0;
        last.with(|last| *last = Some(snapshot));
        done
    });
    last.get().unwrap()
}

/// Has a puppet spawn another one.
fn child(of: &ActorRef<Puppet>, name: &'static str) -> ActorRef<Puppet> {
    let place: Shared<Option<ActorRef<Puppet>>> = Shared::default();
    let to = place.clone();
    of.ask(run(move |this, ctx| {
        let child = ctx.spawn(this.other(name));
        to.with(|place| *place = Some(child));
    }))
    .wait()
    .unwrap();
    place.get().unwrap()
}

fn a_tree(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let a = stage.actor(move || Puppet::new("a", &log)).name("desk").spawn().unwrap();
    let b = stage.puppet("b");
    let (c, d) = (child(&a, "c"), child(&a, "d"));
    let e = child(&c, "e");
    (0..3_u64).for_each(|n| e.tell(n).unwrap());
    let snapshot = at_rest(&stage.system);
    assert_eq!((snapshot.system.as_str(), snapshot.live_actors), (stage.name(), 5));
    let parents = [(&a, None), (&b, None), (&c, Some(a.id())), (&d, Some(a.id())), (&e, Some(c.id()))];
    assert_eq!(snapshot.actors.len(), parents.len(), "{snapshot}");
    for (actor, parent) in parents {
        let status = find(&snapshot, actor.id());
        assert_eq!(status.parent, parent, "{snapshot}");
        assert_eq!((status.type_name, status.mailbox, status.answered), (type_name::<Puppet>(), Some(0), true));
        assert_eq!((status.restarts, status.running_for), (0, None), "{snapshot}");
        assert_eq!(status.name.as_deref(), actor.name());
    }
    // Spawning was a message, too.
    let handled = [(&a, 2), (&b, 0), (&c, 1), (&d, 0), (&e, 3)];
    assert!(handled.iter().all(|(actor, count)| find(&snapshot, actor.id()).handled == *count), "{snapshot}");
    // Parents come first.
    let place = |actor: &ActorRef<Puppet>| snapshot.actors.iter().position(|each| each.id == actor.id());
    assert!(place(&a) < place(&c) && place(&a) < place(&d) && place(&c) < place(&e), "{snapshot}");
    // Nothing has happened to them.
    assert_eq!(at_rest(&stage.system), snapshot);
    assert_eq!(e.ask(5).wait(), Ok(10));
    stage.end();
}

fn a_tree_that_is_drawn(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let (c, d) = (child(&a, "c"), child(&a, "d"));
    let e = child(&c, "e");
    // Siblings are listed by identity, which tells nothing of age.
    let (first, second) = if c.id() < d.id() { (&c, &d) } else { (&d, &c) };
    let below = |it: &ActorRef<Puppet>| it.id() == c.id();
    let puppet = type_name::<Puppet>();
    let mut lines = vec![format!("{}: 4 actors", stage.name()), format!("└─ {puppet} {}: idle, 2 handled", a.id())];
    for (it, last) in [(first, false), (second, true)] {
        let handled = u64::from(below(it));
        let (branch, bar) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        lines.push(format!("   {branch} {puppet} {}: idle, {handled} handled", it.id()));
        if below(it) {
            lines.push(format!("   {bar}└─ {puppet} {}: idle, 0 handled", e.id()));
        }
    }
    assert_eq!(at_rest(&stage.system).to_string(), lines.join("\n"));
    stage.end();
}

fn while_messages_wait(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    (0..10_u64).for_each(|n| a.tell(n).unwrap());
    let snapshot = stage.snapshot_within(Duration::ZERO);
    let status = find(&snapshot, a.id());
    // A simulated actor is not held inside a handler: it is seen whole.
    let simulated = matches!(on, Engine::Simulated { .. });
    assert_eq!((status.mailbox, status.answered), (simulated.then_some(10), simulated), "{snapshot}");
    assert_eq!(status.handled, 1, "{snapshot}");
    assert_eq!(status.state, if simulated { ActorState::Busy } else { ActorState::Running }, "{snapshot}");
    drop(held);
    let snapshot = at_rest(&stage.system);
    assert_eq!((find(&snapshot, a.id()).mailbox, find(&snapshot, a.id()).handled), (Some(0), 11), "{snapshot}");
    stage.end();
}

/// Sends to itself until the gate opens.
struct SelfSender {
    stop: Gate,
    child: bool,
}

impl Actor for SelfSender {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.me().tell(()).unwrap();
        if self.child {
            ctx.spawn(SelfSender { stop: self.stop.clone(), child: false });
        }
    }
}

impl Handler<()> for SelfSender {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        if !self.stop.is_open() {
            ctx.me().tell(()).unwrap();
        }
    }
}

fn actors_that_are_never_idle(on: Engine) {
    let stage = Stage::new(on);
    let stop = Gate::default();
    let parents: Vec<_> =
        (0..2 * on.workers()).map(|_| stage.spawn(SelfSender { stop: stop.clone(), child: true })).collect();
    eventually("all live", || stage.counters().live_actors == 4 * on.workers() as u64);
    for _ in 0..3 {
        let snapshot = stage.snapshot_within(LIMIT);
        assert_eq!(snapshot.actors.len(), 4 * on.workers(), "{snapshot}");
        // Each has told of itself, and so its child is known.
        assert!(snapshot.actors.iter().all(|actor| actor.answered), "{snapshot}");
        assert!(snapshot.actors.iter().all(|actor| actor.mailbox.is_some_and(|count| count <= 1)), "{snapshot}");
        for parent in &parents {
            assert_eq!(snapshot.actors.iter().filter(|actor| actor.parent == Some(parent.id())).count(), 1);
        }
    }
    stop.open();
    stage.end();
}

fn an_actor_that_waits_to_be_restarted(on: Engine) {
    const HOUR: Duration = Duration::from_secs(3600);
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let restart = Restart::on_panic().backoff(HOUR, HOUR);
    let a = stage.actor(move || Puppet::new("a", &log)).restart(restart).spawn().unwrap();
    a.tell(run(|_, _| panic!("meant: so"))).unwrap();
    a.tell(7).unwrap();
    stage.log.until("a drops");
    eventually("it waits", || {
        let snapshot = stage.snapshot();
        let status = find(&snapshot, a.id());
        let waits = status.answered && status.state == ActorState::Restarting;
        assert!(!waits || (status.restarts, status.mailbox, status.handled) == (1, Some(1), 1), "{snapshot}");
        waits
    });
    // It can be looked at, and still be stopped.
    a.stop();
    stage.living(0);
    stage.end();
}

fn an_actor_that_waits_for_its_children(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child(&a, "b");
    let held = hold(&b);
    a.stop();
    if matches!(on, Engine::Threads { workers } if workers > 1) {
        eventually("it waits", || {
            let snapshot = stage.snapshot_within(Duration::from_millis(5));
            let status = find(&snapshot, a.id());
            let waits = status.answered && status.state == ActorState::Stopping;
            // Whoever tells of itself names its children, whom others may not have come to by the next look.
            assert!(!waits || find(&snapshot, b.id()).parent == Some(a.id()), "{snapshot}");
            waits
        });
    }
    drop(held);
    stage.living(0);
    assert_eq!(stage.snapshot().actors, []);
    stage.end();
}

fn one_that_drains(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child(&a, "b");
    let held = hold(&b);
    a.drain();
    if matches!(on, Engine::Threads { workers } if workers > 1) {
        eventually("it waits", || {
            let snapshot = stage.snapshot_within(Duration::from_millis(5));
            find(&snapshot, a.id()).state == ActorState::Draining
        });
    }
    drop(held);
    stage.living(0);
    stage.end();
}

fn of_those_that_have_ended(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let b = child(&a, "b");
    let (part, to) = (Count::default(), b.clone());
    let counted = part.clone();
    // One that was watched, too.
    a.ask(run(move |_, ctx| {
        ctx.watch(&to);
        counted.add(1);
    }))
    .wait()
    .unwrap();
    b.stop();
    stage.living(1);
    let snapshot = at_rest(&stage.system);
    assert_eq!(snapshot.actors.len(), 1, "{snapshot}");
    assert_eq!((part.get(), snapshot.live_actors), (1, 1));
    let system = stage.system.clone();
    stage.end();
    assert_eq!(system.snapshot().to_string(), format!("{}: 0 actors", system.name()));
}

fn from_inside_a_handler(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    at_rest(&stage.system);
    let place: Shared<Option<Snapshot>> = Shared::default();
    let to = place.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let snapshot = ctx.system().snapshot_within(LIMIT);
        to.with(|place| *place = Some(snapshot));
    };
    a.ask(run(part)).wait().unwrap();
    let snapshot = place.get().unwrap();
    let (own, other) = (find(&snapshot, a.id()), find(&snapshot, b.id()));
    assert!(!own.answered, "it is in a handler: {snapshot}");
    assert_eq!((other.answered, other.state), (true, ActorState::Idle), "{snapshot}");
    stage.end();
}

fn a_long_mailbox(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let seen: Shared<Option<ActorStatus>> = Shared::default();
    let held = hold(&a);
    // The first says how it looks to itself afterwards: what comes behind it waits.
    a.tell(run(|_, _| ())).unwrap();
    a.send_all((0..70_000_u64).map(|_| run(|_, _| ()))).unwrap();
    let system = stage.system.clone();
    if matches!(on, Engine::Simulated { .. }) {
        let snapshot = system.snapshot();
        assert_eq!(find(&snapshot, a.id()).mailbox, Some(65_536), "{snapshot}");
        assert!(snapshot.to_string().contains("65536 or more wait"), "{snapshot}");
        seen.with(|seen| *seen = Some(snapshot.actors[0].clone()));
    }
    drop(held);
    eventually("all is handled", || system.counters().in_flight() == 0);
    assert_eq!(find(&at_rest(&stage.system), a.id()).handled, 70_002);
    stage.end();
}

fn a_mailbox_whose_oldest_is_dropped(on: Engine) {
    let stage = Stage::new(on);
    let log = stage.log.clone();
    let mailbox = Mailbox::bounded(4, Overflow::DropOldest);
    let a = stage.actor(move || Puppet::new("a", &log)).mailbox(mailbox).spawn().unwrap();
    let held = hold(&a);
    (0..10_u64).for_each(|n| a.tell(n).unwrap());
    if matches!(on, Engine::Simulated { .. }) {
        let snapshot = stage.snapshot();
        assert_eq!(find(&snapshot, a.id()).mailbox, Some(4), "{snapshot}");
    }
    drop(held);
    // While it drops what waits, somebody counts it.
    let stop = Gate::default();
    let looker = matches!(on, Engine::Threads { .. }).then(|| {
        let (system, stop) = (stage.system.clone(), stop.clone());
        std::thread::spawn(move || {
            while !stop.is_open() {
                let snapshot = system.snapshot_within(Duration::from_millis(1));
                // The one that it handles is none of those that wait, and each of the senders may have one more.
                assert!(snapshot.actors.iter().all(|actor| actor.mailbox.is_none_or(|count| count <= 6)), "{snapshot}");
            }
        })
    });
    let count = scaled(20_000, 1000);
    (10..count).for_each(|n| a.tell(n).unwrap());
    at_rest(&stage.system);
    stop.open();
    looker.into_iter().for_each(|looker| looker.join().unwrap());
    let counters = stage.end();
    assert_eq!(counters.sent, counters.handled + counters.dead_lettered, "{counters}");
}

fn a_handler_that_goes_on(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let c = child(&a, "c");
    at_rest(&stage.system);
    let held = hold(&a);
    a.tell(1).unwrap();
    let snapshot = stage.snapshot_within(Duration::from_millis(20));
    let status = find(&snapshot, a.id());
    assert_eq!((status.state, status.mailbox, status.answered), (ActorState::Running, None, false), "{snapshot}");
    assert!(status.running_for.is_some_and(|time| time >= Duration::from_millis(20)), "{snapshot}");
    // What it has spawned it alone knows; all others are seen.
    assert_eq!(snapshot.actors.len(), 2, "{snapshot}");
    assert!(snapshot.actors.iter().all(|actor| actor.id != c.id()));
    assert_eq!(find(&snapshot, b.id()).state, ActorState::Idle);
    assert_eq!(snapshot.live_actors, 3);
    drop(held);
    assert_eq!(at_rest(&stage.system).actors.len(), 3);
    stage.end();
}

fn a_long_handler_is_older_each_time(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let age = || find(&stage.snapshot_within(Duration::from_millis(2)), a.id()).running_for.unwrap();
    let first = age();
    assert!(age() > first && first >= Duration::from_millis(2));
    drop(held);
    stage.end();
}

/// Hands a number round, and ends.
struct Player {
    left: u64,
    done: Count,
}

impl Actor for Player {}

struct Ball(ActorRef<Player>);

impl Handler<Ball> for Player {
    type Reply = ();

    fn handle(&mut self, Ball(from): Ball, ctx: &mut Context<Self>) {
        self.done.add(1);
        self.left -= 1;
        // One that has had its last ball has stopped, or is about to.
        let _ = from.tell(Ball(ctx.me()));
        if self.left == 0 {
            ctx.drain();
        }
    }
}

/// Spawns a child for each number, and hears of its end.
struct Parent(Count);

impl Actor for Parent {}

impl Handler<u64> for Parent {
    type Reply = ();

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        let child = ctx.spawn(Player { left: 1, done: self.0.clone() });
        ctx.watch(&child);
        if n % 2 == 0 { child.stop() } else { child.drain() }
    }
}

impl Handler<Terminated> for Parent {
    type Reply = ();

    fn handle(&mut self, _: Terminated, _: &mut Context<Self>) {
        self.0.add(1);
    }
}

/// Two threads look as often as they can, while all that can come between happens: nothing is lost, and nobody waits for ever.
fn messages_and_ends_while_somebody_looks(on: Engine) {
    let stage = Stage::new(on);
    let stop = Gate::default();
    let lookers: Vec<_> = (0..2)
        .map(|_| {
            let (system, stop) = (stage.system.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut seen = 0;
                while !stop.is_open() {
                    seen += system.snapshot_within(Duration::from_millis(1)).actors.len();
                }
                seen
            })
        })
        .collect();
    let (balls, ends, rounds) = (Count::default(), Count::default(), scaled(20_000, 1000));
    for _ in 0..4 {
        let player = || stage.spawn(Player { left: rounds, done: balls.clone() });
        player().tell(Ball(player())).unwrap();
    }
    let parent = stage.spawn(Parent(ends.clone()));
    for n in 0..rounds / 10 {
        parent.tell(n).unwrap();
        let asked = stage.puppet("x");
        assert_eq!(asked.ask(n).timeout(LIMIT).wait(), Ok(2 * n));
        asked.stop();
    }
    ends.reaches(rounds / 10);
    balls.reaches(4 * 2 * rounds);
    stage.living(1);
    stop.open();
    let seen: usize = lookers.into_iter().map(|looker| looker.join().unwrap()).sum();
    println!("{seen} actors were seen");
    stage.end();
}

/// From another thread nothing of a simulation is touched.
#[test]
fn a_simulation_that_another_thread_looks_at() {
    let sim = System::simulation(7);
    let log = crate::support::Log::default();
    let a = sim.spawn(Puppet::new("a", &log));
    child(&a, "b");
    let system: System = (*sim).clone();
    let snapshot = std::thread::spawn(move || system.snapshot()).join().unwrap();
    assert_eq!((snapshot.actors.len(), snapshot.live_actors), (1, 2), "{snapshot}");
    assert!(!snapshot.actors[0].answered, "{snapshot}");
    sim.run_until_idle().expect("nobody has disturbed it");
    assert_eq!(sim.snapshot().actors.len(), 2);
}

/// A look changes nothing of a run.
#[test]
fn a_simulation_is_the_same_if_somebody_looks() {
    let run_one = |seed, looks: bool| {
        let sim = System::simulation(seed);
        let log = crate::support::Log::default();
        let puppets: Vec<_> = (0..5).map(|_| sim.spawn(Puppet::new("a", &log))).collect();
        for (n, puppet) in puppets.iter().enumerate() {
            let next = puppets[(n + 1) % puppets.len()].clone();
            let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
                if looks {
                    let _ = ctx.system().snapshot();
                }
                (0..5_u64).for_each(|n| next.tell(n).unwrap());
                if looks {
                    let _ = ctx.system().snapshot();
                }
                next.tell(5).unwrap();
            };
            puppet.tell(run(part)).unwrap();
        }
        while sim.step().unwrap() {
            if looks {
                assert!(sim.snapshot().actors.iter().all(|actor| actor.answered));
            }
        }
        sim.signature()
    };
    for seed in 0..20 {
        assert_eq!(run_one(seed, false), run_one(seed, true), "seed {seed}");
    }
}
