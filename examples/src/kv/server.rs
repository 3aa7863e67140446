//! The edge: a thread that accepts, and one for each connection.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cuelight::{ActorRef, Ask, AskError, BuildError, Counters, ShutdownError, System};

use super::protocol::{BadRequest, Command, Decoder, Reply, Text, Trouble};
use super::store::{Find, Operation, Request, Shard, Size, Vault};

/// Requests of one connection in flight, at most.
pub const CREDITS: usize = 128;
/// How long a shard may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a client may take to read its answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may still send when the server ends.
const GRACE: Duration = Duration::from_secs(1);
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
    Thread(io::Error),
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
    acceptor: JoinHandle<()>,
    wanted: Receiver<()>,
}

/// What all its threads know.
#[derive(Debug)]
struct Shared {
    system: System,
    vaults: Vec<ActorRef<Vault>>,
    shards: Vec<ActorRef<Shard>>,
    chaos: bool,
    most: usize,
    /// Set once; whoever accepts or serves looks at it now and then.
    closing: AtomicBool,
    stopper: Stopper,
    requests: AtomicU64,
    accepted: AtomicU64,
    open: Mutex<HashMap<u64, TcpStream>>,
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
        let listen = |error| ServerError::Listen(config.address, error);
        let listener = TcpListener::bind(config.address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let mut builder = System::builder().name("kv");
        if let Some(workers) = config.workers {
            builder = builder.workers(workers);
        }
        let system = builder.build().map_err(ServerError::Build)?;
        let vaults: Vec<_> = (0..config.shards.max(1)).map(|_| system.spawn(Vault::new(config.queue))).collect();
        let found = vaults.iter().map(|vault| vault.ask(Find).timeout(ANSWER).wait().ok().flatten());
        let shards = found.collect::<Option<Vec<_>>>().ok_or(ServerError::Shard)?;
        let (sender, wanted) = channel();
        let shared = Arc::new(Shared {
            system: system.clone(),
            vaults,
            shards,
            chaos: config.chaos,
            most: config.connections,
            closing: AtomicBool::new(false),
            stopper: Stopper(sender),
            requests: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let mine = shared.clone();
        let acceptor = thread::Builder::new().name("kv-accept".into()).spawn(move || accept(&listener, &mine));
        Ok(Self { address, system, shared, acceptor: acceptor.map_err(ServerError::Thread)?, wanted })
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
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv6Addr::LOCALHOST.into(),
        };
        // The acceptor waits for a connection; this is the last one.
        drop(TcpStream::connect((ip, self.address.port())));
        let _ = self.acceptor.join();
        self.system.shutdown(ANSWER).map_err(ServerError::Shutdown)?;
        Ok(self.system.counters())
    }
}

impl Shared {
    fn is_closing(&self) -> bool {
        // Ordering: Acquire pairs with `stop`.
        self.closing.load(Ordering::Acquire)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
            ("connections", self.open().len() as u64),
            // Ordering: Relaxed, both: counts.
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

/// Takes connections until the server ends, and then waits for their ends.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let stream = listener.accept();
        if shared.is_closing() {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        match stream {
            Ok((stream, _)) => match admit(stream, shared) {
                Ok(thread) => threads.extend(thread),
                Err(error) => eprintln!("kv: a connection cannot be served: {error}"),
            },
            // Most likely there are too many descriptors: it gets no better by trying at once.
            Err(error) => {
                eprintln!("kv: a connection cannot be accepted: {error}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    // What has been sent can still be read; then there is an end.
    for stream in shared.open().values() {
        let _ = stream.shutdown(Shutdown::Read);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn admit(mut stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Option<JoinHandle<()>>> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    if shared.open().len() >= shared.most {
        // It may have gone.
        let _ = write!(stream, "-ERR too many connections: {} at most\r\n", shared.most);
        return Ok(None);
    }
    // Ordering: Relaxed: only this thread counts here.
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
    shared.open().insert(number, stream.try_clone()?);
    let mine = Leaves(number, shared.clone());
    let work = move || {
        // A client that goes, or reads nothing, is no news to anybody.
        let _ = serve(&mut stream, &mine.1);
    };
    thread::Builder::new().name(format!("kv-{number}")).spawn(work).map(Some)
}

/// Takes a connection off the list when its thread ends.
struct Leaves(u64, Arc<Shared>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.1.open().remove(&self.0);
    }
}

/// Serves one connection: rounds of what has come, which is asked for at once and answered in its order.
fn serve(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
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
