//! Simulation: driving, virtual time, replay, and what it refuses.

#[path = "../support/mod.rs"]
mod support;

mod driving;
mod exploring;
mod faults;
mod patterns;
mod replay;
mod restarts;
mod retries;
mod threads;
mod timers;
mod town;
