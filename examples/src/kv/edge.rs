//! The edge: an actor that accepts and one for each connection, on threads of their own, and their parent, which lets them in.
//!
//! ```text
//!             admit, one at a time           spawns, watches,
//!   acceptor ----------------------> edge ------------------> connections
//!   blocks in accept()               never blocks             block in read(), write() and wait()
//! ```
//!
//! The two kinds that block are sent no messages: each is in `started` as long as it lives. A message would not reach one that
//! blocks; what ends it is the end of its socket, or for the acceptor a last connection. Then the edge, which drains, has seen
//! its children go, and whoever asked it to close is answered.
//!
//! A connection that panics is gone, and no other. An acceptor that panics is made anew, as often as it takes: it has nothing
//! but the listener, in which clients wait meanwhile.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use cuelight::{Actor, ActorId, ActorRef, Context, Handler, ReplyTo, Restart, SpawnError, StopReason, Terminated};

use super::server::{PATIENCE, Shared, serve};

/// Lets connections in, no more at a time than are allowed.
#[derive(Debug)]
pub(super) struct Edge {
    shared: Arc<Shared>,
    /// To wake those that read. A connection's end closes its socket, so that is its own.
    open: HashMap<ActorId, Weak<TcpStream>>,
    /// Whoever waits for the end.
    closed: Option<ReplyTo<()>>,
}

impl Edge {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: HashMap::new(), closed: None }
    }

    fn count(&self) {
        // Ordering: Relaxed: a count.
        self.shared.connections.store(self.open.len() as u64, Ordering::Relaxed);
    }
}

impl Actor for Edge {
    fn stopped(&mut self, _: &StopReason) {
        if let Some(closed) = self.closed.take() {
            closed.send(());
        }
    }
}

/// Asks it to accept connections.
pub(super) struct Listen(pub(super) Arc<TcpListener>);

impl Handler<Listen> for Edge {
    type Reply = Result<(), SpawnError>;

    fn handle(&mut self, Listen(listener): Listen, ctx: &mut Context<Self>) -> Self::Reply {
        let (edge, shared) = (ctx.me(), self.shared.clone());
        let make = move || Acceptor { listener: listener.clone(), edge: edge.clone(), shared: shared.clone() };
        let rule = Restart::on_panic().unlimited().backoff(Duration::from_millis(10), Duration::from_secs(1));
        ctx.actor(make).name("accept").restart(rule).dedicated_thread().spawn().map(drop)
    }
}

/// A connection that has been accepted.
struct Admit(Arc<TcpStream>);

impl Handler<Admit> for Edge {
    type Reply = ();

    fn handle(&mut self, Admit(stream): Admit, ctx: &mut Context<Self>) {
        let shared = self.shared.clone();
        // It may have passed `Close`, and would not be woken.
        if shared.is_closing() {
            return;
        }
        if self.open.len() >= shared.most {
            // It may have gone. A line finds room in a socket that is new, so this does not block.
            let _ = write!(&*stream, "-ERR too many connections: {} at most\r\n", shared.most);
            return;
        }
        // Ordering: Relaxed: only this actor counts here.
        let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
        let waker = Arc::downgrade(&stream);
        let make = move || Connection { stream: stream.clone(), shared: shared.clone() };
        match ctx.actor(make).name(number.to_string()).dedicated_thread().spawn() {
            Ok(connection) => {
                ctx.watch(&connection);
                self.open.insert(connection.id(), waker);
                self.count();
            }
            Err(error) => eprintln!("kv: a connection cannot be served: {error}"),
        }
    }
}

impl Handler<Terminated> for Edge {
    type Reply = ();

    fn handle(&mut self, gone: Terminated, _: &mut Context<Self>) {
        self.open.remove(&gone.id);
        self.count();
    }
}

/// Ends the connections when they have read what has been sent, and then the edge, of which the answer tells.
pub(super) struct Close(pub(super) ReplyTo<()>);

impl Handler<Close> for Edge {
    type Reply = ();

    fn handle(&mut self, Close(closed): Close, ctx: &mut Context<Self>) {
        self.closed = Some(closed);
        for stream in self.open.values().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Read);
        }
        ctx.drain();
    }
}

/// Takes connections until the server ends.
struct Acceptor {
    listener: Arc<TcpListener>,
    edge: ActorRef<Edge>,
    shared: Arc<Shared>,
}

impl Actor for Acceptor {
    fn started(&mut self, ctx: &mut Context<Self>) {
        while !self.shared.is_closing() {
            match self.listener.accept() {
                // Who ends the server connects, to wake this actor.
                Ok(_) if self.shared.is_closing() => {}
                Ok((stream, _)) => {
                    if self.edge.ask(Admit(Arc::new(stream))).wait().is_err() {
                        break;
                    }
                }
                // Most likely there are too many descriptors: it gets no better by trying at once.
                Err(error) => {
                    eprintln!("kv: a connection cannot be accepted: {error}");
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
        ctx.stop();
    }
}

/// Serves one client until that goes, or the server ends.
struct Connection {
    stream: Arc<TcpStream>,
    shared: Arc<Shared>,
}

impl Actor for Connection {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let options = self.stream.set_write_timeout(Some(PATIENCE)).and_then(|()| self.stream.set_nodelay(true));
        // A client that goes, or reads nothing, is no news to anybody.
        let _ = options.and_then(|()| serve(&self.stream, &self.shared));
        ctx.stop();
    }
}
