//! Dead letters: messages that nobody will handle, for whoever wants to see them.
//!
//! Promise: every lost message is counted; if somebody listens, it is sent on with its type, the reason, and its payload
//! where there is one. A dead letter that cannot be delivered is dropped, so there is no loop.
//!
//! Dead letters themselves are outside the counters of messages, also those that a listener passes on. They are sent and
//! handled as messages are, and counted apart where they meet their fate; reading takes them off again.

use crate::kernel::parcel::Port;
use crate::kernel::schedule::{Loss, Lost};
use crate::kernel::watch::ActorId;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use std::any::{Any, type_name};
use std::fmt;

/// A message that nobody will handle. Sent to the actor that asked for them by `System::dead_letters`.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, DeadLetter, Handler, System};
/// use std::{sync::mpsc, time::Duration};
///
/// struct Undertaker(mpsc::Sender<String>);
/// impl Actor for Undertaker {}
/// impl Handler<DeadLetter> for Undertaker {
///     type Reply = ();
///     fn handle(&mut self, letter: DeadLetter, _: &mut Context<Self>) {
///         let text = letter.payload.and_then(|payload| payload.downcast::<&str>().ok());
///         self.0.send(format!("{}: {text:?}", letter.reason)).unwrap();
///     }
/// }
///
/// struct Slow;
/// impl Actor for Slow {}
/// impl Handler<&'static str> for Slow {
///     type Reply = ();
///     fn handle(&mut self, _: &'static str, ctx: &mut Context<Self>) { ctx.stop() }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let (sender, letters) = mpsc::channel();
/// let undertaker = system.spawn(Undertaker(sender));
/// system.dead_letters(undertaker.recipient());
/// let slow = system.spawn(Slow);
/// // One batch: the first message stops the actor, the second is never handled.
/// slow.send_all(["last words", "too late"])?;
/// assert_eq!(letters.recv_timeout(Duration::from_secs(10))?, "the receiver has stopped: Some(\"too late\")");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Whom the message was for.
    pub to: ActorId,
    /// The type of the message.
    pub type_name: &'static str,
    /// Why nobody will handle it.
    pub reason: DeadLetterReason,
    /// The message; `None` if a handler has consumed it.
    pub payload: Option<Box<dyn Any + Send>>,
}

/// Why nobody will handle a message.
///
/// | reason | payload | in [`Counters`](crate::Counters) |
/// |---|---|---|
/// | [`Stopped`](Self::Stopped) | yes | `dead_lettered` |
/// | [`Panicked`](Self::Panicked), of a message that its handler had | no | `handled` |
/// | [`Panicked`](Self::Panicked), of a clone that was to be tried | yes | `dead_lettered` |
/// | [`Poisoned`](Self::Poisoned) | yes | `dead_lettered`, `poisoned` |
/// | [`Restarted`](Self::Restarted) | no | `handled` |
/// | [`Lost`](Self::Lost) | yes | `dead_lettered` |
///
/// Notices, continuations and what `ask_with` sends are messages like others; a continuation has no payload. No dead letter is
/// made of a message that went back to its sender in an `Err`, of one whose timer was taken back, by
/// [`cancel`](crate::Context::cancel), a restart or the end, and of a reply that comes too late or that nobody wants: that is
/// in `late_replies`.
///
/// # Examples
/// ```
/// use cuelight::DeadLetterReason;
/// assert_eq!(DeadLetterReason::Stopped.to_string(), "the receiver has stopped");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// Its receiver stopped before it came to the message, or had stopped.
    Stopped,
    /// Its handler panicked, and it was not to be tried again, or its actor has ended before that.
    Panicked,
    /// Its handler panicked each time that [`ActorBuilder::retry`](crate::ActorBuilder::retry) had it tried.
    Poisoned,
    /// What a [`Context::ask`](crate::Context::ask) was to go on with: the actor has been restarted since. It counts as handled.
    Restarted,
    /// The mailbox of its receiver is [bounded](crate::Mailbox::bounded), and there was no room for it, or it made room.
    Full,
    /// A simulation lost it on its way, as its [`Faults`](crate::Faults) ask for.
    Lost,
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the receiver has stopped",
            Self::Panicked => "the handler panicked",
            Self::Poisoned => "the handler panicked each time",
            Self::Restarted => "the receiver has been restarted",
            Self::Full => "the mailbox was full",
            Self::Lost => "lost on its way",
        })
    }
}

/// The subscription of one system.
pub(crate) struct Letters {
    /// Whether there is a listener; written under the lock.
    wanted: AtomicBool,
    listener: Mutex<Option<Port<DeadLetter>>>,
}

/// Whether a lost message was itself a dead letter.
pub(crate) fn is_letter(lost: &Lost) -> bool {
    lost.type_name == type_name::<DeadLetter>()
}

impl Letters {
    pub(crate) fn new() -> Self {
        Self { wanted: AtomicBool::new(false), listener: Mutex::new(None) }
    }

    pub(crate) fn wanted(&self) -> bool {
        // Ordering: Relaxed: a subscription catches what is lost after it, not what is lost while it begins.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Sets the listener; the old one is dropped by the caller, outside the lock.
    #[must_use]
    pub(crate) fn listen(&self, listener: Option<Port<DeadLetter>>) -> Option<Port<DeadLetter>> {
        let mut current = self.listener.lock();
        // Ordering: Relaxed: see `wanted`.
        self.wanted.store(listener.is_some(), Ordering::Relaxed);
        std::mem::replace(&mut current, listener)
    }

    /// The listener, if there is one.
    pub(crate) fn listener(&self) -> Option<Port<DeadLetter>> {
        self.listener.lock().clone()
    }
}

impl DeadLetter {
    pub(crate) fn new(lost: Lost) -> Self {
        let reason = match lost.why {
            Loss::Stopped => DeadLetterReason::Stopped,
            Loss::Panicked => DeadLetterReason::Panicked,
            Loss::Poisoned => DeadLetterReason::Poisoned,
            Loss::Restarted => DeadLetterReason::Restarted,
            Loss::Full => DeadLetterReason::Full,
            Loss::OnTheWay => DeadLetterReason::Lost,
        };
        Self { to: lost.to, type_name: lost.type_name, reason, payload: lost.payload }
    }
}
