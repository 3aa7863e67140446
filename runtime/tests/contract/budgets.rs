//! A busy actor cannot take the system, and nothing waits behind one that blocks.

use crate::support::players::{Ball, Player};
use crate::support::puppet::{Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, hold, parallel_contract, threads_contract};
use crate::support::{Count, Gate, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, Budget, Context, Handler, Idle, StopReason};
use std::hint::spin_loop;
use std::time::{Duration, Instant};

contract! {
    a_self_sender_lets_others_run,
    a_hot_pair_lets_others_run,
    a_line_of_births_lets_others_run,
    outside_senders_are_heard,
    outside_spawns_begin,
    an_ended_actors_backlog_lets_others_run,
}

threads_contract! {
    an_actors_own_batches,
    a_batch_ends_after_its_messages,
    a_batch_ends_after_its_time,
    a_batch_of_one,
    timers_fire,
}

parallel_contract! {
    whom_a_blocked_handler_has_woken,
    what_is_queued_behind_a_blocked_handler,
    what_comes_from_outside_while_a_handler_blocks,
    whom_a_blocked_handler_has_spawned,
    behind_blocked_hooks_and_drops,
    behind_a_blocked_continuation,
    when_all_but_one_block,
    when_all_were_asleep,
    however_workers_idle,
}

/// Queues that many messages each for two actors, and returns how many in a row went to one of them.
fn runs(on: Engine, budget: Budget, work: Duration, count: usize) -> Vec<usize> {
    runs_with(on, budget, [None, None], work, count).into_iter().map(|(_, run)| run).collect()
}

/// The same for actors that may have budgets of their own, with whom it was: whether the first.
fn runs_with(on: Engine, budget: Budget, own: [Option<Budget>; 2], work: Duration, count: usize) -> Vec<(bool, usize)> {
    let stage = Stage::of(on.builder().budget(budget));
    let order: Shared<Vec<bool>> = Shared::default();
    let actors = own.map(|own| {
        let log = stage.log.clone();
        let builder = stage.actor(move || Puppet::new("a", &log));
        if let Some(own) = own { builder.budget(own) } else { builder }.spawn().unwrap()
    });
    stage.log.expect("a", &["starts", "starts"]);
    // From inside, so that both are runnable on one worker.
    let (to, written) = (actors, order.clone());
    let part = move |_: &mut Puppet, _: &mut Context<Puppet>| {
        for (me, actor) in to.iter().enumerate() {
            let part = || {
                let order = written.clone();
                run(move |_, _| {
                    order.with(|order| order.push(me == 0));
                    let begin = Instant::now();
                    while begin.elapsed() < work {
                        spin_loop();
                    }
                })
            };
            actor.send_all((0..count).map(|_| part())).unwrap();
        }
    };
    stage.puppet("x").tell(run(part)).unwrap();
    eventually("all is handled", || order.with(|order| order.len()) == 2 * count);
    stage.end();
    order.with(|order| order.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect())
}

fn an_actors_own_batches(on: Engine) {
    let all = Budget { messages: 20, time: Duration::from_secs(60) };
    let lasting = |runs: &[(bool, usize)], first| -> Vec<usize> {
        // The last run of either may be what is left, or two batches with nobody in between.
        let both = &runs[..runs.len().saturating_sub(2)];
        both.iter().filter(|&&(of, _)| of == first).map(|&(_, run)| run).collect()
    };
    for (messages, longest) in [(1, 1), (3, 3), (50, 50), (u32::MAX, 300)] {
        let own = [Some(Budget { messages, ..all }), None];
        let runs = runs_with(on, all, own, Duration::ZERO, 300);
        if on.workers() == 1 {
            assert!(lasting(&runs, true).iter().all(|&run| run <= longest), "{messages}: {runs:?}");
            assert!(lasting(&runs, false).iter().all(|&run| run <= 20), "{messages}: {runs:?}");
            assert!(runs.iter().any(|&(first, run)| first && run > longest / 2), "{messages}: {runs:?}");
        }
    }
    // By time: the one is called off after each message, the other never.
    let own = [Some(Budget { messages: u32::MAX, time: Duration::from_nanos(1) }), None];
    let runs = runs_with(on, Budget { messages: u32::MAX, ..all }, own, Duration::from_micros(50), 100);
    if on.workers() == 1 {
        assert!(runs.iter().filter(|&&(first, _)| first).count() > 1, "{runs:?}");
        assert!(runs.contains(&(false, 100)), "{runs:?}");
    }
    let stage = Stage::new(on);
    let refused = |budget| stage.actor(|| -> Puppet { unreachable!() }).budget(budget).spawn().unwrap_err().to_string();
    assert_eq!(refused(Budget { messages: 0, ..all }), "a budget of zero messages: at least one is needed");
    assert_eq!(refused(Budget { time: Duration::ZERO, ..all }), "a budget of zero time: at least one is needed");
    stage.end();
}

