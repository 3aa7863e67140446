//! What the larger examples are made of; each program is under `src/bin`.

pub mod kv;
pub mod wordcount;
