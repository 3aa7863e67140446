//! tokio: a task and an unbounded channel for each actor.
//!
//! The multi-thread scheduler without drivers, so that an idle worker parks on a condition variable and not in epoll.
//! Two settings: its users' usual loop over `recv`, and `recv_many`, which is faster where queues are long and slower
//! where they are short. An actor keeps a sender of its own, as an actor that may hand out its reference does; its
//! task ends when the handler asks for it or the runtime goes.

use super::{Behaviour, Runtime, note_refusal};
use std::time::Duration;
use tokio::{
    runtime,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

/// Messages one `recv_many` takes at most.
const MANY: usize = 64;

/// One message a receive, or many.
pub(crate) struct Tokio<const BATCHED: bool>(runtime::Runtime);

/// What a handler is lent: the actor's own sender and its wish to end.
pub(crate) struct Context<M> {
    me: UnboundedSender<M>,
    stop: bool,
}

fn mailbox<M>() -> (Context<M>, UnboundedReceiver<M>) {
    let (me, mailbox) = mpsc::unbounded_channel();
    (Context { me, stop: false }, mailbox)
}

// Two futures and not one with a branch: the branch not taken would make every idle actor larger.

#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` holds its arguments twice")]
fn one_by_one<const BATCHED: bool, B: Behaviour<Tokio<BATCHED>>>(
    mut behaviour: B,
    mut ctx: Context<B::Message>,
    mut mailbox: UnboundedReceiver<B::Message>,
) -> impl Future<Output = ()> + Send {
    async move {
        while let Some(message) = mailbox.recv().await {
            behaviour.handle(message, &mut ctx);
            if ctx.stop {
                return;
            }
        }
    }
}

#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` holds its arguments twice")]
fn in_batches<const BATCHED: bool, B: Behaviour<Tokio<BATCHED>>>(
    mut behaviour: B,
    mut ctx: Context<B::Message>,
    mut mailbox: UnboundedReceiver<B::Message>,
) -> impl Future<Output = ()> + Send {
    async move {
        let mut batch = Vec::new();
        while mailbox.recv_many(&mut batch, MANY).await > 0 {
            for message in batch.drain(..) {
                behaviour.handle(message, &mut ctx);
                if ctx.stop {
                    return;
                }
            }
        }
    }
}

impl<const BATCHED: bool> Runtime for Tokio<BATCHED> {
    const NAME: &'static str = if BATCHED { "tokio_batched" } else { "tokio" };
    const PACKAGE: &'static str = "tokio";
    const MODE: &'static str = if BATCHED {
        "the same, messages taken 64 at a time by recv_many"
    } else {
        "a task and an unbounded mpsc channel per actor, recv, multi-thread scheduler, drivers off"
    };
    const QUICK: bool = !BATCHED;

    type Ref<B: Behaviour<Self>> = UnboundedSender<B::Message>;
    type Context<B: Behaviour<Self>> = Context<B::Message>;

    fn boot(workers: usize) -> Result<Self, String> {
        runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .build()
            .map(Self)
            .map_err(|error| error.to_string())
    }

    fn spawn<B: Behaviour<Self>>(&self, behaviour: B) -> Self::Ref<B> {
        let (ctx, mailbox) = mailbox();
        let me = ctx.me.clone();
        drop(if BATCHED {
            self.0.spawn(in_batches(behaviour, ctx, mailbox))
        } else {
            self.0.spawn(one_by_one(behaviour, ctx, mailbox))
        });
        me
    }

    fn spawn_child<P: Behaviour<Self>, B: Behaviour<Self>>(_: &mut Self::Context<P>, behaviour: B) -> Self::Ref<B> {
        let (ctx, mailbox) = mailbox();
        let me = ctx.me.clone();
        drop(if BATCHED {
            tokio::spawn(in_batches(behaviour, ctx, mailbox))
        } else {
            tokio::spawn(one_by_one(behaviour, ctx, mailbox))
        });
        me
    }

    fn me<B: Behaviour<Self>>(ctx: &Self::Context<B>) -> Self::Ref<B> {
        ctx.me.clone()
    }

    fn stop<B: Behaviour<Self>>(ctx: &mut Self::Context<B>) {
        ctx.stop = true;
    }

    fn send<B: Behaviour<Self>>(to: &Self::Ref<B>, message: B::Message) {
        if to.send(message).is_err() {
            note_refusal();
        }
    }

    fn live(&self) -> u64 {
        self.0.metrics().num_alive_tasks() as u64
    }

    fn shutdown(self) -> Result<(), String> {
        self.0.shutdown_timeout(Duration::from_secs(10));
        Ok(())
    }
}
