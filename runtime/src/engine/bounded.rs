//! Sends to actors whose mailbox has a bound.

use super::threads::worker::current;
use crate::kernel::credits::Credits;
use crate::kernel::parcel::{AnyMessage, Parcel};

/// Counts and sends a message, as [`super::core::send`].
#[cold]
#[inline(never)]
pub(super) fn send<'a>(parcel: Parcel<'a, AnyMessage>, credits: &Credits) -> Result<(), Parcel<'a, AnyMessage>> {
    let hub = parcel.to().header().hub();
    current(|worker| match worker {
        Some(worker) if worker.is_of(hub.address()) => {
            worker.metrics().sent.add(1);
            if let Some(runnable) = parcel.send_bounded(credits, Some(worker.slot()))? {
                worker.push(runnable);
            }
            Ok(())
        }
        _ => {
            hub.count_sent(1);
            if !hub.admits() {
                return Err(parcel);
            }
            if let Some(runnable) = parcel.send_bounded(credits, None)? {
                hub.schedule(runnable);
            }
            Ok(())
        }
    })
}
