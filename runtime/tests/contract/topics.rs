//! Topics: who gets what is published, in which order, and who is forgotten.

use crate::support::puppet::{Puppet, run};
use crate::support::stage::{Engine, Stage, contract, threads_contract};
use crate::support::{Log, eventually, quiet_panics, scaled};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, TellError, Topic};
use std::thread;

contract! {
    all_subscribers_get_it_in_order,
    who_has_ended_is_forgotten,
    subscribed_once,
    a_clone_that_panics_loses_one_message,
    it_ends_with_its_parent,
    stop_and_drain,
    its_end_is_watched,
}

threads_contract! {
    order_for_each_publisher,
}

fn news(stage: &Stage) -> Topic<u64> {
    Topic::spawn(stage).expect("a topic")
}

#[track_caller]
fn count(topic: &Topic<u64>, wanted: usize) {
    eventually(&format!("{wanted} subscribers"), || topic.subscribers().wait() == Ok(wanted));
}

fn all_subscribers_get_it_in_order(on: Engine) {
    let stage = Stage::new(on);
    let (news, late) = (news(&stage), stage.puppet("late"));
    let names = ["a", "b", "c"];
    let early: Vec<ActorRef<Puppet>> = names.iter().map(|name| stage.puppet(name)).collect();
    // Nobody hears it, and nothing is lost for the books.
    news.publish(0).unwrap();
    for puppet in &early {
        news.subscribe(puppet).unwrap();
    }
    (1..=5).for_each(|n| news.publish(n).unwrap());
    news.subscribe(&late).unwrap();
    news.unsubscribe(&early[1]).unwrap();
    (6..=7).for_each(|n| news.publish(n).unwrap());
    let gets = |from: u64, to: u64| -> Vec<String> {
        ["starts".to_owned()].into_iter().chain((from..=to).map(|n| format!("gets {n}"))).collect()
    };
    for name in ["a", "c"] {
        stage.log.expect(name, &gets(1, 7));
    }
    stage.log.expect("late", &gets(6, 7));
    stage.log.expect("b", &gets(1, 5));
    count(&news, 3);
    let counters = stage.counters();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 0), "{counters}");
    stage.end();
}

fn who_has_ended_is_forgotten(on: Engine) {
    let stage = Stage::new(on);
    let news = news(&stage);
    let (a, b, c) = (stage.puppet("a"), stage.puppet("b"), stage.puppet("c"));
    for puppet in [&a, &b, &c] {
        news.subscribe(puppet).unwrap();
    }
    count(&news, 3);
    a.stop();
    b.tell(run(|_, _| panic!("meant"))).unwrap();
    count(&news, 1);
    // Whoever had ended before is forgotten, too.
    news.subscribe(&a).unwrap();
    count(&news, 1);
    news.publish(1).unwrap();
    stage.log.expect("c", &["starts", "gets 1"]);
    stage.end();
}

fn subscribed_once(on: Engine) {
    let stage = Stage::new(on);
    let (news, a) = (news(&stage), stage.puppet("a"));
    news.unsubscribe(&a).unwrap();
    for _ in 0..3 {
        news.subscribe(&a).unwrap();
    }
    assert_eq!(news.clone().subscribers().wait(), Ok(1));
    news.publish(1).unwrap();
    news.unsubscribe(&a).unwrap();
    news.unsubscribe(&a).unwrap();
    assert_eq!(news.subscribers().wait(), Ok(0));
    news.subscribe(&a).unwrap();
    news.publish(2).unwrap();
    stage.log.expect("a", &["starts", "gets 1", "gets 2"]);
    stage.end();
}

/// Its clone panics, if it is to.
struct Brittle(u64, bool);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        assert!(!self.1, "meant");
        Self(self.0, self.1)
    }
}

