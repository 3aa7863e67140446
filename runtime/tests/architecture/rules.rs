//! Each rule is shown a violation, and something that looks like one.

use super::*;

fn file<'a>(path: &'a str, text: &'a str) -> File<'a> {
    File::new(path, text, false)
}

/// The words of a file.
fn words(text: &str) -> Vec<String> {
    Source::new(text).tokens.iter().map(|t| t.text.to_owned()).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r###"
        // unsafe
        /* unsafe /* unsafe */ unsafe */
        let a = "unsafe \" unsafe"; let b = r#"unsafe " unsafe"#; let c = b"unsafe";
        let d = '"'; let e = '\''; let f: &'static str = "'"; let g = b'"'; let h = '→';
    "###;
    assert!(!words(text).contains(&"unsafe".to_owned()), "{:?}", words(text));
    assert_eq!(words("a // b\n/* c\n */ d").concat(), "ad");
    assert_eq!(words("'x: loop { unsafe {} }").concat(), "'x:loop{unsafe{}}");
    assert_eq!(Source::new("\"\n\n\" a").tokens[1].line, 2);
    assert_eq!(Source::new("/*\n*/ a").tokens[0].line, 1);
}

#[test]
fn grouped_paths_are_seen_one_by_one() {
    let source = Source::new("crate::{a, b::{c, d::e}, f as g, *}::x");
    let paths: Vec<String> = source.paths(0).iter().map(|p| p.join("::")).collect();
    assert_eq!(paths, ["a", "b::c", "b::d::e", "f", "*"]);
    assert_eq!(Source::new("crate::a::b::C::new()").paths(0), [["a", "b", "C", "new"]]);
}

#[test]
fn upward_imports_are_found() {
    for (path, text) in [
        ("kernel/node.rs", "use crate::engine::Handle;"),
        ("kernel/node.rs", "use crate::{sync::Arc, engine::Handle};"),
        ("kernel/node.rs", "fn f() { crate::actor::run() }"),
        ("kernel/node.rs", "use crate::dev_hooks::x;"),
        ("kernel/node.rs", "use crate::ActorRef;"),
        ("kernel/node.rs", "use super::super::actor::X;"),
        ("kernel/mod.rs", "use super::actor::X;"),
        ("kernel/mod.rs", "mod inner { use super::super::actor::X; }"),
        ("kernel/node.rs", "use super::super::{sync, actor};"),
        ("error.rs", "use super::sync::Arc;"),
        ("system/mod.rs", "use crate::supervision::Tree;"),
        ("engine/sim.rs", "use crate::sim::X;"),
        ("unheard_of.rs", ""),
    ] {
        assert_eq!(imports(&file(path, text)).1.len(), 1, "{path}: {text}");
    }
    for (path, text, count) in [
        ("kernel/node.rs", "use crate::sync::Arc; use crate::kernel::pool; // use crate::engine::X;", 2),
        ("kernel/node.rs", "use super::pool::X; mod tests { use super::super::pool::X; use super::*; }", 0),
        ("engine/threads/idle.rs", "use crate::time::Clock; use super::super::super::metrics::X;", 2),
        ("lib.rs", "pub use crate::interop::X;", 0),
        ("dev_hooks.rs", "pub use crate::sync;", 0),
    ] {
        let (n, found) = imports(&file(path, text));
        assert_eq!((n, found.len()), (count, 0), "{path}: {text} {found:?}");
    }
}

#[test]
fn misplaced_unsafe_is_found() {
    assert_eq!(unsafe_places(&file("engine/idle.rs", "fn f() { unsafe { g() } }")).1.len(), 1);
    assert_eq!(unsafe_places(&file("kernel/node.rs", "fn f() { unsafe { g() } }")), (1, vec![]));
    assert_eq!(unsafe_places(&file("engine/idle.rs", "#![forbid(unsafe_code)] // unsafe\n")), (0, vec![]));
}

#[test]
fn std_concurrency_is_found() {
    for text in [
        "use std::sync::Arc;",
        "use std::{fmt, sync::{Arc, Mutex as M}};",
        "use core::sync::atomic::AtomicUsize;",
        "fn f() { std::thread::yield_now() }",
        "use std::time::Instant;",
        "use std::time::{Duration, Instant};",
        "fn f() { let t = Instant::now(); }",
        "#[cfg(any(test, loom))] mod m { use std::thread; }",
        "#[cfg(not(test))] use std::thread;",
    ] {
        let found = std_concurrency(&file("engine/idle.rs", text));
        assert!(!found.is_empty(), "{text}");
        assert_eq!(std_concurrency(&file("sync/native.rs", text)), Vec::<String>::new());
    }
    for text in [
        "use std::time::Duration; use std::fmt; use crate::sync::Arc; use my::std::sync::X;",
        "#[cfg(test)] mod tests { use std::thread; fn f() { std::sync::mpsc::channel() } }",
        "#[cfg(all(test, not(loom)))] #[allow(x)] use std::thread;",
    ] {
        assert_eq!(std_concurrency(&file("engine/idle.rs", text)), Vec::<String>::new(), "{text}");
    }
    let whole = File::new("engine/tests.rs", "use std::thread;", true);
    assert_eq!(std_concurrency(&whole), Vec::<String>::new());
}

