//! Simulation: driving, virtual time, replay, and what it refuses.

#[path = "../support/mod.rs"]
mod support;

mod driving;
mod replay;
mod threads;
mod town;
