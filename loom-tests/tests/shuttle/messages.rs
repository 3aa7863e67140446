//! Messages on their way: sent, slept through and woken for, stolen with their actors.

use crate::support::{Member, Note, Seen, begin, end, outside};
use cuelight::dev_hooks::sync::{Condvar, Mutex, hint};
use cuelight::{Actor, ActorRef, Context, Handler, Idle, Mailbox, Overflow, TellError};
use loom_tests::Arc;
use loom_tests::schedules::{Waits, schedules};
use std::time::Duration;

/// Three actors in a row, and two senders outside: everything is handled, in each sender's order.
fn two_senders_and_a_row(workers: usize, idle: Idle) -> u64 {
    let (system, books) = begin(workers, idle);
    let last = system.spawn(Member::new(&books, 5, None));
    let middle = system.spawn(Member::new(&books, 4, Some(&last)));
    let first = system.spawn(Member::new(&books, 3, Some(&middle)));
    let sender = {
        let (books, first, last) = (books.clone(), first.clone(), last.clone());
        outside(move || {
            first.tell(Note::new(&books, 1, 1, 2)).unwrap();
            assert_eq!(last.ask(Note::new(&books, 1, 2, 0)).wait(), Ok(2));
            first.send_all((3..6).map(|number| Note::new(&books, 1, number, 1))).unwrap();
        })
    };
    assert_eq!(middle.ask(Note::new(&books, 2, 1, 1)).wait(), Ok(1));
    first.tell(Note::new(&books, 2, 2, 2)).unwrap();
    sender.join().unwrap();
    // One after the other: what the one has passed on comes before what is asked of the next.
    for actor in [&first, &middle, &last] {
        assert_eq!(actor.ask(Note::new(&books, 2, 9, 0)).wait(), Ok(9));
    }
    system.shutdown(Duration::MAX).unwrap();
    let counters = system.counters();
    assert_eq!((counters.returned, counters.dead_lettered), (0, 0), "{counters}");
    drop((first, middle, last));
    end(system, books);
    counters.workers.iter().map(|worker| worker.stolen).sum()
}

/// The only worker falls asleep in between, and nothing but a wake-up wakes it.
#[test]
fn what_is_sent_wakes_the_worker() {
    schedules("messages: one worker", Waits::GoOn, || {
        two_senders_and_a_row(1, Idle::Park);
    });
}

/// The same with two, which take work from each other.
#[test]
fn what_is_sent_wakes_one_of_two_workers() {
    static STOLEN: Seen = Seen::new();
    schedules("messages: two workers", Waits::GoOn, || STOLEN.add(two_senders_and_a_row(2, Idle::Park)));
    STOLEN.check("stolen");
}

/// The same with three that spin before they sleep, while time passes and the sentinel ticks.
#[test]
fn what_is_sent_is_found_by_spinners() {
    static STOLEN: Seen = Seen::new();
    schedules("messages: three workers that spin", Waits::End, || STOLEN.add(two_senders_and_a_row(3, Idle::Hybrid)));
    STOLEN.check("stolen");
}

/// A mailbox of one, and two who send more than fits: one waits for room, the other one tries again. All is handled, in the
/// order of each.
#[test]
fn a_full_mailbox_is_waited_for() {
    static FULL: Seen = Seen::new();
    schedules("messages: a full mailbox", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let small = Mailbox::bounded(1, Overflow::Reject);
        let member = system.actor(Member::factory(&books, 3)).mailbox(small).spawn().unwrap();
        let sender = {
            let (books, member) = (books.clone(), member.clone());
            outside(move || {
                for number in 1..4 {
                    member.tell_timeout(Note::new(&books, 1, number, 0), Duration::MAX).unwrap();
                }
            })
        };
        for number in 1..4 {
            let mut note = Note::new(&books, 2, number, 0);
            while let Err(error) = member.tell(note) {
                assert!(matches!(error, TellError::Full(_)), "{error}");
                note = error.into_message();
                FULL.add(1);
                hint::spin_loop();
            }
        }
        sender.join().unwrap();
        member.drain();
        system.shutdown(Duration::MAX).unwrap();
        let counters = system.counters();
        assert_eq!(counters.handled + counters.dead_lettered, 6, "{counters}");
        drop(member);
        end(system, books);
    });
    FULL.check("full");
}

/// Opens for whoever waits when it was opened often enough.
#[derive(Default)]
struct Gate {
    opened: Mutex<u32>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.opened.lock() += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, times: u32) {
        let mut opened = self.opened.lock();
        while *opened < times {
            opened = self.changed.wait(opened);
        }
    }
}

struct Opener(Arc<Gate>);
impl Actor for Opener {}
impl Handler<()> for Opener {
    type Reply = ();
    fn handle(&mut self, (): (), _: &mut Context<Self>) {
        self.0.open();
    }
}

/// Blocks until those that it has woken have opened the gate.
struct Blocker {
    gate: Arc<Gate>,
    openers: [ActorRef<Opener>; 2],
}
impl Actor for Blocker {}
impl Handler<()> for Blocker {
    type Reply = ();
    fn handle(&mut self, (): (), _: &mut Context<Self>) {
        self.openers.iter().for_each(|opener| opener.tell(()).unwrap());
        self.gate.wait_for(2);
    }
}

/// Work queued behind a handler that blocks, and actors that it has woken, are run by the other worker.
#[test]
fn what_waits_behind_a_blocked_handler_is_run() {
    schedules("messages: a handler that blocks", Waits::End, || {
        let (system, books) = begin(2, Idle::Park);
        let gate = Arc::new(Gate::default());
        let openers = [(); 2].map(|()| system.spawn(Opener(gate.clone())));
        let blocker = system.spawn(Blocker { gate, openers });
        assert_eq!(blocker.ask(()).wait(), Ok(()));
        system.shutdown(Duration::MAX).unwrap();
        drop(blocker);
        end(system, books);
    });
}
