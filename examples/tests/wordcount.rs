//! `wordcount` gives the answer of a plain sequential count, whatever the files and the numbers of actors, and says
//! what it could not read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cuelight::{Actor, Context, Handler, System};
use examples::wordcount::chunk::{CHUNK, CREDITS, Chunk};
use examples::wordcount::console::{Console, Event};
use examples::wordcount::document::{Document, Source, walk};
use examples::wordcount::job::{Failure, Next, Outcome, Plan, Summary};
use examples::wordcount::reader::{Assign, Reader};
use examples::wordcount::tally::Totals;
use examples::wordcount::text::MAX_WORD;
use examples::wordcount::tokenizer::Split;
use examples::wordcount::{args::USAGE, count};

const LIMIT: Duration = Duration::from_secs(60);

/// A folder that is there for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, file: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn files(&self) -> Vec<Box<dyn Document>> {
        let found = walk(&self.0, &[]).unwrap();
        assert!(found.skipped.is_empty());
        boxed(found.files)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn boxed<D: Document>(documents: impl IntoIterator<Item = D>) -> Vec<Box<dyn Document>> {
    documents.into_iter().map(|document| Box::new(document) as Box<dyn Document>).collect()
}

/// The same definition of a word, by other means: the whole text at once, decoded by the standard library.
fn sequential(texts: &[Vec<u8>]) -> Totals {
    let mut counts = BTreeMap::<String, u64>::new();
    for text in texts {
        let text = String::from_utf8_lossy(text);
        for run in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            let mut piece = String::new();
            for c in run.chars() {
                if piece.len() + c.len_utf8() > MAX_WORD {
                    *counts.entry(std::mem::take(&mut piece)).or_default() += 1;
                }
                piece.push(c);
            }
            if !piece.is_empty() {
                *counts.entry(piece).or_default() += 1;
            }
        }
    }
    let words = counts.values().sum();
    let distinct = counts.len() as u64;
    let mut top: Vec<(String, u64)> = counts.into_iter().collect();
    // Stable, so equals stay in the order of the map.
    top.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    Totals { words, distinct, top }
}

fn plan(readers: usize, tokenizers: usize, shards: usize) -> Plan {
    Plan { readers, tokenizers, shards, top: usize::MAX }
}

fn run(workers: usize, plan: Plan, documents: Vec<Box<dyn Document>>) -> Outcome {
    let system = System::builder().workers(workers).build().unwrap();
    let outcome = count(&system, plan, documents, Console::new(io::sink()));
    system.shutdown(LIMIT).unwrap();
    outcome
}

/// Counts a folder of these texts in several ways, all of which must agree with the sequential count.
fn check(name: &str, texts: &[Vec<u8>]) {
    let mut folder = Folder::new(name);
    for (n, text) in texts.iter().enumerate() {
        folder = folder.with(&format!("{}/{n}.txt", n % 3), text);
    }
    let expected = Summary {
        files: texts.len() as u64,
        skipped: 0,
        bytes: texts.iter().map(|text| text.len() as u64).sum(),
        totals: sequential(texts),
    };
    for (workers, plan) in [(1, plan(0, 0, 0)), (1, plan(1, 1, 1)), (2, plan(2, 2, 3)), (4, plan(3, 1, 16))] {
        let summary = run(workers, plan, folder.files()).unwrap();
        assert!(summary == expected, "{name} with {workers} workers and {plan:?}");
    }
}

/// Bytes that look like nothing, always the same.
fn noise(len: usize, mut state: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.push((state >> 40) as u8);
    }
    bytes
}

#[test]
fn an_empty_folder() {
    check("none", &[]);
}

#[test]
fn empty_files_and_missing_newlines() {
    check("small", &[b"".into(), b"one".into(), b"".into(), b"two one".into(), b"\n".into(), b"one\r\ntwo\r\n".into()]);
}

#[test]
fn words_across_chunks() {
    // The middle of a word, of a character and of a line end at each place near the cut.
    let mut texts = Vec::new();
    for back in 0..8 {
        for middle in ["wording", "Straße", "東京都", "a𝒳b", "\r\nx\r\n", "é—é"] {
            let mut text = "ab ".repeat(CHUNK).into_bytes();
            text.truncate(CHUNK - back);
            text.extend_from_slice(middle.as_bytes());
            text.extend_from_slice(&b" tail".repeat(CHUNK / 4));
            texts.push(text);
        }
    }
    check("across", &texts);
}

#[test]
fn files_as_long_as_chunks() {
    check(
        "exact",
        &[CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK].map(|len| {
            let mut text = "seven, ".repeat(len / 7 + 1).into_bytes();
            text.truncate(len);
            text
        }),
    );
}

