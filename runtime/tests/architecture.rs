//! The rules of the house, held against the sources: who may import whom, where `unsafe` and `std`'s concurrency may
//! stand, what must be explained, how long a file may be.
//!
//! Each rule is a function from one file to its violations, and has a test that feeds it a violation.
//! `cargo test --test architecture -- --show-output` says how much was checked.

#[path = "architecture/source.rs"]
mod source;

use source::Source;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The layers, lowest first. A module imports from layers below its own.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["sync"],
    &["kernel"],
    &["time", "metrics", "engine"],
    &["actor"],
    &["supervision", "system"],
    &["patterns"],
    &["sim", "interop"],
];
/// The layer whose modules may also import each other.
const SIBLINGS: &[&str] = &["time", "metrics", "engine"];
/// Above all layers: they may import everything, and nothing imports them.
const TOP: &[&str] = &["lib", "dev_hooks"];

/// The files of the library that may hold `unsafe`, each with its reason.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("sync/barrier.rs", "a system call"),
    ("kernel/node.rs", "a header and a payload of any type in one allocation"),
    ("kernel/mailbox.rs", "an intrusive list of nodes"),
    ("kernel/pool.rs", "a thread's own memory for nodes"),
    ("kernel/pool_tests.rs", "nodes that are taken and given back by hand"),
    ("kernel/slab.rs", "the memory itself, shared with those who free remotely"),
    ("kernel/cell.rs", "an actor's state behind a counted pointer"),
    ("kernel/children.rs", "a list of cells in two words"),
    ("kernel/inspect.rs", "an actor's own fields, for whoever has the right to run it"),
    ("kernel/ext.rs", "what few actors need, behind a pointer of the cell"),
    ("kernel/context.rs", "a running actor's own cell, lent to its handler"),
    ("kernel/front.rs", "messages that the holder of the right to run puts back"),
    ("kernel/turn.rs", "state and messages of the cell that the caller has the right to run"),
    ("kernel/restart.rs", "a state that is dropped and made anew in its cell, and the alarm that holds the cell"),
    ("kernel/retry.rs", "a clone in the place of a message whose handler has panicked"),
    ("kernel/special.rs", "as `turn.rs`, for what few actors have"),
    ("kernel/supervise.rs", "a parent and its children, each with its own right to run"),
    ("kernel/parcel.rs", "a node that is bound to its receiver"),
    ("kernel/grave.rs", "nodes whose payloads nobody will handle"),
    ("kernel/held.rs", "a chain of nodes that a tap keeps"),
    ("kernel/hub.rs", "counted references to a system, drawn in bundles"),
    ("kernel/slot.rs", "a runnable cell behind an atomic pointer"),
    ("kernel/local.rs", "a scoped thread-local reference"),
    ("kernel/resume.rs", "a continuation's node, shared by its wakers"),
    ("kernel/ask.rs", "a reply's slot in the node of its request, shared by three owners"),
    ("kernel/oldest.rs", "nodes that senders and consumer share under a lock"),
    ("kernel/place.rs", "a request's or reply's place in a node"),
    ("kernel/outbox.rs", "a chain of nodes and the counted pointer to its receiver"),
];

/// Modules that may reach `std`'s concurrency and clock.
const STD_MODULES: &[&str] = &["sync", "time"];

const LONGEST_FILE: usize = 600;
/// How many lines above the code an explanation may end.
const REACH: usize = 6;

/// A file of the library: its path below `src`, and its text.
struct File<'a> {
    path: &'a str,
    source: Source<'a>,
    /// Tokens that exist in test builds only.
    tests: Vec<Range<usize>>,
}

impl<'a> File<'a> {
    fn new(path: &'a str, text: &'a str, only_tests: bool) -> Self {
        let source = Source::new(text);
        let tests = if only_tests { iter::once(0..source.tokens.len()).collect() } else { source.test_items().0 };
        Self { path, source, tests }
    }

