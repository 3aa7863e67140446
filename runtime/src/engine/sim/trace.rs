//! What happened in a simulation, in order.

use crate::kernel::watch::ActorId;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// What happened in a [`Simulation`](crate::Simulation), in order. `Display` prints a line for each event.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, Simulation};
/// # struct Sum(u64);
/// # impl Actor for Sum {}
/// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
///
/// let sim = Simulation::builder().trace(true).build()?;
/// let sum = sim.spawn(Sum(0));
/// sum.send_all([1, 2])?;
/// sim.run_until_idle()?;
/// let trace = sim.trace();
/// assert_eq!(trace.events().len(), 2);
/// let id = sum.id();
/// assert_eq!(trace.to_string(), format!("0ns  Sum {id} gets u64\n0ns  Sum {id} gets u64\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    events: Vec<TraceEvent>,
}

/// One event of a [`Trace`]. `Display` prints it as a line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// When, by the simulation's clock, since its beginning.
    pub time: Duration,
    /// To whom.
    pub actor: ActorId,
    /// Its type. Empty where only its address was known: a message for it was held up.
    pub type_name: &'static str,
    /// What.
    pub what: Happened,
    /// The type of the message, if it is about one.
    pub message: Option<&'static str>,
    /// The actor that sent it; `None` for the simulation's own thread and for timers.
    pub from: Option<ActorId>,
}

/// What happened to an actor. There is an example at [`Trace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// It was given a message to handle.
    Handled,
    /// It has ended.
    Ended,
    /// It has failed before, and its factory was called again.
    Restarted,
    /// A fault: its handler panicked instead of handling this message.
    Panicked,
    /// A fault: it was stopped.
    Stopped,
    /// A fault: it handles nothing for so long.
    Slowed(Duration),
    /// A fault: a message for it comes so much later.
    Delayed(Duration),
    /// A fault: a message for it may be overtaken.
    Overtaken,
    /// A fault: a message for it was lost.
    Lost,
    /// A fault: its mailbox, which is bounded, was taken to be full for a send.
    Full,
}

impl Trace {
    pub(super) fn push(&mut self, event: TraceEvent) {
        self.events.push(event);
    }

    /// Returns the events. There is an example above.
    #[must_use]
    pub fn events(&self) -> &[TraceEvent] {
        &self.events
    }

    /// Writes the trace as JSON in the *Trace Event Format*, which Perfetto and `chrome://tracing` show: a row for each actor.
    ///
    /// # Errors
    /// Those of the writer.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Simulation};
    /// # struct Sum(u64);
    /// # impl Actor for Sum {}
    /// # impl Handler<u64> for Sum { type Reply = (); fn handle(&mut self, n: u64, _: &mut Context<Self>) { self.0 += n } }
    /// let sim = Simulation::builder().trace(true).build()?;
    /// sim.spawn(Sum(0)).tell(1)?;
    /// sim.run_until_idle()?;
    /// let mut json = Vec::new();
    /// sim.trace().write_json(&mut json)?;
    /// assert!(String::from_utf8(json)?.starts_with("[{\"name\":\"u64\",\"ph\":\"X\",\"pid\":0,\"tid\":"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_json(&self, mut to: impl Write) -> io::Result<()> {
        write!(to, "[")?;
        for (place, event) in self.events.iter().enumerate() {
            let comma = if place == 0 { "" } else { ",\n" };
            let name = if event.what == Happened::Handled {
                event.message.map(short).unwrap_or_default()
            } else {
                event.what.to_string()
            };
            // Microseconds; what happens at the same time is drawn in its order.
            let time = event.time.as_micros() * 1000 + place as u128;
            let (id, actor) = (event.actor.get(), format!("{} {}", short(event.type_name), event.actor));
            let from = event.from.map_or_else(|| "outside".to_owned(), |from| from.to_string());
            write!(to, "{comma}{{\"name\":{name:?},\"ph\":\"X\",\"pid\":0,\"tid\":{id},\"ts\":{time},\"dur\":1,")?;
            write!(to, "\"args\":{{\"actor\":{actor:?},\"from\":{from:?}}}}}")?;
        }
        writeln!(to, "]")
    }
}

/// A type's name without the paths of its modules.
fn short(name: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' {
            word.clear();
        } else {
            out.push_str(&word);
            word.clear();
            out.push(c);
        }
    }
    out.push_str(&word);
    // What this library sends to an actor itself has no name that says something.
    if out.starts_with("Then<") { "the outcome of an ask".to_owned() } else { out }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handled => f.write_str("gets"),
            Self::Ended => f.write_str("has ended"),
            Self::Restarted => f.write_str("is made anew"),
            Self::Panicked => f.write_str("panics (fault) instead of handling"),
            Self::Stopped => f.write_str("is stopped (fault)"),
            Self::Slowed(time) => write!(f, "is slow (fault) for {time:?}"),
            Self::Delayed(time) => write!(f, "will get {time:?} later (fault)"),
            Self::Overtaken => f.write_str("may get later (fault)"),
            Self::Lost => f.write_str("will never get (fault)"),
            Self::Full => f.write_str("has a full mailbox (fault)"),
        }
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}  ", self.time)?;
        if !self.type_name.is_empty() {
            write!(f, "{} ", short(self.type_name))?;
        }
        write!(f, "{} {}", self.actor, self.what)?;
        if let Some(message) = self.message {
            write!(f, " {}", short(message))?;
        }
        match self.from {
            Some(from) => write!(f, " from {from}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_paths() {
        assert_eq!(short("core::option::Option<alloc::string::String>"), "Option<String>");
        assert_eq!(short("&'static str"), "&'static str");
        assert_eq!(short("(u64, a::b::C)"), "(u64, C)");
        assert_eq!(short("cuelight::actor::context::Then<u8, x>"), "the outcome of an ask");
        assert_eq!(Happened::Delayed(Duration::from_millis(5)).to_string(), "will get 5ms later (fault)");
    }
}