fn a_batch_ends_after_its_messages(on: Engine) {
    let budget = Budget { messages: 10, ..Budget::default() };
    let runs = runs(on, budget, Duration::ZERO, 300);
    if on.workers() == 1 {
        // Both are runnable until one has finished.
        let both = &runs[..runs.len() - 1];
        assert!(both.iter().all(|&run| run <= 10), "{runs:?}");
    }
}

fn a_batch_ends_after_its_time(on: Engine) {
    let budget = Budget { messages: u32::MAX, time: Duration::from_micros(500) };
    let runs = runs(on, budget, Duration::from_micros(500), 100);
    if on.workers() == 1 {
        // Without an end each would handle its hundred at once, fifty milliseconds long.
        assert!(runs.len() > 2, "{runs:?}");
        assert!(runs[0] < 100, "{runs:?}");
    }
}

fn a_batch_of_one(on: Engine) {
    let runs = runs(on, Budget { messages: 1, time: Duration::from_nanos(1) }, Duration::ZERO, 100);
    if on.workers() == 1 {
        assert!(runs.iter().all(|&run| run == 1), "{runs:?}");
    }
}

/// Sends to itself until the gate opens.
struct SelfSender {
    stop: Gate,
    rounds: Count,
}

impl Actor for SelfSender {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.me().tell(()).unwrap();
    }
}

impl Handler<()> for SelfSender {
    type Reply = ();

    fn handle(&mut self, (): (), ctx: &mut Context<Self>) {
        self.rounds.add(1);
        if !self.stop.is_open() {
            ctx.me().tell(()).unwrap();
        }
    }
}

/// More self-senders than workers.
fn busy(stage: &Stage, on: Engine) -> (Gate, Vec<Count>) {
    let stop = Gate::default();
    let rounds: Vec<Count> = (0..2 * on.workers()).map(|_| Count::default()).collect();
    for rounds in &rounds {
        stage.spawn(SelfSender { stop: stop.clone(), rounds: rounds.clone() });
    }
    (stop, rounds)
}

fn a_self_sender_lets_others_run(on: Engine) {
    let stage = Stage::new(on);
    let (stop, rounds) = busy(&stage, on);
    // All of them go on, also beside each other.
    eventually("each has its turns", || rounds.iter().all(|rounds| rounds.get() > 1000));
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let to = b.clone();
    a.tell(run(move |_, _| (0..100).for_each(|n| to.tell(n).unwrap()))).unwrap();
    stage.log.until("b gets 99");
    stop.open();
    stage.end();
}

fn a_hot_pair_lets_others_run(on: Engine) {
    let stage = Stage::new(on);
    let stop = Gate::default();
    for _ in 0..on.workers() {
        let player = || stage.spawn(Player { stop: stop.clone(), balls: Count::default() });
        player().tell(Ball(player())).unwrap();
    }
    let others: Vec<_> = (0..scaled(1000, 50)).map(|_| stage.puppet("a")).collect();
    for round in 0..3 {
        for other in &others {
            other.tell(round).unwrap();
        }
        for other in &others {
            assert_eq!(other.ask(round).timeout(LIMIT).wait(), Ok(2 * round));
        }
    }
    stop.open();
    stage.end();
}

/// Spawns the next of its line, and ends, until the gate opens. None of them is sent a message.
struct Heir(Gate, Count);

impl Actor for Heir {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.1.add(1);
        if !self.0.is_open() {
            ctx.system().spawn(Heir(self.0.clone(), self.1.clone()));
        }
        ctx.stop();
    }
}

