//! Timers, timeouts and backoff, in the time of the model.

use crate::support::{Member, Note, Seen, Then, a_while, begin, end, outside};
use cuelight::{Actor, AskError, Context, Handler, Idle, IdleTimeout, ReplyTo, Restart, TimerKey};
use loom_tests::schedules::{Waits, schedules};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(2);

/// Sets one of each, and answers when it has been idle.
#[derive(Default)]
struct Clock {
    began: Option<Instant>,
    ticks: u32,
    ticking: Option<TimerKey>,
    rung: bool,
    reply: Option<ReplyTo<(u32, bool)>>,
}

#[derive(Clone)]
struct Tick;
struct Ring;

impl Clock {
    fn not_early(&self, delay: Duration, ctx: &Context<Self>) {
        let began = self.began.expect("a timer that nobody has set");
        assert!(ctx.now().saturating_duration_since(began) >= delay, "a timer is early");
    }
}

impl Actor for Clock {}

impl Handler<ReplyTo<(u32, bool)>> for Clock {
    type Reply = ();
    fn handle(&mut self, reply: ReplyTo<(u32, bool)>, ctx: &mut Context<Self>) {
        (self.began, self.reply) = (Some(ctx.now()), Some(reply));
        ctx.send_after(SOON, Ring);
        self.ticking = Some(ctx.send_every(SOON, Tick));
        ctx.set_idle_timeout(Some(5 * SOON));
        let never = ctx.send_after(SOON, Ring);
        assert!(ctx.cancel(never), "cancelled in the handler that has set it");
    }
}

impl Handler<Ring> for Clock {
    type Reply = ();
    fn handle(&mut self, _: Ring, ctx: &mut Context<Self>) {
        self.not_early(SOON, ctx);
        assert!(!self.rung, "a timer comes twice, or after its cancelling");
        self.rung = true;
    }
}

impl Handler<Tick> for Clock {
    type Reply = ();
    fn handle(&mut self, _: Tick, ctx: &mut Context<Self>) {
        self.ticks += 1;
        self.not_early(SOON * self.ticks, ctx);
        if self.ticks == 2 {
            assert!(self.ticking.take().is_some_and(|ticking| ctx.cancel(ticking)));
        }
    }
}

impl Handler<IdleTimeout> for Clock {
    type Reply = ();
    fn handle(&mut self, _: IdleTimeout, ctx: &mut Context<Self>) {
        // Those that it was idle for may be on their way: it comes again.
        if self.rung && self.ticks == 2 {
            ctx.set_idle_timeout(None);
            self.reply.take().expect("idle once").send((self.ticks, self.rung));
        }
    }
}

/// Timers come, not early, each once, and not after their cancelling, though all workers sleep.
#[test]
fn timers_come_to_those_who_sleep() {
    schedules("timers: after, every, idle", Waits::End, || {
        let (system, books) = begin(2, Idle::Park);
        let clock = system.spawn(Clock::default());
        assert_eq!(clock.ask_with(|reply| reply).wait(), Ok((2, true)));
        system.shutdown(Duration::MAX).unwrap();
        drop(clock);
        end(system, books);
    });
}

/// Keeps what it is asked, and answers the first of two when the second one comes.
#[derive(Default)]
struct Slow(Option<ReplyTo<u32>>);
impl Actor for Slow {}
impl Handler<ReplyTo<u32>> for Slow {
    type Reply = ();
    fn handle(&mut self, reply: ReplyTo<u32>, _: &mut Context<Self>) {
        match self.0.take() {
            None => self.0 = Some(reply),
            Some(first) => {
                first.send(1);
                reply.send(2);
            }
        }
    }
}

/// A reply against a timeout, outside: one outcome, and a late reply is counted.
#[test]
fn a_reply_against_a_timeout() {
    static TIMED_OUT: Seen = Seen::new();
    static ANSWERED: Seen = Seen::new();
    schedules("timers: a timeout outside", Waits::End, || {
        let (system, books) = begin(2, Idle::Park);
        let slow = system.spawn(Slow::default());
        let other = {
            let slow = slow.clone();
            outside(move || {
                a_while();
                assert!(matches!(slow.ask_with(|reply| reply).wait(), Ok(1 | 2)));
            })
        };
        let answer = slow.ask_with(|reply| reply).timeout(SOON).wait();
        assert!(matches!(answer, Ok(1 | 2) | Err(AskError::Timeout)), "{answer:?}");
        other.join().unwrap();
        system.shutdown(Duration::MAX).unwrap();
        assert_eq!(system.counters().late_replies, u64::from(answer.is_err()));
        TIMED_OUT.add(u64::from(answer.is_err()));
        ANSWERED.add(u64::from(answer.is_ok()));
        drop(slow);
        end(system, books);
    });
    TIMED_OUT.check("timed out");
    ANSWERED.check("answered");
}

/// A backoff, whose alarm sounds while the system is shut down: the restart comes or the end, and each message has its fate.
#[test]
fn a_backoff_against_a_shutdown() {
    static RESTARTED: Seen = Seen::new();
    static ENDED: Seen = Seen::new();
    schedules("timers: a backoff", Waits::End, || {
        let (system, books) = begin(2, Idle::Park);
        let rule = Restart::on_panic().backoff(SOON, SOON).unlimited();
        let member = system.actor(Member::factory(&books, 3)).restart(rule).spawn().unwrap();
        member.tell(Note::new(&books, 1, 1, 0).then(Then::Fail)).unwrap();
        let asker = {
            let (books, member) = (books.clone(), member.clone());
            outside(move || {
                let answer = member.ask(Note::new(&books, 2, 1, 0)).wait();
                assert!(matches!(answer, Ok(1) | Err(AskError::Stopped)), "{answer:?}");
                RESTARTED.add(u64::from(answer.is_ok()));
                ENDED.add(u64::from(answer.is_err()));
            })
        };
        a_while();
        system.shutdown(Duration::MAX).unwrap();
        asker.join().unwrap();
        drop(member);
        end(system, books);
    });
    RESTARTED.check("restarted");
    ENDED.check("ended before");
}