struct Screen(&'static str, Log);

impl Actor for Screen {}

impl Handler<Brittle> for Screen {
    type Reply = ();

    fn handle(&mut self, Brittle(n, _): Brittle, _: &mut Context<Self>) {
        self.1.line(format!("{} {n}", self.0));
    }
}

fn a_clone_that_panics_loses_one_message(on: Engine) {
    quiet_panics();
    let stage = Stage::new(on);
    let topic = Topic::<Brittle>::spawn(&stage).unwrap();
    let (a, b) = (stage.spawn(Screen("a", stage.log.clone())), stage.spawn(Screen("b", stage.log.clone())));
    topic.subscribe(&a).unwrap();
    topic.subscribe(&b).unwrap();
    for n in 0..6 {
        topic.publish(Brittle(n, n % 2 == 1)).unwrap();
    }
    assert_eq!(topic.subscribers().wait(), Ok(2));
    stage.log.expect("a", &["0", "2", "4"]);
    stage.log.expect("b", &["0", "2", "4"]);
    // Its watches have stayed.
    a.stop();
    eventually("one subscriber", || topic.subscribers().wait() == Ok(1));
    assert_eq!(stage.end().restarts, 3);
}

fn it_ends_with_its_parent(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let place = crate::support::Shared::new(None);
    let put = place.clone();
    a.ask(run(move |_, ctx| {
        let topic = Topic::<u64>::spawn_child(ctx).expect("a topic");
        put.with(|place| *place = Some(topic));
    }))
    .wait()
    .unwrap();
    let topic = place.get().expect("a topic");
    topic.subscribe(&a).unwrap();
    topic.publish(1).unwrap();
    stage.log.until("a gets 1");
    a.stop();
    eventually("an end", || topic.is_stopped());
    stage.living(0);
    assert_eq!(topic.publish(2), Err(TellError::Stopped(2)));
    stage.end();
}

fn stop_and_drain(on: Engine) {
    let stage = Stage::new(on);
    let (one, other, a) = (news(&stage), news(&stage), stage.puppet("a"));
    assert_ne!(one.id(), other.id());
    one.subscribe(&a).unwrap();
    (0..100).for_each(|n| one.publish(n).unwrap());
    one.drain();
    assert_eq!(one.publish(100), Err(TellError::Stopped(100)));
    assert_eq!(one.subscribe(&a), Err(TellError::Stopped(())));
    stage.log.until("a gets 99");
    other.stop();
    eventually("an end", || other.is_stopped());
    assert_eq!(other.subscribers().wait(), Err(AskError::Stopped));
    stage.end();
    assert!(Topic::<u64>::spawn(&Stage::new(on).system).is_ok());
}

fn its_end_is_watched(on: Engine) {
    let stage = Stage::new(on);
    let (news, a) = (news(&stage), stage.puppet("a"));
    let watched = news.clone();
    a.ask(run(move |_, ctx| watched.watch(ctx))).wait().unwrap();
    news.stop();
    stage.log.until(&format!("a hears of {}: stopped", news.id()));
    stage.end();
}

/// Checks the order of each publisher.
struct Judge(Vec<u64>, Log);

impl Actor for Judge {}

impl Handler<(usize, u64)> for Judge {
    type Reply = ();

    fn handle(&mut self, (publisher, n): (usize, u64), _: &mut Context<Self>) {
        if self.0[publisher] != n {
            self.1.line(format!("{publisher}: {n} instead of {}", self.0[publisher]));
        }
        self.0[publisher] = n + 1;
    }
}

struct Sum;

impl Handler<Sum> for Judge {
    type Reply = u64;

    fn handle(&mut self, Sum: Sum, _: &mut Context<Self>) -> u64 {
        self.0.iter().sum()
    }
}

fn order_for_each_publisher(on: Engine) {
    let stage = Stage::new(on);
    let topic = Topic::<(usize, u64)>::spawn(&stage).unwrap();
    let judges = [(); 3].map(|()| stage.spawn(Judge(vec![0; 3], stage.log.clone())));
    for judge in &judges {
        topic.subscribe(judge).unwrap();
    }
    assert_eq!(topic.subscribers().wait(), Ok(3));
    let each = scaled(2_000, 100);
    let threads: Vec<_> = (0..3)
        .map(|publisher| {
            let topic = topic.clone();
            thread::spawn(move || (0..each).for_each(|n| topic.publish((publisher, n)).unwrap()))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a publisher");
    }
    topic.drain();
    stage.living(3);
    for judge in &judges {
        assert_eq!(judge.ask(Sum).wait(), Ok(3 * each));
    }
    assert_eq!(stage.log.lines(), Vec::<String>::new());
    let counters = stage.counters();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 0), "{counters}");
    stage.end();
}
