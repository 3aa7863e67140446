//! Actors that are restarted: rules, families, failures.

use super::Shared;
use super::puppet::{Puppet, run};
use super::stage::Stage;
use cuelight::{ActorRef, Context, Restart};
use std::time::Duration;

/// A restart at once, as often as need be.
pub(crate) fn at_once() -> Restart {
    Restart::on_panic().unlimited().backoff(Duration::ZERO, Duration::ZERO)
}

/// A restart that no test lives to see.
pub(crate) fn never_comes() -> Restart {
    Restart::on_panic().backoff(Duration::from_secs(3600), Duration::from_secs(3600))
}

impl Puppet {
    pub(crate) fn factory(&self, name: &'static str) -> impl FnMut() -> Puppet + Send + 'static {
        let log = self.log.clone();
        move || Puppet::new(name, &log)
    }
}

impl Stage {
    pub(crate) fn restarted(&self, name: &'static str, rule: Restart) -> ActorRef<Puppet> {
        let log = self.log.clone();
        self.actor(move || Puppet::new(name, &log)).restart(rule).spawn().expect("a puppet")
    }

    /// A parent and a child of it with this rule.
    pub(crate) fn family(&self, rule: Restart) -> (ActorRef<Puppet>, ActorRef<Puppet>) {
        let parent = self.puppet("parent");
        let child = self.child(&parent, "child", rule);
        (parent, child)
    }

    pub(crate) fn child(&self, parent: &ActorRef<Puppet>, name: &'static str, rule: Restart) -> ActorRef<Puppet> {
        let place = Shared::new(None);
        let put = place.clone();
        let spawn = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
            let child = ctx.actor(this.factory(name)).restart(rule).spawn().expect("a child");
            put.with(|place| *place = Some(child));
        };
        parent.ask(run(spawn)).wait().expect("a parent");
        place.with(Option::take).expect("a child")
    }
}

/// Makes a puppet's handler panic.
pub(crate) fn fail(puppet: &ActorRef<Puppet>) {
    puppet.tell(run(|_, _| panic!("meant"))).expect("an actor that can fail");
}
