//! A key-value service over TCP: actors that block at the edge, on threads of their own, and actors that do not inside.
//!
//! ```text
//!   clients        a thread each            actors, by the key's hash
//!      |   bytes   +------------+   ask   +-------+   keep    +-------+
//!      '---------->| connection |-------->| shard |---------->| vault |
//!      <-----------|            |<--------|       |<----------|       |
//!         answers  +------------+  answer +-------+   copy,   +-------+
//!                  at most CREDITS        restarted    after   its parent
//!                  asks in flight         if it fails  a restart
//! ```
//!
//! A connection asks for what has come, at most [`CREDITS`](server::CREDITS) requests at a time, and answers in their
//! order before it reads on: so a client that sends faster than it is served is slowed down by TCP itself, and what is in
//! flight is bounded. A shard's mailbox is, too: what finds no room there is answered with `OVERLOADED`, and is not done.
//! `edge` tells how connections begin and end, and what becomes of one that fails.
//!
//! **What an answer means.** A write is handed to the vault before it is answered with success, so it outlives any number of
//! failures of its shard; the vault's code has nothing in it that can fail. A request answered with `FAILED` met a shard that
//! failed: a write may have been done or not, and will not be done later. A shard that fails more than 50 times in a minute is
//! given up, and its keys are answered with `DOWN`; the other shards go on. Nothing outlives the process.
//!
//! `protocol`, `histogram` and `model` know nothing of actors.

pub mod args;
pub mod client;
mod edge;
pub mod histogram;
pub mod load;
pub mod model;
pub mod protocol;
pub mod server;
pub mod store;
