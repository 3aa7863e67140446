//! Time: a clock, a wheel of timers, and the driver that the workers share.
//!
//! Promise: a timer never fires early, and when somebody polls, at most one tick of a millisecond late. Inserting and
//! cancelling cost the same however many timers there are. No thread of its own: whoever is awake polls, and whoever
//! sleeps does so until [`Driver::next_deadline`] at most.
//!
//! How: [`Clock`] is the only place that reads the time; [`Driver`] keeps a [`Wheel`] under a lock and the wheel's next
//! deadline beside it, so that a poll with nothing due is one load.
//!
//! Gives up: resolution below a millisecond, and deadlines beyond 584 years, which never come.

mod clock;
mod driver;
mod wheel;

pub(crate) use clock::{Clock, Tick, nanoseconds};
pub(crate) use driver::Driver;
pub use std::time::Instant;
pub(crate) use wheel::Key;
