//! What is built of actors, on the public surface: whoever wants it otherwise can write it anew.

mod circuit_breaker;
mod stash;
mod topic;

pub use circuit_breaker::{
    CircuitAsk, CircuitBreaker, CircuitBreakerBuilder, CircuitCounters, CircuitPermit, CircuitState,
};
pub use stash::Stash;
pub use topic::Topic;
