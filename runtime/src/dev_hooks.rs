//! What models and benches may reach. No part of the public surface; may change at any time.

/// The memory that models see.
pub mod sync {
    pub use crate::sync::*;
}
