//! An address for one type of message.

use super::actor_ref::{send, send_chain};
use crate::error::{SendAllError, TellError};
use crate::kernel::parcel::Port;
use crate::kernel::watch::ActorId;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The address of some actor that handles messages of type `M`.
///
/// As [`ActorRef`](crate::ActorRef), of which it is made, but for one type of message and for actors of any type: two words.
///
/// # Examples
/// ```
/// # use cuelight::{Actor, Context, Handler, Recipient, System};
/// # struct Log; struct Screen;
/// # impl Actor for Log {}
/// # impl Actor for Screen {}
/// # impl Handler<String> for Log { type Reply = (); fn handle(&mut self, _: String, _: &mut Context<Self>) {} }
/// # impl Handler<String> for Screen { type Reply = (); fn handle(&mut self, _: String, _: &mut Context<Self>) {} }
/// let system = System::builder().workers(1).build()?;
/// let sinks: [Recipient<String>; 2] = [system.spawn(Log).into(), system.spawn(Screen).into()];
/// for sink in &sinks {
///     sink.tell("hello".to_string())?;
/// }
/// assert_ne!(sinks[0], sinks[1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recipient<M> {
    port: Port<M>,
}

impl<M: Send + 'static> Recipient<M> {
    pub(super) fn new(port: Port<M>) -> Self {
        Self { port }
    }

    pub(super) fn port(&self) -> &Port<M> {
        &self.port
    }

    pub(crate) fn into_port(self) -> Port<M> {
        self.port
    }

    /// Sends a message, as [`ActorRef::tell`](crate::ActorRef::tell).
    ///
    /// # Errors
    /// [`TellError`] gives the message back.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Recipient, System, TellError};
    /// # struct Log;
    /// # impl Actor for Log {}
    /// # impl Handler<String> for Log { type Reply = (); fn handle(&mut self, _: String, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let log = system.spawn(Log);
    /// let lines: Recipient<String> = log.recipient();
    /// lines.tell("first".to_string())?;
    /// log.drain();
    /// assert_eq!(lines.tell("last".to_string()), Err(TellError::Stopped("last".to_string())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn tell(&self, message: M) -> Result<(), TellError<M>> {
        send(self.port.parcel(message))
    }

    /// Sends several messages, as [`ActorRef::send_all`](crate::ActorRef::send_all).
    ///
    /// # Errors
    /// [`SendAllError`] gives those back that were not taken, in order.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, Recipient, System};
    /// # struct Log;
    /// # impl Actor for Log {}
    /// # impl Handler<u8> for Log { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let bytes: Recipient<u8> = system.spawn(Log).into();
    /// assert_eq!(bytes.send_all([1, 2, 3])?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_all(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, SendAllError<M>> {
        let mut chain = self.port.chain();
        for message in messages {
            self.port.add(&mut chain, message);
        }
        send_chain(self.port.cell(), chain)
    }

    /// Returns the actor's identity, also after its end.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System};
    /// # struct Log;
    /// # impl Actor for Log {}
    /// # impl Handler<u8> for Log { type Reply = (); fn handle(&mut self, _: u8, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let log = system.spawn(Log);
    /// assert_eq!(log.recipient::<u8>().id(), log.id());
    /// # Ok::<(), cuelight::BuildError>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.port.cell().header().id()
    }
}

impl<M> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone() }
    }
}

impl<M: Send + 'static> PartialEq for Recipient<M> {
    fn eq(&self, other: &Self) -> bool {
        self.port.cell().address() == other.port.cell().address()
    }
}

impl<M: Send + 'static> Eq for Recipient<M> {}

impl<M: Send + 'static> Hash for Recipient<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.port.cell().address().hash(state);
    }
}

impl<M: Send + 'static> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({} {})", std::any::type_name::<M>(), self.id())
    }
}
