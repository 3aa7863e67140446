//! Lives: failures and restarts, stops and drains, and those who ask and watch meanwhile.

use crate::support::{Books, Expect, Member, Note, Seen, Then, Watch, Watcher, a_while, begin, counted, end, outside};
use cuelight::{Actor, ActorRef, AskError, Context, Handler, Idle, ReplyTo, Restart};
use loom_tests::Arc;
use loom_tests::schedules::{Waits, schedules};
use std::time::Duration;

const AT_ONCE: Restart = Restart::on_panic().backoff(Duration::ZERO, Duration::ZERO).unlimited();

/// Two senders, each of whom makes the actor fail: its mailbox and its order outlive both restarts.
#[test]
fn failures_and_restarts_among_sends() {
    schedules("lives: two restarts", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let member = system.actor(Member::factory(&books, 3)).restart(AT_ONCE).spawn().unwrap();
        let sender = {
            let (books, member) = (books.clone(), member.clone());
            outside(move || {
                member.tell(Note::new(&books, 1, 1, 0)).unwrap();
                member.tell(Note::new(&books, 1, 2, 0).then(Then::Fail)).unwrap();
                member.tell(Note::new(&books, 1, 3, 0)).unwrap();
            })
        };
        let failed = member.ask(Note::new(&books, 2, 1, 0).then(Then::Fail)).wait();
        assert_eq!(failed, Err(AskError::Panicked));
        assert_eq!(member.ask(Note::new(&books, 2, 2, 0)).wait(), Ok(2));
        sender.join().unwrap();
        assert_eq!(member.ask(Note::new(&books, 2, 3, 0)).wait(), Ok(3));
        system.shutdown(Duration::MAX).unwrap();
        let counters = system.counters();
        assert_eq!((counters.restarts, counters.handled, counters.dead_lettered), (2, 6, 0), "{counters}");
        assert_eq!((counted(&books.started), counted(&books.stopped)), (3, 1));
        drop(member);
        end(system, books);
    });
}

/// Has two members for children.
struct Parent(Arc<Books>);
impl Actor for Parent {}

struct Bear;
impl Handler<Bear> for Parent {
    type Reply = [ActorRef<Member>; 2];
    fn handle(&mut self, _: Bear, ctx: &mut Context<Self>) -> Self::Reply {
        [3, 4].map(|name| ctx.actor(Member::factory(&self.0, name)).restart(AT_ONCE).spawn().unwrap())
    }
}

/// A parent is drained, stopped and asked at once, while one child fails and the other one stops itself: each ends once,
/// children first, and each watch gets one notice.
#[test]
fn drain_stop_and_failure_at_once() {
    schedules("lives: a family ends", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let parent = system.spawn(Parent(books.clone()));
        let watcher = system.spawn(Watcher::default());
        let children = parent.ask(Bear).wait().unwrap();
        children.iter().for_each(|child| watcher.tell(Watch(child.clone())).unwrap());
        let sender = {
            let (books, children) = (books.clone(), children.clone());
            outside(move || {
                let _ = children[0].tell(Note::new(&books, 1, 1, 0).then(Then::Fail));
                let _ = children[1].tell(Note::new(&books, 1, 1, 0).then(Then::Stop));
                let answer = children[0].ask(Note::new(&books, 1, 2, 0)).wait();
                assert!(matches!(answer, Ok(2) | Err(AskError::Stopped)), "{answer:?}");
            })
        };
        let drainer = {
            let parent = parent.clone();
            outside(move || {
                a_while();
                parent.drain();
            })
        };
        a_while();
        parent.stop();
        watcher.tell(Watch(children[0].clone())).unwrap();
        // Three watches of two.
        assert_eq!(watcher.ask_with(|reply| Expect(3, reply)).wait(), Ok(3));
        sender.join().unwrap();
        drainer.join().unwrap();
        assert_eq!(watcher.ask_with(|reply| Expect(0, reply)).wait(), Ok(3), "one notice for each watch");
        system.shutdown(Duration::MAX).unwrap();
        assert!(parent.is_stopped() && children.iter().all(ActorRef::is_stopped));
        assert!(counted(&books.stopped) <= 2, "one that is just being made anew has no state");
        drop((parent, watcher, children));
        end(system, books);
    });
}

/// Asks another one for each question, and answers when it has the answer.
struct Front {
    back: ActorRef<Member>,
    books: Arc<Books>,
    asked: u32,
}
impl Actor for Front {}
impl Handler<ReplyTo<Option<u32>>> for Front {
    type Reply = ();
    fn handle(&mut self, reply: ReplyTo<Option<u32>>, ctx: &mut Context<Self>) {
        self.asked += 1;
        let note = Note::new(&self.books, 6, self.asked, 0);
        ctx.ask(&self.back, note, Duration::MAX, |_, answer, _| reply.send(answer.ok()));
    }
}

/// An ask from outside that waits for an ask inside, whose receiver is drained meanwhile: each gets an answer.
#[test]
fn an_ask_for_an_ask_against_a_drain() {
    static ANSWERED: Seen = Seen::new();
    static REFUSED: Seen = Seen::new();
    schedules("lives: asks in a row", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let back = system.spawn(Member::new(&books, 5, None));
        let front = system.spawn(Front { back: back.clone(), books: books.clone(), asked: 0 });
        let other = {
            let (back, books) = (back.clone(), books.clone());
            outside(move || {
                a_while();
                let _ = back.tell(Note::new(&books, 1, 1, 0).then(Then::Drain));
            })
        };
        let asks = [(); 2].map(|()| front.ask_with(|reply| reply));
        let [first, second] = asks.map(|ask| ask.wait().unwrap());
        assert!(first.is_none_or(|number| number == 1) && second.is_none_or(|number| number == 2));
        assert!(
            first.is_some() || second.is_none(),
            "what was sent later was answered, and what was sent before was not"
        );
        ANSWERED.add(u64::from(first.is_some()));
        REFUSED.add(u64::from(second.is_none()));
        other.join().unwrap();
        system.shutdown(Duration::MAX).unwrap();
        drop((front, back));
        end(system, books);
    });
    ANSWERED.check("answered");
    REFUSED.check("refused");
}
