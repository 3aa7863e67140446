//! The life cycle as a table: a panic in each place, against each end, in each state an actor can be in. Every row keeps a
//! ledger.

use crate::support::puppet::{Puppet, run};
use crate::support::restarts::{at_once, fail, never_comes};
use crate::support::stage::{Engine, Stage, contract};
use crate::support::{Count, Counted, LIMIT, Shared, eventually, scaled};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, StopReason, System, Terminated};
use std::thread;
use std::time::Duration;

contract! {
    every_panic_every_end_every_state,
    a_child_stops_its_parent,
    a_parent_that_is_stopping_is_asked,
    a_thousand_children_end,
    a_depth_of_a_thousand_ends,
}

/// Where the subject panics, once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Panic {
    Nowhere,
    /// In its first start if it has not yet started; otherwise in the next.
    Started,
    Handler,
    Stopped,
    /// At the drop of each of its states.
    Dropped,
    /// When it is made for the second time.
    Factory,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Stop,
    Drain,
    /// No end: its handler fails. It is drained afterwards.
    Restart,
    Shutdown,
    ParentStops,
}

/// What the subject is doing when the end comes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    NotStarted,
    Idle,
    /// In a handler, which brings the end itself.
    Running,
    /// The same, with messages behind it.
    Queued,
    Backoff,
    /// In a handler, after it was asked to drain.
    Draining,
    AwaitingChildren,
}

const PANICS: [Panic; 6] =
    [Panic::Nowhere, Panic::Started, Panic::Handler, Panic::Stopped, Panic::Dropped, Panic::Factory];
const ENDS: [End; 5] = [End::Stop, End::Drain, End::Restart, End::Shutdown, End::ParentStops];
const STATES: [State; 7] = [
    State::NotStarted,
    State::Idle,
    State::Running,
    State::Queued,
    State::Backoff,
    State::Draining,
    State::AwaitingChildren,
];

#[derive(Debug, Clone, Copy)]
struct Row {
    panic: Panic,
    end: End,
    state: State,
}

impl Row {
    /// Whether the end comes from a handler of the subject.
    fn is_inside(self) -> bool {
        matches!(self.state, State::Running | State::Queued | State::Draining)
    }

    /// Whether it ends only by a stop.
    fn is_stuck(self) -> bool {
        matches!(self.state, State::Backoff | State::AwaitingChildren)
    }

    /// For what reasons the subject may end.
    fn allows(self, reason: &StopReason) -> bool {
        // Its failure comes when it is to end, or may come then.
        let fails = match self.panic {
            Panic::Handler => !self.is_stuck(),
            Panic::Started => self.state == State::NotStarted,
            _ => false,
        };
        let plain = match self.end {
            End::Stop if self.is_inside() && fails => return matches!(reason, StopReason::Panicked(_)),
            End::Stop => StopReason::Stopped,
            End::Drain | End::Restart if self.is_stuck() => StopReason::ParentStopped,
            End::Drain | End::Restart => return *reason == StopReason::Drained,
            End::Shutdown => StopReason::SystemShutdown,
            End::ParentStops => StopReason::ParentStopped,
        };
        // One that drains may be faster than its parent.
        let drained = self.state == State::Draining && self.end != End::Stop && *reason == StopReason::Drained;
        *reason == plain || drained || fails && matches!(reason, StopReason::Panicked(_))
    }
}

/// What is counted in a row.
#[derive(Clone, Default)]
struct Books {
    /// States made and dropped, and calls of both hooks.
    made: Count,
    dropped: Count,
    starts: Count,
    stops: Count,
    /// Messages made, dropped and given back.
    told: Count,
    forgotten: Count,
    returned: Count,
}

impl Books {
    fn token(&self) -> Token {
        self.told.add(1);
        Token(Counted(self.forgotten.clone()))
    }

    /// Sends one; it may be refused.
    fn send(&self, to: &ActorRef<Subject>) {
        if to.tell(self.token()).is_err() {
            self.returned.add(1);
        }
    }
}

