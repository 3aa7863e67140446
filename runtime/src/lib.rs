//! cuelight.
