//! Many senders, and floods, at bounded mailboxes.

use super::bounds::{ALL, gets};
use crate::support::puppet::{Token, run};
use crate::support::stage::{Engine, Stage, hold, threads_contract};
use crate::support::{Count, Gate, eventually, scaled};
use cuelight::{Overflow, TellError};

threads_contract! {
    memory_is_bounded,
    senders_at_the_bound,
    senders_that_displace_each_other,
    order_of_many_senders,
}

fn memory_is_bounded(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let (a, drops) = (stage.bounded("a", 1000, overflow), Count::default());
        let held = hold(&a);
        let flood = scaled(1_000_000, 10_000);
        for n in 0..flood {
            let _ = a.tell(Token::new(n, &drops));
            // Made, and not dropped: no more than may wait.
            assert!(n + 1 - drops.get() <= 1000);
        }
        assert_eq!(drops.get(), flood - 1000);
        drop(held);
        let first = if overflow == Overflow::DropOldest { flood - 1000 } else { 0 };
        stage.log.expect("a", &gets(first..first + 1000));
        drops.reaches(flood);
        stage.end();
    }
}

/// Sends tokens from several threads and handlers, and counts what became of them.
fn crowd(on: Engine, overflow: Overflow, limit: usize) {
    let stage = Stage::new(on);
    let (a, drops) = (stage.bounded("a", limit, overflow), Count::default());
    let (each, full) = (scaled(20_000, 200), Count::default());
    let go = Gate::default();
    let flood = {
        let (a, drops, full) = (a.clone(), drops.clone(), full.clone());
        move |first: u64| {
            for n in first..first + each {
                match n % 7 {
                    6 => drop(a.ask(Token::new(n, &drops))),
                    5 => {
                        let both = [Token::new(n, &drops), Token::new(n, &drops)];
                        if let Err(error) = a.send_all(both) {
                            assert!(error.is_full());
                            full.add(error.into_messages().len() as u64);
                        }
                    }
                    _ => match a.tell(Token::new(n, &drops)) {
                        Ok(()) => {}
                        Err(TellError::Full(_)) => full.add(1),
                        Err(error) => panic!("{error:?}"),
                    },
                }
            }
        }
    };
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let (flood, go) = (flood.clone(), go.clone());
            std::thread::spawn(move || {
                go.wait();
                flood(n * each);
            })
        })
        .collect();
    let b = stage.puppet("b");
    let work = flood.clone();
    b.tell(run(move |_, _| work(3 * each))).unwrap();
    go.open();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    stage.quiet();
    eventually("nothing is left", || drops.get() == created(each));
    let counters = stage.end();
    assert_eq!(counters.returned, full.get());
    if overflow != Overflow::Reject {
        assert_eq!(counters.returned, 0);
    }
}

fn created(each: u64) -> u64 {
    4 * each + (0..4 * each).filter(|n| n % 7 == 5).count() as u64
}

fn senders_at_the_bound(on: Engine) {
    for limit in [1, 2, 100] {
        crowd(on, Overflow::Reject, limit);
        crowd(on, Overflow::DropNewest, limit);
    }
}

fn senders_that_displace_each_other(on: Engine) {
    for limit in [1, 2, 100] {
        crowd(on, Overflow::DropOldest, limit);
    }
}

fn order_of_many_senders(on: Engine) {
    for overflow in ALL {
        let stage = Stage::new(on);
        let a = stage.bounded("a", 50, overflow);
        let each = scaled(5_000, 500);
        let threads: Vec<_> = (0..3_u64)
            .map(|sender| {
                let a = a.clone();
                std::thread::spawn(move || {
                    for n in 0..each {
                        let _ = a.tell(sender * 1_000_000 + n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        stage.quiet();
        eventually("all is written", || stage.log.lines().len() as u64 == 1 + stage.counters().handled);
        let mut last = [None; 3];
        for line in &stage.log.of("a")[1..] {
            let n: u64 = line.strip_prefix("gets ").unwrap().parse().unwrap();
            let sender = (n / 1_000_000) as usize;
            assert!(last[sender] < Some(n), "{n} after {last:?}");
            last[sender] = Some(n);
        }
        stage.end();
    }
}