#[test]
fn words_longer_than_a_chunk() {
    let mut texts = Vec::new();
    for c in ["x", "é", "東", "𝒳"] {
        texts.push(format!("a {} b", c.repeat(CHUNK)).into_bytes());
        texts.push(c.repeat(CHUNK).into_bytes());
        texts.push([b"\xff", c.repeat(3 * CHUNK).as_bytes(), b"\xf0\x9f"].concat());
    }
    check("long", &texts);
}

#[test]
fn unicode() {
    let text = "Größe, größe — ГОРОД город; 東京 とうきょう! e\u{301}té été 42nd _x_ ½ ٣ नमस्ते";
    check(
        "unicode",
        &[text.into(), text.repeat(2000).into(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()],
    );
}

#[test]
fn binary_garbage() {
    let halves = b"\xe0\x80\xf0\x9f\x98a\xc3".repeat(CHUNK / 3);
    check("garbage", &[noise(3 * CHUNK + 17, 1), noise(100, 2), halves, vec![0; CHUNK], vec![0x80; 2 * CHUNK + 1]]);
}

#[test]
fn many_small_files() {
    let texts: Vec<Vec<u8>> = (0..300).map(|n| format!("file {n} of many").into_bytes()).collect();
    check("many", &texts);
}

#[test]
fn only_so_many_are_listed() {
    let folder = Folder::new("top").with("a", "b a c b c c d d d");
    let top = |top| run(2, Plan { top, ..plan(1, 1, 3) }, folder.files()).unwrap().totals;
    assert_eq!(top(0), Totals { words: 9, distinct: 4, top: Vec::new() });
    assert_eq!(top(3).top, [("c".into(), 3), ("d".into(), 3), ("b".into(), 2)]);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new("links").with("in/a", "one");
    symlink("..", folder.0.join("in/up")).unwrap();
    symlink(&folder.0, folder.0.join("loop")).unwrap();
    symlink("in/a", folder.0.join("again")).unwrap();
    symlink("nowhere", folder.0.join("dangling")).unwrap();
    let summary = run(1, plan(1, 1, 1), folder.files()).unwrap();
    assert_eq!((summary.files, summary.totals.words), (1, 1));
    // What is named is followed.
    assert_eq!(walk(&folder.0.join("loop"), &[]).unwrap().files.len(), 1);
    assert_eq!(walk(&folder.0.join("again"), &[]).unwrap().files.len(), 1);
}

#[test]
fn names_can_be_left_out() {
    let folder = Folder::new("but").with("a", "x").with("target/b", "x").with("in/target/c", "x").with("in/d", "x");
    let files = walk(&folder.0, &["target"]).unwrap().files;
    assert_eq!(files, [folder.0.join("a"), folder.0.join("in/d")]);
}

/// A document in memory that does not always behave.
struct Odd {
    text: &'static [u8],
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Ends,
    Fails,
    Panics,
    DoesNotOpen,
}

impl Document for Odd {
    fn name(&self) -> String {
        String::from_utf8_lossy(self.text).into_owned()
    }

    fn open(&self) -> io::Result<Source> {
        match self.then {
            Then::DoesNotOpen => Err(io::Error::other("locked")),
            then => Ok(Box::new(OddSource { text: self.text, then })),
        }
    }
}

struct OddSource {
    text: &'static [u8],
    then: Then,
}

impl Read for OddSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.text.read(into)? {
            0 if self.then == Then::Fails => Err(io::Error::other("torn")),
            0 if self.then == Then::Panics => panic!("as the test wants"),
            len => Ok(len),
        }
    }
}

/// What a console wrote.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn unreadable_documents_are_named_and_the_rest_counted() {
    let folder = Folder::new("gone").with("a", "here").with("b", "gone");
    let mut documents = folder.files();
    fs::remove_file(folder.0.join("b")).unwrap();
    documents.extend(boxed([
        Odd { text: b"fine", then: Then::Ends },
        Odd { text: b"half", then: Then::Fails },
        Odd { text: b"shut", then: Then::DoesNotOpen },
    ]));
    let system = System::builder().workers(2).build().unwrap();
    let page = Page::default();
    let summary = count(&system, plan(2, 1, 2), documents, Console::new(page.clone())).unwrap();
    system.shutdown(LIMIT).unwrap();

    assert_eq!((summary.files, summary.skipped, summary.bytes), (2, 3, 12));
    let words = ["fine", "half", "here"].map(|word| (word.to_string(), 1));
    assert_eq!(summary.totals.top, words);
    let page = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    let mut lines: Vec<&str> = page.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 3, "{page}");
    assert!(lines[0].starts_with(&format!("cannot read {}: ", folder.0.join("b").display())), "{page}");
    assert_eq!(lines[1..], ["cannot read half: torn", "cannot read shut: locked"]);
}