    /// The module at the crate's root that this file belongs to.
    fn top(&self) -> &'a str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// How deep below the crate's root the module of token `i` lies.
    fn depth(&self, i: usize) -> usize {
        let file = self.path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
        let inline = (0..i).filter(|at| {
            self.source.word(*at) == "mod" && self.source.word(at + 2) == "{" && self.source.closing(at + 2) > i
        });
        file + inline.count()
    }

    fn says(&self, i: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, self.source.tokens[i].line + 1)
    }

    fn in_tests(&self, i: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&i))
    }

    /// The tokens that start a path with `root`.
    fn roots(&self, root: &str) -> Vec<usize> {
        let s = &self.source;
        let starts = |i: &usize| {
            let nested = *i > 1 && s.word(i - 1) == "::" && s.word(i - 2).starts_with(|c: char| c.is_alphanumeric());
            s.word(*i) == root && s.word(i + 1) == "::" && !nested
        };
        (0..s.tokens.len()).filter(starts).collect()
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Imports of modules that do not lie below the file's own. Returns also how many imports there were.
fn imports(file: &File) -> (usize, Vec<String>) {
    let own = file.top();
    let (mut count, mut found) = (0, Vec::new());
    if TOP.contains(&own) {
        return (count, found);
    }
    let Some(height) = layer(own) else {
        return (count, vec![format!("{}: the module `{own}` stands in no layer", file.path)]);
    };
    let mut check = |i: usize, module: &str| {
        count += 1;
        let below = layer(module).is_some_and(|l| l < height);
        let sibling = SIBLINGS.contains(&own) && SIBLINGS.contains(&module);
        if !(below || sibling || module == own) {
            found.push(file.says(i, format_args!("`{own}` imports `{module}`, which is not below it")));
        }
    };
    for i in file.roots("crate") {
        // In a macro the module may be a parameter; its callers are looked at where they stand.
        for path in file.source.paths(i).iter().filter(|path| path[0] != "$") {
            check(i, path[0]);
        }
    }
    for i in file.roots("super") {
        // As many `super` as the module is deep lead to the crate's root.
        let up = file.depth(i) - 1;
        for path in file.source.paths(i) {
            if path.len() > up && path[..up].iter().all(|word| *word == "super") && !["*", "$"].contains(&path[up]) {
                check(i, path[up]);
            }
        }
    }
    (count, found)
}

/// `unsafe` where it is not allowed. Returns also how many there were.
fn unsafe_places(file: &File) -> (usize, Vec<String>) {
    let all: Vec<usize> = (0..file.source.tokens.len()).filter(|i| file.source.word(*i) == "unsafe").collect();
    let allowed = UNSAFE_FILES.iter().any(|(path, _)| *path == file.path);
    let what = format!("here and {} times in all: `unsafe` outside the files that may hold it", all.len());
    let found = all.first().filter(|_| !allowed).map(|first| file.says(*first, what));
    (all.len(), found.into_iter().collect())
}

/// `std`'s concurrency and clock outside the modules that wrap them.
fn std_concurrency(file: &File) -> Vec<String> {
    if STD_MODULES.contains(&file.top()) {
        return Vec::new();
    }
    let s = &file.source;
    let mut found = Vec::new();
    for i in ["std", "core", "alloc"].iter().flat_map(|root| file.roots(root)) {
        for path in s.paths(i) {
            let clock = path.len() > 1 && path[0] == "time" && ["Instant", "SystemTime", "*"].contains(&path[1]);
            if (clock || ["sync", "thread", "*"].contains(&path[0])) && !file.in_tests(i) {
                found.push(
                    file.says(i, format_args!("`{}::{}` goes through `sync` or `time`", s.word(i), path.join("::"))),
                );
            }
        }
    }
    for i in 0..s.tokens.len() {
        if s.reads(i, &["Instant", "::", "now"]) && !file.in_tests(i) {
            found.push(file.says(i, "`Instant::now` is for the clock alone"));
        }
    }
    found
}

/// Atomic operations without an `Ordering:` comment. Returns also how many there were.
fn orderings(file: &File) -> (usize, Vec<String>) {
    const ORDERINGS: [&str; 6] = ["Ordering", "Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let s = &file.source;
    let (mut count, mut found) = (0, Vec::new());
    for i in 0..s.tokens.len() {
        let name = s.word(i);
        let before = if i > 0 { s.word(i - 1) } else { "" };
        let method = ["load", "store", "swap"].contains(&name)
            || name.starts_with("compare_exchange")
            || name.starts_with("fetch_");
        let operation = method && (before == "." || before == "::")
            || ["fence", "compiler_fence"].contains(&name) && before != "fn";
        if !operation || s.word(i + 1) != "(" {
            continue;
        }
        let close = s.closing(i + 1);
        if !(i + 2..close).any(|at| ORDERINGS.contains(&s.word(at))) {
            continue;
        }
        count += 1;
        let last = s.tokens.get(close).map_or(s.tokens[i].line, |t| t.line);
        if !s.explained("Ordering:", s.tokens[i].line, last, REACH) {
            found.push(file.says(i, format_args!("`{name}` lacks an `// Ordering:` comment")));
        }
    }
    (count, found)
}

/// Unsafe blocks and impls without a `SAFETY:` comment. Returns also how many there were.
fn safety(file: &File) -> (usize, Vec<String>) {
    let s = &file.source;
    let starts = |i: &usize| s.word(*i) == "unsafe" && ["{", "impl", "extern"].contains(&s.word(i + 1));
    let all: Vec<usize> = (0..s.tokens.len()).filter(starts).collect();
    let bare = |i: &&usize| !s.explained("SAFETY:", s.tokens[**i].line, s.tokens[**i].line, REACH);
    let found = all.iter().filter(bare).map(|i| file.says(*i, "`unsafe` lacks a `// SAFETY:` comment"));
    (all.len(), found.collect())
}

/// Language younger than the library's `rust-version` that no lint of clippy's reports: chains of `let`, and `let` in
/// a match guard.
fn language(file: &File) -> Vec<String> {
    let s = &file.source;
    let mut found = Vec::new();
    for i in (0..s.tokens.len()).filter(|i| ["if", "while"].contains(&s.word(*i))) {
        let (mut at, mut lets, mut ands) = (i + 1, false, false);
        while at < s.tokens.len() && !["{", "=>", ";", "}"].contains(&s.word(at)) {
            lets |= s.word(at) == "let";
            ands |= s.word(at) == "&&" && lets || s.word(at) == "&&" && s.word(at + 1) == "let";
            at = if ["(", "["].contains(&s.word(at)) { s.closing(at) + 1 } else { at + 1 };
        }
        if lets && ands {
            found.push(file.says(i, "a chain of `let` needs Rust 1.88"));
        } else if lets && s.word(at) == "=>" {
            found.push(file.says(i, "`let` in a match guard needs Rust 1.95"));
        }
    }
    found
}

/// What must not be left behind, in any Rust file of the workspace.
fn leftovers(file: &File) -> Vec<String> {
    let s = &file.source;
    let mut found = Vec::new();
    for i in 0..s.tokens.len() {
        if ["todo", "unimplemented"].contains(&s.word(i)) && s.word(i + 1) == "!" {
            found.push(file.says(i, format_args!("`{}!`", s.word(i))));
        }
        if s.reads(i, &["#", "[", "ignore"]) {
            found.push(file.says(i, "an ignored test"));
        }
    }
    let lines = s.text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", file.path));
    }
    found
}

/// Paths that exist on one machine only.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    // In halves, or this file would be its own first find.
    let foreign = [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/tmp/ba", "sh_jobs"), ("/tmp/tar", "get-")];
    let foreign = foreign.map(|(a, b)| format!("{a}{b}"));
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for each in foreign.iter().filter(|each| line.contains(each.as_str())) {
            found.push(format!("{path}:{}: `{each}` is a path of one machine", n + 1));
        }
    }
    found
}

