//! Every error of the public surface: one enum per operation, lower-case texts, and the message given back where there
//! is one.

mod build;
mod patterns;
mod room;

pub use build::BuildError;
pub use patterns::{CircuitConfigError, CircuitError, CircuitOpen, PoolError, StashError};
pub use room::TellTimeoutError;

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a simulation says to other threads.
const OTHER_THREAD: &str = "a simulated system is its own thread's alone";
const FULL: &str = "the mailbox is full";

/// A `tell` that was refused. The message is inside.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, System, TellError};
/// # struct Quiet;
/// # impl Actor for Quiet {}
/// # impl Handler<String> for Quiet { type Reply = (); fn handle(&mut self, _: String, _: &mut Context<Self>) {} }
/// let system = System::builder().workers(1).build()?;
/// let quiet = system.spawn(Quiet);
/// quiet.drain();
/// let error = quiet.tell("anybody?".to_string()).unwrap_err();
/// assert_eq!(error.to_string(), "the actor has stopped");
/// assert_eq!(error.into_message(), "anybody?");
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError<M> {
    /// The actor has stopped, or takes nothing more because it is about to. No later send will succeed.
    Stopped(M),
    /// The mailbox is [bounded](crate::Mailbox::bounded), and had no room. A later send may succeed.
    Full(M),
    /// The actor is [simulated](crate::Simulation), and the calling thread is not its simulation's.
    OtherThread(M),
}

impl<M> TellError<M> {
    /// The same error for what the message was made of.
    pub(crate) fn map<N>(self, f: impl FnOnce(M) -> N) -> TellError<N> {
        match self {
            Self::Stopped(message) => TellError::Stopped(f(message)),
            Self::Full(message) => TellError::Full(f(message)),
            Self::OtherThread(message) => TellError::OtherThread(f(message)),
        }
    }

    /// Returns the message. There is an example above.
    pub fn into_message(self) -> M {
        match self {
            Self::Stopped(message) | Self::Full(message) | Self::OtherThread(message) => message,
        }
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(_) => f.write_str("Stopped(..)"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::OtherThread(_) => f.write_str("OtherThread(..)"),
        }
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped(_) => "the actor has stopped",
            Self::Full(_) => FULL,
            Self::OtherThread(_) => OTHER_THREAD,
        })
    }
}

impl<M> Error for TellError<M> {}

/// A `send_all` that was refused. The messages that were not taken are inside, in order.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, System};
/// # struct Quiet;
/// # impl Actor for Quiet {}
/// # impl Handler<u8> for Quiet { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
/// let system = System::builder().workers(1).build()?;
/// let quiet = system.spawn(Quiet);
/// quiet.drain();
/// let error = quiet.send_all([1, 2]).unwrap_err();
/// assert_eq!(error.to_string(), "the actor has stopped; 2 messages were not taken");
/// assert_eq!(error.taken(), 0);
/// assert_eq!(error.into_messages(), [1, 2]);
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SendAllError<M> {
    pub(crate) messages: Vec<M>,
    pub(crate) taken: usize,
    pub(crate) why: NotTaken,
}

/// Why messages of a batch were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Stopped,
    Full,
    OtherThread,
}

impl<M> SendAllError<M> {
    /// Returns how many messages were taken, the first ones: they will be handled or dead-lettered. Zero unless the mailbox
    /// [is full](Self::is_full).
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Returns whether the mailbox is bounded, and had no room for the rest. Otherwise no later send of this thread will succeed.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Mailbox, Overflow, Simulation};
    /// # struct Quiet;
    /// # impl Actor for Quiet {}
    /// # impl Handler<u8> for Quiet { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
    /// let sim = Simulation::builder().build()?;
    /// let quiet = sim.actor(|| Quiet).mailbox(Mailbox::bounded(2, Overflow::Reject)).spawn()?;
    /// let error = quiet.send_all([1, 2, 3]).unwrap_err();
    /// assert!(error.is_full());
    /// assert_eq!(error.to_string(), "the mailbox is full; 1 messages were not taken");
    /// assert_eq!((error.taken(), error.into_messages()), (2, vec![3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.why == NotTaken::Full
    }

    /// Returns the messages that were not taken, in the order in which they were given.
    #[must_use]
    pub fn into_messages(self) -> Vec<M> {
        self.messages
    }
}

impl<M> fmt::Debug for SendAllError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAllError").field("not_taken", &self.messages.len()).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for SendAllError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            NotTaken::Stopped => "the actor has stopped",
            NotTaken::Full => FULL,
            NotTaken::OtherThread => OTHER_THREAD,
        };
        write!(f, "{why}; {} messages were not taken", self.messages.len())
    }
}

impl<M> Error for SendAllError<M> {}

