//! Links: who is linked ends together, or is told, once.

use crate::support::puppet::{ENDS, Puppet, run};
use crate::support::stage::{Engine, Stage, contract, hold};
use crate::support::{eventually, scaled};
use cuelight::ActorRef;

contract! {
    whatever_the_reason,
    in_both_directions,
    many_in_a_ring,
    with_one_that_has_ended,
    trapped_is_told,
    trapped_is_told_once,
    trapped_no_more,
    unlinked,
    with_oneself,
    a_parent_with_its_child,
    across_systems,
    links_race_with_ends,
}

#[track_caller]
fn link(a: &ActorRef<Puppet>, b: &ActorRef<Puppet>) {
    let b = b.clone();
    a.ask(run(move |_, ctx| ctx.link(&b))).wait().expect("a link");
}

#[track_caller]
fn trap(a: &ActorRef<Puppet>, trap: bool) {
    a.ask(run(move |_, ctx| ctx.trap_links(trap))).wait().expect("running");
}

fn whatever_the_reason(on: Engine) {
    for end in ENDS {
        let stage = Stage::new(on);
        let (a, b) = (stage.puppet("a"), stage.puppet("b"));
        link(&a, &b);
        end(&b);
        stage.log.expect("a", &["starts", "stops: linked actor ended", "drops"]);
        stage.living(0);
        stage.end();
    }
}

fn in_both_directions(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    link(&a, &b);
    link(&b, &a);
    // The one that asked for the link ends.
    a.stop();
    stage.log.expect("b", &["starts", "stops: linked actor ended", "drops"]);
    stage.end();
}

fn many_in_a_ring(on: Engine) {
    let stage = Stage::new(on);
    let ring: Vec<_> = (0..100).map(|_| stage.puppet("a")).collect();
    for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        link(a, b);
    }
    assert_eq!(stage.counters().live_actors, 100);
    ring[50].stop();
    stage.living(0);
    stage.end();
}

fn with_one_that_has_ended(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    c.stop();
    stage.living(2);
    trap(&b, true);
    link(&b, &c);
    stage.log.expect("b", &["starts".to_owned(), format!("hears of {}: stopped", c.id())]);
    link(&a, &c);
    stage.log.expect("a", &["starts", "stops: linked actor ended", "drops"]);
    stage.living(1);
    stage.end();
}

fn trapped_is_told(on: Engine) {
    let stage = Stage::new(on);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    trap(&a, true);
    link(&a, &b);
    link(&c, &a);
    let to = a.clone();
    let part = move |_: &mut Puppet, _: &mut cuelight::Context<Puppet>| {
        to.tell(1).unwrap();
        panic!("meant: so");
    };
    b.tell(run(part)).unwrap();
    let hears = format!("hears of {}: panicked: meant: so", b.id());
    stage.log.expect("a", &["starts".to_owned(), "gets 1".to_owned(), hears]);
    // It ends by itself, and that is no trap for the others.
    a.stop();
    stage.log.expect("c", &["starts", "stops: linked actor ended", "drops"]);
    stage.living(0);
    stage.end();
}

fn trapped_is_told_once(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    trap(&a, true);
    trap(&a, true);
    link(&a, &b);
    link(&b, &a);
    link(&a, &b);
    b.stop();
    stage.log.expect("a", &["starts".to_owned(), format!("hears of {}: stopped", b.id())]);
    stage.living(1);
    stage.quiet();
    assert_eq!(stage.log.of("a").len(), 2);
    // After the end each link is told at once.
    link(&a, &b);
    eventually("another one", || stage.log.of("a").len() == 3);
    let counters = stage.end();
    assert_eq!(counters.dead_lettered, 0);
}

fn trapped_no_more(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    trap(&a, true);
    link(&a, &b);
    trap(&a, false);
    b.stop();
    stage.log.expect("a", &["starts", "stops: linked actor ended", "drops"]);
    stage.end();
}

fn unlinked(on: Engine) {
    let stage = Stage::new(on);
    for by_a in [true, false] {
        let (a, b) = (stage.puppet("a"), stage.puppet("b"));
        link(&a, &b);
        let (by, from) = if by_a { (&a, b.clone()) } else { (&b, a.clone()) };
        by.ask(run(move |_, ctx| {
            ctx.unlink(&from);
            ctx.unlink(&from);
        }))
        .wait()
        .unwrap();
        b.stop();
        stage.living(1);
        assert_eq!(a.ask(1).wait(), Ok(2));
        a.stop();
        stage.living(0);
    }
    stage.end();
}

fn with_oneself(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    link(&a, &a);
    let me = a.clone();
    a.ask(run(move |_, ctx| ctx.unlink(&me))).wait().unwrap();
    link(&a, &a);
    a.stop();
    stage.log.expect("a", &["starts", "stops: stopped", "drops"]);
    stage.end();
}

fn a_parent_with_its_child(on: Engine) {
    let stage = Stage::new(on);
    for by_child in [true, false] {
        let a = stage.puppet("a");
        let part = move |this: &mut Puppet, ctx: &mut cuelight::Context<Puppet>| {
            let child = ctx.spawn(this.other("c"));
            ctx.link(&child);
            if by_child { child.stop() } else { ctx.stop() }
        };
        a.tell(run(part)).unwrap();
        stage.living(0);
    }
    let lines = stage.log.of("a");
    assert_eq!(lines, ["starts", "stops: linked actor ended", "drops", "starts", "stops: stopped", "drops"]);
    stage.end();
}

fn across_systems(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, b, c) = (stage.puppet("a"), other.puppet("b"), stage.puppet("c"));
    link(&a, &b);
    trap(&c, true);
    link(&c, &b);
    other.end();
    stage.log.expect("a", &["starts", "stops: linked actor ended", "drops"]);
    stage.log.expect("c", &["starts".to_owned(), format!("hears of {}: system shut down", b.id())]);
    stage.end();
}

fn links_race_with_ends(on: Engine) {
    let stage = Stage::new(on);
    for round in 0..scaled(300, 20) {
        let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
        let held = (round % 3 == 0).then(|| hold(&b));
        for (from, to) in [(&a, &b), (&b, &c), (&c, &a), (&b, &a)] {
            let to = to.clone();
            let _ = from.tell(run(move |_, ctx| ctx.link(&to)));
        }
        match round % 4 {
            0 => [&a, &b, &c].map(ActorRef::stop),
            1 => [&c, &a, &b].map(ActorRef::drain),
            2 => [&b, &c, &a].map(ActorRef::stop),
            _ => [&a, &b, &c].map(|each| drop(each.tell(run(|_, _| panic!("meant: so"))))),
        };
        drop(held);
    }
    stage.living(0);
    stage.end();
}
