//! The server: its start and its end, and what it does with the bytes of one connection.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use cuelight::{ActorRef, Ask, AskError, BuildError, Counters, Overrun, ShutdownError, SpawnError, System, SystemRef};

use super::edge::{Close, Edge, Listen};
use super::protocol::{BadRequest, Command, Decoder, Reply, Text, Trouble};
use super::store::{Find, Operation, Request, Shard, Size, Vault};

/// Requests of one connection in flight, at most.
pub const CREDITS: usize = 128;
/// How long a shard may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a client may take to read its answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may still send when the server ends.
const GRACE: Duration = Duration::from_secs(1);
/// How long a handler may hold its worker before the standard error tells of it.
const SLOW: Duration = Duration::from_millis(250);
/// Answers are sent when there are so many bytes of them, at the latest when a round is over.
const CHUNK: usize = 64 << 10;

/// What a server is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 is any that is free.
    pub address: SocketAddr,
    /// Among how many shards the keys are divided; at least one.
    pub shards: usize,
    /// Requests that wait for a shard, at most; at least one.
    pub queue: usize,
    /// Worker threads, if not as many as the machine offers.
    pub workers: Option<usize>,
    /// Connections at a time, at most.
    pub connections: usize,
    /// Whether clients may fail a shard.
    pub chaos: bool,
}

impl Default for Config {
    fn default() -> Self {
        let address = (Ipv4Addr::LOCALHOST, 6400).into();
        Self { address, shards: 4, queue: 1024, workers: None, connections: 256, chaos: false }
    }
}

/// Why a server does not start, or does not end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened at.
    Listen(SocketAddr, io::Error),
    /// No system.
    Build(BuildError),
    /// No thread.
    Thread(SpawnError),
    /// A shard is not there.
    Shard,
    /// The actors have not ended in time.
    Shutdown(ShutdownError),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen at {address}: {error}"),
            Self::Build(error) => write!(f, "no system: {error}"),
            Self::Thread(error) => write!(f, "no thread: {error}"),
            Self::Shard => f.write_str("a shard could not be started"),
            Self::Shutdown(error) => write!(f, "not shut down: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    system: System,
    shared: Arc<Shared>,
    edge: ActorRef<Edge>,
    wanted: Receiver<()>,
}

/// What all at its edge know.
#[derive(Debug)]
pub(super) struct Shared {
    system: SystemRef,
    vaults: Vec<ActorRef<Vault>>,
    shards: Vec<ActorRef<Shard>>,
    chaos: bool,
    pub(super) most: usize,
    /// Set once; whoever accepts or serves looks at it now and then.
    closing: AtomicBool,
    stopper: Stopper,
    requests: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) connections: AtomicU64,
}

/// Asks the server to end, from anywhere.
#[derive(Debug, Clone)]
pub struct Stopper(Sender<()>);

impl Stopper {
    /// Asks.
    pub fn stop(&self) {
        // It has ended if nobody listens.
        let _ = self.0.send(());
    }
}

