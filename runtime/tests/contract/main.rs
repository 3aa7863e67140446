//! The contract: what the public surface promises, each case on every engine.
//!
//! A case is a function of an engine; `contract!` makes tests of it at one, two and eight workers, and in simulation with many
//! seeds; `threads_contract!` of those that need threads.

#[path = "../support/mod.rs"]
mod support;

mod afresh;
mod asks;
mod bounds;
mod breakers;
mod budgets;
mod builds;
mod crowds;
mod dedicated;
mod ends;
mod fairness;
mod families;
mod forwards;
mod idleness;
mod inner_asks;
mod letters;
mod lifecycle;
mod lingers;
mod links;
mod names;
mod orders;
mod panics;
mod payloads;
mod periods;
mod pools;
mod restarts;
mod retried;
mod retries;
mod rooms;
mod sends;
mod snapshots;
mod spans;
mod stashes;
mod storms;
mod stubborn;
mod supervision;
mod surface;
mod systems;
mod timers;
mod topics;
mod watchdog;
mod watches;
mod writable;
