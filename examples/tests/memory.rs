//! 1 GiB of generated text through `wordcount`'s actors, in at most `CAP` bytes of memory, and counted right.
//!
//! The text exists nowhere: each document makes it up as it is read, far faster than it can be counted. So without
//! credits most of it would wait in memory. One test alone is in this binary, as its allocator counts for the process.

use std::alloc::{GlobalAlloc, Layout};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use cuelight::System;
use examples::wordcount::console::Console;
use examples::wordcount::count;
use examples::wordcount::document::{Document, Source};
use examples::wordcount::job::Plan;
use examples::wordcount::tally::Totals;
use mimalloc::MiMalloc;

const TOTAL: usize = 1 << 30;
const DOCUMENTS: usize = 4;

/// The most live bytes. The chunks of two readers take about 6 MiB, the words of the vocabulary 8 with its copies.
const CAP: usize = 32 << 20;

const VOCABULARY: usize = 50_000;

/// Counts what is allocated and not yet freed.
struct Counting {
    live: AtomicUsize,
    peak: AtomicUsize,
}

#[global_allocator]
static ALLOCATOR: Counting = Counting { live: AtomicUsize::new(0), peak: AtomicUsize::new(0) };

impl Counting {
    fn add(&self, bytes: usize) {
        // Ordering: a sum and its maximum; nothing else is read by them. The maximum is of values that `live` had, in
        // its modification order, so it is exact.
        let live = self.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Ordering: as above; the test reads it after a shutdown that has joined the workers.
        self.peak.fetch_max(live, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        // Ordering: as in `add`.
        self.live.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to an allocator that keeps the contract; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.sub(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may be there at once.
        self.add(size);
        // SAFETY: the caller's promises are passed on.
        let moved = unsafe { MiMalloc.realloc(ptr, layout, size) };
        self.sub(layout.size());
        moved
    }
}

/// A text of random words; tells how often it used each.
struct Generated {
    seed: u64,
    len: usize,
    vocabulary: Arc<[String]>,
    told: Sender<Vec<u64>>,
}

impl Document for Generated {
    fn name(&self) -> String {
        format!("text {}", self.seed)
    }

    fn open(&self) -> io::Result<Source> {
        Ok(Box::new(Generator {
            state: self.seed,
            left: self.len,
            vocabulary: Arc::clone(&self.vocabulary),
            uses: vec![0; VOCABULARY],
            rest: Vec::new(),
            told: self.told.clone(),
        }))
    }
}

struct Generator {
    state: u64,
    left: usize,
    vocabulary: Arc<[String]>,
    uses: Vec<u64>,
    /// The end of a word that did not fit into the last read.
    rest: Vec<u8>,
    told: Sender<Vec<u64>>,
}

impl Generator {
    /// Few words are frequent, most are rare.
    fn pick(&mut self) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let part = (self.state >> 32) as f64 / f64::from(u32::MAX);
        (part * part * part * (VOCABULARY - 1) as f64) as usize
    }
}

impl Read for Generator {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let uses = std::mem::take(&mut self.uses);
            self.told.send(uses).map_err(io::Error::other)?;
            return Ok(0);
        }
        let room = into.len().min(self.left);
        let into = &mut into[..room];
        self.left -= into.len();
        let mut at = self.rest.len().min(into.len());
        into[..at].copy_from_slice(&self.rest[..at]);
        self.rest.drain(..at);
        while at < into.len() {
            let picked = self.pick();
            let word = self.vocabulary[picked].as_bytes();
            if word.len() > into.len() - at + self.left {
                // The text ends before the word would.
                into[at] = b'\n';
                at += 1;
                continue;
            }
            self.uses[picked] += 1;
            let fits = word.len().min(into.len() - at);
            into[at..at + fits].copy_from_slice(&word[..fits]);
            self.rest.extend_from_slice(&word[fits..]);
            at += fits;
        }
        Ok(into.len())
    }
}

/// Words with what separates them, some of them not of ASCII.
fn vocabulary() -> Arc<[String]> {
    let ends = [" ", " ", " ", "\n", ", ", ".\r\n", " — "];
    let middles = ["", "", "", "ing", "_x", "é", "東"];
    let word = |n: usize| format!("w{n:x}{}{}", middles[n / 3 % 7], ends[n % 7]);
    (0..VOCABULARY).map(word).collect()
}

/// What the count should be.
fn expected(vocabulary: &[String], uses: &[u64], top: usize) -> Totals {
    let mut counts: Vec<(String, u64)> = vocabulary
        .iter()
        .map(|w| w.as_str())
        .zip(uses.iter().copied())
        .filter(|&(_, uses)| uses > 0)
        .map(|(word, uses)| (word.trim_end_matches([' ', '\n', '\r', ',', '.', '—']).to_string(), uses))
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let distinct = counts.len() as u64;
    counts.truncate(top);
    Totals { words: uses.iter().sum(), distinct, top: counts }
}

#[test]
fn a_gibibyte_in_bounded_memory() {
    let top = 1000;
    let vocabulary = vocabulary();
    let (told, uses) = mpsc::channel();
    let documents = (1..=DOCUMENTS as u64).map(|seed| {
        let (vocabulary, told) = (Arc::clone(&vocabulary), told.clone());
        Box::new(Generated { seed, len: TOTAL / DOCUMENTS, vocabulary, told }) as Box<dyn Document>
    });
    let documents = documents.collect();
    drop(told);
    let plan = Plan { readers: 2, tokenizers: 2, shards: 2, top };
    let system = System::builder().workers(2).build().unwrap();
    let summary = count(&system, plan, documents, Console::new(io::stderr())).unwrap();
    system.shutdown(Duration::from_secs(60)).unwrap();
    // Ordering: see `Counting::add`.
    let peak = ALLOCATOR.peak.load(Ordering::Relaxed);

    let uses = uses.iter().reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect()).unwrap();
    let totals = expected(&vocabulary, &uses, top);
    println!("{} words, {} distinct, at most {} KiB at once", totals.words, totals.distinct, peak >> 10);
    assert_eq!((summary.files, summary.skipped, summary.bytes), (DOCUMENTS as u64, 0, TOTAL as u64));
    assert!(summary.totals == totals);
    assert!(peak < CAP, "{peak} bytes were live at once");
}
