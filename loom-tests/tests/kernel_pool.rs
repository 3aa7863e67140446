//! The pool: nodes that come back from other threads, are used again, or outlive their thread. Loom's slabs have three
//! nodes, its caches hold two, and each handing over of a node is watched.

use cuelight::dev_hooks::kernel::{Memory, leave_thread, trim};
use loom_tests::kernel::{Expected, Stage, Token};
use loom_tests::model;
use std::array::from_fn;

#[test]
fn freed_elsewhere_and_reused() {
    model("L9 nodes freed on another thread, through its cache, and used again by both", 3, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let reserve = || Memory::<Token>::reserve(&probe);
        // A whole slab is out.
        let mut nodes: [Option<_>; 3] = from_fn(|_| Some(reserve()));
        let (a, b) = (nodes[0].take(), nodes[1].take());
        let other = probe.clone();
        let thread = stage.thread(move |stage| {
            drop(a);
            drop(b);
            // From this thread's cache: a node of the other's slab.
            assert!(Memory::reserve(&other).send(stage.token(10)));
        });
        stage.here(|stage| {
            // What has come back is taken over, or a new slab is made.
            let two = [reserve(), reserve()];
            for (memory, id) in two.into_iter().zip(20..) {
                assert!(memory.send(stage.token(id)));
            }
        });
        drop(nodes);
        let ledger = stage.ledger().clone();
        stage.end([thread], [probe], Expected::default());
        assert_eq!(ledger.order().len(), 3);
    });
}

#[test]
fn collected_while_coming_back() {
    model("L9 an owner collects while two threads without caches give back", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let reserve = || Memory::<Token>::reserve(&probe);
        let mut nodes: [Option<_>; 3] = from_fn(|_| Some(reserve()));
        let threads = from_fn::<_, 2, _>(|i| {
            let node = nodes[i].take();
            loom_tests::thread::spawn(move || {
                drop(node);
                leave_thread();
            })
        });
        let again = [reserve(), reserve()];
        drop(again);
        drop(nodes);
        stage.end(threads, [probe], Expected::default());
    });
}

#[test]
fn abandoned_while_coming_back() {
    model("L9 an owner leaves its slab while the last two nodes come back: freed once", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        let mut nodes: [Option<_>; 2] = from_fn(|_| Some(Memory::<Token>::reserve(&probe)));
        let threads = from_fn::<_, 2, _>(|i| {
            let node = nodes[i].take();
            loom_tests::thread::spawn(move || {
                drop(node);
                leave_thread();
            })
        });
        leave_thread();
        stage.end(threads, [probe], Expected::default());
    });
}

#[test]
fn trimmed_while_coming_back() {
    model("L9 an owner gives a slab back to the allocator while its last nodes come back", 2, || {
        let stage = Stage::new();
        let probe = stage.idle(1);
        // Two slabs, of each of which every thread gives a node back.
        let mut nodes: [Option<_>; 6] = from_fn(|_| Some(Memory::<Token>::reserve(&probe)));
        let threads = from_fn::<_, 2, _>(|i| {
            let some = [nodes[i].take(), nodes[i + 3].take()];
            loom_tests::thread::spawn(move || {
                drop(some);
                leave_thread();
            })
        });
        drop(nodes);
        trim();
        stage.end(threads, [probe], Expected::default());
    });
}
