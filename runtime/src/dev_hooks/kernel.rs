//! The kernel's parts.
