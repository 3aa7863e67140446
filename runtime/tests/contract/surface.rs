//! The shape of the surface: what may be sent and shared, how large it is, what is an error and prints itself.

use crate::support::puppet::Puppet;
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use cuelight::*;
use std::collections::HashSet;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::hash::Hash;

contract! {
    identities_are_values,
    contexts_print_themselves,
}

threads_contract! {
    addresses_are_values,
}

/// An actor whose state may not be shared.
struct Unshared {
    _cell: std::cell::Cell<u8>,
}

impl Actor for Unshared {}

/// A message that may be sent, and nothing else: not shared, cloned, compared or printed.
struct Secret(#[allow(dead_code, reason = "only what it may not matters")] std::cell::Cell<u8>);

impl Handler<Secret> for Unshared {
    type Reply = Secret;

    fn handle(&mut self, secret: Secret, _: &mut Context<Self>) -> Secret {
        secret
    }
}

const fn handle<T: Send + Sync + Debug + 'static>() {}
const fn value<T: Clone + Eq + Hash>() {}
const fn error<T: Error + Debug + Display>() {}
const fn sent<T: Send + 'static>() {}
const fn unpin<T: Unpin + Future>() {}

const _: () = {
    handle::<System>();
    handle::<SystemRef>();
    handle::<Builder>();
    handle::<ActorRef<Unshared>>();
    handle::<Recipient<Secret>>();
    handle::<Ask<Secret>>();
    handle::<ReplyTo<Secret>>();
    handle::<ActorId>();
    handle::<StopReason>();
    handle::<Terminated>();
    handle::<Counters>();
    handle::<WorkerCounters>();
    handle::<Report>();
    handle::<WorkerReport>();
    handle::<Pin>();
    handle::<Idle>();
    handle::<Budget>();
    handle::<AskError>();
    handle::<BuildError>();
    handle::<SpawnError>();
    handle::<ShutdownError>();
    handle::<HeldWorker>();
    handle::<Overrun>();
    handle::<MemoryUse>();
    handle::<Snapshot>();
    handle::<ActorStatus>();
    handle::<ActorState>();
    handle::<DeadLetterReason>();
    sent::<DeadLetter>();
    sent::<TellError<Secret>>();
    sent::<SendAllError<Secret>>();

    value::<ActorRef<Unshared>>();
    value::<Recipient<Secret>>();
    value::<ActorId>();
    value::<Pin>();

    // Without bounds on the message.
    error::<TellError<Secret>>();
    error::<SendAllError<Secret>>();
    error::<AskError>();
    error::<BuildError>();
    error::<SpawnError>();
    error::<ShutdownError>();

    unpin::<Ask<Secret>>();

    // One word, also with an Option around it; two for an address that forgets the actor.
    assert!(size_of::<ActorRef<Unshared>>() == size_of::<usize>());
    assert!(size_of::<Option<ActorRef<Unshared>>>() == size_of::<usize>());
    assert!(size_of::<Recipient<Secret>>() == 2 * size_of::<usize>());
    assert!(size_of::<Option<Recipient<Secret>>>() == 2 * size_of::<usize>());
};

fn addresses_are_values(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    assert!(a == a.clone() && a != b);
    let set: HashSet<ActorRef<Puppet>> = [a.clone(), b.clone(), a.clone()].into();
    assert_eq!(set.len(), 2);
    let (one, other): (Recipient<u64>, Recipient<u64>) = (a.recipient(), (&b).into());
    let again: Recipient<u64> = a.clone().into();
    assert!(one == again && one != other);
    let set: HashSet<Recipient<u64>> = [one.clone(), other, again].into();
    assert_eq!(set.len(), 2);
    assert_eq!((one.id(), format!("{one:?}")), (a.id(), format!("Recipient(u64 {})", a.id())));
    // An address of what may not be shared, used from several threads.
    let secret = stage.spawn(Unshared { _cell: std::cell::Cell::new(0) });
    let to = secret.clone();
    let thread = std::thread::spawn(move || to.ask(Secret(std::cell::Cell::new(1))).wait().is_ok());
    assert!(thread.join().unwrap());
    secret.tell(Secret(std::cell::Cell::new(2))).unwrap();
    stage.end();
}

fn identities_are_values(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    let ids: HashSet<ActorId> = [a.id(), b.id(), a.clone().id()].into();
    assert_eq!(ids.len(), 2);
    assert_eq!(format!("{} {:?}", a.id(), a.id()), format!("#{0} #{0}", a.id().get()));
    assert!(a.id() < b.id() || a.id() > b.id());
    stage.end();
}

fn contexts_print_themselves(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let name = std::any::type_name::<Puppet>();
    a.ask(crate::support::puppet::run(move |_, ctx| {
        assert_eq!(format!("{ctx:?}"), format!("Context({name} {})", ctx.me().id()));
        assert!(format!("{:?}", ctx.system()).starts_with("SystemRef("));
        let before = ctx.now();
        assert!(ctx.now() >= before);
    }))
    .wait()
    .unwrap();
    let asked = a.ask_with(crate::support::puppet::Keep);
    a.ask(crate::support::puppet::run(|this, _| {
        assert_eq!(format!("{:?}", this.replies[0]), "ReplyTo { .. }");
    }))
    .wait()
    .unwrap();
    assert_eq!(format!("{asked:?}"), format!("Ask(to {})", a.id()));
    stage.end();
}
