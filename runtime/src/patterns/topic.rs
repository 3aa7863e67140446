//! One to many: what is published goes to all who have subscribed.
//!
//! Promise: a subscriber gets everything that is published while it is subscribed, once, and what one publisher has published
//! in that order; one that has ended is forgotten.
//!
//! How: an actor with a list, which watches its subscribers. The list lies beside its state, so that a clone that panics, and
//! with it the actor's restart, loses one message and no subscriber.
//!
//! Gives up: a message passes through one more actor; a slow subscriber's mailbox fills.

use crate::actor::{Actor, ActorRef, Ask, Handler, Recipient};
use crate::error::{SpawnError, TellError};
use crate::kernel::context::Context;
use crate::kernel::watch::{ActorId, Terminated};
use crate::supervision::Restart;
use crate::sync::{Arc, Mutex};
use crate::system::SystemRef;
use std::fmt;
use std::mem::take;
use std::time::Duration;

/// A place to publish messages that all its subscribers get.
///
/// A handle: clones lead to the same topic, which is an actor: it ends when it is stopped, drained, or with its parent or its
/// system. Who subscribes and then publishes gets its own message, for both come in the order of the sender; among different
/// senders nothing is said. A subscriber that ends is unsubscribed.
///
/// A message costs a `tell` to the topic, and a clone and a `tell` for each subscriber but the last one, which gets the
/// message itself. A subscriber whose [bounded](crate::Mailbox::bounded) mailbox refuses a message for want of room does not get
/// it, and nobody is told. A panic of the clone fails the topic, which is restarted at once and keeps its subscribers; those who come
/// later in the list do not get that message.
///
/// # Examples
/// ```
/// use cuelight::{Actor, Context, Handler, System, Topic};
/// use std::sync::mpsc;
///
/// struct Screen(mpsc::Sender<String>);
/// impl Actor for Screen {}
/// impl Handler<String> for Screen {
///     type Reply = ();
///     fn handle(&mut self, line: String, _: &mut Context<Self>) { self.0.send(line).unwrap() }
/// }
///
/// let system = System::builder().workers(1).build()?;
/// let (sender, lines) = mpsc::channel();
/// let screens = [sender.clone(), sender].map(|lines| system.spawn(Screen(lines)));
/// let news = Topic::spawn(&system)?;
/// for screen in &screens {
///     news.subscribe(screen)?;
/// }
/// assert_eq!(news.subscribers().wait()?, 2);
/// news.publish("hello".to_string())?;
/// assert_eq!((lines.recv()?, lines.recv()?), ("hello".to_string(), "hello".to_string()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Topic<M: Clone + Send + 'static> {
    hub: ActorRef<Hub<M>>,
}

/// The actor behind a topic.
struct Hub<M> {
    subscribers: Arc<Mutex<Vec<Subscriber<M>>>>,
}

type Part<M> = Box<dyn FnOnce(&mut Context<Hub<M>>) + Send>;

struct Subscriber<M> {
    id: ActorId,
    to: Recipient<M>,
    unwatch: Part<M>,
}

struct Publish<M>(M);

struct Subscribe<M> {
    subscriber: Subscriber<M>,
    watch: Part<M>,
}

struct Unsubscribe(ActorId);

struct Count;

