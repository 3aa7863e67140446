//! The actor of the models: it does what its messages say, and keeps the ledger.

use super::ledger::{Ledger, Token, Trace};
use super::stage::Wakes;
use cuelight::dev_hooks::kernel::Continue;
use cuelight::{Actor, Ask, Context, Handler, StopReason, Terminated, Writable};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What handlers panic with on purpose.
const INTENDED: &str = "intended";

/// An actor that keeps the ledger. Its state is watched: two turns must be ordered.
pub struct Probe {
    id: u64,
    trace: Trace,
    ledger: Ledger,
    farewell: Option<Box<dyn FnOnce() + Send>>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Probe")
    }
}

impl Probe {
    /// Makes one; it must be spawned.
    #[must_use]
    pub fn new(id: u64, ledger: &Ledger) -> Self {
        ledger.spawned();
        Self { id, trace: Trace::default(), ledger: ledger.clone(), farewell: None }
    }

    fn due(&mut self) {
        self.trace.touch();
        self.ledger.resumed_one();
        if self.ledger.noted() {
            self.ledger.fault("a timer came that was taken back");
        }
    }

    /// Has `farewell` called when it has ended.
    pub fn at_the_end(&mut self, farewell: impl FnOnce() + Send + 'static) {
        self.farewell = Some(Box::new(farewell));
    }

    /// Returns the ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Actor for Probe {
    fn started(&mut self, _: &mut Context<Self>) {
        self.trace.touch();
    }

    fn stopped(&mut self, reason: &StopReason) {
        self.trace.touch();
        if let StopReason::Panicked(said) = reason {
            // What loom finds inside a handler comes out as that handler's panic.
            if &**said != INTENDED {
                self.ledger.fault(format!("a handler panicked: {said}"));
            }
        }
        self.ledger.stopped(self.id, reason);
        if let Some(farewell) = self.farewell.take() {
            farewell();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.trace.touch();
        self.ledger.state_dropped();
    }
}

/// It is handled, and that is all.
impl Handler<Token> for Probe {
    type Reply = ();

    fn handle(&mut self, token: Token, _: &mut Context<Self>) {
        self.trace.touch();
        token.handled(self.id);
    }
}

/// Its handler panics.
#[derive(Debug)]
pub struct Bomb(pub Token);

impl Handler<Bomb> for Probe {
    type Reply = ();

    fn handle(&mut self, bomb: Bomb, _: &mut Context<Self>) {
        self.trace.touch();
        bomb.0.handled(self.id);
        // Without the hook, which would print it in every execution.
        resume_unwind(Box::new(INTENDED));
    }
}

/// Its handler panics the first time, and records its fate the second time. Clones share it.
#[derive(Debug, Clone)]
pub struct Attempt {
    token: Arc<Token>,
    tried: Arc<AtomicBool>,
}

impl Attempt {
    /// Wraps a message.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self { token: Arc::new(token), tried: Arc::default() }
    }
}

/// The reply is a number.
impl Handler<Attempt> for Probe {
    type Reply = u32;

    fn handle(&mut self, attempt: Attempt, _: &mut Context<Self>) -> u32 {
        self.trace.touch();
        // Ordering: Relaxed: what orders an actor's turns is the model's matter.
        if !attempt.tried.swap(true, Ordering::Relaxed) {
            resume_unwind(Box::new(INTENDED));
        }
        attempt.token.handled(self.id);
        attempt.token.id()
    }
}

/// The reply is the message.
#[derive(Debug)]
pub struct Question(pub Token);

impl Handler<Question> for Probe {
    type Reply = Token;

    fn handle(&mut self, question: Question, _: &mut Context<Self>) -> Token {
        self.trace.touch();
        question.0.handled(self.id);
        question.0
    }
}

/// What an actor is told to do.
pub struct Do(Script);

type Script = Box<dyn FnOnce(&mut Probe, &mut Context<Probe>) + Send>;

impl Do {
    /// Wraps a script.
    pub fn new(script: impl FnOnce(&mut Probe, &mut Context<Probe>) + Send + 'static) -> Self {
        Self(Box::new(script))
    }
}

impl std::fmt::Debug for Do {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Do")
    }
}

impl Handler<Do> for Probe {
    type Reply = ();

    fn handle(&mut self, order: Do, context: &mut Context<Self>) {
        self.trace.touch();
        (order.0)(self, context);
    }
}

/// What a timer brings. It is counted, and a fault after a timer was taken back.
#[derive(Debug)]
pub struct Due(pub Token);

impl Handler<Due> for Probe {
    type Reply = ();

    fn handle(&mut self, _: Due, _: &mut Context<Self>) {
        self.due();
    }
}

/// The same without a token.
#[derive(Debug, Clone)]
pub struct Beat;

impl Handler<Beat> for Probe {
    type Reply = ();

    fn handle(&mut self, _: Beat, _: &mut Context<Self>) {
        self.due();
    }
}

impl Handler<Writable> for Probe {
    type Reply = ();

    fn handle(&mut self, _: Writable, _: &mut Context<Self>) {
        self.trace.touch();
        self.ledger.resumed_one();
    }
}

impl Handler<Terminated> for Probe {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.trace.touch();
        self.ledger.noticed(self.id, &notice);
    }
}

/// The continuation of an ask: takes the reply, or gives up.
impl Continue<Ask<Token>> for Probe {
    fn resumed(&mut self, mut ask: Ask<Token>, _: &mut Context<Self>) {
        self.trace.touch();
        self.ledger.resumed_one();
        drop(Wakes::new().poll(&mut ask));
    }
}

impl Continue<Token> for Probe {
    fn resumed(&mut self, token: Token, _: &mut Context<Self>) {
        self.trace.touch();
        token.handled(self.id);
    }
}
