//! Messages that are kept for later by an actor that tries some again.

use crate::support::restarts::at_once;
use crate::support::stage::{Engine, Stage, contract};
use crate::support::{Count, Log};
use cuelight::{Actor, Context, Handler, Stash};

contract! {
    what_is_tried_again_stays_first,
}

/// Tries what fails again, and keeps what comes meanwhile.
struct Stubborn {
    log: Log,
    stash: Stash<u64>,
    tries: Count,
}

impl Actor for Stubborn {}

/// Fails until it has been tried so often.
#[derive(Clone)]
struct Try(u64);

impl Handler<Try> for Stubborn {
    type Reply = ();

    fn handle(&mut self, Try(wanted): Try, ctx: &mut Context<Self>) {
        self.tries.add(1);
        self.log.line(format!("s try {}", self.tries.get()));
        if self.tries.get() == 2 {
            self.stash.keep(100, ctx).expect("a stash without a bound");
            ctx.put_back([50_u64]);
        }
        assert!(self.tries.get() >= wanted, "meant");
        self.stash.unstash_all(ctx);
    }
}

impl Handler<u64> for Stubborn {
    type Reply = ();

    fn handle(&mut self, n: u64, ctx: &mut Context<Self>) {
        if self.tries.get() == 0 {
            self.stash.keep(n, ctx).expect("a stash without a bound");
        } else {
            self.log.line(format!("s gets {n}"));
        }
    }
}

fn what_is_tried_again_stays_first(on: Engine) {
    for (most, poisoned) in [(5, false), (2, true)] {
        let stage = Stage::new(on);
        let (log, tries) = (stage.log.clone(), Count::default());
        let factory = move || Stubborn { log: log.clone(), stash: Stash::new(), tries: tries.clone() };
        let s = stage.actor(factory).retry::<Try>(most).restart(at_once()).spawn().unwrap();
        s.send_all([1_u64, 2]).unwrap();
        s.tell(Try(4)).unwrap();
        s.tell(3_u64).unwrap();
        let last = if poisoned { 3 } else { 4 };
        let mut wanted: Vec<String> = (1..=last).map(|n| format!("try {n}")).collect();
        wanted.extend(["50", "100", "1", "2", "3"].map(|n| format!("gets {n}")));
        stage.log.expect("s", &wanted);
        let counters = stage.counters();
        assert_eq!((counters.dead_lettered, counters.restarts), (u64::from(poisoned), last - u64::from(!poisoned)));
        stage.end();
    }
}