struct Token(#[allow(dead_code, reason = "its drop is counted")] Counted);

struct Subject {
    row: Row,
    life: u64,
    books: Books,
}

impl Actor for Subject {
    fn started(&mut self, _: &mut Context<Self>) {
        self.books.starts.add(1);
        let bad = if self.row.state == State::NotStarted { 1 } else { 2 };
        assert!(self.row.panic != Panic::Started || self.life != bad, "meant: started");
    }

    fn stopped(&mut self, _: &StopReason) {
        self.books.stops.add(1);
        assert!(self.row.panic != Panic::Stopped, "meant: stopped");
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.books.dropped.add(1);
        assert!(self.row.panic != Panic::Dropped || thread::panicking(), "meant: dropped");
    }
}

impl Handler<Token> for Subject {
    type Reply = ();

    fn handle(&mut self, _: Token, _: &mut Context<Self>) {}
}

type Part<A> = Box<dyn FnOnce(&mut A, &mut Context<A>) + Send>;

impl Handler<Part<Self>> for Subject {
    type Reply = ();

    fn handle(&mut self, part: Part<Self>, ctx: &mut Context<Self>) {
        part(self, ctx);
    }
}

/// Tells the subject to do something; nothing if it refuses.
fn order(
    to: &ActorRef<Subject>,
    books: &Books,
    part: impl FnOnce(&mut Subject, &mut Context<Subject>) + Send + 'static,
) {
    let part: Part<Subject> = Box::new(part);
    if to.tell(part).is_err() {
        books.returned.add(1);
    }
}

/// Notes whoever ends.
struct Ear(Shared<Vec<Terminated>>);

impl Actor for Ear {}

impl Handler<ActorRef<Subject>> for Ear {
    type Reply = ();

    fn handle(&mut self, target: ActorRef<Subject>, ctx: &mut Context<Self>) {
        ctx.watch(&target);
    }
}

impl Handler<Terminated> for Ear {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.0.with(|heard| heard.push(notice));
    }
}

/// What brings the end, from wherever.
struct Ending {
    row: Row,
    system: System,
    parent: ActorRef<Puppet>,
    books: Books,
}

impl Ending {
    /// From outside, or from another actor's handler.
    fn come(self, subject: &ActorRef<Subject>) {
        if self.row.panic == Panic::Handler && self.row.end != End::Restart {
            order(subject, &self.books, |_, _| panic!("meant: handled"));
        }
        self.end(subject);
        if self.row.end == End::Restart {
            order(subject, &self.books, |_, _| panic!("meant: restart"));
        }
    }

    /// From its own handler.
    fn come_inside(self, ctx: &Context<Subject>) {
        let fails = self.row.end == End::Restart || self.row.panic == Panic::Handler;
        self.end(&ctx.me());
        assert!(!fails, "meant: handled");
    }

    fn end(&self, subject: &ActorRef<Subject>) {
        match self.row.end {
            End::Stop => subject.stop(),
            End::Drain => subject.drain(),
            End::Restart => {}
            // From a worker it begins, and says that it does not wait.
            End::Shutdown => drop(self.system.shutdown(Duration::ZERO)),
            End::ParentStops => self.parent.stop(),
        }
    }
}

fn every_panic_every_end_every_state(on: Engine) {
    for state in STATES {
        for (panic, end) in PANICS.into_iter().flat_map(|panic| ENDS.map(|end| (panic, end))) {
            check(on, Row { panic, end, state });
        }
    }
}

