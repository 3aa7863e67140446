//! The actors: a shard, which does what is asked and may fail, and its parent, the vault, which keeps what must not be lost.

use std::collections::HashMap;
use std::panic;
use std::time::Duration;

use cuelight::{Actor, ActorRef, Context, Decision, Failure, Handler, Mailbox, Overflow, ReplyTo, Restart};

use super::protocol::{Reply, Text, Trouble};

/// What a shard panics with that was told to fail.
pub const INJECTED: &str = "injected";

/// What is stored.
pub type Table = HashMap<Text, Text>;

/// What a shard does.
#[derive(Debug)]
pub enum Operation {
    /// Finds a value.
    Get(Text),
    /// Sets a value.
    Set(Text, Text),
    /// Removes a value.
    Del(Text),
    /// Adds one.
    Incr(Text),
    /// Fails, for a test.
    Panic,
}

/// An operation, and where its answer goes. One that is dropped is answered as failed.
#[derive(Debug)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// Where the answer goes.
    pub reply: ReplyTo<Reply>,
}

/// A part of the table, and the operations on it. After a failure it is made anew, and asks its vault for the table; requests
/// that come before that is there wait, no more of them than its mailbox may hold.
#[derive(Debug)]
pub struct Shard {
    vault: ActorRef<Vault>,
    table: Option<Table>,
    waiting: Vec<Request>,
    queue: usize,
}

impl Actor for Shard {
    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.ask(&self.vault, Copy, Duration::MAX, |this, table, ctx| {
            // Without a vault the shard ends, too.
            let Ok(table) = table else { return ctx.stop() };
            this.table = Some(table);
            // Should one of them fail, those behind it are dropped, and so answered.
            for request in std::mem::take(&mut this.waiting) {
                this.perform(request);
            }
        });
    }
}

impl Shard {
    fn perform(&mut self, Request { operation, reply }: Request) {
        let Some(table) = &mut self.table else {
            if self.waiting.len() >= self.queue {
                return reply.send(Reply::Trouble(Trouble::Overloaded));
            }
            return self.waiting.push(Request { operation, reply });
        };
        let answer = match operation {
            Operation::Get(key) => table.get(&key).map_or(Reply::Nil, |value| Reply::Value(value.clone())),
            Operation::Set(key, value) => {
                self.put(key, value);
                Reply::Ok
            }
            Operation::Del(key) => match table.remove(&key) {
                Some(_) => {
                    self.keep(key, None);
                    Reply::Number(1)
                }
                None => Reply::Number(0),
            },
            Operation::Incr(key) => match table.get(&key).map_or(Ok(0), |value| value.parse::<i64>()) {
                Err(_) => Reply::Trouble(Trouble::NotANumber),
                Ok(i64::MAX) => Reply::Trouble(Trouble::Overflow),
                Ok(number) => {
                    self.put(key, (number + 1).to_string().into());
                    Reply::Number(number + 1)
                }
            },
            Operation::Panic => panic::panic_any(INJECTED),
        };
        // Whoever reads this may rely on it: the vault has been told.
        reply.send(answer);
    }

    fn put(&mut self, key: Text, value: Text) {
        if let Some(table) = &mut self.table {
            table.insert(key.clone(), value.clone());
        }
        self.keep(key, Some(value));
    }

    fn keep(&self, key: Text, value: Option<Text>) {
        // A vault that is gone has stopped this shard, and nobody will ask what it kept.
        let _ = self.vault.tell(Keep(key, value));
    }
}

impl Handler<Request> for Shard {
    type Reply = ();

    fn handle(&mut self, request: Request, _: &mut Context<Self>) {
        self.perform(request);
    }
}

/// Keeps the table of one shard, its child, and nothing else: what it does cannot fail.
#[derive(Debug)]
pub struct Vault {
    table: Table,
    shard: Option<ActorRef<Shard>>,
    queue: usize,
}

impl Vault {
    /// An empty one, whose shard has at most `queue` requests waiting.
    #[must_use]
    pub fn new(queue: usize) -> Self {
        Self { table: Table::new(), shard: None, queue }
    }
}

impl Actor for Vault {
    fn started(&mut self, ctx: &mut Context<Self>) {
        let (me, queue) = (ctx.me(), self.queue);
        let make = move || Shard { vault: me.clone(), table: None, waiting: Vec::new(), queue };
        let rule = Restart::on_panic()
            .limit(50, Duration::from_secs(60))
            .backoff(Duration::from_millis(1), Duration::from_millis(50));
        let bound = Mailbox::bounded(queue, Overflow::Reject);
        self.shard = ctx.actor(make).restart(rule).mailbox(bound).spawn().ok();
    }

    fn child_failed(&mut self, failure: &Failure, _: &mut Context<Self>) -> Decision {
        match failure.proposed {
            // The table is worth more than an answer: it stays, the shard does not.
            Decision::Escalate => Decision::Stop,
            proposed => proposed,
        }
    }
}

/// Asks for the shard.
#[derive(Debug)]
pub struct Find;

impl Handler<Find> for Vault {
    type Reply = Option<ActorRef<Shard>>;

    fn handle(&mut self, Find: Find, _: &mut Context<Self>) -> Self::Reply {
        self.shard.clone()
    }
}

/// What has become of a key.
struct Keep(Text, Option<Text>);

impl Handler<Keep> for Vault {
    type Reply = ();

    fn handle(&mut self, Keep(key, value): Keep, _: &mut Context<Self>) {
        match value {
            Some(value) => self.table.insert(key, value),
            None => self.table.remove(&key),
        };
    }
}

/// Asks for the whole table.
struct Copy;

impl Handler<Copy> for Vault {
    type Reply = Table;

    fn handle(&mut self, Copy: Copy, _: &mut Context<Self>) -> Table {
        self.table.clone()
    }
}

/// Asks for the number of keys.
#[derive(Debug)]
pub struct Size;

impl Handler<Size> for Vault {
    type Reply = usize;

    fn handle(&mut self, Size: Size, _: &mut Context<Self>) -> usize {
        self.table.len()
    }
}
