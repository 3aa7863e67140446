//! Counts the words of many texts. Here is what knows nothing of actors.

pub mod args;
pub mod document;
pub mod pieces;
pub mod tally;
pub mod text;