/// Why an ask has no reply.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, AskError, Context, Handler, System};
/// # struct Quiet;
/// # impl Actor for Quiet {}
/// # impl Handler<()> for Quiet { type Reply = (); fn handle(&mut self, (): (), _: &mut Context<Self>) {} }
/// let system = System::builder().workers(1).build()?;
/// let quiet = system.spawn(Quiet);
/// quiet.drain();
/// let error = quiet.ask(()).wait().unwrap_err();
/// assert_eq!(error, AskError::Stopped);
/// assert_eq!(error.to_string(), "the actor has stopped");
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The time is up. The message may still be handled; its reply will be dropped, and counted.
    Timeout,
    /// The actor had stopped, or stopped before it came to the message.
    Stopped,
    /// The mailbox is [bounded](crate::Mailbox::bounded), and had no room; or the message made room for a newer one.
    Full,
    /// The `ReplyTo` was dropped without a reply.
    NoReply,
    /// The handler panicked, at each attempt if there were more. (One that was to answer by a `ReplyTo` has dropped that: [`NoReply`](Self::NoReply).)
    Panicked,
    /// The calling thread is a worker, or the asked actor's own: to wait would take from the system the thread that is to answer.
    /// Inside a handler use `Context::ask`.
    WouldDeadlock,
    /// The actor is [simulated](crate::Simulation), and the calling thread is not its simulation's.
    OtherThread,
    /// The [simulation](crate::Simulation) has nothing left to do, or has reached its limit of steps, and no reply has come.
    Stalled,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply in time",
            Self::Stopped => "the actor has stopped",
            Self::Full => FULL,
            Self::NoReply => "the request was dropped without a reply",
            Self::Panicked => "the handler panicked",
            Self::WouldDeadlock => "a worker, or the asked actor's own thread, must not wait for a reply",
            Self::OtherThread => OTHER_THREAD,
            Self::Stalled => "the simulation does no more, and no reply has come",
        })
    }
}

impl Error for AskError {}

/// Why an actor could not be spawned by a builder.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, System};
/// # struct Idler;
/// # impl Actor for Idler {}
/// let system = System::builder().workers(1).build()?;
/// let error = system.actor(|| -> Idler { panic!("no luck") }).spawn().unwrap_err();
/// assert_eq!(error.to_string(), "the factory panicked: no luck");
/// # Ok::<(), cuelight::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The parent is ending, or the system is shutting down.
    Stopping,
    /// The factory panicked, with this message.
    FactoryPanicked(String),
    /// A backoff whose first wait is longer than the last, or that would never grow.
    Backoff {
        /// The first wait that was asked for.
        min: Duration,
        /// The last wait that was asked for.
        max: Duration,
    },
    /// A limit of restarts in a window of no time: it would never be reached.
    ZeroWindow {
        /// The restarts that were to be allowed.
        limit: u32,
    },
    /// Retries of a type of message that are none, or too many.
    Retries {
        /// The type of the message.
        type_name: &'static str,
        /// How many were asked for.
        asked: u32,
        /// The most that are allowed.
        most: u32,
    },
    /// A budget of nothing: the actor would never handle a message.
    ZeroBudget {
        /// Which part of the budget.
        part: &'static str,
    },
    /// A name that no actor can have: empty, or too long.
    Name {
        /// The name that was asked for.
        asked: String,
        /// The most bytes that are allowed.
        most: usize,
    },
    /// The operating system gave no thread for an actor that was to have its own.
    Thread {
        /// What it said.
        why: String,
    },
    /// A thread of its own for an actor that is [simulated](crate::Simulation): a simulation has one for all.
    Simulated,
    /// A bound of a mailbox that cannot be: no messages, or absurdly many.
    Mailbox {
        /// The messages that were to wait at most.
        asked: usize,
        /// The largest number that is allowed.
        most: usize,
    },
    /// Another actor of the system has the name, and has not ended; or it is being made.
    NameTaken {
        /// The name that was asked for.
        asked: String,
    },
    /// The system is [simulated](crate::Simulation), and the calling thread is not its simulation's.
    OtherThread,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the parent or the system is stopping"),
            Self::FactoryPanicked(message) => write!(f, "the factory panicked: {message}"),
            Self::Backoff { min, max } if min > max => {
                write!(f, "a backoff from {min:?} to {max:?}: the first wait must not be longer than the last")
            }
            Self::Backoff { min, max } => {
                write!(f, "a backoff from {min:?} to {max:?}: it grows from more than zero, or both are zero")
            }
            Self::ZeroWindow { limit } => {
                write!(f, "a limit of {limit} restarts in a window of no time: it must be longer than zero")
            }
            Self::Retries { type_name, asked, most } => {
                write!(f, "{asked} retries of {type_name}: 1 to {most} are allowed")
            }
            Self::ZeroBudget { part } => write!(f, "{}", BuildError::ZeroBudget { part }),
            Self::Name { asked, most } => {
                let begin: String = asked.chars().take(32).collect();
                let rest = if begin.len() < asked.len() { ".." } else { "" };
                write!(f, "the name {begin:?}{rest} has {} bytes: 1 to {most} are allowed", asked.len())
            }
            Self::Thread { why } => write!(f, "a thread for the actor could not be started: {why}"),
            Self::Simulated => f.write_str("a simulated actor has no thread of its own: all run on the simulation's"),
            Self::Mailbox { asked, most } => {
                write!(f, "a mailbox bounded to {asked} messages: at least 1 and at most {most} are allowed")
            }
            Self::NameTaken { asked } => {
                write!(f, "the name {asked:?} is taken: each is allowed for one actor at a time, until it has ended")
            }
            Self::OtherThread => f.write_str(OTHER_THREAD),
        }
    }
}