#[test]
fn test_modules_in_other_files_are_known() {
    let text = "#[cfg(test)] mod a; #[cfg(all(test, not(loom)))]\n#[path = \"b_tests.rs\"]\nmod b; #[cfg(any(test, x))] mod c;";
    assert_eq!(Source::new(text).test_items().1, ["a", "b_tests.rs"]);
}

#[test]
fn unexplained_atomics_are_found() {
    let far = format!("// Ordering: x\n{}a.load(Relaxed);", "\n".repeat(REACH));
    for text in [
        "a.load(Ordering::Relaxed);",
        "a\n.compare_exchange_weak(\nb,\nc,\nAcqRel,\nRelaxed);",
        "fence(SeqCst);",
        "AtomicUsize::fetch_add(&a, 1, Relaxed);",
        "fn f() {\n// Ordering: x\na.load(Relaxed);\n}\nfn g() {\na.load(Relaxed);\n}",
        "let s = \"// Ordering: x\"; a.swap(b, Release);",
        &far,
    ] {
        assert_eq!(orderings(&file("kernel/state.rs", text)).1.len(), 1, "{text}");
    }
    let near = format!("// Ordering: x\n{}a.load(Relaxed);", "\n".repeat(REACH - 1));
    for (text, count) in [
        ("// Ordering: x\na.load(Relaxed);\nb.store(1, Relaxed);", 2),
        ("a.load(Relaxed); // Ordering: x", 1),
        ("a.fetch_or(\n1,\n// Ordering: x\nRelaxed);", 1),
        ("// Ordering: x\n#[inline]\nfn f() { a.load(Relaxed); }", 1),
        ("// Ordering: x,\n// y,\n// z,\n// z,\n// z,\n// z,\n// z,\n// z,\na.load(Relaxed);", 1),
        ("v.swap(1, 2); f.load(path); pub fn fence(o: Ordering) {} a.load(order);", 0),
        (&near, 1),
    ] {
        let (n, found) = orderings(&file("kernel/state.rs", text));
        assert_eq!((n, found.len()), (count, 0), "{text}");
    }
}

#[test]
fn unexplained_unsafe_is_found() {
    for text in ["unsafe { f() }", "unsafe impl Send for X {}", "// safety?\nlet a = unsafe { f() };"] {
        assert_eq!(safety(&file("kernel/node.rs", text)).1.len(), 1, "{text}");
    }
    for text in ["// SAFETY: I1.\nunsafe { f() }", "unsafe fn f();", "// SAFETY: x\nunsafe impl Send for X {}"] {
        assert_eq!(safety(&file("kernel/node.rs", text)).1.len(), 0, "{text}");
    }
}

#[test]
fn young_language_is_found() {
    for text in [
        "if let Some(a) = b && a {}",
        "if a && let Some(b) = c {}",
        "while let Some(a) = f(b) && a > 1 {}",
        "match a { Some(b) if let Some(c) = b => {} }",
    ] {
        assert_eq!(language(&file("kernel/node.rs", text)).len(), 1, "{text}");
    }
    for text in [
        "if let Some(a) = (b && c) {}",
        "if a && b { let c = d && e; }",
        "match a { b if c && d => {} }",
        "if let Some(&&a) = b {}",
        "if matches!(a, b if c && d) {}",
    ] {
        assert_eq!(language(&file("kernel/node.rs", text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn leftovers_are_found() {
    let long = "\n".repeat(LONGEST_FILE + 1);
    for text in ["fn f() { todo!() }", "#[ignore = \"slow\"] fn f() {}", "unimplemented!()", &long] {
        assert_eq!(leftovers(&file("a.rs", text)).len(), 1, "{text}");
    }
    assert_eq!(leftovers(&file("a.rs", "// todo!()\nfn todo() {}")), Vec::<String>::new());
}

#[test]
fn machine_paths_are_found() {
    for (a, b) in
        [("see /ho", "me/me/x"), ("path = \"/ro", "ot/.cargo\""), ("/wo", "rk/main"), ("/tmp/ba", "sh_jobs.0")]
    {
        assert_eq!(machine_paths("a.md", &format!("one\n{a}{b}\n")).len(), 1);
    }
    assert_eq!(machine_paths("a.md", "target/x, ../work, https://example.org/work\n"), Vec::<String>::new());
}
