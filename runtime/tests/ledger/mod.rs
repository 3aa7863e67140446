//! What tests share that keep their own books: the books, those who send, and how runs go.

#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod books;
pub(crate) mod runs;
pub(crate) mod sender;
