//! What models and benches may reach. No part of the public surface; may change at any time.

pub use crate::sync;
