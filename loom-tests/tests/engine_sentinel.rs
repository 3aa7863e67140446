//! The sentinel's role: one holder at a time, and somebody takes it.

use cuelight::dev_hooks::engine::Sentinel;
use loom_tests::{Arc, model, thread};

/// Two fall asleep and want to tick, while a third, who only rests, wakes up and gives the role up. One of the two has
/// it afterwards, and ticks.
#[test]
fn one_of_two_takes_the_role() {
    model("sentinel: two takers and a leaver", 2, || {
        let sentinel = Arc::new(Sentinel::new());
        assert!(sentinel.take(2) && sentinel.ticks());
        sentinel.rest(2);
        assert!(sentinel.is(2) && !sentinel.ticks());
        let take = |index| {
            let sentinel = sentinel.clone();
            thread::spawn(move || sentinel.take(index))
        };
        let takers = [take(0), take(1)];
        sentinel.leave(2);
        let [first, second] = takers.map(|taker| taker.join().unwrap());
        assert!(first != second, "the role was given {} times", u8::from(first) + u8::from(second));
        assert!(sentinel.is(usize::from(second)) && sentinel.ticks() && !sentinel.is(2));
    });
}

/// The one that ticks wakes up while another one falls asleep: the role passes on, or the one that wakes sees that it must
/// see to it.
#[test]
fn a_role_is_not_lost_between_a_leaver_and_a_taker() {
    model("sentinel: a rest against a taker and a leaver", 2, || {
        let sentinel = Arc::new(Sentinel::new());
        assert!(sentinel.take(0));
        let rester = {
            let sentinel = sentinel.clone();
            thread::spawn(move || {
                sentinel.rest(0);
                sentinel.take(0)
            })
        };
        let taker = {
            let sentinel = sentinel.clone();
            thread::spawn(move || {
                let taken = sentinel.take(1);
                if taken {
                    sentinel.leave(1);
                }
                taken
            })
        };
        // A worker that has just woken up and had no role.
        sentinel.leave(2);
        let (rested, taken) = (rester.join().unwrap(), taker.join().unwrap());
        // Nobody has it only if the other one took it last, and left.
        assert!(sentinel.ticks() == rested && sentinel.is(0) == rested, "rested {rested}, taken {taken}");
        assert!(rested || taken);
    });
}