fn check(on: Engine, row: Row) {
    let stage = Stage::new(on);
    // Elsewhere, so that it hears of a shutdown.
    let ears = Stage::new(on);
    let (books, heard) = (Books::default(), Shared::new(Vec::new()));
    let ear = ears.spawn(Ear(heard.clone()));
    let parent = stage.puppet("parent");
    let mut ending = Some(Ending { row, system: stage.system.clone(), parent: parent.clone(), books: books.clone() });

    // Made by its parent, who brings the end at once if it is not to have started.
    let mut at_once_over = if row.state == State::NotStarted { ending.take() } else { None };
    let (place, heeds) = (Shared::new(None), Shared::new(None));
    let (to, made, watch) = (place.clone(), books.clone(), heeds.clone());
    let mut calls = 0;
    let factory = move || {
        calls += 1;
        assert!(row.panic != Panic::Factory || calls != 2, "meant: made");
        made.made.add(1);
        Subject { row, life: calls, books: made.clone() }
    };
    let rule = if row.state == State::Backoff { never_comes() } else { at_once() };
    let sends = books.clone();
    let birth = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
        let subject = ctx.actor(factory).restart(rule).spawn().expect("a subject");
        watch.with(|watch| *watch = Some(ear.ask(subject.clone())));
        if let Some(ending) = at_once_over.take() {
            sends.send(&subject);
            ending.come(&subject);
            sends.send(&subject);
        }
        to.with(|to| *to = Some(subject));
    };
    parent.tell(run(birth)).unwrap();
    eventually("a subject", || place.with(|place| place.is_some()));
    let subject = place.with(Option::take).unwrap();
    heeds.with(Option::take).unwrap().wait().expect("an ear");

    match row.state {
        State::NotStarted => {}
        State::Idle => eventually("a start", || books.starts.get() == 1),
        State::Running | State::Queued => {
            let (ending, sends) = (ending.take().unwrap(), books.clone());
            order(&subject, &books, move |_, ctx| {
                if row.state == State::Queued {
                    (0..3).for_each(|_| sends.send(&ctx.me()));
                }
                ending.come_inside(ctx);
            });
        }
        State::Backoff => {
            order(&subject, &books, |_, _| panic!("meant: backoff"));
            eventually("a drop", || books.dropped.get() == 1);
        }
        State::Draining => {
            let (ending, sends) = (ending.take().unwrap(), books.clone());
            order(&subject, &books, move |_, ctx| {
                order(&ctx.me(), &sends, move |_, ctx| ending.come_inside(ctx));
                sends.send(&ctx.me());
                ctx.drain();
            });
        }
        State::AwaitingChildren => {
            let log = stage.log.clone();
            order(&subject, &books, move |_, ctx| {
                let log = log.clone();
                let child = ctx.actor(move || Puppet::new("grandchild", &log)).restart(never_comes());
                fail(&child.spawn().expect("a grandchild"));
                ctx.drain();
            });
            // It waits for its restart, and for its parent's order to end.
            stage.log.until("grandchild drops");
        }
    }
    books.send(&subject);
    if let Some(ending) = ending.take() {
        ending.come(&subject);
    }
    books.send(&subject);
    if matches!(row.end, End::Drain | End::Restart) {
        if row.end == End::Restart && !row.is_stuck() {
            eventually("a restart", || stage.counters().restarts > 0);
        }
        subject.drain();
        if row.is_stuck() {
            parent.stop();
        }
    }

    eventually(&format!("a notice: {row:?}"), || !heard.with(|heard| heard.is_empty()));
    let counters = stage.end();
    ears.end();
    let heard = heard.get();
    assert_eq!(heard.len(), 1, "{row:?}: {heard:?}");
    assert_eq!(heard[0].id, subject.id(), "{row:?}");
    assert!(row.allows(&heard[0].reason), "{row:?}: {}", heard[0].reason);
    assert_eq!(books.made.get(), books.dropped.get(), "{row:?}: states");
    assert_eq!(books.told.get(), books.forgotten.get(), "{row:?}: messages");
    assert_eq!(counters.returned, books.returned.get(), "{row:?}: {counters}");
    assert!(books.starts.get() <= books.made.get() && books.stops.get() <= 1, "{row:?}");
    if row.state != State::Backoff && !matches!(row.panic, Panic::Factory | Panic::Started | Panic::Handler) {
        assert_eq!(books.stops.get(), 1, "{row:?}: calls of `stopped`");
    }
}

fn a_child_stops_its_parent(on: Engine) {
    for drains in [false, true] {
        let stage = Stage::new(on);
        let parent = stage.puppet("parent");
        let above = parent.clone();
        let birth = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
            let child = ctx.spawn(this.other("child"));
            let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
                // Before: its parent may close its mailbox while this handler goes on.
                ctx.me().tell(7_u64).expect("a message before its end");
                if drains {
                    above.drain()
                } else {
                    above.stop()
                }
                this.says("has said so");
                // Its parent is there for as long as it is itself.
                assert!(ctx.parent().is_some());
            };
            child.send_all([run(part)]).expect("a child");
        };
        parent.tell(run(birth)).unwrap();
        stage.living(0);
        let lines = stage.log.of("child");
        assert_eq!(lines[..2], ["starts", "has said so"]);
        let end = lines.iter().find(|line| line.starts_with("stops")).expect("an end");
        if drains {
            assert!(lines.contains(&"gets 7".to_owned()) && end == "stops: drained", "{lines:?}");
        } else {
            assert_eq!(end, "stops: parent stopped");
        }
        let all = stage.log.lines();
        let place = |line: &str| all.iter().position(|each| each.starts_with(line)).expect("a line");
        assert!(place("child drops") < place("parent stops"), "{all:?}");
        stage.end();
    }
}