fn a_line_of_births_lets_others_run(on: Engine) {
    let stage = Stage::new(on);
    let (stop, births) = (Gate::default(), Count::default());
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    // One line for each worker; beside the first of them two puppets become runnable, too.
    for _ in 1..on.workers() {
        stage.spawn(Heir(stop.clone(), births.clone()));
    }
    let (gate, count, to) = (stop.clone(), births.clone(), b.clone());
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.system().spawn(Heir(gate, count));
        to.tell(1).unwrap();
    };
    a.tell(run(part)).unwrap();
    eventually("a line begins", || births.get() > 1000);
    stage.log.until("b gets 1");
    stop.open();
    stage.end();
}

fn outside_senders_are_heard(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let (stop, rounds) = busy(&stage, on);
    eventually("all are busy", || rounds.iter().all(|rounds| rounds.get() > 0));
    for n in 0..scaled(200, 20) {
        a.tell(n).unwrap();
        assert_eq!(a.ask(n).timeout(LIMIT).wait(), Ok(2 * n));
    }
    stop.open();
    stage.end();
}

fn outside_spawns_begin(on: Engine) {
    let stage = Stage::new(on);
    let (stop, rounds) = busy(&stage, on);
    eventually("all are busy", || rounds.iter().all(|rounds| rounds.get() > 0));
    for n in 0..scaled(200, 20) {
        let a = stage.puppet("a");
        assert_eq!(a.ask(n).timeout(LIMIT).wait(), Ok(2 * n));
        a.stop();
    }
    stop.open();
    stage.end();
}

fn timers_fire(on: Engine) {
    let stage = Stage::new(on);
    let (a, done) = (stage.puppet("a"), Gate::default());
    let (stop, rounds) = busy(&stage, on);
    eventually("all are busy", || rounds.iter().all(|rounds| rounds.get() > 0));
    let other = Stage::new(Engine::threads(1));
    let far = other.puppet("far");
    let held = hold(&far);
    let open = done.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&far, 1, Duration::from_millis(2), move |_: &mut Puppet, result, _| {
            assert!(result.is_err());
            open.open();
        });
    };
    a.tell(run(part)).unwrap();
    done.wait();
    drop(held);
    stop.open();
    other.end();
    stage.end();
}

fn an_ended_actors_backlog_lets_others_run(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, drops) = (stage.puppet("a"), stage.puppet("b"), Count::default());
    let held = hold(&a);
    let count = scaled(200_000, 10_000);
    a.send_all((0..count).map(|n| Token::new(n, &drops))).unwrap();
    let seen = Shared::new(None);
    let (place, counted) = (seen.clone(), drops.clone());
    a.stop();
    b.tell(run(move |_, _| place.with(|place| *place = Some(counted.get())))).unwrap();
    drop(held);
    drops.reaches(count);
    eventually("the other has run", || seen.get().is_some());
    // With one worker it ran in the middle of it.
    assert!(on.workers() > 1 || seen.get() < Some(count), "{:?}", seen.get());
    stage.end();
}

/// Blocks in a handler after `before`, until `after` has seen that others ran meanwhile.
fn blocked(
    stage: &Stage,
    before: impl FnOnce(&mut Puppet, &mut Context<Puppet>) + Send + 'static,
    after: impl FnOnce(),
) {
    let a = stage.puppet("a");
    let (inside, release) = (Gate::default(), Gate::default());
    let (enter, wait) = (inside.clone(), release.clone());
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        before(this, ctx);
        enter.open();
        wait.wait();
        this.says("goes on");
    };
    a.tell(run(part)).unwrap();
    inside.wait();
    after();
    assert!(!stage.log.lines().contains(&"a goes on".to_owned()));
    release.open();
    stage.log.until("a goes on");
    a.stop();
}

fn whom_a_blocked_handler_has_woken(on: Engine) {
    for _ in 0..5 {
        let stage = Stage::new(on);
        let b = stage.puppet("b");
        stage.log.until("b starts");
        let to = b.clone();
        blocked(&stage, move |_, _| to.tell(1).unwrap(), || stage.log.until("b gets 1"));
        stage.end();
    }
}

fn what_is_queued_behind_a_blocked_handler(on: Engine) {
    let stage = Stage::new(on);
    let others: Vec<_> = (0..100).map(|_| stage.puppet("b")).collect();
    eventually("all have started", || stage.log.lines().len() == 100);
    let to = others.clone();
    let before = move |_: &mut Puppet, _: &mut Context<Puppet>| to.iter().for_each(|to| to.tell(1).unwrap());
    blocked(&stage, before, || eventually("all run", || stage.log.of("b").len() == 200));
    stage.end();
}