#[test]
fn the_end_of_a_part_is_an_error() {
    let outcome = run(2, plan(1, 1, 1), boxed([Odd { text: b"one", then: Then::Panics }]));
    assert!(matches!(outcome, Err(Failure::Ended(_))), "{outcome:?}");
}

/// Keeps the chunks that a reader sends until it is told to let one go; stands in for all that come after a reader.
#[derive(Default)]
struct Hoard {
    chunks: Vec<Chunk>,
    seen: usize,
    most: usize,
    over: bool,
}

struct LetGo(usize);
struct Look;

impl Actor for Hoard {}

impl Handler<Split> for Hoard {
    type Reply = ();

    fn handle(&mut self, Split(chunk): Split, _: &mut Context<Self>) {
        self.chunks.push(chunk);
        self.seen += 1;
        self.most = self.most.max(self.chunks.len());
    }
}

impl Handler<LetGo> for Hoard {
    type Reply = ();

    fn handle(&mut self, LetGo(n): LetGo, _: &mut Context<Self>) {
        for chunk in self.chunks.drain(..n) {
            Chunk::release(Arc::new(chunk));
        }
    }
}

impl Handler<Look> for Hoard {
    type Reply = (usize, usize, bool);

    fn handle(&mut self, _: Look, _: &mut Context<Self>) -> (usize, usize, bool) {
        (self.seen, self.most, self.over)
    }
}

impl Handler<Event> for Hoard {
    type Reply = ();

    fn handle(&mut self, _: Event, _: &mut Context<Self>) {}
}

impl Handler<Next> for Hoard {
    type Reply = ();

    fn handle(&mut self, next: Next, _: &mut Context<Self>) {
        self.over = next.read.is_some();
    }
}

#[test]
fn a_reader_without_credit_does_not_read() {
    const CHUNKS: usize = 100;
    let text: &'static [u8] = Box::leak(" ".repeat(CHUNKS * CHUNK).into_bytes().into_boxed_slice());
    let system = System::builder().workers(2).build().unwrap();
    let hoard = system.spawn(Hoard::default());
    let tokenizers = vec![hoard.recipient()];
    let reader = system.spawn(Reader::new(hoard.recipient(), hoard.recipient(), tokenizers, 1));
    reader.tell(Assign(Some(Box::new(Odd { text, then: Then::Ends })))).unwrap();

    let until = Instant::now() + LIMIT;
    let wait_for = |chunks: usize| {
        loop {
            let (seen, most, over) = hoard.ask(Look).wait().unwrap();
            assert!(most <= CREDITS, "{most} chunks without credit");
            if seen == chunks {
                break over;
            }
            assert!(Instant::now() < until, "{seen} chunks of {chunks}");
        }
    };
    for seen in CREDITS..CHUNKS {
        assert!(!wait_for(seen));
        hoard.tell(LetGo(1)).unwrap();
    }
    wait_for(CHUNKS);
    assert!(!reader.is_stopped());
    hoard.tell(LetGo(CREDITS)).unwrap();
    system.shutdown(LIMIT).unwrap();
}

fn wordcount(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wordcount")).args(args).output().unwrap()
}

#[test]
fn the_program_prints_the_same_each_time() {
    let folder = Folder::new("cli").with("a", "to be or not to be\n").with("in/b", "to be");
    let path = folder.0.to_str().unwrap();
    for _ in 0..3 {
        let out = wordcount(&[path, "--workers", "2", "--top", "3", "--shards", "5"]);
        assert!(out.status.success(), "{out:?}");
        let expected = "\
files                 2
skipped               0
bytes                24
words                 8
distinct              4
                      3  be
                      3  to
                      1  not
";
        assert_eq!(String::from_utf8(out.stdout).unwrap(), expected);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(stderr.contains("MB/s") && !stderr.contains('\r'), "{stderr}");
    }
}

#[test]
fn the_program_counts_its_own_sources() {
    let out = wordcount(&[]);
    assert!(out.status.success(), "{out:?}");
    assert!(out.stdout.starts_with(b"files "), "{out:?}");
}

#[test]
fn the_program_says_what_is_wrong() {
    let folder = Folder::new("wrong");
    let missing = folder.0.join("missing");
    let missing = missing.to_str().unwrap();
    for (args, code, message) in [
        (&[missing][..], 1, format!("wordcount: cannot read {missing}: ")),
        (&["--speed"], 2, "wordcount: there is no option --speed".into()),
        (&["--workers", "0"], 2, "wordcount: --workers cannot be 0".into()),
    ] {
        let out = wordcount(args);
        assert_eq!(out.status.code(), Some(code), "{out:?}");
        assert!(out.stdout.is_empty());
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(stderr.starts_with(&message), "{stderr}");
    }
    let out = wordcount(&["--help"]);
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim_end(), USAGE);
}
