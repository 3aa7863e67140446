//! The program as its users and its own parent process meet it.

use serde_json::Value;
use std::{
    fs,
    process::{Command, Output},
};

fn perf(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_perf")).args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn one_job_prints_one_record() {
    let out = perf(&["one", "--bench", "fanin", "--scale", "0.001", "--workers", "2", "--count-allocations"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let line = text(&out.stdout);
    assert_eq!(line.lines().count(), 1, "{line}");
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["invalid"], Value::Null);
    assert_eq!(record["samples"][0]["operations"], 8000);
    assert!(record["samples"][0]["allocations"].is_u64(), "{line}");
}

#[test]
fn bad_arguments_exit_with_three_and_name_the_value() {
    for (args, named) in [
        (&["run", "--bench", "pong"][..], "`pong`"),
        (&["run", "--workers", "0"], "`0`"),
        (&["compare", "no-such-file.json", "neither.json"], "no-such-file.json"),
        (&["walk"], "`walk`"),
    ] {
        let out = perf(args);
        assert_eq!(out.status.code(), Some(3), "{args:?}");
        assert!(text(&out.stderr).contains(named), "{args:?}: {}", text(&out.stderr));
    }
}

#[test]
fn help_goes_to_stdout() {
    let out = perf(&["--help"]);
    assert!(out.status.success());
    assert!(text(&out.stdout).contains("perf compare OLD NEW"));
}

#[test]
fn a_run_is_printed_written_and_the_same_as_itself() {
    let file = std::env::temp_dir().join(format!("perf-cli-{}.json", std::process::id()));
    let path = file.to_str().unwrap();
    let args = ["run", "--bench", "ring,relief", "--runs", "2", "--warmup", "0", "--scale", "0.01", "--json", path];
    let out = perf(&args);
    assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
    let printed = text(&out.stdout);
    for part in ["machine:", "ring ", "relief: ", "The same for all"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["schema"], 1);
    let runs = report["runs"].as_array().unwrap();
    assert!(runs.iter().all(|run| run["invalid"].is_null()), "{report}");
    // Two timed rounds and a counting pass, with one worker and with two.
    let runtimes = report["runtimes"].as_array().unwrap().len();
    assert_eq!(runs.iter().filter(|run| run["bench"] == "ring").count(), 3 * 2 * runtimes);
    // The times are those of a toy, so only what is certain: a report is not worse than itself.
    let same = perf(&["compare", path, path, "--tolerance", "100"]);
    fs::remove_file(&file).unwrap();
    assert_ne!(same.status.code(), Some(1), "{}{}", text(&same.stdout), text(&same.stderr));
}
