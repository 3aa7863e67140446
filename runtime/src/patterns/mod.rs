//! What is built of actors, on the public surface: whoever wants it otherwise can write it anew.

mod stash;

pub use stash::Stash;
