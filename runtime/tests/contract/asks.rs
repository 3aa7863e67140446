//! Asks from outside: one outcome each, whatever becomes of the actor, the reply, the asker or the system.

use crate::support::puppet::{Keep, Puppet, Token, run};
use crate::support::stage::{Engine, Stage, contract, end, hold, threads_contract};
use crate::support::{Count, Counted, Gate, LIMIT, Shared, block_on, detach, eventually};
use cuelight::{Actor, ActorRef, Ask, AskError, Context, Handler, ReplyTo};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

contract! {
    are_answered,
    are_sent_when_they_are_made,
    fail_when_the_actor_has_stopped,
    fail_when_the_reply_is_dropped,
    fail_when_the_handler_panics,
    would_deadlock_on_a_worker,
    would_deadlock_on_any_systems_worker,
    may_be_dropped,
    late_replies_are_counted,
    late_replies_go_nowhere_else,
    are_forwarded,
    are_answered_out_of_order,
    change_their_waker,
    wake_once_polled_late,
    carry_large_and_aligned_things,
    outlive_their_system,
    outlive_their_system_while_polled,
}

threads_contract! {
    fail_when_the_mailbox_closes,
    time_out_while_waiting,
    time_out_while_polled,
    of_no_time_and_of_all_time,
    are_answered_by_other_threads,
    are_answered_while_polled,
    move_between_threads,
    many_at_once,
    race_with_their_end,
}

fn are_answered(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    assert_eq!(a.ask(21).wait(), Ok(42));
    assert_eq!(a.ask(1).timeout(LIMIT).wait(), Ok(2));
    assert_eq!(block_on(a.ask(2)), Ok(4));
    assert_eq!(block_on(a.ask(3).timeout(LIMIT)), Ok(6));
    let asked = a.ask_with(Keep);
    a.tell(run(|this, _| this.replies.remove(0).send(7))).unwrap();
    assert_eq!(asked.wait(), Ok(7));
    let counters = stage.end();
    assert_eq!((counters.sent, counters.handled, counters.late_replies), (6, 6, 0));
}

fn are_sent_when_they_are_made(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let asked = a.ask(1);
    stage.log.expect("a", &["starts", "gets 1"]);
    assert!(format!("{asked:?}").starts_with("Ask(to #"));
    assert_eq!(asked.wait(), Ok(2));
    stage.end();
}

fn fail_when_the_actor_has_stopped(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    a.stop();
    stage.living(0);
    assert_eq!(a.ask(1).wait(), Err(AskError::Stopped));
    assert_eq!(a.ask_with(Keep).wait(), Err(AskError::Stopped));
    assert_eq!(block_on(a.ask(1)), Err(AskError::Stopped));
    assert_eq!(a.ask(Token::new(1, &drops)).timeout(Duration::ZERO).wait().unwrap_err(), AskError::Stopped);
    assert_eq!(drops.get(), 1);
    let counters = stage.end();
    assert_eq!((counters.sent, counters.dead_lettered, counters.returned), (4, 4, 0));
}

fn fail_when_the_mailbox_closes(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    let polled = thread::spawn({
        let a = a.clone();
        move || block_on(a.ask(1))
    });
    let asked: Vec<_> = (0..100).map(|n| a.ask(Token::new(n, &drops))).collect();
    let with = a.ask_with(Keep);
    eventually("the other thread asks", || stage.counters().sent == 103);
    a.stop();
    drop(held);
    for each in asked {
        assert_eq!(each.wait().unwrap_err(), AskError::Stopped);
    }
    assert_eq!(with.wait(), Err(AskError::Stopped));
    assert_eq!(polled.join().unwrap(), Err(AskError::Stopped));
    drops.reaches(100);
    stage.end();
}