fn what_comes_from_outside_while_a_handler_blocks(on: Engine) {
    let stage = Stage::new(on);
    let others: Vec<_> = (0..100).map(|_| stage.puppet("b")).collect();
    let after = || {
        for other in &others {
            assert_eq!(other.ask(1).wait(), Ok(2));
        }
        assert_eq!(stage.puppet("c").ask(1).wait(), Ok(2));
    };
    blocked(&stage, |_, _| (), after);
    stage.end();
}

fn whom_a_blocked_handler_has_spawned(on: Engine) {
    let stage = Stage::new(on);
    let before = |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        for _ in 0..10 {
            ctx.spawn(this.other("b"));
            ctx.system().spawn(this.other("b"));
        }
    };
    blocked(&stage, before, || eventually("all start", || stage.log.of("b").len() == 20));
    stage.end();
}

/// Blocks where it is told to, after it has sent.
struct Blocker {
    at: &'static str,
    to: ActorRef<Puppet>,
    inside: Gate,
    release: Gate,
}

impl Blocker {
    fn reach(&self, at: &str) {
        if self.at == at {
            self.to.tell(1).unwrap();
            self.inside.open();
            self.release.wait();
        }
    }
}

impl Actor for Blocker {
    fn started(&mut self, _: &mut Context<Self>) {
        self.reach("started");
    }

    fn stopped(&mut self, _: &StopReason) {
        self.reach("stopped");
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.reach("dropped");
    }
}

fn behind_blocked_hooks_and_drops(on: Engine) {
    for at in ["started", "stopped", "dropped"] {
        let stage = Stage::new(on);
        let to = stage.puppet("b");
        let (inside, release) = (Gate::default(), Gate::default());
        let blocker = Blocker { at, to, inside: inside.clone(), release: release.clone() };
        stage.spawn(blocker).stop();
        inside.wait();
        stage.log.expect("b", &["starts", "gets 1"]);
        release.open();
        stage.end();
    }
}

fn behind_a_blocked_continuation(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    let release = Gate::default();
    let wait = release.clone();
    let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        ctx.ask(&b, 1, LIMIT, move |_: &mut Puppet, _, _| {
            c.tell(1).unwrap();
            wait.wait();
        });
    };
    a.tell(run(part)).unwrap();
    stage.log.expect("c", &["starts", "gets 1"]);
    release.open();
    stage.end();
}

fn when_all_but_one_block(on: Engine) {
    let stage = Stage::new(on);
    let blockers: Vec<_> = (1..on.workers()).map(|_| stage.puppet("x")).collect();
    let held: Vec<_> = blockers.iter().map(hold).collect();
    // One worker is left, and does the work of all.
    let others: Vec<_> = (0..50).map(|_| stage.puppet("b")).collect();
    for round in 0..20 {
        let asked: Vec<_> = others.iter().map(|other| other.ask(round)).collect();
        assert!(asked.into_iter().all(|asked| asked.wait() == Ok(2 * round)));
    }
    drop(held);
    stage.end();
}

fn when_all_were_asleep(on: Engine) {
    let stage = Stage::new(on);
    let b = stage.puppet("b");
    stage.log.until("b starts");
    let parks = || stage.counters().workers.iter().map(|worker| worker.parks).collect::<Vec<_>>();
    // As far as can be seen: nobody has gone to sleep for a while, so all do sleep. If not, this test shows less.
    eventually("all sleep", || {
        let before = parks();
        std::thread::park_timeout(Duration::from_millis(30));
        before == parks()
    });
    blocked(&stage, move |_, _| b.tell(1).unwrap(), || stage.log.until("b gets 1"));
    stage.end();
}

fn however_workers_idle(on: Engine) {
    for idle in [Idle::Hybrid, Idle::Park, Idle::Spin] {
        if idle == Idle::Spin && on.workers() > 2 {
            // Eight that spin on a few CPUs would take the time from each other, as asked for.
            continue;
        }
        let stage = Stage::of(on.builder().idle(idle));
        let b = stage.puppet("b");
        let to = b.clone();
        blocked(&stage, move |_, _| to.tell(1).unwrap(), || stage.log.until("b gets 1"));
        assert_eq!(b.ask(2).wait(), Ok(4));
        stage.end();
    }
}
