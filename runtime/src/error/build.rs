//! The error of whoever builds a system or a simulation.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a system could not be built.
///
/// # Examples
/// ```
/// let error = cuelight::System::builder().workers(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "0 workers: at least 1 and at most 1024 are allowed");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// No workers, or absurdly many.
    Workers {
        /// The number that was asked for.
        asked: usize,
        /// The largest number that is allowed.
        most: usize,
    },
    /// A budget of nothing: no actor would ever handle a message.
    ZeroBudget {
        /// Which part of the budget.
        part: &'static str,
    },
    /// A watchdog whose threshold is too short to be looked at, or longer than anybody waits.
    Threshold {
        /// The threshold that was asked for.
        asked: Duration,
        /// The shortest that is allowed.
        least: Duration,
        /// The longest that is allowed.
        most: Duration,
    },
    /// A memory alarm whose limit idle threads reach by themselves, or no process.
    MemoryLimit {
        /// The bytes that were asked for.
        asked: u64,
        /// The lowest limit that is allowed.
        least: u64,
        /// The highest that is allowed.
        most: u64,
    },
    /// A rate of faults that is no probability.
    Rate {
        /// Of which fault.
        what: &'static str,
        /// The rate that was asked for.
        asked: f64,
    },
    /// A simulated clock that begins too near its end.
    ClockStart {
        /// The time that was asked for.
        asked: Duration,
        /// The latest that is allowed.
        most: Duration,
    },
    /// A name with a zero byte, which no thread can bear.
    Name {
        /// The name that was asked for.
        asked: String,
    },
    /// A list of CPUs that cannot be used; the text names the CPU and those that are allowed.
    Cpus {
        /// What is wrong with it.
        why: String,
    },
    /// The operating system gave no thread.
    Thread {
        /// Its error.
        error: io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers { asked, most } => {
                write!(f, "{asked} workers: at least 1 and at most {most} are allowed")
            }
            Self::ZeroBudget { part } => write!(f, "a budget of zero {part}: at least one is needed"),
            Self::Threshold { asked, least, most } => {
                write!(f, "a watchdog's threshold of {asked:?}: {least:?} to {most:?} are allowed")
            }
            Self::MemoryLimit { asked, least, most } => {
                write!(f, "a memory alarm at {asked} bytes: {least} to {most} are allowed")
            }
            Self::Rate { what, asked } => write!(f, "a rate of {asked} for {what}: from 0 to 1 is allowed"),
            Self::ClockStart { asked, most } => {
                write!(f, "a clock that starts at {asked:?}: at most {most:?} is allowed")
            }
            Self::Name { asked } => write!(f, "the name {asked:?} contains a zero byte"),
            Self::Cpus { why } => f.write_str(why),
            Self::Thread { error } => write!(f, "a worker thread could not be started: {error}"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread { error } => Some(error),
            _ => None,
        }
    }
}