fn fail_when_the_reply_is_dropped(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let asked = a.ask_with(Keep);
    a.tell(run(|this, _| this.replies.clear())).unwrap();
    assert_eq!(asked.wait(), Err(AskError::NoReply));
    // With the state that keeps it.
    let asked = a.ask_with(Keep);
    a.drain();
    assert_eq!(block_on(asked), Err(AskError::NoReply));
    stage.end();
}

fn fail_when_the_handler_panics(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    assert_eq!(a.ask(run(|_, _| panic!("meant"))).wait(), Err(AskError::Panicked));
    // A reply that the handler has taken with it is dropped on the way.
    let asked = b.ask_with(|reply: ReplyTo<u64>| {
        run(move |_, _| {
            let _reply = reply;
            panic!("meant");
        })
    });
    assert_eq!(asked.wait(), Err(AskError::NoReply));
    stage.end();
}

fn time_out_while_waiting(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let begin = Instant::now();
    let time = Duration::from_millis(20);
    assert_eq!(a.ask(1).timeout(time).wait(), Err(AskError::Timeout));
    assert!(begin.elapsed() >= time, "early");
    drop(held);
    // It is handled all the same.
    stage.log.expect("a", &["starts", "gets 1"]);
    eventually("the late reply counts", || stage.counters().late_replies == 1);
    stage.end();
}

fn time_out_while_polled(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let begin = Instant::now();
    let time = Duration::from_millis(20);
    // The reply is kept: the workers sleep, and must be up in time.
    assert_eq!(block_on(a.ask_with(Keep).timeout(time)), Err(AskError::Timeout));
    assert!(begin.elapsed() >= time, "early");
    // Once more after a long sleep, and with the workers busy.
    let spin = Gate::default();
    fn again(this: &mut Puppet, ctx: &mut Context<Puppet>, stop: Gate) {
        let _ = this;
        if !stop.is_open() {
            ctx.me().tell(run(move |this, ctx| again(this, ctx, stop))).unwrap();
        }
    }
    for _ in 0..on.workers() {
        let spin = spin.clone();
        stage.puppet("s").tell(run(move |this, ctx| again(this, ctx, spin))).unwrap();
    }
    assert_eq!(block_on(a.ask_with(Keep).timeout(time)), Err(AskError::Timeout));
    spin.open();
    stage.end();
}

fn of_no_time_and_of_all_time(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    assert_eq!(a.ask(1).timeout(Duration::ZERO).wait(), Err(AskError::Timeout));
    assert_eq!(block_on(a.ask(2).timeout(Duration::ZERO)), Err(AskError::Timeout));
    assert_eq!(block_on(a.ask(3).timeout(Duration::from_nanos(1))), Err(AskError::Timeout));
    let for_ever = a.ask(4).timeout(Duration::MAX);
    let polled = a.ask(5).timeout(Duration::MAX);
    // The last one counts.
    let changed = a.ask(6).timeout(Duration::ZERO).timeout(LIMIT);
    drop(held);
    assert_eq!(for_ever.wait(), Ok(8));
    assert_eq!(block_on(polled), Ok(10));
    assert_eq!(changed.wait(), Ok(12));
    stage.end();
}

fn would_deadlock_on_a_worker(on: Engine) {
    let stage = Stage::new(on);
    let (a, b) = (stage.puppet("a"), stage.puppet("b"));
    // It answers when nobody waits any more, on whichever worker.
    let held = (on.workers() > 1).then(|| hold(&b));
    let to = b.clone();
    let part = move |this: &mut Puppet, ctx: &mut Context<Puppet>| {
        this.says(to.ask(1).wait().unwrap_err());
        this.says(format_args!("{:?}", ctx.me().ask(2).timeout(Duration::MAX).wait()));
    };
    a.ask(run(part)).wait().unwrap();
    drop(held);
    let wanted = [
        "starts",
        "a worker, or the asked actor's own thread, must not wait for a reply",
        "Err(WouldDeadlock)",
        "gets 2",
    ];
    stage.log.expect("a", &wanted);
    // The messages went out.
    stage.log.expect("b", &["starts", "gets 1"]);
    eventually("both replies are late", || stage.counters().late_replies == 2);
    stage.end();
}