impl<M: Clone + Send + 'static> Topic<M> {
    /// Makes a topic without a parent.
    ///
    /// # Errors
    /// As [`ActorBuilder::spawn`](crate::ActorBuilder::spawn): the system is shutting down.
    pub fn spawn(system: &SystemRef) -> Result<Self, SpawnError> {
        let hub = system.actor(Hub::factory()).restart(rule()).spawn()?;
        Ok(Self { hub })
    }

    /// Makes a topic that is a child of the running actor, and ends with it.
    ///
    /// # Errors
    /// As [`ActorBuilder::spawn`](crate::ActorBuilder::spawn): the actor is ending.
    pub fn spawn_child<A: Actor>(ctx: &mut Context<A>) -> Result<Self, SpawnError> {
        let hub = ctx.actor(Hub::factory()).restart(rule()).spawn()?;
        Ok(Self { hub })
    }

    /// Sends a message to all who are subscribed when the topic comes to it. Never blocks.
    ///
    /// # Errors
    /// [`TellError::Stopped`] gives the message back: the topic has stopped.
    pub fn publish(&self, message: M) -> Result<(), TellError<M>> {
        self.hub.tell(Publish(message)).map_err(|error| error.map(|Publish(message)| message))
    }

    /// Subscribes an actor, until it ends or is unsubscribed; once, however often it is subscribed. Costs a watch.
    ///
    /// # Errors
    /// [`TellError::Stopped`]: the topic has stopped.
    pub fn subscribe<A: Handler<M>>(&self, actor: &ActorRef<A>) -> Result<(), TellError<()>> {
        let (watched, unwatched) = (actor.clone(), actor.clone());
        let subscriber =
            Subscriber { id: actor.id(), to: actor.recipient(), unwatch: Box::new(move |ctx| ctx.unwatch(&unwatched)) };
        let watch = Box::new(move |ctx: &mut Context<Hub<M>>| ctx.watch(&watched));
        self.hub.tell(Subscribe { subscriber, watch }).map_err(|error| error.map(drop))
    }

    /// Unsubscribes an actor. What is on its way to it still comes. Costs a look along the list.
    ///
    /// # Errors
    /// [`TellError::Stopped`]: the topic has stopped.
    ///
    /// # Examples
    /// ```
    /// # use cuelight::{Actor, Context, Handler, System, Topic};
    /// # struct Screen;
    /// # impl Actor for Screen {}
    /// # impl Handler<u32> for Screen { type Reply = (); fn handle(&mut self, _: u32, _: &mut Context<Self>) {} }
    /// let system = System::builder().workers(1).build()?;
    /// let (news, screen) = (Topic::<u32>::spawn(&system)?, system.spawn(Screen));
    /// news.subscribe(&screen)?;
    /// news.unsubscribe(&screen)?;
    /// assert_eq!(news.subscribers().wait()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unsubscribe<A: Handler<M>>(&self, actor: &ActorRef<A>) -> Result<(), TellError<()>> {
        self.hub.tell(Unsubscribe(actor.id())).map_err(|error| error.map(drop))
    }

    /// Asks how many are subscribed; it comes after what this sender has asked of the topic before.
    pub fn subscribers(&self) -> Ask<usize> {
        self.hub.ask(Count)
    }

    /// Has the running actor told of the topic's end, as by [`Context::watch`].
    pub fn watch<A: Handler<Terminated>>(&self, ctx: &mut Context<A>) {
        ctx.watch(&self.hub);
    }

    /// Returns the identity of the topic's actor.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.hub.id()
    }

    /// Returns whether the topic takes no more messages, as [`ActorRef::is_stopped`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.hub.is_stopped()
    }

    /// Ends the topic: what is queued in it is dead-lettered.
    pub fn stop(&self) {
        self.hub.stop();
    }

    /// Ends the topic when all that is queued in it has gone to the subscribers.
    pub fn drain(&self) {
        self.hub.drain();
    }
}

fn rule() -> Restart {
    Restart::on_panic().unlimited().backoff(Duration::ZERO, Duration::ZERO)
}

impl<M: Clone + Send + 'static> Hub<M> {
    fn factory() -> impl FnMut() -> Self + Send + 'static {
        let subscribers = Arc::new(Mutex::new(Vec::new()));
        move || Self { subscribers: subscribers.clone() }
    }

    /// Takes a subscriber off the list. It is dropped by the caller, not under the lock.
    fn remove(&self, id: ActorId) -> Option<Subscriber<M>> {
        let mut subscribers = self.subscribers.lock();
        let place = subscribers.iter().position(|subscriber| subscriber.id == id)?;
        Some(subscribers.remove(place))
    }
}

impl<M: Clone + Send + 'static> Actor for Hub<M> {}

impl<M: Clone + Send + 'static> Handler<Publish<M>> for Hub<M> {
    type Reply = ();

    fn handle(&mut self, Publish(message): Publish<M>, _: &mut Context<Self>) {
        /// The list is back in its place also if a clone panics, and is not locked while one runs.
        struct Lent<'a, M>(&'a Mutex<Vec<Subscriber<M>>>, Vec<Subscriber<M>>);
        impl<M> Drop for Lent<'_, M> {
            fn drop(&mut self) {
                *self.0.lock() = take(&mut self.1);
            }
        }
        let list = take(&mut *self.subscribers.lock());
        let lent = Lent(&self.subscribers, list);
        let Some((last, others)) = lent.1.split_last() else { return };
        for subscriber in others {
            // Who refuses has no room, or has ended, and its notice is on the way.
            let _ = subscriber.to.tell(message.clone());
        }
        let _ = last.to.tell(message);
    }
}

impl<M: Clone + Send + 'static> Handler<Subscribe<M>> for Hub<M> {
    type Reply = ();

    fn handle(&mut self, Subscribe { subscriber, watch }: Subscribe<M>, ctx: &mut Context<Self>) {
        let is_new = {
            let mut subscribers = self.subscribers.lock();
            let is_new = subscribers.iter().all(|other| other.id != subscriber.id);
            if is_new {
                subscribers.push(subscriber);
            }
            is_new
        };
        if is_new {
            watch(ctx);
        }
    }
}

impl<M: Clone + Send + 'static> Handler<Unsubscribe> for Hub<M> {
    type Reply = ();

    fn handle(&mut self, Unsubscribe(id): Unsubscribe, ctx: &mut Context<Self>) {
        if let Some(subscriber) = self.remove(id) {
            (subscriber.unwatch)(ctx);
        }
    }
}

impl<M: Clone + Send + 'static> Handler<Terminated> for Hub<M> {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        drop(self.remove(notice.id));
    }
}

impl<M: Clone + Send + 'static> Handler<Count> for Hub<M> {
    type Reply = usize;

    fn handle(&mut self, Count: Count, _: &mut Context<Self>) -> usize {
        self.subscribers.lock().len()
    }
}

impl<M: Clone + Send + 'static> Clone for Topic<M> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone() }
    }
}

impl<M: Clone + Send + 'static> fmt::Debug for Topic<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.id())
    }
}
