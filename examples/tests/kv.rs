//! The key-value service, over TCP: what it says to good and bad requests, that it keeps what it has promised to keep when
//! its shards fail, what a client that misbehaves costs others, and how it ends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use examples::kv::args::{LOAD_USAGE, SERVER_USAGE};
use examples::kv::client::{Answer, Client};
use examples::kv::load::{self, Plan};
use examples::kv::protocol::{MAX_KEY, MAX_LINE, MAX_VALUE};
use examples::kv::server::{CREDITS, Config, Server};

const LIMIT: Duration = Duration::from_secs(60);

fn start(config: Config) -> Server {
    Server::start(&Config { address: ([127, 0, 0, 1], 0).into(), workers: Some(2), ..config }).unwrap()
}

/// Ends a server, whose books must agree.
fn end(server: Server) {
    let counters = server.stop().unwrap();
    assert_eq!((counters.in_flight(), counters.live_actors), (0, 0), "{counters}");
    assert_eq!(counters.sent, counters.handled + counters.returned + counters.dead_lettered, "{counters}");
}

fn connect(server: &Server) -> Client {
    Client::connect(server.address()).unwrap()
}

fn value(text: &str) -> Answer {
    Answer::Value(text.into())
}

fn ok() -> Answer {
    Answer::Status("OK".into())
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// A number that the server tells about itself.
fn stat(client: &mut Client, name: &str) -> u64 {
    let Answer::Value(text) = client.ask(&["STATS"]).unwrap() else { panic!("no stats") };
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// All that is said to these bytes, by a server that then ends the connection.
fn said_to(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn a_conversation_by_hand() {
    let server = start(Config::default());
    let said = said_to(
        &server,
        "set name cue light\nGET name\r\n\r\nget nobody\nDEL name\nDEL name\nINCR n\nINCR n\nPING\nQUIT\nGET n\n"
            .as_bytes(),
    );
    assert_eq!(said, "+OK\r\n$9\r\ncue light\r\n$-1\r\n:1\r\n:0\r\n:1\r\n:2\r\n+PONG\r\n+OK\r\n");
    end(server);
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let server = start(Config::default());
    let said =
        said_to(&server, b"FLY away\nGET\nSET a\nGET a b\nGET \xc3\x28\nINCR a\nSET a x\nINCR a\nPANIC a\nPING\n");
    let expected = "\
-ERR unknown command 'FLY': GET, SET, DEL, INCR, STATS, PING, QUIT and SHUTDOWN are known
-ERR wrong number of arguments: GET key
-ERR wrong number of arguments: SET key value
-ERR wrong number of arguments: GET key
-ERR not UTF-8
:1
+OK
-ERR the value is not a whole number of 64 bits
-ERR PANIC is for servers that were started with --chaos
+PONG
";
    assert_eq!(said.replace('\r', ""), expected);
    let said = said_to(&server, b"*1\r\n$9\r\nPING\r\nPING\r\nPING\r\n");
    assert_eq!(said, "-ERR protocol error: a part that is longer than it says\r\n");
    end(server);
}

#[test]
fn limits() {
    let server = start(Config::default());
    let mut client = connect(&server);
    let (key, text) = ("k".repeat(MAX_KEY), "ä".repeat(MAX_VALUE / 2));
    assert_eq!(client.ask(&["SET", &key, &text]).unwrap(), ok());
    assert_eq!(client.ask(&["GET", &key]).unwrap(), value(&text));
    let error = |text: String| Answer::Error(format!("ERR {text}"));
    let long = format!("{key}k");
    let wrong = format!("a key of {} bytes: 1 to {MAX_KEY} are allowed", MAX_KEY + 1);
    assert_eq!(client.ask(&["GET", &long]).unwrap(), error(wrong));
    client.push_raw(format!("SET k {text}x\n").as_bytes());
    client.flush().unwrap();
    let wrong = format!("a value of {} bytes: at most {MAX_VALUE} are allowed", MAX_VALUE + 1);
    assert_eq!(client.answer().unwrap(), error(wrong));
    client.push_raw("x".repeat(20 * MAX_LINE).as_bytes());
    client.push_raw(b"\nPING\n");
    client.flush().unwrap();
    assert_eq!(client.answer().unwrap(), error(format!("a line of more than {MAX_LINE} bytes")));
    assert_eq!(client.answer().unwrap(), Answer::Status("PONG".into()));
    assert_eq!(client.ask(&["SET", "n", &i64::MAX.to_string()]).unwrap(), ok());
    assert_eq!(client.ask(&["INCR", "n"]).unwrap(), error(format!("the number cannot grow beyond {}", i64::MAX)));
    end(server);
}

#[test]
fn many_requests_at_once_are_answered_in_order() {
    let server = start(Config::default());
    let mut client = connect(&server);
    let requests = 10 * CREDITS + 1;
    for n in 0..requests {
        let key = format!("{}", n % 7);
        client.push(&["INCR", &key]);
        client.push(&["GET", &key]);
    }
    client.flush().unwrap();
    for n in 0..requests {
        let number = n / 7 + 1;
        assert_eq!(client.answer().unwrap(), Answer::Number(number as i64));
        assert_eq!(client.answer().unwrap(), value(&number.to_string()));
    }
    end(server);
}

#[test]
fn as_many_connections_as_are_allowed() {
    let server = start(Config { connections: 2, ..Config::default() });
    let (mut one, mut other) = (connect(&server), connect(&server));
    for client in [&mut one, &mut other] {
        assert_eq!(client.ask(&["PING"]).unwrap(), Answer::Status("PONG".into()));
    }
    let mut third = connect(&server);
    assert_eq!(third.answer().unwrap(), Answer::Error("ERR too many connections: 2 at most".into()));
    assert!(third.answer().is_err());
    assert_eq!(other.ask(&["QUIT"]).unwrap(), ok());
    eventually("there is room again", || {
        let mut next = connect(&server);
        next.ask(&["SET", "a", "1"]).is_ok_and(|answer| answer == ok())
    });
    assert_eq!(one.ask(&["GET", "a"]).unwrap(), value("1"));
    end(server);
}

#[test]
fn clients_that_go_leave_nothing_behind() {
    let server = start(Config::default());
    let mut client = connect(&server);
    for n in 0..20 {
        // In the middle of a request, and with answers that nobody reads.
        let mut rude = TcpStream::connect(server.address()).unwrap();
        rude.write_all(&b"INCR n\n".repeat(CREDITS * (n % 3))).unwrap();
        rude.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\nhal").unwrap();
    }
    eventually("all have come", || stat(&mut client, "accepted") == 21);
    eventually("they are gone", || stat(&mut client, "connections") == 1);
    assert_eq!(client.ask(&["GET", "k"]).unwrap(), Answer::Nil);
    end(server);
}

#[test]
fn one_that_does_not_read_holds_up_nobody_else() {
    let server = start(Config::default());
    let mut client = connect(&server);
    assert_eq!(client.ask(&["SET", "long", &"x".repeat(MAX_VALUE)]).unwrap(), ok());
    let mut deaf = TcpStream::connect(server.address()).unwrap();
    deaf.set_nonblocking(true).unwrap();
    // Until nothing more fits anywhere: the server has stopped reading. Others are served all the same.
    let requests = b"GET long\n".repeat(1000);
    let (mut sent, mut full, mut served) = (0, 0, 0);
    while full < 50 {
        match deaf.write(&requests[sent % requests.len()..]) {
            Ok(count) => (sent, full) = (sent + count, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                (full, served) = (full + 1, served + 1);
                assert_eq!(client.ask(&["INCR", "n"]).unwrap(), Answer::Number(served));
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{sent} bytes of requests were taken from one that does not read");
    drop(deaf);
    end(server);
}

#[test]
fn what_was_answered_outlives_the_shard() {
    let server = start(Config { chaos: true, ..Config::default() });
    let mut client = connect(&server);
    for n in 0..10 {
        let (key, text) = (format!("key {n}"), format!("text {n}"));
        assert_eq!(client.ask(&["SET", &key, &text]).unwrap(), ok());
        assert_eq!(client.ask(&["INCR", "n"]).unwrap(), Answer::Number(n + 1));
        // All at once: the shard fails between them.
        client.push(&["DEL", "n"]);
        client.push(&["SET", "n", &(n + 1).to_string()]);
        client.push(&["PANIC", "n"]);
        client.push(&["PANIC", &key]);
        client.push(&["GET", &key]);
        client.flush().unwrap();
        assert_eq!((client.answer().unwrap(), client.answer().unwrap()), (Answer::Number(1), ok()));
        for _ in 0..2 {
            let failed = client.answer().unwrap();
            assert!(failed.is_error("FAILED"), "{failed:?}");
        }
        // It may have come to the shard that failed, and been dropped with it.
        let read = client.answer().unwrap();
        assert!(read == value(&text) || read.is_error("FAILED"), "{read:?}");
        assert_eq!(client.ask(&["GET", &key]).unwrap(), value(&text));
    }
    for n in 0..10 {
        assert_eq!(client.ask(&["GET", &format!("key {n}")]).unwrap(), value(&format!("text {n}")));
    }
    // Whoever is answered has been made anew.
    assert_eq!(client.ask(&["GET", "n"]).unwrap(), value("10"));
    assert_eq!((stat(&mut client, "restarts"), stat(&mut client, "keys")), (20, 11));
    end(server);
}

#[test]
fn under_load_no_answer_is_wrong_while_shards_fail() {
    for shards in [1, 4] {
        let server = start(Config { chaos: true, shards, ..Config::default() });
        let plan = Plan { connections: 6, requests: 3000, pipeline: 32, failures: 10 * shards, prefix: "t" };
        let outcome = load::run(server.address(), &plan).unwrap();
        println!("{shards} shards: {outcome}");
        assert_eq!(outcome.wrong, 0, "{:#?}", outcome.told);
        assert_eq!(outcome.answered, 6 * (3000 + 64));
        let mut client = connect(&server);
        assert!(stat(&mut client, "restarts") > 0);
        end(server);
    }
}

#[test]
fn a_shard_with_too_much_to_do_says_so() {
    let server = start(Config { chaos: true, shards: 1, queue: 2, ..Config::default() });
    let mut client = connect(&server);
    let (mut number, mut refused) = (0, 0);
    eventually("a request that is refused", || {
        // The shard fails, and has other things to do than what comes.
        client.push(&["PANIC", "n"]);
        (1..CREDITS).for_each(|_| client.push(&["INCR", "n"]));
        client.flush().unwrap();
        for _ in 0..CREDITS {
            match client.answer().unwrap() {
                // What was refused was not done, and what was done is kept.
                Answer::Number(now) => {
                    number += 1;
                    assert_eq!(now, number);
                }
                // It failed before the writes that went down with it.
                failed if failed.is_error("FAILED") => {}
                other => {
                    let overloaded = "OVERLOADED the shard has too much to do; nothing was done";
                    assert_eq!(other, Answer::Error(overloaded.into()));
                    refused += 1;
                }
            }
        }
        refused > 0
    });
    println!("{number} done, {refused} refused");
    let plan = Plan { connections: 6, requests: 2000, pipeline: 32, failures: 10, prefix: "t" };
    let outcome = load::run(server.address(), &plan).unwrap();
    println!("{outcome}");
    assert_eq!(outcome.wrong, 0, "{:#?}", outcome.told);
    end(server);
}

#[test]
fn a_shard_that_fails_too_often_takes_no_other_with_it() {
    let server = start(Config { chaos: true, shards: 2, ..Config::default() });
    let mut client = connect(&server);
    // FNV-1a of two letters that follow each other differs in the lowest bit.
    assert_eq!((client.ask(&["SET", "a", "1"]).unwrap(), client.ask(&["SET", "b", "2"]).unwrap()), (ok(), ok()));
    let mut failures = 0;
    loop {
        match client.ask(&["PANIC", "a"]).unwrap() {
            failed if failed.is_error("FAILED") => failures += 1,
            Answer::Error(text) => break assert_eq!(text, "DOWN the shard has failed too often"),
            other => panic!("{other:?}"),
        }
        assert!(failures < 1000, "it is restarted for ever");
    }
    println!("down after {failures} failures");
    assert_eq!(client.ask(&["GET", "a"]).unwrap(), Answer::Error("DOWN the shard has failed too often".into()));
    assert_eq!(client.ask(&["GET", "b"]).unwrap(), value("2"));
    assert_eq!(stat(&mut client, "keys"), 2);
    end(server);
}

#[test]
fn a_shutdown_answers_what_has_been_sent() {
    let server = start(Config::default());
    let mut clients: Vec<Client> = (0..5).map(|_| connect(&server)).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&["PING"]).unwrap(), Answer::Status("PONG".into()));
        (0..2 * CREDITS).for_each(|_| client.push(&["INCR", "n"]));
        client.flush().unwrap();
    }
    let mut last = connect(&server);
    assert_eq!(last.ask(&["SHUTDOWN"]).unwrap(), ok());
    server.wait();
    let address = server.address();
    end(server);
    let mut sum = 0;
    for client in &mut clients {
        for _ in 0..2 * CREDITS {
            let Answer::Number(number) = client.answer().unwrap() else { panic!("no number") };
            sum += number;
        }
        assert!(client.answer().is_err(), "there is no more");
    }
    let count = (5 * 2 * CREDITS) as i64;
    assert_eq!(sum, count * (count + 1) / 2);
    assert!(last.answer().is_err() && TcpStream::connect(address).is_err());
}

fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(path: &str, args: &[&str]) -> Output {
    program(path, args).output().unwrap()
}

#[test]
fn the_programs_work_together() {
    let (server, load) = (env!("CARGO_BIN_EXE_kv_server"), env!("CARGO_BIN_EXE_kv_load"));
    let mut child = program(server, &["--address", "127.0.0.1:0", "--shards", "3", "--chaos"]).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        out.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    let line = String::from_utf8(line).unwrap();
    let address = line.trim().strip_prefix("listening at ").unwrap();
    let loaded = run(load, &["--address", address, "--connections", "3", "--requests", "500", "--failures", "5"]);
    assert!(loaded.status.success(), "{loaded:?}");
    assert_eq!(String::from_utf8(loaded.stdout).unwrap(), "1692 requests: each was answered as it must be\n");
    // Its standard input ends, and so does it.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("drained: ") && rest.ends_with(", 0 in flight\n"), "{rest}");
}

#[test]
fn the_programs_say_what_is_wrong() {
    let (server, load) = (env!("CARGO_BIN_EXE_kv_server"), env!("CARGO_BIN_EXE_kv_load"));
    let taken = start(Config::default());
    let address = taken.address().to_string();
    for (path, args, code, message) in [
        (server, &["--shards", "0"][..], 2, "kv_server: --shards cannot be 0: a number from 1 to 4096".to_owned()),
        (server, &["--address", &address], 1, format!("kv_server: cannot listen at {address}: ")),
        (load, &["--fast"], 2, "kv_load: there is no option --fast".into()),
        (load, &["--address", "127.0.0.1:1"], 1, "kv_load: ".into()),
    ] {
        let out = run(path, args);
        assert_eq!(out.status.code(), Some(code), "{out:?}");
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(stderr.starts_with(&message), "{stderr}");
    }
    for (path, usage) in [(server, SERVER_USAGE), (load, LOAD_USAGE)] {
        assert_eq!(String::from_utf8(run(path, &["--help"]).stdout).unwrap().trim_end(), usage);
    }
    end(taken);
}
