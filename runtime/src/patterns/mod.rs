//! What is built of actors, on the public surface: whoever wants it otherwise can write it anew.

mod circuit_breaker;
mod pool;
mod stash;
mod topic;

pub use circuit_breaker::{
    CircuitAsk, CircuitBreaker, CircuitBreakerBuilder, CircuitCounters, CircuitPermit, CircuitState,
};
pub use pool::{Pool, PoolBuilder, PoolStatus, Routing};
pub use stash::Stash;
pub use topic::Topic;
