//! A look at the actors of a system while they go on.

use super::SystemRef;
use crate::engine::core::Core;
use crate::engine::snapshot::{Seen, look};
use crate::kernel::inspect::{COUNTED, Card, Sight};
use crate::kernel::phase::Phase;
use crate::kernel::watch::ActorId;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// How long [`SystemRef::snapshot`] waits for busy actors.
const PATIENCE: Duration = Duration::from_millis(100);

/// The actors of a system, as [`SystemRef::snapshot`] has seen them, where there is an example.
///
/// `Display` draws them as a tree, a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The system's name.
    pub system: String,
    /// The actors: parents before their children, siblings by identity.
    pub actors: Vec<ActorStatus>,
    /// How many actors lived when it was taken. Those that are not among `actors` have a parent that has not answered, or were
    /// spawned or ended meanwhile.
    pub live_actors: u64,
}

/// One actor of a [`Snapshot`]. `Display` prints what is known of it in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorStatus {
    /// Its identity.
    pub id: ActorId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its type.
    pub type_name: &'static str,
    /// Who has spawned it, unless the system did.
    pub parent: Option<ActorId>,
    /// What it does.
    pub state: ActorState,
    /// How many messages wait; 65536 are counted at most. `None` if it has not answered.
    pub mailbox: Option<usize>,
    /// How many messages it has begun to handle, notices, timers and continuations too, also before a restart.
    pub handled: u64,
    /// How many of its restarts have begun.
    pub restarts: u64,
    /// For how long it has been in its handler, at least: since a snapshot, or a watchdog, has first seen it there. `None` if it
    /// is in none, or has answered.
    pub running_for: Option<Duration>,
    /// Whether it was seen between two messages. If not, it has been in a handler all the while, or nobody has come to run it;
    /// its children are not listed.
    pub answered: bool,
}

/// What an actor does, as a [`Snapshot`] has seen it.
///
/// # Examples
/// ```
/// assert_eq!(cuelight::ActorState::Idle.to_string(), "idle");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorState {
    /// It has nothing to do.
    Idle,
    /// It has something to do, and waits for a worker, or has just handled a message.
    Busy,
    /// It is in a handler.
    Running,
    /// It has failed, and is to be restarted, or its parent is to decide.
    Restarting,
    /// It takes no more messages, and handles those that it has, or waits for its children to do so.
    Draining,
    /// It ends: it takes no more messages, and waits for its children.
    Stopping,
}

impl fmt::Display for ActorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        })
    }
}

impl fmt::Display for ActorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.type_name, self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, ": {}", self.state)?;
        if let Some(time) = self.running_for {
            write!(f, " for {time:?}")?;
        }
        match self.mailbox {
            Some(0) => {}
            Some(COUNTED) => write!(f, ", {COUNTED} or more wait")?,
            Some(mailbox) => write!(f, ", {mailbox} wait")?,
            None => f.write_str(", no answer")?,
        }
        write!(f, ", {} handled", self.handled)?;
        if self.restarts > 0 {
            write!(f, ", {} restarts", self.restarts)?;
        }
        Ok(())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} actors", self.system, self.live_actors)?;
        // Whether another sibling follows: from the end, for an actor comes before its children and its younger siblings.
        let mut younger: HashMap<Option<ActorId>, bool> = HashMap::new();
        let last: Vec<bool> =
            self.actors.iter().rev().map(|actor| younger.insert(actor.parent, true).is_none()).collect();
        let mut above: Vec<(Option<ActorId>, bool)> = Vec::new();
        for (actor, &last) in self.actors.iter().zip(last.iter().rev()) {
            while above.last().is_some_and(|(id, _)| *id != actor.parent) {
                above.pop();
            }
            f.write_str("\n")?;
            for (_, last) in &above {
                f.write_str(if *last { "   " } else { "│  " })?;
            }
            write!(f, "{}{actor}", if last { "└─ " } else { "├─ " })?;
            above.push((Some(actor.id), last));
        }
        Ok(())
    }
}

