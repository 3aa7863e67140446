//! The end of a system, at any point.

use crate::support::{Member, Note, Seen, Then, a_while, begin, end, outside};
use cuelight::dev_hooks::kernel::leave_thread;
use cuelight::{AskError, Idle, Restart};
use loom_tests::schedules::{Waits, schedules};
use std::time::Duration;

/// Two shut the system down while a third one spawns, tells and asks: both return when all is over, each message has had
/// its fate, and nobody waits for ever.
#[test]
fn a_shutdown_at_any_point() {
    static LATE: Seen = Seen::new();
    static IN_TIME: Seen = Seen::new();
    schedules("ends: a shutdown", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let first = system.spawn(Member::new(&books, 3, None));
        let user = {
            let (system, books, first) = (system.clone(), books.clone(), first.clone());
            outside(move || {
                let rule = Restart::on_panic().backoff(Duration::ZERO, Duration::ZERO);
                let second = system.actor(Member::factory(&books, 4)).restart(rule).spawn();
                if let Ok(second) = &second {
                    let _ = second.tell(Note::new(&books, 1, 1, 0).then(Then::Fail));
                }
                let _ = first.send_all((1..4).map(|number| Note::new(&books, 1, number, 0)));
                let answer = first.ask(Note::new(&books, 1, 9, 0)).wait();
                assert!(matches!(answer, Ok(9) | Err(AskError::Stopped)), "{answer:?}");
                IN_TIME.add(u64::from(answer.is_ok()));
                LATE.add(u64::from(second.is_err()));
            })
        };
        let other = {
            let system = system.clone();
            outside(move || {
                a_while();
                system.shutdown(Duration::MAX).unwrap();
                assert_eq!(system.counters().live_actors, 0);
            })
        };
        a_while();
        system.shutdown(Duration::MAX).unwrap();
        assert_eq!(system.counters().live_actors, 0);
        other.join().unwrap();
        user.join().unwrap();
        assert!(first.tell(Note::new(&books, 2, 1, 0)).is_err());
        drop(first);
        end(system, books);
    });
    IN_TIME.check("answered before the end");
    LATE.check("spawned after it");
}

/// The last handle is dropped while another thread sends and asks by an address: the actors are stopped, the threads end,
/// and the books, which check themselves when nobody is left to hold them, are in order.
#[test]
fn the_last_handle_at_any_point() {
    schedules("ends: the last handle", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let second = system.spawn(Member::new(&books, 4, None));
        let first = system.spawn(Member::new(&books, 3, Some(&second)));
        let user = {
            let (first, books) = (first.clone(), books.clone());
            outside(move || {
                let _ = first.tell(Note::new(&books, 1, 1, 1));
                let answer = first.ask(Note::new(&books, 1, 2, 1)).wait();
                assert!(matches!(answer, Ok(2) | Err(AskError::Stopped)), "{answer:?}");
            })
        };
        a_while();
        drop((first, second, system));
        user.join().unwrap();
        drop(books);
        leave_thread();
    });
}

/// A failure that nobody deals with stops the system by itself.
#[test]
fn a_failure_ends_the_system() {
    schedules("ends: a failure at the root", Waits::GoOn, || {
        let (system, books) = begin(2, Idle::Park);
        let rule = Restart::on_panic().backoff(Duration::ZERO, Duration::ZERO).limit(0, Duration::MAX);
        let first = system.actor(Member::factory(&books, 3)).restart(rule).spawn().unwrap();
        let second = system.spawn(Member::new(&books, 4, Some(&first)));
        let _ = second.tell(Note::new(&books, 1, 1, 1));
        let failed = first.ask(Note::new(&books, 1, 2, 0).then(Then::Fail)).wait();
        assert_eq!(failed, Err(AskError::Panicked));
        let answers = (1..).map(|number| second.ask(Note::new(&books, 2, number, 0)).wait());
        let last = answers.take_while(Result::is_ok).count();
        assert_eq!(second.ask(Note::new(&books, 2, 9, 0)).wait(), Err(AskError::Stopped), "after {last} answers");
        system.shutdown(Duration::MAX).unwrap();
        assert!(system.failure().is_some());
        drop((first, second));
        end(system, books);
    });
}
