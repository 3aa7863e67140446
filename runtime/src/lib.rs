//! cuelight.
#![allow(dead_code)]
mod kernel;
mod sync;
