//! cuelight, as its users have it: defaults everywhere, the number of workers given.

use super::{Behaviour, Runtime, note_refusal};
use cuelight::{Actor, ActorRef, Context, Handler, System};
use std::{collections::BTreeMap, time::Duration};

pub(crate) struct Ours(System);

/// A behaviour as an actor with one kind of message.
pub(crate) struct Wrapper<B>(B);

impl<B: Behaviour<Ours>> Actor for Wrapper<B> {}

impl<B: Behaviour<Ours>> Handler<B::Message> for Wrapper<B> {
    type Reply = ();

    fn handle(&mut self, message: B::Message, ctx: &mut Context<Self>) {
        self.0.handle(message, ctx);
    }
}

impl Runtime for Ours {
    const NAME: &'static str = "ours";
    const PACKAGE: &'static str = "cuelight";
    const MODE: &'static str = "defaults: workers pinned where they may be, spin then park, counters on";

    type Ref<B: Behaviour<Self>> = ActorRef<Wrapper<B>>;
    type Context<B: Behaviour<Self>> = Context<Wrapper<B>>;

    fn boot(workers: usize) -> Result<Self, String> {
        System::builder().name("perf").workers(workers).build().map(Self).map_err(|error| error.to_string())
    }

    fn spawn<B: Behaviour<Self>>(&self, behaviour: B) -> Self::Ref<B> {
        self.0.spawn(Wrapper(behaviour))
    }

    fn spawn_child<P: Behaviour<Self>, B: Behaviour<Self>>(ctx: &mut Self::Context<P>, behaviour: B) -> Self::Ref<B> {
        ctx.spawn(Wrapper(behaviour))
    }

    fn me<B: Behaviour<Self>>(ctx: &Self::Context<B>) -> Self::Ref<B> {
        ctx.me()
    }

    fn stop<B: Behaviour<Self>>(ctx: &mut Self::Context<B>) {
        ctx.stop();
    }

    fn send<B: Behaviour<Self>>(to: &Self::Ref<B>, message: B::Message) {
        if to.tell(message).is_err() {
            note_refusal();
        }
    }

    fn live(&self) -> u64 {
        self.0.counters().live_actors
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let counters = self.0.counters();
        let mut named = BTreeMap::new();
        for (index, worker) in counters.workers.iter().enumerate() {
            named.insert(format!("worker {index:02}: messages"), worker.messages);
            for (name, value) in [
                ("activations", worker.activations),
                ("injector takes", worker.injector_takes),
                ("parks", worker.parks),
                ("slot takes", worker.slot_takes),
                ("spins", worker.spins),
                ("steals tried", worker.steals_tried),
                ("steals won", worker.steals_won),
                ("stolen", worker.stolen),
                ("handed back", worker.handed_back),
                ("wakes", worker.wakes),
            ] {
                *named.entry(name.to_owned()).or_default() += value;
            }
        }
        named
    }

    fn audit(&self) -> Result<(), String> {
        let counters = self.0.counters();
        match (counters.returned, counters.dead_lettered) {
            (0, 0) => Ok(()),
            (returned, dead) => Err(format!("{returned} messages returned, {dead} dead-lettered")),
        }
    }

    fn shutdown(self) -> Result<(), String> {
        self.0.shutdown(Duration::from_secs(10)).map_err(|error| error.to_string())
    }
}
