//! Much of one thing: long mailboxes, long chains, many asks. All of it is dropped, once, on small stacks.

#[path = "support/mod.rs"]
#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;

use cuelight::{Actor, Context, Handler, System};
use support::stage::end;
use support::{Count, Counted};

struct Sink;

impl Actor for Sink {}

impl Handler<Counted> for Sink {
    type Reply = ();

    fn handle(&mut self, _: Counted, _: &mut Context<Self>) {}
}

#[test]
fn what_is_handled_is_dropped() {
    let system = System::builder().workers(1).build().expect("a system");
    let drops = Count::default();
    system.spawn(Sink).tell(Counted(drops.clone())).expect("running");
    drops.reaches(1);
    end(&system);
}
