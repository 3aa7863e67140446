//! What drives one simulation: steps, time, and what is drawn on the way.

use super::choice::{Choice, Chooser};
use super::faults::{Faults, Odds};
use super::overruns::Overruns;
use super::policy::{Pct, Policy, name_of};
use super::posts::{ByNumber, Post};
use super::rng::{Rng, mix};
use super::trace::{Happened, Trace, TraceEvent};
use super::transit::{Pair, Transit};
use super::{Driven, Horizon, InVain, Setup, Trouble};
use crate::engine::config::{Budget, Idle};
use crate::engine::core::{Core, Engine, Plan};
use crate::engine::report::{Report, WorkerReport};
use crate::engine::threads::worker::Worker;
use crate::kernel::cell::{CellRef, Runnable};
use crate::kernel::held::Held;
use crate::kernel::hub::Hub;
use crate::kernel::inspect::Card;
use crate::kernel::schedule::Host;
use crate::kernel::tap::{Piece, Ruling};
use crate::kernel::turn::{After, take_turn};
use crate::kernel::watch::ActorId;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::time::{Clock, Tick};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

/// Up to this many actors the one that has waited longest is the first of the list; above it the order is the picks' making,
/// and a pick costs the same.
const IN_ORDER: usize = 1024;
/// The last steps before the limit, in which messages are counted by actor.
const WATCHED: u64 = 100_000;

/// What drives one simulation.
pub(crate) struct Driver {
    worker: Worker,
    seed: u64,
    step_limit: u64,
    /// What its clock began with.
    start: Tick,
    /// A turn is running.
    inside: Cell<bool>,
    state: RefCell<State>,
}

struct State {
    ready: VecDeque<Runnable>,
    chooser: Chooser,
    pct: Option<Pct>,
    odds: Odds,
    transit: Transit,
    /// Of what the tap has just ruled to keep.
    kept: Option<(Pair, Tick)>,
    trace: Option<Trace>,
    posts: ByNumber<usize, Post>,
    /// Whose turn it is.
    running: Option<ActorId>,
    sent: u64,
    handled: u64,
    signature: u64,
    overruns: Overruns,
    /// By actor: its type, and messages handled since the limit came near.
    hot: Option<ByNumber<u64, (&'static str, u64)>>,
}

/// One turn, as the kernel's host.
pub(super) struct Turn<'a> {
    driver: &'a Driver,
    pub(super) id: ActorId,
    pub(super) type_name: &'static str,
    /// It has had its message.
    done: Cell<bool>,
    /// Of what type that was, for a watchdog.
    pub(super) message: Cell<Option<&'static str>>,
    /// Whose that was.
    from: Cell<Option<ActorId>>,
}

impl Host for Turn<'_> {
    #[inline]
    fn handling(&self, piece: Piece<'_>) -> bool {
        self.driver.worker.metrics().handled.add(1);
        self.done.set(true);
        self.driver.handling(self, &piece)
    }

    fn begin(&self) -> u32 {
        u32::from(!self.done.get())
    }

    fn over(&self) -> bool {
        false
    }

    fn look(&self) -> u32 {
        0
    }

    fn starts_apart(&self) -> bool {
        true
    }

    fn ended(&self) {
        self.driver.worker.metrics().ended.add(1);
        self.driver.note(|| self.event(Happened::Ended));
    }

    fn restarted(&self) {
        self.driver.worker.metrics().restarts.add(1);
        self.driver.note(|| self.event(Happened::Restarted));
    }

    fn kept(&self, piece: Piece<'_>) {
        self.driver.worker.metrics().sent.add(1);
        let state = &mut *self.driver.state.borrow_mut();
        state.sent += 1;
        state.posts.insert(piece.address(), Post { number: state.sent, from: self.from.get() });
    }

    fn retrying(&self) {
        self.driver.worker.metrics().retries.add(1);
    }
}

impl Turn<'_> {
    fn event(&self, what: Happened) -> TraceEvent {
        let time = self.driver.now().since(Tick(0));
        TraceEvent { time, actor: self.id, type_name: self.type_name, what, message: None, from: None }
    }
}

