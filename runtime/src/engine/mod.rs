//! Who runs next, and what a system is below its public face.

mod bounded;
pub(crate) mod config;
pub(crate) mod core;
pub(crate) mod letters;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod overrun;
pub(crate) mod report;
pub(crate) mod roots;
pub(crate) mod sim;
pub(crate) mod snapshot;
pub(crate) mod threads;
