//! Where panics of user code end.
//!
//! Promise: nothing that a piece of user code panics with gets past [`guarded`], nor what the drop of that panics with in
//! turn: a worker outlives both. How: one `catch_unwind` around the code, and one around each drop. Gives up: a chain of
//! such drops that panic is cut off after [`DROPS`], and its end is leaked.

use crate::sync::Text;
use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops of what drops have panicked with.
const DROPS: usize = 8;

/// Runs a piece of user code. Returns the text that it panicked with, if it did.
#[inline(always)]
pub(crate) fn guarded<R>(code: impl FnOnce() -> R) -> Result<R, Text> {
    catch_unwind(AssertUnwindSafe(code)).map_err(text_of)
}

#[cold]
#[inline(never)]
fn text_of(payload: Box<dyn Any + Send>) -> Text {
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str().into()
    } else {
        "a panic without a text".into()
    };
    let mut left = Some(payload);
    for _ in 0..DROPS {
        left = left.and_then(|payload| catch_unwind(AssertUnwindSafe(|| drop(payload))).err());
    }
    forget(left);
    text
}
