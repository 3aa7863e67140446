//! The public counters against the books of a run under chaos.

use crate::ledger::books::{Ledger, Sums, Tally};
use cuelight::Counters;

/// What the public books said when nothing went on any more, and how many notices had been sent by then.
pub(crate) struct Peace {
    sent: u64,
    notices: u64,
}

/// Holds the books against each other while nothing goes on, before the shutdown: the listener has seen all. What they do not
/// agree on may be on its way from one to the other.
pub(crate) fn audit_in_peace(ledger: &Ledger, counters: &Counters) -> Result<Peace, String> {
    let Sums { messages, continuations, timers, copies, returned, .. } = ledger.sums();
    let [handled_notices, lost_notices, restarted, lost] =
        [Tally::Notices, Tally::LostNotices, Tally::Restarted, Tally::Lost].map(|tally| ledger.get(tally));
    // What was handled without a handler: continuations of actors that have been restarted since, and timers' messages that
    // were queued when they were taken back, by hand or by a restart. Only of the last the books do not tell how many.
    let handled =
        messages.handled + copies.handled + continuations.handled + timers.handled + handled_notices + restarted;
    let silent = counters.handled.wrapping_sub(handled);
    let lost_continuations = continuations.unhandled.wrapping_sub(restarted);
    let (notices, fired) = (handled_notices + lost_notices, timers.handled + timers.letters + silent);
    for (what, public, own) in [
        ("messages returned", counters.returned, returned),
        ("letters", counters.dead_lettered, lost),
        ("lost messages", messages.letters, messages.unhandled - returned),
        ("lost", lost, messages.letters + copies.letters + lost_continuations + timers.letters + lost_notices),
        ("silent timers", silent, silent.min(timers.made - timers.handled - timers.letters)),
        ("sent", counters.sent, messages.made + copies.handled + copies.letters + continuations.made + fired + notices),
    ] {
        if public != own {
            return Err(format!("{what}: {public} and {own}; {counters}"));
        }
    }
    Ok(Peace { sent: counters.sent, notices })
}

/// Holds the books against each other after the shutdown. `traps`: whether some were told of the ends of those that they were
/// linked with.
pub(crate) fn audit(ledger: &Ledger, counters: &Counters, peace: Option<&Peace>, traps: bool) {
    let Sums { messages, continuations, timers, copies, returned, cancelled } = ledger.sums();
    let get = |tally| ledger.get(tally);
    let lost = messages.unhandled - returned;
    println!(
        "  {} messages, {} handled, {returned} returned, {lost} lost ({} seen); {} copies, {} handled; {} continuations, {} handled; {} timers, {} \
         handled, {cancelled} cancelled; {} watches, {} notices; {} kills, {} panics, {} restarts; {} timeouts, {} late replies",
        messages.made,
        messages.handled,
        messages.letters,
        copies.made,
        copies.handled,
        continuations.made,
        continuations.handled,
        timers.made,
        timers.handled,
        get(Tally::Watches),
        get(Tally::Notices),
        get(Tally::Kills),
        get(Tally::Panics),
        counters.restarts,
        get(Tally::Timeouts),
        counters.late_replies
    );
    assert_eq!(get(Tally::Errors), 0, "errors were printed above");
    let happened = [counters.restarts, get(Tally::Panics), cancelled];
    assert!(happened.iter().all(|&count| count > 0), "no chaos: {happened:?}");
    assert_eq!(get(Tally::ReceiptsMade), get(Tally::ReceiptsDropped));
    assert_eq!(counters.returned, returned, "{counters}");
    let handled = messages.handled + copies.handled + continuations.handled + timers.handled + get(Tally::Notices);
    let silent = continuations.made - continuations.handled + timers.made - timers.handled;
    assert!((handled..=handled + silent).contains(&counters.handled), "{handled}, {silent}: {counters}");
    assert!(counters.dead_lettered >= lost, "{lost}: {counters}");
    let least = messages.made + copies.handled + continuations.made + timers.handled + get(Tally::Watches);
    assert!(counters.sent >= least, "{least}: {counters}");
    if let Some(Peace { sent, notices }) = peace {
        // Nothing but notices was sent since: one in all for each watch, and those of links.
        let told = notices + (counters.sent - sent);
        let watches = get(Tally::Watches);
        assert!(told == watches || (traps && told > watches), "{told} notices of {watches} watches");
    }
}
