//! Whole systems in thousands of schedules: under shuttle by `.ci/shuttle`, a few runs on real threads without it.
#![cfg(not(loom))]

mod canary;
mod ends;
mod lives;
mod messages;
mod support;
mod timers;