impl Driver {
    /// Makes a simulated system, and what drives it.
    pub(super) fn new(setup: Setup) -> (Self, Hub<Core>) {
        let worker = WorkerReport { index: 0, cpu: None, reason: Some("it is simulated".to_owned()) };
        let plan = Plan {
            name: setup.name,
            budget: Budget { messages: 1, ..Budget::default() },
            idle: Idle::Park,
            watchdog: setup.watchdog,
            alarm: None,
            report: Report { workers: vec![worker], ..Report::default() },
            victims: vec![Box::default()],
            crowded: false,
        };
        let engine = Engine::Sim { disturbed: AtomicBool::new(false) };
        let (hub, mut berths) = Core::prepare(plan, Clock::simulated(), engine);
        let start = hub.clock.advance(setup.clock_start);
        let Some(berth) = berths.pop() else { unreachable!("a berth for the worker") };
        let mut chooser = Chooser::seeded(setup.seed);
        let pct = match setup.policy {
            Policy::Random => None,
            // From numbers of its own: a script has none.
            Policy::Pct { depth, picks } => Some(Pct::new(depth, picks, &mut Rng::new(!setup.seed))),
        };
        if let Some(script) = setup.script {
            chooser.follow(script);
        }
        if setup.trace {
            chooser.keep_record();
        }
        let driver = Self {
            worker: berth.worker(hub.clone()),
            seed: setup.seed,
            step_limit: setup.step_limit,
            start,
            inside: Cell::new(false),
            state: RefCell::new(State {
                ready: VecDeque::new(),
                chooser,
                pct,
                odds: setup.faults.odds(),
                transit: Transit::default(),
                kept: None,
                trace: setup.trace.then(Trace::default),
                posts: ByNumber::default(),
                running: None,
                sent: 0,
                handled: 0,
                signature: mix(0),
                overruns: Overruns::default(),
                hot: None,
            }),
        };
        (driver, hub)
    }

    pub(super) fn is_of(&self, core: &Core) -> bool {
        std::ptr::eq(self.core(), core)
    }

    pub(crate) fn core(&self) -> &Core {
        self.worker.core()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn step_limit(&self) -> u64 {
        self.step_limit
    }

    pub(crate) fn signature(&self) -> u64 {
        self.state.borrow().signature
    }

    pub(crate) fn handled(&self) -> u64 {
        self.state.borrow().handled
    }

    /// How much time has passed.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now().since(self.start)
    }

    pub(crate) fn now(&self) -> Tick {
        self.core().clock.now()
    }

    /// Sets what goes wrong from here on.
    pub(crate) fn set_faults(&self, faults: &Faults) {
        self.state.borrow_mut().odds = faults.odds();
    }

    /// What has happened, if that is kept.
    pub(crate) fn trace(&self) -> Trace {
        self.state.borrow().trace.clone().unwrap_or_default()
    }

    /// The choices that were not the plain ones, if they are kept.
    pub(crate) fn record(&self) -> Vec<Choice> {
        self.state.borrow().chooser.record().to_vec()
    }

    fn note(&self, event: impl FnOnce() -> TraceEvent) {
        self.state.borrow_mut().note(event);
    }

