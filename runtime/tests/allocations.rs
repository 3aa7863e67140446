//! What the library asks of the allocator: nothing for a message, little for an actor, and all of it is given back.

#[path = "support/mod.rs"]
#[allow(unused_macros, unused_imports, reason = "contracts on several engines are elsewhere")]
mod support;

use cuelight::System;
use support::stage::end;

#[test]
fn what_the_allocator_sees() {
    end(&System::builder().workers(2).build().expect("a system"));
}