fn would_deadlock_on_any_systems_worker(on: Engine) {
    let (stage, other) = (Stage::new(on), Stage::new(on));
    let (a, b) = (stage.puppet("a"), other.puppet("b"));
    let result = Shared::new(None);
    let place = result.clone();
    a.ask(run(move |_, _| place.with(|place| *place = Some(b.ask(1).wait())))).wait().unwrap();
    assert_eq!(result.get(), Some(Err(AskError::WouldDeadlock)));
    stage.end();
    other.end();
}

fn may_be_dropped(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let held = hold(&a);
    for n in 0..10 {
        drop(a.ask(Token::new(n, &drops)));
        // Polled before, so that a waker is there.
        let mut asked = pin!(a.ask(Token::new(n, &drops)).timeout(LIMIT));
        assert!(asked.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
    }
    drop(held);
    // Request and reply are one token here.
    drops.reaches(20);
    eventually("all are late", || stage.counters().late_replies == 20);
    // Answered before it is dropped: not late.
    let asked = a.ask(Token::new(20, &drops));
    a.ask(0).wait().unwrap();
    drop(asked);
    drops.reaches(21);
    assert_eq!(stage.end().late_replies, 20);
}

fn late_replies_are_counted(on: Engine) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.puppet("a"), Count::default());
    let replies: Shared<Vec<ReplyTo<Counted>>> = Shared::default();
    for n in 0..10 {
        let put = replies.clone();
        let asked = a.ask_with(|reply| run(move |_, _| put.with(|replies| replies.push(reply))));
        if n % 2 == 0 {
            assert_eq!(asked.timeout(Duration::from_millis(1)).wait().unwrap_err(), AskError::Timeout);
        }
    }
    eventually("ten replies", || replies.with(|replies| replies.len()) == 10);
    for reply in replies.with(std::mem::take) {
        reply.send(Counted(drops.clone()));
    }
    assert_eq!(drops.get(), 10);
    assert_eq!(stage.counters().late_replies, 10);
    stage.end();
}

fn late_replies_go_nowhere_else(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    for n in 0..100 {
        let _ = a.ask(1_000_000 + n).timeout(Duration::ZERO).wait();
        assert_eq!(a.ask(n).wait(), Ok(2 * n));
    }
    stage.end();
}

/// Passes an ask on.
struct Front(ActorRef<Puppet>);

impl Actor for Front {}

impl Handler<Keep> for Front {
    type Reply = ();

    fn handle(&mut self, keep: Keep, _: &mut Context<Self>) {
        self.0.tell(keep).unwrap();
    }
}

fn are_forwarded(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let front = stage.spawn(Front(a.clone()));
    let behind = stage.spawn(Front(a.clone()));
    let (first, second) = (front.ask_with(Keep), behind.ask_with(Keep));
    // The way is over when the last of the two that pass them on has done so.
    eventually("both are kept", || {
        let kept = Shared::new(0);
        let put = kept.clone();
        a.ask(run(move |this, _| put.with(|kept| *kept = this.replies.len()))).wait().unwrap();
        kept.get() == 2
    });
    front.stop();
    behind.stop();
    stage.living(1);
    a.tell(run(|this, _| this.replies.drain(..).for_each(|reply| reply.send(5)))).unwrap();
    assert_eq!((first.wait(), second.wait()), (Ok(5), Ok(5)));
    stage.end();
}

fn are_answered_by_other_threads(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let asked: Vec<Ask<u64>> = (0..20)
        .map(|n| {
            a.ask_with(|reply| {
                run(move |_, _| {
                    detach(thread::spawn(move || reply.send(n)));
                })
            })
        })
        .collect();
    for (n, asked) in (0..).zip(asked) {
        let reply = if n % 2 == 0 { asked.wait() } else { block_on(asked) };
        assert_eq!(reply, Ok(n));
    }
    stage.end();
}