impl SystemRef {
    /// Looks at all actors, without stopping any: who they are, whose children, what they do, what waits for them.
    ///
    /// Each is seen between two of its messages. Busy ones are waited for, 100 ms at most, see
    /// [`snapshot_within`](Self::snapshot_within); one that is in a handler all that time, or behind one, is listed with what is
    /// known of it.
    ///
    /// # Examples
    /// ```
    /// use cuelight::{Actor, ActorState, Context, Handler, System};
    /// # struct Child;
    /// # impl Actor for Child {}
    /// struct Parent;
    /// impl Actor for Parent {
    ///     fn started(&mut self, ctx: &mut Context<Self>) { ctx.spawn(Child); }
    /// }
    /// impl Handler<u8> for Parent {
    ///     type Reply = u8;
    ///     fn handle(&mut self, n: u8, _: &mut Context<Self>) -> u8 { n }
    /// }
    ///
    /// let system = System::builder().workers(1).build()?;
    /// let parent = system.actor(|| Parent).name("desk").spawn()?;
    /// parent.ask(7).wait()?;
    ///
    /// let snapshot = system.snapshot();
    /// let [above, below] = &snapshot.actors[..] else { panic!("{snapshot}") };
    /// assert_eq!((above.id, above.name.as_deref(), above.handled), (parent.id(), Some("desk"), 1));
    /// assert_eq!((below.parent, below.state, below.mailbox), (Some(parent.id()), ActorState::Idle, Some(0)));
    /// assert!(snapshot.to_string().starts_with("cuelight: 2 actors\n└─ "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_within(PATIENCE)
    }

    /// As [`snapshot`](Self::snapshot), but waits for busy actors for `patience` at most, and not at all on a worker; an actor with
    /// a thread of its own does not wait for itself. A simulated system is not waited for either; there all that are not in a handler are seen, and on another thread than its own actors
    /// without a parent alone, as they are known.
    ///
    /// Costs some 200 bytes and a fraction of a microsecond for each actor, of the caller's time; an actor that is looked at while
    /// it is idle costs its senders nothing, a busy one copies the list of its children, and reads its mailbox, 65536 messages
    /// at most. What waits behind an actor that is looked at waits for that.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # use std::time::Duration;
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = System::simulation(7);
    /// let sum = sim.spawn(Sum(0));
    /// sum.send_all(0..10)?;
    /// let snapshot = sim.snapshot_within(Duration::ZERO);
    /// assert_eq!((snapshot.actors[0].mailbox, snapshot.actors[0].handled), (Some(10), 0));
    /// sim.run_until_idle()?;
    /// let snapshot = sim.snapshot_within(Duration::ZERO);
    /// assert_eq!((snapshot.actors[0].mailbox, snapshot.actors[0].handled), (Some(0), 10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot_within(&self, patience: Duration) -> Snapshot {
        let core: &Core = &self.hub;
        // Whoever is in the same handler before and after has been there meanwhile.
        running(core);
        let seen = look(core, patience);
        let running = running(core);
        let actors = seen.into_iter().map(|seen| status(seen, &running)).collect();
        Snapshot { system: self.name().to_owned(), actors, live_actors: self.counters().live_actors }
    }
}

/// Who is in a handler, and for how long.
fn running(core: &Core) -> HashMap<ActorId, Duration> {
    let now = core.clock.now();
    let mut running = HashMap::new();
    core.threads.glimpse(&core.metrics, now, |stint| {
        running.insert(stint.held.id, now.since(stint.since));
    });
    running
}

fn status(Seen { parent, card }: Seen, running: &HashMap<ActorId, Duration>) -> ActorStatus {
    let Card { id, type_name, name, sight, handled, restarts } = card;
    let running_for = if let Sight::Words { .. } = sight { running.get(&id).copied() } else { None };
    let (state, mailbox) = match sight {
        Sight::Whole { idle: true, mailbox, .. } => (ActorState::Idle, Some(mailbox)),
        Sight::Whole { phase, mailbox, .. } => (state_of(phase), Some(mailbox)),
        Sight::Words { .. } if running_for.is_some() => (ActorState::Running, None),
        Sight::Words { refuses } => (if refuses { ActorState::Stopping } else { ActorState::Busy }, None),
    };
    ActorStatus {
        id,
        name: name.map(|name| name.to_string()),
        type_name,
        parent,
        state,
        mailbox,
        handled,
        restarts: u64::from(restarts),
        running_for,
        answered: mailbox.is_some(),
    }
}

fn state_of(phase: Phase) -> ActorState {
    match phase {
        Phase::Starting | Phase::Running => ActorState::Busy,
        Phase::Failed | Phase::Renewing | Phase::Backoff => ActorState::Restarting,
        Phase::Draining | Phase::AwaitingDrain => ActorState::Draining,
        Phase::Burying | Phase::AwaitingChildren | Phase::Ended => ActorState::Stopping,
    }
}