    pub(super) fn sent(&self, to: &CellRef, pieces: &[Piece<'_>], losable: bool) -> Ruling {
        let state = &mut *self.state.borrow_mut();
        state.number(pieces);
        if state.transit.is_empty() && !state.odds.on_the_way() || to.header().word().peek().refuses() {
            return Ruling::Pass;
        }
        self.rule(state, to.header().id(), pieces, losable)
    }

    /// Numbers what an actor puts back.
    pub(super) fn put_back(&self, pieces: &[Piece<'_>]) {
        self.state.borrow_mut().number(pieces);
    }

    /// Draws what happens to messages on their way.
    fn rule(&self, state: &mut State, to: ActorId, pieces: &[Piece<'_>], losable: bool) -> Ruling {
        let (pair, now) = ((state.running, to), self.now());
        let mut ruling = Ruling::Keep;
        let mut happened = None;
        let before = state.transit.last_of(pair);
        if losable && state.chooser.chance(state.odds.losses) {
            ruling = Ruling::Lose;
            happened = Some(Happened::Lost);
        } else if state.chooser.chance(state.odds.delays) {
            let most = state.odds.delay;
            let later = Duration::from_nanos(1 + state.chooser.choose(most));
            state.kept = Some((pair, now.after(later).max(before.unwrap_or(now))));
            happened = Some(Happened::Delayed(later));
        } else if state.chooser.chance(state.odds.reorders) {
            state.kept = Some((pair, before.unwrap_or(now)));
            happened = Some(Happened::Overtaken);
        } else if let Some(before) = before {
            state.kept = Some((pair, before));
        } else {
            ruling = Ruling::Pass;
        }
        if let Some(what) = happened {
            for piece in pieces {
                let (time, message) = (now.since(Tick(0)), Some(piece.type_name()));
                state.note(|| TraceEvent { time, actor: to, type_name: "", what, message, from: pair.0 });
            }
        }
        ruling
    }

    /// Whether a bounded mailbox is to look full.
    pub(super) fn full(&self, to: &CellRef) -> bool {
        let state = &mut *self.state.borrow_mut();
        let full = state.chooser.chance(state.odds.full);
        if full {
            let (time, actor) = (self.now().since(Tick(0)), to.header().id());
            let (type_name, from) = (to.header().type_name(), state.running);
            state.note(|| TraceEvent { time, actor, type_name, what: Happened::Full, message: None, from });
        }
        full
    }

    pub(super) fn keep(&self, held: Held) {
        let state = &mut *self.state.borrow_mut();
        match state.kept.take() {
            Some((pair, due)) => state.transit.hold(pair, due, held),
            None => unreachable!("what is kept has just been ruled to be"),
        }
    }

    /// Delivers what the running actor has on its way.
    pub(super) fn publish(&self) {
        let mine = {
            let state = &mut *self.state.borrow_mut();
            let from = state.running;
            state.transit.take_of(from)
        };
        mine.into_iter().for_each(Held::deliver);
    }

    fn handling(&self, turn: &Turn<'_>, piece: &Piece<'_>) -> bool {
        if self.core().config.watchdog.is_some() {
            turn.message.set(Some(piece.type_name()));
        }
        let state = &mut *self.state.borrow_mut();
        let post = state.posts.remove(&piece.address()).unwrap_or(Post { number: 0, from: None });
        turn.from.set(post.from);
        state.handled += 1;
        // Identities and numbers are the same in any build; addresses and names are not.
        state.signature = mix(state.signature.wrapping_add(turn.id.0)).wrapping_add(post.number);
        if let Some(hot) = &mut state.hot {
            hot.entry(turn.id.0).or_insert((turn.type_name, 0)).1 += 1;
        }
        let fails = state.odds.panics != 0 && state.odds.to(turn.type_name) && state.chooser.chance(state.odds.panics);
        state.note(|| {
            let what = if fails { Happened::Panicked } else { Happened::Handled };
            TraceEvent { message: Some(piece.type_name()), from: post.from, ..turn.event(what) }
        });
        fails
    }

    /// Takes over what has become runnable.
    #[inline]
    fn collect(&self, state: &mut State) {
        while let Some(runnable) = self.worker.pushed() {
            self.queue(state, runnable);
        }
    }

    #[inline]
    fn queue(&self, state: &mut State, runnable: Runnable) {
        if state.transit.anybody_slow() {
            if let Some(until) = state.transit.until(runnable.header().id(), self.now()) {
                return state.transit.rest(until, runnable);
            }
        }
        state.ready.push_back(runnable);
    }

    /// Looks at all that wait for their turn.
    pub(crate) fn cards(&self) -> Vec<Card> {
        let state = self.state.borrow();
        let queued = state.ready.iter().chain(state.transit.resting());
        let mut cards: Vec<Card> = queued.map(Runnable::inspect).collect();
        // What has not been collected yet stays where it is, in its order: a look changes nothing.
        let woken: Vec<Runnable> = std::iter::from_fn(|| self.worker.pushed()).collect();
        for runnable in woken {
            cards.push(runnable.inspect());
            if self.inside.get() { self.worker.push(runnable) } else { self.core().threads.inject(runnable) }
        }
        cards
    }

    /// One step. False if there is nothing to do now.
    pub(crate) fn step(&self) -> bool {
        if self.core().timers.next_deadline() <= self.now() {
            self.move_to(self.now());
        }
        let picked = {
            let state = &mut *self.state.borrow_mut();
            self.collect(state);
            if state.transit.is_empty() { Ok(state.pick()) } else { state.pick_of_all(self.now()) }
        };
        match picked {
            Ok(Some(runnable)) => self.turn(runnable),
            Ok(None) => return false,
            Err(held) => held.deliver(),
        }
        true
    }

    fn turn(&self, runnable: Runnable) {
        let header = runnable.header();
        let turn = Turn {
            driver: self,
            id: header.id(),
            type_name: header.type_name(),
            done: Cell::new(false),
            message: Cell::new(None),
            from: Cell::new(None),
        };
        let name = self.core().config.watchdog.as_ref().and_then(|_| header.name().cloned());
        let before = {
            let state = &mut *self.state.borrow_mut();
            state.running = Some(turn.id);
            if state.odds.to(turn.type_name) && state.chooser.chance(state.odds.stops) {
                runnable.stop();
                state.note(|| turn.event(Happened::Stopped));
            }
            state.handled
        };
        self.worker.metrics().activations.add(1);
        self.inside.set(true);
        let after = self.worker.enter(|| take_turn(runnable, &turn));
        self.inside.set(false);
        let state = &mut *self.state.borrow_mut();
        state.running = None;
        if state.handled > before && state.odds.to(turn.type_name) && state.chooser.chance(state.odds.slow) {
            let most = state.odds.slowness;
            let time = Duration::from_nanos(1 + state.chooser.choose(most));
            state.transit.slow_down(turn.id, self.now().after(time));
            if let Some(watchdog) = &self.core().config.watchdog {
                state.overruns.note(watchdog, &turn, name.as_ref(), self.now(), time);
            }
            state.note(|| turn.event(Happened::Slowed(time)));
        }
        // Whom it has woken comes before it.
        self.collect(state);
        if let After::Again(runnable) = after {
            self.queue(state, runnable);
        }
    }

    /// Moves the clock to the next overrun until `time`, and reports it. False if there is none.
    fn report_overrun(&self, time: Tick) -> bool {
        let core = self.core();
        let Some(watchdog) = &core.config.watchdog else { return false };
        let next = self.state.borrow_mut().overruns.take(time);
        let Some((at, overrun)) = next else { return false };
        core.clock.advance(at.since(core.clock.now()));
        watchdog.report(overrun);
        true
    }

    /// Moves the clock, and wakes those whose time has come.
    pub(crate) fn move_to(&self, time: Tick) {
        while self.report_overrun(time) {}
        let core = self.core();
        core.clock.advance(time.since(core.clock.now()));
        let fired = core.fire_timers(&mut Vec::new());
        self.worker.metrics().timers_fired.add(fired as u64);
    }

    /// Whether the calling thread may drive.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if self.inside.get() {
            return Err(Trouble::Nested);
        }
        match &self.core().engine {
            // Ordering: Relaxed: a note for people.
            Engine::Sim { disturbed } if disturbed.load(Ordering::Relaxed) => Err(Trouble::Disturbed),
            _ => Ok(()),
        }
    }

    /// When the clock is to move on to, within a horizon.
    fn next_event(&self, horizon: Horizon) -> Option<Tick> {
        let timer = self.core().timers.next_deadline();
        let (work, overrun) = {
            let state = self.state.borrow();
            (state.transit.next(), state.overruns.next())
        };
        let next = timer.min(work).min(overrun);
        let within = match horizon {
            Horizon::Time(deadline) => next <= deadline,
            Horizon::Rest => work != Tick::NEVER || timer <= self.now(),
        };
        (within && next != Tick::NEVER).then_some(next)
    }

    /// Steps until `done`, or until nothing is left to do; moves the clock on to the next event within the horizon.
    pub(crate) fn drive(&self, horizon: Horizon, done: impl FnMut() -> bool) -> Result<Driven, Trouble> {
        self.check()?;
        self.go_on(horizon, done)
    }

    fn go_on(&self, horizon: Horizon, mut done: impl FnMut() -> bool) -> Result<Driven, Trouble> {
        let mut left = self.step_limit;
        loop {
            if done() {
                return Ok(Driven::Done);
            }
            if left == 0 {
                return Err(Trouble::Limit(self.hottest()));
            }
            if left == WATCHED.min(self.step_limit / 2) {
                self.state.borrow_mut().hot = Some(ByNumber::default());
            }
            left -= 1;
            if self.step() {
                continue;
            }
            let Some(next) = self.next_event(horizon) else {
                self.state.borrow_mut().hot = None;
                return Ok(Driven::Idle);
            };
            self.move_to(next);
        }
    }

    /// Drives until `poll` gives something; until the deadline at most, to which the clock moves then.
    pub(crate) fn wait<T>(&self, deadline: Tick, mut poll: impl FnMut() -> Option<T>) -> Result<T, InVain> {
        let mut found = None;
        let driven = self.drive(Horizon::Time(deadline), || {
            found = poll();
            found.is_some()
        });
        match (driven, found) {
            (Ok(_), Some(found)) => Ok(found),
            (Ok(_), None) if deadline != Tick::NEVER => {
                self.move_to(deadline);
                Err(InVain::Timeout)
            }
            (Err(Trouble::Nested), _) => Err(InVain::WouldDeadlock),
            (Err(Trouble::Disturbed), _) => Err(InVain::OtherThread),
            (Ok(_) | Err(Trouble::Limit(_)), _) => Err(InVain::Stalled),
        }
    }

    /// Who has handled most since the limit came near.
    fn hottest(&self) -> Vec<(ActorId, &'static str, u64)> {
        let hot = self.state.borrow_mut().hot.take().unwrap_or_default();
        let mut hot: Vec<_> = hot.into_iter().map(|(id, (name, count))| (ActorId(id), name, count)).collect();
        hot.sort_unstable_by_key(|&(id, _, count)| (std::cmp::Reverse(count), id));
        hot.truncate(5);
        hot
    }

    /// Runs all actors to their ends, once a shutdown has begun: without faults. Whether that was possible within the limit.
    pub(crate) fn finish(&self) -> bool {
        let core = self.core();
        self.set_faults(&Faults::none());
        let held = self.state.borrow_mut().transit.take_all();
        held.into_iter().for_each(Held::deliver);
        self.go_on(Horizon::Time(Tick::NEVER), || core.is_over()) == Ok(Driven::Done)
    }
}

impl State {
    /// Adds to the trace, if that is kept.
    #[inline]
    fn note(&mut self, event: impl FnOnce() -> TraceEvent) {
        if let Some(trace) = &mut self.trace {
            trace.push(event());
        }
    }