/// Everything below `dir` that ends in `.rs`, as paths below `dir`.
fn rust_files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path.strip_prefix(dir).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Runs `rule` over the library's files.
fn over_library(mut rule: impl FnMut(&File)) {
    let read = |path: String| (fs::read_to_string(library().join(&path)).unwrap(), path);
    let texts: Vec<(String, String)> = rust_files(&library()).into_iter().map(read).collect();
    let mut only_tests = BTreeSet::new();
    for (text, path) in &texts {
        let stem = path.trim_end_matches("lib.rs").trim_end_matches("mod.rs").trim_end_matches(".rs");
        let dir = if stem.is_empty() || stem.ends_with('/') { stem.to_owned() } else { format!("{stem}/") };
        let beside = path.rfind('/').map_or("", |slash| &path[..=slash]);
        for child in Source::new(text).test_items().1 {
            only_tests.insert(format!("{beside}{child}"));
            only_tests.insert(format!("{dir}{child}.rs"));
            only_tests.insert(format!("{dir}{child}/mod.rs"));
        }
    }
    assert!(!texts.is_empty());
    for (text, path) in &texts {
        rule(&File::new(path, text, only_tests.contains(path)));
    }
}

/// The files of the repository, as paths below its root: what git tracks. None without git or a repository around.
fn repository() -> Option<(PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.to_owned();
    if !root.join(".ci").is_dir() {
        return None;
    }
    let out = Command::new("git").arg("-C").arg(&root).args(["ls-files", "-z"]).output().ok()?;
    let files: Vec<String> =
        String::from_utf8(out.stdout).ok()?.split('\0').filter(|f| root.join(f).is_file()).map(str::to_owned).collect();
    (out.status.success() && !files.is_empty()).then_some((root, files))
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn imports_go_down() {
    let (mut files, mut count, mut found) = (0, 0, Vec::new());
    over_library(|file| {
        let (n, bad) = imports(file);
        (files, count) = (files + 1, count + n);
        found.extend(bad);
    });
    println!("{files} files, {count} imports between modules");
    none(&found);
}

#[test]
fn unsafe_stands_in_its_files_and_is_explained() {
    let (mut count, mut explained, mut found) = (0, 0, Vec::new());
    let mut unused: Vec<&str> = UNSAFE_FILES.iter().map(|(path, _)| *path).collect();
    over_library(|file| {
        let (n, bad) = unsafe_places(file);
        if n > 0 {
            unused.retain(|path| *path != file.path);
        }
        count += n;
        found.extend(bad);
        let (n, bad) = safety(file);
        explained += n;
        found.extend(bad);
    });
    found.extend(unused.iter().map(|path| format!("{path}: may hold `unsafe`, but holds none")));
    println!("{count} times `unsafe`, {explained} of them blocks and impls, in {} files", UNSAFE_FILES.len());
    none(&found);
}

#[test]
fn concurrency_comes_from_sync_and_time_from_the_clock() {
    let mut found = Vec::new();
    over_library(|file| found.extend(std_concurrency(file)));
    none(&found);
}

#[test]
fn atomics_are_explained() {
    let (mut count, mut found) = (0, Vec::new());
    over_library(|file| {
        let (n, bad) = orderings(file);
        count += n;
        found.extend(bad);
    });
    println!("{count} atomic operations");
    none(&found);
}

#[test]
fn language_is_as_old_as_declared() {
    let mut found = Vec::new();
    over_library(|file| found.extend(language(file)));
    none(&found);
}

#[test]
fn the_repository_is_tidy() {
    let Some((root, files)) = repository() else {
        println!("no repository around the package: nothing to check");
        return;
    };
    let (mut texts, mut rust, mut found) = (0, 0, Vec::new());
    for path in &files {
        // What is no text has no lines to look at.
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        texts += 1;
        found.extend(machine_paths(path, &text));
        if path.ends_with(".rs") {
            rust += 1;
            let file = File::new(path, &text, false);
            found.extend(leftovers(&file));
            found.extend(safety(&file).1);
        }
    }
    println!("{texts} text files, {rust} of them Rust");
    none(&found);
}

#[path = "architecture/rules.rs"]
mod rules;