impl Server {
    /// Starts one.
    pub fn start(config: &Config) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(config.address).map_err(|error| ServerError::Listen(config.address, error))?;
        let tell = |slow: Overrun| {
            // Who has a thread of its own may take its time.
            if slow.worker.is_some() {
                eprintln!("kv: {slow}");
            }
        };
        let mut builder = System::builder().name("kv").watchdog(SLOW, tell);
        if let Some(workers) = config.workers {
            builder = builder.workers(workers);
        }
        let system = builder.build().map_err(ServerError::Build)?;
        let vaults: Vec<_> = (0..config.shards.max(1)).map(|_| system.spawn(Vault::new(config.queue))).collect();
        let found = vaults.iter().map(|vault| vault.ask(Find).timeout(ANSWER).wait().ok().flatten());
        let shards = found.collect::<Option<Vec<_>>>().ok_or(ServerError::Shard)?;
        Self::open(config, listener, system, vaults, shards)
    }

    /// Lets clients in.
    fn open(
        config: &Config,
        listener: TcpListener,
        system: System,
        vaults: Vec<ActorRef<Vault>>,
        shards: Vec<ActorRef<Shard>>,
    ) -> Result<Self, ServerError> {
        let address = listener.local_addr().map_err(|error| ServerError::Listen(config.address, error))?;
        let (sender, wanted) = channel();
        let shared = Arc::new(Shared {
            system: SystemRef::clone(&system),
            vaults,
            shards,
            chaos: config.chaos,
            most: config.connections,
            closing: AtomicBool::new(false),
            stopper: Stopper(sender),
            requests: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let edge = system.spawn(Edge::new(shared.clone()));
        let listens = edge.ask(Listen(Arc::new(listener))).wait();
        listens.unwrap_or(Err(SpawnError::Stopping)).map_err(ServerError::Thread)?;
        Ok(Self { address, system, shared, edge, wanted })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The means to ask for its end.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.shared.stopper.clone()
    }

    /// Waits until somebody asks for its end: a client by `SHUTDOWN`, or a [`Stopper`].
    pub fn wait(&self) {
        // There is always one who might.
        let _ = self.wanted.recv();
    }

    /// Takes no more connections, serves what the open ones have sent, ends them, and shuts the actors down. Returns the
    /// system's books, in which nothing is in flight.
    pub fn stop(self) -> Result<Counters, ServerError> {
        // Ordering: Release pairs with `is_closing`.
        self.shared.closing.store(true, Ordering::Release);
        let closed = self.edge.ask_with(Close);
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv6Addr::LOCALHOST.into(),
        };
        // The acceptor waits for a connection; this is the last one.
        drop(TcpStream::connect((ip, self.address.port())));
        // Its end is the answer.
        let _ = closed.wait();
        self.system.shutdown(ANSWER).map_err(ServerError::Shutdown)?;
        Ok(self.system.counters())
    }
}

impl Shared {
    pub(super) fn is_closing(&self) -> bool {
        // Ordering: Acquire pairs with `stop`.
        self.closing.load(Ordering::Acquire)
    }

    /// FNV-1a (Fowler, Noll, Vo), so that a key has the same shard in every run.
    fn shard(&self, key: &str) -> &ActorRef<Shard> {
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        &self.shards[(hash % self.shards.len() as u64) as usize]
    }

    fn ask(&self, key: &Text, operation: impl FnOnce(Text) -> Operation) -> Pending {
        let operation = operation(key.clone());
        Pending::Asked(self.shard(key).ask_with(|reply| Request { operation, reply }).timeout(ANSWER))
    }

    /// Begins to serve a request.
    fn begin(&self, request: Result<Command, BadRequest>) -> Pending {
        // Ordering: Relaxed: a count.
        self.requests.fetch_add(1, Ordering::Relaxed);
        match request {
            Err(bad) => Pending::Done(Reply::Bad(bad)),
            Ok(Command::Get(key)) => self.ask(&key, Operation::Get),
            Ok(Command::Set(key, value)) => self.ask(&key, |key| Operation::Set(key, value)),
            Ok(Command::Del(key)) => self.ask(&key, Operation::Del),
            Ok(Command::Incr(key)) => self.ask(&key, Operation::Incr),
            Ok(Command::Panic(key)) if self.chaos => self.ask(&key, |_| Operation::Panic),
            Ok(Command::Panic(_)) => Pending::Done(Reply::Bad(BadRequest::Disabled("PANIC"))),
            Ok(Command::Stats) => {
                Pending::Sizes(self.vaults.iter().map(|vault| vault.ask(Size).timeout(ANSWER)).collect())
            }
            Ok(Command::Ping) => Pending::Done(Reply::Pong),
            Ok(Command::Quit | Command::Shutdown) => Pending::Done(Reply::Ok),
        }
    }

