//! cuelight: a lock-free, work-stealing actor scheduler.
mod actor;
#[cfg(feature = "dev-hooks")]
#[doc(hidden)]
pub mod dev_hooks;
mod engine;
mod error;
mod kernel;
mod metrics;
mod sync;
mod system;
mod time;

pub use actor::{Actor, ActorBuilder, ActorRef, Ask, Handler, Recipient, ReplyTo};
pub use engine::config::{Budget, Idle, Pin};
pub use engine::letters::{DeadLetter, DeadLetterReason};
pub use engine::report::{Report, WorkerReport};
pub use error::{AskError, BuildError, HeldWorker, SendAllError, ShutdownError, SpawnError, TellError};
pub use kernel::context::Context;
pub use kernel::watch::{ActorId, StopReason, Terminated};
pub use metrics::{Counters, WorkerCounters};
pub use system::{Builder, System, SystemRef};