fn a_parent_that_is_stopping_is_asked(on: Engine) {
    let stage = Stage::new(on);
    let parent = stage.puppet("parent");
    let (above, answers) = (parent.clone(), Shared::new(Vec::new()));
    let heard = answers.clone();
    let birth = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        let child = ctx.spawn(this.other("child"));
        let part = move |_: &mut Puppet, ctx: &mut Context<Puppet>| {
            above.drain();
            // It drains, and waits for this child, which waits for an answer: not for ever.
            let heard = heard.clone();
            ctx.ask(&above, 1_u64, LIMIT, move |_, answer, _| heard.with(|heard| heard.push(answer)));
        };
        child.tell(run(part)).expect("a child");
    };
    parent.tell(run(birth)).unwrap();
    stage.living(0);
    let answers = answers.get();
    // The answer is a message to the child itself: it hears of the refusal, unless its own mailbox was closed before.
    assert!(answers.is_empty() || answers == [Err(AskError::Stopped)], "{answers:?}");
    stage.end();
}

/// How a whole family is ended.
const FAMILY_ENDS: [fn(&Stage, &ActorRef<Kin>); 4] = [
    |_, top| top.stop(),
    |_, top| top.drain(),
    |_, top| drop(top.tell(Fail)),
    |stage, _| stage.system.shutdown(LIMIT).expect("a shutdown"),
];

/// A member of a family, with so many children, or so many generations below.
struct Kin {
    children: u64,
    below: u64,
    ends: Shared<Vec<u64>>,
    /// Made, and born.
    counts: [Count; 2],
    _state: Counted,
}

impl Kin {
    fn new(children: u64, below: u64, ends: &Shared<Vec<u64>>, counts: &[Count; 2], dropped: &Count) -> Self {
        counts[0].add(1);
        Self { children, below, ends: ends.clone(), counts: counts.clone(), _state: Counted(dropped.clone()) }
    }
}

impl Actor for Kin {
    fn started(&mut self, ctx: &mut Context<Self>) {
        self.counts[1].add(1);
        if self.below > 0 {
            for _ in 0..self.children {
                ctx.spawn(Self::new(self.children, self.below - 1, &self.ends, &self.counts, &self._state.0));
            }
        }
    }

    fn stopped(&mut self, _: &StopReason) {
        self.ends.with(|ends| ends.push(self.below));
    }
}

struct Fail;

impl Handler<Fail> for Kin {
    type Reply = ();

    fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
        panic!("meant: a member");
    }
}

fn families(on: Engine, children: u64, below: u64, members: u64) {
    for (index, end) in FAMILY_ENDS.into_iter().enumerate() {
        for grown in [true, false] {
            let stage = Stage::new(on);
            let (ends, made, born) = (Shared::new(Vec::new()), Count::default(), Count::default());
            let dropped = Count::default();
            let counts = [made.clone(), born.clone()];
            let top = stage.spawn(Kin::new(children, below, &ends, &counts, &dropped));
            if grown {
                born.reaches(members);
            }
            end(&stage, &top);
            eventually(&format!("all ends {index}"), || stage.counters().live_actors == 0);
            let ends = ends.get();
            // Children before parents, and each once.
            assert_eq!(ends.last(), Some(&below), "{index}");
            assert!(ends.is_sorted(), "{index}");
            assert!(!grown || ends.len() as u64 == members, "{index}: {}", ends.len());
            // One that is spawned under a stopping parent is made, and dropped.
            assert_eq!((ends.len() as u64, made.get()), (born.get(), dropped.get()), "{index}");
            stage.end();
        }
    }
}

fn a_thousand_children_end(on: Engine) {
    let children = scaled(1000, 50);
    families(on, children, 1, children + 1);
}

fn a_depth_of_a_thousand_ends(on: Engine) {
    let depth = scaled(1000, 50);
    families(on, 1, depth, depth + 1);
}