fn are_answered_out_of_order(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let asked: Vec<_> = (0..10).map(|_| a.ask_with(Keep)).collect();
    a.tell(run(|this, _| (0..10).rev().for_each(|n| this.replies.remove(n).send(n as u64)))).unwrap();
    for (n, asked) in (0..).zip(asked) {
        assert_eq!(asked.wait(), Ok(n));
    }
    stage.end();
}

fn are_answered_while_polled(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let a = a.clone();
            thread::spawn(move || block_on(a.ask(n)))
        })
        .collect();
    eventually("all ask", || stage.counters().sent == 5);
    drop(held);
    for (n, thread) in (0..).zip(threads) {
        assert_eq!(thread.join().unwrap(), Ok(2 * n));
    }
    stage.end();
}

/// Counts how often it is woken.
struct Bell(Count);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.add(1);
    }
}

fn bell() -> (Count, Waker) {
    let count = Count::default();
    (count.clone(), Waker::from(Arc::new(Bell(count))))
}

fn poll<R>(asked: &mut Ask<R>, waker: &Waker) -> Poll<Result<R, AskError>> {
    Pin::new(asked).poll(&mut std::task::Context::from_waker(waker))
}

fn change_their_waker(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let mut asked = a.ask(1).timeout(LIMIT);
    let (first, first_waker) = bell();
    let (second, second_waker) = bell();
    for _ in 0..3 {
        assert!(poll(&mut asked, &first_waker).is_pending());
        assert!(poll(&mut asked, &second_waker).is_pending());
    }
    drop(held);
    second.reaches(1);
    assert_eq!(first.get(), 0, "an old waker was woken");
    assert_eq!(poll(&mut asked, &first_waker), Poll::Ready(Ok(2)));
    stage.end();
    assert_eq!((first.get(), second.get()), (0, 1));
}

fn wake_once_polled_late(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let mut asked = a.ask(1);
    let (count, waker) = bell();
    a.ask(2).wait().unwrap();
    // The reply has been there before the first poll: nobody needs to be woken.
    assert_eq!(poll(&mut asked, &waker), Poll::Ready(Ok(2)));
    assert_eq!(count.get(), 0);
    stage.end();
}

fn move_between_threads(on: Engine) {
    let stage = Stage::new(on);
    let a = stage.puppet("a");
    let held = hold(&a);
    let mut asked = a.ask(1);
    assert!(poll(&mut asked, Waker::noop()).is_pending());
    let waiter = thread::spawn(move || asked.wait());
    drop(held);
    assert_eq!(waiter.join().unwrap(), Ok(2));
    stage.end();
}

/// Answers with what it gets.
struct Echo;

impl Actor for Echo {}

