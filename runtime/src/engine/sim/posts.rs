//! The messages on their way, by the address of their node.
//!
//! Gives up: entries of messages that were buried. Their addresses are used again, and the next message there replaces them.

use crate::kernel::watch::ActorId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Post {
    pub(super) number: u64,
    pub(super) from: Option<ActorId>,
}

/// Addresses of nodes are spread by one multiplication.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// A map by numbers. Nothing that happens may follow its order.
pub(super) type ByNumber<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;