    /// Gives messages that are about to be queued their numbers.
    fn number(&mut self, pieces: &[Piece<'_>]) {
        for piece in pieces {
            self.sent += 1;
            self.posts.insert(piece.address(), Post { number: self.sent, from: self.running });
        }
    }

    /// Takes one of those that are ready.
    #[inline]
    fn pick(&mut self) -> Option<Runnable> {
        let waiting = self.ready.len();
        let index = self.place(waiting, std::iter::empty());
        if waiting <= IN_ORDER { self.ready.remove(index) } else { self.ready.swap_remove_back(index) }
    }

    /// Chooses one of so many: those that are ready, and others behind them, by the names that priorities know.
    #[inline]
    fn place(&mut self, all: usize, others: impl Iterator<Item = u64>) -> usize {
        let Self { chooser, pct, ready, .. } = self;
        let all = all as u64;
        let place = chooser.decide(all, |rng| match pct {
            None => rng.below(all),
            Some(pct) => pct.pick(rng, ready.iter().map(|runnable| runnable.header().id().0).chain(others)) as u64,
        });
        place as usize
    }

    /// Takes one of those that are ready, or messages whose time has come.
    fn pick_of_all(&mut self, now: Tick) -> Result<Option<Runnable>, Held> {
        self.transit.awake(now, &mut self.ready);
        let due: Vec<(usize, Pair)> = self.transit.due(now).collect();
        if due.is_empty() {
            return Ok(self.pick());
        }
        let waiting = self.ready.len();
        let index = self.place(waiting + due.len(), due.iter().map(|&(_, pair)| name_of(pair)));
        match index.checked_sub(waiting) {
            None => Ok(self.ready.remove(index)),
            Some(lane) => self.transit.take(due[lane].0).map_or(Ok(None), Err),
        }
    }
}