macro_rules! echo {
    ($($type:ty),*) => {
        $(impl Handler<$type> for Echo {
            type Reply = $type;

            fn handle(&mut self, message: $type, _: &mut Context<Self>) -> $type {
                message
            }
        })*
    };
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Line(u8);

echo!([u8; 96], [u8; 97], [u8; 100_000], Line, ());

fn carry_large_and_aligned_things(on: Engine) {
    let stage = Stage::new(on);
    let echo = stage.spawn(Echo);
    assert_eq!(echo.ask([1; 96]).wait(), Ok([1; 96]));
    assert_eq!(echo.ask([2; 97]).wait(), Ok([2; 97]));
    assert!(echo.ask([3; 100_000]).wait().unwrap().iter().all(|&byte| byte == 3));
    assert_eq!(echo.ask(Line(4)).wait(), Ok(Line(4)));
    assert_eq!(echo.ask(()).wait(), Ok(()));
    echo.stop();
    stage.living(0);
    assert_eq!(echo.ask([3; 100_000]).wait(), Err(AskError::Stopped));
    assert_eq!(echo.ask(Line(4)).wait(), Err(AskError::Stopped));
    stage.end();
}

fn outlive_their_system(on: Engine) {
    let stage = Stage::new(on);
    let (a, replies) = (stage.puppet("a"), Shared::default());
    let mut asked = Vec::new();
    for _ in 0..4 {
        let put: Shared<Vec<ReplyTo<u64>>> = replies.clone();
        asked.push(a.ask_with(|reply| run(move |_, _| put.with(|replies| replies.push(reply)))));
    }
    eventually("four replies", || replies.with(|replies| replies.len()) == 4);
    let counters = stage.end();
    assert_eq!(counters.handled, 4);
    let mut replies = replies.with(std::mem::take).into_iter();
    replies.next().unwrap().send(1);
    drop(replies.next());
    assert_eq!(asked.remove(0).wait(), Ok(1));
    assert_eq!(asked.remove(0).wait(), Err(AskError::NoReply));
    // Those that nobody has answered yet.
    assert_eq!(asked.remove(0).timeout(Duration::from_millis(5)).wait(), Err(AskError::Timeout));
    let last = replies.next_back().unwrap();
    let waiter = thread::spawn(move || block_on(asked.remove(0)));
    last.send(9);
    assert_eq!(waiter.join().unwrap(), Ok(9));
}

fn outlive_their_system_while_polled(on: Engine) {
    let stage = Stage::new(on);
    let (a, replies) = (stage.puppet("a"), Shared::default());
    let ask = || {
        let put: Shared<Vec<ReplyTo<u64>>> = replies.clone();
        a.ask_with(|reply| run(move |_, _| put.with(|replies| replies.push(reply)))).timeout(LIMIT * 100)
    };
    let (mut before, after, answered) = (ask(), ask(), ask());
    eventually("three replies", || replies.with(|replies| replies.len()) == 3);
    let (rung, waker) = bell();
    assert!(poll(&mut before, &waker).is_pending());
    end(&stage.system);
    // Its timers are gone with the system: whoever waits for one must not wait for ever.
    rung.reaches(1);
    assert_eq!(poll(&mut before, &waker), Poll::Ready(Err(AskError::Stopped)));
    assert_eq!(block_on(after), Err(AskError::Stopped));
    let last = replies.with(Vec::pop).unwrap();
    last.send(3);
    assert_eq!(block_on(answered), Ok(3));
}

fn many_at_once(on: Engine) {
    let stage = Stage::new(on);
    let actors: Vec<_> = (0..10).map(|_| stage.spawn(Echo)).collect();
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let actors = actors.clone();
            thread::spawn(move || {
                for round in 0..50_u8 {
                    let asked: Vec<_> = actors.iter().map(|actor| actor.ask([thread ^ round; 97])).collect();
                    for asked in asked {
                        let reply = if round % 2 == 0 { asked.wait() } else { block_on(asked) };
                        assert_eq!(reply, Ok([thread ^ round; 97]));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(stage.end().handled, 2000);
}

fn race_with_their_end(on: Engine) {
    let stage = Stage::new(on);
    for round in 0..200_u64 {
        let a = stage.puppet("a");
        let ender = thread::spawn({
            let a = a.clone();
            move || if round % 2 == 0 { a.stop() } else { a.drain() }
        });
        let asked: Vec<_> = (0..10).map(|n| a.ask(n)).collect();
        let mut over = false;
        for (n, asked) in (0..).zip(asked) {
            let reply = if n % 2 == 0 { asked.wait() } else { block_on(asked.timeout(LIMIT)) };
            match reply {
                Ok(reply) => assert!(reply == 2 * n && !over),
                Err(error) => {
                    assert_eq!(error, AskError::Stopped);
                    over = true;
                }
            }
        }
        ender.join().unwrap();
    }
    stage.living(0);
    stage.end();
}
