//! Tells the binary which compiler and profile built it; every report carries both.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .unwrap_or_default();
    let profile = env::var("PROFILE").unwrap_or_default();
    let level = env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=PERF_TOOLCHAIN={}", version.trim());
    println!("cargo::rustc-env=PERF_PROFILE={profile}, opt-level {level}");
    println!("cargo::rerun-if-changed=build.rs");
}
