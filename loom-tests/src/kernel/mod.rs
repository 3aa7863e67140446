//! A stage for models of the kernel: actors that keep a ledger, and threads that run them.

mod ledger;
mod probe;
mod rule;
mod stage;

pub use ledger::{Expected, House, Ledger, NOTICE, Token, Trace};
pub use probe::{Attempt, Beat, Bomb, Do, Due, Probe, Question};
pub use rule::{Waits, restarts};
pub use stage::{Stage, Wakes};