impl Error for SpawnError {}

/// Why a shutdown is not complete.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, ShutdownError, System};
/// use std::{sync::mpsc, time::Duration};
///
/// /// Blocks its worker until it is let go.
/// struct Stubborn(mpsc::Receiver<()>, mpsc::Sender<()>);
/// impl Actor for Stubborn {}
/// impl Handler<()> for Stubborn {
///     type Reply = ();
///     fn handle(&mut self, (): (), _: &mut Context<Self>) {
///         self.1.send(()).unwrap();
///         self.0.recv().unwrap();
///     }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let ((let_go, wait), (begin, begun)) = (mpsc::channel(), mpsc::channel());
/// let stubborn = system.spawn(Stubborn(wait, begin));
/// stubborn.tell(())?;
/// begun.recv()?;
/// match system.shutdown(Duration::ZERO).unwrap_err() {
///     ShutdownError::Timeout { holders } => {
///         assert_eq!((holders[0].worker, holders[0].actor), (Some(0), stubborn.id().get()));
///         assert!(holders[0].type_name.ends_with("Stubborn"));
///     }
///     other => panic!("{other}"),
/// }
/// let_go.send(())?;
/// system.shutdown(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The time is up, and these threads are still running an actor. They end, and free everything, when its handler
    /// returns.
    Timeout {
        /// Who holds on.
        holders: Vec<HeldWorker>,
    },
    /// The calling thread is a worker, or another of the system's threads, which cannot wait for its own end; or it is in the
    /// factory of an actor with a name, for which a worker may wait. The shutdown has begun.
    WouldDeadlock,
    /// The system is [simulated](crate::Simulation), and the calling thread is not its simulation's. Nothing has begun.
    OtherThread,
}

/// A thread that has not ended, and the actor that it runs. There is an example at [`ShutdownError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldWorker {
    /// The worker's index; `None` for a thread of the actor's own.
    pub worker: Option<usize>,
    /// The number of the actor's identity.
    pub actor: u64,
    /// The actor's type.
    pub type_name: &'static str,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldDeadlock => f.write_str("a thread of the system must not wait for the end of all"),
            Self::OtherThread => f.write_str(OTHER_THREAD),
            Self::Timeout { holders } => {
                f.write_str("the shutdown was not complete in time")?;
                for holder in holders {
                    match holder.worker {
                        Some(worker) => write!(f, "; worker {worker} runs")?,
                        None => f.write_str("; its own thread runs")?,
                    }
                    write!(f, " {} (#{})", holder.type_name, holder.actor)?;
                }
                Ok(())
            }
        }
    }
}

impl Error for ShutdownError {}

/// Why driving a [`Simulation`](crate::Simulation) ended before what it was for.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, RunError, Simulation};
///
/// /// Never comes to rest.
/// struct Restless;
/// impl Actor for Restless {}
/// impl Handler<()> for Restless {
///     type Reply = ();
///     fn handle(&mut self, (): (), ctx: &mut Context<Self>) { let _ = ctx.me().tell(()); }
/// }
///
/// let sim = Simulation::builder().step_limit(10_000).build()?;
/// let restless = sim.spawn(Restless);
/// restless.tell(())?;
/// let error = sim.run_until_idle().unwrap_err();
/// let RunError::StepLimit { limit: 10_000, hottest } = &error else { panic!("{error}") };
/// assert_eq!(hottest[0].actor, restless.id().get());
/// assert!(error.to_string().starts_with("not at rest after 10000 steps; the last messages were handled by "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// So many steps were made, and it would go on.
    StepLimit {
        /// The limit.
        limit: u64,
        /// The actors that handled most of the last messages, the hottest first; five at most.
        hottest: Vec<HotActor>,
    },
    /// The condition did not come true within this time of the simulation's clock.
    TimeLimit {
        /// The limit.
        limit: Duration,
    },
    /// Another thread has had an effect on the simulation: stopped an actor, answered a request. What happens from there on
    /// could not be repeated.
    OtherThread,
    /// The caller is inside a handler of the same simulation, or awaited by one.
    WouldDeadlock,
}

/// An actor that does much. There is an example at [`RunError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HotActor {
    /// The number of its identity.
    pub actor: u64,
    /// Its type.
    pub type_name: &'static str,
    /// How many of the last messages it handled.
    pub messages: u64,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepLimit { limit, hottest } => {
                write!(f, "not at rest after {limit} steps; the last messages were handled by")?;
                for (index, HotActor { actor, type_name, messages }) in hottest.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {type_name} (#{actor}): {messages}")?;
                }
                if hottest.is_empty() { f.write_str(" nobody") } else { Ok(()) }
            }
            Self::TimeLimit { limit } => write!(f, "the condition did not come true within {limit:?}"),
            Self::OtherThread => f.write_str("another thread has had an effect on the simulation"),
            Self::WouldDeadlock => f.write_str("a simulation is not driven from its own handlers"),
        }
    }
}

impl Error for RunError {}
