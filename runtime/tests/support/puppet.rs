//! An actor that does what it is told, and writes down what happens to it.

use super::{Count, Counted, Gate, Log};
use cuelight::{Actor, ActorRef, Context, Handler, ReplyTo, StopReason, Terminated};
use std::fmt;

/// See the [module](self).
///
/// Its lines: `starts`, `gets 7`, `hears of #12: stopped`, `stops: drained`, `drops`.
pub(crate) struct Puppet {
    pub(crate) name: &'static str,
    pub(crate) log: Log,
    /// What it has been given to keep.
    pub(crate) replies: Vec<ReplyTo<u64>>,
}

impl Puppet {
    pub(crate) fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), replies: Vec::new() }
    }

    /// Another one, for the same log.
    pub(crate) fn other(&self, name: &'static str) -> Self {
        Self::new(name, &self.log)
    }

    pub(crate) fn says(&self, what: impl fmt::Display) {
        self.log.line(format!("{} {what}", self.name));
    }
}

impl Actor for Puppet {
    fn started(&mut self, _: &mut Context<Self>) {
        self.says("starts");
    }

    fn stopped(&mut self, reason: &StopReason) {
        self.says(format_args!("stops: {reason}"));
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        self.says("drops");
    }
}

/// A number; answered with its double.
impl Handler<u64> for Puppet {
    type Reply = u64;

    fn handle(&mut self, n: u64, _: &mut Context<Self>) -> u64 {
        self.says(format_args!("gets {n}"));
        2 * n
    }
}

type Part = Box<dyn FnOnce(&mut Puppet, &mut Context<Puppet>) + Send>;

/// Something to do.
pub(crate) struct Run(Part);

/// Wraps something to do into a message.
pub(crate) fn run(f: impl FnOnce(&mut Puppet, &mut Context<Puppet>) + Send + 'static) -> Run {
    Run(Box::new(f))
}

impl Handler<Run> for Puppet {
    type Reply = ();

    fn handle(&mut self, Run(part): Run, ctx: &mut Context<Self>) {
        part(self, ctx);
    }
}

/// The ways in which an idle puppet ends.
pub(crate) const ENDS: [fn(&ActorRef<Puppet>); 4] = [
    ActorRef::stop,
    ActorRef::drain,
    |a| a.tell(run(|_, _| panic!("meant: so"))).unwrap(),
    |a| a.tell(run(|_, ctx| ctx.stop())).unwrap(),
];

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Run")
    }
}

/// A reply to be kept.
#[derive(Debug)]
pub(crate) struct Keep(pub(crate) ReplyTo<u64>);

impl Handler<Keep> for Puppet {
    type Reply = ();

    fn handle(&mut self, Keep(reply): Keep, _: &mut Context<Self>) {
        self.replies.push(reply);
    }
}

/// A number whose drops are counted.
#[derive(Debug)]
pub(crate) struct Token(pub(crate) u64, pub(crate) Counted);

impl Token {
    pub(crate) fn new(number: u64, drops: &Count) -> Self {
        Self(number, Counted(drops.clone()))
    }
}

impl Handler<Token> for Puppet {
    type Reply = Token;

    fn handle(&mut self, token: Token, _: &mut Context<Self>) -> Token {
        self.says(format_args!("gets {}", token.0));
        token
    }
}

impl Handler<Terminated> for Puppet {
    type Reply = ();

    fn handle(&mut self, notice: Terminated, _: &mut Context<Self>) {
        self.says(format_args!("hears of {}: {}", notice.id, notice.reason));
    }
}

/// Has `watcher` watch `target`, and waits until it does.
#[track_caller]
pub(crate) fn watch(watcher: &ActorRef<Puppet>, target: &ActorRef<impl Actor>) {
    let target = target.clone();
    watcher.ask(run(move |_, ctx| ctx.watch(&target))).wait().expect("a watch");
}

/// Blocks until the gate opens.
pub(crate) struct Block(pub(crate) Gate);

impl Handler<Block> for Puppet {
    type Reply = ();

    fn handle(&mut self, Block(gate): Block, _: &mut Context<Self>) {
        gate.wait();
    }
}