    fn finish(&self, pending: Pending) -> Reply {
        match pending {
            Pending::Done(reply) => reply,
            Pending::Asked(ask) => ask.wait().unwrap_or_else(|error| Reply::Trouble(trouble(error))),
            Pending::Sizes(sizes) => {
                let keys: Result<Vec<usize>, _> = sizes.into_iter().map(Ask::wait).collect();
                match keys {
                    Ok(keys) => self.stats(keys.iter().sum()),
                    Err(error) => Reply::Trouble(trouble(error)),
                }
            }
        }
    }

    fn stats(&self, keys: usize) -> Reply {
        let counters = self.system.counters();
        let mut text = String::new();
        for (name, count) in [
            ("keys", keys as u64),
            ("shards", self.shards.len() as u64),
            ("restarts", counters.restarts),
            // Ordering: Relaxed, all: counts.
            ("connections", self.connections.load(Ordering::Relaxed)),
            ("accepted", self.accepted.load(Ordering::Relaxed)),
            ("requests", self.requests.load(Ordering::Relaxed)),
            ("messages", counters.sent),
            ("dead_letters", counters.dead_lettered),
        ] {
            // A `String` takes everything.
            let _ = writeln!(text, "{name} {count}");
        }
        Reply::Value(text.into())
    }
}

fn trouble(error: AskError) -> Trouble {
    match error {
        AskError::Timeout => Trouble::Late,
        AskError::Stopped => Trouble::Down,
        AskError::Full => Trouble::Overloaded,
        _ => Trouble::Failed,
    }
}

/// A request that is being served.
enum Pending {
    Done(Reply),
    Asked(Ask<Reply>),
    Sizes(Vec<Ask<usize>>),
}

/// Serves one connection: rounds of what has come, which is asked for at once and answered in its order.
pub(super) fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let (mut decoder, mut bytes, mut out) = (Decoder::default(), vec![0; CHUNK], Vec::new());
    let mut pending = VecDeque::with_capacity(CREDITS);
    let mut closing = None;
    loop {
        let (mut last, mut shutdown) = (false, false);
        while pending.len() < CREDITS && !last {
            let Some(request) = decoder.next_request() else { break };
            shutdown = request == Ok(Command::Shutdown);
            last = shutdown || request == Ok(Command::Quit) || request.as_ref().is_err_and(BadRequest::is_fatal);
            pending.push_back(shared.begin(request));
        }
        if pending.is_empty() {
            if shared.is_closing() && closing.get_or_insert_with(Instant::now).elapsed() > GRACE {
                return Ok(());
            }
            match stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => decoder.feed(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        while let Some(first) = pending.pop_front() {
            shared.finish(first).encode(&mut out);
            if out.len() >= CHUNK || pending.is_empty() {
                stream.write_all(&out)?;
                out.clear();
            }
        }
        if shutdown {
            shared.stopper.stop();
        }
        if last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::kv::client::{Answer, Client};

    /// A server without shards: whoever looks for one divides by zero.
    #[test]
    fn a_connection_that_panics_is_gone_alone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let system = System::builder().workers(1).build().unwrap();
        let server = Server::open(&Config::default(), listener, system, Vec::new(), Vec::new()).unwrap();
        let connect = || Client::connect(server.address()).unwrap();
        let mut one = connect();
        let pong = || Answer::Status("PONG".into());
        for _ in 0..3 {
            assert_eq!(one.ask(&["PING"]).unwrap(), pong());
            let mut other = connect();
            assert_eq!(other.ask(&["PING"]).unwrap(), pong());
            assert!(other.ask(&["GET", "a"]).is_err(), "it is gone");
        }
        let begin = Instant::now();
        // Ordering: Relaxed: a count.
        while server.shared.connections.load(Ordering::Relaxed) > 1 {
            assert!(begin.elapsed() < Duration::from_secs(60), "one is not let go");
            thread::yield_now();
        }
        assert_eq!(one.ask(&["PING"]).unwrap(), pong());
        let counters = server.stop().unwrap();
        assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
    }
}
